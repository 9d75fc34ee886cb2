/* bt, locals, inspect, eval, set: one VM of a stopped world. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/look.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/show.h"
#include "cli/target.h"

#define VARIABLES_DEFAULT 256 /* of one scope, unless -n says otherwise */
#define GLOBALS_DEFAULT 16    /* of the global scope, for people */
#define DEPTH_MAX 16

/* ---- bt */

struct stack {
    struct cli *cli;
    const struct target *t;
    uint32_t first, left; /* left UINT32_MAX: all */
    json_t *frames;       /* NULL: lines for people */
    size_t n;
    bool truncated;
};

/* One page; *ret_next 0: that was the last. */
static int stack_page(struct stack *s, uint32_t *ret_next)
{
    struct stillpoint_frames page;
    uint32_t max = s->left < 256 ? s->left : 0;
    int r = stillpoint_vm_frames(s->cli->sp, s->t->id, s->first, max, &page);
    if (r != 0)
        return cli_fail_call(s->cli, r, "show the stack of %s", s->t->vm->name);
    for (size_t i = 0; i < page.n && s->left > 0; i++) {
        if (s->frames)
            json_array_append_new(s->frames, json_of_frame(&page.items[i]));
        else
            show_frame(&page.items[i]);
        s->left -= s->left != UINT32_MAX;
        s->n++;
    }
    *ret_next = page.next > s->first ? page.next : 0;
    s->first = page.next;
    stillpoint_frames_free(&page);
    return CLI_OK;
}

int look_stack(struct cli *cli, const struct target *t, uint32_t first, uint32_t max)
{
    struct stack s = {.cli = cli, .t = t, .first = first, .left = max};
    json_t *whole = cli->format == CLI_TABLE ? NULL : json_of_stack(t->vm, false);
    uint32_t next = 1;
    int code = CLI_OK;
    s.frames = json_object_get(whole, "frames");
    while (code == CLI_OK && next != 0 && s.left > 0)
        code = stack_page(&s, &next);
    if (code == CLI_OK && cli->format == CLI_TABLE) {
        if (s.n == 0 && first == 0)
            print_line("no frame: %s waits for something to do", t->vm->name);
        if (next != 0)
            print_line("… (more: --first %" PRIu32 ")", next);
    } else if (code == CLI_OK && cli->format == CLI_NAME) {
        print_line("%s", t->vm->name);
    } else if (code == CLI_OK) {
        json_object_set_new(whole, "truncated", json_boolean(next != 0));
        print_json(cli, json_incref(whole));
    }
    json_decref(whole);
    return code;
}

static int run_bt(struct cli *cli, int argc, char **argv)
{
    uint32_t first = 0, max = UINT32_MAX;
    struct target t = {0};
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = c == 'f' ? options_count(cli, "--first", optarg, &first)
                        : options_count(cli, "-n", optarg, &max);
    }
    if (code == 0 && argc - optind != 1)
        code = cli_fail_usage(cli, "it takes one VM");
    if (code == 0)
        code = target_find(cli, argv[optind], NULL, &t);
    if (code == 0)
        code = look_stack(cli, &t, first, max);
    target_done(&t);
    return code;
}

const struct verb verb_bt = {
    .name = "bt",
    .synopsis = "VM [--first N] [-n N]",
    .summary = "the stack of a stopped VM",
    .help = "      --first N          from this frame; 0 is the innermost\n"
            "  -n, --frames N         only so many\n"
            "The VM has to stand: in a stop, held, or paused. 'world bt' stops a world for it.\n",
    .shorts = "n:",
    .longs = (const struct option[]){{"first", required_argument, NULL, 'f'},
                                     {"frames", required_argument, NULL, 'n'},
                                     {0}},
    .run = run_bt,
};

/* ---- variables: of scopes and of objects */

struct variables {
    struct cli *cli;
    const struct target *t;
    uint32_t first, max; /* of the outermost; max 0: all */
    unsigned depth;      /* so many levels of what they hold */
    bool run_getters;
};

static int list_variables(const struct variables *v, uint64_t ref, unsigned level, json_t *list,
                          uint32_t *ret_total, uint32_t *ret_next);

static int list_one(const struct variables *v, const struct stillpoint_named_value *variable,
                    unsigned level, json_t *list)
{
    uint32_t total, next;
    json_t *item = list ? json_of_variable(variable) : NULL;
    bool open = level < v->depth && variable->value.ref != 0;
    int code = CLI_OK;
    if (list)
        json_array_append_new(list, item);
    else
        show_variable(2 * (level + 1), variable);
    if (open && list) {
        json_t *children = json_array();
        json_object_set_new(item, "children", children);
        code = list_variables(v, variable->value.ref, level + 1, children, &total, &next);
        json_object_set_new(item, "children_total", json_of_number(total));
    } else if (open) {
        code = list_variables(v, variable->value.ref, level + 1, NULL, &total, &next);
    }
    return code;
}

static int list_page(const struct variables *v, struct stillpoint_variables_query *query,
                     unsigned level, json_t *list, uint32_t *ret_total)
{
    struct stillpoint_variables page;
    int code = CLI_OK, r = stillpoint_vm_variables(v->cli->sp, query, &page);
    if (r != 0)
        return cli_fail_call(v->cli, r, "show variables of %s", v->t->vm->name);
    for (size_t i = 0; i < page.n && code == CLI_OK; i++)
        code = list_one(v, &page.items[i], level, list);
    *ret_total = page.total;
    query->max -= query->max > page.n ? (uint32_t)page.n : query->max;
    query->first = page.next > query->first ? page.next : 0;
    stillpoint_variables_free(&page);
    return code;
}

/* To `list`, or (NULL) as lines. Below the outermost level no more than a page is shown. */
static int list_variables(const struct variables *v, uint64_t ref, unsigned level, json_t *list,
                          uint32_t *ret_total, uint32_t *ret_next)
{
    struct stillpoint_variables_query query = {
        .vm = v->t->id,
        .ref = ref,
        .first = level == 0 ? v->first : 0,
        .max = level == 0 ? v->max : VARIABLES_DEFAULT,
        .run_getters = v->run_getters,
    };
    bool all = query.max == 0;
    int code;
    *ret_total = *ret_next = 0;
    do
        code = list_page(v, &query, level, list, ret_total);
    while (code == CLI_OK && query.first != 0 && (all || query.max > 0));
    *ret_next = query.first;
    if (code == CLI_OK && !list && query.first != 0)
        print_line("%*s… (%" PRIu32 " in all)", (int)(2 * (level + 1)), "", *ret_total);
    return code;
}

/* ---- locals */

static int list_scope(const struct variables *v, const struct stillpoint_scope *scope,
                      json_t *scopes)
{
    uint32_t total = 0, next = 0;
    json_t *list = scopes ? json_array() : NULL;
    struct variables shown = *v;
    int code = CLI_OK;
    /* Where all that the language has would hide the program's own. */
    if (!scopes && v->max == VARIABLES_DEFAULT && strcmp(scope->scope, "global") == 0)
        shown.max = GLOBALS_DEFAULT;
    if (!scopes)
        print_line("%s%s%s:%s", scope->scope, scope->function[0] ? " of " : "", scope->function,
                   scope->variables == 0 ? " nothing" : "");
    if (scope->ref != 0)
        code = list_variables(&shown, scope->ref, 0, list, &total, &next);
    if (!scopes)
        return code;
    json_array_append_new(
        scopes, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "scope", json_of_text(scope->scope),
                          "function", json_of_some_text(scope->function), "ref",
                          json_of_number_or_null(scope->ref), "total", json_of_number(total),
                          "next", json_of_number_or_null(next), "variables", list));
    return code;
}

static int fail_no_frame(struct cli *cli, const struct target *t, uint32_t frame)
{
    struct stillpoint_frames frames;
    int r = stillpoint_vm_frames(cli->sp, t->id, 0, 1, &frames);
    bool none = r == 0 && frames.n == 0;
    if (r == 0)
        stillpoint_frames_free(&frames);
    if (none)
        return cli_fail(cli, CLI_NO_OBJECT,
                        "show variables of %s: it is in no frame, but waits for something to do "
                        "(what is global can be evaluated)",
                        t->vm->name);
    return cli_fail(cli, CLI_NO_OBJECT,
                    "show variables of %s: it has no frame %" PRIu32 " ('bt' shows those it has)",
                    t->vm->name, frame);
}

static int list_scopes(const struct variables *v, uint32_t frame)
{
    struct stillpoint_scopes scopes;
    struct cli *cli = v->cli;
    int code = CLI_OK, r = stillpoint_vm_scopes(cli->sp, v->t->id, frame, &scopes);
    if (r == STILLPOINT_REFUSED && stillpoint_error(cli->sp)->code == STILLPOINT_ERROR_NOT_FOUND)
        return fail_no_frame(cli, v->t, frame);
    if (r != 0)
        return cli_fail_call(cli, r, "show variables of frame %" PRIu32 " of %s", frame,
                             v->t->vm->name);
    json_t *list = cli->format == CLI_TABLE ? NULL : json_array();
    for (size_t i = 0; i < scopes.n && code == CLI_OK; i++)
        code = list_scope(v, &scopes.items[i], list);
    if (code == CLI_OK && cli->format == CLI_NAME) {
        size_t i, n;
        json_t *scope, *variable;
        json_array_foreach(list, i, scope)
            json_array_foreach(json_object_get(scope, "variables"), n, variable)
                print_line("%s", json_string_value(json_object_get(variable, "name")));
    } else if (code == CLI_OK && list) {
        print_json(cli, json_pack("{s:o, s:o, s:O}", "vm", json_of_number(v->t->vm->id), "frame",
                                  json_of_number(frame), "scopes", list));
    }
    json_decref(list);
    stillpoint_scopes_free(&scopes);
    return code;
}

int look_locals(struct cli *cli, const struct target *t, uint32_t frame)
{
    const struct variables v = {.cli = cli, .t = t, .max = VARIABLES_DEFAULT};
    return list_scopes(&v, frame);
}

static int parse_variables(struct cli *cli, int argc, char **argv, struct variables *v,
                           uint32_t *frame, const char **debugger)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'F':
            code = options_count(cli, "--frame", optarg, frame);
            break;
        case 'd':
            code = options_count(cli, "--depth", optarg, &v->depth);
            if (code == 0 && v->depth > DEPTH_MAX)
                code = cli_fail_usage(cli, "--depth: %d at most", DEPTH_MAX);
            break;
        case 'f':
            code = options_count(cli, "--first", optarg, &v->first);
            break;
        case 'n':
            code = options_count(cli, "-n", optarg, &v->max);
            break;
        case 'g':
            v->run_getters = true;
            break;
        case 'D':
            code = options_debugger(cli, "--debugger", optarg, debugger);
            break;
        default:
            return OPTIONS_DONE;
        }
    }
    return code;
}

static int run_locals(struct cli *cli, int argc, char **argv)
{
    struct target t = {0};
    struct variables v = {.cli = cli, .t = &t, .max = VARIABLES_DEFAULT};
    uint32_t frame = 0;
    const char *debugger = NULL;
    int code = parse_variables(cli, argc, argv, &v, &frame, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind != 1)
        code = cli_fail_usage(cli, "it takes one VM");
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0)
        code = list_scopes(&v, frame);
    target_done(&t);
    return code;
}

#define PAGE_HELP                                                                                  \
    "      --depth N          what they hold too, N levels deep (0)\n"                             \
    "      --first N          from this one\n"                                                     \
    "  -n, --variables N      only so many (256); 0: all\n"

const struct verb verb_locals = {
    .name = "locals",
    .synopsis = "VM [--frame N] [OPTION…]",
    .summary = "the variables that a frame of a stopped VM sees, by scope",
    .help =
        "      --frame N          0, the innermost, unless given\n" PAGE_HELP
        "A number in brackets is the REF of an object: 'stillctl inspect VM REF' shows what it\n"
        "has, for as long as the VM stays stopped. --first and -n count in each scope.\n",
    .shorts = "n:",
    .longs = (const struct option[]){{"frame", required_argument, NULL, 'F'},
                                     {"depth", required_argument, NULL, 'd'},
                                     {"first", required_argument, NULL, 'f'},
                                     {"variables", required_argument, NULL, 'n'},
                                     {0}},
    .run = run_locals,
};

/* ---- inspect */

static int list_object(const struct variables *v, uint64_t ref)
{
    uint32_t total, next;
    struct cli *cli = v->cli;
    json_t *list = cli->format == CLI_TABLE ? NULL : json_array();
    int code = list_variables(v, ref, 0, list, &total, &next);
    if (code == CLI_OK && cli->format == CLI_NAME) {
        size_t i;
        json_t *variable;
        json_array_foreach(list, i, variable)
            print_line("%s", json_string_value(json_object_get(variable, "name")));
    } else if (code == CLI_OK && list) {
        print_json(cli, json_pack("{s:o, s:o, s:o, s:o, s:O}", "vm", json_of_number(v->t->vm->id),
                                  "ref", json_of_number(ref), "total", json_of_number(total),
                                  "next", json_of_number_or_null(next), "variables", list));
    }
    json_decref(list);
    return code;
}

int look_object(struct cli *cli, const struct target *t, uint64_t ref)
{
    const struct variables v = {.cli = cli, .t = t, .max = VARIABLES_DEFAULT};
    return list_object(&v, ref);
}

static int run_inspect(struct cli *cli, int argc, char **argv)
{
    struct target t = {0};
    struct variables v = {.cli = cli, .t = &t, .max = VARIABLES_DEFAULT};
    uint64_t ref = 0;
    const char *debugger = NULL;
    int code = parse_variables(cli, argc, argv, &v, NULL, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind != 2)
        code = cli_fail_usage(cli, "it takes a VM and the REF of an object");
    if (code == 0 && (!parse_u64(argv[optind + 1], &ref) || ref == 0))
        code = cli_fail_usage(cli, "'%s' is no REF (%s)", argv[optind + 1],
                              "'locals' and 'eval' show them in brackets");
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0)
        code = list_object(&v, ref);
    target_done(&t);
    return code;
}

const struct verb verb_inspect = {
    .name = "inspect",
    .synopsis = "VM REF [OPTION…]",
    .summary = "what an object of a stopped VM has: properties, elements, entries",
    .help = PAGE_HELP
    "      --getters          run getters, which is guest code\n"
    "      --debugger NAME    on behalf of this debugger (cli:UID)\n"
    "REF is a number in brackets that 'locals', 'eval' or 'inspect' has shown in this stop.\n",
    .shorts = "n:",
    .longs = (const struct option[]){{"depth", required_argument, NULL, 'd'},
                                     {"first", required_argument, NULL, 'f'},
                                     {"variables", required_argument, NULL, 'n'},
                                     {"getters", no_argument, NULL, 'g'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_inspect,
};

/* ---- eval, set */

static int end_with_value(struct cli *cli, const struct target *t, const char *expression,
                          struct stillpoint_evaluated *e)
{
    struct print_text text = {0};
    int code = CLI_OK;
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        print_json(cli, json_of_evaluated(t->vm, e));
    } else if (!e->threw) {
        show_add_value(&text, &e->value);
        print_line("%s", text.text);
    }
    if (e->threw)
        code = show_thrown(cli, expression, e);
    stillpoint_evaluated_free(e);
    return code;
}

/* Where no frame was named: in the innermost, or globally where there is none. */
static int choose_frame(struct cli *cli, const struct target *t, struct stillpoint_evaluation *what)
{
    struct stillpoint_frames frames;
    int r = stillpoint_vm_frames(cli->sp, t->id, 0, 1, &frames);
    if (r != 0)
        return cli_fail_call(cli, r, "evaluate %s in %s", what->expression, t->vm->name);
    what->in_realm = frames.n == 0;
    stillpoint_frames_free(&frames);
    return 0;
}

int look_evaluate(struct cli *cli, const struct target *t, struct stillpoint_evaluation *what,
                  bool chosen)
{
    struct stillpoint_evaluated e;
    int code = chosen ? 0 : choose_frame(cli, t, what);
    if (code != 0)
        return code;
    what->vm = t->id;
    int r = stillpoint_vm_evaluate(cli->sp, what, &e);
    if (r != 0)
        return cli_fail_call(cli, r, "evaluate %s in %s", what->expression, t->vm->name);
    return end_with_value(cli, t, what->expression, &e);
}

static int parse_eval(struct cli *cli, int argc, char **argv, struct stillpoint_evaluation *what,
                      bool *chosen, const char **debugger)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'F':
            code = options_count(cli, "--frame", optarg, &what->frame);
            *chosen = true;
            break;
        case 'R':
            *chosen = what->in_realm = true;
            if (!parse_u64(optarg, &what->realm))
                code = cli_fail_usage(cli, "--realm: '%s' is not a number", optarg);
            break;
        case 't':
            code = options_duration(cli, "--timeout", optarg, 1, &what->timeout_us);
            break;
        case 'A':
            what->audited = true;
            break;
        case 'D':
            code = options_debugger(cli, "--debugger", optarg, debugger);
            break;
        default:
            return OPTIONS_DONE;
        }
    }
    return code;
}

static int run_eval(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_evaluation what = {0};
    struct target t = {0};
    const char *debugger = NULL;
    bool chosen = false;
    int code = parse_eval(cli, argc, argv, &what, &chosen, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind != 2)
        code = cli_fail_usage(cli, "it takes a VM and one expression; quote it");
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0) {
        what.expression = argv[optind + 1];
        code = look_evaluate(cli, &t, &what, chosen);
    }
    target_done(&t);
    return code;
}

const struct verb verb_eval = {
    .name = "eval",
    .synopsis = "VM [--frame N|--realm N] [OPTION…] EXPR",
    .summary = "evaluate an expression in a stopped VM",
    .help = "      --frame N          in this frame: 0, the innermost, unless given. Where there\n"
            "                         is no frame, globally\n"
            "      --realm N          globally, in this realm; 0: the first\n"
            "      --timeout DURATION then it is ended (1s)\n"
            "      --audited          hooks are told of what it does\n"
            "      --debugger NAME    on behalf of this debugger (cli:UID)\n"
            "It runs guest code, and neither timers nor messages. Exit code 1: it threw.\n"
            "An EXPR that starts with '-' goes after '--'.\n",
    .shorts = "",
    .longs = (const struct option[]){{"frame", required_argument, NULL, 'F'},
                                     {"realm", required_argument, NULL, 'R'},
                                     {"timeout", required_argument, NULL, 't'},
                                     {"audited", no_argument, NULL, 'A'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_eval,
};

int look_set(struct cli *cli, const struct target *t, uint32_t frame, const char *name,
             const char *expression, uint64_t timeout_us)
{
    struct stillpoint_evaluated e;
    int r = stillpoint_vm_set_variable(cli->sp, t->id, frame, name, expression, timeout_us, &e);
    return r != 0 ? cli_fail_call(cli, r, "set %s of %s", name, t->vm->name)
                  : end_with_value(cli, t, expression, &e);
}

static int run_set(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_evaluation what = {0};
    struct target t = {0};
    const char *debugger = NULL;
    bool chosen;
    int code = parse_eval(cli, argc, argv, &what, &chosen, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind != 3)
        code = cli_fail_usage(cli, "it takes a VM, a name and one expression; quote it");
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0)
        code = look_set(cli, &t, what.frame, argv[optind + 1], argv[optind + 2], what.timeout_us);
    target_done(&t);
    return code;
}

const struct verb verb_set = {
    .name = "set",
    .synopsis = "VM [--frame N] [OPTION…] NAME EXPR",
    .summary = "set a variable that a frame of a stopped VM sees",
    .help = "      --frame N          0, the innermost, unless given\n"
            "      --timeout DURATION then the evaluation of EXPR is ended (1s)\n"
            "      --debugger NAME    on behalf of this debugger (cli:UID)\n"
            "Prints the new value. Exit code 1: EXPR threw. One that starts with '-' goes after\n"
            "'--'.\n",
    .shorts = "",
    .longs = (const struct option[]){{"frame", required_argument, NULL, 'F'},
                                     {"timeout", required_argument, NULL, 't'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_set,
};

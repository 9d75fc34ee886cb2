/* audit list, show, tail, rm. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/hits.h"
#include "cli/hook.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"

/* ---- list */

static void auditor_row(struct print_table *t, const struct stillpoint_auditor *a,
                        const struct stillpoint_auditor_serves *s)
{
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, a->vm);
    print_table_cell(t, "%s", stillpoint_referent_kind_text(a->referent));
    if (a->referent_id != 0)
        print_table_cell(t, "%" PRIu64, a->referent_id);
    else
        print_table_cell(t, "-");
    print_table_cell(t, "%s%s", stillpoint_hook_kind_text(a->kind), a->armed ? "" : " (spent)");
    print_table_cell(t, "%s", a->label[0] ? a->label : "-");
    print_table_cell(t, "%s", s->name);
    print_table_cell(t, "%" PRIu64, s->hook);
    print_table_cell(t, "%" PRIu64, s->hits);
    print_table_cell(t, "%" PRIu64, s->dropped);
}

static void auditor_rows_of(struct print_table *t, const void *item)
{
    const struct stillpoint_auditor *a = item;
    for (size_t n = 0; n < a->n_serves; n++)
        auditor_row(t, a, &a->serves[n]);
}

static void auditor_name(const void *item)
{
    const struct stillpoint_auditor *a = item;
    print_line("%s", stillpoint_hook_kind_text(a->kind));
}

static json_t *auditor_json(const void *item)
{
    return json_of_auditor(item);
}

static const struct print_rows auditor_rows = {
    .columns = (const struct print_column[]){{"VM", true},
                                             {"REFERENT", false},
                                             {"ID", true},
                                             {"KIND", false},
                                             {"WHERE", false},
                                             {"FOR", false},
                                             {"HOOK", true},
                                             {"HITS", true},
                                             {"DROPPED", true},
                                             {0}},
    .row = auditor_rows_of,
    .name = auditor_name,
    .json = auditor_json,
};

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_auditors auditors;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    const char *vm = optind < argc ? argv[optind] : NULL;
    if (argc - optind > 1)
        return cli_fail_usage(cli, "it takes one VM");
    if (vm && !parse_is_vm(vm))
        return cli_fail_usage(cli, "'%s' is no name or id of a VM", vm);
    int code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_auditor_list(cli->sp, vm, &auditors);
    if (r != 0)
        return cli_fail_call(cli, r, vm ? "list the auditors of %s" : "list auditors", vm);
    print_items(cli, &auditor_rows, auditors.items, auditors.n, sizeof *auditors.items);
    stillpoint_auditors_free(&auditors);
    return CLI_OK;
}

const struct verb verb_audit_list = {
    .name = "audit list",
    .synopsis = "[VM]",
    .summary = "the auditors that there are, and whom they serve",
    .help =
        "Where no hook is set there is no auditor. 'audit show' lists hooks, also those that no\n"
        "VM has at the moment.\n",
    .shorts = "",
    .run = run_list,
};

/* ---- show */

static int show_all(struct cli *cli, const char *debugger)
{
    const struct stillpoint_hook_query query = {.debugger = debugger};
    struct stillpoint_hooks hooks;
    int r = stillpoint_hook_list(cli->sp, &query, &hooks);
    if (r != 0)
        return cli_fail_call(cli, r, "list hooks");
    hook_print_list(cli, &hooks, 0);
    stillpoint_hooks_free(&hooks);
    return CLI_OK;
}

static int show_some(struct cli *cli, const uint64_t *numbers, size_t n)
{
    json_t *list = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < n && code == CLI_OK; i++) {
        const struct stillpoint_hook_query query = {.hook = numbers[i]};
        struct stillpoint_hooks hooks;
        int r = stillpoint_hook_list(cli->sp, &query, &hooks);
        if (r != 0) {
            code = cli_fail_call(cli, r, "show hook %" PRIu64, numbers[i]);
            continue;
        }
        if (hooks.n != 1)
            code = cli_fail(cli, CLI_NO_OBJECT, "show hook %" PRIu64 ": there is none", numbers[i]);
        else if (cli->format == CLI_TABLE)
            hook_print(&hooks.items[0]);
        else if (cli->format == CLI_NAME)
            print_line("%" PRIu64, hooks.items[0].id);
        else
            json_array_append_new(list, json_of_hook(&hooks.items[0]));
        stillpoint_hooks_free(&hooks);
    }
    if (code == CLI_OK && (cli->format == CLI_JSON || cli->format == CLI_JSONL))
        print_json(cli, n == 1 ? json_incref(json_array_get(list, 0)) : json_incref(list));
    json_decref(list);
    return code;
}

static int run_show(struct cli *cli, int argc, char **argv)
{
    const char *debugger = NULL;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = options_debugger(cli, "--debugger", optarg, &debugger);
    }
    if (code == 0 && debugger && optind < argc)
        code = cli_fail_usage(cli, "either hooks or --debugger");
    uint64_t *numbers = calloc((size_t)argc + 1, sizeof *numbers);
    if (!numbers)
        return cli_fail(cli, CLI_FAILED, "start: out of memory");
    if (code == 0)
        code = hook_numbers(cli, argc - optind, argv + optind, numbers);
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = optind == argc ? show_all(cli, debugger)
                              : show_some(cli, numbers, (size_t)(argc - optind));
    free(numbers);
    return code;
}

const struct verb verb_audit_show = {
    .name = "audit show",
    .synopsis = "[HOOK…] [--debugger NAME]",
    .summary = "hooks: all of them, or all there is to know about some",
    .help = "      --debugger NAME    only those of this debugger\n",
    .shorts = "",
    .longs = (const struct option[]){{"debugger", required_argument, NULL, 'D'}, {0}},
    .run = run_show,
};

/* ---- tail */

/* The name of the debugger that `word` means by name or id; itself if nobody knows. */
static int find_name(struct cli *cli, const char *word, char ret[STILLPOINT_NAME_BYTES + 1])
{
    struct stillpoint_debuggers list;
    uint64_t id;
    snprintf(ret, STILLPOINT_NAME_BYTES + 1, "%s", word);
    if (!parse_u64(word, &id))
        return 0;
    int r = stillpoint_debugger_list(cli->sp, &list);
    if (r != 0)
        return cli_fail_call(cli, r, "read the hits of %s", word);
    for (size_t i = 0; i < list.n; i++)
        if (list.items[i].id == id)
            snprintf(ret, STILLPOINT_NAME_BYTES + 1, "%s", list.items[i].name);
    stillpoint_debuggers_free(&list);
    return 0;
}

/* That of the command line is made on demand: where there is none yet, it has seen nothing. */
static bool is_none_yet(const struct cli *cli, int r, bool own)
{
    return r == STILLPOINT_REFUSED && own &&
           stillpoint_error(cli->sp)->code == STILLPOINT_ERROR_NOT_FOUND;
}

struct tail {
    struct cli *cli;
    struct hits hits;
    struct stillpoint_hits_query query;
    bool follow;
    bool waiting;     /* for a page */
    int r;            /* how the last request for one ended */
    bool last, stuck; /* that page was the last; makes no sense */
};

static void page_arrived(struct stillpoint *sp, int r, const struct stillpoint_hits *page,
                         void *data)
{
    struct tail *t = data;
    (void)sp;
    t->waiting = false;
    t->r = r;
    if (r != 0)
        return;
    for (size_t i = 0; i < page->n; i++)
        hits_print(&t->hits, &page->items[i]);
    t->stuck = page->n > 0 && page->next_seq <= t->query.from_seq;
    t->last = page->ended || (!t->follow && page->n == 0);
    t->query.from_seq = page->next_seq;
    t->query.from_now = false;
    t->query.wait = t->follow;
}

/* CLI_READER_GONE, or as stillpoint_hits_read(). */
static int read_page(struct tail *t)
{
    t->waiting = true;
    int r = stillpoint_hits_read_async(t->cli->sp, &t->query, page_arrived, t);
    while (r == 0 && t->waiting)
        r = cli_wait(t->cli);
    return r == 0 ? t->r : r;
}

static int read_hits(struct tail *t, bool own)
{
    struct cli *cli = t->cli;
    int r = 0;
    while (r == 0 && !t->last && !t->stuck) {
        r = read_page(t);
        if (is_none_yet(cli, r, own && !t->follow))
            return CLI_OK;
        if (r == 0 && !print_flush())
            r = CLI_READER_GONE;
        if (t->follow && cli_reconnect(cli, r))
            r = 0;
    }
    if (r == CLI_READER_GONE)
        return CLI_OK; /* print_end() knows whether that is an error */
    if (r != 0)
        return cli_fail_call(cli, r, "read the hits of %s", t->hits.debugger);
    return t->stuck ? cli_fail(cli, CLI_FAILED, "read the hits of %s: the daemon repeats itself",
                               t->hits.debugger)
                    : CLI_OK;
}

static int parse_from(const struct cli *cli, struct stillpoint_hits_query *query)
{
    query->from_now = strcmp(optarg, "now") == 0;
    if (query->from_now || parse_u64(optarg, &query->from_seq))
        return 0;
    return cli_fail_usage(cli, "--from: '%s' is neither a sequence number nor 'now'", optarg);
}

static int run_tail(struct cli *cli, int argc, char **argv)
{
    struct tail t = {.cli = cli, .hits = {.cli = cli}};
    char own[32];
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'f')
            t.follow = true;
        else
            code = parse_from(cli, &t.query);
    }
    const char *word = optind < argc ? argv[optind] : NULL;
    if (code == 0 && argc - optind > 1)
        code = cli_fail_usage(cli, "it takes one debugger");
    if (code == 0 && word && !parse_is_debugger(word))
        code = cli_fail_usage(cli, "'%s' is no name or id of a debugger", word);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    snprintf(own, sizeof own, "cli:%" PRIu32, stillpoint_peer(cli->sp)->uid);
    t.query.debugger = word ? word : own;
    code = find_name(cli, t.query.debugger, t.hits.debugger);
    t.hits.list = cli->format == CLI_JSON && !t.follow ? json_array() : NULL;
    if (code == 0)
        code = read_hits(&t, word == NULL);
    /* A page that is still waited for ends with the connection, and looks for `t` then. */
    cli->sp = stillpoint_free(cli->sp);
    if (code == 0 && t.hits.list)
        print_json(cli, json_incref(t.hits.list));
    json_decref(t.hits.list);
    return code;
}

const struct verb verb_audit_tail = {
    .name = "audit tail",
    .synopsis = "[DEBUGGER] [--from SEQ|now] [-f]",
    .summary = "what the hooks of a debugger have seen",
    .help = "DEBUGGER is cli:UID unless given. It starts at the oldest hit that is kept, and\n"
            "consumes nothing. Where hits were lost, a line says how many.\n\n"
            "      --from SEQ         from this sequence number; now: from the next\n"
            "  -f, --follow           go on with what comes; -o json is one hit on a line then\n",
    .shorts = "f",
    .longs = (const struct option[]){{"from", required_argument, NULL, 'F'},
                                     {"follow", no_argument, NULL, 'f'},
                                     {0}},
    .run = run_tail,
};

/* ---- rm */

static int run_rm(struct cli *cli, int argc, char **argv)
{
    return hook_run_remove(cli, argc, argv, 0);
}

const struct verb verb_audit_rm = {
    .name = "audit rm",
    .synopsis = "HOOK…|--all [--debugger NAME]",
    .summary = "remove hooks",
    .help = "      --all              all of the debugger, breakpoints too\n"
            "      --debugger NAME    whose they are (cli:UID)\n",
    .shorts = "",
    .longs = (const struct option[]){{"all", no_argument, NULL, 'a'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_rm,
};

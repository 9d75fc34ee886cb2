/* world gc, census, bt: what every VM of a world says of itself, at one stop. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/debugger.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/show.h"
#include "cli/world.h"

#define TOP_DEFAULT 10

static size_t count_errors(const struct stillpoint_inspection *i)
{
    size_t n = 0;
    for (size_t at = 0; at < i->n_vms; at++)
        n += i->vms[at].error != NULL;
    return n;
}

/* ", stopped for 3.1ms": nothing is to be said of it inside a stop that was there before. */
static void print_summary(const struct stillpoint_inspection *i, const char *what)
{
    print_line("%s: %s, ticket %" PRIu64 " (%s)%s%s", i->stop.world, what, i->stop.ticket,
               i->stop.reason, i->held_us ? ", stopped for " : "",
               i->held_us ? print_duration(i->held_us) : "");
}

/* ---- gc */

static void print_gc_row(struct print_table *t, const struct stillpoint_vm_inspection *v)
{
    uint64_t freed = v->before_bytes > v->after_bytes ? v->before_bytes - v->after_bytes : 0;
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, v->vm);
    print_table_cell(t, "%s", v->name);
    print_table_cell(t, "%s", v->error ? "-" : print_size(v->before_bytes));
    print_table_cell(t, "%s", v->error ? "-" : print_size(v->after_bytes));
    print_table_cell(t, "%s", v->error ? "-" : print_size(freed));
    print_table_cell(t, "%s", v->error ? v->error : "");
    print_table_color(t, "red");
}

static void print_gc(const struct cli *cli, const struct stillpoint_inspection *i, uint32_t top)
{
    static const struct print_column columns[] = {{"VM", true},
                                                  {"NAME", false},
                                                  {"BEFORE", true},
                                                  {"AFTER", true},
                                                  {"FREED", true},
                                                  {"ERROR", false},
                                                  {0}};
    /* The last column only where there is something in it. */
    struct print_column shown[sizeof columns / sizeof *columns];
    memcpy(shown, columns, sizeof columns);
    if (count_errors(i) == 0)
        shown[5] = (struct print_column){0};
    struct print_table *t = print_table_new(cli, shown);
    struct print_text what = {0};
    uint64_t before = 0, after = 0;
    (void)top;
    for (size_t at = 0; at < i->n_vms; at++) {
        const struct stillpoint_vm_inspection *v = &i->vms[at];
        print_gc_row(t, v);
        before += v->error ? 0 : v->before_bytes;
        after += v->error ? 0 : v->after_bytes;
    }
    print_table_end(t);
    if (cli->no_legend)
        return;
    print_add(&what, "%s of %s freed in %zu VMs", print_size(before > after ? before - after : 0),
              print_size(before), i->n_vms - count_errors(i));
    print_summary(i, what.text);
}

/* ---- census */

static int by_bytes(const void *a, const void *b)
{
    const struct stillpoint_class_count *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return strcmp(x->class_name, y->class_name);
}

static void print_class(struct print_table *t, const struct stillpoint_vm_inspection *v,
                        const struct stillpoint_class_count *c)
{
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, v->vm);
    print_table_cell(t, "%s", v->name);
    print_table_cell(t, "%s", c->class_name);
    print_table_cell(t, "%" PRIu64, c->count);
    print_table_cell(t, "%s", print_size(c->bytes));
}

/* The largest ones, and one row for all others. Returns the bytes of all. */
static uint64_t print_classes(struct print_table *t, const struct stillpoint_vm_inspection *v,
                              uint32_t top)
{
    struct stillpoint_class_count others = {.class_name = "(others)"};
    struct stillpoint_class_count *sorted = calloc(v->n_classes + 1, sizeof *sorted);
    uint64_t bytes = 0;
    for (size_t i = 0; sorted && i < v->n_classes; i++)
        sorted[i] = v->classes[i];
    if (sorted)
        qsort(sorted, v->n_classes, sizeof *sorted, by_bytes);
    for (size_t i = 0; sorted && i < v->n_classes; i++) {
        bytes += sorted[i].bytes;
        if (i < top) {
            print_class(t, v, &sorted[i]);
            continue;
        }
        others.count += sorted[i].count;
        others.bytes += sorted[i].bytes;
    }
    if (v->n_classes > top)
        print_class(t, v, &others);
    free(sorted);
    return bytes;
}

static void print_census(const struct cli *cli, const struct stillpoint_inspection *i, uint32_t top)
{
    static const struct print_column columns[] = {
        {"VM", true}, {"NAME", false}, {"CLASS", false}, {"COUNT", true}, {"BYTES", true}, {0},
    };
    struct print_table *t = print_table_new(cli, columns);
    struct print_text what = {0};
    uint64_t bytes = 0;
    for (size_t at = 0; at < i->n_vms; at++) {
        const struct stillpoint_vm_inspection *v = &i->vms[at];
        if (!v->error) {
            bytes += print_classes(t, v, top);
            continue;
        }
        print_table_row(t);
        print_table_cell(t, "%" PRIu64, v->vm);
        print_table_cell(t, "%s", v->name);
        print_table_cell(t, "%s", v->error);
        print_table_color(t, "red");
        print_table_cell(t, "-");
        print_table_cell(t, "-");
    }
    print_table_end(t);
    print_add(&what, "%s in %zu VMs", print_size(bytes), i->n_vms - count_errors(i));
    if (!cli->no_legend)
        print_summary(i, what.text);
}

/* ---- bt */

static void print_stacks(const struct cli *cli, const struct stillpoint_inspection *i, uint32_t top)
{
    (void)cli;
    (void)top;
    for (size_t at = 0; at < i->n_vms; at++) {
        const struct stillpoint_vm_inspection *v = &i->vms[at];
        if (at > 0)
            print_line("%s", "");
        print_line("%s (%" PRIu64 "):%s%s", v->name, v->vm, v->error ? " " : "",
                   v->error      ? v->error
                   : v->n_frames ? ""
                                 : " no frame");
        for (size_t f = 0; f < v->n_frames; f++)
            show_frame(&v->frames[f]);
        if (v->truncated)
            print_line("…");
    }
}

/* ---- what they share */

/* One kind of looking at a world. */
struct look {
    enum stillpoint_inspect_kind kind;
    const char *what; /* "cannot … world W" */
    void (*print)(const struct cli *cli, const struct stillpoint_inspection *i, uint32_t top);
};

static void print_inspection(const struct cli *cli, const struct look *look,
                             const struct stillpoint_inspection *i, uint32_t top)
{
    switch (cli->format) {
    case CLI_TABLE:
        look->print(cli, i, top);
        break;
    case CLI_NAME:
        for (size_t at = 0; at < i->n_vms; at++)
            print_line("%s", i->vms[at].name);
        break;
    case CLI_JSON:
    case CLI_JSONL:
        print_json(cli, json_of_inspection(i));
        break;
    }
}

/* Who did not come, and who came and did not answer, in one line. 0: nobody. */
static int tell_partial(const struct cli *cli, const struct look *look,
                        const struct stillpoint_inspection *i)
{
    struct print_text text = {0};
    bool first = true;
    if (i->stop.n_missing > 0) {
        print_add(&text, "%zu did not arrive: ", i->stop.n_missing);
        world_add_missing(cli, &i->stop, &text);
    }
    for (size_t at = 0; at < i->n_vms; at++) {
        const struct stillpoint_vm_inspection *v = &i->vms[at];
        if (!v->error || world_is_missing(&i->stop, v->vm))
            continue;
        print_add(&text, "%s%s (%" PRIu64 "): %s",
                  !first        ? ", "
                  : text.at > 0 ? "; no answer of "
                                : "no answer of ",
                  v->name, v->vm, v->error);
        first = false;
    }
    if (text.at == 0)
        return CLI_OK;
    cli_say("cannot %s all of world %s: %s%s", look->what, i->stop.world, text.text,
            text.at < sizeof text.text ? "" : "…");
    return CLI_PARTIAL;
}

static int parse_look(struct cli *cli, int argc, char **argv, struct stillpoint_inspect *inspect,
                      uint32_t *top)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'd':
            code = options_duration(cli, "--deadline", optarg, 1, &inspect->deadline_us);
            break;
        case 'w':
            code = options_duration(cli, "--wait", optarg, 0, &inspect->wait_us);
            break;
        case 't':
            code = options_duration(cli, "--timeout", optarg, 1, &inspect->timeout_us);
            break;
        case 'D':
            code = options_debugger(cli, "--debugger", optarg, &inspect->debugger);
            break;
        case 'n':
            code = options_count(cli, "--top", optarg, top);
            break;
        default:
            return OPTIONS_DONE;
        }
    }
    return code != 0 ? code : world_argument(cli, argc, argv, &inspect->world);
}

static int run_look(struct cli *cli, int argc, char **argv, const struct look *look)
{
    struct stillpoint_inspect inspect = {.kind = look->kind};
    struct stillpoint_inspection inspection;
    uint32_t top = TOP_DEFAULT;
    int code = parse_look(cli, argc, argv, &inspect, &top);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, inspect.debugger);
    if (code != 0)
        return code;
    int r = stillpoint_world_inspect(cli->sp, &inspect, &inspection);
    if (r != 0)
        return cli_fail_call(cli, r, "%s world %s", look->what, inspect.world);
    print_inspection(cli, look, &inspection, top);
    code = tell_partial(cli, look, &inspection);
    stillpoint_inspection_free(&inspection);
    return code;
}

#define LOOK_LONGS                                                                                 \
    {"deadline", required_argument, NULL, 'd'}, {"wait", required_argument, NULL, 'w'},            \
        {"timeout", required_argument, NULL, 't'}, {"debugger", required_argument, NULL, 'D'},     \
    {                                                                                              \
        0                                                                                          \
    }
#define LOOK_HELP                                                                                  \
    "      --deadline DURATION  for the arrivals (200ms)\n"                                        \
    "      --wait DURATION      for other stops to end first (0)\n"                                \
    "      --timeout DURATION   for the answers (10s)\n"                                           \
    "      --debugger NAME      on behalf of this debugger (cli:UID)\n"                            \
    "Inside a stop of the same debugger's it is done at once, and the stop goes on.\n"             \
    "Exit code 6: some VM did not arrive or did not answer. 124: --wait ran out.\n"

static int run_gc(struct cli *cli, int argc, char **argv)
{
    static const struct look gc = {STILLPOINT_INSPECT_GC, "collect garbage in", print_gc};
    return run_look(cli, argc, argv, &gc);
}

static int run_census(struct cli *cli, int argc, char **argv)
{
    static const struct look census = {STILLPOINT_INSPECT_CENSUS, "count what is in", print_census};
    return run_look(cli, argc, argv, &census);
}

static int run_bt(struct cli *cli, int argc, char **argv)
{
    static const struct look bt = {STILLPOINT_INSPECT_STACKS, "show the stacks of", print_stacks};
    return run_look(cli, argc, argv, &bt);
}

const struct verb verb_world_gc = {
    .name = "world gc",
    .synopsis = "[WORLD] [OPTION…]",
    .summary = "stop a world, collect garbage in every VM, and let it go on",
    .help = LOOK_HELP,
    .shorts = "",
    .longs = (const struct option[]){LOOK_LONGS},
    .run = run_gc,
};

const struct verb verb_world_census = {
    .name = "world census",
    .synopsis = "[WORLD] [OPTION…]",
    .summary = "stop a world, count what is on each VM's heap, and let it go on",
    .help = "      --top N              only the N largest classes of each VM (10); JSON has "
            "all\n" LOOK_HELP,
    .shorts = "",
    .longs = (const struct option[]){{"top", required_argument, NULL, 'n'}, LOOK_LONGS},
    .run = run_census,
};

const struct verb verb_world_bt = {
    .name = "world bt",
    .synopsis = "[WORLD] [OPTION…]",
    .summary = "stop a world, show the stack of every VM, and let it go on",
    .help = LOOK_HELP,
    .shorts = "",
    .longs = (const struct option[]){LOOK_LONGS},
    .run = run_bt,
};

/* world list, status, stop, resume. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/debugger.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/world.h"

void world_tell_stopped(struct cli *cli, const char *world, uint64_t vm)
{
    struct stillpoint_worlds found;
    if (!cli_may_look(cli) || stillpoint_world_get(cli->sp, world, &found) != 0)
        return;
    const struct stillpoint_world *w = &found.items[0];
    bool runs = w->mode == STILLPOINT_MODE_RUN_ALL || (vm != 0 && w->runner == vm);
    /* Without a controller it is an operation, which ends by itself. */
    if (!runs && w->has_controller)
        cli_say("world %s is stopped by %s: waiting (see 'stillctl world resume')", w->name,
                w->controller.debugger);
    stillpoint_worlds_free(&found);
}

int world_argument(const struct cli *cli, int argc, char **argv, const char **ret)
{
    if (argc - optind > 1)
        return cli_fail_usage(cli, "it takes one world");
    const char *world = optind < argc ? argv[optind] : WORLD_DEFAULT;
    if (!stillpoint_is_name(world))
        return cli_fail_usage(cli, "'%s' is no name of a world", world);
    *ret = world;
    return 0;
}

static const char *mode_color(enum stillpoint_world_mode mode)
{
    return mode == STILLPOINT_MODE_STOPPED    ? "yellow"
           : mode == STILLPOINT_MODE_STOPPING ? "red"
                                              : NULL;
}

/* ---- list */

static void cell_id(struct print_table *t, uint64_t id)
{
    if (id != 0)
        print_table_cell(t, "%" PRIu64, id);
    else
        print_table_cell(t, "-");
}

static void world_row(struct print_table *t, const void *item)
{
    const struct stillpoint_world *w = item;
    print_table_row(t);
    print_table_cell(t, "%s", w->name);
    print_table_cell(t, "%s", stillpoint_world_mode_text(w->mode));
    print_table_color(t, mode_color(w->mode));
    print_table_cell(t, "%" PRIu32, w->vms);
    cell_id(t, w->ticket ? w->ticket->ticket : 0);
    print_table_cell(t, "%s", w->ticket ? w->ticket->reason : "-");
    cell_id(t, w->runner);
    print_table_cell(t, "%s", w->has_controller ? w->controller.debugger : "-");
}

static void world_name(const void *item)
{
    const struct stillpoint_world *w = item;
    print_line("%s", w->name);
}

static json_t *world_json(const void *item)
{
    return json_of_world(item);
}

static const struct print_rows world_rows = {
    .columns = (const struct print_column[]){{"NAME", false},
                                             {"MODE", false},
                                             {"VMS", true},
                                             {"TICKET", true},
                                             {"REASON", false},
                                             {"RUNNER", true},
                                             {"CONTROLLER", false},
                                             {0}},
    .row = world_row,
    .name = world_name,
    .json = world_json,
};

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_worlds worlds;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (optind < argc)
        return cli_fail_usage(cli, "it takes no argument");
    int code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_world_list(cli->sp, &worlds);
    if (r != 0)
        return cli_fail_call(cli, r, "list worlds");
    print_items(cli, &world_rows, worlds.items, worlds.n, sizeof *worlds.items);
    stillpoint_worlds_free(&worlds);
    return CLI_OK;
}

const struct verb verb_world_list = {
    .name = "world list",
    .synopsis = "",
    .summary = "the worlds",
    .help = "",
    .shorts = "",
    .run = run_list,
};

/* ---- status */

static void print_ticket(const char *title, const struct stillpoint_ticket *t)
{
    print_line("%11s: %" PRIu64 " (%s), by %s, uid %" PRIu32 ", since %s", title, t->ticket,
               t->reason, t->debugger, t->uid, print_time(t->since_us));
}

/* The world knows ids; people want names. */
static void print_vm(const struct cli *cli, const char *title, uint64_t id)
{
    char text[24];
    struct stillpoint_vms vms;
    if (id == 0)
        return;
    snprintf(text, sizeof text, "%" PRIu64, id);
    if (stillpoint_vm_get(cli->sp, text, &vms) != 0) {
        print_line("%11s: %" PRIu64, title, id);
        return;
    }
    print_line("%11s: %s (%" PRIu64 ")", title, vms.items[0].name, id);
    stillpoint_vms_free(&vms);
}

static void print_status(const struct cli *cli, const struct stillpoint_world *w)
{
    print_line("%s", w->name);
    print_line("%11s: %s", "Mode", stillpoint_world_mode_text(w->mode));
    print_line("%11s: %" PRIu64, "Epoch", w->epoch);
    print_line("%11s: %" PRIu32, "VMs", w->vms);
    if (w->ticket)
        print_ticket("Ticket", w->ticket);
    if (w->enforced)
        print_line("%11s: yes, every VM %sis frozen", "Enforced",
                   w->mode == STILLPOINT_MODE_RUN_ONE ? "but the runner " : "");
    for (size_t i = 0; i < w->n_queued; i++)
        print_ticket("Queued", &w->queued[i]);
    print_vm(cli, "Runner", w->runner);
    print_vm(cli, "Target", w->target);
    if (w->has_controller)
        print_line("%11s: %s, policy %s, until %s", "Controller", w->controller.debugger,
                   w->controller.policy, print_time(w->controller.expires_us));
}

static int run_status(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_worlds worlds;
    const char *world = WORLD_DEFAULT;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    int code = world_argument(cli, argc, argv, &world);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_world_get(cli->sp, world, &worlds);
    if (r != 0)
        return cli_fail_call(cli, r, "show world %s", world);
    if (cli->format == CLI_TABLE)
        print_status(cli, &worlds.items[0]);
    else if (cli->format == CLI_NAME)
        print_line("%s", worlds.items[0].name);
    else
        print_json(cli, json_of_world(&worlds.items[0]));
    stillpoint_worlds_free(&worlds);
    return CLI_OK;
}

const struct verb verb_world_status = {
    .name = "world status",
    .synopsis = "[WORLD]",
    .summary = "all there is to know about a world",
    .help = "",
    .shorts = "",
    .run = run_status,
};

/* ---- stop */

static const char *how_color(enum stillpoint_how how)
{
    return how == STILLPOINT_HOW_ACKED || how == STILLPOINT_HOW_HELD ? NULL : "yellow";
}

static void print_arrivals(const struct cli *cli, const struct stillpoint_stop_report *report)
{
    static const struct print_column columns[] = {
        {"VM", true}, {"NAME", false}, {"WAS", false}, {"HOW", false}, {"ELAPSED", true}, {0},
    };
    struct print_table *t = print_table_new(cli, columns);
    for (size_t i = 0; i < report->n_arrivals; i++) {
        const struct stillpoint_arrival *a = &report->arrivals[i];
        print_table_row(t);
        print_table_cell(t, "%" PRIu64, a->vm);
        print_table_cell(t, "%s", a->name);
        print_table_cell(t, "%s", stillpoint_vm_state_text(a->was));
        print_table_cell(t, "%s%s", stillpoint_how_text(a->how), a->lied ? " (lied)" : "");
        print_table_color(t, how_color(a->how));
        print_table_cell(t, "%" PRIu64 "us", a->elapsed_us);
    }
    print_table_end(t);
}

bool world_is_missing(const struct stillpoint_stop_report *report, uint64_t vm)
{
    for (size_t i = 0; i < report->n_missing; i++)
        if (report->missing[i] == vm)
            return true;
    return false;
}

/* A VM that was frozen since it did not arrive is among the arrivals too: not counted as one. */
static void print_summary(const struct stillpoint_stop_report *report)
{
    size_t arrived = 0;
    for (size_t i = 0; i < report->n_arrivals; i++)
        arrived += !world_is_missing(report, report->arrivals[i].vm);
    print_line("%s: %s, ticket %" PRIu64 " (%s), %zu of %zu in %" PRIu64 "us", report->world,
               stillpoint_world_mode_text(report->mode), report->ticket, report->reason, arrived,
               arrived + report->n_missing, report->elapsed_us);
}

static const struct stillpoint_arrival *arrival_of(const struct stillpoint_stop_report *report,
                                                   uint64_t vm)
{
    for (size_t i = 0; i < report->n_arrivals; i++)
        if (report->arrivals[i].vm == vm)
            return &report->arrivals[i];
    return NULL;
}

/* Where a VM that did not arrive is now. */
static const char *whereabouts(const struct stillpoint_arrival *a)
{
    bool frozen = a && a->how == STILLPOINT_HOW_ENFORCED;
    if (a && a->how == STILLPOINT_HOW_DEAD)
        return "killed";
    if (a && a->lied)
        return frozen ? "lied, frozen now" : "lied";
    return frozen ? "frozen" : "still running";
}

/* One that still runs is not among the arrivals: the daemon knows its name. */
static void find_name(const struct cli *cli, const struct stillpoint_arrival *arrival, uint64_t vm,
                      char name[STILLPOINT_NAME_BYTES + 1])
{
    struct stillpoint_vms vms;
    char id[24];
    snprintf(name, STILLPOINT_NAME_BYTES + 1, "%s", arrival ? arrival->name : "");
    snprintf(id, sizeof id, "%" PRIu64, vm);
    if (name[0] || stillpoint_vm_get(cli->sp, id, &vms) != 0)
        return;
    snprintf(name, STILLPOINT_NAME_BYTES + 1, "%s", vms.items[0].name);
    stillpoint_vms_free(&vms);
}

void world_add_missing(const struct cli *cli, const struct stillpoint_stop_report *report,
                       struct print_text *text)
{
    for (size_t i = 0; i < report->n_missing && text->at < sizeof text->text; i++) {
        const struct stillpoint_arrival *a = arrival_of(report, report->missing[i]);
        char name[STILLPOINT_NAME_BYTES + 1];
        find_name(cli, a, report->missing[i], name);
        print_add(text, "%s%s%s(%" PRIu64 ", %s)", i ? ", " : "", name, name[0] ? " " : "",
                  report->missing[i], whereabouts(a));
    }
}

static int tell_missing(const struct cli *cli, const struct stillpoint_stop_report *report)
{
    struct print_text names = {0};
    world_add_missing(cli, report, &names);
    cli_say("cannot stop all of world %s: %zu did not arrive: %s%s (the stop goes on until "
            "'stillctl world resume')",
            report->world, report->n_missing, names.text, names.at < sizeof names.text ? "" : "…");
    return CLI_PARTIAL;
}

static void print_report(const struct cli *cli, const struct stillpoint_stop_report *report)
{
    switch (cli->format) {
    case CLI_TABLE:
        print_arrivals(cli, report);
        if (!cli->no_legend)
            print_summary(report);
        break;
    case CLI_NAME:
        for (size_t i = 0; i < report->n_arrivals; i++)
            print_line("%s", report->arrivals[i].name);
        break;
    case CLI_JSON:
    case CLI_JSONL:
        print_json(cli, json_of_stop_report(report));
        break;
    }
}

static int parse_stop(struct cli *cli, int argc, char **argv, struct stillpoint_stop *stop)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'd':
            code = options_duration(cli, "--deadline", optarg, 1, &stop->deadline_us);
            break;
        case 'w':
            code = options_duration(cli, "--wait", optarg, 0, &stop->wait_us);
            break;
        case 'H':
            code = options_duration(cli, "--hold", optarg, 1, &stop->hold_us);
            break;
        case 'e':
            stop->enforce = true;
            break;
        case 'r':
            stop->require_idle = true;
            break;
        case 'k':
            stop->kill_late = true;
            break;
        case 'D':
            code = options_debugger(cli, "--debugger", optarg, &stop->debugger);
            break;
        default:
            return OPTIONS_DONE;
        }
    }
    return code != 0 ? code : world_argument(cli, argc, argv, &stop->world);
}

static int run_stop(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_stop stop = {0};
    struct stillpoint_stop_report report;
    int code = parse_stop(cli, argc, argv, &stop);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, stop.debugger);
    if (code != 0)
        return code;
    int r = stillpoint_world_stop(cli->sp, &stop, &report);
    if (r != 0)
        return cli_fail_call(cli, r, "stop world %s", stop.world);
    print_report(cli, &report);
    code = report.n_missing > 0 ? tell_missing(cli, &report) : CLI_OK;
    stillpoint_stop_report_free(&report);
    return code;
}

const struct verb verb_world_stop = {
    .name = "world stop",
    .synopsis = "[WORLD] [OPTION…]",
    .summary = "bring every VM of a world to a safe point, and report who arrived when",
    .help =
        "      --deadline DURATION  for the arrivals (200ms)\n"
        "      --wait DURATION      for other stops to end first (0)\n"
        "      --hold DURATION      resume by itself after this long (1h)\n"
        "      --enforce            freeze every VM once it has arrived, and find those that lied\n"
        "      --require-idle       wake idle and blocked VMs until they are parked\n"
        "      --kill-late          kill, rather than freeze, who misses the deadline\n"
        "      --debugger NAME      on behalf of this debugger (cli:UID)\n"
        "Exit code 6: some VM did not arrive. 124: --wait ran out.\n",
    .shorts = "",
    .longs = (const struct option[]){{"deadline", required_argument, NULL, 'd'},
                                     {"wait", required_argument, NULL, 'w'},
                                     {"hold", required_argument, NULL, 'H'},
                                     {"enforce", no_argument, NULL, 'e'},
                                     {"require-idle", no_argument, NULL, 'r'},
                                     {"kill-late", no_argument, NULL, 'k'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_stop,
};

/* ---- resume */

static void print_resumption(const struct stillpoint_resumption *r)
{
    if (r->next_ticket != 0)
        print_line("%s: %s, ticket %" PRIu64 " ended after %s, ticket %" PRIu64 " is served now",
                   r->world, stillpoint_world_mode_text(r->mode), r->ticket,
                   print_duration(r->held_us), r->next_ticket);
    else
        print_line("%s: %s, ticket %" PRIu64 " ended after %s", r->world,
                   stillpoint_world_mode_text(r->mode), r->ticket, print_duration(r->held_us));
}

static int run_resume(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_resumption resumption;
    const char *world = WORLD_DEFAULT;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    int code = world_argument(cli, argc, argv, &world);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_world_resume(cli->sp, world, &resumption);
    if (r != 0)
        return cli_fail_call(cli, r, "resume world %s", world);
    if (cli->format == CLI_TABLE)
        print_resumption(&resumption);
    else if (cli->format == CLI_NAME)
        print_line("%s", resumption.world);
    else
        print_json(cli, json_of_resumption(&resumption));
    stillpoint_resumption_free(&resumption);
    return CLI_OK;
}

const struct verb verb_world_resume = {
    .name = "world resume",
    .synopsis = "[WORLD]",
    .summary = "end the stop of a world",
    .help = "",
    .shorts = "",
    .run = run_resume,
};

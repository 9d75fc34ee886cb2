/* Verbs about units, VMs that the daemon starts by itself: units, start, stop, restart, enable,
 * disable, check. */
#include <inttypes.h>
#include <time.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"

/* ---- how they are shown */

static json_t *unit_json(const void *item)
{
    const struct stillpoint_unit *u = item;
    json_t *j =
        json_pack("{s:o, s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "name",
                  json_of_text(u->name), "path", json_of_text(u->path), "enabled", u->enabled,
                  "state", stillpoint_unit_state_text(u->state), "detail", json_of_text(u->detail),
                  "vm", json_of_number_or_null(u->vm), "restarts", json_of_number(u->restarts),
                  "restart_at_us", json_of_number_or_null(u->restart_at_us), "error",
                  json_of_text(u->error), "changed", u->changed, "gone", u->gone);
    /* What its file says: nothing, if that has never been right. */
    bool is_right = u->program != NULL;
    json_t *file = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "program",
        json_of_text(u->program), "args", json_of_texts(u->args, u->n_args), "world",
        json_of_text(u->world), "engine", json_of_text(u->engine), "uid",
        is_right ? json_of_number(u->uid) : json_null(), "labels",
        json_of_labels(u->labels, u->n_labels), "limits", json_of_limits(&u->limits), "restart",
        is_right ? json_string(stillpoint_restart_text(u->restart)) : json_null(),
        "restart_delay_us", json_of_number_or_null(u->restart_delay_us), "restart_delay_max_us",
        json_of_number_or_null(u->restart_delay_max_us), "restart_attempts",
        json_of_number_or_null(u->restart_attempts), "restart_reset_us",
        json_of_number_or_null(u->restart_reset_us));
    json_object_update_missing(j, file);
    json_decref(file);
    return j;
}

static const char *state_color(enum stillpoint_unit_state state)
{
    return state == STILLPOINT_UNIT_FAILED       ? "red"
           : state == STILLPOINT_UNIT_RESTARTING ? "yellow"
           : state == STILLPOINT_UNIT_RUNNING    ? "green"
                                                 : NULL;
}

/* What is wrong with its file, before why it is as it is. */
static const char *note_of(const struct stillpoint_unit *u)
{
    return u->error                      ? u->error
           : u->gone                     ? "its file is gone"
           : u->changed && !u->detail[0] ? "its file has changed: restart it"
                                         : u->detail;
}

static void cell_state(struct print_table *t, const struct stillpoint_unit *u)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    if (u->restart_at_us > now_us)
        print_table_cell(t, "%s in %s", stillpoint_unit_state_text(u->state),
                         print_duration(u->restart_at_us - now_us));
    else
        print_table_cell(t, "%s", stillpoint_unit_state_text(u->state));
    print_table_color(t, state_color(u->state));
}

static void unit_row(struct print_table *t, const void *item)
{
    const struct stillpoint_unit *u = item;
    print_table_row(t);
    print_table_cell(t, "%s", u->name);
    print_table_cell(t, "%s", u->enabled ? "yes" : "no");
    cell_state(t, u);
    if (u->vm != 0)
        print_table_cell(t, "%" PRIu64, u->vm);
    else
        print_table_cell(t, "-");
    print_table_cell(t, "%s", u->world ? u->world : "-");
    print_table_cell(t, "%" PRIu32, u->restarts);
    print_table_cell(t, "%s", note_of(u));
}

static void unit_name(const void *item)
{
    const struct stillpoint_unit *u = item;
    print_line("%s", u->name);
}

static const struct print_rows unit_rows = {
    .columns = (const struct print_column[]){{"NAME", false},
                                             {"ENABLED", false},
                                             {"STATE", false},
                                             {"VM", true},
                                             {"WORLD", false},
                                             {"RESTARTS", true},
                                             {"DETAIL", false},
                                             {0}},
    .row = unit_row,
    .name = unit_name,
    .json = unit_json,
};

static int check_names(const struct cli *cli, int n, char **names)
{
    for (int i = 0; i < n; i++)
        if (!stillpoint_is_name(names[i]))
            return cli_fail_usage(cli, "'%s' is no name of a unit", names[i]);
    return 0;
}

/* Adds the unit to the list. */
static int add_unit(struct cli *cli, const char *name, struct print_list *list)
{
    struct stillpoint_units units;
    int r = stillpoint_unit_list(cli->sp, name, &units);
    if (r != 0)
        return cli_fail_call(cli, r, "look at unit %s", name);
    print_list_add(list, &units.items[0]);
    stillpoint_units_free(&units);
    return CLI_OK;
}

static int run_units(struct cli *cli, int argc, char **argv)
{
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    int code = check_names(cli, argc - optind, argv + optind);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    if (optind == argc) {
        struct stillpoint_units units;
        int r = stillpoint_unit_list(cli->sp, NULL, &units);
        if (r != 0)
            return cli_fail_call(cli, r, "list units");
        print_items(cli, &unit_rows, units.items, units.n, sizeof *units.items);
        stillpoint_units_free(&units);
        return CLI_OK;
    }
    struct print_list list;
    print_list_begin(&list, cli, &unit_rows);
    for (int i = optind; i < argc; i++) {
        int failed = add_unit(cli, argv[i], &list);
        code = code ? code : failed;
    }
    print_list_end(&list);
    return code;
}

const struct verb verb_units = {
    .name = "units",
    .synopsis = "[NAME…]",
    .summary = "the units: VMs that the daemon starts by itself",
    .help = "A unit is a file in the daemon's folder of units: see stillpoint-vm.conf(5).\n",
    .shorts = "",
    .run = run_units,
};

/* ---- acts */

struct act {
    const char *word;
    int (*requests[2])(struct stillpoint *sp, const char *unit); /* in this order; NULL: none */
};

static int start(struct stillpoint *sp, const char *unit)
{
    struct stillpoint_vms vms;
    int r = stillpoint_unit_start(sp, unit, &vms);
    if (r == 0)
        stillpoint_vms_free(&vms);
    return r;
}

static const struct act act_start = {"start", {start}};
static const struct act act_stop = {"stop", {stillpoint_unit_stop}};
static const struct act act_restart = {"restart", {stillpoint_unit_stop, start}};
static const struct act act_enable = {"enable", {stillpoint_unit_enable}};
static const struct act act_disable = {"disable", {stillpoint_unit_disable}};
static const struct act act_enable_now = {"enable", {stillpoint_unit_enable, start}};
static const struct act act_disable_now = {"disable",
                                           {stillpoint_unit_disable, stillpoint_unit_stop}};

static int act_on(struct cli *cli, const struct act *act, const char *name, struct print_list *list)
{
    for (size_t i = 0; i < 2 && act->requests[i]; i++) {
        int r = act->requests[i](cli->sp, name);
        if (r != 0)
            return cli_fail_call(cli, r, "%s unit %s", act->word, name);
    }
    if (cli->format == CLI_NAME)
        print_line("%s", name);
    return cli->format == CLI_JSON || cli->format == CLI_JSONL ? add_unit(cli, name, list) : CLI_OK;
}

/* `now` NULL: there is no option --now. Goes on after a failure; the first one is the exit code. */
static int run_act(struct cli *cli, int argc, char **argv, const struct act *act,
                   const struct act *now)
{
    int c;
    while ((c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        act = now;
    }
    if (optind == argc)
        return cli_fail_usage(cli, "which unit?");
    int code = check_names(cli, argc - optind, argv + optind);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    bool is_json = cli->format == CLI_JSON || cli->format == CLI_JSONL;
    struct print_list list;
    if (is_json)
        print_list_begin(&list, cli, &unit_rows);
    for (int i = optind; i < argc; i++) {
        int failed = act_on(cli, act, argv[i], &list);
        code = code ? code : failed;
    }
    if (is_json)
        print_list_end(&list);
    return code;
}

static int run_start(struct cli *cli, int argc, char **argv)
{
    return run_act(cli, argc, argv, &act_start, NULL);
}

static int run_stop(struct cli *cli, int argc, char **argv)
{
    return run_act(cli, argc, argv, &act_stop, NULL);
}

static int run_restart(struct cli *cli, int argc, char **argv)
{
    return run_act(cli, argc, argv, &act_restart, NULL);
}

static int run_enable(struct cli *cli, int argc, char **argv)
{
    return run_act(cli, argc, argv, &act_enable, &act_enable_now);
}

static int run_disable(struct cli *cli, int argc, char **argv)
{
    return run_act(cli, argc, argv, &act_disable, &act_disable_now);
}

static const struct option now_longs[] = {{"now", no_argument, NULL, 'N'}, {0}};

const struct verb verb_start = {
    .name = "start",
    .synopsis = "NAME…",
    .summary = "start units",
    .help = "Reads the unit's file anew, and returns when its program has been compiled. Without\n"
            "effect on a unit whose VM lives.\n",
    .shorts = "",
    .run = run_start,
};

const struct verb verb_stop = {
    .name = "stop",
    .synopsis = "NAME…",
    .summary = "end the VMs of units, and do not start them again",
    .help = "Returns when they have ended. They are started again by 'start', and with the daemon\n"
            "as long as they are enabled.\n",
    .shorts = "",
    .run = run_stop,
};

const struct verb verb_restart = {
    .name = "restart",
    .synopsis = "NAME…",
    .summary = "stop units, and start them from their files as they are now",
    .help = "",
    .shorts = "",
    .run = run_restart,
};

const struct verb verb_enable = {
    .name = "enable",
    .synopsis = "[--now] NAME…",
    .summary = "have units started with the daemon",
    .help = "      --now              start them, too\n",
    .shorts = "",
    .longs = now_longs,
    .run = run_enable,
};

const struct verb verb_disable = {
    .name = "disable",
    .synopsis = "[--now] NAME…",
    .summary = "have units no longer started with the daemon",
    .help = "      --now              stop them, too; else what runs goes on\n",
    .shorts = "",
    .longs = now_longs,
    .run = run_disable,
};

/* ---- check */

struct checking {
    const char *path;
    json_t *errors;
};

static void on_error(unsigned line, const char *text, void *data)
{
    struct checking *c = data;
    if (line > 0)
        cli_say("cannot use %s:%u: %s", c->path, line, text);
    else
        cli_say("cannot use %s: %s", c->path, text);
    json_array_append_new(c->errors, json_pack("{s:o, s:o}", "line", json_of_number_or_null(line),
                                               "message", json_of_text(text)));
}

static json_t *check_file(const struct cli *cli, const char *path, bool *ret_right)
{
    struct checking c = {path, json_array()};
    int r = stillpoint_unit_check(path, on_error, &c);
    if (r < 0 && json_array_size(c.errors) == 0)
        on_error(0, stillpoint_file_error(r), &c);
    *ret_right = r == 0;
    if (r == 0 && cli->format == CLI_TABLE)
        print_line("%s: right", path);
    if (r == 0 && cli->format == CLI_NAME)
        print_line("%s", path);
    return json_pack("{s:o, s:b, s:o}", "file", json_of_text(path), "ok", r == 0, "errors",
                     c.errors);
}

static int run_check(struct cli *cli, int argc, char **argv)
{
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (optind == argc)
        return cli_fail_usage(cli, "which file?");
    json_t *files = json_array();
    int code = CLI_OK;
    for (int i = optind; i < argc; i++) {
        bool is_right;
        json_array_append_new(files, check_file(cli, argv[i], &is_right));
        code = is_right ? code : CLI_FAILED;
    }
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL)
        print_json(cli, json_incref(files));
    json_decref(files);
    return code;
}

const struct verb verb_check = {
    .name = "check",
    .synopsis = "FILE…",
    .summary = "say what is wrong with files of units, and in which line",
    .help =
        "Needs no daemon. Looks whether what a file names is on this machine, too: its program\n"
        "and its owner. Exit code 1 if something is wrong.\n",
    .shorts = "",
    .run = run_check,
};

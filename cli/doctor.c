/* About the daemon itself: doctor, version. */
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"

static const char *check_color(const char *state)
{
    return strcmp(state, "ok") == 0 ? "green" : strcmp(state, "missing") == 0 ? "red" : "yellow";
}

static void print_checks(const struct cli *cli, const struct stillpoint_checkup *checkup)
{
    static const struct print_column columns[] = {
        {"CHECK", false}, {"STATE", false}, {"DETAIL", false}, {"HINT", false}, {0}};
    struct print_table *t = print_table_new(cli, columns);
    for (size_t i = 0; i < checkup->n; i++) {
        const struct stillpoint_check *c = &checkup->checks[i];
        print_table_row(t);
        print_table_cell(t, "%s", c->name);
        print_table_cell(t, "%s", c->state);
        print_table_color(t, check_color(c->state));
        print_table_cell(t, "%s", c->detail);
        print_table_cell(t, "%s", c->hint ? c->hint : "");
    }
    print_table_end(t);
}

static int run_doctor(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_checkup checkup;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (optind < argc)
        return cli_fail_usage(cli, "it takes no argument");
    int code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_doctor(cli->sp, &checkup);
    if (r != 0)
        return cli_fail_call(cli, r, "examine the daemon");
    if (cli->format == CLI_TABLE)
        print_checks(cli, &checkup);
    else if (cli->format == CLI_NAME)
        for (size_t i = 0; i < checkup.n; i++)
            print_line("%s", checkup.checks[i].name);
    else
        print_json(cli, json_of_checkup(&checkup));
    code = checkup.ok ? CLI_OK : CLI_FAILED;
    stillpoint_checkup_free(&checkup);
    return code;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .synopsis = "",
    .summary = "what this machine gives the daemon, and what it lacks",
    .help = "Exit code 1: something that is needed is missing.\n",
    .shorts = "",
    .run = run_doctor,
};

/* ---- version: works without a daemon, unless one was asked for */

static int run_version(struct cli *cli, int argc, char **argv)
{
    char path[128];
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (optind < argc)
        return cli_fail_usage(cli, "it takes no argument");
    bool wanted = cli->socket || cli->private_daemon;
    if (wanted || stillpoint_default_socket(path, sizeof path) == 0) {
        int code = cli_connect(cli);
        if (code != 0 && wanted)
            return code;
    }
    const char *daemon = cli->sp ? stillpoint_peer(cli->sp)->daemon : NULL;
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL)
        print_json(cli, json_pack("{s:s, s:o}", "client", "stillctl " STILLPOINT_VERSION, "daemon",
                                  json_of_text(daemon)));
    else
        print_line("stillctl %s%s%s", STILLPOINT_VERSION, daemon ? ", " : "", daemon ? daemon : "");
    return CLI_OK;
}

const struct verb verb_version = {
    .name = "version",
    .synopsis = "",
    .summary = "the versions of stillctl and of the daemon",
    .help = "",
    .shorts = "",
    .run = run_version,
};

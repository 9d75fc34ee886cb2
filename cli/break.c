/* break add, list, rm. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/debugger.h"
#include "cli/hook.h"
#include "cli/options.h"
#include "cli/parse.h"

static int parse_number(const struct cli *cli, const char *option, uint64_t *ret)
{
    if (parse_u64(optarg, ret))
        return 0;
    return cli_fail_usage(cli, "%s: '%s' is not a number", option, optarg);
}

static int take_option(struct cli *cli, int c, struct stillpoint_interest *i)
{
    switch (c) {
    case 'i':
        i->filter.condition = optarg;
        return 0;
    case 'S':
        return hook_parse_suspend(cli, optarg, &i->suspend);
    case 'l':
        i->log = optarg;
        return 0;
    case 'k':
        return parse_number(cli, "--skip", &i->filter.skip);
    case 'n':
        return parse_number(cli, "--count", &i->filter.count);
    case 'N':
        i->note = optarg;
        return 0;
    case 'W':
        return options_name(cli, "--world", optarg, &i->world);
    case 'w':
        return options_duration(cli, "--wait", optarg, 0, &i->wait_us);
    case 'd':
        return options_duration(cli, "--deadline", optarg, 1, &i->deadline_us);
    case 'D':
        return options_debugger(cli, "--debugger", optarg, &i->debugger);
    default:
        return OPTIONS_DONE;
    }
}

static int add(struct cli *cli, const struct stillpoint_interest *i)
{
    struct stillpoint_hooks hooks;
    int r = stillpoint_hook_add(cli->sp, i, &hooks);
    if (r != 0 && i->at->has_offset)
        return cli_fail_call(cli, r, "break at %s:0x%" PRIx64, i->at->url, i->at->offset);
    if (r != 0)
        return cli_fail_call(cli, r, "break at %s:%" PRIu32, i->at->url, i->at->line);
    hook_print_added(cli, &hooks);
    stillpoint_hooks_free(&hooks);
    return CLI_OK;
}

static int run_add(struct cli *cli, int argc, char **argv)
{
    static const enum stillpoint_hook_kind breakpoint[] = {STILLPOINT_HOOK_BREAKPOINT};
    struct stillpoint_position at;
    struct stillpoint_interest i = {.kinds = breakpoint, .n_kinds = 1, .at = &at};
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1)
        code = c == OPTIONS_DONE ? c : take_option(cli, c, &i);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    int words = argc - optind;
    if (code == 0 && (words < 1 || words > 2 || (words == 1 && !i.world)))
        code = cli_fail_usage(cli, "it takes a VM and FILE:LINE");
    if (code == 0)
        code = hook_place(cli, words == 2 ? argv[optind] : NULL, &i);
    if (code == 0 && !parse_position(argv[argc - 1], &at))
        code = cli_fail_usage(cli, "'%s' is no place like FILE:LINE", argv[argc - 1]);
    if (code == 0 && i.log && i.suspend != 0 && i.suspend != STILLPOINT_SUSPEND_NONE)
        code = cli_fail_usage(cli, "--log stops nothing: --stop does not go with it");
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use_or_make(cli, i.debugger);
    return code != 0 ? code : add(cli, &i);
}

const struct verb verb_break_add = {
    .name = "break add",
    .synopsis = "VM FILE:LINE[:COLUMN] [OPTION…]",
    .summary = "set a breakpoint",
    .help =
        "VM is a name or an id; a glob is all that match, later ones too. FILE is the URL of a\n"
        "source, its end after a '/', or a glob. FILE:0xOFFSET is a place in WebAssembly. A\n"
        "breakpoint in a source that is not loaded waits for it; at a line without code it is at\n"
        "the next line that has some.\n\n"
        "      --if EXPR          only where this holds in the frame\n"
        "      --stop WHAT        the world (the default), vm: this VM alone, or none\n"
        "      --log TEXT         stop nothing; record TEXT, in which {EXPR} is replaced\n"
        "      --skip N           not the first N hits\n"
        "      --count N          no more than N hits\n"
        "      --note TEXT        what it is for\n"
        "      --world W          with a glob: only in this world; without VM: all of it\n"
        "      --debugger NAME    on behalf of this debugger, made if there is none (cli:UID)\n"
        "      --wait DURATION    for other stops to end first (10s)\n"
        "      --deadline DURATION  for the stop in which it is set (200ms)\n",
    .shorts = "",
    .longs = (const struct option[]){{"if", required_argument, NULL, 'i'},
                                     {"stop", required_argument, NULL, 'S'},
                                     {"log", required_argument, NULL, 'l'},
                                     {"skip", required_argument, NULL, 'k'},
                                     {"count", required_argument, NULL, 'n'},
                                     {"note", required_argument, NULL, 'N'},
                                     {"world", required_argument, NULL, 'W'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {"wait", required_argument, NULL, 'w'},
                                     {"deadline", required_argument, NULL, 'd'},
                                     {0}},
    .run = run_add,
};

/* ---- list, rm */

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_hook_query query = {0};
    struct stillpoint_hooks hooks;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = options_debugger(cli, "--debugger", optarg, &query.debugger);
    }
    if (code == 0 && argc - optind > 1)
        code = cli_fail_usage(cli, "it takes one VM");
    if (code == 0 && optind < argc && !parse_is_vm(argv[optind]))
        code = cli_fail_usage(cli, "'%s' is no name or id of a VM", argv[optind]);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    query.vm = optind < argc ? argv[optind] : NULL;
    int r = stillpoint_hook_list(cli->sp, &query, &hooks);
    if (r != 0)
        return cli_fail_call(cli, r, "list breakpoints");
    hook_print_list(cli, &hooks, STILLPOINT_HOOK_BREAKPOINT);
    stillpoint_hooks_free(&hooks);
    return CLI_OK;
}

const struct verb verb_break_list = {
    .name = "break list",
    .synopsis = "[VM] [--debugger NAME]",
    .summary = "the breakpoints",
    .help = "      --debugger NAME    only those of this debugger\n",
    .shorts = "",
    .longs = (const struct option[]){{"debugger", required_argument, NULL, 'D'}, {0}},
    .run = run_list,
};

static int run_rm(struct cli *cli, int argc, char **argv)
{
    return hook_run_remove(cli, argc, argv, STILLPOINT_HOOK_BREAKPOINT);
}

const struct verb verb_break_rm = {
    .name = "break rm",
    .synopsis = "HOOK…|--all [--debugger NAME]",
    .summary = "remove breakpoints",
    .help = "      --all              all of the debugger\n"
            "      --debugger NAME    whose they are (cli:UID)\n",
    .shorts = "",
    .longs = (const struct option[]){{"all", no_argument, NULL, 'a'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_rm,
};

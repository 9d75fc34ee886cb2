/* Who controls a world, and the VM that is talked about: world target, take, handover; continue. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/debugger.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"
#include "cli/select.h"
#include "cli/world.h"

/* Prints and frees the one world that a request was answered with. */
static int end_with_world(const struct cli *cli, struct stillpoint_worlds *worlds)
{
    const struct stillpoint_world *w = &worlds->items[0];
    struct print_text line = {0};
    print_add(&line, "%s: %s", w->name, stillpoint_world_mode_text(w->mode));
    if (w->has_controller)
        print_add(&line, ", controlled by %s (policy %s, until %s)", w->controller.debugger,
                  w->controller.policy, print_time(w->controller.expires_us));
    if (w->target != 0)
        print_add(&line, ", target %" PRIu64, w->target);
    if (cli->format == CLI_TABLE)
        print_line("%s", line.text);
    else if (cli->format == CLI_NAME)
        print_line("%s", w->name);
    else
        print_json(cli, json_of_world(w));
    stillpoint_worlds_free(worlds);
    return CLI_OK;
}

/* ---- world target */

static int run_target(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_worlds worlds;
    char vm[STILLPOINT_NAME_BYTES + 1];
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (argc - optind != 1)
        return cli_fail_usage(cli, "it takes one VM");
    int code = cli_connect(cli);
    if (code == 0)
        code = select_vm(cli, argv[optind], false, vm);
    if (code != 0)
        return code;
    int r = stillpoint_world_target(cli->sp, vm, &worlds);
    if (r != 0)
        return cli_fail_call(cli, r, "make %s the target", argv[optind]);
    return end_with_world(cli, &worlds);
}

const struct verb verb_world_target = {
    .name = "world target",
    .synopsis = "VM",
    .summary = "make a VM the one that its world's debugger talks about",
    .help = "It moves no gate: what is stopped stays stopped.\n",
    .shorts = "",
    .run = run_target,
};

/* ---- world take, handover */

static int run_take(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_lease lease = {0};
    struct stillpoint_worlds worlds;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'S')
            lease.steal = true;
        else if (c == 'D')
            code = options_debugger(cli, "--debugger", optarg, &lease.debugger);
        else
            code = options_duration(cli, "--hold", optarg, 1, &lease.hold_us);
    }
    if (code == 0)
        code = world_argument(cli, argc, argv, &lease.world);
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, lease.debugger);
    if (code != 0)
        return code;
    int r = stillpoint_lease_take(cli->sp, &lease, &worlds);
    if (r != 0)
        return cli_fail_call(cli, r, "take world %s", lease.world);
    return end_with_world(cli, &worlds);
}

const struct verb verb_world_take = {
    .name = "world take",
    .synopsis = "[WORLD] [--steal] [--debugger NAME] [--hold DURATION]",
    .summary = "become the controller of a world that has one",
    .help = "      --steal            though another debugger of yours has it open (as admin:\n"
            "                         anybody's)\n"
            "      --debugger NAME    who takes it (cli:UID)\n"
            "      --hold DURATION    the world resumes by itself after this long (1h)\n",
    .shorts = "",
    .longs = (const struct option[]){{"steal", no_argument, NULL, 'S'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {"hold", required_argument, NULL, 'H'},
                                     {0}},
    .run = run_take,
};

static int run_handover(struct cli *cli, int argc, char **argv)
{
    const char *world = WORLD_DEFAULT;
    struct stillpoint_worlds worlds;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (argc - optind < 1)
        return cli_fail_usage(cli, "to which debugger?");
    const char *to = argv[argc - 1];
    int code = world_argument(cli, argc - 1, argv, &world);
    if (code == 0 && !parse_is_debugger(to))
        code = cli_fail_usage(cli, "'%s' is no name or id of a debugger", to);
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_lease_hand_over(cli->sp, world, to, &worlds);
    if (r != 0)
        return cli_fail_call(cli, r, "hand world %s over to %s", world, to);
    return end_with_world(cli, &worlds);
}

const struct verb verb_world_handover = {
    .name = "world handover",
    .synopsis = "[WORLD] DEBUGGER",
    .summary = "make another debugger the controller of a world",
    .help = "DEBUGGER is the name or id of one that exists. What is stopped stays stopped.\n",
    .shorts = "",
    .run = run_handover,
};

/* ---- continue */

static int parse_on_exit(const struct cli *cli, const char *word, enum stillpoint_runner_exit *ret)
{
    if (strcmp(word, "stop") == 0)
        *ret = STILLPOINT_RUNNER_EXIT_STOP;
    else if (strcmp(word, "resume") == 0)
        *ret = STILLPOINT_RUNNER_EXIT_RESUME;
    else
        return cli_fail_usage(cli, "--on-exit cannot be '%s': stop or resume", word);
    return 0;
}

/* How the VM goes on from the pause in which it is. */
static int take_answer(const struct cli *cli, int c, struct stillpoint_continue *what)
{
    if (what->answer != 0)
        return cli_fail_usage(cli, "one of --return, --throw and --terminate");
    what->answer = c == 'r'   ? STILLPOINT_ANSWER_RETURN
                   : c == 't' ? STILLPOINT_ANSWER_THROW
                              : STILLPOINT_ANSWER_TERMINATE;
    what->answer_expression = c == 'T' ? NULL : optarg;
    return 0;
}

/* Also judges the arguments. 0, OPTIONS_DONE or an exit code. */
static int parse_continue(struct cli *cli, int argc, char **argv, struct stillpoint_continue *what,
                          const char **debugger)
{
    const char *alone = NULL; /* an option that needs --only */
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'o' + OPTIONS_OWN:
            what->only = true;
            break;
        case 'u':
            what->until_still = true;
            alone = "--until-still";
            break;
        case 'e':
            code = parse_on_exit(cli, optarg, &what->on_exit);
            alone = "--on-exit";
            break;
        case 'd':
            code = options_duration(cli, "--deadline", optarg, 1, &what->deadline_us);
            alone = "--deadline";
            break;
        case 'D':
            code = options_debugger(cli, "--debugger", optarg, debugger);
            break;
        case 'r':
        case 't':
        case 'T':
            code = take_answer(cli, c, what);
            break;
        default:
            return OPTIONS_DONE;
        }
    }
    if (code == 0 && alone && !what->only)
        code = cli_fail_usage(cli, "%s needs --only", alone);
    if (code == 0 && argc - optind != 1)
        code = cli_fail_usage(cli, "it takes one VM");
    return code;
}

static void print_continuation(const struct cli *cli, const struct stillpoint_vm *vm,
                               const struct stillpoint_continuation *c)
{
    if (cli->format == CLI_TABLE)
        print_line("%s (%" PRIu64 "): %s; world %s: %s", vm->name, vm->id, c->reason, c->world.name,
                   stillpoint_world_mode_text(c->world.mode));
    else if (cli->format == CLI_NAME)
        print_line("%s", vm->name);
    else
        print_json(cli, json_of_continuation(vm, c));
}

static int go_on(struct cli *cli, struct stillpoint_continue *what, const struct stillpoint_vm *vm)
{
    struct stillpoint_continuation c;
    char id[24];
    what->vm = selection_id(vm, id);
    int r = stillpoint_vm_continue(cli->sp, what, &c);
    if (r != 0)
        return cli_fail_call(cli, r, "continue %s", vm->name);
    print_continuation(cli, vm, &c);
    bool late = what->until_still && strcmp(c.reason, "deadline") == 0;
    stillpoint_continuation_free(&c);
    if (!late)
        return CLI_OK;
    return cli_fail(cli, CLI_TIMED_OUT, "run %s until it is still: its deadline ran out", vm->name);
}

static int run_continue(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_continue what = {0};
    char vm[STILLPOINT_NAME_BYTES + 1];
    struct stillpoint_vms vms;
    const char *debugger = NULL;
    int code = parse_continue(cli, argc, argv, &what, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, debugger);
    if (code == 0)
        code = select_vm(cli, argv[optind], false, vm);
    if (code != 0)
        return code;
    int r = stillpoint_vm_get(cli->sp, vm, &vms);
    if (r != 0)
        return cli_fail_call(cli, r, "continue %s", argv[optind]);
    code = go_on(cli, &what, &vms.items[0]);
    stillpoint_vms_free(&vms);
    return code;
}

const struct verb verb_continue = {
    .name = "continue",
    .synopsis = "VM [--only [--until-still] [--on-exit WHAT] [--deadline DURATION]] [OPTION…]",
    .summary = "let a VM of a stopped world go on, with the world or alone",
    .help = "      --only             it alone, while all others hold; else the stop ends\n"
            "      --until-still      that ends when it goes idle or blocks; wait for the end\n"
            "      --on-exit WHAT     when it ends: stop the world again (the default), or resume\n"
            "      --deadline DURATION  then stop the world again\n"
            "      --return EXPR      its innermost frame returns the value of EXPR\n"
            "      --throw EXPR       it throws it\n"
            "      --terminate        what it runs is ended\n"
            "      --debugger NAME    on behalf of this debugger (cli:UID)\n"
            "--return, --throw and --terminate are for a VM that pauses by itself: at a\n"
            "breakpoint, an exception, after a step.\n"
            "Exit code 124: with --until-still, --deadline ran out first.\n",
    .shorts = "",
    .longs = (const struct option[]){{"only", no_argument, NULL, 'o' + OPTIONS_OWN},
                                     {"until-still", no_argument, NULL, 'u'},
                                     {"on-exit", required_argument, NULL, 'e'},
                                     {"deadline", required_argument, NULL, 'd'},
                                     {"return", required_argument, NULL, 'r'},
                                     {"throw", required_argument, NULL, 't'},
                                     {"terminate", no_argument, NULL, 'T'},
                                     {"debugger", required_argument, NULL, 'D'},
                                     {0}},
    .run = run_continue,
};

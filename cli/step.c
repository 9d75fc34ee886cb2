/* step, next, finish, until: one VM of a stopped world a little further. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/show.h"
#include "cli/step.h"
#include "cli/target.h"

void step_print(const struct cli *cli, const struct stillpoint_vm *vm,
                const struct stillpoint_stepped *s)
{
    char id[24];
    if (cli->format == CLI_NAME) {
        print_line("%s", vm->name);
        return;
    }
    if (cli->format != CLI_TABLE) {
        print_json(cli, json_of_step(vm, s));
        return;
    }
    struct print_text text = {0};
    if (s->frame) {
        print_add(&text, " at ");
        show_add_frame_place(&text, s->frame);
    }
    if (!s->frame && strcmp(s->reason, "idle") == 0)
        print_add(&text, ": it is in no frame, but waits for something to do");
    print_line("%s (%" PRIu64 "): %s%s", vm->name, vm->id, s->reason, text.text);
    snprintf(id, sizeof id, "%" PRIu64, vm->id);
    if (s->frame)
        show_frame_line(cli, id, s->frame);
}

int step_parse_granularity(const struct cli *cli, const char *word,
                           enum stillpoint_granularity *ret)
{
    if (strcmp(word, "statement") == 0)
        *ret = STILLPOINT_GRANULARITY_STATEMENT;
    else if (strcmp(word, "op") == 0 || strcmp(word, "operation") == 0)
        *ret = STILLPOINT_GRANULARITY_OPERATION;
    else
        return cli_fail_usage(cli, "--granularity cannot be '%s': statement or op", word);
    return 0;
}

static int parse_others(const struct cli *cli, const char *word, enum stillpoint_step_others *ret)
{
    if (strcmp(word, "hold") == 0)
        *ret = STILLPOINT_STEP_OTHERS_HOLD;
    else if (strcmp(word, "run") == 0)
        *ret = STILLPOINT_STEP_OTHERS_RUN;
    else
        return cli_fail_usage(cli, "--others cannot be '%s': hold or run", word);
    return 0;
}

/* 0, OPTIONS_DONE or an exit code. */
static int parse_step(struct cli *cli, int argc, char **argv, struct stillpoint_step *step,
                      const char **debugger)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'g':
            code = step_parse_granularity(cli, optarg, &step->granularity);
            break;
        case 'O':
            code = parse_others(cli, optarg, &step->others);
            break;
        case 'n':
            code = options_count(cli, "--count", optarg, &step->count);
            if (code == 0 && step->count == 0)
                code = cli_fail_usage(cli, "--count: 0 steps are none");
            break;
        case 't':
            code = options_duration(cli, "--timeout", optarg, 1, &step->deadline_us);
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

/* "cannot WHAT app", as the verbs are called. */
static const char *what_of(const struct stillpoint_step *step)
{
    switch (step->how) {
    case STILLPOINT_STEP_OVER:
        return "go to the next statement of";
    case STILLPOINT_STEP_OUT:
        return "finish the frame of";
    case STILLPOINT_STEP_TO:
        return "go on to that place in";
    default:
        return "step";
    }
}

static int go(struct cli *cli, struct stillpoint_step *step, const struct target *t)
{
    struct stillpoint_stepped s;
    step->vm = t->id;
    int r = stillpoint_vm_step(cli->sp, step, &s);
    if (r != 0)
        return cli_fail_call(cli, r, "%s %s", what_of(step), t->vm->name);
    step_print(cli, t->vm, &s);
    bool late = strcmp(s.reason, "deadline") == 0;
    stillpoint_stepped_free(&s);
    if (!late)
        return CLI_OK;
    return cli_fail(cli, CLI_TIMED_OUT, "%s %s: its time ran out; it is stopped where it was",
                    what_of(step), t->vm->name);
}

static int run_how(struct cli *cli, int argc, char **argv, enum stillpoint_step_how how)
{
    struct stillpoint_step step = {.how = how};
    struct stillpoint_position to;
    struct target t = {0};
    const char *debugger = NULL;
    int code = parse_step(cli, argc, argv, &step, &debugger), words = how == STILLPOINT_STEP_TO;
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind != 1 + words)
        code = cli_fail_usage(cli, words ? "it takes a VM and FILE:LINE" : "it takes one VM");
    if (code == 0 && words) {
        step.to = &to;
        if (!parse_position(argv[optind + 1], &to))
            code = cli_fail_usage(cli, "'%s' is no place like FILE:LINE", argv[optind + 1]);
    }
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0)
        code = go(cli, &step, &t);
    target_done(&t);
    return code;
}

static int run_step(struct cli *cli, int argc, char **argv)
{
    return run_how(cli, argc, argv, STILLPOINT_STEP_IN);
}

static int run_next(struct cli *cli, int argc, char **argv)
{
    return run_how(cli, argc, argv, STILLPOINT_STEP_OVER);
}

static int run_finish(struct cli *cli, int argc, char **argv)
{
    return run_how(cli, argc, argv, STILLPOINT_STEP_OUT);
}

static int run_until(struct cli *cli, int argc, char **argv)
{
    return run_how(cli, argc, argv, STILLPOINT_STEP_TO);
}

#define STEP_LONGS                                                                                 \
    {"others", required_argument, NULL, 'O'}, {"timeout", required_argument, NULL, 't'},           \
        {"debugger", required_argument, NULL, 'D'},                                                \
    {                                                                                              \
        0                                                                                          \
    }
#define STEP_HELP                                                                                  \
    "      --others WHAT      meanwhile all other VMs of the world hold (the default), or run\n"   \
    "      --timeout DURATION then stop it wherever it is, and exit with 124 (none; 10s for a\n"   \
    "                         VM that waits, and no failure)\n"                                    \
    "      --debugger NAME    on behalf of this debugger (cli:UID)\n"                              \
    "The world has to be stopped. The step also ends where a breakpoint, an exception or the\n"    \
    "end of the VM comes first, or when it goes idle or blocks; the reason says so. That of a\n"   \
    "VM which is in no frame, but waits for something to do, ends at the first statement of\n"     \
    "what it does next.\n"
#define COUNT_HELP                                                                                 \
    "      --granularity WHAT statement (the default) or op: each operation\n"                     \
    "      --count N          so many steps\n"

static const struct option count_longs[] = {{"granularity", required_argument, NULL, 'g'},
                                            {"count", required_argument, NULL, 'n'},
                                            STEP_LONGS};
static const struct option plain_longs[] = {STEP_LONGS};

const struct verb verb_step = {
    .name = "step",
    .synopsis = "VM [OPTION…]",
    .summary = "run a VM of a stopped world to its next statement, into calls",
    .help = COUNT_HELP STEP_HELP,
    .shorts = "",
    .longs = count_longs,
    .run = run_step,
};

const struct verb verb_next = {
    .name = "next",
    .synopsis = "VM [OPTION…]",
    .summary = "the same, over calls",
    .help = COUNT_HELP STEP_HELP,
    .shorts = "",
    .longs = count_longs,
    .run = run_next,
};

const struct verb verb_finish = {
    .name = "finish",
    .synopsis = "VM [OPTION…]",
    .summary = "the same, until its innermost frame returns",
    .help = STEP_HELP,
    .shorts = "",
    .longs = plain_longs,
    .run = run_finish,
};

const struct verb verb_until = {
    .name = "until",
    .synopsis = "VM FILE:LINE[:COLUMN] [OPTION…]",
    .summary = "the same, until a place is reached or its innermost frame is left",
    .help = STEP_HELP,
    .shorts = "",
    .longs = plain_longs,
    .run = run_until,
};

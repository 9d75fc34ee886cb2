/* debug: a prompt. What it does: debug_session.c; what can be typed: debug_commands.c. */
#include <stdio.h>

#include "cli/debug_commands.h"
#include "cli/debug_line.h"
#include "cli/debug_session.h"
#include "cli/options.h"

static void say_prompt(void *userdata, char *text, size_t size)
{
    const struct debug *d = userdata;
    snprintf(text, size, "(%s%s) ", d->target.vm && !d->ended ? d->target.vm->name : "no VM",
             d->stopped ? "" : ", running");
}

static char **complete(void *userdata, const char *line, size_t *ret_word)
{
    return debug_complete(userdata, line, ret_word);
}

/* From a terminal failures are only told; in a script the first one is the exit code. */
static int read_commands(struct debug *d, struct debug_line *lines)
{
    int code = CLI_OK;
    char *line;
    while (print_flush() && (line = debug_line_read(lines))) {
        if (!d->is_tty && line[0] && print_has_color(d->cli))
            print_line("%s", line);
        int r = debug_command(d, line);
        if (r == DEBUG_QUIT)
            break;
        if (code == CLI_OK && !d->is_tty)
            code = r;
        if ((r = debug_catch_up(d)) != CLI_OK)
            return r;
    }
    return code;
}

static int talk(struct debug *d)
{
    const struct debug_line_source source = {.signal_fd = d->signal_fd,
                                             .sp = d->cli->sp,
                                             .prompt = say_prompt,
                                             .complete = complete,
                                             .userdata = d};
    struct debug_line *lines = debug_line_new(&source);
    if (!lines)
        return cli_fail(d->cli, CLI_FAILED, "start: out of memory");
    d->is_tty = debug_line_is_tty(lines);
    if (d->is_tty)
        print_line("world %s is stopped, and goes on with 'continue' or 'quit'; 'help' says what "
                   "else there is",
                   d->world);
    int code = debug_show_place(d);
    if (code == 0)
        code = read_commands(d, lines);
    debug_line_free(lines);
    return code;
}

static int run_debug(struct cli *cli, int argc, char **argv)
{
    struct debug d = {.cli = cli, .signal_fd = -1};
    const char *debugger = NULL;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = options_debugger(cli, "--debugger", optarg, &debugger);
    }
    if (code == 0 && argc - optind != 1)
        code = cli_fail_usage(cli, "it takes one VM");
    if (code == 0 && cli->format != CLI_TABLE)
        code = cli_fail_usage(cli, "it is for people: -o does not go with it");
    if (code == 0)
        code = target_find(cli, argv[optind], NULL, &d.target);
    if (code == 0) {
        code = debug_begin(&d, debugger);
        if (code == 0)
            code = talk(&d);
        debug_end(&d);
    }
    target_done(&d.target);
    return code;
}

const struct verb verb_debug = {
    .name = "debug",
    .synopsis = "VM [--debugger NAME]",
    .summary = "stop a VM's world and look around, at a prompt",
    .help =
        "      --debugger NAME    act for this debugger, made if there is none; else for one\n"
        "                         that ends with the prompt\n"
        "'help' at the prompt says what can be typed. Ctrl-C stops the world; when the prompt\n"
        "ends, the world goes on. Commands may come from a pipe: the exit code is then that of\n"
        "the first that failed.\n",
    .shorts = "",
    .longs = (const struct option[]){{"debugger", required_argument, NULL, 'D'}, {0}},
    .run = run_debug,
};

/* stillctl: the command line of stillpointd. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/print.h"
#include "cli/verb.h"

/* No file that is opened later may become one of the standard streams. */
static bool open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
    int words;
    char seconds[128];
    if (argc == 0)
        return cli_fail_usage(cli, "no verb");
    const struct verb *verb = verb_find(argc, argv, &words);
    verb_second_words(argv[0], seconds, sizeof seconds);
    if (!verb && seconds[0] && argc > 1 &&
        (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        verb_help_print_group(argv[0]);
        return CLI_OK;
    }
    if (!verb && seconds[0])
        return cli_fail_usage(cli, "%s %s: it is %s", argv[0],
                              argc > 1 ? argv[1] : "without a verb", seconds);
    if (!verb)
        return cli_fail_usage(cli, "no such verb: %s", argv[0]);
    cli->verb = verb;
    return verb->run(cli, argc - (words - 1), argv + (words - 1));
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    setlocale(LC_CTYPE, "");
    /* A reader that went away is found where we write, and there it is no error. */
    signal(SIGPIPE, SIG_IGN);
    if (!open_standard_streams())
        return CLI_FAILED;
    int code = options_global(&cli, argc, argv) != 0 ? cli.exit_code
                                                     : run_verb(&cli, argc - optind, argv + optind);
    if (cli.wants_help)
        verb_help_print(cli.verb);
    cli_done(&cli);
    options_done(&cli);
    return print_end(&cli, code);
}

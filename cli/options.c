#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/parse.h"

enum {
    GLOBAL_PRIVATE = 1, /* below every letter and OPTIONS_OWN */
    GLOBAL_DEGRADED,
    GLOBAL_NO_LEGEND,
    GLOBAL_COLOR,
    GLOBAL_VERSION,
};

static const char global_shorts[] = ":s:o:h";
static const struct option global_longs[] = {
    {"socket", required_argument, NULL, 's'},
    {"private", no_argument, NULL, GLOBAL_PRIVATE},
    {"allow-degraded", no_argument, NULL, GLOBAL_DEGRADED},
    {"output", required_argument, NULL, 'o'},
    {"no-legend", no_argument, NULL, GLOBAL_NO_LEGEND},
    {"color", required_argument, NULL, GLOBAL_COLOR},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, GLOBAL_VERSION},
};
#define N_GLOBAL (sizeof global_longs / sizeof *global_longs)

static int done(struct cli *cli, int exit_code)
{
    cli->exit_code = exit_code;
    return OPTIONS_DONE;
}

static int choose(struct cli *cli, const char *option, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(optarg, words[i]) == 0)
            return (int)i;
    return done(cli, cli_fail_usage(cli, "%s cannot be '%s'", option, optarg));
}

static int take_format(struct cli *cli)
{
    static const char *const words[] = {
        [CLI_TABLE] = "table", [CLI_JSON] = "json", [CLI_JSONL] = "jsonl", [CLI_NAME] = "name"};
    int i = choose(cli, "-o", words, sizeof words / sizeof *words);
    if (i < 0)
        return i;
    cli->format = (enum cli_format)i;
    return 0;
}

static int take_color(struct cli *cli)
{
    static const char *const words[] = {
        [CLI_COLOR_AUTO] = "auto", [CLI_COLOR_ALWAYS] = "always", [CLI_COLOR_NEVER] = "never"};
    int i = choose(cli, "--color", words, sizeof words / sizeof *words);
    if (i < 0)
        return i;
    cli->color = (enum cli_color)i;
    return 0;
}

static int tell_bad(struct cli *cli, int c, char **argv)
{
    /* getopt leaves optopt 0 for an unknown long option, and its value for a known one. */
    const char *word = argv[optind - 1];
    if (c == ':')
        return done(cli, cli_fail_usage(cli, "option %s needs a value", word));
    if (optopt > 0 && optopt < 0x80 && strncmp(word, "--", 2) != 0)
        return done(cli, cli_fail_usage(cli, "unknown option -%c", optopt));
    return done(
        cli, cli_fail_usage(cli, optopt ? "option %s takes no value" : "unknown option %s", word));
}

/* getopt takes the beginning of a long option for the whole: what is no option of this verb would
 * be another one, and a script would mean something else once there are more. */
static int refuse_beginning(struct cli *cli, char **argv, const char *name)
{
    /* Its value may be a word of its own. */
    const char *word = argv[optind - (optarg == argv[optind - 1] ? 2 : 1)];
    size_t n = strcspn(word, "=");
    if (n == 2 + strlen(name))
        return 0;
    return done(cli,
                cli_fail_usage(cli, "unknown option %.*s; is --%s meant?", (int)n, word, name));
}

/* 0: it was a global option; OPTIONS_DONE; or `c`. */
static int take_global(struct cli *cli, int c, char **argv)
{
    switch (c) {
    case 's':
        cli->socket = optarg;
        return 0;
    case 'o':
        return take_format(cli);
    case 'h':
        cli->wants_help = true;
        return done(cli, CLI_OK);
    case GLOBAL_PRIVATE:
        cli->private_daemon = true;
        return 0;
    case GLOBAL_DEGRADED:
        cli->allow_degraded = true;
        return 0;
    case GLOBAL_NO_LEGEND:
        cli->no_legend = true;
        return 0;
    case GLOBAL_COLOR:
        return take_color(cli);
    case GLOBAL_VERSION:
        puts("stillctl " STILLPOINT_VERSION);
        return done(cli, CLI_OK);
    case ':':
    case '?':
        return tell_bad(cli, c, argv);
    default:
        return c;
    }
}

static int next(struct cli *cli, int argc, char **argv)
{
    for (;;) {
        int index = -1, c = getopt_long(argc, argv, cli->shorts, cli->longs, &index);
        if (c == -1 && cli->private_daemon && cli->socket)
            return done(cli, cli_fail_usage(cli, "-s and --private exclude each other"));
        if (c == -1)
            return -1;
        if (index >= 0 && refuse_beginning(cli, argv, cli->longs[index].name) != 0)
            return OPTIONS_DONE;
        c = take_global(cli, c, argv);
        if (c != 0)
            return c;
    }
}

/* Joins the options of a verb with the global ones and starts getopt anew. */
static int begin(struct cli *cli, const char *shorts, const struct option *longs)
{
    size_t n = 0;
    while (longs && longs[n].name)
        n++;
    options_done(cli);
    bool in_order = shorts[0] == '+';
    cli->longs = calloc(N_GLOBAL + n + 1, sizeof *cli->longs);
    if (!cli->longs || asprintf(&cli->shorts, "%s%s%s", in_order ? "+" : "", global_shorts,
                                shorts + in_order) < 0) {
        cli->shorts = NULL;
        return done(cli, cli_fail(cli, CLI_FAILED, "start: out of memory"));
    }
    memcpy(cli->longs, global_longs, sizeof global_longs);
    if (n > 0)
        memcpy(cli->longs + N_GLOBAL, longs, n * sizeof *longs);
    optind = 0; /* glibc: start anew */
    opterr = 0;
    return 0;
}

int options_global(struct cli *cli, int argc, char **argv)
{
    int r = begin(cli, "+", NULL);
    if (r == 0)
        r = next(cli, argc, argv);
    options_done(cli);
    return r == -1 ? 0 : r;
}

int options_next(struct cli *cli, int argc, char **argv)
{
    if (!cli->longs && begin(cli, cli->verb->shorts, cli->verb->longs) != 0)
        return OPTIONS_DONE;
    return next(cli, argc, argv);
}

int options_all(struct cli *cli, int argc, char **argv)
{
    int c = options_next(cli, argc, argv);
    return c == -1 ? 0 : c;
}

void options_done(struct cli *cli)
{
    free(cli->longs);
    free(cli->shorts);
    cli->longs = NULL;
    cli->shorts = NULL;
}

int options_duration(const struct cli *cli, const char *option, const char *text, uint64_t min_us,
                     uint64_t *ret_us)
{
    uint64_t us;
    if (!parse_duration(text, &us))
        return cli_fail_usage(cli, "%s: '%s' is not a duration like 200ms, 10s, 5m or 1h", option,
                              text);
    if (us < min_us)
        return cli_fail_usage(cli, "%s: '%s' is too short", option, text);
    *ret_us = us;
    return 0;
}

int options_count(const struct cli *cli, const char *option, const char *text, uint32_t *ret)
{
    uint64_t n;
    if (!parse_u64(text, &n) || n > UINT32_MAX)
        return cli_fail_usage(cli, "%s: '%s' is not a number", option, text);
    *ret = (uint32_t)n;
    return 0;
}

int options_name(const struct cli *cli, const char *option, const char *text, const char **ret)
{
    if (!stillpoint_is_name(text))
        return cli_fail_usage(cli, "%s: '%s' is no name", option, text);
    *ret = text;
    return 0;
}

int options_debugger(const struct cli *cli, const char *option, const char *text, const char **ret)
{
    if (!parse_is_debugger(text))
        return cli_fail_usage(cli, "%s: '%s' is no name or id of a debugger", option, text);
    *ret = text;
    return 0;
}

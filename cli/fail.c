#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verb.h"

/* Texts in errors come from the daemon, and some of them from guests: nothing in them may move the
 * cursor or start a second line. C1 controls are two bytes in UTF-8, the first of them 0xc2. */
static void put_line(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '\n' || *p == '\t' || *p == '\r')
            putc(' ', stderr);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(stderr, "\\x%02x", *p);
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            fprintf(stderr, "\\x%02x", *++p);
        else
            putc(*p, stderr);
    }
}

static void say(const char *format, va_list ap)
{
    char *text;
    if (vasprintf(&text, format, ap) < 0)
        return;
    /* What was printed before belongs before the error where both go to one place. */
    fflush(stdout);
    fputs("stillctl: ", stderr);
    put_line(text);
    putc('\n', stderr);
    free(text);
}

void cli_say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
}

static enum cli_exit exit_here(const struct cli *cli, enum cli_exit code)
{
    bool own = code == CLI_USAGE || code == CLI_TIMED_OUT;
    return cli->attached && !own ? CLI_OURS : code;
}

static char *format_text(const char *format, va_list ap)
{
    char *text;
    return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

int cli_fail(const struct cli *cli, enum cli_exit code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = format_text(format, ap);
    va_end(ap);
    cli_say("cannot %s", text ? text : "go on: out of memory");
    free(text);
    return exit_here(cli, code);
}

int cli_fail_usage(const struct cli *cli, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = format_text(format, ap);
    va_end(ap);
    if (cli->verb)
        cli_say("cannot %s: %s (see 'stillctl help %s')", cli->verb->name, text ? text : "",
                cli->verb->name);
    else
        cli_say("cannot start: %s (see 'stillctl help')", text ? text : "");
    free(text);
    return CLI_USAGE;
}

enum cli_exit cli_exit_of(enum stillpoint_error_code code)
{
    switch (code) {
    case STILLPOINT_ERROR_INVALID_ARGUMENT:
        return CLI_USAGE;
    case STILLPOINT_ERROR_NOT_FOUND:
    case STILLPOINT_ERROR_WRONG_STATE:
        return CLI_NO_OBJECT;
    case STILLPOINT_ERROR_PERMISSION_DENIED:
        return CLI_DENIED;
    case STILLPOINT_ERROR_TIMED_OUT:
        return CLI_TIMED_OUT;
    default:
        return CLI_FAILED;
    }
}

static const char *reason_of(int r)
{
    switch (-r) {
    case ECONNRESET:
    case EPIPE:
        return "the daemon closed the connection";
    case EPROTO:
        return "the daemon's answer makes no sense";
    case EMSGSIZE:
        return "larger than one request can be";
    default:
        return strerror(-r);
    }
}

/* Which failures mean that there is no daemon to talk to. */
static enum cli_exit exit_of_errno(int r)
{
    switch (-r) {
    case EACCES:
    case EPERM:
        return CLI_DENIED;
    case EMSGSIZE:
    case ENOMEM:
        return CLI_FAILED;
    default:
        return CLI_UNREACHABLE;
    }
}

int cli_fail_call(const struct cli *cli, int r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *what = format_text(format, ap);
    va_end(ap);
    const char *text = what ? what : "do that";
    int code;
    if (r == STILLPOINT_REFUSED) {
        const struct stillpoint_error *e = stillpoint_error(cli->sp);
        code = cli_fail(cli, cli_exit_of(e->code), e->hint ? "%s: %s (%s)" : "%s: %s", text,
                        e->message, e->hint);
    } else {
        code = cli_fail(cli, exit_of_errno(r), "%s: %s", text, reason_of(r));
    }
    free(what);
    return code;
}

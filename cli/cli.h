/*
 * cli.h: one call of stillctl: its global options and its connection, and how it fails. Everything
 * runs in one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/stillpoint.h"

struct option;
struct verb;

/** Exit codes: a contract (stillctl(1)). */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NO_OBJECT = 3, /**< or not in a state in which this can be done */
    CLI_DENIED = 4,
    CLI_UNREACHABLE = 5,
    CLI_PARTIAL = 6,
    CLI_TIMED_OUT = 124,
    CLI_OURS = 125, /**< attached run: a failure that is not the program's */
};

enum cli_format { CLI_TABLE, CLI_JSON, CLI_JSONL, CLI_NAME };
enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER };

/** A stillpointd of this call's own. */
struct private_daemon {
    pid_t pid; /**< 0: none */
    int pidfd;
};

struct cli {
    const char *socket; /**< -s, NULL: the default one */
    bool private_daemon, allow_degraded, no_legend;
    enum cli_format format;
    enum cli_color color;

    const struct verb *verb;
    struct option *longs; /**< of the verb, with the global ones; see options.h */
    char *shorts;
    int exit_code;   /**< where options_next() says that all is done */
    bool wants_help; /**< --help: all that is left to do is to print it */
    bool attached;   /**< an attached run: failures of ours are CLI_OURS */

    struct stillpoint *sp; /**< NULL: not connected */
    struct private_daemon daemon;
};

/** Connects as the global options say. Returns 0, or the exit code of a failure that it has told.
 */
int cli_connect(struct cli *cli);
/** Whether it may ask for more than one thing: the daemon hears nothing after the first refusal of
 * somebody who may do nothing. */
bool cli_may_look(const struct cli *cli);
/** After a call that failed with `r`: whether that was the end of the daemon, and another one,
 * which may have taken over from it, serves us now. */
bool cli_reconnect(struct cli *cli, int r);
/** Waits until something arrives, and dispatches it: 0, the errno with which the connection ended,
 * or CLI_READER_GONE: nobody reads our output any more. For those who wait without end. */
int cli_wait(struct cli *cli);
#define CLI_READER_GONE 2
/** SIGINT and SIGTERM come by the signalfd that this returns, which does not block; or negative
 * errno. */
int cli_take_signals(void);
/** Ends the connection, and the private daemon with it. */
void cli_done(struct cli *cli);

/* ---- failing: one line on stderr, "stillctl: cannot …", and an exit code to return */

/** `format` follows "cannot ". */
int cli_fail(const struct cli *cli, enum cli_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** A wrong command line: "cannot VERB: …", with a hint at its help. */
int cli_fail_usage(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** A function of libstillpoint returned `r`, not 0; `format` says what could not be done. */
int cli_fail_call(const struct cli *cli, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The exit code for an error of the daemon. */
enum cli_exit cli_exit_of(enum stillpoint_error_code code);
/** "stillctl: …" on stderr, with control characters made harmless. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

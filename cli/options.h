/*
 * options.h: a verb's options together with the global ones, and arguments that are numbers with
 * units.
 */
#pragma once

#include "cli/verb.h"

/** What options_next() returns where the call is over, with cli->exit_code. */
#define OPTIONS_DONE (-2)
/** Verbs number their long-only options from here. */
#define OPTIONS_OWN 0x100

/** Options before the verb; optind is at the verb then. Returns 0 or OPTIONS_DONE. */
int options_global(struct cli *cli, int argc, char **argv);
/**
 * The verb's next option (its argument in optarg), -1 after the last, with optind at the first
 * argument, or OPTIONS_DONE after --help or an error that was told. Global options are taken on the
 * way.
 */
int options_next(struct cli *cli, int argc, char **argv);
/** For a verb that has no options of its own. Returns 0 or OPTIONS_DONE. */
int options_all(struct cli *cli, int argc, char **argv);
void options_done(struct cli *cli);

/* Arguments of options: 0, or CLI_USAGE after having told what is wrong with `text`. */
int options_duration(const struct cli *cli, const char *option, const char *text, uint64_t min_us,
                     uint64_t *ret_us);
int options_name(const struct cli *cli, const char *option, const char *text, const char **ret);
int options_debugger(const struct cli *cli, const char *option, const char *text, const char **ret);
int options_count(const struct cli *cli, const char *option, const char *text, uint32_t *ret);

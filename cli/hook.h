/*
 * hook.h: what 'break' and 'audit' share: naming where hooks go, showing them, ending them.
 */
#pragma once

#include "cli/print.h"

/**
 * Where hooks go, into `interest`: a name or an id is that one VM; a glob selects names, within
 * `interest->world` and `engine` where they are set; word NULL is all of that world, or of all that
 * has that engine. 0, or CLI_USAGE after having told.
 */
int hook_place(const struct cli *cli, const char *word, struct stillpoint_interest *interest);
/** Numbers of hooks. 0, or CLI_USAGE after having told. */
int hook_numbers(const struct cli *cli, int n, char **words, uint64_t *ret_hooks);
/** 0, or CLI_USAGE after having told. */
int hook_parse_suspend(const struct cli *cli, const char *word, enum stillpoint_suspend *ret);
/** "hook 5: breakpoint at app.js:12:3 in main" */
void hook_print_added(const struct cli *cli, const struct stillpoint_hooks *hooks);
/** Table, names (ids) or a JSON array of hooks; kind 0: of every kind. */
void hook_print_list(const struct cli *cli, const struct stillpoint_hooks *hooks,
                     enum stillpoint_hook_kind kind);
/** All there is to know about one. */
void hook_print(const struct stillpoint_hook *hook);
/** 'break rm', 'audit rm': removes these, or all of `debugger`, and prints which they were. */
int hook_remove(struct cli *cli, const uint64_t *hooks, size_t n, const char *debugger);
/** The whole verb: HOOK… or --all, --debugger; kind 0: of every kind. */
int hook_run_remove(struct cli *cli, int argc, char **argv, enum stillpoint_hook_kind kind);

/*
 * verb.h: what stillctl can do. Each noun's file defines its verbs; verbs.c lists them.
 */
#pragma once

#include <getopt.h>

#include "cli/cli.h"

struct verb {
    const char *name;           /**< "run", "world stop" */
    const char *synopsis;       /**< what follows the name */
    const char *summary;        /**< one line for the list of verbs */
    const char *help;           /**< paragraphs for its own help: options, remarks */
    const char *shorts;         /**< as getopt's; "+" first: options end at the first argument */
    const struct option *longs; /**< ends with {0}; NULL: none */
    bool hidden;                /**< not in the list of verbs */
    /** argv[0] is the verb. Returns the exit code. */
    int (*run)(struct cli *cli, int argc, char **argv);
};

extern const struct verb verb_run, verb_list, verb_status, verb_logs, verb_kill, verb_hold,
    verb_release, verb_call, verb_send, verb_wait, verb_world_list, verb_world_status,
    verb_world_stop, verb_world_resume, verb_world_gc, verb_world_census, verb_world_bt,
    verb_world_target, verb_world_take, verb_world_handover, verb_continue, verb_debugger_list,
    verb_debugger_open, verb_debugger_close, verb_events, verb_break_add, verb_break_list,
    verb_break_rm, verb_step, verb_next, verb_finish, verb_until, verb_bt, verb_locals,
    verb_inspect, verb_eval, verb_set, verb_source, verb_memory_read, verb_memory_write, verb_debug,
    verb_audit_add, verb_audit_list, verb_audit_show, verb_audit_tail, verb_audit_rm, verb_top,
    verb_units, verb_start, verb_stop, verb_restart, verb_enable, verb_disable, verb_check,
    verb_doctor, verb_version, verb_help, verb_lldb;

/** All verbs in the order of the help; ends with NULL. */
extern const struct verb *const verbs[];

/**
 * The verb at the start of argv. Sets *ret_words to the number of arguments that its name takes.
 * NULL if there is none.
 */
const struct verb *verb_find(int argc, char **argv, int *ret_words);
/** What may follow the first word of verbs that have two: "list, status or stop"; "" if none do. */
void verb_second_words(const char *first, char *buf, size_t size);
/** The usage of one verb, or (NULL) of stillctl, on stdout. */
void verb_help_print(const struct verb *verb);
/** What there is of verbs with this first word, on stdout. */
void verb_help_print_group(const char *first);

/*
 * lockdown.h: the last layer of a worker: no more threads, and only the system calls of
 * seccomp_table.h.
 *
 * The program is built once, in the zygote (lockdown_init), owned by it, and loaded by each worker
 * into all of its threads (lockdown_apply), after the engine has started them and before any guest
 * byte is read.
 */
#pragma once

#include <linux/filter.h>
#include <stdio.h>

struct lockdown {
    struct sock_filter *filter;
    unsigned short len;
};

/** Compiles the table. Returns 0 or negative errno. */
int lockdown_init(struct lockdown *l);
void lockdown_done(struct lockdown *l);

/** Returns 0, or negative errno with nothing loaded. Needs no_new_privs. */
int lockdown_apply(const struct lockdown *l);

/** Prints one line a row: name, rule, caller. */
void lockdown_print(FILE *out);

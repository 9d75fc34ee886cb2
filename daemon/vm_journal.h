/*
 * vm_journal.h: copies of what VMs write to their consoles, for the journal: one record for each
 * line, with the VM's fields, under its own name. Bounded for each VM and for all together; what is
 * beyond is left out, counted, and the count told. A struct vm_journal is embedded in its worker
 * and owns what is left of a line that has not ended; struct vm_journals owns what all share.
 *
 * Process and thread: the daemon's only thread.
 *
 * Invariants
 *  - A VM waits for nothing here, and the daemon neither: the console log of vm_log.h has all.
 *  - Who is quiet finds room beside any number of loud ones: the last half of what all share is for
 *    those of whom nothing has been left out lately.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/config.h"
#include "daemon/record.h"

struct event_base;
struct vm_journals;

#define VM_JOURNAL_STREAMS 2

/** What may be written now; full if its owner has been quiet for long enough. */
struct vm_journal_share {
    uint64_t left, filled_ns; /**< bytes; when that was so, 0: it is full */
};

struct vm_journal {
    struct vm_journal_share share;
    struct vm_journal_line *unfinished[VM_JOURNAL_STREAMS]; /**< NULL: no line is */
    uint64_t left_out_ns;                                   /**< when something was; 0: never */
    uint64_t lines_left_out, bytes_left_out;                /**< and not told of */
    /** While there are such: who tells of them, and whose they are. */
    struct vm_journals *listed_in;
    LIST_ENTRY(vm_journal) link;
    struct record_about about;
};

/** `limits` stays the caller's, who may change it. */
struct vm_journals *vm_journals_new(struct event_base *base, const struct config_journal *limits);
/** Tells what is still to be told. */
struct vm_journals *vm_journals_free(struct vm_journals *all);

/** The VM has written; `stream` and `level` as in vm_log_add(). `j` is all zero before its first.
 */
void vm_journal_add(struct vm_journals *all, struct vm_journal *j, const struct record_about *about,
                    pid_t pid, unsigned stream, unsigned level, const char *data, size_t len);
/** It will write no more: what it has not finished is written, and what was left out told. */
void vm_journal_end(struct vm_journals *all, struct vm_journal *j, const struct record_about *about,
                    pid_t pid);
/** Frees what it has. */
void vm_journal_done(struct vm_journal *j);

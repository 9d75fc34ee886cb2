/*
 * select.h: the VMs that arguments name: a name, an id, or a glob over the names of VMs.
 */
#pragma once

#include "cli/cli.h"

struct selection {
    struct stillpoint_vms *lists; /**< what the VMs' texts live in */
    size_t n_lists;
    const struct stillpoint_vm **vms;
    size_t n;
    bool single; /**< one argument, which was no glob */
};

/**
 * The VMs that `words` name, each once, in the order of the words and then of the daemon's list;
 * `exited`: globs find exited ones too. Returns 0 or the exit code of a failure that was told (no
 * VM for a word: CLI_NO_OBJECT); end it with selection_done() in any case.
 */
int select_vms(struct cli *cli, int n_words, char **words, bool exited, struct selection *ret);
/** One VM, as text for requests: a name or id as it is, a glob if it matches exactly one. */
int select_vm(struct cli *cli, const char *word, bool exited,
              char ret_vm[STILLPOINT_NAME_BYTES + 1]);
void selection_done(struct selection *s);
typedef int (*selection_request)(struct stillpoint *sp, const char *vm, const void *data);
/**
 * Makes one request for each of the VMs that live and that `words` name, and prints which they were
 * (nothing in a table). Goes on after a failure; the first one is the exit code.
 */
int select_each(struct cli *cli, int n_words, char **words, selection_request request,
                const void *data);
/** "7", for requests: an id cannot be taken by another VM meanwhile. */
const char *selection_id(const struct stillpoint_vm *vm, char buf[24]);

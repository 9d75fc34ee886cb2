/*
 * target.h: the one VM that a verb is about, looked up once, so that what follows asks for it by
 * its id.
 */
#pragma once

#include "cli/cli.h"

struct target {
    struct stillpoint_vms vms;
    const struct stillpoint_vm *vm; /**< in `vms` */
    char id[24];
};

/**
 * Connects, opens the debugger that acts (NULL: "cli:<uid>") and finds the VM that `word` names.
 * Returns 0 or the exit code of a failure that was told; end it with target_done() in any case.
 */
int target_find(struct cli *cli, const char *word, const char *debugger, struct target *ret);
void target_done(struct target *t);

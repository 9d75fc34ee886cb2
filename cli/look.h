/*
 * look.h: what is looked at in a stopped VM, printed as the global options say. Each returns an
 * exit code, after having told what failed.
 */
#pragma once

#include "cli/target.h"

int look_stack(struct cli *cli, const struct target *t, uint32_t first, uint32_t max);
int look_locals(struct cli *cli, const struct target *t, uint32_t frame);
int look_object(struct cli *cli, const struct target *t, uint64_t ref);
/** `chosen`: in the frame or realm that `what` says; else in the innermost frame, or globally where
 * there is none. */
int look_evaluate(struct cli *cli, const struct target *t, struct stillpoint_evaluation *what,
                  bool chosen);
int look_set(struct cli *cli, const struct target *t, uint32_t frame, const char *name,
             const char *expression, uint64_t timeout_us);

/*
 * world.h: what the verbs about worlds share: the argument that names one, and what is said of VMs
 * that did not arrive.
 */
#pragma once

#include "cli/print.h"

#define WORLD_DEFAULT "default"

/** The world that the arguments from optind name: one name, or none. 0 or an exit code. */
int world_argument(const struct cli *cli, int argc, char **argv, const char **ret);
/** Says on stderr that a world is stopped, and by whom, if what is asked of `vm` (0: of a new one)
 * has to wait for its resume. Nothing if it is not, or that cannot be found out. */
void world_tell_stopped(struct cli *cli, const char *world, uint64_t vm);
bool world_is_missing(const struct stillpoint_stop_report *report, uint64_t vm);
/** Adds those that a stop misses, and where each is now: "late (7, frozen), wild (8, …". */
void world_add_missing(const struct cli *cli, const struct stillpoint_stop_report *report,
                       struct print_text *text);

/*
 * unit_links.h: what administrators have said about units being enabled, where anybody can read it:
 * in the folder `vms` of the state directory, a symbolic link NAME.conf to the unit's file if it is
 * to be started with the daemon, to /dev/null if it is not, and none where nobody has said
 * anything. Owns nothing: the folder is the state.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>

/** 1: enabled · 0: disabled · -ENOENT: nobody said · another negative errno. */
int unit_links_get(const char *state_dir, const char *name);
/** Makes the folders that are missing. 0 or negative errno; the change is whole or none. */
int unit_links_set(const char *state_dir, const char *name, const char *file, bool enabled);

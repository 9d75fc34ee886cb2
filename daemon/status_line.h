/*
 * status_line.h: what the daemon does, in a line for `systemctl status`: how many VMs there are,
 * and which worlds do not run freely. Owns nothing; in the daemon's only thread.
 */
#pragma once

#include <stddef.h>

struct registry;
struct worlds;

/** Writes a line without its end; what has no room is counted. `size` is 128 or more. */
void status_line_write(const struct registry *registry, struct worlds *worlds, char *line,
                       size_t size);

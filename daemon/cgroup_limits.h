/*
 * cgroup_limits.h: what the kernel holds a worker to through the files of its cgroup v2 directory,
 * as far as the controllers are there: memory, pids, cpu. It keeps nothing; the directories are
 * freezer's. Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vm_limits.h"

enum cgroup_controller { CGROUP_MEMORY = 1, CGROUP_PIDS = 2, CGROUP_CPU = 4 };
#define CGROUP_CONTROLLERS 3

/** Those that could be given to the children of this directory. */
unsigned cgroup_limits_available(int dir_fd);

/** What was given to the children of one directory. Starts as {-1}. */
struct cgroup_gift {
    int control_fd;       /**< opened with the rights of whoever gave */
    unsigned controllers; /**< that the children had not had before */
};

/** Gives them, as far as that is possible; returns those that the children have. */
unsigned cgroup_limits_give(int dir_fd, struct cgroup_gift *ret_gift);
/** So that the directory may have processes again. */
void cgroup_limits_take_back(struct cgroup_gift *gift);

/**
 * Writes the limits into a worker's directory, and reads them back: memory.max with no swap and the
 * whole group dying at once, pids.max, cpu.max. *ret_missing are those of `controllers` whose
 * files would not have it, *ret_error why the last of them would not.
 */
void cgroup_limits_set(int dir_fd, unsigned controllers, const struct vm_limits *limits,
                       uint32_t tasks, unsigned *ret_missing, int *ret_error);
/** Whether the kernel has killed in this directory because of its limit of memory. */
bool cgroup_limits_was_oom(int dir_fd);

/** "memory", "pids", "cpu", in the order of their bits, with ", " between them. */
void cgroup_limits_text(unsigned controllers, char *text, size_t size);

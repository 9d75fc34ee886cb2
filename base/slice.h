/*
 * slice.h: a scheduler time slice for the calling thread: a short one, so that it gets a CPU soon
 * after it was woken, or a long one, so that it does not come before those who asked for that. Any
 * process and thread; Linux 6.12 or later, elsewhere it changes nothing.
 */
#pragma once

#include <stdint.h>

/**
 * Asks for slices of `slice_ns` and this nice value for the calling thread, under the ordinary
 * policy. Threads and processes that it makes do not inherit them. Needs no privilege but for a
 * nice value below the present one. Returns 0 or negative errno; a failure only means slower wakes.
 */
int slice_request(uint64_t slice_ns, int nice);

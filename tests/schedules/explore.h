/*
 * explore.h: all small schedules of a scenario, and random ones; what fails is written down.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/schedules/cast.h"

struct explore_plan {
    uint64_t seed;      /**< of the first random run */
    unsigned long runs; /**< random runs of each scenario */
    unsigned long cap;  /**< systematic runs of each scenario, at most */
    bool is_quiet;      /**< says only what fails */
    const char *folder; /**< where a failing schedule is written */
};

struct explore_tally {
    unsigned long systematic, random, guest_steps, stops;
    unsigned violations;
};

/** Returns true if no schedule was bad; adds to *tally. */
bool explore(const struct explore_plan *plan, const struct scenario *s, const struct conductor *c,
             struct explore_tally *tally);
/** Replays a file, or SCENARIO:CONDUCTOR:SEED, and prints the trace. Returns an exit status. */
int explore_replay(const char *what);

/** Those that are compiled in; NULL ends the list. */
extern const struct conductor *const conductors[];

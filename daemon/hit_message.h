/*
 * hit_message.h: a hit as the API shows it, from what a worker said of it. It borrows from that.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdint.h>

#include "proto/api.pb-c.h"
#include "proto/limits.h"
#include "proto/worker.pb-c.h"

struct worker;

#define HIT_MESSAGE_VALUES (LIMIT_HIT_VALUES + LIMIT_EXPRESSIONS)

struct hit_message {
    Stillpoint__Api__Hit m;
    Stillpoint__Api__Location location;
    Stillpoint__Api__Value value, values[HIT_MESSAGE_VALUES];
    Stillpoint__Api__NamedValue named[HIT_MESSAGE_VALUES], *named_at[HIT_MESSAGE_VALUES];
    Stillpoint__Api__Frame frames[LIMIT_HIT_FRAMES], *frame_at[LIMIT_HIT_FRAMES];
};

/** All but seq and paused. `hits`: of this hook in this VM, with this one. */
void hit_message_fill(struct hit_message *to, const struct worker *w,
                      const Stillpoint__Worker__Hit *from, uint64_t hits);

/*
 * look_message.h: what workers say of values, places and frames, as the API shows it. Messages
 * borrow from what they show; what came from a worker has passed its door.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/api.pb-c.h"
#include "proto/worker.pb-c.h"

/** A named value, with the value that it points to. */
struct look_named_value {
    Stillpoint__Api__NamedValue m;
    Stillpoint__Api__Value value;
};

void look_message_value(Stillpoint__Api__Value *to, const Stillpoint__Worker__Value *from);
void look_message_named_value(struct look_named_value *to,
                              const Stillpoint__Worker__NamedValue *from);
void look_message_location(Stillpoint__Api__Location *to, const Stillpoint__Worker__Location *from);
/** `frame` is its index. */
void look_message_frame(Stillpoint__Api__Frame *to, const Stillpoint__Worker__Frame *from,
                        uint32_t frame);
void look_message_scope(Stillpoint__Api__Scope *to, const Stillpoint__Worker__Scope *from);
void look_message_source(Stillpoint__Api__Source *to, const Stillpoint__Worker__Source *from);

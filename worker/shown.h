/*
 * shown.h: what an engine shows of a VM (values, frames, places …), as messages to the daemon: with
 * texts that its door lets pass, and within a bound of bytes. Owns the messages until shown_done().
 * Worker, VM thread; knows no channel.
 *
 * A function that makes a message returns NULL where there is no room for it, or no memory: then
 * `full` or `error` says so. What is missing in the end is for the caller to tell.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/worker.pb-c.h"
#include "worker/engine.h"

struct shown_block;

struct shown {
    struct shown_block *blocks;
    size_t left_bytes; /**< of the packed message of which all this becomes a part */
    bool full;         /**< something had no room */
    int error;         /**< -ENOMEM: something was lost */
};

void shown_init(struct shown *s, size_t max_bytes);
void shown_done(struct shown *s);

/** Room for an array, zeroed; it counts as nothing. */
void *shown_array(struct shown *s, size_t n, size_t element_bytes);
/** As one line of at most max_bytes. NULL is empty. */
char *shown_line(struct shown *s, const char *text, size_t max_bytes);
/** A copy of these bytes. */
uint8_t *shown_bytes(struct shown *s, const void *bytes, size_t len);

Stillpoint__Worker__Frame *shown_frame(struct shown *s, const struct engine_frame *frame);
Stillpoint__Worker__Location *shown_place(struct shown *s, const struct engine_place *place,
                                          const char *function);
Stillpoint__Worker__Value *shown_value(struct shown *s, const struct engine_value *value);
Stillpoint__Worker__NamedValue *shown_named_value(struct shown *s,
                                                  const struct engine_named_value *v);
Stillpoint__Worker__Scope *shown_scope(struct shown *s, const struct engine_scope *scope);
Stillpoint__Worker__Source *shown_source(struct shown *s, const struct engine_source *source);

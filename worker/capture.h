/*
 * capture.h: one Hit on its way to the daemon: what a hook wants to be brought along, bounded and
 * in texts that the daemon's door lets pass. It owns its texts.
 *
 * Worker, VM thread. Evaluating runs guest code, which may have more hits: each has a capture of
 * its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "worker/engine.h"
#include "worker/hook.h"

struct capture;

/** For one hit or pause. NULL without memory. */
struct capture *capture_new(void);
/** Takes NULL; returns NULL. */
struct capture *capture_free(struct capture *c);

/**
 * Fills it, but for what the sender counts: vm_seq, pause, hits and dropped. The hook has to
 * stay, though it may be removed by what is evaluated.
 */
Stillpoint__Worker__Hit *capture_hit(struct capture *c, const struct hook *h,
                                     const struct engine_ops *ops, struct engine *engine,
                                     const struct engine_hit *hit, const char *condition_error);

/**
 * One part of a logpoint's text, from its start on. Returns its length, 0 at the end; `expression`
 * (LIMIT_EXPRESSION_BYTES + 1) gets what is between the braces, or is empty: then it is plain text.
 */
size_t capture_log_part(const char *at, char *expression);

/** For Paused: where it is, and the value that is being returned or thrown. */
void capture_pause(struct capture *c, Stillpoint__Worker__Paused *m, const struct engine_ops *ops,
                   struct engine *engine, const struct engine_hit *hit);

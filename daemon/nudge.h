/*
 * nudge.h: hurries VMs that are late. While a stop lasts longer than stops do, each VM of one world
 * that is still running has its watcher woken, if it was poked by a signal, which may not have
 * sufficed; and it gets a signal (SHM_SIGNAL), a few times, to give up a CPU that it keeps from its
 * watcher. It decides nothing: who is stopped is known by the words in shared memory alone, and a
 * worker that ignores the signal only comes later. Why: docs/decisions, 0042 and 0055.
 *
 * Process and thread: the daemon's only thread; never waits.
 */
#pragma once

struct event_base;
struct nudge;
struct stop_world;

/** NULL and errno. The world has to outlive it. */
struct nudge *nudge_new(struct event_base *base, const struct stop_world *world);
/** Returns NULL. */
struct nudge *nudge_free(struct nudge *n);

/** A stop has begun, and somebody is missing. */
void nudge_begin(struct nudge *n);
/** It is over. */
void nudge_end(struct nudge *n);

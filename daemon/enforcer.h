/*
 * enforcer.h: keeps VMs from running by the kernel's means, and says when that is confirmed. It
 * drives freezer over the VMs of one world: starts, looks again until the kernel says so, and finds
 * those that said they had arrived and ran on. It knows no mode and no ticket; the world asks, and
 * is told that something has changed.
 *
 * Process and thread: the daemon's only thread; never waits.
 *
 * Liars. A VM that has arrived sleeps: its main thread's run time stands still. So that time is
 * read when the world takes the VM for arrived and again when the freeze is confirmed; more than
 * ENFORCER_LIE_NS in between is a lie. The kernel's account of a thread that is on a CPU may be a
 * tick old, and an honest thread may be on its last steps to its sleep, or be waiting for a CPU:
 * one that is not seen asleep is looked at again, for at most ENFORCER_SETTLE_NS, until it sleeps
 * or has run for too long since ENFORCER_TICK_NS after it was taken for arrived.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct stop_world;
struct worker;

/** A main thread that ran for longer than this while it had said that it was still lied. */
#define ENFORCER_LIE_NS 100000u
/** Longer than a tick of any kernel (HZ=100). */
#define ENFORCER_TICK_NS 10000000u
#define ENFORCER_SETTLE_NS 1000000000u
/** A freeze that is not confirmed by then will not be: a thread hangs in the kernel. */
#define ENFORCER_GIVE_UP_NS 1000000000u

struct enforcer;

/** Facts, told from the loop. */
struct enforcer_events {
    void (*on_frozen)(void *userdata,
                      struct worker *w); /**< confirmed; w->freeze says if it lied */
    /** Some freezes were confirmed or given up: to be looked at anew, once for all of them. */
    void (*on_changed)(void *userdata);
};

/** NULL without memory. */
struct enforcer *enforcer_new(struct event_base *base, struct stop_world *world,
                              const struct enforcer_events *events, void *userdata);
struct enforcer *enforcer_free(struct enforcer *e);

/**
 * Begins to freeze a VM that is not frozen. `judge`: it has said that it has arrived, so look
 * whether it lies. A VM whose process is not there yet is left alone.
 */
void enforcer_freeze(struct enforcer *e, struct worker *w, bool judge);
/** Ends a freeze, also one under way. */
void enforcer_thaw(struct enforcer *e, struct worker *w);
void enforcer_thaw_all(struct enforcer *e);
/** The VM has ended. */
void enforcer_forget(struct enforcer *e, struct worker *w);

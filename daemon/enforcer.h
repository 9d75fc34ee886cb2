/*
 * enforcer.h: keeps VMs from running by the kernel's means, and says when that is confirmed. It
 * drives freezer over the VMs of one world: starts, looks again until the kernel says so, and finds
 * those that said they had arrived and ran on. It knows no mode and no ticket; the world asks, and
 * is told that something has changed.
 *
 * Process and thread: the daemon's only thread; never waits.
 *
 * Liars. A VM that has arrived goes to sleep. So before it is frozen its main thread is looked at
 * until it sleeps, for at most ENFORCER_SETTLE_NS: an honest one may be on its last steps, or be
 * waiting for a CPU. The kernel's account of a thread that is on a CPU may be a tick old; one that
 * is seen awake, and has run for more than ENFORCER_LIE_NS since ENFORCER_TICK_NS after it was
 * taken for arrived, has lied.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct stop_world;
struct worker;

/** A main thread that is awake and has run for longer than this since it had said that it was still
 *  has lied. An honest one takes a few microseconds to its sleep; the rest is for what a hypervisor
 *  takes meanwhile, which is accounted to whoever was running. */
#define ENFORCER_LIE_NS 2000000u
/** Longer than a tick of any kernel (HZ=100). */
#define ENFORCER_TICK_NS 10000000u
#define ENFORCER_SETTLE_NS 1000000000u
/** A freeze that is not confirmed by then will not be: a thread hangs in the kernel. Each thread of
 *  the VM has to get a CPU before. */
#define ENFORCER_GIVE_UP_NS 5000000000u

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

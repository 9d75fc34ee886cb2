/*
 * sim.h: a scheduler for the real code of both halves of stop-the-world, and the little kernel that
 * it needs. Each thread of the real system is an *actor*, a coroutine; it can lose the processor
 * only at a yield, before each access to shared memory and each system call. Which actor goes on is
 * one *choice*; all choices of a run together are its schedule, and the same schedule gives the
 * same run.
 *
 * Some actors have no stack but one step: SIGKILL arrives, a time-out comes, a store leaves its
 * store buffer. They are chosen like the others.
 *
 * A run ends when no actor can go on (it is *at rest*) or at the first violation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_ACTORS 48
#define SIM_CHOICES 8192 /* a run that makes more does not come to rest */

typedef uint64_t sim_set; /* of actors, bit n is actor n */

/** Starts over: no actor, clock at one second, all pages and descriptors given back. */
void sim_reset(void);
/** A coroutine, able to go on at once. `name` stays the caller's. */
void sim_actor(unsigned id, const char *name, void (*main)(void *), void *arg);
/** One step without a stack; able to go on once sim_wake() was called. A `late` one is no option
 *  while a coroutine could go on, unless the strategy pays for it. */
void sim_event(unsigned id, const char *name, void (*step)(void *), void *arg);
/** Undoes sim_wake() for an event. */
void sim_sleep(unsigned id);
/** The event is no option while a coroutine can go on. */
void sim_is_late(unsigned id);
/** The actor never goes on again, wherever it is. */
void sim_kill(unsigned id);
/** While it is frozen an actor does not go on, wherever it is. */
void sim_freeze(unsigned id, bool frozen);
bool sim_is_frozen(unsigned id);
bool sim_can_go_on(unsigned id);

/** Lets the actors run until all are at rest. Returns NULL, or the first violation. */
const char *sim_run(void);
/** Before the run: the actors go on until they are at rest, with no choices and no events. What
 *  comes after begins its schedule there. */
void sim_settle(void);
/** Only inside a run: what went wrong. Ends the run. */
_Noreturn void sim_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Without end: what went wrong after the run. */
void sim_violation_at_rest(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *sim_verdict(void);

/** Called at each yield, before anybody else may go on. */
extern void (*sim_observe)(unsigned actor);
/** Called when the actor goes on after a yield or a block, on its own stack, before what it does
 *  there; may yield itself. */
extern void (*sim_goes_on)(unsigned actor);
/** Prints the state of memory behind each line of a trace. */
extern void (*sim_print_state)(FILE *to);

/* ---- for actors */

unsigned sim_self(void);
void shm_yield(const char *label);
/** Cannot go on until sim_wake(); returns after that. `label` says what it waits for. */
void sim_block(const char *label);
void sim_wake(unsigned id);
/** One of n, n > 0, as the strategy decides. */
unsigned sim_choose(unsigned n);

/* ---- the kernel */

int sim_eventfd(unsigned initial, int flags);
int sim_close(int fd);
long sim_write(int fd, const void *data, size_t size);
/** Count of the eventfd; sets it to zero. */
uint64_t sim_eventfd_take(int fd);
uint64_t sim_eventfd_peek(int fd);
/** Woken whenever somebody writes that eventfd. */
void sim_eventfd_owner(int fd, unsigned actor);
void *sim_page(int *ret_fd);
void *sim_page_of(int fd);
void sim_page_free(void *page);

uint64_t sim_now_ns(void);
/** The time has come at which a timer is due. */
void sim_advance_to(uint64_t ns);
/** Waits of this long or longer have no time-out; shorter ones end by the event given to
 *  sim_timeout_event(). */
extern uint64_t sim_for_ever_ns;
/** Time-outs of waits of this long or longer come only when nobody else can go on: nobody is taken
 *  to lose the processor for so long. */
extern uint64_t sim_late_ns;
/** How far the clock moves with each step and each reading; 0: all happens at one instant. */
extern uint64_t sim_tick_ns;
/** Ends a futex wait of `actor`, if it is in one, with -EINTR. */
void sim_interrupt(unsigned actor);
/** Which event stands for the time-out of a futex wait of `actor`. */
void sim_timeout_event(unsigned actor, unsigned event, const char *name);
/** An event that wakes `actor` from a futex wait for no reason. */
void sim_spurious_event(unsigned actor, unsigned event, const char *name, unsigned times);

/* ---- store buffers, for mutants: a store that its processor makes visible later. Events drain. */

void sim_store_buffer(unsigned actor, unsigned event, const char *name);
bool sim_buffer_is_empty(unsigned actor);
void sim_buffered_store(_Atomic uint64_t *p, uint64_t value, const char *label);

/* ---- strategies */

enum sim_strategy {
    SIM_DEFAULT, /**< nobody is pre-empted; the actor with the lowest id goes on */
    SIM_SYSTEMATIC,
    SIM_RANDOM,
    SIM_REPLAY,
    SIM_FORCED, /**< sim_step() and its like, from outside */
};
void sim_strategy(enum sim_strategy strategy);

/**
 * Systematic: all schedules with at most `preemptions` switches away from an actor that could have
 * gone on, and at most `detours` choices other than the first where one had to be made. Call
 * sim_systematic_begin(), then a run and sim_systematic_next() until that is false.
 */
void sim_systematic_begin(unsigned preemptions, unsigned detours);
bool sim_systematic_next(void);

/** Random: priorities with change points (PCT) for odd seeds, random walks for even ones. `length`:
 *  how many choices a run has, about. */
void sim_random(uint64_t seed, unsigned length);
unsigned sim_choices(void);

/** Switches the recording of labels on, for sim_trace_print(). */
void sim_trace(bool on);
void sim_trace_live(FILE *to);

/** The schedule of the last run as text, and back. Returns 0 or -1. */
void sim_schedule_write(FILE *to);
int sim_schedule_read(FILE *from);

/** Yields whose label contains this are no choice in systematic runs: words that only one actor
 *  reads in this scenario. NULL ends the list. */
void sim_quiet(const char *const *words);

/* ---- forced: between sim_forced_begin() and sim_forced_end() the caller decides each step. */

void sim_forced_begin(void);
/** One step of this actor: until its next yield or block. False if it cannot go on. */
bool sim_step(unsigned id);
/** Steps of this actor until it is about to do what `label` says (part of a label), at least one
 * step. Returns false if it blocks, ends or does a thousand steps before that. */
bool sim_until(unsigned id, const char *label);
/** Until it blocks. */
void sim_until_blocked(unsigned id);
/** Where the actor is. */
const char *sim_label(unsigned id);
/** Lets everything go on until rest. Returns the verdict. */
const char *sim_forced_end(void);

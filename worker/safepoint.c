#include "worker/safepoint.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "worker/appointment.h"

/* Enough for the engine's interrupt and its thread-local storage. */
#define WATCHER_STACK_BYTES (256u * 1024)
#define WATCHER_SLICE_NS 100000u
#define VM_SLICE_NS 3000000u /* of the VM's thread, at least */
#define ORPHAN_EXIT 125
/* An engine can lose an interrupt: SpiderMonkey marks the Wasm instances that exist when it is
 * asked, and one that is made a moment later begins to run unmarked. So a VM that still runs after
 * this time is asked again, at growing intervals. That is no second interrupt: one that was
 * delivered has parked the VM, and asking twice before delivery delivers once. (It matters: see
 * docs/decisions.) */
#define ASK_AGAIN_NS 20000000u

void safepoint_orphaned(void)
{
    _exit(ORPHAN_EXIT);
}

static int drain(void *userdata)
{
    struct safepoint *s = userdata;
    if (daemon_channel_drain(s->channel) < 0)
        safepoint_orphaned();
    return 0;
}

static int serve(void *userdata)
{
    struct safepoint *s = userdata;
    s->serve(s->serve_userdata);
    return 0;
}

void safepoint_init(struct safepoint *s, const struct world_page *world,
                    const struct command_page *command, struct status_page *status, int kick_fd,
                    struct daemon_channel *channel)
{
    *s = (struct safepoint){.state = SHM_STARTING, .channel = channel};
    gate_init(&s->gate, world, command, status, kick_fd, drain, s);
    s->gate.serve = serve;
}

void safepoint_on_ask(struct safepoint *s, void (*on_ask)(void *), void *userdata)
{
    s->serve = on_ask;
    s->serve_userdata = userdata;
}

void safepoint_ask(struct safepoint *s)
{
    s->gate.asked = true;
}

bool safepoint_is_asked(const struct safepoint *s)
{
    return s->gate.asked;
}

/* A poke should not wait for another thread's time slice. A short slice of one's own (Linux 6.12)
 * needs no privilege; nice -20 mostly is not allowed. Without either, stops are only slower. */
static void quicken(void)
{
    if (slice_request(WATCHER_SLICE_NS, -20) < 0)
        (void)slice_request(WATCHER_SLICE_NS, 0);
}

/* The VM's own thread asks for what it gets anyway: a slice ends at a timer tick, so one of 1.4 ms
 * lasts 4 ms where that is the tick. One that asks for less than it takes has, while it waits for
 * its turn, an earlier deadline than a watcher that wakes, and runs before it. See docs/decisions,
 * 0011. */
static void match_tick(void)
{
    struct timespec tick;
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) < 0 || tick.tv_sec > 0 || tick.tv_nsec <= 0)
        return;
    uint64_t tick_ns = (uint64_t)tick.tv_nsec;
    uint64_t ticks = (VM_SLICE_NS + tick_ns - 1) / tick_ns;
    /* A little less, or it would be over just after a tick. */
    (void)slice_request(ticks * tick_ns - tick_ns / 32, getpriority(PRIO_PROCESS, 0));
}

static struct safepoint *signalled;

/* The first of a stop is a poke, where the engine needs no watcher for it: see docs/decisions,
 * 0055. Any other is a nudge: the scheduler can put a VM that is behind with its share before the
 * watcher that is to interrupt it, until the next tick. A thread that yields comes after its
 * watcher. See docs/decisions, 0042. */
static void on_signal(int number)
{
    (void)number;
    struct safepoint *s = signalled;
    int error = errno;
    if (gate_has_signals(&s->gate) && gate_take_signal(&s->gate))
        s->ops->interrupt_here(s->engine);
    else if (gate_is_late(&s->gate) && gate_is_poked(&s->gate, atomic_load(&s->poke_seen)))
        sched_yield();
    errno = error;
}

static int expect_signals(struct safepoint *s)
{
    signalled = s;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(SHM_SIGNAL, &action, NULL) < 0 ? -errno : 0;
}

void safepoint_need_watcher(struct safepoint *s)
{
    gate_takes_signals(&s->gate, false);
}

static uint64_t until(uint64_t due_ns, uint64_t now_ns)
{
    return due_ns == UINT64_MAX ? UINT64_MAX : due_ns > now_ns ? due_ns - now_ns : 0;
}

/* One that does not run passes its gate before it does. */
static void keep_appointment(struct safepoint *s, struct appointment *a, uint64_t now_ns)
{
    if (appointment_is_due(a, atomic_load(&s->interrupt_at_ns), now_ns) &&
        gate_is_running(&s->gate))
        s->ops->interrupt(s->engine);
}

static void *watch(void *userdata)
{
    struct safepoint *s = userdata;
    uint32_t seen = 0; /* a poke before our start is seen too */
    uint64_t late_due_ns = UINT64_MAX, again_ns = 0, now_ns = shm_now_ns();
    struct appointment appointment = APPOINTMENT_INIT;
    quicken();
    sem_post(&s->watching);
    for (;;) {
        uint64_t due_ns = late_due_ns < appointment.due_ns ? late_due_ns : appointment.due_ns;
        bool poked = gate_wait_poke(&s->gate, &seen, until(due_ns, now_ns));
        now_ns = shm_now_ns();
        if (poked)
            again_ns = ASK_AGAIN_NS;
        /* Poked, or time to look whether the last interrupt has arrived. */
        if (poked || now_ns >= late_due_ns) {
            bool late = gate_is_late(&s->gate);
            if (late)
                s->ops->interrupt(s->engine);
            atomic_store(&s->poke_seen, seen);
            late_due_ns = late ? now_ns + again_ns : UINT64_MAX;
            again_ns *= 2;
        }
        keep_appointment(s, &appointment, now_ns);
    }
    return NULL;
}

int safepoint_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                            void *userdata)
{
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SHM_SIGNAL);
    int r = pthread_sigmask(SIG_BLOCK, &signals, &before);
    if (r != 0)
        return r;
    r = pthread_create(thread, attr, run, userdata);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int safepoint_start(struct safepoint *s)
{
    match_tick();
    int r = expect_signals(s);
    if (r < 0)
        return r;
    if (sem_init(&s->watching, 0, 0) < 0)
        return -errno;
    pthread_attr_t attr;
    r = pthread_attr_init(&attr);
    if (r != 0)
        return -r;
    r = pthread_attr_setstacksize(&attr, WATCHER_STACK_BYTES);
    if (r == 0)
        r = safepoint_create_thread(&s->watcher, &attr, watch, s);
    pthread_attr_destroy(&attr);
    return -r;
}

/* The watcher and the handler of the signal read both only of a VM that runs, and so after the
 * store of that state. */
void safepoint_watch(struct safepoint *s, const struct engine_ops *ops, struct engine *engine)
{
    s->ops = ops;
    s->engine = engine;
    gate_takes_signals(&s->gate, ops->interrupt_here != NULL);
    while (sem_wait(&s->watching) < 0 && errno == EINTR)
        ;
}

/* Relaxed: the seq_cst store of the state that follows in gate.c carries it along. */
static void publish(struct safepoint *s)
{
    atomic_store_explicit(&s->gate.status->last_fact, s->channel->last_seq, memory_order_relaxed);
}

/* After each return from the gate: if the engine was looked at, that was in a park that is over. */
static void went_on(struct safepoint *s)
{
    if (s->looked)
        s->ops->debug->resume(s->engine);
    s->looked = false;
    if (s->go_on)
        s->go_on(s->go_on_userdata);
}

void safepoint_on_going_on(struct safepoint *s, void (*go_on)(void *), void *userdata)
{
    s->go_on = go_on;
    s->go_on_userdata = userdata;
}

void safepoint_interrupt_at(struct safepoint *s, uint64_t mono_ns)
{
    if (atomic_exchange(&s->interrupt_at_ns, mono_ns) != mono_ns && mono_ns != 0)
        gate_wake_watcher(&s->gate);
}

void safepoint_looked(struct safepoint *s)
{
    /* An idle VM that is at its gate can sleep through a resume and the next stop. */
    uint64_t since_ns = gate_closed_since_ns(&s->gate);
    if (s->looked && s->looked_since_ns != 0 && s->looked_since_ns != since_ns)
        s->ops->debug->resume(s->engine);
    s->looked = true;
    s->looked_since_ns = since_ns;
}

void safepoint_enter(struct safepoint *s)
{
    publish(s);
    (void)gate_enter(&s->gate); /* drain() ends the process rather than the wait */
    s->state = SHM_RUNNING;
    went_on(s);
}

void safepoint_leave(struct safepoint *s, enum shm_state state)
{
    publish(s);
    s->state = state;
    gate_leave(&s->gate, state);
}

void safepoint_poll(struct safepoint *s)
{
    if (s->evaluating || (!s->gate.asked && gate_is_open(&s->gate)))
        return;
    publish(s);
    (void)gate_poll(&s->gate);
    went_on(s);
}

void safepoint_pause(struct safepoint *s, int (*announce)(void *, uint64_t), void *userdata)
{
    publish(s);
    (void)gate_pause(&s->gate, announce, userdata);
    went_on(s);
}

uint64_t safepoint_next_pause(const struct safepoint *s)
{
    return s->gate.pause + 1;
}

int safepoint_evaluate(struct safepoint *s, uint64_t evaluation)
{
    int r = gate_evaluate(&s->gate, evaluation);
    if (r < 0)
        return r;
    s->no_waits_before = s->no_waits;
    s->evaluating = s->no_waits = true;
    return 0;
}

void safepoint_evaluated(struct safepoint *s)
{
    s->evaluating = false;
    s->no_waits = s->no_waits_before;
    publish(s);
    gate_evaluated(&s->gate);
}

bool safepoint_is_evaluating(const struct safepoint *s)
{
    return s->evaluating;
}

bool safepoint_may_evaluate(const struct safepoint *s)
{
    return gate_may_evaluate(&s->gate);
}

void safepoint_expect_fact(struct safepoint *s)
{
    if (s->evaluating)
        atomic_store_explicit(&s->gate.status->last_fact,
                              s->channel->last_seq + 1 + DAEMON_CHANNEL_PARTS,
                              memory_order_release);
}

bool safepoint_may_wait(const struct safepoint *s)
{
    return !s->no_waits;
}

bool safepoint_forbid_waits(struct safepoint *s, bool forbid)
{
    bool was = s->no_waits;
    s->no_waits = forbid;
    return was;
}

void safepoint_sleep(struct safepoint *s, uint64_t deadline_ns)
{
    safepoint_leave(s, SHM_BLOCKED);
    while (gate_block(&s->gate, deadline_ns) == 0)
        went_on(s);
    safepoint_enter(s);
}

void safepoint_wait(struct safepoint *s, bool (*done)(void *), void *userdata)
{
    if (done(userdata))
        return;
    bool running = s->state == SHM_RUNNING;
    if (running)
        safepoint_leave(s, SHM_BLOCKED);
    do {
        int r = daemon_channel_wait(s->channel, -1, UINT64_MAX);
        if (r < 0)
            safepoint_orphaned();
        if (running && s->gate.asked) {
            safepoint_enter(s);
            safepoint_leave(s, SHM_BLOCKED);
        }
    } while (!done(userdata));
    if (running)
        safepoint_enter(s);
}

uint64_t safepoint_clock_ns(struct safepoint *s)
{
    return gate_clock_ns(&s->gate);
}

#include "gate.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "futex.h"

/* Only bugs, and a daemon that died, are found by it: see docs/decisions/0008. */
#define PARK_TIMEOUT_NS 4000000000u
/* A ring that came so long before a park was to time out was really lost; a later one may have been
 * on its way. */
#define LOST_WAKE_NS 100000000u
#define CLOCK_RETRIES 100

static uint64_t gate_epoch(const struct gate *g)
{
    return shm_world_epoch(SHM_LOAD(&g->world->word));
}

/* Stores a status other than running and answers a kick. Partner: stop_kick(), which bumps the
 * number and then looks at the status again, so that either it sees this status or we see its
 * number. */
static void gate_arrive(struct gate *g, enum shm_state state, uint64_t epoch)
{
    SHM_XCHG(&g->status->word, shm_status_word(epoch, state));
    uint32_t kick = SHM_LOAD(&g->command->kick);
    if (kick == g->answered_kick)
        return;
    g->answered_kick = kick;
    uint64_t one = 1;
    /* Fails only when the counter is full, and then the daemon has a reason to look already. */
    (void)!write(g->kick_fd, &one, sizeof one);
}

void gate_init(struct gate *g, const struct world_page *world, const struct command_page *command,
               struct status_page *status, int kick_fd, int (*drain)(void *), void *userdata)
{
    *g = (struct gate){
        .world = world,
        .command = command,
        .status = status,
        .kick_fd = kick_fd,
        .drain = drain,
        .userdata = userdata,
    };
}

/* Two words on two pages, read as one: the world's is read again, and must not have moved. Read one
 * after the other, a hold that ends between them (or begins) would let a VM run that the daemon has
 * counted: in the model, the mutants torn-world-first and torn-command-first. */
bool gate_is_open(const struct gate *g)
{
    for (;;) {
        uint64_t world = SHM_LOAD(&g->world->word), command = SHM_LOAD(&g->command->word);
        if (SHM_LOAD(&g->world->word) == world)
            return shm_may_run(world, command);
    }
}

/* The gate is open, and no pause of our own is unanswered. Partner of the latter: stop_answer(),
 * which stores and then rings. */
static bool gate_may_leave(const struct gate *g)
{
    return gate_is_open(g) && SHM_LOAD(&g->command->answered) >= g->pause;
}

/* A park that timed out, at due_ns, although there was work: lost if the bell was rung long before
 * and we slept on, or if the gate is open and no bell comes for it even now. When it is that we
 * look says nothing: we may have waited for a CPU, or have been frozen, since the time-out. */
static bool gate_wake_was_lost(const struct gate *g, uint32_t bell, uint64_t due_ns)
{
    if (SHM_LOAD(&g->command->bell) != bell)
        return SHM_LOAD(&g->command->rung_ns) + LOST_WAKE_NS < due_ns;
    if (!gate_may_leave(g))
        return false;
    return futex_wait(&g->command->bell, bell, LOST_WAKE_NS) == -ETIMEDOUT && gate_may_leave(g) &&
           SHM_LOAD(&g->command->bell) == bell;
}

/* The daemon bumps the bell after each message: while it has not moved since we looked, there is
 * none, and a VM that parks makes no system call before it sleeps. */
static int gate_drain(struct gate *g, uint32_t bell)
{
    if (g->drained && g->drained_bell == bell)
        return 0;
    g->drained = true;
    g->drained_bell = bell;
    return g->drain(g->userdata);
}

/* With status parked stored, and after a look at the channel, which may have brought it. */
static int gate_serve(struct gate *g)
{
    if (!g->asked)
        return 0;
    g->asked = false;
    return g->serve(g->userdata);
}

/* Parked until the gate is seen open. That is not yet leave to run: the caller is gate_enter(). */
static int gate_park(struct gate *g)
{
    for (;;) {
        /* Whatever can be done before the arrival is: after it the VM is said to be still. */
        uint32_t bell = SHM_LOAD(&g->command->bell);
        int r = gate_drain(g, bell);
        if (r > 0)
            return r;
        uint64_t epoch = gate_epoch(g);
        SHM_STORE_RELAXED(&g->status->parked_ns, shm_now_ns());
        gate_arrive(g, SHM_PARKED, epoch);

        /* One sleep on the bell after another, until something may have changed for us. */
        for (;;) {
            /* The bell first, the words and the channel after it: whoever changes those rings
             * later, so a change that we overlook here changes the value that we sleep on. */
            bell = SHM_LOAD(&g->command->bell);
            r = gate_drain(g, bell);
            if (r > 0)
                return r;
            /* May take long: whatever changes meanwhile is seen below, or changes the bell. */
            r = gate_serve(g);
            if (r > 0)
                return r;
            if (gate_may_leave(g))
                return 0;
            if (gate_epoch(g) != epoch)
                break; /* publish that we have seen the new epoch before we sleep again */
            uint64_t due_ns = shm_now_ns() + PARK_TIMEOUT_NS;
            r = futex_wait(&g->command->bell, bell, PARK_TIMEOUT_NS);
            if (r != -ETIMEDOUT)
                continue;
            if (gate_wake_was_lost(g, bell, due_ns))
                atomic_fetch_add_explicit(&g->status->lost_wakes, 1, memory_order_relaxed);
            /* Whoever closed the channel rings no bell. */
            r = g->drain(g->userdata);
            if (r > 0)
                return r;
        }
    }
}

int gate_enter(struct gate *g)
{
    for (;;) {
        /* Partner: stop_close() and stop_hold(), which store their word and then load the status.
         */
        SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING));
        if (!g->asked && gate_is_open(g))
            return 0;
        int r = gate_park(g);
        if (r != 0)
            return r;
    }
}

void gate_leave(struct gate *g, enum shm_state state)
{
    gate_arrive(g, state, gate_epoch(g));
}

int gate_poll(struct gate *g)
{
    if (!g->asked && gate_is_open(g))
        return 0;
    int r = gate_park(g);
    return r != 0 ? r : gate_enter(g);
}

int gate_pause(struct gate *g, int (*announce)(void *, uint64_t), void *userdata)
{
    g->pause++;
    SHM_STORE_RELAXED(&g->status->pause, g->pause);
    gate_leave(g, SHM_PARKED);
    int r = announce(userdata, g->pause);
    if (r == 0)
        r = gate_park(g);
    /* The answer was sent before `answered` was stored, but perhaps after the last look. */
    if (r == 0)
        r = g->drain(g->userdata);
    return r != 0 ? r : gate_enter(g);
}

int gate_evaluate(struct gate *g, uint64_t evaluation)
{
    SHM_STORE(&g->evaluating, evaluation);
    /* Partner: stop_withdraw(), which stores the word and then loads the status. */
    gate_leave(g, SHM_EVALUATING);
    if (gate_may_evaluate(g))
        return 0;
    gate_evaluated(g);
    return -ECANCELED;
}

void gate_evaluated(struct gate *g)
{
    SHM_STORE(&g->evaluating, UINT64_C(0));
    gate_leave(g, SHM_PARKED);
}

bool gate_may_evaluate(const struct gate *g)
{
    uint64_t evaluating = SHM_LOAD(&g->evaluating);
    return evaluating != 0 && SHM_LOAD(&g->command->evaluation) == evaluating;
}

/* Out of gate_leave(BLOCKED) to the gate, and into it again once that is open. */
static int gate_visit(struct gate *g)
{
    if (gate_enter(g) > 0)
        return -ECANCELED;
    gate_leave(g, SHM_BLOCKED);
    return 0;
}

int gate_block(struct gate *g, uint64_t deadline_ns)
{
    uint32_t bell = SHM_LOAD(&g->command->bell);
    if (gate_drain(g, bell) > 0)
        return -ECANCELED;
    if (g->asked)
        return gate_visit(g);
    uint64_t now = gate_clock_ns(g);
    if (now >= deadline_ns)
        return 1;
    /* A clock that stands at its floor has to be waited for, too; else this would spin. */
    int r =
        futex_wait(&g->command->bell, bell,
                   deadline_ns == UINT64_MAX ? UINT64_MAX : deadline_ns - now + g->clock_ahead_ns);
    if (r != -ETIMEDOUT || gate_is_open(g))
        return 0;
    /* The clock stands still behind a closed gate: waiting for it would spin. Park instead, and go
     * on with the remaining time when the gate has opened. */
    return gate_visit(g);
}

/* Reads held_ns and held_since_ns as one. If the daemon died in the middle of a write the record
 * stays odd for ever: then the last whole one is as good as any. Partner: stop.c, record_write().
 */
static void gate_read_held(struct gate *g)
{
    const struct command_page *c = g->command;
    for (int i = 0; i < CLOCK_RETRIES; i++) {
        uint32_t before = SHM_LOAD(&c->held_seq);
        if (before & 1)
            continue;
        uint64_t held = SHM_LOAD(&c->held_ns), since = SHM_LOAD(&c->held_since_ns);
        if (SHM_LOAD(&c->held_seq) != before)
            continue;
        g->last_held_ns = held;
        g->last_held_since_ns = since;
        return;
    }
}

uint64_t gate_closed_since_ns(struct gate *g)
{
    gate_read_held(g);
    return g->last_held_since_ns;
}

uint64_t gate_clock_ns(struct gate *g)
{
    gate_read_held(g);
    uint64_t now = shm_now_ns(), since = g->last_held_since_ns;
    uint64_t running_until = since != 0 && since < now ? since : now;
    uint64_t clock = running_until > g->last_held_ns ? running_until - g->last_held_ns : 0;
    /* The record may come after the gate has closed: what was said before then must not be unsaid.
     */
    if (clock > g->clock_floor_ns)
        g->clock_floor_ns = clock;
    g->clock_ahead_ns = g->clock_floor_ns - clock;
    return g->clock_floor_ns;
}

bool gate_wait_poke(struct gate *g, uint32_t *seen, uint64_t timeout_ns)
{
    uint32_t poke;
    while ((poke = SHM_LOAD(&g->command->poke)) == *seen) {
        /* Partner: gate_wake_watcher(), which wakes until it sees this. */
        uint32_t wakes = atomic_load(&g->wakes);
        if (atomic_exchange(&g->wakes_seen, wakes) != wakes)
            return false;
        if (futex_wait(&g->command->poke, poke, timeout_ns) == -ETIMEDOUT)
            return false;
    }
    *seen = poke;
    return true;
}

void gate_wake_watcher(struct gate *g)
{
    uint32_t wakes = atomic_fetch_add(&g->wakes, 1) + 1;
    while (atomic_load(&g->wakes_seen) != wakes) {
        /* The kernel only looks at the address. */
        futex_wake((_Atomic uint32_t *)(uintptr_t)&g->command->poke, 1);
        sched_yield();
    }
}

bool gate_is_poked(const struct gate *g, uint32_t seen)
{
    return SHM_LOAD(&g->command->poke) != seen;
}

bool gate_take_signal(struct gate *g)
{
    /* Partner: stop.c, gate_poke(), which bumps before it signals. A signal that comes while the VM
     * does not run is none of ours: to run again it has to pass gate_enter(). */
    uint32_t poke = SHM_LOAD(&g->command->poke);
    if (poke == g->signalled || !gate_is_late(g))
        return false;
    g->signalled = poke;
    return true;
}

void gate_takes_signals(struct gate *g, bool takes)
{
    atomic_store(&g->takes_signals, takes);
    SHM_STORE_RELAXED(&g->status->takes_signals, takes);
}

bool gate_has_signals(const struct gate *g)
{
    return atomic_load(&g->takes_signals);
}

bool gate_is_running(const struct gate *g)
{
    return shm_status_state(SHM_LOAD(&g->status->word)) == SHM_RUNNING;
}

bool gate_is_late(const struct gate *g)
{
    switch (shm_status_state(SHM_LOAD(&g->status->word))) {
    case SHM_RUNNING:
        return !gate_is_open(g);
    case SHM_EVALUATING:
        return !gate_may_evaluate(g);
    default:
        return false;
    }
}

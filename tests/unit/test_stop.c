/*
 * Both halves of stop-the-world in one process: the test is the daemon, and each worker is a thread
 * that has its own mappings of its pages, made as a worker process makes them.
 *
 * The guest is a counter. While the test has `world_is_still` set, one step of any guest is a
 * failure: so the test needs no waiting to see that nothing runs, only rounds.
 */
#include "tests/support/unit.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "shared-mem/futex.h"
#include "shared-mem/gate.h"
#include "shared-mem/map.h"
#include "shared-mem/stop.h"

#define HANG_NS 20000000000ull /* whatever takes this long hangs */
#define MS 1000000ull

enum guest {
    GUEST_SPINS,  /* runs, and comes to a safe point at each step */
    GUEST_IDLES,  /* makes one step for each message */
    GUEST_PAUSES, /* pauses after each step */
    GUEST_BLOCKS, /* sleeps block_ns of its world clock, makes one step, and again */
};

struct worker {
    struct stop_gate daemon_half;
    enum guest guest;
    uint64_t block_ns;
    _Atomic bool *world_is_still;

    /* The worker's own. */
    struct world_page *world;
    struct command_page *command;
    struct status_page *status;
    struct gate gate;
    pthread_t thread;
    int message_fd;

    _Atomic bool quit, is_held, ask;
    _Atomic uint64_t served, served_unparked;
    /* GUEST_PAUSES; serve() evaluates `wanted`, as long as it may. */
    _Atomic uint64_t pauses, announced_unparked, answer_seen, early_leaves;
    _Atomic uint64_t answer_sent; /* on the channel, before stop_answer() */
    _Atomic uint64_t wanted, evaluated, refused;
    _Atomic bool evaluates; /* guest code runs behind the gate */
    _Atomic uint64_t steps, escapes, clock_back, early;
    uint64_t last_clock_ns;
};

struct cast {
    struct stop_world w;
    _Atomic bool still;
    struct worker workers[8];
    size_t n;
};

/* ---- the worker's side */

static int drain(void *userdata)
{
    struct worker *k = userdata;
    if (atomic_exchange(&k->ask, false))
        k->gate.asked = true;
    atomic_store(&k->answer_seen, atomic_load(&k->answer_sent));
    return atomic_load(&k->quit) ? 1 : 0;
}

static int serve(void *userdata)
{
    struct worker *k = userdata;
    if (shm_status_state(SHM_LOAD(&k->status->word)) != SHM_PARKED)
        atomic_fetch_add(&k->served_unparked, 1);
    atomic_fetch_add(&k->served, 1);
    uint64_t wanted = atomic_exchange(&k->wanted, 0);
    if (wanted == 0)
        return 0;
    if (gate_evaluate(&k->gate, wanted) < 0) {
        atomic_fetch_add(&k->refused, 1);
        return 0;
    }
    atomic_store(&k->evaluates, true);
    while (gate_may_evaluate(&k->gate))
        sched_yield();
    atomic_store(&k->evaluates, false);
    atomic_fetch_add(&k->evaluated, 1);
    gate_evaluated(&k->gate);
    return 0;
}

static void guest_step(struct worker *k)
{
    if (atomic_load(k->world_is_still) || atomic_load(&k->is_held))
        atomic_fetch_add(&k->escapes, 1);
    uint64_t now = gate_clock_ns(&k->gate);
    if (now < k->last_clock_ns)
        atomic_fetch_add(&k->clock_back, 1);
    k->last_clock_ns = now;
    atomic_fetch_add(&k->steps, 1);
}

static void guest_spins(struct worker *k)
{
    if (gate_enter(&k->gate) != 0)
        return;
    while (!atomic_load(&k->quit)) {
        guest_step(k);
        if (gate_poll(&k->gate) != 0)
            return;
    }
}

static int announce(void *userdata, uint64_t pause)
{
    struct worker *k = userdata;
    if (shm_status_state(SHM_LOAD(&k->status->word)) != SHM_PARKED)
        atomic_fetch_add(&k->announced_unparked, 1);
    atomic_store(&k->pauses, pause);
    return 0;
}

static void guest_pauses(struct worker *k)
{
    if (gate_enter(&k->gate) != 0)
        return;
    while (!atomic_load(&k->quit)) {
        guest_step(k);
        if (gate_pause(&k->gate, announce, k) != 0)
            return;
        /* The answer is there when it goes on. */
        uint64_t pause = atomic_load(&k->pauses);
        if (SHM_LOAD(&k->command->answered) < pause || atomic_load(&k->answer_seen) < pause)
            atomic_fetch_add(&k->early_leaves, 1);
    }
}

static void guest_idles(struct worker *k)
{
    while (!atomic_load(&k->quit)) {
        gate_leave(&k->gate, SHM_IDLE);
        struct pollfd p = {.fd = k->message_fd, .events = POLLIN};
        uint64_t messages;
        if (poll(&p, 1, 1000) <= 0 || read(k->message_fd, &messages, sizeof messages) < 0)
            continue;
        (void)drain(k);
        if (gate_enter(&k->gate) != 0)
            return;
        guest_step(k);
    }
}

static void guest_blocks(struct worker *k)
{
    while (!atomic_load(&k->quit)) {
        uint64_t deadline = gate_clock_ns(&k->gate) + k->block_ns;
        gate_leave(&k->gate, SHM_BLOCKED);
        int r = 0;
        while (r == 0)
            r = gate_block(&k->gate, deadline);
        if (r < 0 || gate_enter(&k->gate) != 0)
            return;
        if (gate_clock_ns(&k->gate) < deadline)
            atomic_fetch_add(&k->early, 1);
        guest_step(k);
    }
}

static void *worker_main(void *userdata)
{
    struct worker *k = userdata;
    static void (*const guests[])(struct worker *) = {[GUEST_SPINS] = guest_spins,
                                                      [GUEST_IDLES] = guest_idles,
                                                      [GUEST_PAUSES] = guest_pauses,
                                                      [GUEST_BLOCKS] = guest_blocks};
    guests[k->guest](k);
    gate_leave(&k->gate, SHM_IDLE);
    return NULL;
}

/* ---- the daemon's side */

static int cast_setup(void **state)
{
    struct cast *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(stop_world_init(&c->w), 0);
    *state = c;
    return 0;
}

/* A worker without a thread: the test plays it through k->gate. Not yet admitted. */
static struct worker *cast_add(struct cast *c, enum guest guest)
{
    struct worker *k = &c->workers[c->n++];
    struct stop_gate *g = &k->daemon_half;
    k->guest = guest;
    k->world_is_still = &c->still;
    assert_int_equal(stop_gate_init(g, &c->w, k), 0);
    assert_int_equal(map_attach(c->w.page_fd, MAP_WRITER_PEER, (void **)&k->world), 0);
    assert_int_equal(map_attach(g->command_fd, MAP_WRITER_PEER, (void **)&k->command), 0);
    assert_int_equal(map_attach(g->status_fd, MAP_WRITER_SELF, (void **)&k->status), 0);
    k->message_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(k->message_fd >= 0);
    stop_gate_handed_over(g);
    gate_init(&k->gate, k->world, k->command, k->status, g->kick_fd, drain, k);
    k->gate.serve = serve;
    return k;
}

static void worker_start(struct worker *k)
{
    assert_int_equal(pthread_create(&k->thread, NULL, worker_main, k), 0);
}

static struct worker *cast_start(struct cast *c, enum guest guest)
{
    struct worker *k = cast_add(c, guest);
    k->block_ns = 20 * MS;
    worker_start(k);
    stop_admit(&k->daemon_half);
    return k;
}

static void answer(struct worker *k, uint64_t pause)
{
    atomic_store(&k->answer_sent, pause);
    stop_answer(&k->daemon_half, pause);
}

static void worker_message(struct worker *k)
{
    uint64_t one = 1;
    assert_int_equal(write(k->message_fd, &one, sizeof one), sizeof one);
}

/* Whatever it does: it reads its message, or hears its bell, or both. */
static void worker_ask(struct worker *k)
{
    atomic_store(&k->ask, true);
    worker_message(k);
    stop_message_sent(&k->daemon_half);
}

static int cast_teardown(void **state)
{
    struct cast *c = *state;
    int r = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct worker *k = &c->workers[i];
        atomic_store(&k->quit, true);
        if (k->thread) {
            worker_message(k);
            stop_ring(&k->daemon_half);
            pthread_join(k->thread, NULL);
        }
        assert_int_equal(k->served_unparked + k->announced_unparked + k->early_leaves, 0);
        if (k->escapes || k->clock_back || k->early || SHM_LOAD(&k->status->lost_wakes)) {
            print_error(
                "worker %zu: %lu steps behind a closed gate, clock back %lu times, %lu early "
                "time-outs, %lu lost wakes\n",
                i, (unsigned long)k->escapes, (unsigned long)k->clock_back, (unsigned long)k->early,
                (unsigned long)SHM_LOAD(&k->status->lost_wakes));
            r = -1;
        }
        stop_gate_done(&k->daemon_half);
        map_done(k->world);
        map_done(k->command);
        map_done(k->status);
        close(k->message_fd);
    }
    stop_world_done(&c->w);
    free(c);
    return r;
}

/* Waits until the condition holds, which something else brings about. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t await_start_ = shm_now_ns();                                                      \
        while (!(condition)) {                                                                     \
            if (shm_now_ns() - await_start_ > HANG_NS)                                             \
                fail_msg("waited too long for %s", #condition);                                    \
            sched_yield();                                                                         \
        }                                                                                          \
    } while (0)

/* As the daemon does it: kick one that is missing, sleep until it says that it has arrived. There
 * is no timer here that would find what the kick has missed. */
static void world_stop(struct cast *c)
{
    struct pollfd p[8];
    stop_close(&c->w);
    stop_settle(&c->w);
    while (stop_kick(&c->w) > 0) {
        for (size_t i = 0; i < c->n; i++)
            p[i] = (struct pollfd){.fd = c->workers[i].daemon_half.kick_fd, .events = POLLIN};
        if (poll(p, c->n, (int)(HANG_NS / MS)) <= 0)
            fail_msg("a worker was kicked and never arrived");
        for (size_t i = 0; i < c->n; i++) {
            uint64_t n;
            if (p[i].revents)
                (void)!read(p[i].fd, &n, sizeof n);
        }
        stop_scan(&c->w);
    }
    atomic_store(&c->still, true);
}

static void world_resume(struct cast *c)
{
    atomic_store(&c->still, false);
    stop_open(&c->w);
}

static void rounds_pass(struct cast *c, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        world_stop(c);
        sched_yield();
        world_resume(c);
    }
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000 * MS)};
    nanosleep(&t, NULL);
}

/* ---- tests */

static void a_stop_completes_and_nothing_runs_until_the_resume(void **state)
{
    struct cast *c = *state;
    struct worker *spins = cast_start(c, GUEST_SPINS), *also = cast_start(c, GUEST_SPINS);
    struct worker *idles = cast_start(c, GUEST_IDLES), *blocks = cast_start(c, GUEST_BLOCKS);
    AWAIT(spins->steps > 100 && also->steps > 100 && blocks->steps > 0);
    AWAIT(stop_state(&idles->daemon_half) == SHM_IDLE);
    AWAIT(stop_state(&spins->daemon_half) == SHM_RUNNING);

    world_stop(c);
    uint64_t steps[4];
    for (size_t i = 0; i < c->n; i++) {
        struct stop_gate *g = &c->workers[i].daemon_half;
        assert_true(stop_is_still(g));
        assert_true(stop_slot(g)->how == STOP_ACKED || stop_slot(g)->how == STOP_HELD);
        assert_true(stop_slot(g)->arrived_ns >= stop_slot(g)->closed_ns);
        steps[i] = c->workers[i].steps;
    }
    assert_int_equal(stop_slot(&spins->daemon_half)->how, STOP_ACKED);
    assert_int_equal(stop_slot(&spins->daemon_half)->was, SHM_RUNNING);
    assert_int_equal(stop_slot(&idles->daemon_half)->how, STOP_HELD);
    assert_int_equal(stop_slot(&idles->daemon_half)->was, SHM_IDLE);
    sleep_ms(50);
    for (size_t i = 0; i < c->n; i++)
        assert_int_equal(c->workers[i].steps, steps[i]);

    world_resume(c);
    AWAIT(spins->steps > steps[0] && also->steps > steps[1] && blocks->steps > steps[3]);
    assert_int_equal(idles->steps, 0);
}

static void no_wake_is_lost_in_many_stops(void **state)
{
    struct cast *c = *state;
    for (int i = 0; i < 3; i++)
        cast_start(c, GUEST_SPINS);
    struct worker *idles = cast_start(c, GUEST_IDLES), *blocks = cast_start(c, GUEST_BLOCKS);
    blocks->block_ns = MS / 10;
    for (int i = 0; i < 3000; i++) {
        worker_message(idles);
        rounds_pass(c, 1);
    }
    uint64_t before = c->workers[0].steps;
    AWAIT(c->workers[0].steps > before);
}

static void every_change_of_the_world_has_an_epoch_of_its_own(void **state)
{
    struct cast *c = *state;
    assert_int_equal(c->w.epoch, 1);
    world_stop(c);
    assert_int_equal(c->w.epoch, 2);
    assert_int_equal(SHM_LOAD(&c->w.page->word), shm_world_word(2, false));
    world_resume(c);
    assert_int_equal(c->w.epoch, 3);
    assert_int_equal(SHM_LOAD(&c->w.page->word), shm_world_word(3, true));
}

static void an_idle_vm_that_is_woken_behind_its_gate_parks(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_IDLES);
    AWAIT(stop_state(&k->daemon_half) == SHM_IDLE);
    world_stop(c);
    worker_message(k);
    AWAIT(stop_state(&k->daemon_half) == SHM_PARKED);
    assert_int_equal(k->steps, 0);
    /* It was counted as held, and stays counted. */
    assert_int_equal(stop_slot(&k->daemon_half)->how, STOP_HELD);
    world_resume(c);
    AWAIT(k->steps == 1);
}

static void a_vm_is_born_behind_a_closed_gate(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    assert_false(stop_slot(&k->daemon_half)->open);
    assert_true(stop_slot(&k->daemon_half)->arrived);
    worker_start(k);
    AWAIT(stop_state(&k->daemon_half) == SHM_PARKED);
    assert_int_equal(k->steps, 0);
    stop_admit(&k->daemon_half);
    AWAIT(k->steps > 0);
}

static void a_vm_born_in_a_stopped_world_waits_for_the_resume(void **state)
{
    struct cast *c = *state;
    cast_start(c, GUEST_SPINS);
    world_stop(c);
    struct worker *k = cast_start(c, GUEST_SPINS);
    AWAIT(stop_state(&k->daemon_half) == SHM_PARKED);
    assert_true(stop_is_still(&k->daemon_half));
    assert_int_equal(c->w.n_missing, 0);
    world_resume(c);
    AWAIT(k->steps > 0);
}

static void a_hold_closes_one_gate_and_the_last_release_opens_it(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS), *other = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    stop_hold(&k->daemon_half);
    stop_hold(&k->daemon_half);
    AWAIT(stop_scan(&c->w) == 0);
    atomic_store(&k->is_held, true);
    uint64_t before = k->steps, others = other->steps;
    AWAIT(other->steps > others + 1000);
    stop_release(&k->daemon_half);
    AWAIT(other->steps > others + 2000);
    assert_int_equal(k->steps, before);
    atomic_store(&k->is_held, false);
    stop_release(&k->daemon_half);
    AWAIT(k->steps > before);
}

static void a_held_vm_counts_in_a_stop_and_stays_held_after_it(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS), *other = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    stop_hold(&k->daemon_half);
    AWAIT(stop_scan(&c->w) == 0);
    atomic_store(&k->is_held, true);
    uint64_t before = k->steps, others;
    for (int i = 0; i < 100; i++)
        rounds_pass(c, 1);
    others = other->steps;
    AWAIT(other->steps > others);
    assert_int_equal(k->steps, before);
    /* Released inside a stop: it runs only after the resume. */
    world_stop(c);
    stop_release(&k->daemon_half);
    assert_int_equal(k->steps, before);
    atomic_store(&k->is_held, false);
    world_resume(c);
    AWAIT(k->steps > before);
}

static void a_hold_before_the_birth_is_done_outlasts_it(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    worker_start(k);
    stop_hold(&k->daemon_half);
    atomic_store(&k->is_held, true);
    stop_admit(&k->daemon_half);
    AWAIT(stop_state(&k->daemon_half) == SHM_PARKED);
    assert_int_equal(k->steps, 0);
    atomic_store(&k->is_held, false);
    stop_release(&k->daemon_half);
    AWAIT(k->steps > 0);
}

static void a_release_before_the_birth_is_done_opens_nothing(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    stop_hold(&k->daemon_half);
    stop_release(&k->daemon_half);
    assert_false(stop_slot(&k->daemon_half)->open);
    assert_false(gate_is_open(&k->gate));
}

static void the_world_clock_excludes_the_time_in_a_stop(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    uint64_t mono1 = shm_now_ns(), clock1 = stop_clock_ns(&k->daemon_half);
    world_stop(c);
    uint64_t from = shm_now_ns(), stands = stop_clock_ns(&k->daemon_half);
    sleep_ms(30);
    assert_int_equal(stop_clock_ns(&k->daemon_half), stands);
    uint64_t until = shm_now_ns();
    world_resume(c);
    uint64_t clock2 = stop_clock_ns(&k->daemon_half), mono2 = shm_now_ns();
    assert_true(until - from >= 30 * MS);
    assert_true((mono2 - mono1) - (clock2 - clock1) >= until - from);
    assert_true(clock2 >= stands);
}

static void the_world_clock_excludes_the_time_of_a_hold(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS), *other = cast_start(c, GUEST_SPINS);
    stop_hold(&k->daemon_half);
    uint64_t mine = stop_clock_ns(&k->daemon_half), theirs = stop_clock_ns(&other->daemon_half);
    sleep_ms(20);
    assert_int_equal(stop_clock_ns(&k->daemon_half), mine);
    assert_true(stop_clock_ns(&other->daemon_half) >= theirs + 20 * MS);
    stop_release(&k->daemon_half);
}

static void worker_and_daemon_read_the_same_clock(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    stop_admit(&k->daemon_half);
    for (int i = 0; i < 50; i++) {
        stop_close(&c->w);
        stop_settle(&c->w);
        assert_int_equal(gate_clock_ns(&k->gate), stop_clock_ns(&k->daemon_half));
        stop_open(&c->w);
        uint64_t before = stop_clock_ns(&k->daemon_half), now = gate_clock_ns(&k->gate);
        assert_true(before <= now && now <= stop_clock_ns(&k->daemon_half));
    }
}

/* The time-out comes due, by the clock on the wall, in the middle of the stop. */
static void a_stop_makes_no_time_out_fire(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_BLOCKS);
    k->block_ns = 20 * MS;
    worker_start(k);
    stop_admit(&k->daemon_half);
    AWAIT(k->steps > 0 && stop_state(&k->daemon_half) == SHM_BLOCKED);
    world_stop(c);
    uint64_t before = k->steps;
    /* It wakes up at its deadline, sees the closed gate, and parks. */
    AWAIT(stop_state(&k->daemon_half) == SHM_PARKED);
    assert_int_equal(k->steps, before);
    world_resume(c);
    AWAIT(k->steps > before);
    /* That it did not wake early is counted by guest_blocks() and held by the teardown. */
}

static void a_worker_that_never_parks_stays_missing_until_it_does(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    uint64_t n;
    stop_admit(&k->daemon_half);
    assert_int_equal(gate_enter(&k->gate), 0);
    stop_close(&c->w);
    stop_settle(&c->w);
    assert_int_equal(stop_kick(&c->w), 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(stop_scan(&c->w), 1);
    assert_int_equal(read(k->daemon_half.kick_fd, &n, sizeof n), -1);
    assert_false(stop_is_still(&k->daemon_half));
    /* Idle is enough; and the kick that was waiting is answered. */
    gate_leave(&k->gate, SHM_IDLE);
    assert_int_equal(read(k->daemon_half.kick_fd, &n, sizeof n), sizeof n);
    assert_int_equal(stop_scan(&c->w), 0);
    assert_int_equal(stop_slot(&k->daemon_half)->how, STOP_HELD);
    assert_true(stop_is_still(&k->daemon_half));
}

static void a_status_that_no_honest_worker_writes_is_no_arrival(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    stop_admit(&k->daemon_half);
    SHM_STORE(&k->status->word, 0xff);
    stop_close(&c->w);
    stop_settle(&c->w);
    assert_int_equal(stop_scan(&c->w), 1);
    SHM_STORE(&k->status->word, UINT64_MAX);
    assert_int_equal(stop_scan(&c->w), 1);
    SHM_STORE(&k->status->word, shm_status_word(0, SHM_STATE_MAX + 1));
    assert_int_equal(stop_scan(&c->w), 1);
    SHM_STORE(&k->status->word, shm_status_word(c->w.epoch, SHM_PARKED));
    assert_int_equal(stop_scan(&c->w), 0);
}

static void a_park_from_before_the_stop_is_held_and_one_since_is_acked(void **state)
{
    struct cast *c = *state;
    struct worker *old = cast_add(c, GUEST_SPINS), *young = cast_add(c, GUEST_SPINS);
    stop_admit(&old->daemon_half);
    stop_admit(&young->daemon_half);
    assert_int_equal(gate_enter(&young->gate), 0);
    gate_leave(&old->gate, SHM_PARKED);
    stop_close(&c->w);
    stop_settle(&c->w);
    assert_int_equal(stop_scan(&c->w), 1);
    gate_leave(&young->gate, SHM_PARKED);
    assert_int_equal(stop_scan(&c->w), 0);
    assert_int_equal(stop_slot(&old->daemon_half)->how, STOP_HELD);
    assert_int_equal(stop_slot(&young->daemon_half)->how, STOP_ACKED);
}

static void arrival_times_of_a_liar_are_not_believed(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    stop_admit(&k->daemon_half);
    assert_int_equal(gate_enter(&k->gate), 0);
    stop_close(&c->w);
    stop_settle(&c->w);
    gate_leave(&k->gate, SHM_PARKED);
    atomic_store(&k->status->parked_ns, UINT64_MAX);
    assert_int_equal(stop_scan(&c->w), 0);
    assert_true(stop_slot(&k->daemon_half)->arrived_ns >= stop_slot(&k->daemon_half)->closed_ns);
    assert_true(stop_slot(&k->daemon_half)->arrived_ns <= shm_now_ns());
}

static void a_running_vm_is_poked_once_for_each_closing(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    uint32_t seen = 0;
    stop_admit(&k->daemon_half);
    assert_int_equal(gate_enter(&k->gate), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        stop_close(&c->w);
        stop_settle(&c->w);
        stop_kick(&c->w);
        stop_hold(&k->daemon_half);
        stop_release(&k->daemon_half);
        gate_wait_poke(&k->gate, &seen, UINT64_MAX);
        assert_int_equal(seen, i);
        stop_open(&c->w);
    }
    gate_leave(&k->gate, SHM_IDLE);
    stop_close(&c->w);
    stop_settle(&c->w);
    assert_int_equal(SHM_LOAD(&k->command->poke), 3);
}

static void what_drain_says_ends_a_park(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    world_stop(c);
    atomic_store(&k->quit, true);
    stop_ring(&k->daemon_half);
    /* The thread leaves with gate_leave(IDLE); it made no further step. */
    AWAIT(stop_state(&k->daemon_half) == SHM_IDLE);
}

static void what_is_asked_of_a_still_vm_is_served_parked(void **state)
{
    struct cast *c = *state;
    static const enum guest guests[] = {GUEST_SPINS, GUEST_IDLES, GUEST_BLOCKS};
    for (size_t i = 0; i < 3; i++)
        worker_message(cast_start(c, guests[i]));
    for (size_t i = 0; i < c->n; i++)
        AWAIT(c->workers[i].steps > 0);
    for (uint64_t round = 1; round <= 200; round++) {
        world_stop(c);
        for (size_t i = 0; i < c->n; i++)
            worker_ask(&c->workers[i]);
        for (size_t i = 0; i < c->n; i++) {
            AWAIT(c->workers[i].served == round);
            assert_int_equal(stop_state(&c->workers[i].daemon_half), SHM_PARKED);
        }
        world_resume(c);
    }
}

static void what_is_asked_of_a_vm_that_waits_is_served_although_its_gate_is_open(void **state)
{
    struct cast *c = *state;
    struct worker *idles = cast_start(c, GUEST_IDLES), *blocks = cast_add(c, GUEST_BLOCKS);
    blocks->block_ns = 300 * MS;
    worker_start(blocks);
    stop_admit(&blocks->daemon_half);
    AWAIT(stop_state(&idles->daemon_half) == SHM_IDLE);
    AWAIT(stop_state(&blocks->daemon_half) == SHM_BLOCKED);
    for (uint64_t round = 1; round <= 20; round++)
        for (size_t i = 0; i < c->n; i++) {
            struct worker *k = &c->workers[i];
            worker_ask(k);
            AWAIT(k->served == round);
        }
    AWAIT(blocks->steps > 0);
}

static void a_vm_that_is_asked_on_its_way_through_an_open_gate_parks_for_it(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    stop_admit(&k->daemon_half);
    k->gate.asked = true;
    assert_int_equal(gate_enter(&k->gate), 0);
    assert_int_equal(k->served, 1);
    assert_int_equal(stop_state(&k->daemon_half), SHM_RUNNING);
    assert_int_equal(gate_poll(&k->gate), 0);
    assert_int_equal(k->served, 1);
    k->gate.asked = true;
    assert_int_equal(gate_poll(&k->gate), 0);
    assert_int_equal(k->served, 2);
    assert_int_equal(stop_state(&k->daemon_half), SHM_RUNNING);
    gate_leave(&k->gate, SHM_IDLE);
}

static void a_worker_that_goes_away_is_not_missing(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS), *other = cast_add(c, GUEST_SPINS);
    stop_admit(&k->daemon_half);
    stop_admit(&other->daemon_half);
    assert_int_equal(gate_enter(&k->gate), 0);
    assert_int_equal(gate_enter(&other->gate), 0);
    stop_close(&c->w);
    stop_settle(&c->w);
    assert_int_equal(c->w.n_missing, 2);
    stop_gate_done(&k->daemon_half);
    assert_int_equal(c->w.n_missing, 1);
    gate_leave(&other->gate, SHM_IDLE);
    assert_int_equal(stop_scan(&c->w), 0);
}

static void a_pause_holds_whatever_the_gate_says_until_it_is_answered(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_PAUSES);
    AWAIT(k->pauses == 1);
    assert_true(stop_is_paused(&k->daemon_half));
    for (int i = 0; i < 100; i++)
        rounds_pass(c, 1);
    stop_hold(&k->daemon_half);
    stop_release(&k->daemon_half);
    assert_int_equal(k->steps, 1);
    assert_int_equal(stop_state(&k->daemon_half), SHM_PARKED);
    answer(k, 1);
    AWAIT(k->pauses == 2);
    assert_true(stop_is_paused(&k->daemon_half));
    assert_int_equal(k->steps, 2);
    /* An answer from before is none. */
    answer(k, 1);
    sleep_ms(20);
    assert_int_equal(k->steps, 2);
    answer(k, 2);
    AWAIT(k->pauses == 3);
}

static void a_pause_that_is_answered_behind_a_closed_gate_waits_for_it(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_PAUSES);
    AWAIT(k->pauses == 1);
    world_stop(c);
    assert_true(stop_is_still(&k->daemon_half));
    answer(k, 1);
    sleep_ms(20);
    assert_int_equal(k->steps, 1);
    world_resume(c);
    AWAIT(k->pauses == 2);
}

static void no_answer_is_lost_in_many_pauses_and_stops(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_PAUSES), *other = cast_start(c, GUEST_PAUSES);
    for (uint64_t i = 1; i <= 2000; i++) {
        AWAIT(k->pauses == i && other->pauses == i);
        if (i % 3 == 0)
            world_stop(c);
        answer(k, i);
        if (i % 3 == 0)
            world_resume(c);
        else if (i % 5 == 0)
            rounds_pass(c, 1);
        answer(other, i);
    }
    AWAIT(k->steps == 2001 && other->steps == 2001);
}

static void what_is_asked_of_a_vm_that_pauses_is_served_parked(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_PAUSES);
    for (uint64_t i = 1; i <= 200; i++) {
        AWAIT(k->pauses == i);
        worker_ask(k);
        AWAIT(k->served == i);
        assert_int_equal(stop_state(&k->daemon_half), SHM_PARKED);
        assert_int_equal(k->steps, i);
        answer(k, i);
    }
}

static void an_evaluation_runs_behind_the_closed_gate_until_it_is_withdrawn(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    for (uint64_t n = 1; n <= 200; n++) {
        world_stop(c);
        stop_allow(&k->daemon_half, n);
        atomic_store(&k->wanted, n);
        worker_ask(k);
        AWAIT(k->evaluates);
        /* It counts as arrived all the time. */
        assert_int_equal(stop_state(&k->daemon_half), SHM_EVALUATING);
        assert_int_equal(stop_scan(&c->w), 0);
        while (stop_withdraw(&k->daemon_half))
            sched_yield();
        assert_false(k->evaluates);
        assert_int_equal(k->evaluated, n);
        world_resume(c);
    }
    assert_int_equal(k->refused, 0);
}

static void an_evaluation_that_is_not_named_does_not_run(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    world_stop(c);
    atomic_store(&k->wanted, 7);
    worker_ask(k);
    AWAIT(k->refused == 1);
    stop_allow(&k->daemon_half, 8);
    atomic_store(&k->wanted, 7);
    worker_ask(k);
    AWAIT(k->refused == 2);
    /* Withdrawn before it came. */
    assert_false(stop_withdraw(&k->daemon_half));
    atomic_store(&k->wanted, 8);
    worker_ask(k);
    AWAIT(k->refused == 3);
    assert_int_equal(k->evaluated, 0);
}

/* Whichever comes first: once it is withdrawn and none runs, none will. */
static void a_withdrawal_and_an_evaluation_that_begins_see_each_other(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_start(c, GUEST_SPINS);
    AWAIT(k->steps > 0);
    for (uint64_t n = 1; n <= 2000; n++) {
        world_stop(c);
        stop_allow(&k->daemon_half, n);
        atomic_store(&k->wanted, n);
        worker_ask(k);
        for (uint64_t spin = 0; spin < n % 7 * 100; spin++)
            atomic_signal_fence(memory_order_seq_cst);
        while (stop_withdraw(&k->daemon_half))
            sched_yield();
        assert_false(k->evaluates);
        AWAIT(k->evaluated + k->refused == n);
        world_resume(c);
    }
}

static void a_watcher_is_told_of_an_evaluation_that_is_late(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    uint32_t seen = 0;
    stop_admit(&k->daemon_half);
    gate_leave(&k->gate, SHM_PARKED);
    stop_close(&c->w);
    stop_settle(&c->w);
    stop_allow(&k->daemon_half, 3);
    assert_int_equal(gate_evaluate(&k->gate, 3), 0);
    assert_false(gate_is_late(&k->gate));
    assert_true(stop_withdraw(&k->daemon_half));
    assert_true(gate_wait_poke(&k->gate, &seen, UINT64_MAX));
    assert_true(gate_is_late(&k->gate) && !gate_may_evaluate(&k->gate));
    gate_evaluated(&k->gate);
    assert_false(gate_is_late(&k->gate) || stop_withdraw(&k->daemon_half));
}

struct watching {
    struct gate *gate;
    _Atomic uint64_t returns;
    _Atomic bool quit;
};

static void *watch(void *userdata)
{
    struct watching *x = userdata;
    uint32_t seen = 0;
    while (!atomic_load(&x->quit)) {
        (void)gate_wait_poke(x->gate, &seen, UINT64_MAX);
        atomic_fetch_add(&x->returns, 1);
    }
    return NULL;
}

static void a_watcher_that_is_woken_returns_for_each_time(void **state)
{
    struct cast *c = *state;
    struct worker *k = cast_add(c, GUEST_SPINS);
    struct watching x = {.gate = &k->gate};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &x), 0);
    for (uint64_t i = 1; i <= 5000; i++) {
        gate_wake_watcher(&k->gate);
        AWAIT(x.returns >= i);
    }
    atomic_store(&x.quit, true);
    gate_wake_watcher(&k->gate);
    pthread_join(thread, NULL);
}

#define CAST_TEST(f) cmocka_unit_test_setup_teardown(f, cast_setup, cast_teardown)

static const struct CMUnitTest tests[] = {
    CAST_TEST(a_stop_completes_and_nothing_runs_until_the_resume),
    CAST_TEST(no_wake_is_lost_in_many_stops),
    CAST_TEST(every_change_of_the_world_has_an_epoch_of_its_own),
    CAST_TEST(an_idle_vm_that_is_woken_behind_its_gate_parks),
    CAST_TEST(a_vm_is_born_behind_a_closed_gate),
    CAST_TEST(a_vm_born_in_a_stopped_world_waits_for_the_resume),
    CAST_TEST(a_hold_closes_one_gate_and_the_last_release_opens_it),
    CAST_TEST(a_held_vm_counts_in_a_stop_and_stays_held_after_it),
    CAST_TEST(a_hold_before_the_birth_is_done_outlasts_it),
    CAST_TEST(a_release_before_the_birth_is_done_opens_nothing),
    CAST_TEST(the_world_clock_excludes_the_time_in_a_stop),
    CAST_TEST(the_world_clock_excludes_the_time_of_a_hold),
    CAST_TEST(worker_and_daemon_read_the_same_clock),
    CAST_TEST(a_stop_makes_no_time_out_fire),
    CAST_TEST(a_worker_that_never_parks_stays_missing_until_it_does),
    CAST_TEST(a_status_that_no_honest_worker_writes_is_no_arrival),
    CAST_TEST(a_park_from_before_the_stop_is_held_and_one_since_is_acked),
    CAST_TEST(arrival_times_of_a_liar_are_not_believed),
    CAST_TEST(a_running_vm_is_poked_once_for_each_closing),
    CAST_TEST(what_drain_says_ends_a_park),
    CAST_TEST(what_is_asked_of_a_still_vm_is_served_parked),
    CAST_TEST(what_is_asked_of_a_vm_that_waits_is_served_although_its_gate_is_open),
    CAST_TEST(a_vm_that_is_asked_on_its_way_through_an_open_gate_parks_for_it),
    CAST_TEST(a_worker_that_goes_away_is_not_missing),
    CAST_TEST(a_pause_holds_whatever_the_gate_says_until_it_is_answered),
    CAST_TEST(a_pause_that_is_answered_behind_a_closed_gate_waits_for_it),
    CAST_TEST(no_answer_is_lost_in_many_pauses_and_stops),
    CAST_TEST(what_is_asked_of_a_vm_that_pauses_is_served_parked),
    CAST_TEST(an_evaluation_runs_behind_the_closed_gate_until_it_is_withdrawn),
    CAST_TEST(an_evaluation_that_is_not_named_does_not_run),
    CAST_TEST(a_withdrawal_and_an_evaluation_that_begins_see_each_other),
    CAST_TEST(a_watcher_is_told_of_an_evaluation_that_is_late),
    CAST_TEST(a_watcher_that_is_woken_returns_for_each_time),
};

UNIT_MAIN(tests)

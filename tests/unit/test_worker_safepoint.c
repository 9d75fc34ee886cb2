/* The watcher, and what a signal does. The engine here only counts its interrupts, and can be made
 * to wait inside one, as a watcher that does not come to it does. */
#include "tests/support/unit.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "shared-mem/futex.h"
#include "worker/safepoint.h"

#define PATIENCE_NS 20000000000u

static struct world_page world;
static struct command_page command;
static struct status_page status;
static struct safepoint safepoint;
static _Atomic unsigned n_interrupts, n_interrupts_here, n_yields;
static _Atomic bool is_held;
static sem_t inside, let_go;

int __real_sched_yield(void);
int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
    atomic_fetch_add(&n_yields, 1);
    return __real_sched_yield();
}

static void interrupt(struct engine *e)
{
    (void)e;
    atomic_fetch_add(&n_interrupts, 1);
    if (!atomic_load(&is_held))
        return;
    sem_post(&inside);
    sem_wait(&let_go);
}

static void interrupt_here(struct engine *e)
{
    (void)e;
    atomic_fetch_add(&n_interrupts_here, 1);
    errno = ENOTTY;
}

static const struct engine_ops ops = {.interrupt = interrupt, .interrupt_here = interrupt_here};

/* The gate is closed, and the VM runs: what a watcher is poked for. */
static void poke(void)
{
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    atomic_fetch_add(&command.poke, 1);
    futex_wake(&command.poke, 1);
}

static void wait_until_poke_is_served(void)
{
    uint64_t start_ns = shm_now_ns();
    while (gate_is_poked(&safepoint.gate, safepoint.poke_seen) &&
           shm_now_ns() - start_ns < PATIENCE_NS)
        (void)__real_sched_yield();
    assert_false(gate_is_poked(&safepoint.gate, safepoint.poke_seen));
}

/* Handled before raise() returns. */
static unsigned yields_of_a_nudge(void)
{
    unsigned before = atomic_load(&n_yields);
    assert_int_equal(raise(SHM_SIGNAL), 0);
    return atomic_load(&n_yields) - before;
}

static unsigned interrupts_of_a_signal(void)
{
    unsigned before = atomic_load(&n_interrupts_here);
    assert_int_equal(raise(SHM_SIGNAL), 0);
    return atomic_load(&n_interrupts_here) - before;
}

static void a_signal_interrupts_a_vm_whose_gate_is_closed_once_for_each_poke(void **state)
{
    (void)state;
    unsigned before = atomic_load(&n_interrupts);
    gate_takes_signals(&safepoint.gate, true);
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    for (unsigned stop = 0; stop < 3; stop++) {
        atomic_fetch_add(&command.poke, 1); /* and nobody wakes the watcher */
        assert_int_equal(interrupts_of_a_signal(), 1);
        assert_int_equal(interrupts_of_a_signal(), 0);
        assert_int_equal(yields_of_a_nudge(), 1); /* of one that comes no nearer its gate */
    }
    assert_int_equal(atomic_load(&n_interrupts), before);
}

static void a_signal_to_a_vm_that_may_run_or_does_not_changes_nothing(void **state)
{
    (void)state;
    atomic_fetch_add(&command.poke, 1);
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    atomic_store(&world.word, shm_world_word(1, true));
    atomic_store(&command.word, shm_command_word(0, true));
    assert_int_equal(interrupts_of_a_signal(), 0);
    assert_int_equal(yields_of_a_nudge(), 0);
    atomic_store(&world.word, 0);
    atomic_store(&command.word, 0);
    atomic_store(&status.word, shm_status_word(1, SHM_IDLE));
    assert_int_equal(interrupts_of_a_signal(), 0);
    assert_int_equal(yields_of_a_nudge(), 0);
    /* It was none of its business, and is now. */
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    assert_int_equal(interrupts_of_a_signal(), 1);
}

static void a_signal_leaves_errno_as_it_was(void **state)
{
    (void)state;
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    atomic_fetch_add(&command.poke, 1);
    errno = EBADF;
    unsigned n = interrupts_of_a_signal();
    assert_int_equal(errno, EBADF);
    assert_int_equal(n, 1);
}

static void an_engine_that_needs_its_watcher_is_left_to_it(void **state)
{
    (void)state;
    safepoint_need_watcher(&safepoint);
    assert_int_equal(atomic_load(&status.takes_signals), 0);
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    atomic_fetch_add(&command.poke, 1);
    assert_int_equal(interrupts_of_a_signal(), 0);
    assert_int_equal(yields_of_a_nudge(), 1);
}

static void a_nudged_vm_yields_until_its_watcher_has_interrupted_it(void **state)
{
    (void)state;
    gate_takes_signals(&safepoint.gate, false);
    unsigned before = atomic_load(&n_interrupts);
    atomic_store(&is_held, true);
    poke();
    assert_int_equal(sem_wait(&inside), 0);
    assert_int_equal(yields_of_a_nudge(), 1);
    assert_int_equal(yields_of_a_nudge(), 1);
    atomic_store(&is_held, false);
    atomic_store(&status.word, shm_status_word(1, SHM_PARKED)); /* or it is asked again */
    sem_post(&let_go);
    wait_until_poke_is_served();
    assert_int_equal(yields_of_a_nudge(), 0);
    assert_int_equal(atomic_load(&n_interrupts) - before, 1);
}

static void a_poke_that_comes_too_late_for_an_interrupt_is_served_all_the_same(void **state)
{
    (void)state;
    unsigned before = atomic_load(&n_interrupts);
    atomic_store(&status.word, shm_status_word(1, SHM_PARKED));
    atomic_fetch_add(&command.poke, 1);
    futex_wake(&command.poke, 1);
    wait_until_poke_is_served();
    assert_int_equal(yields_of_a_nudge(), 0);
    assert_int_equal(atomic_load(&n_interrupts), before);
}

static void a_vm_that_nobody_wants_to_stop_is_not_slowed_by_a_nudge(void **state)
{
    (void)state;
    assert_int_equal(atomic_load(&status.takes_signals), 1); /* as the engine says that it can */
    atomic_store(&status.word, shm_status_word(1, SHM_RUNNING));
    assert_int_equal(yields_of_a_nudge(), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_vm_that_nobody_wants_to_stop_is_not_slowed_by_a_nudge),
    cmocka_unit_test(a_nudged_vm_yields_until_its_watcher_has_interrupted_it),
    cmocka_unit_test(a_poke_that_comes_too_late_for_an_interrupt_is_served_all_the_same),
    cmocka_unit_test(a_signal_interrupts_a_vm_whose_gate_is_closed_once_for_each_poke),
    cmocka_unit_test(a_signal_to_a_vm_that_may_run_or_does_not_changes_nothing),
    cmocka_unit_test(a_signal_leaves_errno_as_it_was),
    cmocka_unit_test(an_engine_that_needs_its_watcher_is_left_to_it),
};

static void prepare(void)
{
    if (sem_init(&inside, 0, 0) < 0 || sem_init(&let_go, 0, 0) < 0)
        abort();
    safepoint_init(&safepoint, &world, &command, &status, -1, NULL);
    if (safepoint_start(&safepoint) < 0)
        abort();
    safepoint_watch(&safepoint, &ops, NULL);
}

UNIT_MAIN_PREPARED(tests, prepare)

/* The VMs are children that block the signal: the kernel says of each whether it has one. */
#include "tests/support/unit.h"

#include <event2/event.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/nudge.h"
#include "daemon/worker.h"
#include "shared-mem/futex.h"

#define VMS 3
#define PATIENCE_S 20
#define LONGER_THAN_ANY_MS 50

static struct {
    struct event_base *base;
    struct event *over;
    struct stop_world world;
    struct nudge *nudge;
    struct worker workers[VMS];
    struct status_page *status[VMS]; /* as its worker maps it */
    _Atomic unsigned n_woken;
} cast;

static pid_t child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static void show(size_t vm, enum shm_state state)
{
    atomic_store(&cast.status[vm]->word, shm_status_word(cast.world.epoch, state));
}

static int set_up(void **state)
{
    (void)state;
    sigset_t nudges;
    sigemptyset(&nudges);
    sigaddset(&nudges, SHM_SIGNAL);
    sigprocmask(SIG_BLOCK, &nudges, NULL);
    memset(&cast, 0, sizeof cast);
    cast.base = event_base_new();
    if (!cast.base || stop_world_init(&cast.world) < 0)
        return -1;
    for (size_t i = 0; i < VMS; i++) {
        struct worker *w = &cast.workers[i];
        w->pid = child();
        w->pidfd = pidfd_open(w->pid, 0);
        if (w->pidfd < 0 || stop_gate_init(&w->gate, &cast.world, w) < 0)
            return -1;
        cast.status[i] =
            mmap(NULL, SHM_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->gate.status_fd, 0);
        if (cast.status[i] == MAP_FAILED)
            return -1;
        stop_admit(&w->gate);
        show(i, SHM_RUNNING);
    }
    cast.nudge = nudge_new(cast.base, &cast.world);
    return cast.nudge ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    cast.nudge = nudge_free(cast.nudge);
    for (size_t i = 0; i < VMS; i++) {
        struct worker *w = &cast.workers[i];
        kill(w->pid, SIGKILL);
        waitpid(w->pid, NULL, 0);
        close(w->pidfd);
        munmap(cast.status[i], SHM_PAGE_BYTES);
        stop_gate_done(&w->gate);
    }
    stop_world_done(&cast.world);
    if (cast.over)
        event_free(cast.over);
    event_base_free(cast.base);
    return 0;
}

static bool is_nudged(size_t vm)
{
    char path[64], line[256];
    unsigned long long pending = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)cast.workers[vm].pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "ShdPnd: %llx", &pending) == 1)
            break;
    fclose(f);
    return pending & 1ull << (SHM_SIGNAL - 1);
}

static void on_over(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what, (void)userdata;
    event_base_loopbreak(cast.base);
}

static void let_loop_run(unsigned ms)
{
    const struct timeval most = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    cast.over = event_new(cast.base, -1, 0, on_over, NULL);
    assert_non_null(cast.over);
    event_add(cast.over, &most);
}

static void a_stop_signals_whom_that_brings_to_its_gate(void **state)
{
    (void)state;
    for (size_t i = 0; i < VMS; i++)
        cast.workers[i].gate.pidfd = cast.workers[i].pidfd;
    atomic_store(&cast.status[0]->takes_signals, 1);
    atomic_store(&cast.status[2]->takes_signals, 1);
    show(2, SHM_IDLE);
    stop_close(&cast.world);
    assert_true(is_nudged(0));
    assert_false(is_nudged(1)); /* its watcher was woken */
    assert_false(is_nudged(2));
    for (size_t i = 0; i < VMS; i++)
        assert_int_equal(atomic_load(&cast.workers[i].gate.command->poke), i < 2);
}

/* A watcher: sleeps until the word that it sleeps on has changed, and it was woken. */
static void *watch(void *userdata)
{
    struct stop_gate *g = userdata;
    futex_wait(&g->command->poke, 0, UINT64_MAX);
    atomic_store(&cast.n_woken, 1);
    return NULL;
}

static pthread_t watcher_of(size_t vm)
{
    pthread_t watcher;
    assert_int_equal(pthread_create(&watcher, NULL, watch, &cast.workers[vm].gate), 0);
    /* Moves nobody, and says whether there is somebody. */
    _Atomic uint32_t *word = &cast.workers[vm].gate.command->poke;
    while (syscall(SYS_futex, word, FUTEX_CMP_REQUEUE, 0, 1, word, 0) < 1)
        sched_yield();
    return watcher;
}

static void a_hold_and_one_that_cannot_be_signalled_wake_the_watcher(void **state)
{
    (void)state;
    struct worker *w = &cast.workers[0];
    atomic_store(&cast.status[0]->takes_signals, 1);
    w->gate.pidfd = w->pidfd;
    pthread_t watcher = watcher_of(0);
    stop_hold(&w->gate);
    assert_int_equal(pthread_join(watcher, NULL), 0);
    assert_false(is_nudged(0));

    w = &cast.workers[1];
    atomic_store(&cast.status[1]->takes_signals, 1);
    w->gate.pidfd = cast.world.page_fd; /* no process */
    watcher = watcher_of(1);
    stop_close(&cast.world);
    assert_int_equal(pthread_join(watcher, NULL), 0);
    stop_release(&cast.workers[0].gate);
}

static void whom_a_signal_has_not_brought_its_watcher_is_woken_for(void **state)
{
    (void)state;
    struct worker *w = &cast.workers[0];
    atomic_store(&cast.status[0]->takes_signals, 1);
    w->gate.pidfd = w->pidfd;
    pthread_t watcher = watcher_of(0);
    stop_close(&cast.world);
    assert_int_equal(atomic_load(&cast.n_woken), 0);
    nudge_begin(cast.nudge);
    let_loop_run(PATIENCE_S * 1000);
    while (!atomic_load(&cast.n_woken) && !event_base_got_break(cast.base))
        event_base_loop(cast.base, EVLOOP_ONCE);
    assert_int_equal(atomic_load(&cast.n_woken), 1);
    assert_int_equal(pthread_join(watcher, NULL), 0);
}

static void who_runs_on_is_nudged_and_nobody_else(void **state)
{
    (void)state;
    show(1, SHM_IDLE);
    stop_close(&cast.world);
    assert_int_equal(cast.world.n_missing, 2);
    nudge_begin(cast.nudge);
    show(2, SHM_PARKED); /* and nobody has looked since */
    let_loop_run(PATIENCE_S * 1000);
    while (!is_nudged(0) && !event_base_got_break(cast.base))
        event_base_loop(cast.base, EVLOOP_ONCE);
    assert_true(is_nudged(0));
    assert_false(is_nudged(1));
    assert_false(is_nudged(2));
}

static void after_its_end_a_stop_nudges_nobody(void **state)
{
    (void)state;
    stop_close(&cast.world);
    nudge_begin(cast.nudge);
    nudge_end(cast.nudge);
    let_loop_run(LONGER_THAN_ANY_MS);
    event_base_dispatch(cast.base);
    for (size_t i = 0; i < VMS; i++)
        assert_false(is_nudged(i));
}

static void a_vm_whose_process_is_not_there_yet_is_left_alone(void **state)
{
    (void)state;
    int pidfd = cast.workers[0].pidfd;
    cast.workers[0].pidfd = -1;
    stop_close(&cast.world);
    nudge_begin(cast.nudge);
    let_loop_run(PATIENCE_S * 1000);
    while (!is_nudged(1) && !event_base_got_break(cast.base))
        event_base_loop(cast.base, EVLOOP_ONCE);
    cast.workers[0].pidfd = pidfd;
    assert_true(is_nudged(1));
    assert_false(is_nudged(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_stop_signals_whom_that_brings_to_its_gate),
    TEST(a_hold_and_one_that_cannot_be_signalled_wake_the_watcher),
    TEST(whom_a_signal_has_not_brought_its_watcher_is_woken_for),
    TEST(who_runs_on_is_nudged_and_nobody_else),
    TEST(after_its_end_a_stop_nudges_nobody),
    TEST(a_vm_whose_process_is_not_there_yet_is_left_alone),
};

UNIT_MAIN(tests)

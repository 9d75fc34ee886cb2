/* The VMs are children that block the signal: the kernel says of each whether it has one. */
#include "tests/support/unit.h"

#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/nudge.h"
#include "daemon/worker.h"

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
    sigaddset(&nudges, SHM_NUDGE);
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
    return pending & 1ull << (SHM_NUDGE - 1);
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
    TEST(who_runs_on_is_nudged_and_nobody_else),
    TEST(after_its_end_a_stop_nudges_nobody),
    TEST(a_vm_whose_process_is_not_there_yet_is_left_alone),
};

UNIT_MAIN(tests)

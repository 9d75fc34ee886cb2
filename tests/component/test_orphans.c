/* Real processes, made as the zygote makes workers: without an exit signal. */
#include "tests/support/unit.h"

#include <event2/event.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/orphans.h"

static struct event_base *base;
static pid_t known;

static bool is_known(void *userdata, pid_t pid)
{
    (void)userdata;
    return pid == known;
}

static pid_t worker_that_dies(uint64_t exit_signal)
{
    struct clone_args args = {.exit_signal = exit_signal};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    /* Until it is dead, which is seen and not taken. */
    siginfo_t si;
    assert_int_equal(waitid(P_PID, (id_t)pid, &si, (int)(WEXITED | WNOWAIT | __WALL)), 0);
    return pid;
}

static bool is_there(pid_t pid)
{
    siginfo_t si = {0};
    return waitid(P_PID, (id_t)pid, &si, (int)(WEXITED | WNOHANG | WNOWAIT | __WALL)) == 0;
}

static void reap(pid_t pid)
{
    assert_int_equal(waitpid(pid, NULL, (int)__WALL), pid);
}

static void run_for(unsigned ms)
{
    const struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_base_loopexit(base, &t);
    event_base_dispatch(base);
}

static void a_dead_worker_that_nobody_knows_is_reaped(void **state)
{
    (void)state;
    struct orphans *o = orphans_new(base, is_known, NULL);
    /* A worker that was born with CLONE_PARENT has its zygote's exit signal. */
    pid_t stray = worker_that_dies(0), other = worker_that_dies(SIGCHLD);
    known = 0;
    orphans_look(o);
    while (orphans_reaped(o) < 2)
        event_base_loop(base, EVLOOP_ONCE);
    assert_false(is_there(stray));
    assert_false(is_there(other));
    orphans_free(o);
}

static void one_that_is_known_is_left(void **state)
{
    (void)state;
    static const uint64_t exit_signals[] = {0, SIGCHLD};
    for (size_t i = 0; i < sizeof exit_signals / sizeof *exit_signals; i++) {
        struct orphans *o = orphans_new(base, is_known, NULL);
        known = worker_that_dies(exit_signals[i]);
        orphans_look(o);
        run_for(1500);
        assert_int_equal(orphans_reaped(o), 0);
        assert_true(is_there(known));
        reap(known);
        orphans_free(o);
    }
}

static void nothing_is_looked_at_unasked(void **state)
{
    (void)state;
    struct orphans *o = orphans_new(base, is_known, NULL);
    pid_t stray = worker_that_dies(0);
    assert_int_equal(event_base_dispatch(base), 1); /* no timer */
    assert_true(is_there(stray));
    reap(stray);
    orphans_free(o);
}

static int up(void **state)
{
    (void)state;
    base = event_base_new();
    return base ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    event_base_free(base);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_worker_that_nobody_knows_is_reaped),
        cmocka_unit_test(one_that_is_known_is_left),
        cmocka_unit_test(nothing_is_looked_at_unasked),
    };
    return cmocka_run_group_tests(tests, up, down);
}

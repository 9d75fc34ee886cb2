/* Real processes, frozen in both ways. The cgroup tests need root, or a cgroup that was delegated.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/freezer.h"

#define PATIENCE_S 20
#define NOBODY 65534u
#define THREADS 4

/* ---- a process to freeze */

struct child {
    pid_t pid;
    int pidfd;
};

static _Atomic uint64_t *turns; /* shared with the children: of all busy threads */

static void *spin(void *unused)
{
    (void)unused;
    for (;;)
        (*turns)++;
    return NULL;
}

static _Noreturn void busy(void)
{
    pthread_t thread;
    for (int i = 1; i < THREADS; i++)
        if (pthread_create(&thread, NULL, spin, NULL) != 0)
            _exit(1);
    spin(NULL);
    _exit(0);
}

static _Noreturn void idle(void)
{
    for (;;)
        pause();
}

/* As the zygote does it: born in the cell's directory. */
static struct child start(struct freezer_cell *cell, void (*run)(void))
{
    struct child c = {.pidfd = -1};
    int fd = freezer_cell_fd(cell);
    struct clone_args args = {
        .flags = CLONE_PIDFD | (fd >= 0 ? CLONE_INTO_CGROUP : 0u),
        .pidfd = (uintptr_t)&c.pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = fd >= 0 ? (unsigned)fd : 0,
    };
    c.pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (c.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
    }
    assert_true(c.pid > 0);
    freezer_cell_born(cell, 0);
    return c;
}

static void reap(struct child *c)
{
    siginfo_t si = {0};
    assert_int_equal(waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED), 0);
    assert_int_equal(si.si_code, CLD_KILLED);
    assert_int_equal(si.si_status, SIGKILL);
    close(c->pidfd);
}

static void kill_child(struct child *c)
{
    assert_int_equal(pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0), 0);
    reap(c);
}

static int count_threads(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    int n = 0;
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* How often its threads were put on a CPU, all together. */
static uint64_t count_runs(pid_t pid)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    uint64_t n = 0;
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        unsigned long long ns, waited, times;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, e->d_name);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%llu %llu %llu", &ns, &waited, &times), 3);
        fclose(f);
        n += times;
    }
    closedir(d);
    return n;
}

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = 200000};
    nanosleep(&ts, NULL);
}

static time_t now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (time_t end_ = now_s() + PATIENCE_S; !(condition); nap())                              \
            assert_true(now_s() < end_);                                                           \
    } while (0)

static int is_frozen(struct freezer_cell *cell, const struct child *c)
{
    int r = freezer_is_frozen(cell, c->pid);
    assert_true(r >= 0);
    return r;
}

static void freeze(struct freezer_cell *cell, const struct child *c)
{
    assert_int_equal(freezer_freeze(cell, c->pidfd), 0);
    WAIT_UNTIL(is_frozen(cell, c));
}

/* ---- both ways */

static struct freezer *make(enum freezer_kind kind)
{
    if (kind == FREEZER_SIGNAL)
        return freezer_new_signals("a test");
    struct freezer *f = freezer_new(geteuid(), getegid());
    assert_non_null(f);
    assert_null(freezer_why_degraded(f));
    return f;
}

static enum freezer_kind kind_of(void **state)
{
    return *(const enum freezer_kind *)*state;
}

static void a_busy_process_with_threads_does_not_run_while_it_is_frozen(void **state)
{
    struct freezer *f = make(kind_of(state));
    struct freezer_cell cell;
    freezer_cell_init(f, &cell, 1);
    assert_int_equal(freezer_cell_kind(&cell), kind_of(state));
    struct child c = start(&cell, busy);
    WAIT_UNTIL(count_threads(c.pid) == THREADS);
    assert_int_equal(is_frozen(&cell, &c), 0);
    for (int round = 0; round < 20; round++) {
        freeze(&cell, &c);
        uint64_t turn = *turns, runs = count_runs(c.pid);
        for (int i = 0; i < 20; i++)
            nap();
        assert_int_equal(*turns, turn);
        /* One that was put off its CPU on the way into the freeze has to come back to complete it,
         * in the kernel. */
        assert_true(count_runs(c.pid) - runs <= THREADS);
        assert_int_equal(is_frozen(&cell, &c), 1);
        assert_int_equal(freezer_thaw(&cell, c.pidfd), 0);
        WAIT_UNTIL(*turns > turn);
    }
    assert_int_equal(is_frozen(&cell, &c), 0);
    kill_child(&c);
    freezer_cell_done(&cell);
    freezer_free(f);
}

static void a_frozen_process_dies_of_SIGKILL_and_is_reaped(void **state)
{
    struct freezer *f = make(kind_of(state));
    void (*const what[])(void) = {busy, idle};
    for (uint64_t i = 0; i < 2; i++) {
        struct freezer_cell cell;
        freezer_cell_init(f, &cell, i);
        struct child c = start(&cell, what[i]);
        freeze(&cell, &c);
        kill_child(&c);
        freezer_cell_done(&cell);
        assert_int_equal(freezer_sweep(f), 0);
    }
    freezer_free(f);
}

static void a_process_that_was_stopped_already_can_be_frozen(void **state)
{
    struct freezer *f = make(kind_of(state));
    struct freezer_cell cell;
    freezer_cell_init(f, &cell, 1);
    struct child c = start(&cell, busy);
    assert_int_equal(pidfd_send_signal(c.pidfd, SIGSTOP, NULL, 0), 0);
    freeze(&cell, &c);
    kill_child(&c);
    freezer_cell_done(&cell);
    freezer_free(f);
}

static void a_thaw_of_what_is_not_frozen_does_nothing(void **state)
{
    struct freezer *f = make(kind_of(state));
    struct freezer_cell cell;
    freezer_cell_init(f, &cell, 1);
    struct child c = start(&cell, idle);
    assert_int_equal(freezer_thaw(&cell, c.pidfd), 0);
    assert_int_equal(is_frozen(&cell, &c), 0);
    freeze(&cell, &c);
    assert_int_equal(freezer_freeze(&cell, c.pidfd), 0);
    assert_int_equal(is_frozen(&cell, &c), 1);
    kill_child(&c);
    freezer_cell_done(&cell);
    freezer_cell_done(&cell);
    freezer_free(f);
}

static void many_are_frozen_and_thawed_one_by_one(void **state)
{
    enum { MANY = 16 };
    struct freezer *f = make(kind_of(state));
    struct freezer_cell cells[MANY];
    struct child children[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        freezer_cell_init(f, &cells[i], i);
        children[i] = start(&cells[i], i % 2 ? busy : idle);
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(freezer_freeze(&cells[i], children[i].pidfd), 0);
    for (unsigned i = 0; i < MANY; i++)
        WAIT_UNTIL(is_frozen(&cells[i], &children[i]));
    assert_int_equal(freezer_thaw(&cells[3], children[3].pidfd), 0);
    WAIT_UNTIL(!is_frozen(&cells[3], &children[3]));
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(is_frozen(&cells[i], &children[i]), i != 3);
    for (unsigned i = 0; i < MANY; i++) {
        kill_child(&children[i]);
        freezer_cell_done(&cells[i]);
    }
    assert_int_equal(freezer_sweep(f), 0);
    freezer_free(f);
}

/* ---- directories */

static bool exists(const struct freezer *f, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", freezer_path(f), name);
    return access(path, F_OK) == 0;
}

static void a_directory_goes_with_its_process(void **state)
{
    (void)state;
    struct freezer *f = make(FREEZER_CGROUP);
    struct freezer_cell cell;
    freezer_cell_init(f, &cell, 7);
    assert_true(exists(f, "vm-7"));
    struct child c = start(&cell, idle);
    /* It is given up too early: the process is still there. */
    freezer_cell_done(&cell);
    assert_true(exists(f, "vm-7"));
    assert_int_equal(freezer_sweep(f), 1);
    kill_child(&c);
    WAIT_UNTIL(freezer_sweep(f) == 0);
    assert_false(exists(f, "vm-7"));
    /* Found at the end, too. */
    freezer_cell_init(f, &cell, 8);
    c = start(&cell, idle);
    freezer_cell_done(&cell);
    kill_child(&c);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", freezer_path(f));
    freezer_free(f);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_refused_birth_leaves_no_directory_and_says_why(void **state)
{
    (void)state;
    struct freezer *f = make(FREEZER_CGROUP);
    struct freezer_cell cell;
    freezer_cell_init(f, &cell, 1);
    freezer_cell_born(&cell, -EACCES);
    assert_int_equal(freezer_cell_kind(&cell), FREEZER_SIGNAL);
    assert_int_equal(freezer_cell_fd(&cell), -1);
    assert_false(exists(f, "vm-1"));
    assert_non_null(strstr(freezer_why_degraded(f), "Permission denied"));
    struct child c = start(&cell, busy);
    freeze(&cell, &c);
    kill_child(&c);
    freezer_cell_done(&cell);
    /* The next may be lucky. */
    freezer_cell_init(f, &cell, 2);
    c = start(&cell, idle);
    assert_int_equal(freezer_cell_kind(&cell), FREEZER_CGROUP);
    assert_null(freezer_why_degraded(f));
    kill_child(&c);
    freezer_cell_done(&cell);
    freezer_free(f);
}

static void what_a_dead_daemon_left_is_removed_and_a_living_ones_is_not(void **state)
{
    (void)state;
    struct freezer *living = make(FREEZER_CGROUP);
    struct freezer_cell cell;
    freezer_cell_init(living, &cell, 1);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", freezer_path(living));
    char *slash = strrchr(path, '/');
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct freezer_cell lost;
        struct freezer *f = freezer_new(geteuid(), getegid());
        freezer_cell_init(f, &lost, 1);
        _exit(freezer_cell_fd(&lost) >= 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(slash + 1, 16, "%d", (int)pid);
    struct freezer *next = freezer_new(geteuid(), getegid());
    assert_int_equal(access(path, F_OK), -1);
    assert_true(exists(living, "vm-1"));
    assert_string_not_equal(freezer_path(next), freezer_path(living));
    freezer_free(next);
    assert_true(exists(living, "vm-1"));
    freezer_cell_done(&cell);
    freezer_free(living);
}

/* ---- other users; in a process of its own, whose exit status is the line that failed */

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            _exit(__LINE__ % 250 + 1);                                                             \
    } while (0)

static void become_nobody(void)
{
    MUST(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0);
    MUST(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static void freeze_one(struct freezer *f, enum freezer_kind kind)
{
    struct freezer_cell cell;
    freezer_cell_init(f, &cell, 1);
    MUST(freezer_cell_kind(&cell) == kind);
    struct child c = start(&cell, busy);
    MUST(freezer_freeze(&cell, c.pidfd) == 0);
    time_t end = now_s() + PATIENCE_S;
    while (freezer_is_frozen(&cell, c.pid) != 1 && now_s() < end)
        nap();
    MUST(freezer_is_frozen(&cell, c.pid) == 1);
    MUST(freezer_thaw(&cell, c.pidfd) == 0);
    MUST(pidfd_send_signal(c.pidfd, SIGKILL, NULL, 0) == 0);
    MUST(waitpid(c.pid, NULL, 0) == c.pid);
    freezer_cell_done(&cell);
    MUST(!f || freezer_sweep(f) == 0);
}

static void must_end_well(pid_t pid)
{
    int status;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_daemon_that_gave_root_away_still_has_cgroups(void **state)
{
    (void)state;
    freezer_free(make(FREEZER_CGROUP));
    pid_t pid = fork();
    if (pid == 0) {
        struct freezer *f = freezer_new(NOBODY, NOBODY);
        MUST(f && !freezer_why_degraded(f));
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s", freezer_path(f));
        become_nobody();
        freeze_one(f, FREEZER_CGROUP);
        freezer_free(f);
        MUST(access(path, F_OK) < 0);
        _exit(0);
    }
    must_end_well(pid);
}

static void an_ordinary_user_has_them_where_they_are_delegated(void **state)
{
    (void)state;
    struct freezer *f = make(FREEZER_CGROUP);
    char own[PATH_MAX], file[PATH_MAX + 32];
    snprintf(own, sizeof own, "%s", freezer_path(f));
    freezer_free(f);
    for (int i = 0; i < 2; i++)
        *strrchr(own, '/') = '\0';
    snprintf(own + strlen(own), 48, "/stillpoint-test-%d", (int)getpid());
    assert_int_equal(mkdir(own, 0755), 0);
    assert_int_equal(chown(own, NOBODY, NOBODY), 0);
    snprintf(file, sizeof file, "%s/cgroup.procs", own);
    assert_int_equal(chown(file, NOBODY, NOBODY), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(file, O_WRONLY | O_CLOEXEC);
        MUST(fd >= 0 && write(fd, "0", 1) == 1);
        close(fd);
        become_nobody();
        f = freezer_new(NOBODY, NOBODY);
        MUST(f && !freezer_why_degraded(f));
        freeze_one(f, FREEZER_CGROUP);
        freezer_free(f);
        _exit(0);
    }
    must_end_well(pid);
    /* Nothing is left in it. */
    int r = -1;
    WAIT_UNTIL((r = rmdir(own)) == 0 || errno != EBUSY);
    assert_int_equal(r, 0);
}

static void an_ordinary_user_has_signals_where_they_are_not(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        struct freezer *f = freezer_new(NOBODY, NOBODY);
        MUST(f && freezer_why_degraded(f) && strlen(freezer_path(f)) == 0);
        freeze_one(f, FREEZER_SIGNAL);
        freezer_free(f);
        freeze_one(NULL, FREEZER_SIGNAL);
        _exit(0);
    }
    must_end_well(pid);
}

/* ---- run time */

static void run_time_tells_who_sleeps_and_who_does_not(void **state)
{
    (void)state;
    struct freezer_cell cell;
    freezer_cell_init(NULL, &cell, 1);
    uint64_t first, second;
    bool asleep;
    struct child c = start(&cell, idle);
    WAIT_UNTIL(freezer_runtime_ns(c.pid, &first, &asleep) == 0 && asleep);
    for (int i = 0; i < 50; i++)
        nap();
    assert_int_equal(freezer_runtime_ns(c.pid, &second, &asleep), 0);
    assert_true(asleep);
    assert_int_equal(first, second);
    kill_child(&c);
    assert_int_equal(freezer_runtime_ns(c.pid, &second, &asleep), -ESRCH);
    c = start(&cell, busy);
    WAIT_UNTIL(freezer_runtime_ns(c.pid, &first, &asleep) == 0);
    assert_false(asleep);
    WAIT_UNTIL(freezer_runtime_ns(c.pid, &second, &asleep) == 0 && second > first + 100000);
    freeze(&cell, &c);
    assert_int_equal(freezer_runtime_ns(c.pid, &first, &asleep), 0);
    assert_true(asleep);
    for (int i = 0; i < 50; i++)
        nap();
    assert_int_equal(freezer_runtime_ns(c.pid, &second, &asleep), 0);
    assert_int_equal(first, second);
    kill_child(&c);
    assert_int_equal(freezer_is_frozen(&cell, c.pid), -ESRCH);
    freezer_cell_done(&cell);
}

static enum freezer_kind by_signal = FREEZER_SIGNAL, by_cgroup = FREEZER_CGROUP;

#define BY_CGROUP(test)                                                                            \
    {                                                                                              \
        .name = "by_cgroup_" #test, .test_func = test, .initial_state = &by_cgroup                 \
    }
#define BY_SIGNAL(test)                                                                            \
    {                                                                                              \
        .name = "by_signal_" #test, .test_func = test, .initial_state = &by_signal                 \
    }
#define OF_CGROUP(test)                                                                            \
    {                                                                                              \
        .name = #test, .test_func = test, .initial_state = &by_cgroup                              \
    }

static struct CMUnitTest tests[] = {
    BY_CGROUP(a_busy_process_with_threads_does_not_run_while_it_is_frozen),
    BY_SIGNAL(a_busy_process_with_threads_does_not_run_while_it_is_frozen),
    BY_CGROUP(a_frozen_process_dies_of_SIGKILL_and_is_reaped),
    BY_SIGNAL(a_frozen_process_dies_of_SIGKILL_and_is_reaped),
    BY_CGROUP(a_process_that_was_stopped_already_can_be_frozen),
    BY_SIGNAL(a_process_that_was_stopped_already_can_be_frozen),
    BY_CGROUP(a_thaw_of_what_is_not_frozen_does_nothing),
    BY_SIGNAL(a_thaw_of_what_is_not_frozen_does_nothing),
    BY_CGROUP(many_are_frozen_and_thawed_one_by_one),
    BY_SIGNAL(many_are_frozen_and_thawed_one_by_one),
    OF_CGROUP(a_directory_goes_with_its_process),
    OF_CGROUP(a_refused_birth_leaves_no_directory_and_says_why),
    OF_CGROUP(what_a_dead_daemon_left_is_removed_and_a_living_ones_is_not),
    OF_CGROUP(a_daemon_that_gave_root_away_still_has_cgroups),
    OF_CGROUP(an_ordinary_user_has_them_where_they_are_delegated),
    cmocka_unit_test(an_ordinary_user_has_signals_where_they_are_not),
    cmocka_unit_test(run_time_tells_who_sleeps_and_who_does_not),
};

static void prepare(void)
{
    turns = mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (turns == MAP_FAILED)
        abort();
    struct freezer *f = freezer_new(geteuid(), getegid());
    const char *why = f ? freezer_why_degraded(f) : "no memory";
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        CMUnitTestFunction test = tests[i].test_func;
        if (why && tests[i].initial_state == &by_cgroup)
            unit_skip(&tests[i], why);
        else if (geteuid() != 0 && (test == a_daemon_that_gave_root_away_still_has_cgroups ||
                                    test == an_ordinary_user_has_them_where_they_are_delegated ||
                                    test == an_ordinary_user_has_signals_where_they_are_not))
            unit_skip(&tests[i], "only root can become another user");
    }
    freezer_free(f);
}

UNIT_MAIN_PREPARED(tests, prepare)

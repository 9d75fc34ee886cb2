/* Steps that claim to be done and are not: in children, since some would be done. How it is when
 * all is well, worker_driver and the system tests say. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/sandbox.h"

static struct sandbox_options claims_of(uint64_t namespaces)
{
    struct sandbox_options o = {.clone_flags = namespaces, .host_uid = 1, .host_gid = 1};
    assert_int_equal(sandbox_look_outside(&o.outside), 0);
    return o;
}

/* Exit status 0: the step of that name ended it, with -EPROTO. */
static int status_of(const struct sandbox_options *o, bool extra_fd, const char *expected)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_posture posture = {{SANDBOX_OFF}};
        const char *step = "none";
        syscall(SYS_close_range, 3, ~0u, 0);
        if (extra_fd && fcntl(STDIN_FILENO, F_DUPFD, 20) < 0)
            _exit(3);
        int r = sandbox_enter(o, &posture, &step);
        for (int i = 0; i < SANDBOX_LAYERS; i++)
            if (strcmp(sandbox_layer_name((enum sandbox_layer)i), expected) == 0 &&
                posture.state[i] != SANDBOX_OFF)
                _exit(4);
        _exit(r != -EPROTO ? 1 : strcmp(step, expected) != 0 ? 2 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_outside_is_known(void **state)
{
    (void)state;
    struct sandbox_outside outside;
    assert_int_equal(sandbox_look_outside(&outside), 0);
    for (int i = SANDBOX_USER; i <= SANDBOX_CGROUP; i++)
        assert_true(outside.namespaces[i] != 0);
    assert_true(outside.namespaces[SANDBOX_ROOT] == 0);
}

static void a_descriptor_too_many_is_found(void **state)
{
    (void)state;
    const struct sandbox_options o = claims_of(0);
    assert_int_equal(status_of(&o, true, "fds"), 0);
}

static void a_pid_namespace_that_is_shared_is_found(void **state)
{
    (void)state;
    const struct sandbox_options o = claims_of(CLONE_NEWPID);
    assert_int_equal(status_of(&o, false, "pid"), 0);
}

static void without_a_check_it_would_have_passed(void **state)
{
    (void)state;
    /* Nobody claims it: that is the step's own error, and another one. */
    const struct sandbox_options o = claims_of(0);
    assert_int_equal(status_of(&o, false, "pid"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_outside_is_known),
        cmocka_unit_test(a_descriptor_too_many_is_found),
        cmocka_unit_test(a_pid_namespace_that_is_shared_is_found),
        cmocka_unit_test(without_a_check_it_would_have_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/print.h"

#define KILL_TIMEOUT_MS 5000                /* for the end of a VM that we have had killed */
#define INPUT_BYTES_MAX ((size_t)32 * 1024) /* in one answer */

/* ---- signals */

static void kill_vm(struct session *s, int signal)
{
    if (s->signal != 0) {
        s->hurry = true;
        return;
    }
    s->signal = signal;
    if (s->vm != 0) {
        char id[24];
        snprintf(id, sizeof id, "%" PRIu64, s->vm);
        stillpoint_vm_kill_post(s->cli->sp, id);
    }
}

static void take_signals(struct session *s)
{
    struct signalfd_siginfo info;
    while (s->signal_fd >= 0 && read(s->signal_fd, &info, sizeof info) == sizeof info)
        kill_vm(s, (int)info.ssi_signo);
}

/* ---- the console */

/*
 * Writes at most what a pipe takes at once (PIPE_BUF) when poll says that it will take it, so that
 * a reader that does not read cannot keep a signal from being seen. 0, or the errno of a write.
 */
static int write_watching(struct session *s, int fd, const char *text, size_t bytes)
{
    while (bytes > 0 && s->signal == 0) {
        struct pollfd p[] = {{.fd = fd, .events = POLLOUT}, {.fd = s->signal_fd, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return errno;
        take_signals(s);
        if (p[0].revents == 0)
            continue;
        ssize_t n = write(fd, text, bytes < 4096 ? bytes : 4096);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        if (n > 0) {
            text += n;
            bytes -= (size_t)n;
        }
    }
    return 0;
}

/* As for any program in a pipeline: without a reader of its output it ends. */
static void console_written(struct stillpoint *sp, uint64_t vm, enum stillpoint_stream stream,
                            const void *text, size_t bytes, void *data)
{
    struct session *s = data;
    bool is_stderr = stream == STILLPOINT_STDERR;
    bool *gone = is_stderr ? &s->stderr_gone : &s->stdout_gone;
    (void)sp;
    (void)vm;
    if (*gone)
        return;
    int e = write_watching(s, is_stderr ? STDERR_FILENO : STDOUT_FILENO, text, bytes);
    if (e == 0)
        return;
    *gone = true;
    if (e != EPIPE) {
        cli_say("cannot write what %s prints: %s", s->label, strerror(e));
        s->output_failed = true;
    }
    if (!is_stderr)
        kill_vm(s, SIGPIPE);
}

/* ---- imports and input */

static void import_requested(struct stillpoint *sp, uint64_t vm, uint64_t import_id,
                             const char *path, void *data)
{
    const struct session *s = data;
    if (s->folder < 0) {
        stillpoint_answer_import_post(sp, vm, import_id, -1,
                                      "a program from standard input has no folder");
        return;
    }
    int fd = stillpoint_folder_read(s->folder, path);
    stillpoint_answer_import_post(sp, vm, import_id, fd, fd < 0 ? stillpoint_file_error(fd) : NULL);
    if (fd >= 0)
        close(fd);
}

static void input_requested(struct stillpoint *sp, uint64_t vm, size_t max_bytes, void *data)
{
    struct session *s = data;
    if (s->input_at_end)
        stillpoint_answer_stdin_post(sp, vm, NULL, 0);
    else
        s->input_bytes = max_bytes < INPUT_BYTES_MAX ? max_bytes : INPUT_BYTES_MAX;
    if (s->vm == 0)
        s->vm = vm;
}

static void read_input(struct session *s)
{
    char text[INPUT_BYTES_MAX];
    ssize_t n = read(STDIN_FILENO, text, s->input_bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    s->input_at_end = n <= 0;
    s->input_bytes = 0;
    stillpoint_answer_stdin_post(s->cli->sp, s->vm, text, n > 0 ? (size_t)n : 0);
}

/* ---- the VM's life */

static void vm_ended(struct stillpoint *sp, uint64_t vm, const struct stillpoint_exit *exit,
                     void *data)
{
    struct session *s = data;
    (void)sp;
    (void)vm;
    s->ended = true;
    s->exit = *exit;
    snprintf(s->detail, sizeof s->detail, "%s", exit->detail);
    s->exit.detail = s->detail;
}

static void vm_replied(struct stillpoint *sp, int r, const struct stillpoint_vm *vm, void *data)
{
    struct session *s = data;
    (void)sp;
    s->replied = true;
    s->reply_r = r;
    if (r != 0)
        return;
    s->vm = vm->id;
    snprintf(s->name, sizeof s->name, "%s", vm->name);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits once for whatever comes. 0, or the errno with which the connection ended. */
static int step(struct session *s, int timeout_ms)
{
    struct pollfd p[] = {
        {.fd = stillpoint_fd(s->cli->sp), .events = stillpoint_poll_events(s->cli->sp)},
        {.fd = s->signal_fd, .events = POLLIN},
        {.fd = s->input_bytes > 0 ? STDIN_FILENO : -1, .events = POLLIN},
    };
    if (poll(p, sizeof p / sizeof *p, timeout_ms) < 0)
        return errno == EINTR ? 0 : -errno;
    take_signals(s);
    if (p[2].revents != 0)
        read_input(s);
    /* Also without an event: what was posted above has to be sent. */
    return stillpoint_dispatch(s->cli->sp);
}

/* Also after the VM has ended: the reply has the compiler's message. */
static int wait_for_reply(struct session *s)
{
    int r = 0;
    while (r == 0 && !s->replied && s->signal == 0)
        r = step(s, -1);
    return r;
}

/* ---- session_… */

int session_init(struct session *s, struct cli *cli, const char *label, int folder, bool attached)
{
    sigset_t signals;
    *s = (struct session){.cli = cli, .label = label, .folder = folder, .attached = attached};
    s->signal_fd = -1;
    if (!attached)
        return 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd < 0 ? -errno : 0;
}

void session_done(struct session *s)
{
    if (s->signal_fd >= 0)
        close(s->signal_fd);
    if (s->folder >= 0)
        close(s->folder);
}

static bool is_program_fault(const struct session *s, int r)
{
    return r == STILLPOINT_REFUSED &&
           stillpoint_error(s->cli->sp)->code == STILLPOINT_ERROR_PROGRAM_FAILED;
}

/* The program's own fault is its exit code 1 everywhere; anything else is ours. */
static int fail_start(struct session *s, int r)
{
    bool program = is_program_fault(s, r);
    int code = cli_fail_call(s->cli, r, "run %s", s->label);
    return program ? CLI_FAILED : code;
}

static int add_files(struct session *s, const struct stillpoint_paths *files)
{
    for (size_t i = 0; i < files->n; i++) {
        const char *path = files->items[i];
        int fd = stillpoint_folder_read(s->folder, path);
        if (fd < 0)
            return cli_fail(s->cli, CLI_FAILED, "include %s: %s", path, stillpoint_file_error(fd));
        int r = stillpoint_add_file(s->cli->sp, s->vm, path, fd);
        close(fd);
        if (r != 0)
            return cli_fail_call(s->cli, r, "include %s", path);
    }
    return 0;
}

/* 0 if the reply was good, or if the VM's end or a signal says more than the reply. */
static int check_reply(struct session *s, int r)
{
    if (r == 0 && s->replied)
        r = s->reply_r;
    if (r == 0 || s->signal != 0 || (s->ended && !is_program_fault(s, r)))
        return 0;
    return fail_start(s, r);
}

int session_start(struct session *s, struct stillpoint_run *run, int memfd,
                  const struct stillpoint_paths *files)
{
    struct stillpoint *sp = s->cli->sp;
    const struct stillpoint_handlers handlers = {
        .console = console_written,
        .import = import_requested,
        .input = input_requested,
        .ended = vm_ended,
        .data = s,
    };
    stillpoint_set_handlers(sp, &handlers);
    run->more_files = files != NULL;
    int r = stillpoint_run_async(sp, run, memfd, vm_replied, s);
    int code = check_reply(s, r < 0 ? r : wait_for_reply(s));
    if (code != 0 || !files || s->ended || s->signal != 0)
        return code;
    code = add_files(s, files);
    if (code != 0)
        return code;
    s->replied = false;
    r = stillpoint_start_async(sp, s->vm, vm_replied, s);
    return check_reply(s, r < 0 ? r : wait_for_reply(s));
}

/* After a signal the VM's last words are still printed, but not for ever. */
static int wait_for_end(struct session *s)
{
    int64_t end = -1;
    int r = 0;
    while (r == 0 && !s->ended && !s->hurry) {
        if (s->signal != 0 && s->vm == 0)
            break; /* the VM ends with the connection */
        if (s->signal != 0 && end < 0)
            end = now_ms() + KILL_TIMEOUT_MS;
        int64_t left = end < 0 ? -1 : end - now_ms();
        if (end >= 0 && left <= 0)
            break;
        r = step(s, (int)left);
    }
    return r;
}

/* One line where the program itself could not say why it ended. */
static void tell_reason(const struct session *s, const struct stillpoint_run *run)
{
    const char *name = s->name[0] ? s->name : s->label;
    const struct stillpoint_exit *e = &s->exit;
    const char *open = e->detail[0] ? " (" : "", *close = e->detail[0] ? ")" : "";
    switch (e->reason) {
    case STILLPOINT_EXIT_OOM:
        if (run->memory_bytes != 0)
            cli_say("%s: out of memory (limit %s)", name, print_size(run->memory_bytes));
        else
            cli_say("%s: out of memory%s%s%s", name, open, e->detail, close);
        break;
    case STILLPOINT_EXIT_TIMEOUT:
        cli_say("%s: out of time%s%s%s", name, open, e->detail, close);
        break;
    case STILLPOINT_EXIT_KILLED:
        cli_say("%s: killed%s%s%s", name, open, e->detail, close);
        break;
    case STILLPOINT_EXIT_CRASHED:
        cli_say("%s: crashed, signal %" PRIu32 "%s%s%s", name, e->signal, open, e->detail, close);
        break;
    case STILLPOINT_EXIT_SECCOMP:
        cli_say("%s: ended by the system call filter%s%s%s", name, open, e->detail, close);
        break;
    case STILLPOINT_EXIT_EXITED:
    case STILLPOINT_EXIT_ERROR:
        break;
    case STILLPOINT_EXIT_UNKNOWN:
    default: /* a reason that a newer daemon knows */
        cli_say("%s: ended, and nobody saw how%s%s%s", name, open, e->detail, close);
        break;
    }
}

int session_exit_code(const struct stillpoint_exit *e)
{
    switch (e->reason) {
    case STILLPOINT_EXIT_EXITED:
        return (int)(e->code & 0xff);
    case STILLPOINT_EXIT_ERROR:
        return (e->code & 0xff) != 0 ? (int)(e->code & 0xff) : 1;
    case STILLPOINT_EXIT_TIMEOUT:
        return CLI_TIMED_OUT;
    case STILLPOINT_EXIT_OOM:
    case STILLPOINT_EXIT_KILLED:
        return 128 + SIGKILL;
    case STILLPOINT_EXIT_CRASHED:
        return e->signal > 0 && e->signal < 128 ? 128 + (int)e->signal : CLI_OURS;
    case STILLPOINT_EXIT_SECCOMP:
        return 128 + SIGSYS;
    default:
        return CLI_OURS;
    }
}

int session_finish(struct session *s, const struct stillpoint_run *run)
{
    int r = wait_for_end(s);
    if (s->output_failed)
        return CLI_OURS;
    if (s->signal != 0)
        return 128 + s->signal;
    if (!s->ended)
        return cli_fail_call(s->cli, r, "run %s to its end", s->label);
    tell_reason(s, run);
    return session_exit_code(&s->exit);
}

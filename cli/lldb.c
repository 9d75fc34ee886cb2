/* lldb: starts the gateway for LLDB, and an LLDB that is connected to it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/options.h"

#define LISTENING "listening on "
#define MAX_GATEWAY_ARGS 12

extern char **environ;

/* LLDB keeps memory by address, and an address that DWARF has names no VM: so that what it shows is
 * of the thread that is selected, it has to ask again. */
static const char no_cache[] = "settings set target.process.disable-memory-cache true";

/* The first is the oldest that can do it, by the name that Debian gives it. */
static const char *const lldb_names[] = {"lldb-22", "lldb-23", "lldb-24", "lldb"};

struct call {
    struct cli *cli;
    const char *world, *vm, *policy;
    char gateway[PATH_MAX], lldb[PATH_MAX];
    char folder[PATH_MAX], socket[PATH_MAX + 16];
    char line[PATH_MAX + 64]; /* what the gateway says once it listens */
    char **lldb_args;
    int n_lldb_args;
    pid_t gateway_pid;
};

/* ---- where the programs are */

static bool find_in_path(const char *name, char *buf, size_t size)
{
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t n = strcspn(at, ":");
        int len = snprintf(buf, size, "%.*s/%s", (int)n, at, name);
        if (n > 0 && len > 0 && (size_t)len < size && access(buf, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static int find_lldb(struct call *call)
{
    for (size_t i = 0; i < sizeof lldb_names / sizeof *lldb_names; i++)
        if (find_in_path(lldb_names[i], call->lldb, sizeof call->lldb))
            return 0;
    return cli_fail(call->cli, CLI_FAILED,
                    "start LLDB: there is no lldb-22 (as root: apt install lldb-22)");
}

/* $STILLPOINT_GDBSERVER, or beside our own executable, or where it is installed. */
static void find_gateway(char *buf, size_t size)
{
    static const char name[] = "/stillpoint-gdbserver";
    const char *said = getenv("STILLPOINT_GDBSERVER");
    if (said && said[0]) {
        snprintf(buf, size, "%s", said);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(buf, '/');
    if (slash && (size_t)(slash - buf) + sizeof name <= size) {
        memcpy(slash, name, sizeof name);
        if (access(buf, X_OK) == 0)
            return;
    }
    snprintf(buf, size, "%s", STILLPOINT_GDBSERVER_PATH);
}

/* ---- processes */

/* Waits for its end. Its exit status, or 128 and the signal. */
static int reap(pid_t pid)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

/* With signals as a program wants them that is started by a shell. With `out` (not -1) as its
 * output, it is in a process group of its own: Ctrl-C is for LLDB. */
static int spawn(const char *path, char **argv, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        if (out >= 0) {
            flags |= POSIX_SPAWN_SETPGROUP;
            r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
            if (r == 0)
                r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY,
                                                     0);
        }
        if (r == 0)
            r = posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
            r = posix_spawnattr_setsigdefault(&attributes, &defaults);
        if (r == 0)
            r = posix_spawnattr_setflags(&attributes, flags);
        if (r == 0)
            r = posix_spawn(ret, path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* ---- the gateway */

static int make_folder(struct call *call)
{
    const char *tmp = getenv("XDG_RUNTIME_DIR");
    if (!tmp || !tmp[0])
        tmp = getenv("TMPDIR");
    snprintf(call->folder, sizeof call->folder, "%s/stillpoint-lldb.XXXXXX",
             tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(call->folder)) {
        int code = cli_fail(call->cli, CLI_FAILED, "make %s: %s", call->folder, strerror(errno));
        call->folder[0] = '\0';
        return code;
    }
    snprintf(call->socket, sizeof call->socket, "%s/lldb.sock", call->folder);
    return 0;
}

static void remove_folder(struct call *call)
{
    if (!call->folder[0])
        return;
    unlink(call->socket);
    rmdir(call->folder);
}

/* What it says when it listens; it has ended, and said why, when it says nothing. */
static int await_gateway(struct call *call, int fd)
{
    FILE *f = fdopen(fd, "r");
    if (!f) {
        close(fd);
        return cli_fail(call->cli, CLI_FAILED, "read from %s: %s", call->gateway, strerror(errno));
    }
    bool said = fgets(call->line, sizeof call->line, f) != NULL;
    fclose(f);
    call->line[strcspn(call->line, "\n")] = '\0';
    if (said && strncmp(call->line, LISTENING, strlen(LISTENING)) == 0)
        return 0;
    if (said)
        return cli_fail(call->cli, CLI_FAILED, "use %s: it says '%s'", call->gateway, call->line);
    int status = reap(call->gateway_pid);
    call->gateway_pid = 0;
    return status > 0 && status <= CLI_PARTIAL
               ? status
               : cli_fail(call->cli, CLI_FAILED, "use %s: it ended with status %d", call->gateway,
                          status);
}

static int start_gateway(struct call *call)
{
    char *argv[MAX_GATEWAY_ARGS], **next = argv;
    int out[2];
    *next++ = call->gateway;
    if (call->cli->socket) {
        *next++ = (char *)"--socket";
        *next++ = (char *)call->cli->socket;
    }
    *next++ = (char *)(call->vm ? "--vm" : "--world");
    *next++ = (char *)(call->vm ? call->vm : call->world);
    if (call->policy) {
        *next++ = (char *)"--policy";
        *next++ = (char *)call->policy;
    }
    *next++ = (char *)"--once";
    *next++ = (char *)"--listen";
    *next++ = call->socket;
    *next = NULL;
    if (pipe2(out, O_CLOEXEC) < 0)
        return cli_fail(call->cli, CLI_FAILED, "make a pipe: %s", strerror(errno));
    int r = spawn(call->gateway, argv, out[1], &call->gateway_pid);
    close(out[1]);
    if (r == 0)
        return await_gateway(call, out[0]);
    close(out[0]);
    return cli_fail(call->cli, CLI_FAILED,
                    "start %s: %s (it is in the package stillpoint-gateways)", call->gateway,
                    strerror(r));
}

/* ---- LLDB */

/* Until it ends; what would end us ends it. Ctrl-C is its own affair. */
static int await_lldb(pid_t pid, const sigset_t *wanted)
{
    siginfo_t info, ended;
    for (;;) {
        int signal_number = sigwaitinfo(wanted, &info);
        if (signal_number == SIGTERM || signal_number == SIGHUP) {
            kill(pid, signal_number);
            continue;
        }
        ended.si_pid = 0;
        if (signal_number == SIGCHLD &&
            waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0)
            return reap(pid);
    }
}

static int run_lldb(struct call *call, const sigset_t *wanted)
{
    char connect[sizeof call->line + 64];
    char **argv = calloc((size_t)call->n_lldb_args + 6, sizeof *argv), **next = argv;
    pid_t pid;
    if (!argv)
        return cli_fail(call->cli, CLI_FAILED, "start LLDB: %s", strerror(ENOMEM));
    snprintf(connect, sizeof connect, "process connect --plugin wasm %s",
             call->line + strlen(LISTENING));
    *next++ = call->lldb;
    *next++ = (char *)"-o";
    *next++ = (char *)no_cache;
    *next++ = (char *)"-o";
    *next++ = connect;
    for (int i = 0; i < call->n_lldb_args; i++)
        *next++ = call->lldb_args[i];
    int r = spawn(call->lldb, argv, -1, &pid);
    free(argv);
    if (r != 0)
        return cli_fail(call->cli, CLI_FAILED, "start %s: %s", call->lldb, strerror(r));
    return await_lldb(pid, wanted);
}

static int run_both(struct call *call)
{
    static const int ours[] = {SIGCHLD, SIGTERM, SIGHUP};
    sigset_t wanted, blocked;
    sigemptyset(&wanted);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        sigaddset(&wanted, ours[i]);
    int code = make_folder(call);
    if (code == 0)
        code = start_gateway(call);
    if (code == 0) {
        blocked = wanted;
        sigaddset(&blocked, SIGINT);
        sigaddset(&blocked, SIGQUIT);
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        code = run_lldb(call, &wanted);
    }
    if (call->gateway_pid > 0) {
        /* Where LLDB never came it would wait for it. */
        kill(call->gateway_pid, SIGTERM);
        reap(call->gateway_pid);
    }
    remove_folder(call);
    return code;
}

/* ---- the verb */

/* All that is after "--" is LLDB's. Returns how many arguments are before it. */
static int split_arguments(struct call *call, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0)
            continue;
        call->lldb_args = argv + i + 1;
        call->n_lldb_args = argc - i - 1;
        return i;
    }
    return argc;
}

static int read_options(struct call *call, int argc, char **argv)
{
    struct cli *cli = call->cli;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return OPTIONS_DONE;
        if (c == 'w')
            code = options_name(cli, "--world", optarg, &call->world);
        else if (strcmp(optarg, "resume") == 0 || strcmp(optarg, "hold") == 0)
            call->policy = optarg;
        else
            code = cli_fail_usage(cli, "--policy is resume or hold, not '%s'", optarg);
    }
    return code;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
    struct call call = {.cli = cli};
    argc = split_arguments(&call, argc, argv);
    int code = read_options(&call, argc, argv);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && optind < argc)
        call.vm = argv[optind++];
    if (code == 0 && optind < argc)
        code = cli_fail_usage(cli, "it takes one VM; what is for LLDB comes after '--'");
    if (code == 0 && call.vm && call.world)
        code = cli_fail_usage(cli, "it takes a VM or --world, not both");
    if (code == 0 && cli->private_daemon)
        code = cli_fail_usage(cli, "a private daemon has no VMs to be debugged");
    if (code == 0)
        code = find_lldb(&call);
    if (code != 0)
        return code;
    if (!call.vm && !call.world)
        call.world = "default";
    find_gateway(call.gateway, sizeof call.gateway);
    return run_both(&call);
}

const struct verb verb_lldb = {
    .name = "lldb",
    .synopsis = "[VM | --world WORLD] [--policy WHAT] [-- LLDB-ARG…]",
    .summary = "WebAssembly VMs under LLDB",
    .help =
        "Starts an LLDB in which each WebAssembly VM of the world (default), or this VM alone,\n"
        "is a thread; it stops the world, and lets it go on when it ends. What is after -- is\n"
        "LLDB's.\n"
        "  -w, --world WORLD      the VMs of this world\n"
        "      --policy WHAT      when LLDB leaves or is killed: resume (the default), or hold\n"
        "The VMs have to be started with --debug. It takes LLDB 22 or later.\n",
    .shorts = "w:",
    .longs = (const struct option[]){{"world", required_argument, NULL, 'w'},
                                     {"policy", required_argument, NULL, OPTIONS_OWN},
                                     {0}},
    .run = run_verb,
};

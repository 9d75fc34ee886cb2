/* run: a program's files to the daemon, and its console to ours. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/world.h"

enum {
    OPTION_READY = OPTIONS_OWN,
    OPTION_NAME,
    OPTION_ENGINE,
    OPTION_MEMORY,
    OPTION_CPU,
    OPTION_TIMEOUT,
    OPTION_CPU_TIME,
    OPTION_TASKS,
    OPTION_OUTPUT_RATE,
    OPTION_LOG_SIZE,
    OPTION_DEBUG,
    OPTION_INCLUDE,
    OPTION_EXIT_WHEN_DONE,
};

struct run {
    struct stillpoint_run request;
    bool detached, exit_when_done;
    const char **globs; /* points into argv */
    size_t n_globs;
    const char *file; /* "-": standard input */
};

/* ---- options */

static int take_name(const struct cli *cli, const char *option, const char **ret)
{
    if (!stillpoint_is_name(optarg))
        return cli_fail_usage(cli,
                              "%s: '%s' is no name: up to %d of A-Z a-z 0-9 . _ -, not all digits",
                              option, optarg, STILLPOINT_NAME_BYTES);
    *ret = optarg;
    return 0;
}

static int take_size(const struct cli *cli, const char *option, uint64_t *ret)
{
    if (parse_size(optarg, ret))
        return 0;
    return cli_fail_usage(cli, "%s: '%s' is not a size like 64M or 1G", option, optarg);
}

static int take_limit(struct cli *cli, int c, struct stillpoint_run *request)
{
    switch (c) {
    case OPTION_MEMORY:
        return take_size(cli, "--memory", &request->memory_bytes);
    case OPTION_OUTPUT_RATE:
        return take_size(cli, "--output-rate", &request->output_rate);
    case OPTION_LOG_SIZE:
        return take_size(cli, "--log-size", &request->log_bytes);
    case OPTION_TASKS:
        return options_count(cli, "--tasks", optarg, &request->tasks);
    case OPTION_CPU:
        if (parse_percent(optarg, &request->cpu_percent))
            return 0;
        return cli_fail_usage(cli, "--cpu: '%s' is not a share like 50%%", optarg);
    case OPTION_TIMEOUT:
        return options_duration(cli, "--timeout", optarg, 1, &request->timeout_us);
    default:
        return options_duration(cli, "--cpu-time", optarg, 1, &request->cpu_time_us);
    }
}

static int take_option(struct cli *cli, int c, struct run *run)
{
    switch (c) {
    case 'd':
        run->detached = true;
        return 0;
    case 'w':
        return take_name(cli, "--world", &run->request.world);
    case OPTION_NAME:
        return take_name(cli, "--name", &run->request.name);
    case OPTION_READY:
        run->request.wait_ready = true;
        return 0;
    case OPTION_ENGINE:
        run->request.engine = optarg;
        return 0;
    case OPTION_DEBUG:
        run->request.debug = true;
        return 0;
    case OPTION_INCLUDE:
        run->globs[run->n_globs++] = optarg;
        return 0;
    case OPTION_EXIT_WHEN_DONE:
        run->exit_when_done = true;
        return 0;
    default:
        return take_limit(cli, c, &run->request);
    }
}

/* 0, an exit code, or OPTIONS_DONE. */
static int parse_run(struct cli *cli, int argc, char **argv, struct run *run)
{
    int c;
    while ((c = options_next(cli, argc, argv)) != -1) {
        int code = c == OPTIONS_DONE ? c : take_option(cli, c, run);
        if (code != 0)
            return code;
    }
    if (optind == argc)
        return cli_fail_usage(cli, "which file?");
    run->file = argv[optind];
    if (run->file[0] == '\0')
        return cli_fail_usage(cli, "the file's name is empty");
    if (strcmp(run->file, "-") == 0 && run->n_globs > 0)
        return cli_fail_usage(cli, "--include needs a folder, and standard input has none");
    run->request.args = (const char *const *)argv + optind + 1;
    run->request.n_args = (size_t)(argc - optind - 1);
    run->request.attach = !run->detached;
    run->request.keep_idle = run->detached && !run->exit_when_done;
    return 0;
}

/* ---- files */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Of a file that was named by the user, in the words that every program has for it. */
static const char *why_not(int r)
{
    return r == -EFBIG ? stillpoint_file_error(r) : strerror(-r);
}

static int read_stdin(struct cli *cli, struct run *run, int *ret_memfd)
{
    int fd = stillpoint_memfd_from(STDIN_FILENO);
    if (fd < 0)
        return cli_fail(cli, CLI_FAILED, "read the program from standard input: %s", why_not(fd));
    run->request.program = "stdin.js";
    run->request.kind = STILLPOINT_SOURCE_SCRIPT_OR_MODULE;
    *ret_memfd = fd;
    return 0;
}

/* Opens the program's folder too: *ret_folder stays -1 for standard input. */
static int read_program(struct cli *cli, struct run *run, int *ret_memfd, int *ret_folder)
{
    if (strcmp(run->file, "-") == 0)
        return read_stdin(cli, run, ret_memfd);
    /* Without waiting: a pipe that nobody writes to is no program. */
    int file = open(run->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int fd = file < 0 ? -errno : stillpoint_memfd_from(file);
    if (file >= 0)
        close(file);
    int folder = fd < 0 ? fd : stillpoint_folder_open(run->file);
    if (folder < 0) {
        if (fd >= 0)
            close(fd);
        return cli_fail(cli, CLI_FAILED, "run %s: %s", run->file, why_not(folder));
    }
    run->request.program = base_name(run->file);
    run->request.kind = stillpoint_source_kind_of(run->request.program);
    *ret_memfd = fd;
    *ret_folder = folder;
    return 0;
}

static int find_includes(struct cli *cli, const struct run *run, int folder,
                         struct stillpoint_paths *paths)
{
    for (size_t i = 0; i < run->n_globs; i++) {
        ssize_t n = stillpoint_folder_glob(folder, run->globs[i], paths);
        if (n == -EINVAL)
            return cli_fail_usage(cli, "--include: '%s' is no glob for paths below %s's folder",
                                  run->globs[i], run->request.program);
        if (n == -E2BIG)
            return cli_fail(cli, CLI_FAILED, "include %s: more than 10000 files", run->globs[i]);
        if (n < 0)
            return cli_fail(cli, CLI_FAILED, "include %s: %s", run->globs[i],
                            stillpoint_file_error((int)n));
        if (n == 0)
            return cli_fail(cli, CLI_FAILED, "include %s: no file matches (%s)", run->globs[i],
                            "folders do not; symbolic links are not followed");
    }
    return 0;
}

/* ---- the run */

static int print_started(struct session *s)
{
    struct stillpoint_vms vms;
    char id[24];
    if (s->cli->format == CLI_TABLE || s->cli->format == CLI_NAME) {
        print_line("%s", s->name);
        return CLI_OK;
    }
    snprintf(id, sizeof id, "%" PRIu64, s->vm);
    int r = stillpoint_vm_get(s->cli->sp, id, &vms);
    if (r != 0)
        return cli_fail_call(s->cli, r, "show %s", s->name);
    print_json(s->cli, json_of_vm(&vms.items[0]));
    stillpoint_vms_free(&vms);
    return CLI_OK;
}

static int run_session(struct cli *cli, struct run *run, int memfd, int folder,
                       const struct stillpoint_paths *files)
{
    struct session s;
    int r = session_init(&s, cli, run->request.program, folder, !run->detached);
    int code = r < 0 ? cli_fail(cli, CLI_FAILED, "take signals: %s", strerror(-r)) : 0;
    if (code == 0 && (!run->detached || run->request.wait_ready))
        world_tell_stopped(cli, run->request.world ? run->request.world : WORLD_DEFAULT, 0);
    if (code == 0)
        code = session_start(&s, &run->request, memfd, files);
    if (code == 0)
        code = run->detached ? print_started(&s) : session_finish(&s, &run->request);
    session_done(&s);
    return code;
}

static int run_files(struct cli *cli, struct run *run)
{
    struct stillpoint_paths paths = {0};
    int memfd = -1, folder = -1;
    int code = read_program(cli, run, &memfd, &folder);
    if (code != 0)
        return code;
    code = find_includes(cli, run, folder, &paths);
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = run_session(cli, run, memfd, folder, run->n_globs > 0 ? &paths : NULL);
    else if (folder >= 0)
        close(folder);
    close(memfd);
    stillpoint_paths_done(&paths);
    return code;
}

static int run_run(struct cli *cli, int argc, char **argv)
{
    struct run run = {.file = "", .globs = calloc((size_t)argc + 1, sizeof *run.globs)};
    int code = run.globs ? parse_run(cli, argc, argv, &run)
                         : cli_fail(cli, CLI_FAILED, "start: out of memory");
    cli->attached = !run.detached;
    if (code == 0)
        code = run_files(cli, &run);
    else if (code == OPTIONS_DONE)
        code = cli->exit_code;
    free(run.globs);
    return code;
}

const struct verb verb_run = {
    .name = "run",
    .synopsis = "[OPTION…] FILE [ARG…]",
    .summary = "run a program in a new VM",
    .help = "Attached: its console on stdout and stderr, stdin to it, its exit code as ours.\n"
            "FILE: .mjs a module, .wasm WebAssembly, - standard input, else JavaScript.\n\n"
            "  -d, --detach             return when the program is compiled; print the VM's name\n"
            "      --ready              with -d: when its main module was evaluated or waits\n"
            "  -w, --world WORLD        the world to run in (default)\n"
            "      --name NAME          of the VM; else from FILE\n"
            "      --engine ENGINE      mozjs\n"
            "      --memory SIZE        limit of its heap, like 256M\n"
            "      --cpu PERCENT        limit, of one CPU, like 50%\n"
            "      --timeout DURATION   end it after so long; stops do not count\n"
            "      --cpu-time DURATION  end it after so much CPU time\n"
            "      --tasks N            threads that it may have\n"
            "      --output-rate SIZE   of console in a second; beyond it the program waits\n"
            "      --log-size SIZE      of console that is kept for logs\n"
            "      --debug              for debuggers: slower code, full information\n"
            "      --include GLOB       send these files of FILE's folder along, for imports that\n"
            "                           come when nobody answers them; may be repeated\n"
            "      --exit-when-done     with -d: end when there is nothing left to do\n"
            "Attached, exit codes are the program's, but for 2 usage, 125 our own failure, 124\n"
            "--timeout, 137 killed or out of memory, 128+N signal N, 134 a Wasm trap.\n",
    .shorts = "+dw:",
    .longs = (const struct option[]){{"detach", no_argument, NULL, 'd'},
                                     {"ready", no_argument, NULL, OPTION_READY},
                                     {"world", required_argument, NULL, 'w'},
                                     {"name", required_argument, NULL, OPTION_NAME},
                                     {"engine", required_argument, NULL, OPTION_ENGINE},
                                     {"memory", required_argument, NULL, OPTION_MEMORY},
                                     {"cpu", required_argument, NULL, OPTION_CPU},
                                     {"timeout", required_argument, NULL, OPTION_TIMEOUT},
                                     {"cpu-time", required_argument, NULL, OPTION_CPU_TIME},
                                     {"tasks", required_argument, NULL, OPTION_TASKS},
                                     {"output-rate", required_argument, NULL, OPTION_OUTPUT_RATE},
                                     {"log-size", required_argument, NULL, OPTION_LOG_SIZE},
                                     {"debug", no_argument, NULL, OPTION_DEBUG},
                                     {"include", required_argument, NULL, OPTION_INCLUDE},
                                     {"exit-when-done", no_argument, NULL, OPTION_EXIT_WHEN_DONE},
                                     {0}},
    .run = run_run,
};

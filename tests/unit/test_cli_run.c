/*
 * stillctl itself, from outside, with this program as its private daemon: $STILLPOINTD points back
 * here, and a call with --private-fd plays the scene that $SCENE names.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_client_fake.h"

/* ---- the daemon's side */

static uint64_t run_request; /* to be answered later */

static void send_vm(struct fake *f, uint64_t request_id, const Stillpoint__Api__RunVm *run)
{
    Stillpoint__Api__VmReply reply = STILLPOINT__API__VM_REPLY__INIT;
    Stillpoint__Api__Vm vm = STILLPOINT__API__VM__INIT;
    fake_envelope e = FAKE_BODY(VM_REPLY, vm_reply, &reply);
    fake_envelope request = STILLPOINT__API__ENVELOPE__INIT;
    static char name[] = "app", world[] = "default";
    request.request_id = request_id;
    vm.has_id = vm.has_state = vm.has_pid = 1;
    vm.id = 7;
    vm.pid = 4242;
    vm.state = STILLPOINT__API__VM_STATE__VM_STATE_IDLE;
    vm.name = run && run->name ? run->name : name;
    vm.world = world;
    reply.vm = &vm;
    fake_send(f, &request, &e);
}

static void send_console(struct fake *f, int stream, const char *text, size_t bytes)
{
    Stillpoint__Api__ConsoleWritten c = STILLPOINT__API__CONSOLE_WRITTEN__INIT;
    fake_envelope e = FAKE_BODY(CONSOLE_WRITTEN, console_written, &c);
    c.has_vm = c.has_stream = c.has_data = 1;
    c.vm = 7;
    c.stream = (Stillpoint__Api__Stream)stream;
    c.data = (ProtobufCBinaryData){bytes, (uint8_t *)(uintptr_t)text};
    fake_send(f, NULL, &e);
}

static void send_ended(struct fake *f, int reason, uint32_t code, uint32_t signal)
{
    Stillpoint__Api__VmEnded ended = STILLPOINT__API__VM_ENDED__INIT;
    Stillpoint__Api__Exit exit = STILLPOINT__API__EXIT__INIT;
    fake_envelope e = FAKE_BODY(VM_ENDED, vm_ended, &ended);
    exit.has_reason = exit.has_code = exit.has_signal = 1;
    exit.reason = (Stillpoint__Api__ExitReason)reason;
    exit.code = code;
    exit.signal = signal;
    ended.has_vm = 1;
    ended.vm = 7;
    ended.exit = &exit;
    fake_send(f, NULL, &e);
}

static void ask_input(struct fake *f)
{
    Stillpoint__Api__StdinRequested s = STILLPOINT__API__STDIN_REQUESTED__INIT;
    fake_envelope e = FAKE_BODY(STDIN_REQUESTED, stdin_requested, &s);
    s.has_vm = s.has_max_bytes = 1;
    s.vm = 7;
    s.max_bytes = 5;
    fake_send(f, NULL, &e);
}

/* Prints the program and its arguments, then ends with `code`. */
static bool scene_echo(struct fake *f, const fake_envelope *request)
{
    char text[4096];
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return fake_hello(f, request);
    ssize_t n = pread(f->fd, text, sizeof text, 0);
    send_vm(f, request->request_id, request->run_vm);
    send_console(f, STILLPOINT__API__STREAM__STREAM_STDOUT, text, n > 0 ? (size_t)n : 0);
    for (size_t i = 0; i < request->run_vm->n_args; i++)
        send_console(f, STILLPOINT__API__STREAM__STREAM_STDERR, request->run_vm->args[i],
                     strlen(request->run_vm->args[i]));
    send_ended(f, STILLPOINT__API__EXIT_REASON__EXIT_EXITED, 42, 0);
    return true;
}

/* $REASON, $CODE and $SIGNAL say how the program ends. */
static bool scene_end(struct fake *f, const fake_envelope *request)
{
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return fake_hello(f, request);
    send_vm(f, request->request_id, request->run_vm);
    send_ended(f, atoi(getenv("REASON")), (uint32_t)atoi(getenv("CODE")),
               (uint32_t)atoi(getenv("SIGNAL")));
    return true;
}

/* $CODE is the error that a run is refused with. */
static bool scene_refuse(struct fake *f, const fake_envelope *request)
{
    if (fake_hello(f, request))
        return true;
    fake_send_error(f, request, atoi(getenv("CODE")), "no\nluck\x1b[31m", "try \"again\"");
    return true;
}

/* Reads stdin to its end and prints it. */
static bool scene_cat(struct fake *f, const fake_envelope *request)
{
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_RUN_VM:
        send_vm(f, request->request_id, request->run_vm);
        ask_input(f);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_ANSWER_STDIN:
        fake_send_done(f, request);
        send_console(f, STILLPOINT__API__STREAM__STREAM_STDOUT,
                     (const char *)request->answer_stdin->data.data,
                     request->answer_stdin->data.len);
        if (request->answer_stdin->data.len > 0)
            ask_input(f);
        else
            send_ended(f, STILLPOINT__API__EXIT_REASON__EXIT_EXITED, 0, 0);
        return true;
    default:
        return fake_hello(f, request);
    }
}

/* Says "up" and waits to be killed. */
static bool scene_spin(struct fake *f, const fake_envelope *request)
{
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_RUN_VM:
        send_vm(f, request->request_id, request->run_vm);
        send_console(f, STILLPOINT__API__STREAM__STREAM_STDOUT, "up\n", 3);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_KILL_VM:
        fake_send_done(f, request);
        send_console(f, STILLPOINT__API__STREAM__STREAM_STDOUT, "down\n", 5);
        send_ended(f, STILLPOINT__API__EXIT_REASON__EXIT_KILLED, 137, 9);
        return true;
    default:
        return fake_hello(f, request);
    }
}

/* Goes away in the middle of a run. */
static bool scene_vanish(struct fake *f, const fake_envelope *request)
{
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return fake_hello(f, request);
    send_vm(f, request->request_id, request->run_vm);
    return false;
}

/* Prints the path and the size of each file that comes along. */
static bool scene_files(struct fake *f, const fake_envelope *request)
{
    char line[512];
    struct stat st;
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_RUN_VM:
        send_vm(f, request->request_id, request->run_vm);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_ADD_FILE:
        if (fstat(f->fd, &st) < 0)
            return false;
        snprintf(line, sizeof line, "%s %ld\n", request->add_file->path, (long)st.st_size);
        send_console(f, STILLPOINT__API__STREAM__STREAM_STDOUT, line, strlen(line));
        fake_send_done(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_START_VM:
        send_vm(f, request->request_id, NULL);
        send_ended(f, STILLPOINT__API__EXIT_REASON__EXIT_EXITED, 0, 0);
        return true;
    default:
        return fake_hello(f, request);
    }
}

static void ask_import(struct fake *f, const char *path)
{
    Stillpoint__Api__ImportRequested import = STILLPOINT__API__IMPORT_REQUESTED__INIT;
    fake_envelope e = FAKE_BODY(IMPORT_REQUESTED, import_requested, &import);
    import.has_vm = import.has_import_id = 1;
    import.vm = 7;
    import.import_id = 1;
    import.path = (char *)(uintptr_t)path;
    fake_send(f, NULL, &e);
}

/* Asks for $IMPORT, and prints what it gets. */
static bool scene_import(struct fake *f, const fake_envelope *request)
{
    char text[512];
    ssize_t n;
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_RUN_VM:
        run_request = request->request_id;
        ask_import(f, getenv("IMPORT"));
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_ANSWER_IMPORT:
        fake_send_done(f, request);
        n = f->fd >= 0 ? pread(f->fd, text, sizeof text, 0)
                       : snprintf(text, sizeof text, "%s", request->answer_import->error);
        send_vm(f, run_request, NULL);
        send_console(f, STILLPOINT__API__STREAM__STREAM_STDOUT, text, (size_t)n);
        send_ended(f, STILLPOINT__API__EXIT_REASON__EXIT_EXITED, 0, 0);
        return true;
    default:
        return fake_hello(f, request);
    }
}

/* The program has ended, and the reason is in the reply. */
static bool scene_broken(struct fake *f, const fake_envelope *request)
{
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return fake_hello(f, request);
    send_ended(f, STILLPOINT__API__EXIT_REASON__EXIT_ERROR, 1, 0);
    fake_send_error(f, request, STILLPOINT__API__ERROR_CODE__ERROR_PROGRAM_FAILED,
                    "SyntaxError: app.js:1:1", NULL);
    return true;
}

static void send_stop_report(struct fake *f, const fake_envelope *request)
{
    Stillpoint__Api__StopReport report = STILLPOINT__API__STOP_REPORT__INIT;
    Stillpoint__Api__Arrival arrival = STILLPOINT__API__ARRIVAL__INIT, *arrivals = &arrival;
    fake_envelope e = FAKE_BODY(STOP_REPORT, stop_report, &report);
    static char reason[] = "admin", name[] = "late";
    uint64_t missing = 7;
    report.world = request->stop_world->world;
    report.has_mode = report.has_ticket = report.has_elapsed_us = 1;
    report.mode = STILLPOINT__API__WORLD_MODE__MODE_STOPPED;
    report.ticket = 3;
    report.reason = reason;
    report.elapsed_us = request->stop_world->deadline_us;
    arrival.has_vm = arrival.has_was = arrival.has_how = 1;
    arrival.vm = 7;
    arrival.name = name;
    arrival.was = STILLPOINT__API__VM_STATE__VM_STATE_ACTIVE;
    arrival.how = STILLPOINT__API__HOW__HOW_ENFORCED;
    report.arrivals = &arrivals;
    report.n_arrivals = 1;
    report.missing = &missing;
    report.n_missing = 1;
    fake_send(f, request, &e);
}

/* A list of three VMs, a world that does not stop whole, a function that throws. */
static bool scene_daemon(struct fake *f, const fake_envelope *request)
{
    Stillpoint__Api__VmList list = STILLPOINT__API__VM_LIST__INIT;
    Stillpoint__Api__Vm vm[3], *vms[] = {&vm[0], &vm[1], &vm[2]};
    static char names[][8] = {"web-1", "web-2", "db"}, thrown[] = "TypeError: no";
    Stillpoint__Api__CallReply call = STILLPOINT__API__CALL_REPLY__INIT;
    fake_envelope e = FAKE_BODY(VM_LIST, vm_list, &list);
    fake_envelope c = FAKE_BODY(CALL_REPLY, call_reply, &call);
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_LIST_VMS:
        for (unsigned i = 0; i < 3; i++) {
            vm[i] = (Stillpoint__Api__Vm)STILLPOINT__API__VM__INIT;
            vm[i].has_id = 1;
            vm[i].id = i + 1;
            vm[i].name = names[i];
        }
        list.vms = vms;
        list.n_vms = 3;
        fake_send(f, request, &e);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_KILL_VM:
        fake_send_done(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_STOP_WORLD:
        send_stop_report(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_CALL_FUNCTION:
        call.has_threw = 1;
        call.threw = strcmp(request->call_function->function, "fails") == 0;
        call.error = thrown;
        call.json = request->call_function->args_json;
        fake_send(f, request, &c);
        return true;
    default:
        return fake_hello(f, request);
    }
}

static int play(int fd)
{
    static const struct {
        const char *name;
        fake_fn handler;
    } scenes[] = {
        {"echo", scene_echo},     {"end", scene_end},       {"refuse", scene_refuse},
        {"cat", scene_cat},       {"spin", scene_spin},     {"vanish", scene_vanish},
        {"files", scene_files},   {"import", scene_import}, {"broken", scene_broken},
        {"daemon", scene_daemon},
    };
    const char *scene = getenv("SCENE");
    for (size_t i = 0; scene && i < sizeof scenes / sizeof *scenes; i++)
        if (strcmp(scene, scenes[i].name) == 0) {
            fake_serve(fd, scenes[i].handler, NULL);
            return 0;
        }
    return 3;
}

/* ---- the tests' side */

static char folder[256];

struct result {
    int code;
    char out[8192], err[8192];
};

static void read_file(const char *name, char *text, size_t size)
{
    FILE *f = fopen(name, "re");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int open_as(const char *name, int flags, int fd)
{
    int opened = open(name, flags, 0600);
    return opened < 0 ? -1 : dup2(opened, fd);
}

/* stillctl in the test's folder: stdin from "in", output to "out" and "err". */
static pid_t start(const char *scene, const char *const *args)
{
    const char *argv[24] = {getenv("STILLCTL"), "--private"};
    size_t n = 2;
    while (*args)
        argv[n++] = *args++;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    setenv("SCENE", scene, 1);
    if (open_as("in", O_RDONLY, 0) < 0 || open_as("out", O_WRONLY | O_CREAT | O_TRUNC, 1) < 0 ||
        open_as("err", O_WRONLY | O_CREAT | O_TRUNC, 2) < 0)
        _exit(99);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(98);
}

static void finish(pid_t pid, struct result *r)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    r->code = WEXITSTATUS(status);
    read_file("out", r->out, sizeof r->out);
    read_file("err", r->err, sizeof r->err);
}

#define CTL(r, scene, ...) finish(start(scene, (const char *const[]){__VA_ARGS__, NULL}), r)

static void console_arguments_and_exit_code_pass_through(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "echo", "run", "app.js", "--one", "-d");
    assert_int_equal(r.code, 42);
    assert_string_equal(r.out, "the program\n");
    assert_string_equal(r.err, "--one-d");
}

static void exit_codes_follow_the_reason(void **state)
{
    static const struct {
        const char *reason, *code, *signal;
        int expected;
        const char *says;
    } cases[] = {
        {"1", "0", "0", 0, ""},
        {"2", "134", "0", 134, ""},
        {"2", "0", "0", 1, ""},
        {"3", "137", "9", 137, "stillctl: app: out of memory (limit 256M)\n"},
        {"4", "124", "9", 124, "stillctl: app: out of time\n"},
        {"5", "137", "9", 137, "stillctl: app: killed\n"},
        {"6", "139", "11", 139, "stillctl: app: crashed, signal 11\n"},
        {"7", "159", "31", 159, "stillctl: app: ended by the system call filter\n"},
        {"8", "0", "0", 125, "stillctl: app: ended, and nobody saw how\n"},
        {"99", "0", "0", 125, "stillctl: app: ended, and nobody saw how\n"},
    };
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("REASON", cases[i].reason, 1);
        setenv("CODE", cases[i].code, 1);
        setenv("SIGNAL", cases[i].signal, 1);
        CTL(&r, "end", "run", "--memory", "256M", "app.js");
        assert_int_equal(r.code, cases[i].expected);
        assert_string_equal(r.err, cases[i].says);
    }
}

static void a_refusal_is_one_clean_line_and_125_only_when_attached(void **state)
{
    static const struct {
        const char *code;
        int attached, detached;
    } cases[] = {{"3", 2, 2},     {"4", 125, 3}, {"6", 125, 1}, {"7", 125, 4},
                 {"8", 124, 124}, {"10", 1, 1},  {"11", 125, 1}};
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("CODE", cases[i].code, 1);
        CTL(&r, "refuse", "run", "app.js");
        assert_int_equal(r.code, cases[i].attached);
        assert_string_equal(r.err,
                            "stillctl: cannot run app.js: no luck\\x1b[31m (try \"again\")\n");
        CTL(&r, "refuse", "run", "-d", "app.js");
        assert_int_equal(r.code, cases[i].detached);
    }
}

static void stdin_goes_to_the_program_to_its_end(void **state)
{
    struct result r;
    (void)state;
    write_file("in", "twelve bytes");
    CTL(&r, "cat", "run", "app.js");
    write_file("in", "");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "twelve bytes");
}

static void a_program_may_come_from_stdin(void **state)
{
    struct result r;
    (void)state;
    write_file("in", "1 + 1");
    CTL(&r, "echo", "run", "-");
    write_file("in", "");
    assert_int_equal(r.code, 42);
    assert_string_equal(r.out, "1 + 1");
}

/* Waits until the file has that text: the program is up. */
static void wait_for_text(const char *name, const char *text)
{
    char have[64] = "";
    for (int i = 0; i < 10000 && strcmp(have, text) != 0; i++) {
        usleep(1000);
        if (access(name, R_OK) == 0)
            read_file(name, have, sizeof have);
    }
    assert_string_equal(have, text);
}

static void a_signal_kills_the_vm_and_is_the_exit_code(void **state)
{
    static const struct {
        int signal, expected;
    } cases[] = {{SIGINT, 130}, {SIGTERM, 143}};
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unlink("out");
        pid_t pid = start("spin", (const char *const[]){"run", "app.js", NULL});
        wait_for_text("out", "up\n");
        kill(pid, cases[i].signal);
        finish(pid, &r);
        assert_int_equal(r.code, cases[i].expected);
        assert_string_equal(r.err, "");
    }
}

static void a_daemon_that_goes_away_is_125(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "vanish", "run", "app.js");
    assert_int_equal(r.code, 125);
    assert_string_equal(
        r.err, "stillctl: cannot run app.js to its end: the daemon closed the connection\n");
}

static void included_files_go_along_sorted_and_once(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "files", "run", "--include", "lib/*.js", "--include", "*/a.js", "app.js");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "lib/a.js 1\nlib/b.js 2\n");
    CTL(&r, "files", "run", "--include", "none/*", "app.js");
    assert_int_equal(r.code, 125);
    CTL(&r, "files", "run", "--include", "../*", "app.js");
    assert_int_equal(r.code, 2);
}

static void imports_come_from_the_programs_folder(void **state)
{
    struct result r;
    (void)state;
    setenv("IMPORT", "lib/b.js", 1);
    CTL(&r, "import", "run", "app.js");
    assert_string_equal(r.out, "bb");
    setenv("IMPORT", "lib/none.js", 1);
    CTL(&r, "import", "run", "app.js");
    assert_string_equal(r.out, "no such file");
    setenv("IMPORT", "app.js", 1);
    write_file("in", "import './app.js'");
    CTL(&r, "import", "run", "-");
    write_file("in", "");
    assert_string_equal(r.out, "a program from standard input has no folder");
}

static void a_compile_error_is_told_though_the_vm_has_ended(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "broken", "run", "app.js");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "stillctl: cannot run app.js: SyntaxError: app.js:1:1\n");
}

static void what_cannot_be_a_program_is_said_before_a_daemon_is_needed(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "none", "run", "no.js");
    assert_int_equal(r.code, 125);
    assert_string_equal(r.err, "stillctl: cannot run no.js: No such file or directory\n");
    CTL(&r, "none", "run", "-d", "lib");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "stillctl: cannot run lib: Is a directory\n");
    CTL(&r, "none", "run", "");
    assert_int_equal(r.code, 2);
    CTL(&r, "none", "run", "--name", "17", "app.js");
    assert_int_equal(r.code, 2);
}

static void a_private_daemon_that_fails_is_told(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "none", "list");
    assert_int_equal(r.code, 5);
    assert_non_null(strstr(r.err, "it ended with status 3"));
    CTL(&r, "none", "run", "app.js");
    assert_int_equal(r.code, 125);
}

static void globs_select_vms(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "daemon", "-o", "name", "kill", "web-*", "d?");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "web-1\nweb-2\ndb\n");
    CTL(&r, "daemon", "kill", "x*");
    assert_int_equal(r.code, 3);
    CTL(&r, "daemon", "kill", "not a name");
    assert_int_equal(r.code, 2);
    CTL(&r, "daemon", "call", "web-*", "f");
    assert_int_equal(r.code, 2);
}

static void a_list_has_every_format(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "daemon", "list", "-o", "name");
    assert_string_equal(r.out, "web-1\nweb-2\ndb\n");
    CTL(&r, "daemon", "-o", "jsonl", "list");
    assert_non_null(strstr(r.out, "{\"id\":1,\"name\":\"web-1\","));
    CTL(&r, "daemon", "-o", "json", "list");
    assert_non_null(strstr(r.out, "\"pid\": null"));
    CTL(&r, "daemon", "list");
    assert_int_equal(strncmp(r.out, "ID NAME", 7), 0);
    CTL(&r, "daemon", "--no-legend", "list");
    assert_int_equal(strncmp(r.out, " 1 web-1", 8), 0);
}

static void a_stop_that_misses_a_vm_is_6_and_names_it(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "daemon", "world", "stop", "--deadline", "1.5ms", "blue");
    assert_int_equal(r.code, 6);
    assert_string_equal(r.err, "stillctl: cannot stop all of world blue: 1 did not arrive: late "
                               "(7, frozen) (the stop goes on until 'stillctl world resume')\n");
    assert_non_null(strstr(r.out, "blue: stopped, ticket 3 (admin), 0 of 1 in 1500us\n"));
}

static void calls_print_json_and_tell_what_was_thrown(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "daemon", "call", "db", "f", "-1", "{\"a\": \"ä\"}", "--timeout", "1s");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "[ -1,{\"a\": \"ä\"}]\n");
    CTL(&r, "daemon", "call", "db", "fails");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "stillctl: cannot call fails of db: it threw: TypeError: no\n");
    CTL(&r, "daemon", "call", "db", "f", "{");
    assert_int_equal(r.code, 2);
}

static void wrong_usage_is_2_and_one_line(void **state)
{
    static const char *const bad[][3] = {
        {"dance", NULL},
        {"world", "dance", NULL},
        {"list", "--dance", NULL},
        {"list", "-x", NULL},
        {"list", "extra", NULL},
        {"-o", "xml", NULL},
        {"status", NULL},
        {"wait", "--for", "rain"},
        {"list", "-o", NULL},
        {"events", "--since", "x"},
        {"logs", NULL},
        {"call", "db", NULL},
        {"list", "--private=1", NULL},
        {"help", "dance", NULL},
        {"run", "--cpu", "50"},
    };
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTL(&r, "daemon", bad[i][0], bad[i][1], bad[i][1] ? bad[i][2] : NULL);
        assert_int_equal(r.code, 2);
        assert_string_equal(r.out, "");
        assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(console_arguments_and_exit_code_pass_through),
    cmocka_unit_test(exit_codes_follow_the_reason),
    cmocka_unit_test(a_refusal_is_one_clean_line_and_125_only_when_attached),
    cmocka_unit_test(stdin_goes_to_the_program_to_its_end),
    cmocka_unit_test(a_program_may_come_from_stdin),
    cmocka_unit_test(a_signal_kills_the_vm_and_is_the_exit_code),
    cmocka_unit_test(a_daemon_that_goes_away_is_125),
    cmocka_unit_test(included_files_go_along_sorted_and_once),
    cmocka_unit_test(imports_come_from_the_programs_folder),
    cmocka_unit_test(a_compile_error_is_told_though_the_vm_has_ended),
    cmocka_unit_test(what_cannot_be_a_program_is_said_before_a_daemon_is_needed),
    cmocka_unit_test(a_private_daemon_that_fails_is_told),
    cmocka_unit_test(globs_select_vms),
    cmocka_unit_test(a_list_has_every_format),
    cmocka_unit_test(a_stop_that_misses_a_vm_is_6_and_names_it),
    cmocka_unit_test(calls_print_json_and_tell_what_was_thrown),
    cmocka_unit_test(wrong_usage_is_2_and_one_line),
};

/* $STILLCTL, or the one that was built beside the tests. */
static int set_programs(void)
{
    char self[PATH_MAX], ctl[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0 || !realpath(getenv("STILLCTL") ? getenv("STILLCTL") : "stillctl", ctl))
        return -errno;
    self[n] = '\0';
    setenv("STILLPOINTD", self, 1);
    setenv("STILLCTL", ctl, 1);
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    if (!unit_make_folder(folder, sizeof folder) || chdir(folder) < 0 || mkdir("lib", 0700) < 0)
        return -1;
    write_file("in", "");
    write_file("app.js", "the program\n");
    write_file("lib/a.js", "a");
    write_file("lib/b.js", "bb");
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"in", "out", "err", "app.js", "lib/a.js", "lib/b.js"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    return rmdir("lib") < 0 || chdir("/") < 0 || rmdir(folder) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    static const char option[] = "--private-fd=";
    if (argc > 1 && strncmp(argv[1], option, strlen(option)) == 0)
        return play(atoi(argv[1] + strlen(option)));
    if (set_programs() < 0) {
        fprintf(stderr, "there is no stillctl to test\n");
        return 99;
    }
    int before = unit_open_fds();
    int failed = cmocka_run_group_tests(tests, make_folder, remove_folder);
    return failed ? failed : unit_open_fds() == before ? 0 : 99;
}

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

/* It looks whether a program or a call will have to wait: nothing is known here. */
static bool say_hello(struct fake *f, const fake_envelope *request)
{
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_GET_WORLD &&
        request->body_case != STILLPOINT__API__ENVELOPE__BODY_GET_VM)
        return fake_hello(f, request);
    fake_send_error(f, request, STILLPOINT__API__ERROR_CODE__ERROR_NOT_FOUND, "there is none",
                    NULL);
    return true;
}

/* Prints the program and its arguments, then ends with `code`. */
static bool scene_echo(struct fake *f, const fake_envelope *request)
{
    char text[4096];
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return say_hello(f, request);
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
        return say_hello(f, request);
    send_vm(f, request->request_id, request->run_vm);
    send_ended(f, atoi(getenv("REASON")), (uint32_t)atoi(getenv("CODE")),
               (uint32_t)atoi(getenv("SIGNAL")));
    return true;
}

/* $CODE is the error that a run is refused with. */
static bool scene_refuse(struct fake *f, const fake_envelope *request)
{
    if (say_hello(f, request))
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
        return say_hello(f, request);
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
        return say_hello(f, request);
    }
}

/* Goes away in the middle of a run. */
static bool scene_vanish(struct fake *f, const fake_envelope *request)
{
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return say_hello(f, request);
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
        return say_hello(f, request);
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
        return say_hello(f, request);
    }
}

/* The program has ended, and the reason is in the reply. */
static bool scene_broken(struct fake *f, const fake_envelope *request)
{
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_RUN_VM)
        return say_hello(f, request);
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
        return say_hello(f, request);
    }
}

/* ---- a world that is controlled: VMs app (7) and db (8), the debuggers ide (4) and cli:1000 (5)
 */

static bool ide_is_open, new_is_open; /* on this connection */

static void send_world(struct fake *f, const fake_envelope *request, const char *controller)
{
    Stillpoint__Api__WorldReply reply = STILLPOINT__API__WORLD_REPLY__INIT;
    Stillpoint__Api__World w = STILLPOINT__API__WORLD__INIT;
    Stillpoint__Api__Ticket ticket = STILLPOINT__API__TICKET__INIT;
    Stillpoint__Api__Controller c = STILLPOINT__API__CONTROLLER__INIT;
    fake_envelope e = FAKE_BODY(WORLD_REPLY, world_reply, &reply);
    static char name[] = "default", reason[] = "debugger", policy[] = "hold";
    w.name = name;
    w.has_mode = w.has_target = w.has_runner = w.has_enforced = 1;
    w.mode = STILLPOINT__API__WORLD_MODE__MODE_STOPPED;
    w.runner = 7;
    w.target = 99; /* gone */
    w.enforced = 1;
    ticket.has_ticket = 1;
    ticket.ticket = 3;
    ticket.reason = reason;
    ticket.debugger = c.debugger = (char *)(uintptr_t)controller;
    c.policy = policy;
    w.ticket = &ticket;
    w.controller = &c;
    reply.world = &w;
    fake_send(f, request, &e);
}

static void fill_debugger(Stillpoint__Api__Debugger *d, uint64_t id, const char *name,
                          const char *policy)
{
    static char *worlds[] = {(char *)"default"};
    stillpoint__api__debugger__init(d);
    d->has_id = d->has_owner_uid = 1;
    d->id = id;
    d->owner_uid = 1000;
    d->name = (char *)(uintptr_t)name;
    d->policy = (char *)(uintptr_t)policy;
    d->worlds = worlds;
    d->n_worlds = id == 5;
}

static void send_debuggers(struct fake *f, const fake_envelope *request)
{
    Stillpoint__Api__DebuggerList list = STILLPOINT__API__DEBUGGER_LIST__INIT;
    Stillpoint__Api__Debugger d[3], *at[] = {&d[0], &d[1], &d[2]};
    fake_envelope e = FAKE_BODY(DEBUGGER_LIST, debugger_list, &list);
    fill_debugger(&d[0], 4, "ide", "resume");
    fill_debugger(&d[1], 5, "cli:1000", "hold");
    list.debuggers = at;
    fill_debugger(&d[2], 6, "new", "hold");
    list.n_debuggers = new_is_open ? 3 : 2;
    fake_send(f, request, &e);
}

static void send_opened(struct fake *f, const fake_envelope *request)
{
    const Stillpoint__Api__OpenDebugger *o = request->open_debugger;
    Stillpoint__Api__DebuggerReply reply = STILLPOINT__API__DEBUGGER_REPLY__INIT;
    Stillpoint__Api__Debugger d;
    fake_envelope e = FAKE_BODY(DEBUGGER_REPLY, debugger_reply, &reply);
    fill_debugger(&d, strcmp(o->name, "ide") == 0 ? 4 : 6, o->name,
                  o->policy ? o->policy : "resume");
    d.note = o->note;
    new_is_open |= d.id == 6;
    ide_is_open |= d.id == 4 && o->policy && strcmp(o->policy, "resume") == 0; /* as it was */
    reply.debugger = &d;
    fake_send(f, request, &e);
}

/* Others close new: $CLOSED. */
static void send_subscribed(struct fake *f, const fake_envelope *request)
{
    Stillpoint__Api__SubscribeReply reply = STILLPOINT__API__SUBSCRIBE_REPLY__INIT;
    fake_envelope e = FAKE_BODY(SUBSCRIBE_REPLY, subscribe_reply, &reply);
    fake_send(f, request, &e);
    if (!getenv("CLOSED"))
        return;
    static const char *const names[] = {"ide", "new"};
    for (size_t i = 0; i < 2; i++) {
        Stillpoint__Api__Event event = STILLPOINT__API__EVENT__INIT;
        fake_envelope news = FAKE_BODY(EVENT, event, &event);
        event.has_seq = event.has_kind = event.has_uid = 1;
        event.seq = i + 1;
        event.kind = STILLPOINT__API__EVENT_KIND__EVENT_DEBUGGER_CLOSED;
        event.uid = 1000 + (uint32_t)i;
        event.name = (char *)(uintptr_t)names[i];
        fake_send(f, NULL, &news);
    }
}

/* VM 7, parked and frozen, and thawed for a request if $SERVING; 99 is gone. */
static void send_frozen_vm(struct fake *f, const fake_envelope *request, const char *which)
{
    Stillpoint__Api__VmReply reply = STILLPOINT__API__VM_REPLY__INIT;
    Stillpoint__Api__Vm vm = STILLPOINT__API__VM__INIT;
    fake_envelope e = FAKE_BODY(VM_REPLY, vm_reply, &reply);
    static char name[] = "app", world[] = "default";
    if (strcmp(which, "7") != 0 && strcmp(which, "app") != 0) {
        fake_send_error(f, request, STILLPOINT__API__ERROR_CODE__ERROR_NOT_FOUND, "no such VM",
                        NULL);
        return;
    }
    vm.has_id = vm.has_state = vm.has_how = vm.has_frozen = vm.has_serving = 1;
    vm.id = 7;
    vm.name = name;
    vm.world = world;
    vm.state = STILLPOINT__API__VM_STATE__VM_STATE_PARKED;
    vm.serving = getenv("SERVING") != NULL;
    vm.frozen = !vm.serving;
    vm.how = vm.serving ? STILLPOINT__API__HOW__HOW_ACKED : STILLPOINT__API__HOW__HOW_ENFORCED;
    reply.vm = &vm;
    fake_send(f, request, &e);
}

static void send_went_on(struct fake *f, const fake_envelope *request)
{
    Stillpoint__Api__ContinueReply reply = STILLPOINT__API__CONTINUE_REPLY__INIT;
    Stillpoint__Api__World w = STILLPOINT__API__WORLD__INIT;
    fake_envelope e = FAKE_BODY(CONTINUE_REPLY, continue_reply, &reply);
    static char name[] = "default";
    w.name = name;
    w.has_mode = 1;
    w.mode = request->continue_vm->until_still ? STILLPOINT__API__WORLD_MODE__MODE_STOPPED
             : request->continue_vm->only      ? STILLPOINT__API__WORLD_MODE__MODE_RUN_ONE
                                               : STILLPOINT__API__WORLD_MODE__MODE_RUN_ALL;
    reply.world = &w;
    reply.reason = getenv("REASON");
    fake_send(f, request, &e);
}

/* Three are missing, each in another way. */
static void send_bad_stop(struct fake *f, const fake_envelope *request)
{
    Stillpoint__Api__StopReport report = STILLPOINT__API__STOP_REPORT__INIT;
    Stillpoint__Api__Arrival arrivals[2], *at[] = {&arrivals[0], &arrivals[1]};
    fake_envelope e = FAKE_BODY(STOP_REPORT, stop_report, &report);
    static char world[] = "default", liar[] = "liar", late[] = "late";
    uint64_t missing[] = {1, 2, 7};
    for (unsigned i = 0; i < 2; i++) {
        stillpoint__api__arrival__init(&arrivals[i]);
        arrivals[i].has_vm = arrivals[i].has_how = 1;
        arrivals[i].vm = i + 1;
    }
    arrivals[0].name = liar;
    arrivals[0].has_lied = arrivals[0].lied = 1;
    arrivals[0].how = STILLPOINT__API__HOW__HOW_ENFORCED;
    arrivals[1].name = late;
    arrivals[1].how = request->stop_world->kill_late ? STILLPOINT__API__HOW__HOW_DEAD
                                                     : STILLPOINT__API__HOW__HOW_ENFORCED;
    report.world = world;
    report.arrivals = at;
    report.n_arrivals = 2;
    report.missing = missing;
    report.n_missing = 3;
    fake_send(f, request, &e);
}

/* app answers; db answers too, unless the world is "partial", where 9 did not even arrive. */
static void send_inspection(struct fake *f, const fake_envelope *request)
{
    const Stillpoint__Api__InspectWorld *asked = request->inspect_world;
    Stillpoint__Api__Inspection i = STILLPOINT__API__INSPECTION__INIT;
    Stillpoint__Api__StopReport stop = STILLPOINT__API__STOP_REPORT__INIT;
    Stillpoint__Api__Arrival arrival = STILLPOINT__API__ARRIVAL__INIT, *arrivals = &arrival;
    Stillpoint__Api__VmInspection vm[2], *vms[] = {&vm[0], &vm[1]};
    Stillpoint__Api__ClassCount class[3], *classes[] = {&class[0], &class[1], &class[2]};
    Stillpoint__Api__Frame frame[3], *frames[] = {&frame[0], &frame[1], &frame[2]};
    fake_envelope e = FAKE_BODY(INSPECTION, inspection, &i);
    static char names[][8] = {"app", "db", "late", "Array", "Object", "Map"}, js[] = "js",
                wasm[] = "wasm", url[] = "app.js", module[] = "m.wasm", function[] = "step",
                reason[] = "gc", error[] = "it did not answer in time";
    uint64_t missing = 9;
    for (unsigned n = 0; n < 3; n++) {
        stillpoint__api__class_count__init(&class[n]);
        class[n].class_name = names[3 + n];
        class[n].has_count = class[n].has_bytes = 1;
        class[n].count = n + 1;
        class[n].bytes = 1024 * (n + 1);
        stillpoint__api__frame__init(&frame[n]);
        frame[n].has_frame = 1;
        frame[n].frame = n;
        frame[n].kind = n == 2 ? wasm : js;
        frame[n].url = n == 2 ? module : url;
        frame[n].has_line = frame[n].has_column = n < 2;
        frame[n].line = 10 + n;
        frame[n].column = 5;
        frame[n].has_offset = n == 2;
        frame[n].offset = 0x1f;
    }
    frame[0].function = function;
    for (unsigned n = 0; n < 2; n++) {
        stillpoint__api__vm_inspection__init(&vm[n]);
        vm[n].has_vm = 1;
        vm[n].vm = 7 + n;
        vm[n].name = names[n];
    }
    vm[0].has_before_bytes = vm[0].has_after_bytes = 1;
    vm[0].before_bytes = 10240;
    vm[0].after_bytes = 4096;
    vm[0].classes = classes;
    vm[0].n_classes = 3;
    vm[0].frames = frames;
    vm[0].n_frames = 3;
    stop.world = asked->world;
    stop.has_ticket = stop.has_mode = 1;
    stop.ticket = 12;
    stop.mode = STILLPOINT__API__WORLD_MODE__MODE_STOPPED;
    stop.reason = reason;
    if (strcmp(asked->world, "partial") == 0) {
        vm[1].error = error;
        arrival.has_vm = arrival.has_was = arrival.has_how = 1;
        arrival.vm = 9;
        arrival.name = names[2];
        arrival.was = STILLPOINT__API__VM_STATE__VM_STATE_ACTIVE;
        arrival.how = STILLPOINT__API__HOW__HOW_ENFORCED;
        stop.arrivals = &arrivals;
        stop.n_arrivals = 1;
        stop.missing = &missing;
        stop.n_missing = 1;
    }
    i.has_kind = i.has_held_us = 1;
    i.kind = asked->kind;
    i.held_us = 1500;
    i.stop = &stop;
    i.vms = vms;
    i.n_vms = 2;
    fake_send(f, request, &e);
}

/* Acting for ide is for those that have it open. */
static bool may_act_for(struct fake *f, const fake_envelope *request, const char *debugger)
{
    if (!debugger || strncmp(debugger, "cli:", 4) == 0 || ide_is_open)
        return true;
    fake_send_error(f, request, STILLPOINT__API__ERROR_CODE__ERROR_PERMISSION_DENIED,
                    "it is not open here", NULL);
    return false;
}

static bool scene_world(struct fake *f, const fake_envelope *request)
{
    const char *debugger;
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_GET_WORLD:
        send_world(f, request, "cli:1000");
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_SET_TARGET:
        send_world(f, request, request->set_target->vm);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_HAND_OVER_LEASE:
        send_world(f, request, request->hand_over_lease->to);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_TAKE_LEASE:
        debugger = request->take_lease->debugger;
        if (!request->take_lease->steal)
            fake_send_error(f, request, STILLPOINT__API__ERROR_CODE__ERROR_WRONG_STATE,
                            "it is controlled by other", "use --steal");
        else if (may_act_for(f, request, debugger))
            send_world(f, request, debugger ? debugger : "cli:1000");
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_GET_VM:
        send_frozen_vm(f, request, request->get_vm->vm);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_HOLD_VM:
        if (may_act_for(f, request, request->hold_vm->debugger))
            send_frozen_vm(f, request, request->hold_vm->vm);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_RELEASE_VM:
        if (may_act_for(f, request, request->release_vm->debugger))
            send_frozen_vm(f, request, request->release_vm->vm);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_STOP_WORLD:
        if (may_act_for(f, request, request->stop_world->debugger))
            send_bad_stop(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_INSPECT_WORLD:
        if (may_act_for(f, request, request->inspect_world->debugger))
            send_inspection(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_CONTINUE_VM:
        send_went_on(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_LIST_DEBUGGERS:
        send_debuggers(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_SUBSCRIBE:
        send_subscribed(f, request);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_OPEN_DEBUGGER:
        send_opened(f, request);
        return getenv("VANISH") == NULL;
    case STILLPOINT__API__ENVELOPE__BODY_CLOSE_DEBUGGER:
        debugger = request->close_debugger->debugger;
        if (strcmp(debugger, "ide") == 0 || strcmp(debugger, "4") == 0)
            fake_send_done(f, request);
        else
            fake_send_error(f, request, STILLPOINT__API__ERROR_CODE__ERROR_NOT_FOUND,
                            "no such debugger", NULL);
        return true;
    default:
        return say_hello(f, request);
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
        {"daemon", scene_daemon}, {"world", scene_world},
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

static void says(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' does not say '%s'", text, words);
}

static void each_missing_vm_is_said_to_be_frozen_lying_killed_or_running(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "world", "stop", "--enforce", "--require-idle");
    assert_int_equal(r.code, 6);
    says(r.err, "3 did not arrive: liar (1, lied, frozen now), late (2, frozen), "
                "app (7, still running) (the stop goes on");
    says(r.out, "enforced (lied)");
    CTL(&r, "world", "-o", "json", "world", "stop", "--kill-late");
    assert_int_equal(r.code, 6);
    says(r.err, "late (2, killed)");
    says(r.out, "\"lied\": [\n    1\n  ]");
}

static void a_frozen_vm_is_shown_as_such(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "status", "app");
    says(r.out, "State: parked (frozen)\n   Stopped: enforced\n");
    setenv("SERVING", "1", 1);
    CTL(&r, "world", "status", "app");
    unsetenv("SERVING");
    says(r.out, "State: parked (serving)\n   Stopped: acked (serving)\n");
}

static void the_status_of_a_world_names_who_is_what(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "world", "status");
    assert_int_equal(r.code, 0);
    says(r.out, "Enforced: yes");
    says(r.out, "Runner: app (7)\n");
    says(r.out, "Target: 99\n");
    says(r.out, "Controller: cli:1000, policy hold");
    CTL(&r, "world", "-o", "json", "world", "status");
    says(r.out, "\"enforced\": true");
}

static void a_collection_has_a_row_for_each_vm_and_a_total(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "world", "gc");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "VM NAME BEFORE AFTER FREED\n"
                               " 7 app     10K    4K    6K\n"
                               " 8 db       0B    0B    0B\n"
                               "default: 6K of 10K freed in 2 VMs, ticket 12 (gc), stopped for "
                               "1.5ms\n");
    CTL(&r, "world", "world", "gc", "partial", "--deadline", "1s", "--wait", "1s", "--timeout",
        "2s");
    assert_int_equal(r.code, 6);
    says(r.out, " 8 db        -     -     - it did not answer in time\n");
    assert_string_equal(r.err, "stillctl: cannot collect garbage in all of world partial: 1 did "
                               "not arrive: late (9, frozen); no answer of db (8): it did not "
                               "answer in time\n");
    CTL(&r, "world", "-o", "jsonl", "world", "gc");
    says(r.out, "\"vms\":[{\"vm\":7,\"name\":\"app\",\"error\":null,\"before_bytes\":10240,");
}

static void a_census_shows_the_largest_classes_first(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "world", "census", "--top", "1");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "VM NAME CLASS    COUNT BYTES\n"
                               " 7 app  Map          3    3K\n"
                               " 7 app  (others)     3    3K\n"
                               "default: 6K in 2 VMs, ticket 12 (gc), stopped for 1.5ms\n");
    CTL(&r, "world", "-o", "json", "world", "census", "--top", "1");
    says(r.out, "\"class\": \"Array\"");
}

static void stacks_look_like_those_of_gdb(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "world", "bt");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "app (7):\n"
                               "#0 step (app.js:10:5)\n"
                               "#1 <anonymous> (app.js:11:5)\n"
                               "#2 <anonymous> (m.wasm:0x1f)\n"
                               "\n"
                               "db (8): no frame\n");
    CTL(&r, "world", "world", "bt", "partial");
    assert_int_equal(r.code, 6);
    says(r.out, "db (8): it did not answer in time\n");
    CTL(&r, "world", "-o", "name", "world", "bt");
    assert_string_equal(r.out, "app\ndb\n");
}

static void a_controller_takes_hands_over_and_chooses_its_target(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "world", "take");
    assert_int_equal(r.code, 3);
    says(r.err, "cannot take world default: it is controlled by other (use --steal)");
    CTL(&r, "world", "world", "take", "--steal", "--hold", "5m");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "default: stopped, controlled by cli:1000 (policy hold, until -), "
                               "target 99\n");
    CTL(&r, "world", "world", "take", "--steal", "--debugger", "ide");
    assert_int_equal(r.code, 0);
    says(r.out, "controlled by ide");
    CTL(&r, "world", "world", "handover", "ide");
    says(r.out, "controlled by ide");
    CTL(&r, "world", "-o", "name", "world", "handover", "default", "4");
    assert_string_equal(r.out, "default\n");
    CTL(&r, "world", "world", "target", "app");
    says(r.out, "controlled by app"); /* what was asked for, here */
}

static void verbs_act_for_a_debugger_that_they_open_and_never_make(void **state)
{
    static const char *const verbs[][3] = {
        {"hold", "app", NULL}, {"release", "app", NULL}, {"world", "gc", NULL}};
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        CTL(&r, "world", verbs[i][0], verbs[i][1], "--debugger", "ide");
        assert_int_equal(r.code, 0);
        CTL(&r, "world", verbs[i][0], verbs[i][1], "--debugger", "4");
        assert_int_equal(r.code, 0);
        CTL(&r, "world", verbs[i][0], verbs[i][1], "--debugger", "cli:1000");
        assert_int_equal(r.code, 0);
        CTL(&r, "world", verbs[i][0], verbs[i][1], "--debugger", "typo");
        assert_int_equal(r.code, 3);
        says(r.err, "cannot use debugger typo: there is none");
    }
}

static void a_vm_that_goes_on_alone_says_why_it_stopped(void **state)
{
    struct result r;
    (void)state;
    setenv("REASON", "running", 1);
    CTL(&r, "world", "continue", "app");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "app (7): running; world default: run-all\n");
    setenv("REASON", "idle", 1);
    CTL(&r, "world", "-o", "jsonl", "continue", "app", "--only", "--until-still", "--on-exit",
        "resume");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "{\"vm\":7,\"name\":\"app\",\"reason\":\"idle\",\"frame\":null,"
                               "\"world\":\"default\",\"mode\":\"stopped\"}\n");
    setenv("REASON", "deadline", 1);
    CTL(&r, "world", "continue", "app", "--only", "--until-still", "--deadline", "1s");
    assert_int_equal(r.code, 124);
    says(r.out, "app (7): deadline; world default: stopped\n");
    CTL(&r, "world", "continue", "nobody");
    assert_int_equal(r.code, 3);
}

static void debuggers_are_listed_and_closed(void **state)
{
    struct result r;
    (void)state;
    CTL(&r, "world", "debugger", "list");
    assert_string_equal(r.out, "ID NAME     OWNER OPEN POLICY HOOKS HITS DROPPED WORLDS  NOTE\n"
                               " 4 ide       1000 no   resume     0 -          0 -       -\n"
                               " 5 cli:1000  1000 no   hold       0 -          0 default -\n");
    CTL(&r, "world", "-o", "name", "debugger", "list");
    assert_string_equal(r.out, "ide\ncli:1000\n");
    CTL(&r, "world", "-o", "jsonl", "debugger", "close", "4");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "{\"id\":4,\"name\":\"ide\"}\n");
    CTL(&r, "world", "debugger", "close", "other");
    assert_int_equal(r.code, 3);
}

static void an_open_debugger_stays_until_a_signal(void **state)
{
    static const struct {
        int signal, expected;
    } cases[] = {{SIGINT, 130}, {SIGTERM, 0}};
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unlink("out");
        pid_t pid = start("world", (const char *const[]){"debugger", "open", "new", "--note",
                                                         "mine", "--policy", "hold", NULL});
        wait_for_text("out", "6\n");
        kill(pid, cases[i].signal);
        finish(pid, &r);
        assert_int_equal(r.code, cases[i].expected);
        assert_string_equal(r.err, "");
    }
    setenv("CLOSED", "1", 1);
    CTL(&r, "world", "debugger", "open", "new");
    unsetenv("CLOSED");
    assert_int_equal(r.code, 3);
    assert_string_equal(r.out, "6\n");
    assert_string_equal(r.err, "stillctl: cannot keep debugger new open: uid 1001 has closed it\n");
    setenv("VANISH", "1", 1);
    CTL(&r, "world", "-o", "jsonl", "debugger", "open", "ide", "--note", "mine");
    unsetenv("VANISH");
    assert_int_equal(r.code, 5);
    says(r.out, "{\"id\":4,\"name\":\"ide\",");
    says(r.out, "\"note\":\"mine\",\"policy\":\"resume\"");
    assert_string_equal(
        r.err, "stillctl: cannot keep debugger ide open: the daemon closed the connection\n");
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
        {"run", "--tasks", "few"},
        {"run", "--output-rate", "1X"},
        {"run", "--log-size", "0"},
        {"continue", NULL},
        {"continue", "app", "--until-still"},
        {"world", "target", NULL},
        {"world", "handover", NULL},
        {"world", "gc", "a b"},
        {"world", "bt", "--top=1"},
        {"world", "take", "--debugger=a b"},
        {"debugger", "dance", NULL},
        {"debugger", NULL},
        {"debugger", "open", NULL},
        {"debugger", "open", "12"},
        {"debugger", "close", "a b"},
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

static void help_for_a_group_of_verbs_lists_them(void **state)
{
    static const char *const ways[][2] = {{"break", "--help"}, {"break", "-h"}, {"help", "break"}};
    struct result r;
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        CTL(&r, "daemon", ways[i][0], ways[i][1], NULL);
        assert_int_equal(r.code, 0);
        assert_non_null(strstr(r.out, "  break add "));
        assert_non_null(strstr(r.out, "  break rm "));
        assert_null(strstr(r.out, "  audit add "));
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
    cmocka_unit_test(each_missing_vm_is_said_to_be_frozen_lying_killed_or_running),
    cmocka_unit_test(a_frozen_vm_is_shown_as_such),
    cmocka_unit_test(the_status_of_a_world_names_who_is_what),
    cmocka_unit_test(a_collection_has_a_row_for_each_vm_and_a_total),
    cmocka_unit_test(a_census_shows_the_largest_classes_first),
    cmocka_unit_test(stacks_look_like_those_of_gdb),
    cmocka_unit_test(a_controller_takes_hands_over_and_chooses_its_target),
    cmocka_unit_test(verbs_act_for_a_debugger_that_they_open_and_never_make),
    cmocka_unit_test(a_vm_that_goes_on_alone_says_why_it_stopped),
    cmocka_unit_test(debuggers_are_listed_and_closed),
    cmocka_unit_test(an_open_debugger_stays_until_a_signal),
    cmocka_unit_test(calls_print_json_and_tell_what_was_thrown),
    cmocka_unit_test(wrong_usage_is_2_and_one_line),
    cmocka_unit_test(help_for_a_group_of_verbs_lists_them),
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

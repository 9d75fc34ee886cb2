/*
 * The client library and stillctl's JSON, with a daemon that says anything: one request by a real
 * connection, replies and events out of the input, and whatever comes of it as JSON, which has to
 * be JSON.
 *
 * Input: which request; then frames: flags, length, an Envelope. Flags: 1 the reply to the request,
 * 2 an event, else as it is; 4 the descriptor of a memfd goes with it, with the bytes of the frame
 * after it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/json.h"
#include "client/stillpoint.h"
#include "proto/api.pb-c.h"
#include "proto/frame.h"
#include "proto/unpack.h"
#include "tests/fuzz/fuzz.h"

#define FLAG_REPLY 1u
#define FLAG_EVENT 2u
#define FLAG_MEMFD 4u
/* Hello is the first request of every connection. */
#define REQUEST_ID 2u
#define SOCKET_BYTES (1024 * 1024)

/* ---- JSON */

static void require_json(json_t *value)
{
    FUZZ_REQUIRE(value);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    FUZZ_REQUIRE(text);
    fuzz_require_text(text, false);
    FUZZ_REQUIRE(!strpbrk(text, "\n\r\t\033"));
    json_error_t error;
    json_t *again = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    FUZZ_REQUIRE(again && json_equal(again, value));
    json_decref(again);
    free(text);
    json_decref(value);
}

static void require_vms(struct stillpoint_vms *vms)
{
    for (size_t i = 0; i < vms->n; i++) {
        require_json(json_of_vm(&vms->items[i]));
        require_json(json_of_vm_ref(&vms->items[i]));
        require_json(json_of_stack(&vms->items[i], true));
    }
    stillpoint_vms_free(vms);
}

static void require_worlds(struct stillpoint_worlds *worlds)
{
    for (size_t i = 0; i < worlds->n; i++)
        require_json(json_of_world(&worlds->items[i]));
    stillpoint_worlds_free(worlds);
}

static void require_hooks(struct stillpoint_hooks *hooks)
{
    for (size_t i = 0; i < hooks->n; i++)
        require_json(json_of_hook(&hooks->items[i]));
    require_json(json_of_hooks(hooks));
    stillpoint_hooks_free(hooks);
}

static void require_debuggers(struct stillpoint_debuggers *debuggers)
{
    for (size_t i = 0; i < debuggers->n; i++) {
        require_json(json_of_debugger(&debuggers->items[i]));
        require_json(json_of_debugger_ref(&debuggers->items[i]));
    }
    stillpoint_debuggers_free(debuggers);
}

static void require_named(const struct stillpoint_named_value *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        require_json(json_of_variable(&items[i]));
}

/* ---- requests: each returns whether it was answered with what it asked for */

/* What results are shown together with. */
static const struct stillpoint_vm some_vm = {
    .id = 1, .name = "vm", .world = "default", .engine = "mozjs", .program = "a.js"};

static bool get_vm(struct stillpoint *sp)
{
    struct stillpoint_vms vms;
    if (stillpoint_vm_get(sp, "vm", &vms) != 0)
        return false;
    FUZZ_REQUIRE(vms.n == 1);
    require_vms(&vms);
    return true;
}

static bool list_vms(struct stillpoint *sp)
{
    struct stillpoint_vms vms;
    const struct stillpoint_list list = {0};
    if (stillpoint_vm_list(sp, &list, &vms) != 0)
        return false;
    require_vms(&vms);
    return true;
}

static bool call_vm(struct stillpoint *sp)
{
    struct stillpoint_result result;
    if (stillpoint_vm_call(sp, "vm", "f", "[]", 0, &result) != 0)
        return false;
    require_json(result.threw ? json_of_text(result.error) : json_of_json(result.json));
    stillpoint_result_free(&result);
    return true;
}

static bool read_log(struct stillpoint *sp)
{
    struct stillpoint_log log;
    const struct stillpoint_log_query query = {.vm = "vm"};
    if (stillpoint_vm_log(sp, &query, &log) != 0)
        return false;
    for (size_t i = 0; i < log.n; i++)
        require_json(json_of_log_record(&log.records[i]));
    stillpoint_log_free(&log);
    return true;
}

static bool list_worlds(struct stillpoint *sp)
{
    struct stillpoint_worlds worlds;
    if (stillpoint_world_list(sp, &worlds) != 0)
        return false;
    require_worlds(&worlds);
    return true;
}

static bool get_world(struct stillpoint *sp)
{
    struct stillpoint_worlds worlds;
    if (stillpoint_world_get(sp, "default", &worlds) != 0)
        return false;
    require_worlds(&worlds);
    return true;
}

static bool stop_world(struct stillpoint *sp)
{
    struct stillpoint_stop_report report;
    const struct stillpoint_stop stop = {.world = "default"};
    if (stillpoint_world_stop(sp, &stop, &report) != 0)
        return false;
    require_json(json_of_stop_report(&report));
    stillpoint_stop_report_free(&report);
    return true;
}

static bool resume_world(struct stillpoint *sp)
{
    struct stillpoint_resumption resumption;
    if (stillpoint_world_resume(sp, "default", &resumption) != 0)
        return false;
    require_json(json_of_resumption(&resumption));
    stillpoint_resumption_free(&resumption);
    return true;
}

static bool continue_vm(struct stillpoint *sp)
{
    struct stillpoint_continuation continuation;
    const struct stillpoint_continue what = {.vm = "vm", .only = true};
    if (stillpoint_vm_continue(sp, &what, &continuation) != 0)
        return false;
    require_json(json_of_continuation(&some_vm, &continuation));
    stillpoint_continuation_free(&continuation);
    return true;
}

static bool inspect(struct stillpoint *sp, enum stillpoint_inspect_kind kind)
{
    struct stillpoint_inspection inspection;
    const struct stillpoint_inspect what = {.world = "default", .kind = kind};
    if (stillpoint_world_inspect(sp, &what, &inspection) != 0)
        return false;
    require_json(json_of_inspection(&inspection));
    stillpoint_inspection_free(&inspection);
    return true;
}

static bool inspect_gc(struct stillpoint *sp)
{
    return inspect(sp, STILLPOINT_INSPECT_GC);
}

static bool inspect_census(struct stillpoint *sp)
{
    return inspect(sp, STILLPOINT_INSPECT_CENSUS);
}

static bool inspect_stacks(struct stillpoint *sp)
{
    return inspect(sp, STILLPOINT_INSPECT_STACKS);
}

static bool open_debugger(struct stillpoint *sp)
{
    struct stillpoint_debuggers debuggers;
    if (stillpoint_debugger_open(sp, "dbg", NULL, "hold", &debuggers) != 0)
        return false;
    FUZZ_REQUIRE(debuggers.n == 1);
    require_debuggers(&debuggers);
    return true;
}

static bool list_debuggers(struct stillpoint *sp)
{
    struct stillpoint_debuggers debuggers;
    if (stillpoint_debugger_list(sp, &debuggers) != 0)
        return false;
    require_debuggers(&debuggers);
    return true;
}

static bool list_hooks(struct stillpoint *sp)
{
    struct stillpoint_hooks hooks;
    const struct stillpoint_hook_query query = {0};
    if (stillpoint_hook_list(sp, &query, &hooks) != 0)
        return false;
    require_hooks(&hooks);
    return true;
}

static bool remove_hooks(struct stillpoint *sp)
{
    struct stillpoint_hooks hooks;
    const uint64_t which = 1;
    if (stillpoint_hook_remove(sp, &which, 1, NULL, &hooks) != 0)
        return false;
    require_hooks(&hooks);
    return true;
}

static bool list_auditors(struct stillpoint *sp)
{
    struct stillpoint_auditors auditors;
    if (stillpoint_auditor_list(sp, NULL, &auditors) != 0)
        return false;
    for (size_t i = 0; i < auditors.n; i++)
        require_json(json_of_auditor(&auditors.items[i]));
    stillpoint_auditors_free(&auditors);
    return true;
}

static bool read_hits(struct stillpoint *sp)
{
    struct stillpoint_hits hits;
    const struct stillpoint_hits_query query = {0};
    if (stillpoint_hits_read(sp, &query, &hits) != 0)
        return false;
    for (size_t i = 0; i < hits.n; i++)
        require_json(json_of_hit(&hits.items[i], "dbg"));
    stillpoint_hits_free(&hits);
    return true;
}

static bool list_frames(struct stillpoint *sp)
{
    struct stillpoint_frames frames;
    if (stillpoint_vm_frames(sp, "vm", 0, 0, &frames) != 0)
        return false;
    for (size_t i = 0; i < frames.n; i++)
        require_json(json_of_frame(&frames.items[i]));
    stillpoint_frames_free(&frames);
    return true;
}

static bool list_scopes(struct stillpoint *sp)
{
    struct stillpoint_scopes scopes;
    if (stillpoint_vm_scopes(sp, "vm", 0, &scopes) != 0)
        return false;
    for (size_t i = 0; i < scopes.n; i++) {
        require_json(json_of_text(scopes.items[i].scope));
        require_json(json_of_some_text(scopes.items[i].function));
    }
    stillpoint_scopes_free(&scopes);
    return true;
}

static bool list_variables(struct stillpoint *sp)
{
    struct stillpoint_variables variables;
    const struct stillpoint_variables_query query = {.vm = "vm", .ref = 1};
    if (stillpoint_vm_variables(sp, &query, &variables) != 0)
        return false;
    require_named(variables.items, variables.n);
    stillpoint_variables_free(&variables);
    return true;
}

static bool evaluate(struct stillpoint *sp)
{
    struct stillpoint_evaluated evaluated;
    const struct stillpoint_evaluation what = {.vm = "vm", .expression = "1"};
    if (stillpoint_vm_evaluate(sp, &what, &evaluated) != 0)
        return false;
    require_json(json_of_evaluated(&some_vm, &evaluated));
    stillpoint_evaluated_free(&evaluated);
    return true;
}

static bool step_vm(struct stillpoint *sp)
{
    struct stillpoint_stepped stepped;
    const struct stillpoint_step step = {.vm = "vm"};
    if (stillpoint_vm_step(sp, &step, &stepped) != 0)
        return false;
    require_json(json_of_step(&some_vm, &stepped));
    stillpoint_stepped_free(&stepped);
    return true;
}

static bool list_sources(struct stillpoint *sp)
{
    struct stillpoint_sources sources;
    if (stillpoint_vm_sources(sp, "vm", 0, 0, &sources) != 0)
        return false;
    for (size_t i = 0; i < sources.n; i++)
        require_json(json_of_source(&sources.items[i]));
    stillpoint_sources_free(&sources);
    return true;
}

static bool read_source(struct stillpoint *sp)
{
    struct stillpoint_source_text text;
    const struct stillpoint_source_query query = {.vm = "vm", .source = 1};
    if (stillpoint_vm_source_text(sp, &query, &text) != 0)
        return false;
    require_json(json_of_source(&text.source));
    require_json(json_of_text_bytes(text.text, text.bytes));
    stillpoint_source_text_free(&text);
    return true;
}

static bool list_positions(struct stillpoint *sp)
{
    struct stillpoint_positions positions;
    const struct stillpoint_positions_query query = {.vm = "vm", .source = 1};
    if (stillpoint_vm_positions(sp, &query, &positions) != 0)
        return false;
    for (size_t i = 0; i < positions.n; i++)
        require_json(json_of_location(&positions.items[i]));
    stillpoint_positions_free(&positions);
    return true;
}

static bool read_memory(struct stillpoint *sp)
{
    struct stillpoint_data data;
    const struct stillpoint_memory_place place = {.vm = "vm"};
    if (stillpoint_vm_memory_read(sp, &place, 16, &data) != 0)
        return false;
    require_json(json_of_bytes(data.data, data.bytes));
    stillpoint_data_free(&data);
    return true;
}

static bool get_pause(struct stillpoint *sp)
{
    struct stillpoint_pause pause;
    if (stillpoint_vm_pause(sp, "vm", &pause) != 0)
        return false;
    require_json(json_of_location(pause.location));
    require_json(json_of_text(pause.reason));
    stillpoint_pause_free(&pause);
    return true;
}

static bool examine(struct stillpoint *sp)
{
    struct stillpoint_checkup checkup;
    if (stillpoint_doctor(sp, &checkup) != 0)
        return false;
    require_json(json_of_checkup(&checkup));
    stillpoint_checkup_free(&checkup);
    return true;
}

static bool subscribe(struct stillpoint *sp)
{
    uint64_t seq;
    const struct stillpoint_subscription what = {.replay = true, .once = true};
    return stillpoint_subscribe(sp, &what, &seq) == 0;
}

static bool kill_vm(struct stillpoint *sp)
{
    return stillpoint_vm_kill(sp, "vm") == 0;
}

static bool list_units(struct stillpoint *sp)
{
    struct stillpoint_units units;
    if (stillpoint_unit_list(sp, NULL, &units) != 0)
        return false;
    for (size_t i = 0; i < units.n; i++) {
        FUZZ_REQUIRE(units.items[i].name && units.items[i].path && units.items[i].detail);
        require_json(json_of_limits(&units.items[i].limits));
        require_json(json_of_labels(units.items[i].labels, units.items[i].n_labels));
        require_json(json_of_texts(units.items[i].args, units.items[i].n_args));
    }
    stillpoint_units_free(&units);
    return true;
}

static bool (*const requests[])(struct stillpoint *sp) = {
    get_vm,        list_vms,       call_vm,        read_log,     list_worlds,    get_world,
    stop_world,    resume_world,   continue_vm,    inspect_gc,   inspect_census, inspect_stacks,
    open_debugger, list_debuggers, list_hooks,     remove_hooks, list_auditors,  read_hits,
    list_frames,   list_scopes,    list_variables, evaluate,     step_vm,        list_sources,
    read_source,   list_positions, read_memory,    get_pause,    examine,        subscribe,
    kill_vm,       list_units,
};

/* ---- what comes without having been asked for */

static unsigned n_events;

static void on_event(struct stillpoint *sp, const struct stillpoint_event *event, void *data)
{
    (void)sp, (void)data;
    n_events++;
    require_json(json_of_event(event));
}

static void on_console(struct stillpoint *sp, uint64_t vm, enum stillpoint_stream stream,
                       const void *text, size_t bytes, void *data)
{
    (void)sp, (void)vm, (void)data;
    n_events++;
    FUZZ_REQUIRE(stillpoint_stream_text(stream));
    require_json(json_of_text_bytes(text, bytes));
}

static void on_import(struct stillpoint *sp, uint64_t vm, uint64_t import_id, const char *path,
                      void *data)
{
    (void)data;
    n_events++;
    require_json(json_of_text(path));
    stillpoint_answer_import_post(sp, vm, import_id, -1, "there is none");
}

static void on_input(struct stillpoint *sp, uint64_t vm, size_t max_bytes, void *data)
{
    (void)data;
    n_events++;
    FUZZ_REQUIRE(max_bytes > 0);
    stillpoint_answer_stdin_post(sp, vm, "x", 1);
}

static void on_ended(struct stillpoint *sp, uint64_t vm, const struct stillpoint_exit *exit,
                     void *data)
{
    (void)sp, (void)vm, (void)data;
    n_events++;
    require_json(json_of_exit(exit));
}

/* ---- the daemon */

static void send_frame(int sock, struct frame_writer *w, const uint8_t *data, size_t n, int fd)
{
    if (n > 0)
        FUZZ_REQUIRE(frame_writer_put(w, data, n, fd) == 0);
    else if (fd >= 0)
        close(fd);
    FUZZ_REQUIRE(frame_writer_flush(w, sock) == 0);
}

/* The Envelope as the flags want it; what is no Envelope goes as it is. */
static uint8_t *prepared(const uint8_t *data, size_t n, unsigned flags, int fd, size_t *ret_bytes)
{
    const char *why;
    ProtobufCMessage *m = unpack_message(&stillpoint__api__envelope__descriptor, data, n, &why);
    if (!m || (flags & (FLAG_REPLY | FLAG_EVENT | FLAG_MEMFD)) == 0) {
        unpack_free(m);
        *ret_bytes = n;
        return fuzz_copy(data, n);
    }
    Stillpoint__Api__Envelope *e = (Stillpoint__Api__Envelope *)m;
    e->has_request_id = (flags & FLAG_REPLY) != 0;
    e->request_id = e->has_request_id ? REQUEST_ID : 0;
    if (fd >= 0) {
        e->has_fd_count = 1;
        e->fd_count = 1;
    }
    *ret_bytes = protobuf_c_message_get_packed_size(m);
    uint8_t *packed = malloc(*ret_bytes ? *ret_bytes : 1);
    FUZZ_REQUIRE(packed);
    protobuf_c_message_pack(m, packed);
    unpack_free(m);
    return packed;
}

static void say_hello(int sock, struct frame_writer *w)
{
    Stillpoint__Api__Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__HelloReply m = STILLPOINT__API__HELLO_REPLY__INIT;
    uint8_t packed[64];
    e.has_request_id = 1;
    e.request_id = 1;
    e.body_case = STILLPOINT__API__ENVELOPE__BODY_HELLO_REPLY;
    e.hello_reply = &m;
    send_frame(sock, w, packed, stillpoint__api__envelope__pack(&e, packed), -1);
}

static void say_all(int sock, struct frame_writer *w, struct fuzz_input *in)
{
    size_t sent = 0;
    while (in->left > 0 && sent < SOCKET_BYTES / 4) {
        unsigned flags = fuzz_u8(in);
        size_t n, bytes, beside = 0;
        const uint8_t *memfd_data = NULL, *data = fuzz_bytes(in, fuzz_u16(in), &n);
        int fd = -1;
        if (flags & FLAG_MEMFD) {
            memfd_data = fuzz_bytes(in, fuzz_u16(in), &beside);
            fd = fd_memfd_new("inspection", memfd_data, beside);
            FUZZ_REQUIRE(fd >= 0);
        }
        uint8_t *packed = prepared(data, n, flags, fd, &bytes);
        send_frame(sock, w, packed, bytes, fd);
        free(packed);
        sent += bytes + 64;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stillpoint_handlers handlers = {on_event, on_console, on_import,
                                                        on_input, on_ended,   NULL};
    struct fuzz_input in = {data, size};
    unsigned which = fuzz_u8(&in) % (sizeof requests / sizeof *requests);
    struct stillpoint *sp;
    struct frame_writer w;
    int ours, theirs, room = SOCKET_BYTES;
    fuzz_fds_note();
    FUZZ_REQUIRE(stillpoint_socketpair(&ours, &theirs) == 0);
    setsockopt(theirs, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    frame_writer_init(&w, 4 * SOCKET_BYTES);
    say_hello(theirs, &w);
    FUZZ_REQUIRE(stillpoint_connect_fd(ours, "fuzz", &sp) == 0);
    stillpoint_set_handlers(sp, &handlers);
    n_events = 0;
    say_all(theirs, &w, &in);
    /* So a request that was not answered ends. */
    shutdown(theirs, SHUT_WR);
    bool answered = requests[which](sp);
    while (stillpoint_wait(sp, 0) == 0)
        ;
    FUZZ_REQUIRE(stillpoint_error(sp)->message);
    if (answered || n_events > 0)
        fuzz_accepted();
    else
        fuzz_refused();
    stillpoint_free(sp);
    frame_writer_done(&w);
    close(theirs);
    fuzz_fds_require();
    return 0;
}

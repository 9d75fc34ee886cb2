/* libstillpoint against a daemon that answers what each test wants, in a thread. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/stillpoint.h"
#include "test_client_fake.h"

/* ---- a connection to a fake daemon */

struct peer {
    pthread_t thread;
    int sock;
    fake_fn handler;
    struct stillpoint *sp;
    int connected; /* what stillpoint_connect_fd() returned */
    /* What handlers of the daemon's side saw. */
    uint64_t first; /* request that is answered later */
    char answered[256];
    int import_fd_seals;
};

static void *serve(void *data)
{
    struct peer *p = data;
    fake_serve(p->sock, p->handler, p);
    return NULL;
}

static void start(struct peer *p, fake_fn handler)
{
    int ours;
    *p = (struct peer){.handler = handler};
    assert_int_equal(stillpoint_socketpair(&ours, &p->sock), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
    p->connected = stillpoint_connect_fd(ours, "test 1", &p->sp);
}

static void stop(struct peer *p)
{
    p->sp = stillpoint_free(p->sp);
    pthread_join(p->thread, NULL);
}

/* ---- Hello */

static void hello_says_who_the_daemon_is(void **state)
{
    struct peer p;
    (void)state;
    start(&p, fake_hello);
    assert_int_equal(p.connected, 0);
    assert_string_equal(stillpoint_peer(p.sp)->daemon, "stillpointd 9.9");
    assert_int_equal(stillpoint_peer(p.sp)->uid, 1000);
    assert_string_equal(stillpoint_peer(p.sp)->roles, "observe run");
    stop(&p);
}

static bool refuse(struct fake *fake, const fake_envelope *request)
{
    fake_send_error(fake, request, STILLPOINT__API__ERROR_CODE__ERROR_PERMISSION_DENIED, "not you",
                    "ask root");
    return false;
}

static void a_refused_hello_leaves_its_error(void **state)
{
    struct peer p;
    (void)state;
    start(&p, refuse);
    assert_int_equal(p.connected, STILLPOINT_REFUSED);
    assert_int_equal(stillpoint_error(p.sp)->code, STILLPOINT_ERROR_PERMISSION_DENIED);
    assert_string_equal(stillpoint_error(p.sp)->message, "not you");
    assert_string_equal(stillpoint_error(p.sp)->hint, "ask root");
    stop(&p);
}

static bool turn_away(struct fake *fake, const fake_envelope *request)
{
    (void)request;
    fake_send_error(fake, NULL, STILLPOINT__API__ERROR_CODE__ERROR_LIMIT_EXCEEDED, "too many",
                    "close some");
    return false;
}

static void an_error_without_a_request_answers_what_is_open(void **state)
{
    struct peer p;
    (void)state;
    start(&p, turn_away);
    assert_int_equal(p.connected, STILLPOINT_REFUSED);
    assert_int_equal(stillpoint_error(p.sp)->code, STILLPOINT_ERROR_LIMIT_EXCEEDED);
    assert_string_equal(stillpoint_error(p.sp)->message, "too many");
    assert_string_equal(stillpoint_error(p.sp)->hint, "close some");
    stop(&p);
}

static bool hang_up(struct fake *fake, const fake_envelope *request)
{
    (void)fake;
    (void)request;
    return false;
}

static void a_daemon_that_hangs_up_is_econnreset(void **state)
{
    struct peer p;
    (void)state;
    start(&p, hang_up);
    assert_int_equal(p.connected, -ECONNRESET);
    assert_null(p.sp);
    stop(&p);
}

/* ---- nonsense */

static bool garbage(struct fake *fake, const fake_envelope *request)
{
    static const uint8_t nonsense[] = {0xff, 0xff, 0xff, 0xff, 0xff};
    if (fake_hello(fake, request))
        return true;
    frame_writer_put(&fake->out, nonsense, sizeof nonsense, -1);
    frame_writer_flush(&fake->out, fake->sock);
    return true;
}

static void nonsense_ends_the_connection_for_good(void **state)
{
    struct peer p;
    struct stillpoint_vms vms;
    (void)state;
    start(&p, garbage);
    assert_int_equal(stillpoint_vm_get(p.sp, "a", &vms), -EPROTO);
    assert_int_equal(stillpoint_vm_get(p.sp, "a", &vms), -EPROTO);
    assert_int_equal(stillpoint_dispatch(p.sp), -EPROTO);
    stop(&p);
}

static bool wrong_kind(struct fake *fake, const fake_envelope *request)
{
    if (!fake_hello(fake, request))
        fake_send_done(fake, request);
    return true;
}

static void a_reply_of_another_kind_is_eproto(void **state)
{
    struct peer p;
    struct stillpoint_vms vms;
    struct stillpoint_worlds worlds;
    (void)state;
    start(&p, wrong_kind);
    assert_int_equal(stillpoint_vm_get(p.sp, "a", &vms), -EPROTO);
    assert_int_equal(stillpoint_world_list(p.sp, &worlds), -EPROTO);
    /* The connection itself is fine. */
    assert_int_equal(stillpoint_vm_kill(p.sp, "a"), 0);
    stop(&p);
}

/* Answers every request with its reply, and nothing in it. */
static bool empty(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__VmReply vm = STILLPOINT__API__VM_REPLY__INIT;
    Stillpoint__Api__VmList vms = STILLPOINT__API__VM_LIST__INIT;
    Stillpoint__Api__LogPage log = STILLPOINT__API__LOG_PAGE__INIT;
    Stillpoint__Api__CallReply call = STILLPOINT__API__CALL_REPLY__INIT;
    Stillpoint__Api__WorldList worlds = STILLPOINT__API__WORLD_LIST__INIT;
    Stillpoint__Api__World empty_world = STILLPOINT__API__WORLD__INIT, *one_world = &empty_world;
    Stillpoint__Api__StopReport report = STILLPOINT__API__STOP_REPORT__INIT;
    Stillpoint__Api__Arrival arrival = STILLPOINT__API__ARRIVAL__INIT, *arrivals = &arrival;
    Stillpoint__Api__ResumeReply resume = STILLPOINT__API__RESUME_REPLY__INIT;
    Stillpoint__Api__DoctorReply doctor = STILLPOINT__API__DOCTOR_REPLY__INIT;
    if (fake_hello(fake, request))
        return true;
    worlds.worlds = &one_world;
    worlds.n_worlds = 1;
    report.arrivals = &arrivals;
    report.n_arrivals = 1;
    fake_envelope replies[] = {
        FAKE_BODY(VM_REPLY, vm_reply, &vm),
        FAKE_BODY(VM_LIST, vm_list, &vms),
        FAKE_BODY(LOG_PAGE, log_page, &log),
        FAKE_BODY(CALL_REPLY, call_reply, &call),
        FAKE_BODY(WORLD_LIST, world_list, &worlds),
        FAKE_BODY(STOP_REPORT, stop_report, &report),
        FAKE_BODY(RESUME_REPLY, resume_reply, &resume),
        FAKE_BODY(DOCTOR_REPLY, doctor_reply, &doctor),
    };
    static const int bodies[] = {
        STILLPOINT__API__ENVELOPE__BODY_GET_VM,       STILLPOINT__API__ENVELOPE__BODY_LIST_VMS,
        STILLPOINT__API__ENVELOPE__BODY_READ_LOG,     STILLPOINT__API__ENVELOPE__BODY_CALL_FUNCTION,
        STILLPOINT__API__ENVELOPE__BODY_LIST_WORLDS,  STILLPOINT__API__ENVELOPE__BODY_STOP_WORLD,
        STILLPOINT__API__ENVELOPE__BODY_RESUME_WORLD, STILLPOINT__API__ENVELOPE__BODY_DOCTOR,
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if ((int)request->body_case == bodies[i])
            fake_send(fake, request, &replies[i]);
    return true;
}

static void missing_fields_have_defaults(void **state)
{
    struct peer p;
    struct stillpoint_vms vms;
    struct stillpoint_worlds worlds;
    struct stillpoint_stop_report report;
    struct stillpoint_resumption resumption;
    struct stillpoint_log log;
    struct stillpoint_result result;
    struct stillpoint_checkup checkup;
    (void)state;
    start(&p, empty);
    assert_int_equal(stillpoint_vm_get(p.sp, "a", &vms), -EPROTO);
    assert_int_equal(stillpoint_vm_list(p.sp, &(struct stillpoint_list){0}, &vms), 0);
    assert_int_equal(vms.n, 0);
    stillpoint_vms_free(&vms);
    assert_int_equal(stillpoint_world_list(p.sp, &worlds), 0);
    assert_string_equal(worlds.items[0].name, "");
    assert_string_equal(stillpoint_world_mode_text(worlds.items[0].mode), "unknown");
    assert_null(worlds.items[0].ticket);
    stillpoint_worlds_free(&worlds);
    assert_int_equal(stillpoint_world_stop(p.sp, &(struct stillpoint_stop){.world = "w"}, &report),
                     0);
    assert_int_equal(report.n_missing, 0);
    assert_string_equal(report.arrivals[0].name, "");
    assert_string_equal(stillpoint_how_text(report.arrivals[0].how), "unknown");
    assert_false(report.arrivals[0].lied);
    assert_int_equal(report.stopped_mono_ns, 0);
    stillpoint_stop_report_free(&report);
    assert_int_equal(stillpoint_world_resume(p.sp, "w", &resumption), 0);
    assert_string_equal(resumption.world, "");
    stillpoint_resumption_free(&resumption);
    assert_int_equal(stillpoint_vm_log(p.sp, &(struct stillpoint_log_query){.vm = "a"}, &log), 0);
    assert_int_equal(log.n, 0);
    stillpoint_log_free(&log);
    assert_int_equal(stillpoint_vm_call(p.sp, "a", "f", "[]", 0, &result), 0);
    assert_string_equal(result.json, "null");
    stillpoint_result_free(&result);
    assert_int_equal(stillpoint_doctor(p.sp, &checkup), 0);
    assert_false(checkup.ok);
    stillpoint_checkup_free(&checkup);
    stop(&p);
}

/* ---- pages */

static bool three_pages(struct fake *fake, const fake_envelope *request)
{
    if (fake_hello(fake, request))
        return true;
    Stillpoint__Api__VmList list = STILLPOINT__API__VM_LIST__INIT;
    Stillpoint__Api__Vm vm = STILLPOINT__API__VM__INIT, *vms = &vm;
    char name[] = "vm-0";
    uint64_t page = request->list_vms->page_token;
    vm.has_id = list.has_next_page_token = 1;
    vm.id = page + 1;
    name[3] = (char)('0' + page);
    vm.name = name;
    list.vms = &vms;
    list.n_vms = 1;
    list.next_page_token = page < 2 ? page + 1 : 0;
    fake_envelope e = FAKE_BODY(VM_LIST, vm_list, &list);
    fake_send(fake, request, &e);
    return true;
}

static void pages_of_a_list_are_joined(void **state)
{
    struct peer p;
    struct stillpoint_vms vms;
    (void)state;
    start(&p, three_pages);
    assert_int_equal(stillpoint_vm_list(p.sp, &(struct stillpoint_list){0}, &vms), 0);
    assert_int_equal(vms.n, 3);
    assert_string_equal(vms.items[0].name, "vm-0");
    assert_string_equal(vms.items[2].name, "vm-2");
    assert_int_equal(vms.items[2].id, 3);
    stillpoint_vms_free(&vms);
    stop(&p);
}

/* ---- running: an import is asked for and answered before the reply comes */

static void ask_import(struct fake *fake)
{
    Stillpoint__Api__ImportRequested import = STILLPOINT__API__IMPORT_REQUESTED__INIT;
    fake_envelope e = FAKE_BODY(IMPORT_REQUESTED, import_requested, &import);
    static char path[] = "lib/a.js";
    import.has_vm = import.has_import_id = 1;
    import.vm = 5;
    import.import_id = 77;
    import.path = path;
    fake_send(fake, NULL, &e);
}

static void reply_vm(struct fake *fake, uint64_t request_id)
{
    Stillpoint__Api__VmReply reply = STILLPOINT__API__VM_REPLY__INIT;
    Stillpoint__Api__Vm vm = STILLPOINT__API__VM__INIT;
    fake_envelope e = FAKE_BODY(VM_REPLY, vm_reply, &reply);
    fake_envelope request = STILLPOINT__API__ENVELOPE__INIT;
    static char name[] = "app";
    request.request_id = request_id;
    vm.has_id = 1;
    vm.id = 5;
    vm.name = name;
    reply.vm = &vm;
    fake_send(fake, &request, &e);
}

static void keep_answer(struct peer *p, struct fake *fake, const Stillpoint__Api__AnswerImport *a)
{
    ssize_t n = fake->fd >= 0 ? pread(fake->fd, p->answered, sizeof p->answered - 1, 0) : -1;
    if (n < 0)
        snprintf(p->answered, sizeof p->answered, "error: %s", a->error ? a->error : "");
    p->import_fd_seals = fake->fd >= 0 ? fcntl(fake->fd, F_GET_SEALS) : 0;
}

static bool with_import(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    if (fake_hello(fake, request))
        return true;
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_RUN_VM:
        p->first = request->request_id;
        ask_import(fake);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_ANSWER_IMPORT:
        keep_answer(p, fake, request->answer_import);
        fake_send_done(fake, request);
        reply_vm(fake, p->first);
        break;
    default:
        return false;
    }
    return true;
}

static int memfd_of(const char *text)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
    close(fds[1]);
    int fd = stillpoint_memfd_from(fds[0]);
    close(fds[0]);
    assert_true(fd >= 0);
    return fd;
}

static void answer_import(struct stillpoint *sp, uint64_t vm, uint64_t import_id, const char *path,
                          void *data)
{
    (void)data;
    assert_int_equal(vm, 5);
    assert_string_equal(path, "lib/a.js");
    int fd = memfd_of("export default 1");
    assert_int_equal(stillpoint_answer_import_post(sp, vm, import_id, fd, NULL), 0);
    close(fd);
}

static void run_program(struct peer *p)
{
    const struct stillpoint_run run = {.program = "app.js",
                                       .kind = STILLPOINT_SOURCE_SCRIPT_OR_MODULE};
    struct stillpoint_vms vms;
    int fd = memfd_of("import './lib/a.js'");
    assert_int_equal(stillpoint_run(p->sp, &run, fd, &vms), 0);
    close(fd);
    assert_int_equal(vms.n, 1);
    assert_int_equal(vms.items[0].id, 5);
    assert_string_equal(vms.items[0].name, "app");
    stillpoint_vms_free(&vms);
}

static void imports_are_answered_while_a_run_waits(void **state)
{
    struct peer p;
    (void)state;
    start(&p, with_import);
    stillpoint_set_handlers(p.sp, &(struct stillpoint_handlers){.import = answer_import});
    run_program(&p);
    stop(&p);
    assert_string_equal(p.answered, "export default 1");
    assert_int_equal(p.import_fd_seals, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static void an_import_that_nobody_answers_is_refused(void **state)
{
    struct peer p;
    (void)state;
    start(&p, with_import);
    run_program(&p);
    stop(&p);
    assert_string_equal(p.answered, "error: this client answers no imports");
}

/* ---- events between a request and its reply; replies in any order */

static bool events_first(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__Event event = STILLPOINT__API__EVENT__INIT;
    Stillpoint__Api__SubscribeReply reply = STILLPOINT__API__SUBSCRIBE_REPLY__INIT;
    fake_envelope e = FAKE_BODY(EVENT, event, &event);
    fake_envelope r = FAKE_BODY(SUBSCRIBE_REPLY, subscribe_reply, &reply);
    if (fake_hello(fake, request))
        return true;
    event.has_seq = 1;
    for (event.seq = 1; event.seq <= 3; event.seq++)
        fake_send(fake, NULL, &e);
    reply.has_last_seq = 1;
    reply.last_seq = 3;
    fake_send(fake, request, &r);
    return true;
}

static void count_event(struct stillpoint *sp, const struct stillpoint_event *event, void *data)
{
    uint64_t *n = data;
    (void)sp;
    assert_int_equal(event->seq, ++*n);
    assert_null(event->json);
}

static void events_arrive_in_order_before_the_reply(void **state)
{
    struct peer p;
    uint64_t n = 0, last_seq = 0;
    (void)state;
    start(&p, events_first);
    const struct stillpoint_handlers handlers = {.event = count_event, .data = &n};
    stillpoint_set_handlers(p.sp, &handlers);
    const struct stillpoint_subscription once = {.replay = true, .once = true};
    assert_int_equal(stillpoint_subscribe(p.sp, &once, &last_seq), 0);
    assert_int_equal(n, 3);
    assert_int_equal(last_seq, 3);
    stop(&p);
}

/* Holds the first run's answer back until the second has come. */
static bool reverse(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    if (fake_hello(fake, request))
        return true;
    if (p->first == 0) {
        p->first = request->request_id;
        return true;
    }
    fake_send_error(fake, request, STILLPOINT__API__ERROR_CODE__ERROR_NOT_FOUND, "second", NULL);
    reply_vm(fake, p->first);
    return true;
}

static void note_vm(struct stillpoint *sp, int r, const struct stillpoint_vm *vm, void *data)
{
    char *notes = data;
    if (r == 0)
        strcat(notes, vm->name);
    else if (r == STILLPOINT_REFUSED)
        strcat(notes, stillpoint_error(sp)->message);
    else
        strcat(notes, "failed");
    strcat(notes, " ");
}

static void replies_may_come_in_any_order(void **state)
{
    struct peer p;
    char notes[64] = "";
    (void)state;
    start(&p, reverse);
    assert_int_equal(stillpoint_start_async(p.sp, 1, note_vm, notes), 0);
    assert_int_equal(stillpoint_start_async(p.sp, 2, note_vm, notes), 0);
    while (strcmp(notes, "second app ") != 0)
        assert_int_equal(stillpoint_wait(p.sp, 10000), 0);
    stop(&p);
}

static void open_requests_end_with_their_connection(void **state)
{
    struct peer p;
    char notes[64] = "";
    (void)state;
    start(&p, reverse);
    assert_int_equal(stillpoint_start_async(p.sp, 1, note_vm, notes), 0);
    stop(&p);
    assert_string_equal(notes, "failed ");
}

static void what_is_larger_than_a_frame_is_refused_here(void **state)
{
    struct peer p;
    (void)state;
    start(&p, wrong_kind);
    char *json = malloc(2 * 1024 * 1024);
    assert_non_null(json);
    memset(json, '1', 2 * 1024 * 1024 - 1);
    json[2 * 1024 * 1024 - 1] = '\0';
    assert_int_equal(stillpoint_vm_send(p.sp, "a", json), -EMSGSIZE);
    free(json);
    assert_int_equal(stillpoint_vm_send(p.sp, "a", "1"), 0);
    stop(&p);
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void the_first_socket_that_exists_is_the_default(void **state)
{
    char dir[256], own[300], folder[300], theirs[400], found[400];
    (void)state;
    assert_true(unit_make_folder(dir, sizeof dir));
    snprintf(own, sizeof own, "%s/own", dir);
    snprintf(folder, sizeof folder, "%s/stillpoint", dir);
    snprintf(theirs, sizeof theirs, "%s/control.sock", folder);
    setenv("STILLPOINT_SOCKET", own, 1);
    setenv("XDG_RUNTIME_DIR", dir, 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    touch(own);
    touch(theirs);
    assert_int_equal(stillpoint_default_socket(found, sizeof found), 0);
    assert_string_equal(found, own);
    assert_int_equal(stillpoint_default_socket(found, 4), -ENAMETOOLONG);
    unlink(own);
    assert_int_equal(stillpoint_default_socket(found, sizeof found), 0);
    assert_string_equal(found, theirs);
    unlink(theirs);
    rmdir(folder);
    rmdir(dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hello_says_who_the_daemon_is),
    cmocka_unit_test(a_refused_hello_leaves_its_error),
    cmocka_unit_test(an_error_without_a_request_answers_what_is_open),
    cmocka_unit_test(a_daemon_that_hangs_up_is_econnreset),
    cmocka_unit_test(nonsense_ends_the_connection_for_good),
    cmocka_unit_test(a_reply_of_another_kind_is_eproto),
    cmocka_unit_test(missing_fields_have_defaults),
    cmocka_unit_test(pages_of_a_list_are_joined),
    cmocka_unit_test(imports_are_answered_while_a_run_waits),
    cmocka_unit_test(an_import_that_nobody_answers_is_refused),
    cmocka_unit_test(events_arrive_in_order_before_the_reply),
    cmocka_unit_test(replies_may_come_in_any_order),
    cmocka_unit_test(open_requests_end_with_their_connection),
    cmocka_unit_test(what_is_larger_than_a_frame_is_refused_here),
    cmocka_unit_test(the_first_socket_that_exists_is_the_default),
};

UNIT_MAIN(tests)

/* What debuggers ask of a world, through libstillpoint, of a daemon that answers what each test
 * wants, in a thread. */
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/stillpoint.h"
#include "test_client_fake.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))

struct peer {
    pthread_t thread;
    int sock;
    fake_fn handler;
    struct stillpoint *sp;
    char asked[512]; /* what the last request said */
    int how;         /* which of its answers the daemon gives */
};

static void *serve(void *data)
{
    struct peer *p = data;
    fake_serve(p->sock, p->handler, p);
    return NULL;
}

static void start(struct peer *p, fake_fn handler, int how)
{
    int ours;
    *p = (struct peer){.handler = handler, .how = how};
    assert_int_equal(stillpoint_socketpair(&ours, &p->sock), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
    assert_int_equal(stillpoint_connect_fd(ours, "test 1", &p->sp), 0);
}

static void stop(struct peer *p)
{
    p->sp = stillpoint_free(p->sp);
    pthread_join(p->thread, NULL);
}

/* ---- debuggers */

static Stillpoint__Api__Debugger ide(uint64_t id)
{
    static char *worlds[] = {(char *)"default", (char *)"blue"};
    Stillpoint__Api__Debugger d = STILLPOINT__API__DEBUGGER__INIT;
    d.has_id = d.has_owner_uid = d.has_open = 1;
    d.id = id;
    d.owner_uid = 1000;
    d.open = 1;
    d.name = TEXT("ide");
    d.note = TEXT("of an editor");
    d.policy = TEXT("hold");
    d.worlds = worlds;
    d.n_worlds = 2;
    return d;
}

/* how 0: debugger 4; 1: one without an id; 2: none at all. */
static bool opens(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    Stillpoint__Api__DebuggerReply reply = STILLPOINT__API__DEBUGGER_REPLY__INIT;
    Stillpoint__Api__Debugger d = ide(p->how == 0 ? 4 : 0);
    fake_envelope e = FAKE_BODY(DEBUGGER_REPLY, debugger_reply, &reply);
    if (fake_hello(fake, request))
        return true;
    const Stillpoint__Api__OpenDebugger *o = request->open_debugger;
    snprintf(p->asked, sizeof p->asked, "%s/%s/%s", o->name, o->note ? o->note : "-",
             o->policy ? o->policy : "-");
    reply.debugger = p->how == 2 ? NULL : &d;
    fake_send(fake, request, &e);
    return true;
}

static void a_debugger_is_opened_by_its_name(void **state)
{
    struct peer p;
    struct stillpoint_debuggers debuggers;
    (void)state;
    start(&p, opens, 0);
    assert_int_equal(stillpoint_debugger_open(p.sp, "ide", NULL, NULL, &debuggers), 0);
    assert_string_equal(p.asked, "ide/-/-");
    assert_int_equal(debuggers.n, 1);
    const struct stillpoint_debugger *d = &debuggers.items[0];
    assert_int_equal(d->id, 4);
    assert_int_equal(d->owner_uid, 1000);
    assert_true(d->open);
    assert_string_equal(d->name, "ide");
    assert_string_equal(d->note, "of an editor");
    assert_string_equal(d->policy, "hold");
    assert_int_equal(d->n_worlds, 2);
    assert_string_equal(d->worlds[1], "blue");
    stillpoint_debuggers_free(&debuggers);
    assert_int_equal(stillpoint_debugger_open(p.sp, "ide", "n", "hold", &debuggers), 0);
    assert_string_equal(p.asked, "ide/n/hold");
    stillpoint_debuggers_free(&debuggers);
    stop(&p);
}

static void a_debugger_without_an_id_is_eproto(void **state)
{
    struct stillpoint_debuggers debuggers;
    (void)state;
    for (int how = 1; how <= 2; how++) {
        struct peer p;
        start(&p, opens, how);
        assert_int_equal(stillpoint_debugger_open(p.sp, "ide", NULL, NULL, &debuggers), -EPROTO);
        stop(&p);
    }
}

static bool lists(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__DebuggerList list = STILLPOINT__API__DEBUGGER_LIST__INIT;
    fake_envelope e = FAKE_BODY(DEBUGGER_LIST, debugger_list, &list);
    if (fake_hello(fake, request))
        return true;
    if (request->body_case == STILLPOINT__API__ENVELOPE__BODY_CLOSE_DEBUGGER) {
        struct peer *p = fake->data;
        snprintf(p->asked, sizeof p->asked, "%s", request->close_debugger->debugger);
        fake_send_done(fake, request);
        return true;
    }
    Stillpoint__Api__Debugger d = ide(request->list_debuggers->page_token + 1), *debuggers = &d;
    list.debuggers = &debuggers;
    list.n_debuggers = 1;
    list.has_next_page_token = 1;
    list.next_page_token = d.id < 3 ? d.id : 0;
    fake_send(fake, request, &e);
    return true;
}

static void debuggers_come_in_pages_and_are_closed(void **state)
{
    struct peer p;
    struct stillpoint_debuggers debuggers;
    (void)state;
    start(&p, lists, 0);
    assert_int_equal(stillpoint_debugger_list(p.sp, &debuggers), 0);
    assert_int_equal(debuggers.n, 3);
    assert_int_equal(debuggers.items[2].id, 3);
    stillpoint_debuggers_free(&debuggers);
    assert_int_equal(stillpoint_debugger_close(p.sp, "2"), 0);
    stop(&p);
    assert_string_equal(p.asked, "2");
}

/* ---- worlds and leases */

/* how 0: a world in run-one; 1: a reply without one. Notes what was asked. */
static bool controls(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    Stillpoint__Api__World w = STILLPOINT__API__WORLD__INIT;
    Stillpoint__Api__WorldReply reply = STILLPOINT__API__WORLD_REPLY__INIT;
    Stillpoint__Api__ContinueReply went_on = STILLPOINT__API__CONTINUE_REPLY__INIT;
    fake_envelope e = FAKE_BODY(WORLD_REPLY, world_reply, &reply);
    fake_envelope c = FAKE_BODY(CONTINUE_REPLY, continue_reply, &went_on);
    if (fake_hello(fake, request))
        return true;
    w.name = TEXT("blue");
    w.has_mode = w.has_enforced = w.has_runner = w.has_target = 1;
    w.mode = STILLPOINT__API__WORLD_MODE__MODE_RUN_ONE;
    w.enforced = 1;
    w.runner = w.target = 7;
    reply.world = went_on.world = p->how == 0 ? &w : NULL;
    went_on.reason = TEXT("running");
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_TAKE_LEASE:
        snprintf(p->asked, sizeof p->asked, "take %s %s %d %llu", request->take_lease->world,
                 request->take_lease->debugger ? request->take_lease->debugger : "-",
                 request->take_lease->steal, (unsigned long long)request->take_lease->hold_us);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_HAND_OVER_LEASE:
        snprintf(p->asked, sizeof p->asked, "hand over %s %s", request->hand_over_lease->world,
                 request->hand_over_lease->to);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_SET_TARGET:
        snprintf(p->asked, sizeof p->asked, "target %s", request->set_target->vm);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_CONTINUE_VM:
        snprintf(p->asked, sizeof p->asked, "continue %s %d %d %d/%d %llu",
                 request->continue_vm->vm, request->continue_vm->only,
                 request->continue_vm->until_still, request->continue_vm->has_on_exit,
                 request->continue_vm->on_exit,
                 (unsigned long long)request->continue_vm->deadline_us);
        fake_send(fake, request, &c);
        return true;
    default:
        return false;
    }
    fake_send(fake, request, &e);
    return true;
}

static void leases_and_targets_answer_with_the_world(void **state)
{
    struct peer p;
    struct stillpoint_worlds worlds;
    (void)state;
    start(&p, controls, 0);
    const struct stillpoint_lease lease = {"blue", "ide", true, 5};
    assert_int_equal(stillpoint_lease_take(p.sp, &lease, &worlds), 0);
    assert_string_equal(p.asked, "take blue ide 1 5");
    assert_int_equal(worlds.n, 1);
    assert_int_equal(worlds.items[0].mode, STILLPOINT_MODE_RUN_ONE);
    assert_int_equal(worlds.items[0].runner, 7);
    assert_int_equal(worlds.items[0].target, 7);
    assert_true(worlds.items[0].enforced);
    stillpoint_worlds_free(&worlds);
    assert_int_equal(stillpoint_lease_hand_over(p.sp, "blue", "3", &worlds), 0);
    assert_string_equal(p.asked, "hand over blue 3");
    stillpoint_worlds_free(&worlds);
    assert_int_equal(stillpoint_world_target(p.sp, "app", &worlds), 0);
    assert_string_equal(p.asked, "target app");
    stillpoint_worlds_free(&worlds);
    stop(&p);
}

static void a_vm_goes_on_and_the_reply_says_how(void **state)
{
    struct peer p;
    struct stillpoint_continuation c;
    (void)state;
    start(&p, controls, 0);
    struct stillpoint_continue what = {.vm = "app"};
    assert_int_equal(stillpoint_vm_continue(p.sp, &what, &c), 0);
    assert_string_equal(p.asked, "continue app 0 0 0/1 0");
    assert_string_equal(c.reason, "running");
    assert_string_equal(c.world.name, "blue");
    stillpoint_continuation_free(&c);
    what.only = what.until_still = true;
    what.on_exit = STILLPOINT_RUNNER_EXIT_RESUME;
    what.deadline_us = 9;
    assert_int_equal(stillpoint_vm_continue(p.sp, &what, &c), 0);
    assert_string_equal(p.asked, "continue app 1 1 1/2 9");
    stillpoint_continuation_free(&c);
    stop(&p);
}

static void a_reply_without_its_world_is_eproto(void **state)
{
    struct peer p;
    struct stillpoint_worlds worlds;
    struct stillpoint_continuation c;
    (void)state;
    start(&p, controls, 1);
    assert_int_equal(stillpoint_world_target(p.sp, "app", &worlds), -EPROTO);
    assert_int_equal(stillpoint_vm_continue(p.sp, &(struct stillpoint_continue){.vm = "app"}, &c),
                     -EPROTO);
    stop(&p);
}

/* ---- holds, stops and their times */

static bool stops(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    Stillpoint__Api__StopReport report = STILLPOINT__API__STOP_REPORT__INIT;
    Stillpoint__Api__Arrival arrival = STILLPOINT__API__ARRIVAL__INIT, *arrivals = &arrival;
    Stillpoint__Api__ResumeReply resume = STILLPOINT__API__RESUME_REPLY__INIT;
    Stillpoint__Api__VmReply vm_reply = STILLPOINT__API__VM_REPLY__INIT;
    Stillpoint__Api__Vm vm = STILLPOINT__API__VM__INIT;
    fake_envelope s = FAKE_BODY(STOP_REPORT, stop_report, &report);
    fake_envelope r = FAKE_BODY(RESUME_REPLY, resume_reply, &resume);
    fake_envelope v = FAKE_BODY(VM_REPLY, vm_reply, &vm_reply);
    vm.has_id = vm.has_how = vm.has_serving = vm.has_frozen = 1;
    vm.id = 7;
    vm.how = STILLPOINT__API__HOW__HOW_ACKED;
    vm.serving = vm.frozen = 1;
    vm_reply.vm = &vm;
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_STOP_WORLD:
        snprintf(p->asked, sizeof p->asked, "%s %d", request->stop_world->debugger,
                 request->stop_world->kill_late);
        arrival.has_lied = arrival.lied = 1;
        report.arrivals = &arrivals;
        report.n_arrivals = 1;
        report.has_dispatched_mono_ns = report.has_closed_mono_ns = report.has_stopped_mono_ns = 1;
        report.dispatched_mono_ns = 1;
        report.closed_mono_ns = 2;
        report.stopped_mono_ns = 3;
        fake_send(fake, request, &s);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_RESUME_WORLD:
        resume.has_dispatched_mono_ns = resume.has_runnable_mono_ns = 1;
        resume.dispatched_mono_ns = 4;
        resume.runnable_mono_ns = 5;
        fake_send(fake, request, &r);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_HOLD_VM:
        snprintf(p->asked, sizeof p->asked, "%s",
                 request->hold_vm->debugger ? request->hold_vm->debugger : "-");
        fake_send(fake, request, &v);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_RELEASE_VM:
        snprintf(p->asked, sizeof p->asked, "%s",
                 request->release_vm->debugger ? request->release_vm->debugger : "-");
        fake_send(fake, request, &v);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_GET_VM:
        fake_send(fake, request, &v);
        return true;
    default:
        return fake_hello(fake, request);
    }
}

static void reports_have_their_times_and_liars(void **state)
{
    struct peer p;
    struct stillpoint_stop_report report;
    struct stillpoint_resumption resumption;
    (void)state;
    start(&p, stops, 0);
    const struct stillpoint_stop stop_it = {.world = "w", .debugger = "ide", .kill_late = true};
    assert_int_equal(stillpoint_world_stop(p.sp, &stop_it, &report), 0);
    assert_string_equal(p.asked, "ide 1");
    assert_true(report.arrivals[0].lied);
    assert_int_equal(report.dispatched_mono_ns, 1);
    assert_int_equal(report.closed_mono_ns, 2);
    assert_int_equal(report.stopped_mono_ns, 3);
    stillpoint_stop_report_free(&report);
    assert_int_equal(stillpoint_world_resume(p.sp, "w", &resumption), 0);
    assert_int_equal(resumption.dispatched_mono_ns, 4);
    assert_int_equal(resumption.runnable_mono_ns, 5);
    stillpoint_resumption_free(&resumption);
    stop(&p);
}

static void holds_name_their_owner(void **state)
{
    struct peer p;
    struct stillpoint_vms vms;
    (void)state;
    start(&p, stops, 0);
    assert_int_equal(stillpoint_vm_hold(p.sp, "app", NULL), 0);
    assert_string_equal(p.asked, "-");
    assert_int_equal(stillpoint_vm_release(p.sp, "app", "ide"), 0);
    assert_string_equal(p.asked, "ide");
    assert_int_equal(stillpoint_vm_get(p.sp, "app", &vms), 0);
    assert_int_equal(vms.items[0].how, STILLPOINT_HOW_ACKED);
    assert_true(vms.items[0].serving && vms.items[0].frozen);
    stillpoint_vms_free(&vms);
    stop(&p);
}

/* ---- inspections */

enum answer {
    IN_FRAME,
    IN_MEMFD,
    EMPTY,
    NO_MEMFD, /* it says that there is one */
    NOT_SEALED,
    NONSENSE,
    NOT_ASKED_FOR, /* a descriptor beside an answer that is in its frame */
    VERY_MANY_VMS,
};

static int not_sealed(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int memfd_of_inspection(const Stillpoint__Api__Inspection *i)
{
    size_t bytes = stillpoint__api__inspection__get_packed_size(i);
    uint8_t *data = malloc(bytes + 1);
    if (!data)
        abort();
    stillpoint__api__inspection__pack(i, data);
    int fd = fd_memfd_new("test", data, bytes);
    free(data);
    return fd;
}

static void send_inspection(struct fake *fake, const fake_envelope *request, enum answer answer,
                            Stillpoint__Api__Inspection *whole)
{
    Stillpoint__Api__Inspection empty = STILLPOINT__API__INSPECTION__INIT;
    Stillpoint__Api__Inspection beside = STILLPOINT__API__INSPECTION__INIT;
    fake_envelope e = FAKE_BODY(INSPECTION, inspection, whole);
    beside.has_in_memfd = beside.in_memfd = 1;
    int fd = -1;
    switch (answer) {
    case IN_FRAME:
        break;
    case EMPTY:
        e.inspection = &empty;
        break;
    case IN_MEMFD:
    case VERY_MANY_VMS:
        e.inspection = &beside;
        fd = memfd_of_inspection(whole);
        break;
    case NO_MEMFD:
        e.inspection = &beside;
        break;
    case NOT_SEALED:
        e.inspection = &beside;
        fd = not_sealed();
        break;
    case NONSENSE:
        e.inspection = &beside;
        fd = fd_memfd_new("test", "\xff\xff\xff\xff\xff", 5);
        break;
    case NOT_ASKED_FOR:
        fd = not_sealed();
        break;
    }
    fake_send_fd(fake, request, &e, fd);
}

#define MANY_VMS 4000u
#define MANY_FRAMES 100u

/* Far more fields than a frame may have. */
static void make_very_many(Stillpoint__Api__Inspection *whole)
{
    static Stillpoint__Api__VmInspection vms[MANY_VMS], *vms_at[MANY_VMS];
    static Stillpoint__Api__Frame frames[MANY_FRAMES], *frames_at[MANY_FRAMES];
    for (unsigned i = 0; i < MANY_FRAMES; i++) {
        stillpoint__api__frame__init(&frames[i]);
        frames[i].has_frame = frames[i].has_line = 1;
        frames[i].frame = i;
        frames[i].line = 1;
        frames[i].function = TEXT("f");
        frames_at[i] = &frames[i];
    }
    for (unsigned i = 0; i < MANY_VMS; i++) {
        stillpoint__api__vm_inspection__init(&vms[i]);
        vms[i].has_vm = 1;
        vms[i].vm = i + 1;
        vms[i].frames = frames_at;
        vms[i].n_frames = MANY_FRAMES;
        vms_at[i] = &vms[i];
    }
    whole->vms = vms_at;
    whole->n_vms = MANY_VMS;
}

static bool inspects(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    Stillpoint__Api__Inspection whole = STILLPOINT__API__INSPECTION__INIT;
    Stillpoint__Api__StopReport report = STILLPOINT__API__STOP_REPORT__INIT;
    Stillpoint__Api__VmInspection vm[2], *vms[] = {&vm[0], &vm[1]};
    Stillpoint__Api__ClassCount class = STILLPOINT__API__CLASS_COUNT__INIT, *classes = &class;
    Stillpoint__Api__Frame frame = STILLPOINT__API__FRAME__INIT, *frames = &frame;
    if (fake_hello(fake, request))
        return true;
    const Stillpoint__Api__InspectWorld *i = request->inspect_world;
    snprintf(p->asked, sizeof p->asked, "%s %d %llu %llu %llu %s", i->world, i->kind,
             (unsigned long long)i->deadline_us, (unsigned long long)i->wait_us,
             (unsigned long long)i->timeout_us, i->debugger ? i->debugger : "-");
    report.world = TEXT("blue");
    report.has_ticket = 1;
    report.ticket = 12;
    class.class_name = TEXT("Object");
    class.has_count = class.has_bytes = 1;
    class.count = 3;
    class.bytes = 96;
    frame.kind = TEXT("wasm");
    frame.has_line = frame.has_offset = 1;
    frame.line = 4;
    frame.offset = 0;
    stillpoint__api__vm_inspection__init(&vm[0]);
    stillpoint__api__vm_inspection__init(&vm[1]);
    vm[0].has_vm = vm[0].has_before_bytes = vm[0].has_after_bytes = vm[0].has_truncated = 1;
    vm[0].vm = 7;
    vm[0].name = TEXT("app");
    vm[0].before_bytes = 10;
    vm[0].after_bytes = 4;
    vm[0].truncated = 1;
    vm[0].classes = &classes;
    vm[0].n_classes = 1;
    vm[0].frames = &frames;
    vm[0].n_frames = 1;
    vm[1].error = TEXT("it did not answer in time");
    whole.has_kind = whole.has_held_us = 1;
    whole.kind = i->kind;
    whole.held_us = 77;
    whole.stop = &report;
    whole.vms = vms;
    whole.n_vms = 2;
    if (p->how == VERY_MANY_VMS)
        make_very_many(&whole);
    send_inspection(fake, request, (enum answer)p->how, &whole);
    return true;
}

static int inspect(struct peer *p, struct stillpoint_inspection *ret)
{
    const struct stillpoint_inspect census = {.world = "blue",
                                              .kind = STILLPOINT_INSPECT_CENSUS,
                                              .deadline_us = 1,
                                              .wait_us = 2,
                                              .timeout_us = 3};
    return stillpoint_world_inspect(p->sp, &census, ret);
}

static void an_inspection_is_the_same_in_its_frame_and_in_a_memfd(void **state)
{
    static const enum answer answers[] = {IN_FRAME, IN_MEMFD, NOT_ASKED_FOR};
    (void)state;
    for (size_t a = 0; a < sizeof answers / sizeof *answers; a++) {
        struct peer p;
        struct stillpoint_inspection i;
        start(&p, inspects, (int)answers[a]);
        assert_int_equal(inspect(&p, &i), 0);
        stop(&p); /* the result lives on */
        assert_string_equal(p.asked, "blue 2 1 2 3 -");
        assert_int_equal(i.kind, STILLPOINT_INSPECT_CENSUS);
        assert_int_equal(i.held_us, 77);
        assert_string_equal(i.stop.world, "blue");
        assert_int_equal(i.stop.ticket, 12);
        assert_int_equal(i.n_vms, 2);
        assert_string_equal(i.vms[0].name, "app");
        assert_null(i.vms[0].error);
        assert_int_equal(i.vms[0].before_bytes - i.vms[0].after_bytes, 6);
        assert_true(i.vms[0].truncated);
        assert_string_equal(i.vms[0].classes[0].class_name, "Object");
        assert_int_equal(i.vms[0].classes[0].bytes, 96);
        assert_string_equal(i.vms[0].frames[0].kind, "wasm");
        assert_string_equal(i.vms[0].frames[0].url, "");
        assert_true(i.vms[0].frames[0].has_offset);
        assert_string_equal(i.vms[1].name, "");
        assert_string_equal(i.vms[1].error, "it did not answer in time");
        stillpoint_inspection_free(&i);
    }
}

static void an_empty_inspection_has_defaults(void **state)
{
    struct peer p;
    struct stillpoint_inspection i;
    (void)state;
    start(&p, inspects, EMPTY);
    assert_int_equal(inspect(&p, &i), 0);
    assert_int_equal(i.n_vms, 0);
    assert_string_equal(i.stop.world, "");
    assert_string_equal(stillpoint_inspect_kind_text(i.kind), "unknown");
    stillpoint_inspection_free(&i);
    stop(&p);
}

static void a_bad_memfd_is_eproto_and_the_connection_goes_on(void **state)
{
    static const enum answer answers[] = {NO_MEMFD, NOT_SEALED, NONSENSE};
    (void)state;
    for (size_t a = 0; a < sizeof answers / sizeof *answers; a++) {
        struct peer p;
        struct stillpoint_inspection i;
        start(&p, inspects, (int)answers[a]);
        assert_int_equal(inspect(&p, &i), -EPROTO);
        assert_int_equal(inspect(&p, &i), -EPROTO);
        assert_int_equal(stillpoint_dispatch(p.sp), 0);
        stop(&p);
    }
}

static void a_memfd_may_have_more_than_any_frame(void **state)
{
    struct peer p;
    struct stillpoint_inspection i;
    (void)state;
    start(&p, inspects, VERY_MANY_VMS);
    assert_int_equal(inspect(&p, &i), 0);
    stop(&p);
    assert_int_equal(i.n_vms, MANY_VMS);
    assert_int_equal(i.vms[MANY_VMS - 1].n_frames, MANY_FRAMES);
    assert_int_equal(i.vms[MANY_VMS - 1].frames[MANY_FRAMES - 1].frame, MANY_FRAMES - 1);
    stillpoint_inspection_free(&i);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_debugger_is_opened_by_its_name),
    cmocka_unit_test(a_debugger_without_an_id_is_eproto),
    cmocka_unit_test(debuggers_come_in_pages_and_are_closed),
    cmocka_unit_test(leases_and_targets_answer_with_the_world),
    cmocka_unit_test(a_vm_goes_on_and_the_reply_says_how),
    cmocka_unit_test(a_reply_without_its_world_is_eproto),
    cmocka_unit_test(reports_have_their_times_and_liars),
    cmocka_unit_test(holds_name_their_owner),
    cmocka_unit_test(an_inspection_is_the_same_in_its_frame_and_in_a_memfd),
    cmocka_unit_test(an_empty_inspection_has_defaults),
    cmocka_unit_test(a_bad_memfd_is_eproto_and_the_connection_goes_on),
    cmocka_unit_test(a_memfd_may_have_more_than_any_frame),
};

UNIT_MAIN(tests)

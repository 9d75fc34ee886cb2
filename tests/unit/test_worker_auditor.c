/*
 * What can cross while a hit is reported: requests that are served in the middle of it, referents
 * that go away, an engine that refuses. The engine is a few tables and one hook into the test for
 * each moment at which guest code would run; channel, gate and pages are real.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/story.h"
#include "worker/auditor.h"

#define SECOND_NS 1000000000ull

struct engine {
    struct {
        enum engine_audit_kind kind;
        uint64_t id, offset;
    } on[256];
    size_t n_on;
    unsigned calls; /* of audit() */
    int refuse_at;  /* the call of audit() that is refused, 0: none */
    bool watched;
    uint64_t realms[8];
    size_t n_realms;
    uint64_t stack[8]; /* ids, innermost first; 0: a host frame */
    size_t depth;
    size_t n_positions; /* in each script from 1 to that */
    uint64_t n_scripts;
    const char *variable;   /* the number of every variable, NULL: there is none */
    void (*on_guest)(void); /* guest code runs: a condition, an expression */
    bool is_true;
    unsigned resumed;
    bool gone;     /* every frame is */
    uint64_t ends; /* this one is said to be gone with the next call */
    uint64_t ended;
};

static struct world {
    struct engine engine;
    struct world_page world;
    struct command_page command;
    struct status_page status;
    struct daemon_channel channel;
    struct safepoint safepoint;
    struct host host;
    struct inspections inspections;
    struct pauses pauses;
    struct auditors auditors;
    int daemon; /* the other end of the channel */
    int kick_fd;
    struct story story;
    char error[256]; /* of the last request */
    struct engine_ops ops;
    pthread_t watcher;
    atomic_bool quit;
} w;

/* ---- the engine */

static int mock_watch(struct engine *e, bool on)
{
    e->watched = on;
    return 0;
}

static int mock_realms(struct engine *e, void (*each)(void *, uint64_t, const char *), void *u)
{
    for (size_t i = 0; i < e->n_realms; i++)
        each(u, e->realms[i], "");
    return 0;
}

static int mock_audit(struct engine *e, enum engine_audit_kind kind, uint64_t id, uint64_t offset,
                      bool on)
{
    if (e->ends != 0) {
        uint64_t frame = e->ends;
        e->ends = 0;
        for (size_t n = 0; n < e->n_on;)
            if (e->on[n].id == frame && e->on[n].kind >= ENGINE_AUDIT_POP)
                e->on[n] = e->on[--e->n_on];
            else
                n++;
        e->ended = frame;
        auditors_on_gone(&w.auditors, ENGINE_FRAME, frame);
    }
    if (e->ended == id && kind >= ENGINE_AUDIT_POP)
        return -ENOENT;
    size_t i = 0;
    while (i < e->n_on && (e->on[i].kind != kind || e->on[i].id != id || e->on[i].offset != offset))
        i++;
    /* It is told only what changes. */
    assert_true(on == (i == e->n_on));
    if (on && e->gone && kind >= ENGINE_AUDIT_POP)
        return -ENOENT;
    if ((int)++e->calls == e->refuse_at)
        return -EOPNOTSUPP;
    if (!on) {
        e->on[i] = e->on[--e->n_on];
        return 0;
    }
    e->on[i].kind = kind;
    e->on[i].id = id;
    e->on[i].offset = offset;
    e->n_on++;
    return 0;
}

static int mock_frame_id(struct engine *e, uint32_t frame, uint64_t *ret_frame, uint64_t *ret_realm)
{
    if (frame >= e->depth || e->stack[frame] == 0)
        return -ENOENT;
    *ret_frame = e->stack[frame];
    *ret_realm = 1;
    return 0;
}

static int mock_frames(struct engine *e, uint32_t first, uint32_t max,
                       void (*each)(void *, const struct engine_frame *), void *u,
                       uint32_t *ret_next)
{
    uint32_t i = first;
    for (; i < e->depth && i - first < max; i++)
        each(u,
             &(struct engine_frame){.kind = e->stack[i] == 0 ? ENGINE_FRAME_HOST : ENGINE_FRAME_JS,
                                    .function = "f",
                                    .url = "a.js",
                                    .line = i + 1});
    *ret_next = i < e->depth ? i : 0;
    return 0;
}

static int mock_positions(struct engine *e, uint64_t source, const char *url, uint32_t line,
                          uint32_t line_to, uint32_t column, uint64_t offset, bool all,
                          void (*each)(void *, uint64_t, uint64_t, uint64_t,
                                       const struct engine_place *, const char *),
                          void *u)
{
    (void)source, (void)url, (void)line_to, (void)column, (void)offset, (void)all;
    int n = 0;
    /* Two offsets at one place, as a `finally` has them. */
    for (uint64_t script = 1; script <= e->n_scripts; script++)
        for (size_t i = 0; i < e->n_positions; i++, n++)
            each(u, 1, script, 10 * line + i, &(struct engine_place){"a.js", line, 1, 0}, "f");
    return n;
}

static int mock_variable(struct engine *e, uint32_t frame, const char *name, bool with_ref,
                         void (*each)(void *, const struct engine_value *), void *u)
{
    (void)frame, (void)name, (void)with_ref;
    if (!e->variable)
        return -ENOENT;
    each(u, &(struct engine_value){
                .type = ENGINE_VALUE_NUMBER, .number = atof(e->variable), .preview = e->variable});
    return 0;
}

static int mock_evaluate(struct engine *e, uint32_t frame, uint64_t realm, const char *expression,
                         bool audited, bool with_ref,
                         void (*each)(void *, bool, const struct engine_value *, const char *),
                         void *u)
{
    (void)frame, (void)realm, (void)audited, (void)with_ref;
    if (e->on_guest)
        e->on_guest();
    each(u, false, &(struct engine_value){.type = ENGINE_VALUE_OBJECT, .preview = expression},
         NULL);
    return 0;
}

static int mock_condition(struct engine *e, const char *expression, bool *ret_true,
                          const char **ret_error)
{
    (void)expression;
    if (e->on_guest)
        e->on_guest();
    *ret_true = e->is_true;
    *ret_error = NULL;
    return 0;
}

static int mock_hit_value(struct engine *e, bool with_ref,
                          void (*each)(void *, const struct engine_value *), void *u)
{
    (void)e, (void)with_ref;
    each(u, &(struct engine_value){.type = ENGINE_VALUE_NUMBER, .preview = "7"});
    return 0;
}

static int mock_arguments(struct engine *e, uint32_t frame,
                          void (*each)(void *, const struct engine_named_value *), void *u)
{
    static char long_text[400];
    (void)e, (void)frame;
    memset(long_text, 'x', sizeof long_text - 1);
    for (int i = 0; i < 1000; i++)
        each(u,
             &(struct engine_named_value){
                 .name = long_text, .value = {.type = ENGINE_VALUE_STRING, .preview = long_text}});
    return 0;
}

static void mock_resume(struct engine *e)
{
    e->resumed++;
}

static void mock_interrupt(struct engine *e)
{
    (void)e;
}

static int mock_check_expression(struct engine *e, const char *expression, const char **ret_error)
{
    (void)e;
    if (strcmp(expression, "x ===") != 0)
        return 0;
    *ret_error = "not an expression";
    return -EINVAL;
}

static const struct engine_debug_ops mock_debug = {
    .watch_realms = mock_watch,
    .realms = mock_realms,
    .audit = mock_audit,
    .frame_id = mock_frame_id,
    .positions = mock_positions,
    .frames = mock_frames,
    .arguments = mock_arguments,
    .variable = mock_variable,
    .hit_value = mock_hit_value,
    .evaluate = mock_evaluate,
    .condition = mock_condition,
    .check_expression = mock_check_expression,
    .resume = mock_resume,
};

/* ---- the daemon */

static int on_command(void *userdata, const Stillpoint__Worker__Command *m, int *fds, size_t n_fds)
{
    (void)userdata, (void)fds, (void)n_fds;
    return m->body_case == STILLPOINT__WORKER__COMMAND__BODY_ANSWER_PAUSE
               ? pause_answered(&w.pauses, m->answer_pause)
               : 0;
}

static void daemon_sends(Stillpoint__Worker__Command *c)
{
    uint8_t packet[8192];
    struct iovec iov = {packet, stillpoint__worker__command__pack(c, packet)};
    int none = -1;
    assert_true(fd_send(w.daemon, &iov, 1, &none, 0) > 0);
}

/* What the worker has said. */
static void daemon_reads(void)
{
    static uint8_t packet[LIMIT_PACKET_BYTES];
    for (;;) {
        size_t n_fds = 0;
        ssize_t n = fd_receive(w.daemon, packet, sizeof packet, NULL, &n_fds);
        if (n <= 0)
            break;
        Stillpoint__Worker__Fact *f = stillpoint__worker__fact__unpack(NULL, (size_t)n, packet);
        assert_non_null(f);
        if (f->body_case == STILLPOINT__WORKER__FACT__BODY_INSPECTED)
            snprintf(w.error, sizeof w.error, "%s", f->inspected->error ? f->inspected->error : "");
        if (f->body_case == STILLPOINT__WORKER__FACT__BODY_HIT)
            assert_true(stillpoint__worker__hit__get_packed_size(f->hit) <= LIMIT_HIT_BYTES);
        story_add(&w.story, f);
        Stillpoint__Worker__Command ack = STILLPOINT__WORKER__COMMAND__INIT;
        ack.has_ack = true;
        ack.ack = f->seq;
        daemon_sends(&ack);
        stillpoint__worker__fact__free_unpacked(f, NULL);
    }
    assert_false(w.story.gap);
}

static void expect(const char *story)
{
    daemon_reads();
    assert_string_equal(w.story.text, story);
    story_clear(&w.story);
}

/* What has been said is not looked at. */
static void skip_story(void)
{
    daemon_reads();
    story_clear(&w.story);
}

/* ---- requests */

static Stillpoint__Worker__Hook a_hook(uint64_t id, unsigned kind)
{
    Stillpoint__Worker__Hook h = STILLPOINT__WORKER__HOOK__INIT;
    h.hook = id;
    h.kind = kind;
    h.suspend = 1;
    h.granularity = 1;
    return h;
}

static void serve(Stillpoint__Worker__Inspect *m)
{
    /* What the queue does with it: the bytes are copied, and it is served parked. */
    m->has_request = m->has_kind = true;
    assert_int_equal(inspections_push(&w.inspections, m), 0);
    assert_int_equal(inspections_serve(&w.inspections), 0);
    daemon_reads();
}

static void set_and_remove(Stillpoint__Worker__Hook *add, size_t n, uint64_t *remove,
                           size_t n_remove)
{
    Stillpoint__Worker__Hook *rows[16];
    Stillpoint__Worker__SetHooks m = STILLPOINT__WORKER__SET_HOOKS__INIT;
    Stillpoint__Worker__Inspect i = STILLPOINT__WORKER__INSPECT__INIT;
    for (size_t k = 0; k < n; k++) {
        rows[k] = &add[k];
        add[k].has_hook = add[k].has_kind = add[k].has_suspend = add[k].has_granularity = true;
        add[k].has_realm = add[k].has_frame = add[k].has_one_frame = true;
        add[k].has_per_second = add[k].has_total = add[k].has_count = add[k].has_arguments = true;
        add[k].has_stack_depth = add[k].has_value = add[k].has_skip = true;
        add[k].has_capture_bytes = add[k].has_capture_us = true;
    }
    m.add = rows;
    m.n_add = n;
    m.remove = remove;
    m.n_remove = n_remove;
    i.kind = INSPECT_SET_HOOKS;
    i.set_hooks = &m;
    serve(&i);
}

static void set(Stillpoint__Worker__Hook *add, size_t n)
{
    set_and_remove(add, n, NULL, 0);
    assert_string_equal(w.error, "");
}

static void remove_hook(uint64_t id)
{
    set_and_remove(NULL, 0, &id, 1);
}

static void step(uint64_t number, unsigned how)
{
    Stillpoint__Worker__Step m = STILLPOINT__WORKER__STEP__INIT;
    Stillpoint__Worker__Inspect i = STILLPOINT__WORKER__INSPECT__INIT;
    m.has_step = m.has_how = true;
    m.step = number;
    m.how = how;
    i.kind = INSPECT_STEP;
    i.step = &m;
    serve(&i);
}

/* It is answered before it is made, so that it returns. */
static void answer_next(unsigned answer, const char *expression)
{
    Stillpoint__Worker__AnswerPause m = STILLPOINT__WORKER__ANSWER_PAUSE__INIT;
    Stillpoint__Worker__Command c = STILLPOINT__WORKER__COMMAND__INIT;
    m.has_pause = m.has_answer = true;
    m.pause = safepoint_next_pause(&w.safepoint);
    m.answer = answer;
    m.expression = (char *)(uintptr_t)expression;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_PAUSE;
    c.answer_pause = &m;
    daemon_sends(&c);
    SHM_STORE(&w.command.answered, m.pause);
}

static struct engine_answer hits(struct engine_hit hit)
{
    struct engine_answer answer = {.action = ENGINE_GO_ON};
    hit.realm = hit.realm ? hit.realm : 1;
    if (!hit.place.url)
        hit.place.url = "a.js";
    assert_int_equal(auditors_on_hit(&w.auditors, &hit, &answer), 0);
    return answer;
}

static struct engine_answer enters(uint64_t frame)
{
    return hits((struct engine_hit){.kind = ENGINE_AUDIT_ENTER_FRAME, .frame = frame, .script = 1});
}

static struct engine_answer at_step(uint64_t frame, uint32_t line)
{
    return hits((struct engine_hit){.kind = ENGINE_AUDIT_STEP,
                                    .frame = frame,
                                    .script = 1,
                                    .statement_start = true,
                                    .place = {"a.js", line, 1, 0}});
}

static struct engine_answer pops(uint64_t frame, enum engine_completion completion)
{
    return hits((struct engine_hit){
        .kind = ENGINE_AUDIT_POP, .frame = frame, .script = 1, .completion = completion});
}

static bool is_on(enum engine_audit_kind kind, uint64_t id)
{
    for (size_t i = 0; i < w.engine.n_on; i++)
        if (w.engine.on[i].kind == kind && w.engine.on[i].id == id)
            return true;
    return false;
}

/* The real one is tested with real workers. */
static void *watch(void *userdata)
{
    (void)userdata;
    uint32_t seen = 0;
    while (!atomic_load(&w.quit))
        (void)gate_wait_poke(&w.safepoint.gate, &seen, 1000000);
    return NULL;
}

static int setup(void **state)
{
    int pair[2];
    (void)state;
    (void)alarm(60); /* a pause that nobody answers */
    memset(&w, 0, sizeof w);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    w.daemon = pair[1];
    w.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w.ops = (struct engine_ops){.debug = &mock_debug, .interrupt = mock_interrupt};
    w.engine.n_realms = w.engine.realms[0] = 1;
    w.world.word = shm_world_word(1, true);
    w.command.word = shm_command_word(0, true);
    assert_int_equal(daemon_channel_init(&w.channel, pair[0], on_command, NULL), 0);
    safepoint_init(&w.safepoint, &w.world, &w.command, &w.status, w.kick_fd, &w.channel);
    w.safepoint.ops = &w.ops;
    w.safepoint.engine = &w.engine;
    assert_int_equal(pthread_create(&w.watcher, NULL, watch, NULL), 0);
    assert_int_equal(host_init(&w.host, &w.channel, &w.safepoint), 0);
    inspections_init(&w.inspections, &w.ops, &w.engine, &w.channel, &w.safepoint);
    pauses_init(&w.pauses, &w.host);
    auditors_init(&w.auditors, &w.ops, &w.engine, &w.host, &w.pauses);
    auditors_serve(&w.auditors, &w.inspections);
    w.host.auditors = &w.auditors;
    safepoint_enter(&w.safepoint);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atomic_store(&w.quit, true);
    pthread_join(w.watcher, NULL);
    auditors_done(&w.auditors);
    pauses_done(&w.pauses);
    host_done(&w.host);
    close(w.channel.fd);
    daemon_channel_done(&w.channel);
    close(w.daemon);
    close(w.kick_fd);
    return 0;
}

/* ---- tests */

static void the_first_hook_installs_and_the_last_removes(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 1)};
    set(h, 1);
    assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    set(h + 1, 2);
    assert_int_equal(w.engine.calls, 2);
    remove_hook(1);
    assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    enters(5);
    remove_hook(2);
    remove_hook(3);
    assert_int_equal(w.engine.n_on, 0);
    assert_false(w.engine.watched);
    assert_int_equal(w.engine.calls, 4);
    expect("audited realm 1 enter [1]\naudited realm 1 enter [1 2]\naudited runtime 0 global [3]\n"
           "audited realm 1 enter [2]\nhit 2 enter 0\naudited realm 1 enter []\n"
           "audited runtime 0 global []\n");
}

static void replacing_a_hook_never_takes_the_instrumentation_off(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2)};
    uint64_t one = 1;
    set(h, 1);
    set_and_remove(h + 1, 1, &one, 1);
    assert_int_equal(w.engine.calls, 1);
    expect("audited realm 1 enter [1]\naudited realm 1 enter [2]\n");
}

/* Whichever call of the engine is refused: what was there is there, what was not is not. */
static void hooks_that_fail_in_the_middle_leave_nothing_changed(void **state)
{
    (void)state;
    Stillpoint__Worker__Place at = STILLPOINT__WORKER__PLACE__INIT;
    at.url = (char *)(uintptr_t) "a.js";
    at.has_line = true;
    at.line = 3;
    w.engine.n_realms = 2;
    w.engine.realms[1] = 2;
    w.engine.depth = 1;
    w.engine.stack[0] = 9;
    w.engine.n_positions = w.engine.n_scripts = 2;
    Stillpoint__Worker__Hook first = a_hook(1, 2);
    set(&first, 1);
    size_t before = w.engine.n_on;
    unsigned n = 0;
    for (bool failed = true; failed; n++) {
        Stillpoint__Worker__Hook h[] = {a_hook(2, 2), a_hook(3, 9), a_hook(4, 8), a_hook(5, 10),
                                        a_hook(6, 1)};
        uint64_t one = 1;
        h[2].one_frame = true;
        h[3].at = &at;
        skip_story();
        w.engine.refuse_at = (int)(w.engine.calls + n + 1);
        set_and_remove(h, 5, &one, 1);
        failed = *w.error != '\0';
        w.engine.refuse_at = 0;
        if (!failed)
            break;
        assert_string_equal(w.story.text, "");
        assert_int_equal(w.engine.n_on, before);
        assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 1) && is_on(ENGINE_AUDIT_ENTER_FRAME, 2));
        enters(5);
        expect("hit 1 enter 0\n");
    }
    /* Every call was refused once: pop, two new-script, four places, one new-global; the
     * instrumentation of enter-frame was there. */
    assert_int_equal(n, 8);
    expect("audited realm 1 enter [2]\naudited realm 2 enter [2]\n"
           "audited realm 1 step [3]\naudited realm 2 step [3]\naudited frame 9 pop [4]\n"
           "audited script 1 break [5]\naudited script 1 break [5]\naudited script 2 break [5]\n"
           "audited script 2 break [5]\naudited runtime 0 global [6]\n"
           "bound 5 a.js:3 a.js:3 a.js:3 a.js:3\n");
    uint64_t all[] = {2, 3, 4, 5, 6};
    set_and_remove(NULL, 0, all, 5);
    assert_int_equal(w.engine.n_on, 0);
    assert_false(w.engine.watched);
}

static void remove_second(void)
{
    remove_hook(2);
}

static void a_hook_that_is_removed_while_its_condition_runs_does_not_hit(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 2)};
    h[1].condition = (char *)(uintptr_t) "a()";
    h[1].suspend = 3;
    set(h, 3);
    skip_story();
    w.engine.is_true = true;
    w.engine.on_guest = remove_second;
    enters(5);
    expect("hit 1 enter 0\naudited realm 1 enter [1 3]\nhit 3 enter 0\n");
}

static void a_hook_that_is_removed_by_an_earlier_ones_condition_does_not_hit(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 2)};
    h[0].condition = (char *)(uintptr_t) "a()";
    set(h, 3);
    skip_story();
    w.engine.is_true = true;
    w.engine.on_guest = remove_second;
    enters(5);
    expect("audited realm 1 enter [1 3]\nhit 1 enter 0\nhit 3 enter 0\n");
}

static void
a_hook_that_is_removed_while_its_hit_is_captured_has_none_and_numbers_no_gap(void **state)
{
    (void)state;
    char *expressions[] = {(char *)(uintptr_t) "a()", (char *)(uintptr_t) "b()"};
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 2)};
    h[1].n_expressions = 2;
    h[1].expressions = expressions;
    h[1].suspend = 3;
    set(h, 3);
    skip_story();
    w.engine.on_guest = remove_second;
    enters(5);
    enters(6);
    expect("hit 1 enter 0\naudited realm 1 enter [1 3]\nhit 3 enter 0\n"
           "hit 1 enter 0\nhit 3 enter 0\n");
}

static void add_fourth(void)
{
    Stillpoint__Worker__Hook h = a_hook(4, 2);
    w.engine.on_guest = NULL;
    set(&h, 1);
}

static void a_hook_that_is_set_while_a_hit_is_reported_sees_the_next(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2)};
    h[0].condition = (char *)(uintptr_t) "a()";
    set(h, 2);
    skip_story();
    w.engine.is_true = true;
    w.engine.on_guest = add_fourth;
    enters(5);
    enters(6);
    expect("audited realm 1 enter [1 2 4]\nhit 1 enter 0\nhit 2 enter 0\n"
           "hit 1 enter 0\nhit 2 enter 0\nhit 4 enter 0\n");
}

static void lose_realm(void)
{
    unsigned calls = w.engine.calls;
    w.engine.on_guest = NULL;
    w.engine.n_on = 0;
    auditors_on_gone(&w.auditors, ENGINE_REALM, 1);
    /* What is gone is off: the engine is not asked. */
    assert_int_equal(w.engine.calls, calls);
}

static void a_realm_that_goes_while_a_hit_in_it_is_reported_ends_its_hooks(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 2), a_hook(4, 9)};
    h[0].condition = (char *)(uintptr_t) "a()";
    h[1].realm = h[3].realm = 1;
    set(h, 4);
    enters(4);
    skip_story();
    w.engine.is_true = true;
    w.engine.on_guest = lose_realm;
    enters(5);
    expect("ended 2 1\nended 4 1\naudited realm 1 enter []\naudited realm 1 step []\n"
           "hit 1 enter 0\nhit 3 enter 0\n");
    w.engine.realms[0] = 2;
    auditors_on_realm(&w.auditors, 2);
    auditors_on_realm(&w.auditors, 2);
    expect("audited realm 2 enter [1 3]\n");
}

static void a_comparison_of_a_variable_runs_no_guest_code(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h = a_hook(1, 2);
    h.condition = (char *)(uintptr_t) "x === 3";
    set(&h, 1);
    skip_story();
    w.engine.on_guest = abort;
    w.engine.variable = "4";
    for (int i = 0; i < 1000; i++)
        enters(5);
    expect("");
    w.engine.variable = "3";
    enters(5);
    expect("hit 1 enter 0\n");
}

static void a_budget_is_exact_and_is_whole_again_after_its_second(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2)};
    h[0].per_second = 3;
    h[1].per_second = 5;
    set(h, 2);
    for (int i = 0; i < 5; i++)
        enters(5);
    /* The first is spent, and what it misses is counted; with the second nothing is observed. */
    assert_int_equal(w.auditors.hooks->dropped, 2);
    assert_false(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    expect("audited realm 1 enter [1 2]\n"
           "hit 1 enter 0\nhit 2 enter 0\nhit 1 enter 0\nhit 2 enter 0\nhit 1 enter 0\n"
           "hit 2 enter 0\nhit 2 enter 0\nhit 2 enter 0\naudited realm 1 enter [1 2] disarmed\n");
    assert_true(atomic_load(&w.safepoint.interrupt_at_ns) > 0);
    auditors_look_at_budgets(&w.auditors);
    assert_false(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    /* A hook that is not spent arms it; without it the others' time counts again. */
    Stillpoint__Worker__Hook third = a_hook(3, 2);
    set(&third, 1);
    assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    remove_hook(3);
    enters(5);
    assert_false(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    skip_story();
    /* Their second is over. */
    for (struct hook *x = w.auditors.hooks; x; x = x->next)
        x->second.start_ns -= SECOND_NS;
    w.auditors.due_ns = 1;
    auditors_look_at_budgets(&w.auditors);
    assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 1));
    assert_int_equal(atomic_load(&w.safepoint.interrupt_at_ns), 0);
    enters(5);
    expect("audited realm 1 enter [1 2]\nhit 1 enter 0 dropped 3\nhit 2 enter 0 dropped 1\n");
}

static void a_budget_of_captures_is_kept_too(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 3)};
    h[0].arguments = true;
    h[0].capture_bytes = 20000;
    h[1].total = 2;
    set(h, 2);
    for (int i = 0; i < 4; i++)
        enters(5);
    /* A hit has at most 16 kB: two of them are more than the budget. */
    assert_int_equal(w.auditors.hooks->hits, 2);
    skip_story();
    for (int i = 0; i < 3; i++)
        hits((struct engine_hit){.kind = ENGINE_AUDIT_DEBUGGER_STATEMENT, .frame = 1});
    expect("hit 2 debugger 0\nhit 2 debugger 0\nended 2 2\naudited realm 1 debugger []\n");
}

static void one_pause_for_all_hooks_of_a_hit(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 4), a_hook(2, 4), a_hook(3, 4), a_hook(4, 4)};
    h[0].suspend = 2;
    h[2].suspend = 3;
    h[3].suspend = 3;
    h[2].count = 1;
    h[3].condition = (char *)(uintptr_t) "a()";
    set(h, 4);
    skip_story();
    answer_next(2, "1 + 1");
    struct engine_answer a = hits(
        (struct engine_hit){.kind = ENGINE_AUDIT_EXCEPTION_UNWIND, .frame = 5, .has_value = true});
    assert_int_equal(a.action, ENGINE_FORCE_RETURN);
    assert_string_equal(a.expression, "1 + 1");
    assert_int_equal(w.engine.resumed, 1);
    expect("hit 1 unwind 0 pause 1\nhit 2 unwind 0\nhit 3 unwind 0 pause 1\nended 3 2\n"
           "audited realm 1 unwind [1 2 4]\npaused 1 exception [1 3] step 0 line 0 =7\n");
    assert_int_equal(shm_status_state(w.status.word), SHM_RUNNING);
}

static void forget_step(void)
{
    w.engine.on_guest = NULL;
    step(0, STEP_FORGET);
}

static void arm_another(void)
{
    w.engine.on_guest = NULL;
    step(8, STEP_OVER);
}

static void a_step_that_is_forgotten_or_replaced_while_it_ends_does_not_pause(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h = a_hook(1, 9);
    h.one_frame = true;
    h.condition = (char *)(uintptr_t) "a()";
    w.engine.depth = 1;
    w.engine.stack[0] = 5;
    set(&h, 1);
    skip_story();
    w.engine.on_guest = forget_step;
    step(7, STEP_OVER);
    at_step(5, 1);
    step(7, STEP_OVER);
    w.engine.on_guest = arm_another;
    at_step(5, 2);
    assert_int_equal(w.auditors.stepper.number, 8);
    answer_next(1, NULL);
    at_step(5, 3);
    expect("paused 1 step [] step 8 line 3\n");
    assert_false(is_on(ENGINE_AUDIT_POP, 5));
}

static void a_step_is_handed_over_frames_of_the_host(void **state)
{
    (void)state;
    const uint64_t stack[] = {0, 7, 0, 0, 3};
    memcpy(w.engine.stack, stack, sizeof stack);
    w.engine.depth = 5;
    step(1, STEP_OVER);
    assert_string_equal(w.error, "");
    assert_true(is_on(ENGINE_AUDIT_STEP, 7) && is_on(ENGINE_AUDIT_POP, 7));
    /* It is reported as the innermost, which it is when it pops. */
    w.engine.depth = 4;
    memmove(w.engine.stack, w.engine.stack + 1, 4 * sizeof *stack);
    pops(7, ENGINE_COMPLETION_THROW);
    assert_false(is_on(ENGINE_AUDIT_STEP, 7) || is_on(ENGINE_AUDIT_POP, 7));
    assert_true(is_on(ENGINE_AUDIT_STEP, 3) && is_on(ENGINE_AUDIT_POP, 3));
    /* The last one: what is entered next. */
    w.engine.depth = 1;
    w.engine.stack[0] = 3;
    pops(3, ENGINE_COMPLETION_RETURN);
    assert_int_equal(w.engine.n_on, 1);
    assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 1) && w.engine.watched);
    /* In a realm that is made meanwhile, too. */
    auditors_on_realm(&w.auditors, 6);
    assert_true(is_on(ENGINE_AUDIT_ENTER_FRAME, 6));
    hits((struct engine_hit){.kind = ENGINE_AUDIT_ENTER_FRAME, .frame = 9, .realm = 6});
    assert_false(is_on(ENGINE_AUDIT_ENTER_FRAME, 1) || is_on(ENGINE_AUDIT_ENTER_FRAME, 6));
    answer_next(1, NULL);
    at_step(9, 4);
    expect("paused 1 step [] step 1 line 4\n");
    assert_int_equal(w.engine.n_on, 0);
    assert_false(w.engine.watched);
}

static void a_step_and_hooks_share_what_is_observed(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h = a_hook(1, 9);
    h.one_frame = true;
    w.engine.depth = 1;
    w.engine.stack[0] = 5;
    set(&h, 1);
    step(2, STEP_OVER);
    remove_hook(1);
    assert_true(is_on(ENGINE_AUDIT_STEP, 5));
    h.hook = 3;
    set(&h, 1);
    answer_next(1, NULL);
    at_step(5, 1);
    assert_true(is_on(ENGINE_AUDIT_STEP, 5));
    at_step(5, 2);
    w.engine.n_on = 0;
    auditors_on_gone(&w.auditors, ENGINE_FRAME, 5);
    expect("audited frame 5 step [1]\naudited frame 5 step []\naudited frame 5 step [3]\n"
           "hit 3 step 1\npaused 1 step [] step 2 line 1\nhit 3 step 2\n"
           "ended 3 1\naudited frame 5 step []\n");
}

static void every_frame_is_one_that_is_entered_since_the_hook(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 8), a_hook(2, 8), a_hook(3, 8)};
    h[2].one_frame = true;
    w.engine.depth = 1;
    w.engine.stack[0] = 4;
    set(h, 1);
    enters(5);
    set(h + 1, 2);
    assert_true(is_on(ENGINE_AUDIT_POP, 5) && is_on(ENGINE_AUDIT_POP, 4));
    enters(6);
    enters(7);
    skip_story();
    pops(7, ENGINE_COMPLETION_YIELD);
    pops(6, ENGINE_COMPLETION_RETURN);
    pops(5, ENGINE_COMPLETION_RETURN);
    pops(4, ENGINE_COMPLETION_RETURN);
    expect("hit 1 pop 0 (yield)\nhit 2 pop 0 (yield)\nhit 1 pop 0 (return)\nhit 2 pop 0 (return)\n"
           "hit 1 pop 0 (return)\nhit 3 pop 0 (return)\n");
    /* A generator is entered again when it goes on. */
    remove_hook(1);
    Stillpoint__Worker__Hook late = a_hook(4, 8);
    set(&late, 1);
    skip_story();
    pops(7, ENGINE_COMPLETION_YIELD);
    enters(7);
    pops(7, ENGINE_COMPLETION_RETURN);
    expect("hit 2 pop 0 (yield)\nhit 2 pop 0 (return)\nhit 4 pop 0 (return)\n");
    /* With the last hook on every frame none is observed but that of one. */
    remove_hook(2);
    remove_hook(4);
    assert_int_equal(w.engine.n_on, 1);
    assert_int_equal(w.auditors.table.n_walked, 0);
}

/* An engine tells of what a collection has found, before it does what it is asked. */
static void
a_frame_that_is_said_to_have_ended_when_another_is_let_go_takes_nothing_along(void **state)
{
    (void)state;
    for (uint64_t ends = 5; ends < 25; ends++) {
        Stillpoint__Worker__Hook h[] = {a_hook(1, 8), a_hook(2, 9)};
        w.engine.ended = 0;
        set(h, 2);
        for (uint64_t frame = 5; frame < 25; frame++)
            enters(frame);
        w.engine.ends = ends;
        remove_hook(1);
        assert_int_equal(w.engine.ends, 0);
        w.engine.ends = ends == 24 ? 5 : ends + 1;
        remove_hook(2);
        assert_int_equal(w.engine.ends, 0);
        assert_int_equal(w.engine.n_on, 0);
        assert_int_equal(w.auditors.table.n_walked, 0);
        assert_int_equal(w.auditors.table.n, 0);
        assert_null(w.auditors.gone);
    }
    skip_story();
}

/* An engine does not say that a frame has ended at which nothing was observed. */
static void a_frame_that_ends_while_its_auditor_is_spent_ends_its_hooks(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 9), a_hook(2, 9)};
    h[0].one_frame = true;
    h[0].per_second = h[1].per_second = 1;
    w.engine.depth = 1;
    w.engine.stack[0] = 5;
    set(h, 2);
    enters(6);
    at_step(5, 1);
    at_step(6, 1);
    assert_int_equal(w.engine.n_on, 0);
    skip_story();
    for (struct hook *x = w.auditors.hooks; x; x = x->next)
        x->second.start_ns -= SECOND_NS;
    w.auditors.due_ns = 1;
    w.engine.gone = true;
    auditors_look_at_budgets(&w.auditors);
    auditors_look_at_budgets(&w.auditors);
    expect("audited realm 1 step [2]\nended 1 1\naudited frame 5 step []\n");
    assert_int_equal(w.auditors.table.n_walked, 0);
    assert_int_equal(w.auditors.due_ns, 0);
}

static void breakpoints_follow_scripts_and_hit_at_their_offsets(void **state)
{
    (void)state;
    Stillpoint__Worker__Place at = STILLPOINT__WORKER__PLACE__INIT;
    Stillpoint__Worker__Hook h = a_hook(1, 10);
    at.url = (char *)(uintptr_t) "a.js";
    at.has_line = true;
    at.line = 3;
    h.at = &at;
    w.engine.n_positions = 2;
    set(&h, 1);
    expect("bound 1 pending\n");
    w.engine.n_scripts = 1;
    hits((struct engine_hit){
        .kind = ENGINE_AUDIT_NEW_SCRIPT, .script = 1, .place = {.url = "b.js"}});
    assert_false(is_on(ENGINE_AUDIT_BREAKPOINT, 1));
    hits((struct engine_hit){
        .kind = ENGINE_AUDIT_NEW_SCRIPT, .script = 1, .place = {.url = "lib/a.js"}});
    expect("audited script 1 break [1]\naudited script 1 break [1]\nbound 1 a.js:3 a.js:3\n");
    for (uint64_t offset = 30; offset < 33; offset++)
        hits((struct engine_hit){.kind = ENGINE_AUDIT_BREAKPOINT,
                                 .frame = 5,
                                 .script = 1,
                                 .offset = offset,
                                 .place = {"a.js", 3, 1, 0}});
    expect("hit 1 break 3\nhit 1 break 3\n");
    w.engine.n_scripts = 2;
    w.engine.refuse_at = (int)w.engine.calls + 2;
    hits((struct engine_hit){
        .kind = ENGINE_AUDIT_NEW_SCRIPT, .script = 2, .place = {.url = "a.js"}});
    expect("audited script 2 break [1]\n"
           "bound 1 a.js:3 a.js:3 a.js:3 the VM was not started with --debug: its WebAssembly "
           "cannot be inspected\n");
}

static void a_breakpoint_is_wanted_unless_all_that_waits_for_it_compares_and_fails(void **state)
{
    (void)state;
    Stillpoint__Worker__Place at = STILLPOINT__WORKER__PLACE__INIT;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 10), a_hook(2, 10), a_hook(3, 10)};
    at.url = (char *)(uintptr_t) "a.js";
    at.has_line = true;
    at.line = 3;
    h[0].at = h[1].at = h[2].at = &at;
    h[0].condition = (char *)(uintptr_t) "x === 3";
    h[1].condition = (char *)(uintptr_t) "x > 6";
    w.engine.n_positions = 1;
    w.engine.n_scripts = 1;
    w.engine.on_guest = abort;
    set(h, 2);
    assert_true(is_on(ENGINE_AUDIT_BREAKPOINT, 1));
    w.engine.variable = "4";
    assert_false(auditors_want_breakpoint(&w.auditors, 1, 30));
    w.engine.variable = "3";
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 30));
    w.engine.variable = "7";
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 30));
    w.engine.variable = NULL; /* it takes an evaluation */
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 30));
    w.engine.variable = "4";
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 31)); /* nobody's: it is not ours to say */
    set(&h[2], 1);                                             /* one without a condition */
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 30));
    remove_hook(3);
    assert_false(auditors_want_breakpoint(&w.auditors, 1, 30));
    /* A step may end where the breakpoint is. */
    w.engine.depth = 1;
    w.engine.stack[0] = 5;
    step(7, STEP_OVER);
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 30));
    step(7, STEP_FORGET);
    assert_false(auditors_want_breakpoint(&w.auditors, 1, 30));
    /* A budget that is whole again is seen to at the next hit. */
    w.auditors.due_ns = 1;
    assert_true(auditors_want_breakpoint(&w.auditors, 1, 30));
}

static void a_hit_is_never_larger_than_its_limit(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h = a_hook(1, 2);
    h.arguments = true;
    h.stack_depth = 1000;
    h.log = (char *)(uintptr_t) "{a}";
    w.engine.depth = 8;
    set(&h, 1);
    enters(5);
    daemon_reads(); /* which checks its size */
    assert_non_null(strstr(w.story.text, "\"a\""));
}

static void an_engine_that_cannot_be_debugged_says_so(void **state)
{
    (void)state;
    Stillpoint__Worker__Hook h = a_hook(1, 2);
    w.ops.debug = NULL;
    set_and_remove(&h, 1, NULL, 0);
    assert_string_equal(w.error, "this engine has no auditors");
    step(1, STEP_IN);
    assert_string_equal(w.error, "this engine has no steps");
    w.ops.debug = &mock_debug;
}

static void what_is_wrong_with_a_hook_is_said(void **state)
{
    (void)state;
    static char long_text[LIMIT_EXPRESSION_BYTES + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    Stillpoint__Worker__Place nowhere = STILLPOINT__WORKER__PLACE__INIT;
    nowhere.url = long_text + sizeof long_text - 5;
    char *expressions[9] = {long_text};
    for (int i = 1; i < 9; i++)
        expressions[i] = nowhere.url;
    struct {
        Stillpoint__Worker__Hook h;
        const char *why;
    } cases[12];
    for (int i = 0; i < 12; i++)
        cases[i].h = a_hook(1, 2);
    cases[0].h.kind = 0, cases[0].why = "kind";
    cases[1].h.suspend = 4, cases[1].why = "suspend";
    cases[2].h.granularity = 3, cases[2].why = "granularity";
    cases[3].h.one_frame = true, cases[3].why = "one frame";
    cases[4].h.kind = 1, cases[4].h.realm = 3, cases[4].why = "one realm";
    cases[5].h.url = long_text, cases[5].why = "glob";
    cases[6].h.line_from = 3, cases[6].h.line_to = 2, cases[6].why = "line";
    cases[6].h.has_line_from = cases[6].h.has_line_to = true;
    cases[7].h.condition = long_text, cases[7].why = "expression";
    cases[8].h.expressions = expressions, cases[8].h.n_expressions = 9, cases[8].why = "many";
    cases[9].h.expressions = expressions, cases[9].h.n_expressions = 1, cases[9].why = "long";
    cases[10].h.kind = 10, cases[10].why = "source";
    cases[11].h.kind = 10, cases[11].h.at = &nowhere, cases[11].why = "line or an offset";
    for (int i = 0; i < 12; i++) {
        set_and_remove(&cases[i].h, 1, NULL, 0);
        if (!strstr(w.error, cases[i].why))
            fail_msg("case %d: %s", i, w.error);
    }
    assert_int_equal(w.engine.calls, 0);
}

#define AUDITOR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
    AUDITOR_TEST(the_first_hook_installs_and_the_last_removes),
    AUDITOR_TEST(replacing_a_hook_never_takes_the_instrumentation_off),
    AUDITOR_TEST(hooks_that_fail_in_the_middle_leave_nothing_changed),
    AUDITOR_TEST(a_hook_that_is_removed_while_its_condition_runs_does_not_hit),
    AUDITOR_TEST(a_hook_that_is_removed_by_an_earlier_ones_condition_does_not_hit),
    AUDITOR_TEST(a_hook_that_is_removed_while_its_hit_is_captured_has_none_and_numbers_no_gap),
    AUDITOR_TEST(a_hook_that_is_set_while_a_hit_is_reported_sees_the_next),
    AUDITOR_TEST(a_realm_that_goes_while_a_hit_in_it_is_reported_ends_its_hooks),
    AUDITOR_TEST(a_comparison_of_a_variable_runs_no_guest_code),
    AUDITOR_TEST(a_budget_is_exact_and_is_whole_again_after_its_second),
    AUDITOR_TEST(a_budget_of_captures_is_kept_too),
    AUDITOR_TEST(one_pause_for_all_hooks_of_a_hit),
    AUDITOR_TEST(a_step_that_is_forgotten_or_replaced_while_it_ends_does_not_pause),
    AUDITOR_TEST(a_step_is_handed_over_frames_of_the_host),
    AUDITOR_TEST(a_step_and_hooks_share_what_is_observed),
    AUDITOR_TEST(every_frame_is_one_that_is_entered_since_the_hook),
    AUDITOR_TEST(a_frame_that_is_said_to_have_ended_when_another_is_let_go_takes_nothing_along),
    AUDITOR_TEST(a_frame_that_ends_while_its_auditor_is_spent_ends_its_hooks),
    AUDITOR_TEST(breakpoints_follow_scripts_and_hit_at_their_offsets),
    AUDITOR_TEST(a_breakpoint_is_wanted_unless_all_that_waits_for_it_compares_and_fails),
    AUDITOR_TEST(a_hit_is_never_larger_than_its_limit),
    AUDITOR_TEST(an_engine_that_cannot_be_debugged_says_so),
    AUDITOR_TEST(what_is_wrong_with_a_hook_is_said),
};

UNIT_MAIN(tests)

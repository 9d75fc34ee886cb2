/* Looking at one stopped VM, and acting in it, through libstillpoint, of a daemon in a thread. */
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/stillpoint.h"
#include "test_client_fake.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))
#define SET(m, field, value)                                                                       \
    do {                                                                                           \
        (m).has_##field = 1;                                                                       \
        (m).field = (value);                                                                       \
    } while (0)

struct peer {
    pthread_t thread;
    int sock;
    struct stillpoint *sp;
    char asked[512]; /* what the last request said */
};

#define ASKED(p, ...) snprintf((p)->asked, sizeof(p)->asked, __VA_ARGS__)

static void send_frames(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__FramePage page = STILLPOINT__API__FRAME_PAGE__INIT;
    Stillpoint__Api__Frame frame = STILLPOINT__API__FRAME__INIT, *frames = &frame;
    fake_envelope e = FAKE_BODY(FRAME_PAGE, frame_page, &page);
    SET(frame, frame, 3);
    frame.function = TEXT("main");
    page.frames = &frames;
    page.n_frames = 1;
    SET(page, vm, 7);
    SET(page, next, 4);
    fake_send(fake, request, &e);
}

static void send_scopes(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__ScopeList list = STILLPOINT__API__SCOPE_LIST__INIT;
    Stillpoint__Api__Scope scope = STILLPOINT__API__SCOPE__INIT, *scopes = &scope;
    fake_envelope e = FAKE_BODY(SCOPE_LIST, scope_list, &list);
    scope.scope = TEXT("closure");
    SET(scope, ref, 11);
    SET(scope, variables, 2);
    list.scopes = &scopes;
    list.n_scopes = 1;
    SET(list, frame, 2);
    fake_send(fake, request, &e);
}

static void send_variables(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__VariablePage page = STILLPOINT__API__VARIABLE_PAGE__INIT;
    Stillpoint__Api__NamedValue named = STILLPOINT__API__NAMED_VALUE__INIT, *variables = &named;
    Stillpoint__Api__Value value = STILLPOINT__API__VALUE__INIT;
    fake_envelope e = FAKE_BODY(VARIABLE_PAGE, variable_page, &page);
    SET(value, type, STILLPOINT__API__VALUE_TYPE__VALUE_OBJECT);
    SET(value, ref, 12);
    value.class_name = TEXT("Map");
    named.name = TEXT("m");
    named.value = &value;
    SET(named, writable, 1);
    page.variables = &variables;
    page.n_variables = 1;
    SET(page, total, 300);
    SET(page, next, 256);
    fake_send(fake, request, &e);
}

static void send_value(struct fake *fake, const fake_envelope *request, bool threw)
{
    Stillpoint__Api__ValueReply reply = STILLPOINT__API__VALUE_REPLY__INIT;
    Stillpoint__Api__Value value = STILLPOINT__API__VALUE__INIT;
    fake_envelope e = FAKE_BODY(VALUE_REPLY, value_reply, &reply);
    SET(value, type, STILLPOINT__API__VALUE_TYPE__VALUE_NUMBER);
    value.preview = TEXT("42");
    reply.value = &value;
    SET(reply, threw, threw);
    if (!threw)
        reply.json = TEXT("42");
    fake_send(fake, request, &e);
}

static void send_step(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__StepReply reply = STILLPOINT__API__STEP_REPLY__INIT;
    Stillpoint__Api__Frame frame = STILLPOINT__API__FRAME__INIT;
    Stillpoint__Api__World world = STILLPOINT__API__WORLD__INIT;
    fake_envelope e = FAKE_BODY(STEP_REPLY, step_reply, &reply);
    bool ended = request->step_vm->how == STILLPOINT__API__STEP_HOW__STEP_OUT;
    reply.reason = ended ? TEXT("ended") : TEXT("step");
    SET(frame, line, 12);
    frame.url = TEXT("app.js");
    world.name = TEXT("blue");
    SET(world, mode, STILLPOINT__API__WORLD_MODE__MODE_STOPPED);
    if (!ended) {
        reply.frame = &frame;
        reply.world = &world;
    }
    fake_send(fake, request, &e);
}

static void send_sources(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__SourceList list = STILLPOINT__API__SOURCE_LIST__INIT;
    Stillpoint__Api__Source source = STILLPOINT__API__SOURCE__INIT, *sources = &source;
    fake_envelope e = FAKE_BODY(SOURCE_LIST, source_list, &list);
    SET(source, source, 21);
    source.url = TEXT("app.js");
    source.kind = TEXT("module");
    SET(source, lines, 30);
    list.sources = &sources;
    list.n_sources = 1;
    fake_send(fake, request, &e);
}

static void send_text(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__SourceText text = STILLPOINT__API__SOURCE_TEXT__INIT;
    fake_envelope e = FAKE_BODY(SOURCE_TEXT, source_text, &text);
    SET(text, text, ((ProtobufCBinaryData){5, (uint8_t *)TEXT("a\0b\nc")}));
    SET(text, more, 1);
    SET(text, first_byte, request->read_source->first_byte);
    fake_send(fake, request, &e);
}

static void send_positions(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__PositionList list = STILLPOINT__API__POSITION_LIST__INIT;
    Stillpoint__Api__Location location = STILLPOINT__API__LOCATION__INIT, *positions = &location;
    fake_envelope e = FAKE_BODY(POSITION_LIST, position_list, &list);
    SET(location, line, 3);
    SET(location, column, 5);
    list.positions = &positions;
    list.n_positions = 1;
    SET(list, truncated, 1);
    fake_send(fake, request, &e);
}

static void send_memory(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__MemoryReply reply = STILLPOINT__API__MEMORY_REPLY__INIT;
    fake_envelope e = FAKE_BODY(MEMORY_REPLY, memory_reply, &reply);
    SET(reply, memory_bytes, 65536);
    if (!request->access_memory->has_write)
        SET(reply, data, ((ProtobufCBinaryData){3, (uint8_t *)TEXT("\1\2\3")}));
    fake_send(fake, request, &e);
}

static void send_pause(struct fake *fake, const fake_envelope *request)
{
    static uint64_t hooks[] = {5, 6};
    Stillpoint__Api__PauseReply reply = STILLPOINT__API__PAUSE_REPLY__INIT;
    Stillpoint__Api__Value value = STILLPOINT__API__VALUE__INIT;
    fake_envelope e = FAKE_BODY(PAUSE_REPLY, pause_reply, &reply);
    if (strcmp(request->get_pause->vm, "app") == 0) {
        reply.reason = TEXT("exception");
        reply.hooks = hooks;
        reply.n_hooks = 2;
        value.preview = TEXT("Error: no");
        reply.value = &value;
    }
    fake_send(fake, request, &e);
}

static void send_continued(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__ContinueReply reply = STILLPOINT__API__CONTINUE_REPLY__INIT;
    Stillpoint__Api__World world = STILLPOINT__API__WORLD__INIT;
    fake_envelope e = FAKE_BODY(CONTINUE_REPLY, continue_reply, &reply);
    reply.world = &world;
    fake_send(fake, request, &e);
}

static bool answers(struct fake *fake, const fake_envelope *q)
{
    struct peer *p = fake->data;
    switch (q->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_LIST_FRAMES:
        ASKED(p, "%s %u %u", q->list_frames->vm, q->list_frames->first, q->list_frames->max);
        send_frames(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_LIST_SCOPES:
        ASKED(p, "%s %u", q->list_scopes->vm, q->list_scopes->frame);
        send_scopes(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_LIST_VARIABLES:
        ASKED(p, "%s %d %u %u %d", q->list_variables->vm, (int)q->list_variables->ref,
              q->list_variables->first, q->list_variables->max, q->list_variables->run_getters);
        send_variables(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_EVALUATE:
        ASKED(p, "%s %s %d:%u %d:%d %d %d", q->evaluate->vm, q->evaluate->expression,
              q->evaluate->has_frame, q->evaluate->frame, q->evaluate->in_realm,
              (int)q->evaluate->realm, (int)q->evaluate->timeout_us, q->evaluate->audited);
        send_value(fake, q, strcmp(q->evaluate->expression, "throws()") == 0);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_SET_VARIABLE:
        ASKED(p, "%s %u %s %s", q->set_variable->vm, q->set_variable->frame, q->set_variable->name,
              q->set_variable->expression);
        send_value(fake, q, false);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_STEP_VM:
        ASKED(p, "%s %d g=%d o=%d n=%u d=%d %s", q->step_vm->vm, q->step_vm->how,
              q->step_vm->has_granularity ? (int)q->step_vm->granularity : 0,
              q->step_vm->has_others ? (int)q->step_vm->others : 0, q->step_vm->count,
              (int)q->step_vm->deadline_us, q->step_vm->at ? q->step_vm->at->url : "-");
        send_step(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_LIST_SOURCES:
        send_sources(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_READ_SOURCE:
        ASKED(p, "%d %s %d", q->read_source->has_source,
              q->read_source->url ? q->read_source->url : "-", (int)q->read_source->first_byte);
        send_text(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_LIST_POSITIONS:
        if (q->list_positions->has_offset_from)
            ASKED(p, "%s @%d-%d", q->list_positions->url, (int)q->list_positions->offset_from,
                  (int)q->list_positions->offset_to);
        else
            ASKED(p, "%s %u-%u", q->list_positions->url, q->list_positions->line_from,
                  q->list_positions->line_to);
        send_positions(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_ACCESS_MEMORY:
        ASKED(p, "%s %d:%u %u %d %u %zu", q->access_memory->vm, q->access_memory->in_frame,
              q->access_memory->frame, q->access_memory->memory, (int)q->access_memory->address,
              q->access_memory->length, q->access_memory->write.len);
        send_memory(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_GET_PAUSE:
        send_pause(fake, q);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_CONTINUE_VM:
        ASKED(p, "%s %d:%d %s", q->continue_vm->vm, q->continue_vm->has_answer,
              q->continue_vm->answer,
              q->continue_vm->answer_expression ? q->continue_vm->answer_expression : "-");
        send_continued(fake, q);
        return true;
    default:
        return fake_hello(fake, q);
    }
}

static void *serve(void *data)
{
    struct peer *p = data;
    fake_serve(p->sock, answers, p);
    return NULL;
}

static void start(struct peer *p)
{
    int ours;
    *p = (struct peer){0};
    assert_int_equal(stillpoint_socketpair(&ours, &p->sock), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
    assert_int_equal(stillpoint_connect_fd(ours, "test 1", &p->sp), 0);
}

static void stop(struct peer *p)
{
    p->sp = stillpoint_free(p->sp);
    pthread_join(p->thread, NULL);
}

static void frames_scopes_and_variables_come_in_pages(void **state)
{
    struct peer p;
    struct stillpoint_frames frames;
    struct stillpoint_scopes scopes;
    struct stillpoint_variables variables;
    (void)state;
    start(&p);
    assert_int_equal(stillpoint_vm_frames(p.sp, "app", 3, 1, &frames), 0);
    assert_string_equal(p.asked, "app 3 1");
    assert_int_equal(frames.n, 1);
    assert_int_equal(frames.next, 4);
    assert_string_equal(frames.items[0].function, "main");
    stillpoint_frames_free(&frames);
    assert_int_equal(stillpoint_vm_scopes(p.sp, "app", 2, &scopes), 0);
    assert_string_equal(p.asked, "app 2");
    assert_string_equal(scopes.items[0].scope, "closure");
    assert_string_equal(scopes.items[0].function, "");
    const struct stillpoint_variables_query query = {
        .vm = "app", .ref = scopes.items[0].ref, .first = 1, .max = 2, .run_getters = true};
    stillpoint_scopes_free(&scopes);
    assert_int_equal(stillpoint_vm_variables(p.sp, &query, &variables), 0);
    assert_string_equal(p.asked, "app 11 1 2 1");
    stop(&p); /* the result lives on */
    assert_int_equal(variables.total, 300);
    assert_int_equal(variables.next, 256);
    assert_string_equal(variables.items[0].name, "m");
    assert_string_equal(variables.items[0].value.class_name, "Map");
    assert_int_equal(variables.items[0].value.ref, 12);
    assert_true(variables.items[0].writable);
    stillpoint_variables_free(&variables);
}

static void an_expression_that_throws_is_a_result(void **state)
{
    struct peer p;
    struct stillpoint_evaluated e;
    (void)state;
    start(&p);
    struct stillpoint_evaluation what = {
        .vm = "app", .expression = "6 * 7", .frame = 2, .timeout_us = 5, .audited = true};
    assert_int_equal(stillpoint_vm_evaluate(p.sp, &what, &e), 0);
    assert_string_equal(p.asked, "app 6 * 7 1:2 0:0 5 1");
    assert_false(e.threw);
    assert_string_equal(e.json, "42");
    stillpoint_evaluated_free(&e);
    what = (struct stillpoint_evaluation){
        .vm = "app", .expression = "throws()", .in_realm = true, .realm = 3};
    assert_int_equal(stillpoint_vm_evaluate(p.sp, &what, &e), 0);
    assert_string_equal(p.asked, "app throws() 0:0 1:3 0 0");
    assert_true(e.threw);
    assert_null(e.json);
    stillpoint_evaluated_free(&e);
    assert_int_equal(stillpoint_vm_set_variable(p.sp, "app", 1, "x", "y + 1", 0, &e), 0);
    assert_string_equal(p.asked, "app 1 x y + 1");
    stillpoint_evaluated_free(&e);
    stop(&p);
}

static void step_ended(struct stillpoint *sp, int r, const struct stillpoint_stepped *s, void *data)
{
    (void)sp;
    assert_int_equal(r, 0);
    assert_string_equal(s->reason, "ended");
    assert_null(s->frame);
    assert_null(s->world);
    *(bool *)data = true;
}

static void a_step_says_where_it_ended_now_or_later(void **state)
{
    struct peer p;
    struct stillpoint_stepped s;
    const struct stillpoint_position to = {.url = "lib.js", .line = 3};
    bool ended = false;
    (void)state;
    start(&p);
    const struct stillpoint_step until = {.vm = "app",
                                          .how = STILLPOINT_STEP_TO,
                                          .to = &to,
                                          .others = STILLPOINT_STEP_OTHERS_RUN,
                                          .granularity = STILLPOINT_GRANULARITY_OPERATION,
                                          .count = 2,
                                          .deadline_us = 9};
    assert_int_equal(stillpoint_vm_step(p.sp, &until, &s), 0);
    assert_string_equal(p.asked, "app 4 g=2 o=2 n=2 d=9 lib.js");
    assert_string_equal(s.reason, "step");
    assert_int_equal(s.frame->line, 12);
    assert_string_equal(s.world->name, "blue");
    stillpoint_stepped_free(&s);
    const struct stillpoint_step out = {.vm = "app", .how = STILLPOINT_STEP_OUT};
    assert_int_equal(stillpoint_vm_step_async(p.sp, &out, step_ended, &ended), 0);
    while (!ended)
        assert_int_equal(stillpoint_wait(p.sp, 10000), 0);
    assert_string_equal(p.asked, "app 3 g=0 o=0 n=0 d=0 -");
    stop(&p);
}

static void sources_are_bytes_in_parts(void **state)
{
    struct peer p;
    struct stillpoint_sources sources;
    struct stillpoint_source_text text;
    struct stillpoint_positions positions;
    (void)state;
    start(&p);
    assert_int_equal(stillpoint_vm_sources(p.sp, "app", 0, 0, &sources), 0);
    assert_int_equal(sources.items[0].id, 21);
    assert_null(sources.items[0].source_map);
    stillpoint_sources_free(&sources);
    struct stillpoint_source_query query = {.vm = "app", .url = "app.js", .first_byte = 4};
    assert_int_equal(stillpoint_vm_source_text(p.sp, &query, &text), 0);
    assert_string_equal(p.asked, "0 app.js 4");
    assert_int_equal(text.bytes, 5);
    assert_memory_equal(text.text, "a\0b\nc", 5);
    assert_true(text.more);
    assert_string_equal(text.source.url, "");
    stillpoint_source_text_free(&text);
    query.source = 21;
    assert_int_equal(stillpoint_vm_source_text(p.sp, &query, &text), 0);
    assert_string_equal(p.asked, "1 - 4");
    stillpoint_source_text_free(&text);
    const struct stillpoint_positions_query lines = {
        .vm = "app", .url = "app.js", .line_from = 3, .line_to = 4};
    assert_int_equal(stillpoint_vm_positions(p.sp, &lines, &positions), 0);
    assert_string_equal(p.asked, "app.js 3-4");
    assert_int_equal(positions.items[0].column, 5);
    assert_true(positions.truncated);
    stillpoint_positions_free(&positions);
    const struct stillpoint_positions_query offsets = {
        .vm = "app", .url = "a.wasm", .in_offsets = true, .offset_to = 70};
    assert_int_equal(stillpoint_vm_positions(p.sp, &offsets, &positions), 0);
    assert_string_equal(p.asked, "a.wasm @0-70");
    stillpoint_positions_free(&positions);
    stop(&p);
}

static void memory_is_read_and_written(void **state)
{
    struct peer p;
    struct stillpoint_data data;
    (void)state;
    start(&p);
    const struct stillpoint_memory_place place = {
        .vm = "app", .in_frame = true, .frame = 1, .memory = 2, .address = 64};
    assert_int_equal(stillpoint_vm_memory_read(p.sp, &place, 3, &data), 0);
    assert_string_equal(p.asked, "app 1:1 2 64 3 0");
    assert_int_equal(data.bytes, 3);
    assert_memory_equal(data.data, "\1\2\3", 3);
    assert_int_equal(data.memory_bytes, 65536);
    stillpoint_data_free(&data);
    assert_int_equal(stillpoint_vm_memory_write(p.sp, &place, "ab", 2, &data), 0);
    assert_string_equal(p.asked, "app 1:1 2 64 0 2");
    assert_int_equal(data.bytes, 0);
    stillpoint_data_free(&data);
    stop(&p);
}

static void a_pause_says_why_and_is_answered(void **state)
{
    struct peer p;
    struct stillpoint_pause pause;
    struct stillpoint_continuation c;
    (void)state;
    start(&p);
    assert_int_equal(stillpoint_vm_pause(p.sp, "app", &pause), 0);
    assert_string_equal(pause.reason, "exception");
    assert_int_equal(pause.n_hooks, 2);
    assert_int_equal(pause.hooks[1], 6);
    assert_string_equal(pause.value->preview, "Error: no");
    assert_null(pause.location);
    stillpoint_pause_free(&pause);
    assert_int_equal(stillpoint_vm_pause(p.sp, "db", &pause), 0);
    assert_string_equal(pause.reason, "");
    stillpoint_pause_free(&pause);
    struct stillpoint_continue what = {
        .vm = "app", .answer = STILLPOINT_ANSWER_RETURN, .answer_expression = "7"};
    assert_int_equal(stillpoint_vm_continue(p.sp, &what, &c), 0);
    assert_string_equal(p.asked, "app 1:2 7");
    stillpoint_continuation_free(&c);
    what = (struct stillpoint_continue){.vm = "app"};
    assert_int_equal(stillpoint_vm_continue(p.sp, &what, &c), 0);
    assert_string_equal(p.asked, "app 0:1 -");
    stillpoint_continuation_free(&c);
    stop(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(frames_scopes_and_variables_come_in_pages),
    cmocka_unit_test(an_expression_that_throws_is_a_result),
    cmocka_unit_test(a_step_says_where_it_ended_now_or_later),
    cmocka_unit_test(sources_are_bytes_in_parts),
    cmocka_unit_test(memory_is_read_and_written),
    cmocka_unit_test(a_pause_says_why_and_is_answered),
};

UNIT_MAIN(tests)

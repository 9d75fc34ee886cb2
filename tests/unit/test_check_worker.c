#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "proto/worker.pb-c.h"

typedef Stillpoint__Worker__Fact Fact;
#define BODY(name) STILLPOINT__WORKER__FACT__BODY_##name

static struct worker_fact fact;
static const char *why;

static int pass_with(Fact *m, const int *fds, size_t n_fds)
{
    size_t len = stillpoint__worker__fact__get_packed_size(m);
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    stillpoint__worker__fact__pack(m, data);
    why = NULL;
    int r = check_worker_fact(data, len, fds, n_fds, &fact, &why);
    free(data);
    return r;
}

static int pass(Fact *m)
{
    return pass_with(m, NULL, 0);
}

static Fact numbered(uint64_t seq)
{
    Fact m = STILLPOINT__WORKER__FACT__INIT;
    m.has_seq = 1;
    m.seq = seq;
    return m;
}

static void refused(int r, const char *words)
{
    assert_int_equal(r, -EPROTO);
    if (!why || !strstr(why, words))
        fail_msg("'%s' does not say '%s'", why ? why : "(null)", words);
}

static void a_fact_has_a_number_and_a_body(void **state)
{
    (void)state;
    Stillpoint__Worker__Ready ready = STILLPOINT__WORKER__READY__INIT;
    Fact m = numbered(0);
    m.body_case = BODY(READY);
    m.ready = &ready;
    refused(pass(&m), "no number");
    m = numbered(1);
    refused(pass(&m), "no such fact");
    refused(check_worker_fact((const uint8_t *)"\xff\xff", 2, NULL, 0, &fact, &why), "malformed");
}

static void console_is_bounded(void **state)
{
    (void)state;
    static uint8_t text[LIMIT_CONSOLE_CHUNK_BYTES + 1];
    Stillpoint__Worker__Console console = STILLPOINT__WORKER__CONSOLE__INIT;
    Fact m = numbered(3);
    m.body_case = BODY(CONSOLE);
    m.console = &console;
    console.has_stream = console.has_level = console.has_data = 1;
    console.stream = 1;
    console.data.data = text;
    console.data.len = LIMIT_CONSOLE_CHUNK_BYTES;
    assert_int_equal(pass(&m), 0);
    assert_int_equal(fact.seq, 3);
    assert_int_equal(fact.console.data.len, LIMIT_CONSOLE_CHUNK_BYTES);
    check_worker_done(&fact);
    console.data.len++;
    refused(pass(&m), "too long");
    console.data.len = 1;
    console.stream = 3;
    refused(pass(&m), "no such stream");
    console.stream = 2;
    console.level = WORKER_LEVELS;
    refused(pass(&m), "no such level");
}

static void imports_stay_inside(void **state)
{
    (void)state;
    static const char *const bad[] = {"/etc/passwd", "../x", "a/./b", "", "a\nb"};
    Stillpoint__Worker__ImportWanted wanted = STILLPOINT__WORKER__IMPORT_WANTED__INIT;
    Fact m = numbered(1);
    m.body_case = BODY(IMPORT_WANTED);
    m.import_wanted = &wanted;
    refused(pass(&m), "import path");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wanted.path = (char *)(uintptr_t)bad[i];
        refused(pass(&m), "import path");
    }
}

static void only_announced_memfds_are_taken_and_only_sealed_ones(void **state)
{
    (void)state;
    Stillpoint__Worker__Posted posted = STILLPOINT__WORKER__POSTED__INIT;
    Fact m = numbered(1);
    m.body_case = BODY(POSTED);
    m.posted = &posted;
    posted.has_json = 1;
    posted.json.data = (uint8_t *)(uintptr_t) "1";
    posted.json.len = 1;
    int sealed = fd_memfd_new("test", "{\"a\":1}", 7), open_end[2];
    assert_true(sealed >= 0);
    assert_int_equal(pipe(open_end), 0);
    refused(pass_with(&m, &sealed, 1), "does not announce");
    posted.has_in_memfd = posted.in_memfd = 1;
    refused(pass(&m), "carries none");
    refused(pass_with(&m, open_end, 1), "not a sealed memfd");
    assert_int_equal(pass_with(&m, &sealed, 1), 0);
    assert_int_equal(fact.posted.len, 7);
    assert_memory_equal(fact.posted.text, "{\"a\":1}", 7);
    check_worker_done(&fact);

    Stillpoint__Worker__Ready ready = STILLPOINT__WORKER__READY__INIT;
    m = numbered(2);
    m.body_case = BODY(READY);
    m.ready = &ready;
    refused(pass_with(&m, &sealed, 1), "carries a descriptor");
    close(sealed);
    close(open_end[0]);
    close(open_end[1]);
}

static void texts_for_people_are_one_line(void **state)
{
    (void)state;
    Stillpoint__Worker__Exiting exiting = STILLPOINT__WORKER__EXITING__INIT;
    Fact m = numbered(1);
    m.body_case = BODY(EXITING);
    m.exiting = &exiting;
    exiting.has_reason = exiting.has_code = 1;
    exiting.reason = WORKER_ERROR;
    exiting.code = 1;
    exiting.detail = (char *)"Error: no";
    assert_int_equal(pass(&m), 0);
    assert_string_equal(fact.exiting.detail, "Error: no");
    check_worker_done(&fact);
    exiting.detail = (char *)"two\nlines";
    refused(pass(&m), "detail");
    exiting.detail = (char *)"\x1b[31mred";
    refused(pass(&m), "detail");
    exiting.detail = NULL;
    exiting.code = 256;
    refused(pass(&m), "out of range");
    exiting.code = 0;
    exiting.reason = 99;
    refused(pass(&m), "no such exit reason");
}

static void a_birth_has_few_layers_with_plain_names(void **state)
{
    (void)state;
    Stillpoint__Worker__Layer layer = STILLPOINT__WORKER__LAYER__INIT,
                              *layers[WORKER_MAX_LAYERS + 1];
    Stillpoint__Worker__Born born = STILLPOINT__WORKER__BORN__INIT;
    Fact m = numbered(1);
    m.body_case = BODY(BORN);
    m.born = &born;
    layer.name = (char *)"seccomp";
    layer.has_state = 1;
    layer.state = 2;
    for (size_t i = 0; i < WORKER_MAX_LAYERS + 1; i++)
        layers[i] = &layer;
    born.posture = layers;
    born.n_posture = WORKER_MAX_LAYERS;
    assert_int_equal(pass(&m), 0);
    check_worker_done(&fact);
    born.n_posture++;
    refused(pass(&m), "too many layers");
    born.n_posture = 1;
    layer.state = 3;
    refused(pass(&m), "layer");
    layer.state = 2;
    layer.name = (char *)"Sec comp";
    refused(pass(&m), "layer");
}

/* ---- Inspected */

static Stillpoint__Worker__ClassCount class_row = STILLPOINT__WORKER__CLASS_COUNT__INIT;
static Stillpoint__Worker__Frame frame_row = STILLPOINT__WORKER__FRAME__INIT;
static Stillpoint__Worker__ClassCount *class_rows[LIMIT_INSPECT_CLASSES + 1];
static Stillpoint__Worker__Frame *frame_rows[LIMIT_INSPECT_FRAMES + 1];
static Stillpoint__Worker__InspectedBody body;
static Stillpoint__Worker__Inspected inspected;

/* One class, and one frame, which the test changes. */
static Fact an_inspected(void)
{
    class_row.class_name = (char *)"Array";
    class_row.has_count = class_row.has_bytes = 1;
    class_row.count = 3;
    class_row.bytes = 96;
    frame_row.has_kind = frame_row.has_line = frame_row.has_column = frame_row.has_offset = 1;
    frame_row.kind = WORKER_FRAME_JS;
    frame_row.function = (char *)"f\xc3\xa4";
    frame_row.url = (char *)"lib/a.js";
    frame_row.line = 7;
    frame_row.column = 1;
    for (size_t i = 0; i <= LIMIT_INSPECT_CLASSES; i++)
        class_rows[i] = &class_row;
    for (size_t i = 0; i <= LIMIT_INSPECT_FRAMES; i++)
        frame_rows[i] = &frame_row;
    body = (Stillpoint__Worker__InspectedBody)STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    body.n_classes = body.n_frames = 1;
    body.classes = class_rows;
    body.frames = frame_rows;
    inspected = (Stillpoint__Worker__Inspected)STILLPOINT__WORKER__INSPECTED__INIT;
    inspected.has_request = 1;
    inspected.request = 42;
    inspected.body = &body;
    Fact m = numbered(1);
    m.body_case = BODY(INSPECTED);
    m.inspected = &inspected;
    return m;
}

/* The body as a memfd that a worker would send. */
static int memfd_of_body(void)
{
    size_t len = stillpoint__worker__inspected_body__get_packed_size(&body);
    uint8_t *packed = malloc(len + 1);
    assert_non_null(packed);
    stillpoint__worker__inspected_body__pack(&body, packed);
    int fd = fd_memfd_new("body", packed, len);
    free(packed);
    assert_true(fd >= 0);
    return fd;
}

static void an_inspection_has_rows_as_plain_arrays(void **state)
{
    (void)state;
    Fact m = an_inspected();
    body.has_before_bytes = body.has_after_bytes = body.has_truncated = 1;
    body.before_bytes = 10;
    body.after_bytes = 4;
    body.truncated = 1;
    assert_int_equal(pass(&m), 0);
    const struct worker_inspected *i = &fact.inspected;
    assert_int_equal(fact.kind, FACT_INSPECTED);
    assert_int_equal(i->request, 42);
    assert_null(i->error);
    assert_int_equal(i->before_bytes, 10);
    assert_int_equal(i->after_bytes, 4);
    assert_true(i->truncated);
    assert_int_equal(i->n_classes, 1);
    assert_string_equal(i->classes[0].name, "Array");
    assert_int_equal(i->classes[0].count, 3);
    assert_int_equal(i->classes[0].bytes, 96);
    assert_int_equal(i->n_frames, 1);
    assert_int_equal(i->frames[0].kind, WORKER_FRAME_JS);
    assert_string_equal(i->frames[0].function, "f\xc3\xa4");
    assert_string_equal(i->frames[0].url, "lib/a.js");
    assert_int_equal(i->frames[0].line, 7);
    check_worker_done(&fact);

    /* What is not there is empty. */
    frame_row.function = frame_row.url = NULL;
    assert_int_equal(pass(&m), 0);
    assert_string_equal(fact.inspected.frames[0].function, "");
    check_worker_done(&fact);
    inspected.body = NULL;
    assert_int_equal(pass(&m), 0);
    assert_int_equal(fact.inspected.n_classes + fact.inspected.n_frames, 0);
    check_worker_done(&fact);
}

static void texts_of_an_inspection_are_short_lines(void **state)
{
    (void)state;
    static char text[LIMIT_INSPECT_TEXT_BYTES + 2];
    static const char *const bad[] = {"a\nb", "\x1b[31m", "\xc2\x9b", "\x7f"};
    memset(text, 'x', LIMIT_INSPECT_TEXT_BYTES);
    Fact m = an_inspected();
    class_row.class_name = frame_row.function = frame_row.url = text;
    assert_int_equal(pass(&m), 0);
    check_worker_done(&fact);
    text[LIMIT_INSPECT_TEXT_BYTES] = 'x';
    refused(pass(&m), "ClassCount.class_name");
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        char *t = i < sizeof bad / sizeof bad[0] ? (char *)(uintptr_t)bad[i] : text;
        m = an_inspected();
        class_row.class_name = t;
        refused(pass(&m), "ClassCount.class_name");
        m = an_inspected();
        frame_row.function = t;
        refused(pass(&m), "Frame.function");
        m = an_inspected();
        frame_row.url = t;
        refused(pass(&m), "Frame.url");
    }
    m = an_inspected();
    class_row.class_name = (char *)"";
    refused(pass(&m), "ClassCount.class_name");
    class_row.class_name = NULL;
    refused(pass(&m), "ClassCount.class_name");
    m = an_inspected();
    inspected.body = NULL;
    inspected.error = (char *)"two\nlines";
    refused(pass(&m), "error text");
}

static void rows_of_an_inspection_are_counted(void **state)
{
    (void)state;
    Fact m = an_inspected();
    class_row.class_name = frame_row.function = frame_row.url = (char *)"x";
    body.n_classes = LIMIT_INSPECT_CLASSES;
    body.n_frames = LIMIT_INSPECT_FRAMES;
    assert_int_equal(pass(&m), 0);
    assert_int_equal(fact.inspected.n_frames, LIMIT_INSPECT_FRAMES);
    check_worker_done(&fact);
    body.n_classes++;
    refused(pass(&m), "InspectedBody.classes");
    body.n_classes = 1;
    body.n_frames++;
    refused(pass(&m), "InspectedBody.frames");
    m = an_inspected();
    frame_row.kind = 0;
    refused(pass(&m), "Frame.kind");
    frame_row.kind = WORKER_FRAME_HOST + 1;
    refused(pass(&m), "Frame.kind");
}

static void an_inspection_has_one_body_or_an_error(void **state)
{
    (void)state;
    Fact m = an_inspected();
    int memfd = memfd_of_body(), nonsense = fd_memfd_new("x", "\xff\xff\xff", 3), open_end[2];
    assert_int_equal(pipe(open_end), 0);
    refused(pass_with(&m, &memfd, 1), "does not announce");
    inspected.has_in_memfd = inspected.in_memfd = 1;
    refused(pass_with(&m, &memfd, 1), "should not have");
    inspected.body = NULL;
    refused(pass(&m), "carries none");
    refused(pass_with(&m, open_end, 1), "not a sealed memfd");
    refused(pass_with(&m, &nonsense, 1), "malformed");
    assert_int_equal(pass_with(&m, &memfd, 1), 0);
    assert_int_equal(fact.inspected.n_classes, 1);
    assert_string_equal(fact.inspected.classes[0].name, "Array");
    check_worker_done(&fact);
    inspected.error = (char *)"no";
    inspected.has_refusal = 1;
    inspected.refusal = WORKER_REFUSED_STATE;
    refused(pass_with(&m, &memfd, 1), "should not have");
    inspected.in_memfd = 0;
    assert_int_equal(pass(&m), 0);
    assert_string_equal(fact.inspected.error, "no");
    assert_int_equal(fact.inspected.refusal, WORKER_REFUSED_STATE);
    check_worker_done(&fact);
    inspected.body = &body;
    refused(pass(&m), "should not have");
    close(memfd);
    close(nonsense);

    /* Larger than one VM may answer, and still within the other bounds. */
    static char text[LIMIT_INSPECT_BYTES];
    memset(text, 'x', sizeof text - 1);
    m = an_inspected();
    class_row.class_name = text;
    memfd = memfd_of_body();
    inspected.body = NULL;
    inspected.has_in_memfd = inspected.in_memfd = 1;
    refused(pass_with(&m, &memfd, 1), "fair size");
    close(memfd);
    close(open_end[0]);
    close(open_end[1]);
}

/* ---- what auditors saw, and what a stopped VM is asked */

/* Refused with one field changed, and fine again without. */
#define BROKEN(m, field, bad, words)                                                               \
    do {                                                                                           \
        __typeof__(field) kept_ = (field);                                                         \
        (field) = (bad);                                                                           \
        refused(pass(m), words);                                                                   \
        (field) = kept_;                                                                           \
    } while (0)
#define ALLOWED(m, field, good)                                                                    \
    do {                                                                                           \
        __typeof__(field) kept_ = (field);                                                         \
        (field) = (good);                                                                          \
        fine(m);                                                                                   \
        (field) = kept_;                                                                           \
    } while (0)
/* A text that has at most so many bytes, on one line. */
#define BROKEN_LINE(m, field, max, words)                                                          \
    do {                                                                                           \
        ALLOWED(m, field, NULL);                                                                   \
        ALLOWED(m, field, letters(max));                                                           \
        BROKEN(m, field, letters((max) + 1), words);                                               \
        BROKEN(m, field, (char *)"a\nb", words);                                                   \
        BROKEN(m, field, (char *)"\x1b[31m", words);                                               \
        BROKEN(m, field, (char *)"\xff", "UTF-8");                                                 \
    } while (0)

static void fine(Fact *m)
{
    if (pass(m) != 0)
        fail_msg("refused: %s", why);
    check_worker_done(&fact);
}

static char *letters(size_t n)
{
    static char text[LIMIT_VALUE_JSON_BYTES + 2];
    assert_true(n < sizeof text);
    memset(text, 'x', n);
    text[n] = '\0';
    return text;
}

#define MANY 2048
static Stillpoint__Worker__Location place;
static Stillpoint__Worker__Value value;
static Stillpoint__Worker__NamedValue named;
static Stillpoint__Worker__Scope scope;
static Stillpoint__Worker__Source source;
static Stillpoint__Worker__Location *places[MANY];
static Stillpoint__Worker__NamedValue *names[MANY];
static Stillpoint__Worker__Scope *scope_rows[MANY];
static Stillpoint__Worker__Source *source_rows[MANY];
static uint64_t ids[LIMIT_HOOKS_PER_VM + 1];

/* One good row of each kind. */
static void fill_rows(void)
{
    (void)an_inspected();
    place = (Stillpoint__Worker__Location)STILLPOINT__WORKER__LOCATION__INIT;
    place.url = (char *)"app.js";
    place.function = (char *)"main";
    place.has_line = 1;
    place.line = 3;
    value = (Stillpoint__Worker__Value)STILLPOINT__WORKER__VALUE__INIT;
    value.has_type = 1;
    value.type = 8;
    value.preview = (char *)"{a: 1}";
    value.class_name = (char *)"Object";
    named = (Stillpoint__Worker__NamedValue)STILLPOINT__WORKER__NAMED_VALUE__INIT;
    named.name = (char *)"n";
    named.value = &value;
    scope = (Stillpoint__Worker__Scope)STILLPOINT__WORKER__SCOPE__INIT;
    scope.scope = (char *)"local";
    scope.function = (char *)"main";
    source = (Stillpoint__Worker__Source)STILLPOINT__WORKER__SOURCE__INIT;
    source.has_source = 1;
    source.source = 1;
    source.url = (char *)"app.js";
    source.kind = (char *)"module";
    source.source_map = (char *)"app.js.map";
    for (size_t i = 0; i < MANY; i++) {
        places[i] = &place;
        names[i] = &named;
        scope_rows[i] = &scope;
        source_rows[i] = &source;
    }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        ids[i] = i + 1;
}

static Stillpoint__Worker__Hit hit;

static Fact a_hit(void)
{
    fill_rows();
    hit = (Stillpoint__Worker__Hit)STILLPOINT__WORKER__HIT__INIT;
    hit.has_hook = hit.has_vm_seq = hit.has_kind = 1;
    hit.hook = 5;
    hit.vm_seq = 1;
    hit.kind = 8;
    hit.location = &place;
    hit.value = &value;
    hit.completion = (char *)"return";
    hit.frames = frame_rows;
    hit.arguments = hit.expressions = names;
    hit.n_frames = hit.n_arguments = hit.n_expressions = 1;
    hit.log = (char *)"two\nlines";
    hit.condition_error = (char *)"ReferenceError: x is not defined";
    hit.source_map = (char *)"app.js.map";
    Fact m = numbered(1);
    m.body_case = BODY(HIT);
    m.hit = &hit;
    return m;
}

static void a_hit_is_checked_in_every_field(void **state)
{
    (void)state;
    Fact m = a_hit();
    assert_int_equal(pass(&m), 0);
    assert_int_equal(fact.kind, FACT_HIT);
    assert_int_equal(fact.hit->hook, 5);
    assert_string_equal(fact.hit->arguments[0]->value->preview, "{a: 1}");
    check_worker_done(&fact);

    BROKEN(&m, hit.hook, 0, "Hit.hook");
    BROKEN(&m, hit.has_hook, 0, "Hit.hook");
    BROKEN(&m, hit.vm_seq, 0, "Hit.vm_seq");
    BROKEN(&m, hit.kind, 0, "Hit.kind");
    BROKEN(&m, hit.kind, 11, "Hit.kind");
    BROKEN(&m, hit.completion, (char *)"lost", "Hit.completion");
    ALLOWED(&m, hit.completion, (char *)"rejected");
    ALLOWED(&m, hit.location, NULL);
    BROKEN(&m, hit.n_frames, LIMIT_HIT_FRAMES + 1, "Hit.frames");
    BROKEN(&m, frame_row.kind, 4, "Frame.kind");
    BROKEN(&m, hit.n_arguments, LIMIT_HIT_VALUES + 1, "Hit.arguments");
    BROKEN(&m, hit.n_expressions, LIMIT_EXPRESSIONS + 1, "Hit.expressions");
    ALLOWED(&m, hit.log, letters(LIMIT_EXPRESSION_BYTES));
    BROKEN(&m, hit.log, letters(LIMIT_EXPRESSION_BYTES + 1), "Hit.log");
    BROKEN(&m, hit.log, (char *)"\xff", "UTF-8");
    BROKEN_LINE(&m, hit.condition_error, LIMIT_DETAIL_BYTES, "Hit.condition_error");
    BROKEN_LINE(&m, hit.source_map, LIMIT_PATH_BYTES, "Hit.source_map");
}

static void a_hit_is_small(void **state)
{
    (void)state;
    static char text[LIMIT_INSPECT_TEXT_BYTES + 1];
    memset(text, 'x', LIMIT_INSPECT_TEXT_BYTES);
    Fact m = a_hit();
    frame_row.function = frame_row.url = text;
    hit.n_frames = 24;
    fine(&m);
    hit.n_frames = LIMIT_HIT_FRAMES;
    refused(pass(&m), "too large");
}

static void values_and_places_are_checked_wherever_they_are(void **state)
{
    (void)state;
    Fact m = a_hit();
    BROKEN(&m, value.type, 0, "Value.type");
    BROKEN(&m, value.type, 11, "Value.type");
    BROKEN(&m, value.has_type, 0, "Value.type");
    BROKEN_LINE(&m, value.preview, LIMIT_PREVIEW_BYTES, "Value.preview");
    BROKEN_LINE(&m, value.class_name, LIMIT_INSPECT_TEXT_BYTES, "Value.class_name");
    BROKEN_LINE(&m, place.url, LIMIT_INSPECT_TEXT_BYTES, "Location.url");
    BROKEN_LINE(&m, place.function, LIMIT_INSPECT_TEXT_BYTES, "Location.function");
    BROKEN(&m, named.name, NULL, "NamedValue.name");
    ALLOWED(&m, named.name, (char *)"");
    BROKEN(&m, named.name, letters(LIMIT_INSPECT_TEXT_BYTES + 1), "NamedValue.name");
    BROKEN(&m, named.name, (char *)"a\nb", "NamedValue.name");
    BROKEN(&m, named.value, NULL, "NamedValue.value");
    value.type = 0;
    hit.value = NULL;
    refused(pass(&m), "Value.type");
}

static void a_pause_says_what_it_is_for(void **state)
{
    (void)state;
    Stillpoint__Worker__Paused paused = STILLPOINT__WORKER__PAUSED__INIT;
    Fact m = numbered(1);
    fill_rows();
    m.body_case = BODY(PAUSED);
    m.paused = &paused;
    paused.has_pause = paused.has_reason = 1;
    paused.pause = 1;
    paused.reason = 2;
    paused.hooks = ids;
    paused.n_hooks = LIMIT_HOOKS_PER_VM;
    paused.frame = &frame_row;
    paused.location = &place;
    paused.value = &value;
    assert_int_equal(pass(&m), 0);
    assert_int_equal(fact.kind, FACT_PAUSED);
    assert_int_equal(fact.paused->n_hooks, LIMIT_HOOKS_PER_VM);
    check_worker_done(&fact);

    BROKEN(&m, paused.pause, 0, "Paused.pause");
    BROKEN(&m, paused.reason, 0, "Paused.reason");
    BROKEN(&m, paused.reason, 6, "Paused.reason");
    BROKEN(&m, paused.n_hooks, LIMIT_HOOKS_PER_VM + 1, "Paused.hooks");
    BROKEN(&m, ids[7], 0, "Paused.hooks");
    BROKEN(&m, frame_row.kind, 0, "Frame.kind");
    BROKEN(&m, place.url, (char *)"\x7f", "Location.url");
    BROKEN(&m, value.type, 0, "Value.type");
    BROKEN(&m, paused.reason, 1, "names nothing");
    paused.n_hooks = 0;
    refused(pass(&m), "names nothing");
    paused.has_step = 1;
    paused.step = 3;
    fine(&m);
    paused.reason = 1;
    fine(&m);
}

static void what_becomes_of_hooks_is_checked(void **state)
{
    (void)state;
    Stillpoint__Worker__Audited audited = STILLPOINT__WORKER__AUDITED__INIT;
    Stillpoint__Worker__HookEnded ended = STILLPOINT__WORKER__HOOK_ENDED__INIT;
    Stillpoint__Worker__BreakpointBound bound = STILLPOINT__WORKER__BREAKPOINT_BOUND__INIT;
    Fact m = numbered(1);
    fill_rows();
    m.body_case = BODY(AUDITED);
    m.audited = &audited;
    audited.has_referent = audited.has_kind = 1;
    audited.referent = 2;
    audited.kind = 5;
    audited.hooks = ids;
    audited.n_hooks = LIMIT_HOOKS_PER_VM;
    audited.label = (char *)"app.js";
    fine(&m);
    ALLOWED(&m, audited.n_hooks, 0);
    BROKEN(&m, audited.referent, 0, "Audited.referent");
    BROKEN(&m, audited.referent, 5, "Audited.referent");
    BROKEN(&m, audited.kind, 0, "Audited.kind");
    BROKEN(&m, audited.kind, 11, "Audited.kind");
    BROKEN(&m, audited.n_hooks, LIMIT_HOOKS_PER_VM + 1, "Audited.hooks");
    BROKEN(&m, ids[0], 0, "Audited.hooks");
    BROKEN_LINE(&m, audited.label, LIMIT_INSPECT_TEXT_BYTES, "Audited.label");

    m.body_case = BODY(HOOK_ENDED);
    m.hook_ended = &ended;
    ended.has_hook = ended.has_why = 1;
    ended.hook = 9;
    ended.why = 2;
    fine(&m);
    BROKEN(&m, ended.hook, 0, "HookEnded.hook");
    BROKEN(&m, ended.why, 0, "HookEnded.why");
    BROKEN(&m, ended.why, 3, "HookEnded.why");

    m.body_case = BODY(BREAKPOINT_BOUND);
    m.breakpoint_bound = &bound;
    bound.has_hook = 1;
    bound.hook = 9;
    bound.at = places;
    bound.n_at = LIMIT_BOUND_PLACES;
    fine(&m);
    BROKEN(&m, bound.hook, 0, "BreakpointBound.hook");
    BROKEN(&m, bound.n_at, LIMIT_BOUND_PLACES + 1, "BreakpointBound.at");
    BROKEN(&m, place.function, (char *)"\x01", "Location.function");
    BROKEN_LINE(&m, bound.error, LIMIT_DETAIL_BYTES, "BreakpointBound.error");
}

/* As a worker sends it that has more than fits into a packet. */
static void body_is_refused(Fact *m, const char *words)
{
    int memfd = memfd_of_body();
    inspected.body = NULL;
    inspected.has_in_memfd = inspected.in_memfd = 1;
    refused(pass_with(m, &memfd, 1), words);
    inspected.has_in_memfd = inspected.in_memfd = 0;
    inspected.body = &body;
    close(memfd);
}

static void what_a_stopped_vm_answers_is_checked_in_every_field(void **state)
{
    (void)state;
    static uint8_t data[LIMIT_DATA_BYTES + 1];
    fill_rows();
    Fact m = an_inspected();
    body.scopes = scope_rows;
    body.variables = names;
    body.value = &value;
    body.json = (char *)"{\"a\":\n1}";
    body.sources = source_rows;
    body.positions = places;
    body.n_scopes = body.n_variables = body.n_sources = body.n_positions = 1;
    body.has_data = 1;
    body.data = (ProtobufCBinaryData){.data = data, .len = 100};
    assert_int_equal(pass(&m), 0);
    assert_int_equal(fact.inspected.body->n_variables, 1);
    assert_string_equal(fact.inspected.body->sources[0]->kind, "module");
    check_worker_done(&fact);

    BROKEN(&m, scope.scope, NULL, "Scope.scope");
    BROKEN(&m, scope.scope, (char *)"somewhere", "Scope.scope");
    BROKEN_LINE(&m, scope.function, LIMIT_INSPECT_TEXT_BYTES, "Scope.function");
    BROKEN(&m, named.value, NULL, "NamedValue.value");
    BROKEN(&m, value.type, 0, "Value.type");
    BROKEN(&m, body.json, (char *)"\xc0\x80", "UTF-8");
    BROKEN(&m, source.source, 0, "Source.source");
    BROKEN(&m, source.kind, NULL, "Source.kind");
    BROKEN(&m, source.kind, (char *)"text", "Source.kind");
    BROKEN_LINE(&m, source.url, LIMIT_PATH_BYTES, "Source.url");
    BROKEN_LINE(&m, source.source_map, LIMIT_PATH_BYTES, "Source.source_map");
    BROKEN(&m, place.url, (char *)"\n", "Location.url");

    body.json = letters(LIMIT_VALUE_JSON_BYTES + 1);
    body_is_refused(&m, "InspectedBody.json");
    body.json = NULL;
    body.n_scopes = LIMIT_SCOPES + 1;
    body_is_refused(&m, "InspectedBody.scopes");
    body.n_scopes = 0;
    body.n_variables = LIMIT_PAGE_VARIABLES + 1;
    body_is_refused(&m, "InspectedBody.variables");
    body.n_variables = 0;
    body.n_sources = LIMIT_PAGE_SOURCES + 1;
    body_is_refused(&m, "InspectedBody.sources");
    body.n_sources = 0;
    body.n_positions = LIMIT_PAGE_POSITIONS + 1;
    body_is_refused(&m, "InspectedBody.positions");
    body.n_positions = 0;
    body.data.len = LIMIT_DATA_BYTES + 1;
    body_is_refused(&m, "InspectedBody.data");
}

static void an_error_says_which_sort_it_is_and_nothing_else_does(void **state)
{
    (void)state;
    Fact m = an_inspected();
    inspected.body = NULL;
    fine(&m);
    inspected.has_refusal = 1;
    BROKEN(&m, inspected.refusal, WORKER_REFUSED_NOT_FOUND, "reason of a refusal");
    inspected.error = (char *)"no";
    BROKEN(&m, inspected.refusal, 0, "reason of a refusal");
    BROKEN(&m, inspected.refusal, WORKER_REFUSALS, "reason of a refusal");
    for (unsigned n = WORKER_REFUSED_NOT_FOUND; n < WORKER_REFUSALS; n++)
        ALLOWED(&m, inspected.refusal, n);
}

static void hooks_that_failed_come_with_an_error_and_nothing_else(void **state)
{
    (void)state;
    fill_rows();
    Fact m = an_inspected();
    body.n_classes = body.n_frames = 0;
    body.failed_hooks = ids;
    body.n_failed_hooks = 2;
    inspected.error = (char *)"cannot be set";
    inspected.has_refusal = 1;
    inspected.refusal = WORKER_REFUSED_NOT_FOUND;
    assert_int_equal(pass(&m), 0);
    assert_string_equal(fact.inspected.error, "cannot be set");
    assert_int_equal(fact.inspected.body->n_failed_hooks, 2);
    check_worker_done(&fact);
    BROKEN(&m, body.n_failed_hooks, LIMIT_HOOKS_PER_VM + 1, "InspectedBody.failed_hooks");
    BROKEN(&m, ids[1], 0, "InspectedBody.failed_hooks");
    BROKEN(&m, body.has_truncated, 1, "should not have");
    BROKEN(&m, body.n_frames, 1, "should not have");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_fact_has_a_number_and_a_body),
    cmocka_unit_test(console_is_bounded),
    cmocka_unit_test(imports_stay_inside),
    cmocka_unit_test(only_announced_memfds_are_taken_and_only_sealed_ones),
    cmocka_unit_test(texts_for_people_are_one_line),
    cmocka_unit_test(a_birth_has_few_layers_with_plain_names),
    cmocka_unit_test(an_inspection_has_rows_as_plain_arrays),
    cmocka_unit_test(texts_of_an_inspection_are_short_lines),
    cmocka_unit_test(rows_of_an_inspection_are_counted),
    cmocka_unit_test(an_inspection_has_one_body_or_an_error),
    cmocka_unit_test(a_hit_is_checked_in_every_field),
    cmocka_unit_test(a_hit_is_small),
    cmocka_unit_test(values_and_places_are_checked_wherever_they_are),
    cmocka_unit_test(a_pause_says_what_it_is_for),
    cmocka_unit_test(what_becomes_of_hooks_is_checked),
    cmocka_unit_test(what_a_stopped_vm_answers_is_checked_in_every_field),
    cmocka_unit_test(an_error_says_which_sort_it_is_and_nothing_else_does),
    cmocka_unit_test(hooks_that_failed_come_with_an_error_and_nothing_else),
};

UNIT_MAIN(tests)

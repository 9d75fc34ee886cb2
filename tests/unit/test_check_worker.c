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
    refused(pass(&m), "class name");
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        char *t = i < sizeof bad / sizeof bad[0] ? (char *)(uintptr_t)bad[i] : text;
        m = an_inspected();
        class_row.class_name = t;
        refused(pass(&m), "class name");
        m = an_inspected();
        frame_row.function = t;
        refused(pass(&m), "text of a frame");
        m = an_inspected();
        frame_row.url = t;
        refused(pass(&m), "text of a frame");
    }
    m = an_inspected();
    class_row.class_name = (char *)"";
    refused(pass(&m), "class name");
    class_row.class_name = NULL;
    refused(pass(&m), "class name");
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
    refused(pass(&m), "too many classes");
    body.n_classes = 1;
    body.n_frames++;
    refused(pass(&m), "too many frames");
    m = an_inspected();
    frame_row.kind = 0;
    refused(pass(&m), "no such kind");
    frame_row.kind = WORKER_FRAME_HOST + 1;
    refused(pass(&m), "no such kind");
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
    refused(pass_with(&m, &memfd, 1), "should not have");
    inspected.in_memfd = 0;
    assert_int_equal(pass(&m), 0);
    assert_string_equal(fact.inspected.error, "no");
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
};

UNIT_MAIN(tests)

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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_fact_has_a_number_and_a_body),
    cmocka_unit_test(console_is_bounded),
    cmocka_unit_test(imports_stay_inside),
    cmocka_unit_test(only_announced_memfds_are_taken_and_only_sealed_ones),
    cmocka_unit_test(texts_for_people_are_one_line),
    cmocka_unit_test(a_birth_has_few_layers_with_plain_names),
};

UNIT_MAIN(tests)

#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "proto/parts.h"
#include "worker/host/host.h"
#include "worker/host_ops.h"
#include "worker/inspect.h"
#include "worker/look.h"

typedef Stillpoint__Worker__Inspect Inspect;

/* ---- an engine that shows what a test wants, and remembers how it was asked */

struct engine {
    uint32_t rows;    /* how many of each there are */
    const char *text; /* all texts that it shows; NULL: short ones */
    enum engine_frame_kind kind;
    int result; /* of all ops */
    const char *json, *why;
    uint64_t memory_bytes;
    int (*inside)(void *userdata); /* guest code of an evaluation; its result becomes the op's */
    void *userdata;
    /* seen */
    unsigned calls, resumes;
    uint32_t frame, first, max, line, line_to;
    uint64_t realm, ref, source, offset;
    bool run_getters, audited, with_ref;
    char expression[64], name[64];
    uint8_t written[16];
    size_t written_bytes;
};

static const char *shown_or(const struct engine *e, const char *otherwise)
{
    return e->text ? e->text : otherwise;
}

/* How many rows from `first` on, and where the next page begins. */
static uint32_t page_of(const struct engine *e, uint32_t first, uint32_t max, uint32_t *ret_next)
{
    uint32_t n = first < e->rows ? e->rows - first : 0;
    if (n > max)
        n = max;
    *ret_next = first + n < e->rows ? first + n : 0;
    return n;
}

static int ask(struct engine *e)
{
    e->calls++;
    return e->result;
}

static int mock_frames(struct engine *e, uint32_t first, uint32_t max,
                       void (*each)(void *, const struct engine_frame *), void *userdata,
                       uint32_t *ret_next)
{
    e->first = first;
    e->max = max;
    uint32_t n = page_of(e, first, max, ret_next);
    for (uint32_t i = 0; i < n; i++)
        each(userdata, &(struct engine_frame){.kind = e->kind,
                                              .function = shown_or(e, "f"),
                                              .url = shown_or(e, "app.js"),
                                              .line = first + i + 1});
    return 0;
}

static int mock_scopes(struct engine *e, uint32_t frame,
                       void (*each)(void *, const struct engine_scope *), void *userdata)
{
    e->frame = frame;
    if (ask(e) != 0)
        return e->result;
    for (uint32_t i = 0; i < e->rows; i++)
        each(userdata, &(struct engine_scope){"block", i + 1, 2, shown_or(e, "f")});
    return 0;
}

static int mock_variables(struct engine *e, uint64_t ref, uint32_t first, uint32_t max,
                          bool run_getters, void (*each)(void *, const struct engine_named_value *),
                          void *userdata, uint32_t *ret_next, uint32_t *ret_total)
{
    e->ref = ref;
    e->run_getters = run_getters;
    if (ask(e) != 0)
        return e->result;
    if (run_getters && e->inside)
        return e->inside(e->userdata);
    uint32_t n = page_of(e, first, max, ret_next);
    *ret_total = e->rows;
    for (uint32_t i = 0; i < n; i++)
        each(userdata, &(struct engine_named_value){.name = shown_or(e, "n"),
                                                    .value = {.type = ENGINE_VALUE_OBJECT,
                                                              .preview = shown_or(e, "{…}"),
                                                              .class_name = shown_or(e, "Object"),
                                                              .ref = first + i + 1},
                                                    .writable = true,
                                                    .getter = i == 1});
    return 0;
}

static int act(struct engine *e,
               void (*each)(void *, bool, const struct engine_value *, const char *),
               void *userdata)
{
    int r = ask(e);
    if (r == 0 && e->inside)
        r = e->inside(e->userdata);
    if (r == 0 || r == -EWOULDBLOCK)
        each(userdata, r != 0,
             &(struct engine_value){.type = ENGINE_VALUE_STRING,
                                    .preview = shown_or(e, "\"ok\""),
                                    .class_name = "",
                                    .ref = 7},
             e->json);
    return r == -EWOULDBLOCK ? 0 : r;
}

static int mock_evaluate(struct engine *e, uint32_t frame, uint64_t realm, const char *expression,
                         bool audited, bool with_ref,
                         void (*each)(void *, bool, const struct engine_value *, const char *),
                         void *userdata)
{
    e->frame = frame;
    e->realm = realm;
    e->audited = audited;
    e->with_ref = with_ref;
    snprintf(e->expression, sizeof e->expression, "%s", expression);
    return act(e, each, userdata);
}

static int mock_assign(struct engine *e, uint32_t frame, const char *name, const char *expression,
                       void (*each)(void *, bool, const struct engine_value *, const char *),
                       void *userdata, const char **ret_why)
{
    e->frame = frame;
    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->expression, sizeof e->expression, "%s", expression);
    *ret_why = e->why;
    return act(e, each, userdata);
}

static struct engine_source source_of(const struct engine *e, uint64_t id)
{
    return (struct engine_source){.id = id,
                                  .url = shown_or(e, "app.js"),
                                  .kind = "module",
                                  .text_bytes = 300000,
                                  .source_map = shown_or(e, ""),
                                  .lines = 10};
}

static int mock_sources(struct engine *e, uint32_t first, uint32_t max,
                        void (*each)(void *, const struct engine_source *), void *userdata,
                        uint32_t *ret_next)
{
    if (ask(e) != 0)
        return e->result;
    uint32_t n = page_of(e, first, max, ret_next);
    for (uint32_t i = 0; i < n; i++) {
        struct engine_source s = source_of(e, first + i + 1);
        each(userdata, &s);
    }
    return 0;
}

static int mock_source_text(
    struct engine *e, uint64_t source, const char *url, uint64_t first_byte, uint32_t max_bytes,
    void (*each)(void *, const struct engine_source *, const void *, size_t), void *userdata)
{
    static char text[300000];
    struct engine_source s = source_of(e, source != 0 ? source : 1);
    e->source = source;
    snprintf(e->name, sizeof e->name, "%s", url ? url : "");
    if (ask(e) != 0)
        return e->result;
    memset(text, 'x', sizeof text);
    size_t left = first_byte < sizeof text ? sizeof text - first_byte : 0;
    each(userdata, &s, text, left < max_bytes ? left : max_bytes);
    return 0;
}

/* Each line has two positions, and every source is there twice. */
static int mock_positions(struct engine *e, uint64_t source, const char *url, uint32_t line,
                          uint32_t line_to, uint32_t column, uint64_t offset, bool all,
                          void (*each)(void *, uint64_t, uint64_t, uint64_t,
                                       const struct engine_place *, const char *),
                          void *userdata)
{
    (void)url, (void)column;
    e->source = source;
    e->offset = offset;
    e->line = line;
    e->line_to = line_to;
    assert_true(all);
    if (ask(e) != 0)
        return e->result;
    for (unsigned script = 1; script <= 2; script++)
        for (uint32_t i = 0; i < e->rows; i++) {
            struct engine_place at = {shown_or(e, "app.js"), line + i / 2, 1 + i % 2, 0};
            each(userdata, 1, script, i, &at, "f");
        }
    return (int)e->rows * 2;
}

static int mock_memory(struct engine *e, uint32_t frame, uint32_t memory, uint64_t address,
                       void *read, const void *write, size_t len, uint64_t *ret_memory_bytes)
{
    (void)memory;
    e->frame = frame;
    if (ask(e) != 0)
        return e->result;
    *ret_memory_bytes = e->memory_bytes;
    if (address > e->memory_bytes || len > e->memory_bytes - address)
        return -ERANGE;
    if (read)
        memset(read, 0xab, len);
    if (write && len <= sizeof e->written) {
        memcpy(e->written, write, len);
        e->written_bytes = len;
    }
    return 0;
}

static void mock_resume(struct engine *e)
{
    e->resumes++;
}

static const struct engine_debug_ops debug_ops = {
    .frames = mock_frames,
    .scopes = mock_scopes,
    .variables = mock_variables,
    .evaluate = mock_evaluate,
    .assign = mock_assign,
    .sources = mock_sources,
    .source_text = mock_source_text,
    .positions = mock_positions,
    .memory = mock_memory,
    .resume = mock_resume,
};

/* ---- a VM that stands behind its gate, and a daemon's end that the test reads */

struct fixture {
    struct world_page world;
    struct command_page command;
    struct status_page status;
    struct daemon_channel channel;
    struct safepoint safepoint;
    struct host host;
    struct inspections inspections;
    struct look look;
    struct engine_ops ops;
    struct engine engine;
    int kick, worker_end, daemon_end;
    struct worker_fact fact;
    struct parts parts; /* the last answer */
};

static int on_command(void *userdata, const Stillpoint__Worker__Command *m, int *fds, size_t n_fds)
{
    (void)userdata, (void)m, (void)fds, (void)n_fds;
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int pair[2];
    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->daemon_end = pair[0];
    f->worker_end = pair[1];
    f->kick = eventfd(0, EFD_CLOEXEC);
    f->ops = (struct engine_ops){.debug = &debug_ops};
    f->engine.kind = ENGINE_FRAME_JS;
    SHM_STORE(&f->world.word, shm_world_word(1, false));
    SHM_STORE(&f->command.word, shm_command_word(0, true));
    assert_int_equal(daemon_channel_init(&f->channel, pair[1], on_command, f), 0);
    safepoint_init(&f->safepoint, &f->world, &f->command, &f->status, f->kick, &f->channel);
    f->safepoint.ops = &f->ops;
    f->safepoint.engine = &f->engine;
    f->safepoint.state = SHM_RUNNING;
    assert_int_equal(host_init(&f->host, &f->channel, &f->safepoint), 0);
    inspections_init(&f->inspections, &f->ops, &f->engine, &f->channel, &f->safepoint);
    look_init(&f->look, &f->ops, &f->engine, &f->safepoint, &f->inspections);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    check_worker_done(&f->fact);
    host_done(&f->host);
    daemon_channel_done(&f->channel);
    close(f->daemon_end);
    close(f->worker_end);
    close(f->kick);
    free(f);
    return 0;
}

/* One packet that came up the channel, past the daemon's door; the socket may not take all at once.
 */
static void receive_one(struct fixture *f)
{
    static uint8_t packet[LIMIT_PACKET_BYTES];
    size_t n_fds = 0;
    int beside;
    const char *why = NULL;
    check_worker_done(&f->fact);
    ssize_t n = fd_receive(f->daemon_end, packet, sizeof packet, NULL, &n_fds);
    assert_true(n > 0);
    assert_int_equal(daemon_channel_drain(&f->channel), 0);
    assert_int_equal(parts_take(&f->parts, packet, (size_t)n, &beside), 0);
    int r = check_worker_fact(packet, (size_t)n, &beside, beside >= 0, &f->fact, &why);
    if (beside >= 0)
        close(beside);
    if (r != 0)
        fail_msg("the door refuses it: %s", why);
}

static void receive(struct fixture *f)
{
    receive_one(f);
    while (f->fact.kind == FACT_PART) {
        assert_null(parts_add(&f->parts, &f->fact.part));
        receive_one(f);
    }
}

static const Stillpoint__Worker__InspectedBody *answer(struct fixture *f)
{
    receive(f);
    assert_int_equal(f->fact.kind, FACT_INSPECTED);
    if (f->fact.inspected.error)
        fail_msg("answered: %s", f->fact.inspected.error);
    assert_non_null(f->fact.inspected.body);
    return f->fact.inspected.body;
}

static const Stillpoint__Worker__InspectedBody *served(struct fixture *f, Inspect *m)
{
    m->has_request = m->has_kind = 1;
    assert_int_equal(inspections_push(&f->inspections, m), 0);
    assert_int_equal(inspections_serve(&f->inspections), 0);
    return answer(f);
}

static void refused(struct fixture *f, Inspect *m, enum worker_refusal refusal, const char *words)
{
    m->has_request = m->has_kind = 1;
    assert_int_equal(inspections_push(&f->inspections, m), 0);
    assert_int_equal(inspections_serve(&f->inspections), 0);
    receive(f);
    assert_int_equal(f->fact.kind, FACT_INSPECTED);
    const char *error = f->fact.inspected.error;
    if (!error || !strstr(error, words))
        fail_msg("'%s' does not say '%s'", error ? error : "(none)", words);
    assert_int_equal(f->fact.inspected.refusal, refusal);
}

static Inspect inspect_of(enum inspect_kind kind)
{
    Inspect m = STILLPOINT__WORKER__INSPECT__INIT;
    m.has_request = m.has_kind = 1;
    m.request = 1;
    m.kind = kind;
    return m;
}

#define SET(m, field, value) ((m).has_##field = 1, (m).field = (value))

/* ---- the queue */

static void a_request_is_kept_whole_until_it_is_served(void **state)
{
    struct fixture *f = *state;
    Stillpoint__Worker__ReadSource read = STILLPOINT__WORKER__READ_SOURCE__INIT;
    char url[] = "lib/a.js";
    Inspect m = inspect_of(INSPECT_READ_SOURCE);
    m.read_source = &read;
    read.url = url;
    SET(read, max_bytes, 10);
    assert_int_equal(inspections_push(&f->inspections, &m), 0);
    memset(url, 'z', sizeof url - 1);
    read.url = NULL;
    assert_int_equal(f->engine.calls, 0);
    assert_int_equal(inspections_serve(&f->inspections), 0);
    assert_int_equal(answer(f)->data.len, 10);
    assert_string_equal(f->engine.name, "lib/a.js");
}

static int hooks_served;

static int serve_hooks(void *userdata, const Inspect *m, struct inspect_answer *a)
{
    (void)userdata, (void)m;
    static uint64_t failed[] = {4, 9};
    hooks_served++;
    a->body.failed_hooks = failed;
    a->body.n_failed_hooks = 2;
    a->why = "no such\nframe";
    return -ENOENT;
}

static void hooks_are_set_at_once_while_a_vm_starts(void **state)
{
    struct fixture *f = *state;
    Inspect m = inspect_of(INSPECT_SET_HOOKS);
    hooks_served = 0;
    inspections_on(&f->inspections, INSPECT_SET_HOOKS, serve_hooks, NULL);
    f->safepoint.state = SHM_STARTING;
    assert_int_equal(inspections_push(&f->inspections, &m), 0);
    assert_int_equal(hooks_served, 1);
    receive(f);
    assert_string_equal(f->fact.inspected.error, "no such frame");
    assert_int_equal(f->fact.inspected.body->n_failed_hooks, 2);
    f->safepoint.state = SHM_RUNNING;
    assert_int_equal(inspections_push(&f->inspections, &m), 0);
    assert_int_equal(hooks_served, 1);
    assert_int_equal(inspections_serve(&f->inspections), 0);
    assert_int_equal(hooks_served, 2);
    receive(f);
}

static void what_nobody_serves_is_refused(void **state)
{
    struct fixture *f = *state;
    Inspect m = inspect_of(INSPECT_STEP);
    refused(f, &m, WORKER_REFUSED_UNSUPPORTED, "cannot answer");
    m.kind = INSPECT_KINDS;
    refused(f, &m, WORKER_REFUSED_UNSUPPORTED, "cannot answer");
    m.kind = INSPECT_VARIABLES; /* without its body */
    refused(f, &m, WORKER_REFUSED_INTERNAL, "malformed");
    f->look.debug = NULL;
    refused(f, &m, WORKER_REFUSED_UNSUPPORTED, "cannot be debugged");
    assert_int_equal(f->engine.calls, 0);
}

/* ---- looking */

static void frames_come_in_pages(void **state)
{
    struct fixture *f = *state;
    Stillpoint__Worker__Page page = STILLPOINT__WORKER__PAGE__INIT;
    Inspect m = inspect_of(INSPECT_FRAMES);
    f->engine.rows = LIMIT_PAGE_FRAMES + 10;
    const Stillpoint__Worker__InspectedBody *b = served(f, &m);
    assert_int_equal(b->n_frames, LIMIT_PAGE_FRAMES);
    assert_int_equal(b->next, LIMIT_PAGE_FRAMES);
    m.frames = &page;
    SET(page, first, LIMIT_PAGE_FRAMES + 5);
    SET(page, max, LIMIT_PAGE_FRAMES + 1);
    b = served(f, &m);
    assert_int_equal(f->engine.max, LIMIT_PAGE_FRAMES);
    assert_int_equal(b->n_frames, 5);
    assert_int_equal(b->frames[0]->line, LIMIT_PAGE_FRAMES + 6);
    assert_int_equal(b->next, 0);
    page.first = 0;
    page.max = 3;
    b = served(f, &m);
    assert_int_equal(b->n_frames, 3);
    assert_int_equal(b->next, 3);
}

static void texts_are_cut_between_characters_and_made_one_line(void **state)
{
    struct fixture *f = *state;
    static char text[4001];
    for (size_t i = 0; i < 4000; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    memcpy(text, "a\nb", 3);
    Stillpoint__Worker__Variables v = STILLPOINT__WORKER__VARIABLES__INIT;
    Inspect m = inspect_of(INSPECT_VARIABLES);
    m.variables = &v;
    SET(v, ref, 3);
    f->engine.rows = 2;
    f->engine.text = text;
    const Stillpoint__Worker__InspectedBody *b = served(f, &m);
    assert_int_equal(f->engine.ref, 3);
    assert_int_equal(b->n_variables, 2);
    assert_int_equal(b->total, 2);
    assert_int_equal(strncmp(b->variables[0]->name, "a b", 3), 0);
    assert_true(strlen(b->variables[0]->name) > LIMIT_INSPECT_TEXT_BYTES - 4);
    assert_true(b->variables[0]->value->truncated);
    assert_int_equal(b->variables[1]->value->ref, 2);
    assert_true(b->variables[1]->getter);
    assert_true(b->variables[0]->writable);
    m = inspect_of(INSPECT_SCOPES);
    SET(m, scopes_of_frame, 4);
    f->engine.rows = LIMIT_SCOPES + 1;
    b = served(f, &m);
    assert_int_equal(f->engine.frame, 4);
    assert_int_equal(b->n_scopes, LIMIT_SCOPES);
    assert_true(b->truncated);
}

static void pages_of_sources_end_where_an_answer_is_full(void **state)
{
    struct fixture *f = *state;
    static char text[4001];
    memset(text, 'x', 4000);
    Stillpoint__Worker__Page page = STILLPOINT__WORKER__PAGE__INIT;
    Inspect m = inspect_of(INSPECT_SOURCES);
    m.sources = &page;
    f->engine.rows = 2 * LIMIT_PAGE_SOURCES + 3;
    f->engine.text = text;
    uint64_t expected = 1;
    unsigned pages = 0;
    page.has_first = 1;
    do {
        const Stillpoint__Worker__InspectedBody *b = served(f, &m);
        assert_true(b->n_sources > 0);
        for (size_t i = 0; i < b->n_sources; i++)
            assert_int_equal(b->sources[i]->source, expected++);
        page.first = b->next;
        pages++;
    } while (page.first != 0);
    assert_int_equal(expected, f->engine.rows + 1);
    assert_int_equal(pages, 3);
}

static void text_of_a_source_is_bounded(void **state)
{
    struct fixture *f = *state;
    Stillpoint__Worker__ReadSource read = STILLPOINT__WORKER__READ_SOURCE__INIT;
    Inspect m = inspect_of(INSPECT_READ_SOURCE);
    m.read_source = &read;
    SET(read, source, 5);
    const Stillpoint__Worker__InspectedBody *b = served(f, &m);
    assert_int_equal(b->data.len, LIMIT_DATA_BYTES);
    assert_int_equal(b->n_sources, 1);
    assert_int_equal(b->sources[0]->source, 5);
    assert_int_equal(b->sources[0]->text_bytes, 300000);
    SET(read, first_byte, 299990);
    b = served(f, &m);
    assert_int_equal(b->data.len, 10);
    f->engine.result = -ENOENT;
    refused(f, &m, WORKER_REFUSED_NOT_FOUND, "no such source");
}

static void a_position_is_told_once(void **state)
{
    struct fixture *f = *state;
    Stillpoint__Worker__Positions v = STILLPOINT__WORKER__POSITIONS__INIT;
    Inspect m = inspect_of(INSPECT_POSITIONS);
    m.positions = &v;
    SET(v, source, 1);
    f->engine.rows = 10;
    const Stillpoint__Worker__InspectedBody *b = served(f, &m);
    assert_int_equal(b->n_positions, 10);
    assert_false(b->truncated);
    assert_int_equal(f->engine.line, 1);
    assert_int_equal(f->engine.line_to, UINT32_MAX);
    f->engine.rows = LIMIT_PAGE_POSITIONS + 1;
    SET(v, line_from, 7);
    SET(v, line_to, 9);
    b = served(f, &m);
    assert_int_equal(b->n_positions, LIMIT_PAGE_POSITIONS);
    assert_int_equal(b->positions[0]->line, 7);
    assert_int_equal(f->engine.line_to, 9);
    assert_true(b->truncated);
    SET(v, wasm, true);
    SET(v, offset_from, 40);
    SET(v, offset_to, 50);
    served(f, &m);
    assert_int_equal(f->engine.line, 0);
    assert_int_equal(f->engine.offset, 40);
    assert_int_equal(f->engine.line_to, 50);
    SET(v, offset_to, 0);
    served(f, &m);
    assert_int_equal(f->engine.line_to, UINT32_MAX);
}

static void memory_is_read_up_to_its_end(void **state)
{
    struct fixture *f = *state;
    Stillpoint__Worker__Memory v = STILLPOINT__WORKER__MEMORY__INIT;
    Inspect m = inspect_of(INSPECT_MEMORY);
    m.memory = &v;
    f->engine.memory_bytes = LIMIT_DATA_BYTES + 100;
    SET(v, length, UINT32_MAX);
    const Stillpoint__Worker__InspectedBody *b = served(f, &m);
    assert_int_equal(b->data.len, LIMIT_DATA_BYTES);
    assert_int_equal(b->data.data[0], 0xab);
    assert_int_equal(b->memory_bytes, f->engine.memory_bytes);
    assert_int_equal(f->engine.frame, UINT32_MAX);
    SET(v, address, LIMIT_DATA_BYTES);
    SET(v, in_frame, 1);
    SET(v, frame, 2);
    b = served(f, &m);
    assert_int_equal(b->data.len, 100);
    assert_int_equal(f->engine.frame, 2);
    v.address = f->engine.memory_bytes + 1;
    refused(f, &m, WORKER_REFUSED_INVALID, "address 262245 is beyond the memory's 262244 bytes");

    uint8_t bytes[] = {1, 2, 3};
    v.address = 5;
    v.has_write = 1;
    v.write = (ProtobufCBinaryData){.data = bytes, .len = 3};
    b = served(f, &m);
    assert_false(b->has_data);
    assert_int_equal(f->engine.written_bytes, 3);
    assert_memory_equal(f->engine.written, bytes, 3);
    v.address = f->engine.memory_bytes - 2;
    refused(f, &m, WORKER_REFUSED_INVALID, "beyond");
}

static void what_cannot_be_shown_is_explained(void **state)
{
    struct fixture *f = *state;
    Inspect m = inspect_of(INSPECT_SCOPES);
    f->engine.rows = 1;
    f->engine.result = -ENOENT;
    refused(f, &m, WORKER_REFUSED_NOT_FOUND, "no such frame");
    f->engine.result = -EOPNOTSUPP;
    f->engine.kind = ENGINE_FRAME_WASM;
    refused(f, &m, WORKER_REFUSED_UNSUPPORTED,
            "was not started with --debug: its WebAssembly cannot be inspected");
    f->engine.kind = ENGINE_FRAME_HOST;
    refused(f, &m, WORKER_REFUSED_UNSUPPORTED, "function of the host");
    f->engine.result = -ENOMEM;
    refused(f, &m, WORKER_REFUSED_INTERNAL, "memory");
    Stillpoint__Worker__Variables v = STILLPOINT__WORKER__VARIABLES__INIT;
    m = inspect_of(INSPECT_VARIABLES);
    m.variables = &v;
    f->engine.result = -ENOENT;
    refused(f, &m, WORKER_REFUSED_NOT_FOUND, "end when the VM goes on");
}

static void references_end_when_the_vm_goes_on(void **state)
{
    struct fixture *f = *state;
    Inspect m = inspect_of(INSPECT_PARK);
    SHM_STORE(&f->world.word, shm_world_word(2, true));
    served(f, &m);
    safepoint_enter(&f->safepoint);
    assert_int_equal(f->engine.resumes, 0);
    m.kind = INSPECT_FRAMES;
    served(f, &m);
    served(f, &m);
    assert_int_equal(f->engine.resumes, 0);
    safepoint_enter(&f->safepoint);
    assert_int_equal(f->engine.resumes, 1);
    safepoint_poll(&f->safepoint);
    safepoint_enter(&f->safepoint);
    assert_int_equal(f->engine.resumes, 1);
}

/* ---- evaluations */

static Stillpoint__Worker__Evaluate evaluate;

static Inspect an_evaluation(struct fixture *f, uint64_t number)
{
    evaluate = (Stillpoint__Worker__Evaluate)STILLPOINT__WORKER__EVALUATE__INIT;
    evaluate.has_evaluation = 1;
    evaluate.evaluation = number;
    evaluate.expression = (char *)"a + b";
    SHM_STORE(&f->command.evaluation, number);
    Inspect m = inspect_of(INSPECT_EVALUATE);
    m.evaluate = &evaluate;
    return m;
}

static enum shm_state status_of(struct fixture *f)
{
    return shm_status_state(SHM_LOAD(&f->status.word));
}

static int sees_that_it_may_run(void *userdata)
{
    struct fixture *f = userdata;
    assert_int_equal(status_of(f), SHM_EVALUATING);
    assert_int_equal(host_ops.safe_point(&f->host), 0);
    assert_int_equal(status_of(f), SHM_EVALUATING);
    return 0;
}

static void an_evaluation_runs_while_the_daemon_names_it(void **state)
{
    struct fixture *f = *state;
    Inspect m = an_evaluation(f, 3);
    f->engine.inside = sees_that_it_may_run;
    f->engine.userdata = f;
    f->engine.json = "\"ok\"";
    SET(evaluate, frame, 2);
    const Stillpoint__Worker__InspectedBody *b = served(f, &m);
    assert_int_equal(status_of(f), SHM_PARKED);
    assert_string_equal(b->value->preview, "\"ok\"");
    assert_string_equal(b->json, "\"ok\"");
    assert_int_equal(b->value->ref, 7);
    assert_false(b->threw);
    assert_string_equal(f->engine.expression, "a + b");
    assert_int_equal(f->engine.frame, 2);
    assert_true(f->engine.with_ref);
    assert_false(f->engine.audited);

    SET(evaluate, in_realm, 1);
    SET(evaluate, realm, 6);
    SET(evaluate, audited, 1);
    served(f, &m);
    assert_int_equal(f->engine.frame, UINT32_MAX);
    assert_int_equal(f->engine.realm, 6);
    assert_true(f->engine.audited);

    SHM_STORE(&f->command.evaluation, 4);
    unsigned calls = f->engine.calls;
    refused(f, &m, WORKER_REFUSED_CANCELLED, "withdrawn");
    SHM_STORE(&f->command.evaluation, 0);
    evaluate.evaluation = 0;
    refused(f, &m, WORKER_REFUSED_CANCELLED, "withdrawn");
    assert_int_equal(f->engine.calls, calls);
    assert_int_equal(status_of(f), SHM_PARKED);
}

static int is_withdrawn(void *userdata)
{
    struct fixture *f = userdata;
    SHM_STORE(&f->command.evaluation, 0);
    assert_true(gate_is_late(&f->safepoint.gate));
    assert_int_equal(host_ops.safe_point(&f->host), ENGINE_TERMINATED);
    return -ECANCELED;
}

static void an_evaluation_ends_when_it_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    Inspect m = an_evaluation(f, 3);
    f->engine.inside = is_withdrawn;
    f->engine.userdata = f;
    refused(f, &m, WORKER_REFUSED_CANCELLED, "it took too long and was ended");
    assert_int_equal(status_of(f), SHM_PARKED);

    Stillpoint__Worker__Variables v = STILLPOINT__WORKER__VARIABLES__INIT;
    m = inspect_of(INSPECT_VARIABLES);
    m.variables = &v;
    SET(v, run_getters, 1);
    SET(v, evaluation, 5);
    unsigned calls = f->engine.calls;
    refused(f, &m, WORKER_REFUSED_CANCELLED, "withdrawn");
    assert_int_equal(f->engine.calls, calls);
    SHM_STORE(&f->command.evaluation, 5);
    refused(f, &m, WORKER_REFUSED_CANCELLED, "took too long");
    assert_true(f->engine.run_getters);
    assert_int_equal(status_of(f), SHM_PARKED);
}

static int does_what_would_wait(void *userdata)
{
    struct fixture *f = userdata;
    uint64_t mono = host_ops.now_ns(&f->host);
    assert_int_equal(host_ops.sleep_until(&f->host, mono + 1000000000u), -EWOULDBLOCK);
    assert_int_equal(host_ops.timer_start(&f->host, 1, 0, false), 0);
    int r = host_ops.write(&f->host, ENGINE_STDOUT, ENGINE_LEVEL_LOG, "hello", 5);
    /* The daemon takes the VM to be held: it has to know that this could be sent. */
    assert_true(atomic_load(&f->status.last_fact) >= f->channel.last_seq);
    return r;
}

static void what_would_wait_fails_in_an_evaluation_and_other_things_work(void **state)
{
    struct fixture *f = *state;
    Inspect m = an_evaluation(f, 3);
    f->engine.inside = does_what_would_wait;
    f->engine.userdata = f;
    assert_int_equal(inspections_push(&f->inspections, &m), 0);
    assert_int_equal(inspections_serve(&f->inspections), 0);
    assert_int_equal(f->host.timers.n_heap, 1);
    receive(f);
    assert_int_equal(f->fact.kind, FACT_CONSOLE);
    assert_memory_equal(f->fact.console.data.text, "hello\n", 6);
    answer(f);
}

static int floods(void *userdata)
{
    struct fixture *f = userdata;
    static char text[LIMIT_CONSOLE_CHUNK_BYTES];
    memset(text, 'x', sizeof text);
    int r = 0;
    for (unsigned i = 0; i < 100 && r == 0; i++)
        r = host_ops.write(&f->host, ENGINE_STDOUT, ENGINE_LEVEL_RAW, text, sizeof text);
    assert_int_equal(r, -EWOULDBLOCK);
    assert_int_equal(host_ops.post(&f->host, "1", 1), -EWOULDBLOCK);
    assert_int_equal(host_ops.import_request(&f->host, 1, "a.js"), -EWOULDBLOCK);
    return r;
}

static void an_evaluation_leaves_waits_as_it_found_them(void **state)
{
    struct fixture *f = *state;
    Inspect m = an_evaluation(f, 3);
    served(f, &m);
    assert_true(safepoint_may_wait(&f->safepoint));
    /* The VM has parked inside of a condition, say. */
    safepoint_forbid_waits(&f->safepoint, true);
    served(f, &m);
    assert_false(safepoint_may_wait(&f->safepoint));
}

static void output_of_an_evaluation_is_dropped_where_there_is_no_room(void **state)
{
    struct fixture *f = *state;
    Inspect m = an_evaluation(f, 3);
    f->engine.inside = floods;
    f->engine.userdata = f;
    assert_int_equal(inspections_push(&f->inspections, &m), 0);
    assert_int_equal(inspections_serve(&f->inspections), 0);
    unsigned chunks = 0;
    for (receive(f); f->fact.kind == FACT_CONSOLE; receive(f)) {
        chunks++;
        assert_int_equal(daemon_channel_drain(&f->channel), 0);
    }
    assert_true(chunks > 0 && chunks < 100);
    assert_int_equal(f->fact.kind, FACT_INSPECTED);
    assert_true(f->fact.inspected.body->threw);
    assert_true(safepoint_may_wait(&f->safepoint));
}

static void json_comes_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    static char json[LIMIT_VALUE_JSON_BYTES + 2];
    memset(json, '1', sizeof json - 1);
    Inspect m = an_evaluation(f, 3);
    f->engine.json = json + 1;
    assert_int_equal(strlen(served(f, &m)->json), LIMIT_VALUE_JSON_BYTES);
    f->engine.json = json;
    assert_null(served(f, &m)->json);
    f->engine.json = "\"\xff\"";
    assert_null(served(f, &m)->json);
    f->engine.json = NULL;
    assert_null(served(f, &m)->json);
}

static void an_assignment_says_why_it_cannot_be(void **state)
{
    struct fixture *f = *state;
    Stillpoint__Worker__Assign v = STILLPOINT__WORKER__ASSIGN__INIT;
    Inspect m = inspect_of(INSPECT_ASSIGN);
    m.assign = &v;
    v.name = (char *)"x";
    v.expression = (char *)"y + 1";
    SET(v, frame, 1);
    SET(v, evaluation, 8);
    SHM_STORE(&f->command.evaluation, 8);
    served(f, &m);
    assert_string_equal(f->engine.name, "x");
    assert_string_equal(f->engine.expression, "y + 1");
    f->engine.result = -EOPNOTSUPP;
    f->engine.why = "x is a constant";
    refused(f, &m, WORKER_REFUSED_UNSUPPORTED, "x is a constant");
    f->engine.result = ENGINE_EXIT;
    refused(f, &m, WORKER_REFUSED_CANCELLED, "would have ended");
    f->engine.why = NULL;
    f->engine.result = -ENOENT;
    refused(f, &m, WORKER_REFUSED_NOT_FOUND, "no such frame or variable");
    v.name = NULL;
    refused(f, &m, WORKER_REFUSED_INTERNAL, "malformed");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(a_request_is_kept_whole_until_it_is_served),
    TEST(hooks_are_set_at_once_while_a_vm_starts),
    TEST(what_nobody_serves_is_refused),
    TEST(frames_come_in_pages),
    TEST(texts_are_cut_between_characters_and_made_one_line),
    TEST(pages_of_sources_end_where_an_answer_is_full),
    TEST(text_of_a_source_is_bounded),
    TEST(a_position_is_told_once),
    TEST(memory_is_read_up_to_its_end),
    TEST(what_cannot_be_shown_is_explained),
    TEST(references_end_when_the_vm_goes_on),
    TEST(an_evaluation_runs_while_the_daemon_names_it),
    TEST(an_evaluation_ends_when_it_is_withdrawn),
    TEST(what_would_wait_fails_in_an_evaluation_and_other_things_work),
    TEST(an_evaluation_leaves_waits_as_it_found_them),
    TEST(output_of_an_evaluation_is_dropped_where_there_is_no_room),
    TEST(json_comes_whole_or_not_at_all),
    TEST(an_assignment_says_why_it_cannot_be),
};

UNIT_MAIN(tests)

/* Hooks, auditors and hits through libstillpoint, of a daemon that answers what each test wants, in
 * a thread. */
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
    fake_fn handler;
    struct stillpoint *sp;
    char asked[512]; /* what the last request said */
    int pages;
    uint64_t waiting; /* the request that is not answered yet */
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
    assert_int_equal(stillpoint_connect_fd(ours, "test 1", &p->sp), 0);
}

static void stop(struct peer *p)
{
    p->sp = stillpoint_free(p->sp);
    pthread_join(p->thread, NULL);
}

/* ---- hooks */

static void describe(char *text, size_t size, const Stillpoint__Api__AddHooks *a)
{
    size_t at = (size_t)snprintf(
        text, size, "%s vm=%s sel=%s world=%s kinds=", a->debugger ? a->debugger : "-",
        a->vm ? a->vm : "-", a->selector ? a->selector : "-", a->world ? a->world : "-");
    for (size_t i = 0; i < a->n_kinds; i++)
        at += (size_t)snprintf(text + at, size - at, "%d,", a->kinds[i]);
    at += (size_t)snprintf(text + at, size - at, " f=%s:%s:%u-%u:%s:%d:%d",
                           a->filter->url ? a->filter->url : "-",
                           a->filter->function ? a->filter->function : "-", a->filter->line_from,
                           a->filter->line_to, a->filter->condition ? a->filter->condition : "-",
                           (int)a->filter->skip, (int)a->filter->count);
    at +=
        (size_t)snprintf(text + at, size - at, " b=%d:%u c=%u:%d:%d:%zu", a->budget->has_per_second,
                         a->budget->per_second, a->capture->stack_depth, a->capture->arguments,
                         a->capture->value, a->capture->n_expressions);
    at += (size_t)snprintf(text + at, size - at, " s=%d:%d g=%d w=%d r=%d o=%d:%u", a->has_suspend,
                           a->suspend, a->has_granularity, a->weak, (int)a->realm, a->one_frame,
                           a->frame);
    if (a->at)
        at += (size_t)snprintf(text + at, size - at, " at=%s:%d:%u:%u:%d", a->at->url,
                               a->at->has_line, a->at->line, a->at->column, a->at->has_offset);
    snprintf(text + at, size - at, " %s", a->log ? a->log : "-");
}

static void send_hooks(struct fake *fake, const fake_envelope *request, uint64_t first,
                       uint64_t next)
{
    Stillpoint__Api__HookList list = STILLPOINT__API__HOOK_LIST__INIT;
    Stillpoint__Api__Hook hook[2], *hooks[] = {&hook[0], &hook[1]};
    Stillpoint__Api__BreakpointAt at = STILLPOINT__API__BREAKPOINT_AT__INIT;
    Stillpoint__Api__BoundAt bound[2], *bounds[] = {&bound[0], &bound[1]};
    Stillpoint__Api__HookFilter filter = STILLPOINT__API__HOOK_FILTER__INIT;
    fake_envelope e = FAKE_BODY(HOOK_LIST, hook_list, &list);
    for (unsigned i = 0; i < 2; i++) {
        stillpoint__api__hook__init(&hook[i]);
        stillpoint__api__bound_at__init(&bound[i]);
        SET(hook[i], hook, first + i);
        hook[i].debugger_name = TEXT("cli:1000");
        hook[i].target = TEXT("vm app");
        SET(bound[i], vm, 7 + i);
    }
    SET(hook[0], kind, STILLPOINT__API__HOOK_KIND__HOOK_BREAKPOINT);
    SET(hook[0], suspend, STILLPOINT__API__SUSPEND__SUSPEND_WORLD);
    SET(hook[0], hits, 12);
    SET(hook[0], spent, 1);
    at.url = TEXT("app.js");
    SET(at, line, 3);
    hook[0].at = &at;
    SET(bound[0], line, 4);
    bound[0].url = TEXT("/x/app.js");
    SET(bound[1], pending, 1);
    hook[0].bound = bounds;
    hook[0].n_bound = 2;
    filter.condition = TEXT("i > 3");
    hook[0].filter = &filter;
    list.hooks = hooks;
    list.n_hooks = 2;
    SET(list, next_page_token, next);
    fake_send(fake, request, &e);
}

static bool hooks_of(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    switch (request->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_ADD_HOOKS:
        describe(p->asked, sizeof p->asked, request->add_hooks);
        send_hooks(fake, request, 5, 0);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_REMOVE_HOOKS:
        snprintf(p->asked, sizeof p->asked, "%zu %s", request->remove_hooks->n_hooks,
                 request->remove_hooks->debugger ? request->remove_hooks->debugger : "-");
        send_hooks(fake, request, 5, 0);
        return true;
    case STILLPOINT__API__ENVELOPE__BODY_LIST_HOOKS:
        snprintf(p->asked, sizeof p->asked, "%s %s %d %d",
                 request->list_hooks->debugger ? request->list_hooks->debugger : "-",
                 request->list_hooks->vm ? request->list_hooks->vm : "-",
                 request->list_hooks->has_hook, (int)request->list_hooks->page_token);
        send_hooks(fake, request, 5 + 2 * (uint64_t)p->pages, p->pages < 2 ? 9 : 0);
        p->pages++;
        return true;
    default:
        return fake_hello(fake, request);
    }
}

static void an_interest_says_what_where_and_how_much(void **state)
{
    static const enum stillpoint_hook_kind kinds[] = {STILLPOINT_HOOK_STEP, STILLPOINT_HOOK_POP};
    static const char *const expressions[] = {"a", "b.c"};
    const struct stillpoint_interest interest = {
        .vm = "app",
        .kinds = kinds,
        .n_kinds = 2,
        .filter = {.url = "*.js", .line_from = 3, .line_to = 9, .condition = "x", .skip = 1},
        .budget = {.has_per_second = true},
        .capture = {.stack_depth = 4,
                    .no_value = true,
                    .expressions = expressions,
                    .n_expressions = 2},
        .one_frame = true,
        .frame = 2,
        .realm = 6,
    };
    struct peer p;
    struct stillpoint_hooks hooks;
    (void)state;
    start(&p, hooks_of);
    assert_int_equal(stillpoint_hook_add(p.sp, &interest, &hooks), 0);
    assert_string_equal(p.asked, "- vm=app sel=- world=- kinds=9,8, f=*.js:-:3-9:x:1:0 b=1:0 "
                                 "c=4:0:0:2 s=0:1 g=0 w=0 r=6 o=1:2 -");
    assert_int_equal(hooks.n, 2);
    const struct stillpoint_hook *h = &hooks.items[0];
    assert_int_equal(h->id, 5);
    assert_string_equal(stillpoint_hook_kind_text(h->kind), "breakpoint");
    assert_string_equal(h->debugger_name, "cli:1000");
    assert_string_equal(h->target, "vm app");
    assert_string_equal(h->at->url, "app.js");
    assert_int_equal(h->at->line, 3);
    assert_string_equal(h->filter.condition, "i > 3");
    assert_null(h->filter.url);
    assert_null(h->log);
    assert_int_equal(h->suspend, STILLPOINT_SUSPEND_WORLD);
    assert_int_equal(h->n_bound, 2);
    assert_int_equal(h->bound[0].line, 4);
    assert_false(h->bound[0].pending);
    assert_true(h->bound[1].pending);
    assert_true(h->spent);
    assert_null(hooks.items[1].at);
    assert_int_equal(hooks.items[1].suspend, STILLPOINT_SUSPEND_NONE);
    stillpoint_hooks_free(&hooks);
    stop(&p);
}

static void a_breakpoint_is_at_a_line_or_at_an_offset(void **state)
{
    static const enum stillpoint_hook_kind kinds[] = {STILLPOINT_HOOK_BREAKPOINT};
    struct stillpoint_position at = {.url = "app.js", .line = 12, .column = 3};
    struct stillpoint_interest interest = {.debugger = "ide",
                                           .selector = "web-*",
                                           .world = "blue",
                                           .kinds = kinds,
                                           .n_kinds = 1,
                                           .at = &at,
                                           .suspend = STILLPOINT_SUSPEND_VM,
                                           .log = "x is {x}"};
    struct peer p;
    struct stillpoint_hooks hooks;
    (void)state;
    start(&p, hooks_of);
    assert_int_equal(stillpoint_hook_add(p.sp, &interest, &hooks), 0);
    assert_string_equal(p.asked, "ide vm=- sel=web-* world=blue kinds=10, f=-:-:0-0:-:0:0 b=0:0 "
                                 "c=0:0:1:0 s=1:2 g=0 w=0 r=0 o=0:0 at=app.js:1:12:3:0 x is {x}");
    stillpoint_hooks_free(&hooks);
    at.has_offset = true;
    assert_int_equal(stillpoint_hook_add(p.sp, &interest, &hooks), 0);
    assert_non_null(strstr(p.asked, "at=app.js:0:0:0:1"));
    stillpoint_hooks_free(&hooks);
    interest.n_kinds = STILLPOINT_HOOK_KINDS + 1;
    assert_int_equal(stillpoint_hook_add(p.sp, &interest, &hooks), -EINVAL);
    stop(&p);
}

static void hooks_come_in_pages_and_are_removed_by_number_or_owner(void **state)
{
    static const uint64_t numbers[] = {5, 6};
    struct peer p;
    struct stillpoint_hooks hooks;
    (void)state;
    start(&p, hooks_of);
    const struct stillpoint_hook_query query = {.debugger = "ide", .vm = "app"};
    assert_int_equal(stillpoint_hook_list(p.sp, &query, &hooks), 0);
    assert_int_equal(hooks.n, 6);
    assert_int_equal(hooks.items[5].id, 10);
    assert_string_equal(p.asked, "ide app 0 9");
    stillpoint_hooks_free(&hooks);
    assert_int_equal(stillpoint_hook_remove(p.sp, numbers, 2, NULL, &hooks), 0);
    assert_string_equal(p.asked, "2 -");
    stillpoint_hooks_free(&hooks);
    assert_int_equal(stillpoint_hook_remove(p.sp, NULL, 0, "ide", &hooks), 0);
    assert_string_equal(p.asked, "0 ide");
    stillpoint_hooks_free(&hooks);
    stop(&p);
}

/* ---- auditors */

static bool auditors_of(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__AuditorList list = STILLPOINT__API__AUDITOR_LIST__INIT;
    Stillpoint__Api__Auditor auditor = STILLPOINT__API__AUDITOR__INIT, *auditors = &auditor;
    Stillpoint__Api__AuditorServes serve = STILLPOINT__API__AUDITOR_SERVES__INIT, *serves = &serve;
    fake_envelope e = FAKE_BODY(AUDITOR_LIST, auditor_list, &list);
    if (fake_hello(fake, request))
        return true;
    SET(auditor, vm, 7);
    SET(auditor, referent, STILLPOINT__API__REFERENT_KIND__REFERENT_REALM);
    SET(auditor, referent_id, 2);
    SET(auditor, kind, STILLPOINT__API__HOOK_KIND__HOOK_ENTER_FRAME);
    SET(auditor, armed, 0);
    SET(serve, debugger, 4);
    SET(serve, hits, 99);
    serve.name = TEXT("ide");
    auditor.serves = &serves;
    auditor.n_serves = 1;
    list.auditors = &auditors;
    list.n_auditors = 1;
    fake_send(fake, request, &e);
    return true;
}

static void an_auditor_says_whom_it_serves(void **state)
{
    struct peer p;
    struct stillpoint_auditors auditors;
    (void)state;
    start(&p, auditors_of);
    assert_int_equal(stillpoint_auditor_list(p.sp, NULL, &auditors), 0);
    stop(&p);
    assert_int_equal(auditors.n, 1);
    const struct stillpoint_auditor *a = &auditors.items[0];
    assert_string_equal(stillpoint_referent_kind_text(a->referent), "realm");
    assert_string_equal(stillpoint_hook_kind_text(a->kind), "enter-frame");
    assert_false(a->armed);
    assert_string_equal(a->label, "");
    assert_int_equal(a->n_serves, 1);
    assert_string_equal(a->serves[0].name, "ide");
    assert_int_equal(a->serves[0].hits, 99);
    stillpoint_auditors_free(&auditors);
}

/* ---- hits */

static void send_page(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__HitPage page = STILLPOINT__API__HIT_PAGE__INIT;
    Stillpoint__Api__Hit hit[2], *hits[] = {&hit[0], &hit[1]};
    Stillpoint__Api__Location location = STILLPOINT__API__LOCATION__INIT;
    Stillpoint__Api__Value value = STILLPOINT__API__VALUE__INIT;
    Stillpoint__Api__NamedValue named = STILLPOINT__API__NAMED_VALUE__INIT, *arguments = &named;
    fake_envelope e = FAKE_BODY(HIT_PAGE, hit_page, &page);
    stillpoint__api__hit__init(&hit[0]);
    stillpoint__api__hit__init(&hit[1]);
    SET(hit[0], dropped, 3);
    SET(hit[0], before_seq, 4);
    SET(hit[1], seq, 4);
    SET(hit[1], kind, STILLPOINT__API__HOOK_KIND__HOOK_POP);
    location.url = TEXT("app.js");
    SET(location, line, 9);
    hit[1].location = &location;
    SET(value, type, STILLPOINT__API__VALUE_TYPE__VALUE_NUMBER);
    value.preview = TEXT("42");
    hit[1].value = &value;
    named.name = TEXT("x");
    hit[1].arguments = &arguments;
    hit[1].n_arguments = 1;
    hit[1].completion = TEXT("return");
    page.hits = hits;
    page.n_hits = 2;
    SET(page, next_seq, 5);
    fake_send(fake, request, &e);
}

/* One that waits is answered with the next request. */
static bool hits_of(struct fake *fake, const fake_envelope *request)
{
    struct peer *p = fake->data;
    if (fake_hello(fake, request))
        return true;
    if (request->body_case == STILLPOINT__API__ENVELOPE__BODY_READ_HITS &&
        request->read_hits->wait) {
        p->waiting = request->request_id;
        return true;
    }
    if (request->body_case == STILLPOINT__API__ENVELOPE__BODY_READ_HITS)
        snprintf(p->asked, sizeof p->asked, "%s %d %u %d", request->read_hits->debugger,
                 (int)request->read_hits->from_seq, request->read_hits->max_hits,
                 request->read_hits->from_now);
    if (p->waiting != 0) {
        fake_envelope waiting = STILLPOINT__API__ENVELOPE__INIT;
        waiting.request_id = p->waiting;
        p->waiting = 0;
        send_page(fake, &waiting);
    }
    send_page(fake, request);
    return true;
}

static void check_page(const struct stillpoint_hits *hits)
{
    assert_int_equal(hits->n, 2);
    assert_int_equal(hits->next_seq, 5);
    assert_int_equal(hits->items[0].dropped, 3);
    assert_int_equal(hits->items[0].before_seq, 4);
    const struct stillpoint_hit *h = &hits->items[1];
    assert_string_equal(stillpoint_hook_kind_text(h->kind), "pop");
    assert_string_equal(h->location->url, "app.js");
    assert_string_equal(h->location->function, "");
    assert_string_equal(h->value->preview, "42");
    assert_string_equal(stillpoint_value_type_text(h->value->type), "number");
    assert_string_equal(h->completion, "return");
    assert_int_equal(h->n_arguments, 1);
    assert_string_equal(stillpoint_value_type_text(h->arguments[0].value.type), "unavailable");
    assert_null(h->paused);
}

static void hits_are_read_from_a_cursor(void **state)
{
    struct peer p;
    struct stillpoint_hits hits;
    char expected[64];
    (void)state;
    start(&p, hits_of);
    struct stillpoint_hits_query query = {.debugger = "ide", .from_seq = 3, .max_hits = 10};
    assert_int_equal(stillpoint_hits_read(p.sp, &query, &hits), 0);
    assert_string_equal(p.asked, "ide 3 10 0");
    check_page(&hits);
    stillpoint_hits_free(&hits);
    query = (struct stillpoint_hits_query){.from_now = true};
    assert_int_equal(stillpoint_hits_read(p.sp, &query, &hits), 0);
    snprintf(expected, sizeof expected, "cli:%u 0 0 1", stillpoint_peer(p.sp)->uid);
    assert_string_equal(p.asked, expected);
    stillpoint_hits_free(&hits);
    stop(&p);
}

static void page_arrived(struct stillpoint *sp, int r, const struct stillpoint_hits *hits,
                         void *data)
{
    int *pages = data;
    (void)sp;
    if (r == 0)
        check_page(hits);
    else
        assert_null(hits);
    *pages += r == 0 ? 1 : 100;
}

static void a_page_that_is_waited_for_comes_while_others_are_read(void **state)
{
    struct peer p;
    struct stillpoint_hits hits;
    const struct stillpoint_hits_query wait = {.debugger = "ide", .wait = true};
    const struct stillpoint_hits_query now = {.debugger = "ide"};
    int pages = 0;
    (void)state;
    start(&p, hits_of);
    assert_int_equal(stillpoint_hits_read_async(p.sp, &wait, page_arrived, &pages), 0);
    assert_int_equal(stillpoint_hits_read(p.sp, &now, &hits), 0);
    stillpoint_hits_free(&hits);
    assert_int_equal(pages, 1);
    assert_int_equal(stillpoint_hits_read_async(p.sp, &wait, page_arrived, &pages), 0);
    stop(&p); /* it ends with the connection */
    assert_int_equal(pages, 101);
}

static bool refuses(struct fake *fake, const fake_envelope *request)
{
    if (fake_hello(fake, request))
        return true;
    fake_send_error(fake, request, STILLPOINT__API__ERROR_CODE__ERROR_NOT_FOUND, "no such debugger",
                    NULL);
    return true;
}

static void a_refusal_leaves_results_as_they_are(void **state)
{
    struct peer p;
    struct stillpoint_hits hits = {.n = 77};
    struct stillpoint_hooks hooks = {.n = 77};
    struct stillpoint_auditors auditors = {.n = 77};
    const struct stillpoint_hits_query query = {.debugger = "ide"};
    (void)state;
    start(&p, refuses);
    assert_int_equal(stillpoint_hits_read(p.sp, &query, &hits), STILLPOINT_REFUSED);
    assert_int_equal(stillpoint_error(p.sp)->code, STILLPOINT_ERROR_NOT_FOUND);
    assert_int_equal(stillpoint_hook_list(p.sp, &(struct stillpoint_hook_query){0}, &hooks),
                     STILLPOINT_REFUSED);
    assert_int_equal(stillpoint_auditor_list(p.sp, "app", &auditors), STILLPOINT_REFUSED);
    assert_int_equal(hits.n + hooks.n + auditors.n, 3 * 77);
    stop(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_interest_says_what_where_and_how_much),
    cmocka_unit_test(a_breakpoint_is_at_a_line_or_at_an_offset),
    cmocka_unit_test(hooks_come_in_pages_and_are_removed_by_number_or_owner),
    cmocka_unit_test(an_auditor_says_whom_it_serves),
    cmocka_unit_test(hits_are_read_from_a_cursor),
    cmocka_unit_test(a_page_that_is_waited_for_comes_while_others_are_read),
    cmocka_unit_test(a_refusal_leaves_results_as_they_are),
};

UNIT_MAIN(tests)

/* Hooks, the auditors that serve them, and what those saw. */
#include <stdio.h>

#include "client/call.h"

/* ---- setting and clearing */

static void fill_filter(Stillpoint__Api__HookFilter *m, const struct stillpoint_hook_filter *f)
{
    m->url = conn_text(f->url);
    m->function = conn_text(f->function);
    m->condition = conn_text(f->condition);
    CONN_SET(*m, line_from, f->line_from);
    if (f->wasm)
        CONN_SET(*m, wasm, 1);
    if (f->thrown)
        CONN_SET(*m, thrown, 1);
    CONN_SET(*m, line_to, f->line_to);
    CONN_SET(*m, skip, f->skip);
    CONN_SET(*m, count, f->count);
}

static void fill_budget(Stillpoint__Api__HookBudget *m, const struct stillpoint_hook_budget *b)
{
    if (b->has_per_second)
        CONN_SET(*m, per_second, b->per_second);
    CONN_SET(*m, total, b->total);
    CONN_SET(*m, capture_us, b->capture_us);
    CONN_SET(*m, capture_bytes, b->capture_bytes);
}

static void fill_capture(Stillpoint__Api__HookCapture *m, const struct stillpoint_hook_capture *c)
{
    CONN_SET(*m, stack_depth, c->stack_depth);
    CONN_SET(*m, arguments, c->arguments);
    CONN_SET(*m, value, !c->no_value);
    m->expressions = (char **)(uintptr_t)c->expressions;
    m->n_expressions = c->n_expressions;
}

static void fill_where(Stillpoint__Api__AddHooks *m, const struct stillpoint_interest *i)
{
    m->debugger = conn_text(i->debugger);
    m->vm = conn_text(i->vm);
    m->selector = conn_text(i->selector);
    m->world = conn_text(i->world);
    m->engine = conn_text(i->engine);
    m->log = conn_text(i->log);
    m->note = conn_text(i->note);
    CONN_SET(*m, realm, i->realm);
    CONN_SET(*m, wait_us, i->wait_us);
    CONN_SET(*m, deadline_us, i->deadline_us);
    CONN_SET(*m, weak, i->weak);
    if (i->one_frame) {
        CONN_SET(*m, one_frame, true);
        CONN_SET(*m, frame, i->frame);
    }
    /* Absent rather than a default, which depends on the kind. */
    if (i->suspend != 0)
        CONN_SET(*m, suspend, (Stillpoint__Api__Suspend)i->suspend);
    if (i->granularity != 0)
        CONN_SET(*m, granularity, (Stillpoint__Api__Granularity)i->granularity);
}

static int call_for_hooks(struct stillpoint *sp, conn_envelope *e, struct stillpoint_hooks *hooks,
                          uint64_t *ret_token)
{
    _cleanup_envelope_ conn_envelope *reply = NULL;
    int r = conn_call(sp, e, -1, STILLPOINT__API__ENVELOPE__BODY_HOOK_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__HookList *list = reply->hook_list;
    *ret_token = list->next_page_token;
    for (size_t i = 0; i < list->n_hooks && r == 0; i++)
        r = decode_append_hook(list->hooks[i], hooks);
    return r;
}

/* One request whose reply is all there is. */
static int call_for_all_hooks(struct stillpoint *sp, conn_envelope *e,
                              struct stillpoint_hooks *ret_hooks)
{
    struct stillpoint_hooks hooks = {.memory = memory_new()};
    uint64_t token;
    int r = hooks.memory ? call_for_hooks(sp, e, &hooks, &token) : -ENOMEM;
    if (r == 0)
        *ret_hooks = hooks;
    else
        stillpoint_hooks_free(&hooks);
    return r;
}

int stillpoint_hook_add(struct stillpoint *sp, const struct stillpoint_interest *interest,
                        struct stillpoint_hooks *ret_hooks)
{
    Stillpoint__Api__AddHooks m = STILLPOINT__API__ADD_HOOKS__INIT;
    Stillpoint__Api__HookFilter filter = STILLPOINT__API__HOOK_FILTER__INIT;
    Stillpoint__Api__HookBudget budget = STILLPOINT__API__HOOK_BUDGET__INIT;
    Stillpoint__Api__HookCapture capture = STILLPOINT__API__HOOK_CAPTURE__INIT;
    Stillpoint__Api__BreakpointAt at;
    Stillpoint__Api__HookKind kinds[STILLPOINT_HOOK_KINDS];
    conn_envelope e = CONN_ENVELOPE(ADD_HOOKS, add_hooks, &m);
    if (interest->n_kinds > STILLPOINT_HOOK_KINDS)
        return -EINVAL;
    fill_where(&m, interest);
    fill_filter(&filter, &interest->filter);
    fill_budget(&budget, &interest->budget);
    fill_capture(&capture, &interest->capture);
    for (size_t i = 0; i < interest->n_kinds; i++)
        kinds[i] = (Stillpoint__Api__HookKind)interest->kinds[i];
    m.kinds = kinds;
    m.n_kinds = interest->n_kinds;
    m.filter = &filter;
    m.budget = &budget;
    m.capture = &capture;
    if (interest->at) {
        call_position(&at, interest->at);
        m.at = &at;
    }
    return call_for_all_hooks(sp, &e, ret_hooks);
}

int stillpoint_hook_remove(struct stillpoint *sp, const uint64_t *hooks, size_t n,
                           const char *debugger, struct stillpoint_hooks *ret_hooks)
{
    Stillpoint__Api__RemoveHooks m = STILLPOINT__API__REMOVE_HOOKS__INIT;
    conn_envelope e = CONN_ENVELOPE(REMOVE_HOOKS, remove_hooks, &m);
    m.hooks = (uint64_t *)(uintptr_t)hooks;
    m.n_hooks = n;
    m.debugger = conn_text(debugger);
    return call_for_all_hooks(sp, &e, ret_hooks);
}

void *stillpoint_hooks_free(struct stillpoint_hooks *hooks)
{
    if (hooks) {
        free(hooks->items);
        memory_free(hooks->memory);
        *hooks = (struct stillpoint_hooks){0};
    }
    return NULL;
}

/* ---- lists, which come in pages */

static int hook_list_page(struct stillpoint *sp, const struct stillpoint_hook_query *query,
                          uint64_t *token, struct stillpoint_hooks *hooks)
{
    Stillpoint__Api__ListHooks m = STILLPOINT__API__LIST_HOOKS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_HOOKS, list_hooks, &m);
    m.debugger = conn_text(query->debugger);
    m.vm = conn_text(query->vm);
    if (query->hook != 0)
        CONN_SET(m, hook, query->hook);
    CONN_SET(m, page_size, LIMIT_PAGE_ITEMS);
    CONN_SET(m, page_token, *token);
    return call_for_hooks(sp, &e, hooks, token);
}

int stillpoint_hook_list(struct stillpoint *sp, const struct stillpoint_hook_query *query,
                         struct stillpoint_hooks *ret_hooks)
{
    struct stillpoint_hooks hooks = {.memory = memory_new()};
    uint64_t token = 0;
    int r = hooks.memory ? 0 : -ENOMEM, pages = 0;
    do {
        if (r == 0)
            r = pages++ < CALL_PAGES_MAX ? hook_list_page(sp, query, &token, &hooks) : -EPROTO;
    } while (r == 0 && token != 0);
    if (r == 0)
        *ret_hooks = hooks;
    else
        stillpoint_hooks_free(&hooks);
    return r;
}

static int auditor_list_page(struct stillpoint *sp, const char *vm, uint64_t *token,
                             struct stillpoint_auditors *auditors)
{
    Stillpoint__Api__ListAuditors m = STILLPOINT__API__LIST_AUDITORS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_AUDITORS, list_auditors, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    m.vm = conn_text(vm);
    CONN_SET(m, page_size, LIMIT_PAGE_ITEMS);
    CONN_SET(m, page_token, *token);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_AUDITOR_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__AuditorList *list = reply->auditor_list;
    *token = list->next_page_token;
    for (size_t i = 0; i < list->n_auditors && r == 0; i++)
        r = decode_append_auditor(list->auditors[i], auditors);
    return r;
}

int stillpoint_auditor_list(struct stillpoint *sp, const char *vm,
                            struct stillpoint_auditors *ret_auditors)
{
    struct stillpoint_auditors auditors = {.memory = memory_new()};
    uint64_t token = 0;
    int r = auditors.memory ? 0 : -ENOMEM, pages = 0;
    do {
        if (r == 0)
            r = pages++ < CALL_PAGES_MAX ? auditor_list_page(sp, vm, &token, &auditors) : -EPROTO;
    } while (r == 0 && token != 0);
    if (r == 0)
        *ret_auditors = auditors;
    else
        stillpoint_auditors_free(&auditors);
    return r;
}

void *stillpoint_auditors_free(struct stillpoint_auditors *auditors)
{
    if (auditors) {
        free(auditors->items);
        memory_free(auditors->memory);
        *auditors = (struct stillpoint_auditors){0};
    }
    return NULL;
}

/* ---- hits */

static void fill_read(Stillpoint__Api__ReadHits *m, char own[32], struct stillpoint *sp,
                      const struct stillpoint_hits_query *query)
{
    snprintf(own, 32, "cli:%u", stillpoint_peer(sp)->uid);
    m->debugger = conn_text(query->debugger ? query->debugger : own);
    CONN_SET(*m, from_seq, query->from_seq);
    CONN_SET(*m, max_hits, query->max_hits);
    CONN_SET(*m, wait, query->wait);
    CONN_SET(*m, from_now, query->from_now);
}

static int decode_page(const Stillpoint__Api__HitPage *page, struct stillpoint_hits *ret_hits)
{
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    struct stillpoint_hits hits;
    if (!memory)
        return -ENOMEM;
    decode_hits(memory, page, &hits);
    if (memory_failed(memory))
        return -ENOMEM;
    hits.memory = TAKE_PTR(memory);
    *ret_hits = hits;
    return 0;
}

int stillpoint_hits_read(struct stillpoint *sp, const struct stillpoint_hits_query *query,
                         struct stillpoint_hits *ret_hits)
{
    Stillpoint__Api__ReadHits m = STILLPOINT__API__READ_HITS__INIT;
    conn_envelope e = CONN_ENVELOPE(READ_HITS, read_hits, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    char own[32];
    fill_read(&m, own, sp, query);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_HIT_PAGE, &reply);
    return r != 0 ? r : decode_page(reply->hit_page, ret_hits);
}

struct hits_waiter {
    stillpoint_hits_fn done;
    void *data;
};

static void hits_arrived(struct stillpoint *sp, int r, conn_envelope **reply, int *fd, void *data)
{
    struct hits_waiter waiter = *(struct hits_waiter *)data;
    struct stillpoint_hits hits = {0};
    (void)fd;
    free(data);
    if (r == 0)
        r = decode_page((*reply)->hit_page, &hits);
    waiter.done(sp, r, r == 0 ? &hits : NULL, waiter.data);
    stillpoint_hits_free(&hits);
}

int stillpoint_hits_read_async(struct stillpoint *sp, const struct stillpoint_hits_query *query,
                               stillpoint_hits_fn done, void *data)
{
    Stillpoint__Api__ReadHits m = STILLPOINT__API__READ_HITS__INIT;
    conn_envelope e = CONN_ENVELOPE(READ_HITS, read_hits, &m);
    struct hits_waiter *waiter = malloc(sizeof *waiter);
    char own[32];
    if (!waiter)
        return -ENOMEM;
    *waiter = (struct hits_waiter){done, data};
    fill_read(&m, own, sp, query);
    int r = conn_send(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_HIT_PAGE, hits_arrived, waiter);
    if (r < 0)
        free(waiter);
    return r;
}

void *stillpoint_hits_free(struct stillpoint_hits *hits)
{
    CALL_FREE(hits);
}

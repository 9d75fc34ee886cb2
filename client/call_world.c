/* Requests about worlds. */
#include "client/call.h"

/* ---- the list, which comes in pages */

/* Replaces *token (a heap text) by the next page's, NULL after the last. */
static int world_list_page(struct stillpoint *sp, char **token, struct stillpoint_worlds *worlds)
{
    Stillpoint__Api__ListWorlds m = STILLPOINT__API__LIST_WORLDS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_WORLDS, list_worlds, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    CONN_SET(m, page_size, LIMIT_PAGE_ITEMS);
    m.page_token = *token;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_WORLD_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__WorldList *list = reply->world_list;
    free(*token);
    *token = NULL;
    if (list->next_page_token && list->next_page_token[0] &&
        !(*token = strdup(list->next_page_token)))
        return -ENOMEM;
    for (size_t i = 0; i < list->n_worlds && r == 0; i++)
        r = decode_append_world(list->worlds[i], worlds);
    return r;
}

int stillpoint_world_list(struct stillpoint *sp, struct stillpoint_worlds *ret_worlds)
{
    struct stillpoint_worlds worlds = {.memory = memory_new()};
    _cleanup_free_ char *token = NULL;
    int r = worlds.memory ? 0 : -ENOMEM, pages = 0;
    do {
        if (r == 0)
            r = pages++ < CALL_PAGES_MAX ? world_list_page(sp, &token, &worlds) : -EPROTO;
    } while (r == 0 && token);
    if (r == 0)
        *ret_worlds = worlds;
    else
        stillpoint_worlds_free(&worlds);
    return r;
}

/* ---- one world */

int stillpoint_world_get(struct stillpoint *sp, const char *world,
                         struct stillpoint_worlds *ret_worlds)
{
    Stillpoint__Api__GetWorld m = STILLPOINT__API__GET_WORLD__INIT;
    conn_envelope e = CONN_ENVELOPE(GET_WORLD, get_world, &m);
    m.world = conn_text(world);
    return call_for_world(sp, &e, ret_worlds);
}

int stillpoint_world_stop(struct stillpoint *sp, const struct stillpoint_stop *stop,
                          struct stillpoint_stop_report *ret_report)
{
    Stillpoint__Api__StopWorld m = STILLPOINT__API__STOP_WORLD__INIT;
    conn_envelope e = CONN_ENVELOPE(STOP_WORLD, stop_world, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.world = conn_text(stop->world);
    CONN_SET(m, deadline_us, stop->deadline_us);
    CONN_SET(m, wait_us, stop->wait_us);
    CONN_SET(m, hold_us, stop->hold_us);
    CONN_SET(m, enforce, stop->enforce);
    CONN_SET(m, require_idle, stop->require_idle);
    CONN_SET(m, kill_late, stop->kill_late);
    m.debugger = conn_text(stop->debugger);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_STOP_REPORT, &reply);
    if (r != 0)
        return r;
    struct stillpoint_stop_report report;
    decode_stop_report(memory, reply->stop_report, &report);
    if (memory_failed(memory))
        return -ENOMEM;
    report.memory = TAKE_PTR(memory);
    *ret_report = report;
    return 0;
}

int stillpoint_world_resume(struct stillpoint *sp, const char *world,
                            struct stillpoint_resumption *ret_resumption)
{
    Stillpoint__Api__ResumeWorld m = STILLPOINT__API__RESUME_WORLD__INIT;
    conn_envelope e = CONN_ENVELOPE(RESUME_WORLD, resume_world, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.world = conn_text(world);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_RESUME_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__ResumeReply *reply_r = reply->resume_reply;
    struct stillpoint_resumption resumption = {
        .world = memory_text(memory, reply_r->world),
        .mode = reply_r->has_mode ? (enum stillpoint_world_mode)reply_r->mode : 0,
        .ticket = reply_r->ticket,
        .next_ticket = reply_r->next_ticket,
        .held_us = reply_r->held_us,
        .dispatched_mono_ns = reply_r->dispatched_mono_ns,
        .runnable_mono_ns = reply_r->runnable_mono_ns,
    };
    if (memory_failed(memory))
        return -ENOMEM;
    resumption.memory = TAKE_PTR(memory);
    *ret_resumption = resumption;
    return 0;
}

/* ---- freeing */

void *stillpoint_stop_report_free(struct stillpoint_stop_report *report)
{
    CALL_FREE(report);
}

void *stillpoint_resumption_free(struct stillpoint_resumption *resumption)
{
    CALL_FREE(resumption);
}

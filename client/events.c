#include "client/events.h"

#include "client/decode.h"
#include "proto/limits.h"

static void deliver_event(struct stillpoint *sp, const Stillpoint__Api__Event *e)
{
    const struct stillpoint_handlers *h = conn_handlers(sp);
    struct stillpoint_memory *m = h->event ? memory_new() : NULL;
    struct stillpoint_event event;
    if (!m)
        return;
    decode_event(m, e, &event);
    h->event(sp, &event, h->data);
    memory_free(m);
}

static void deliver_console(struct stillpoint *sp, const Stillpoint__Api__ConsoleWritten *c)
{
    const struct stillpoint_handlers *h = conn_handlers(sp);
    enum stillpoint_stream stream =
        c->has_stream ? (enum stillpoint_stream)c->stream : STILLPOINT_STDOUT;
    if (h->console)
        h->console(sp, c->vm, stream, c->data.data, c->data.len, h->data);
}

static void deliver_import(struct stillpoint *sp, const Stillpoint__Api__ImportRequested *i)
{
    const struct stillpoint_handlers *h = conn_handlers(sp);
    if (h->import)
        h->import(sp, i->vm, i->import_id, i->path ? i->path : "", h->data);
    else
        stillpoint_answer_import_post(sp, i->vm, i->import_id, -1,
                                      "this client answers no imports");
}

static void deliver_input(struct stillpoint *sp, const Stillpoint__Api__StdinRequested *s)
{
    const struct stillpoint_handlers *h = conn_handlers(sp);
    size_t max = s->has_max_bytes && s->max_bytes < LIMIT_STDIN_CHUNK_BYTES
                     ? s->max_bytes
                     : LIMIT_STDIN_CHUNK_BYTES;
    if (h->input && max > 0)
        h->input(sp, s->vm, max, h->data);
    else
        stillpoint_answer_stdin_post(sp, s->vm, NULL, 0);
}

static void deliver_ended(struct stillpoint *sp, const Stillpoint__Api__VmEnded *v)
{
    const struct stillpoint_handlers *h = conn_handlers(sp);
    struct stillpoint_memory *m = h->ended ? memory_new() : NULL;
    struct stillpoint_exit exit = {.reason = STILLPOINT_EXIT_UNKNOWN, .detail = ""};
    if (!h->ended)
        return;
    if (m && v->exit)
        decode_exit(m, v->exit, &exit);
    h->ended(sp, v->vm, &exit, h->data);
    memory_free(m);
}

void events_deliver(struct stillpoint *sp, const conn_envelope *e)
{
    switch (e->body_case) {
    case STILLPOINT__API__ENVELOPE__BODY_EVENT:
        deliver_event(sp, e->event);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_CONSOLE_WRITTEN:
        deliver_console(sp, e->console_written);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_IMPORT_REQUESTED:
        deliver_import(sp, e->import_requested);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_STDIN_REQUESTED:
        deliver_input(sp, e->stdin_requested);
        break;
    case STILLPOINT__API__ENVELOPE__BODY_VM_ENDED:
        deliver_ended(sp, e->vm_ended);
        break;
    default:
        /* An event of a newer daemon. */
        break;
    }
}

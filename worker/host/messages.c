#include "worker/host/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "proto/limits.h"

void messages_init(struct messages *m, struct daemon_channel *channel)
{
    *m = (struct messages){.channel = channel};
    m->end = &m->first;
}

void messages_done(struct messages *m)
{
    struct message *x;
    while ((x = messages_take(m)) != NULL)
        message_free(x);
}

/* The text of a command: inline, or in its memfd. */
static int copy_text(struct message *x, const char *text, bool in_memfd, int memfd)
{
    const uint8_t *data = (const uint8_t *)(text ? text : "");
    size_t len = strlen((const char *)data);
    if (in_memfd) {
        int r = fd_memfd_map(memfd, LIMIT_JSON_BYTES, &data, &len);
        if (r < 0)
            return r;
    }
    x->json = malloc(len + 1);
    if (x->json) {
        memcpy(x->json, data, len);
        x->json[len] = '\0';
        x->json_bytes = len;
    }
    if (in_memfd)
        fd_memfd_unmap(data, len);
    return x->json ? 0 : -ENOMEM;
}

static int push(struct messages *m, struct message *x, int r)
{
    if (r < 0) {
        message_free(x);
        return r;
    }
    *m->end = x;
    m->end = &x->next;
    m->n++;
    return 0;
}

int messages_push_call(struct messages *m, const Stillpoint__Worker__Call *call, int memfd)
{
    static const char full[] = "too many messages wait in this VM";
    if (m->n >= LIMIT_MESSAGES_QUEUED)
        return messages_call_done(m, call->call_id, false, full, sizeof full - 1);
    struct message *x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    x->is_call = true;
    x->call_id = call->call_id;
    x->function = strdup(call->function ? call->function : "");
    return push(m, x, x->function ? copy_text(x, call->args_json, call->in_memfd, memfd) : -ENOMEM);
}

int messages_push_deliver(struct messages *m, const Stillpoint__Worker__Deliver *deliver, int memfd)
{
    if (m->n >= LIMIT_MESSAGES_QUEUED)
        return -ENOBUFS;
    struct message *x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    return push(m, x, copy_text(x, deliver->json, deliver->in_memfd, memfd));
}

void messages_cancel_call(struct messages *m, uint64_t call_id)
{
    for (struct message *x = m->first; x; x = x->next)
        if (x->is_call && x->call_id == call_id)
            x->cancelled = true;
}

struct message *messages_take(struct messages *m)
{
    struct message *x = m->first;
    if (!x)
        return NULL;
    m->first = x->next;
    if (!m->first)
        m->end = &m->first;
    m->n--;
    return x;
}

struct message *message_free(struct message *x)
{
    if (x) {
        free(x->function);
        free(x->json);
        free(x);
    }
    return NULL;
}

int messages_post(struct messages *m, const char *json, size_t len)
{
    if (len > LIMIT_JSON_BYTES)
        return -EMSGSIZE;
    Stillpoint__Worker__Posted posted = STILLPOINT__WORKER__POSTED__INIT;
    bool beside = daemon_channel_wrap(json, len, &posted.json);
    posted.has_json = true;
    posted.has_in_memfd = posted.in_memfd = beside;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_POSTED;
    fact.posted = &posted;
    return daemon_channel_send_beside(m->channel, &fact, json, beside ? len : 0);
}

/* The text that goes beside it; none where len is 0. */
static int send_call_done(struct messages *m, Stillpoint__Worker__CallDone *done, uint64_t call_id,
                          const char *text, size_t len)
{
    done->has_call_id = true;
    done->call_id = call_id;
    done->has_ok = done->has_text = true;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_CALL_DONE;
    fact.call_done = done;
    return daemon_channel_send_beside(m->channel, &fact, text, len);
}

int messages_call_done(struct messages *m, uint64_t call_id, bool ok, const char *text, size_t len)
{
    static const char too_large[] = "the result is too large";
    if (len > LIMIT_JSON_BYTES) {
        ok = false;
        text = too_large;
        len = sizeof too_large - 1;
    }
    Stillpoint__Worker__CallDone done = STILLPOINT__WORKER__CALL_DONE__INIT;
    bool beside = daemon_channel_wrap(text, len, &done.text);
    done.ok = ok;
    done.has_in_memfd = done.in_memfd = beside;
    return send_call_done(m, &done, call_id, text, beside ? len : 0);
}

int messages_no_such_function(struct messages *m, uint64_t call_id)
{
    Stillpoint__Worker__CallDone done = STILLPOINT__WORKER__CALL_DONE__INIT;
    done.has_no_such_function = done.no_such_function = true;
    return send_call_done(m, &done, call_id, NULL, 0);
}

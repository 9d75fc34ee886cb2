#include "gateway/gdbserver/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gdbserver/requests.h"

/* What waits to be sent, at most. */
#define OUT_BYTES (4u << 20)

int session_new(struct target *target, bool may_kill, struct session **ret)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->target = target;
    s->may_kill = may_kill;
    packet_parser_init(&s->parser, SESSION_PACKET_BYTES);
    packet_out_init(&s->out, OUT_BYTES);
    *ret = s;
    return 0;
}

struct session *session_free(struct session *s)
{
    if (!s)
        return NULL;
    target_free(s->target);
    packet_parser_done(&s->parser);
    packet_out_done(&s->out);
    free(s->last);
    free(s->libraries);
    free(s);
    return NULL;
}

struct target *session_target(struct session *s)
{
    return s->target;
}

const char *session_output(const struct session *s, size_t *ret_n)
{
    *ret_n = s->out.len;
    return s->out.data;
}

void session_sent(struct session *s, size_t n)
{
    packet_out_consume(&s->out, n);
}

bool session_is_over(const struct session *s)
{
    return s->over;
}

/* ---- requests */

static const struct request *const tables[] = {requests_general, requests_run, requests_look,
                                               requests_memory};

/* The longest name that the text begins with. */
static const struct request *find_request(const char *text, size_t n)
{
    const struct request *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct request *r = tables[i]; r->name; r++) {
            size_t len = strlen(r->name);
            if (len <= n && len > longest && memcmp(r->name, text, len) == 0) {
                found = r;
                longest = len;
            }
        }
    return found;
}

/* What is running is not to be asked: an interrupt stops it, and it can be left. */
static void serve(struct session *s, const char *text, size_t n)
{
    const struct request *request = find_request(text, n);
    struct fields f;
    s->replied = false;
    if (s->running && !(request && request->ends)) {
        reply_error(s, -EBUSY, "the program runs: interrupt it first");
        return;
    }
    if (!request) {
        reply_text(s, "");
        return;
    }
    size_t len = strlen(request->name);
    fields_init(&f, text + len, n - len);
    int r = request->serve(s, &f);
    if (s->replied || s->over || (s->running && r == 0))
        return;
    if (r == -EBADMSG)
        reply_error(s, r, "the packet is malformed");
    else
        reply_error(s, r < 0 ? r : -EIO, target_error(s->target));
}

/* Where it stands already, the reply is on its way that says so. */
static void interrupt(struct session *s)
{
    if (!s->running || target_interrupt(s->target) == 0)
        return;
    if (!target_is_lost(s->target))
        reply_stop(s);
}

static void take(struct session *s, int kind)
{
    size_t n;
    const char *text;
    switch (kind) {
    case PACKET_WHOLE:
        if (!s->no_ack)
            (void)packet_out_sign(&s->out, '+');
        text = packet_parser_text(&s->parser, &n);
        serve(s, text, n);
        break;
    case PACKET_BAD:
        (void)packet_out_sign(&s->out, '-');
        break;
    case PACKET_INTERRUPT:
        interrupt(s);
        break;
    case PACKET_NAK:
        if (s->last_bytes > 0)
            (void)packet_out_again(&s->out, s->last, s->last_bytes);
        break;
    default:
        break;
    }
}

int session_feed(struct session *s, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0 && !s->over) {
        size_t used = 0;
        int kind = packet_parser_feed(&s->parser, at, n, &used);
        if (kind < 0)
            return kind;
        at += used;
        n -= used;
        take(s, kind);
        session_settle(s);
    }
    return 0;
}

void session_settle(struct session *s)
{
    if (target_settle(s->target) && s->running)
        reply_stop(s);
    if (!target_is_lost(s->target) || s->over)
        return;
    if (s->running)
        reply_text(s, "X09");
    s->over = true;
}

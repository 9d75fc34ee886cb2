/* Replies, and what is known of a thread that stands. */
#include "gateway/gdbserver/requests.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gdbserver/address.h"

void reply_begin(struct session *s)
{
    packet_begin(&s->out);
}

/* Kept as long as it can be asked for once more. */
static void keep(struct session *s, size_t start)
{
    size_t n = s->out.len - start;
    if (s->no_ack)
        return;
    char *copy = realloc(s->last, n);
    if (!copy)
        return;
    memcpy(copy, s->out.data + start, n);
    s->last = copy;
    s->last_bytes = n;
}

int reply_end(struct session *s)
{
    size_t start = s->out.len;
    if (s->out.writing)
        start = s->out.start;
    int r = packet_end(&s->out);
    s->replied = true;
    if (r < 0)
        s->over = true; /* an answer that cannot be given would be waited for */
    else
        keep(s, start);
    return 0;
}

int reply_text(struct session *s, const char *text)
{
    reply_begin(s);
    packet_text(&s->out, text);
    return reply_end(s);
}

/* The number is that of the errno in the remote protocol's file I/O, as far as LLDB shows it. */
int reply_error(struct session *s, int r, const char *text)
{
    reply_begin(s);
    packet_format(&s->out, "E%02x", (unsigned)-r & 0xff);
    if (s->error_texts) {
        packet_text(&s->out, ";");
        packet_hex(&s->out, text, strlen(text));
    }
    return reply_end(s);
}

/* ---- stop replies */

/* As the remote protocol numbers them. LLDB goes on by itself after a SIGCHLD, once it has read
 * what modules there are. */
enum {
    SIGNAL_NONE = 0,
    SIGNAL_TRAP = 5,
    SIGNAL_STOP = 17,
    SIGNAL_CHILD = 20,
};

static const struct {
    const char *reason;
    unsigned signal;
} stops[] = {
    [TARGET_INTERRUPTED] = {"signal", SIGNAL_STOP},
    [TARGET_BREAKPOINT] = {"breakpoint", SIGNAL_TRAP},
    [TARGET_STEPPED] = {"trace", SIGNAL_TRAP},
    [TARGET_CHANGED] = {"watchpoint", SIGNAL_TRAP},
    [TARGET_TRAPPED] = {"exception", SIGNAL_TRAP},
    [TARGET_LOADED] = {"signal", SIGNAL_CHILD},
    [TARGET_ENDED] = {"signal", SIGNAL_STOP},
    [TARGET_FOREIGN] = {"exception", SIGNAL_STOP},
};

const char *session_reason(const struct session *s, uint64_t thread, unsigned *ret_signal,
                           const char **ret_text)
{
    const struct target_stop *stop = target_stop(s->target);
    *ret_signal = SIGNAL_NONE;
    *ret_text = NULL;
    if (!stop || stop->thread != thread)
        return NULL;
    *ret_signal = stops[stop->reason].signal;
    *ret_text = stop->text;
    return stops[stop->reason].reason;
}

uint64_t session_pc(struct session *s, uint64_t thread)
{
    const struct target_frame *frames;
    size_t n;
    if (target_stack(s->target, thread, &frames, &n) < 0 || n == 0)
        return ADDRESS_NOWHERE;
    return frames[0].pc;
}

uint64_t session_thread(struct session *s)
{
    const struct target_stop *stop = target_stop(s->target);
    if (target_find_thread(s->target, s->thread))
        return s->thread;
    return stop ? stop->thread : target_thread_at(s->target, 0)->id;
}

/* The event's thread first. */
static void put_threads(struct session *s, uint64_t first)
{
    packet_format(&s->out, "threads:%" PRIx64, first);
    for (size_t i = 0; i < target_count_threads(s->target); i++) {
        uint64_t id = target_thread_at(s->target, i)->id;
        if (id != first)
            packet_format(&s->out, ",%" PRIx64, id);
    }
    packet_text(&s->out, ";");
}

int reply_thread(struct session *s, const struct target_thread *th)
{
    unsigned signal;
    const char *text, *reason = session_reason(s, th->id, &signal, &text);
    uint64_t pc = session_pc(s, th->id);
    struct packet_out *o = &s->out;
    reply_begin(s);
    packet_format(o, "T%02xthread:%" PRIx64 ";hexname:", signal, th->id);
    packet_hex(o, th->name, strlen(th->name));
    packet_text(o, ";");
    if (reason && s->threads_in_stops)
        put_threads(s, th->id);
    packet_text(o, "00:");
    packet_le(o, pc, 8);
    packet_text(o, ";");
    if (reason)
        packet_format(o, "reason:%s;", reason);
    if (reason && text) {
        packet_text(o, "description:");
        packet_hex(o, text, strlen(text));
        packet_text(o, ";");
    }
    if (reason && s->listed && target_has_changed(s->target))
        packet_text(o, "library:1;");
    return reply_end(s);
}

void reply_stop(struct session *s)
{
    const struct target_stop *stop = target_stop(s->target);
    s->running = false;
    if (stop && stop->reason == TARGET_OVER) {
        reply_begin(s);
        packet_format(&s->out, "W%02x", stop->exit_code & 0xff);
        reply_end(s);
        s->over = true;
        return;
    }
    uint64_t thread = stop ? stop->thread : session_thread(s);
    const struct target_thread *th = target_find_thread(s->target, thread);
    s->thread = thread;
    reply_thread(s, th ? th : target_thread_at(s->target, 0));
}

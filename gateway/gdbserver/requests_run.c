/* What lets something run, or ends it; and stop replies. */
#include "gateway/gdbserver/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/gdbserver/address.h"

/* As the remote protocol numbers them. LLDB goes on by itself after a SIGCHLD, once it has read
 * what modules there are. */
enum {
    SIGNAL_NONE = 0,
    SIGNAL_TRAP = 5,
    SIGNAL_STOP = 17,
    SIGNAL_CHILD = 20,
};

/* ---- stop replies */

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

/* ---- running */

static int resume(struct session *s)
{
    return session_runs(s, target_resume(s->target));
}

static int ask(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    if (target_stop(s->target)) {
        reply_stop(s);
        return 0;
    }
    s->running = true;
    r = target_interrupt(s->target);
    if (r < 0) {
        s->running = false;
        return r;
    }
    return 0;
}

static int attach(struct session *s, struct fields *f)
{
    uint64_t pid;
    struct fields none;
    if (fields_hex(f, 16, &pid) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    fields_init(&none, "", 0);
    return ask(s, &none);
}

static int no_stop(struct session *s)
{
    return reply_error(s, -EBUSY, "nothing has been stopped yet: ask for that first");
}

static int go_on(struct session *s, struct fields *f)
{
    int r = fields_end(f); /* an address to go on at cannot be had */
    if (r < 0)
        return r;
    if (!target_stop(s->target))
        return no_stop(s);
    return s->goes_on == 0 ? resume(s) : session_runs(s, target_resume_one(s->target, s->goes_on));
}

static int step(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    if (!target_stop(s->target))
        return no_stop(s);
    uint64_t thread = s->goes_on != 0 ? s->goes_on : session_thread(s);
    return session_runs(s, target_step(s->target, thread, false));
}

/* C and S bring a signal, which means nothing to a VM. */
static int with_signal(struct session *s, struct fields *f, request_fn *serve)
{
    uint64_t signal;
    return fields_hex(f, 2, &signal) < 0 ? -EBADMSG : serve(s, f);
}

static int go_on_signal(struct session *s, struct fields *f)
{
    return with_signal(s, f, go_on);
}

static int step_signal(struct session *s, struct fields *f)
{
    return with_signal(s, f, step);
}

static int vcont_asked(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    return r < 0 ? r : reply_text(s, "vCont;c;C;s;S;t");
}

/* What vCont says, of its first action for each: the rest holds. */
struct actions {
    uint64_t step, run; /* threads, 0: none */
    bool all_run, all_step;
    unsigned named_runs;
};

static int take_action(struct fields *f, struct actions *a)
{
    char what;
    uint64_t signal;
    int64_t tid = FIELDS_TID_ALL;
    if (fields_any(f, &what) < 0 || !strchr("cCsSt", what))
        return -EBADMSG;
    if ((what == 'C' || what == 'S') && fields_hex(f, 2, &signal) < 0)
        return -EBADMSG;
    if (!fields_at_end(f) && (fields_char(f, ':') < 0 || fields_tid(f, &tid) < 0))
        return -EBADMSG;
    if (fields_end(f) < 0)
        return -EBADMSG;
    if (what == 'c' || what == 'C') {
        if (tid > 0) {
            a->run = (uint64_t)tid;
            a->named_runs++;
        } else {
            a->all_run = true;
        }
    } else if (what != 't' && tid <= 0) {
        a->all_step = true;
    } else if (what != 't' && a->step == 0) {
        a->step = (uint64_t)tid;
    }
    return 0;
}

static int vcont(struct session *s, struct fields *f)
{
    struct actions a = {0};
    struct fields member;
    int r;
    while ((r = fields_member(f, ';', &member)) > 0)
        if (take_action(&member, &a) < 0)
            return -EBADMSG;
    if (!target_stop(s->target))
        return no_stop(s);
    if (a.all_step && a.step == 0)
        a.step = session_thread(s);
    if (a.step != 0)
        return session_runs(s, target_step(s->target, a.step, a.all_run || a.named_runs > 0));
    if (a.all_run || a.named_runs >= target_count_threads(s->target))
        return resume(s);
    if (a.named_runs == 1)
        return session_runs(s, target_resume_one(s->target, a.run));
    return session_runs(s, target_refuse(s->target, "one thread can go on, or all of them"));
}

/* ---- the end */

static int detach(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_text(s, "OK");
    s->running = false;
    s->over = true;
    return 0;
}

/* LLDB waits for no reply but the end of the connection, or one that says that it is over. */
static int kill_all(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    if (s->may_kill && (r = target_kill(s->target)) < 0)
        return r;
    reply_text(s, "X09");
    s->running = false;
    s->over = true;
    return 0;
}

const struct request requests_run[] = {
    {"?", ask, false},        {"vAttach;", attach, false}, {"vCont?", vcont_asked, false},
    {"vCont;", vcont, false}, {"c", go_on, false},         {"C", go_on_signal, false},
    {"s", step, false},       {"S", step_signal, false},   {"D", detach, true},
    {"k", kill_all, true},    {NULL, NULL, false},
};

/* What lets something run, or ends it. */
#include "gateway/gdbserver/requests.h"

#include <errno.h>
#include <string.h>

/* Nothing is replied until it stands. */
static int runs(struct session *s, int r)
{
    s->running = true;
    if (r < 0 && !target_is_lost(s->target))
        reply_stop(s); /* an error would end LLDB's session: it stands, as before */
    return 0;
}

static int resume(struct session *s)
{
    return runs(s, target_resume(s->target));
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
    return s->goes_on == 0 ? resume(s) : runs(s, target_resume_one(s->target, s->goes_on));
}

static int step(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    if (!target_stop(s->target))
        return no_stop(s);
    uint64_t thread = s->goes_on != 0 ? s->goes_on : session_thread(s);
    return runs(s, target_step(s->target, thread, false));
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
        return runs(s, target_step(s->target, a.step, a.all_run || a.named_runs > 0));
    if (a.all_run || a.named_runs >= target_count_threads(s->target))
        return resume(s);
    if (a.named_runs == 1)
        return runs(s, target_resume_one(s->target, a.run));
    return runs(s, target_refuse(s->target, "one thread can go on, or all of them"));
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

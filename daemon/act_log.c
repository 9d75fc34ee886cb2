#include "daemon/act_log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "base/log.h"
#include "daemon/message_ids.h"

/* Records of one uid: so many at once, and then so many a second. Refusals, what was done to one's
 * own, what was done to what others own, and ends of VMs are counted each for itself. */
#define BURST 40u
#define PER_SECOND 10u
/* Uids that are counted; all others share. */
#define MAX_UIDS 1024u
/* How often at most those are looked for who are quiet by now: it takes a walk over all. */
#define FORGET_NS 10000000000ull
/* How often drops are told. */
#define TELL_S 10

enum bucket { REFUSALS, OWN_ACTS, FOREIGN_ACTS, ENDS, BUCKETS };

static const char *const bucket_names[BUCKETS] = {
    [REFUSALS] = "refusals",
    [OWN_ACTS] = "acts",
    [FOREIGN_ACTS] = "acts on what others own",
    [ENDS] = "ends of VMs",
};

struct share {
    UT_hash_handle hh;
    uid_t uid;
    uint64_t filled_ns;
    struct {
        uint64_t millirecords; /* left */
        uint64_t dropped;      /* not told of so far */
    } buckets[BUCKETS];
};

struct act_log {
    struct share *by_uid;
    struct share others; /* of those who came when there were too many */
    uint64_t forgot_ns;
    struct event *tell;
    bool quiet;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fill(struct share *s)
{
    uint64_t now = now_ns(), more = (now - s->filled_ns) / 1000000u * PER_SECOND;
    if (more == 0)
        return;
    s->filled_ns = now;
    for (size_t i = 0; i < BUCKETS; i++) {
        uint64_t left = s->buckets[i].millirecords + more;
        s->buckets[i].millirecords = left < BURST * 1000u ? left : BURST * 1000u;
    }
}

static bool is_full(struct share *s)
{
    fill(s);
    for (size_t i = 0; i < BUCKETS; i++)
        if (s->buckets[i].millirecords < BURST * 1000u || s->buckets[i].dropped > 0)
            return false;
    return true;
}

/* Those that are as if they had never been here. */
static void forget_quiet(struct act_log *log)
{
    struct share *s, *next;
    log->forgot_ns = now_ns();
    HASH_ITER(hh, log->by_uid, s, next)
    {
        /* cppcheck-suppress uninitvar ; it does not see through HASH_ITER */
        if (!is_full(s))
            continue;
        HASH_DEL(log->by_uid, s);
        free(s);
    }
}

static void init_share(struct share *s, uid_t uid)
{
    *s = (struct share){.uid = uid, .filled_ns = now_ns()};
    for (size_t i = 0; i < BUCKETS; i++)
        s->buckets[i].millirecords = BURST * 1000u;
}

static struct share *share_of(struct act_log *log, uid_t uid)
{
    struct share *s;
    HASH_FIND(hh, log->by_uid, &uid, sizeof uid, s);
    if (s)
        return s;
    if (HASH_COUNT(log->by_uid) >= MAX_UIDS && now_ns() - log->forgot_ns > FORGET_NS)
        forget_quiet(log);
    s = HASH_COUNT(log->by_uid) < MAX_UIDS ? malloc(sizeof *s) : NULL;
    if (!s)
        return &log->others;
    init_share(s, uid);
    HASH_ADD(hh, log->by_uid, uid, sizeof s->uid, s);
    if (s->hh.tbl)
        return s;
    free(s);
    return &log->others;
}

/* ---- drops */

static void tell_of(struct share *s, bool others)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        unsigned long long n = s->buckets[i].dropped;
        char uid[16], count[24];
        if (n == 0)
            continue;
        s->buckets[i].dropped = 0;
        snprintf(uid, sizeof uid, "%u", (unsigned)s->uid);
        snprintf(count, sizeof count, "%llu", n);
        const struct log_field fields[] = {
            {"STILLPOINT_CLIENT_UID", others ? NULL : uid},
            {"STILLPOINT_DROPPED", count},
        };
        log_record(LOG_WARNING, MESSAGE_ACTS_DROPPED, fields, sizeof fields / sizeof fields[0],
                   "%llu records of %s of %s%s were dropped: there were too many", n,
                   bucket_names[i], others ? "many uids" : "uid ", others ? "" : uid);
    }
}

static void tell_all(struct act_log *log)
{
    for (struct share *s = log->by_uid; s; s = s->hh.next)
        tell_of(s, false);
    tell_of(&log->others, true);
}

static void on_tell(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    tell_all(userdata);
    forget_quiet(userdata);
}

static bool may_write(struct act_log *log, struct share *s, enum bucket bucket)
{
    fill(s);
    if (s->buckets[bucket].millirecords >= 1000) {
        s->buckets[bucket].millirecords -= 1000;
        return true;
    }
    struct timeval soon = {.tv_sec = TELL_S};
    s->buckets[bucket].dropped++;
    if (!event_pending(log->tell, EV_TIMEOUT, NULL))
        event_add(log->tell, &soon);
    return false;
}

/* ---- records */

static const char *outcome_name(enum act_outcome outcome)
{
    return outcome == ACT_DONE ? "done" : outcome == ACT_DENIED ? "denied" : "over-quota";
}

struct line {
    char text[1024];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->len, sizeof line->text - line->len, format, args);
    va_end(args);
    if (n > 0)
        line->len += (size_t)n;
    if (line->len >= sizeof line->text)
        line->len = sizeof line->text - 1;
}

static void describe(struct line *line, const struct act *a, enum act_outcome outcome,
                     const char *why)
{
    add(line, "%s: uid %u (pid %d): %s", outcome_name(outcome), (unsigned)a->uid, (int)a->pid,
        a->request);
    if (a->vm)
        add(line, " VM %llu%s%s%s", (unsigned long long)a->vm, a->vm_name ? " (" : "",
            a->vm_name ? a->vm_name : "", a->vm_name ? ")" : "");
    else if (a->vm_name)
        add(line, " VM %s", a->vm_name);
    if (a->is_foreign)
        add(line, " of uid %u", (unsigned)a->owner);
    if (a->world)
        add(line, " world %s", a->world);
    if (a->debugger)
        add(line, " debugger %s", a->debugger);
    if (why)
        add(line, ": %s", why);
}

static const char *number(char text[24], uint64_t n)
{
    snprintf(text, 24, "%llu", (unsigned long long)n);
    return text;
}

void act_log_write(struct act_log *log, const struct act *a, enum act_outcome outcome,
                   const char *why)
{
    enum bucket bucket = outcome != ACT_DONE ? REFUSALS : a->is_foreign ? FOREIGN_ACTS : OWN_ACTS;
    if ((log->quiet && outcome == ACT_DONE) || !may_write(log, share_of(log, a->uid), bucket))
        return;
    struct line line = {.len = 0};
    char uid[24], pid[24], vm[24], owner[24];
    describe(&line, a, outcome, why);
    const struct log_field fields[] = {
        {"STILLPOINT_CLIENT_UID", number(uid, a->uid)},
        {"STILLPOINT_CLIENT_PID", a->pid > 0 ? number(pid, (uint64_t)a->pid) : NULL},
        {"STILLPOINT_REQUEST", a->request},
        {"STILLPOINT_VM", a->vm ? number(vm, a->vm) : NULL},
        {"STILLPOINT_VM_NAME", a->vm_name},
        {"STILLPOINT_OWNER_UID", a->is_foreign ? number(owner, a->owner) : NULL},
        {"STILLPOINT_WORLD", a->world},
        {"STILLPOINT_DEBUGGER", a->debugger},
        {"STILLPOINT_OUTCOME", outcome_name(outcome)},
        {"STILLPOINT_REASON", why},
    };
    log_record(outcome == ACT_DONE ? LOG_INFO : LOG_NOTICE,
               outcome == ACT_DONE ? MESSAGE_ACT_DONE : MESSAGE_ACT_DENIED, fields,
               sizeof fields / sizeof fields[0], "%s", line.text);
}

void act_log_ended(struct act_log *log, const struct act *a, const char *exit, bool is_failure,
                   const char *detail)
{
    if (log->quiet || !may_write(log, share_of(log, a->uid), ENDS))
        return;
    char uid[24], vm[24];
    const struct log_field fields[] = {
        {"STILLPOINT_CLIENT_UID", number(uid, a->uid)},
        {"STILLPOINT_VM", number(vm, a->vm)},
        {"STILLPOINT_VM_NAME", a->vm_name},
        {"STILLPOINT_WORLD", a->world},
        {"STILLPOINT_EXIT", exit},
        {"STILLPOINT_REASON", detail},
    };
    log_record(is_failure ? LOG_NOTICE : LOG_INFO, MESSAGE_VM_ENDED, fields,
               sizeof fields / sizeof fields[0], "vm %s (%s) of uid %s ended: %s%s%s", vm,
               a->vm_name, uid, exit, detail ? ": " : "", detail ? detail : "");
}

struct act_log *act_log_new(struct event_base *base, bool quiet)
{
    struct act_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->quiet = quiet;
    init_share(&log->others, 0);
    log->tell = event_new(base, -1, 0, on_tell, log);
    return log->tell ? log : act_log_free(log);
}

struct act_log *act_log_free(struct act_log *log)
{
    struct share *s, *next;
    if (!log)
        return NULL;
    tell_all(log);
    HASH_ITER(hh, log->by_uid, s, next)
    {
        HASH_DEL(log->by_uid, s);
        /* cppcheck-suppress uninitvar ; it does not see through HASH_ITER */
        free(s);
    }
    if (log->tell)
        event_free(log->tell);
    free(log);
    return NULL;
}

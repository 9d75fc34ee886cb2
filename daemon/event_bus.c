#include "daemon/event_bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "daemon/fd_store.h"
#include "daemon/record.h"
#include "daemon/record_log.h"
#include "proto/limits.h"

/* What is kept is written anew when it is this large, and half of it is not needed any more. */
#define REWRITE_BYTES (1024u * 1024)

struct event_listener {
    LIST_ENTRY(event_listener) link;
    event_bus_news news;
    void *userdata;
};

/* What guests post may not push out what happened to VMs and worlds: each has a share of its own.
 */
enum share { SHARE_LIFE, SHARE_MESSAGES, N_SHARES };

static const struct {
    size_t events, bytes;
} budget[N_SHARES] = {
    [SHARE_LIFE] = {LIMIT_EVENTS_KEPT, LIMIT_EVENTS_KEPT * 2048u},
    [SHARE_MESSAGES] = {LIMIT_EVENT_MESSAGES_KEPT, LIMIT_EVENT_MESSAGES_BYTES},
};

/* An event with its texts behind it, in one allocation. */
struct slot {
    TAILQ_ENTRY(slot) link;     /* all kept events, by seq */
    TAILQ_ENTRY(slot) in_share; /* those of the same share */
    enum share share;
    size_t bytes;
    struct event event;
    char texts[];
};
TAILQ_HEAD(slots, slot);

struct event_bus {
    struct slots kept, shares[N_SHARES];
    size_t n[N_SHARES], bytes[N_SHARES];
    uint64_t last;
    struct record_log log; /* what is kept for the next daemon; its fd is -1: nothing is */
    unsigned generation, serial;
    LIST_HEAD(listeners, event_listener) listeners;
};

struct event_bus *event_bus_new(void)
{
    struct event_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return NULL;
    bus->log.fd = -1;
    TAILQ_INIT(&bus->kept);
    for (int i = 0; i < N_SHARES; i++)
        TAILQ_INIT(&bus->shares[i]);
    LIST_INIT(&bus->listeners);
    return bus;
}

static void drop(struct event_bus *bus, struct slot *s)
{
    TAILQ_REMOVE(&bus->kept, s, link);
    TAILQ_REMOVE(&bus->shares[s->share], s, in_share);
    bus->n[s->share]--;
    bus->bytes[s->share] -= s->bytes;
    free(s);
}

struct event_bus *event_bus_free(struct event_bus *bus)
{
    if (!bus)
        return NULL;
    while (!TAILQ_EMPTY(&bus->kept))
        drop(bus, TAILQ_FIRST(&bus->kept));
    while (!LIST_EMPTY(&bus->listeners))
        event_bus_unlisten(bus, LIST_FIRST(&bus->listeners));
    if (bus->log.fd >= 0)
        record_log_close(&bus->log);
    free(bus);
    return NULL;
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static const char *copy_text(char **room, const char *text)
{
    if (!text)
        return NULL;
    const char *copy = *room;
    *room = stpcpy(*room, text) + 1;
    return copy;
}

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* As it is, but for its share. */
static struct slot *copy_slot(const struct event *e)
{
    size_t bytes = sizeof(struct slot) + text_bytes(e->name) + text_bytes(e->world) +
                   text_bytes(e->json) + text_bytes(e->detail);
    struct slot *s = malloc(bytes);
    if (!s)
        return NULL;
    char *room = s->texts;
    s->share = e->kind == EVENT_VM_MESSAGE ? SHARE_MESSAGES : SHARE_LIFE;
    s->bytes = bytes;
    s->event = *e;
    s->event.name = copy_text(&room, e->name);
    s->event.world = copy_text(&room, e->world);
    s->event.json = copy_text(&room, e->json);
    s->event.detail = copy_text(&room, e->detail);
    return s;
}

static struct slot *copy_event(const struct event *e, uint64_t seq)
{
    struct event now = *e;
    now.seq = seq;
    now.time_us = clock_ns(CLOCK_REALTIME) / 1000;
    now.mono_ns = clock_ns(CLOCK_MONOTONIC);
    return copy_slot(&now);
}

static void insert(struct event_bus *bus, struct slot *s)
{
    TAILQ_INSERT_TAIL(&bus->kept, s, link);
    TAILQ_INSERT_TAIL(&bus->shares[s->share], s, in_share);
    bus->n[s->share]++;
    bus->bytes[s->share] += s->bytes;
    struct slots *own = &bus->shares[s->share];
    while ((bus->n[s->share] > budget[s->share].events ||
            bus->bytes[s->share] > budget[s->share].bytes) &&
           TAILQ_FIRST(own) != s)
        drop(bus, TAILQ_FIRST(own));
}

/* ---- for the next daemon */

/* A kept record: the event, in which a pointer says only whether there is a text, and its texts,
 * each with its NUL. */
static int append_kept(struct record_log *log, const struct event *e)
{
    const char *texts[] = {e->name, e->world, e->json, e->detail};
    size_t len = sizeof *e;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        len += text_bytes(texts[i]);
    uint8_t *at;
    int r = record_log_reserve(log, len, &at);
    if (r < 0)
        return r;
    memcpy(at, e, sizeof *e);
    at += sizeof *e;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i])
            memcpy(at, texts[i], text_bytes(texts[i]));
        at += text_bytes(texts[i]);
    }
    record_log_commit(log, len);
    return 0;
}

static bool next_text(const char **text, const uint8_t **at, const uint8_t *end)
{
    if (!*text)
        return true;
    const uint8_t *nul = *at < end ? memchr(*at, 0, (size_t)(end - *at)) : NULL;
    if (!nul)
        return false;
    *text = (const char *)*at;
    *at = nul + 1;
    return true;
}

static int take_kept(void *userdata, const uint8_t *data, size_t len)
{
    struct event_bus *bus = userdata;
    struct event e;
    const uint8_t *at = data + sizeof e, *end = data + len;
    if (len < sizeof e)
        return -EPROTO;
    memcpy(&e, data, sizeof e);
    if (!next_text(&e.name, &at, end) || !next_text(&e.world, &at, end) ||
        !next_text(&e.json, &at, end) || !next_text(&e.detail, &at, end) || e.seq <= bus->last)
        return -EPROTO;
    bus->last = e.seq;
    struct slot *s = copy_slot(&e);
    if (s)
        insert(bus, s);
    return 0;
}

int event_bus_read(struct event_bus *bus, int fd)
{
    return record_log_read(fd, take_kept, bus);
}

uint64_t event_bus_kept_fact(const struct event_bus *bus, uint64_t vm)
{
    const struct slot *s;
    TAILQ_FOREACH_REVERSE(s, &bus->shares[SHARE_MESSAGES], slots, in_share)
    if (s->event.vm == vm)
        return s->event.fact;
    return 0;
}

/* Puts all down in a new memfd, which takes the place of the old one only when it is whole. */
static int rewrite(struct event_bus *bus)
{
    struct record_log log;
    int r = record_log_open(&log, "stillpoint-events");
    const struct slot *s;
    TAILQ_FOREACH(s, &bus->kept, link)
    if (r == 0)
        r = append_kept(&log, &s->event);
    if (r == 0)
        r = fd_store_put(log.fd, "events-%u-%u", bus->generation, bus->serial + 1);
    if (r < 0) {
        record_log_close(&log);
        return r;
    }
    if (bus->log.fd >= 0) {
        fd_store_drop("events-%u-%u", bus->generation, bus->serial);
        record_log_close(&bus->log);
    }
    bus->serial++;
    bus->log = log;
    return 0;
}

int event_bus_keep(struct event_bus *bus, unsigned generation)
{
    bus->generation = generation;
    return rewrite(bus);
}

static void keep(struct event_bus *bus, const struct event *e)
{
    size_t bytes = bus->bytes[SHARE_LIFE] + bus->bytes[SHARE_MESSAGES];
    int r = 0;
    if (bus->log.bytes > REWRITE_BYTES && bus->log.bytes > 2 * bytes)
        r = rewrite(bus);
    else
        r = append_kept(&bus->log, e);
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_STATE_NOT_KEPT, NULL,
                     "an event cannot be kept for the next daemon: %s", strerror(-r));
}

void event_bus_publish(struct event_bus *bus, const struct event *e)
{
    struct slot *s = copy_event(e, ++bus->last);
    if (s) {
        insert(bus, s);
        if (bus->log.fd >= 0)
            keep(bus, &s->event);
    }
    struct event_listener *l, *next;
    for (l = LIST_FIRST(&bus->listeners); l; l = next) {
        next = LIST_NEXT(l, link);
        l->news(l->userdata);
    }
}

uint64_t event_bus_last(const struct event_bus *bus)
{
    return bus->last;
}

/* The first kept event after `seq`. Readers are near the end mostly, so it is looked for from
 * there. */
static const struct slot *find_after(const struct event_bus *bus, uint64_t seq)
{
    const struct slot *s = TAILQ_LAST(&bus->kept, slots), *found = NULL;
    for (; s && s->event.seq > seq; s = TAILQ_PREV(s, slots, link))
        found = s;
    return found;
}

const struct event *event_bus_next(const struct event_bus *bus, uint64_t *cursor, uint64_t kinds,
                                   uint64_t *ret_dropped)
{
    *ret_dropped = 0;
    for (const struct slot *s = find_after(bus, *cursor); s; s = TAILQ_NEXT(s, link)) {
        *ret_dropped += s->event.seq - (*cursor + 1);
        *cursor = s->event.seq;
        if (kinds & UINT64_C(1) << s->event.kind)
            return &s->event;
    }
    *ret_dropped += bus->last - *cursor;
    *cursor = bus->last;
    return NULL;
}

struct event_listener *event_bus_listen(struct event_bus *bus, event_bus_news news, void *userdata)
{
    struct event_listener *l = malloc(sizeof *l);
    if (!l)
        return NULL;
    l->news = news;
    l->userdata = userdata;
    LIST_INSERT_HEAD(&bus->listeners, l, link);
    return l;
}

struct event_listener *event_bus_unlisten(struct event_bus *bus, struct event_listener *listener)
{
    (void)bus;
    if (listener) {
        LIST_REMOVE(listener, link);
        free(listener);
    }
    return NULL;
}

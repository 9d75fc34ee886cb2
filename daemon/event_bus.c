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
    size_t bytes;
    struct event event;
    char texts[];
};

/* The kept events of a share, oldest first, by seq: a ring, so that any reader's place in it is
 * found by halving, however many are kept and however many readers there are. */
struct ring {
    struct slot **slots; /* budget[].events of them */
    size_t first, n, bytes;
};

struct event_bus {
    struct ring rings[N_SHARES];
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
    LIST_INIT(&bus->listeners);
    for (int i = 0; i < N_SHARES; i++) {
        bus->rings[i].slots = calloc(budget[i].events, sizeof(struct slot *));
        if (!bus->rings[i].slots)
            return event_bus_free(bus);
    }
    return bus;
}

static struct slot **at(const struct event_bus *bus, enum share share, size_t i)
{
    const struct ring *r = &bus->rings[share];
    return &r->slots[(r->first + i) % budget[share].events];
}

static void drop_oldest(struct event_bus *bus, enum share share)
{
    struct ring *r = &bus->rings[share];
    struct slot *s = *at(bus, share, 0);
    r->first = (r->first + 1) % budget[share].events;
    r->n--;
    r->bytes -= s->bytes;
    free(s);
}

static void insert(struct event_bus *bus, struct slot *s)
{
    enum share share = s->event.kind == EVENT_VM_MESSAGE ? SHARE_MESSAGES : SHARE_LIFE;
    struct ring *r = &bus->rings[share];
    while (r->n > 0 && (r->n == budget[share].events || r->bytes + s->bytes > budget[share].bytes))
        drop_oldest(bus, share);
    *at(bus, share, r->n++) = s;
    r->bytes += s->bytes;
}

struct event_bus *event_bus_free(struct event_bus *bus)
{
    if (!bus)
        return NULL;
    for (int i = 0; i < N_SHARES; i++) {
        while (bus->rings[i].n > 0)
            drop_oldest(bus, (enum share)i);
        free(bus->rings[i].slots);
    }
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

static struct slot *copy_slot(const struct event *e)
{
    size_t bytes = sizeof(struct slot) + text_bytes(e->name) + text_bytes(e->world) +
                   text_bytes(e->json) + text_bytes(e->detail);
    struct slot *s = malloc(bytes);
    if (!s)
        return NULL;
    char *room = s->texts;
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
    for (size_t i = bus->rings[SHARE_MESSAGES].n; i > 0; i--) {
        const struct event *e = &(*at(bus, SHARE_MESSAGES, i - 1))->event;
        if (e->vm == vm)
            return e->fact;
    }
    return 0;
}

/* Puts all down in a new memfd, which takes the place of the old one only when it is whole. */
static int rewrite(struct event_bus *bus)
{
    struct record_log log;
    int r = record_log_open(&log, "stillpoint-events");
    const struct event *e;
    uint64_t cursor = 0, dropped;
    while (r == 0 && (e = event_bus_next(bus, &cursor, ~UINT64_C(0), &dropped)) != NULL)
        r = append_kept(&log, e);
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
    size_t bytes = bus->rings[SHARE_LIFE].bytes + bus->rings[SHARE_MESSAGES].bytes;
    bool is_due = bus->log.bytes > REWRITE_BYTES && bus->log.bytes > 2 * bytes;
    int r = is_due ? rewrite(bus) : -EAGAIN;
    if (r < 0)
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

/* The first kept event of the share after `seq`, or NULL. */
static const struct event *find_after(const struct event_bus *bus, enum share share, uint64_t seq)
{
    size_t low = 0, high = bus->rings[share].n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((*at(bus, share, middle))->event.seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low < bus->rings[share].n ? &(*at(bus, share, low))->event : NULL;
}

const struct event *event_bus_next(const struct event_bus *bus, uint64_t *cursor, uint64_t kinds,
                                   uint64_t *ret_dropped)
{
    *ret_dropped = 0;
    while (*cursor < bus->last) {
        const struct event *e = NULL;
        for (int i = 0; i < N_SHARES; i++) {
            const struct event *of_share = find_after(bus, (enum share)i, *cursor);
            if (of_share && (!e || of_share->seq < e->seq))
                e = of_share;
        }
        uint64_t seq = e ? e->seq : bus->last + 1;
        *ret_dropped += seq - (*cursor + 1);
        *cursor = e ? seq : bus->last;
        if (e && kinds & UINT64_C(1) << e->kind)
            return e;
    }
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

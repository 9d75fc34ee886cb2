#include "daemon/event_bus.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "proto/limits.h"

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
    LIST_HEAD(listeners, event_listener) listeners;
};

struct event_bus *event_bus_new(void)
{
    struct event_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return NULL;
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

static void insert(struct event_bus *bus, enum share share, struct slot *s)
{
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

static struct slot *copy_event(const struct event *e, uint64_t seq)
{
    size_t bytes = sizeof(struct slot) + text_bytes(e->name) + text_bytes(e->world) +
                   text_bytes(e->json) + text_bytes(e->detail);
    struct slot *s = malloc(bytes);
    if (!s)
        return NULL;
    char *room = s->texts;
    s->bytes = bytes;
    s->event = *e;
    s->event.seq = seq;
    s->event.time_us = clock_ns(CLOCK_REALTIME) / 1000;
    s->event.mono_ns = clock_ns(CLOCK_MONOTONIC);
    s->event.name = copy_text(&room, e->name);
    s->event.world = copy_text(&room, e->world);
    s->event.json = copy_text(&room, e->json);
    s->event.detail = copy_text(&room, e->detail);
    return s;
}

void event_bus_publish(struct event_bus *bus, const struct event *e)
{
    struct slot *s = copy_event(e, ++bus->last);
    if (s)
        insert(bus, e->kind == EVENT_VM_MESSAGE ? SHARE_MESSAGES : SHARE_LIFE, s);
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

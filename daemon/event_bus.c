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
    LIST_HEAD(listeners, event_listener) listeners;
};

struct event_bus *event_bus_new(void)
{
    struct event_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return NULL;
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
    s->share = e->kind == EVENT_VM_MESSAGE ? SHARE_MESSAGES : SHARE_LIFE;
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
    if (s) {
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

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

/* An event with its texts behind it, in one allocation. */
struct slot {
    struct event event;
    char texts[];
};

struct event_bus {
    struct slot *ring[LIMIT_EVENTS_KEPT]; /* ring[seq % size]; NULL: lost for want of memory */
    uint64_t last;
    LIST_HEAD(, event_listener) listeners;
};

struct event_bus *event_bus_new(void)
{
    struct event_bus *bus = calloc(1, sizeof *bus);
    if (bus)
        LIST_INIT(&bus->listeners);
    return bus;
}

struct event_bus *event_bus_free(struct event_bus *bus)
{
    if (!bus)
        return NULL;
    for (size_t i = 0; i < LIMIT_EVENTS_KEPT; i++)
        free(bus->ring[i]);
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

void event_bus_publish(struct event_bus *bus, const struct event *e)
{
    struct slot *s = malloc(sizeof *s + text_bytes(e->name) + text_bytes(e->world) +
                            text_bytes(e->json) + text_bytes(e->detail));
    bus->last++;
    if (s) {
        char *room = s->texts;
        s->event = *e;
        s->event.seq = bus->last;
        s->event.time_us = clock_ns(CLOCK_REALTIME) / 1000;
        s->event.mono_ns = clock_ns(CLOCK_MONOTONIC);
        s->event.name = copy_text(&room, e->name);
        s->event.world = copy_text(&room, e->world);
        s->event.json = copy_text(&room, e->json);
        s->event.detail = copy_text(&room, e->detail);
    }
    struct slot **place = &bus->ring[bus->last % LIMIT_EVENTS_KEPT];
    free(*place);
    *place = s;

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

const struct event *event_bus_next(const struct event_bus *bus, uint64_t *cursor, uint64_t kinds,
                                   uint64_t *ret_dropped)
{
    uint64_t oldest = bus->last > LIMIT_EVENTS_KEPT ? bus->last - LIMIT_EVENTS_KEPT + 1 : 1;
    *ret_dropped = 0;
    if (*cursor + 1 < oldest) {
        *ret_dropped = oldest - (*cursor + 1);
        *cursor = oldest - 1;
    }
    while (*cursor < bus->last) {
        const struct slot *s = bus->ring[++*cursor % LIMIT_EVENTS_KEPT];
        if (!s)
            ++*ret_dropped;
        else if (kinds & UINT64_C(1) << s->event.kind)
            return &s->event;
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

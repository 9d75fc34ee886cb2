/*
 * event_bus.h: the one door by which facts leave the daemon. It keeps the newest events, with a
 * bound for what guests post and one for everything else. Subscribers have a cursor and read at
 * their own pace: nobody waits for a slow one, and one that falls behind learns exactly how many
 * events it missed.
 *
 * Process and thread: the daemon's only thread. Listeners are told that there is news, never handed
 * an event, so that a publisher never runs a subscriber's code paths.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** The numbers of EventKind in api.proto. */
enum event_kind {
    EVENT_VM_BORN = 1,
    EVENT_VM_ENDED,
    EVENT_WORLD_MADE,
    EVENT_WORLD_GONE,
    EVENT_WORLD_STOPPING,
    EVENT_WORLD_STOPPED,
    EVENT_WORLD_RESUMED,
    EVENT_VM_HELD,
    EVENT_VM_RELEASED,
    EVENT_VM_MESSAGE,
    EVENT_VM_MISSED,
    EVENT_ZYGOTE_LOST,
    EVENT_PRIVILEGED,
    EVENT_WORLD_RUN_ONE,
    EVENT_TARGET_CHANGED,
    EVENT_LEASE_CHANGED,
    EVENT_TICKET_ENDED,
    EVENT_VM_FROZEN,
    EVENT_VM_THAWED,
    EVENT_VM_LIED,
    EVENT_VM_PAUSED,
    EVENT_HOOKS_CHANGED,
    EVENT_DEBUGGER_CLOSED,
    EVENT_UNIT_CHANGED,
};

struct event_exit {
    int reason; /**< ExitReason of api.proto; 0: the event has no exit */
    unsigned code, signal;
};

/** No process has this uid: the kernel keeps it for "as it is". */
#define EVENT_NO_UID ((uid_t)-1)

/** One event. The texts of a published event belong to the bus. */
struct event {
    uint64_t seq;
    enum event_kind kind;
    uint64_t time_us, mono_ns;
    uint64_t vm, epoch, ticket; /**< 0: none */
    uid_t uid;                  /**< who did it, or whose it is; EVENT_NO_UID: nobody's */
    struct event_exit exit;
    const char *name, *world, *json, *detail; /**< NULL: none */
    uint64_t fact; /**< number of the worker's fact that it is all of; 0: of none */
};

struct event_bus;

/** Told after events were published; `userdata` as given to event_bus_listen(). */
typedef void (*event_bus_news)(void *userdata);

struct event_bus *event_bus_new(void);
struct event_bus *event_bus_free(struct event_bus *bus);

/**
 * Goes on where the bus of a daemon that is gone has ended: with the events that it has kept (fd is
 * its log, which stays the caller's), and numbers after them. Before anything is published. 0 or
 * negative errno: then it begins anew.
 */
int event_bus_read(struct event_bus *bus, int fd);
/** The last fact of this VM that is an event among those which were read; 0: none. */
uint64_t event_bus_kept_fact(const struct event_bus *bus, uint64_t vm);
/** From now on what is published is kept by the service manager, too, by the daemon with this
 * number. 0 or negative errno. */
int event_bus_keep(struct event_bus *bus, unsigned generation);
/** Publishes a copy of *e; seq and times are set here. An event that cannot be stored for want of
 *  memory is counted as dropped for everybody. */
void event_bus_publish(struct event_bus *bus, const struct event *e);

/** Seq of the newest event, 0 before the first. */
uint64_t event_bus_last(const struct event_bus *bus);

/**
 * The first kept event after *cursor whose kind is in `kinds` (bit 1 << kind), or NULL. Moves the
 * cursor to it, or to the newest event. *ret_dropped: events after the cursor that were
 * overwritten, of whatever kind. The event is valid until the next publish.
 */
const struct event *event_bus_next(const struct event_bus *bus, uint64_t *cursor, uint64_t kinds,
                                   uint64_t *ret_dropped);

/** Registers for news; returns a handle for event_bus_unlisten(), or NULL without memory. */
struct event_listener *event_bus_listen(struct event_bus *bus, event_bus_news news, void *userdata);
struct event_listener *event_bus_unlisten(struct event_bus *bus, struct event_listener *listener);

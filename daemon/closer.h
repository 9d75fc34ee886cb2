/*
 * closer.h: closes descriptors that came from a client. To close what somebody else has opened may
 * take as long as that one likes: a file of a FUSE file system is flushed by its server, a TCP
 * socket lingers, a memfd of many GiB has all its pages to free. So a process that shares our
 * descriptors does it, and is killed where it does not get on; such a descriptor is gone, too: the
 * kernel takes it out of the table first; decision 0062 has the rest.
 *
 * Process and thread: the daemon's only thread. It owns what it was given, and that process, of
 * which there is one while there is something to close. The process runs in our memory, which a
 * fork(2) would have to copy the tables of, and makes nothing but system calls.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct closer;
struct event_base;

/** `on_closed` is told of each that is gone. NULL without memory. */
struct closer *closer_new(struct event_base *base, void (*on_closed)(void *userdata, void *whose),
                          void *userdata);
/** What can still not be closed stays open, for the end of the process. */
struct closer *closer_free(struct closer *c);

/** Takes a descriptor, which soon is closed; never waits. */
void closer_take(struct closer *c, int fd, void *whose);

/** Takes a connected Unix socket, with all descriptors that were sent and not read. */
void closer_take_socket(struct closer *c, int fd, void *whose);

/** A child of the daemon that is no worker and no zygote. */
bool closer_is_its_process(const struct closer *c, pid_t pid);

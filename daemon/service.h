/*
 * service.h: the daemon as a service of systemd: the sockets that it is handed, and what it tells
 * about itself. It owns the descriptors until they are taken, and the socket to the service
 * manager. Without a service manager everything here does nothing.
 *
 * Telling never waits: a service manager that does not read must not hold up the loop. What it has
 * no room for is told when it has; of several states only the last is.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct service;

/** Takes LISTEN_FDS, NOTIFY_SOCKET and WATCHDOG_USEC out of the environment, so that no child sees
 * them. NULL: no memory. */
struct service *service_new(void);
struct service *service_free(struct service *s);

/**
 * The listening Unix socket of that FileDescriptorName=, which is the caller's then; -ENOENT: there
 * is none; -EINVAL: it is something else, which was logged.
 */
int service_take_socket(struct service *s, const char *name);
/** Any descriptor whose name begins so, the caller's then, with its name; -ENOENT: there is none.
 */
int service_take_kept(struct service *s, const char *prefix, char **ret_name);
/** Where the service manager is told; -1: nobody wants to be. Never waits. */
int service_notify_fd(const struct service *s);
/** Closes what nobody has taken, with a warning that names it. */
void service_close_rest(struct service *s);

/** Whether somebody wants to be told. */
bool service_is_watched(const struct service *s);

/** From now on what is told waits for this loop, and the watchdog is fed from it, and from nowhere
 * else: a loop that hangs feeds nobody. */
int service_attach(struct service *s, struct event_base *base);

void service_ready(struct service *s);
/** Between the two the service is shown as reloading. */
void service_reloading(struct service *s);
void service_stopping(struct service *s);
/** One line for `systemctl status`. */
void service_status(struct service *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

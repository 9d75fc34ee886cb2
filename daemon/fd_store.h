/*
 * fd_store.h: descriptors that the service manager keeps for the next daemon (sd_notify(3),
 * FDSTORE), and those that it has kept for this one. It owns the latter until they are taken.
 *
 * Process and thread: the daemon's only thread. The manager reads its socket in the order in which
 * it was written to, also what a daemon has written that was killed right after: so nothing is
 * waited for.
 *
 * Names: vm-ID-channel, -pidfd, -command, -status, -kick, -life, -beside-NUMBER; world-NAME;
 * state-GENERATION-N; hits-DEBUGGER-GENERATION-N; events-GENERATION-N; log-ID of a VM.
 */
#pragma once

struct fd_store;

struct service;

/** With all that was kept, out of what the service was handed; that is where things are put, too.
 * NULL without memory. */
struct fd_store *fd_store_new(struct service *service);
/** Closes what was not taken, and has the manager drop it. Returns NULL. */
struct fd_store *fd_store_free(struct fd_store *s);

/** Has the manager keep it; the descriptor stays ours. 0 or negative errno: -ENOSPC, there are as
 * many as it could hand over. */
int fd_store_put(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Has the manager drop it. */
void fd_store_drop(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** One that was kept under this name: the caller's from now on; -1: none was. The manager keeps it
 *  on. */
int fd_store_take(struct fd_store *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** The same, but it stays the store's; -1: none was kept, or it was taken. */
int fd_store_find(const struct fd_store *s, const char *name);
/** The name of the next one that was kept and not taken, with this prefix, or NULL; *at is 0 to
 * begin with. */
const char *fd_store_next(const struct fd_store *s, const char *prefix, unsigned *at);

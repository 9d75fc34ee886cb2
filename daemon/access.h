/*
 * access.h: who is on the other end of a socket, and what that uid may do. Decides by SO_PEERCRED
 * alone: the kernel's word at the time of connect(2). Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/** Rights of a connection; a request needs one of them (the table in api.c). */
enum access_role {
    ACCESS_NONE = 0,
    ACCESS_OBSERVE = 1 << 0, /**< look: list, status, logs, events */
    ACCESS_RUN = 1 << 1,     /**< make VMs, talk to them, end them */
    ACCESS_DEBUG = 1 << 2,   /**< stop and resume worlds, hold VMs */
    ACCESS_ADMIN = 1 << 3,   /**< act on what others own */
};

struct access_peer {
    uid_t uid;
    pid_t pid; /**< decoration: may be anybody's by now */
    unsigned roles;
};

/**
 * Reads the peer's credentials from a connected Unix socket. The owner of the daemon and root get
 * all roles, everybody else none. Returns 0 or negative errno.
 */
int access_check(int sock, uid_t owner_uid, struct access_peer *ret_peer);

/** "observe", …; NULL for no single role. */
const char *access_role_name(enum access_role role);

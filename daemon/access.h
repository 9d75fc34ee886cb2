/*
 * access.h: who is on the other end of a socket, and what that uid may do. Decides by SO_PEERCRED
 * and SO_PEERGROUPS alone: the kernel's word at the time of connect(2). It owns the rules, which
 * name groups; they are resolved once.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/config.h"

/** Rights of a connection; a request needs one of them (the table in api.c). */
enum access_role {
    ACCESS_NONE = 0,
    ACCESS_OBSERVE = 1 << 0, /**< look: list, status, logs, events */
    ACCESS_RUN = 1 << 1,     /**< make VMs, talk to one's own, end them; and look */
    ACCESS_DEBUG = 1 << 2,   /**< stop, hold, inspect and audit what is one's own; and look */
    ACCESS_ADMIN = 1 << 3,   /**< all of it, and on what others own */
    ACCESS_ALL = (1 << 4) - 1,
};

struct access_peer {
    uid_t uid;
    pid_t pid; /**< decoration: may be anybody's by now */
    unsigned roles;
    bool is_limited; /**< it would have more roles on another socket */
};

/** Groups that rules may name, all roles together. */
#define ACCESS_MAX_GROUPS 64u

struct access_rules {
    uid_t owner_uid; /**< has all roles, as root has */
    size_t n;
    struct {
        gid_t gid;
        unsigned roles; /**< that it gives, with those that come along */
    } groups[ACCESS_MAX_GROUPS];
    const char *names[CONFIG_GROUPS]; /**< for texts; the config's; NULL: no group has that role */
};

/** Resolves the groups that the configuration names. -EINVAL, and it was logged, if one is none. */
int access_rules_init(struct access_rules *rules, const struct config *config);
/** Whether anybody but owner and root can have a role. */
bool access_is_shared(const struct access_rules *rules);

/** The roles of a uid with these groups. */
unsigned access_roles(const struct access_rules *rules, uid_t uid, const gid_t *gids, size_t n);
/**
 * Reads the peer's credentials from a connected Unix socket. The owner of the daemon and root get
 * all roles, everybody else what their groups give. Returns 0 or negative errno.
 */
int access_check(int sock, const struct access_rules *rules, struct access_peer *ret_peer);

/** "observe", …; NULL for no single role. */
const char *access_role_name(enum access_role role);
/** Writes the names of the groups that have this role, those that it comes along with another role
 * of too, but not those that have it by being admins': as many as there is room for. NULL: none. */
const char *access_groups_of(const struct access_rules *rules, enum access_role role, char *text,
                             size_t size);

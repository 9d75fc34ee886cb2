#include "daemon/access.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

int access_check(int sock, uid_t owner_uid, struct access_peer *ret_peer)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    bool trusted = cred.uid == owner_uid || cred.uid == 0;
    *ret_peer = (struct access_peer){
        .uid = cred.uid,
        .pid = cred.pid,
        .roles = trusted ? ACCESS_OBSERVE | ACCESS_RUN | ACCESS_DEBUG | ACCESS_ADMIN : ACCESS_NONE,
    };
    return 0;
}

const char *access_role_name(enum access_role role)
{
    switch (role) {
    case ACCESS_OBSERVE:
        return "observe";
    case ACCESS_RUN:
        return "run";
    case ACCESS_DEBUG:
        return "debug";
    case ACCESS_ADMIN:
        return "admin";
    default:
        return NULL;
    }
}

#include "daemon/access.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/record.h"

#define N_ROLES CONFIG_GROUPS

/* In the order of enum config_group: the role, and what comes along with it. */
static const struct {
    enum access_role role;
    const char *name;
    unsigned gives;
} roles[N_ROLES] = {
    [CONFIG_GROUP_OBSERVE] = {ACCESS_OBSERVE, "observe", ACCESS_OBSERVE},
    [CONFIG_GROUP_RUN] = {ACCESS_RUN, "run", ACCESS_RUN | ACCESS_OBSERVE},
    [CONFIG_GROUP_DEBUG] = {ACCESS_DEBUG, "debug", ACCESS_DEBUG | ACCESS_OBSERVE},
    [CONFIG_GROUP_ADMIN] = {ACCESS_ADMIN, "admin", ACCESS_ALL},
};

/* What every group looks like that has no number in our user namespace: whoever is in it there
 * would be in it here. */
static gid_t overflow_gid(void)
{
    unsigned gid = 65534;
    FILE *f = fopen("/proc/sys/kernel/overflowgid", "re");
    if (f && fscanf(f, "%u", &gid) != 1)
        gid = 65534;
    if (f)
        fclose(f);
    return gid;
}

static int resolve(const char *name, gid_t *ret)
{
    uint64_t number;
    const struct group *g = getgrnam(name);
    if (g)
        *ret = g->gr_gid;
    else if (text_to_u64(name, &number) && number < UINT32_MAX)
        *ret = (gid_t)number;
    else
        return -ENOENT;
    return 0;
}

/* Returns NULL, or what is wrong with it. */
static const char *add_group(struct access_rules *rules, unsigned gives, const char *name)
{
    gid_t gid;
    if (resolve(name, &gid) < 0)
        return "there is no such group";
    if (gid == overflow_gid())
        return "all groups look like that one that are not known here";
    if (rules->n == ACCESS_MAX_GROUPS)
        return "more groups than can be";
    rules->groups[rules->n].gid = gid;
    rules->groups[rules->n++].roles = gives;
    return NULL;
}

int access_rules_init(struct access_rules *rules, const struct config *config)
{
    int r = 0;
    *rules = (struct access_rules){.owner_uid = config->owner_uid};
    for (size_t i = 0; i < N_ROLES; i++) {
        rules->names[i] = config->groups[i];
        _cleanup_free_ char *names = config->groups[i] ? strdup(config->groups[i]) : NULL;
        if (config->groups[i] && !names)
            return -ENOMEM;
        char *rest = NULL;
        for (char *name = names ? strtok_r(names, " \t", &rest) : NULL; name;
             name = strtok_r(NULL, " \t", &rest)) {
            const char *why = add_group(rules, roles[i].gives, name);
            if (!why)
                continue;
            record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s: [access] %s-group: '%s': %s",
                         config_place(config, &config->groups[i]), roles[i].name, name, why);
            r = -EINVAL;
        }
    }
    return r;
}

bool access_is_shared(const struct access_rules *rules)
{
    return rules->n > 0;
}

unsigned access_roles(const struct access_rules *rules, uid_t uid, const gid_t *gids, size_t n)
{
    unsigned found = ACCESS_NONE;
    if (uid == rules->owner_uid || uid == 0)
        return ACCESS_ALL;
    for (size_t i = 0; i < rules->n; i++)
        for (size_t j = 0; j < n; j++)
            if (gids[j] == rules->groups[i].gid)
                found |= rules->groups[i].roles;
    return found;
}

/* The peer's own group and its supplementary ones. */
static int read_groups(int sock, gid_t own, gid_t **ret, size_t *ret_n)
{
    _cleanup_free_ gid_t *gids = NULL;
    socklen_t len = 32 * sizeof *gids;
    int r;
    do {
        /* One more than it is told of: the peer's own comes last. */
        gid_t *more = realloc(gids, len + sizeof *gids);
        if (!more)
            return -ENOMEM;
        gids = more;
        r = getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, gids, &len) < 0 ? -errno : 0;
    } while (r == -ERANGE);
    if (r < 0)
        return r;
    size_t n = len / sizeof *gids;
    gids[n++] = own;
    *ret = TAKE_PTR(gids);
    *ret_n = n;
    return 0;
}

int access_check(int sock, const struct access_rules *rules, struct access_peer *ret_peer)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    _cleanup_free_ gid_t *gids = NULL;
    size_t n = 0;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    int r = rules->n > 0 ? read_groups(sock, cred.gid, &gids, &n) : 0;
    if (r < 0)
        return r;
    *ret_peer = (struct access_peer){
        .uid = cred.uid, .pid = cred.pid, .roles = access_roles(rules, cred.uid, gids, n)};
    return 0;
}

const char *access_role_name(enum access_role role)
{
    for (size_t i = 0; i < N_ROLES; i++)
        if (roles[i].role == role)
            return roles[i].name;
    return NULL;
}

/* Whether the word is among the `len` bytes before. */
static bool has_word(const char *text, size_t len, const char *word, size_t n)
{
    for (const char *at = text; at + n <= text + len; at++)
        if (strncmp(at, word, n) == 0 && (at == text || at[-1] == ' ') &&
            (at + n == text + len || at[n] == ','))
            return true;
    return false;
}

/* Returns how much of `text` is used then; each name is there once. */
static size_t add_names(char *text, size_t used, size_t size, const char *names)
{
    while (names && *(names += strspn(names, " \t"))) {
        size_t n = strcspn(names, " \t");
        if (!has_word(text, used, names, n) && used + n + 3 < size)
            used += (size_t)snprintf(text + used, size - used, "%s%.*s", used > 0 ? ", " : "",
                                     (int)n, names);
        names += n;
    }
    return used;
}

const char *access_groups_of(const struct access_rules *rules, enum access_role role, char *text,
                             size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < N_ROLES; i++)
        if (roles[i].role == role)
            used = add_names(text, used, size, rules->names[i]);
    for (size_t i = 0; i < N_ROLES; i++)
        if ((roles[i].gives & role) && roles[i].role != ACCESS_ADMIN)
            used = add_names(text, used, size, rules->names[i]);
    return used > 0 ? text : NULL;
}

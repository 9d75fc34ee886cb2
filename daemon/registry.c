#include "daemon/registry.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <unistd.h>
#include <uthash.h>

#include "base/fd.h"
#include "base/text.h"
#include "daemon/spare.h"

/* A VM in both tables. Kept apart from struct worker, which knows nothing of tables. */
struct entry {
    struct worker *worker;
    uint64_t id;
    char name[LIMIT_NAME_BYTES + 1];
    UT_hash_handle by_id, by_name; /* by_name: the living only */
    TAILQ_ENTRY(entry) link;       /* the exited only */
};
TAILQ_HEAD(entries, entry);

/* How many have exited of one uid; there is one for each uid that has any. */
struct exits {
    uid_t uid;
    size_t n;
    UT_hash_handle hh;
};

struct registry {
    struct registry_config config;
    struct entry *ids; /* in order of birth, so of id */
    struct entry *names;
    struct entries exited; /* in the order in which they did */
    struct exits *exits;
    uint64_t next_id;
    size_t alive;
    struct spare *spare; /* NULL: none is kept */
};

struct registry *registry_new(const struct registry_config *config)
{
    struct registry *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->config = *config;
    r->next_id = 1;
    TAILQ_INIT(&r->exited);
    const struct spare_config spare = {.host = config->host,
                                       .lifeline_fd = config->lifeline_fd,
                                       .next_id = &r->next_id,
                                       .world = config->world,
                                       .zygote = config->zygote,
                                       .userdata = config->userdata};
    if (config->keeps_spare && !(r->spare = spare_new(&spare)))
        return registry_free(r);
    return r;
}

static void drop(struct registry *r, struct entry *e)
{
    HASH_DELETE(by_id, r->ids, e);
    worker_free(e->worker);
    free(e);
}

struct registry *registry_free(struct registry *r)
{
    if (!r)
        return NULL;
    HASH_CLEAR(by_name, r->names);
    struct exits *x, *next_x;
    HASH_ITER(hh, r->exits, x, next_x)
    {
        HASH_DEL(r->exits, x);
        free(x);
    }
    struct entry *e, *next;
    HASH_ITER(by_id, r->ids, e, next)
    {
        /* cppcheck-suppress uninitvar ; it does not see through HASH_ITER */
        worker_kill(e->worker, EXIT_REASON_KILLED, "the daemon ended");
        drop(r, e);
    }
    spare_free(r->spare);
    free(r);
    return NULL;
}

void registry_end_spare(struct registry *r)
{
    spare_end(r->spare);
}

uint64_t registry_next_id(const struct registry *r)
{
    return r->next_id;
}

void registry_set_next_id(struct registry *r, uint64_t id)
{
    r->next_id = id;
}

static bool name_is_taken(struct registry *r, const char *name)
{
    struct entry *e;
    HASH_FIND(by_name, r->names, name, strlen(name), e);
    return e != NULL;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool name_is_kept(const struct registry *r, const char *name)
{
    return r->config.is_kept && r->config.is_kept(r->config.userdata, name);
}

/* The file's stem, made a legal name, with -2, -3 … if it is taken. */
static void make_name(struct registry *r, const char *program, char name[LIMIT_NAME_BYTES + 1])
{
    const char *base = strrchr(program, '/');
    base = base ? base + 1 : program;
    char stem[LIMIT_NAME_BYTES - 10 + 1];
    size_t n = 0;
    for (const char *p = base; *p && n < sizeof stem - 1; p++) {
        stem[n] = *p;
        if (!is_name_char(*p))
            stem[n] = '-';
        n++;
    }
    stem[n] = '\0';
    char *dot = strrchr(stem, '.');
    if (dot && dot != stem)
        *dot = '\0';
    if (!text_is_name(stem, sizeof stem - 1)) {
        char plain[sizeof stem];
        snprintf(plain, sizeof plain, "vm-%.*s", (int)sizeof stem - 4, stem);
        strcpy(stem, text_is_name(plain, sizeof stem - 1) ? plain : "vm");
    }
    snprintf(name, LIMIT_NAME_BYTES + 1, "%s", stem);
    for (unsigned i = 2; name_is_taken(r, name) || name_is_kept(r, name); i++)
        snprintf(name, LIMIT_NAME_BYTES + 1, "%s-%u", stem, i);
}

size_t registry_alive_of(const struct registry *r, uid_t uid)
{
    size_t n = 0;
    for (const struct entry *e = r->names; e; e = e->by_name.next)
        n += e->worker->uid == uid;
    return n;
}

static int enter(struct registry *r, struct entry *e)
{
    HASH_ADD(by_id, r->ids, id, sizeof e->id, e);
    if (e->by_id.tbl) {
        HASH_ADD(by_name, r->names, name, strlen(e->name), e);
        if (!e->by_name.tbl)
            HASH_DELETE(by_id, r->ids, e);
    }
    if (!e->by_id.tbl || !e->by_name.tbl)
        return -ENOMEM;
    r->alive++;
    return 0;
}

static void leave(struct registry *r, struct entry *e)
{
    HASH_DELETE(by_id, r->ids, e);
    HASH_DELETE(by_name, r->names, e);
    r->alive--;
}

/* The spare becomes the VM. */
static int add_spare(struct registry *r, struct stop_world *world,
                     const struct worker_config *config, int program_fd, struct entry *e)
{
    e->id = e->worker->id;
    int v = enter(r, e);
    if (v < 0) {
        close(program_fd);
        return v;
    }
    v = worker_give(e->worker, world, config, program_fd, r->config.events, r->config.userdata);
    if (v < 0)
        leave(r, e);
    else
        spare_given(r->spare);
    return v;
}

static int add_new(struct registry *r, struct stop_world *world, struct zygote_client *zygote,
                   const struct worker_config *config, int program_fd, struct entry *e)
{
    e->id = r->next_id;
    int v = worker_new(r->config.host, world, e->id, config, program_fd, r->config.events,
                       r->config.userdata, &e->worker);
    if (v < 0)
        return v;
    /* That of what stays: what came for this request alone has filled a gap. */
    bool scarce = fd_is_scarce(e->worker->gate.kick_fd, LIMIT_FDS_KEPT_FROM_VMS);
    v = scarce ? -EMFILE : worker_spawn(e->worker, zygote, world, r->config.lifeline_fd, config);
    /* Last: nobody can find a VM that is half built. One that is not to be has been asked for all
     * the same: it ends as its channel does. */
    if (v == 0) {
        r->next_id++;
        v = enter(r, e);
    }
    if (v < 0)
        worker_free(e->worker);
    return v;
}

int registry_add(struct registry *r, struct stop_world *world, struct worker_config *config,
                 int program_fd, struct worker **ret)
{
    int v = 0;
    struct zygote_client *zygote = r->config.zygote(r->config.userdata, config->engine);
    if (!zygote)
        v = -ENOENT;
    else if (config->name && name_is_taken(r, config->name))
        v = -EEXIST;
    else if (config->name && !config->origin && name_is_kept(r, config->name))
        v = -EBUSY;
    else if (r->config.quota && registry_alive_of(r, config->uid) >= r->config.quota->vms)
        v = -EDQUOT;
    else if (r->alive >= (r->config.total ? r->config.total->vms : LIMIT_VMS))
        v = -EMFILE;
    struct entry *e = v == 0 ? calloc(1, sizeof *e) : NULL;
    if (v == 0 && !e)
        v = -ENOMEM;
    if (v < 0) {
        close(program_fd);
        return v;
    }
    if (config->name)
        snprintf(e->name, sizeof e->name, "%s", config->name);
    else
        make_name(r, config->program, e->name);
    config->name = e->name;
    e->worker = spare_find(r->spare, world, config);
    if (e->worker) {
        v = add_spare(r, world, config, program_fd, e);
    } else {
        spare_end(r->spare);
        v = add_new(r, world, zygote, config, program_fd, e);
    }
    if (v < 0) {
        spare_end(r->spare);
        config->name = NULL;
        free(e);
        return v;
    }
    spare_follow(r->spare, config);
    *ret = e->worker;
    return 0;
}

int registry_adopt(struct registry *r, struct stop_world *world, const Stillpoint__State__Vm *m,
                   struct fd_store *store, uint64_t first_number, struct worker **ret)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->id = m->id;
    text_copy(e->name, sizeof e->name, m->name);
    int v = name_is_taken(r, e->name) || registry_find(r, e->id) ? -EEXIST : 0;
    if (v == 0)
        v = worker_adopt(r->config.host, world, m, store, first_number, r->config.events,
                         r->config.userdata, &e->worker);
    if (v == 0 && (v = enter(r, e)) < 0)
        worker_free(e->worker);
    if (v < 0) {
        free(e);
        return v;
    }
    *ret = e->worker;
    return 0;
}

int registry_adopt_exited(struct registry *r, const Stillpoint__State__Vm *m,
                          struct fd_store *store)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->id = m->id;
    text_copy(e->name, sizeof e->name, m->name);
    int v = name_is_taken(r, e->name) || registry_find(r, e->id) ? -EEXIST : 0;
    if (v == 0 && !(e->worker = worker_adopt_exited(r->config.host, m, store, r->config.events,
                                                    r->config.userdata)))
        v = -ENOMEM;
    if (v == 0 && (v = enter(r, e)) < 0)
        worker_free(e->worker);
    if (v < 0) {
        free(e);
        return v;
    }
    registry_retire(r, e->worker);
    return 0;
}

static struct entry *find_entry(struct registry *r, uint64_t id)
{
    struct entry *e;
    HASH_FIND(by_id, r->ids, &id, sizeof id, e);
    return e;
}

void registry_spawned(struct registry *r, uint64_t id, const struct zygote_birth *birth)
{
    struct entry *e = find_entry(r, id);
    if (e && e->worker->phase != WORKER_GONE && e->worker->pidfd < 0)
        worker_spawned(e->worker, birth);
    else if (!spare_spawned(r->spare, id, birth) && birth->pidfd >= 0) {
        pidfd_send_signal(birth->pidfd, SIGKILL, NULL, 0);
        close(birth->pidfd);
    }
}

/* Returns how many of that uid have exited, this one included. */
static size_t count_exit(struct registry *r, uid_t uid)
{
    struct exits *x;
    HASH_FIND(hh, r->exits, &uid, sizeof uid, x);
    if (!x) {
        x = calloc(1, sizeof *x);
        if (!x)
            return 1; /* not counted: one more is kept */
        x->uid = uid;
        HASH_ADD(hh, r->exits, uid, sizeof x->uid, x);
        if (!x->hh.tbl) {
            free(x);
            return 1;
        }
    }
    return ++x->n;
}

static void drop_oldest(struct registry *r, uid_t uid)
{
    struct exits *x;
    struct entry *e;
    TAILQ_FOREACH(e, &r->exited, link)
    if (e->worker->uid == uid)
        break;
    HASH_FIND(hh, r->exits, &uid, sizeof uid, x);
    TAILQ_REMOVE(&r->exited, e, link);
    vm_log_keep_no_more(&e->worker->log);
    drop(r, e);
    x->n--;
}

void registry_retire(struct registry *r, struct worker *w)
{
    struct entry *e = find_entry(r, w->id);
    HASH_DELETE(by_name, r->names, e);
    r->alive--;
    /* Those of a daemon before come in the order of their births. */
    struct entry *before = TAILQ_LAST(&r->exited, entries);
    while (before && before->worker->ended_us > w->ended_us)
        before = TAILQ_PREV(before, entries, link);
    if (before)
        TAILQ_INSERT_AFTER(&r->exited, before, e, link);
    else
        TAILQ_INSERT_HEAD(&r->exited, e, link);
    if (count_exit(r, w->uid) > LIMIT_EXITED_PER_UID)
        drop_oldest(r, w->uid);
}

struct worker *registry_find(struct registry *r, uint64_t id)
{
    struct entry *e = find_entry(r, id);
    return e ? e->worker : NULL;
}

struct worker *registry_find_name(struct registry *r, const char *name)
{
    struct entry *e;
    HASH_FIND(by_name, r->names, name, strlen(name), e);
    if (e)
        return e->worker;
    struct worker *last = NULL;
    for (e = r->ids; e; e = e->by_id.next)
        if (strcmp(e->name, name) == 0 && (!last || e->worker->ended_us >= last->ended_us))
            last = e->worker;
    return last;
}

struct worker *registry_after(struct registry *r, uint64_t after)
{
    /* Usually `after` is still there; if it was dropped meanwhile, walk. */
    struct entry *e = after ? find_entry(r, after) : r->ids;
    if (after && e)
        e = e->by_id.next;
    else if (after)
        for (e = r->ids; e && e->id <= after; e = e->by_id.next)
            ;
    return e ? e->worker : NULL;
}

bool registry_has_pid(const struct registry *r, pid_t pid)
{
    for (const struct entry *e = r->names; e; e = e->by_name.next)
        if (e->worker->pid == pid)
            return true;
    return spare_has_pid(r->spare, pid);
}

size_t registry_alive(const struct registry *r)
{
    return r->alive;
}

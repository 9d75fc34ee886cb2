#include "daemon/vm_units.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/unit_links.h"
#include "daemon/worker.h"

/* The zygote is being started anew. */
#define AGAIN_US 100000u

TAILQ_HEAD(items, vm_units_item);

struct vm_units {
    struct vm_units_config config;
    char *folder, *state_dir;
    struct items items; /* by name */
    size_t n;
    bool ending;
};

struct vm_units *vm_units_new(const struct vm_units_config *config)
{
    struct vm_units *units = calloc(1, sizeof *units);
    if (!units)
        return NULL;
    units->config = *config;
    TAILQ_INIT(&units->items);
    units->folder = config->folder ? strdup(config->folder) : NULL;
    units->state_dir = config->state_dir ? strdup(config->state_dir) : NULL;
    if ((config->folder && !units->folder) || (config->state_dir && !units->state_dir))
        return vm_units_free(units);
    return units;
}

static void drop(struct vm_units_item *u)
{
    TAILQ_REMOVE(&u->units->items, u, link);
    u->units->n--;
    if (u->timer)
        event_free(u->timer);
    vm_unit_done(&u->file);
    free(u->error);
    free(u->path);
    free(u);
}

struct vm_units *vm_units_free(struct vm_units *units)
{
    if (!units)
        return NULL;
    while (!TAILQ_EMPTY(&units->items))
        drop(TAILQ_FIRST(&units->items));
    free(units->folder);
    free(units->state_dir);
    free(units);
    return NULL;
}

struct vm_units_item *vm_units_find(const struct vm_units *units, const char *name)
{
    struct vm_units_item *u = units ? TAILQ_FIRST(&units->items) : NULL;
    while (u && strcmp(u->name, name) != 0)
        u = TAILQ_NEXT(u, link);
    return u;
}

const struct vm_units_item *vm_units_after(const struct vm_units *units, const char *after)
{
    const struct vm_units_item *u = units ? TAILQ_FIRST(&units->items) : NULL;
    while (u && after && strcmp(u->name, after) <= 0)
        u = TAILQ_NEXT(u, link);
    return u;
}

/* ---- states */

__attribute__((format(printf, 3, 4))) static void
set_state(struct vm_units_item *u, enum vm_units_state state, const char *format, ...)
{
    static const char *const words[] = {
        [VM_UNITS_OFF] = "off",
        [VM_UNITS_RUNNING] = "running",
        [VM_UNITS_RESTARTING] = "restarting",
        [VM_UNITS_EXITED] = "exited",
        [VM_UNITS_FAILED] = "failed",
    };
    char detail[sizeof u->detail + 64], after[32] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(u->detail, sizeof u->detail, format, args);
    va_end(args);
    text_to_line(u->detail);
    u->state = state;
    if (state == VM_UNITS_RESTARTING)
        snprintf(after, sizeof after, " in %llu ms", (unsigned long long)u->delay_us / 1000);
    else
        u->restart_at_us = 0;
    snprintf(detail, sizeof detail, "%s%s%s%s", words[state], after, u->detail[0] ? ": " : "",
             u->detail);
    log_debug("unit %s: %s", u->name, detail);
    const struct event e = {.kind = EVENT_UNIT_CHANGED,
                            .vm = u->vm,
                            .name = u->name,
                            .world = u->has_file ? u->file.world : NULL,
                            .uid = u->uid,
                            .detail = detail};
    event_bus_publish(u->units->config.bus, &e);
}

/* ---- starting, and starting again */

static uint64_t realtime_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int make_vm(struct vm_units_item *u, char *why, size_t why_bytes)
{
    struct vm_units *units = u->units;
    uint64_t vm;
    if (u->timer)
        event_del(u->timer);
    if (units->ending) {
        snprintf(why, why_bytes, "the daemon ends");
        return -ESHUTDOWN;
    }
    int r = units->config.start(units->config.userdata, u, &vm, why, why_bytes);
    if (r < 0)
        return r;
    u->vm = vm;
    u->changed = u->ending = u->asked = false;
    set_state(u, VM_UNITS_RUNNING, "%s", "");
    return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata);

/* False: no memory for a timer. */
static bool wait_for(struct vm_units_item *u, uint64_t delay_us)
{
    const struct timeval delay = {.tv_sec = (time_t)(delay_us / 1000000),
                                  .tv_usec = (suseconds_t)(delay_us % 1000000)};
    if (!u->timer)
        u->timer = event_new(u->units->config.base, -1, 0, on_timer, u);
    u->delay_us = delay_us;
    u->restart_at_us = realtime_us() + delay_us;
    return u->timer && event_add(u->timer, &delay) == 0;
}

static uint64_t delay_of(const struct vm_unit *file, uint32_t restarts)
{
    uint64_t delay_us = file->delay_us;
    for (uint32_t i = 1; i < restarts && delay_us < file->delay_max_us; i++)
        delay_us *= 2;
    return delay_us < file->delay_max_us ? delay_us : file->delay_max_us;
}

/* It is not as it should be: it waits for its next start, or that was it. */
static void settle(struct vm_units_item *u, bool is_failure, const char *why)
{
    const struct vm_unit *file = &u->file;
    char bound[32] = "";
    if (u->units->ending || u->gone || file->restart == VM_UNIT_RESTART_NO ||
        (!is_failure && file->restart == VM_UNIT_RESTART_ON_FAILURE)) {
        set_state(u, is_failure ? VM_UNITS_FAILED : VM_UNITS_EXITED, "%s", why);
        return;
    }
    if (file->attempts > 0 && u->restarts >= file->attempts) {
        record_write(LOG_WARNING, MESSAGE_UNIT_FAILED, RECORD_NAME(u->name),
                     "unit %s: gave up after %u restarts: %s", u->name, u->restarts, why);
        set_state(u, VM_UNITS_FAILED, "gave up after %u restarts: %s", u->restarts, why);
        return;
    }
    uint64_t delay_us = delay_of(file, ++u->restarts);
    if (file->attempts > 0)
        snprintf(bound, sizeof bound, " of %u", file->attempts);
    if (!wait_for(u, delay_us)) {
        set_state(u, VM_UNITS_FAILED, "no memory to wait for its restart: %s", why);
        return;
    }
    record_write(LOG_NOTICE, MESSAGE_UNIT_RESTARTING, RECORD_NAME(u->name),
                 "unit %s: restarting in %llu ms, %u%s: %s", u->name,
                 (unsigned long long)delay_us / 1000, u->restarts, bound, why);
    set_state(u, VM_UNITS_RESTARTING, "restart %u%s: %s", u->restarts, bound, why);
}

/* Of the daemon's own accord: nobody waits to be told why not. */
static void start_unasked(struct vm_units_item *u)
{
    char why[sizeof u->detail] = "";
    int r = make_vm(u, why, sizeof why);
    if (r == -EAGAIN && wait_for(u, AGAIN_US))
        set_state(u, VM_UNITS_RESTARTING, "%s", why);
    else if (r < 0) {
        record_write(LOG_WARNING, MESSAGE_UNIT_FAILED, RECORD_NAME(u->name),
                     "unit %s: cannot be started: %s", u->name, why);
        settle(u, true, why);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    start_unasked(userdata);
}

void vm_units_adopt(struct vm_units *units, const Stillpoint__State__Unit *m)
{
    struct vm_units_item *u = vm_units_find(units, m->name);
    if (!u || m->state < VM_UNITS_OFF || m->state > VM_UNITS_FAILED)
        return;
    u->kept = true;
    u->state = (enum vm_units_state)m->state;
    u->restarts = m->restarts;
    u->restart_at_us = m->restart_at_us;
    text_copy(u->detail, sizeof u->detail, m->detail ? m->detail : "");
}

bool vm_units_is_changed(const struct vm_units_item *u)
{
    return u->state != VM_UNITS_OFF || u->detail[0];
}

/* False: it is to be started like any other. */
static bool resume(struct vm_units_item *u)
{
    char detail[sizeof u->detail];
    uint64_t now = realtime_us(), at = u->restart_at_us;
    text_copy(detail, sizeof detail, u->detail);
    if (u->state == VM_UNITS_RUNNING)
        return false; /* its VM was not taken over */
    if (u->state != VM_UNITS_RESTARTING)
        return true;
    if (!u->has_file || !wait_for(u, at > now ? at - now : 0))
        return false;
    u->restart_at_us = at;
    set_state(u, VM_UNITS_RESTARTING, "%s", detail);
    return true;
}

void vm_units_begin(struct vm_units *units)
{
    struct vm_units_item *u;
    TAILQ_FOREACH(u, &units->items, link)
    {
        const struct worker *w = registry_find_name(units->config.registry, u->name);
        if (w && w->phase != WORKER_GONE && w->origin) {
            u->vm = w->id;
            set_state(u, VM_UNITS_RUNNING, "%s", "");
        } else if ((!u->kept || !resume(u)) && u->enabled && u->has_file) {
            start_unasked(u);
        }
        u->kept = false;
    }
}

void vm_units_end(struct vm_units *units)
{
    struct vm_units_item *u;
    units->ending = true;
    TAILQ_FOREACH(u, &units->items, link)
    if (u->timer)
        event_del(u->timer);
}

int vm_units_start(struct vm_units_item *u, char *why, size_t why_bytes)
{
    if (u->vm != 0)
        return 0;
    u->restarts = 0;
    int r = make_vm(u, why, why_bytes);
    if (r < 0)
        set_state(u, VM_UNITS_FAILED, "%s", why);
    else
        u->asked = true;
    return r;
}

uint64_t vm_units_stop(struct vm_units_item *u, uid_t by)
{
    char detail[64];
    struct worker *w = u->vm ? registry_find(u->units->config.registry, u->vm) : NULL;
    snprintf(detail, sizeof detail, "stopped by uid %u", (unsigned)by);
    if (u->timer)
        event_del(u->timer);
    u->restarts = 0;
    if (w) {
        u->ending = true;
        worker_kill(w, EXIT_REASON_KILLED, detail);
        return u->vm;
    }
    if (u->state == VM_UNITS_RESTARTING)
        set_state(u, VM_UNITS_OFF, "%s", detail);
    return 0;
}

int vm_units_enable(struct vm_units_item *u, bool enabled)
{
    int r = unit_links_set(u->units->state_dir, u->name, u->path, enabled);
    if (r == 0)
        u->enabled = enabled;
    return r;
}

/* ---- its VM's end */

static void describe_exit(const struct worker_exit *e, char *text, size_t bytes)
{
    static const char *const words[] = {
        [EXIT_REASON_EXITED] = "exited",
        [EXIT_REASON_ERROR] = "failed",
        [EXIT_REASON_OOM] = "ran out of memory",
        [EXIT_REASON_TIMEOUT] = "ran out of time",
        [EXIT_REASON_KILLED] = "was killed",
        [EXIT_REASON_CRASHED] = "crashed",
        [EXIT_REASON_SECCOMP] = "made a forbidden system call",
        [EXIT_REASON_UNKNOWN] = "ended in an unknown way",
    };
    snprintf(text, bytes, "it %s, code %u%s%s", words[e->reason], e->code, e->detail[0] ? ", " : "",
             e->detail);
    text_cut_utf8(text);
}

void vm_units_on_vm_ended(struct vm_units *units, const struct worker *w)
{
    struct vm_units_item *u = w->origin ? vm_units_find(units, w->name) : NULL;
    char why[sizeof w->exit.detail + 64];
    if (!u || u->vm != w->id)
        return;
    u->vm = 0;
    describe_exit(&w->exit, why, sizeof why);
    bool is_failure = w->exit.reason != EXIT_REASON_EXITED || w->exit.code != 0;
    if (u->ending)
        set_state(u, VM_UNITS_OFF, "%s", w->exit.detail);
    else if (u->asked && !w->admitted)
        set_state(u, VM_UNITS_FAILED, "%s", w->load_error ? w->load_error : why);
    else {
        if (w->ran_us >= u->file.reset_us) /* a stop is no success */
            u->restarts = 0;
        settle(u, is_failure, w->load_error ? w->load_error : why);
    }
    if (u->gone)
        drop(u);
}

/* ---- files */

/* What is wrong with one: all of it is logged, and the first of it kept. */
struct errors {
    char *first;
    unsigned n;
};

static void on_error(void *userdata, const char *path, unsigned line, const char *text)
{
    struct errors *e = userdata;
    char *whole;
    int n = line > 0 ? asprintf(&whole, "%s:%u: %s", path, line, text)
                     : asprintf(&whole, "%s: %s", path, text);
    if (n < 0)
        return;
    record_write(LOG_ERR, MESSAGE_UNIT_WRONG, NULL, "%s", whole);
    if (e->n++ == 0)
        e->first = whole;
    else
        free(whole);
}

/* A unit says what is run as whom: whoever may write its file is an administrator. */
static int open_unit(const char *path, struct errors *errors)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 || fstat(fd, &st) < 0)
        on_error(errors, path, 0, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        on_error(errors, path, 0, "is not a regular file");
    else if (st.st_mode & S_IWOTH)
        on_error(errors, path, 0, "may be written by everybody (chmod o-w)");
    else
        return TAKE_FD(fd);
    return -EINVAL;
}

/* 0, -ENOENT, -EINVAL with what is wrong, -ENOMEM. */
static int read_unit(const struct vm_units *units, const char *path, struct vm_unit *ret,
                     uid_t *ret_uid, struct errors *errors)
{
    struct vm_unit file;
    _cleanup_close_ int fd = open_unit(path, errors);
    int r = fd < 0 ? fd : vm_unit_read(fd, path, on_error, errors, &file);
    if (r < 0)
        return r;
    if (vm_unit_owner(&file, units->config.owner_uid, ret_uid) < 0) {
        char text[128];
        snprintf(text, sizeof text, "[vm] owner: there is no user '%.64s'", file.owner);
        on_error(errors, path, file.owner_line, text);
        vm_unit_done(&file);
        return -EINVAL;
    }
    *ret = file;
    return 0;
}

static struct vm_units_item *add(struct vm_units *units, const char *name, char *path)
{
    struct vm_units_item *u = calloc(1, sizeof *u), *next = TAILQ_FIRST(&units->items);
    if (!u)
        return NULL;
    *u = (struct vm_units_item){.path = path, .units = units, .state = VM_UNITS_OFF};
    snprintf(u->name, sizeof u->name, "%s", name);
    while (next && strcmp(next->name, name) < 0)
        next = TAILQ_NEXT(next, link);
    if (next)
        TAILQ_INSERT_BEFORE(next, u, link);
    else
        TAILQ_INSERT_TAIL(&units->items, u, link);
    units->n++;
    return u;
}

static void settle_enabled(struct vm_units_item *u)
{
    int said = unit_links_get(u->units->state_dir, u->name);
    if (said < 0 && said != -ENOENT)
        record_write(LOG_WARNING, MESSAGE_UNIT_WRONG, RECORD_NAME(u->name),
                     "unit %s: cannot be looked up in %s: %s", u->name, u->units->state_dir,
                     strerror(-said));
    u->enabled = said >= 0 ? said == 1 : u->has_file && u->file.enabled;
}

/* Takes what was read, `r` being how that went; counts and tells what is new. */
static void take(struct vm_units_item *u, int r, struct vm_unit *file, uid_t uid,
                 struct errors *errors, struct vm_units_changes *changes)
{
    u->seen = true;
    u->gone = false;
    free(u->error);
    u->error = TAKE_PTR(errors->first);
    if (r < 0) {
        changes->wrong++;
    } else {
        bool is_new = !u->has_file;
        bool is_same = !is_new && vm_unit_equal(&u->file, file) && u->uid == uid;
        changes->added += is_new;
        changes->changed += !is_new && !is_same;
        if (!is_same)
            record_write(LOG_INFO, MESSAGE_UNITS_READ, RECORD_NAME(u->name), "unit %s: %s", u->name,
                         is_new ? "read" : "changed");
        u->changed |= !is_same && u->vm != 0;
        vm_unit_done(&u->file);
        u->file = *file;
        u->uid = uid;
        u->has_file = true;
    }
    settle_enabled(u);
}

/* -ENOENT: there is no such file; -ENOMEM. What is wrong with it is told and counted. */
static int read_one(struct vm_units *units, const char *name, struct vm_units_changes *changes)
{
    struct vm_units_item *u = vm_units_find(units, name);
    struct errors errors = {0};
    struct vm_unit file;
    uid_t uid = 0;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/%s.conf", units->folder, name) < 0)
        return -ENOMEM;
    int r = read_unit(units, path, &file, &uid, &errors);
    if (r == -ENOENT || r == -ENOMEM)
        return r;
    if (!u && units->n >= LIMIT_UNITS) {
        record_write(LOG_ERR, MESSAGE_UNIT_WRONG, NULL, "%s: there are more than %u units", path,
                     LIMIT_UNITS);
        changes->wrong++;
        u = NULL;
    } else if (!u) {
        u = add(units, name, path);
        if (u)
            path = NULL;
    }
    if (u) {
        take(u, r, &file, uid, &errors, changes);
        return 0;
    }
    free(errors.first);
    if (r == 0)
        vm_unit_done(&file);
    return units->n >= LIMIT_UNITS ? 0 : -ENOMEM;
}

/* Its file is no more: it lasts as long as its VM. */
static void forget(struct vm_units_item *u, struct vm_units_changes *changes)
{
    if (!u->gone) {
        changes->removed++;
        record_write(LOG_INFO, MESSAGE_UNITS_READ, RECORD_NAME(u->name),
                     "unit %s: its file is gone", u->name);
    }
    u->gone = true;
    u->enabled = false;
    if (u->vm == 0)
        drop(u);
}

static int is_conf(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int read_entry(struct vm_units *units, const char *entry, struct vm_units_changes *changes)
{
    char name[LIMIT_NAME_BYTES + 1];
    if (!vm_unit_name_of(entry, name)) {
        record_write(LOG_ERR, MESSAGE_UNIT_WRONG, NULL,
                     "%s/%s: what comes before .conf is no name of a VM", units->folder, entry);
        changes->wrong++;
        return 0;
    }
    int r = read_one(units, name, changes);
    return r == -ENOENT ? 0 : r;
}

/* Whoever may put files into the folder is an administrator, too. False: it may not be read. */
static bool check_folder(const char *folder)
{
    struct stat st;
    if (stat(folder, &st) == 0 && (st.st_mode & S_IWOTH)) {
        record_write(LOG_ERR, MESSAGE_UNIT_WRONG, NULL,
                     "%s: may be written by everybody (chmod o-w): no unit is read", folder);
        return false;
    }
    return true;
}

int vm_units_reload(struct vm_units *units, struct vm_units_changes *ret)
{
    struct vm_units_changes changes = {0};
    struct vm_units_item *u, *next;
    struct dirent **found = NULL;
    const char *folder = units->folder;
    int r = 0, n = 0;
    *ret = changes;
    if (!folder)
        return 0;
    if (!check_folder(folder))
        n = -1;
    else if ((n = scandir(folder, &found, is_conf, alphasort)) < 0 && errno != ENOENT)
        record_write(LOG_ERR, MESSAGE_UNIT_WRONG, NULL, "%s: cannot be read: %m", folder);
    else
        n = n < 0 ? 0 : n;
    if (n < 0) {
        ret->wrong = 1; /* what was read before holds on */
        return 0;
    }
    TAILQ_FOREACH(u, &units->items, link)
    u->seen = false;
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = read_entry(units, found[i]->d_name, &changes);
        free(found[i]);
    }
    free(found);
    for (u = TAILQ_FIRST(&units->items); r == 0 && u; u = next) {
        next = TAILQ_NEXT(u, link);
        if (!u->seen)
            forget(u, &changes);
    }
    *ret = changes;
    return r;
}

struct vm_units_item *vm_units_refresh(struct vm_units *units, const char *name)
{
    struct vm_units_changes changes = {0};
    struct vm_units_item *u;
    if (!units || !units->folder)
        return NULL;
    if (check_folder(units->folder) && read_one(units, name, &changes) == -ENOENT &&
        (u = vm_units_find(units, name)) != NULL)
        forget(u, &changes);
    return vm_units_find(units, name);
}

/*
 * main.c: builds everything, wires callbacks, runs the loop, takes it down again. It alone knows
 * all modules. Order at start: command line and configuration · descriptors that need the starter's
 * rights (socket, worker programs, CPU latency, cgroups) · become an ordinary user, for good ·
 * zygotes, while we are small · the rest.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/slice.h"
#include "daemon/act_log.h"
#include "daemon/adoption.h"
#include "daemon/api.h"
#include "daemon/api_audit.h"
#include "daemon/api_birth.h"
#include "daemon/api_hits.h"
#include "daemon/api_log.h"
#include "daemon/api_step.h"
#include "daemon/api_vm.h"
#include "daemon/api_wait.h"
#include "daemon/api_world.h"
#include "daemon/audit.h"
#include "daemon/cgroup_limits.h"
#include "daemon/client_conn.h"
#include "daemon/config.h"
#include "daemon/cpu_latency.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/facts.h"
#include "daemon/fd_store.h"
#include "daemon/freezer.h"
#include "daemon/look_queue.h"
#include "daemon/pause.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/service.h"
#include "daemon/state.h"
#include "daemon/status_line.h"
#include "daemon/strays.h"
#include "daemon/vm_journal.h"
#include "daemon/vm_units.h"
#include "daemon/worlds.h"
#include "daemon/zygote_client.h"

/* How long an ordered end waits for workers to be reaped. They were killed: it is the kernel's
 * time. */
#define SHUTDOWN_S 10
#define TIMERS_WITH_ROOM 4096u
#define SLICE_NS 100000u
/* The least time between two lines of status: a storm of events is none of lines. */
#define STATUS_US 100000
/* Exit status when the command line or a configuration file is wrong. */
#define EXIT_USAGE 2

static const char *const engines[] = {"mozjs", "fake"};
#define N_ENGINES (sizeof engines / sizeof engines[0])

struct daemon {
    int argc;
    char **argv;
    struct config config;
    struct service *service;
    struct access_rules rules;
    struct event_base *base;
    struct act_log *act_log;
    struct vm_journals *vm_journals;
    struct event_bus *bus;
    struct cpu_latency *cpu_latency;
    struct freezer *freezer;
    struct worker_host host;
    struct registry *registry;
    struct strays *strays;
    struct worlds *worlds;
    struct debuggers *debuggers;
    struct pauses *pauses;
    struct audit *audit;
    struct state *state;
    struct vm_units *units;
    struct adoption *adoption; /* NULL: VMs end with us */
    struct client_conns *clients;
    struct api_clients client_ops;
    struct api api;
    struct zygote_client *zygotes[N_ENGINES];
    int programs[N_ENGINES]; /* -1: no such engine here */
    int socket_fd, observe_fd, lifeline[2];
    uint64_t private_client;
    struct event *on_term, *on_int, *on_hup, *give_up, *status;
    struct event_listener *state_listener;
    uint64_t state_cursor;
    bool ending, leaving;      /* leaving: VMs stay, for the next daemon */
    bool reload_failed;        /* and what was in force still is */
    bool handed;               /* sockets came from the service manager: none is bound by us */
    bool bound, bound_observe; /* socket files that are ours to remove */
};

/* ---- before we become ordinary */

/* Whoever has a role has to come as far as the socket: who that is, is then asked of the kernel. */
static void check_folder(const char *dir, bool shared)
{
    struct stat st;
    if (shared && stat(dir, &st) == 0 && !(st.st_mode & S_IXOTH))
        record_write(LOG_WARNING, MESSAGE_SOCKET_UNREACHABLE, NULL,
                     "groups have been given roles, and their members cannot enter %s (chmod o+x)",
                     dir);
}

static int listen_at(const char *path, uid_t uid, gid_t gid, bool shared)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL,
                     "socket path '%s' is longer than %zu bytes", path,
                     sizeof address.sun_path - 1);
        return -ENAMETOOLONG;
    }
    strcpy(address.sun_path, path);
    _cleanup_free_ char *copy = strdup(path);
    const char *dir = copy ? dirname(copy) : "/";
    if (mkdir(dir, 0700) == 0) {
        if (shared && chmod(dir, 0755) < 0)
            record_write(LOG_WARNING, MESSAGE_SOCKET_UNREACHABLE, NULL,
                         "cannot open %s for others: %m", dir);
        if (geteuid() == 0 && chown(dir, uid, gid) < 0)
            record_write(LOG_WARNING, MESSAGE_SOCKET_UNREACHABLE, NULL,
                         "cannot give %s to uid %u: %m", dir, (unsigned)uid);
    } else if (errno != EEXIST) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "cannot make directory %s: %m", dir);
        return -errno;
    }
    check_folder(dir, shared);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "%s exists and is no socket", path);
        return -EEXIST;
    }
    /* A socket file whose daemon is gone refuses; one that answers belongs to somebody. */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "another daemon serves %s", path);
        return -EADDRINUSE;
    }
    if (errno == ECONNREFUSED)
        unlink(path);
    mode_t mask = umask(shared ? 0111 : 0177);
    int r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    umask(mask);
    if (r == 0 && geteuid() == 0 && chown(path, uid, gid) < 0)
        r = -errno;
    if (r == 0 && listen(fd, 128) < 0)
        r = -errno;
    if (r < 0) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "cannot listen at %s: %s", path,
                     strerror(-r));
        return r;
    }
    return TAKE_FD(fd);
}

static int open_program(const char *dir, const char *engine)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/stillpoint-worker-%s", dir, engine);
    return n < (int)sizeof path ? open(path, O_PATH | O_CLOEXEC) : -1;
}

/* Beside us when we run from a build directory, else where they are installed. */
static void open_programs(struct daemon *d)
{
    char self[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    const char *beside = n > 0 ? dirname(self) : "/";
    for (size_t i = 0; i < N_ENGINES; i++) {
        const char *given = d->config.worker_dir;
        d->programs[i] = open_program(given ? given : beside, engines[i]);
        if (d->programs[i] < 0 && !given)
            d->programs[i] = open_program(STILLPOINT_LIBEXECDIR, engines[i]);
    }
}

/* *ret_shared: it is a user that others run as, too, and so is nobody whom to trust. */
static const struct passwd *find_user(const struct config *config, bool *ret_shared)
{
    const char *wanted = config->user;
    const struct passwd *p = getpwnam(wanted ? wanted : "stillpoint");
    *ret_shared = false;
    if (!p && !wanted) {
        p = getpwnam("nobody");
        *ret_shared = true;
    }
    if (!p) {
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s: there is no user '%s'",
                     config_place(config, &config->user), wanted ? wanted : "nobody");
    } else if (p->pw_uid == 0) {
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s: the user to become must not be root",
                     config_place(config, &config->user));
        p = NULL;
    }
    return p;
}

static bool is_user(const char *name, uid_t uid)
{
    const struct passwd *p = getpwnam(name);
    return p && p->pw_uid == uid;
}

/* For good: all three ids, no groups, and the way back is tried. */
static int become(uid_t uid, gid_t gid)
{
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "cannot become uid %u: %m",
                     (unsigned)uid);
        return -errno;
    }
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "could become root again");
        return -EPERM;
    }
    return 0;
}

/* A short time slice of our own (Linux 6.12, no privilege needed): whoever conducts a stop should
 * get a CPU at once, and not be put off by the watchers that it wakes, which have the same. Without
 * it, and without a real-time priority from the service manager, stops are only slower. */
static void quicken(void)
{
    if (sched_getscheduler(0) == SCHED_OTHER)
        (void)slice_request(SLICE_NS, getpriority(PRIO_PROCESS, 0));
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Returns 1 if the service manager has handed us the sockets; then there are no others. */
static int take_sockets(struct daemon *d)
{
    int control = service_take_socket(d->service, "control");
    int observe = service_take_socket(d->service, "observe");
    d->socket_fd = control < 0 ? -1 : control;
    d->observe_fd = observe < 0 ? -1 : observe;
    if (control == -ENOENT && observe == -ENOENT)
        return 0;
    if (control == -ENOENT)
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL,
                     "the service manager has handed us no socket named control");
    if (control < 0 || (observe < 0 && observe != -ENOENT))
        return -EINVAL;
    d->handed = true;
    return fd_nonblock(control) < 0 || (observe >= 0 && fd_nonblock(observe) < 0) ? -EINVAL : 1;
}

static int listen_for_clients(struct daemon *d, uid_t owner, gid_t group)
{
    int r = take_sockets(d);
    service_close_rest(d->service);
    if (r != 0)
        return r < 0 ? r : 0;
    bool shared = access_is_shared(&d->rules);
    d->socket_fd = listen_at(d->config.socket_path, owner, group, shared);
    d->bound = d->socket_fd >= 0;
    if (d->socket_fd < 0 || !d->config.observe_path)
        return d->socket_fd < 0 ? d->socket_fd : 0;
    d->observe_fd = listen_at(d->config.observe_path, owner, group, shared);
    d->bound_observe = d->observe_fd >= 0;
    return d->observe_fd < 0 ? d->observe_fd : 0;
}

/* Below a directory of the administrator's, where an ordinary user makes none. What cannot be made
 * is told when it is needed. */
static void make_state_dir(const struct config *c, uid_t uid, gid_t gid)
{
    if (geteuid() == 0 && c->vms_dir && access(c->vms_dir, F_OK) == 0 &&
        mkdir(c->state_dir, 0755) == 0 && chown(c->state_dir, uid, gid) < 0)
        record_write(LOG_WARNING, MESSAGE_SOCKET_UNREACHABLE, NULL, "cannot give %s to uid %u: %m",
                     c->state_dir, (unsigned)uid);
}

struct who {
    uid_t uid, owner; /* who we are to be, and who has all roles */
    gid_t gid, owner_group;
};

/* -EINVAL: the configuration says what cannot be, and that was said. */
static int settle_who(struct daemon *d, struct who *ret)
{
    *ret = (struct who){geteuid(), geteuid(), getegid(), getegid()};
    if (ret->uid == 0) {
        bool shared;
        const struct passwd *user = find_user(&d->config, &shared);
        if (!user)
            return -EINVAL;
        ret->uid = user->pw_uid;
        ret->gid = user->pw_gid;
        if (!shared) {
            ret->owner = ret->uid;
            ret->owner_group = ret->gid;
        }
    } else if (d->config.user && !is_user(d->config.user, ret->uid)) {
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL,
                     "%s: to become another user needs a start as root",
                     config_place(&d->config, &d->config.user));
        return -EINVAL;
    }
    if (d->config.private_fd < 0)
        d->config.owner_uid = ret->owner;
    return access_rules_init(&d->rules, &d->config);
}

static int prepare(struct daemon *d, const struct who *who)
{
    raise_descriptor_limit();
    if (d->config.private_fd < 0 && service_notify_fd(d->service) >= 0) {
        if (d->config.keep_vms)
            d->adoption = adoption_new(d->service);
        if (d->config.keep_vms ? !d->adoption : adoption_refuse(d->service) < 0)
            return -ENOMEM;
    }
    open_programs(d);
    d->cpu_latency = cpu_latency_new(CPU_LATENCY_DEVICE, d->config.cpu_latency_us);
    if (!d->cpu_latency)
        return -ENOMEM;
    make_state_dir(&d->config, who->owner, who->owner_group);
    int r = d->config.private_fd < 0 ? listen_for_clients(d, who->owner, who->owner_group) : 0;
    if (r < 0)
        return r;
    d->freezer =
        d->adoption ? freezer_new_kept(who->uid, who->gid, d->handed ? NULL : d->config.socket_path)
                    : freezer_new(who->uid, who->gid);
    if (!d->freezer)
        return -ENOMEM;
    if (geteuid() == 0)
        r = become(who->uid, who->gid);
    return r;
}

/* ---- wiring */

static struct zygote_client *find_zygote(void *userdata, const char *engine)
{
    struct daemon *d = userdata;
    for (size_t i = 0; i < N_ENGINES; i++)
        if (strcmp(engines[i], engine) == 0)
            return d->zygotes[i];
    return NULL;
}

static struct stop_world *find_world_for_api(void *userdata, const char *name)
{
    const struct api *api = userdata;
    struct world *w = worlds_get(api->worlds, name, false);
    return w ? world_stop_half(w) : NULL;
}

static struct zygote_client *find_zygote_for_api(void *userdata, const char *engine)
{
    struct api *api = userdata;
    return find_zygote(api->userdata, engine);
}

static void on_spawned(void *userdata, uint64_t spawn_id, const struct zygote_birth *birth)
{
    struct daemon *d = userdata;
    registry_spawned(d->registry, spawn_id, birth);
}

static void on_zygote_lost(void *userdata, const char *engine, const char *why)
{
    struct daemon *d = userdata;
    const struct event e = {
        .kind = EVENT_ZYGOTE_LOST, .name = engine, .uid = EVENT_NO_UID, .detail = why};
    event_bus_publish(d->bus, &e);
}

static void on_strays(void *userdata)
{
    struct daemon *d = userdata;
    strays_end(d->strays);
}

static const struct zygote_client_events zygote_events = {on_spawned, on_zygote_lost, on_strays};

static bool is_known(void *userdata, pid_t pid)
{
    struct daemon *d = userdata;
    for (size_t i = 0; i < N_ENGINES; i++)
        if (d->zygotes[i] && zygote_client_has(d->zygotes[i], pid))
            return true;
    return registry_has_pid(d->registry, pid) || client_conns_is_its_process(d->clients, pid);
}

static bool is_quiet(void *userdata)
{
    const struct daemon *d = userdata;
    for (size_t i = 0; i < N_ENGINES; i++)
        if (d->zygotes[i] && !zygote_client_is_quiet(d->zygotes[i]))
            return false;
    return true;
}

static void on_request(void *userdata, struct api_call *call)
{
    struct api *api = userdata;
    api_handle(call);
    debuggers_settle(api->debuggers);
}

static void end_loop(struct daemon *d, const char *why)
{
    if (d->ending)
        return;
    d->ending = true;
    log_debug("ending: %s", why);
    service_stopping(d->service);
    vm_units_end(d->units);
    registry_end_spare(d->registry);
    /* Why we are to end is not known to us: whoever started us ends the VMs if none follows. */
    d->leaving = d->adoption != NULL;
    if (d->leaving) {
        event_base_loopbreak(d->base);
        return;
    }
    for (struct worker *w = registry_after(d->registry, 0); w;
         w = registry_after(d->registry, w->id))
        worker_kill(w, EXIT_REASON_KILLED, "the daemon ended");
    struct timeval most = {.tv_sec = SHUTDOWN_S};
    event_add(d->give_up, &most);
    if (registry_alive(d->registry) == 0)
        event_base_loopbreak(d->base);
}

static void on_client_gone(void *userdata, uint64_t client)
{
    struct api *api = userdata;
    struct daemon *d = api->userdata;
    api_vm_on_client_gone(api, client);
    debuggers_on_client_gone(api->debuggers, client);
    if (client == d->private_client)
        end_loop(d, "the private client is gone");
}

static void on_client_drained(void *userdata, uint64_t client)
{
    api_log_on_client_drained(userdata, client);
}

static void say_kept(int r)
{
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_STATE_NOT_KEPT, NULL, "cannot keep the state: %s",
                     strerror(-r));
}

/* Whatever is published is put down first for the next daemon, then looked at by those who wait. */
static void put_down(struct daemon *d, const struct event *e)
{
    const struct worker *w;
    const struct world *world;
    const struct vm_units_item *u;
    int r = 0;
    switch (e->kind) {
    case EVENT_VM_BORN:
    case EVENT_VM_HELD:
    case EVENT_VM_RELEASED:
    case EVENT_VM_PAUSED:
        w = registry_find(d->registry, e->vm);
        r = w ? state_put_vm(d->state, w) : 0;
        break;
    case EVENT_VM_ENDED:
        w = registry_find(d->registry, e->vm);
        r = w ? state_put_vm(d->state, w) : state_put_vm_gone(d->state, e->vm);
        if (d->adoption)
            worker_keep_no_more(e->vm);
        break;
    case EVENT_WORLD_MADE:
        world = d->adoption ? worlds_get(d->worlds, e->world, false) : NULL;
        r = world ? world_keep(worlds_get(d->worlds, e->world, false)) : 0;
        if (r < 0)
            record_write(LOG_ERR, MESSAGE_STATE_NOT_KEPT, RECORD_WORLD(e->world),
                         "world %s cannot be kept for the next daemon: %s", e->world, strerror(-r));
        /* fallthrough */
    case EVENT_WORLD_STOPPING:
    case EVENT_WORLD_STOPPED:
    case EVENT_WORLD_RESUMED:
    case EVENT_WORLD_RUN_ONE:
    case EVENT_TARGET_CHANGED:
    case EVENT_LEASE_CHANGED:
        world = worlds_get(d->worlds, e->world, false);
        r = world ? state_put_world(d->state, world) : 0;
        w = d->adoption && e->vm != 0 ? registry_find(d->registry, e->vm) : NULL;
        if (r == 0 && w)
            r = state_put_vm(d->state, w); /* with its step */
        break;
    case EVENT_WORLD_GONE:
        r = state_put_world_gone(d->state, e->world);
        if (d->adoption)
            fd_store_drop("world-%s", e->world);
        break;
    case EVENT_UNIT_CHANGED:
        u = vm_units_find(d->units, e->name);
        r = u ? state_put_unit(d->state, u) : 0;
        break;
    default:
        break;
    }
    say_kept(r);
}

static void follow_debuggers(struct daemon *d)
{
    cpu_latency_hold(d->cpu_latency, debuggers_any_open(d->debuggers));
}

static void on_debugger_changed(void *userdata, const struct debugger *debugger)
{
    struct daemon *d = userdata;
    int r = d->state ? state_put_debugger(d->state, debugger) : 0;
    say_kept(r);
    follow_debuggers(d);
}

static void on_debugger_gone(void *userdata, uint64_t id)
{
    struct daemon *d = userdata;
    if (d->audit)
        audit_on_debugger_gone(d->audit, id);
    int r = d->state ? state_put_debugger_gone(d->state, id) : 0;
    say_kept(r);
    follow_debuggers(d);
}

static void on_hook_set(void *userdata, const struct audit_hook *h)
{
    struct daemon *d = userdata;
    int r = state_put_hook(d->state, h);
    say_kept(r);
}

static void on_hook_gone(void *userdata, uint64_t id)
{
    struct daemon *d = userdata;
    int r = state_put_hook_gone(d->state, id);
    say_kept(r);
}

static void on_hook_settled(void *userdata, void *waiter, const struct worker *w, unsigned kind,
                            const struct audit_failure *why)
{
    (void)userdata;
    api_audit_on_settled(waiter, w, kind, why);
}

static void on_orphans(void *userdata)
{
    struct daemon *d = userdata;
    api_audit_on_orphans(&d->api);
}

static int find_hook(void *userdata, uint64_t vm, uint64_t hook, struct pause_hook *ret)
{
    struct daemon *d = userdata;
    const struct audit_part *part = audit_find_part(d->audit, vm, hook);
    *ret = (struct pause_hook){0};
    const struct worker *w = part ? NULL : registry_find(d->registry, vm);
    if (!part)
        return audit_awaits_pause(d->audit, vm, hook) ||
                       (w && audit_is_of_before(d->audit, w, hook))
                   ? 0
                   : -ENOENT;
    if (part->hook)
        *ret = (struct pause_hook){part->hook->debugger,
                                   (enum pause_suspend)part->hook->wire->suspend};
    return 0;
}

static void on_decided(void *userdata, struct worker *w, uint64_t pause,
                       pause_verdict_function *verdict, void *verdict_userdata)
{
    struct daemon *d = userdata;
    audit_pause_decided(d->audit, w, pause, verdict, verdict_userdata);
}

static void on_hits(void *userdata, uint64_t debugger)
{
    struct daemon *d = userdata;
    api_hits_on_hits(&d->api, debugger);
}

static void on_news(void *userdata)
{
    struct daemon *d = userdata;
    const struct event *e;
    uint64_t dropped;
    debuggers_settle(d->debuggers);
    while ((e = event_bus_next(d->bus, &d->state_cursor, ~UINT64_C(0), &dropped)) != NULL)
        put_down(d, e);
    if (d->api.poll)
        event_active(d->api.poll, 0, 0);
    if (service_is_watched(d->service) && !event_pending(d->status, EV_TIMEOUT, NULL))
        event_add(d->status, &(const struct timeval){.tv_usec = STATUS_US});
    if (d->ending && registry_alive(d->registry) == 0)
        event_base_loopbreak(d->base);
}

static void on_poll(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct daemon *d = userdata;
    api_wait_recheck(&d->api);
    api_step_recheck(&d->api);
    api_world_recheck(&d->api);
    if (d->ending && registry_alive(d->registry) == 0)
        event_base_loopbreak(d->base);
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
    (void)what;
    end_loop(userdata, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void tell_status(struct daemon *d)
{
    char line[384];
    status_line_write(d->registry, d->worlds, line, sizeof line);
    service_status(d->service, "%s%s%s", d->ending ? "ending: " : "", line,
                   d->reload_failed ? "; the configuration has errors, and is the one before" : "");
}

static void on_status(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    tell_status(userdata);
}

/* Sockets of our own have the mode that goes with the groups. */
static void open_or_close_sockets(const struct daemon *d)
{
    mode_t mode = access_is_shared(&d->rules) ? 0666 : 0600;
    if ((d->bound && chmod(d->config.socket_path, mode) < 0) ||
        (d->bound_observe && chmod(d->config.observe_path, mode) < 0))
        record_write(LOG_WARNING, MESSAGE_SOCKET_UNREACHABLE, NULL,
                     "cannot change the mode of the sockets: %m");
}

static int reload(struct daemon *d)
{
    struct config next;
    struct access_rules rules;
    int r = config_load(&next, d->argc, d->argv);
    next.owner_uid = d->config.owner_uid;
    if (r == 0)
        r = access_rules_init(&rules, &next);
    if (r == 0) {
        config_take(&d->config, &next);
        d->rules = rules;
        log_init("stillpointd", d->config.debug);
        open_or_close_sockets(d);
    }
    config_done(&next);
    return r;
}

static void reload_units(struct daemon *d)
{
    struct vm_units_changes changes;
    int r = vm_units_reload(d->units, &changes);
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_UNIT_WRONG, NULL, "cannot read the units: %s", strerror(-r));
    else if (changes.added || changes.changed || changes.removed || changes.wrong)
        record_write(LOG_NOTICE, MESSAGE_UNITS_READ, NULL,
                     "units: %u added, %u changed, %u removed, %u with errors", changes.added,
                     changes.changed, changes.removed, changes.wrong);
}

static void on_reload(evutil_socket_t number, short what, void *userdata)
{
    (void)number, (void)what;
    struct daemon *d = userdata;
    if (d->ending)
        return;
    service_reloading(d->service);
    int r = reload(d);
    d->reload_failed = r < 0;
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL,
                     "the configuration has errors: what was in force still is");
    else
        record_write(LOG_NOTICE, MESSAGE_CONFIG_IN_FORCE, NULL,
                     "the configuration is in force (read: %s)",
                     d->config.files ? d->config.files : "no file");
    reload_units(d);
    tell_status(d);
    service_ready(d->service);
}

static void on_give_up(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct daemon *d = userdata;
    record_write(LOG_ERR, MESSAGE_NOT_REAPED, NULL, "%zu workers could not be reaped in %d s",
                 registry_alive(d->registry), SHUTDOWN_S);
    event_base_loopbreak(d->base);
}

/* libevent keeps the timers that are set in an array, which grows and never shrinks. With room for
 * so many from the start, a deadline is not lost when there is no memory later. */
static int make_room_for_timers(struct event_base *base)
{
    struct timeval never = {.tv_sec = 3600};
    const size_t size = event_get_struct_event_size();
    char *all = calloc(TIMERS_WITH_ROOM, size);
    size_t n = 0;
    for (; all && n < TIMERS_WITH_ROOM; n++) {
        struct event *timer = (struct event *)(all + n * size);
        event_assign(timer, base, -1, 0, on_give_up, NULL);
        if (event_add(timer, &never) < 0)
            break;
    }
    for (size_t i = 0; i < n; i++)
        event_del((struct event *)(all + i * size));
    free(all);
    return n == TIMERS_WITH_ROOM ? 0 : -ENOMEM;
}

static struct event_base *make_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    if (base && make_room_for_timers(base) < 0) {
        event_base_free(base);
        return NULL;
    }
    return base;
}

static int start_zygotes(struct daemon *d)
{
    for (size_t i = 0; i < N_ENGINES; i++) {
        if (d->programs[i] < 0)
            continue;
        d->zygotes[i] = zygote_client_new(d->base, engines[i], TAKE_FD(d->programs[i]),
                                          d->config.spawn == CONFIG_SPAWN_EXEC, &zygote_events, d);
        if (!d->zygotes[i]) {
            record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL,
                         "cannot start the zygote of engine %s: %m", engines[i]);
            return -errno;
        }
    }
    if (!d->zygotes[0]) {
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL,
                     "stillpoint-worker-%s was not found beside stillpointd or in %s", engines[0],
                     STILLPOINT_LIBEXECDIR);
        return -ENOENT;
    }
    return 0;
}

static bool is_name_of_unit(void *userdata, const char *name)
{
    const struct api *api = userdata;
    return vm_units_find(api->units, name) != NULL;
}

static struct vm_units *make_units(struct daemon *d, struct vm_units_config config)
{
    struct vm_units_changes changes;
    config.registry = d->registry;
    struct vm_units *units = vm_units_new(&config);
    if (units && vm_units_reload(units, &changes) < 0)
        units = vm_units_free(units);
    return units;
}

static struct adoption_owners adoption_owners(const struct daemon *d)
{
    return (struct adoption_owners){.base = d->base,
                                    .bus = d->bus,
                                    .freezer = d->freezer,
                                    .registry = d->registry,
                                    .worlds = d->worlds,
                                    .debuggers = d->debuggers,
                                    .audit = d->audit,
                                    .pauses = d->pauses,
                                    .state = d->state,
                                    .lifeline_fd = d->lifeline[0],
                                    .patience_ms = (uint32_t)(d->config.adoption_us / 1000)};
}

static int go_on(struct daemon *d)
{
    const struct adoption_owners owners = adoption_owners(d);
    /* Of a daemon that is gone they are open until their clients had time to come back. */
    follow_debuggers(d);
    if (!d->adoption)
        return 0;
    int r = adoption_keep(d->adoption, &owners);
    if (r == 0)
        adoption_begin(d->adoption, &owners);
    return r;
}

static int build(struct daemon *d)
{
    d->base = make_base();
    if (!d->base || pipe2(d->lifeline, O_CLOEXEC) < 0)
        return -ENOMEM;
    int r = start_zygotes(d);
    if (r < 0)
        return r;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    d->act_log = act_log_new(d->base, d->config.private_fd >= 0);
    /* A private daemon's VMs are attached to its client, who has what they write. */
    d->vm_journals = log_is_journal() && d->config.private_fd < 0
                         ? vm_journals_new(d->base, &d->config.journal)
                         : NULL;
    d->bus = d->act_log ? event_bus_new() : NULL;
    if (d->bus && d->adoption)
        adoption_read_events(d->adoption, d->bus);
    if (d->bus)
        d->worlds = d->adoption ? worlds_new_kept(d->base, d->bus) : worlds_new(d->base, d->bus);
    d->host = (struct worker_host){
        .base = d->base, .freezer = d->freezer, .looks = look_queue_new(d->base)};
    if (!d->host.looks)
        return -ENOMEM;
    const struct registry_config registry = {.host = &d->host,
                                             .lifeline_fd = d->lifeline[0],
                                             .events = &facts_worker_events,
                                             .userdata = &d->api,
                                             .quota = &d->config.quota,
                                             .total = &d->config.total,
                                             .keeps_spare = d->config.spare &&
                                                            d->config.spawn == CONFIG_SPAWN_ZYGOTE,
                                             .world = find_world_for_api,
                                             .zygote = find_zygote_for_api,
                                             .is_kept = is_name_of_unit};
    const struct vm_units_config units = {.base = d->base,
                                          .bus = d->bus,
                                          .folder = d->config.vms_dir,
                                          .state_dir = d->config.state_dir,
                                          .owner_uid = d->config.owner_uid,
                                          .start = api_birth_unit,
                                          .userdata = &d->api};
    d->registry = registry_new(&registry);
    const struct debuggers_events debuggers = {
        .on_changed = on_debugger_changed, .on_gone = on_debugger_gone, .userdata = d};
    const struct strays_events strays = {is_known, is_quiet, d};
    d->strays = strays_new(d->base, &strays);
    d->debuggers = d->worlds && d->registry && d->strays
                       ? debuggers_new(d->worlds, d->registry, &debuggers)
                       : NULL;
    if (d->debuggers)
        debuggers_set_quota(d->debuggers, &d->config.quota.debuggers);
    const struct audit_events audit = {.on_hook_set = on_hook_set,
                                       .on_hook_gone = on_hook_gone,
                                       .on_settled = on_hook_settled,
                                       .on_orphans = on_orphans,
                                       .on_hits = on_hits,
                                       .userdata = d};
    d->audit = d->debuggers ? audit_new(d->registry, d->worlds, d->debuggers, &audit) : NULL;
    d->pauses = d->audit ? pauses_new(d->worlds, d->debuggers, d->bus) : NULL;
    if (d->pauses)
        pauses_set_events(d->pauses, &(const struct pauses_events){find_hook, on_decided, d});
    const struct adoption_owners owners = adoption_owners(d);
    r = d->pauses && d->adoption ? adoption_make(d->adoption, &owners) : 0;
    if (r < 0)
        return r;
    d->state_cursor = d->bus ? event_bus_last(d->bus) : 0;
    d->state = d->pauses ? state_new(d->registry, d->worlds, d->debuggers, d->audit) : NULL;
    const struct client_conns_config clients = {.base = d->base,
                                                .bus = d->bus,
                                                .rules = &d->rules,
                                                .act_log = d->act_log,
                                                .quota = &d->config.quota,
                                                .total = &d->config.total,
                                                .on_request = on_request,
                                                .on_gone = on_client_gone,
                                                .on_drained = on_client_drained,
                                                .api = &d->api};
    d->units = d->state ? make_units(d, units) : NULL;
    if (d->units && d->adoption)
        adoption_make_units(d->adoption, d->units);
    if (d->units)
        state_set_units(d->state, d->units);
    d->clients = d->units ? client_conns_new(&clients) : NULL;
    d->state_listener = d->clients ? event_bus_listen(d->bus, on_news, d) : NULL;
    d->on_term = evsignal_new(d->base, SIGTERM, on_signal, d);
    d->on_int = evsignal_new(d->base, SIGINT, on_signal, d);
    d->on_hup = evsignal_new(d->base, SIGHUP, on_reload, d);
    d->give_up = event_new(d->base, -1, 0, on_give_up, d);
    d->status = event_new(d->base, -1, 0, on_status, d);
    d->api.poll = event_new(d->base, -1, 0, on_poll, d);
    if (!d->state_listener || !d->on_term || !d->on_int || !d->on_hup || !d->give_up ||
        !d->status || !d->api.poll || event_add(d->on_term, NULL) < 0 ||
        event_add(d->on_int, NULL) < 0)
        return -ENOMEM;
    /* A private daemon has read nothing, and a terminal that goes ends its client. */
    if (d->config.private_fd < 0 && event_add(d->on_hup, NULL) < 0)
        return -ENOMEM;
    client_conns_ops(d->clients, &d->client_ops);
    d->api.base = d->base;
    d->api.config = &d->config;
    d->api.rules = &d->rules;
    d->api.act_log = d->act_log;
    d->api.vm_journals = d->vm_journals;
    d->api.bus = d->bus;
    d->api.freezer = d->freezer;
    d->api.cpu_latency = d->cpu_latency;
    d->api.registry = d->registry;
    d->api.worlds = d->worlds;
    d->api.debuggers = d->debuggers;
    d->api.pauses = d->pauses;
    d->api.audit = d->audit;
    d->api.state = d->state;
    d->api.units = d->units;
    d->api.clients = &d->client_ops;
    d->api.zygote = find_zygote;
    d->api.userdata = d;
    d->api.started_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    LIST_INIT(&d->api.pendings);
    if (d->adoption) {
        d->api.next_call = adoption_first_number(d->adoption);
        d->api.adoption_ms = (uint32_t)(d->config.adoption_us / 1000);
    }
    return go_on(d);
}

static void say_what_workers_lack(const struct freezer *f)
{
    const char *why = freezer_why_degraded(f);
    char missing[64];
    cgroup_limits_text(~freezer_controllers(f), missing, sizeof missing);
    if (why)
        record_write(LOG_NOTICE, MESSAGE_LIMITS_MISSING, NULL,
                     "workers get no cgroups of their own: %s", why);
    else if (missing[0])
        record_write(LOG_NOTICE, MESSAGE_LIMITS_MISSING, NULL,
                     "workers get no cgroup limits of %s: no such controllers here", missing);
}

static int serve(struct daemon *d)
{
    if (d->config.private_fd >= 0) {
        d->private_client = client_conns_add(d->clients, d->config.private_fd, ACCESS_ALL);
        if (d->private_client == 0)
            return -ENOTSOCK;
    } else if (client_conns_listen(d->clients, TAKE_FD(d->socket_fd), ACCESS_ALL) < 0 ||
               (d->observe_fd >= 0 &&
                client_conns_listen(d->clients, TAKE_FD(d->observe_fd), ACCESS_OBSERVE) < 0)) {
        return -ENOMEM;
    }
    int r = service_attach(d->service, d->base);
    if (r < 0)
        return r;
    vm_units_begin(d->units);
    tell_status(d);
    service_ready(d->service);
    if (d->config.private_fd < 0) {
        record_write(LOG_INFO, MESSAGE_SERVING, NULL, "serving %s as uid %u",
                     d->handed ? "the service manager's sockets" : d->config.socket_path,
                     (unsigned)geteuid());
        say_what_workers_lack(d->freezer);
    }
    event_base_dispatch(d->base);
    return 0;
}

static void take_down(struct daemon *d)
{
    /* Left to right of what points to what: gates leave their worlds, tickets answer their clients.
     */
    struct pending *p;
    if (d->bus)
        d->state_listener = event_bus_unlisten(d->bus, d->state_listener);
    api_audit_done(&d->api);
    d->api.audit = d->audit = audit_free(d->audit);
    d->strays = strays_free(d->strays);
    d->vm_journals = vm_journals_free(d->vm_journals);
    d->units = vm_units_free(d->units);
    d->api.units = NULL;
    d->registry = registry_free(d->registry);
    d->worlds = worlds_free(d->worlds);
    d->pauses = pauses_free(d->pauses);
    d->debuggers = debuggers_free(d->debuggers);
    while (d->api.clients && (p = LIST_FIRST(&d->api.pendings)) != NULL)
        api_pending_free(p);
    d->clients = client_conns_free(d->clients);
    d->state = state_free(d->state);
    d->adoption = adoption_free(d->adoption);
    d->bus = event_bus_free(d->bus);
    d->act_log = act_log_free(d->act_log);
    for (size_t i = 0; i < N_ENGINES; i++) {
        d->zygotes[i] = zygote_client_free(d->zygotes[i]);
        fd_close(&d->programs[i]);
    }
    d->host.looks = look_queue_free(d->host.looks);
    d->cpu_latency = cpu_latency_free(d->cpu_latency);
    d->freezer = freezer_free(d->freezer); /* after all who were born in its directory */
    d->service = service_free(d->service);
    struct event *events[] = {d->on_term, d->on_int, d->on_hup, d->give_up, d->status, d->api.poll};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            event_free(events[i]);
    if (d->base)
        event_base_free(d->base);
    fd_close(&d->lifeline[0]);
    fd_close(&d->lifeline[1]);
    fd_close(&d->socket_fd);
    fd_close(&d->observe_fd);
    if (d->bound)
        unlink(d->config.socket_path);
    if (d->bound_observe)
        unlink(d->config.observe_path);
    config_done(&d->config);
}

/* As a daemon that is killed, which nobody could tell from this one: that way all is kept at any
 * time. */
static _Noreturn void leave(const struct daemon *d, int r)
{
    if (d->bound)
        unlink(d->config.socket_path);
    if (d->bound_observe)
        unlink(d->config.observe_path);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    static struct daemon d = {
        .socket_fd = -1, .observe_fd = -1, .lifeline = {-1, -1}, .programs = {-1, -1}};
    log_init("stillpointd", false);
    int r = config_load(&d.config, argc, argv);
    if (r != 0) {
        config_done(&d.config);
        return r > 0 ? EXIT_SUCCESS : r == -ENOMEM ? EXIT_FAILURE : EXIT_USAGE;
    }
    log_init("stillpointd", d.config.debug);
    d.argc = argc;
    d.argv = argv;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until the loop is there: there is nothing to read again */
    prctl(PR_SET_TIMERSLACK, 1);
    quicken();
    d.service = service_new();
    struct who who;
    r = d.service ? settle_who(&d, &who) : -ENOMEM;
    if (d.config.check || r == -EINVAL) {
        if (r == 0)
            printf("stillpointd: the configuration is right (read: %s)\n",
                   d.config.files ? d.config.files : "no file");
        service_free(d.service);
        config_done(&d.config);
        return r == 0 ? EXIT_SUCCESS : EXIT_USAGE;
    }
    if (r == 0)
        r = prepare(&d, &who);
    if (r == 0)
        r = build(&d);
    if (r == 0)
        r = serve(&d);
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL, "cannot start: %s", strerror(-r));
    /* VMs that the next daemon will have are not ours to end, nor is what was kept of them. */
    if (d.adoption && (d.leaving || r < 0))
        leave(&d, r);
    take_down(&d);
    libevent_global_shutdown();
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

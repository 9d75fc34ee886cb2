/*
 * Hooks over the daemon's real objects, from a client's request to what workers are told and back.
 * The clients and the worker ends are played here: a player reads the commands of its channel,
 * and says what it is told to say.
 */
#include "tests/support/timers.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/api.h"
#include "daemon/api_audit.h"
#include "daemon/api_hits.h"
#include "daemon/api_vm.h"
#include "daemon/audit.h"
#include "daemon/config.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/facts.h"
#include "daemon/fd_store.h"
#include "daemon/registry.h"
#include "daemon/service.h"
#include "daemon/state.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"
#include "shared-mem/map.h"

typedef Stillpoint__Api__Envelope Envelope;
typedef Stillpoint__Api__AddHooks AddHooks;

#define MAX_PLAYERS 6
#define MAX_HOOKS 64
#define UID 1000u

#define KIND(name) STILLPOINT__API__HOOK_KIND__HOOK_##name
#define API_BODY_OF(e) ((e)->body_case)

/* One VM, and what its worker has been told. */
struct player {
    struct worker *w;
    uint64_t id;
    pid_t pid;
    int channel;
    struct status_page *status;
    uint64_t hooks[MAX_HOOKS]; /* that it has */
    size_t n_hooks, n_hooks_at_load;
    uint64_t refuses; /* a kind that it cannot set */
    bool mute;        /* keeps its answers for later: say_late() */
    uint64_t late[32];
    size_t n_late;
    unsigned messages; /* SET_HOOKS, all */
    bool loaded;
    uint64_t seq;
};

struct reply {
    uint64_t client, request;
    Envelope *e;
};

static struct event_base *base;
static struct worker_host host;
static struct config config;
static struct api api;
static struct state *kept;
static struct player players[MAX_PLAYERS];
static size_t n_players;
static struct reply replies[64];
static size_t n_replies;
static uint64_t next_request;

/* ---- the zygote */

int zygote_client_spawn(struct zygote_client *z, Stillpoint__Worker__Spawn *spawn,
                        const int fds[ZYGOTE_FDS])
{
    (void)z;
    struct player *p = &players[n_players++];
    *p = (struct player){.id = spawn->vm, .channel = dup(fds[ZYGOTE_CHANNEL])};
    assert_int_equal(map_attach(fds[ZYGOTE_STATUS], MAP_WRITER_SELF, (void **)&p->status), 0);
    return 0;
}

pid_t zygote_client_pid(const struct zygote_client *z)
{
    (void)z;
    return 0;
}

static struct zygote_client *find_zygote(void *userdata, const char *engine)
{
    (void)userdata;
    return strcmp(engine, "fake") == 0 ? (struct zygote_client *)&api : NULL;
}

/* ---- clients */

static void take_reply(void *userdata, uint64_t client, Envelope *e, int fd)
{
    (void)userdata;
    assert_int_equal(fd, -1);
    size_t len = stillpoint__api__envelope__get_packed_size(e);
    uint8_t *packed = malloc(len + 1);
    stillpoint__api__envelope__pack(e, packed);
    assert_true(n_replies < sizeof replies / sizeof *replies);
    replies[n_replies++] =
        (struct reply){client, e->request_id, stillpoint__api__envelope__unpack(NULL, len, packed)};
    assert_non_null(replies[n_replies - 1].e);
    free(packed);
}

static const struct api_clients clients = {.send = take_reply};

/* The reply to this request, or NULL so far. */
static const Envelope *reply_to(uint64_t request)
{
    for (size_t i = 0; i < n_replies; i++)
        if (replies[i].request == request)
            return replies[i].e;
    return NULL;
}

static uint64_t ask(uint64_t client, Envelope *e)
{
    static const struct access_peer peer = {.uid = UID,
                                            .roles = ACCESS_OBSERVE | ACCESS_RUN | ACCESS_DEBUG};
    struct api_request request;
    struct api_error error;
    e->has_request_id = 1;
    e->request_id = ++next_request;
    size_t len = stillpoint__api__envelope__get_packed_size(e);
    uint8_t *packed = malloc(len + 1);
    stillpoint__api__envelope__pack(e, packed);
    int r = check_api_request(packed, len, &request, &error);
    free(packed);
    if (r < 0)
        fail_msg("refused: %s", error.message);
    struct api_call call = {
        .api = &api, .client = client, .peer = &peer, .request = &request, .fd = -1};
    api_handle(&call);
    debuggers_settle(api.debuggers);
    check_api_done(&request);
    return next_request;
}

/* ---- workers */

static struct worker_fact fact_of(struct player *p, enum worker_fact_kind kind)
{
    return (struct worker_fact){.seq = ++p->seq, .kind = kind};
}

static const char *tell(struct player *p, const struct worker_fact *f)
{
    return facts_worker_events.on_fact(&api, p->w, f);
}

static void answer(struct player *p, uint64_t request, const char *error)
{
    struct worker_fact f = fact_of(p, FACT_INSPECTED);
    f.inspected.request = request;
    f.inspected.error = error;
    f.inspected.refusal = error ? WORKER_REFUSED_UNSUPPORTED : 0;
    assert_null(tell(p, &f));
}

static bool has(const struct player *p, uint64_t hook)
{
    for (size_t i = 0; i < p->n_hooks; i++)
        if (p->hooks[i] == hook)
            return true;
    return false;
}

static void take_set_hooks(struct player *p, const Stillpoint__Worker__Inspect *m)
{
    bool fine = true;
    p->messages++;
    for (size_t i = 0; i < m->set_hooks->n_add; i++)
        fine &= m->set_hooks->add[i]->kind != p->refuses;
    for (size_t i = 0; fine && i < m->set_hooks->n_add; i++) {
        assert_false(has(p, m->set_hooks->add[i]->hook));
        p->hooks[p->n_hooks++] = m->set_hooks->add[i]->hook;
    }
    for (size_t i = 0; i < m->set_hooks->n_remove; i++)
        for (size_t k = 0; k < p->n_hooks; k++)
            if (p->hooks[k] == m->set_hooks->remove[i])
                p->hooks[k--] = p->hooks[--p->n_hooks];
    if (p->mute)
        p->late[p->n_late++] = m->request;
    else
        answer(p, m->request, fine ? NULL : "it cannot be set here");
}

static void take_command(struct player *p, const Stillpoint__Worker__Command *c)
{
    if (c->body_case == STILLPOINT__WORKER__COMMAND__BODY_LOAD) {
        p->loaded = true;
        p->n_hooks_at_load = p->n_hooks;
    } else if (c->body_case == STILLPOINT__WORKER__COMMAND__BODY_INSPECT) {
        assert_int_equal(c->inspect->kind, WORKER_INSPECT_SET_HOOKS);
        take_set_hooks(p, c->inspect);
    }
}

static bool read_commands(struct player *p)
{
    uint8_t packet[LIMIT_PACKET_BYTES];
    int fds[1];
    size_t n_fds = 1;
    ssize_t n = p->channel >= 0 ? fd_receive(p->channel, packet, sizeof packet, fds, &n_fds) : 0;
    if (n <= 0)
        return false;
    if (n_fds > 0)
        close(fds[0]);
    Stillpoint__Worker__Command *c = stillpoint__worker__command__unpack(NULL, (size_t)n, packet);
    assert_non_null(c);
    take_command(p, c);
    stillpoint__worker__command__free_unpacked(c, NULL);
    return true;
}

/* Until nobody has anything to do. */
static void turn(void)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        for (size_t i = 0; i < n_players; i++)
            while (read_commands(&players[i]))
                quiet = 0;
    }
}

static void say_late(struct player *p, const char *error)
{
    p->mute = false;
    while (p->n_late > 0)
        answer(p, p->late[--p->n_late], error);
    turn();
}

static void shows(struct player *p, enum shm_state state)
{
    uint64_t epoch = shm_world_epoch(atomic_load(&p->w->gate.world->page->word));
    atomic_store(&p->status->word, shm_status_word(epoch, state));
    if (p->w->phase == WORKER_ADMITTED)
        world_on_member_kicked(worlds_get(api.worlds, p->w->world, false), p->w);
}

/* A process that can end. */
static void be_born(struct player *p)
{
    p->pid = fork();
    if (p->pid == 0) {
        pause();
        _exit(0);
    }
    const struct zygote_birth birth = {.pid = p->pid, .pidfd = pidfd_open(p->pid, 0)};
    assert_true(birth.pidfd >= 0);
    registry_spawned(api.registry, p->id, &birth);
}

static struct player *spawned(const char *name, const char *world)
{
    struct worker_config c = {
        .name = name, .world = world, .engine = "fake", .program = "a.js", .uid = UID};
    struct world *w = worlds_get(api.worlds, world, true);
    struct player *p = &players[n_players];
    int fd = memfd_create("program", MFD_CLOEXEC);
    assert_int_equal(registry_add(api.registry, world_stop_half(w), &c, fd, &p->w), 0);
    p->w = registry_find(api.registry, p->id);
    world_on_member_born(w, p->w);
    be_born(p);
    return p;
}

static void sandbox_stands(struct player *p)
{
    struct worker_fact f = fact_of(p, FACT_BORN);
    assert_null(tell(p, &f));
}

static void is_linked(struct player *p)
{
    struct worker_fact f = fact_of(p, FACT_LOADED);
    assert_null(tell(p, &f));
    shows(p, SHM_IDLE);
    turn();
}

static struct player *born(const char *name, const char *world)
{
    struct player *p = spawned(name, world);
    sandbox_stands(p);
    turn();
    assert_true(p->loaded);
    is_linked(p);
    return p;
}

static void dies(struct player *p)
{
    kill(p->pid, SIGKILL);
    for (int i = 0; i < 1000 && registry_find(api.registry, p->id)->phase != WORKER_GONE; i++)
        event_base_loop(base, EVLOOP_ONCE);
    close(p->channel);
    p->channel = -1;
    turn();
}

/* ---- the wiring, as main has it */

static void on_debugger_changed(void *userdata, const struct debugger *d)
{
    (void)userdata;
    if (kept)
        assert_int_equal(state_put_debugger(kept, d), 0);
}

static void on_debugger_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    if (api.audit)
        audit_on_debugger_gone(api.audit, id);
}

static void on_hook_set(void *userdata, const struct audit_hook *h)
{
    (void)userdata;
    assert_int_equal(state_put_hook(kept, h), 0);
}

static void on_hook_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    assert_int_equal(state_put_hook_gone(kept, id), 0);
}

static void on_settled(void *userdata, void *waiter, const struct worker *w, unsigned kind,
                       const struct audit_failure *why)
{
    (void)userdata;
    api_audit_on_settled(waiter, w, kind, why);
}

static void on_orphans(void *userdata)
{
    (void)userdata;
    api_audit_on_orphans(&api);
}

static void on_hits(void *userdata, uint64_t debugger)
{
    (void)userdata;
    api_hits_on_hits(&api, debugger);
}

static int setup(void **test_state)
{
    (void)test_state;
    static const struct debuggers_events debuggers = {on_debugger_changed, on_debugger_gone, NULL};
    static const struct audit_events upward = {on_hook_set, on_hook_gone, on_settled,
                                               on_orphans,  on_hits,      NULL};
    api = (struct api){.clients = &clients, .config = &config};
    n_players = n_replies = 0;
    api.base = base = event_base_new();
    host = (struct worker_host){
        .base = base, .freezer = freezer_new_signals("a test"), .looks = look_queue_new(base)};
    api.freezer = host.freezer;
    api.bus = event_bus_new();
    api.worlds = worlds_new(base, api.bus);
    const struct registry_config registry = {.host = &host,
                                             .lifeline_fd = -1,
                                             .events = &facts_worker_events,
                                             .userdata = &api,
                                             .zygote = find_zygote};
    api.registry = registry_new(&registry);
    api.debuggers = debuggers_new(api.worlds, api.registry, &debuggers);
    api.audit = audit_new(api.registry, api.worlds, api.debuggers, &upward);
    api.state = kept = state_new(api.registry, api.worlds, api.debuggers, api.audit);
    api.poll = event_new(base, -1, 0, NULL, NULL);
    assert_non_null(kept);
    return 0;
}

static int teardown(void **test_state)
{
    (void)test_state;
    struct pending *p;
    for (size_t i = 0; i < n_players; i++) {
        struct worker *w = registry_find(api.registry, players[i].id);
        players[i].mute = false;
        if (w && w->phase != WORKER_GONE)
            dies(&players[i]);
        map_done(players[i].status);
        players[i].status = NULL;
    }
    api_audit_done(&api);
    api.audit = audit_free(api.audit);
    api.registry = registry_free(api.registry);
    worlds_free(api.worlds);
    debuggers_free(api.debuggers);
    while ((p = LIST_FIRST(&api.pendings)) != NULL)
        api_pending_free(p);
    kept = state_free(kept);
    event_bus_free(api.bus);
    event_free(api.poll);
    look_queue_free(host.looks);
    freezer_free(host.freezer);
    event_base_free(base);
    libevent_global_shutdown();
    for (size_t i = 0; i < n_replies; i++)
        stillpoint__api__envelope__free_unpacked(replies[i].e, NULL);
    return 0;
}

/* ---- requests */

static uint64_t open_debugger(uint64_t client, const char *name)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__OpenDebugger m = STILLPOINT__API__OPEN_DEBUGGER__INIT;
    m.name = API_TEXT(name);
    e.body_case = API_BODY(OPEN_DEBUGGER);
    e.open_debugger = &m;
    const Envelope *reply = reply_to(ask(client, &e));
    assert_int_equal(API_BODY_OF(reply), API_BODY(DEBUGGER_REPLY));
    return reply->debugger_reply->debugger->id;
}

static void client_leaves(uint64_t client)
{
    api_vm_on_client_gone(&api, client);
    debuggers_on_client_gone(api.debuggers, client);
    turn();
}

static bool lives(uint64_t debugger)
{
    return debuggers_find(api.debuggers, debugger) != NULL;
}

static AddHooks add_of(const char *debugger)
{
    static Stillpoint__Api__HookKind kind;
    AddHooks m = STILLPOINT__API__ADD_HOOKS__INIT;
    kind = KIND(NEW_SCRIPT);
    m.debugger = API_TEXT(debugger);
    m.kinds = &kind;
    m.n_kinds = 1;
    return m;
}

static uint64_t ask_to_add(uint64_t client, AddHooks *m)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    e.body_case = API_BODY(ADD_HOOKS);
    e.add_hooks = m;
    return ask(client, &e);
}

/* Adds, and returns the (first) hook. */
static uint64_t added(uint64_t client, AddHooks *m)
{
    uint64_t request = ask_to_add(client, m);
    turn();
    const Envelope *reply = reply_to(request);
    assert_non_null(reply);
    if (API_BODY_OF(reply) == API_BODY(ERROR))
        fail_msg("%s", reply->error->message);
    assert_int_equal(API_BODY_OF(reply), API_BODY(HOOK_LIST));
    assert_int_equal(reply->hook_list->n_hooks, m->n_kinds);
    return reply->hook_list->hooks[0]->hook;
}

static uint64_t add_to_vm(uint64_t client, const char *debugger, const char *vm)
{
    AddHooks m = add_of(debugger);
    m.vm = API_TEXT(vm);
    return added(client, &m);
}

static uint64_t add_to_all(uint64_t client, const char *debugger, const char *selector)
{
    AddHooks m = add_of(debugger);
    m.selector = API_TEXT(selector);
    return added(client, &m);
}

static uint64_t ask_to_remove(uint64_t client, uint64_t hook)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__RemoveHooks m = STILLPOINT__API__REMOVE_HOOKS__INIT;
    m.hooks = &hook;
    m.n_hooks = 1;
    e.body_case = API_BODY(REMOVE_HOOKS);
    e.remove_hooks = &m;
    return ask(client, &e);
}

static void cleared(uint64_t client, uint64_t hook)
{
    uint64_t request = ask_to_remove(client, hook);
    turn();
    const Envelope *reply = reply_to(request);
    assert_non_null(reply);
    assert_int_equal(API_BODY_OF(reply), API_BODY(HOOK_LIST));
    assert_int_equal(reply->hook_list->n_hooks, 1);
    assert_int_equal(reply->hook_list->hooks[0]->hook, hook);
}

static void fails_with(uint64_t request, const char *words)
{
    const Envelope *reply = reply_to(request);
    assert_non_null(reply);
    assert_int_equal(API_BODY_OF(reply), API_BODY(ERROR));
    if (!strstr(reply->error->message, words))
        fail_msg("'%s' does not say '%s'", reply->error->message, words);
}

static const Stillpoint__Api__Hook *listed(uint64_t hook)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ListHooks m = STILLPOINT__API__LIST_HOOKS__INIT;
    API_SET(&m, hook, hook);
    e.body_case = API_BODY(LIST_HOOKS);
    e.list_hooks = &m;
    const Envelope *reply = reply_to(ask(99, &e));
    assert_int_equal(API_BODY_OF(reply), API_BODY(HOOK_LIST));
    assert_int_equal(reply->hook_list->n_hooks, 1);
    return reply->hook_list->hooks[0];
}

static const Stillpoint__Api__AuditorList *auditors(void)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ListAuditors m = STILLPOINT__API__LIST_AUDITORS__INIT;
    e.body_case = API_BODY(LIST_AUDITORS);
    e.list_auditors = &m;
    const Envelope *reply = reply_to(ask(99, &e));
    assert_int_equal(API_BODY_OF(reply), API_BODY(AUDITOR_LIST));
    return reply->auditor_list;
}

static uint64_t ask_for_hits(uint64_t client, const char *debugger, uint64_t from, bool wait)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ReadHits m = STILLPOINT__API__READ_HITS__INIT;
    m.debugger = API_TEXT(debugger);
    API_SET(&m, from_seq, from);
    API_SET(&m, wait, wait);
    e.body_case = API_BODY(READ_HITS);
    e.read_hits = &m;
    return ask(client, &e);
}

static const Stillpoint__Api__HitPage *page_of(uint64_t request)
{
    const Envelope *reply = reply_to(request);
    assert_non_null(reply);
    assert_int_equal(API_BODY_OF(reply), API_BODY(HIT_PAGE));
    return reply->hit_page;
}

static const char *hits(struct player *p, uint64_t hook, uint32_t kind, uint64_t pause)
{
    Stillpoint__Worker__Hit m = STILLPOINT__WORKER__HIT__INIT;
    Stillpoint__Worker__Location at = STILLPOINT__WORKER__LOCATION__INIT;
    struct worker_fact f = fact_of(p, FACT_HIT);
    at.url = API_TEXT("a.js");
    API_SET(&at, line, 3);
    API_SET(&m, hook, hook);
    API_SET(&m, kind, kind);
    API_SET(&m, vm_seq, p->seq);
    if (pause != 0)
        API_SET(&m, pause, pause);
    m.location = &at;
    f.hit = &m;
    return tell(p, &f);
}

static const char *hits_script(struct player *p, uint64_t hook)
{
    return hits(p, hook, KIND(NEW_SCRIPT), 0);
}

static const char *ends(struct player *p, uint64_t hook, unsigned why)
{
    Stillpoint__Worker__HookEnded m = STILLPOINT__WORKER__HOOK_ENDED__INIT;
    struct worker_fact f = fact_of(p, FACT_HOOK_ENDED);
    API_SET(&m, hook, hook);
    API_SET(&m, why, why);
    f.hook_ended = &m;
    return tell(p, &f);
}

static const char *audits_at(struct player *p, uint32_t kind, uint64_t offset, uint64_t *hooks,
                             size_t n)
{
    Stillpoint__Worker__Audited m = STILLPOINT__WORKER__AUDITED__INIT;
    struct worker_fact f = fact_of(p, FACT_AUDITED);
    API_SET(&m, referent, STILLPOINT__API__REFERENT_KIND__REFERENT_REALM);
    API_SET(&m, referent_id, 1);
    API_SET(&m, kind, kind);
    API_SET(&m, offset, offset);
    API_SET(&m, armed, 1);
    m.hooks = hooks;
    m.n_hooks = n;
    f.audited = &m;
    return tell(p, &f);
}

static const char *audits(struct player *p, uint32_t kind, uint64_t *hooks, size_t n)
{
    return audits_at(p, kind, 0, hooks, n);
}

static struct world *world_named(const char *name)
{
    return worlds_get(api.worlds, name, false);
}

static void stopped_by(uint64_t debugger)
{
    const struct ticket_request r = {.reason = TICKET_ADMIN,
                                     .uid = UID,
                                     .debugger = debugger,
                                     .deadline_us = 1000000,
                                     .hold_us = 3600000000u};
    uint64_t ticket;
    assert_int_equal(world_stop(world_named("default"), &r, &ticket), 0);
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPED);
}

static size_t hooks_kept(void)
{
    struct state_image image;
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    size_t n = image.n_hooks;
    state_image_done(&image);
    return n;
}

static bool was_published(enum event_kind kind, const char *detail)
{
    uint64_t cursor = 0, dropped;
    const struct event *e;
    while ((e = event_bus_next(api.bus, &cursor, UINT64_C(1) << kind, &dropped)) != NULL)
        if (!detail || (e->detail && strcmp(e->detail, detail) == 0))
            return true;
    return false;
}

/* ---- setting */

static void a_hook_is_set_in_a_stop_of_its_own_which_is_over_then(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    p->mute = true;
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_null(reply_to(request));
    const struct ticket *t = world_ticket(world_named("default"));
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPED);
    assert_int_equal(t->request.reason, TICKET_AUDIT);
    assert_int_equal(p->n_late, 1);
    say_late(p, NULL);
    const Envelope *reply = reply_to(request);
    assert_non_null(reply);
    assert_int_equal(reply->hook_list->n_hooks, 1);
    const Stillpoint__Api__Hook *h = reply->hook_list->hooks[0];
    assert_true(has(p, h->hook));
    assert_string_equal(h->target, "vm app");
    assert_string_equal(h->debugger_name, "d");
    assert_int_equal(h->vms, 1);
    assert_int_equal(h->budget->per_second, DEFAULT_HITS_PER_SECOND);
    assert_int_equal(h->suspend, STILLPOINT__API__SUSPEND__SUSPEND_NONE);
    assert_int_equal(p->w->n_hooks, 1);
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
    assert_true(was_published(EVENT_HOOKS_CHANGED, "added 1"));
    assert_int_equal(hooks_kept(), 1);
}

static void a_vm_that_runs_is_brought_to_stand_first(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    shows(p, SHM_RUNNING);
    open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_int_equal(p->messages, 0);
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPING);
    shows(p, SHM_PARKED);
    turn();
    assert_int_equal(p->messages, 1);
    assert_int_equal(API_BODY_OF(reply_to(request)), API_BODY(HOOK_LIST));
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
}

static void a_hook_is_set_inside_the_stop_that_somebody_else_has(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    uint64_t other = open_debugger(2, "other");
    open_debugger(1, "d");
    stopped_by(other);
    uint64_t hook = add_to_vm(1, "d", "app");
    assert_true(has(p, hook));
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPED);
    assert_int_equal(world_control(world_named("default"))->request.debugger, other);
    cleared(1, hook);
    assert_false(has(p, hook));
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPED);
}

static void a_vm_that_is_held_gets_a_hook_without_a_stop_of_its_world(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default"), *q = born("free", "default");
    shows(q, SHM_RUNNING);
    uint64_t d = open_debugger(1, "d");
    assert_int_equal(world_hold(world_named("default"), p->w, d, "d", UID), 0);
    uint64_t hook = add_to_vm(1, "d", "app");
    assert_true(has(p, hook));
    cleared(1, hook);
    assert_false(was_published(EVENT_WORLD_STOPPING, NULL));
}

static void where_one_vm_cannot_all_are_without(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "default"), *b = born("web-2", "default");
    uint64_t d = open_debugger(1, "d");
    b->refuses = KIND(NEW_SCRIPT);
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    fails_with(request, "VM 'web-2', new-script: it cannot be set here");
    assert_int_equal(a->n_hooks, 0);
    assert_int_equal(a->messages, 2); /* in, and out again */
    assert_int_equal(b->n_hooks, 0);
    assert_null(audit_after(api.audit, 0));
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
    struct player *later = born("web-3", "default");
    assert_int_equal(later->messages, 0);
    client_leaves(1);
    assert_false(lives(d));
}

static void who_of_several_hooks_could_not_be_set_is_said(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    p->refuses = KIND(NEW_PROMISE);
    Stillpoint__Api__HookKind kinds[] = {KIND(NEW_SCRIPT), KIND(NEW_PROMISE)};
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    m.kinds = kinds;
    m.n_kinds = 2;
    uint64_t request = ask_to_add(1, &m);
    turn();
    fails_with(request, "VM 'app', new-promise: it cannot be set here");
    assert_int_equal(p->n_hooks, 0);
}

static void a_vm_that_ends_meanwhile_needs_no_hook(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "default"), *b = born("web-2", "default");
    open_debugger(1, "d");
    b->mute = true;
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_null(reply_to(request));
    dies(b);
    const Envelope *reply = reply_to(request);
    assert_non_null(reply);
    assert_int_equal(reply->hook_list->n_hooks, 1);
    assert_true(has(a, reply->hook_list->hooks[0]->hook));
    /* One that it is for alone ends with it. */
    a->mute = true;
    m = add_of("d");
    m.vm = API_TEXT("web-1");
    request = ask_to_add(1, &m);
    turn();
    dies(a);
    fails_with(request, "the VM has exited");
}

static void one_vm_dies_and_another_cannot(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "default"), *b = born("web-2", "default"),
                  *c = born("web-3", "default");
    open_debugger(1, "d");
    b->mute = c->mute = true;
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    dies(b);
    assert_null(reply_to(request));
    c->n_hooks = 0;
    say_late(c, "no");
    fails_with(request, "VM 'web-3', new-script: no");
    assert_int_equal(a->n_hooks, 0);
    assert_null(audit_after(api.audit, 0));
}

static void one_that_does_not_answer_is_given_up_and_nobody_waits_for_it_again(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "default"), *b = born("web-2", "default");
    open_debugger(1, "d");
    b->mute = true;
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_null(reply_to(request));
    assert_int_equal(a->n_hooks, 1);
    timers_come_to(base, LIST_FIRST(&api.audit_operations));
    turn();
    fails_with(request, "VM 'web-2' did not answer in time");
    assert_true(LIST_EMPTY(&api.audit_operations));
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
    assert_int_equal(a->n_hooks, 0);
    assert_int_equal(b->w->n_given_up, 1);
    request = ask_to_add(1, &m);
    turn();
    fails_with(request, "VM 'web-2' has not answered earlier requests");
    assert_int_equal(a->n_hooks, 0);
    /* It is in nobody's way, and once it answers it has what all have. */
    uint64_t hook = add_to_vm(1, "d", "web-1");
    cleared(1, hook);
    assert_int_equal(b->n_hooks, 1);
    say_late(b, NULL);
    assert_int_equal(b->n_hooks, 0);
    assert_int_equal(b->w->n_given_up, 0);
    assert_true(LIST_EMPTY(&api.audit_operations));
    hook = add_to_all(1, "d", "web-*");
    assert_true(has(a, hook) && has(b, hook));
    /* So it is with one that is to be removed. */
    b->mute = true;
    request = ask_to_remove(1, hook);
    turn();
    assert_null(reply_to(request));
    timers_come_to(base, LIST_FIRST(&api.audit_operations));
    turn();
    assert_int_equal(API_BODY_OF(reply_to(request)), API_BODY(HOOK_LIST));
    assert_int_equal(b->w->n_given_up, 1);
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
    say_late(b, NULL);
    assert_null(audit_find_part(api.audit, b->w->id, hook));
}

static void a_vm_born_in_the_middle_has_the_hook_before_its_program(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "default");
    open_debugger(1, "d");
    a->mute = true;
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    struct player *b = born("web-2", "default");
    assert_int_equal(b->n_hooks_at_load, 1);
    assert_null(reply_to(request));
    /* It is taken back there, too. */
    a->n_hooks = 0;
    say_late(a, "no");
    fails_with(request, "VM 'web-1'");
    assert_int_equal(b->n_hooks, 0);
    assert_null(audit_of_vm(api.audit, b->id, NULL));
}

static void a_vm_that_is_about_to_load_waits_for_the_hook(void **test_state)
{
    (void)test_state;
    struct player *p = spawned("web-1", "default");
    open_debugger(1, "d");
    /* Not even its sandbox stands: nobody waits for it. */
    uint64_t first = add_to_vm(1, "d", "web-1");
    assert_int_equal(p->messages, 0);
    p->mute = true;
    sandbox_stands(p);
    turn();
    assert_int_equal(p->n_late, 1);
    assert_false(p->loaded);
    AddHooks m = add_of("d");
    m.selector = API_TEXT("*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_null(reply_to(request));
    assert_int_equal(p->n_late, 2);
    say_late(p, NULL);
    assert_int_equal(API_BODY_OF(reply_to(request)), API_BODY(HOOK_LIST));
    assert_true(p->loaded);
    assert_int_equal(p->n_hooks_at_load, 2);
    assert_true(has(p, first));
}

static void a_vm_in_which_a_hook_cannot_be_set_starts_all_the_same_and_says_so(void **test_state)
{
    (void)test_state;
    open_debugger(1, "d");
    Stillpoint__Api__HookKind kinds[] = {KIND(NEW_SCRIPT), KIND(NEW_PROMISE)};
    AddHooks m = add_of("d");
    m.selector = API_TEXT("*");
    m.kinds = kinds;
    m.n_kinds = 2;
    uint64_t good = added(1, &m), bad = good + 1;
    struct player *p = spawned("app", "default");
    p->refuses = KIND(NEW_PROMISE);
    sandbox_stands(p);
    turn();
    assert_true(p->loaded);
    assert_int_equal(p->n_hooks_at_load, 1);
    assert_int_equal(listed(good)->n_bound, 0);
    assert_int_equal(listed(good)->vms, 1);
    assert_int_equal(listed(bad)->vms, 0);
    assert_int_equal(listed(bad)->n_bound, 1);
    assert_int_equal(listed(bad)->bound[0]->vm, p->id);
    assert_string_equal(listed(bad)->bound[0]->error, "it cannot be set here");
    assert_int_equal(p->w->n_hooks, 1);
}

static void a_selector_over_two_worlds_is_one_act(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "default"), *b = born("web-2", "blue"),
                  *c = born("db", "green");
    shows(c, SHM_RUNNING);
    open_debugger(1, "d");
    a->mute = b->mute = true;
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPED);
    assert_int_equal(world_mode(world_named("blue")), WORLD_STOPPED);
    assert_int_equal(world_mode(world_named("green")), WORLD_RUN_ALL);
    say_late(a, NULL);
    /* The first does not run with what the second may refuse. */
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPED);
    b->n_hooks = 0;
    say_late(b, "no");
    fails_with(request, "VM 'web-2', new-script: no");
    assert_int_equal(a->n_hooks, 0);
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
    assert_int_equal(world_mode(world_named("blue")), WORLD_RUN_ALL);
    uint64_t hook = add_to_all(1, "d", "web-*");
    assert_true(has(a, hook) && has(b, hook) && !has(c, hook));
    assert_int_equal(world_mode(world_named("blue")), WORLD_RUN_ALL);
}

static void a_world_that_cannot_be_stopped_leaves_the_other_without(void **test_state)
{
    (void)test_state;
    struct player *a = born("web-1", "blue"), *b = born("web-2", "default");
    open_debugger(1, "d");
    shows(b, SHM_RUNNING);
    AddHooks m = add_of("d");
    m.selector = API_TEXT("web-*");
    uint64_t request = ask_to_add(1, &m);
    turn();
    assert_int_equal(world_mode(world_named("blue")), WORLD_STOPPED);
    assert_int_equal(world_mode(world_named("default")), WORLD_STOPPING);
    struct world_resumption done;
    assert_int_equal(world_resume(world_named("default"), &done), 0);
    turn();
    fails_with(request, "world default was resumed");
    assert_int_equal(a->messages + b->messages, 0);
    assert_int_equal(world_mode(world_named("blue")), WORLD_RUN_ALL);
}

static void without_a_vm_that_matches_no_world_stops(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t hook = add_to_all(1, "d", "web-*");
    assert_false(was_published(EVENT_WORLD_STOPPING, NULL));
    assert_int_equal(p->messages, 0);
    assert_int_equal(born("web-1", "default")->n_hooks_at_load, 1);
    assert_int_equal(listed(hook)->vms, 1);
}

static void a_hook_follows_its_selector_and_not_the_name_that_it_was_set_for(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t one = add_to_vm(1, "d", "app"), all = add_to_all(1, "d", "app");
    dies(p);
    assert_null(audit_find(api.audit, one));
    struct player *again = born("app", "default");
    assert_int_equal(again->n_hooks_at_load, 1);
    assert_true(has(again, all));
}

static void a_hook_keeps_the_world_that_it_is_for(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "blue");
    open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.world = API_TEXT("blue");
    uint64_t hook = added(1, &m);
    assert_string_equal(listed(hook)->target, "world blue");
    dies(p);
    assert_non_null(world_named("blue"));
    assert_int_equal(born("late", "blue")->n_hooks_at_load, 1);
    dies(&players[1]);
    cleared(1, hook);
    assert_null(world_named("blue"));
    m.world = API_TEXT("red");
    fails_with(ask_to_add(1, &m), "no world named 'red'");
}

static void what_one_vm_and_one_debugger_may_have_is_bounded(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    p->refuses = 1000;
    for (unsigned i = 0; i < LIMIT_HOOKS_PER_VM; i++) {
        uint64_t hook;
        size_t waits;
        struct audit_where where = {.target = AUDIT_VM, .vm = p->id};
        Stillpoint__Worker__Hook wire = STILLPOINT__WORKER__HOOK__INIT;
        API_SET(&wire, kind, KIND(NEW_SCRIPT));
        const struct debugger *d = debuggers_find_ref(api.debuggers, "d");
        assert_int_equal(
            audit_add(api.audit, d->id, &where, &wire, false, NULL, NULL, &hook, &waits), 0);
        p->n_hooks = 0;
        assert_int_equal(audit_set(api.audit, hook, p->w, NULL), 0);
        audit_flush(api.audit);
        audit_commit(api.audit, hook);
        turn();
    }
    p->n_hooks = 0;
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    uint64_t request = ask_to_add(1, &m);
    turn();
    fails_with(request, "VM 'app' has 256 hooks already");
}

/* ---- life: A5, A6 */

enum end { REFERENT_DIES, CLIENT_LEAVES, HOOK_CLEARED, ENDS };

/* A debugger with a hook in each of two VMs: one dies, the other's hook is cleared, the client
 * leaves. */
static void live_through(const enum end order[ENDS])
{
    size_t first = n_players;
    struct player *a = born("a", "default"), *b = born("b", "default");
    uint64_t d = open_debugger(1, "d");
    uint64_t in_a = add_to_vm(1, "d", "a"), in_b = add_to_vm(1, "d", "b");
    for (int i = 0; i < ENDS; i++) {
        assert_true(lives(d));
        switch (order[i]) {
        case REFERENT_DIES:
            dies(a);
            assert_null(audit_find(api.audit, in_a));
            break;
        case CLIENT_LEAVES:
            client_leaves(1);
            break;
        default:
            cleared(2, in_b);
            assert_false(has(b, in_b));
        }
    }
    assert_false(lives(d));
    assert_null(audit_after(api.audit, 0));
    assert_int_equal(hooks_kept(), 0);
    assert_int_equal(b->w->n_hooks, 0);
    dies(b);
    assert_int_equal(n_players, first + 2);
    n_players = first;
    map_done(players[first].status);
    map_done(players[first + 1].status);
}

static void a_debugger_lives_until_the_last_of_what_keeps_it_in_every_order(void **test_state)
{
    (void)test_state;
    static const enum end orders[][ENDS] = {
        {REFERENT_DIES, CLIENT_LEAVES, HOOK_CLEARED}, {REFERENT_DIES, HOOK_CLEARED, CLIENT_LEAVES},
        {CLIENT_LEAVES, REFERENT_DIES, HOOK_CLEARED}, {CLIENT_LEAVES, HOOK_CLEARED, REFERENT_DIES},
        {HOOK_CLEARED, REFERENT_DIES, CLIENT_LEAVES}, {HOOK_CLEARED, CLIENT_LEAVES, REFERENT_DIES}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        live_through(orders[i]);
}

static void
a_hook_at_a_frame_keeps_its_debugger_exactly_until_the_frame_is_popped(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    uint64_t d = open_debugger(1, "d");
    Stillpoint__Api__HookKind pop = KIND(POP);
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    m.kinds = &pop;
    API_SET(&m, one_frame, 1);
    uint64_t request = ask_to_add(1, &m);
    fails_with(request, "VM 'app' is running");
    assert_int_equal(world_hold(world_named("default"), p->w, d, "d", UID), 0);
    uint64_t hook = added(1, &m);
    assert_int_equal(world_release_all(world_named("default"), p->w, d), 1);
    client_leaves(1);
    assert_true(lives(d));
    assert_null(hits(p, hook, KIND(POP), 0));
    assert_true(lives(d));
    assert_null(ends(p, hook, 1));
    assert_false(lives(d));
    assert_null(audit_find(api.audit, hook));
    assert_int_equal(p->messages, 1); /* its worker has taken it off by itself */
}

static void a_debugger_whose_client_is_gone_still_receives(void **test_state)
{
    (void)test_state;
    uint64_t d = open_debugger(1, "d");
    uint64_t hook = add_to_all(1, "d", "*");
    client_leaves(1);
    assert_true(lives(d));
    struct player *p = born("app", "default");
    assert_null(hits_script(p, hook));
    const Stillpoint__Api__HitPage *page = page_of(ask_for_hits(2, "d", 0, false));
    assert_int_equal(page->n_hits, 1);
    assert_int_equal(page->hits[0]->hook, hook);
    cleared(2, hook);
    assert_false(lives(d));
}

static void a_debugger_without_hooks_is_gone_at_once(void **test_state)
{
    (void)test_state;
    born("app", "default");
    uint64_t d = open_debugger(1, "d");
    client_leaves(1);
    assert_false(lives(d));
    /* One of the command line is made for its hook, and goes with it. */
    AddHooks m = add_of(NULL);
    m.vm = API_TEXT("app");
    uint64_t hook = added(1, &m);
    const struct debugger *cli = debuggers_find_ref(api.debuggers, "cli:1000");
    assert_non_null(cli);
    d = cli->id;
    cleared(1, hook);
    assert_false(lives(d));
}

static void a_weak_hook_alone_keeps_nobody_and_is_taken_along(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    Stillpoint__Api__HookKind kind = KIND(NEW_GLOBAL);
    uint64_t d = open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    m.kinds = &kind;
    API_SET(&m, weak, 1);
    uint64_t hook = added(1, &m), strong = add_to_vm(1, "d", "app");
    assert_true(listed(hook)->weak);
    client_leaves(1);
    assert_true(lives(d));
    cleared(2, strong);
    assert_false(lives(d));
    assert_null(audit_find(api.audit, hook));
    turn();
    assert_int_equal(p->n_hooks, 0); /* swept out, in a stop of its own */
    assert_null(audit_of_vm(api.audit, p->id, NULL));
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
}

static void a_hook_that_is_spent_is_shown_and_keeps_nobody(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    uint64_t d = open_debugger(1, "d"), hook = add_to_vm(1, "d", "app");
    assert_null(hits_script(p, hook));
    assert_null(ends(p, hook, 2));
    assert_true(listed(hook)->spent);
    client_leaves(1);
    assert_false(lives(d));
    turn();
    assert_int_equal(p->n_hooks, 0);
}

static void closing_a_debugger_ends_its_hooks(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    uint64_t d = open_debugger(1, "d"), hook = add_to_all(1, "d", "*");
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__CloseDebugger m = STILLPOINT__API__CLOSE_DEBUGGER__INIT;
    m.debugger = API_TEXT("d");
    e.body_case = API_BODY(CLOSE_DEBUGGER);
    e.close_debugger = &m;
    p->mute = true;
    ask(2, &e);
    assert_false(lives(d));
    /* What is on its way is nobody's fault, until the worker has answered. */
    assert_null(hits_script(p, hook));
    turn();
    assert_null(hits_script(p, hook));
    say_late(p, NULL);
    assert_int_equal(p->n_hooks, 0);
    assert_non_null(hits_script(p, hook));
}

static void
what_a_debugger_has_left_is_taken_out_though_somebody_resumes_the_world(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t hook = add_to_vm(1, "d", "app");
    shows(p, SHM_RUNNING);
    audit_clear(api.audit, debuggers_find_ref(api.debuggers, "d")->id);
    turn();
    struct world *w = world_named("default");
    assert_int_equal(world_mode(w), WORLD_STOPPING);
    struct world_resumption done;
    assert_int_equal(world_resume(w, &done), 0);
    turn();
    assert_int_equal(world_mode(w), WORLD_RUN_ALL);
    assert_true(has(p, hook));
    while (world_mode(w) == WORLD_RUN_ALL)
        event_base_loop(base, EVLOOP_ONCE);
    shows(p, SHM_PARKED);
    turn();
    assert_false(has(p, hook));
    assert_int_equal(world_mode(w), WORLD_RUN_ALL);
    assert_true(LIST_EMPTY(&api.audit_operations));
}

static void a_debugger_that_goes_while_its_hooks_are_being_set_takes_them_back(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    uint64_t d = open_debugger(1, "d");
    p->mute = true;
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    ask_to_add(1, &m);
    turn();
    client_leaves(1);
    say_late(p, NULL);
    turn();
    assert_false(lives(d));
    assert_int_equal(p->n_hooks, 0);
    assert_null(audit_after(api.audit, 0));
    assert_int_equal(world_mode(world_named("default")), WORLD_RUN_ALL);
}

/* ---- removing */

static void hits_that_are_on_their_way_when_a_hook_is_removed_are_kept(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t hook = add_to_vm(1, "d", "app");
    assert_null(hits_script(p, hook));
    p->mute = true;
    uint64_t request = ask_to_remove(1, hook);
    turn();
    atomic_store(&p->status->last_fact, p->seq + 1); /* sent before it arrived */
    assert_null(hits_script(p, hook));
    say_late(p, NULL);
    assert_int_equal(reply_to(request)->hook_list->hooks[0]->hits, 2);
    const Stillpoint__Api__HitPage *page = page_of(ask_for_hits(1, "d", 0, false));
    assert_int_equal(page->n_hits, 2);
    assert_non_null(strstr(hits_script(p, hook), "does not have"));
}

static const char *only_the_first(void *userdata, uint64_t hook)
{
    return hook == *(const uint64_t *)userdata ? "world" : "not-controller";
}

/* Between a hit and the pause that it announces a VM may stand, and be asked for something. */
static void a_hook_removed_between_its_hit_and_the_pause_may_be_named_by_that(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    API_SET(&m, suspend, STILLPOINT__API__SUSPEND__SUSPEND_WORLD);
    uint64_t before = added(1, &m), meanwhile = added(1, &m), other = added(1, &m);
    assert_null(hits(p, before, KIND(NEW_SCRIPT), 1));
    cleared(1, before);
    p->mute = true;
    uint64_t request = ask_to_remove(1, meanwhile);
    turn();
    atomic_store(&p->status->last_fact, p->seq + 1); /* sent before it arrived */
    assert_null(hits(p, meanwhile, KIND(NEW_SCRIPT), 1));
    say_late(p, NULL);
    assert_non_null(reply_to(request)->hook_list);
    assert_null(audit_find_part(api.audit, p->w->id, before));
    assert_null(audit_find_part(api.audit, p->w->id, meanwhile));
    assert_true(audit_awaits_pause(api.audit, p->w->id, before));
    assert_true(audit_awaits_pause(api.audit, p->w->id, meanwhile));
    assert_false(audit_awaits_pause(api.audit, p->w->id, other));
    audit_pause_decided(api.audit, p->w, 1, only_the_first, &before);
    assert_false(audit_awaits_pause(api.audit, p->w->id, before));
    assert_false(audit_awaits_pause(api.audit, p->w->id, meanwhile));
}

static void two_hooks_of_one_kind_are_removed_one_by_one(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    open_debugger(2, "e");
    uint64_t a = add_to_vm(1, "d", "app"), b = add_to_vm(2, "e", "app");
    uint64_t both[] = {a, b};
    assert_null(audits(p, KIND(NEW_SCRIPT), both, 2));
    const Stillpoint__Api__AuditorList *list = auditors();
    assert_int_equal(list->n_auditors, 1);
    assert_int_equal(list->auditors[0]->n_serves, 2);
    assert_string_equal(list->auditors[0]->serves[0]->name, "d");
    assert_string_equal(list->auditors[0]->serves[1]->name, "e");
    cleared(1, a);
    assert_true(!has(p, a) && has(p, b));
    assert_null(audits(p, KIND(NEW_SCRIPT), &b, 1));
    assert_int_equal(auditors()->auditors[0]->n_serves, 1);
    cleared(2, b);
    assert_null(audits(p, KIND(NEW_SCRIPT), NULL, 0));
    assert_int_equal(auditors()->n_auditors, 0);
    fails_with(ask_to_remove(1, a), "no hook");
}

/* ---- what workers may say */

static void a_worker_cannot_speak_for_hooks_that_it_does_not_have(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default"), *q = born("other", "default");
    open_debugger(1, "d");
    uint64_t hook = add_to_vm(1, "d", "app");
    assert_non_null(hits_script(q, hook));
    assert_non_null(hits_script(p, hook + 7));
    assert_non_null(strstr(hits(p, hook, KIND(NEW_PROMISE), 0), "another kind"));
    assert_non_null(strstr(hits(p, hook, KIND(NEW_SCRIPT), 1), "does not pause"));
    assert_non_null(ends(q, hook, 1));
    assert_non_null(audits(q, KIND(NEW_SCRIPT), &hook, 1));
    assert_non_null(audits(p, KIND(NEW_PROMISE), &hook, 1));
    assert_null(hits_script(p, hook));
    assert_int_equal(page_of(ask_for_hits(1, "d", 0, false))->n_hits, 1);
    /* A VM that is held runs nothing, so that nothing can be hit. */
    stopped_by(debuggers_find_ref(api.debuggers, "d")->id);
    assert_non_null(strstr(hits_script(p, hook), "while it is held"));
}

static void a_hit_announces_the_pause_that_comes_next_and_no_other(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    API_SET(&m, suspend, STILLPOINT__API__SUSPEND__SUSPEND_VM);
    uint64_t hook = added(1, &m);
    p->w->last_pause = 7;
    const uint64_t wrong[] = {1, 6, 7, 9, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_string_equal(hits(p, hook, KIND(NEW_SCRIPT), wrong[i]),
                            "announces a pause out of turn");
    p->w->pause.number = 7;
    assert_string_equal(hits(p, hook, KIND(NEW_SCRIPT), 8), "announces a pause out of turn");
    p->w->pause.number = 0;
    assert_null(hits(p, hook, KIND(NEW_SCRIPT), 8));
    assert_null(hits(p, hook, KIND(NEW_SCRIPT), 8));
    assert_int_equal(page_of(ask_for_hits(1, "d", 0, false))->n_hits, 0);
}

static void what_a_worker_says_without_end_is_bounded(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    API_SET(&m, suspend, STILLPOINT__API__SUSPEND__SUSPEND_VM);
    uint64_t hook = add_to_vm(1, "d", "app"), pausing = added(1, &m);
    Stillpoint__Api__HookKind kind = KIND(BREAKPOINT);
    Stillpoint__Api__BreakpointAt at = STILLPOINT__API__BREAKPOINT_AT__INIT;
    at.url = API_TEXT("a.js");
    API_SET(&at, line, 3);
    m.kinds = &kind;
    m.at = &at;
    uint64_t breakpoint = added(1, &m);
    /* Auditors: so many are shown; the others cost nothing, and are no violation. */
    for (uint64_t offset = 0; offset < LIMIT_AUDITORS_PER_VM + 100; offset++)
        assert_null(audits_at(p, KIND(NEW_SCRIPT), offset, &hook, 1));
    size_t n = 0;
    const struct audit_auditor *auditor = NULL;
    while ((auditor = audit_auditor_after(api.audit, auditor ? auditor->number : 0)) != NULL)
        n++;
    assert_int_equal(n, LIMIT_AUDITORS_PER_VM);
    for (uint64_t offset = 0; offset < LIMIT_AUDITORS_PER_VM + 100; offset++)
        assert_null(audits_at(p, KIND(NEW_SCRIPT), offset, NULL, 0));
    assert_null(audit_auditor_after(api.audit, 0));
    /* Places of a breakpoint: the newest are kept. */
    Stillpoint__Worker__BreakpointBound bound = STILLPOINT__WORKER__BREAKPOINT_BOUND__INIT;
    Stillpoint__Worker__Location place = STILLPOINT__WORKER__LOCATION__INIT;
    Stillpoint__Worker__Location *places[LIMIT_BOUND_PLACES];
    char url[LIMIT_INSPECT_TEXT_BYTES];
    memset(url, 'u', sizeof url - 1);
    url[sizeof url - 1] = '\0';
    place.url = place.function = url;
    for (size_t i = 0; i < LIMIT_BOUND_PLACES; i++)
        places[i] = &place;
    bound.at = places;
    bound.n_at = LIMIT_BOUND_PLACES;
    API_SET(&bound, hook, breakpoint);
    size_t allocated = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        struct worker_fact f = fact_of(p, FACT_BREAKPOINT_BOUND);
        f.breakpoint_bound = &bound;
        API_SET(&place, line, i + 1);
        assert_null(tell(p, &f));
        if (i == 0)
            allocated = mallinfo2().uordblks;
    }
    /* What free() keeps for the next malloc() counts as used. */
    assert_true(mallinfo2().uordblks <= allocated + 16 * sizeof url);
    assert_int_equal(listed(breakpoint)->n_bound, LIMIT_BOUND_PLACES);
    assert_int_equal(listed(breakpoint)->bound[0]->line, 2000);
    /* Ends of the same hook, and of hooks that were never there. */
    for (int i = 0; i < 100; i++)
        assert_null(ends(p, hook, 2));
    assert_non_null(strstr(ends(p, UINT64_MAX, 2), "does not have"));
    assert_int_equal(listed(hook)->spent, true);
    /* Hits that announce a pause, without one. */
    const char *why = NULL;
    for (n = 0; !why && n < 2 * LIMIT_HOOKS_PER_VM; n++)
        why = hits(p, pausing, KIND(NEW_SCRIPT), 1);
    assert_int_equal(n, LIMIT_HOOKS_PER_VM + 1);
    assert_string_equal(why, "reports hits and does not pause");
    /* Its end gives them to whom they were for. */
    dies(p);
    assert_int_equal(page_of(ask_for_hits(1, "d", 0, false))->n_hits, LIMIT_HOOKS_PER_VM);
}

static void a_breakpoint_says_where_it_is_in_each_vm(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    Stillpoint__Api__HookKind kind = KIND(BREAKPOINT);
    Stillpoint__Api__BreakpointAt at = STILLPOINT__API__BREAKPOINT_AT__INIT;
    at.url = API_TEXT("a.js");
    API_SET(&at, line, 3);
    AddHooks m = add_of("d");
    m.selector = API_TEXT("*");
    m.kinds = &kind;
    m.at = &at;
    uint64_t hook = added(1, &m), plain = add_to_all(1, "d", "*");
    assert_int_equal(listed(hook)->suspend, STILLPOINT__API__SUSPEND__SUSPEND_WORLD);
    assert_int_equal(listed(hook)->budget->per_second, 0);
    assert_int_equal(listed(hook)->at->line, 3);
    Stillpoint__Worker__BreakpointBound bound = STILLPOINT__WORKER__BREAKPOINT_BOUND__INIT;
    Stillpoint__Worker__Location place = STILLPOINT__WORKER__LOCATION__INIT, *places[] = {&place};
    struct worker_fact f = fact_of(p, FACT_BREAKPOINT_BOUND);
    API_SET(&bound, hook, hook);
    API_SET(&bound, pending, 1);
    f.breakpoint_bound = &bound;
    assert_null(tell(p, &f));
    assert_true(listed(hook)->bound[0]->pending);
    place.url = API_TEXT("dir/a.js");
    API_SET(&place, line, 4);
    bound.pending = 0;
    bound.at = places;
    bound.n_at = 1;
    assert_null(tell(p, &f));
    assert_int_equal(listed(hook)->n_bound, 1);
    assert_string_equal(listed(hook)->bound[0]->url, "dir/a.js");
    assert_int_equal(listed(hook)->bound[0]->line, 4);
    bound.hook = plain;
    assert_non_null(tell(p, &f));
}

static void breakpoints_at_two_places_of_a_script_are_two_auditors(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t a = add_to_vm(1, "d", "app"), b = add_to_vm(1, "d", "app");
    assert_null(audits_at(p, KIND(NEW_SCRIPT), 7, &a, 1));
    assert_null(audits_at(p, KIND(NEW_SCRIPT), 9, &b, 1));
    assert_int_equal(auditors()->n_auditors, 2);
    assert_null(audits_at(p, KIND(NEW_SCRIPT), 7, NULL, 0));
    assert_int_equal(auditors()->n_auditors, 1);
    assert_int_equal(auditors()->auditors[0]->serves[0]->hook, b);
}

/* ---- hits */

static void who_waits_for_hits_is_answered_by_the_next(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t early = ask_for_hits(1, "d", 0, true);
    uint64_t hook = add_to_vm(1, "d", "app");
    assert_null(reply_to(early));
    assert_null(hits_script(p, hook));
    const Stillpoint__Api__HitPage *page = page_of(early);
    assert_int_equal(page->n_hits, 1);
    assert_int_equal(page->hits[0]->seq, 1);
    assert_int_equal(page->hits[0]->vm, p->id);
    assert_string_equal(page->hits[0]->vm_name, "app");
    assert_string_equal(page->hits[0]->location->url, "a.js");
    assert_int_equal(page->hits[0]->location->line, 3);
    assert_int_equal(page->hits[0]->hits, 1);
    assert_int_equal(page->next_seq, 2);
    uint64_t gone = ask_for_hits(2, "d", 2, true);
    client_leaves(2);
    assert_null(hits_script(p, hook));
    assert_null(reply_to(gone));
    assert_int_equal(page_of(ask_for_hits(1, "d", 2, true))->n_hits, 1);
    uint64_t last = ask_for_hits(3, "d", 3, true);
    assert_null(reply_to(last));
    cleared(1, hook);
    client_leaves(1);
    assert_true(page_of(last)->ended);
    assert_int_equal(page_of(last)->next_seq, 3);
}

static void what_a_ring_has_lost_is_said_exactly(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    uint64_t hook = add_to_vm(1, "d", "app");
    const uint64_t total = LIMIT_RING_HITS + 1234;
    for (uint64_t i = 0; i < total; i++)
        assert_null(hits_script(p, hook));
    struct audit_holdings holdings;
    audit_holdings(api.audit, debuggers_find_ref(api.debuggers, "d")->id, &holdings);
    const struct hit_ring *ring = holdings.ring;
    assert_true(ring->bytes <= LIMIT_RING_BYTES);
    assert_int_equal(hit_ring_last(ring), total);
    uint64_t first = hit_ring_first(ring);
    assert_int_equal(hit_ring_dropped(ring), first - 1);
    const Stillpoint__Api__HitPage *page = page_of(ask_for_hits(1, "d", 10, false));
    assert_int_equal(page->hits[0]->before_seq, first);
    assert_int_equal(page->hits[0]->dropped, first - 10);
    assert_int_equal(page->hits[1]->seq, first);
    assert_int_equal(page->next_seq, first + page->n_hits - 1);
    for (size_t i = 1; i < page->n_hits; i++)
        assert_int_equal(page->hits[i]->seq, first + i - 1);
    /* From the oldest there is nothing is missing; beyond the newest there is nothing. */
    page = page_of(ask_for_hits(1, "d", 0, false));
    assert_int_equal(page->hits[0]->seq, first);
    page = page_of(ask_for_hits(1, "d", total + 99, false));
    assert_int_equal(page->n_hits, 0);
    assert_int_equal(page->next_seq, total + 1);
}

static void a_ring_keeps_as_many_as_it_may_and_the_newest(void **test_state)
{
    (void)test_state;
    struct hit_ring ring;
    Stillpoint__Api__Hit m = STILLPOINT__API__HIT__INIT;
    hit_ring_init(&ring);
    assert_int_equal(hit_ring_first(&ring), 0);
    assert_int_equal(hit_ring_last(&ring), 0);
    for (unsigned i = 0; i < LIMIT_RING_HITS; i++)
        hit_ring_append(&ring, &m);
    assert_int_equal(hit_ring_first(&ring), 1);
    assert_int_equal(hit_ring_dropped(&ring), 0);
    hit_ring_append(&ring, &m);
    assert_int_equal(hit_ring_first(&ring), 2);
    assert_int_equal(hit_ring_dropped(&ring), 1);
    char text[LIMIT_HIT_BYTES];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    m.log = text;
    for (unsigned i = 0; i < 1000; i++)
        hit_ring_append(&ring, &m);
    assert_true(ring.bytes <= LIMIT_RING_BYTES);
    assert_true(ring.bytes > LIMIT_RING_BYTES - 2 * LIMIT_HIT_BYTES);
    assert_int_equal(hit_ring_last(&ring), LIMIT_RING_HITS + 1001);
    uint64_t kept_hits = hit_ring_last(&ring) - hit_ring_first(&ring) + 1;
    assert_int_equal(hit_ring_dropped(&ring) + kept_hits, hit_ring_last(&ring));
    uint64_t seq = 0;
    assert_non_null(hit_ring_find(&ring, &seq));
    assert_int_equal(seq, hit_ring_first(&ring));
    hit_ring_done(&ring);
}

static void note_fact(void *userdata, const Stillpoint__Api__Hit *m, uint64_t fact)
{
    uint64_t *facts = userdata;
    assert_in_range(m->seq, 1, 3);
    facts[m->seq - 1] = fact;
}

/* A daemon writes all anew when it takes over, and the next one may read nothing but that. */
static void a_hit_that_is_kept_says_its_fact_under_each_daemon(void **test_state)
{
    (void)test_state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                       "stillpoint-test/audit-%d", (int)getpid());
    _cleanup_close_ int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, bytes), 0);
    char name[sizeof address.sun_path + 1];
    snprintf(name, sizeof name, "@%s", address.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    struct service *service = service_new();
    struct fd_store *store = fd_store_new(service);
    assert_non_null(store);

    struct hit_ring rings[3];
    Stillpoint__Api__Hit m = STILLPOINT__API__HIT__INIT;
    hit_ring_init(&rings[0]);
    for (unsigned i = 0; i < 3; i++) {
        rings[0].fact = 40 + i;
        hit_ring_append(&rings[0], &m);
    }
    rings[0].fact = 0;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t facts[3] = {0};
        assert_int_equal(hit_ring_keep(&rings[i], 1, i), 0);
        hit_ring_init(&rings[i + 1]);
        assert_int_equal(hit_ring_read(&rings[i + 1], rings[i].log.fd, note_fact, facts), 0);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(facts[k], 40 + k);
    }
    for (unsigned i = 0; i < 3; i++)
        hit_ring_done(&rings[i]);
    fd_store_free(store);
    service_free(service);
}

static void hits_that_want_a_pause_wait_for_what_becomes_of_it(void **test_state)
{
    (void)test_state;
    struct player *p = born("app", "default");
    open_debugger(1, "d");
    AddHooks m = add_of("d");
    m.vm = API_TEXT("app");
    API_SET(&m, suspend, STILLPOINT__API__SUSPEND__SUSPEND_WORLD);
    uint64_t first = added(1, &m), second = added(1, &m), plain = add_to_vm(1, "d", "app");
    uint64_t waiting = ask_for_hits(1, "d", 1, true);
    p->w->last_pause = 3;
    assert_null(hits(p, first, KIND(NEW_SCRIPT), 4));
    assert_null(hits_script(p, plain));
    assert_null(hits(p, second, KIND(NEW_SCRIPT), 4));
    assert_null(reply_to(waiting));
    audit_pause_decided(api.audit, p->w, 3, only_the_first, &first);
    assert_null(reply_to(waiting));
    audit_pause_decided(api.audit, p->w, 4, only_the_first, &first);
    p->w->last_pause = 4;
    assert_int_equal(page_of(waiting)->n_hits, 1);
    const Stillpoint__Api__HitPage *page = page_of(ask_for_hits(1, "d", 1, false));
    assert_int_equal(page->n_hits, 3);
    assert_int_equal(page->hits[0]->hook, first);
    assert_string_equal(page->hits[0]->paused, "world");
    assert_int_equal(page->hits[1]->hook, plain);
    assert_null(page->hits[1]->paused);
    assert_int_equal(page->hits[2]->hook, second);
    assert_string_equal(page->hits[2]->paused, "not-controller");
    assert_int_equal(page->hits[2]->seq, 3);
    /* One that ends instead of pausing takes no hit along. */
    assert_null(hits(p, first, KIND(NEW_SCRIPT), 5));
    add_to_all(1, "d", "*");
    dies(p);
    assert_int_equal(page_of(ask_for_hits(1, "d", 4, false))->n_hits, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(a_hook_is_set_in_a_stop_of_its_own_which_is_over_then),
    TEST(a_vm_that_runs_is_brought_to_stand_first),
    TEST(a_hook_is_set_inside_the_stop_that_somebody_else_has),
    TEST(a_vm_that_is_held_gets_a_hook_without_a_stop_of_its_world),
    TEST(where_one_vm_cannot_all_are_without),
    TEST(who_of_several_hooks_could_not_be_set_is_said),
    TEST(a_vm_that_ends_meanwhile_needs_no_hook),
    TEST(one_vm_dies_and_another_cannot),
    TEST(one_that_does_not_answer_is_given_up_and_nobody_waits_for_it_again),
    TEST(a_vm_born_in_the_middle_has_the_hook_before_its_program),
    TEST(a_vm_that_is_about_to_load_waits_for_the_hook),
    TEST(a_vm_in_which_a_hook_cannot_be_set_starts_all_the_same_and_says_so),
    TEST(a_selector_over_two_worlds_is_one_act),
    TEST(a_world_that_cannot_be_stopped_leaves_the_other_without),
    TEST(without_a_vm_that_matches_no_world_stops),
    TEST(a_hook_follows_its_selector_and_not_the_name_that_it_was_set_for),
    TEST(a_hook_keeps_the_world_that_it_is_for),
    TEST(what_one_vm_and_one_debugger_may_have_is_bounded),
    TEST(a_debugger_lives_until_the_last_of_what_keeps_it_in_every_order),
    TEST(a_hook_at_a_frame_keeps_its_debugger_exactly_until_the_frame_is_popped),
    TEST(a_debugger_whose_client_is_gone_still_receives),
    TEST(a_debugger_without_hooks_is_gone_at_once),
    TEST(a_weak_hook_alone_keeps_nobody_and_is_taken_along),
    TEST(a_hook_that_is_spent_is_shown_and_keeps_nobody),
    TEST(closing_a_debugger_ends_its_hooks),
    TEST(what_a_debugger_has_left_is_taken_out_though_somebody_resumes_the_world),
    TEST(a_debugger_that_goes_while_its_hooks_are_being_set_takes_them_back),
    TEST(hits_that_are_on_their_way_when_a_hook_is_removed_are_kept),
    TEST(a_hook_removed_between_its_hit_and_the_pause_may_be_named_by_that),
    TEST(two_hooks_of_one_kind_are_removed_one_by_one),
    TEST(a_worker_cannot_speak_for_hooks_that_it_does_not_have),
    TEST(a_hit_announces_the_pause_that_comes_next_and_no_other),
    TEST(what_a_worker_says_without_end_is_bounded),
    TEST(a_breakpoint_says_where_it_is_in_each_vm),
    TEST(breakpoints_at_two_places_of_a_script_are_two_auditors),
    TEST(who_waits_for_hits_is_answered_by_the_next),
    TEST(what_a_ring_has_lost_is_said_exactly),
    TEST(a_ring_keeps_as_many_as_it_may_and_the_newest),
    TEST(a_hit_that_is_kept_says_its_fact_under_each_daemon),
    TEST(hits_that_want_a_pause_wait_for_what_becomes_of_it),
};

UNIT_MAIN(tests)

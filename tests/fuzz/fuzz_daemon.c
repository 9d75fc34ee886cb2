/*
 * The daemon's real objects between hostile workers and hostile clients: requests through the
 * clients' door and their handlers, packets through worker channels, status words of any value, and
 * births and deaths at any moment. What the daemon answers has to be a message that a client takes;
 * in the end nothing is left.
 *
 * Input: ops, each one byte (its low bits say what, its high ones which client or VM) with what
 * belongs to it. OP_REQUEST, OP_PACKET: length and an Envelope, a Fact. A Fact's number, and that
 * of the request that it answers, are made right unless its flags say otherwise.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/api.h"
#include "daemon/api_audit.h"
#include "daemon/api_hits.h"
#include "daemon/api_step.h"
#include "daemon/api_vm.h"
#include "daemon/api_wait.h"
#include "daemon/api_world.h"
#include "daemon/audit.h"
#include "daemon/config.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/facts.h"
#include "daemon/freezer.h"
#include "daemon/pause.h"
#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"
#include "proto/unpack.h"
#include "shared-mem/map.h"
#include "tests/fuzz/fuzz.h"

#define VMS 8u
#define CLIENTS 4u
#define MAX_OPS 200u
#define MAX_FDS_SENT 4u

#define FLAG_AS_IT_IS 1u /* numbers stay what they are */
#define FLAG_MEMFD 2u

enum op { OP_REQUEST, OP_PACKET, OP_STATUS, OP_BORN, OP_DIE, OP_LEAVE, OP_TURN, OP_FIELD, N_OPS };

/* A worker, played by the input. */
struct player {
    uint64_t id;
    int channel, process; /* -1: none; `process` stands for its pidfd */
    bool answered;        /* the zygote has, once */
    struct status_page *status;
    uint64_t seq, inspect;
};

static struct player players[VMS];
static size_t n_players;
static struct event_base *base;
static struct worker_host host;
static struct config config = {.private_fd = -1};
static struct api api;
static struct event_listener *listener;

/* ---- the kernel: processes are eventfds, readable once they are dead */

int pidfd_send_signal(int fd, int number, siginfo_t *info, unsigned flags)
{
    (void)info, (void)flags;
    const uint64_t one = 1;
    if (number == SIGKILL)
        FUZZ_REQUIRE(write(fd, &one, sizeof one) == sizeof one);
    return 0;
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    (void)type, (void)id, (void)options;
    *info = (siginfo_t){.si_code = CLD_KILLED, .si_status = SIGKILL};
    return 0;
}

/* ---- the zygote */

int zygote_client_spawn(struct zygote_client *z, Stillpoint__Worker__Spawn *spawn,
                        const int fds[ZYGOTE_FDS])
{
    (void)z;
    if (n_players == VMS)
        return -EAGAIN;
    struct player *p = &players[n_players++];
    *p = (struct player){.id = spawn->vm, .process = -1};
    p->channel = dup(fds[ZYGOTE_CHANNEL]);
    FUZZ_REQUIRE(p->channel >= 0);
    FUZZ_REQUIRE(map_attach(fds[ZYGOTE_STATUS], MAP_WRITER_SELF, (void **)&p->status) == 0);
    return 0;
}

pid_t zygote_client_pid(const struct zygote_client *z)
{
    (void)z;
    return 0;
}

static struct zygote_client *find_zygote(void *userdata, const char *engine)
{
    (void)userdata, (void)engine;
    return (struct zygote_client *)&api;
}

/* ---- clients */

static void take_reply(void *userdata, uint64_t client, Stillpoint__Api__Envelope *e, int fd)
{
    (void)userdata, (void)client;
    const char *why;
    size_t len = stillpoint__api__envelope__get_packed_size(e);
    uint8_t *packed = malloc(len + 1);
    FUZZ_REQUIRE(packed && len <= LIMIT_FRAME_BYTES);
    stillpoint__api__envelope__pack(e, packed);
    ProtobufCMessage *m = unpack_message(&stillpoint__api__envelope__descriptor, packed, len, &why);
    FUZZ_REQUIRE(m);
    unpack_free(m);
    free(packed);
    if (fd >= 0)
        close(fd);
}

static size_t queued(void *userdata, uint64_t client)
{
    (void)userdata, (void)client;
    return 0;
}

static bool may_subscribe(void *userdata, uint64_t client, size_t *ret_has)
{
    (void)userdata, (void)client;
    *ret_has = 0;
    return true;
}

static void subscribe(void *userdata, uint64_t client, uint64_t cursor, uint64_t kinds)
{
    (void)userdata, (void)client, (void)cursor, (void)kinds;
}

static bool replay(void *userdata, uint64_t client, uint64_t cursor, uint64_t kinds,
                   uint64_t request_id)
{
    (void)userdata, (void)client, (void)cursor, (void)kinds, (void)request_id;
    return false;
}

static const struct api_clients clients = {take_reply, queued, may_subscribe,
                                           subscribe,  replay, NULL};

/* Two of them are of one uid. */
static void request(unsigned client, struct fuzz_input *in)
{
    const struct access_peer peer = {.uid = 1000 + client / 2,
                                     .roles = ACCESS_OBSERVE | ACCESS_RUN | ACCESS_DEBUG};
    struct api_request r;
    struct api_error error;
    size_t n;
    const uint8_t *data = fuzz_bytes(in, fuzz_u16(in), &n);
    uint8_t *packed = fuzz_copy(data, n);
    int e = check_api_request(packed, n, &r, &error);
    free(packed);
    if (e < 0)
        return;
    /* What looks at this machine, and not at objects. */
    if (r.kind != API_DOCTOR) {
        struct api_call call = {
            .api = &api, .client = client + 1, .peer = &peer, .request = &r, .fd = -1};
        if (r.n_fds > 0)
            call.fd = fd_memfd_new("program", "0", 1);
        api_handle(&call);
        fd_close(&call.fd);
        debuggers_settle(api.debuggers);
    }
    check_api_done(&r);
}

/* ---- workers */

static void read_commands(struct player *p)
{
    static uint8_t packet[LIMIT_PACKET_BYTES];
    while (p->channel >= 0) {
        int fds[FD_MAX_PASSED];
        size_t n_fds = FD_MAX_PASSED;
        ssize_t n = fd_receive(p->channel, packet, sizeof packet, fds, &n_fds);
        if (n <= 0)
            return;
        while (n_fds > 0)
            close(fds[--n_fds]);
        Stillpoint__Worker__Command *c =
            stillpoint__worker__command__unpack(NULL, (size_t)n, packet);
        FUZZ_REQUIRE(c);
        if (c->body_case == STILLPOINT__WORKER__COMMAND__BODY_INSPECT)
            p->inspect = c->inspect->request;
        stillpoint__worker__command__free_unpacked(c, NULL);
    }
}

static void turn(void)
{
    for (unsigned i = 0; i < 3; i++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        for (size_t k = 0; k < n_players; k++)
            read_commands(&players[k]);
    }
}

static uint8_t *prepared(struct player *p, unsigned flags, const uint8_t *data, size_t n,
                         size_t *ret_bytes)
{
    Stillpoint__Worker__Fact *f =
        flags & FLAG_AS_IT_IS ? NULL : stillpoint__worker__fact__unpack(NULL, n, data);
    *ret_bytes = n;
    if (!f)
        return fuzz_copy(data, n);
    f->has_seq = 1;
    f->seq = ++p->seq;
    if (f->body_case == STILLPOINT__WORKER__FACT__BODY_INSPECTED && f->inspected) {
        f->inspected->has_request = 1;
        f->inspected->request = p->inspect;
    }
    *ret_bytes = stillpoint__worker__fact__get_packed_size(f);
    uint8_t *packed = malloc(*ret_bytes);
    FUZZ_REQUIRE(packed);
    stillpoint__worker__fact__pack(f, packed);
    stillpoint__worker__fact__free_unpacked(f, NULL);
    return packed;
}

static void packet(struct player *p, struct fuzz_input *in)
{
    unsigned flags = fuzz_u8(in);
    size_t n, bytes, beside = 0;
    const uint8_t *data = fuzz_bytes(in, fuzz_u16(in), &n), *memfd_data = NULL;
    int fd = -1;
    if (flags & FLAG_MEMFD) {
        memfd_data = fuzz_bytes(in, fuzz_u16(in), &beside);
        fd = fd_memfd_new("fact", memfd_data, beside);
    }
    read_commands(p);
    uint8_t *packed = prepared(p, flags, data, n, &bytes);
    struct iovec iov = {.iov_base = packed, .iov_len = bytes};
    /* The daemon may have hung up. */
    if (bytes > 0 && p->channel >= 0)
        (void)fd_send(p->channel, &iov, 1, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0)
        close(fd);
    free(packed);
    turn();
    const struct worker *w = registry_find(api.registry, p->id);
    if (w && w->phase != WORKER_GONE && w->exit.reason == 0)
        fuzz_accepted();
    else
        fuzz_refused();
}

static void shows(struct player *p, struct fuzz_input *in)
{
    uint8_t what = fuzz_u8(in);
    struct worker *w = registry_find(api.registry, p->id);
    uint64_t epoch = w && w->gate.world ? w->gate.world->epoch : 1;
    atomic_store(&p->status->word, shm_status_word(epoch - (what >> 7), what & 7));
    if (w && w->phase == WORKER_ADMITTED && !(what & 0x40))
        facts_worker_events.on_kicked(&api, w);
}

static void writes(struct player *p, struct fuzz_input *in)
{
    unsigned which = fuzz_u8(in);
    uint64_t v = which & 0x80 ? fuzz_u8(in) : fuzz_u64(in);
    _Atomic uint64_t *fields[] = {&p->status->word,         &p->status->parked_ns,
                                  &p->status->last_fact,    &p->status->lost_wakes,
                                  &p->status->refused_call, &p->status->messages_taken,
                                  &p->status->pause};
    size_t n = sizeof fields / sizeof *fields;
    if (which % (n + 1) < n)
        atomic_store(fields[which % (n + 1)], v);
    else
        atomic_store(&p->status->oom, (uint32_t)v);
}

static void be_born(struct player *p, struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);
    struct zygote_birth birth = {.pidfd = -1};
    struct worker *w = registry_find(api.registry, p->id);
    if (p->answered || !w || w->phase != WORKER_SPAWNING)
        return;
    p->answered = true;
    if (how & 0x80) {
        birth.error = -EAGAIN;
        birth.detail = "clone3";
    } else {
        p->process = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        birth.pid = 0x3fffff; /* beyond every process */
        birth.pidfd = dup(p->process);
        birth.cgroup_error = how & 1 ? -EPERM : 0;
        FUZZ_REQUIRE(birth.pidfd >= 0);
    }
    registry_spawned(api.registry, p->id, &birth);
}

static void die(struct player *p)
{
    if (p->process >= 0)
        pidfd_send_signal(p->process, SIGKILL, NULL, 0);
    if (p->channel >= 0)
        close(p->channel);
    p->channel = -1;
    turn();
}

/* ---- the wiring, as main has it */

static void on_debugger_changed(void *userdata, const struct debugger *d)
{
    (void)userdata;
    if (api.state)
        FUZZ_REQUIRE(state_put_debugger(api.state, d) == 0);
}

static void on_debugger_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    if (api.audit)
        audit_on_debugger_gone(api.audit, id);
    if (api.state)
        FUZZ_REQUIRE(state_put_debugger_gone(api.state, id) == 0);
}

static void on_hook_set(void *userdata, const struct audit_hook *h)
{
    (void)userdata;
    FUZZ_REQUIRE(state_put_hook(api.state, h) == 0);
}

static void on_hook_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    FUZZ_REQUIRE(state_put_hook_gone(api.state, id) == 0);
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

static int find_hook(void *userdata, uint64_t vm, uint64_t hook, struct pause_hook *ret)
{
    (void)userdata;
    const struct audit_part *part = audit_find_part(api.audit, vm, hook);
    *ret = (struct pause_hook){0};
    if (!part)
        return audit_awaits_pause(api.audit, vm, hook) ? 0 : -ENOENT;
    if (part->hook)
        *ret = (struct pause_hook){part->hook->debugger,
                                   (enum pause_suspend)part->hook->wire->suspend};
    return 0;
}

static void on_decided(void *userdata, struct worker *w, uint64_t pause,
                       pause_verdict_function *verdict, void *verdict_userdata)
{
    (void)userdata;
    audit_pause_decided(api.audit, w, pause, verdict, verdict_userdata);
}

static void on_news(void *userdata)
{
    (void)userdata;
    debuggers_settle(api.debuggers);
    event_active(api.poll, 0, 0);
}

static void on_poll(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what, (void)userdata;
    api_wait_recheck(&api);
    api_step_recheck(&api);
    api_world_recheck(&api);
}

static void build(void)
{
    static const struct debuggers_events debuggers = {on_debugger_changed, on_debugger_gone, NULL};
    static const struct audit_events audit = {on_hook_set, on_hook_gone, on_settled,
                                              on_orphans,  on_hits,      NULL};
    static const struct pauses_events pauses = {find_hook, on_decided, NULL};
    api = (struct api){.clients = &clients, .config = &config, .zygote = find_zygote};
    n_players = 0;
    api.base = base = event_base_new();
    host = (struct worker_host){
        .base = base, .freezer = freezer_new_signals("a fuzzer"), .looks = look_queue_new(base)};
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
    api.audit = audit_new(api.registry, api.worlds, api.debuggers, &audit);
    api.pauses = pauses_new(api.worlds, api.debuggers, api.bus);
    FUZZ_REQUIRE(api.audit && api.pauses);
    pauses_set_events(api.pauses, &pauses);
    api.state = state_new(api.registry, api.worlds, api.debuggers, api.audit);
    api.poll = event_new(base, -1, 0, on_poll, NULL);
    listener = event_bus_listen(api.bus, on_news, NULL);
    FUZZ_REQUIRE(api.state && api.poll && listener);
}

static void take_down(void)
{
    for (size_t i = 0; i < n_players; i++) {
        struct player *p = &players[i];
        die(p);
        const struct worker *w = registry_find(api.registry, p->id);
        struct fuzz_input never = {(const uint8_t *)"\x80", 1};
        if (w && w->phase == WORKER_SPAWNING) {
            be_born(p, &never);
            turn();
        }
        w = registry_find(api.registry, p->id);
        FUZZ_REQUIRE(!w || w->phase == WORKER_GONE);
        fd_close(&p->process);
        p->status = map_done(p->status);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        api_vm_on_client_gone(&api, i + 1);
        debuggers_on_client_gone(api.debuggers, i + 1);
    }
    turn();
    struct pending *pending;
    event_bus_unlisten(api.bus, listener);
    api_audit_done(&api);
    api.audit = audit_free(api.audit);
    api.pauses = pauses_free(api.pauses);
    api.registry = registry_free(api.registry);
    worlds_free(api.worlds);
    debuggers_free(api.debuggers);
    while ((pending = LIST_FIRST(&api.pendings)) != NULL)
        api_pending_free(pending);
    api.state = state_free(api.state);
    event_bus_free(api.bus);
    event_free(api.poll);
    look_queue_free(host.looks);
    freezer_free(host.freezer);
    event_base_free(base);
}

static void run_op(uint8_t what, struct fuzz_input *in)
{
    unsigned which = what >> 4;
    struct player *p = n_players > 0 ? &players[which % n_players] : NULL;
    switch ((enum op)(what % 16 % N_OPS)) {
    case OP_REQUEST:
        request(which % CLIENTS, in);
        break;
    case OP_PACKET:
        if (p)
            packet(p, in);
        break;
    case OP_STATUS:
        if (p)
            shows(p, in);
        break;
    case OP_BORN:
        if (p)
            be_born(p, in);
        break;
    case OP_DIE:
        if (p)
            die(p);
        break;
    case OP_LEAVE:
        api_vm_on_client_gone(&api, which % CLIENTS + 1);
        debuggers_on_client_gone(api.debuggers, which % CLIENTS + 1);
        break;
    case OP_FIELD:
        if (p)
            writes(p, in);
        break;
    case OP_TURN:
    case N_OPS:
        turn();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    fuzz_fds_note();
    build();
    for (unsigned i = 0; i < MAX_OPS && in.left > 0; i++)
        run_op(fuzz_u8(&in), &in);
    take_down();
    fuzz_fds_require();
    return 0;
}

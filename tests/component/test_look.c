/*
 * Pauses, looks, evaluations and steps: the daemon's real objects behind its table of requests, and
 * VMs that this test plays, on their real channels and pages. A VM's process is a child that only
 * waits to be killed.
 */
#include "tests/support/timers.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/api.h"
#include "daemon/api_step.h"
#include "daemon/api_vm.h"
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
#include "daemon/worker_pause.h"
#include "daemon/worlds.h"
#include "shared-mem/map.h"

typedef Stillpoint__Api__Envelope Envelope;
typedef Stillpoint__Worker__Command Command;
typedef Stillpoint__Worker__Fact Fact;

#define WORKER_COMMAND(name) STILLPOINT__WORKER__COMMAND__BODY_##name
#define WORKER_FACT(name) STILLPOINT__WORKER__FACT__BODY_##name
#define CLIENT 1 /* connections */
#define OTHER_CLIENT 2
#define MAX_REPLIES 64

struct player {
    struct worker *worker;
    int channel, kick_fd;
    struct status_page *status;
    uint64_t seq;
    uint32_t answered_kick;
};

static struct event_base *base;
static struct event_bus *bus;
static struct worlds *worlds;
static struct world *world;
static struct worker_host host;
static struct registry *registry;
static struct debuggers *debuggers;
static struct audit *audit;
static struct pauses *pauses;
static struct state *kept;
static struct config config;
static struct api api;
static struct api_clients client_ops;
static struct player players[3];
static struct player *being_born;
static int lifeline[2];
static struct {
    uint64_t request;
    Envelope *envelope;
} replies[MAX_REPLIES];
static size_t n_replies;
static uint64_t next_request;
/* Hook n is in every VM. */
static struct pause_hook hooks[8];
static uint64_t decided_pause;
static const char *decided[8];

/* ---- the zygote, played */

int zygote_client_spawn(struct zygote_client *z, Stillpoint__Worker__Spawn *spawn,
                        const int fds[ZYGOTE_FDS])
{
    (void)z, (void)spawn;
    being_born->channel = fcntl(fds[ZYGOTE_CHANNEL], F_DUPFD_CLOEXEC, 0);
    being_born->kick_fd = fcntl(fds[ZYGOTE_KICK], F_DUPFD_CLOEXEC, 0);
    assert_int_equal(map_attach(fds[ZYGOTE_STATUS], MAP_WRITER_SELF, (void **)&being_born->status),
                     0);
    return 0;
}

pid_t zygote_client_pid(const struct zygote_client *z)
{
    (void)z;
    return 0;
}

static struct zygote_client *find_zygote(void *userdata, const char *engine)
{
    (void)engine;
    return userdata;
}

static struct zygote_birth make_process(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return (struct zygote_birth){.pid = pid, .pidfd = (int)pidfd_open(pid, 0), .detail = ""};
}

/* ---- clients */

static void on_send(void *userdata, uint64_t client, Envelope *envelope, int fd)
{
    (void)userdata;
    assert_int_equal(fd, -1);
    if (client == 0)
        return;
    size_t bytes = stillpoint__api__envelope__get_packed_size(envelope);
    uint8_t *packed = malloc(bytes);
    assert_non_null(packed);
    stillpoint__api__envelope__pack(envelope, packed);
    assert_true(n_replies < MAX_REPLIES);
    replies[n_replies].request = envelope->request_id;
    replies[n_replies].envelope = stillpoint__api__envelope__unpack(NULL, bytes, packed);
    assert_non_null(replies[n_replies].envelope);
    n_replies++;
    free(packed);
}

static size_t nothing_queued(void *userdata, uint64_t client)
{
    (void)userdata, (void)client;
    return 0;
}

/* NULL: it has not been answered. */
static const Envelope *reply_to(uint64_t request)
{
    const Envelope *found = NULL;
    for (size_t i = 0; i < n_replies; i++) {
        if (replies[i].request != request)
            continue;
        assert_null(found); /* once */
        found = replies[i].envelope;
    }
    return found;
}

static int error_of(uint64_t request)
{
    const Envelope *e = reply_to(request);
    return e && e->body_case == API_BODY(ERROR) ? (int)e->error->code : 0;
}

static uint64_t ask_as(uint64_t client, uid_t uid, struct api_request *r)
{
    struct access_peer peer = {.uid = uid, .roles = ACCESS_OBSERVE | ACCESS_RUN | ACCESS_DEBUG};
    struct api_call call = {.api = &api,
                            .client = client,
                            .peer = &peer,
                            .request = r,
                            .dispatched_ns = shm_now_ns(),
                            .fd = -1};
    r->id = ++next_request;
    api_handle(&call);
    debuggers_settle(debuggers);
    return r->id;
}

static uint64_t ask(struct api_request *r)
{
    return ask_as(CLIENT, 1000, r);
}

static struct api_vm_ref ref(const struct player *p)
{
    return (struct api_vm_ref){.id = p->worker->id};
}

/* ---- set up */

static int find_hook(void *userdata, uint64_t vm, uint64_t hook, struct pause_hook *ret)
{
    (void)userdata, (void)vm;
    if (hook >= 8 || hooks[hook].suspend == 0)
        return -ENOENT;
    *ret = hooks[hook];
    return 0;
}

static void on_decided(void *userdata, struct worker *w, uint64_t pause,
                       pause_verdict_function *verdict, void *verdict_userdata)
{
    (void)userdata, (void)w;
    decided_pause = pause;
    for (uint64_t i = 0; i < 8; i++)
        decided[i] = hooks[i].suspend != 0 ? verdict(verdict_userdata, i) : NULL;
}

static void ignore_changed(void *userdata, const struct debugger *d)
{
    (void)userdata, (void)d;
}

static void ignore_gone(void *userdata, uint64_t id)
{
    (void)userdata, (void)id;
}

static int setup(void **state)
{
    (void)state;
    static const struct debuggers_events events = {ignore_changed, ignore_gone, NULL};
    static const struct pauses_events up = {find_hook, on_decided, NULL};
    base = event_base_new();
    bus = event_bus_new();
    host = (struct worker_host){
        .base = base, .freezer = freezer_new_signals("a test"), .looks = look_queue_new(base)};
    worlds = worlds_new(base, bus);
    world = worlds_get(worlds, "default", false);
    assert_int_equal(pipe2(lifeline, O_CLOEXEC), 0);
    const struct registry_config r = {.host = &host,
                                      .lifeline_fd = lifeline[0],
                                      .events = &facts_worker_events,
                                      .userdata = &api,
                                      .zygote = find_zygote};
    registry = registry_new(&r);
    debuggers = debuggers_new(worlds, registry, &events);
    pauses = pauses_new(worlds, debuggers, bus);
    pauses_set_events(pauses, &up);
    static const struct audit_events nothing = {.userdata = NULL};
    audit = audit_new(registry, worlds, debuggers, &nothing);
    kept = state_new(registry, worlds, debuggers, audit);
    assert_non_null(kept);
    client_ops = (struct api_clients){.send = on_send, .queued = nothing_queued};
    api = (struct api){.base = base,
                       .config = &config,
                       .bus = bus,
                       .freezer = host.freezer,
                       .registry = registry,
                       .worlds = worlds,
                       .debuggers = debuggers,
                       .pauses = pauses,
                       .audit = audit,
                       .state = kept,
                       .clients = &client_ops};
    LIST_INIT(&api.pendings);
    api.poll = event_new(base, -1, 0, NULL, NULL);
    memset(hooks, 0, sizeof hooks);
    memset(decided, 0, sizeof decided);
    n_replies = 0;
    next_request = decided_pause = 0;
    for (int i = 0; i < 3; i++)
        players[i] = (struct player){.channel = -1, .kick_fd = -1};
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    api_step_recheck(&api);
    api_world_recheck(&api);
    for (int i = 0; i < 4; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void wait_for(const struct player *p, enum worker_phase phase)
{
    for (int i = 0; i < 100000 && p->worker->phase != phase; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(p->worker->phase, phase);
    turn();
}

static void dies(struct player *p)
{
    pidfd_send_signal(p->worker->pidfd, SIGKILL, NULL, 0);
    wait_for(p, WORKER_GONE);
}

static int teardown(void **state)
{
    (void)state;
    api_vm_on_client_gone(&api, CLIENT);
    debuggers_on_client_gone(debuggers, CLIENT);
    for (int i = 0; i < 3; i++) {
        struct player *p = &players[i];
        if (p->worker && p->worker->phase != WORKER_GONE)
            dies(p);
        fd_close(&p->channel);
        fd_close(&p->kick_fd);
        map_done(p->status);
    }
    assert_true(LIST_EMPTY(&api.pendings)); /* everybody was answered, or is gone */
    for (size_t i = 0; i < n_replies; i++)
        stillpoint__api__envelope__free_unpacked(replies[i].envelope, NULL);
    audit_free(audit);
    registry_free(registry);
    worlds_free(worlds);
    pauses_free(pauses);
    debuggers_free(debuggers);
    state_free(kept);
    event_free(api.poll);
    look_queue_free(host.looks);
    freezer_free(host.freezer);
    event_bus_free(bus);
    event_base_free(base);
    close(lifeline[0]);
    close(lifeline[1]);
    libevent_global_shutdown();
    return 0;
}

/* ---- VMs, played */

static void say_quickly(struct player *p, Fact *f)
{
    uint8_t data[4096];
    f->has_seq = 1;
    f->seq = ++p->seq;
    size_t n = stillpoint__worker__fact__pack(f, data);
    assert_true(n <= sizeof data);
    assert_int_equal(send(p->channel, data, n, 0), (ssize_t)n);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void say(struct player *p, Fact *f)
{
    say_quickly(p, f);
    turn();
}

/* The next command, to be freed; NULL: there is none. */
static Command *hear(struct player *p)
{
    uint8_t data[LIMIT_PACKET_BYTES];
    int fds[FD_MAX_PASSED];
    for (;;) {
        size_t n_fds = FD_MAX_PASSED;
        ssize_t n = fd_receive(p->channel, data, sizeof data, fds, &n_fds);
        if (n <= 0)
            return NULL;
        while (n_fds > 0)
            close(fds[--n_fds]);
        Command *c = stillpoint__worker__command__unpack(NULL, (size_t)n, data);
        assert_non_null(c);
        if (c->body_case != WORKER_COMMAND(_NOT_SET))
            return c;
        stillpoint__worker__command__free_unpacked(c, NULL); /* an ack */
    }
}

static void forget_commands(struct player *p)
{
    Command *c;
    while ((c = hear(p)) != NULL)
        stillpoint__worker__command__free_unpacked(c, NULL);
}

static void shows(struct player *p, enum shm_state state)
{
    uint64_t epoch = shm_world_epoch(atomic_load(&world_stop_half(world)->page->word));
    atomic_store(&p->status->word, shm_status_word(epoch, state));
    uint32_t kick = atomic_load(&p->worker->gate.command->kick);
    if (state != SHM_RUNNING && kick != p->answered_kick) {
        uint64_t one = 1;
        p->answered_kick = kick;
        assert_int_equal(write(p->kick_fd, &one, sizeof one), sizeof one);
    }
    turn();
}

static struct player *born(int i, enum shm_state state)
{
    struct player *p = being_born = &players[i];
    char name[16];
    snprintf(name, sizeof name, "vm-%d", i);
    struct worker_config c = {
        .name = name, .world = "default", .engine = "fake", .program = "app.js", .uid = 1000};
    int program = fd_memfd_new("program", "", 0);
    assert_true(program >= 0);
    assert_int_equal(registry_add(registry, world_stop_half(world), &c, program, &p->worker), 0);
    world_on_member_born(world, p->worker);
    const struct zygote_birth birth = make_process();
    registry_spawned(registry, p->worker->id, &birth);
    Fact f = STILLPOINT__WORKER__FACT__INIT;
    Stillpoint__Worker__Born b = STILLPOINT__WORKER__BORN__INIT;
    Stillpoint__Worker__Loaded l = STILLPOINT__WORKER__LOADED__INIT;
    f.body_case = WORKER_FACT(BORN);
    f.born = &b;
    say(p, &f);
    f.body_case = WORKER_FACT(LOADED);
    f.loaded = &l;
    say(p, &f);
    assert_int_equal(p->worker->phase, WORKER_ADMITTED);
    forget_commands(p);
    shows(p, state);
    return p;
}

static bool may_run(const struct player *p)
{
    return shm_may_run(atomic_load(&world_stop_half(world)->page->word),
                       atomic_load(&p->worker->gate.command->word));
}

static uint64_t answered(const struct player *p)
{
    return atomic_load(&p->worker->gate.command->answered);
}

static uint64_t allowed(const struct player *p)
{
    return atomic_load(&p->worker->gate.command->evaluation);
}

static uint64_t word(void)
{
    return atomic_load(&world_stop_half(world)->page->word);
}

/* The VM parks by itself, for this hook (0: none) and that step. */
static void pauses_for(struct player *p, uint64_t number, unsigned reason, uint64_t hook,
                       uint64_t step)
{
    Fact f = STILLPOINT__WORKER__FACT__INIT;
    Stillpoint__Worker__Paused m = STILLPOINT__WORKER__PAUSED__INIT;
    Stillpoint__Worker__Frame frame = STILLPOINT__WORKER__FRAME__INIT;
    API_SET(&frame, kind, 1);
    frame.function = API_TEXT("fib");
    frame.url = API_TEXT("app.js");
    API_SET(&frame, line, 3);
    API_SET(&m, pause, number);
    API_SET(&m, reason, reason);
    if (hook != 0) {
        m.hooks = &hook;
        m.n_hooks = 1;
    }
    if (step != 0)
        API_SET(&m, step, step);
    m.frame = &frame;
    atomic_store(&p->status->pause, number);
    shows(p, SHM_PARKED);
    f.body_case = WORKER_FACT(PAUSED);
    f.paused = &m;
    say(p, &f);
}

/* The next command is an AnswerPause with this number; returns how, and a copy of its expression.
 */
static unsigned hear_answer(struct player *p, uint64_t number, char *ret_expression)
{
    Command *c = hear(p);
    assert_non_null(c);
    assert_int_equal(c->body_case, WORKER_COMMAND(ANSWER_PAUSE));
    assert_int_equal(c->answer_pause->pause, number);
    unsigned answer = c->answer_pause->answer;
    if (ret_expression)
        snprintf(ret_expression, 64, "%s",
                 c->answer_pause->expression ? c->answer_pause->expression : "");
    stillpoint__worker__command__free_unpacked(c, NULL);
    assert_int_equal(answered(p), number);
    return answer;
}

/* The next command is an Inspect of this kind; it is freed by the caller. */
static Command *hear_inspect(struct player *p, unsigned kind)
{
    Command *c = hear(p);
    assert_non_null(c);
    assert_int_equal(c->body_case, WORKER_COMMAND(INSPECT));
    assert_int_equal(c->inspect->kind, kind);
    return c;
}

/* It is answered by this, and freed. */
static void answer_inspect(struct player *p, Command *c, const char *error,
                           Stillpoint__Worker__InspectedBody *body)
{
    Fact f = STILLPOINT__WORKER__FACT__INIT;
    Stillpoint__Worker__Inspected m = STILLPOINT__WORKER__INSPECTED__INIT;
    API_SET(&m, request, c->inspect->request);
    m.error = API_TEXT(error);
    if (error)
        API_SET(&m, refusal,
                strncmp(error, "no such", 7) == 0 ? WORKER_REFUSED_NOT_FOUND
                                                  : WORKER_REFUSED_CANCELLED);
    m.body = body;
    f.body_case = WORKER_FACT(INSPECTED);
    f.inspected = &m;
    stillpoint__worker__command__free_unpacked(c, NULL);
    say(p, &f);
}

/* ---- requests */

static uint64_t open_debugger(uint64_t client, uid_t uid, const char *name, bool hold)
{
    const struct debugger *d;
    assert_int_equal(debuggers_open(debuggers, client, uid, name, NULL, &hold, &d), 0);
    return d->id;
}

static uint64_t stop_world(const char *debugger)
{
    struct api_request r = {.kind = API_STOP_WORLD,
                            .stop_world = {.world = "default",
                                           .deadline_us = 60000000,
                                           .hold_us = 3600000000u,
                                           .debugger = debugger}};
    return ask(&r);
}

static uint64_t resume_world(void)
{
    struct api_request r = {.kind = API_RESUME_WORLD, .world = {.world = "default"}};
    return ask(&r);
}

static uint64_t continue_vm(struct player *p, bool only, bool until_still, unsigned answer,
                            const char *expression)
{
    struct api_request r = {.kind = API_CONTINUE_VM,
                            .continue_vm = {.vm = ref(p),
                                            .only = only,
                                            .until_still = until_still,
                                            .on_exit = only ? WORLD_RUNNER_EXIT_STOP : 0,
                                            .answer = answer,
                                            .answer_expression = expression}};
    return ask(&r);
}

static uint64_t evaluate(struct player *p, const char *expression)
{
    struct api_request r = {
        .kind = API_EVALUATE,
        .evaluate = {.vm = ref(p), .expression = expression, .timeout_us = 3600000000u}};
    return ask(&r);
}

static uint64_t step_vm(struct player *p, bool others_run, uint64_t deadline_us, uint32_t count)
{
    struct api_request r = {.kind = API_STEP_VM,
                            .step_vm = {.vm = ref(p),
                                        .how = 2,
                                        .granularity = 1,
                                        .others_run = others_run,
                                        .deadline_us = deadline_us,
                                        .count = count}};
    return ask(&r);
}

static uint64_t list_frames(struct player *p)
{
    struct api_request r = {.kind = API_LIST_FRAMES,
                            .look_page = {.vm = ref(p), .first = 0, .max = 10}};
    return ask(&r);
}

static const char *paused_reason(struct player *p)
{
    static char reason[32];
    struct api_request r = {.kind = API_GET_PAUSE, .vm = {.vm = ref(p)}};
    const Envelope *e = reply_to(ask(&r));
    assert_non_null(e);
    assert_int_equal(e->body_case, API_BODY(PAUSE_REPLY));
    snprintf(reason, sizeof reason, "%s", e->pause_reply->reason);
    return reason;
}

static void hook(uint64_t id, uint64_t debugger, enum pause_suspend suspend)
{
    hooks[id] = (struct pause_hook){debugger, suspend};
}

/* Of the timers with this argument the next one is due. */
static void is_time_for(const void *userdata)
{
    timers_come_to(base, userdata);
}

/* It is asked whether it can take an answer to this pause: yes, or why not. */
static void says_of_answer(struct player *p, uint64_t pause, const char *error)
{
    Command *c = hear_inspect(p, WORKER_INSPECT_CHECK_ANSWER);
    assert_int_equal(c->inspect->check_answer->pause, pause);
    assert_int_equal(answered(p), pause - 1);
    answer_inspect(p, c, error, NULL);
}

/* ---- pauses */

static void a_breakpoint_stops_the_world_and_its_vm_is_the_target(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    pauses_for(b, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_string_equal(decided[1], "world");
    assert_int_equal(decided_pause, 1);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    shows(a, SHM_PARKED);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(world_target(world), b->worker->id);
    assert_int_equal(world_control(world)->request.debugger, d);
    assert_int_equal(world_control(world)->request.reason, TICKET_DEBUGGER);
    assert_string_equal(paused_reason(b), "breakpoint");
    assert_string_equal(paused_reason(a), "");
    assert_int_equal(answered(b), 0);
    forget_commands(b);
    resume_world();
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(hear_answer(b, 1, NULL), PAUSE_CONTINUE);
    assert_string_equal(paused_reason(b), "");
}

static void a_pause_that_nobody_could_end_is_answered_at_once(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    hook(2, d, PAUSE_SUSPEND_VM);
    debuggers_count_holding(debuggers, d, 1);    /* the hook, by which it lives */
    debuggers_on_client_gone(debuggers, CLIENT); /* killed: nobody has it open */
    pauses_for(p, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_string_equal(decided[1], "not-controller");
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    shows(p, SHM_RUNNING);
    pauses_for(p, 2, PAUSE_HOOK, 2, 0);
    assert_int_equal(hear_answer(p, 2, NULL), PAUSE_CONTINUE);
    assert_int_equal(p->worker->n_holds, 0);
    debuggers_count_holding(debuggers, d, -1);
    /* Nor does one that is gone altogether. */
    shows(p, SHM_RUNNING);
    pauses_for(p, 3, PAUSE_BREAKPOINT, 1, 0);
    assert_int_equal(hear_answer(p, 3, NULL), PAUSE_CONTINUE);
    assert_true(may_run(p));
}

static void a_debugger_with_the_policy_hold_pauses_though_nobody_has_it_open(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "keeps", true);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    debuggers_count_holding(debuggers, d, 1);
    debuggers_on_client_gone(debuggers, CLIENT);
    pauses_for(p, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    debuggers_count_holding(debuggers, d, -1);
    debuggers_close(debuggers, d);
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void two_that_pause_at_once_are_served_one_after_the_other(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    pauses_for(a, 1, PAUSE_HOOK, 1, 0);
    pauses_for(b, 1, PAUSE_EXCEPTION, 1, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(world_target(world), a->worker->id);
    uint64_t closed = word();
    forget_commands(a);
    forget_commands(b);
    uint64_t r = resume_world();
    /* The answer comes before any gate opens: none has. */
    assert_int_equal(hear_answer(a, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(word(), closed);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(world_target(world), b->worker->id);
    assert_int_equal(reply_to(r)->resume_reply->next_ticket, world_control(world)->id);
    assert_int_equal(answered(b), 0);
    assert_string_equal(paused_reason(b), "exception");
    resume_world();
    assert_int_equal(hear_answer(b, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_pause_while_its_own_debugger_stops_the_world_is_shown_in_that_stop(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    uint64_t stop = stop_world("ide");
    pauses_for(b, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    shows(a, SHM_PARKED);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    /* One stop is both. */
    assert_int_equal(reply_to(stop)->body_case, API_BODY(STOP_REPORT));
    assert_int_equal(world_control(world)->id, reply_to(stop)->stop_report->ticket);
    assert_int_equal(world_target(world), b->worker->id);
    assert_string_equal(paused_reason(b), "breakpoint");
    assert_int_equal(answered(b), 0);
    resume_world();
    assert_int_equal(hear_answer(b, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_pause_in_a_stop_of_its_own_debugger_waits_for_its_end(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    stop_world("ide");
    /* It parks for the breakpoint, and that is how it arrives; the word of it comes later. */
    shows(a, SHM_PARKED);
    uint64_t first = world_control(world)->id, closed = word();
    pauses_for(a, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_int_equal(world_control(world)->id, first);
    assert_int_equal(answered(a), 0);
    forget_commands(a);
    resume_world();
    assert_int_equal(word(), closed);
    assert_int_not_equal(world_control(world)->id, first);
    assert_int_equal(answered(a), 0);
    assert_int_equal(world_target(world), a->worker->id);
    resume_world();
    assert_int_equal(hear_answer(a, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

/* Stopped by ide, with both parked. */
static void stop_two(struct player **a, struct player **b)
{
    *a = born(0, SHM_RUNNING);
    *b = born(1, SHM_RUNNING);
    stop_world("ide");
    shows(*a, SHM_PARKED);
    shows(*b, SHM_PARKED);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
}

static void a_breakpoint_in_a_run_one_ends_it_without_a_ticket(void **state)
{
    (void)state;
    struct player *a, *b;
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    hook(2, d, PAUSE_SUSPEND_VM);
    stop_two(&a, &b);
    uint64_t ticket = world_control(world)->id;
    for (uint64_t n = 1; n <= 2; n++) {
        uint64_t r = continue_vm(b, true, true, PAUSE_CONTINUE, NULL);
        if (n == 2)
            assert_int_equal(hear_answer(b, 1, NULL), PAUSE_CONTINUE); /* it runs again */
        assert_int_equal(world_mode(world), WORLD_RUN_ONE);
        shows(b, SHM_RUNNING);
        forget_commands(b);
        pauses_for(b, n, PAUSE_BREAKPOINT, n, 0);
        assert_int_equal(world_mode(world), WORLD_STOPPED);
        assert_string_equal(reply_to(r)->continue_reply->reason, "breakpoint");
        assert_int_equal(world_control(world)->id, ticket);
        assert_int_equal(world_target(world), b->worker->id);
        assert_null(world_queued(world, 0));
        assert_int_equal(b->worker->n_holds, 0);
        assert_int_equal(answered(b), n - 1);
    }
    resume_world();
    assert_int_equal(hear_answer(b, 2, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_new_stop_of_the_controller_keeps_the_pause_it_was_shown(void **state)
{
    (void)state;
    struct player *a, *b;
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    a = born(0, SHM_RUNNING);
    b = born(1, SHM_RUNNING);
    pauses_for(a, 1, PAUSE_BREAKPOINT, 1, 0);
    shows(b, SHM_PARKED);
    continue_vm(b, true, false, PAUSE_CONTINUE, NULL);
    shows(b, SHM_RUNNING);
    stop_world("ide");
    shows(b, SHM_PARKED);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_string_equal(paused_reason(a), "breakpoint");
    assert_int_equal(answered(a), 0);
    resume_world();
    assert_int_equal(answered(a), 1);
}

static void another_debugger_does_not_pause_the_runner_of_a_lease(void **state)
{
    (void)state;
    struct player *a, *b;
    open_debugger(CLIENT, 1000, "ide", false);
    uint64_t other = open_debugger(OTHER_CLIENT, 1000, "other", false);
    hook(1, other, PAUSE_SUSPEND_WORLD);
    stop_two(&a, &b);
    uint64_t r = continue_vm(b, true, true, PAUSE_CONTINUE, NULL);
    shows(b, SHM_RUNNING);
    forget_commands(b);
    pauses_for(b, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_string_equal(decided[1], "not-controller");
    assert_int_equal(hear_answer(b, 1, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    assert_null(reply_to(r));
    debuggers_on_client_gone(debuggers, OTHER_CLIENT);
}

static void of_two_that_want_the_lease_the_first_hook_gets_it(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    uint64_t other = open_debugger(OTHER_CLIENT, 1000, "other", false);
    hook(1, other, PAUSE_SUSPEND_WORLD);
    hook(2, d, PAUSE_SUSPEND_WORLD);
    Fact f = STILLPOINT__WORKER__FACT__INIT;
    Stillpoint__Worker__Paused m = STILLPOINT__WORKER__PAUSED__INIT;
    uint64_t both[] = {2, 1};
    API_SET(&m, pause, 1);
    API_SET(&m, reason, PAUSE_HOOK);
    m.hooks = both;
    m.n_hooks = 2;
    shows(p, SHM_PARKED);
    f.body_case = WORKER_FACT(PAUSED);
    f.paused = &m;
    say(p, &f);
    assert_string_equal(decided[2], "world");
    assert_string_equal(decided[1], "not-controller");
    assert_int_equal(world_control(world)->request.debugger, d);
    debuggers_on_client_gone(debuggers, OTHER_CLIENT);
}

static void a_hook_that_suspends_its_vm_holds_it_and_nobody_else(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    char expression[64];
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    pauses_for(a, 1, PAUSE_DEBUGGER_STATEMENT, 1, 0);
    assert_string_equal(decided[1], "vm");
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_false(may_run(a));
    assert_true(may_run(b));
    assert_int_equal(a->worker->n_holds, 1);
    assert_int_equal(a->worker->holds[0].debugger, d);
    forget_commands(a);
    /* Let go on with an answer. */
    uint64_t r = continue_vm(a, false, false, PAUSE_RETURN, "42");
    says_of_answer(a, 1, NULL);
    assert_string_equal(reply_to(r)->continue_reply->reason, "running");
    assert_int_equal(hear_answer(a, 1, expression), PAUSE_RETURN);
    assert_string_equal(expression, "42");
    assert_true(may_run(a));
    /* Or released. */
    shows(a, SHM_RUNNING);
    pauses_for(a, 2, PAUSE_DEBUGGER_STATEMENT, 1, 0);
    assert_false(may_run(a));
    struct api_request release = {.kind = API_RELEASE_VM, .hold = {ref(a), "ide"}};
    ask(&release);
    assert_int_equal(hear_answer(a, 2, NULL), PAUSE_CONTINUE);
    assert_true(may_run(a));
    /* Or its time runs out. */
    shows(a, SHM_RUNNING);
    pauses_for(a, 3, PAUSE_DEBUGGER_STATEMENT, 1, 0);
    event_active(a->worker->pause.expiry, EV_TIMEOUT, 0);
    turn();
    assert_int_equal(hear_answer(a, 3, NULL), PAUSE_CONTINUE);
    assert_true(may_run(a));
    /* Or left behind by its client, who was killed. */
    shows(a, SHM_RUNNING);
    pauses_for(a, 4, PAUSE_DEBUGGER_STATEMENT, 1, 0);
    debuggers_on_client_gone(debuggers, CLIENT);
    assert_int_equal(hear_answer(a, 4, NULL), PAUSE_CONTINUE);
    assert_true(may_run(a));
}

static void a_held_pause_outlasts_a_stop_of_the_world(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    pauses_for(a, 1, PAUSE_BREAKPOINT, 1, 0);
    stop_world("ide");
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    resume_world();
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(answered(a), 0);
    assert_false(may_run(a));
    forget_commands(a);
    /* Held once more by hand: the pause is over when both are released. */
    struct api_request r = {.kind = API_HOLD_VM, .hold = {ref(a), "ide"}};
    ask(&r);
    r.kind = API_RELEASE_VM;
    ask(&r);
    assert_int_equal(answered(a), 0);
    ask(&r);
    assert_int_equal(hear_answer(a, 1, NULL), PAUSE_CONTINUE);
    assert_true(may_run(a));
}

static void the_end_of_a_lease_in_any_way_answers_what_it_was_shown(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct api_request close = {.kind = API_CLOSE_DEBUGGER, .debugger = {.name = "ide"}};
    for (uint64_t n = 1; n <= 3; n++) {
        uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
        hook(1, d, PAUSE_SUSPEND_WORLD);
        pauses_for(p, n, PAUSE_BREAKPOINT, 1, 0);
        assert_int_equal(world_mode(world), WORLD_STOPPED);
        forget_commands(p);
        if (n == 1) {
            ask(&close);
        } else if (n == 2) {
            debuggers_on_client_gone(debuggers, CLIENT);
        } else {
            /* Stolen: the new controller has the pause now, and its end answers. */
            uint64_t thief = open_debugger(OTHER_CLIENT, 1000, "thief", false);
            assert_int_equal(
                world_move_lease(world, thief, "thief", 1000, false, false, 20000, "stolen"), 0);
            assert_int_equal(answered(p), n - 1);
            debuggers_close(debuggers, d);
            assert_int_equal(answered(p), n - 1);
            while (world_mode(world) != WORLD_RUN_ALL)
                event_base_loop(base, EVLOOP_ONCE); /* the lease runs out */
            debuggers_on_client_gone(debuggers, OTHER_CLIENT);
        }
        assert_int_equal(hear_answer(p, n, NULL), PAUSE_CONTINUE);
        assert_int_equal(world_mode(world), WORLD_RUN_ALL);
        shows(p, SHM_RUNNING);
    }
}

static void the_answers_of_a_pause_reach_its_vm(void **state)
{
    (void)state;
    struct player *a, *b;
    char expression[64];
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    stop_two(&a, &b);
    assert_int_equal(error_of(continue_vm(a, true, false, PAUSE_TERMINATE, NULL)),
                     API_ERROR(WRONG_STATE)); /* it does not pause */
    resume_world();
    shows(b, SHM_RUNNING);
    shows(a, SHM_RUNNING);
    pauses_for(a, 1, PAUSE_EXCEPTION, 1, 0);
    shows(b, SHM_PARKED);
    forget_commands(a);
    /* In a run-one. */
    continue_vm(a, true, false, PAUSE_THROW, "new Error('x')");
    says_of_answer(a, 1, NULL);
    assert_int_equal(hear_answer(a, 1, expression), PAUSE_THROW);
    assert_string_equal(expression, "new Error('x')");
    shows(a, SHM_RUNNING);
    pauses_for(a, 2, PAUSE_EXCEPTION, 1, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    /* And by the end of the stop. */
    continue_vm(a, false, false, PAUSE_TERMINATE, NULL);
    says_of_answer(a, 2, NULL);
    assert_int_equal(hear_answer(a, 2, NULL), PAUSE_TERMINATE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void an_answer_that_its_vm_cannot_take_changes_nothing(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    pauses_for(a, 1, PAUSE_BREAKPOINT, 1, 0);
    forget_commands(a);
    uint64_t r = continue_vm(a, false, false, PAUSE_RETURN, "1 +");
    assert_null(reply_to(r));
    says_of_answer(a, 1, "no such thing");
    assert_int_equal(error_of(r), API_ERROR(NOT_FOUND));
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_string_equal(paused_reason(a), "breakpoint");
    /* It goes on otherwise, and as it was told, before it has said so. */
    r = continue_vm(a, false, false, PAUSE_THROW, "1");
    Command *c = hear_inspect(a, WORKER_INSPECT_CHECK_ANSWER);
    resume_world();
    assert_int_equal(hear_answer(a, 1, NULL), PAUSE_CONTINUE);
    answer_inspect(a, c, NULL, NULL);
    assert_int_equal(error_of(r), API_ERROR(WRONG_STATE));
    /* It does not answer, or not before its end. */
    shows(a, SHM_RUNNING);
    pauses_for(a, 2, PAUSE_BREAKPOINT, 1, 0);
    forget_commands(a);
    r = continue_vm(a, false, false, PAUSE_THROW, "1");
    c = hear_inspect(a, WORKER_INSPECT_CHECK_ANSWER);
    is_time_for(LIST_FIRST(&api.pendings));
    turn();
    assert_int_equal(error_of(r), API_ERROR(TIMED_OUT));
    assert_int_equal(a->worker->n_given_up, 1);
    answer_inspect(a, c, NULL, NULL);
    assert_int_equal(answered(a), 1);
    r = continue_vm(a, false, false, PAUSE_THROW, "1");
    dies(a);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
}

static void the_death_of_one_that_pauses_leaves_nothing_behind(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    pauses_for(a, 1, PAUSE_BREAKPOINT, 1, 0);
    pauses_for(b, 1, PAUSE_BREAKPOINT, 1, 0);
    dies(b); /* whose ticket is queued */
    assert_null(world_queued(world, 0));
    assert_int_equal(world_target(world), a->worker->id);
    dies(a); /* whose ticket is served: the controller has the world, until it ends that */
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    resume_world();
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(debuggers_find(debuggers, d)->n_holdings, 0);
}

static void the_death_of_one_whose_stop_is_under_way_ends_that(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING);
    born(1, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_WORLD);
    pauses_for(a, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    dies(a);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void pauses_out_of_turn_and_of_no_hook_are_violations(void **state)
{
    (void)state;
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING), *c = born(2, SHM_RUNNING);
    pauses_for(a, 2, PAUSE_BREAKPOINT, 1, 0);
    wait_for(a, WORKER_GONE);
    assert_int_equal(a->worker->exit.reason, EXIT_REASON_CRASHED);
    pauses_for(b, 1, PAUSE_BREAKPOINT, 7, 0);
    wait_for(b, WORKER_GONE);
    pauses_for(c, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_int_equal(c->worker->phase, WORKER_ADMITTED);
    pauses_for(c, 2, PAUSE_BREAKPOINT, 1, 0); /* while one is open */
    wait_for(c, WORKER_GONE);
}

/* A few more than could be queued for it. */
#define FLOOD (LIMIT_WORKER_QUEUE_BYTES / 32)

static void one_that_pauses_without_end_and_does_not_read_is_ended_and_nobody_else(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING), *q = born(1, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, 99, PAUSE_SUSPEND_WORLD); /* a debugger that is gone: each pause is answered at once */
    hook(2, d, PAUSE_SUSPEND_WORLD);
    uint64_t hook_id = 1, n = 0;
    Fact f = STILLPOINT__WORKER__FACT__INIT;
    Stillpoint__Worker__Paused m = STILLPOINT__WORKER__PAUSED__INIT;
    API_SET(&m, reason, PAUSE_BREAKPOINT);
    m.hooks = &hook_id;
    m.n_hooks = 1;
    f.body_case = WORKER_FACT(PAUSED);
    f.paused = &m;
    shows(p, SHM_PARKED);
    while (p->worker->exit.reason == 0 && n < FLOOD) {
        API_SET(&m, pause, ++n);
        atomic_store(&p->status->pause, n);
        say_quickly(p, &f);
    }
    assert_in_range(n, 1000, FLOOD - 1);
    wait_for(p, WORKER_GONE);
    assert_string_equal(p->worker->exit.detail, "the answer to its pause cannot be sent");
    pauses_for(q, 1, PAUSE_BREAKPOINT, 2, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    forget_commands(q);
    resume_world();
    assert_int_equal(hear_answer(q, 1, NULL), PAUSE_CONTINUE);
}

static void the_target_is_the_one_that_has_the_most_to_say(void **state)
{
    (void)state;
    struct player *a, *b;
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    a = born(0, SHM_RUNNING);
    b = born(1, SHM_RUNNING);
    struct player *c = born(2, SHM_RUNNING);
    pauses_for(a, 1, PAUSE_DEBUGGER_STATEMENT, 1, 0);
    pauses_for(c, 1, PAUSE_EXCEPTION, 1, 0);
    pauses_for(b, 1, PAUSE_BREAKPOINT, 1, 0);
    stop_world("ide");
    assert_int_equal(world_target(world), c->worker->id);
    dies(c);
    assert_int_equal(world_target(world), b->worker->id);
    dies(b);
    assert_int_equal(world_target(world), a->worker->id);
}

/* ---- looks and evaluations */

static void who_runs_cannot_be_looked_into(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t r = list_frames(p);
    assert_int_equal(error_of(r), API_ERROR(WRONG_STATE));
    assert_string_equal(reply_to(r)->error->message, "VM 'vm-0' is running");
    assert_string_equal(reply_to(r)->error->hint, "stop it first: stillctl world stop");
    assert_int_equal(error_of(evaluate(p, "1")), API_ERROR(WRONG_STATE));
    stop_world(NULL);
    assert_int_equal(error_of(list_frames(p)), API_ERROR(WRONG_STATE)); /* has not come yet */
    shows(p, SHM_PARKED);
    r = list_frames(p);
    assert_null(reply_to(r));
    Command *c = hear_inspect(p, WORKER_INSPECT_FRAMES);
    assert_int_equal(c->inspect->frames->max, 10);
    Stillpoint__Worker__InspectedBody body = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    Stillpoint__Worker__Frame frame = STILLPOINT__WORKER__FRAME__INIT, *at = &frame;
    API_SET(&frame, kind, 1);
    frame.function = API_TEXT("fib");
    body.frames = &at;
    body.n_frames = 1;
    API_SET(&body, next, 1);
    answer_inspect(p, c, NULL, &body);
    const Envelope *e = reply_to(r);
    assert_int_equal(e->body_case, API_BODY(FRAME_PAGE));
    assert_int_equal(e->frame_page->n_frames, 1);
    assert_int_equal(e->frame_page->next, 1);
    assert_string_equal(e->frame_page->frames[0]->function, "fib");
    r = list_frames(p);
    dies(p);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
}

/* Parked in a stop of the caller. */
static struct player *stopped_vm(void)
{
    struct player *p = born(0, SHM_RUNNING);
    stop_world(NULL);
    shows(p, SHM_PARKED);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    return p;
}

static void answer_value(struct player *p, Command *c, const char *preview)
{
    Stillpoint__Worker__InspectedBody body = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    Stillpoint__Worker__Value value = STILLPOINT__WORKER__VALUE__INIT;
    API_SET(&value, type, 4);
    value.preview = API_TEXT(preview);
    body.value = &value;
    answer_inspect(p, c, NULL, &body);
}

/* Stopped, and frozen; and another one. */
static struct player *frozen_vm(struct player **ret_other)
{
    struct player *p = born(0, SHM_RUNNING), *other = born(1, SHM_RUNNING);
    struct api_request r = {
        .kind = API_STOP_WORLD,
        .stop_world = {
            .world = "default", .deadline_us = 1000000, .hold_us = 3600000000u, .enforce = true}};
    ask(&r);
    shows(p, SHM_PARKED);
    shows(other, SHM_PARKED);
    *ret_other = other;
    for (int i = 0; i < 100000 && world_mode(world) != WORLD_STOPPED; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(p->worker->freeze.state, WORKER_FROZEN);
    return p;
}

static void one_whose_time_is_over_freezes_no_vm_that_serves_another(void **state)
{
    (void)state;
    struct player *other, *p = frozen_vm(&other);
    uint64_t value = evaluate(p, "long()");
    Command *evaluation = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    assert_int_equal(p->worker->freeze.state, WORKER_THAWED);
    uint64_t frames = list_frames(p);
    Command *c = hear_inspect(p, WORKER_INSPECT_FRAMES);
    is_time_for(LIST_FIRST(&api.pendings));
    turn();
    assert_int_equal(error_of(frames), API_ERROR(TIMED_OUT));
    assert_true(p->worker->serving);
    assert_int_equal(p->worker->freeze.state, WORKER_THAWED);
    answer_value(p, evaluation, "2");
    assert_non_null(reply_to(value));
    /* Nobody waits for what it still owes. */
    assert_false(p->worker->serving);
    assert_int_not_equal(p->worker->freeze.state, WORKER_THAWED);
    /* The next request finds it as it is, and both are answered in the end. */
    frames = list_frames(p);
    Command *next = hear_inspect(p, WORKER_INSPECT_FRAMES);
    assert_int_equal(p->worker->freeze.state, WORKER_THAWED);
    answer_inspect(p, c, "late", NULL);
    assert_null(reply_to(frames));
    assert_true(p->worker->serving);
    answer_inspect(p, next, "no such frame", NULL);
    assert_int_equal(error_of(frames), API_ERROR(NOT_FOUND));
    assert_false(p->worker->serving);
    assert_int_equal(p->worker->n_given_up, 0);
}

static void one_that_has_served_is_frozen_again_though_another_runs_alone(void **state)
{
    (void)state;
    struct player *runner, *p = frozen_vm(&runner);
    uint64_t frames = list_frames(p);
    Command *c = hear_inspect(p, WORKER_INSPECT_FRAMES);
    assert_int_equal(p->worker->freeze.state, WORKER_THAWED);
    continue_vm(runner, true, false, PAUSE_CONTINUE, NULL);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    answer_inspect(p, c, "no such frame", NULL);
    assert_int_equal(error_of(frames), API_ERROR(NOT_FOUND));
    assert_false(p->worker->serving);
    assert_int_not_equal(p->worker->freeze.state, WORKER_THAWED);
    assert_int_equal(runner->worker->freeze.state, WORKER_THAWED);
}

static void one_evaluation_runs_at_a_time_and_by_leave_of_the_controller(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t first = evaluate(p, "1 + 1");
    Command *c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    assert_string_equal(c->inspect->evaluate->expression, "1 + 1");
    assert_int_equal(c->inspect->evaluate->evaluation, 1);
    assert_int_equal(allowed(p), 1);
    shows(p, SHM_EVALUATING);
    assert_int_equal(error_of(evaluate(p, "2")), API_ERROR(WRONG_STATE));
    assert_int_equal(error_of(step_vm(p, false, 0, 1)), API_ERROR(WRONG_STATE));
    assert_int_equal(error_of(continue_vm(p, true, false, PAUSE_CONTINUE, NULL)),
                     API_ERROR(WRONG_STATE));
    shows(p, SHM_PARKED);
    answer_value(p, c, "2");
    assert_string_equal(reply_to(first)->value_reply->value->preview, "2");
    assert_int_equal(allowed(p), 0);
    /* Not by others. */
    struct api_request r = {.kind = API_EVALUATE,
                            .evaluate = {.vm = ref(p), .expression = "1", .timeout_us = 1000}};
    assert_int_equal(error_of(ask_as(OTHER_CLIENT, 1001, &r)), API_ERROR(PERMISSION_DENIED));
    /* And what the VM says of it is passed on. */
    uint64_t second = evaluate(p, "nonsense(");
    c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    assert_int_equal(c->inspect->evaluate->evaluation, 2);
    answer_inspect(p, c, "no such frame", NULL);
    assert_int_equal(error_of(second), API_ERROR(NOT_FOUND));
}

static void an_evaluation_that_takes_too_long_is_ended_and_a_runaway_killed(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t r = evaluate(p, "for (;;);");
    Command *c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    shows(p, SHM_EVALUATING);
    uint32_t pokes = atomic_load(&p->worker->gate.command->poke);
    event_active(p->worker->evaluation.timer, EV_TIMEOUT, 0); /* its time is over */
    turn();
    assert_int_equal(allowed(p), 0);
    assert_int_equal(atomic_load(&p->worker->gate.command->poke), pokes + 1);
    assert_null(reply_to(r));
    shows(p, SHM_PARKED);
    answer_inspect(p, c, "it took too long and was ended", NULL);
    assert_int_equal(error_of(r), API_ERROR(TIMED_OUT));
    r = evaluate(p, "for (;;);");
    stillpoint__worker__command__free_unpacked(hear_inspect(p, WORKER_INSPECT_EVALUATE), NULL);
    shows(p, SHM_EVALUATING);
    event_active(p->worker->evaluation.timer, EV_TIMEOUT, 0);
    turn();
    event_active(p->worker->evaluation.timer, EV_TIMEOUT, 0); /* and it does not end */
    wait_for(p, WORKER_GONE);
    assert_int_equal(p->worker->exit.reason, EXIT_REASON_KILLED);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
}

static void a_resume_ends_the_evaluation_and_waits_for_that(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t r = evaluate(p, "for (;;);");
    Command *c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    shows(p, SHM_EVALUATING);
    uint64_t resume = resume_world();
    assert_int_equal(allowed(p), 0);
    assert_false(may_run(p));
    assert_null(reply_to(resume));
    shows(p, SHM_PARKED);
    assert_false(may_run(p));
    answer_inspect(p, c, "it took too long and was ended", NULL);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
    assert_true(may_run(p));
    assert_int_equal(reply_to(resume)->resume_reply->mode, WORLD_RUN_ALL);
    assert_true(reply_to(resume)->resume_reply->has_runnable_mono_ns);
}

static void a_vm_that_dies_evaluating_delays_no_resume(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t r = evaluate(p, "for (;;);");
    shows(p, SHM_EVALUATING);
    uint64_t resume = resume_world();
    dies(p);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_non_null(reply_to(resume));
}

static void an_evaluation_goes_with_its_client(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t r = evaluate(p, "for (;;);");
    Command *c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    api_vm_on_client_gone(&api, CLIENT);
    assert_int_equal(allowed(p), 0);
    answer_inspect(p, c, "it took too long and was ended", NULL);
    assert_null(reply_to(r));
    assert_true(LIST_EMPTY(&api.pendings));
    /* One that only looks: its answer is nobody's. */
    list_frames(p);
    c = hear_inspect(p, WORKER_INSPECT_FRAMES);
    api_vm_on_client_gone(&api, CLIENT);
    answer_inspect(p, c, NULL, NULL);
    assert_int_equal(p->worker->phase, WORKER_ADMITTED);
}

static void a_stop_by_another_ends_the_evaluation_of_a_vm_that_is_held(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    pauses_for(p, 1, PAUSE_BREAKPOINT, 1, 0);
    forget_commands(p);
    uint64_t r = evaluate(p, "for (;;);");
    Command *c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    shows(p, SHM_EVALUATING);
    stop_world(NULL);
    assert_int_equal(allowed(p), 0);
    shows(p, SHM_PARKED);
    answer_inspect(p, c, "it took too long and was ended", NULL);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
}

static void a_vm_that_is_held_alone_may_evaluate_and_its_release_ends_that(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    pauses_for(p, 1, PAUSE_BREAKPOINT, 1, 0);
    forget_commands(p);
    uint64_t r = evaluate(p, "for (;;);");
    Command *c = hear_inspect(p, WORKER_INSPECT_EVALUATE);
    shows(p, SHM_EVALUATING);
    continue_vm(p, false, false, PAUSE_CONTINUE, NULL);
    assert_int_equal(p->worker->n_holds, 0);
    assert_int_equal(allowed(p), 0);
    assert_false(may_run(p)); /* not under an evaluation */
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE);
    answer_inspect(p, c, "it took too long and was ended", NULL);
    assert_int_equal(error_of(r), API_ERROR(CANCELLED));
    assert_true(may_run(p));
}

/* ---- steps */

/* It is armed; returns the step's number. */
static uint64_t armed(struct player *p)
{
    Command *c = hear_inspect(p, WORKER_INSPECT_STEP);
    uint64_t step = c->inspect->step->step;
    assert_int_equal(c->inspect->step->how, 2);
    answer_inspect(p, c, NULL, NULL);
    return step;
}

/* The next command forgets this step. */
static void forgets(struct player *p, uint64_t step)
{
    Command *c = hear_inspect(p, WORKER_INSPECT_STEP);
    assert_int_equal(c->inspect->step->step, step);
    assert_int_equal(c->inspect->step->how, 0);
    answer_inspect(p, c, NULL, NULL);
    assert_int_equal(p->worker->phase, WORKER_ADMITTED);
}

/* Where it stands. */
static void stands_in(struct player *p, const char *function)
{
    Command *c = hear_inspect(p, WORKER_INSPECT_FRAMES);
    Stillpoint__Worker__InspectedBody body = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    Stillpoint__Worker__Frame frame = STILLPOINT__WORKER__FRAME__INIT, *at = &frame;
    API_SET(&frame, kind, 1);
    frame.function = API_TEXT(function);
    body.frames = &at;
    body.n_frames = 1;
    answer_inspect(p, c, NULL, &body);
}

static const Stillpoint__Api__StepReply *step_reply(uint64_t request)
{
    const Envelope *e = reply_to(request);
    assert_non_null(e);
    assert_int_equal(e->body_case, API_BODY(STEP_REPLY));
    return e->step_reply;
}

static void a_step_lets_its_vm_run_alone_until_it_pauses(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    struct player *other = born(1, SHM_IDLE);
    uint64_t r = step_vm(p, false, 0, 3);
    for (uint64_t n = 1; n <= 3; n++) {
        assert_int_equal(world_mode(world), WORLD_STOPPED); /* nothing runs before it is armed */
        assert_int_equal(armed(p), n);
        if (n > 1)
            assert_int_equal(hear_answer(p, n - 1, NULL), PAUSE_CONTINUE);
        assert_int_equal(world_mode(world), WORLD_RUN_ONE);
        assert_false(may_run(other));
        shows(p, SHM_RUNNING);
        assert_null(reply_to(r));
        pauses_for(p, n, PAUSE_STEP, 0, n);
    }
    assert_string_equal(step_reply(r)->reason, "step");
    assert_string_equal(step_reply(r)->frame->function, "fib");
    assert_int_equal(step_reply(r)->world->mode, WORLD_STOPPED);
    assert_int_equal(world_target(world), p->worker->id);
    assert_int_equal(answered(p), 2);
    assert_null(hear(p)); /* nothing is to be forgotten */
    resume_world();
    assert_int_equal(hear_answer(p, 3, NULL), PAUSE_CONTINUE);
}

static void a_step_that_ends_otherwise_is_forgotten(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t d = debuggers_find_ref(debuggers, "cli:1000")->id, step, r;
    hook(1, d, PAUSE_SUSPEND_WORLD);
    /* A breakpoint comes first. */
    r = step_vm(p, false, 0, 5);
    step = armed(p);
    shows(p, SHM_RUNNING);
    pauses_for(p, 1, PAUSE_BREAKPOINT, 1, 0);
    assert_string_equal(step_reply(r)->reason, "breakpoint");
    forgets(p, step);
    /* It goes idle. */
    r = step_vm(p, false, 0, 1);
    step = armed(p);
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE);
    shows(p, SHM_RUNNING);
    shows(p, SHM_IDLE);
    forgets(p, step);
    shows(p, SHM_PARKED);
    stands_in(p, "");
    assert_string_equal(step_reply(r)->reason, "idle");
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    /* Its time is over. */
    r = step_vm(p, false, 5000, 1);
    step = armed(p);
    shows(p, SHM_RUNNING);
    while (world_mode(world) == WORLD_RUN_ONE)
        event_base_loop(base, EVLOOP_ONCE);
    shows(p, SHM_PARKED);
    forgets(p, step);
    stands_in(p, "loop");
    assert_string_equal(step_reply(r)->reason, "deadline");
    assert_string_equal(step_reply(r)->frame->function, "loop");
    /* The controller stops it. */
    r = step_vm(p, false, 0, 1);
    step = armed(p);
    shows(p, SHM_RUNNING);
    stop_world(NULL);
    shows(p, SHM_PARKED);
    forgets(p, step);
    stands_in(p, "loop");
    assert_string_equal(step_reply(r)->reason, "stopped");
    /* The world is resumed. */
    r = step_vm(p, false, 0, 1);
    step = armed(p);
    shows(p, SHM_RUNNING);
    resume_world();
    assert_string_equal(step_reply(r)->reason, "resumed");
    forgets(p, step);
    /* And what it says of it after all is answered at once. */
    pauses_for(p, 2, PAUSE_STEP, 0, step);
    assert_int_equal(hear_answer(p, 2, NULL), PAUSE_CONTINUE);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_step_of_a_vm_in_no_frame_waits_for_the_next_one(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_IDLE);
    open_debugger(CLIENT, 1000, "ide", false);
    stop_world("ide");
    shows(p, SHM_PARKED);
    forget_commands(p);
    Stillpoint__Worker__InspectedBody body = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    API_SET(&body, waits, 1);
    uint64_t r[3], deadline[] = {0, 60000000, 0};
    for (int i = 0; i < 3; i++) {
        r[i] = step_vm(p, false, deadline[i], 1);
        Command *c = hear_inspect(p, WORKER_INSPECT_STEP);
        uint64_t step = c->inspect->step->step;
        answer_inspect(p, c, NULL, &body);
        shows(p, SHM_RUNNING);
        shows(p, SHM_IDLE);
        assert_null(reply_to(r[i]));
        assert_int_equal(world_mode(world), WORLD_RUN_ONE);
        if (i == 2) {
            shows(p, SHM_RUNNING);
            pauses_for(p, 1, PAUSE_STEP, 0, step);
            assert_string_equal(step_reply(r[i])->reason, "step");
            continue;
        }
        /* Time is over: who has said how long is told so. */
        is_time_for(world);
        turn();
        forgets(p, step);
        shows(p, SHM_PARKED);
        turn();
        Command *frames = hear_inspect(p, WORKER_INSPECT_FRAMES);
        answer_inspect(p, frames, NULL, NULL);
        assert_string_equal(step_reply(r[i])->reason, i == 0 ? "idle" : "deadline");
        assert_int_equal(world_mode(world), WORLD_STOPPED);
    }
}

static void a_vm_that_dies_stepping_ends_the_step(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t r = step_vm(p, false, 0, 1);
    armed(p);
    shows(p, SHM_RUNNING);
    dies(p);
    assert_string_equal(step_reply(r)->reason, "ended");
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    resume_world();
}

static void a_step_may_let_the_others_run_and_its_end_stops_them(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    struct player *other = born(1, SHM_PARKED);
    uint64_t r = step_vm(p, true, 0, 2);
    for (uint64_t n = 1; n <= 2; n++) {
        armed(p);
        if (n > 1)
            assert_int_equal(hear_answer(p, n - 1, NULL), PAUSE_CONTINUE);
        assert_int_equal(world_mode(world), WORLD_RUN_ALL);
        assert_true(may_run(other));
        assert_non_null(debuggers_find_ref(debuggers, "cli:1000")); /* by its step alone */
        shows(other, SHM_RUNNING);
        shows(p, SHM_RUNNING);
        pauses_for(p, n, PAUSE_STEP, 0, n);
        assert_int_equal(world_mode(world), WORLD_STOPPING);
        assert_null(reply_to(r));
        shows(other, SHM_PARKED);
        assert_int_equal(world_mode(world), WORLD_STOPPED);
    }
    assert_string_equal(step_reply(r)->reason, "step");
    assert_int_equal(world_target(world), p->worker->id);
    resume_world();
    assert_int_equal(hear_answer(p, 2, NULL), PAUSE_CONTINUE);
    assert_null(debuggers_find_ref(debuggers, "cli:1000"));
}

static void a_step_with_the_others_has_a_deadline_too(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t r = step_vm(p, true, 5000, 1);
    uint64_t step = armed(p);
    shows(p, SHM_RUNNING);
    while (world_mode(world) == WORLD_RUN_ALL)
        event_base_loop(base, EVLOOP_ONCE);
    shows(p, SHM_PARKED);
    forgets(p, step);
    stands_in(p, "loop");
    assert_string_equal(step_reply(r)->reason, "deadline");
    assert_int_equal(world_mode(world), WORLD_STOPPED);
}

static void a_step_whose_world_another_debugger_has_taken_ends(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    open_debugger(CLIENT, 1000, "other", false);
    uint64_t r = step_vm(p, true, 0, 1);
    uint64_t step = armed(p);
    shows(p, SHM_RUNNING);
    stop_world("other");
    pauses_for(p, 1, PAUSE_STEP, 0, step); /* is how it arrives */
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    forgets(p, step);
    stands_in(p, "fib");
    assert_string_equal(step_reply(r)->reason, "stopped");
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE); /* nobody wants that */
    resume_world();
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_vm_that_is_held_alone_steps_and_is_held_again(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    uint64_t d = open_debugger(CLIENT, 1000, "ide", false);
    hook(1, d, PAUSE_SUSPEND_VM);
    pauses_for(p, 1, PAUSE_BREAKPOINT, 1, 0);
    forget_commands(p);
    uint64_t r = step_vm(p, false, 0, 1);
    uint64_t step = armed(p);
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE);
    assert_true(may_run(p));
    shows(p, SHM_RUNNING);
    pauses_for(p, 2, PAUSE_STEP, 0, step);
    assert_string_equal(step_reply(r)->reason, "step");
    assert_false(may_run(p));
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(p->worker->n_holds, 1);
    /* And with a deadline. */
    r = step_vm(p, false, 5000, 1);
    step = armed(p);
    assert_int_equal(hear_answer(p, 2, NULL), PAUSE_CONTINUE);
    shows(p, SHM_RUNNING);
    while (p->worker->n_holds == 0)
        event_base_loop(base, EVLOOP_ONCE);
    assert_null(reply_to(r));
    shows(p, SHM_PARKED);
    forgets(p, step);
    stands_in(p, "loop");
    assert_string_equal(step_reply(r)->reason, "deadline");
}

static void a_client_that_goes_in_any_phase_of_its_step_leaves_none_behind(void **state)
{
    (void)state;
    struct player *p = stopped_vm();
    uint64_t step;
    /* While it is armed. */
    step_vm(p, false, 0, 1);
    api_vm_on_client_gone(&api, CLIENT);
    step = armed(p);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    forgets(p, step);
    /* While it runs alone: it comes to its end all the same. */
    step_vm(p, false, 0, 1);
    step = armed(p);
    shows(p, SHM_RUNNING);
    api_vm_on_client_gone(&api, CLIENT);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    pauses_for(p, 1, PAUSE_STEP, 0, step);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_string_equal(paused_reason(p), "step");
    /* Or is forgotten before the VM runs again. */
    step_vm(p, false, 0, 1);
    step = armed(p);
    assert_int_equal(hear_answer(p, 1, NULL), PAUSE_CONTINUE);
    shows(p, SHM_RUNNING);
    api_vm_on_client_gone(&api, CLIENT);
    stop_world(NULL);
    shows(p, SHM_PARKED);
    assert_null(hear(p));
    continue_vm(p, true, false, PAUSE_CONTINUE, NULL);
    forgets(p, step);
    shows(p, SHM_RUNNING);
    stop_world(NULL);
    shows(p, SHM_PARKED);
    /* While the others run. */
    step_vm(p, true, 0, 1);
    step = armed(p);
    shows(p, SHM_RUNNING);
    api_vm_on_client_gone(&api, CLIENT);
    forgets(p, step);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_null(debuggers_find_ref(debuggers, "cli:1000"));
    assert_true(LIST_EMPTY(&api.pendings));
}

/* ---- whatever happens. VMs are honest; what they and their clients do is random.
 * STILLPOINT_RANDOM_SEED repeats one run; STILLPOINT_RANDOM_MS is for how long new ones are begun.
 */

static uint64_t seed;
static unsigned long n_pauses, n_steps, n_evaluations;

/* xorshift64* */
static unsigned chance(unsigned n)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * 2685821657736338717ull) >> 33) % n;
}

static struct mind {
    uint64_t pause, armed;
    Command *evaluates;
} minds[3];

static void comes_to_its_gate(struct player *p)
{
    if (stop_state(&p->worker->gate) != SHM_PARKED)
        shows(p, SHM_PARKED);
}

static void obeys(struct player *p, struct mind *m, Command *c)
{
    if (c->body_case != WORKER_COMMAND(INSPECT)) {
        stillpoint__worker__command__free_unpacked(c, NULL);
        return;
    }
    comes_to_its_gate(p);
    switch (c->inspect->kind) {
    case WORKER_INSPECT_STEP:
        m->armed = c->inspect->step->how != 0 ? c->inspect->step->step : 0;
        answer_inspect(p, c, NULL, NULL);
        break;
    case WORKER_INSPECT_EVALUATE:
        assert_null(m->evaluates);
        assert_false(may_run(p));
        m->evaluates = c;
        shows(p, SHM_EVALUATING);
        n_evaluations++;
        break;
    default:
        answer_inspect(p, c, NULL, NULL);
        break;
    }
}

static void ends_evaluation(struct player *p, struct mind *m)
{
    Command *c = m->evaluates;
    bool may = allowed(p) == c->inspect->evaluate->evaluation;
    assert_false(may_run(p)); /* no gate opens under one */
    if (may && chance(3) != 0)
        return;
    m->evaluates = NULL;
    shows(p, SHM_PARKED);
    answer_inspect(p, c, may ? NULL : "it took too long and was ended", NULL);
}

static void pauses_by_chance(struct player *p, struct mind *m)
{
    bool done = m->armed != 0 && chance(2) == 0;
    uint64_t step = done ? m->armed : 0;
    if (done)
        m->armed = 0;
    n_pauses++;
    n_steps += done;
    pauses_for(p, ++m->pause, done ? PAUSE_STEP : PAUSE_BREAKPOINT + chance(3),
               done ? 0 : 1 + chance(6), step);
}

/* What the VM does next, if it may. */
static void lives(struct player *p, struct mind *m)
{
    Command *c;
    if (!m->evaluates && (c = hear(p)) != NULL) {
        obeys(p, m, c);
        return;
    }
    if (m->evaluates) {
        ends_evaluation(p, m);
        return;
    }
    switch (stop_state(&p->worker->gate)) {
    case SHM_RUNNING:
        if (chance(3) == 0)
            pauses_by_chance(p, m); /* also when it is to come to its gate */
        else if (!may_run(p))
            shows(p, SHM_PARKED);
        else if (chance(4) == 0)
            shows(p, chance(2) == 0 ? SHM_IDLE : SHM_BLOCKED);
        break;
    case SHM_PARKED:
        if (may_run(p) && answered(p) >= m->pause)
            shows(p, SHM_RUNNING);
        break;
    default:
        if (may_run(p))
            shows(p, SHM_RUNNING);
        break;
    }
}

static void forget_replies(void)
{
    while (n_replies > 0)
        stillpoint__api__envelope__free_unpacked(replies[--n_replies].envelope, NULL);
}

static const char *const names[] = {"ide", "other", NULL};

static void opens(void)
{
    const struct debugger *d;
    for (uint64_t i = 0; i < 2; i++) {
        bool hold = chance(3) == 0;
        (void)debuggers_open(debuggers, CLIENT + i, 1000, names[i], NULL, &hold, &d);
        const struct debugger *own = debuggers_find_ref(debuggers, names[i]);
        for (uint64_t k = 0; k < 3; k++)
            hook(1 + 3 * i + k, own->id, k == 0 ? PAUSE_SUSPEND_VM : PAUSE_SUSPEND_WORLD);
    }
}

static void acts(struct player *p)
{
    uint64_t client = CLIENT + chance(2);
    struct api_request r = {.id = 0};
    switch (chance(12)) {
    case 0:
        stop_world(client == CLIENT ? "ide" : NULL);
        break;
    case 1:
    case 2:
        resume_world();
        break;
    case 3:
        continue_vm(p, true, chance(2) == 0, PAUSE_CONTINUE, NULL);
        break;
    case 4:
        continue_vm(p, false, false, PAUSE_CONTINUE + chance(4), "42");
        break;
    case 5:
    case 6:
        evaluate(p, "x");
        break;
    case 7:
    case 8:
        step_vm(p, chance(2) == 0, chance(2) == 0 ? 0 : 300, 1 + chance(3));
        break;
    case 9:
        list_frames(p);
        break;
    case 10:
        r = (struct api_request){.kind = API_RELEASE_VM, .hold = {ref(p), NULL}};
        r.hold.debugger = names[client - CLIENT];
        ask_as(client, 1000, &r);
        break;
    default:
        if (chance(3) == 0) {
            r = (struct api_request){.kind = API_CLOSE_DEBUGGER};
            r.debugger.name = names[client - CLIENT];
            ask(&r);
        } else {
            api_vm_on_client_gone(&api, client);
            debuggers_on_client_gone(debuggers, client);
        }
        opens();
        break;
    }
    if (p->worker->evaluation.number != 0 && !p->worker->evaluation.withdrawn && chance(8) == 0)
        event_active(p->worker->evaluation.timer, EV_TIMEOUT, 0);
}

static void holds_at_every_moment(void)
{
    for (int i = 0; i < 3; i++) {
        struct worker *w = players[i].worker;
        assert_int_equal(w->phase, WORKER_ADMITTED); /* nobody was taken for a liar */
        if (w->pause.number != 0)
            assert_int_equal(answered(&players[i]), w->pause.number - 1);
        if (w->pause.number != 0 || w->evaluation.number != 0)
            assert_false(may_run(&players[i]));
    }
}

/* All who could want something are gone: everybody runs. */
static void comes_to_an_end(void)
{
    static const char *const all[] = {"ide", "other", "cli:1000"};
    for (size_t i = 0; i < 3; i++) {
        const struct debugger *d = debuggers_find_ref(debuggers, all[i]);
        api_vm_on_client_gone(&api, CLIENT + i);
        if (d)
            debuggers_close(debuggers, d->id);
    }
    memset(hooks, 0, sizeof hooks);
    for (uint64_t i = 1; i < 8; i++)
        hook(i, 0, PAUSE_SUSPEND_WORLD);
    for (int n = 0; n < 60; n++)
        for (int i = 0; i < 3; i++)
            lives(&players[i], &minds[i]);
    for (int i = 0; i < 3; i++)
        while (minds[i].evaluates || stop_state(&players[i].worker->gate) != SHM_RUNNING)
            lives(&players[i], &minds[i]);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_true(LIST_EMPTY(&api.pendings));
    for (int i = 0; i < 3; i++) {
        const struct worker *w = players[i].worker;
        assert_true(may_run(&players[i]));
        assert_int_equal(w->pause.number + w->evaluation.number + w->n_holds, 0);
        assert_int_equal(answered(&players[i]), minds[i].pause);
    }
    for (size_t i = 0; i < 3; i++)
        assert_null(debuggers_find_ref(debuggers, all[i]));
}

static void whatever_happens_nobody_is_left_in_a_pause(void **state)
{
    (void)state;
    const char *given = getenv("STILLPOINT_RANDOM_SEED"), *ms = getenv("STILLPOINT_RANDOM_MS");
    uint64_t end_ns = shm_now_ns() + (ms ? strtoull(ms, NULL, 10) : 500) * 1000000;
    uint64_t first = given ? strtoull(given, NULL, 10) : shm_now_ns() | 1;
    memset(minds, 0, sizeof minds);
    for (int i = 0; i < 3; i++)
        born(i, SHM_RUNNING);
    for (unsigned long n = 0; n == 0 || (!given && shm_now_ns() < end_ns); n++) {
        seed = first + 2 * n;
        print_message("# seed %llu\n", (unsigned long long)seed);
        opens();
        for (int step = 0; step < 300; step++) {
            int i = (int)chance(3);
            if (chance(3) == 0)
                acts(&players[i]);
            else
                lives(&players[i], &minds[i]);
            turn();
            holds_at_every_moment();
            forget_replies();
        }
        comes_to_an_end();
    }
    print_message("# %lu pauses, %lu ends of steps, %lu evaluations\n", n_pauses, n_steps,
                  n_evaluations);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(a_breakpoint_stops_the_world_and_its_vm_is_the_target),
    TEST(a_pause_that_nobody_could_end_is_answered_at_once),
    TEST(a_debugger_with_the_policy_hold_pauses_though_nobody_has_it_open),
    TEST(two_that_pause_at_once_are_served_one_after_the_other),
    TEST(a_pause_while_its_own_debugger_stops_the_world_is_shown_in_that_stop),
    TEST(a_pause_in_a_stop_of_its_own_debugger_waits_for_its_end),
    TEST(a_breakpoint_in_a_run_one_ends_it_without_a_ticket),
    TEST(a_new_stop_of_the_controller_keeps_the_pause_it_was_shown),
    TEST(another_debugger_does_not_pause_the_runner_of_a_lease),
    TEST(of_two_that_want_the_lease_the_first_hook_gets_it),
    TEST(a_hook_that_suspends_its_vm_holds_it_and_nobody_else),
    TEST(a_held_pause_outlasts_a_stop_of_the_world),
    TEST(the_end_of_a_lease_in_any_way_answers_what_it_was_shown),
    TEST(the_answers_of_a_pause_reach_its_vm),
    TEST(an_answer_that_its_vm_cannot_take_changes_nothing),
    TEST(the_death_of_one_that_pauses_leaves_nothing_behind),
    TEST(the_death_of_one_whose_stop_is_under_way_ends_that),
    TEST(pauses_out_of_turn_and_of_no_hook_are_violations),
    TEST(one_that_pauses_without_end_and_does_not_read_is_ended_and_nobody_else),
    TEST(the_target_is_the_one_that_has_the_most_to_say),
    TEST(who_runs_cannot_be_looked_into),
    TEST(one_whose_time_is_over_freezes_no_vm_that_serves_another),
    TEST(one_that_has_served_is_frozen_again_though_another_runs_alone),
    TEST(one_evaluation_runs_at_a_time_and_by_leave_of_the_controller),
    TEST(an_evaluation_that_takes_too_long_is_ended_and_a_runaway_killed),
    TEST(a_resume_ends_the_evaluation_and_waits_for_that),
    TEST(a_vm_that_dies_evaluating_delays_no_resume),
    TEST(an_evaluation_goes_with_its_client),
    TEST(a_stop_by_another_ends_the_evaluation_of_a_vm_that_is_held),
    TEST(a_vm_that_is_held_alone_may_evaluate_and_its_release_ends_that),
    TEST(a_step_lets_its_vm_run_alone_until_it_pauses),
    TEST(a_step_that_ends_otherwise_is_forgotten),
    TEST(a_step_of_a_vm_in_no_frame_waits_for_the_next_one),
    TEST(a_vm_that_dies_stepping_ends_the_step),
    TEST(a_step_may_let_the_others_run_and_its_end_stops_them),
    TEST(a_step_with_the_others_has_a_deadline_too),
    TEST(a_step_whose_world_another_debugger_has_taken_ends),
    TEST(a_vm_that_is_held_alone_steps_and_is_held_again),
    TEST(a_client_that_goes_in_any_phase_of_its_step_leaves_none_behind),
    TEST(whatever_happens_nobody_is_left_in_a_pause),
};

UNIT_MAIN(tests)

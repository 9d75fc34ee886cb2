#include "tests/schedules/cast.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared-mem/futex.h"
#include "shared-mem/map.h"

#define BLOCK_NS 1000000u /* how long `b` blocks */

struct cast cast;

/* ---- pages */

int map_create(const char *name, enum map_writer writer, int *ret_fd, void **ret_page)
{
    (void)name, (void)writer;
    void *page = sim_page(ret_fd);
    if (!page)
        return -ENOMEM;
    *ret_page = page;
    return 0;
}

void *map_done(void *page)
{
    sim_page_free(page);
    return NULL;
}

/* ---- what must be true at each step */

static uint64_t word_of(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static bool memory_lets_run(const struct cast_vm *vm)
{
    return shm_may_run(word_of(&vm->world->word), word_of(&vm->command->word));
}

/* From memory, and the daemon's `arrived` alone: what the daemon should know. */
static void observe_vm(struct cast_vm *vm)
{
    if (!vm->is_known)
        return;
    const struct stop_gate *g = &vm->worker.gate;
    if (memory_lets_run(vm)) {
        vm->may_run = true;
        vm->has_shown = vm->was_counted = false;
    } else {
        if (vm->may_run)
            vm->closings++;
        vm->may_run = false;
        if (shm_status_state(word_of(&vm->status->word)) != SHM_RUNNING || !vm->is_alive)
            vm->has_shown = true;
        if (stop_is_still(g)) {
            if (!vm->has_shown)
                sim_violation("vm %u is counted and has shown nothing but running since its gate "
                              "closed",
                              vm->index);
            vm->was_counted = true;
        }
    }
    uint32_t bell = atomic_load_explicit(&vm->command->bell, memory_order_relaxed);
    if (bell != vm->bell) {
        vm->bell = bell;
        vm->rung_epoch = word_of(&vm->world->word) >> 1;
    }
    if (atomic_load_explicit(&vm->command->poke, memory_order_relaxed) > vm->closings)
        sim_violation("vm %u was poked %u times in %u closings of its gate", vm->index,
                      atomic_load(&vm->command->poke), vm->closings);
}

static uint64_t last_world_word;

static void observe(unsigned actor)
{
    if (actor >= ACTOR_VM && actor < ACTOR_VM + CAST_VMS) {
        observe_vm(&cast.vms[actor - ACTOR_VM]);
        return;
    }
    if (actor != ACTOR_DAEMON)
        return;
    const struct stop_world *w = cast.conductor->stop();
    uint64_t word = word_of(&w->page->word);
    if (word != last_world_word && word >> 1 != (last_world_word >> 1) + 1)
        sim_violation("the epoch went from %llu to %llu",
                      (unsigned long long)(last_world_word >> 1), (unsigned long long)(word >> 1));
    last_world_word = word;
    unsigned permits = 0;
    for (unsigned i = 0; i < cast.n_vms; i++) {
        observe_vm(&cast.vms[i]);
        permits += cast.vms[i].is_known && cast.vms[i].may_run;
    }
    if (!(word & 1) && permits > 1)
        sim_violation("%u VMs may run in a closed world", permits);
}

#define PIDFD_BASE 1000

int process_signal(int pidfd, int number)
{
    (void)number;
    shm_yield("signal");
    struct cast_vm *vm = &cast.vms[pidfd - PIDFD_BASE];
    if (!vm->is_alive)
        return -ESRCH;
    vm->is_signalled = true;
    sim_interrupt(ACTOR_VM + vm->index);
    if (vm->waits_for_interrupt)
        sim_wake(ACTOR_VM + vm->index);
    return 0;
}

/* As worker/safepoint.c, on_signal(). */
static void handle_signal(struct cast_vm *vm)
{
    vm->is_signalled = false;
    if (!gate_has_signals(&vm->gate) || !gate_take_signal(&vm->gate))
        return;
    if (vm->loses_signals)
        return;
    vm->is_interrupted = true;
    vm->interrupts++;
}

/* Wherever the VM's thread is: between any two accesses, in its gate too. */
static void goes_on(unsigned actor)
{
    if (actor < ACTOR_VM || actor >= ACTOR_VM + CAST_VMS)
        return;
    struct cast_vm *vm = &cast.vms[actor - ACTOR_VM];
    if (vm->is_handling)
        return;
    vm->is_handling = true;
    while (vm->is_signalled)
        handle_signal(vm);
    vm->is_handling = false;
}

void cast_nudge(const struct stop_world *w)
{
    for (size_t i = 0; i < w->n_gates; i++)
        if (stop_is_missing(w->gates[i]) && stop_state(w->gates[i]) == SHM_RUNNING)
            stop_wake_watcher(w->gates[i]);
}

/* One instruction of guest code. */
static void guest_step(struct cast_vm *vm)
{
    shm_yield("guest step");
    const struct stop_gate *g = &vm->worker.gate;
    bool may_run = memory_lets_run(vm);
    if (vm->lies)
        return;
    if (shm_status_state(word_of(&vm->status->word)) != SHM_RUNNING)
        sim_violation("vm %u runs guest code and shows another status", vm->index);
    if (!g->birth_done)
        sim_violation("vm %u runs guest code before its release", vm->index);
    if (!may_run && vm->was_counted)
        sim_violation("vm %u runs guest code behind its closed gate, after it was counted",
                      vm->index);
    if (!may_run && !vm->was_frozen && cast.conductor->is_stopped())
        sim_violation("vm %u runs guest code in a stopped world", vm->index);
    if (cast.scenario->has_clocks) {
        uint64_t clock = gate_clock_ns(&vm->gate);
        if (clock < vm->last_clock_ns)
            sim_violation("the clock of vm %u went back", vm->index);
        vm->last_clock_ns = clock;
    }
    vm->steps++;
    cast.guest_steps++;
}

/* ---- the VM */

static void take_from_channel(struct cast_vm *vm)
{
    vm->taken = vm->sent;
    if (vm->answered != vm->asked)
        vm->gate.asked = true;
}

static int drain(void *userdata)
{
    shm_yield("drain");
    take_from_channel(userdata);
    return 0;
}

/* As worker/inspect.c: behind the gate, parked. */
static int serve(void *userdata)
{
    struct cast_vm *vm = userdata;
    shm_yield("serve");
    if (shm_status_state(word_of(&vm->status->word)) != SHM_PARKED)
        sim_violation("vm %u serves a request and does not show parked", vm->index);
    vm->answered = vm->asked;
    vm->worker.park_request = 0; /* the answer is on the daemon's side of the channel */
    return 0;
}

static void vm_enter(struct cast_vm *vm)
{
    if (vm->is_entered)
        return;
    (void)gate_enter(&vm->gate);
    vm->is_entered = true;
}

static void vm_leave(struct cast_vm *vm, enum shm_state state)
{
    gate_leave(&vm->gate, state);
    vm->is_entered = false;
}

static void safe_point(struct cast_vm *vm)
{
    if (!vm->is_interrupted)
        return;
    vm->is_interrupted = false;
    (void)gate_poll(&vm->gate);
}

/* As the worker's event loop: returns whether a message came, or the timer. */
static bool wait_in_poll(struct cast_vm *vm, bool with_timer)
{
    shm_yield("poll");
    unsigned taken = vm->taken;
    if (vm->taken == vm->sent && vm->answered == vm->asked) {
        vm->waits_for_channel = true;
        if (with_timer)
            sim_wake(EVENT_TIMER + vm->index);
        sim_block("ppoll");
        vm->waits_for_channel = false;
    }
    take_from_channel(vm);
    return vm->taken != taken || !vm->gate.asked;
}

/* Idle or blocked until there is something to run for; comes to its gate when it is asked to. */
static void wait_for_message(struct cast_vm *vm, enum shm_state state, bool with_timer)
{
    bool more;
    do {
        vm_leave(vm, state);
        more = wait_in_poll(vm, with_timer);
        vm_enter(vm);
    } while (!more);
}

/* Sleeps as Atomics.wait does: the channel is drained, and the sleep goes on. */
static void vm_sleeps(struct cast_vm *vm, uint64_t deadline)
{
    vm_leave(vm, SHM_BLOCKED);
    while (gate_block(&vm->gate, deadline) == 0)
        ;
    vm_enter(vm);
    if (gate_clock_ns(&vm->gate) < deadline)
        sim_violation("vm %u: a time-out came early by its clock", vm->index);
}

static void vm_dies(struct cast_vm *vm)
{
    vm->is_alive = false;
    vm->death_seen_due = true;
    sim_wake(ACTOR_DAEMON);
    sim_kill(ACTOR_WATCHER + vm->index);
    sim_kill(ACTOR_VM + vm->index);
}

static void vm_main(void *userdata)
{
    struct cast_vm *vm = userdata;
    for (const char *p = vm->program; *p; p++) {
        switch (*p) {
        case 's':
            vm_enter(vm);
            guest_step(vm);
            safe_point(vm);
            break;
        case '&':
        case '!':
            vm->loses_signals = *p == '!';
            gate_takes_signals(&vm->gate, true);
            break;
        case 'p':
            vm_enter(vm);
            (void)gate_poll(&vm->gate);
            break;
        case 'i':
        case 't':
            wait_for_message(vm, SHM_IDLE, *p == 't');
            guest_step(vm);
            safe_point(vm);
            break;
        case 'b':
        case 'w':
            vm_enter(vm);
            vm_sleeps(vm, *p == 'w' ? UINT64_MAX : gate_clock_ns(&vm->gate) + BLOCK_NS);
            guest_step(vm);
            safe_point(vm);
            break;
        case 'B':
            vm_enter(vm);
            wait_for_message(vm, SHM_BLOCKED, false);
            guest_step(vm);
            safe_point(vm);
            break;
        case 'S':
            vm_enter(vm);
            for (;;) {
                guest_step(vm);
                while (!vm->is_interrupted) {
                    vm->waits_for_interrupt = true;
                    sim_block("runs until it is interrupted");
                    vm->waits_for_interrupt = false;
                }
                safe_point(vm);
            }
        case 'x':
            shm_yield("exits");
            vm_dies(vm);
            sim_block("exited");
            break;
        case 'L':
            vm_enter(vm);
            vm->lies = true;
            gate_leave(&vm->gate, SHM_PARKED);
            break;
        case 'D':
            vm_enter(vm);
            vm_leave(vm, SHM_BLOCKED);
            sim_block("blocked, and deaf");
            break;
        case 'N':
            vm_enter(vm);
            guest_step(vm);
            sim_block("hangs");
            break;
        }
    }
    for (;;) {
        /* Behind the gate as any guest code would be. */
        wait_for_message(vm, SHM_IDLE, false);
        guest_step(vm);
        safe_point(vm);
    }
}

/* As worker/safepoint.c, watch(), without its second thoughts. */
static void watcher_main(void *userdata)
{
    struct cast_vm *vm = userdata;
    uint32_t seen = 0;
    for (;;) {
        (void)gate_wait_poke(&vm->gate, &seen, UINT64_MAX);
        if (!gate_is_late(&vm->gate))
            continue;
        shm_yield("interrupt");
        vm->is_interrupted = true;
        vm->interrupts++;
        if (vm->waits_for_interrupt)
            sim_wake(ACTOR_VM + vm->index);
    }
}

static void timer_fires(void *userdata)
{
    struct cast_vm *vm = userdata;
    if (vm->waits_for_channel)
        sim_wake(ACTOR_VM + vm->index);
}

static void kill_arrives(void *userdata)
{
    struct cast_vm *vm = userdata;
    if (vm->is_known && vm->is_alive)
        vm_dies(vm);
}

/* ---- the daemon */

static void vm_born(struct cast_vm *vm)
{
    static const char *const vm_names[] = {"vm0", "vm1", "vm2", "vm3", "vm4", "vm5"};
    static const char *const watcher_names[] = {"watcher0", "watcher1", "watcher2",
                                                "watcher3", "watcher4", "watcher5"};
    struct stop_gate *g = &vm->worker.gate;
    if (vm->is_known)
        return;
    unsigned i = vm->index;
    vm->worker.id = i + 1;
    snprintf(vm->worker.name, sizeof vm->worker.name, "vm-%u", i);
    if (stop_gate_init(g, cast.conductor->stop(), &vm->worker) < 0)
        sim_violation("no memory");
    g->pidfd = PIDFD_BASE + (int)vm->index;
    vm->world = sim_page_of(cast.conductor->stop()->page_fd);
    vm->command = sim_page_of(g->command_fd);
    vm->status = sim_page_of(g->status_fd);
    sim_eventfd_owner(g->kick_fd, ACTOR_DAEMON);
    gate_init(&vm->gate, vm->world, vm->command, vm->status, g->kick_fd, drain, vm);
    vm->gate.serve = serve;
    stop_gate_handed_over(g);
    vm->is_known = vm->is_alive = true;
    sim_actor(ACTOR_VM + i, vm_names[i], vm_main, vm);
    sim_actor(ACTOR_WATCHER + i, watcher_names[i], watcher_main, vm);
    sim_store_buffer(ACTOR_VM + i, EVENT_BUFFER + i, "store buffer drains");
    sim_timeout_event(ACTOR_VM + i, EVENT_TIMER + i, "time-out");
    /* It stands for the time-out of ppoll then, and futexes have none. */
    if (strchr(vm->program, 't'))
        sim_event(EVENT_TIMER + i, "timer fires", timer_fires, vm);
    if (cast.scenario->spurious)
        sim_spurious_event(ACTOR_VM + i, EVENT_SPURIOUS + i, "spurious wake",
                           cast.scenario->spurious);
    sim_event(EVENT_KILL + i, "SIGKILL", kill_arrives, vm);
    if (cast.scenario->kill & 1u << i && !cast.scenario->is_settled)
        sim_wake(EVENT_KILL + i);
    cast.conductor->born(vm);
}

static void vm_ended(struct cast_vm *vm)
{
    vm->death_seen_due = false;
    vm->is_known = false;
    vm->is_done = true;
    cast.conductor->ended(vm); /* takes the gate out of the world */
}

void cast_send(struct cast_vm *vm)
{
    shm_yield("send");
    vm->sent++;
    if (vm->waits_for_channel)
        sim_wake(ACTOR_VM + vm->index);
    stop_message_sent(&vm->worker.gate);
}

void cast_ask(struct cast_vm *vm)
{
    shm_yield("send");
    vm->asked++;
    if (vm->waits_for_channel)
        sim_wake(ACTOR_VM + vm->index);
    stop_message_sent(&vm->worker.gate);
}

/* As daemon/enforcer.c does it. */
static void keep_from_running(struct cast_vm *vm, bool frozen)
{
    vm->was_frozen = true;
    sim_freeze(ACTOR_VM + vm->index, frozen);
    sim_freeze(ACTOR_WATCHER + vm->index, frozen);
    stop_excuse(&vm->worker.gate, frozen);
}

static void take_request(struct client *c)
{
    struct op op = c->ops[c->taken++];
    struct cast_vm *vm = &cast.vms[op.vm];
    bool is_there = vm->is_known;
    switch (op.what) {
    case OP_MESSAGE:
        if (is_there && vm->is_alive)
            cast_send(vm);
        break;
    case OP_ASK:
        if (is_there && vm->is_alive)
            cast_ask(vm);
        break;
    case OP_BORN:
        vm_born(vm);
        break;
    case OP_ADMIT:
        if (is_there && !vm->worker.gate.birth_done)
            cast.conductor->admitted(vm);
        break;
    case OP_IDLE:
        if (is_there)
            (void)stop_kick_one(&vm->worker.gate);
        break;
    case OP_LOOK:
        for (unsigned i = 0; i < cast.n_vms; i++)
            if (cast.vms[i].is_known) {
                const struct stop_gate *g = &cast.vms[i].worker.gate;
                (void)stop_is_still(g);
                (void)stop_clock_ns(g);
            }
        break;
    case OP_FREEZE:
    case OP_THAW:
        if (is_there)
            keep_from_running(vm, op.what == OP_FREEZE);
        break;
    case OP_NUDGE:
        cast_nudge(cast.conductor->stop());
        break;
    case OP_HOLD:
    case OP_RELEASE:
    case OP_ONLY:
    case OP_STEP:
        if (is_there)
            cast.conductor->request(c, op);
        break;
    default:
        cast.conductor->request(c, op);
        break;
    }
}

static void check_between_events(void)
{
    const struct stop_world *w = cast.conductor->stop();
    size_t missing = 0;
    for (size_t i = 0; i < w->n_gates; i++) {
        const struct stop_gate *g = w->gates[i];
        const struct stop_slot *s = &w->slots[i];
        missing += !s->open && !s->arrived && !s->excused;
        if (g->index != i)
            sim_violation("gate %zu has index %zu", i, g->index);
        if (sim_buffer_is_empty(ACTOR_DAEMON) &&
            s->open != shm_may_run(word_of(&w->page->word), word_of(&g->command->word)))
            sim_violation("a gate is %s, and memory says otherwise", s->open ? "open" : "closed");
        if (s->open && s->arrived)
            sim_violation("a gate is open and has arrived");
        bool runs = g->birth_done && g->holds == 0 && (w->open || w->runner == g);
        if (s->open != runs)
            sim_violation("a gate is %s that should be %s", s->open ? "open" : "closed",
                          runs ? "open" : "closed");
    }
    if (missing != w->n_missing)
        sim_violation("%zu are missing, and the count says %zu", missing, w->n_missing);
    cast.conductor->check();
}

enum { SOURCE_KICK, SOURCE_DEATH, SOURCE_REQUEST, SOURCE_OTHER };

/* The event loop. Which of the events that are due comes first is a choice. */
static void daemon_main(void *userdata)
{
    (void)userdata;
    for (;;) {
        struct {
            int kind;
            void *what;
        } due[2 * CAST_VMS + CAST_CLIENTS + 1];
        unsigned n = 0;
        for (unsigned i = 0; i < cast.n_vms; i++) {
            struct cast_vm *vm = &cast.vms[i];
            if (vm->is_known && sim_eventfd_peek(vm->worker.gate.kick_fd) > 0) {
                due[n].kind = SOURCE_KICK;
                due[n++].what = vm;
            }
            if (vm->death_seen_due) {
                due[n].kind = SOURCE_DEATH;
                due[n++].what = vm;
            }
        }
        for (unsigned i = 0; i < cast.n_clients; i++) {
            struct client *c = &cast.clients[i];
            while (c->taken < c->sent && c->ops[c->taken].what == OP_WAIT)
                c->taken++;
            if (c->taken < c->sent) {
                due[n].kind = SOURCE_REQUEST;
                due[n++].what = c;
            }
        }
        if (cast.conductor->is_due && cast.conductor->is_due())
            due[n++].kind = SOURCE_OTHER;
        if (n == 0) {
            sim_block("epoll");
            continue;
        }
        unsigned i = sim_choose(n);
        switch (due[i].kind) {
        case SOURCE_KICK:
            (void)sim_eventfd_take(((struct cast_vm *)due[i].what)->worker.gate.kick_fd);
            cast.conductor->kicked(due[i].what);
            break;
        case SOURCE_DEATH:
            vm_ended(due[i].what);
            break;
        case SOURCE_OTHER:
            cast.conductor->run_due();
            break;
        default:
            take_request(due[i].what);
            break;
        }
        check_between_events();
    }
}

/* ---- clients */

static const struct {
    const char *word;
    enum op_what what;
    bool has_vm;
} words[] = {
    {"stop", OP_STOP, false},    {"wait", OP_WAIT, false},      {"resume", OP_RESUME, false},
    {"hold", OP_HOLD, true},     {"release", OP_RELEASE, true}, {"msg", OP_MESSAGE, true},
    {"ask", OP_ASK, true},       {"born", OP_BORN, true},       {"admit", OP_ADMIT, true},
    {"only", OP_ONLY, true},     {"step", OP_STEP, true},       {"debug", OP_DEBUG, false},
    {"force", OP_FORCE, false},  {"park", OP_PARK, false},      {"late", OP_LATE, false},
    {"flip", OP_FLIP, false},    {"gc", OP_GC, false},          {"census", OP_CENSUS, false},
    {"quit", OP_QUIT, false},    {"idle", OP_IDLE, true},       {"look", OP_LOOK, false},
    {"freeze", OP_FREEZE, true}, {"thaw", OP_THAW, true},       {"nudge", OP_NUDGE, false},
};

static void parse(struct client *c, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, " "), i;
        bool known = false;
        for (i = 0; i < sizeof words / sizeof words[0] && !known; i++) {
            size_t n = strlen(words[i].word);
            if (strncmp(text, words[i].word, n) != 0 || len != n + words[i].has_vm)
                continue;
            known = true;
            c->ops[c->n_ops].what = (unsigned char)words[i].what;
            c->ops[c->n_ops++].vm = words[i].has_vm ? (unsigned char)(text[n] - '0') : 0;
        }
        if (!known || c->n_ops >= CAST_OPS) {
            fprintf(stderr, "scenario %s: %.*s?\n", cast.scenario->name, (int)len, text);
            abort();
        }
        text += len + (text[len] == ' ');
    }
}

static void client_main(void *userdata)
{
    struct client *c = userdata;
    for (unsigned i = 0; i < c->n_ops; i++) {
        shm_yield("client");
        if (c->ops[i].what == OP_WAIT) {
            while (c->tickets_answered < c->tickets_asked) {
                c->is_waiting = true;
                sim_block("waits for the answer");
                c->is_waiting = false;
            }
            c->sent = i + 1;
            continue;
        }
        switch (c->ops[i].what) {
        case OP_STOP:
        case OP_DEBUG:
        case OP_FORCE:
        case OP_PARK:
        case OP_LATE:
        case OP_FLIP:
        case OP_GC:
        case OP_CENSUS:
            c->tickets_asked++;
            break;
        }
        c->sent = i + 1;
        sim_wake(ACTOR_DAEMON);
    }
}

void cast_answered(struct client *c)
{
    c->tickets_answered++;
    if (c->tickets_answered > c->tickets_asked)
        sim_violation("client %u was answered more often than it asked", c->index);
    if (c->is_waiting)
        sim_wake(ACTOR_CLIENT + c->index);
}

void cast_stopped(void)
{
    cast.stops_completed++;
    for (unsigned i = 0; i < cast.n_vms; i++) {
        const struct cast_vm *vm = &cast.vms[i];
        if (vm->is_known && !sim_is_frozen(ACTOR_VM + i) && (vm->may_run || !vm->has_shown))
            sim_violation("the world is said to be stopped, and vm %u has not shown it", i);
    }
}

/* ---- made up */

uint64_t cast_seed;

static uint64_t dice_state;

static unsigned dice(unsigned n)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice_state >> 33) % n;
}

static void make_up_program(char *text, size_t size)
{
    static const char with_timer[] = "spitBsS", with_sleep[] = "spibBsSw";
    static const char liars[] = "NLDsi";
    static const char signalled[] = {'&', '!'};
    bool timer = dice(2), lies = cast.scenario->has_liar && dice(2);
    size_t i = 0;
    if (dice(2))
        text[i++] = signalled[dice(2)];
    for (size_t n = i + 1 + dice((unsigned)(size - i) - 2); i < n; i++) {
        text[i] = lies    ? liars[dice(sizeof liars - 1)]
                  : timer ? with_timer[dice(sizeof with_timer - 1)]
                          : with_sleep[dice(sizeof with_sleep - 1)];
        if (strchr("SwND", text[i]))
            n = i + 1; /* for ever */
    }
    text[i] = 0;
}

static void make_up_words(char *text, size_t size, unsigned n_vms)
{
    static const char *const often[] = {
        "stop wait", "resume",      "stop wait", "resume",     "debug wait", "gc wait", "hold%",
        "release%",  "msg%",        "ask%",      "only%",      "step%",      "idle%",   "stop",
        "gc",        "census wait", "park wait", "force wait", "flip",       "look"};
    size_t len = 0;
    for (unsigned n = 2 + dice(6); n > 0 && len + 16 < size; n--) {
        const char *word = often[dice(sizeof often / sizeof often[0])];
        for (; *word; word++)
            text[len++] = *word == '%' ? (char)('0' + dice(n_vms)) : *word;
        text[len++] = ' ';
    }
    snprintf(text + len, size - len, "%s", dice(3) ? "resume" : "quit");
}

static const struct scenario *make_up(const struct scenario *s)
{
    static char programs[CAST_VMS][7], texts[CAST_CLIENTS][128];
    static struct scenario made;
    made = *s;
    dice_state = cast_seed * 0x9e3779b97f4a7c15u;
    unsigned n_vms = 1 + dice(4), n_clients = 1 + dice(CAST_CLIENTS);
    for (unsigned i = 0; i < n_vms; i++) {
        make_up_program(programs[i], sizeof programs[i]);
        made.vms[i] = programs[i];
    }
    for (unsigned i = 0; i < n_clients; i++) {
        make_up_words(texts[i], sizeof texts[i], n_vms);
        made.clients[i] = texts[i];
    }
    made.kill = dice(3) ? 0 : 1u << dice(n_vms);
    made.spurious = dice(2);
    made.is_settled = dice(2);
    made.loses_signals = true;
    return &made;
}

/* ---- setting up and ending */

void cast_begin(const struct scenario *s, const struct conductor *conductor)
{
    static const char *const client_names[] = {"client0", "client1", "client2"};
    sim_reset();
    /* The VMs are large: only those that played. */
    for (unsigned i = 0; i < cast.n_vms; i++)
        memset(&cast.vms[i], 0, sizeof cast.vms[i]);
    memset((char *)&cast + sizeof cast.vms, 0, sizeof cast - sizeof cast.vms);
    cast.scenario = s;
    if (s->is_made_up)
        cast.scenario = s = make_up(s);
    cast.conductor = conductor;
    sim_observe = NULL;
    sim_goes_on = goes_on;
    sim_print_state = cast_print_state;
    if (s->has_timeouts || s->has_delays)
        sim_for_ever_ns = UINT64_MAX;
    if (s->same_instant)
        sim_tick_ns = 0;
    if (s->has_delays)
        sim_late_ns = UINT64_MAX;
    if (conductor->init() < 0)
        abort();
    last_world_word = word_of(&conductor->stop()->page->word);
    sim_actor(ACTOR_DAEMON, "daemon", daemon_main, NULL);
    sim_store_buffer(ACTOR_DAEMON, EVENT_DAEMON_BUFFER, "daemon's store buffer drains");
    for (unsigned i = 0; i < CAST_VMS && s->vms[i]; i++) {
        struct cast_vm *vm = &cast.vms[cast.n_vms++];
        vm->index = i;
        vm->program = s->vms[i];
        if (s->unborn & 1u << i)
            continue;
        vm_born(vm);
        cast.conductor->admitted(vm);
        vm->may_run = true;
    }
    sim_observe = observe;
    if (s->is_settled) {
        sim_settle();
        for (unsigned i = 0; i < cast.n_vms; i++)
            if (s->kill & 1u << i)
                sim_wake(EVENT_KILL + i);
    }
    for (unsigned i = 0; i < CAST_CLIENTS && s->clients[i]; i++) {
        struct client *c = &cast.clients[cast.n_clients++];
        c->index = i;
        parse(c, s->clients[i]);
        sim_actor(ACTOR_CLIENT + i, client_names[i], client_main, c);
    }
}

/* Nothing may be owed to anybody when nobody can go on. */
void cast_check_at_rest(void)
{
    if (sim_verdict())
        return;
    const struct scenario *s = cast.scenario;
    for (unsigned i = 0; i < cast.n_vms; i++) {
        struct cast_vm *vm = &cast.vms[i];
        if (vm->death_seen_due)
            sim_violation_at_rest("the death of vm %u was not seen", i);
        if (!vm->is_known || s->has_liar || strchr(vm->program, 'D'))
            continue;
        enum shm_state state = shm_status_state(word_of(&vm->status->word));
        bool may_run = memory_lets_run(vm);
        if (state == SHM_PARKED && may_run)
            sim_violation_at_rest("vm %u sleeps behind its open gate (in %s)", i,
                                  sim_label(ACTOR_VM + i));
        if (state == SHM_PARKED && shm_status_epoch(word_of(&vm->status->word)) < vm->rung_epoch)
            sim_violation_at_rest("vm %u parks again and shows an epoch from before it was rung",
                                  i);
        if (state == SHM_RUNNING && !may_run)
            sim_violation_at_rest("vm %u runs behind its closed gate and nobody tells it", i);
        if (vm->taken != vm->sent && state != SHM_RUNNING && state != SHM_STARTING)
            sim_violation_at_rest("vm %u sleeps and has %u messages", i, vm->sent - vm->taken);
        if (vm->asked != vm->answered && state != SHM_RUNNING && state != SHM_STARTING)
            sim_violation_at_rest("vm %u sleeps and has not served what it was asked for", i);
        if (sim_eventfd_peek(vm->worker.gate.kick_fd) > 0)
            sim_violation_at_rest("a kick of vm %u was not heard", i);
        /* A ring that is delayed for long is taken for a lost one: then the count means nothing. */
        if (atomic_load(&vm->status->lost_wakes) > 0 && !s->has_delays)
            sim_violation_at_rest("vm %u counted a lost wake", i);
        /* By its signal and, at a nudge or because it begins only then, by its watcher. */
        bool twice = atomic_load(&vm->status->takes_signals) != 0;
        if (vm->interrupts > vm->closings * (twice ? 2 : 1))
            sim_violation_at_rest("vm %u was interrupted %u times in %u closings", i,
                                  vm->interrupts, vm->closings);
        if (may_run != stop_is_open(&vm->worker.gate))
            sim_violation_at_rest("the gate of vm %u is not as memory says", i);
    }
    for (unsigned i = 0; i < cast.n_clients; i++) {
        struct client *c = &cast.clients[i];
        while (c->taken < c->sent && c->ops[c->taken].what == OP_WAIT)
            c->taken++;
        if ((c->taken < c->n_ops || c->is_waiting) && !s->has_liar)
            sim_violation_at_rest("client %u waits for ever (at request %u of %u)", i,
                                  c->is_waiting ? c->sent : c->taken + 1, c->n_ops);
    }
    cast.conductor->check_at_rest();
}

const char *cast_run(void)
{
    sim_run();
    cast_check_at_rest();
    return sim_verdict();
}

void cast_end(void)
{
    sim_observe = NULL;
    /* After a violation everybody was left in the middle of something: it leaks. */
    if (sim_verdict())
        return;
    for (unsigned i = 0; i < cast.n_vms; i++)
        if (cast.vms[i].worker.gate.world)
            stop_gate_done(&cast.vms[i].worker.gate);
    cast.conductor->done();
}

const char *cast_play(const struct scenario *s, const struct conductor *conductor)
{
    cast_begin(s, conductor);
    const char *verdict = cast_run();
    cast_end();
    return verdict;
}

void cast_print_state(FILE *to)
{
    static const char *const states[] = {"starting", "RUNNING", "idle", "blocked", "parked"};
    const struct stop_world *w = cast.conductor->stop();
    uint64_t word = word_of(&w->page->word);
    if (cast.scenario->has_clocks)
        fprintf(to, "%llu ", (unsigned long long)sim_now_ns());
    if (cast.conductor->print_state)
        cast.conductor->print_state(to);
    fprintf(to, "world %llu %s, %zu missing", (unsigned long long)(word >> 1),
            word & 1 ? "open" : "closed", w->n_missing);
    for (unsigned i = 0; i < cast.n_vms; i++) {
        const struct cast_vm *vm = &cast.vms[i];
        if (!vm->is_known)
            continue;
        uint64_t command = word_of(&vm->command->word), status = word_of(&vm->status->word);
        fprintf(to, " · %u: %s@%llu%s%s", i, states[shm_status_state(status)],
                (unsigned long long)shm_status_epoch(status), command & 1 ? "" : " unreleased",
                stop_is_still(&vm->worker.gate) ? " counted" : "");
        if (cast.scenario->has_clocks)
            fprintf(to, " clock %llu-%llu(%llu)", (unsigned long long)vm->gate.clock_floor_ns,
                    (unsigned long long)word_of(&vm->command->held_ns),
                    (unsigned long long)word_of(&vm->command->held_since_ns));
        if (command >> 1)
            fprintf(to, " permit %llu", (unsigned long long)(command >> 1));
    }
}

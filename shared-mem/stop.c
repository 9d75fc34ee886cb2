#include "stop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "futex.h"
#include "map.h"

static uint64_t last_serial;

static int world_init(struct stop_world *w, bool kept)
{
    struct world_page *page;
    int fd, r = map_create("stillpoint-world", kept ? MAP_WRITER_KEPT : MAP_WRITER_SELF, &fd,
                           (void **)&page);
    if (r < 0)
        return r;
    *w = (struct stop_world){.page = page,
                             .page_fd = fd,
                             .serial = ++last_serial,
                             .kept = kept,
                             .epoch = 1,
                             .open = true,
                             .changed_ns = shm_now_ns()};
    SHM_STORE(&page->word, shm_world_word(w->epoch, w->open));
    return 0;
}

int stop_world_init(struct stop_world *w)
{
    return world_init(w, false);
}

int stop_world_init_kept(struct stop_world *w)
{
    return world_init(w, true);
}

void stop_world_done(struct stop_world *w)
{
    if (!w->page)
        return;
    map_done(w->page);
    close(w->page_fd);
    free(w->gates);
    free(w->slots);
    *w = (struct stop_world){.page_fd = -1};
}

static bool slot_missing(const struct stop_slot *s)
{
    return !s->open && !s->arrived && !s->excused;
}

static int world_grow(struct stop_world *w)
{
    size_t size = w->size_gates ? 2 * w->size_gates : 16;
    struct stop_gate **gates = reallocarray(w->gates, size, sizeof *gates);
    if (!gates)
        return -ENOMEM;
    w->gates = gates;
    struct stop_slot *slots = reallocarray(w->slots, size, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    w->slots = slots;
    w->size_gates = size;
    return 0;
}

static int world_add(struct stop_world *w, struct stop_gate *g)
{
    int r = w->n_gates == w->size_gates ? world_grow(w) : 0;
    if (r < 0)
        return r;
    g->world = w;
    g->index = w->n_gates;
    w->slots[w->n_gates] = (struct stop_slot){.status = g->status};
    w->gates[w->n_gates++] = g;
    return 0;
}

static void world_remove(struct stop_world *w, struct stop_gate *g)
{
    if (slot_missing(stop_slot(g)))
        w->n_missing--;
    if (w->kicked == g)
        w->kicked = NULL;
    if (w->runner == g)
        w->runner = NULL;
    w->n_gates--;
    w->slots[g->index] = w->slots[w->n_gates];
    w->gates[g->index] = w->gates[w->n_gates];
    w->gates[g->index]->index = g->index;
}

/* Stores the held-time record. Partner: gate.c, gate_read_held(). A sequence lock: odd before the
 * fields, even after them; nothing else depends on its order. */
static void record_write(struct stop_gate *g, uint64_t since_ns)
{
    struct command_page *c = g->command;
    uint32_t seq = atomic_load_explicit(&c->held_seq, memory_order_relaxed);
    SHM_STORE_RELAXED(&c->held_seq, seq + 1);
    atomic_thread_fence(memory_order_release);
    SHM_STORE_RELAXED(&c->held_ns, g->held_ns);
    SHM_STORE_RELAXED(&c->held_since_ns, since_ns);
    SHM_STORE_RELEASE(&c->held_seq, seq + 2);
    if (g->world)
        stop_slot(g)->record_due = false;
}

/* Is parked since its gate closed; the time is its own word, if that can be. */
static void slot_acked(struct stop_slot *s, uint64_t now)
{
    uint64_t said = SHM_LOAD_RELAXED(&s->status->parked_ns);
    s->how = STOP_ACKED;
    s->arrived_ns = said >= s->closed_ns && said <= now ? said : now;
}

static bool pauses(const struct stop_slot *s)
{
    return SHM_LOAD_RELAXED(&s->status->pause) > s->answered;
}

/* An epoch that has not come yet is nobody's. */
static bool is_ack(const struct stop_world *w, const struct stop_slot *s, uint64_t status)
{
    uint64_t epoch = shm_status_epoch(status);
    return shm_status_state(status) == SHM_PARKED && epoch <= w->epoch &&
           (epoch >= s->closed_epoch || pauses(s));
}

/* Counts a worker whose status is not running. `now` 0: to be asked. */
static void slot_count(struct stop_world *w, struct stop_slot *s, uint64_t status, uint64_t now)
{
    if (slot_missing(s))
        w->n_missing--;
    s->arrived = true;
    if (is_ack(w, s, status)) {
        slot_acked(s, shm_now_ns());
        return;
    }
    s->how = STOP_HELD;
    s->arrived_ns = now ? now : shm_now_ns();
}

/* Counts the worker if it has arrived. A status other than running that is loaded after the store
 * that closed the gate is an arrival, whatever its epoch: to run again it has to pass gate_enter(),
 * which sees the closed gate. The epoch decides the label only. */
static void slot_look(struct stop_world *w, struct stop_slot *s)
{
    uint64_t status = SHM_LOAD(&s->status->word);
    if (shm_status_state(status) != SHM_RUNNING)
        slot_count(w, s, status, 0);
}

/* After the store that closed this gate. `now` is the time of that store. */
static void slot_closed(struct stop_world *w, struct stop_slot *s, uint64_t now)
{
    s->open = false;
    s->closed_epoch = w->epoch;
    s->closed_ns = now;
    s->arrived = false;
    s->how = STOP_NOT_ARRIVED;
    if (slot_missing(s))
        w->n_missing++;
    uint64_t status = SHM_LOAD(&s->status->word);
    s->was = (uint8_t)shm_status_state(status);
    s->record_due = true;
    if (s->was != SHM_RUNNING)
        slot_count(w, s, status, now);
    /* It has come to its gate since the store: before that it ran. */
    if (is_ack(w, s, status))
        s->was = SHM_RUNNING;
}

/* Once for each closing. A VM that runs polls no shared word by itself: its watcher has to
 * interrupt the engine. One that was seen in another state stays there, or finds the closed gate in
 * gate_enter(). */
static void gate_poke(struct stop_gate *g, bool may_signal)
{
    SHM_ADD(&g->command->poke, 1);
    /* A signal needs nobody but the VM's own thread to be scheduled, and no lock in the engine.
     * Partner: gate_take_signal(). */
    stop_slot(g)->signalled = may_signal && g->pidfd >= 0 &&
                              SHM_LOAD_RELAXED(&g->status->takes_signals) != 0 &&
                              process_signal(g->pidfd, SHM_SIGNAL) == 0;
    if (!stop_slot(g)->signalled)
        futex_wake(&g->command->poke, 1);
}

void stop_wake_watcher(struct stop_gate *g)
{
    if (!stop_slot(g)->signalled)
        return;
    stop_slot(g)->signalled = false;
    futex_wake(&g->command->poke, 1);
}

/* Before the store that opens this gate. */
static void gate_opens(struct stop_gate *g, uint64_t now)
{
    struct stop_slot *s = stop_slot(g);
    if (slot_missing(s))
        g->world->n_missing--;
    s->open = true;
    s->arrived = false;
    g->held_ns += now - s->closed_ns;
    record_write(g, 0);
}

/* After the store that opened this gate: whoever sleeps in gate_park() has to look again. One that
 * stores parked after our load reads the words after that, and finds them open. */
static void gate_opened(struct stop_gate *g)
{
    if (shm_status_state(SHM_LOAD(&g->status->word)) == SHM_PARKED)
        stop_ring(g);
}

int stop_gate_make(struct stop_gate *g, bool kept, void *userdata)
{
    *g = (struct stop_gate){
        .command_fd = -1, .status_fd = -1, .kick_fd = -1, .pidfd = -1, .userdata = userdata};
    int r = map_create("stillpoint-command", kept ? MAP_WRITER_KEPT : MAP_WRITER_SELF,
                       &g->command_fd, (void **)&g->command);
    if (r >= 0)
        r = map_create("stillpoint-status", MAP_WRITER_PEER, &g->status_fd, (void **)&g->status);
    if (r >= 0) {
        g->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = g->kick_fd < 0 ? -errno : 0;
    }
    if (r < 0) {
        stop_gate_done(g);
        return r;
    }
    /* Born behind a closed gate: zeros in the command word mean park, in the status word starting.
     */
    g->made_ns = shm_now_ns();
    record_write(g, g->made_ns);
    return 0;
}

int stop_gate_join(struct stop_gate *g, struct stop_world *w)
{
    int r = world_add(w, g);
    if (r < 0)
        return r;
    struct stop_slot *s = stop_slot(g);
    s->closed_epoch = w->epoch;
    s->closed_ns = g->made_ns;
    s->was = SHM_STARTING;
    w->n_missing++;
    slot_look(w, s);
    return 0;
}

int stop_gate_init(struct stop_gate *g, struct stop_world *w, void *userdata)
{
    int r = stop_gate_make(g, w->kept, userdata);
    if (r == 0 && (r = stop_gate_join(g, w)) < 0)
        stop_gate_done(g);
    return r;
}

void stop_gate_handed_over(struct stop_gate *g)
{
    if (g->command_fd >= 0)
        close(g->command_fd);
    if (g->status_fd >= 0)
        close(g->status_fd);
    g->command_fd = g->status_fd = -1;
}

void stop_gate_done(struct stop_gate *g)
{
    struct stop_world *w = g->world;
    if (w) {
        world_remove(w, g);
        stop_gate_handed_over(g);
        close(g->kick_fd);
    } else if (g->command) {
        /* It has joined none. */
        stop_gate_handed_over(g);
        if (g->kick_fd >= 0)
            close(g->kick_fd);
    }
    map_done(g->command);
    map_done((void *)(uintptr_t)g->status);
    *g = (struct stop_gate){.command_fd = -1, .status_fd = -1, .kick_fd = -1, .pidfd = -1};
}

static uint64_t world_store(struct stop_world *w, bool open)
{
    w->epoch++;
    w->open = open;
    w->changed_ns = shm_now_ns();
    SHM_STORE(&w->page->word, shm_world_word(w->epoch, open));
    return w->changed_ns;
}

void stop_close(struct stop_world *w)
{
    /* The epoch of a runner's permit is past with this. */
    uint64_t now = world_store(w, false);
    w->kicked = NULL;
    w->runner = NULL;
    for (size_t i = 0; i < w->n_gates; i++)
        if (w->slots[i].open)
            slot_closed(w, &w->slots[i], now);
    /* Memory first, system calls after it, the clocks last, by stop_settle(). Those that closed
     * just now are known by the epoch: one that a hold closed before may have the same time, and
     * has had its poke. */
    for (size_t i = 0; i < w->n_gates && w->n_missing > 0; i++)
        if (w->slots[i].closed_epoch == w->epoch && !w->slots[i].arrived)
            gate_poke(w->gates[i], true);
}

void stop_settle(struct stop_world *w)
{
    for (size_t i = 0; i < w->n_gates; i++)
        if (w->slots[i].record_due)
            record_write(w->gates[i], w->slots[i].closed_ns);
}

void stop_open(struct stop_world *w)
{
    uint64_t now = shm_now_ns();
    for (size_t i = 0; i < w->n_gates; i++)
        if (!w->slots[i].open && w->gates[i]->released)
            gate_opens(w->gates[i], now);
    w->runner = NULL;
    world_store(w, true);
    for (size_t i = 0; i < w->n_gates; i++)
        if (w->slots[i].open)
            gate_opened(w->gates[i]);
}

void stop_permit(struct stop_gate *g)
{
    struct stop_world *w = g->world;
    gate_opens(g, shm_now_ns());
    w->runner = g;
    /* Nobody has a permit for the epoch that this store begins, until the next one gives it. */
    world_store(w, false);
    SHM_STORE(&g->command->word, shm_command_word(w->epoch, true));
    gate_opened(g);
}

size_t stop_scan(struct stop_world *w)
{
    for (size_t i = 0; i < w->n_gates && w->n_missing > 0; i++)
        if (slot_missing(&w->slots[i]))
            slot_look(w, &w->slots[i]);
    return w->n_missing;
}

enum shm_state stop_kick_one(struct stop_gate *g)
{
    /* Partner: gate.c, gate_arrive(). */
    SHM_ADD(&g->command->kick, 1);
    return stop_state(g);
}

size_t stop_kick(struct stop_world *w)
{
    for (size_t i = 0; i < w->n_gates && w->n_missing > 0; i++) {
        struct stop_slot *s = &w->slots[i];
        if (!slot_missing(s))
            continue;
        stop_kick_one(w->gates[i]);
        slot_look(w, s);
        if (slot_missing(s)) {
            w->kicked = w->gates[i];
            break;
        }
    }
    return w->n_missing;
}

/* Stores the command word from `released`, and what follows from it for the gate. A hold takes the
 * permit of a runner; its end gives it back, if the run-one still lasts. */
static void command_store(struct stop_gate *g, bool released)
{
    uint64_t permit = released && g->world->runner == g ? g->world->epoch : 0;
    uint64_t word = shm_command_word(permit, released);
    bool opens = shm_may_run(shm_world_word(g->world->epoch, g->world->open), word);
    uint64_t now = shm_now_ns();
    bool was_open = stop_slot(g)->open;
    if (opens && !was_open)
        gate_opens(g, now);
    g->released = released;
    SHM_STORE(&g->command->word, word);
    if (opens && !was_open) {
        gate_opened(g);
    } else if (!opens && was_open) {
        slot_closed(g->world, stop_slot(g), now);
        if (!stop_slot(g)->arrived)
            gate_poke(g, false);
        record_write(g, now);
    } else if (!opens && !stop_slot(g)->arrived) {
        /* Its stop may end before anybody follows up the signal: this may be what holds it then. */
        stop_wake_watcher(g);
    }
}

void stop_admit(struct stop_gate *g)
{
    g->birth_done = true;
    if (g->holds == 0)
        command_store(g, true);
}

void stop_hold(struct stop_gate *g)
{
    if (g->holds++ == 0)
        command_store(g, false);
}

void stop_release(struct stop_gate *g)
{
    if (--g->holds == 0 && g->birth_done)
        command_store(g, true);
}

enum stop_how stop_how_now(struct stop_gate *g)
{
    struct stop_slot *s = stop_slot(g);
    if (!s->open && !s->arrived)
        slot_look(g->world, s);
    if (s->open || !s->arrived)
        return STOP_NOT_ARRIVED;
    if (s->how == STOP_HELD && is_ack(g->world, s, SHM_LOAD(&s->status->word)))
        slot_acked(s, shm_now_ns());
    return s->how;
}

bool stop_is_missing(const struct stop_gate *g)
{
    return slot_missing(stop_slot(g));
}

void stop_excuse(struct stop_gate *g, bool excused)
{
    struct stop_slot *s = stop_slot(g);
    bool before = slot_missing(s);
    s->excused = excused;
    bool after = slot_missing(s);
    g->world->n_missing = g->world->n_missing - before + after;
    /* It may have been frozen when the others' signals were followed up. */
    if (after && !before)
        stop_wake_watcher(g);
}

void stop_answer(struct stop_gate *g, uint64_t pause)
{
    struct stop_slot *s = stop_slot(g);
    if (pause <= s->answered)
        return;
    s->answered = pause;
    /* Partner: gate_may_leave(). */
    SHM_STORE(&g->command->answered, pause);
    stop_ring(g);
}

bool stop_is_paused(const struct stop_gate *g)
{
    return pauses(stop_slot(g));
}

void stop_allow(struct stop_gate *g, uint64_t evaluation)
{
    g->evaluation = evaluation;
    SHM_STORE(&g->command->evaluation, evaluation);
}

bool stop_withdraw(struct stop_gate *g)
{
    if (g->evaluation == 0)
        return stop_state(g) == SHM_EVALUATING;
    g->evaluation = 0;
    /* Partner: gate_evaluate(). */
    SHM_STORE(&g->command->evaluation, UINT64_C(0));
    if (stop_state(g) != SHM_EVALUATING)
        return false;
    gate_poke(g, false);
    return true;
}

static void bump(struct stop_gate *g)
{
    SHM_STORE(&g->command->rung_ns, shm_now_ns());
    SHM_ADD(&g->command->bell, 1);
}

void stop_ring(struct stop_gate *g)
{
    bump(g);
    futex_wake(&g->command->bell, INT_MAX);
}

void stop_message_sent(struct stop_gate *g)
{
    bump(g);
    /* One that goes to sleep after this load has read the bumped bell, and looks at its channel. */
    enum shm_state state = stop_state(g);
    if (state == SHM_PARKED || state == SHM_BLOCKED)
        futex_wake(&g->command->bell, INT_MAX);
}

enum shm_state stop_state(const struct stop_gate *g)
{
    return shm_status_state(SHM_LOAD(&g->status->word));
}

bool stop_is_still(const struct stop_gate *g)
{
    return g->world && stop_slot(g)->arrived;
}

uint64_t stop_clock_ns(const struct stop_gate *g)
{
    return (stop_slot(g)->open ? shm_now_ns() : stop_slot(g)->closed_ns) - g->held_ns;
}

/* ---- taking over from a daemon that is gone */

void stop_world_adopt(struct stop_world *w, struct world_page *page, int page_fd)
{
    uint64_t word = SHM_LOAD(&page->word);
    *w = (struct stop_world){.page = page,
                             .page_fd = page_fd,
                             .serial = ++last_serial,
                             .kept = true,
                             .epoch = shm_world_epoch(word),
                             .open = (word & 1) != 0,
                             .changed_ns = shm_now_ns()};
}

int stop_gate_adopt(struct stop_gate *g, struct stop_world *w, const struct stop_pages *pages,
                    bool admitted, void *userdata)
{
    struct command_page *c = pages->command;
    uint64_t word = SHM_LOAD(&c->word), now = shm_now_ns();
    uint32_t seq = SHM_LOAD(&c->held_seq);
    *g = (struct stop_gate){.command = c,
                            .status = pages->status,
                            .command_fd = pages->command_fd,
                            .status_fd = pages->status_fd,
                            .kick_fd = pages->kick_fd,
                            .pidfd = -1,
                            .userdata = userdata,
                            .released = (word & 1) != 0,
                            .birth_done = admitted};
    int r = world_add(w, g);
    if (r < 0) {
        *g = (struct stop_gate){.command_fd = -1, .status_fd = -1, .kick_fd = -1, .pidfd = -1};
        return r;
    }
    /* A record whose writer died has no end that anybody would wait for. */
    if (seq & 1)
        SHM_STORE_RELAXED(&c->held_seq, seq + 1);
    g->held_ns = SHM_LOAD_RELAXED(&c->held_ns);
    uint64_t since = SHM_LOAD_RELAXED(&c->held_since_ns);
    struct stop_slot *s = stop_slot(g);
    s->answered = SHM_LOAD(&c->answered);
    s->open = shm_may_run(shm_world_word(w->epoch, w->open), word);
    s->closed_ns = since != 0 && since < now ? since : now;
    s->was = (uint8_t)stop_state(g);
    SHM_STORE(&c->evaluation, UINT64_C(0));
    if (!s->open) {
        w->n_missing++;
        slot_look(w, s);
        record_write(g, s->closed_ns);
    }
    return 0;
}

void stop_world_adopted(struct stop_world *w, uint64_t epoch, bool open)
{
    if (w->epoch < epoch)
        w->epoch = epoch;
    /* One whose word the state overtakes: released, or not, with every permit gone. */
    for (size_t i = 0; i < w->n_gates; i++)
        command_store(w->gates[i], w->gates[i]->birth_done && w->gates[i]->holds == 0);
    if (open) {
        stop_open(w);
    } else {
        stop_close(w);
        stop_settle(w);
    }
    /* Between a store and its wake, or its poke, the daemon may have died. */
    for (size_t i = 0; i < w->n_gates; i++) {
        if (!w->slots[i].open && !w->slots[i].arrived)
            gate_poke(w->gates[i], false);
        stop_ring(w->gates[i]);
    }
}

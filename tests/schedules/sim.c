#include "tests/schedules/sim.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared-mem/futex.h"
#include "shared-mem/layout.h"
#include "tests/schedules/coro.h"
#include "tests/schedules/sim_calls.h"

#define NONE SIM_ACTORS
#define PAGES 32
#define PAGE_USED_BYTES 128u /* of each page; the rest is never touched */
#define FDS 64
#define FD_BASE 1000 /* so that a real call with one of ours fails */
#define BUFFERED 4
#define CHANGE_POINTS 4
#define QUIET_CACHE 1024u
#define ACTOR_STEPS 1000
#define FIRST_NS 1000000000u

_Static_assert(sizeof(struct command_page) <= PAGE_USED_BYTES, "PAGE_USED_BYTES");
_Static_assert(sizeof(struct status_page) <= PAGE_USED_BYTES, "PAGE_USED_BYTES");

struct actor {
    const char *name, *label;
    void (*main)(void *);
    void *arg;
    bool is_event, dead;
    /* A futex wait. */
    const _Atomic uint32_t *word;
    uint64_t deadline_ns;
    int wait_result;
    unsigned timeout_event, spurious_event, spurious_left; /* 0: none */
    /* Store buffer. */
    unsigned buffer_event, n_buffered;
    struct {
        _Atomic uint64_t *p;
        uint64_t value;
    } buffered[BUFFERED];
    /* Random strategies. */
    unsigned priority, fires_at;
    struct coro coro;
};

struct choice {
    uint8_t n, taken, preemptions, detours;
    bool is_preemption;
};

struct fd {
    bool used;
    uint64_t count;
    unsigned owner;
    void *page;
};

static struct sim {
    enum sim_strategy strategy;
    struct actor actors[SIM_ACTORS];
    sim_set can_go_on, events;
    unsigned self; /* NONE: the caller of sim_run() */
    struct coro main;
    bool running, ended, on_main, settles;
    sim_set frozen;
    sim_set late; /* events that are no option while a coroutine can go on */
    jmp_buf main_jump;
    char verdict[512];
    uint64_t now_ns;

    uint8_t log[SIM_CHOICES];
    unsigned n_log;
    uint8_t replay[SIM_CHOICES];
    unsigned n_replay;

    struct choice stack[SIM_CHOICES];
    unsigned depth, position, max_preemptions, max_detours, preemptions, detours;

    uint64_t random;
    unsigned length, change[CHANGE_POINTS], lowest, walk_shift;
    bool is_walk;

    const char *quiet_words[16];
    struct {
        const char *label;
        bool quiet;
    } quiet[QUIET_CACHE];

    FILE *live;
    struct fd fds[FDS];
    struct {
        _Alignas(64) unsigned char bytes[PAGE_USED_BYTES];
        bool used;
    } pages[PAGES];
} S;

void (*sim_observe)(unsigned actor);
void (*sim_goes_on)(unsigned actor);
void (*sim_print_state)(FILE *to);
uint64_t sim_for_ever_ns, sim_late_ns, sim_tick_ns;

static sim_set bit(unsigned id)
{
    return (sim_set)1 << id;
}

/* ---- randomness: splitmix64 */

static uint64_t random64(void)
{
    uint64_t z = S.random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static unsigned random_below(unsigned n)
{
    return n ? (unsigned)(random64() % n) : 0;
}

/* ---- the verdict */

const char *sim_verdict(void)
{
    return S.verdict[0] ? S.verdict : NULL;
}

void sim_violation_at_rest(const char *format, ...)
{
    if (S.verdict[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(S.verdict, sizeof S.verdict, format, args);
    va_end(args);
}

static _Noreturn void end_run(void)
{
    S.ended = true;
    if (S.on_main)
        longjmp(S.main_jump, 1);
    struct coro *self = &S.actors[S.self].coro;
    S.self = NONE;
    coro_switch(self, &S.main);
    abort(); /* nobody goes on here */
}

void sim_violation(const char *format, ...)
{
    if (!S.verdict[0]) {
        va_list args;
        va_start(args, format);
        vsnprintf(S.verdict, sizeof S.verdict, format, args);
        va_end(args);
    }
    if (!S.running || (S.self == NONE && !S.on_main)) {
        fprintf(stderr, "%s\n", S.verdict);
        abort();
    }
    end_run();
}

/* An assert of the product is a violation like ours. */
void __assert_fail(const char *expression, const char *file, unsigned line, const char *function)
{
    if (S.running)
        sim_violation("%s:%u: %s: assertion failed: %s", file, line, function, expression);
    fprintf(stderr, "%s:%u: %s: assertion failed: %s\n", file, line, function, expression);
    abort();
}

/* ---- choices */

static void log_choice(unsigned what)
{
    if (S.n_log == SIM_CHOICES)
        sim_violation("does not come to rest");
    S.log[S.n_log++] = (uint8_t)what;
}

/* Option i: the current actor first if it can go on, then the others by their number. */
static unsigned option(sim_set can, unsigned current, unsigned i)
{
    if (current != NONE && can & bit(current)) {
        if (i == 0)
            return current;
        can &= ~bit(current);
        i--;
    }
    while (i-- > 0)
        can &= can - 1;
    return (unsigned)__builtin_ctzll(can);
}

/* The next decision of a systematic run, one of n. */
static unsigned systematic(unsigned n, bool is_preemption)
{
    if (S.position < S.depth) {
        struct choice *c = &S.stack[S.position++];
        if (c->n != n)
            sim_violation("the same schedule gave another run: %u options instead of %u", n, c->n);
        if (c->taken > 0)
            *(is_preemption ? &S.preemptions : &S.detours) += 1;
        return c->taken;
    }
    if (is_preemption ? S.preemptions >= S.max_preemptions : S.detours >= S.max_detours)
        return 0;
    S.stack[S.depth++] = (struct choice){.n = (uint8_t)n,
                                         .preemptions = (uint8_t)S.preemptions,
                                         .detours = (uint8_t)S.detours,
                                         .is_preemption = is_preemption};
    S.position = S.depth;
    return 0;
}

/* True if this point in the prefix has a recorded choice: the same budget as when it was made. */
static unsigned pick_systematic(sim_set can, unsigned current)
{
    unsigned n = (unsigned)__builtin_popcountll(can);
    bool is_preemption = current != NONE && can & bit(current);
    if (n == 1 || (is_preemption ? S.preemptions >= S.max_preemptions : S.detours >= S.max_detours))
        return option(can, current, 0);
    return option(can, current, systematic(n, is_preemption));
}

static unsigned highest_priority(sim_set can)
{
    unsigned best = NONE;
    for (; can; can &= can - 1) {
        unsigned id = (unsigned)__builtin_ctzll(can);
        if (best == NONE || S.actors[id].priority > S.actors[best].priority)
            best = id;
    }
    return best;
}

static unsigned pick_random(sim_set can, unsigned current)
{
    sim_set events = can & S.events, coroutines = can & ~S.events;
    for (sim_set e = events; e; e &= e - 1) {
        unsigned id = (unsigned)__builtin_ctzll(e);
        if (S.actors[id].fires_at <= S.n_log)
            return id;
    }
    if (!coroutines)
        return option(events, NONE, random_below((unsigned)__builtin_popcountll(events)));
    bool goes_on = current != NONE && coroutines & bit(current);
    if (S.is_walk) {
        if (goes_on && random64() >> (64 - S.walk_shift) != 0)
            return current;
        return option(coroutines, NONE, random_below((unsigned)__builtin_popcountll(coroutines)));
    }
    for (unsigned i = 0; i < CHANGE_POINTS; i++)
        if (S.change[i] == S.n_log && current != NONE)
            S.actors[current].priority = S.lowest--;
    return highest_priority(coroutines);
}

static unsigned pick_replay(sim_set can, unsigned current)
{
    if (S.n_log >= S.n_replay)
        return option(can, current, 0);
    unsigned id = S.replay[S.n_log];
    if (id >= SIM_ACTORS || !(can & bit(id)))
        sim_violation("the schedule does not fit: %s cannot go on at choice %u",
                      id < SIM_ACTORS && S.actors[id].name ? S.actors[id].name : "?", S.n_log);
    return id;
}

/* Which actor goes on; NONE: nobody can. Events happen on the way. */
static unsigned choose(unsigned current)
{
    for (;;) {
        sim_set can = S.settles ? S.can_go_on & ~S.events : S.can_go_on;
        can &= ~S.frozen;
        if (can & ~S.events)
            can &= ~S.late;
        if (!can)
            return NONE;
        unsigned id;
        switch (S.strategy) {
        case SIM_SYSTEMATIC:
            id = pick_systematic(can, current);
            break;
        case SIM_RANDOM:
            id = pick_random(can, current);
            break;
        case SIM_REPLAY:
            id = pick_replay(can, current);
            break;
        default:
            id = option(can, current, 0);
            break;
        }
        log_choice(id);
        struct actor *a = &S.actors[id];
        if (!a->is_event)
            return id;
        S.can_go_on &= ~bit(id);
        if (S.live)
            fprintf(S.live, "%5u %-10s %s\n", S.n_log, "", a->name);
        a->main(a->arg);
    }
}

unsigned sim_choose(unsigned n)
{
    unsigned i = 0;
    if (n > 1) {
        switch (S.strategy) {
        case SIM_SYSTEMATIC:
            i = S.detours >= S.max_detours ? 0 : systematic(n, false);
            break;
        case SIM_RANDOM:
            i = random_below(n);
            break;
        case SIM_REPLAY:
            i = S.n_log < S.n_replay ? S.replay[S.n_log] % n : 0;
            break;
        default:
            break;
        }
        log_choice(i);
    }
    return i;
}

static bool is_quiet(const char *label)
{
    unsigned h = (unsigned)((uintptr_t)label >> 2) % QUIET_CACHE;
    if (S.quiet[h].label != label) {
        bool quiet = false;
        for (size_t i = 0; S.quiet_words[i]; i++)
            quiet |= strstr(label, S.quiet_words[i]) != NULL;
        S.quiet[h].label = label;
        S.quiet[h].quiet = quiet;
    }
    return S.quiet[h].quiet;
}

void sim_quiet(const char *const *words)
{
    memset(S.quiet, 0, sizeof S.quiet);
    memset(S.quiet_words, 0, sizeof S.quiet_words);
    for (size_t i = 0; words && words[i] && i < 15; i++)
        S.quiet_words[i] = words[i];
}

/* ---- switching */

static void go(unsigned to)
{
    struct coro *from = S.self == NONE ? &S.main : &S.actors[S.self].coro;
    struct coro *there = to == NONE ? &S.main : &S.actors[to].coro;
    if (from == there)
        return;
    S.self = to;
    coro_switch(from, there);
}

static void drain_buffer(struct actor *a)
{
    for (unsigned i = 0; i < a->n_buffered; i++)
        atomic_store(a->buffered[i].p, a->buffered[i].value);
    a->n_buffered = 0;
    S.can_go_on &= ~bit(a->buffer_event);
}

static void go_to_chosen(unsigned self)
{
    unsigned next = choose(self);
    if (next != self)
        go(next);
}

void shm_yield(const char *label)
{
    unsigned self = S.self;
    if (self == NONE || !S.running)
        return;
    struct actor *me = &S.actors[self];
    me->label = label;
    S.now_ns += sim_tick_ns;
    if (sim_observe)
        sim_observe(self);
    if (S.strategy == SIM_FORCED) {
        go(NONE);
    } else if (S.strategy == SIM_SYSTEMATIC && is_quiet(label)) {
        log_choice(self);
    } else {
        go_to_chosen(self);
    }
    if (sim_goes_on)
        sim_goes_on(self);
    me->label = label;
    /* Whatever is not a plain load or a store that is buffered itself waits for the buffer. */
    if (me->n_buffered > 0 && label[0] != 'l' && label[0] != '~')
        drain_buffer(me);
    if (S.live) {
        fprintf(S.live, "%5u %-10s %-44s", S.n_log, me->name, label);
        if (sim_print_state)
            sim_print_state(S.live);
        fputc('\n', S.live);
    }
}

void sim_block(const char *label)
{
    unsigned self = S.self;
    struct actor *me = &S.actors[self];
    me->label = label;
    S.can_go_on &= ~bit(self);
    if (sim_observe)
        sim_observe(self);
    if (S.live)
        fprintf(S.live, "%5u %-10s waits: %s\n", S.n_log, me->name, label);
    if (S.strategy == SIM_FORCED) {
        go(NONE);
    } else {
        go_to_chosen(self);
    }
    if (sim_goes_on)
        sim_goes_on(self);
}

void sim_wake(unsigned id)
{
    struct actor *a = &S.actors[id];
    if (a->dead || !a->main || S.can_go_on & bit(id))
        return;
    S.can_go_on |= bit(id);
    if (a->is_event && S.strategy == SIM_RANDOM)
        a->fires_at = S.n_log + random_below(S.length);
}

static void actor_entry(void *userdata)
{
    struct actor *a = userdata;
    a->main(a->arg);
    a->dead = true;
    sim_block("ended");
    abort();
}

unsigned sim_self(void)
{
    return S.self;
}

void sim_actor(unsigned id, const char *name, void (*main)(void *), void *arg)
{
    struct actor *a = &S.actors[id];
    struct coro coro = a->coro;
    *a = (struct actor){.name = name, .label = "start", .main = main, .arg = arg, .coro = coro};
    a->priority = SIM_ACTORS + (unsigned)(S.strategy == SIM_RANDOM ? random64() >> 40 : 0);
    coro_start(&a->coro, actor_entry, a);
    S.can_go_on |= bit(id);
}

void sim_event(unsigned id, const char *name, void (*step)(void *), void *arg)
{
    struct actor *a = &S.actors[id];
    struct coro coro = a->coro;
    *a = (struct actor){.name = name, .main = step, .arg = arg, .is_event = true, .coro = coro};
    S.events |= bit(id);
}

void sim_sleep(unsigned id)
{
    S.can_go_on &= ~bit(id);
}

void sim_is_late(unsigned id)
{
    S.late |= bit(id);
}

void sim_freeze(unsigned id, bool frozen)
{
    if (frozen)
        S.frozen |= bit(id);
    else
        S.frozen &= ~bit(id);
}

bool sim_is_frozen(unsigned id)
{
    return (S.frozen & bit(id)) != 0;
}

void sim_kill(unsigned id)
{
    struct actor *a = &S.actors[id];
    if (!a->main)
        return;
    a->dead = true;
    a->word = NULL;
    a->label = "dead";
    S.can_go_on &= ~bit(id);
    if (a->timeout_event)
        S.can_go_on &= ~bit(a->timeout_event);
    if (a->spurious_event)
        S.can_go_on &= ~bit(a->spurious_event);
    /* What was in its store buffer was executed, and becomes visible. */
    if (a->n_buffered > 0)
        drain_buffer(a);
}

bool sim_can_go_on(unsigned id)
{
    return (S.can_go_on & ~S.frozen & bit(id)) != 0;
}

/* ---- runs */

void sim_reset(void)
{
    for (unsigned i = 0; i < SIM_ACTORS; i++) {
        S.actors[i].main = NULL;
        S.actors[i].name = NULL;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        if (S.pages[i].used)
            memset(S.pages[i].bytes, 0, sizeof S.pages[i].bytes);
        S.pages[i].used = false;
    }
    memset(S.fds, 0, sizeof S.fds);
    S.can_go_on = S.events = 0;
    S.self = NONE;
    S.running = S.ended = false;
    S.verdict[0] = 0;
    S.now_ns = FIRST_NS;
    S.n_log = 0;
    S.position = 0;
    S.preemptions = S.detours = 0;
    S.late = S.frozen = 0;
    sim_tick_ns = 1;
    sim_for_ever_ns = sim_late_ns = 1000000000u;
}

const char *sim_run(void)
{
    S.running = true;
    S.on_main = true;
    if (setjmp(S.main_jump) == 0 && !S.ended) {
        unsigned first = choose(NONE);
        S.on_main = false;
        if (first != NONE)
            go(first);
    }
    S.on_main = false;
    S.running = false;
    S.self = NONE;
    return sim_verdict();
}

void sim_settle(void)
{
    enum sim_strategy strategy = S.strategy;
    S.strategy = SIM_DEFAULT;
    S.settles = true;
    sim_run();
    S.settles = false;
    S.strategy = strategy;
    S.n_log = 0;
}

void sim_strategy(enum sim_strategy strategy)
{
    S.strategy = strategy;
}

void sim_systematic_begin(unsigned preemptions, unsigned detours)
{
    S.depth = S.position = 0;
    S.max_preemptions = preemptions;
    S.max_detours = detours;
}

bool sim_systematic_next(void)
{
    while (S.depth > 0) {
        struct choice *c = &S.stack[S.depth - 1];
        if (c->taken + 1u < c->n) {
            c->taken++;
            return true;
        }
        S.depth--;
    }
    return false;
}

void sim_random(uint64_t seed, unsigned length)
{
    S.random = seed * 0x2545f4914f6cdd1du + 1;
    S.length = length ? length : 1;
    S.is_walk = seed % 2 == 0;
    S.walk_shift = 1 + (unsigned)(seed / 2 % 5);
    S.lowest = SIM_ACTORS - 1;
    for (unsigned i = 0; i < CHANGE_POINTS; i++)
        S.change[i] = random_below(S.length);
    /* Few change points find shallow bugs faster, many the deep ones: one to all. */
    for (unsigned i = 1 + (unsigned)(seed / 2 % CHANGE_POINTS); i < CHANGE_POINTS; i++)
        S.change[i] = UINT32_MAX;
}

unsigned sim_choices(void)
{
    return S.n_log;
}

void sim_trace_live(FILE *to)
{
    S.live = to;
}

void sim_schedule_write(FILE *to)
{
    for (unsigned i = 0, n; i < S.n_log; i += n) {
        for (n = 1; i + n < S.n_log && S.log[i + n] == S.log[i];)
            n++;
        fprintf(to, "%u*%u%c", S.log[i], n, i + n == S.n_log ? '\n' : ' ');
    }
}

int sim_schedule_read(FILE *from)
{
    unsigned what, times;
    S.n_replay = 0;
    while (fscanf(from, "%u*%u", &what, &times) == 2) {
        if (what > UINT8_MAX || times > SIM_CHOICES - S.n_replay)
            return -1;
        memset(S.replay + S.n_replay, (int)what, times);
        S.n_replay += times;
    }
    return S.n_replay > 0 ? 0 : -1;
}

/* ---- forced */

void sim_forced_begin(void)
{
    S.strategy = SIM_FORCED;
    S.running = true;
}

bool sim_step(unsigned id)
{
    struct actor *a = &S.actors[id];
    if (S.ended || !sim_can_go_on(id))
        return false;
    log_choice(id);
    if (a->is_event) {
        S.can_go_on &= ~bit(id);
        if (S.live)
            fprintf(S.live, "%5u %-10s %s\n", S.n_log, "", a->name);
        a->main(a->arg);
    } else {
        go(id);
        S.self = NONE;
    }
    return !S.ended;
}

bool sim_until(unsigned id, const char *label)
{
    for (int i = 0; i < ACTOR_STEPS; i++) {
        if (!sim_step(id) || !sim_can_go_on(id))
            return false;
        if (strstr(S.actors[id].label, label))
            return true;
    }
    return false;
}

void sim_until_blocked(unsigned id)
{
    for (int i = 0; i < ACTOR_STEPS && sim_step(id); i++)
        ;
}

const char *sim_label(unsigned id)
{
    return S.actors[id].label;
}

const char *sim_forced_end(void)
{
    S.strategy = SIM_DEFAULT;
    return sim_run();
}

/* ---- time */

uint64_t sim_now_ns(void)
{
    return S.now_ns;
}

uint64_t shm_now_ns(void)
{
    return S.now_ns += sim_tick_ns;
}

int sim_clock_gettime(clockid_t clock, struct timespec *ts)
{
    (void)clock;
    uint64_t now = shm_now_ns();
    *ts = (struct timespec){.tv_sec = (time_t)(now / 1000000000u),
                            .tv_nsec = (long)(now % 1000000000u)};
    return 0;
}

void sim_advance_to(uint64_t ns)
{
    if (S.now_ns < ns)
        S.now_ns = ns;
}

/* ---- futex */

static void wait_ends(unsigned id, int result)
{
    struct actor *a = &S.actors[id];
    if (!a->word)
        return;
    a->word = NULL;
    a->wait_result = result;
    if (a->timeout_event)
        S.can_go_on &= ~bit(a->timeout_event);
    if (a->spurious_event)
        S.can_go_on &= ~bit(a->spurious_event);
    sim_wake(id);
}

static void time_is_out(void *userdata)
{
    unsigned id = (unsigned)(uintptr_t)userdata;
    sim_advance_to(S.actors[id].deadline_ns);
    wait_ends(id, -ETIMEDOUT);
}

static void wakes_for_no_reason(void *userdata)
{
    unsigned id = (unsigned)(uintptr_t)userdata;
    S.actors[id].spurious_left--;
    wait_ends(id, -EINTR);
}

void sim_interrupt(unsigned actor)
{
    wait_ends(actor, -EINTR);
}

void sim_timeout_event(unsigned actor, unsigned event, const char *name)
{
    S.actors[actor].timeout_event = event;
    sim_event(event, name, time_is_out, (void *)(uintptr_t)actor);
}

void sim_spurious_event(unsigned actor, unsigned event, const char *name, unsigned times)
{
    S.actors[actor].spurious_event = event;
    S.actors[actor].spurious_left = times;
    sim_event(event, name, wakes_for_no_reason, (void *)(uintptr_t)actor);
}

/* Comparing and falling asleep is one step, as in the kernel. */
int futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    shm_yield("futex wait");
    struct actor *me = &S.actors[S.self];
    if (atomic_load(word) != value)
        return -EAGAIN;
    me->word = word;
    if (timeout_ns < sim_for_ever_ns && me->timeout_event) {
        me->deadline_ns = S.now_ns + timeout_ns;
        S.late &= ~bit(me->timeout_event);
        if (timeout_ns >= sim_late_ns)
            S.late |= bit(me->timeout_event);
        sim_wake(me->timeout_event);
    }
    if (me->spurious_event && me->spurious_left > 0)
        sim_wake(me->spurious_event);
    sim_block("futex");
    return me->wait_result;
}

int futex_wake(_Atomic uint32_t *word, int count)
{
    shm_yield("futex wake");
    int n = 0;
    for (unsigned id = 0; id < SIM_ACTORS && n < count; id++)
        if (S.actors[id].main && S.actors[id].word == word) {
            wait_ends(id, 0);
            n++;
        }
    return n;
}

/* ---- descriptors and pages */

static struct fd *fd_of(int fd)
{
    if (fd < FD_BASE || fd >= FD_BASE + FDS || !S.fds[fd - FD_BASE].used)
        sim_violation("descriptor %d is not open", fd);
    return &S.fds[fd - FD_BASE];
}

static int fd_new(void)
{
    for (int i = 0; i < FDS; i++)
        if (!S.fds[i].used) {
            S.fds[i] = (struct fd){.used = true, .owner = NONE};
            return FD_BASE + i;
        }
    errno = EMFILE;
    return -1;
}

int sim_eventfd(unsigned initial, int flags)
{
    (void)flags;
    int fd = fd_new();
    if (fd >= 0)
        S.fds[fd - FD_BASE].count = initial;
    return fd;
}

int sim_close(int fd)
{
    fd_of(fd)->used = false;
    return 0;
}

long sim_write(int fd, const void *data, size_t size)
{
    shm_yield("eventfd write");
    struct fd *f = fd_of(fd);
    uint64_t add;
    memcpy(&add, data, sizeof add);
    f->count += add;
    if (f->owner != NONE)
        sim_wake(f->owner);
    return (long)size;
}

uint64_t sim_eventfd_take(int fd)
{
    shm_yield("eventfd read");
    struct fd *f = fd_of(fd);
    uint64_t count = f->count;
    f->count = 0;
    return count;
}

uint64_t sim_eventfd_peek(int fd)
{
    return fd_of(fd)->count;
}

void sim_eventfd_owner(int fd, unsigned actor)
{
    fd_of(fd)->owner = actor;
}

void *sim_page(int *ret_fd)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (!S.pages[i].used) {
            *ret_fd = fd_new();
            if (*ret_fd < 0)
                return NULL;
            S.pages[i].used = true;
            memset(S.pages[i].bytes, 0, sizeof S.pages[i].bytes);
            S.fds[*ret_fd - FD_BASE].page = S.pages[i].bytes;
            return S.pages[i].bytes;
        }
    errno = ENOMEM;
    return NULL;
}

void *sim_page_of(int fd)
{
    return fd_of(fd)->page;
}

/* The memory stays until the end of the run: its worker may still have it mapped. */
void sim_page_free(void *page)
{
    (void)page;
}

/* ---- store buffers */

static void buffer_drains(void *userdata)
{
    struct actor *a = userdata;
    if (a->n_buffered == 0)
        return;
    atomic_store(a->buffered[0].p, a->buffered[0].value);
    a->n_buffered--;
    memmove(a->buffered, a->buffered + 1, sizeof a->buffered[0] * a->n_buffered);
    if (a->n_buffered > 0)
        sim_wake(a->buffer_event);
}

void sim_store_buffer(unsigned actor, unsigned event, const char *name)
{
    S.actors[actor].buffer_event = event;
    sim_event(event, name, buffer_drains, &S.actors[actor]);
}

bool sim_buffer_is_empty(unsigned actor)
{
    return S.actors[actor].n_buffered == 0;
}

void sim_buffered_store(_Atomic uint64_t *p, uint64_t value, const char *label)
{
    shm_yield(label);
    if (S.self == NONE || !S.actors[S.self].buffer_event) {
        atomic_store(p, value);
        return;
    }
    struct actor *me = &S.actors[S.self];
    if (me->n_buffered == BUFFERED)
        buffer_drains(me);
    me->buffered[me->n_buffered].p = p;
    me->buffered[me->n_buffered++].value = value;
    sim_wake(me->buffer_event);
}

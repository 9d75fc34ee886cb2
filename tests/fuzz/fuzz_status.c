/*
 * The daemon's reading of status pages, whatever workers write into them: an input is a program of
 * stops, holds, run-ones, pauses and evaluations over four gates, between which any field of a
 * status page becomes anything. What stop.c counts has to stay what it is by its own definition.
 */
#include <stdlib.h>
#include <string.h>

#include "shared-mem/map.h"
#include "shared-mem/stop.h"
#include "tests/fuzz/fuzz.h"

#define GATES 4u
#define MAX_OPS 400u

enum op {
    OP_STATUS, /* the worker's: a state and an epoch */
    OP_FIELD,  /* the worker's: any field, any value */
    OP_CLOSE,
    OP_OPEN,
    OP_SCAN,
    OP_KICK,
    OP_PERMIT,
    OP_HOLD,
    OP_RELEASE,
    OP_ADMIT,
    OP_EXCUSE,
    OP_ANSWER,
    OP_ALLOW,
    OP_WITHDRAW,
    OP_HOW,
    OP_MESSAGE,
    OP_LEAVE,
    N_OPS
};

struct member {
    struct stop_gate gate;
    struct status_page *status; /* as its worker maps it; NULL: not there */
    unsigned holds;
    uint64_t clock_ns;
};

static struct stop_world world;
static struct member members[GATES];
static uint64_t epoch;

static void enter(struct member *m)
{
    FUZZ_REQUIRE(stop_gate_init(&m->gate, &world, m) == 0);
    FUZZ_REQUIRE(map_attach(m->gate.status_fd, MAP_WRITER_SELF, (void **)&m->status) == 0);
    stop_gate_handed_over(&m->gate);
    m->holds = 0;
    m->clock_ns = 0;
}

static void leave(struct member *m)
{
    stop_gate_done(&m->gate);
    m->status = map_done(m->status);
}

/* ---- what has to hold after every op */

static void require_gate(struct member *m)
{
    const struct stop_slot *s = stop_slot(&m->gate);
    uint64_t word = atomic_load(&world.page->word), command = atomic_load(&m->gate.command->word);
    FUZZ_REQUIRE(s->open == shm_may_run(word, command));
    FUZZ_REQUIRE(!(s->open && s->arrived) && s->was <= SHM_STATE_MAX);
    FUZZ_REQUIRE(stop_is_still(&m->gate) == s->arrived && stop_is_open(&m->gate) == s->open);
    FUZZ_REQUIRE(stop_state(&m->gate) <= SHM_STATE_MAX);
    if (s->arrived) {
        FUZZ_REQUIRE(s->how == STOP_ACKED || s->how == STOP_HELD);
        FUZZ_REQUIRE(s->arrived_ns >= s->closed_ns && s->arrived_ns <= shm_now_ns());
    } else if (!s->open) {
        FUZZ_REQUIRE(s->how == STOP_NOT_ARRIVED);
    }
    /* Of what the worker writes nothing moves its clock. */
    uint64_t clock = stop_clock_ns(&m->gate);
    FUZZ_REQUIRE(clock >= m->clock_ns && clock <= shm_now_ns());
    m->clock_ns = clock;
}

static void require_world(void)
{
    size_t missing = 0, n = 0;
    FUZZ_REQUIRE(world.epoch >= epoch);
    epoch = world.epoch;
    FUZZ_REQUIRE(atomic_load(&world.page->word) == shm_world_word(world.epoch, world.open));
    for (size_t i = 0; i < GATES; i++) {
        struct member *m = &members[i];
        if (!m->status)
            continue;
        n++;
        FUZZ_REQUIRE(world.gates[m->gate.index] == &m->gate);
        require_gate(m);
        const struct stop_slot *s = stop_slot(&m->gate);
        missing += !s->open && !s->arrived && !s->excused;
    }
    FUZZ_REQUIRE(n == world.n_gates && missing == world.n_missing);
    if (missing == 0)
        fuzz_accepted();
    else
        fuzz_refused();
}

/* ---- ops */

static void write_field(struct status_page *page, unsigned which, uint64_t v)
{
    switch (which % 8) {
    case 0:
        atomic_store(&page->word, v);
        break;
    case 1:
        atomic_store(&page->parked_ns, v);
        break;
    case 2:
        atomic_store(&page->last_fact, v);
        break;
    case 3:
        atomic_store(&page->lost_wakes, v);
        break;
    case 4:
        atomic_store(&page->takes_signals, (uint32_t)v);
        break;
    case 5:
        atomic_store(&page->messages_taken, v);
        break;
    case 6:
        atomic_store(&page->oom, (uint32_t)v);
        break;
    default:
        atomic_store(&page->pause, v);
    }
}

static void run_op(enum op op, struct member *m, struct fuzz_input *in)
{
    struct stop_gate *g = &m->gate;
    if (!m->status) {
        enter(m);
        return;
    }
    switch (op) {
    case OP_STATUS: {
        uint8_t v = fuzz_u8(in);
        atomic_store(&m->status->word, shm_status_word(world.epoch - (v >> 6), v & 7));
        break;
    }
    case OP_FIELD: {
        unsigned which = fuzz_u8(in);
        write_field(m->status, which, which & 0x80 ? shm_now_ns() - fuzz_u8(in) : fuzz_u64(in));
        break;
    }
    case OP_CLOSE:
        stop_close(&world);
        stop_settle(&world);
        break;
    case OP_OPEN:
        stop_open(&world);
        break;
    case OP_SCAN: {
        size_t before = world.n_missing;
        FUZZ_REQUIRE(stop_scan(&world) <= before);
        break;
    }
    case OP_KICK: {
        size_t missing = stop_kick(&world);
        FUZZ_REQUIRE(missing == 0 || world.kicked);
        break;
    }
    case OP_PERMIT:
        if (!world.open && !world.runner && g->released && m->holds == 0 && !stop_is_open(g))
            stop_permit(g);
        break;
    case OP_HOLD:
        stop_hold(g);
        m->holds++;
        break;
    case OP_RELEASE:
        if (m->holds > 0) {
            stop_release(g);
            m->holds--;
        }
        break;
    case OP_ADMIT:
        if (!g->birth_done)
            stop_admit(g);
        break;
    case OP_EXCUSE:
        stop_excuse(g, fuzz_u8(in) & 1);
        break;
    case OP_ANSWER:
        stop_answer(g, fuzz_u8(in) & 1 ? fuzz_u8(in) : atomic_load(&m->status->pause));
        break;
    case OP_ALLOW:
        stop_allow(g, fuzz_u8(in));
        break;
    case OP_WITHDRAW:
        (void)stop_withdraw(g);
        break;
    case OP_HOW:
        FUZZ_REQUIRE(stop_how_now(g) <= STOP_HELD);
        (void)stop_is_paused(g);
        break;
    case OP_MESSAGE:
        stop_message_sent(g);
        break;
    case OP_LEAVE:
        leave(m);
        break;
    case N_OPS:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    epoch = 0;
    fuzz_fds_note();
    FUZZ_REQUIRE(stop_world_init(&world) == 0);
    for (size_t i = 0; i < 2; i++)
        enter(&members[i]);
    for (unsigned i = 0; i < MAX_OPS && in.left > 0; i++) {
        uint8_t what = fuzz_u8(&in);
        run_op(what % 32 % N_OPS, &members[what >> 6], &in);
        require_world();
    }
    for (size_t i = 0; i < GATES; i++)
        if (members[i].status)
            leave(&members[i]);
    stop_world_done(&world);
    fuzz_fds_require();
    return 0;
}

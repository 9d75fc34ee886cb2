/*
 * The shortest thing that can stop a world with stop.h, as daemon/world.c does it: what goes wrong
 * here is shared-mem's fault.
 */
#include "tests/schedules/cast.h"

enum mode { RUN_ALL, STOPPING, STOPPED, RUN_ONE };

static struct {
    struct stop_world stop;
    enum mode mode;
    struct client *asked; /* NULL: answered, or nobody */
    struct client *owner; /* whose stop it is */
    struct client *queue[CAST_CLIENTS * CAST_OPS];
    unsigned n_queued;
} C;

static int init(void)
{
    C.mode = RUN_ALL;
    C.asked = C.owner = NULL;
    C.n_queued = 0;
    return stop_world_init(&C.stop);
}

static void done(void)
{
    stop_world_done(&C.stop);
}

static struct stop_world *stop(void)
{
    return &C.stop;
}

static void answer(void)
{
    struct client *c = C.asked;
    C.asked = NULL;
    if (c)
        cast_answered(c);
}

static void check_arrivals(void)
{
    if (C.mode != STOPPING)
        return;
    size_t missing = stop_scan(&C.stop);
    if (missing > 0)
        missing = stop_kick(&C.stop);
    if (missing > 0)
        return;
    C.mode = STOPPED;
    cast_stopped();
    answer();
}

static void close_world(struct client *c)
{
    C.asked = C.owner = c;
    C.mode = STOPPING;
    stop_close(&C.stop);
    stop_settle(&C.stop);
    check_arrivals();
}

static struct client *next_in_queue(void)
{
    if (C.n_queued == 0)
        return NULL;
    struct client *c = C.queue[0];
    C.n_queued--;
    for (unsigned i = 0; i < C.n_queued; i++)
        C.queue[i] = C.queue[i + 1];
    return c;
}

static void resume(void)
{
    enum mode was = C.mode;
    if (was == RUN_ALL)
        return;
    struct client *cancelled = C.asked, *next = next_in_queue();
    C.asked = C.owner = NULL;
    if (next && was == STOPPED) {
        C.asked = C.owner = next;
        cast_stopped();
        answer();
    } else {
        stop_open(&C.stop);
        C.mode = RUN_ALL;
        if (next)
            close_world(next);
    }
    if (cancelled)
        cast_answered(cancelled);
}

static void request(struct client *c, struct op op)
{
    struct stop_gate *g = &cast.vms[op.vm].worker.gate;
    switch (op.what) {
    case OP_STOP:
        if (C.mode == RUN_ALL || C.mode == RUN_ONE)
            close_world(c);
        else if (C.owner == c && C.mode == STOPPED)
            cast_answered(c); /* behind itself it would wait for ever */
        else
            C.queue[C.n_queued++] = c;
        break;
    case OP_RESUME:
        resume();
        break;
    case OP_HOLD:
        stop_hold(g);
        break;
    case OP_RELEASE:
        if (g->holds > 0)
            stop_release(g);
        break;
    case OP_ONLY:
        if (C.mode == STOPPED && g->holds == 0 && g->birth_done) {
            C.mode = RUN_ONE;
            stop_permit(g);
        }
        break;
    default:
        break;
    }
}

static void born(struct cast_vm *vm)
{
    (void)vm;
    check_arrivals();
}

static void admitted(struct cast_vm *vm)
{
    stop_admit(&vm->worker.gate);
}

static void kicked(struct cast_vm *vm)
{
    (void)vm;
    check_arrivals();
}

static void ended(struct cast_vm *vm)
{
    bool was_runner = C.mode == RUN_ONE && stop_is_open(&vm->worker.gate);
    stop_gate_done(&vm->worker.gate);
    if (was_runner)
        C.mode = STOPPED;
    check_arrivals();
}

static void check(void)
{
    if (C.mode == STOPPED && (C.stop.n_missing > 0 || C.stop.open))
        sim_violation("the world is stopped with %zu missing", C.stop.n_missing);
    if (C.mode == RUN_ALL && (C.asked || C.n_queued > 0))
        sim_violation("the world runs, and somebody waits for its stop");
}

static void check_at_rest(void)
{
    if (C.mode == STOPPING && !cast.scenario->has_liar)
        sim_violation_at_rest("the stop is never complete: %zu missing", C.stop.n_missing);
}

static bool is_stopped(void)
{
    return C.mode == STOPPED;
}

const struct conductor conductor_small = {
    .name = "small",
    .init = init,
    .done = done,
    .stop = stop,
    .born = born,
    .admitted = admitted,
    .kicked = kicked,
    .ended = ended,
    .request = request,
    .check = check,
    .check_at_rest = check_at_rest,
    .is_stopped = is_stopped,
};

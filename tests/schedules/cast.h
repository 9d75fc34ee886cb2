/*
 * cast.h: who plays in a scenario, and what must be true of them. The daemon's event loop, its
 * clients, and for each VM the thread of the VM, its watcher, and what can happen to them. All of
 * them are actors of sim.h; what they run is the real stop.c and gate.c, and the real world.c where
 * the scenario says so.
 *
 * A VM's program, one letter after the other:
 *   s  a step of guest code; then a safe point if the engine was interrupted
 *   p  a safe point without an interrupt
 *   i  idle until a message comes, then a step        t  idle until a timer fires, then a step
 *   b  blocked for a time of its clock, then a step   B  blocked until a message comes, then a step
 *   w  blocked for ever; takes messages meanwhile     D  blocked for ever, and takes nothing
 *   S  runs for ever; comes to a safe point only by interrupts, and makes a step after each
 *   &  from here on signals bring it to its gate · !  its engine loses what they ask for
 *   x  the process ends itself
 *   L  from here on it lies: shows parked and runs    N  never comes to a safe point again
 * After the last letter it is idle for ever.
 *
 * What a client does, words: see cast.c, `words`.
 */
#pragma once

#include "daemon/worker.h"
#include "shared-mem/gate.h"
#include "shared-mem/stop.h"
#include "tests/schedules/sim.h"

#define CAST_VMS 6
#define CAST_CLIENTS 3
#define CAST_OPS 32

/* Actors. Coroutines first: of those that can go on, the first one does. */
enum {
    ACTOR_DAEMON = 0,
    ACTOR_CLIENT = 1,
    ACTOR_VM = ACTOR_CLIENT + CAST_CLIENTS,
    ACTOR_WATCHER = ACTOR_VM + CAST_VMS,
    EVENT_BUFFER = ACTOR_WATCHER + CAST_VMS,
    EVENT_DAEMON_BUFFER = EVENT_BUFFER + CAST_VMS,
    EVENT_TIMER,
    EVENT_KILL = EVENT_TIMER + CAST_VMS,
    EVENT_SPURIOUS = EVENT_KILL + CAST_VMS,
    EVENT_LOOP_TIMER = EVENT_SPURIOUS + CAST_VMS,
    ACTOR_END = EVENT_LOOP_TIMER + 4,
};
_Static_assert(ACTOR_END <= SIM_ACTORS, "SIM_ACTORS");

struct scenario {
    const char *name;
    const char *vms[CAST_VMS];         /* programs */
    const char *clients[CAST_CLIENTS]; /* words */
    unsigned unborn;                   /* bit i: VM i is born by a client */
    unsigned kill;                     /* bit i: VM i is killed at some time */
    unsigned spurious;                 /* spurious wakes of each VM's thread */
    bool is_settled;                   /* the VMs have come to rest before the clients begin */
    bool has_clocks;                   /* the held-time record matters */
    bool has_timeouts;                 /* a park's time-out may come */
    bool has_delays;                   /* it may come while others lose the processor for as long */
    bool same_instant;                 /* the clock does not move by itself */
    bool has_loop_timers;              /* the daemon's scan, deadlines and leases */
    bool is_made_up; /* VMs and clients are made up from the seed of the run: cast_seed */
    bool freezes_fail;
    bool loses_signals; /* a VM of it has `!` */
    bool needs_world;   /* only with the daemon's world.c */
    bool needs_small;   /* only without it */
    bool has_liar;      /* a VM that lies or hangs: the rest has to be right all the same */
    unsigned preemptions, detours; /* for systematic runs; preemptions 0: only random ones */
    unsigned cap;                  /* at most so many systematic runs; 0: all */
};

struct op {
    unsigned char what, vm;
};

struct client {
    unsigned index;
    struct op ops[CAST_OPS];
    unsigned n_ops, sent, taken;
    unsigned tickets_asked, tickets_ended, tickets_answered;
    bool is_waiting;
};

struct cast_vm {
    unsigned index;
    struct worker worker; /* the daemon's object: its id, name and gate are used */
    struct gate gate;
    const struct world_page *world;
    const struct command_page *command;
    struct status_page *status;
    const char *program;
    bool is_known, is_alive, is_done; /* to the daemon · the process · removed after death */
    bool death_seen_due;
    bool is_entered, is_interrupted, waits_for_interrupt, waits_for_channel, lies;
    bool is_signalled, is_handling, loses_signals;
    unsigned sent, taken;     /* messages */
    unsigned asked, answered; /* requests to be served at its gate */
    unsigned steps, interrupts;
    uint64_t last_clock_ns;
    /* What we know from memory alone. */
    bool may_run, has_shown, was_counted;
    bool was_frozen; /* at some time: it may be on its way to its gate in a stopped world */
    unsigned closings;
    uint32_t bell;
    uint64_t rung_epoch; /* of the world, when its bell last rang */
};

/** [daemon] Some time into a stop: the watchers of those that are missing are woken. */
void cast_nudge(const struct stop_world *w);

/* What decides when a world is stopped: `conductor_small`, or the daemon's world.c. */
struct conductor {
    const char *name;
    int (*init)(void);
    void (*done)(void);
    struct stop_world *(*stop)(void);
    void (*born)(struct cast_vm *vm);
    void (*kicked)(struct cast_vm *vm);
    void (*ended)(struct cast_vm *vm);
    void (*admitted)(struct cast_vm *vm); /* has to call stop_admit() */
    /* More that the loop may have to do; both or none. */
    bool (*is_due)(void);
    void (*run_due)(void);
    void (*print_state)(FILE *to);
    /* A client's request. */
    void (*request)(struct client *c, struct op op);
    /* Between two events of the loop. */
    void (*check)(void);
    void (*check_at_rest)(void);
    bool (*is_stopped)(void);
};

enum op_what {
    OP_STOP,    /* asks for a stop */
    OP_WAIT,    /* waits until the last stop was answered */
    OP_RESUME,  /* ends the ticket */
    OP_HOLD,    /* holdN */
    OP_RELEASE, /* releaseN */
    OP_MESSAGE, /* msgN: a message to VM N */
    OP_ASK,     /* askN: a request that VM N serves at its gate */
    OP_BORN,    /* bornN */
    OP_ADMIT,   /* admitN */
    OP_ONLY,    /* onlyN: run-one */
    OP_IDLE,    /* idleN: asks to be told when VM N is idle: a kick outside a stop */
    OP_STEP,    /* stepN: run-one until it idles or blocks */
    OP_DEBUG,   /* a stop with reason debugger */
    OP_FORCE,   /* a stop that freezes everybody */
    OP_PARK,    /* a stop for which all have to park */
    OP_LATE,    /* a stop that kills who does not come */
    OP_FLIP,    /* a stop that is resumed by its own callback */
    OP_GC,      /* an operation */
    OP_CENSUS,  /* another */
    OP_QUIT,    /* the client and its debugger are gone */
    OP_LOOK,    /* a look at all VMs, as `list` does */
    OP_FREEZE,  /* freezeN: the kernel keeps VM N from running, and has confirmed it */
    OP_THAW,    /* thawN: no longer */
    OP_NUDGE,   /* what a stop does for those that are missing after a while */
};

extern struct cast {
    struct cast_vm vms[CAST_VMS]; /* first */
    const struct scenario *scenario;
    const struct conductor *conductor;
    unsigned n_vms;
    struct client clients[CAST_CLIENTS];
    unsigned n_clients;
    bool daemon_waits;
    unsigned loop_timers; /* bit i: EVENT_LOOP_TIMER + i has fired */
    unsigned long guest_steps, stops_completed;
} cast;

/** What is made up in a scenario that says so. */
extern uint64_t cast_seed;

extern const struct conductor conductor_small, conductor_world;

/** Sets everything up. The caller has chosen a strategy. */
void cast_begin(const struct scenario *s, const struct conductor *conductor);
/** Runs to rest and checks. Returns the violation or NULL. */
const char *cast_run(void);
/** Checks what must be true at rest; after sim_run() or sim_forced_end(). */
void cast_check_at_rest(void);
/** Gives all back. */
void cast_end(void);
/** begin, run, end. */
const char *cast_play(const struct scenario *s, const struct conductor *conductor);

/** By a conductor: this client's oldest unanswered ticket was answered, or has ended. */
void cast_answered(struct client *c);
/** By a conductor: says that the world is stopped; each member must have shown it. */
void cast_stopped(void);
/** A message to this VM; by the daemon. */
void cast_send(struct cast_vm *vm);
/** A request to be served at the gate, by the daemon: a census, or only to come there. */
void cast_ask(struct cast_vm *vm);
void cast_print_state(FILE *to);

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

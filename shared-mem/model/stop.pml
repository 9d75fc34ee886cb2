/*
 * stop.pml - gate and stop of one world, sequentially consistent.
 *
 * One daemon (an event loop: it waits for events, never for a worker), W workers, one client, and a
 * kernel that may kill workers at any point. What belongs to memory order alone is in gate_tso.pml;
 * here every shared access is one step and every step may interleave with all others.
 *
 * Labels and inlines carry the names of the C functions: gate_* in shared-mem/gate.c (worker half),
 * stop_* in shared-mem/stop.c (daemon half). Parameters and mutants come by -D; `run` has the tables.
 *
 * Counters that are only ever compared for "changed since I read it" (bell, poke, kick number) are one
 * bit each: set by the daemon's increment, cleared by the worker's read. README.md says why that is exact.
 */

#ifndef W
#define W 2             /* workers */
#endif
#ifndef STOPS
#define STOPS 2         /* how many of each request the client has; it may keep some for itself */
#endif
#ifndef RUNONES
#define RUNONES 0
#endif
#ifndef HOLDS
#define HOLDS 0
#endif
#ifndef MESSAGES
#define MESSAGES 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef BIRTHS
#define BIRTHS 0        /* 1: the last worker is born on request; else all exist from the start */
#endif

/* Violations. Never assigned; an assertion on one of these names what is wrong in Spin's own report. */
bit no_guest_step_while_counted, no_guest_step_while_held, no_guest_step_before_release, no_guest_step_in_stopped_world;
bit completion_only_after_all_have_shown, acked_only_after_own_store, arrival_set_consistent, mode_edge_allowed;
bit nobody_asleep_behind_open_gate, every_stop_ends, every_hold_ends, message_is_drained, death_is_noticed, parked_ends_up_acked;
bit runner_has_its_permit;

mtype = { STARTING, RUNNING, IDLE, BLOCKED, PARKED };           /* status page */
mtype = { RUN, STOPPING, STOPPED, RUNONE };                     /* mode of the world */
mtype = { STOP, RESUME, ONLY, HOLD, RELEASE, ADMIT, READY, MSG };  /* requests */

/* World page: the daemon writes. One word: epoch << 1 | open. */
byte w_epoch = 1;
bit w_open = 1;
/* Command pages: the daemon writes. One word: permit_epoch << 1 | released; then bell, poke, kick number. */
bit c_released[W];
byte c_permit[W];
bit c_bell[W];          /* bumped since the worker read it; only while it holds a value that it read: */
bit reading[W];
bit c_poke[W];          /* bumped since the watcher saw it: an engine interrupt is due */
bit c_kick[W];          /* differs from the number that the worker last answered */
/* Status pages: the worker writes. One word: state and epoch. */
mtype st[W] = STARTING;
byte st_epoch[W];
/* Kernel. */
bit asleep[W];          /* in FUTEX_WAIT on its bell */
bit efd[W];             /* its eventfd is readable */
bit channel[W];         /* a message lies in its socket */
bit born[W], dead[W];
/* Daemon, private. */
mtype mode = RUN;
bit known[W];           /* registered, not yet reaped */
bit counted[W];         /* in the arrival set */
bit poked[W];           /* its one interrupt for this closing is spent */
bit fresh[W];           /* not released since birth */
bit held[W];            /* per-VM hold */
byte runner = W;
/* Ghosts: what an all-seeing observer notes; nothing reads them but assertions. */
bit shown[W];           /* showed something other than running since its gate closed */
bit own[W];             /* stored parked since the world closed */
byte close_epoch;

chan ask[2] = [0] of { mtype, byte };   /* nobody receives from ask[1]: sending there is "not now" */

#define GATE_OPEN(i)    ((w_open && c_released[i]) || (c_permit[i] != 0 && c_permit[i] == w_epoch))
#define ALIVE(i)        (known[i] && !dead[i])
#define AWAITED(i)      (known[i] && !counted[i] && !GATE_OPEN(i))


/* ------------------------------------------------------------------------------------------------
 * Worker half
 * ------------------------------------------------------------------------------------------------ */

#define MAY_RUN(O, R, P, E)     (((O) && (R)) || ((P) != 0 && (P) == (E)))

/* World word, command word, world word again: the two words lie on different pages, so one read of each
 * may join an old world to a new command. Equal epochs around it make the pair one that existed when the
 * command word was read, so this is one step, unless SNAPSHOT_STEPS asks for the three reads themselves. */
#ifdef MUTANT_TORN_READ_WORLD_FIRST
#define GATE_WORDS(yes, no) \
        atomic { e = w_epoch; o = w_open }; \
        atomic { \
                if \
                :: MAY_RUN(o, c_released[me], c_permit[me], e) -> o = 0; e = 0; goto yes \
                :: else -> o = 0; goto no \
                fi \
        }
#elif defined(MUTANT_TORN_READ_COMMAND_FIRST)
#define GATE_WORDS(yes, no) \
        atomic { r = c_released[me]; p = c_permit[me] }; \
        atomic { \
                if \
                :: MAY_RUN(w_open, r, p, w_epoch) -> r = 0; p = 0; goto yes \
                :: else -> e = w_epoch; r = 0; p = 0; goto no \
                fi \
        }
#elif defined(SNAPSHOT_STEPS)
#define GATE_WORDS(yes, no) \
        do \
        :: atomic { e = w_epoch; o = w_open }; \
           atomic { r = c_released[me]; p = c_permit[me] }; \
           atomic { \
                if \
                :: e != w_epoch -> o = 0; r = 0; p = 0 \
                :: e == w_epoch && MAY_RUN(o, r, p, e) -> o = 0; r = 0; p = 0; e = 0; goto yes \
                :: else -> o = 0; r = 0; p = 0; goto no \
                fi \
           } \
        od
#else
#define GATE_WORDS(yes, no) \
        atomic { \
                if \
                :: MAY_RUN(w_open, c_released[me], c_permit[me], w_epoch) -> goto yes \
                :: else -> e = w_epoch; goto no \
                fi \
        }
#endif

/* After every store of a status other than running: answer the kick number if it has changed. */
#define ANSWER_KICK \
        if \
        :: atomic { c_kick[me] -> c_kick[me] = 0 }; efd[me] = 1 \
        :: !c_kick[me] \
        fi

#if MESSAGES > 0
#define DRAIN   channel[me] = 0
#else
#define DRAIN
#endif

/* What may never be true while a worker takes a step of guest code. */
#define GUEST_STEP \
        assert(!fresh[me] || no_guest_step_before_release); \
        assert(!(mode == STOPPED && counted[me]) || no_guest_step_in_stopped_world); \
        assert(!(held[me] && counted[me]) || no_guest_step_while_held); \
        assert(!counted[me] || no_guest_step_while_counted)

#if KILLS > 0
proctype worker(byte me) provided (!dead[me])
#else
proctype worker(byte me)
#endif
{
        bit o, r, timer;
        byte e, p;

        (born[me]);
#ifdef MUTANT_BORN_WITHOUT_GATE
        if
        :: atomic { fresh[me] -> st[me] = RUNNING }; goto guest
        :: !fresh[me]
        fi;
#endif

gate_enter:
        atomic { st[me] = RUNNING; st_epoch[me] = 0 };  /* nobody reads the epoch of a running worker */

gate_poll:      /* reads the same two words and goes the same two ways */
        GATE_WORDS(guest, gate_park);

guest:  /* Leaves by itself, or loops until the interrupt comes. */
        if
#ifdef BUSY     /* only worker 0 ever leaves by itself */
        :: atomic { me == 0 -> GUEST_STEP; st[me] = IDLE; shown[me] = !GATE_OPEN(me); goto gate_leave }
#else
        :: atomic { GUEST_STEP; st[me] = IDLE; shown[me] = !GATE_OPEN(me); goto gate_leave }
#endif
#ifdef BLOCKING
        :: atomic { GUEST_STEP; st[me] = BLOCKED; shown[me] = !GATE_OPEN(me); goto gate_leave }
#endif
        :: atomic { c_poke[me] -> GUEST_STEP; c_poke[me] = 0; goto gate_poll }
        fi;

gate_park:
        atomic { st[me] = PARKED; st_epoch[me] = e; e = 0; shown[me] = !GATE_OPEN(me); own[me] = !GATE_OPEN(me) };
        ANSWER_KICK;
#ifndef MUTANT_BELL_READ_LATE
        reading[me] = 1;
#endif
        DRAIN;
        GATE_WORDS(parked_open, parked_closed);
parked_open:
        atomic { c_bell[me] = 0; reading[me] = 0; goto gate_enter };
parked_closed:
#ifdef MUTANT_BELL_READ_LATE
        reading[me] = 1;
#endif
        if
#ifdef MUTANT_NO_NEW_EPOCH_BEFORE_WAIT
        :: atomic { e != st_epoch[me] && !c_bell[me] -> e = 0; reading[me] = 0; asleep[me] = 1 }; atomic { !asleep[me] }
        :: atomic { e != st_epoch[me] && c_bell[me] -> e = 0; c_bell[me] = 0; reading[me] = 0 }
#else
        :: atomic { e != st_epoch[me] -> c_bell[me] = 0; reading[me] = 0; goto gate_park }      /* publish the new epoch first */
#endif
        /* FUTEX_WAIT(bell, value read): compares and queues in one step; no time-out here */
        :: atomic { e == st_epoch[me] && !c_bell[me] -> e = 0; reading[me] = 0; asleep[me] = 1 }; atomic { !asleep[me] }
        :: atomic { e == st_epoch[me] && c_bell[me] -> e = 0; c_bell[me] = 0; reading[me] = 0 }
        fi;
#ifdef MUTANT_NO_REREAD_AFTER_PARK
        atomic { st[me] = RUNNING; st_epoch[me] = 0 };
        goto guest;
#endif
        goto gate_enter;

gate_leave:     /* idle or blocked has been stored; is a timer of its own armed? */
#ifdef MUTANT_NO_KICK_ON_LEAVE
        if
        :: timer = 1
        :: timer = 0
        fi;
#else
        if      /* ANSWER_KICK */
        :: atomic { c_kick[me] -> c_kick[me] = 0; timer = 1 }; efd[me] = 1
        :: atomic { c_kick[me] -> c_kick[me] = 0; timer = 0 }; efd[me] = 1
        :: atomic { !c_kick[me] -> timer = 1 }
        :: atomic { !c_kick[me] -> timer = 0 }
        fi;
#endif
#ifdef BLOCKING
        if
        :: st[me] == BLOCKED -> /* gate_block: waits on the bell, until its time is over */
                reading[me] = 1;
                DRAIN;
                if
                :: atomic { !c_bell[me] -> reading[me] = 0; asleep[me] = 1 };
                   atomic { !asleep[me] || timer -> asleep[me] = 0; timer = 0 }
                :: atomic { c_bell[me] -> c_bell[me] = 0; reading[me] = 0; timer = 0 }
                fi;
                goto gate_enter
        :: else
        fi;
#endif
        /* poll: the timer may fire whenever it likes, gate closed or not */
        atomic { (timer || channel[me]) -> timer = 0 };
        DRAIN;
        goto gate_enter
}

/* ------------------------------------------------------------------------------------------------
 * Daemon half
 * ------------------------------------------------------------------------------------------------ */

/* Part of a store that opens gates: those VMs leave the arrival set. */
inline note_open()
{
        n = 0;
        do
        :: n < W ->
                if
                :: GATE_OPEN(n) -> counted[n] = 0; poked[n] = 0; shown[n] = 0; own[n] = 0
                :: else
                fi;
                n++
        :: else -> n = 0; break
        od
}

/* Part of a store that closes gates: what the observer notes at that instant. */
inline note_close()
{
        n = 0;
        do
        :: n < W ->
                own[n] = 0;
                if
                :: known[n] && !counted[n] -> shown[n] = (st[n] != RUNNING)
                :: else
                fi;
                n++
        :: else -> n = 0; break
        od
}

inline set_mode(to)
{
        assert(((mode == RUN && to == STOPPING) || (mode == STOPPING && to == STOPPED) || (mode == STOPPING && to == RUN)
                || (mode == STOPPED && to == RUN) || (mode == STOPPED && to == RUNONE) || (mode == RUNONE && to == STOPPING)
                || (mode == RUNONE && to == RUN)) || mode_edge_allowed);
        mode = to
}

/* One read of one status page, within one step. */
inline look(v)
{
        seen = (st[v] != RUNNING);
        if
        :: seen ->
                assert(!(st[v] == PARKED && mode == STOPPING && !held[v] && st_epoch[v] >= close_epoch && !own[v])
                       || acked_only_after_own_store);
                counted[v] = 1
        :: else
        fi
}

inline next_awaited()
{
        do
        :: k < W && !AWAITED(k) -> k++
        :: else -> break
        od
}

inline complete()
{
        n = 0; seen = 1;
        do
        :: n < W ->
                assert(!(counted[n] && (!known[n] || GATE_OPEN(n))) || arrival_set_consistent);
                if
                :: AWAITED(n) -> seen = 0
                :: else
                fi;
                n++
        :: else -> n = 0; break
        od;
        if
        :: seen && mode == STOPPING ->
                do      /* R23, in the completion handler itself */
                :: n < W ->
                        assert(!(known[n] && !dead[n] && !shown[n]) || completion_only_after_all_have_shown);
                        n++
                :: else -> n = 0; break
                od;
                set_mode(STOPPED)
        :: else
        fi;
        seen = 0
}

inline begin_scan()
{
        k = 0; s = W;
        next_awaited()
}

/* The two halves of stop_ring: which VM comes next, and is its status parked? */
inline next_open()
{
        do
        :: k < W && !(known[k] && GATE_OPEN(k)) -> k++
        :: else -> break
        od
}

#define REST_CHECK \
        n = 0; \
        do \
        :: n < W -> assert(!(asleep[n] && st[n] == PARKED && ALIVE(n) && GATE_OPEN(n)) || nobody_asleep_behind_open_gate); n++ \
        :: else -> n = 0; break \
        od; \
        assert(!(mode == RUNONE && c_released[runner] && !GATE_OPEN(runner)) || runner_has_its_permit)

proctype daemon()
{
        byte i, k, n, s = W;
        bit seen, world;
#ifdef MUTANT_DRAIN_AFTER_SCAN
        bit drain_later;
#endif
#ifdef MUTANT_ARRIVAL_BEFORE_CLOSE
        bit early[W];
#endif
#ifdef MUTANT_KICK_ONCE_PER_CLOSING
        bit kicked[W];
#endif

loop:   /* Here everything that the daemon owes has been done; it sleeps until an event comes. */
        if
        :: atomic { ask[0]?STOP,_ -> REST_CHECK; goto stop_close }
        :: atomic { ask[0]?RESUME,_ -> REST_CHECK; goto stop_open }
#if RUNONES > 0
        :: atomic { ask[0]?ONLY,i -> REST_CHECK; goto stop_only }
#endif
#if HOLDS > 0
        :: atomic { ask[0]?HOLD,i -> REST_CHECK; goto stop_hold }
        :: atomic { ask[0]?RELEASE,i -> REST_CHECK; goto stop_release }
#endif
#if BIRTHS > 0
        :: atomic { ask[0]?ADMIT,i -> REST_CHECK; goto stop_admit }
        :: atomic { ask[0]?READY,i -> REST_CHECK; goto stop_release }
#endif
#if MESSAGES > 0
        :: atomic { ask[0]?MSG,i -> REST_CHECK; goto message }
#endif
        :: atomic { efd[0] -> i = 0; goto kicked_back }
        :: atomic { efd[1] -> i = 1; goto kicked_back }
#if W > 2
        :: atomic { efd[2] -> i = 2; goto kicked_back }
#endif
#if KILLS > 0
#ifdef MUTANT_DEATH_OF_COUNTED_UNSEEN
        :: atomic { known[0] && dead[0] && !counted[0] -> i = 0; goto died }
        :: atomic { known[1] && dead[1] && !counted[1] -> i = 1; goto died }
#else
        :: atomic { known[0] && dead[0] -> i = 0; goto died }
        :: atomic { known[1] && dead[1] -> i = 1; goto died }
#endif
#if W > 2
        :: atomic { known[2] && dead[2] -> i = 2; goto died }
#endif
#endif
        fi;

kicked_back:    /* a worker wrote its eventfd: drain, then look */
#ifdef MUTANT_DRAIN_AFTER_SCAN
        atomic { drain_later = 1; begin_scan(); goto stop_scan };
#else
        atomic { efd[i] = 0; i = 0; begin_scan(); goto stop_scan };
#endif

#if KILLS > 0
died:   /* its pidfd is readable: the expected set shrinks, so completion is evaluated again */
        atomic {
                known[i] = 0; efd[i] = 0;
#ifndef MUTANT_DEAD_STAYS_COUNTED
                counted[i] = 0;
#endif
                if
                :: runner == i -> i = 0;        /* the world is stopped again: nobody else gets to run */
#ifdef MUTANT_RUNNER_DEATH_STRAIGHT_TO_STOPPED
                        runner = W; w_epoch++; set_mode(STOPPED)
#else
                        goto stop_close
#endif
                :: else
                fi;
                i = 0;
#ifdef MUTANT_NO_REEVALUATION_ON_DEATH
                goto loop
#else
                begin_scan();
                goto stop_scan
#endif
        };
#endif

stop_close:
#ifdef MUTANT_ARRIVAL_BEFORE_CLOSE
        do      /* the status words are read first, the world word is stored after */
        :: atomic { k < W -> early[k] = (st[k] != RUNNING); k++ }
        :: k == W -> break
        od;
#endif
        atomic {
#ifndef MUTANT_EPOCH_STAYS
                w_epoch++;
#endif
                w_open = 0; close_epoch = w_epoch;
                set_mode(STOPPING);
                runner = W;
                note_close();
#ifdef MUTANT_ARRIVAL_BEFORE_CLOSE
                do
                :: n < W -> counted[n] = counted[n] || (known[n] && early[n]); early[n] = 0; n++
                :: else -> n = 0; break
                od;
#endif
#ifdef MUTANT_KICK_ONCE_PER_CLOSING
                do
                :: n < W -> kicked[n] = 0; n++
                :: else -> n = 0; break
                od;
#endif
#ifdef MUTANT_NO_SCAN_AT_CLOSE
                do
                :: n < W -> c_poke[n] = 1; poked[n] = 1; n++
                :: else -> n = 0; break
                od;
                goto loop;
#endif
                begin_scan()
        };

stop_scan:      /* Each open obligation once: a look and, where it runs, its one interrupt for this closing. */
        if
        :: atomic {
                k < W ->
                look(k);
                if
                :: seen -> seen = 0; k++; next_awaited(); goto stop_scan
                :: else ->
                        s = (s == W -> k : s);
                        if
                        :: poked[k] -> k++; next_awaited(); goto stop_scan
                        :: else
                        fi
                fi
           };
           atomic { c_poke[k] = 1; poked[k] = 1; k++; next_awaited(); goto stop_scan }
        :: atomic { k == W && s == W -> goto scanned }
#ifdef MUTANT_KICK_ONCE_PER_CLOSING
        :: atomic { k == W && s < W && kicked[s] -> goto scanned }
        :: atomic { k == W && s < W && !kicked[s] -> kicked[s] = 1; goto stop_kick }
#else
        :: atomic { k == W && s < W -> goto stop_kick }
#endif
        fi;

stop_kick:      /* One straggler: its kick number, (full barrier), one more look; if it has arrived, the next. */
        c_kick[s] = 1;
#ifdef MUTANT_NO_RELOOK
        goto scanned;
#endif
        atomic {
                look(s);
                if
                :: seen -> seen = 0; begin_scan(); goto stop_scan
                :: else
                fi
        };

scanned:
        atomic {
                k = 0; s = W;
                complete();
#ifdef MUTANT_DRAIN_AFTER_SCAN
                if
                :: drain_later -> drain_later = 0; efd[i] = 0; i = 0
                :: else
                fi;
#endif
                goto loop
        };

stop_open:
#ifdef MUTANT_RING_BEFORE_OPEN
        do
        :: atomic { k < W && known[k] && !held[k] && st[k] == PARKED }; c_bell[k] = reading[k]; atomic { asleep[k] = 0; k++ }
        :: atomic { k < W && !(known[k] && !held[k] && st[k] == PARKED) -> k++ }
        :: k == W -> break
        od;
#endif
        atomic {
#ifndef MUTANT_EPOCH_STAYS
                w_epoch++;
#endif
                w_open = 1;
                set_mode(RUN);
                runner = W;
                note_open();
#ifdef MUTANT_RING_BEFORE_OPEN
                begin_scan();
                goto stop_scan
#else
                world = 1; k = 0;
                next_open();
                goto stop_ring
#endif
        };

#if RUNONES > 0
stop_only:      /* The world stays closed; one VM gets a permit for the epoch that begins. */
        atomic { w_epoch++; set_mode(RUNONE); runner = i };
        atomic { c_permit[i] = w_epoch; note_open(); k = i; i = 0; goto stop_ring };
#endif

#if HOLDS > 0
stop_hold:      /* One store clears released and permit. A VM that is counted already stays counted. */
#ifdef MUTANT_HOLD_IN_TWO_STORES
        atomic { c_released[i] = 0; held[i] = 1 };
        seen = (st[i] != RUNNING);
        atomic { c_permit[i] = 0; counted[i] = counted[i] || (seen && known[i]); seen = 0; i = 0; begin_scan(); goto stop_scan };
#else
        atomic {
                if
                :: GATE_OPEN(i) -> shown[i] = (st[i] != RUNNING)
                :: else
                fi;
                c_released[i] = 0; c_permit[i] = 0; held[i] = 1;
                i = 0;
                begin_scan();
                goto stop_scan
        };
#endif
#endif

#if HOLDS + BIRTHS > 0
stop_release:   /* Ends a hold, or the time between birth and first step. In a closed world the gate stays closed. */
        atomic {
                c_released[i] = 1;
#ifndef MUTANT_PERMIT_NOT_GIVEN_BACK
                if      /* the same store; a run-one that lasts goes on */
                :: mode == RUNONE && runner == i -> c_permit[i] = w_epoch
                :: else
                fi;
#endif
                held[i] = 0; fresh[i] = 0; note_open(); k = i; i = 0; goto stop_ring
        };
#endif

#if BIRTHS > 0
stop_admit:     /* Born with zeros in its command word: its gate is closed, so it is counted from the start. */
        atomic {
                known[i] = 1; fresh[i] = 1; counted[i] = 1; shown[i] = 1;
#ifdef MUTANT_BORN_RELEASED
                c_released[i] = 1; counted[i] = !w_open;
#endif
#ifdef MUTANT_BORN_PERMITTED
                c_permit[i] = (w_open -> 0 : w_epoch);  /* into a stopped world */
#endif
                born[i] = 1;
                i = 0;
                goto loop
        };
#endif

#if MESSAGES > 0
message:        /* stop_message_sent: out it goes, then the bell, unless the worker waits in poll. */
        channel[i] = 1;
        atomic {
                k = i; i = 0;
#ifdef MUTANT_MESSAGE_WITHOUT_BELL
                k = 0;
                goto loop;
#endif
                if
                :: st[k] == IDLE -> k = 0; goto loop
#ifdef MUTANT_BLOCKED_NOT_WOKEN
                :: st[k] == BLOCKED -> k = 0; goto loop
#endif
                :: else -> goto ring
                fi
        };
#endif

stop_ring:      /* After the store that opened a gate, (full barrier): whose status then shows parked? */
        if
        :: atomic { k < W && st[k] == PARKED -> goto ring }
        :: atomic { k < W && st[k] != PARKED -> goto rung }
        :: atomic { k == W -> world = 0; begin_scan(); goto stop_scan } /* a held VM may still owe its arrival */
        fi;
ring:
#ifndef MUTANT_RING_WITHOUT_BUMP
        c_bell[k] = reading[k]; /* bump, */
#endif
        asleep[k] = 0;          /* then wake */
rung:
        atomic {
                if
                :: world -> k++; next_open(); goto stop_ring
                :: else -> k = 0; goto loop
                fi
        }
}

/* ------------------------------------------------------------------------------------------------
 * The outside
 * ------------------------------------------------------------------------------------------------ */

#define WHEN(c) ask[((c) -> 0 : 1)]

/* Requests that the daemon would refuse (another mode, a VM that is not there) change nothing and are not sent. */
proctype client()
{
        byte stops = STOPS, only = RUNONES, holds = HOLDS, messages = MESSAGES, births = BIRTHS;

        do
        :: atomic { WHEN(stops > 0 && (mode == RUN || mode == RUNONE))!STOP,0 -> stops-- }
#ifndef NO_RESUME
        :: WHEN(mode != RUN)!RESUME,0           /* in stopping: the stop is cancelled */
#endif
#if RUNONES > 0
        :: atomic { WHEN(only > 0 && mode == STOPPED && known[0] && c_released[0])!ONLY,0 -> only-- }
#endif
#if HOLDS > 0
        :: atomic { WHEN(holds > 0 && known[0] && !held[0] && c_released[0])!HOLD,0 -> holds-- }
        :: WHEN(known[0] && held[0])!RELEASE,0
#endif
#if MESSAGES > 0
        :: atomic { WHEN(messages > 0 && known[0])!MSG,0 -> messages-- }
#endif
#if BIRTHS > 0
        :: atomic { WHEN(births > 0)!ADMIT,W-1 -> births-- }
        :: WHEN(known[W-1] && fresh[W-1])!READY,W-1
#endif
        :: atomic { stops == 0 && births == 0 -> only = 0; holds = 0; messages = 0; break }
        od
}

#if KILLS > 0
proctype kernel()
{
        byte kills = KILLS;

        do
        :: atomic { kills > 0 && born[0] && !dead[0] -> dead[0] = 1; asleep[0] = 0; kills-- }
        :: atomic { kills > 0 && born[1] && !dead[1] -> dead[1] = 1; asleep[1] = 0; kills-- }
#if W > 2
        :: atomic { kills > 0 && born[2] && !dead[2] -> dead[2] = 1; asleep[2] = 0; kills-- }
#endif
        :: break
        od;
        kills = 0
}
#endif

/* When nobody can move any more, nothing may be owed. A closed gate lets everybody come to rest, so a lost
 * kick or a lost wake ends here and needs no fairness to be found. */
proctype rest()
{
        byte n;

        atomic {
                timeout ->
                assert(mode != STOPPING || every_stop_ends);
                assert(!(mode == RUNONE && c_released[runner] && !GATE_OPEN(runner)) || runner_has_its_permit);
                do
                :: n < W ->
                        assert(!(asleep[n] && st[n] == PARKED && ALIVE(n) && GATE_OPEN(n)) || nobody_asleep_behind_open_gate);
                        assert(!(AWAITED(n)) || every_hold_ends);
                        assert(!(ALIVE(n) && channel[n] && st[n] != RUNNING) || message_is_drained);
                        assert(!(known[n] && dead[n]) || death_is_noticed);
#if HOLDS + RUNONES + BIRTHS == 0
                        assert(!(mode == STOPPED && ALIVE(n) && asleep[n] && st[n] == PARKED && st_epoch[n] < close_epoch) || parked_ends_up_acked);
#endif
                        n++
                :: else -> break
                od
        }
}

init {
        byte n;

        atomic {
                do
                :: n < W ->
#if BIRTHS > 0
                        if
                        :: n < W - 1 -> known[n] = 1; born[n] = 1; c_released[n] = 1
                        :: else
                        fi;
#else
                        known[n] = 1; born[n] = 1; c_released[n] = 1;
#endif
                        run worker(n);
                        n++
                :: else -> n = 0; break
                od;
                run daemon();
                run client();
#if KILLS > 0
                run kernel();
#endif
                run rest()
        }
}

#ifdef LTL
/* Weak fairness of processes only (pan -f). */
ltl stop_ends { [] (mode == STOPPING -> <> (mode != STOPPING)) }
ltl resume_ends { [] ((asleep[0] && st[0] == PARKED && GATE_OPEN(0)) -> <> (!asleep[0] || !GATE_OPEN(0))) }
#endif

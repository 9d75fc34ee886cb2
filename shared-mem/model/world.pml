/*
 * world.pml - modes, tickets, run-one, leases and enforcement of one world with two debuggers.
 *
 * What gate and status do in memory is stop.pml's and gate_tso.pml's; here a gate is a datum and an arrival one
 * step (README.md says what that step stands for and why it may). The daemon's event loop runs one handler at a
 * time, to its end, so each handler is one step that ends in advance(), as in daemon/world.c. Each source of
 * events is a process of its own, so that weak fairness of processes is fairness of each source; workers and
 * clients get no fairness at all (under LTL they may spin for ever): they may hang wherever they are.
 *
 * Inlines and processes carry the names of the C functions. Parameters and mutants come by -D; `run` has the tables.
 */

#ifndef W
#define W 2             /* workers */
#endif
#ifndef NT
#define NT 3            /* tickets that are asked for in one run */
#endif
#ifndef RUNONES
#define RUNONES 0       /* how often run-one, or another runner, is asked for */
#endif
#ifndef HOLDS
#define HOLDS 0         /* how often a VM is held */
#endif
#ifndef KILLS
#define KILLS 0         /* SIGKILLs from outside */
#endif
#ifndef BIRTHS
#define BIRTHS 0        /* 1: the last worker is born at any time */
#endif
#ifndef GONES
#define GONES 0         /* how many debuggers nobody has open any more */
#endif
#ifndef LIARS
#define LIARS 0         /* 1: worker 0 may turn into a liar at any time; 2: each may */
#endif

/* Violations. Never assigned; an assertion on one of these names what is wrong in Spin's own report. */
bit no_guest_step_in_stopped_world, no_guest_step_while_counted, no_guest_step_while_held, no_guest_step_before_release;
bit no_guest_step_while_enforced, run_one_is_exclusive, mode_edge_allowed;
bit completion_only_after_all_have_shown, enforced_only_if_frozen, enforced_stop_freezes_again, everybody_thawed_in_run_all;
bit arrivals_counted_once, sets_disjoint, one_service_at_a_time, highest_reason_first, no_gate_opens_while_a_ticket_waits;
bit ticket_ends_exactly_once, answered_at_most_once, answer_belongs_to_its_request, closed_only_for_a_ticket, ticket_is_not_overlooked;
bit runner_death_releases_nobody, run_one_goes_on_with_its_runner, nobody_stranded_by_a_dead_controller, gate_as_the_mode_says;
bit held_gate_is_closed, completion_is_not_overlooked;

mtype = { RUN_ALL, STOPPING, STOPPED, RUN_ONE };        /* enum world_mode */
mtype = { GUEST, AWAY, PARKED };                        /* what a worker does: guest code; starting, idle, blocked; parked */
mtype = { FREE, PENDING, SERVED, ENDED };               /* a ticket */
/* enum ticket_reason, by priority. Odd: an operation, ends by itself. Even: control, stays until resume. */
#define ADMIN           0
#define CENSUS          1
#define DEBUGGER        2
#define GC              3
#define IS_OP(t)        (reason[t] & 1)
#define IS_PENDING(t)   (tst[t] == PENDING && SERVABLE(t))
#if NT > 3
#define ANY_PENDING     (IS_PENDING(0) || IS_PENDING(1) || IS_PENDING(2) || IS_PENDING(3))
#elif NT > 2
#define ANY_PENDING     (IS_PENDING(0) || IS_PENDING(1) || IS_PENDING(2))
#elif NT > 1
#define ANY_PENDING     (IS_PENDING(0) || IS_PENDING(1))
#else
#define ANY_PENDING     IS_PENDING(0)
#endif

/* Pages. The epoch only ever says whether a permit is one of the present epoch, which never comes back: a bit. */
bit w_open = 1;
bit released[W];
bit permit[W];
/* Workers and kernel. */
mtype ws[W] = AWAY;
bit born[W], dead[W], liar[W];
bit shown[W];           /* what a liar's status shows: not running */
bit frozen[W];          /* the kernel's own truth */
byte asked[W];          /* requests that lie in its channel, one bit for each ticket */
/* Daemon, private. */
mtype mode = RUN_ALL;
bit known[W], fresh[W];
bit arrived[W];
bit want[W];            /* its freeze is ordered */
bit confirmed[W];       /* and was read back: how = enforced */
bit waiting[W];         /* an answer to the operation in service is awaited */
byte holds[W];          /* owners, one bit each */
byte n_missing;
bit late;               /* the deadline of this stop has passed: stragglers are frozen */
byte nt;                /* next ticket */
mtype tst[NT] = FREE;
byte reason[NT];
bit owner[NT], enforce[NT], answered[NT];
byte control = NT, op = NT;     /* open; in service */
bit only;               /* run-one is asked for */
byte runner = W;        /* for whom */
byte ran = W;           /* who had the last permit since the world was open */
bit on_exit_resume, until_still;
bit gone[2], policy_hold[2];
/* Ghosts: what an all-seeing observer notes; nothing reads them but assertions. */
byte ends[NT];
byte asked_runner = W;
bit runner_died;        /* and nobody asked that the others go on then */
/* The handler that ran last still has to advance(): d_step by d_step, but one to everybody else. */
bit todo;
/* Bounds. */
byte runones = RUNONES, nholds = HOLDS, kills = KILLS, gones = GONES;

hidden byte x, y, b, kept;
hidden byte turn, enf, stay, all, any;
#ifdef MUTANT_FROZEN_NOT_AGAIN
byte forgot;
#endif
#if defined(MUTANT_RESUME_IN_TWO_EVENTS) || defined(MUTANT_RESUMED_TWICE)
bit opening;
#endif

#define OPEN(i)         ((w_open && released[i]) || permit[i])
#define SHOWS(i)        (liar[i] -> shown[i] : ws[i] != GUEST)
#define AWAITED(i)      (known[i] && !OPEN(i) && !arrived[i])
#define NOTHING         (nt <= NT)      /* always: a step that does nothing */
#define RUNS(i)         (born[i] && !dead[i] && !frozen[i])

/* A ticket may be served now: nobody controls the world, or this is an operation of who does, or one that comes
 * between the steps of a run-one; or it is the controller's own stop of its run-one. What is asked for counts, not
 * the mode: an operation that was servable in run-one is so still when its stop is complete. */
#define SERVABLE(t)     (control == NT || (owner[t] == owner[control] && (IS_OP(t) || only)) || (IS_OP(t) && only))
#ifdef MUTANT_SERVABLE_BY_MODE
#define MAY_SERVE(t)    (control == NT || (owner[t] == owner[control] && (IS_OP(t) || only)) || (IS_OP(t) && mode == RUN_ONE))
#else
#define MAY_SERVE(t)    SERVABLE(t)
#endif

/* ------------------------------------------------------------------------------------------------
 * shared-mem/stop.c, as data
 * ------------------------------------------------------------------------------------------------ */

inline freezer_thaw(i)
{
        want[i] = 0; frozen[i] = 0; confirmed[i] = 0
}

inline gate_opens(i)
{
#ifdef MUTANT_ARRIVAL_KEPT
        if
        :: !arrived[i] -> n_missing--
        :: else
        fi;
#else
        if
        :: arrived[i] -> arrived[i] = 0
        :: else -> n_missing--
        fi;
#endif
        freezer_thaw(i)
}

inline stop_close()
{
        x = 0;
        do
        :: x < W ->
                if
                :: known[x] && OPEN(x) -> any = 1
                :: else -> any = 0
                fi;
                permit[x] = 0;
#ifdef MUTANT_ARRIVAL_KEPT
                any = any && !arrived[x];
#endif
                if
                :: any -> n_missing++
                :: else
                fi;
                x++
        :: else -> break
        od;
        w_open = 0
}

/* Before each store that opens gates: whoever waits is served first. */
inline check_nobody_waits()
{
        x = 0;
        do
        :: x < NT -> assert(!(tst[x] == PENDING && SERVABLE(x)) || no_gate_opens_while_a_ticket_waits); x++
        :: else -> break
        od
}

inline stop_open()
{
        check_nobody_waits();
        x = 0;
        do
        :: x < W ->
                if
                :: known[x] && released[x] && !OPEN(x) -> gate_opens(x)
                :: known[x] && !released[x] -> freezer_thaw(x)
                :: else
                fi;
                permit[x] = 0;
                x++
        :: else -> break
        od;
        w_open = 1; late = 0;
        only = 0; runner = W; ran = W; asked_runner = W; on_exit_resume = 0; until_still = 0
}

inline stop_permit()
{
        check_nobody_waits();
        assert(runner == asked_runner || run_one_goes_on_with_its_runner);
        if
#ifdef MUTANT_PERMIT_IGNORES_HOLD
        :: !permit[runner] -> gate_opens(runner); permit[runner] = 1
#else
        :: !permit[runner] && released[runner] -> gate_opens(runner); permit[runner] = 1
#endif
        :: else
        fi;
        ran = runner;
        late = 0
}

inline stop_scan()
{
        x = 0;
        do
        :: x < W ->
                if
#ifdef MUTANT_COUNTED_AT_EACH_STATUS
                :: known[x] && !OPEN(x) && SHOWS(x) && n_missing > 0 && mode == STOPPING -> arrived[x] = 1; n_missing--
#else
                :: AWAITED(x) && SHOWS(x) -> arrived[x] = 1; n_missing--
#endif
                :: else
                fi;
                x++
        :: else -> break
        od
}

/* ------------------------------------------------------------------------------------------------
 * daemon/world.c
 * ------------------------------------------------------------------------------------------------ */

inline set_mode(to)
{
        assert((mode == RUN_ALL && to == STOPPING) || (mode == STOPPING && (to == STOPPED || to == RUN_ALL || to == RUN_ONE))
                || (mode == STOPPED && (to == RUN_ALL || to == RUN_ONE || to == STOPPED))
                || (mode == RUN_ONE && (to == STOPPING || to == RUN_ALL)) || mode_edge_allowed);
        mode = to
}

inline answer(t)
{
        assert(!answered[t] || answered_at_most_once);
        answered[t] = 1
}

inline ticket_end(t)
{
        ends[t]++;
        tst[t] = ENDED;
        reason[t] = 0; owner[t] = 0; enforce[t] = 0; answered[t] = 0
}

/* The operation in service ends; what was asked for it may still be answered, and is ignored then. */
inline operation_end()
{
        x = 0;
        do
        :: x < W ->
#ifdef MUTANT_FROZEN_NOT_AGAIN
                if
                :: waiting[x] -> forgot = forgot | (1 << x)
                :: else
                fi;
#endif
                waiting[x] = 0; x++
        :: else -> break
        od;
#ifdef MUTANT_BIT_FOR_TICKET
        x = 0;          /* its reason's bit is cleared: so are they who set it while it was being served */
        do
        :: x < NT ->
                if
                :: tst[x] == PENDING && reason[x] == reason[op] -> tst[x] = ENDED
                :: else
                fi;
                x++
        :: else -> break
        od;
#endif
        y = op;
        op = NT;
        ticket_end(y);
        y = 0
}

inline best_pending()
{
        b = NT; x = 0;
        do
        :: x < NT ->
                if
#ifdef MUTANT_PRIORITY_IGNORED
                :: tst[x] == PENDING && MAY_SERVE(x) && b == NT -> b = x
#else
                :: tst[x] == PENDING && MAY_SERVE(x) && (b == NT || reason[x] > reason[b]) -> b = x
#endif
                :: else
                fi;
                x++
        :: else -> break
        od
}

inline serve()
{
        assert(op == NT || one_service_at_a_time);
        x = 0;
        do
        :: x < NT -> assert(!(tst[x] == PENDING && SERVABLE(x) && (reason[x] > reason[b] || (reason[x] == reason[b] && x < b))) || highest_reason_first); x++
        :: else -> break
        od;
        set_mode(STOPPED);
        tst[b] = SERVED;
        if
        :: IS_OP(b) ->
                op = b;
#ifdef MUTANT_RUN_ONE_FORGOTTEN
                only = 0;
#endif
                x = 0;
                do
                :: x < W ->
                        if
                        /* Who was frozen before it had arrived stays so: thawed, it would go on in guest code. */
#ifdef MUTANT_STRAGGLER_THAWED
                        :: known[x] && !fresh[x] ->
#else
                        :: known[x] && !fresh[x] && arrived[x] ->
#endif
                                asked[x] = asked[x] | (1 << b);
                                waiting[x] = 1;
                                freezer_thaw(x)
                        :: else
                        fi;
                        x++
                :: else -> break
                od
        :: else ->
                if
                :: control != NT -> y = control; ticket_end(y); y = 0   /* its own run-one, stopped */
                :: else
                fi;
                control = b;
                only = 0; runner = W; asked_runner = W; on_exit_resume = 0; until_still = 0;
                x = 0;
                do      /* what is said with --enforce */
                :: x < W ->
                        assert(!(enforce[b] && !answered[b] && known[x] && !fresh[x] && !dead[x] && !frozen[x]) || enforced_only_if_frozen);
                        x++
                :: else -> break
                od;
                if
                :: !answered[b] -> answer(b)
                :: else
                fi
        fi
}

/* Each handler changes data and ends in advance(): nobody else moves before that is done (process daemon). */
inline advance()
{
        todo = 1
}

/* Level-triggered: what is owed, from what is the case. */
inline do_advance()
{
        turn = 1;
        do
        :: turn ->
                turn = 0;
                stop_scan();
                best_pending();
                enf = (control != NT && enforce[control]) || (b != NT && enforce[b]);
                stay = op != NT || b != NT || (control != NT && !only);
                all = 1; any = 0; x = 0;
                do
                :: x < W ->
                        if
                        :: mode != RUN_ALL && known[x] && !OPEN(x) && !want[x] && !fresh[x] &&
                           ((enf && arrived[x] && !waiting[x]) || (late && !arrived[x])) ->
#ifdef MUTANT_FROZEN_NOT_AGAIN
                                want[x] = !(forgot & (1 << x));
#else
                                want[x] = 1;
#endif
#ifdef MUTANT_FREEZE_NOT_CONFIRMED
                                confirmed[x] = 1
#endif
                        :: else
                        fi;
                        all = all && (!known[x] || fresh[x] || confirmed[x]);
                        any = any || (AWAITED(x) && !confirmed[x]);
                        x++
                :: else -> break
                od;
#ifdef MUTANT_COUNTED_AT_EACH_STATUS
                any = n_missing > 0;
#elif defined(MUTANT_DEATH_COUNTED_TWICE) || defined(MUTANT_ARRIVAL_KEPT)
                any = any && n_missing > 0;
#endif
                if
                :: mode == RUN_ALL && b != NT -> stop_close(); set_mode(STOPPING); turn = 1
                :: mode == RUN_ONE && (stay || (control != NT && runner != ran)) -> stop_close(); set_mode(STOPPING); turn = 1
                :: mode == RUN_ONE && !stay && control == NT -> stop_open(); set_mode(RUN_ALL); turn = 1
                :: mode == STOPPING && !stay && control == NT -> stop_open(); set_mode(RUN_ALL); turn = 1
#ifdef MUTANT_SWITCH_AS_CANCEL
                :: mode == STOPPING && !stay && control != NT -> stop_permit(); set_mode(RUN_ONE)
#else
                :: mode == STOPPING && !stay && control != NT && runner == ran -> stop_permit(); set_mode(RUN_ONE)
#endif
                :: mode == STOPPING && (stay || (control != NT && runner != ran)) && !any && (!enf || all) ->
                        x = 0;
                        do
                        :: x < W -> assert(!(known[x] && !dead[x] && !liar[x] && ws[x] == GUEST && !frozen[x]) || completion_only_after_all_have_shown); x++
                        :: else -> break
                        od;
                        late = 0;
                        set_mode(STOPPED);
                        turn = 1
                :: mode == STOPPED && op != NT ->
                        any = 0; x = 0;
                        do
                        :: x < W -> any = any || waiting[x]; x++
                        :: else -> break
                        od;
                        if
                        :: !any -> operation_end(); turn = 1
                        :: else
                        fi
                :: mode == STOPPED && op == NT && b != NT && (!enforce[b] || all) -> serve(); turn = 1
                :: mode == STOPPED && !stay && control != NT -> stop_permit(); set_mode(RUN_ONE)
                :: mode == STOPPED && !stay && control == NT -> stop_open(); set_mode(RUN_ALL); turn = 1
                :: else
                fi
        :: else -> break
        od;
        settled()
}

/* What holds whenever the daemon waits for its next event. */
inline settled()
{
        x = 0; y = 0;
        do
        :: x < W ->
                y = y + (AWAITED(x) -> 1 : 0);
                assert(!(arrived[x] && (!known[x] || OPEN(x))) || sets_disjoint);
                assert(!(confirmed[x] && (!known[x] || OPEN(x) || !want[x] || waiting[x])) || sets_disjoint);
                assert(!(waiting[x] && (op == NT || !known[x])) || sets_disjoint);
                assert(!(holds[x] && OPEN(x)) || held_gate_is_closed);
                assert(!(confirmed[x] && !frozen[x] && !dead[x]) || enforced_only_if_frozen);
                assert(!(mode == STOPPED && control != NT && enforce[control] && known[x] && !fresh[x] && !want[x] && !waiting[x])
                       || enforced_stop_freezes_again);
                assert(!(mode == RUN_ALL && (want[x] || frozen[x])) || everybody_thawed_in_run_all);
                assert(!(mode != RUN_ALL && known[x] && OPEN(x) && !(mode == RUN_ONE && x == runner)) || gate_as_the_mode_says);
                assert(!((mode == RUN_ALL || (mode == RUN_ONE && x == runner)) && known[x] && released[x] && !OPEN(x)) || gate_as_the_mode_says);
                x++
        :: else -> break
        od;
        assert(y == n_missing || arrivals_counted_once);
        any = 0; stay = 0; x = 0;
        do
        :: x < NT ->
                assert((ends[x] == (tst[x] == ENDED)) || ticket_ends_exactly_once);
                assert((tst[x] == SERVED) == (x == control || x == op) || ticket_ends_exactly_once);
                any = any || (tst[x] == PENDING && SERVABLE(x));
                stay = stay || enforce[x];
                assert(!(tst[x] == PENDING && gone[owner[x]]) || nobody_stranded_by_a_dead_controller);
                x++
        :: else -> break
        od;
        assert(!(any && (mode == RUN_ALL || mode == RUN_ONE)) || ticket_is_not_overlooked);
        assert(!(mode == STOPPING && any && y == 0 && !stay) || completion_is_not_overlooked);
        assert(mode == RUN_ALL || control != NT || op != NT || any || closed_only_for_a_ticket);
        assert(!(mode == STOPPED && op == NT && !any && (control == NT || only)) || closed_only_for_a_ticket);
        assert(!(control != NT && gone[owner[control]] && !policy_hold[owner[control]]) || nobody_stranded_by_a_dead_controller);
        x = 0;
        do
        :: x < W ->
                assert(!((holds[x] & 1) && gone[0] && !policy_hold[0]) || nobody_stranded_by_a_dead_controller);
                assert(!((holds[x] & 2) && gone[1] && !policy_hold[1]) || nobody_stranded_by_a_dead_controller);
                x++
        :: else -> break
        od;
        assert(!((mode == RUN_ONE || only) && (control == NT || runner == W || !known[runner])) || run_one_goes_on_with_its_runner);
        assert((asked_runner != W) == (only == 1) || run_one_goes_on_with_its_runner);
        assert(!(runner_died && mode == RUN_ALL) || runner_death_releases_nobody);
        runner_died = 0
}

proctype daemon()
{
        do
        :: d_step { todo -> todo = 0; do_advance() }
        od
}

/* A run-one is over, and its world is to be stopped again. */
inline run_one_end()
{
        only = 0; runner = W; asked_runner = W; on_exit_resume = 0; until_still = 0
}

inline control_end()
{
        y = control;
        control = NT;
        run_one_end();
        ticket_end(y);
        y = 0
}

inline command_store(i)
{
        if
        :: holds[i] == 0 && !fresh[i] ->
                if
                :: (w_open || (mode == RUN_ONE && runner == i && ran == i)) && !OPEN(i) -> gate_opens(i)
                :: else
                fi;
                released[i] = 1;
#ifndef MUTANT_PERMIT_NOT_GIVEN_BACK
                permit[i] = (mode == RUN_ONE && runner == i && ran == i)
#endif
        :: else ->
                if
                :: OPEN(i) -> n_missing++
                :: else
                fi;
                released[i] = 0; permit[i] = 0
        fi
}

inline world_release(i, whose)
{
        holds[i] = holds[i] & ~(1 << whose);
        if
        :: holds[i] == 0 -> command_store(i)
        :: else
        fi
}

/* ------------------------------------------------------------------------------------------------
 * Clients: what the daemon would refuse is not sent. A request with nothing to wait for that is not servable is
 * refused in the same handler: to the world that is a request whose wait is over at once (on_wait_over).
 * ------------------------------------------------------------------------------------------------ */

inline world_stop(why, enf_)
{
        tst[nt] = PENDING; reason[nt] = why; owner[nt] = d; enforce[nt] = enf_;
        nt++;
        advance()
}

/* Ends what the caller controls; in a stop that is not complete, also the stops that it has asked for. */
inline world_resume()
{
#ifdef MUTANT_RESUME_IN_TWO_EVENTS
        opening = (mode == STOPPED && op == NT && b == NT);
#endif
#ifdef MUTANT_RESUMED_TWICE
        opening = (mode == STOPPED && op == NT);
#endif
        kept = (mode == STOPPING);
        control_end();
        x = 0;
        do
        :: x < NT ->
                if
                :: kept && tst[x] == PENDING && owner[x] == d && !IS_OP(x) -> ticket_end(x)
                :: else
                fi;
                x++
        :: else -> break
        od;
        kept = 0;
#ifdef MUTANT_RESUME_BLIND
        if
        :: mode == STOPPED && op == NT -> stop_open(); set_mode(RUN_ALL)
        :: else
        fi;
#endif
#ifdef MUTANT_RESUME_IN_TWO_EVENTS
        if
        :: opening
        :: else -> advance()
        fi
#else
        advance()
#endif
}

/* A client that does not wait any longer: its ticket is cancelled, wherever the world is on its way. */
inline world_forget(t)
{
        ticket_end(t);
#ifdef MUTANT_CANCEL_LEAVES_IT_LATCHED
        settled()
#else
        advance()
#endif
}

/* The runner has to be parked by its own word, and held by nobody. */
#define MAY_RUN_ONE(i)  (runones > 0 && !gone[d] && control != NT && owner[control] == d && known[i] && \
                         (mode == RUN_ONE || (mode == STOPPED && op == NT)) && arrived[i] && holds[i] == 0 && !fresh[i] && \
                         ((liar[i] && shown[i]) || ws[i] == PARKED))

inline world_run_one(i, resume, still)
{
        runones--;
        only = 1; runner = i; on_exit_resume = resume; until_still = still; asked_runner = i;
        advance()
}

/* Nobody has it open any more: its tickets are cancelled; what it holds goes, or is kept until its time is over. */
inline debugger_drop(whose)
{
        if
        :: control != NT && owner[control] == whose -> control_end()
        :: else
        fi;
#if HOLDS > 0
        if
        :: holds[0] & (1 << whose) -> world_release(0, whose)
        :: else
        fi
#endif
}

inline debugger_gone(hold)
{
        gone[d] = 1; policy_hold[d] = hold;
        x = 0;
        do
        :: x < NT ->
                if
                :: tst[x] == PENDING && owner[x] == d -> ticket_end(x)
                :: else
                fi;
                x++
        :: else -> break
        od;
        if
        :: op != NT && owner[op] == d -> operation_end()
        :: else
        fi;
#ifndef MUTANT_LEASE_IGNORED
        if
        :: !hold -> debugger_drop(d)
        :: else
        fi;
#endif
        advance()
}

#define MAY_ASK         (nt < NT && !gone[d])

proctype client(bit d) provided (!todo)
{
        do
#ifdef LTL
        :: NOTHING         /* nobody has to ask for anything */
#endif
#ifdef STOP0
        :: d_step { MAY_ASK && d == 0 -> world_stop(DEBUGGER, 0) }
#endif
#ifdef STOP1
        :: d_step { MAY_ASK && d == 1 -> world_stop(ADMIN, 0) }
#endif
#ifdef ENFORCE0
        :: d_step { MAY_ASK && d == 0 -> world_stop(DEBUGGER, 1) }
#endif
#ifdef ENFORCE1
        :: d_step { MAY_ASK && d == 1 -> world_stop(ADMIN, 1) }
#endif
#ifdef CENSUS0
        :: d_step { MAY_ASK && d == 0 -> world_stop(CENSUS, 0) }
#endif
#ifdef CENSUS1
        :: d_step { MAY_ASK && d == 1 -> world_stop(CENSUS, 0) }
#endif
#ifdef GC1
        :: d_step { MAY_ASK && d == 1 -> world_stop(GC, 0) }
#endif
        :: d_step { !gone[d] && control != NT && owner[control] == d -> world_resume() }
        :: d_step { !gone[d] && tst[0] == PENDING && owner[0] == d -> world_forget(0) }
#if NT > 1
        :: d_step { !gone[d] && tst[1] == PENDING && owner[1] == d -> world_forget(1) }
#endif
#if NT > 2
        :: d_step { !gone[d] && tst[2] == PENDING && owner[2] == d -> world_forget(2) }
#endif
#if NT > 3
        :: d_step { !gone[d] && tst[3] == PENDING && owner[3] == d -> world_forget(3) }
#endif
#if RUNONES > 0
        :: d_step { MAY_RUN_ONE(0) -> world_run_one(0, 0, 0) }
        :: d_step { MAY_RUN_ONE(0) -> world_run_one(0, 1, 1) }
        :: d_step { MAY_RUN_ONE(1) -> world_run_one(1, 1, 0) }
        :: d_step { MAY_RUN_ONE(1) -> world_run_one(1, 0, 1) }
#endif
#if HOLDS > 0
        :: d_step {
                nholds > 0 && !gone[d] && known[0] && !(holds[0] & (1 << d)) ->
                nholds--; holds[0] = holds[0] | (1 << d); command_store(0); advance()
           }
        :: d_step { !gone[d] && known[0] && (holds[0] & (1 << d)) -> world_release(0, d); advance() }
#endif
#if GONES > 0
        :: d_step { gones > 0 && !gone[d] -> gones--; debugger_gone(0) }
        :: d_step { gones > 0 && !gone[d] -> gones--; debugger_gone(1) }
#endif
        od
}

/* ------------------------------------------------------------------------------------------------
 * Events of the daemon
 * ------------------------------------------------------------------------------------------------ */

#define HAS_COME(i)     (AWAITED(i) && SHOWS(i))
#define NEWS_OF(i)      (want[i] && frozen[i] && !confirmed[i] && known[i])
#if W > 2
#define SOME(p)         (p(0) || p(1) || p(2))
#elif W > 1
#define SOME(p)         (p(0) || p(1))
#else
#define SOME(p)         p(0)
#endif

/* world_on_member_kicked(), and the timer that looks after those who lie about their kick. */
proctype on_kick() provided (!todo)
{
        do
        :: d_step { SOME(HAS_COME) -> advance() }
        od
}

proctype on_frozen() provided (!todo)
{
        do
        :: d_step { NEWS_OF(0) -> confirmed[0] = 1; advance() }
#if W > 1
        :: d_step { NEWS_OF(1) -> confirmed[1] = 1; advance() }
#endif
#if W > 2
        :: d_step { NEWS_OF(2) -> confirmed[2] = 1; advance() }
#endif
        od
}

/* A stop that a run-one's end began has no ticket that waits, and has a deadline all the same. */
proctype on_deadline() provided (!todo)
{
        do
#ifdef MUTANT_NO_DEADLINE_AFTER_RUN_ONE
        :: d_step { mode == STOPPING && !late && ANY_PENDING -> late = 1; advance() }
#else
        :: d_step { mode == STOPPING && !late -> late = 1; advance() }
#endif
        od
}

/* Freezing could not be confirmed in time either. An operation fails; a stop is answered as partial, and its
 * world stays closed until resume, or the end of the lease. */
#define GIVE_UP(t)      (tst[t] == PENDING && SERVABLE(t) && !answered[t] && ((mode == STOPPING && late) || (mode == STOPPED && op == NT)))
inline give_up(t)
{
        if
#ifdef MUTANT_ENDED_TWICE       /* it fails, and stays in the queue */
        :: IS_OP(t) -> ends[t]++; answer(t)
#elif !defined(MUTANT_OPERATION_LEFT_PARTIAL)
        :: IS_OP(t) -> ticket_end(t)
#endif
        :: else -> answer(t)
        fi;
        advance()
}

proctype on_given_up() provided (!todo)
{
        do
        :: d_step { GIVE_UP(0) -> give_up(0) }
#if NT > 1
        :: d_step { GIVE_UP(1) -> give_up(1) }
#endif
#if NT > 2
        :: d_step { GIVE_UP(2) -> give_up(2) }
#endif
#if NT > 3
        :: d_step { GIVE_UP(3) -> give_up(3) }
#endif
        od
}

/* A ticket that is not servable waits for so long, and no longer; one that was may have ceased to be. */
#ifdef MUTANT_NO_END_OF_WAIT
#define IN_VAIN(t)      false
#else
#define IN_VAIN(t)      (tst[t] == PENDING && !SERVABLE(t))
#endif
proctype on_wait_over() provided (!todo)
{
        do
        :: d_step { IN_VAIN(0) -> ticket_end(0); advance() }
#if NT > 1
        :: d_step { IN_VAIN(1) -> ticket_end(1); advance() }
#endif
#if NT > 2
        :: d_step { IN_VAIN(2) -> ticket_end(2); advance() }
#endif
#if NT > 3
        :: d_step { IN_VAIN(3) -> ticket_end(3); advance() }
#endif
        od
}

/* Who has not answered by then is named in the operation's reply. */
proctype on_operation_timeout() provided (!todo)
{
        do
        :: d_step { op != NT -> operation_end(); advance() }
        od
}

#define OVER(whose)     (gone[whose] && policy_hold[whose] && ((control != NT && owner[control] == whose) || (holds[0] & (1 << whose))))
#if GONES > 0
proctype on_hold_over() provided (!todo)
{
        do
#ifdef MUTANT_HELD_FOR_EVER
        :: false
#else
        :: d_step { OVER(0) -> debugger_drop(0); advance() }
        :: d_step { OVER(1) -> debugger_drop(1); advance() }
#endif
        od
}
#endif

#if RUNONES > 0
/* A step's runner that goes idle or blocks; and the time limit of a run-one. */
#define STILL           (mode == RUN_ONE && until_still && known[runner] && permit[runner] && \
                         (liar[runner] -> shown[runner] : ws[runner] == AWAY))
proctype on_runner_still() provided (!todo)
{
        do
        :: d_step { STILL -> run_one_end(); advance() }
        od
}

proctype on_run_one_deadline() provided (!todo)
{
        do
#ifdef LTL
        :: NOTHING         /* not every run-one has one */
#endif
        :: d_step { mode == RUN_ONE && only -> run_one_end(); advance() }
        od
}
#endif

inline world_on_member_ended(i)
{
        if
#ifdef MUTANT_DEATH_COUNTED_TWICE
        :: known[i] && !OPEN(i) && n_missing > 0 -> n_missing--
#else
        :: AWAITED(i) -> n_missing--
#endif
        :: else
        fi;
        known[i] = 0; fresh[i] = 0; arrived[i] = 0; waiting[i] = 0; released[i] = 0; permit[i] = 0; holds[i] = 0;
        asked[i] = 0; liar[i] = 0; shown[i] = 0; ws[i] = AWAY;
        freezer_thaw(i);
        if
        :: only && runner == i ->
                runner_died = !on_exit_resume;
                if
#ifdef MUTANT_RUNNER_DEATH_RELEASES
                :: true -> control_end()
#else
                :: on_exit_resume -> control_end()
#endif
                :: else -> run_one_end();
#ifdef MUTANT_RUNNER_DEATH_STRAIGHT_TO_STOPPED
                        if
                        :: mode == RUN_ONE -> set_mode(STOPPED)
                        :: else
                        fi
#endif
                fi
        :: else
        fi;
        if
        :: ran == i -> ran = W
        :: else
        fi;
#ifdef MUTANT_DEATH_UNSEEN
        settled()
#else
        advance()
#endif
}

#if KILLS > 0 || defined(KILL_LATE)
proctype on_member_ended() provided (!todo)
{
        do
        :: d_step { dead[0] && known[0] -> world_on_member_ended(0) }
#if W > 1
        :: d_step { dead[1] && known[1] -> world_on_member_ended(1) }
#endif
#if W > 2
        :: d_step { dead[2] && known[2] -> world_on_member_ended(2) }
#endif
        od
}
#endif

#if BIRTHS > 0
/* Zeros in its command word: its gate is closed, so it counts from the start. It is not frozen before it is
 * admitted: it has no guest code yet, and a frozen one would never be ready. */
proctype birth() provided (!todo)
{
        d_step {
                born[W-1] = 1; known[W-1] = 1; fresh[W-1] = 1; arrived[W-1] = 1;
                advance()
        };
        d_step {
                known[W-1] && fresh[W-1] ->
                fresh[W-1] = 0;
                command_store(W-1);
                advance()
        }
}
#endif

#if defined(MUTANT_RESUME_IN_TWO_EVENTS) || defined(MUTANT_RESUMED_TWICE)
proctype resumed() provided (!todo)
{
        do
        :: d_step {
                opening ->
                opening = 0;
                if
                :: mode == STOPPING -> stop_open(); set_mode(RUN_ALL)
                :: else
                fi;
                advance()
           }
        od
}
#endif

/* ------------------------------------------------------------------------------------------------
 * Kernel and workers
 * ------------------------------------------------------------------------------------------------ */

#ifdef KILL_LATE
#define LATE(i)         (want[i] && !arrived[i] && known[i] && !dead[i])
#else
#define FREEZES(i)      (want[i] && !frozen[i] && !dead[i])
#endif

proctype kernel() provided (!todo)
{
        do
#ifdef NO_FREEZE
        :: NOTHING         /* it may never come to it */
#endif
#ifdef KILL_LATE        /* the deadline kills stragglers instead of freezing them */
        :: d_step { SOME(LATE) -> if :: LATE(0) -> dead[0] = 1 :: else -> dead[1] = 1 fi }
        :: d_step { want[0] && arrived[0] && !frozen[0] && !dead[0] -> frozen[0] = 1 }
        :: d_step { want[1] && arrived[1] && !frozen[1] && !dead[1] -> frozen[1] = 1 }
#else
        :: d_step { FREEZES(0) -> frozen[0] = 1 }
#if W > 1
        :: d_step { FREEZES(1) -> frozen[1] = 1 }
#endif
#if W > 2
        :: d_step { FREEZES(2) -> frozen[2] = 1 }
#endif
#endif
        od
}

#if KILLS > 0
proctype killer() provided (!todo)
{
        do
        :: d_step { kills > 0 && born[0] && !dead[0] -> dead[0] = 1; kills-- }
#if W > 1
        :: d_step { kills > 0 && born[1] && !dead[1] -> dead[1] = 1; kills-- }
#endif
#if W > 2
        :: d_step { kills > 0 && born[2] && !dead[2] -> dead[2] = 1; kills-- }
#endif
        :: else -> break
        od
}
#endif

/* What may never be true while a worker takes a step of guest code: of anybody, and of an honest one. */
inline guest_step(i)
{
        assert(!confirmed[i] || no_guest_step_while_enforced);
        if
        :: !liar[i] ->
                assert(!(holds[i] && (arrived[i] || OPEN(i))) || no_guest_step_while_held);
                assert(!fresh[i] || no_guest_step_before_release);
                assert(mode != STOPPED || no_guest_step_in_stopped_world);
                assert(mode != RUN_ONE || i == runner || run_one_is_exclusive);
                assert(!arrived[i] || no_guest_step_while_counted)
        :: else
        fi
}

/* Takes one of the requests in its channel, parks for it if need be, and answers. */
inline inspect(t)
{
        asked[i] = asked[i] & ~(1 << t);
        if
        :: ws[i] == AWAY && !OPEN(i) && !liar[i] -> ws[i] = PARKED
        :: else
        fi;
        if
#ifdef MUTANT_ANSWER_TAKEN_FOR_ANOTHER
        :: waiting[i] ->
#else
        :: waiting[i] && op == t ->
#endif
                assert(op == t || answer_belongs_to_its_request);
#ifdef MUTANT_FROZEN_NOT_AGAIN
                forgot = forgot | (1 << i);
#endif
                waiting[i] = 0;
                advance()
        :: else
        fi
}

#define MAY_ANSWER(t)   (RUNS(i) && (asked[i] & (1 << t)) && (liar[i] || ws[i] != GUEST || OPEN(i)))

proctype worker(byte i) provided (!todo)
{
        do
#ifdef LTL
        :: NOTHING         /* it may hang */
#endif
        :: d_step { RUNS(i) && (liar[i] || ws[i] == GUEST) -> guest_step(i) }
        :: d_step { RUNS(i) && ws[i] == GUEST -> ws[i] = AWAY }                         /* gate_leave */
        :: d_step { RUNS(i) && ws[i] == GUEST && !OPEN(i) -> ws[i] = PARKED }           /* gate_poll, gate_park */
        :: d_step { RUNS(i) && ws[i] == AWAY && !liar[i] && OPEN(i) -> ws[i] = GUEST }  /* gate_enter */
        :: d_step { RUNS(i) && ws[i] == AWAY && !liar[i] && !OPEN(i) -> ws[i] = PARKED }
        :: d_step { RUNS(i) && ws[i] == PARKED && OPEN(i) -> ws[i] = GUEST }
#if defined(CENSUS0) || defined(CENSUS1) || defined(GC1)
        :: d_step { MAY_ANSWER(0) -> inspect(0) }
#if NT > 1
        :: d_step { MAY_ANSWER(1) -> inspect(1) }
#endif
#if NT > 2
        :: d_step { MAY_ANSWER(2) -> inspect(2) }
#endif
#if NT > 3
        :: d_step { MAY_ANSWER(3) -> inspect(3) }
#endif
#endif
#if LIARS > 0
        :: d_step { RUNS(i) && !liar[i] && !fresh[i] && (i == 0 || LIARS > 1) -> liar[i] = 1; ws[i] = AWAY }
        :: d_step { RUNS(i) && liar[i] -> shown[i] = !shown[i] }
#ifdef MUTANT_FREEZE_UNDONE     /* as after a SIGSTOP that another process of the worker's own can undo */
        :: d_step { frozen[i] && liar[i] && !dead[i] -> guest_step(i) }
#endif
#endif
        od
}

init {
        d_step {
                do
                :: x < W - BIRTHS -> born[x] = 1; known[x] = 1; released[x] = 1; x++
                :: else -> break
                od;
                b = NT
        };
        atomic {
                run daemon();
                run worker(0);
#if W > 1
                run worker(1);
#endif
#if W > 2
                run worker(2);
#endif
                run client(0); run client(1);
                run on_kick(); run on_deadline(); run on_given_up(); run on_frozen(); run on_wait_over(); run on_operation_timeout();
#if GONES > 0
                run on_hold_over();
#endif
#if RUNONES > 0
                run on_runner_still(); run on_run_one_deadline();
#endif
#if KILLS > 0 || defined(KILL_LATE)
                run on_member_ended();
#endif
#if KILLS > 0
                run killer();
#endif
#if BIRTHS > 0
                run birth();
#endif
#if defined(MUTANT_RESUME_IN_TWO_EVENTS) || defined(MUTANT_RESUMED_TWICE)
                run resumed();
#endif
                run kernel()
        }
}

#ifdef LTL
/* Weak fairness of processes (pan -f), which here is fairness of the daemon's event sources and of the kernel. */
#define OUTCOME(t)      (tst[t] != PENDING || !SERVABLE(t) || answered[t])
#define OWNED_BY_GONE   ((control != NT && gone[owner[control]]) || ((holds[0] & 1) && gone[0]) || ((holds[0] & 2) && gone[1]))
ltl stop_ends { [] (mode == STOPPING -> <> (mode != STOPPING || (late && OUTCOME(0) && OUTCOME(1)))) }
ltl stop_completes { [] (mode == STOPPING -> <> (mode != STOPPING)) }   /* where freezing works */
ltl ticket_ends { [] (tst[0] == PENDING -> <> (tst[0] != PENDING || (answered[0] && !IS_OP(0)))) }
ltl second_ticket_ends { [] (tst[1] == PENDING -> <> (tst[1] != PENDING || (answered[1] && !IS_OP(1)))) }
ltl operation_ends { [] (op != NT -> <> (op == NT)) }
ltl resume_ends { [] ((mode == STOPPED && control == NT) -> <> (mode == RUN_ALL || control != NT)) }
ltl lease_ends { [] (OWNED_BY_GONE -> <> !OWNED_BY_GONE) }
#endif

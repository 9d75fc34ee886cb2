/*
 * pause.pml - a VM that pauses by itself, and one that evaluates behind its closed gate: one worker against the
 * daemon, with the store buffers of x86 (TSO), as gate_tso.pml has them.
 *
 * The gate itself is taken from there: one world word, no holds, no kick; the daemon may look at any time instead. What is
 * modelled here is what lies around it: `answered`, the answer on the channel, the bell; `evaluation`, the status that
 * evaluates, the poke that ends it. FENCE_x is the barrier that the C function must have; -DMUTANT_x takes something out.
 */

#ifndef PAUSES
#define PAUSES 2
#endif
#ifndef EVALUATIONS
#define EVALUATIONS 1
#endif
#ifndef STOPS
#define STOPS 2
#endif

/* Violations; see stop.pml. */
bit no_guest_step_in_a_pause, no_guest_step_while_counted, answer_is_there, no_lost_wake;
bit no_evaluation_behind_an_open_gate, no_evaluation_after_its_end_was_seen, evaluation_ends;

mtype = { RUNNING, PARKED, EVALUATING };
mtype = { WORLD, ANSWERED, EVALUATION, BELL, POKE };

/* Memory. */
bit w_open = 1;
byte c_answered, c_evaluation, c_bell;
bit c_poke;
mtype st = RUNNING;
/* Kernel. */
bit asleep;
byte answer;            /* the newest answer in the worker's socket, and */
byte asked;             /* the evaluation that is asked for there */
byte said;              /* pauses that were announced */
byte told;              /* evaluations whose end was told */
/* Daemon, private. */
bit gate_open = 1, counted, ended = 1;
byte answered, evaluation;
/* Ghost: the pause that the worker is in, 0 none. */
byte in_pause;

chan wbuf = [2] of { mtype };
chan dbuf = [5] of { mtype, byte };
#define FENCE_W empty(wbuf)
#define FENCE_D empty(dbuf)

#ifdef MUTANT_NO_FENCE_EVALUATE
#define FENCE_EVALUATE skip
#else
#define FENCE_EVALUATE FENCE_W
#endif
#ifdef MUTANT_NO_FENCE_WITHDRAW
#define FENCE_WITHDRAW skip
#else
#define FENCE_WITHDRAW FENCE_D
#endif

active proctype hardware()
{
        mtype m;
        byte v;

end:    do
        :: atomic { wbuf?m -> st = m; m = 0 }
        :: atomic {
                dbuf?m,v ->
                if
                :: m == WORLD -> w_open = v
                :: m == ANSWERED -> c_answered = v
                :: m == EVALUATION -> c_evaluation = v
                :: m == BELL -> c_bell = v
                :: m == POKE -> c_poke = 1
                fi;
                m = 0; v = 0
           }
        od
}

/* What may never be true while an evaluation takes a step. */
#define EVALUATION_STEP \
        assert(!gate_open || no_evaluation_behind_an_open_gate); \
        assert(!ended || no_evaluation_after_its_end_was_seen)

active proctype worker()
{
        byte pause, bell, got, wants, e;
        bit leave, comes_to_an_end;

        if      /* whether what it evaluates does so by itself */
        :: comes_to_an_end = 1
        :: comes_to_an_end = 0
        fi;

gate_enter:
        wbuf!RUNNING; FENCE_W;
        if
        :: w_open -> goto guest
        :: !w_open -> goto gate_park
        fi;

guest:  /* loops until the interrupt comes, or pauses */
end_guest:
        if
        :: atomic { c_poke ->
                assert(in_pause == 0 || no_guest_step_in_a_pause);
                assert(!counted || no_guest_step_while_counted);
                c_poke = 0 };
           if
           :: w_open -> goto guest
           :: !w_open -> goto gate_park
           fi
        :: atomic { pause < PAUSES ->
                assert(in_pause == 0 || no_guest_step_in_a_pause);
                assert(!counted || no_guest_step_while_counted);
                pause++; in_pause = pause }    /* gate_pause */
           wbuf!PARKED; FENCE_W;
           said = pause;                       /* announce */
           goto gate_park
        fi;

gate_park:
        wbuf!PARKED; FENCE_W;
look:
#ifndef MUTANT_BELL_READ_LATE
        bell = c_bell;
#endif
        /* DRAIN */
        atomic { got = (answer > got -> answer : got); wants = asked; asked = 0 };
        if      /* serve: parked, and asked to evaluate */
        :: wants != 0 ->
                e = wants; wants = 0;
gate_evaluate:
                wbuf!EVALUATING; FENCE_EVALUATE;
evaluates:
                if
                :: c_evaluation != e -> goto gate_evaluated
                :: c_evaluation == e
                fi;
end_evaluates:  /* runs until it comes to its end, if it has one, or is interrupted: then it looks again */
                if
                :: atomic { comes_to_an_end -> EVALUATION_STEP; goto gate_evaluated }
                :: atomic { c_poke -> EVALUATION_STEP; c_poke = 0; goto evaluates }
                fi;
gate_evaluated:
                wbuf!PARKED; FENCE_W;
                atomic { told = e; e = 0 };
                goto look
        :: wants == 0
        fi;
        leave = w_open;
#ifdef MUTANT_LEAVES_UNANSWERED
        if
        :: leave -> goto left
        :: !leave
        fi;
#else
        if
        :: leave && c_answered >= pause -> leave = 0; goto left
        :: else -> leave = 0
        fi;
#endif
#ifdef MUTANT_BELL_READ_LATE
        bell = c_bell;
#endif
        if      /* FUTEX_WAIT: a barrier, and compares in one step */
        :: atomic { FENCE_W && bell == c_bell -> asleep = 1 };
end_park:  (!asleep)
        :: atomic { FENCE_W && bell != c_bell }
        fi;
        goto look;
left:
        if
        :: in_pause != 0 ->
#ifndef MUTANT_NO_DRAIN_AFTER_THE_PARK
                atomic { got = (answer > got -> answer : got) };
#endif
#ifndef MUTANT_LEAVES_UNANSWERED
                atomic { assert(got >= pause || answer_is_there); in_pause = 0 }
#endif
        :: in_pause == 0
        fi;
        goto gate_enter
}

inline ring()
{
        dbuf!BELL,(bells + 1); bells++;
        FENCE_D;                        /* FUTEX_WAKE */
        asleep = 0
}

active proctype daemon()
{
        byte stops, bells, evaluations;

        do
        :: gate_open && stops < STOPS ->        /* stop_close */
                stops++;
                dbuf!WORLD,0; FENCE_D;
                gate_open = 0;
                atomic { counted = (st != RUNNING) };
                if
                :: !counted -> dbuf!POKE,0
                :: counted
                fi
        :: atomic { !gate_open && !counted && st != RUNNING -> counted = 1 }    /* stop_scan */
        :: said > answered ->                   /* AnswerPause, stop_answer */
#ifdef MUTANT_ANSWERED_BEFORE_SENT
                dbuf!ANSWERED,said; FENCE_D;
                answer = said;
                answered = answer;
#else
                answer = said;
                dbuf!ANSWERED,answer;
                answered = answer;
#endif
#ifndef MUTANT_ANSWER_RINGS_NO_BELL
                ring()
#endif
        :: !gate_open && counted && evaluation == 0 && ended && evaluations < EVALUATIONS ->    /* stop_allow */
                evaluations++;
                evaluation = evaluations; ended = 0;
                dbuf!EVALUATION,evaluation; FENCE_D;
                asked = evaluation;
                ring()
        :: !gate_open && evaluation != 0 && told == evaluation ->     /* its answer has come */
                dbuf!EVALUATION,0; FENCE_D;
                evaluation = 0; ended = 1
        :: !gate_open && counted && evaluation != 0 ->  /* stop_withdraw */
                dbuf!EVALUATION,0; FENCE_WITHDRAW;
                evaluation = 0;
                if
                :: atomic { st != EVALUATING -> ended = 1 }
                :: st == EVALUATING ->
#ifndef MUTANT_WITHDRAWN_WITHOUT_A_POKE
                        dbuf!POKE,0
#endif
                fi
#ifdef MUTANT_RESUMED_WITHOUT_WAITING
        :: !gate_open && counted && evaluation == 0 ->
#else
        :: atomic { !gate_open && counted && evaluation == 0 && !ended && st != EVALUATING -> ended = 1 }
        :: !gate_open && counted && evaluation == 0 && ended ->         /* stop_open */
#endif
                counted = 0; gate_open = 1;
                dbuf!WORLD,1; FENCE_D;
                if
                :: st == PARKED -> ring()
                :: st != PARKED
                fi
        :: timeout ->   /* nobody can move: nothing is owed */
                assert(!(asleep && w_open && c_answered >= said) || no_lost_wake);
                assert(!(evaluation == 0 && st == EVALUATING) || evaluation_ends);
                break
        od
}

/*
 * gate_tso.pml - one worker's gate against the daemon, with the store buffers of x86 (TSO).
 *
 * Spin is sequentially consistent, so each side's plain stores go through a FIFO of its own and reach memory
 * when the hardware likes. A full barrier (xchg, mfence, a locked instruction) waits until that FIFO is empty.
 * Neither side reads a word that it writes itself, so store forwarding has nothing to do here.
 * System calls: FUTEX_WAIT and FUTEX_WAKE are full barriers (the kernel's futex hash lock and the barrier
 * before its waiter check); write to the eventfd and poll are taken to be none, which is the worse case.
 *
 * The gate has two words on two pages, world and command, read as gate_is_open() does. Guest code ends by itself
 * LEAVES times, otherwise only by the interrupt that a poke brings (the watcher's futex is taken to work: its wait
 * compares the counter that is bumped before the wake). FENCE_x is the barrier that the C function must have;
 * -DMUTANT_NO_FENCE_x takes it out.
 */

#ifndef ROUNDS
#define ROUNDS 2        /* stops; each is followed by a resume, at the latest when the worker has arrived */
#endif
#ifndef HOLDS
#define HOLDS 0         /* per-VM holds; each may end at any time */
#endif
#ifndef MESSAGES
#define MESSAGES 0
#endif
#ifndef LEAVES
#define LEAVES 2
#endif

bit no_guest_step_while_counted, no_missed_kick, no_lost_wake, message_is_drained;

mtype = { RUNNING, IDLE, BLOCKED, PARKED };

/* Memory. */
byte w_word = 3;        /* world word: epoch << 1 | open */
bit c_released = 1;     /* command page */
byte c_bell;
byte c_kick;
bit c_poke;             /* bumped since the watcher saw it */
mtype st = RUNNING;     /* status word */
/* Kernel. */
bit asleep, efd, channel;
/* Daemon, private. */
bit counted, gate_open = 1, in_stop, held;

mtype = { WORLD, COMMAND, BELL, KICK, POKE };
chan wbuf = [2] of { mtype };           /* worker's store buffer: status values */
chan dbuf = [4] of { mtype, byte };     /* daemon's: word, value */

#define FENCE_W empty(wbuf)
#define FENCE_D empty(dbuf)

#ifdef MUTANT_NO_FENCE_ENTER
#define FENCE_ENTER     skip
#else
#define FENCE_ENTER     FENCE_W
#endif
#ifdef MUTANT_NO_FENCE_LEAVE
#define FENCE_LEAVE     skip
#else
#define FENCE_LEAVE     FENCE_W
#endif
#if defined(MUTANT_NO_FENCE_PARK) || defined(MUTANT_FENCE_PARK_LATE)
#define FENCE_PARK      skip
#else
#define FENCE_PARK      FENCE_W
#endif
#ifdef MUTANT_NO_FENCE_CLOSE
#define FENCE_CLOSE     skip
#else
#define FENCE_CLOSE     FENCE_D
#endif
#ifdef MUTANT_NO_FENCE_KICK
#define FENCE_KICK      skip
#else
#define FENCE_KICK      FENCE_D
#endif
#ifdef MUTANT_NO_FENCE_HOLD
#define FENCE_HOLD      skip
#else
#define FENCE_HOLD      FENCE_D
#endif
#ifdef MUTANT_NO_FENCE_RELEASE
#define FENCE_RELEASE   skip
#else
#define FENCE_RELEASE   FENCE_D
#endif
#ifdef MUTANT_NO_FENCE_MESSAGE
#define FENCE_MESSAGE   skip
#else
#define FENCE_MESSAGE   FENCE_D
#endif
#ifdef MUTANT_NO_FENCE_OPEN
#define FENCE_OPEN      skip
#else
#define FENCE_OPEN      FENCE_D
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
                :: m == WORLD -> w_word = v
                :: m == COMMAND -> c_released = v
                :: m == POKE -> c_poke = 1
                :: m == BELL -> c_bell = v
                :: m == KICK -> c_kick = v
                fi;
                m = 0; v = 0
           }
        od
}

/* gate_is_open() */
#ifdef MUTANT_TORN_READ_WORLD_FIRST
#define GATE_WORDS(yes, no) \
        w = w_word; \
        if \
        :: atomic { (w & 1) && c_released -> w = 0; goto yes } \
        :: atomic { !((w & 1) && c_released) -> w = 0; goto no } \
        fi
#elif defined(MUTANT_TORN_READ_COMMAND_FIRST)
#define GATE_WORDS(yes, no) \
        c = c_released; \
        if \
        :: atomic { c && (w_word & 1) -> c = 0; goto yes } \
        :: atomic { !(c && (w_word & 1)) -> c = 0; goto no } \
        fi
#else
#define GATE_WORDS(yes, no) \
        do \
        :: w = w_word; \
           c = c_released; \
           if \
           :: atomic { w_word != w -> w = 0; c = 0 } \
           :: atomic { w_word == w && (w & 1) && c -> w = 0; c = 0; goto yes } \
           :: atomic { w_word == w && !((w & 1) && c) -> w = 0; c = 0; goto no } \
           fi \
        od
#endif

#define ANSWER_KICK \
        k = c_kick; \
        if \
        :: k != answered -> efd = 1 \
        :: else \
        fi; \
        atomic { answered = k; k = 0 }

/* gate_drain(): no system call while the bell has not moved since it last looked. */
#if MESSAGES > 0
#define DRAIN \
        if \
        :: atomic { b != drained -> channel = 0; drained = b } \
        :: atomic { b == drained } \
        fi
#else
#define DRAIN   skip
#endif

active proctype worker()
{
        byte answered, k, b, w, leaves = LEAVES;
        bit timer, c;
#if MESSAGES > 0
        byte drained = 255;
#endif

        goto guest;

gate_enter:
        wbuf!RUNNING;
        FENCE_ENTER;
gate_poll:
        GATE_WORDS(guest, gate_park);

guest:
        if
        :: atomic { leaves > 0 -> assert(!counted || no_guest_step_while_counted); leaves--; goto gate_leave }
#if MESSAGES > 0
        :: atomic { leaves > 0 -> assert(!counted || no_guest_step_while_counted); leaves--; goto gate_block }
#endif
        :: atomic { c_poke -> assert(!counted || no_guest_step_while_counted); c_poke = 0; goto gate_poll }
        fi;

gate_leave:
        wbuf!IDLE;
        FENCE_LEAVE;
        ANSWER_KICK;
        if
        :: timer = 1
        :: timer = 0
        fi;
        atomic { timer || channel -> timer = 0; channel = 0; goto gate_enter };      /* poll */

#if MESSAGES > 0
gate_block:
        wbuf!BLOCKED;
        FENCE_LEAVE;
        ANSWER_KICK;
        b = c_bell;
        DRAIN;
        FENCE_W;                /* FUTEX_WAIT(bell, b), with a time limit or without */
        if
        :: atomic { c_bell == b -> asleep = 1; b = 0 };
           if
           :: !asleep
           :: asleep = 0
           fi
        :: atomic { c_bell == b -> asleep = 1; b = 0 }; !asleep
        :: atomic { c_bell != b -> b = 0 }
        fi;
        goto gate_enter;
#endif

gate_park:
        wbuf!PARKED;
        FENCE_PARK;
#ifndef MUTANT_FENCE_PARK_LATE
        ANSWER_KICK;
#endif
        b = c_bell;
        DRAIN;
        GATE_WORDS(parked_open, parked_closed);
parked_open:
        atomic { b = 0; goto gate_enter };
parked_closed:
#ifdef MUTANT_FENCE_PARK_LATE   /* good for the kick number, too late for the bell */
        FENCE_W;
        ANSWER_KICK;
#endif
        FENCE_W;                /* FUTEX_WAIT(bell, b) */
        if
        :: atomic { c_bell == b -> asleep = 1; b = 0 }; !asleep
        :: atomic { c_bell != b -> b = 0 }
        fi;
        goto gate_enter
}

#define WORD            (epoch << 1 | (in_stop -> 0 : 1))

active proctype daemon()
{
        byte rounds = ROUNDS, holds = HOLDS, messages = MESSAGES, kick, bell, epoch = 1;
        bit poked;

loop:
        if
        :: atomic { rounds > 0 && !in_stop -> rounds-- }; goto stop_close
        :: atomic { in_stop && (counted || held) }; goto stop_open
        :: atomic { in_stop && rounds > 0 }; goto stop_open     /* cancelled */
        :: atomic { efd -> efd = 0 }; goto stop_scan
#if HOLDS > 0
        :: atomic { holds > 0 && !held -> holds-- }; goto stop_hold
        :: atomic { held }; goto stop_release
#endif
#if MESSAGES > 0
        :: atomic { messages > 0 -> messages--; channel = 1 }; goto stop_message_sent
#endif
        fi;

stop_close:
#ifdef MUTANT_POKE_EARLY
        dbuf!POKE,0;
        poked = 1;
#endif
        atomic { in_stop = 1; epoch++; dbuf!WORLD,WORD; gate_open = 0 };
        FENCE_CLOSE;
        goto stop_scan;

#if HOLDS > 0
stop_hold:
        atomic { dbuf!COMMAND,0; held = 1; gate_open = 0 };
        FENCE_HOLD;
        goto stop_scan;
#endif

stop_scan:
        if
        :: counted || gate_open -> goto loop
        :: else
        fi;
        if
        :: atomic { st != RUNNING -> counted = 1; goto loop }
        :: st == RUNNING
        fi;
        if      /* once for each closing */
        :: !poked -> atomic { dbuf!POKE,0; poked = 1 }
        :: else
        fi;

stop_kick:
        atomic { kick++; dbuf!KICK,kick };
        FENCE_KICK;
        if
        :: atomic { st != RUNNING -> counted = 1 }
        :: st == RUNNING
        fi;
        goto loop;

stop_open:
        atomic {
                in_stop = 0; epoch++; dbuf!WORLD,WORD;
                if
                :: !held -> counted = 0; poked = 0; gate_open = 1
                :: else -> goto loop
                fi
        };
        FENCE_OPEN;
        goto stop_ring;

#if HOLDS > 0
stop_release:
        atomic {
                dbuf!COMMAND,1; held = 0;
                if
                :: !in_stop -> counted = 0; poked = 0; gate_open = 1
                :: else -> goto loop
                fi
        };
        FENCE_RELEASE;
        goto stop_ring;
#endif

stop_ring:
        if
        :: atomic { st == PARKED -> bell++; dbuf!BELL,bell };
           FENCE_D;             /* FUTEX_WAKE */
           asleep = 0
        :: st != PARKED
        fi;
        goto loop;

#if MESSAGES > 0
stop_message_sent:      /* the message went by a system call before */
        atomic { bell++; dbuf!BELL,bell };
        FENCE_MESSAGE;
        if
        :: atomic { st == PARKED || st == BLOCKED };
           FENCE_D;             /* FUTEX_WAKE */
           asleep = 0
        :: st != PARKED && st != BLOCKED
        fi;
        goto loop
#endif
}

/* Nobody can move: then neither side waits for the other. */
active proctype rest()
{
        atomic {
                timeout ->
                assert(!(!gate_open && !counted) || no_missed_kick);
                assert(!(asleep && st == PARKED && gate_open) || no_lost_wake);
                assert(!(asleep && channel) || message_is_drained)
        }
}

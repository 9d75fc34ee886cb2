/*
 * gate_tso.pml - one worker's gate against the daemon, with the store buffers of x86 (TSO).
 *
 * Spin is sequentially consistent, so each side's plain stores go through a FIFO of its own and reach memory
 * when the hardware likes. A full barrier (xchg, mfence, a locked instruction) waits until that FIFO is empty.
 * Neither side reads a word that it writes itself, so store forwarding has nothing to do here.
 * System calls: FUTEX_WAIT and FUTEX_WAKE are full barriers (the kernel's futex hash lock and the barrier
 * before its waiter check); write to the eventfd and poll are taken to be none, which is the worse case.
 *
 * The watcher's interrupt is left out: the running guest polls at any time, and may also loop until it sees
 * the gate closed. FENCE_x is the barrier that the C function must have; -DMUTANT_NO_FENCE_x takes it out.
 */

#ifndef ROUNDS
#define ROUNDS 2        /* stops; each is followed by a resume, at the latest when the worker has arrived */
#endif

bit no_guest_step_while_counted, no_missed_kick, no_lost_wake;

mtype = { RUNNING, IDLE, PARKED };

/* Memory. */
bit w_open = 1;         /* world word */
byte c_bell;            /* command page */
byte c_kick;
mtype st = RUNNING;     /* status word */
/* Kernel. */
bit asleep, efd;
/* Daemon, private. */
bit counted, gate_open = 1, in_stop;

mtype = { WORLD, BELL, KICK };
chan wbuf = [2] of { mtype };           /* worker's store buffer: status values */
chan dbuf = [3] of { mtype, byte };     /* daemon's: word, value */

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
                :: m == WORLD -> w_open = v
                :: m == BELL -> c_bell = v
                :: m == KICK -> c_kick = v
                fi;
                m = 0; v = 0
           }
        od
}

active proctype worker()
{
        byte answered, k, b;
        bit timer;

        goto guest;

gate_enter:
        wbuf!RUNNING;
        FENCE_ENTER;
        if
        :: w_open -> goto guest
        :: !w_open -> goto gate_park
        fi;

guest:
        if
        :: atomic { assert(!counted || no_guest_step_while_counted); goto gate_leave }
        :: atomic { !w_open -> goto gate_park }         /* gate_poll after an interrupt */
        fi;

gate_leave:
        wbuf!IDLE;
        FENCE_LEAVE;
        k = c_kick;
        if
        :: k != answered -> efd = 1
        :: else
        fi;
        atomic { answered = k; k = 0 };
        if
        :: timer = 1
        :: timer = 0
        fi;
        atomic { timer -> timer = 0; goto gate_enter }; /* poll; without a timer it sleeps on */

gate_park:
        wbuf!PARKED;
        FENCE_PARK;
#ifndef MUTANT_FENCE_PARK_LATE
        k = c_kick;
        if
        :: k != answered -> efd = 1
        :: else
        fi;
        atomic { answered = k; k = 0 };
#endif
        b = c_bell;
        if
        :: atomic { w_open -> b = 0; goto gate_enter }
        :: !w_open
        fi;
#ifdef MUTANT_FENCE_PARK_LATE   /* good for the kick number, too late for the bell */
        FENCE_W;
        k = c_kick;
        if
        :: k != answered -> efd = 1
        :: else
        fi;
        atomic { answered = k; k = 0 };
#endif
        FENCE_W;                /* FUTEX_WAIT(bell, b) */
        if
        :: atomic { c_bell == b -> asleep = 1; b = 0 }; !asleep
        :: atomic { c_bell != b -> b = 0 }
        fi;
        goto gate_enter
}

active proctype daemon()
{
        byte rounds = ROUNDS, kick, bell;

loop:
        if
        :: atomic { rounds > 0 && !in_stop -> rounds-- }; goto stop_close
        :: atomic { in_stop && counted }; goto stop_open
        :: atomic { in_stop && rounds > 0 }; goto stop_open     /* cancelled */
        :: atomic { efd -> efd = 0 }; goto stop_scan
        fi;

stop_close:
        atomic { dbuf!WORLD,0; gate_open = 0; in_stop = 1 };
        FENCE_CLOSE;

stop_scan:
        if
        :: counted || gate_open -> goto loop
        :: else
        fi;
        if
        :: atomic { st != RUNNING -> counted = 1; goto loop }
        :: st == RUNNING
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
        atomic { dbuf!WORLD,1; counted = 0; gate_open = 1; in_stop = 0 };
        FENCE_OPEN;
        if
        :: atomic { st == PARKED -> bell++; dbuf!BELL,bell };
           FENCE_D;             /* FUTEX_WAKE */
           asleep = 0
        :: st != PARKED
        fi;
        goto loop
}

/* Nobody can move: then neither side waits for the other. */
active proctype rest()
{
        atomic {
                timeout ->
                assert(!(in_stop && !counted) || no_missed_kick);
                assert(!(asleep && gate_open) || no_lost_wake)
        }
}

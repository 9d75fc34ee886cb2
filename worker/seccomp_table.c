#include "worker/seccomp_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* A row whose arguments do not matter. */
#define ANY(call, who)                                                                             \
    {                                                                                              \
        .number = SYS_##call, .name = #call, .rule = "any", .caller = who                          \
    }
/* A row in which argument `n` has to look like one of the choices. */
#define RULE(call, who, n, words, ...)                                                             \
    {                                                                                              \
        .number = SYS_##call, .name = #call, .arg = n, .choices = {__VA_ARGS__},                   \
        .n_choices =                                                                               \
            sizeof((struct seccomp_choice[]){__VA_ARGS__}) / sizeof(struct seccomp_choice),        \
        .rule = words, .caller = who                                                               \
    }
#define REFUSED(call, error, who)                                                                  \
    {                                                                                              \
        .number = SYS_##call, .name = #call, .refuse_errno = error,                                \
        .rule = "refused with " #error, .caller = who                                              \
    }

/* Choices: exactly this value; or this value with any of these bits. */
#define IS(value)                                                                                  \
    {                                                                                              \
        UINT64_MAX, value                                                                          \
    }
#define WITH(bits, value)                                                                          \
    {                                                                                              \
        ~(uint64_t)(bits), value                                                                   \
    }

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#define RECEIVE_FLAGS (MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
#define FUTEX_FLAGS (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
#define MMAP_FLAGS (MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE)
#define NOT_W_AND_X "prot without WRITE and EXEC together"
#define W_XOR_X WITH(PROT_READ | PROT_WRITE, 0), WITH(PROT_READ, PROT_EXEC)

const struct seccomp_row seccomp_table[] = {
    ANY(read, "dispatch: wake eventfd"),
    ANY(write, "gate: kick eventfd; host: wake eventfd"),
    ANY(close, "daemon_channel: received memfds"),
    RULE(sendmsg, "daemon_channel: facts", 2, "flags = DONTWAIT|NOSIGNAL", IS(SEND_FLAGS)),
    RULE(recvmsg, "daemon_channel: commands", 2, "flags = DONTWAIT|CMSG_CLOEXEC",
         IS(RECEIVE_FLAGS)),
    ANY(ppoll, "dispatch: idle; daemon_channel: a slow reader"),
    RULE(fcntl, "fd_memfd_map", 1, "cmd = GET_SEALS", IS(F_GET_SEALS)),
    ANY(fstat, "fd_memfd_map, where libc uses it"),
    RULE(newfstatat, "fd_memfd_map, where libc uses it", 3, "flags = EMPTY_PATH",
         IS(AT_EMPTY_PATH)),
    /* Private and no stack: such memory counts against RLIMIT_DATA as soon as it can be written. */
    {.number = SYS_mmap,
     .name = "mmap",
     .arg = 2,
     .n_choices = 2,
     .choices = {W_XOR_X},
     .also_arg = 3,
     .also = WITH(MMAP_FLAGS, MAP_PRIVATE),
     .rule = NOT_W_AND_X "; PRIVATE",
     .caller = "engine: heap, JIT code; fd_memfd_map"},
    ANY(munmap, "engine: heap; fd_memfd_unmap"),
    RULE(mprotect, "engine: JIT code; malloc", 2, NOT_W_AND_X, W_XOR_X),
    RULE(madvise, "engine: GC; malloc; ends of threads", 2, "advice = DONTNEED, FREE",
         IS(MADV_DONTNEED), IS(MADV_FREE)),
    RULE(mremap, "malloc; engine: GC", 3, "flags = MAYMOVE, FIXED",
         WITH(MREMAP_MAYMOVE | MREMAP_FIXED, 0)),
    ANY(brk, "malloc"),
    RULE(futex, "gate: bell, poke; engine: locks", 1, "op = WAIT, WAKE, WAIT_BITSET",
         WITH(FUTEX_FLAGS, FUTEX_WAIT), WITH(FUTEX_FLAGS, FUTEX_WAKE),
         WITH(FUTEX_FLAGS, FUTEX_WAIT_BITSET)),
    ANY(getrandom, "wasi: random_get; engine: seeds, mmap hints"),
    ANY(getrusage, "engine: GC pacing"),
    ANY(rt_sigreturn, "engine: WebAssembly traps; safepoint: nudge"),
    RULE(rt_sigaction, "engine: its trap handler, to die of what is no trap", 0,
         "signal = SEGV, BUS, ILL", IS(SIGSEGV), IS(SIGBUS), IS(SIGILL)),
    ANY(rt_sigprocmask, "libc: end of a thread"),
    ANY(clock_gettime, "clocks that the vDSO has not"),
    ANY(sched_yield, "wasi: sched_yield; engine: spin locks; safepoint: nudge"),
    ANY(restart_syscall, "kernel: ppoll and futex after a freeze or stop"),
    ANY(exit, "engine: end of a helper thread"),
    ANY(exit_group, "end of the worker"),
    REFUSED(openat, EACCES, "libc: locale and time zone files, which are not there"),
};

const size_t seccomp_table_rows = sizeof seccomp_table / sizeof *seccomp_table;

_Static_assert(sizeof seccomp_table / sizeof *seccomp_table <= 28, "settled: at most 28 in all");

/*
 * The acts, one a line of a program:
 *
 *   print TEXT                 a line on stdout
 *   x64 NUMBER [ARGUMENTS]     that system call; "returned N", negative errno
 *   x32 NUMBER [ARGUMENTS]     likewise with the x32 bit
 *   i386 NUMBER                by int 0x80
 *   helper ACT                 does that act on a second thread, and waits for it
 *   apart ACT                  does that act on a second thread, and goes on
 *   fds                        which descriptors there are, and of what kind
 *   sandbox                    what was tried before lockdown (a VM with --debug)
 *   hog KIND                   takes memory by private, shared, memfd, locked (written, then made
 *                              read-only), tables (of pages that were only read), brk or stack
 *   spin                       computes for ever; interrupts change nothing
 *   idle                       from now on it does not end by itself
 *   deaf                       sleeps for ever, and reads nothing
 *   sip                        reads its channel, a packet a second
 *   say STATE EPOCH            writes its status word: a state by number; an epoch by number, or
 *                              now, or now+N, now-N
 *   obey COUNT                 says parked whenever its gate closes, and runs on; COUNT times
 *   field NAME VALUE           writes a field of its status page
 *   garbage                    random bytes into its status page at full speed, for ever
 *   race                       two states in turn at full speed, with all other fields
 *   kick COUNT                 writes its eventfd so often; 0: for ever
 *   grow                       makes the mapping of its status page larger, and stores there
 *   write PAGE · unlock PAGE   stores into "world" or "command", makes it writable
 *   fact HEX                   sends a fact that is this, with its right number before it
 *   numbered N HEX             likewise, with that number added to the right one
 *   packet HEX                 sends this packet as it is
 *   with KIND COUNT HEX        a fact with so many descriptors: null, event, channel; and, made
 * before lockdown in a VM with --debug, pidfd, memfd flood SECONDS HEX          sends that fact
 * again and again, and does not read chat SECONDS HEX           writes that text again and again,
 * and waits as an honest program does serve COUNT                says yes to so many inspections
 * without doing anything answer COUNT HEX           answers them with this InspectedBody block
 * blocks all signals die HOW                    segv, ill, bus, stack, trap, fpe storm faults again
 * and again, with a handler that returns leader                     the main thread ends; a second
 * one spins on exited                     says that it has exited, and runs on
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/limits.h"
#include "proto/worker.pb-c.h"
#include "tests/hostile/hostile.h"
#include "worker/sandbox.h"

#define MANY_FDS 250 /* SCM_MAX_FD is 253 */
#define X32_BIT 0x40000000
#define MIB (1024u * 1024)

int act_say(struct engine *e, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return e->config.host_ops->write(e->config.host, ENGINE_STDOUT, ENGINE_LEVEL_LOG, text,
                                     strlen(text));
}

static struct status_page *status(const struct engine *e)
{
    return e->host->safepoint->gate.status;
}

static uint64_t epoch(const struct engine *e)
{
    return shm_world_epoch(SHM_LOAD(&e->host->safepoint->gate.world->word));
}

static void pause_ms(unsigned ms)
{
    _Atomic uint32_t nobody = 0;
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    syscall(SYS_futex, &nobody, FUTEX_WAIT_PRIVATE, 0, ms ? &ts : NULL, NULL, 0);
}

static _Noreturn void spin(void)
{
    for (;;)
        atomic_signal_fence(memory_order_seq_cst);
}

/* ---- system calls */

static long raw(long number, const long a[6])
{
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

static int make_call(struct engine *e, const char *rest, long bit)
{
    long a[7] = {0};
    char *at = (char *)(uintptr_t)rest;
    for (int i = 0; i < 7 && *at; i++)
        a[i] = (long)strtoull(at, &at, 0);
    long r = raw(a[0] | bit, a + 1);
    return act_say(e, "returned %ld", r);
}

static int do_x64(struct engine *e, const char *rest)
{
    return make_call(e, rest, 0);
}

static int do_x32(struct engine *e, const char *rest)
{
    return make_call(e, rest, X32_BIT);
}

static int do_i386(struct engine *e, const char *rest)
{
    long r;
    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(strtol(rest, NULL, 0)), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                     : "r8", "r9", "r10", "r11", "memory");
    return act_say(e, "returned %ld", r);
}

static int start_helper(struct engine *e, const char *rest)
{
    e->helper_act = act_run;
    e->helper_rest = rest;
    sem_post(&e->helper_go);
    return 0;
}

/* A thread that ends by its act leaves nobody to wait for. */
static int do_helper(struct engine *e, const char *rest)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    start_helper(e, rest);
    int r;
    do
        r = sem_timedwait(&e->helper_done, &until);
    while (r < 0 && errno == EINTR);
    return act_say(e, r == 0 ? "helper is back" : "helper is not back");
}

static int do_apart(struct engine *e, const char *rest)
{
    start_helper(e, strdup(rest));
    return 0;
}

/* ---- what there is */

static int do_fds(struct engine *e, const char *rest)
{
    (void)rest;
    for (int fd = 0; fd < 1024; fd++) {
        struct stat st;
        if (syscall(SYS_fcntl, fd, F_GET_SEALS) >= 0)
            act_say(e, "fd %d is a memfd", fd);
        if (fstat(fd, &st) < 0)
            continue;
        const char *kind = S_ISCHR(st.st_mode)    ? "device"
                           : S_ISSOCK(st.st_mode) ? "socket"
                           : S_ISDIR(st.st_mode)  ? "directory"
                           : S_ISREG(st.st_mode)  ? "file"
                           : S_ISFIFO(st.st_mode) ? "pipe"
                                                  : "anonymous";
        act_say(e, "fd %d is a %s", fd, kind);
    }
    return 0;
}

static int do_sandbox(struct engine *e, const char *rest)
{
    (void)rest;
    char *copy = e->pre ? strdup(e->pre) : NULL;
    for (char *at = copy, *line; at && (line = strsep(&at, "\n")) != NULL;)
        if (*line)
            act_say(e, "%s", line);
    free(copy);
    return 0;
}

static void tell(FILE *out, const char *what, long r)
{
    fprintf(out, "%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "done");
}

static int connect_abstract(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "\0/tmp/.X11-unix/X0"};
    int r = fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, sizeof to);
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return r;
}

char *act_probe_sandbox(struct engine *e)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    struct iovec here = {.iov_base = &size, .iov_len = sizeof size}, there = here;
    static const char *const files[] = {"/etc/passwd", "/proc/self/status", "/dev/null",
                                        "/sys",        "../../etc/passwd",  "/new"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char what[64];
        snprintf(what, sizeof what, "open %s", files[i]);
        tell(out, what, open(files[i], O_RDONLY | O_CLOEXEC));
    }
    /* The first only an empty root refuses (the zygote has no more than this in its own), the
     * second only Landlock. */
    struct stat st;
    tell(out, "stat /proc", stat("/proc", &st));
    tell(out, "open /", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    tell(out, "create /new", open("/new", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    tell(out, "mkdir /new", mkdir("/new", 0700));
    tell(out, "execve /bin/sh", execl("/bin/sh", "sh", (char *)NULL));
    int found = 0, others = 0;
    for (pid_t pid = 2; pid < 4000000; pid = pid < 300 ? pid + 1 : pid + 997) {
        /* Threads of our own have numbers, too; those do not count as processes. */
        found += pid != getpid() && kill(pid, 0) == 0 && syscall(SYS_tgkill, 1, pid, 0) < 0;
        others +=
            process_vm_readv(pid, &here, 1, &there, 1, 0) > 0 && syscall(SYS_tgkill, 1, pid, 0) < 0;
    }
    fprintf(out, "processes seen: %d\nprocesses read: %d\n", found, others);
    fprintf(out, "own pid: %d\n", (int)getpid());
    struct utsname names;
    fprintf(out, "name of the host: %s\n", uname(&names) == 0 ? names.nodename : "");
    tell(out, "kill everybody", kill(-1, 0));
    tell(out, "ptrace", ptrace(PTRACE_ATTACH, 2, NULL, NULL));
    tell(out, "setuid 0", setuid(0));
    tell(out, "mount", mount("none", "/", "tmpfs", 0, NULL));
    tell(out, "chroot", chroot("/"));
    tell(out, "abstract socket", connect_abstract());
    tell(out, "dumpable", prctl(PR_GET_DUMPABLE) == 0 ? 0 : -1);
    e->pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    e->memfd = fd_memfd_new("sealed", "1", 1);
    fclose(out);
    return text;
}

/* ---- memory and time */

/* Half a GiB that is read in each two MiB: a MiB of page tables for it, and nothing resident. */
#define SPARSE_BYTES (512ul * MIB)
#define MOST_TABLES 2048u /* were nobody to end it */

static void read_sparsely(const volatile char *p)
{
    for (size_t i = 0; p != MAP_FAILED && i < SPARSE_BYTES; i += 2 * MIB)
        (void)p[i];
}

static int do_hog(struct engine *e, const char *rest)
{
    for (unsigned n = 0;; n++) {
        char *p = MAP_FAILED;
        if (strcmp(rest, "private") == 0) {
            p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        } else if (strcmp(rest, "shared") == 0) {
            p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        } else if (strcmp(rest, "brk") == 0) {
            p = sbrk(MIB);
        } else if (strcmp(rest, "stack") == 0) {
            p = alloca(MIB);
        } else if (strcmp(rest, "memfd") == 0) {
            (void)memfd_create("hog", MFD_CLOEXEC);
        } else if (strcmp(rest, "tables") == 0) {
            if (n == MOST_TABLES)
                return act_say(e, "no more after %u steps: enough", n);
            read_sparsely(mmap(NULL, SPARSE_BYTES, PROT_READ,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
            continue;
        } else {
            /* What cannot be written does not count against RLIMIT_DATA. */
            p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p != MAP_FAILED) {
                memset(p, 1, MIB);
                mprotect(p, MIB, PROT_READ);
                continue;
            }
        }
        if (p == MAP_FAILED)
            return act_say(e, "no more after %u steps: %s", n, strerrorname_np(errno));
        for (size_t i = 0; i < MIB; i += 4096)
            ((volatile char *)p)[i] = 1;
    }
}

static _Noreturn int do_spin(struct engine *e, const char *rest)
{
    (void)e, (void)rest;
    spin();
}

static int do_idle(struct engine *e, const char *rest)
{
    (void)rest;
    e->idle = true;
    return 0;
}

static _Noreturn int do_deaf(struct engine *e, const char *rest)
{
    (void)e, (void)rest;
    for (;;)
        pause_ms(0);
}

static _Noreturn int do_sip(struct engine *e, const char *rest)
{
    (void)rest;
    for (;;) {
        uint8_t byte;
        int fds[FD_MAX_PASSED];
        size_t n = FD_MAX_PASSED;
        (void)fd_receive(e->host->channel->fd, &byte, 1, fds, &n);
        pause_ms(1000);
    }
}

/* ---- shared pages */

static uint64_t epoch_of(const struct engine *e, const char *text)
{
    if (strncmp(text, "now", 3) != 0)
        return strtoull(text, NULL, 0);
    return epoch(e) + (uint64_t)strtoll(text + 3, NULL, 0);
}

static int do_say(struct engine *e, const char *rest)
{
    char *at;
    unsigned long state = strtoul(rest, &at, 0);
    uint64_t word = shm_status_word(epoch_of(e, at + (*at == ' ')), SHM_RUNNING);
    SHM_XCHG(&status(e)->word, (word & ~UINT64_C(0xff)) | (state & 0xff));
    return 0;
}

static int do_obey(struct engine *e, const char *rest)
{
    const struct gate *g = &e->host->safepoint->gate;
    for (long n = strtol(rest, NULL, 0); n > 0; n--) {
        while (gate_is_open(g))
            sched_yield();
        SHM_XCHG(&status(e)->word, shm_status_word(epoch(e), SHM_PARKED));
        uint64_t one = 1;
        (void)!write(SANDBOX_FD_KICK, &one, sizeof one);
        while (!gate_is_open(g))
            atomic_signal_fence(memory_order_seq_cst);
        SHM_XCHG(&status(e)->word, shm_status_word(epoch(e), SHM_RUNNING));
    }
    return 0;
}

static int do_field(struct engine *e, const char *rest)
{
    struct status_page *s = status(e);
    const struct {
        const char *name;
        _Atomic uint64_t *at;
    } fields[] = {
        {"word", &s->word},
        {"parked_ns", &s->parked_ns},
        {"last_fact", &s->last_fact},
        {"lost_wakes", &s->lost_wakes},
        {"messages_taken", &s->messages_taken},
        {"pause", &s->pause},
    };
    size_t len = strcspn(rest, " ");
    uint64_t value = strtoull(rest + len, NULL, 0);
    if (strncmp(rest, "oom", len) == 0)
        atomic_store(&s->oom, (uint32_t)value);
    if (strncmp(rest, "takes_signals", len) == 0)
        atomic_store(&s->takes_signals, (uint32_t)value);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].name) == len && strncmp(fields[i].name, rest, len) == 0)
            atomic_store(fields[i].at, value);
    return 0;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static _Noreturn int do_garbage(struct engine *e, const char *rest)
{
    volatile uint64_t *words = (volatile uint64_t *)(void *)status(e);
    uint64_t random = strtoull(rest, NULL, 0) * 2 + 88172645463325252u;
    for (;;)
        for (size_t i = 0; i < SHM_PAGE_BYTES / sizeof *words; i++)
            words[i] = next_random(&random);
}

static _Noreturn int do_race(struct engine *e, const char *rest)
{
    (void)rest;
    struct status_page *s = status(e);
    for (uint64_t n = 0;; n++) {
        uint64_t now = epoch(e), wild = n & 1 ? UINT64_MAX : 0;
        atomic_store(&s->word, shm_status_word(now, n & 1 ? SHM_PARKED : SHM_RUNNING));
        atomic_store(&s->parked_ns, wild);
        atomic_store(&s->last_fact, wild);
        atomic_store(&s->messages_taken, wild);
        atomic_store(&s->pause, wild);
        atomic_store(&s->takes_signals, (uint32_t)wild);
        atomic_store(&s->word, shm_status_word(now, n & 2 ? SHM_EVALUATING : SHM_STARTING));
    }
}

static int do_kick(struct engine *e, const char *rest)
{
    (void)e;
    uint64_t one = 1;
    for (long n = strtol(rest, NULL, 0), i = 0; n == 0 || i < n; i++)
        (void)!write(SANDBOX_FD_KICK, &one, sizeof one);
    return 0;
}

static int do_grow(struct engine *e, const char *rest)
{
    (void)rest;
    void *p = mremap(status(e), SHM_PAGE_BYTES, 4 * SHM_PAGE_BYTES, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return act_say(e, "not larger: %s", strerrorname_np(errno));
    /* Beyond the end of the file: a fault of its own. */
    ((volatile char *)p)[2 * SHM_PAGE_BYTES] = 1;
    return act_say(e, "wrote beyond its page");
}

static void *page(const struct engine *e, const char *name)
{
    const struct gate *g = &e->host->safepoint->gate;
    return (void *)(uintptr_t)(strcmp(name, "world") == 0 ? (const void *)g->world
                                                          : (const void *)g->command);
}

static int do_write(struct engine *e, const char *rest)
{
    *(volatile uint64_t *)page(e, rest) = UINT64_MAX;
    return act_say(e, "wrote its %s page", rest);
}

static int do_unlock(struct engine *e, const char *rest)
{
    int r = mprotect(page(e, rest), SHM_PAGE_BYTES, PROT_READ | PROT_WRITE);
    return act_say(e, "unlock %s: %s", rest, r < 0 ? strerrorname_np(errno) : "done");
}

/* ---- the channel */

static size_t from_hex(const char *hex, uint8_t *bytes, size_t max)
{
    size_t n = 0;
    for (; n < max && hex[0] && hex[1]; hex += 2, n++) {
        const char two[] = {hex[0], hex[1], '\0'};
        bytes[n] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

static size_t put_number(uint8_t *to, uint64_t number)
{
    size_t n = 0;
    to[n++] = 0x08; /* field 1, a varint */
    for (; number >= 0x80; number >>= 7)
        to[n++] = (uint8_t)(number | 0x80);
    to[n++] = (uint8_t)number;
    return n;
}

static int send_packet(struct engine *e, const uint8_t *data, size_t len, const int *fds,
                       size_t n_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * MANY_FDS)];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    for (;;) {
        if (sendmsg(e->host->channel->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        struct pollfd p = {.fd = e->host->channel->fd, .events = POLLOUT};
        (void)ppoll(&p, 1, NULL, NULL);
    }
}

/* The worker numbers its own facts after ours. */
static int send_fact(struct engine *e, const char *hex, int64_t off, const int *fds, size_t n_fds)
{
    static uint8_t packet[2 * LIMIT_PACKET_BYTES];
    size_t n = put_number(packet, ++e->host->channel->last_seq + (uint64_t)off);
    n += from_hex(hex, packet + n, sizeof packet - n);
    return send_packet(e, packet, n, fds, n_fds);
}

static int do_fact(struct engine *e, const char *rest)
{
    (void)send_fact(e, rest, 0, NULL, 0);
    return 0;
}

static int do_numbered(struct engine *e, const char *rest)
{
    char *at;
    int64_t off = strtoll(rest, &at, 0);
    (void)send_fact(e, at + (*at == ' '), off, NULL, 0);
    return 0;
}

static int do_packet(struct engine *e, const char *rest)
{
    static uint8_t packet[2 * LIMIT_PACKET_BYTES];
    size_t n = from_hex(rest, packet, sizeof packet);
    (void)send_packet(e, packet, n, NULL, 0);
    return 0;
}

static int make_fd(const struct engine *e, const char *kind)
{
    if (strcmp(kind, "null") == 0)
        return 0;
    if (strcmp(kind, "event") == 0)
        return SANDBOX_FD_KICK;
    if (strcmp(kind, "channel") == 0)
        return SANDBOX_FD_CHANNEL;
    if (strcmp(kind, "pidfd") == 0)
        return e->pidfd;
    return e->memfd;
}

static int do_with(struct engine *e, const char *rest)
{
    char kind[16] = "";
    int fds[MANY_FDS], at = 0;
    unsigned count = 0;
    if (sscanf(rest, "%15s %u %n", kind, &count, &at) < 2 || count > MANY_FDS)
        return -EINVAL;
    int fd = make_fd(e, kind);
    for (unsigned i = 0; i < count; i++)
        fds[i] = fd;
    int r = send_fact(e, rest + at, 0, fds, count);
    return r < 0 ? act_say(e, "not sent: %s", strerrorname_np(-r)) : 0;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int do_flood(struct engine *e, const char *rest)
{
    char *at;
    uint64_t until = now_ns() + strtoull(rest, &at, 0) * 1000000000u;
    static uint8_t packet[2 * LIMIT_PACKET_BYTES], body[LIMIT_PACKET_BYTES];
    size_t len = from_hex(at + (*at == ' '), body, sizeof body);
    do {
        size_t n = put_number(packet, ++e->host->channel->last_seq);
        memcpy(packet + n, body, len);
        if (send_packet(e, packet, n + len, NULL, 0) < 0)
            break;
    } while (now_ns() < until);
    return 0;
}

static int do_chat(struct engine *e, const char *rest)
{
    char *at;
    uint64_t until = now_ns() + strtoull(rest, &at, 0) * 1000000000u;
    static uint8_t text[LIMIT_PACKET_BYTES];
    size_t len = from_hex(at + (*at == ' '), text, sizeof text);
    int r = 0;
    while (r == 0 && now_ns() < until)
        r = e->config.host_ops->write(e->config.host, ENGINE_STDOUT, ENGINE_LEVEL_RAW,
                                      (const char *)text, len);
    return r;
}

static int serve(struct engine *e, long count, const char *hex)
{
    static uint8_t packet[LIMIT_PACKET_BYTES], body[LIMIT_PACKET_BYTES];
    size_t len = from_hex(hex, body, sizeof body);
    while (count > 0) {
        int fds[FD_MAX_PASSED];
        size_t n_fds = FD_MAX_PASSED;
        ssize_t n = fd_receive(e->host->channel->fd, packet, sizeof packet, fds, &n_fds);
        if (n == -EAGAIN) {
            struct pollfd p = {.fd = e->host->channel->fd, .events = POLLIN};
            (void)ppoll(&p, 1, NULL, NULL);
            continue;
        }
        Stillpoint__Worker__Command *m =
            n > 0 ? stillpoint__worker__command__unpack(NULL, (size_t)n, packet) : NULL;
        if (!m)
            return -EPIPE;
        if (m->body_case == STILLPOINT__WORKER__COMMAND__BODY_INSPECT) {
            Stillpoint__Worker__Inspected answer = STILLPOINT__WORKER__INSPECTED__INIT;
            Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
            answer.has_request = true;
            answer.request = m->inspect->request;
            if (len > 0)
                answer.body = stillpoint__worker__inspected_body__unpack(NULL, len, body);
            fact.body_case = STILLPOINT__WORKER__FACT__BODY_INSPECTED;
            fact.inspected = &answer;
            (void)daemon_channel_send(e->host->channel, &fact);
            count--;
        }
        stillpoint__worker__command__free_unpacked(m, NULL);
        while (n_fds > 0)
            close(fds[--n_fds]);
    }
    return 0;
}

static int do_serve(struct engine *e, const char *rest)
{
    return serve(e, strtol(rest, NULL, 0), "");
}

static int do_answer(struct engine *e, const char *rest)
{
    char *at;
    long count = strtol(rest, &at, 0);
    return serve(e, count, at + (*at == ' '));
}

/* ---- ends */

static int do_block(struct engine *e, const char *rest)
{
    (void)rest;
    uint64_t all = UINT64_MAX;
    long r = syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, sizeof all);
    return act_say(e, "blocked: %ld", r);
}

static volatile unsigned deepest = UINT_MAX;

static unsigned deeper(unsigned n)
{
    volatile char here[4096];
    here[0] = (char)n;
    return n == deepest ? 0 : deeper(n + 1) + (unsigned)here[0];
}

/* The compiler is not to know that it is nobody's. */
static volatile char *volatile nobodys = (volatile char *)16;

static int do_die(struct engine *e, const char *rest)
{
    (void)e;
    volatile int zero = 0;
    if (strcmp(rest, "segv") == 0)
        *nobodys = 1;
    if (strcmp(rest, "ill") == 0)
        __builtin_trap();
    if (strcmp(rest, "trap") == 0)
        __asm__ volatile("int3");
    if (strcmp(rest, "fpe") == 0)
        zero = 100 / zero;
    if (strcmp(rest, "stack") == 0)
        return (int)deeper(0);
    if (strcmp(rest, "bus") == 0)
        return do_grow(e, "");
    return zero;
}

static void on_fault(int number)
{
    (void)number; /* and the same instruction again */
}

static int do_storm(struct engine *e, const char *rest)
{
    (void)rest;
    signal(SIGSEGV, on_fault);
    act_say(e, "faults from now on");
    *nobodys = 1;
    return 0;
}

static _Noreturn int do_leader(struct engine *e, const char *rest)
{
    (void)rest;
    act_say(e, "the main thread ends");
    start_helper(e, "spin");
    static const long none[6];
    for (;;)
        raw(SYS_exit, none);
}

static _Noreturn int do_exited(struct engine *e, const char *rest)
{
    (void)rest;
    Stillpoint__Worker__Exiting exiting = STILLPOINT__WORKER__EXITING__INIT;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    exiting.has_reason = exiting.has_code = true;
    exiting.reason = 1;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_EXITING;
    fact.exiting = &exiting;
    (void)daemon_channel_send(e->host->channel, &fact);
    spin();
}

static int do_print(struct engine *e, const char *rest)
{
    return act_say(e, "%s", rest);
}

const struct act acts[] = {
    {"print", do_print},   {"x64", do_x64},           {"x32", do_x32},         {"i386", do_i386},
    {"helper", do_helper}, {"apart", do_apart},       {"fds", do_fds},         {"hog", do_hog},
    {"spin", do_spin},     {"idle", do_idle},         {"deaf", do_deaf},       {"sip", do_sip},
    {"say", do_say},       {"obey", do_obey},         {"field", do_field},     {"race", do_race},
    {"kick", do_kick},     {"garbage", do_garbage},   {"grow", do_grow},       {"write", do_write},
    {"unlock", do_unlock}, {"fact", do_fact},         {"with", do_with},       {"flood", do_flood},
    {"chat", do_chat},     {"numbered", do_numbered}, {"packet", do_packet},   {"serve", do_serve},
    {"answer", do_answer}, {"block", do_block},       {"die", do_die},         {"storm", do_storm},
    {"leader", do_leader}, {"exited", do_exited},     {"sandbox", do_sandbox}, {NULL, NULL},
};

int act_run(struct engine *e, const char *line)
{
    size_t len = strcspn(line, " ");
    if (len == 0)
        return 0;
    for (const struct act *a = acts; a->name; a++)
        if (strlen(a->name) == len && strncmp(a->name, line, len) == 0)
            return a->run(e, line + len + (line[len] == ' '));
    act_say(e, "no such act: %s", line);
    return -EINVAL;
}

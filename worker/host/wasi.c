#include "worker/host/wasi.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "proto/limits.h"
#include "worker/host/host.h"

#define NS 1000000000u
/* Between two chunks of random bytes the VM can be held. */
#define RANDOM_CHUNK 65536u
/* More subscriptions or buffers than this in one call are a mistake. */
#define VECTORS_MAX 1024u

/* __wasi_errno_t */
enum {
    OK = 0,
    AGAIN = 6,
    BADF = 8,
    FAULT = 21,
    INVAL = 28,
    IO = 29,
    NOSYS = 52,
    SPIPE = 70,
};

enum { CLOCK_WASI_REALTIME, CLOCK_WASI_MONOTONIC, CLOCK_WASI_PROCESS, CLOCK_WASI_THREAD };

/* One call: its arguments, and the memory that its pointers point into. */
struct call {
    struct host *host;
    const uint64_t *args;
    uint8_t *memory;
    size_t memory_bytes;
    uint32_t exit_code; /* proc_exit */
};

/* ---- guest memory; the guest is little-endian, and so are the machines that we run on */

static uint8_t *at(const struct call *c, uint64_t pointer, uint64_t bytes)
{
    if (!c->memory || pointer > c->memory_bytes || bytes > c->memory_bytes - pointer)
        return NULL;
    return c->memory + pointer;
}

static bool put_u32(const struct call *c, uint64_t pointer, uint32_t value)
{
    uint8_t *p = at(c, pointer, sizeof value);
    if (p)
        memcpy(p, &value, sizeof value);
    return p != NULL;
}

static bool put_u64(const struct call *c, uint64_t pointer, uint64_t value)
{
    uint8_t *p = at(c, pointer, sizeof value);
    if (p)
        memcpy(p, &value, sizeof value);
    return p != NULL;
}

static uint32_t load_u32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* ---- arguments and environment */

static unsigned args_sizes_get(struct call *c)
{
    const struct wasi *w = &c->host->wasi;
    size_t bytes = 0;
    for (size_t i = 0; i < w->argc; i++)
        bytes += strlen(w->argv[i]) + 1;
    return put_u32(c, c->args[0], (uint32_t)w->argc) && put_u32(c, c->args[1], (uint32_t)bytes)
               ? OK
               : FAULT;
}

static unsigned args_get(struct call *c)
{
    const struct wasi *w = &c->host->wasi;
    uint64_t text = c->args[1];
    for (size_t i = 0; i < w->argc; i++) {
        size_t bytes = strlen(w->argv[i]) + 1;
        uint8_t *p = at(c, text, bytes);
        if (!p || !put_u32(c, c->args[0] + 4 * i, (uint32_t)text))
            return FAULT;
        memcpy(p, w->argv[i], bytes);
        text += bytes;
    }
    return OK;
}

static unsigned environ_sizes_get(struct call *c)
{
    return put_u32(c, c->args[0], 0) && put_u32(c, c->args[1], 0) ? OK : FAULT;
}

static unsigned environ_get(struct call *c)
{
    (void)c;
    return OK;
}

/* ---- clocks */

static uint64_t system_clock_ns(clockid_t id)
{
    struct timespec ts = {0};
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static bool clock_now_ns(struct host *h, uint64_t id, uint64_t *ret)
{
    switch (id) {
    case CLOCK_WASI_REALTIME:
        *ret = system_clock_ns(CLOCK_REALTIME);
        return true;
    case CLOCK_WASI_MONOTONIC:
        *ret = safepoint_clock_ns(h->safepoint);
        return true;
    case CLOCK_WASI_PROCESS:
        *ret = system_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        return true;
    case CLOCK_WASI_THREAD:
        *ret = system_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        return true;
    default:
        return false;
    }
}

static unsigned clock_res_get(struct call *c)
{
    if (c->args[0] > CLOCK_WASI_THREAD)
        return INVAL;
    return put_u64(c, c->args[1], 1) ? OK : FAULT;
}

static unsigned clock_time_get(struct call *c)
{
    uint64_t now;
    if (!clock_now_ns(c->host, c->args[0], &now))
        return INVAL;
    return put_u64(c, c->args[2], now) ? OK : FAULT;
}

/* ---- descriptors: 0, 1 and 2 are streams, and there is no other */

#define STREAMS 3u
#define FILETYPE_CHARACTER_DEVICE 2
#define RIGHT_FD_READ (1ull << 1)
#define RIGHT_FD_WRITE (1ull << 6)
#define RIGHT_POLL (1ull << 27)

static unsigned of_stream(const struct call *c, unsigned otherwise)
{
    return c->args[0] < STREAMS ? otherwise : BADF;
}

static unsigned fd_fine(struct call *c)
{
    return of_stream(c, OK);
}

static unsigned fd_not_granted(struct call *c)
{
    return of_stream(c, NOSYS);
}

static unsigned fd_no_seek(struct call *c)
{
    return of_stream(c, SPIPE);
}

static unsigned fd_none(struct call *c)
{
    (void)c;
    return BADF;
}

static unsigned not_granted(struct call *c)
{
    (void)c;
    return NOSYS;
}

/* struct fdstat: filetype u8 · flags u16 at 2 · rights u64 at 8 · inherited rights u64 at 16 */
static unsigned fd_fdstat_get(struct call *c)
{
    if (c->args[0] >= STREAMS)
        return BADF;
    uint8_t *p = at(c, c->args[1], 24);
    if (!p)
        return FAULT;
    uint64_t rights = RIGHT_POLL | (c->args[0] == 0 ? RIGHT_FD_READ : RIGHT_FD_WRITE);
    memset(p, 0, 24);
    p[0] = FILETYPE_CHARACTER_DEVICE;
    memcpy(p + 8, &rights, sizeof rights);
    return OK;
}

/* struct filestat, 64 bytes: filetype u8 at 16 */
static unsigned fd_filestat_get(struct call *c)
{
    if (c->args[0] >= STREAMS)
        return BADF;
    uint8_t *p = at(c, c->args[1], 64);
    if (!p)
        return FAULT;
    memset(p, 0, 64);
    p[16] = FILETYPE_CHARACTER_DEVICE;
    return OK;
}

/* The vectors of fd_read and fd_write: (pointer u32, length u32) each. All are checked before the
 * first byte moves. */
static unsigned check_vectors(const struct call *c, const uint8_t **ret_vectors, size_t *ret_total)
{
    uint64_t count = c->args[2];
    if (count > VECTORS_MAX)
        return INVAL;
    const uint8_t *v = at(c, c->args[1], 8 * count);
    if (!v || !at(c, c->args[3], 4))
        return FAULT;
    size_t total = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t len = load_u32(v + 8 * i + 4);
        if (!at(c, load_u32(v + 8 * i), len))
            return FAULT;
        total += len;
    }
    if (total > UINT32_MAX)
        return INVAL;
    *ret_vectors = v;
    *ret_total = total;
    return OK;
}

static unsigned fd_write(struct call *c)
{
    if (c->args[0] != 1 && c->args[0] != 2)
        return BADF;
    const uint8_t *v;
    size_t total;
    unsigned r = check_vectors(c, &v, &total);
    if (r != OK)
        return r;
    enum engine_stream stream = c->args[0] == 1 ? ENGINE_STDOUT : ENGINE_STDERR;

    /* Small pieces leave as one, so that a line does not become several facts. */
    char joined[LIMIT_CONSOLE_CHUNK_BYTES];
    size_t n_joined = 0;
    for (uint64_t i = 0; i < c->args[2]; i++) {
        const char *text = (const char *)at(c, load_u32(v + 8 * i), 0);
        uint32_t len = load_u32(v + 8 * i + 4);
        if (len > sizeof joined - n_joined) {
            if (console_write(c->host, stream, ENGINE_LEVEL_RAW, joined, n_joined) < 0)
                return AGAIN;
            n_joined = 0;
        }
        if (len <= sizeof joined) {
            memcpy(joined + n_joined, text, len);
            n_joined += len;
        } else if (console_write(c->host, stream, ENGINE_LEVEL_RAW, text, len) < 0) {
            return AGAIN;
        }
    }
    if (console_write(c->host, stream, ENGINE_LEVEL_RAW, joined, n_joined) < 0)
        return AGAIN;
    put_u32(c, c->args[3], (uint32_t)total);
    return OK;
}

static bool input_is_there(void *userdata)
{
    const struct wasi *w = userdata;
    return !w->input_wanted;
}

/* Waits until there is input, or its end. */
static unsigned want_input(struct host *h, size_t max_bytes)
{
    struct wasi *w = &h->wasi;
    if (w->input_bytes > 0 || w->input_ended)
        return OK;
    if (!safepoint_may_wait(h->safepoint))
        return AGAIN;
    host_say_ready(h);
    Stillpoint__Worker__StdinWanted wanted = STILLPOINT__WORKER__STDIN_WANTED__INIT;
    wanted.has_max_bytes = true;
    wanted.max_bytes =
        max_bytes < LIMIT_STDIN_CHUNK_BYTES ? (uint32_t)max_bytes : LIMIT_STDIN_CHUNK_BYTES;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_STDIN_WANTED;
    fact.stdin_wanted = &wanted;
    w->input_wanted = true;
    host_sent(h, daemon_channel_send(h->channel, &fact));
    safepoint_wait(h->safepoint, input_is_there, w);
    return OK;
}

static unsigned fd_read(struct call *c)
{
    if (c->args[0] != 0)
        return BADF;
    const uint8_t *v;
    size_t total, done = 0;
    unsigned r = check_vectors(c, &v, &total);
    if (r != OK)
        return r;
    struct wasi *w = &c->host->wasi;
    if (total > 0)
        r = want_input(c->host, total);
    if (r != OK)
        return r;
    for (uint64_t i = 0; i < c->args[2] && w->input_bytes > 0; i++) {
        size_t len = load_u32(v + 8 * i + 4);
        if (len > w->input_bytes)
            len = w->input_bytes;
        memcpy(at(c, load_u32(v + 8 * i), len), w->input + w->input_start, len);
        w->input_start += len;
        w->input_bytes -= len;
        done += len;
    }
    put_u32(c, c->args[3], (uint32_t)done);
    return OK;
}

int wasi_stdin_answer(struct wasi *w, const uint8_t *data, size_t len)
{
    if (!w->input_wanted)
        return 0; /* sent to us twice, by two daemons */
    uint8_t *copy = NULL;
    if (len > 0) {
        copy = malloc(len);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, data, len);
    }
    free(w->input);
    w->input = copy;
    w->input_start = 0;
    w->input_bytes = len;
    w->input_ended = len == 0;
    w->input_wanted = false;
    return 0;
}

/* ---- poll_oneoff
 *
 * subscription, 48 bytes: userdata u64 · tag u8 at 8 · clock: id u32 at 16, timeout u64 at 24,
 * flags u16 at 40; descriptor: u32 at 16. event, 32 bytes: userdata u64 · error u16 at 8 · type u8
 * at 10 · bytes u64 at 16 · flags u16 at 24. */

enum { SUBSCRIPTION_BYTES = 48, EVENT_BYTES = 32 };
enum { EVENT_CLOCK, EVENT_FD_READ, EVENT_FD_WRITE };
#define CLOCK_ABSOLUTE 1u

struct event {
    uint64_t deadline_ns; /* on the world clock; 0: ready at once */
    unsigned error;
};

/* When the subscription is ready. */
static struct event subscription_event(struct host *h, const uint8_t *s, uint64_t world_now)
{
    if (s[8] == EVENT_FD_READ || s[8] == EVENT_FD_WRITE)
        return (struct event){.error = load_u32(s + 16) < STREAMS ? OK : BADF};
    uint64_t timeout = load_u64(s + 24), id = load_u32(s + 16), now;
    if (s[8] != EVENT_CLOCK || id > CLOCK_WASI_MONOTONIC || !clock_now_ns(h, id, &now))
        return (struct event){.error = INVAL};
    if (s[40] & CLOCK_ABSOLUTE)
        timeout = timeout > now ? timeout - now : 0;
    uint64_t deadline;
    if (__builtin_add_overflow(world_now, timeout, &deadline))
        deadline = UINT64_MAX;
    return (struct event){.deadline_ns = timeout > 0 ? deadline : 0};
}

static void put_event(uint8_t *to, const uint8_t *subscription, unsigned error)
{
    memset(to, 0, EVENT_BYTES);
    memcpy(to, subscription, 8);
    to[8] = (uint8_t)error;
    to[10] = subscription[8];
    /* A stream is ready for at least one byte; how many, nobody knows before it is tried. */
    if (to[10] != EVENT_CLOCK && error == OK)
        to[16] = 1;
}

static unsigned poll_oneoff(struct call *c)
{
    uint64_t count = c->args[2];
    if (count == 0 || count > VECTORS_MAX)
        return INVAL;
    const uint8_t *in = at(c, c->args[0], SUBSCRIPTION_BYTES * count);
    uint8_t *out = at(c, c->args[1], EVENT_BYTES * count);
    if (!in || !out || !at(c, c->args[3], 4))
        return FAULT;
    /* Both areas are the guest's and may overlap: work on a copy. */
    _cleanup_free_ uint8_t *copy = malloc(SUBSCRIPTION_BYTES * count);
    _cleanup_free_ struct event *events = calloc(count, sizeof *events);
    if (!copy || !events)
        return IO;
    memcpy(copy, in, SUBSCRIPTION_BYTES * count);

    struct host *h = c->host;
    uint64_t now = safepoint_clock_ns(h->safepoint), earliest = UINT64_MAX;
    for (uint64_t i = 0; i < count; i++) {
        events[i] = subscription_event(h, copy + SUBSCRIPTION_BYTES * i, now);
        if (events[i].deadline_ns < earliest)
            earliest = events[i].deadline_ns;
    }
    if (earliest > 0 && host_sleep_until(h, earliest) < 0)
        return AGAIN;
    uint32_t n = 0;
    for (uint64_t i = 0; i < count; i++)
        if (events[i].deadline_ns <= earliest)
            put_event(out + EVENT_BYTES * (size_t)n++, copy + SUBSCRIPTION_BYTES * i,
                      events[i].error);
    put_u32(c, c->args[3], n);
    return OK;
}

/* ---- the rest */

static unsigned random_get(struct call *c)
{
    uint64_t len = c->args[1];
    uint8_t *p = at(c, c->args[0], len);
    if (!p)
        return FAULT;
    while (len > 0) {
        ssize_t n = getrandom(p, len < RANDOM_CHUNK ? (size_t)len : RANDOM_CHUNK, 0);
        if (n < 0 && errno != EINTR)
            return IO;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
        safepoint_poll(c->host->safepoint);
    }
    return OK;
}

static unsigned sched_yield_(struct call *c)
{
    (void)c;
    sched_yield();
    return OK;
}

#define EXITED UINT32_MAX /* no errno of WASI */

static unsigned proc_exit(struct call *c)
{
    c->exit_code = (uint32_t)c->args[0];
    return EXITED;
}

/* ---- the table; both arrays have the same order */

#define FUNCTIONS(X)                                                                               \
    X(args_get, "ii", args_get)                                                                    \
    X(args_sizes_get, "ii", args_sizes_get)                                                        \
    X(environ_get, "ii", environ_get)                                                              \
    X(environ_sizes_get, "ii", environ_sizes_get)                                                  \
    X(clock_res_get, "ii", clock_res_get)                                                          \
    X(clock_time_get, "ili", clock_time_get)                                                       \
    X(fd_advise, "illi", fd_no_seek)                                                               \
    X(fd_allocate, "ill", fd_not_granted)                                                          \
    X(fd_close, "i", fd_fine)                                                                      \
    X(fd_datasync, "i", fd_fine)                                                                   \
    X(fd_fdstat_get, "ii", fd_fdstat_get)                                                          \
    X(fd_fdstat_set_flags, "ii", fd_fine)                                                          \
    X(fd_fdstat_set_rights, "ill", fd_not_granted)                                                 \
    X(fd_filestat_get, "ii", fd_filestat_get)                                                      \
    X(fd_filestat_set_size, "il", fd_not_granted)                                                  \
    X(fd_filestat_set_times, "illi", fd_not_granted)                                               \
    X(fd_pread, "iiili", fd_no_seek)                                                               \
    X(fd_prestat_get, "ii", fd_none)                                                               \
    X(fd_prestat_dir_name, "iii", fd_none)                                                         \
    X(fd_pwrite, "iiili", fd_no_seek)                                                              \
    X(fd_read, "iiii", fd_read)                                                                    \
    X(fd_readdir, "iiili", fd_not_granted)                                                         \
    X(fd_renumber, "ii", fd_not_granted)                                                           \
    X(fd_seek, "ilii", fd_no_seek)                                                                 \
    X(fd_sync, "i", fd_fine)                                                                       \
    X(fd_tell, "ii", fd_no_seek)                                                                   \
    X(fd_write, "iiii", fd_write)                                                                  \
    X(path_create_directory, "iii", fd_none)                                                       \
    X(path_filestat_get, "iiiii", fd_none)                                                         \
    X(path_filestat_set_times, "iiiilli", fd_none)                                                 \
    X(path_link, "iiiiiii", fd_none)                                                               \
    X(path_open, "iiiiillii", fd_none)                                                             \
    X(path_readlink, "iiiiii", fd_none)                                                            \
    X(path_remove_directory, "iii", fd_none)                                                       \
    X(path_rename, "iiiiii", fd_none)                                                              \
    X(path_symlink, "iiiii", fd_none)                                                              \
    X(path_unlink_file, "iii", fd_none)                                                            \
    X(poll_oneoff, "iiii", poll_oneoff)                                                            \
    X(proc_raise, "i", not_granted)                                                                \
    X(sched_yield, "", sched_yield_)                                                               \
    X(random_get, "ii", random_get)                                                                \
    X(sock_accept, "iii", fd_not_granted)                                                          \
    X(sock_recv, "iiiiii", fd_not_granted)                                                         \
    X(sock_send, "iiiii", fd_not_granted)                                                          \
    X(sock_shutdown, "ii", fd_not_granted)

#define ROW(name, params, function) {#name, params, true},
#define FUNCTION(name, params, function) function,

const struct engine_wasi_function wasi_functions[] = {FUNCTIONS(ROW){"proc_exit", "i", false},
                                                      {NULL, NULL, false}};

static unsigned (*const implementations[])(struct call *) = {FUNCTIONS(FUNCTION) proc_exit};

int wasi_call(void *userdata, unsigned index, const uint64_t *args, uint8_t *memory,
              size_t memory_bytes, uint32_t *ret_value)
{
    struct call c = {
        .host = userdata, .args = args, .memory = memory, .memory_bytes = memory_bytes};
    unsigned r = index < sizeof implementations / sizeof *implementations
                     ? implementations[index](&c)
                     : NOSYS;
    if (r == EXITED) {
        *ret_value = c.exit_code;
        return ENGINE_EXIT;
    }
    *ret_value = r;
    return 0;
}

int wasi_init(struct wasi *w, const char *name, size_t argc, const char *const *argv)
{
    *w = (struct wasi){.argv = calloc(argc + 1, sizeof *w->argv)};
    if (!w->argv)
        return -ENOMEM;
    for (; w->argc < argc + 1; w->argc++) {
        w->argv[w->argc] = strdup(w->argc == 0 ? name : argv[w->argc - 1]);
        if (!w->argv[w->argc])
            return -ENOMEM;
    }
    return 0;
}

void wasi_done(struct wasi *w)
{
    for (size_t i = 0; i < w->argc; i++)
        free(w->argv[i]);
    free(w->argv);
    free(w->input);
    *w = (struct wasi){0};
}

/* A worker's descriptors go to the manager one by one, which may have no room for one of them. */
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/fd_store.h"
#include "daemon/worker.h"
#include "daemon/worker_channel.h"

static const char *const parts[] = {"channel", "pidfd", "command", "status", "kick", "life"};
#define PARTS (sizeof parts / sizeof parts[0])

static unsigned n_put, room; /* of those as many as there is room for */
static bool kept[PARTS];

static size_t part_of(const char *format, va_list args)
{
    assert_string_equal(format, "vm-%llu-%s");
    assert_int_equal(va_arg(args, unsigned long long), 7);
    const char *what = va_arg(args, const char *);
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(parts[i], what) == 0)
            return i;
    fail_msg("vm-7-%s has no name of ours", what);
    return 0;
}

int __wrap_fd_store_put(int fd, const char *format, ...);
void __wrap_fd_store_drop(const char *format, ...);

int __wrap_fd_store_put(int fd, const char *format, ...)
{
    assert_true(fd >= 0);
    if (n_put == room)
        return -ENOSPC;
    n_put++;
    va_list args;
    va_start(args, format);
    kept[part_of(format, args)] = true;
    va_end(args);
    return 0;
}

void __wrap_fd_store_drop(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kept[part_of(format, args)] = false;
    va_end(args);
}

static size_t n_kept(void)
{
    size_t n = 0;
    for (size_t i = 0; i < PARTS; i++)
        n += kept[i];
    return n;
}

static const char *on_fact(void *userdata, const struct worker_fact *fact)
{
    (void)userdata, (void)fact;
    return NULL;
}

static void on_flushed(void *userdata)
{
    (void)userdata;
}

static void on_broken(void *userdata, const char *why)
{
    (void)userdata, (void)why;
}

static const struct worker_channel_events events = {
    .on_fact = on_fact, .on_flushed = on_flushed, .on_broken = on_broken};

/* Says whether it is kept, after the manager has taken so many. */
static void keep_with_room_for(unsigned n)
{
    int channel[2], life[2];
    struct worker w = {.id = 7, .name = "app", .world = "default", .outlives = true};
    struct event_base *base = event_base_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel),
                     0);
    assert_int_equal(pipe(life), 0);
    w.channel = worker_channel_new(base, channel[0], &events, &w);
    w.pidfd = life[0];
    w.life_fd = life[1];
    assert_non_null(w.channel);
    assert_int_equal(stop_gate_make(&w.gate, true, &w), 0);
    w.hearing = 3;

    n_put = 0;
    room = n;
    worker_keep(&w);
    bool all = n == PARTS;
    assert_int_equal(n_put, n);
    assert_int_equal(w.is_kept, all);
    assert_int_equal(n_kept(), all ? PARTS : 0);
    /* Its life hangs on the manager now, or on this daemon still. */
    assert_int_equal(w.life_fd < 0, all);
    assert_int_equal(SHM_LOAD_RELAXED(&w.gate.command->heard), all ? 3 : 0);

    worker_keep_no_more(7);
    if (w.life_fd >= 0)
        close(w.life_fd);
    close(life[0]);
    stop_gate_done(&w.gate);
    worker_channel_free(w.channel);
    close(channel[1]);
    event_base_free(base);
    libevent_global_shutdown();
}

static void a_vm_for_which_there_is_no_room_leaves_nothing_in_the_store(void **state)
{
    (void)state;
    for (unsigned n = 0; n < PARTS; n++)
        keep_with_room_for(n);
}

static void a_vm_for_which_there_is_room_is_kept_whole(void **state)
{
    (void)state;
    keep_with_room_for(PARTS);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_vm_for_which_there_is_no_room_leaves_nothing_in_the_store),
    cmocka_unit_test(a_vm_for_which_there_is_room_is_kept_whole),
};

UNIT_MAIN(tests)

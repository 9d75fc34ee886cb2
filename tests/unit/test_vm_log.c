/* The service manager's store is one descriptor, here: what it was given last. */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/fd_store.h"
#include "daemon/vm_log.h"
#include "proto/limits.h"

#define MAX_BYTES 8192u
#define VM 7u

/* Where things lie in the memfd: version, size, start, end, the next seq; then records. */
#define AT_START 16
#define AT_END 24
#define AT_NEXT_SEQ 32
#define AT_RING 4096
#define AT_LEN (AT_RING + (off_t)offsetof(struct vm_log_record, len))

static struct {
    int fd, says; /* -1: nothing; what it answers */
    unsigned puts, drops;
} store;
static bool no_memory;

int __wrap_fd_store_put(int fd, const char *format, ...);
int __wrap_fd_store_take(struct fd_store *s, const char *format, ...);
void __wrap_fd_store_drop(const char *format, ...);
int __real_madvise(void *at, size_t bytes, int advice);
int __wrap_madvise(void *at, size_t bytes, int advice);

int __wrap_fd_store_put(int fd, const char *format, ...)
{
    assert_string_equal(format, "log-%llu");
    store.puts++;
    if (store.says == 0)
        store.fd = dup(fd);
    return store.says;
}

int __wrap_fd_store_take(struct fd_store *s, const char *format, ...)
{
    (void)s;
    assert_string_equal(format, "log-%llu");
    return store.fd < 0 ? -1 : dup(store.fd);
}

void __wrap_fd_store_drop(const char *format, ...)
{
    assert_string_equal(format, "log-%llu");
    store.drops++;
    close(store.fd);
    store.fd = -1;
}

int __wrap_madvise(void *at, size_t bytes, int advice)
{
    if (!no_memory)
        return __real_madvise(at, bytes, advice);
    errno = ENOMEM;
    return -1;
}

static int set_up(void **state)
{
    (void)state;
    store.fd = -1;
    store.says = 0;
    store.puts = store.drops = 0;
    no_memory = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (store.fd >= 0)
        close(store.fd);
    return 0;
}

/* What record number n says: of any length, also of none, and of one that takes most of a log. */
static size_t fill(char *text, uint64_t n)
{
    size_t len = n % 50 == 49 ? 6000 : n * 37 % 900;
    memset(text, 'a' + (int)(n % 26), len);
    return len;
}

static void add(struct vm_log *log, uint64_t n)
{
    char text[6000];
    size_t len = fill(text, n);
    assert_true(vm_log_add(log, 2 * n, (unsigned)(n % 2), (unsigned)(n % 7), n, text, len));
}

/* Each record is there from `first` to `last`, and nothing else. */
static void assert_has(const struct vm_log *log, uint64_t first, uint64_t last)
{
    char text[6000];
    const struct vm_log_record *r = vm_log_find(log, 0);
    for (uint64_t n = first; n <= last; n++, r = vm_log_next(log, r)) {
        size_t len = fill(text, n);
        assert_non_null(r);
        assert_int_equal(r->seq, n);
        assert_int_equal(r->stream, n % 2);
        assert_int_equal(r->level, n % 7);
        assert_int_equal(r->mono_ns, n);
        assert_int_equal(r->len, len);
        assert_memory_equal(r->data, text, len);
    }
    assert_null(r);
    assert_int_equal(log->next_seq, last + 1);
}

static uint64_t first_of(const struct vm_log *log)
{
    const struct vm_log_record *r = vm_log_find(log, 0);
    return r ? r->seq : log->next_seq;
}

static size_t bytes_in(const struct vm_log *log)
{
    size_t bytes = 0;
    for (const struct vm_log_record *r = vm_log_find(log, 0); r; r = vm_log_next(log, r))
        bytes += sizeof *r + r->len;
    return bytes;
}

static void the_newest_records_stay_in_order_and_the_oldest_make_room(void **state)
{
    (void)state;
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, false);
    assert_null(vm_log_find(&log, 1));
    assert_int_equal(vm_log_tail(&log, 5), 1);
    for (uint64_t n = 1; n <= 3000; n++) {
        add(&log, n);
        assert_has(&log, first_of(&log), n);
        assert_true(bytes_in(&log) <= MAX_BYTES);
        /* No more of them go than have to. */
        assert_true(n < 10 || bytes_in(&log) > MAX_BYTES - 6100);
    }
    assert_int_equal(vm_log_find(&log, 2999)->seq, 2999);
    assert_int_equal(vm_log_find(&log, 1)->seq, first_of(&log));
    assert_null(vm_log_find(&log, 3001));
    assert_int_equal(vm_log_tail(&log, 2), 2999);
    assert_int_equal(store.puts, 0);
    vm_log_done(&log);
}

static void one_record_may_be_larger_than_all_that_a_vm_may_have(void **state)
{
    (void)state;
    static char text[LIMIT_CONSOLE_CHUNK_BYTES];
    struct vm_log log;
    vm_log_init(&log, VM, 4096, false);
    memset(text, 'x', sizeof text);
    for (uint64_t n = 1; n < 20; n++) {
        assert_true(vm_log_add(&log, n, 1, 0, 0, text, sizeof text));
        assert_int_equal(first_of(&log), n);
        assert_memory_equal(vm_log_find(&log, n)->data, text, sizeof text);
    }
    vm_log_done(&log);
}

static void a_record_that_finds_no_memory_is_lost_and_counted(void **state)
{
    (void)state;
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    no_memory = true;
    add(&log, 1);
    assert_null(log.head);
    no_memory = false;
    add(&log, 2);
    assert_has(&log, 2, 2);
    no_memory = true;
    static char text[5000];
    assert_true(vm_log_add(&log, 5, 1, 0, 0, text, sizeof text));
    no_memory = false;
    add(&log, 4);
    const struct vm_log_record *r = vm_log_find(&log, 3);
    assert_int_equal(r->seq, 4);
    vm_log_done(&log);
}

static void nothing_is_made_nor_kept_before_a_vm_writes(void **state)
{
    (void)state;
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    assert_null(log.head);
    vm_log_keep_no_more(&log);
    vm_log_done(&log);
    assert_int_equal(store.puts + store.drops, 0);
}

static void the_next_daemon_goes_on_where_this_one_was(void **state)
{
    (void)state;
    struct vm_log log, next;
    vm_log_init(&log, VM, MAX_BYTES, true);
    for (uint64_t round = 0; round < 100; round++) {
        for (uint64_t n = 1; n <= 7; n++)
            add(&log, 7 * round + n);
        assert_int_equal(store.puts, 1);
        vm_log_init(&next, VM, MAX_BYTES, true);
        vm_log_adopt(&next, NULL);
        assert_has(&next, first_of(&log), 7 * round + 7);
        assert_int_equal(first_of(&next), first_of(&log));
        /* Its worker says again what the daemon had not said that it has. */
        assert_false(vm_log_add(&next, 2 * (7 * round + 7), 1, 0, 0, "x", 1));
        assert_false(vm_log_add(&next, 2 * (7 * round + 3), 1, 0, 0, "x", 1));
        assert_has(&next, first_of(&log), 7 * round + 7);
        vm_log_done(&log);
        log = next;
    }
    assert_int_equal(store.drops, 0);
    vm_log_keep_no_more(&log);
    assert_int_equal(store.drops, 1);
    vm_log_done(&log);
}

static void one_that_finds_no_place_with_the_manager_is_a_log_all_the_same(void **state)
{
    (void)state;
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    store.says = -ENOSPC;
    add(&log, 1);
    add(&log, 2);
    assert_has(&log, 1, 2);
    assert_int_equal(store.puts, 1);
    vm_log_keep_no_more(&log);
    assert_int_equal(store.drops, 0);
    vm_log_done(&log);
}

static void a_daemon_that_dies_before_it_has_counted_a_record_leaves_it_there(void **state)
{
    (void)state;
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    add(&log, 1);
    add(&log, 2);
    vm_log_done(&log);
    const uint64_t before = 2;
    assert_int_equal(pwrite(store.fd, &before, sizeof before, AT_NEXT_SEQ), sizeof before);
    vm_log_init(&log, VM, MAX_BYTES, true);
    vm_log_adopt(&log, NULL);
    add(&log, 3);
    assert_has(&log, 1, 3);
    vm_log_done(&log);
}

/* Writes until it is killed, and tells how far it has come. */
static void write_on(volatile uint64_t *written)
{
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    vm_log_adopt(&log, NULL);
    for (uint64_t n = log.next_seq;; n++) {
        add(&log, n);
        *written = n;
    }
}

static void a_daemon_that_is_killed_at_any_moment_leaves_a_log_that_can_be_read(void **state)
{
    (void)state;
    volatile uint64_t *written =
        mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(written != MAP_FAILED);
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    add(&log, 1);
    vm_log_done(&log);
    *written = 1;
    for (unsigned round = 0; round < 100; round++) {
        uint64_t before = *written;
        pid_t child = fork();
        if (child == 0)
            write_on(written);
        assert_true(child > 0);
        while (*written < before + 1 + round % 40)
            usleep(10 + round * 7 % 50);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        vm_log_init(&log, VM, MAX_BYTES, true);
        vm_log_adopt(&log, NULL);
        assert_non_null(log.head);
        /* It may have been killed before it said so. */
        assert_true(log.next_seq == *written + 1 || log.next_seq == *written + 2);
        *written = log.next_seq - 1;
        assert_has(&log, first_of(&log), *written);
        assert_true(first_of(&log) < *written || *written % 50 == 49);
        vm_log_done(&log);
    }
    assert_int_equal(store.drops, 0);
    munmap((void *)(uintptr_t)written, sizeof *written);
}

static void spoil(off_t at, uint64_t value)
{
    assert_int_equal(pwrite(store.fd, &value, sizeof value, at), sizeof value);
}

static void what_is_no_log_is_dropped_and_another_is_begun(void **state)
{
    (void)state;
    const struct {
        off_t at;
        uint64_t value;
    } wrong[] = {
        {0, 2},
        {8, 4096},
        {AT_START, 4},
        {AT_START, UINT64_MAX - 7},
        {AT_END, 1u << 30},
        {AT_LEN, LIMIT_CONSOLE_CHUNK_BYTES + 1},
        {AT_LEN, UINT64_MAX},
        {AT_LEN, 2000},
        {AT_RING, 0},
        {AT_RING, UINT64_MAX},
    };
    for (size_t i = 0; i <= sizeof wrong / sizeof wrong[0]; i++) {
        struct vm_log log;
        vm_log_init(&log, VM, MAX_BYTES, true);
        for (uint64_t n = 1; n <= 3; n++)
            add(&log, n);
        vm_log_done(&log);
        if (i == sizeof wrong / sizeof wrong[0])
            assert_int_equal(ftruncate(store.fd, 8192), 0);
        else
            spoil(wrong[i].at, wrong[i].value);
        vm_log_init(&log, VM, MAX_BYTES, true);
        vm_log_adopt(&log, NULL);
        assert_null(log.head);
        assert_int_equal(store.drops, i + 1);
        add(&log, 1);
        assert_has(&log, 1, 1);
        assert_int_equal(store.puts, 2 * (i + 1));
        vm_log_keep_no_more(&log);
        vm_log_done(&log);
        store.drops = (unsigned)i + 1;
    }
}

static void a_ring_with_less_room_than_the_vm_may_have_is_dropped(void **state)
{
    (void)state;
    struct vm_log log;
    vm_log_init(&log, VM, MAX_BYTES, true);
    add(&log, 1);
    vm_log_done(&log);
    vm_log_init(&log, VM, 2 * MAX_BYTES, true);
    vm_log_adopt(&log, NULL);
    assert_null(log.head);
    assert_int_equal(store.drops, 1);
    /* Less is no matter: the oldest make room. */
    add(&log, 1);
    vm_log_done(&log);
    vm_log_init(&log, VM, MAX_BYTES, true);
    vm_log_adopt(&log, NULL);
    assert_has(&log, 1, 1);
    vm_log_done(&log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(the_newest_records_stay_in_order_and_the_oldest_make_room),
    TEST(one_record_may_be_larger_than_all_that_a_vm_may_have),
    TEST(a_record_that_finds_no_memory_is_lost_and_counted),
    TEST(nothing_is_made_nor_kept_before_a_vm_writes),
    TEST(the_next_daemon_goes_on_where_this_one_was),
    TEST(one_that_finds_no_place_with_the_manager_is_a_log_all_the_same),
    TEST(a_daemon_that_dies_before_it_has_counted_a_record_leaves_it_there),
    TEST(a_daemon_that_is_killed_at_any_moment_leaves_a_log_that_can_be_read),
    TEST(what_is_no_log_is_dropped_and_another_is_begun),
    TEST(a_ring_with_less_room_than_the_vm_may_have_is_dropped),
};

UNIT_MAIN(tests)

#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared-mem/layout.h"
#include "shared-mem/map.h"

static void the_peer_sees_what_the_creator_writes(void **state)
{
    (void)state;
    int fd;
    struct world_page *mine, *theirs;
    assert_int_equal(map_create("test", MAP_WRITER_SELF, &fd, (void **)&mine), 0);
    assert_int_equal(map_attach(fd, MAP_WRITER_PEER, (void **)&theirs), 0);
    SHM_STORE(&mine->word, 42);
    assert_int_equal(SHM_LOAD(&theirs->word), 42);
    assert_null(map_done(mine));
    assert_null(map_done(theirs));
    close(fd);
}

static void nobody_else_can_map_the_creators_page_for_writing(void **state)
{
    (void)state;
    int fd;
    void *mine, *theirs = NULL;
    assert_int_equal(map_create("test", MAP_WRITER_SELF, &fd, &mine), 0);

    /* By our own function, by mmap, by making a read-only mapping writable, by write(2). */
    assert_int_equal(map_attach(fd, MAP_WRITER_SELF, &theirs), -EPERM);
    assert_null(theirs);
    assert_ptr_equal(mmap(NULL, SHM_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
                     MAP_FAILED);
    assert_int_equal(map_attach(fd, MAP_WRITER_PEER, &theirs), 0);
    assert_int_equal(mprotect(theirs, SHM_PAGE_BYTES, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);

    /* Not even with another open of the same file. */
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    if (again >= 0) {
        assert_ptr_equal(mmap(NULL, SHM_PAGE_BYTES, PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
        close(again);
    }
    map_done(theirs);
    map_done(mine);
    close(fd);
}

static void a_page_that_is_kept_is_written_by_the_next_creator_and_never_by_the_peer(void **state)
{
    (void)state;
    int fd;
    struct world_page *mine, *next, *theirs;
    assert_int_equal(map_create("test", MAP_WRITER_KEPT, &fd, (void **)&mine), 0);
    int lent = map_read_only(fd);
    assert_true(lent >= 0);
    assert_int_equal(map_attach(lent, MAP_WRITER_PEER, (void **)&theirs), 0);
    assert_int_equal(mprotect(theirs, SHM_PAGE_BYTES, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
    assert_ptr_equal(mmap(NULL, SHM_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, lent, 0),
                     MAP_FAILED);
    assert_int_equal(write(lent, "x", 1), -1);
    assert_int_equal(fcntl(lent, F_ADD_SEALS, F_SEAL_WRITE), -1);

    assert_int_equal(map_attach(fd, MAP_WRITER_KEPT, (void **)&next), 0);
    assert_null(map_done(mine));
    SHM_STORE(&next->word, 42);
    assert_int_equal(SHM_LOAD(&theirs->word), 42);
    map_done(theirs);
    map_done(next);
    close(lent);
    close(fd);
}

static void a_page_that_the_peer_writes_is_read_only_to_its_creator(void **state)
{
    (void)state;
    int fd;
    struct status_page *mine, *theirs;
    assert_int_equal(map_create("test", MAP_WRITER_PEER, &fd, (void **)&mine), 0);
    assert_int_equal(map_attach(fd, MAP_WRITER_SELF, (void **)&theirs), 0);
    SHM_STORE(&theirs->word, 7);
    assert_int_equal(SHM_LOAD(&mine->word), 7);
    /* The kernel says so: a write(2) from that page works, a read(2) into it is a fault. */
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(write(pipes[1], mine, 8), 8);
    assert_int_equal(read(pipes[0], mine, 8), -1);
    assert_int_equal(errno, EFAULT);
    close(pipes[0]);
    close(pipes[1]);
    map_done(theirs);
    map_done(mine);
    close(fd);
}

static void nobody_can_resize_a_page_or_unseal_it(void **state)
{
    (void)state;
    static const enum map_writer writers[] = {MAP_WRITER_SELF, MAP_WRITER_PEER};
    for (size_t i = 0; i < 2; i++) {
        int fd;
        void *page;
        assert_int_equal(map_create("test", writers[i], &fd, &page), 0);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(ftruncate(fd, 2 * SHM_PAGE_BYTES), -1);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        map_done(page);
        close(fd);
    }
}

static void what_is_not_a_sealed_page_is_not_attached(void **state)
{
    (void)state;
    static const struct {
        off_t bytes;
        int seals;
    } bad[] = {
        {SHM_PAGE_BYTES, 0},
        {SHM_PAGE_BYTES, F_SEAL_SHRINK},
        {SHM_PAGE_BYTES, F_SEAL_GROW},
        {0, F_SEAL_SHRINK | F_SEAL_GROW},
        {SHM_PAGE_BYTES - 1, F_SEAL_SHRINK | F_SEAL_GROW},
        {2 * SHM_PAGE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW},
    };
    void *page = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, bad[i].bytes), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, bad[i].seals), 0);
        assert_int_equal(map_attach(fd, MAP_WRITER_PEER, &page), -EBADF);
        close(fd);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(map_attach(null, MAP_WRITER_PEER, &page), -EBADF);
    close(null);
    assert_int_equal(map_attach(-1, MAP_WRITER_PEER, &page), -EBADF);
    assert_null(page);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_peer_sees_what_the_creator_writes),
    cmocka_unit_test(nobody_else_can_map_the_creators_page_for_writing),
    cmocka_unit_test(a_page_that_is_kept_is_written_by_the_next_creator_and_never_by_the_peer),
    cmocka_unit_test(a_page_that_the_peer_writes_is_read_only_to_its_creator),
    cmocka_unit_test(nobody_can_resize_a_page_or_unseal_it),
    cmocka_unit_test(what_is_not_a_sealed_page_is_not_attached),
};

UNIT_MAIN(tests)

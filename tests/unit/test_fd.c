#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static void pair_new(int type, int ret_pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_pair), 0);
}

static void pair_close(int pair[2])
{
    fd_close(&pair[0]);
    fd_close(&pair[1]);
}

static struct iovec iov_of(const char *text)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
}

static void a_packet_arrives_with_its_descriptors(void **state)
{
    (void)state;
    int pair[2], pipes[2], got[FD_MAX_PASSED];
    char buf[16];
    pair_new(SOCK_SEQPACKET, pair);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);

    struct iovec iov[2] = {iov_of("hel"), iov_of("lo")};
    assert_int_equal(fd_send(pair[0], iov, 2, pipes, 2), 5);
    size_t n = FD_MAX_PASSED;
    assert_int_equal(fd_receive(pair[1], buf, sizeof buf, got, &n), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(n, 2);

    /* They are the same pipe, close-on-exec, in the same order. */
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(pipes[0], buf, 1), 1);
    for (size_t i = 0; i < n; i++) {
        assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
        close(got[i]);
    }
    pair_close(pipes);
    pair_close(pair);
}

static void nothing_there_is_EAGAIN_and_the_end_is_0(void **state)
{
    (void)state;
    int pair[2], got[1];
    char buf[4];
    size_t n = 1;
    pair_new(SOCK_STREAM, pair);
    assert_int_equal(fd_receive(pair[1], buf, sizeof buf, got, &n), -EAGAIN);
    fd_close(&pair[0]);
    n = 1;
    assert_int_equal(fd_receive(pair[1], buf, sizeof buf, got, &n), 0);
    pair_close(pair);
}

static void sending_to_nobody_raises_no_signal(void **state)
{
    (void)state;
    int pair[2];
    pair_new(SOCK_STREAM, pair);
    fd_close(&pair[1]);
    struct iovec iov = iov_of("x");
    assert_int_equal(fd_send(pair[0], &iov, 1, NULL, 0), -EPIPE);
    pair_close(pair);
}

static void a_full_socket_is_EAGAIN(void **state)
{
    (void)state;
    int pair[2];
    ssize_t r = 0;
    pair_new(SOCK_STREAM, pair);
    struct iovec iov = iov_of("some text that fills the socket sooner or later");
    for (int i = 0; i < 1000000 && r >= 0; i++)
        r = fd_send(pair[0], &iov, 1, NULL, 0);
    assert_int_equal(r, -EAGAIN);
    pair_close(pair);
}

/* UNIT_MAIN counts descriptors: the ones that were refused must not stay open. */
static void more_descriptors_than_there_is_room_for_are_refused_and_closed(void **state)
{
    (void)state;
    int pair[2], pipes[2], got[1];
    char buf[4];
    pair_new(SOCK_STREAM, pair);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    struct iovec iov = iov_of("x");
    assert_int_equal(fd_send(pair[0], &iov, 1, pipes, 2), 1);
    size_t n = 1;
    assert_int_equal(fd_receive(pair[1], buf, sizeof buf, got, &n), -EMSGSIZE);
    pair_close(pipes);
    pair_close(pair);
}

static void more_than_the_maximum_is_not_sent(void **state)
{
    (void)state;
    int fds[FD_MAX_PASSED + 1] = {0};
    struct iovec iov = iov_of("x");
    assert_int_equal(fd_send(0, &iov, 1, fds, FD_MAX_PASSED + 1), -EINVAL);
}

static void a_packet_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    int pair[2], got[1];
    char buf[4];
    pair_new(SOCK_SEQPACKET, pair);
    struct iovec iov = iov_of("longer than four");
    assert_int_equal(fd_send(pair[0], &iov, 1, NULL, 0), 16);
    size_t n = 1;
    assert_int_equal(fd_receive(pair[1], buf, sizeof buf, got, &n), -EMSGSIZE);
    pair_close(pair);
}

static void a_sealed_memfd_has_its_bytes_and_cannot_be_changed(void **state)
{
    (void)state;
    const uint8_t *data;
    size_t len;
    int fd = fd_memfd_new("test", "content", 7);
    assert_true(fd >= 0);
    assert_int_equal(fd_memfd_size(fd, 100), 7);
    assert_int_equal(fd_memfd_map(fd, 100, &data, &len), 0);
    assert_int_equal(len, 7);
    assert_memory_equal(data, "content", 7);
    fd_memfd_unmap(data, len);

    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 1), -1);
    assert_int_equal(ftruncate(fd, 100), -1);
    assert_ptr_equal(mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, 0), -1);
    close(fd);
}

static void an_empty_memfd_is_fine(void **state)
{
    (void)state;
    const uint8_t *data = NULL;
    size_t len = 1;
    int fd = fd_memfd_new("test", NULL, 0);
    assert_int_equal(fd_memfd_map(fd, 100, &data, &len), 0);
    assert_non_null(data);
    assert_int_equal(len, 0);
    fd_memfd_unmap(data, len);
    close(fd);
}

/* The attack: a peer that shrinks the file under our mapping would kill us with SIGBUS. */
static void what_a_peer_could_still_change_is_refused(void **state)
{
    (void)state;
    static const int not_enough[] = {
        0,
        F_SEAL_WRITE,
        F_SEAL_SHRINK | F_SEAL_GROW,
        F_SEAL_WRITE | F_SEAL_GROW,
        F_SEAL_WRITE | F_SEAL_SHRINK,
        F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW,
    };
    const uint8_t *data;
    size_t len;
    for (size_t i = 0; i < sizeof not_enough / sizeof *not_enough; i++) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 10), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, not_enough[i]), 0);
        assert_int_equal(fd_memfd_map(fd, 100, &data, &len), -EBADF);
        close(fd);
    }
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(fd_memfd_map(pipes[0], 100, &data, &len), -EBADF);
    pair_close(pipes);
    assert_int_equal(fd_memfd_map(-1, 100, &data, &len), -EBADF);
}

static void a_memfd_that_is_too_large_is_refused(void **state)
{
    (void)state;
    const uint8_t *data;
    size_t len;
    int fd = fd_memfd_new("test", "12345678", 8);
    assert_int_equal(fd_memfd_map(fd, 7, &data, &len), -EFBIG);
    assert_int_equal(fd_memfd_map(fd, 8, &data, &len), 0);
    fd_memfd_unmap(data, len);
    close(fd);
}

static void a_descriptor_can_be_made_nonblocking(void **state)
{
    (void)state;
    int pipes[2];
    char c;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(fd_nonblock(pipes[0]), 0);
    assert_int_equal(read(pipes[0], &c, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fd_nonblock(-1), -EBADF);
    pair_close(pipes);
}

static void descriptors_in_an_empty_packet_are_closed(void **state)
{
    (void)state;
    int sock[2], fds[4];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
    int before = unit_open_fds();
    const int mine[2] = {sock[0], sock[1]};
    const struct iovec none = {.iov_base = (void *)(uintptr_t) "", .iov_len = 0};
    assert_int_equal(fd_send(sock[0], &none, 1, mine, 2), 0);
    size_t n = 4;
    char buf[8];
    assert_int_equal(fd_receive(sock[1], buf, sizeof buf, fds, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(unit_open_fds(), before);
    close(sock[0]);
    close(sock[1]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(descriptors_in_an_empty_packet_are_closed),
    cmocka_unit_test(a_packet_arrives_with_its_descriptors),
    cmocka_unit_test(nothing_there_is_EAGAIN_and_the_end_is_0),
    cmocka_unit_test(sending_to_nobody_raises_no_signal),
    cmocka_unit_test(a_full_socket_is_EAGAIN),
    cmocka_unit_test(more_descriptors_than_there_is_room_for_are_refused_and_closed),
    cmocka_unit_test(more_than_the_maximum_is_not_sent),
    cmocka_unit_test(a_packet_that_does_not_fit_is_refused),
    cmocka_unit_test(a_sealed_memfd_has_its_bytes_and_cannot_be_changed),
    cmocka_unit_test(an_empty_memfd_is_fine),
    cmocka_unit_test(what_a_peer_could_still_change_is_refused),
    cmocka_unit_test(a_memfd_that_is_too_large_is_refused),
    cmocka_unit_test(a_descriptor_can_be_made_nonblocking),
};

UNIT_MAIN(tests)

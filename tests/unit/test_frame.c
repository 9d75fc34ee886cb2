#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/frame.h"

struct wire {
    int sock[2]; /* we write [0] raw or by the writer; the reader reads [1] */
    struct frame_reader r;
    struct frame_writer w;
};

static int wire_setup(void **state)
{
    struct wire *x = calloc(1, sizeof *x);
    assert_non_null(x);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, x->sock), 0);
    frame_reader_init(&x->r);
    frame_writer_init(&x->w, 4u * 1024 * 1024);
    *state = x;
    return 0;
}

static int wire_teardown(void **state)
{
    struct wire *x = *state;
    frame_reader_done(&x->r);
    frame_writer_done(&x->w);
    fd_close(&x->sock[0]);
    fd_close(&x->sock[1]);
    free(x);
    return 0;
}

static void raw(struct wire *x, const void *data, size_t len)
{
    assert_int_equal(write(x->sock[0], data, len), (ssize_t)len);
}

static void frames_come_out_as_they_went_in(void **state)
{
    struct wire *x = *state;
    const uint8_t *data;
    size_t len;
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"one", 3, -1), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"three", 5, -1), 0);
    assert_int_equal(frame_writer_queued(&x->w), 4 + 3 + 4 + 5);
    assert_int_equal(frame_writer_flush(&x->w, x->sock[0]), 0);
    assert_int_equal(frame_writer_queued(&x->w), 0);

    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), 1);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "one", 3);
    /* It stays the next one until it is dropped. */
    assert_int_equal(frame_reader_next(&x->r, &data, &len), 1);
    assert_memory_equal(data, "one", 3);
    frame_reader_drop(&x->r, len);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), 1);
    assert_memory_equal(data, "three", 5);
    frame_reader_drop(&x->r, len);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), 0);
    assert_int_equal(frame_reader_fill(&x->r, x->sock[1]), -EAGAIN);
}

static void a_frame_that_comes_byte_by_byte_is_whole_at_its_last_byte(void **state)
{
    struct wire *x = *state;
    static const uint8_t bytes[] = {0, 0, 0, 3, 'a', 'b', 'c'};
    const uint8_t *data;
    size_t len;
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(frame_reader_next(&x->r, &data, &len), 0);
        raw(x, bytes + i, 1);
        assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    }
    assert_int_equal(frame_reader_next(&x->r, &data, &len), 1);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "abc", 3);
}

static void a_length_of_2_GiB_is_refused_before_anything_is_read_or_kept(void **state)
{
    struct wire *x = *state;
    const uint8_t *data;
    size_t len;
    raw(x, "\x80\x00\x00\x00zzzz", 8);
    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), -EPROTO);
    assert_true(x->r.in.size <= 128u * 1024);
}

static void a_length_of_4_GiB_less_1_is_refused(void **state)
{
    struct wire *x = *state;
    const uint8_t *data;
    size_t len;
    raw(x, "\xff\xff\xff\xff", 4);
    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), -EPROTO);
}

static void a_length_of_0_is_refused(void **state)
{
    struct wire *x = *state;
    const uint8_t *data;
    size_t len;
    raw(x, "\0\0\0\0", 4);
    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), -EPROTO);
}

static void the_largest_frame_passes_and_one_byte_more_does_not(void **state)
{
    struct wire *x = *state;
    const uint8_t *data = NULL;
    size_t len = 0;
    uint8_t *big = calloc(1, LIMIT_FRAME_BYTES + 1);
    assert_non_null(big);
    big[LIMIT_FRAME_BYTES - 1] = 42;
    assert_int_equal(frame_writer_put(&x->w, big, LIMIT_FRAME_BYTES + 1, -1), -EMSGSIZE);
    assert_int_equal(frame_writer_put(&x->w, big, 0, -1), -EMSGSIZE);
    assert_int_equal(frame_writer_put(&x->w, big, LIMIT_FRAME_BYTES, -1), 0);
    free(big);
    /* It does not fit in the socket: writer and reader take turns. */
    int left = 1;
    while (frame_reader_next(&x->r, &data, &len) == 0) {
        if (left > 0)
            left = frame_writer_flush(&x->w, x->sock[0]);
        assert_true(left >= 0);
        assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    }
    assert_int_equal(len, LIMIT_FRAME_BYTES);
    assert_int_equal(data[LIMIT_FRAME_BYTES - 1], 42);

    static const uint8_t one_more[] = {0, 0x10, 0, 1};
    frame_reader_drop(&x->r, len);
    raw(x, one_more, 4);
    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), -EPROTO);
}

static void a_peer_that_does_not_read_hits_the_bound_of_the_queue(void **state)
{
    struct wire *x = *state;
    static const uint8_t data[100000];
    int r = 0;
    frame_writer_done(&x->w);
    frame_writer_init(&x->w, 1u << 20);
    for (int i = 0; i < 100 && r == 0; i++)
        r = frame_writer_put(&x->w, data, sizeof data, -1);
    assert_int_equal(r, -ENOBUFS);
    assert_true(frame_writer_queued(&x->w) <= 1u << 20);
}

static void the_end_of_the_stream_is_0_even_inside_a_frame(void **state)
{
    struct wire *x = *state;
    const uint8_t *data;
    size_t len;
    raw(x,
        "\0\0\0\x09"
        "cut",
        7);
    fd_close(&x->sock[0]);
    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(frame_reader_next(&x->r, &data, &len), 0);
    assert_int_equal(frame_reader_fill(&x->r, x->sock[1]), 0);
}

/* Frames without a descriptor around frames with one: each frame gets its own. */
static void descriptors_stay_with_their_frames(void **state)
{
    struct wire *x = *state;
    int pipes[2], again[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(pipe2(again, O_CLOEXEC), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"-", 1, -1), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"p", 1, pipes[1]), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"q", 1, again[1]), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"-", 1, -1), 0);
    assert_int_equal(frame_writer_flush(&x->w, x->sock[0]), 0);

    const uint8_t *data;
    size_t len;
    int n = 0;
    while (n < 4) {
        int r = frame_reader_next(&x->r, &data, &len);
        assert_true(r >= 0);
        if (r == 0) {
            assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
            continue;
        }
        int from = *data == 'p' ? pipes[0] : *data == 'q' ? again[0] : -1;
        frame_reader_drop(&x->r, len);
        n++;
        if (from < 0)
            continue;
        char c = 0;
        int fd = frame_reader_take_fd(&x->r);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "!", 1), 1);
        assert_int_equal(read(from, &c, 1), 1);
        close(fd);
    }
    assert_int_equal(frame_reader_take_fd(&x->r), -1);
    close(pipes[0]);
    close(again[0]);
}

/* UNIT_MAIN counts descriptors: those in a reader or a writer go with it. */
static void descriptors_that_nobody_claimed_are_closed(void **state)
{
    struct wire *x = *state;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"p", 1, pipes[0]), 0);
    assert_int_equal(frame_writer_flush(&x->w, x->sock[0]), 0);
    assert_true(frame_reader_fill(&x->r, x->sock[1]) > 0);
    assert_int_equal(x->r.n_fds, 1);
    /* One stays in the writer, one is refused together with its frame. */
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"p", 1, dup(pipes[1])), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"p", 0, pipes[1]), -EMSGSIZE);
}

static void a_flood_of_descriptors_without_frames_is_refused(void **state)
{
    struct wire *x = *state;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[FD_MAX_PASSED], r = 1;
    for (size_t i = 0; i < FD_MAX_PASSED; i++)
        fds[i] = null;
    struct iovec iov = {.iov_base = (void *)(uintptr_t) "\0", .iov_len = 1};
    for (int i = 0; i < 3 && r > 0; i++) {
        assert_int_equal(fd_send(x->sock[0], &iov, 1, fds, FD_MAX_PASSED), 1);
        r = frame_reader_fill(&x->r, x->sock[1]);
    }
    assert_int_equal(r, -EPROTO);
    close(null);
}

static void a_peer_that_does_not_read_has_a_bound_of_descriptors_too(void **state)
{
    struct wire *x = *state;
    x->w.max_fds = 3;
    for (int i = 0; i < 3; i++)
        assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"a", 1, dup(x->sock[0])), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"a", 1, dup(x->sock[0])), -ENOBUFS);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"a", 1, -1), 0);
    assert_int_equal(frame_writer_flush(&x->w, x->sock[0]), 0);
    assert_int_equal(frame_writer_put(&x->w, (const uint8_t *)"a", 1, dup(x->sock[0])), 0);
}

#define WIRE_TEST(f) cmocka_unit_test_setup_teardown(f, wire_setup, wire_teardown)

static const struct CMUnitTest tests[] = {
    WIRE_TEST(frames_come_out_as_they_went_in),
    WIRE_TEST(a_frame_that_comes_byte_by_byte_is_whole_at_its_last_byte),
    WIRE_TEST(a_length_of_2_GiB_is_refused_before_anything_is_read_or_kept),
    WIRE_TEST(a_length_of_4_GiB_less_1_is_refused),
    WIRE_TEST(a_length_of_0_is_refused),
    WIRE_TEST(the_largest_frame_passes_and_one_byte_more_does_not),
    WIRE_TEST(a_peer_that_does_not_read_hits_the_bound_of_the_queue),
    WIRE_TEST(a_peer_that_does_not_read_has_a_bound_of_descriptors_too),
    WIRE_TEST(the_end_of_the_stream_is_0_even_inside_a_frame),
    WIRE_TEST(descriptors_stay_with_their_frames),
    WIRE_TEST(descriptors_that_nobody_claimed_are_closed),
    WIRE_TEST(a_flood_of_descriptors_without_frames_is_refused),
};

UNIT_MAIN(tests)

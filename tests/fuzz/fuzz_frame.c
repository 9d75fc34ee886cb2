/*
 * The client wire's frames: a stream in pieces of any size, with descriptors, through a real
 * socket. Frames come out as they are in the stream, however it is cut; what was read can be
 * written again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

#define MAX_STREAM (64u * 1024)

struct stream {
    const uint8_t *data;
    size_t size, at; /* of the next frame that is expected */
    bool ended;      /* the next one is none */
};

static int pair[2], back[2];

static void make_pair(int fds[2])
{
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
}

/* The whole frame at s->at by the definition of the wire; 0, 1, -EPROTO as frame_reader_next(). */
static int expected(const struct stream *s, size_t given, const uint8_t **ret_data, size_t *ret_len)
{
    if (given - s->at < 4)
        return 0;
    const uint8_t *p = s->data + s->at;
    uint64_t len = ((uint64_t)p[0] << 24) + ((uint64_t)p[1] << 16) + ((uint64_t)p[2] << 8) + p[3];
    if (len == 0 || len > 1048576)
        return -EPROTO;
    if (given - s->at < 4 + len)
        return 0;
    *ret_data = p + 4;
    *ret_len = (size_t)len;
    return 1;
}

static void write_back(struct frame_writer *w, const uint8_t *data, size_t len, int fd)
{
    FUZZ_REQUIRE(frame_writer_put(w, data, len, fd) == 0);
}

/* Takes the frames that are whole after `given` bytes of the stream. */
static void take_frames(struct frame_reader *r, struct stream *s, size_t given, unsigned claims,
                        struct frame_writer *w)
{
    const uint8_t *data, *wanted = NULL;
    size_t len, wanted_len = 0;
    for (;;) {
        int e = expected(s, given, &wanted, &wanted_len);
        FUZZ_REQUIRE(frame_reader_next(r, &data, &len) == e);
        if (e < 0) {
            s->ended = true;
            fuzz_refused();
        }
        if (e <= 0)
            return;
        FUZZ_REQUIRE(len == wanted_len && memcmp(data, wanted, len) == 0);
        write_back(w, data, len, claims & 1 ? frame_reader_take_fd(r) : -1);
        frame_reader_drop(r, len);
        s->at += 4 + len;
        fuzz_accepted();
    }
}

/* What the writer sends is what the reader had, with as many descriptors. */
static void check_back(struct frame_writer *w, const struct stream *s)
{
    struct frame_reader r;
    struct stream again = {.data = s->data};
    size_t queued = frame_writer_queued(w), fds = w->n_fds, claimed = 0;
    FUZZ_REQUIRE(queued == s->at);
    frame_reader_init(&r);
    int more = 1;
    while (more > 0) {
        more = frame_writer_flush(w, back[0]);
        FUZZ_REQUIRE(more >= 0);
        int e;
        while ((e = frame_reader_fill(&r, back[1])) > 0) {
            const uint8_t *data, *wanted = NULL;
            size_t len, wanted_len = 0;
            while (frame_reader_next(&r, &data, &len) > 0) {
                FUZZ_REQUIRE(expected(&again, s->at, &wanted, &wanted_len) == 1);
                FUZZ_REQUIRE(len == wanted_len && memcmp(data, wanted, len) == 0);
                int fd = frame_reader_take_fd(&r);
                claimed += fd >= 0;
                if (fd >= 0)
                    close(fd);
                frame_reader_drop(&r, len);
                again.at += 4 + len;
            }
        }
        FUZZ_REQUIRE(e == -EAGAIN);
    }
    FUZZ_REQUIRE(again.at == s->at && claimed == fds && frame_writer_queued(w) == 0);
    frame_reader_done(&r);
}

static ssize_t send_piece(const uint8_t *data, size_t n, unsigned n_fds)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    int fds[FD_MAX_PASSED];
    for (unsigned i = 0; i < FD_MAX_PASSED; i++)
        fds[i] = STDERR_FILENO;
    return fd_send(pair[0], &iov, 1, fds, n_fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct frame_reader r;
    struct frame_writer w;
    uint64_t plan = fuzz_u64(&in);
    unsigned claims = fuzz_u8(&in);
    size_t n;
    const uint8_t *bytes = fuzz_bytes(&in, MAX_STREAM, &n);
    fuzz_fds_note();
    make_pair(pair);
    make_pair(back);
    struct stream s = {.data = bytes, .size = n};
    frame_reader_init(&r);
    frame_writer_init(&w, 4 * MAX_STREAM);
    size_t given = 0;
    int e = 1;
    while (given < n && !s.ended && e > 0) {
        plan = plan * 6364136223846793005u + 1442695040888963407u;
        size_t piece = (plan >> 33) % (plan & 1u << 20 ? 9 : 4000) + 1;
        unsigned n_fds = (plan >> 40 & 7) == 0 ? plan >> 44 & 7 : 0;
        piece = piece < n - given ? piece : n - given;
        ssize_t sent = send_piece(bytes + given, piece, n_fds);
        FUZZ_REQUIRE(sent > 0);
        given += (size_t)sent;
        size_t before = r.n_fds;
        e = frame_reader_fill(&r, pair[1]);
        if (e < 0) {
            /* Only for more descriptors than there is room for, and then it is the end. */
            FUZZ_REQUIRE(e == -EPROTO && before + n_fds > FD_MAX_PASSED);
            fuzz_refused();
            break;
        }
        FUZZ_REQUIRE(r.n_fds == before + n_fds);
        take_frames(&r, &s, given, claims >> (plan >> 50 & 7), &w);
    }
    if (e > 0)
        FUZZ_REQUIRE(frame_reader_fill(&r, pair[1]) == -EAGAIN);
    close(pair[0]);
    if (e > 0)
        FUZZ_REQUIRE(frame_reader_fill(&r, pair[1]) == 0);
    check_back(&w, &s);
    FUZZ_REQUIRE(frame_writer_put(&w, bytes, 0, -1) == -EMSGSIZE);
    frame_reader_done(&r);
    frame_writer_done(&w);
    close(pair[1]);
    close(back[0]);
    close(back[1]);
    fuzz_fds_require();
    return 0;
}

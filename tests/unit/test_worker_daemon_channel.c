#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/limits.h"
#include "worker/daemon_channel.h"

struct fixture {
    struct daemon_channel c;
    int daemon;
    unsigned commands, memfds;
};

static int on_command(void *userdata, const Stillpoint__Worker__Command *m, int *fds, size_t n_fds)
{
    struct fixture *f = userdata;
    (void)m;
    f->commands++;
    if (n_fds > 0) {
        close(fds[0]);
        fds[0] = -1;
        f->memfds++;
    }
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int pair[2];
    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->daemon = pair[0];
    assert_int_equal(daemon_channel_init(&f->c, pair[1], on_command, f), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int fd = f->c.fd;
    daemon_channel_done(&f->c);
    close(fd);
    if (f->daemon >= 0)
        close(f->daemon);
    free(f);
    return 0;
}

static int send_console(struct fixture *f, size_t len)
{
    static uint8_t text[LIMIT_CONSOLE_CHUNK_BYTES];
    Stillpoint__Worker__Console console = STILLPOINT__WORKER__CONSOLE__INIT;
    console.has_data = true;
    console.data = (ProtobufCBinaryData){.len = len, .data = text};
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_CONSOLE;
    fact.console = &console;
    return daemon_channel_send(&f->c, &fact);
}

/* Number of the next fact at the daemon, 0 if there is none. */
static uint64_t next_fact(struct fixture *f)
{
    static uint8_t packet[LIMIT_PACKET_BYTES];
    int fd = -1;
    size_t n_fds = 1;
    ssize_t n = fd_receive(f->daemon, packet, sizeof packet, &fd, &n_fds);
    if (n <= 0)
        return 0;
    if (n_fds > 0)
        close(fd);
    Stillpoint__Worker__Fact *fact = stillpoint__worker__fact__unpack(NULL, (size_t)n, packet);
    assert_non_null(fact);
    uint64_t seq = fact->seq;
    stillpoint__worker__fact__free_unpacked(fact, NULL);
    return seq;
}

static void send_command(struct fixture *f, Stillpoint__Worker__Command *m, int fd)
{
    uint8_t packet[4096];
    struct iovec iov = {packet, stillpoint__worker__command__pack(m, packet)};
    assert_true(fd_send(f->daemon, &iov, 1, &fd, fd >= 0 ? 1 : 0) > 0);
}

static void send_ack(struct fixture *f, uint64_t seq)
{
    Stillpoint__Worker__Command m = STILLPOINT__WORKER__COMMAND__INIT;
    m.has_ack = true;
    m.ack = seq;
    send_command(f, &m, -1);
}

static void facts_count_from_one_without_gaps(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 20; i++) {
        assert_int_equal(send_console(f, 10), 0);
        assert_int_equal(next_fact(f), i);
    }
    assert_int_equal(f->c.last_seq, 20);
    assert_false(daemon_channel_settled(&f->c));
}

static void an_ack_covers_all_before_it(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(send_console(f, 10), 0);
    send_ack(f, 4);
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_false(daemon_channel_settled(&f->c));
    assert_int_equal(f->c.console_bytes, 10);
    send_ack(f, 2); /* an older one changes nothing */
    send_ack(f, 5);
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_true(daemon_channel_settled(&f->c));
    assert_int_equal(f->c.kept_bytes, 0);
    assert_int_equal(f->commands, 0); /* bare acks are nobody else's business */
}

static void an_ack_of_what_was_never_sent_ends_the_channel(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_console(f, 10), 0);
    send_ack(f, 2);
    assert_int_equal(daemon_channel_drain(&f->c), -EPROTO);
}

static void the_window_closes_before_it_is_exceeded(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0;
    while (!daemon_channel_congested(&f->c)) {
        assert_int_equal(send_console(f, LIMIT_CONSOLE_CHUNK_BYTES), 0);
        sent += LIMIT_CONSOLE_CHUNK_BYTES;
        while (next_fact(f) != 0)
            ;
        assert_int_equal(daemon_channel_drain(&f->c), 0);
    }
    assert_true(sent <= LIMIT_FACT_WINDOW_BYTES);
    assert_true(sent > LIMIT_FACT_WINDOW_BYTES - LIMIT_CONSOLE_CHUNK_BYTES);
    send_ack(f, 1);
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_false(daemon_channel_congested(&f->c));
}

static void a_full_socket_keeps_facts_in_order(void **state)
{
    struct fixture *f = *state;
    int small = 4096;
    assert_int_equal(setsockopt(f->c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    uint64_t n = 0;
    while (!f->c.unsent) {
        assert_int_equal(send_console(f, 1000), 0);
        n++;
    }
    assert_true(daemon_channel_congested(&f->c));
    /* Made behind a closed gate, for instance: kept as well. */
    assert_int_equal(send_console(f, 1000), 0);
    n++;
    for (uint64_t seq = 1; seq <= n; seq++) {
        uint64_t got = next_fact(f);
        if (got == 0) {
            assert_int_equal(daemon_channel_drain(&f->c), 0);
            got = next_fact(f);
        }
        assert_int_equal(got, seq);
    }
    assert_int_equal(next_fact(f), 0);
    assert_null(f->c.unsent);
}

static void a_take_over_sends_again_what_the_new_daemon_lacks(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(send_console(f, 10), 0);
    while (next_fact(f) != 0)
        ;
    Stillpoint__Worker__TakeOver take_over = STILLPOINT__WORKER__TAKE_OVER__INIT;
    take_over.has_last_seq = true;
    take_over.last_seq = 2;
    Stillpoint__Worker__Command m = STILLPOINT__WORKER__COMMAND__INIT;
    m.body_case = STILLPOINT__WORKER__COMMAND__BODY_TAKE_OVER;
    m.take_over = &take_over;
    send_command(f, &m, -1);
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_int_equal(next_fact(f), 3);
    assert_int_equal(next_fact(f), 4);
    assert_int_equal(next_fact(f), 0);
    assert_int_equal(send_console(f, 10), 0);
    assert_int_equal(next_fact(f), 5);
}

static void large_texts_travel_in_parts_that_live_until_the_ack(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, LIMIT_JSON_BYTES);
    assert_non_null(text);
    Stillpoint__Worker__Posted posted = STILLPOINT__WORKER__POSTED__INIT;
    assert_false(daemon_channel_wrap(text, 100, &posted.json));
    assert_int_equal(posted.json.len, 100);
    assert_true(daemon_channel_wrap(text, LIMIT_JSON_BYTES, &posted.json));
    assert_int_equal(posted.json.len, 0);
    posted.has_in_memfd = posted.in_memfd = true;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_POSTED;
    fact.posted = &posted;
    assert_int_equal(daemon_channel_send_beside(&f->c, &fact, text, LIMIT_JSON_BYTES), 0);
    assert_true(f->c.kept_bytes > LIMIT_JSON_BYTES);
    for (uint64_t seq = 1; seq <= DAEMON_CHANNEL_PARTS + 1; seq++) {
        assert_int_equal(next_fact(f), seq);
        assert_int_equal(daemon_channel_drain(&f->c), 0);
    }
    assert_int_equal(f->c.last_seq, DAEMON_CHANNEL_PARTS + 1);
    send_ack(f, DAEMON_CHANNEL_PARTS + 1);
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_int_equal(f->c.kept_bytes, 0);
    free(text);
}

static void descriptors_that_nobody_takes_are_closed(void **state)
{
    struct fixture *f = *state;
    int before = unit_open_fds();
    int memfd = fd_memfd_new("x", "abc", 3);
    Stillpoint__Worker__Command m = STILLPOINT__WORKER__COMMAND__INIT;
    m.has_ack = true;
    send_command(f, &m, memfd); /* has one, and is a bare ack */
    Stillpoint__Worker__AddFile file = STILLPOINT__WORKER__ADD_FILE__INIT;
    m.body_case = STILLPOINT__WORKER__COMMAND__BODY_ADD_FILE;
    m.add_file = &file;
    send_command(f, &m, memfd);
    close(memfd);
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_int_equal(f->commands, 1);
    assert_int_equal(f->memfds, 1);
    assert_int_equal(unit_open_fds(), before);
}

static void nonsense_and_the_end_are_told_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send(f->daemon, "\377\377\377", 3, 0), 3);
    assert_int_equal(daemon_channel_drain(&f->c), -EPROTO);
    close(f->daemon);
    f->daemon = -1;
    assert_int_equal(daemon_channel_drain(&f->c), -EPIPE);
    assert_int_equal(send_console(f, 10), -EPIPE);
}

static void waiting_ends_with_time_packet_or_wake(void **state)
{
    struct fixture *f = *state;
    int other[2];
    assert_int_equal(pipe(other), 0);
    assert_int_equal(daemon_channel_wait(&f->c, other[0], 1000000), -ETIMEDOUT);
    send_ack(f, 0);
    assert_int_equal(daemon_channel_wait(&f->c, other[0], UINT64_MAX), 0);
    assert_int_equal(write(other[1], "x", 1), 1);
    assert_int_equal(daemon_channel_wait(&f->c, other[0], UINT64_MAX), 1);
    close(other[0]);
    close(other[1]);
}

static void a_command_that_comes_again_is_left_out(void **state)
{
    struct fixture *f = *state;
    const uint64_t numbers[] = {1, 2, 7, 2, 7, 8};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        Stillpoint__Worker__Deliver deliver = STILLPOINT__WORKER__DELIVER__INIT;
        Stillpoint__Worker__Command m = STILLPOINT__WORKER__COMMAND__INIT;
        deliver.json = (char *)"1";
        m.body_case = STILLPOINT__WORKER__COMMAND__BODY_DELIVER;
        m.deliver = &deliver;
        m.has_number = true;
        m.number = numbers[i];
        send_command(f, &m, -1);
    }
    assert_int_equal(daemon_channel_drain(&f->c), 0);
    assert_int_equal(f->commands, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(facts_count_from_one_without_gaps),
    TEST(an_ack_covers_all_before_it),
    TEST(an_ack_of_what_was_never_sent_ends_the_channel),
    TEST(the_window_closes_before_it_is_exceeded),
    TEST(a_full_socket_keeps_facts_in_order),
    TEST(a_take_over_sends_again_what_the_new_daemon_lacks),
    TEST(a_command_that_comes_again_is_left_out),
    TEST(large_texts_travel_in_parts_that_live_until_the_ack),
    TEST(descriptors_that_nobody_takes_are_closed),
    TEST(nonsense_and_the_end_are_told_apart),
    TEST(waiting_ends_with_time_packet_or_wake),
};

UNIT_MAIN(tests)

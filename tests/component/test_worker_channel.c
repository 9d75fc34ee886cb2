#include "tests/support/unit.h"

#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/worker_channel.h"
#include "proto/check_worker.h"
#include "proto/limits.h"

static struct event_base *base;
static struct worker_channel *channel;
static int worker;
static unsigned facts;
static bool may_break;
static const char *broken;

static bool answers;

static int deliver(const char *json)
{
    Stillpoint__Worker__Deliver m = STILLPOINT__WORKER__DELIVER__INIT;
    Stillpoint__Worker__Command command = STILLPOINT__WORKER__COMMAND__INIT;
    m.json = (char *)(uintptr_t)json;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_DELIVER;
    command.deliver = &m;
    return worker_channel_send(channel, &command, -1);
}

static const char *on_fact(void *userdata, const struct worker_fact *fact)
{
    (void)userdata, (void)fact;
    facts++;
    if (answers)
        deliver("answer");
    return NULL;
}

static void on_flushed(void *userdata)
{
    (void)userdata;
}

static void on_broken(void *userdata, const char *why)
{
    (void)userdata;
    if (!may_break)
        fail_msg("broken: %s", why ? why : "at its end");
    broken = why;
}

static uint64_t queued[4096], n_queued, n_sent;

static int on_queued(void *userdata, const struct worker_queued *q)
{
    (void)userdata;
    assert_true(n_queued < sizeof queued / sizeof queued[0]);
    queued[n_queued++] = q->number;
    return 0;
}

static void on_sent(void *userdata, const struct worker_queued *q)
{
    (void)userdata;
    assert_int_equal(q->number, queued[n_sent]);
    n_sent++;
}

static const struct worker_channel_events events = {.on_fact = on_fact,
                                                    .on_flushed = on_flushed,
                                                    .on_queued = on_queued,
                                                    .on_sent = on_sent,
                                                    .on_broken = on_broken};

static int setup(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    base = event_base_new();
    worker = pair[1];
    channel = worker_channel_new(base, pair[0], &events, NULL);
    assert_non_null(channel);
    assert_int_equal(worker_channel_listen(channel), 0);
    facts = 0;
    n_queued = n_sent = 0;
    answers = false;
    may_break = false;
    broken = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_channel_free(channel);
    close(worker);
    event_base_free(base);
    libevent_global_shutdown();
    return 0;
}

static void say_exiting(void)
{
    uint8_t data[256];
    Stillpoint__Worker__Exiting exiting = STILLPOINT__WORKER__EXITING__INIT;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    exiting.has_reason = exiting.has_code = true;
    exiting.reason = 1;
    fact.has_seq = true;
    fact.seq = 1;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_EXITING;
    fact.exiting = &exiting;
    size_t len = stillpoint__worker__fact__pack(&fact, data);
    assert_int_equal(send(worker, data, len, 0), len);
}

struct received {
    uint64_t ack, number; /* 0: none */
};

/* The next command, or all 0. */
static struct received receive(int fd)
{
    static uint8_t data[LIMIT_PACKET_BYTES];
    ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (n <= 0)
        return (struct received){0};
    Stillpoint__Worker__Command *c = stillpoint__worker__command__unpack(NULL, (size_t)n, data);
    assert_non_null(c);
    struct received r = {.ack = c->ack, .number = c->number};
    stillpoint__worker__command__free_unpacked(c, NULL);
    return r;
}

static uint64_t acked(void)
{
    return receive(worker).ack;
}

static void a_farewell_is_acknowledged_when_the_loop_comes_to_it(void **state)
{
    (void)state;
    say_exiting();
    event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(facts, 1);
    assert_int_equal(acked(), 1);
}

static void a_farewell_that_is_heard_early_is_acknowledged_too(void **state)
{
    (void)state;
    say_exiting();
    worker_channel_hear(channel);
    assert_int_equal(facts, 1);
    assert_int_equal(acked(), 1);
}

/* One packet of console, as large as it may be. False: the daemon does not read just now. */
static bool say_console(uint64_t seq)
{
    static uint8_t text[LIMIT_CONSOLE_CHUNK_BYTES], data[LIMIT_PACKET_BYTES];
    memset(text, 'x', sizeof text);
    Stillpoint__Worker__Console console = STILLPOINT__WORKER__CONSOLE__INIT;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    console.has_stream = console.has_level = console.has_data = console.has_mono_ns = true;
    console.stream = 1;
    console.data = (ProtobufCBinaryData){.data = text, .len = sizeof text};
    fact.has_seq = true;
    fact.seq = seq;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_CONSOLE;
    fact.console = &console;
    size_t len = stillpoint__worker__fact__pack(&fact, data);
    return send(worker, data, len, MSG_DONTWAIT) == (ssize_t)len;
}

static void one_that_sends_on_while_it_is_to_wait_is_cut_off(void **state)
{
    (void)state;
    uint64_t seq = 1;
    may_break = true;
    worker_channel_hold_acks(channel, true);
    while (!broken && seq < 10000) {
        if (say_console(seq))
            seq++;
        else
            event_base_loop(base, EVLOOP_ONCE);
    }
    assert_non_null(broken);
    assert_non_null(strstr(broken, "writes more than may be unacknowledged"));
    /* Not before an honest one would have had to wait. */
    assert_true((uint64_t)facts * LIMIT_CONSOLE_CHUNK_BYTES > LIMIT_FACT_WINDOW_BYTES);
    assert_true((uint64_t)facts * LIMIT_CONSOLE_CHUNK_BYTES < 3 * LIMIT_FACT_WINDOW_BYTES);
}

static void say(uint64_t seq, Stillpoint__Worker__Fact *fact)
{
    static uint8_t data[LIMIT_PACKET_BYTES];
    fact->has_seq = true;
    fact->seq = seq;
    size_t len = stillpoint__worker__fact__pack(fact, data);
    assert_int_equal(send(worker, data, len, 0), len);
}

static void say_part(uint64_t seq, size_t bytes)
{
    static uint8_t text[LIMIT_PACKET_BYTES];
    memset(text, 'x', bytes);
    Stillpoint__Worker__Part part = STILLPOINT__WORKER__PART__INIT;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    part.has_data = true;
    part.data = (ProtobufCBinaryData){.data = text, .len = bytes};
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_PART;
    fact.part = &part;
    say(seq, &fact);
}

static void say_posted(uint64_t seq, bool beside)
{
    Stillpoint__Worker__Posted posted = STILLPOINT__WORKER__POSTED__INIT;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    posted.has_in_memfd = true;
    posted.in_memfd = beside;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_POSTED;
    fact.posted = &posted;
    say(seq, &fact);
}

static void parts_are_put_together_and_acknowledged_with_their_fact(void **state)
{
    (void)state;
    say_part(1, 40000);
    say_part(2, 40000);
    event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(facts, 0);
    assert_int_equal(acked(), 0);
    say_posted(3, true);
    event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(facts, 1);
    assert_int_equal(acked(), 3);
}

static void parts_without_an_end_or_a_use_are_refused(void **state)
{
    (void)state;
    may_break = true;
    for (uint64_t seq = 1; seq < 100 && !broken; seq++) {
        say_part(seq, 60000);
        event_base_loop(base, EVLOOP_ONCE);
    }
    assert_non_null(broken);
    assert_non_null(strstr(broken, "parts"));
}

static void parts_before_a_fact_that_has_no_use_for_them_are_refused(void **state)
{
    (void)state;
    may_break = true;
    say_part(1, 10);
    say_posted(2, false);
    event_base_loop(base, EVLOOP_ONCE);
    assert_non_null(broken);
}

static void a_descriptor_of_a_worker_is_refused_whatever_it_is(void **state)
{
    (void)state;
    may_break = true;
    int memfd = fd_memfd_new("sealed", "1", 1);
    struct iovec iov = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
    assert_int_equal(fd_send(worker, &iov, 1, &memfd, 1), 1);
    close(memfd);
    event_base_loop(base, EVLOOP_ONCE);
    assert_non_null(broken);
    assert_non_null(strstr(broken, "descriptor"));
}

static void one_that_waits_for_its_acks_may_send_for_ever(void **state)
{
    (void)state;
    for (uint64_t seq = 1; seq < 1000; seq++) {
        while (!say_console(seq))
            event_base_loop(base, EVLOOP_ONCE);
        while (acked() > 0)
            ;
    }
    while (facts < 999)
        event_base_loop(base, EVLOOP_ONCE);
}

static void what_is_sent_while_a_fact_is_dealt_with_does_not_acknowledge_it(void **state)
{
    (void)state;
    answers = true;
    say_exiting();
    event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(facts, 1);
    assert_int_equal(acked(), 0); /* the answer */
    assert_int_equal(acked(), 1);
}

static void what_is_deferred_is_not_acknowledged_and_what_was_before_it_is(void **state)
{
    (void)state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_true(say_console(seq));
    while (facts < 3)
        event_base_loop(base, EVLOOP_ONCE);
    worker_channel_defer(channel, true);
    assert_true(say_console(4));
    while (facts < 4)
        event_base_loop(base, EVLOOP_ONCE);
    uint64_t last = 0, ack;
    assert_int_equal(deliver("1"), 0);
    while ((ack = acked()) > 0)
        last = ack;
    assert_int_equal(last, 3);
    worker_channel_defer(channel, false);
    assert_true(say_console(5));
    while (facts < 5)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(deliver("2"), 0);
    while ((ack = acked()) > 0)
        last = ack;
    assert_int_equal(last, 5);
}

static uint64_t take_number(int fd)
{
    return receive(fd).number;
}

static int take_over(void *userdata, const struct worker_queued *q)
{
    return worker_channel_requeue(userdata, q);
}

static void what_has_no_room_is_told_and_another_daemon_sends_it_under_its_number(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, 'x', sizeof text - 1);
    while (n_queued < 50)
        assert_int_equal(deliver(text), 0);
    for (uint64_t i = 1; i < 50; i++)
        assert_int_equal(queued[i], queued[i - 1] + 1);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    struct worker_channel *next = worker_channel_new(base, pair[0], &events, NULL);
    assert_non_null(next);
    worker_channel_number_from(next, 1000000);
    assert_int_equal(worker_channel_each_queued(channel, take_over, next), 0);
    channel = worker_channel_free(channel);
    channel = next;
    assert_int_equal(deliver("last"), 0);
    assert_int_equal(queued[50], 1000001);
    for (uint64_t i = 0; i < 51; i++) {
        uint64_t number;
        while ((number = take_number(pair[1])) == 0)
            event_base_loop(base, EVLOOP_ONCE);
        assert_int_equal(number, queued[i]);
    }
    assert_int_equal(n_sent, 51);
    close(pair[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(a_farewell_is_acknowledged_when_the_loop_comes_to_it),
    TEST(one_that_sends_on_while_it_is_to_wait_is_cut_off),
    TEST(one_that_waits_for_its_acks_may_send_for_ever),
    TEST(parts_are_put_together_and_acknowledged_with_their_fact),
    TEST(parts_without_an_end_or_a_use_are_refused),
    TEST(parts_before_a_fact_that_has_no_use_for_them_are_refused),
    TEST(a_descriptor_of_a_worker_is_refused_whatever_it_is),
    TEST(what_is_sent_while_a_fact_is_dealt_with_does_not_acknowledge_it),
    TEST(what_has_no_room_is_told_and_another_daemon_sends_it_under_its_number),
    TEST(what_is_deferred_is_not_acknowledged_and_what_was_before_it_is),
    TEST(a_farewell_that_is_heard_early_is_acknowledged_too),
};

UNIT_MAIN(tests)

#include "tests/support/unit.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/worker_channel.h"
#include "proto/check_worker.h"

static struct event_base *base;
static struct worker_channel *channel;
static int worker;
static unsigned facts;

static const char *on_fact(void *userdata, const struct worker_fact *fact)
{
    (void)userdata, (void)fact;
    facts++;
    return NULL;
}

static void on_flushed(void *userdata)
{
    (void)userdata;
}

static void on_broken(void *userdata, const char *why)
{
    (void)userdata;
    fail_msg("broken: %s", why ? why : "at its end");
}

static int setup(void **state)
{
    (void)state;
    static const struct worker_channel_events events = {on_fact, on_flushed, on_broken};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    base = event_base_new();
    worker = pair[1];
    channel = worker_channel_new(base, pair[0], &events, NULL);
    assert_non_null(channel);
    assert_int_equal(worker_channel_listen(channel), 0);
    facts = 0;
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

static uint64_t acked(void)
{
    uint8_t data[256];
    ssize_t n = recv(worker, data, sizeof data, MSG_DONTWAIT);
    if (n <= 0)
        return 0;
    Stillpoint__Worker__Command *c = stillpoint__worker__command__unpack(NULL, (size_t)n, data);
    assert_non_null(c);
    uint64_t ack = c->ack;
    stillpoint__worker__command__free_unpacked(c, NULL);
    return ack;
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(a_farewell_is_acknowledged_when_the_loop_comes_to_it),
    TEST(a_farewell_that_is_heard_early_is_acknowledged_too),
};

UNIT_MAIN(tests)

#include "tests/support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/event_bus.h"
#include "proto/limits.h"

#define ALL (~UINT64_C(0))

static void publish(struct event_bus *bus, enum event_kind kind, const char *detail)
{
    const struct event e = {.kind = kind, .detail = detail};
    event_bus_publish(bus, &e);
}

static void a_reader_sees_each_event_once_and_in_order(void **state)
{
    (void)state;
    struct event_bus *bus = event_bus_new();
    uint64_t cursor = 0, dropped;
    assert_null(event_bus_next(bus, &cursor, ALL, &dropped));
    publish(bus, EVENT_VM_BORN, "one");
    publish(bus, EVENT_VM_ENDED, "two");
    const struct event *e = event_bus_next(bus, &cursor, ALL, &dropped);
    assert_int_equal(e->seq, 1);
    assert_string_equal(e->detail, "one");
    assert_int_equal(dropped, 0);
    e = event_bus_next(bus, &cursor, ALL, &dropped);
    assert_int_equal(e->seq, 2);
    assert_null(event_bus_next(bus, &cursor, ALL, &dropped));
    event_bus_free(bus);
}

static void kinds_that_nobody_asked_for_are_passed_over(void **state)
{
    (void)state;
    struct event_bus *bus = event_bus_new();
    uint64_t cursor = 0, dropped;
    publish(bus, EVENT_VM_BORN, NULL);
    publish(bus, EVENT_WORLD_STOPPED, NULL);
    publish(bus, EVENT_VM_BORN, NULL);
    const struct event *e = event_bus_next(bus, &cursor, 1u << EVENT_WORLD_STOPPED, &dropped);
    assert_int_equal(e->seq, 2);
    assert_null(event_bus_next(bus, &cursor, 1u << EVENT_WORLD_STOPPED, &dropped));
    assert_int_equal(cursor, 3);
    event_bus_free(bus);
}

static void a_reader_that_falls_behind_learns_exactly_how_much_it_missed(void **state)
{
    (void)state;
    struct event_bus *bus = event_bus_new();
    uint64_t cursor = 10, dropped, n = 0, extra = 137;
    for (uint64_t i = 0; i < LIMIT_EVENTS_KEPT + 10 + extra; i++)
        publish(bus, EVENT_VM_HELD, NULL);
    const struct event *e = event_bus_next(bus, &cursor, ALL, &dropped);
    assert_int_equal(dropped, extra);
    assert_int_equal(e->seq, 10 + extra + 1);
    for (n = 1; event_bus_next(bus, &cursor, ALL, &dropped); n++)
        assert_int_equal(dropped, 0);
    assert_int_equal(n, LIMIT_EVENTS_KEPT);
    event_bus_free(bus);
}

static void what_guests_post_is_bounded_and_pushes_out_nothing_else(void **state)
{
    (void)state;
    struct event_bus *bus = event_bus_new();
    static char text[100001];
    memset(text, 'x', sizeof text - 1);
    publish(bus, EVENT_VM_BORN, "first");
    for (int i = 0; i < 1000; i++)
        publish(bus, EVENT_VM_MESSAGE, text);
    publish(bus, EVENT_VM_ENDED, "last");
    uint64_t cursor = 0, dropped, total = 0, kept = 0, bytes = 0;
    const struct event *e = event_bus_next(bus, &cursor, ALL, &dropped);
    assert_string_equal(e->detail, "first");
    while ((e = event_bus_next(bus, &cursor, ALL, &dropped)) != NULL) {
        total += dropped + 1;
        kept++;
        bytes += strlen(e->detail);
    }
    assert_int_equal(total, 1001); /* each is there, or counted */
    assert_true(kept > 10 && bytes <= LIMIT_EVENT_MESSAGES_BYTES + 1000);
    event_bus_free(bus);
}

static void a_reader_may_begin_anywhere(void **state)
{
    (void)state;
    enum { N = 3 * LIMIT_EVENTS_KEPT };
    struct event_bus *bus = event_bus_new();
    /* Which are kept is known by counting from the end: each share keeps its newest. */
    static bool is_message[N + 1], is_kept[N + 1];
    for (uint64_t seq = 1; seq <= N; seq++) {
        is_message[seq] = seq % 7 == 0 || seq % 5 == 1;
        publish(bus, is_message[seq] ? EVENT_VM_MESSAGE : EVENT_VM_BORN, NULL);
    }
    size_t life = 0, messages = 0;
    for (uint64_t seq = N; seq > 0; seq--)
        is_kept[seq] =
            is_message[seq] ? messages++ < LIMIT_EVENT_MESSAGES_KEPT : life++ < LIMIT_EVENTS_KEPT;
    for (uint64_t from = 0; from <= N; from++) {
        uint64_t cursor = from, next = from + 1, dropped;
        while (next <= N && !is_kept[next])
            next++;
        const struct event *e = event_bus_next(bus, &cursor, ALL, &dropped);
        assert_int_equal(dropped, next - from - 1);
        assert_int_equal(cursor, next <= N ? next : N);
        if (next > N)
            assert_null(e);
        else
            assert_int_equal(e->seq, next);
    }
    event_bus_free(bus);
}

static void count_news(void *userdata)
{
    ++*(int *)userdata;
}

static void listeners_are_told_until_they_leave(void **state)
{
    (void)state;
    struct event_bus *bus = event_bus_new();
    int news = 0;
    struct event_listener *l = event_bus_listen(bus, count_news, &news);
    publish(bus, EVENT_VM_BORN, NULL);
    publish(bus, EVENT_VM_BORN, NULL);
    assert_int_equal(news, 2);
    event_bus_unlisten(bus, l);
    publish(bus, EVENT_VM_BORN, NULL);
    assert_int_equal(news, 2);
    event_bus_free(bus);
}

/* ---- what is kept for the next daemon */

static int kept_fd = -1, put_error;

int __wrap_fd_store_put(int fd, const char *format, ...);
void __wrap_fd_store_drop(const char *format, ...);

int __wrap_fd_store_put(int fd, const char *format, ...)
{
    (void)format;
    if (put_error == 0)
        kept_fd = fd;
    return put_error;
}

void __wrap_fd_store_drop(const char *format, ...)
{
    (void)format;
}

static void an_event_is_kept_where_the_log_cannot_be_written_anew(void **state)
{
    (void)state;
    char detail[1024];
    const struct event e = {.kind = EVENT_VM_BORN, .name = "vm", .world = "w", .detail = detail};
    struct event_bus *bus = event_bus_new(), *next = event_bus_new();
    memset(detail, 'x', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    assert_int_equal(event_bus_keep(bus, 1), 0);
    put_error = -ENOSPC;
    /* Often enough that it wants to, and more than are held. */
    for (unsigned i = 0; i < 3 * LIMIT_EVENTS_KEPT; i++)
        event_bus_publish(bus, &e);
    assert_int_equal(event_bus_read(next, kept_fd), 0);
    assert_int_equal(event_bus_last(next), event_bus_last(bus));
    put_error = 0;
    int before = kept_fd;
    event_bus_publish(bus, &e);
    assert_int_not_equal(kept_fd, before);
    event_bus_free(next);
    event_bus_free(bus);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_event_is_kept_where_the_log_cannot_be_written_anew),
    cmocka_unit_test(a_reader_sees_each_event_once_and_in_order),
    cmocka_unit_test(kinds_that_nobody_asked_for_are_passed_over),
    cmocka_unit_test(a_reader_that_falls_behind_learns_exactly_how_much_it_missed),
    cmocka_unit_test(what_guests_post_is_bounded_and_pushes_out_nothing_else),
    cmocka_unit_test(a_reader_may_begin_anywhere),
    cmocka_unit_test(listeners_are_told_until_they_leave),
};

UNIT_MAIN(tests)

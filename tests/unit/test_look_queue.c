/* Looks of many that are due at once, and somebody else's message that comes between them. */
#include "tests/support/unit.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "daemon/look_queue.h"

#define N_LOOKS 100

static struct event_base *base;
static struct look_queue *queue;
static struct look_turn looks[N_LOOKS];
static size_t order[2 * N_LOOKS], n_done, done_at_message;
static int message[2];

static void begin(void (*on_turn)(void *userdata))
{
    n_done = done_at_message = 0;
    memset(looks, 0, sizeof looks);
    for (size_t i = 0; i < N_LOOKS; i++) {
        looks[i] = (struct look_turn){.on_turn = on_turn, .userdata = &looks[i]};
        look_queue_add(queue, &looks[i]);
    }
}

static void note(void *userdata)
{
    order[n_done++] = (size_t)((struct look_turn *)userdata - looks);
}

static void comes_in_the_order_in_which_it_was_queued_and_once(void **state)
{
    (void)state;
    begin(note);
    look_queue_add(queue, &looks[0]);
    look_queue_drop(queue, &looks[3]);
    look_queue_drop(queue, &looks[3]);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(n_done, N_LOOKS - 1);
    for (size_t i = 0; i < n_done; i++)
        assert_int_equal(order[i], i < 3 ? i : i + 1);
}

static void note_and_send(void *userdata)
{
    note(userdata);
    if (n_done == 1)
        assert_int_equal(write(message[1], "m", 1), 1);
}

static void on_message(evutil_socket_t fd, short what, void *userdata)
{
    char byte;
    (void)what, (void)userdata;
    assert_int_equal(read(fd, &byte, 1), 1);
    done_at_message = n_done;
}

static void a_message_waits_for_one_of_them_and_not_for_all(void **state)
{
    (void)state;
    struct event *readable = event_new(base, message[0], EV_READ, on_message, NULL);
    assert_non_null(readable);
    assert_int_equal(event_add(readable, NULL), 0);
    begin(note_and_send);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(done_at_message, 1);
    assert_int_equal(n_done, N_LOOKS);
    event_free(readable);
}

static void note_and_queue_again(void *userdata)
{
    note(userdata);
    if (n_done <= N_LOOKS)
        look_queue_add(queue, userdata);
}

static void one_that_comes_again_waits_for_all_others(void **state)
{
    (void)state;
    begin(note_and_queue_again);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(n_done, 2 * N_LOOKS);
    for (size_t i = 0; i < n_done; i++)
        assert_int_equal(order[i], i % N_LOOKS);
}

static int up(void **state)
{
    (void)state;
    base = event_base_new();
    queue = base ? look_queue_new(base) : NULL;
    return queue && pipe(message) == 0 ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    look_queue_free(queue);
    event_base_free(base);
    close(message[0]);
    close(message[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_in_the_order_in_which_it_was_queued_and_once),
        cmocka_unit_test(a_message_waits_for_one_of_them_and_not_for_all),
        cmocka_unit_test(one_that_comes_again_waits_for_all_others),
    };
    return cmocka_run_group_tests(tests, up, down);
}

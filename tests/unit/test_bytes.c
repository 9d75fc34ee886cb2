#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

static void content_comes_out_in_the_order_it_went_in(void **state)
{
    (void)state;
    struct bytes b;
    bytes_init(&b, 1000);
    assert_int_equal(bytes_append(&b, "abc", 3), 0);
    assert_int_equal(bytes_append(&b, "def", 3), 0);
    assert_int_equal(b.len, 6);
    assert_memory_equal(bytes_at(&b), "abcdef", 6);
    bytes_consume(&b, 4);
    assert_memory_equal(bytes_at(&b), "ef", 2);
    bytes_done(&b);
}

static void a_queue_never_grows_beyond_its_bound(void **state)
{
    (void)state;
    struct bytes b;
    uint8_t *room;
    bytes_init(&b, 8);
    assert_int_equal(bytes_append(&b, "12345678", 8), 0);
    assert_int_equal(bytes_append(&b, "9", 1), -ENOBUFS);
    assert_int_equal(bytes_reserve(&b, SIZE_MAX, &room), -ENOBUFS);
    assert_int_equal(b.len, 8);
    bytes_consume(&b, 1);
    assert_int_equal(bytes_append(&b, "9", 1), 0);
    assert_memory_equal(bytes_at(&b), "23456789", 8);
    bytes_done(&b);
}

static void appending_nothing_is_fine_even_to_an_empty_queue(void **state)
{
    (void)state;
    struct bytes b;
    bytes_init(&b, 8);
    assert_int_equal(bytes_append(&b, NULL, 0), 0);
    assert_int_equal(b.len, 0);
    bytes_done(&b);
}

/* Many small appends and consumes: the front moves, the content is moved back, nothing is lost. */
static void a_long_stream_passes_through_a_short_queue(void **state)
{
    (void)state;
    struct bytes b;
    uint8_t in = 0, out = 0;
    bytes_init(&b, 10000);
    for (int round = 0; round < 2000; round++) {
        uint8_t *room;
        size_t n = (size_t)(round * 7 % 100);
        assert_int_equal(bytes_reserve(&b, 100, &room), 0);
        for (size_t i = 0; i < n; i++)
            room[i] = in++;
        bytes_commit(&b, n);
        size_t take = b.len * 3 / 4;
        for (size_t i = 0; i < take; i++)
            assert_int_equal(bytes_at(&b)[i], out++);
        bytes_consume(&b, take);
    }
    bytes_done(&b);
}

static void an_emptied_large_queue_gives_its_memory_back(void **state)
{
    (void)state;
    struct bytes b;
    uint8_t *room;
    bytes_init(&b, 1u << 20);
    assert_int_equal(bytes_reserve(&b, 1u << 20, &room), 0);
    memset(room, 1, 1u << 20);
    bytes_commit(&b, 1u << 20);
    bytes_consume(&b, 1u << 20);
    assert_null(b.data);
    assert_int_equal(bytes_append(&b, "x", 1), 0);
    assert_memory_equal(bytes_at(&b), "x", 1);
    bytes_done(&b);
    bytes_done(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(content_comes_out_in_the_order_it_went_in),
    cmocka_unit_test(a_queue_never_grows_beyond_its_bound),
    cmocka_unit_test(appending_nothing_is_fine_even_to_an_empty_queue),
    cmocka_unit_test(a_long_stream_passes_through_a_short_queue),
    cmocka_unit_test(an_emptied_large_queue_gives_its_memory_back),
};

UNIT_MAIN(tests)

#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "gateway/gdbserver/fields.h"

static struct fields of(const char *text)
{
    struct fields f;
    fields_init(&f, text, strlen(text));
    return f;
}

/* After a failure all is as before. */
#define REFUSED(f, call)                                                                           \
    do {                                                                                           \
        struct fields before = (f);                                                                \
        assert_int_equal(call, -EBADMSG);                                                          \
        assert_ptr_equal((f).at, before.at);                                                       \
        assert_int_equal((f).left, before.left);                                                   \
    } while (0)

static void a_number_has_digits_and_no_more_than_it_may(void **state)
{
    static const char *const bad[] = {"", ",", "-1", " 1", "x", "g", "12345"};
    struct fields f = of("01fF,10");
    uint64_t v = 99;
    (void)state;
    assert_int_equal(fields_hex(&f, 4, &v), 0);
    assert_int_equal(v, 0x1ff);
    assert_int_equal(fields_char(&f, ','), 0);
    assert_int_equal(fields_hex(&f, 16, &v), 0);
    assert_int_equal(v, 16);
    assert_int_equal(fields_end(&f), 0);
    f = of("ffffffffffffffff");
    assert_int_equal(fields_hex(&f, 16, &v), 0);
    assert_int_equal(v, UINT64_MAX);
    v = 99;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = of(bad[i]);
        REFUSED(f, fields_hex(&f, 4, &v));
    }
    assert_int_equal(v, 99);
}

static void a_decimal_number_is_within_its_range(void **state)
{
    static const char *const bad[] = {"", "-1", "x", "256", "18446744073709551616", "a"};
    struct fields f = of("255;18446744073709551615");
    uint64_t v;
    (void)state;
    assert_int_equal(fields_decimal(&f, 255, &v), 0);
    assert_int_equal(v, 255);
    assert_int_equal(fields_char(&f, ';'), 0);
    assert_int_equal(fields_decimal(&f, UINT64_MAX, &v), 0);
    assert_int_equal(v, UINT64_MAX);
    f = of("0");
    assert_int_equal(fields_decimal(&f, 0, &v), 0);
    assert_int_equal(v, 0);
    v = 99;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = of(bad[i]);
        REFUSED(f, fields_decimal(&f, 255, &v));
    }
    f = of("9");
    REFUSED(f, fields_decimal(&f, 8, &v));
    f = of("18446744073709551616");
    REFUSED(f, fields_decimal(&f, UINT64_MAX, &v));
    assert_int_equal(v, 99);
}

static void bytes_are_pairs_of_digits_and_just_so_many(void **state)
{
    static const char *const bad[] = {"", "0", "001", "0011a", "001122", "00g1", "00,1"};
    struct fields f = of("00fF;");
    uint8_t bytes[2] = {7, 7};
    uint64_t v = 99;
    (void)state;
    assert_int_equal(fields_bytes(&f, bytes, 2), 0);
    assert_memory_equal(bytes, "\x00\xff", 2);
    assert_int_equal(fields_char(&f, ';'), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = of(bad[i]);
        REFUSED(f, fields_bytes(&f, bytes, 2));
        REFUSED(f, fields_le(&f, 2, &v));
    }
    assert_memory_equal(bytes, "\x00\xff", 2);
    assert_int_equal(v, 99);
    f = of("02000000000000c0");
    assert_int_equal(fields_le(&f, 8, &v), 0);
    assert_int_equal(v, UINT64_C(0xc000000000000002));
    f = of("fe");
    assert_int_equal(fields_le(&f, 1, &v), 0);
    assert_int_equal(v, 0xfe);
}

static void a_thread_is_all_any_or_its_id(void **state)
{
    static const char *const bad[] = {
        "", "-", "-2", "-0", "--1", "p1.1", "+1", "x", "8000000000000000", "-11"};
    struct fields f = of("-1;0;7fffffffffffffff");
    int64_t tid;
    (void)state;
    assert_int_equal(fields_tid(&f, &tid), 0);
    assert_int_equal(tid, FIELDS_TID_ALL);
    assert_int_equal(fields_char(&f, ';'), 0);
    assert_int_equal(fields_tid(&f, &tid), 0);
    assert_int_equal(tid, FIELDS_TID_ANY);
    assert_int_equal(fields_char(&f, ';'), 0);
    assert_int_equal(fields_tid(&f, &tid), 0);
    assert_int_equal(tid, INT64_MAX);
    tid = 99;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = of(bad[i]);
        REFUSED(f, fields_tid(&f, &tid));
    }
    assert_int_equal(tid, 99);
}

static void words_and_characters_are_those_that_were_asked_for(void **state)
{
    struct fields f = of("vCont;c");
    char c = '?';
    (void)state;
    REFUSED(f, fields_text(&f, "vCont?"));
    REFUSED(f, fields_text(&f, "vCont;c;"));
    REFUSED(f, fields_char(&f, 'c'));
    assert_int_equal(fields_text(&f, "vCont;"), 0);
    assert_int_equal(fields_end(&f), -EBADMSG);
    assert_false(fields_at_end(&f));
    assert_true(fields_are(&f, "c"));
    assert_false(fields_are(&f, ""));
    assert_false(fields_are(&f, "cc"));
    assert_int_equal(fields_any(&f, &c), 0);
    assert_int_equal(c, 'c');
    REFUSED(f, fields_any(&f, &c));
    REFUSED(f, fields_char(&f, '\0'));
    assert_true(fields_at_end(&f) && fields_are(&f, ""));
}

static void a_list_has_a_member_more_than_separators(void **state)
{
    struct fields f = of("a;;bc;"), m;
    (void)state;
    assert_int_equal(fields_member(&f, ';', &m), 1);
    assert_true(fields_are(&m, "a"));
    assert_int_equal(fields_member(&f, ';', &m), 1);
    assert_true(fields_are(&m, ""));
    assert_int_equal(fields_member(&f, ';', &m), 1);
    assert_true(fields_are(&m, "bc"));
    assert_int_equal(fields_member(&f, ';', &m), 1);
    assert_true(fields_are(&m, ""));
    assert_int_equal(fields_member(&f, ';', &m), 0);
    assert_int_equal(fields_member(&f, ';', &m), 0);
    assert_true(fields_at_end(&f) && fields_are(&f, ""));
    f = of("");
    assert_int_equal(fields_member(&f, ';', &m), 1);
    assert_true(fields_are(&m, ""));
    assert_int_equal(fields_member(&f, ';', &m), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_number_has_digits_and_no_more_than_it_may),
    cmocka_unit_test(a_decimal_number_is_within_its_range),
    cmocka_unit_test(bytes_are_pairs_of_digits_and_just_so_many),
    cmocka_unit_test(a_thread_is_all_any_or_its_id),
    cmocka_unit_test(words_and_characters_are_those_that_were_asked_for),
    cmocka_unit_test(a_list_has_a_member_more_than_separators),
};
UNIT_MAIN(tests)

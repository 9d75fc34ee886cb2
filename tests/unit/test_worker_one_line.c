#include "tests/support/unit.h"

#include <string.h>

#include "worker/one_line.h"

static void control_characters_become_spaces(void **state)
{
    (void)state;
    char line[64];
    assert_string_equal(one_line("a\nb\tc\x7f"
                                 "d",
                                 line, sizeof line),
                        "a b c d");
    assert_string_equal(one_line("a\xc2\x9bm\xc2\xa0", line, sizeof line), "a  m\xc2\xa0");
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    char line[6];
    assert_string_equal(one_line("abcdefgh", line, sizeof line), "abcde");
    assert_string_equal(one_line("abcd\xc3\xa4", line, sizeof line), "abcd");
    assert_string_equal(one_line("abc\xc3\xa4", line, sizeof line), "abc\xc3\xa4");
    assert_string_equal(one_line("ab\xf0\x9f\x98\x80", line, sizeof line), "ab");
    assert_string_equal(one_line("x", line, 1), "");
}

static void what_is_not_utf8_is_made_so(void **state)
{
    (void)state;
    char line[64];
    assert_string_equal(one_line("a\xff\xc3z", line, sizeof line), "a??z");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(control_characters_become_spaces),
    cmocka_unit_test(a_long_text_is_cut_between_characters),
    cmocka_unit_test(what_is_not_utf8_is_made_so),
};

UNIT_MAIN(tests)

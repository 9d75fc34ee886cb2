#include "tests/support/unit.h"

#include <string.h>

#include "base/text.h"

static void well_formed_utf8_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xe2\x82\xac z"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
}

static void malformed_utf8_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *why;
    } bad[] = {
        {"\x80", "continuation alone"},
        {"\xc0\x80", "overlong NUL"},
        {"\xc1\xbf", "overlong, two bytes"},
        {"\xe0\x9f\xbf", "overlong, three bytes"},
        {"\xf0\x8f\xbf\xbf", "overlong, four bytes"},
        {"\xed\xa0\x80", "surrogate"},
        {"\xf4\x90\x80\x80", "beyond U+10FFFF"},
        {"\xf5\x80\x80\x80", "no such lead"},
        {"\xff", "no such lead"},
        {"\xe2\x82", "cut short"},
        {"\xc2x", "no continuation"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (text_is_utf8(bad[i].bytes, strlen(bad[i].bytes)))
            fail_msg("accepted: %s", bad[i].why);
}

static void utf8_with_a_nul_inside_is_refused(void **state)
{
    (void)state;
    assert_false(text_is_utf8("a\0b", 3));
}

static void utf8_is_not_read_beyond_its_length(void **state)
{
    (void)state;
    /* The second byte is there, but does not belong to the text. */
    assert_false(text_is_utf8("\xc2\x80", 1));
}

static void names_follow_the_rule(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "app-2", "1a", "x.y_z", "...", "-"};
    static const char *const bad[] = {"", "1", "0042", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_is_name(good[i], 64));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_is_name(bad[i], 64));
}

static void a_name_may_have_64_characters_and_no_more(void **state)
{
    (void)state;
    char name[66];
    memset(name, 'n', 65);
    name[65] = '\0';
    assert_false(text_is_name(name, 64));
    name[64] = '\0';
    assert_true(text_is_name(name, 64));
}

static void a_bundle_path_stays_below_its_folder(void **state)
{
    (void)state;
    static const char *const good[] = {"a.js", "lib/a.js", "..a/b", "a/...", "\xc3\xa4.js"};
    static const char *const bad[] = {"",    "/a",  "a/",   "a//b", ".",     "..",  "a/../b",
                                      "./a", "a/.", "a/..", "a\nb", "a\x7f", "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_is_bundle_path(good[i], 1024));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (text_is_bundle_path(bad[i], 1024))
            fail_msg("accepted: \"%s\"", bad[i]);
    assert_false(text_is_bundle_path("abcdef", 5));
}

static void numbers_are_decimal_whole_and_fit_in_64_bits(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(text_to_u64("0", &v) && v == 0);
    assert_true(text_to_u64("18446744073709551615", &v) && v == UINT64_MAX);
    v = 7;
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0", "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_to_u64(bad[i], &v));
    assert_int_equal(v, 7);
}

static void a_copy_ends_with_a_whole_character(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80z";
    static const size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t size = 1; size <= 13; size++) {
        char copy[16];
        memset(copy, '#', sizeof copy);
        text_copy(copy, size, text);
        assert_int_equal(strlen(copy), ends[size - 1]);
        assert_memory_equal(copy, text, ends[size - 1]);
        assert_true(text_is_utf8(copy, strlen(copy)));
    }
}

static void a_line_has_no_control_characters_and_no_cut_one(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } lines[] = {
        {"plain", "plain"},
        {"", ""},
        {"a\nb\033[0m\x7f", "a?b?[0m?"},
        {"\xc3\xa9\xc2\x9b\xc2\xa0", "\xc3\xa9??\xc2\xa0"},
        {"\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6|\xe2\x80\xa7\xe2\x82\xac",
         "?????????|\xe2\x80\xa7\xe2\x82\xac"},
        {"cut \xe6\x97", "cut "},
        {"cut \xc2", "cut "},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[32];
        strcpy(text, lines[i].text);
        text_to_line(text);
        assert_string_equal(text, lines[i].line);
    }
}

static void bytes_have_units_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"17", 17},
                {"4K", 4096},
                {"8M", 8u << 20},
                {"3G", 3ull << 30},
                {"16777215T", 16777215ull << 40},
                {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"",
                                      "K",
                                      "-1",
                                      "1k",
                                      "1 K",
                                      "1KB",
                                      "1.5G",
                                      "16777216T",
                                      "0x10",
                                      "18446744073709551616",
                                      "100000000000000000000000000000K"};
    uint64_t v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(text_to_bytes(good[i].text, &v));
        assert_int_equal(v, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        v = 5;
        assert_false(text_to_bytes(bad[i], &v));
        assert_int_equal(v, 5);
    }
}

static void times_have_a_unit(void **state)
{
    (void)state;
    uint64_t v = 5;
    assert_false(text_to_us("10", &v));
    assert_false(text_to_us("", &v));
    assert_false(text_to_us("10 s", &v));
    assert_false(text_to_us("213503983d", &v));
    assert_int_equal(v, 5);
    assert_true(text_to_us("7us", &v));
    assert_int_equal(v, 7);
    assert_true(text_to_us("200ms", &v));
    assert_int_equal(v, 200000);
    assert_true(text_to_us("10s", &v));
    assert_int_equal(v, 10000000);
    assert_true(text_to_us("2min", &v));
    assert_int_equal(v, 120000000);
    assert_true(text_to_us("1h", &v));
    assert_int_equal(v, 3600000000ull);
    assert_true(text_to_us("2d", &v));
    assert_int_equal(v, 172800000000ull);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_have_units_of_1024),
    cmocka_unit_test(times_have_a_unit),
    cmocka_unit_test(a_line_has_no_control_characters_and_no_cut_one),
    cmocka_unit_test(a_copy_ends_with_a_whole_character),
    cmocka_unit_test(well_formed_utf8_is_accepted),
    cmocka_unit_test(malformed_utf8_is_refused),
    cmocka_unit_test(utf8_with_a_nul_inside_is_refused),
    cmocka_unit_test(utf8_is_not_read_beyond_its_length),
    cmocka_unit_test(names_follow_the_rule),
    cmocka_unit_test(a_name_may_have_64_characters_and_no_more),
    cmocka_unit_test(a_bundle_path_stays_below_its_folder),
    cmocka_unit_test(numbers_are_decimal_whole_and_fit_in_64_bits),
};

UNIT_MAIN(tests)

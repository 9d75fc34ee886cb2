#include "tests/support/unit.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/parse.h"
#include "cli/print.h"

static void durations_have_a_number_and_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {
        {"200ms", 200000},
        {"10s", 10000000},
        {"5m", 300000000},
        {"5min", 300000000},
        {"1h", 3600000000u},
        {"1d", UINT64_C(86400000000)},
        {"7us", 7},
        {"0", 0},
        {"0s", 0},
        {"1.5s", 1500000},
        {"0.25ms", 250},
        {"0.0000001s", 0},
        {"18446744073709551615us", UINT64_MAX},
    };
    static const char *const bad[] = {"",
                                      "10",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1 s",
                                      "1S",
                                      "1.s",
                                      ".5s",
                                      "1.5",
                                      "0.0",
                                      "1e3s",
                                      "10x",
                                      "1ss",
                                      "0x1s",
                                      "inf",
                                      "18446744073709551616us",
                                      "584542046091d"};
    uint64_t us = 99;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(parse_duration(good[i].text, &us));
        assert_int_equal(us, good[i].us);
    }
    us = 99;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse_duration(bad[i], &us));
    assert_int_equal(us, 99);
}

static void sizes_are_powers_of_1024(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1", 1},         {"64K", 65536},     {"64k", 65536},           {"256M", 268435456},
                {"1G", 1u << 30}, {"1GiB", 1u << 30}, {"2T", UINT64_C(2) << 40}};
    static const char *const bad[] = {"",    "0",   "0M", "lots",      "-1",  "1.5G", "1B",
                                      "1MB", "1 M", "1X", "16777216T", "1Gi", "1GiBs"};
    uint64_t bytes = 99;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(parse_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    bytes = 99;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse_size(bad[i], &bytes));
    assert_int_equal(bytes, 99);
}

static void shares_need_their_percent_sign(void **state)
{
    static const char *const bad[] = {"", "%", "50", "0%", "-5%", "50%%", "1.5%", "4294967296%"};
    uint32_t percent = 99;
    (void)state;
    assert_true(parse_percent("150%", &percent));
    assert_int_equal(percent, 150);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse_percent(bad[i], &percent));
    assert_int_equal(percent, 150);
}

static void any_json_value_is_json(void **state)
{
    static const char *const good[] = {"null",       "1",
                                       "-1.5e3",     "\"text\"",
                                       "[]",         "{\"a\":[1,2]}",
                                       " true ",     "123456789012345678901234567890",
                                       "\"\\u0000\""};
    static const char *const bad[] = {"",    "{",    "1 2",      "undefined", "'x'", "[1,]",
                                      "nan", "text", "\"\xff\"", "{\"a\":1",  "01"};
    char why[100];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(parse_json(good[i], why, sizeof why));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        why[0] = '\0';
        assert_false(parse_json(bad[i], why, sizeof why));
        assert_string_not_equal(why, "");
    }
}

static void a_vm_is_a_name_an_id_or_a_glob(void **state)
{
    (void)state;
    assert_true(parse_is_vm("app-2.x_Y"));
    assert_true(parse_is_vm("17"));
    assert_false(parse_is_vm(""));
    assert_false(parse_is_vm("a b"));
    assert_false(parse_is_vm(".."));
    assert_false(parse_is_vm("99999999999999999999"));
    assert_false(parse_is_vm("web-*"));
    assert_true(parse_is_glob("web-*"));
    assert_true(parse_is_glob("db[12]"));
    assert_false(parse_is_glob("web-1"));
}

static void a_debugger_is_a_name_or_that_of_the_command_line(void **state)
{
    (void)state;
    assert_true(parse_is_debugger_name("ide"));
    assert_true(parse_is_debugger_name("cli:1000"));
    assert_false(parse_is_debugger_name("12"));
    assert_true(parse_is_debugger("12"));
    assert_false(parse_is_debugger("cli:"));
    assert_false(parse_is_debugger("cli:x"));
    assert_false(parse_is_debugger("cli:4294967295"));
    assert_false(parse_is_debugger(""));
    assert_true(parse_is_cli_debugger("cli:0"));
    assert_false(parse_is_cli_debugger("cli"));
}

static void errors_of_the_daemon_have_their_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_of(STILLPOINT_ERROR_NOT_FOUND), 3);
    assert_int_equal(cli_exit_of(STILLPOINT_ERROR_WRONG_STATE), 3);
    assert_int_equal(cli_exit_of(STILLPOINT_ERROR_PERMISSION_DENIED), 4);
    assert_int_equal(cli_exit_of(STILLPOINT_ERROR_INVALID_ARGUMENT), 2);
    assert_int_equal(cli_exit_of(STILLPOINT_ERROR_TIMED_OUT), 124);
    assert_int_equal(cli_exit_of(STILLPOINT_ERROR_ALREADY_EXISTS), 1);
    assert_int_equal(cli_exit_of((enum stillpoint_error_code)9999), 1);
}

static void numbers_are_short_for_people(void **state)
{
    (void)state;
    assert_string_equal(print_size(0), "0B");
    assert_string_equal(print_size(1023), "1023B");
    assert_string_equal(print_size(1536), "1.5K");
    assert_string_equal(print_size(256u << 20), "256M");
    assert_string_equal(print_size(UINT64_MAX), "16E");
    assert_string_equal(print_duration(999), "999us");
    assert_string_equal(print_duration(1500), "1.5ms");
    assert_string_equal(print_duration(61000000), "1m01s");
    assert_string_equal(print_duration(UINT64_C(3660000000)), "1h01m");
    assert_string_equal(print_time(0), "-");
}

static void a_line_is_cut_between_characters_and_has_room_for_a_sign_of_it(void **state)
{
    static const struct {
        const char *text;
        size_t most, fits;
    } lines[] = {{"", 4, 0},
                 {"abcd", 4, 4},
                 {"abcde", 4, 3},
                 {"äbcd", 4, 5},
                 {"äöüße", 4, 6},
                 {"ab\xe2\x82\xac\xe2\x82\xac", 4, 8},
                 {"a\xe2\x82\xac"
                  "bcd",
                  2, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(print_fit(lines[i].text, lines[i].most), lines[i].fits);
}

static void a_place_is_a_file_and_a_line_a_column_or_an_offset(void **state)
{
    static const struct {
        const char *text, *url;
        uint32_t line, column;
        uint64_t offset;
    } good[] = {
        {"app.js:3", "app.js", 3, 0, 0},
        {"app.js:3:7", "app.js", 3, 7, 0},
        {"http://h:80/a.js:3", "http://h:80/a.js", 3, 0, 0},
        {"a:b:3", "a:b", 3, 0, 0},
        {"m.wasm:0x1F", "m.wasm", 0, 0, 0x1f},
        {"1:2:3", "1", 2, 3, 0},
    };
    static const char *const bad[] = {"",           "app.js",    "app.js:",   ":3",
                                      "app.js:0",   "app.js:-1", "app.js:3x", "app.js:0x",
                                      "app.js:0xg", "3"};
    struct stillpoint_position p;
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "%s", good[i].text);
        assert_true(parse_position(text, &p));
        assert_string_equal(p.url, good[i].url);
        assert_int_equal(p.line, good[i].line);
        assert_int_equal(p.column, good[i].column);
        assert_int_equal(p.has_offset, good[i].line == 0);
        assert_int_equal(p.offset, good[i].offset);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "%s", bad[i]);
        assert_false(parse_position(text, &p));
        assert_string_equal(text, bad[i]);
    }
}

static void lines_have_either_bound_or_both(void **state)
{
    static const char *const bad[] = {"", "-", "x", "0", "3-2", "1-2-3", "1 -2", "99999999999"};
    uint32_t from = 9, to = 9;
    uint64_t address = 9;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse_lines(bad[i], &from, &to));
    assert_int_equal(from + to, 18);
    assert_true(parse_lines("3", &from, &to));
    assert_true(from == 3 && to == 3);
    assert_true(parse_lines("3-", &from, &to));
    assert_true(from == 3 && to == 0);
    assert_true(parse_lines("-7", &from, &to));
    assert_true(from == 0 && to == 7);
    assert_true(parse_lines("3-7", &from, &to));
    assert_true(from == 3 && to == 7);
    assert_true(parse_address("0xffffffffffffffff", &address));
    assert_true(address == UINT64_MAX);
    assert_true(parse_address("16", &address));
    assert_int_equal(address, 16);
    assert_false(parse_address("0x10000000000000000", &address));
    assert_false(parse_address("ff", &address));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(durations_have_a_number_and_a_unit),
    cmocka_unit_test(sizes_are_powers_of_1024),
    cmocka_unit_test(shares_need_their_percent_sign),
    cmocka_unit_test(any_json_value_is_json),
    cmocka_unit_test(a_vm_is_a_name_an_id_or_a_glob),
    cmocka_unit_test(a_debugger_is_a_name_or_that_of_the_command_line),
    cmocka_unit_test(errors_of_the_daemon_have_their_exit_codes),
    cmocka_unit_test(numbers_are_short_for_people),
    cmocka_unit_test(a_line_is_cut_between_characters_and_has_room_for_a_sign_of_it),
    cmocka_unit_test(a_place_is_a_file_and_a_line_a_column_or_an_offset),
    cmocka_unit_test(lines_have_either_bound_or_both),
};

UNIT_MAIN(tests)

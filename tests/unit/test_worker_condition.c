/*
 * What a comparison gives without an evaluation, held against tables of what JavaScript says. In
 * these, `?` means that the engine has to evaluate it.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/condition.h"

static struct engine_value number(double n)
{
    return (struct engine_value){.type = ENGINE_VALUE_NUMBER, .number = n};
}

static struct engine_value string(const char *text)
{
    return (struct engine_value){
        .type = ENGINE_VALUE_STRING, .text = text, .text_bytes = strlen(text)};
}

static struct engine_value boolean(bool b)
{
    return (struct engine_value){.type = ENGINE_VALUE_BOOLEAN, .number = b};
}

static struct engine_value other(enum engine_value_type type)
{
    return (struct engine_value){.type = type};
}

/* `x OP LITERAL` for a value of x: t, f, ?, or - if it is no such comparison. */
static char decided(const char *op, const char *literal, struct engine_value v)
{
    char expression[256];
    struct condition c;
    snprintf(expression, sizeof expression, "x %s %s", op, literal);
    int r = condition_parse(expression, &c);
    assert_true(r >= 0);
    if (r == 0)
        return '-';
    char verdict = "ft?"[condition_decide(&c, &v)];
    condition_done(&c);
    return verdict;
}

static const char *const ops[] = {"===", "!==", "==", "!=", "<", "<=", ">", ">="};

/* All eight operators, in that order. */
static void decides(const char *literal, struct engine_value v, const char *expected)
{
    char got[9] = "";
    for (int i = 0; i < 8; i++)
        got[i] = decided(ops[i], literal, v);
    if (strcmp(got, expected) != 0)
        fail_msg("x OP %s, x of type %d: %s, and not %s", literal, v.type, got, expected);
}

static void numbers_compare_as_numbers(void **state)
{
    (void)state;
    decides("5", number(5), "tftfftft");
    decides("5", number(4), "ftftttff");
    decides("5", number(6), "ftftfftt");
    decides("5", number(4.999999999999999), "ftftttff");
    decides("-1", number(-1), "tftfftft");
    decides("- 1", number(-1), "tftfftft");
    decides("-1", number(-2), "ftftttff");
    decides("0", number(-0.0), "tftfftft");
    decides("-0", number(0.0), "tftfftft");
    decides("5", number(NAN), "ftftffff");
    decides("5", number(INFINITY), "ftftfftt");
    decides("1e309", number(INFINITY), "tftfftft");
    decides("-1e309", number(-INFINITY), "tftfftft");
    decides("0.1", number(0.1), "tftfftft");
    decides("0.3", number(0.1 + 0.2), "ftftfftt");
    decides("9007199254740993", number(9007199254740992.0), "tftfftft");
    decides("0x1F", number(31), "tftfftft");
    decides("0Xff", number(255), "tftfftft");
    decides(".5", number(0.5), "tftfftft");
    decides("5.", number(5), "tftfftft");
    decides("0", number(0), "tftfftft");
    decides("0.0", number(0), "tftfftft");
    decides("1e3", number(1000), "tftfftft");
    decides("1E+3", number(1000), "tftfftft");
    decides("25e-2", number(0.25), "tftfftft");
    decides("5e-324", number(5e-324), "tftfftft");
}

static void strings_compare_by_their_code_units(void **state)
{
    (void)state;
    decides("'abc'", string("abc"), "tftfftft");
    decides("\"abc\"", string("abd"), "ftftfftt");
    decides("'abc'", string("ab"), "ftftttff");
    decides("'abc'", string("abcd"), "ftftfftt");
    decides("'abc'", string(""), "ftftttff");
    decides("''", string(""), "tftfftft");
    decides("''", string("a"), "ftftfftt");
    decides("'10'", string("9"), "ftftfftt");
    decides("'a'", string("B"), "ftftttff");
    decides("'\u00e9'", string("\u00e9"), "tftfftft");
    decides("'z'", string("\u00e9"), "ftftfftt");
    /* U+1F600 is D83D DE00, and so less than U+FF21, and more than U+D7FB. */
    decides("'\uff21'", string("\U0001f600"), "ftftttff");
    decides("'\U0001f600'", string("\uff21"), "ftftfftt");
    decides("'\ue000'", string("\U0001f600"), "ftftttff");
    decides("'\ud7fb'", string("\U0001f600"), "ftftfftt");
    decides("'\U0001f600'", string("\U0001f601"), "ftftfftt");
    decides("'\U0001f600a'", string("\U0001f600"), "ftftttff");
    decides("'it\\'s \\\"\\\\ \\n\\r\\t\\b\\f\\v'", string("it's \"\\ \n\r\t\b\f\v"), "tftfftft");
    decides("'it\"s'", string("it\"s"), "tftfftft");
}

static void a_string_that_was_cut_decides_only_what_its_start_does(void **state)
{
    (void)state;
    struct engine_value v = string("abcdef");
    v.truncated = true;
    decides("'abcdef'", v, "????????");
    decides("'abcdefgh'", v, "????????");
    decides("'abc'", v, "ftft????");
    decides("'xyz'", v, "ftft????");
    v.text = NULL;
    decides("'abc'", v, "????????");
    /* One with a lone surrogate is shown with another character in its place. */
    decides("'a'", string("\ufffd"), "ftft????");
    assert_int_equal(decided("===", "'\ufffd'", string("\ufffd")), '-');
    /* A text is as long as it says: NUL is a character. */
    v = (struct engine_value){.type = ENGINE_VALUE_STRING, .text = "a\0b", .text_bytes = 3};
    decides("'a'", v, "ftftfftt");
}

static void booleans_null_and_undefined_are_equal_to_themselves(void **state)
{
    (void)state;
    decides("true", boolean(true), "tftf----");
    decides("true", boolean(false), "ftft----");
    decides("false", boolean(false), "tftf----");
    decides("null", other(ENGINE_VALUE_NULL), "tftf----");
    decides("undefined", other(ENGINE_VALUE_UNDEFINED), "tftf----");
    decides("null", other(ENGINE_VALUE_UNDEFINED), "fttf----");
    decides("undefined", other(ENGINE_VALUE_NULL), "fttf----");
}

static void values_of_other_types_are_never_strictly_equal(void **state)
{
    (void)state;
    static const enum engine_value_type all[] = {
        ENGINE_VALUE_UNDEFINED, ENGINE_VALUE_NULL,   ENGINE_VALUE_BOOLEAN,
        ENGINE_VALUE_NUMBER,    ENGINE_VALUE_BIGINT, ENGINE_VALUE_STRING,
        ENGINE_VALUE_SYMBOL,    ENGINE_VALUE_OBJECT, ENGINE_VALUE_FUNCTION};
    static const struct {
        const char *literal;
        enum engine_value_type type;
    } literals[] = {{"1", ENGINE_VALUE_NUMBER},
                    {"'1'", ENGINE_VALUE_STRING},
                    {"true", ENGINE_VALUE_BOOLEAN},
                    {"null", ENGINE_VALUE_NULL},
                    {"undefined", ENGINE_VALUE_UNDEFINED}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t n = 0; n < sizeof literals / sizeof *literals; n++) {
            if (all[i] == literals[n].type)
                continue;
            assert_int_equal(decided("===", literals[n].literal, other(all[i])), 'f');
            assert_int_equal(decided("!==", literals[n].literal, other(all[i])), 't');
            bool nullish = literals[n].type <= ENGINE_VALUE_NULL, is = all[i] <= ENGINE_VALUE_NULL;
            bool object = all[i] >= ENGINE_VALUE_OBJECT;
            char equal = nullish && is ? 't' : (nullish && !object) || is ? 'f' : '?';
            assert_int_equal(decided("==", literals[n].literal, other(all[i])), equal);
            if (literals[n].type == ENGINE_VALUE_NUMBER || literals[n].type == ENGINE_VALUE_STRING)
                assert_int_equal(decided("<", literals[n].literal, other(all[i])), '?');
        }
}

static void a_value_that_cannot_be_had_decides_nothing(void **state)
{
    (void)state;
    decides("1", other(ENGINE_VALUE_UNAVAILABLE), "????????");
    for (int i = 0; i < 4; i++)
        assert_int_equal(decided(ops[i], "null", other(ENGINE_VALUE_UNAVAILABLE)), '?');
}

static void all_else_is_left_to_the_engine(void **state)
{
    (void)state;
    static const char *const not_these[] = {
        "",
        " ",
        "x",
        "x ==",
        "x == ",
        "== 5",
        "5 == x",
        "x = 5",
        "x == y",
        "x == 5;",
        "x == 5 6",
        "x.y == 5",
        "x[0] == 5",
        "x == 5 && y",
        "!x",
        "x == +5",
        "x == --5",
        "x == 5n",
        "x == 017",
        "x == 0b1",
        "x == 0o7",
        "x == 1_0",
        "x == 0x",
        "x == 1e",
        "x == 1e+",
        "x == .",
        "x == 5a",
        "x == `a`",
        "x == 'a",
        "x == 'a\n'",
        "x == '\\x41'",
        "x == '\\u0041'",
        "x == '\\0'",
        "x == 'a' + 'b'",
        "x == 'a\\",
        "x == NaN",
        "x == Infinity",
        "x == /a/",
        "this == 5",
        "null == 5",
        "true === true",
        "arguments == 5",
        "undefined == 5",
        "eval == 1",
        "x in 5",
        "x instanceof 5",
        "typeof x == 5",
        "x <<= 5",
        "x => 5",
        "x ==== 5",
        "x !=== 5",
        "x < true",
        "x >= null",
        "x <= undefined",
        "x == nullx",
        "x == truely",
        "\u00e9 == 5",
        "x\u00e9 == 5",
        "x == 5\u00e9",
        "x == '5' // y",
        "(x == 5)",
        "x == (5)",
        "x\u00a0== 5",
        "9x == 5",
        "x == - -5",
        "x == -'a'",
        "x == -true",
        "x == 0x1.8p1",
        "x == 1.5.5",
        "x == 08",
    };
    for (size_t i = 0; i < sizeof not_these / sizeof *not_these; i++) {
        struct condition c;
        if (condition_parse(not_these[i], &c) != 0)
            fail_msg("%s was taken", not_these[i]);
    }
}

static void names_and_spaces_are_taken_as_they_come(void **state)
{
    (void)state;
    static const char *const these[] = {"x==5",    " x == 5 ",   "$a_9===5",     "_ <\t5",
                                        "x\n>=5",  "truex != 5", "\r\nin_ == 5", "x<-5",
                                        "X === 5", "of == 5",    "async == 5",   "x!==''"};
    for (size_t i = 0; i < sizeof these / sizeof *these; i++) {
        struct condition c;
        if (condition_parse(these[i], &c) != 1)
            fail_msg("%s was not taken", these[i]);
        condition_done(&c);
    }
    struct condition c;
    assert_int_equal(condition_parse("  count_1 >= -2.5", &c), 1);
    assert_string_equal(c.name, "count_1");
    assert_int_equal(c.op, CONDITION_GREATER_EQUAL);
    assert_true(c.number == -2.5);
    condition_done(&c);
    assert_true(condition_is_name("abc", 2));
    assert_false(condition_is_name("in", 2));
    assert_false(condition_is_name("", 0));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_compare_as_numbers),
    cmocka_unit_test(strings_compare_by_their_code_units),
    cmocka_unit_test(a_string_that_was_cut_decides_only_what_its_start_does),
    cmocka_unit_test(booleans_null_and_undefined_are_equal_to_themselves),
    cmocka_unit_test(values_of_other_types_are_never_strictly_equal),
    cmocka_unit_test(a_value_that_cannot_be_had_decides_nothing),
    cmocka_unit_test(all_else_is_left_to_the_engine),
    cmocka_unit_test(names_and_spaces_are_taken_as_they_come),
};

UNIT_MAIN(tests)

#include "worker/condition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How a string is shown that is not Unicode: one of its characters was another. */
#define REPLACEMENT "\xef\xbf\xbd"

static const char *const reserved[] = {
    "arguments", "await",      "break",   "case",      "catch",    "class",      "const",
    "continue",  "debugger",   "default", "delete",    "do",       "else",       "enum",
    "eval",      "export",     "extends", "false",     "finally",  "for",        "function",
    "if",        "implements", "import",  "in",        "Infinity", "instanceof", "interface",
    "let",       "NaN",        "new",     "null",      "package",  "private",    "protected",
    "public",    "return",     "static",  "super",     "switch",   "this",       "throw",
    "true",      "try",        "typeof",  "undefined", "var",      "void",       "while",
    "with",      "yield",
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t name_bytes(const char *s, size_t len)
{
    size_t n = 0;
    if (len > 0 && is_letter(*s))
        while (n < len && (is_letter(s[n]) || is_digit(s[n])))
            n++;
    return n;
}

bool condition_is_name(const char *text, size_t len)
{
    if (len == 0 || name_bytes(text, len) != len)
        return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strlen(reserved[i]) == len && memcmp(reserved[i], text, len) == 0)
            return false;
    return true;
}

/* ---- parsing; each takes what it reads off *at */

static void skip_space(const char **at)
{
    while (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')
        ++*at;
}

static bool take_op(const char **at, enum condition_op *ret)
{
    /* Longer ones before those that they begin with. */
    static const struct {
        const char *text;
        enum condition_op op;
    } ops[] = {
        {"===", CONDITION_STRICT_EQUAL}, {"!==", CONDITION_STRICT_UNEQUAL},
        {"==", CONDITION_EQUAL},         {"!=", CONDITION_UNEQUAL},
        {"<=", CONDITION_LESS_EQUAL},    {">=", CONDITION_GREATER_EQUAL},
        {"<", CONDITION_LESS},           {">", CONDITION_GREATER},
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strncmp(*at, ops[i].text, strlen(ops[i].text)) == 0) {
            *at += strlen(ops[i].text);
            *ret = ops[i].op;
            return true;
        }
    return false;
}

static size_t digits(const char *s)
{
    size_t n = 0;
    while (is_digit(s[n]))
        n++;
    return n;
}

/* Decimal or hexadecimal, as JavaScript has them; not 017, 1_000, 0b1, 1n. */
static bool take_number(const char **at, double *ret)
{
    const char *s = *at, *end = s;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        for (end += 2; is_hex(*end); end++)
            ;
        if (end == s + 2)
            return false;
    } else {
        size_t whole = digits(s), fraction = 0;
        end += whole;
        if (whole > 1 && s[0] == '0')
            return false;
        if (*end == '.') {
            fraction = digits(++end);
            end += fraction;
        }
        if (whole + fraction == 0)
            return false;
        if (*end == 'e' || *end == 'E') {
            end++;
            if (*end == '+' || *end == '-')
                end++;
            size_t exponent = digits(end);
            if (exponent == 0)
                return false;
            end += exponent;
        }
    }
    if (is_letter(*end) || is_digit(*end) || (unsigned char)*end >= 0x80)
        return false;
    char *stopped;
    *ret = strtod(s, &stopped);
    if (stopped != end)
        return false;
    *at = end;
    return true;
}

static bool take_string(const char **at, char *text, size_t *ret_bytes)
{
    static const char escapes[] = "nrtbfv\\'\"", chars[] = "\n\r\t\b\f\v\\'\"";
    const char quote = **at, *s = *at + 1;
    size_t n = 0;
    for (; *s != quote; s++) {
        if (*s == '\0' || *s == '\n' || *s == '\r')
            return false;
        const char *escape = NULL;
        if (*s == '\\') {
            s++;
            escape = *s != '\0' ? strchr(escapes, *s) : NULL;
            if (!escape)
                return false;
        }
        text[n++] = escape ? chars[escape - escapes] : *s;
    }
    *at = s + 1;
    *ret_bytes = n;
    text[n] = '\0';
    return !strstr(text, REPLACEMENT);
}

static bool take_word(const char **at, struct condition *c)
{
    static const struct {
        const char *text;
        enum engine_value_type type;
        double number;
    } words[] = {
        {"true", ENGINE_VALUE_BOOLEAN, 1},
        {"false", ENGINE_VALUE_BOOLEAN, 0},
        {"null", ENGINE_VALUE_NULL, 0},
        {"undefined", ENGINE_VALUE_UNDEFINED, 0},
    };
    size_t len = name_bytes(*at, strlen(*at));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].text) == len && memcmp(words[i].text, *at, len) == 0) {
            *at += len;
            c->type = words[i].type;
            c->number = words[i].number;
            return true;
        }
    return false;
}

static bool take_literal(const char **at, struct condition *c)
{
    if (**at == '\'' || **at == '"') {
        c->type = ENGINE_VALUE_STRING;
        return take_string(at, c->text, &c->text_bytes);
    }
    if (take_word(at, c))
        return true;
    bool minus = **at == '-';
    *at += minus;
    if (minus)
        skip_space(at);
    c->type = ENGINE_VALUE_NUMBER;
    if (!take_number(at, &c->number))
        return false;
    c->number = minus ? -c->number : c->number;
    return true;
}

static bool ordered(enum condition_op op)
{
    return op >= CONDITION_LESS;
}

int condition_parse(const char *expression, struct condition *ret)
{
    const char *at = expression;
    struct condition c = {0};
    skip_space(&at);
    const char *name = at;
    size_t name_len = name_bytes(at, strlen(at));
    at += name_len;
    if (!condition_is_name(name, name_len))
        return 0;
    skip_space(&at);
    if (!take_op(&at, &c.op))
        return 0;
    skip_space(&at);
    c.name = strndup(name, name_len);
    c.text = malloc(strlen(at) + 1);
    int r = c.name && c.text ? 1 : -ENOMEM;
    if (r > 0 && !take_literal(&at, &c))
        r = 0;
    if (r > 0) {
        skip_space(&at);
        if (*at != '\0' ||
            (ordered(c.op) && c.type != ENGINE_VALUE_NUMBER && c.type != ENGINE_VALUE_STRING))
            r = 0;
    }
    if (r > 0)
        *ret = c;
    else
        condition_done(&c);
    return r;
}

void condition_done(struct condition *c)
{
    free(c->name);
    free(c->text);
    *c = (struct condition){0};
}

/* ---- deciding */

static enum condition_verdict verdict(bool is_true)
{
    return is_true ? CONDITION_TRUE : CONDITION_FALSE;
}

static enum condition_verdict negated(enum condition_verdict v)
{
    return v == CONDITION_UNDECIDED ? v : verdict(v == CONDITION_FALSE);
}

static enum condition_verdict strings_equal(const struct condition *c, const struct engine_value *v)
{
    size_t common = v->text_bytes < c->text_bytes ? v->text_bytes : c->text_bytes;
    if (!v->text || memcmp(v->text, c->text, common) != 0)
        return v->text ? CONDITION_FALSE : CONDITION_UNDECIDED;
    /* What was cut off goes on with something. */
    if (v->text_bytes > c->text_bytes)
        return CONDITION_FALSE;
    return v->truncated ? CONDITION_UNDECIDED : verdict(v->text_bytes == c->text_bytes);
}

static bool same_type_equal(const struct condition *c, const struct engine_value *v)
{
    return c->type == ENGINE_VALUE_NUMBER || c->type == ENGINE_VALUE_BOOLEAN
               ? v->number == c->number
               : true;
}

static enum condition_verdict strictly_equal(const struct condition *c,
                                             const struct engine_value *v)
{
    if (v->type != c->type)
        return CONDITION_FALSE;
    return c->type == ENGINE_VALUE_STRING ? strings_equal(c, v) : verdict(same_type_equal(c, v));
}

static bool is_nullish(enum engine_value_type type)
{
    return type == ENGINE_VALUE_NULL || type == ENGINE_VALUE_UNDEFINED;
}

static enum condition_verdict loosely_equal(const struct condition *c, const struct engine_value *v)
{
    if (v->type == c->type)
        return strictly_equal(c, v);
    if (is_nullish(v->type) || is_nullish(c->type)) {
        /* An object may pretend to be undefined. */
        bool object = v->type == ENGINE_VALUE_OBJECT || v->type == ENGINE_VALUE_FUNCTION;
        return object ? CONDITION_UNDECIDED : verdict(is_nullish(v->type) && is_nullish(c->type));
    }
    return CONDITION_UNDECIDED;
}

/* -1, 0, 1: the order of the UTF-16 code units. That of the bytes is the same but where a
 * character beyond U+FFFF, a pair of surrogates there, meets one of U+E000 to U+FFFF. */
static int compare_strings(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t n = 0;
    while (n < a_bytes && n < b_bytes && a[n] == b[n])
        n++;
    if (n == a_bytes || n == b_bytes)
        return (a_bytes > n) - (b_bytes > n);
    unsigned char x = (unsigned char)a[n], y = (unsigned char)b[n];
    bool reversed =
        (x >= 0xf0 && (y == 0xee || y == 0xef)) || (y >= 0xf0 && (x == 0xee || x == 0xef));
    return (x < y) != reversed ? -1 : 1;
}

static enum condition_verdict in_order(enum condition_op op, bool less, bool equal)
{
    switch (op) {
    case CONDITION_LESS:
        return verdict(less);
    case CONDITION_LESS_EQUAL:
        return verdict(less || equal);
    case CONDITION_GREATER:
        return verdict(!less && !equal);
    default:
        return verdict(!less);
    }
}

static enum condition_verdict compare(const struct condition *c, const struct engine_value *v)
{
    if (v->type != c->type)
        return CONDITION_UNDECIDED;
    if (c->type == ENGINE_VALUE_NUMBER) {
        if (v->number != v->number || c->number != c->number)
            return CONDITION_FALSE;
        return in_order(c->op, v->number < c->number, v->number == c->number);
    }
    if (!v->text || v->truncated ||
        memmem(v->text, v->text_bytes, REPLACEMENT, sizeof REPLACEMENT - 1))
        return CONDITION_UNDECIDED;
    int order = compare_strings(v->text, v->text_bytes, c->text, c->text_bytes);
    return in_order(c->op, order < 0, order == 0);
}

enum condition_verdict condition_decide(const struct condition *c, const struct engine_value *v)
{
    if (v->type == ENGINE_VALUE_UNAVAILABLE)
        return CONDITION_UNDECIDED;
    switch (c->op) {
    case CONDITION_STRICT_EQUAL:
        return strictly_equal(c, v);
    case CONDITION_STRICT_UNEQUAL:
        return negated(strictly_equal(c, v));
    case CONDITION_EQUAL:
        return loosely_equal(c, v);
    case CONDITION_UNEQUAL:
        return negated(loosely_equal(c, v));
    default:
        return compare(c, v);
    }
}

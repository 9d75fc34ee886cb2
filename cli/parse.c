#include "cli/parse.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/stillpoint.h"

static const char digits[] = "0123456789";

/* The digits at the start of the text. Returns what follows them, NULL if there are none or too
 * many. */
static const char *leading_u64(const char *text, uint64_t *ret)
{
    if (*text < '0' || *text > '9')
        return NULL;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0)
        return NULL;
    *ret = v;
    return end;
}

bool parse_u64(const char *text, uint64_t *ret)
{
    uint64_t v;
    const char *end = leading_u64(text, &v);
    if (!end || *end)
        return false;
    *ret = v;
    return true;
}

static bool duration_unit(const char *unit, uint64_t *ret_us)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = {
        {"us", 1},         {"ms", 1000},         {"s", 1000000},        {"m", 60000000},
        {"min", 60000000}, {"h", 3600000000ull}, {"d", 86400000000ull},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0) {
            *ret_us = units[i].us;
            return true;
        }
    return false;
}

/* ".25" of one unit; finer than a microsecond is cut. */
static uint64_t fraction_us(const char *text, size_t n, uint64_t unit_us)
{
    uint64_t sum = 0, place = unit_us;
    for (size_t i = 0; i < n; i++) {
        place /= 10;
        sum += place * (uint64_t)(text[i] - '0');
    }
    return sum;
}

bool parse_duration(const char *text, uint64_t *ret_us)
{
    uint64_t whole, unit_us, us;
    const char *rest = leading_u64(text, &whole), *fraction = "";
    if (!rest)
        return false;
    if (*rest == '.') {
        fraction = rest + 1;
        rest = fraction + strspn(fraction, digits);
        if (rest == fraction)
            return false;
    }
    if (*rest == '\0' && rest != text && whole == 0 && !*fraction) {
        *ret_us = 0;
        return true;
    }
    if (!duration_unit(rest, &unit_us) || __builtin_mul_overflow(whole, unit_us, &us) ||
        __builtin_add_overflow(us, fraction_us(fraction, strspn(fraction, digits), unit_us), &us))
        return false;
    *ret_us = us;
    return true;
}

bool parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    uint64_t v;
    const char *rest = leading_u64(text, &v);
    if (!rest || v == 0)
        return false;
    const char *unit = *rest ? strchr(units, *rest >= 'a' ? *rest - 'a' + 'A' : *rest) : NULL;
    if (*rest && (!unit || (rest[1] && strcmp(rest + 1, "iB") != 0)))
        return false;
    if (unit && __builtin_mul_overflow(v, 1ull << (10 * (unit - units + 1)), &v))
        return false;
    *ret_bytes = v;
    return true;
}

bool parse_percent(const char *text, uint32_t *ret)
{
    uint64_t v;
    const char *rest = leading_u64(text, &v);
    if (!rest || strcmp(rest, "%") != 0 || v == 0 || v > UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

bool parse_json(const char *text, char *why, size_t why_bytes)
{
    json_error_t error;
    /* Integers beyond 64 bits are JSON too; the text goes on as it is. */
    json_t *value =
        json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    if (!value) {
        snprintf(why, why_bytes, "%s", error.text);
        return false;
    }
    json_decref(value);
    return true;
}

bool parse_is_glob(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

bool parse_is_vm(const char *text)
{
    uint64_t id;
    return stillpoint_is_name(text) || parse_u64(text, &id);
}

bool parse_is_cli_debugger(const char *text)
{
    uint64_t uid;
    return strncmp(text, "cli:", 4) == 0 && parse_u64(text + 4, &uid) && uid < UINT32_MAX;
}

bool parse_is_debugger_name(const char *text)
{
    return stillpoint_is_name(text) || parse_is_cli_debugger(text);
}

bool parse_is_debugger(const char *text)
{
    uint64_t id;
    return parse_is_debugger_name(text) || parse_u64(text, &id);
}

/* A number from 1 to UINT32_MAX that is all of the text up to `end`. */
static bool number_before(const char *text, const char *end, uint32_t *ret)
{
    uint64_t v = 0;
    if (leading_u64(text, &v) != end || v == 0 || v > UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

bool parse_address(const char *text, uint64_t *ret)
{
    if (strncmp(text, "0x", 2) != 0 && strncmp(text, "0X", 2) != 0)
        return parse_u64(text, ret);
    size_t n = strspn(text + 2, "0123456789abcdefABCDEF");
    if (n == 0 || n > 16 || text[2 + n] != '\0')
        return false;
    *ret = strtoull(text + 2, NULL, 16);
    return true;
}

bool parse_position(char *text, struct stillpoint_position *ret)
{
    struct stillpoint_position p = {.url = text};
    char *last = strrchr(text, ':');
    if (!last || last == text)
        return false;
    if (last[1] == '0' && (last[2] | 0x20) == 'x' && parse_address(last + 1, &p.offset)) {
        p.has_offset = true;
    } else if (!number_before(last + 1, last + strlen(last), &p.line)) {
        return false;
    } else {
        char *first = memrchr(text, ':', (size_t)(last - text));
        uint32_t line;
        if (first && first != text && number_before(first + 1, last, &line)) {
            p.column = p.line;
            p.line = line;
            last = first;
        }
    }
    *last = '\0';
    *ret = p;
    return true;
}

bool parse_lines(const char *text, uint32_t *ret_from, uint32_t *ret_to)
{
    uint32_t from = 0, to = 0;
    const char *dash = strchr(text, '-'), *end = text + strlen(text);
    if (!dash) {
        if (!number_before(text, end, &from))
            return false;
        to = from;
    } else if ((dash + 1 == end && dash == text) ||
               (dash != text && !number_before(text, dash, &from)) ||
               (dash + 1 != end && !number_before(dash + 1, end, &to)) ||
               (from != 0 && to != 0 && from > to)) {
        return false;
    }
    *ret_from = from;
    *ret_to = to;
    return true;
}

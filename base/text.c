#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed sequence at s (RFC 3629, table of section 4), 0 if there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    unsigned char c = s[0];
    if (c < 0x80)
        return c != 0 ? 1 : 0;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n > left)
        return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

bool text_is_utf8(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    while (len > 0) {
        size_t n = utf8_sequence(p, len);
        if (n == 0)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

bool text_is_label_value(const char *s, size_t max)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(s);
    return len > 0 && len <= max && strspn(s, letters) == len;
}

bool text_is_name(const char *s, size_t max)
{
    return text_is_label_value(s, max) && s[strspn(s, "0123456789")] != '\0' &&
           strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

bool text_is_bundle_path(const char *s, size_t max)
{
    size_t len = strlen(s);
    if (len == 0 || len > max || !text_is_utf8(s, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    for (const char *part = s;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += n;
        if (*part == '\0')
            return true;
    }
}

void text_cut_utf8(char *s)
{
    size_t len = strlen(s), back = 1;
    /* The first byte of the last sequence is at most three before the end. */
    while (back < 4 && back < len && ((unsigned char)s[len - back] & 0xc0) == 0x80)
        back++;
    if (len > 0 && utf8_sequence((unsigned char *)s + len - back, back) != back)
        s[len - back] = '\0';
}

/* Bytes of the character at s that breaks a line or turns it, 0 if it does not. */
static size_t breaking_bytes(const unsigned char *s)
{
    if (s[0] < 0x20 || s[0] == 0x7f)
        return 1;
    if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f)
        return 2;
    /* U+2028 to U+202E, U+2066 to U+2069 */
    bool breaks = s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                                   (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
    return breaks ? 3 : 0;
}

void text_to_line(char *s)
{
    text_cut_utf8(s);
    while (*s) {
        size_t n = breaking_bytes((const unsigned char *)s);
        memset(s, '?', n);
        s += n > 0 ? n : 1;
    }
}

char *text_dup(const char *s, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void text_copy(char *dst, size_t size, const char *src)
{
    size_t len = strnlen(src, size - 1);
    memcpy(dst, src, len);
    dst[len] = '\0';
    text_cut_utf8(dst);
}

bool text_to_u64(const char *s, uint64_t *ret)
{
    size_t len = strlen(s);
    if (len == 0 || strspn(s, "0123456789") != len)
        return false;
    errno = 0;
    unsigned long long v = strtoull(s, NULL, 10);
    if (errno != 0)
        return false;
    *ret = v;
    return true;
}

struct unit {
    const char *name;
    uint64_t times;
};

/* Digits and one of the units, after which comes one without a name. */
static bool to_units(const char *s, const struct unit *units, uint64_t *ret)
{
    size_t n = strspn(s, "0123456789");
    char digits[24];
    uint64_t v;
    if (n >= sizeof digits)
        return false;
    memcpy(digits, s, n);
    digits[n] = '\0';
    if (!text_to_u64(digits, &v))
        return false;
    while (units->name && strcmp(units->name, s + n) != 0)
        units++;
    if (!units->name || __builtin_mul_overflow(v, units->times, &v))
        return false;
    *ret = v;
    return true;
}

bool text_to_bytes(const char *s, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},           {"K", 1ull << 10}, {"M", 1ull << 20},
                                        {"G", 1ull << 30}, {"T", 1ull << 40}, {0}};
    return to_units(s, units, ret);
}

bool text_to_us(const char *s, uint64_t *ret_us)
{
    static const struct unit units[] = {{"us", 1},
                                        {"ms", 1000},
                                        {"s", 1000000},
                                        {"min", 60000000},
                                        {"h", 3600000000ull},
                                        {"d", 86400000000ull},
                                        {0}};
    return to_units(s, units, ret_us);
}

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

bool text_is_name(const char *s, size_t max)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(s);
    if (len == 0 || len > max || strspn(s, letters) != len)
        return false;
    return strspn(s, "0123456789") != len && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
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

void text_copy(char *dst, size_t size, const char *src)
{
    size_t len = strnlen(src, size - 1);
    memcpy(dst, src, len);
    dst[len] = '\0';
    text_cut_utf8(dst);
}

/* Bytes of the character at s that may not be shown, 0 if it may. */
static size_t control_bytes(const unsigned char *s)
{
    if (s[0] < 0x20 || s[0] == 0x7f)
        return 1;
    if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
        return 2;
    bool breaks = s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                                   (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
    return breaks ? 3 : 0;
}

void text_blank_controls(char *s)
{
    while (*s) {
        size_t n = control_bytes((const unsigned char *)s);
        memset(s, '?', n);
        s += n > 0 ? n : 1;
    }
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

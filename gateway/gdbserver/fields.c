#include "fields.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int fields_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_hex(const struct fields *f, size_t at)
{
    return at < f->left && fields_digit(f->at[at]) >= 0;
}

/* There may be no text at all, of which nothing can be passed. */
static void pass(struct fields *f, size_t n)
{
    if (n == 0)
        return;
    f->at += n;
    f->left -= n;
}

void fields_init(struct fields *f, const char *text, size_t n)
{
    *f = (struct fields){.at = text, .left = n};
}

bool fields_at_end(const struct fields *f)
{
    return f->left == 0;
}

int fields_end(const struct fields *f)
{
    return f->left == 0 ? 0 : -EBADMSG;
}

int fields_char(struct fields *f, char c)
{
    if (f->left == 0 || f->at[0] != c)
        return -EBADMSG;
    pass(f, 1);
    return 0;
}

int fields_text(struct fields *f, const char *text)
{
    size_t n = strlen(text);
    if (n > f->left || memcmp(f->at, text, n) != 0)
        return -EBADMSG;
    pass(f, n);
    return 0;
}

int fields_any(struct fields *f, char *ret)
{
    if (f->left == 0)
        return -EBADMSG;
    *ret = f->at[0];
    pass(f, 1);
    return 0;
}

int fields_hex(struct fields *f, unsigned max_digits, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned n = 0;
    assert(max_digits >= 1 && max_digits <= 16);
    for (; n < max_digits && is_hex(f, n); n++)
        value = value << 4 | (unsigned)fields_digit(f->at[n]);
    if (n == 0 || is_hex(f, n))
        return -EBADMSG;
    pass(f, n);
    *ret = value;
    return 0;
}

int fields_decimal(struct fields *f, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    size_t n = 0;
    for (; n < f->left && f->at[n] >= '0' && f->at[n] <= '9'; n++) {
        unsigned digit = (unsigned)(f->at[n] - '0');
        if (digit > max || value > (max - digit) / 10)
            return -EBADMSG;
        value = value * 10 + digit;
    }
    if (n == 0)
        return -EBADMSG;
    pass(f, n);
    *ret = value;
    return 0;
}

int fields_bytes(struct fields *f, void *ret, size_t n)
{
    uint8_t *out = ret;
    if (n > f->left / 2)
        return -EBADMSG;
    for (size_t i = 0; i < 2 * n; i++)
        if (!is_hex(f, i))
            return -EBADMSG;
    if (is_hex(f, 2 * n))
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(fields_digit(f->at[2 * i]) << 4 | fields_digit(f->at[2 * i + 1]));
    pass(f, 2 * n);
    return 0;
}

int fields_le(struct fields *f, unsigned bytes, uint64_t *ret)
{
    uint8_t low_first[8];
    uint64_t value = 0;
    assert(bytes >= 1 && bytes <= sizeof low_first);
    int r = fields_bytes(f, low_first, bytes);
    if (r < 0)
        return r;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | low_first[i];
    *ret = value;
    return 0;
}

int fields_tid(struct fields *f, int64_t *ret)
{
    struct fields after = *f;
    uint64_t tid;
    int r = fields_char(&after, '-');
    bool negative = r == 0;
    r = fields_hex(&after, 16, &tid);
    if (r < 0)
        return r;
    if (negative ? tid != 1 : tid > INT64_MAX)
        return -EBADMSG;
    *f = after;
    *ret = negative ? FIELDS_TID_ALL : (int64_t)tid;
    return 0;
}

int fields_member(struct fields *f, char separator, struct fields *ret)
{
    if (!f->at)
        return 0;
    const char *end = f->left ? memchr(f->at, separator, f->left) : NULL;
    size_t n = end ? (size_t)(end - f->at) : f->left;
    fields_init(ret, f->at, n);
    if (end)
        pass(f, n + 1);
    else
        *f = (struct fields){0};
    return 1;
}

bool fields_are(const struct fields *f, const char *text)
{
    return strlen(text) == f->left && (f->left == 0 || memcmp(f->at, text, f->left) == 0);
}

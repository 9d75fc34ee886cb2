#include "packet.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"

#define INTERRUPT_BYTE 3
/* What is after `}` is sent with this bit changed. */
#define ESCAPE_BIT 0x20

static const char digits[] = "0123456789abcdef";

void packet_parser_init(struct packet_parser *p, size_t max)
{
    *p = (struct packet_parser){.max = max};
}

void packet_parser_done(struct packet_parser *p)
{
    free(p->text);
    p->text = NULL;
}

void packet_parser_set_no_ack(struct packet_parser *p)
{
    p->no_ack = true;
}

static int parser_fail(struct packet_parser *p, int error)
{
    p->state = PACKET_BROKEN;
    p->error = error;
    return error;
}

/* Room for one more byte, and for the NUL behind it. */
static int parser_reserve(struct packet_parser *p)
{
    if (p->len + 1 < p->size)
        return 0;
    size_t size = p->size ? p->size * 2 : 512;
    char *text = realloc(p->text, size);
    if (!text)
        return -ENOMEM;
    p->text = text;
    p->size = size;
    return 0;
}

static int parser_add(struct packet_parser *p, uint8_t byte)
{
    if (p->len == p->max)
        return parser_fail(p, -EMSGSIZE);
    int r = parser_reserve(p);
    if (r < 0)
        return parser_fail(p, r);
    p->text[p->len++] = (char)byte;
    return PACKET_NONE;
}

static int parser_end(struct packet_parser *p)
{
    p->state = PACKET_BETWEEN;
    if (p->said != p->sum)
        return p->no_ack ? parser_fail(p, -EBADMSG) : PACKET_BAD;
    int r = parser_reserve(p);
    if (r < 0)
        return parser_fail(p, r);
    p->text[p->len] = '\0';
    return PACKET_WHOLE;
}

static int between(struct packet_parser *p, uint8_t byte)
{
    switch (byte) {
    case '+':
        return PACKET_ACK;
    case '-':
        return PACKET_NAK;
    case '$':
        p->state = PACKET_TEXT;
        p->sum = 0;
        p->len = 0;
        return PACKET_NONE;
    default:
        return parser_fail(p, -EBADMSG);
    }
}

static int in_text(struct packet_parser *p, uint8_t byte)
{
    if (byte == '#') {
        p->state = PACKET_SUM_HIGH;
        return PACKET_NONE;
    }
    if (byte == '$')
        return parser_fail(p, -EBADMSG);
    p->sum = (uint8_t)(p->sum + byte);
    if (byte == '}') {
        p->state = PACKET_ESCAPED;
        return PACKET_NONE;
    }
    return parser_add(p, byte);
}

static int take(struct packet_parser *p, uint8_t byte)
{
    int digit;
    if (byte == INTERRUPT_BYTE && p->state != PACKET_ESCAPED)
        return PACKET_INTERRUPT;
    switch (p->state) {
    case PACKET_BETWEEN:
        return between(p, byte);
    case PACKET_TEXT:
        return in_text(p, byte);
    case PACKET_ESCAPED:
        if (byte == '#' || byte == '$')
            return parser_fail(p, -EBADMSG);
        p->sum = (uint8_t)(p->sum + byte);
        p->state = PACKET_TEXT;
        return parser_add(p, byte ^ ESCAPE_BIT);
    case PACKET_SUM_HIGH:
    case PACKET_SUM_LOW:
        digit = fields_digit((char)byte);
        if (digit < 0)
            return parser_fail(p, -EBADMSG);
        p->said = (uint8_t)(p->said << 4 | digit);
        if (p->state == PACKET_SUM_LOW)
            return parser_end(p);
        p->state = PACKET_SUM_LOW;
        return PACKET_NONE;
    case PACKET_BROKEN:
        break;
    }
    return p->error;
}

int packet_parser_feed(struct packet_parser *p, const void *bytes, size_t n, size_t *ret_used)
{
    const uint8_t *in = bytes;
    int r = p->state == PACKET_BROKEN ? p->error : PACKET_NONE;
    size_t used = 0;
    while (r == PACKET_NONE && used < n)
        r = take(p, in[used++]);
    *ret_used = used;
    return r;
}

const char *packet_parser_text(const struct packet_parser *p, size_t *ret_len)
{
    *ret_len = p->len;
    return p->text;
}

void packet_out_init(struct packet_out *o, size_t max)
{
    *o = (struct packet_out){.max = max};
}

void packet_out_done(struct packet_out *o)
{
    free(o->data);
    packet_out_init(o, o->max);
}

void packet_out_consume(struct packet_out *o, size_t n)
{
    assert(!o->writing && n <= o->len);
    o->len -= n;
    if (o->len > 0)
        memmove(o->data, o->data + n, o->len);
}

static int out_add(struct packet_out *o, const void *bytes, size_t n)
{
    if (n > o->max - o->len)
        return -ENOBUFS;
    if (o->len + n > o->size) {
        size_t size = o->size ? o->size : 1024;
        while (size < o->len + n)
            size *= 2;
        char *data = realloc(o->data, size);
        if (!data)
            return -ENOMEM;
        o->data = data;
        o->size = size;
    }
    memcpy(o->data + o->len, bytes, n);
    o->len += n;
    return 0;
}

int packet_out_sign(struct packet_out *o, char sign)
{
    assert(!o->writing && (sign == '+' || sign == '-'));
    return out_add(o, &sign, 1);
}

int packet_out_again(struct packet_out *o, const void *packet, size_t n)
{
    assert(!o->writing);
    return out_add(o, packet, n);
}

/* Of the packet that is being written; the first failure is kept. */
static void add(struct packet_out *o, const void *bytes, size_t n)
{
    assert(o->writing);
    if (o->error == 0)
        o->error = out_add(o, bytes, n);
}

void packet_begin(struct packet_out *o)
{
    assert(!o->writing);
    o->writing = true;
    o->error = 0;
    o->start = o->len;
    add(o, "$", 1);
}

void packet_binary(struct packet_out *o, const void *bytes, size_t n)
{
    const char *in = bytes;
    size_t plain = 0;
    for (size_t i = 0; i < n; i++) {
        if (in[i] != '$' && in[i] != '#' && in[i] != '}' && in[i] != '*')
            continue;
        char escaped[2] = {'}', (char)(in[i] ^ ESCAPE_BIT)};
        add(o, in + plain, i - plain);
        add(o, escaped, sizeof escaped);
        plain = i + 1;
    }
    if (n > plain)
        add(o, in + plain, n - plain);
}

void packet_text(struct packet_out *o, const char *text)
{
    packet_binary(o, text, strlen(text));
}

void packet_format(struct packet_out *o, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        o->error = o->error ? o->error : -ENOMEM;
        return;
    }
    packet_binary(o, text, (size_t)n);
    free(text);
}

void packet_hex(struct packet_out *o, const void *bytes, size_t n)
{
    const uint8_t *in = bytes;
    for (size_t i = 0; i < n; i++) {
        char pair[2] = {digits[in[i] >> 4], digits[in[i] & 15]};
        add(o, pair, sizeof pair);
    }
}

void packet_le(struct packet_out *o, uint64_t value, unsigned bytes)
{
    uint8_t low_first[8];
    assert(bytes >= 1 && bytes <= sizeof low_first);
    for (unsigned i = 0; i < bytes; i++)
        low_first[i] = (uint8_t)(value >> 8 * i);
    packet_hex(o, low_first, bytes);
}

int packet_end(struct packet_out *o)
{
    uint8_t sum = 0;
    assert(o->writing);
    if (o->error == 0) {
        for (size_t i = o->start + 1; i < o->len; i++)
            sum = (uint8_t)(sum + (uint8_t)o->data[i]);
        char tail[3] = {'#', digits[sum >> 4], digits[sum & 15]};
        add(o, tail, sizeof tail);
    }
    if (o->error < 0)
        o->len = o->start;
    o->writing = false;
    return o->error;
}

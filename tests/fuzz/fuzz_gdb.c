/*
 * The bytes of an LLDB: packets, and the fields of their texts. What comes out is the same however
 * the stream is cut, and the same when it is sent again; a field that is taken means what it says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gdbserver/fields.h"
#include "gateway/gdbserver/packet.h"
#include "tests/fuzz/fuzz.h"

#define MAX_TEXT 1024
#define MAX_STORY (1u << 20)

/* What came out, as packets again. */
struct story {
    struct packet_out out;
    int end;
};

/* Where there is little room nothing is left of what does not fit. */
static void require_bound(const char *text, size_t len)
{
    struct packet_out o;
    packet_out_init(&o, 32);
    FUZZ_REQUIRE(packet_out_sign(&o, '+') == 0);
    packet_begin(&o);
    packet_binary(&o, text, len);
    int r = packet_end(&o);
    FUZZ_REQUIRE(r == 0 ? o.len >= len + 5 : r == -ENOBUFS && o.len == 1);
    packet_out_consume(&o, 1);
    FUZZ_REQUIRE(o.len == 0 || o.data[0] == '$');
    packet_out_done(&o);
}

static void tell(struct story *s, int kind, const struct packet_parser *p)
{
    size_t len;
    switch (kind) {
    case PACKET_WHOLE:
        fuzz_accepted();
        packet_begin(&s->out);
        const char *text = packet_parser_text(p, &len);
        FUZZ_REQUIRE(len <= MAX_TEXT && text[len] == '\0');
        packet_binary(&s->out, text, len);
        FUZZ_REQUIRE(packet_end(&s->out) == 0);
        require_bound(text, len);
        break;
    case PACKET_BAD:
        FUZZ_REQUIRE(!p->no_ack);
        fuzz_refused();
        FUZZ_REQUIRE(packet_out_sign(&s->out, '-') == 0);
        break;
    case PACKET_INTERRUPT:
    case PACKET_ACK:
    case PACKET_NAK:
        FUZZ_REQUIRE(packet_out_sign(&s->out, '+') == 0);
        break;
    case PACKET_NONE:
        break;
    default:
        fuzz_refused();
        FUZZ_REQUIRE(kind == -EBADMSG || kind == -EMSGSIZE);
        s->end = kind;
    }
}

static void read_stream(struct story *s, const void *data, size_t n, bool no_ack, size_t piece)
{
    struct packet_parser p;
    const uint8_t *bytes = data;
    packet_out_init(&s->out, MAX_STORY);
    s->end = 0;
    packet_parser_init(&p, MAX_TEXT);
    if (no_ack)
        packet_parser_set_no_ack(&p);
    for (size_t at = 0; at < n && s->end == 0;) {
        size_t used = 0, some = n - at < piece ? n - at : piece;
        /* A copy: a byte that is read too far is found. */
        uint8_t *copy = fuzz_copy(bytes + at, some);
        int kind = packet_parser_feed(&p, copy, some, &used);
        FUZZ_REQUIRE(used <= some && (used > 0 || kind < 0));
        FUZZ_REQUIRE(kind != PACKET_NONE || used == some);
        free(copy);
        at += used;
        tell(s, kind, &p);
    }
    packet_parser_done(&p);
}

static void stream(struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);
    struct story once, again, cut;
    read_stream(&once, in->data, in->left, how & 1, SIZE_MAX);
    read_stream(&cut, in->data, in->left, how & 1, 1 + (how >> 1) % 7);
    FUZZ_REQUIRE(once.end == cut.end && once.out.len == cut.out.len);
    FUZZ_REQUIRE(once.out.len == 0 || memcmp(once.out.data, cut.out.data, once.out.len) == 0);
    read_stream(&again, once.out.data, once.out.len, true, SIZE_MAX);
    FUZZ_REQUIRE(again.end == 0);
    packet_out_done(&once.out);
    packet_out_done(&again.out);
    packet_out_done(&cut.out);
}

/* What was written of a value is what was read, but for the case of its digits. */
static void require_written(struct packet_out *o, const char *start, size_t n)
{
    FUZZ_REQUIRE(packet_end(o) == 0 && o->len == n + 4);
    FUZZ_REQUIRE(n == 0 || strncasecmp(o->data + 1, start, n) == 0);
    packet_out_done(o);
}

static int read_number(struct fields *f, unsigned how)
{
    struct packet_out o;
    const char *start = f->at;
    uint64_t v = 0, max = UINT64_MAX >> how % 64;
    unsigned digits = 1 + how % 16;
    bool decimal = how & 64;
    int r = decimal ? fields_decimal(f, max, &v) : fields_hex(f, digits, &v);
    if (r < 0)
        return r;
    size_t n = (size_t)(f->at - start), zeroes = 0;
    FUZZ_REQUIRE(decimal ? v <= max : n <= digits);
    while (zeroes + 1 < n && start[zeroes] == '0')
        zeroes++;
    packet_out_init(&o, 64);
    packet_begin(&o);
    packet_format(&o, decimal ? "%" PRIu64 : "%" PRIx64, v);
    require_written(&o, start + zeroes, n - zeroes);
    return 0;
}

static int read_bytes(struct fields *f, unsigned how)
{
    uint8_t bytes[16];
    const char *start = f->at;
    size_t n = how % 16;
    struct packet_out o;
    int r = fields_bytes(f, bytes, n);
    if (r < 0)
        return r;
    packet_out_init(&o, 64);
    packet_begin(&o);
    packet_hex(&o, bytes, n);
    require_written(&o, start, 2 * n);
    return 0;
}

static int read_low_first(struct fields *f, unsigned how)
{
    const char *start = f->at;
    unsigned n = 1 + how % 8;
    uint64_t v;
    struct packet_out o;
    int r = fields_le(f, n, &v);
    if (r < 0)
        return r;
    packet_out_init(&o, 64);
    packet_begin(&o);
    packet_le(&o, v, n);
    require_written(&o, start, 2u * n);
    return 0;
}

static int read_thread(struct fields *f)
{
    int64_t tid = -2;
    int r = fields_tid(f, &tid);
    FUZZ_REQUIRE(r < 0 ? tid == -2 : tid >= FIELDS_TID_ALL);
    return r;
}

static int read_member(struct fields *f, char separator)
{
    struct fields member = {0};
    size_t left = f->left;
    int r = fields_member(f, separator, &member);
    if (r == 1) {
        FUZZ_REQUIRE(!member.left || !memchr(member.at, separator, member.left));
        FUZZ_REQUIRE(f->left == (f->at ? left - member.left - 1 : 0));
    }
    return r == 1 ? 0 : -EBADMSG;
}

static int read_field(struct fields *f, unsigned which, unsigned how)
{
    char c;
    switch (which % 8) {
    case 0:
    case 1:
        return read_number(f, how);
    case 2:
        return read_bytes(f, how);
    case 3:
        return read_low_first(f, how);
    case 4:
        return read_thread(f);
    case 5:
        return read_member(f, (char)how);
    case 6:
        return how & 1 ? fields_any(f, &c) : fields_char(f, (char)how);
    default:
        return fields_text(f, "vCont;");
    }
}

static void fields(struct fuzz_input *in)
{
    size_t n = 0;
    const uint8_t *ops = fuzz_bytes(in, (size_t)fuzz_u8(in) % 32 * 2, &n);
    uint8_t *text = fuzz_copy(in->data, in->left);
    struct fields f;
    fields_init(&f, (const char *)text, in->left);
    for (size_t i = 0; i + 1 < n; i += 2) {
        struct fields before = f;
        if (read_field(&f, ops[i], ops[i + 1]) == 0) {
            fuzz_accepted();
            FUZZ_REQUIRE(f.left <= before.left);
        } else {
            fuzz_refused();
            FUZZ_REQUIRE(f.at == before.at && f.left == before.left);
        }
        FUZZ_REQUIRE(fields_at_end(&f) == (fields_end(&f) == 0));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (fuzz_u8(&in) & 1)
        fields(&in);
    else
        stream(&in);
    return 0;
}

/* Memory, and breakpoints in it. */
#include <errno.h>
#include <inttypes.h>

#include "gateway/gdbserver/address.h"
#include "gateway/gdbserver/requests.h"

/* LLDB follows a pointer by its 32 bits alone. Then the thread says whose memory it is: that of its
 * innermost instance. */
static uint64_t with_instance(struct session *s, uint64_t address)
{
    const struct target_frame *frames;
    size_t n;
    if (!address_is(address, ADDRESS_MEMORY) || address_instance(address) != 0 ||
        target_stack(s->target, session_thread(s), &frames, &n) < 0)
        return address;
    for (size_t i = 0; i < n; i++)
        if (frames[i].instance != 0)
            return address_make(ADDRESS_MEMORY, frames[i].instance, address_offset(address));
    return address;
}

/* ADDRESS,LENGTH */
static int take_range(struct fields *f, uint64_t *ret_address, uint64_t *ret_len)
{
    return fields_hex(f, 16, ret_address) < 0 || fields_char(f, ',') < 0 ||
                   fields_hex(f, 8, ret_len) < 0
               ? -EBADMSG
               : 0;
}

static int read_bytes(struct session *s, struct fields *f, bool binary)
{
    uint8_t data[SESSION_READ_BYTES];
    uint64_t address, len;
    size_t n = 0;
    if (take_range(f, &address, &len) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    if (len > SESSION_READ_BYTES)
        len = SESSION_READ_BYTES;
    int r = len == 0 ? 0 : target_read(s->target, with_instance(s, address), data, (size_t)len, &n);
    if (r < 0)
        return r;
    if (binary && n == 0)
        return reply_text(s, "OK"); /* whether this can be done was asked */
    reply_begin(s);
    if (binary)
        packet_binary(&s->out, data, n);
    else
        packet_hex(&s->out, data, n);
    return reply_end(s);
}

static int read_hex(struct session *s, struct fields *f)
{
    return read_bytes(s, f, false);
}

static int read_binary(struct session *s, struct fields *f)
{
    return read_bytes(s, f, true);
}

static int write_hex(struct session *s, struct fields *f)
{
    uint8_t data[SESSION_PACKET_BYTES / 2];
    uint64_t address, len;
    if (take_range(f, &address, &len) < 0 || len > sizeof data || fields_char(f, ':') < 0 ||
        fields_bytes(f, data, (size_t)len) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    int r = len == 0 ? 0 : target_write(s->target, with_instance(s, address), data, (size_t)len);
    return r == 0 ? reply_text(s, "OK") : r;
}

static int region(struct session *s, struct fields *f)
{
    uint64_t address;
    struct target_region region;
    if (fields_hex(f, 16, &address) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    uint64_t known = with_instance(s, address);
    int r = target_region(s->target, known, &region);
    if (r < 0)
        return r;
    region.start -= known - address;
    /* Of addresses without an instance there are no more than this. */
    if (known != address && region.bytes > ADDRESS_SPAN - region.start)
        region.bytes = ADDRESS_SPAN - region.start;
    reply_begin(s);
    packet_format(&s->out, "start:%" PRIx64 ";size:%" PRIx64 ";", region.start, region.bytes);
    if (region.readable)
        packet_format(&s->out, "permissions:r%s%s;", region.writable ? "w" : "",
                      region.executable ? "x" : "");
    return reply_end(s);
}

/* ---- breakpoints, and what is watched */

/* ADDRESS,KIND. Of a breakpoint the kind is the size of an instruction for it, which there is none
 * of. */
static int take_point(struct fields *f, uint64_t *ret_address, uint64_t *ret_kind)
{
    int r = take_range(f, ret_address, ret_kind);
    return r < 0 ? r : fields_end(f);
}

static int act_at_point(struct session *s, struct fields *f,
                        int (*act)(struct target *t, uint64_t address))
{
    uint64_t address, kind;
    int r = take_point(f, &address, &kind);
    if (r == 0)
        r = act(s->target, address);
    return r == 0 ? reply_text(s, "OK") : r;
}

static int set_breakpoint(struct session *s, struct fields *f)
{
    return act_at_point(s, f, target_set_breakpoint);
}

static int clear_breakpoint(struct session *s, struct fields *f)
{
    return act_at_point(s, f, target_clear_breakpoint);
}

static int set_watch(struct session *s, struct fields *f)
{
    uint64_t address, len;
    int r = take_point(f, &address, &len);
    if (r == 0)
        r = target_set_watch(s->target, address, with_instance(s, address), (size_t)len);
    return r == 0 ? reply_text(s, "OK") : r;
}

static int clear_watch(struct session *s, struct fields *f)
{
    return act_at_point(s, f, target_clear_watch);
}

static int watch_reads(struct session *s, struct fields *f)
{
    uint64_t address, len;
    int r = take_point(f, &address, &len);
    return r < 0 ? r : reply_error(s, -EOPNOTSUPP, "only changes can be watched, not reads");
}

const struct request requests_memory[] = {
    {"m", read_hex, false},
    {"x", read_binary, false},
    {"M", write_hex, false},
    {"qMemoryRegionInfo:", region, false},
    {"Z0,", set_breakpoint, false},
    {"z0,", clear_breakpoint, false},
    {"Z2,", set_watch, false},
    {"z2,", clear_watch, false},
    {"Z3,", watch_reads, false},
    {"Z4,", watch_reads, false},
    {NULL, NULL, false},
};

/* Stacks, locals and globals of WebAssembly. */
#include <errno.h>
#include <string.h>

#include "gateway/gdbserver/address.h"
#include "gateway/gdbserver/requests.h"

/* The thread that is named here is that of the requests for values that follow. */
static int call_stack(struct session *s, struct fields *f)
{
    int64_t tid;
    const struct target_frame *frames;
    size_t n;
    if (fields_tid(f, &tid) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    if (tid <= 0 || !target_find_thread(s->target, (uint64_t)tid))
        return reply_error(s, -ENOENT, "there is no such thread");
    int r = target_stack(s->target, (uint64_t)tid, &frames, &n);
    if (r < 0)
        return r;
    s->thread = (uint64_t)tid;
    reply_begin(s);
    if (n == 0)
        packet_le(&s->out, ADDRESS_NOWHERE, 8);
    for (size_t i = 0; i < n; i++)
        packet_le(&s->out, frames[i].pc, 8);
    return reply_end(s);
}

static int reply_value(struct session *s, const struct target_value *value)
{
    unsigned n = wasm_type_bytes(value->type);
    reply_begin(s);
    /* With its instance. */
    packet_hex(&s->out, value->bytes, value->type == WASM_I32 ? 8 : n);
    return reply_end(s);
}

/* FRAME;INDEX */
static int take_place(struct fields *f, uint64_t *ret_frame, uint64_t *ret_index)
{
    return fields_decimal(f, UINT32_MAX, ret_frame) < 0 || fields_char(f, ';') < 0 ||
                   fields_decimal(f, UINT32_MAX, ret_index) < 0 || fields_end(f) < 0
               ? -EBADMSG
               : 0;
}

static int local(struct session *s, struct fields *f)
{
    uint64_t frame, index;
    struct target_value value;
    int r = take_place(f, &frame, &index);
    if (r == 0)
        r = target_local(s->target, session_thread(s), (size_t)frame, index, &value);
    return r == 0 ? reply_value(s, &value) : r;
}

/* FRAME;INDEX, or INDEX;instance:ID */
static int global(struct session *s, struct fields *f)
{
    uint64_t first, second;
    struct target_value value;
    int r;
    if (fields_decimal(f, UINT32_MAX, &first) < 0 || fields_char(f, ';') < 0)
        return -EBADMSG;
    if (fields_text(f, "instance:") == 0) {
        if (fields_decimal(f, ADDRESS_MOST_INSTANCES, &second) < 0 || fields_end(f) < 0)
            return -EBADMSG;
        r = target_instance_global(s->target, (uint32_t)second, first, &value);
    } else {
        if (fields_decimal(f, UINT32_MAX, &second) < 0 || fields_end(f) < 0)
            return -EBADMSG;
        r = target_global(s->target, session_thread(s), (size_t)first, second, &value);
    }
    return r == 0 ? reply_value(s, &value) : r;
}

static int stack_value(struct session *s, struct fields *f)
{
    uint64_t frame, index;
    int r = take_place(f, &frame, &index);
    return r < 0 ? r : reply_error(s, -EOPNOTSUPP, "the engine does not show operand stacks");
}

const struct request requests_look[] = {
    {"qWasmCallStack:", call_stack, false},
    {"qWasmLocal:", local, false},
    {"qWasmGlobal:", global, false},
    {"qWasmStackValue:", stack_value, false},
    {NULL, NULL, false},
};

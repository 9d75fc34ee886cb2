#include "proto/unpack.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/text.h"
#include "proto/limits.h"

#define MAX_DEPTH 8

const char unpack_no_memory[] = "there is no memory left for it";

struct budget {
    size_t left;
    bool starved; /* it is not the message's fault */
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *b = data;
    if (size > b->left)
        return NULL;
    b->left -= size;
    void *p = malloc(size);
    b->starved |= !p;
    return p;
}

static void budget_free(void *data, void *p)
{
    (void)data;
    free(p);
}

static void *plain_alloc(void *data, size_t size)
{
    (void)data;
    return malloc(size);
}

/* A varint at data[*at]; false if it is cut or longer than 10 bytes. */
static bool read_varint(const uint8_t *data, size_t end, size_t *at, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && *at < end; shift += 7) {
        uint8_t byte = data[(*at)++];
        v |= (uint64_t)(byte & 0x7f) << (shift < 64 ? shift : 63);
        if (!(byte & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* Walks the fields that belong to `type` and those of its sub-messages, and counts them. The types
 * are not recursive, so that the depth is bounded by the types too; MAX_DEPTH says so once more. */
static bool scan(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t at, size_t end,
                 int depth, size_t *left, const char **ret_why)
{
    if (depth > MAX_DEPTH) {
        *ret_why = "message is nested too deeply";
        return false;
    }
    *ret_why = "message is malformed";
    while (at < end) {
        uint64_t key, len;
        if (*left == 0) {
            *ret_why = "message has too many fields";
            return false;
        }
        --*left;
        if (!read_varint(data, end, &at, &key))
            return false;
        if (key >> 3 == 0) /* no field has this number; protobuf-c would keep it as unknown */
            return false;
        switch (key & 7) {
        case 0:
            if (!read_varint(data, end, &at, &len))
                return false;
            break;
        case 1:
            len = 8;
            goto skip;
        case 5:
            len = 4;
            goto skip;
        case 2: {
            if (!read_varint(data, end, &at, &len) || len > end - at)
                return false;
            const ProtobufCFieldDescriptor *f =
                key >> 3 <= UINT32_MAX
                    ? protobuf_c_message_descriptor_get_field(type, (unsigned)(key >> 3))
                    : NULL;
            if (f && f->type == PROTOBUF_C_TYPE_MESSAGE &&
                !scan(f->descriptor, data, at, at + (size_t)len, depth + 1, left, ret_why))
                return false;
            /* protobuf-c would cut a string at its first NUL and take any bytes for text. */
            if (f && f->type == PROTOBUF_C_TYPE_STRING &&
                !text_is_utf8((const char *)data + at, (size_t)len)) {
                *ret_why = "message has a text that is not UTF-8, or holds a NUL";
                return false;
            }
            /* Packed scalars: each byte may become an element of eight bytes. */
            if (f && f->label == PROTOBUF_C_LABEL_REPEATED && f->type != PROTOBUF_C_TYPE_MESSAGE &&
                f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_BYTES) {
                if (len > *left) {
                    *ret_why = "message has too many fields";
                    return false;
                }
                *left -= (size_t)len;
            }
        skip:
            if (len > end - at)
                return false;
            at += (size_t)len;
            break;
        }
        default:
            return false;
        }
    }
    return true;
}

ProtobufCMessage *unpack_large_message(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                       size_t bytes, size_t max_elements, size_t max_bytes,
                                       const char **ret_why)
{
    size_t left = max_elements;
    if (!scan(type, data, 0, bytes, 0, &left, ret_why))
        return NULL;
    struct budget budget = {.left = max_bytes};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, bytes, data);
    if (!m)
        *ret_why = budget.starved ? unpack_no_memory : "message cannot be decoded";
    return m;
}

ProtobufCMessage *unpack_message(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                 size_t bytes, const char **ret_why)
{
    return unpack_large_message(type, data, bytes, LIMIT_UNPACK_ELEMENTS, LIMIT_UNPACK_BYTES,
                                ret_why);
}

void unpack_free(ProtobufCMessage *message)
{
    static ProtobufCAllocator plain = {plain_alloc, budget_free, NULL};
    if (message)
        protobuf_c_message_free_unpacked(message, &plain);
}

/*
 * unpack.h: what stands between bytes of a peer and protobuf-c. protobuf-c 1.4 allocates whatever a
 * message makes it allocate, so a message is scanned before (depth, number of fields), and unpacked
 * with an allocator that has a budget. Pure functions; no state outlives a call.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/** The reason (this very text) of a failure that is ours and not the peer's. */
extern const char unpack_no_memory[];

/**
 * Unpacks one message of the given type. Returns NULL and sets *ret_why (static text) if the bytes
 * are no such message, have more than LIMIT_UNPACK_ELEMENTS fields, or would need more than
 * LIMIT_UNPACK_BYTES. The message is freed by unpack_free().
 */
ProtobufCMessage *unpack_message(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                 size_t bytes, const char **ret_why);

/** unpack_message() with limits of the caller's: for what comes in a memfd, not in a frame. */
ProtobufCMessage *unpack_large_message(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                       size_t bytes, size_t max_elements, size_t max_bytes,
                                       const char **ret_why);

/** Frees a message of these functions; takes NULL. */
void unpack_free(ProtobufCMessage *message);

/*
 * packet.h: packets of the GDB remote protocol as bytes: `$text#sum`, with `+`, `-` and the byte 3
 * between them. A parser takes what a client sent, in pieces of any size, and says what came; a
 * packet_out has the bytes of packets that go to a client. Each owns its buffer, which is bounded.
 *
 * In the gateway, one thread. No I/O. What a client sends is untrusted: nothing of it is asserted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What packet_parser_feed() found. */
enum packet_kind {
    PACKET_NONE,      /**< all bytes are used, and nothing is whole yet */
    PACKET_WHOLE,     /**< packet_parser_text() has it, until the next feed */
    PACKET_INTERRUPT, /**< the byte 3, between packets or in the middle of one, which goes on */
    PACKET_BAD,       /**< a packet whose checksum is wrong, to be answered with `-` */
    PACKET_ACK,       /**< `+` */
    PACKET_NAK,       /**< `-`: the last packet is to be sent again */
};

enum packet_state {
    PACKET_BETWEEN,
    PACKET_TEXT,
    PACKET_ESCAPED, /**< after `}` */
    PACKET_SUM_HIGH,
    PACKET_SUM_LOW,
    PACKET_BROKEN,
};

struct packet_parser {
    enum packet_state state;
    bool no_ack;
    int error; /**< when broken: which */
    uint8_t sum, said;
    char *text;
    size_t len, size, max;
};

/** A parser of packets whose text has at most `max` bytes; acknowledgements are on. */
void packet_parser_init(struct packet_parser *p, size_t max);
void packet_parser_done(struct packet_parser *p);
/** From now on nobody can ask for a packet again: one whose checksum is wrong is an error. */
void packet_parser_set_no_ack(struct packet_parser *p);
/** Takes bytes until something came of them. *ret_used are those that were taken; the rest is for
 *  the next call. An enum packet_kind, or, and then for every later call as well: -EBADMSG: that is
 *  no packet, or with acknowledgements off its checksum is wrong; -EMSGSIZE: it is too long;
 *  -ENOMEM. A byte 3 after `}` is the end of an escape, and no interrupt. */
int packet_parser_feed(struct packet_parser *p, const void *bytes, size_t n, size_t *ret_used);
/** The text of the packet that the last feed found, with escapes undone and a NUL after it, which
 *  *ret_len does not count. A NUL may be in it, too. */
const char *packet_parser_text(const struct packet_parser *p, size_t *ret_len);

/** Bytes of packets, one after the other: data[0 .. len). */
struct packet_out {
    char *data;
    size_t len, size, max;
    size_t start; /**< where the packet that is being written begins */
    bool writing;
    int error; /**< why that packet cannot be ended */
};

/** Nothing yet, and never more than `max` bytes; allocates nothing. */
void packet_out_init(struct packet_out *o, size_t max);
void packet_out_done(struct packet_out *o);
/** The first n bytes have been sent. */
void packet_out_consume(struct packet_out *o, size_t n);
/** `+` or `-`, outside of a packet. -ENOBUFS, -ENOMEM. */
int packet_out_sign(struct packet_out *o, char sign);

/** A packet that was there before, as it was. -ENOBUFS, -ENOMEM. */
int packet_out_again(struct packet_out *o, const void *packet, size_t n);

/** Begins a packet behind those that are there. What follows fails in packet_end() only. */
void packet_begin(struct packet_out *o);
/** A text; what has a meaning on the wire (`$`, `#`, `}`, `*`) is escaped in it. */
void packet_text(struct packet_out *o, const char *text);
void packet_format(struct packet_out *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Bytes as they are, escaped as those of a text. */
void packet_binary(struct packet_out *o, const void *bytes, size_t n);
/** Bytes as pairs of hexadecimal digits. */
void packet_hex(struct packet_out *o, const void *bytes, size_t n);
/** The low `bytes` bytes (1 to 8) of a number, the lowest first, as pairs of digits. */
void packet_le(struct packet_out *o, uint64_t value, unsigned bytes);
/** Adds the checksum. 0; -ENOBUFS: it would be more than `max` bytes in all; -ENOMEM. Of a packet
 *  that failed nothing is left, and those before it are as they were. */
int packet_end(struct packet_out *o);

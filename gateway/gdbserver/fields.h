/*
 * fields.h: reads the fields of a packet's text, from left to right. Strict: what is not written as
 * the protocol has it is -EBADMSG, never a default; after an error the reader stands where it
 * stood, and no output was touched. Owns nothing: the text has to outlive it.
 *
 * In the gateway; pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fields {
    const char *at;
    size_t left;
};

/** Thread ids that are none. */
#define FIELDS_TID_ALL (-1)
#define FIELDS_TID_ANY 0

/** What a hexadecimal digit is worth; -1: it is none. */
int fields_digit(char c);
void fields_init(struct fields *f, const char *text, size_t n);
bool fields_at_end(const struct fields *f);
/** 0 at the end of the text, else -EBADMSG: a packet with more than it may have. */
int fields_end(const struct fields *f);
/** The next character is this one, and is passed. */
int fields_char(struct fields *f, char c);
/** The same of some characters. */
int fields_text(struct fields *f, const char *text);
/** The next character, whichever, and passed. */
int fields_any(struct fields *f, char *ret);
/** 1 to `max_digits` (16 at most) hexadecimal digits, and no more of them after that. */
int fields_hex(struct fields *f, unsigned max_digits, uint64_t *ret);
/** Decimal digits of a number that is at most `max`. */
int fields_decimal(struct fields *f, uint64_t max, uint64_t *ret);
/** Exactly n bytes, as 2 n hexadecimal digits, and none of them after that. */
int fields_bytes(struct fields *f, void *ret, size_t n);
/** The lowest first: a number of `bytes` (1 to 8) bytes, as pairs of hexadecimal digits. */
int fields_le(struct fields *f, unsigned bytes, uint64_t *ret);
/** `-1`, `0`, or a thread's id in hexadecimal: FIELDS_TID_ALL, FIELDS_TID_ANY, or 1 to INT64_MAX.
 */
int fields_tid(struct fields *f, int64_t *ret);
/** All up to the separator, which is passed, or to the end of the text; may be empty. 1; 0: nothing
 *  is left. So a list is read by asking until it says 0; one that ends with its separator has an
 *  empty last member, and a text that is empty is one empty member. */
int fields_member(struct fields *f, char separator, struct fields *ret);
/** All that is left is exactly this text. */
bool fields_are(const struct fields *f, const char *text);

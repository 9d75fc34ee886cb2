/*
 * text.h: checks of texts that come from outside. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Well-formed UTF-8 (no overlong forms, surrogates, or code points beyond U+10FFFF), no NUL. */
bool text_is_utf8(const char *s, size_t len);

/** A name of a VM, world or debugger: [A-Za-z0-9._-]{1,max}, not all digits, not "." or "..". */
bool text_is_name(const char *s, size_t max);

/** The value of a label: [A-Za-z0-9._-]{1,max}. */
bool text_is_label_value(const char *s, size_t max);

/** A path inside a bundle: UTF-8, relative, no empty, "." or ".." component, no control character.
 */
bool text_is_bundle_path(const char *s, size_t max);

/** Cuts what a bounded copy has left of a UTF-8 sequence at the end of s. */
void text_cut_utf8(char *s);

/** Makes what was put together from texts of others one line of UTF-8, if it was UTF-8 before it
 * was cut: control characters become "?", and so does each byte of those beyond ASCII. */
void text_to_line(char *s);

/** A copy of these bytes with a NUL after them; NULL: no memory. */
char *text_dup(const char *s, size_t len);

/** Copies as much of src as fits in size bytes with its NUL, in whole UTF-8 sequences. */
void text_copy(char *dst, size_t size, const char *src);

/** Decimal digits only, the whole text, fits in 64 bits. */
bool text_to_u64(const char *s, uint64_t *ret);

/** A number of bytes: digits, and K, M, G or T for powers of 1024 at most; fits in 64 bits. */
bool text_to_bytes(const char *s, uint64_t *ret);

/** A time: digits and a unit, us, ms, s, min, h or d; fits in 64 bits. */
bool text_to_us(const char *s, uint64_t *ret_us);

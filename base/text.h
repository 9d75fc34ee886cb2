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

/** A path inside a bundle: UTF-8, relative, no empty, "." or ".." component, no control character.
 */
bool text_is_bundle_path(const char *s, size_t max);

/** Cuts what a bounded copy has left of a UTF-8 sequence at the end of s. */
void text_cut_utf8(char *s);

/** Copies as much of src as fits in size bytes with its NUL, in whole UTF-8 sequences. */
void text_copy(char *dst, size_t size, const char *src);

/** Makes one harmless line of a text that quotes a peer: control characters, and those that break
 * or turn lines (U+0080 to U+009F, U+2028 to U+202E, U+2066 to U+2069), become question marks. */
void text_blank_controls(char *s);

/** Decimal digits only, the whole text, fits in 64 bits. */
bool text_to_u64(const char *s, uint64_t *ret);

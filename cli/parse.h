/*
 * parse.h: arguments as people write them. Pure functions; false leaves the result untouched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stillpoint_position;

/** Decimal digits only. */
bool parse_u64(const char *text, uint64_t *ret);
/** A number, fractions allowed, and a unit: us, ms, s, m or min, h, d. "0" needs none. */
bool parse_duration(const char *text, uint64_t *ret_us);
/** Bytes, or a whole number of K, M, G, T (powers of 1024; "iB" may follow). Not 0. */
bool parse_size(const char *text, uint64_t *ret_bytes);
/** "50%": a whole number above 0, of one CPU. */
bool parse_percent(const char *text, uint32_t *ret);
/** Any JSON value. Otherwise writes why not into `why`. */
bool parse_json(const char *text, char *why, size_t why_bytes);
/** Has a glob's characters, which no name has. */
bool parse_is_glob(const char *text);
/** "cli:" and a uid: the debugger of the command line. */
bool parse_is_cli_debugger(const char *text);
/** A debugger's name. */
bool parse_is_debugger_name(const char *text);
/** A debugger's name, or its id. */
bool parse_is_debugger(const char *text);
/** A name or an id: what the daemon takes for a VM. */
bool parse_is_vm(const char *text);
/**
 * "FILE:LINE", "FILE:LINE:COLUMN", or "FILE:0xOFFSET" of a WebAssembly module. Cuts `text`, into
 * which the result points.
 */
bool parse_position(char *text, struct stillpoint_position *ret);
/** "A-B", "A-", "-B" or "A"; 0 is no bound. */
bool parse_lines(const char *text, uint32_t *ret_from, uint32_t *ret_to);
/** Decimal digits, or "0x" and hexadecimal ones. */
bool parse_address(const char *text, uint64_t *ret);

/*
 * one_line.h: error texts of an engine or a guest as one line that the daemon accepts: UTF-8, no
 * control characters, cut at LIMIT_DETAIL_BYTES. Pure function.
 */
#pragma once

#include <stddef.h>

/** Fills `line` (size at least 1) from `text` and returns it. */
char *one_line(const char *text, char *line, size_t size);

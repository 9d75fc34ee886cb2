/*
 * memory.h: everything that one result points to, freed at once. A failed allocation is remembered,
 * so that a decoder asks once, at its end. One owner, one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct stillpoint_memory;

/** NULL if there is no memory. */
struct stillpoint_memory *memory_new(void);
struct stillpoint_memory *memory_free(struct stillpoint_memory *m);
/** Room for n zeroed items; NULL for none, or when it failed. */
void *memory_array(struct stillpoint_memory *m, size_t n, size_t item_bytes);
/** A copy; NULL stays NULL. */
const char *memory_text_or_null(struct stillpoint_memory *m, const char *text);
/** A copy, "" for NULL and when it failed. */
const char *memory_text(struct stillpoint_memory *m, const char *text);
const void *memory_copy(struct stillpoint_memory *m, const void *data, size_t bytes);
/** Whether any allocation failed so far. */
bool memory_failed(const struct stillpoint_memory *m);

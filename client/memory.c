#include "client/memory.h"

#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    max_align_t data[];
};

struct stillpoint_memory {
    struct block *blocks;
    bool failed;
};

struct stillpoint_memory *memory_new(void)
{
    return calloc(1, sizeof(struct stillpoint_memory));
}

struct stillpoint_memory *memory_free(struct stillpoint_memory *m)
{
    while (m && m->blocks) {
        struct block *next = m->blocks->next;
        free(m->blocks);
        m->blocks = next;
    }
    free(m);
    return NULL;
}

void *memory_array(struct stillpoint_memory *m, size_t n, size_t item_bytes)
{
    size_t bytes;
    if (n == 0)
        return NULL;
    struct block *b = NULL;
    if (!__builtin_mul_overflow(n, item_bytes, &bytes) &&
        !__builtin_add_overflow(bytes, sizeof *b, &bytes))
        b = calloc(1, bytes);
    if (!b) {
        m->failed = true;
        return NULL;
    }
    b->next = m->blocks;
    m->blocks = b;
    return b->data;
}

const void *memory_copy(struct stillpoint_memory *m, const void *data, size_t bytes)
{
    void *copy = memory_array(m, bytes, 1);
    return copy ? memcpy(copy, data, bytes) : NULL;
}

const char *memory_text_or_null(struct stillpoint_memory *m, const char *text)
{
    return text ? memory_copy(m, text, strlen(text) + 1) : NULL;
}

const char *memory_text(struct stillpoint_memory *m, const char *text)
{
    const char *copy = memory_text_or_null(m, text);
    return copy ? copy : "";
}

bool memory_failed(const struct stillpoint_memory *m)
{
    return m->failed;
}

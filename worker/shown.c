#include "worker/shown.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "worker/one_line.h"

#define BLOCK_BYTES 16384u
/* Tag and length of a part of a message. */
#define PART_BYTES 6u

struct shown_block {
    struct shown_block *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

void shown_init(struct shown *s, size_t max_bytes)
{
    *s = (struct shown){.left_bytes = max_bytes};
}

void shown_done(struct shown *s)
{
    while (s->blocks) {
        struct shown_block *next = s->blocks->next;
        free(s->blocks);
        s->blocks = next;
    }
}

static void *take(struct shown *s, size_t bytes)
{
    size_t aligned = (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct shown_block *b = s->blocks;
    if (!b || b->size - b->used < aligned) {
        size_t size = aligned > BLOCK_BYTES ? aligned : BLOCK_BYTES;
        b = malloc(sizeof *b + size);
        if (!b) {
            s->error = -ENOMEM;
            return NULL;
        }
        *b = (struct shown_block){.next = s->blocks, .size = size};
        s->blocks = b;
    }
    void *at = b->bytes + b->used;
    b->used += aligned;
    return at;
}

void *shown_array(struct shown *s, size_t n, size_t element_bytes)
{
    void *a = take(s, n * element_bytes);
    return a ? memset(a, 0, n * element_bytes) : NULL;
}

/* Whether there is room for a part of that size. */
static bool charge(struct shown *s, size_t bytes)
{
    if (s->error < 0)
        return false;
    if (s->left_bytes < PART_BYTES || bytes > s->left_bytes - PART_BYTES) {
        s->full = true;
        return false;
    }
    s->left_bytes -= bytes + PART_BYTES;
    return true;
}

/* Empty where there is no memory, which charge() then finds. */
static char *copy_line(struct shown *s, const char *text, size_t max_bytes)
{
    static char none[] = "";
    size_t len = text ? strnlen(text, max_bytes) : 0;
    char *line = len > 0 ? take(s, len + 1) : none;
    if (!line)
        return none;
    return len > 0 ? one_line(text, line, len + 1) : line;
}

char *shown_line(struct shown *s, const char *text, size_t max_bytes)
{
    char *line = copy_line(s, text, max_bytes);
    return charge(s, strlen(line)) ? line : NULL;
}

uint8_t *shown_bytes(struct shown *s, const void *bytes, size_t len)
{
    if (!charge(s, len))
        return NULL;
    uint8_t *copy = take(s, len + 1);
    return copy && len > 0 ? memcpy(copy, bytes, len) : copy;
}

#define SET(m, field, value) ((m)->has_##field = true, (m)->field = (value))

Stillpoint__Worker__Frame *shown_frame(struct shown *s, const struct engine_frame *frame)
{
    Stillpoint__Worker__Frame *m = take(s, sizeof *m);
    if (!m)
        return NULL;
    stillpoint__worker__frame__init(m);
    SET(m, kind, frame->kind);
    m->function = copy_line(s, frame->function, LIMIT_INSPECT_TEXT_BYTES);
    m->url = copy_line(s, frame->url, LIMIT_INSPECT_TEXT_BYTES);
    SET(m, line, frame->line);
    SET(m, column, frame->column);
    SET(m, offset, frame->offset);
    if (frame->source != 0)
        SET(m, source, frame->source);
    return charge(s, stillpoint__worker__frame__get_packed_size(m)) ? m : NULL;
}

Stillpoint__Worker__Location *shown_place(struct shown *s, const struct engine_place *place,
                                          const char *function)
{
    Stillpoint__Worker__Location *m = take(s, sizeof *m);
    if (!m)
        return NULL;
    stillpoint__worker__location__init(m);
    m->url = copy_line(s, place->url, LIMIT_INSPECT_TEXT_BYTES);
    m->function = copy_line(s, function, LIMIT_INSPECT_TEXT_BYTES);
    SET(m, line, place->line);
    SET(m, column, place->column);
    SET(m, offset, place->offset);
    return charge(s, stillpoint__worker__location__get_packed_size(m)) ? m : NULL;
}

static Stillpoint__Worker__Value *copy_value(struct shown *s, const struct engine_value *value)
{
    Stillpoint__Worker__Value *m = take(s, sizeof *m);
    if (!m)
        return NULL;
    const char *preview = value->preview ? value->preview : "";
    stillpoint__worker__value__init(m);
    SET(m, type, value->type);
    m->preview = copy_line(s, preview, LIMIT_PREVIEW_BYTES);
    m->class_name = copy_line(s, value->class_name, LIMIT_INSPECT_TEXT_BYTES);
    SET(m, ref, value->ref);
    SET(m, truncated, value->truncated || strlen(preview) > LIMIT_PREVIEW_BYTES);
    return m;
}

Stillpoint__Worker__Value *shown_value(struct shown *s, const struct engine_value *value)
{
    Stillpoint__Worker__Value *m = copy_value(s, value);
    return m && charge(s, stillpoint__worker__value__get_packed_size(m)) ? m : NULL;
}

Stillpoint__Worker__NamedValue *shown_named_value(struct shown *s,
                                                  const struct engine_named_value *v)
{
    Stillpoint__Worker__NamedValue *m = take(s, sizeof *m);
    Stillpoint__Worker__Value *value = copy_value(s, &v->value);
    if (!m || !value)
        return NULL;
    stillpoint__worker__named_value__init(m);
    m->name = copy_line(s, v->name, LIMIT_INSPECT_TEXT_BYTES);
    m->value = value;
    SET(m, writable, v->writable);
    SET(m, getter, v->getter);
    SET(m, threw, v->threw);
    return charge(s, stillpoint__worker__named_value__get_packed_size(m)) ? m : NULL;
}

Stillpoint__Worker__Scope *shown_scope(struct shown *s, const struct engine_scope *scope)
{
    Stillpoint__Worker__Scope *m = take(s, sizeof *m);
    if (!m)
        return NULL;
    stillpoint__worker__scope__init(m);
    m->scope = copy_line(s, scope->scope, LIMIT_NAME_BYTES);
    m->function = copy_line(s, scope->function, LIMIT_INSPECT_TEXT_BYTES);
    SET(m, ref, scope->ref);
    SET(m, variables, scope->variables);
    return charge(s, stillpoint__worker__scope__get_packed_size(m)) ? m : NULL;
}

Stillpoint__Worker__Source *shown_source(struct shown *s, const struct engine_source *source)
{
    Stillpoint__Worker__Source *m = take(s, sizeof *m);
    if (!m)
        return NULL;
    stillpoint__worker__source__init(m);
    SET(m, source, source->id);
    m->url = copy_line(s, source->url, LIMIT_PATH_BYTES);
    m->kind = copy_line(s, source->kind, LIMIT_NAME_BYTES);
    m->source_map = copy_line(s, source->source_map, LIMIT_PATH_BYTES);
    SET(m, text_bytes, source->text_bytes);
    SET(m, lines, source->lines);
    return charge(s, stillpoint__worker__source__get_packed_size(m)) ? m : NULL;
}

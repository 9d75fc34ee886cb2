#include "daemon/look_message.h"

#include "daemon/api_call.h"
#include "proto/check_worker.h"

static char *text(const char *s)
{
    return API_TEXT(s ? s : "");
}

void look_message_value(Stillpoint__Api__Value *to, const Stillpoint__Worker__Value *from)
{
    stillpoint__api__value__init(to);
    API_SET(to, type, (Stillpoint__Api__ValueType)from->type);
    to->preview = text(from->preview);
    API_SET(to, ref, from->ref);
    to->class_name = text(from->class_name);
    API_SET(to, truncated, from->truncated);
}

void look_message_named_value(struct look_named_value *to,
                              const Stillpoint__Worker__NamedValue *from)
{
    stillpoint__api__named_value__init(&to->m);
    to->m.name = text(from->name);
    if (from->value) {
        look_message_value(&to->value, from->value);
        to->m.value = &to->value;
    }
    API_SET(&to->m, writable, from->writable);
    API_SET(&to->m, getter, from->getter);
    API_SET(&to->m, threw, from->threw);
}

void look_message_location(Stillpoint__Api__Location *to, const Stillpoint__Worker__Location *from)
{
    stillpoint__api__location__init(to);
    to->url = text(from->url);
    API_SET(to, line, from->line);
    API_SET(to, column, from->column);
    to->function = text(from->function);
    API_SET(to, offset, from->offset);
}

void look_message_frame(Stillpoint__Api__Frame *to, const Stillpoint__Worker__Frame *from,
                        uint32_t frame)
{
    static const char *const kinds[] = {
        [WORKER_FRAME_JS] = "js", [WORKER_FRAME_WASM] = "wasm", [WORKER_FRAME_HOST] = "host"};
    stillpoint__api__frame__init(to);
    API_SET(to, frame, frame);
    to->kind = text(from->kind <= WORKER_FRAME_HOST ? kinds[from->kind] : NULL);
    to->function = text(from->function);
    to->url = text(from->url);
    API_SET(to, line, from->line);
    API_SET(to, column, from->column);
    if (from->kind == WORKER_FRAME_WASM)
        API_SET(to, offset, from->offset);
    if (from->kind == WORKER_FRAME_WASM && from->source != 0)
        API_SET(to, source, from->source);
}

void look_message_scope(Stillpoint__Api__Scope *to, const Stillpoint__Worker__Scope *from)
{
    stillpoint__api__scope__init(to);
    to->scope = text(from->scope);
    API_SET(to, ref, from->ref);
    API_SET(to, variables, from->variables);
    to->function = text(from->function);
}

void look_message_source(Stillpoint__Api__Source *to, const Stillpoint__Worker__Source *from)
{
    stillpoint__api__source__init(to);
    API_SET(to, source, from->source);
    to->url = text(from->url);
    to->kind = text(from->kind);
    API_SET(to, text_bytes, from->text_bytes);
    to->source_map = text(from->source_map);
    API_SET(to, lines, from->lines);
}

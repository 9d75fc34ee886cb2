/* Looking at one stopped VM: stack, scopes, variables, sources, memory, why it pauses. */
#include "client/call.h"

/* The end of a call whose result is `result`, decoded into `memory`. */
#define GIVE(memory, result, ret)                                                                  \
    do {                                                                                           \
        if (memory_failed(memory))                                                                 \
            return -ENOMEM;                                                                        \
        (result).memory = TAKE_PTR(memory);                                                        \
        *(ret) = (result);                                                                         \
        return 0;                                                                                  \
    } while (0)

/* ---- stack, scopes, variables */

int stillpoint_vm_frames(struct stillpoint *sp, const char *vm, uint32_t first, uint32_t max,
                         struct stillpoint_frames *ret_frames)
{
    Stillpoint__Api__ListFrames m = STILLPOINT__API__LIST_FRAMES__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_FRAMES, list_frames, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(vm);
    CONN_SET(m, first, first);
    CONN_SET(m, max, max);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_FRAME_PAGE, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__FramePage *p = reply->frame_page;
    struct stillpoint_frames frames = {.vm = p->vm, .next = p->next};
    frames.items = decode_frames(memory, p->frames, p->n_frames, &frames.n);
    GIVE(memory, frames, ret_frames);
}

int stillpoint_vm_scopes(struct stillpoint *sp, const char *vm, uint32_t frame,
                         struct stillpoint_scopes *ret_scopes)
{
    Stillpoint__Api__ListScopes m = STILLPOINT__API__LIST_SCOPES__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_SCOPES, list_scopes, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(vm);
    CONN_SET(m, frame, frame);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_SCOPE_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__ScopeList *l = reply->scope_list;
    struct stillpoint_scope *items = memory_array(memory, l->n_scopes, sizeof *items);
    struct stillpoint_scopes scopes = {
        .vm = l->vm, .frame = l->frame, .items = items, .n = items ? l->n_scopes : 0};
    for (size_t i = 0; i < scopes.n; i++)
        items[i] = (struct stillpoint_scope){
            .scope = memory_text(memory, l->scopes[i]->scope),
            .ref = l->scopes[i]->ref,
            .variables = l->scopes[i]->variables,
            .function = memory_text(memory, l->scopes[i]->function),
        };
    GIVE(memory, scopes, ret_scopes);
}

int stillpoint_vm_variables(struct stillpoint *sp, const struct stillpoint_variables_query *query,
                            struct stillpoint_variables *ret_variables)
{
    Stillpoint__Api__ListVariables m = STILLPOINT__API__LIST_VARIABLES__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_VARIABLES, list_variables, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(query->vm);
    CONN_SET(m, ref, query->ref);
    CONN_SET(m, first, query->first);
    CONN_SET(m, max, query->max);
    CONN_SET(m, run_getters, query->run_getters);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_VARIABLE_PAGE, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__VariablePage *p = reply->variable_page;
    struct stillpoint_variables variables = {.vm = p->vm, .next = p->next, .total = p->total};
    variables.items = decode_named(memory, p->variables, p->n_variables, &variables.n);
    GIVE(memory, variables, ret_variables);
}

/* ---- sources */

int stillpoint_vm_sources(struct stillpoint *sp, const char *vm, uint32_t first, uint32_t max,
                          struct stillpoint_sources *ret_sources)
{
    Stillpoint__Api__ListSources m = STILLPOINT__API__LIST_SOURCES__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_SOURCES, list_sources, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(vm);
    CONN_SET(m, first, first);
    CONN_SET(m, max, max);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_SOURCE_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__SourceList *l = reply->source_list;
    struct stillpoint_source *items = memory_array(memory, l->n_sources, sizeof *items);
    struct stillpoint_sources sources = {
        .vm = l->vm, .items = items, .n = items ? l->n_sources : 0, .next = l->next};
    for (size_t i = 0; i < sources.n; i++)
        decode_source(memory, l->sources[i], &items[i]);
    GIVE(memory, sources, ret_sources);
}

int stillpoint_vm_source_text(struct stillpoint *sp, const struct stillpoint_source_query *query,
                              struct stillpoint_source_text *ret_text)
{
    Stillpoint__Api__ReadSource m = STILLPOINT__API__READ_SOURCE__INIT;
    conn_envelope e = CONN_ENVELOPE(READ_SOURCE, read_source, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(query->vm);
    if (query->source != 0)
        CONN_SET(m, source, query->source);
    else
        m.url = conn_text(query->url);
    CONN_SET(m, first_byte, query->first_byte);
    CONN_SET(m, max_bytes, query->max_bytes);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_SOURCE_TEXT, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__SourceText *t = reply->source_text;
    struct stillpoint_source_text text = {
        .vm = t->vm,
        .first_byte = t->first_byte,
        .text = memory_copy(memory, t->text.data, t->text.len),
        .more = t->more,
    };
    text.bytes = text.text ? t->text.len : 0;
    decode_source(memory, t->source, &text.source);
    GIVE(memory, text, ret_text);
}

int stillpoint_vm_positions(struct stillpoint *sp, const struct stillpoint_positions_query *query,
                            struct stillpoint_positions *ret_positions)
{
    Stillpoint__Api__ListPositions m = STILLPOINT__API__LIST_POSITIONS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_POSITIONS, list_positions, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(query->vm);
    if (query->source != 0)
        CONN_SET(m, source, query->source);
    else
        m.url = conn_text(query->url);
    if (query->in_offsets) {
        CONN_SET(m, offset_from, query->offset_from);
        CONN_SET(m, offset_to, query->offset_to);
    } else {
        CONN_SET(m, line_from, query->line_from);
        CONN_SET(m, line_to, query->line_to);
    }
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_POSITION_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__PositionList *l = reply->position_list;
    struct stillpoint_location *items = memory_array(memory, l->n_positions, sizeof *items);
    struct stillpoint_positions positions = {
        .vm = l->vm,
        .items = items,
        .n = items ? l->n_positions : 0,
        .truncated = l->truncated,
    };
    for (size_t i = 0; i < positions.n; i++)
        decode_location(memory, l->positions[i], &items[i]);
    GIVE(memory, positions, ret_positions);
}

/* ---- memory */

static int call_memory(struct stillpoint *sp, Stillpoint__Api__AccessMemory *m,
                       const struct stillpoint_memory_place *place,
                       struct stillpoint_data *ret_data)
{
    conn_envelope e = CONN_ENVELOPE(ACCESS_MEMORY, access_memory, m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m->vm = conn_text(place->vm);
    CONN_SET(*m, in_frame, place->in_frame);
    CONN_SET(*m, frame, place->frame);
    CONN_SET(*m, memory, place->memory);
    CONN_SET(*m, address, place->address);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_MEMORY_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__MemoryReply *d = reply->memory_reply;
    struct stillpoint_data data = {
        .vm = d->vm,
        .address = d->address,
        .data = memory_copy(memory, d->data.data, d->data.len),
        .memory_bytes = d->memory_bytes,
    };
    data.bytes = data.data ? d->data.len : 0;
    GIVE(memory, data, ret_data);
}

int stillpoint_vm_memory_read(struct stillpoint *sp, const struct stillpoint_memory_place *place,
                              uint32_t length, struct stillpoint_data *ret_data)
{
    Stillpoint__Api__AccessMemory m = STILLPOINT__API__ACCESS_MEMORY__INIT;
    CONN_SET(m, length, length);
    return call_memory(sp, &m, place, ret_data);
}

int stillpoint_vm_memory_write(struct stillpoint *sp, const struct stillpoint_memory_place *place,
                               const void *data, size_t bytes, struct stillpoint_data *ret_data)
{
    Stillpoint__Api__AccessMemory m = STILLPOINT__API__ACCESS_MEMORY__INIT;
    CONN_SET(m, write, ((ProtobufCBinaryData){.len = bytes, .data = (uint8_t *)data}));
    return call_memory(sp, &m, place, ret_data);
}

/* ---- pauses */

int stillpoint_vm_pause(struct stillpoint *sp, const char *vm, struct stillpoint_pause *ret_pause)
{
    Stillpoint__Api__GetPause m = STILLPOINT__API__GET_PAUSE__INIT;
    conn_envelope e = CONN_ENVELOPE(GET_PAUSE, get_pause, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(vm);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_PAUSE_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__PauseReply *p = reply->pause_reply;
    struct stillpoint_pause pause = {
        .vm = p->vm,
        .pause = p->pause,
        .reason = memory_text(memory, p->reason),
        .hooks = memory_copy(memory, p->hooks, p->n_hooks * sizeof *p->hooks),
        .location = decode_location_or_null(memory, p->location),
        .value = decode_value_or_null(memory, p->value),
    };
    pause.n_hooks = pause.hooks ? p->n_hooks : 0;
    GIVE(memory, pause, ret_pause);
}

/* ---- freeing */

void *stillpoint_frames_free(struct stillpoint_frames *frames)
{
    CALL_FREE(frames);
}

void *stillpoint_scopes_free(struct stillpoint_scopes *scopes)
{
    CALL_FREE(scopes);
}

void *stillpoint_variables_free(struct stillpoint_variables *variables)
{
    CALL_FREE(variables);
}

void *stillpoint_sources_free(struct stillpoint_sources *sources)
{
    CALL_FREE(sources);
}

void *stillpoint_source_text_free(struct stillpoint_source_text *text)
{
    CALL_FREE(text);
}

void *stillpoint_positions_free(struct stillpoint_positions *positions)
{
    CALL_FREE(positions);
}

void *stillpoint_data_free(struct stillpoint_data *data)
{
    CALL_FREE(data);
}

void *stillpoint_pause_free(struct stillpoint_pause *pause)
{
    CALL_FREE(pause);
}

/* What clients ask of a VM that stands, and how they let it go on. */
#include <string.h>

#include "base/text.h"
#include "proto/check_api_private.h"
#include "proto/limits.h"

#define INVALID CHECK_API_INVALID

typedef Stillpoint__Api__Envelope Envelope;

static uint32_t page(uint32_t asked, uint32_t most)
{
    return asked == 0 || asked > most ? most : asked;
}

/* A text that has to be there. */
static int need_text(const char *s, size_t max, const char *field, const char **ret,
                     struct api_error *e)
{
    if (!s || !*s)
        return api_error_set(e, INVALID, NULL, "%s is missing", field);
    size_t len = strlen(s);
    if (len > max)
        return api_error_set(e, INVALID, NULL, "%s is longer than %zu bytes", field, max);
    if (!text_is_utf8(s, len))
        return api_error_set(e, INVALID, NULL, "%s is not UTF-8", field);
    *ret = s;
    return 0;
}

static int need_expression(const char *s, const char **ret, struct api_error *e)
{
    return need_text(s, LIMIT_EXPRESSION_BYTES, "expression", ret, e);
}

static int check_limit(uint64_t asked, uint64_t *ret, struct api_error *e)
{
    *ret = asked ? asked : DEFAULT_EVALUATE_US;
    return check_api_time(asked, "timeout", e);
}

int check_api_list_frames(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->look_page.first = m->list_frames->first;
    r->look_page.max = page(m->list_frames->max, LIMIT_PAGE_FRAMES);
    return check_api_vm_ref(m->list_frames->vm, &r->look_page.vm, e);
}

int check_api_list_sources(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->look_page.first = m->list_sources->first;
    r->look_page.max = page(m->list_sources->max, LIMIT_PAGE_SOURCES);
    return check_api_vm_ref(m->list_sources->vm, &r->look_page.vm, e);
}

int check_api_list_scopes(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->list_scopes.frame = m->list_scopes->frame;
    return check_api_vm_ref(m->list_scopes->vm, &r->list_scopes.vm, e);
}

int check_api_list_variables(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ListVariables *l = m->list_variables;
    r->list_variables.ref = l->ref;
    r->list_variables.first = l->first;
    r->list_variables.max = page(l->max, LIMIT_PAGE_VARIABLES);
    r->list_variables.run_getters = l->run_getters;
    if (l->ref == 0)
        return api_error_set(e, INVALID, "scopes and values bring one", "ref is missing");
    return check_api_vm_ref(l->vm, &r->list_variables.vm, e);
}

int check_api_evaluate(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__Evaluate *v = m->evaluate;
    r->evaluate.frame = v->frame;
    r->evaluate.in_realm = v->in_realm;
    r->evaluate.realm = v->realm;
    r->evaluate.audited = v->audited;
    if (!v->in_realm && v->has_realm && v->realm != 0)
        return api_error_set(e, INVALID, NULL, "realm is for in_realm (only)");
    int c = check_api_vm_ref(v->vm, &r->evaluate.vm, e);
    if (c < 0 || (c = need_expression(v->expression, &r->evaluate.expression, e)) < 0)
        return c;
    return check_limit(v->timeout_us, &r->evaluate.timeout_us, e);
}

int check_api_set_variable(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__SetVariable *s = m->set_variable;
    r->set_variable.frame = s->frame;
    int c = check_api_vm_ref(s->vm, &r->set_variable.vm, e);
    if (c < 0 || (c = need_expression(s->expression, &r->set_variable.expression, e)) < 0 ||
        (c = need_text(s->name, LIMIT_INSPECT_TEXT_BYTES, "name", &r->set_variable.name, e)) < 0)
        return c;
    return check_limit(s->timeout_us, &r->set_variable.timeout_us, e);
}

/* Where a step is to end. */
static int check_place(const Stillpoint__Api__BreakpointAt *at, struct api_request *r,
                       struct api_error *e)
{
    int c = need_text(at->url, LIMIT_PATH_BYTES, "url", &r->step_vm.at.url, e);
    if (c < 0)
        return c;
    r->step_vm.at.line = at->line;
    r->step_vm.at.column = at->column;
    r->step_vm.at.offset = at->offset;
    if (at->line == 0 && !at->has_offset)
        return api_error_set(e, INVALID, NULL, "line is missing");
    return 0;
}

int check_api_step_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__StepVm *s = m->step_vm;
    r->step_vm.how = s->has_how ? (unsigned)s->how : 0;
    if (r->step_vm.how < STILLPOINT__API__STEP_HOW__STEP_IN ||
        r->step_vm.how > STILLPOINT__API__STEP_HOW__STEP_TO)
        return api_error_set(e, INVALID, NULL, "no such way to step");
    r->step_vm.granularity = s->has_granularity
                                 ? (unsigned)s->granularity
                                 : STILLPOINT__API__GRANULARITY__GRANULARITY_STATEMENT;
    if (r->step_vm.granularity < STILLPOINT__API__GRANULARITY__GRANULARITY_STATEMENT ||
        r->step_vm.granularity > STILLPOINT__API__GRANULARITY__GRANULARITY_OPERATION)
        return api_error_set(e, INVALID, NULL, "no such granularity");
    unsigned others =
        s->has_others ? (unsigned)s->others : STILLPOINT__API__STEP_OTHERS__STEP_OTHERS_HOLD;
    if (others < STILLPOINT__API__STEP_OTHERS__STEP_OTHERS_HOLD ||
        others > STILLPOINT__API__STEP_OTHERS__STEP_OTHERS_RUN)
        return api_error_set(e, INVALID, NULL, "no such rule for the others");
    r->step_vm.others_run = others == STILLPOINT__API__STEP_OTHERS__STEP_OTHERS_RUN;
    r->step_vm.deadline_us = s->deadline_us;
    r->step_vm.count = s->count ? s->count : 1;
    if (s->count > LIMIT_STEPS)
        return api_error_set(e, INVALID, NULL, "more than %u steps", LIMIT_STEPS);
    bool to = r->step_vm.how == STILLPOINT__API__STEP_HOW__STEP_TO;
    if (to != (s->at != NULL))
        return api_error_set(e, INVALID, NULL,
                             to ? "a step to a place has none"
                                : "a place is for a step to it (only)");
    int c = check_api_vm_ref(s->vm, &r->step_vm.vm, e);
    if (c < 0 || (to && (c = check_place(s->at, r, e)) < 0))
        return c;
    return check_api_time(s->deadline_us, "deadline", e);
}

/* A source by its number or, where that is 0, by its url. */
static int check_source(uint64_t source, const char *url, const char **ret_url, struct api_error *e)
{
    if (source != 0)
        return 0;
    if (!url || !*url)
        return api_error_set(e, INVALID, NULL, "no source was named");
    return need_text(url, LIMIT_PATH_BYTES, "url", ret_url, e);
}

int check_api_read_source(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ReadSource *s = m->read_source;
    r->read_source.source = s->source;
    r->read_source.first_byte = s->first_byte;
    r->read_source.max_bytes = page(s->max_bytes, LIMIT_DATA_BYTES);
    int c = check_api_vm_ref(s->vm, &r->read_source.vm, e);
    return c < 0 ? c : check_source(s->source, s->url, &r->read_source.url, e);
}

int check_api_list_positions(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ListPositions *p = m->list_positions;
    r->list_positions.source = p->source;
    r->list_positions.line_from = p->line_from;
    r->list_positions.line_to = p->line_to;
    r->list_positions.wasm = p->has_offset_from || p->has_offset_to;
    r->list_positions.offset_from = p->offset_from;
    r->list_positions.offset_to = p->offset_to;
    if (r->list_positions.wasm && (p->line_from != 0 || p->line_to != 0))
        return api_error_set(e, INVALID, NULL, "a place has a line or an offset, not both");
    if (p->offset_to != 0 && p->offset_to < p->offset_from)
        return api_error_set(e, INVALID, NULL, "offset_to is before offset_from");
    if (p->line_to != 0 && p->line_to < p->line_from)
        return api_error_set(e, INVALID, NULL, "line_to is before line_from");
    int c = check_api_vm_ref(p->vm, &r->list_positions.vm, e);
    return c < 0 ? c : check_source(p->source, p->url, &r->list_positions.url, e);
}

int check_api_access_memory(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__AccessMemory *a = m->access_memory;
    r->access_memory.frame = a->frame;
    r->access_memory.in_frame = a->in_frame;
    r->access_memory.memory = a->memory;
    r->access_memory.address = a->address;
    r->access_memory.length = a->length;
    if (a->has_write) {
        r->access_memory.write = a->write.data;
        r->access_memory.write_bytes = a->write.len;
    }
    if ((a->length != 0) == (r->access_memory.write_bytes != 0))
        return api_error_set(e, INVALID, NULL, "memory is either read or written");
    if (a->length > LIMIT_DATA_BYTES)
        return api_error_set(e, INVALID, NULL, "more than %u bytes to read", LIMIT_DATA_BYTES);
    if (r->access_memory.write_bytes > LIMIT_MEMORY_WRITE_BYTES)
        return api_error_set(e, INVALID, NULL, "more than %u bytes to write",
                             LIMIT_MEMORY_WRITE_BYTES);
    return check_api_vm_ref(a->vm, &r->access_memory.vm, e);
}

int check_api_get_pause(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_api_vm_ref(m->get_pause->vm, &r->vm.vm, e);
}

int check_api_answer(const Stillpoint__Api__ContinueVm *c, struct api_request *r,
                     struct api_error *e)
{
    unsigned answer =
        c->has_answer ? (unsigned)c->answer : STILLPOINT__API__PAUSE_ANSWER__ANSWER_CONTINUE;
    if (answer < STILLPOINT__API__PAUSE_ANSWER__ANSWER_CONTINUE ||
        answer > STILLPOINT__API__PAUSE_ANSWER__ANSWER_TERMINATE)
        return api_error_set(e, INVALID, NULL, "no such answer");
    bool takes = answer == STILLPOINT__API__PAUSE_ANSWER__ANSWER_RETURN ||
                 answer == STILLPOINT__API__PAUSE_ANSWER__ANSWER_THROW;
    bool given = c->answer_expression && *c->answer_expression;
    r->continue_vm.answer = answer;
    if (takes)
        return need_expression(c->answer_expression, &r->continue_vm.answer_expression, e);
    return given
               ? api_error_set(e, INVALID, NULL, "answer_expression is for return and throw (only)")
               : 0;
}

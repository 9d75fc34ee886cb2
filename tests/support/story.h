/*
 * story.h: what a worker said of its auditors, as text that a test can compare: one line a fact.
 *
 *   hit HOOK KIND LINE[ function][ …]   with ` pause N`, ` (COMPLETION)`, ` =VALUE`, ` !CONDITION
 *                                       ERROR`, ` NAME=EXPRESSION` (thrown: `~`), ` [FRAME<FRAME]`,
 *                                       ` "LOG"`, ` dropped N`
 *   paused N REASON [HOOK …] step N line LINE
 *   audited REFERENT ID KIND [HOOK …] [disarmed]
 *   ended HOOK WHY
 *   bound HOOK URL:LINE … | pending | error
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/worker.pb-c.h"

struct story {
    char text[1u << 16];
    size_t n;
    uint64_t vm_seq; /* of the last hit */
    bool gap;        /* there was one between two */
};

static inline void story_clear(struct story *s)
{
    s->text[s->n = 0] = '\0';
}

__attribute__((format(printf, 2, 3))) static inline void story_print(struct story *s,
                                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->text + s->n, sizeof s->text - s->n, format, args);
    va_end(args);
    s->n = s->n + (size_t)n < sizeof s->text ? s->n + (size_t)n : sizeof s->text - 1;
}

static inline const char *story_kind(uint32_t kind)
{
    static const char *const names[] = {"?",      "global", "enter",   "debugger",
                                        "unwind", "script", "promise", "settled",
                                        "pop",    "step",   "break"};
    return kind < sizeof names / sizeof *names ? names[kind] : "?";
}

static inline void story_ids(struct story *s, const uint64_t *ids, size_t n)
{
    story_print(s, " [");
    for (size_t i = 0; i < n; i++)
        story_print(s, "%s%llu", i ? " " : "", (unsigned long long)ids[i]);
    story_print(s, "]");
}

static inline void story_hit(struct story *s, const Stillpoint__Worker__Hit *m)
{
    s->gap = s->gap || m->vm_seq != s->vm_seq + 1;
    s->vm_seq = m->vm_seq;
    story_print(s, "hit %llu %s %u", (unsigned long long)m->hook, story_kind(m->kind),
                m->location->line);
    if (m->location->function && *m->location->function)
        story_print(s, " %s", m->location->function);
    if (m->has_pause)
        story_print(s, " pause %llu", (unsigned long long)m->pause);
    if (m->completion)
        story_print(s, " (%s)", m->completion);
    if (m->value)
        story_print(s, " =%s", m->value->preview);
    if (m->condition_error)
        story_print(s, " !%s", m->condition_error);
    for (size_t i = 0; i < m->n_arguments; i++)
        story_print(s, " (%s:%s)", m->arguments[i]->name, m->arguments[i]->value->preview);
    for (size_t i = 0; i < m->n_expressions; i++)
        story_print(s, " %s=%s%s", m->expressions[i]->name, m->expressions[i]->threw ? "~" : "",
                    m->expressions[i]->value->preview);
    if (m->n_frames > 0)
        story_print(s, " [");
    for (size_t i = 0; i < m->n_frames; i++)
        story_print(s, "%s%s:%u", i ? "<" : "", m->frames[i]->function, m->frames[i]->line);
    if (m->n_frames > 0)
        story_print(s, "]");
    if (m->log)
        story_print(s, " \"%s\"", m->log);
    if (m->dropped > 0)
        story_print(s, " dropped %llu", (unsigned long long)m->dropped);
    story_print(s, "\n");
}

static inline void story_bound(struct story *s, const Stillpoint__Worker__BreakpointBound *m)
{
    story_print(s, "bound %llu", (unsigned long long)m->hook);
    for (size_t i = 0; i < m->n_at; i++)
        story_print(s, " %s:%u", m->at[i]->url, m->at[i]->line);
    story_print(s, "%s%s%s\n", m->pending ? " pending" : "", m->error ? " " : "",
                m->error ? m->error : "");
}

/* Other facts are no part of it. */
static inline void story_add(struct story *s, const Stillpoint__Worker__Fact *f)
{
    static const char *const referents[] = {"?", "runtime", "realm", "frame", "script"};
    static const char *const reasons[] = {"?",         "step",     "breakpoint",
                                          "exception", "debugger", "hook"};
    switch (f->body_case) {
    case STILLPOINT__WORKER__FACT__BODY_HIT:
        story_hit(s, f->hit);
        break;
    case STILLPOINT__WORKER__FACT__BODY_PAUSED:
        story_print(s, "paused %llu %s", (unsigned long long)f->paused->pause,
                    reasons[f->paused->reason % 6]);
        story_ids(s, f->paused->hooks, f->paused->n_hooks);
        story_print(s, " step %llu line %u%s%s\n", (unsigned long long)f->paused->step,
                    f->paused->location->line, f->paused->value ? " =" : "",
                    f->paused->value ? f->paused->value->preview : "");
        break;
    case STILLPOINT__WORKER__FACT__BODY_AUDITED:
        story_print(s, "audited %s %llu %s", referents[f->audited->referent % 5],
                    (unsigned long long)f->audited->referent_id, story_kind(f->audited->kind));
        story_ids(s, f->audited->hooks, f->audited->n_hooks);
        story_print(s, "%s\n", f->audited->armed ? "" : " disarmed");
        break;
    case STILLPOINT__WORKER__FACT__BODY_HOOK_ENDED:
        story_print(s, "ended %llu %u\n", (unsigned long long)f->hook_ended->hook,
                    f->hook_ended->why);
        break;
    case STILLPOINT__WORKER__FACT__BODY_BREAKPOINT_BOUND:
        story_bound(s, f->breakpoint_bound);
        break;
    default:
        break;
    }
}

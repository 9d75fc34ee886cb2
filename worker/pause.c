#include "worker/pause.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

enum pause_answer { ANSWER_CONTINUE = 1, ANSWER_RETURN, ANSWER_THROW, ANSWER_TERMINATE };

void pauses_init(struct pauses *p, struct host *host)
{
    *p = (struct pauses){.host = host};
}

void pauses_done(struct pauses *p)
{
    free(p->expression);
    *p = (struct pauses){0};
}

enum pause_reason pause_more_specific(enum pause_reason a, enum pause_reason b)
{
    static const int rank[] = {[PAUSE_HOOK] = 1,
                               [PAUSE_STEP] = 2,
                               [PAUSE_DEBUGGER_STATEMENT] = 3,
                               [PAUSE_BREAKPOINT] = 4,
                               [PAUSE_EXCEPTION] = 5};
    return rank[a] >= rank[b] ? a : b;
}

unsigned pause_choices_at(const struct engine_hit *hit)
{
    switch (hit->kind) {
    case ENGINE_AUDIT_NEW_GLOBAL:
    case ENGINE_AUDIT_NEW_SCRIPT:
    case ENGINE_AUDIT_NEW_PROMISE:
    case ENGINE_AUDIT_PROMISE_SETTLED:
        return PAUSE_MAY_TERMINATE;
    default:
        return PAUSE_MAY_TERMINATE | PAUSE_MAY_THROW | (hit->wasm ? 0 : PAUSE_MAY_RETURN);
    }
}

struct announcement {
    struct pauses *pauses;
    Stillpoint__Worker__Paused *m;
};

/* Parked already, so that nobody may wait here. */
static int announce(void *userdata, uint64_t pause)
{
    struct announcement *a = userdata;
    a->pauses->open = pause;
    a->m->has_pause = true;
    a->m->pause = pause;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_PAUSED;
    fact.paused = a->m;
    if (daemon_channel_send(a->pauses->host->channel, &fact) < 0)
        safepoint_orphaned();
    return 0;
}

void pause_here(struct pauses *p, Stillpoint__Worker__Paused *m, unsigned choices,
                struct engine_answer *ret_answer)
{
    struct announcement a = {p, m};
    free(p->expression);
    p->expression = NULL;
    p->answer = (struct engine_answer){.action = ENGINE_GO_ON};
    p->choices = choices;
    safepoint_pause(p->host->safepoint, announce, &a);
    p->open = 0;
    *ret_answer = p->answer;
    host_settle(p->host);
}

/* Of an answer that its choice does not have. */
static const char *why_not(const struct pauses *p, unsigned answer)
{
    if (p->choices == 0)
        return "it pauses before its first code, and can only go on";
    if (answer == ANSWER_RETURN && (p->choices & PAUSE_MAY_THROW))
        return "a function of WebAssembly cannot be made to return";
    return "it pauses where it can only go on or be terminated";
}

int pause_check_answer(const struct pauses *p, const struct engine_ops *ops, struct engine *engine,
                       const Stillpoint__Worker__AnswerPause *m, const char **ret_why)
{
    static const unsigned choices[] = {[ANSWER_RETURN] = PAUSE_MAY_RETURN,
                                       [ANSWER_THROW] = PAUSE_MAY_THROW,
                                       [ANSWER_TERMINATE] = PAUSE_MAY_TERMINATE};
    if (m->answer < ANSWER_CONTINUE || m->answer > ANSWER_TERMINATE)
        return -EPROTO;
    if (p->open == 0 || m->pause != p->open) {
        *ret_why = "it is not in that pause any more";
        return -EPERM;
    }
    if (m->answer != ANSWER_CONTINUE && !(p->choices & choices[m->answer])) {
        *ret_why = why_not(p, m->answer);
        return -EOPNOTSUPP;
    }
    return m->expression ? ops->debug->check_expression(engine, m->expression, ret_why) : 0;
}

int pause_answered(struct pauses *p, const Stillpoint__Worker__AnswerPause *m)
{
    static const enum engine_action actions[] = {[ANSWER_CONTINUE] = ENGINE_GO_ON,
                                                 [ANSWER_RETURN] = ENGINE_FORCE_RETURN,
                                                 [ANSWER_THROW] = ENGINE_FORCE_THROW,
                                                 [ANSWER_TERMINATE] = ENGINE_FORCE_TERMINATE};
    if (m->answer < ANSWER_CONTINUE || m->answer > ANSWER_TERMINATE ||
        (m->expression && strlen(m->expression) > LIMIT_EXPRESSION_BYTES))
        return -EPROTO;
    if (p->open == 0 || m->pause != p->open)
        return 0;
    char *expression = m->expression ? strdup(m->expression) : NULL;
    if (m->expression && !expression)
        return -ENOMEM;
    free(p->expression);
    p->expression = expression;
    p->answer = (struct engine_answer){actions[m->answer], expression};
    return 0;
}

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

void pause_here(struct pauses *p, Stillpoint__Worker__Paused *m, struct engine_answer *ret_answer)
{
    struct announcement a = {p, m};
    free(p->expression);
    p->expression = NULL;
    p->answer = (struct engine_answer){.action = ENGINE_GO_ON};
    safepoint_pause(p->host->safepoint, announce, &a);
    p->open = 0;
    *ret_answer = p->answer;
    host_settle(p->host);
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

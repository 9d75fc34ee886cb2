#include "worker/stepper.h"

#include <errno.h>
#include <stdlib.h>

void stepper_init(struct stepper *s, struct audit_table *table)
{
    *s = (struct stepper){.table = table};
}

void stepper_done(struct stepper *s)
{
    free(s->needs);
    *s = (struct stepper){0};
}

/* ---- what it observes */

static struct step_need *find(const struct stepper *s, enum engine_audit_kind kind, uint64_t id,
                              uint64_t offset)
{
    for (size_t i = 0; i < s->n_needs; i++)
        if (s->needs[i].kind == kind && s->needs[i].id == id && s->needs[i].offset == offset)
            return &s->needs[i];
    return NULL;
}

static int need_at(struct stepper *s, enum engine_audit_kind kind, uint64_t id, uint64_t offset)
{
    if (find(s, kind, id, offset))
        return 0;
    if (s->n_needs == s->size_needs) {
        size_t more = s->size_needs ? 2 * s->size_needs : 8;
        struct step_need *grown = reallocarray(s->needs, more, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->needs = grown;
        s->size_needs = more;
    }
    int r = audit_table_need(s->table, kind, id, offset);
    if (r == 0)
        s->needs[s->n_needs++] = (struct step_need){.kind = kind, .id = id, .offset = offset};
    return r;
}

static int need(struct stepper *s, enum engine_audit_kind kind, uint64_t id)
{
    return need_at(s, kind, id, 0);
}

static void unneed(struct stepper *s, enum engine_audit_kind kind, uint64_t id)
{
    struct step_need *n = find(s, kind, id, 0);
    if (!n)
        return;
    *n = s->needs[--s->n_needs];
    audit_table_unneed(s->table, kind, id, 0);
}

static int need_enters(struct stepper *s, bool on)
{
    if (s->enters == on)
        return 0;
    int r = 0;
    if (on)
        r = audit_table_need_everywhere(s->table, ENGINE_AUDIT_ENTER_FRAME);
    else
        audit_table_unneed_everywhere(s->table, ENGINE_AUDIT_ENTER_FRAME);
    if (r == 0)
        s->enters = on;
    return r;
}

void stepper_forget(struct stepper *s)
{
    while (s->n_needs > 0) {
        const struct step_need *n = &s->needs[--s->n_needs];
        audit_table_unneed(s->table, n->kind, n->id, n->offset);
    }
    (void)need_enters(s, false);
    s->number = 0;
    s->frame = 0;
    s->away = s->out_of_one = false;
}

void stepper_gone(struct stepper *s, enum engine_referent referent, uint64_t id)
{
    for (size_t i = 0; i < s->n_needs;)
        if (audit_table_referent(s->needs[i].kind) == referent && s->needs[i].id == id)
            s->needs[i] = s->needs[--s->n_needs];
        else
            i++;
}

/* ---- frames */

struct kind_of_frame {
    bool seen;
    enum engine_frame_kind kind;
};

static void take_kind(void *userdata, const struct engine_frame *frame)
{
    struct kind_of_frame *k = userdata;
    k->seen = true;
    k->kind = frame->kind;
}

/* The innermost frame of the guest's own from `index` on. -ENOENT: there is none. */
static int guest_frame(const struct stepper *s, uint32_t index, uint64_t *ret_frame)
{
    const struct engine_debug_ops *ops = s->table->ops;
    for (;; index++) {
        struct kind_of_frame k = {0};
        uint32_t next;
        uint64_t realm;
        int r = ops->frames(s->table->engine, index, 1, take_kind, &k, &next);
        if (r < 0)
            return r;
        if (!k.seen)
            return -ENOENT;
        if (k.kind != ENGINE_FRAME_HOST)
            return ops->frame_id(s->table->engine, index, ret_frame, &realm);
    }
}

/* Its statements end the step from now on, and where it is left its caller's do. */
static int follow(struct stepper *s, uint64_t frame)
{
    s->frame = frame;
    s->away = false;
    int r = need(s, ENGINE_AUDIT_STEP, frame);
    return r < 0 ? r : need(s, ENGINE_AUDIT_POP, frame);
}

static int follow_next_entered(struct stepper *s)
{
    s->frame = 0;
    s->away = false;
    return need_enters(s, true);
}

/* The frame is left for good, and still the innermost on the stack. */
static int hand_over(struct stepper *s)
{
    uint64_t caller;
    unneed(s, ENGINE_AUDIT_STEP, s->frame);
    unneed(s, ENGINE_AUDIT_POP, s->frame);
    s->out_of_one = true;
    int r = guest_frame(s, 1, &caller);
    return r == -ENOENT ? follow_next_entered(s) : r < 0 ? r : follow(s, caller);
}

/* ---- arming */

struct places {
    struct stepper *stepper;
    int error;
};

static void take_position(void *userdata, uint64_t realm, uint64_t script, uint64_t script_offset,
                          const struct engine_place *place, const char *function)
{
    struct places *p = userdata;
    (void)realm, (void)function, (void)place;
    int r = need_at(p->stepper, ENGINE_AUDIT_BREAKPOINT, script, script_offset);
    p->error = r < 0 ? r : p->error;
}

static int arm_to(struct stepper *s, const struct step_place *at, const char **ret_why)
{
    struct places p = {.stepper = s};
    if (!at || !at->url || !*at->url) {
        *ret_why = "a step to a place needs the place";
        return -EINVAL;
    }
    s->table->in_engine++;
    int r = s->table->ops->positions(s->table->engine, 0, at->url, at->line, 0, at->column,
                                     at->offset, false, take_position, &p);
    s->table->in_engine--;
    if (r == 0 || r == -ENOENT)
        *ret_why = "there is no such place in what is loaded";
    return r < 0 ? r : p.error < 0 ? p.error : r == 0 ? -ENOENT : 0;
}

static int arm_in_frame(struct stepper *s, enum step_how how)
{
    int r = 0;
    if (how == STEP_IN)
        r = need_enters(s, true);
    if (r == 0 && (how == STEP_IN || how == STEP_OVER))
        r = need(s, ENGINE_AUDIT_STEP, s->frame);
    return r < 0 ? r : need(s, ENGINE_AUDIT_POP, s->frame);
}

static int arm(struct stepper *s, enum step_how how, const struct step_place *at,
               const char **ret_why)
{
    int r = guest_frame(s, 0, &s->frame);
    if (r < 0 && r != -ENOENT)
        return r;
    bool in_frame = r == 0;
    if (!in_frame && how == STEP_OUT) {
        *ret_why = "the VM is in no frame that it could leave";
        return -ENOENT;
    }
    r = how == STEP_TO ? arm_to(s, at, ret_why) : 0;
    if (r == 0 && in_frame)
        r = arm_in_frame(s, how);
    else if (r == 0 && how != STEP_TO)
        r = follow_next_entered(s);
    return r;
}

int stepper_arm(struct stepper *s, uint64_t number, enum step_how how, bool operation,
                const struct step_place *at, const char **ret_why)
{
    stepper_forget(s);
    if (how == STEP_FORGET)
        return 0;
    if (number == 0 || how > STEP_TO) {
        *ret_why = "there is no such step";
        return -EINVAL;
    }
    s->how = how;
    s->operation = operation;
    int r = arm(s, how, at, ret_why);
    if (r < 0)
        stepper_forget(s);
    else
        s->number = number;
    return r;
}

/* ---- what happens */

static bool popped(struct stepper *s, const struct engine_hit *hit)
{
    bool yields = hit->completion == ENGINE_COMPLETION_YIELD;
    if (hit->frame != s->frame)
        return false;
    if (hit->completion == ENGINE_COMPLETION_AWAIT ||
        (yields && (s->how != STEP_OUT || s->out_of_one))) {
        s->away = true;
        return false;
    }
    /* Where the engine cannot follow, the step ends here rather than never. */
    return hand_over(s) < 0;
}

static bool entered(struct stepper *s, const struct engine_hit *hit)
{
    if (!s->enters)
        return false;
    if (s->frame == 0) {
        if (s->how != STEP_IN)
            (void)need_enters(s, false);
        return follow(s, hit->frame) < 0;
    }
    if (hit->frame == s->frame)
        s->away = false;
    else if (!s->away)
        return need(s, ENGINE_AUDIT_STEP, hit->frame) < 0;
    return false;
}

bool stepper_ends(struct stepper *s, const struct engine_hit *hit)
{
    if (s->number == 0)
        return false;
    switch (hit->kind) {
    case ENGINE_AUDIT_STEP:
        return (s->operation || hit->statement_start) &&
               find(s, ENGINE_AUDIT_STEP, hit->frame, 0) != NULL;
    case ENGINE_AUDIT_POP:
        return popped(s, hit);
    case ENGINE_AUDIT_ENTER_FRAME:
        return entered(s, hit);
    case ENGINE_AUDIT_BREAKPOINT:
        return find(s, ENGINE_AUDIT_BREAKPOINT, hit->script, hit->offset) != NULL;
    default:
        return false;
    }
}

/* Stopping, going on, stepping; and why the world stands. */
#include "gateway/gdbserver/target_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_TRIES 100

/* ---- why it stands */

/* That a debugger wants to see first: one in WebAssembly. */
static uint64_t best_thread(struct target *t)
{
    const struct target_frame *frames;
    size_t n;
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i]->wasm && target_stack(t, t->threads[i]->seen.id, &frames, &n) == 0 &&
            n > 0 && frames[0].instance != 0)
            return t->threads[i]->seen.id;
    return target_thread_at(t, 0)->id;
}

static void set_stop(struct target *t, enum target_reason reason, uint64_t thread, const char *text)
{
    if (text != t->text)
        snprintf(t->text, sizeof t->text, "%s", text ? text : "");
    if (!target_find_thread(t, thread))
        thread = best_thread(t);
    t->stop = (struct target_stop){
        .reason = reason, .thread = thread, .text = t->text[0] ? t->text : NULL};
    t->stands = true;
}

/* Not of a program's own exceptions, which it means to catch: those are of WebAssembly.Exception,
 * whose name is the last part of that. */
static bool is_trap(const struct stillpoint_pause *p)
{
    return !p->value || strcmp(p->value->class_name, "Exception") != 0;
}

/* 1: in the instance that the thread is in; 0: only in others of the same module; -1: it is none of
 * ours. */
static int is_breakpoint(struct target *t, uint64_t vm, const struct stillpoint_pause *p)
{
    const struct target_frame *frames;
    size_t n;
    bool known = target_stack(t, vm, &frames, &n) == 0 && n > 0 && frames[0].instance != 0;
    int found = -1;
    for (size_t i = 0; i < p->n_hooks && found < 1; i++) {
        uint32_t instance = target_hook_instance(t, p->hooks[i]);
        if (instance != 0)
            found = !known || frames[0].instance == instance;
    }
    return found;
}

static bool has_hook(const struct stillpoint_pause *p, uint64_t hook)
{
    for (size_t i = 0; i < p->n_hooks; i++)
        if (p->hooks[i] == hook)
            return true;
    return false;
}

/* What a VM says of why it pauses. False: nothing that a debugger would want to see. */
static bool take_pause(struct target *t, uint64_t vm, const struct stillpoint_pause *p)
{
    int at = strcmp(p->reason, "breakpoint") == 0 ? is_breakpoint(t, vm, p) : -1;
    if (at == 0)
        return false;
    if (at > 0) {
        set_stop(t, TARGET_BREAKPOINT, vm, NULL);
    } else if (has_hook(p, t->hook_traps)) {
        if (!is_trap(p))
            return false;
        set_stop(t, TARGET_TRAPPED, vm, p->value ? p->value->preview : "trap");
    } else if (has_hook(p, t->hook_loaded)) {
        if (!t->changed)
            return false;
        set_stop(t, TARGET_LOADED, vm, NULL);
    } else {
        snprintf(t->text, sizeof t->text, "%s of another debugger", p->reason);
        set_stop(t, TARGET_FOREIGN, vm, t->text);
    }
    return true;
}

static const char *controller(const struct stillpoint_world *w)
{
    return w->has_controller ? w->controller.debugger
           : w->ticket       ? w->ticket->debugger
                             : "(unknown)";
}

/* The world stands and no step was made. */
static bool take_stop(struct target *t, const struct stillpoint_world *w)
{
    struct stillpoint_pause pause;
    char vm[24];
    bool shown = true;
    if (w->target != 0) {
        snprintf(vm, sizeof vm, "%" PRIu64, w->target);
        if (target_check(t, stillpoint_vm_pause(t->sp, vm, &pause), "ask for the pause") == 0) {
            bool pauses = pause.reason[0] != '\0';
            if (pauses)
                shown = take_pause(t, w->target, &pause);
            stillpoint_pause_free(&pause);
            if (pauses)
                return shown;
        }
    }
    if (strcmp(controller(w), t->debugger) == 0) {
        set_stop(t, TARGET_INTERRUPTED, 0, NULL);
        return true;
    }
    snprintf(t->text, sizeof t->text, "stopped by debugger %s", controller(w));
    set_stop(t, TARGET_FOREIGN, w->target, t->text);
    return true;
}

static bool take_step(struct target *t, const struct stillpoint_world *w)
{
    enum target_reason reason = t->step_reason;
    uint64_t thread = t->stepping, watched = target_watched(t);
    bool interrupted = t->interrupting && reason == TARGET_STEPPED;
    t->stepping = 0;
    t->step_done = false;
    /* These say more in their pause. Where that is nothing to see, a step was made all the same. */
    if (reason == TARGET_BREAKPOINT || reason == TARGET_TRAPPED || reason == TARGET_LOADED ||
        reason == TARGET_INTERRUPTED) {
        bool told = take_stop(t, w);
        if (told || t->step_on)
            return told;
        reason = t->interrupting ? TARGET_INTERRUPTED : TARGET_STEPPED;
    }
    if (reason == TARGET_ENDED && t->step_on)
        return false; /* nobody has asked for a step */
    set_stop(t, interrupted ? TARGET_INTERRUPTED : reason,
             reason == TARGET_CHANGED ? watched : thread, t->text);
    return true;
}

static bool over(struct target *t)
{
    t->stop = (struct target_stop){.reason = TARGET_OVER, .exit_code = t->exit_code};
    t->stands = true;
    return true;
}

/* It stands: is that to be told? */
static bool look(struct target *t, const struct stillpoint_world *w)
{
    target_forget(t);
    /* Whosever stop it is; else things are as they were. */
    (void)target_observe(t);
    (void)target_refresh(t);
    if (t->lost)
        return false;
    if (t->had_threads && !target_has_threads(t))
        return over(t);
    if (t->refused[0]) {
        t->stepping = 0;
        set_stop(t, TARGET_FOREIGN, w->target, t->refused);
        return true;
    }
    if (t->stepping != 0 ? take_step(t, w) : take_stop(t, w))
        return true;
    if (!t->interrupting)
        return false;
    set_stop(t, TARGET_INTERRUPTED, 0, NULL);
    return true;
}

static void stop_again(struct target *t);
static void conclude_step(struct target *t);

bool target_settle(struct target *t)
{
    struct stillpoint_worlds worlds;
    bool asked = false;
    conclude_step(t);
    stop_again(t);
    conclude_step(t);
    while (t->news && !t->lost && !t->stands && (t->stepping == 0 || t->step_done)) {
        t->news = false;
        if (t->missed_events) {
            t->missed_events = false;
            target_check_threads(t);
        }
        if (t->had_threads && !target_has_threads(t))
            return over(t);
        int r =
            target_check(t, stillpoint_world_get(t->sp, t->world, &worlds), "ask for the world");
        if (r < 0)
            return false;
        struct stillpoint_world *w = &worlds.items[0];
        /* Without a controller it is something of the daemon's own, which ends by itself. */
        bool stopped = (w->mode == STILLPOINT_MODE_STOPPED && w->has_controller) ||
                       (w->mode == STILLPOINT_MODE_STOPPING && t->missed);
        if (!stopped && t->step_done) {
            /* Somebody else has let the world go on, and then it is that which is waited for. */
            t->step_done = false;
            t->stepping = 0;
        }
        if (!stopped)
            t->refused[0] = '\0';
        bool told = stopped && look(t, w);
        bool again = t->interrupting && !asked && w->mode == STILLPOINT_MODE_RUN_ALL;
        stillpoint_worlds_free(&worlds);
        if (told)
            return true;
        if (stopped && !t->lost && (t->alone == 0 || target_resume_one(t, t->alone) < 0))
            (void)target_resume(t);
        if (again) {
            /* Whatever stood in the way has let it go on. */
            asked = true;
            (void)target_interrupt(t);
        }
    }
    return false;
}

const struct target_stop *target_stop(const struct target *t)
{
    return t->stands ? &t->stop : NULL;
}

/* ---- what is asked for */

/* Whether the world, or (`one`) a VM of it alone, runs after all. */
static bool runs(struct target *t, bool one)
{
    struct stillpoint_worlds worlds;
    if (target_check(t, stillpoint_world_get(t->sp, t->world, &worlds), "ask for the world") < 0)
        return false;
    enum stillpoint_world_mode mode = worlds.items[0].mode;
    stillpoint_worlds_free(&worlds);
    return mode == STILLPOINT_MODE_RUN_ALL || (one && mode == STILLPOINT_MODE_RUN_ONE);
}

/* What stopped it may let go of it between the refusal and our looking; and a step of ours that
 * begins to run cancels it. */
static int stop_world(struct target *t, struct stillpoint_stop_report *ret)
{
    const struct stillpoint_stop stop = {
        .world = t->world, .debugger = t->debugger, .deadline_us = TARGET_DEADLINE_US};
    int r, tries = 0;
    do
        r = target_check(t, stillpoint_world_stop(t->sp, &stop, ret), "stop the world");
    while ((r == -EBUSY || r == -ECANCELED) && ++tries < STOP_TRIES && runs(t, false));
    return r;
}

int target_interrupt(struct target *t)
{
    struct stillpoint_stop_report report;
    if (t->stands)
        return 0;
    t->interrupting = true;
    int r = stop_world(t, &report);
    t->news = true;
    if (r == -EBUSY || r == -ECANCELED)
        return 0; /* it stands, or is about to, and we will hear of that */
    if (r < 0)
        return r;
    t->missed = report.mode == STILLPOINT_MODE_STOPPING;
    stillpoint_stop_report_free(&report);
    return 0;
}

/* A stop that comes while a step is being armed ends when that begins to run. */
static void stop_again(struct target *t)
{
    if (t->interrupting && t->stepping != 0 && !t->step_done && t->news && !t->lost &&
        runs(t, true))
        (void)target_interrupt(t);
}

/* From here on nothing of the stop is known any more. */
static void go(struct target *t)
{
    target_forget(t);
    t->stands = false;
    t->step_on = t->interrupting = false;
    t->alone = 0;
    t->missed = false;
    t->refused[0] = '\0';
    t->news = true;
}

/* Why it stands yet is told as a stop is; where it runs already there is nothing to tell. */
static int refuse(struct target *t, int r)
{
    if (r < 0 && !t->lost)
        snprintf(t->refused, sizeof t->refused, "%s", t->error);
    return t->lost ? r : 0;
}

static int run_by_steps(struct target *t, bool others_run);

int target_resume(struct target *t)
{
    struct stillpoint_resumption resumption;
    if (target_watched(t) != 0)
        return run_by_steps(t, true);
    go(t);
    int r = target_check(t, stillpoint_world_resume(t->sp, t->world, &resumption),
                         "let the world go on");
    if (r == 0)
        stillpoint_resumption_free(&resumption);
    return refuse(t, r);
}

int target_resume_one(struct target *t, uint64_t thread)
{
    struct thread *th = target_thread(t, thread);
    struct stillpoint_continuation continuation;
    if (!th)
        return target_fail(t, -ENOENT, "there is no such thread");
    if (target_watched(t) == thread)
        return run_by_steps(t, false);
    const struct stillpoint_continue what = {.vm = th->vm, .only = true};
    go(t);
    t->alone = thread;
    int r =
        target_check(t, stillpoint_vm_continue(t->sp, &what, &continuation), "let the VM go on");
    if (r == 0)
        stillpoint_continuation_free(&continuation);
    return refuse(t, r);
}

/* ---- steps */

static const struct {
    const char *word;
    enum target_reason reason;
} step_ends[] = {
    {"step", TARGET_STEPPED},        {"breakpoint", TARGET_BREAKPOINT},
    {"exception", TARGET_TRAPPED},   {"hook", TARGET_LOADED},
    {"ended", TARGET_ENDED},         {"stopped", TARGET_INTERRUPTED},
    {"resumed", TARGET_INTERRUPTED}, {"debugger-statement", TARGET_INTERRUPTED},
};

static int begin_step(struct target *t, enum stillpoint_step_how how);

/* What is no WebAssembly is left, as long as that leads back to some. */
static bool leaves_script(struct target *t)
{
    const struct target_frame *frames;
    size_t n;
    if (target_stack(t, t->stepping, &frames, &n) < 0)
        return false;
    for (size_t i = 1; i < n; i++)
        if (frames[i].instance != 0)
            return begin_step(t, STILLPOINT_STEP_OUT) == 0;
    return false;
}

/* Whether the step has changed something that is watched: that is why it has ended, then. */
static bool has_changed(struct target *t)
{
    uint64_t asked;
    if (!target_watch_changed(t, &asked))
        return false;
    snprintf(t->text, sizeof t->text, "%" PRIu64, asked);
    t->step_reason = TARGET_CHANGED;
    return true;
}

static bool steps_on(struct target *t)
{
    if (begin_step(t, STILLPOINT_STEP_IN) == 0)
        return true;
    snprintf(t->text, sizeof t->text, "%s", t->error);
    t->step_reason = TARGET_FOREIGN;
    return false;
}

/* Not in the callback: nothing may be asked there while something else is. */
static void conclude_step(struct target *t)
{
    if (!t->step_said || t->lost)
        return;
    t->step_said = false;
    target_forget(t);
    bool goes_on = false;
    if (t->step_whole && t->step_script && !t->step_on)
        goes_on = !t->interrupting && leaves_script(t);
    if (t->step_whole && !goes_on && !has_changed(t) && t->step_on && !t->interrupting)
        goes_on = steps_on(t);
    t->step_done = !goes_on;
}

static void on_stepped(struct stillpoint *sp, int r, const struct stillpoint_stepped *s, void *data)
{
    struct target *t = data;
    (void)sp;
    t->news = t->step_said = true;
    t->step_whole = t->step_script = false;
    t->text[0] = '\0';
    if (r != 0) {
        const struct thread *th = target_thread(t, t->stepping);
        bool ended = target_check(t, r, "step") == -ENOENT || !th || th->ended;
        snprintf(t->text, sizeof t->text, "%s", t->error);
        t->step_reason = ended ? TARGET_ENDED : TARGET_FOREIGN;
        return;
    }
    t->step_reason = TARGET_STEPPED; /* idle, blocked, deadline */
    for (size_t i = 0; i < sizeof step_ends / sizeof *step_ends; i++)
        if (strcmp(s->reason, step_ends[i].word) == 0)
            t->step_reason = step_ends[i].reason;
    t->step_whole = strcmp(s->reason, "step") == 0;
    t->step_script = s->frame && strcmp(s->frame->kind, "wasm") != 0;
    if (t->step_reason == TARGET_STEPPED && !t->step_whole)
        snprintf(t->text, sizeof t->text, "step ended: %s", s->reason);
}

/* Each operation of WebAssembly begins a statement. What is none can change its memory too, but how
 * the engine divides its statements is nothing to wait for. */
static int begin_step(struct target *t, enum stillpoint_step_how how)
{
    struct thread *th = target_thread(t, t->stepping);
    if (!th)
        return target_fail(t, -ENOENT, "there is no such thread");
    const struct stillpoint_step step = {
        .vm = th->vm,
        .how = how,
        .granularity =
            t->step_on ? STILLPOINT_GRANULARITY_STATEMENT : STILLPOINT_GRANULARITY_OPERATION,
        .others = t->step_others ? STILLPOINT_STEP_OTHERS_RUN : STILLPOINT_STEP_OTHERS_HOLD};
    return target_check(t, stillpoint_vm_step_async(t->sp, &step, on_stepped, t), "step");
}

static int step(struct target *t, uint64_t thread, bool others_run)
{
    t->stepping = thread;
    t->step_others = others_run;
    t->step_said = t->step_done = false;
    int r = begin_step(t, STILLPOINT_STEP_IN);
    if (r < 0)
        t->stepping = 0;
    return refuse(t, r);
}

int target_step(struct target *t, uint64_t thread, bool others_run)
{
    if (!target_thread(t, thread))
        return target_fail(t, -ENOENT, "there is no such thread");
    go(t);
    return step(t, thread, others_run);
}

/* The thread whose memory is watched, until that changes. What has changed in a step that ended
 * otherwise is told now. */
static int run_by_steps(struct target *t, bool others_run)
{
    uint64_t thread = target_watched(t);
    go(t);
    if (!has_changed(t)) {
        t->step_on = true;
        return step(t, thread, others_run);
    }
    t->stepping = thread;
    t->step_done = true;
    return 0;
}

int target_refuse(struct target *t, const char *why)
{
    if (t->stands)
        set_stop(t, TARGET_FOREIGN, t->stop.thread, why);
    return target_fail(t, -EINVAL, "%s", why);
}

int target_kill(struct target *t)
{
    int r = 0;
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i]->wasm) {
            int k = target_check(t, stillpoint_vm_kill(t->sp, t->threads[i]->vm), "end the VM");
            if (k < 0 && k != -ENOENT && k != -EBUSY && r == 0)
                r = k;
        }
    return r;
}

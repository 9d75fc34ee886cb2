#include "cli/debug_session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/select.h"
#include "cli/show.h"

#define LINES_AROUND 3

/* ---- what happens meanwhile */

static void event_arrived(struct stillpoint *sp, const struct stillpoint_event *e, void *data)
{
    struct debug *d = data;
    (void)sp;
    d->look = true;
    if (e->kind != STILLPOINT_EVENT_VM_ENDED || !d->target.vm || e->vm != d->target.vm->id)
        return;
    d->ended = true;
    print_line("%s (%" PRIu64 ") has ended: %s %" PRIu32 "%s%s", d->target.vm->name, e->vm,
               e->exit ? stillpoint_exit_reason_text(e->exit->reason) : "unknown",
               e->exit ? e->exit->code : 0, e->detail ? ": " : "", e->detail ? e->detail : "");
}

static int take_events(struct debug *d)
{
    return stillpoint_dispatch(d->cli->sp);
}

static void forget_vm(struct debug *d)
{
    target_done(&d->target);
    d->target = (struct target){0};
    d->frame = 0;
    d->list_line = 0;
    d->ended = false;
}

static int set_vm(struct debug *d, const char *vm)
{
    struct target t = {0};
    int r = stillpoint_vm_get(d->cli->sp, vm, &t.vms);
    if (r != 0)
        return cli_fail_call(d->cli, r, "debug %s", vm);
    t.vm = &t.vms.items[0];
    selection_id(t.vm, t.id);
    forget_vm(d);
    d->target = t;
    d->target.vm = &d->target.vms.items[0];
    return 0;
}

/* The world's target may be another VM now: the one that has stopped it. */
static int follow_target(struct debug *d, uint64_t target)
{
    char id[24];
    if (target == 0 || (d->target.vm && d->target.vm->id == target))
        return 0;
    snprintf(id, sizeof id, "%" PRIu64, target);
    int code = set_vm(d, id);
    if (code == 0 && d->target.vm)
        print_line("now at %s (%" PRIu64 ")", d->target.vm->name, target);
    return code;
}

/* Whether the world stands by us; *ret_target is the VM that made it so. */
static int ask_world(struct debug *d, uint64_t *ret_target)
{
    struct stillpoint_worlds worlds;
    d->look = false; /* before: what happens after the answer may come with it */
    int r = stillpoint_world_get(d->cli->sp, d->world, &worlds);
    if (r != 0) {
        d->stopped = false;
        return cli_fail_call(d->cli, r, "look at world %s", d->world);
    }
    const struct stillpoint_world *w = &worlds.items[0];
    d->stopped = w->mode == STILLPOINT_MODE_STOPPED && w->has_controller &&
                 strcmp(w->controller.debugger, d->debugger) == 0;
    *ret_target = w->target;
    stillpoint_worlds_free(&worlds);
    return 0;
}

/* ---- stopping and going on */

int debug_stop(struct debug *d)
{
    struct stillpoint_worlds worlds;
    struct stillpoint_stop_report report;
    const struct stillpoint_stop stop = {.world = d->world, .debugger = d->debugger};
    const struct stillpoint_lease lease = {.world = d->world, .debugger = d->debugger};
    struct stillpoint *sp = d->cli->sp;
    int r = stillpoint_world_get(sp, d->world, &worlds);
    if (r != 0)
        return cli_fail_call(d->cli, r, "stop world %s", d->world);
    const struct stillpoint_world *w = &worlds.items[0];
    bool ours = w->has_controller && strcmp(w->controller.debugger, d->debugger) == 0;
    bool stands = w->mode == STILLPOINT_MODE_STOPPED;
    bool others = w->has_controller && !ours;
    stillpoint_worlds_free(&worlds);
    if (others) {
        r = stillpoint_lease_take(sp, &lease, &worlds);
        if (r != 0)
            return cli_fail_call(d->cli, r, "take world %s", d->world);
        stands = worlds.items[0].mode == STILLPOINT_MODE_STOPPED;
        stillpoint_worlds_free(&worlds);
    }
    if (!stands) {
        r = stillpoint_world_stop(sp, &stop, &report);
        if (r != 0)
            return cli_fail_call(d->cli, r, "stop world %s", d->world);
        if (report.n_missing > 0)
            print_line("%zu of its VMs did not arrive ('stillctl list' shows them)",
                       report.n_missing);
        stillpoint_stop_report_free(&report);
    }
    d->stopped = true;
    return CLI_OK;
}

/* Whether somebody wants it to stop: 0, SIGINT, SIGTERM; or the connection's errno. */
static int wait_once(struct debug *d)
{
    struct signalfd_siginfo info;
    struct stillpoint *sp = d->cli->sp;
    struct pollfd p[] = {
        {.fd = stillpoint_fd(sp), .events = stillpoint_poll_events(sp)},
        {.fd = d->signal_fd, .events = POLLIN},
    };
    if (poll(p, 2, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    if (read(d->signal_fd, &info, sizeof info) == sizeof info)
        return (int)info.ssi_signo;
    return stillpoint_dispatch(sp);
}

/* Until the world stands, the VM has ended, or the connection has. Ctrl-C stops the world. */
static int wait_for_stop(struct debug *d)
{
    uint64_t target = 0;
    int code = CLI_OK;
    d->look = true;
    while (code == CLI_OK && !d->stopped) {
        int came = 0;
        if (d->look) {
            code = ask_world(d, &target);
            continue;
        }
        if (d->ended)
            return CLI_OK;
        if (!print_flush())
            return DEBUG_QUIT;
        came = wait_once(d);
        if (came < 0)
            return cli_fail_call(d->cli, came, "wait for world %s", d->world);
        if (came == SIGTERM)
            return DEBUG_QUIT;
        if (came == SIGINT)
            code = debug_stop(d);
    }
    return code != CLI_OK ? code : follow_target(d, target);
}

int debug_run(struct debug *d)
{
    if (!d->ended && d->is_tty)
        print_line("running; Ctrl-C stops it");
    int code = wait_for_stop(d);
    return code == CLI_OK && d->stopped ? debug_show_place(d) : code;
}

int debug_continue(struct debug *d, enum stillpoint_pause_answer answer, const char *expression)
{
    struct stillpoint_continuation c;
    struct stillpoint_resumption resumption;
    int r;
    if (d->target.vm && !d->ended) {
        const struct stillpoint_continue what = {
            .vm = d->target.id, .answer = answer, .answer_expression = expression};
        r = stillpoint_vm_continue(d->cli->sp, &what, &c);
        if (r == 0)
            stillpoint_continuation_free(&c);
    } else {
        r = stillpoint_world_resume(d->cli->sp, d->world, &resumption);
        if (r == 0)
            stillpoint_resumption_free(&resumption);
    }
    if (r != 0)
        return cli_fail_call(d->cli, r, "go on");
    d->stopped = false;
    d->frame = 0;
    return debug_run(d);
}

static void step_ended(struct stillpoint *sp, int r, const struct stillpoint_stepped *s, void *data)
{
    struct debug *d = data;
    (void)sp;
    d->stepping = false;
    d->step_r = r;
    snprintf(d->step_reason, sizeof d->step_reason, "%s", r == 0 ? s->reason : "");
}

int debug_step(struct debug *d, struct stillpoint_step *step)
{
    struct stillpoint_stop_report report;
    const struct stillpoint_stop stop = {.world = d->world, .debugger = d->debugger};
    step->vm = d->target.id;
    d->stepping = true;
    int r = stillpoint_vm_step_async(d->cli->sp, step, step_ended, d);
    while (r == 0 && d->stepping) {
        int came = print_flush() ? wait_once(d) : SIGTERM;
        if (came == SIGTERM)
            return DEBUG_QUIT;
        if (came == SIGINT && stillpoint_world_stop(d->cli->sp, &stop, &report) == 0)
            stillpoint_stop_report_free(&report);
        r = came < 0 ? came : 0;
    }
    if (r == 0)
        r = d->step_r;
    if (r != 0)
        return cli_fail_call(d->cli, r, "step %s", d->target.vm->name);
    d->frame = 0;
    d->stopped = false;
    /* That it has nothing to do is said where its place is shown. */
    if (strcmp(d->step_reason, "step") != 0 && strcmp(d->step_reason, "idle") != 0 && !d->ended)
        print_line("%s", d->step_reason);
    int code = wait_for_stop(d);
    return code == CLI_OK && d->stopped && !d->ended ? debug_show_place(d) : code;
}

/* ---- where it stands */

bool debug_frame(struct debug *d, struct stillpoint_frames *ret_frames)
{
    if (!d->target.vm || d->ended) {
        cli_fail(d->cli, CLI_NO_OBJECT, "do that: there is no VM here (choose one: vm NAME)");
        return false;
    }
    int r = stillpoint_vm_frames(d->cli->sp, d->target.id, d->frame, 1, ret_frames);
    if (r != 0) {
        cli_fail_call(d->cli, r, "show frame %" PRIu32 " of %s", d->frame, d->target.vm->name);
        return false;
    }
    if (ret_frames->n > 0)
        return true;
    stillpoint_frames_free(ret_frames);
    return false;
}

static void show_pause(struct debug *d)
{
    struct stillpoint_pause pause;
    struct print_text text = {0};
    if (stillpoint_vm_pause(d->cli->sp, d->target.id, &pause) != 0)
        return;
    if (pause.reason[0] && strcmp(pause.reason, "step") != 0) {
        for (size_t i = 0; i < pause.n_hooks; i++)
            print_add(&text, "%s%" PRIu64, i ? ", " : " ", pause.hooks[i]);
        if (pause.value) {
            print_add(&text, ": ");
            show_add_value(&text, pause.value);
        }
        print_line("%s%s", pause.reason, text.text);
    }
    stillpoint_pause_free(&pause);
}

int debug_show_place(struct debug *d)
{
    struct stillpoint_frames frames;
    struct show_source source;
    if (!d->target.vm || d->ended)
        return CLI_OK;
    if (d->frame == 0)
        show_pause(d);
    if (!debug_frame(d, &frames)) {
        take_events(d);
        if (d->ended)
            return CLI_NO_OBJECT;
        print_line("%s (%" PRIu64 ") waits for something to do", d->target.vm->name,
                   d->target.vm->id);
        return CLI_OK;
    }
    const struct stillpoint_frame *f = &frames.items[0];
    show_frame(f);
    d->list_line = 0;
    if (f->url[0] && f->line != 0 &&
        show_source_read(d->cli->sp, d->target.id, f->url, &source) == 0) {
        uint32_t from = f->line > LINES_AROUND ? f->line - LINES_AROUND : 1;
        show_source_lines(d->cli, &source, from, f->line + LINES_AROUND, f->line);
        show_source_done(&source);
    }
    stillpoint_frames_free(&frames);
    return CLI_OK;
}

/* One that is held, idle or blocked, has to be brought to its gate first: looking at it does that.
 * One that does not come there is talked about all the same. */
static int make_target(struct debug *d)
{
    struct stillpoint *sp = d->cli->sp;
    struct stillpoint_worlds worlds;
    struct stillpoint_frames frames;
    int r = stillpoint_world_target(sp, d->target.id, &worlds);
    if (r == STILLPOINT_REFUSED && stillpoint_error(sp)->code == STILLPOINT_ERROR_WRONG_STATE) {
        if (stillpoint_vm_frames(sp, d->target.id, 0, 1, &frames) == 0)
            stillpoint_frames_free(&frames);
        r = stillpoint_world_target(sp, d->target.id, &worlds);
        if (r == STILLPOINT_REFUSED && stillpoint_error(sp)->code == STILLPOINT_ERROR_WRONG_STATE)
            return 0;
    }
    if (r != 0)
        return cli_fail_call(d->cli, r, "make %s the target", d->target.vm->name);
    stillpoint_worlds_free(&worlds);
    return 0;
}

int debug_switch(struct debug *d, const char *vm)
{
    int code = set_vm(d, vm);
    if (code != 0)
        return code;
    if (strcmp(d->target.vm->world, d->world) != 0) {
        code = cli_fail(d->cli, CLI_NO_OBJECT, "switch to %s: it is in world %s, not in %s",
                        d->target.vm->name, d->target.vm->world, d->world);
        forget_vm(d);
        return code;
    }
    return d->stopped ? make_target(d) : CLI_OK;
}

int debug_catch_up(struct debug *d)
{
    uint64_t target;
    int r = take_events(d);
    if (r < 0)
        return cli_fail_call(d->cli, r, "go on");
    if (d->look && d->stopped)
        ask_world(d, &target);
    return CLI_OK;
}

/* ---- its beginning and its end */

static int open_debugger(struct debug *d, const char *debugger)
{
    struct stillpoint_debuggers opened;
    char note[STILLPOINT_NAME_BYTES + 32];
    snprintf(note, sizeof note, "stillctl debug %s", d->target.vm->name);
    if (debugger)
        snprintf(d->debugger, sizeof d->debugger, "%s", debugger);
    else
        snprintf(d->debugger, sizeof d->debugger, "debug-%ld", (long)getpid());
    d->own = !debugger;
    int r = stillpoint_debugger_open(d->cli->sp, d->debugger, d->own ? note : NULL,
                                     d->own ? "resume" : NULL, &opened);
    if (r != 0)
        return cli_fail_call(d->cli, r, "open debugger %s", d->debugger);
    stillpoint_debuggers_free(&opened);
    return 0;
}

static int follow_events(struct debug *d)
{
    static const enum stillpoint_event_kind kinds[] = {
        STILLPOINT_EVENT_VM_ENDED,       STILLPOINT_EVENT_WORLD_STOPPED,
        STILLPOINT_EVENT_WORLD_RESUMED,  STILLPOINT_EVENT_VM_PAUSED,
        STILLPOINT_EVENT_TARGET_CHANGED, STILLPOINT_EVENT_LEASE_CHANGED,
        STILLPOINT_EVENT_WORLD_RUN_ONE};
    const struct stillpoint_subscription subscription = {.kinds = kinds,
                                                         .n_kinds = sizeof kinds / sizeof *kinds};
    const struct stillpoint_handlers handlers = {.event = event_arrived, .data = d};
    uint64_t last_seq;
    stillpoint_set_handlers(d->cli->sp, &handlers);
    int r = stillpoint_subscribe(d->cli->sp, &subscription, &last_seq);
    return r != 0 ? cli_fail_call(d->cli, r, "follow events") : 0;
}

int debug_begin(struct debug *d, const char *debugger)
{
    snprintf(d->world, sizeof d->world, "%s", d->target.vm->world);
    d->signal_fd = cli_take_signals();
    if (d->signal_fd < 0)
        return cli_fail(d->cli, CLI_FAILED, "take signals: %s", strerror(-d->signal_fd));
    int code = open_debugger(d, debugger);
    if (code == 0)
        code = follow_events(d);
    if (code == 0)
        code = debug_stop(d);
    return code == 0 ? debug_switch(d, d->target.id) : code;
}

void debug_end(struct debug *d)
{
    struct stillpoint_hooks removed;
    /* Its hooks would keep the debugger. */
    if (d->own && stillpoint_hook_remove(d->cli->sp, NULL, 0, d->debugger, &removed) == 0)
        stillpoint_hooks_free(&removed);
    /* A step that is still waited for ends with the connection, and looks for `d` then. */
    d->cli->sp = stillpoint_free(d->cli->sp);
    if (d->signal_fd >= 0)
        close(d->signal_fd);
}

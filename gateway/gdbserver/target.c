#include "gateway/gdbserver/target_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int target_fail(struct target *t, int r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->error, sizeof t->error, format, args);
    va_end(args);
    return r;
}

static int errno_of(enum stillpoint_error_code code)
{
    switch (code) {
    case STILLPOINT_ERROR_NOT_FOUND:
        return -ENOENT;
    case STILLPOINT_ERROR_INVALID_ARGUMENT:
        return -EINVAL;
    case STILLPOINT_ERROR_WRONG_STATE:
        return -EBUSY;
    case STILLPOINT_ERROR_PERMISSION_DENIED:
        return -EACCES;
    case STILLPOINT_ERROR_UNSUPPORTED:
        return -EOPNOTSUPP;
    case STILLPOINT_ERROR_CANCELLED:
        return -ECANCELED;
    default:
        return -EIO;
    }
}

int target_check(struct target *t, int r, const char *what)
{
    if (r == 0)
        return 0;
    if (r == STILLPOINT_REFUSED) {
        const struct stillpoint_error *e = stillpoint_error(t->sp);
        return target_fail(t, errno_of(e->code), "cannot %s: %s", what, e->message);
    }
    /* A request that was never sent; anything else has ended the connection. */
    if (r == -EINVAL || r == -ENOMEM || r == -E2BIG || r == -EMSGSIZE)
        return target_fail(t, r, "cannot %s: %s", what, strerror(-r));
    t->lost = true;
    return target_fail(t, r, "cannot %s: the daemon is gone: %s", what, strerror(-r));
}

const char *target_error(const struct target *t)
{
    return t->error;
}

bool target_is_lost(const struct target *t)
{
    return t->lost;
}

/* ---- events */

static void on_ended(struct target *t, const struct stillpoint_event *e)
{
    struct thread *th = target_thread(t, e->vm);
    if (!th)
        return;
    th->ended = true;
    t->exit_code = e->exit ? e->exit->code : 0;
}

static void on_event(struct stillpoint *sp, const struct stillpoint_event *e, void *data)
{
    struct target *t = data;
    (void)sp;
    if (e->dropped != 0) {
        t->news = t->missed_events = true;
        return;
    }
    switch (e->kind) {
    case STILLPOINT_EVENT_VM_ENDED:
        on_ended(t, e);
        break;
    case STILLPOINT_EVENT_DEBUGGER_CLOSED:
        if (!e->name || strcmp(e->name, t->debugger) != 0)
            return;
        t->lost = true;
        (void)target_fail(t, -ECONNRESET, "debugger %s was closed", t->debugger);
        break;
    case STILLPOINT_EVENT_WORLD_RESUMED:
    case STILLPOINT_EVENT_WORLD_RUN_ONE:
        if (e->world && strcmp(e->world, t->world) == 0)
            target_forget(t);
        break;
    default:
        break;
    }
    t->news = true;
}

static int subscribe(struct target *t)
{
    static const enum stillpoint_event_kind kinds[] = {
        STILLPOINT_EVENT_VM_BORN,       STILLPOINT_EVENT_VM_ENDED,
        STILLPOINT_EVENT_WORLD_STOPPED, STILLPOINT_EVENT_WORLD_RESUMED,
        STILLPOINT_EVENT_WORLD_RUN_ONE, STILLPOINT_EVENT_TARGET_CHANGED,
        STILLPOINT_EVENT_VM_PAUSED,     STILLPOINT_EVENT_DEBUGGER_CLOSED,
    };
    const struct stillpoint_subscription subscription = {.kinds = kinds,
                                                         .n_kinds = sizeof kinds / sizeof *kinds};
    const struct stillpoint_handlers handlers = {.event = on_event, .data = t};
    uint64_t last_seq;
    stillpoint_set_handlers(t->sp, &handlers);
    return target_check(t, stillpoint_subscribe(t->sp, &subscription, &last_seq),
                        "subscribe to events");
}

int target_fd(const struct target *t)
{
    return stillpoint_fd(t->sp);
}

short target_events(const struct target *t)
{
    return stillpoint_poll_events(t->sp);
}

int target_dispatch(struct target *t)
{
    return target_check(t, stillpoint_dispatch(t->sp), "hear from the daemon");
}

/* ---- life */

static int copy_text(struct target *t, const char *text, char **ret)
{
    *ret = strdup(text);
    return *ret ? 0 : target_fail(t, -ENOMEM, "out of memory");
}

/* The world is that of the VM, if there is one. */
static int take_options(struct target *t, const struct target_options *o)
{
    struct stillpoint_vms vms;
    char id[24];
    int r = copy_text(t, o->policy ? o->policy : "resume", &t->policy);
    if (r < 0)
        return r;
    if (!o->vm) {
        struct stillpoint_worlds worlds;
        r = copy_text(t, o->world ? o->world : "default", &t->world);
        if (r == 0)
            r = target_check(t, stillpoint_world_get(t->sp, t->world, &worlds), "find the world");
        if (r == 0)
            stillpoint_worlds_free(&worlds);
        return r;
    }
    r = target_check(t, stillpoint_vm_get(t->sp, o->vm, &vms), "find the VM");
    if (r < 0)
        return r;
    snprintf(id, sizeof id, "%" PRIu64, vms.items[0].id);
    if (vms.items[0].has_exit)
        r = target_fail(t, -ENOENT, "VM %s has ended", o->vm);
    else if (o->world && strcmp(o->world, vms.items[0].world) != 0)
        r = target_fail(t, -EINVAL, "VM %s is in world %s", o->vm, vms.items[0].world);
    else
        r = copy_text(t, id, &t->only);
    if (r == 0)
        r = copy_text(t, vms.items[0].world, &t->world);
    stillpoint_vms_free(&vms);
    return r;
}

static const char note[] = "stillpoint-gdbserver";

static void remove_hooks(struct target *t, const char *debugger)
{
    struct stillpoint_hooks removed;
    int r = stillpoint_hook_remove(t->sp, NULL, 0, debugger, &removed);
    if (target_check(t, r, "remove hooks") == 0)
        stillpoint_hooks_free(&removed);
}

/* What gateways have left that were killed: their hooks are there, and where the policy is to hold
 * they pause VMs as before. A world that is held so stays so. */
static void close_left_over(struct target *t)
{
    struct stillpoint_debuggers list;
    if (target_check(t, stillpoint_debugger_list(t->sp, &list), "list the debuggers") < 0)
        return;
    for (size_t i = 0; i < list.n && !t->lost; i++) {
        const struct stillpoint_debugger *d = &list.items[i];
        if (d->open || strcmp(d->note, note) != 0 || d->owner_uid != stillpoint_peer(t->sp)->uid)
            continue;
        if (d->n_worlds > 0)
            remove_hooks(t, d->name);
        else
            (void)target_check(t, stillpoint_debugger_close(t->sp, d->name),
                               "close what was left over");
    }
    stillpoint_debuggers_free(&list);
}

static int open_debugger(struct target *t)
{
    static unsigned opened;
    struct stillpoint_debuggers list;
    snprintf(t->debugger, sizeof t->debugger, "lldb-%d-%u", (int)getpid(), ++opened);
    int r = target_check(t, stillpoint_debugger_open(t->sp, t->debugger, note, t->policy, &list),
                         "open a debugger");
    if (r == 0)
        stillpoint_debuggers_free(&list);
    return r;
}

static int start(struct target *t, const struct target_options *o)
{
    int r = stillpoint_connect(o->socket, "stillpoint-gdbserver " STILLPOINT_VERSION, &t->sp);
    if (r != 0)
        return target_check(t, r, "connect");
    r = take_options(t, o);
    if (r == 0)
        r = subscribe(t);
    if (r < 0)
        return r;
    close_left_over(t);
    return t->lost ? -ECONNRESET : open_debugger(t);
}

int target_new(const struct target_options *options, struct target **ret, char *error, size_t size)
{
    struct target *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->nobody.seen = (struct target_thread){TARGET_NO_VM, "(no VM with WebAssembly)"};
    t->nobody.has_stack = true;
    int r = start(t, options);
    if (r < 0) {
        snprintf(error, size, "%s", t->error);
        target_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

/* Hooks would outlive the connection, and the stop as well if the policy is to hold. */
static void let_go(struct target *t)
{
    if (strcmp(t->policy, "hold") != 0)
        (void)stillpoint_debugger_close(t->sp, t->debugger);
    else
        remove_hooks(t, t->debugger);
}

struct target *target_free(struct target *t)
{
    if (!t)
        return NULL;
    if (t->sp && t->debugger[0] && !t->lost)
        let_go(t);
    target_free_world(t);
    stillpoint_free(t->sp);
    free(t->breakpoints);
    free(t->world);
    free(t->only);
    free(t->policy);
    free(t);
    return NULL;
}

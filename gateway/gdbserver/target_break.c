/* Breakpoints, and the hooks that tell of traps and of modules that are loaded. */
#include "gateway/gdbserver/target_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct breakpoint *find(const struct target *t, uint64_t asked)
{
    for (size_t i = 0; i < t->n_breakpoints; i++)
        if (t->breakpoints[i].asked == asked)
            return &t->breakpoints[i];
    return NULL;
}

static void drop(struct target *t, struct breakpoint *b)
{
    *b = t->breakpoints[--t->n_breakpoints];
}

void target_end_breakpoints(struct target *t, const struct instance *in)
{
    for (size_t i = t->n_breakpoints; i-- > 0;)
        if (address_instance(t->breakpoints[i].asked) == in->seen.id) {
            uint64_t hook = t->breakpoints[i].hook;
            struct stillpoint_hooks removed;
            drop(t, &t->breakpoints[i]);
            /* Of a VM that has ended it went with that. */
            if (target_thread(t, in->seen.thread) &&
                stillpoint_hook_remove(t->sp, &hook, 1, NULL, &removed) == 0)
                stillpoint_hooks_free(&removed);
        }
}

uint32_t target_hook_instance(const struct target *t, uint64_t hook)
{
    for (size_t i = 0; i < t->n_breakpoints; i++)
        if (t->breakpoints[i].hook == hook)
            return address_instance(t->breakpoints[i].asked);
    return 0;
}

uint64_t target_asked(const struct target *t, uint64_t pc)
{
    uint64_t asked = pc;
    for (size_t i = 0; i < t->n_breakpoints; i++) {
        if (t->breakpoints[i].asked == pc)
            return pc;
        if (t->breakpoints[i].bound == pc)
            asked = t->breakpoints[i].asked;
    }
    return asked;
}

static int add_hook(struct target *t, const struct thread *th, const struct instance *in,
                    struct breakpoint *b)
{
    static const enum stillpoint_hook_kind kinds[] = {STILLPOINT_HOOK_BREAKPOINT};
    const struct stillpoint_position at = {
        .url = in->url, .has_offset = true, .offset = address_offset(b->asked)};
    const struct stillpoint_interest interest = {.debugger = t->debugger,
                                                 .vm = th->vm,
                                                 .kinds = kinds,
                                                 .n_kinds = 1,
                                                 .suspend = STILLPOINT_SUSPEND_WORLD,
                                                 .deadline_us = TARGET_DEADLINE_US,
                                                 .budget = {.has_per_second = true},
                                                 .at = &at};
    struct stillpoint_hooks hooks;
    int r = target_check(t, stillpoint_hook_add(t->sp, &interest, &hooks), "set the breakpoint");
    if (r < 0)
        return r;
    if (hooks.n > 0) {
        const struct stillpoint_hook *hook = &hooks.items[0];
        b->hook = hook->id;
        if (hook->n_bound > 0 && hook->bound[0].has_offset && !hook->bound[0].pending &&
            hook->bound[0].offset <= UINT32_MAX)
            b->bound = address_make(ADDRESS_CODE, in->seen.id, (uint32_t)hook->bound[0].offset);
    }
    stillpoint_hooks_free(&hooks);
    return 0;
}

/* Where a module was not understood the engine says. */
static bool is_behind_code(struct target *t, struct instance *in, uint64_t address)
{
    uint64_t start, end;
    if (target_image(t, in) < 0 || !in->image->module)
        return false;
    wasm_module_code(in->image->module, &start, &end);
    return address_offset(address) >= end;
}

int target_set_breakpoint(struct target *t, uint64_t address)
{
    struct instance *in = target_instance(t, address_instance(address));
    if (!address_is(address, ADDRESS_CODE) || !in || is_behind_code(t, in, address))
        return target_fail(t, -ENOENT, "there is no code at this address");
    if (find(t, address))
        return 0;
    if (t->n_breakpoints >= TARGET_MOST_BREAKPOINTS)
        return target_fail(t, -ENOSPC, "too many breakpoints");
    if (t->n_breakpoints == t->size_breakpoints) {
        size_t size = t->size_breakpoints ? 2 * t->size_breakpoints : 16;
        struct breakpoint *grown = reallocarray(t->breakpoints, size, sizeof *grown);
        if (!grown)
            return target_fail(t, -ENOMEM, "out of memory");
        t->breakpoints = grown;
        t->size_breakpoints = size;
    }
    struct thread *th = target_thread(t, in->seen.thread);
    if (!th)
        return target_fail(t, -ENOENT, "its VM has ended");
    struct breakpoint b = {.asked = address, .bound = address};
    int r = add_hook(t, th, in, &b);
    if (r == 0)
        t->breakpoints[t->n_breakpoints++] = b;
    return r;
}

int target_clear_breakpoint(struct target *t, uint64_t address)
{
    struct breakpoint *b = find(t, address);
    struct stillpoint_hooks removed;
    if (!b)
        return target_fail(t, -ENOENT, "there is no breakpoint at this address");
    uint64_t hook = b->hook;
    int r = target_check(t, stillpoint_hook_remove(t->sp, &hook, 1, NULL, &removed),
                         "clear the breakpoint");
    if (r == 0)
        stillpoint_hooks_free(&removed);
    else if (r != -ENOENT)
        return r;
    drop(t, find(t, address));
    return 0;
}

/* ---- what is always observed */

static int observe(struct target *t, enum stillpoint_hook_kind kind,
                   const struct stillpoint_hook_filter *filter, uint64_t *ret_hook)
{
    const struct stillpoint_interest interest = {.debugger = t->debugger,
                                                 .vm = t->only,
                                                 .world = t->only ? NULL : t->world,
                                                 .kinds = &kind,
                                                 .n_kinds = 1,
                                                 .filter = *filter,
                                                 .budget = {.has_per_second = true},
                                                 .suspend = STILLPOINT_SUSPEND_WORLD,
                                                 .deadline_us = TARGET_DEADLINE_US};
    struct stillpoint_hooks hooks;
    if (*ret_hook != 0)
        return 0;
    int r = target_check(t, stillpoint_hook_add(t->sp, &interest, &hooks), "observe the VMs");
    if (r < 0)
        return r;
    if (hooks.n > 0)
        *ret_hook = hooks.items[0].id;
    stillpoint_hooks_free(&hooks);
    return 0;
}

int target_observe(struct target *t)
{
    const struct stillpoint_hook_filter loaded = {.wasm = true},
                                        traps = {.wasm = true, .thrown = true};
    int r = observe(t, STILLPOINT_HOOK_NEW_SCRIPT, &loaded, &t->hook_loaded);
    return r == 0 ? observe(t, STILLPOINT_HOOK_EXCEPTION_UNWIND, &traps, &t->hook_traps) : r;
}

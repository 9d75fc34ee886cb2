#include "daemon/api_unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/act_log.h"
#include "daemon/api_birth.h"
#include "daemon/registry.h"
#include "daemon/vm_message.h"
#include "daemon/vm_units.h"

/* Bytes of units in one page, if there is more than one: well below a frame. */
#define PAGE_BYTES (LIMIT_FRAME_BYTES / 2)

typedef Stillpoint__Api__Envelope Envelope;

/* ---- as they are shown */

struct unit_message {
    Stillpoint__Api__Unit unit;
    Stillpoint__Api__Limits limits;
};

static void fill_file(struct unit_message *m, const struct vm_unit *file)
{
    Stillpoint__Api__Unit *u = &m->unit;
    u->program = file->program;
    u->args = file->argv;
    u->n_args = file->argc;
    u->world = file->world;
    u->engine = file->engine;
    u->labels = file->labels;
    u->n_labels = file->n_labels;
    vm_message_fill_limits(&m->limits, &file->limits);
    u->limits = &m->limits;
    API_SET(u, restart, (Stillpoint__Api__UnitRestart)file->restart);
    API_SET(u, restart_delay_us, file->delay_us);
    API_SET(u, restart_delay_max_us, file->delay_max_us);
    API_SET(u, restart_attempts, file->attempts);
    API_SET(u, restart_reset_us, file->reset_us);
}

static void fill(struct unit_message *m, const struct vm_units_item *unit)
{
    Stillpoint__Api__Unit *u = &m->unit;
    stillpoint__api__unit__init(u);
    u->name = API_TEXT(unit->name);
    u->path = unit->path;
    API_SET(u, enabled, unit->enabled);
    API_SET(u, state, (Stillpoint__Api__UnitState)unit->state);
    u->detail = API_TEXT(unit->detail);
    API_SET(u, vm, unit->vm);
    API_SET(u, restarts, unit->restarts);
    API_SET(u, restart_at_us, unit->restart_at_us);
    u->error = unit->error;
    API_SET(u, changed, unit->changed);
    API_SET(u, gone, unit->gone);
    if (!unit->has_file)
        return;
    API_SET(u, uid, unit->uid);
    fill_file(m, &unit->file);
}

static void fail_not_found(const struct api_call *call, const char *name)
{
    api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl units'", "no unit named '%s'", name);
}

void api_unit_list(struct api_call *call)
{
    const struct api_request *r = call->request;
    const struct vm_units *units = call->api->units;
    const char *only = r->list_units.unit;
    const uint32_t n = only ? 1 : r->list_units.page_size;
    _cleanup_free_ struct unit_message *messages = calloc(n, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__Unit **at = calloc(n, sizeof *at);
    if (!messages || !at) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__UnitList list = STILLPOINT__API__UNIT_LIST__INIT;
    list.units = at;
    size_t bytes = 0;
    const struct vm_units_item *u =
        only ? vm_units_find(units, only) : vm_units_after(units, r->list_units.page_token);
    const char *last = NULL;
    if (only && !u) {
        fail_not_found(call, only);
        return;
    }
    for (; u && list.n_units < n; u = only ? NULL : vm_units_after(units, u->name)) {
        fill(&messages[list.n_units], u);
        bytes += stillpoint__api__unit__get_packed_size(&messages[list.n_units].unit) + 8;
        if (list.n_units > 0 && bytes > PAGE_BYTES)
            break;
        last = u->name;
        at[list.n_units] = &messages[list.n_units].unit;
        list.n_units++;
    }
    list.next_page_token = u ? API_TEXT(last) : NULL;
    e.body_case = API_BODY(UNIT_LIST);
    e.unit_list = &list;
    api_reply(call, &e);
}

/* ---- acts */

/* The unit that is named, with its file as it is now, if the caller may act on it; NULL, and an
 * error was sent, if not. Whoever may not, makes us read nothing. */
static struct vm_units_item *find(const struct api_call *call)
{
    const char *name = call->request->unit.unit;
    struct vm_units_item *u = vm_units_find(call->api->units, name);
    if (call->act)
        call->act->vm_name = name;
    if (u && u->has_file && !api_may_act_on(call, u->uid)) {
        api_fail_denied(call, ACCESS_ADMIN,
                        "unit '%s' belongs to uid %u, and only role admin may act on what others "
                        "own",
                        name, (unsigned)u->uid);
        return NULL;
    }
    if ((!u || !u->has_file) && !(call->peer->roles & ACCESS_ADMIN)) {
        fail_not_found(call, name);
        return NULL;
    }
    u = vm_units_refresh(call->api->units, name);
    if (!u)
        fail_not_found(call, name);
    else if (u->has_file && !api_may_act_on(call, u->uid))
        api_fail_denied(call, ACCESS_ADMIN, "unit '%s' belongs to uid %u now", name,
                        (unsigned)u->uid);
    else
        return u;
    return NULL;
}

/* The same, and its file as it is now is right, and there. */
static struct vm_units_item *find_right(const struct api_call *call)
{
    struct vm_units_item *u = find(call);
    if (u && u->error)
        api_fail(call, API_ERROR(PROGRAM_FAILED), NULL, "%s", u->error);
    else if (u && u->gone)
        api_fail(call, API_ERROR(NOT_FOUND), NULL, "the file of unit '%s' is gone", u->name);
    else
        return u;
    return NULL;
}

static int code_of(int r)
{
    switch (r) {
    case -EEXIST:
        return API_ERROR(ALREADY_EXISTS);
    case -EDQUOT:
    case -ERANGE:
    case -EMFILE:
        return API_ERROR(LIMIT_EXCEEDED);
    case -EOPNOTSUPP:
        return API_ERROR(UNSUPPORTED);
    case -EAGAIN:
    case -ENOMEM:
    case -ESHUTDOWN:
        return API_ERROR(INTERNAL);
    default:
        return API_ERROR(PROGRAM_FAILED);
    }
}

void api_unit_start(struct api_call *call)
{
    char why[256];
    struct vm_units_item *u = find_right(call);
    if (!u)
        return;
    int r = vm_units_start(u, why, sizeof why);
    struct worker *w = r == 0 ? registry_find(call->api->registry, u->vm) : NULL;
    if (w)
        api_birth_await(call, w);
    else
        api_fail(call, code_of(r), NULL, "%s", why);
}

static void stopped_on_vm_ended(struct pending *p, struct worker *w)
{
    (void)w;
    api_pending_reply(p, NULL);
}

static const struct pending_type stopped = {.on_vm_ended = stopped_on_vm_ended};

void api_unit_stop(struct api_call *call)
{
    struct vm_units_item *u = find(call);
    if (!u || (u->vm != 0 && !api_pending(call, &stopped, u->vm, 0)))
        return;
    if (vm_units_stop(u, call->peer->uid) == 0)
        api_reply_done(call);
}

static void enable(const struct api_call *call, bool enabled)
{
    struct vm_units_item *u = enabled ? find_right(call) : find(call);
    int r = u ? vm_units_enable(u, enabled) : 0;
    if (r < 0)
        api_fail(call, API_ERROR(INTERNAL), "see state-dir in stillpointd.conf(5)",
                 "it cannot be kept that unit '%s' is %s: %s", u->name,
                 enabled ? "enabled" : "disabled", strerror(-r));
    else if (u)
        api_reply_done(call);
}

void api_unit_enable(struct api_call *call)
{
    enable(call, true);
}

void api_unit_disable(struct api_call *call)
{
    enable(call, false);
}

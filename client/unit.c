/* Requests about units, and the check of a unit's file, which needs no daemon. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/folder.h"
#include "client/call.h"
#include "proto/vm_unit.h"

#define SAME(public, wire) _Static_assert((int)(public) == (int)(wire), #public)
SAME(STILLPOINT_UNIT_FAILED, STILLPOINT__API__UNIT_STATE__UNIT_FAILED);
SAME(STILLPOINT_RESTART_ALWAYS, STILLPOINT__API__UNIT_RESTART__RESTART_ALWAYS);

/* ---- the list, which comes in pages */

static int append(const Stillpoint__Api__Unit *u, struct stillpoint_units *units)
{
    struct stillpoint_memory *m = units->memory;
    struct stillpoint_unit *items = decode_grow(units->items, units->n, sizeof *items), *item;
    if (!items)
        return -ENOMEM;
    units->items = items;
    item = &items[units->n++];
    *item = (struct stillpoint_unit){
        .name = memory_text(m, u->name),
        .path = memory_text(m, u->path),
        .enabled = u->enabled,
        .state = u->has_state ? (enum stillpoint_unit_state)u->state : 0,
        .detail = memory_text(m, u->detail),
        .vm = u->vm,
        .restarts = u->restarts,
        .restart_at_us = u->restart_at_us,
        .error = memory_text_or_null(m, u->error),
        .changed = u->changed,
        .gone = u->gone,
        .program = memory_text_or_null(m, u->program),
        .world = memory_text_or_null(m, u->world),
        .engine = memory_text_or_null(m, u->engine),
        .uid = u->uid,
        .restart = u->has_restart ? (enum stillpoint_restart)u->restart : 0,
        .restart_delay_us = u->restart_delay_us,
        .restart_delay_max_us = u->restart_delay_max_us,
        .restart_attempts = u->restart_attempts,
        .restart_reset_us = u->restart_reset_us,
    };
    item->args = decode_texts(m, u->args, u->n_args, &item->n_args);
    item->labels = decode_texts(m, u->labels, u->n_labels, &item->n_labels);
    if (u->limits)
        decode_limits(u->limits, &item->limits);
    return memory_failed(m) ? -ENOMEM : 0;
}

/* Replaces *token (a heap text) by the next page's, NULL after the last. */
static int list_page(struct stillpoint *sp, const char *only, char **token,
                     struct stillpoint_units *units)
{
    Stillpoint__Api__ListUnits m = STILLPOINT__API__LIST_UNITS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_UNITS, list_units, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    CONN_SET(m, page_size, LIMIT_PAGE_ITEMS);
    m.page_token = *token;
    m.unit = conn_text(only);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_UNIT_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__UnitList *list = reply->unit_list;
    free(*token);
    *token = NULL;
    if (list->next_page_token && list->next_page_token[0] &&
        !(*token = strdup(list->next_page_token)))
        return -ENOMEM;
    for (size_t i = 0; i < list->n_units && r == 0; i++)
        r = append(list->units[i], units);
    return r;
}

int stillpoint_unit_list(struct stillpoint *sp, const char *only,
                         struct stillpoint_units *ret_units)
{
    struct stillpoint_units units = {.memory = memory_new()};
    _cleanup_free_ char *token = NULL;
    int r = units.memory ? 0 : -ENOMEM, pages = 0;
    do {
        if (r == 0)
            r = pages++ < CALL_PAGES_MAX ? list_page(sp, only, &token, &units) : -EPROTO;
    } while (r == 0 && token);
    if (r == 0 && only && units.n != 1)
        r = -EPROTO;
    if (r == 0)
        *ret_units = units;
    else
        stillpoint_units_free(&units);
    return r;
}

void *stillpoint_units_free(struct stillpoint_units *units)
{
    if (units) {
        free(units->items);
        memory_free(units->memory);
        *units = (struct stillpoint_units){0};
    }
    return NULL;
}

/* ---- one unit */

int stillpoint_unit_start(struct stillpoint *sp, const char *unit, struct stillpoint_vms *ret_vms)
{
    Stillpoint__Api__StartUnit m = STILLPOINT__API__START_UNIT__INIT;
    conn_envelope e = CONN_ENVELOPE(START_UNIT, start_unit, &m);
    m.unit = conn_text(unit);
    return call_for_vm(sp, &e, -1, ret_vms);
}

int stillpoint_unit_stop(struct stillpoint *sp, const char *unit)
{
    Stillpoint__Api__StopUnit m = STILLPOINT__API__STOP_UNIT__INIT;
    conn_envelope e = CONN_ENVELOPE(STOP_UNIT, stop_unit, &m);
    m.unit = conn_text(unit);
    return conn_call_done(sp, &e, -1);
}

int stillpoint_unit_enable(struct stillpoint *sp, const char *unit)
{
    Stillpoint__Api__EnableUnit m = STILLPOINT__API__ENABLE_UNIT__INIT;
    conn_envelope e = CONN_ENVELOPE(ENABLE_UNIT, enable_unit, &m);
    m.unit = conn_text(unit);
    return conn_call_done(sp, &e, -1);
}

int stillpoint_unit_disable(struct stillpoint *sp, const char *unit)
{
    Stillpoint__Api__DisableUnit m = STILLPOINT__API__DISABLE_UNIT__INIT;
    conn_envelope e = CONN_ENVELOPE(DISABLE_UNIT, disable_unit, &m);
    m.unit = conn_text(unit);
    return conn_call_done(sp, &e, -1);
}

/* ---- a file */

struct checking {
    stillpoint_unit_error_fn error;
    void *data;
};

static void on_error(void *userdata, const char *path, unsigned line, const char *text)
{
    const struct checking *c = userdata;
    (void)path;
    c->error(line, text, c->data);
}

/* What a file says, and this machine has not. */
static int check_here(const struct vm_unit *u, const struct checking *c)
{
    char text[512];
    struct stat st;
    uid_t uid;
    int r = 0;
    if (stat(u->program, &st) < 0) {
        snprintf(text, sizeof text, "[vm] program: %.300s: %s", u->program, folder_error(-errno));
        c->error(u->program_line, text, c->data);
        r = -EINVAL;
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(text, sizeof text, "[vm] program: %.300s is not a regular file", u->program);
        c->error(u->program_line, text, c->data);
        r = -EINVAL;
    }
    if (vm_unit_owner(u, 0, &uid) < 0) {
        snprintf(text, sizeof text, "[vm] owner: there is no user '%.64s'", u->owner);
        c->error(u->owner_line, text, c->data);
        r = -EINVAL;
    }
    return r;
}

int stillpoint_unit_check(const char *path, stillpoint_unit_error_fn error, void *data)
{
    struct checking c = {error, data};
    struct vm_unit unit;
    struct stat st;
    char name[LIMIT_NAME_BYTES + 1];
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ENODEV;
    int r = 0;
    if (!vm_unit_name_of(path, name)) {
        error(0, "the file's name is not that of a VM with .conf after it", data);
        r = -EINVAL;
    }
    if (st.st_mode & S_IWOTH) {
        error(0, "may be written by everybody (chmod o-w)", data);
        r = -EINVAL;
    }
    int v = vm_unit_read(fd, path, on_error, &c, &unit);
    if (v < 0)
        return v;
    v = check_here(&unit, &c);
    vm_unit_done(&unit);
    return r < 0 ? r : v;
}

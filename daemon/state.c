#include "daemon/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/audit.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/fd_store.h"
#include "daemon/record_log.h"
#include "daemon/registry.h"
#include "daemon/vm_units.h"
#include "daemon/worker.h"
#include "daemon/worker_channel.h"
#include "daemon/worlds.h"

/* The log is written anew when it is this large and has doubled since it was written last. */
#define REWRITE_BYTES (256u * 1024)

typedef Stillpoint__State__Record Record;
#define BODY(name) STILLPOINT__STATE__RECORD__BODY_##name

struct state {
    struct registry *registry;
    struct worlds *worlds;
    struct debuggers *debuggers;
    struct audit *audit;
    const struct vm_units *units; /* NULL until they have been read */
    struct record_log log;
    size_t bytes_when_new;
    uint64_t started_us;
    bool is_kept; /* the log is in the service manager's store, too */
    unsigned generation, serial;
};

static int append_to(struct record_log *log, const Record *record)
{
    uint8_t *at;
    size_t len = stillpoint__state__record__get_packed_size(record);
    int r = record_log_reserve(log, len, &at);
    if (r < 0)
        return r;
    stillpoint__state__record__pack(record, at);
    record_log_commit(log, len);
    return 0;
}

struct queued_to {
    struct record_log *log;
    uint64_t vm;
};

static int append_queued(void *userdata, const struct worker_queued *q)
{
    const struct queued_to *to = userdata;
    Stillpoint__State__Queued m = STILLPOINT__STATE__QUEUED__INIT;
    m.has_vm = m.has_number = m.has_command = m.has_beside = 1;
    m.vm = to->vm;
    m.number = q->number;
    m.command = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)q->data, .len = q->len};
    m.beside = q->fd >= 0;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(QUEUED);
    record.queued = &m;
    return append_to(to->log, &record);
}

static int append_queue(struct record_log *log, const struct worker *w)
{
    struct queued_to to = {log, w->id};
    return w->is_kept && w->channel ? worker_channel_each_queued(w->channel, append_queued, &to)
                                    : 0;
}

static void append_exit(Stillpoint__State__Vm *m, const struct worker *w)
{
    bool gone = w->phase == WORKER_GONE;
    const struct worker_exit *e = gone ? &w->exit : &w->said_exit;
    if (e->reason == 0)
        return;
    m->has_exit_reason = m->has_exit_code = 1;
    m->exit_reason = e->reason;
    m->exit_code = e->code;
    m->exit_detail = (char *)(uintptr_t)e->detail;
    m->has_exit_signal = m->has_ended_us = m->has_cpu_us = m->has_ran_us = gone;
    m->exit_signal = e->signal;
    m->ended_us = w->ended_us;
    m->cpu_us = w->cpu_us;
    m->ran_us = w->ran_us;
}

static void append_step(Stillpoint__State__Vm *m, const struct worker *w)
{
    if (w->step.number == 0)
        return;
    m->has_step = m->has_step_debugger = m->has_step_of_vm = 1;
    m->step = w->step.number;
    m->step_debugger = w->step.debugger;
    m->step_of_vm = w->step.of_vm;
}

/* Returns what it is packed into, or NULL. */
static uint8_t *pack_paused(Stillpoint__State__Vm *m, const struct worker *w)
{
    uint8_t *packed = malloc(stillpoint__worker__paused__get_packed_size(w->pause.said) + 1);
    if (!packed)
        return NULL;
    m->has_paused = m->has_pause_in_stop = 1;
    m->paused = (ProtobufCBinaryData){
        .data = packed, .len = stillpoint__worker__paused__pack(w->pause.said, packed)};
    m->pause_in_stop = w->pause.in_stop;
    m->has_pause_stopper = 1;
    m->pause_stopper = w->pause.stopper;
    m->pause_holders = (uint64_t *)(uintptr_t)w->pause.holders;
    m->n_pause_holders = w->pause.n_holders;
    return packed;
}

static int append_vm(struct record_log *log, const struct worker *w)
{
    Stillpoint__State__Vm m = STILLPOINT__STATE__VM__INIT;
    m.has_id = m.has_uid = m.has_pid = m.has_phase = m.has_memory_bytes = m.has_timeout_us = 1;
    m.has_cpu_time_us = m.has_started_us = m.has_released = m.has_keep_idle = 1;
    m.has_debug = m.has_held_ns = m.has_source_kind = m.has_attach = m.has_ready = 1;
    m.has_admitted_ns = 1;
    m.has_cpu_percent = m.has_tasks = m.has_output_rate = m.has_log_bytes = 1;
    m.id = w->id;
    m.name = (char *)(uintptr_t)w->name;
    m.world = (char *)(uintptr_t)w->world;
    m.engine = (char *)(uintptr_t)w->engine;
    m.program = w->program;
    m.args = w->argv;
    m.n_args = w->argc;
    m.labels = w->labels;
    m.n_labels = w->n_labels;
    m.origin = w->origin;
    m.uid = w->uid;
    m.pid = (uint32_t)w->pid;
    m.phase = w->phase;
    m.memory_bytes = w->limits.memory_bytes;
    m.timeout_us = w->limits.timeout_us;
    m.cpu_time_us = w->limits.cpu_time_us;
    m.cpu_percent = w->limits.cpu_percent;
    m.tasks = w->limits.tasks;
    m.output_rate = w->limits.output_rate;
    m.log_bytes = w->limits.log_bytes;
    m.started_us = w->started_us;
    Stillpoint__State__Hold holds[LIMIT_HOLDS_PER_VM], *hold_at[LIMIT_HOLDS_PER_VM];
    for (; m.n_holds < w->n_holds; m.n_holds++) {
        Stillpoint__State__Hold *h = hold_at[m.n_holds] = &holds[m.n_holds];
        stillpoint__state__hold__init(h);
        h->has_debugger = h->has_count = 1;
        h->debugger = w->holds[m.n_holds].debugger;
        h->count = w->holds[m.n_holds].count;
        h->name = (char *)(uintptr_t)w->holds[m.n_holds].name;
        h->has_pause = 1;
        h->pause = w->holds[m.n_holds].pause;
    }
    m.holds = hold_at;
    Stillpoint__State__Layer layers[WORKER_MAX_LAYERS], *layer_at[WORKER_MAX_LAYERS];
    for (; m.n_layers < w->n_layers; m.n_layers++) {
        Stillpoint__State__Layer *l = layer_at[m.n_layers] = &layers[m.n_layers];
        stillpoint__state__layer__init(l);
        l->name = (char *)(uintptr_t)w->layers[m.n_layers].name;
        l->has_state = 1;
        l->state = w->layers[m.n_layers].state;
    }
    m.layers = layer_at;
    m.source_kind = w->source_kind;
    m.attach = w->attach;
    m.ready = w->ready;
    m.admitted_ns = w->timed.admitted_ns;
    m.has_heard = 1;
    m.heard = worker_dealt_with(w);
    m.imports = w->imports;
    m.n_imports = w->open_imports;
    append_exit(&m, w);
    m.released = w->gate.birth_done;
    m.keep_idle = w->keep_idle;
    m.debug = w->debug;
    m.held_ns = w->gate.held_ns;
    m.has_pause = m.has_pause_reason = m.has_last_step = m.has_last_evaluation = 1;
    m.pause = w->pause.number;
    m.pause_reason = w->pause.said ? w->pause.said->reason : 0;
    m.last_step = w->last_step;
    m.last_evaluation = w->last_evaluation;
    append_step(&m, w);
    _cleanup_free_ uint8_t *paused = NULL;
    if (w->pause.said && !(paused = pack_paused(&m, w)))
        return -ENOMEM;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(VM);
    record.vm = &m;
    return append_to(log, &record);
}

static void append_run(Stillpoint__State__World *m, const struct world *w)
{
    struct world_run run;
    if (world_runner(w) == 0)
        return;
    world_run_read(w, &run);
    m->has_run_on_exit = m->has_run_until_still = m->has_run_until_us = 1;
    m->run_on_exit = run.on_exit;
    m->run_until_still = run.until_still;
    m->run_until_us = run.deadline_us;
}

static int append_world(struct record_log *log, const struct world *w)
{
    Stillpoint__State__World m = STILLPOINT__STATE__WORLD__INIT;
    const struct ticket *t = world_control(w);
    m.name = (char *)(uintptr_t)world_name(w);
    m.has_mode = m.has_epoch = 1;
    m.mode = world_mode(w);
    m.epoch = world_epoch(w);
    uid_t owner = 0;
    m.has_owner_uid = world_is_owned(w, &owner);
    m.owner_uid = owner;
    if (t) {
        m.has_admin = 1;
        m.admin = t->request.admin;
        m.has_ticket = m.has_reason = m.has_uid = m.has_since_us = m.has_expires_us = 1;
        m.ticket = t->id;
        m.reason = t->request.reason;
        m.uid = t->request.uid;
        m.since_us = t->since_us;
        m.expires_us = world_expires_us(w);
        m.has_debugger = m.has_runner = m.has_target = m.has_enforced = 1;
        m.debugger = t->request.debugger;
        m.runner = world_runner(w);
        m.target = world_target(w);
        m.enforced = t->request.enforce;
        m.debugger_name = (char *)(uintptr_t)t->request.debugger_name;
        m.has_hold_policy = m.has_hold_us = 1;
        m.hold_policy = t->request.hold_policy;
        m.hold_us = t->request.hold_us;
        append_run(&m, w);
    }
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(WORLD);
    record.world = &m;
    return append_to(log, &record);
}

static int append_debugger(struct record_log *log, const struct debugger *d)
{
    Stillpoint__State__Debugger m = STILLPOINT__STATE__DEBUGGER__INIT;
    m.has_id = m.has_owner_uid = m.has_hold_policy = m.has_admin = 1;
    m.admin = d->admin;
    m.id = d->id;
    m.name = (char *)(uintptr_t)d->name;
    m.note = (char *)(uintptr_t)d->note;
    m.owner_uid = d->owner;
    m.hold_policy = d->hold_policy;
    m.has_open = m.has_cli = 1;
    m.open = d->n_opens > 0;
    m.cli = debuggers_is_cli(d);
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(DEBUGGER);
    record.debugger = &m;
    return append_to(log, &record);
}

static int append_hook(struct record_log *log, const struct audit_hook *h)
{
    Stillpoint__State__Hook m = STILLPOINT__STATE__HOOK__INIT;
    size_t len = stillpoint__worker__hook__get_packed_size(h->wire);
    _cleanup_free_ uint8_t *wire = malloc(len + 1);
    if (!wire)
        return -ENOMEM;
    m.has_id = m.has_debugger = m.has_target = m.has_vm = m.has_weak = m.has_since_us = 1;
    m.id = h->id;
    m.debugger = h->debugger;
    m.target = h->where.target;
    m.vm = h->where.vm;
    m.name = (char *)(uintptr_t)h->where.name;
    m.world = (char *)(uintptr_t)h->where.world;
    m.engine = (char *)(uintptr_t)h->where.engine;
    m.weak = h->weak;
    m.has_owner_uid = h->where.of_owner;
    m.owner_uid = h->where.owner;
    m.note = h->note;
    m.has_spent = 1;
    m.spent = audit_is_spent(h);
    m.since_us = h->since_us;
    m.has_wire = 1;
    m.wire =
        (ProtobufCBinaryData){.data = wire, .len = stillpoint__worker__hook__pack(h->wire, wire)};
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(HOOK);
    record.hook = &m;
    return append_to(log, &record);
}

static int append_unit(struct record_log *log, const struct vm_units_item *u)
{
    Stillpoint__State__Unit m = STILLPOINT__STATE__UNIT__INIT;
    m.name = (char *)(uintptr_t)u->name;
    m.has_state = m.has_restarts = m.has_restart_at_us = 1;
    m.state = u->state;
    m.restarts = u->restarts;
    m.restart_at_us = u->restart_at_us;
    m.detail = (char *)(uintptr_t)u->detail;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(UNIT);
    record.unit = &m;
    return append_to(log, &record);
}

static int append_counters(const struct state *s, struct record_log *log)
{
    Stillpoint__State__Counters m = STILLPOINT__STATE__COUNTERS__INIT;
    m.has_next_vm = m.has_next_ticket = m.has_next_debugger = m.has_next_hook = 1;
    m.next_vm = registry_next_id(s->registry);
    m.next_ticket = worlds_next_ticket(s->worlds);
    m.next_debugger = debuggers_next_id(s->debuggers);
    m.next_hook = audit_next_hook(s->audit);
    m.has_generation = 1;
    m.generation = s->generation;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(COUNTERS);
    record.counters = &m;
    return append_to(log, &record);
}

static int append_head(const struct state *s, struct record_log *log)
{
    Stillpoint__State__Head m = STILLPOINT__STATE__HEAD__INIT;
    m.has_version = m.has_layout_version = m.has_started_us = 1;
    m.version = STATE_VERSION;
    m.layout_version = SHM_LAYOUT_VERSION;
    m.started_us = s->started_us;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(HEAD);
    record.head = &m;
    return append_to(log, &record);
}

static int put_all(const struct state *s, struct record_log *log)
{
    int r = append_head(s, log);
    if (r == 0)
        r = append_counters(s, log);
    for (const struct worker *w = registry_after(s->registry, 0); w && r == 0;
         w = registry_after(s->registry, w->id))
        if ((r = append_vm(log, w)) == 0)
            r = append_queue(log, w);
    for (const struct world *w = worlds_after(s->worlds, NULL); w && r == 0;
         w = worlds_after(s->worlds, world_name(w)))
        r = append_world(log, w);
    for (const struct debugger *d = debuggers_after(s->debuggers, 0); d && r == 0;
         d = debuggers_after(s->debuggers, d->id))
        r = append_debugger(log, d);
    for (const struct audit_hook *h = audit_after(s->audit, 0); h && r == 0;
         h = audit_after(s->audit, h->id))
        if (h->state != AUDIT_INSTALLING)
            r = append_hook(log, h);
    for (const struct vm_units_item *u = vm_units_after(s->units, NULL); u && r == 0;
         u = vm_units_after(s->units, u->name))
        if (vm_units_is_changed(u))
            r = append_unit(log, u);
    return r;
}

/* Puts everything down in a new memfd, which takes the place of the old one only when it is whole.
 */
static int rewrite(struct state *s)
{
    struct record_log log;
    int r = record_log_open(&log, "stillpoint-state");
    if (r < 0)
        return r;
    r = put_all(s, &log);
    if (r < 0) {
        record_log_close(&log);
        return r;
    }
    if (s->is_kept && (r = fd_store_put(log.fd, "state-%u-%u", s->generation, s->serial + 1)) < 0) {
        record_log_close(&log);
        return r;
    }
    if (s->is_kept && s->serial > 0)
        fd_store_drop("state-%u-%u", s->generation, s->serial);
    s->serial++;
    record_log_close(&s->log);
    s->log = log;
    s->bytes_when_new = log.bytes;
    return 0;
}

static int appended(struct state *s, int r)
{
    if (r == 0 && s->log.bytes > REWRITE_BYTES && s->log.bytes > 2 * s->bytes_when_new)
        r = rewrite(s);
    return r;
}

struct state *state_new(struct registry *registry, struct worlds *worlds,
                        struct debuggers *debuggers, struct audit *audit)
{
    struct timespec ts;
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &ts);
    *s = (struct state){
        .registry = registry,
        .worlds = worlds,
        .debuggers = debuggers,
        .audit = audit,
        .log = {.fd = -1},
        .started_us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u,
    };
    int r = rewrite(s);
    if (r < 0) {
        free(s);
        errno = -r;
        return NULL;
    }
    return s;
}

struct state *state_free(struct state *s)
{
    if (s) {
        record_log_close(&s->log);
        free(s);
    }
    return NULL;
}

void state_set_units(struct state *s, const struct vm_units *units)
{
    s->units = units;
}

int state_keep(struct state *s, unsigned generation)
{
    s->is_kept = true;
    s->generation = generation;
    s->serial = 0;
    return rewrite(s);
}

int state_put_vm(struct state *s, const struct worker *w)
{
    int r = append_counters(s, &s->log);
    return appended(s, r < 0 ? r : append_vm(&s->log, w));
}

int state_put_vm_gone(struct state *s, uint64_t id)
{
    Stillpoint__State__VmGone m = STILLPOINT__STATE__VM_GONE__INIT;
    m.has_id = 1;
    m.id = id;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(VM_GONE);
    record.vm_gone = &m;
    return appended(s, append_to(&s->log, &record));
}

int state_put_queued(struct state *s, const struct worker *w, const struct worker_queued *queued)
{
    struct queued_to to = {&s->log, w->id};
    /* First: what is written anew is the queue as it is, without this. */
    int r = appended(s, 0);
    return r < 0 ? r : append_queued(&to, queued);
}

int state_put_sent(struct state *s, const struct worker *w, uint64_t number)
{
    Stillpoint__State__Sent m = STILLPOINT__STATE__SENT__INIT;
    m.has_vm = m.has_number = 1;
    m.vm = w->id;
    m.number = number;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(SENT);
    record.sent = &m;
    return appended(s, append_to(&s->log, &record));
}

int state_put_world(struct state *s, const struct world *w)
{
    int r = append_counters(s, &s->log);
    return appended(s, r < 0 ? r : append_world(&s->log, w));
}

int state_put_world_gone(struct state *s, const char *name)
{
    Stillpoint__State__WorldGone m = STILLPOINT__STATE__WORLD_GONE__INIT;
    m.name = (char *)(uintptr_t)name;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(WORLD_GONE);
    record.world_gone = &m;
    return appended(s, append_to(&s->log, &record));
}

int state_put_debugger(struct state *s, const struct debugger *d)
{
    int r = append_counters(s, &s->log);
    return appended(s, r < 0 ? r : append_debugger(&s->log, d));
}

int state_put_debugger_gone(struct state *s, uint64_t id)
{
    Stillpoint__State__DebuggerGone m = STILLPOINT__STATE__DEBUGGER_GONE__INIT;
    m.has_id = 1;
    m.id = id;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(DEBUGGER_GONE);
    record.debugger_gone = &m;
    return appended(s, append_to(&s->log, &record));
}

int state_put_hook(struct state *s, const struct audit_hook *h)
{
    int r = append_counters(s, &s->log);
    return appended(s, r < 0 ? r : append_hook(&s->log, h));
}

int state_put_hook_gone(struct state *s, uint64_t id)
{
    Stillpoint__State__HookGone m = STILLPOINT__STATE__HOOK_GONE__INIT;
    m.has_id = 1;
    m.id = id;
    Record record = STILLPOINT__STATE__RECORD__INIT;
    record.body_case = BODY(HOOK_GONE);
    record.hook_gone = &m;
    return appended(s, append_to(&s->log, &record));
}

int state_put_unit(struct state *s, const struct vm_units_item *u)
{
    return appended(s, append_unit(&s->log, u));
}

int state_fd(const struct state *s)
{
    return s->log.fd;
}

/* ---- reading */

static void free_vm(Stillpoint__State__Vm *m)
{
    stillpoint__state__vm__free_unpacked(m, NULL);
}

static void free_world(Stillpoint__State__World *m)
{
    stillpoint__state__world__free_unpacked(m, NULL);
}

static int image_vm(struct state_image *image, uint64_t id, Stillpoint__State__Vm *m)
{
    size_t i = 0;
    while (i < image->n_vms && image->vms[i]->id != id)
        i++;
    if (i < image->n_vms) {
        free_vm(image->vms[i]);
        if (m) {
            image->vms[i] = m;
            return 0;
        }
        memmove(image->vms + i, image->vms + i + 1, (--image->n_vms - i) * sizeof *image->vms);
        return 0;
    }
    if (!m)
        return 0;
    Stillpoint__State__Vm **vms = reallocarray(image->vms, i + 1, sizeof *vms);
    if (!vms) {
        free_vm(m);
        return -ENOMEM;
    }
    image->vms = vms;
    image->vms[image->n_vms++] = m;
    return 0;
}

static int image_world(struct state_image *image, const char *name, Stillpoint__State__World *m)
{
    size_t i = 0;
    while (i < image->n_worlds && strcmp(image->worlds[i]->name, name) != 0)
        i++;
    if (i < image->n_worlds) {
        free_world(image->worlds[i]);
        if (m) {
            image->worlds[i] = m;
            return 0;
        }
        memmove(image->worlds + i, image->worlds + i + 1,
                (--image->n_worlds - i) * sizeof *image->worlds);
        return 0;
    }
    if (!m)
        return 0;
    Stillpoint__State__World **worlds = reallocarray(image->worlds, i + 1, sizeof *worlds);
    if (!worlds) {
        free_world(m);
        return -ENOMEM;
    }
    image->worlds = worlds;
    image->worlds[image->n_worlds++] = m;
    return 0;
}

static void free_debugger(Stillpoint__State__Debugger *m)
{
    stillpoint__state__debugger__free_unpacked(m, NULL);
}

static int image_debugger(struct state_image *image, uint64_t id, Stillpoint__State__Debugger *m)
{
    size_t i = 0;
    while (i < image->n_debuggers && image->debuggers[i]->id != id)
        i++;
    if (i < image->n_debuggers) {
        free_debugger(image->debuggers[i]);
        if (m) {
            image->debuggers[i] = m;
            return 0;
        }
        memmove(image->debuggers + i, image->debuggers + i + 1,
                (--image->n_debuggers - i) * sizeof *image->debuggers);
        return 0;
    }
    if (!m)
        return 0;
    Stillpoint__State__Debugger **debuggers =
        reallocarray(image->debuggers, i + 1, sizeof *debuggers);
    if (!debuggers) {
        free_debugger(m);
        return -ENOMEM;
    }
    image->debuggers = debuggers;
    image->debuggers[image->n_debuggers++] = m;
    return 0;
}

static void free_hook(Stillpoint__State__Hook *m)
{
    stillpoint__state__hook__free_unpacked(m, NULL);
}

static int image_hook(struct state_image *image, uint64_t id, Stillpoint__State__Hook *m)
{
    size_t i = 0;
    while (i < image->n_hooks && image->hooks[i]->id != id)
        i++;
    if (i < image->n_hooks) {
        free_hook(image->hooks[i]);
        if (m) {
            image->hooks[i] = m;
            return 0;
        }
        memmove(image->hooks + i, image->hooks + i + 1,
                (--image->n_hooks - i) * sizeof *image->hooks);
        return 0;
    }
    if (!m)
        return 0;
    Stillpoint__State__Hook **hooks = reallocarray(image->hooks, i + 1, sizeof *hooks);
    if (!hooks) {
        free_hook(m);
        return -ENOMEM;
    }
    image->hooks = hooks;
    image->hooks[image->n_hooks++] = m;
    return 0;
}

static void free_unit(Stillpoint__State__Unit *m)
{
    stillpoint__state__unit__free_unpacked(m, NULL);
}

static int image_unit(struct state_image *image, Stillpoint__State__Unit *m)
{
    size_t i = 0;
    while (i < image->n_units && strcmp(image->units[i]->name, m->name) != 0)
        i++;
    if (i < image->n_units) {
        free_unit(image->units[i]);
        image->units[i] = m;
        return 0;
    }
    Stillpoint__State__Unit **units = reallocarray(image->units, i + 1, sizeof *units);
    if (!units) {
        free_unit(m);
        return -ENOMEM;
    }
    image->units = units;
    image->units[image->n_units++] = m;
    return 0;
}

static void free_queued(Stillpoint__State__Queued *m)
{
    stillpoint__state__queued__free_unpacked(m, NULL);
}

static int image_queued(struct state_image *image, Stillpoint__State__Queued *m)
{
    if ((image->n_queued & (image->n_queued - 1)) == 0) {
        size_t room = image->n_queued ? 2 * image->n_queued : 1;
        Stillpoint__State__Queued **queued = reallocarray(image->queued, room, sizeof *queued);
        if (!queued) {
            free_queued(m);
            return -ENOMEM;
        }
        image->queued = queued;
    }
    image->queued[image->n_queued++] = m;
    return 0;
}

static void image_sent(struct state_image *image, uint64_t vm, uint64_t number)
{
    size_t left = 0;
    for (size_t i = 0; i < image->n_queued; i++) {
        Stillpoint__State__Queued *m = image->queued[i];
        if (m->vm == vm && m->number <= number)
            free_queued(m);
        else
            image->queued[left++] = m;
    }
    image->n_queued = left;
}

/* Objects are taken out of the record: what is left there is NULL. */
static int take_record(struct state_image *image, Record *record)
{
    Stillpoint__State__World *world;
    uint64_t id;
    switch (record->body_case) {
    case BODY(HEAD):
        image->version = record->head->version;
        return record->head->version == STATE_VERSION &&
                       record->head->layout_version == SHM_LAYOUT_VERSION
                   ? 0
                   : -EPROTONOSUPPORT;
    case BODY(COUNTERS):
        image->next_vm = record->counters->next_vm;
        image->next_ticket = record->counters->next_ticket;
        image->next_debugger = record->counters->next_debugger;
        image->next_hook = record->counters->next_hook;
        image->generation = record->counters->generation;
        return 0;
    case BODY(VM):
        if (!record->vm->name || !record->vm->world)
            return -EPROTO;
        id = record->vm->id;
        if (record->vm->phase == WORKER_GONE)
            image_sent(image, id, UINT64_MAX);
        return image_vm(image, id, TAKE_PTR(record->vm));
    case BODY(VM_GONE):
        image_sent(image, record->vm_gone->id, UINT64_MAX);
        return image_vm(image, record->vm_gone->id, NULL);
    case BODY(QUEUED):
        return image_queued(image, TAKE_PTR(record->queued));
    case BODY(SENT):
        image_sent(image, record->sent->vm, record->sent->number);
        return 0;
    case BODY(WORLD):
        if (!record->world->name)
            return -EPROTO;
        world = TAKE_PTR(record->world);
        return image_world(image, world->name, world);
    case BODY(WORLD_GONE):
        return record->world_gone->name ? image_world(image, record->world_gone->name, NULL)
                                        : -EPROTO;
    case BODY(DEBUGGER):
        if (!record->debugger->name)
            return -EPROTO;
        id = record->debugger->id;
        return image_debugger(image, id, TAKE_PTR(record->debugger));
    case BODY(DEBUGGER_GONE):
        return image_debugger(image, record->debugger_gone->id, NULL);
    case BODY(HOOK):
        if (!record->hook->has_wire)
            return -EPROTO;
        id = record->hook->id;
        return image_hook(image, id, TAKE_PTR(record->hook));
    case BODY(HOOK_GONE):
        return image_hook(image, record->hook_gone->id, NULL);
    case BODY(UNIT):
        return record->unit->name ? image_unit(image, TAKE_PTR(record->unit)) : -EPROTO;
    default:
        return 0; /* written by a later version, which says that we may leave it out */
    }
}

struct reading {
    struct state_image image;
    bool begun;
};

static int take_packed(void *userdata, const uint8_t *data, size_t len)
{
    struct reading *reading = userdata;
    errno = 0;
    Record *record = stillpoint__state__record__unpack(NULL, len, data);
    if (!record)
        return errno == ENOMEM ? -ENOMEM : -EPROTO;
    int r = -EPROTO;
    if (reading->begun || record->body_case == BODY(HEAD))
        r = take_record(&reading->image, record);
    reading->begun = true;
    if ((record->body_case == BODY(VM) && !record->vm) ||
        (record->body_case == BODY(WORLD) && !record->world) ||
        (record->body_case == BODY(DEBUGGER) && !record->debugger) ||
        (record->body_case == BODY(HOOK) && !record->hook) ||
        (record->body_case == BODY(UNIT) && !record->unit) ||
        (record->body_case == BODY(QUEUED) && !record->queued))
        record->body_case = 0; /* it was taken */
    stillpoint__state__record__free_unpacked(record, NULL);
    return r;
}

int state_read(int fd, struct state_image *ret)
{
    struct reading reading = {.begun = false};
    int r = record_log_read(fd, take_packed, &reading);
    if (r == 0 && !reading.begun)
        r = -EPROTO;
    if (r < 0) {
        state_image_done(&reading.image);
        return r;
    }
    *ret = reading.image;
    return 0;
}

void state_image_done(struct state_image *image)
{
    for (size_t i = 0; i < image->n_vms; i++)
        free_vm(image->vms[i]);
    for (size_t i = 0; i < image->n_worlds; i++)
        free_world(image->worlds[i]);
    for (size_t i = 0; i < image->n_debuggers; i++)
        free_debugger(image->debuggers[i]);
    for (size_t i = 0; i < image->n_hooks; i++)
        free_hook(image->hooks[i]);
    for (size_t i = 0; i < image->n_queued; i++)
        free_queued(image->queued[i]);
    for (size_t i = 0; i < image->n_units; i++)
        free_unit(image->units[i]);
    free(image->units);
    free(image->queued);
    free(image->hooks);
    free(image->debuggers);
    free(image->vms);
    free(image->worlds);
    *image = (struct state_image){0};
}

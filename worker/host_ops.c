#include "worker/host_ops.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "worker/auditor.h"
#include "worker/host/host.h"

/* Each call is an occasion to arm what was spent. */
static void host_called(struct host *h)
{
    if (h->auditors)
        auditors_look_at_budgets(h->auditors);
}

static int op_safe_point(void *userdata)
{
    struct host *h = userdata;
    if (safepoint_is_evaluating(h->safepoint))
        return safepoint_may_evaluate(h->safepoint) ? 0 : ENGINE_TERMINATED;
    safepoint_poll(h->safepoint);
    host_called(h);
    return 0;
}

static void op_needs_watcher(void *userdata)
{
    struct host *h = userdata;
    safepoint_need_watcher(h->safepoint);
}

static int op_write(void *userdata, enum engine_stream stream, enum engine_level level,
                    const char *text, size_t len)
{
    host_called(userdata);
    return console_write(userdata, stream, level, text, len);
}

static uint64_t op_now_ns(void *userdata)
{
    struct host *h = userdata;
    host_called(h);
    return safepoint_clock_ns(h->safepoint);
}

static int op_timer_start(void *userdata, uint64_t id, uint64_t delay_ns, bool repeat)
{
    struct host *h = userdata;
    host_called(h);
    uint64_t deadline_ns;
    if (__builtin_add_overflow(safepoint_clock_ns(h->safepoint), delay_ns, &deadline_ns))
        deadline_ns = UINT64_MAX - 1;
    /* A period of 0 would mean "once". */
    uint64_t period_ns = !repeat ? 0 : delay_ns > 0 ? delay_ns : 1;
    return timers_start(&h->timers, id, deadline_ns, period_ns);
}

static void op_timer_cancel(void *userdata, uint64_t id)
{
    struct host *h = userdata;
    host_called(h);
    timers_cancel(&h->timers, id);
}

static int op_sleep_until(void *userdata, uint64_t deadline_ns)
{
    host_called(userdata);
    return host_sleep_until(userdata, deadline_ns);
}

static int op_import_request(void *userdata, uint64_t import_id, const char *path)
{
    struct host *h = userdata;
    host_called(h);
    int r = host_make_room(h);
    if (r == 0)
        r = imports_request(&h->imports, import_id, path);
    if (r == 0)
        host_settle(h);
    return r;
}

static int op_post(void *userdata, const char *json, size_t len)
{
    static const char dropped[] = "postMessage: the message is too large and was dropped";
    struct host *h = userdata;
    host_called(h);
    int r = host_make_room(h);
    if (r < 0)
        return r;
    r = messages_post(&h->messages, json, len);
    if (r == -EMSGSIZE)
        return console_write(h, ENGINE_STDERR, ENGINE_LEVEL_ERROR, dropped, sizeof dropped - 1);
    host_sent(h, r);
    return 0;
}

static void op_call_done(void *userdata, uint64_t call_id, bool ok, const char *text, size_t len)
{
    struct host *h = userdata;
    host_called(h);
    host_sent(h, messages_call_done(&h->messages, call_id, ok, text, len));
}

static void op_loaded(void *userdata, const char *error)
{
    struct host *h = userdata;
    h->loaded = true;
    if (error && !(h->load_error = strdup(error)))
        safepoint_orphaned();
}

static void op_oom(void *userdata)
{
    struct host *h = userdata;
    atomic_store_explicit(&h->safepoint->gate.status->oom, 1, memory_order_relaxed);
}

static void op_wake(void *userdata)
{
    struct host *h = userdata;
    uint64_t one = 1;
    /* Fails only when the counter is full, and then the VM thread has a reason to look already. */
    (void)!write(h->wake_fd, &one, sizeof one);
}

static int op_wasi_call(void *userdata, unsigned index, const uint64_t *args, uint8_t *memory,
                        size_t memory_bytes, uint32_t *ret_value)
{
    host_called(userdata);
    return wasi_call(userdata, index, args, memory, memory_bytes, ret_value);
}

static int op_on_hit(void *userdata, const struct engine_hit *hit, struct engine_answer *ret_answer)
{
    struct host *h = userdata;
    return h->auditors ? auditors_on_hit(h->auditors, hit, ret_answer) : 0;
}

static bool op_wants_breakpoint(void *userdata, uint64_t script, uint64_t offset)
{
    struct host *h = userdata;
    return h->auditors && auditors_want_breakpoint(h->auditors, script, offset);
}

static void op_on_gone(void *userdata, enum engine_referent referent, uint64_t id)
{
    struct host *h = userdata;
    if (h->auditors)
        auditors_on_gone(h->auditors, referent, id);
}

static void op_on_realm(void *userdata, uint64_t realm)
{
    struct host *h = userdata;
    if (h->auditors)
        auditors_on_realm(h->auditors, realm);
}

static const struct engine_debug_host_ops debug_ops = {
    .on_hit = op_on_hit,
    .wants_breakpoint = op_wants_breakpoint,
    .on_gone = op_on_gone,
    .on_realm = op_on_realm,
};

const struct engine_host_ops host_ops = {
    .safe_point = op_safe_point,
    .needs_watcher = op_needs_watcher,
    .write = op_write,
    .now_ns = op_now_ns,
    .timer_start = op_timer_start,
    .timer_cancel = op_timer_cancel,
    .sleep_until = op_sleep_until,
    .import_request = op_import_request,
    .post = op_post,
    .call_done = op_call_done,
    .loaded = op_loaded,
    .oom = op_oom,
    .wake = op_wake,
    .wasi_functions = wasi_functions,
    .wasi_call = op_wasi_call,
    .debug = &debug_ops,
};

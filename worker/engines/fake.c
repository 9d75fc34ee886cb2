/*
 * fake.c: an engine without a language, for tests of everything around an engine. A program is a
 * list of lines, run from the top; the lines:
 *
 *   print TEXT · error TEXT      a line on stdout, stderr
 *   flood COUNT                  that many lines of 1000 bytes
 *   busy [MS]                    computes, for ever or for MS of the world clock; interruptible
 *   lie                          computes for ever; once interrupted, another thread comes to the
 *                                gate in its place: parked by its word, and it runs on
 *   hang                         computes and ignores interrupts
 *   sleep MS                     blocks in the host
 *   timer MS TEXT                prints TEXT later; "timer 5 burn 20" computes there
 *   every MS TEXT                likewise, again and again
 *   idle                         from now on something is pending: it does not end by itself
 *   import PATH                  wants that file, whose lines are checked and not run
 *   thread                       another thread wakes the program, which then prints "woken"
 *   post JSON                    sends a message
 *   garbage BYTES                makes what the next collection frees
 *   keep COUNT CLASS             makes things that stay, of 16 bytes each
 *   wide COUNT                   makes that many classes with long names, of 1, 2, 3 … bytes
 *   deep COUNT                   from now on the stack has that many frames more
 *   slow MS                      from now on collections, censuses and stacks take that long
 *   nogc                         from now on they fail
 *   fail TEXT · oom · exit CODE  ends
 *   crash [KIND]                 a real fault: an illegal instruction, segv, or stack
 *   syscall NUMBER [ARGUMENTS]   makes that system call and prints its result
 *   function NAME … end          is run when it is called, as a frame of its own
 *   call NAME [SCRIPT]           calls it, as code of that script
 *   try NAME                     likewise, and catches what it throws
 *   repeat COUNT NAME            calls it so often; `i` counts; a loop head before each
 *   yield · await · next         leaves a frame that goes on later; goes on with it
 *   return [VALUE] · throw VALUE leaves it for good
 *   let NAME VALUE · show NAME   a variable of the frame
 *   debugger · promise · settle VALUE   what they say
 *   realm · script REALM PATH    makes one; a script has the program's lines
 *   gone realm ID · gone script ID      is no more
 *   observed                     prints how much is observed, and how often the engine was resumed
 *   refuse COUNT                 from now on no more than that can be observed
 *
 * As functions a caller finds `echo` (returns its arguments), `throw`, `exit` and `busy`; a message
 * is printed. Lines are checked when loaded, so that a wrong one is a SyntaxError.
 *
 * A stack has the verb that runs as its innermost frame, at its line of the program; outside of
 * stacks frames are those of functions and of the program (fake_debug.c).
 */
#include "worker/engines/fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS FAKE_MS
#define LINE_BYTES FAKE_LINE_BYTES
#define TIMERS FAKE_TIMERS
#define KEPT_BYTES 16
#define KEPT_CLASSES FAKE_CLASSES

int fake_say(struct engine *e, const char *text)
{
    return e->config.host_ops->write(e->config.host, ENGINE_STDOUT, ENGINE_LEVEL_LOG, text,
                                     strlen(text));
}

static uint64_t now(struct engine *e)
{
    return e->config.host_ops->now_ns(e->config.host);
}

int fake_loop_head(struct engine *e)
{
    if (!atomic_load_explicit(&e->interrupted, memory_order_relaxed))
        return 0;
    atomic_store(&e->interrupted, false);
    return e->config.host_ops->safe_point(e->config.host);
}

/* Computes until the world clock says so. */
int fake_compute(struct engine *e, uint64_t deadline_ns)
{
    for (volatile unsigned n = 0;; n++) {
        int r = fake_loop_head(e);
        if (r != 0)
            return r;
        if (deadline_ns != UINT64_MAX && n % 1024 == 0 && now(e) >= deadline_ns)
            return 0;
    }
}

static int ends(struct engine *e, int code, const char *detail, int outcome)
{
    static char kept[LINE_BYTES];
    snprintf(kept, sizeof kept, "%s", detail ? detail : "");
    e->exit = (struct engine_exit){.code = code, .detail = detail ? kept : NULL};
    return outcome;
}

/* ---- the verbs */

static int do_print(struct engine *e, const char *rest)
{
    return fake_say(e, rest);
}

static int do_error(struct engine *e, const char *rest)
{
    return e->config.host_ops->write(e->config.host, ENGINE_STDERR, ENGINE_LEVEL_ERROR, rest,
                                     strlen(rest));
}

static int do_flood(struct engine *e, const char *rest)
{
    char line[1000];
    memset(line, 'x', sizeof line);
    for (long n = atol(rest); n > 0; n--) {
        int r = e->config.host_ops->write(e->config.host, ENGINE_STDOUT, ENGINE_LEVEL_LOG, line,
                                          sizeof line - 1);
        if (r != 0)
            return r;
    }
    return 0;
}

static int do_busy(struct engine *e, const char *rest)
{
    return fake_compute(e, *rest ? now(e) + strtoull(rest, NULL, 10) * MS : UINT64_MAX);
}

static _Noreturn int do_lie(struct engine *e, const char *rest)
{
    (void)rest;
    for (;;) {
        if (atomic_load_explicit(&e->lying, memory_order_relaxed) ||
            !atomic_exchange(&e->interrupted, false))
            continue;
        atomic_store(&e->lying, true);
        sem_post(&e->helper_go);
    }
}

static _Noreturn int do_hang(struct engine *e, const char *rest)
{
    (void)e, (void)rest;
    for (;;)
        atomic_signal_fence(memory_order_seq_cst);
}

static int do_sleep(struct engine *e, const char *rest)
{
    return e->config.host_ops->sleep_until(e->config.host, now(e) + strtoull(rest, NULL, 10) * MS);
}

static int start_timer(struct engine *e, const char *rest, bool repeat)
{
    char *text;
    uint64_t delay = strtoull(rest, &text, 10) * MS, slot = e->timers++ % TIMERS;
    snprintf(e->timer_text[slot], LINE_BYTES, "%s", text + (*text == ' '));
    return e->config.host_ops->timer_start(e->config.host, slot + 1, delay, repeat);
}

static int do_timer(struct engine *e, const char *rest)
{
    return start_timer(e, rest, false);
}

static int do_every(struct engine *e, const char *rest)
{
    return start_timer(e, rest, true);
}

static int do_idle(struct engine *e, const char *rest)
{
    (void)rest;
    e->idle = true;
    return 0;
}

static int do_import(struct engine *e, const char *rest)
{
    (void)e, (void)rest; /* was done when loaded */
    return 0;
}

static int do_thread(struct engine *e, const char *rest)
{
    (void)rest;
    e->idle = true;
    sem_post(&e->helper_go);
    return 0;
}

static int do_post(struct engine *e, const char *rest)
{
    return e->config.host_ops->post(e->config.host, rest, strlen(rest));
}

static int do_garbage(struct engine *e, const char *rest)
{
    e->garbage_bytes += strtoull(rest, NULL, 10);
    return 0;
}

static int do_keep(struct engine *e, const char *rest)
{
    char *name;
    uint64_t count = strtoull(rest, &name, 10);
    if (e->n_kept == KEPT_CLASSES)
        return 0;
    struct kept *k = &e->kept[e->n_kept++];
    k->count = count;
    snprintf(k->name, sizeof k->name, "%s", name + (*name == ' '));
    return 0;
}

static int do_wide(struct engine *e, const char *rest)
{
    e->wide = strtoull(rest, NULL, 10);
    return 0;
}

static int do_deep(struct engine *e, const char *rest)
{
    e->deep = strtoull(rest, NULL, 10);
    return 0;
}

static int do_slow(struct engine *e, const char *rest)
{
    e->slow_ms = strtoull(rest, NULL, 10);
    return 0;
}

static int do_nogc(struct engine *e, const char *rest)
{
    (void)rest;
    e->nogc = true;
    return 0;
}

static int do_fail(struct engine *e, const char *rest)
{
    do_error(e, rest);
    return ends(e, 1, rest, ENGINE_FAILED);
}

static int do_oom(struct engine *e, const char *rest)
{
    (void)rest;
    e->config.host_ops->oom(e->config.host);
    return ends(e, 137, "out of memory", ENGINE_OOM);
}

static int do_exit(struct engine *e, const char *rest)
{
    return ends(e, atoi(rest), NULL, ENGINE_EXIT);
}

static int do_crash(struct engine *e, const char *rest)
{
    (void)e;
    volatile uintptr_t nowhere = 16;
    if (strcmp(rest, "segv") == 0)
        *(volatile int *)nowhere = 1;
    if (strcmp(rest, "stack") == 0)
        for (;;)
            *(volatile char *)__builtin_alloca(4096) = 1;
    __builtin_trap();
}

static int do_syscall(struct engine *e, const char *rest)
{
    long a[7] = {0};
    char *at = (char *)(uintptr_t)rest, text[64];
    for (int i = 0; i < 7 && *at; i++)
        a[i] = (long)strtoull(at, &at, 0);
    long r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    snprintf(text, sizeof text, "syscall %ld: %ld", a[0], r < 0 ? -(long)errno : r);
    return fake_say(e, text);
}

static const struct fake_verb verbs[] = {
    {"print", do_print},   {"error", do_error},
    {"flood", do_flood},   {"busy", do_busy},
    {"hang", do_hang},     {"sleep", do_sleep},
    {"timer", do_timer},   {"every", do_every},
    {"burn", do_busy},     {"idle", do_idle},
    {"import", do_import}, {"thread", do_thread},
    {"post", do_post},     {"fail", do_fail},
    {"oom", do_oom},       {"exit", do_exit},
    {"crash", do_crash},   {"syscall", do_syscall},
    {"lie", do_lie},       {"garbage", do_garbage},
    {"keep", do_keep},     {"wide", do_wide},
    {"deep", do_deep},     {"slow", do_slow},
    {"nogc", do_nogc},     {NULL, NULL},
};

static const struct fake_verb *verb_of(const char *line, const char **ret_rest)
{
    size_t len = strcspn(line, " ");
    const struct fake_verb *const tables[] = {verbs, fake_debug_verbs};
    for (size_t t = 0; t < 2; t++)
        for (const struct fake_verb *v = tables[t]; v->name; v++)
            if (strlen(v->name) == len && strncmp(v->name, line, len) == 0) {
                *ret_rest = line + len + (line[len] == ' ');
                return v;
            }
    return NULL;
}

/* The line at *at without its newline; false at the end of the text. */
static bool next_line(const uint8_t *text, size_t bytes, size_t *at, char *line)
{
    if (*at >= bytes)
        return false;
    const char *start = (const char *)text + *at;
    const char *end = memchr(start, '\n', bytes - *at);
    size_t len = end ? (size_t)(end - start) : bytes - *at;
    *at += len + 1;
    snprintf(line, LINE_BYTES, "%.*s", (int)len, start);
    return true;
}

bool fake_line(const struct engine *e, unsigned number, char *line)
{
    size_t at = 0;
    while (number > 0 && next_line(e->program.text, e->program.text_bytes, &at, line))
        number--;
    return number == 0;
}

/* ---- engine_ops */

static int fake_init(void)
{
    return 0;
}

static void *helper(void *userdata)
{
    struct engine *e = userdata;
    sem_post(&e->helper_there);
    while (sem_wait(&e->helper_go) == 0 || errno == EINTR) {
        if (atomic_load(&e->lying)) {
            e->config.host_ops->safe_point(e->config.host);
            atomic_store(&e->lying, false);
            continue;
        }
        atomic_store(&e->woken, true);
        e->config.host_ops->wake(e->config.host);
    }
    return NULL;
}

static int fake_vm_new(const struct engine_config *config, struct engine **ret_engine)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->config = *config;
    fake_debug_init(e);
    sem_init(&e->helper_go, 0, 0);
    sem_init(&e->helper_there, 0, 0);
    int r = pthread_create(&e->helper, NULL, helper, e);
    if (r != 0) {
        free(e);
        return -r;
    }
    sem_wait(&e->helper_there);
    *ret_engine = e;
    return 0;
}

static bool check_text(struct engine *e, const char *path, const uint8_t *text, size_t bytes)
{
    char line[LINE_BYTES];
    const char *rest;
    unsigned number = 0;
    for (size_t at = 0; next_line(text, bytes, &at, line);) {
        number++;
        const struct fake_verb *v = verb_of(line, &rest);
        if (*line && !v) {
            char error[2 * LINE_BYTES];
            snprintf(error, sizeof error, "%s:%u:1: SyntaxError: %s", path, number, line);
            e->loading = false;
            e->config.host_ops->loaded(e->config.host, error);
            return false;
        }
        if (v && v->run == do_import && e->n_imports < FAKE_IMPORTS &&
            e->config.host_ops->import_request(e->config.host, number, rest) == 0)
            e->imports[e->n_imports++] = number;
    }
    return true;
}

static void loaded_if_complete(struct engine *e)
{
    if (!e->loading || e->n_imports > 0)
        return;
    e->loading = false;
    fake_debug_loaded(e);
    e->config.host_ops->loaded(e->config.host, NULL);
}

static int fake_load(struct engine *e, const struct engine_program *program)
{
    e->program = *program;
    e->loading = true;
    if (check_text(e, program->path, program->text, program->text_bytes))
        loaded_if_complete(e);
    return 0;
}

static int fake_import_answer(struct engine *e, uint64_t import_id, const char *error,
                              const uint8_t *text, size_t text_bytes)
{
    size_t i = 0;
    while (i < e->n_imports && e->imports[i] != import_id)
        i++;
    if (i == e->n_imports)
        return 0;
    e->imports[i] = e->imports[--e->n_imports];
    if (!e->loading)
        return 0;
    if (error) {
        e->loading = false;
        e->config.host_ops->loaded(e->config.host, error);
    } else if (check_text(e, "import", text, text_bytes)) {
        loaded_if_complete(e);
    }
    return 0;
}

int fake_run_line(struct engine *e, const char *line)
{
    const char *rest, *outer = e->verb;
    const struct fake_verb *v = verb_of(line, &rest);
    if (!v)
        return 0;
    e->verb = v->name;
    int r = v->run(e, rest);
    e->verb = outer;
    return r;
}

static int fake_run(struct engine *e)
{
    int r = fake_debug_run(e);
    e->ready = true;
    return r;
}

static int fake_run_jobs(struct engine *e)
{
    atomic_store(&e->woken, false);
    return fake_say(e, "woken");
}

static bool fake_jobs_ready(struct engine *e)
{
    return atomic_load(&e->woken);
}

static int fake_fire_timer(struct engine *e, uint64_t id)
{
    const char *text = e->timer_text[id - 1], *rest;
    return verb_of(text, &rest) ? fake_run_line(e, text) : fake_say(e, text);
}

static int fake_deliver(struct engine *e, const char *json, size_t len)
{
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "message %.*s", (int)len, json);
    return fake_say(e, line);
}

static int fake_call(struct engine *e, uint64_t call_id, const char *function,
                     const char *args_json, size_t args_len)
{
    if (strcmp(function, "exit") == 0)
        return do_exit(e, "0");
    bool echo = strcmp(function, "echo") == 0, busy = strcmp(function, "busy") == 0;
    if (!echo && !busy && strcmp(function, "throw") != 0)
        return -ENOENT;
    if (args_len < 2 || args_json[0] != '[')
        return -EINVAL;
    if (busy) {
        int r = fake_compute(e, now(e) + strtoull(args_json + 1, NULL, 10) * MS);
        if (r != 0)
            return r;
    }
    e->config.host_ops->call_done(e->config.host, call_id, echo || busy, args_json, args_len);
    return 0;
}

static bool fake_pending(struct engine *e)
{
    return e->idle || e->n_imports > 0;
}

static bool fake_ready(struct engine *e)
{
    return e->ready;
}

static int fake_exit_code(struct engine *e)
{
    return e->exit.code;
}

static struct engine_exit fake_exit_info(struct engine *e)
{
    return e->exit;
}

static void fake_interrupt(struct engine *e)
{
    atomic_store(&e->interrupted, true);
}

static uint64_t fake_heap_bytes(struct engine *e)
{
    uint64_t bytes = e->garbage_bytes;
    for (size_t i = 0; i < e->n_kept; i++)
        bytes += KEPT_BYTES * e->kept[i].count;
    return bytes;
}

/* Of a real clock: the guest's stands still. */
static int inspect(struct engine *e)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t start = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / MS, now;
    do {
        clock_gettime(CLOCK_MONOTONIC, &ts);
        now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / MS;
    } while (now - start < e->slow_ms);
    return e->nogc ? -ENOMEM : 0;
}

static int fake_gc(struct engine *e, uint64_t *ret_before_bytes, uint64_t *ret_after_bytes)
{
    int r = inspect(e);
    if (r < 0)
        return r;
    *ret_before_bytes = fake_heap_bytes(e);
    e->garbage_bytes = 0;
    *ret_after_bytes = fake_heap_bytes(e);
    return 0;
}

static int fake_census(struct engine *e, void (*each)(void *, const struct engine_class *),
                       void *userdata)
{
    int r = inspect(e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < e->n_kept; i++) {
        const struct kept *k = &e->kept[i];
        each(userdata, &(struct engine_class){k->name, k->count, KEPT_BYTES * k->count});
    }
    for (uint64_t i = 1; i <= e->wide; i++) {
        char name[LINE_BYTES];
        snprintf(name, sizeof name, "wide%04llu %0300d\n", (unsigned long long)i, 0);
        each(userdata, &(struct engine_class){name, 1, i});
    }
    return 0;
}

static int fake_stack(struct engine *e, size_t max_frames,
                      void (*each)(void *, const struct engine_frame *), void *userdata,
                      bool *ret_truncated)
{
    int r = inspect(e);
    if (r < 0)
        return r;
    const struct fake_debug *d = &e->debug;
    /* The verb that runs outside of any frame is one. */
    uint64_t own = d->depth > 0 ? d->depth : e->verb != NULL, frames = own + (own ? e->deep : 0);
    for (uint64_t i = 0; i < frames && i < max_frames; i++) {
        char name[LINE_BYTES];
        bool deep = i >= own;
        const struct fake_frame *f = i < d->depth ? d->stack[d->depth - 1 - i] : NULL;
        snprintf(name, sizeof name, "deep%04llu %0300d", (unsigned long long)i, 0);
        each(userdata, &(struct engine_frame){.kind = deep ? ENGINE_FRAME_WASM : ENGINE_FRAME_JS,
                                              .function = deep     ? name
                                                          : i == 0 ? e->verb
                                                          : f      ? f->function
                                                                   : "",
                                              .url = e->program.path,
                                              .line = f ? f->line : 0,
                                              .column = f ? 1 : 0,
                                              .offset = deep ? i : 0});
    }
    *ret_truncated = frames > max_frames;
    return 0;
}

static struct engine *fake_vm_free(struct engine *e)
{
    free(e);
    return NULL;
}

const struct engine_ops *engine_ops_get(void)
{
    static const struct engine_ops ops = {
        .name = "fake",
        .version = "1",
        .init = fake_init,
        .vm_new = fake_vm_new,
        .load = fake_load,
        .import_answer = fake_import_answer,
        .run = fake_run,
        .run_jobs = fake_run_jobs,
        .jobs_ready = fake_jobs_ready,
        .fire_timer = fake_fire_timer,
        .deliver = fake_deliver,
        .call = fake_call,
        .pending = fake_pending,
        .ready = fake_ready,
        .exit_code = fake_exit_code,
        .exit_info = fake_exit_info,
        .interrupt = fake_interrupt,
        .interrupt_here = fake_interrupt,
        .gc = fake_gc,
        .census = fake_census,
        .stack = fake_stack,
        .debug = &fake_debug_ops,
        .vm_free = fake_vm_free,
    };
    return &ops;
}

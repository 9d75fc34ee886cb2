#include "tests/hostile/hostile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_BYTES 8192

static int hostile_init(void)
{
    return 0;
}

static void *helper(void *userdata)
{
    struct engine *e = userdata;
    sem_post(&e->helper_there);
    for (;;) {
        while (sem_wait(&e->helper_go) < 0)
            ;
        (void)e->helper_act(e, e->helper_rest);
        sem_post(&e->helper_done);
    }
    return NULL;
}

static int hostile_vm_new(const struct engine_config *config, struct engine **ret_engine)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->config = *config;
    e->host = config->host;
    e->pidfd = e->memfd = -1;
    sem_init(&e->helper_go, 0, 0);
    sem_init(&e->helper_there, 0, 0);
    sem_init(&e->helper_done, 0, 0);
    int r = pthread_create(&e->helper, NULL, helper, e);
    if (r != 0) {
        free(e);
        return -r;
    }
    while (sem_wait(&e->helper_there) < 0)
        ;
    if (config->debug)
        e->pre = act_probe_sandbox(e);
    *ret_engine = e;
    return 0;
}

static int hostile_load(struct engine *e, const struct engine_program *program)
{
    e->program = *program;
    /* What is to be done while it loads, when no guest code may run. */
    static const char early[] = "early ";
    if (program->text_bytes > sizeof early && memcmp(program->text, early, sizeof early - 1) == 0) {
        char line[LINE_BYTES];
        snprintf(line, sizeof line, "%.*s",
                 (int)strcspn((const char *)program->text + sizeof early - 1, "\n"),
                 (const char *)program->text + sizeof early - 1);
        (void)act_run(e, line);
    }
    e->config.host_ops->loaded(e->config.host, NULL);
    return 0;
}

static int hostile_import_answer(struct engine *e, uint64_t import_id, const char *error,
                                 const uint8_t *text, size_t text_bytes)
{
    (void)e, (void)import_id, (void)error, (void)text, (void)text_bytes;
    return 0;
}

static int hostile_run(struct engine *e)
{
    const char *at = (const char *)e->program.text, *end = at + e->program.text_bytes;
    int r = 0;
    while (r == 0 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) : (size_t)(end - at);
        char *line = strndup(at, len);
        if (!line)
            return -ENOMEM;
        r = strncmp(line, "early ", 6) == 0 ? 0 : act_run(e, line);
        free(line);
        at += len + 1;
    }
    return r;
}

static int hostile_no_op(struct engine *e)
{
    (void)e;
    return 0;
}

static bool hostile_no_jobs(struct engine *e)
{
    (void)e;
    return false;
}

static int hostile_fire_timer(struct engine *e, uint64_t id)
{
    (void)e, (void)id;
    return 0;
}

static int hostile_deliver(struct engine *e, const char *json, size_t len)
{
    char *line = strndup(json, len);
    if (!line)
        return -ENOMEM;
    /* A message is an act, as a JSON string without escapes. */
    size_t n = strlen(line);
    if (n >= 2 && line[0] == '"')
        line[n - 1] = '\0';
    int r = act_run(e, line[0] == '"' ? line + 1 : line);
    free(line);
    return r;
}

static int hostile_call(struct engine *e, uint64_t call_id, const char *function,
                        const char *args_json, size_t args_len)
{
    if (strcmp(function, "echo") != 0)
        return -ENOENT;
    e->config.host_ops->call_done(e->config.host, call_id, true, args_json, args_len);
    return 0;
}

static bool hostile_pending(struct engine *e)
{
    return e->idle;
}

static bool hostile_ready(struct engine *e)
{
    (void)e;
    return true;
}

static struct engine_exit hostile_exit_info(struct engine *e)
{
    return e->exit;
}

static void hostile_interrupt(struct engine *e)
{
    (void)e; /* is ignored */
}

static int hostile_gc(struct engine *e, uint64_t *ret_before_bytes, uint64_t *ret_after_bytes)
{
    (void)e;
    *ret_before_bytes = 0;
    *ret_after_bytes = UINT64_MAX;
    return 0;
}

static int hostile_census(struct engine *e, void (*each)(void *, const struct engine_class *),
                          void *userdata)
{
    (void)e;
    each(userdata, &(struct engine_class){"x\n\x1b[2J", UINT64_MAX, UINT64_MAX});
    return 0;
}

static int hostile_stack(struct engine *e, size_t max_frames,
                         void (*each)(void *, const struct engine_frame *), void *userdata,
                         bool *ret_truncated)
{
    (void)e, (void)max_frames;
    each(userdata, &(struct engine_frame){.kind = ENGINE_FRAME_JS,
                                          .function = "f\n\x1b[2J",
                                          .url = "../../../etc/passwd",
                                          .line = UINT32_MAX});
    *ret_truncated = true;
    return 0;
}

static struct engine *hostile_vm_free(struct engine *e)
{
    free(e);
    return NULL;
}

const struct engine_ops *engine_ops_get(void)
{
    static const struct engine_ops ops = {
        .name = "hostile",
        .version = "1",
        .init = hostile_init,
        .vm_new = hostile_vm_new,
        .load = hostile_load,
        .import_answer = hostile_import_answer,
        .run = hostile_run,
        .run_jobs = hostile_no_op,
        .jobs_ready = hostile_no_jobs,
        .fire_timer = hostile_fire_timer,
        .deliver = hostile_deliver,
        .call = hostile_call,
        .pending = hostile_pending,
        .ready = hostile_ready,
        .exit_code = hostile_no_op,
        .exit_info = hostile_exit_info,
        .interrupt = hostile_interrupt,
        .gc = hostile_gc,
        .census = hostile_census,
        .stack = hostile_stack,
        .vm_free = hostile_vm_free,
    };
    return &ops;
}

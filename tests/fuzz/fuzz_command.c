/*
 * The worker's side of its channel: packets of commands with memfds, taken by the real dispatch,
 * and inspections served by the real look and auditors over an engine whose texts are out of the
 * input, too. Whatever the command and whatever the guest's names are, the daemon's door takes the
 * answers.
 *
 * Input: length and text that the engine shows; then packets: flags, length, a Command. Flags: 1
 * with a memfd, whose length and bytes come next; 2 that is not sealed; 4 serve what waits after
 * it; 8 the VM is starting; 16 the guest posts a message first, whose length comes next; 32 the
 * worker waits for the packet; 64 the daemon does not read what comes up; 128 it hangs up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "proto/parts.h"
#include "tests/fuzz/fuzz.h"
#include "worker/dispatch.h"

#define FLAG_MEMFD 1u
#define FLAG_UNSEALED 2u
#define FLAG_SERVE 4u
#define FLAG_STARTING 8u
#define FLAG_POST 16u
#define FLAG_WAIT 32u
#define FLAG_UNREAD 64u
#define FLAG_HANG_UP 128u
#define ROWS 3u
/* The number that evaluations of a corpus have. */
#define EVALUATION UINT64_C(7)

/* ---- an engine that shows what it was told to */

struct engine {
    const char *text;
};

static const struct engine_value *value(struct engine *e)
{
    static struct engine_value v;
    v = (struct engine_value){.type = ENGINE_VALUE_STRING,
                              .preview = e->text,
                              .class_name = e->text,
                              .ref = 5,
                              .text = e->text,
                              .text_bytes = strlen(e->text)};
    return &v;
}

static struct engine_place place(struct engine *e)
{
    return (struct engine_place){.url = e->text, .line = 3, .column = 1};
}

static int gc(struct engine *e, uint64_t *ret_before_bytes, uint64_t *ret_after_bytes)
{
    *ret_before_bytes = *ret_after_bytes = strlen(e->text);
    return 0;
}

static int census(struct engine *e, void (*each)(void *userdata, const struct engine_class *class_),
                  void *userdata)
{
    each(userdata, &(const struct engine_class){e->text, 1, 2});
    return 0;
}

static int frames(struct engine *e, uint32_t first, uint32_t max,
                  void (*each)(void *, const struct engine_frame *), void *userdata,
                  uint32_t *ret_next)
{
    uint32_t at = first;
    for (; at < ROWS && at - first < max; at++)
        each(userdata,
             &(const struct engine_frame){
                 .kind = ENGINE_FRAME_JS, .function = e->text, .url = e->text, .line = at + 1});
    *ret_next = at < ROWS ? at : 0;
    return 0;
}

static int stack(struct engine *e, size_t max_frames,
                 void (*each)(void *userdata, const struct engine_frame *frame), void *userdata,
                 bool *ret_truncated)
{
    uint32_t next;
    int r = frames(e, 0, (uint32_t)max_frames, each, userdata, &next);
    *ret_truncated = next != 0;
    return r;
}

static int scopes(struct engine *e, uint32_t frame,
                  void (*each)(void *, const struct engine_scope *), void *userdata)
{
    if (frame >= ROWS)
        return -ENOENT;
    each(userdata, &(const struct engine_scope){"block", 1, 2, e->text});
    return 0;
}

static int variables(struct engine *e, uint64_t ref, uint32_t first, uint32_t max, bool run_getters,
                     void (*each)(void *, const struct engine_named_value *), void *userdata,
                     uint32_t *ret_next, uint32_t *ret_total)
{
    (void)first, (void)max;
    if (ref == 0)
        return -ENOENT;
    each(userdata, &(const struct engine_named_value){
                       .name = e->text, .value = *value(e), .getter = !run_getters});
    *ret_next = 0;
    *ret_total = 1;
    return 0;
}

static int arguments(struct engine *e, uint32_t frame,
                     void (*each)(void *, const struct engine_named_value *), void *userdata)
{
    (void)frame;
    each(userdata, &(const struct engine_named_value){.name = e->text, .value = *value(e)});
    return 0;
}

static int variable(struct engine *e, uint32_t frame, const char *name, bool with_ref,
                    void (*each)(void *, const struct engine_value *), void *userdata)
{
    (void)frame, (void)with_ref;
    if (strcmp(name, e->text) == 0)
        return -ENOENT;
    each(userdata, value(e));
    return 0;
}

static int hit_value(struct engine *e, bool with_ref,
                     void (*each)(void *, const struct engine_value *), void *userdata)
{
    (void)with_ref;
    each(userdata, value(e));
    return 0;
}

static int evaluate(struct engine *e, uint32_t frame, uint64_t realm, const char *expression,
                    bool audited, bool with_ref,
                    void (*each)(void *, bool, const struct engine_value *, const char *),
                    void *userdata)
{
    (void)frame, (void)realm, (void)audited, (void)with_ref;
    each(userdata, expression[0] == 't', value(e), "1");
    return 0;
}

static int assign(struct engine *e, uint32_t frame, const char *name, const char *expression,
                  void (*each)(void *, bool, const struct engine_value *, const char *),
                  void *userdata, const char **ret_why)
{
    if (name[0] == 'c') {
        *ret_why = "is a constant";
        return -EOPNOTSUPP;
    }
    return evaluate(e, frame, 0, expression, false, true, each, userdata);
}

static int condition(struct engine *e, const char *expression, bool *ret_true,
                     const char **ret_error)
{
    *ret_true = expression[0] != 'f';
    *ret_error = expression[0] == 't' ? e->text : NULL;
    return 0;
}

static int check_expression(struct engine *e, const char *expression, const char **ret_error)
{
    *ret_error = e->text;
    return expression[0] == '(' ? -EINVAL : 0;
}

static int sources(struct engine *e, uint32_t first, uint32_t max,
                   void (*each)(void *, const struct engine_source *), void *userdata,
                   uint32_t *ret_next)
{
    (void)max;
    if (first == 0)
        each(userdata,
             &(const struct engine_source){1, e->text, "script", strlen(e->text), e->text, 1});
    *ret_next = 0;
    return 0;
}

static int source_text(struct engine *e, uint64_t source, const char *url, uint64_t first_byte,
                       uint32_t max_bytes,
                       void (*each)(void *, const struct engine_source *, const void *, size_t),
                       void *userdata)
{
    size_t n = strlen(e->text), from = first_byte < n ? (size_t)first_byte : n;
    if (source > 1 || (source == 0 && !url))
        return -ENOENT;
    each(userdata, &(const struct engine_source){1, e->text, "script", n, "", 1}, e->text + from,
         n - from < max_bytes ? n - from : max_bytes);
    return 0;
}

static int positions(struct engine *e, uint64_t source, const char *url, uint32_t line,
                     uint32_t line_to, uint32_t column, uint64_t offset, bool all,
                     void (*each)(void *, uint64_t, uint64_t, uint64_t, const struct engine_place *,
                                  const char *),
                     void *userdata)
{
    (void)source, (void)url, (void)line_to, (void)column, (void)offset, (void)all;
    const struct engine_place at = place(e);
    if (line > 100)
        return 0;
    each(userdata, 1, 1, 4, &at, e->text);
    return 1;
}

static int memory(struct engine *e, uint32_t frame, uint32_t index, uint64_t address, void *read,
                  const void *write, size_t len, uint64_t *ret_memory_bytes)
{
    (void)e, (void)frame, (void)index;
    static uint8_t bytes[4096];
    *ret_memory_bytes = sizeof bytes;
    if (address > sizeof bytes || len > sizeof bytes - address)
        return -ERANGE;
    if (read)
        memcpy(read, bytes + address, len);
    if (write)
        memcpy(bytes + address, write, len);
    return 0;
}

static int watch_realms(struct engine *e, bool on)
{
    (void)e, (void)on;
    return 0;
}

static int realms(struct engine *e, void (*each)(void *userdata, uint64_t realm, const char *label),
                  void *userdata)
{
    each(userdata, 1, e->text);
    return 0;
}

static int audit(struct engine *e, enum engine_audit_kind kind, uint64_t referent, uint64_t offset,
                 bool on)
{
    (void)e, (void)offset, (void)on;
    return kind == ENGINE_AUDIT_NEW_PROMISE && referent > 9 ? -EOPNOTSUPP : 0;
}

static int frame_id(struct engine *e, uint32_t frame, uint64_t *ret_frame, uint64_t *ret_realm)
{
    (void)e;
    *ret_frame = frame + 1;
    *ret_realm = 1;
    return frame < ROWS ? 0 : -ENOENT;
}

static int frame_index(struct engine *e, uint64_t frame, uint32_t *ret_index)
{
    (void)e;
    *ret_index = (uint32_t)frame - 1;
    return frame > 0 && frame <= ROWS ? 0 : -ENOENT;
}

static void resume(struct engine *e)
{
    (void)e;
}

static const struct engine_debug_ops debug_ops = {
    .watch_realms = watch_realms,
    .realms = realms,
    .audit = audit,
    .frame_id = frame_id,
    .frame_index = frame_index,
    .positions = positions,
    .frames = frames,
    .scopes = scopes,
    .variables = variables,
    .arguments = arguments,
    .variable = variable,
    .hit_value = hit_value,
    .evaluate = evaluate,
    .assign = assign,
    .condition = condition,
    .check_expression = check_expression,
    .sources = sources,
    .source_text = source_text,
    .memory = memory,
    .resume = resume,
};

static const struct engine_ops ops = {
    .name = "fuzz",
    .gc = gc,
    .census = census,
    .stack = stack,
    .debug = &debug_ops,
};

/* ---- the worker */

struct worker {
    struct parts parts; /* of the next fact */
    struct world_page world;
    struct command_page command;
    struct status_page status;
    struct engine engine;
    struct daemon_channel channel;
    struct safepoint safepoint;
    struct host host;
    struct dispatch dispatch;
    int daemon_end, worker_end, kick;
    bool hung_up;   /* the daemon has */
    uint64_t known; /* the last fact that the daemon has read */
};

static void worker_init(struct worker *w, const char *text)
{
    int pair[2];
    *w = (struct worker){.engine = {text}};
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    w->daemon_end = pair[0];
    w->worker_end = pair[1];
    w->kick = eventfd(0, EFD_CLOEXEC);
    SHM_STORE(&w->world.word, shm_world_word(1, false));
    SHM_STORE(&w->command.evaluation, EVALUATION);
    struct dispatch *d = &w->dispatch;
    FUZZ_REQUIRE(daemon_channel_init(&w->channel, w->worker_end, dispatch_command, d) == 0);
    safepoint_init(&w->safepoint, &w->world, &w->command, &w->status, w->kick, &w->channel);
    w->safepoint.ops = &ops;
    w->safepoint.engine = &w->engine;
    w->safepoint.state = SHM_RUNNING;
    FUZZ_REQUIRE(host_init(&w->host, &w->channel, &w->safepoint) == 0);
    *d = (struct dispatch){.ops = &ops,
                           .engine = &w->engine,
                           .channel = &w->channel,
                           .safepoint = &w->safepoint,
                           .host = &w->host};
    inspections_init(&d->inspections, &ops, &w->engine, &w->channel, &w->safepoint);
    look_init(&d->look, &ops, &w->engine, &w->safepoint, &d->inspections);
    pauses_init(&d->pauses, &w->host);
    auditors_init(&d->auditors, &ops, &w->engine, &w->host, &d->pauses);
    auditors_serve(&d->auditors, &d->inspections);
    w->host.auditors = &d->auditors;
}

static void worker_done(struct worker *w)
{
    struct dispatch *d = &w->dispatch;
    struct import_answer *a;
    while ((a = imports_take(&w->host.imports)) != NULL) {
        if (a->text)
            fd_memfd_unmap(a->text, a->text_bytes);
        import_answer_free(a);
    }
    /* One at a time where the daemon is gone. */
    while (d->inspections.n > 0)
        (void)inspections_refuse(&d->inspections, "over");
    auditors_done(&d->auditors);
    pauses_done(&d->pauses);
    host_done(&w->host);
    if (d->program.text)
        fd_memfd_unmap(d->program.text, d->program.text_bytes);
    free(d->program_path);
    daemon_channel_done(&w->channel);
    parts_done(&w->parts);
    close(w->daemon_end);
    close(w->worker_end);
    close(w->kick);
}

/* One that has come before comes again after TakeOver. */
static bool is_known(const struct worker *w, const uint8_t *packet, size_t n)
{
    Stillpoint__Worker__Fact *m = stillpoint__worker__fact__unpack(NULL, n, packet);
    bool known = m && m->seq <= w->known;
    if (m)
        stillpoint__worker__fact__free_unpacked(m, NULL);
    return known;
}

/* What came up, past the daemon's door. */
static void take_facts(struct worker *w)
{
    static uint8_t packet[LIMIT_PACKET_BYTES];
    for (;;) {
        int beside;
        size_t n_fds = 0;
        struct worker_fact fact;
        const char *why;
        ssize_t n = fd_receive(w->daemon_end, packet, sizeof packet, NULL, &n_fds);
        if (n == -EAGAIN || (n == 0 && w->hung_up))
            return;
        FUZZ_REQUIRE(n > 0);
        if (is_known(w, packet, (size_t)n))
            continue;
        FUZZ_REQUIRE(parts_take(&w->parts, packet, (size_t)n, &beside) == 0);
        int r = check_worker_fact(packet, (size_t)n, &beside, beside >= 0, &fact, &why);
        if (beside >= 0)
            close(beside);
        if (r == 0 && fact.kind == FACT_PART && (why = parts_add(&w->parts, &fact.part)) != NULL)
            r = -1;
        if (r < 0)
            fuzz_fail(why, __FILE__, __LINE__);
        FUZZ_REQUIRE(fact.seq == ++w->known);
        check_worker_done(&fact);
    }
}

/* ---- the daemon's commands */

static void send_command(struct worker *w, const uint8_t *data, size_t n, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    FUZZ_REQUIRE(fd_send(w->daemon_end, &iov, 1, &fd, fd >= 0 ? 1 : 0) == (ssize_t)n);
    if (fd >= 0)
        close(fd);
}

static int memfd_of(unsigned flags, struct fuzz_input *in)
{
    size_t n;
    const uint8_t *data = fuzz_bytes(in, fuzz_u16(in), &n);
    if (!(flags & FLAG_UNSEALED))
        return fd_memfd_new("file", data, n);
    int fd = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FUZZ_REQUIRE(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    return fd;
}

/* The daemon acknowledges only what it has read. An ack of what was never said ends the channel at
 * once, and most inputs with it: so every other of those is made to fit, too. */
static void fit(const struct worker *w, uint64_t *ack)
{
    if (*ack > w->known && (*ack <= w->channel.last_seq || *ack % 2 == 1))
        *ack = w->known;
}

static uint8_t *prepared(struct worker *w, const uint8_t *data, size_t n, size_t *ret_bytes)
{
    Stillpoint__Worker__Command *m = stillpoint__worker__command__unpack(NULL, n, data);
    *ret_bytes = n;
    if (!m)
        return fuzz_copy(data, n);
    fit(w, &m->ack);
    if (m->body_case == STILLPOINT__WORKER__COMMAND__BODY_TAKE_OVER)
        fit(w, &m->take_over->last_seq);
    *ret_bytes = stillpoint__worker__command__get_packed_size(m);
    uint8_t *packed = malloc(*ret_bytes + 1);
    FUZZ_REQUIRE(packed);
    stillpoint__worker__command__pack(m, packed);
    stillpoint__worker__command__free_unpacked(m, NULL);
    return packed;
}

/* What guest code has to say, of any length. It waits while the daemon is too far behind, so what
 * is kept stays within its bound. */
static void post(struct worker *w, size_t n)
{
    static char text[LIMIT_JSON_BYTES + 1];
    if (text[0] == 0)
        memset(text, '7', sizeof text);
    if (daemon_channel_congested(&w->channel))
        return;
    int r = messages_post(&w->host.messages, text, n);
    FUZZ_REQUIRE(n > LIMIT_JSON_BYTES ? r == -EMSGSIZE : r == 0 || (r == -EPIPE && w->hung_up));
    FUZZ_REQUIRE(w->channel.kept_bytes <= LIMIT_FACT_BUFFER_BYTES);
    FUZZ_REQUIRE(r < 0 || !daemon_channel_settled(&w->channel));
}

static void hang_up(struct worker *w)
{
    FUZZ_REQUIRE(shutdown(w->daemon_end, SHUT_RDWR) == 0);
    w->hung_up = true;
}

/* The worker's turn. */
static int take(struct worker *w, unsigned flags, bool sent)
{
    if (!(flags & FLAG_WAIT))
        return daemon_channel_drain(&w->channel);
    bool kicked = eventfd_write(w->kick, 1) == 0 && flags & FLAG_SERVE;
    int r = daemon_channel_wait(&w->channel, kicked ? w->kick : -1, 0);
    if (r == -ETIMEDOUT)
        FUZZ_REQUIRE(!sent && !kicked && !w->hung_up);
    if (r == 1)
        FUZZ_REQUIRE(kicked);
    return r == -ETIMEDOUT || r == 1 ? 0 : r;
}

static int step(struct worker *w, struct fuzz_input *in)
{
    unsigned flags = fuzz_u8(in);
    size_t n, bytes;
    const uint8_t *command = fuzz_bytes(in, fuzz_u16(in), &n);
    int fd = flags & FLAG_MEMFD ? memfd_of(flags, in) : -1;
    if (flags & FLAG_POST)
        post(w, fuzz_u16(in) * (size_t)16);
    uint8_t *packet = prepared(w, command, n, &bytes);
    w->safepoint.state = flags & FLAG_STARTING ? SHM_STARTING : SHM_RUNNING;
    /* An empty packet is the end of a channel. */
    if (bytes > 0)
        send_command(w, packet, bytes, fd);
    else if (fd >= 0)
        close(fd);
    free(packet);
    if (flags & FLAG_HANG_UP)
        hang_up(w);
    int r = take(w, flags, bytes > 0);
    if (r == 0)
        fuzz_accepted();
    else
        fuzz_refused();
    if (r == 0 && flags & FLAG_SERVE) {
        w->safepoint.state = SHM_PARKED;
        FUZZ_REQUIRE(inspections_serve(&w->dispatch.inspections) == 0);
    }
    if (!(flags & FLAG_UNREAD))
        take_facts(w);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    static struct worker w;
    fuzz_fds_note();
    char *text = fuzz_text(&in, fuzz_u16(&in) % 1024);
    worker_init(&w, text);
    while (in.left > 0 && step(&w, &in) == 0)
        ;
    worker_done(&w);
    free(text);
    fuzz_fds_require();
    return 0;
}

#include "proto/check_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "proto/limits.h"
#include "proto/unpack.h"
#include "proto/worker.pb-c.h"

/* One line, bounded, without control characters (U+0080 to U+009F are such, too). */
static bool line_ok(const char *s, size_t max)
{
    size_t len = strlen(s);
    if (len > max || !text_is_utf8(s, len))
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f ||
            ((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0))
            return false;
    return true;
}

/* A text for people. NULL stays NULL. */
static bool detail_ok(const char *s)
{
    return !s || line_ok(s, LIMIT_DETAIL_BYTES);
}

static bool layer_name_ok(const char *s)
{
    return s && *s && strlen(s) <= 32 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* A JSON text or the like, in the packet or in the memfd beside it. */
static const char *take_text(struct worker_fact *f, bool in_memfd, const ProtobufCBinaryData *data,
                             const int *fds, size_t n_fds, struct worker_text *ret)
{
    if (!in_memfd) {
        if (n_fds != 0)
            return "fact carries a descriptor that it does not announce";
        *ret = (struct worker_text){(const char *)data->data, data->len};
    } else {
        if (n_fds != 1)
            return "fact announces a memfd and carries none";
        if (fd_memfd_map(fds[0], LIMIT_JSON_BYTES, &f->mapped, &f->mapped_bytes) < 0)
            return "fact carries something that is not a sealed memfd of a fair size";
        *ret = (struct worker_text){(const char *)f->mapped, f->mapped_bytes};
    }
    return text_is_utf8(ret->text, ret->len) ? NULL : "text is not UTF-8";
}

static const char *check_born(const Stillpoint__Worker__Born *m, struct worker_fact *f)
{
    if (!detail_ok(m->error))
        return "error text is malformed";
    if (m->n_posture > WORKER_MAX_LAYERS)
        return "too many layers";
    f->born.error = m->error;
    for (size_t i = 0; i < m->n_posture; i++) {
        const Stillpoint__Worker__Layer *l = m->posture[i];
        if (!layer_name_ok(l->name) || !l->has_state || l->state > 2)
            return "layer is malformed";
        f->born.layers[f->born.n_layers++] = (struct worker_layer){l->name, l->state};
    }
    return NULL;
}

static const char *check_console(const Stillpoint__Worker__Console *m, struct worker_fact *f)
{
    if (m->stream != 1 && m->stream != 2)
        return "no such stream";
    if (m->level >= WORKER_LEVELS)
        return "no such level";
    if (m->data.len > LIMIT_CONSOLE_CHUNK_BYTES)
        return "console text is too long";
    f->console.stream = m->stream;
    f->console.level = m->level;
    f->console.data = (struct worker_text){(const char *)m->data.data, m->data.len};
    f->console.mono_ns = m->mono_ns;
    return NULL;
}

static const char *check_exiting(const Stillpoint__Worker__Exiting *m, struct worker_fact *f)
{
    if (m->reason < WORKER_EXITED || m->reason > WORKER_OOM)
        return "no such exit reason";
    if (m->code > 255)
        return "exit code is out of range";
    if (!detail_ok(m->detail))
        return "detail is malformed";
    f->exiting.reason = (enum worker_exit_reason)m->reason;
    f->exiting.code = m->code;
    f->exiting.detail = m->detail;
    return NULL;
}

/* ---- Inspected */

/* A text of a class or a frame; what is not there is empty. */
static bool inspect_text(const char *s, const char **ret)
{
    *ret = s ? s : "";
    return line_ok(*ret, LIMIT_INSPECT_TEXT_BYTES);
}

static const char *take_classes(const Stillpoint__Worker__InspectedBody *m, struct worker_fact *f)
{
    if (m->n_classes > LIMIT_INSPECT_CLASSES)
        return "too many classes";
    struct worker_class *classes = calloc(m->n_classes + 1, sizeof *classes);
    if (!classes)
        return "classes need more memory than there is";
    f->rows[0] = classes;
    for (size_t i = 0; i < m->n_classes; i++) {
        const Stillpoint__Worker__ClassCount *c = m->classes[i];
        if (!inspect_text(c->class_name, &classes[i].name) || !*classes[i].name)
            return "class name is malformed";
        classes[i].count = c->count;
        classes[i].bytes = c->bytes;
    }
    f->inspected.n_classes = m->n_classes;
    f->inspected.classes = classes;
    return NULL;
}

static const char *take_frames(const Stillpoint__Worker__InspectedBody *m, struct worker_fact *f)
{
    if (m->n_frames > LIMIT_INSPECT_FRAMES)
        return "too many frames";
    struct worker_frame *frames = calloc(m->n_frames + 1, sizeof *frames);
    if (!frames)
        return "frames need more memory than there is";
    f->rows[1] = frames;
    for (size_t i = 0; i < m->n_frames; i++) {
        const Stillpoint__Worker__Frame *w = m->frames[i];
        if (w->kind < WORKER_FRAME_JS || w->kind > WORKER_FRAME_HOST)
            return "no such kind of frame";
        if (!inspect_text(w->function, &frames[i].function) ||
            !inspect_text(w->url, &frames[i].url))
            return "text of a frame is malformed";
        frames[i].kind = (enum worker_frame_kind)w->kind;
        frames[i].line = w->line;
        frames[i].column = w->column;
        frames[i].offset = w->offset;
    }
    f->inspected.n_frames = m->n_frames;
    f->inspected.frames = frames;
    return NULL;
}

static const char *take_inspected_body(const Stillpoint__Worker__InspectedBody *m,
                                       struct worker_fact *f)
{
    f->inspected.before_bytes = m->before_bytes;
    f->inspected.after_bytes = m->after_bytes;
    f->inspected.truncated = m->truncated;
    const char *why = take_classes(m, f);
    return why ? why : take_frames(m, f);
}

/* The body out of the memfd beside the packet. */
static const char *unpack_inspected_body(struct worker_fact *f, const int *fds, size_t n_fds)
{
    const uint8_t *data;
    size_t bytes;
    const char *why = NULL;
    if (n_fds != 1)
        return "fact announces a memfd and carries none";
    if (fd_memfd_map(fds[0], LIMIT_INSPECT_BYTES, &data, &bytes) < 0)
        return "fact carries something that is not a sealed memfd of a fair size";
    f->body = unpack_message(&stillpoint__worker__inspected_body__descriptor, data, bytes, &why);
    fd_memfd_unmap(data, bytes);
    return f->body ? NULL : why;
}

static const char *check_inspected(const Stillpoint__Worker__Inspected *m, const int *fds,
                                   size_t n_fds, struct worker_fact *f)
{
    if (!detail_ok(m->error))
        return "error text is malformed";
    if ((m->error != NULL) + (m->in_memfd != 0) + (m->body != NULL) > 1)
        return "answer has a body that it should not have";
    if (!m->in_memfd && n_fds != 0)
        return "fact carries a descriptor that it does not announce";
    f->inspected.request = m->request;
    f->inspected.error = m->error;
    const char *why = m->in_memfd ? unpack_inspected_body(f, fds, n_fds) : NULL;
    const Stillpoint__Worker__InspectedBody *body = m->in_memfd ? f->body : m->body;
    return why || !body ? why : take_inspected_body(body, f);
}

/* The message's body into the fact; returns why not, or NULL. */
static const char *check_body(const Stillpoint__Worker__Fact *m, const int *fds, size_t n_fds,
                              struct worker_fact *f)
{
    bool takes_fd = false;
    const char *why = NULL;
    switch (m->body_case) {
    case STILLPOINT__WORKER__FACT__BODY_BORN:
        f->kind = FACT_BORN;
        why = check_born(m->born, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_LOADED:
        f->kind = FACT_LOADED;
        f->loaded.error = m->loaded->error;
        why = detail_ok(m->loaded->error) ? NULL : "error text is malformed";
        break;
    case STILLPOINT__WORKER__FACT__BODY_READY:
        f->kind = FACT_READY;
        break;
    case STILLPOINT__WORKER__FACT__BODY_CONSOLE:
        f->kind = FACT_CONSOLE;
        why = check_console(m->console, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_IMPORT_WANTED:
        f->kind = FACT_IMPORT_WANTED;
        f->import_wanted.import_id = m->import_wanted->import_id;
        f->import_wanted.path = m->import_wanted->path;
        if (!m->import_wanted->path ||
            !text_is_bundle_path(m->import_wanted->path, LIMIT_PATH_BYTES))
            why = "import path is malformed";
        break;
    case STILLPOINT__WORKER__FACT__BODY_CALL_DONE:
        f->kind = FACT_CALL_DONE;
        f->call_done.call_id = m->call_done->call_id;
        f->call_done.ok = m->call_done->ok;
        f->call_done.no_such_function = m->call_done->no_such_function;
        takes_fd = true;
        why = take_text(f, m->call_done->in_memfd, &m->call_done->text, fds, n_fds,
                        &f->call_done.text);
        break;
    case STILLPOINT__WORKER__FACT__BODY_POSTED:
        f->kind = FACT_POSTED;
        takes_fd = true;
        why = take_text(f, m->posted->in_memfd, &m->posted->json, fds, n_fds, &f->posted);
        break;
    case STILLPOINT__WORKER__FACT__BODY_STDIN_WANTED:
        f->kind = FACT_STDIN_WANTED;
        f->stdin_wanted.max_bytes = m->stdin_wanted->max_bytes;
        if (m->stdin_wanted->max_bytes == 0 || m->stdin_wanted->max_bytes > LIMIT_STDIN_CHUNK_BYTES)
            why = "stdin request is out of range";
        break;
    case STILLPOINT__WORKER__FACT__BODY_EXITING:
        f->kind = FACT_EXITING;
        why = check_exiting(m->exiting, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_INSPECTED:
        f->kind = FACT_INSPECTED;
        takes_fd = true;
        why = check_inspected(m->inspected, fds, n_fds, f);
        break;
    default:
        return "no such fact";
    }
    if (!why && !takes_fd && n_fds != 0)
        why = "fact carries a descriptor";
    return why;
}

int check_worker_fact(const uint8_t *data, size_t bytes, const int *fds, size_t n_fds,
                      struct worker_fact *ret_fact, const char **ret_why)
{
    struct worker_fact f = {0};
    f.message = unpack_message(&stillpoint__worker__fact__descriptor, data, bytes, ret_why);
    if (!f.message)
        return -EPROTO;
    const Stillpoint__Worker__Fact *m = f.message;
    f.seq = m->seq;
    const char *why = f.seq == 0 ? "fact has no number" : check_body(m, fds, n_fds, &f);
    if (why) {
        check_worker_done(&f);
        *ret_why = why;
        return -EPROTO;
    }
    *ret_fact = f;
    return 0;
}

void check_worker_done(struct worker_fact *fact)
{
    unpack_free(fact->message);
    unpack_free(fact->body);
    free(fact->rows[0]);
    free(fact->rows[1]);
    if (fact->mapped)
        fd_memfd_unmap(fact->mapped, fact->mapped_bytes);
    *fact = (struct worker_fact){0};
}

#include "proto/check_worker.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "proto/limits.h"
#include "proto/unpack.h"
#include "proto/worker.pb-c.h"

/* A text for people: one line, bounded, printable. NULL stays NULL. */
static bool detail_ok(const char *s)
{
    if (!s)
        return true;
    size_t len = strlen(s);
    if (len > LIMIT_DETAIL_BYTES || !text_is_utf8(s, len))
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
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
    if (fact->mapped)
        fd_memfd_unmap(fact->mapped, fact->mapped_bytes);
    *fact = (struct worker_fact){0};
}

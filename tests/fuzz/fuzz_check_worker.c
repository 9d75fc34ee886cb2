/*
 * The door for what workers say: a packet and the descriptors beside it. What passes has nothing in
 * it that a later part would have to look at again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "tests/fuzz/fuzz.h"

/* Descriptors of a hostile worker: good, unsealed, no memfd at all. */
enum passed { PASS_NOTHING, PASS_SEALED, PASS_UNSEALED, PASS_OTHER, PASS_TWO, PASS_KINDS };

static int passed_fd(enum passed what, const uint8_t *data, size_t n)
{
    if (what == PASS_OTHER)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    if (what != PASS_UNSEALED)
        return fd_memfd_new("fact", data, n);
    int fd = memfd_create("fact", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FUZZ_REQUIRE(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    return fd;
}

static void touch_text(const struct worker_text *t)
{
    FUZZ_REQUIRE(t->len <= LIMIT_JSON_BYTES);
    FUZZ_REQUIRE(text_is_utf8(t->text ? t->text : "", t->text ? t->len : 0));
}

static void touch_line(const char *text, size_t max)
{
    FUZZ_REQUIRE(strlen(text) <= max);
    fuzz_require_text(text, true);
}

static void touch_inspected(const struct worker_inspected *i)
{
    if (i->error)
        touch_line(i->error, LIMIT_DETAIL_BYTES);
    FUZZ_REQUIRE(i->n_classes <= LIMIT_INSPECT_CLASSES && i->n_frames <= LIMIT_INSPECT_FRAMES);
    for (size_t k = 0; k < i->n_classes; k++) {
        touch_line(i->classes[k].name, LIMIT_INSPECT_TEXT_BYTES);
        FUZZ_REQUIRE(i->classes[k].name[0] != '\0');
    }
    for (size_t k = 0; k < i->n_frames; k++) {
        const struct worker_frame *f = &i->frames[k];
        FUZZ_REQUIRE(f->kind >= WORKER_FRAME_JS && f->kind <= WORKER_FRAME_HOST);
        touch_line(f->function, LIMIT_INSPECT_TEXT_BYTES);
        touch_line(f->url, LIMIT_INSPECT_TEXT_BYTES);
    }
    if (i->body)
        fuzz_touch(&i->body->base);
}

static void touch_fact(const struct worker_fact *f)
{
    FUZZ_REQUIRE(f->kind < FACT_KINDS);
    switch (f->kind) {
    case FACT_BORN:
        FUZZ_REQUIRE(f->born.n_layers <= WORKER_MAX_LAYERS);
        for (size_t i = 0; i < f->born.n_layers; i++) {
            const struct worker_layer *l = &f->born.layers[i];
            FUZZ_REQUIRE(l->state <= 2 && l->name[0] != '\0');
            FUZZ_REQUIRE(strspn(l->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") ==
                         strlen(l->name));
        }
        if (f->born.error)
            touch_line(f->born.error, LIMIT_DETAIL_BYTES);
        break;
    case FACT_LOADED:
        if (f->loaded.error)
            touch_line(f->loaded.error, LIMIT_DETAIL_BYTES);
        break;
    case FACT_CONSOLE:
        FUZZ_REQUIRE(f->console.stream == 1 || f->console.stream == 2);
        FUZZ_REQUIRE(f->console.level < WORKER_LEVELS);
        FUZZ_REQUIRE(f->console.data.len <= LIMIT_CONSOLE_CHUNK_BYTES);
        free(fuzz_copy(f->console.data.text, f->console.data.len));
        break;
    case FACT_IMPORT_WANTED:
        FUZZ_REQUIRE(text_is_bundle_path(f->import_wanted.path, LIMIT_PATH_BYTES));
        break;
    case FACT_CALL_DONE:
        touch_text(&f->call_done.text);
        break;
    case FACT_POSTED:
        touch_text(&f->posted);
        break;
    case FACT_STDIN_WANTED:
        FUZZ_REQUIRE(f->stdin_wanted.max_bytes > 0 &&
                     f->stdin_wanted.max_bytes <= LIMIT_STDIN_CHUNK_BYTES);
        break;
    case FACT_EXITING:
        FUZZ_REQUIRE(f->exiting.reason >= WORKER_EXITED && f->exiting.reason <= WORKER_OOM);
        FUZZ_REQUIRE(f->exiting.code <= 255);
        if (f->exiting.detail)
            touch_line(f->exiting.detail, LIMIT_DETAIL_BYTES);
        break;
    case FACT_INSPECTED:
        touch_inspected(&f->inspected);
        break;
    case FACT_HIT:
        fuzz_touch(&f->hit->base);
        FUZZ_REQUIRE(f->hit->n_frames <= LIMIT_HIT_FRAMES &&
                     f->hit->n_arguments <= LIMIT_HIT_VALUES);
        break;
    case FACT_PAUSED:
        fuzz_touch(&f->paused->base);
        break;
    case FACT_AUDITED:
        fuzz_touch(&f->audited->base);
        FUZZ_REQUIRE(f->audited->n_hooks <= LIMIT_HOOKS_PER_VM);
        break;
    case FACT_HOOK_ENDED:
        fuzz_touch(&f->hook_ended->base);
        break;
    case FACT_BREAKPOINT_BOUND:
        fuzz_touch(&f->breakpoint_bound->base);
        FUZZ_REQUIRE(f->breakpoint_bound->n_at <= LIMIT_BOUND_PLACES);
        break;
    case FACT_PART:
        free(fuzz_copy(f->part.text, f->part.len));
        break;
    case FACT_READY:
    case FACT_KINDS:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    enum passed what = fuzz_u8(&in) % PASS_KINDS;
    size_t beside_len = what == PASS_NOTHING ? 0 : fuzz_u16(&in), len;
    fuzz_fds_note();
    const uint8_t *beside = fuzz_bytes(&in, beside_len, &beside_len);
    const uint8_t *rest = fuzz_bytes(&in, LIMIT_PACKET_BYTES, &len);
    uint8_t *packet = fuzz_copy(rest, len);
    int fds[2];
    size_t n_fds = what == PASS_NOTHING ? 0 : what == PASS_TWO ? 2 : 1;
    for (size_t i = 0; i < n_fds; i++) {
        fds[i] = passed_fd(what, beside, beside_len);
        FUZZ_REQUIRE(fds[i] >= 0);
    }
    struct worker_fact fact;
    const char *why = NULL;
    int r = check_worker_fact(packet, len, fds, n_fds, &fact, &why);
    free(packet);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    FUZZ_REQUIRE(r == 0 || r == -EPROTO);
    if (r == 0) {
        fuzz_accepted();
        touch_fact(&fact);
        check_worker_done(&fact);
    } else {
        fuzz_refused();
        FUZZ_REQUIRE(why && why[0]);
    }
    fuzz_fds_require();
    return 0;
}

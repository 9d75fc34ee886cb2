/* Which threads and instances there are. */
#include "gateway/gdbserver/target_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- images */

static void image_free(struct target *t, struct image *image)
{
    if (!image || --image->users > 0)
        return;
    struct image **at = &t->images;
    while (*at && *at != image)
        at = &(*at)->next;
    if (*at)
        *at = image->next;
    wasm_module_free(image->module);
    free(image->bytes);
    free(image);
}

/* One that has these bytes already, or a new one, which takes them. */
static struct image *image_take(struct target *t, uint8_t *bytes, size_t n)
{
    struct image *image;
    for (image = t->images; image; image = image->next)
        if (image->n == n && memcmp(image->bytes, bytes, n) == 0) {
            free(bytes);
            image->users++;
            return image;
        }
    image = calloc(1, sizeof *image);
    if (!image) {
        free(bytes);
        return NULL;
    }
    *image = (struct image){.users = 1, .bytes = bytes, .n = n, .next = t->images};
    if (wasm_module_new(bytes, n, &image->module) < 0)
        image->module = NULL;
    t->images = image;
    return image;
}

static int read_bytes(struct target *t, const struct thread *th, const struct instance *in,
                      uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        const struct stillpoint_source_query query = {
            .vm = th->vm, .source = in->source, .first_byte = at};
        struct stillpoint_source_text text;
        int r = target_check(t, stillpoint_vm_source_text(t->sp, &query, &text), "read the module");
        if (r < 0)
            return r;
        size_t got = text.bytes;
        bool fits = text.first_byte == at && got > 0 && got <= n - at;
        if (fits)
            memcpy(bytes + at, text.text, got);
        stillpoint_source_text_free(&text);
        if (!fits)
            return target_fail(t, -EIO, "the VM does not give the module as it said");
        at += got;
    }
    return 0;
}

int target_image(struct target *t, struct instance *in)
{
    struct thread *th = target_thread(t, in->seen.thread);
    if (in->image)
        return 0;
    if (!th)
        return target_fail(t, -ENOENT, "its VM has ended");
    size_t n = (size_t)in->seen.image_bytes;
    if (n == 0)
        return target_fail(t, -EOPNOTSUPP, "VM %s does not show its module", th->seen.name);
    uint8_t *bytes = malloc(n);
    if (!bytes)
        return target_fail(t, -ENOMEM, "out of memory");
    int r = read_bytes(t, th, in, bytes, n);
    if (r < 0) {
        free(bytes);
        return r;
    }
    in->image = image_take(t, bytes, n);
    return in->image ? 0 : target_fail(t, -ENOMEM, "out of memory");
}

/* ---- instances */

struct instance *target_instance(const struct target *t, uint32_t id)
{
    for (size_t i = 0; i < t->n_instances; i++)
        if (t->instances[i]->seen.id == id)
            return t->instances[i];
    return NULL;
}

struct instance *target_instance_of(const struct target *t, uint64_t vm, const char *url,
                                    uint64_t source)
{
    struct instance *found = NULL;
    for (size_t i = 0; i < t->n_instances; i++) {
        struct instance *in = t->instances[i];
        if (in->seen.thread != vm)
            continue;
        if (source != 0 ? in->source == source : strcmp(in->url, url) == 0)
            found = in;
    }
    return found;
}

static struct instance *instance_free(struct target *t, struct instance *in)
{
    image_free(t, in->image);
    free(in->url);
    free(in);
    return NULL;
}

/* A name for people: the last part of a path, of a long one as much as is whole UTF-8. LLDB would
 * not read a list with half a letter in it. */
static void name_instance(struct instance *in)
{
    const char *slash = strrchr(in->url, '/'), *name = slash ? slash + 1 : in->url;
    int n = (int)strnlen(name, STILLPOINT_NAME_BYTES + 1);
    if (n > STILLPOINT_NAME_BYTES)
        for (n = STILLPOINT_NAME_BYTES; n > 0 && (name[n] & 0xc0) == 0x80;)
            n--;
    snprintf(in->name, sizeof in->name, "%.*s@%" PRIu32, n > 0 ? n : 6, n > 0 ? name : "module",
             in->seen.id);
    in->seen.name = in->name;
}

static int instance_add(struct target *t, struct thread *th, const struct stillpoint_source *source)
{
    if (t->n_instances >= TARGET_MOST_INSTANCES || t->last_instance >= ADDRESS_MOST_INSTANCES)
        return 0;
    struct instance **grown =
        reallocarray(t->instances, t->n_instances + 1, sizeof(struct instance *));
    if (!grown)
        return target_fail(t, -ENOMEM, "out of memory");
    t->instances = grown;
    struct instance *in = calloc(1, sizeof *in);
    char *url = strdup(source->url);
    if (!in || !url) {
        free(in);
        free(url);
        return target_fail(t, -ENOMEM, "out of memory");
    }
    *in = (struct instance){
        .seen = {.id = ++t->last_instance,
                 .thread = th->seen.id,
                 .image_bytes = source->text_bytes < ADDRESS_SPAN ? source->text_bytes : 0},
        .source = source->id,
        .url = url,
        .there = true};
    name_instance(in);
    t->instances[t->n_instances++] = in;
    t->changed = true;
    return 0;
}

/* Those of a thread, or (NULL) of threads that have gone, that are no longer there. */
static void drop_instances(struct target *t, const struct thread *th)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_instances; i++) {
        struct instance *in = t->instances[i];
        bool gone =
            th ? in->seen.thread == th->seen.id && !in->there : !target_thread(t, in->seen.thread);
        if (!gone) {
            t->instances[n++] = in;
            continue;
        }
        target_end_breakpoints(t, in);
        target_end_watches(t, in);
        instance_free(t, in);
        t->changed = true;
    }
    t->n_instances = n;
}

static int take_sources(struct target *t, struct thread *th, const struct stillpoint_sources *page)
{
    for (size_t i = 0; i < page->n; i++) {
        const struct stillpoint_source *s = &page->items[i];
        if (strcmp(s->kind, "wasm") != 0)
            continue;
        th->wasm = true;
        if (s->text_bytes == 0)
            continue; /* it is not shown */
        th->debug = th->debug || !th->known;
        struct instance *in = target_instance_of(t, th->seen.id, s->url, s->id);
        if (in) {
            in->there = true;
            continue;
        }
        int r = instance_add(t, th, s);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A VM that cannot be asked now keeps what it had. */
static int list_instances(struct target *t, struct thread *th)
{
    uint32_t first = 0;
    for (size_t i = 0; i < t->n_instances; i++)
        if (t->instances[i]->seen.thread == th->seen.id)
            t->instances[i]->there = false;
    do {
        struct stillpoint_sources page;
        int r = target_check(t, stillpoint_vm_sources(t->sp, th->vm, first, 0, &page),
                             "list the modules");
        if (r < 0)
            return t->lost ? r : 0;
        r = take_sources(t, th, &page);
        uint32_t next = page.next;
        stillpoint_sources_free(&page);
        if (r < 0)
            return r;
        if (next <= first)
            break;
        first = next;
    } while (true);
    drop_instances(t, th);
    return 0;
}

/* ---- threads */

struct thread *target_thread(const struct target *t, uint64_t id)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i]->seen.id == id)
            return t->threads[i];
    return NULL;
}

void target_name_thread(struct thread *th)
{
    snprintf(th->name, sizeof th->name, "%s%s", th->vm_name,
             th->wasm && !th->debug ? " (no --debug)" : "");
}

void target_forget_thread(struct thread *th)
{
    free(th->frames);
    th->frames = NULL;
    th->n_frames = 0;
    th->has_stack = false;
    if (th->has_variables)
        stillpoint_variables_free(&th->variables);
    th->has_variables = false;
}

void target_forget(struct target *t)
{
    for (size_t i = 0; i < t->n_threads; i++)
        target_forget_thread(t->threads[i]);
}

static struct thread *thread_free(struct thread *th)
{
    target_forget_thread(th);
    free(th);
    return NULL;
}

static int thread_add(struct target *t, const struct stillpoint_vm *vm, struct thread **ret)
{
    *ret = NULL;
    if (t->n_threads >= TARGET_MOST_THREADS)
        return 0;
    struct thread **grown = reallocarray(t->threads, t->n_threads + 1, sizeof(struct thread *));
    if (!grown)
        return target_fail(t, -ENOMEM, "out of memory");
    t->threads = grown;
    struct thread *th = calloc(1, sizeof *th);
    if (!th)
        return target_fail(t, -ENOMEM, "out of memory");
    th->seen = (struct target_thread){vm->id, th->name};
    snprintf(th->vm, sizeof th->vm, "%" PRIu64, vm->id);
    t->threads[t->n_threads++] = *ret = th;
    return 0;
}

static int take_vm(struct target *t, const struct stillpoint_vm *vm)
{
    char id[24];
    snprintf(id, sizeof id, "%" PRIu64, vm->id);
    if (vm->has_exit || vm->state == STILLPOINT_VM_EXITED || (t->only && strcmp(t->only, id) != 0))
        return 0;
    struct thread *th = target_thread(t, vm->id);
    int r = th ? 0 : thread_add(t, vm, &th);
    if (r < 0 || !th)
        return r;
    th->there = true;
    r = list_instances(t, th);
    snprintf(th->vm_name, sizeof th->vm_name, "%s", vm->name);
    target_name_thread(th);
    return r;
}

static void drop_threads(struct target *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i]->there)
            t->threads[n++] = t->threads[i];
        else
            thread_free(t->threads[i]);
    t->n_threads = n;
    drop_instances(t, NULL);
}

int target_refresh(struct target *t)
{
    struct stillpoint_vms vms;
    const struct stillpoint_list list = {.world = t->world};
    int r = target_check(t, stillpoint_vm_list(t->sp, &list, &vms), "list the VMs");
    if (r < 0)
        return r;
    for (size_t i = 0; i < t->n_threads; i++)
        t->threads[i]->there = false;
    for (size_t i = 0; i < vms.n && r == 0; i++)
        r = take_vm(t, &vms.items[i]);
    stillpoint_vms_free(&vms);
    if (r < 0)
        return r;
    drop_threads(t);
    t->had_threads = t->had_threads || target_has_threads(t);
    return 0;
}

static void check_thread(struct target *t, struct thread *th)
{
    struct stillpoint_vms vms;
    int r = target_check(t, stillpoint_vm_get(t->sp, th->vm, &vms), "ask for the VM");
    if (r == 0 && !vms.items[0].has_exit) {
        stillpoint_vms_free(&vms);
        return;
    }
    th->ended = true;
    t->exit_code = r == 0 ? vms.items[0].exit.code : 0;
    if (r == 0)
        stillpoint_vms_free(&vms);
}

void target_check_threads(struct target *t)
{
    for (size_t i = 0; i < t->n_threads && !t->lost; i++)
        check_thread(t, t->threads[i]);
}

void target_free_world(struct target *t)
{
    for (size_t i = 0; i < t->n_instances; i++)
        instance_free(t, t->instances[i]);
    for (size_t i = 0; i < t->n_threads; i++)
        thread_free(t->threads[i]);
    free(t->instances);
    free(t->threads);
}

/* ---- what is shown of them: VMs with WebAssembly */

bool target_has_threads(const struct target *t)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i]->wasm && !t->threads[i]->ended)
            return true;
    return false;
}

size_t target_count_threads(const struct target *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_threads; i++)
        n += t->threads[i]->wasm;
    return n > 0 ? n : 1;
}

const struct target_thread *target_thread_at(const struct target *t, size_t i)
{
    for (size_t k = 0; k < t->n_threads; k++)
        if (t->threads[k]->wasm && i-- == 0)
            return &t->threads[k]->seen;
    return &t->nobody.seen;
}

const struct target_thread *target_find_thread(const struct target *t, uint64_t id)
{
    struct thread *th = target_thread(t, id);
    if (th && th->wasm)
        return &th->seen;
    return id == TARGET_NO_VM && !target_has_threads(t) ? &t->nobody.seen : NULL;
}

size_t target_count_instances(const struct target *t)
{
    return t->n_instances;
}

const struct target_instance *target_instance_at(const struct target *t, size_t i)
{
    return i < t->n_instances ? &t->instances[i]->seen : NULL;
}

bool target_has_changed(const struct target *t)
{
    return t->changed;
}

void target_take_instances(struct target *t)
{
    t->changed = false;
}

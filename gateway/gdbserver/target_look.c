/* Stacks, values and memory of a stop. */
#include "gateway/gdbserver/target_private.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- stacks */

/* Bytes of a number in the variable-length form of WebAssembly; 0: it does not end here. */
static size_t leb_bytes(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n && i < 10; i++)
        if ((bytes[i] & 0x80) == 0)
            return i + 1;
    return 0;
}

/* Where a call returns to: a debugger of native code takes the address of a caller for that. */
static uint32_t after_call(const struct image *image, uint32_t at)
{
    if (!image || at >= image->n)
        return at + 1;
    const uint8_t *code = image->bytes + at;
    size_t left = image->n - at, first = leb_bytes(code + 1, left - 1), second = 0;
    switch (code[0]) {
    case 0x10: /* call FUNCTION */
    case 0x14: /* call_ref TYPE */
        return at + 1 + (uint32_t)first;
    case 0x11: /* call_indirect TYPE TABLE */
        second = leb_bytes(code + 1 + first, left - 1 - first);
        return at + 1 + (uint32_t)(first + second);
    default:
        return at + 1;
    }
}

static void take_frame(struct target *t, struct thread *th, const struct stillpoint_frame *f)
{
    struct target_frame *ret = &th->frames[th->n_frames];
    *ret = (struct target_frame){.pc = ADDRESS_NOWHERE};
    bool innermost = th->n_frames++ == 0;
    if (strcmp(f->kind, "wasm") != 0 || !f->has_offset || f->offset > UINT32_MAX)
        return;
    struct instance *in = target_instance_of(t, th->seen.id, f->url, f->source);
    if (!in)
        return;
    ret->instance = in->seen.id;
    ret->at = (uint32_t)f->offset;
    if (innermost)
        ret->pc = target_asked(t, address_make(ADDRESS_CODE, in->seen.id, ret->at));
    else
        ret->pc =
            address_make(ADDRESS_CODE, in->seen.id,
                         target_image(t, in) == 0 ? after_call(in->image, ret->at) : ret->at + 1);
}

/* A program that is WebAssembly has its module and its stack without --debug too, and nothing else.
 */
static void learn_debug(struct target *t, struct thread *th)
{
    struct stillpoint_scopes scopes;
    size_t i = 0;
    while (i < th->n_frames && th->frames[i].instance == 0)
        i++;
    if (th->known || i == th->n_frames)
        return;
    int r = target_check(t, stillpoint_vm_scopes(t->sp, th->vm, (uint32_t)i, &scopes),
                         "read the scopes");
    if (r == 0)
        stillpoint_scopes_free(&scopes);
    th->debug = r != -EOPNOTSUPP;
    th->known = r == 0 || r == -EOPNOTSUPP;
    target_name_thread(th);
}

static int read_stack(struct target *t, struct thread *th)
{
    struct stillpoint_frames page;
    if (th->has_stack || !th->wasm)
        return 0;
    int r = target_check(t, stillpoint_vm_frames(t->sp, th->vm, 0, TARGET_MOST_FRAMES, &page),
                         "read the stack");
    if (r < 0)
        return t->lost ? r : 0; /* it does not stand as others do, or has ended */
    size_t n = page.n < TARGET_MOST_FRAMES ? page.n : TARGET_MOST_FRAMES;
    th->frames = calloc(n + 1, sizeof *th->frames);
    th->n_frames = 0;
    for (size_t i = 0; th->frames && i < n; i++)
        take_frame(t, th, &page.items[i]);
    stillpoint_frames_free(&page);
    if (!th->frames)
        return target_fail(t, -ENOMEM, "out of memory");
    th->has_stack = true;
    learn_debug(t, th);
    return t->lost ? -ECONNRESET : 0;
}

int target_stack(struct target *t, uint64_t thread, const struct target_frame **ret_frames,
                 size_t *ret_n)
{
    struct thread *th = thread == TARGET_NO_VM ? &t->nobody : target_thread(t, thread);
    if (!th)
        return target_fail(t, -ENOENT, "there is no such thread");
    int r = read_stack(t, th);
    if (r < 0)
        return r;
    *ret_frames = th->frames;
    *ret_n = th->n_frames;
    return 0;
}

/* The frame, if it is one of WebAssembly that can be looked into. */
static int find_frame(struct target *t, uint64_t thread, size_t frame, struct thread **ret_thread,
                      struct instance **ret_instance)
{
    const struct target_frame *frames;
    size_t n;
    int r = target_stack(t, thread, &frames, &n);
    if (r < 0)
        return r;
    if (frame >= n)
        return target_fail(t, -ENOENT, "thread %" PRIu64 " has no frame %zu", thread, frame);
    struct instance *in =
        frames[frame].instance ? target_instance(t, frames[frame].instance) : NULL;
    if (!in)
        return target_fail(t, -ENOENT, "frame %zu is not WebAssembly that can be looked into",
                           frame);
    *ret_thread = target_thread(t, thread);
    *ret_instance = in;
    return 0;
}

/* ---- values */

static void put_le(uint64_t value, uint8_t *ret, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        ret[i] = (uint8_t)(value >> (8 * i));
}

static bool parse_integer(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == ERANGE && text[0] != '-') {
        errno = 0;
        *ret = strtoull(text, &end, 10);
    } else {
        *ret = (uint64_t)value;
    }
    if (*end == 'n')
        end++;
    return errno == 0 && end != text && *end == '\0';
}

/* The engine makes a double of an i64 before it shows it. */
static bool is_rounded(const struct stillpoint_value *v, uint64_t bits)
{
    const int64_t most = (int64_t)1 << 53;
    int64_t value = (int64_t)bits;
    return v->type != STILLPOINT_VALUE_BIGINT && (value >= most || value <= -most);
}

static bool parse_float(const char *text, double *ret)
{
    char *end;
    if (strcmp(text, "NaN") == 0)
        *ret = (double)NAN;
    else if (strcmp(text, "Infinity") == 0)
        *ret = (double)INFINITY;
    else if (strcmp(text, "-Infinity") == 0)
        *ret = -(double)INFINITY;
    else {
        *ret = strtod(text, &end);
        return end != text && *end == '\0';
    }
    return true;
}

/* As the engine writes it, to what it is in the machine. An i32 brings its instance along in its
 * upper half: where it is a pointer, it is one into that instance's memory. */
static int take_value(struct target *t, const struct instance *in, enum wasm_type type,
                      const struct stillpoint_value *v, struct target_value *ret)
{
    uint64_t bits = 0;
    double number;
    float single;
    bool ok = false;
    switch (type) {
    case WASM_I32:
        ok = parse_integer(v->preview, &bits);
        bits = (bits & UINT32_MAX) | (uint64_t)in->seen.id << 32;
        break;
    case WASM_I64:
        ok = parse_integer(v->preview, &bits);
        if (!ok || is_rounded(v, bits))
            return target_fail(t, -EOPNOTSUPP,
                               "the engine shows this i64, about %s, rounded to 53 bits",
                               v->preview);
        break;
    case WASM_F32:
        ok = parse_float(v->preview, &number);
        single = (float)number;
        memcpy(&bits, &single, sizeof single);
        break;
    case WASM_F64:
        ok = parse_float(v->preview, &number);
        memcpy(&bits, &number, sizeof number);
        break;
    default:
        return target_fail(t, -EOPNOTSUPP, "the engine does not show values of type %s",
                           wasm_type_name(type));
    }
    if (!ok)
        return target_fail(t, -EIO, "the VM says that the value is %s", v->preview);
    *ret = (struct target_value){.type = type};
    put_le(bits, ret->bytes, 8);
    return 0;
}

static int append_variables(struct target *t, struct thread *th, uint64_t ref)
{
    const struct stillpoint_variables_query query = {.vm = th->vm, .ref = ref, .max = 0};
    int r = target_check(t, stillpoint_vm_variables(t->sp, &query, &th->variables),
                         "read the variables");
    th->has_variables = r == 0;
    return r;
}

static int read_variables(struct target *t, struct thread *th, size_t frame)
{
    struct stillpoint_scopes scopes;
    uint64_t ref = 0;
    if (th->has_variables && th->scoped_frame == frame)
        return 0;
    if (th->has_variables)
        stillpoint_variables_free(&th->variables);
    th->has_variables = false;
    int r = target_check(t, stillpoint_vm_scopes(t->sp, th->vm, (uint32_t)frame, &scopes),
                         "read the scopes");
    if (r < 0)
        return r;
    for (size_t i = 0; i < scopes.n && ref == 0; i++)
        if (strcmp(scopes.items[i].scope, "wasm") == 0)
            ref = scopes.items[i].ref;
    stillpoint_scopes_free(&scopes);
    if (ref == 0)
        return target_fail(t, -EOPNOTSUPP, "the frame does not show its variables");
    th->scoped_frame = frame;
    return append_variables(t, th, ref);
}

static int find_variable(struct target *t, struct thread *th, size_t frame, const char *kind,
                         uint64_t index, const struct stillpoint_value **ret)
{
    char name[40];
    snprintf(name, sizeof name, "%s%" PRIu64, kind, index);
    int r = read_variables(t, th, frame);
    if (r < 0)
        return r;
    for (size_t i = 0; i < th->variables.n; i++)
        if (strcmp(th->variables.items[i].name, name) == 0) {
            *ret = &th->variables.items[i].value;
            return 0;
        }
    return target_fail(t, -ENOENT, "frame %zu has no %s", frame, name);
}

/* The engine names them by what they are and their index; the module says of which type. */
struct variable_kind {
    const char *name; /* as the engine has it */
    const char *word;
    int (*type)(const struct wasm_module *m, uint32_t at, uint64_t index, enum wasm_type *ret);
};

static int local_type(const struct wasm_module *m, uint32_t at, uint64_t index, enum wasm_type *ret)
{
    const struct wasm_function *function = wasm_module_function_at(m, at);
    return function ? wasm_module_local_type(m, function, index, ret) : -ENOENT;
}

static int global_type(const struct wasm_module *m, uint32_t at, uint64_t index,
                       enum wasm_type *ret)
{
    struct wasm_global global;
    (void)at;
    int r = wasm_module_global(m, index, &global);
    if (r == 0)
        *ret = global.type;
    return r;
}

static const struct variable_kind a_local = {"var", "local", local_type},
                                  a_global = {"global", "global", global_type};

static int read_variable(struct target *t, uint64_t thread, size_t frame,
                         const struct variable_kind *kind, uint64_t index, struct target_value *ret)
{
    struct thread *th = NULL;
    struct instance *in = NULL;
    enum wasm_type type;
    const struct stillpoint_value *value = NULL;
    int r = find_frame(t, thread, frame, &th, &in);
    if (r == 0)
        r = target_image(t, in);
    if (r < 0)
        return r;
    const struct wasm_module *module = in->image->module;
    if (!module || kind->type(module, th->frames[frame].at, index, &type) < 0)
        return target_fail(t, -ENOENT, "frame %zu has no %s %" PRIu64, frame, kind->word, index);
    r = find_variable(t, th, frame, kind->name, index, &value);
    return r == 0 ? take_value(t, in, type, value, ret) : r;
}

int target_local(struct target *t, uint64_t thread, size_t frame, uint64_t index,
                 struct target_value *ret)
{
    return read_variable(t, thread, frame, &a_local, index, ret);
}

int target_global(struct target *t, uint64_t thread, size_t frame, uint64_t index,
                  struct target_value *ret)
{
    return read_variable(t, thread, frame, &a_global, index, ret);
}

/* The frame of an instance that is nearest to the top, by which the daemon can be asked for what
 * the instance has. */
static int frame_of(struct target *t, const struct instance *in, size_t *ret)
{
    const struct target_frame *frames;
    size_t n;
    int r = target_stack(t, in->seen.thread, &frames, &n);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (frames[i].instance == in->seen.id) {
            *ret = i;
            return 0;
        }
    return target_fail(t, -ENOENT, "%s is not on the stack of its VM", in->name);
}

int target_instance_global(struct target *t, uint32_t instance, uint64_t index,
                           struct target_value *ret)
{
    struct instance *in = target_instance(t, instance);
    size_t frame;
    if (!in)
        return target_fail(t, -ENOENT, "there is no such instance");
    int r = frame_of(t, in, &frame);
    return r == 0 ? target_global(t, in->seen.thread, frame, index, ret) : r;
}

/* ---- memory */

/* That of a frame if there is one; else of the program, if it is this. */
static int find_memory(struct target *t, uint64_t address, struct stillpoint_memory_place *ret,
                       struct instance **ret_instance)
{
    struct instance *in = target_instance(t, address_instance(address));
    struct thread *th = in ? target_thread(t, in->seen.thread) : NULL;
    size_t frame = 0;
    if (!th)
        return target_fail(t, -ENOENT, "there is no instance with this address");
    bool on_stack = frame_of(t, in, &frame) == 0;
    if (t->lost)
        return -ECONNRESET;
    *ret = (struct stillpoint_memory_place){.vm = th->vm,
                                            .in_frame = on_stack,
                                            .frame = (uint32_t)frame,
                                            .address = address_offset(address)};
    *ret_instance = in;
    return 0;
}

static int read_memory(struct target *t, uint64_t address, void *ret_data, size_t len,
                       size_t *ret_len)
{
    struct stillpoint_memory_place place;
    struct stillpoint_data data;
    struct instance *in;
    int r = find_memory(t, address, &place, &in);
    if (r < 0)
        return r;
    r = target_check(t, stillpoint_vm_memory_read(t->sp, &place, (uint32_t)len, &data),
                     "read the memory");
    if (r < 0)
        return r;
    size_t n = data.bytes < len ? data.bytes : len;
    memcpy(ret_data, data.data, n);
    stillpoint_data_free(&data);
    if (n == 0 && len > 0)
        return target_fail(t, -EFAULT, "there is no memory at this address");
    *ret_len = n;
    return 0;
}

static int read_image(struct target *t, uint64_t address, void *ret_data, size_t len,
                      size_t *ret_len)
{
    struct instance *in = target_instance(t, address_instance(address));
    if (!in)
        return target_fail(t, -ENOENT, "there is no code at this address");
    int r = target_image(t, in);
    if (r < 0)
        return r;
    size_t at = address_offset(address);
    if (at >= in->image->n)
        return target_fail(t, -EFAULT, "it is beyond the module's %zu bytes", in->image->n);
    *ret_len = len < in->image->n - at ? len : in->image->n - at;
    memcpy(ret_data, in->image->bytes + at, *ret_len);
    return 0;
}

int target_read(struct target *t, uint64_t address, void *ret_data, size_t len, size_t *ret_len)
{
    if (address_is(address, ADDRESS_CODE))
        return read_image(t, address, ret_data, len, ret_len);
    if (address_is(address, ADDRESS_MEMORY))
        return read_memory(t, address, ret_data, len, ret_len);
    return target_fail(t, -EFAULT, "there is nothing at this address");
}

int target_write(struct target *t, uint64_t address, const void *data, size_t len)
{
    struct stillpoint_memory_place place;
    struct stillpoint_data written;
    struct instance *in;
    if (address_is(address, ADDRESS_CODE))
        return target_fail(t, -EACCES, "code cannot be written");
    if (!address_is(address, ADDRESS_MEMORY))
        return target_fail(t, -EFAULT, "there is nothing at this address");
    int r = find_memory(t, address, &place, &in);
    if (r < 0)
        return r;
    r = target_check(t, stillpoint_vm_memory_write(t->sp, &place, data, len, &written),
                     "write the memory");
    if (r < 0)
        return r;
    stillpoint_data_free(&written);
    target_watch_written(t, address, len);
    return 0;
}

/* How large an instance's memory is; 0: it cannot be asked now, or there is none. */
static uint64_t memory_bytes(struct target *t, uint32_t instance)
{
    struct stillpoint_memory_place place;
    struct stillpoint_data data;
    struct instance *in;
    if (find_memory(t, address_make(ADDRESS_MEMORY, instance, 0), &place, &in) < 0 ||
        target_check(t, stillpoint_vm_memory_read(t->sp, &place, 1, &data), "ask the memory") < 0)
        return 0;
    uint64_t n = data.memory_bytes < ADDRESS_SPAN ? data.memory_bytes : ADDRESS_SPAN;
    stillpoint_data_free(&data);
    return n;
}

/* Where the next thing is that there may be something at. A debugger that looks for what is mapped
 * goes from one to the other: there are not many, and the last hole is the last. */
static uint64_t end_of_hole(const struct target *t, uint64_t address)
{
    uint64_t end = UINT64_MAX;
    for (size_t i = 0; i < t->n_instances; i++)
        for (unsigned kind = ADDRESS_MEMORY; kind <= ADDRESS_CODE; kind++) {
            uint64_t start = address_make(kind, t->instances[i]->seen.id, 0);
            if (start > address && start < end)
                end = start;
        }
    return end;
}

int target_region(struct target *t, uint64_t address, struct target_region *ret)
{
    bool code = address_is(address, ADDRESS_CODE);
    uint64_t base = address & ~(ADDRESS_SPAN - 1), offset = address_offset(address), bytes = 0;
    const struct instance *in = target_instance(t, address_instance(address));
    if (in && code)
        bytes = in->seen.image_bytes;
    else if (in && address_is(address, ADDRESS_MEMORY))
        bytes = memory_bytes(t, in->seen.id);
    if (t->lost)
        return -ECONNRESET;
    if (offset < bytes)
        *ret = (struct target_region){base, bytes, true, !code, code};
    else
        *ret = (struct target_region){.start = base + bytes,
                                      .bytes = end_of_hole(t, address) - (base + bytes)};
    return 0;
}

#include "wasm_module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum section_id {
    SECTION_CUSTOM = 0,
    SECTION_TYPE = 1,
    SECTION_IMPORT = 2,
    SECTION_FUNCTION = 3,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_CODE = 10,
};

enum import_kind {
    IMPORT_FUNCTION = 0,
    IMPORT_TABLE = 1,
    IMPORT_MEMORY = 2,
    IMPORT_GLOBAL = 3,
    IMPORT_TAG = 4,
};

/* The subsection of "name" that has those of functions. */
#define NAMES_OF_FUNCTIONS 1
#define TYPE_FUNCTION 0x60
#define MODULE_HEADER "\0asm\1\0\0"

/* So many locals of one type in a row. */
struct run {
    uint32_t count;
    enum wasm_type type;
};

/* A list that grows. */
struct list {
    void *data;
    uint32_t count, size;
};

struct type {
    uint32_t first_run, runs, parameters;
};

struct wasm_module {
    struct list types;     /* struct type */
    struct list runs;      /* struct run */
    struct list functions; /* struct wasm_function */
    struct list globals;   /* struct wasm_global */
    struct list memories;  /* struct wasm_memory */
    uint32_t imported;     /* functions */
    uint64_t code_start, code_end;
    bool has_dwarf, has_code;
    char *names;
};

/* Bytes of the module from `at` on; offset is that of `at`. */
struct reader {
    const uint8_t *at, *start;
    size_t left;
};

static void *list_add(struct list *l, size_t item_bytes)
{
    if (l->count == l->size) {
        if (l->size > UINT32_MAX / 2)
            return NULL;
        uint32_t size = l->size ? l->size * 2 : 16;
        void *data = reallocarray(l->data, size, item_bytes);
        if (!data)
            return NULL;
        l->data = data;
        l->size = size;
    }
    void *item = (char *)l->data + l->count++ * item_bytes;
    memset(item, 0, item_bytes);
    return item;
}

static uint32_t offset_of(const struct reader *in)
{
    return (uint32_t)(in->at - in->start);
}

static int take_byte(struct reader *in, uint8_t *ret)
{
    if (in->left == 0)
        return -EBADMSG;
    *ret = *in->at++;
    in->left--;
    return 0;
}

/* A number as LEB128, of at most this many bits. */
static int take_number(struct reader *in, unsigned bits, uint64_t *ret)
{
    uint64_t value = 0;
    uint8_t byte;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        int r = take_byte(in, &byte);
        if (r < 0)
            return r;
        unsigned room = bits - shift;
        if (room < 7 && (byte & 0x7f) >> room != 0)
            return -EBADMSG;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static int take_u32(struct reader *in, uint32_t *ret)
{
    uint64_t value;
    int r = take_number(in, 32, &value);
    if (r == 0)
        *ret = (uint32_t)value;
    return r;
}

/* Passes a signed number, whose value nobody wants. */
static int skip_signed(struct reader *in, unsigned max_bytes)
{
    uint8_t byte;
    for (unsigned i = 0; i < max_bytes; i++) {
        int r = take_byte(in, &byte);
        if (r < 0)
            return r;
        if (!(byte & 0x80))
            return 0;
    }
    return -EBADMSG;
}

static int take_part(struct reader *in, uint32_t n, struct reader *ret)
{
    if (n > in->left)
        return -EBADMSG;
    *ret = (struct reader){.at = in->at, .start = in->start, .left = n};
    in->at += n;
    in->left -= n;
    return 0;
}

/* What begins with its own size. */
static int take_sized(struct reader *in, struct reader *ret)
{
    uint32_t n = 0;
    int r = take_u32(in, &n);
    return r < 0 ? r : take_part(in, n, ret);
}

static int take_type(struct reader *in, enum wasm_type *ret)
{
    uint8_t byte;
    int r = take_byte(in, &byte);
    if (r < 0)
        return r;
    switch (byte) {
    case 0x7f:
        *ret = WASM_I32;
        return 0;
    case 0x7e:
        *ret = WASM_I64;
        return 0;
    case 0x7d:
        *ret = WASM_F32;
        return 0;
    case 0x7c:
        *ret = WASM_F64;
        return 0;
    case 0x7b:
        *ret = WASM_V128;
        return 0;
    case 0x70: /* funcref */
    case 0x6f: /* externref */
        *ret = WASM_REF;
        return 0;
    case 0x63: /* (ref null heaptype) */
    case 0x64: /* (ref heaptype) */
        *ret = WASM_REF;
        return skip_signed(in, 5);
    default:
        return -EOPNOTSUPP;
    }
}

static int add_run(struct wasm_module *m, uint32_t count, enum wasm_type type)
{
    struct run *run = list_add(&m->runs, sizeof *run);
    if (!run)
        return -ENOMEM;
    *run = (struct run){.count = count, .type = type};
    return 0;
}

static int read_type(struct wasm_module *m, struct reader *in)
{
    uint8_t form = 0;
    uint32_t count = 0;
    enum wasm_type type = WASM_I32;
    int r = take_byte(in, &form);
    if (r < 0)
        return r;
    if (form != TYPE_FUNCTION)
        return -EOPNOTSUPP;
    struct type *t = list_add(&m->types, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->first_run = m->runs.count;
    r = take_u32(in, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        r = take_type(in, &type);
        if (r == 0)
            r = add_run(m, 1, type);
    }
    if (r < 0)
        return r;
    t->parameters = t->runs = count;
    /* What it returns. */
    r = take_u32(in, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = take_type(in, &type);
    return r;
}

static int read_limits(struct reader *in, struct wasm_memory *ret)
{
    uint8_t flags = 0;
    int r = take_byte(in, &flags);
    if (r < 0)
        return r;
    if (flags > 7)
        return -EOPNOTSUPP;
    ret->max_pages = UINT64_MAX;
    ret->shared = flags & 2;
    ret->is_64 = flags & 4;
    unsigned bits = ret->is_64 ? 64 : 32;
    r = take_number(in, bits, &ret->min_pages);
    if (r == 0 && flags & 1)
        r = take_number(in, bits, &ret->max_pages);
    return r;
}

static int read_memory(struct wasm_module *m, struct reader *in, bool imported)
{
    struct wasm_memory *memory = list_add(&m->memories, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    memory->imported = imported;
    return read_limits(in, memory);
}

static int read_defined_memory(struct wasm_module *m, struct reader *in)
{
    return read_memory(m, in, false);
}

static int read_global_type(struct wasm_module *m, struct reader *in, bool imported)
{
    uint8_t writable = 0;
    struct wasm_global *global = list_add(&m->globals, sizeof *global);
    if (!global)
        return -ENOMEM;
    int r = take_type(in, &global->type);
    if (r == 0)
        r = take_byte(in, &writable);
    if (r < 0)
        return r;
    if (writable > 1)
        return -EBADMSG;
    global->writable = writable;
    global->imported = imported;
    return 0;
}

/* An expression that is constant, to its `end`. */
static int skip_constant(struct reader *in)
{
    for (;;) {
        uint8_t op = 0, wide = 0;
        uint32_t unused;
        struct reader bytes;
        int r = take_byte(in, &op);
        if (r < 0)
            return r;
        switch (op) {
        case 0x0b: /* end */
            return 0;
        case 0x6a: /* i32.add, sub, mul */
        case 0x6b:
        case 0x6c:
        case 0x7c: /* i64.add, sub, mul */
        case 0x7d:
        case 0x7e:
            break;
        case 0x23: /* global.get */
        case 0xd2: /* ref.func */
            r = take_u32(in, &unused);
            break;
        case 0x41: /* i32.const */
        case 0xd0: /* ref.null */
            r = skip_signed(in, 5);
            break;
        case 0x42: /* i64.const */
            r = skip_signed(in, 10);
            break;
        case 0x43: /* f32.const */
            r = take_part(in, 4, &bytes);
            break;
        case 0x44: /* f64.const */
            r = take_part(in, 8, &bytes);
            break;
        case 0xfd: /* v128.const is all that can be here */
            r = take_byte(in, &wide);
            if (r == 0)
                r = wide == 0x0c ? take_part(in, 16, &bytes) : -EOPNOTSUPP;
            break;
        default:
            return -EOPNOTSUPP;
        }
        if (r < 0)
            return r;
    }
}

static int read_global(struct wasm_module *m, struct reader *in)
{
    int r = read_global_type(m, in, false);
    return r < 0 ? r : skip_constant(in);
}

static int read_import(struct wasm_module *m, struct reader *in)
{
    struct reader name;
    struct wasm_memory limits;
    enum wasm_type type;
    uint8_t kind = 0, attribute;
    uint32_t index;
    int r = take_sized(in, &name);
    if (r == 0)
        r = take_sized(in, &name);
    if (r == 0)
        r = take_byte(in, &kind);
    if (r < 0)
        return r;
    switch (kind) {
    case IMPORT_FUNCTION:
        m->imported++;
        return take_u32(in, &index);
    case IMPORT_TABLE:
        r = take_type(in, &type);
        return r < 0 ? r : read_limits(in, &limits);
    case IMPORT_MEMORY:
        return read_memory(m, in, true);
    case IMPORT_GLOBAL:
        return read_global_type(m, in, true);
    case IMPORT_TAG:
        r = take_byte(in, &attribute);
        return r < 0 ? r : take_u32(in, &index);
    default:
        return -EOPNOTSUPP;
    }
}

static int read_function(struct wasm_module *m, struct reader *in)
{
    uint32_t type = 0;
    int r = take_u32(in, &type);
    if (r < 0)
        return r;
    if (type >= m->types.count)
        return -EBADMSG;
    const struct type *t = (struct type *)m->types.data + type;
    struct wasm_function *f = list_add(&m->functions, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->index = m->imported + m->functions.count - 1;
    f->type = type;
    f->parameters = f->locals = t->parameters;
    f->name = "";
    return 0;
}

static int read_body(struct wasm_module *m, struct reader *in, struct wasm_function *f)
{
    struct reader body;
    uint32_t groups = 0, count = 0;
    enum wasm_type type = WASM_I32;
    int r = take_sized(in, &body);
    if (r < 0)
        return r;
    f->body = offset_of(&body);
    f->end = f->body + (uint32_t)body.left;
    f->first_run = m->runs.count;
    r = take_u32(&body, &groups);
    for (uint32_t i = 0; r == 0 && i < groups; i++) {
        r = take_u32(&body, &count);
        if (r == 0)
            r = take_type(&body, &type);
        if (r == 0 && count > UINT32_MAX - f->locals)
            r = -EBADMSG;
        if (r == 0)
            r = add_run(m, count, type);
        if (r < 0)
            break;
        f->locals += count;
        f->runs++;
    }
    if (r < 0)
        return r;
    f->code = offset_of(&body);
    /* There is at least its `end`. */
    return body.left > 0 && body.at[body.left - 1] == 0x0b ? 0 : -EBADMSG;
}

static int read_code(struct wasm_module *m, struct reader *in)
{
    uint32_t count = 0;
    m->has_code = true;
    m->code_start = offset_of(in);
    m->code_end = m->code_start + in->left;
    int r = take_u32(in, &count);
    if (r == 0 && count != m->functions.count)
        r = -EBADMSG;
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = read_body(m, in, (struct wasm_function *)m->functions.data + i);
    if (r == 0 && in->left > 0)
        r = -EBADMSG;
    return r;
}

static int read_each(struct wasm_module *m, struct reader *in,
                     int (*read)(struct wasm_module *, struct reader *))
{
    uint32_t count = 0;
    int r = take_u32(in, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = read(m, in);
    if (r == 0 && in->left > 0)
        r = -EBADMSG;
    return r;
}

/* The "name" section is for people: a module is none the worse for one that is wrong, and what was
 * read of it until then is kept. */
static void read_names(struct wasm_module *m, struct reader *in)
{
    struct reader part, name;
    uint8_t id = 0;
    uint32_t count = 0, index = 0;
    size_t used = 0;
    do
        if (take_byte(in, &id) < 0 || take_sized(in, &part) < 0)
            return;
    while (id != NAMES_OF_FUNCTIONS);
    if (m->names || take_u32(&part, &count) < 0)
        return;
    /* The names themselves are no more than the section. */
    m->names = malloc(part.left + 1);
    for (uint32_t i = 0; m->names && i < count; i++) {
        if (take_u32(&part, &index) < 0 || take_sized(&part, &name) < 0)
            return;
        if (index < m->imported || index - m->imported >= m->functions.count)
            continue;
        struct wasm_function *f = (struct wasm_function *)m->functions.data + (index - m->imported);
        memcpy(m->names + used, name.at, name.left);
        f->name = m->names + used;
        f->name_bytes = (uint32_t)name.left;
        used += name.left;
    }
}

static bool is_named(const struct reader *name, const char *text)
{
    return name->left == strlen(text) && memcmp(name->at, text, name->left) == 0;
}

static int read_custom(struct wasm_module *m, struct reader *in)
{
    struct reader name;
    int r = take_sized(in, &name);
    if (r < 0)
        return r;
    if (is_named(&name, ".debug_info"))
        m->has_dwarf = true;
    if (is_named(&name, "name"))
        read_names(m, in);
    return 0;
}

static int read_section(struct wasm_module *m, uint8_t id, struct reader *in)
{
    switch (id) {
    case SECTION_CUSTOM:
        return read_custom(m, in);
    case SECTION_TYPE:
        return read_each(m, in, read_type);
    case SECTION_IMPORT:
        return read_each(m, in, read_import);
    case SECTION_FUNCTION:
        return read_each(m, in, read_function);
    case SECTION_MEMORY:
        return read_each(m, in, read_defined_memory);
    case SECTION_GLOBAL:
        return read_each(m, in, read_global);
    case SECTION_CODE:
        return read_code(m, in);
    default:
        return 0;
    }
}

static int read_module(struct wasm_module *m, struct reader *in)
{
    struct reader part;
    uint32_t seen = 0;
    uint8_t id;
    if (in->left < 8 || memcmp(in->at, MODULE_HEADER, 8) != 0)
        return -EBADMSG;
    in->at += 8;
    in->left -= 8;
    while (in->left > 0) {
        int r = take_byte(in, &id);
        if (r == 0)
            r = take_sized(in, &part);
        if (r < 0)
            return r;
        /* Of those that we read each is there once, in ascending order. */
        if (id != SECTION_CUSTOM && id <= SECTION_CODE) {
            if (seen >> id != 0)
                return -EBADMSG;
            seen |= 1u << id;
        }
        r = read_section(m, id, &part);
        if (r < 0)
            return r;
    }
    return m->has_code || m->functions.count == 0 ? 0 : -EBADMSG;
}

int wasm_module_new(const void *bytes, size_t n, struct wasm_module **ret)
{
    if (n > UINT32_MAX)
        return -EOPNOTSUPP;
    struct wasm_module *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    struct reader in = {.at = bytes, .start = bytes, .left = n};
    int r = read_module(m, &in);
    if (r < 0) {
        wasm_module_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

struct wasm_module *wasm_module_free(struct wasm_module *m)
{
    if (m) {
        free(m->types.data);
        free(m->runs.data);
        free(m->functions.data);
        free(m->globals.data);
        free(m->memories.data);
        free(m->names);
        free(m);
    }
    return NULL;
}

uint32_t wasm_module_count_imported(const struct wasm_module *m)
{
    return m->imported;
}

uint32_t wasm_module_count_functions(const struct wasm_module *m)
{
    return m->functions.count;
}

uint32_t wasm_module_count_globals(const struct wasm_module *m)
{
    return m->globals.count;
}

const struct wasm_function *wasm_module_function(const struct wasm_module *m, uint32_t i)
{
    return i < m->functions.count ? (struct wasm_function *)m->functions.data + i : NULL;
}

const struct wasm_function *wasm_module_function_at(const struct wasm_module *m, uint64_t offset)
{
    uint32_t low = 0, high = m->functions.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct wasm_function *f = wasm_module_function(m, middle);
        if (offset < f->body)
            high = middle;
        else if (offset >= f->end)
            low = middle + 1;
        else
            return f;
    }
    return NULL;
}

static int type_in_runs(const struct wasm_module *m, uint32_t first, uint32_t count, uint64_t index,
                        enum wasm_type *ret)
{
    const struct run *runs = m->runs.data;
    for (uint32_t i = first; i < first + count; i++) {
        if (index < runs[i].count) {
            *ret = runs[i].type;
            return 0;
        }
        index -= runs[i].count;
    }
    return -ENOENT;
}

int wasm_module_local_type(const struct wasm_module *m, const struct wasm_function *function,
                           uint64_t index, enum wasm_type *ret)
{
    const struct type *t = (struct type *)m->types.data + function->type;
    if (index < function->parameters)
        return type_in_runs(m, t->first_run, t->runs, index, ret);
    return type_in_runs(m, function->first_run, function->runs, index - function->parameters, ret);
}

int wasm_module_global(const struct wasm_module *m, uint64_t index, struct wasm_global *ret)
{
    if (index >= m->globals.count)
        return -ENOENT;
    *ret = ((struct wasm_global *)m->globals.data)[index];
    return 0;
}

int wasm_module_memory(const struct wasm_module *m, uint64_t index, struct wasm_memory *ret)
{
    if (index >= m->memories.count)
        return -ENOENT;
    *ret = ((struct wasm_memory *)m->memories.data)[index];
    return 0;
}

void wasm_module_code(const struct wasm_module *m, uint64_t *ret_start, uint64_t *ret_end)
{
    *ret_start = m->code_start;
    *ret_end = m->code_end;
}

bool wasm_module_has_dwarf(const struct wasm_module *m)
{
    return m->has_dwarf;
}

unsigned wasm_type_bytes(enum wasm_type type)
{
    switch (type) {
    case WASM_I32:
    case WASM_F32:
        return 4;
    case WASM_V128:
        return 16;
    case WASM_I64:
    case WASM_F64:
    case WASM_REF:
        break;
    }
    return 8;
}

const char *wasm_type_name(enum wasm_type type)
{
    static const char *const names[] = {"i32", "i64", "f32", "f64", "v128", "ref"};
    return names[type];
}

/*
 * wasm_module.h: what a debugger has to know of a WebAssembly module that its DWARF does not say:
 * where its functions are, and the types of their locals and of its globals. Read once from the
 * module's bytes, of which nothing is kept: a wasm_module owns all that it has.
 *
 * In the gateway, one thread. The bytes come from guests: any of them may be wrong, and nothing of
 * them is asserted. Offsets count from the start of the module.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Types of values. All kinds of references are one. */
enum wasm_type {
    WASM_I32,
    WASM_I64,
    WASM_F32,
    WASM_F64,
    WASM_V128,
    WASM_REF,
};

/** A function that is defined in the module. */
struct wasm_function {
    uint32_t index;      /**< as calls count: those that are imported come first */
    uint32_t body;       /**< where its declarations of locals begin, after its size */
    uint32_t code;       /**< its first instruction */
    uint32_t end;        /**< after its last byte, which is that of its `end` */
    uint32_t parameters; /**< how many of its locals are these */
    uint32_t locals;     /**< with the parameters */
    const char *name;    /**< of the name section, UTF-8 or not; "": it has none */
    uint32_t name_bytes;
    uint32_t type;            /**< which of the module's types it has */
    uint32_t runs, first_run; /**< for wasm_module_local_type() */
};

struct wasm_global {
    enum wasm_type type;
    bool writable, imported;
};

struct wasm_memory {
    uint64_t min_pages, max_pages; /**< max_pages: UINT64_MAX when there is no limit */
    bool is_64, shared, imported;
};

struct wasm_module;

/** -EBADMSG: these bytes are no module; -EOPNOTSUPP: it has types that we do not know, so that not
 *  all can be told; -ENOMEM. */
int wasm_module_new(const void *bytes, size_t n, struct wasm_module **ret);
struct wasm_module *wasm_module_free(struct wasm_module *m);

/** Functions that are imported; those that are defined. */
uint32_t wasm_module_count_imported(const struct wasm_module *m);
uint32_t wasm_module_count_functions(const struct wasm_module *m);
/** The i-th that is defined, in the order of their code; NULL: there are not so many. */
const struct wasm_function *wasm_module_function(const struct wasm_module *m, uint32_t i);
/** The one whose body this offset is in; NULL: none. */
const struct wasm_function *wasm_module_function_at(const struct wasm_module *m, uint64_t offset);
/** The type of a local, parameters first. -ENOENT. */
int wasm_module_local_type(const struct wasm_module *m, const struct wasm_function *function,
                           uint64_t index, enum wasm_type *ret);
/** A global, those that are imported first. -ENOENT. */
int wasm_module_global(const struct wasm_module *m, uint64_t index, struct wasm_global *ret);
uint32_t wasm_module_count_globals(const struct wasm_module *m);
/** A memory, those that are imported first. -ENOENT. */
int wasm_module_memory(const struct wasm_module *m, uint64_t index, struct wasm_memory *ret);
/** Where the contents of its code section are; both 0: it has no code. */
void wasm_module_code(const struct wasm_module *m, uint64_t *ret_start, uint64_t *ret_end);
/** It has sections with DWARF. */
bool wasm_module_has_dwarf(const struct wasm_module *m);
/** Bytes of a value of this type, as it is in memory; of a reference 8. */
unsigned wasm_type_bytes(enum wasm_type type);
/** "i32", ...; of references "ref". */
const char *wasm_type_name(enum wasm_type type);

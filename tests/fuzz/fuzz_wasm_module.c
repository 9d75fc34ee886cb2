/*
 * The bytes of a module, which a guest may have made: functions lie behind each other within the
 * code, each of their locals has a type, and names are copies.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gdbserver/wasm_module.h"
#include "tests/fuzz/fuzz.h"

/* Of a function with more locals than these some are asked for. */
#define MANY_LOCALS 64

static void require_locals(const struct wasm_module *m, const struct wasm_function *f)
{
    enum wasm_type type;
    FUZZ_REQUIRE(f->parameters <= f->locals);
    for (uint32_t i = 0; i < f->locals && i < MANY_LOCALS; i++) {
        FUZZ_REQUIRE(wasm_module_local_type(m, f, i, &type) == 0);
        FUZZ_REQUIRE(wasm_type_bytes(type) >= 4 && wasm_type_name(type)[0]);
    }
    if (f->locals > 0)
        FUZZ_REQUIRE(wasm_module_local_type(m, f, f->locals - 1, &type) == 0);
    FUZZ_REQUIRE(wasm_module_local_type(m, f, f->locals, &type) == -ENOENT);
}

static void require_function(const struct wasm_module *m, uint32_t i, uint64_t *at, uint64_t end)
{
    const struct wasm_function *f = wasm_module_function(m, i);
    FUZZ_REQUIRE(f && f->index == wasm_module_count_imported(m) + i);
    FUZZ_REQUIRE(*at < f->body && f->body < f->code && f->code < f->end && f->end <= end);
    FUZZ_REQUIRE(wasm_module_function_at(m, f->body) == f);
    FUZZ_REQUIRE(wasm_module_function_at(m, f->end - 1) == f);
    FUZZ_REQUIRE(wasm_module_function_at(m, f->body - 1) == NULL);
    *at = f->end;
    require_locals(m, f);
    /* Each byte of the name is ours. */
    char *name = malloc(f->name_bytes + 1u);
    FUZZ_REQUIRE(name);
    memcpy(name, f->name, f->name_bytes);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wasm_module *m = NULL;
    struct wasm_global global;
    struct wasm_memory memory;
    uint64_t start, end;
    uint8_t *copy = fuzz_copy(data, size);
    int r = wasm_module_new(copy, size, &m);
    free(copy);
    if (r < 0) {
        FUZZ_REQUIRE(!m && (r == -EBADMSG || r == -EOPNOTSUPP));
        fuzz_refused();
        return 0;
    }
    fuzz_accepted();
    wasm_module_code(m, &start, &end);
    FUZZ_REQUIRE(start <= end && end <= size);
    uint32_t functions = wasm_module_count_functions(m), globals = wasm_module_count_globals(m);
    uint64_t at = start;
    for (uint32_t i = 0; i < functions; i++)
        require_function(m, i, &at, end);
    FUZZ_REQUIRE(!wasm_module_function(m, functions) && !wasm_module_function_at(m, end));
    for (uint32_t i = 0; i < globals; i++)
        FUZZ_REQUIRE(wasm_module_global(m, i, &global) == 0 && wasm_type_bytes(global.type) >= 4);
    FUZZ_REQUIRE(wasm_module_global(m, globals, &global) == -ENOENT);
    for (uint32_t i = 0; wasm_module_memory(m, i, &memory) == 0; i++)
        FUZZ_REQUIRE(memory.is_64 || memory.min_pages <= UINT32_MAX);
    (void)wasm_module_has_dwarf(m);
    wasm_module_free(m);
    return 0;
}

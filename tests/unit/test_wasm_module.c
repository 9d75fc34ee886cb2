#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "gateway/gdbserver/wasm_module.h"

/* A module as bytes, put together section by section. */
struct image {
    uint8_t bytes[1024];
    size_t n;
};

static void add(struct image *i, const void *bytes, size_t n)
{
    assert_true(n <= sizeof i->bytes - i->n);
    memcpy(i->bytes + i->n, bytes, n);
    i->n += n;
}

static void section(struct image *i, uint8_t id, const void *contents, size_t n)
{
    /* A number of two bytes may have any value below 16384. */
    uint8_t head[3] = {id, (uint8_t)(n | 0x80), (uint8_t)(n >> 7)};
    add(i, head, sizeof head);
    add(i, contents, n);
}
#define SECTION(i, id, contents) section(i, id, contents, sizeof(contents) - 1)

#define TYPES "\x02\x60\x03\x7f\x7e\x70\x01\x7f\x60\x00\x00"
#define IMPORTS                                                                                    \
    "\x05"                                                                                         \
    "\x03"                                                                                         \
    "env\x01g\x03\x7d\x00"                                                                         \
    "\x03"                                                                                         \
    "env\x01"                                                                                      \
    "f\x00\x01"                                                                                    \
    "\x03"                                                                                         \
    "env\x01t\x01\x70\x01\x02\x03"                                                                 \
    "\x03"                                                                                         \
    "env\x01m\x02\x03\x01\x02"                                                                     \
    "\x03"                                                                                         \
    "env\x01x\x04\x00\x01"
#define FUNCTIONS "\x02\x00\x01"
#define MEMORIES "\x01\x04\x81\x80\x04"
#define GLOBALS                                                                                    \
    "\x04\x7f\x01\x41\x80\x01\x0b\x7e\x00\x42\x01\x0b\x7c\x01\x44"                                 \
    "12345678\x0b\x7b\x00\xfd\x0c"                                                                 \
    "0123456789abcdef\x0b"
/* (locals 2 x f64, 3 x i32, 0 x v128, 1 x externref) nop end; () end */
#define CODE                                                                                       \
    "\x02\x0b\x04\x02\x7c\x03\x7f\x00\x7b\x01\x6f\x01\x0b"                                         \
    "\x02\x00\x0b"
#define NAMES "\x04name\x00\x02\x01m\x01\x0b\x02\x00\x03imp\x02\x03two"

static void begin(struct image *i)
{
    i->n = 0;
    add(i, "\0asm\1\0\0", 8);
}

static void whole(struct image *i)
{
    begin(i);
    SECTION(i, 1, TYPES);
    SECTION(i, 2, IMPORTS);
    SECTION(i, 3, FUNCTIONS);
    SECTION(i, 5, MEMORIES);
    SECTION(i, 6, GLOBALS);
    SECTION(i, 10, CODE);
    SECTION(i, 0, NAMES);
    SECTION(i, 0, "\x0b.debug_info");
}

static int read_image(const struct image *i, struct wasm_module **ret)
{
    /* Just so many bytes: one that is read too far is found. */
    uint8_t *copy = malloc(i->n ? i->n : 1);
    assert_non_null(copy);
    memcpy(copy, i->bytes, i->n);
    int r = wasm_module_new(copy, i->n, ret);
    free(copy);
    return r;
}

static struct wasm_module *read_whole(void)
{
    struct image i;
    struct wasm_module *m = NULL;
    whole(&i);
    assert_int_equal(read_image(&i, &m), 0);
    return m;
}

static void functions_are_where_their_code_is(void **state)
{
    struct wasm_module *m = read_whole();
    uint64_t start, end;
    (void)state;
    assert_int_equal(wasm_module_count_imported(m), 1);
    assert_int_equal(wasm_module_count_functions(m), 2);
    wasm_module_code(m, &start, &end);
    assert_int_equal(end - start, sizeof CODE - 1);
    const struct wasm_function *f = wasm_module_function(m, 0), *g = wasm_module_function(m, 1);
    assert_null(wasm_module_function(m, 2));
    assert_int_equal(f->index, 1);
    assert_int_equal(f->body, start + 2);
    assert_int_equal(f->code, start + 11);
    assert_int_equal(f->end, start + 13);
    assert_int_equal(g->index, 2);
    assert_int_equal(g->body, start + 14);
    assert_int_equal(g->code, start + 15);
    assert_int_equal(g->end, end);
    assert_null(wasm_module_function_at(m, start + 1));
    assert_ptr_equal(wasm_module_function_at(m, start + 2), f);
    assert_ptr_equal(wasm_module_function_at(m, start + 12), f);
    assert_null(wasm_module_function_at(m, start + 13));
    assert_ptr_equal(wasm_module_function_at(m, start + 14), g);
    assert_ptr_equal(wasm_module_function_at(m, end - 1), g);
    assert_null(wasm_module_function_at(m, end));
    assert_null(wasm_module_function_at(m, UINT64_MAX));
    wasm_module_free(m);
}

static void locals_are_parameters_and_then_declarations(void **state)
{
    static const enum wasm_type types[] = {WASM_I32, WASM_I64, WASM_REF, WASM_F64, WASM_F64,
                                           WASM_I32, WASM_I32, WASM_I32, WASM_REF};
    struct wasm_module *m = read_whole();
    const struct wasm_function *f = wasm_module_function(m, 0), *g = wasm_module_function(m, 1);
    enum wasm_type type;
    (void)state;
    assert_int_equal(f->parameters, 3);
    assert_int_equal(f->locals, sizeof types / sizeof *types);
    for (unsigned i = 0; i < f->locals; i++) {
        assert_int_equal(wasm_module_local_type(m, f, i, &type), 0);
        assert_int_equal(type, types[i]);
    }
    type = WASM_V128;
    assert_int_equal(wasm_module_local_type(m, f, f->locals, &type), -ENOENT);
    assert_int_equal(wasm_module_local_type(m, f, UINT64_MAX, &type), -ENOENT);
    assert_int_equal(g->locals, 0);
    assert_int_equal(wasm_module_local_type(m, g, 0, &type), -ENOENT);
    assert_int_equal(type, WASM_V128);
    wasm_module_free(m);
}

static void globals_are_imported_and_then_defined(void **state)
{
    static const struct wasm_global all[] = {{WASM_F32, false, true},
                                             {WASM_I32, true, false},
                                             {WASM_I64, false, false},
                                             {WASM_F64, true, false},
                                             {WASM_V128, false, false}};
    struct wasm_module *m = read_whole();
    struct wasm_global g;
    (void)state;
    assert_int_equal(wasm_module_count_globals(m), sizeof all / sizeof *all);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(wasm_module_global(m, i, &g), 0);
        assert_int_equal(g.type, all[i].type);
        assert_int_equal(g.writable, all[i].writable);
        assert_int_equal(g.imported, all[i].imported);
    }
    assert_int_equal(wasm_module_global(m, 5, &g), -ENOENT);
    assert_int_equal(wasm_module_global(m, UINT64_MAX, &g), -ENOENT);
    wasm_module_free(m);
}

static void memories_have_their_limits(void **state)
{
    struct wasm_module *m = read_whole();
    struct wasm_memory memory;
    (void)state;
    assert_int_equal(wasm_module_memory(m, 0, &memory), 0);
    assert_true(memory.imported && memory.shared && !memory.is_64);
    assert_int_equal(memory.min_pages, 1);
    assert_int_equal(memory.max_pages, 2);
    assert_int_equal(wasm_module_memory(m, 1, &memory), 0);
    assert_true(!memory.imported && !memory.shared && memory.is_64);
    assert_int_equal(memory.min_pages, 65537);
    assert_true(memory.max_pages == UINT64_MAX);
    assert_int_equal(wasm_module_memory(m, 2, &memory), -ENOENT);
    wasm_module_free(m);
}

static void functions_have_the_names_of_their_section(void **state)
{
    struct wasm_module *m = read_whole();
    const struct wasm_function *f = wasm_module_function(m, 0), *g = wasm_module_function(m, 1);
    (void)state;
    assert_int_equal(f->name_bytes, 0);
    assert_string_equal(f->name, "");
    assert_int_equal(g->name_bytes, 3);
    assert_memory_equal(g->name, "two", 3);
    assert_true(wasm_module_has_dwarf(m));
    wasm_module_free(m);
}

static void a_name_section_that_is_wrong_takes_nothing_from_the_module(void **state)
{
    struct image i;
    struct wasm_module *m;
    (void)state;
    begin(&i);
    SECTION(&i, 1, TYPES);
    SECTION(&i, 3, FUNCTIONS);
    SECTION(&i, 10, CODE);
    SECTION(&i, 0, "\x04name\x01\x0a\x02\x00\x03two\x01\x7f!!");
    assert_int_equal(read_image(&i, &m), 0);
    assert_int_equal(wasm_module_function(m, 0)->name_bytes, 3);
    assert_int_equal(wasm_module_function(m, 1)->name_bytes, 0);
    assert_false(wasm_module_has_dwarf(m));
    wasm_module_free(m);
    begin(&i);
    SECTION(&i, 0, "\x04name\x07");
    assert_int_equal(read_image(&i, &m), 0);
    wasm_module_free(m);
    /* Names of functions that are longer than the section: what came before is not taken for them.
     */
    begin(&i);
    SECTION(&i, 1, TYPES);
    SECTION(&i, 3, FUNCTIONS);
    SECTION(&i, 10, CODE);
    SECTION(&i, 0, "\x04name\x00\x06\x01\x00\x03two\x01\x7f!!");
    assert_int_equal(read_image(&i, &m), 0);
    assert_int_equal(wasm_module_function(m, 0)->name_bytes, 0);
    wasm_module_free(m);
}

static void a_module_may_have_nothing_in_it(void **state)
{
    struct image i;
    struct wasm_module *m;
    uint64_t start, end;
    (void)state;
    begin(&i);
    assert_int_equal(read_image(&i, &m), 0);
    assert_int_equal(wasm_module_count_functions(m), 0);
    assert_null(wasm_module_function_at(m, 0));
    wasm_module_code(m, &start, &end);
    assert_int_equal(start, 0);
    assert_int_equal(end, 0);
    wasm_module_free(m);
    assert_null(wasm_module_free(NULL));
}

static void a_module_that_is_cut_anywhere_is_refused(void **state)
{
    struct image i;
    struct wasm_module *m = NULL;
    size_t fine = 0;
    (void)state;
    whole(&i);
    for (size_t n = i.n; n-- > 0;) {
        i.n = n;
        int r = read_image(&i, &m);
        if (r == 0) {
            /* Between two sections. */
            fine++;
            m = wasm_module_free(m);
        } else {
            assert_int_equal(r, -EBADMSG);
            assert_null(m);
        }
    }
    /* After the header, types, imports; code, names. Between functions and code it has no code. */
    assert_int_equal(fine, 5);
}

#define REFUSED(error, ...)                                                                        \
    do {                                                                                           \
        struct image i;                                                                            \
        struct wasm_module *m = NULL;                                                              \
        begin(&i);                                                                                 \
        __VA_ARGS__;                                                                               \
        assert_int_equal(read_image(&i, &m), error);                                               \
        assert_null(m);                                                                            \
    } while (0)

static void what_is_no_module_is_refused(void **state)
{
    (void)state;
    REFUSED(-EBADMSG, i.bytes[4] = 2);
    REFUSED(-EBADMSG, i.bytes[0] = 1);
    /* Twice, and in the wrong order. */
    REFUSED(-EBADMSG, SECTION(&i, 1, TYPES); SECTION(&i, 1, TYPES));
    REFUSED(-EBADMSG, SECTION(&i, 5, MEMORIES); SECTION(&i, 1, TYPES));
    /* More in a section than it counts, and less. */
    REFUSED(-EBADMSG, SECTION(&i, 1, "\x00\x00"));
    REFUSED(-EBADMSG, SECTION(&i, 1, "\x01"));
    REFUSED(-EBADMSG, SECTION(&i, 1, "\xff\xff\xff\xff\x0f"));
    /* Numbers that are too large or do not end. */
    REFUSED(-EBADMSG, SECTION(&i, 1, "\xff\xff\xff\xff\x1f"));
    REFUSED(-EBADMSG, SECTION(&i, 1, "\x80\x80\x80\x80\x80\x00"));
    /* A type that is not there; code without functions, functions without code. */
    REFUSED(-EBADMSG, SECTION(&i, 1, TYPES); SECTION(&i, 3, "\x01\x02"));
    REFUSED(-EBADMSG, SECTION(&i, 10, CODE));
    REFUSED(-EBADMSG, SECTION(&i, 1, TYPES); SECTION(&i, 3, FUNCTIONS));
    /* A body without an end, more locals than can be counted. */
    REFUSED(-EBADMSG, SECTION(&i, 1, TYPES); SECTION(&i, 3, "\x01\x01");
            SECTION(&i, 10, "\x01\x02\x00\x01"));
    REFUSED(-EBADMSG, SECTION(&i, 1, TYPES); SECTION(&i, 3, "\x01\x01");
            SECTION(&i, 10, "\x01\x01\x00"));
    REFUSED(-EBADMSG, SECTION(&i, 1, TYPES); SECTION(&i, 3, "\x01\x00");
            SECTION(&i, 10, "\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b"));
    /* A global that is neither constant nor variable. */
    REFUSED(-EBADMSG, SECTION(&i, 6, "\x01\x7f\x02\x41\x00\x0b"));
}

static void what_we_do_not_know_is_told_from_what_is_wrong(void **state)
{
    (void)state;
    REFUSED(-EOPNOTSUPP, SECTION(&i, 1, "\x01\x5f\x00"));
    REFUSED(-EOPNOTSUPP, SECTION(&i, 1, "\x01\x60\x01\x6a\x00"));
    REFUSED(-EOPNOTSUPP, SECTION(&i, 5, "\x01\x08\x00"));
    REFUSED(-EOPNOTSUPP, SECTION(&i, 6, "\x01\x7f\x00\x01\x0b"));
    REFUSED(-EOPNOTSUPP, SECTION(&i, 6, "\x01\x7b\x00\xfd\x0d\x0b"));
    REFUSED(-EOPNOTSUPP, SECTION(&i, 2, "\x01\x00\x00\x05\x00"));
}

static void types_have_sizes_and_names(void **state)
{
    (void)state;
    assert_int_equal(wasm_type_bytes(WASM_I32), 4);
    assert_int_equal(wasm_type_bytes(WASM_F32), 4);
    assert_int_equal(wasm_type_bytes(WASM_I64), 8);
    assert_int_equal(wasm_type_bytes(WASM_F64), 8);
    assert_int_equal(wasm_type_bytes(WASM_V128), 16);
    assert_int_equal(wasm_type_bytes(WASM_REF), 8);
    assert_string_equal(wasm_type_name(WASM_I32), "i32");
    assert_string_equal(wasm_type_name(WASM_V128), "v128");
    assert_string_equal(wasm_type_name(WASM_REF), "ref");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(functions_are_where_their_code_is),
    cmocka_unit_test(locals_are_parameters_and_then_declarations),
    cmocka_unit_test(globals_are_imported_and_then_defined),
    cmocka_unit_test(memories_have_their_limits),
    cmocka_unit_test(functions_have_the_names_of_their_section),
    cmocka_unit_test(a_name_section_that_is_wrong_takes_nothing_from_the_module),
    cmocka_unit_test(a_module_may_have_nothing_in_it),
    cmocka_unit_test(a_module_that_is_cut_anywhere_is_refused),
    cmocka_unit_test(what_is_no_module_is_refused),
    cmocka_unit_test(what_we_do_not_know_is_told_from_what_is_wrong),
    cmocka_unit_test(types_have_sizes_and_names),
};
UNIT_MAIN(tests)

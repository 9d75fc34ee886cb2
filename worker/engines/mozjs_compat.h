/*
 * mozjs_compat.h: everything of the adapter that depends on the version of libmozjs.
 *
 * The other files use the parts of the public API that have kept their names; what upstream renames
 * or changes between long-term releases is wrapped here, and a port to another release starts (and
 * should end) in this file. Written for 102.
 */
#pragma once

/* The engine's rooting classes link themselves into a list that their context holds, and unlink
 * themselves again: gcc 12 sees only the first half. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif

#include <js/Array.h>
#include <js/ErrorReport.h>
#include <js/HelperThreadAPI.h>
#include <js/Initialization.h>
#include <js/MapAndSet.h>
#include <js/Modules.h>
#include <js/Object.h>
#include <js/Proxy.h>
#include <jsapi.h>
#include <jsfriendapi.h>

#include <stdint.h>
#include <string.h>

namespace compat
{

/** More tasks than this run on no pool; the engine sizes its tables for it. */
constexpr size_t MAX_HELPER_THREADS = 8;

/**
 * An asynchronous WebAssembly compilation and a tier-2 one each hold a thread that waits for tasks
 * of others. The engine keeps the last idle thread from becoming one that waits, and, with more
 * than 20 tier-2 compilations in its queue, starts no other tasks: with two threads that is a
 * deadlock.
 */
constexpr size_t MIN_HELPER_THREADS = 3;

/**
 * Makes the engine hand its background tasks to `callback` instead of to threads of its own.
 * Between JS_Init and JS_NewContext it must be called with the largest number of threads (tables
 * are made for that many); later it may be called again with fewer, as long as no task has been
 * handed out.
 */
inline void set_helper_pool(JS::HelperThreadTaskCallback callback, size_t threads,
                            size_t stack_bytes)
{
    JS::SetHelperThreadTaskCallback(callback, threads, stack_bytes);
}

inline void run_helper_task()
{
    JS::RunHelperThreadTask();
}

/**
 * The shell that people compare us with runs without the mitigations that keep one origin from
 * reading another's memory speculatively. A worker holds one guest and nothing else, so neither
 * needs them.
 */
inline void set_jit_options(JSContext *cx)
{
    JS_SetGlobalJitCompilerOption(cx, JSJITCOMPILER_SPECTRE_INDEX_MASKING, 0);
    JS_SetGlobalJitCompilerOption(cx, JSJITCOMPILER_SPECTRE_OBJECT_MITIGATIONS, 0);
    JS_SetGlobalJitCompilerOption(cx, JSJITCOMPILER_SPECTRE_STRING_MITIGATIONS, 0);
    JS_SetGlobalJitCompilerOption(cx, JSJITCOMPILER_SPECTRE_VALUE_MASKING, 0);
    JS_SetGlobalJitCompilerOption(cx, JSJITCOMPILER_SPECTRE_JIT_TO_CXX_CALLS, 0);
}

/** The column of an error's place, from 1 on: those of the parser and the linker count from 0. */
inline unsigned shown_column(const JSErrorReport *report)
{
    return report->column + (report->exnType == JSEXN_SYNTAXERR ? 1 : 0);
}

/** True for the errors by which a script's parser says that the source would do in a module. */
inline bool is_module_syntax_error(const JSErrorReport *report)
{
    static const char *const NAMES[] = {
        "JSMSG_IMPORT_DECL_AT_TOP_LEVEL",   "JSMSG_EXPORT_DECL_AT_TOP_LEVEL",
        "JSMSG_IMPORT_META_OUTSIDE_MODULE", "JSMSG_AWAIT_OUTSIDE_ASYNC_OR_MODULE",
        "JSMSG_FOR_AWAIT_OUTSIDE_ASYNC",
    };
    if (!report || !report->errorMessageName)
        return false;
    for (const char *name : NAMES) {
        if (strcmp(report->errorMessageName, name) == 0)
            return true;
    }
    return false;
}

/**
 * A saved frame of WebAssembly has for its line the offset of the instruction in the module, and
 * for its column the function's index with the highest bit set (wasm::WasmFrameIter::ColumnBit).
 */
inline bool is_wasm_frame(uint32_t column, uint32_t *ret_function_index)
{
    constexpr uint32_t COLUMN_BIT = 1u << 31;
    if (!(column & COLUMN_BIT))
        return false;
    *ret_function_index = column & ~COLUMN_BIT;
    return true;
}

/* Modules */

template <typename Unit>
inline JSObject *module_compile(JSContext *cx, const JS::ReadOnlyCompileOptions &options,
                                JS::SourceText<Unit> &source)
{
    return JS::CompileModule(cx, options, source);
}

inline bool module_link(JSContext *cx, JS::HandleObject record)
{
    return JS::ModuleInstantiate(cx, record);
}

inline bool module_evaluate(JSContext *cx, JS::HandleObject record, JS::MutableHandleValue promise)
{
    return JS::ModuleEvaluate(cx, record, promise);
}

/**
 * Calls `visit(specifier, line, column)`, both from 1 on, for each module that `record` requests,
 * in source order; stops and returns false when a visit does, or with an exception.
 */
template <typename Visit>
inline bool module_requests(JSContext *cx, JS::HandleObject record, Visit visit)
{
    JS::RootedObject requests(cx, JS::GetRequestedModules(cx, record));
    uint32_t count = 0;
    if (!requests || !JS::GetArrayLength(cx, requests, &count))
        return false;
    JS::RootedValue request(cx);
    JS::RootedString specifier(cx);
    for (uint32_t i = 0; i < count; i++) {
        if (!JS_GetElement(cx, requests, i, &request))
            return false;
        specifier = JS::GetRequestedModuleSpecifier(cx, request);
        if (!specifier)
            return false;
        uint32_t line = 0, column = 0;
        JS::GetRequestedModuleSourcePos(cx, request, &line, &column);
        if (!visit(specifier, line, column + 1))
            return false;
    }
    return true;
}

/* Looking into objects */

/** A Debugger.Object, whose class bears the name of plain objects' but has slots. */
inline bool is_debugger_object(JSObject *object)
{
    const JSClass *cls = JS::GetClass(object);
    return strcmp(cls->name, "Object") == 0 && JSCLASS_RESERVED_SLOTS(cls) != 0;
}

/** What a Number, String, Boolean or BigInt object holds; the engine exports no way to ask. */
inline const JS::Value &boxed_value(JSObject *object)
{
    constexpr size_t PRIMITIVE_SLOT = 0;
    return JS::GetReservedSlot(object, PRIMITIVE_SLOT);
}

/** The handler of a scripted proxy; NULL once it is revoked, as its target then is. */
inline JSObject *proxy_handler(JSObject *proxy)
{
    constexpr size_t HANDLER_SLOT = 0;
    return js::GetProxyReservedSlot(proxy, HANDLER_SLOT).toObjectOrNull();
}

/**
 * Where a Map or Set iterator stands. There is no public way to read it without advancing the
 * iterator, so this reads the slots that vm/MapObject keeps: the collection, its range, and the
 * kind of items.
 */
struct IteratorPosition {
    enum Kind { KEYS, VALUES, ENTRIES };

    JSObject *collection = nullptr;
    bool is_map = false;
    Kind kind = KEYS;
    bool exhausted = false;
    uint32_t passed = 0; /**< live entries that it has gone past */
};

inline bool iterator_position(JSObject *object, IteratorPosition *ret)
{
    constexpr size_t TARGET_SLOT = 0, RANGE_SLOT = 1, KIND_SLOT = 2;
    /* OrderedHashTable::Range, as far as we need it. */
    struct Range {
        void *table;
        uint32_t index;
        uint32_t passed;
    };

    const char *name = JS::GetClass(object)->name;
    bool is_map = strcmp(name, "Map Iterator") == 0;
    if ((!is_map && strcmp(name, "Set Iterator") != 0) ||
        JSCLASS_RESERVED_SLOTS(JS::GetClass(object)) != 3)
        return false;
    const JS::Value &target = JS::GetReservedSlot(object, TARGET_SLOT);
    const JS::Value &range = JS::GetReservedSlot(object, RANGE_SLOT);
    const JS::Value &kind = JS::GetReservedSlot(object, KIND_SLOT);
    /* The prototype objects have the same class and empty slots. */
    if (!target.isObject() || !kind.isInt32() || kind.toInt32() < 0 || kind.toInt32() > 2)
        return false;

    ret->collection = &target.toObject();
    ret->is_map = is_map;
    ret->kind = static_cast<IteratorPosition::Kind>(kind.toInt32());
    ret->exhausted = range.isUndefined() || !range.toPrivate();
    if (!ret->exhausted)
        ret->passed = static_cast<const Range *>(range.toPrivate())->passed;
    return true;
}

} // namespace compat

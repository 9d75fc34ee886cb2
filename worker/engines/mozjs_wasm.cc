/*
 * mozjs_wasm.cc: programs that are WebAssembly modules, commands (`_start`) or reactors
 * (`_initialize`), with imports from wasi_snapshot_preview1, which the host implements.
 *
 * The engine has no native interface to WebAssembly: modules and instances are made through the
 * constructors of the guest's realm, which no guest code has touched when this uses them.
 */

#include "mozjs_debugger.h"

#include <js/ArrayBuffer.h>
#include <js/ArrayBufferMaybeShared.h>
#include <js/BigInt.h>
#include <js/Conversions.h>
#include <js/JSON.h>
#include <js/String.h>

#include <errno.h>
#include <string.h>

namespace mozjs
{

namespace
{

constexpr const char *WASI = "wasi_snapshot_preview1";
constexpr unsigned MAX_PARAMETERS = 16;

/** WebAssembly[name] */
bool get_namespace_member(engine *e, const char *name, JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    JS::RootedObject global(cx, e->global);
    JS::RootedValue space(cx);
    if (!JS_GetProperty(cx, global, "WebAssembly", &space))
        return false;
    if (!space.isObject())
        return throw_error(cx, "WebAssembly is not available here");
    JS::RootedObject object(cx, &space.toObject());
    return JS_GetProperty(cx, object, name, ret_value);
}

bool get_string(JSContext *cx, JS::HandleObject object, const char *name, std::string *ret_text)
{
    JS::RootedValue value(cx);
    if (!JS_GetProperty(cx, object, name, &value))
        return false;
    JS::RootedString string(cx, JS::ToString(cx, value));
    Text text;
    if (!string || !to_utf8(cx, string, &text))
        return false;
    ret_text->assign(text.chars.get(), text.length);
    return true;
}

/** The row of the host's table, or -1. */
int find_wasi_function(engine *e, const std::string &name)
{
    const engine_wasi_function *table = e->ops->wasi_functions;
    for (int i = 0; table && table[i].name; i++) {
        if (name == table[i].name)
            return i;
    }
    return -1;
}

/** The program's memory as it is now: it moves when it grows. NULL before there is an instance. */
bool current_memory(engine *e, uint8_t **ret_data, size_t *ret_bytes)
{
    *ret_data = nullptr;
    *ret_bytes = 0;
    if (!e->wasm_memory)
        return true;
    JS::RootedObject memory(e->cx, e->wasm_memory);
    JS::RootedValue buffer(e->cx);
    if (!JS_GetProperty(e->cx, memory, "buffer", &buffer))
        return false;
    if (buffer.isObject() && JS::IsArrayBufferObjectMaybeShared(&buffer.toObject())) {
        bool shared;
        JS::GetArrayBufferMaybeSharedLengthAndData(&buffer.toObject(), ret_bytes, &shared,
                                                   ret_data);
    }
    return true;
}

/** An import of the program (remembered: the row of the host's table). */
bool wasi_import(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    int index = remembered(args).toInt32();
    const engine_wasi_function &function = e->ops->wasi_functions[index];

    uint64_t parameters[MAX_PARAMETERS] = {};
    for (unsigned i = 0; function.params[i] != '\0' && i < MAX_PARAMETERS; i++) {
        if (function.params[i] == 'l') {
            JS::BigInt *number = JS::ToBigInt(cx, args.get(i));
            if (!number)
                return false;
            parameters[i] = JS::ToBigUint64(number);
        } else {
            uint32_t number = 0;
            if (!JS::ToUint32(cx, args.get(i), &number))
                return false;
            parameters[i] = number;
        }
    }

    uint8_t *memory = nullptr;
    size_t memory_bytes = 0;
    if (!current_memory(e, &memory, &memory_bytes))
        return false;
    uint32_t result = 0;
    HostCall calls(e, function.name);
    int outcome = e->ops->wasi_call(e->host, index, parameters, memory, memory_bytes, &result);
    if (outcome == ENGINE_EXIT)
        return end_vm(e, ENGINE_EXIT, result & 0xff);
    if (!check_host(e, outcome))
        return false;
    if (function.returns)
        args.rval().setInt32(static_cast<int32_t>(result));
    else
        args.rval().setUndefined();
    return true;
}

/**
 * new WebAssembly.Module(buffer), by a line of script that bears the program's name: the engine
 * names a module, in stack traces and to debuggers, after the script that compiled it.
 */
bool construct_module(engine *e, JS::HandleObject buffer, JS::MutableHandleObject ret_module)
{
    static const char CODE[] = "bytes => new WebAssembly.Module(bytes)";
    JSContext *cx = e->cx;
    JS::CompileOptions options(cx);
    options.setFileAndLine(e->path.c_str(), 1)
        .setIntroductionType(OWN_INTRODUCTION)
        .setHideScriptFromDebugger();
    JS::SourceText<mozilla::Utf8Unit> source;
    JS::RootedValue function(cx), argument(cx, JS::ObjectValue(*buffer)), module(cx);
    if (!source.init(cx, CODE, sizeof(CODE) - 1, JS::SourceOwnership::Borrowed) ||
        !JS::Evaluate(cx, options, source, &function) ||
        !JS::Call(cx, JS::UndefinedHandleValue, function, JS::HandleValueArray(argument), &module))
        return false;
    ret_module.set(&module.toObject());
    return true;
}

/** Compiles, and looks at every import; false with an exception. */
bool compile(engine *e, const engine_program *program)
{
    JSContext *cx = e->cx;
    /* The engine copies what it compiles: the buffer may be the host's read-only mapping. */
    JS::RootedObject buffer(cx, JS::NewArrayBufferWithUserOwnedContents(
                                    cx, program->text_bytes, const_cast<uint8_t *>(program->text)));
    JS::RootedValue constructor(cx);
    if (!buffer || !get_namespace_member(e, "Module", &constructor))
        return false;
    JS::RootedObject module(cx);
    e->debug->suppressed++; /* the line is ours */
    bool ok = construct_module(e, buffer, &module);
    e->debug->suppressed--;
    {
        JS::AutoSaveExceptionState saved(cx);
        JS::DetachArrayBuffer(cx, buffer);
    }
    if (!ok)
        return false;
    e->wasm_module = module;

    JS::RootedObject owner(cx, &constructor.toObject());
    JS::RootedValue argument(cx, JS::ObjectValue(*module)), list(cx), entry(cx);
    if (!JS_CallFunctionName(cx, owner, "imports", JS::HandleValueArray(argument), &list))
        return false;
    JS::RootedObject imports(cx, &list.toObject()), import(cx);
    uint32_t count = 0;
    if (!JS::GetArrayLength(cx, imports, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        std::string space, name, kind;
        if (!JS_GetElement(cx, imports, i, &entry))
            return false;
        import = &entry.toObject();
        if (!get_string(cx, import, "module", &space) || !get_string(cx, import, "name", &name) ||
            !get_string(cx, import, "kind", &kind))
            return false;
        if (space == "wasi_unstable")
            return throw_error(cx, "it imports wasi_unstable." + name +
                                       "; only wasi_snapshot_preview1 is provided");
        if (space != WASI || kind != "function" || find_wasi_function(e, name) < 0)
            return throw_error(cx, "unknown import " + space + "." + name + " (" + kind + ")");
    }
    return true;
}

/** {wasi_snapshot_preview1: {name: function, …}} with every function of the host's table. */
JSObject *make_imports(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedObject imports(cx, JS_NewPlainObject(cx)), space(cx, JS_NewPlainObject(cx));
    if (!imports || !space || !JS_DefineProperty(cx, imports, WASI, space, JSPROP_ENUMERATE))
        return nullptr;
    JS::RootedValue index(cx);
    const engine_wasi_function *table = e->ops->wasi_functions;
    for (int i = 0; table && table[i].name; i++) {
        index.setInt32(i);
        if (!define_function(cx, space, table[i].name, wasi_import, strlen(table[i].params),
                             JSPROP_ENUMERATE, index))
            return nullptr;
    }
    return imports;
}

/** Calls an export if there is one of that name. */
bool call_export(engine *e, const char *name, bool *ret_found)
{
    JSContext *cx = e->cx;
    JS::RootedObject exports(cx, e->wasm_exports);
    JS::RootedValue function(cx), ignored(cx);
    *ret_found = false;
    if (!JS_GetProperty(cx, exports, name, &function))
        return false;
    if (!function.isObject() || !JS::IsCallable(&function.toObject()))
        return true;
    *ret_found = true;
    return JS::Call(cx, JS::UndefinedHandleValue, function, JS::HandleValueArray::empty(),
                    &ignored);
}

bool instantiate(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedValue constructor(cx), value(cx);
    JS::RootedObject imports(cx, make_imports(e)), instance(cx);
    if (!imports || !get_namespace_member(e, "Instance", &constructor))
        return false;
    JS::RootedValueArray<2> arguments(cx);
    arguments[0].setObject(*e->wasm_module);
    arguments[1].setObject(*imports);
    if (!JS::Construct(cx, constructor, arguments, &instance) ||
        !JS_GetProperty(cx, instance, "exports", &value))
        return false;
    e->wasm_exports = &value.toObject();
    JS::RootedObject exports(cx, e->wasm_exports);
    if (!JS_GetProperty(cx, exports, "memory", &value))
        return false;
    if (value.isObject() &&
        strcmp(JS::GetClass(&value.toObject())->name, "WebAssembly.Memory") == 0)
        e->wasm_memory = &value.toObject();

    bool found = false;
    if (!call_export(e, "_start", &found))
        return false;
    return found || call_export(e, "_initialize", &found);
}

} // namespace

int load_wasm(engine *e, const engine_program *program)
{
    JSContext *cx = e->cx;
    JSAutoRealm realm(cx, e->global);
    e->path = program->path;
    e->wasm_text = program->text;
    e->wasm_text_bytes = program->text_bytes;
    if (compile(e, program)) {
        e->ops->loaded(e->host, nullptr);
        return 0;
    }
    JS::RootedValue error(cx);
    take_exception(cx, &error);
    std::string text = e->path + ": ";
    if (!e->wasm_module)
        text += "not a WebAssembly module: ";
    e->ops->loaded(e->host, (text + describe_error(cx, error)).c_str());
    return 0;
}

int start_wasm(engine *e)
{
    return instantiate(e) ? drain(e) : fail(e);
}

bool wasm_call_arguments(JSContext *cx, JS::MutableHandleValueVector arguments)
{
    /* A parameter's type cannot be asked for, but a string converts to any of them: i64 takes no
     * number, and the others take no BigInt. */
    JS::RootedValue value(cx);
    for (size_t i = 0; i < arguments.length(); i++) {
        value = arguments[i];
        JSString *string = value.isNumber() ? JS::ToString(cx, value) : nullptr;
        if (string)
            arguments[i].setString(string);
        else if (value.isNumber())
            return false;
    }
    return true;
}

bool wasm_result_json(JSContext *cx, JS::HandleValue value, Text *ret_json)
{
    if (value.isBigInt()) {
        JS::Rooted<JS::BigInt *> number(cx, value.toBigInt());
        JS::RootedString string(cx, JS::BigIntToString(cx, number, 10));
        return string && to_utf8(cx, string, ret_json);
    }
    bool several = false;
    if (!JS::IsArrayObject(cx, value, &several))
        return false;
    if (several) {
        JS::RootedObject array(cx, &value.toObject());
        JS::RootedValue element(cx);
        uint32_t length = 0;
        std::string json = "[";
        if (!JS::GetArrayLength(cx, array, &length))
            return false;
        for (uint32_t i = 0; i < length; i++) {
            Text text;
            if (!JS_GetElement(cx, array, i, &element))
                return false;
            if (element.isObject())
                return throw_type_error(cx, "a result has no JSON form");
            if (!wasm_result_json(cx, element, &text))
                return false;
            json += (i == 0 ? "" : ",") + std::string(text.chars.get(), text.length);
        }
        return copy_text(cx, json + "]", ret_json);
    }
    bool undefined = false;
    if (!stringify(cx, value, ret_json, &undefined))
        return false;
    return !undefined || copy_text(cx, "null", ret_json);
}

} // namespace mozjs

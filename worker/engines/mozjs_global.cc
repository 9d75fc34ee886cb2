/*
 * mozjs_global.cc: what a guest finds on its global beyond the language: timers, queueMicrotask,
 * performance, process, messages, createRealm, and replacements for the two standard functions that
 * the host must know about (Atomics.wait, and WebAssembly's asynchronous ones).
 */

#include "mozjs_debugger.h"

#include <js/ArrayBuffer.h>
#include <js/ArrayBufferMaybeShared.h>
#include <js/Conversions.h>
#include <js/JSON.h>
#include <js/PropertyDescriptor.h>
#include <js/String.h>
#include <js/experimental/TypedData.h>

#include <math.h>
#include <string.h>

namespace mozjs
{

namespace
{

constexpr double LONGEST_TIMER_MS = 2147483647;

/* Timers */

/** setTimeout, setInterval (remembered: which): (callback, delay, ...arguments) */
bool timer_set(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    bool repeats = remembered(args).toBoolean();
    if (!args.get(0).isObject() || !JS::IsCallable(&args[0].toObject()))
        return throw_type_error(cx, "The \"callback\" argument must be of type function.");
    double delay = 1;
    if (args.length() > 1 && !JS::ToNumber(cx, args[1], &delay))
        return false;
    delay = delay >= 1 && delay <= LONGEST_TIMER_MS ? trunc(delay) : 1;

    JS::RootedValueVector entry(cx);
    if (!entry.append(args[0]) || !entry.append(JS::BooleanValue(repeats)))
        return false;
    for (unsigned i = 2; i < args.length(); i++) {
        if (!entry.append(args[i]))
            return false;
    }
    uint64_t id = ++e->last_timer;
    JS::RootedValue key(cx, JS::NumberValue(static_cast<double>(id)));
    {
        JSAutoRealm realm(cx, e->prelude_global);
        JS::RootedObject array(cx, JS::NewArrayObject(cx, entry)), timers(cx, e->timers);
        JS::RootedValue value(cx);
        if (!array)
            return false;
        value.setObject(*array);
        if (!JS::MapSet(cx, timers, key, value))
            return false;
        if (e->ops->timer_start(e->host, id, static_cast<uint64_t>(delay) * 1000000, repeats) !=
            0) {
            bool deleted;
            if (!JS::MapDelete(cx, timers, key, &deleted))
                return false;
            id = 0;
        }
    }
    if (id == 0)
        return throw_error(cx, "too many timers");
    args.rval().set(key);
    return true;
}

/** clearTimeout, clearInterval: (id) */
bool timer_clear(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    args.rval().setUndefined();
    /* Numbers, and strings that are one; whatever else is no timer. */
    if (!args.get(0).isNumber() && !args.get(0).isString())
        return true;
    double id = 0;
    if (!JS::ToNumber(cx, args[0], &id))
        return false;
    if (!(id >= 1 && id <= static_cast<double>(e->last_timer)) || id != trunc(id))
        return true;

    JSAutoRealm realm(cx, e->prelude_global);
    JS::RootedObject timers(cx, e->timers);
    JS::RootedValue key(cx, JS::NumberValue(id));
    bool deleted = false;
    if (!JS::MapDelete(cx, timers, key, &deleted))
        return false;
    if (deleted)
        e->ops->timer_cancel(e->host, static_cast<uint64_t>(id));
    return true;
}

bool queue_microtask(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    if (!args.get(0).isObject() || !JS::IsCallable(&args[0].toObject()))
        return throw_type_error(cx, "The \"callback\" argument must be of type function.");
    JS::RootedObject job(cx, &args[0].toObject());
    args.rval().setUndefined();
    return engine_of(cx)->jobs.push(cx, job);
}

/** performance.now() */
bool performance_now(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    args.rval().setDouble(static_cast<double>(e->ops->now_ns(e->host) - e->start_ns) / 1e6);
    return true;
}

/* Waiting */

/**
 * Atomics.wait (remembered: the engine's own): waits on the world clock, and so that the host knows
 * it. Called with a time-out of 0, the engine's own makes all checks and compares, and does not
 * wait. Nobody but this thread could notify, so a wait ends by its time-out alone.
 */
bool atomics_wait(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    JS::RootedValueArray<4> own(cx);
    for (size_t i = 0; i < 3; i++)
        own[i].set(args.get(i));
    own[3].setInt32(0);
    JS::RootedValue wait(cx, remembered(args));
    if (!JS::Call(cx, JS::UndefinedHandleValue, wait, own, args.rval()))
        return false;

    double timeout = NAN;
    if (args.length() > 3 && !JS::ToNumber(cx, args[3], &timeout))
        return false;
    bool equal = false;
    JS::RootedString answer(cx, args.rval().toString());
    if (!JS_StringEqualsAscii(cx, answer, "timed-out", &equal))
        return false;
    if (!equal || timeout <= 0)
        return true;

    uint64_t now = e->ops->now_ns(e->host), deadline = UINT64_MAX;
    if (timeout < static_cast<double>(UINT64_MAX - now) / 1e6)
        deadline = now + static_cast<uint64_t>(timeout * 1e6);
    HostCall waits(e, "Atomics.wait");
    return check_host(e, e->ops->sleep_until(e->host, deadline));
}

/* Asynchronous WebAssembly */

/** Keeps the promise until a helper thread has settled it: there is no other way to ask for that.
 */
bool track_async_task(engine *e, JS::HandleValue result)
{
    if (!result.isObject())
        return true;
    JS::RootedObject promise(e->cx, &result.toObject());
    return !JS::IsPromiseObject(promise) ||
           JS::GetPromiseState(promise) != JS::PromiseState::Pending ||
           e->async_tasks.append(promise);
}

/** A copy of an ArrayBuffer, or of what a view shows; NULL without an exception for other objects.
 */
JSObject *copy_bytes(JSContext *cx, JS::HandleObject source)
{
    size_t bytes = 0;
    bool shared = false;
    uint8_t *data = nullptr;
    if (JS::IsArrayBufferObjectMaybeShared(source))
        JS::GetArrayBufferMaybeSharedLengthAndData(source, &bytes, &shared, &data);
    else if (JS_IsArrayBufferViewObject(source))
        js::GetArrayBufferViewLengthAndData(source, &bytes, &shared, &data);
    else
        return nullptr;
    JS::UniqueChars copy(static_cast<char *>(JS_malloc(cx, bytes + 1)));
    if (!copy)
        return nullptr;
    /* The data of a small view moves with its object: it is read again after the allocation. */
    if (JS::IsArrayBufferObjectMaybeShared(source))
        JS::GetArrayBufferMaybeSharedLengthAndData(source, &bytes, &shared, &data);
    else
        js::GetArrayBufferViewLengthAndData(source, &bytes, &shared, &data);
    memcpy(copy.get(), data, bytes);
    JSObject *buffer = JS::NewArrayBufferWithContents(cx, bytes, copy.get());
    if (buffer)
        (void)copy.release(); /* the buffer owns it now */
    return buffer;
}

/**
 * WebAssembly.compile and .instantiate (remembered: the engine's own). One compilation at a time:
 * each blocks a helper thread that waits for others, and with as many at once as there are threads
 * the engine's own limits make them wait for ever. The rest are queued, with a copy of their bytes,
 * as [function, bytes, imports, promise].
 */
bool wasm_async(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    JS::RootedValue function(cx, remembered(args)), result(cx);
    if (async_tasks_pending(e) && args.get(0).isObject()) {
        JS::RootedObject source(cx, &args[0].toObject());
        JS::RootedObject copy(cx, copy_bytes(cx, source));
        if (copy) {
            JS::RootedObject promise(cx, JS::NewPromiseObject(cx, nullptr));
            JS::RootedValueArray<4> entry(cx);
            entry[0].set(function);
            entry[1].setObject(*copy);
            entry[2].set(args.get(1));
            entry[3].setObjectOrNull(promise);
            JS::RootedObject array(cx, promise ? JS::NewArrayObject(cx, entry) : nullptr);
            if (!array || !e->async_queue.append(array))
                return false;
            args.rval().setObject(*promise);
            return true;
        }
        if (JS_IsExceptionPending(cx))
            return false;
    }
    if (!JS::Call(cx, args.thisv(), function, JS::HandleValueArray(args), &result) ||
        !track_async_task(e, result))
        return false;
    args.rval().set(result);
    return true;
}

/** Puts `native` in the place of a standard function, which it remembers. */
bool replace(JSContext *cx, JS::HandleObject global, const char *owner, const char *name,
             JSNative native)
{
    JS::RootedValue value(cx);
    if (!JS_GetProperty(cx, global, owner, &value))
        return false;
    if (!value.isObject())
        return true; /* WebAssembly is not there without a JIT */
    JS::RootedObject object(cx, &value.toObject());
    if (!JS_GetProperty(cx, object, name, &value))
        return false;
    if (!value.isObject())
        return true;
    JS::RootedValue arity(cx);
    JS::RootedObject own(cx, &value.toObject());
    return JS_GetProperty(cx, own, "length", &arity) &&
           define_function(cx, object, name, native, arity.isInt32() ? arity.toInt32() : 0, 0,
                           value);
}

/* Realms */

/** createRealm(): the global of a new realm */
bool create_realm(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    JS::RootedObject global(cx, new_global(cx, e->global, true));
    if (!global)
        return false;
    JS::AutoFilename file;
    unsigned line = 0;
    std::string label = "createRealm";
    if (JS::DescribeScriptedCaller(cx, &file, &line) && file.get())
        label = std::string(file.get()) + ":" + std::to_string(line);
    JSAutoRealm realm(cx, global);
    if (!define_guest_globals(e, global) || !debugger_add_realm(e, global, label))
        return false;
    args.rval().setObject(*global);
    return true;
}

/* Process */

/** process.exit(code) */
bool process_exit(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    int32_t code = process_exit_code(e);
    if (args.hasDefined(0) && !JS::ToInt32(cx, args[0], &code))
        return false;
    return end_vm(e, ENGINE_EXIT, code & 0xff);
}

/* Messages */

/** postMessage(value) */
bool post_message(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    Text json;
    bool undefined = false;
    if (!stringify(cx, args.get(0), &json, &undefined))
        return false;
    if (undefined)
        return throw_type_error(cx, "the message has no JSON form");
    args.rval().setUndefined();
    return check_host(e, e->ops->post(e->host, json.chars.get(), json.length));
}

/** Reads a property that holds plain data; undefined if it holds a getter. Runs no guest code. */
bool get_data_property(JSContext *cx, JS::HandleObject object, const char *name,
                       JS::MutableHandleValue ret_value)
{
    ret_value.setUndefined();
    JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
    if (!JS_GetOwnPropertyDescriptor(cx, object, name, &descriptor)) {
        JS_ClearPendingException(cx);
        return false;
    }
    if (descriptor.isSome() && descriptor->hasValue())
        ret_value.set(descriptor->value());
    return true;
}

} // namespace

bool define_guest_globals(engine *e, JS::HandleObject global)
{
    JSContext *cx = e->cx;
    JS::RootedObject performance(cx, JS_NewPlainObject(cx));
    return performance &&
           define_function(cx, global, "setTimeout", timer_set, 2, JSPROP_ENUMERATE,
                           JS::FalseHandleValue) &&
           define_function(cx, global, "setInterval", timer_set, 2, JSPROP_ENUMERATE,
                           JS::TrueHandleValue) &&
           JS_DefineFunction(cx, global, "clearTimeout", timer_clear, 1, JSPROP_ENUMERATE) &&
           JS_DefineFunction(cx, global, "clearInterval", timer_clear, 1, JSPROP_ENUMERATE) &&
           JS_DefineFunction(cx, global, "queueMicrotask", queue_microtask, 1, JSPROP_ENUMERATE) &&
           JS_DefineFunction(cx, performance, "now", performance_now, 0, JSPROP_ENUMERATE) &&
           JS_DefineProperty(cx, global, "performance", performance, JSPROP_ENUMERATE) &&
           JS_DefineFunction(cx, global, "createRealm", create_realm, 0, 0) &&
           replace(cx, global, "Atomics", "wait", atomics_wait) &&
           replace(cx, global, "WebAssembly", "compile", wasm_async) &&
           replace(cx, global, "WebAssembly", "instantiate", wasm_async) &&
           define_console(e, global);
}

bool define_main_globals(engine *e, JS::HandleObject global)
{
    JSContext *cx = e->cx;
    JS::RootedObject process(cx, JS_NewPlainObject(cx));
    if (!process || !JS_DefineFunction(cx, process, "exit", process_exit, 1, JSPROP_ENUMERATE) ||
        !JS_DefineProperty(cx, process, "exitCode", JS::UndefinedHandleValue, JSPROP_ENUMERATE) ||
        !JS_DefineProperty(cx, global, "process", process, 0))
        return false;
    e->process = process;
    return JS_DefineFunction(cx, global, "postMessage", post_message, 1, 0) &&
           JS_DefineProperty(cx, global, "onmessage", JS::UndefinedHandleValue, 0);
}

bool set_process_arguments(engine *e, const engine_program *program)
{
    JSContext *cx = e->cx;
    JS::RootedValueVector values(cx);
    auto append = [&](const char *text) {
        JSString *string = from_utf8(cx, text, strlen(text));
        return string && values.append(JS::StringValue(string));
    };
    if (!append("stillpoint") || !append(program->path))
        return false;
    for (size_t i = 0; i < program->argc; i++) {
        if (!append(program->argv[i]))
            return false;
    }
    JS::RootedObject process(cx, e->process), array(cx, JS::NewArrayObject(cx, values));
    return array && JS_DefineProperty(cx, process, "argv", array, JSPROP_ENUMERATE);
}

bool start_queued_wasm(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedObject entry(cx), promise(cx);
    JS::RootedValueArray<4> parts(cx);
    JS::RootedValueArray<2> arguments(cx);
    JS::RootedValue result(cx);
    while (!e->async_queue.empty() && !async_tasks_pending(e)) {
        entry = e->async_queue[0];
        e->async_queue.erase(e->async_queue.begin());
        JSAutoRealm realm(cx, entry);
        for (uint32_t i = 0; i < 4; i++) {
            if (!JS_GetElement(cx, entry, i, parts[i]))
                return false;
        }
        arguments[0].set(parts[1]);
        arguments[1].set(parts[2]);
        promise = &parts[3].toObject();
        if (!JS::Call(cx, JS::UndefinedHandleValue, parts[0], arguments, &result) ||
            !track_async_task(e, result) || !JS::ResolvePromise(cx, promise, result))
            return false;
    }
    return true;
}

int fire_timer(engine *e, uint64_t id)
{
    JSContext *cx = e->cx;
    JS::RootedObject timers(cx, e->timers);
    JS::RootedValue key(cx, JS::NumberValue(static_cast<double>(id))), entry(cx);
    JS::RootedValueVector arguments(cx);
    JS::RootedValue callback(cx), repeats(cx), value(cx);
    {
        JSAutoRealm realm(cx, e->prelude_global);
        bool deleted = false;
        if (!JS::MapGet(cx, timers, key, &entry))
            return fail(e);
        if (!entry.isObject())
            return 0; /* cleared just now */
        JS::RootedObject array(cx, &entry.toObject());
        uint32_t length = 0;
        if (!JS::GetArrayLength(cx, array, &length) || !JS_GetElement(cx, array, 0, &callback) ||
            !JS_GetElement(cx, array, 1, &repeats))
            return fail(e);
        for (uint32_t i = 2; i < length; i++) {
            if (!JS_GetElement(cx, array, i, &value) || !arguments.append(value))
                return fail(e);
        }
        if (!repeats.toBoolean() && !JS::MapDelete(cx, timers, key, &deleted))
            return fail(e);
    }
    {
        JSAutoRealm realm(cx, e->global);
        if (!JS::Call(cx, JS::UndefinedHandleValue, callback, arguments, &value))
            return fail(e);
    }
    return drain(e);
}

JSObject *message_handler(engine *e)
{
    JS::RootedObject global(e->cx, e->global);
    JS::RootedValue value(e->cx);
    JSAutoRealm realm(e->cx, global);
    if (!get_data_property(e->cx, global, "onmessage", &value) || !value.isObject() ||
        !JS::IsCallable(&value.toObject()))
        return nullptr;
    return &value.toObject();
}

int process_exit_code(engine *e)
{
    JS::RootedObject process(e->cx, e->process);
    JS::RootedValue value(e->cx);
    JSAutoRealm realm(e->cx, process);
    int32_t code = 0;
    if (get_data_property(e->cx, process, "exitCode", &value) &&
        (value.isNumber() || value.isString()) && !JS::ToInt32(e->cx, value, &code))
        JS_ClearPendingException(e->cx);
    return code & 0xff;
}

bool stringify(JSContext *cx, JS::HandleValue value, Text *ret_json, bool *ret_undefined)
{
    JS::RootedValue copy(cx, value);
    js::Vector<char16_t, 0, js::SystemAllocPolicy> units;
    auto collect = [](const char16_t *text, uint32_t length, void *data) {
        return static_cast<decltype(units) *>(data)->append(text, length);
    };
    /* JS_Stringify would say "null". */
    *ret_undefined = value.isUndefined() || value.isSymbol() ||
                     (value.isObject() && JS::IsCallable(&value.toObject()));
    if (*ret_undefined)
        return true;
    if (!JS_Stringify(cx, &copy, nullptr, JS::UndefinedHandleValue, collect, &units)) {
        if (!JS_IsExceptionPending(cx) && !engine_of(cx)->ending)
            JS_ReportOutOfMemory(cx);
        return false;
    }
    JS::RootedString string(cx, JS_NewUCStringCopyN(cx, units.begin(), units.length()));
    return string && to_utf8(cx, string, ret_json);
}

} // namespace mozjs

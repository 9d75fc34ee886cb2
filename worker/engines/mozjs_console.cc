/*
 * mozjs_console.cc: the realm of the prelude (mozjs_prelude.js), the intrinsics that it asks for,
 * and the guest's console, which consists of natives of the guest's own realm: nothing that a guest
 * finds on a console function leads into the prelude's realm.
 */

#include "mozjs_internal.h"

#include "mozjs_prelude_js.h"

#include <js/ForOfIterator.h>
#include <js/Id.h>
#include <js/String.h>
#include <js/Symbol.h>

#include <ctype.h>
#include <string.h>

namespace mozjs
{

namespace
{

engine_level level_named(const char *name)
{
    static const struct {
        const char *name;
        engine_level level;
    } LEVELS[] = {
        {"info", ENGINE_LEVEL_INFO},   {"debug", ENGINE_LEVEL_DEBUG}, {"warn", ENGINE_LEVEL_WARN},
        {"error", ENGINE_LEVEL_ERROR}, {"trace", ENGINE_LEVEL_TRACE},
    };
    for (const auto &row : LEVELS) {
        if (strcmp(row.name, name) == 0)
            return row.level;
    }
    return ENGINE_LEVEL_LOG; /* log, dir, table */
}

bool set_string(JSContext *cx, JS::MutableHandleValue value, const char *text)
{
    JSString *string = JS_NewStringCopyZ(cx, text);
    if (!string)
        return false;
    value.setString(string);
    return true;
}

/** write(stream, level, text) */
bool native_write(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    args.rval().setUndefined();
    if (!e->ops)
        return true; /* a rehearsal in the zygote */
    JS::RootedString level(cx, args.get(1).isString() ? args[1].toString() : JS_GetEmptyString(cx));
    JS::RootedString string(cx,
                            args.get(2).isString() ? args[2].toString() : JS_GetEmptyString(cx));
    Text name, text;
    if (!to_utf8(cx, level, &name) || !to_utf8(cx, string, &text))
        return false;
    engine_stream stream =
        args.get(0).isInt32() && args[0].toInt32() == ENGINE_STDERR ? ENGINE_STDERR : ENGINE_STDOUT;
    return check_host(e, e->ops->write(e->host, stream, level_named(name.chars.get()),
                                       text.chars.get(), text.length));
}

/** now(): milliseconds */
bool native_now(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    engine *e = engine_of(cx);
    args.rval().setDouble(static_cast<double>(e->ops->now_ns(e->host)) / 1e6);
    return true;
}

/** classOf(object) */
bool native_class_of(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    if (!args.get(0).isObject())
        return set_string(cx, args.rval(), "");
    JSObject *object = &args[0].toObject();
    /* Within one compartment the only proxies that no script has made are module namespaces. */
    bool is_namespace = js::IsProxy(object) && !js::IsScriptedProxy(object);
    return set_string(cx, args.rval(), is_namespace ? "Module" : JS::GetClass(object)->name);
}

/** proxyDetails(object): undefined, or [target, handler] */
bool native_proxy_details(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    args.rval().setUndefined();
    if (!args.get(0).isObject() || !js::IsScriptedProxy(&args[0].toObject()))
        return true;
    JSObject *proxy = &args[0].toObject();
    JS::RootedValueArray<2> details(cx);
    details[0].setObjectOrNull(js::GetProxyTargetObject(proxy));
    details[1].setObjectOrNull(compat::proxy_handler(proxy));
    JSObject *array = JS::NewArrayObject(cx, details);
    if (!array)
        return false;
    args.rval().setObject(*array);
    return true;
}

/** promiseDetails(promise): undefined, or [state, value] */
bool native_promise_details(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    args.rval().setUndefined();
    if (!args.get(0).isObject())
        return true;
    JS::RootedObject promise(cx, &args[0].toObject());
    if (!JS::IsPromiseObject(promise))
        return true;
    JS::PromiseState state = JS::GetPromiseState(promise);
    JS::RootedValueArray<2> details(cx);
    if (!set_string(cx, details[0],
                    state == JS::PromiseState::Pending     ? "pending"
                    : state == JS::PromiseState::Fulfilled ? "fulfilled"
                                                           : "rejected"))
        return false;
    if (state != JS::PromiseState::Pending)
        details[1].set(JS::GetPromiseResult(promise));
    JSObject *array = JS::NewArrayObject(cx, details);
    if (!array)
        return false;
    args.rval().setObject(*array);
    return true;
}

/** previewEntries(iterator): what it has left, or undefined */
bool native_preview_entries(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    args.rval().setUndefined();
    compat::IteratorPosition position;
    if (!args.get(0).isObject() || !compat::iterator_position(&args[0].toObject(), &position))
        return true;

    JS::RootedValueVector items(cx);
    if (!position.exhausted) {
        /* Another iterator over the same collection; its methods are those of this, the prelude's,
         * realm. */
        JS::RootedObject collection(cx, position.collection);
        JS::RootedValue iterable(cx), item(cx);
        bool ok = true;
        if (position.is_map)
            ok = position.kind == compat::IteratorPosition::KEYS
                     ? JS::MapKeys(cx, collection, &iterable)
                 : position.kind == compat::IteratorPosition::VALUES
                     ? JS::MapValues(cx, collection, &iterable)
                     : JS::MapEntries(cx, collection, &iterable);
        else
            ok = position.kind == compat::IteratorPosition::ENTRIES
                     ? JS::SetEntries(cx, collection, &iterable)
                     : JS::SetValues(cx, collection, &iterable);
        JS::ForOfIterator iterator(cx);
        if (!ok || !iterator.init(iterable))
            return false;
        for (uint32_t n = 0;; n++) {
            bool done = false;
            if (!iterator.next(&item, &done))
                return false;
            if (done)
                break;
            if (n >= position.passed && !items.append(item))
                return false;
        }
    }
    JS::RootedObject array(cx, JS::NewArrayObject(cx, items));
    if (!array)
        return false;
    if (position.kind == compat::IteratorPosition::ENTRIES &&
        !JS_DefineProperty(cx, array, "pairs", JS::TrueHandleValue, 0))
        return false;
    args.rval().setObject(*array);
    return true;
}

/** The tokens at the start of a function's source, as far as they tell its kind. */
class SourceStart
{
  public:
    explicit SourceStart(const char *source) : at(source) { skip_space(); }

    bool accept(const char *word)
    {
        size_t length = strlen(word);
        if (strncmp(at, word, length) != 0 || is_name(at[length]))
            return false;
        at += length;
        skip_space();
        return true;
    }
    bool accept_name()
    {
        if (!is_name(*at))
            return false;
        while (is_name(*at))
            at++;
        skip_space();
        return true;
    }
    bool next_is(const char *text) const { return strncmp(at, text, strlen(text)) == 0; }

  private:
    static bool is_name(char c)
    {
        unsigned char u = static_cast<unsigned char>(c);
        return isalnum(u) || c == '_' || c == '$' || u >= 0x80;
    }
    void skip_space()
    {
        for (;;) {
            if (isspace(static_cast<unsigned char>(*at))) {
                at++;
                continue;
            }
            const char *end = next_is("/*") ? strstr(at, "*/") : nullptr;
            if (!end)
                return;
            at = end + 2;
        }
    }

    const char *at;
};

/**
 * The kind of a function by its source text, for the engine has no public word on it. A method that
 * is called `async` passes for an async function, which nobody will see.
 */
const char *function_kind(const char *source)
{
    SourceStart start(source);
    if (start.accept("class"))
        return start.next_is("(") ? "function" : "class"; /* or a method of that name */
    if (start.accept("async")) {
        if (start.next_is("=>"))
            return "arrow"; /* with a parameter of that name */
        start.accept("function");
        return start.next_is("*") ? "asyncgenerator" : "async";
    }
    if (start.accept("function"))
        return start.next_is("*") ? "generator" : "function";
    if (start.next_is("*"))
        return "generator";
    return start.next_is("(") || (start.accept_name() && start.next_is("=>")) ? "arrow"
                                                                              : "function";
}

/** functionKind(function) */
bool native_function_kind(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    if (!args.get(0).isObject() || !js::IsFunctionObject(&args[0].toObject()))
        return set_string(cx, args.rval(), "function");
    JS::RootedFunction function(cx, JS_GetObjectFunction(&args[0].toObject()));
    JS::RootedString source(cx, JS_DecompileFunction(cx, function));
    Text text;
    if (!source || !to_utf8(cx, source, &text))
        return false;
    bool native = !JS_GetFunctionScript(cx, function);
    return set_string(cx, args.rval(), native ? "native" : function_kind(text.chars.get()));
}

/** filePlace(text) */
bool native_file_place(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    if (!args.get(0).isString())
        return throw_error(cx, "no text");
    JS::RootedString string(cx, args[0].toString());
    Text text;
    if (!to_utf8(cx, string, &text))
        return false;
    std::string place(text.chars.get(), text.length);
    restore_file_name(&place);
    JSString *restored = from_utf8(cx, place.data(), place.size());
    if (restored)
        args.rval().setString(restored);
    return restored != nullptr;
}

const JSFunctionSpec NATIVES[] = {
    JS_FN("write", native_write, 3, 0),
    JS_FN("now", native_now, 0, 0),
    JS_FN("classOf", native_class_of, 1, 0),
    JS_FN("proxyDetails", native_proxy_details, 1, 0),
    JS_FN("promiseDetails", native_promise_details, 1, 0),
    JS_FN("previewEntries", native_preview_entries, 1, 0),
    JS_FN("functionKind", native_function_kind, 1, 0),
    JS_FN("filePlace", native_file_place, 1, 0),
    JS_FS_END,
};

bool get_object(JSContext *cx, JS::HandleObject from, const char *name,
                JS::PersistentRootedObject *ret_object)
{
    JS::RootedValue value(cx);
    if (!JS_GetProperty(cx, from, name, &value))
        return false;
    if (!value.isObject())
        return throw_error(cx, std::string("the prelude has no ") + name);
    *ret_object = &value.toObject();
    return true;
}

/** Calls a function of the prelude that turns a value into text. */
bool call_for_text(engine *e, JSObject *prelude_function, JS::HandleValue value, Text *ret_text)
{
    JSContext *cx = e->cx;
    JS::RootedValue function(cx, JS::ObjectValue(*prelude_function)), result(cx);
    JSAutoRealm realm(cx, prelude_function);
    if (!JS::Call(cx, JS::UndefinedHandleValue, function, JS::HandleValueArray(value), &result))
        return false;
    if (!result.isString())
        return throw_error(cx, "the prelude returned no text");
    JS::RootedString string(cx, result.toString());
    return to_utf8(cx, string, ret_text);
}

/** A console method of the guest: calls the prelude's function of the same name with an array. */
bool console_method(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    JS::RootedValue function(cx, remembered(args));
    JSAutoRealm realm(cx, &function.toObject());
    JS::RootedObject array(cx, JS::NewArrayObject(cx, args));
    if (!array)
        return false;
    JS::RootedValue argument(cx, JS::ObjectValue(*array)), ignored(cx);
    args.rval().setUndefined();
    return JS::Call(cx, JS::UndefinedHandleValue, function, JS::HandleValueArray(argument),
                    &ignored);
}

} // namespace

bool make_prelude(engine *e)
{
    JSContext *cx = e->cx;
    JS::CompileOptions options(cx);
    options.setFileAndLine("stillpoint:console", 1).setHideScriptFromDebugger();
    JS::SourceText<mozilla::Utf8Unit> source;
    JS::RootedValue make(cx), exported(cx);
    if (!source.init(cx, mozjs_prelude_js, mozjs_prelude_js_len, JS::SourceOwnership::Borrowed) ||
        !JS::Evaluate(cx, options, source, &make))
        return false;

    JS::RootedObject natives(cx, JS_NewPlainObject(cx));
    if (!natives || !JS_DefineFunctions(cx, natives, NATIVES))
        return false;
    JS::RootedValue argument(cx, JS::ObjectValue(*natives));
    if (!JS::Call(cx, JS::UndefinedHandleValue, make, JS::HandleValueArray(argument), &exported))
        return false;
    if (!exported.isObject())
        return throw_error(cx, "the prelude exports nothing");
    JS::RootedObject exports(cx, &exported.toObject());
    return get_object(cx, exports, "console", &e->console_functions) &&
           get_object(cx, exports, "inspect", &e->inspect) &&
           get_object(cx, exports, "formatError", &e->format_error);
}

bool define_console(engine *e, JS::HandleObject global)
{
    JSContext *cx = e->cx;
    JS::RootedObject functions(cx, e->console_functions);
    JS::RootedObject console(cx, JS_NewPlainObject(cx));
    JS::Rooted<JS::IdVector> names(cx, JS::IdVector(cx));
    if (!console || !JS_Enumerate(cx, functions, &names))
        return false;
    JS::RootedValue function(cx);
    JS::RootedId id(cx);
    for (size_t i = 0; i < names.length(); i++) {
        id = names[i];
        if (!id.isString() || !JS_GetPropertyById(cx, functions, id, &function))
            return false;
        if (!function.isObject() || !JS::IsCallable(&function.toObject()))
            continue;
        JSFunction *method = js::NewFunctionByIdWithReserved(cx, console_method, 0, 0, id);
        if (!method)
            return false;
        JS::RootedObject object(cx, JS_GetFunctionObject(method));
        js::SetFunctionNativeReserved(object, 0, function);
        if (!JS_DefinePropertyById(cx, console, id, object, JSPROP_ENUMERATE))
            return false;
    }
    JS::RootedId tag(cx, JS::GetWellKnownSymbolKey(cx, JS::SymbolCode::toStringTag));
    JS::RootedString name(cx, JS_NewStringCopyZ(cx, "console"));
    return name && JS_DefinePropertyById(cx, console, tag, name, JSPROP_READONLY) &&
           JS_DefineProperty(cx, global, "console", console, 0);
}

bool inspect(engine *e, JS::HandleValue value, Text *ret_text)
{
    return call_for_text(e, e->inspect, value, ret_text);
}

bool format_uncaught(engine *e, JS::HandleValue value, Text *ret_text)
{
    return call_for_text(e, e->format_error, value, ret_text);
}

} // namespace mozjs

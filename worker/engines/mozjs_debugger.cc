/* mozjs_debugger.cc: see mozjs_debugger.h */

#include "mozjs_debugger.h"

#include <js/Debug.h>
#include <js/GCAPI.h>
#include <js/GlobalObject.h>
#include <js/SavedFrameAPI.h>
#include <js/Stack.h>
#include <js/Wrapper.h>

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>

namespace mozjs
{

namespace
{

/** So many frames are captured for one that is asked for: the engine's own are left out. */
constexpr size_t FRAMES_BEHIND_ONE = 4;
constexpr size_t MOST_FRAMES = 1 << 20;
constexpr uint64_t RENEWAL_SHARE = 50;
constexpr const char *OWN_SOURCES = "stillpoint:";
constexpr const char *WASM = "wasm:";

/** Called inside a collection, for each group of zones that is swept. */
void update_weak(JSTracer *trc, void *data)
{
    Debug *debug = static_cast<Debug *>(data);
    for (auto &[id, realm] : debug->realms) {
        if (realm->global.unbarrieredGet() && !JS_UpdateWeakPointerAfterGC(trc, &realm->global))
            debug->something_died = true;
    }
    audit_update_weak(debug, trc);
    calls_update_weak(debug->e, trc);
}

JSObject *new_debugger_global(JSContext *cx)
{
    static const JSClass CLASS = {
        "debugger", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr, nullptr};
    JS::RealmOptions options;
    options.creationOptions().setNewCompartmentAndZone().setInvisibleToDebugger(true);
    JS::RootedObject global(
        cx, JS_NewGlobalObject(cx, &CLASS, nullptr, JS::DontFireOnNewGlobalHook, options));
    if (!global)
        return nullptr;
    JSAutoRealm realm(cx, global);
    return JS_DefineDebuggerObject(cx, global) ? global.get() : nullptr;
}

JSObject *new_debugger(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedObject global(cx, e->debug->global), debugger(cx);
    JS::RootedValue constructor(cx);
    JS::RootedValue unobserved(cx, JS::BooleanValue(!e->debug->observe_wasm));
    if (!JS_GetProperty(cx, global, "Debugger", &constructor) ||
        !JS::Construct(cx, constructor, JS::HandleValueArray::empty(), &debugger) ||
        !JS_SetProperty(cx, debugger, "allowUnobservedWasm", unobserved) ||
        !JS_SetProperty(cx, debugger, "allowUnobservedAsmJS", JS::TrueHandleValue))
        return nullptr;
    return debugger;
}

/** addDebuggee or removeDebuggee. */
bool change_debuggee(engine *e, JS::HandleObject debugger, const char *method, Realm *realm)
{
    JSContext *cx = e->cx;
    JS::RootedObject global(cx, realm->global);
    JS::RootedValue argument(cx), ignored(cx);
    if (!JS_WrapObject(cx, &global))
        return false;
    argument.setObject(*global);
    return debugger_call(cx, debugger, method, JS::HandleValueArray(argument), &ignored);
}

bool starts_with(const std::string &text, const char *prefix)
{
    return text.compare(0, strlen(prefix), prefix) == 0;
}

/** Text of a URL without its escapes. */
std::string without_escapes(const std::string &url)
{
    std::string text;
    for (size_t i = 0; i < url.size(); i++) {
        unsigned byte = 0;
        if (url[i] == '%' && i + 2 < url.size() &&
            isxdigit(static_cast<unsigned char>(url[i + 1])) &&
            sscanf(url.c_str() + i + 1, "%2x", &byte) == 1) {
            text += static_cast<char>(byte);
            i += 2;
        } else {
            text += url[i];
        }
    }
    return text;
}

/** What the index of a frame in engine_ops.stack means: mozjs_inspect.cc leaves out the same. */
struct SavedPlace {
    std::string url;
    bool wasm = false;
};

bool read_saved(engine *e, JS::HandleObject saved, SavedPlace *ret)
{
    JSContext *cx = e->cx;
    JS::RootedString string(cx);
    Text text;
    uint32_t column = 0, function = 0;
    JS::GetSavedFrameSource(cx, nullptr, saved, &string);
    JS::GetSavedFrameColumn(cx, nullptr, saved, &column);
    ret->wasm = compat::is_wasm_frame(column, &function);
    if (!string || !to_utf8(cx, string, &text))
        return false;
    ret->url.assign(text.chars.get(), text.length);
    restore_file_name(&ret->url);
    return true;
}

/** True if the Debugger.Frame is what a saved frame is: WebAssembly is hidden from it where it was
 * not compiled to be inspected, which in one VM all of it is, or none. */
bool is_same_frame(engine *e, JS::HandleObject frame, const SavedPlace &saved, bool *ret_same)
{
    std::string type;
    if (!debugger_get_text(e->cx, frame, "type", &type))
        return false;
    *ret_same = (type == "wasmcall") == saved.wasm;
    return true;
}

} // namespace

DebuggerKeys::DebuggerKeys(JSContext *cx)
{
    /* Pinned: they need no root. There is memory for them, or for no VM. */
    auto key = [cx](const char *name) {
        JSString *string = JS_AtomizeAndPinString(cx, name);
        MOZ_RELEASE_ASSERT(string);
        return JS::PropertyKey::fromPinnedString(string);
    };
    id = key("stillpoint id");
    script = key("script");
    offset = key("offset");
    environment = key("environment");
    arguments = key("arguments");
    length = key("length");
    find = key("find");
    get_variable = key("getVariable");
    eval = key("eval");
    execute_in_global = key("executeInGlobal");
    call = key("call");
    eval_with_bindings = key("evalWithBindings");
    return_value = key("return");
    throw_value = key("throw");
}

Debug::Debug(engine *owner)
    : e(owner), keys(owner->cx), global(owner->cx), stop(owner->cx), unseen(owner->cx),
      last_string(owner->cx), hit(owner->cx), get_variable(owner->cx), refs(owner->cx)
{
    JS_AddWeakPointerZonesCallback(e->cx, update_weak, this);
}

Debug::~Debug()
{
    JS_RemoveWeakPointerZonesCallback(e->cx, update_weak);
}

Debugging::Debugging(engine *owner) : e(owner), oom_seen(e->oom_seen)
{
    e->inspecting++;
    if (JS_IsExceptionPending(e->cx))
        exception.emplace(e->cx);
    if (!e->debug->global)
        e->debug->global = new_debugger_global(e->cx);
    if (!e->debug->global)
        return;
    if (JS::CurrentGlobalOrNull(e->cx) != e->debug->global)
        realm.emplace(e->cx, e->debug->global);
    entered = true;
}

Debugging::~Debugging()
{
    JS_ClearPendingException(e->cx);
    realm.reset();
    exception.reset();
    e->oom_seen = oom_seen;
    /* A request that came meanwhile has been consumed unseen. */
    if (--e->inspecting == 0 && (e->interrupted || e->debug->terminate_soon != 0))
        JS_RequestInterruptCallback(e->cx);
}

Evaluation::Evaluation(engine *owner, bool is_audited)
    : e(owner), audited(is_audited), at_safe_point(e->at_safe_point), host_call(e->host_call)
{
    e->at_safe_point = false;
    e->host_call = nullptr;
    e->guest_depth++;
    e->debug->evaluations++;
    if (!audited)
        e->debug->suppressed++;
}

Evaluation::~Evaluation()
{
    if (!audited)
        e->debug->suppressed--;
    e->debug->evaluations--;
    e->guest_depth--;
    e->host_call = host_call;
    e->at_safe_point = at_safe_point;
    /* What was to be terminated in here has ended; a request for what is around came, unseen. */
    e->debug->terminate_soon &= 2 * terminate_level(e) - 1;
    if (e->debug->terminate_soon != 0)
        JS_RequestInterruptCallback(e->cx);
}

/* Realms */

bool debugger_add_realm(engine *e, JS::HandleObject global, const std::string &label)
{
    Debug *debug = e->debug.get();
    auto realm = std::make_unique<Realm>(e->cx);
    Realm *added = realm.get();
    realm->id = ++debug->last_realm;
    realm->label = label;
    realm->global = global;
    debug->realms[realm->id] = std::move(realm);
    if (debug->observe_wasm) {
        Debugging debugging(e);
        if (!debugging.ok() || !debugger_attach(e, added, NEED_WASM))
            return false;
    }
    return audit_realm_added(e, added);
}

Realm *debugger_realm(engine *e, uint64_t id)
{
    auto found = e->debug->realms.find(id == 0 ? 1 : id);
    return found != e->debug->realms.end() && found->second->global.unbarrieredGet()
               ? found->second.get()
               : nullptr;
}

Realm *debugger_realm_of(engine *e, JSObject *object)
{
    JSObject *global = JS::GetNonCCWObjectGlobal(object);
    for (auto &[id, realm] : e->debug->realms) {
        if (realm->global.unbarrieredGet() == global)
            return realm.get();
    }
    return nullptr;
}

bool debugger_attach(engine *e, Realm *realm, Need need)
{
    JSContext *cx = e->cx;
    if (realm->needs == 0) {
        if (!realm->debugger)
            realm->debugger = new_debugger(e);
        JS::RootedObject debugger(cx, realm->debugger);
        if (!debugger || !change_debuggee(e, debugger, "addDebuggee", realm))
            return false;
    }
    realm->needs |= need;
    return true;
}

void debugger_detach(engine *e, Realm *realm, Need need)
{
    if (!(realm->needs & need))
        return;
    realm->needs &= ~need;
    if (realm->needs != 0 || !realm->global.unbarrieredGet())
        return;
    JS::RootedObject debugger(e->cx, realm->debugger);
    if (!change_debuggee(e, debugger, "removeDebuggee", realm))
        JS_ClearPendingException(e->cx);
    audit_realm_detached(e, realm);
}

void debugger_renew_code(engine *e)
{
    JSContext *cx = e->cx;
    Debug *debug = e->debug.get();
    if (!debug->code_is_stale || e->ending)
        return;
    uint64_t start_ns = e->ops->now_ns(e->host);
    if (start_ns < debug->renew_after_ns)
        return;
    debug->code_is_stale = false;
    for (auto &[id, realm] : debug->realms) {
        if (JSObject *global = realm->global.unbarrieredGet())
            JS::PrepareZoneForGC(cx, JS::GetObjectZone(global));
    }
    /* The kind of collection that forgets code would also move everything together. */
    uint32_t compacts = JS_GetGCParameter(cx, JSGC_COMPACTING_ENABLED);
    JS_SetGCParameter(cx, JSGC_COMPACTING_ENABLED, 0);
    JS::NonIncrementalGC(cx, JS::GCOptions::Shrink, JS::GCReason::API);
    JS_SetGCParameter(cx, JSGC_COMPACTING_ENABLED, compacts);
    uint64_t end_ns = e->ops->now_ns(e->host);
    debug->renew_after_ns = end_ns + RENEWAL_SHARE * (end_ns - start_ns);
}

JSObject *debugger_of_stop(engine *e)
{
    Debug *debug = e->debug.get();
    if (!debug->stop)
        debug->stop = new_debugger(e);
    if (!debug->stop)
        return nullptr;
    if (!debug->stop_attached) {
        JS::RootedObject debugger(e->cx, debug->stop);
        debug->stop_attached = true;
        for (auto &[id, realm] : debug->realms) {
            if (realm->global.unbarrieredGet() &&
                !change_debuggee(e, debugger, "addDebuggee", realm.get()))
                return nullptr;
        }
    }
    return debug->stop;
}

int debugger_walk(engine *e, size_t most,
                  const std::function<bool(uint32_t, JS::HandleObject)> &visit)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, debugger_of_stop(e)), frame(cx), saved(cx);
    JS::RootedValue value(cx);
    size_t captured = std::min(most, MOST_FRAMES) * FRAMES_BEHIND_ONE + 1;
    if (!debugger ||
        !debugger_call(cx, debugger, "getNewestFrame", JS::HandleValueArray::empty(), &value) ||
        !JS::CaptureCurrentStack(cx, &saved,
                                 JS::StackCapture(JS::MaxFrames(static_cast<uint32_t>(captured)))))
        return -ENOMEM;
    frame = value.isObject() ? &value.toObject() : nullptr;
    e->debug->frames_seen = e->debug->frames_seen || frame;

    /* Two stacks side by side, which are the same but for what either does not show. */
    uint32_t index = 0;
    bool in_prelude = false;
    if (e->host_call && !visit(index++, nullptr))
        return 0;
    for (; saved; JS::GetSavedFrameParent(cx, nullptr, saved, &saved)) {
        SavedPlace place;
        if (!read_saved(e, saved, &place))
            return -ENOMEM;
        bool self_hosted = place.url == "self-hosted";
        bool prelude = starts_with(place.url, OWN_SOURCES);
        if (prelude && !in_prelude && !visit(index++, nullptr))
            return 0;
        in_prelude = prelude || (in_prelude && self_hosted);
        if (prelude || self_hosted)
            continue;
        bool same = false;
        if (frame && !is_same_frame(e, frame, place, &same))
            return -ENOMEM;
        if (!visit(index++, same ? JS::HandleObject(frame) : JS::HandleObject(nullptr)))
            return 0;
        if (same && !debugger_get_object(cx, frame, "older", &frame))
            return -ENOMEM;
    }
    return 0;
}

int debugger_frame_at(engine *e, uint32_t index, JS::MutableHandleObject ret_frame)
{
    if (index == 0 && e->debug->hit.frame && !e->host_call && e->debug->evaluations == 0) {
        ret_frame.set(e->debug->hit.frame);
        return 0;
    }
    int found = -ENOENT;
    int r = debugger_walk(e, size_t(index) + 1, [&](uint32_t at, JS::HandleObject frame) {
        if (at == index) {
            ret_frame.set(frame);
            found = frame ? 0 : -EOPNOTSUPP;
        }
        return at != index;
    });
    return r < 0 ? r : found;
}

Realm *debugger_realm_of_frame(engine *e, JS::HandleObject frame)
{
    JSContext *cx = e->cx;
    if (e->debug->hit.frame == frame)
        return debugger_realm(e, e->debug->hit.realm);
    JS::RootedObject environment(cx), parent(cx, frame), global(cx);
    std::string type;
    /* The outermost scope is the global object's. */
    if (!debugger_get_object(cx, frame, "environment", &parent))
        return nullptr;
    while (parent) {
        environment = parent;
        if (!debugger_get_object(cx, environment, "parent", &parent))
            return nullptr;
    }
    if (!environment || !debugger_get_object(cx, environment, "object", &global) || !global)
        return nullptr;
    JSObject *referent = debugger_referent(cx, global);
    return referent ? debugger_realm_of(e, referent) : nullptr;
}

void debugger_resume(engine *e)
{
    Debug *debug = e->debug.get();
    audit_tell_gone(e);
    debug->first_ref += debug->refs.length();
    debug->refs.clear();
    if (!debug->global)
        return;
    Debugging debugging(e);
    bool frames_seen = debug->frames_seen;
    debug->stop_attached = debug->frames_seen = false;
    if (frames_seen) {
        JS::RootedObject debugger(e->cx, debug->stop);
        JS::RootedValue ignored(e->cx);
        if (!debugger_call(e->cx, debugger, "removeAllDebuggees", JS::HandleValueArray::empty(),
                           &ignored))
            JS_ClearPendingException(e->cx);
    }
    for (auto &[id, realm] : debug->realms)
        debugger_detach(e, realm.get(), NEED_STOP);
}

/* Debugger objects */

bool debugger_get(JSContext *cx, JS::HandleObject object, const char *name,
                  JS::MutableHandleValue ret_value)
{
    return JS_GetProperty(cx, object, name, ret_value);
}

bool debugger_get_object(JSContext *cx, JS::HandleObject object, const char *name,
                         JS::MutableHandleObject ret_object)
{
    JS::RootedValue value(cx);
    if (!JS_GetProperty(cx, object, name, &value))
        return false;
    ret_object.set(value.isObject() ? &value.toObject() : nullptr);
    return true;
}

bool debugger_get_number(JSContext *cx, JS::HandleObject object, const char *name,
                         double *ret_number)
{
    JS::RootedValue value(cx);
    if (!JS_GetProperty(cx, object, name, &value))
        return false;
    *ret_number = value.isNumber() ? value.toNumber() : 0;
    return true;
}

bool debugger_get_text(JSContext *cx, JS::HandleObject object, const char *name,
                       std::string *ret_text)
{
    JS::RootedValue value(cx);
    ret_text->clear();
    if (!JS_GetProperty(cx, object, name, &value))
        return false;
    if (!value.isString())
        return true;
    JS::RootedString string(cx, value.toString());
    Text text;
    if (!to_utf8(cx, string, &text))
        return false;
    ret_text->assign(text.chars.get(), text.length);
    return true;
}

bool debugger_call(JSContext *cx, JS::HandleObject object, const char *name,
                   const JS::HandleValueArray &arguments, JS::MutableHandleValue ret_value)
{
    return JS_CallFunctionName(cx, object, name, arguments, ret_value);
}

bool debugger_get_by_key(JSContext *cx, JS::HandleObject object, JS::PropertyKey name,
                         JS::MutableHandleValue ret_value)
{
    JS::RootedId id(cx, name);
    return JS_GetPropertyById(cx, object, id, ret_value);
}

bool debugger_call_by_key(JSContext *cx, JS::HandleObject object, JS::PropertyKey name,
                          const JS::HandleValueArray &arguments, JS::MutableHandleValue ret_value)
{
    JS::RootedValue method(cx), receiver(cx, JS::ObjectValue(*object));
    return debugger_get_by_key(cx, object, name, &method) &&
           JS::Call(cx, receiver, method, arguments, ret_value);
}

bool debugger_script_is_wasm(JSContext *cx, JS::HandleObject script, bool *ret_wasm)
{
    JS::RootedValue format(cx);
    *ret_wasm = false;
    return JS_GetProperty(cx, script, "format", &format) && format.isString() &&
           JS_StringEqualsAscii(cx, format.toString(), "wasm", ret_wasm);
}

bool debugger_source_url(engine *e, JS::HandleObject source, std::string *ret_url)
{
    if (!debugger_get_text(e->cx, source, "url", ret_url))
        return false;
    /* "wasm:FILE%20line%201 > WebAssembly.Module:HASH", as a URL; a stack has the middle. */
    if (starts_with(*ret_url, WASM)) {
        ret_url->erase(0, strlen(WASM));
        size_t colon = ret_url->rfind(':');
        if (colon != std::string::npos)
            ret_url->resize(colon);
        *ret_url = without_escapes(*ret_url);
        restore_file_name(ret_url);
        /* The program itself, which a line of ours compiled. */
        if (e->kind == ENGINE_SOURCE_WASM && starts_with(*ret_url, (e->path + " ").c_str()))
            *ret_url = e->path;
        return true;
    }
    /* What a source calls itself (sourceURL), as stacks do. */
    JS::RootedValue name(e->cx);
    if (!JS_GetProperty(e->cx, source, "displayURL", &name) ||
        (name.isString() && !debugger_get_text(e->cx, source, "displayURL", ret_url)))
        return false;
    restore_file_name(ret_url);
    return true;
}

bool debugger_offset_place(engine *e, JS::HandleObject script, uint64_t offset, bool wasm,
                           uint32_t *ret_line, uint32_t *ret_column, bool *ret_statement_start)
{
    JSContext *cx = e->cx;
    JS::RootedValue argument(cx, JS::NumberValue(static_cast<double>(offset))), value(cx);
    *ret_line = *ret_column = 0;
    *ret_statement_start = false;
    if (!debugger_call(cx, script, "getOffsetMetadata", JS::HandleValueArray(argument), &value) ||
        !value.isObject()) {
        JS_ClearPendingException(cx);
        return false;
    }
    JS::RootedObject metadata(cx, &value.toObject());
    double line = 0, column = 0;
    if (!debugger_get_number(cx, metadata, "lineNumber", &line) ||
        !debugger_get_number(cx, metadata, "columnNumber", &column) ||
        !JS_GetProperty(cx, metadata, "isStepStart", &value)) {
        JS_ClearPendingException(cx);
        return false;
    }
    *ret_statement_start = value.isTrue();
    if (!wasm) {
        *ret_line = static_cast<uint32_t>(line);
        *ret_column = static_cast<uint32_t>(column) + 1;
    }
    return true;
}

bool debugger_wasm_function(engine *e, std::string *ret_name)
{
    JSContext *cx = e->cx;
    JS::RootedObject saved(cx);
    JS::RootedString string(cx);
    uint32_t column = 0, index = 0;
    Text text;
    ret_name->clear();
    if (!JS::CaptureCurrentStack(cx, &saved, JS::StackCapture(JS::MaxFrames(1))) || !saved)
        return false;
    JS::GetSavedFrameFunctionDisplayName(cx, nullptr, saved, &string);
    JS::GetSavedFrameColumn(cx, nullptr, saved, &column);
    if (string && !to_utf8(cx, string, &text))
        return false;
    if (text.length > 0)
        ret_name->assign(text.chars.get(), text.length);
    else if (compat::is_wasm_frame(column, &index))
        *ret_name = "wasm-function[" + std::to_string(index) + "]";
    return true;
}

bool debugger_frame_place(engine *e, JS::HandleObject frame, FramePlace *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject script(cx), source(cx);
    double offset = 0;
    bool statement_start = false;
    if (!debugger_get_object(cx, frame, "script", &script) || !script ||
        !debugger_get_number(cx, frame, "offset", &offset) ||
        !debugger_script_is_wasm(cx, script, &ret->wasm) ||
        !debugger_get_object(cx, script, "source", &source) || !source ||
        !debugger_source_url(e, source, &ret->url))
        return false;
    ret->offset = static_cast<uint64_t>(offset);
    /* In a prologue there is no place yet. */
    debugger_offset_place(e, script, ret->offset, ret->wasm, &ret->line, &ret->column,
                          &statement_start);
    return ret->wasm || debugger_get_text(cx, script, "displayName", &ret->function);
}

uint64_t debugger_id(engine *e, JS::HandleObject object)
{
    JS::RootedValue value(e->cx);
    JS::RootedId key(e->cx, e->debug->keys.id);
    if (!JS_GetPropertyById(e->cx, object, key, &value) || !value.isNumber()) {
        JS_ClearPendingException(e->cx);
        return 0;
    }
    return static_cast<uint64_t>(value.toNumber());
}

bool debugger_set_id(engine *e, JS::HandleObject object, uint64_t id)
{
    JS::RootedValue value(e->cx, JS::NumberValue(static_cast<double>(id)));
    JS::RootedId key(e->cx, e->debug->keys.id);
    return JS_DefinePropertyById(e->cx, object, key, value, 0);
}

uint64_t debugger_source_id(engine *e, JS::HandleObject source)
{
    uint64_t id = debugger_id(e, source);
    if (id != 0)
        return id;
    if (!debugger_set_id(e, source, e->debug->last_source + 1)) {
        JS_ClearPendingException(e->cx);
        return 0;
    }
    return ++e->debug->last_source;
}

bool debugger_url_matches(const std::string &url, const char *wanted)
{
    size_t length = strlen(wanted);
    if (url == wanted || fnmatch(wanted, url.c_str(), 0) == 0)
        return true;
    return url.size() > length && url[url.size() - length - 1] == '/' &&
           url.compare(url.size() - length, length, wanted) == 0;
}

namespace
{

/** The text of an expression: a condition is evaluated many times. */
JSString *code_of(engine *e, const char *expression)
{
    Debug *debug = e->debug.get();
    if (!debug->last_string || debug->last_code != expression) {
        debug->last_string = from_utf8(e->cx, expression, strlen(expression));
        debug->last_code = expression;
    }
    return debug->last_string;
}

/** What is evaluated is no script of the guest's: the engine is not to make one for its Debuggers,
 * which would take longer than the evaluation. */
JSObject *unseen(engine *e)
{
    Debug *debug = e->debug.get();
    if (debug->unseen)
        return debug->unseen;
    JS::RootedObject options(e->cx, JS_NewPlainObject(e->cx));
    if (options && JS_DefineProperty(e->cx, options, "hideFromDebugger", JS::TrueHandleValue,
                                     JSPROP_ENUMERATE))
        debug->unseen = options;
    return debug->unseen;
}

/** Debugger.Object of the realm's global. */
JSObject *global_of(engine *e, Realm *realm)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, realm->debugger), global(cx, realm->global);
    JS::RootedValue wrapped(cx), value(cx);
    if (!JS_WrapObject(cx, &global))
        return nullptr;
    wrapped.setObject(*global);
    return debugger_call(cx, debugger, "makeGlobalObjectReference", JS::HandleValueArray(wrapped),
                         &value) &&
                   value.isObject()
               ? &value.toObject()
               : nullptr;
}

/**
 * The names of a frame of WebAssembly, for expressions: the engine evaluates those in the global,
 * where none of them is. NULL for JavaScript. False with an exception.
 */
bool wasm_bindings(JSContext *cx, JS::HandleObject frame, JS::MutableHandleObject ret_bindings)
{
    std::string type, kind;
    JS::RootedObject environment(cx), names(cx);
    JS::RootedValue list(cx), name(cx), value(cx);
    JS::RootedId id(cx);
    if (!debugger_get_text(cx, frame, "type", &type))
        return false;
    if (type != "wasmcall")
        return true;
    ret_bindings.set(JS_NewPlainObject(cx));
    if (!ret_bindings || !debugger_get_object(cx, frame, "environment", &environment))
        return false;
    while (environment) {
        uint32_t count = 0;
        if (!debugger_get_text(cx, environment, "scopeKind", &kind))
            return false;
        if (!starts_with(kind, "wasm"))
            break;
        if (!debugger_call(cx, environment, "names", JS::HandleValueArray::empty(), &list) ||
            !list.isObject())
            return false;
        names = &list.toObject();
        if (!JS::GetArrayLength(cx, names, &count))
            return false;
        for (uint32_t i = 0; i < count; i++) {
            if (!JS_GetElement(cx, names, i, &name) ||
                !debugger_call(cx, environment, "getVariable", JS::HandleValueArray(name),
                               &value) ||
                !JS_ValueToId(cx, name, &id) ||
                !JS_DefinePropertyById(cx, ret_bindings, id, value, JSPROP_ENUMERATE))
                return false;
        }
        if (!debugger_get_object(cx, environment, "parent", &environment))
            return false;
    }
    return true;
}

} // namespace

Completion debugger_evaluate(engine *e, JS::HandleObject frame, Realm *realm,
                             const char *expression, bool audited, JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    const DebuggerKeys &keys = e->debug->keys;
    JS::RootedObject target(cx, frame ? frame.get() : global_of(e, realm)), bindings(cx);
    JS::RootedValueArray<3> arguments(cx);
    JSString *code = target ? code_of(e, expression) : nullptr;
    if (!code)
        return Completion::FAILED;
    size_t n = 0;
    arguments[n++].setString(code);
    const HitState &hit = e->debug->hit;
    bool is_javascript = hit.reporting && frame == hit.frame && !hit.wasm;
    if (frame && !is_javascript && !wasm_bindings(cx, frame, &bindings))
        return Completion::FAILED;
    if (bindings)
        arguments[n++].setObject(*bindings);
    if (!audited) {
        JSObject *options = unseen(e);
        if (!options)
            return Completion::FAILED;
        arguments[n++].setObject(*options);
    }
    JS::HandleValueArray all(arguments);
    return debugger_run(e, target,
                        bindings ? keys.eval_with_bindings
                        : frame  ? keys.eval
                                 : keys.execute_in_global,
                        JS::HandleValueArray::subarray(all, 0, n), audited, ret_value);
}

/**
 * To the optimising compiler an interrupt has no effect: a loop that was interrupted may keep what
 * it has read of the heap in registers, and never see what a debugger changes there. A frame that
 * a Debugger has seen goes on in code that reads anew. Outer frames are in calls, which it takes
 * to have any effect; so is what a hit comes from.
 */
static bool leave_optimised_code(engine *e)
{
    if (e->debug->hit.reporting)
        return true;
    JS::RootedObject debugger(e->cx, debugger_of_stop(e));
    JS::RootedValue newest(e->cx);
    if (!debugger ||
        !debugger_call(e->cx, debugger, "getNewestFrame", JS::HandleValueArray::empty(), &newest))
        return false;
    e->debug->frames_seen = e->debug->frames_seen || newest.isObject();
    return true;
}

Completion debugger_run(engine *e, JS::HandleObject object, const JS::PropertyKey &method,
                        const JS::HandleValueArray &arguments, bool audited,
                        JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    const DebuggerKeys &keys = e->debug->keys;
    JS::RootedValue value(cx);
    if (!leave_optimised_code(e))
        return Completion::FAILED;
    {
        Evaluation evaluation(e, audited);
        if (!debugger_call_by_key(cx, object, method, arguments, &value))
            return Completion::FAILED;
    }
    if (!value.isObject())
        return Completion::TERMINATED;
    JS::RootedObject completion(cx, &value.toObject());
    JS::RootedId throw_value(cx, keys.throw_value);
    bool threw = false;
    if (!JS_HasPropertyById(cx, completion, throw_value, &threw) ||
        !debugger_get_by_key(cx, completion, threw ? keys.throw_value : keys.return_value,
                             ret_value))
        return Completion::FAILED;
    return threw ? Completion::THREW : Completion::RETURNED;
}

/* Refs */

uint64_t debugger_add_ref(engine *e, JS::HandleObject object)
{
    Debug *debug = e->debug.get();
    if (debug->refs.length() >= MOST_REFS || !debug->refs.append(object))
        return 0;
    return debug->first_ref + debug->refs.length() - 1;
}

JSObject *debugger_ref(engine *e, uint64_t ref)
{
    Debug *debug = e->debug.get();
    if (ref < debug->first_ref || ref - debug->first_ref >= debug->refs.length())
        return nullptr;
    return debug->refs[ref - debug->first_ref];
}

JSObject *debugger_referent(JSContext *cx, JS::HandleObject object)
{
    JS::RootedValue value(cx);
    if (!debugger_call(cx, object, "unsafeDereference", JS::HandleValueArray::empty(), &value) ||
        !value.isObject()) {
        JS_ClearPendingException(cx);
        return nullptr;
    }
    return js::UncheckedUnwrap(&value.toObject());
}

const engine_debug_ops DEBUG_OPS = {
    /* instrumentation */
    audit_watch_realms,
    audit_realms,
    audit_set,
    audit_frame_id,
    audit_frame_index,
    audit_positions,
    /* looking */
    look_frames,
    look_scopes,
    look_variables,
    audit_arguments,
    audit_variable,
    audit_hit_value,
    /* acting */
    look_evaluate,
    look_assign,
    audit_condition,
    audit_check_expression,
    /* sources and memory */
    look_sources,
    look_source_text,
    look_memory,
    look_resume,
};

} // namespace mozjs

/*
 * mozjs_audit.cc: auditors: what happens in the guest is reported where somebody wants to know.
 *
 * The property of a Debugger (or of a frame, or a breakpoint of a script) that makes the engine
 * call us is set exactly while there is an auditor of that kind. The functions that it calls hold
 * numbers and nothing of the guest. A realm is a debuggee while there is an auditor in it.
 */

#include "mozjs_debugger.h"

#include <js/Conversions.h>
#include <js/Equality.h>
#include <js/Id.h>
#include <js/Interrupt.h>
#include <js/Wrapper.h>

#include <errno.h>
#include <string.h>

#include <algorithm>

namespace mozjs
{

namespace
{

constexpr size_t MOST_NAMES = 256; /**< texts that are kept as atoms */
constexpr size_t MOST_FRAMES = 1 << 20;

/** What a realm's Debugger calls; NULL: kinds that are not observed at realms. */
const char *const PROPERTIES[ENGINE_AUDIT_KINDS] = {
    nullptr,       nullptr,        "onEnterFrame",     "onDebuggerStatement", "onExceptionUnwind",
    "onNewScript", "onNewPromise", "onPromiseSettled",
};

/** A text as an atom, made once. */
JSString *atom(engine *e, const char *text)
{
    auto &names = e->debug->names;
    auto found = names.find(text);
    if (found != names.end())
        return found->second;
    if (names.size() >= MOST_NAMES)
        names.clear();
    JS::RootedString string(e->cx, from_utf8(e->cx, text, strlen(text)));
    JS::RootedId id(e->cx);
    if (!string || !JS_StringToId(e->cx, string, &id))
        return nullptr;
    if (id.isString())
        string = id.toString();
    names.try_emplace(text, e->cx, string);
    return string;
}

/* Scripts and frames */

/** Its Script, which is made at the first question; NULL without memory. */
Script *script_of(engine *e, Realm *realm, JS::HandleObject object)
{
    JSContext *cx = e->cx;
    Debug *debug = e->debug.get();
    if (uint64_t id = debugger_id(e, object)) {
        auto found = debug->scripts.find(id);
        return found != debug->scripts.end() ? found->second.get() : nullptr;
    }
    JS::RootedObject source(cx);
    auto script = std::make_unique<Script>();
    if (!debugger_script_is_wasm(cx, object, &script->wasm) ||
        !debugger_get_object(cx, object, "source", &source) || !source ||
        !debugger_source_url(e, source, &script->url) ||
        (!script->wasm && !debugger_get_text(cx, object, "displayName", &script->function)) ||
        !debugger_set_id(e, object, debug->last_script + 1)) {
        JS_ClearPendingException(cx);
        return nullptr;
    }
    script->id = ++debug->last_script;
    script->realm = realm->id;
    script->object = object;
    Script *made = script.get();
    debug->scripts[made->id] = std::move(script);
    return made;
}

Script *find_script(engine *e, uint64_t id)
{
    auto found = e->debug->scripts.find(id);
    return found != e->debug->scripts.end() && found->second->object.unbarrieredGet()
               ? found->second.get()
               : nullptr;
}

/** Where an offset of a script is; in a prologue there is no place. */
const OffsetPlace &place_of(engine *e, Script *script, uint64_t offset)
{
    auto [found, is_new] = script->places.try_emplace(offset);
    OffsetPlace &place = found->second;
    if (is_new) {
        JS::RootedObject object(e->cx, script->object);
        debugger_offset_place(e, object, offset, script->wasm, &place.line, &place.column,
                              &place.statement_start);
    }
    return place;
}

/** The number of a Debugger.Frame of a realm's Debugger, given at the first question; or 0. */
uint64_t id_of_frame(engine *e, JS::HandleObject frame)
{
    Debug *debug = e->debug.get();
    if (debug->last_seen.unbarrieredGet() == frame)
        return debug->last_seen_id;
    uint64_t id = debugger_id(e, frame);
    if (id == 0) {
        if (!debugger_set_id(e, frame, debug->last_frame + 1)) {
            JS_ClearPendingException(e->cx);
            return 0;
        }
        id = ++debug->last_frame;
    }
    debug->last_seen = frame;
    debug->last_seen_id = id;
    return id;
}

Frame *find_frame(engine *e, uint64_t id)
{
    auto found = e->debug->frames.find(id);
    return found != e->debug->frames.end() && found->second->object.unbarrieredGet()
               ? found->second.get()
               : nullptr;
}

/** One auditor more, or fewer: the realm is a debuggee while it has any. */
bool add_auditor(engine *e, Realm *realm)
{
    if (!debugger_attach(e, realm, NEED_AUDITOR))
        return false;
    realm->auditors++;
    return true;
}

void remove_auditor(engine *e, Realm *realm)
{
    if (--realm->auditors == 0)
        debugger_detach(e, realm, NEED_AUDITOR);
}

/** The frame will never run again. */
void end_frame(engine *e, Realm *realm, uint64_t id)
{
    auto found = e->debug->frames.find(id);
    if (found == e->debug->frames.end())
        return;
    int auditors = found->second->pop + found->second->step;
    e->debug->frames.erase(found);
    if (auditors == 0)
        return;
    e->debug->gone.emplace_back(ENGINE_FRAME, id);
    e->debug->code_is_stale = true;
    while (realm && auditors-- > 0)
        remove_auditor(e, realm);
}

/* Hits */

/** What the engine calls us with; false: it is not to be reported. */
struct Call {
    engine *e;
    Realm *realm;

    bool begin(JSContext *cx, const JS::CallArgs &args)
    {
        uint64_t id = static_cast<uint64_t>(remembered(args).toNumber());
        args.rval().setUndefined();
        e = engine_of(cx);
        if (!e || !e->ops || !e->ops->debug)
            return false;
        realm = debugger_realm(e, id);
        if (!realm || e->debug->suppressed > 0)
            return false;
        /* The code that looks at a VM can be interrupted, and the engine reports a step then of a
         * frame that stands. */
        if (e->inspecting > 0 && e->debug->evaluations == 0)
            return false;
        /* The VM is ending: nothing of the guest's runs on, not even for this hook's sake. */
        if (e->ending)
            args.rval().setNull();
        return !e->ending;
    }
};

/** The frame of a hit that stands there, as engine_hit has it; the texts are the script's. */
void describe_at(engine *e, Script *script, uint64_t offset, const OffsetPlace &place,
                 JS::HandleObject frame, engine_hit *hit, std::string *wasm_function)
{
    hit->frame = id_of_frame(e, frame);
    hit->script = script->id;
    hit->offset = offset;
    hit->wasm = script->wasm;
    hit->statement_start = place.statement_start;
    hit->place = {script->url.c_str(), place.line, place.column, script->wasm ? offset : 0};
    hit->function = script->function.c_str();
    if (script->wasm && debugger_wasm_function(e, wasm_function))
        hit->function = wasm_function->c_str();
}

/** The same, wherever it stands. False: nowhere. */
bool describe(engine *e, Realm *realm, JS::HandleObject frame, engine_hit *hit,
              std::string *wasm_function)
{
    JSContext *cx = e->cx;
    const DebuggerKeys &keys = e->debug->keys;
    JS::RootedObject object(cx);
    JS::RootedValue value(cx), offset(cx);
    if (!debugger_get_by_key(cx, frame, keys.script, &value) || !value.isObject() ||
        !debugger_get_by_key(cx, frame, keys.offset, &offset) || !offset.isNumber()) {
        JS_ClearPendingException(cx);
        return false;
    }
    object = &value.toObject();
    Script *script = script_of(e, realm, object);
    if (!script)
        return false;
    uint64_t at = static_cast<uint64_t>(offset.toNumber());
    describe_at(e, script, at, place_of(e, script, at), frame, hit, wasm_function);
    return true;
}

/** {[key]: value}, by which a hook says how the frame goes on. */
void resume_with(JSContext *cx, const char *key, JS::HandleValue value, JS::MutableHandleValue rval)
{
    JS::RootedObject completion(cx, JS_NewPlainObject(cx));
    if (completion && JS_DefineProperty(cx, completion, key, value, JSPROP_ENUMERATE))
        rval.setObject(*completion);
    else
        JS_ClearPendingException(cx);
}

void terminate(engine *e, bool can_resume, JS::MutableHandleValue rval)
{
    if (can_resume) {
        if (e->debug->evaluations == 0)
            e->debug->terminated = e->debug->calls_lost = true;
        rval.setNull();
        return;
    }
    e->debug->terminate_soon |= terminate_level(e);
    JS_RequestInterruptCallback(e->cx);
}

/** Tells the host, which looks around from inside; and does what it answers. */
void report(engine *e, Realm *realm, const engine_hit &hit, JS::HandleObject frame,
            JS::HandleValue value, bool can_resume, JS::MutableHandleValue rval)
{
    JSContext *cx = e->cx;
    HitState &state = e->debug->hit;
    JS::RootedObject outer_frame(cx, state.frame);
    JS::RootedValue outer_value(cx, state.value);
    bool outer_reporting = state.reporting, outer_has = state.has_value;
    uint64_t outer_realm = state.realm, outer_id = state.frame_id;
    uint64_t outer_script = state.script, outer_offset = state.offset;
    bool outer_wasm = state.wasm;

    state.reporting = true;
    state.frame = frame;
    state.value = value;
    state.has_value = hit.has_value;
    state.realm = realm->id;
    state.frame_id = hit.frame;
    state.script = hit.script;
    state.offset = hit.offset;
    state.wasm = hit.wasm;
    uint64_t realm_id = realm->id;
    /* Without a Debugger nothing of it is to be kept: a realm that is being made. */
    bool keeps = realm->needs != 0 && !(realm->needs & NEED_HIT);
    if (keeps)
        realm->needs |= NEED_HIT;
    struct engine_answer answer = {ENGINE_GO_ON, nullptr};
    int outcome = e->ops->debug->on_hit(e->host, &hit, &answer);

    JS::RootedValue result(cx);
    Completion completion = Completion::RETURNED;
    bool forced = outcome == 0 && can_resume &&
                  (answer.action == ENGINE_FORCE_RETURN || answer.action == ENGINE_FORCE_THROW);
    realm = debugger_realm(e, realm_id);
    if (forced && answer.expression && realm)
        completion = debugger_evaluate(e, frame, realm, answer.expression, false, &result);
    JS_ClearPendingException(cx);

    state.reporting = outer_reporting;
    state.frame = outer_frame;
    state.value = outer_value;
    state.has_value = outer_has;
    state.realm = outer_realm;
    state.frame_id = outer_id;
    state.script = outer_script;
    state.offset = outer_offset;
    state.wasm = outer_wasm;
    if (keeps && realm)
        debugger_detach(e, realm, NEED_HIT);

    if (e->ending) {
        terminate(e, can_resume, rval);
    } else if (outcome != 0) {
        if (e->debug->evaluations == 0)
            end_vm(e, ENGINE_TERMINATED, 0);
        terminate(e, can_resume, rval);
    } else if (answer.action == ENGINE_FORCE_TERMINATE || completion == Completion::TERMINATED) {
        terminate(e, can_resume, rval);
    } else if (forced && completion != Completion::FAILED) {
        bool throws = answer.action == ENGINE_FORCE_THROW || completion == Completion::THREW;
        resume_with(cx, throws ? "throw" : "return", result, rval);
    }
}

/** Reports a hit that has a frame; of a breakpoint it is known where. */
void report_frame(const Call &call, engine_audit_kind kind, const Breakpoint *breakpoint,
                  JS::HandleObject frame, JS::HandleValue value, bool has_value,
                  engine_completion completion, JS::MutableHandleValue rval)
{
    engine *e = call.e;
    engine_hit hit = {};
    std::string wasm_function;
    hit.kind = kind;
    hit.realm = call.realm->id;
    hit.completion = completion;
    hit.has_value = has_value;
    hit.source_map = "";
    if (breakpoint)
        describe_at(e, breakpoint->script, breakpoint->offset, *breakpoint->place, frame, &hit,
                    &wasm_function);
    else if (!describe(e, call.realm, frame, &hit, &wasm_function))
        return;
    if (kind == ENGINE_AUDIT_EXCEPTION_UNWIND) {
        JSObject *thrown = value.isObject() ? &value.toObject() : nullptr;
        hit.thrown = !thrown || e->debug->last_thrown != thrown;
        e->debug->last_thrown = thrown;
    }
    /* The engine does not let a function of WebAssembly return something else, wherever it is. */
    JS::RootedValue resumption(e->cx);
    report(e, call.realm, hit, frame, value, true, &resumption);
    bool returns = false;
    if (hit.wasm && resumption.isObject()) {
        JS::RootedObject object(e->cx, &resumption.toObject());
        if (!JS_HasProperty(e->cx, object, "return", &returns))
            JS_ClearPendingException(e->cx);
    }
    if (!returns)
        rval.set(resumption);
}

/** A hook that is called with a frame first. */
template <engine_audit_kind kind> bool on_frame(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    Call call;
    if (!call.begin(cx, args) || !args.get(0).isObject())
        return true;
    JS::RootedObject frame(cx, &args[0].toObject());
    bool unwinds = kind == ENGINE_AUDIT_EXCEPTION_UNWIND;
    report_frame(call, kind, nullptr, frame, unwinds ? args.get(1) : JS::UndefinedHandleValue,
                 unwinds, unwinds ? ENGINE_COMPLETION_THROW : ENGINE_COMPLETION_NONE, args.rval());
    return true;
}

/** Whether the host wants a breakpoint's hit. While another is told, or a debugger's code runs, it
 * is not asked. */
bool is_wanted(const Call &call, const Breakpoint *breakpoint, JS::HandleObject frame)
{
    engine *e = call.e;
    HitState &state = e->debug->hit;
    if (!e->ops->debug->wants_breakpoint || state.reporting || e->debug->evaluations > 0)
        return true;
    state.frame = frame;
    state.realm = call.realm->id;
    state.script = breakpoint->script->id;
    state.offset = breakpoint->offset;
    state.wasm = breakpoint->script->wasm;
    bool wanted = e->ops->debug->wants_breakpoint(e->host, state.script, state.offset);
    state.frame = nullptr;
    state.realm = state.script = state.offset = 0;
    state.wasm = false;
    return wanted;
}

/** handler.hit(frame) */
bool on_breakpoint(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    const Breakpoint *breakpoint = static_cast<Breakpoint *>(remembered(args, 1).toPrivate());
    Call call;
    if (!call.begin(cx, args) || !args.get(0).isObject())
        return true;
    JS::RootedObject frame(cx, &args[0].toObject());
    if (!is_wanted(call, breakpoint, frame))
        return true;
    report_frame(call, ENGINE_AUDIT_BREAKPOINT, breakpoint, frame, JS::UndefinedHandleValue, false,
                 ENGINE_COMPLETION_NONE, args.rval());
    return true;
}

/** onNewScript(script, global) */
bool on_new_script(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    Call call;
    if (!call.begin(cx, args) || !args.get(0).isObject())
        return true;
    engine *e = call.e;
    JS::RootedObject object(cx, &args[0].toObject()), source(cx), frame(cx);
    Script *script = script_of(e, call.realm, object);
    std::string source_map;
    double line = 0, column = 0;
    if (!script)
        return true;
    if (!script->wasm && (!debugger_get_number(cx, object, "startLine", &line) ||
                          !debugger_get_number(cx, object, "startColumn", &column)))
        JS_ClearPendingException(cx);
    if (!debugger_get_object(cx, object, "source", &source) || !source ||
        !debugger_get_text(cx, source, "sourceMapURL", &source_map))
        JS_ClearPendingException(cx);

    engine_hit hit = {};
    hit.kind = ENGINE_AUDIT_NEW_SCRIPT;
    hit.realm = call.realm->id;
    hit.script = script->id;
    hit.wasm = script->wasm;
    hit.function = script->function.c_str();
    hit.source_map = source_map.c_str();
    hit.place = {script->url.c_str(), static_cast<uint32_t>(line),
                 script->wasm ? 0 : static_cast<uint32_t>(column) + 1, 0};
    report(e, call.realm, hit, frame, JS::UndefinedHandleValue, false, args.rval());
    args.rval().setUndefined();
    return true;
}

/** onNewPromise(promise), onPromiseSettled(promise) */
template <engine_audit_kind kind> bool on_promise(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    Call call;
    if (!call.begin(cx, args) || !args.get(0).isObject())
        return true;
    engine *e = call.e;
    JS::RootedObject promise(cx, &args[0].toObject()), debugger(cx, call.realm->debugger),
        frame(cx);
    JS::RootedValue value(cx), newest(cx);
    engine_hit hit = {};
    std::string wasm_function;
    double id = 0;
    hit.place.url = hit.function = hit.source_map = "";
    /* What runs now, which may be nothing of this realm's. */
    if (!debugger_call(cx, debugger, "getNewestFrame", JS::HandleValueArray::empty(), &newest))
        JS_ClearPendingException(cx);
    if (newest.isObject()) {
        frame = &newest.toObject();
        if (!describe(e, call.realm, frame, &hit, &wasm_function))
            frame = nullptr;
    }
    if (!debugger_get_number(cx, promise, "promiseID", &id))
        JS_ClearPendingException(cx);
    hit.kind = kind;
    hit.realm = call.realm->id;
    hit.promise = static_cast<uint64_t>(id);
    if (kind == ENGINE_AUDIT_PROMISE_SETTLED) {
        std::string state;
        bool ok = debugger_get_text(cx, promise, "promiseState", &state);
        bool rejected = state == "rejected";
        hit.completion = rejected ? ENGINE_COMPLETION_REJECTED : ENGINE_COMPLETION_FULFILLED;
        hit.has_value =
            ok && debugger_get(cx, promise, rejected ? "promiseReason" : "promiseValue", &value);
        JS_ClearPendingException(cx);
    }
    report(e, call.realm, hit, frame, value, false, args.rval());
    args.rval().setUndefined();
    return true;
}

/** frame.onStep() */
bool on_step(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    Call call;
    if (!call.begin(cx, args) || !args.thisv().isObject())
        return true;
    JS::RootedObject object(cx, &args.thisv().toObject());
    Frame *frame = find_frame(call.e, debugger_id(call.e, object));
    JS::RootedValue value(cx);
    if (!debugger_get_by_key(cx, object, call.e->debug->keys.offset, &value) || !value.isNumber()) {
        JS_ClearPendingException(cx);
        return true;
    }
    uint64_t offset = static_cast<uint64_t>(value.toNumber());
    /* After an interrupt the engine calls for the operation that the frame stands at anyway. */
    bool repeated = call.e->debug->after_interrupt && frame && frame->last_offset == offset;
    call.e->debug->after_interrupt = false;
    if (!frame || repeated)
        return true;
    frame->last_offset = offset;
    report_frame(call, ENGINE_AUDIT_STEP, nullptr, object, JS::UndefinedHandleValue, false,
                 ENGINE_COMPLETION_NONE, args.rval());
    return true;
}

/** How a frame was left: {return, yield?, await?, initial?}, {throw}, or null. */
bool read_completion(JSContext *cx, JS::HandleValue value, engine_completion *ret,
                     JS::MutableHandleValue ret_value)
{
    bool threw = false;
    JS::RootedValue flag(cx);
    *ret = ENGINE_COMPLETION_TERMINATED;
    if (!value.isObject())
        return true;
    JS::RootedObject object(cx, &value.toObject());
    if (!JS_HasProperty(cx, object, "throw", &threw) ||
        !JS_GetProperty(cx, object, threw ? "throw" : "return", ret_value))
        return false;
    *ret = threw ? ENGINE_COMPLETION_THROW : ENGINE_COMPLETION_RETURN;
    if (!JS_GetProperty(cx, object, "yield", &flag))
        return false;
    if (flag.isTrue())
        *ret = ENGINE_COMPLETION_YIELD;
    if (!JS_GetProperty(cx, object, "await", &flag))
        return false;
    if (flag.isTrue())
        *ret = ENGINE_COMPLETION_AWAIT;
    return true;
}

/** frame.onPop(completion): for every frame that has an auditor, to learn when it ends. */
bool on_pop(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    uint64_t realm_id = static_cast<uint64_t>(remembered(args).toNumber());
    engine *e = engine_of(cx);
    if (!e || !args.thisv().isObject())
        return true;
    JS::RootedObject object(cx, &args.thisv().toObject());
    JS::RootedValue value(cx);
    engine_completion completion = ENGINE_COMPLETION_NONE;
    uint64_t id = debugger_id(e, object);
    if (!read_completion(cx, args.get(0), &completion, &value))
        JS_ClearPendingException(cx);
    Frame *frame = find_frame(e, id);
    Call call;
    if (call.begin(cx, args) && frame && frame->pop)
        report_frame(call, ENGINE_AUDIT_POP, nullptr, object, value,
                     completion != ENGINE_COMPLETION_TERMINATED, completion, args.rval());
    bool goes_on = completion == ENGINE_COMPLETION_YIELD || completion == ENGINE_COMPLETION_AWAIT;
    if (!goes_on || !args.rval().isUndefined())
        end_frame(e, debugger_realm(e, realm_id), id);
    audit_tell_gone(e);
    return true;
}

JSObject *make_hook(engine *e, Realm *realm, JSNative native, const char *name)
{
    JSFunction *function = js::NewFunctionWithReserved(e->cx, native, 2, 0, name);
    if (!function)
        return nullptr;
    JSObject *object = JS_GetFunctionObject(function);
    js::SetFunctionNativeReserved(object, 0, JS::NumberValue(static_cast<double>(realm->id)));
    return object;
}

JSNative native_of(engine_audit_kind kind)
{
    switch (kind) {
    case ENGINE_AUDIT_ENTER_FRAME:
        return on_frame<ENGINE_AUDIT_ENTER_FRAME>;
    case ENGINE_AUDIT_DEBUGGER_STATEMENT:
        return on_frame<ENGINE_AUDIT_DEBUGGER_STATEMENT>;
    case ENGINE_AUDIT_EXCEPTION_UNWIND:
        return on_frame<ENGINE_AUDIT_EXCEPTION_UNWIND>;
    case ENGINE_AUDIT_NEW_SCRIPT:
        return on_new_script;
    case ENGINE_AUDIT_NEW_PROMISE:
        return on_promise<ENGINE_AUDIT_NEW_PROMISE>;
    case ENGINE_AUDIT_PROMISE_SETTLED:
        return on_promise<ENGINE_AUDIT_PROMISE_SETTLED>;
    default:
        return nullptr;
    }
}

/* Setting and clearing */

/** Sets a property of a Debugger object, undefined for NULL. */
bool set_hook(engine *e, JS::HandleObject object, const char *property, JS::HandleObject hook)
{
    JS::RootedValue value(e->cx);
    if (hook)
        value.setObject(*hook);
    return JS_SetProperty(e->cx, object, property, value);
}

int audit_at_realm(engine *e, engine_audit_kind kind, uint64_t id, bool on)
{
    JSContext *cx = e->cx;
    Realm *realm = debugger_realm(e, id);
    if (!realm)
        return -ENOENT;
    unsigned bit = 1u << kind;
    if (((realm->kinds & bit) != 0) == on)
        return 0;
    if (on) {
        if (!add_auditor(e, realm))
            return -ENOMEM;
        realm->kinds |= bit;
    }
    JS::RootedObject debugger(cx, realm->debugger), hook(cx);
    if (on)
        hook = make_hook(e, realm, native_of(kind), PROPERTIES[kind]);
    bool ok = (!on || hook) && set_hook(e, debugger, PROPERTIES[kind], hook);
    if (!on || !ok) {
        realm->kinds &= ~bit;
        remove_auditor(e, realm);
    }
    return ok ? 0 : -ENOMEM;
}

/** The frame by its id, wherever it is on the stack. */
bool find_on_stack(engine *e, uint64_t id, JS::MutableHandleObject ret_frame, Realm **ret_realm)
{
    JSContext *cx = e->cx;
    HitState &hit = e->debug->hit;
    if (hit.frame && hit.frame_id == id) {
        ret_frame.set(hit.frame);
        *ret_realm = debugger_realm(e, hit.realm);
        return *ret_realm;
    }
    JS::RootedObject debugger(cx), frame(cx);
    JS::RootedValue value(cx);
    for (auto &[realm_id, realm] : e->debug->realms) {
        if (realm->needs == 0 || !realm->global.unbarrieredGet())
            continue;
        debugger = realm->debugger;
        if (!debugger_call(cx, debugger, "getNewestFrame", JS::HandleValueArray::empty(), &value))
            return false;
        frame = value.isObject() ? &value.toObject() : nullptr;
        while (frame) {
            if (debugger_id(e, frame) == id) {
                ret_frame.set(frame);
                *ret_realm = realm.get();
                return true;
            }
            if (!debugger_get_object(cx, frame, "older", &frame))
                return false;
        }
    }
    return false;
}

/** Makes the engine call for what the frame is observed for. */
bool arm_frame(engine *e, Realm *realm, Frame *frame)
{
    JSContext *cx = e->cx;
    JS::RootedObject object(cx, frame->object), none(cx);
    if (!realm->on_pop)
        realm->on_pop = make_hook(e, realm, on_pop, "onPop");
    if (!realm->on_step)
        realm->on_step = make_hook(e, realm, on_step, "onStep");
    if (!realm->on_pop || !realm->on_step)
        return false;
    bool any = frame->pop || frame->step;
    return set_hook(e, object, "onPop", any ? JS::HandleObject(realm->on_pop) : none) &&
           set_hook(e, object, "onStep", frame->step ? JS::HandleObject(realm->on_step) : none);
}

int audit_at_frame(engine *e, engine_audit_kind kind, uint64_t id, bool on)
{
    JSContext *cx = e->cx;
    Frame *frame = find_frame(e, id);
    Realm *realm = frame ? debugger_realm(e, frame->realm) : nullptr;
    if (!frame) {
        JS::RootedObject object(cx);
        if (!on)
            return 0;
        if (!find_on_stack(e, id, &object, &realm))
            return -ENOENT;
        auto made = std::make_unique<Frame>();
        frame = made.get();
        frame->id = id;
        frame->realm = realm->id;
        frame->object = object;
        e->debug->frames[id] = std::move(made);
    }
    bool &observed = kind == ENGINE_AUDIT_POP ? frame->pop : frame->step;
    if (observed == on || !realm)
        return realm ? 0 : -ENOENT;
    if (on && !add_auditor(e, realm))
        return -ENOMEM;
    if (on && kind == ENGINE_AUDIT_STEP) {
        JS::RootedObject object(cx, frame->object);
        double offset = 0;
        if (debugger_get_number(cx, object, "offset", &offset))
            frame->last_offset = static_cast<uint64_t>(offset);
        JS_ClearPendingException(cx);
    }
    observed = on;
    bool ok = arm_frame(e, realm, frame);
    if (!ok && on) {
        observed = false;
        arm_frame(e, realm, frame);
    }
    if (!frame->pop && !frame->step)
        e->debug->frames.erase(id);
    if (!on || !ok)
        remove_auditor(e, realm);
    return ok || !on ? 0 : -ENOMEM;
}

/** The one at an offset, which the handler knows. */
std::unique_ptr<Breakpoint> make_breakpoint(engine *e, Realm *realm, Script *script,
                                            uint64_t offset)
{
    JSContext *cx = e->cx;
    auto made = std::make_unique<Breakpoint>(cx);
    JS::RootedObject handler(cx, JS_NewPlainObject(cx)),
        hook(cx, make_hook(e, realm, on_breakpoint, "hit"));
    if (!handler || !hook || !JS_DefineProperty(cx, handler, "hit", hook, 0))
        return nullptr;
    js::SetFunctionNativeReserved(hook, 1, JS::PrivateValue(made.get()));
    made->script = script;
    made->offset = offset;
    made->place = &place_of(e, script, offset);
    made->handler = handler;
    return made;
}

bool set_breakpoint(engine *e, JS::HandleObject script, uint64_t offset, JS::HandleObject handler)
{
    JS::RootedValueArray<2> arguments(e->cx);
    JS::RootedValue ignored(e->cx);
    arguments[0].setNumber(static_cast<double>(offset));
    arguments[1].setObject(*handler);
    return debugger_call(e->cx, script, "setBreakpoint", arguments, &ignored);
}

/**
 * The engine takes a breakpoint in WebAssembly away and leaves all else as it was for it: the whole
 * module stops at each operation to ask, and in that function the handler of traps does. Only a
 * Debugger that clears all of its breakpoints ends that. So it has to clear them once more where
 * they were, and set those that are still there again. Not each time where there are many, of which
 * each costs a search.
 */
void disarm(engine *e, Realm *realm, Script *cleared)
{
    constexpr size_t MANY = 16;
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, realm->debugger), object(cx, cleared->object);
    JS::RootedObject handler(cx, JS_NewPlainObject(cx));
    JS::RootedValue ignored(cx);
    std::vector<Breakpoint *> others;
    for (auto &[id, script] : e->debug->scripts)
        if (script->realm == realm->id && script->object.unbarrieredGet())
            for (auto &[offset, breakpoint] : script->breakpoints)
                others.push_back(breakpoint.get());
    if (others.size() > MANY * cleared->left_over.size() || !handler)
        return;
    for (uint64_t offset : cleared->left_over)
        if (cleared->breakpoints.find(offset) == cleared->breakpoints.end())
            (void)set_breakpoint(e, object, offset, handler);
    cleared->left_over.clear();
    (void)debugger_call(cx, debugger, "clearAllBreakpoints", JS::HandleValueArray::empty(),
                        &ignored);
    for (Breakpoint *breakpoint : others) {
        object = breakpoint->script->object;
        handler = breakpoint->handler;
        (void)set_breakpoint(e, object, breakpoint->offset, handler);
    }
}

int audit_at_script(engine *e, uint64_t id, uint64_t offset, bool on)
{
    JSContext *cx = e->cx;
    Script *script = find_script(e, id);
    Realm *realm = script ? debugger_realm(e, script->realm) : nullptr;
    if (!realm)
        return on ? -ENOENT : 0;
    auto found = script->breakpoints.find(offset);
    if ((found != script->breakpoints.end()) == on)
        return 0;
    if (on && !add_auditor(e, realm))
        return -ENOMEM;
    JS::RootedObject object(cx, script->object);
    if (on) {
        std::unique_ptr<Breakpoint> made = make_breakpoint(e, realm, script, offset);
        JS::RootedObject handler(cx, made ? made->handler.get() : nullptr);
        if (made && set_breakpoint(e, object, offset, handler)) {
            script->breakpoints[offset] = std::move(made);
            return 0;
        }
        remove_auditor(e, realm);
        /* There is no operation at that offset. */
        return JS_IsThrowingOutOfMemory(cx) ? -ENOMEM : -EINVAL;
    }
    JS::RootedValueArray<2> arguments(cx);
    JS::RootedValue ignored(cx);
    arguments[0].setObject(*found->second->handler);
    arguments[1].setNumber(static_cast<double>(offset));
    (void)debugger_call(cx, object, "clearBreakpoint", arguments, &ignored);
    script->breakpoints.erase(found);
    if (script->wasm) {
        script->left_over.push_back(offset);
        disarm(e, realm, script);
    }
    remove_auditor(e, realm);
    return 0;
}

/* Positions */

struct Position {
    uint32_t line, column; /**< as the engine counts: WebAssembly has an offset for its line */
    uint64_t offset;
    bool statement_start;
    Script *script;

    bool before(const Position &other) const
    {
        return std::make_pair(line, column) < std::make_pair(other.line, other.column);
    }
};

/** What is looked for in one source. */
struct Wanted {
    uint32_t line, line_to, column; /**< as in Position; column 0: any */
    bool all;
};

/** The lines that a function has. */
struct Extent {
    uint32_t first = 0, end = 0;
};

bool read_extent(JSContext *cx, JS::HandleObject script, Extent *ret)
{
    double first = 0, count = 0;
    if (!debugger_get_number(cx, script, "startLine", &first) ||
        !debugger_get_number(cx, script, "lineCount", &count))
        return false;
    ret->first = static_cast<uint32_t>(first);
    ret->end = static_cast<uint32_t>(first + count);
    return true;
}

/** Positions of a script in the lines that are wanted, or from there on. */
bool add_positions(engine *e, Realm *realm, JS::HandleObject object, const Wanted &wanted,
                   std::vector<Position> *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject query(cx, JS_NewPlainObject(cx)), list(cx), entry(cx);
    JS::RootedValue argument(cx), value(cx);
    uint32_t count = 0;
    Script *script = script_of(e, realm, object);
    if (!script || !query ||
        !JS_DefineProperty(cx, query, "minLine", wanted.line, JSPROP_ENUMERATE))
        return false;
    /* The engine takes no larger number there than the last line that there can be. */
    if (wanted.all && wanted.line_to < UINT32_MAX &&
        !JS_DefineProperty(cx, query, "maxLine", wanted.line_to + 1.0, JSPROP_ENUMERATE))
        return false;
    argument.setObject(*query);
    if (!debugger_call(cx, object, "getPossibleBreakpoints", JS::HandleValueArray(argument),
                       &value) ||
        !value.isObject())
        return false;
    list = &value.toObject();
    if (!JS::GetArrayLength(cx, list, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        double line = 0, column = 0, offset = 0;
        if (!JS_GetElement(cx, list, i, &value) || !value.isObject())
            return false;
        entry = &value.toObject();
        if (!debugger_get_number(cx, entry, "lineNumber", &line) ||
            !debugger_get_number(cx, entry, "columnNumber", &column) ||
            !debugger_get_number(cx, entry, "offset", &offset) ||
            !debugger_get(cx, entry, "isStepStart", &value))
            return false;
        Position position = {static_cast<uint32_t>(line), static_cast<uint32_t>(column),
                             static_cast<uint64_t>(offset), value.isTrue(), script};
        bool early = position.line == wanted.line && wanted.column > 0 &&
                     position.column + 1 < wanted.column;
        if (!early)
            ret->push_back(position);
    }
    return true;
}

/** The first position from there on, in whichever function it is: of the line itself, where it has
 * one, and else of the next line that has. */
bool first_position(engine *e, Realm *realm, const JS::RootedObjectVector &scripts, bool wasm,
                    const Wanted &wanted, std::vector<Position> *ret)
{
    JSContext *cx = e->cx;
    std::vector<std::pair<Extent, size_t>> candidates;
    std::vector<Position> found;
    JS::RootedObject script(cx);
    for (size_t i = 0; i < scripts.length(); i++) {
        Extent extent = {0, UINT32_MAX};
        script = scripts[i];
        if (!wasm && !read_extent(cx, script, &extent))
            return false;
        if (extent.end > wanted.line)
            candidates.emplace_back(extent, i);
    }
    /* The small ones first: what they have bounds what the others are asked for. */
    std::sort(candidates.begin(), candidates.end(), [](const auto &a, const auto &b) {
        return a.first.end - a.first.first < b.first.end - b.first.first;
    });
    for (auto &[extent, i] : candidates) {
        Wanted bounded = wanted;
        if (!ret->empty()) {
            bounded.all = true;
            bounded.line_to = ret->front().line;
            if (extent.first > bounded.line_to)
                continue;
        }
        script = scripts[i];
        found.clear();
        if (!add_positions(e, realm, script, bounded, &found))
            return false;
        for (const Position &position : found) {
            if (ret->empty())
                ret->push_back(position);
            else if (position.before(ret->front()))
                ret->front() = position;
        }
    }
    return true;
}

/** Fills `ret` with the elements of an array, which are objects. */
bool read_array(JSContext *cx, JS::HandleValue array, JS::MutableHandleObjectVector ret)
{
    uint32_t count = 0;
    JS::RootedValue value(cx);
    JS::RootedObject object(cx, array.isObject() ? &array.toObject() : nullptr);
    if (!object || !JS::GetArrayLength(cx, object, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!JS_GetElement(cx, object, i, &value) || !value.isObject() ||
            !ret.append(&value.toObject()))
            return false;
    }
    return true;
}

struct Query {
    const char *url;
    JS::HandleObject source; /**< of the stop's Debugger; NULL: by url */
    Wanted wanted;
    bool wasm; /**< by offset */
};

bool positions_of_source(engine *e, Realm *realm, JS::HandleObject source, const Query &query,
                         std::vector<Position> *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, realm->debugger), search(cx, JS_NewPlainObject(cx)), script(cx);
    JS::RootedValue argument(cx), value(cx);
    JS::RootedObjectVector scripts(cx), matching(cx);
    if (!search || !JS_DefineProperty(cx, search, "source", source, JSPROP_ENUMERATE))
        return false;
    argument.setObject(*search);
    if (!debugger_call(cx, debugger, "findScripts", JS::HandleValueArray(argument), &value) ||
        !read_array(cx, value, &scripts))
        return false;
    for (size_t i = 0; i < scripts.length(); i++) {
        bool wasm = false;
        script = scripts[i];
        if (!debugger_script_is_wasm(cx, script, &wasm))
            return false;
        if (wasm == query.wasm && !matching.append(script))
            return false;
    }
    if (!query.wanted.all)
        return first_position(e, realm, matching, query.wasm, query.wanted, ret);
    for (size_t i = 0; i < matching.length(); i++) {
        script = matching[i];
        if (!add_positions(e, realm, script, query.wanted, ret))
            return false;
    }
    std::sort(ret->begin(), ret->end(),
              [](const Position &a, const Position &b) { return a.before(b); });
    return true;
}

bool positions_of_realm(engine *e, Realm *realm, const Query &query, std::vector<Position> *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, realm->debugger), source(cx);
    JS::RootedValue value(cx), argument(cx);
    JS::RootedObjectVector sources(cx);
    if (query.source) {
        /* One that belongs to another realm has no script in this one. */
        argument.setObject(*query.source);
        if (!debugger_call(cx, debugger, "adoptSource", JS::HandleValueArray(argument), &value) ||
            !value.isObject())
            return false;
        source = &value.toObject();
        return positions_of_source(e, realm, source, query, ret);
    }
    if (!debugger_call(cx, debugger, "findSources", JS::HandleValueArray::empty(), &value) ||
        !read_array(cx, value, &sources))
        return false;
    for (size_t i = 0; i < sources.length(); i++) {
        std::string url;
        std::vector<Position> found;
        source = sources[i];
        if (!debugger_source_url(e, source, &url))
            return false;
        if (debugger_url_matches(url, query.url) &&
            !positions_of_source(e, realm, source, query, &found))
            return false;
        ret->insert(ret->end(), found.begin(), found.end());
    }
    return true;
}

/** A source by its id; NULL: there is none. */
bool find_source(engine *e, uint64_t id, JS::MutableHandleObject ret_source)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, debugger_of_stop(e)), source(cx);
    JS::RootedValue value(cx);
    JS::RootedObjectVector sources(cx);
    if (!debugger ||
        !debugger_call(cx, debugger, "findSources", JS::HandleValueArray::empty(), &value) ||
        !read_array(cx, value, &sources))
        return false;
    for (size_t i = 0; i < sources.length(); i++) {
        source = sources[i];
        if (debugger_id(e, source) == id)
            ret_source.set(source);
    }
    return true;
}

/** Debugger.Frame of a realm's own Debugger for one of the stop's; NULL with an exception. */
JSObject *adopt_frame(engine *e, Realm *realm, JS::HandleObject frame)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, realm->debugger);
    JS::RootedValue argument(cx, JS::ObjectValue(*frame)), value(cx);
    return debugger_call(cx, debugger, "adoptFrame", JS::HandleValueArray(argument), &value) &&
                   value.isObject()
               ? &value.toObject()
               : nullptr;
}

/* Variables */

KnownVariable *slot_of(engine *e, uint64_t script, uint64_t offset, const char *name)
{
    auto &known = e->debug->known;
    return &known[((script * 31 + offset) * 31 + static_cast<unsigned char>(*name)) % known.size()];
}

/** The index of the frame's parameter of that name, or -1. */
bool find_parameter(engine *e, JS::HandleObject frame, JS::HandleObject holder,
                    JS::HandleValue name, int *ret_index)
{
    JSContext *cx = e->cx;
    JS::RootedObject script(cx), callee(cx), names(cx);
    JS::RootedValue value(cx);
    double count = 0;
    *ret_index = -1;
    if (!debugger_get_object(cx, frame, "script", &script) ||
        !debugger_get_object(cx, holder, "calleeScript", &callee))
        return false;
    if (!callee || callee != script)
        return true;
    if (!debugger_get_object(cx, frame, "callee", &callee) || !callee ||
        !debugger_get_object(cx, callee, "parameterNames", &names) || !names ||
        !debugger_get_number(cx, names, "length", &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        bool same = false;
        if (!JS_GetElement(cx, names, i, &value))
            return false;
        /* Of two with one name the last counts. */
        if (value.isString() && !JS::StrictlyEqual(cx, value, name, &same))
            return false;
        if (same)
            *ret_index = static_cast<int>(i);
    }
    return true;
}

/** True if the frame may be left and go on later: then its variables are moved, and the engine
 * makes other environments for them. */
bool may_suspend(JSContext *cx, JS::HandleObject frame, bool *ret_suspends)
{
    JS::RootedObject script(cx);
    JS::RootedValue generator(cx), async(cx), module(cx);
    if (!debugger_get_object(cx, frame, "script", &script) || !script ||
        !debugger_get(cx, script, "isGeneratorFunction", &generator) ||
        !debugger_get(cx, script, "isAsyncFunction", &async) ||
        !debugger_get(cx, script, "isModule", &module))
        return false;
    *ret_suspends = generator.isTrue() || async.isTrue() || module.isTrue();
    return true;
}

/**
 * What may be known of a name that was found in `holder` for the next time. A block is another each
 * time that it is entered; a function's scopes and a module's are the same while a frame lives.
 * Between the frame and them nothing may be that could come to have the name later: no function of
 * code that is not strict, as a module's is, and nothing that is no scope but an object.
 */
bool learn(engine *e, JS::HandleObject frame, JS::HandleObject innermost, JS::HandleObject holder,
           JS::HandleValue name, KnownVariable *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject environment(cx, innermost);
    std::string kind;
    bool only_blocks = true, suspends = false;
    for (;;) {
        if (!debugger_get_text(cx, environment, "scopeKind", &kind))
            return false;
        if (environment == holder)
            break;
        only_blocks = only_blocks && (kind == "lexical" || kind == "simple catch" ||
                                      kind == "catch" || kind == "function lexical");
        if (!debugger_get_object(cx, environment, "parent", &environment))
            return false;
        if (!environment)
            return true;
    }
    bool function = only_blocks && kind == "function";
    if (!may_suspend(cx, frame, &suspends))
        return false;
    ret->fixed =
        !suspends && (function || (only_blocks && kind == "function lexical") || kind == "module");
    return !function || find_parameter(e, frame, holder, name, &ret->parameter);
}

/** An argument as it is now; false: it was not given. Faster than an environment, which the engine
 * has to make for a frame that has none. */
bool read_argument(engine *e, JS::HandleObject frame, KnownVariable *known,
                   JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    const DebuggerKeys &keys = e->debug->keys;
    JS::RootedObject arguments(cx);
    bool ok = true;
    if (known->arguments_of.unbarrieredGet() == frame) {
        arguments = known->arguments;
    } else {
        JS::RootedValue value(cx), count(cx);
        ok = debugger_get_by_key(cx, frame, keys.arguments, &value);
        if (ok && value.isObject()) {
            arguments = &value.toObject();
            ok = debugger_get_by_key(cx, arguments, keys.length, &count);
            if (!count.isNumber() || known->parameter >= count.toNumber())
                arguments = nullptr;
        }
        known->arguments_of = ok ? frame.get() : nullptr;
        known->arguments = arguments;
    }
    ok = ok && arguments &&
         JS_GetElement(cx, arguments, static_cast<uint32_t>(known->parameter), ret_value);
    JS_ClearPendingException(cx);
    return ok;
}

/** Looks a name up where it is known to be; false: nowhere. */
bool read_known(engine *e, JS::HandleObject frame, KnownVariable *known,
                JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    if (known->parameter >= 0 && read_argument(e, frame, known, ret_value))
        return true;
    if (known->frame.unbarrieredGet() != frame || !known->holder.unbarrieredGet())
        return false;
    JS::RootedObject holder(cx, known->holder);
    JS::RootedValue argument(cx), receiver(cx, JS::ObjectValue(*holder));
    JS::PersistentRootedValue &method = e->debug->get_variable;
    if (!known->atom.initialized())
        known->atom.init(cx, atom(e, known->name.c_str()));
    if (!known->atom)
        return false;
    argument.setString(known->atom);
    e->debug->suppressed++;
    bool ok = (!method.isUndefined() ||
               debugger_get_by_key(cx, holder, e->debug->keys.get_variable, &method)) &&
              JS::Call(cx, receiver, method, JS::HandleValueArray(argument), ret_value);
    e->debug->suppressed--;
    JS_ClearPendingException(cx);
    return ok;
}

/** Looks a name up. *known, unless NULL, is of that name and place, and learns from it. */
int look_up(engine *e, JS::HandleObject frame, const char *name, KnownVariable *known,
            JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    const DebuggerKeys &keys = e->debug->keys;
    JS::RootedObject innermost(cx), holder(cx);
    JS::RootedValue argument(cx), value(cx);
    JSString *string = atom(e, name);
    if (!string)
        return -ENOMEM;
    argument.setString(string);
    /* Guest code, which a proxy or a getter of the global would run, fails: the engine sees to it
     * for debuggees, and what a frame can name is one. */
    e->debug->suppressed++;
    bool there = false,
         ok = debugger_get_by_key(cx, frame, keys.environment, &value) && value.isObject();
    if (ok) {
        innermost = &value.toObject();
        ok = debugger_call_by_key(cx, innermost, keys.find, JS::HandleValueArray(argument), &value);
        there = ok && value.isObject();
    }
    if (there) {
        holder = &value.toObject();
        ok = debugger_call_by_key(cx, holder, keys.get_variable, JS::HandleValueArray(argument),
                                  ret_value) &&
             (!known || known->name == name || learn(e, frame, innermost, holder, argument, known));
    }
    e->debug->suppressed--;
    if (!ok)
        return JS_IsThrowingOutOfMemory(cx) ? -ENOMEM : -EOPNOTSUPP;
    if (known && there) {
        known->name = name;
        known->frame = known->fixed ? frame.get() : nullptr;
        known->holder = known->fixed ? holder.get() : nullptr;
    }
    return there ? 0 : -ENOENT;
}

/** "x threw y" of a debuggee value. */
std::string describe_thrown(engine *e, JS::HandleValue thrown)
{
    JSContext *cx = e->cx;
    if (!thrown.isObject())
        return describe_error(cx, thrown);
    JS::RootedObject object(cx, &thrown.toObject()), referent(cx, debugger_referent(cx, object));
    if (!referent)
        return "an object was thrown";
    JSAutoRealm realm(cx, referent);
    JS::RootedValue value(cx, JS::ObjectValue(*referent));
    return describe_error(cx, value);
}

} // namespace

void audit_update_weak(Debug *debug, JSTracer *trc)
{
    for (auto &[id, script] : debug->scripts) {
        if (script->object.unbarrieredGet() && !JS_UpdateWeakPointerAfterGC(trc, &script->object))
            debug->something_died = true;
    }
    for (auto &[id, frame] : debug->frames) {
        if (frame->object.unbarrieredGet() && !JS_UpdateWeakPointerAfterGC(trc, &frame->object))
            debug->something_died = true;
    }
    auto update = [trc](JS::Heap<JSObject *> *pointer) {
        if (pointer->unbarrieredGet())
            JS_UpdateWeakPointerAfterGC(trc, pointer);
    };
    update(&debug->last_seen);
    update(&debug->last_thrown);
    for (KnownVariable &known : debug->known) {
        update(&known.frame);
        update(&known.holder);
        update(&known.arguments_of);
        update(&known.arguments);
    }
}

void audit_tell_gone(engine *e)
{
    Debug *debug = e->debug.get();
    if (debug->something_died) {
        debug->something_died = false;
        Debugging debugging(e);
        for (auto i = debug->scripts.begin(); i != debug->scripts.end();) {
            Script *script = i->second.get();
            if (script->object.unbarrieredGet()) {
                ++i;
                continue;
            }
            debug->gone.emplace_back(ENGINE_SCRIPT, script->id);
            Realm *realm = debugger_realm(e, script->realm);
            for (size_t n = script->breakpoints.size(); realm && n > 0; n--)
                remove_auditor(e, realm);
            i = debug->scripts.erase(i);
        }
        std::vector<std::pair<uint64_t, uint64_t>> dead_frames;
        for (auto &[id, frame] : debug->frames) {
            if (!frame->object.unbarrieredGet())
                dead_frames.emplace_back(frame->realm, id);
        }
        for (auto &[realm, id] : dead_frames)
            end_frame(e, debugger_realm(e, realm), id);
        for (auto i = debug->realms.begin(); i != debug->realms.end();) {
            bool lives = i->second->global.unbarrieredGet();
            if (!lives)
                debug->gone.emplace_back(ENGINE_REALM, i->first);
            i = lives ? std::next(i) : debug->realms.erase(i);
        }
    }
    while (!debug->gone.empty()) {
        auto [referent, id] = debug->gone.front();
        debug->gone.erase(debug->gone.begin());
        if (e->ops->debug)
            e->ops->debug->on_gone(e->host, referent, id);
    }
}

void audit_realm_detached(engine *e, Realm *realm)
{
    /* Their Debugger.Frames are no frames any more. */
    auto &frames = e->debug->frames;
    for (auto i = frames.begin(); i != frames.end();)
        i = i->second->realm == realm->id ? frames.erase(i) : std::next(i);
}

bool audit_realm_added(engine *e, Realm *realm)
{
    JSContext *cx = e->cx;
    Debug *debug = e->debug.get();
    if (!e->ops->debug || debug->suppressed > 0)
        return true;
    uint64_t id = realm->id;
    if (debug->watch_realms)
        e->ops->debug->on_realm(e->host, id);
    realm = debugger_realm(e, id);
    if (!debug->audit_new_global || !realm)
        return true;
    JS::AutoFilename file;
    unsigned line = 0, column = 0;
    engine_hit hit = {};
    hit.kind = ENGINE_AUDIT_NEW_GLOBAL;
    hit.realm = id;
    hit.function = hit.source_map = hit.place.url = "";
    if (JS::DescribeScriptedCaller(cx, &file, &line, &column) && file.get())
        hit.place = {file.get(), line, column + 1, 0};
    Debugging debugging(e);
    JS::RootedObject frame(cx);
    JS::RootedValue resumption(cx);
    if (debugging.ok())
        report(e, realm, hit, frame, JS::UndefinedHandleValue, false, &resumption);
    return !e->ending;
}

int audit_watch_realms(engine *e, bool on)
{
    e->debug->watch_realms = on;
    return 0;
}

int audit_realms(engine *e, void (*each)(void *, uint64_t, const char *), void *userdata)
{
    audit_tell_gone(e);
    for (auto &[id, realm] : e->debug->realms) {
        if (realm->global.unbarrieredGet())
            each(userdata, id, realm->label.c_str());
    }
    return 0;
}

int audit_set(engine *e, enum engine_audit_kind kind, uint64_t referent, uint64_t offset, bool on)
{
    audit_tell_gone(e);
    if (kind == ENGINE_AUDIT_NEW_GLOBAL) {
        e->debug->audit_new_global = on;
        return 0;
    }
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    bool compiled_for = kind == ENGINE_AUDIT_ENTER_FRAME || kind == ENGINE_AUDIT_POP ||
                        kind == ENGINE_AUDIT_STEP || kind == ENGINE_AUDIT_BREAKPOINT;
    if (!on && compiled_for)
        e->debug->code_is_stale = true;
    switch (kind) {
    case ENGINE_AUDIT_POP:
    case ENGINE_AUDIT_STEP:
        return audit_at_frame(e, kind, referent, on);
    case ENGINE_AUDIT_BREAKPOINT:
        return audit_at_script(e, referent, offset, on);
    default:
        return kind > 0 && kind < ENGINE_AUDIT_KINDS ? audit_at_realm(e, kind, referent, on)
                                                     : -EINVAL;
    }
}

int audit_frame_id(engine *e, uint32_t frame, uint64_t *ret_frame, uint64_t *ret_realm)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject object(cx), adopted(cx);
    int r = debugger_frame_at(e, frame, &object);
    if (r < 0)
        return r;
    Realm *realm = debugger_realm_of_frame(e, object);
    if (!realm)
        return -ENOENT;
    if (!debugger_attach(e, realm, NEED_STOP) || !(adopted = adopt_frame(e, realm, object)))
        return -ENOMEM;
    uint64_t id = id_of_frame(e, adopted);
    if (id == 0)
        return -ENOMEM;
    *ret_frame = id;
    *ret_realm = realm->id;
    return 0;
}

int audit_frame_index(engine *e, uint64_t frame, uint32_t *ret_index)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject object(cx), adopted(cx);
    Realm *realm = nullptr;
    if (!find_on_stack(e, frame, &object, &realm))
        return -ENOENT;
    double wanted = 0, offset = 0;
    bool on_stack = false;
    JS::RootedValue value(cx);
    if (!debugger_get(cx, object, "onStack", &value) ||
        !debugger_get_number(cx, object, "offset", &wanted))
        return -ENOMEM;
    on_stack = value.isTrue();
    int found = -ENOENT;
    int r = debugger_walk(e, MOST_FRAMES, [&](uint32_t index, JS::HandleObject candidate) {
        if (!on_stack)
            return false;
        if (!candidate)
            return true;
        if (!debugger_get_number(cx, candidate, "offset", &offset) || offset != wanted) {
            JS_ClearPendingException(cx);
            return true;
        }
        /* A frame of another realm cannot be adopted. */
        adopted = adopt_frame(e, realm, candidate);
        JS_ClearPendingException(cx);
        if (adopted != object)
            return true;
        *ret_index = index;
        found = 0;
        return false;
    });
    return r < 0 ? r : found;
}

int audit_positions(engine *e, uint64_t source, const char *url, uint32_t line, uint32_t line_to,
                    uint32_t column, uint64_t offset, bool all,
                    void (*each)(void *, uint64_t, uint64_t, uint64_t, const struct engine_place *,
                                 const char *),
                    void *userdata)
{
    JSContext *cx = e->cx;
    bool wasm = line == 0;
    if (wasm && !e->debug->observe_wasm)
        return -EOPNOTSUPP;
    audit_tell_gone(e);
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject by_id(cx);
    if (source != 0 && !find_source(e, source, &by_id))
        return -ENOMEM;
    if (source != 0 && !by_id)
        return -ENOENT;
    Query query = {url ? url : "*", by_id, {line, std::max(line, line_to), column, all}, wasm};
    if (wasm)
        query.wanted = {static_cast<uint32_t>(std::min<uint64_t>(offset, UINT32_MAX)), line_to, 0,
                        all};

    int count = 0;
    for (auto &[id, realm] : e->debug->realms) {
        std::vector<Position> found;
        if (!realm->global.unbarrieredGet())
            continue;
        bool had_stop = realm->needs & NEED_STOP;
        if (!debugger_attach(e, realm.get(), NEED_STOP))
            return -ENOMEM;
        bool ok = positions_of_realm(e, realm.get(), query, &found);
        JS_ClearPendingException(cx);
        if (!had_stop)
            debugger_detach(e, realm.get(), NEED_STOP);
        if (!ok)
            return -ENOMEM;
        for (const Position &position : found) {
            engine_place place = {position.script->url.c_str(), wasm ? 0 : position.line,
                                  wasm ? 0 : position.column + 1, wasm ? position.offset : 0};
            each(userdata, id, position.script->id, position.offset, &place,
                 position.script->function.c_str());
            count++;
        }
    }
    return count;
}

int audit_arguments(engine *e, uint32_t frame,
                    void (*each)(void *, const struct engine_named_value *), void *userdata)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject object(cx), arguments(cx), callee(cx), names(cx);
    JS::RootedValue value(cx), name(cx);
    int r = debugger_frame_at(e, frame, &object);
    if (r < 0)
        return r;
    double count = 0, named = 0;
    if (!debugger_get_object(cx, object, "arguments", &arguments))
        return -ENOMEM;
    if (!arguments)
        return 0;
    if (!debugger_get_number(cx, arguments, "length", &count) ||
        !debugger_get_object(cx, object, "callee", &callee) ||
        (callee && !debugger_get_object(cx, callee, "parameterNames", &names)) ||
        (names && !debugger_get_number(cx, names, "length", &named)))
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        Shown shown;
        std::string text = std::to_string(i);
        if (!JS_GetElement(cx, arguments, i, &value) || !debugger_show(e, value, false, &shown))
            return -ENOMEM;
        if (i < named && !JS_GetElement(cx, names, i, &name))
            return -ENOMEM;
        if (i < named && name.isString()) {
            JS::RootedString string(cx, name.toString());
            Text utf8;
            if (!to_utf8(cx, string, &utf8))
                return -ENOMEM;
            text.assign(utf8.chars.get(), utf8.length);
        }
        engine_named_value row = {text.c_str(), *shown.value(), false, false, false};
        each(userdata, &row);
    }
    return 0;
}

int audit_variable(engine *e, uint32_t frame, const char *name, bool with_preview,
                   void (*each)(void *, const struct engine_value *), void *userdata)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject object(cx);
    JS::RootedValue value(cx);
    int r = debugger_frame_at(e, frame, &object);
    if (r < 0)
        return r;
    const HitState &hit = e->debug->hit;
    KnownVariable *known = object == hit.frame ? slot_of(e, hit.script, hit.offset, name) : nullptr;
    bool is_known = known && known->script == hit.script && known->offset == hit.offset &&
                    strcmp(known->name.c_str(), name) == 0;
    if (known && !is_known) {
        known->forget();
        known->script = hit.script;
        known->offset = hit.offset;
    }
    if (!is_known || !read_known(e, object, known, &value)) {
        r = look_up(e, object, name, known, &value);
        if (r < 0)
            return r;
    }
    Shown shown;
    if (with_preview ? !debugger_show(e, value, false, &shown) : !debugger_read(e, value, &shown))
        return -ENOMEM;
    each(userdata, shown.value());
    return 0;
}

int audit_hit_value(engine *e, bool with_ref, void (*each)(void *, const struct engine_value *),
                    void *userdata)
{
    if (!e->debug->hit.has_value)
        return -ENOENT;
    Debugging debugging(e);
    JS::RootedValue value(e->cx, e->debug->hit.value);
    Shown shown;
    if (!debugging.ok() || !debugger_show(e, value, with_ref, &shown))
        return -ENOMEM;
    each(userdata, shown.value());
    return 0;
}

int audit_condition(engine *e, const char *expression, bool *ret_true, const char **ret_error)
{
    JSContext *cx = e->cx;
    HitState &hit = e->debug->hit;
    *ret_true = true;
    *ret_error = nullptr;
    Realm *realm = debugger_realm(e, hit.realm);
    if (!hit.reporting || !realm)
        return -ENOENT;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject frame(cx, hit.frame);
    JS::RootedValue value(cx);
    uint64_t id = realm->id;
    if (!frame && !debugger_attach(e, realm, NEED_ANSWER))
        return -ENOMEM;
    Completion completion = debugger_evaluate(e, frame, realm, expression, false, &value);
    bool no_memory = completion == Completion::FAILED;
    JS_ClearPendingException(cx);
    if ((realm = debugger_realm(e, id)))
        debugger_detach(e, realm, NEED_ANSWER);
    if (no_memory)
        return -ENOMEM;
    if (completion == Completion::RETURNED) {
        *ret_true = JS::ToBoolean(value);
        return 0;
    }
    e->debug->condition_error =
        completion == Completion::THREW ? describe_thrown(e, value) : "it was ended";
    *ret_error = e->debug->condition_error.c_str();
    return 0;
}

int audit_check_expression(engine *e, const char *expression, const char **ret_error)
{
    JSContext *cx = e->cx;
    /* Of a private name only its class could say whether it is one. */
    if (strchr(expression, '#'))
        return 0;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::CompileOptions options(cx);
    JS::SourceText<mozilla::Utf8Unit> source;
    if (!source.init(cx, expression, strlen(expression), JS::SourceOwnership::Borrowed))
        return -ENOMEM;
    if (JS::Compile(cx, options, source))
        return 0;
    JS::RootedValue error(cx);
    take_exception(cx, &error);
    e->debug->condition_error = "not a condition or expression: " + describe_error(cx, error);
    *ret_error = e->debug->condition_error.c_str();
    return -EINVAL;
}

} // namespace mozjs

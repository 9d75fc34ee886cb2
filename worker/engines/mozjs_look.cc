/*
 * mozjs_look.cc: looking at a VM that stands, and acting on it: frames, scopes, evaluations,
 * assignments, linear memory. What an object or a scope has is in mozjs_value.cc, sources are in
 * mozjs_source.cc.
 *
 * A scope that is shown is one or more environments of the engine: what `let` at the top of a
 * function declares and its parameters are two to the engine, and one to whoever reads the program.
 */

#include "mozjs_look.h"

#include <js/ArrayBufferMaybeShared.h>
#include <js/GCAPI.h>
#include <js/PropertyDescriptor.h>

#include <errno.h>
#include <string.h>

namespace mozjs
{

namespace
{

constexpr uint32_t MOST_FRAMES = 1 << 20;
constexpr const char *WHY_WASM = "WebAssembly locals cannot be set";
constexpr const char *WHY_READ_ONLY = "it is read-only";
constexpr const char *WHY_NO_VALUE = "it has no value here that could be replaced";
constexpr const char *WHY_PROXY = "a proxy stands in its scope";

/* Scopes */

struct ScopeRow {
    const char *kind = "";
    std::string function;
    bool has_this = false;
};

/** What scope an environment belongs to, seen from a frame. */
class ScopeWalk
{
  public:
    explicit ScopeWalk(engine *e, JS::HandleObject frame)
        : e(e), cx(e->cx), frame(cx, frame), script(cx)
    {
    }

    /** False with an exception. */
    bool init()
    {
        return debugger_get_text(cx, frame, "type", &frame_type) &&
               debugger_get_object(cx, frame, "script", &script);
    }

    /** The next environment, from the innermost out. */
    bool classify(JS::HandleObject environment, ScopeRow *ret)
    {
        std::string type, kind;
        JS::RootedObject callee(cx), parent(cx), outermost(cx);
        if (!debugger_get_text(cx, environment, "type", &type) ||
            !debugger_get_text(cx, environment, "scopeKind", &kind) ||
            !debugger_get_object(cx, environment, "parent", &parent))
            return false;
        if (parent && !debugger_get_object(cx, parent, "parent", &outermost))
            return false;
        if (type == "declarative" && !debugger_get_object(cx, environment, "calleeScript", &callee))
            return false;
        *ret = ScopeRow();
        if (starts_with(kind, "wasm")) {
            ret->kind = "wasm";
        } else if (type == "with") {
            ret->kind = "with";
        } else if (type == "object" || (kind.empty() && parent && !outermost)) {
            /* The second is that of `let` and `const` at the top level of scripts. */
            ret->kind = "global";
        } else if (kind == "module") {
            ret->kind = "module";
        } else if (is_function(kind)) {
            ret->kind = inside ? "local" : "closure";
            ret->has_this = inside && frame_type == "call";
            if (callee && !inside && !debugger_get_text(cx, callee, "displayName", &ret->function))
                return false;
            /* The environment of the parameters is the outermost of a function's own. */
            if (callee && callee == script)
                inside = false;
        } else if (kind == "eval" || kind == "strict eval") {
            ret->kind = inside && frame_type == "eval" ? "local" : "closure";
        } else {
            ret->kind = "block";
        }
        return true;
    }

    static bool is_function(const std::string &kind)
    {
        return kind == "function" || kind == "function lexical" || kind == "function body var";
    }

  private:
    engine *e;
    JSContext *cx;
    JS::RootedObject frame, script;
    std::string frame_type;
    bool inside = true; /**< so far, environments of the frame's own function */

    static bool starts_with(const std::string &text, const char *prefix)
    {
        return text.compare(0, strlen(prefix), prefix) == 0;
    }
};

/** Collects environments into scopes, and hands those over. */
class ScopeList
{
  public:
    ScopeList(engine *e, JS::HandleObject frame,
              void (*each)(void *userdata, const engine_scope *scope), void *userdata)
        : e(e), frame(e->cx, frame), members(e->cx), each(each), userdata(userdata)
    {
    }

    bool add(const ScopeRow &row, JS::HandleObject environment)
    {
        bool joins = members.length() > 0 && strcmp(row.kind, current.kind) == 0 &&
                     strcmp(row.kind, "block") != 0 && strcmp(row.kind, "with") != 0 && open;
        if (!joins && !flush())
            return false;
        if (!joins) {
            current = row;
            if (!members.append(JS::NullValue()))
                return false;
        }
        /* The inner parts of a function do not know whose they are. */
        if (!row.function.empty())
            current.function = row.function;
        if (row.has_this) {
            current.has_this = true;
            members[0].setObject(*frame);
        }
        return members.append(JS::ObjectValue(*environment));
    }

    /** The next environment belongs to another function. */
    void close() { open = false; }

    bool flush()
    {
        open = true;
        if (members.length() == 0)
            return true;
        JSContext *cx = e->cx;
        JS::RootedObject scope(cx, JS::NewArrayObject(cx, members));
        members.clear();
        uint32_t variables = 0;
        if (!scope || !look_count(e, scope, &variables))
            return false;
        if (variables == 0 && strcmp(current.kind, "block") == 0)
            return true;
        const engine_scope row = {current.kind, debugger_add_ref(e, scope), variables,
                                  current.function.c_str()};
        each(userdata, &row);
        return true;
    }

  private:
    engine *e;
    JS::RootedObject frame;
    JS::RootedValueVector members; /**< the frame if it has a `this`, then environments */
    ScopeRow current;
    bool open = true;
    void (*each)(void *, const engine_scope *);
    void *userdata;
};

bool list_scopes(engine *e, JS::HandleObject frame, ScopeList *list)
{
    JSContext *cx = e->cx;
    JS::RootedObject environment(cx);
    ScopeWalk walk(e, frame);
    if (!walk.init() || !debugger_get_object(cx, frame, "environment", &environment))
        return false;
    while (environment) {
        ScopeRow row;
        std::string kind;
        if (!walk.classify(environment, &row) ||
            !debugger_get_text(cx, environment, "scopeKind", &kind))
            return false;
        /* A function expression's own name, in a scope of its own. */
        bool name_only = kind == "named lambda" || kind == "strict named lambda";
        if (!name_only && !list->add(row, environment))
            return false;
        if (kind == "function")
            list->close();
        if (!debugger_get_object(cx, environment, "parent", &environment))
            return false;
    }
    return list->flush();
}

/**
 * Makes the engine know the frames outside of one: of a function's variables that no closure has
 * captured it knows nothing in an inner scope unless it has looked at the function's frame before.
 */
bool look_at_outer_frames(JSContext *cx, JS::HandleObject frame)
{
    constexpr int MOST_OUTER_FRAMES = 256;
    JS::RootedObject outer(cx, frame);
    for (int i = 0; outer && i < MOST_OUTER_FRAMES; i++) {
        if (!debugger_get_object(cx, outer, "older", &outer))
            return false;
    }
    return true;
}

/** The Debugger.Frame, to look into what can be seen from it. 0 or negative errno. */
int find_frame(engine *e, uint32_t index, JS::MutableHandleObject ret_frame)
{
    int r = debugger_frame_at(e, index, ret_frame);
    return r < 0 || look_at_outer_frames(e->cx, ret_frame) ? r : -ENOMEM;
}

/* Evaluation */

/**
 * An object literal as a whole is taken for one, and not for a block; so a console does it, too.
 * Compiled in the realm of the Debugger, where nothing of it runs.
 */
std::string as_expression(engine *e, const char *text)
{
    JSContext *cx = e->cx;
    std::string whole = text;
    size_t first = whole.find_first_not_of(" \t\r\n");
    if (first == std::string::npos || whole[first] != '{')
        return whole;
    whole = "(" + whole + "\n)";
    JS::CompileOptions options(cx);
    JS::SourceText<mozilla::Utf8Unit> source;
    bool ok = source.init(cx, whole.data(), whole.size(), JS::SourceOwnership::Borrowed) &&
              JS::Compile(cx, options, source);
    JS_ClearPendingException(cx);
    return ok ? whole : text;
}

int hand_over(engine *e, bool threw, JS::HandleValue value, bool with_ref,
              void (*each)(void *, bool, const engine_value *, const char *), void *userdata)
{
    Shown shown;
    std::string json;
    if (!debugger_show(e, value, with_ref, &shown))
        return -ENOMEM;
    bool has_json = !threw && look_json(e, value, &json);
    each(userdata, threw, shown.value(), has_json ? json.c_str() : nullptr);
    return 0;
}

/** Where an expression is evaluated: a frame, or NULL and a realm. 0 or negative errno. */
int find_place(engine *e, uint32_t index, uint64_t realm_id, JS::MutableHandleObject ret_frame,
               Realm **ret_realm)
{
    if (index != UINT32_MAX)
        return find_frame(e, index, ret_frame);
    *ret_realm = debugger_realm(e, realm_id);
    if (!*ret_realm)
        return -ENOENT;
    /* In this order: a realm whose last Debugger leaves it loses its compiled code. */
    return debugger_of_stop(e) && debugger_attach(e, *ret_realm, NEED_STOP) ? 0 : -ENOMEM;
}

Completion evaluate(engine *e, JS::HandleObject frame, Realm *realm, const char *expression,
                    bool audited, JS::MutableHandleValue ret_value)
{
    std::string text = as_expression(e, expression);
    e->debug->ran_out_of_memory = false;
    Completion end = debugger_evaluate(e, frame, realm, text.c_str(), audited, ret_value);
    /* What it has left is garbage, and neither the guest nor the next question has room for more.
     */
    if (e->debug->ran_out_of_memory)
        JS_GC(e->cx);
    return end;
}

/* Assignment */

struct Binding {
    explicit Binding(JSContext *cx) : environment(cx), object(cx), id(cx) {}

    JS::RootedObject environment; /**< if the engine has it in one of its own; else */
    JS::RootedObject object;      /**< the guest's, which a `with` or the global stands for */
    JS::RootedId id;              /**< of it */
    const char *why_not = nullptr;
};

/** Whether an object or one of its prototypes has a property, and why it cannot be set. */
bool find_property(engine *e, JS::HandleObject start, JS::HandleId id, bool *ret_found,
                   const char **ret_why_not)
{
    JSContext *cx = e->cx;
    JSAutoRealm realm(cx, e->prelude_global);
    JS::RootedObject holder(cx, start);
    JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
    *ret_found = false;
    while (holder) {
        if (js::IsScriptedProxy(holder)) {
            *ret_found = true;
            *ret_why_not = WHY_PROXY;
            return true;
        }
        if (!JS_GetOwnPropertyDescriptorById(cx, holder, id, &descriptor))
            return false;
        if (descriptor.isSome()) {
            *ret_found = true;
            bool sets = descriptor->isAccessorDescriptor() ? descriptor->setter() != nullptr
                                                           : descriptor->writable();
            *ret_why_not = sets ? nullptr : WHY_READ_ONLY;
            return true;
        }
        if (!JS_GetPrototype(cx, holder, &holder))
            return false;
    }
    return true;
}

bool find_in_environment(engine *e, JS::HandleObject environment, JS::HandleString name,
                         bool *ret_found, Binding *ret)
{
    JSContext *cx = e->cx;
    std::string type, kind;
    if (!debugger_get_text(cx, environment, "type", &type) ||
        !debugger_get_text(cx, environment, "scopeKind", &kind))
        return false;
    if (type != "declarative") {
        JS::RootedObject object(cx);
        if (!debugger_get_object(cx, environment, "object", &object))
            return false;
        ret->object = object ? debugger_referent(cx, object) : nullptr;
        return ret->object && JS_StringToId(cx, name, &ret->id) &&
               find_property(e, ret->object, ret->id, ret_found, &ret->why_not);
    }
    JS::RootedValue names(cx);
    JS::RootedString wanted(cx, name);
    if (!debugger_call(cx, environment, "names", JS::HandleValueArray::empty(), &names) ||
        !look_has_name(cx, names, wanted, ret_found))
        return false;
    if (!*ret_found)
        return true;
    ret->environment = environment;
    if (kind.compare(0, 4, "wasm") == 0) {
        ret->why_not = WHY_WASM;
        return true;
    }
    bool available = false, writable = false;
    if (!look_binding_state(e, environment, wanted, &available, &writable))
        return false;
    ret->why_not = !available ? WHY_NO_VALUE : writable ? nullptr : WHY_READ_ONLY;
    return true;
}

/** 0, -ENOENT, or -ENOMEM. */
int find_binding(engine *e, JS::HandleObject frame, JS::HandleString name, Binding *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject environment(cx);
    if (!debugger_get_object(cx, frame, "environment", &environment))
        return -EOPNOTSUPP;
    while (environment) {
        bool found = false;
        if (!find_in_environment(e, environment, name, &found, ret))
            return -ENOMEM;
        if (found)
            return 0;
        if (!debugger_get_object(cx, environment, "parent", &environment))
            return -ENOMEM;
    }
    return -ENOENT;
}

/** Sets it; false with an exception, or without one if the setter was ended. */
bool set_binding(engine *e, const Binding &binding, JS::HandleString name, JS::HandleValue value)
{
    JSContext *cx = e->cx;
    if (binding.environment) {
        JS::RootedValueArray<2> arguments(cx);
        JS::RootedValue ignored(cx);
        arguments[0].setString(name);
        arguments[1].set(value);
        return debugger_call(cx, binding.environment, "setVariable", arguments, &ignored);
    }
    JS::RootedValue raw(cx);
    if (!look_unwrap(e, value, &raw))
        return false;
    Evaluation evaluation(e, false);
    JSAutoRealm realm(cx, binding.object);
    return JS_WrapValue(cx, &raw) && JS_SetPropertyById(cx, binding.object, binding.id, raw);
}

/* Memory */

/** The WebAssembly.Memory of a frame's instance; NULL if it has none of that number. */
bool memory_of_frame(engine *e, JS::HandleObject frame, uint32_t index,
                     JS::MutableHandleObject ret_memory)
{
    JSContext *cx = e->cx;
    JS::RootedObject environment(cx);
    JS::RootedString name(cx, JS_NewStringCopyZ(cx, ("memory" + std::to_string(index)).c_str()));
    ret_memory.set(nullptr);
    if (!name || !debugger_get_object(cx, frame, "environment", &environment))
        return false;
    while (environment) {
        JS::RootedValue names(cx), argument(cx, JS::StringValue(name)), value(cx);
        std::string kind;
        bool found = false;
        if (!debugger_get_text(cx, environment, "scopeKind", &kind))
            return false;
        if (kind.compare(0, 4, "wasm") != 0)
            return true;
        if (!debugger_call(cx, environment, "names", JS::HandleValueArray::empty(), &names) ||
            !look_has_name(cx, names, name, &found))
            return false;
        if (found) {
            if (!debugger_call(cx, environment, "getVariable", JS::HandleValueArray(argument),
                               &value))
                return false;
            JS::RootedObject memory(cx, value.isObject() ? &value.toObject() : nullptr);
            ret_memory.set(memory ? debugger_referent(cx, memory) : nullptr);
            return true;
        }
        if (!debugger_get_object(cx, environment, "parent", &environment))
            return false;
    }
    return true;
}

/**
 * Its buffer as it is now. The guest may have redefined the getter that its realm has for this: the
 * prelude's realm has one that no guest has seen.
 */
bool buffer_of_memory(engine *e, JS::HandleObject memory, JS::MutableHandleObject ret_buffer)
{
    JSContext *cx = e->cx;
    JSAutoRealm realm(cx, e->prelude_global);
    JS::RootedObject object(cx, e->prelude_global);
    JS::RootedValue value(cx), receiver(cx, JS::ObjectValue(*memory));
    for (const char *name : {"WebAssembly", "Memory", "prototype"}) {
        if (!JS_GetProperty(cx, object, name, &value) || !value.isObject())
            return false;
        object = &value.toObject();
    }
    JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
    if (!JS_GetOwnPropertyDescriptor(cx, object, "buffer", &descriptor) || descriptor.isNothing() ||
        !descriptor->getter())
        return false;
    JS::RootedValue getter(cx, JS::ObjectValue(*descriptor->getter()));
    if (!JS::Call(cx, receiver, getter, JS::HandleValueArray::empty(), &value) || !value.isObject())
        return false;
    ret_buffer.set(&value.toObject());
    return true;
}

/** A frame of the WebAssembly that is the program, which may be hidden from the Debugger. */
bool is_frame_of_program(engine *e, uint32_t index)
{
    struct Wanted {
        engine *e;
        bool found;
    } wanted = {e, false};
    auto each = [](void *data, const engine_frame *frame) {
        Wanted *it = static_cast<Wanted *>(data);
        it->found = frame->kind == ENGINE_FRAME_WASM && it->e->path == frame->url;
    };
    bool more = false;
    return e->kind == ENGINE_SOURCE_WASM && stack_from(e, index, 1, each, &wanted, &more) == 0 &&
           wanted.found;
}

/** 0 and the memory, or negative errno. */
int find_memory(engine *e, uint32_t index, uint32_t memory, JS::MutableHandleObject ret_memory)
{
    JSContext *cx = e->cx;
    if (index == UINT32_MAX) {
        ret_memory.set(memory == 0 ? e->wasm_memory.get() : nullptr);
        return ret_memory ? 0 : -ENOENT;
    }
    JS::RootedObject frame(cx);
    int r = debugger_frame_at(e, index, &frame);
    if (r < 0) {
        /* The program's own memory needs no debugger. */
        if (r != -EOPNOTSUPP || memory != 0 || !e->wasm_memory || !is_frame_of_program(e, index))
            return r;
        ret_memory.set(e->wasm_memory);
        return 0;
    }
    std::string type;
    if (!debugger_get_text(cx, frame, "type", &type))
        return -ENOMEM;
    if (type != "wasmcall")
        return -EOPNOTSUPP;
    if (!memory_of_frame(e, frame, memory, ret_memory))
        return -ENOMEM;
    return ret_memory ? 0 : -ENOENT;
}

struct FrameCopy {
    explicit FrameCopy(const engine_frame &of) : frame(of), function(of.function), url(of.url) {}

    engine_frame frame;
    std::string function, url;
};

/** Of which source frames of WebAssembly are: their urls do not tell instances apart. */
bool name_sources(engine *e, uint32_t first, std::vector<FrameCopy> *frames)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return false;
    bool ok = true;
    int r = debugger_walk(e, first + frames->size(), [&](uint32_t at, JS::HandleObject frame) {
        JS::RootedObject script(cx), source(cx);
        if (frame && at >= first && at - first < frames->size() &&
            (*frames)[at - first].frame.kind == ENGINE_FRAME_WASM) {
            ok = debugger_get_object(cx, frame, "script", &script) &&
                 (!script || debugger_get_object(cx, script, "source", &source));
            if (ok && source)
                (*frames)[at - first].frame.source = debugger_source_id(e, source);
        }
        return ok && at + 1 < first + frames->size();
    });
    return ok && r == 0;
}

} // namespace

int look_frames(engine *e, uint32_t first, uint32_t max, void (*each)(void *, const engine_frame *),
                void *userdata, uint32_t *ret_next)
{
    std::vector<FrameCopy> frames;
    auto copy = [](void *data, const engine_frame *frame) {
        static_cast<std::vector<FrameCopy> *>(data)->emplace_back(*frame);
    };
    bool more = false, wasm = false;
    int r = first > MOST_FRAMES ? 0 : stack_from(e, first, max, copy, &frames, &more);
    if (r < 0)
        return r;
    for (const FrameCopy &frame : frames)
        wasm = wasm || frame.frame.kind == ENGINE_FRAME_WASM;
    if (wasm && e->debug->observe_wasm && !name_sources(e, first, &frames))
        return -ENOMEM;
    for (FrameCopy &copied : frames) {
        copied.frame.function = copied.function.c_str();
        copied.frame.url = copied.url.c_str();
        each(userdata, &copied.frame);
    }
    *ret_next = more && !frames.empty() ? first + static_cast<uint32_t>(frames.size()) : 0;
    return 0;
}

int look_scopes(engine *e, uint32_t index, void (*each)(void *, const engine_scope *),
                void *userdata)
{
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject frame(e->cx);
    int r = find_frame(e, index, &frame);
    if (r < 0)
        return r;
    ScopeList list(e, frame, each, userdata);
    return list_scopes(e, frame, &list) ? 0 : -ENOMEM;
}

int look_evaluate(engine *e, uint32_t index, uint64_t realm_id, const char *expression,
                  bool audited, bool with_ref,
                  void (*each)(void *, bool, const engine_value *, const char *), void *userdata)
{
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject frame(e->cx);
    JS::RootedValue value(e->cx);
    Realm *realm = nullptr;
    int r = find_place(e, index, realm_id, &frame, &realm);
    if (r < 0)
        return r;
    Completion end = evaluate(e, frame, realm, expression, audited, &value);
    if (end == Completion::TERMINATED)
        return -ECANCELED;
    if (end == Completion::FAILED)
        return -ENOMEM;
    return hand_over(e, end == Completion::THREW, value, with_ref, each, userdata);
}

int look_assign(engine *e, uint32_t index, const char *name, const char *expression,
                void (*each)(void *, bool, const engine_value *, const char *), void *userdata,
                const char **ret_why)
{
    JSContext *cx = e->cx;
    *ret_why = nullptr;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject frame(cx);
    JS::RootedString string(cx, from_utf8(cx, name, strlen(name)));
    int r = find_frame(e, index, &frame);
    if (r < 0)
        return r;
    Binding binding(cx);
    r = string ? find_binding(e, frame, string, &binding) : -ENOMEM;
    if (r < 0)
        return r;
    if (binding.why_not) {
        *ret_why = binding.why_not;
        return -EOPNOTSUPP;
    }

    JS::RootedValue value(cx);
    Completion end = evaluate(e, frame, nullptr, expression, false, &value);
    if (end == Completion::RETURNED && !set_binding(e, binding, string, value)) {
        if (!JS_IsExceptionPending(cx))
            return -ECANCELED;
        if (binding.environment) {
            *ret_why = WHY_READ_ONLY;
            return -EOPNOTSUPP;
        }
        JS::RootedValue error(cx);
        take_exception(cx, &error);
        if (!look_wrap(e, error, &value))
            return -ENOMEM;
        end = Completion::THREW;
    }
    if (end == Completion::TERMINATED)
        return -ECANCELED;
    if (end == Completion::FAILED)
        return -ENOMEM;
    return hand_over(e, end == Completion::THREW, value, true, each, userdata);
}

int look_memory(engine *e, uint32_t frame, uint32_t memory, uint64_t address, void *read,
                const void *write, size_t len, uint64_t *ret_memory_bytes)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject object(cx), buffer(cx);
    int r = find_memory(e, frame, memory, &object);
    if (r < 0)
        return r;
    size_t bytes = 0;
    bool shared = false;
    uint8_t *data = nullptr;
    if (!buffer_of_memory(e, object, &buffer) || !JS::IsArrayBufferObjectMaybeShared(buffer))
        return -ENOMEM;
    JS::GetArrayBufferMaybeSharedLengthAndData(buffer, &bytes, &shared, &data);
    *ret_memory_bytes = bytes;
    if (address > bytes || len > bytes - address)
        return -ERANGE;
    if (write && len > 0)
        memcpy(data + address, write, len);
    if (read && len > 0)
        memcpy(read, data + address, len);
    return 0;
}

void look_resume(engine *e)
{
    look_forget_texts(e);
    debugger_resume(e);
}

} // namespace mozjs

/*
 * mozjs.cc: the SpiderMonkey engine behind engine.h: the life of the VM, the ops that enter the
 * guest, and how a VM comes to its end.
 */

#include "mozjs_debugger.h"
#include "mozjs_module.h"

#include <js/GCAPI.h>
#include <js/Interrupt.h>
#include <js/JSON.h>
#include <js/String.h>
#include <js/Utility.h>

#include <errno.h>

#include <algorithm>

engine::engine(JSContext *context)
    : cx(context), global(cx), prelude_global(cx), console_functions(cx), inspect(cx),
      format_error(cx), process(cx), jobs(cx), unhandled(cx), cleanups(cx), async_tasks(cx),
      async_queue(cx), timers(cx), script(cx), main_record(cx), main_promise(cx), wasm_module(cx),
      wasm_exports(cx), wasm_memory(cx)
{
}

engine::~engine() = default;

namespace mozjs
{

namespace
{

constexpr int EXIT_FAILED = 1;
constexpr int EXIT_UNSETTLED_AWAIT = 13; /* as node */
constexpr int EXIT_TRAP = 134;
constexpr int EXIT_OOM = 137;

constexpr size_t MAX_QUEUED_MESSAGES = 4096;
constexpr size_t MAX_QUEUED_BYTES = 16 << 20;

const char TERMINATED[] = "it was terminated by a debugger";

/** Answers the calls whose promise nothing can settle any more: what would have was terminated. */
void end_lost_calls(engine *e)
{
    e->debug->calls_lost = false;
    if (e->calls.empty() || e->ending)
        return;
    JS_GC(e->cx);
    std::vector<uint64_t> lost;
    for (auto i = e->calls.begin(); i != e->calls.end();) {
        bool lives = i->fulfilled.unbarrieredGet() || i->rejected.unbarrieredGet();
        if (!lives)
            lost.push_back(i->id);
        i = lives ? std::next(i) : e->calls.erase(i);
    }
    for (uint64_t id : lost)
        e->ops->call_done(e->host, id, false, TERMINATED, sizeof(TERMINATED) - 1);
}

/** The VM thread is inside a [guest] op. */
class Guest
{
  public:
    explicit Guest(engine *e) : e(e), realm(e->cx, e->global)
    {
        /* A request that came while no guest code ran may have been consumed unseen. */
        if (e->guest_depth++ == 0) {
            debugger_renew_code(e);
            audit_tell_gone(e);
            e->debug->terminated = false;
            if (e->interrupted || e->debug->terminate_soon)
                JS_RequestInterruptCallback(e->cx);
        }
    }
    ~Guest()
    {
        if (--e->guest_depth > 0)
            return;
        if (e->debug->calls_lost)
            end_lost_calls(e);
        debugger_renew_code(e);
        audit_tell_gone(e);
    }
    Guest(const Guest &) = delete;
    Guest &operator=(const Guest &) = delete;

  private:
    engine *e;
    JSAutoRealm realm;
};

/** The engine calls this at a safe point, after a request or for reasons of its own. */
bool on_interrupt(JSContext *cx)
{
    engine *e = engine_of(cx);
    if (!e)
        return true;
    if (e->ending)
        return false;
    /* While the host holds this thread it may use ops that come here again. */
    if (e->guest_depth == 0 || e->at_safe_point)
        return true;
    /* Of the code that answers a question: see ~Debugging(). */
    if (e->inspecting > 0 && e->debug->evaluations == 0)
        return true;
    while (e->interrupted.exchange(false)) {
        e->at_safe_point = true;
        int outcome = e->ops->safe_point(e->host);
        e->at_safe_point = false;
        if (!check_host(e, outcome)) {
            /* What ends here may be a hook's condition, and not yet the evaluation around it. */
            if (e->debug->evaluations > 0) {
                e->interrupted = true;
                JS_RequestInterruptCallback(cx);
            }
            return false;
        }
    }
    e->debug->after_interrupt = true;
    /* A hook's condition that runs meanwhile is not meant: ~Evaluation() asks once more. */
    if (e->debug->terminate_soon & terminate_level(e)) {
        e->debug->terminate_soon &= ~terminate_level(e);
        if (e->debug->evaluations == 0)
            e->debug->terminated = e->debug->calls_lost = true;
        return false;
    }
    return true;
}

/* Messages */

bool parse_json(JSContext *cx, const char *json, size_t length, JS::MutableHandleValue ret_value)
{
    JS::RootedString text(cx, from_utf8(cx, json, length));
    return text && JS_ParseJSON(cx, text, ret_value);
}

int hand_over(engine *e, JSObject *handler, JS::HandleValue data)
{
    JSContext *cx = e->cx;
    JS::RootedValue callee(cx, JS::ObjectValue(*handler)),
        receiver(cx, JS::ObjectValue(*e->global));
    JS::RootedValue argument(cx), ignored(cx);
    JS::RootedObject event(cx, JS_NewPlainObject(cx));
    if (!event || !JS_DefineProperty(cx, event, "data", data, JSPROP_ENUMERATE))
        return fail(e);
    argument.setObject(*event);
    if (!JS::Call(cx, receiver, callee, JS::HandleValueArray(argument), &ignored))
        return fail(e);
    return drain(e);
}

/** Hands over the messages that have been waiting for a handler. */
int take_messages(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedValue data(cx);
    while (!e->messages.empty() && message_handler(e)) {
        std::string json = std::move(e->messages.front());
        e->messages.pop_front();
        e->message_bytes -= json.size();
        if (!parse_json(cx, json.data(), json.size(), &data))
            return fail(e);
        if (int outcome = hand_over(e, message_handler(e), data))
            return outcome;
    }
    return 0;
}

/* Calls from outside */

void answer_call(engine *e, uint64_t call_id, bool ok, const Text &text)
{
    e->ops->call_done(e->host, call_id, ok, text.chars.get(), text.length);
}

/** Answers a call with what it threw; false if the VM is ending. */
bool answer_call_error(engine *e, uint64_t call_id, JS::HandleValue error)
{
    JSContext *cx = e->cx;
    Text shown;
    JS::RootedObject object(cx, error.isObject() ? &error.toObject() : nullptr);
    if (object && !JS_ErrorFromException(cx, object) && inspect(e, error, &shown)) {
        answer_call(e, call_id, false, shown);
        return true;
    }
    if (e->ending)
        return false;
    JS_ClearPendingException(cx);
    std::string text = describe_error(cx, error);
    e->ops->call_done(e->host, call_id, false, text.data(), text.size());
    return true;
}

/** Answers a call with a value; false if the VM is ending. */
bool answer_call_value(engine *e, uint64_t call_id, JS::HandleValue value)
{
    JSContext *cx = e->cx;
    Text json;
    bool undefined = false;
    bool ok = e->kind == ENGINE_SOURCE_WASM ? wasm_result_json(cx, value, &json)
                                            : stringify(cx, value, &json, &undefined);
    if (ok && undefined)
        ok = copy_text(cx, "null", &json);
    if (ok) {
        answer_call(e, call_id, true, json);
        return true;
    }
    if (e->ending)
        return false;
    JS::RootedValue error(cx);
    take_exception(cx, &error);
    return answer_call_error(e, call_id, error);
}

/** The call whose promise a reaction is for, which has been settled; the id is in two halves in the
 * reserved slots. */
uint64_t take_call(engine *e, const JS::CallArgs &args)
{
    uint64_t id = static_cast<uint32_t>(remembered(args, 0).toInt32()) |
                  static_cast<uint64_t>(static_cast<uint32_t>(remembered(args, 1).toInt32())) << 32;
    auto call = std::find_if(e->calls.begin(), e->calls.end(),
                             [id](const auto &waiting) { return waiting.id == id; });
    if (call != e->calls.end())
        e->calls.erase(call);
    return id;
}

bool call_fulfilled(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    uint64_t call_id = take_call(engine_of(cx), args);
    args.rval().setUndefined();
    return answer_call_value(engine_of(cx), call_id, args.get(0));
}

bool call_rejected(JSContext *cx, unsigned argc, JS::Value *vp)
{
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    uint64_t call_id = take_call(engine_of(cx), args);
    args.rval().setUndefined();
    return answer_call_error(engine_of(cx), call_id, args.get(0));
}

JSObject *new_reaction(JSContext *cx, JSNative native, uint64_t call_id)
{
    JSFunction *function = js::NewFunctionWithReserved(cx, native, 1, 0, "");
    if (!function)
        return nullptr;
    JSObject *object = JS_GetFunctionObject(function);
    js::SetFunctionNativeReserved(object, 0, JS::Int32Value(static_cast<int32_t>(call_id)));
    js::SetFunctionNativeReserved(object, 1, JS::Int32Value(static_cast<int32_t>(call_id >> 32)));
    return object;
}

/** The function that a call from outside means, or undefined; false with an exception. */
bool find_function(engine *e, const char *name, JS::MutableHandleValue ret_function)
{
    JSContext *cx = e->cx;
    JS::RootedObject scope(cx);
    JS::RootedString key(cx, from_utf8(cx, name, strlen(name)));
    JS::RootedId id(cx);
    ret_function.setUndefined();
    if (!key || !JS_StringToId(cx, key, &id))
        return false;
    if (e->main_record) {
        JS::RootedObject record(cx, e->main_record);
        scope = JS::GetModuleNamespace(cx, record);
    } else if (e->kind == ENGINE_SOURCE_WASM) {
        scope = e->wasm_exports;
    } else {
        /* `let` and `const` at top level first: they hide the properties of the global. */
        scope = JS_GlobalLexicalEnvironment(e->global);
        bool found = false;
        if (!scope || !JS_HasPropertyById(cx, scope, id, &found))
            return false;
        if (!found)
            scope = e->global;
    }
    if (!scope)
        return !JS_IsExceptionPending(cx);
    bool found = false;
    if (!JS_HasPropertyById(cx, scope, id, &found) ||
        (found && !JS_GetPropertyById(cx, scope, id, ret_function)))
        return false;
    if (!ret_function.isObject() || !JS::IsCallable(&ret_function.toObject()))
        ret_function.setUndefined();
    return true;
}

bool parse_arguments(engine *e, const char *json, size_t length,
                     JS::RootedValueVector *ret_arguments)
{
    JSContext *cx = e->cx;
    JS::RootedValue value(cx);
    bool is_array = false;
    uint32_t count = 0;
    if (!parse_json(cx, json, length, &value) || !JS::IsArrayObject(cx, value, &is_array) ||
        !is_array)
        return false;
    JS::RootedObject array(cx, &value.toObject());
    if (!JS::GetArrayLength(cx, array, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!JS_GetElement(cx, array, i, &value) || !ret_arguments->append(value))
            return false;
    }
    return e->kind != ENGINE_SOURCE_WASM || wasm_call_arguments(cx, ret_arguments);
}

/** The engine asks this before it compiles code from a text, or WebAssembly. */
bool may_compile(JSContext *cx, JS::RuntimeCode kind, JS::HandleString)
{
    engine *e = engine_of(cx);
    if (e && kind == JS::RuntimeCode::WASM)
        e->ops->needs_watcher(e->host);
    return true;
}

constexpr JSSecurityCallbacks SECURITY = {may_compile, nullptr};

/* Ops */

int vm_new(const engine_config *config, engine **ret_engine)
{
    engine *e = take_prepared_engine();
    if (!e)
        return -EALREADY;
    if (!start_helper_threads(config->helper_threads))
        return -EAGAIN;
    JSContext *cx = e->cx;
    e->ops = config->host_ops;
    e->host = config->host;
    e->start_ns = e->ops->now_ns(e->host);
    /* Counts the threads again, too. */
    JS_SetGCParameter(cx, JSGC_MAX_HELPER_THREADS, compat::MAX_HELPER_THREADS);
    if (config->heap_bytes != 0)
        JS_SetGCParameter(
            cx, JSGC_MAX_BYTES,
            static_cast<uint32_t>(std::min<uint64_t>(config->heap_bytes, UINT32_MAX)));
    if (!JS_AddInterruptCallback(cx, on_interrupt)) {
        JS_ClearPendingException(cx);
        return -ENOMEM;
    }
    JS_SetSecurityCallbacks(cx, &SECURITY);
    e->debug = std::make_unique<Debug>(e);
    e->debug->observe_wasm = config->debug;
    JS::RootedObject global(cx, e->global);
    if (!debugger_add_realm(e, global, "main"))
        return -ENOMEM;
    await_helper_threads();
    *ret_engine = e;
    return 0;
}

int load(engine *e, const engine_program *program)
{
    e->kind = program->kind;
    return program->kind == ENGINE_SOURCE_WASM ? load_wasm(e, program) : load_program(e, program);
}

int run(engine *e)
{
    if (e->ending)
        return e->ending;
    Guest guest(e);
    int outcome;
    if (e->kind == ENGINE_SOURCE_WASM) {
        outcome = start_wasm(e);
    } else if (e->main_record) {
        outcome = start_module(e);
    } else {
        JS::RootedScript script(e->cx, e->script);
        outcome = script && JS_ExecuteScript(e->cx, script) ? drain(e) : fail(e);
    }
    e->started = true;
    return outcome;
}

int run_jobs(engine *e)
{
    if (e->ending)
        return e->ending;
    Guest guest(e);
    if (int outcome = drain(e))
        return outcome;
    if (int outcome = run_dispatched(e))
        return outcome;
    if (int outcome = run_ready_imports(e))
        return outcome;
    return take_messages(e);
}

bool jobs_ready(engine *e)
{
    return !e->ending && (dispatched_ready(e) || !e->ready_imports.empty() ||
                          (e->started && !e->messages.empty() && message_handler(e)));
}

int fire(engine *e, uint64_t id)
{
    if (e->ending)
        return e->ending;
    Guest guest(e);
    return fire_timer(e, id);
}

int deliver(engine *e, const char *json, size_t length)
{
    if (e->ending)
        return e->ending;
    JSContext *cx = e->cx;
    Guest guest(e);
    JS::RootedValue data(cx);
    if (!parse_json(cx, json, length, &data)) {
        if (JS_IsThrowingOutOfMemory(cx))
            return fail(e);
        JS_ClearPendingException(cx);
        return -EINVAL;
    }
    JSObject *handler = e->started && e->messages.empty() ? message_handler(e) : nullptr;
    if (handler)
        return hand_over(e, handler, data);
    if (e->messages.size() >= MAX_QUEUED_MESSAGES || e->message_bytes + length > MAX_QUEUED_BYTES)
        return -ENOBUFS;
    e->messages.emplace_back(json, length);
    e->message_bytes += length;
    return 0;
}

int call(engine *e, uint64_t call_id, const char *function, const char *args_json,
         size_t args_length)
{
    if (e->ending)
        return e->ending;
    JSContext *cx = e->cx;
    Guest guest(e);
    JS::RootedValue callee(cx), result(cx), error(cx);
    if (!find_function(e, function, &callee)) {
        /* A name that is exported but has no value yet. */
        take_exception(cx, &error);
        return answer_call_error(e, call_id, error) ? 0 : fail(e);
    }
    if (callee.isUndefined())
        return -ENOENT;
    JS::RootedValueVector arguments(cx);
    if (!parse_arguments(e, args_json, args_length, &arguments)) {
        JS_ClearPendingException(cx);
        return -EINVAL;
    }

    if (!JS::Call(cx, JS::UndefinedHandleValue, callee, arguments, &result)) {
        if (e->debug->terminated && !e->ending) {
            e->debug->terminated = false;
            e->ops->call_done(e->host, call_id, false, TERMINATED, sizeof(TERMINATED) - 1);
            return drain(e);
        }
        if (e->ending || !JS_IsExceptionPending(cx))
            return fail(e);
        take_exception(cx, &error);
        return answer_call_error(e, call_id, error) ? drain(e) : fail(e);
    }
    if (result.isObject()) {
        JS::RootedObject promise(cx, &result.toObject());
        if (JS::IsPromiseObject(promise)) {
            JS::RootedObject fulfilled(cx, new_reaction(cx, call_fulfilled, call_id));
            JS::RootedObject rejected(cx, new_reaction(cx, call_rejected, call_id));
            if (!fulfilled || !rejected ||
                !JS::AddPromiseReactions(cx, promise, fulfilled, rejected))
                return fail(e);
            e->calls.emplace_back(call_id, fulfilled, rejected);
            return drain(e);
        }
    }
    if (!answer_call_value(e, call_id, result))
        return fail(e);
    return drain(e);
}

bool pending(engine *e)
{
    return !e->ending && (e->open_imports != 0 || !e->fetches.empty() || async_tasks_pending(e) ||
                          dispatched_ready(e) || message_handler(e));
}

bool ready(engine *e)
{
    return e->started;
}

int exit_code(engine *e)
{
    int code = process_exit_code(e);
    return code == 0 && main_module_waits(e) ? EXIT_UNSETTLED_AWAIT : code;
}

engine_exit exit_info(engine *e)
{
    return {e->exit_code, e->detail.empty() ? nullptr : e->detail.c_str()};
}

void interrupt(engine *e)
{
    e->interrupted = true;
    JS_RequestInterruptCallback(e->cx);
}

/* Two atomic stores. It reaches every loop and call of JavaScript, but not WebAssembly, nor a
 * regular expression that backtracks: for those the engine has to take locks. */
void interrupt_here(engine *e)
{
    e->interrupted = true;
    JS_RequestInterruptCallbackCanWait(e->cx);
}

engine *vm_free(engine *e)
{
    if (!e)
        return nullptr;
    JSContext *cx = e->cx;
    if (!e->ending)
        e->ending = ENGINE_TERMINATED;
    close_dispatch(e);
    JS::ShutdownAsyncTasks(cx);
    clear_job_callbacks(e);
    JS_SetContextPrivate(cx, nullptr);
    delete e; /* roots go before their context */
    JS_DestroyContext(cx);
    JS_ShutDown();
    stop_helper_threads();
    return nullptr;
}

} // namespace

void calls_update_weak(engine *e, JSTracer *trc)
{
    for (auto &call : e->calls)
        for (JS::Heap<JSObject *> *reaction : {&call.fulfilled, &call.rejected})
            if (reaction->unbarrieredGet())
                JS_UpdateWeakPointerAfterGC(trc, reaction);
}

bool end_vm(engine *e, int outcome, int exit_code)
{
    if (e->debug && e->debug->evaluations > 0)
        return throw_error(e->cx, "nothing that a debugger evaluates can end the program");
    if (!e->ending) {
        e->ending = outcome;
        e->exit_code = exit_code;
    }
    JS_ClearPendingException(e->cx);
    return false;
}

bool host_refused(engine *e, int outcome)
{
    if (outcome == -EWOULDBLOCK)
        return throw_error(e->cx, "what a debugger evaluates cannot wait");
    return e->debug->evaluations == 0 && end_vm(e, ENGINE_TERMINATED, 0);
}

int fail(engine *e)
{
    JSContext *cx = e->cx;
    if (e->debug->terminated && !e->ending && !JS_IsExceptionPending(cx)) {
        e->debug->terminated = false;
        return 0;
    }
    if (e->ending || !JS_IsExceptionPending(cx)) {
        end_vm(e, ENGINE_TERMINATED, 0);
        return e->ending;
    }
    bool out_of_memory = JS_IsThrowingOutOfMemory(cx);
    JS::RootedValue value(cx);
    take_exception(cx, &value);
    return fail_with(e, value, out_of_memory);
}

int fail_with(engine *e, JS::HandleValue value, bool out_of_memory)
{
    JSContext *cx = e->cx;
    if (e->ending)
        return e->ending;
    /* Of a rejection only the value is known: the engine's string, or a guest's with that text. */
    if (!out_of_memory && e->oom_seen && value.isString()) {
        JS::RootedString string(cx, value.toString());
        if (!JS_StringEqualsAscii(cx, string, "out of memory", &out_of_memory))
            JS_ClearPendingException(cx);
    }
    e->detail = out_of_memory ? "out of memory" : describe_error(cx, value);
    if (out_of_memory) {
        end_vm(e, ENGINE_OOM, EXIT_OOM);
        return e->ending;
    }

    Text formatted;
    std::string text;
    if (format_uncaught(e, value, &formatted))
        text.assign(formatted.chars.get(), formatted.length);
    if (e->ending)
        return e->ending;
    JS_ClearPendingException(cx);
    if (text.empty())
        text = "Uncaught " + describe_error(cx, value);
    /* The stack of a syntax error leads to whoever loaded the source, not into it. */
    std::string place = is_syntax_error(cx, value) ? place_of_error(cx, value) : "";
    if (text.find(place) == std::string::npos)
        text += "\n    at " + place;
    int outcome =
        e->ops->write(e->host, ENGINE_STDERR, ENGINE_LEVEL_ERROR, text.data(), text.size());
    if (check_host(e, outcome))
        end_vm(e, ENGINE_FAILED, e->kind == ENGINE_SOURCE_WASM ? EXIT_TRAP : EXIT_FAILED);
    return e->ending;
}

} // namespace mozjs

extern "C" const struct engine_ops *engine_ops_get(void)
{
    using namespace mozjs;
    constexpr size_t NAME_LENGTH = sizeof("JavaScript-C") - 1;
    static const struct engine_ops OPS = {
        "mozjs",    JS_GetImplementationVersion() + NAME_LENGTH,
        init,       vm_new,
        load,       import_answer,
        run,        run_jobs,
        jobs_ready, fire,
        deliver,    call,
        pending,    ready,
        exit_code,  exit_info,
        interrupt,  interrupt_here,
        gc,         census,
        stack,      &DEBUG_OPS,
        vm_free,
    };
    return &OPS;
}

/*
 * mozjs_internal.h: what the files of the SpiderMonkey adapter share.
 *
 *   mozjs.cc         the ops table: entering the guest, calls, messages, outcomes
 *   mozjs_init.cc    the zygote's half: engine, context, realms, helper threads
 *   mozjs_job.cc     microtasks, rejections, tasks that helper threads finish
 *   mozjs_global.cc  what the guest finds on its global
 *   mozjs_console.cc the prelude's realm, and what it needs from native code
 *   mozjs_module.cc  modules and dynamic imports
 *   mozjs_wasm.cc    WebAssembly programs and their WASI imports
 *   mozjs_inspect.cc what a parked VM can be asked: collection, census, stack
 *   mozjs_debugger.cc Debugger objects, realms: what the next two stand on
 *   mozjs_audit.cc   auditors: what happens is reported
 *   mozjs_preview.cc a value in one line
 *   mozjs_look.cc    frames, scopes, evaluations, memory
 *   mozjs_value.cc   what scopes and objects have
 *   mozjs_source.cc  sources
 *   mozjs_text.cc    strings, and errors as text
 *
 * One process has one context and one VM: the engine object exists from `init` on, without a host,
 * and `vm_new` gives it one. Natives find it through their context.
 *
 * How things fail: a function that returns bool and takes a context follows the engine's custom:
 * false means that an exception is pending, or that the VM is ending (`ending` is set and nothing
 * is pending, which no guest code can catch). A function that returns int returns 0 or an
 * engine_outcome.
 */
#pragma once

#include "../engine.h"

#include "mozjs_compat.h"

#include <js/Array.h>
#include <js/CallAndConstruct.h>
#include <js/CompilationAndEvaluation.h>
#include <js/ErrorReport.h>
#include <js/Exception.h>
#include <js/GCVector.h>
#include <js/Promise.h>
#include <js/PropertyAndElement.h>
#include <js/SourceText.h>
#include <js/UniquePtr.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace mozjs
{

struct Debug;
struct Module;
struct ModuleLoad;

/** The microtask queue. Our own, because the engine's goes on with the next job when the VM is
 * ending. */
class JobQueue final : public JS::JobQueue
{
  public:
    explicit JobQueue(JSContext *cx) : jobs(cx) {}

    JSObject *getIncumbentGlobal(JSContext *cx) override;
    bool enqueuePromiseJob(JSContext *cx, JS::HandleObject promise, JS::HandleObject job,
                           JS::HandleObject allocation_site, JS::HandleObject global) override;
    void runJobs(JSContext *cx) override;
    bool empty() const override { return head == jobs.length(); }

    bool push(JSContext *cx, JS::HandleObject job);
    /** The oldest job; the queue must not be empty. */
    JSObject *take();

  protected:
    /* Debugger hooks are called with a queue of their own, and run it after. What is in it then is
     * guest code that a debugger's evaluation has left, which must wait: it goes to the end of the
     * guest's queue. */
    js::UniquePtr<SavedJobQueue> saveJobQueue(JSContext *cx) override;

  private:
    class Saved;

    JS::PersistentRootedObjectVector jobs;
    size_t head = 0; /**< jobs before it have been taken */
};

/** UTF-8 that the engine allocated. */
struct Text {
    JS::UniqueChars chars;
    size_t length = 0;
};

} // namespace mozjs

struct engine {
    explicit engine(JSContext *context);
    ~engine();

    JSContext *const cx;
    const engine_host_ops *ops = nullptr; /**< NULL until vm_new */
    void *host = nullptr;
    uint64_t start_ns = 0; /**< zero of performance.now() */

    /* Interrupts */
    std::atomic<bool> interrupted{false}; /**< somebody wants a safe point */
    bool at_safe_point = false;
    unsigned guest_depth = 0; /**< [guest] ops under way */

    /* How the VM ends */
    int ending = 0; /**< engine_outcome; once set, no guest code runs */
    int exit_code = 0;
    std::string detail;
    bool oom_seen = false;
    const char *host_call = nullptr; /**< the host's function that the VM is in, for stacks */
    unsigned inspecting = 0; /**< inspections under way: running out of memory is not the guest's */

    /** Auditors and debugging (mozjs_debugger.h); there from vm_new on. */
    std::unique_ptr<mozjs::Debug> debug;

    /* Realms */
    JS::PersistentRootedObject global;
    JS::PersistentRootedObject prelude_global;
    JS::PersistentRootedObject console_functions; /**< the prelude's, each taking an array */
    JS::PersistentRootedObject inspect;
    JS::PersistentRootedObject format_error;
    JS::PersistentRootedObject process;

    /* Jobs */
    mozjs::JobQueue jobs;
    JS::PersistentRootedObjectVector unhandled;   /**< promises rejected, and so far not handled */
    JS::PersistentRootedObjectVector cleanups;    /**< callbacks of finalization registries */
    JS::PersistentRootedObjectVector async_tasks; /**< promises that helper threads settle */
    JS::PersistentRootedObjectVector async_queue; /**< such tasks that have not been started */
    std::mutex dispatched_lock;
    std::vector<JS::Dispatchable *> dispatched; /**< under dispatched_lock */
    bool dispatch_closed = false;               /**< under dispatched_lock */

    /* Calls from outside that wait for a promise. Weak: what can still settle it keeps these. */
    struct WaitingCall {
        uint64_t id;
        JS::Heap<JSObject *> fulfilled, rejected;

        WaitingCall(uint64_t call, JSObject *on_fulfilled, JSObject *on_rejected)
            : id(call), fulfilled(on_fulfilled), rejected(on_rejected)
        {
        }
    };
    std::deque<WaitingCall> calls;

    /* Timers: a Map from id to [callback, repeats, ...arguments] */
    JS::PersistentRootedObject timers;
    uint64_t last_timer = 0;

    /* Messages that arrived before there was an onmessage */
    std::deque<std::string> messages;
    size_t message_bytes = 0;

    /* The program */
    engine_source_kind kind = ENGINE_SOURCE_SCRIPT_OR_MODULE;
    std::string path;
    bool started = false;
    JS::PersistentRootedScript script;       /**< of a script */
    JS::PersistentRootedObject main_record;  /**< of a module */
    JS::PersistentRootedObject main_promise; /**< of a module that has been started */
    JS::PersistentRootedObject wasm_module;  /**< of a WebAssembly program */
    const uint8_t *wasm_text = nullptr;      /**< the caller's; NULL: it is none */
    size_t wasm_text_bytes = 0;
    JS::PersistentRootedObject wasm_exports;
    JS::PersistentRootedObject wasm_memory;

    /* Modules; the engine knows each by its index here (its "private value") */
    std::vector<std::unique_ptr<mozjs::Module>> modules;
    std::unordered_map<std::string, mozjs::Module *> modules_by_path;
    std::unordered_map<uint64_t, mozjs::Module *> fetches; /**< by import id */
    std::deque<std::shared_ptr<mozjs::ModuleLoad>> ready_imports;
    uint64_t last_import = 0;
    size_t open_imports = 0; /**< import() calls that have not been finished */
};

namespace mozjs
{

/** Called inside a collection, for each group of zones that is swept. */
void calls_update_weak(engine *e, JSTracer *trc);

inline engine *engine_of(JSContext *cx)
{
    return static_cast<engine *>(JS_GetContextPrivate(cx));
}

/** The guest has called a function of the host's that may take its time. */
class HostCall
{
  public:
    HostCall(engine *e, const char *name) : e(e) { e->host_call = name; }
    ~HostCall() { e->host_call = nullptr; }
    HostCall(const HostCall &) = delete;
    HostCall &operator=(const HostCall &) = delete;

  private:
    engine *e;
};

/** What sources of ours say of where they come from. */
constexpr const char *OWN_INTRODUCTION = "stillpoint";

/* mozjs.cc */

/** The VM ends: unwinds everything, uncatchably. Returns false for the native to return. */
bool end_vm(engine *e, int outcome, int exit_code);
/** What another answer of the host's than 0 means: the VM ends, or what a debugger evaluates does;
 * or that would have to wait, and there is an exception. */
bool host_refused(engine *e, int outcome);
/** True if the host's answer says to go on. */
inline bool check_host(engine *e, int outcome)
{
    return outcome == 0 || host_refused(e, outcome);
}
/** The outcome of guest code that returned false: reports the exception that nothing caught. */
int fail(engine *e);
/** The same for a value that was thrown. */
int fail_with(engine *e, JS::HandleValue value, bool out_of_memory);

/* mozjs_init.cc */

/** engine_ops.init */
int init();
/** The engine object that `init` prepared, NULL if it was not called; `vm_new` takes it. */
engine *take_prepared_engine();
bool start_helper_threads(unsigned count);
/** Returns when all that were started have reached our code: until then a thread makes system calls
 * of its own, which a worker is not granted. */
void await_helper_threads();
void stop_helper_threads();
/** A new global with only standard classes, in the compartment of `neighbour` or one of its own. */
JSObject *new_global(JSContext *cx, JSObject *neighbour, bool announce);

/* mozjs_job.cc */

void set_job_callbacks(engine *e);
void clear_job_callbacks(engine *e);
/** Runs microtasks until none is left, then looks at rejections that nothing handled. */
int drain(engine *e);
/** Runs what arrived from elsewhere: finished tasks of helper threads, finalizers. */
int run_dispatched(engine *e);
bool dispatched_ready(engine *e);
/** True while a helper thread works on something that will settle a promise. */
bool async_tasks_pending(engine *e);
void close_dispatch(engine *e);

/* mozjs_global.cc */

bool define_guest_globals(engine *e, JS::HandleObject global);
/** What only the program's first realm has: process, messages. */
bool define_main_globals(engine *e, JS::HandleObject global);
bool set_process_arguments(engine *e, const engine_program *program);
int fire_timer(engine *e, uint64_t id);
/** Goes on with asynchronous compilations when the one before is through. */
bool start_queued_wasm(engine *e);
/** The guest's message handler, or NULL. Runs no guest code. */
JSObject *message_handler(engine *e);
/** process.exitCode, without running guest code. */
int process_exit_code(engine *e);
/** JSON.stringify; `undefined` where JSON has nothing for the value. */
bool stringify(JSContext *cx, JS::HandleValue value, Text *ret_json, bool *ret_undefined);

/* mozjs_console.cc */

bool make_prelude(engine *e);
bool define_console(engine *e, JS::HandleObject global);
/** A value as the console shows it, and one that nobody caught; may run guest code. */
bool inspect(engine *e, JS::HandleValue value, Text *ret_text);
bool format_uncaught(engine *e, JS::HandleValue value, Text *ret_text);

/* mozjs_module.cc */

void set_module_hooks(engine *e);
/** Compiles the program as a script or a module and ends, now or later, in host->loaded. */
int load_program(engine *e, const engine_program *program);
int import_answer(engine *e, uint64_t import_id, const char *error, const uint8_t *text,
                  size_t text_bytes);
int start_module(engine *e);
/** Goes on with import() calls whose modules are there. */
int run_ready_imports(engine *e);
/** The main module is waiting for a promise of its top level. */
bool main_module_waits(engine *e);

/* mozjs_wasm.cc */

int load_wasm(engine *e, const engine_program *program);
int start_wasm(engine *e);
/** The arguments of a call from outside, as WebAssembly's conversions take them. */
bool wasm_call_arguments(JSContext *cx, JS::MutableHandleValueVector arguments);
/** JSON of what a WebAssembly function returned. */
bool wasm_result_json(JSContext *cx, JS::HandleValue value, Text *ret_json);

/* mozjs_inspect.cc: see engine_ops */

int gc(engine *e, uint64_t *ret_before_bytes, uint64_t *ret_after_bytes);
int census(engine *e, void (*each)(void *userdata, const engine_class *row), void *userdata);
int stack(engine *e, size_t max_frames, void (*each)(void *userdata, const engine_frame *frame),
          void *userdata, bool *ret_truncated);
/** The same from a frame on that is not the innermost. */
int stack_from(engine *e, size_t first, size_t max_frames,
               void (*each)(void *userdata, const engine_frame *frame), void *userdata,
               bool *ret_truncated);

/* mozjs_text.cc */

bool to_utf8(JSContext *cx, JS::HandleString string, Text *ret_text);
bool copy_text(JSContext *cx, const std::string &string, Text *ret_text);
/** The engine takes each byte of a file's name for a character: makes the name of what it shows. */
void restore_file_name(std::string *name);
/** Malformed UTF-8 becomes U+FFFD. */
JSString *from_utf8(JSContext *cx, const char *text, size_t length);
inline JSString *from_utf8(JSContext *cx, const std::string &text)
{
    return from_utf8(cx, text.data(), text.size());
}
/** Throws a TypeError, an Error. */
bool throw_type_error(JSContext *cx, const std::string &message);
bool throw_error(JSContext *cx, const std::string &message);
/** "Error: message", or something near it for values that are no errors; runs no guest code. */
std::string describe_error(JSContext *cx, JS::HandleValue value);
/** The same with "file:line:col: " before it where a place is known. One line. */
std::string describe_error_with_place(JSContext *cx, JS::HandleValue value);
/** "file:line:col" of an error, or empty. */
std::string place_of_error(JSContext *cx, JS::HandleValue value);
bool is_syntax_error(JSContext *cx, JS::HandleValue value);
/** Takes the pending exception away; undefined if it cannot be had. */
void take_exception(JSContext *cx, JS::MutableHandleValue ret_value);

/** Defines a function that remembers a value (reserved slot 0). */
JSFunction *define_function(JSContext *cx, JS::HandleObject object, const char *name,
                            JSNative native, unsigned arity, unsigned attributes,
                            JS::HandleValue remembered);
/** To be read before the result is set: the result takes the callee's place. */
inline const JS::Value &remembered(const JS::CallArgs &args, size_t slot = 0)
{
    return js::GetFunctionNativeReserved(&args.callee(), slot);
}

} // namespace mozjs

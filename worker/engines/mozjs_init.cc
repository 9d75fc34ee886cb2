/*
 * mozjs_init.cc: what happens once, in the zygote, and the threads that each worker starts.
 *
 * After `init` the context has its self-hosted code, the console's realm and the guest's global,
 * all without a second thread, so that a fork is a ready VM. Nothing here may draw a random number
 * for the guest (Math.random must be seeded after the fork), and nothing may collect garbage: a
 * collection hands tasks to helper threads, and there are none yet.
 */

#include "mozjs_internal.h"

#include <js/ContextOptions.h>
#include <js/GCAPI.h>
#include <js/GlobalObject.h>
#include <js/RealmOptions.h>
#include <js/Stack.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include <algorithm>

namespace mozjs
{

namespace
{

constexpr size_t HELPER_STACK_BYTES = 2 << 20;
constexpr size_t HELPER_STACK_SLOP = 256 << 10; /**< for what the engine's quota does not count */
constexpr size_t DEFAULT_STACK_BYTES = 8 << 20;

/** Threads that run the engine's background tasks, and the count of tasks nobody has taken yet. */
struct HelperPool {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t work = PTHREAD_COND_INITIALIZER;
    pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    size_t waiting_tasks = 0;
    unsigned running = 0;
    bool stopping = false;
    std::vector<pthread_t> threads; /**< VM thread only */
};

HelperPool pool;
engine *prepared;

/** Called on any thread, under a lock of the engine's. */
void task_available(JS::DispatchReason)
{
    pthread_mutex_lock(&pool.lock);
    pool.waiting_tasks++;
    pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);
}

void *helper_main(void *)
{
    pthread_mutex_lock(&pool.lock);
    pool.running++;
    pthread_cond_signal(&pool.changed);
    for (;;) {
        while (pool.waiting_tasks == 0 && !pool.stopping)
            pthread_cond_wait(&pool.work, &pool.lock);
        if (pool.waiting_tasks == 0)
            break;
        pool.waiting_tasks--;
        pthread_mutex_unlock(&pool.lock);
        compat::run_helper_task();
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return nullptr;
}

const JSClass GLOBAL_CLASS = {
    "global", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr, nullptr};

bool evaluate(JSContext *cx, const char *code, JS::MutableHandleValue ret_value)
{
    JS::CompileOptions options(cx);
    options.setFileAndLine("stillpoint:init", 1).setHideScriptFromDebugger();
    JS::SourceText<mozilla::Utf8Unit> source;
    return source.init(cx, code, strlen(code), JS::SourceOwnership::Borrowed) &&
           JS::Evaluate(cx, options, source, ret_value);
}

/** The time zone comes from files, which a sandboxed worker could not open at its first date. */
bool touch_time_zone(JSContext *cx)
{
    JS::RootedValue ignored(cx);
    return evaluate(cx, "new Date(0).toString()", &ignored);
}

/**
 * Lets the console format something, in the realm of the prelude and for nobody to see: its
 * functions are compiled at their first call, and each worker would pay for that with its first
 * line of output.
 */
bool warm_up_console(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedObject functions(cx, e->console_functions);
    JS::RootedValue arguments(cx), ignored(cx);
    return evaluate(cx, "['%s', 'text', 1, {list: [true, null, 0.5, 'x']}]", &arguments) &&
           JS_CallFunctionName(cx, functions, "log", JS::HandleValueArray(arguments), &ignored);
}

bool make_realms(engine *e)
{
    JSContext *cx = e->cx;
    e->global = new_global(cx, nullptr, true);
    if (!e->global)
        return false;
    {
        JSAutoRealm realm(cx, e->global);
        if (!JS::InitRealmStandardClasses(cx))
            return false;
    }
    e->prelude_global = new_global(cx, e->global, false);
    if (!e->prelude_global)
        return false;
    {
        JSAutoRealm realm(cx, e->prelude_global);
        if (!JS::InitRealmStandardClasses(cx) || !touch_time_zone(cx) || !make_prelude(e) ||
            !warm_up_console(e))
            return false;
        e->timers = JS::NewMapObject(cx);
        if (!e->timers)
            return false;
    }
    JSAutoRealm realm(cx, e->global);
    JS::RootedObject global(cx, e->global);
    return define_guest_globals(e, global) && define_main_globals(e, global);
}

/** A quarter of the stack is left to the host, and to native code that heeds no quota. */
size_t stack_quota()
{
    size_t bytes = DEFAULT_STACK_BYTES;
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = std::min<size_t>(bytes, limit.rlim_cur);
    return bytes / 4 * 3;
}

} // namespace

JSObject *new_global(JSContext *cx, JSObject *neighbour, bool announce)
{
    JS::RealmOptions options;
    options.creationOptions()
        .setSharedMemoryAndAtomicsEnabled(true)
        .setWeakRefsEnabled(JS::WeakRefSpecifier::EnabledWithoutCleanupSome)
        .setPropertyErrorMessageFixEnabled(true);
    if (neighbour)
        options.creationOptions().setExistingCompartment(neighbour);
    else
        options.creationOptions().setNewCompartmentAndZone();
    return JS_NewGlobalObject(cx, &GLOBAL_CLASS, nullptr,
                              announce ? JS::FireOnNewGlobalHook : JS::DontFireOnNewGlobalHook,
                              options);
}

bool start_helper_threads(unsigned count)
{
    count = std::clamp<unsigned>(count, compat::MIN_HELPER_THREADS, compat::MAX_HELPER_THREADS);

    /* Signals are the main thread's affair; faults stay with the thread that causes them. */
    sigset_t blocked, previous;
    sigfillset(&blocked);
    for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS})
        sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &previous);

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, HELPER_STACK_BYTES + HELPER_STACK_SLOP);
    for (unsigned i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, helper_main, nullptr) != 0)
            break;
        pool.threads.push_back(thread);
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);

    if (pool.threads.size() < count) {
        stop_helper_threads();
        return false;
    }
    compat::set_helper_pool(task_available, count, HELPER_STACK_BYTES);
    return true;
}

void await_helper_threads()
{
    pthread_mutex_lock(&pool.lock);
    while (pool.running < pool.threads.size())
        pthread_cond_wait(&pool.changed, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

void stop_helper_threads()
{
    pthread_mutex_lock(&pool.lock);
    pool.stopping = true;
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    for (pthread_t thread : pool.threads)
        pthread_join(thread, nullptr);
    pool.threads.clear();
}

engine *take_prepared_engine()
{
    engine *e = prepared;
    prepared = nullptr;
    return e;
}

int init()
{
    if (prepared)
        return -EALREADY;
    /* Without a limit malloc asks for the number of processors when the threads want arenas. */
    mallopt(M_ARENA_MAX, compat::MAX_HELPER_THREADS);

    if (!JS_Init())
        return -ENOMEM;
    compat::set_helper_pool(task_available, compat::MAX_HELPER_THREADS, HELPER_STACK_BYTES);

    JSContext *cx = JS_NewContext(UINT32_MAX);
    if (!cx)
        return -ENOMEM;
    JS_SetNativeStackQuota(cx, stack_quota());
    compat::set_jit_options(cx);
    /* It would run as WebAssembly, which nobody is told of: see interrupt_here. As plain JavaScript
     * it computes the same. */
    JS::ContextOptionsRef(cx).setAsmJS(false);
    /* As the shell has it; the default is to collect everything in one go. */
    JS_SetGCParameter(cx, JSGC_INCREMENTAL_GC_ENABLED, 1);
    JS_SetGCParameter(cx, JSGC_SLICE_TIME_BUDGET_MS, 5);
    JS_SetGCParameter(cx, JSGC_PER_ZONE_GC_ENABLED, 1);

    prepared = new engine(cx);
    JS_SetContextPrivate(cx, prepared);
    set_job_callbacks(prepared);
    set_module_hooks(prepared);
    JS_SetFutexCanWait(cx);
    if (!JS::InitSelfHostedCode(cx) || !make_realms(prepared))
        return -ENOMEM;
    return 0;
}

} // namespace mozjs

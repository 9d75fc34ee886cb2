/* mozjs_job.cc: microtasks, unhandled rejections, and work that comes back from helper threads. */

#include "mozjs_debugger.h"

#include <js/GCAPI.h>
#include <js/Interrupt.h>

#include <algorithm>

namespace mozjs
{

class JobQueue::Saved final : public JS::JobQueue::SavedJobQueue
{
  public:
    /* Nearly always there is nothing to save: in each hit. */
    Saved(JSContext *cx, JobQueue *from) : queue(from), head(from->head)
    {
        if (from->jobs.empty())
            return;
        jobs.emplace(cx);
        std::swap(jobs->get(), queue->jobs.get());
        queue->head = 0;
    }
    ~Saved() override
    {
        if (!jobs)
            return;
        std::swap(jobs->get(), queue->jobs.get());
        std::swap(head, queue->head);
        for (; head < jobs->length(); head++) {
            if (!queue->jobs.append((*jobs)[head]))
                break;
        }
    }

  private:
    JobQueue *queue;
    mozilla::Maybe<JS::PersistentRootedObjectVector> jobs;
    size_t head;
};

JSObject *JobQueue::getIncumbentGlobal(JSContext *cx)
{
    return JS::CurrentGlobalOrNull(cx);
}

bool JobQueue::enqueuePromiseJob(JSContext *cx, JS::HandleObject, JS::HandleObject job,
                                 JS::HandleObject, JS::HandleObject)
{
    return push(cx, job);
}

void JobQueue::runJobs(JSContext *)
{
    /* Only debugger hooks come here: see saveJobQueue. */
}

js::UniquePtr<JS::JobQueue::SavedJobQueue> JobQueue::saveJobQueue(JSContext *cx)
{
    auto saved = js::MakeUnique<Saved>(cx, this);
    if (!saved)
        JS_ReportOutOfMemory(cx);
    return saved;
}

bool JobQueue::push(JSContext *cx, JS::HandleObject job)
{
    JS::JobQueueMayNotBeEmpty(cx);
    return jobs.append(job);
}

JSObject *JobQueue::take()
{
    constexpr size_t COMPACT_FROM = 1024;
    JSObject *job = jobs[head];
    jobs[head++].set(nullptr);
    if (empty()) {
        jobs.clear();
        head = 0;
    } else if (head >= COMPACT_FROM && head * 2 >= jobs.length()) {
        jobs.erase(jobs.begin(), jobs.begin() + head);
        head = 0;
    }
    return job;
}

namespace
{

void on_rejection(JSContext *cx, bool, JS::HandleObject promise,
                  JS::PromiseRejectionHandlingState state, void *data)
{
    engine *e = static_cast<engine *>(data);
    /* Nobody but a debugger could handle what it has evaluated: no program may fail by that. */
    if (e->debug && e->debug->evaluations > 0)
        return;
    /* Whether it has been handled since is asked when the queue is empty. */
    if (state == JS::PromiseRejectionHandlingState::Unhandled && !e->unhandled.append(promise))
        JS_ClearPendingException(cx);
}

/** Any thread. */
bool on_dispatch(void *closure, JS::Dispatchable *task)
{
    engine *e = static_cast<engine *>(closure);
    std::lock_guard<std::mutex> guard(e->dispatched_lock);
    if (e->dispatch_closed)
        return false;
    e->dispatched.push_back(task);
    if (e->ops)
        e->ops->wake(e->host);
    return true;
}

/** Called during a collection: must not cause another. */
void on_finalization(JSFunction *cleanup, JSObject *, void *data)
{
    engine *e = static_cast<engine *>(data);
    if (!e->cleanups.append(JS_GetFunctionObject(cleanup)))
        JS_ClearPendingException(e->cx);
}

void on_out_of_memory(JSContext *, void *data)
{
    engine *e = static_cast<engine *>(data);
    if (e->inspecting) {
        if (e->debug)
            e->debug->ran_out_of_memory = true;
        return;
    }
    e->oom_seen = true;
    if (e->ops)
        e->ops->oom(e->host);
}

} // namespace

void set_job_callbacks(engine *e)
{
    JS::SetJobQueue(e->cx, &e->jobs);
    JS::InitDispatchToEventLoop(e->cx, on_dispatch, e);
    JS::SetPromiseRejectionTrackerCallback(e->cx, on_rejection, e);
    JS::SetHostCleanupFinalizationRegistryCallback(e->cx, on_finalization, e);
    JS::SetOutOfMemoryCallback(e->cx, on_out_of_memory, e);
}

void clear_job_callbacks(engine *e)
{
    JS::SetJobQueue(e->cx, nullptr);
    JS::SetPromiseRejectionTrackerCallback(e->cx, nullptr, nullptr);
    JS::SetHostCleanupFinalizationRegistryCallback(e->cx, nullptr, nullptr);
    JS::SetOutOfMemoryCallback(e->cx, nullptr, nullptr);
}

int drain(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedValue job(cx), ignored(cx);
    while (!e->jobs.empty()) {
        /* A chain of jobs without a line of script in them never reaches the engine's own checks.
         */
        if (e->interrupted.load(std::memory_order_relaxed) && !JS_CheckForInterrupt(cx))
            return fail(e);
        job.setObject(*e->jobs.take());
        /* Lets the last job go on behind an `await` of a settled promise without queueing a job. */
        if (e->jobs.empty())
            JS::JobQueueIsEmpty(cx);
        JSAutoRealm realm(cx, &job.toObject());
        if (!JS::Call(cx, JS::UndefinedHandleValue, job, JS::HandleValueArray::empty(), &ignored))
            return fail(e);
        if (e->ending)
            return e->ending;
    }
    JS::JobQueueMayNotBeEmpty(cx);
    JS::ClearKeptObjects(cx);

    JS::RootedObject promise(cx);
    for (size_t i = 0; i < e->unhandled.length(); i++) {
        promise = e->unhandled[i];
        if (JS::GetPromiseIsHandled(promise))
            continue;
        e->unhandled.clear();
        JSAutoRealm realm(cx, promise);
        JS::RootedValue reason(cx, JS::GetPromiseResult(promise));
        return fail_with(e, reason, false);
    }
    e->unhandled.clear();
    return 0;
}

int run_dispatched(engine *e)
{
    std::vector<JS::Dispatchable *> tasks;
    {
        std::lock_guard<std::mutex> guard(e->dispatched_lock);
        tasks.swap(e->dispatched);
    }
    for (JS::Dispatchable *task : tasks) {
        task->run(e->cx,
                  e->ending ? JS::Dispatchable::ShuttingDown : JS::Dispatchable::NotShuttingDown);
        if (!e->ending)
            drain(e);
    }
    if (e->ending)
        return e->ending;
    if (!start_queued_wasm(e))
        return fail(e);

    JSContext *cx = e->cx;
    JS::RootedValueVector cleanups(cx);
    for (size_t i = 0; i < e->cleanups.length(); i++) {
        if (!cleanups.append(JS::ObjectValue(*e->cleanups[i])))
            return fail(e);
    }
    e->cleanups.clear();
    JS::RootedValue cleanup(cx), ignored(cx);
    for (size_t i = 0; i < cleanups.length(); i++) {
        cleanup = cleanups[i];
        JSAutoRealm realm(cx, &cleanup.toObject());
        if (!JS::Call(cx, JS::UndefinedHandleValue, cleanup, JS::HandleValueArray::empty(),
                      &ignored))
            return fail(e);
        if (int outcome = drain(e))
            return outcome;
    }
    return 0;
}

bool dispatched_ready(engine *e)
{
    if (!e->jobs.empty() || !e->cleanups.empty())
        return true;
    std::lock_guard<std::mutex> guard(e->dispatched_lock);
    return !e->dispatched.empty();
}

bool async_tasks_pending(engine *e)
{
    JS::RootedObject promise(e->cx);
    for (size_t i = e->async_tasks.length(); i-- > 0;) {
        promise = e->async_tasks[i];
        if (JS::GetPromiseState(promise) != JS::PromiseState::Pending)
            e->async_tasks.erase(e->async_tasks.begin() + i);
    }
    return !e->async_tasks.empty();
}

void close_dispatch(engine *e)
{
    std::vector<JS::Dispatchable *> tasks;
    {
        std::lock_guard<std::mutex> guard(e->dispatched_lock);
        e->dispatch_closed = true;
        tasks.swap(e->dispatched);
    }
    for (JS::Dispatchable *task : tasks)
        task->run(e->cx, JS::Dispatchable::ShuttingDown);
}

} // namespace mozjs

/*
 * engine.h: what a language engine is to a worker, and what a worker is to an engine.
 *
 * This is the only header that an engine includes, and the worker names no engine: it finds one
 * `struct engine_ops` by the symbol `engine_ops_get()`, which each worker program links once. Plain
 * C, no type or notion of one engine: no offsets, realms, contexts or interrupt types.
 *
 * Process and threads. `init` runs in the zygote, which must have exactly one thread before and
 * after it (a fork copies only the calling thread). Everything else runs in one worker process, and
 * on its main thread, the "VM thread", except `interrupt`, which may be called from any thread at
 * any time between the return of `vm_new` and the call of `vm_free`.
 *
 * Who enters the guest. Ops marked [guest] run guest code. The worker calls them only while its
 * gate is open (safepoint.h); inside them the engine calls `host->safe_point` whenever it was
 * interrupted, and the host holds the VM there for as long as its gate is closed. All other ops run
 * no guest instruction at all, and may be called behind a closed gate.
 *
 * Errors: 0 is fine; a negative errno is a failure of ours; a positive value is an
 * `engine_outcome`. No exception and no engine object leaves an engine. Strings are UTF-8 with an
 * explicit length in bytes and need no terminating NUL unless declared `const char *` without a
 * length.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine_debug.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a [guest] op ended, when it did not end with 0. Each of them ends the VM. */
enum engine_outcome {
    ENGINE_EXIT = 1,       /**< the program asked to exit (process.exit, WASI proc_exit) */
    ENGINE_FAILED = 2,     /**< an error that nothing caught; its text was written to stderr */
    ENGINE_TERMINATED = 3, /**< a host callback said so; nothing was written */
    ENGINE_OOM = 4,        /**< the memory limit was reached and nothing caught it */
};

/** What kind of source a program or an import is. */
enum engine_source_kind {
    ENGINE_SOURCE_SCRIPT_OR_MODULE, /**< a script; a module if only module syntax stands in the way
                                     */
    ENGINE_SOURCE_MODULE,
    ENGINE_SOURCE_WASM, /**< a WebAssembly command or reactor module with WASI imports */
};

/** Levels of console output; `level` of `write`. The stream follows from it: see `write`. */
enum engine_level {
    ENGINE_LEVEL_LOG,
    ENGINE_LEVEL_INFO,
    ENGINE_LEVEL_DEBUG,
    ENGINE_LEVEL_WARN,
    ENGINE_LEVEL_ERROR,
    ENGINE_LEVEL_TRACE,
    ENGINE_LEVEL_RAW, /**< bytes as they are (WASI fd_write); no newline is added */
};

/** Streams of `write`. */
enum engine_stream { ENGINE_STDOUT = 1, ENGINE_STDERR = 2 };

/** One function that a WebAssembly program may import from "wasi_snapshot_preview1". */
struct engine_wasi_function {
    const char *name;
    /** One character a parameter, 'i' for i32 and 'l' for i64. */
    const char *params;
    /** True if it returns an i32 (the WASI errno); proc_exit does not. */
    bool returns;
};

/**
 * What the worker offers to its engine. All of it but `wake` is called on the VM thread only, with
 * `host` as given to `vm_new`. A callback that returns ENGINE_TERMINATED wants the VM to end now:
 * the engine unwinds without running further guest code (not even `finally`) and returns
 * ENGINE_TERMINATED. One that returns -EWOULDBLOCK did nothing: it would have to wait, and what a
 * debugger evaluates must not; the engine throws an error that can be caught.
 */
struct engine_host_ops {
    /**
     * The engine was interrupted and is at a safe point. Holds the calling thread while the gate is
     * closed. Returns 0 to go on, ENGINE_TERMINATED to unwind.
     */
    int (*safe_point)(void *host);

    /** The guest begins something, for good, that `interrupt_here` does not reach. */
    void (*needs_watcher)(void *host);

    /**
     * Writes `len` bytes of text to the program's stdout or stderr. A newline is added unless level
     * is RAW. May hold the VM (as `blocked`) while the reader is slow. Returns 0, ENGINE_TERMINATED
     * or -EWOULDBLOCK: then the rest of the text was dropped.
     */
    int (*write)(void *host, enum engine_stream stream, enum engine_level level, const char *text,
                 size_t len);

    /** The world clock of this VM in ns: monotonic, stands still while the VM is held. */
    uint64_t (*now_ns)(void *host);

    /**
     * Arms a timer. `id` is chosen by the engine, unique among live timers and not 0. When it is
     * due the worker calls `fire_timer`. A repeating timer is re-armed by the host, `delay_ns`
     * after it fired. Returns 0, or -ENOMEM / -E2BIG when there are too many.
     */
    int (*timer_start)(void *host, uint64_t id, uint64_t delay_ns, bool repeat);
    /** Disarms a timer; unknown ids are ignored. */
    void (*timer_cancel)(void *host, uint64_t id);

    /**
     * Sleeps on the world clock, declared as blocked, until `deadline_ns` (UINT64_MAX: for ever).
     * Returns 0 when the time has come, ENGINE_TERMINATED to unwind, or -EWOULDBLOCK.
     */
    int (*sleep_until)(void *host, uint64_t deadline_ns);

    /**
     * Asks for the source that is named by `path`: relative to the program's folder, normalised, no
     * leading slash, no "." or "..". The answer comes by `import_answer` with the same id, later,
     * never from inside this call. Returns 0 or negative errno (no answer will come).
     */
    int (*import_request)(void *host, uint64_t import_id, const char *path);

    /** postMessage: sends a JSON text to whoever listens. Returns 0, ENGINE_TERMINATED
     * or -EWOULDBLOCK. */
    int (*post)(void *host, const char *json, size_t len);

    /**
     * The end of a `call` that was started with this id: JSON of the value, or the text of the
     * error. Called once per call_id, from inside `call` or from a later [guest] op (an async
     * function).
     */
    void (*call_done)(void *host, uint64_t call_id, bool ok, const char *text, size_t len);

    /**
     * `load` and all static imports are through: the program is linked, or it cannot be (`error` is
     * one line: "file:line:col: SyntaxError: …"). Called once, from inside `load` or
     * `import_answer`.
     */
    void (*loaded)(void *host, const char *error);

    /** The engine ran out of memory at least once (a hint for the reason of a later death). */
    void (*oom)(void *host);

    /**
     * Any thread, and the only callback that is: something that a helper thread did waits for
     * `run_jobs`. Makes the worker's loop look at `jobs_ready` soon; must not call the engine.
     */
    void (*wake)(void *host);

    /** The table of WASI functions; ends with a NULL name. */
    const struct engine_wasi_function *wasi_functions;
    /**
     * Calls row `index` of that table. `args` are the parameters, i32 zero-extended; `memory` is
     * the program's linear memory at this moment (NULL if it exports none). `*ret_value` is the
     * result. Returns 0, ENGINE_EXIT (proc_exit: `*ret_value` is the code), or ENGINE_TERMINATED.
     */
    int (*wasi_call)(void *host, unsigned index, const uint64_t *args, uint8_t *memory,
                     size_t memory_bytes, uint32_t *ret_value);

    const struct engine_debug_host_ops *debug;
};

/** What a frame of a stack is. The numbers are those of the worker's wire. */
enum engine_frame_kind {
    ENGINE_FRAME_JS = 1, /**< a language that has lines: JavaScript, Lua */
    ENGINE_FRAME_WASM = 2,
    ENGINE_FRAME_HOST = 3, /**< a function that the engine or the worker provides */
};

/** One frame. Texts are NUL-terminated, UTF-8 as far as the engine can tell, and may be empty. */
struct engine_frame {
    enum engine_frame_kind kind;
    const char *function; /**< empty: it has no name */
    const char *url;      /**< path of the source, as in engine_program or an import */
    uint32_t line;        /**< from 1; 0 where there are none (wasm, host) */
    uint32_t column;      /**< from 1, in the engine's units; 0 likewise */
    uint64_t offset;      /**< wasm: of the instruction, in the bytes of the module */
    uint64_t source;      /**< wasm, where engine_debug_ops tell of it: whose; 0: not known */
};

/** One row of a census. `name` is NUL-terminated, and unique in the census. */
struct engine_class {
    const char *name; /**< in parentheses where it is no class of the language: "(string)" */
    uint64_t count;
    uint64_t bytes; /**< what the engine allocated for them, out-of-line parts included */
};

/** How a VM is made. All pointers are the caller's and valid until vm_free. */
struct engine_config {
    uint64_t
        heap_bytes; /**< soft limit: beyond it the guest sees an out-of-memory error; 0 = none */
    unsigned helper_threads; /**< threads for JIT and GC work, started by `vm_new` */
    bool debug;              /**< the VM was started with --debug: compile for inspection */
    bool keep_idle;          /**< functions stay callable after the program ended (`run -d`) */
    const struct engine_host_ops *host_ops;
    void *host;
};

struct engine_program {
    enum engine_source_kind kind;
    const char *path;    /**< display name of the main source, "app.js"; base of its imports */
    const uint8_t *text; /**< the source; stays mapped for the life of the VM */
    size_t text_bytes;
    size_t argc;
    const char *const *argv; /**< arguments only; the engine puts its own names before them */
};

/** Why a VM ended; valid after a [guest] op returned > 0. `detail` is the engine's, may be NULL. */
struct engine_exit {
    int code;           /**< exit status, 0 to 255 */
    const char *detail; /**< one line, for instance the uncaught error's message */
};

struct engine;

struct engine_ops {
    const char *name; /**< "mozjs": as in `list`, the program is stillpoint-worker-NAME */
    const char *version;

    /** Once, in the zygote, before any fork. Leaves exactly one thread. */
    int (*init)(void);

    /**
     * Makes the VM, in the worker, before lockdown: threads start here; afterwards no syscall
     * outside of the worker's filter is made, whatever the guest does.
     */
    int (*vm_new)(const struct engine_config *config, struct engine **ret_engine);

    /** Compiles the program; imports go through `import_request`; ends by `loaded`. Runs no guest
     * code. */
    int (*load)(struct engine *e, const struct engine_program *program);

    /**
     * The answer to an import_request: `text` stays mapped, or `error` says why there is none.
     * Static imports only compile and link [not guest]; an import() that was pending goes on in
     * `run_jobs`. One that is not waited for is left out: a daemon that took over may answer once
     * more.
     */
    int (*import_answer)(struct engine *e, uint64_t import_id, const char *error,
                         const uint8_t *text, size_t text_bytes);

    /** [guest] Runs the loaded program's top level, and the jobs it leaves. */
    int (*run)(struct engine *e);
    /** [guest] Runs jobs that are ready (promise reactions, imports that arrived). */
    int (*run_jobs)(struct engine *e);
    /** True if run_jobs has something to do. */
    bool (*jobs_ready)(struct engine *e);
    /** [guest] A timer is due. */
    int (*fire_timer)(struct engine *e, uint64_t id);
    /** [guest] A message for the program's onmessage, as JSON text. */
    int (*deliver)(struct engine *e, const char *json, size_t len);
    /**
     * [guest] Calls a function by name with a JSON array of arguments. Ends by `call_done`. Returns
     * -ENOENT if there is no such function, -EINVAL if `args_json` is no JSON array; otherwise as
     * every [guest] op. An exception of the called function is reported by call_done and ends
     * nothing.
     */
    int (*call)(struct engine *e, uint64_t call_id, const char *function, const char *args_json,
                size_t args_len);
    /** True while something can still wake the program besides timers: onmessage is set, an import
     * or an asynchronous engine task is under way. */
    bool (*pending)(struct engine *e);
    /** True once the main module has been evaluated, or waits for the first time. */
    bool (*ready)(struct engine *e);
    /** The exit status of a program that has nothing left to do (process.exitCode, else 0). */
    int (*exit_code)(struct engine *e);
    /** See struct engine_exit. */
    struct engine_exit (*exit_info)(struct engine *e);

    /** Any thread: makes a running guest reach a safe point soon. Never from a signal handler. */
    void (*interrupt)(struct engine *e);
    /**
     * The same from a signal handler on the VM thread, wherever that is: takes no lock. Where it
     * cannot reach all that the guest does, the host is told by `needs_watcher`, and what it misses
     * all the same is interrupted later. NULL: this engine has no such thing.
     */
    void (*interrupt_here)(struct engine *e);

    /*
     * What a parked VM can be asked. May be called wherever the VM thread is in a host callback
     * (`safe_point` in the middle of a hot loop, `write`, `sleep_until`, `wasi_call`) and between
     * ops. The guest cannot tell that they were called: none of them runs guest code, throws, or
     * makes the guest slower than a collection does. Texts passed to `each` live until it returns;
     * it must not call the engine.
     */

    /** Collects garbage now. Bytes of heap, and of what it keeps elsewhere, before and after. */
    int (*gc)(struct engine *e, uint64_t *ret_before_bytes, uint64_t *ret_after_bytes);
    /** Counts what can be reached, by class, in no order. -ENOMEM if there is no memory for that.
     */
    int (*census)(struct engine *e, void (*each)(void *userdata, const struct engine_class *class_),
                  void *userdata);
    /**
     * The stack, from the innermost frame, at most `max_frames`; empty if the VM is in no [guest]
     * op. Frames of the engine's own helpers are left out. *ret_truncated: there are more.
     */
    int (*stack)(struct engine *e, size_t max_frames,
                 void (*each)(void *userdata, const struct engine_frame *frame), void *userdata,
                 bool *ret_truncated);

    /** Auditors and debugging; NULL: this engine has none. */
    const struct engine_debug_ops *debug;

    /** After the watcher thread has been joined. Takes NULL; returns NULL. */
    struct engine *(*vm_free)(struct engine *e);
};

/** Each worker program links exactly one engine, which defines this. */
const struct engine_ops *engine_ops_get(void);

#ifdef __cplusplus
}
#endif

/*
 * engine_debug.h: what an engine lets auditors and debuggers do; the part of engine.h that a VM
 * without any of them never needs. It knows no hook, no debugger and no client (the worker's
 * auditors do): an engine reports what happens at the referents where it was told to, and answers
 * questions about a VM that stands.
 *
 * Ids. Realms, frames, scripts, sources and promises have numbers from 1, each sort its own, never
 * used twice in the life of a VM. `ref` numbers objects and scopes that were handed out; all refs
 * end with `debug_resume`. Nothing here keeps a guest object alive, but refs until then.
 *
 * Where these may be called: the VM thread, wherever it is in a host callback (`safe_point` in the
 * middle of a hot loop, `write`, `sleep_until`, `on_hit`), and between ops. Ops marked [guest] run
 * guest code there, and only then may call host->safe_point again.
 *
 * Errors: 0 or negative errno: -ENOENT (no such frame, ref, source, realm; the referent is gone)
 * · -EOPNOTSUPP (cannot be had of this frame or VM: `ret_why` or the op says what) · -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct engine;
struct engine_frame;

/** What can be observed; the numbers are those of both wires. */
enum engine_audit_kind {
    ENGINE_AUDIT_NEW_GLOBAL = 1,
    ENGINE_AUDIT_ENTER_FRAME,
    ENGINE_AUDIT_DEBUGGER_STATEMENT,
    ENGINE_AUDIT_EXCEPTION_UNWIND,
    ENGINE_AUDIT_NEW_SCRIPT,
    ENGINE_AUDIT_NEW_PROMISE,
    ENGINE_AUDIT_PROMISE_SETTLED,
    ENGINE_AUDIT_POP,
    ENGINE_AUDIT_STEP,
    ENGINE_AUDIT_BREAKPOINT,
    ENGINE_AUDIT_KINDS
};

/** What it is observed at; the numbers are those of both wires. */
enum engine_referent {
    ENGINE_RUNTIME = 1, /**< new-global; its id is 0 */
    ENGINE_REALM,
    ENGINE_FRAME,
    ENGINE_SCRIPT,
};

/** The numbers are those of both wires. */
enum engine_value_type {
    ENGINE_VALUE_UNDEFINED = 1,
    ENGINE_VALUE_NULL,
    ENGINE_VALUE_BOOLEAN,
    ENGINE_VALUE_NUMBER,
    ENGINE_VALUE_BIGINT,
    ENGINE_VALUE_STRING,
    ENGINE_VALUE_SYMBOL,
    ENGINE_VALUE_OBJECT,
    ENGINE_VALUE_FUNCTION,
    ENGINE_VALUE_UNAVAILABLE, /**< not initialised yet, or optimised away */
};

/** A value, as it may be shown. Texts live until the callback returns. */
struct engine_value {
    enum engine_value_type type;
    const char *preview; /**< one line of UTF-8, NUL-terminated; runs no getter and no guest code */
    bool truncated;
    const char *class_name; /**< of an object; empty otherwise */
    uint64_t ref;           /**< 0: it has nothing inside, or refs were not asked for */
    double number;          /**< NUMBER; BOOLEAN: 0 or 1 */
    const char *text;       /**< STRING: all of it up to a bound, `text_bytes` long */
    size_t text_bytes;
};

struct engine_named_value {
    const char *name;
    struct engine_value value;
    bool writable;
    bool getter; /**< there is one, and it was not run; `value` is unavailable */
    bool threw;  /**< the getter was run, and threw `value` */
};

/** A place in a source. */
struct engine_place {
    const char *url;
    uint32_t line, column; /**< from 1; 0: WebAssembly */
    uint64_t offset;       /**< WebAssembly: in the bytes of the module */
};

struct engine_scope {
    const char *scope; /**< local, block, closure, module, global, wasm, with */
    uint64_t ref;
    uint32_t variables;
    const char *function; /**< whose, of a closure; may be empty */
};

struct engine_source {
    uint64_t id;
    const char *url;
    const char *kind; /**< script, module, eval, function, wasm */
    uint64_t text_bytes;
    const char *source_map; /**< may be empty */
    uint32_t lines;
};

/** How a frame was left, or a promise was settled. */
enum engine_completion {
    ENGINE_COMPLETION_NONE = 0,
    ENGINE_COMPLETION_RETURN,
    ENGINE_COMPLETION_THROW,
    ENGINE_COMPLETION_YIELD, /**< a generator: the frame goes on later */
    ENGINE_COMPLETION_AWAIT, /**< an async function: likewise */
    ENGINE_COMPLETION_TERMINATED,
    ENGINE_COMPLETION_FULFILLED,
    ENGINE_COMPLETION_REJECTED,
};

/** Something happened at a referent where it is observed. */
struct engine_hit {
    enum engine_audit_kind kind;
    uint64_t realm;  /**< in which it happened; new-global: the new one */
    uint64_t frame;  /**< 0: none */
    uint64_t script; /**< that runs, or the new one */
    uint64_t promise;
    struct engine_place place; /**< new-script: url and first line; else of the frame */
    const char *function;      /**< of the frame; may be empty */
    bool statement_start;      /**< a step: a statement begins here */
    bool wasm;
    bool
        thrown; /**< unwind: the value is an object that no unwind was told of last, or no object */
    enum engine_completion completion;
    bool has_value; /**< pop, unwind: what engine_debug_ops.hit_value gives */
    const char *source_map;
    uint64_t offset; /**< of the frame in its script, as `audit` has it for breakpoints */
};

/** How guest code goes on after a hit. */
enum engine_action {
    ENGINE_GO_ON = 0,
    ENGINE_FORCE_RETURN, /**< the frame returns what `expression` evaluates to */
    ENGINE_FORCE_THROW,
    ENGINE_FORCE_TERMINATE, /**< uncatchably; ends the run of this guest op, not the VM */
};

/**
 * What `on_hit` wants; the expression is evaluated by the engine, in the frame of the hit, and what
 * it throws is thrown. In WebAssembly a forced return cannot be had, and at new-global,
 * new-script and promises neither that nor a throw: they go on; terminate acts at the next safe
 * point there.
 */
struct engine_answer {
    enum engine_action action;
    const char *expression; /**< lives until the next on_hit; NULL: undefined */
};

/** What the worker offers for this; `host` as in engine_host_ops. VM thread. */
struct engine_debug_host_ops {
    /**
     * Guest code stands at the hit until this returns. At one place a step is told before a
     * breakpoint. *ret_answer is ENGINE_GO_ON before the call.
     * Returns 0 or ENGINE_TERMINATED as every host callback. Not called for what an op of this
     * header did (evaluations that are not `audited`, conditions, getters).
     */
    int (*on_hit)(void *host, const struct engine_hit *hit, struct engine_answer *ret_answer);
    /**
     * Whether a breakpoint's hit can come to anything, asked before it is made out: for one that is
     * passed a million times that costs more than to see that its condition fails. False: it is not
     * told. Guest code stands there as in a hit, but of all ops only `variable` may be called. An
     * engine need not ask.
     */
    bool (*wants_breakpoint)(void *host, uint64_t script, uint64_t offset);
    /** A realm or script that has been reported, or a frame that has an auditor, is no more. Its
     * auditors are off. Ops may be called, so never in the middle of a collection. */
    void (*on_gone)(void *host, enum engine_referent referent, uint64_t id);
    /** A realm has been made, before any of its code. Only while `debug_watch_realms` is on. */
    void (*on_realm)(void *host, uint64_t realm);
};

/** What condition or expression to evaluate, compiled once by the engine if it likes. */
struct engine_expression;

/** One row of engine_ops; NULL there: the engine cannot be debugged. */
struct engine_debug_ops {
    /* ---- instrumentation */

    /** Tells of new realms, so that hooks on all realms can follow. */
    int (*watch_realms)(struct engine *e, bool on);
    /** Ids of all realms of the guest. */
    int (*realms)(struct engine *e, void (*each)(void *userdata, uint64_t realm, const char *label),
                  void *userdata);
    /**
     * Observes one kind at one referent, or no longer: until `on` nothing of it costs anything, and
     * after the last `off` nothing does again. `offset` is for breakpoints
     * (engine_position.offset). Idempotent.
     */
    int (*audit)(struct engine *e, enum engine_audit_kind kind, uint64_t referent, uint64_t offset,
                 bool on);
    /** The id of a frame of the present stack, 0 the innermost; which stays its id until it is
     * popped for good, where its realm has an auditor, and else until `resume`. */
    int (*frame_id)(struct engine *e, uint32_t frame, uint64_t *ret_frame, uint64_t *ret_realm);
    /** The inverse: the index now of a frame that is on the stack. -ENOENT: it is not. */
    int (*frame_index)(struct engine *e, uint64_t frame, uint32_t *ret_index);

    /**
     * Where a breakpoint can be at or after line:column of the source `url` (a glob, or the end of
     * a path after "/"), in every script loaded now: the first valid position of that line, or of
     * the next line that has one, in whichever function that is; or, `all`, all positions from
     * line to line_to. Wasm: `line` is 0 and `offset`, with `all` to `line_to`,
     * likewise. Calls `each` with script and offset for `audit`. Returns how many, or negative
     * errno.
     */
    int (*positions)(struct engine *e, uint64_t source, const char *url, uint32_t line,
                     uint32_t line_to, uint32_t column, uint64_t offset, bool all,
                     void (*each)(void *userdata, uint64_t realm, uint64_t script,
                                  uint64_t script_offset, const struct engine_place *place,
                                  const char *function),
                     void *userdata);

    /* ---- looking, at a hit or in any VM that stands */

    /**
     * The stack from frame `first` on; indices are those of engine_ops.stack. *ret_next: of the
     * first that was not given, 0 if there is none.
     */
    int (*frames)(struct engine *e, uint32_t first, uint32_t max,
                  void (*each)(void *userdata, const struct engine_frame *frame), void *userdata,
                  uint32_t *ret_next);
    int (*scopes)(struct engine *e, uint32_t frame,
                  void (*each)(void *userdata, const struct engine_scope *scope), void *userdata);
    /** What a ref has. [guest] if run_getters, and then -ECANCELED if safe_point ended one. */
    int (*variables)(struct engine *e, uint64_t ref, uint32_t first, uint32_t max, bool run_getters,
                     void (*each)(void *userdata, const struct engine_named_value *v),
                     void *userdata, uint32_t *ret_next, uint32_t *ret_total);
    /** Arguments of a frame, without refs. */
    int (*arguments)(struct engine *e, uint32_t frame,
                     void (*each)(void *userdata, const struct engine_named_value *v),
                     void *userdata);
    /** A variable by name, looked up from a frame's innermost scope out, without a ref, and without
     * preview and class name unless those are wanted. Runs no guest code. -ENOENT: there is none.
     * -EOPNOTSUPP: only guest code could tell, such as a getter. */
    int (*variable)(struct engine *e, uint32_t frame, const char *name, bool with_preview,
                    void (*each)(void *userdata, const struct engine_value *value), void *userdata);
    /** Of the hit that is being reported: what was returned, thrown, or settled. */
    int (*hit_value)(struct engine *e, bool with_ref,
                     void (*each)(void *userdata, const struct engine_value *value),
                     void *userdata);

    /* ---- acting */

    /**
     * [guest] Evaluates in a frame, or (frame UINT32_MAX) in the global of a realm (0: the first).
     * `each` is called once with the value, or what was thrown. No job runs; a host callback that
     * would block throws. `audited`: hits in it are reported. Returns 0, -ECANCELED if safe_point
     * ended it, -ENOENT.
     */
    int (*evaluate)(struct engine *e, uint32_t frame, uint64_t realm, const char *expression,
                    bool audited, bool with_ref,
                    void (*each)(void *userdata, bool threw, const struct engine_value *value,
                                 const char *json),
                    void *userdata);
    /** [guest] The same, and assigns to a variable. *ret_why, a static text, where it cannot be. */
    int (*assign)(struct engine *e, uint32_t frame, const char *name, const char *expression,
                  void (*each)(void *userdata, bool threw, const struct engine_value *value,
                               const char *json),
                  void *userdata, const char **ret_why);
    /**
     * [guest] True or false as guest code would take it; what throws is true and `*ret_error` says
     * what, until the next call.
     */
    int (*condition)(struct engine *e, const char *expression, bool *ret_true,
                     const char **ret_error);
    /**
     * Whether a text is an expression of the guest's language at all; runs nothing. 0, or -EINVAL
     * and *ret_error, one line, until the next call.
     */
    int (*check_expression)(struct engine *e, const char *expression, const char **ret_error);

    /* ---- sources and memory */

    int (*sources)(struct engine *e, uint32_t first, uint32_t max,
                   void (*each)(void *userdata, const struct engine_source *source), void *userdata,
                   uint32_t *ret_next);
    /** Text (UTF-8) or module bytes from `first_byte`; *each* once. source 0: by url. */
    int (*source_text)(struct engine *e, uint64_t source, const char *url, uint64_t first_byte,
                       uint32_t max_bytes,
                       void (*each)(void *userdata, const struct engine_source *source,
                                    const void *bytes, size_t len),
                       void *userdata);
    /** Linear memory of a frame's instance, or (frame UINT32_MAX) of the program; write or read.
     * -ERANGE: beyond its size, which is in *ret_memory_bytes. */
    int (*memory)(struct engine *e, uint32_t frame, uint32_t memory, uint64_t address, void *read,
                  const void *write, size_t len, uint64_t *ret_memory_bytes);

    /** The VM goes on: refs end, and what a stop alone needed is taken away. */
    void (*resume)(struct engine *e);
};

#ifdef __cplusplus
}
#endif

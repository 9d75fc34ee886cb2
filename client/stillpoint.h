/*
 * stillpoint.h: libstillpoint, the client side of stillpointd's control socket.
 *
 * A `struct stillpoint` is one connection. It owns its socket and nothing else; it belongs to one
 * thread at a time, and makes no thread and no signal handler of its own. Several connections may
 * be used by several threads.
 *
 * Requests are synchronous unless their name ends in _async or _post: they send, and wait for the
 * matching reply, while events that arrive meanwhile go to the handlers. Handlers run inside such a
 * request or inside stillpoint_dispatch(); they may make requests, but may not free the connection.
 * An asynchronous program puts stillpoint_fd() into its own poll loop, with
 * stillpoint_poll_events(), and calls stillpoint_dispatch() when it is ready.
 *
 * Errors: functions return 0, or a negative errno: the connection or this process failed; a
 * connection that failed once fails with the same errno from then on. STILLPOINT_REFUSED (1) means
 * that the daemon answered with an error: stillpoint_error() says which. Results (ret_…) are
 * untouched unless 0 is returned. Results that own memory are freed by the function named beside
 * their type; all texts and arrays in them live as long as they do. Free functions take NULL and
 * return NULL.
 *
 * Units are in names: _us microseconds (points in time: since the Unix epoch), _ns nanoseconds,
 * _bytes bytes. Texts are UTF-8 as the daemon sent them, never NULL unless said; they may hold
 * control characters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STILLPOINT_REFUSED 1
#define STILLPOINT_NAME_BYTES 64 /**< longest name of a VM or world */

struct stillpoint;

/* ---- what things are. Values beyond those listed come from a newer daemon. */

enum stillpoint_error_code {
    STILLPOINT_ERROR_INTERNAL = 1,
    STILLPOINT_ERROR_PROTOCOL,
    STILLPOINT_ERROR_INVALID_ARGUMENT,
    STILLPOINT_ERROR_NOT_FOUND,
    STILLPOINT_ERROR_WRONG_STATE,
    STILLPOINT_ERROR_ALREADY_EXISTS,
    STILLPOINT_ERROR_PERMISSION_DENIED,
    STILLPOINT_ERROR_TIMED_OUT,
    STILLPOINT_ERROR_LIMIT_EXCEEDED,
    STILLPOINT_ERROR_PROGRAM_FAILED,
    STILLPOINT_ERROR_UNSUPPORTED,
    STILLPOINT_ERROR_CANCELLED,
};

enum stillpoint_vm_state {
    STILLPOINT_VM_STARTING = 1,
    STILLPOINT_VM_ACTIVE,
    STILLPOINT_VM_IDLE,
    STILLPOINT_VM_BLOCKED,
    STILLPOINT_VM_PARKED,
    STILLPOINT_VM_EVALUATING,
    STILLPOINT_VM_EXITED,
};

enum stillpoint_exit_reason {
    STILLPOINT_EXIT_EXITED = 1,
    STILLPOINT_EXIT_ERROR,
    STILLPOINT_EXIT_OOM,
    STILLPOINT_EXIT_TIMEOUT,
    STILLPOINT_EXIT_KILLED,
    STILLPOINT_EXIT_CRASHED,
    STILLPOINT_EXIT_SECCOMP,
    STILLPOINT_EXIT_UNKNOWN,
};

enum stillpoint_source_kind {
    STILLPOINT_SOURCE_SCRIPT_OR_MODULE = 1,
    STILLPOINT_SOURCE_MODULE,
    STILLPOINT_SOURCE_WASM,
};

enum stillpoint_stream { STILLPOINT_STDOUT = 1, STILLPOINT_STDERR };

enum stillpoint_wait_for {
    STILLPOINT_WAIT_EXITED = 1,
    STILLPOINT_WAIT_IDLE,
    STILLPOINT_WAIT_STOPPED,
    STILLPOINT_WAIT_ACTIVE,
};

enum stillpoint_world_mode {
    STILLPOINT_MODE_RUN_ALL = 1,
    STILLPOINT_MODE_STOPPING,
    STILLPOINT_MODE_STOPPED,
    STILLPOINT_MODE_RUN_ONE,
};

/** What becomes of a world in run-one when its runner has ended. */
enum stillpoint_runner_exit {
    STILLPOINT_RUNNER_EXIT_STOP = 1, /**< the world is stopped again */
    STILLPOINT_RUNNER_EXIT_RESUME,
};

/** What every VM of a world is asked to do at a stop. */
enum stillpoint_inspect_kind {
    STILLPOINT_INSPECT_GC = 1, /**< collect garbage */
    STILLPOINT_INSPECT_CENSUS, /**< count what is on the heap, by class */
    STILLPOINT_INSPECT_STACKS,
};

/** How a VM came to be counted in a stop; docs/STOP-THE-WORLD.md defines each. */
enum stillpoint_how {
    STILLPOINT_HOW_ACKED = 1,
    STILLPOINT_HOW_HELD,
    STILLPOINT_HOW_ENFORCED,
    STILLPOINT_HOW_DEAD,
};

enum stillpoint_event_kind {
    STILLPOINT_EVENT_VM_BORN = 1,
    STILLPOINT_EVENT_VM_ENDED,
    STILLPOINT_EVENT_WORLD_MADE,
    STILLPOINT_EVENT_WORLD_GONE,
    STILLPOINT_EVENT_WORLD_STOPPING,
    STILLPOINT_EVENT_WORLD_STOPPED,
    STILLPOINT_EVENT_WORLD_RESUMED,
    STILLPOINT_EVENT_VM_HELD,
    STILLPOINT_EVENT_VM_RELEASED,
    STILLPOINT_EVENT_VM_MESSAGE,
    STILLPOINT_EVENT_VM_MISSED,
    STILLPOINT_EVENT_ZYGOTE_LOST,
    STILLPOINT_EVENT_PRIVILEGED,
    STILLPOINT_EVENT_WORLD_RUN_ONE,  /**< `vm` runs alone */
    STILLPOINT_EVENT_TARGET_CHANGED, /**< `vm`, 0: none */
    STILLPOINT_EVENT_LEASE_CHANGED,  /**< `detail`: taken, stolen, handed over, ended, expired;
                                          `name`: the debugger */
    STILLPOINT_EVENT_TICKET_ENDED,   /**< `detail`: served, cancelled, failed, timed out */
    STILLPOINT_EVENT_VM_FROZEN,
    STILLPOINT_EVENT_VM_THAWED,
    STILLPOINT_EVENT_VM_LIED,   /**< it said that it had arrived, and ran on */
    STILLPOINT_EVENT_VM_PAUSED, /**< `detail`: step, breakpoint, exception, debugger-statement, hook
                                 */
    STILLPOINT_EVENT_HOOKS_CHANGED, /**< `name`: the debugger; `detail`: added, removed, how many */
    STILLPOINT_EVENT_DEBUGGER_CLOSED, /**< `name`: the debugger; `uid`: who ended it */
    STILLPOINT_EVENT_UNIT_CHANGED,    /**< `name`: the unit; `vm`: its VM; `detail`: its state, why
                                       */
};

enum stillpoint_unit_state {
    STILLPOINT_UNIT_OFF = 1,    /**< not started, or somebody stopped it */
    STILLPOINT_UNIT_RUNNING,    /**< it has a VM, in whatever state that is */
    STILLPOINT_UNIT_RESTARTING, /**< its VM has ended; it is started again at restart_at_us */
    STILLPOINT_UNIT_EXITED,     /**< its VM has ended well, and that was that */
    STILLPOINT_UNIT_FAILED,     /**< it gave up, or could not be started */
};

/** After which ends of its VM a unit is started again. */
enum stillpoint_restart {
    STILLPOINT_RESTART_NO = 1,
    STILLPOINT_RESTART_ON_FAILURE,
    STILLPOINT_RESTART_ALWAYS,
};

/** What a VM can be observed to do, each at one kind of referent. */
enum stillpoint_hook_kind {
    STILLPOINT_HOOK_NEW_GLOBAL = 1,     /**< runtime */
    STILLPOINT_HOOK_ENTER_FRAME,        /**< realm */
    STILLPOINT_HOOK_DEBUGGER_STATEMENT, /**< realm */
    STILLPOINT_HOOK_EXCEPTION_UNWIND,   /**< realm; once for each frame that is crossed */
    STILLPOINT_HOOK_NEW_SCRIPT,         /**< realm; a WebAssembly module likewise */
    STILLPOINT_HOOK_NEW_PROMISE,        /**< realm */
    STILLPOINT_HOOK_PROMISE_SETTLED,    /**< realm */
    STILLPOINT_HOOK_POP,                /**< frame */
    STILLPOINT_HOOK_STEP,               /**< frame */
    STILLPOINT_HOOK_BREAKPOINT,         /**< script */
};
#define STILLPOINT_HOOK_KINDS 10

enum stillpoint_referent_kind {
    STILLPOINT_REFERENT_RUNTIME = 1,
    STILLPOINT_REFERENT_REALM,
    STILLPOINT_REFERENT_FRAME,
    STILLPOINT_REFERENT_SCRIPT,
};

/** What pauses at a hit. */
enum stillpoint_suspend {
    STILLPOINT_SUSPEND_NONE = 1,
    STILLPOINT_SUSPEND_VM,
    STILLPOINT_SUSPEND_WORLD, /**< by a stop of its world, whose target is the VM */
};

enum stillpoint_granularity {
    STILLPOINT_GRANULARITY_STATEMENT = 1,
    STILLPOINT_GRANULARITY_OPERATION, /**< each bytecode operation, each WebAssembly instruction */
};

enum stillpoint_value_type {
    STILLPOINT_VALUE_UNDEFINED = 1,
    STILLPOINT_VALUE_NULL,
    STILLPOINT_VALUE_BOOLEAN,
    STILLPOINT_VALUE_NUMBER,
    STILLPOINT_VALUE_BIGINT,
    STILLPOINT_VALUE_STRING,
    STILLPOINT_VALUE_SYMBOL,
    STILLPOINT_VALUE_OBJECT,
    STILLPOINT_VALUE_FUNCTION,
    STILLPOINT_VALUE_UNAVAILABLE, /**< not initialised yet, or optimised away */
};

/** How a VM goes on from a pause of its own. */
enum stillpoint_pause_answer {
    STILLPOINT_ANSWER_CONTINUE = 1,
    STILLPOINT_ANSWER_RETURN,    /**< its frame returns the value of an expression */
    STILLPOINT_ANSWER_THROW,     /**< it throws it */
    STILLPOINT_ANSWER_TERMINATE, /**< the VM's run is ended, uncatchably */
};

enum stillpoint_step_how {
    STILLPOINT_STEP_IN = 1,
    STILLPOINT_STEP_OVER,
    STILLPOINT_STEP_OUT,
    STILLPOINT_STEP_TO, /**< until a position is reached, or the frame is left */
};

enum stillpoint_step_others {
    STILLPOINT_STEP_OTHERS_HOLD = 1, /**< the VM runs alone */
    STILLPOINT_STEP_OTHERS_RUN,      /**< the world resumes; the step's end stops it again */
};

/** Lower-case words ("run-all", "acked"), "unknown" for a value that has none. Static texts. */
const char *stillpoint_vm_state_text(enum stillpoint_vm_state state);
const char *stillpoint_exit_reason_text(enum stillpoint_exit_reason reason);
const char *stillpoint_stream_text(enum stillpoint_stream stream);
const char *stillpoint_wait_for_text(enum stillpoint_wait_for what);
const char *stillpoint_world_mode_text(enum stillpoint_world_mode mode);
const char *stillpoint_how_text(enum stillpoint_how how);
const char *stillpoint_inspect_kind_text(enum stillpoint_inspect_kind kind);
const char *stillpoint_event_kind_text(enum stillpoint_event_kind kind);
const char *stillpoint_unit_state_text(enum stillpoint_unit_state state);
const char *stillpoint_restart_text(enum stillpoint_restart restart);
const char *stillpoint_hook_kind_text(enum stillpoint_hook_kind kind);
const char *stillpoint_referent_kind_text(enum stillpoint_referent_kind kind);
const char *stillpoint_suspend_text(enum stillpoint_suspend suspend);
const char *stillpoint_granularity_text(enum stillpoint_granularity granularity);
const char *stillpoint_value_type_text(enum stillpoint_value_type type);

/** [A-Za-z0-9._-]{1,64}, not all digits, not "." or "..": a name that a VM or world can have. */
bool stillpoint_is_name(const char *text);

/* ---- objects */

struct stillpoint_memory; /* owns what a result points to */

struct stillpoint_exit {
    enum stillpoint_exit_reason reason;
    uint32_t code;      /**< as a shell would show it */
    uint32_t signal;    /**< 0: none */
    const char *detail; /**< "" if there is none */
};

/** One layer of a VM's sandbox; state is "on", "degraded" or "off". */
struct stillpoint_layer {
    const char *name, *state;
};

/** What a VM may use; 0: no such limit. */
struct stillpoint_limits {
    uint64_t memory_bytes; /**< of the engine's heap: beyond it the program can catch an error */
    uint64_t hard_memory_bytes; /**< of the process: beyond it the VM ends */
    uint64_t cpu_time_us;       /**< of the process */
    uint64_t timeout_us;        /**< on the VM's world clock */
    uint64_t output_rate;       /**< bytes of console in a second: beyond it the program waits */
    uint64_t log_bytes;         /**< of console that are kept */
    uint32_t cpu_percent;       /**< of one CPU */
    uint32_t tasks;             /**< threads of the process */
};

struct stillpoint_vm {
    uint64_t id;
    const char *name, *world, *engine;
    const char *program; /**< display name of its main source */
    enum stillpoint_vm_state state;
    bool held;    /**< its gate is closed and it is starting, idle or blocked */
    bool frozen;  /**< by the kernel */
    bool serving; /**< frozen, but thawed alone to serve a request; its gate stays closed */
    enum stillpoint_how how; /**< how it counts as stopped at this moment, 0: it does not */
    uint32_t pid;            /**< 0 once it has exited */
    uint32_t uid;            /**< owner */
    uint32_t hooks;
    bool has_exit;
    struct stillpoint_exit exit;   /**< if has_exit */
    uint64_t started_us, ended_us; /**< ended_us 0: lives */
    uint64_t cpu_us, memory_bytes;
    const char *const *holds; /**< names of debuggers that hold this VM */
    size_t n_holds;
    const char *const *args;
    size_t n_args;
    const struct stillpoint_layer *posture;
    size_t n_posture;
    struct stillpoint_limits limits;
    const char *const *labels; /**< "KEY=VALUE" */
    size_t n_labels;
    const char *unit; /**< whose VM it is; NULL: a client ran it */
};

/** Freed by stillpoint_vms_free(). Replies about one VM have exactly one item. */
struct stillpoint_vms {
    struct stillpoint_vm *items;
    size_t n;
    struct stillpoint_memory *memory;
};

/** A VM that the daemon starts by itself, as its file says: stillpoint-vm.conf(5). */
struct stillpoint_unit {
    const char *name, *path;
    bool enabled; /**< it is started with the daemon */
    enum stillpoint_unit_state state;
    const char *detail; /**< why it is in that state */
    uint64_t vm;        /**< 0: none that lives */
    uint32_t restarts;  /**< in a row, without success */
    uint64_t restart_at_us;
    const char
        *error;   /**< what is wrong with its file, which is not in force then; NULL: nothing */
    bool changed; /**< its VM was started from an older file */
    bool gone;    /**< its file is */
    /* What its file says; NULL and 0 if that has never been right. */
    const char *program, *world, *engine;
    const char *const *args;
    size_t n_args;
    uint32_t uid; /**< owner */
    const char *const *labels;
    size_t n_labels;
    struct stillpoint_limits limits; /**< that it asks for; 0: the daemon's defaults */
    enum stillpoint_restart restart;
    uint64_t restart_delay_us, restart_delay_max_us, restart_reset_us;
    uint32_t restart_attempts; /**< 0: no bound */
};

/** Freed by stillpoint_units_free(). */
struct stillpoint_units {
    struct stillpoint_unit *items;
    size_t n;
    struct stillpoint_memory *memory;
};

struct stillpoint_ticket {
    uint64_t ticket;
    const char *reason, *debugger;
    uint32_t uid;
    uint64_t since_us;
};

struct stillpoint_world {
    const char *name;
    enum stillpoint_world_mode mode;
    uint64_t epoch;
    const struct stillpoint_ticket *ticket; /**< NULL: none */
    const struct stillpoint_ticket *queued;
    size_t n_queued;
    uint64_t runner, target; /**< VM ids, 0: none */
    bool has_controller;
    struct {
        const char *debugger, *policy;
        uint64_t expires_us; /**< 0: never */
    } controller;
    bool enforced; /**< the ticket in service asked that every VM be frozen */
    uint32_t vms;
};

/** Freed by stillpoint_worlds_free(). */
struct stillpoint_worlds {
    struct stillpoint_world *items;
    size_t n;
    struct stillpoint_memory *memory;
};

struct stillpoint_arrival {
    uint64_t vm;
    const char *name;
    enum stillpoint_vm_state was;
    enum stillpoint_how how;
    uint64_t elapsed_us;
    bool lied; /**< it said that it had arrived, and ran on; it is among the missing too */
};

/**
 * Freed by stillpoint_stop_report_free(). The times are CLOCK_MONOTONIC, 0: it has not come to that
 * (or the daemon is older): the daemon took the request up · it closed the gates · the mode became
 * stopped.
 */
struct stillpoint_stop_report {
    const char *world;
    enum stillpoint_world_mode mode;
    uint64_t ticket;
    const char *reason;
    uint64_t elapsed_us;
    const struct stillpoint_arrival *arrivals;
    size_t n_arrivals;
    const uint64_t *missing; /**< ids of VMs that did not arrive by themselves */
    size_t n_missing;
    uint64_t dispatched_mono_ns, closed_mono_ns, stopped_mono_ns;
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_resumption_free(). */
struct stillpoint_resumption {
    const char *world;
    enum stillpoint_world_mode mode;
    uint64_t ticket;      /**< the one that ended */
    uint64_t next_ticket; /**< the one that is served now, 0: none */
    uint64_t held_us;     /**< how long the world was closed */
    /** CLOCK_MONOTONIC: the daemon took the request up · every gate was open and everybody who was
     * parked had been woken. 0: not said. */
    uint64_t dispatched_mono_ns, runnable_mono_ns;
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_continuation_free(). */
struct stillpoint_continuation {
    struct stillpoint_world world; /**< after it */
    /** "running"; or why the run-one has ended: "idle", "blocked", "ended", "deadline", "stopped",
     * "resumed". */
    const char *reason;
    struct stillpoint_memory *memory;
};

struct stillpoint_class_count {
    const char *class_name;
    uint64_t count, bytes;
};

struct stillpoint_frame {
    uint32_t frame;        /**< 0: the innermost */
    const char *kind;      /**< "js", "wasm", "host" */
    const char *function;  /**< "": it has no name */
    const char *url;       /**< "": unknown */
    uint32_t line, column; /**< from 1; 0: unknown */
    bool has_offset;       /**< WebAssembly */
    uint64_t offset;       /**< if has_offset: in the bytes of the module */
    uint64_t source;       /**< its instance of the module, as a source has it; 0: not said */
};

/** What one VM answered. All of it is the word of a worker, which is not trusted. */
struct stillpoint_vm_inspection {
    uint64_t vm;
    const char *name;
    const char *error;                            /**< why there is no answer; NULL: there is one */
    uint64_t before_bytes, after_bytes;           /**< of the heap: gc */
    const struct stillpoint_class_count *classes; /**< census */
    size_t n_classes;
    const struct stillpoint_frame *frames; /**< stacks */
    size_t n_frames;
    bool truncated; /**< there was more */
};

/** Freed by stillpoint_inspection_free(). */
struct stillpoint_inspection {
    enum stillpoint_inspect_kind kind;
    struct stillpoint_stop_report stop; /**< of its ticket; not to be freed by itself */
    const struct stillpoint_vm_inspection *vms;
    size_t n_vms;
    uint64_t held_us; /**< how long the world was closed for it */
    struct stillpoint_memory *memory;
};

/**
 * A durable object of the daemon's, on whose behalf worlds are stopped and VMs held. "cli:<uid>" is
 * made on demand for each user.
 */
struct stillpoint_debugger {
    uint64_t id;
    const char *name;
    const char *note; /**< "" if there is none */
    const char
        *policy; /**< "resume" or "hold": what becomes of its stops once nobody has it open */
    uint32_t owner_uid;
    bool open; /**< by some connection */
    uint32_t hooks;
    const char *const *worlds; /**< whose controller it is */
    size_t n_worlds;
    /** Of the ring of hits that is kept for it: the oldest and the newest (0: none), and how many
     * made room for newer ones. */
    uint64_t first_seq, last_seq, dropped;
};

/** Freed by stillpoint_debuggers_free(). */
struct stillpoint_debuggers {
    struct stillpoint_debugger *items;
    size_t n;
    struct stillpoint_memory *memory;
};

/* ---- hooks, auditors and hits */

/** All that is set has to hold for a hit to count; judged in the VM, before anything else. */
struct stillpoint_hook_filter {
    const char *url, *function;  /**< globs; NULL: any */
    uint32_t line_from, line_to; /**< 0: no bound */
    const char *condition;       /**< an expression, evaluated in the frame; NULL: none */
    uint64_t skip;               /**< so many hits that pass the above are not reported */
    uint64_t count;              /**< after so many reports the hook falls silent; 0: never */
    bool wasm;                   /**< only where WebAssembly is: modules, and their functions */
    bool thrown; /**< of exception-unwind: only the first frame that an exception crosses */
};

/** Hits beyond it are dropped, and counted. 0: no bound. */
struct stillpoint_hook_budget {
    bool has_per_second; /**< else: the daemon's default */
    uint32_t per_second;
    uint64_t total;
    uint64_t capture_us, capture_bytes; /**< of captures, per second */
};

/** What a hit brings along, beside its location. */
struct stillpoint_hook_capture {
    uint32_t stack_depth; /**< frames, 0: none */
    bool arguments;
    bool no_value; /**< without what is returned, thrown or settled */
    const char *const *expressions;
    size_t n_expressions;
};

/** A place in a source. */
struct stillpoint_position {
    const char *url; /**< whole, or its end after a "/", or a glob */
    uint32_t line;   /**< from 1 */
    uint32_t column; /**< from 1; 0: the first of the line */
    bool has_offset; /**< WebAssembly: `offset` in the bytes of the module counts, and no line */
    uint64_t offset;
};

/**
 * What is to be observed, and where: zeros and NULLs mean defaults. Exactly one of `vm` (a name or
 * an id; the hooks end with that VM), `selector` (a glob of names, bounded by `world` and `engine`)
 * and `world` alone. The latter two cover later VMs too.
 */
struct stillpoint_interest {
    const char *debugger; /**< that this connection has open; NULL: "cli:<uid>" of this client */
    const char *vm, *selector, *world, *engine;
    const enum stillpoint_hook_kind *kinds;
    size_t n_kinds;
    struct stillpoint_hook_filter filter;
    struct stillpoint_hook_budget budget;
    struct stillpoint_hook_capture capture;
    enum stillpoint_suspend suspend;         /**< 0: none; of breakpoints: the world */
    enum stillpoint_granularity granularity; /**< of steps; 0: statements */
    const struct stillpoint_position *at;    /**< with STILLPOINT_HOOK_BREAKPOINT alone */
    const char *log; /**< a logpoint: text in which {expression} is replaced; NULL: none */
    bool weak;       /**< new-global: this hook alone does not keep its debugger */
    uint64_t realm;  /**< of `vm`; 0: every realm, later ones too */
    bool one_frame;  /**< pop, step: only `frame` of the stopped `vm` */
    uint32_t frame;
    const char *note;     /**< NULL: none */
    uint64_t wait_us;     /**< in the queue, where the world is stopped by somebody else */
    uint64_t deadline_us; /**< of the stop; 0: the daemon's default */
};

/** Where a breakpoint is in one VM. */
struct stillpoint_bound {
    uint64_t vm;
    const char *url, *function;
    uint32_t line, column;
    bool has_offset;
    uint64_t offset;
    bool pending;      /**< no loaded source has it */
    const char *error; /**< it could not be set; NULL: it is */
};

struct stillpoint_hook {
    uint64_t id;
    uint64_t debugger;
    const char *debugger_name;
    enum stillpoint_hook_kind kind;
    const char *target; /**< "vm NAME", "selector GLOB", "world NAME" */
    struct stillpoint_hook_filter filter;
    struct stillpoint_hook_budget budget;
    struct stillpoint_hook_capture capture;
    enum stillpoint_suspend suspend;
    enum stillpoint_granularity granularity;
    const struct stillpoint_position *at; /**< NULL: no breakpoint */
    const char *log;                      /**< NULL: no logpoint */
    bool weak;
    uint64_t realm;
    const char *note; /**< "": none */
    uint64_t since_us;
    uint32_t vms;           /**< in which it is */
    uint64_t hits, dropped; /**< reported by all of them; beyond a budget */
    const struct stillpoint_bound *bound;
    size_t n_bound;
    bool spent; /**< its count or total is used up */
};

/** Freed by stillpoint_hooks_free(). */
struct stillpoint_hooks {
    struct stillpoint_hook *items;
    size_t n;
    struct stillpoint_memory *memory;
};

struct stillpoint_auditor_serves {
    uint64_t debugger;
    const char *name;
    uint64_t hook, hits, dropped, since_us;
};

/** The one object that sits on a referent for one kind of behaviour. */
struct stillpoint_auditor {
    uint64_t vm;
    enum stillpoint_referent_kind referent;
    uint64_t referent_id; /**< 0: of the runtime */
    enum stillpoint_hook_kind kind;
    const char *label; /**< url of the script, name of the function; may be "" */
    const struct stillpoint_auditor_serves *serves; /**< in the order in which they are told */
    size_t n_serves;
    bool armed; /**< false: taken off, its budgets are spent */
};

/** Freed by stillpoint_auditors_free(). */
struct stillpoint_auditors {
    struct stillpoint_auditor *items;
    size_t n;
    struct stillpoint_memory *memory;
};

/** A value as a line of text. */
struct stillpoint_value {
    enum stillpoint_value_type type;
    const char *preview;
    uint64_t
        ref; /**< for stillpoint_vm_variables(), while its VM stays stopped; 0: nothing to see */
    const char *class_name; /**< "": none */
    bool truncated;
};

struct stillpoint_named_value {
    const char *name;
    struct stillpoint_value value;
    bool writable;
    bool getter; /**< it has not been run */
    bool threw;  /**< the value is what was thrown instead */
};

struct stillpoint_location {
    const char *url, *function; /**< "": unknown */
    uint32_t line, column;      /**< from 1; 0: unknown */
    bool has_offset;
    uint64_t offset; /**< if has_offset: in the bytes of a WebAssembly module */
};

/**
 * One hit of one hook. Where some were lost, a hit with only `dropped` (not 0) and `before_seq`
 * stands instead.
 */
struct stillpoint_hit {
    uint64_t seq; /**< of its debugger, from 1 without gaps */
    uint64_t hook, vm;
    const char *vm_name;
    enum stillpoint_hook_kind kind;
    uint64_t time_us, mono_ns, epoch;
    uint64_t vm_seq;                                 /**< of its VM */
    const struct stillpoint_location *location;      /**< NULL: none */
    uint64_t realm, frame_id, script_id, promise_id; /**< 0: none */
    const struct stillpoint_value *value;            /**< NULL: none */
    const char *completion; /**< pop: "return", "throw", "yield", "await", "terminated"; promise:
                               "fulfilled", "rejected"; else NULL */
    const struct stillpoint_frame *frames;
    size_t n_frames;
    const struct stillpoint_named_value *arguments;
    size_t n_arguments;
    const struct stillpoint_named_value *expressions;
    size_t n_expressions;
    const char *log;             /**< NULL: no logpoint */
    const char *condition_error; /**< NULL: none */
    const char *paused;          /**< "world", "vm", or why not; NULL: it does not pause */
    uint64_t hits;               /**< of this hook in this VM, with this one */
    uint64_t budget_dropped;
    const char *source_map; /**< NULL: none */
    bool wasm;
    uint64_t dropped, before_seq;
};

/** Freed by stillpoint_hits_free(). */
struct stillpoint_hits {
    const struct stillpoint_hit *items;
    size_t n;
    uint64_t next_seq; /**< read on from here */
    bool ended;        /**< the debugger is gone: nothing will come after next_seq */
    uint64_t debugger;
    struct stillpoint_memory *memory;
};

/* ---- what is seen of a stopped VM: the word of its worker, which is not trusted */

/** Freed by stillpoint_frames_free(). */
struct stillpoint_frames {
    uint64_t vm;
    const struct stillpoint_frame *items;
    size_t n;
    uint32_t next; /**< 0: that was all */
    struct stillpoint_memory *memory;
};

struct stillpoint_scope {
    const char *scope; /**< "local", "block", "closure", "module", "global", "wasm", "with" */
    uint64_t ref;
    uint32_t variables;
    const char *function; /**< whose, of a closure; "": unknown */
};

/** From the innermost. Freed by stillpoint_scopes_free(). */
struct stillpoint_scopes {
    uint64_t vm;
    uint32_t frame;
    const struct stillpoint_scope *items;
    size_t n;
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_variables_free(). */
struct stillpoint_variables {
    uint64_t vm;
    const struct stillpoint_named_value *items;
    size_t n;
    uint32_t next; /**< 0: that was all */
    uint32_t total;
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_evaluated_free(). */
struct stillpoint_evaluated {
    uint64_t vm;
    bool threw;
    struct stillpoint_value value; /**< or what was thrown */
    const char *json;              /**< NULL: it has none, or it is too long */
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_stepped_free(). */
struct stillpoint_stepped {
    uint64_t vm;
    /** "step", "breakpoint", "exception", "debugger-statement", "hook"; or what came first: "idle",
     * "blocked", "ended", "deadline", "stopped", "resumed". */
    const char *reason;
    const struct stillpoint_frame *frame; /**< NULL: none */
    const struct stillpoint_world *world; /**< after it; NULL: it has gone */
    struct stillpoint_memory *memory;
};

struct stillpoint_source {
    uint64_t id;
    const char *url;
    const char *kind;       /**< "script", "module", "eval", "function", "wasm" */
    uint64_t text_bytes;    /**< of a WebAssembly module: its bytes */
    const char *source_map; /**< NULL: none */
    uint32_t lines;
};

/** Freed by stillpoint_sources_free(). */
struct stillpoint_sources {
    uint64_t vm;
    const struct stillpoint_source *items;
    size_t n;
    uint32_t next; /**< 0: that was all */
    struct stillpoint_memory *memory;
};

/** A part of a source's text. Freed by stillpoint_source_text_free(). */
struct stillpoint_source_text {
    uint64_t vm;
    struct stillpoint_source source;
    uint64_t first_byte;
    const void *text;
    size_t bytes;
    bool more;
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_positions_free(). */
struct stillpoint_positions {
    uint64_t vm;
    const struct stillpoint_location *items;
    size_t n;
    bool truncated;
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_data_free(). */
struct stillpoint_data {
    uint64_t vm, address;
    const void *data; /**< of a read */
    size_t bytes;
    uint64_t memory_bytes; /**< size of the memory */
    struct stillpoint_memory *memory;
};

/** Freed by stillpoint_pause_free(). */
struct stillpoint_pause {
    uint64_t vm, pause;
    const char *reason; /**< "": it does not pause by itself; else as of a step */
    const uint64_t *hooks;
    size_t n_hooks;
    const struct stillpoint_location *location; /**< NULL: none */
    const struct stillpoint_value *value;       /**< returned, or thrown; NULL: none */
    struct stillpoint_memory *memory;
};

struct stillpoint_log_record {
    uint64_t seq;
    enum stillpoint_stream stream;
    const char *level;
    const void *data;
    size_t bytes;
    uint64_t time_us, mono_ns;
};

/** Freed by stillpoint_log_free(). */
struct stillpoint_log {
    const struct stillpoint_log_record *records;
    size_t n;
    uint64_t next_seq; /**< read on from here */
    uint64_t dropped; /**< records between the one asked for and the first one here that are gone */
    bool ended;       /**< nothing will come after next_seq */
    struct stillpoint_memory *memory;
};

/** What a called function gave. Freed by stillpoint_result_free(). */
struct stillpoint_result {
    bool threw;
    const char *json;  /**< the result, unless threw */
    const char *error; /**< text of what was thrown, if threw */
    struct stillpoint_memory *memory;
};

struct stillpoint_check {
    const char *name;
    const char *state;         /**< "ok", "degraded", "missing" */
    const char *detail, *hint; /**< hint may be NULL */
};

/** Freed by stillpoint_checkup_free(). */
struct stillpoint_checkup {
    bool ok;
    const struct stillpoint_check *checks;
    size_t n;
    struct stillpoint_memory *memory;
};

/** Where events were lost, an event with only `dropped` (not 0) and `before_seq` stands instead. */
struct stillpoint_event {
    uint64_t seq;
    enum stillpoint_event_kind kind;
    uint64_t time_us, mono_ns;
    uint64_t vm;            /**< 0: none */
    const char *name;       /**< of that VM, NULL: none */
    const char *world;      /**< NULL: none */
    uint64_t epoch, ticket; /**< 0: none */
    bool has_uid;
    uint32_t uid;                       /**< if has_uid */
    const char *json;                   /**< a message's content, NULL: none */
    const char *detail;                 /**< NULL: none */
    const struct stillpoint_exit *exit; /**< NULL: none */
    uint64_t dropped, before_seq;
};

void *stillpoint_vms_free(struct stillpoint_vms *vms);
void *stillpoint_units_free(struct stillpoint_units *units);
void *stillpoint_worlds_free(struct stillpoint_worlds *worlds);
void *stillpoint_stop_report_free(struct stillpoint_stop_report *report);
void *stillpoint_resumption_free(struct stillpoint_resumption *resumption);
void *stillpoint_continuation_free(struct stillpoint_continuation *continuation);
void *stillpoint_inspection_free(struct stillpoint_inspection *inspection);
void *stillpoint_debuggers_free(struct stillpoint_debuggers *debuggers);
void *stillpoint_hooks_free(struct stillpoint_hooks *hooks);
void *stillpoint_auditors_free(struct stillpoint_auditors *auditors);
void *stillpoint_hits_free(struct stillpoint_hits *hits);
void *stillpoint_frames_free(struct stillpoint_frames *frames);
void *stillpoint_scopes_free(struct stillpoint_scopes *scopes);
void *stillpoint_variables_free(struct stillpoint_variables *variables);
void *stillpoint_evaluated_free(struct stillpoint_evaluated *evaluated);
void *stillpoint_stepped_free(struct stillpoint_stepped *stepped);
void *stillpoint_sources_free(struct stillpoint_sources *sources);
void *stillpoint_source_text_free(struct stillpoint_source_text *text);
void *stillpoint_positions_free(struct stillpoint_positions *positions);
void *stillpoint_data_free(struct stillpoint_data *data);
void *stillpoint_pause_free(struct stillpoint_pause *pause);
void *stillpoint_log_free(struct stillpoint_log *log);
void *stillpoint_result_free(struct stillpoint_result *result);
void *stillpoint_checkup_free(struct stillpoint_checkup *checkup);

/* ---- connection */

/**
 * What arrives without having been asked for. Any may be NULL: an import is then refused, and a
 * wish for input is answered with the end of input, so that no VM waits for ever. What the pointers
 * point to lives until the handler returns.
 */
struct stillpoint_handlers {
    /** Of a subscription. */
    void (*event)(struct stillpoint *sp, const struct stillpoint_event *event, void *data);
    /** Of the attached VM; while this client reads nothing, that VM waits in its next write. */
    void (*console)(struct stillpoint *sp, uint64_t vm, enum stillpoint_stream stream,
                    const void *text, size_t bytes, void *data);
    /** `path` is relative to the program's folder. Answer by stillpoint_answer_import_post(). */
    void (*import)(struct stillpoint *sp, uint64_t vm, uint64_t import_id, const char *path,
                   void *data);
    /** Answer by stillpoint_answer_stdin_post(), at any time. */
    void (*input)(struct stillpoint *sp, uint64_t vm, size_t max_bytes, void *data);
    /** The attached VM has ended; all of its console text came before. */
    void (*ended)(struct stillpoint *sp, uint64_t vm, const struct stillpoint_exit *exit,
                  void *data);
    void *data;
};

/** What the daemon says of itself and of this connection. Lives as long as the connection. */
struct stillpoint_peer {
    const char *daemon; /**< "stillpointd 0.1" */
    uint32_t version;   /**< of the protocol */
    uint32_t uid;       /**< this client's, as the kernel says */
    bool is_private;
    uint64_t started_us;
    const char *roles; /**< what it may do: "observe run", with spaces; "": nothing */
};

/** An error that the daemon answered. Lives until the next request on this connection. */
struct stillpoint_error {
    enum stillpoint_error_code code;
    const char *message; /**< one line, what and why */
    const char *hint;    /**< what to do about it, NULL: none */
};

/**
 * The socket that a client uses unless told otherwise: the first that exists of $STILLPOINT_SOCKET,
 * $XDG_RUNTIME_DIR/stillpoint/control.sock and /run/stillpoint/control.sock. -ENOENT if none does;
 * -ENAMETOOLONG. (One that may not be looked at counts as existing.)
 */
int stillpoint_default_socket(char *ret_path, size_t size);

/**
 * Connects to a socket (NULL: the default one) and introduces this client (`client`: name and
 * version, decoration). Waits at most 10 s for the daemon's answer (-ETIMEDOUT). On
 * STILLPOINT_REFUSED *ret_sp is set too, so that stillpoint_error() can be asked; free it then.
 */
int stillpoint_connect(const char *path, const char *client, struct stillpoint **ret_sp);
/** The same over a connected stream socket, which it takes, also on failure. */
int stillpoint_connect_fd(int fd, const char *client, struct stillpoint **ret_sp);
/**
 * Both ends of a new connection: one for stillpoint_connect_fd(), one for a private daemon. Both
 * are close-on-exec.
 */
int stillpoint_socketpair(int *ret_ours, int *ret_daemons);
struct stillpoint *stillpoint_free(struct stillpoint *sp);

/** Replaces all handlers; copies the struct. */
void stillpoint_set_handlers(struct stillpoint *sp, const struct stillpoint_handlers *handlers);
const struct stillpoint_peer *stillpoint_peer(const struct stillpoint *sp);
const struct stillpoint_error *stillpoint_error(const struct stillpoint *sp);

/** The socket, for a poll loop; never read or write it. */
int stillpoint_fd(const struct stillpoint *sp);
/** What to poll it for: POLLIN, or POLLIN | POLLOUT. */
short stillpoint_poll_events(const struct stillpoint *sp);
/**
 * Sends and receives what can be without waiting, and runs handlers. 0; -ECONNRESET when the daemon
 * has closed the connection, -EPROTO when it sent nonsense, or another negative errno.
 */
int stillpoint_dispatch(struct stillpoint *sp);
/** Waits until something arrives (timeout_ms -1: for ever, else -ETIMEDOUT) and dispatches it. */
int stillpoint_wait(struct stillpoint *sp, int timeout_ms);

/* ---- programs
 *
 * A program goes to the daemon as a sealed memfd; the client reads files, the daemon never does. */

/** Zeros and NULLs mean the daemon's defaults. */
struct stillpoint_run {
    const char *name, *world, *engine;
    const char *program; /**< file name without folders */
    enum stillpoint_source_kind kind;
    const char *const *args;
    size_t n_args;
    /* as in struct stillpoint_limits */
    uint64_t memory_bytes;
    uint32_t cpu_percent;
    uint64_t timeout_us;
    uint64_t cpu_time_us;
    uint32_t tasks;
    uint64_t output_rate;
    uint64_t log_bytes;
    bool debug;
    bool attach;     /**< console to this connection; the VM dies with it */
    bool keep_idle;  /**< stays idle when there is nothing left to do */
    bool wait_ready; /**< the reply waits until the main module was evaluated or waits */
    bool more_files; /**< the reply comes at once; files and a start follow */
};

/** r is 0, STILLPOINT_REFUSED or the errno of a connection that ended. vm is NULL unless r is 0. */
typedef void (*stillpoint_vm_fn)(struct stillpoint *sp, int r, const struct stillpoint_vm *vm,
                                 void *data);

/**
 * Makes a VM from the program in `memfd` (stays the caller's). The reply comes when the program has
 * been compiled and linked; imports are asked of this connection's handlers.
 */
int stillpoint_run(struct stillpoint *sp, const struct stillpoint_run *run, int memfd,
                   struct stillpoint_vms *ret_vms);
int stillpoint_run_async(struct stillpoint *sp, const struct stillpoint_run *run, int memfd,
                         stillpoint_vm_fn done, void *data);
/** One more file for the bundle, between a run with more_files and the start. */
int stillpoint_add_file(struct stillpoint *sp, uint64_t vm, const char *path, int memfd);
int stillpoint_start_async(struct stillpoint *sp, uint64_t vm, stillpoint_vm_fn done, void *data);
/** With memfd -1, `error` says why not. The memfd stays the caller's. */
int stillpoint_answer_import_post(struct stillpoint *sp, uint64_t vm, uint64_t import_id, int memfd,
                                  const char *error);
/** No bytes: the end of input. */
int stillpoint_answer_stdin_post(struct stillpoint *sp, uint64_t vm, const void *data,
                                 size_t bytes);

/* Reading a program's files. */

/** .mjs module, .wasm wasm, else script or module. */
enum stillpoint_source_kind stillpoint_source_kind_of(const char *file_name);
/** The folder of a program's file, as an O_PATH descriptor. Returns it or negative errno. */
int stillpoint_folder_open(const char *program_path);
/**
 * Copies an open file (its size is bounded; a pipe is read to its end) into a new sealed memfd.
 * Returns it, or negative errno, -EFBIG beyond 64 MiB.
 */
int stillpoint_memfd_from(int fd);
/**
 * The regular file `path` below the folder as a new sealed memfd: no symbolic link anywhere in
 * `path`, nothing outside. Returns it or negative errno, which stillpoint_file_error() explains.
 */
int stillpoint_folder_read(int folder, const char *path);
/** "no such file", "is a symbolic link", …; for any negative errno of the functions above. */
const char *stillpoint_file_error(int r);

/** Sorted, without duplicates; start with {0}, end with stillpoint_paths_done(). */
struct stillpoint_paths {
    char **items;
    size_t n, size;
};
/**
 * Adds the regular files below the folder that match a glob (component by component; a leading dot
 * must be matched by a dot). Returns the number that matched; -EINVAL for a glob that is absolute,
 * empty or has a component "", "." or ".."; -E2BIG beyond 10,000 files; or another negative errno.
 */
ssize_t stillpoint_folder_glob(int folder, const char *glob, struct stillpoint_paths *paths);
void stillpoint_paths_done(struct stillpoint_paths *paths);

/* ---- VMs. `vm` is a name, or an id in decimal. */

struct stillpoint_list {
    bool all;          /**< exited ones too */
    const char *world; /**< NULL: every world */
};

int stillpoint_vm_list(struct stillpoint *sp, const struct stillpoint_list *list,
                       struct stillpoint_vms *ret_vms);
int stillpoint_vm_get(struct stillpoint *sp, const char *vm, struct stillpoint_vms *ret_vms);
/** timeout_us 0: none; refused with STILLPOINT_ERROR_TIMED_OUT when it runs out. */
int stillpoint_vm_wait(struct stillpoint *sp, const char *vm, enum stillpoint_wait_for what,
                       uint64_t timeout_us, struct stillpoint_vms *ret_vms);
int stillpoint_vm_kill(struct stillpoint *sp, const char *vm);
int stillpoint_vm_kill_post(struct stillpoint *sp, const char *vm);
/** One owner more, or less, holds this VM. debugger NULL: "cli:<uid>" of this client. */
int stillpoint_vm_hold(struct stillpoint *sp, const char *vm, const char *debugger);
int stillpoint_vm_release(struct stillpoint *sp, const char *vm, const char *debugger);
/** args_json is a JSON array. timeout_us 0: none. */
int stillpoint_vm_call(struct stillpoint *sp, const char *vm, const char *function,
                       const char *args_json, uint64_t timeout_us,
                       struct stillpoint_result *ret_result);
int stillpoint_vm_send(struct stillpoint *sp, const char *vm, const char *json);

struct stillpoint_log_query {
    const char *vm;
    uint64_t from_seq; /**< 0: from last_n, or from the oldest */
    uint32_t last_n;   /**< 0: all */
    bool wait;         /**< until there is something after from_seq, or the VM has ended */
};
/** One page. */
int stillpoint_vm_log(struct stillpoint *sp, const struct stillpoint_log_query *query,
                      struct stillpoint_log *ret_log);
/** r is 0, STILLPOINT_REFUSED or the errno of a connection that ended. log is NULL unless r is 0;
 * what it points to lives until this returns. */
typedef void (*stillpoint_log_fn)(struct stillpoint *sp, int r, const struct stillpoint_log *log,
                                  void *data);
int stillpoint_vm_log_async(struct stillpoint *sp, const struct stillpoint_log_query *query,
                            stillpoint_log_fn done, void *data);

/* ---- units */

/** All of them, or (not NULL) only this one. */
int stillpoint_unit_list(struct stillpoint *sp, const char *only,
                         struct stillpoint_units *ret_units);
/** As its file says now. The reply comes when its program has been loaded; at once if it lives. */
int stillpoint_unit_start(struct stillpoint *sp, const char *unit, struct stillpoint_vms *ret_vms);
/** The reply comes when its VM has ended. */
int stillpoint_unit_stop(struct stillpoint *sp, const char *unit);
/** Whether it is started with the daemon; nothing is started or stopped now. */
int stillpoint_unit_enable(struct stillpoint *sp, const char *unit);
int stillpoint_unit_disable(struct stillpoint *sp, const char *unit);

/** What is wrong with a unit's file; line 0: with all of it. */
typedef void (*stillpoint_unit_error_fn)(unsigned line, const char *text, void *data);
/** Needs no daemon. 0: it is right. -EINVAL: `error` was told what is wrong, all of it. Another
 * negative errno: it cannot be read; stillpoint_file_error() says why. */
int stillpoint_unit_check(const char *path, stillpoint_unit_error_fn error, void *data);

/* ---- worlds */

int stillpoint_world_list(struct stillpoint *sp, struct stillpoint_worlds *ret_worlds);
int stillpoint_world_get(struct stillpoint *sp, const char *world,
                         struct stillpoint_worlds *ret_worlds);

struct stillpoint_stop {
    const char *world;
    uint64_t deadline_us; /**< from the start of service; 0: the daemon's default */
    uint64_t wait_us;     /**< in the queue */
    uint64_t hold_us;     /**< life of the lease; 0: the daemon's default */
    bool enforce;         /**< freeze every VM too */
    bool require_idle;    /**< wake held VMs until they are parked */
    bool kill_late;       /**< kill, rather than freeze, who misses the deadline */
    const char *debugger; /**< who stops it; NULL: "cli:<uid>" of this client */
};
/** VMs that did not arrive are in ret_report->missing; the return value is 0 all the same. */
int stillpoint_world_stop(struct stillpoint *sp, const struct stillpoint_stop *stop,
                          struct stillpoint_stop_report *ret_report);
int stillpoint_world_resume(struct stillpoint *sp, const char *world,
                            struct stillpoint_resumption *ret_resumption);

/** Zeros mean defaults. What ends a run-one is refused without `only`. */
struct stillpoint_continue {
    const char *vm;
    bool only;                           /**< it alone, while all others hold (run-one) */
    bool until_still;                    /**< that ends when it goes idle or blocks */
    enum stillpoint_runner_exit on_exit; /**< 0: the world is stopped again */
    uint64_t deadline_us;                /**< the world is stopped again after this; 0: never */
    /** How it goes on from the pause in which it is; 0: STILLPOINT_ANSWER_CONTINUE. */
    enum stillpoint_pause_answer answer;
    const char *answer_expression; /**< of return and throw, evaluated in the innermost frame */
};
/**
 * Lets a parked VM of a stopped world go on; without `only` that ends the stop. With until_still it
 * returns when the run-one has ended, else when the VM may run.
 */
int stillpoint_vm_continue(struct stillpoint *sp, const struct stillpoint_continue *what,
                           struct stillpoint_continuation *ret_continuation);
/** Makes a VM the target of its world: the one that its debugger talks about. Moves no gate. */
int stillpoint_world_target(struct stillpoint *sp, const char *vm,
                            struct stillpoint_worlds *ret_worlds);

struct stillpoint_lease {
    const char *world;
    const char *debugger; /**< who takes it; NULL: "cli:<uid>" of this client */
    bool steal;           /**< though another debugger of the same uid (for admins: any) has it */
    uint64_t hold_us;     /**< life of the lease; 0: the daemon's default */
};
/** Makes a debugger the controller of a world that has one. */
int stillpoint_lease_take(struct stillpoint *sp, const struct stillpoint_lease *lease,
                          struct stillpoint_worlds *ret_worlds);
/** `to`: a debugger's name, or its id in decimal. */
int stillpoint_lease_hand_over(struct stillpoint *sp, const char *world, const char *to,
                               struct stillpoint_worlds *ret_worlds);

struct stillpoint_inspect {
    const char *world;
    enum stillpoint_inspect_kind kind;
    uint64_t deadline_us; /**< of the stop; 0: the daemon's default */
    uint64_t wait_us;     /**< in the queue */
    uint64_t timeout_us;  /**< for the VMs to answer, after the stop; 0: the daemon's default */
    const char *debugger; /**< who asks; NULL: "cli:<uid>" of this client */
};
/**
 * Stops a world, has every VM serve one request, and lets it go on; inside the present stop for who
 * holds the lease. VMs that did not answer have an `error`; the return value is 0 all the same.
 * -EPROTO also for an answer in a memfd that is not sealed, larger than 256 MiB or malformed.
 */
int stillpoint_world_inspect(struct stillpoint *sp, const struct stillpoint_inspect *inspect,
                             struct stillpoint_inspection *ret_inspection);

/* ---- debuggers */

/**
 * Opens a debugger on this connection, until it is closed or the connection ends; makes it if there
 * is none of this name. `note` and `policy` ("resume", "hold") NULL: none, and "resume". The result
 * has exactly one item.
 */
int stillpoint_debugger_open(struct stillpoint *sp, const char *name, const char *note,
                             const char *policy, struct stillpoint_debuggers *ret_debuggers);
/** By name, or id in decimal. Ends what it holds, and takes it from all who have it open. */
int stillpoint_debugger_close(struct stillpoint *sp, const char *debugger);
int stillpoint_debugger_list(struct stillpoint *sp, struct stillpoint_debuggers *ret_debuggers);

/* ---- hooks: what is observed, on behalf of a debugger */

/** All of them, in every VM of the target, or none. The result has one item for each kind. */
int stillpoint_hook_add(struct stillpoint *sp, const struct stillpoint_interest *interest,
                        struct stillpoint_hooks *ret_hooks);
/** These hooks; or (n 0) all that `debugger` has. The result has those that were removed. */
int stillpoint_hook_remove(struct stillpoint *sp, const uint64_t *hooks, size_t n,
                           const char *debugger, struct stillpoint_hooks *ret_hooks);

/** NULL and 0: any. */
struct stillpoint_hook_query {
    const char *debugger;
    const char *vm; /**< only those that are in this VM */
    uint64_t hook;
};
int stillpoint_hook_list(struct stillpoint *sp, const struct stillpoint_hook_query *query,
                         struct stillpoint_hooks *ret_hooks);
/** The auditors that there are; vm NULL: of every VM. Where no hook is set there is none. */
int stillpoint_auditor_list(struct stillpoint *sp, const char *vm,
                            struct stillpoint_auditors *ret_auditors);

struct stillpoint_hits_query {
    const char *debugger; /**< name, or id in decimal; NULL: "cli:<uid>" of this client */
    uint64_t from_seq;    /**< 0: the oldest kept */
    uint32_t max_hits;    /**< 0: the daemon's choice */
    bool wait;            /**< until there is something */
    bool from_now;        /**< from the next one */
};
/** One page of what is kept for a debugger. Consumes nothing. */
int stillpoint_hits_read(struct stillpoint *sp, const struct stillpoint_hits_query *query,
                         struct stillpoint_hits *ret_hits);
/** r is 0, STILLPOINT_REFUSED or the errno of a connection that ended. hits is NULL unless r is 0;
 * what it points to lives until this returns. */
typedef void (*stillpoint_hits_fn)(struct stillpoint *sp, int r, const struct stillpoint_hits *hits,
                                   void *data);
int stillpoint_hits_read_async(struct stillpoint *sp, const struct stillpoint_hits_query *query,
                               stillpoint_hits_fn done, void *data);

/* ---- a stopped VM
 *
 * All of these need the VM to be parked, in a stop, held or paused; those that change something
 * need the lease of its world too. Lists come in pages: `first` is 0, or `next` of the page before;
 * max 0 is the daemon's choice. */

int stillpoint_vm_frames(struct stillpoint *sp, const char *vm, uint32_t first, uint32_t max,
                         struct stillpoint_frames *ret_frames);
int stillpoint_vm_scopes(struct stillpoint *sp, const char *vm, uint32_t frame,
                         struct stillpoint_scopes *ret_scopes);

struct stillpoint_variables_query {
    const char *vm;
    uint64_t ref; /**< of a scope, or of a value */
    uint32_t first, max;
    bool run_getters; /**< runs guest code */
};
int stillpoint_vm_variables(struct stillpoint *sp, const struct stillpoint_variables_query *query,
                            struct stillpoint_variables *ret_variables);

struct stillpoint_evaluation {
    const char *vm, *expression;
    uint32_t frame;
    bool in_realm;       /**< in the global of `realm`, not in a frame */
    uint64_t realm;      /**< 0: the VM's first */
    uint64_t timeout_us; /**< 0: the daemon's default */
    bool audited;        /**< hooks are told of what it does */
};
/** Runs guest code. An expression that throws is a result: 0, with `threw`. */
int stillpoint_vm_evaluate(struct stillpoint *sp, const struct stillpoint_evaluation *evaluation,
                           struct stillpoint_evaluated *ret_evaluated);
/** Sets a variable that the frame sees to the value of an expression. timeout_us as above. */
int stillpoint_vm_set_variable(struct stillpoint *sp, const char *vm, uint32_t frame,
                               const char *name, const char *expression, uint64_t timeout_us,
                               struct stillpoint_evaluated *ret_evaluated);

/** Zeros mean defaults. */
struct stillpoint_step {
    const char *vm;
    enum stillpoint_step_how how;
    enum stillpoint_granularity granularity;
    const struct stillpoint_position *to; /**< with STILLPOINT_STEP_TO */
    enum stillpoint_step_others others;
    uint64_t deadline_us; /**< it is stopped wherever it is after this; 0: never */
    uint32_t count;       /**< so many steps */
};
/** Returns when the VM stands again. */
int stillpoint_vm_step(struct stillpoint *sp, const struct stillpoint_step *step,
                       struct stillpoint_stepped *ret_stepped);
/** As stillpoint_hits_fn. */
typedef void (*stillpoint_stepped_fn)(struct stillpoint *sp, int r,
                                      const struct stillpoint_stepped *stepped, void *data);
int stillpoint_vm_step_async(struct stillpoint *sp, const struct stillpoint_step *step,
                             stillpoint_stepped_fn done, void *data);

int stillpoint_vm_sources(struct stillpoint *sp, const char *vm, uint32_t first, uint32_t max,
                          struct stillpoint_sources *ret_sources);
struct stillpoint_source_query {
    const char *vm;
    uint64_t source; /**< or (0) by url: */
    const char *url; /**< whole, or its end after a "/" */
    uint64_t first_byte;
    uint32_t max_bytes; /**< 0: the daemon's choice */
};
int stillpoint_vm_source_text(struct stillpoint *sp, const struct stillpoint_source_query *query,
                              struct stillpoint_source_text *ret_text);
/** Places that can take a breakpoint; `line_from`, `line_to` and `offset_to` 0: no bound. */
struct stillpoint_positions_query {
    const char *vm;
    uint64_t source;
    const char *url;
    uint32_t line_from, line_to;
    bool in_offsets; /**< of WebAssembly, instead of lines */
    uint64_t offset_from, offset_to;
};
int stillpoint_vm_positions(struct stillpoint *sp, const struct stillpoint_positions_query *query,
                            struct stillpoint_positions *ret_positions);

/** Linear memory of a WebAssembly instance: that of a frame, or of the VM's program. */
struct stillpoint_memory_place {
    const char *vm;
    bool in_frame;
    uint32_t frame;
    uint32_t memory; /**< index */
    uint64_t address;
};
int stillpoint_vm_memory_read(struct stillpoint *sp, const struct stillpoint_memory_place *place,
                              uint32_t length, struct stillpoint_data *ret_data);
int stillpoint_vm_memory_write(struct stillpoint *sp, const struct stillpoint_memory_place *place,
                               const void *data, size_t bytes, struct stillpoint_data *ret_data);
/** Why a VM pauses by itself, if it does. */
int stillpoint_vm_pause(struct stillpoint *sp, const char *vm, struct stillpoint_pause *ret_pause);

/* ---- events and the daemon */

struct stillpoint_subscription {
    bool replay;        /**< from the oldest event kept */
    uint64_t since_seq; /**< with replay: from here; 0: the oldest */
    bool once;          /**< only what is kept: the subscription ends with the reply */
    const enum stillpoint_event_kind *kinds; /**< NULL: all */
    size_t n_kinds;
};
int stillpoint_subscribe(struct stillpoint *sp, const struct stillpoint_subscription *subscription,
                         uint64_t *ret_last_seq);
int stillpoint_unsubscribe(struct stillpoint *sp);
int stillpoint_doctor(struct stillpoint *sp, struct stillpoint_checkup *ret_checkup);

#ifdef __cplusplus
}
#endif

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
    STILLPOINT_EVENT_VM_LIED, /**< it said that it had arrived, and ran on */
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
};

/** Freed by stillpoint_vms_free(). Replies about one VM have exactly one item. */
struct stillpoint_vms {
    struct stillpoint_vm *items;
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
};

/** Freed by stillpoint_debuggers_free(). */
struct stillpoint_debuggers {
    struct stillpoint_debugger *items;
    size_t n;
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
void *stillpoint_worlds_free(struct stillpoint_worlds *worlds);
void *stillpoint_stop_report_free(struct stillpoint_stop_report *report);
void *stillpoint_resumption_free(struct stillpoint_resumption *resumption);
void *stillpoint_continuation_free(struct stillpoint_continuation *continuation);
void *stillpoint_inspection_free(struct stillpoint_inspection *inspection);
void *stillpoint_debuggers_free(struct stillpoint_debuggers *debuggers);
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
    uint64_t memory_bytes;
    uint32_t cpu_percent; /**< of one CPU */
    uint64_t timeout_us;  /**< on the VM's world clock */
    uint64_t cpu_time_us;
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

/*
 * check_api.h: the door for what clients say. Bytes of a frame in, a plain struct out in which
 * every value has been checked and every default filled in; whatever is wrong is an error that
 * names the field and what is wrong with it. What can only be judged with the daemon's state (does
 * the VM exist, may this uid) is not judged here. Used by the daemon only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/vm_limits.h"

enum api_kind {
    API_HELLO,
    API_RUN_VM,
    API_ADD_FILE,
    API_START_VM,
    API_ANSWER_IMPORT,
    API_ANSWER_STDIN,
    API_KILL_VM,
    API_CALL_FUNCTION,
    API_SEND_MESSAGE,
    API_LIST_VMS,
    API_GET_VM,
    API_READ_LOG,
    API_WAIT_VM,
    API_HOLD_VM,
    API_RELEASE_VM,
    API_LIST_WORLDS,
    API_GET_WORLD,
    API_STOP_WORLD,
    API_RESUME_WORLD,
    API_CONTINUE_VM,
    API_SET_TARGET,
    API_TAKE_LEASE,
    API_HAND_OVER_LEASE,
    API_INSPECT_WORLD,
    API_SUBSCRIBE,
    API_UNSUBSCRIBE,
    API_DOCTOR,
    API_OPEN_DEBUGGER,
    API_CLOSE_DEBUGGER,
    API_LIST_DEBUGGERS,
    API_ADD_HOOKS,
    API_REMOVE_HOOKS,
    API_LIST_HOOKS,
    API_LIST_AUDITORS,
    API_READ_HITS,
    API_LIST_FRAMES,
    API_LIST_SCOPES,
    API_LIST_VARIABLES,
    API_EVALUATE,
    API_SET_VARIABLE,
    API_STEP_VM,
    API_LIST_SOURCES,
    API_READ_SOURCE,
    API_LIST_POSITIONS,
    API_ACCESS_MEMORY,
    API_GET_PAUSE,
    API_LIST_UNITS,
    API_START_UNIT,
    API_STOP_UNIT,
    API_ENABLE_UNIT,
    API_DISABLE_UNIT,
    API_KINDS
};

/** A refused request, or a request that failed: the code is an Stillpoint__Api__ErrorCode. */
struct api_error {
    int code;
    char message[512];
    const char *hint; /**< static text or NULL */
};

/** Fills *e. Always returns -EBADMSG, so that `return api_error_set(…)` reads well. */
int api_error_set(struct api_error *e, int code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Which VM: an id, or a name. */
struct api_vm_ref {
    uint64_t id;      /**< 0: by name */
    const char *name; /**< NULL: by id */
};

enum api_wait_for { API_WAIT_EXITED = 1, API_WAIT_IDLE, API_WAIT_STOPPED, API_WAIT_ACTIVE };

/** What is to be observed, but for where. Texts are UTF-8; NULL: not set. Numbers: 0 is no bound.
 */
struct api_hook {
    unsigned char kinds[LIMIT_HOOK_KINDS]; /**< numbers of HookKind, each at most once */
    size_t n_kinds;
    const char *url, *function, *condition;
    uint32_t line_from, line_to;
    bool wasm, thrown;
    uint64_t skip, count;
    uint32_t per_second;
    uint64_t total, capture_us, capture_bytes;
    uint32_t stack_depth;
    bool arguments, value;
    size_t n_expressions;
    char *const *expressions;
    unsigned suspend;     /**< a Suspend's number */
    unsigned granularity; /**< of steps: a Granularity's number; else 0 */
    struct {
        const char *url; /**< NULL: no breakpoint */
        uint32_t line, column;
        uint64_t offset;
    } at;
    const char *log, *note;
    bool weak, one_frame;
    uint64_t realm;
    uint32_t frame;
};

/*
 * debuggers: a debugger's name is that of a VM in form, or "cli:<uid>"; a reference to one may also
 * be its id in decimal. On whose behalf something is done: NULL stands for the "cli:<uid>" of who
 * asks.
 */

struct api_request {
    uint64_t id; /**< not 0 */
    enum api_kind kind;
    unsigned n_fds; /**< descriptors that came with the frame: 0 or 1; set on -EBADMSG too */
    union {
        struct {
            const char *client;
        } hello; /**< of version 1 */
        struct {
            const char *name; /**< NULL: from program */
            const char *world, *engine, *program;
            unsigned source_kind; /**< enum engine_source_kind's number */
            size_t argc;
            char *const *argv;
            struct vm_limits limits; /**< 0: not asked for */
            bool debug, attach, keep_idle, wait_ready, more_files;
        } run_vm;
        struct {
            uint64_t vm;
            const char *path;
        } add_file;
        struct {
            uint64_t vm;
        } start_vm;
        struct {
            uint64_t vm, import_id;
            const char *error; /**< NULL: the fd is the answer */
        } answer_import;
        struct {
            uint64_t vm;
            const uint8_t *data;
            size_t len;
        } answer_stdin;
        struct {
            struct api_vm_ref vm;
        } vm; /**< kill, get, set target, get pause */
        struct {
            struct api_vm_ref vm;
            const char *debugger; /**< see `debuggers` */
        } hold;                   /**< hold, release */
        struct {
            struct api_vm_ref vm;
            const char *function, *args_json;
            uint64_t timeout_us;
        } call_function;
        struct {
            struct api_vm_ref vm;
            const char *json;
        } send_message;
        struct {
            bool all;
            uint32_t page_size; /**< 1 to LIMIT_PAGE_ITEMS */
            uint64_t page_token;
            const char *world; /**< NULL: any */
        } list_vms;
        struct {
            struct api_vm_ref vm;
            uint64_t from_seq;
            uint32_t last_n;
            bool wait;
        } read_log;
        struct {
            struct api_vm_ref vm;
            enum api_wait_for what;
            uint64_t timeout_us;
        } wait_vm;
        struct {
            uint32_t page_size;
            const char *page_token; /**< NULL: from the start */
        } list_worlds;
        struct {
            uint32_t page_size;
            const char *page_token; /**< NULL: from the start */
            const char *unit;       /**< NULL: any */
        } list_units;
        struct {
            const char *unit;
        } unit; /**< start, stop, enable, disable */
        struct {
            const char *world;
        } world; /**< get, resume */
        struct {
            const char *world;
            uint64_t deadline_us, wait_us, hold_us;
            bool enforce, require_idle, kill_late;
            const char *debugger; /**< see `debuggers` */
        } stop_world;
        struct {
            struct api_vm_ref vm;
            bool only, until_still;
            unsigned on_exit;              /**< a RunnerExit's number; 0 without `only` */
            uint64_t deadline_us;          /**< 0: none */
            unsigned answer;               /**< a PauseAnswer's number */
            const char *answer_expression; /**< of return and throw; else NULL */
        } continue_vm;
        struct {
            const char *world;
            const char *debugger; /**< take; see `debuggers` */
            const char *to;       /**< hand over: a name, or an id in decimal */
            bool steal;
            uint64_t hold_us; /**< never 0 */
        } lease;              /**< take, hand over */
        struct {
            const char *world;
            unsigned kind; /**< an InspectKind's number */
            uint64_t deadline_us, wait_us, timeout_us;
            const char *debugger; /**< see `debuggers` */
        } inspect;
        struct {
            uint64_t since_seq;
            uint64_t kinds; /**< bit 1 << EventKind; never 0 */
            bool replay, once;
        } subscribe;
        struct {
            const char *name;
            const char *note; /**< NULL: as it is */
            bool has_policy;  /**< else: as it is */
            bool hold_policy; /**< else: resume */
        } open_debugger;
        struct {
            const char *name; /**< a name, or an id in decimal */
        } debugger;           /**< close */
        struct {
            uint32_t page_size; /**< 1 to LIMIT_PAGE_ITEMS */
            uint64_t page_token;
        } list_debuggers;
        struct {
            const char *debugger; /**< see `debuggers` */
            bool one_vm;          /**< `vm` says where; else selector or world, or both */
            struct api_vm_ref vm;
            const char *selector, *world, *engine;
            struct api_hook hook;
            uint64_t wait_us, deadline_us; /**< never 0 */
        } add_hooks;
        struct {
            size_t n; /**< 0: all of the debugger */
            const uint64_t *hooks;
            const char *debugger; /**< a name, or an id in decimal; NULL where there are hooks */
        } remove_hooks;
        struct {
            const char *debugger; /**< NULL: any */
            uint64_t hook;        /**< 0: any */
            bool one_vm;
            struct api_vm_ref vm;
            uint32_t page_size;
            uint64_t page_token;
        } list_hooks;
        struct {
            bool one_vm;
            struct api_vm_ref vm;
            uint32_t page_size;
            uint64_t page_token;
        } list_auditors;
        struct {
            const char *debugger; /**< a name, or an id in decimal */
            uint64_t from_seq;    /**< 0: the oldest kept */
            uint32_t max_hits;    /**< 1 to LIMIT_PAGE_ITEMS */
            bool wait, from_now;
        } read_hits;
        struct {
            struct api_vm_ref vm;
            uint32_t first;
            uint32_t max; /**< 1 to LIMIT_PAGE_FRAMES, LIMIT_PAGE_SOURCES */
        } look_page;      /**< list frames, list sources */
        struct {
            struct api_vm_ref vm;
            uint32_t frame;
        } list_scopes;
        struct {
            struct api_vm_ref vm;
            uint64_t ref; /**< never 0 */
            uint32_t first;
            uint32_t max; /**< 1 to LIMIT_PAGE_VARIABLES */
            bool run_getters;
        } list_variables;
        struct {
            struct api_vm_ref vm;
            const char *expression;
            uint32_t frame;
            bool in_realm, audited;
            uint64_t realm;
            uint64_t timeout_us; /**< never 0 */
        } evaluate;
        struct {
            struct api_vm_ref vm;
            uint32_t frame;
            const char *name, *expression;
            uint64_t timeout_us; /**< never 0 */
        } set_variable;
        struct {
            struct api_vm_ref vm;
            unsigned how, granularity; /**< numbers of StepHow, Granularity */
            struct {
                const char *url; /**< NULL: it is not a step to a place */
                uint32_t line, column;
                uint64_t offset;
            } at;
            bool others_run;
            uint64_t deadline_us; /**< 0: none */
            uint32_t count;       /**< 1 to LIMIT_STEPS */
        } step_vm;
        struct {
            struct api_vm_ref vm;
            uint64_t source; /**< 0: by url */
            const char *url;
            uint64_t first_byte;
            uint32_t max_bytes; /**< 1 to LIMIT_DATA_BYTES */
        } read_source;
        struct {
            struct api_vm_ref vm;
            uint64_t source; /**< 0: by url */
            const char *url;
            uint32_t line_from, line_to;
            bool wasm; /**< by offsets instead */
            uint64_t offset_from, offset_to;
        } list_positions;
        struct {
            struct api_vm_ref vm;
            uint32_t frame;
            bool in_frame;
            uint32_t memory;
            uint64_t address;
            uint32_t length; /**< 0: it writes */
            const uint8_t *write;
            size_t write_bytes;
        } access_memory;
    };
    void *message; /**< owns what the pointers point into */
};

/**
 * Checks one frame. Returns 0; -EPROTO if it is no Envelope at all (the connection ends), or
 * -EBADMSG if this request is refused; then *ret_request holds only `id` (0 if even that is
 * unknown) and `n_fds`, and *ret_error says why. check_api_done() after 0.
 */
int check_api_request(const uint8_t *data, size_t bytes, struct api_request *ret_request,
                      struct api_error *ret_error);
void check_api_done(struct api_request *request);

/** "StopWorld" and so on, for logs and errors. */
const char *api_kind_name(enum api_kind kind);

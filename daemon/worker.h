/*
 * worker.h: one VM and the process it lives in, from birth until its exit has been reaped. It owns
 * the process (pidfd), its cell of the freezer, the channel, the gate's pages, the limits' timer
 * and the console log. It knows no client and no mode of a world: what happens goes up by the
 * callbacks.
 *
 * Process and thread: the daemon's only thread. Owner: registry; everyone else keeps the id.
 *
 * Phases: spawning → setup → loading → admitted → exited, and any → exited. worker_set_phase() in
 * worker.c holds the table.
 *  - spawning: the zygote was asked; there is a channel and a gate, no process that we know
 *  - setup: the process exists; its sandbox is being built
 *  - loading: the program was handed over; it compiles, imports are fetched
 *  - admitted: the gate was released: from here on guest code may run
 *  - exited: reaped; no process, channel or gate any more; log and exit are kept
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/freezer.h"
#include "daemon/vm_journal.h"
#include "daemon/vm_log.h"
#include "daemon/worker_limits.h"
#include "daemon/zygote_client.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "proto/state.pb-c.h"
#include "proto/vm_limits.h"
#include "shared-mem/stop.h"

struct event;
struct event_base;
struct fd_store;
struct worker_channel;
struct worker_queued;

enum worker_phase {
    WORKER_SPAWNING,
    WORKER_SETUP,
    WORKER_LOADING,
    WORKER_ADMITTED,
    WORKER_GONE,
};

/** The numbers of ExitReason in api.proto. */
enum exit_reason {
    EXIT_REASON_EXITED = 1,
    EXIT_REASON_ERROR,
    EXIT_REASON_OOM,
    EXIT_REASON_TIMEOUT,
    EXIT_REASON_KILLED,
    EXIT_REASON_CRASHED,
    EXIT_REASON_SECCOMP,
    EXIT_REASON_UNKNOWN,
};

/** The numbers of worker.proto's Layer. */
enum worker_layer_state { WORKER_LAYER_OFF, WORKER_LAYER_DEGRADED, WORKER_LAYER_ON };

struct worker_exit {
    enum exit_reason reason; /**< 0 while it lives */
    unsigned code, signal;
    char detail[512]; /**< "" if there is nothing to say */
};

/** What a VM was asked to be. */
struct worker_config {
    const char *name, *world, *engine, *program;
    unsigned source_kind;
    size_t argc;
    char *const *argv;
    struct vm_limits limits;
    uid_t uid;
    bool debug, attach, keep_idle, more_files;
    bool allow_degraded;
    uint32_t adoption_ms; /**< how long it lives without a daemon; 0: it dies with it */
    unsigned helper_threads;
    size_t n_labels;
    char *const *labels; /**< "KEY=VALUE" */
    const char *origin;  /**< as in struct worker */
};

struct worker;

/** What an Inspect asks for; the numbers of its `kind` in worker.proto. The first three are those
 * of InspectKind in api.proto. */
enum worker_inspect_kind {
    WORKER_INSPECT_GC = 1,
    WORKER_INSPECT_CENSUS,
    WORKER_INSPECT_STACK,
    WORKER_INSPECT_PARK,
    WORKER_INSPECT_SET_HOOKS,
    WORKER_INSPECT_FRAMES,
    WORKER_INSPECT_SCOPES,
    WORKER_INSPECT_VARIABLES,
    WORKER_INSPECT_EVALUATE,
    WORKER_INSPECT_ASSIGN,
    WORKER_INSPECT_SOURCES,
    WORKER_INSPECT_READ_SOURCE,
    WORKER_INSPECT_POSITIONS,
    WORKER_INSPECT_MEMORY,
    WORKER_INSPECT_STEP,
    WORKER_INSPECT_CHECK_ANSWER,
};

/** How far a VM is from being kept from running by the kernel; enforcer.c moves it. */
enum worker_freeze_state {
    WORKER_THAWED,
    WORKER_SETTLING, /**< said that it has arrived; watched until its main thread sleeps */
    WORKER_FREEZING, /**< asked of the kernel, not confirmed */
    WORKER_FROZEN,   /**< confirmed */
    WORKER_FREEZE_FAILED,
};

struct worker_freeze {
    enum worker_freeze_state state;
    bool judge, lied;
    bool based; /**< base_ns has all that the main thread ran before it arrived */
    uint64_t since_ns, base_ns, commands_sent;
};

/** One debugger's holds of a VM. */
struct worker_hold {
    uint64_t debugger;
    char name[LIMIT_NAME_BYTES + 1];
    unsigned count;
    bool pause; /**< one of them is for the pause that is open */
};

/** The pause that the VM has made by itself and that has not been answered; worker_pause.h. */
struct worker_pause {
    uint64_t number; /**< 0: none */
    Stillpoint__Worker__Paused *said;
    unsigned answer;  /**< a PauseAnswer's number: how it will go on */
    char *expression; /**< of that, or NULL */
    bool in_stop;     /**< the present controller has been shown it */
    uint64_t stopper; /**< debugger whose stop for it has not come yet; 0: none */
    uint64_t holders[LIMIT_HOLDS_PER_VM]; /**< debuggers that are about to hold the VM for it */
    size_t n_holders;
    struct event *expiry; /**< of the holds that were taken for it */
};

/** The step that is armed in the VM. */
struct worker_step {
    uint64_t number; /**< 0: none */
    uint64_t debugger;
    bool of_vm;   /**< its end holds the VM alone, and does not stop the world */
    bool awaited; /**< somebody waits for its end: else it is forgotten before the VM next runs */
};

/** The evaluation that was sent and has not been answered; worker_evaluation.h. */
struct worker_evaluation {
    uint64_t number; /**< 0: none */
    uint64_t request;
    const char *withdrawn; /**< why; NULL: it may run */
    struct event *timer;   /**< of its limit; once it is withdrawn, of its end */
};

#define WORKER_MAX_INSPECTS 16u

struct worker_events {
    /** A fact that is legal in this phase's table; returns NULL or why the worker must go. */
    const char *(*on_fact)(void *userdata, struct worker *w, const struct worker_fact *fact);
    /** The worker wrote its eventfd: it has arrived somewhere. */
    void (*on_kicked)(void *userdata, struct worker *w);
    /** Of one that is kept: a command waits for room in its socket, and must not be lost. 0 or
     * negative errno: then it is not accepted. */
    int (*on_queued)(void *userdata, struct worker *w, const struct worker_queued *queued);
    /** It has gone out. */
    void (*on_sent)(void *userdata, struct worker *w, uint64_t number);
    /** The VM is over: w->exit says how. Its gate and cell are still there, and go after this. */
    void (*on_ended)(void *userdata, struct worker *w);
};

struct worker {
    uint64_t id;
    char name[LIMIT_NAME_BYTES + 1], world[LIMIT_NAME_BYTES + 1], engine[LIMIT_NAME_BYTES + 1];
    char *program;
    size_t argc;
    char **argv;
    size_t n_labels;
    char **labels; /**< "KEY=VALUE" */
    char *origin;  /**< of a unit's VM, where its program lies; NULL: a client gave it */
    uid_t uid;
    unsigned source_kind;
    struct vm_limits limits;
    bool debug, attach, keep_idle;
    bool files_pending; /**< RunVm(more_files): StartVm has not come yet */
    bool sandboxed;     /**< it said that its sandbox stands */
    bool ready;         /**< its main module was evaluated, or waits */

    enum worker_phase phase;
    struct stop_gate gate;
    struct freezer_cell cell;
    struct worker_channel *channel;
    pid_t pid;
    int pidfd, program_fd;
    int life_fd;           /**< our end of its lifeline, until it is kept elsewhere; else -1 */
    bool outlives;         /**< it may outlive this daemon */
    bool is_kept;          /**< its descriptors are in the service manager's store */
    bool adopted;          /**< it was born under another daemon: it is no child of ours */
    uint64_t hearing;      /**< number of the fact that is, or was last, being dealt with */
    uint64_t deferred;     /**< the first fact of which not all has been put down yet; 0: none */
    uint64_t first_number; /**< of what this daemon asks of it: what is smaller nobody waits for */
    uint64_t started_us, ended_us, cpu_us;
    bool admitted;   /**< guest code could run, once; its gate says so no more when it has ended */
    uint64_t ran_us; /**< of one that has ended: for how long, on its world clock */
    struct worker_limits timed; /**< limits that have clocks */
    unsigned console_holds;     /**< enum worker_console_hold */
    uint64_t client; /**< connection that answers its imports and reads its console; 0: none */
    size_t bundle_files, bundle_bytes;
    uint64_t *imports; /**< numbers of those that were asked of the client and not answered */
    size_t open_imports;
    /** Calls and messages sent, those that its engine has taken, and the bytes of the difference.
     */
    uint64_t messages_sent, messages_taken;
    size_t message_bytes;
    uint32_t message_sizes[LIMIT_MESSAGES_QUEUED]; /**< of message n at n % size */
    bool wait_ready, stdin_open;
    struct worker_hold holds[LIMIT_HOLDS_PER_VM];
    size_t n_holds;
    struct worker_freeze freeze;
    bool serving;           /**< frozen, but for the requests that it serves */
    uint64_t commands_sent; /**< on its channel: each is a reason to run for a moment */
    /** Requests that it was asked to serve behind its gate, and has not answered. */
    uint64_t inspects[WORKER_MAX_INSPECTS], last_inspect;
    uint64_t given_up[WORKER_MAX_INSPECTS]; /**< those of them for which nobody waits any more */
    size_t n_inspects, n_given_up;
    unsigned n_hooks;      /**< that it has; audit counts them */
    uint64_t park_request; /**< the one that only asks it to come to its gate; 0: none */
    struct worker_pause pause;
    struct worker_step step;
    struct worker_evaluation evaluation;
    uint64_t last_pause, last_step, last_evaluation; /**< numbers given */
    struct worker_exit exit, said_exit; /**< how it ended; what its own last fact said */
    char *load_error; /**< why its program could not be linked; it is about to end */
    struct vm_log log;
    struct vm_journal journal; /**< what of that goes to the journal, too */
    size_t n_layers;
    struct {
        char name[33];
        unsigned state;
    } layers[WORKER_MAX_LAYERS];

    const struct worker_host *host;
    struct event *died, *kicked, *farewell;
    const struct worker_events *events;
    void *userdata;
};

/** What all VMs of a daemon have of it; outlives them. */
struct worker_host {
    struct event_base *base;
    struct freezer *freezer; /**< NULL: VMs get no cgroups */
    struct look_queue *looks;
};

/**
 * Makes the VM object with its pages and channel, in a world. Asks no zygote yet. `program_fd` (a
 * sealed memfd) is taken, also on failure. Returns 0 or negative errno.
 */
int worker_new(const struct worker_host *host, struct stop_world *world, uint64_t id,
               const struct worker_config *config, int program_fd,
               const struct worker_events *events, void *userdata, struct worker **ret);
struct worker *worker_free(struct worker *w);

/**
 * The same for nobody yet: it is in no world, and of `config` it has what its process has to know:
 * engine, limits, debug, keep_idle, and how long it lives without a daemon. `kept`: its world's.
 */
int worker_new_apart(const struct worker_host *host, bool kept, uint64_t id,
                     const struct worker_config *config, const struct worker_events *events,
                     void *userdata, struct worker **ret);
/**
 * That one becomes the VM that `config` says, in the world that it was spawned for; the config is
 * as the one that it was made with, in what the process had to know. From here on it is like one of
 * worker_new(), at whatever point of its birth it is. 0, or negative errno: then nobody may use it.
 */
int worker_give(struct worker *w, struct stop_world *world, const struct worker_config *config,
                int program_fd, const struct worker_events *events, void *userdata);

/**
 * Takes over a worker of a daemon that is gone, as the record says, in its world; all that was kept
 * of it is taken out of the store. What this daemon asks of it is numbered from `first_number` on.
 * It hears nothing yet: worker_adopted(), once its world is settled. -ENOENT: not all of it was
 * kept, or it had not come as far as to run; then it is killed.
 */
int worker_adopt(const struct worker_host *host, struct stop_world *world,
                 const Stillpoint__State__Vm *m, struct fd_store *store, uint64_t first_number,
                 const struct worker_events *events, void *userdata, struct worker **ret);
/** One that has ended, as the record says: what is still shown of it, with what it wrote. NULL
 * without memory. */
struct worker *worker_adopt_exited(const struct worker_host *host, const Stillpoint__State__Vm *m,
                                   struct fd_store *store, const struct worker_events *events,
                                   void *userdata);
/** A command that the daemon before had queued for it, in the order of their numbers; its fd is
 * taken out of the store. 0 or negative errno. */
int worker_adopt_queued(struct worker *w, const Stillpoint__State__Queued *m,
                        struct fd_store *store);
/** Facts up to `heard`, if that is more than its page says, have been dealt with. */
void worker_adopt_heard(struct worker *w, uint64_t heard);
/** `lifeline` as for worker_spawn(). */
void worker_adopted(struct worker *w, int lifeline);

/** Asks for the process, of a VM in this world. `lifeline` is the read end of a pipe that only the
 * daemon holds. */
int worker_spawn(struct worker *w, struct zygote_client *zygote, const struct stop_world *world,
                 int lifeline, const struct worker_config *config);
/** The zygote answered: takes pidfd. */
void worker_spawned(struct worker *w, const struct zygote_birth *birth);

/** Born: its sandbox stands, or not, and this is what it says of that. */
void worker_take_posture(struct worker *w, const struct worker_fact *born);
/** Sends the program; in phase setup, after its sandbox stands. */
int worker_load(struct worker *w);
/** Has the service manager keep it for the next daemon, before anybody is told that it runs. */
void worker_keep(struct worker *w);
/** The VM with this id is gone, and its record, too. */
void worker_keep_no_more(uint64_t id);
/** Program and limits are in place: releases the gate. */
void worker_admit(struct worker *w);

/* Commands to the worker. 0, -ENOBUFS when it does not read, -EPIPE when it is gone. fds are taken.
 */
int worker_send_file(struct worker *w, const char *path, int fd);
int worker_send_import(struct worker *w, uint64_t import_id, const char *error, int fd);
/** One more was asked of its client. 0 or -ENOMEM. */
int worker_note_import(struct worker *w, uint64_t import_id);
/** It was answered, or never will be by that. */
void worker_forget_import(struct worker *w, uint64_t import_id);
int worker_send_stdin(struct worker *w, const uint8_t *data, size_t len);
int worker_send_call(struct worker *w, uint64_t call_id, const char *function,
                     const char *args_json);
int worker_send_message(struct worker *w, const char *json);
/** A call that was sent is not begun any more, if it has not been; best effort: a worker that does
 *  not read is not told. */
void worker_cancel_call(struct worker *w, uint64_t call_id);
/** Asks it to serve a request behind its closed gate; kind and body are set, its number is set
 * here. Answered by the fact Inspected with the number that this returns. -EBUSY: it owes too many
 * answers · -EMSGSIZE: it does not fit in a packet. */
int worker_send_inspect(struct worker *w, Stillpoint__Worker__Inspect *inspect,
                        uint64_t *ret_request);
/** How it goes on from a pause; whoever sends it lets it go on after that. */
int worker_send_answer(struct worker *w, uint64_t pause, unsigned answer, const char *expression);
/** Asks an idle or blocked VM to come to its gate; once, until it has answered. */
void worker_ask_to_park(struct worker *w);
/** An answer has come: false if nobody asked that. */
bool worker_inspected(struct worker *w, uint64_t request);
/** Nobody waits for this answer any more: it is not thawed for its sake. */
void worker_give_up(struct worker *w, uint64_t request);
/** Reads what has come on its channel now, rather than with the next turn of the loop. */
void worker_hear(struct worker *w);
/** While any of these is on, the worker's console window is not opened again: it will wait. */
enum worker_console_hold {
    WORKER_HOLD_CLIENT = 1, /**< its client is behind */
    WORKER_HOLD_RATE = 2,   /**< it writes faster than it may */
};
void worker_hold_console(struct worker *w, enum worker_console_hold why, bool hold);

/** Number of the last fact that no other daemon has to hear, with all before it. */
uint64_t worker_dealt_with(const struct worker *w);

/** Ends the VM by SIGKILL through its pidfd; the first reason stays. */
void worker_kill(struct worker *w, enum exit_reason reason, const char *detail);
/** See nudge.h. */
void worker_nudge(struct worker *w);

/** It has said how it ends: should it live on for long after its ack, it is killed. */
void worker_farewell(struct worker *w);

/** Its program is WebAssembly. */
bool worker_is_wasm(const struct worker *w);
/** CPU time of the process in us, as of now or of its end. */
uint64_t worker_cpu_us(const struct worker *w);
/** Resident bytes of the process now; 0 once it is gone. */
uint64_t worker_memory_bytes(const struct worker *w);
/** Likewise, with what was swapped out and the tables of its pages, which no other limit counts. */
uint64_t worker_used_bytes(const struct worker *w);

/* target_private.h: what the parts of target share. */
#pragma once

#include "client/stillpoint.h"

#include "gateway/gdbserver/address.h"
#include "gateway/gdbserver/target.h"

/* Bounds on what is kept for one debugger. */
#define TARGET_MOST_THREADS 4096
#define TARGET_MOST_INSTANCES 65536
#define TARGET_MOST_BREAKPOINTS 65536
#define TARGET_MOST_FRAMES 100
#define TARGET_MOST_WATCHED_BYTES 8
#define TARGET_ERROR_BYTES 256

/** For VMs to arrive at a stop: longer than the daemon's own choice, since one that is frozen
 * cannot be looked into. */
#define TARGET_DEADLINE_US 5000000

/** The thread there is where no VM has WebAssembly. Ids of VMs do not come near it. */
#define TARGET_NO_VM 0x7fffffffffffffffull

/** Bytes of a module, which all instances of it have in common. */
struct image {
    unsigned users;
    uint8_t *bytes;
    size_t n;
    struct wasm_module *module; /**< NULL: it was not understood */
    struct image *next;
};

struct instance {
    struct target_instance seen;
    char name[STILLPOINT_NAME_BYTES + 16];
    uint64_t source; /**< its id in its VM */
    char *url;
    struct image *image; /**< NULL: not read yet */
    bool there;          /**< for target_refresh() */
};

struct thread {
    struct target_thread seen;
    char vm_name[STILLPOINT_NAME_BYTES + 1], name[STILLPOINT_NAME_BYTES + 32];
    char vm[24]; /**< the id as a text, as the daemon wants it */
    bool there, wasm;
    bool debug, known; /**< it was started with --debug; its frames have shown whether */
    bool ended;

    /* of the present stop */
    bool has_stack;
    struct target_frame *frames;
    size_t n_frames;
    size_t scoped_frame; /**< whose variables these are */
    bool has_variables;
    struct stillpoint_variables variables;
};

struct breakpoint {
    uint64_t asked, bound; /**< where, and where it slid to */
    uint64_t hook;         /**< 0: it can never be hit */
};

/** Bytes of memory whose change is to be told. */
struct watch {
    uint64_t asked, address; /**< as LLDB knows it; with its instance */
    size_t len;
    uint8_t bytes[TARGET_MOST_WATCHED_BYTES]; /**< as they were */
};

struct target {
    struct stillpoint *sp;
    char *world, *only; /**< only: NULL, or that VM's id */
    char *policy;
    char debugger[32];
    bool lost;
    char error[TARGET_ERROR_BYTES];

    struct thread **threads;
    size_t n_threads;
    struct thread nobody;
    struct instance **instances;
    size_t n_instances;
    uint32_t last_instance;
    bool changed; /**< instances have */
    struct image *images;

    struct breakpoint *breakpoints;
    size_t n_breakpoints, size_breakpoints;
    uint64_t hook_loaded, hook_traps; /**< 0: not yet */
    struct watch watches[TARGET_MOST_WATCHES];
    size_t n_watches;

    bool news;   /**< something happened: the world has to be looked at */
    bool missed; /**< at our stop a VM did not arrive */
    bool stands; /**< and `stop` says why */
    bool had_threads;
    uint32_t exit_code;               /**< of the VM that ended last */
    bool missed_events;               /**< some have been lost: an end of a VM may be among them */
    char refused[TARGET_ERROR_BYTES]; /**< why it does not go on as was asked; "": it does */
    struct target_stop stop;
    char text[TARGET_ERROR_BYTES]; /**< of the stop */

    uint64_t alone;    /**< the thread that goes on while all others stand; 0: they do not */
    uint64_t stepping; /**< a thread that makes a step: its end tells; 0: none */
    bool step_others;
    bool step_on;      /**< one after the other, until something that is watched has changed */
    bool interrupting; /**< the world is to stand, whatever else comes */
    bool step_said;    /**< how it ended has been said, and not been looked at yet */
    bool step_whole;   /**< it ended since it was done, */
    bool step_script;  /**< in what is no WebAssembly */
    bool step_done;
    enum target_reason step_reason;
};

/** What a call of the library said: 0, or an errno, with target_error(). */
int target_check(struct target *t, int r, const char *what);
int target_fail(struct target *t, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct thread *target_thread(const struct target *t, uint64_t id);
struct instance *target_instance(const struct target *t, uint32_t id);
/** The instance whose source this is; NULL. */
struct instance *target_instance_of(const struct target *t, uint64_t vm, const char *url,
                                    uint64_t source);
/** Threads and instances as they are now. */
int target_refresh(struct target *t);
/** Some VM that lives is a thread. */
bool target_has_threads(const struct target *t);
/** Finds VMs that have ended without our having heard of it. */
void target_check_threads(struct target *t);
void target_free_world(struct target *t);
/** Forgets what a stop has told. */
void target_forget(struct target *t);
void target_forget_thread(struct thread *th);
void target_name_thread(struct thread *th);
/** Reads a module's bytes, if that was not done. */
int target_image(struct target *t, struct instance *in);

void target_end_breakpoints(struct target *t, const struct instance *in);
/** In which instance a breakpoint with this hook is; 0: there is none. */
uint32_t target_hook_instance(const struct target *t, uint64_t hook);
/** What LLDB asked for, where a breakpoint of this thread's innermost frame slid; else the pc. */
uint64_t target_asked(const struct target *t, uint64_t pc);
/** Takes the hooks on that tell of traps and of modules that are loaded. */
int target_observe(struct target *t);

/** The thread whose memory is watched; 0: nothing is. */
uint64_t target_watched(const struct target *t);
/** Whether something that is watched is not as it was when this was last told, or written by us. */
bool target_watch_changed(struct target *t, uint64_t *ret_asked);
/** We have written these bytes. */
void target_watch_written(struct target *t, uint64_t address, size_t len);
void target_end_watches(struct target *t, const struct instance *in);

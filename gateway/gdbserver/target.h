/*
 * target.h: a world (or one VM of it) as a debugger of WebAssembly sees it: threads, which are VMs;
 * instances of modules; why everything stands; what each thread's stack, locals and memory are. A
 * target owns its connection to the daemon and the debugger object there, by which the world is
 * stopped, and all that is remembered of a stop. It knows nothing of packets.
 *
 * In the gateway, one thread. Functions return 0 or a negative errno; then target_error() says what
 * was wrong, in a line. -ECONNRESET, -EPROTO and the like, once target_is_lost(): the daemon is
 * gone. What a result points to lives until the world goes on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/gdbserver/wasm_module.h"

struct target;

/** NULL: the daemon's default socket, the world "default", all its VMs, "resume". */
struct target_options {
    const char *socket, *world, *vm, *policy;
};

/** Why the world stands. */
enum target_reason {
    TARGET_INTERRUPTED,
    TARGET_BREAKPOINT,
    TARGET_STEPPED,
    TARGET_CHANGED, /**< memory that is watched; the text is its address, as it was asked for */
    TARGET_TRAPPED,
    TARGET_LOADED,  /**< a module was instantiated: nothing of it has run */
    TARGET_ENDED,   /**< the thread that ran alone has ended */
    TARGET_FOREIGN, /**< somebody else has stopped it */
    TARGET_OVER,    /**< every VM that was a thread has ended; there is nothing to look at */
};

struct target_stop {
    enum target_reason reason;
    uint64_t thread;    /**< that it is about; always one of the threads */
    const char *text;   /**< more about it; NULL: nothing */
    uint32_t exit_code; /**< when it is over: of the VM that ended last */
};

/** A VM that has WebAssembly. */
struct target_thread {
    uint64_t id;
    const char *name;
};

/** An instance of a module in a VM. */
struct target_instance {
    uint32_t id;
    uint64_t thread;
    const char *name; /**< of its module, and unique: with the id */
    uint64_t image_bytes;
};

/** One frame, 0 the innermost. */
struct target_frame {
    uint64_t pc;       /**< ADDRESS_NOWHERE: it is not WebAssembly, or cannot be looked into */
    uint32_t instance; /**< 0: none */
    uint32_t at;       /**< offset of its present instruction */
};

struct target_value {
    enum wasm_type type;
    uint8_t bytes[16]; /**< the lowest first */
};

/** Connects, and opens a debugger: nothing is stopped by that. `error` gets a line on failure. */
int target_new(const struct target_options *options, struct target **ret, char *error, size_t size);
/** Takes all breakpoints away and lets the world go on, or not, by the policy. */
struct target *target_free(struct target *t);
const char *target_error(const struct target *t);
bool target_is_lost(const struct target *t);

/* ---- events */

int target_fd(const struct target *t);
short target_events(const struct target *t);
/** To be called when the descriptor is ready. */
int target_dispatch(struct target *t);
/** Whether the world came to stand since this last said so; to be called after everything else here
 * that may have taken events in, until it says no. */
bool target_settle(struct target *t);
/** Of the present stop; NULL: the world runs. */
const struct target_stop *target_stop(const struct target *t);

/* ---- running. What they begin ends in target_settle(), now or later. */

int target_interrupt(struct target *t);
int target_resume(struct target *t);
/** Only this thread goes on. */
int target_resume_one(struct target *t, uint64_t thread);
/** One instruction of a thread; calls of what is no WebAssembly are run through. */
int target_step(struct target *t, uint64_t thread, bool others_run);
/** Nothing goes on, and the stop says why. */
int target_refuse(struct target *t, const char *why);
/** Ends every VM that is a thread. */
int target_kill(struct target *t);

/* ---- while it stands */

/** There is always one: where no VM has WebAssembly a thread that stands for none. */
size_t target_count_threads(const struct target *t);
const struct target_thread *target_thread_at(const struct target *t, size_t i);
const struct target_thread *target_find_thread(const struct target *t, uint64_t id);

size_t target_count_instances(const struct target *t);
const struct target_instance *target_instance_at(const struct target *t, size_t i);
/** Whether instances have come or gone since the list was last taken. */
bool target_has_changed(const struct target *t);
void target_take_instances(struct target *t);

/** NULL and 0, never an error, for a thread that has no frames or cannot be looked into. */
int target_stack(struct target *t, uint64_t thread, const struct target_frame **ret_frames,
                 size_t *ret_n);
/** -ENOENT: there is no such frame, or local. */
int target_local(struct target *t, uint64_t thread, size_t frame, uint64_t index,
                 struct target_value *ret);
int target_global(struct target *t, uint64_t thread, size_t frame, uint64_t index,
                  struct target_value *ret);
int target_instance_global(struct target *t, uint32_t instance, uint64_t index,
                           struct target_value *ret);

/** Memory or code; less than was asked for where it ends, at least a byte. */
int target_read(struct target *t, uint64_t address, void *ret_data, size_t len, size_t *ret_len);
/** All of it, or -ERANGE and nothing. */
int target_write(struct target *t, uint64_t address, const void *data, size_t len);

struct target_region {
    uint64_t start, bytes;
    bool readable, writable, executable; /**< none of them: there is nothing */
};
int target_region(struct target *t, uint64_t address, struct target_region *ret);

/** At the first instruction at or after the address; idempotent. */
int target_set_breakpoint(struct target *t, uint64_t address);
int target_clear_breakpoint(struct target *t, uint64_t address);

#define TARGET_MOST_WATCHES 16
/** Memory of one VM whose change is to be told: it runs by steps then, which is slow. `address` is
 * one with its instance; `asked` how it is told and cleared. Idempotent. */
int target_set_watch(struct target *t, uint64_t asked, uint64_t address, size_t len);
int target_clear_watch(struct target *t, uint64_t asked);

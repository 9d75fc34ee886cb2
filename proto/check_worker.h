/*
 * check_worker.h: the door for what workers say. Bytes of a packet in, a plain struct out in which
 * every value has been checked; whatever is wrong is refused with a reason, and the caller ends
 * that worker. Used by the daemon only; the worker is not trusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/worker.pb-c.h"

enum worker_fact_kind {
    FACT_BORN,
    FACT_LOADED,
    FACT_READY,
    FACT_CONSOLE,
    FACT_IMPORT_WANTED,
    FACT_CALL_DONE,
    FACT_POSTED,
    FACT_STDIN_WANTED,
    FACT_EXITING,
    FACT_INSPECTED,
    FACT_HIT,
    FACT_PAUSED,
    FACT_AUDITED,
    FACT_HOOK_ENDED,
    FACT_BREAKPOINT_BOUND,
    FACT_PART,
    FACT_KINDS
};

/** A stretch of bytes that belongs to the fact. */
struct worker_text {
    const char *text;
    size_t len;
};

#define WORKER_MAX_LAYERS 32

/** Of a frame; enum engine_frame_kind's numbers. */
enum worker_frame_kind { WORKER_FRAME_JS = 1, WORKER_FRAME_WASM = 2, WORKER_FRAME_HOST = 3 };

/** Texts here are one line of UTF-8, of at most LIMIT_INSPECT_TEXT_BYTES, never NULL. */
struct worker_class {
    const char *name; /**< not empty */
    uint64_t count, bytes;
};

struct worker_frame {
    enum worker_frame_kind kind;
    const char *function, *url;
    uint32_t line, column; /**< from 1; 0: none */
    uint64_t offset;
};

/** Why a VM refused an Inspect, with the text for people; the numbers of the wire. */
enum worker_refusal {
    WORKER_REFUSED_NOT_FOUND = 1,
    WORKER_REFUSED_INVALID,
    WORKER_REFUSED_UNSUPPORTED,
    WORKER_REFUSED_STATE,
    WORKER_REFUSED_CANCELLED,
    WORKER_REFUSED_LIMIT,
    WORKER_REFUSED_INTERNAL,
    WORKER_REFUSALS
};

/** What a VM answered to an Inspect: with an error, or with what its kind asks for; which that was
 *  is for the receiver to know and to compare. */
struct worker_inspected {
    uint64_t request;
    const char *error;           /**< NULL: fine */
    enum worker_refusal refusal; /**< with an error */
    uint64_t before_bytes, after_bytes;
    size_t n_classes; /**< at most LIMIT_INSPECT_CLASSES */
    const struct worker_class *classes;
    size_t n_frames; /**< at most LIMIT_INSPECT_FRAMES */
    const struct worker_frame *frames;
    bool truncated;
    /** All of it, for what has no plain struct here; checked as those below. NULL: there is none.
     *  With an error it has nothing but `failed_hooks`. */
    const Stillpoint__Worker__InspectedBody *body;
};

enum worker_exit_reason { WORKER_EXITED = 1, WORKER_ERROR = 2, WORKER_OOM = 3 };

struct worker_fact {
    uint64_t seq;
    enum worker_fact_kind kind;
    union {
        struct {
            const char *error; /**< NULL: fine */
            size_t n_layers;
            struct worker_layer {
                const char *name; /**< [a-z0-9_-], short */
                unsigned state;   /**< 0 off, 1 degraded, 2 on */
            } layers[WORKER_MAX_LAYERS];
        } born;
        struct {
            const char *error; /**< NULL: linked */
        } loaded;
        struct {
            unsigned stream; /**< 1 or 2 */
            unsigned level;  /**< enum engine_level's number, checked to be below WORKER_LEVELS */
            struct worker_text data;
            uint64_t mono_ns;
        } console;
        struct {
            uint64_t import_id;
            const char *path; /**< a bundle path */
        } import_wanted;
        struct {
            uint64_t call_id;
            bool ok, no_such_function;
            struct worker_text text; /**< UTF-8 */
        } call_done;
        struct worker_text posted; /**< UTF-8 */
        struct worker_text part;
        struct {
            uint32_t max_bytes; /**< 1 to LIMIT_STDIN_CHUNK_BYTES */
        } stdin_wanted;
        struct {
            enum worker_exit_reason reason;
            unsigned code; /**< 0 to 255 */
            const char *detail;
        } exiting;
        struct worker_inspected inspected;
        /*
         * What auditors saw, as messages whose every field has been checked: enums are in range,
         * texts are one line of UTF-8 (a log and JSON: any UTF-8) and within their limits, lists
         * too; what is required is there. A text that is absent is NULL, a number 0.
         */
        const Stillpoint__Worker__Hit *hit;
        const Stillpoint__Worker__Paused *paused;
        const Stillpoint__Worker__Audited *audited;
        const Stillpoint__Worker__HookEnded *hook_ended;
        const Stillpoint__Worker__BreakpointBound *breakpoint_bound;
    };
    void *message;         /**< owns what the texts point into */
    void *body;            /**< likewise, if it came in a memfd */
    void *rows[2];         /**< the arrays of `inspected` */
    const uint8_t *mapped; /**< of a memfd */
    size_t mapped_bytes;
};

#define WORKER_LEVELS 7

/**
 * Checks one packet with its fds (not taken): a memfd with what came in Parts before it (parts.h).
 * Returns 0, or -EPROTO and *ret_why, a static text. The fact is freed by check_worker_done().
 */
int check_worker_fact(const uint8_t *data, size_t bytes, const int *fds, size_t n_fds,
                      struct worker_fact *ret_fact, const char **ret_why);
void check_worker_done(struct worker_fact *fact);

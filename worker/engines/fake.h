/*
 * fake.h: what fake.c and fake_debug.c share: the engine without a language, and its frames. The
 * verbs of both are listed in fake.c.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/engine.h"

#define FAKE_MS 1000000ull
#define FAKE_LINE_BYTES 4096
#define FAKE_TIMERS 64
#define FAKE_IMPORTS 64
#define FAKE_CLASSES 16
#define FAKE_FRAMES 256
#define FAKE_VARIABLES 8
#define FAKE_SCRIPTS 64
#define FAKE_REALMS 64
#define FAKE_OBSERVED 1024
#define FAKE_TEXT_BYTES 128

/* How a line ends a block; beside 0, engine outcomes and negative errno. */
enum fake_end { FAKE_RETURN = 1000, FAKE_THROW, FAKE_YIELD, FAKE_AWAIT, FAKE_KILLED };

struct fake_frame {
    uint64_t id, realm, script;
    char function[FAKE_TEXT_BYTES]; /* empty: the program itself */
    unsigned line;                  /* where it is, or goes on */
    bool reported;
    struct {
        char name[FAKE_TEXT_BYTES], value[FAKE_TEXT_BYTES];
    } variables[FAKE_VARIABLES];
    size_t n_variables;
};

struct fake_debug {
    struct fake_frame *stack[FAKE_FRAMES]; /* outermost first */
    size_t depth;
    struct fake_frame *generator; /* that has yielded, or NULL */
    uint64_t frames, scripts_made, realms_made, promises;
    struct {
        uint64_t id, realm;
        char path[FAKE_TEXT_BYTES];
    } scripts[FAKE_SCRIPTS];
    size_t n_scripts;
    uint64_t realms[FAKE_REALMS];
    size_t n_realms;
    bool watched;
    struct fake_observed {
        enum engine_audit_kind kind;
        uint64_t id, offset;
    } observed[FAKE_OBSERVED];
    size_t n_observed;
    unsigned quiet;              /* something of a debugger runs: nothing is reported */
    char value[FAKE_TEXT_BYTES]; /* that was returned or thrown */
    bool has_value;
    char error[FAKE_TEXT_BYTES + 32]; /* of a condition */
    char forced[FAKE_TEXT_BYTES];
    bool refuses; /* to observe more than `most` */
    size_t most;
    unsigned resumes;
};

struct engine {
    struct engine_config config;
    struct engine_program program;
    atomic_bool interrupted;
    char timer_text[FAKE_TIMERS][FAKE_LINE_BYTES];
    uint64_t timers;
    uint64_t imports[FAKE_IMPORTS]; /* under way */
    size_t n_imports;
    bool loading, idle, ready;
    const char *verb; /* that runs, or NULL */
    uint64_t garbage_bytes;
    struct kept {
        uint64_t count;
        char name[64];
    } kept[FAKE_CLASSES];
    size_t n_kept;
    uint64_t wide, deep;
    uint64_t slow_ms;
    bool nogc;
    atomic_bool lying; /* the helper thread is at the gate */
    pthread_t helper;
    sem_t helper_go, helper_there;
    atomic_bool woken;
    struct engine_exit exit;
    struct fake_debug debug;
};

/* ---- fake.c */

struct fake_verb {
    const char *name;
    int (*run)(struct engine *e, const char *rest);
};

int fake_say(struct engine *e, const char *text);
/** Interruptible; as a host callback. */
int fake_compute(struct engine *e, uint64_t deadline_ns);
/** At a loop's head: comes to a safe point if it was interrupted. */
int fake_loop_head(struct engine *e);
/** Runs one line of a program. */
int fake_run_line(struct engine *e, const char *line);
/** Line `number`, from 1, of the program; false beyond its end. */
bool fake_line(const struct engine *e, unsigned number, char *line);

/* ---- fake_debug.c */

extern const struct fake_verb fake_debug_verbs[]; /* ends with a NULL name */
extern const struct engine_debug_ops fake_debug_ops;

void fake_debug_init(struct engine *e);
/** The program has been compiled: realm 1, script 1. */
void fake_debug_loaded(struct engine *e);
/** Runs the program's top level as a frame. */
int fake_debug_run(struct engine *e);
/** What ends an op of the engine, of what ended a block. */
int fake_outcome(struct engine *e, int r);

/*
 * hostile.h: an engine that stands for an attacker who owns the worker: native code that does what
 * a program's lines say (acts.c has the list), with the worker's own descriptors, pages and
 * sequence numbers in its hands. Never installed; the tests in tests/system/test_hostile_worker.py
 * drive it.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared-mem/layout.h"
#include "worker/engine.h"
#include "worker/host/host.h"

struct engine {
    struct engine_config config;
    struct engine_program program;
    struct host *host; /* the worker's own, which an attacker finds in its memory */
    struct engine_exit exit;
    bool idle;
    char *pre;        /* what was tried between sandbox and lockdown, and came of it */
    int pidfd, memfd; /* made at that time */
    pthread_t helper;
    sem_t helper_go, helper_there, helper_done;
    int (*helper_act)(struct engine *e, const char *rest);
    const char *helper_rest;
};

struct act {
    const char *name;
    int (*run)(struct engine *e, const char *rest);
};

/** Ends with a NULL name. */
extern const struct act acts[];

/** A line on the console, as an honest program writes it. */
int act_say(struct engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Runs one line; an unknown act is an error that ends the program. */
int act_run(struct engine *e, const char *line);

/** In vm_new: sandboxed, and not locked down yet, so that each layer below seccomp is seen alone.
 *  Returns lines of text, the caller's to free. */
char *act_probe_sandbox(struct engine *e);

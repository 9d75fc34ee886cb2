/*
 * dispatch.h: the life of one VM, from Born to Exiting: load, run, and then the event loop. It owns
 * what the VM has been told to load, and takes the commands that the channel does not serve itself.
 *
 *   born → loading → (gate) → running ⇄ idle → exiting
 *
 * Worker, VM thread. Guest code runs only between safepoint_enter() and safepoint_leave(), and the
 * gate is looked at between two tasks.
 */
#pragma once

#include <stdbool.h>

#include "worker/auditor.h"
#include "worker/daemon_channel.h"
#include "worker/engine.h"
#include "worker/host/host.h"
#include "worker/inspect.h"
#include "worker/look.h"
#include "worker/pause.h"
#include "worker/safepoint.h"

struct dispatch {
    const struct engine_ops *ops;
    struct engine *engine;
    struct daemon_channel *channel;
    struct safepoint *safepoint;
    struct host *host;
    struct inspections inspections;
    struct look look;
    struct pauses pauses;
    struct auditors auditors;
    bool keep_idle;
    bool program_came;
    struct engine_program program;
    char *program_path;
};

/** daemon_channel's on_command; userdata is the struct dispatch. */
int dispatch_command(void *userdata, const Stillpoint__Worker__Command *command, int *fds,
                     size_t n_fds);

/** After the sandbox stands and Born was sent. Ends the process. */
_Noreturn void dispatch_run(struct dispatch *d);

/*
 * vm_message.h: a VM as the API shows it. Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"
#include "daemon/stop_report.h"
#include "daemon/worker.h"

/** A Vm with room for all that it points to, but for what it borrows from the worker. Zeroed
 * before. */
struct vm_message {
    Stillpoint__Api__Vm vm;
    Stillpoint__Api__Exit exit;
    Stillpoint__Api__Limits limits;
    Stillpoint__Api__Layer layers[WORKER_MAX_LAYERS], *layer_at[WORKER_MAX_LAYERS];
    Stillpoint__Api__Hold holds[LIMIT_HOLDS_PER_VM], *hold_at[LIMIT_HOLDS_PER_VM];
};

/** Looks whether it has arrived meanwhile. */
void vm_message_fill(struct vm_message *m, struct worker *w);
void vm_message_fill_limits(Stillpoint__Api__Limits *m, const struct vm_limits *l);
void vm_message_fill_exit(Stillpoint__Api__Exit *m, const struct worker_exit *e);
/** Answers with this VM. */
void vm_message_reply(const struct api_call *call, struct worker *w);
void vm_message_pending_reply(struct pending *p, struct worker *w);

/*
 * facts.h: the table of what workers may say: fact → phases of the VM in which it is legal, whether
 * it is legal while the VM is held, handler. An illegal fact ends its worker. Everything that comes
 * up from workers and zygotes passes here.
 */
#pragma once

#include "daemon/worker.h"

struct api;

/** For registry_new(); userdata is the struct api. */
extern const struct worker_events facts_worker_events;

/*
 * api_hits.h: reading what the hooks of a debugger have reported. A client is sent only what it has
 * asked for: one that never reads costs nobody anything.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"

void api_hits_read(struct api_call *call);

/** For audit's events: there is something for those who wait, or will be nothing any more. */
void api_hits_on_hits(struct api *api, uint64_t debugger);

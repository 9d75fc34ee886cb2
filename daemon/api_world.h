/*
 * api_world.h: the requests about worlds. One handler a request; the table is in api.c.
 */
#pragma once

#include "daemon/api_call.h"

struct world;
struct world_resumption;

void api_world_list(struct api_call *call);
void api_world_get(struct api_call *call);
void api_world_stop(struct api_call *call);
void api_world_resume(struct api_call *call);

/**
 * Ends the stop of a world that is stopped, and calls reply() with a pending that it has to end:
 * now, or, where evaluations have to end first, when the gates have opened, or another ticket is
 * served.
 */
void api_world_end_stop(struct api_call *call, struct world *w,
                        void (*reply)(struct pending *p, const struct world_resumption *done));
/** Something has happened by which a world may have been resumed. */
void api_world_recheck(struct api *api);

/*
 * api_world.h: the requests about worlds. One handler a request; the table is in api.c.
 */
#pragma once

#include "daemon/api_call.h"

void api_world_list(struct api_call *call);
void api_world_get(struct api_call *call);
void api_world_stop(struct api_call *call);
void api_world_resume(struct api_call *call);

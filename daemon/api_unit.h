/*
 * api_unit.h: requests about units. Whoever runs VMs may start and stop the units that are its own;
 * what the daemon starts by itself is for admins to say. Process and thread: the daemon's only
 * thread.
 */
#pragma once

#include "daemon/api_call.h"

void api_unit_list(struct api_call *call);
void api_unit_start(struct api_call *call);
void api_unit_stop(struct api_call *call);
void api_unit_enable(struct api_call *call);
void api_unit_disable(struct api_call *call);

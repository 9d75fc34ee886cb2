/*
 * api_doctor.h: what this machine gives to the sandbox and to stops, looked at now. Also the source
 * of the posture line in the log at start.
 */
#pragma once

#include "daemon/api_call.h"

void api_doctor(struct api_call *call);

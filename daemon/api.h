/*
 * api.h: the table of what clients may ask: request → role, handler. Every request passes here,
 * after its door (proto/check_api) and before its handler.
 */
#pragma once

#include "daemon/api_call.h"

/** Judges and runs one checked request; exactly one reply comes, now or later. */
void api_handle(struct api_call *call);
/** The role that it needs, an enum access_role; 0: none. */
unsigned api_role_of(enum api_kind kind);

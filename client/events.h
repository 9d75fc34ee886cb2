/*
 * events.h: what the daemon sends unasked, handed to the connection's handlers.
 */
#pragma once

#include "client/conn.h"

/** Calls the handler for an Envelope without request_id; does nothing for what is not known. */
void events_deliver(struct stillpoint *sp, const conn_envelope *e);

/*
 * loop.h: the timers of libevent that the daemon's modules make, as events of the scheduler. The
 * functions of event2/event.h that they call are defined in loop.c; descriptors are not among them.
 */
#pragma once

#include <stdbool.h>

/** Takes all timers away, and registers the events that fire them. `may_be_late`: timers of five
 *  milliseconds and more fire, too: those that only matter when somebody does not do his part. */
void loop_begin(bool may_be_late);
/** True if a timer has fired whose callback has not run. */
bool loop_is_due(void);
/** Runs the callbacks that are due; by the daemon's actor. */
void loop_run_due(void);

/*
 * keeper.h: whether a daemon is there. Where workers outlive their daemon for as long as it takes
 * to start another, this thread sees its end, and ends the process when no other has taken over in
 * time.
 *
 * Process and threads: worker; a thread of its own, which sleeps in ppoll. The VM thread may run
 * guest code for ever and read no channel: so this has a socket of its own, the lifeline. The other
 * end is kept by whoever starts daemons; each daemon sends on it the read end of a pipe that only
 * it can write to. The end of the pipe is that of a daemon, the end of the socket that of all of
 * them.
 */
#pragma once

#include <stdint.h>

/** Starts the thread. `lifeline` stays open for the life of the process. 0 or negative errno. */
int keeper_start(int lifeline, uint32_t adoption_ms);

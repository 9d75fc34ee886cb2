/*
 * private.h: a stillpointd of this call's own, on one end of a socketpair. It ends by itself when
 * the other end is closed.
 */
#pragma once

#include "cli/cli.h"

/**
 * Starts it. Returns 0 and our end of the connection, or the exit code of a failure that was told.
 */
int private_start(struct cli *cli, int *ret_sock);
/** Waits for its end, which closing the connection has caused; kills it after 10 s. */
void private_end(struct private_daemon *daemon);
/**
 * Whether it has ended, or does within a second (its sockets close before its process is gone);
 * then *ret_status is its exit status (128+n: signal n).
 */
bool private_has_ended(struct private_daemon *daemon, int *ret_status);

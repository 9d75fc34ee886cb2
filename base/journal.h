/*
 * journal.h: records to the journal that never wait for it: a journal that is full or hung must not
 * hold up an event loop, as sd_journal_send(3) would. Any process, one thread.
 */
#pragma once

#include <sys/uio.h>

/** One record of fields, each "NAME=value" as sd_journal_sendv(3) has them. Returns 0, or negative
 * errno: -EAGAIN when the journal has no room now; the record is not kept. */
int journal_sendv(const struct iovec *fields, int n);

/*
 * session.h: one LLDB that is connected: its bytes in, our bytes out, and the target that it
 * debugs, which the session owns. Each packet gets exactly one reply, at once, but for those that
 * let something run: theirs is the stop reply, when the world stands again.
 *
 * In the gateway, one thread. Does no I/O with LLDB: the server does. What LLDB says is untrusted:
 * bad packets are answered with errors, and what is no packet at all ends the session.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/gdbserver/target.h"

struct session;

/** -ENOMEM. Takes the target if 0 is returned. */
int session_new(struct target *target, bool may_kill, struct session **ret);
struct session *session_free(struct session *s);
struct target *session_target(struct session *s);

/** Bytes that LLDB sent. 0, or a negative errno: it is beyond understanding, and to be dropped. */
int session_feed(struct session *s, const void *bytes, size_t n);
/** To be called after target_dispatch(): what has happened is told. */
void session_settle(struct session *s);
/** Bytes for LLDB. */
const char *session_output(const struct session *s, size_t *ret_n);
void session_sent(struct session *s, size_t n);
/** Nothing more is to be heard or said once what there is has been sent. */
bool session_is_over(const struct session *s);

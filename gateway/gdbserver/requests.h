/* requests.h: what the packets of LLDB ask for, and replies to them (reply.c); parts of session. */
#pragma once

#include "gateway/gdbserver/fields.h"
#include "gateway/gdbserver/packet.h"
#include "gateway/gdbserver/session.h"

/** Text of a packet, and bytes in one read. */
#define SESSION_PACKET_BYTES 0x20000
#define SESSION_READ_BYTES 0x8000

struct session {
    struct target *target;
    struct packet_parser parser;
    struct packet_out out;
    bool may_kill;
    bool greeted; /**< the world has been stopped for it once */
    bool running; /**< it waits for a stop reply */
    bool no_ack;
    bool error_texts, threads_in_stops;
    bool listed;       /**< it has read all of the list of modules once */
    bool modules_told; /**< since they have changed */
    bool over;
    uint64_t thread;  /**< that requests are about which name none: H, or the last that was named */
    uint64_t goes_on; /**< of Hc; 0: all */
    char *last;       /**< the last packet, for when it is asked for again */
    size_t last_bytes;
    bool replied;    /**< to the present packet */
    char *libraries; /**< the list while it is being read */
    size_t libraries_bytes;
};

/** Answers one packet; the fields are what follows the name. A negative errno becomes an error. */
typedef int request_fn(struct session *s, struct fields *f);

struct request {
    const char *name;
    request_fn *serve;
    bool ends; /**< the session: that can be asked for while it waits for a stop, too */
};

extern const struct request requests_general[];
extern const struct request requests_run[];
extern const struct request requests_look[];
extern const struct request requests_memory[];

/* A reply: begin, then packet_…() on s->out, then end. */
void reply_begin(struct session *s);
int reply_end(struct session *s);
int reply_text(struct session *s, const char *text);
/** Its text: the target's for errnos that it gave. */
int reply_error(struct session *s, int r, const char *text);
void reply_stop(struct session *s);
/** What is known of one thread: `T…`. */
int reply_thread(struct session *s, const struct target_thread *th);

/** The thread that a request is about. */
uint64_t session_thread(struct session *s);
/** Where a thread is. */
uint64_t session_pc(struct session *s, uint64_t thread);
/** "breakpoint", and so on; and the signal. */
const char *session_reason(const struct session *s, uint64_t thread, unsigned *ret_signal,
                           const char **ret_text);

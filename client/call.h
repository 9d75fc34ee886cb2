/*
 * call.h: what the typed wrappers of requests share.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/conn.h"
#include "client/decode.h"
#include "proto/limits.h"

#define CALL_PAGES_MAX 65536 /* a list whose pages never end is an error of the daemon */

static inline void call_memory_free(struct stillpoint_memory **m)
{
    memory_free(*m);
}

#define _cleanup_envelope_ _cleanup_(conn_envelope_free)
#define _cleanup_memory_ _cleanup_(call_memory_free)

/** A position as requests have it; it points into `p`. */
static inline void call_position(Stillpoint__Api__BreakpointAt *m,
                                 const struct stillpoint_position *p)
{
    stillpoint__api__breakpoint_at__init(m);
    m->url = conn_text(p->url);
    if (p->has_offset) {
        CONN_SET(*m, offset, p->offset);
    } else {
        CONN_SET(*m, line, p->line);
        CONN_SET(*m, column, p->column);
    }
}

/** The body of a free function of a result that is in its memory alone. */
#define CALL_FREE(result)                                                                          \
    do {                                                                                           \
        if (result) {                                                                              \
            memory_free((result)->memory);                                                         \
            memset((result), 0, sizeof *(result));                                                 \
        }                                                                                          \
        return NULL;                                                                               \
    } while (0)

/** conn_call() where the reply is a VM. */
int call_for_vm(struct stillpoint *sp, conn_envelope *request, int fd,
                struct stillpoint_vms *ret_vms);
/** conn_call() where the reply is a world. */
int call_for_world(struct stillpoint *sp, conn_envelope *request,
                   struct stillpoint_worlds *ret_worlds);

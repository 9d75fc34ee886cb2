/*
 * appointment.h: when a VM that runs is interrupted because the VM thread has asked to be at a
 * time: then, and if nothing has come of it, 4, 16, 64, 64 … s after the time before. Another time
 * that is asked for begins anew. It owns nothing.
 *
 * Worker, watcher thread. Pure functions; the clock is the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct appointment {
    uint64_t at_ns;    /**< what it was planned by */
    uint64_t due_ns;   /**< UINT64_MAX: never */
    uint64_t again_ns; /**< after the next time */
};

#define APPOINTMENT_INIT                                                                           \
    {                                                                                              \
        .due_ns = UINT64_MAX                                                                       \
    }

/** Whether it is time now; `at_ns` is what is asked for at present, 0: nothing. */
bool appointment_is_due(struct appointment *a, uint64_t at_ns, uint64_t now_ns);

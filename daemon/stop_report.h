/*
 * stop_report.h: what a stop came to, VM by VM: how each came to count, and who did not come. It is
 * made of what stop.h and the VMs show at the moment of the report, and of the list, kept by the
 * world, of those that ended on the way.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/ticket.h"
#include "shared-mem/stop.h"

struct worker;
struct world;

/** The numbers of How in api.proto. */
enum arrival_how { ARRIVAL_ACKED = 1, ARRIVAL_HELD, ARRIVAL_ENFORCED, ARRIVAL_DEAD };

struct arrival {
    uint64_t vm;
    char name[LIMIT_NAME_BYTES + 1];
    enum shm_state was;
    enum arrival_how how;
    uint64_t elapsed_us;
    bool lied; /**< it said that it had arrived, and ran on; then it is missing, too */
};

/** A VM that ended while its world was being stopped. */
struct stop_dead {
    STAILQ_ENTRY(stop_dead) link;
    struct arrival arrival;
};
STAILQ_HEAD(stop_dead_list, stop_dead);

struct stop_report {
    const struct world *world;
    const struct ticket *ticket;
    unsigned mode;       /**< enum world_mode */
    uint64_t elapsed_us; /**< from the store that closed the world to the last arrival */
    uint64_t closed_ns;  /**< CLOCK_MONOTONIC of that store, or of the service that needed none */
    uint64_t stopped_ns; /**< of the change of mode; 0: not stopped */
    struct arrival *arrivals;
    size_t n_arrivals;
    /** Those that have come to no safe point: running, or frozen (then they are arrivals, too). */
    uint64_t *missing;
    size_t n_missing;
};

/** How a VM counts as stopped now; 0: it does not. */
enum arrival_how stop_report_how(struct worker *w);
/** What a VM that counts came to. */
struct arrival stop_report_arrival(struct worker *w, uint64_t service_ns);
/** Whether a VM has come to where this ticket wants it. */
bool stop_report_is_missing(struct worker *w, const struct ticket *t);

/** Fills arrivals and missing; ticket, closed_ns, stopped_ns are set. 0 or -ENOMEM: then both are
 *  empty. stop_report_done() after either. */
int stop_report_fill(struct stop_report *report, const struct stop_world *stop,
                     const struct stop_dead_list *dead);
void stop_report_done(struct stop_report *report);

/*
 * world_message.h: worlds and their stops as the API shows them. A message borrows from what it
 * shows, or owns a copy where that is said.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"
#include "daemon/worlds.h"

struct world_message {
    Stillpoint__Api__World world;
    Stillpoint__Api__Ticket ticket, queued[LIMIT_TICKETS], *queued_at[LIMIT_TICKETS];
    Stillpoint__Api__Controller controller;
};

void world_message_fill(struct world_message *m, const struct world *w);
/** Answers with a WorldReply. */
void world_message_reply(const struct api_call *call, const struct world *w);

/** A stop report; owns all that it shows. */
struct stop_message {
    Stillpoint__Api__StopReport report;
    char world[LIMIT_NAME_BYTES + 1];
    struct arrival *shown;
    Stillpoint__Api__Arrival *arrivals, **at;
    uint64_t *missing;
};

/** NULL without memory. */
struct stop_message *stop_message_new(const struct stop_report *r);
struct stop_message *stop_message_free(struct stop_message *m);

/** As an error: who has the world, and since when. */
void world_message_fail_busy(const struct api_call *call, const struct world *w);
/** As an error: how a ticket ended that was not served. */
void world_message_fail_outcome(struct pending *p, enum ticket_outcome outcome);
/** As an error: what world_stop() said; `r` is negative. */
void world_message_fail_stop(const struct api_call *call, const struct world *w, int r);

/** The world of this name; NULL, and an error was sent, if there is none. */
struct world *world_message_find(const struct api_call *call, const char *name);

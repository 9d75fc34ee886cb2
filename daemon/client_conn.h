/*
 * client_conn.h: connections of clients. It owns the sockets, cuts what comes in into frames, lets
 * each pass its door and hands it to api; and carries replies and events back. Nothing that a
 * client does, or leaves undone, makes anybody else wait: what it does not read is bounded, then it
 * is dropped.
 *
 * Process and thread: the daemon's only thread. A connection is closed by the loop, never from
 * inside a send, so that no caller loses the ground under it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/access.h"
#include "daemon/api_call.h"

struct client_conns;

struct client_conns_config {
    struct event_base *base;
    struct event_bus *bus;
    const struct access_rules *rules;
    const struct config_quota *quota; /**< of one uid */
    const struct config_quota *total; /**< of all */
    struct act_log *act_log;
    /** A checked request. */
    void (*on_request)(void *userdata, struct api_call *call);
    void (*on_gone)(void *userdata, uint64_t client);
    /** It has read all that was queued. */
    void (*on_drained)(void *userdata, uint64_t client);
    struct api *api;
};

struct client_conns *client_conns_new(const struct client_conns_config *config);
struct client_conns *client_conns_free(struct client_conns *all);

/** Takes a listening socket, whose connections have no roles but of these; two at most. */
int client_conns_listen(struct client_conns *all, int fd, unsigned roles);
/** Takes one connected socket; returns its number, or 0 (the socket is closed then). */
uint64_t client_conns_add(struct client_conns *all, int fd, unsigned roles);

/** A child of the daemon that closes what clients have sent. */
bool client_conns_is_its_process(const struct client_conns *all, pid_t pid);

/** For struct api; userdata is the client_conns. */
void client_conns_ops(struct client_conns *all, struct api_clients *ret);

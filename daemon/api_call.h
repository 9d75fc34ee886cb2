/*
 * api_call.h: one request on its way to its one reply, and what all request handlers share. A
 * handler answers at once, or leaves a `struct pending` behind that a later fact completes; the
 * client may be gone by then, which is nobody's concern: replies go to a connection by its number.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/access.h"
#include "proto/api.pb-c.h"
#include "proto/check_api.h"

struct act;
struct act_log;
struct audit;
struct audit_operation;
struct config;
struct debugger;
struct debuggers;
struct event_base;
struct event_bus;
struct cpu_latency;
struct freezer;
struct pauses;
struct registry;
struct state;
struct ticket_request;
struct vm_journals;
struct vm_units;
struct worker;
struct world;
struct worlds;
struct zygote_client;

/** How replies and events reach connections; client_conn implements it. */
struct api_clients {
    /** Takes fd. A client that does not exist, or reads too slowly, is not an error for the caller.
     */
    void (*send)(void *userdata, uint64_t client, Stillpoint__Api__Envelope *envelope, int fd);
    /** Bytes that this client has not read yet. */
    size_t (*queued)(void *userdata, uint64_t client);
    /** Whether this client's uid may have one subscription more, and how many it has. */
    bool (*may_subscribe)(void *userdata, uint64_t client, size_t *ret_has);
    /** (Re)starts or ends the event subscription of a connection; `kinds` 0 ends it. */
    void (*subscribe)(void *userdata, uint64_t client, uint64_t cursor, uint64_t kinds);
    /** Sends what is kept after `cursor` up to now, as fast as the client reads, and then the reply
     * to this request. False if another replay is under way. */
    bool (*replay)(void *userdata, uint64_t client, uint64_t cursor, uint64_t kinds,
                   uint64_t request_id);
    void *userdata;
};

struct pending;

/** What becomes of a request that waits, when what it waits for can no longer come. */
struct pending_type {
    /** Its VM has ended: answers, or frees it. NULL: it waits for no VM. */
    void (*on_vm_ended)(struct pending *p, struct worker *w);
    /** Its client is gone, so that nobody will read an answer: frees it. NULL: it is just freed. */
    void (*on_client_gone)(struct pending *p);
    /** Its time is over: it fails with TIMED_OUT after this. NULL: nothing else is to be done. */
    void (*on_timeout)(struct pending *p);
};

struct pending {
    LIST_ENTRY(pending) link;
    struct api *api;
    const struct pending_type *type;
    uint64_t client, request_id;
    uint64_t vm;
    uint64_t number; /**< call id, import id, ticket, or log seq */
    uint32_t last_n;
    enum api_wait_for what;
    char world[65];
    char *path; /**< of an import */
    void *data; /**< of the type's own; gone before this is freed */
    uint64_t debugger, dispatched_ns;
    struct event *timeout;
};

/** What handlers work on; built by main, the pointers are main's. */
struct api {
    struct event_base *base;
    const struct config *config;
    const struct access_rules *rules;
    struct act_log *act_log;         /**< NULL: nothing is recorded */
    struct vm_journals *vm_journals; /**< NULL: no output goes to the journal */
    struct event_bus *bus;
    const struct freezer *freezer;
    const struct cpu_latency *cpu_latency;
    struct registry *registry;
    struct worlds *worlds;
    struct debuggers *debuggers;
    struct pauses *pauses;
    struct audit *audit;
    struct state *state;
    struct vm_units *units;
    const struct api_clients *clients;
    struct zygote_client *(*zygote)(void *userdata, const char *engine);
    void *userdata;
    uint64_t started_us, next_call;
    uint32_t adoption_ms; /**< how long VMs live without a daemon; 0: they die with it */
    LIST_HEAD(pendings, pending) pendings;
    uint64_t pendings_freed;
    LIST_HEAD(audit_operations, audit_operation) audit_operations; /**< api_audit's */
    struct event *poll; /**< runs while somebody waits for a VM to become active */
};

/** One request while its handler runs. */
struct api_call {
    struct api *api;
    uint64_t client;
    const struct access_peer *peer;
    const struct api_request *request;
    struct act *act;        /**< what is known of it for the record; NULL: there will be none */
    uint64_t dispatched_ns; /**< CLOCK_MONOTONIC when it was taken from the connection */
    int fd;                 /**< came with it; a handler that keeps it sets -1 */
};

/** Sends one reply; the body of `envelope` is set, its request_id is set here. */
void api_reply(const struct api_call *call, Stillpoint__Api__Envelope *envelope);
void api_reply_done(const struct api_call *call);
void api_reply_error(struct api *api, uint64_t client, uint64_t request_id,
                     const struct api_error *error);
/** As api_error_set and api_reply_error. */
void api_fail(const struct api_call *call, int code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** The same with LIMIT_EXCEEDED, for a quota of the caller's uid: "has N of what, and its quota
 * name is M". */
void api_fail_quota(const struct api_call *call, const char *what, uint64_t has, const char *name,
                    uint64_t quota);
/** The same with PERMISSION_DENIED, and who has the role that is missing. */
void api_fail_denied(const struct api_call *call, enum access_role role, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Leaves a pending behind; timeout_us 0: none. NULL, and an error was sent, without memory. */
struct pending *api_pending(const struct api_call *call, const struct pending_type *type,
                            uint64_t vm, uint64_t timeout_us);
/** Removes it; sends nothing. */
void api_pending_free(struct pending *p);
void api_pending_reply(struct pending *p, Stillpoint__Api__Envelope *envelope);
/** The same with a descriptor, which is taken. */
void api_pending_reply_fd(struct pending *p, Stillpoint__Api__Envelope *envelope, int fd);
/** Sends the error and removes it. */
void api_pending_fail(struct pending *p, int code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Ends all pendings of a VM that has ended, of a client that is gone. */
void api_pendings_on_vm_ended(struct api *api, struct worker *w);
void api_pendings_on_client_gone(struct api *api, uint64_t client);
/** The pending of this type for this VM with this number, or NULL. */
struct pending *api_pending_find(struct api *api, const struct pending_type *type, uint64_t vm,
                                 uint64_t number);

/** The VM that a reference names; NULL, and an error was sent, if there is none. */
struct worker *api_find_vm(const struct api_call *call, const struct api_vm_ref *ref);
/** The same, and it has not exited. */
struct worker *api_find_live_vm(const struct api_call *call, const struct api_vm_ref *ref);

/**
 * The debugger that this connection acts through; NULL, and an error was sent, if it may not or
 * there is none. Of the cli one nothing is left by it: call debuggers_reclaim() when the request is
 * done.
 */
const struct debugger *api_debugger_of(const struct api_call *call, const char *ref);

/** Why no debugger could be made: -EMFILE, -ENOMEM. */
void api_fail_no_debugger(const struct api_call *call, int r);

/** Whether the caller may act for the owner of this: the same uid, or an admin. */
bool api_may_act_for(const struct api_call *call, uid_t owner);
/** The same of what the request is about: its record says whose that is. */
bool api_may_act_on(const struct api_call *call, uid_t owner);
/** Whether the caller may bring this world to stand: all VMs in it are its own, or it is an admin;
 *  else an error was sent. */
bool api_may_stop(const struct api_call *call, const struct world *w);
/** A debugger by name or id that the caller may act for; NULL, and an error was sent, if it may not
 *  or there is none. */
const struct debugger *api_find_debugger(const struct api_call *call, const char *ref);

/** What every ticket has that is asked for by this call on behalf of this debugger. */
void api_ticket_request(const struct api_call *call, const struct debugger *d,
                        struct ticket_request *ret);

/** Answers a request that was handed on to a worker: `r` is what worker_send_…() said. */
void api_reply_sent(const struct api_call *call, const struct worker *w, int r);

#define API_ERROR(name) STILLPOINT__API__ERROR_CODE__ERROR_##name
#define API_BODY(name) STILLPOINT__API__ENVELOPE__BODY_##name
/** Sets an optional scalar field. */
#define API_SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))
/** protobuf-c has no const strings; it does not write to them when packing. */
#define API_TEXT(s) ((char *)(uintptr_t)(s))

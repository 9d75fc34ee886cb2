/*
 * record.h: the daemon's records, with what they are about as fields: STILLPOINT_VM and _VM_NAME,
 * _WORLD, _DEBUGGER, _CLIENT_UID. All that the daemon logs above debug goes through here or through
 * act_log, with an id of message_ids.h. Owns nothing.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <syslog.h>

#include "daemon/message_ids.h"

/** NULL and 0: not known, or nothing to the point. */
struct record_about {
    uint64_t vm;
    const char *vm_name, *world, *debugger;
    bool has_uid;
    uid_t uid; /**< of the client that did it, or whose VM it is */
};

/** About the VM of a struct worker. */
#define RECORD_VM(w)                                                                               \
    (&(const struct record_about){.vm = (w)->id,                                                   \
                                  .vm_name = (w)->name,                                            \
                                  .world = (w)->world,                                             \
                                  .has_uid = true,                                                 \
                                  .uid = (w)->uid})
/** About the VM that has a name, or will. */
#define RECORD_NAME(name) (&(const struct record_about){.vm_name = (name)})
#define RECORD_WORLD(name) (&(const struct record_about){.world = (name)})

/** `about` NULL: nothing in particular. */
void record_write(int level, const char *message_id, const struct record_about *about,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

struct log_field;

/** The fields of a record, with their texts. */
#define RECORD_FIELDS 5
struct record_texts {
    char vm[24], uid[16];
};
void record_fields(const struct record_about *about, struct record_texts *texts,
                   struct log_field *ret_fields);

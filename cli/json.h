/*
 * json.h: the JSON shape of each object, a contract (docs/schemas). Absent values are null. Each
 * function returns a new value, NULL when out of memory.
 */
#pragma once

#include <jansson.h>

#include "client/stillpoint.h"

/** A text in which malformed UTF-8 is replaced by U+FFFD; null for NULL. */
json_t *json_of_text(const char *text);
/** Bytes, in base64. */
json_t *json_of_bytes(const void *data, size_t bytes);
json_t *json_of_exit(const struct stillpoint_exit *exit);
json_t *json_of_vm(const struct stillpoint_vm *vm);
/** Only which VM it is: {"id","name"}. */
json_t *json_of_vm_ref(const struct stillpoint_vm *vm);
json_t *json_of_world(const struct stillpoint_world *world);
json_t *json_of_stop_report(const struct stillpoint_stop_report *report);
json_t *json_of_resumption(const struct stillpoint_resumption *resumption);
/** `vm` is the one that went on. */
json_t *json_of_continuation(const struct stillpoint_vm *vm,
                             const struct stillpoint_continuation *continuation);
/** gc and census: the stop report with "vms"; stacks: {"ticket","vms"} and what is missing. */
json_t *json_of_inspection(const struct stillpoint_inspection *inspection);
json_t *json_of_debugger(const struct stillpoint_debugger *debugger);
/** Only which debugger it is: {"id","name"}. */
json_t *json_of_debugger_ref(const struct stillpoint_debugger *debugger);
json_t *json_of_log_record(const struct stillpoint_log_record *record);
/** Records or events that are gone. */
json_t *json_of_dropped(uint64_t dropped, uint64_t before_seq);
json_t *json_of_event(const struct stillpoint_event *event);
json_t *json_of_checkup(const struct stillpoint_checkup *checkup);

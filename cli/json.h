/*
 * json.h: the JSON shape of each object, a contract (docs/schemas). Absent values are null. Each
 * function returns a new value, NULL when out of memory.
 */
#pragma once

#include <jansson.h>

#include "client/stillpoint.h"

/** A text in which malformed UTF-8 is replaced by U+FFFD; null for NULL. */
json_t *json_of_text(const char *text);
json_t *json_of_text_bytes(const char *text, size_t len);
/** The same, and null for "". */
json_t *json_of_some_text(const char *text);
json_t *json_of_number(uint64_t v);
json_t *json_of_number_or_null(uint64_t v);
/** Text that is JSON already; what is not (a daemon's fault) is shown as text. null for NULL. */
json_t *json_of_json(const char *json);
/** Bytes, in base64. */
json_t *json_of_bytes(const void *data, size_t bytes);
json_t *json_of_exit(const struct stillpoint_exit *exit);
json_t *json_of_texts(const char *const *items, size_t n);
/** Of "KEY=VALUE" each: an object. */
json_t *json_of_labels(const char *const *labels, size_t n);
json_t *json_of_limits(const struct stillpoint_limits *l);
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
json_t *json_of_frame(const struct stillpoint_frame *frame);
json_t *json_of_checkup(const struct stillpoint_checkup *checkup);

/* json_debug.c */

/** null for NULL. */
json_t *json_of_location(const struct stillpoint_location *location);
json_t *json_of_hook(const struct stillpoint_hook *hook);
/** {"hooks":[…]}. */
json_t *json_of_hooks(const struct stillpoint_hooks *hooks);
json_t *json_of_auditor(const struct stillpoint_auditor *auditor);
/** `debugger` is the name of whose hit it is. */
json_t *json_of_hit(const struct stillpoint_hit *hit, const char *debugger);
/** A stack that starts at the frame that was asked for. */
json_t *json_of_stack(const struct stillpoint_vm *vm, bool truncated);
json_t *json_of_variable(const struct stillpoint_named_value *variable);
/** With what it evaluated to. */
json_t *json_of_evaluated(const struct stillpoint_vm *vm,
                          const struct stillpoint_evaluated *evaluated);
json_t *json_of_step(const struct stillpoint_vm *vm, const struct stillpoint_stepped *stepped);
json_t *json_of_source(const struct stillpoint_source *source);

/*
 * decode.h: messages of the daemon as the structs of stillpoint.h. A field that is missing gets its
 * default; whether memory ran out is asked of the memory. Pure functions.
 */
#pragma once

#include "client/memory.h"
#include "client/stillpoint.h"
#include "proto/api.pb-c.h"

/**
 * Room for one more of n items: for a power of two of them, so that a long list is not copied for
 * each. NULL: out of memory, and the items are where they were.
 */
void *decode_grow(void *items, size_t n, size_t item_bytes);
const char *const *decode_texts(struct stillpoint_memory *m, char *const *texts, size_t n,
                                size_t *ret_n);
void decode_limits(const Stillpoint__Api__Limits *l, struct stillpoint_limits *ret);
void decode_exit(struct stillpoint_memory *m, const Stillpoint__Api__Exit *e,
                 struct stillpoint_exit *ret);
/** One more VM at the end of a list that has its memory. -ENOMEM when that is all used up. */
int decode_append_vm(const Stillpoint__Api__Vm *v, struct stillpoint_vms *vms);
/** A list of one VM; -EPROTO for NULL or one without an id, -ENOMEM. */
int decode_only_vm(const Stillpoint__Api__Vm *v, struct stillpoint_vms *ret_vms);
void decode_world(struct stillpoint_memory *m, const Stillpoint__Api__World *w,
                  struct stillpoint_world *ret);
/** One more world at the end of a list that has its memory. -ENOMEM when that is all used up. */
int decode_append_world(const Stillpoint__Api__World *w, struct stillpoint_worlds *worlds);
/** A list of one world; -EPROTO for NULL, -ENOMEM. */
int decode_only_world(const Stillpoint__Api__World *w, struct stillpoint_worlds *ret_worlds);
void decode_stop_report(struct stillpoint_memory *m, const Stillpoint__Api__StopReport *s,
                        struct stillpoint_stop_report *ret);
/** Its memory stays the caller's to set, as that of the report in it. */
void decode_inspection(struct stillpoint_memory *m, const Stillpoint__Api__Inspection *i,
                       struct stillpoint_inspection *ret);
/** One more debugger at the end of a list that has its memory. -ENOMEM when that is all used up. */
int decode_append_debugger(const Stillpoint__Api__Debugger *d,
                           struct stillpoint_debuggers *debuggers);
void decode_log(struct stillpoint_memory *m, const Stillpoint__Api__LogPage *l,
                struct stillpoint_log *ret);
void decode_checkup(struct stillpoint_memory *m, const Stillpoint__Api__DoctorReply *d,
                    struct stillpoint_checkup *ret);
void decode_event(struct stillpoint_memory *m, const Stillpoint__Api__Event *e,
                  struct stillpoint_event *ret);

/* decode_debug.c */

/** One more hook (auditor) at the end of a list that has its memory. -ENOMEM when that is all used
 * up. */
int decode_append_hook(const Stillpoint__Api__Hook *h, struct stillpoint_hooks *hooks);
int decode_append_auditor(const Stillpoint__Api__Auditor *a, struct stillpoint_auditors *auditors);
const struct stillpoint_frame *decode_frames(struct stillpoint_memory *m,
                                             Stillpoint__Api__Frame *const *frames, size_t n,
                                             size_t *ret_n);
/** Their memory stays the caller's to set. */
void decode_hits(struct stillpoint_memory *m, const Stillpoint__Api__HitPage *p,
                 struct stillpoint_hits *ret);
void decode_value(struct stillpoint_memory *m, const Stillpoint__Api__Value *v,
                  struct stillpoint_value *ret);
const struct stillpoint_value *decode_value_or_null(struct stillpoint_memory *m,
                                                    const Stillpoint__Api__Value *v);
const struct stillpoint_named_value *decode_named(struct stillpoint_memory *m,
                                                  Stillpoint__Api__NamedValue *const *values,
                                                  size_t n, size_t *ret_n);
void decode_location(struct stillpoint_memory *m, const Stillpoint__Api__Location *l,
                     struct stillpoint_location *ret);
const struct stillpoint_location *decode_location_or_null(struct stillpoint_memory *m,
                                                          const Stillpoint__Api__Location *l);
void decode_source(struct stillpoint_memory *m, const Stillpoint__Api__Source *s,
                   struct stillpoint_source *ret);

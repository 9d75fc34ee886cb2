/*
 * decode.h: messages of the daemon as the structs of stillpoint.h. A field that is missing gets its
 * default; whether memory ran out is asked of the memory. Pure functions.
 */
#pragma once

#include "client/memory.h"
#include "client/stillpoint.h"
#include "proto/api.pb-c.h"

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

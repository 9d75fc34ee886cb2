/*
 * check_api_private.h: what the sources of the clients' door share and nobody else includes: checks
 * of what many requests have (check_api_parts.c), and the checks of requests that stand in files of
 * their own. All return 0, or -EBADMSG with *e filled in.
 */
#pragma once

#include "proto/api.pb-c.h"
#include "proto/check_api.h"

#define CHECK_API_INVALID STILLPOINT__API__ERROR_CODE__ERROR_INVALID_ARGUMENT

/* ---- check_api_parts.c */

int check_api_name(const char *s, const char *field, struct api_error *e);
int check_api_vm_ref(const char *s, struct api_vm_ref *ret, struct api_error *e);
int check_api_debugger_name(const char *s, struct api_error *e);
/** A debugger's name, or an id in decimal. */
int check_api_debugger_ref(const char *s, struct api_error *e);
/** On whose behalf: absent is NULL. */
int check_api_behalf(const char *s, const char **ret, struct api_error *e);
int check_api_time(uint64_t us, const char *field, struct api_error *e);
int check_api_page_size(uint32_t asked, uint32_t *ret);

/* ---- check_api_look.c */

int check_api_list_frames(const Stillpoint__Api__Envelope *m, struct api_request *r,
                          struct api_error *e);
int check_api_list_scopes(const Stillpoint__Api__Envelope *m, struct api_request *r,
                          struct api_error *e);
int check_api_list_variables(const Stillpoint__Api__Envelope *m, struct api_request *r,
                             struct api_error *e);
int check_api_evaluate(const Stillpoint__Api__Envelope *m, struct api_request *r,
                       struct api_error *e);
int check_api_set_variable(const Stillpoint__Api__Envelope *m, struct api_request *r,
                           struct api_error *e);
int check_api_step_vm(const Stillpoint__Api__Envelope *m, struct api_request *r,
                      struct api_error *e);
int check_api_list_sources(const Stillpoint__Api__Envelope *m, struct api_request *r,
                           struct api_error *e);
int check_api_read_source(const Stillpoint__Api__Envelope *m, struct api_request *r,
                          struct api_error *e);
int check_api_list_positions(const Stillpoint__Api__Envelope *m, struct api_request *r,
                             struct api_error *e);
int check_api_access_memory(const Stillpoint__Api__Envelope *m, struct api_request *r,
                            struct api_error *e);
int check_api_get_pause(const Stillpoint__Api__Envelope *m, struct api_request *r,
                        struct api_error *e);
/** How a VM goes on from its pause. */
int check_api_answer(const Stillpoint__Api__ContinueVm *c, struct api_request *r,
                     struct api_error *e);

/* ---- check_api_audit.c */

int check_api_add_hooks(const Stillpoint__Api__Envelope *m, struct api_request *r,
                        struct api_error *e);
int check_api_remove_hooks(const Stillpoint__Api__Envelope *m, struct api_request *r,
                           struct api_error *e);
int check_api_list_hooks(const Stillpoint__Api__Envelope *m, struct api_request *r,
                         struct api_error *e);
int check_api_list_auditors(const Stillpoint__Api__Envelope *m, struct api_request *r,
                            struct api_error *e);
int check_api_read_hits(const Stillpoint__Api__Envelope *m, struct api_request *r,
                        struct api_error *e);

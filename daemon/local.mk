# stillpointd. All but main is an archive, so that component tests link the real objects.
noinst_LIBRARIES += %D%/libdaemon.a
%C%_libdaemon_a_SOURCES = \
	%D%/access.c %D%/access.h \
	%D%/act_log.c %D%/act_log.h \
	%D%/adoption.c %D%/adoption.h \
	%D%/api.c %D%/api.h \
	%D%/api_audit.c %D%/api_audit.h \
	%D%/api_birth.c %D%/api_birth.h \
	%D%/api_call.c %D%/api_call.h \
	%D%/api_debug.c %D%/api_debug.h \
	%D%/api_doctor.c %D%/api_doctor.h \
	%D%/api_hits.c %D%/api_hits.h \
	%D%/api_inspect.c %D%/api_inspect.h \
	%D%/api_log.c %D%/api_log.h \
	%D%/api_look.c %D%/api_look.h \
	%D%/api_stand.c %D%/api_stand.h \
	%D%/api_step.c %D%/api_step.h \
	%D%/api_talk.c %D%/api_talk.h \
	%D%/api_unit.c %D%/api_unit.h \
	%D%/api_vm.c %D%/api_vm.h \
	%D%/api_wait.c %D%/api_wait.h \
	%D%/api_world.c %D%/api_world.h \
	%D%/audit.c %D%/audit.h %D%/audit_private.h \
	%D%/audit_vm.c \
	%D%/cgroup_limits.c %D%/cgroup_limits.h \
	%D%/client_conn.c %D%/client_conn.h \
	%D%/closer.c %D%/closer.h \
	%D%/config.c %D%/config.h \
	%D%/cpu_latency.c %D%/cpu_latency.h \
	%D%/debugger.c %D%/debugger.h \
	%D%/fd_store.c %D%/fd_store.h \
	%D%/record_log.c %D%/record_log.h \
	%D%/enforcer.c %D%/enforcer.h \
	%D%/event_bus.c %D%/event_bus.h \
	%D%/facts.c %D%/facts.h \
	%D%/freezer.c %D%/freezer.h \
	%D%/message_ids.h \
	%D%/nudge.c %D%/nudge.h \
	%D%/record.c %D%/record.h \
	%D%/look_message.c %D%/look_message.h \
	%D%/look_queue.c %D%/look_queue.h \
	%D%/pause.c %D%/pause.h \
	%D%/hit_message.c %D%/hit_message.h \
	%D%/hit_ring.c %D%/hit_ring.h \
	%D%/hook_message.c %D%/hook_message.h \
	%D%/refused_call.c %D%/refused_call.h \
	%D%/registry.c %D%/registry.h \
	%D%/service.c %D%/service.h \
	%D%/state.c %D%/state.h \
	%D%/status_line.c %D%/status_line.h \
	%D%/stop_report.c %D%/stop_report.h \
	%D%/spare.c %D%/spare.h \
	%D%/strays.c %D%/strays.h \
	%D%/ticket.c %D%/ticket.h \
	%D%/vm_journal.c %D%/vm_journal.h \
	%D%/vm_log.c %D%/vm_log.h \
	%D%/unit_links.c %D%/unit_links.h \
	%D%/vm_message.c %D%/vm_message.h \
	%D%/vm_units.c %D%/vm_units.h \
	%D%/worker.c %D%/worker.h \
	%D%/worker_channel.c %D%/worker_channel.h \
	%D%/worker_evaluation.c %D%/worker_evaluation.h \
	%D%/worker_limits.c %D%/worker_limits.h \
	%D%/worker_pause.c %D%/worker_pause.h \
	%D%/world.c %D%/world.h %D%/world_private.h \
	%D%/world_adopt.c \
	%D%/world_arrival.c \
	%D%/world_hold.c \
	%D%/world_message.c %D%/world_message.h \
	%D%/world_pause.c \
	%D%/world_ticket.c \
	%D%/worlds.c %D%/worlds.h \
	%D%/zygote_client.c %D%/zygote_client.h
# uthash ends the process without memory unless it is told not to; an element that was not added has no table.
%C%_libdaemon_a_CPPFLAGS = $(AM_CPPFLAGS) -DHASH_NONFATAL_OOM=1 $(PROTOBUF_C_CFLAGS) $(EVENT_CFLAGS) \
	$(SECCOMP_CFLAGS) $(SYSTEMD_CFLAGS)
$(%C%_libdaemon_a_OBJECTS): | $(PROTO_GENERATED_H)
DAEMON_LIBS = %D%/libdaemon.a $(SHARED_MEM_LIBS) $(PROTO_LIBS) $(BASE_LIBS) $(EVENT_LIBS) \
	$(INIH_LIBS) $(SECCOMP_LIBS)

sbin_PROGRAMS += stillpointd
stillpointd_SOURCES = %D%/main.c
stillpointd_CPPFLAGS = $(%C%_libdaemon_a_CPPFLAGS)
stillpointd_LDADD = $(DAEMON_LIBS)
$(stillpointd_OBJECTS): | $(PROTO_GENERATED_H)

EXTRA_DIST += %D%/README.md

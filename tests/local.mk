# `make check`: everything that needs no daemon. The system tests have a runner of their own
# (`make check-system`, tests/system/run.py), and ./run-tests.sh runs all.
#
# To add a unit test: its program to UNIT_TESTS, and the two or three lines below for it. A test of
# daemon objects over a socketpair goes to COMPONENT_TESTS in the same way.

UNIT_TESTS = \
	%D%/unit/test_access \
	%D%/unit/test_act_log \
	%D%/unit/test_bytes \
	%D%/unit/test_cgroup_limits \
	%D%/unit/test_check_api \
	%D%/unit/test_check_worker \
	%D%/unit/test_config \
	%D%/unit/test_cpu_latency \
	%D%/unit/test_event_bus \
	%D%/unit/test_fd \
	%D%/unit/test_fd_store \
	%D%/unit/test_frame \
	%D%/unit/test_log \
	%D%/unit/test_look_queue \
	%D%/unit/test_map \
	%D%/unit/test_nudge \
	%D%/unit/test_record_log \
	%D%/unit/test_vm_log \
	%D%/unit/test_refused_call \
	%D%/unit/test_service \
	%D%/unit/test_stop \
	%D%/unit/test_text \
	%D%/unit/test_vm_journal \
	%D%/unit/test_vm_limits \
	%D%/unit/test_vm_unit \
	%D%/unit/test_worker_appointment \
	%D%/unit/test_worker_auditor \
	%D%/unit/test_worker_condition \
	%D%/unit/test_worker_daemon_channel \
	%D%/unit/test_worker_limits \
	%D%/unit/test_worker_look \
	%D%/unit/test_worker_one_line \
	%D%/unit/test_worker_safepoint \
	%D%/unit/test_worker_sandbox \
	%D%/unit/test_worker_timers \
	%D%/unit/test_worker_wasi

COMPONENT_TESTS = \
	%D%/component/test_audit \
	%D%/component/test_debugger \
	%D%/component/test_freezer \
	%D%/component/test_look \
	%D%/component/test_state \
	%D%/component/test_world \
	%D%/component/test_world_random \
	%D%/component/test_worker_channel \
	%D%/component/test_worker_keep

# A real worker in its sandbox, where a sanitizer's own system calls are not granted.
if !SANITIZE
COMPONENT_TESTS += %D%/component/worker_driver
endif

UNIT_LIBS = $(BASE_LIBS) $(CMOCKA_LIBS)

%C%_unit_test_bytes_SOURCES = %D%/unit/test_bytes.c %D%/support/unit.h
%C%_unit_test_bytes_LDADD = $(UNIT_LIBS)

%C%_unit_test_fd_SOURCES = %D%/unit/test_fd.c %D%/support/unit.h
%C%_unit_test_fd_LDADD = $(UNIT_LIBS)

%C%_unit_test_frame_SOURCES = %D%/unit/test_frame.c %D%/support/unit.h
%C%_unit_test_frame_LDADD = $(PROTO_LIBS) $(UNIT_LIBS)

%C%_unit_test_log_SOURCES = %D%/unit/test_log.c %D%/support/played_journal.h %D%/support/unit.h
%C%_unit_test_log_LDADD = $(UNIT_LIBS)

%C%_unit_test_map_SOURCES = %D%/unit/test_map.c %D%/support/unit.h
%C%_unit_test_map_LDADD = $(SHARED_MEM_LIBS) $(UNIT_LIBS)

%C%_unit_test_stop_SOURCES = %D%/unit/test_stop.c %D%/support/unit.h
%C%_unit_test_stop_CFLAGS = $(AM_CFLAGS) -pthread
%C%_unit_test_stop_LDADD = $(SHARED_MEM_LIBS) $(UNIT_LIBS)

%C%_unit_test_text_SOURCES = %D%/unit/test_text.c %D%/support/unit.h
%C%_unit_test_text_LDADD = $(UNIT_LIBS)

%C%_unit_test_vm_limits_SOURCES = %D%/unit/test_vm_limits.c %D%/support/unit.h
%C%_unit_test_vm_limits_LDADD = $(PROTO_LIBS) $(UNIT_LIBS)

%C%_unit_test_vm_unit_SOURCES = %D%/unit/test_vm_unit.c %D%/support/unit.h
%C%_unit_test_vm_unit_LDADD = $(PROTO_LIBS) $(UNIT_LIBS) $(INIH_LIBS)

# The worker's own parts.
WORKER_TEST_LIBS = $(WORKER_LIBS) $(UNIT_LIBS)
%C%_unit_test_worker_auditor_SOURCES = %D%/unit/test_worker_auditor.c %D%/support/story.h \
	%D%/support/unit.h
%C%_unit_test_worker_auditor_CFLAGS = $(AM_CFLAGS) -pthread
%C%_unit_test_worker_auditor_LDADD = $(WORKER_TEST_LIBS)
$(%C%_unit_test_worker_auditor_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_worker_appointment_SOURCES = %D%/unit/test_worker_appointment.c %D%/support/unit.h
%C%_unit_test_worker_appointment_LDADD = $(WORKER_TEST_LIBS)

%C%_unit_test_worker_condition_SOURCES = %D%/unit/test_worker_condition.c %D%/support/unit.h
%C%_unit_test_worker_condition_LDADD = $(WORKER_TEST_LIBS)

%C%_unit_test_worker_safepoint_SOURCES = %D%/unit/test_worker_safepoint.c %D%/support/unit.h
%C%_unit_test_worker_safepoint_CFLAGS = $(AM_CFLAGS) -pthread
%C%_unit_test_worker_safepoint_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=sched_yield
%C%_unit_test_worker_safepoint_LDADD = $(WORKER_TEST_LIBS)
$(%C%_unit_test_worker_safepoint_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_worker_daemon_channel_SOURCES = %D%/unit/test_worker_daemon_channel.c %D%/support/unit.h
%C%_unit_test_worker_daemon_channel_LDADD = $(WORKER_TEST_LIBS)
$(%C%_unit_test_worker_daemon_channel_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_worker_look_SOURCES = %D%/unit/test_worker_look.c %D%/support/unit.h
%C%_unit_test_worker_look_LDADD = $(WORKER_TEST_LIBS)
$(%C%_unit_test_worker_look_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_worker_one_line_SOURCES = %D%/unit/test_worker_one_line.c %D%/support/unit.h
%C%_unit_test_worker_one_line_LDADD = $(WORKER_TEST_LIBS)

%C%_unit_test_worker_sandbox_SOURCES = %D%/unit/test_worker_sandbox.c %D%/support/unit.h
%C%_unit_test_worker_sandbox_LDADD = $(WORKER_TEST_LIBS)

%C%_unit_test_worker_timers_SOURCES = %D%/unit/test_worker_timers.c %D%/support/unit.h
%C%_unit_test_worker_timers_LDADD = $(WORKER_TEST_LIBS)

%C%_unit_test_worker_wasi_SOURCES = %D%/unit/test_worker_wasi.c %D%/support/unit.h
%C%_unit_test_worker_wasi_LDADD = $(WORKER_TEST_LIBS)
$(%C%_unit_test_worker_wasi_OBJECTS): | $(PROTO_GENERATED_H)

# Plays the daemon for the worker program, with the engine that does what a test wants.
%C%_component_worker_driver_SOURCES = %D%/component/worker_driver.c %D%/support/story.h
%C%_component_worker_driver_LDADD = $(WORKER_LIBS)
EXTRA_%C%_component_worker_driver_DEPENDENCIES = \
	stillpoint-worker-fake$(EXEEXT) stillpoint-worker-mozjs$(EXEEXT)
$(%C%_component_worker_driver_OBJECTS): | $(PROTO_GENERATED_H)

# Plays the worker for the SpiderMonkey adapter; the tests in engine/ run programs with it.
ENGINE_HOST = %D%/support/engine_host/engine-host
%C%_support_engine_host_engine_host_SOURCES = \
	%D%/support/engine_host/auditing.cc %D%/support/engine_host/auditing.h \
	%D%/support/engine_host/host_main.cc \
	%D%/support/engine_host/look.cc %D%/support/engine_host/look.h
%C%_support_engine_host_engine_host_CXXFLAGS = $(AM_CXXFLAGS) $(MOZJS_CFLAGS) -pthread
%C%_support_engine_host_engine_host_LDADD = $(ENGINE_MOZJS_LIBS)

# The doors, and the daemon's own objects.
DAEMON_TEST_LIBS = $(DAEMON_LIBS) $(UNIT_LIBS)
%C%_unit_test_check_api_SOURCES = %D%/unit/test_check_api.c %D%/support/unit.h
%C%_unit_test_check_api_LDADD = $(PROTO_LIBS) $(UNIT_LIBS)
$(%C%_unit_test_check_api_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_check_worker_SOURCES = %D%/unit/test_check_worker.c %D%/support/unit.h
%C%_unit_test_check_worker_LDADD = $(PROTO_LIBS) $(UNIT_LIBS)
$(%C%_unit_test_check_worker_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_access_SOURCES = %D%/unit/test_access.c %D%/support/unit.h
%C%_unit_test_access_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_unit_test_access_OBJECTS): | $(PROTO_GENERATED_H)

%C%_unit_test_act_log_SOURCES = %D%/unit/test_act_log.c %D%/support/played_journal.h %D%/support/unit.h
%C%_unit_test_act_log_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_vm_journal_SOURCES = %D%/unit/test_vm_journal.c %D%/support/played_journal.h %D%/support/unit.h
%C%_unit_test_vm_journal_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_unit_test_vm_journal_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_fd_store_SOURCES = %D%/unit/test_fd_store.c %D%/support/notified.h %D%/support/unit.h
%C%_unit_test_fd_store_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_service_SOURCES = %D%/unit/test_service.c %D%/support/notified.h %D%/support/unit.h
%C%_unit_test_service_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_unit_test_service_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_config_SOURCES = %D%/unit/test_config.c %D%/support/unit.h
%C%_unit_test_config_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_cpu_latency_SOURCES = %D%/unit/test_cpu_latency.c %D%/support/unit.h
%C%_unit_test_cpu_latency_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_cgroup_limits_SOURCES = %D%/unit/test_cgroup_limits.c %D%/support/unit.h
%C%_unit_test_cgroup_limits_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_worker_limits_SOURCES = %D%/unit/test_worker_limits.c %D%/support/unit.h
%C%_unit_test_worker_limits_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_unit_test_worker_limits_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_look_queue_SOURCES = %D%/unit/test_look_queue.c %D%/support/unit.h
%C%_unit_test_look_queue_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_unit_test_look_queue_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_nudge_SOURCES = %D%/unit/test_nudge.c %D%/support/unit.h
%C%_unit_test_nudge_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_refused_call_SOURCES = %D%/unit/test_refused_call.c %D%/support/unit.h
%C%_unit_test_refused_call_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_record_log_SOURCES = %D%/unit/test_record_log.c %D%/support/unit.h
%C%_unit_test_record_log_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=posix_fallocate
%C%_unit_test_record_log_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_vm_log_SOURCES = %D%/unit/test_vm_log.c %D%/support/unit.h
%C%_unit_test_vm_log_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fd_store_put,--wrap=fd_store_take,--wrap=fd_store_drop,--wrap=madvise
%C%_unit_test_vm_log_LDADD = $(DAEMON_TEST_LIBS)

%C%_unit_test_event_bus_SOURCES = %D%/unit/test_event_bus.c %D%/support/unit.h
%C%_unit_test_event_bus_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fd_store_put -Wl,--wrap=fd_store_drop
%C%_unit_test_event_bus_LDADD = $(DAEMON_TEST_LIBS)

%C%_component_test_audit_SOURCES = %D%/component/test_audit.c %D%/support/timers.h %D%/support/unit.h
%C%_component_test_audit_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_audit_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_debugger_SOURCES = %D%/component/test_debugger.c %D%/support/unit.h
%C%_component_test_debugger_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_debugger_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_freezer_SOURCES = %D%/component/test_freezer.c %D%/support/unit.h
%C%_component_test_freezer_CFLAGS = $(AM_CFLAGS) -pthread
%C%_component_test_freezer_LDADD = $(DAEMON_TEST_LIBS)


%C%_component_test_look_SOURCES = %D%/component/test_look.c %D%/support/timers.h %D%/support/unit.h
%C%_component_test_look_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_look_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_state_SOURCES = %D%/component/test_state.c %D%/support/unit.h
%C%_component_test_state_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_state_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_world_SOURCES = %D%/component/test_world.c %D%/support/unit.h
%C%_component_test_world_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_world_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_worker_channel_SOURCES = %D%/component/test_worker_channel.c %D%/support/unit.h
%C%_component_test_worker_channel_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_worker_channel_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_worker_keep_SOURCES = %D%/component/test_worker_keep.c %D%/support/unit.h
%C%_component_test_worker_keep_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fd_store_put,--wrap=fd_store_drop
%C%_component_test_worker_keep_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_worker_keep_OBJECTS): | $(PROTO_GENERATED_H)

%C%_component_test_world_random_SOURCES = %D%/component/test_world_random.c %D%/support/unit.h
%C%_component_test_world_random_LDADD = $(DAEMON_TEST_LIBS)
$(%C%_component_test_world_random_OBJECTS): | $(PROTO_GENERATED_H)

# What system/test_faults.py makes system calls fail with.
noinst_PROGRAMS += %D%/support/inject
%C%_support_inject_SOURCES = %D%/support/inject.c
%C%_support_inject_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
%C%_support_inject_LDADD = $(SECCOMP_LIBS)

# Preloads: what system/test_clock.py sets the time of day with, for a daemon and its workers only, and what
# system/test_faults.py makes allocations fail with, and booted/ a daemon's loop hang.
if !SANITIZE
noinst_PROGRAMS += %D%/support/alloc_fail.so %D%/support/clock_shift.so %D%/support/hang.so
%C%_support_alloc_fail_so_SOURCES = %D%/support/alloc_fail.c
%C%_support_alloc_fail_so_CFLAGS = $(SP_CFLAGS) -fPIC -fno-builtin
%C%_support_alloc_fail_so_LDFLAGS = -shared
%C%_support_clock_shift_so_SOURCES = %D%/support/clock_shift.c
%C%_support_clock_shift_so_CFLAGS = $(SP_CFLAGS) -fPIC
%C%_support_clock_shift_so_LDFLAGS = -shared
%C%_support_clock_shift_so_LDADD = -ldl
%C%_support_hang_so_SOURCES = %D%/support/hang.c
%C%_support_hang_so_CFLAGS = $(SP_CFLAGS) -fPIC
%C%_support_hang_so_LDFLAGS = -shared
endif

# Checks of the tree itself; they print TAP.
SOURCE_TESTS = %D%/catalog/check.py %D%/include_table/check.py %D%/named/check.py %D%/scripts/test_build.py %D%/units/check.py

# Units name a program, which has to be there.
%D%/units/check.log: packaging/systemd/stillpointd.service stillpointd$(EXEEXT)

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS) $(COMPONENT_TESTS)
TESTS += $(UNIT_TESTS) $(COMPONENT_TESTS)
else
TESTS += %D%/unit/without_cmocka.py
endif
dist_check_SCRIPTS += %D%/unit/without_cmocka.py
TESTS += $(SOURCE_TESTS)
dist_check_SCRIPTS += $(SOURCE_TESTS)

# The SpiderMonkey adapter alone. A sanitizer and the engine both want the same faults.
ENGINE_TESTS = %D%/differential/differential.py %D%/engine/test_audit.py %D%/engine/test_inspect.py \
	%D%/engine/test_look.py
dist_check_SCRIPTS += $(ENGINE_TESTS)
if !SANITIZE
check_PROGRAMS += $(ENGINE_HOST)
TESTS += $(ENGINE_TESTS)
endif

# stillctl with a daemon that is a model.
CLI_MODEL_TESTS = %D%/cli/test_debugging.py
dist_check_SCRIPTS += $(CLI_MODEL_TESTS)
TESTS += $(CLI_MODEL_TESTS)
%D%/cli/test_debugging.log: stillctl$(EXEEXT)

# What is built, held against what is written of it.
WORD_TESTS = %D%/library/check.py %D%/manual/check.py
dist_check_SCRIPTS += $(WORD_TESTS)
TESTS += $(WORD_TESTS)
%D%/library/check.log: $(LIBSTILLPOINT_SO)
%D%/manual/check.log: stillctl$(EXEEXT) stillpointd$(EXEEXT)

# All speak TAP. cmocka needs to be told so. A test never writes beside the sources.
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
PY_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_COMPILER = $(PYTHON3) -B
TEST_EXTENSIONS = .py
AM_TESTS_ENVIRONMENT = CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;

EXTRA_DIST += %D%/README.md %D%/booted/run.py %D%/booted/test_admin.py %D%/booted/test_adoption.py %D%/booted/test_autopkgtest.py \
	%D%/booted/test_controllers.py %D%/booted/test_crashes.py %D%/booted/test_load.py %D%/booted/test_packages.py %D%/booted/test_service.py %D%/booted/test_vm_units.py %D%/cli/fake_daemon.py %D%/include_table/table.txt \
	%D%/packages/run.py %D%/protocol/client.py %D%/support/api.py %D%/support/booted.py %D%/support/clock.py %D%/support/preload.py %D%/support/debugging.py %D%/support/emulated.py %D%/support/guide.py %D%/support/harness.py \
	%D%/support/hostile.py %D%/support/journal.py %D%/support/leaks.py %D%/support/look.py %D%/support/model.py %D%/support/storm.py %D%/support/tap.py %D%/support/wasm.py \
	%D%/support/wire.py %D%/system/run.py %D%/system/test_access.py %D%/system/test_audit.py %D%/system/test_bad_peers.py \
	%D%/system/test_cli_debug.py %D%/system/test_completion.py %D%/system/test_control.py %D%/system/test_debug.py %D%/system/test_debug_storm.py \
	%D%/system/test_debug_wasm.py %D%/system/test_debugger_life.py %D%/system/test_enforce.py %D%/system/test_faults.py %D%/system/test_freezer.py \
	%D%/system/test_hostile_client.py %D%/system/test_hostile_worker.py \
	%D%/system/test_journal.py %D%/system/test_leaks.py %D%/system/test_limits.py %D%/system/test_operations.py %D%/system/test_protocol.py \
	%D%/system/test_run.py %D%/system/test_sandbox.py %D%/system/test_storm.py %D%/system/test_units.py %D%/system/test_vms.py \
	%D%/system/test_wasi.py %D%/system/test_world.py \
	%D%/conformance %D%/differential/programs %D%/differential/record_js102.js shared-mem/model

# check.py reports by TAP; its exit status is for those who call it by hand.
PY_LOG_DRIVER_FLAGS = --ignore-exit

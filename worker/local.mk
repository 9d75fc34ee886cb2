# The worker programs: one C part, and exactly one engine each.
noinst_LIBRARIES += %D%/libworker.a
%C%_libworker_a_SOURCES = \
	%D%/appointment.c %D%/appointment.h \
	%D%/audit_table.c %D%/audit_table.h \
	%D%/auditor.c %D%/auditor.h \
	%D%/birth.c %D%/birth.h \
	%D%/capture.c %D%/capture.h \
	%D%/condition.c %D%/condition.h \
	%D%/daemon_channel.c %D%/daemon_channel.h \
	%D%/dispatch.c %D%/dispatch.h \
	%D%/engine.h %D%/engine_debug.h \
	%D%/hook.c %D%/hook.h \
	%D%/host/console.c \
	%D%/host/host.c %D%/host/host.h \
	%D%/host_ops.c %D%/host_ops.h \
	%D%/host/imports.c %D%/host/imports.h \
	%D%/host/messages.c %D%/host/messages.h \
	%D%/host/timers.c %D%/host/timers.h \
	%D%/host/wasi.c %D%/host/wasi.h \
	%D%/huge_code.c %D%/huge_code.h \
	%D%/inspect.c %D%/inspect.h \
	%D%/keeper.c %D%/keeper.h \
	%D%/lockdown.c %D%/lockdown.h \
	%D%/look.c %D%/look.h \
	%D%/one_line.c %D%/one_line.h \
	%D%/pause.c %D%/pause.h \
	%D%/safepoint.c %D%/safepoint.h \
	%D%/sandbox.c %D%/sandbox.h \
	%D%/refused_call.c %D%/refused_call.h \
	%D%/seccomp_table.c %D%/seccomp_table.h \
	%D%/shown.c %D%/shown.h \
	%D%/stepper.c %D%/stepper.h \
	%D%/zygote.c %D%/zygote.h
%C%_libworker_a_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS) $(SECCOMP_CFLAGS)
%C%_libworker_a_CFLAGS = $(AM_CFLAGS) -pthread
$(%C%_libworker_a_OBJECTS): | $(PROTO_GENERATED_H)
WORKER_LIBS = %D%/libworker.a $(SHARED_MEM_LIBS) $(PROTO_LIBS) $(BASE_LIBS) $(SECCOMP_LIBS) -lpthread

# An engine without a language, for tests.
noinst_PROGRAMS += stillpoint-worker-fake
stillpoint_worker_fake_SOURCES = %D%/main.c \
	%D%/engines/fake.c %D%/engines/fake.h %D%/engines/fake_debug.c
stillpoint_worker_fake_CFLAGS = $(AM_CFLAGS) -pthread
stillpoint_worker_fake_LDADD = $(WORKER_LIBS)

# The SpiderMonkey adapter: an archive, since a test links it without a worker too.
noinst_LIBRARIES += %D%/libmozjs.a
%C%_libmozjs_a_SOURCES = \
	%D%/engines/mozjs.cc \
	%D%/engines/mozjs_audit.cc \
	%D%/engines/mozjs_compat.h \
	%D%/engines/mozjs_console.cc \
	%D%/engines/mozjs_debugger.cc \
	%D%/engines/mozjs_debugger.h \
	%D%/engines/mozjs_global.cc \
	%D%/engines/mozjs_init.cc \
	%D%/engines/mozjs_internal.h \
	%D%/engines/mozjs_job.cc \
	%D%/engines/mozjs_look.cc \
	%D%/engines/mozjs_look.h \
	%D%/engines/mozjs_module.cc \
	%D%/engines/mozjs_module.h \
	%D%/engines/mozjs_preview.cc \
	%D%/engines/mozjs_source.cc \
	%D%/engines/mozjs_text.cc \
	%D%/engines/mozjs_value.cc \
	%D%/engines/mozjs_wasm.cc
nodist_%C%_libmozjs_a_SOURCES = %D%/engines/mozjs_prelude_js.h
%C%_libmozjs_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/%D%/engines
%C%_libmozjs_a_CXXFLAGS = $(AM_CXXFLAGS) $(MOZJS_CFLAGS) -pthread
$(%C%_libmozjs_a_OBJECTS): | %D%/engines/mozjs_prelude_js.h

# Apart, and never with sanitizers: they keep tables of functions alive that an optimised build drops, and that
# the engine's library does not export.
noinst_LIBRARIES += %D%/libmozjs_inspect.a
%C%_libmozjs_inspect_a_SOURCES = %D%/engines/mozjs_inspect.cc
%C%_libmozjs_inspect_a_CPPFLAGS = $(%C%_libmozjs_a_CPPFLAGS)
%C%_libmozjs_inspect_a_CXXFLAGS = $(%C%_libmozjs_a_CXXFLAGS) -fno-sanitize=all
$(%C%_libmozjs_inspect_a_OBJECTS): | %D%/engines/mozjs_prelude_js.h
ENGINE_MOZJS_LIBS = %D%/libmozjs.a %D%/libmozjs_inspect.a %D%/libmozjs.a $(MOZJS_LIBS) -lpthread

# A C++ source, which is never there, makes the linker the C++ one.
pkglibexec_PROGRAMS += stillpoint-worker-mozjs
stillpoint_worker_mozjs_SOURCES = %D%/main.c
nodist_EXTRA_stillpoint_worker_mozjs_SOURCES = no_such_source.cc
stillpoint_worker_mozjs_LDADD = $(WORKER_LIBS) $(ENGINE_MOZJS_LIBS)

%D%/engines/mozjs_prelude_js.h: %D%/engines/mozjs_prelude.js %D%/engines/embed.sh
	$(AM_V_GEN)$(MKDIR_P) %D%/engines && \
	$(SHELL) $(srcdir)/%D%/engines/embed.sh $(srcdir)/%D%/engines/mozjs_prelude.js $@
CLEANFILES += %D%/engines/mozjs_prelude_js.h

EXTRA_DIST += %D%/README.md %D%/engines/embed.sh %D%/engines/mozjs_prelude.js

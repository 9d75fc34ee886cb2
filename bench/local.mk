# Never in the test run: `make bench` builds BENCHES and runs them, then the scripts, one after the
# other.
BENCHES += %D%/gate_cost %D%/stop_latency %D%/freeze %D%/spawn
BENCH_PARTS = %D%/native_breakpoint
BENCH_PY = %D%/octane.py %D%/audit_cost.py %D%/kill_storm.py %D%/lldb_cost.py
bench: all $(BENCHES) $(BENCH_PARTS)
	@for b in $(BENCHES); do echo "== $$b"; ./$$b || exit 1; done
	@for b in $(BENCH_PY); do echo "== $$b"; $(PYTHON3) -B $(srcdir)/$$b --build . || exit 1; done
EXTRA_PROGRAMS += $(BENCHES) $(BENCH_PARTS)
CLEANFILES += $(BENCHES) $(BENCH_PARTS)
EXTRA_DIST += %D%/README.md %D%/results.md $(BENCH_PY)

%C%_gate_cost_SOURCES = %D%/gate_cost.c %D%/measure.c %D%/measure.h
%C%_gate_cost_LDADD = $(SHARED_MEM_LIBS)

%C%_stop_latency_SOURCES = %D%/stop_latency.c %D%/bare_wake.c %D%/bare_wake.h \
	%D%/kernel_stop.c %D%/kernel_stop.h %D%/measure.c %D%/measure.h %D%/private_daemon.c \
	%D%/private_daemon.h
%C%_stop_latency_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=recvmsg
%C%_stop_latency_LDADD = $(CLIENT_LIBS) $(BASE_LIBS)

%C%_freeze_SOURCES = %D%/freeze.c
%C%_freeze_LDADD = $(DAEMON_LIBS)

%C%_spawn_SOURCES = %D%/spawn.c %D%/kernel_stop.c %D%/kernel_stop.h %D%/measure.c %D%/measure.h \
	%D%/private_daemon.c %D%/private_daemon.h
%C%_spawn_LDADD = $(CLIENT_LIBS) $(DAEMON_LIBS)

# The engine alone, for audit_cost.py.
%C%_native_breakpoint_SOURCES = %D%/native_breakpoint.cc
%C%_native_breakpoint_CPPFLAGS = $(AM_CPPFLAGS) $(MOZJS_CFLAGS)
%C%_native_breakpoint_LDADD = $(MOZJS_LIBS)

# Never in the test run: `make bench` builds BENCHES and runs them, then the scripts, one after the
# other.
BENCHES += %D%/gate_cost %D%/stop_latency %D%/freeze
BENCH_PY = %D%/octane.py
bench: all $(BENCHES)
	@for b in $(BENCHES); do echo "== $$b"; ./$$b || exit 1; done
	@for b in $(BENCH_PY); do echo "== $$b"; $(PYTHON3) -B $(srcdir)/$$b --build . || exit 1; done
EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)
EXTRA_DIST += %D%/README.md %D%/results.md $(BENCH_PY)

%C%_gate_cost_SOURCES = %D%/gate_cost.c %D%/measure.c %D%/measure.h
%C%_gate_cost_LDADD = $(SHARED_MEM_LIBS)

%C%_stop_latency_SOURCES = %D%/stop_latency.c %D%/kernel_stop.c %D%/kernel_stop.h %D%/measure.c \
	%D%/measure.h
%C%_stop_latency_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=recvmsg
%C%_stop_latency_LDADD = $(CLIENT_LIBS) $(BASE_LIBS)

%C%_freeze_SOURCES = %D%/freeze.c
%C%_freeze_LDADD = $(DAEMON_LIBS)

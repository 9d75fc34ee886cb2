# Never in the test run: `make bench` builds BENCHES and runs them, then the scripts, one after the
# other.
BENCH_PY = %D%/octane.py %D%/stop_latency.py
BENCHES += %D%/freeze
%C%_freeze_SOURCES = %D%/freeze.c
%C%_freeze_LDADD = $(DAEMON_LIBS)

bench: all $(BENCHES)
	@for b in $(BENCHES); do echo "== $$b"; ./$$b || exit 1; done
	@for b in $(BENCH_PY); do echo "== $$b"; $(PYTHON3) -B $(srcdir)/$$b --build . || exit 1; done
EXTRA_PROGRAMS += $(BENCHES)
EXTRA_DIST += %D%/README.md %D%/results.md $(BENCH_PY)

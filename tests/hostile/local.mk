# A worker that an attacker owns, for tests/system/test_hostile_worker.py, and what it may call.
noinst_PROGRAMS += stillpoint-worker-hostile
stillpoint_worker_hostile_SOURCES = worker/main.c \
	%D%/acts.c %D%/hostile.c %D%/hostile.h
stillpoint_worker_hostile_CFLAGS = $(AM_CFLAGS) -pthread
stillpoint_worker_hostile_LDADD = $(WORKER_LIBS)
$(stillpoint_worker_hostile_OBJECTS): | $(PROTO_GENERATED_H)

noinst_PROGRAMS += %D%/golden
%C%_golden_SOURCES = %D%/golden.c
%C%_golden_LDADD = $(WORKER_LIBS)

# After a change of worker/seccomp_table.c that is meant.
update-golden: %D%/golden$(EXEEXT)
	$(AM_V_GEN)%D%/golden$(EXEEXT) >$(srcdir)/%D%/syscalls.golden
.PHONY: update-golden

EXTRA_DIST += %D%/README.md %D%/syscalls.golden

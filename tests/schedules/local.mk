# The real sources of stop-the-world under a scheduler of our own: README.md.
#
# Two archives: the product's sources, compiled with a yield before each shared access, and what
# plays the rest of the world for them.
SCHEDULES_CPPFLAGS = $(AM_CPPFLAGS) -DSTILLPOINT_SCHEDULES $(PROTOBUF_C_CFLAGS) $(EVENT_CFLAGS)
SCHEDULES_PRODUCT_CPPFLAGS = $(SCHEDULES_CPPFLAGS) -include $(top_srcdir)/%D%/sim_calls.h

check_LIBRARIES += %D%/libschedules.a %D%/libproduct.a
%C%_libproduct_a_SOURCES = \
	daemon/enforcer.c \
	daemon/event_bus.c \
	daemon/stop_report.c \
	daemon/ticket.c \
	daemon/record_log.c \
	daemon/world.c \
	daemon/world_arrival.c \
	daemon/world_hold.c \
	daemon/world_pause.c \
	daemon/world_ticket.c \
	daemon/worlds.c \
	shared-mem/gate.c \
	shared-mem/stop.c
%C%_libproduct_a_CPPFLAGS = $(SCHEDULES_PRODUCT_CPPFLAGS)
$(%C%_libproduct_a_OBJECTS): | $(PROTO_GENERATED_H)

%C%_libschedules_a_SOURCES = \
	%D%/cast.c %D%/cast.h \
	%D%/conductor_small.c \
	%D%/conductor_world.c \
	%D%/coro.c %D%/coro.h \
	%D%/explore.c %D%/explore.h \
	%D%/loop.c %D%/loop.h \
	%D%/scenarios.c \
	%D%/sim.c %D%/sim.h %D%/sim_calls.h
%C%_libschedules_a_CPPFLAGS = $(SCHEDULES_CPPFLAGS)
$(%C%_libschedules_a_OBJECTS): | $(PROTO_GENERATED_H)
# They need each other.
SCHEDULES_LIBS = %D%/libschedules.a %D%/libproduct.a %D%/libschedules.a

check_PROGRAMS += %D%/schedules
%C%_schedules_SOURCES = %D%/main.c
%C%_schedules_CPPFLAGS = $(SCHEDULES_CPPFLAGS)
%C%_schedules_LDADD = $(SCHEDULES_LIBS)
$(%C%_schedules_OBJECTS): | $(PROTO_GENERATED_H)

check_PROGRAMS += %D%/test_schedules
TESTS += %D%/test_schedules
%C%_test_schedules_SOURCES = %D%/test_schedules.c
%C%_test_schedules_CPPFLAGS = $(SCHEDULES_CPPFLAGS)
%C%_test_schedules_LDADD = $(SCHEDULES_LIBS)
$(%C%_test_schedules_OBJECTS): | $(PROTO_GENERATED_H)

%C%_test_forced_SOURCES = %D%/test_forced.c tests/support/unit.h
%C%_test_forced_CPPFLAGS = $(SCHEDULES_CPPFLAGS)
%C%_test_forced_LDADD = $(SCHEDULES_LIBS) $(CMOCKA_LIBS)
$(%C%_test_forced_OBJECTS): | $(PROTO_GENERATED_H)
if HAVE_CMOCKA
check_PROGRAMS += %D%/test_forced
TESTS += %D%/test_forced
endif

# More than two million schedules, and every mutant: some minutes. SCHEDULES_FLAGS='--runs 1000000
# --cap 1000000 --seed 7' for more; MUTANTS='bell kick' for those whose names have one of the words.
SCHEDULES_FLAGS = --runs 10000 --cap 40000
check-schedules: %D%/schedules$(EXEEXT)
	@$(MKDIR_P) %D%/failures
	%D%/schedules$(EXEEXT) --folder %D%/failures $(SCHEDULES_FLAGS)
	@CC='$(CC) $(DEFS) $(DEFAULT_INCLUDES) $(SCHEDULES_PRODUCT_CPPFLAGS) -iquote $(top_srcdir)/shared-mem \
		$(SP_CFLAGS) $(CFLAGS)' \
		SRCDIR='$(top_srcdir)' BUILDDIR='.' \
		OBJECTS='$(%C%_schedules_OBJECTS) $(SCHEDULES_LIBS)' \
		$(PYTHON3) -B $(top_srcdir)/%D%/mutants.py $(MUTANTS)
.PHONY: check-schedules

clean-local: clean-schedules
clean-schedules:
	rm -rf %D%/failures
.PHONY: clean-schedules

EXTRA_DIST += %D%/README.md %D%/mutants.py

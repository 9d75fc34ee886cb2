# stillpoint-gdbserver. All but main is an archive, so that unit tests link the real objects.
noinst_LIBRARIES += %D%/libgdbserver.a
%C%_libgdbserver_a_SOURCES = \
	%D%/address.h \
	%D%/fields.c %D%/fields.h \
	%D%/packet.c %D%/packet.h \
	%D%/requests.c %D%/requests.h \
	%D%/requests_look.c \
	%D%/requests_memory.c \
	%D%/requests_run.c \
	%D%/reply.c \
	%D%/server.c %D%/server.h \
	%D%/session.c %D%/session.h \
	%D%/target.c %D%/target.h %D%/target_private.h \
	%D%/target_break.c \
	%D%/target_look.c \
	%D%/target_run.c \
	%D%/target_watch.c \
	%D%/target_world.c \
	%D%/wasm_module.c %D%/wasm_module.h
GDBSERVER_LIBS = %D%/libgdbserver.a $(CLIENT_LIBS)

bin_PROGRAMS += stillpoint-gdbserver
stillpoint_gdbserver_SOURCES = %D%/main.c
stillpoint_gdbserver_LDADD = $(GDBSERVER_LIBS)
dist_man_MANS += docs/man/stillpoint-gdbserver.1

EXTRA_DIST += %D%/README.md \
	tests/support/lldb_client.py tests/support/lldb_driver.py tests/support/rsp.py \
	tests/system/test_lldb.py tests/system/test_lldb_beside.py tests/system/test_lldb_guide.py \
	tests/system/test_lldb_protocol.py tests/system/test_lldb_rules.py tests/system/test_lldb_start.py \
	tests/system/test_lldb_watch.py tests/system/test_lldb_world.py

if HAVE_CMOCKA
GDBSERVER_TESTS = tests/unit/test_gdb_fields tests/unit/test_gdb_packet tests/unit/test_gdb_session \
	tests/unit/test_gdb_watch tests/unit/test_wasm_module
check_PROGRAMS += $(GDBSERVER_TESTS)
TESTS += $(GDBSERVER_TESTS)
endif

tests_unit_test_gdb_fields_SOURCES = tests/unit/test_gdb_fields.c tests/support/unit.h
tests_unit_test_gdb_fields_LDADD = $(GDBSERVER_LIBS) $(UNIT_LIBS)

tests_unit_test_gdb_packet_SOURCES = tests/unit/test_gdb_packet.c tests/support/unit.h
tests_unit_test_gdb_packet_LDADD = $(GDBSERVER_LIBS) $(UNIT_LIBS)

tests_unit_test_gdb_session_SOURCES = tests/unit/test_gdb_session.c tests/support/unit.h
tests_unit_test_gdb_session_LDADD = $(GDBSERVER_LIBS) $(UNIT_LIBS)

tests_unit_test_gdb_watch_SOURCES = tests/unit/test_gdb_watch.c tests/support/unit.h
tests_unit_test_gdb_watch_LDADD = $(GDBSERVER_LIBS) $(UNIT_LIBS)

tests_unit_test_wasm_module_SOURCES = tests/unit/test_wasm_module.c tests/support/unit.h
tests_unit_test_wasm_module_LDADD = $(GDBSERVER_LIBS) $(UNIT_LIBS)

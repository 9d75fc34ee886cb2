# libstillpoint: stillpoint.h is the only header that is installed. The archive is whole: it has the
# objects of base/ and proto/ that it uses, so that its users link it, libprotobuf-c and libinih. stillctl and the
# tests link the archive, and so run in place.
lib_LIBRARIES = %D%/libstillpoint.a
include_HEADERS += %D%/stillpoint.h
LIBSTILLPOINT_SOURCES = \
	%D%/call.c %D%/call.h \
	%D%/call_act.c \
	%D%/call_audit.c \
	%D%/call_daemon.c \
	%D%/call_debugger.c \
	%D%/call_inspect.c \
	%D%/call_look.c \
	%D%/call_vm.c \
	%D%/call_world.c \
	%D%/conn.c %D%/conn.h \
	%D%/connect.c \
	%D%/decode.c %D%/decode.h \
	%D%/decode_debug.c \
	%D%/events.c %D%/events.h \
	%D%/folder.c \
	%D%/glob.c \
	%D%/memory.c %D%/memory.h \
	%D%/run.c \
	%D%/stillpoint.h \
	%D%/unit.c \
	%D%/words.c
%C%_libstillpoint_a_SOURCES = $(LIBSTILLPOINT_SOURCES)
%C%_libstillpoint_a_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
%C%_libstillpoint_a_LIBADD = \
	base/bytes.$(OBJEXT) \
	base/fd.$(OBJEXT) \
	base/folder.$(OBJEXT) \
	base/ini_file.$(OBJEXT) \
	base/text.$(OBJEXT) \
	proto/frame.$(OBJEXT) \
	proto/unpack.$(OBJEXT) \
	proto/vm_limits.$(OBJEXT) \
	proto/vm_unit.$(OBJEXT) \
	proto/libproto_generated_a-api.pb-c.$(OBJEXT)
$(%C%_libstillpoint_a_OBJECTS): | $(PROTO_GENERATED_H)
CLIENT_LIBS = %D%/libstillpoint.a $(PROTOBUF_C_LIBS) $(INIH_LIBS)

# The shared library for everybody else: the same sources once more, as position independent code
# (docs/decisions/0029). What libprotobuf-c's compiler writes is not held to our warnings.
# LIBSTILLPOINT_ABI is the number in the soname: it grows when a program that was linked with an older one
# would no longer run right, and then debian/ has a package of another name. client/libstillpoint.map
# says what is exported.
LIBSTILLPOINT_ABI = 1
LIBSTILLPOINT_SONAME = libstillpoint.so.$(LIBSTILLPOINT_ABI)
LIBSTILLPOINT_SO = %D%/libstillpoint.so.$(LIBSTILLPOINT_ABI).$(VERSION)

noinst_LIBRARIES += %D%/libstillpoint-pic.a %D%/libstillpoint-pic-generated.a
%C%_libstillpoint_pic_a_SOURCES = $(LIBSTILLPOINT_SOURCES) \
	base/bytes.c base/fd.c base/folder.c base/ini_file.c base/text.c proto/frame.c proto/unpack.c \
	proto/vm_limits.c proto/vm_unit.c
%C%_libstillpoint_pic_a_CPPFLAGS = $(%C%_libstillpoint_a_CPPFLAGS)
%C%_libstillpoint_pic_a_CFLAGS = $(AM_CFLAGS) -fPIC
$(%C%_libstillpoint_pic_a_OBJECTS): | $(PROTO_GENERATED_H)
nodist_%C%_libstillpoint_pic_generated_a_SOURCES = proto/api.pb-c.c
%C%_libstillpoint_pic_generated_a_CFLAGS = -std=gnu11 $(SP_HARDEN) -fPIC
$(%C%_libstillpoint_pic_generated_a_OBJECTS): | $(PROTO_GENERATED_H)

# A folder whose variable has "exec" in its name is installed with the programs.
sharedexecdir = $(libdir)
nodist_sharedexec_DATA = $(LIBSTILLPOINT_SO)
$(LIBSTILLPOINT_SO): %D%/libstillpoint-pic.a %D%/libstillpoint-pic-generated.a %D%/libstillpoint.map
	$(AM_V_CCLD)$(CC) -shared $(SP_SHARED_LDFLAGS) $(CFLAGS) $(SP_HARDEN) $(LDFLAGS) -o $@ \
		-Wl,-soname,$(LIBSTILLPOINT_SONAME) -Wl,--version-script,$(srcdir)/%D%/libstillpoint.map \
		-Wl,--whole-archive %D%/libstillpoint-pic.a %D%/libstillpoint-pic-generated.a \
		-Wl,--no-whole-archive $(PROTOBUF_C_LIBS) $(INIH_LIBS)
CLEANFILES += $(LIBSTILLPOINT_SO)

install-exec-hook:
	cd $(DESTDIR)$(libdir) && \
		$(LN_S) -f $(notdir $(LIBSTILLPOINT_SO)) $(LIBSTILLPOINT_SONAME) && \
		$(LN_S) -f $(LIBSTILLPOINT_SONAME) libstillpoint.so
uninstall-hook:
	rm -f $(DESTDIR)$(libdir)/$(LIBSTILLPOINT_SONAME) $(DESTDIR)$(libdir)/libstillpoint.so

pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = %D%/libstillpoint.pc
%D%/libstillpoint.pc: %D%/libstillpoint.pc.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SED) -e 's|@libdir[@]|$(libdir)|' \
		-e 's|@includedir[@]|$(includedir)|' -e 's|@VERSION[@]|$(VERSION)|' \
		$(srcdir)/%D%/libstillpoint.pc.in >$@
CLEANFILES += %D%/libstillpoint.pc
EXTRA_DIST += %D%/README.md %D%/libstillpoint.map %D%/libstillpoint.pc.in

if HAVE_CMOCKA
CLIENT_TESTS = tests/unit/test_client_audit tests/unit/test_client_conn \
	tests/unit/test_client_debugger tests/unit/test_client_folder tests/unit/test_client_look
check_PROGRAMS += $(CLIENT_TESTS)
TESTS += $(CLIENT_TESTS)
endif
# A daemon that says what a test wants; tests of cli/ use it too.
CLIENT_FAKE = tests/unit/test_client_fake.c tests/unit/test_client_fake.h

tests_unit_test_client_audit_SOURCES = tests/unit/test_client_audit.c $(CLIENT_FAKE) tests/support/unit.h
tests_unit_test_client_audit_CFLAGS = $(AM_CFLAGS) -pthread
tests_unit_test_client_audit_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
$(tests_unit_test_client_audit_OBJECTS): | $(PROTO_GENERATED_H)

tests_unit_test_client_conn_SOURCES = tests/unit/test_client_conn.c $(CLIENT_FAKE) tests/support/unit.h
tests_unit_test_client_conn_CFLAGS = $(AM_CFLAGS) -pthread
tests_unit_test_client_conn_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
$(tests_unit_test_client_conn_OBJECTS): | $(PROTO_GENERATED_H)

tests_unit_test_client_debugger_SOURCES = tests/unit/test_client_debugger.c $(CLIENT_FAKE) \
	tests/support/unit.h
tests_unit_test_client_debugger_CFLAGS = $(AM_CFLAGS) -pthread
tests_unit_test_client_debugger_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
$(tests_unit_test_client_debugger_OBJECTS): | $(PROTO_GENERATED_H)

tests_unit_test_client_folder_SOURCES = tests/unit/test_client_folder.c tests/support/unit.h
tests_unit_test_client_folder_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)

tests_unit_test_client_look_SOURCES = tests/unit/test_client_look.c $(CLIENT_FAKE) tests/support/unit.h
tests_unit_test_client_look_CFLAGS = $(AM_CFLAGS) -pthread
tests_unit_test_client_look_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
$(tests_unit_test_client_look_OBJECTS): | $(PROTO_GENERATED_H)

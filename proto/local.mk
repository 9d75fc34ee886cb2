# Both wires, and the form of the daemon's state, which is spoken on none. *.pb-c.[ch] are generated in the build directory.
#
# An object that includes a generated header must wait for it in the first build, when no .d file
# says so yet. So each target that includes one has a line
#   $(TARGET_OBJECTS): | $(PROTO_GENERATED_H)
PROTO_SCHEMAS = %D%/api.proto %D%/worker.proto
PROTO_GENERATED_H = %D%/api.pb-c.h %D%/worker.pb-c.h %D%/state.pb-c.h
PROTO_GENERATED_C = %D%/api.pb-c.c %D%/worker.pb-c.c %D%/state.pb-c.c

noinst_LIBRARIES += %D%/libproto.a
%C%_libproto_a_SOURCES = \
	%D%/frame.c %D%/frame.h \
	%D%/check_api.c %D%/check_api.h %D%/check_api_private.h \
	%D%/check_api_parts.c \
	%D%/check_api_look.c \
	%D%/check_api_audit.c \
	%D%/check_worker.c %D%/check_worker.h \
	%D%/parts.c %D%/parts.h \
	%D%/limits.h \
	%D%/unpack.c %D%/unpack.h \
	%D%/vm_limits.c %D%/vm_limits.h \
	%D%/vm_unit.c %D%/vm_unit.h
$(%C%_libproto_a_OBJECTS): | $(PROTO_GENERATED_H)

# What protoc-c writes is not held to our warnings.
noinst_LIBRARIES += %D%/libproto-generated.a
nodist_%C%_libproto_generated_a_SOURCES = $(PROTO_GENERATED_C) $(PROTO_GENERATED_H)
%C%_libproto_generated_a_CFLAGS = -std=gnu11 $(SP_HARDEN)
$(%C%_libproto_generated_a_OBJECTS): | $(PROTO_GENERATED_H)

PROTO_LIBS = %D%/libproto.a %D%/libproto-generated.a $(PROTOBUF_C_LIBS)

# A pattern rule with two targets: one call makes both.
%D%/%.pb-c.c %D%/%.pb-c.h: %D%/%.proto
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(PROTOC_C) --proto_path=$(top_srcdir) --c_out=$(top_builddir) $(top_srcdir)/%D%/$*.proto

protodir = $(pkgdatadir)/proto
dist_proto_DATA = $(PROTO_SCHEMAS)
CLEANFILES += $(PROTO_GENERATED_H) $(PROTO_GENERATED_C)
EXTRA_DIST += %D%/README.md %D%/state.proto

# stillctl. All but main is an archive, so that unit tests link the real objects.
noinst_LIBRARIES += %D%/libcli.a
%C%_libcli_a_SOURCES = \
	%D%/audit.c \
	%D%/audit_add.c \
	%D%/break.c \
	%D%/cli.h \
	%D%/connect.c \
	%D%/control.c \
	%D%/debug.c \
	%D%/debug_commands.c %D%/debug_commands.h \
	%D%/debug_line.c %D%/debug_line.h \
	%D%/debug_session.c %D%/debug_session.h \
	%D%/debugger.c %D%/debugger.h \
	%D%/doctor.c \
	%D%/events.c \
	%D%/fail.c \
	%D%/hits.c %D%/hits.h \
	%D%/hook.c %D%/hook.h \
	%D%/inspect.c \
	%D%/json.c %D%/json.h \
	%D%/json_debug.c \
	%D%/lldb.c \
	%D%/logs.c \
	%D%/look.c %D%/look.h \
	%D%/memory.c \
	%D%/message.c \
	%D%/options.c %D%/options.h \
	%D%/parse.c %D%/parse.h \
	%D%/print.c %D%/print.h \
	%D%/private.c %D%/private.h \
	%D%/run.c \
	%D%/select.c %D%/select.h \
	%D%/session.c %D%/session.h \
	%D%/show.c %D%/show.h \
	%D%/source.c \
	%D%/step.c %D%/step.h \
	%D%/target.c %D%/target.h \
	%D%/top.c \
	%D%/unit.c \
	%D%/verb.h %D%/verbs.c \
	%D%/vm.c \
	%D%/world.c %D%/world.h
%C%_libcli_a_CPPFLAGS = $(AM_CPPFLAGS) -DSTILLPOINTD_PATH='"$(sbindir)/stillpointd"' \
	-DSTILLPOINT_GDBSERVER_PATH='"$(bindir)/stillpoint-gdbserver"' \
	$(JANSSON_CFLAGS) $(LIBEDIT_CFLAGS) $(SMARTCOLS_CFLAGS)
CLI_LIBS = %D%/libcli.a $(CLIENT_LIBS) $(JANSSON_LIBS) $(LIBEDIT_LIBS) $(SMARTCOLS_LIBS)

bin_PROGRAMS += stillctl
stillctl_SOURCES = %D%/main.c
stillctl_CPPFLAGS = $(%C%_libcli_a_CPPFLAGS)
stillctl_LDADD = $(CLI_LIBS)

dist_man_MANS += docs/man/libstillpoint.3 docs/man/stillctl.1 docs/man/stillpoint.7 docs/man/stillpoint-protocol.7 \
	docs/man/stillpointd.8 docs/man/stillpointd.conf.5 docs/man/stillpoint-vm.conf.5

bashcompletiondir = $(datadir)/bash-completion/completions
nodist_bashcompletion_DATA = %D%/completions/stillctl
%D%/completions/stillctl: packaging/completions/stillctl.bash
	$(AM_V_GEN)$(MKDIR_P) %D%/completions && cp $(srcdir)/packaging/completions/stillctl.bash $@
zshcompletiondir = $(datadir)/zsh/site-functions
nodist_zshcompletion_DATA = %D%/completions/_stillctl
%D%/completions/_stillctl: packaging/completions/stillctl.zsh
	$(AM_V_GEN)$(MKDIR_P) %D%/completions && cp $(srcdir)/packaging/completions/stillctl.zsh $@
CLEANFILES += %D%/completions/stillctl %D%/completions/_stillctl

schemasdir = $(pkgdatadir)/schemas
dist_schemas_DATA = \
	docs/schemas/audit-add.json \
	docs/schemas/audit-list.json \
	docs/schemas/audit-rm.json \
	docs/schemas/audit-show.json \
	docs/schemas/audit-tail.json \
	docs/schemas/auditor.json \
	docs/schemas/break-add.json \
	docs/schemas/break-list.json \
	docs/schemas/break-rm.json \
	docs/schemas/bt.json \
	docs/schemas/check.json \
	docs/schemas/call.json \
	docs/schemas/continue.json \
	docs/schemas/debugger-close.json \
	docs/schemas/debugger-list.json \
	docs/schemas/debugger-open.json \
	docs/schemas/debugger-ref.json \
	docs/schemas/debugger.json \
	docs/schemas/disable.json \
	docs/schemas/doctor.json \
	docs/schemas/dropped.json \
	docs/schemas/enable.json \
	docs/schemas/eval.json \
	docs/schemas/event.json \
	docs/schemas/events.json \
	docs/schemas/exit.json \
	docs/schemas/finish.json \
	docs/schemas/frame.json \
	docs/schemas/hit.json \
	docs/schemas/hold.json \
	docs/schemas/hook.json \
	docs/schemas/inspect.json \
	docs/schemas/kill.json \
	docs/schemas/list.json \
	docs/schemas/locals.json \
	docs/schemas/location.json \
	docs/schemas/logs.json \
	docs/schemas/memory-read.json \
	docs/schemas/memory-write.json \
	docs/schemas/next.json \
	docs/schemas/release.json \
	docs/schemas/restart.json \
	docs/schemas/run.json \
	docs/schemas/send.json \
	docs/schemas/set.json \
	docs/schemas/source-ref.json \
	docs/schemas/source.json \
	docs/schemas/start.json \
	docs/schemas/stack.json \
	docs/schemas/status.json \
	docs/schemas/step.json \
	docs/schemas/stop.json \
	docs/schemas/ticket.json \
	docs/schemas/top.json \
	docs/schemas/unit.json \
	docs/schemas/units.json \
	docs/schemas/until.json \
	docs/schemas/value.json \
	docs/schemas/variable.json \
	docs/schemas/version.json \
	docs/schemas/vm-ref.json \
	docs/schemas/vm.json \
	docs/schemas/wait.json \
	docs/schemas/world-bt.json \
	docs/schemas/world-census.json \
	docs/schemas/world-gc.json \
	docs/schemas/world-handover.json \
	docs/schemas/world-list.json \
	docs/schemas/world-resume.json \
	docs/schemas/world-status.json \
	docs/schemas/world-stop.json \
	docs/schemas/world-take.json \
	docs/schemas/world-target.json \
	docs/schemas/world.json

EXTRA_DIST += %D%/README.md docs/schemas/README.md packaging/completions/stillctl.bash \
	packaging/completions/stillctl.zsh

if HAVE_CMOCKA
CLI_TESTS = tests/unit/test_cli_json tests/unit/test_cli_parse tests/unit/test_cli_run
check_PROGRAMS += $(CLI_TESTS)
TESTS += $(CLI_TESTS)
endif

tests_unit_test_cli_json_SOURCES = tests/unit/test_cli_json.c tests/support/unit.h
tests_unit_test_cli_json_CPPFLAGS = $(%C%_libcli_a_CPPFLAGS)
tests_unit_test_cli_json_LDADD = $(CLI_LIBS) $(UNIT_LIBS)

tests_unit_test_cli_parse_SOURCES = tests/unit/test_cli_parse.c tests/support/unit.h
tests_unit_test_cli_parse_CPPFLAGS = $(%C%_libcli_a_CPPFLAGS)
tests_unit_test_cli_parse_LDADD = $(CLI_LIBS) $(UNIT_LIBS)

# Runs the stillctl in the build directory.
tests_unit_test_cli_run_SOURCES = tests/unit/test_cli_run.c $(CLIENT_FAKE) tests/support/unit.h
tests_unit_test_cli_run_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
EXTRA_tests_unit_test_cli_run_DEPENDENCIES = stillctl$(EXEEXT)
$(tests_unit_test_cli_run_OBJECTS): | $(PROTO_GENERATED_H)

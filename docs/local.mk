EXTRA_DIST += %D%/ADMIN.md %D%/ADOPTION.md %D%/AUDITORS.md %D%/LIMITATIONS.md %D%/LLDB.md %D%/PROTOCOL.md %D%/README.md %D%/STOP-THE-WORLD.md %D%/THREATS.md \
	%D%/decisions/README.md \
	%D%/decisions/0001-static-archives-instead-of-libtool.md \
	%D%/decisions/0002-uthash-smartcols-jansson.md \
	%D%/decisions/0003-python-for-system-tests.md \
	%D%/decisions/0004-one-makefile.md \
	%D%/decisions/0005-order-within-daemon-by-groups.md \
	%D%/decisions/0006-the-gate-reads-the-world-word-twice.md \
	%D%/decisions/0007-an-interrupt-may-be-asked-for-again.md \
	%D%/decisions/0008-a-parked-vm-looks-up-every-four-seconds.md \
	%D%/decisions/0009-a-census-walks-the-heap-itself.md \
	%D%/decisions/0010-freezing.md \
	%D%/decisions/0011-a-vm-asks-for-the-time-slice-that-it-gets.md \
	%D%/decisions/0012-what-bounds-a-stop-of-idle-vms.md \
	%D%/decisions/0013-who-is-called-a-liar.md \
	%D%/decisions/0014-libedit-for-the-prompt.md \
	%D%/decisions/0015-a-loop-is-made-to-read-anew.md \
	%D%/decisions/0016-hits-are-read-not-pushed.md \
	%D%/decisions/0017-one-debugger-object-for-each-realm.md \
	%D%/decisions/0018-a-refused-system-call-traps.md \
	%D%/decisions/0019-limits-of-a-vm.md \
	%D%/decisions/0020-a-socket-for-all-and-the-kernel-says-who.md \
	%D%/decisions/0021-worlds-with-vms-of-several-uids.md \
	%D%/decisions/0022-a-worker-makes-no-files-and-passes-no-descriptors.md \
	%D%/decisions/0023-fuzzers-and-faults.md \
	%D%/decisions/0024-what-a-birth-does-before-and-after-the-fork.md \
	%D%/decisions/0025-what-a-cold-stop-is-compared-with.md \
	%D%/decisions/0026-libinih-reads-the-configuration.md \
	%D%/decisions/0027-what-the-service-is-and-is-not-hardened-by.md \
	%D%/decisions/0028-a-systemd-is-booted-for-tests.md \
	%D%/decisions/0029-the-shared-library-by-a-rule-of-its-own.md \
	%D%/decisions/0030-how-the-packages-are-made.md \
	%D%/decisions/0031-what-the-journal-gets.md \
	%D%/decisions/0032-the-daemon-reads-the-files-of-units.md \
	%D%/decisions/0033-what-a-unit-is-and-who-says-that-it-is-enabled.md \
	%D%/decisions/0034-what-outlives-a-daemon-and-where.md \
	%D%/decisions/0035-pages-that-a-later-daemon-can-write.md \
	%D%/decisions/0036-a-worker-that-waits-for-a-daemon.md \
	%D%/decisions/0037-who-ends-vms-when-the-service-ends.md \
	%D%/decisions/0038-what-becomes-of-whom-when-the-daemon-has-no-memory.md \
	%D%/decisions/0039-what-was-accepted-for-a-worker-that-does-not-read.md \
	%D%/decisions/0040-a-crash-in-the-middle-of-a-fact.md \
	%D%/decisions/0042-a-vm-that-is-behind-is-told-to-let-its-watcher-run.md \
	%D%/decisions/0043-lldb-s-thread-is-a-vm-and-its-process-a-world.md \
	%D%/decisions/0044-hooks-that-see-webassembly-only.md \
	%D%/decisions/0045-a-breakpoint-in-webassembly-is-taken-away-by-clearing-all.md \
	%D%/decisions/0046-a-module-is-read-by-ourselves.md \
	%D%/decisions/0049-what-is-known-of-vms-that-have-ended.md \
	%D%/decisions/0050-states-of-units-over-a-restart.md \
	%D%/decisions/0051-a-stop-between-a-crash-and-the-next-start.md \
	%D%/decisions/0052-namespaces-that-are-made-before-the-birth.md \
	%D%/decisions/0054-what-vms-wrote-outlives-the-daemon.md \
	%D%/decisions/0055-a-stop-pokes-javascript-by-a-signal.md \
	%D%/decisions/0056-a-watchpoint-of-lldb-s-is-made-of-steps.md \
	%D%/decisions/0058-the-heap-is-not-in-the-status-page.md \
	%D%/decisions/0059-vms-that-compute-and-the-kernels-groups-of-sessions.md \
	%D%/decisions/0060-long-options-are-written-in-full.md \
	%D%/decisions/0061-one-worker-is-kept-ready.md \
	%D%/decisions/0062-what-clients-sent-is-closed-by-a-process-of-its-own.md

# Examples of the client library are built as they stand, against the header that is installed.
noinst_PROGRAMS += %D%/examples/audit
%C%_examples_audit_SOURCES = %D%/examples/audit.c
%C%_examples_audit_CPPFLAGS = -I$(top_srcdir)/client
%C%_examples_audit_LDADD = $(CLIENT_LIBS)

# Fuzz targets. `make check` runs each over its corpus, with a plain main (replay_NAME); `make fuzz`
# makes a build of its own with clang and libFuzzer, and runs them there (fuzz_NAME). README.md has more.

FUZZ_TARGETS = frame check_api check_worker status daemon command client words condition settings text gdb wasm_module
FUZZ_REPLAYS = %D%/replay_frame \
	%D%/replay_check_api \
	%D%/replay_check_worker \
	%D%/replay_status \
	%D%/replay_daemon \
	%D%/replay_command \
	%D%/replay_client \
	%D%/replay_words \
	%D%/replay_condition \
	%D%/replay_settings \
	%D%/replay_text \
	%D%/replay_gdb \
	%D%/replay_wasm_module
check_PROGRAMS += $(FUZZ_REPLAYS)
TESTS += $(FUZZ_REPLAYS)

check_LIBRARIES += %D%/libfuzz.a
%C%_libfuzz_a_SOURCES = %D%/fuzz.c %D%/fuzz.h
%C%_libfuzz_a_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)

# Programs of `make fuzz` are built where libFuzzer is there to be their main.
FUZZERS = %D%/fuzz_frame \
	%D%/fuzz_check_api \
	%D%/fuzz_check_worker \
	%D%/fuzz_status \
	%D%/fuzz_daemon \
	%D%/fuzz_command \
	%D%/fuzz_client \
	%D%/fuzz_words \
	%D%/fuzz_condition \
	%D%/fuzz_settings \
	%D%/fuzz_text \
	%D%/fuzz_gdb \
	%D%/fuzz_wasm_module
EXTRA_PROGRAMS += $(FUZZERS)
fuzzers: $(FUZZERS)

FUZZ_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
FUZZ_CFLAGS = $(AM_CFLAGS) -pthread
FUZZ_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer

FUZZ_LIBS_frame = %D%/libfuzz.a $(PROTO_LIBS) $(BASE_LIBS)
%C%_replay_frame_SOURCES = %D%/fuzz_frame.c %D%/replay.c
%C%_replay_frame_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_frame_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_frame_LDADD = $(FUZZ_LIBS_frame)
$(%C%_replay_frame_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_frame_SOURCES = %D%/fuzz_frame.c
%C%_fuzz_frame_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_frame_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_frame_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_frame_LDADD = $(FUZZ_LIBS_frame)
$(%C%_fuzz_frame_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_check_api = %D%/libfuzz.a $(PROTO_LIBS) $(BASE_LIBS)
%C%_replay_check_api_SOURCES = %D%/fuzz_check_api.c %D%/replay.c
%C%_replay_check_api_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_check_api_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_check_api_LDADD = $(FUZZ_LIBS_check_api)
$(%C%_replay_check_api_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_check_api_SOURCES = %D%/fuzz_check_api.c
%C%_fuzz_check_api_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_check_api_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_check_api_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_check_api_LDADD = $(FUZZ_LIBS_check_api)
$(%C%_fuzz_check_api_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_check_worker = %D%/libfuzz.a $(PROTO_LIBS) $(BASE_LIBS)
%C%_replay_check_worker_SOURCES = %D%/fuzz_check_worker.c %D%/replay.c
%C%_replay_check_worker_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_check_worker_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_check_worker_LDADD = $(FUZZ_LIBS_check_worker)
$(%C%_replay_check_worker_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_check_worker_SOURCES = %D%/fuzz_check_worker.c
%C%_fuzz_check_worker_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_check_worker_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_check_worker_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_check_worker_LDADD = $(FUZZ_LIBS_check_worker)
$(%C%_fuzz_check_worker_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_status = %D%/libfuzz.a $(SHARED_MEM_LIBS) $(BASE_LIBS) $(PROTOBUF_C_LIBS)
%C%_replay_status_SOURCES = %D%/fuzz_status.c %D%/replay.c
%C%_replay_status_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_status_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_status_LDADD = $(FUZZ_LIBS_status)
$(%C%_replay_status_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_status_SOURCES = %D%/fuzz_status.c
%C%_fuzz_status_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_status_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_status_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_status_LDADD = $(FUZZ_LIBS_status)
$(%C%_fuzz_status_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_daemon = %D%/libfuzz.a $(DAEMON_LIBS)
%C%_replay_daemon_SOURCES = %D%/fuzz_daemon.c %D%/replay.c
%C%_replay_daemon_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_daemon_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_daemon_LDADD = $(FUZZ_LIBS_daemon)
$(%C%_replay_daemon_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_daemon_SOURCES = %D%/fuzz_daemon.c
%C%_fuzz_daemon_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_daemon_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_daemon_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_daemon_LDADD = $(FUZZ_LIBS_daemon)
$(%C%_fuzz_daemon_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_command = %D%/libfuzz.a $(WORKER_LIBS)
%C%_replay_command_SOURCES = %D%/fuzz_command.c %D%/replay.c
%C%_replay_command_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_command_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_command_LDADD = $(FUZZ_LIBS_command)
$(%C%_replay_command_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_command_SOURCES = %D%/fuzz_command.c
%C%_fuzz_command_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_command_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_command_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_command_LDADD = $(FUZZ_LIBS_command)
$(%C%_fuzz_command_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_client = %D%/libfuzz.a $(CLI_LIBS) $(BASE_LIBS)
%C%_replay_client_SOURCES = %D%/fuzz_client.c %D%/replay.c
%C%_replay_client_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_client_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_client_LDADD = $(FUZZ_LIBS_client)
$(%C%_replay_client_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_client_SOURCES = %D%/fuzz_client.c
%C%_fuzz_client_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_client_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_client_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_client_LDADD = $(FUZZ_LIBS_client)
$(%C%_fuzz_client_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_words = %D%/libfuzz.a $(CLI_LIBS) $(BASE_LIBS) $(PROTOBUF_C_LIBS)
%C%_replay_words_SOURCES = %D%/fuzz_words.c %D%/replay.c
%C%_replay_words_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_words_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_words_LDADD = $(FUZZ_LIBS_words)
$(%C%_replay_words_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_words_SOURCES = %D%/fuzz_words.c
%C%_fuzz_words_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_words_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_words_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_words_LDADD = $(FUZZ_LIBS_words)
$(%C%_fuzz_words_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_condition = %D%/libfuzz.a $(WORKER_LIBS)
%C%_replay_condition_SOURCES = %D%/fuzz_condition.c %D%/replay.c
%C%_replay_condition_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_condition_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_condition_LDADD = $(FUZZ_LIBS_condition)
$(%C%_replay_condition_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_condition_SOURCES = %D%/fuzz_condition.c
%C%_fuzz_condition_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_condition_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_condition_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_condition_LDADD = $(FUZZ_LIBS_condition)
$(%C%_fuzz_condition_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_settings = %D%/libfuzz.a $(DAEMON_LIBS)
%C%_replay_settings_SOURCES = %D%/fuzz_settings.c %D%/replay.c
%C%_replay_settings_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_settings_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_settings_LDADD = $(FUZZ_LIBS_settings)
$(%C%_replay_settings_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_settings_SOURCES = %D%/fuzz_settings.c
%C%_fuzz_settings_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_settings_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_settings_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_settings_LDADD = $(FUZZ_LIBS_settings)
$(%C%_fuzz_settings_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_text = %D%/libfuzz.a $(WORKER_LIBS)
%C%_replay_text_SOURCES = %D%/fuzz_text.c %D%/replay.c
%C%_replay_text_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_text_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_text_LDADD = $(FUZZ_LIBS_text)
$(%C%_replay_text_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_text_SOURCES = %D%/fuzz_text.c
%C%_fuzz_text_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_text_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_text_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_text_LDADD = $(FUZZ_LIBS_text)
$(%C%_fuzz_text_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_gdb = %D%/libfuzz.a $(GDBSERVER_LIBS) $(BASE_LIBS) $(PROTOBUF_C_LIBS)
%C%_replay_gdb_SOURCES = %D%/fuzz_gdb.c %D%/replay.c
%C%_replay_gdb_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_gdb_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_gdb_LDADD = $(FUZZ_LIBS_gdb)
$(%C%_replay_gdb_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_gdb_SOURCES = %D%/fuzz_gdb.c
%C%_fuzz_gdb_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_gdb_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_gdb_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_gdb_LDADD = $(FUZZ_LIBS_gdb)
$(%C%_fuzz_gdb_OBJECTS): | $(PROTO_GENERATED_H)

FUZZ_LIBS_wasm_module = %D%/libfuzz.a $(GDBSERVER_LIBS) $(BASE_LIBS) $(PROTOBUF_C_LIBS)
%C%_replay_wasm_module_SOURCES = %D%/fuzz_wasm_module.c %D%/replay.c
%C%_replay_wasm_module_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_replay_wasm_module_CFLAGS = $(FUZZ_CFLAGS)
%C%_replay_wasm_module_LDADD = $(FUZZ_LIBS_wasm_module)
$(%C%_replay_wasm_module_OBJECTS): | $(PROTO_GENERATED_H)
%C%_fuzz_wasm_module_SOURCES = %D%/fuzz_wasm_module.c
%C%_fuzz_wasm_module_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_wasm_module_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_wasm_module_LDFLAGS = $(FUZZ_LINK)
%C%_fuzz_wasm_module_LDADD = $(FUZZ_LIBS_wasm_module)
$(%C%_fuzz_wasm_module_OBJECTS): | $(PROTO_GENERATED_H)

# Each target for FUZZ_SECONDS; FUZZ='frame text' picks some.
FUZZ = $(FUZZ_TARGETS)
FUZZ_SECONDS = 60
fuzz:
	@test -n "$(FUZZ_CC)" || { echo "make fuzz: no clang here (Debian: clang-14 libclang-rt-14-dev)" >&2; exit 1; }
	$(MKDIR_P) fuzz-build
	test -f fuzz-build/Makefile || (cd fuzz-build && \
		$(abs_top_srcdir)/configure --enable-fuzzers --enable-sanitize=address,undefined \
		CC='$(FUZZ_CC)' CXX='$(FUZZ_CXX)' CFLAGS='-g -O1' CXXFLAGS='-g -O1')
	$(MAKE) -C fuzz-build fuzzers
	$(PYTHON3) -B $(srcdir)/%D%/run.py --build fuzz-build --seconds $(FUZZ_SECONDS) $(FUZZ)

# Which lines of the parsers the committed corpora reach.
fuzz-coverage:
	$(MKDIR_P) coverage-build
	test -f coverage-build/Makefile || (cd coverage-build && \
		$(abs_top_srcdir)/configure --enable-coverage CC='$(CC)' CXX='$(CXX)' CFLAGS='-g -O0' CXXFLAGS='-g -O0')
	$(MAKE) -C coverage-build $(FUZZ_REPLAYS)
	$(PYTHON3) -B $(srcdir)/%D%/coverage.py --build coverage-build $(FUZZ_TARGETS)
.PHONY: fuzz fuzzers fuzz-coverage

EXTRA_DIST += %D%/README.md %D%/corpus %D%/coverage.py %D%/dictionaries %D%/make_corpus.py %D%/run.py

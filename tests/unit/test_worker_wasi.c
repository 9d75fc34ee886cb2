#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/limits.h"
#include "worker/host/host.h"

#define MEMORY 65536u

enum { OK = 0, AGAIN = 6, BADF = 8, FAULT = 21, INVAL = 28, NOSYS = 52, SPIPE = 70 };

/* A host behind an open gate, with a daemon's end that the test reads. */
struct fixture {
    struct world_page world;
    struct command_page command;
    struct status_page status;
    struct daemon_channel channel;
    struct safepoint safepoint;
    struct host host;
    int kick, worker_end, daemon_end;
    uint8_t *memory;
};

static int on_command(void *userdata, const Stillpoint__Worker__Command *m, int *fds, size_t n_fds)
{
    (void)fds, (void)n_fds;
    struct fixture *f = userdata;
    return wasi_stdin_answer(&f->host.wasi, m->answer_stdin->data.data, m->answer_stdin->data.len);
}

static int setup(void **state)
{
    static const struct engine_ops ops = {.name = "none"};
    static const char *const args[] = {"one", "three"};
    struct fixture *f = calloc(1, sizeof *f);
    int pair[2];
    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->daemon_end = pair[0];
    f->worker_end = pair[1];
    f->kick = eventfd(0, EFD_CLOEXEC);
    f->memory = malloc(MEMORY); /* exactly, so that a sanitizer sees what goes beyond */
    assert_non_null(f->memory);
    memset(f->memory, 0xee, MEMORY);
    SHM_STORE(&f->world.word, shm_world_word(1, true));
    SHM_STORE(&f->command.word, shm_command_word(0, true));
    assert_int_equal(daemon_channel_init(&f->channel, pair[1], on_command, f), 0);
    safepoint_init(&f->safepoint, &f->world, &f->command, &f->status, f->kick, &f->channel);
    f->safepoint.ops = &ops;
    assert_int_equal(host_init(&f->host, &f->channel, &f->safepoint), 0);
    assert_int_equal(wasi_init(&f->host.wasi, "prog", 2, args), 0);
    safepoint_enter(&f->safepoint);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    host_done(&f->host);
    daemon_channel_done(&f->channel);
    close(f->kick);
    close(f->worker_end);
    close(f->daemon_end);
    free(f->memory);
    free(f);
    return 0;
}

static unsigned index_of(const char *name)
{
    unsigned i = 0;
    while (wasi_functions[i].name && strcmp(wasi_functions[i].name, name) != 0)
        i++;
    assert_non_null(wasi_functions[i].name);
    return i;
}

static uint32_t do_call(struct fixture *f, const char *name, const uint64_t *args)
{
    uint32_t value = 0xdead;
    assert_int_equal(wasi_call(&f->host, index_of(name), args, f->memory, MEMORY, &value), 0);
    return value;
}

#define CALL(f, name, ...) do_call(f, name, (const uint64_t[9]){__VA_ARGS__})

static void put32(struct fixture *f, size_t at, uint32_t value)
{
    memcpy(f->memory + at, &value, sizeof value);
}

static void put64(struct fixture *f, size_t at, uint64_t value)
{
    memcpy(f->memory + at, &value, sizeof value);
}

static uint32_t get32(struct fixture *f, size_t at)
{
    uint32_t value;
    memcpy(&value, f->memory + at, sizeof value);
    return value;
}

static uint64_t get64(struct fixture *f, size_t at)
{
    uint64_t value;
    memcpy(&value, f->memory + at, sizeof value);
    return value;
}

/* Console text that the daemon has got so far, as one string. */
static char *console_text(struct fixture *f)
{
    static char text[3 * LIMIT_CONSOLE_CHUNK_BYTES];
    static uint8_t packet[LIMIT_PACKET_BYTES];
    size_t len = 0, no_fds = 0;
    for (ssize_t n;
         no_fds = 0, (n = fd_receive(f->daemon_end, packet, sizeof packet, NULL, &no_fds)) > 0;) {
        Stillpoint__Worker__Fact *fact = stillpoint__worker__fact__unpack(NULL, (size_t)n, packet);
        assert_non_null(fact);
        if (fact->body_case == STILLPOINT__WORKER__FACT__BODY_CONSOLE) {
            memcpy(text + len, fact->console->data.data, fact->console->data.len);
            len += fact->console->data.len;
        }
        stillpoint__worker__fact__free_unpacked(fact, NULL);
    }
    text[len] = '\0';
    return text;
}

/* Every function, with each argument in turn at, before and far beyond the end of memory: no call
 * may read or write outside of it. Meant for a run under AddressSanitizer. */
static void no_pointer_reaches_outside_of_memory(void **state)
{
    struct fixture *f = *state;
    const uint64_t evil[] = {MEMORY,     MEMORY - 1, MEMORY - 3, MEMORY - 7,
                             0xffffffff, 0xfffffff8, 0x80000000, MEMORY + 1};
    for (unsigned i = 0; wasi_functions[i].name; i++) {
        size_t n = strlen(wasi_functions[i].params);
        assert_true(n <= 9);
        if (!wasi_functions[i].returns || strcmp(wasi_functions[i].name, "fd_read") == 0)
            continue;
        for (size_t e = 0; e < sizeof evil / sizeof *evil; e++)
            for (size_t bad = 0; bad < n; bad++) {
                uint64_t args[9] = {1, 64, 1, 128, 256, 0, 0, 0, 0};
                memset(f->memory, 0, MEMORY);
                args[bad] = evil[e];
                uint32_t value = 0xdead;
                assert_int_equal(wasi_call(&f->host, i, args, f->memory, MEMORY, &value), 0);
                assert_true(value <= 76);
                assert_int_equal(wasi_call(&f->host, i, args, NULL, 0, &value), 0);
                console_text(f);
            }
    }
}

static void a_bad_pointer_is_a_fault(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(CALL(f, "args_sizes_get", MEMORY - 3, 0), FAULT);
    assert_int_equal(CALL(f, "args_get", MEMORY - 4, 0), FAULT);
    assert_int_equal(CALL(f, "args_get", 0, MEMORY - 2), FAULT);
    assert_int_equal(CALL(f, "clock_time_get", 1, 0, MEMORY - 7), FAULT);
    assert_int_equal(CALL(f, "random_get", 0, MEMORY + 1), FAULT);
    assert_int_equal(CALL(f, "random_get", MEMORY, 0), OK);
    assert_int_equal(CALL(f, "fd_fdstat_get", 1, MEMORY - 23), FAULT);
    assert_int_equal(CALL(f, "fd_fdstat_get", 1, MEMORY - 24), OK);
    put32(f, 0, MEMORY - 4);
    put32(f, 4, 5);
    assert_int_equal(CALL(f, "fd_write", 1, 0, 1, 100), FAULT);
    put32(f, 4, 4);
    assert_int_equal(CALL(f, "fd_write", 1, 0, 1, MEMORY - 3), FAULT);
    assert_int_equal(CALL(f, "fd_write", 1, MEMORY - 4, 1, 100), FAULT);
    assert_string_equal(console_text(f), "");
    assert_int_equal(CALL(f, "poll_oneoff", MEMORY - 47, 0, 1, 100), FAULT);
    assert_int_equal(CALL(f, "poll_oneoff", 0, MEMORY - 31, 1, 100), FAULT);
}

static void arguments_come_with_the_program_first(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(CALL(f, "args_sizes_get", 0, 4), OK);
    assert_int_equal(get32(f, 0), 3);
    assert_int_equal(get32(f, 4), 5 + 4 + 6);
    assert_int_equal(CALL(f, "args_get", 100, 200), OK);
    assert_string_equal((char *)f->memory + get32(f, 100), "prog");
    assert_string_equal((char *)f->memory + get32(f, 104), "one");
    assert_string_equal((char *)f->memory + get32(f, 108), "three");
    assert_int_equal(CALL(f, "environ_sizes_get", 0, 4), OK);
    assert_int_equal(get32(f, 0), 0);
}

static void written_vectors_arrive_joined(void **state)
{
    struct fixture *f = *state;
    memcpy(f->memory + 1000, "hello ", 6);
    memcpy(f->memory + 2000, "world\n", 6);
    put32(f, 0, 1000), put32(f, 4, 6);
    put32(f, 8, 2000), put32(f, 12, 6);
    assert_int_equal(CALL(f, "fd_write", 1, 0, 2, 100), OK);
    assert_int_equal(get32(f, 100), 12);
    assert_string_equal(console_text(f), "hello world\n");
    assert_int_equal(f->channel.last_seq, 1);

    /* More than a fact holds. */
    memset(f->memory, 'x', MEMORY);
    put32(f, 0, 16), put32(f, 4, 50000);
    put32(f, 8, 16), put32(f, 12, 10);
    assert_int_equal(CALL(f, "fd_write", 2, 0, 2, 60000), OK);
    assert_int_equal(get32(f, 60000), 50010);
    assert_int_equal(strlen(console_text(f)), 50010);
    assert_int_equal(CALL(f, "fd_write", 0, 0, 1, 100), BADF);
    assert_int_equal(CALL(f, "fd_write", 3, 0, 1, 100), BADF);
    assert_int_equal(CALL(f, "fd_write", 1, 0, 5000, 100), INVAL);
}

static void stdin_is_asked_for_and_ends(void **state)
{
    struct fixture *f = *state;
    const char *const answers[] = {"abcdef", ""};
    /* The answers wait in the socket already: the request blocks only until it looks. */
    put32(f, 0, 1000), put32(f, 4, 4);
    for (size_t i = 0; i < 2; i++) {
        Stillpoint__Worker__AnswerStdin answer = STILLPOINT__WORKER__ANSWER_STDIN__INIT;
        answer.has_data = true;
        answer.data = (ProtobufCBinaryData){.len = strlen(answers[i]),
                                            .data = (uint8_t *)(uintptr_t)answers[i]};
        Stillpoint__Worker__Command m = STILLPOINT__WORKER__COMMAND__INIT;
        m.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_STDIN;
        m.answer_stdin = &answer;
        uint8_t packet[256];
        struct iovec iov = {packet, stillpoint__worker__command__pack(&m, packet)};
        assert_true(fd_send(f->daemon_end, &iov, 1, NULL, 0) > 0);
        assert_int_equal(CALL(f, "fd_read", 0, 0, 1, 100), OK);
        assert_int_equal(get32(f, 100), i == 0 ? 4 : 0);
        if (i == 0) {
            assert_memory_equal(f->memory + 1000, "abcd", 4);
            assert_int_equal(CALL(f, "fd_read", 0, 0, 1, 100), OK);
            assert_int_equal(get32(f, 100), 2);
            assert_memory_equal(f->memory + 1000, "ef", 2);
        }
    }
    assert_int_equal(CALL(f, "fd_read", 0, 0, 1, 100), OK); /* at the end nobody is asked again */
    assert_int_equal(get32(f, 100), 0);
    assert_int_equal(CALL(f, "fd_read", 1, 0, 1, 100), BADF);
    assert_int_equal(f->safepoint.state, SHM_RUNNING);
}

static void put_clock(struct fixture *f, size_t at, uint64_t userdata, unsigned clock,
                      uint64_t timeout, bool absolute)
{
    memset(f->memory + at, 0, 48);
    put64(f, at, userdata);
    put32(f, at + 16, clock);
    put64(f, at + 24, timeout);
    f->memory[at + 40] = absolute;
}

static void the_earliest_clock_of_a_poll_fires(void **state)
{
    struct fixture *f = *state;
    uint64_t start = safepoint_clock_ns(&f->safepoint);
    put_clock(f, 0, 11, 1, 3600ull * 1000000000, false);
    put_clock(f, 48, 22, 1, start + 20000000, true);
    put_clock(f, 96, 33, 0, 3600ull * 1000000000, false);
    assert_int_equal(CALL(f, "poll_oneoff", 0, 1000, 3, 500), OK);
    assert_true(safepoint_clock_ns(&f->safepoint) >= start + 20000000);
    assert_int_equal(get32(f, 500), 1);
    assert_int_equal(get64(f, 1000), 22);
    assert_int_equal(f->memory[1008], OK);
    assert_true(f->host.said_ready);
}

static void streams_are_ready_at_once_and_errors_are_events(void **state)
{
    struct fixture *f = *state;
    put_clock(f, 0, 11, 1, 3600ull * 1000000000, false);
    memset(f->memory + 48, 0, 96);
    put64(f, 48, 22);
    f->memory[48 + 8] = 2; /* fd_write */
    put32(f, 48 + 16, 1);
    put64(f, 96, 33);
    f->memory[96 + 8] = 1; /* fd_read of what is not open */
    put32(f, 96 + 16, 9);
    assert_int_equal(CALL(f, "poll_oneoff", 0, 1000, 3, 500), OK);
    assert_int_equal(get32(f, 500), 2);
    assert_int_equal(get64(f, 1000), 22);
    assert_int_equal(f->memory[1008], OK);
    assert_int_equal(get64(f, 1032), 33);
    assert_int_equal(f->memory[1040], BADF);
    assert_int_equal(CALL(f, "poll_oneoff", 0, 1000, 0, 500), INVAL);
    /* In and out may overlap. */
    put_clock(f, 0, 11, 7, 0, false);
    assert_int_equal(CALL(f, "poll_oneoff", 0, 0, 1, 500), OK);
    assert_int_equal(f->memory[8], INVAL);
}

static void what_would_wait_does_not_where_it_must_not(void **state)
{
    struct fixture *f = *state;
    assert_false(safepoint_forbid_waits(&f->safepoint, true));
    put_clock(f, 0, 11, 1, 3600ull * 1000000000, false);
    assert_int_equal(CALL(f, "poll_oneoff", 0, 1000, 1, 500), AGAIN);
    put_clock(f, 0, 11, 1, 0, false);
    assert_int_equal(CALL(f, "poll_oneoff", 0, 1000, 1, 500), OK);
    put32(f, 0, 1000), put32(f, 4, LIMIT_CONSOLE_CHUNK_BYTES);
    assert_int_equal(CALL(f, "fd_read", 0, 0, 1, 100), AGAIN);
    assert_false(f->host.wasi.input_wanted);
    uint32_t r = OK;
    for (unsigned i = 0; i < 100 && r == OK; i++)
        r = CALL(f, "fd_write", 1, 0, 1, 100);
    assert_int_equal(r, AGAIN);
    assert_true(safepoint_forbid_waits(&f->safepoint, false));
}

static void descriptors_and_files_are_not_granted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(CALL(f, "fd_prestat_get", 3, 0), BADF);
    assert_int_equal(CALL(f, "fd_seek", 1, 0, 0, 0), SPIPE);
    assert_int_equal(CALL(f, "fd_seek", 3, 0, 0, 0), BADF);
    assert_int_equal(CALL(f, "fd_close", 1), OK);
    assert_int_equal(CALL(f, "fd_close", 4), BADF);
    assert_int_equal(CALL(f, "path_open", 3, 0, 0, 0, 0, 0, 0, 0, 0), BADF);
    assert_int_equal(CALL(f, "proc_raise", 9), NOSYS);
    assert_int_equal(CALL(f, "clock_res_get", 9, 0), INVAL);
    assert_int_equal(CALL(f, "clock_time_get", 9, 0, 0), INVAL);
    assert_int_equal(CALL(f, "fd_fdstat_get", 0, 0), OK);
    assert_int_equal(f->memory[0], 2); /* a character device */
}

static void exit_carries_the_code(void **state)
{
    struct fixture *f = *state;
    const uint64_t args[9] = {7};
    uint32_t value;
    assert_int_equal(wasi_call(&f->host, index_of("proc_exit"), args, f->memory, MEMORY, &value),
                     ENGINE_EXIT);
    assert_int_equal(value, 7);
}

static void every_name_of_the_standard_links(void **state)
{
    (void)state;
    unsigned n = 0;
    while (wasi_functions[n].name)
        n++;
    assert_int_equal(n, 46);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(no_pointer_reaches_outside_of_memory),
    TEST(a_bad_pointer_is_a_fault),
    TEST(arguments_come_with_the_program_first),
    TEST(written_vectors_arrive_joined),
    TEST(stdin_is_asked_for_and_ends),
    TEST(the_earliest_clock_of_a_poll_fires),
    TEST(streams_are_ready_at_once_and_errors_are_events),
    TEST(what_would_wait_does_not_where_it_must_not),
    TEST(descriptors_and_files_are_not_granted),
    TEST(exit_carries_the_code),
    TEST(every_name_of_the_standard_links),
};

UNIT_MAIN(tests)

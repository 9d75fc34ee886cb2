/* Sessions with a target that is played here: what LLDB is answered, and what that asks for. */
#include "tests/support/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "gateway/gdbserver/address.h"
#include "gateway/gdbserver/packet.h"
#include "gateway/gdbserver/session.h"

#define TID 7
#define CODE address_make(ADDRESS_CODE, 3, 0)

struct target {
    char asked[1024]; /* what of it was called, in words */
    struct target_stop stop;
    bool stands, news, lost, changed, refuses;
    size_t n_threads, n_instances;
};

static struct target played;
static struct session *session;

static const struct target_thread threads[] = {{TID, "one"}, {8, "two \"2\""}};
static const struct target_instance instances[] = {{3, TID, "a<b.wasm@3", 100},
                                                   {4, 8, "b.wasm@4", 100}};
static const struct target_frame frames[] = {{.pc = 0x4000000300000010, .instance = 3, .at = 0x10},
                                             {.pc = ADDRESS_NOWHERE}};

#define ASKED(...)                                                                                 \
    do {                                                                                           \
        size_t n = strlen(played.asked);                                                           \
        snprintf(played.asked + n, sizeof played.asked - n, __VA_ARGS__);                          \
    } while (0)

/* ---- the target */

struct target *target_free(struct target *t)
{
    (void)t;
    ASKED("free ");
    return NULL;
}

const char *target_error(const struct target *t)
{
    (void)t;
    return "no & never";
}

bool target_is_lost(const struct target *t)
{
    return t->lost;
}

bool target_settle(struct target *t)
{
    bool news = t->news;
    t->news = false;
    return news;
}

const struct target_stop *target_stop(const struct target *t)
{
    return t->stands ? &t->stop : NULL;
}

static int goes(struct target *t)
{
    if (t->refuses)
        return -EPERM;
    t->stands = false;
    return 0;
}

int target_interrupt(struct target *t)
{
    ASKED("interrupt ");
    return t->refuses ? -EPERM : 0;
}

int target_resume(struct target *t)
{
    ASKED("resume ");
    return goes(t);
}

int target_resume_one(struct target *t, uint64_t thread)
{
    ASKED("resume %" PRIu64 " ", thread);
    return goes(t);
}

int target_step(struct target *t, uint64_t thread, bool others_run)
{
    ASKED("step %" PRIu64 "%s ", thread, others_run ? " with others" : "");
    return goes(t);
}

int target_refuse(struct target *t, const char *why)
{
    (void)t;
    ASKED("refuse (%s) ", why);
    return -EINVAL;
}

int target_kill(struct target *t)
{
    (void)t;
    ASKED("kill ");
    return 0;
}

size_t target_count_threads(const struct target *t)
{
    return t->n_threads;
}

const struct target_thread *target_thread_at(const struct target *t, size_t i)
{
    (void)t;
    return &threads[i];
}

const struct target_thread *target_find_thread(const struct target *t, uint64_t id)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if (threads[i].id == id)
            return &threads[i];
    return NULL;
}

size_t target_count_instances(const struct target *t)
{
    return t->n_instances;
}

const struct target_instance *target_instance_at(const struct target *t, size_t i)
{
    (void)t;
    return &instances[i];
}

bool target_has_changed(const struct target *t)
{
    return t->changed;
}

void target_take_instances(struct target *t)
{
    t->changed = false;
}

int target_stack(struct target *t, uint64_t thread, const struct target_frame **ret_frames,
                 size_t *ret_n)
{
    (void)t;
    *ret_frames = frames;
    *ret_n = thread == TID ? 2 : 0;
    return 0;
}

int target_local(struct target *t, uint64_t thread, size_t frame, uint64_t index,
                 struct target_value *ret)
{
    (void)t;
    ASKED("local %" PRIu64 " %zu %" PRIu64 " ", thread, frame, index);
    if (index > 0)
        return -ENOENT;
    *ret = (struct target_value){.type = WASM_I32, .bytes = {1, 2, 3, 4, 5}};
    return 0;
}

int target_global(struct target *t, uint64_t thread, size_t frame, uint64_t index,
                  struct target_value *ret)
{
    (void)t, (void)index;
    ASKED("global %" PRIu64 " %zu ", thread, frame);
    *ret = (struct target_value){.type = WASM_F64, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
    return 0;
}

int target_instance_global(struct target *t, uint32_t instance, uint64_t index,
                           struct target_value *ret)
{
    (void)t, (void)index;
    ASKED("global of %" PRIu32 " ", instance);
    *ret = (struct target_value){.type = WASM_F32, .bytes = {1, 2, 3, 4}};
    return 0;
}

int target_read(struct target *t, uint64_t address, void *ret_data, size_t len, size_t *ret_len)
{
    (void)t;
    ASKED("read %" PRIx64 " %zu ", address, len);
    *ret_len = len < 4 ? len : 4;
    memcpy(ret_data, "#}*$", *ret_len);
    return 0;
}

int target_write(struct target *t, uint64_t address, const void *data, size_t len)
{
    (void)t;
    ASKED("write %" PRIx64 " %.*s ", address, (int)len, (const char *)data);
    return 0;
}

int target_region(struct target *t, uint64_t address, struct target_region *ret)
{
    (void)t;
    *ret = (struct target_region){.start = address & ~0xfffull, .bytes = 0x1000, .readable = true};
    return 0;
}

int target_set_breakpoint(struct target *t, uint64_t address)
{
    (void)t;
    ASKED("break %" PRIx64 " ", address);
    return 0;
}

int target_clear_breakpoint(struct target *t, uint64_t address)
{
    (void)t, (void)address;
    return -ENOENT;
}

int target_set_watch(struct target *t, uint64_t asked, uint64_t address, size_t len)
{
    (void)t;
    ASKED("watch %" PRIx64 " %" PRIx64 " %zu ", asked, address, len);
    return 0;
}

int target_clear_watch(struct target *t, uint64_t asked)
{
    (void)t;
    ASKED("unwatch %" PRIx64 " ", asked);
    return 0;
}

/* ---- LLDB */

static void send_raw(const char *bytes)
{
    assert_int_equal(session_feed(session, bytes, strlen(bytes)), 0);
}

static void send_packet(const char *text)
{
    struct packet_out o;
    packet_out_init(&o, 1 << 16);
    packet_begin(&o);
    packet_text(&o, text);
    assert_int_equal(packet_end(&o), 0);
    assert_int_equal(session_feed(session, o.data, o.len), 0);
    packet_out_done(&o);
}

/* All that was said since, as the wire has it. */
static const char *said(void)
{
    static char text[1 << 16];
    size_t n;
    const char *bytes = session_output(session, &n);
    assert_true(n < sizeof text);
    memcpy(text, bytes, n);
    text[n] = '\0';
    session_sent(session, n);
    return text;
}

/* The text of the one packet that answers. */
static const char *ask(const char *text)
{
    static char reply[1 << 16];
    send_packet(text);
    const char *raw = said();
    size_t n = strlen(raw);
    if (n == 0)
        return "(nothing)";
    assert_int_equal(raw[0], '$');
    assert_int_equal(raw[n - 3], '#');
    snprintf(reply, sizeof reply, "%.*s", (int)n - 4, raw + 1);
    assert_null(strstr(reply, "#"));
    return reply;
}

#define ASK(text, answer) assert_string_equal(ask(text), answer)
#define HAS(text, part) assert_non_null(strstr(text, part))

static const char *asked(void)
{
    static char text[sizeof played.asked];
    memcpy(text, played.asked, sizeof text);
    played.asked[0] = '\0';
    return text;
}

static void stands(enum target_reason reason, const char *text)
{
    played.stop = (struct target_stop){.reason = reason, .thread = TID, .text = text};
    played.stands = true;
}

/* What it was waiting for has come. */
static const char *stopped(enum target_reason reason, const char *text)
{
    stands(reason, text);
    played.news = true;
    session_settle(session);
    return said();
}

static int start(void **state)
{
    (void)state;
    played = (struct target){.n_threads = 2, .n_instances = 1};
    assert_int_equal(session_new(&played, true, &session), 0);
    send_packet("QStartNoAckMode");
    assert_string_equal(said(), "+$OK#9a");
    stands(TARGET_INTERRUPTED, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    session = session_free(session);
    return 0;
}

/* ---- tests */

static void what_runs_is_answered_once_it_stands_and_asked_nothing_but_to_end(void **state)
{
    (void)state;
    ASK("c", "(nothing)");
    assert_string_equal(asked(), "resume ");
    HAS(ask("qC"), "E10");
    HAS(ask("c"), "E10");
    assert_string_equal(asked(), "");
    HAS(stopped(TARGET_BREAKPOINT, NULL), "$T05thread:7;hexname:6f6e65;00:1000000003000040;"
                                          "reason:breakpoint;#");
    session_settle(session);
    assert_string_equal(said(), "");
    ASK("qC", "QC7");
    ASK("c", "(nothing)");
    ASK("D", "OK");
    assert_true(session_is_over(session));
}

static void an_interrupt_stops_what_runs_and_nothing_that_stands(void **state)
{
    (void)state;
    send_raw("\x03");
    assert_string_equal(asked(), "");
    send_packet("c");
    send_raw("\x03");
    assert_string_equal(asked(), "resume interrupt ");
    assert_string_equal(said(), "");
    HAS(stopped(TARGET_INTERRUPTED, NULL), "T11thread:7");
    send_raw("\x03");
    assert_string_equal(said(), "");
}

static void a_refusal_to_go_on_is_a_stop_and_never_an_error(void **state)
{
    (void)state;
    played.refuses = true;
    stands(TARGET_FOREIGN, "why not");
    for (const char *const *p = (const char *const[]){"c", "s", "vCont;c", "vCont;s:7", NULL}; *p;
         p++) {
        const char *reply = ask(*p);
        HAS(reply, "T11thread:7;");
        HAS(reply, "reason:exception;description:776879206e6f74;");
    }
}

static void each_action_of_vcont_is_that_of_its_threads(void **state)
{
    static const struct {
        const char *text, *calls;
    } cases[] = {
        {"vCont;c", "resume "},
        {"vCont;c:-1", "resume "},
        {"vCont;c:7;c:8", "resume "},
        {"vCont;c:8", "resume 8 "},
        {"vCont;C05", "resume "},
        {"vCont;s", "step 7 "},
        {"vCont;s:8", "step 8 "},
        {"vCont;S05:8", "step 8 "},
        {"vCont;s:8;t", "step 8 "},
        {"vCont;s:8;c", "step 8 with others "},
        {"vCont;s:8;c:7", "step 8 with others "},
        {"vCont;t", "refuse (one thread can go on, or all of them) "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stands(TARGET_INTERRUPTED, NULL);
        send_packet(cases[i].text);
        (void)said();
        assert_string_equal(asked(), cases[i].calls);
        (void)stopped(TARGET_INTERRUPTED, NULL);
    }
    for (const char *const *p = (const char *const[]){"vCont;", "vCont;x", "vCont;s:", "vCont;s:zz",
                                                      "vCont;c:1:2", "vCont;S:8", "vCont;;c", NULL};
         *p; p++)
        HAS(ask(*p), "E4a");
    assert_string_equal(asked(), "");
}

static void hc_says_which_thread_goes_on_and_hg_whose_values_are_meant(void **state)
{
    (void)state;
    ASK("Hc8", "OK");
    ASK("s", "(nothing)");
    assert_string_equal(asked(), "step 8 ");
    (void)stopped(TARGET_STEPPED, NULL);
    ASK("c", "(nothing)");
    assert_string_equal(asked(), "resume 8 ");
    (void)stopped(TARGET_STEPPED, NULL);
    ASK("Hc-1", "OK");
    ASK("c", "(nothing)");
    assert_string_equal(asked(), "resume ");
    (void)stopped(TARGET_STEPPED, NULL);
    ASK("Hg8", "OK");
    ASK("qWasmLocal:1;0", "0102030405000000");
    assert_string_equal(asked(), "local 8 1 0 ");
    ASK("qWasmCallStack:7", "1000000003000040"
                            "00000000000000c0");
    ASK("qWasmGlobal:0;5", "0102030405060708");
    ASK("qWasmGlobal:5;instance:9", "01020304");
    assert_string_equal(asked(), "global 7 0 global of 9 ");
    HAS(ask("Hg9"), "E02");
    HAS(ask("Hc9"), "E02");
}

static void an_error_has_its_text_where_that_was_asked_for(void **state)
{
    (void)state;
    ASK("qWasmLocal:0;1", "E02");
    ASK("QEnableErrorStrings", "OK");
    ASK("qWasmLocal:0;1", "E02;6e6f2026206e65766572");
    HAS(ask("qWasmLocal:0"), "E4a;");
    HAS(ask("qWasmStackValue:0;1"), "E5f;");
    ASK("qNobodyKnows", "");
}

static void an_address_without_an_instance_is_one_in_the_chosen_thread_s(void **state)
{
    (void)state;
    ASK("m10,2", "237d");
    ASK("M10,2:4142", "OK");
    ASK("Z2,10,4", "OK");
    ASK("z2,10,4", "OK");
    assert_string_equal(asked(), "read 300000010 2 write 300000010 AB watch 10 300000010 4 "
                                 "unwatch 10 ");
    ASK("m500000010,2", "237d");
    ASK("Hg8", "OK"); /* which is nowhere */
    ASK("m10,2", "237d");
    assert_string_equal(asked(), "read 500000010 2 read 10 2 ");
    ASK("qMemoryRegionInfo:1010", "start:1000;size:1000;permissions:r;");
}

static void bytes_are_given_as_they_were_asked_for(void **state)
{
    (void)state;
    ASK("x0,0", "OK");
    send_packet("x300000000,4");
    assert_string_equal(said(), "$}\x03}]}\x0a}\x04#62");
    ASK("m300000000,ffffff", "237d2a24");
    HAS(asked(), "read 300000000 32768 ");
    HAS(ask("m300000000"), "E4a");
}

static void reads_are_not_watched(void **state)
{
    (void)state;
    HAS(ask("Z3,10,4"), "E5f");
    HAS(ask("Z4,10,4"), "E5f");
    HAS(ask("Z4,10"), "E4a");
    ASK("Z1,10,4", "");
    ASK("qWatchpointSupportInfo:", "num:16;");
    assert_string_equal(asked(), "");
}

static void a_change_is_told_with_its_address(void **state)
{
    (void)state;
    send_packet("c");
    HAS(stopped(TARGET_CHANGED, "1040"), "reason:watchpoint;description:31303430;");
    HAS(ask("jThreadsInfo"), "\"reason\":\"watchpoint\",\"signal\":5,\"description\":\"1040\"");
}

static void libraries_come_in_pieces_and_are_told_of_once_they_have_been_read(void **state)
{
    static const char list[] = "<library-list><library name=\"a&#60;b.wasm@3\">"
                               "<section address=\"0x4000000300000000\"/></library></library-list>";
    char whole[sizeof list + 1] = "";
    (void)state;
    played.changed = true;
    send_packet("c");
    assert_null(strstr(stopped(TARGET_LOADED, NULL), "library:"));
    for (size_t at = 0; at < sizeof list - 1; at += 16) {
        char text[64];
        snprintf(text, sizeof text, "qXfer:libraries:read::%zx,10", at);
        const char *reply = ask(text);
        assert_int_equal(reply[0], at + 16 < sizeof list - 1 ? 'm' : 'l');
        strcat(whole, reply + 1);
    }
    /* "#" is escaped. */
    char *escaped = strstr(whole, "}\x03");
    assert_non_null(escaped);
    *escaped = '#';
    memmove(escaped + 1, escaped + 2, strlen(escaped + 1));
    assert_string_equal(whole, list);
    assert_false(played.changed);
    HAS(ask("qXfer:libraries:read::ffff,10"), "E16");
    send_packet("c");
    assert_null(strstr(stopped(TARGET_LOADED, NULL), "library:"));
    played.changed = true;
    send_packet("c");
    HAS(stopped(TARGET_LOADED, NULL), "T14thread:7");
    HAS(ask("qThreadStopInfo7"), "library:1;");
}

static void threads_are_listed_and_named(void **state)
{
    (void)state;
    ASK("QListThreadsInStopReply", "OK");
    ASK("qfThreadInfo", "m7,8");
    ASK("qsThreadInfo", "l");
    ASK("T8", "OK");
    HAS(ask("T9"), "E02");
    HAS(ask("qThreadStopInfo7"), "threads:7,8;");
    HAS(ask("qThreadStopInfo8"), "T00thread:8;hexname:74776f20223222;00:00000000000000c0;");
    HAS(ask("jThreadsInfo"), "{\"tid\":8,\"name\":\"two \\\"2\\\"\"");
}

static void the_end_of_all_vms_is_the_end_with_the_exit_code(void **state)
{
    (void)state;
    send_packet("c");
    played.stop = (struct target_stop){.reason = TARGET_OVER, .exit_code = 0x1fe};
    played.stands = played.news = true;
    session_settle(session);
    assert_string_equal(said(), "$Wfe#22");
    assert_true(session_is_over(session));
}

static void a_daemon_that_is_gone_is_the_end(void **state)
{
    (void)state;
    send_packet("c");
    played.lost = true;
    session_settle(session);
    assert_string_equal(said(), "$X09#c1");
    assert_true(session_is_over(session));
}

static void a_kill_is_one_where_that_is_permitted(void **state)
{
    (void)state;
    ASK("k", "X09");
    assert_string_equal(asked(), "kill ");
    assert_true(session_is_over(session));
    session = session_free(session);
    assert_int_equal(session_new(&played, false, &session), 0);
    send_packet("k");
    assert_string_equal(said(), "+$X09#c1");
    assert_string_equal(asked(), "free ");
}

static void what_was_not_acknowledged_is_said_again(void **state)
{
    (void)state;
    session = session_free(session);
    assert_int_equal(session_new(&played, true, &session), 0);
    send_packet("qC");
    assert_string_equal(said(), "+$QC7#cb");
    send_raw("-");
    assert_string_equal(said(), "$QC7#cb");
    send_raw("$qC#00");
    assert_string_equal(said(), "-");
    send_raw("+$qC#b4");
    assert_string_equal(said(), "+$QC7#cb");
}

static void what_is_no_packet_is_beyond_understanding(void **state)
{
    (void)state;
    assert_true(session_feed(session, "hello", 5) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

static const struct CMUnitTest tests[] = {
    TEST(what_runs_is_answered_once_it_stands_and_asked_nothing_but_to_end),
    TEST(an_interrupt_stops_what_runs_and_nothing_that_stands),
    TEST(a_refusal_to_go_on_is_a_stop_and_never_an_error),
    TEST(each_action_of_vcont_is_that_of_its_threads),
    TEST(hc_says_which_thread_goes_on_and_hg_whose_values_are_meant),
    TEST(an_error_has_its_text_where_that_was_asked_for),
    TEST(an_address_without_an_instance_is_one_in_the_chosen_thread_s),
    TEST(bytes_are_given_as_they_were_asked_for),
    TEST(reads_are_not_watched),
    TEST(a_change_is_told_with_its_address),
    TEST(libraries_come_in_pieces_and_are_told_of_once_they_have_been_read),
    TEST(threads_are_listed_and_named),
    TEST(the_end_of_all_vms_is_the_end_with_the_exit_code),
    TEST(a_daemon_that_is_gone_is_the_end),
    TEST(a_kill_is_one_where_that_is_permitted),
    TEST(what_was_not_acknowledged_is_said_again),
    TEST(what_is_no_packet_is_beyond_understanding),
};
UNIT_MAIN(tests)

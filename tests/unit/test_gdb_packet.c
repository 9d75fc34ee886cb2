#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "gateway/gdbserver/packet.h"

#define MAX 64

/* Feeds a text in pieces of `piece` bytes and writes down what came of it: "+", "-", "!" for an
 * interrupt, "?" for a bad checksum, "<text>" for a packet, and at last "E" and the error. */
static int tell(struct packet_parser *p, const char *bytes, size_t n, size_t piece, char *story,
                size_t size)
{
    FILE *f = fmemopen(story, size, "w");
    int r = 0;
    assert_non_null(f);
    for (size_t at = 0; at < n && r >= 0;) {
        size_t used = 0, len, some = n - at < piece ? n - at : piece;
        r = packet_parser_feed(p, bytes + at, some, &used);
        assert_true(used <= some);
        assert_true(used > 0 || r < 0);
        at += used;
        switch (r) {
        case PACKET_NONE:
            assert_int_equal(used, some);
            break;
        case PACKET_WHOLE: {
            const char *text = packet_parser_text(p, &len);
            assert_int_equal(text[len], 0);
            fputc('<', f);
            fwrite(text, 1, len, f);
            fputc('>', f);
            break;
        }
        case PACKET_INTERRUPT:
            fputc('!', f);
            break;
        case PACKET_BAD:
            fputc('?', f);
            break;
        case PACKET_ACK:
            fputc('+', f);
            break;
        case PACKET_NAK:
            fputc('-', f);
            break;
        default:
            assert_true(r < 0);
            fputc('E', f);
        }
    }
    fclose(f);
    return r;
}

static void stream_is(const char *bytes, size_t n, bool no_ack, const char *expected, int last)
{
    for (size_t piece = 1; piece <= n; piece++) {
        struct packet_parser p;
        char story[512] = "";
        packet_parser_init(&p, MAX);
        if (no_ack)
            packet_parser_set_no_ack(&p);
        int r = tell(&p, bytes, n, piece, story, sizeof story);
        assert_string_equal(story, expected);
        if (last < 0) {
            size_t used = 99;
            assert_int_equal(r, last);
            assert_int_equal(packet_parser_feed(&p, "$c#63", 5, &used), last);
            assert_int_equal(used, 0);
        }
        packet_parser_done(&p);
    }
}
#define STREAM(bytes, expected) stream_is(bytes, sizeof(bytes) - 1, false, expected, 0)
#define BROKEN(bytes, expected, error) stream_is(bytes, sizeof(bytes) - 1, false, expected, error)

static void packets_come_out_however_the_stream_is_cut(void **state)
{
    (void)state;
    STREAM("+$c#63", "+<c>");
    STREAM("$qC#b4$g#67+$s#73-", "<qC><g>+<s>-");
    STREAM("$#00", "<>");
    STREAM("$qC#B4", "<qC>");
}

static void a_wrong_checksum_is_told_and_the_next_packet_is_taken(void **state)
{
    (void)state;
    STREAM("$c#64$c#63", "?<c>");
    STREAM("$#01$#00", "?<>");
    stream_is("$c#64$c#63", 10, true, "E", -EBADMSG);
    stream_is("+$c#63", 6, true, "+<c>", 0);
}

static void an_interrupt_is_seen_between_and_within_packets(void **state)
{
    (void)state;
    STREAM("\x03", "!");
    STREAM("$c#63\x03\x03$s#73", "<c>!!<s>");
    STREAM("$\x03q\x03"
           "C\x03#\x03"
           "b\x03"
           "4\x03",
           "!!!!!<qC>!");
}

static void escapes_are_undone_and_count_as_they_were_sent(void **state)
{
    (void)state;
    STREAM("$}\x03#80", "<#>");
    STREAM("$a}]}\x04"
           "b#1e",
           "<a}$b>");
    STREAM("$}]#da", "<}>");
    BROKEN("$}#", "E", -EBADMSG);
    BROKEN("$}$", "E", -EBADMSG);
}

static void a_text_may_have_zeroes_in_it(void **state)
{
    struct packet_parser p;
    size_t used, len;
    (void)state;
    packet_parser_init(&p, MAX);
    assert_int_equal(packet_parser_feed(&p, "$X\0} #f5", 8, &used), PACKET_WHOLE);
    assert_int_equal(used, 8);
    assert_memory_equal(packet_parser_text(&p, &len), "X\0\0", 4);
    assert_int_equal(len, 3);
    packet_parser_done(&p);
}

static void what_is_no_packet_ends_the_stream(void **state)
{
    (void)state;
    BROKEN("x", "E", -EBADMSG);
    BROKEN("+\n", "+E", -EBADMSG);
    BROKEN("%Stop:T05#00", "E", -EBADMSG);
    BROKEN("$c$c#63", "E", -EBADMSG);
    BROKEN("$c#g3", "E", -EBADMSG);
    BROKEN("$c#6+", "E", -EBADMSG);
    BROKEN("#63", "E", -EBADMSG);
}

static void a_packet_is_at_most_as_long_as_said(void **state)
{
    char stream[MAX + 16], expected[MAX + 16];
    unsigned sum = (unsigned)'a' * MAX % 256;
    (void)state;
    memset(expected, 0, sizeof expected);
    memset(expected, 'a', MAX + 1);
    int n = snprintf(stream, sizeof stream, "$%.*s#%02x", MAX, expected, sum);
    memset(expected, 0, sizeof expected);
    expected[0] = '<';
    memset(expected + 1, 'a', MAX);
    expected[MAX + 1] = '>';
    stream_is(stream, (size_t)n, false, expected, 0);
    n = snprintf(stream, sizeof stream, "$%.*sa#%02x", MAX, expected + 1, sum);
    stream_is(stream, (size_t)n, false, "E", -EMSGSIZE);
}

static void what_is_sent_has_its_checksum_and_its_escapes(void **state)
{
    struct packet_out o;
    (void)state;
    packet_out_init(&o, 256);
    assert_int_equal(packet_out_sign(&o, '+'), 0);
    packet_begin(&o);
    assert_int_equal(packet_end(&o), 0);
    packet_begin(&o);
    packet_text(&o, "OK");
    assert_int_equal(packet_end(&o), 0);
    packet_begin(&o);
    packet_format(&o, "%s%x;", "T", 5);
    packet_hex(&o, "\x00\xfa", 2);
    packet_le(&o, UINT64_C(0xc000000000000001), 8);
    packet_le(&o, 0x1234, 1);
    assert_int_equal(packet_end(&o), 0);
    packet_begin(&o);
    packet_text(&o, "#*$}");
    packet_binary(&o, "\0#", 2);
    assert_int_equal(packet_end(&o), 0);
    static const char expected[] = "+$#00$OK#9a$T5;00fa01000000000000c034#ab"
                                   "$}\x03}\x0a}\x04}]\0}\x03#da";
    assert_int_equal(o.len, sizeof expected - 1);
    assert_memory_equal(o.data, expected, 12);
    /* The parser agrees. */
    struct packet_parser p;
    char story[256] = "";
    packet_parser_init(&p, MAX);
    assert_true(tell(&p, o.data, o.len, o.len, story, sizeof story) >= 0);
    assert_memory_equal(story, "+<><OK><T5;00fa01000000000000c034><#*$}\0#>", 41);
    packet_parser_done(&p);
    packet_out_consume(&o, 1);
    assert_memory_equal(o.data, "$#00$OK", 7);
    packet_out_consume(&o, o.len);
    assert_int_equal(o.len, 0);
    packet_out_done(&o);
}

static void a_packet_that_does_not_fit_leaves_those_before_it(void **state)
{
    struct packet_out o;
    (void)state;
    packet_out_init(&o, 12);
    packet_begin(&o);
    packet_text(&o, "OK");
    assert_int_equal(packet_end(&o), 0);
    packet_begin(&o);
    packet_text(&o, "ABC");
    assert_int_equal(packet_end(&o), -ENOBUFS);
    assert_int_equal(o.len, 6);
    assert_memory_equal(o.data, "$OK#9a", 6);
    packet_begin(&o);
    packet_text(&o, "AB");
    assert_int_equal(packet_end(&o), 0);
    assert_memory_equal(o.data, "$OK#9a$AB#83", 12);
    assert_int_equal(packet_out_sign(&o, '+'), -ENOBUFS);
    packet_out_consume(&o, 6);
    assert_int_equal(packet_out_again(&o, "$OK#9a", 6), 0);
    assert_memory_equal(o.data, "$AB#83$OK#9a", 12);
    assert_int_equal(packet_out_again(&o, "$OK#9a", 6), -ENOBUFS);
    assert_int_equal(o.len, 12);
    packet_out_done(&o);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(packets_come_out_however_the_stream_is_cut),
    cmocka_unit_test(a_wrong_checksum_is_told_and_the_next_packet_is_taken),
    cmocka_unit_test(an_interrupt_is_seen_between_and_within_packets),
    cmocka_unit_test(escapes_are_undone_and_count_as_they_were_sent),
    cmocka_unit_test(a_text_may_have_zeroes_in_it),
    cmocka_unit_test(what_is_no_packet_ends_the_stream),
    cmocka_unit_test(a_packet_is_at_most_as_long_as_said),
    cmocka_unit_test(what_is_sent_has_its_checksum_and_its_escapes),
    cmocka_unit_test(a_packet_that_does_not_fit_leaves_those_before_it),
};
UNIT_MAIN(tests)

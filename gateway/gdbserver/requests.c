/* What LLDB asks first, and what it asks of threads and modules. */
#include "gateway/gdbserver/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gdbserver/address.h"

#define TRIPLE "wasm32-unknown-unknown-wasm"

/* ---- what this is */

static int no_ack(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_text(s, "OK");
    s->no_ack = true;
    packet_parser_set_no_ack(&s->parser);
    return 0;
}

static int supported(struct session *s, struct fields *f)
{
    (void)f; /* whatever LLDB can do besides */
    reply_begin(s);
    packet_format(&s->out, "PacketSize=%x;QStartNoAckMode+;vContSupported+;qXfer:libraries:read+",
                  SESSION_PACKET_BYTES);
    return reply_end(s);
}

static int error_strings(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    s->error_texts = true;
    return reply_text(s, "OK");
}

static int threads_in_stops(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    s->threads_in_stops = true;
    return reply_text(s, "OK");
}

static int host_info(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_begin(s);
    packet_text(&s->out, "triple:");
    packet_hex(&s->out, TRIPLE, strlen(TRIPLE));
    packet_text(&s->out, ";endian:little;ptrsize:4;watchpoint_exceptions_received:after;");
    return reply_end(s);
}

static int process_info(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_begin(s);
    packet_text(&s->out, "pid:1;parent-pid:1;triple:");
    packet_hex(&s->out, TRIPLE, strlen(TRIPLE));
    packet_text(&s->out, ";endian:little;ptrsize:4;");
    return reply_end(s);
}

static int register_info(struct session *s, struct fields *f)
{
    uint64_t number;
    if (fields_hex(f, 8, &number) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    if (number != 0)
        return reply_error(s, -ENOENT, "there is no such register");
    return reply_text(s, "name:pc;alt-name:pc;bitsize:64;offset:0;encoding:uint;format:hex;"
                         "set:General Purpose Registers;gcc:16;dwarf:16;generic:pc;");
}

static int watchpoints(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_begin(s);
    packet_format(&s->out, "num:%u;", TARGET_MOST_WATCHES);
    return reply_end(s);
}

static int symbols(struct session *s, struct fields *f)
{
    (void)f; /* we never want any */
    return reply_text(s, "OK");
}

/* ---- threads */

static int list_threads(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_begin(s);
    for (size_t i = 0; i < target_count_threads(s->target); i++)
        packet_format(&s->out, "%c%" PRIx64, i == 0 ? 'm' : ',',
                      target_thread_at(s->target, i)->id);
    return reply_end(s);
}

static int list_no_more(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    return r < 0 ? r : reply_text(s, "l");
}

static int current_thread(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_begin(s);
    packet_format(&s->out, "QC%" PRIx64, session_thread(s));
    return reply_end(s);
}

static int no_thread(struct session *s)
{
    return reply_error(s, -ENOENT, "there is no such thread");
}

static int is_alive(struct session *s, struct fields *f)
{
    int64_t tid;
    if (fields_tid(f, &tid) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    return tid > 0 && target_find_thread(s->target, (uint64_t)tid) ? reply_text(s, "OK")
                                                                   : no_thread(s);
}

static int select_thread(struct session *s, struct fields *f)
{
    char what;
    int64_t tid;
    if (fields_any(f, &what) < 0 || (what != 'c' && what != 'g') || fields_tid(f, &tid) < 0 ||
        fields_end(f) < 0)
        return -EBADMSG;
    if (tid > 0 && !target_find_thread(s->target, (uint64_t)tid))
        return no_thread(s);
    if (what == 'c')
        s->goes_on = tid > 0 ? (uint64_t)tid : 0;
    else if (tid > 0)
        s->thread = (uint64_t)tid;
    return reply_text(s, "OK");
}

static int read_register(struct session *s, struct fields *f)
{
    uint64_t number;
    if (fields_hex(f, 8, &number) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    if (number != 0)
        return reply_error(s, -ENOENT, "there is no such register");
    reply_begin(s);
    packet_le(&s->out, session_pc(s, session_thread(s)), 8);
    return reply_end(s);
}

static int thread_stop_info(struct session *s, struct fields *f)
{
    int64_t tid;
    if (fields_tid(f, &tid) < 0 || fields_end(f) < 0)
        return -EBADMSG;
    const struct target_thread *th = tid > 0 ? target_find_thread(s->target, (uint64_t)tid) : NULL;
    return th ? reply_thread(s, th) : no_thread(s);
}

static void put_json_text(struct packet_out *o, const char *text)
{
    packet_text(o, "\"");
    for (const char *c = text; *c; c++)
        if (*c == '"' || *c == '\\')
            packet_format(o, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            packet_format(o, "\\u%04x", (unsigned)*c);
        else
            packet_format(o, "%c", *c);
    packet_text(o, "\"");
}

static void put_thread(struct session *s, const struct target_thread *th)
{
    unsigned signal;
    const char *text, *reason = session_reason(s, th->id, &signal, &text);
    uint64_t pc = session_pc(s, th->id); /* which may tell something of its name */
    struct packet_out *o = &s->out;
    packet_format(o, "{\"tid\":%" PRIu64 ",\"name\":", th->id);
    put_json_text(o, th->name);
    if (reason)
        packet_format(o, ",\"reason\":\"%s\",\"signal\":%u", reason, signal);
    if (reason && text) {
        packet_text(o, ",\"description\":");
        put_json_text(o, text);
    }
    packet_text(o, ",\"registers\":{\"0\":\"");
    packet_le(o, pc, 8);
    packet_text(o, "\"}}");
}

static int threads_info(struct session *s, struct fields *f)
{
    int r = fields_end(f);
    if (r < 0)
        return r;
    reply_begin(s);
    packet_text(&s->out, "[");
    for (size_t i = 0; i < target_count_threads(s->target); i++) {
        packet_text(&s->out, i > 0 ? "," : "");
        put_thread(s, target_thread_at(s->target, i));
    }
    packet_text(&s->out, "]");
    return reply_end(s);
}

/* ---- modules */

static void put_xml_text(FILE *file, const char *text)
{
    for (const char *c = text; *c; c++)
        if (strchr("&<>\"'", *c) || (unsigned char)*c < 0x20)
            fprintf(file, "&#%d;", (unsigned char)*c < 0x20 ? '?' : *c);
        else
            fputc(*c, file);
}

static int write_libraries(struct session *s)
{
    free(s->libraries);
    s->libraries = NULL;
    FILE *file = open_memstream(&s->libraries, &s->libraries_bytes);
    if (!file)
        return -ENOMEM;
    fputs("<library-list>", file);
    for (size_t i = 0; i < target_count_instances(s->target); i++) {
        const struct target_instance *in = target_instance_at(s->target, i);
        fputs("<library name=\"", file);
        put_xml_text(file, in->name);
        fprintf(file, "\"><section address=\"0x%" PRIx64 "\"/></library>",
                address_make(ADDRESS_CODE, in->id, 0));
    }
    fputs("</library-list>", file);
    return fclose(file) == 0 ? 0 : -ENOMEM;
}

static int read_libraries(struct session *s, struct fields *f)
{
    uint64_t at, len;
    if (fields_hex(f, 8, &at) < 0 || fields_char(f, ',') < 0 || fields_hex(f, 8, &len) < 0 ||
        fields_end(f) < 0)
        return -EBADMSG;
    if (at == 0 || !s->libraries) {
        target_take_instances(s->target);
        if (write_libraries(s) < 0)
            return reply_error(s, -ENOMEM, "out of memory");
    }
    if (at > s->libraries_bytes)
        return reply_error(s, -EINVAL, "the list of modules is not so long");
    size_t left = s->libraries_bytes - (size_t)at, n = left < len ? left : (size_t)len;
    if (n > SESSION_READ_BYTES)
        n = SESSION_READ_BYTES;
    s->listed = s->listed || n == left;
    reply_begin(s);
    packet_text(&s->out, n == left ? "l" : "m");
    packet_binary(&s->out, s->libraries + at, n);
    return reply_end(s);
}

const struct request requests_general[] = {
    {"QStartNoAckMode", no_ack, false},
    {"qSupported", supported, false},
    {"QEnableErrorStrings", error_strings, false},
    {"QListThreadsInStopReply", threads_in_stops, false},
    {"qHostInfo", host_info, false},
    {"qProcessInfo", process_info, false},
    {"qRegisterInfo", register_info, false},
    {"qWatchpointSupportInfo:", watchpoints, false},
    {"qSymbol:", symbols, false},
    {"qfThreadInfo", list_threads, false},
    {"qsThreadInfo", list_no_more, false},
    {"qC", current_thread, false},
    {"T", is_alive, false},
    {"H", select_thread, false},
    {"p", read_register, false},
    {"qThreadStopInfo", thread_stop_info, false},
    {"jThreadsInfo", threads_info, false},
    {"qXfer:libraries:read::", read_libraries, false},
    {NULL, NULL, false},
};

#include "daemon/vm_journal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/record.h"

/* A line that is longer goes in parts. */
#define LINE_BYTES 2048u
/* What a record takes beside its text: so a flood of short lines is one, too. */
#define RECORD_COST 256u
/* What is saved up by who is quiet, in what it may write a second. */
#define BURST_S 4u
/* For so long a VM is a loud one after something of it was left out. */
#define LOUD_NS 10000000000ull
/* How soon what was left out is told, if the VM has not ended before. */
#define TELL_S 10

struct vm_journal_line {
    size_t len;
    char text[LINE_BYTES];
};

struct vm_journals {
    const struct config_journal *limits;
    struct vm_journal_share share;
    LIST_HEAD(, vm_journal) listed;
    uint64_t gone_lines, gone_bytes; /* of VMs that went before it was told */
    struct event *tell;
};

/* Of the engine's console: log, info, debug, warn, error, trace, and what was written raw. */
static const struct {
    const char *name;
    int priority;
} levels[] = {{"log", LOG_INFO},  {"info", LOG_INFO},   {"debug", LOG_DEBUG}, {"warn", LOG_WARNING},
              {"error", LOG_ERR}, {"trace", LOG_DEBUG}, {"raw", LOG_INFO}};
#define N_LEVELS (sizeof levels / sizeof levels[0])

static const char *const streams[VM_JOURNAL_STREAMS] = {"stdout", "stderr"};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- how much may be written */

static void fill(struct vm_journal_share *s, uint64_t rate)
{
    uint64_t now = now_ns(), burst = rate * BURST_S, passed_ms = (now - s->filled_ns) / 1000000u;
    if (s->filled_ns == 0 || passed_ms >= BURST_S * 1000u) {
        *s = (struct vm_journal_share){.left = burst, .filled_ns = now};
        return;
    }
    s->filled_ns += passed_ms * 1000000u;
    s->left += rate * passed_ms / 1000u;
    if (s->left > burst)
        s->left = burst;
}

static bool take(struct vm_journals *all, struct vm_journal *j, size_t len)
{
    const struct config_journal *limits = all->limits;
    uint64_t cost = RECORD_COST + len, kept = 0;
    fill(&j->share, limits->output_rate);
    fill(&all->share, limits->total_output_rate);
    if (j->left_out_ns != 0 && now_ns() - j->left_out_ns < LOUD_NS)
        kept = limits->total_output_rate * BURST_S / 2;
    if (j->share.left < cost || all->share.left < kept + cost)
        return false;
    j->share.left -= cost;
    all->share.left -= cost;
    return true;
}

/* ---- what was left out */

static void tell_soon(struct vm_journals *all, time_t seconds)
{
    struct timeval soon = {.tv_sec = seconds};
    if (!event_pending(all->tell, EV_TIMEOUT, NULL))
        event_add(all->tell, &soon);
}

static void note_left_out(struct vm_journals *all, struct vm_journal *j,
                          const struct record_about *about, size_t bytes)
{
    j->left_out_ns = now_ns();
    j->lines_left_out++;
    j->bytes_left_out += bytes;
    if (j->listed_in)
        return;
    j->about = *about;
    j->listed_in = all;
    LIST_INSERT_HEAD(&all->listed, j, link);
    tell_soon(all, TELL_S);
}

static void unlist(struct vm_journal *j)
{
    if (j->listed_in)
        LIST_REMOVE(j, link);
    j->listed_in = NULL;
}

/* `about` NULL: of VMs that are not there any more. */
static int write_count(const struct record_about *about, uint64_t n_lines, uint64_t n_bytes)
{
    char text[512], whose[160] = "VMs that have ended", lines[24], bytes[24];
    struct record_texts texts;
    struct log_field fields[RECORD_FIELDS + 2] = {{"STILLPOINT_VM", NULL}};
    size_t n = 0;
    if (about) {
        record_fields(about, &texts, fields);
        n = RECORD_FIELDS;
        snprintf(whose, sizeof whose, "vm %s (%s) of uid %s", texts.vm, about->vm_name, texts.uid);
    }
    snprintf(lines, sizeof lines, "%llu", (unsigned long long)n_lines);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)n_bytes);
    fields[n++] = (struct log_field){"STILLPOINT_DROPPED", lines};
    fields[n++] = (struct log_field){"STILLPOINT_DROPPED_BYTES", bytes};
    snprintf(text, sizeof text,
             "%s: %s lines of output, %s bytes, are left out here: too many came", whose, lines,
             bytes);
    return log_offer(NULL, LOG_NOTICE, MESSAGE_OUTPUT_LEFT_OUT, fields, n, text);
}

/* False: not now. These records take of what all share, so that they are no flood either. */
static bool tell_of(struct vm_journals *all, struct vm_journal *j)
{
    if (!j->listed_in)
        return true;
    fill(&all->share, all->limits->total_output_rate);
    if (all->share.left < RECORD_COST ||
        write_count(&j->about, j->lines_left_out, j->bytes_left_out) < 0)
        return false;
    all->share.left -= RECORD_COST;
    j->lines_left_out = j->bytes_left_out = 0;
    unlist(j);
    return true;
}

/* The VM goes; that lines of it were left out does not. */
static void hand_over(struct vm_journal *j)
{
    struct vm_journals *all = j->listed_in;
    if (!all)
        return;
    all->gone_lines += j->lines_left_out;
    all->gone_bytes += j->bytes_left_out;
    unlist(j);
    tell_soon(all, TELL_S);
}

static bool tell_of_gone(struct vm_journals *all)
{
    if (all->gone_lines > 0 && write_count(NULL, all->gone_lines, all->gone_bytes) < 0)
        return false;
    all->gone_lines = all->gone_bytes = 0;
    return true;
}

static void on_tell(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct vm_journals *all = userdata;
    struct vm_journal *j;
    bool told = tell_of_gone(all);
    while (told && (j = LIST_FIRST(&all->listed)))
        told = tell_of(all, j);
    if (!told)
        tell_soon(all, 1);
}

/* ---- lines */

/* The bytes as one line of UTF-8; what is none is '?'. */
static void to_line(char line[LINE_BYTES + 1], const char *data, size_t len)
{
    memcpy(line, data, len);
    line[len] = '\0';
    if (text_is_utf8(line, len)) {
        text_to_line(line);
        return;
    }
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] >= 0x7f)
            line[i] = '?';
}

static void write_line(struct vm_journals *all, struct vm_journal *j,
                       const struct record_about *about, pid_t pid, unsigned stream, unsigned level,
                       const char *data, size_t len)
{
    char line[LINE_BYTES + 1], identifier[96];
    struct record_texts texts;
    struct log_field fields[RECORD_FIELDS + 2];
    if (len > 0 && data[len - 1] == '\r')
        len--;
    if (len == 0)
        return;
    int r = -1;
    if (take(all, j, len)) {
        to_line(line, data, len);
        snprintf(identifier, sizeof identifier, "stillpoint-vm-%s", about->vm_name);
        record_fields(about, &texts, fields);
        fields[RECORD_FIELDS] = (struct log_field){"STILLPOINT_STREAM", streams[stream]};
        fields[RECORD_FIELDS + 1] = (struct log_field){"STILLPOINT_LEVEL", levels[level].name};
        const struct log_speaker by = {identifier, pid};
        r = log_offer(&by, levels[level].priority, NULL, fields, RECORD_FIELDS + 2, line);
    }
    if (r < 0)
        note_left_out(all, j, about, len);
}

/* How much of a text without a newline is one part of its line: no character is cut. */
static size_t part_of(const char *data, size_t len)
{
    if (len <= LINE_BYTES)
        return len;
    size_t n = LINE_BYTES;
    while (n > LINE_BYTES - 3 && ((unsigned char)data[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* What has come before of this line, and this. False: no memory. */
static bool keep(struct vm_journal_line **line, const char *data, size_t len)
{
    if (!*line && !(*line = calloc(1, sizeof **line)))
        return false;
    memcpy((*line)->text + (*line)->len, data, len);
    (*line)->len += len;
    return true;
}

static void drop(struct vm_journal_line **line)
{
    free(*line);
    *line = NULL;
}

void vm_journal_add(struct vm_journals *all, struct vm_journal *j, const struct record_about *about,
                    pid_t pid, unsigned stream, unsigned level, const char *data, size_t len)
{
    if (!all->limits->output)
        return;
    stream = stream == 2 ? 1 : 0;
    level = level < N_LEVELS ? level : 0;
    struct vm_journal_line **begun = &j->unfinished[stream];
    while (len > 0) {
        const char *newline = memchr(data, '\n', len);
        size_t n = newline ? (size_t)(newline - data) : len;
        /* What was begun and this make a line if they fit; else what was begun is a part. */
        if (*begun && (*begun)->len + n > LINE_BYTES) {
            write_line(all, j, about, pid, stream, level, (*begun)->text, (*begun)->len);
            drop(begun);
        }
        size_t part = part_of(data, n);
        bool is_whole = newline && part == n;
        if (*begun && is_whole) {
            (void)keep(begun, data, part);
            write_line(all, j, about, pid, stream, level, (*begun)->text, (*begun)->len);
            drop(begun);
        } else if (is_whole || part < n) {
            write_line(all, j, about, pid, stream, level, data, part);
        } else if (part > 0 && !keep(begun, data, part)) {
            note_left_out(all, j, about, part);
        }
        data += part + is_whole;
        len -= part + is_whole;
    }
}

/* ---- life */

void vm_journal_end(struct vm_journals *all, struct vm_journal *j, const struct record_about *about,
                    pid_t pid)
{
    for (unsigned i = 0; i < VM_JOURNAL_STREAMS; i++) {
        if (j->unfinished[i])
            write_line(all, j, about, pid, i, N_LEVELS - 1, j->unfinished[i]->text,
                       j->unfinished[i]->len);
        drop(&j->unfinished[i]);
    }
    (void)tell_of(all, j); /* else the timer does */
}

void vm_journal_done(struct vm_journal *j)
{
    for (unsigned i = 0; i < VM_JOURNAL_STREAMS; i++)
        drop(&j->unfinished[i]);
    hand_over(j);
}

struct vm_journals *vm_journals_new(struct event_base *base, const struct config_journal *limits)
{
    struct vm_journals *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->limits = limits;
    LIST_INIT(&all->listed);
    all->tell = event_new(base, -1, 0, on_tell, all);
    return all->tell ? all : vm_journals_free(all);
}

struct vm_journals *vm_journals_free(struct vm_journals *all)
{
    struct vm_journal *j;
    if (!all)
        return NULL;
    while ((j = LIST_FIRST(&all->listed)))
        if (!tell_of(all, j))
            hand_over(j);
    (void)tell_of_gone(all);
    if (all->tell)
        event_free(all->tell);
    free(all);
    return NULL;
}

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "journal.h"
#include "text.h"

static struct {
    const char *program;
    bool journal;
    unsigned long lost; /* records that the journal had no room for, and has not been told of */
} log_to = {.program = "stillpoint"};

bool log_is_debug;

/* sd-daemon(3): JOURNAL_STREAM holds device and inode of the stream that was given to us; it counts
 * only while stderr still is that stream. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *program, int debug)
{
    log_to.program = program;
    log_is_debug = debug != 0;
    log_to.journal = stderr_is_journal();
}

bool log_is_journal(void)
{
    return log_to.journal;
}

/* A reader that does not read must not hold us up: what it has no room for is lost. A pipe that is
 * writable takes a line of this length whole. */
static void to_stderr(const char *text)
{
    char line[2200];
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    int n = snprintf(line, sizeof line, "%s: %s\n", log_to.program, text);
    if (n > 0 && poll(&p, 1, 0) > 0)
        (void)!write(STDERR_FILENO, line, strnlen(line, sizeof line - 1));
}

/* Fields of a record, one text after the other. */
struct record {
    char texts[8192];
    size_t used, n;
    struct iovec at[32];
};

static void add_field(struct record *r, const char *name, const char *value)
{
    size_t left = sizeof r->texts - r->used;
    int n = value ? snprintf(r->texts + r->used, left, "%s=%s", name, value) : 0;
    if (n <= 0 || (size_t)n >= left || r->n == sizeof r->at / sizeof r->at[0])
        return;
    r->at[r->n++] = (struct iovec){.iov_base = r->texts + r->used, .iov_len = (size_t)n};
    r->used += (size_t)n;
}

static void add_number(struct record *r, const char *name, unsigned long number)
{
    char text[24];
    snprintf(text, sizeof text, "%lu", number);
    add_field(r, name, text);
}

static int send_record(const struct log_speaker *by, int level, const char *message_id,
                       const struct log_field *fields, size_t n, const char *text)
{
    struct record r = {.used = 0};
    add_field(&r, "MESSAGE", text);
    add_number(&r, "PRIORITY", (unsigned long)level);
    add_field(&r, "SYSLOG_IDENTIFIER", by ? by->identifier : log_to.program);
    if (by && by->pid > 0)
        add_number(&r, "SYSLOG_PID", (unsigned long)by->pid);
    add_field(&r, "MESSAGE_ID", message_id);
    for (size_t i = 0; i < n; i++)
        add_field(&r, fields[i].name, fields[i].value);
    return journal_sendv(r.at, (int)r.n);
}

static void say_lost(void)
{
    char text[96], count[24];
    snprintf(count, sizeof count, "%lu", log_to.lost);
    snprintf(text, sizeof text, "%s records were lost: the journal had no room", count);
    const struct log_field field = {"STILLPOINT_DROPPED", count};
    if (send_record(NULL, LOG_WARNING, LOG_LOST_ID, &field, 1, text) == 0)
        log_to.lost = 0;
}

/* While the journal has no room, stderr has none either: it is the same journal. */
static void write_record(int level, const char *message_id, const struct log_field *fields,
                         size_t n, char *text)
{
    text_to_line(text);
    if (log_to.journal && log_to.lost > 0)
        say_lost();
    int r = log_to.journal ? send_record(NULL, level, message_id, fields, n, text) : -ENOTCONN;
    if (r == -EAGAIN)
        log_to.lost++;
    else if (r < 0)
        to_stderr(text);
}

void log_line(int level, const char *format, ...)
{
    if (level == LOG_DEBUG && !log_is_debug)
        return;
    int saved = errno;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_record(level, NULL, NULL, 0, text);
    errno = saved;
}

void log_record(int level, const char *message_id, const struct log_field *fields, size_t n,
                const char *format, ...)
{
    int saved = errno;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_record(level, message_id, fields, n, text);
    errno = saved;
}

int log_offer(const struct log_speaker *by, int level, const char *message_id,
              const struct log_field *fields, size_t n, const char *text)
{
    return log_to.journal ? send_record(by, level, message_id, fields, n, text) : -ENOTCONN;
}

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"

static struct {
    const char *program;
    bool journal;
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

static int to_journal(int level, const char *text)
{
    char message[2100], priority[16], program[64];
    struct iovec fields[] = {
        {message, (size_t)snprintf(message, sizeof message, "MESSAGE=%s", text)},
        {priority, (size_t)snprintf(priority, sizeof priority, "PRIORITY=%i", level)},
        {program,
         (size_t)snprintf(program, sizeof program, "SYSLOG_IDENTIFIER=%s", log_to.program)},
    };
    return journal_sendv(fields, sizeof fields / sizeof *fields);
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
    /* A journal without room counts what it lost, and says so; stderr is the same journal. */
    int r = log_to.journal ? to_journal(level, text) : -ENOENT;
    if (r < 0 && r != -EAGAIN)
        to_stderr(text);
    errno = saved;
}

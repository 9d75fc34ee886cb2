#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

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
    if (!log_to.journal || sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", level,
                                           "SYSLOG_IDENTIFIER=%s", log_to.program, NULL) < 0) {
        char line[2200];
        int n = snprintf(line, sizeof line, "%s: %s\n", log_to.program, text);
        if (n > 0)
            (void)!write(STDERR_FILENO, line, strnlen(line, sizeof line - 1));
    }
    errno = saved;
}

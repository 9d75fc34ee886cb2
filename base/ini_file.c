#include "ini_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "text.h"

/* A file that is longer is none of ours. */
#define FILE_BYTES (1024u * 1024)

/* Of a line, more than libinih takes. */
#define LINE_BYTES 256

/* libinih tells no line numbers of what it has understood, so it is given one line at a time, and
 * this counts. */
struct ini_file {
    const struct ini_file_reader *reader;
    const char *path;
    const char *at, *end;
    unsigned line;
    unsigned errors;
};

const char *ini_file_path(const struct ini_file *f)
{
    return f->path;
}

unsigned ini_file_line(const struct ini_file *f)
{
    return f->line;
}

void ini_file_complain(struct ini_file *f, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text_to_line(text);
    f->reader->on_error(f->reader->userdata, f->path, f->line, text);
    f->errors++;
}

static bool knows(const struct ini_file *f, const char *section)
{
    return f->reader->knows_section(f->reader->userdata, section);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* What stands between the brackets of a line that begins with one. False: it is no such line. */
static bool section_of(const char *line, size_t bytes, char *ret, size_t size)
{
    const char *end = bytes > 0 && line[0] == '[' ? memchr(line, ']', bytes) : NULL;
    if (!end || (size_t)(end - line) > size)
        return false;
    size_t n = (size_t)(end - line) - 1;
    memcpy(ret, line + 1, n);
    ret[n] = '\0';
    return true;
}

/* What libinih cannot say of a line. False: it is not for libinih. */
static bool check_line(struct ini_file *f, const char *line, size_t bytes, size_t max)
{
    char section[LINE_BYTES];
    if (bytes > max)
        ini_file_complain(f, "the line is longer than %zu bytes", max);
    else if (!text_is_utf8(line, bytes))
        ini_file_complain(f, "the line is no UTF-8 text, or has a zero byte in it");
    else {
        /* Nothing below it is known to any section, and not complained of again. */
        if (section_of(line, bytes, section, sizeof section) && !knows(f, section))
            ini_file_complain(f, "there is no section [%s] (sections are %s)", section,
                              f->reader->sections);
        return true;
    }
    return false;
}

/* An ini_reader, like fgets(3). */
static char *read_line(char *buffer, int size, void *stream)
{
    struct ini_file *f = stream;
    if (f->at == f->end)
        return NULL;
    const char *line = f->at, *newline = memchr(line, '\n', (size_t)(f->end - line));
    const char *end = newline ? newline : f->end;
    f->at = newline ? newline + 1 : f->end;
    f->line++;
    /* To libinih an indented line would go on with the value of the one before. */
    while (line < end && is_space(*line))
        line++;
    while (line < end && is_space(end[-1]))
        end--;
    size_t bytes = (size_t)(end - line);
    if (!check_line(f, line, bytes, (size_t)size - 2))
        bytes = 0;
    memcpy(buffer, line, bytes);
    strcpy(buffer + bytes, "\n");
    return buffer;
}

static int on_value(void *userdata, const char *section, const char *key, const char *value)
{
    struct ini_file *f = userdata;
    if (!*section)
        ini_file_complain(f, "'%s' is in no section: a line like [%.*s] has to come before it", key,
                          (int)strcspn(f->reader->sections, ", "), f->reader->sections);
    else if (knows(f, section))
        f->reader->on_value(f->reader->userdata, f, section, key, value);
    return 1;
}

/* Up to one byte more than a file may have. Returns how many, or negative errno. */
static ssize_t read_text(int fd, char *text)
{
    size_t bytes = 0;
    while (bytes <= FILE_BYTES) {
        ssize_t n = read(fd, text + bytes, FILE_BYTES + 1 - bytes);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        bytes += (size_t)n;
    }
    return (ssize_t)bytes;
}

static int cannot_read(const char *path, const struct ini_file_reader *reader, int r)
{
    char text[256];
    snprintf(text, sizeof text, "cannot be read: %s", strerror(-r));
    reader->on_error(reader->userdata, path, 0, text);
    return -EINVAL;
}

int ini_file_read_fd(int fd, const char *path, const struct ini_file_reader *reader)
{
    _cleanup_free_ char *text = malloc(FILE_BYTES + 1);
    if (!text)
        return -ENOMEM;
    ssize_t bytes = read_text(fd, text);
    if (bytes < 0)
        return cannot_read(path, reader, (int)bytes);
    struct ini_file f = {.reader = reader, .path = path, .at = text, .end = text + bytes};
    if (bytes > FILE_BYTES) {
        ini_file_complain(&f, "is longer than %u bytes", FILE_BYTES);
        return -EINVAL;
    }
    int line = ini_parse_stream(read_line, &f, on_value, &f);
    if (line < 0)
        return -ENOMEM;
    if (line > 0) {
        f.line = (unsigned)line;
        ini_file_complain(&f, "neither '[section]' nor 'key = value'");
    }
    return f.errors > 0 ? -EINVAL : 0;
}

int ini_file_read(const char *path, const struct ini_file_reader *reader)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? -ENOENT : cannot_read(path, reader, -errno);
    return ini_file_read_fd(fd, path, reader);
}

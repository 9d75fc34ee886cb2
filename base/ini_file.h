/*
 * ini_file.h: reads a file of sections and settings, and knows in which line each of them stands.
 * libinih says what a line means, one line at a time; what no line may be is said here. Owns
 * nothing after it returns.
 *
 * Any process and thread. Readers say what is right and what is wrong by callbacks; all that is
 * wrong with a file is told, not the first of it only.
 */
#pragma once

#include <stdbool.h>

/** A file while it is read. */
struct ini_file;

struct ini_file_reader {
    /** What the file may have: "daemon, vm and quota"; for what is said of another section. */
    const char *sections;
    bool (*knows_section)(void *userdata, const char *section);
    /** A setting of a section that is known. */
    void (*on_value)(void *userdata, struct ini_file *f, const char *section, const char *key,
                     const char *value);
    /** Something is wrong; line 0: with the whole file. The text is one line. */
    void (*on_error)(void *userdata, const char *path, unsigned line, const char *text);
    void *userdata;
};

/** -ENOENT: there is no such file, and nothing was said. -EINVAL: something is wrong with it, and
 *  that was told. -ENOMEM. */
int ini_file_read(const char *path, const struct ini_file_reader *reader);
/** The same of what is open already; `path` is for texts. */
int ini_file_read_fd(int fd, const char *path, const struct ini_file_reader *reader);

/** For on_value(): where it stands, and what is wrong there. */
const char *ini_file_path(const struct ini_file *f);
unsigned ini_file_line(const struct ini_file *f);
void ini_file_complain(struct ini_file *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

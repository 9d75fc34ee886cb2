/*
 * debug_line.h: lines for a prompt: from a terminal by libedit, else as they come. Both keep an eye
 * on a connection and on signals. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct stillpoint;
struct debug_line;

struct debug_line_source {
    int signal_fd;         /**< a signalfd: SIGINT drops the line, any other is the end of all */
    struct stillpoint *sp; /**< what comes is dispatched; its end is the end of all */
    void (*prompt)(void *userdata, char *text, size_t size);
    /** What may stand at the end of the line, NULL-terminated, with its texts debug_line's to free;
     * *ret_word is where it begins. */
    char **(*complete)(void *userdata, const char *line, size_t *ret_word);
    void *userdata;
};

/** NULL without memory. The source is copied. */
struct debug_line *debug_line_new(const struct debug_line_source *source);
struct debug_line *debug_line_free(struct debug_line *l);
/** The next line, without its end, valid until the next call; NULL: there is none. */
char *debug_line_read(struct debug_line *l);
bool debug_line_is_tty(const struct debug_line *l);

/*
 * show.h: places, frames, values and source lines as people read them.
 */
#pragma once

#include "cli/print.h"

/** "app.js:12:3", "m.wasm:0x1f"; `unknown` where there is no url. */
void show_add_place(struct print_text *t, const struct stillpoint_location *place,
                    const char *unknown);
/** "app.js:12:3 in f". */
void show_add_frame_place(struct print_text *t, const struct stillpoint_frame *f);
/** "#0 function (url:line:col)", as gdb does. */
void show_frame(const struct stillpoint_frame *f);
/** What it is, and in brackets the number by which it can be looked into. */
void show_add_value(struct print_text *t, const struct stillpoint_value *v);
/** "name = value". */
void show_variable(unsigned indent, const struct stillpoint_named_value *v);
/** On stderr, what an evaluation threw. Returns CLI_FAILED. */
int show_thrown(const struct cli *cli, const char *expression,
                const struct stillpoint_evaluated *e);

/** The whole text of one source. */
struct show_source {
    struct stillpoint_source_text head; /**< its first part, which has what the source is */
    char *text;
    size_t bytes;
};
/** Reads it, by its url. 0, STILLPOINT_REFUSED or negative errno; end it with show_source_done().
 */
int show_source_read(struct stillpoint *sp, const char *vm, const char *url,
                     struct show_source *ret);
void show_source_done(struct show_source *s);
/** The text of one line (from 1), without its end. NULL: there is none. */
const char *show_source_line(const struct show_source *s, uint32_t line, size_t *ret_bytes);
/** Lines with their numbers; `current` (0: none) is marked. Returns how many there were. */
uint32_t show_source_lines(const struct cli *cli, const struct show_source *s, uint32_t from,
                           uint32_t to, uint32_t current);
/** The source line of a frame with its number, where there is one; what fails is left out. */
void show_frame_line(const struct cli *cli, const char *vm, const struct stillpoint_frame *f);

/*
 * print.h: everything that goes to stdout, as the global options say: tables for people, JSON for
 * programs. A reader that went away is no error; anything else that keeps stdout from being written
 * is.
 */
#pragma once

#include <jansson.h>

#include "cli/cli.h"

/** Whether people read: colours and the like. */
bool print_has_color(const struct cli *cli);

/** -o json: indented; -o jsonl: an array's items, or the object, one on a line. Takes `value`. */
void print_json(const struct cli *cli, json_t *value);
/** One object on a line. Takes `value`. */
void print_json_line(json_t *value);
/** Text of a guest: goes out byte for byte. */
void print_bytes(const void *data, size_t bytes);
/** A line of ours, in which control characters are made harmless. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Writes out what is buffered. False: the reader has gone, or the disk is full; stop. */
bool print_flush(void);
/** The end of the call: `code`, or CLI_FAILED if not all could be written. */
int print_end(const struct cli *cli, int code);

/** One line that is put together piece by piece; what does not fit is left out. Starts as {0}. */
struct print_text {
    char text[1024];
    size_t at; /**< beyond `text`: it was cut */
};
void print_add(struct print_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Characters in a line of the terminal; 200 where there is none. */
size_t print_width(void);
/** How many bytes of a text there is room for in so many characters; where that is not all of it,
 * with one to spare, for "…". */
size_t print_fit(const char *text, size_t most);

struct print_column {
    const char *name;
    bool right; /**< numbers */
};

struct print_table;
/** columns ends with a NULL name. NULL: out of memory. */
struct print_table *print_table_new(const struct cli *cli, const struct print_column *columns);
/** A new row; print_table_cell() fills it from the left. */
void print_table_row(struct print_table *t);
void print_table_cell(struct print_table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Colours the cell that was filled last: "green", "yellow", "red"; NULL: none. */
void print_table_color(struct print_table *t, const char *color);
/** Prints and frees it. */
void print_table_end(struct print_table *t);

/** How a list of one sort of thing is shown in each format. */
struct print_rows {
    const struct print_column *columns;
    void (*row)(struct print_table *t, const void *item); /**< or several */
    void (*name)(const void *item);                       /**< one line, of -o name */
    json_t *(*json)(const void *item);
};

struct print_list {
    const struct cli *cli;
    const struct print_rows *rows;
    struct print_table *table;
    json_t *array;
};

void print_list_begin(struct print_list *l, const struct cli *cli, const struct print_rows *rows);
void print_list_add(struct print_list *l, const void *item);
void print_list_end(struct print_list *l);
/** All of it, for `n` items that lie `size` bytes apart. */
void print_items(const struct cli *cli, const struct print_rows *rows, const void *items, size_t n,
                 size_t size);

/** "12.3M" for people. Static buffers, four of them in turn. */
const char *print_size(uint64_t bytes);
const char *print_duration(uint64_t us);
/** Local time; "-" for 0. */
const char *print_time(uint64_t time_us);

#include "cli/print.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Where nobody's terminal says it; and what a narrow one gets all the same. */
#define WIDTH_DEFAULT 200
#define WIDTH_LEAST 40

bool print_has_color(const struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR");
    if (cli->color != CLI_COLOR_AUTO)
        return cli->color == CLI_COLOR_ALWAYS;
    return isatty(STDOUT_FILENO) && !(no_color && no_color[0]);
}

/* ---- JSON */

static void dump(const json_t *value, size_t flags)
{
    json_dumpf(value, stdout, flags | JSON_ENCODE_ANY);
    putchar('\n');
}

void print_json_line(json_t *value)
{
    dump(value, JSON_COMPACT);
    json_decref(value);
}

void print_json(const struct cli *cli, json_t *value)
{
    size_t i;
    json_t *item;
    if (cli->format != CLI_JSONL)
        dump(value, JSON_INDENT(2));
    else if (json_is_array(value))
        json_array_foreach(value, i, item) dump(item, JSON_COMPACT);
    else
        dump(value, JSON_COMPACT);
    json_decref(value);
}

/* ---- lines */

void print_bytes(const void *data, size_t bytes)
{
    if (bytes > 0)
        fwrite(data, 1, bytes, stdout);
}

void print_line(const char *format, ...)
{
    va_list ap;
    char *text;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        p += c1;
        putchar(*p < 0x20 || *p == 0x7f || c1 ? '?' : *p);
    }
    putchar('\n');
    free(text);
}

void print_add(struct print_text *t, const char *format, ...)
{
    va_list ap;
    if (t->at >= sizeof t->text)
        return;
    va_start(ap, format);
    int n = vsnprintf(t->text + t->at, sizeof t->text - t->at, format, ap);
    va_end(ap);
    t->at += n > 0 ? (size_t)n : 0;
}

size_t print_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return WIDTH_DEFAULT;
    return size.ws_col < WIDTH_LEAST ? WIDTH_LEAST : size.ws_col;
}

size_t print_fit(const char *text, size_t most)
{
    size_t n = 0, last = 0, i = 0;
    for (; text[i]; i++) {
        if (((unsigned char)text[i] & 0xc0) == 0x80)
            continue; /* in the middle of a character */
        if (++n == most)
            last = i;
        else if (n > most)
            return last;
    }
    return i;
}

/* Why stdout failed first; stdio keeps only that it did. */
static int output_errno;

bool print_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (output_errno == 0)
        output_errno = errno ? errno : EIO;
    return false;
}

int print_end(const struct cli *cli, int code)
{
    if (print_flush() || output_errno == EPIPE)
        return code;
    int failed = cli_fail(cli, CLI_FAILED, "write the output: %s", strerror(output_errno));
    return code != CLI_OK ? code : failed;
}

/* ---- tables */

struct print_table {
    struct libscols_table *table;
    struct libscols_line *line;
    size_t next;
};

struct print_table *print_table_new(const struct cli *cli, const struct print_column *columns)
{
    struct print_table *t = calloc(1, sizeof *t);
    if (!t || !(t->table = scols_new_table())) {
        free(t);
        return NULL;
    }
    scols_table_enable_noheadings(t->table, cli->no_legend);
    scols_table_enable_colors(t->table, print_has_color(cli));
    for (; columns->name; columns++)
        scols_table_new_column(t->table, columns->name, 0, columns->right ? SCOLS_FL_RIGHT : 0);
    return t;
}

void print_table_row(struct print_table *t)
{
    if (!t)
        return;
    t->line = scols_table_new_line(t->table, NULL);
    t->next = 0;
}

void print_table_cell(struct print_table *t, const char *format, ...)
{
    va_list ap;
    char *text;
    if (!t || !t->line)
        return;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n >= 0 && scols_line_refer_data(t->line, t->next, text) != 0)
        free(text);
    t->next++;
}

void print_table_color(struct print_table *t, const char *color)
{
    if (t && t->line && color)
        scols_cell_set_color(scols_line_get_cell(t->line, t->next - 1), color);
}

void print_table_end(struct print_table *t)
{
    if (!t)
        return;
    if (scols_table_get_nlines(t->table) > 0)
        scols_print_table(t->table);
    scols_unref_table(t->table);
    free(t);
}

/* ---- lists */

void print_list_begin(struct print_list *l, const struct cli *cli, const struct print_rows *rows)
{
    *l = (struct print_list){.cli = cli, .rows = rows};
    if (cli->format == CLI_TABLE)
        l->table = print_table_new(cli, rows->columns);
    else if (cli->format != CLI_NAME)
        l->array = json_array();
}

void print_list_add(struct print_list *l, const void *item)
{
    if (l->cli->format == CLI_TABLE)
        l->rows->row(l->table, item);
    else if (l->cli->format == CLI_NAME)
        l->rows->name(item);
    else
        json_array_append_new(l->array, l->rows->json(item));
}

void print_list_end(struct print_list *l)
{
    print_table_end(l->table);
    if (l->array)
        print_json(l->cli, l->array);
}

void print_items(const struct cli *cli, const struct print_rows *rows, const void *items, size_t n,
                 size_t size)
{
    struct print_list list;
    print_list_begin(&list, cli, rows);
    for (size_t i = 0; i < n; i++)
        print_list_add(&list, (const char *)items + i * size);
    print_list_end(&list);
}

/* ---- numbers for people */

static char *next_buffer(size_t *ret_size)
{
    static char buffers[4][64];
    static unsigned next;
    *ret_size = sizeof buffers[0];
    return buffers[next++ % 4];
}

const char *print_size(uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    size_t size, unit = 0;
    char *text = next_buffer(&size);
    double v = (double)bytes;
    for (; v >= 1024; unit++)
        v /= 1024;
    if (unit == 0)
        snprintf(text, size, "%" PRIu64 "B", bytes);
    else
        snprintf(text, size, v < 10 && v != (double)(unsigned)v ? "%.1f%c" : "%.0f%c", v,
                 units[unit]);
    return text;
}

const char *print_duration(uint64_t us)
{
    size_t size;
    char *text = next_buffer(&size);
    if (us < 1000)
        snprintf(text, size, "%" PRIu64 "us", us);
    else if (us < 1000000)
        snprintf(text, size, "%.1fms", (double)us / 1e3);
    else if (us < 60000000)
        snprintf(text, size, "%.1fs", (double)us / 1e6);
    else if (us < UINT64_C(3600000000))
        snprintf(text, size, "%" PRIu64 "m%02" PRIu64 "s", us / 60000000, us / 1000000 % 60);
    else
        snprintf(text, size, "%" PRIu64 "h%02" PRIu64 "m", us / UINT64_C(3600000000),
                 us / 60000000 % 60);
    return text;
}

const char *print_time(uint64_t time_us)
{
    size_t size;
    char *text = next_buffer(&size);
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm tm;
    if (time_us == 0 || !localtime_r(&seconds, &tm) ||
        strftime(text, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        return "-";
    return text;
}

#include "cli/show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_BYTES_MAX ((size_t)256 * 1024 * 1024) /* more is an error of the daemon */
#define LINE_BYTES_MAX 500                           /* of one line of a source, for people */

/* ---- places and frames */

void show_add_place(struct print_text *t, const struct stillpoint_location *l, const char *unknown)
{
    print_add(t, "%s", l->url[0] ? l->url : unknown);
    if (l->line != 0)
        print_add(t, ":%" PRIu32, l->line);
    if (l->line != 0 && l->column != 0)
        print_add(t, ":%" PRIu32, l->column);
    if (l->line == 0 && l->has_offset)
        print_add(t, ":0x%" PRIx64, l->offset);
}

static struct stillpoint_location place_of(const struct stillpoint_frame *f)
{
    return (struct stillpoint_location){
        .url = f->url,
        .function = f->function,
        .line = f->line,
        .column = f->column,
        .has_offset = f->has_offset,
        .offset = f->offset,
    };
}

void show_add_frame_place(struct print_text *t, const struct stillpoint_frame *f)
{
    struct stillpoint_location place = place_of(f);
    show_add_place(t, &place, f->kind);
    if (f->function[0])
        print_add(t, " in %s", f->function);
}

void show_frame(const struct stillpoint_frame *f)
{
    struct print_text text = {0};
    struct stillpoint_location place = place_of(f);
    show_add_place(&text, &place, f->kind);
    print_line("#%" PRIu32 " %s (%s)", f->frame, f->function[0] ? f->function : "<anonymous>",
               text.text);
}

/* ---- values */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static void add_preview(struct print_text *t, const struct stillpoint_value *v)
{
    bool cut = v->truncated && !ends_with(v->preview, "…");
    if (v->preview[0])
        print_add(t, "%s%s", v->preview, cut ? "…" : "");
    else
        print_add(t, "<%s>", stillpoint_value_type_text(v->type));
}

void show_add_value(struct print_text *t, const struct stillpoint_value *v)
{
    add_preview(t, v);
    if (v->ref != 0)
        print_add(t, " [%" PRIu64 "]", v->ref);
}

void show_variable(unsigned indent, const struct stillpoint_named_value *v)
{
    struct print_text text = {0};
    if (v->getter)
        print_add(&text, "<getter>");
    else
        add_preview(&text, &v->value);
    char ref[32] = "";
    if (v->value.ref != 0 && !v->getter)
        snprintf(ref, sizeof ref, " [%" PRIu64 "]", v->value.ref);
    char *line;
    if (asprintf(&line, "%*s%s = %s%s", (int)indent, "", v->name, v->threw ? "<threw> " : "",
                 text.text) < 0)
        return;
    /* The number to look further stays, whatever is cut. */
    size_t n = print_fit(line, print_width() - strlen(ref));
    print_line("%.*s%s%s", (int)n, line, line[n] ? "…" : "", ref);
    free(line);
}

int show_thrown(const struct cli *cli, const char *expression, const struct stillpoint_evaluated *e)
{
    return cli_fail(cli, CLI_FAILED, "evaluate %s: it threw: %s", expression, e->value.preview);
}

/* ---- sources */

static int append(struct show_source *s, const struct stillpoint_source_text *part)
{
    if (part->bytes > SOURCE_BYTES_MAX - s->bytes)
        return -EPROTO;
    char *text = realloc(s->text, s->bytes + part->bytes + 1);
    if (!text)
        return -ENOMEM;
    if (part->bytes > 0)
        memcpy(text + s->bytes, part->text, part->bytes);
    s->text = text;
    s->bytes += part->bytes;
    return 0;
}

static int read_rest(struct stillpoint *sp, struct stillpoint_source_query *query,
                     struct show_source *s, bool more)
{
    int r = 0;
    while (r == 0 && more) {
        struct stillpoint_source_text part;
        query->first_byte = s->bytes;
        r = stillpoint_vm_source_text(sp, query, &part);
        if (r != 0)
            return r;
        r = part.bytes == 0 ? -EPROTO : append(s, &part);
        more = part.more;
        stillpoint_source_text_free(&part);
    }
    return r;
}

int show_source_read(struct stillpoint *sp, const char *vm, const char *url,
                     struct show_source *ret)
{
    struct stillpoint_source_query query = {.vm = vm, .url = url};
    *ret = (struct show_source){0};
    int r = stillpoint_vm_source_text(sp, &query, &ret->head);
    if (r != 0)
        return r;
    query.source = ret->head.source.id; /* one that is loaded meanwhile has another */
    r = append(ret, &ret->head);
    return r != 0 ? r : read_rest(sp, &query, ret, ret->head.more);
}

void show_source_done(struct show_source *s)
{
    stillpoint_source_text_free(&s->head);
    free(s->text);
    *s = (struct show_source){0};
}

const char *show_source_line(const struct show_source *s, uint32_t line, size_t *ret_bytes)
{
    const char *at = s->text, *end = s->text + s->bytes;
    for (; at && at < end; line--) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        if (line <= 1) {
            if (line == 0)
                return NULL;
            *ret_bytes = (size_t)(stop - at) - (stop > at && stop[-1] == '\r');
            return at;
        }
        at = newline ? newline + 1 : end;
    }
    return NULL;
}

static void show_line(const struct cli *cli, uint32_t number, const char *text, size_t bytes,
                      bool current)
{
    bool color = current && print_has_color(cli);
    char copy[LINE_BYTES_MAX + 1];
    size_t to = 0;
    for (size_t i = 0; i < bytes && to < LINE_BYTES_MAX; i++) {
        if (text[i] == '\t')
            do
                copy[to++] = ' ';
            while (to % 4 != 0 && to < LINE_BYTES_MAX);
        else
            copy[to++] = text[i];
    }
    copy[to] = '\0';
    if (color)
        fputs("\033[1m", stdout);
    printf("%s%5" PRIu32 "  ", current ? "=>" : "  ", number);
    print_line("%s", copy);
    if (color)
        fputs("\033[m", stdout);
}

uint32_t show_source_lines(const struct cli *cli, const struct show_source *s, uint32_t from,
                           uint32_t to, uint32_t current)
{
    uint32_t n = 0, number = from ? from : 1;
    size_t bytes;
    const char *line = show_source_line(s, number, &bytes), *end = s->text + s->bytes;
    while (line && line < end && (to == 0 || number <= to)) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        show_line(cli, number, line, (size_t)(stop - line) - (stop > line && stop[-1] == '\r'),
                  number == current);
        n++;
        number++;
        line = newline ? newline + 1 : end;
    }
    return n;
}

void show_frame_line(const struct cli *cli, const char *vm, const struct stillpoint_frame *f)
{
    struct show_source source;
    if (f->url[0] && f->line != 0 && show_source_read(cli->sp, vm, f->url, &source) == 0) {
        show_source_lines(cli, &source, f->line, f->line, f->line);
        show_source_done(&source);
    }
}

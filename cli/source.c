/* source: the sources of a stopped VM, and their text. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/show.h"
#include "cli/target.h"

/* ---- the list */

static void source_row(struct print_table *t, const struct stillpoint_source *s)
{
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, s->id);
    print_table_cell(t, "%s", s->kind);
    print_table_cell(t, "%s", print_size(s->text_bytes));
    if (s->lines > 0)
        print_table_cell(t, "%" PRIu32, s->lines);
    else
        print_table_cell(t, "-");
    print_table_cell(t, "%s", s->url);
}

static int list_sources(struct cli *cli, const struct target *t)
{
    static const struct print_column columns[] = {
        {"ID", true}, {"KIND", false}, {"SIZE", true}, {"LINES", true}, {"URL", false}, {0},
    };
    struct print_table *table = cli->format == CLI_TABLE ? print_table_new(cli, columns) : NULL;
    json_t *list = json_array();
    uint32_t first = 0;
    int code = CLI_OK;
    do {
        struct stillpoint_sources page;
        int r = stillpoint_vm_sources(cli->sp, t->id, first, 0, &page);
        if (r != 0) {
            code = cli_fail_call(cli, r, "list the sources of %s", t->vm->name);
            break;
        }
        for (size_t i = 0; i < page.n; i++) {
            if (cli->format == CLI_NAME)
                print_line("%s", page.items[i].url);
            source_row(table, &page.items[i]);
            json_array_append_new(list, json_of_source(&page.items[i]));
        }
        first = page.next > first ? page.next : 0;
        stillpoint_sources_free(&page);
    } while (first != 0);
    print_table_end(table);
    if (code == CLI_OK && (cli->format == CLI_JSON || cli->format == CLI_JSONL))
        print_json(cli, json_incref(list));
    json_decref(list);
    return code;
}

/* ---- the text */

/* The line in which the VM stands, if it stands in this source; 0: it does not. */
static uint32_t current_line(struct cli *cli, const struct target *t, const char *url)
{
    struct stillpoint_frames frames;
    uint32_t line = 0;
    if (stillpoint_vm_frames(cli->sp, t->id, 0, 1, &frames) != 0)
        return 0;
    if (frames.n > 0 && strcmp(frames.items[0].url, url) == 0)
        line = frames.items[0].line;
    stillpoint_frames_free(&frames);
    return line;
}

static json_t *json_of_lines(const struct show_source *s, uint32_t from, uint32_t to)
{
    json_t *lines = json_array();
    size_t bytes;
    const char *line = show_source_line(s, from ? from : 1, &bytes), *end = s->text + s->bytes;
    for (uint32_t n = from ? from : 1; line && line < end && (to == 0 || n <= to); n++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        bytes = (size_t)(stop - line) - (stop > line && stop[-1] == '\r');
        json_array_append_new(lines, json_of_text_bytes(line, bytes));
        line = newline ? newline + 1 : end;
    }
    return lines;
}

static int print_source(struct cli *cli, const struct target *t, const struct show_source *s,
                        uint32_t from, uint32_t to)
{
    const struct stillpoint_source *source = &s->head.source;
    bool wasm = strcmp(source->kind, "wasm") == 0;
    uint32_t current = wasm ? 0 : current_line(cli, t, source->url);
    if (cli->format == CLI_NAME) {
        print_line("%s", source->url);
        return CLI_OK;
    }
    if (cli->format != CLI_TABLE) {
        print_json(cli, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "vm", json_of_number(t->vm->id),
                                  "source", json_of_source(source), "first_line",
                                  json_of_number(from ? from : 1), "current_line",
                                  json_of_number_or_null(current), "lines",
                                  wasm ? json_array() : json_of_lines(s, from, to), "data",
                                  wasm ? json_of_bytes(s->text, s->bytes) : json_null()));
        return CLI_OK;
    }
    if (wasm)
        return cli_fail(cli, CLI_FAILED, "show %s: it is WebAssembly (-o json has its bytes)",
                        source->url);
    if (show_source_lines(cli, s, from, to, current) == 0 && from > 1)
        return cli_fail(cli, CLI_FAILED, "show line %" PRIu32 " of %s: it has %" PRIu32 " lines",
                        from, source->url, source->lines);
    return CLI_OK;
}

static int run_source(struct cli *cli, int argc, char **argv)
{
    struct show_source source;
    struct target t = {0};
    uint32_t from = 0, to = 0;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (!parse_lines(optarg, &from, &to))
            code = cli_fail_usage(cli, "--line: '%s' is not like 10, 10-20 or 10-", optarg);
    }
    if (code == 0 && (optind == argc || argc - optind > 2))
        code = cli_fail_usage(cli, "it takes a VM, and the URL of a source");
    if (code == 0 && argc - optind == 1 && (from != 0 || to != 0))
        code = cli_fail_usage(cli, "--line: of which source?");
    if (code == 0)
        code = target_find(cli, argv[optind], NULL, &t);
    if (code == 0 && argc - optind == 1) {
        code = list_sources(cli, &t);
    } else if (code == 0) {
        int r = show_source_read(cli->sp, t.id, argv[optind + 1], &source);
        code = r != 0 ? cli_fail_call(cli, r, "read %s of %s", argv[optind + 1], t.vm->name)
                      : print_source(cli, &t, &source, from, to);
        show_source_done(&source);
    }
    target_done(&t);
    return code;
}

const struct verb verb_source = {
    .name = "source",
    .synopsis = "VM [URL [--line A-B]]",
    .summary = "the sources of a stopped VM, or the text of one",
    .help = "      --line A-B         only these lines; A, A- and -B do too\n"
            "URL is that of a source, or its end after a '/'. '=>' marks the line in which the VM\n"
            "stands.\n",
    .shorts = "",
    .longs = (const struct option[]){{"line", required_argument, NULL, 'l'}, {0}},
    .run = run_source,
};

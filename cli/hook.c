#include "cli/hook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/debugger.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/show.h"

int hook_place(const struct cli *cli, const char *word, struct stillpoint_interest *i)
{
    if (word && parse_is_glob(word)) {
        i->selector = word;
    } else if (word) {
        if (!parse_is_vm(word))
            return cli_fail_usage(cli, "'%s' is no name, id or glob of VMs", word);
        if (i->world || i->engine)
            return cli_fail_usage(cli, "%s is one VM: neither --world nor --engine goes with it",
                                  word);
        i->vm = word;
    } else if (i->engine) {
        i->selector = "*";
    } else if (!i->world) {
        return cli_fail_usage(cli, "in which VM? (a name, an id, a glob, or --world)");
    }
    return 0;
}

int hook_numbers(const struct cli *cli, int n, char **words, uint64_t *ret_hooks)
{
    for (int i = 0; i < n; i++)
        if (!parse_u64(words[i], &ret_hooks[i]) || ret_hooks[i] == 0)
            return cli_fail_usage(cli, "'%s' is no number of a hook", words[i]);
    return 0;
}

int hook_parse_suspend(const struct cli *cli, const char *word, enum stillpoint_suspend *ret)
{
    for (int s = STILLPOINT_SUSPEND_NONE; s <= STILLPOINT_SUSPEND_WORLD; s++)
        if (strcmp(word, stillpoint_suspend_text((enum stillpoint_suspend)s)) == 0) {
            *ret = (enum stillpoint_suspend)s;
            return 0;
        }
    return cli_fail_usage(cli, "--stop cannot be '%s': world, vm or none", word);
}

/* ---- showing them */

/* "app.js:12:3 in main", with what is to be said of it. */
static void add_bound(struct print_text *text, const struct stillpoint_hook *h)
{
    size_t set = 0, pending = 0;
    const struct stillpoint_bound *first = NULL;
    for (size_t i = 0; i < h->n_bound; i++) {
        const struct stillpoint_bound *b = &h->bound[i];
        if (!b->pending && !b->error && set++ == 0)
            first = b;
        pending += b->pending;
    }
    struct stillpoint_location place = {.url = h->at->url,
                                        .line = h->at->line,
                                        .column = h->at->column,
                                        .has_offset = h->at->has_offset,
                                        .offset = h->at->offset};
    if (first)
        place = (struct stillpoint_location){.url = first->url[0] ? first->url : h->at->url,
                                             .line = first->line,
                                             .column = first->column,
                                             .has_offset = first->has_offset,
                                             .offset = first->offset};
    show_add_place(text, &place, "?");
    if (first && first->function[0])
        print_add(text, " in %s", first->function);
    if (first && !h->at->has_offset && first->line != h->at->line)
        print_add(text, " (line %" PRIu32 " has no code)", h->at->line);
    if (set == 0)
        print_add(text, pending || h->vms > 0 ? " (pending: no loaded source has this place)"
                                              : " (in no VM yet)");
    else if (set > 1)
        print_add(text, " and %zu more", set - 1);
}

void hook_print_added(const struct cli *cli, const struct stillpoint_hooks *hooks)
{
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        print_json(cli, json_of_hooks(hooks));
        return;
    }
    for (size_t i = 0; i < hooks->n; i++) {
        const struct stillpoint_hook *h = &hooks->items[i];
        struct print_text text = {0};
        if (cli->format == CLI_NAME) {
            print_line("%" PRIu64, h->id);
            continue;
        }
        if (h->at)
            add_bound(&text, h);
        print_line("hook %" PRIu64 ": %s of %s%s%s", h->id, stillpoint_hook_kind_text(h->kind),
                   h->target,
                   h->at         ? " at "
                   : h->vms == 0 ? ", in no VM yet"
                                 : "",
                   text.text);
    }
}

static void hook_row(struct print_table *t, const void *item)
{
    const struct stillpoint_hook *h = item;
    struct print_text text = {0};
    if (h->at)
        add_bound(&text, h);
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, h->id);
    print_table_cell(t, "%s", stillpoint_hook_kind_text(h->kind));
    print_table_cell(t, "%s", h->target);
    print_table_cell(t, "%s", h->at ? text.text : "-");
    print_table_cell(t, "%s", stillpoint_suspend_text(h->suspend));
    print_table_cell(t, "%" PRIu32, h->vms);
    print_table_cell(t, "%" PRIu64 "%s", h->hits, h->spent ? " (spent)" : "");
    print_table_color(t, h->spent ? "yellow" : NULL);
    print_table_cell(t, "%" PRIu64, h->dropped);
    print_table_cell(t, "%s", h->debugger_name);
}

static void hook_name(const void *item)
{
    const struct stillpoint_hook *h = item;
    print_line("%" PRIu64, h->id);
}

static json_t *hook_json(const void *item)
{
    return json_of_hook(item);
}

static const struct print_rows hook_rows = {
    .columns = (const struct print_column[]){{"HOOK", true},
                                             {"KIND", false},
                                             {"TARGET", false},
                                             {"AT", false},
                                             {"STOPS", false},
                                             {"VMS", true},
                                             {"HITS", true},
                                             {"DROPPED", true},
                                             {"DEBUGGER", false},
                                             {0}},
    .row = hook_row,
    .name = hook_name,
    .json = hook_json,
};

void hook_print_list(const struct cli *cli, const struct stillpoint_hooks *hooks,
                     enum stillpoint_hook_kind kind)
{
    struct print_list list;
    print_list_begin(&list, cli, &hook_rows);
    for (size_t i = 0; i < hooks->n; i++)
        if (kind == 0 || hooks->items[i].kind == kind)
            print_list_add(&list, &hooks->items[i]);
    print_list_end(&list);
}

static void print_filter(const struct stillpoint_hook_filter *f)
{
    if (f->url)
        print_line("%10s: url=%s", "Filter", f->url);
    if (f->function)
        print_line("%10s: function=%s", "Filter", f->function);
    if (f->line_from != 0 || f->line_to != 0)
        print_line("%10s: line=%" PRIu32 "-%" PRIu32, "Filter", f->line_from, f->line_to);
    if (f->condition)
        print_line("%10s: if=%s", "Filter", f->condition);
    if (f->skip != 0)
        print_line("%10s: skip=%" PRIu64, "Filter", f->skip);
    if (f->count != 0)
        print_line("%10s: count=%" PRIu64, "Filter", f->count);
    if (f->thrown)
        print_line("%10s: thrown=yes", "Filter");
    if (f->wasm)
        print_line("%10s: wasm=yes", "Filter");
}

static void print_bound(const struct stillpoint_bound *b)
{
    struct print_text text = {0};
    struct stillpoint_location place = {.url = b->url,
                                        .line = b->line,
                                        .column = b->column,
                                        .has_offset = b->has_offset,
                                        .offset = b->offset};
    show_add_place(&text, &place, "?");
    print_line("%10s: VM %" PRIu64 ": %s", "Place", b->vm,
               b->error     ? b->error
               : b->pending ? "no loaded source has this place"
                            : text.text);
}

void hook_print(const struct stillpoint_hook *h)
{
    print_line("hook %" PRIu64 ": %s", h->id, stillpoint_hook_kind_text(h->kind));
    print_line("%10s: %s (%" PRIu64 ")", "Debugger", h->debugger_name, h->debugger);
    print_line("%10s: %s", "Target", h->target);
    if (h->realm != 0)
        print_line("%10s: %" PRIu64, "Realm", h->realm);
    print_line("%10s: %s", "Since", print_time(h->since_us));
    print_line("%10s: %" PRIu64 ", %" PRIu64 " dropped%s", "Hits", h->hits, h->dropped,
               h->spent ? ", spent" : "");
    print_line("%10s: %" PRIu32, "VMs", h->vms);
    print_line("%10s: %s", "Stops", stillpoint_suspend_text(h->suspend));
    if (h->kind == STILLPOINT_HOOK_STEP)
        print_line("%10s: each %s", "Steps", stillpoint_granularity_text(h->granularity));
    print_filter(&h->filter);
    if (h->budget.per_second != 0)
        print_line("%10s: %" PRIu32 "/s", "Budget", h->budget.per_second);
    if (h->budget.total != 0)
        print_line("%10s: %" PRIu64 " in all", "Budget", h->budget.total);
    if (h->capture.stack_depth != 0)
        print_line("%10s: stack=%" PRIu32, "Capture", h->capture.stack_depth);
    if (h->capture.arguments)
        print_line("%10s: args", "Capture");
    for (size_t i = 0; i < h->capture.n_expressions; i++)
        print_line("%10s: expr=%s", "Capture", h->capture.expressions[i]);
    if (h->log)
        print_line("%10s: %s", "Log", h->log);
    if (h->weak)
        print_line("%10s: it does not keep its debugger", "Weak");
    if (h->note[0])
        print_line("%10s: %s", "Note", h->note);
    for (size_t i = 0; i < h->n_bound; i++)
        print_bound(&h->bound[i]);
}

/* ---- ending them */

int hook_remove(struct cli *cli, const uint64_t *hooks, size_t n, const char *debugger)
{
    struct stillpoint_hooks removed;
    int r = stillpoint_hook_remove(cli->sp, hooks, n, n > 0 ? NULL : debugger, &removed);
    if (r != 0 && hooks && n == 1)
        return cli_fail_call(cli, r, "remove hook %" PRIu64, hooks[0]);
    if (r != 0)
        return cli_fail_call(cli, r, "remove hooks");
    if (cli->format == CLI_NAME)
        for (size_t i = 0; i < removed.n; i++)
            print_line("%" PRIu64, removed.items[i].id);
    else if (cli->format != CLI_TABLE)
        print_json(cli, json_of_hooks(&removed));
    stillpoint_hooks_free(&removed);
    return CLI_OK;
}

/* That of the command line is made on demand: where there is none yet, it has no hooks. */
static bool is_none_yet(const struct cli *cli, int r, const char *debugger)
{
    return r == STILLPOINT_REFUSED && parse_is_cli_debugger(debugger) &&
           stillpoint_error(cli->sp)->code == STILLPOINT_ERROR_NOT_FOUND;
}

/* All of one kind that a debugger has. */
static int remove_kind(struct cli *cli, const char *debugger, enum stillpoint_hook_kind kind)
{
    struct stillpoint_hooks hooks = {0};
    const struct stillpoint_hook_query query = {.debugger = debugger};
    int r = stillpoint_hook_list(cli->sp, &query, &hooks);
    if (r != 0 && !is_none_yet(cli, r, debugger))
        return cli_fail_call(cli, r, "list the hooks of %s", debugger);
    uint64_t *numbers = calloc(hooks.n + 1, sizeof *numbers);
    size_t n = 0;
    for (size_t i = 0; numbers && i < hooks.n; i++)
        if (kind == 0 || hooks.items[i].kind == kind)
            numbers[n++] = hooks.items[i].id;
    stillpoint_hooks_free(&hooks);
    int code = CLI_OK;
    if (!numbers)
        code = cli_fail(cli, CLI_FAILED, "remove hooks: out of memory");
    else if (n > 0)
        code = hook_remove(cli, numbers, n, NULL);
    else if (cli->format == CLI_JSON || cli->format == CLI_JSONL)
        print_json(cli, json_pack("{s:[]}", "hooks"));
    free(numbers);
    return code;
}

int hook_run_remove(struct cli *cli, int argc, char **argv, enum stillpoint_hook_kind kind)
{
    const char *debugger = NULL;
    bool all = false;
    char own[32];
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'a')
            all = true;
        else
            code = options_debugger(cli, "--debugger", optarg, &debugger);
    }
    if (code == 0 && all == (optind < argc))
        code = cli_fail_usage(cli, all ? "either hooks or --all" : "which hook?");
    uint64_t *hooks = calloc((size_t)argc + 1, sizeof *hooks);
    size_t n = all ? 0 : (size_t)(argc - optind);
    if (code == 0)
        code = hooks ? hook_numbers(cli, (int)n, argv + optind, hooks)
                     : cli_fail(cli, CLI_FAILED, "start: out of memory");
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, debugger);
    if (code == 0 && all) {
        snprintf(own, sizeof own, "cli:%" PRIu32, stillpoint_peer(cli->sp)->uid);
        code = remove_kind(cli, debugger ? debugger : own, kind);
    } else if (code == 0) {
        code = hook_remove(cli, hooks, n, NULL);
    }
    free(hooks);
    return code;
}

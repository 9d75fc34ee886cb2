/* logs: the console text that the daemon has kept for a VM. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/select.h"

struct logs {
    struct cli *cli;
    bool follow;
    bool skip_first; /* -n 0: only what comes */
    json_t *records; /* -o json, not following: printed at the end */
    struct stillpoint_log_query query;
    bool waiting;     /* for a page */
    int r;            /* how the last request for one ended */
    bool last, stuck; /* that page was the last; makes no sense */
};

static void print_dropped(struct logs *l, const struct stillpoint_log *page)
{
    uint64_t before = page->n > 0 ? page->records[0].seq : page->next_seq;
    if (l->records)
        json_array_append_new(l->records, json_of_dropped(page->dropped, before));
    else if (l->cli->format == CLI_JSON || l->cli->format == CLI_JSONL)
        print_json_line(json_of_dropped(page->dropped, before));
    else
        cli_say("%" PRIu64 " records before this are gone", page->dropped);
}

static void print_page(struct logs *l, const struct stillpoint_log *page)
{
    if (page->dropped > 0)
        print_dropped(l, page);
    for (size_t i = 0; i < page->n; i++) {
        const struct stillpoint_log_record *r = &page->records[i];
        if (l->records)
            json_array_append_new(l->records, json_of_log_record(r));
        else if (l->cli->format == CLI_JSON || l->cli->format == CLI_JSONL)
            print_json_line(json_of_log_record(r));
        else
            print_bytes(r->data, r->bytes);
    }
}

static void take_page(struct logs *l, const struct stillpoint_log *page)
{
    struct stillpoint_log_query *query = &l->query;
    if (!l->skip_first)
        print_page(l, page);
    l->skip_first = false;
    /* The end: nothing more will come, or nothing more is there and we do not follow. */
    l->last = page->ended || (!l->follow && page->n == 0);
    l->stuck = page->n > 0 && page->next_seq <= query->from_seq && !l->last;
    query->from_seq = page->next_seq < query->from_seq ? 1 : page->next_seq;
    query->last_n = 0;
    query->wait = l->follow;
}

static void page_arrived(struct stillpoint *sp, int r, const struct stillpoint_log *page,
                         void *data)
{
    struct logs *l = data;
    (void)sp;
    l->waiting = false;
    l->r = r;
    if (r == 0)
        take_page(l, page);
}

/* CLI_READER_GONE, or as stillpoint_vm_log(). */
static int read_page(struct logs *l)
{
    l->waiting = true;
    int r = stillpoint_vm_log_async(l->cli->sp, &l->query, page_arrived, l);
    while (r == 0 && l->waiting)
        r = cli_wait(l->cli);
    return r == 0 ? l->r : r;
}

static int read_pages(struct logs *l)
{
    int r = 0;
    while (r == 0 && !l->last && !l->stuck) {
        r = read_page(l);
        if (r == 0 && !print_flush())
            r = CLI_READER_GONE;
        if (l->follow && cli_reconnect(l->cli, r)) {
            l->query.wait = false; /* it may know of fewer records than there were */
            r = 0;
        }
    }
    if (r == CLI_READER_GONE)
        return CLI_OK; /* print_end() knows whether that is an error */
    if (r != 0)
        return cli_fail_call(l->cli, r, "read the log of %s", l->query.vm);
    return l->stuck ? cli_fail(l->cli, CLI_FAILED, "read the log of %s: the daemon repeats itself",
                               l->query.vm)
                    : CLI_OK;
}

static int run_logs(struct cli *cli, int argc, char **argv)
{
    struct logs l = {.cli = cli};
    char vm[STILLPOINT_NAME_BYTES + 1];
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'f')
            l.follow = true;
        else {
            code = options_count(cli, "-n", optarg, &l.query.last_n);
            l.skip_first = l.query.last_n == 0;
        }
    }
    if (code == 0 && argc - optind != 1)
        code = cli_fail_usage(cli, "it takes one VM");
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = select_vm(cli, argv[optind], true, vm);
    if (code != 0)
        return code;
    if (l.skip_first)
        l.query.last_n = 1;
    l.query.vm = vm;
    l.records = cli->format == CLI_JSON && !l.follow ? json_array() : NULL;
    code = read_pages(&l);
    /* A page that is still waited for ends with the connection, and looks for `l` then. */
    cli->sp = stillpoint_free(cli->sp);
    if (l.records && code == 0)
        print_json(cli, json_incref(l.records));
    json_decref(l.records);
    return code;
}

const struct verb verb_logs = {
    .name = "logs",
    .synopsis = "[-f] [-n N] VM",
    .summary = "what a VM has written to its console",
    .help = "  -f, --follow           go on until the VM has ended\n"
            "  -n, --lines N          only the last N records (one for each console call)\n"
            "-o json and jsonl print records; with -f both are one record a line.\n",
    .shorts = "fn:",
    .longs = (const struct option[]){{"follow", no_argument, NULL, 'f'},
                                     {"lines", required_argument, NULL, 'n'},
                                     {0}},
    .run = run_logs,
};

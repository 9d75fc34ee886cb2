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

/* The end: nothing more will come, or nothing more is there and we do not follow. */
static bool is_last(const struct logs *l, const struct stillpoint_log *page)
{
    return page->ended || (!l->follow && page->n == 0);
}

static int read_pages(struct logs *l, struct stillpoint_log_query *query)
{
    struct stillpoint_log page;
    for (bool last = false; !last;) {
        int r = stillpoint_vm_log(l->cli->sp, query, &page);
        if (r != 0 && l->follow && cli_reconnect(l->cli, r)) {
            query->wait = false; /* it may know of fewer records than there were */
            continue;
        }
        if (r != 0)
            return cli_fail_call(l->cli, r, "read the log of %s", query->vm);
        if (!l->skip_first)
            print_page(l, &page);
        l->skip_first = false;
        bool stuck = page.n > 0 && page.next_seq <= query->from_seq;
        last = is_last(l, &page);
        query->from_seq = page.next_seq < query->from_seq ? 1 : page.next_seq;
        query->last_n = 0;
        query->wait = l->follow;
        stillpoint_log_free(&page);
        if (stuck && !last)
            return cli_fail(l->cli, CLI_FAILED, "read the log of %s: the daemon repeats itself",
                            query->vm);
        if (!print_flush())
            return CLI_OK; /* print_end() knows whether that is an error */
    }
    return CLI_OK;
}

static int run_logs(struct cli *cli, int argc, char **argv)
{
    struct logs l = {.cli = cli};
    struct stillpoint_log_query query = {0};
    char vm[STILLPOINT_NAME_BYTES + 1];
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'f')
            l.follow = true;
        else {
            code = options_count(cli, "-n", optarg, &query.last_n);
            l.skip_first = query.last_n == 0;
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
        query.last_n = 1;
    query.vm = vm;
    l.records = cli->format == CLI_JSON && !l.follow ? json_array() : NULL;
    code = read_pages(&l, &query);
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

/* events: what happened in the daemon, and what happens. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"

struct events {
    struct cli *cli;
    bool follow;
    uint64_t since_us; /* 0: all */
    json_t *list;      /* -o json, not following: printed at the end */
    bool reader_gone;
    uint64_t last_seq; /* that was seen, or was there before we looked */
};

static void print_fields(char *line, size_t size, const struct stillpoint_event *e)
{
    size_t at = 0;
    line[0] = '\0';
#define FIELD(condition, ...)                                                                      \
    if ((condition) && at < size)                                                                  \
    at += (size_t)snprintf(line + at, size - at, __VA_ARGS__)
    FIELD(e->vm != 0, " vm=%" PRIu64, e->vm);
    bool of_debugger = e->kind == STILLPOINT_EVENT_LEASE_CHANGED ||
                       e->kind == STILLPOINT_EVENT_HOOKS_CHANGED ||
                       e->kind == STILLPOINT_EVENT_DEBUGGER_CLOSED;
    bool of_unit = e->kind == STILLPOINT_EVENT_UNIT_CHANGED;
    FIELD(e->name, " %s=%s", of_debugger ? "debugger" : of_unit ? "unit" : "name", e->name);
    FIELD(e->world, " world=%s", e->world);
    FIELD(e->ticket != 0, " ticket=%" PRIu64, e->ticket);
    FIELD(e->has_uid, " uid=%" PRIu32, e->uid);
    FIELD(e->exit, " exit=%s:%" PRIu32, stillpoint_exit_reason_text(e->exit->reason),
          e->exit->code);
    FIELD(e->detail, " %s", e->detail);
    FIELD(e->json, " %s", e->json);
#undef FIELD
}

static void print_event_line(const struct stillpoint_event *e)
{
    char fields[2048];
    if (e->dropped > 0) {
        print_line("%" PRIu64 " events before %" PRIu64 " are gone", e->dropped, e->before_seq);
        return;
    }
    print_fields(fields, sizeof fields, e);
    print_line("%8" PRIu64 " %s %-14s%s", e->seq, print_time(e->time_us),
               stillpoint_event_kind_text(e->kind), fields);
}

static void event_arrived(struct stillpoint *sp, const struct stillpoint_event *e, void *data)
{
    struct events *events = data;
    (void)sp;
    events->last_seq = e->dropped > 0 ? e->before_seq - 1 : e->seq;
    if (e->dropped == 0 && e->time_us < events->since_us)
        return;
    switch (events->cli->format) {
    case CLI_TABLE:
        print_event_line(e);
        break;
    case CLI_NAME:
        if (e->dropped == 0)
            print_line("%s", stillpoint_event_kind_text(e->kind));
        break;
    case CLI_JSON:
    case CLI_JSONL:
        if (events->list)
            json_array_append_new(events->list, json_of_event(e));
        else
            print_json_line(json_of_event(e));
        break;
    }
    if (events->follow && !print_flush())
        events->reader_gone = true;
}

static uint64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* A number is a sequence number, anything else how long ago. */
static int parse_since(struct events *e, struct stillpoint_subscription *s, const char *text)
{
    uint64_t ago, now = wall_us();
    s->replay = true;
    if (parse_u64(text, &s->since_seq)) {
        /* The daemon counts from the last one that was seen. */
        s->since_seq -= s->since_seq > 0;
        return 0;
    }
    int code = options_duration(e->cli, "--since", text, 0, &ago);
    if (code == 0)
        e->since_us = ago < now ? now - ago : 0;
    return code;
}

static int subscribe(struct events *e, const struct stillpoint_subscription *s)
{
    uint64_t last_seq;
    const struct stillpoint_handlers handlers = {.event = event_arrived, .data = e};
    stillpoint_set_handlers(e->cli->sp, &handlers);
    int r = stillpoint_subscribe(e->cli->sp, s, &last_seq);
    /* One that knows of less has taken over from nobody: all of it is new. */
    bool is_another = r == 0 && last_seq < e->last_seq;
    if (is_another)
        e->last_seq = 0;
    if (is_another)
        return subscribe(e, &(const struct stillpoint_subscription){.replay = true});
    if (r == 0 && !s->replay)
        e->last_seq = last_seq;
    return r;
}

static int receive(struct events *e, struct stillpoint_subscription *s)
{
    int r;
    do {
        r = subscribe(e, s);
        while (r == 0 && e->follow && !e->reader_gone)
            r = cli_wait(e->cli);
        s->replay = true;
        s->since_seq = e->last_seq;
    } while (r != 0 && e->follow && cli_reconnect(e->cli, r));
    return r != 0 && r != CLI_READER_GONE ? cli_fail_call(e->cli, r, "follow events") : CLI_OK;
}

static int run_events(struct cli *cli, int argc, char **argv)
{
    struct events e = {.cli = cli};
    struct stillpoint_subscription s = {0};
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'f')
            e.follow = true;
        else
            code = parse_since(&e, &s, optarg);
    }
    if (code == 0 && optind < argc)
        code = cli_fail_usage(cli, "it takes no argument");
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    if (!e.follow)
        s.replay = s.once = true;
    e.list = cli->format == CLI_JSON && !e.follow ? json_array() : NULL;
    code = receive(&e, &s);
    if (e.list && code == 0)
        print_json(cli, json_incref(e.list));
    json_decref(e.list);
    return code;
}

const struct verb verb_events = {
    .name = "events",
    .synopsis = "[--since SEQ|DURATION] [-f]",
    .summary = "what happened, from the events that the daemon keeps",
    .help = "  -f, --follow           go on with what happens; alone: only that\n"
            "      --since SEQ        from this sequence number\n"
            "      --since DURATION   not older than that\n"
            "Where events were lost, a line says how many. With -f, -o json is one event a line.\n",
    .shorts = "f",
    .longs = (const struct option[]){{"follow", no_argument, NULL, 'f'},
                                     {"since", required_argument, NULL, 'S'},
                                     {0}},
    .run = run_events,
};

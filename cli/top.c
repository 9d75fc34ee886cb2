/* top: what VMs do, again and again. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"

/* What one VM was at the last look. */
struct seen {
    uint64_t id, cpu_us, hits;
};

struct top {
    struct cli *cli;
    bool batch;
    uint32_t left; /* looks; 0: no end */
    bool endless;
    uint64_t every_us;
    struct seen *before; /* of the last look, at `before_us` */
    size_t n_before;
    uint64_t before_us;
    /* When worlds have stopped, as far as the daemon remembers. */
    struct stop {
        char world[STILLPOINT_NAME_BYTES + 1];
        uint64_t time_us;
    } * stops;
    size_t n_stops, room;
};

struct row {
    const struct stillpoint_vm *vm;
    double cpu_percent, hits_per_second;
    uint64_t hits;
    uint32_t stops;
};

static uint64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- what is looked at */

static void event_arrived(struct stillpoint *sp, const struct stillpoint_event *e, void *data)
{
    struct top *top = data;
    (void)sp;
    if (e->dropped > 0 || !e->world)
        return;
    if (top->n_stops == top->room) {
        size_t room = top->room ? 2 * top->room : 64;
        struct stop *stops = reallocarray(top->stops, room, sizeof *stops);
        if (!stops)
            return;
        top->stops = stops;
        top->room = room;
    }
    struct stop *s = &top->stops[top->n_stops++];
    snprintf(s->world, sizeof s->world, "%s", e->world);
    s->time_us = e->time_us;
}

static uint32_t count_stops(const struct top *top, const struct stillpoint_vm *vm)
{
    uint32_t n = 0;
    for (size_t i = 0; i < top->n_stops; i++)
        n += strcmp(top->stops[i].world, vm->world) == 0 && top->stops[i].time_us >= vm->started_us;
    return n;
}

static uint64_t count_hits(const struct stillpoint_auditors *auditors, uint64_t vm)
{
    uint64_t n = 0;
    for (size_t i = 0; i < auditors->n; i++)
        for (size_t s = 0; auditors->items[i].vm == vm && s < auditors->items[i].n_serves; s++)
            n += auditors->items[i].serves[s].hits;
    return n;
}

static const struct seen *find_before(const struct top *top, uint64_t id)
{
    for (size_t i = 0; i < top->n_before; i++)
        if (top->before[i].id == id)
            return &top->before[i];
    return NULL;
}

/* Rates are those since the last look, at the first those of its whole life. */
static void fill_row(const struct top *top, struct row *row, uint64_t now_us)
{
    const struct stillpoint_vm *vm = row->vm;
    const struct seen *before = find_before(top, vm->id);
    uint64_t from_us = before ? top->before_us : vm->started_us;
    double span_us = now_us > from_us ? (double)(now_us - from_us) : 1;
    uint64_t cpu_us = before ? before->cpu_us : 0, hits = before ? before->hits : 0;
    row->cpu_percent = vm->cpu_us > cpu_us ? (double)(vm->cpu_us - cpu_us) / span_us * 100 : 0;
    /* Hooks that went took their hits along. */
    row->hits_per_second = row->hits > hits ? (double)(row->hits - hits) / span_us * 1e6 : 0;
    row->stops = count_stops(top, vm);
}

static int by_cpu(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->cpu_percent != y->cpu_percent)
        return x->cpu_percent < y->cpu_percent ? 1 : -1;
    return x->vm->id < y->vm->id ? -1 : x->vm->id > y->vm->id;
}

static void keep_for_next(struct top *top, const struct row *rows, size_t n, uint64_t now_us)
{
    struct seen *seen = calloc(n + 1, sizeof *seen);
    for (size_t i = 0; seen && i < n; i++)
        seen[i] = (struct seen){rows[i].vm->id, rows[i].vm->cpu_us, rows[i].hits};
    free(top->before);
    top->before = seen;
    top->n_before = seen ? n : 0;
    top->before_us = now_us;
}

/* ---- printing */

static json_t *json_of_row(const struct row *r)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:b, s:f, s:o, s:o, s:o, s:o, s:o, s:f}", "vm",
                     json_of_number(r->vm->id), "name", json_of_text(r->vm->name), "world",
                     json_of_text(r->vm->world), "state", stillpoint_vm_state_text(r->vm->state),
                     "held", r->vm->held, "cpu_percent", r->cpu_percent, "cpu_us",
                     json_of_number(r->vm->cpu_us), "memory_bytes",
                     json_of_number(r->vm->memory_bytes), "stops", json_of_number(r->stops),
                     "hooks", json_of_number(r->vm->hooks), "hits", json_of_number(r->hits),
                     "hits_per_second", r->hits_per_second);
}

static void print_rows(const struct cli *cli, const struct row *rows, size_t n)
{
    static const struct print_column columns[] = {
        {"ID", true},  {"NAME", false},  {"WORLD", false}, {"STATE", false}, {"CPU%", true},
        {"CPU", true}, {"MEMORY", true}, {"STOPS", true},  {"HOOKS", true},  {"HITS/s", true},
        {0},
    };
    struct print_table *t = print_table_new(cli, columns);
    for (size_t i = 0; i < n; i++) {
        const struct stillpoint_vm *vm = rows[i].vm;
        print_table_row(t);
        print_table_cell(t, "%" PRIu64, vm->id);
        print_table_cell(t, "%s", vm->name);
        print_table_cell(t, "%s", vm->world);
        print_table_cell(t, "%s%s", stillpoint_vm_state_text(vm->state),
                         vm->frozen ? " (frozen)"
                         : vm->held ? " (held)"
                                    : "");
        print_table_cell(t, "%.1f", rows[i].cpu_percent);
        print_table_cell(t, "%s", print_duration(vm->cpu_us));
        print_table_cell(t, "%s", print_size(vm->memory_bytes));
        print_table_cell(t, "%" PRIu32, rows[i].stops);
        print_table_cell(t, "%" PRIu32, vm->hooks);
        print_table_cell(t, "%.1f", rows[i].hits_per_second);
    }
    print_table_end(t);
}

static void print_look(const struct top *top, const struct row *rows, size_t n)
{
    const struct cli *cli = top->cli;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (cli->format == CLI_NAME)
            print_line("%s", rows[i].vm->name);
        json_array_append_new(list, json_of_row(&rows[i]));
    }
    if (cli->format == CLI_TABLE)
        print_rows(cli, rows, n);
    else if (cli->format != CLI_NAME)
        print_json(cli, json_incref(list));
    json_decref(list);
}

static int look(struct top *top)
{
    struct stillpoint_list all = {0};
    struct stillpoint_vms vms;
    struct stillpoint_auditors auditors;
    struct stillpoint *sp = top->cli->sp;
    int r = stillpoint_vm_list(sp, &all, &vms);
    if (r != 0)
        return cli_fail_call(top->cli, r, "list VMs");
    uint64_t now_us = wall_us();
    r = stillpoint_auditor_list(sp, NULL, &auditors);
    if (r != 0) {
        stillpoint_vms_free(&vms);
        return cli_fail_call(top->cli, r, "list auditors");
    }
    struct row *rows = calloc(vms.n + 1, sizeof *rows);
    for (size_t i = 0; rows && i < vms.n; i++) {
        rows[i] = (struct row){.vm = &vms.items[i], .hits = count_hits(&auditors, vms.items[i].id)};
        fill_row(top, &rows[i], now_us);
    }
    if (rows) {
        qsort(rows, vms.n, sizeof *rows, by_cpu);
        if (!top->batch)
            fputs("\033[H\033[J", stdout);
        print_look(top, rows, vms.n);
        keep_for_next(top, rows, vms.n, now_us);
    }
    int code = rows ? CLI_OK : cli_fail(top->cli, CLI_FAILED, "list VMs: out of memory");
    free(rows);
    stillpoint_auditors_free(&auditors);
    stillpoint_vms_free(&vms);
    return code;
}

/* ---- between two looks */

static uint64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Events are taken meanwhile. 1: it is to end; 0; or the errno with which the connection ended. */
static int pause_between(struct top *top, int signal_fd)
{
    uint64_t end = mono_us() + top->every_us, now;
    while ((now = mono_us()) < end) {
        char key;
        struct pollfd p[] = {
            {.fd = stillpoint_fd(top->cli->sp), .events = stillpoint_poll_events(top->cli->sp)},
            {.fd = signal_fd, .events = POLLIN},
            {.fd = top->batch ? -1 : STDIN_FILENO, .events = POLLIN},
            {.fd = STDOUT_FILENO}, /* whose reader may go */
        };
        if (poll(p, 4, (int)((end - now) / 1000 + 1)) < 0 && errno != EINTR)
            return -errno;
        if (p[1].revents != 0 || p[3].revents != 0)
            return 1;
        if (p[2].revents != 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
            return 1;
        int r = stillpoint_dispatch(top->cli->sp);
        if (r < 0)
            return r;
    }
    return 0;
}

static int looks(struct top *top, int signal_fd)
{
    int code = CLI_OK, r = 0;
    while (code == CLI_OK && r == 0) {
        code = look(top);
        if (!print_flush() || (!top->endless && --top->left == 0))
            return code;
        if (code == CLI_OK)
            r = pause_between(top, signal_fd);
        if (r == 0 && code == CLI_OK && top->batch && top->cli->format == CLI_TABLE)
            print_line("%s", "");
    }
    return r < 0 ? cli_fail_call(top->cli, r, "go on") : code;
}

/* Keys come one by one, and the cursor does not blink in the table. */
static int looks_on_terminal(struct top *top, int signal_fd)
{
    struct termios before, raw;
    bool tty = !top->batch && tcgetattr(STDIN_FILENO, &before) == 0;
    if (tty) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        fputs("\033[?25l", stdout);
    }
    int code = looks(top, signal_fd);
    if (tty) {
        fputs("\033[?25h", stdout);
        fflush(stdout);
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
    return code;
}

static int start(struct top *top)
{
    static const enum stillpoint_event_kind kinds[] = {STILLPOINT_EVENT_WORLD_STOPPED};
    const struct stillpoint_subscription subscription = {
        .replay = true, .kinds = kinds, .n_kinds = 1};
    const struct stillpoint_handlers handlers = {.event = event_arrived, .data = top};
    sigset_t signals;
    uint64_t last_seq;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    int signal_fd = -1;
    if (sigprocmask(SIG_BLOCK, &signals, NULL) == 0)
        signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0)
        return cli_fail(top->cli, CLI_FAILED, "take signals: %s", strerror(errno));
    stillpoint_set_handlers(top->cli->sp, &handlers);
    int r = stillpoint_subscribe(top->cli->sp, &subscription, &last_seq);
    int code =
        r != 0 ? cli_fail_call(top->cli, r, "follow events") : looks_on_terminal(top, signal_fd);
    close(signal_fd);
    return code;
}

static int take_looks(const struct cli *cli, struct top *top)
{
    int code = options_count(cli, "-n", optarg, &top->left);
    return code == 0 && top->left == 0 ? cli_fail_usage(cli, "-n: 0 looks are none") : code;
}

static int run_top(struct cli *cli, int argc, char **argv)
{
    struct top top = {.cli = cli, .every_us = 2000000};
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'b')
            top.batch = true;
        else if (c == 'n')
            code = take_looks(cli, &top);
        else if (strspn(optarg, "0123456789.") == strlen(optarg) && strlen(optarg) < 16) {
            char seconds[20];
            snprintf(seconds, sizeof seconds, "%ss", optarg);
            code = options_duration(cli, "-d", seconds, 10000, &top.every_us);
        } else {
            code = options_duration(cli, "-d", optarg, 10000, &top.every_us);
        }
    }
    if (code == 0 && optind < argc)
        code = cli_fail_usage(cli, "it takes no argument");
    if (code == 0)
        code = cli_connect(cli);
    if (code != 0)
        return code;
    top.batch |= cli->format != CLI_TABLE || !isatty(STDOUT_FILENO);
    if (top.left == 0 && cli->format != CLI_TABLE)
        top.left = 1;
    top.endless = top.left == 0;
    code = start(&top);
    free(top.before);
    free(top.stops);
    return code;
}

const struct verb verb_top = {
    .name = "top",
    .synopsis = "[-b] [-n N] [-d SECONDS]",
    .summary = "what the VMs do, again and again",
    .help =
        "  -b, --batch            plain tables, one after the other, for scripts\n"
        "  -n, --looks N          so many, then end; without it there is no end: q, Ctrl-C and\n"
        "                         SIGTERM end it, or that nobody reads any more; exit code 0\n"
        "  -d, --delay SECONDS    from one to the next (2)\n"
        "CPU% and HITS/s are since the look before, in the first since the VM's start. STOPS\n"
        "are those of its world since then, as far as the daemon remembers. With -o json it\n"
        "looks once, unless -n says otherwise.\n",
    .shorts = "bn:d:",
    .longs = (const struct option[]){{"batch", no_argument, NULL, 'b'},
                                     {"looks", required_argument, NULL, 'n'},
                                     {"delay", required_argument, NULL, 'd'},
                                     {0}},
    .run = run_top,
};

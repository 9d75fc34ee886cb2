/* audit add: hooks, and in the foreground what they see until a signal takes them back. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/debugger.h"
#include "cli/hits.h"
#include "cli/hook.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/step.h"

enum {
    OPTION_ON = OPTIONS_OWN,
    OPTION_FILTER,
    OPTION_BUDGET,
    OPTION_CAPTURE,
    OPTION_STOP,
    OPTION_KEEP,
    OPTION_NOTE,
    OPTION_DEBUGGER,
    OPTION_WORLD,
    OPTION_ENGINE,
    OPTION_GRANULARITY,
    OPTION_REALM,
    OPTION_FRAME,
    OPTION_WEAK,
    OPTION_WAIT,
    OPTION_DEADLINE,
};

struct add {
    struct stillpoint_interest interest;
    enum stillpoint_hook_kind kinds[STILLPOINT_HOOK_KINDS];
    const char **expressions; /* room for one of each argument; point into argv */
    bool keep;
};

/* ---- options */

static enum stillpoint_hook_kind kind_of(const char *word, size_t n)
{
    for (int k = STILLPOINT_HOOK_NEW_GLOBAL; k <= STILLPOINT_HOOK_BREAKPOINT; k++) {
        const char *text = stillpoint_hook_kind_text((enum stillpoint_hook_kind)k);
        if (strlen(text) == n && memcmp(text, word, n) == 0)
            return (enum stillpoint_hook_kind)k;
    }
    return 0;
}

static bool has_kind(const struct add *a, enum stillpoint_hook_kind kind)
{
    for (size_t i = 0; i < a->interest.n_kinds; i++)
        if (a->kinds[i] == kind)
            return true;
    return false;
}

static int take_kinds(const struct cli *cli, struct add *a)
{
    for (const char *word = optarg; word;) {
        size_t n = strcspn(word, ",");
        const char *next = word[n] ? word + n + 1 : NULL;
        enum stillpoint_hook_kind kind = kind_of(word, n);
        if (kind == STILLPOINT_HOOK_BREAKPOINT)
            return cli_fail_usage(cli, "--on breakpoint: where? (use 'stillctl break add')");
        if (kind == 0)
            return cli_fail_usage(cli,
                                  "--on cannot be '%.*s': new-global, new-script, enter-frame, "
                                  "pop, step, debugger-statement, exception-unwind, new-promise or "
                                  "promise-settled",
                                  (int)n, word);
        if (!has_kind(a, kind))
            a->kinds[a->interest.n_kinds++] = kind;
        word = next;
    }
    return 0;
}

/* There is no hook for what these are not. */
static bool parse_yes(const char *word, bool *ret)
{
    *ret = strcmp(word, "yes") == 0;
    return *ret;
}

static int take_filter(const struct cli *cli, struct stillpoint_hook_filter *f)
{
    const char *value = strchr(optarg, '=');
    size_t n = value ? (size_t)(value - optarg) : 0;
    bool fine = true;
#define KEY(word) (n == sizeof(word) - 1 && memcmp(optarg, word, n) == 0)
    if (!value || value[1] == '\0')
        return cli_fail_usage(cli, "--filter: '%s' is not KEY=VALUE", optarg);
    value++;
    if (KEY("url"))
        f->url = value;
    else if (KEY("function"))
        f->function = value;
    else if (KEY("line"))
        fine = parse_lines(value, &f->line_from, &f->line_to);
    else if (KEY("if"))
        f->condition = value;
    else if (KEY("skip"))
        fine = parse_u64(value, &f->skip);
    else if (KEY("count"))
        fine = parse_u64(value, &f->count);
    else if (KEY("thrown"))
        fine = parse_yes(value, &f->thrown);
    else if (KEY("wasm"))
        fine = parse_yes(value, &f->wasm);
    else
        return cli_fail_usage(cli,
                              "--filter: no such key: '%.*s': url, function, line, if, skip, "
                              "count, thrown or wasm",
                              (int)n, optarg);
    return fine ? 0
                : cli_fail_usage(cli, "--filter %.*s: it cannot be '%s'", (int)n, optarg, value);
#undef KEY
}

/* One of "100/s", "total=N", "time=DURATION" and "bytes=SIZE", the latter two for each second. */
static bool parse_budget(const char *word, struct stillpoint_hook_budget *b)
{
    uint64_t per_second;
    char *slash = strchr(word, '/');
    if (strncmp(word, "total=", 6) == 0)
        return parse_u64(word + 6, &b->total);
    if (strncmp(word, "time=", 5) == 0)
        return parse_duration(word + 5, &b->capture_us);
    if (strncmp(word, "bytes=", 6) == 0)
        return parse_size(word + 6, &b->capture_bytes);
    if (!slash || strcmp(slash, "/s") != 0)
        return false;
    *slash = '\0';
    bool fine = parse_u64(word, &per_second) && per_second <= UINT32_MAX;
    *slash = '/';
    b->has_per_second = fine;
    b->per_second = fine ? (uint32_t)per_second : 0;
    return fine;
}

static int take_budget(const struct cli *cli, struct stillpoint_hook_budget *b)
{
    char *word = optarg, *comma;
    do {
        comma = strchr(word, ',');
        if (comma)
            *comma = '\0';
        if (!parse_budget(word, b))
            return cli_fail_usage(cli, "--budget cannot be '%s': %s", word,
                                  "N/s, total=N, time=DURATION or bytes=SIZE");
        word = comma ? comma + 1 : word;
    } while (comma);
    return 0;
}

/* "expr=" takes all that follows: expressions have commas. */
static int take_capture(const struct cli *cli, struct add *a)
{
    struct stillpoint_hook_capture *c = &a->interest.capture;
    for (char *word = optarg; word;) {
        char *comma = strncmp(word, "expr=", 5) == 0 ? NULL : strchr(word, ',');
        uint64_t depth;
        if (comma)
            *comma = '\0';
        if (strncmp(word, "expr=", 5) == 0 && word[5] != '\0')
            a->expressions[c->n_expressions++] = word + 5;
        else if (strcmp(word, "args") == 0)
            c->arguments = true;
        else if (strcmp(word, "no-value") == 0)
            c->no_value = true;
        else if (strncmp(word, "stack=", 6) == 0 && parse_u64(word + 6, &depth) && depth <= 64)
            c->stack_depth = (uint32_t)depth;
        else
            return cli_fail_usage(cli, "--capture cannot be '%s': %s", word,
                                  "stack=N (64 at most), args, no-value or expr=EXPR");
        word = comma ? comma + 1 : NULL;
    }
    c->expressions = a->expressions;
    return 0;
}

static int take_place(struct cli *cli, int c, struct stillpoint_interest *i)
{
    switch (c) {
    case OPTION_WORLD:
        return options_name(cli, "--world", optarg, &i->world);
    case OPTION_ENGINE:
        return options_name(cli, "--engine", optarg, &i->engine);
    case OPTION_REALM:
        if (parse_u64(optarg, &i->realm) && i->realm != 0)
            return 0;
        return cli_fail_usage(cli, "--realm: '%s' is no number of a realm", optarg);
    case OPTION_FRAME:
        i->one_frame = true;
        return options_count(cli, "--frame", optarg, &i->frame);
    case OPTION_WAIT:
        return options_duration(cli, "--wait", optarg, 0, &i->wait_us);
    case OPTION_DEADLINE:
        return options_duration(cli, "--deadline", optarg, 1, &i->deadline_us);
    default:
        return OPTIONS_DONE;
    }
}

static int take_option(struct cli *cli, int c, struct add *a)
{
    struct stillpoint_interest *i = &a->interest;
    switch (c) {
    case OPTION_ON:
        return take_kinds(cli, a);
    case OPTION_FILTER:
        return take_filter(cli, &i->filter);
    case OPTION_BUDGET:
        return take_budget(cli, &i->budget);
    case OPTION_CAPTURE:
        return take_capture(cli, a);
    case OPTION_STOP:
        return hook_parse_suspend(cli, optarg, &i->suspend);
    case OPTION_KEEP:
        a->keep = true;
        return 0;
    case OPTION_NOTE:
        i->note = optarg;
        return 0;
    case OPTION_DEBUGGER:
        return options_debugger(cli, "--debugger", optarg, &i->debugger);
    case OPTION_GRANULARITY:
        return step_parse_granularity(cli, optarg, &i->granularity);
    case OPTION_WEAK:
        i->weak = true;
        return 0;
    default:
        return take_place(cli, c, i);
    }
}

/* What does not go together. */
static int check(const struct cli *cli, const struct add *a)
{
    const struct stillpoint_interest *i = &a->interest;
    if (i->n_kinds == 0)
        return cli_fail_usage(cli, "what is to be observed? (--on)");
    if (i->granularity != 0 && !has_kind(a, STILLPOINT_HOOK_STEP))
        return cli_fail_usage(cli, "--granularity is for --on step");
    if (i->weak && !has_kind(a, STILLPOINT_HOOK_NEW_GLOBAL))
        return cli_fail_usage(cli, "--weak is for --on new-global");
    if ((i->realm != 0 || i->one_frame) && !i->vm)
        return cli_fail_usage(cli, "--realm and --frame are of one VM");
    for (size_t k = 0; i->one_frame && k < i->n_kinds; k++)
        if (a->kinds[k] != STILLPOINT_HOOK_POP && a->kinds[k] != STILLPOINT_HOOK_STEP)
            return cli_fail_usage(cli, "--frame is for --on pop and step");
    return 0;
}

/* ---- in the foreground */

struct watch {
    struct hits hits;
    const struct stillpoint_hooks *hooks;
    struct stillpoint_hits_query query;
    bool waiting;     /* for a page */
    int r;            /* how the last request for one ended */
    bool over;        /* the debugger has gone, or our reader */
    bool look;        /* whether hooks of ours are left is to be seen */
    bool look_always; /* after each page: they can be used up */
};

static bool is_ours(const struct watch *w, const struct stillpoint_hit *hit)
{
    for (size_t i = 0; i < w->hooks->n; i++)
        if (w->hooks->items[i].id == hit->hook)
            return true;
    return hit->dropped > 0;
}

static bool is_new(const struct watch *w, const struct stillpoint_hit *hit)
{
    return hit->dropped > 0 ? hit->before_seq > w->query.from_seq : hit->seq >= w->query.from_seq;
}

static void take_page(struct watch *w, const struct stillpoint_hits *page)
{
    /* At the end two pages were asked for from the same place: the one that was waited for, too. */
    for (size_t i = 0; i < page->n; i++)
        if (is_ours(w, &page->items[i]) && is_new(w, &page->items[i]))
            hits_print(&w->hits, &page->items[i]);
    if (page->next_seq > w->query.from_seq)
        w->query.from_seq = page->next_seq;
    w->look |= w->look_always;
    w->over |= page->ended || !print_flush();
}

static void page_arrived(struct stillpoint *sp, int r, const struct stillpoint_hits *page,
                         void *data)
{
    struct watch *w = data;
    (void)sp;
    w->waiting = false;
    w->r = r;
    if (r == 0)
        take_page(w, page);
}

static void event_arrived(struct stillpoint *sp, const struct stillpoint_event *event, void *data)
{
    struct watch *w = data;
    (void)sp;
    (void)event;
    w->look = true;
}

/* Whether any hook of ours can still fire. What cannot be asked counts as yes. */
static bool is_any_left(struct watch *w)
{
    struct stillpoint_hooks hooks;
    const struct stillpoint_hook_query query = {.debugger = w->hits.debugger};
    struct stillpoint *sp = w->hits.cli->sp;
    int r = stillpoint_hook_list(sp, &query, &hooks);
    if (r != 0)
        return r != STILLPOINT_REFUSED || stillpoint_error(sp)->code != STILLPOINT_ERROR_NOT_FOUND;
    bool left = false;
    for (size_t i = 0; i < hooks.n; i++)
        for (size_t k = 0; k < w->hooks->n; k++)
            left |= hooks.items[i].id == w->hooks->items[k].id && !hooks.items[i].spent;
    stillpoint_hooks_free(&hooks);
    return left;
}

/* What is there already; a debugger that has gone has nothing. */
static void drain(struct watch *w)
{
    struct stillpoint_hits page;
    bool more = true;
    w->query.wait = false;
    while (more && !w->over && stillpoint_hits_read(w->hits.cli->sp, &w->query, &page) == 0) {
        more = page.n > 0;
        take_page(w, &page);
        stillpoint_hits_free(&page);
    }
}

/* The signal that came (0: none), or the errno with which the connection ended. */
static int wait_once(struct watch *w, int signal_fd)
{
    struct stillpoint *sp = w->hits.cli->sp;
    struct signalfd_siginfo info;
    struct pollfd p[] = {
        {.fd = stillpoint_fd(sp), .events = stillpoint_poll_events(sp)},
        {.fd = signal_fd, .events = POLLIN},
        {.fd = STDOUT_FILENO}, /* whose reader may go */
    };
    if (poll(p, 3, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    w->over |= p[2].revents != 0;
    if (read(signal_fd, &info, sizeof info) == sizeof info)
        return (int)info.ssi_signo;
    return stillpoint_dispatch(sp);
}

/* Until a signal comes, or nothing more can: 0; or negative errno or STILLPOINT_REFUSED. */
static int watch_hits(struct watch *w, int signal_fd)
{
    struct stillpoint *sp = w->hits.cli->sp;
    int r = 0, came = 0;
    while (r == 0 && came == 0 && !w->over) {
        if (w->look) {
            w->look = false;
            if (!is_any_left(w))
                break;
        }
        if (!w->waiting) {
            w->waiting = true;
            r = stillpoint_hits_read_async(sp, &w->query, page_arrived, w);
        }
        if (r == 0)
            came = wait_once(w, signal_fd);
        if (came < 0)
            return came;
        if (r == 0 && !w->waiting)
            r = w->r;
    }
    return r;
}

static void remove_ours(const struct cli *cli, const struct stillpoint_hooks *hooks)
{
    struct stillpoint_hooks removed;
    uint64_t numbers[STILLPOINT_HOOK_KINDS];
    size_t n = 0;
    for (size_t i = 0; i < hooks->n && n < STILLPOINT_HOOK_KINDS; i++)
        numbers[n++] = hooks->items[i].id;
    /* Those that have ended by themselves are no failure. */
    if (n > 0 && stillpoint_hook_remove(cli->sp, numbers, n, NULL, &removed) == 0)
        stillpoint_hooks_free(&removed);
}

static int watch(struct cli *cli, const struct add *a, const struct stillpoint_hooks *hooks,
                 uint64_t from_seq, int signal_fd)
{
    static const enum stillpoint_event_kind kinds[] = {STILLPOINT_EVENT_VM_ENDED,
                                                       STILLPOINT_EVENT_HOOKS_CHANGED};
    const struct stillpoint_subscription subscription = {.kinds = kinds, .n_kinds = 2};
    struct watch w = {.hits = {.cli = cli}, .hooks = hooks, .look = true};
    const struct stillpoint_handlers handlers = {.event = event_arrived, .data = &w};
    uint64_t last_seq;
    snprintf(w.hits.debugger, sizeof w.hits.debugger, "%s",
             hooks->n > 0 ? hooks->items[0].debugger_name : "");
    w.query = (struct stillpoint_hits_query){
        .debugger = w.hits.debugger, .from_seq = from_seq, .wait = true};
    w.look_always = a->interest.filter.count != 0 || a->interest.budget.total != 0;
    stillpoint_set_handlers(cli->sp, &handlers);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "observing; Ctrl-C ends it\n");
    int r = stillpoint_subscribe(cli->sp, &subscription, &last_seq);
    if (r == 0)
        r = watch_hits(&w, signal_fd);
    if (r == STILLPOINT_REFUSED && stillpoint_error(cli->sp)->code == STILLPOINT_ERROR_NOT_FOUND)
        r = 0; /* the debugger ended with its last hook */
    int code = r != 0 ? cli_fail_call(cli, r, "read the hits of %s", w.hits.debugger) : CLI_OK;
    if (r >= 0) {
        remove_ours(cli, hooks);
        drain(&w);
    }
    /* A page that is still waited for ends with the connection, and looks for `w` then. */
    cli->sp = stillpoint_free(cli->sp);
    return code;
}

/* ---- the verb */

/* Where the hits that are to come will start. */
static int read_cursor(struct cli *cli, const char *debugger, uint64_t *ret_seq)
{
    const struct stillpoint_hits_query query = {.debugger = debugger, .from_now = true};
    struct stillpoint_hits page;
    int r = stillpoint_hits_read(cli->sp, &query, &page);
    *ret_seq = 0;
    if (r == STILLPOINT_REFUSED && stillpoint_error(cli->sp)->code == STILLPOINT_ERROR_NOT_FOUND)
        return 0; /* there is no such debugger yet: all of its hits */
    if (r != 0)
        return cli_fail_call(cli, r, "read hits");
    *ret_seq = page.next_seq;
    stillpoint_hits_free(&page);
    return 0;
}

static int add_hooks(struct cli *cli, struct add *a, const char *where)
{
    struct stillpoint_hooks hooks;
    uint64_t from_seq = 0;
    int signal_fd = a->keep ? 0 : cli_take_signals(), code = 0;
    if (signal_fd < 0)
        return cli_fail(cli, CLI_FAILED, "take signals: %s", strerror(-signal_fd));
    if (!a->keep)
        code = read_cursor(cli, a->interest.debugger, &from_seq);
    if (code == 0) {
        int r = stillpoint_hook_add(cli->sp, &a->interest, &hooks);
        code = r != 0 ? cli_fail_call(cli, r, "observe %s", where) : 0;
    }
    if (code == 0 && a->keep)
        hook_print_added(cli, &hooks);
    else if (code == 0)
        code = watch(cli, a, &hooks, from_seq, signal_fd);
    else
        hooks = (struct stillpoint_hooks){0};
    stillpoint_hooks_free(&hooks);
    if (!a->keep)
        close(signal_fd);
    return code;
}

/* 0, OPTIONS_DONE or an exit code. */
static int parse_add(struct cli *cli, int argc, char **argv, struct add *a)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1)
        code = c == OPTIONS_DONE ? c : take_option(cli, c, a);
    if (code == 0 && argc - optind > 1)
        code = cli_fail_usage(cli, "it takes one name, id or glob");
    if (code == 0)
        code = hook_place(cli, optind < argc ? argv[optind] : NULL, &a->interest);
    if (code == 0)
        code = check(cli, a);
    return code;
}

static int run_add(struct cli *cli, int argc, char **argv)
{
    struct add a = {.expressions = calloc((size_t)argc + 1, sizeof *a.expressions)};
    a.interest.kinds = a.kinds;
    int code = a.expressions ? parse_add(cli, argc, argv, &a)
                             : cli_fail(cli, CLI_FAILED, "start: out of memory");
    if (code == OPTIONS_DONE) {
        free(a.expressions);
        return cli->exit_code;
    }
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0 && a.keep && a.interest.weak)
        code = debugger_require(cli, a.interest.debugger, "a weak hook does not keep it");
    if (code == 0)
        code = debugger_use_or_make(cli, a.interest.debugger);
    if (code == 0)
        code = add_hooks(cli, &a, optind < argc ? argv[optind] : "that");
    free(a.expressions);
    return code;
}

const struct verb verb_audit_add = {
    .name = "audit add",
    .synopsis = "SELECTOR --on KIND[,KIND…] [OPTION…]",
    .summary = "observe what VMs do",
    .help =
        "SELECTOR is a VM's name or id, and the hooks end with it; or a glob, and they are set in\n"
        "later VMs too. Hits are printed until Ctrl-C or SIGTERM, which take the hooks back.\n\n"
        "      --on KIND          new-global, new-script, enter-frame, pop, step,\n"
        "                         debugger-statement, exception-unwind, new-promise or\n"
        "                         promise-settled; several with commas\n"
        "      --filter KEY=VALUE only hits with this; repeatable: url=GLOB, function=GLOB,\n"
        "                         line=A-B, if=EXPR, skip=N, count=N; thrown=yes: of\n"
        "                         exceptions only where they are thrown; wasm=yes\n"
        "      --budget N/s       drop, and count, what is more (1000/s); and total=N,\n"
        "                         time=DURATION, bytes=SIZE of captures per second\n"
        "      --capture WHAT     stack=N, args, no-value, expr=EXPR (to its end); repeatable\n"
        "      --stop WHAT        the world, vm, or none (the default)\n"
        "      --keep             print the hooks' ids and leave them there\n"
        "      --note TEXT        what they are for\n"
        "      --debugger NAME    on behalf of this debugger, made if there is none (cli:UID)\n"
        "      --world W          with a glob: only in this world; without SELECTOR: all of it\n"
        "      --engine ENGINE    the same for an engine\n"
        "      --granularity WHAT of steps: statement (the default) or op: each operation\n"
        "      --realm N          only this realm of the VM\n"
        "      --frame N          pop, step: only this frame of the stopped VM\n"
        "      --weak             new-global: does not keep the debugger; with --keep that has\n"
        "                         to be there already\n"
        "      --wait DURATION    for other stops to end first (10s)\n"
        "      --deadline DURATION  for the stop in which they are set (200ms)\n"
        "Without --keep, -o json is one hit on a line.\n",
    .shorts = "",
    .longs = (const struct option[]){{"on", required_argument, NULL, OPTION_ON},
                                     {"filter", required_argument, NULL, OPTION_FILTER},
                                     {"budget", required_argument, NULL, OPTION_BUDGET},
                                     {"capture", required_argument, NULL, OPTION_CAPTURE},
                                     {"stop", required_argument, NULL, OPTION_STOP},
                                     {"keep", no_argument, NULL, OPTION_KEEP},
                                     {"note", required_argument, NULL, OPTION_NOTE},
                                     {"debugger", required_argument, NULL, OPTION_DEBUGGER},
                                     {"world", required_argument, NULL, OPTION_WORLD},
                                     {"engine", required_argument, NULL, OPTION_ENGINE},
                                     {"granularity", required_argument, NULL, OPTION_GRANULARITY},
                                     {"realm", required_argument, NULL, OPTION_REALM},
                                     {"frame", required_argument, NULL, OPTION_FRAME},
                                     {"weak", no_argument, NULL, OPTION_WEAK},
                                     {"wait", required_argument, NULL, OPTION_WAIT},
                                     {"deadline", required_argument, NULL, OPTION_DEADLINE},
                                     {0}},
    .run = run_add,
};

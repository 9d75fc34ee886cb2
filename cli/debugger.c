/* debugger list, open, close. */
#include "cli/debugger.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"

/* The one of this name or id; NULL: there is none. */
static const struct stillpoint_debugger *find(const struct stillpoint_debuggers *list,
                                              const char *debugger)
{
    uint64_t id;
    bool by_id = parse_u64(debugger, &id);
    for (size_t i = 0; i < list->n; i++)
        if (by_id ? list->items[i].id == id : strcmp(list->items[i].name, debugger) == 0)
            return &list->items[i];
    return NULL;
}

static int use(struct cli *cli, const char *debugger, bool make)
{
    struct stillpoint_debuggers list, opened;
    if (!debugger || parse_is_cli_debugger(debugger))
        return 0;
    int code = 0, r = stillpoint_debugger_list(cli->sp, &list);
    if (r != 0)
        return cli_fail_call(cli, r, "use debugger %s", debugger);
    const struct stillpoint_debugger *found = find(&list, debugger);
    if (!found && make && stillpoint_is_name(debugger)) {
        r = stillpoint_debugger_open(cli->sp, debugger, NULL, NULL, &opened);
        if (r != 0)
            code = cli_fail_call(cli, r, "make debugger %s", debugger);
        else
            stillpoint_debuggers_free(&opened);
    } else if (!found)
        code = cli_fail(cli, CLI_NO_OBJECT, "use debugger %s: there is none (%s)", debugger,
                        "see 'stillctl debugger list'");
    else if (parse_is_cli_debugger(found->name))
        ; /* by its id */
    else if ((r = stillpoint_debugger_open(cli->sp, found->name, found->note, found->policy,
                                           &opened)) != 0) /* as it is: this is to change nothing */
        code = cli_fail_call(cli, r, "use debugger %s", debugger);
    else
        stillpoint_debuggers_free(&opened);
    stillpoint_debuggers_free(&list);
    return code;
}

int debugger_use(struct cli *cli, const char *debugger)
{
    return use(cli, debugger, false);
}

int debugger_use_or_make(struct cli *cli, const char *debugger)
{
    return use(cli, debugger, true);
}

int debugger_require(struct cli *cli, const char *debugger, const char *what)
{
    struct stillpoint_debuggers list;
    char own[32];
    snprintf(own, sizeof own, "cli:%" PRIu32, stillpoint_peer(cli->sp)->uid);
    const char *name = debugger ? debugger : own;
    int code = 0, r = stillpoint_debugger_list(cli->sp, &list);
    if (r != 0)
        return cli_fail_call(cli, r, "use debugger %s", name);
    if (!find(&list, name))
        code = cli_fail(cli, CLI_NO_OBJECT, "use debugger %s: there is none, and %s (%s)", name,
                        what, "see 'stillctl help debugger open'");
    stillpoint_debuggers_free(&list);
    return code;
}

/* ---- list */

static void add_words(struct print_text *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        print_add(text, "%s%s", i ? " " : "", words[i]);
    if (n == 0)
        print_add(text, "-");
}

static void debugger_row(struct print_table *t, const void *item)
{
    const struct stillpoint_debugger *d = item;
    struct print_text worlds = {0};
    add_words(&worlds, d->worlds, d->n_worlds);
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, d->id);
    print_table_cell(t, "%s", d->name);
    print_table_cell(t, "%" PRIu32, d->owner_uid);
    print_table_cell(t, "%s", d->open ? "yes" : "no");
    print_table_cell(t, "%s", d->policy);
    print_table_cell(t, "%" PRIu32, d->hooks);
    if (d->last_seq != 0)
        print_table_cell(t, "%" PRIu64 "-%" PRIu64, d->first_seq, d->last_seq);
    else
        print_table_cell(t, "-");
    print_table_cell(t, "%" PRIu64, d->dropped);
    print_table_cell(t, "%s", worlds.text);
    print_table_cell(t, "%s", d->note[0] ? d->note : "-");
}

static void debugger_name(const void *item)
{
    const struct stillpoint_debugger *d = item;
    print_line("%s", d->name);
}

static json_t *debugger_json(const void *item)
{
    return json_of_debugger(item);
}

static const struct print_rows debugger_rows = {
    .columns = (const struct print_column[]){{"ID", true},
                                             {"NAME", false},
                                             {"OWNER", true},
                                             {"OPEN", false},
                                             {"POLICY", false},
                                             {"HOOKS", true},
                                             {"HITS", false},
                                             {"DROPPED", true},
                                             {"WORLDS", false},
                                             {"NOTE", false},
                                             {0}},
    .row = debugger_row,
    .name = debugger_name,
    .json = debugger_json,
};

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_debuggers list;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (optind < argc)
        return cli_fail_usage(cli, "it takes no argument");
    int code = cli_connect(cli);
    if (code != 0)
        return code;
    int r = stillpoint_debugger_list(cli->sp, &list);
    if (r != 0)
        return cli_fail_call(cli, r, "list debuggers");
    print_items(cli, &debugger_rows, list.items, list.n, sizeof *list.items);
    stillpoint_debuggers_free(&list);
    return CLI_OK;
}

const struct verb verb_debugger_list = {
    .name = "debugger list",
    .synopsis = "",
    .summary = "the debuggers",
    .help =
        "cli:UID is that of one-shot verbs such as 'world stop', made on demand. HITS are the\n"
        "sequence numbers that are kept of what its hooks have seen, DROPPED how many are not.\n",
    .shorts = "",
    .run = run_list,
};

/* ---- open */

/* A debugger that this process keeps open. */
struct keeping {
    const char *name;
    uint64_t id;
    bool closed;
    uint32_t closed_by;
    bool closer_is_known;
};

static void on_event(struct stillpoint *sp, const struct stillpoint_event *event, void *data)
{
    struct keeping *k = data;
    (void)sp;
    if (event->kind != STILLPOINT_EVENT_DEBUGGER_CLOSED || !event->name ||
        strcmp(event->name, k->name) != 0)
        return;
    k->closed = true;
    k->closer_is_known = event->has_uid;
    k->closed_by = event->uid;
}

/* That somebody ends it is an event; who may not see events just stays. */
static int watch(struct cli *cli, struct keeping *k)
{
    static const enum stillpoint_event_kind kinds[] = {STILLPOINT_EVENT_DEBUGGER_CLOSED};
    const struct stillpoint_subscription subscription = {.kinds = kinds, .n_kinds = 1};
    const struct stillpoint_handlers handlers = {.event = on_event, .data = k};
    struct stillpoint_debuggers list;
    uint64_t last_seq;
    stillpoint_set_handlers(cli->sp, &handlers);
    int r = stillpoint_subscribe(cli->sp, &subscription, &last_seq);
    if (r == 0)
        r = stillpoint_debugger_list(cli->sp, &list);
    if (r != 0)
        return r == STILLPOINT_REFUSED ? 0 : r;
    /* It may have been before the subscription. */
    char id[24];
    snprintf(id, sizeof id, "%" PRIu64, k->id);
    k->closed = k->closed || !find(&list, id);
    stillpoint_debuggers_free(&list);
    return 0;
}

/* The signal that came (0: none), or the errno with which the connection ended. */
static int wait_once(struct cli *cli, int signal_fd)
{
    struct signalfd_siginfo info;
    struct pollfd p[] = {
        {.fd = stillpoint_fd(cli->sp), .events = stillpoint_poll_events(cli->sp)},
        {.fd = signal_fd, .events = POLLIN},
    };
    if (poll(p, 2, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    if (read(signal_fd, &info, sizeof info) == sizeof info)
        return (int)info.ssi_signo;
    return stillpoint_dispatch(cli->sp);
}

/* Until a signal ends it (a SIGTERM is how a script says that it is done), or somebody else does.
 */
static int stay(struct cli *cli, int signal_fd, struct keeping *k)
{
    int r = watch(cli, k);
    while (r == 0 && !k->closed)
        r = wait_once(cli, signal_fd);
    if (r < 0)
        return cli_fail_call(cli, r, "keep debugger %s open", k->name);
    if (r == 0 && k->closer_is_known)
        return cli_fail(cli, CLI_NO_OBJECT, "keep debugger %s open: uid %" PRIu32 " has closed it",
                        k->name, k->closed_by);
    if (r == 0)
        return cli_fail(cli, CLI_NO_OBJECT, "keep debugger %s open: it was closed", k->name);
    return r == SIGINT ? 128 + SIGINT : CLI_OK;
}

static void print_opened(const struct cli *cli, const struct stillpoint_debugger *d)
{
    if (cli->format == CLI_TABLE)
        print_line("%" PRIu64, d->id);
    else if (cli->format == CLI_NAME)
        print_line("%s", d->name);
    else
        print_json(cli, json_of_debugger(d));
}

static int open_and_stay(struct cli *cli, const char *name, const char *note, const char *policy)
{
    struct stillpoint_debuggers opened;
    int signal_fd = cli_take_signals();
    if (signal_fd < 0)
        return cli_fail(cli, CLI_FAILED, "take signals: %s", strerror(-signal_fd));
    int code, r = stillpoint_debugger_open(cli->sp, name, note, policy, &opened);
    if (r != 0) {
        code = cli_fail_call(cli, r, "open debugger %s", name);
    } else {
        struct keeping k = {.name = name, .id = opened.items[0].id};
        print_opened(cli, &opened.items[0]);
        stillpoint_debuggers_free(&opened);
        code = print_flush() ? stay(cli, signal_fd, &k) : CLI_OK;
    }
    close(signal_fd);
    return code;
}

static int run_open(struct cli *cli, int argc, char **argv)
{
    const char *note = NULL, *policy = NULL;
    int c;
    while ((c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        if (c == 'n')
            note = optarg;
        else
            policy = optarg;
    }
    if (policy && strcmp(policy, "hold") != 0 && strcmp(policy, "resume") != 0)
        return cli_fail_usage(cli, "--policy cannot be '%s': hold or resume", policy);
    if (argc - optind != 1)
        return cli_fail_usage(cli, "it takes one name");
    if (!parse_is_debugger_name(argv[optind]))
        return cli_fail_usage(cli, "'%s' is no name of a debugger", argv[optind]);
    int code = cli_connect(cli);
    return code != 0 ? code : open_and_stay(cli, argv[optind], note, policy);
}

const struct verb verb_debugger_open = {
    .name = "debugger open",
    .synopsis = "NAME [--note TEXT] [--policy hold|resume]",
    .summary = "keep a debugger open, and make it if there is none",
    .help =
        "      --note TEXT        what it is for\n"
        "      --policy WHAT      once nobody has it open any more: resume what it has stopped\n"
        "                         (the default), or hold that until its time runs out\n"
        "Prints its id and stays until Ctrl-C (exit code 130) or SIGTERM (0), or until somebody\n"
        "closes it (3). Other calls act for it with --debugger NAME.\n",
    .shorts = "",
    .longs = (const struct option[]){{"note", required_argument, NULL, 'n'},
                                     {"policy", required_argument, NULL, 'p'},
                                     {0}},
    .run = run_open,
};

/* ---- close */

static int close_one(struct cli *cli, const char *debugger)
{
    struct stillpoint_debuggers list;
    int r = stillpoint_debugger_list(cli->sp, &list);
    if (r != 0)
        return cli_fail_call(cli, r, "close debugger %s", debugger);
    /* One that is not in the list is the daemon's to refuse. */
    struct stillpoint_debugger none = {.name = debugger};
    const struct stillpoint_debugger *found = find(&list, debugger);
    int code = CLI_OK;
    r = stillpoint_debugger_close(cli->sp, debugger);
    if (r != 0)
        code = cli_fail_call(cli, r, "close debugger %s", debugger);
    else if (cli->format == CLI_NAME)
        print_line("%s", found ? found->name : debugger);
    else if (cli->format != CLI_TABLE)
        print_json(cli, json_of_debugger_ref(found ? found : &none));
    stillpoint_debuggers_free(&list);
    return code;
}

static int run_close(struct cli *cli, int argc, char **argv)
{
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (argc - optind != 1)
        return cli_fail_usage(cli, "it takes one name or id");
    if (!parse_is_debugger(argv[optind]))
        return cli_fail_usage(cli, "'%s' is no name or id of a debugger", argv[optind]);
    int code = cli_connect(cli);
    return code != 0 ? code : close_one(cli, argv[optind]);
}

const struct verb verb_debugger_close = {
    .name = "debugger close",
    .synopsis = "NAME",
    .summary = "end a debugger, and all that it has stopped or holds",
    .help = "NAME is a name or an id. It is taken from all who have it open.\n",
    .shorts = "",
    .run = run_close,
};

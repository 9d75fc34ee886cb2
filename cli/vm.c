/* Verbs about VMs that exist: list, status, kill, hold, release, wait. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/debugger.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/select.h"

static const char *state_color(const struct stillpoint_vm *vm)
{
    if (vm->has_exit)
        return vm->exit.code != 0 ? "red" : NULL;
    if (vm->held || vm->frozen || vm->state == STILLPOINT_VM_PARKED)
        return "yellow";
    return vm->state == STILLPOINT_VM_ACTIVE ? "green" : NULL;
}

/* "idle (held)": a held VM is never shown as stopped. */
static const char *state_note(const struct stillpoint_vm *vm)
{
    return vm->serving ? " (serving)" : vm->frozen ? " (frozen)" : vm->held ? " (held)" : "";
}

static void cell_exit(struct print_table *t, const struct stillpoint_vm *vm)
{
    if (vm->has_exit)
        print_table_cell(t, "%s %" PRIu32, stillpoint_exit_reason_text(vm->exit.reason),
                         vm->exit.code);
    else
        print_table_cell(t, "-");
}

static void vm_row(struct print_table *t, const void *item)
{
    const struct stillpoint_vm *vm = item;
    print_table_row(t);
    print_table_cell(t, "%" PRIu64, vm->id);
    print_table_cell(t, "%s", vm->name);
    print_table_cell(t, "%s", vm->world);
    print_table_cell(t, "%s", vm->engine);
    print_table_cell(t, "%s%s", stillpoint_vm_state_text(vm->state), state_note(vm));
    print_table_color(t, state_color(vm));
    if (vm->pid != 0)
        print_table_cell(t, "%" PRIu32, vm->pid);
    else
        print_table_cell(t, "-");
    print_table_cell(t, "%s", print_size(vm->memory_bytes));
    print_table_cell(t, "%s", print_duration(vm->cpu_us));
    cell_exit(t, vm);
}

static void vm_name(const void *item)
{
    const struct stillpoint_vm *vm = item;
    print_line("%s", vm->name);
}

static json_t *vm_json(const void *item)
{
    return json_of_vm(item);
}

static const struct print_rows vm_rows = {
    .columns = (const struct print_column[]){{"ID", true},
                                             {"NAME", false},
                                             {"WORLD", false},
                                             {"ENGINE", false},
                                             {"STATE", false},
                                             {"PID", true},
                                             {"MEMORY", true},
                                             {"CPU", true},
                                             {"EXIT", false},
                                             {0}},
    .row = vm_row,
    .name = vm_name,
    .json = vm_json,
};

static void print_vms(const struct cli *cli, const struct stillpoint_vms *vms)
{
    print_items(cli, &vm_rows, vms->items, vms->n, sizeof *vms->items);
}

/* ---- list */

/* "KEY" or "KEY=VALUE". */
static bool has_label(const struct stillpoint_vm *vm, const char *label)
{
    size_t n = strlen(label);
    for (size_t i = 0; i < vm->n_labels; i++)
        if (strncmp(vm->labels[i], label, n) == 0 &&
            (vm->labels[i][n] == '\0' || (vm->labels[i][n] == '=' && !strchr(label, '='))))
            return true;
    return false;
}

static void keep_labelled(struct stillpoint_vms *vms, const char *label)
{
    size_t n = 0;
    for (size_t i = 0; i < vms->n; i++)
        if (has_label(&vms->items[i], label))
            vms->items[n++] = vms->items[i];
    vms->n = n;
}

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_list list = {0};
    const char *label = NULL;
    int c;
    while ((c = options_next(cli, argc, argv)) > 0) {
        if (c == 'a')
            list.all = true;
        else if (c == 'l')
            label = optarg;
        else
            list.world = optarg;
    }
    if (c == OPTIONS_DONE)
        return cli->exit_code;
    if (optind < argc)
        return cli_fail_usage(cli, "it takes no argument");
    int code = cli_connect(cli);
    if (code != 0)
        return code;
    struct stillpoint_vms vms;
    int r = stillpoint_vm_list(cli->sp, &list, &vms);
    if (r != 0)
        return cli_fail_call(cli, r, "list VMs");
    if (label)
        keep_labelled(&vms, label);
    print_vms(cli, &vms);
    stillpoint_vms_free(&vms);
    return CLI_OK;
}

const struct verb verb_list = {
    .name = "list",
    .synopsis = "[-a] [-w WORLD] [-l LABEL]",
    .summary = "the VMs",
    .help = "  -a, --all              exited ones too\n"
            "  -w, --world WORLD      only those of this world\n"
            "  -l, --label KEY[=VALUE]  only those with this label\n",
    .shorts = "aw:l:",
    .longs = (const struct option[]){{"all", no_argument, NULL, 'a'},
                                     {"world", required_argument, NULL, 'w'},
                                     {"label", required_argument, NULL, 'l'},
                                     {0}},
    .run = run_list,
};

/* ---- status */

static void print_words(const char *title, const char *const *words, size_t n)
{
    char line[1024] = "";
    size_t at = 0;
    for (size_t i = 0; i < n && at < sizeof line; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s", i ? " " : "", words[i]);
    if (n > 0)
        print_line("%10s: %s%s", title, line, at >= sizeof line ? " …" : "");
}

static void print_posture(const struct stillpoint_vm *vm)
{
    char line[1024] = "";
    size_t at = 0;
    for (size_t i = 0; i < vm->n_posture && at < sizeof line; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s=%s", i ? " " : "",
                               vm->posture[i].name, vm->posture[i].state);
    if (vm->n_posture > 0)
        print_line("%10s: %s", "Sandbox", line);
}

static void print_limits(const struct stillpoint_limits *l)
{
    struct print_text t = {0};
    if (l->memory_bytes > 0)
        print_add(&t, " memory=%s", print_size(l->memory_bytes));
    if (l->hard_memory_bytes > 0)
        print_add(&t, " hard-memory=%s", print_size(l->hard_memory_bytes));
    if (l->cpu_percent > 0)
        print_add(&t, " cpu=%" PRIu32 "%%", l->cpu_percent);
    if (l->cpu_time_us > 0)
        print_add(&t, " cpu-time=%s", print_duration(l->cpu_time_us));
    if (l->timeout_us > 0)
        print_add(&t, " timeout=%s", print_duration(l->timeout_us));
    if (l->tasks > 0)
        print_add(&t, " tasks=%" PRIu32, l->tasks);
    if (l->output_rate > 0)
        print_add(&t, " output-rate=%s", print_size(l->output_rate));
    if (l->log_bytes > 0)
        print_add(&t, " log-size=%s", print_size(l->log_bytes));
    if (t.at > 0)
        print_line("%10s:%s", "Limits", t.text);
}

static void print_exit(const struct stillpoint_exit *e)
{
    print_line("%10s: %s, code %" PRIu32 "%s%s", "Exit", stillpoint_exit_reason_text(e->reason),
               e->code, e->detail[0] ? ", " : "", e->detail);
}

/* How things stand with the unit that this is the VM of, or was the last VM of. */
static void print_unit(const struct cli *cli, const struct stillpoint_vm *vm)
{
    struct stillpoint_units units;
    if (!vm->unit || stillpoint_unit_list(cli->sp, vm->unit, &units) != 0)
        return;
    const struct stillpoint_unit *u = &units.items[0];
    const char *state = stillpoint_unit_state_text(u->state);
    if (u->vm == vm->id || u->vm == 0)
        print_line("%10s: %s, %s, %s", "Unit", state, u->enabled ? "enabled" : "disabled", u->path);
    else
        print_line("%10s: %s as VM %" PRIu64 ", %s", "Unit", state, u->vm, u->path);
    if (u->restart_at_us != 0)
        print_line("%10s: %s", "Next start", print_time(u->restart_at_us));
    if (u->detail[0])
        print_line("%10s: %s", "Because", u->detail);
    if (u->error)
        print_line("%10s: %s", "Its file", u->error);
    else if (u->changed)
        print_line("%10s: %s", "Its file", "has changed since this VM was started");
    stillpoint_units_free(&units);
}

static void print_status(const struct cli *cli, const struct stillpoint_vm *vm)
{
    print_line("%s (%" PRIu64 ")", vm->name, vm->id);
    print_line("%10s: %s%s", "State", stillpoint_vm_state_text(vm->state), state_note(vm));
    if (vm->how != 0)
        print_line("%10s: %s%s", "Stopped", stillpoint_how_text(vm->how),
                   vm->serving ? " (serving)" : "");
    print_line("%10s: %s", "World", vm->world);
    print_line("%10s: %s", "Engine", vm->engine);
    print_line("%10s: %s", "Program", vm->program);
    print_words("Arguments", vm->args, vm->n_args);
    if (vm->pid != 0)
        print_line("%10s: %" PRIu32, "PID", vm->pid);
    print_line("%10s: %" PRIu32, "Owner", vm->uid);
    print_line("%10s: %s", "Started", print_time(vm->started_us));
    if (vm->ended_us != 0)
        print_line("%10s: %s", "Ended", print_time(vm->ended_us));
    print_line("%10s: %s", "CPU", print_duration(vm->cpu_us));
    print_line("%10s: %s", "Memory", print_size(vm->memory_bytes));
    print_limits(&vm->limits);
    print_words("Labels", vm->labels, vm->n_labels);
    print_words("Held by", vm->holds, vm->n_holds);
    print_line("%10s: %" PRIu32, "Hooks", vm->hooks);
    print_posture(vm);
    if (vm->has_exit)
        print_exit(&vm->exit);
    print_unit(cli, vm);
}

/* One VM asked for by name or id is an object; what a glob or several words give is an array. */
static void print_selection(const struct cli *cli, const struct selection *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++) {
        if (cli->format == CLI_TABLE && i > 0)
            print_line("%s", "");
        if (cli->format == CLI_TABLE)
            print_status(cli, s->vms[i]);
        else if (cli->format == CLI_NAME)
            print_line("%s", s->vms[i]->name);
        else
            json_array_append_new(list, json_of_vm(s->vms[i]));
    }
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL)
        print_json(cli, s->single ? json_incref(json_array_get(list, 0)) : json_incref(list));
    json_decref(list);
}

static int run_status(struct cli *cli, int argc, char **argv)
{
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (optind == argc)
        return cli_fail_usage(cli, "which VM?");
    struct selection s = {0};
    int code = cli_connect(cli);
    if (code == 0)
        code = select_vms(cli, argc - optind, argv + optind, true, &s);
    if (code == 0)
        print_selection(cli, &s);
    selection_done(&s);
    return code;
}

const struct verb verb_status = {
    .name = "status",
    .synopsis = "VM…",
    .summary = "all there is to know about a VM",
    .help = "VM is a name, an id, or a glob over names (quote it).\n",
    .shorts = "",
    .run = run_status,
};

/* ---- kill, hold, release */

/* --debugger is the only option that any of them has. */
static int run_for_each(struct cli *cli, int argc, char **argv, selection_request request)
{
    const char *debugger = NULL;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = options_debugger(cli, "--debugger", optarg, &debugger);
    }
    if (code == 0 && optind == argc)
        code = cli_fail_usage(cli, "which VM?");
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, debugger);
    return code != 0 ? code : select_each(cli, argc - optind, argv + optind, request, debugger);
}

static int request_kill(struct stillpoint *sp, const char *vm, const void *data)
{
    (void)data;
    return stillpoint_vm_kill(sp, vm);
}

static int run_kill(struct cli *cli, int argc, char **argv)
{
    return run_for_each(cli, argc, argv, request_kill);
}

static int request_hold(struct stillpoint *sp, const char *vm, const void *data)
{
    return stillpoint_vm_hold(sp, vm, data);
}

static int run_hold(struct cli *cli, int argc, char **argv)
{
    return run_for_each(cli, argc, argv, request_hold);
}

static int request_release(struct stillpoint *sp, const char *vm, const void *data)
{
    return stillpoint_vm_release(sp, vm, data);
}

static int run_release(struct cli *cli, int argc, char **argv)
{
    return run_for_each(cli, argc, argv, request_release);
}

const struct verb verb_kill = {
    .name = "kill",
    .synopsis = "VM…",
    .summary = "end VMs at once",
    .help = "VM is a name, an id, or a glob over the names of VMs that live (quote it).\n",
    .shorts = "",
    .run = run_kill,
};

static const struct option hold_longs[] = {{"debugger", required_argument, NULL, 'D'}, {0}};

const struct verb verb_hold = {
    .name = "hold",
    .synopsis = "VM… [--debugger NAME]",
    .summary = "hold VMs at a safe point, whatever their world does",
    .help =
        "      --debugger NAME    the owner of the hold (cli:UID)\n"
        "Each hold has an owner and is counted: 'release' takes back one of the same owner's.\n",
    .shorts = "",
    .longs = hold_longs,
    .run = run_hold,
};

const struct verb verb_release = {
    .name = "release",
    .synopsis = "VM… [--debugger NAME]",
    .summary = "take back a hold",
    .help = "      --debugger NAME    the owner of the hold (cli:UID)\n",
    .shorts = "",
    .longs = hold_longs,
    .run = run_release,
};

/* ---- wait */

static int parse_wait_for(const struct cli *cli, const char *word, enum stillpoint_wait_for *ret)
{
    for (int w = STILLPOINT_WAIT_EXITED; w <= STILLPOINT_WAIT_ACTIVE; w++)
        if (strcmp(word, stillpoint_wait_for_text((enum stillpoint_wait_for)w)) == 0) {
            *ret = (enum stillpoint_wait_for)w;
            return 0;
        }
    return cli_fail_usage(cli, "--for cannot be '%s': exited, idle, stopped or active", word);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* One after the other, within one time limit: at the end each has been in that state. */
static int wait_each(struct cli *cli, const struct selection *s, enum stillpoint_wait_for what,
                     uint64_t timeout_us)
{
    uint64_t end = now_us() + timeout_us;
    json_t *list = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < s->n && code == CLI_OK; i++) {
        struct stillpoint_vms vms;
        char id[24];
        uint64_t now = now_us();
        uint64_t left = timeout_us == 0 ? 0 : now < end ? end - now : 1;
        int r = stillpoint_vm_wait(cli->sp, selection_id(s->vms[i], id), what, left, &vms);
        if (r != 0) {
            code = cli_fail_call(cli, r, "wait for %s to be %s", s->vms[i]->name,
                                 stillpoint_wait_for_text(what));
            continue;
        }
        if (cli->format == CLI_NAME)
            print_line("%s", vms.items[0].name);
        json_array_append_new(list, json_of_vm(&vms.items[0]));
        stillpoint_vms_free(&vms);
    }
    if (code == CLI_OK && (cli->format == CLI_JSON || cli->format == CLI_JSONL))
        print_json(cli, s->single ? json_incref(json_array_get(list, 0)) : json_incref(list));
    json_decref(list);
    return code;
}

static int run_wait(struct cli *cli, int argc, char **argv)
{
    enum stillpoint_wait_for what = STILLPOINT_WAIT_EXITED;
    uint64_t timeout_us = 0;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = c == 'F' ? parse_wait_for(cli, optarg, &what)
                        : options_duration(cli, "--timeout", optarg, 1, &timeout_us);
    }
    if (code != 0)
        return code;
    if (optind == argc)
        return cli_fail_usage(cli, "which VM?");
    struct selection s = {0};
    code = cli_connect(cli);
    if (code == 0)
        code = select_vms(cli, argc - optind, argv + optind, true, &s);
    if (code == 0)
        code = wait_each(cli, &s, what, timeout_us);
    selection_done(&s);
    return code;
}

const struct verb verb_wait = {
    .name = "wait",
    .synopsis = "VM… [--for STATE] [--timeout DURATION]",
    .summary = "wait until a VM is in a state",
    .help = "      --for STATE        exited (default), idle, stopped (parked, held or frozen) or\n"
            "                         active\n"
            "      --timeout DURATION then exit with 124\n"
            "A VM that exits while another state is waited for: exit code 1.\n",
    .shorts = "",
    .longs = (const struct option[]){{"for", required_argument, NULL, 'F'},
                                     {"timeout", required_argument, NULL, 't'},
                                     {0}},
    .run = run_wait,
};

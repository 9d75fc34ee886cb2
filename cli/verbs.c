#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "cli/verb.h"

const struct verb *const verbs[] = {
    &verb_run,
    &verb_list,
    &verb_status,
    &verb_logs,
    &verb_kill,
    &verb_call,
    &verb_send,
    &verb_wait,
    &verb_hold,
    &verb_release,
    &verb_units,
    &verb_start,
    &verb_stop,
    &verb_restart,
    &verb_enable,
    &verb_disable,
    &verb_check,
    &verb_debug,
    &verb_lldb,
    &verb_break_add,
    &verb_break_list,
    &verb_break_rm,
    &verb_step,
    &verb_next,
    &verb_finish,
    &verb_until,
    &verb_continue,
    &verb_bt,
    &verb_locals,
    &verb_inspect,
    &verb_eval,
    &verb_set,
    &verb_source,
    &verb_memory_read,
    &verb_memory_write,
    &verb_audit_add,
    &verb_audit_list,
    &verb_audit_show,
    &verb_audit_tail,
    &verb_audit_rm,
    &verb_world_list,
    &verb_world_status,
    &verb_world_stop,
    &verb_world_resume,
    &verb_world_gc,
    &verb_world_census,
    &verb_world_bt,
    &verb_world_target,
    &verb_world_take,
    &verb_world_handover,
    &verb_debugger_list,
    &verb_debugger_open,
    &verb_debugger_close,
    &verb_events,
    &verb_top,
    &verb_doctor,
    &verb_version,
    &verb_help,
    NULL,
};

const struct verb *verb_find(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; verbs[i]; i++) {
        const char *name = verbs[i]->name;
        const char *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (argc < 1 || strncmp(argv[0], name, first) != 0 || argv[0][first] != '\0')
            continue;
        if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
            continue;
        *ret_words = space ? 2 : 1;
        return verbs[i];
    }
    return NULL;
}

void verb_second_words(const char *first, char *buf, size_t size)
{
    const char *last = NULL;
    size_t at = 0, n = strlen(first);
    buf[0] = '\0';
    for (size_t i = 0; verbs[i]; i++) {
        const char *name = verbs[i]->name;
        if (strncmp(name, first, n) != 0 || name[n] != ' ')
            continue;
        if (last && at < size)
            at += (size_t)snprintf(buf + at, size - at, "%s%s", at > 0 ? ", " : "", last);
        last = name + n + 1;
    }
    if (last && at < size)
        snprintf(buf + at, size - at, "%s%s", at > 0 ? " or " : "", last);
}

static void print_global_options(void)
{
    fputs("\nGlobal options (before or after the verb):\n"
          "  -s, --socket SOCKET    talk to the daemon at this socket\n"
          "      --private          start a daemon for this call, and end it after\n"
          "      --allow-degraded   let the private daemon do without parts of the sandbox\n"
          "  -o, --output FORMAT    table, json, jsonl (one object a line) or name\n"
          "      --no-legend        no column names and no summary\n"
          "      --color WHEN       auto, always or never\n"
          "  -h, --help             help for the verb\n"
          "      --version          the version of stillctl\n",
          stdout);
}

/* One line for each verb, of those with this first word (NULL: of all). */
static void print_verbs(const char *first)
{
    size_t n = first ? strlen(first) : 0;
    for (size_t i = 0; verbs[i]; i++) {
        const char *name = verbs[i]->name;
        bool in = !first || (strncmp(name, first, n) == 0 && name[n] == ' ');
        if (in && !verbs[i]->hidden)
            printf("  %-14s %s\n", name, verbs[i]->summary);
    }
}

void verb_help_print_group(const char *first)
{
    printf("stillctl %s VERB …\n\n", first);
    print_verbs(first);
    print_global_options();
    printf("\n'stillctl help %s VERB' tells more.\n", first);
}

static void print_all(void)
{
    fputs("stillctl [GLOBAL OPTION…] VERB …: programs in sandboxed VMs that stop together\n\n",
          stdout);
    print_verbs(NULL);
    print_global_options();
    fputs("\n'stillctl help VERB' tells more; exit codes are in stillctl(1).\n", stdout);
}

void verb_help_print(const struct verb *verb)
{
    if (!verb) {
        print_all();
        return;
    }
    printf("stillctl %s%s%s: %s\n", verb->name, verb->synopsis[0] ? " " : "", verb->synopsis,
           verb->summary);
    if (verb->help[0])
        printf("\n%s", verb->help);
    print_global_options();
}

static int run_help(struct cli *cli, int argc, char **argv)
{
    int words = 0;
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    const struct verb *verb = verb_find(argc - optind, argv + optind, &words);
    char seconds[128] = "";
    if (!verb && argc - optind == 1)
        verb_second_words(argv[optind], seconds, sizeof seconds);
    if (seconds[0]) {
        verb_help_print_group(argv[optind]);
        return CLI_OK;
    }
    if (optind + words < argc)
        return cli_fail_usage(cli, "no such verb: %s", argv[optind]);
    verb_help_print(verb);
    return CLI_OK;
}

const struct verb verb_help = {
    .name = "help",
    .synopsis = "[VERB]",
    .summary = "how to use stillctl, or one verb",
    .help = "",
    .shorts = "",
    .run = run_help,
};

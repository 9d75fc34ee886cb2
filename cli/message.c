/* Talking to a program: call, send. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"
#include "cli/select.h"
#include "cli/world.h"

/*
 * A negative number is JSON, and looks like an option. A space before it changes neither what it is
 * as JSON nor what getopt takes for an option's value. Returns a new array (texts that were changed
 * are in *ret_changed), NULL without memory.
 */
static char **shield_numbers(int argc, char **argv, char ***ret_changed)
{
    char **shielded = calloc((size_t)argc + 1, sizeof *shielded);
    char **changed = calloc((size_t)argc + 1, sizeof *changed);
    size_t n = 0;
    for (int i = 0; shielded && changed && i < argc; i++) {
        bool number = argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9';
        shielded[i] = argv[i];
        if (number && asprintf(&shielded[i], " %s", argv[i]) >= 0)
            changed[n++] = shielded[i];
    }
    *ret_changed = changed;
    return shielded;
}

static void free_texts(char **texts)
{
    for (size_t i = 0; texts && texts[i]; i++)
        free(texts[i]);
    free(texts);
}

typedef int (*verb_fn)(struct cli *cli, int argc, char **argv);

static int run_shielded(struct cli *cli, int argc, char **argv, verb_fn run)
{
    char **changed, **shielded = shield_numbers(argc, argv, &changed);
    int code = shielded && changed ? run(cli, argc, shielded)
                                   : cli_fail(cli, CLI_FAILED, "start: out of memory");
    free_texts(changed);
    free(shielded);
    return code;
}

static int check_json(const struct cli *cli, const char *text)
{
    char why[200];
    if (parse_json(text, why, sizeof why))
        return 0;
    return cli_fail_usage(cli, "'%s' is not JSON: %s; a text needs quotes: '\"text\"'", text, why);
}

/* ---- call */

/* "[a,b]" of texts that are JSON each; NULL without memory. */
static char *json_array_of(int n, char **items)
{
    size_t bytes = 3, at = 1;
    for (int i = 0; i < n; i++)
        bytes += strlen(items[i]) + 1;
    char *text = malloc(bytes);
    if (!text)
        return NULL;
    text[0] = '[';
    for (int i = 0; i < n; i++)
        at += (size_t)sprintf(text + at, "%s%s", i ? "," : "", items[i]);
    memcpy(text + at, "]", 2);
    return text;
}

static void tell_stopped(struct cli *cli, const char *vm)
{
    struct stillpoint_vms found;
    if (!cli_may_look(cli) || stillpoint_vm_get(cli->sp, vm, &found) != 0)
        return; /* the call will say why */
    const struct stillpoint_vm *v = &found.items[0];
    if (v->n_holds > 0)
        cli_say("VM %s is held by %s: waiting (see 'stillctl release')", v->name, v->holds[0]);
    else
        world_tell_stopped(cli, v->world, v->id);
    stillpoint_vms_free(&found);
}

static int call_function(struct cli *cli, const char *vm, const char *function, const char *args,
                         uint64_t timeout_us)
{
    struct stillpoint_result result;
    tell_stopped(cli, vm);
    int r = stillpoint_vm_call(cli->sp, vm, function, args, timeout_us, &result);
    if (r != 0)
        return cli_fail_call(cli, r, "call %s of %s", function, vm);
    int code = CLI_OK;
    if (result.threw)
        code = cli_fail(cli, CLI_FAILED, "call %s of %s: it threw: %s", function, vm, result.error);
    else
        print_line("%s", result.json);
    stillpoint_result_free(&result);
    return code;
}

static int run_call_shielded(struct cli *cli, int argc, char **argv)
{
    uint64_t timeout_us = 0;
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        if (c == OPTIONS_DONE)
            return cli->exit_code;
        code = options_duration(cli, "--timeout", optarg, 1, &timeout_us);
    }
    if (code == 0 && argc - optind < 2)
        code = cli_fail_usage(cli, "which function of which VM?");
    for (int i = optind + 2; code == 0 && i < argc; i++)
        code = check_json(cli, argv[i]);
    char vm[STILLPOINT_NAME_BYTES + 1];
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0)
        code = select_vm(cli, argv[optind], false, vm);
    if (code != 0)
        return code;
    char *args = json_array_of(argc - optind - 2, argv + optind + 2);
    code = args ? call_function(cli, vm, argv[optind + 1], args, timeout_us)
                : cli_fail(cli, CLI_FAILED, "call %s: out of memory", argv[optind + 1]);
    free(args);
    return code;
}

static int run_call(struct cli *cli, int argc, char **argv)
{
    return run_shielded(cli, argc, argv, run_call_shielded);
}

const struct verb verb_call = {
    .name = "call",
    .synopsis = "VM FUNCTION [JSON…] [--timeout DURATION]",
    .summary = "call an exported function and print its JSON result",
    .help = "      --timeout DURATION then exit with 124\n"
            "A function that throws: its error on stderr, exit code 1.\n",
    .shorts = "",
    .longs = (const struct option[]){{"timeout", required_argument, NULL, 't'}, {0}},
    .run = run_call,
};

/* ---- send */

static int request_send(struct stillpoint *sp, const char *vm, const void *data)
{
    return stillpoint_vm_send(sp, vm, data);
}

static int run_send_shielded(struct cli *cli, int argc, char **argv)
{
    if (options_all(cli, argc, argv) != 0)
        return cli->exit_code;
    if (argc - optind != 2)
        return cli_fail_usage(cli, "it takes a VM and one JSON value");
    int code = check_json(cli, argv[optind + 1]);
    if (code == 0)
        code = cli_connect(cli);
    return code != 0 ? code : select_each(cli, 1, argv + optind, request_send, argv[optind + 1]);
}

static int run_send(struct cli *cli, int argc, char **argv)
{
    return run_shielded(cli, argc, argv, run_send_shielded);
}

const struct verb verb_send = {
    .name = "send",
    .synopsis = "VM JSON",
    .summary = "post a message to a program's onmessage",
    .help = "A message to a VM that is stopped waits there until the VM goes on.\n",
    .shorts = "",
    .run = run_send,
};

#include "cli/select.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/parse.h"
#include "cli/print.h"
#include "cli/verb.h"

const char *selection_id(const struct stillpoint_vm *vm, char buf[24])
{
    snprintf(buf, 24, "%" PRIu64, vm->id);
    return buf;
}

void selection_done(struct selection *s)
{
    for (size_t i = 0; i < s->n_lists; i++)
        stillpoint_vms_free(&s->lists[i]);
    free(s->lists);
    free(s->vms);
    *s = (struct selection){0};
}

static bool is_selected(const struct selection *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->vms[i]->id == id)
            return true;
    return false;
}

/* Adds those of list `at` that match; `glob` NULL: all. Returns how many did, -1 without memory. */
static long add_matching(struct selection *s, size_t at, const char *glob)
{
    const struct stillpoint_vms *list = &s->lists[at];
    const struct stillpoint_vm **vms =
        reallocarray(s->vms, s->n + list->n + 1, sizeof(struct stillpoint_vm *));
    long matched = 0;
    if (!vms)
        return -1;
    s->vms = vms;
    for (size_t i = 0; i < list->n; i++) {
        if (glob && fnmatch(glob, list->items[i].name, 0) != 0)
            continue;
        matched++;
        if (!is_selected(s, list->items[i].id))
            s->vms[s->n++] = &list->items[i];
    }
    return matched;
}

/* What the verb does to a VM, as its failure has it. */
static const char *verb_with_object(const struct cli *cli)
{
    return strcmp(cli->verb->name, "wait") == 0 ? "wait for" : cli->verb->name;
}

static int select_word(struct cli *cli, const char *word, bool exited, struct selection *s)
{
    struct stillpoint_list all = {.all = exited};
    bool glob = parse_is_glob(word);
    if (!glob && !parse_is_vm(word))
        return cli_fail_usage(cli, "'%s' is no name, id or glob of a VM", word);
    int r = glob ? stillpoint_vm_list(cli->sp, &all, &s->lists[s->n_lists])
                 : stillpoint_vm_get(cli->sp, word, &s->lists[s->n_lists]);
    if (r != 0)
        return cli_fail_call(cli, r, "%s %s", verb_with_object(cli), word);
    long matched = add_matching(s, s->n_lists++, glob ? word : NULL);
    if (matched < 0)
        return cli_fail(cli, CLI_FAILED, "%s %s: out of memory", verb_with_object(cli), word);
    if (matched == 0)
        return cli_fail(cli, CLI_NO_OBJECT, "%s %s: no VM matches", verb_with_object(cli), word);
    return 0;
}

int select_vms(struct cli *cli, int n_words, char **words, bool exited, struct selection *ret)
{
    *ret = (struct selection){.single = n_words == 1 && !parse_is_glob(words[0])};
    ret->lists = calloc((size_t)n_words + 1, sizeof *ret->lists);
    if (!ret->lists)
        return cli_fail(cli, CLI_FAILED, "%s: out of memory", cli->verb->name);
    for (int i = 0; i < n_words; i++) {
        int code = select_word(cli, words[i], exited, ret);
        if (code != 0)
            return code;
    }
    return 0;
}

int select_vm(struct cli *cli, const char *word, bool exited,
              char ret_vm[STILLPOINT_NAME_BYTES + 1])
{
    if (!parse_is_glob(word)) {
        if (!parse_is_vm(word) || strlen(word) > STILLPOINT_NAME_BYTES)
            return cli_fail_usage(cli, "'%s' is no name, id or glob of a VM", word);
        memcpy(ret_vm, word, strlen(word) + 1);
        return 0;
    }
    struct selection s;
    char *words[] = {(char *)word};
    int code = select_vms(cli, 1, words, exited, &s);
    if (code == 0 && s.n > 1)
        code = cli_fail_usage(cli, "%s matches %zu VMs, and this is for one", word, s.n);
    if (code == 0)
        selection_id(s.vms[0], ret_vm);
    selection_done(&s);
    return code;
}

static int each(struct cli *cli, const struct selection *s, selection_request request,
                const void *data, json_t *done)
{
    int code = CLI_OK;
    for (size_t i = 0; i < s->n; i++) {
        char id[24];
        int r = request(cli->sp, selection_id(s->vms[i], id), data);
        if (r != 0) {
            int failed = cli_fail_call(cli, r, "%s %s", cli->verb->name, s->vms[i]->name);
            code = code ? code : failed;
            continue;
        }
        if (cli->format == CLI_NAME)
            print_line("%s", s->vms[i]->name);
        json_array_append_new(done, json_of_vm_ref(s->vms[i]));
    }
    return code;
}

int select_each(struct cli *cli, int n_words, char **words, selection_request request,
                const void *data)
{
    struct selection s;
    int code = select_vms(cli, n_words, words, false, &s);
    if (code == 0) {
        json_t *done = json_array();
        code = each(cli, &s, request, data, done);
        if (cli->format == CLI_JSON || cli->format == CLI_JSONL)
            print_json(cli, json_incref(done));
        json_decref(done);
    }
    selection_done(&s);
    return code;
}

#include "cli/target.h"

#include "cli/debugger.h"
#include "cli/select.h"
#include "cli/verb.h"

int target_find(struct cli *cli, const char *word, const char *debugger, struct target *ret)
{
    char vm[STILLPOINT_NAME_BYTES + 1];
    *ret = (struct target){0};
    int code = cli_connect(cli);
    if (code == 0)
        code = debugger_use(cli, debugger);
    if (code == 0)
        code = select_vm(cli, word, false, vm);
    if (code != 0)
        return code;
    int r = stillpoint_vm_get(cli->sp, vm, &ret->vms);
    if (r != 0)
        return cli_fail_call(cli, r, "%s %s", cli->verb->name, word);
    ret->vm = &ret->vms.items[0];
    selection_id(ret->vm, ret->id);
    return 0;
}

void target_done(struct target *t)
{
    stillpoint_vms_free(&t->vms);
}

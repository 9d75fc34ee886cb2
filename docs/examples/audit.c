/*
 * audit.c: observes the functions that VMs enter, and prints them until the daemon or the VM ends.
 *
 *     cc audit.c -o audit $(pkg-config --cflags --libs libstillpoint)
 *     ./audit 'web-*' 20
 *
 * The first argument is a VM's name or id, or a glob; the second says how many hits to wait for.
 */
#include <stillpoint.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(struct stillpoint *sp, int r, const char *what)
{
    fprintf(stderr, "audit: cannot %s: %s\n", what,
            r == STILLPOINT_REFUSED ? stillpoint_error(sp)->message : strerror(-r));
    stillpoint_free(sp);
    return 1;
}

static void print_hit(const struct stillpoint_hit *hit)
{
    if (hit->dropped > 0) {
        printf("%" PRIu64 " hits were lost\n", hit->dropped);
        return;
    }
    printf("%" PRIu64 " %s: %s", hit->seq, hit->vm_name, stillpoint_hook_kind_text(hit->kind));
    if (hit->location)
        printf(" %s:%" PRIu32 " %s", hit->location->url, hit->location->line,
               hit->location->function);
    for (size_t i = 0; i < hit->n_arguments; i++)
        printf(" %s=%s", hit->arguments[i].name, hit->arguments[i].value.preview);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const enum stillpoint_hook_kind kinds[] = {STILLPOINT_HOOK_ENTER_FRAME};
    struct stillpoint_interest interest = {
        .kinds = kinds,
        .n_kinds = 1,
        .filter = {.function = "?*"}, /* those that have a name */
        .budget = {.has_per_second = true, .per_second = 100},
        .capture = {.arguments = true},
        .debugger = "audit-example",
        .note = "docs/examples/audit.c",
    };
    struct stillpoint_hits_query query = {.debugger = "audit-example", .wait = true};
    struct stillpoint_debuggers debuggers;
    struct stillpoint_hooks hooks;
    struct stillpoint *sp = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: audit VM|GLOB COUNT\n");
        return 2;
    }
    if (strpbrk(argv[1], "*?["))
        interest.selector = argv[1];
    else
        interest.vm = argv[1];

    int r = stillpoint_connect(NULL, "audit example", &sp);
    if (r != 0)
        return fail(sp, r, "reach the daemon");
    /* Only who has a debugger open acts for it. */
    r = stillpoint_debugger_open(sp, interest.debugger, interest.note, NULL, &debuggers);
    if (r != 0)
        return fail(sp, r, "open a debugger");
    stillpoint_debuggers_free(&debuggers);
    r = stillpoint_hook_add(sp, &interest, &hooks);
    if (r != 0)
        return fail(sp, r, "set the hook");
    uint64_t hook = hooks.items[0].id;
    stillpoint_hooks_free(&hooks);

    for (long left = atol(argv[2]); left > 0;) {
        struct stillpoint_hits hits;
        r = stillpoint_hits_read(sp, &query, &hits);
        if (r != 0)
            return fail(sp, r, "read hits");
        for (size_t i = 0; i < hits.n && left > 0; i++, left--)
            print_hit(&hits.items[i]);
        query.from_seq = hits.next_seq;
        if (hits.ended)
            left = 0;
        stillpoint_hits_free(&hits);
    }

    /* One that is left there would go on, and keep its debugger. */
    r = stillpoint_hook_remove(sp, &hook, 1, NULL, &hooks);
    if (r == 0)
        stillpoint_hooks_free(&hooks);
    stillpoint_free(sp);
    return 0;
}

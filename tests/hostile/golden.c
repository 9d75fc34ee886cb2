/*
 * golden.c: prints tests/hostile/syscalls.golden from worker/seccomp_table.c: a line for each
 * system call that a worker can make:
 *
 *   NUMBER NAME | ARGUMENT:MASK/VALUE … | CALLER
 *
 * An argument has to be equal to VALUE in the bits of MASK, for one of those named for it; none is
 * named where any arguments pass. The tests hold this file against the kernel.
 */
#include <inttypes.h>
#include <stdio.h>

#include "worker/seccomp_table.h"

int main(void)
{
    for (size_t i = 0; i < seccomp_table_rows; i++) {
        const struct seccomp_row *r = &seccomp_table[i];
        printf("%d %s |", r->number, r->name);
        for (unsigned c = 0; c < r->n_choices; c++)
            printf(" %u:%" PRIx64 "/%" PRIx64, r->arg, r->choices[c].mask, r->choices[c].datum);
        if (r->also.mask)
            printf(" %u:%" PRIx64 "/%" PRIx64, r->also_arg, r->also.mask, r->also.datum);
        printf(" | %s%s\n", r->refuse_errno ? "refused: " : "", r->caller);
    }
    return 0;
}

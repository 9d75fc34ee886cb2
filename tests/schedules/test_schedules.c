/*
 * The first schedules of each scenario, in the ordinary test run; `make check-schedules` has the
 * rest. Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/schedules/explore.h"

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    const struct explore_plan plan = {.seed = 1,
                                      .runs = 300,
                                      .cap = 1500,
                                      .is_quiet = true,
                                      .folder = tmp && *tmp ? tmp : "/tmp"};
    struct explore_tally t = {0};
    size_t n = 0, n_conductors = 0;
    while (conductors[n_conductors])
        n_conductors++;
    printf("1..%zu\n", n_conductors * n_scenarios);
    for (const struct conductor *const *c = conductors; *c; c++)
        for (size_t i = 0; i < n_scenarios; i++) {
            bool ok = explore(&plan, &scenarios[i], *c, &t);
            printf("%s %zu - %s, conductor %s\n", ok ? "ok" : "not ok", ++n, scenarios[i].name,
                   (*c)->name);
        }
    printf("# %lu schedules, %lu stops\n", t.systematic + t.random, t.stops);
    return 0;
}

/*
 * schedules: explores the schedules of both halves of stop-the-world. README.md says how it works
 * and how to replay.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/schedules/explore.h"

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Whether the name is in a list with commas. */
static bool is_in(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)) != NULL; p += n)
        if ((p == list || p[-1] == ',') && (p[n] == 0 || p[n] == ','))
            return true;
    return false;
}

static int usage(void)
{
    fprintf(stderr, "usage: schedules [--only NAME,NAME] [--runs N] [--cap N] [--seed N] "
                    "[--conductor small|world]\n"
                    "                 [--expect-violation] [--folder DIR] | --list | "
                    "--replay FILE|SCENARIO:CONDUCTOR:SEED\n");
    return 2;
}

int main(int argc, char **argv)
{
    enum { ONLY = 1000, RUNS, CAP, SEED, CONDUCTOR, EXPECT, FOLDER, LIST, REPLAY, QUIET };
    static const struct option options[] = {
        {"only", required_argument, NULL, ONLY},
        {"runs", required_argument, NULL, RUNS},
        {"cap", required_argument, NULL, CAP},
        {"seed", required_argument, NULL, SEED},
        {"conductor", required_argument, NULL, CONDUCTOR},
        {"expect-violation", no_argument, NULL, EXPECT},
        {"folder", required_argument, NULL, FOLDER},
        {"list", no_argument, NULL, LIST},
        {"replay", required_argument, NULL, REPLAY},
        {"quiet", no_argument, NULL, QUIET},
        {NULL, 0, NULL, 0},
    };
    struct explore_plan plan = {.seed = 1, .runs = 20000, .cap = 200000, .folder = "."};
    const char *only = NULL, *with = NULL;
    bool expect_violation = false;
    int o;
    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (o) {
        case ONLY:
            only = optarg;
            break;
        case RUNS:
            plan.runs = strtoul(optarg, NULL, 10);
            break;
        case CAP:
            plan.cap = strtoul(optarg, NULL, 10);
            break;
        case SEED:
            plan.seed = strtoull(optarg, NULL, 10);
            break;
        case CONDUCTOR:
            with = optarg;
            break;
        case EXPECT:
            expect_violation = true;
            break;
        case FOLDER:
            plan.folder = optarg;
            break;
        case QUIET:
            plan.is_quiet = true;
            break;
        case LIST:
            for (size_t i = 0; i < n_scenarios; i++)
                printf("%s\n", scenarios[i].name);
            return 0;
        case REPLAY:
            return explore_replay(optarg);
        default:
            return usage();
        }
    }
    if (optind < argc)
        return usage();
    struct explore_tally t = {0};
    double start = now_s();
    for (const struct conductor *const *c = conductors; *c; c++)
        for (size_t i = 0; i < n_scenarios; i++) {
            if ((with && strcmp(with, (*c)->name) != 0) ||
                (only && !is_in(only, scenarios[i].name)))
                continue;
            explore(&plan, &scenarios[i], *c, &t);
            if (expect_violation && t.violations > 0)
                return 0;
        }
    double took = now_s() - start;
    printf("# %lu schedules (%lu systematic, %lu random from seed %" PRIu64
           "), %lu stops, %lu guest "
           "steps, %.1f s: %u violations\n",
           t.systematic + t.random, t.systematic, t.random, plan.seed, t.stops, t.guest_steps, took,
           t.violations);
    return expect_violation ? t.violations == 0 : t.violations > 0;
}

/*
 * schedules: explores the schedules of both halves of stop-the-world. README.md says how it works
 * and how to replay.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/schedules/cast.h"

struct plan {
    const char *only;   /* names of scenarios, with commas; NULL: all */
    uint64_t seed;      /* of the first random run */
    unsigned long runs; /* random runs of each scenario */
    unsigned long cap;  /* systematic runs of each scenario, at most */
    bool quiet, with_small, with_world;
    const char *folder; /* where failures are written */
};

struct tally {
    unsigned long systematic, random, steps, stops;
    unsigned violations;
};

/* Words that only one actor reads in a scenario without clocks. */
static const char *const record_words[] = {"held_", "rung_ns", "parked_ns", NULL};
static const char *const rare_words[] = {"rung_ns", NULL};

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void write_failure(const struct plan *plan, const struct scenario *s,
                          const struct conductor *c, const char *how, const char *verdict)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%s.schedule", plan->folder, s->name, c->name);
    FILE *f = fopen(path, "w");
    if (f) {
        fprintf(f, "stillpoint-schedule 1 %s %s\n", s->name, c->name);
        sim_schedule_write(f);
        fclose(f);
    }
    printf("# %s, conductor %s, %s: %s\n# to see it: schedules --replay %s\n", s->name, c->name,
           how, verdict, path);
}

static bool explore(const struct plan *plan, const struct scenario *s, const struct conductor *c,
                    struct tally *t)
{
    char how[64];
    const char *verdict;
    double start = now_s();
    unsigned long done = 0, longest = 0, systematic = 0, cap = s->cap ? s->cap : plan->cap;
    unsigned preemptions = 0;
    bool complete = s->preemptions > 0;
    sim_quiet(s->has_clocks ? rare_words : record_words);
    /* Few pre-emptions first: a violation is then as short as can be. */
    for (unsigned p = 0; p <= s->preemptions && s->preemptions > 0 && complete; p++) {
        sim_systematic_begin(p, s->detours);
        done = 0;
        do {
            sim_strategy(SIM_SYSTEMATIC);
            if ((verdict = cast_play(s, c)) != NULL) {
                snprintf(how, sizeof how, "%u pre-emptions, run %lu", p, done);
                write_failure(plan, s, c, how, verdict);
                t->violations++;
                return false;
            }
            done++;
            if (sim_choices() > longest)
                longest = sim_choices();
            t->steps += cast.guest_steps;
            t->stops += cast.stops_completed;
        } while (sim_systematic_next() && done < cap);
        complete = !sim_systematic_next() || done < cap;
        preemptions = p;
        systematic = done; /* has those of the bounds before, too */
    }
    double middle = now_s();
    if (longest == 0) {
        sim_strategy(SIM_DEFAULT);
        if ((verdict = cast_play(s, c)) != NULL) {
            write_failure(plan, s, c, "without pre-emption", verdict);
            t->violations++;
            return false;
        }
        longest = sim_choices();
    }
    for (unsigned long i = 0; i < plan->runs; i++) {
        sim_strategy(SIM_RANDOM);
        sim_random(plan->seed + i, (unsigned)longest);
        if ((verdict = cast_play(s, c)) != NULL) {
            snprintf(how, sizeof how, "seed %" PRIu64, plan->seed + i);
            write_failure(plan, s, c, how, verdict);
            t->violations++;
            return false;
        }
        t->steps += cast.guest_steps;
        t->stops += cast.stops_completed;
    }
    double end = now_s();
    t->systematic += systematic;
    t->random += plan->runs;
    if (!plan->quiet) {
        char bound[48] = "-";
        if (s->preemptions > 0)
            snprintf(bound, sizeof bound, "%u pre-emptions, %s", preemptions,
                     complete ? "all" : "cut short");
        printf("# %-30s %-6s %8lu systematic (%s) %8lu random  %5.1f s %7.0f/s\n", s->name, c->name,
               systematic, bound, plan->runs, end - start,
               (double)(systematic + plan->runs) / (end - start + 1e-9));
        (void)middle;
        fflush(stdout);
    }
    return true;
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

static const struct scenario *find(const char *name)
{
    for (size_t i = 0; i < n_scenarios; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

static const struct conductor *find_conductor(const char *name)
{
#ifdef SCHEDULES_WORLD
    if (strcmp(name, "world") == 0)
        return &conductor_world;
#endif
    return strcmp(name, "small") == 0 ? &conductor_small : NULL;
}

static int replay(const char *what)
{
    char name[128], conductor[16] = "small";
    const struct scenario *s;
    const struct conductor *c;
    uint64_t seed;
    FILE *f = fopen(what, "r");
    if (f) {
        int n = fscanf(f, "stillpoint-schedule 1 %127s %15s", name, conductor);
        int r = n == 2 ? sim_schedule_read(f) : -1;
        fclose(f);
        s = find(name);
        c = find_conductor(conductor);
        if (r < 0 || !s || !c) {
            fprintf(stderr, "schedules: cannot replay %s: not a schedule of a known scenario\n",
                    what);
            return 2;
        }
        sim_strategy(SIM_REPLAY);
    } else {
        /* SCENARIO:CONDUCTOR:SEED */
        if (sscanf(what, "%127[^:]:%15[^:]:%" SCNu64, name, conductor, &seed) != 3 ||
            !(s = find(name)) || !(c = find_conductor(conductor))) {
            fprintf(stderr,
                    "schedules: cannot replay %s: neither a file nor "
                    "SCENARIO:CONDUCTOR:SEED\n",
                    what);
            return 2;
        }
        /* The length that the seed was used with. */
        unsigned longest = 0;
        sim_quiet(s->has_clocks ? rare_words : record_words);
        sim_strategy(SIM_DEFAULT);
        (void)cast_play(s, c);
        longest = sim_choices();
        sim_strategy(SIM_RANDOM);
        sim_random(seed, longest);
    }
    sim_trace_live(stdout);
    const char *verdict = cast_play(s, c);
    printf("%s\n", verdict ? verdict : "no violation");
    return verdict ? 1 : 0;
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
    struct plan plan = {.seed = 1,
                        .runs = 20000,
                        .cap = 200000,
                        .folder = ".",
                        .with_small = true,
                        .with_world = true};
    bool expect_violation = false;
    int o;
    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (o) {
        case ONLY:
            plan.only = optarg;
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
            plan.with_small = strcmp(optarg, "small") == 0;
            plan.with_world = strcmp(optarg, "world") == 0;
            break;
        case EXPECT:
            expect_violation = true;
            break;
        case FOLDER:
            plan.folder = optarg;
            break;
        case QUIET:
            plan.quiet = true;
            break;
        case LIST:
            for (size_t i = 0; i < n_scenarios; i++)
                printf("%s\n", scenarios[i].name);
            return 0;
        case REPLAY:
            return replay(optarg);
        default:
            return usage();
        }
    }
    if (optind < argc)
        return usage();
    const struct conductor *conductors[2];
    unsigned n_conductors = 0;
    if (plan.with_small)
        conductors[n_conductors++] = &conductor_small;
#ifdef SCHEDULES_WORLD
    if (plan.with_world)
        conductors[n_conductors++] = &conductor_world;
#endif
    struct tally t = {0};
    double start = now_s();
    for (unsigned k = 0; k < n_conductors; k++)
        for (size_t i = 0; i < n_scenarios; i++)
            if (!plan.only || is_in(plan.only, scenarios[i].name)) {
                explore(&plan, &scenarios[i], conductors[k], &t);
                if (expect_violation && t.violations > 0)
                    return 0;
            }
    double took = now_s() - start;
    printf("# %lu schedules (%lu systematic, %lu random from seed %" PRIu64
           "), %lu stops, %lu guest "
           "steps, %.1f s: %u violations\n",
           t.systematic + t.random, t.systematic, t.random, plan.seed, t.stops, t.steps, took,
           t.violations);
    return expect_violation ? t.violations == 0 : t.violations > 0;
}

#include "tests/schedules/explore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How many choices a made-up scenario has, about. */
#define MADE_UP_CHOICES 300

/* Words that only one actor reads in a scenario without clocks. */
static const char *const record_words[] = {"held_", "rung_ns", "parked_ns", NULL};
static const char *const rare_words[] = {"rung_ns", NULL};

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void write_failure(const struct explore_plan *plan, const struct scenario *s,
                          const struct conductor *c, const char *how, const char *verdict)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%s.schedule", plan->folder, s->name, c->name);
    FILE *f = fopen(path, "w");
    if (f) {
        fprintf(f, "stillpoint-schedule 1 %s %s %" PRIu64 "\n", s->name, c->name, cast_seed);
        sim_schedule_write(f);
        fclose(f);
    }
    printf("# %s, conductor %s, %s: %s\n# to see it: schedules --replay %s\n", s->name, c->name,
           how, verdict, path);
}

bool explore(const struct explore_plan *plan, const struct scenario *s, const struct conductor *c,
             struct explore_tally *t)
{
    char how[64];
    const char *verdict;
    if ((s->needs_world && c != &conductor_world) || (s->needs_small && c == &conductor_world))
        return true;
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
            t->guest_steps += cast.guest_steps;
            t->stops += cast.stops_completed;
        } while (sim_systematic_next() && done < cap);
        complete = !sim_systematic_next() || done < cap;
        preemptions = p;
        systematic = done; /* has those of the bounds before, too */
    }
    double middle = now_s();
    if (s->is_made_up)
        longest = MADE_UP_CHOICES;
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
        cast_seed = plan->seed + i;
        sim_strategy(SIM_RANDOM);
        sim_random(plan->seed + i, (unsigned)longest);
        if ((verdict = cast_play(s, c)) != NULL) {
            snprintf(how, sizeof how, "seed %" PRIu64, plan->seed + i);
            write_failure(plan, s, c, how, verdict);
            t->violations++;
            return false;
        }
        t->guest_steps += cast.guest_steps;
        t->stops += cast.stops_completed;
    }
    double end = now_s();
    t->systematic += systematic;
    t->random += plan->runs;
    if (!plan->is_quiet) {
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

static const struct scenario *find(const char *name)
{
    for (size_t i = 0; i < n_scenarios; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

const struct conductor *const conductors[] = {
    &conductor_small,
    &conductor_world,
    NULL,
};

static const struct conductor *find_conductor(const char *name)
{
    for (size_t i = 0; conductors[i]; i++)
        if (strcmp(conductors[i]->name, name) == 0)
            return conductors[i];
    return NULL;
}

int explore_replay(const char *what)
{
    char name[128], conductor[16] = "small";
    const struct scenario *s;
    const struct conductor *c;
    uint64_t seed;
    FILE *f = fopen(what, "r");
    if (f) {
        int n = fscanf(f, "stillpoint-schedule 1 %127s %15s %" SCNu64, name, conductor, &cast_seed);
        int r = n == 3 ? sim_schedule_read(f) : -1;
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
        cast_seed = seed;
        /* The length that the seed was used with. */
        unsigned longest = 0;
        sim_quiet(s->has_clocks ? rare_words : record_words);
        sim_strategy(SIM_DEFAULT);
        (void)cast_play(s, c);
        longest = s->is_made_up ? MADE_UP_CHOICES : sim_choices();
        sim_strategy(SIM_RANDOM);
        sim_random(seed, longest);
    }
    sim_trace_live(stdout);
    const char *verdict = cast_play(s, c);
    for (unsigned i = 0; i < CAST_VMS && cast.scenario->vms[i]; i++)
        printf("vm %u: %s\n", i, cast.scenario->vms[i]);
    for (unsigned i = 0; i < CAST_CLIENTS && cast.scenario->clients[i]; i++)
        printf("client %u: %s\n", i, cast.scenario->clients[i]);
    printf("%s\n", verdict ? verdict : "no violation");
    return verdict ? 1 : 0;
}

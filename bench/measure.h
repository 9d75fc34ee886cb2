/*
 * measure.h: what the programs of bench/ share: samples and their quantiles, what other processes
 * used of the CPUs meanwhile, the price of a context switch. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void sleep_ns(uint64_t ns);
/** Ends the program with a line about errno. */
void die(const char *what) __attribute__((noreturn));

struct sample {
    double *values;
    size_t n, size;
};

void sample_add(struct sample *s, double value);
void sample_clear(struct sample *s);
void sample_done(struct sample *s);
/** q from 0 to 1: the smallest value that so many of all do not exceed; 0 if there is none. Sorts
 *  the sample. */
double sample_quantile(struct sample *s, double q);

/** CPUs, memory, kernel and date in one line. */
const char *measure_machine(char *text, size_t size);

/**
 * CPU time of all processes but ours. All: the root of the cpuacct cgroups where there is one (ns),
 * else /proc/stat (10 ms). Ours: this process, its children that it has waited for, and the
 * cgroup whose directory is given (cpu.stat), which has none of these, or (inside) all.
 */
struct foreign {
    int all_fd, ours_fd, stat_fd;
    bool exact, inside; /* inside: set after init where it is so */
    uint64_t start_ns, all_ns, ours_ns, steal;
};

/** cgroup: a directory of cgroup v2 that has all processes of ours but this one. */
void foreign_init(struct foreign *f, const char *cgroup);
void foreign_done(struct foreign *f);
void foreign_begin(struct foreign *f);
/** The share of all CPUs that others had since begin, 0 to 1; 1 if the hypervisor took any. */
double foreign_share(struct foreign *f);

/**
 * For a machine that is not quiet: this process and those that it makes from now on become a
 * session of their own, which the scheduler's autogroups then prefer to all others (nice -20), and
 * one process of the idle class on each CPU takes what is left. Its time counts as ours. Others get
 * a few per cent meanwhile. Returns 0 or negative errno. shield_done() ends it.
 */
int shield_init(void);
void shield_done(void);

/** ns of one switch between `n` processes on one CPU, by sched_yield; the best of a few tries. */
double context_switch_ns(unsigned n);

/**
 * Pages of shared memory, one in a memfd of its own each: what has to be looked at to know what n
 * processes say of themselves. Made one by one, between the births of those processes, they lie as
 * scattered in memory as theirs.
 */
struct pages {
    const _Atomic uint64_t **words;
    size_t n, most;
};

void pages_init(struct pages *p, size_t most);
void pages_done(struct pages *p);
void pages_add(struct pages *p);
/** ns that it takes to load one word of each. */
uint64_t pages_read_ns(const struct pages *p);

/** SCHED_FIFO for this process, not for those that it makes. Returns 0 or negative errno. */
int become_fifo(int priority);

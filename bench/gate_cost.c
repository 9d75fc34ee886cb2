/*
 * gate_cost.c: what the gate costs who passes it. The real shared-mem/gate.c on pages of its own,
 * one thread, everything in the nearest cache, gate open; prints one table and holds it against the
 * goal.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/measure.h"
#include "shared-mem/gate.h"
#include "shared-mem/layout.h"

#define ROUNDS 20000
#define PASSES 1000 /* short: most rounds are not interrupted */
#define GOAL_NS 25.0

static int no_drain(void *userdata)
{
    (void)userdata;
    return 0;
}

static void *page(void)
{
    void *p = mmap(NULL, SHM_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("gate_cost: mmap");
        exit(1);
    }
    return p;
}

static void enter_leave_idle(struct gate *g)
{
    (void)gate_enter(g);
    gate_leave(g, SHM_IDLE);
}

static void enter_leave_blocked(struct gate *g)
{
    (void)gate_enter(g);
    gate_leave(g, SHM_BLOCKED);
}

static void poll_once(struct gate *g)
{
    (void)gate_poll(g);
}

static void nothing(struct gate *g)
{
    (void)g;
}

static void clock_once(struct gate *g)
{
    (void)gate_clock_ns(g);
}

/* Called through a pointer that the compiler cannot see through: the call itself is in the figure,
 * and `nothing` says how much it is. */
static double median_ns(struct gate *g, void (*volatile what)(struct gate *), struct sample *s)
{
    sample_clear(s);
    for (int i = 0; i < ROUNDS; i++) {
        void (*f)(struct gate *) = what;
        uint64_t start = now_ns();
        for (int k = 0; k < PASSES; k++)
            f(g);
        sample_add(s, (double)(now_ns() - start) / PASSES);
    }
    return sample_quantile(s, 0.5);
}

int main(void)
{
    struct world_page *world = page();
    struct command_page *command = page();
    struct status_page *status = page();
    struct gate g;
    struct sample s = {0};
    SHM_STORE(&world->word, shm_world_word(1, true));
    SHM_STORE(&command->word, shm_command_word(0, true));
    gate_init(&g, world, command, status, -1, no_drain, NULL);
    static const struct {
        const char *name;
        void (*what)(struct gate *);
    } rows[] = {
        {"enter + leave, to idle", enter_leave_idle},
        {"enter + leave, to blocked", enter_leave_blocked},
        {"poll inside guest code", poll_once},
        {"the VM's clock", clock_once},
        {"an empty call", nothing},
    };
    double worst = 0;
    char machine[200];
    printf("%s\n", measure_machine(machine, sizeof machine));
    printf("cost of the gate in ns, %d rounds of %d passes, one thread\n", ROUNDS, PASSES);
    printf("%-28s%10s%10s\n", "", "p50", "p99");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].what == poll_once)
            (void)gate_enter(&g);
        double p50 = median_ns(&g, rows[i].what, &s);
        printf("%-28s%10.1f%10.1f\n", rows[i].name, p50, sample_quantile(&s, 0.99));
        if (i < 2 && p50 > worst)
            worst = p50;
    }
    printf("goal: enter + leave at most %.0f ns: %.1f, %s\n", GOAL_NS, worst,
           worst <= GOAL_NS ? "met" : "NOT MET");
    sample_done(&s);
    return 0;
}

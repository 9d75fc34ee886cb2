/*
 * cpu_latency.h: for as long as somebody debugs, no CPU sleeps so deeply that waking it takes
 * longer than the setting cpu-latency. A request to stop a world waits for the daemon to be woken,
 * and on a machine that idles that is most of what it waits for. The means is the kernel's CPU
 * latency QoS (Documentation/power/pm_qos_interface.rst): the least of what all holders of the
 * device have written is in force, and what we wrote goes with our descriptor, however we end. It
 * costs power, and acts on all CPUs: only an administrator asks for it; decision 0063 has the rest.
 *
 * Process and thread: the daemon's only thread. Owns the descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CPU_LATENCY_DEVICE "/dev/cpu_dma_latency"

struct cpu_latency;

/**
 * Opens the device, for which it may need the starter's rights, unless `us` is
 * CONFIG_CPU_LATENCY_NONE. Asks for nothing yet. A device that cannot be had is logged, and no
 * error: stops are slower. NULL without memory.
 */
struct cpu_latency *cpu_latency_new(const char *device, uint64_t us);
struct cpu_latency *cpu_latency_free(struct cpu_latency *c);

/** From now on CPUs may not sleep deeper, or may again; nothing if it is so already. */
void cpu_latency_hold(struct cpu_latency *c, bool hold);
bool cpu_latency_is_held(const struct cpu_latency *c);
/** What was asked for, us, or CONFIG_CPU_LATENCY_NONE. */
uint64_t cpu_latency_us(const struct cpu_latency *c);
/** Why it cannot be had although it was asked for: errno, or 0. */
int cpu_latency_error(const struct cpu_latency *c);

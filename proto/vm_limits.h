/*
 * vm_limits.h: what one VM may use: as it was asked for, as the daemon has it by default, and as
 * it was given. Plain data, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** 0: not said, or no such limit. */
struct vm_limits {
    uint64_t
        memory_bytes; /**< of the engine's heap; the hard limit of the process follows from it */
    uint64_t cpu_time_us; /**< of the process, all threads */
    uint64_t timeout_us;  /**< on the VM's world clock */
    uint64_t output_rate; /**< bytes of console in a second */
    uint64_t log_bytes;   /**< of console that are kept for `logs` */
    uint32_t cpu_percent; /**< of one CPU */
    uint32_t tasks;       /**< threads of the process */
};

/** What a VM has when nobody says otherwise: the DEFAULT_VM_ numbers of limits.h. */
void vm_limits_default(struct vm_limits *ret);

/** Takes from `defaults` what `limits` does not say. */
void vm_limits_complete(struct vm_limits *limits, const struct vm_limits *defaults);

/** NULL if each limit that is said is in its range; else a static text: which one is not, and what
 * the range is. */
const char *vm_limits_wrong(const struct vm_limits *limits);

/**
 * Sets the limit of this name, as files spell it ("cpu-time"), which is one of vm_limits_keys.
 * `none`, where it may be that, is 0. NULL, or a text that holds until the next call: what is
 * expected there.
 */
const char *vm_limits_set(struct vm_limits *limits, const char *key, const char *value,
                          bool may_be_none);
/** Ends with NULL. */
extern const char *const vm_limits_keys[];

/** What the process may have, with its code, stacks and garbage that was not collected yet. */
uint64_t vm_limits_hard_memory(const struct vm_limits *limits);

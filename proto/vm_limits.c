#include "proto/vm_limits.h"

#include <stdbool.h>
#include <stddef.h>

#include "proto/limits.h"

void vm_limits_default(struct vm_limits *ret)
{
    *ret = (struct vm_limits){
        .memory_bytes = DEFAULT_VM_MEMORY_BYTES,
        .log_bytes = DEFAULT_VM_LOG_BYTES,
    };
}

void vm_limits_complete(struct vm_limits *limits, const struct vm_limits *defaults)
{
    uint64_t *const to[] = {&limits->memory_bytes, &limits->cpu_time_us, &limits->timeout_us,
                            &limits->output_rate, &limits->log_bytes};
    const uint64_t from[] = {defaults->memory_bytes, defaults->cpu_time_us, defaults->timeout_us,
                             defaults->output_rate, defaults->log_bytes};
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++)
        if (*to[i] == 0)
            *to[i] = from[i];
    if (limits->cpu_percent == 0)
        limits->cpu_percent = defaults->cpu_percent;
    if (limits->tasks == 0)
        limits->tasks = defaults->tasks;
}

const char *vm_limits_wrong(const struct vm_limits *limits)
{
    const struct {
        uint64_t value, min, max;
        const char *text;
    } ranges[] = {
        {limits->memory_bytes, 8ull << 20, 1ull << 40,
         "memory limit must be between 8 MiB and 1 TiB"},
        {limits->cpu_time_us, 1, LIMIT_TIME_US, "CPU time must be at most a year"},
        {limits->timeout_us, 1, LIMIT_TIME_US, "timeout must be at most a year"},
        {limits->output_rate, 1024, 1ull << 40,
         "output rate must be between 1 KiB and 1 TiB a second"},
        {limits->log_bytes, 4096, LIMIT_LOG_BYTES, "log size must be between 4 KiB and 4 MiB"},
        {limits->cpu_percent, 1, 100u * 1024, "CPU share must be between 1% and 102400%"},
        {limits->tasks, LIMIT_VM_MIN_TASKS, LIMIT_VM_TASKS, "tasks must be between 5 and 64"},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint64_t value = ranges[i].value;
        if (value != 0 && (value < ranges[i].min || value > ranges[i].max))
            return ranges[i].text;
    }
    return NULL;
}

uint64_t vm_limits_hard_memory(const struct vm_limits *limits)
{
    return 2 * limits->memory_bytes + (256ull << 20);
}

#include "proto/vm_limits.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
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

static bool to_percent(const char *value, uint64_t *ret)
{
    char digits[16];
    size_t n = strlen(value);
    if (n < 2 || n > sizeof digits || value[n - 1] != '%')
        return false;
    memcpy(digits, value, n - 1);
    digits[n - 1] = '\0';
    return text_to_u64(digits, ret);
}

static const struct kind {
    const char *what;
    bool (*convert)(const char *value, uint64_t *ret);
    size_t offset;
    bool is_u32;
} kinds[] = {
    {"bytes, like 256M", text_to_bytes, offsetof(struct vm_limits, memory_bytes), false},
    {"a share of one CPU, like 50%", to_percent, offsetof(struct vm_limits, cpu_percent), true},
    {"a time, like 10s", text_to_us, offsetof(struct vm_limits, cpu_time_us), false},
    {"a time, like 10min", text_to_us, offsetof(struct vm_limits, timeout_us), false},
    {"a number", text_to_u64, offsetof(struct vm_limits, tasks), true},
    {"bytes (in a second), like 1M", text_to_bytes, offsetof(struct vm_limits, output_rate), false},
    {"bytes, like 256K", text_to_bytes, offsetof(struct vm_limits, log_bytes), false},
};

const char *const vm_limits_keys[] = {"memory", "cpu",         "cpu-time", "timeout",
                                      "tasks",  "output-rate", "log-size", NULL};
_Static_assert(sizeof vm_limits_keys / sizeof vm_limits_keys[0] ==
                   sizeof kinds / sizeof kinds[0] + 1,
               "each key has its kind");

static void put(struct vm_limits *limits, const struct kind *k, uint64_t value)
{
    char *to = (char *)limits + k->offset;
    if (k->is_u32)
        *(uint32_t *)(void *)to = (uint32_t)value;
    else
        *(uint64_t *)(void *)to = value;
}

const char *vm_limits_set(struct vm_limits *limits, const char *key, const char *value,
                          bool may_be_none)
{
    static char expected[128]; /* read before the next is set */
    struct vm_limits alone = {0};
    uint64_t v = 0;
    size_t i = 0;
    while (strcmp(vm_limits_keys[i], key) != 0)
        i++;
    const struct kind *k = &kinds[i];
    bool is_none = may_be_none && strcmp(value, "none") == 0;
    bool fits = is_none || (k->convert(value, &v) && v != 0 && (!k->is_u32 || v <= UINT32_MAX));
    if (fits)
        put(&alone, k, v);
    const char *wrong = fits ? vm_limits_wrong(&alone) : NULL;
    if (!fits || wrong) {
        snprintf(expected, sizeof expected, "%s%s%s%s", k->what, may_be_none ? ", or none" : "",
                 wrong ? ": " : "", wrong ? wrong : "");
        return expected;
    }
    put(limits, k, v);
    return NULL;
}

uint64_t vm_limits_hard_memory(const struct vm_limits *limits)
{
    return 2 * limits->memory_bytes + (256ull << 20);
}

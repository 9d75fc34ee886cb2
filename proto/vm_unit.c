#include "proto/vm_unit.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/ini_file.h"
#include "base/text.h"

static const char *const restarts[] = {
    [VM_UNIT_RESTART_NO] = "no",
    [VM_UNIT_RESTART_ON_FAILURE] = "on-failure",
    [VM_UNIT_RESTART_ALWAYS] = "always",
};

/* ---- lists of words */

static const char *append(char ***list, size_t *n, const char *text, size_t bytes)
{
    char **longer = reallocarray(*list, *n + 2, sizeof *longer);
    if (!longer)
        return "more memory";
    *list = longer;
    longer[*n + 1] = NULL;
    longer[*n] = text_dup(text, bytes);
    if (!longer[*n])
        return "more memory";
    ++*n;
    return NULL;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word, without its quotes, into `word`, which has room for all of the text. NULL: there
 * is none; else where to go on, or `open` if a quotation does not end. */
static const char *next_word(const char *at, char *word, const char *open)
{
    char quote = '\0';
    while (is_blank(*at))
        at++;
    if (!*at)
        return NULL;
    for (; *at && (quote || !is_blank(*at)); at++) {
        if (quote != '\'' && *at == '\\' && at[1])
            *word++ = *++at;
        else if (quote && *at == quote)
            quote = '\0';
        else if (!quote && (*at == '"' || *at == '\''))
            quote = *at;
        else
            *word++ = *at;
    }
    *word = '\0';
    return quote ? open : at;
}

static const char *add_args(struct vm_unit *u, const char *value)
{
    static const char open[] = "";
    size_t total = 0;
    _cleanup_free_ char *word = malloc(strlen(value) + 1);
    if (!word)
        return "more memory";
    const char *at = value;
    while ((at = next_word(at, word, open)) != NULL) {
        if (at == open)
            return "words, with an end to each quotation";
        const char *wrong = append(&u->argv, &u->argc, word, strlen(word));
        if (wrong)
            return wrong;
    }
    for (size_t i = 0; i < u->argc; i++)
        total += strlen(u->argv[i]) + 1;
    if (u->argc > LIMIT_ARGS || total > LIMIT_ARGS_BYTES)
        return "fewer or shorter words";
    return NULL;
}

static bool has_label(const struct vm_unit *u, const char *label, size_t key_bytes)
{
    for (size_t i = 0; i < u->n_labels; i++)
        if (strncmp(u->labels[i], label, key_bytes + 1) == 0)
            return true;
    return false;
}

/* KEY=VALUE, a key like a name and a value of the same letters, or none. */
static bool is_label(const char *label)
{
    char key[LIMIT_NAME_BYTES + 1];
    size_t n = strcspn(label, "=");
    if (label[n] != '=' || n > LIMIT_NAME_BYTES)
        return false;
    memcpy(key, label, n);
    key[n] = '\0';
    return text_is_name(key, LIMIT_NAME_BYTES) &&
           (!label[n + 1] || text_is_label_value(label + n + 1, LIMIT_NAME_BYTES));
}

static const char *add_labels(struct vm_unit *u, const char *value)
{
    static const char expected[] = "words like KEY=VALUE, each key once, of letters, digits, '.', "
                                   "'_' and '-'";
    for (const char *at = value + strspn(value, " \t"); *at; at += strspn(at, " \t")) {
        size_t n = strcspn(at, " \t");
        if (u->n_labels == LIMIT_LABELS)
            return "fewer labels";
        const char *wrong = append(&u->labels, &u->n_labels, at, n);
        if (wrong)
            return wrong;
        const char *label = u->labels[--u->n_labels];
        bool fits = is_label(label) && !has_label(u, label, strcspn(label, "="));
        u->n_labels++;
        if (!fits)
            return expected;
        at += n;
    }
    return NULL;
}

/* ---- one key */

static const char *set_text(char **to, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return "more memory";
    free(*to);
    *to = copy;
    return NULL;
}

static const char *set_program(struct vm_unit *u, const char *value)
{
    const char *base = strrchr(value, '/');
    if (value[0] != '/' || !text_is_bundle_path(base + 1, LIMIT_PATH_BYTES))
        return "the absolute path of a file";
    return set_text(&u->program, value);
}

static const char *set_world(struct vm_unit *u, const char *value)
{
    return text_is_name(value, LIMIT_NAME_BYTES) ? set_text(&u->world, value) : "a name of a world";
}

static const char *set_engine(struct vm_unit *u, const char *value)
{
    return text_is_name(value, LIMIT_NAME_BYTES) ? set_text(&u->engine, value)
                                                 : "a name of an engine";
}

static const char *set_owner(struct vm_unit *u, const char *value)
{
    return *value ? set_text(&u->owner, value) : "a user";
}

static const char *set_bool(bool *to, const char *value)
{
    *to = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    if (!*to && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
        return "yes or no";
    return NULL;
}

static const char *set_enabled(struct vm_unit *u, const char *value)
{
    return set_bool(&u->enabled, value);
}

static const char *set_exit_when_done(struct vm_unit *u, const char *value)
{
    return set_bool(&u->exit_when_done, value);
}

static const char *set_debug(struct vm_unit *u, const char *value)
{
    return set_bool(&u->debug, value);
}

static const char *set_restart(struct vm_unit *u, const char *value)
{
    for (unsigned i = VM_UNIT_RESTART_NO; i <= VM_UNIT_RESTART_ALWAYS; i++) {
        if (strcmp(restarts[i], value) != 0)
            continue;
        u->restart = (enum vm_unit_restart)i;
        return NULL;
    }
    return "no, on-failure or always";
}

static const char *set_time(uint64_t *to, const char *value)
{
    uint64_t us;
    if (!text_to_us(value, &us) || us < 1000 || us > LIMIT_TIME_US)
        return "a time from 1ms to a year, like 10s";
    *to = us;
    return NULL;
}

static const char *set_delay(struct vm_unit *u, const char *value)
{
    return set_time(&u->delay_us, value);
}

static const char *set_delay_max(struct vm_unit *u, const char *value)
{
    return set_time(&u->delay_max_us, value);
}

static const char *set_reset(struct vm_unit *u, const char *value)
{
    return set_time(&u->reset_us, value);
}

static const char *set_attempts(struct vm_unit *u, const char *value)
{
    uint64_t n = 0;
    bool is_none = strcmp(value, "none") == 0;
    if (!is_none && (!text_to_u64(value, &n) || n == 0 || n > 1000000))
        return "a number from 1 to 1000000, or none";
    u->attempts = (uint32_t)n;
    return NULL;
}

static const struct key {
    const char *section, *key;
    const char *(*set)(struct vm_unit *u, const char *value); /* NULL, or what is expected */
    bool adds;                                                /* may be said several times */
} keys[] = {
    {"vm", "program", set_program, false},
    {"vm", "args", add_args, true},
    {"vm", "world", set_world, false},
    {"vm", "engine", set_engine, false},
    {"vm", "owner", set_owner, false},
    {"vm", "labels", add_labels, true},
    {"vm", "enabled", set_enabled, false},
    {"vm", "exit-when-done", set_exit_when_done, false},
    {"vm", "debug", set_debug, false},
    {"vm", "restart", set_restart, false},
    {"vm", "restart-delay", set_delay, false},
    {"vm", "restart-delay-max", set_delay_max, false},
    {"vm", "restart-attempts", set_attempts, false},
    {"vm", "restart-reset", set_reset, false},
};
#define N_KEYS (sizeof keys / sizeof keys[0])
#define N_LIMITS 7

/* ---- the file */

struct reading {
    struct vm_unit *unit;
    vm_unit_error on_error;
    void *userdata;
    unsigned said[N_KEYS + N_LIMITS]; /* in which line; 0: not yet */
};

static bool knows_section(void *userdata, const char *section)
{
    (void)userdata;
    return strcmp(section, "vm") == 0 || strcmp(section, "limits") == 0;
}

/* Which of the keys of a file that is; the limits come after the others. -1: none. */
static int find_key(const char *section, const char *key)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].key, key) == 0)
            return (int)i;
    for (size_t i = 0; strcmp(section, "limits") == 0 && vm_limits_keys[i]; i++)
        if (strcmp(vm_limits_keys[i], key) == 0)
            return (int)(N_KEYS + i);
    return -1;
}

static void on_value(void *userdata, struct ini_file *f, const char *section, const char *key,
                     const char *value)
{
    struct reading *r = userdata;
    int at = find_key(section, key);
    if (at < 0) {
        const char *other = strcmp(section, "vm") == 0 ? "limits" : "vm";
        if (find_key(other, key) >= 0)
            ini_file_complain(f, "there is no '%s' in section [%s]: it belongs to [%s]", key,
                              section, other);
        else
            ini_file_complain(f, "there is no '%s' in section [%s] (see stillpoint-vm.conf(5))",
                              key, section);
        return;
    }
    bool is_limit = at >= (int)N_KEYS;
    /* What came later would hold, and whoever reads the file from the top would not know. */
    if (r->said[at] > 0 && (is_limit || !keys[at].adds)) {
        ini_file_complain(f, "'%s' has been said in line %u already", key, r->said[at]);
        return;
    }
    r->said[at] = ini_file_line(f);
    const char *expected = is_limit ? vm_limits_set(&r->unit->limits, key, value, false)
                                    : keys[at].set(r->unit, value);
    if (expected)
        ini_file_complain(f, "[%s] %s takes %s, not '%s'", section, key, expected, value);
}

static void on_error(void *userdata, const char *path, unsigned line, const char *text)
{
    struct reading *r = userdata;
    r->on_error(r->userdata, path, line, text);
}

static int set_defaults(struct vm_unit *u)
{
    *u = (struct vm_unit){
        .enabled = true,
        .restart = VM_UNIT_RESTART_NO,
        .delay_us = DEFAULT_RESTART_DELAY_US,
        .delay_max_us = DEFAULT_RESTART_DELAY_MAX_US,
        .attempts = DEFAULT_RESTART_ATTEMPTS,
        .reset_us = DEFAULT_RESTART_RESET_US,
        .world = strdup("default"),
        .engine = strdup("mozjs"),
    };
    return u->world && u->engine ? 0 : -ENOMEM;
}

/* What no line says alone. */
static bool is_whole(const struct reading *r, const char *path)
{
    const struct vm_unit *u = r->unit;
    unsigned line = r->said[find_key("vm", "restart-delay-max")];
    if (!u->program && r->said[find_key("vm", "program")] == 0)
        r->on_error(r->userdata, path, 0, "[vm] program is missing");
    if (u->delay_max_us >= u->delay_us)
        return u->program != NULL;
    if (line == 0)
        line = r->said[find_key("vm", "restart-delay")];
    r->on_error(r->userdata, path, line,
                "restart-delay is longer than restart-delay-max (1min unless said)");
    return false;
}

int vm_unit_read(int fd, const char *path, vm_unit_error error, void *userdata, struct vm_unit *ret)
{
    struct vm_unit u;
    struct reading reading = {.unit = &u, .on_error = error, .userdata = userdata};
    const struct ini_file_reader reader = {
        .sections = "vm and limits",
        .knows_section = knows_section,
        .on_value = on_value,
        .on_error = on_error,
        .userdata = &reading,
    };
    int r = set_defaults(&u);
    if (r == 0)
        r = ini_file_read_fd(fd, path, &reader);
    if (r != -ENOMEM && !is_whole(&reading, path))
        r = -EINVAL;
    if (r < 0) {
        vm_unit_done(&u);
        return r;
    }
    u.program_line = reading.said[find_key("vm", "program")];
    u.owner_line = reading.said[find_key("vm", "owner")];
    *ret = u;
    return 0;
}

void vm_unit_done(struct vm_unit *u)
{
    char *texts[] = {u->program, u->world, u->engine, u->owner};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free_list(u->argv, u->argc);
    free_list(u->labels, u->n_labels);
    *u = (struct vm_unit){0};
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_list(char *const *a, size_t n, char *const *b, size_t m)
{
    size_t i = 0;
    while (n == m && i < n && strcmp(a[i], b[i]) == 0)
        i++;
    return n == m && i == n;
}

bool vm_unit_equal(const struct vm_unit *a, const struct vm_unit *b)
{
    const uint64_t numbers[][2] = {
        {a->limits.memory_bytes, b->limits.memory_bytes},
        {a->limits.cpu_time_us, b->limits.cpu_time_us},
        {a->limits.timeout_us, b->limits.timeout_us},
        {a->limits.output_rate, b->limits.output_rate},
        {a->limits.log_bytes, b->limits.log_bytes},
        {a->limits.cpu_percent, b->limits.cpu_percent},
        {a->limits.tasks, b->limits.tasks},
        {a->enabled, b->enabled},
        {a->exit_when_done, b->exit_when_done},
        {a->debug, b->debug},
        {a->restart, b->restart},
        {a->delay_us, b->delay_us},
        {a->delay_max_us, b->delay_max_us},
        {a->attempts, b->attempts},
        {a->reset_us, b->reset_us},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i][0] != numbers[i][1])
            return false;
    return is_same_text(a->program, b->program) && is_same_text(a->world, b->world) &&
           is_same_text(a->engine, b->engine) && is_same_text(a->owner, b->owner) &&
           is_same_list(a->argv, a->argc, b->argv, b->argc) &&
           is_same_list(a->labels, a->n_labels, b->labels, b->n_labels);
}

bool vm_unit_name_of(const char *path, char ret_name[LIMIT_NAME_BYTES + 1])
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strlen(base);
    char name[LIMIT_NAME_BYTES + 1];
    if (n < 6 || n - 5 > LIMIT_NAME_BYTES || strcmp(base + n - 5, ".conf") != 0)
        return false;
    memcpy(name, base, n - 5);
    name[n - 5] = '\0';
    if (!text_is_name(name, LIMIT_NAME_BYTES))
        return false;
    memcpy(ret_name, name, n - 4);
    return true;
}

unsigned vm_unit_source_kind(const char *program)
{
    const char *dot = strrchr(program, '.');
    return dot && strcmp(dot, ".mjs") == 0 ? 1 : dot && strcmp(dot, ".wasm") == 0 ? 2 : 0;
}

int vm_unit_owner(const struct vm_unit *u, uid_t otherwise, uid_t *ret)
{
    uint64_t number;
    const struct passwd *p = u->owner ? getpwnam(u->owner) : NULL;
    if (!u->owner)
        *ret = otherwise;
    else if (p)
        *ret = p->pw_uid;
    else if (text_to_u64(u->owner, &number) && number < UINT32_MAX)
        *ret = (uid_t)number;
    else
        return -ENOENT;
    return 0;
}

const char *vm_unit_restart_text(enum vm_unit_restart restart)
{
    return restarts[restart];
}

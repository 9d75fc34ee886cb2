#include "daemon/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ini.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "proto/limits.h"

/* A file that is longer is none of ours. */
#define FILE_BYTES (1024u * 1024)

static const char help[] =
    "Usage: stillpointd [OPTION...]\n"
    "Runs language VMs in sandboxed worker processes and stops them as one.\n"
    "\n"
    "  --config FILE          read FILE and FILE.d/*.conf, instead of " CONFIG_FILE "\n"
    "  --check-config         say whether command line and configuration are right, and end\n"
    "  --socket PATH          control socket (default: $XDG_RUNTIME_DIR/stillpoint/control.sock,\n"
    "                         as root /run/stillpoint/control.sock)\n"
    "  --runtime-dir DIR      directory of the control socket, instead of --socket\n"
    "  --observe-socket PATH  socket for those who only look (default: observe.sock beside the\n"
    "                         control socket), or none\n"
    "  --user NAME            who to become when started as root (default: stillpoint, else "
    "nobody)\n"
    "  --spawn zygote|exec    fork workers from a warm process, or start each afresh\n"
    "  --worker-dir DIR       where the worker programs are\n"
    "  --allow-degraded       start workers even where a needed layer of the sandbox cannot be "
    "had\n"
    "  --keep-vms             let VMs outlive this daemon, where a service manager keeps them\n"
    "  --private-fd N         serve the one client on this socket, and end with it\n"
    "  --debug                log state changes\n"
    "  -h, --help             show this\n"
    "  --version              show the version\n"
    "\n"
    "Stays in the foreground; logs to stderr, or to the journal when stderr leads there.\n"
    "The configuration file is described in stillpointd.conf(5).\n";

/* ---- what can be set */

struct setting;
/* Returns NULL, or what is expected there. */
typedef const char *set_function(struct config *c, const struct setting *s, const char *value);

struct setting {
    const char *section, *key, *option; /* option NULL: only in a file */
    set_function *set;
    size_t offset;
    uint64_t min, max;
    bool is_u32;    /* else 64 bits */
    bool is_needed; /* a default that nobody can be without */
    bool is_path;   /* absolute in a file; on the command line somebody is somewhere */
    bool at_start;  /* a change waits for the next start */
};

static void *field(struct config *c, const struct setting *s)
{
    return (char *)c + s->offset;
}

static const char *set_text(struct config *c, const struct setting *s, const char *value)
{
    char **to = field(c, s);
    if (!*value)
        return "a value";
    char *copy = strdup(value);
    if (!copy)
        return "more memory";
    free(*to);
    *to = copy;
    return NULL;
}

static const char *set_spawn(struct config *c, const struct setting *s, const char *value)
{
    enum config_spawn *to = field(c, s);
    if (strcmp(value, "zygote") == 0)
        *to = CONFIG_SPAWN_ZYGOTE;
    else if (strcmp(value, "exec") == 0)
        *to = CONFIG_SPAWN_EXEC;
    else
        return "zygote or exec";
    return NULL;
}

static const char *set_bool(struct config *c, const struct setting *s, const char *value)
{
    bool *to = field(c, s);
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
        return "yes or no";
    *to = yes;
    return NULL;
}

static const char *set_number(struct config *c, const struct setting *s, const char *value,
                              bool (*convert)(const char *value, uint64_t *ret), const char *what)
{
    static char expected[128]; /* read before the next is set: there is one thread */
    uint64_t v;
    if (convert(value, &v) && v >= s->min && v <= s->max) {
        *(uint64_t *)field(c, s) = v;
        return NULL;
    }
    snprintf(expected, sizeof expected, "%s from %llu to %llu", what, (unsigned long long)s->min,
             (unsigned long long)s->max);
    return expected;
}

static const char *set_count(struct config *c, const struct setting *s, const char *value)
{
    return set_number(c, s, value, text_to_u64, "a number");
}

static const char *set_bytes(struct config *c, const struct setting *s, const char *value)
{
    return set_number(c, s, value, text_to_bytes, "bytes (with K, M or G if you like)");
}

static const char *set_time(struct config *c, const struct setting *s, const char *value)
{
    uint64_t us;
    if (!text_to_us(value, &us) || us < s->min || us > s->max)
        return "a time from 100ms to 1h";
    *(uint64_t *)field(c, s) = us;
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

/* A limit of a VM, in a struct vm_limits; what it may be is vm_limits_wrong()'s to say. `none` is
 * none, where a default would be. */
static const char *set_vm_limit(struct config *c, const struct setting *s, const char *value)
{
    static char expected[128]; /* as in set_number() */
    static const struct {
        const char *key, *what;
        bool (*convert)(const char *value, uint64_t *ret);
    } kinds[] = {
        {"memory", "bytes, like 256M, or none", text_to_bytes},
        {"cpu-time", "a time, like 10s, or none", text_to_us},
        {"timeout", "a time, like 10min, or none", text_to_us},
        {"output-rate", "bytes (in a second), like 1M, or none", text_to_bytes},
        {"log-size", "bytes, like 256K", text_to_bytes},
        {"cpu", "a share of one CPU, like 50%, or none", to_percent},
        {"tasks", "a number, or none", text_to_u64},
    };
    uint64_t v = 0;
    size_t i = 0;
    while (strcmp(kinds[i].key, s->key) != 0)
        i++;
    bool is_none = strcmp(value, "none") == 0;
    if (!is_none && (!kinds[i].convert(value, &v) || v == 0 || (s->is_u32 && v > UINT32_MAX)))
        return kinds[i].what;
    struct vm_limits alone = {0};
    const bool is_default = s->offset < offsetof(struct config, vm_max);
    const size_t base =
        is_default ? offsetof(struct config, vm_defaults) : offsetof(struct config, vm_max);
    void *const to[] = {field(c, s), (char *)&alone + (s->offset - base)};
    if (s->is_u32)
        *(uint32_t *)to[1] = (uint32_t)v;
    else
        *(uint64_t *)to[1] = v;
    const char *wrong = vm_limits_wrong(&alone);
    if (wrong || (is_none && is_default && s->is_needed)) {
        snprintf(expected, sizeof expected, "%s%s%s", kinds[i].what, wrong ? ": " : " but not none",
                 wrong ? wrong : "");
        return expected;
    }
    if (s->is_u32)
        *(uint32_t *)to[0] = (uint32_t)v;
    else
        *(uint64_t *)to[0] = v;
    return NULL;
}

#define SETTING(in, called, as, how, member)                                                       \
    .section = (in), .key = (called), .option = (as), .set = (how),                                \
    .offset = offsetof(struct config, member)
#define GROUP(called, which)                                                                       \
    {                                                                                              \
        SETTING("access", called, NULL, set_text, groups[which])                                   \
    }
#define VM_LIMIT(in, called, member, ...)                                                          \
    {                                                                                              \
        SETTING(in, called, NULL, set_vm_limit, member), __VA_ARGS__                               \
    }
#define VM_LIMITS(in, member)                                                                      \
    VM_LIMIT(in, "memory", member.memory_bytes, .is_needed = true),                                \
        VM_LIMIT(in, "cpu", member.cpu_percent, .is_u32 = true),                                   \
        VM_LIMIT(in, "cpu-time", member.cpu_time_us, .is_u32 = false),                             \
        VM_LIMIT(in, "timeout", member.timeout_us, .is_u32 = false),                               \
        VM_LIMIT(in, "tasks", member.tasks, .is_u32 = true),                                       \
        VM_LIMIT(in, "output-rate", member.output_rate, .is_u32 = false),                          \
        VM_LIMIT(in, "log-size", member.log_bytes, .is_needed = true)
#define COUNT(in, called, member, least, most)                                                     \
    {                                                                                              \
        SETTING(in, called, NULL, set_count, member), .min = (least), .max = (most)                \
    }

static const struct setting settings[] = {
    {SETTING("daemon", "socket", "socket", set_text, socket_path), .is_path = true,
     .at_start = true},
    {SETTING("daemon", "observe-socket", "observe-socket", set_text, observe_path), .is_path = true,
     .at_start = true},
    {SETTING("daemon", "user", "user", set_text, user), .at_start = true},
    {SETTING("daemon", "spawn", "spawn", set_spawn, spawn), .at_start = true},
    {SETTING("daemon", "worker-dir", "worker-dir", set_text, worker_dir), .is_path = true,
     .at_start = true},
    {SETTING("daemon", "allow-degraded", "allow-degraded", set_bool, allow_degraded)},
    {SETTING("daemon", "debug", "debug", set_bool, debug)},
    {SETTING("daemon", "keep-vms", "keep-vms", set_bool, keep_vms)},
    {SETTING("daemon", "adoption-time", NULL, set_time, adoption_us), .min = 100000,
     .max = 3600000000},
    GROUP("observe-group", CONFIG_GROUP_OBSERVE),
    GROUP("run-group", CONFIG_GROUP_RUN),
    GROUP("debug-group", CONFIG_GROUP_DEBUG),
    GROUP("admin-group", CONFIG_GROUP_ADMIN),
    COUNT("quota", "connections", quota.connections, 1, LIMIT_CLIENTS),
    COUNT("quota", "vms", quota.vms, 0, LIMIT_VMS),
    COUNT("quota", "subscriptions", quota.subscriptions, 0, LIMIT_CLIENTS),
    {SETTING("quota", "queued-bytes", NULL, set_bytes, quota.queued_bytes),
     .min = LIMIT_FRAME_BYTES, .max = LIMIT_QUEUED_BYTES},
    COUNT("quota", "debuggers", quota.debuggers, 1, LIMIT_DEBUGGERS_PER_UID),
    COUNT("quota", "worlds", quota.worlds, 0, LIMIT_WORLDS),
    COUNT("total", "connections", total.connections, 1, LIMIT_CLIENTS),
    COUNT("total", "vms", total.vms, 0, LIMIT_VMS),
    VM_LIMITS("vm", vm_defaults),
    VM_LIMITS("vm-max", vm_max),
};
#define N_SETTINGS (sizeof settings / sizeof settings[0])
_Static_assert(N_SETTINGS <= CONFIG_SETTINGS, "each has a place");

static const struct setting *find_key(const char *section, const char *key)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (strcmp(settings[i].section, section) == 0 &&
            (!key || strcmp(settings[i].key, key) == 0))
            return &settings[i];
    return NULL;
}

static const struct setting *find_option(const char *option)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (settings[i].option && strcmp(settings[i].option, option) == 0)
            return &settings[i];
    return NULL;
}

__attribute__((format(printf, 3, 4))) static int
note_place(struct config *c, const struct setting *s, const char *format, ...)
{
    char *place;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&place, format, args);
    va_end(args);
    if (n < 0)
        return -ENOMEM;
    free(c->places[s - settings]);
    c->places[s - settings] = place;
    return 0;
}

const char *config_place(const struct config *c, const void *member)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if ((const char *)c + settings[i].offset == member && c->places[i])
            return c->places[i];
    return "built in";
}

static void set_defaults(struct config *c)
{
    *c = (struct config){
        .private_fd = -1,
        .adoption_us = 30000000,
        .helper_threads = DEFAULT_HELPER_THREADS,
        .owner_uid = getuid(),
        .quota = {.connections = DEFAULT_CLIENTS_PER_UID,
                  .vms = DEFAULT_VMS_PER_UID,
                  .subscriptions = DEFAULT_SUBSCRIPTIONS_PER_UID,
                  .queued_bytes = DEFAULT_QUEUED_BYTES_PER_UID,
                  .debuggers = LIMIT_DEBUGGERS_PER_UID,
                  .worlds = DEFAULT_WORLDS_PER_UID},
        .total = {.connections = LIMIT_CLIENTS, .vms = LIMIT_VMS},
    };
    vm_limits_default(&c->vm_defaults);
}

/* ---- a file */

/* A file while it is read. libinih tells no line numbers of what it has understood, so it is given
 * one line at a time, and this counts. */
struct source {
    struct config *config;
    const char *path;
    const char *at, *end;
    unsigned line;
    unsigned errors;
};

__attribute__((format(printf, 2, 3))) static void complain(struct source *f, const char *format,
                                                           ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_error("%s:%u: %s", f->path, f->line, text);
    f->errors++;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* What libinih cannot say of a line. False: it is not for libinih. */
static bool check_line(struct source *f, const char *line, size_t bytes, size_t max)
{
    char section[64];
    if (bytes > max)
        complain(f, "the line is longer than %zu bytes", max);
    else if (!text_is_utf8(line, bytes))
        complain(f, "the line is no UTF-8 text, or has a zero byte in it");
    else if (line[0] != '[' || sscanf(line, "[%63[^]\n]]", section) != 1 || find_key(section, NULL))
        return true;
    else {
        complain(f,
                 "there is no section [%s] (sections are daemon, access, quota, total, vm and"
                 " vm-max)",
                 section);
        return true; /* nothing below it is known to any section, and not complained of again */
    }
    return false;
}

/* An ini_reader, like fgets(3). */
static char *read_line(char *buffer, int size, void *stream)
{
    struct source *f = stream;
    if (f->at == f->end)
        return NULL;
    const char *line = f->at, *newline = memchr(line, '\n', (size_t)(f->end - line));
    const char *end = newline ? newline : f->end;
    f->at = newline ? newline + 1 : f->end;
    f->line++;
    /* To libinih an indented line would go on with the value of the one before. */
    while (line < end && is_space(*line))
        line++;
    while (line < end && is_space(end[-1]))
        end--;
    size_t bytes = (size_t)(end - line);
    if (!check_line(f, line, bytes, (size_t)size - 2))
        bytes = 0;
    memcpy(buffer, line, bytes);
    strcpy(buffer + bytes, "\n");
    return buffer;
}

static bool may_be_none(const struct setting *s, const char *value)
{
    return s->offset == offsetof(struct config, observe_path) && strcmp(value, "none") == 0;
}

static int on_value(void *userdata, const char *section, const char *key, const char *value)
{
    struct source *f = userdata;
    const struct setting *s = find_key(section, key);
    const char *expected = NULL;
    if (!*section)
        complain(f, "'%s' is in no section: a line like [daemon] has to come before it", key);
    else if (!s && find_key(section, NULL))
        complain(f, "there is no '%s' in section [%s] (see stillpointd.conf(5))", key, section);
    if (!s)
        return 1;
    if (s->is_path && value[0] != '/' && !may_be_none(s, value))
        expected = "an absolute path";
    else
        expected = s->set(f->config, s, value);
    if (!expected && note_place(f->config, s, "%s:%u", f->path, f->line) < 0)
        expected = "more memory";
    if (expected)
        complain(f, "[%s] %s takes %s, not '%s'", section, key, expected, value);
    return 1;
}

static int note_file(struct config *c, const char *path)
{
    char *files;
    if (asprintf(&files, "%s%s%s", c->files ? c->files : "", c->files ? ", " : "", path) < 0)
        return -ENOMEM;
    free(c->files);
    c->files = files;
    return 0;
}

/* Up to one byte more than a file may have. Returns how many, or negative errno. */
static ssize_t read_text(const char *path, char *text)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t bytes = 0;
    if (fd < 0)
        return -errno;
    while (bytes <= FILE_BYTES) {
        ssize_t n = read(fd, text + bytes, FILE_BYTES + 1 - bytes);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        bytes += (size_t)n;
    }
    return (ssize_t)bytes;
}

/* -ENOENT: there is none; -EINVAL: something is wrong with it, and that was said. */
static int read_file(struct config *c, const char *path)
{
    _cleanup_free_ char *text = malloc(FILE_BYTES + 1);
    if (!text)
        return -ENOMEM;
    ssize_t bytes = read_text(path, text);
    if (bytes == -ENOENT)
        return -ENOENT;
    if (bytes < 0) {
        log_error("%s: cannot be read: %s", path, strerror((int)-bytes));
        return -EINVAL;
    }
    if (bytes > FILE_BYTES) {
        log_error("%s: is longer than %u bytes", path, FILE_BYTES);
        return -EINVAL;
    }
    struct source f = {.config = c, .path = path, .at = text, .end = text + bytes};
    int line = ini_parse_stream(read_line, &f, on_value, &f);
    if (line < 0)
        return -ENOMEM;
    if (line > 0) {
        f.line = (unsigned)line;
        complain(&f, "neither '[section]' nor 'key = value'");
    }
    return f.errors > 0 ? -EINVAL : note_file(c, path);
}

static int is_conf(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_folder(struct config *c, const char *folder)
{
    struct dirent **found;
    int n = scandir(folder, &found, is_conf, by_bytes), r = 0;
    if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
        log_error("%s: cannot be read: %m", folder);
        return -EINVAL;
    }
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *path = NULL;
        int v =
            asprintf(&path, "%s/%s", folder, found[i]->d_name) < 0 ? -ENOMEM : read_file(c, path);
        r = v < 0 ? v : r;
        free(found[i]);
    }
    if (n >= 0)
        free(found);
    return r;
}

/* The file, then what is in FILE.d; of several that say the same the last is right. */
static int read_files(struct config *c, const char *given)
{
    const char *path = given ? given : CONFIG_FILE;
    _cleanup_free_ char *folder = NULL;
    if (asprintf(&folder, "%s.d", path) < 0)
        return -ENOMEM;
    int r = read_file(c, path);
    if (r == -ENOENT && given)
        log_error("%s: there is no such file", path);
    else if (r == -ENOENT)
        r = 0;
    int v = read_folder(c, folder);
    return r < 0 ? r : v;
}

/* ---- the command line */

static int usage(const char *what, const char *given)
{
    log_error("%s, not '%s' (see stillpointd --help)", what, given);
    return -EINVAL;
}

/* What it says, before anything of it is in force: files are read between the two. */
struct command_line {
    const char *file, *runtime_dir;
    int private_fd;
    bool check;
    size_t n;
    struct {
        const struct setting *setting;
        const char *value;
    } given[64];
};

enum { OPT_SETTING = 256, OPT_CONFIG, OPT_CHECK, OPT_RUNTIME_DIR, OPT_PRIVATE_FD, OPT_VERSION };

static const struct option options[] = {
    {"socket", required_argument, NULL, OPT_SETTING},
    {"observe-socket", required_argument, NULL, OPT_SETTING},
    {"user", required_argument, NULL, OPT_SETTING},
    {"spawn", required_argument, NULL, OPT_SETTING},
    {"worker-dir", required_argument, NULL, OPT_SETTING},
    {"allow-degraded", no_argument, NULL, OPT_SETTING},
    {"debug", no_argument, NULL, OPT_SETTING},
    {"keep-vms", no_argument, NULL, OPT_SETTING},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
    {"private-fd", required_argument, NULL, OPT_PRIVATE_FD},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {0},
};

static int take_option(struct command_line *line, int option, int index)
{
    uint64_t number;
    switch (option) {
    case OPT_SETTING:
        if (line->n == sizeof line->given / sizeof line->given[0])
            return usage("fewer options are taken", options[index].name);
        line->given[line->n].setting = find_option(options[index].name);
        line->given[line->n++].value = optarg ? optarg : "yes";
        return 0;
    case OPT_CONFIG:
        line->file = optarg;
        return 0;
    case OPT_CHECK:
        line->check = true;
        return 0;
    case OPT_RUNTIME_DIR:
        line->runtime_dir = optarg;
        return 0;
    case OPT_PRIVATE_FD:
        if (!text_to_u64(optarg, &number) || number < 3 || number > 1023)
            return usage("--private-fd takes a descriptor from 3 on", optarg);
        line->private_fd = (int)number;
        return 0;
    case 'h':
        fputs(help, stdout);
        return 1;
    case OPT_VERSION:
        puts("stillpointd " PACKAGE_VERSION);
        return 1;
    default:
        fprintf(stderr, "(see stillpointd --help)\n");
        return -EINVAL;
    }
}

static int read_command_line(struct command_line *line, int argc, char **argv)
{
    int option, index = 0, r = 0;
    optind = 0; /* from the start, each time */
    while (r == 0 && (option = getopt_long(argc, argv, "+h", options, &index)) != -1)
        r = take_option(line, option, index);
    if (r == 0 && optind < argc)
        return usage("only options are taken", argv[optind]);
    return r;
}

static int apply_command_line(struct config *c, const struct command_line *line)
{
    for (size_t i = 0; i < line->n; i++) {
        const struct setting *s = line->given[i].setting;
        const char *expected = s->set(c, s, line->given[i].value);
        if (expected) {
            log_error("--%s takes %s, not '%s' (see stillpointd --help)", s->option, expected,
                      line->given[i].value);
            return -EINVAL;
        }
        if (note_place(c, s, "--%s", s->option) < 0)
            return -ENOMEM;
    }
    if (line->runtime_dir) {
        free(c->socket_path);
        c->socket_path = NULL;
        if (asprintf(&c->socket_path, "%s/control.sock", line->runtime_dir) < 0)
            return -ENOMEM;
    }
    c->private_fd = line->private_fd;
    c->check = line->check;
    return 0;
}

/* ---- what nobody has said */

static int default_socket(struct config *c)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    int n = geteuid() != 0 && dir && *dir
                ? asprintf(&c->socket_path, "%s/stillpoint/control.sock", dir)
                : asprintf(&c->socket_path, "/run/stillpoint/control.sock");
    return n < 0 ? -ENOMEM : 0;
}

/* Beside the control socket: observe.sock for control.sock, NAME.observe for another NAME. None
 * where that would be longer than a socket's path can be, which nobody asked for. */
static int default_observe_socket(struct config *c)
{
    const char *path = c->socket_path, *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    int n = strcmp(path + folder, "control.sock") == 0
                ? asprintf(&c->observe_path, "%.*sobserve.sock", folder, path)
                : asprintf(&c->observe_path, "%s.observe", path);
    if (n < 0)
        return -ENOMEM;
    if ((size_t)n >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        log_warning("there is no socket for looking: %s is too long", c->observe_path);
        strcpy(c->observe_path, "none");
    }
    return 0;
}

static int settle_sockets(struct config *c)
{
    int r = 0;
    if (c->private_fd >= 0) {
        free(c->socket_path);
        free(c->observe_path);
        c->socket_path = c->observe_path = NULL;
        return 0;
    }
    if (!c->socket_path)
        r = default_socket(c);
    if (r == 0 && !c->observe_path)
        r = default_observe_socket(c);
    if (r == 0 && strcmp(c->observe_path, "none") == 0) {
        free(c->observe_path);
        c->observe_path = NULL;
    }
    return r;
}

int config_load(struct config *c, int argc, char **argv)
{
    struct command_line line = {.private_fd = -1};
    set_defaults(c);
    int r = read_command_line(&line, argc, argv);
    /* The system's file is for daemons that serve a system; a private one is its client's. */
    if (r == 0 && (line.file || line.private_fd < 0))
        r = read_files(c, line.file);
    if (r == 0)
        r = apply_command_line(c, &line);
    if (r == 0)
        r = settle_sockets(c);
    if (r == -ENOMEM)
        log_error("out of memory");
    return r == 1 ? 1 : r < 0 ? -EINVAL : 0;
}

/* ---- once more, while we run */

static void swap_texts(char **a, char **b)
{
    char *kept = *a;
    *a = *b;
    *b = kept;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(struct config *c, struct config *next, const struct setting *s)
{
    if (s->set == set_spawn)
        return c->spawn == next->spawn;
    return is_same_text(*(char **)field(c, s), *(char **)field(next, s));
}

void config_take(struct config *c, struct config *next)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        if (!s->at_start)
            swap_texts(&c->places[i], &next->places[i]);
        else if ((c->places[i] || next->places[i]) && !is_same(c, next, s))
            log_warning("%s: [%s] %s is changed, which waits for the next start of the daemon",
                        config_place(next, field(next, s)), s->section, s->key);
    }
    for (size_t i = 0; i < CONFIG_GROUPS; i++)
        swap_texts(&c->groups[i], &next->groups[i]);
    swap_texts(&c->files, &next->files);
    c->allow_degraded = next->allow_degraded;
    c->debug = next->debug;
    c->quota = next->quota;
    c->total = next->total;
    c->vm_defaults = next->vm_defaults;
    c->vm_max = next->vm_max;
}

void config_done(struct config *c)
{
    char *texts[] = {c->socket_path, c->observe_path, c->user, c->worker_dir, c->files};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    for (size_t i = 0; i < CONFIG_GROUPS; i++)
        free(c->groups[i]);
    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        free(c->places[i]);
}

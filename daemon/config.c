#include "daemon/config.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/ini_file.h"
#include "base/text.h"
#include "daemon/record.h"
#include "proto/limits.h"

/* Of VMs' output to the journal, bytes a second. Of all together the journal takes no more than
 * 10000 records in 30 s from a service, unless it was told so, and drops what we have to say as
 * well. */
#define DEFAULT_JOURNAL_RATE (16u * 1024)
#define DEFAULT_TOTAL_JOURNAL_RATE (64u * 1024)
#define LEAST_JOURNAL_RATE 1024u
#define MOST_JOURNAL_RATE (1024u * 1024 * 1024)

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
    "  --spare yes|no         keep a worker ready for the next VM that is like the last\n"
    "  --cpu-latency TIME     while somebody debugs, CPUs sleep no deeper than this (none)\n"
    "  --worker-dir DIR       where the worker programs are\n"
    "  --vms DIR              folder of the VM units to start, or none\n"
    "                         (default: $CONFIGURATION_DIRECTORY/vms, as root " CONFIG_VMS_DIR ")\n"
    "  --state-dir DIR        where it is kept which units are enabled\n"
    "                         (default: $STATE_DIRECTORY, as root " CONFIG_STATE_DIR ")\n"
    "  --allow-degraded       start workers even where a needed layer of the sandbox cannot be "
    "had\n"
    "  --keep-vms             let VMs outlive this daemon, where a service manager keeps them\n"
    "                         (default: as it says in $FDSTORE)\n"
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

static const char *set_cpu_latency(struct config *c, const struct setting *s, const char *value)
{
    uint64_t us = CONFIG_CPU_LATENCY_NONE;
    if (strcmp(value, "none") != 0 && (!text_to_us(value, &us) || us > CONFIG_CPU_LATENCY_MOST))
        return "a time from 0us to 1s, or none";
    *(uint64_t *)field(c, s) = us;
    return NULL;
}

/* A limit of a VM, in a struct vm_limits. */
static const char *set_vm_limit(struct config *c, const struct setting *s, const char *value)
{
    const bool is_default = s->offset < offsetof(struct config, vm_max);
    return vm_limits_set(is_default ? &c->vm_defaults : &c->vm_max, s->key, value,
                         !(is_default && s->is_needed));
}

#define SETTING(in, called, as, how, member)                                                       \
    .section = (in), .key = (called), .option = (as), .set = (how),                                \
    .offset = offsetof(struct config, member)
#define GROUP(called, which)                                                                       \
    {                                                                                              \
        SETTING("access", called, NULL, set_text, groups[which])                                   \
    }
#define VM_LIMIT(in, called, member, needed)                                                       \
    {                                                                                              \
        SETTING(in, called, NULL, set_vm_limit, member), .is_needed = (needed)                     \
    }
#define VM_LIMITS(in, member)                                                                      \
    VM_LIMIT(in, "memory", member.memory_bytes, true),                                             \
        VM_LIMIT(in, "cpu", member.cpu_percent, false),                                            \
        VM_LIMIT(in, "cpu-time", member.cpu_time_us, false),                                       \
        VM_LIMIT(in, "timeout", member.timeout_us, false),                                         \
        VM_LIMIT(in, "tasks", member.tasks, false),                                                \
        VM_LIMIT(in, "output-rate", member.output_rate, false),                                    \
        VM_LIMIT(in, "log-size", member.log_bytes, true)
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
    {SETTING("daemon", "spare", "spare", set_bool, spare), .at_start = true},
    {SETTING("daemon", "cpu-latency", "cpu-latency", set_cpu_latency, cpu_latency_us),
     .at_start = true},
    {SETTING("daemon", "worker-dir", "worker-dir", set_text, worker_dir), .is_path = true,
     .at_start = true},
    {SETTING("daemon", "vms-dir", "vms", set_text, vms_dir), .is_path = true, .at_start = true},
    {SETTING("daemon", "state-dir", "state-dir", set_text, state_dir), .is_path = true,
     .at_start = true},
    {SETTING("daemon", "allow-degraded", "allow-degraded", set_bool, allow_degraded)},
    {SETTING("daemon", "debug", "debug", set_bool, debug)},
    {SETTING("daemon", "keep-vms", "keep-vms", set_bool, keep_vms), .at_start = true},
    {SETTING("daemon", "adoption-time", NULL, set_time, adoption_us), .min = 100000,
     .max = 3600000000, .at_start = true},
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
    {SETTING("journal", "output", NULL, set_bool, journal.output)},
    {SETTING("journal", "output-rate", NULL, set_bytes, journal.output_rate),
     .min = LEAST_JOURNAL_RATE, .max = MOST_JOURNAL_RATE},
    {SETTING("journal", "total-output-rate", NULL, set_bytes, journal.total_output_rate),
     .min = LEAST_JOURNAL_RATE, .max = MOST_JOURNAL_RATE},
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

/* systemd says so from 254 on; our unit says it for those before. */
static bool has_descriptor_store(void)
{
    const char *most = getenv("FDSTORE");
    uint64_t n;
    return most && text_to_u64(most, &n) && n > 0;
}

static void set_defaults(struct config *c)
{
    *c = (struct config){
        .private_fd = -1,
        .keep_vms = has_descriptor_store(),
        .cpu_latency_us = CONFIG_CPU_LATENCY_NONE,
        .adoption_us = 30000000,
        .helper_threads = DEFAULT_HELPER_THREADS,
        .owner_uid = getuid(),
        .quota = {.connections = DEFAULT_CLIENTS_PER_UID,
                  .vms = DEFAULT_VMS_PER_UID,
                  .subscriptions = DEFAULT_SUBSCRIPTIONS_PER_UID,
                  .queued_bytes = DEFAULT_QUEUED_BYTES_PER_UID,
                  .debuggers = LIMIT_DEBUGGERS_PER_UID,
                  .worlds = DEFAULT_WORLDS_PER_UID},
        .journal = {.output = true,
                    .output_rate = DEFAULT_JOURNAL_RATE,
                    .total_output_rate = DEFAULT_TOTAL_JOURNAL_RATE},
        .total = {.connections = LIMIT_CLIENTS, .vms = LIMIT_VMS},
    };
    vm_limits_default(&c->vm_defaults);
}

/* ---- a file */

static bool knows_section(void *userdata, const char *section)
{
    (void)userdata;
    return find_key(section, NULL) != NULL;
}

static bool may_be_none(const struct setting *s, const char *value)
{
    return (s->offset == offsetof(struct config, observe_path) ||
            s->offset == offsetof(struct config, vms_dir)) &&
           strcmp(value, "none") == 0;
}

static void on_value(void *userdata, struct ini_file *f, const char *section, const char *key,
                     const char *value)
{
    struct config *c = userdata;
    const struct setting *s = find_key(section, key);
    const char *expected = NULL;
    if (!s) {
        ini_file_complain(f, "there is no '%s' in section [%s] (see stillpointd.conf(5))", key,
                          section);
        return;
    }
    if (s->is_path && value[0] != '/' && !may_be_none(s, value))
        expected = "an absolute path";
    else
        expected = s->set(c, s, value);
    if (!expected && note_place(c, s, "%s:%u", ini_file_path(f), ini_file_line(f)) < 0)
        expected = "more memory";
    if (expected)
        ini_file_complain(f, "[%s] %s takes %s, not '%s'", section, key, expected, value);
}

static void on_error(void *userdata, const char *path, unsigned line, const char *text)
{
    (void)userdata;
    if (line > 0)
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s:%u: %s", path, line, text);
    else
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s: %s", path, text);
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

/* -ENOENT: there is none; -EINVAL: something is wrong with it, and that was said. */
static int read_file(struct config *c, const char *path)
{
    const struct ini_file_reader reader = {
        .sections = "daemon, access, quota, total, journal, vm and vm-max",
        .knows_section = knows_section,
        .on_value = on_value,
        .on_error = on_error,
        .userdata = c,
    };
    int r = ini_file_read(path, &reader);
    return r < 0 ? r : note_file(c, path);
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
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s: cannot be read: %m", folder);
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
        record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s: there is no such file", path);
    else if (r == -ENOENT)
        r = 0;
    int v = read_folder(c, folder);
    return r < 0 ? r : v;
}

/* ---- the command line */

static int usage(const char *what, const char *given)
{
    record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL, "%s, not '%s' (see stillpointd --help)", what,
                 given);
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
    {"spare", required_argument, NULL, OPT_SETTING},
    {"cpu-latency", required_argument, NULL, OPT_SETTING},
    {"worker-dir", required_argument, NULL, OPT_SETTING},
    {"vms", required_argument, NULL, OPT_SETTING},
    {"state-dir", required_argument, NULL, OPT_SETTING},
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
            record_write(LOG_ERR, MESSAGE_CONFIG_WRONG, NULL,
                         "--%s takes %s, not '%s' (see stillpointd --help)", s->option, expected,
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
        record_write(LOG_WARNING, MESSAGE_SOCKET_UNREACHABLE, NULL,
                     "there is no socket for looking: %s is too long", c->observe_path);
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

/* Where the service manager says that what is ours lies; of several directories the first. */
static char *managed_dir(const char *variable, const char *below)
{
    const char *dirs = getenv(variable);
    char *path;
    if (!dirs || *dirs != '/')
        return NULL;
    return asprintf(&path, "%.*s%s", (int)strcspn(dirs, ":"), dirs, below) < 0 ? NULL : path;
}

static char *default_state_dir(void)
{
    const char *home = getenv("HOME");
    char *path = managed_dir("STATE_DIRECTORY", "");
    if (path)
        return path;
    if (geteuid() == 0 || !home || *home != '/')
        return strdup(CONFIG_STATE_DIR);
    return asprintf(&path, "%s/.local/state/stillpoint", home) < 0 ? NULL : path;
}

/* The system's units are for the daemon that serves a system, and not for one that somebody runs
 * for a while, or for a client's own. */
static int settle_units(struct config *c)
{
    bool serves_system = c->private_fd < 0 && geteuid() == 0;
    if (c->vms_dir && strcmp(c->vms_dir, "none") == 0) {
        free(c->vms_dir);
        c->vms_dir = NULL;
        return 0;
    }
    if (!c->vms_dir && c->private_fd < 0)
        c->vms_dir = managed_dir("CONFIGURATION_DIRECTORY", "/vms");
    if (!c->vms_dir && serves_system && !(c->vms_dir = strdup(CONFIG_VMS_DIR)))
        return -ENOMEM;
    if (c->vms_dir && !c->state_dir && !(c->state_dir = default_state_dir()))
        return -ENOMEM;
    return 0;
}

int config_load(struct config *c, int argc, char **argv)
{
    struct command_line line = {.private_fd = -1};
    set_defaults(c);
    int r = read_command_line(&line, argc, argv);
    /* A private daemon is mostly for one VM. */
    c->spare = line.private_fd < 0;
    /* The system's file is for daemons that serve a system; a private one is its client's. */
    if (r == 0 && (line.file || line.private_fd < 0))
        r = read_files(c, line.file);
    if (r == 0)
        r = apply_command_line(c, &line);
    if (r == 0)
        r = settle_sockets(c);
    if (r == 0)
        r = settle_units(c);
    if (r == -ENOMEM)
        record_write(LOG_ERR, MESSAGE_NO_MEMORY, NULL, "out of memory");
    return r == 1 ? 1 : r == -ENOMEM ? r : r < 0 ? -EINVAL : 0;
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
    if (s->set == set_bool)
        return *(bool *)field(c, s) == *(bool *)field(next, s);
    if (s->set == set_time || s->set == set_cpu_latency)
        return *(uint64_t *)field(c, s) == *(uint64_t *)field(next, s);
    return is_same_text(*(char **)field(c, s), *(char **)field(next, s));
}

void config_take(struct config *c, struct config *next)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        if (!s->at_start)
            swap_texts(&c->places[i], &next->places[i]);
        else if ((c->places[i] || next->places[i]) && !is_same(c, next, s))
            record_write(LOG_WARNING, MESSAGE_CONFIG_WAITS, NULL,
                         "%s: [%s] %s is changed, which waits for the next start of the daemon",
                         config_place(next, field(next, s)), s->section, s->key);
    }
    for (size_t i = 0; i < CONFIG_GROUPS; i++)
        swap_texts(&c->groups[i], &next->groups[i]);
    swap_texts(&c->files, &next->files);
    c->allow_degraded = next->allow_degraded;
    c->debug = next->debug;
    c->quota = next->quota;
    c->total = next->total;
    c->journal = next->journal;
    c->vm_defaults = next->vm_defaults;
    c->vm_max = next->vm_max;
}

void config_done(struct config *c)
{
    char *texts[] = {c->socket_path, c->observe_path, c->user, c->worker_dir,
                     c->vms_dir,     c->state_dir,    c->files};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    for (size_t i = 0; i < CONFIG_GROUPS; i++)
        free(c->groups[i]);
    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        free(c->places[i]);
}

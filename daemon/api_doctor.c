#include "daemon/api_doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/cgroup_limits.h"
#include "daemon/config.h"
#include "daemon/cpu_latency.h"
#include "daemon/freezer.h"
#include "daemon/registry.h"
#include "daemon/zygote_client.h"

enum finding { MISSING, DEGRADED, OK };

/* Channel, kick, four pages and a pidfd; some more while it is born. */
#define DESCRIPTORS_OF_A_VM 8u
#define FEW_VMS 100u

/* One row of the answer. Fills `detail`; the hint is shown unless all is well. */
struct check {
    const char *name, *hint;
    enum finding (*look)(struct api *api, char *detail, size_t size);
};

/* Layers that settle for less without a flag. */
static bool is_degradable(const char *layer)
{
    static const char *const names[] = {"cgroup", "landlock", "memory", "tasks"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], layer) == 0)
            return true;
    return false;
}

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool got = fgets(line, (int)size, f) != NULL;
    fclose(f);
    line[got ? strcspn(line, "\n") : 0] = '\0';
    return got;
}

static enum finding look_kernel(struct api *api, char *detail, size_t size)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    (void)api;
    uname(&u);
    snprintf(detail, size, "%s %s %s", u.sysname, u.release, u.machine);
    sscanf(u.release, "%u.%u", &major, &minor);
    return major > 5 || (major == 5 && minor >= 14) ? OK : MISSING;
}

static enum finding look_user_namespaces(struct api *api, char *detail, size_t size)
{
    char line[64];
    (void)api;
    if (read_line("/proc/sys/kernel/unprivileged_userns_clone", line, sizeof line) &&
        strcmp(line, "0") == 0) {
        snprintf(detail, size, "kernel.unprivileged_userns_clone is 0");
        return MISSING;
    }
    if (read_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", line, sizeof line) &&
        strcmp(line, "1") == 0) {
        snprintf(detail, size,
                 "AppArmor restricts them (apparmor_restrict_unprivileged_userns is 1)");
        return DEGRADED;
    }
    if (!read_line("/proc/sys/user/max_user_namespaces", line, sizeof line) ||
        strcmp(line, "0") == 0) {
        snprintf(detail, size, "user.max_user_namespaces is 0");
        return MISSING;
    }
    snprintf(detail, size, "at most %s", line);
    return OK;
}

/* What a namespace needs: the kernel's support, and a limit that is not 0. */
static enum finding look_namespaces(char *detail, size_t size, const char *const *kinds, size_t n)
{
    size_t at = 0;
    enum finding found = OK;
    for (size_t i = 0; i < n && at < size; i++) {
        char path[64], line[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        bool known = access(path, F_OK) == 0;
        snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", kinds[i]);
        bool allowed = !read_line(path, line, sizeof line) || strcmp(line, "0") != 0;
        if (!known || !allowed)
            found = MISSING;
        at += (size_t)snprintf(detail + at, size - at, "%s%s%s", at > 0 ? ", " : "", kinds[i],
                               !known     ? " (not in this kernel)"
                               : !allowed ? " (the limit is 0)"
                                          : "");
    }
    return found;
}

static enum finding look_needed_namespaces(struct api *api, char *detail, size_t size)
{
    static const char *const kinds[] = {"pid", "mnt", "net", "ipc", "uts"};
    (void)api;
    return look_namespaces(detail, size, kinds, sizeof kinds / sizeof kinds[0]);
}

static enum finding look_cgroup_namespace(struct api *api, char *detail, size_t size)
{
    static const char *const kinds[] = {"cgroup"};
    (void)api;
    return look_namespaces(detail, size, kinds, 1) == OK ? OK : DEGRADED;
}

static enum finding look_seccomp(struct api *api, char *detail, size_t size)
{
    char line[256];
    (void)api;
    if (!read_line("/proc/sys/kernel/seccomp/actions_avail", line, sizeof line) ||
        !strstr(line, "trap")) {
        snprintf(detail, size, "the kernel has no seccomp filter with trap");
        return MISSING;
    }
    snprintf(detail, size, "trap");
    return OK;
}

static enum finding look_landlock(struct api *api, char *detail, size_t size)
{
    (void)api;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* ask for the version */);
    if (abi < 0) {
        snprintf(detail, size, "not in this kernel, or not enabled: %s", strerror(errno));
        return DEGRADED;
    }
    snprintf(detail, size, "ABI %ld", abi);
    return OK;
}

static enum finding look_cgroup(struct api *api, char *detail, size_t size)
{
    const char *why = freezer_why_degraded(api->freezer);
    snprintf(detail, size, "%s", why ? why : freezer_path(api->freezer));
    return why ? DEGRADED : OK;
}

/* A limit that a controller enforces, or what stands in for it. */
static enum finding look_limit(const struct api *api, enum cgroup_controller controller,
                               const char *file, const char *else_what, char *detail, size_t size)
{
    bool there = (freezer_controllers(api->freezer) & controller) != 0;
    snprintf(detail, size, "%s", there ? file : else_what);
    return there ? OK : DEGRADED;
}

static enum finding look_memory(struct api *api, char *detail, size_t size)
{
    return look_limit(api, CGROUP_MEMORY, "by memory.max, without swap",
                      "by the engine and RLIMIT_DATA: no cgroup v2 memory controller", detail,
                      size);
}

static enum finding look_tasks(struct api *api, char *detail, size_t size)
{
    return look_limit(api, CGROUP_PIDS, "by pids.max",
                      "by the system call filter and RLIMIT_NPROC: no cgroup v2 pids controller",
                      detail, size);
}

static enum finding look_cpu(struct api *api, char *detail, size_t size)
{
    return look_limit(api, CGROUP_CPU, "by cpu.max",
                      "none, --cpu is refused: no cgroup v2 cpu controller", detail, size);
}

/* What the VM that was born last has, as it looked itself. */
static enum finding look_posture(struct api *api, char *detail, size_t size)
{
    struct worker *last = NULL;
    for (struct worker *w = registry_after(api->registry, 0); w;
         w = registry_after(api->registry, w->id))
        if (w->n_layers > 0)
            last = w;
    if (!last) {
        snprintf(detail, size, "no VM has been born yet");
        return OK;
    }
    size_t on = 0, at = 0;
    enum finding found = OK;
    for (size_t i = 0; i < last->n_layers; i++) {
        on += last->layers[i].state == 2;
        if (last->layers[i].state == 0 && !is_degradable(last->layers[i].name))
            found = MISSING;
        else if (last->layers[i].state != 2 && found == OK)
            found = DEGRADED;
    }
    at = (size_t)snprintf(detail, size, "VM %s: %zu of %zu layers on", last->name, on,
                          last->n_layers);
    for (size_t i = 0; i < last->n_layers && at < size; i++)
        if (last->layers[i].state != 2)
            at += (size_t)snprintf(detail + at, size - at, ", %s %s", last->layers[i].name,
                                   last->layers[i].state == 1 ? "degraded" : "off");
    return found;
}

static enum finding look_freeze(struct api *api, char *detail, size_t size)
{
    const char *why = freezer_why_degraded(api->freezer);
    snprintf(detail, size, why ? "by SIGSTOP: VMs have no cgroups of their own" : "by cgroup v2");
    return why ? DEGRADED : OK;
}

static enum finding look_cpu_latency(struct api *api, char *detail, size_t size)
{
    uint64_t us = cpu_latency_us(api->cpu_latency);
    int error = cpu_latency_error(api->cpu_latency);
    char driver[64];
    if (us == CONFIG_CPU_LATENCY_NONE) {
        snprintf(detail, size, "CPUs may sleep as they like");
        return OK;
    }
    if (error != 0) {
        snprintf(detail, size, "%s: %s", CPU_LATENCY_DEVICE, strerror(error));
        return DEGRADED;
    }
    /* The kernel takes a wish all the same. */
    if (read_line("/sys/devices/system/cpu/cpuidle/current_driver", driver, sizeof driver) &&
        strcmp(driver, "none") == 0) {
        snprintf(detail, size, "no cpuidle driver: CPUs halt, whatever is asked for");
        return DEGRADED;
    }
    snprintf(detail, size, "at most %llu us while somebody debugs, as %s", (unsigned long long)us,
             cpu_latency_is_held(api->cpu_latency) ? "now" : "nobody does now");
    return OK;
}

static enum finding look_descriptors(struct api *api, char *detail, size_t size)
{
    struct rlimit limit = {0};
    (void)api;
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned long long vms = limit.rlim_cur / DESCRIPTORS_OF_A_VM;
    snprintf(detail, size, "%llu: enough for about %llu VMs", (unsigned long long)limit.rlim_cur,
             vms);
    return vms >= FEW_VMS ? OK : DEGRADED;
}

static enum finding look_engine(struct api *api, char *detail, size_t size)
{
    struct zygote_client *z = api->zygote(api->userdata, "mozjs");
    if (!z) {
        snprintf(detail, size, "stillpoint-worker-mozjs was not found");
        return MISSING;
    }
    pid_t pid = zygote_client_pid(z);
    snprintf(detail, size, pid ? "zygote %d" : "each worker starts afresh", (int)pid);
    return OK;
}

static enum finding look_privilege(struct api *api, char *detail, size_t size)
{
    (void)api;
    snprintf(detail, size, "uid %u", (unsigned)geteuid());
    return geteuid() == 0 ? MISSING : OK;
}

static const char controller_hint[] =
    "boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1), and start it as a service of "
    "its own with Delegate=yes";

static const struct check checks[] = {
    {"kernel", "5.14 or later is needed", look_kernel},
    {"unprivileged", "give --user, or start it as an ordinary user", look_privilege},
    {"user-namespaces", "see user_namespaces(7) and your distribution's sysctl settings",
     look_user_namespaces},
    {"namespaces", "see namespaces(7), and sysctl user.max_*_namespaces", look_needed_namespaces},
    {"cgroup-namespace", "enable CONFIG_CGROUPS; workers see the names of cgroups all the same",
     look_cgroup_namespace},
    {"seccomp", "enable CONFIG_SECCOMP_FILTER", look_seccomp},
    {"landlock", "boot with lsm=landlock,...", look_landlock},
    {"cgroup", "start it as root, or as a service with Delegate=yes", look_cgroup},
    {"memory-limit", controller_hint, look_memory},
    {"tasks-limit", controller_hint, look_tasks},
    {"cpu-share", controller_hint, look_cpu},
    {"freeze", "see the check \"cgroup\"; a stop is enforced all the same, somewhat slower",
     look_freeze},
    {"cpu-latency", "see cpu-latency in stillpointd.conf(5)", look_cpu_latency},
    {"descriptors", "raise LimitNOFILE=, or ulimit -n", look_descriptors},
    {"sandbox", "see the checks above; --allow-degraded starts workers without what is needed",
     look_posture},
    {"engine-mozjs", "install stillpoint-worker-mozjs, or see --worker-dir", look_engine},
};
#define N_CHECKS (sizeof checks / sizeof checks[0])

void api_doctor(struct api_call *call)
{
    static const char *const states[] = {"missing", "degraded", "ok"};
    Stillpoint__Api__Check messages[N_CHECKS], *at[N_CHECKS];
    char details[N_CHECKS][256];
    Stillpoint__Api__Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__DoctorReply m = STILLPOINT__API__DOCTOR_REPLY__INIT;
    bool ok = true;
    for (size_t i = 0; i < N_CHECKS; i++) {
        enum finding found = checks[i].look(call->api, details[i], sizeof details[i]);
        stillpoint__api__check__init(&messages[i]);
        messages[i].name = API_TEXT(checks[i].name);
        messages[i].state = API_TEXT(states[found]);
        messages[i].detail = details[i];
        messages[i].hint = found == OK ? NULL : API_TEXT(checks[i].hint);
        at[i] = &messages[i];
        ok &= found != MISSING;
    }
    API_SET(&m, ok, ok);
    m.checks = at;
    m.n_checks = N_CHECKS;
    e.body_case = API_BODY(DOCTOR_REPLY);
    e.doctor_reply = &m;
    api_reply(call, &e);
}

#include "daemon/api_doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/freezer.h"
#include "daemon/zygote_client.h"

enum finding { MISSING, DEGRADED, OK };

/* One row of the answer. Fills `detail`; the hint is shown unless all is well. */
struct check {
    const char *name, *hint;
    enum finding (*look)(struct api *api, char *detail, size_t size);
};

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

static enum finding look_seccomp(struct api *api, char *detail, size_t size)
{
    char line[256];
    (void)api;
    if (!read_line("/proc/sys/kernel/seccomp/actions_avail", line, sizeof line) ||
        !strstr(line, "kill_process")) {
        snprintf(detail, size, "the kernel has no seccomp filter with kill_process");
        return MISSING;
    }
    snprintf(detail, size, "kill_process");
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

static enum finding look_freeze(struct api *api, char *detail, size_t size)
{
    const char *why = freezer_why_degraded(api->freezer);
    snprintf(detail, size, why ? "by SIGSTOP: VMs have no cgroups of their own" : "by cgroup v2");
    return why ? DEGRADED : OK;
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

static const struct check checks[] = {
    {"kernel", "5.14 or later is needed", look_kernel},
    {"unprivileged", "give --user, or start it as an ordinary user", look_privilege},
    {"user-namespaces", "see user_namespaces(7) and your distribution's sysctl settings",
     look_user_namespaces},
    {"seccomp", "enable CONFIG_SECCOMP_FILTER", look_seccomp},
    {"landlock", "boot with lsm=landlock,...", look_landlock},
    {"cgroup", "start it as root, or as a service with Delegate=yes", look_cgroup},
    {"freeze", "see the check \"cgroup\"; a stop is enforced all the same, somewhat slower",
     look_freeze},
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

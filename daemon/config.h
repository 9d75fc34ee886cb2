/*
 * config.h: what the daemon was told: command line over configuration files over built-in defaults.
 * It owns its texts. Main fills one before anything else exists, and it is read-only from then on,
 * but for config_take(); a second one may be loaded from the same command line at any time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/vm_limits.h"

#define CONFIG_FILE "/etc/stillpoint/stillpointd.conf"
#define CONFIG_VMS_DIR "/etc/stillpoint/vms"
#define CONFIG_STATE_DIR "/var/lib/stillpoint"

enum config_spawn { CONFIG_SPAWN_ZYGOTE, CONFIG_SPAWN_EXEC };

/** In the order of the roles in access.h. */
enum config_group {
    CONFIG_GROUP_OBSERVE,
    CONFIG_GROUP_RUN,
    CONFIG_GROUP_DEBUG,
    CONFIG_GROUP_ADMIN,
    CONFIG_GROUPS
};

#define CONFIG_SETTINGS 48

/** CPUs may sleep as they like. */
#define CONFIG_CPU_LATENCY_NONE UINT64_MAX
#define CONFIG_CPU_LATENCY_MOST 1000000u /**< us */

/** What one uid may have at a time, and all together. */
struct config_quota {
    uint64_t connections, vms, subscriptions, queued_bytes, debuggers, worlds;
};

/** How much of what VMs write the journal gets, a second. */
struct config_journal {
    bool output;          /**< any of it */
    uint64_t output_rate; /**< bytes, of one VM */
    uint64_t total_output_rate;
};

struct config {
    char *socket_path;  /**< NULL in private mode */
    char *observe_path; /**< the same for those who only look; NULL: there is none */
    int private_fd;     /**< the one client's socket in private mode, else -1 */
    char *user;         /**< who to become when started as root; NULL: default */
    char *worker_dir;   /**< where stillpoint-worker-ENGINE is; NULL: beside us, else libexec */
    char *vms_dir;      /**< where the units of VMs are; NULL: there are none */
    char *state_dir;    /**< where is kept what outlives a boot; NULL: nowhere */
    enum config_spawn spawn;
    uint64_t cpu_latency_us; /**< or CONFIG_CPU_LATENCY_NONE */
    bool spare;              /**< a worker is kept ready for the next VM */
    bool allow_degraded;
    bool debug;
    bool keep_vms;        /**< they outlive us where a service manager keeps descriptors */
    uint64_t adoption_us; /**< for so long without a daemon */
    bool check;           /**< say whether this is right, and end */
    unsigned helper_threads;
    struct vm_limits vm_defaults; /**< of VMs that do not ask for others */
    struct vm_limits vm_max;      /**< that a VM may have; 0: no bound but the ranges of all */
    uid_t owner_uid; /**< who started us: the uid that may use the socket, besides root */
    char *groups[CONFIG_GROUPS]; /**< names, with spaces between them; NULL: no group */
    struct config_quota quota;   /**< of one uid */
    struct config_quota total;   /**< of all; connections and vms only */
    struct config_journal journal;
    char *places[CONFIG_SETTINGS]; /**< config_place()'s */
    char *files;                   /**< that were read, with ", " between them; NULL: none */
};

/**
 * Reads command line and files; what is wrong there is logged, all of it. Returns 0 to go on; 1 if
 * a text was printed and the program is to end well; -EINVAL if something is wrong.
 */
int config_load(struct config *c, int argc, char **argv);
void config_done(struct config *c);
/** Puts in force what `next` says and can be changed while we run; names in the log what has to
 * wait for the next start. Texts change hands, and `next` is good for config_done() only. */
void config_take(struct config *c, struct config *next);
/** Where a member of it was set, "FILE:LINE" or "--option", for errors that show later. */
const char *config_place(const struct config *c, const void *member);

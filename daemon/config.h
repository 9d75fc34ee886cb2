/*
 * config.h: what the daemon was told at its start: command line over built-in defaults. Filled by
 * main before anything else exists; read-only from then on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/vm_limits.h"

enum config_spawn { CONFIG_SPAWN_ZYGOTE, CONFIG_SPAWN_EXEC };

struct config {
    char *socket_path; /**< NULL in private mode */
    int private_fd;    /**< the one client's socket in private mode, else -1 */
    char *user;        /**< who to become when started as root; NULL: default */
    char *worker_dir;  /**< where stillpoint-worker-ENGINE is; NULL: beside us, else libexec */
    enum config_spawn spawn;
    bool allow_degraded;
    bool debug;
    unsigned helper_threads;
    struct vm_limits vm_defaults; /**< of VMs that do not ask for others */
    uid_t owner_uid; /**< who started us: the uid that may use the socket, besides root */
};

/**
 * Reads the command line. Returns 0 to go on; 1 if a text was printed and the program is to end
 * well; -EINVAL after a usage error was printed.
 */
int config_parse(struct config *c, int argc, char **argv);
void config_done(struct config *c);

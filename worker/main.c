/*
 * stillpoint-worker-ENGINE: started by stillpointd with a channel on descriptor 3, once as the
 * zygote of its engine, or with --exec for a single worker with an address layout of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engine.h"
#include "worker/lockdown.h"
#include "worker/zygote.h"

#define CHANNEL_FD 3

#ifndef STILLPOINT_VERSION
#define STILLPOINT_VERSION "unknown"
#endif

int main(int argc, char **argv)
{
    const struct engine_ops *ops = engine_ops_get();
    const char *mode = argc > 1 ? argv[1] : "--zygote";
    if (argc > 2) {
        fprintf(stderr, "%s: too many arguments\n", argv[0]);
        return 2;
    }
    if (strcmp(mode, "--zygote") == 0)
        return zygote_run(CHANNEL_FD, ops, false);
    if (strcmp(mode, "--exec") == 0)
        return zygote_run(CHANNEL_FD, ops, true);
    if (strcmp(mode, "--version") == 0) {
        printf("stillpoint-worker-%s %s (%s)\n", ops->name, STILLPOINT_VERSION, ops->version);
        return EXIT_SUCCESS;
    }
    if (strcmp(mode, "--print-seccomp") == 0) {
        lockdown_print(stdout);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "usage: %s --zygote | --exec | --version | --print-seccomp\n", argv[0]);
    return 2;
}

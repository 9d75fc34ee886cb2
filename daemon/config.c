#include "daemon/config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "proto/limits.h"

static const char help[] =
    "Usage: stillpointd [OPTION...]\n"
    "Runs language VMs in sandboxed worker processes and stops them as one.\n"
    "\n"
    "  --socket PATH          control socket (default: $XDG_RUNTIME_DIR/stillpoint/control.sock,\n"
    "                         as root /run/stillpoint/control.sock)\n"
    "  --runtime-dir DIR      directory of the control socket, instead of --socket\n"
    "  --user NAME            who to become when started as root (default: stillpoint, else "
    "nobody)\n"
    "  --spawn zygote|exec    fork workers from a warm process, or start each afresh\n"
    "  --worker-dir DIR       where the worker programs are\n"
    "  --allow-degraded       start workers even where a needed layer of the sandbox cannot be "
    "had\n"
    "  --private-fd N         serve the one client on this socket, and end with it\n"
    "  --debug                log state changes\n"
    "  -h, --help             show this\n"
    "  --version              show the version\n"
    "\n"
    "Stays in the foreground; logs to stderr, or to the journal when stderr leads there.\n";

static int usage(const char *what, const char *given)
{
    fprintf(stderr, "stillpointd: %s, not '%s' (see stillpointd --help)\n", what, given);
    return -EINVAL;
}

static int set(char **to, const char *value)
{
    free(*to);
    *to = strdup(value);
    return *to ? 0 : -ENOMEM;
}

static int default_socket(struct config *c)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    int n = geteuid() != 0 && dir && *dir
                ? asprintf(&c->socket_path, "%s/stillpoint/control.sock", dir)
                : asprintf(&c->socket_path, "/run/stillpoint/control.sock");
    return n < 0 ? -ENOMEM : 0;
}

int config_parse(struct config *c, int argc, char **argv)
{
    enum {
        OPT_SOCKET = 256,
        OPT_RUNTIME_DIR,
        OPT_USER,
        OPT_SPAWN,
        OPT_WORKER_DIR,
        OPT_DEGRADED,
        OPT_PRIVATE_FD,
        OPT_DEBUG,
        OPT_VERSION
    };
    static const struct option options[] = {
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
        {"user", required_argument, NULL, OPT_USER},
        {"spawn", required_argument, NULL, OPT_SPAWN},
        {"worker-dir", required_argument, NULL, OPT_WORKER_DIR},
        {"allow-degraded", no_argument, NULL, OPT_DEGRADED},
        {"private-fd", required_argument, NULL, OPT_PRIVATE_FD},
        {"debug", no_argument, NULL, OPT_DEBUG},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPT_VERSION},
        {0},
    };
    *c = (struct config){
        .private_fd = -1, .helper_threads = DEFAULT_HELPER_THREADS, .owner_uid = getuid()};
    vm_limits_default(&c->vm_defaults);
    int option, r = 0;
    uint64_t number;
    while (r == 0 && (option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        switch (option) {
        case OPT_SOCKET:
            r = set(&c->socket_path, optarg);
            break;
        case OPT_RUNTIME_DIR:
            free(c->socket_path);
            c->socket_path = NULL;
            if (asprintf(&c->socket_path, "%s/control.sock", optarg) < 0)
                r = -ENOMEM;
            break;
        case OPT_USER:
            r = set(&c->user, optarg);
            break;
        case OPT_SPAWN:
            if (strcmp(optarg, "zygote") == 0)
                c->spawn = CONFIG_SPAWN_ZYGOTE;
            else if (strcmp(optarg, "exec") == 0)
                c->spawn = CONFIG_SPAWN_EXEC;
            else
                return usage("--spawn takes zygote or exec", optarg);
            break;
        case OPT_WORKER_DIR:
            r = set(&c->worker_dir, optarg);
            break;
        case OPT_DEGRADED:
            c->allow_degraded = true;
            break;
        case OPT_PRIVATE_FD:
            if (!text_to_u64(optarg, &number) || number < 3 || number > 1023)
                return usage("--private-fd takes a descriptor from 3 on", optarg);
            c->private_fd = (int)number;
            break;
        case OPT_DEBUG:
            c->debug = true;
            break;
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
    if (r == 0 && optind < argc)
        return usage("only options are taken", argv[optind]);
    if (r == 0 && c->private_fd < 0 && !c->socket_path)
        r = default_socket(c);
    if (r < 0)
        fprintf(stderr, "stillpointd: out of memory\n");
    return r;
}

void config_done(struct config *c)
{
    free(c->socket_path);
    free(c->user);
    free(c->worker_dir);
}

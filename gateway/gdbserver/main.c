/* stillpoint-gdbserver: WebAssembly VMs of stillpointd for LLDB. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gdbserver/server.h"

#define USAGE 2

static const char help[] =
    "usage: stillpoint-gdbserver [OPTION…] (--listen PATH | --tcp PORT)\n"
    "Lets LLDB debug the WebAssembly VMs of a world of stillpointd's, over the GDB remote\n"
    "protocol: process connect --plugin wasm unix-connect://PATH\n"
    "  -s, --socket PATH     the daemon's socket\n"
    "  -w, --world WORLD     whose VMs (default)\n"
    "      --vm VM           only this one\n"
    "      --policy WHAT     once LLDB has gone: resume what it has stopped (the default), or\n"
    "                        hold that until its time runs out\n"
    "      --no-kill         LLDB's 'process kill' ends no VM\n"
    "  -l, --listen PATH     a Unix socket, for this user only\n"
    "      --tcp PORT        or a port of the loopback; 0: any. Whoever can connect can debug.\n"
    "      --once            end when the first LLDB has gone\n"
    "  -h, --help            this\n"
    "  -V, --version\n";

static int usage(const char *why, const char *what)
{
    fprintf(stderr, "stillpoint-gdbserver: %s%s (--help says more)\n", why, what);
    return USAGE;
}

static bool parse_port(const char *text, uint16_t *ret)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end || n > UINT16_MAX)
        return false;
    *ret = (uint16_t)n;
    return true;
}

enum { VM = 256, POLICY, NO_KILL, TCP, ONCE };

static const struct option longs[] = {
    {"socket", required_argument, NULL, 's'},
    {"world", required_argument, NULL, 'w'},
    {"vm", required_argument, NULL, VM},
    {"policy", required_argument, NULL, POLICY},
    {"no-kill", no_argument, NULL, NO_KILL},
    {"listen", required_argument, NULL, 'l'},
    {"tcp", required_argument, NULL, TCP},
    {"once", no_argument, NULL, ONCE},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

/* -1: go on; else the exit code. */
static int take_options(int argc, char **argv, struct server_options *o)
{
    bool tcp = false;
    int c;
    while ((c = getopt_long(argc, argv, "s:w:l:hV", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            o->target.socket = optarg;
            break;
        case 'w':
            o->target.world = optarg;
            break;
        case VM:
            o->target.vm = optarg;
            break;
        case POLICY:
            o->target.policy = optarg;
            if (strcmp(optarg, "resume") != 0 && strcmp(optarg, "hold") != 0)
                return usage("--policy is resume or hold, not ", optarg);
            break;
        case NO_KILL:
            o->may_kill = false;
            break;
        case 'l':
            o->path = optarg;
            break;
        case TCP:
            tcp = true;
            if (!parse_port(optarg, &o->port))
                return usage("no port: ", optarg);
            break;
        case ONCE:
            o->once = true;
            break;
        case 'h':
            return fputs(help, stdout) < 0;
        case 'V':
            return puts("stillpoint-gdbserver " STILLPOINT_VERSION) < 0;
        default:
            return USAGE;
        }
    }
    if (optind < argc)
        return usage("it takes no argument: ", argv[optind]);
    if (tcp == (o->path != NULL))
        return usage("it needs one of --listen and --tcp", "");
    return -1;
}

int main(int argc, char **argv)
{
    struct server_options options = {.may_kill = true};
    int code = take_options(argc, argv, &options);
    return code >= 0 ? code : server_run(&options);
}

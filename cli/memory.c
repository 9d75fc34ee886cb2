/* memory read, write: the linear memory of WebAssembly in a stopped VM. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/parse.h"
#include "cli/print.h"
#include "cli/target.h"

#define CHUNK_BYTES ((uint32_t)128 * 1024) /* in one request */
#define LENGTH_MAX ((uint64_t)64 * 1024 * 1024)

/* 0, OPTIONS_DONE or an exit code. */
static int parse_place(struct cli *cli, int argc, char **argv, struct stillpoint_memory_place *p,
                       const char **debugger)
{
    int c, code = 0;
    while (code == 0 && (c = options_next(cli, argc, argv)) != -1) {
        switch (c) {
        case 'F':
            code = options_count(cli, "--frame", optarg, &p->frame);
            p->in_frame = true;
            break;
        case 'm':
            code = options_count(cli, "--memory", optarg, &p->memory);
            break;
        case 'D':
            code = options_debugger(cli, "--debugger", optarg, debugger);
            break;
        default:
            return OPTIONS_DONE;
        }
    }
    if (code == 0 && argc - optind > 1 && !parse_address(argv[optind + 1], &p->address))
        code = cli_fail_usage(cli, "'%s' is no address like 1024 or 0x400", argv[optind + 1]);
    return code;
}

/* "00000010  48 65 6c 6c 6f                                    |Hello|" */
static void print_dump(uint64_t address, const unsigned char *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 16) {
        char hex[3 * 16 + 2] = "", text[17] = "";
        size_t n = bytes - at < 16 ? bytes - at : 16, to = 0;
        for (size_t i = 0; i < n; i++) {
            to += (size_t)sprintf(hex + to, "%s%02x", i == 8 ? "  " : i ? " " : "", data[at + i]);
            text[i] = (char)(isprint(data[at + i]) && data[at + i] < 0x80 ? data[at + i] : '.');
        }
        print_line("%08" PRIx64 "  %-48s  |%s|", address + at, hex, text);
    }
}

static void print_memory(const struct cli *cli, const struct target *t, uint64_t address,
                         const unsigned char *data, size_t bytes, uint64_t memory_bytes)
{
    if (cli->format == CLI_TABLE) {
        print_dump(address, data, bytes);
    } else if (cli->format == CLI_NAME) {
        for (size_t i = 0; i < bytes; i++)
            printf("%02x", data[i]);
        print_line("%s", "");
    } else {
        print_json(cli,
                   json_pack("{s:o, s:o, s:o, s:o}", "vm", json_of_number(t->vm->id), "address",
                             json_of_number(address), "data", json_of_bytes(data, bytes),
                             "memory_bytes", json_of_number(memory_bytes)));
    }
}

static int read_memory(struct cli *cli, struct stillpoint_memory_place *place,
                       const struct target *t, uint64_t length)
{
    unsigned char *data = calloc(length + 1, 1);
    uint64_t address = place->address, at = 0, memory_bytes = 0;
    int code = data ? CLI_OK : cli_fail(cli, CLI_FAILED, "read memory: out of memory");
    place->vm = t->id;
    while (data && code == CLI_OK && at < length) {
        struct stillpoint_data part;
        uint32_t n = length - at < CHUNK_BYTES ? (uint32_t)(length - at) : CHUNK_BYTES;
        place->address = address + at;
        int r = stillpoint_vm_memory_read(cli->sp, place, n, &part);
        if (r != 0) {
            code = cli_fail_call(cli, r, "read memory of %s at 0x%" PRIx64, t->vm->name,
                                 place->address);
            break;
        }
        if (part.bytes == 0 || part.bytes > n)
            code = cli_fail(cli, CLI_FAILED, "read memory of %s at 0x%" PRIx64 ": %s", t->vm->name,
                            place->address, "nothing came");
        else
            memcpy(data + at, part.data, part.bytes);
        at += part.bytes;
        memory_bytes = part.memory_bytes;
        stillpoint_data_free(&part);
    }
    if (data && code == CLI_OK)
        print_memory(cli, t, address, data, length, memory_bytes);
    free(data);
    return code;
}

static int run_read(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_memory_place place = {0};
    struct target t = {0};
    const char *debugger = NULL;
    uint64_t length = 0;
    int code = parse_place(cli, argc, argv, &place, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind != 3)
        code = cli_fail_usage(cli, "it takes a VM, an address and a length");
    if (code == 0 && (!parse_address(argv[optind + 2], &length) || length == 0 ||
                      length > LENGTH_MAX || place.address > UINT64_MAX - length))
        code = cli_fail_usage(cli, "'%s' is no length: 1 to 64 MiB", argv[optind + 2]);
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0)
        code = read_memory(cli, &place, &t, length);
    target_done(&t);
    return code;
}

#define PLACE_HELP                                                                                 \
    "      --memory N         the memory's index (0)\n"                                            \
    "      --frame N          of the instance of this frame; else of the VM's program\n"           \
    "      --debugger NAME    on behalf of this debugger (cli:UID)\n"                              \
    "Numbers are decimal, or hexadecimal after 0x.\n"
static const struct option place_longs[] = {{"memory", required_argument, NULL, 'm'},
                                            {"frame", required_argument, NULL, 'F'},
                                            {"debugger", required_argument, NULL, 'D'},
                                            {0}};

const struct verb verb_memory_read = {
    .name = "memory read",
    .synopsis = "VM ADDRESS LENGTH [OPTION…]",
    .summary = "show WebAssembly memory of a stopped VM",
    .help = PLACE_HELP "-o name prints hexadecimal digits alone.\n",
    .shorts = "",
    .longs = place_longs,
    .run = run_read,
};

/* ---- write */

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Appends the bytes of "0aff" to data; false: that is not hexadecimal. */
static bool parse_hex(const char *text, unsigned char *data, size_t *bytes)
{
    for (; *text; text += 2) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0)
            return false;
        data[(*bytes)++] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static int write_memory(struct cli *cli, struct stillpoint_memory_place *place,
                        const struct target *t, const void *data, size_t bytes)
{
    struct stillpoint_data written;
    place->vm = t->id;
    int r = stillpoint_vm_memory_write(cli->sp, place, data, bytes, &written);
    if (r != 0)
        return cli_fail_call(cli, r, "write memory of %s at 0x%" PRIx64, t->vm->name,
                             place->address);
    if (cli->format == CLI_NAME)
        print_line("%s", t->vm->name);
    else if (cli->format != CLI_TABLE)
        print_json(cli,
                   json_pack("{s:o, s:o, s:o, s:o}", "vm", json_of_number(t->vm->id), "address",
                             json_of_number(place->address), "bytes", json_of_number(bytes),
                             "memory_bytes", json_of_number(written.memory_bytes)));
    stillpoint_data_free(&written);
    return CLI_OK;
}

static int run_write(struct cli *cli, int argc, char **argv)
{
    struct stillpoint_memory_place place = {0};
    struct target t = {0};
    const char *debugger = NULL;
    size_t bytes = 0, room = 1;
    int code = parse_place(cli, argc, argv, &place, &debugger);
    if (code == OPTIONS_DONE)
        return cli->exit_code;
    if (code == 0 && argc - optind < 3)
        code = cli_fail_usage(cli, "it takes a VM, an address and bytes in hexadecimal");
    for (int i = optind + 2; i < argc; i++)
        room += strlen(argv[i]);
    unsigned char *data = malloc(room);
    if (code == 0 && !data)
        code = cli_fail(cli, CLI_FAILED, "write memory: out of memory");
    for (int i = optind + 2; data && code == 0 && i < argc; i++)
        if (!parse_hex(argv[i], data, &bytes))
            code =
                cli_fail_usage(cli, "'%s' is not hexadecimal, two digits for each byte", argv[i]);
    if (code == 0 && (bytes == 0 || bytes > CHUNK_BYTES))
        code = cli_fail_usage(cli, "1 to %" PRIu32 " bytes can be written", CHUNK_BYTES);
    if (code == 0)
        code = target_find(cli, argv[optind], debugger, &t);
    if (code == 0)
        code = write_memory(cli, &place, &t, data, bytes);
    free(data);
    target_done(&t);
    return code;
}

const struct verb verb_memory_write = {
    .name = "memory write",
    .synopsis = "VM ADDRESS HEX… [OPTION…]",
    .summary = "write WebAssembly memory of a stopped VM",
    .help = PLACE_HELP,
    .shorts = "",
    .longs = place_longs,
    .run = run_write,
};

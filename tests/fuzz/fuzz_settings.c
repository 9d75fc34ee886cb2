/*
 * What administrators write: files of VM units, as daemon and stillctl read them, and the daemon's
 * configuration. What is taken is what the file says, and what is said of one that is wrong is one
 * line with a place in it.
 *
 * Input: one byte of flags, then the file. Flags: 1 it is a configuration, else a unit; 2 a
 * configuration is looked for where there is none first, and where there is a folder.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "daemon/config.h"
#include "daemon/record.h"
#include "proto/limits.h"
#include "proto/vm_unit.h"
#include "tests/fuzz/fuzz.h"

/* libinih's, without the newline. */
#define LINE_BYTES 198u

/* ---- what is said */

static const char *file_path;
static unsigned file_lines, said;

static void require_said(const char *path, unsigned line, const char *text)
{
    FUZZ_REQUIRE(strcmp(path, file_path) == 0);
    FUZZ_REQUIRE(line <= file_lines);
    FUZZ_REQUIRE(text[0] != '\0');
    fuzz_require_text(text, true);
    said++;
}

static void on_error(void *userdata, const char *path, unsigned line, const char *text)
{
    FUZZ_REQUIRE(userdata == &said);
    require_said(path, line, text);
}

/* In place of the daemon's own, whose module is not linked: what its configuration says of a file
 * is "PATH:LINE: text" or "PATH: text". */
void record_write(int level, const char *message_id, const struct record_about *about,
                  const char *format, ...)
{
    char text[1024], *colon;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    FUZZ_REQUIRE(level < LOG_DEBUG && message_id && !about);
    fuzz_require_text(text, false);
    if (level != LOG_ERR)
        return;
    FUZZ_REQUIRE((colon = strchr(text, ':')) != NULL);
    *colon++ = '\0';
    require_said(text, *colon == ' ' ? 0 : (unsigned)strtoul(colon, &colon, 10), colon);
}

static int open_text(const uint8_t *data, size_t size)
{
    int fd = fd_memfd_new("file", data, size);
    FUZZ_REQUIRE(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* ---- units */

static int read_unit(const uint8_t *data, size_t size, struct vm_unit *u)
{
    int fd = open_text(data, size);
    said = 0;
    int r = vm_unit_read(fd, file_path, on_error, &said, u);
    close(fd);
    FUZZ_REQUIRE(r == 0 || r == -EINVAL);
    FUZZ_REQUIRE((r == 0) == (said == 0));
    return r;
}

static bool is_in(uint64_t n, uint64_t least, uint64_t most)
{
    return n >= least && n <= most;
}

static void require_sane(const struct vm_unit *u)
{
    FUZZ_REQUIRE(u->program[0] == '/' && u->program_line > 0 && u->program_line <= file_lines);
    FUZZ_REQUIRE(text_is_name(u->world, LIMIT_NAME_BYTES));
    FUZZ_REQUIRE(text_is_name(u->engine, LIMIT_NAME_BYTES));
    FUZZ_REQUIRE((u->owner != NULL) == (u->owner_line > 0) && u->owner_line <= file_lines);
    FUZZ_REQUIRE(u->argc <= LIMIT_ARGS && u->n_labels <= LIMIT_LABELS);
    FUZZ_REQUIRE(vm_limits_wrong(&u->limits) == NULL);
    FUZZ_REQUIRE(is_in(u->delay_us, 1000, u->delay_max_us));
    FUZZ_REQUIRE(is_in(u->delay_max_us, 1000, LIMIT_TIME_US));
    FUZZ_REQUIRE(is_in(u->reset_us, 1000, LIMIT_TIME_US));
    FUZZ_REQUIRE(vm_unit_restart_text(u->restart) != NULL);
    for (size_t i = 0; i < u->argc; i++)
        fuzz_require_text(u->argv[i], false);
    FUZZ_REQUIRE(!u->argv || u->argv[u->argc] == NULL);
    for (size_t i = 0; i < u->n_labels; i++)
        for (size_t k = 0; k < i; k++)
            FUZZ_REQUIRE(strncmp(u->labels[i], u->labels[k], strcspn(u->labels[k], "=") + 1) != 0);
    FUZZ_REQUIRE(vm_unit_source_kind(u->program) <= 2);
}

static void put_time(FILE *f, const char *key, uint64_t us)
{
    if (us > 0)
        fprintf(f, "%s = %" PRIu64 "us\n", key, us);
}

static void put_number(FILE *f, const char *key, uint64_t n, const char *unit)
{
    if (n > 0)
        fprintf(f, "%s = %" PRIu64 "%s\n", key, n, unit);
}

/* What the unit is, said in the longest way: each word of its arguments in a line of its own, and
 * each ASCII letter of them with a backslash. */
static void put_unit(FILE *f, const struct vm_unit *u)
{
    fprintf(f, "[vm]\nprogram=%s\nworld=%s\nengine=%s\n", u->program, u->world, u->engine);
    if (u->owner)
        fprintf(f, "owner=%s\n", u->owner);
    for (size_t i = 0; i < u->argc; i++) {
        fputs("args=''", f);
        for (const char *c = u->argv[i]; *c; c++)
            fprintf(f, (*c & 0x80) == 0 ? "\\%c" : "%c", *c);
        fputs("''\n", f);
    }
    for (size_t i = 0; i < u->n_labels; i++)
        fprintf(f, "labels=%s\n", u->labels[i]);
    fprintf(f, "enabled=%s\nexit-when-done=%s\ndebug=%s\nrestart=%s\n", u->enabled ? "yes" : "no",
            u->exit_when_done ? "true" : "false", u->debug ? "yes" : "no",
            vm_unit_restart_text(u->restart));
    put_time(f, "restart-delay", u->delay_us);
    put_time(f, "restart-delay-max", u->delay_max_us);
    put_time(f, "restart-reset", u->reset_us);
    if (u->attempts > 0)
        put_number(f, "restart-attempts", u->attempts, "");
    else
        fputs("restart-attempts=none\n", f);
    fputs("[limits]\n", f);
    put_number(f, "memory", u->limits.memory_bytes, "");
    put_number(f, "cpu", u->limits.cpu_percent, "%");
    put_time(f, "cpu-time", u->limits.cpu_time_us);
    put_time(f, "timeout", u->limits.timeout_us);
    put_number(f, "tasks", u->limits.tasks, "");
    put_number(f, "output-rate", u->limits.output_rate, "");
    put_number(f, "log-size", u->limits.log_bytes, "");
}

static bool fits(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > LINE_BYTES)
            return false;
    return true;
}

/* Written anew, it is the same unit. */
static void require_same_when_written(const struct vm_unit *u)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    FUZZ_REQUIRE(f != NULL);
    put_unit(f, u);
    FUZZ_REQUIRE(fclose(f) == 0);
    if (fits(text)) {
        struct vm_unit again;
        unsigned lines = file_lines;
        file_lines = 1000000;
        FUZZ_REQUIRE(read_unit((const uint8_t *)text, bytes, &again) == 0);
        FUZZ_REQUIRE(vm_unit_equal(u, &again));
        vm_unit_done(&again);
        file_lines = lines;
    }
    free(text);
}

static bool try_unit(const uint8_t *data, size_t size)
{
    struct vm_unit u;
    file_path = "web.conf";
    if (read_unit(data, size, &u) < 0)
        return false;
    require_sane(&u);
    FUZZ_REQUIRE(vm_unit_equal(&u, &u));
    require_same_when_written(&u);
    vm_unit_done(&u);
    return true;
}

/* The text as the name of a file. */
static void try_name(const uint8_t *data, size_t size)
{
    char name[LIMIT_NAME_BYTES + 1];
    struct fuzz_input in = {data, size};
    char *text = fuzz_text(&in, size);
    if (vm_unit_name_of(text, name)) {
        size_t n = strlen(text), len = strlen(name);
        FUZZ_REQUIRE(text_is_name(name, LIMIT_NAME_BYTES) && n >= len + 5);
        FUZZ_REQUIRE(strncmp(text + n - len - 5, name, len) == 0);
    }
    free(text);
}

/* ---- the configuration */

static int load(char *path, struct config *c)
{
    char program[] = "stillpointd", option[] = "--config";
    char *argv[] = {program, option, path, NULL};
    file_path = path;
    said = 0;
    int r = config_load(c, 3, argv);
    FUZZ_REQUIRE(r == 0 || r == -EINVAL);
    FUZZ_REQUIRE((r == 0) == (said == 0));
    return r;
}

static int read_config(const uint8_t *data, size_t size, char *path, size_t path_bytes,
                       struct config *c)
{
    int fd = open_text(data, size);
    snprintf(path, path_bytes, "/proc/self/fd/%d", fd);
    int r = load(path, c);
    close(fd);
    return r;
}

static void require_refused(const char *path)
{
    char copy[64];
    struct config c;
    snprintf(copy, sizeof copy, "%s", path);
    FUZZ_REQUIRE(load(copy, &c) == -EINVAL);
    config_done(&c);
}

static void require_sane_config(const struct config *c)
{
    FUZZ_REQUIRE(vm_limits_wrong(&c->vm_defaults) == NULL && vm_limits_wrong(&c->vm_max) == NULL);
    FUZZ_REQUIRE(is_in(c->quota.connections, 1, LIMIT_CLIENTS) && c->quota.vms <= LIMIT_VMS);
    FUZZ_REQUIRE(is_in(c->quota.queued_bytes, LIMIT_FRAME_BYTES, LIMIT_QUEUED_BYTES));
    FUZZ_REQUIRE(is_in(c->quota.debuggers, 1, LIMIT_DEBUGGERS_PER_UID));
    FUZZ_REQUIRE(is_in(c->total.connections, 1, LIMIT_CLIENTS) && c->total.vms <= LIMIT_VMS);
    FUZZ_REQUIRE(c->quota.worlds <= LIMIT_WORLDS && c->socket_path && c->private_fd == -1);
    FUZZ_REQUIRE(strcmp(c->files, file_path) == 0);
    size_t n = strlen(file_path);
    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        if (c->places[i] && strncmp(c->places[i], file_path, n) == 0)
            FUZZ_REQUIRE(is_in(strtoul(c->places[i] + n + 1, NULL, 10), 1, file_lines));
}

static bool try_config(const uint8_t *data, size_t size)
{
    char path[64];
    struct config c, next;
    if (read_config(data, size, path, sizeof path, &c) < 0) {
        config_done(&c);
        return false;
    }
    require_sane_config(&c);
    /* Read once more and put in force: nothing changes. */
    FUZZ_REQUIRE(read_config(data, size, path, sizeof path, &next) == 0);
    config_take(&c, &next);
    config_done(&next);
    require_sane_config(&c);
    config_done(&c);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    fuzz_fds_note();
    file_lines = 1;
    for (size_t i = 1; i < size; i++)
        file_lines += data[i] == '\n';
    try_name(data + 1, size - 1);
    if (data[0] & 2) {
        require_refused("/proc/self/no-such-file");
        require_refused("/proc/self");
    }
    bool is_taken = data[0] & 1 ? try_config(data + 1, size - 1) : try_unit(data + 1, size - 1);
    if (is_taken)
        fuzz_accepted();
    else
        fuzz_refused();
    fuzz_fds_require();
    return 0;
}

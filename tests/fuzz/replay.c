/*
 * replay.c: the main of a fuzz target where no fuzzer is linked: runs it over each file of its
 * corpus, tests/fuzz/corpus/NAME, and over each of these cut short and with single bytes changed,
 * in a way that is always the same. Prints TAP.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define MAX_FILE_BYTES (2u * 1024 * 1024)
/* Variants of each file, beside itself. */
#define VARIANTS 16u

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static uint8_t *read_file(const char *path, size_t *ret_bytes)
{
    FILE *f = fopen(path, "re");
    uint8_t *data = f ? malloc(MAX_FILE_BYTES) : NULL;
    if (!data) {
        if (f)
            fclose(f);
        return NULL;
    }
    *ret_bytes = fread(data, 1, MAX_FILE_BYTES, f);
    int bad = ferror(f);
    fclose(f);
    if (bad) {
        free(data);
        return NULL;
    }
    return data;
}

static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(uint8_t *data, size_t size)
{
    uint32_t chance = 2166136261u;
    for (size_t i = 0; i < size; i++)
        chance = (chance ^ data[i]) * 16777619u;
    for (unsigned i = 0; i < VARIANTS && size > 0; i++) {
        chance = chance * 1664525u + 1013904223u;
        size_t at = (chance >> 8) % size;
        uint8_t before = data[at];
        if (i % 4 == 0) {
            run_copy(data, at);
        } else {
            data[at] = (uint8_t)(i % 4 == 1 ? before ^ 1u << (chance & 7) : chance);
            run_copy(data, size);
            data[at] = before;
        }
    }
}

/* "replay_check_api" is of "check_api". */
static const char *target_name(char *program)
{
    const char *name = basename(program);
    return strncmp(name, "replay_", 7) == 0 ? name + 7 : name;
}

int main(int argc, char **argv)
{
    char folder[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
    const char *source = getenv("srcdir"), *name = target_name(argv[0]);
    struct dirent **entries;
    if (argc > 1)
        snprintf(folder, sizeof folder, "%s", argv[1]);
    else
        snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", source ? source : ".", name);
    int n = scandir(folder, &entries, visible, alphasort);
    if (n < 0) {
        printf("Bail out! %s: %s\n", folder, strerror(errno));
        return 1;
    }
    printf("1..%d\n", n + 3);
    int read = 0;
    for (int i = 0; i < n; i++) {
        size_t size;
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        uint8_t *data = read_file(path, &size);
        /* Printed first: what kills the process is in the line after the last one. */
        fflush(stdout);
        if (data) {
            run_copy(data, size);
            run_variants(data, size);
            read++;
        }
        printf("%s %d - %s: %s\n", data ? "ok" : "not ok", i + 1, name, entries[i]->d_name);
        free(data);
        free(entries[i]);
    }
    free(entries);
    unsigned long accepted = fuzz_count_accepted(), refused = fuzz_count_refused();
    printf("%s %d - %s: every file of a corpus that is not empty was run (%d)\n",
           read == n && n > 0 ? "ok" : "not ok", n + 1, name, read);
    printf("%s %d - %s: something was accepted (%lu)\n", accepted > 0 ? "ok" : "not ok", n + 2,
           name, accepted);
    printf("%s %d - %s: something was refused (%lu)\n", refused > 0 ? "ok" : "not ok", n + 3, name,
           refused);
    return read == n && n > 0 && accepted > 0 && refused > 0 ? 0 : 1;
}

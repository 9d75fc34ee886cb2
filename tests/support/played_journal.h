/* A journal that the program plays: its journal_sendv() is linked in place of base's. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/journal.h"
#include "base/log.h"

static struct {
    char fields[16384]; /* of the last record, each between newlines */
    char before[16384]; /* of the one before */
    size_t n;           /* records taken */
    int error;          /* what it answers, if not 0 */
} journal;

int journal_sendv(const struct iovec *iov, int n)
{
    if (journal.error != 0)
        return journal.error;
    journal.n++;
    memcpy(journal.before, journal.fields, sizeof journal.before);
    size_t at = 1;
    journal.fields[0] = '\n';
    journal.fields[1] = '\0';
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(journal.fields + at, sizeof journal.fields - at, "%.*s\n",
                               (int)iov[i].iov_len, (const char *)iov[i].iov_base);
    return 0;
}

static inline bool journal_has(const char *field)
{
    size_t len = strlen(field);
    for (const char *at = journal.fields; (at = strstr(at, field)); at++)
        if (at[-1] == '\n' && at[len] == '\n')
            return true;
    return false;
}

/* From now on log.c takes stderr to be the journal. */
static inline void journal_begin(const char *program)
{
    struct stat st;
    char stream[64];
    fstat(STDERR_FILENO, &st);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    memset(&journal, 0, sizeof journal);
    log_init(program, 0);
}

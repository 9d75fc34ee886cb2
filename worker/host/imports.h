/*
 * imports.h: the sources that a program may import. Owns the bundle (files that came beforehand)
 * and the answers that wait for the engine. What the bundle lacks is asked of the daemon. VM
 * thread.
 *
 * Texts stay mapped for the life of the process: the engine keeps pointers into them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/daemon_channel.h"

struct import_answer {
    struct import_answer *next;
    uint64_t id;
    char *error; /**< NULL if there is a text */
    const uint8_t *text;
    size_t text_bytes;
};

struct imports {
    struct daemon_channel *channel;
    void *files; /**< tsearch(3) tree by path */
    size_t n_files, bytes;
    struct import_answer *first, **end;
};

void imports_init(struct imports *i, struct daemon_channel *channel);
/** Frees the bundle with its texts, and the answers that nobody took without theirs. */
void imports_done(struct imports *i);

/** Adds a file to the bundle; the memfd stays the caller's. Returns 0 or negative errno. */
int imports_add_file(struct imports *i, const char *path, int memfd);
/** The daemon's answer to an ImportWanted: a memfd, or an error. Returns 0 or negative errno. */
int imports_answer(struct imports *i, uint64_t id, const char *error, int memfd);
/** Answers from the bundle, or asks the daemon; the answer is taken later. 0 or negative errno. */
int imports_request(struct imports *i, uint64_t id, const char *path);
/** The oldest answer, or NULL; it is the caller's, for import_answer_free(). */
struct import_answer *imports_take(struct imports *i);
/** Frees the answer, not its text. Returns NULL. */
struct import_answer *import_answer_free(struct import_answer *a);

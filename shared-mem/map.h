/*
 * map.h: makes and maps the pages of layout.h. Each is a memfd of one page, sealed so that nobody
 * can resize it, and, where only the daemon may write, sealed against every further writable
 * mapping. Used by both halves; owns nothing: the caller owns fd and mapping.
 */
#pragma once

#include <stddef.h>

/** Who may write a page. */
enum map_writer {
    MAP_WRITER_SELF, /**< the creator only: F_SEAL_FUTURE_WRITE after its own mapping was made */
    MAP_WRITER_PEER, /**< the peer; the creator maps it read-only */
    /** The creator, and a process that gets its descriptor when the creator is gone: no
     * F_SEAL_FUTURE_WRITE. The peer is given map_read_only()'s descriptor, and no other. */
    MAP_WRITER_KEPT,
};

/**
 * Creates a zeroed page and maps it. Returns 0 and sets *ret_fd (close-on-exec) and *ret_page,
 * which map_done() undoes; or negative errno.
 */
int map_create(const char *name, enum map_writer writer, int *ret_fd, void **ret_page);

/**
 * Maps a page that the peer created. Refuses with -EBADF whatever is not a memfd of exactly one
 * page sealed against resizing. Does not take the fd.
 */
int map_attach(int fd, enum map_writer writer, void **ret_page);

/** A descriptor of the same page through which no mapping can be made that may ever be written.
 *  Returns it (close-on-exec) or negative errno. */
int map_read_only(int fd);

/** Unmaps; takes NULL. Returns NULL. */
void *map_done(void *page);

/*
 * folder.h: files that may be given to others: read whole, within bounds, from below one folder
 * only, and handed over as sealed memfds. Works in any process and thread; owns nothing.
 */
#pragma once

#include <stddef.h>

/** Opens the folder in which a file is. Returns its descriptor or negative errno. */
int folder_open(const char *file_path);

/** Everything that can be read from fd, in a sealed memfd. Returns it, -EISDIR, -EFBIG (more than
 *  max_bytes), or another negative errno. */
int folder_memfd_from(int fd, size_t max_bytes);

/**
 * The same of the file at a path below the folder, of at most max_path bytes; no symbolic link is
 * followed. -EXDEV: not a path below it · -ENODEV: not a regular file.
 */
int folder_read(int folder, const char *path, size_t max_path, size_t max_bytes);

/** Why one of these failed, for people. */
const char *folder_error(int r);

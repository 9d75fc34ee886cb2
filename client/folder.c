/*
 * A program's files: read by the client, from below the program's folder only, and handed over as
 * sealed memfds.
 */
#include <string.h>

#include "base/folder.h"
#include "client/stillpoint.h"
#include "proto/limits.h"

enum stillpoint_source_kind stillpoint_source_kind_of(const char *file_name)
{
    const char *dot = strrchr(file_name, '.');
    if (dot && strcmp(dot, ".mjs") == 0)
        return STILLPOINT_SOURCE_MODULE;
    if (dot && strcmp(dot, ".wasm") == 0)
        return STILLPOINT_SOURCE_WASM;
    return STILLPOINT_SOURCE_SCRIPT_OR_MODULE;
}

int stillpoint_folder_open(const char *program_path)
{
    return folder_open(program_path);
}

int stillpoint_memfd_from(int fd)
{
    return folder_memfd_from(fd, LIMIT_FILE_BYTES);
}

int stillpoint_folder_read(int folder, const char *path)
{
    return folder_read(folder, path, LIMIT_PATH_BYTES, LIMIT_FILE_BYTES);
}

const char *stillpoint_file_error(int r)
{
    return folder_error(r);
}

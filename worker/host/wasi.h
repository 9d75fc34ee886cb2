/*
 * wasi.h: wasi_snapshot_preview1 for one program: arguments, clocks, random bytes, standard
 * streams, sleep and exit. All names of the standard link; what is not granted answers ENOSYS, or
 * EBADF where it speaks of a descriptor. Owns the arguments and what came from stdin. VM thread.
 *
 * Every guest pointer is an offset into the program's memory, checked before use; a wrong one is
 * EFAULT and changes nothing. Where guest code must not wait, a call that would is EAGAIN.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/engine.h"

struct wasi {
    size_t argc;
    char **argv; /**< with the program's name first */
    uint8_t *input;
    size_t input_start, input_bytes;
    bool input_wanted; /**< the daemon was asked and has not answered */
    bool input_ended;
};

extern const struct engine_wasi_function wasi_functions[];

int wasi_init(struct wasi *w, const char *name, size_t argc, const char *const *argv);
void wasi_done(struct wasi *w);

/** The daemon's answer to StdinWanted; no bytes: the end of the input. 0 or -ENOMEM. */
int wasi_stdin_answer(struct wasi *w, const uint8_t *data, size_t len);

/** engine_host_ops.wasi_call; `userdata` is the struct host. */
int wasi_call(void *userdata, unsigned index, const uint64_t *args, uint8_t *memory,
              size_t memory_bytes, uint32_t *ret_value);

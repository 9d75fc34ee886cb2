/*
 * fuzz.h: what the fuzz targets share: counts that show that a target really reached what it is
 * there for, inputs that are read as a program, and claims that end the process when they do not
 * hold. Each target is a file fuzz_NAME.c with one LLVMFuzzerTestOneInput(); libFuzzer links it,
 * and replay.c.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The inner parser took one, refused one. */
void fuzz_accepted(void);
void fuzz_refused(void);
unsigned long fuzz_count_accepted(void);
unsigned long fuzz_count_refused(void);

/** What must hold whatever the input is. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(#condition, __FILE__, __LINE__);                                             \
    } while (0)
_Noreturn void fuzz_fail(const char *what, const char *file, int line);

/** An input that is read from its start; all of these give zeroes beyond its end. */
struct fuzz_input {
    const uint8_t *data;
    size_t left;
};
uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in);
uint64_t fuzz_u64(struct fuzz_input *in);
/** The next n bytes, or as many as there are. */
const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t n, size_t *ret_n);
/** The same as a text of its own, which the caller frees: a byte read too far is found. */
char *fuzz_text(struct fuzz_input *in, size_t n);
/** A heap copy of exactly these bytes. */
uint8_t *fuzz_copy(const void *data, size_t n);

/** Reads every byte of a message, and requires that its texts are UTF-8. */
void fuzz_touch(const ProtobufCMessage *m);
/** Requires that the text is one that our wires let pass: UTF-8, and with `one_line` no control
 *  characters. */
void fuzz_require_text(const char *text, bool one_line);

/** Remembers which descriptors are open, and requires that none was left since. */
void fuzz_fds_note(void);
void fuzz_fds_require(void);

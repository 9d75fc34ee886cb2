/*
 * seccomp_table.h: every system call that a locked-down worker can make: under which rule, and who
 * makes it. What is not in the table kills the process.
 *
 * Rules compare all 64 bits of an argument, 32-bit ones too: the kernel would ignore the upper
 * half, so a value with a bit there is nobody's honest argument.
 *
 * Constant data, any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** One way in which an argument may look: (value & mask) == datum. */
struct seccomp_choice {
    uint64_t mask, datum;
};

#define SECCOMP_CHOICES 4

struct seccomp_row {
    int number;
    const char *name;
    int refuse_errno;   /**< 0: allowed; else the call fails with it and does nothing */
    unsigned arg;       /**< the argument that `choices` speak of, if there are any */
    unsigned n_choices; /**< 0: any arguments */
    struct seccomp_choice choices[SECCOMP_CHOICES];
    unsigned also_arg; /**< one more argument, if `also.mask` is not 0 */
    struct seccomp_choice also;
    const char *rule;   /**< the choices in words, for --print-seccomp */
    const char *caller; /**< who needs it */
};

extern const struct seccomp_row seccomp_table[];
extern const size_t seccomp_table_rows;

/*
 * coro.h: a switch between stacks, some nanoseconds where we know the machine, ucontext elsewhere.
 */
#pragma once

#include <stddef.h>

struct coro {
    void *sp; /* saved stack pointer; NULL: never ran */
    void *stack;
    size_t size;
    void *context; /* ucontext, where that is used */
};

/** Prepares a coroutine that calls main(arg), which must not return. Reuses its stack. */
void coro_start(struct coro *c, void (*main)(void *), void *arg);
/** Saves here, goes on there. */
void coro_switch(struct coro *from, struct coro *to);

#include "tests/schedules/coro.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CORO_X86_64
#else
#include <ucontext.h>
#endif

#define STACK_BYTES ((size_t)64 * 1024)

static void stack_make(struct coro *c)
{
    if (c->stack)
        return;
    c->size = STACK_BYTES;
    void *p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (p == MAP_FAILED)
        abort();
    c->stack = p;
}

#ifdef CORO_X86_64

/* System V: rbx, rbp, r12 to r15 belong to the caller. Modes of SSE and x87 are never changed. */
void coro_switch_x86_64(void **save_sp, void *sp);
void coro_entry_x86_64(void);
__asm__(".text\n"
        ".globl coro_switch_x86_64\n"
        ".type coro_switch_x86_64, @function\n"
        "coro_switch_x86_64:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size coro_switch_x86_64, .-coro_switch_x86_64\n"
        /* First entry: main in r12, its argument in r13. */
        ".globl coro_entry_x86_64\n"
        ".type coro_entry_x86_64, @function\n"
        "coro_entry_x86_64:\n"
        "    xor %ebp, %ebp\n"
        "    mov %r13, %rdi\n"
        "    call *%r12\n"
        "    ud2\n"
        ".size coro_entry_x86_64, .-coro_entry_x86_64\n");

void coro_start(struct coro *c, void (*main)(void *), void *arg)
{
    stack_make(c);
    uintptr_t top = ((uintptr_t)c->stack + c->size) & ~(uintptr_t)15;
    uint64_t *sp = (uint64_t *)top;
    *--sp = 0; /* two words: the stack is aligned to 16 at the call in coro_entry */
    *--sp = 0;
    *--sp = (uint64_t)(uintptr_t)coro_entry_x86_64;
    *--sp = 0;                         /* rbp */
    *--sp = 0;                         /* rbx */
    *--sp = (uint64_t)(uintptr_t)main; /* r12 */
    *--sp = (uint64_t)(uintptr_t)arg;  /* r13 */
    *--sp = 0;                         /* r14 */
    *--sp = 0;                         /* r15 */
    c->sp = sp;
}

void coro_switch(struct coro *from, struct coro *to)
{
    coro_switch_x86_64(&from->sp, to->sp);
}

#else

struct ucontext_coro {
    ucontext_t context;
    void (*main)(void *);
    void *arg;
};

static void entry(unsigned high, unsigned low)
{
    struct ucontext_coro *u = (struct ucontext_coro *)((uintptr_t)high << 32 | low);
    u->main(u->arg);
    abort();
}

static struct ucontext_coro *context_of(struct coro *c)
{
    if (!c->context)
        c->context = calloc(1, sizeof(struct ucontext_coro));
    if (!c->context)
        abort();
    return c->context;
}

#ifdef __SANITIZE_ADDRESS__
void __asan_unpoison_memory_region(const volatile void *p, size_t size);
#endif

void coro_start(struct coro *c, void (*main)(void *), void *arg)
{
    stack_make(c);
#ifdef __SANITIZE_ADDRESS__
    /* What ran on it before may have been left in the middle of a function. */
    __asan_unpoison_memory_region(c->stack, c->size);
#endif
    struct ucontext_coro *u = context_of(c);
    u->main = main;
    u->arg = arg;
    if (getcontext(&u->context) < 0)
        abort();
    u->context.uc_stack.ss_sp = c->stack;
    u->context.uc_stack.ss_size = c->size;
    u->context.uc_link = NULL;
    uintptr_t p = (uintptr_t)u;
    makecontext(&u->context, (void (*)(void))(uintptr_t)entry, 2, (unsigned)((uint64_t)p >> 32),
                (unsigned)p);
}

void coro_switch(struct coro *from, struct coro *to)
{
    swapcontext(&context_of(from)->context, &context_of(to)->context);
}

#endif

#include "worker/refused_call.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct status_page *page;

/* Refused like the one that brought us here, with SIGSYS blocked and its action the default: the
 * kernel ends the process. In line, since a return address on the stack could be changed by
 * another thread. */
static inline void make_refused_call(void)
{
#if defined(__x86_64__)
    long number = SYS_ptrace;
    __asm__ volatile("syscall" : "+a"(number) : : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_ptrace;
    register long first __asm__("x0") = 0;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number) : "memory");
#else
    (void)syscall(SYS_ptrace, 0, 0, 0, 0);
#endif
}

static void on_refused(int number, siginfo_t *si, void *context)
{
    (void)number, (void)context;
    atomic_store_explicit(&page->refused_at, (uint64_t)(uintptr_t)si->si_call_addr,
                          memory_order_relaxed);
    atomic_store_explicit(&page->refused_call,
                          (uint64_t)si->si_arch << 32 | (uint32_t)si->si_syscall,
                          memory_order_relaxed);
    for (;;)
        make_refused_call();
}

int refused_call_report(struct status_page *status)
{
    page = status;
    struct sigaction action = {.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND)};
    action.sa_sigaction = on_refused;
    sigfillset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

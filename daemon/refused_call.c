#include "daemon/refused_call.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

#define X32_BIT 0x40000000u

void refused_call_text(uint64_t call, uint64_t at, char *text, size_t size)
{
    static const struct {
        uint32_t token;
        const char *name;
    } known[] = {
        {AUDIT_ARCH_X86_64, "x86-64"},
        {AUDIT_ARCH_I386, "i386"},
        {AUDIT_ARCH_AARCH64, "arm64"},
        {AUDIT_ARCH_ARM, "arm"},
    };
    uint32_t arch = (uint32_t)(call >> 32), number = (uint32_t)call, token = arch;
    char other[32];
    const char *name = NULL;
    if (call == 0) {
        snprintf(text, size, "a system call that it did not write down");
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0] && !name; i++)
        if (known[i].token == arch)
            name = known[i].name;
    if (!name) {
        snprintf(other, sizeof other, "architecture 0x%x", arch);
        name = other;
    }
    if (arch == AUDIT_ARCH_X86_64 && (number & X32_BIT) && number != UINT32_MAX) {
        name = "x32";
        token = SCMP_ARCH_X32;
    }
    char *word = seccomp_syscall_resolve_num_arch(token, (int)number);
    snprintf(text, size, "system call %d (%s%s%s) at 0x%llx",
             (int)(token == SCMP_ARCH_X32 ? number & ~X32_BIT : number), word ? word : "",
             word ? ", " : "", name, (unsigned long long)at);
    free(word);
}

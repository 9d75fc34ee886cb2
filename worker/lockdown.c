#include "worker/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "worker/seccomp_table.h"

static void cleanup_filter(scmp_filter_ctx *ctx)
{
    seccomp_release(*ctx);
}

static int add_row(scmp_filter_ctx ctx, const struct seccomp_row *row)
{
    uint32_t action =
        row->refuse_errno ? SCMP_ACT_ERRNO((uint16_t)row->refuse_errno) : SCMP_ACT_ALLOW;
    if (row->n_choices == 0)
        return seccomp_rule_add_exact(ctx, action, row->number, 0);
    for (unsigned i = 0; i < row->n_choices; i++) {
        const struct seccomp_choice *c = &row->choices[i];
        const struct scmp_arg_cmp cmp[] = {
            SCMP_CMP64(row->arg, SCMP_CMP_MASKED_EQ, c->mask, c->datum),
            SCMP_CMP64(row->also_arg, SCMP_CMP_MASKED_EQ, row->also.mask, row->also.datum),
        };
        int r = seccomp_rule_add_exact_array(ctx, action, row->number, row->also.mask ? 2 : 1, cmp);
        if (r < 0)
            return r;
    }
    return 0;
}

/* libseccomp before 2.6 exports to a file only. */
static int export_filter(scmp_filter_ctx ctx, struct lockdown *l)
{
    _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return r;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t bytes = (size_t)st.st_size;
    struct sock_filter *filter = malloc(bytes);
    if (!filter)
        return -ENOMEM;
    if (pread(fd, filter, bytes, 0) != st.st_size) {
        free(filter);
        return -EIO;
    }
    *l = (struct lockdown){.filter = filter, .len = (unsigned short)(bytes / sizeof *filter)};
    return 0;
}

int lockdown_init(struct lockdown *l)
{
    _cleanup_(cleanup_filter) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
    if (!ctx)
        return -ENOMEM;
    /* A trap that has no handler, or cannot reach it, kills the process; see refused_call.h for one
     * that has. Other architectures' calls (x32, int 0x80) die like unknown ones. */
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
    /* A tree: the kernel asks the filter of each call there is when it is loaded, in each birth. */
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r < 0)
        return r;
    for (size_t i = 0; i < seccomp_table_rows; i++) {
        r = add_row(ctx, &seccomp_table[i]);
        if (r < 0)
            return r;
    }
    return export_filter(ctx, l);
}

void lockdown_done(struct lockdown *l)
{
    free(l->filter);
    *l = (struct lockdown){0};
}

int lockdown_apply(const struct lockdown *l)
{
    const struct rlimit none = {0, 0};
    struct rlimit now;
    if (setrlimit(RLIMIT_NPROC, &none) < 0 || getrlimit(RLIMIT_NPROC, &now) < 0)
        return -errno;
    if (now.rlim_max != 0)
        return -EPROTO;
    struct sock_fprog prog = {.len = l->len, .filter = l->filter};
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
    if (r != 0)
        return r < 0 ? -errno : -EBUSY; /* positive: a thread that could not be brought along */
    /* The kernel's word for it: the row that is refused, which without a filter says ENOENT. */
    return syscall(SYS_openat, AT_FDCWD, "", 0) < 0 && errno == EACCES ? 0 : -EPROTO;
}

void lockdown_print(FILE *out)
{
    for (size_t i = 0; i < seccomp_table_rows; i++)
        fprintf(out, "%-16s %-40s %s\n", seccomp_table[i].name, seccomp_table[i].rule,
                seccomp_table[i].caller);
}

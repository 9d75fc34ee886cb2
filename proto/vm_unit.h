/*
 * vm_unit.h: what a unit is, a file that describes a VM to be started by the daemon
 * (stillpoint-vm.conf(5)): its sections, keys, ranges and defaults, read into a plain struct. Used
 * by the daemon, and by clients that check such files. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/limits.h"
#include "proto/vm_limits.h"

/** After which ends of its VM it is started again: the numbers of UnitRestart in api.proto. */
enum vm_unit_restart {
    VM_UNIT_RESTART_NO = 1,
    VM_UNIT_RESTART_ON_FAILURE,
    VM_UNIT_RESTART_ALWAYS,
};

struct vm_unit {
    char *program; /**< absolute */
    char *world, *engine;
    char *owner; /**< NULL: who runs the daemon */
    size_t argc;
    char **argv; /**< NULL at its end */
    size_t n_labels;
    char **labels; /**< "KEY=VALUE", each key once */
    struct vm_limits limits;
    bool exit_when_done, debug; /**< as of `stillctl run` */
    bool enabled; /**< unless somebody has said otherwise with `stillctl enable` or `disable` */
    enum vm_unit_restart restart;
    uint64_t delay_us, delay_max_us;   /**< of the first restart, and what that may double up to */
    uint32_t attempts;                 /**< restarts in a row, without success; 0: no bound */
    uint64_t reset_us;                 /**< whoever has run for so long has had success */
    unsigned program_line, owner_line; /**< 0: it is not said */
};

/** What is wrong with a file; line 0: with all of it. */
typedef void (*vm_unit_error)(void *userdata, const char *path, unsigned line, const char *text);

/**
 * Reads one; `path` is for texts. 0, -ENOMEM, or -EINVAL when on_error was told what is wrong, all
 * of it. vm_unit_done() after 0.
 */
int vm_unit_read(int fd, const char *path, vm_unit_error on_error, void *userdata,
                 struct vm_unit *ret);
void vm_unit_done(struct vm_unit *u);
bool vm_unit_equal(const struct vm_unit *a, const struct vm_unit *b);

/** "web" of "/etc/stillpoint/vms/web.conf". False: it ends in something else, or is no name. */
bool vm_unit_name_of(const char *path, char ret_name[LIMIT_NAME_BYTES + 1]);

/** How the program's file name says what it is: an enum engine_source_kind's number. */
unsigned vm_unit_source_kind(const char *program);
/** The uid that owns its VM. -ENOENT: there is no such user. */
int vm_unit_owner(const struct vm_unit *u, uid_t otherwise, uid_t *ret);

const char *vm_unit_restart_text(enum vm_unit_restart restart);

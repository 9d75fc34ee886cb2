/* The word of each enum value, as JSON, tables and arguments have it. */
#include "client/stillpoint.h"

#include "base/text.h"

#define WORD(words, value)                                                                         \
    ((size_t)(value) < sizeof(words) / sizeof *(words) && (words)[value] ? (words)[value]          \
                                                                         : "unknown")

const char *stillpoint_vm_state_text(enum stillpoint_vm_state state)
{
    static const char *const words[] = {
        [STILLPOINT_VM_STARTING] = "starting", [STILLPOINT_VM_ACTIVE] = "active",
        [STILLPOINT_VM_IDLE] = "idle",         [STILLPOINT_VM_BLOCKED] = "blocked",
        [STILLPOINT_VM_PARKED] = "parked",     [STILLPOINT_VM_EVALUATING] = "evaluating",
        [STILLPOINT_VM_EXITED] = "exited",
    };
    return WORD(words, state);
}

const char *stillpoint_exit_reason_text(enum stillpoint_exit_reason reason)
{
    static const char *const words[] = {
        [STILLPOINT_EXIT_EXITED] = "exited",   [STILLPOINT_EXIT_ERROR] = "error",
        [STILLPOINT_EXIT_OOM] = "oom",         [STILLPOINT_EXIT_TIMEOUT] = "timeout",
        [STILLPOINT_EXIT_KILLED] = "killed",   [STILLPOINT_EXIT_CRASHED] = "crashed",
        [STILLPOINT_EXIT_SECCOMP] = "seccomp", [STILLPOINT_EXIT_UNKNOWN] = "unknown",
    };
    return WORD(words, reason);
}

const char *stillpoint_stream_text(enum stillpoint_stream stream)
{
    static const char *const words[] = {
        [STILLPOINT_STDOUT] = "stdout",
        [STILLPOINT_STDERR] = "stderr",
    };
    return WORD(words, stream);
}

const char *stillpoint_wait_for_text(enum stillpoint_wait_for what)
{
    static const char *const words[] = {
        [STILLPOINT_WAIT_EXITED] = "exited",
        [STILLPOINT_WAIT_IDLE] = "idle",
        [STILLPOINT_WAIT_STOPPED] = "stopped",
        [STILLPOINT_WAIT_ACTIVE] = "active",
    };
    return WORD(words, what);
}

const char *stillpoint_world_mode_text(enum stillpoint_world_mode mode)
{
    static const char *const words[] = {
        [STILLPOINT_MODE_RUN_ALL] = "run-all",
        [STILLPOINT_MODE_STOPPING] = "stopping",
        [STILLPOINT_MODE_STOPPED] = "stopped",
        [STILLPOINT_MODE_RUN_ONE] = "run-one",
    };
    return WORD(words, mode);
}

const char *stillpoint_how_text(enum stillpoint_how how)
{
    static const char *const words[] = {
        [STILLPOINT_HOW_ACKED] = "acked",
        [STILLPOINT_HOW_HELD] = "held",
        [STILLPOINT_HOW_ENFORCED] = "enforced",
        [STILLPOINT_HOW_DEAD] = "dead",
    };
    return WORD(words, how);
}

const char *stillpoint_inspect_kind_text(enum stillpoint_inspect_kind kind)
{
    static const char *const words[] = {
        [STILLPOINT_INSPECT_GC] = "gc",
        [STILLPOINT_INSPECT_CENSUS] = "census",
        [STILLPOINT_INSPECT_STACKS] = "stacks",
    };
    return WORD(words, kind);
}

const char *stillpoint_event_kind_text(enum stillpoint_event_kind kind)
{
    static const char *const words[] = {
        [STILLPOINT_EVENT_VM_BORN] = "vm-born",
        [STILLPOINT_EVENT_VM_ENDED] = "vm-ended",
        [STILLPOINT_EVENT_WORLD_MADE] = "world-made",
        [STILLPOINT_EVENT_WORLD_GONE] = "world-gone",
        [STILLPOINT_EVENT_WORLD_STOPPING] = "world-stopping",
        [STILLPOINT_EVENT_WORLD_STOPPED] = "world-stopped",
        [STILLPOINT_EVENT_WORLD_RESUMED] = "world-resumed",
        [STILLPOINT_EVENT_VM_HELD] = "vm-held",
        [STILLPOINT_EVENT_VM_RELEASED] = "vm-released",
        [STILLPOINT_EVENT_VM_MESSAGE] = "vm-message",
        [STILLPOINT_EVENT_VM_MISSED] = "vm-missed",
        [STILLPOINT_EVENT_ZYGOTE_LOST] = "zygote-lost",
        [STILLPOINT_EVENT_PRIVILEGED] = "privileged",
        [STILLPOINT_EVENT_WORLD_RUN_ONE] = "world-run-one",
        [STILLPOINT_EVENT_TARGET_CHANGED] = "target-changed",
        [STILLPOINT_EVENT_LEASE_CHANGED] = "lease-changed",
        [STILLPOINT_EVENT_TICKET_ENDED] = "ticket-ended",
        [STILLPOINT_EVENT_VM_FROZEN] = "vm-frozen",
        [STILLPOINT_EVENT_VM_THAWED] = "vm-thawed",
        [STILLPOINT_EVENT_VM_LIED] = "vm-lied",
        [STILLPOINT_EVENT_VM_PAUSED] = "vm-paused",
        [STILLPOINT_EVENT_HOOKS_CHANGED] = "hooks-changed",
        [STILLPOINT_EVENT_DEBUGGER_CLOSED] = "debugger-closed",
        [STILLPOINT_EVENT_UNIT_CHANGED] = "unit-changed",
    };
    return WORD(words, kind);
}

const char *stillpoint_unit_state_text(enum stillpoint_unit_state state)
{
    static const char *const words[] = {
        [STILLPOINT_UNIT_OFF] = "off",
        [STILLPOINT_UNIT_RUNNING] = "running",
        [STILLPOINT_UNIT_RESTARTING] = "restarting",
        [STILLPOINT_UNIT_EXITED] = "exited",
        [STILLPOINT_UNIT_FAILED] = "failed",
    };
    return WORD(words, state);
}

const char *stillpoint_restart_text(enum stillpoint_restart restart)
{
    static const char *const words[] = {
        [STILLPOINT_RESTART_NO] = "no",
        [STILLPOINT_RESTART_ON_FAILURE] = "on-failure",
        [STILLPOINT_RESTART_ALWAYS] = "always",
    };
    return WORD(words, restart);
}

const char *stillpoint_hook_kind_text(enum stillpoint_hook_kind kind)
{
    static const char *const words[] = {
        [STILLPOINT_HOOK_NEW_GLOBAL] = "new-global",
        [STILLPOINT_HOOK_ENTER_FRAME] = "enter-frame",
        [STILLPOINT_HOOK_DEBUGGER_STATEMENT] = "debugger-statement",
        [STILLPOINT_HOOK_EXCEPTION_UNWIND] = "exception-unwind",
        [STILLPOINT_HOOK_NEW_SCRIPT] = "new-script",
        [STILLPOINT_HOOK_NEW_PROMISE] = "new-promise",
        [STILLPOINT_HOOK_PROMISE_SETTLED] = "promise-settled",
        [STILLPOINT_HOOK_POP] = "pop",
        [STILLPOINT_HOOK_STEP] = "step",
        [STILLPOINT_HOOK_BREAKPOINT] = "breakpoint",
    };
    return WORD(words, kind);
}

const char *stillpoint_referent_kind_text(enum stillpoint_referent_kind kind)
{
    static const char *const words[] = {
        [STILLPOINT_REFERENT_RUNTIME] = "runtime",
        [STILLPOINT_REFERENT_REALM] = "realm",
        [STILLPOINT_REFERENT_FRAME] = "frame",
        [STILLPOINT_REFERENT_SCRIPT] = "script",
    };
    return WORD(words, kind);
}

const char *stillpoint_suspend_text(enum stillpoint_suspend suspend)
{
    static const char *const words[] = {
        [STILLPOINT_SUSPEND_NONE] = "none",
        [STILLPOINT_SUSPEND_VM] = "vm",
        [STILLPOINT_SUSPEND_WORLD] = "world",
    };
    return WORD(words, suspend);
}

const char *stillpoint_granularity_text(enum stillpoint_granularity granularity)
{
    static const char *const words[] = {
        [STILLPOINT_GRANULARITY_STATEMENT] = "statement",
        [STILLPOINT_GRANULARITY_OPERATION] = "operation",
    };
    return WORD(words, granularity);
}

const char *stillpoint_value_type_text(enum stillpoint_value_type type)
{
    static const char *const words[] = {
        [STILLPOINT_VALUE_UNDEFINED] = "undefined", [STILLPOINT_VALUE_NULL] = "null",
        [STILLPOINT_VALUE_BOOLEAN] = "boolean",     [STILLPOINT_VALUE_NUMBER] = "number",
        [STILLPOINT_VALUE_BIGINT] = "bigint",       [STILLPOINT_VALUE_STRING] = "string",
        [STILLPOINT_VALUE_SYMBOL] = "symbol",       [STILLPOINT_VALUE_OBJECT] = "object",
        [STILLPOINT_VALUE_FUNCTION] = "function",   [STILLPOINT_VALUE_UNAVAILABLE] = "unavailable",
    };
    return WORD(words, type);
}

bool stillpoint_is_name(const char *text)
{
    return text_is_name(text, STILLPOINT_NAME_BYTES);
}

/*
 * limits.h: every count and size that a peer controls, in one place. Both sides of a wire include
 * it, so that neither sends what the other refuses.
 */
#pragma once

/* ---- client wire */
#define LIMIT_FRAME_BYTES (1024u * 1024u)     /* one Envelope */
#define LIMIT_FRAME_FDS 1u                    /* fds with one frame */
#define LIMIT_UNPACK_BYTES (4u * 1024 * 1024) /* what unpacking one frame may allocate */
#define LIMIT_UNPACK_ELEMENTS 65536u          /* fields in one frame, all levels */
#define LIMIT_CLIENT_QUEUE_BYTES                                                                   \
    (4u * 1024 * 1024)             /* replies that a client has not read: then it goes */
#define LIMIT_CLIENT_QUEUE_FDS 64u /* descriptors among them, beside what its socket has */

#define LIMIT_CLIENT_REQUESTS 256u /* open requests of one connection */
#define LIMIT_CLIENTS 1024u
/* Descriptors that are kept for those who are served: no VM, and no connection, takes the last. */
#define LIMIT_FDS_KEPT_FROM_VMS 64u
#define LIMIT_FDS_KEPT_FROM_CLIENTS 24u
#define LIMIT_QUEUED_BYTES                                                                         \
    (1024ull * 1024 * 1024)        /* replies that are not read, at most to be allowed */
#define LIMIT_STRANGERS 64u        /* connections of those without any role, */
#define LIMIT_STRANGERS_PER_UID 4u /* and of one uid among them */
#define LIMIT_HELLO_MS 10000u      /* a connection without a Hello ends then */
#define LIMIT_PAGE_ITEMS 256u      /* items in one page of a list */

/* ---- names and texts */
#define LIMIT_NAME_BYTES 64u
#define LIMIT_PATH_BYTES 1024u
#define LIMIT_ARGS 1024u
#define LIMIT_ARGS_BYTES (32u * 1024)  /* all arguments together: they fit in one packet */
#define LIMIT_JSON_BYTES (512u * 1024) /* one message, one argument list, one result */
#define LIMIT_DETAIL_BYTES 1024u

/* ---- programs */
#define LIMIT_FILE_BYTES (64u * 1024 * 1024)
#define LIMIT_BUNDLE_BYTES (64u * 1024 * 1024)
#define LIMIT_BUNDLE_FILES 10000u

/* ---- VMs and worlds */
#define LIMIT_VMS 4096u
#define LIMIT_EXITED_PER_UID 256u
#define LIMIT_WORLDS 1024u
#define LIMIT_TICKETS 256u                 /* queued in one world */
#define LIMIT_LOG_BYTES (4u * 1024 * 1024) /* that one VM may ask to be kept for it */
#define LIMIT_VM_TASKS 64u                 /* threads of one worker, at most */
#define LIMIT_VM_MIN_TASKS 5u              /* and as few as an engine can do with */
#define LIMIT_TIME_US                                                                              \
    (366ull * 24 * 3600 * 1000000)      /* of anything that ends by itself: sums cannot overflow */
#define LIMIT_EVENTS_KEPT 4096u         /* what happened to VMs and worlds */
#define LIMIT_EVENT_MESSAGES_KEPT 1024u /* what VMs posted, */
#define LIMIT_EVENT_MESSAGES_BYTES (4u * 1024 * 1024) /* and all of that together */

/* ---- worker wire */
#define LIMIT_PACKET_BYTES (64u * 1024)
#define LIMIT_CONSOLE_CHUNK_BYTES (32u * 1024) /* console text in one fact */
#define LIMIT_FACT_WINDOW_BYTES                                                                    \
    (256u * 1024) /* console bytes that a worker sends unacknowledged                              \
                   */
#define LIMIT_FACT_BUFFER_BYTES (2u * 1024 * 1024) /* all facts that a worker keeps */
#define LIMIT_WORKER_QUEUE_BYTES                                                                   \
    (4u * 1024 * 1024)                          /* commands queued for one worker in the daemon */
#define LIMIT_WORKER_QUEUE_FDS 512u             /* descriptors among them */
#define LIMIT_MESSAGES_QUEUED 1024u             /* messages that wait in a worker */
#define LIMIT_MESSAGES_BYTES (8u * 1024 * 1024) /* all of them together */
#define LIMIT_IMPORTS_OPEN 10000u               /* imports that a VM waits for */
#define LIMIT_TIMERS 65536u
#define LIMIT_STDIN_CHUNK_BYTES (32u * 1024)

#define LIMIT_INSPECTS_QUEUED 16u         /* requests to look into a VM that wait in it */
#define LIMIT_INSPECT_CLASSES 256u        /* classes of one VM's census; the rest in one row */
#define LIMIT_INSPECT_FRAMES 512u         /* frames of one VM's stack, from the innermost */
#define LIMIT_INSPECT_TEXT_BYTES 256u     /* a class name, a function name, a URL there */
#define LIMIT_INSPECT_BYTES (512u * 1024) /* all that one VM answers */

/* ---- auditors and debugging; all of it is what a worker says, or makes a worker say */
#define LIMIT_HOOKS_PER_VM 256u        /* in one worker */
#define LIMIT_HOOKS_PER_DEBUGGER 1024u /* in the daemon */
#define LIMIT_HOOK_KINDS 10u           /* in one request */
#define LIMIT_HOOK_BYTES (32u * 1024)  /* all texts of one together: it fits in one packet */
#define LIMIT_HOOKS_REMOVED 4096u      /* named in one request */
#define LIMIT_EXPRESSIONS 8u           /* that a hit captures */
#define LIMIT_EXPRESSION_BYTES 4096u   /* condition, expression, log text, what is evaluated */
#define LIMIT_PREVIEW_BYTES 256u       /* of a value */
#define LIMIT_HIT_FRAMES 64u           /* of a hit's stack */
#define LIMIT_HIT_VALUES 64u           /* arguments of a hit */
#define LIMIT_HIT_BYTES (16u * 1024)   /* one hit */
#define LIMIT_BOUND_PLACES 64u         /* of a breakpoint, in one VM */
#define LIMIT_AUDITORS_PER_VM 4096u    /* shown; more are not */
#define LIMIT_PAGE_FRAMES 256u         /* in one answer, and so for the next three */
#define LIMIT_PAGE_VARIABLES 256u
#define LIMIT_PAGE_SOURCES 256u
#define LIMIT_PAGE_POSITIONS 1024u
#define LIMIT_SCOPES 256u                     /* of one frame */
#define LIMIT_DATA_BYTES (256u * 1024)        /* of a source, of memory, in one answer */
#define LIMIT_MEMORY_WRITE_BYTES (32u * 1024) /* in one request: it fits in one packet */
#define LIMIT_VALUE_JSON_BYTES (64u * 1024)
#define LIMIT_REFS 65536u      /* handed out in one stop */
#define LIMIT_STEPS 1000000u   /* in one request */
#define LIMIT_RING_HITS 65536u /* kept for one debugger, */
#define LIMIT_RING_BYTES (4u * 1024 * 1024)
#define DEFAULT_HITS_PER_SECOND 1000u
#define DEFAULT_EVALUATE_US 1000000ull

/* ---- debuggers */
#define LIMIT_DEBUGGERS_PER_UID 256u
#define LIMIT_HOLDS_PER_VM 16u /* debuggers that hold one VM */
#define LIMIT_HOLD_COUNT 1024u /* how often one of them does */
#define LIMIT_NOTE_BYTES 256u
#define LIMIT_INSPECTION_BYTES (256u * 1024 * 1024)   /* the answer of a whole world, in a memfd */
#define LIMIT_INSPECTION_ELEMENTS (32u * 1024 * 1024) /* fields in it, all levels */
#define LIMIT_INSPECTION_UNPACK_BYTES (1024u * 1024 * 1024) /* what unpacking it may allocate */

/* ---- defaults of the configuration: what one uid may have at a time */
#define DEFAULT_CLIENTS_PER_UID 256u
#define DEFAULT_VMS_PER_UID 2048u
#define DEFAULT_SUBSCRIPTIONS_PER_UID 64u
#define DEFAULT_QUEUED_BYTES_PER_UID (64ull * 1024 * 1024)
#define DEFAULT_WORLDS_PER_UID 256u

/* ---- units: files that describe VMs to be started by the daemon */
#define LIMIT_UNITS 1024u
#define LIMIT_LABELS 32u /* of one VM */
#define DEFAULT_RESTART_DELAY_US 1000000ull
#define DEFAULT_RESTART_DELAY_MAX_US 60000000ull
#define DEFAULT_RESTART_ATTEMPTS 5u
#define DEFAULT_RESTART_RESET_US 60000000ull

/* ---- defaults */
#define DEFAULT_VM_MEMORY_BYTES (512ull * 1024 * 1024)
#define DEFAULT_VM_LOG_BYTES (256ull * 1024)
#define DEFAULT_DEADLINE_US 200000ull
#define DEFAULT_HOLD_US (3600ull * 1000000)
#define DEFAULT_INSPECT_TIMEOUT_US 10000000ull
#define DEFAULT_STEP_WAIT_US 10000000ull /* of a VM in no frame, for the next that it enters */
#define DEFAULT_HOOKS_WAIT_US 10000000ull
#define DEFAULT_HELPER_THREADS 3u

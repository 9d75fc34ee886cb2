/*
 * debug_session.h: what the prompt of `stillctl debug` does in the daemon: a client like any other,
 * with a debugger of its own that lives as long as the prompt, and one VM that is talked about.
 * One thread.
 */
#pragma once

#include "cli/print.h"
#include "cli/target.h"

struct debug {
    struct cli *cli;
    bool is_tty; /* somebody sees what is said while the world runs */
    char debugger[STILLPOINT_NAME_BYTES + 1];
    bool own; /* the debugger is the session's: its hooks go with it */
    char world[STILLPOINT_NAME_BYTES + 1];
    struct target target; /* the VM that is talked about; vm NULL: none */
    uint32_t frame;       /* of it */
    bool stopped;         /* the world stands, and we control it */
    bool look;            /* something has happened: that is to be asked again */
    bool ended;           /* our VM has */
    int signal_fd;

    /* Where 'list' goes on. */
    char list_url[512];
    uint32_t list_line; /* 0: around the frame */

    /* The step that is waited for. */
    bool stepping;
    int step_r;
    char step_reason[64];
};

enum { DEBUG_QUIT = -1 }; /* beside exit codes: the session is over */

/** `target` is set. Opens the debugger (NULL: one of the session's own), stops the VM's world.
 * Takes SIGINT and SIGTERM, which signal_fd has from now on. An exit code; debug_end() in any case.
 */
int debug_begin(struct debug *d, const char *debugger);
/** What it has stopped goes on when the connection ends, which this does. */
void debug_end(struct debug *d);
/** Takes whatever came meanwhile, without waiting. An exit code. */
int debug_catch_up(struct debug *d);
/** Stops the world, or takes it over. An exit code. */
int debug_stop(struct debug *d);
/** Makes this VM the one that is talked about. */
int debug_switch(struct debug *d, const char *vm);
/** Says where the VM stands, and why, with the source around it. */
int debug_show_place(struct debug *d);
/** The frame that is talked about. False (told): there is none. */
bool debug_frame(struct debug *d, struct stillpoint_frames *ret_frames);
/** One step, to its end. */
int debug_step(struct debug *d, struct stillpoint_step *step);
/** While the world runs: waits until it stands, and shows where; or until the VM has ended. */
int debug_run(struct debug *d);
/** Lets the world go on, and waits until it stands again. */
int debug_continue(struct debug *d, enum stillpoint_pause_answer answer, const char *expression);

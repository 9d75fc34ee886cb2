/*
 * debug.h: the prompt of `stillctl debug`: a client like any other, with a debugger of its own that
 * lives as long as the prompt. debug.c has its session, debug_commands.c what can be typed,
 * debug_line.c how lines come in.
 */
#pragma once

#include "cli/print.h"
#include "cli/target.h"

struct debug_line;

struct debug {
    struct cli *cli;
    char debugger[STILLPOINT_NAME_BYTES + 1];
    bool own; /* the debugger is the session's: its hooks go with it */
    char world[STILLPOINT_NAME_BYTES + 1];
    struct target target; /* the VM that is talked about; vm NULL: none */
    uint32_t frame;       /* of it */
    bool stopped;         /* the world stands, and we control it */
    bool look;            /* something has happened: that is to be asked again */
    bool ended;           /* our VM has */
    int signal_fd;
    struct debug_line *line;

    /* Where 'list' goes on. */
    char list_url[512];
    uint32_t list_line; /* 0: around the frame */

    /* The step that is waited for. */
    bool stepping;
    int step_r;
    char step_reason[64];
};

enum { DEBUG_QUIT = -1 }; /* of debug_command(): the session is over */

/* ---- debug.c */

/** Takes whatever came meanwhile, without waiting. 0 or the errno of a connection that ended. */
int debug_take_events(struct debug *d);
/** Stops the world, or takes it over. An exit code. */
int debug_stop(struct debug *d);
/** Waits until the world stands, the VM has ended, or the connection has. Ctrl-C stops the world.
 */
int debug_wait(struct debug *d);
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

/* ---- debug_commands.c */

/** Does what one line says. Changes the line. An exit code, or DEBUG_QUIT. */
int debug_command(struct debug *d, char *line);
/** What may stand at the end of the line; NULL-terminated and the caller's, with its texts. */
char **debug_complete(struct debug *d, const char *line, size_t *ret_word);

/* ---- debug_line.c */

struct debug_line *debug_line_new(struct debug *d);
struct debug_line *debug_line_free(struct debug_line *l);
/** The next line, without its end, valid until the next call; NULL: there is none. */
char *debug_line_read(struct debug_line *l);
bool debug_line_is_tty(const struct debug_line *l);

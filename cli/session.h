/*
 * session.h: one program being given to the daemon and, if it is attached, run to its end: its
 * console on our stdout and stderr, our stdin to it, its imports answered, signals taken. Owns the
 * loop of `stillctl run`, and the descriptors in it.
 */
#pragma once

#include "cli/cli.h"

struct session {
    struct cli *cli;
    const char *label; /**< how messages name the program until the VM has a name */
    int folder;        /**< where imports come from; -1: there is none */
    bool attached;

    /* The VM. */
    bool replied; /**< the last request about it has ended, with reply_r */
    int reply_r;
    uint64_t vm; /**< 0: not known yet */
    char name[STILLPOINT_NAME_BYTES + 1];
    bool ended;
    struct stillpoint_exit exit; /**< its detail is `detail` */
    char detail[512];

    /* Attached only. */
    bool input_at_end;  /**< stdin has nothing more for the program */
    size_t input_bytes; /**< the program waits for up to so many bytes; 0: it does not */
    bool stdout_gone, stderr_gone;
    int signal_fd;
    int signal;         /**< the first that came, 0: none */
    bool hurry;         /**< a second signal came */
    bool output_failed; /**< our output could not be written, and not because its reader left */
};

struct stillpoint_run;

/** Blocks SIGINT and SIGTERM, if attached. Returns 0 or negative errno. */
int session_init(struct session *s, struct cli *cli, const char *label, int folder, bool attached);
void session_done(struct session *s);
/**
 * Makes the VM and waits for the daemon's reply; imports are answered meanwhile. `files` go along
 * (NULL: none). Returns 0 or an exit code after having told why. If the program ended or a signal
 * came before, this is 0 too: session_finish() goes on from there.
 */
int session_start(struct session *s, struct stillpoint_run *run, int memfd,
                  const struct stillpoint_paths *files);
/** The exit code of an attached run whose program ended like this. */
int session_exit_code(const struct stillpoint_exit *exit);
/** Attached: waits for the end. Returns the exit code. */
int session_finish(struct session *s, const struct stillpoint_run *run);

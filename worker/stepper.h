/*
 * stepper.h: one step of a debugger: the VM goes on until it is done, over what an engine can
 * observe. It owns what it has observed for that, and takes it off in the same safe point in which
 * the step ends.
 *
 * Worker, VM thread.
 *
 *   in    the next statement of this frame or of one that is entered from it
 *   over  the next statement of this frame
 *   out   the next statement of its caller, once it has left
 *   to    a place
 *
 * A frame that is left hands the step over to its caller, however it is left: so a step ends where
 * an exception is caught. One that only yields or awaits keeps it, since it goes on later; but out
 * of a generator is out at a yield, too. Where there is no caller the first statement of the next
 * frame that is entered is it. Frames are told apart by their ids.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/audit_table.h"
#include "worker/engine.h"

enum step_how { STEP_FORGET = 0, STEP_IN, STEP_OVER, STEP_OUT, STEP_TO };

struct stepper {
    struct audit_table *table;
    uint64_t number; /**< 0: nothing is armed */
    enum step_how how;
    bool operation;  /**< each operation ends it, not only a statement */
    uint64_t frame;  /**< that is followed; 0: the next that is entered */
    bool enters;     /**< every frame that is entered is observed */
    bool away;       /**< the frame has yielded: what is entered now was not entered from it */
    bool out_of_one; /**< out, to: the frame has been left */
    struct step_need {
        enum engine_audit_kind kind;
        uint64_t id, offset;
    } * needs;
    size_t n_needs, size_needs;
};

void stepper_init(struct stepper *s, struct audit_table *table);
void stepper_done(struct stepper *s);

struct step_place {
    const char *url;
    uint32_t line, column;
    uint64_t offset;
};

/** Forgets what was armed, and arms this. 0; -EINVAL, -ENOENT and the like with *ret_why, a static
 * text: then nothing is armed. `at` is for STEP_TO. */
int stepper_arm(struct stepper *s, uint64_t number, enum step_how how, bool operation,
                const struct step_place *at, const char **ret_why);
void stepper_forget(struct stepper *s);

/** Something happened: true if the step ends with it. What it observed is still on. */
bool stepper_ends(struct stepper *s, const struct engine_hit *hit);
void stepper_gone(struct stepper *s, enum engine_referent referent, uint64_t id);

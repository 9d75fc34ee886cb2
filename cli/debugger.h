/*
 * debugger.h: the debugger on whose behalf a verb acts.
 */
#pragma once

#include "cli/cli.h"

/**
 * Opens the debugger that --debugger names (NULL: none was named) on our connection, since only who
 * has it open acts for it. "cli:<uid>" needs no opening; one that does not exist is not made by the
 * way. Returns 0 or the exit code of a failure that was told.
 */
int debugger_use(struct cli *cli, const char *debugger);
/** The same; one that is not there is made, and lives on by what is done in its name. */
int debugger_use_or_make(struct cli *cli, const char *debugger);
/** Whether that debugger (NULL: the "cli:<uid>" of this uid) is there, and so kept by something. 0
 * or the exit code of a failure that was told: of `what`, which would not keep it. */
int debugger_require(struct cli *cli, const char *debugger, const char *what);

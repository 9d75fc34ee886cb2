/*
 * debug_commands.h: what can be typed at the prompt of `stillctl debug`.
 */
#pragma once

#include "cli/debug_session.h"

/** Does what one line says. Changes the line. An exit code, or DEBUG_QUIT. */
int debug_command(struct debug *d, char *line);
/** What may stand at the end of the line; NULL-terminated and the caller's, with its texts. */
char **debug_complete(struct debug *d, const char *line, size_t *ret_word);

/* The commands of `roam agent` and `roam phone`: one line each, the result as one JSON line. */
#ifndef ROAM_CLI_COMMANDS_H
#define ROAM_CLI_COMMANDS_H

#include "cli/json.h"
#include "cli/session.h"

typedef struct cli_command {
    const char *name, *arguments, *help;
    int (*run)(cli_session *session, int argc, char **argv, json *result, const char **wrong);
    int text; /* this word and all that follows is one text, blanks and all; 0: words only */
} cli_command;

extern const cli_command commands[]; /* ends with a row without name */

/* Carries out a line (which is cut up) and writes its result. False: there was nothing in the line. */
bool command_run(cli_session *session, char *line, json *result);

#endif

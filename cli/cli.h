/* The command `roam`: what its subcommands share. */
#ifndef ROAM_CLI_CLI_H
#define ROAM_CLI_CLI_H

#include "roam/base.h"

/* Exit statuses, the same for every subcommand; `roam help` lists them. */
typedef enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,       /* it did not come out as asked; the reason is on stderr */
    CLI_USAGE = 2,        /* the command line, or the configuration file, is wrong */
    CLI_REGISTRATION = 3, /* the registrar refused */
    CLI_CALL = 4,         /* the call was refused, not answered, or broke */
    CLI_NETWORK = 5       /* the operating system refused, nobody answered, or there is no network */
} cli_exit;

typedef struct cli_subcommand {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the subcommand's name */
} cli_subcommand;

int cli_agent(int argc, char **argv);
int cli_call(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_ladder(int argc, char **argv);
int cli_phone(int argc, char **argv);
int cli_register(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_sim(int argc, char **argv);
int cli_watch(int argc, char **argv);

/* "roam: ..." and a line end on stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Wall time as microseconds since 1970 of a moment on the agent's clock. The offset is taken once, at the start, so that differences
 * between events are exact even when somebody sets the clock meanwhile. */
void cli_clock_start(void);
uint64_t cli_wall(roam_time time);
uint64_t cli_wall_now(void);
roam_time cli_now(void);

#endif

/* roam: a table of subcommands. */
#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <uv.h>

#include "roam/core.h"

static int run_help(int argc, char **argv);
static int run_version(int argc, char **argv);

static const cli_subcommand subcommands[] = {
    {"demo", "see a call go on while its network changes", cli_demo},
    {"agent", "a user agent that programs drive: commands in, JSON events out", cli_agent},
    {"phone", "the same for a person", cli_phone},
    {"register", "register once and say what the registrar made of it", cli_register},
    {"call", "make one call", cli_call},
    {"watch", "what the network monitor sees", cli_watch},
    {"serve", "a registrar and proxy to test against", cli_serve},
    {"sim", "try every state of a call against every change of network, in virtual time", cli_sim},
    {"ladder", "the message diagram of a trace", cli_ladder},
    {"replay", "a trace goes through the core again", cli_replay},
    {"version", "the version", run_version},
    {"help", "this text", run_help},
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

static uint64_t clock_offset; /* wall minus monotonic, microseconds */

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    cli_clock_start();
    if (argc < 2) {
        run_help(0, NULL);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(name, subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    cli_say("there is no subcommand %s (see roam help)", name);
    return CLI_USAGE;
}

void cli_say(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "roam: %s\n", text);
}

void cli_clock_start(void)
{
    struct timeval wall;
    gettimeofday(&wall, NULL);
    clock_offset = (uint64_t)wall.tv_sec * 1000000u + (uint64_t)wall.tv_usec - cli_now();
}

uint64_t cli_wall(roam_time time)
{
    return time + clock_offset;
}

uint64_t cli_wall_now(void)
{
    return cli_wall(cli_now());
}

roam_time cli_now(void)
{
    return uv_hrtime() / 1000u; /* the clock of edge/agent.c */
}

static int run_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("roam %s\n", roam_version());
    return CLI_OK;
}

static int run_help(int argc, char **argv)
{
    if (argc > 1) { /* roam help agent */
        char *args[] = {argv[1], (char *)(uintptr_t) "--help", NULL};
        for (size_t i = 0; i < SUBCOMMANDS - 2; i++)
            if (strcmp(argv[1], subcommands[i].name) == 0)
                return subcommands[i].run(2, args);
    }
    printf("roam: a SIP user agent for devices whose network changes.\n\nUsage: roam SUBCOMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        printf("  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
    printf("\n\"roam SUBCOMMAND --help\" tells the rest, with examples. To begin on one machine, without anything else:\n\n"
           "  roam serve --listen 127.0.0.1:5060 --peer echo=echo        in one terminal\n"
           "  roam phone --account sip:alice@127.0.0.1                   in another; then: call echo\n\n"
           "Exit status: 0 done; 1 it failed; 2 the command line is wrong; 3 the registrar refused; 4 the call was refused,\n"
           "not answered, or broke; 5 the operating system or the network refused, or nobody answered.\n");
    return CLI_OK;
}

/* roam ladder: the message diagram of traces, as text. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/diagram.h"
#include "cli/options.h"

typedef struct ladder {
    uint64_t width; /* 0: as it needs */
    const char *call_id;
} ladder;

static void help(void)
{
    printf("roam ladder: who sent what to whom, from files of --trace.\n\n"
           "  roam ladder alice.trace\n"
           "  roam ladder alice.trace serve.trace bob.trace      merged by time; each message once\n"
           "  roam ladder --call aBcD1234 alice.trace            one call\n\n"
           "Times are seconds after the first line. Dotted arrows marked [again] are retransmissions; lines with * are changes of state.\n");
}

static const char *set_width(void *target, const char *value)
{
    return options_number(value, 40, 1000, &((ladder *)target)->width);
}

static const char *set_call(void *target, const char *value)
{
    ((ladder *)target)->call_id = value;
    return NULL;
}

static const cli_option table[] = {
    {"width", "N", "characters a line (as many as the addresses need, at least 100)", set_width},
    {"call", "CALL-ID", "only messages with this Call-ID", set_call},
    {0},
};

int cli_ladder(int argc, char **argv)
{
    const cli_option *const tables[] = {table, NULL};
    ladder l = {0};
    const cli_options options = {.tables = tables, .target = &l, .subcommand = "ladder"};
    char **files = calloc((size_t)argc + 1, sizeof *files);
    int n = 0, status = files ? options_parse(&options, argc, argv, files, &n, help) : CLI_FAILED;
    diagram d;
    diagram_init(&d);
    if (status < 0 && n == 0) {
        cli_say("ladder: which trace? (roam ladder --help)");
        status = CLI_USAGE;
    }
    for (int i = 0; i < n && status < 0; i++)
        if (!diagram_read(&d, files[i]))
            status = CLI_FAILED;
    if (status < 0) {
        diagram_finish(&d, l.call_id);
        diagram_print(&d, (int)l.width);
        status = d.nentries ? CLI_OK : CLI_FAILED;
        if (status)
            cli_say("ladder: there are no such messages in it");
    }
    diagram_free(&d);
    free(files);
    return status;
}

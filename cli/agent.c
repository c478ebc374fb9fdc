/* roam agent: a user agent without a face. The format of commands and events is docs/agent.md. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/events.h"
#include "cli/lines.h"

#define STDOUT_MAX_QUEUE (4u << 20)

typedef struct agent {
    cli_session session;
    line_in in;
    line_out out;
    control control;
    json line;
    uint64_t dropped_told;
} agent;

static void help(void);
static void ready(agent *a);
static void on_event(cli_session *session, const roam_event *event);
static void on_line(void *user, char *line);
static void on_control_line(void *user, control_client *client, char *line);
static void say(agent *a);
static bool stdin_is_null(void);

int cli_agent(int argc, char **argv)
{
    cli_settings settings;
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    agent *a = calloc(1, sizeof *a);
    int nrest, status = CLI_FAILED;
    if (!rest || !a) {
        free(rest);
        free(a);
        return CLI_FAILED;
    }
    settings_init(&settings);
    status = settings_parse(&settings, "agent", settings_agent_options, argc, argv, rest, &nrest, help);
    if (status < 0 && nrest) {
        cli_say("agent: what is \"%s\"? Commands are given on stdin (roam agent --help)", rest[0]);
        status = CLI_USAGE;
    }
    if (status < 0 && !settings_finish(&settings, "agent", true))
        status = CLI_USAGE;
    if (status < 0)
        status = cli_session_open(&a->session, &settings, on_event, a);
    else
        a = (free(a), NULL);
    if (a && status == CLI_OK) {
        uv_loop_t *loop = &a->session.loop;
        line_out_open(&a->out, loop, STDOUT_FILENO, STDOUT_MAX_QUEUE);
        if (settings.control && !control_open(&a->control, loop, settings.control, on_control_line, a)) {
            status = CLI_NETWORK;
        } else {
            ready(a);
            if (!stdin_is_null())
                line_in_open(&a->in, loop, STDIN_FILENO, on_line, a);
            cli_session_run(&a->session);
            if (a->session.signals > 1)
                status = CLI_FAILED; /* not politely */
        }
        line_in_close(&a->in);
        control_close(&a->control);
        line_out_close(&a->out, 1000);
        cli_session_close(&a->session);
        json_free(&a->line);
    }
    free(a);
    free(rest);
    settings_free(&settings);
    return status;
}

static void help(void)
{
    printf("roam agent: a user agent that programs drive. Commands come on stdin, one a line; events leave on stdout, one JSON object a line\n"
           "(docs/agent.md). The end of stdin is \"quit\", unless --control is given or stdin is /dev/null.\n\n"
           "  roam agent --account sip:alice@example.com --password-file ~/.roam-alice --source tone:440 --sink heard-%%i.wav\n"
           "  roam agent --account sip:bob@10.0.0.1 --auto-answer=2000 --no-register\n"
           "  (echo call echo; sleep 10; echo quit) | roam agent --account sip:alice@127.0.0.1 --source hello.wav --trace t.jsonl\n\nCommands:\n");
    for (const cli_command *c = commands; c->name; c++)
        printf("  %-16s %-22s %s\n", c->name, c->arguments, c->help);
    printf("\nCALL and ACCOUNT are the numbers in the events; without a number the newest fitting call is meant.\n"
           "SIGINT or SIGTERM ends the calls and unregisters; a second one leaves at once (exit status 1).\n");
}

static void ready(agent *a)
{
    json_clear(&a->line);
    event_begin(&a->line, "ready");
    json_text(&a->line, "version", roam_version());
    json_u64(&a->line, "pid", (uint64_t)getpid());
    json_array(&a->line, "accounts");
    roam_ua *ua = cli_session_ua(&a->session);
    const size_t n = roam_account_list(ua, NULL, 0);
    roam_account_id *ids = calloc(n + 1, sizeof *ids);
    if (ids) {
        roam_account_list(ua, ids, n);
        for (size_t i = 0; i < n; i++) {
            roam_account_info info;
            if (roam_account_get_info(ua, ids[i], &info) != 0)
                continue;
            json_object(&a->line, NULL);
            json_u64(&a->line, "account", ids[i]);
            json_text(&a->line, "aor", info.aor);
            json_object_end(&a->line);
        }
        free(ids);
    }
    json_array_end(&a->line);
    json_object_end(&a->line);
    json_line_end(&a->line);
    say(a);
}

static void on_event(cli_session *session, const roam_event *event)
{
    agent *a = session->user;
    json_clear(&a->line);
    event_write(&a->line, session, event);
    say(a);
}

static void on_line(void *user, char *line)
{
    agent *a = user;
    if (!line) {
        if (!a->session.settings->control && !a->session.leaving)
            cli_session_leave(&a->session);
        return;
    }
    json result = {0};
    if (command_run(&a->session, line, &result) && !result.failed)
        line_out_write(&a->out, result.ptr, result.len);
    json_free(&result);
    roam_agent_flush(a->session.agent);
}

static void on_control_line(void *user, control_client *client, char *line)
{
    agent *a = user;
    json result = {0};
    if (command_run(&a->session, line, &result) && !result.failed)
        control_send(client, result.ptr, result.len); /* to who asked; events go to all */
    json_free(&result);
    roam_agent_flush(a->session.agent);
}

static void say(agent *a)
{
    if (a->line.failed)
        return;
    line_out_write(&a->out, a->line.ptr, a->line.len);
    control_send_all(&a->control, a->line.ptr, a->line.len);
    if (a->out.dropped != a->dropped_told && a->out.len < STDOUT_MAX_QUEUE / 2) {
        a->dropped_told = a->out.dropped;
        json_clear(&a->line);
        event_begin(&a->line, "output_dropped");
        json_u64(&a->line, "lines", a->out.dropped);
        json_object_end(&a->line);
        json_line_end(&a->line);
        line_out_write(&a->out, a->line.ptr, a->line.len);
    }
}

static bool stdin_is_null(void)
{
    struct stat is, null;
    return fstat(STDIN_FILENO, &is) != 0 || (stat("/dev/null", &null) == 0 && S_ISCHR(is.st_mode) && is.st_rdev == null.st_rdev);
}

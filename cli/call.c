/* roam call: one call from beginning to end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/events.h"

typedef struct calling {
    cli_session session;
    uv_timer_t timer;
    const char *uri;
    roam_call_id id;
    bool dialled, answered;
    int status;
    json line;
} calling;

static void help(void)
{
    printf("roam call URI: one call. Without --account as nobody in particular (RFC 3323), straight to the address.\n\n"
           "  roam call sip:echo@127.0.0.1 --source tone:440 --sink heard.wav --duration 5\n"
           "  roam call bob --account sip:alice@example.com --password-file secret --source hello.wav\n\n"
           "Exit status: 0 answered, and ended as it should; 4 refused, not answered, or broken; 3 the registrar refused; 5 no network.\n");
}

static void say(const calling *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const calling *c, const char *format, ...)
{
    va_list args;
    if (c->session.settings->json)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static void dial(calling *c)
{
    const char *wrong;
    c->dialled = true;
    int err = cli_session_make_call(&c->session, 0, c->uri, &c->id, &wrong);
    if (err) {
        cli_say("call: %s: %s", c->uri, wrong ? wrong : roam_strerror(err));
        c->status = err == ROAM_EINVAL || err == ROAM_ESYNTAX ? CLI_USAGE : CLI_FAILED;
        cli_session_leave(&c->session);
    }
}

static void on_timer(uv_timer_t *timer)
{
    calling *c = timer->data;
    if (!c->answered) {
        say(c, "no answer within %u s", c->session.settings->timeout_s);
        c->status = CLI_CALL;
    }
    cli_session_leave(&c->session);
}

static void tell_media(const calling *c, const roam_media_stats *m)
{
    say(c, "  sent %llu packets, received %llu, lost %llu (%.2f %%), jitter %.1f ms, round trip %.1f ms, longest gap %u ms", (unsigned long long)m->packets_sent,
        (unsigned long long)m->packets_received, (unsigned long long)m->packets_lost,
        m->packets_received ? 100.0 * (double)m->packets_lost / (double)(m->packets_received + m->packets_lost) : 0.0, m->jitter_us / 1000.0,
        m->round_trip_us / 1000.0, m->longest_gap_ms);
}

static void on_call_state(calling *c, const roam_event *event)
{
    say(c, "%s%s%s", roam_call_state_text(event->call_state), event->reason[0] ? ": " : "", event->reason);
    if (event->call_state == ROAM_CALL_CONFIRMED) {
        c->answered = true;
        c->status = CLI_OK;
        uv_timer_stop(&c->timer);
        if (c->session.settings->duration_s)
            uv_timer_start(&c->timer, on_timer, (uint64_t)c->session.settings->duration_s * 1000u, 0);
    } else if (event->call_state == ROAM_CALL_ENDED) {
        tell_media(c, &event->media);
        if (!c->answered || event->status < 0) /* what a network or a refusal ended, not one of the two */
            c->status = CLI_CALL;
        if (!c->session.leaving)
            cli_session_leave(&c->session);
    }
}

static void on_event(cli_session *session, const roam_event *event)
{
    calling *c = session->user;
    if (session->settings->json) {
        json_clear(&c->line);
        event_write(&c->line, session, event);
        fwrite(c->line.ptr, 1, c->line.len, stdout);
        fflush(stdout);
    }
    if (event->type == ROAM_EVENT_REGISTRATION && !c->dialled && !session->leaving) {
        if (event->registration == ROAM_REGISTRATION_REGISTERED) {
            dial(c);
        } else if (event->registration == ROAM_REGISTRATION_FAILED) {
            say(c, "not registered: %s", event->reason);
            c->status = CLI_REGISTRATION;
            cli_session_leave(session);
        }
    }
    if (event->call != c->id || !event->call)
        return;
    if (event->type == ROAM_EVENT_CALL_STATE)
        on_call_state(c, event);
    else if (event->type == ROAM_EVENT_CALL_LINK)
        say(c, "the line is %s%s%s", link_text(event->link), event->reason[0] ? ": " : "", event->reason);
    else if (event->type == ROAM_EVENT_CALL_HOLD)
        say(c, "hold: %s", hold_text(event->hold));
    else if (event->type == ROAM_EVENT_IP_CHANGE_PROGRESS)
        say(c, "  network change: %s", roam_ip_change_op_text(event->op));
}

int cli_call(int argc, char **argv)
{
    cli_settings settings;
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    calling *c = calloc(1, sizeof *c);
    int nrest, status = CLI_FAILED;
    settings_init(&settings);
    if (c && rest)
        status = settings_parse(&settings, "call", settings_call_options, argc, argv, rest, &nrest, help);
    if (status < 0 && nrest != 1) {
        cli_say("call: whom? roam call sip:echo@127.0.0.1");
        status = CLI_USAGE;
    }
    bool nobody = false;
    if (status < 0 && settings.naccounts == 0) {
        char *again[] = {argv[0], settings_text(&settings, "--account=sip:anonymous@anonymous.invalid"), settings_text(&settings, "--no-register"), NULL};
        char *uri = rest[0];
        int ignored;
        nobody = true;
        status = settings_parse(&settings, "call", settings_call_options, 3, again, rest, &ignored, help);
        rest[0] = uri;
    }
    if (status < 0 && !settings_finish(&settings, "call", true))
        status = CLI_USAGE;
    if (status < 0) {
        /* a name alone is somebody in the account's domain */
        c->uri = strchr(rest[0], '@') || nobody ? settings_uri(&settings, rest[0]) : rest[0];
        c->status = CLI_CALL;
        status = cli_session_open(&c->session, &settings, on_event, c);
        if (status == CLI_OK) {
            uv_timer_init(&c->session.loop, &c->timer);
            c->timer.data = c;
            uv_timer_start(&c->timer, on_timer, (uint64_t)settings.timeout_s * 1000u, 0);
            if (!settings.accounts[0].config.registrar || !settings.accounts[0].config.register_on_add)
                dial(c);
            cli_session_run(&c->session);
            uv_close((uv_handle_t *)&c->timer, NULL);
            cli_session_close(&c->session);
            status = c->status;
            json_free(&c->line);
        }
    }
    free(c);
    free(rest);
    settings_free(&settings);
    return status;
}

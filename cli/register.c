/* roam register: one registration, told in words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/events.h"

typedef struct registering {
    cli_session session;
    uv_timer_t timer;
    roam_time start;
    bool told;   /* the outcome */
    int status;
    json line;
} registering;

static void help(void)
{
    printf("roam register: registers once, says what the registrar made of it, and takes the registration back.\n\n"
           "  roam register --account sip:alice@example.com --password-file secret\n"
           "  roam register --account sip:alice@example.com --stay        until Ctrl-C; a change of network is followed\n\n"
           "Exit status: 0 registered; 3 refused; 5 nobody answered, or there is no network.\n");
}

static void on_timeout(uv_timer_t *timer)
{
    registering *r = timer->data;
    if (r->told)
        return;
    cli_say("register: no answer within %u s", r->session.settings->timeout_s);
    r->status = CLI_NETWORK;
    r->told = true;
    cli_session_leave(&r->session);
}

static void tell(registering *r, const roam_event *event)
{
    roam_account_info info;
    char local[ROAM_ADDR_TEXT_MAX];
    if (roam_account_get_info(cli_session_ua(&r->session), event->account, &info) != 0)
        return;
    roam_addr_format(&info.local, local);
    const double ms = (double)(event->time - r->start) / 1000.0;
    if (event->registration == ROAM_REGISTRATION_REGISTERED)
        printf("%s: registered in %.1f ms\n  contact  %s\n  lease    %.0f s\n  local    %s\n", info.aor, ms, info.contact,
               info.expires_at == ROAM_NEVER ? 0 : (double)(info.expires_at - cli_now()) / 1e6, local);
    else
        printf("%s: %s%s%s\n", info.aor, roam_registration_state_text(event->registration), event->reason[0] ? ": " : "", event->reason);
    fflush(stdout);
}

static void on_event(cli_session *session, const roam_event *event)
{
    registering *r = session->user;
    if (session->settings->json) {
        json_clear(&r->line);
        event_write(&r->line, session, event);
        fwrite(r->line.ptr, 1, r->line.len, stdout);
        fflush(stdout);
    }
    if (event->type != ROAM_EVENT_REGISTRATION || session->leaving)
        return;
    const bool good = event->registration == ROAM_REGISTRATION_REGISTERED;
    const bool bad = event->registration == ROAM_REGISTRATION_FAILED || event->registration == ROAM_REGISTRATION_BACKOFF;
    if (!session->settings->json && (good || bad || r->told))
        tell(r, event);
    if (r->told || (!good && !bad))
        return;
    if (bad && session->settings->stay && event->registration == ROAM_REGISTRATION_BACKOFF)
        return; /* it is tried again */
    r->told = true;
    r->status = good ? CLI_OK : event->sip_code >= 300 ? CLI_REGISTRATION : CLI_NETWORK;
    if (bad || !session->settings->stay)
        cli_session_leave(session);
}

int cli_register(int argc, char **argv)
{
    cli_settings settings;
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    registering *r = calloc(1, sizeof *r);
    int nrest, status = CLI_FAILED;
    settings_init(&settings);
    if (r && rest)
        status = settings_parse(&settings, "register", settings_register_options, argc, argv, rest, &nrest, help);
    if (status < 0 && nrest == 1 && settings.naccounts == 0) { /* roam register sip:alice@example.com */
        char *again[] = {argv[0], settings_text(&settings, "--account=%s", rest[0]), NULL};
        status = settings_parse(&settings, "register", settings_register_options, 2, again, rest, &nrest, help);
    }
    if (status < 0 && nrest) {
        cli_say("register: what is \"%s\"?", rest[0]);
        status = CLI_USAGE;
    }
    if (status < 0 && !settings_finish(&settings, "register", true))
        status = CLI_USAGE;
    if (status < 0) {
        r->status = CLI_NETWORK;
        r->start = cli_now();
        status = cli_session_open(&r->session, &settings, on_event, r);
        if (status == CLI_OK) {
            uv_timer_init(&r->session.loop, &r->timer);
            r->timer.data = r;
            uv_timer_start(&r->timer, on_timeout, (uint64_t)settings.timeout_s * 1000u, 0);
            cli_session_run(&r->session);
            uv_close((uv_handle_t *)&r->timer, NULL);
            cli_session_close(&r->session);
            status = r->status;
            json_free(&r->line);
        }
    }
    free(r);
    free(rest);
    settings_free(&settings);
    return status;
}

#include "cli/session.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static bool add_accounts(cli_session *session);
static void on_event(void *user, roam_agent *agent, const roam_event *event);
static void on_signal(uv_signal_t *handle, int number);
static void on_flush(uv_timer_t *timer);
static void on_answer_timer(uv_timer_t *timer);
static void on_call_timer_closed(uv_handle_t *handle);
static known_call *call_remember(cli_session *session, roam_call_id id);
static void call_forget(cli_session *session, known_call *call);

int cli_session_open(cli_session *session, cli_settings *settings, void (*event)(cli_session *, const roam_event *), void *user)
{
    *session = (cli_session){.settings = settings, .event = event, .user = user};
    if (settings->trace && !tracefile_open(&session->trace, settings->trace))
        return CLI_FAILED;
    if (uv_loop_init(&session->loop) != 0) {
        cli_say("the operating system refuses an event loop");
        tracefile_close(&session->trace);
        return CLI_NETWORK;
    }
    roam_agent_config *config = &settings->agent;
    config->uv_loop = &session->loop;
    config->on_event = on_event;
    config->user = session;
    if (session->trace.file) {
        config->ua.trace = tracefile_record;
        config->ua.trace_user = &session->trace;
    }
    uv_signal_init(&session->loop, &session->interrupt);
    uv_signal_init(&session->loop, &session->terminate);
    uv_timer_init(&session->loop, &session->flush_timer);
    session->interrupt.data = session->terminate.data = session->flush_timer.data = session;
    uv_signal_start(&session->interrupt, on_signal, SIGINT);
    uv_signal_start(&session->terminate, on_signal, SIGTERM);
    uv_timer_start(&session->flush_timer, on_flush, 200, 200);
    session->agent = roam_agent_new(config);
    if (!session->agent) {
        cli_say("the agent could not be started: a wrong codec or port, or the operating system refuses (--trace FILE says more)");
        cli_session_close(session);
        return CLI_NETWORK;
    }
    if (!add_accounts(session)) {
        cli_session_close(session);
        return CLI_USAGE;
    }
    return CLI_OK;
}

void cli_session_run(cli_session *session)
{
    while (!session->left)
        uv_run(&session->loop, UV_RUN_DEFAULT);
}

void cli_session_leave(cli_session *session)
{
    if (session->leaving) {
        session->left = true;
        uv_stop(&session->loop);
        return;
    }
    session->leaving = true;
    roam_agent_shutdown(session->agent);
}

void cli_session_close(cli_session *session)
{
    roam_agent_free(session->agent);
    session->agent = NULL;
    while (session->calls)
        call_forget(session, session->calls);
    uv_close((uv_handle_t *)&session->interrupt, NULL);
    uv_close((uv_handle_t *)&session->terminate, NULL);
    uv_close((uv_handle_t *)&session->flush_timer, NULL);
    uv_run(&session->loop, UV_RUN_DEFAULT);
    uv_loop_close(&session->loop);
    tracefile_close(&session->trace);
}

known_call *cli_session_call(cli_session *session, roam_call_id id)
{
    for (known_call *call = session->calls; call; call = call->next)
        if (call->id == id)
            return call;
    return NULL;
}

/* A call that was begun here; its sink's name may hold the id. */
static int begun(cli_session *session, roam_call_id id, const char **wrong)
{
    roam_ua *ua = cli_session_ua(session);
    roam_audio_sink *sink;
    known_call *call = call_remember(session, id);
    if (call)
        call->outgoing = true;
    *wrong = sound_sink(session->settings->sink, id, &sink);
    if (*wrong) {
        roam_call_hangup(ua, id);
        return ROAM_EIO;
    }
    return sink ? roam_call_set_sink(ua, id, sink) : 0;
}

int cli_session_make_call(cli_session *session, roam_account_id account, const char *uri, roam_call_id *id, const char **wrong)
{
    roam_call_options options = {0};
    *wrong = sound_source(session->settings->source, &options.source);
    if (*wrong)
        return ROAM_EIO;
    int err = roam_call_make(cli_session_ua(session), account, uri, &options, id);
    return err ? err : begun(session, *id, wrong);
}

int cli_session_accept_transfer(cli_session *session, roam_call_id id, roam_call_id *new_id, const char **wrong)
{
    roam_call_options options = {0};
    *wrong = sound_source(session->settings->source, &options.source);
    if (*wrong)
        return ROAM_EIO;
    int err = roam_call_transfer_accept(cli_session_ua(session), id, &options, new_id);
    if (err && options.source && options.source->close)
        options.source->close(options.source);
    return err ? err : begun(session, *new_id, wrong);
}

int cli_session_answer(cli_session *session, roam_call_id id, const char **wrong)
{
    roam_call_options options = {0};
    roam_call_info info;
    roam_ua *ua = cli_session_ua(session);
    *wrong = NULL;
    int err = roam_call_get_info(ua, id, &info);
    if (err)
        return err;
    if (info.state != ROAM_CALL_INCOMING) /* before files are opened: a second answer must not empty the recording */
        return ROAM_ESTATE;
    *wrong = sound_source(session->settings->source, &options.source);
    if (!*wrong)
        *wrong = sound_sink(session->settings->sink, id, &options.sink);
    if (*wrong) {
        if (options.source && options.source->close)
            options.source->close(options.source);
        return ROAM_EIO;
    }
    return roam_call_answer(ua, id, &options);
}

/* ---- inside ---- */

static bool add_accounts(cli_session *session)
{
    cli_settings *settings = session->settings;
    roam_ua *ua = cli_session_ua(session);
    for (size_t i = 0; i < settings->naccounts; i++) {
        const roam_account_config *config = &settings->accounts[i].config;
        int err = roam_account_add(ua, config, NULL);
        if (err) {
            cli_say("account %s: %s", config->aor, roam_strerror(err));
            return false;
        }
    }
    settings_forget_secrets(settings);
    return true;
}

static void on_event(void *user, roam_agent *agent, const roam_event *event)
{
    cli_session *session = user;
    known_call *call = event->call ? cli_session_call(session, event->call) : NULL;
    (void)agent;
    if (event->call && !call && event->type == ROAM_EVENT_CALL_INCOMING)
        call = call_remember(session, event->call);
    if (event->type == ROAM_EVENT_CALL_TRANSFER_REQUESTED)
        session->transfer_asked = event->call;
    if (call && event->type == ROAM_EVENT_CALL_STATE) {
        if (event->call_state == ROAM_CALL_CONFIRMED && !call->confirmed_at)
            call->confirmed_at = event->time;
        call->over = event->call_state == ROAM_CALL_ENDED;
    }
    if (session->event)
        session->event(session, event);
    if (call && call->over) {
        call_forget(session, call);
    } else if (call && event->type == ROAM_EVENT_CALL_INCOMING && session->settings->auto_answer && !call->answer_timer_open) {
        uv_timer_init(&session->loop, &call->answer_timer);
        call->answer_timer.data = call;
        call->answer_timer_open = true;
        uv_timer_start(&call->answer_timer, on_answer_timer, session->settings->auto_answer_ms, 0);
    }
    if (event->type == ROAM_EVENT_SHUTDOWN_DONE && session->leaving) {
        session->left = true;
        uv_stop(&session->loop);
    }
}

static void on_answer_timer(uv_timer_t *timer)
{
    known_call *call = timer->data;
    const char *wrong;
    if (call->over || call->session->leaving)
        return;
    int err = cli_session_answer(call->session, call->id, &wrong);
    if (err && err != ROAM_ESTATE && err != ROAM_ENOTFOUND) {
        cli_say("call %u: cannot be answered: %s", call->id, wrong ? wrong : roam_strerror(err));
        roam_call_reject(cli_session_ua(call->session), call->id, 500);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    cli_session *session = handle->data;
    (void)number;
    session->signals++;
    cli_session_leave(session);
}

static void on_flush(uv_timer_t *timer)
{
    cli_session *session = timer->data;
    tracefile_flush(&session->trace);
}

static known_call *call_remember(cli_session *session, roam_call_id id)
{
    roam_call_info info;
    known_call **end = &session->calls;
    known_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->session = session;
    call->id = id;
    if (roam_call_get_info(cli_session_ua(session), id, &info) == 0) {
        call->account = info.account;
        call->outgoing = info.outgoing;
        memcpy(call->remote, info.remote, sizeof call->remote);
    }
    while (*end)
        end = &(*end)->next;
    *end = call;
    return call;
}

static void call_forget(cli_session *session, known_call *call)
{
    for (known_call **at = &session->calls; *at; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            break;
        }
    }
    call->over = true;
    if (call->answer_timer_open)
        uv_close((uv_handle_t *)&call->answer_timer, on_call_timer_closed);
    else
        free(call);
}

static void on_call_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

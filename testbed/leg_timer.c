/* Session timers (RFC 4028), both roles: who refreshes, how often, and what happens when nobody does. */
#include "testbed/leg_inside.h"

#define LEAST_MIN_SE 90u /* RFC 4028 5 */

static uint32_t min_se(const roam_leg *leg);
static bool session_expires(const roam_message *m, uint32_t *seconds, roam_span *refresher);
static void session_set(roam_leg *leg, uint32_t seconds, bool ours);

void leg_timer_write_request(roam_leg *leg, roam_writer *w)
{
    const roam_peer_config *config = &leg->peer->config;
    if (!config->session_expires)
        return;
    bool running = leg->session.seconds != 0;
    uint32_t asked = running ? leg->session.seconds : config->session_expires;
    if (asked < min_se(leg))
        asked = min_se(leg);
    write_header_name(w, HEADER_SESSION_EXPIRES);
    write_u64(w, asked);
    if (running ? leg->session.ours : config->refresher == PEER_REFRESHER_ME)
        write_lit(w, ";refresher=uac");
    else if (running || config->refresher == PEER_REFRESHER_THEM)
        write_lit(w, ";refresher=uas");
    write_lit(w, "\r\n");
    if (min_se(leg) > LEAST_MIN_SE)
        write_header_u32(w, HEADER_MIN_SE, min_se(leg));
}

bool leg_timer_too_short(const roam_leg *leg, const roam_message *request)
{
    uint32_t seconds;
    roam_span refresher;
    return leg->peer->config.session_expires && session_expires(request, &seconds, &refresher) &&
           seconds < min_se(leg) && message_has_token(request, HEADER_SUPPORTED, SPAN("timer"));
}

void leg_timer_refuse(const roam_leg *leg, roam_server_txn *txn)
{
    roam_response r;
    response_begin(txn, &r, 422, SPAN("Session Interval Too Small"), (roam_span){0});
    write_header_u32(&r.w, HEADER_MIN_SE, min_se(leg));
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
}

/* RFC 4028 9. */
void leg_timer_write_response(roam_leg *leg, roam_writer *w, const roam_message *request)
{
    const roam_peer_config *config = &leg->peer->config;
    bool theirs = message_has_token(request, HEADER_SUPPORTED, SPAN("timer"));
    uint32_t seconds = 0, least = LEAST_MIN_SE;
    roam_span refresher = {0};
    bool asked = session_expires(request, &seconds, &refresher);
    if (!config->session_expires || (!asked && request->method != METHOD_INVITE))
        return;
    (void)message_seconds(request, HEADER_MIN_SE, &least);
    if (!asked || (config->session_expires < seconds && config->session_expires >= least))
        seconds = config->session_expires > least ? config->session_expires : least;
    bool uac = refresher.len ? span_ieq(refresher, SPAN("uac"))
                             : theirs && config->refresher != PEER_REFRESHER_ME; /* table 2 */
    write_header_name(w, HEADER_SESSION_EXPIRES);
    write_u64(w, seconds);
    write_cstr(w, uac ? ";refresher=uac\r\n" : ";refresher=uas\r\n");
    if (uac)
        write_header(w, HEADER_REQUIRE, SPAN("timer"));
    session_set(leg, seconds, !uac);
}

void leg_timer_take_response(roam_leg *leg, const roam_message *response)
{
    uint32_t seconds;
    roam_span refresher;
    if (!leg->peer->config.session_expires)
        return;
    if (!session_expires(response, &seconds, &refresher))
        leg_timer_stop(leg); /* the other side does not know timers (RFC 4028 7.2) */
    else
        session_set(leg, seconds, !span_ieq(refresher, SPAN("uas")));
}

bool leg_timer_raise(roam_leg *leg, const roam_message *response)
{
    uint32_t seconds;
    if (!leg->peer->config.session_expires || !message_seconds(response, HEADER_MIN_SE, &seconds) ||
        seconds <= min_se(leg))
        return false;
    leg->session.min_se = seconds;
    return true;
}

void leg_timer_stop(roam_leg *leg)
{
    env_cancel(&leg->peer->env, &leg->session.timer);
    leg->session.seconds = 0;
}

void leg_timer_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, session.timer);
    if (leg->state != LEG_CONFIRMED)
        return;
    if (!leg->session.ours) { /* RFC 4028 10 */
        leg->end_why = "session expired";
        (void)leg_send_bye(leg);
        return;
    }
    int err = leg_change(leg, leg->local_hold, leg->peer->config.refresh_by_update, false);
    if (err)
        (void)env_arm(&leg->peer->env, timer, ROAM_SECONDS(1)); /* something else is under way: that may do as well */
    else
        leg->session.refreshes++;
}

static uint32_t min_se(const roam_leg *leg)
{
    uint32_t ours = leg->peer->config.min_se > LEAST_MIN_SE ? leg->peer->config.min_se : LEAST_MIN_SE;
    return leg->session.min_se > ours ? leg->session.min_se : ours;
}

static bool session_expires(const roam_message *m, uint32_t *seconds, roam_span *refresher)
{
    roam_span params;
    *refresher = (roam_span){0};
    if (!message_has(m, HEADER_SESSION_EXPIRES) || !message_seconds(m, HEADER_SESSION_EXPIRES, seconds))
        return false;
    (void)span_cut(message_value(m, HEADER_SESSION_EXPIRES), ';', &params);
    (void)param_find(params, SPAN("refresher"), refresher);
    return true;
}

/* RFC 4028 7.2 and 10: the one refreshes at half of the time, the other waits nearly all of it. */
static void session_set(roam_leg *leg, uint32_t seconds, bool ours)
{
    leg->session.seconds = seconds;
    leg->session.ours = ours;
    uint32_t early = seconds / 3 < 32 ? seconds / 3 : 32;
    if (env_arm(&leg->peer->env, &leg->session.timer, ours ? ROAM_SECONDS(seconds) / 2
                                                            : ROAM_SECONDS(seconds - early)) != ROAM_OK)
        leg_timer_stop(leg); /* no memory: a session without a timer */
}

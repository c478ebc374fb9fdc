#include "ua/session_timer.h"

#include <assert.h>

#define MAX_RAISES 4u   /* 422s in a dialog: each has to ask for more than the one before */
#define MAX_INTERVAL (7u * 24 * 3600)
#define MARGIN ROAM_SECONDS(32) /* section 10: the BYE goes min(32 s, interval / 3) before the end */

void session_timer_init(roam_session_timer *t, roam_env *env, uint32_t wanted, uint32_t min_se, void (*fire)(roam_timer *timer))
{
    uint32_t min = min_se > SESSION_MIN_SE ? min_se : SESSION_MIN_SE;
    if (min > MAX_INTERVAL)
        min = MAX_INTERVAL;
    if (wanted > MAX_INTERVAL)
        wanted = MAX_INTERVAL;
    *t = (roam_session_timer){.env = env, .wanted = wanted && wanted < min ? min : wanted, .min_se = min, .floor = min,
                              .refresh_at = ROAM_NEVER, .expire_at = ROAM_NEVER};
    timer_init(&t->timer, fire, "session");
}

void session_timer_stop(roam_session_timer *t)
{
    if (!t->env)
        return;
    env_cancel(t->env, &t->timer);
    t->interval = 0;
    t->refresh_at = t->expire_at = ROAM_NEVER;
}

/* ---- when ---- */

static roam_time margin(uint32_t interval)
{
    roam_time third = ROAM_SECONDS(interval) / 3;
    return third < MARGIN ? third : MARGIN;
}

static void arm(roam_session_timer *t)
{
    roam_time next = t->refresh_at < t->expire_at ? t->refresh_at : t->expire_at;
    if (next <= t->env->now) /* told already; the other moment is still to come */
        next = t->refresh_at > t->env->now ? t->refresh_at : t->expire_at;
    if (next == ROAM_NEVER || next <= t->env->now)
        env_cancel(t->env, &t->timer);
    else
        timer_arm(&t->env->timers, &t->timer, next);
}

static void agree(roam_session_timer *t, uint32_t interval, bool refresher)
{
    if (interval > MAX_INTERVAL)
        interval = MAX_INTERVAL;
    if (interval < SESSION_MIN_SE) /* no decent peer says that (section 5): it must not make us refresh without end */
        interval = SESSION_MIN_SE;
    t->interval = interval;
    t->refresher = refresher;
    t->refresh_at = refresher ? t->env->now + ROAM_SECONDS(interval) / 2 : ROAM_NEVER;
    t->expire_at = t->env->now + ROAM_SECONDS(interval) - margin(interval);
    arm(t);
}

void session_timer_fired(roam_session_timer *t)
{
    arm(t);
}

roam_session_due session_timer_due(const roam_session_timer *t)
{
    if (!t->interval)
        return SESSION_NOT_DUE;
    if (t->env->now >= t->expire_at)
        return SESSION_EXPIRED;
    return t->env->now >= t->refresh_at ? SESSION_REFRESH_DUE : SESSION_NOT_DUE;
}

void session_timer_resume(roam_session_timer *t)
{
    roam_time now = t->env ? t->env->now : 0;
    if (!t->interval || (now < t->refresh_at && now < t->expire_at))
        return;
    roam_time grace = now + margin(t->interval);
    t->refresh_at = now;
    if (t->expire_at != ROAM_NEVER && t->expire_at < grace)
        t->expire_at = grace;
    arm(t);
}

void session_timer_refused(roam_session_timer *t)
{
    if (!t->interval)
        return;
    t->refresh_at = t->env->now + ROAM_SECONDS(t->interval) / 2;
    t->expire_at = ROAM_NEVER;
    arm(t);
}

/* ---- headers ---- */

static void write_session_expires(roam_writer *w, uint32_t interval, const char *refresher)
{
    write_header_name(w, HEADER_SESSION_EXPIRES);
    write_u64(w, interval);
    write_lit(w, ";refresher=");
    write_cstr(w, refresher);
    write_lit(w, "\r\n");
}

void session_timer_write_min_se(const roam_session_timer *t, roam_writer *w)
{
    write_header_u32(w, HEADER_MIN_SE, t->min_se);
}

static roam_session_refresher read_refresher(const roam_message *m)
{
    roam_span params, value;
    span_cut(message_value(m, HEADER_SESSION_EXPIRES), ';', &params);
    if (!param_find(params, SPAN("refresher"), &value))
        return REFRESHER_NONE;
    return span_ieq(value, SPAN("uac")) ? REFRESHER_UAC : span_ieq(value, SPAN("uas")) ? REFRESHER_UAS : REFRESHER_NONE;
}

static uint32_t to_ask(const roam_session_timer *t)
{
    uint32_t interval = t->interval ? t->interval : t->wanted;
    return interval && interval < t->floor ? t->floor : interval;
}

void session_timer_write_request(const roam_session_timer *t, roam_writer *w)
{
    uint32_t interval = to_ask(t);
    if (!interval)
        return;
    /* In a running session whoever refreshes goes on doing so (section 7.4). */
    write_session_expires(w, interval, t->interval && !t->refresher ? "uas" : "uac");
    write_header_u32(w, HEADER_MIN_SE, t->floor);
}

void session_timer_take_response(roam_session_timer *t, const roam_message *m)
{
    uint32_t seconds;
    t->peer_supports = message_has_token(m, HEADER_SUPPORTED, SPAN("timer")) || message_has_token(m, HEADER_REQUIRE, SPAN("timer"));
    if (message_seconds(m, HEADER_SESSION_EXPIRES, &seconds) && seconds)
        agree(t, seconds, read_refresher(m) != REFRESHER_UAS);
    else
        session_timer_stop(t); /* section 7.2: no session expiration */
}

bool session_timer_too_small(roam_session_timer *t, const roam_message *m)
{
    uint32_t seconds;
    if (!message_seconds(m, HEADER_MIN_SE, &seconds) || seconds > MAX_INTERVAL || t->raised >= MAX_RAISES)
        return false;
    if (seconds <= to_ask(t))
        return false; /* it was as long as that already */
    t->raised++;
    t->floor = seconds;
    return true;
}

unsigned session_timer_take_request(roam_session_timer *t, const roam_message *m)
{
    uint32_t seconds = 0, min = 0;
    t->asked.supported = message_has_token(m, HEADER_SUPPORTED, SPAN("timer")) || message_has_token(m, HEADER_REQUIRE, SPAN("timer"));
    t->asked.interval = message_seconds(m, HEADER_SESSION_EXPIRES, &seconds) ? seconds : 0;
    t->asked.refresher = t->asked.interval ? read_refresher(m) : REFRESHER_NONE;
    t->asked.min_se = message_seconds(m, HEADER_MIN_SE, &min) && min > SESSION_MIN_SE ? min : SESSION_MIN_SE;
    if (t->asked.interval && t->asked.interval < t->min_se && t->asked.supported)
        return 422;
    t->peer_supports = t->asked.supported;
    return 0;
}

void session_timer_write_response(roam_session_timer *t, roam_writer *w)
{
    /* Section 9, table 2. What is asked for may be made shorter, never longer; without a wish of either side there is no timer. */
    uint32_t interval = t->asked.interval;
    uint32_t least = t->asked.min_se > t->min_se ? t->asked.min_se : t->min_se;
    if (least > MAX_INTERVAL)
        least = MAX_INTERVAL;
    if (!interval && t->wanted && t->asked.supported)
        interval = t->wanted > least ? t->wanted : least;
    else if (interval && t->wanted && t->wanted < interval && interval > least)
        interval = t->wanted > least ? t->wanted : least;
    if (!interval) {
        session_timer_stop(t);
        return;
    }
    if (interval < SESSION_MIN_SE) /* of a caller without session timers: a proxy on the way put it there */
        interval = SESSION_MIN_SE;
    bool theirs = t->asked.supported && t->asked.refresher == REFRESHER_UAC;
    write_session_expires(w, interval, theirs ? "uac" : "uas");
    if (theirs)
        write_header(w, HEADER_REQUIRE, SPAN("timer"));
    agree(t, interval, !theirs);
}

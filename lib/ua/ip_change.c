#include "ua/ip_change.h"

#include <assert.h>

#include "ua/account.h"
#include "ua/call.h"
#include "ua/subscription.h"
#include "ua/ua.h"
#include "ua/record.h"

/* ---- who looks, and when ---- */

static void on_coalesced(roam_timer *timer)
{
    roam_ua *ua = container_of(timer, roam_ua, ip_change.coalesce);
    ua_work_all(ua);
}

static void arm_bucket(roam_ua *ua)
{
    /* Some milliseconds' worth at a time: a wake-up for each one costs more than it evens out. */
    uint32_t rate = ua->config.register_rate ? ua->config.register_rate : 1;
    env_arm(&ua->env, &ua->ip_change.bucket_timer, ROAM_MS(2) + 1000000u / rate);
}

static void refill(roam_ua *ua)
{
    roam_ip_change *ic = &ua->ip_change;
    uint64_t rate = ua->config.register_rate ? ua->config.register_rate : 1;
    uint64_t cap = (uint64_t)(ua->config.register_burst ? ua->config.register_burst : 1) * 1000;
    roam_time elapsed = ua_now(ua) - ic->bucket_time;
    uint64_t gained = elapsed >= ROAM_SECONDS(1000) ? cap : elapsed * rate / 1000;
    if (gained) {
        ic->bucket_milli = ic->bucket_milli + gained > cap ? cap : ic->bucket_milli + gained;
        ic->bucket_time = ua_now(ua);
    }
}

static void on_bucket(roam_timer *timer)
{
    roam_ua *ua = container_of(timer, roam_ua, ip_change.bucket_timer);
    roam_list *node;
    refill(ua);
    for (uint64_t n = ua->ip_change.bucket_milli / 1000; n > 0 && (node = list_pop(&ua->ip_change.paced)); n--)
        ua_work(ua, container_of(node, roam_paced, node)->work);
    if (!list_empty(&ua->ip_change.paced))
        arm_bucket(ua);
}

void ip_change_init(roam_ua *ua)
{
    roam_ip_change *ic = &ua->ip_change;
    timer_init(&ic->coalesce, on_coalesced, "coalesce");
    timer_init(&ic->bucket_timer, on_bucket, "REGISTER pacing");
    ic->bucket_milli = (uint64_t)ua->config.register_burst * 1000;
    list_init(&ic->paced);
    ic->epoch = 1;
}

bool ip_change_collecting(const roam_ua *ua)
{
    const roam_ip_change *ic = &ua->ip_change;
    /* What belongs to the input that acted is not a follower of it. */
    return ic->acted && ua_now(ua) > ic->last_acted && ua_now(ua) < ic->last_acted + ROAM_MS(ua->config.coalesce_ms) &&
           timer_armed(&ic->coalesce);
}

void ip_change_news(roam_ua *ua, roam_net_news news)
{
    roam_ip_change *ic = &ua->ip_change;
    roam_time until = ic->last_acted + ROAM_MS(ua->config.coalesce_ms);
    if (news == NET_NOTHING)
        return;
    if (news == NET_CHANGED) {
        if (ic->acted && ua_now(ua) > ic->last_acted && ua_now(ua) < until && !timer_armed(&ic->coalesce))
            timer_arm(&ua->env.timers, &ic->coalesce, until);
        choose_review(ua);
        watch_network(ua);
        resolve_forget(ua); /* another network may have another name server, and other addresses for a name */
    }
    ua_work_all(ua); /* those that lost their path have to know at once, even while followers are collected */
}

bool ip_change_token(roam_ua *ua, roam_paced *paced)
{
    roam_ip_change *ic = &ua->ip_change;
    refill(ua);
    if (ic->bucket_milli >= 1000) {
        ic->bucket_milli -= 1000;
        list_remove(&paced->node);
        return true;
    }
    if (list_empty(&paced->node))
        list_push(&ic->paced, &paced->node);
    if (!timer_armed(&ic->bucket_timer))
        arm_bucket(ua);
    return false;
}

/* ---- one move ---- */

static const char *move_state_text(roam_move_state state)
{
    static const char *const text[] = {"none", "offline", "running"};
    return text[state];
}

static void set_state(roam_move *move, roam_move_state state, const char *why)
{
    if (move->state == state)
        return;
    roam_ip_change *ic = &move->ua->ip_change;
    trace_state(&move->ua->env.trace, move->call ? "call-move" : move->subscription ? "subscription-move" : "account-move",
                move->call ? move->call : move->subscription ? move->subscription : move->account,
                move_state_text(move->state), move_state_text(state), why);
    if (move->state == MOVE_NONE) {
        ic->active++;
        ic->running = true;
    }
    if (state == MOVE_NONE) {
        assert(ic->active > 0);
        ic->active--;
    }
    move->state = state;
}

void move_init(roam_move *move, roam_ua *ua, roam_account_id account, roam_call_id call)
{
    *move = (roam_move){.ua = ua, .account = account, .call = call};
}

static roam_event progress(const roam_move *move, roam_ip_change_op op)
{
    return (roam_event){.type = ROAM_EVENT_IP_CHANGE_PROGRESS,
                        .account = move->account,
                        .call = move->call,
                        .subscription = move->subscription,
                        .op = op,
                        .epoch = move->report.epoch};
}

void move_progress(roam_move *move, roam_ip_change_op op, int status, int sip_code, const char *why)
{
    roam_event event = progress(move, op);
    event.status = status;
    event.sip_code = sip_code;
    ua_event(move->ua, &event, why);
}

static uint32_t next_epoch(roam_ua *ua)
{
    if (!ua->ip_change.bumped) {
        ua->ip_change.bumped = true;
        ua->ip_change.epoch++;
    }
    return ua->ip_change.epoch;
}

void move_begin(roam_move *move, const roam_addr *local, bool old_alive, const char *why)
{
    roam_ua *ua = move->ua;
    move->began = ua_now(ua);
    move->report = (roam_ip_change_report){.epoch = next_epoch(ua),
                                           .account = move->account,
                                           .call = move->call,
                                           .subscription = move->subscription,
                                           .path_ready = ROAM_NEVER,
                                           .request_sent = ROAM_NEVER,
                                           .answered = ROAM_NEVER,
                                           .uplink = ROAM_NEVER,
                                           .downlink = ROAM_NEVER,
                                           .recovered = ROAM_NEVER,
                                           .lost_out = UINT64_MAX,
                                           .make_before_break = old_alive};
    if (!local) {
        set_state(move, MOVE_OFFLINE, why);
        roam_event event = progress(move, ROAM_IP_CHANGE_OFFLINE);
        ua_event(ua, &event, why);
        move->evidence = NULL;
        return;
    }
    set_state(move, MOVE_OFFLINE, why); /* a second change restarts the story */
    move_path(move, local);
}

void move_path(roam_move *move, const roam_addr *local)
{
    roam_ua *ua = move->ua;
    if (move->state != MOVE_OFFLINE)
        return;
    set_state(move, MOVE_RUNNING, "path");
    move->local = local->ip;
    ua->ip_change.acted = true;
    ua->ip_change.last_acted = ua_now(ua);
    move->report.path_ready = ua_now(ua) - move->began;
    roam_event event = progress(move, ROAM_IP_CHANGE_DETECTED);
    event.local = *local;
    ua_event(ua, &event, move->evidence ? move->evidence : move->report.make_before_break ? "the old path still works" : "the old path is gone");
    move->evidence = NULL;
}

static void phase(roam_move *move, roam_time *at)
{
    if (move->state == MOVE_RUNNING && *at == ROAM_NEVER)
        *at = ua_now(move->ua) - move->began;
}

void move_sent(roam_move *move)
{
    phase(move, &move->report.request_sent);
}

void move_retry(roam_move *move, int status)
{
    if (move->state != MOVE_RUNNING)
        return;
    if (move->report.nretried < ROAM_REPORT_RETRIES)
        move->report.retried[move->report.nretried++] = (roam_retry){status, ua_now(move->ua) - move->began};
    move->report.retries++;
    move->report.last_status = status;
}

void move_answered(roam_move *move, int sip_code)
{
    if (move->state != MOVE_RUNNING || move->report.answered != ROAM_NEVER)
        return;
    phase(move, &move->report.answered);
    if (move->subscription)
        move_progress(move, ROAM_IP_CHANGE_SUBSCRIPTION_REFRESHED, 0, sip_code, "subscription refreshed");
    else if (move->call)
        move_progress(move, ROAM_IP_CHANGE_ACCOUNT_REINVITE_CALLS, 0, sip_code, "call refreshed");
    else
        move_progress(move, ROAM_IP_CHANGE_ACCOUNT_UPDATE_CONTACT, 0, sip_code, "contact updated");
}

void move_uplink(roam_move *move)
{
    if (move->state != MOVE_RUNNING || move->report.uplink != ROAM_NEVER)
        return;
    phase(move, &move->report.uplink);
    move_progress(move, ROAM_IP_CHANGE_UPLINK_RESTORED, 0, 0, "first RTP out");
}

void move_downlink(roam_move *move)
{
    if (move->state != MOVE_RUNNING || move->report.downlink != ROAM_NEVER)
        return;
    phase(move, &move->report.downlink);
    move_progress(move, ROAM_IP_CHANGE_DOWNLINK_RESTORED, 0, 0, "first RTP in");
}

static void end(roam_move *move, roam_ip_change_op op, int status, int sip_code, const char *why)
{
    roam_event event = progress(move, op);
    event.status = status;
    event.sip_code = sip_code;
    event.has_report = true;
    event.report = move->report;
    ua_event(move->ua, &event, why);
    set_state(move, MOVE_NONE, why);
}

void move_recovered(roam_move *move)
{
    if (move->state != MOVE_RUNNING)
        return;
    phase(move, &move->report.recovered);
    end(move, ROAM_IP_CHANGE_RECOVERED, 0, 0, "recovered");
}

void move_failed(roam_move *move, int status, int sip_code, const char *why)
{
    if (move->state != MOVE_NONE)
        end(move, ROAM_IP_CHANGE_FAILED, status, sip_code, why);
}

void move_cancel(roam_move *move)
{
    if (move->ua)
        set_state(move, MOVE_NONE, "its object ended");
}

/* ---- the public side ---- */

const char *roam_ip_change_op_text(roam_ip_change_op op)
{
    static const char *const text[] = {
        "detected",          "offline",        "transports_shut_down", "listener_restarted", "account_transport_shut_down",
        "contact_updated",   "call_hung_up",   "call_reinvited",       "uplink_restored",    "downlink_restored",
        "recovered",         "failed",         "completed",            "subscription_refreshed"};
    return (unsigned)op < sizeof text / sizeof *text ? text[op] : "";
}

void roam_ip_change_param_default(roam_ip_change_param *param)
{
    *param = (roam_ip_change_param){.restart_listener = true, .restart_listener_delay_ms = 10, .shutdown_transport = true};
}

int roam_handle_ip_change(roam_ua *ua, const roam_ip_change_param *param)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "handle_ip_change", ua_now(ua));
        record_number(&r, "param", param != NULL);
        record_number(&r, "restart_listener", param && param->restart_listener);
        record_number(&r, "delay_ms", param ? param->restart_listener_delay_ms : 0);
        record_number(&r, "shutdown_transport", param && param->shutdown_transport);
        record_end(&r);
    }
    roam_ip_change_param standard;
    if (!param) {
        roam_ip_change_param_default(&standard);
        param = &standard;
    }
    if (param->restart_listener_delay_ms > 60000)
        return ROAM_EINVAL;
    ua_enter(ua, ua_now(ua));
    ua->ip_change.bumped = false; /* each call is a change of its own */
    uint32_t epoch = next_epoch(ua);
    ua->ip_change.running = true;
    resolve_forget(ua);
    roam_event event = {.type = ROAM_EVENT_IP_CHANGE_PROGRESS, .op = ROAM_IP_CHANGE_SHUTDOWN_TRANSPORTS, .epoch = epoch};
    if (param->shutdown_transport)
        ua_event(ua, &event, "no connections"); /* over UDP there is nothing to close: told all the same, the order of P7 is kept */
    ua->net.restart_delay_ms = param->restart_listener_delay_ms;
    if (param->restart_listener)
        net_restart_listeners(ua);
    list_each(account, &ua->accounts, roam_account, node)
        registration_force(account, "application: the network changed");
    list_each(call, &ua->calls, roam_call, node)
        call_force_refresh(call, "application: the network changed");
    list_each(sub, &ua->subscriptions, roam_subscription, node)
        subscription_force(sub, "application: the network changed");
    ua_leave(ua);
    return 0;
}

int roam_network_update(roam_ua *ua, roam_time now, const roam_network *network)
{
    if (!network || (network->naddrs && !network->addrs) || (network->nroutes && !network->routes))
        return ROAM_EINVAL;
    if (recording(ua))
        record_network(ua, now, network);
    bool woke = ua_enter_network(ua, now);
    int news = net_take_picture(ua, network);
    if (news > 0)
        ip_change_news(ua, (roam_net_news)news);
    if (woke)
        watch_woke(ua);
    ua_leave(ua);
    ua_enter(ua, now); /* what is due */
    ua_leave(ua);
    return news < 0 ? news : 0;
}

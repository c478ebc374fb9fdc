#include "ua/early.h"
#include "ua/takeover.h"

#include <assert.h>

#include "ua/uas.h"

#define BODY_MAX 4096u
#define RETRY ROAM_MS(500)
#define EDGE_PATIENCE 3u

static void on_timer(roam_timer *timer)
{
    call_look(container_of(timer, roam_call, early_timer));
}

void early_init(roam_call *call)
{
    list_init(&call->earlies);
    timer_init(&call->early_timer, on_timer, "early dialog");
}

void early_offered(roam_call *call)
{
    call->offered = call->session; /* of a first offer: it owns nothing */
    call->has_offered = true;
}

static roam_session *session_of(roam_early_dialog *e)
{
    return e->call->heard == e || e->is_call ? &e->call->session : &e->session;
}

roam_early_dialog *early_find(const roam_call *call, roam_span remote_tag)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (span_eq(span_of(e->dialog.remote_tag), remote_tag))
            return e;
    return NULL;
}

size_t early_count(const roam_call *call)
{
    size_t n = 0;
    list_each(e, &call->earlies, roam_early_dialog, node)
        n += e->state != EARLY_OVER;
    return n;
}

size_t early_live(const roam_call *call)
{
    size_t n = 0;
    list_each(e, &call->earlies, roam_early_dialog, node)
        n += e->state == EARLY_LIVE;
    return n;
}

/* ---- birth and end ---- */

static void set_state(roam_early_dialog *e, roam_early_state state, const char *why)
{
    static const char *const text[] = {"live", "gone", "over"};
    static const unsigned legal[] = {[EARLY_LIVE] = 1u << EARLY_GONE | 1u << EARLY_OVER, [EARLY_GONE] = 1u << EARLY_OVER, [EARLY_OVER] = 0};
    if (e->state == state)
        return;
    assert(legal[e->state] & 1u << state);
    trace_state(&e->call->ua->env.trace, "early", e->call->id, text[e->state], text[state], why);
    e->state = state;
}

/* From now on this one is heard; NULL: nobody, as before the first answer. */
static void hear(roam_call *call, roam_early_dialog *e)
{
    if (call->heard == e)
        return;
    if (call->heard)
        call->heard->session = call->session;
    else
        session_free(&call->session);
    call->heard = e;
    call->session = e ? e->session : call->offered;
    if (e)
        e->session = (roam_session){0};
}

static void stop_update(roam_early_dialog *e)
{
    if (e->update)
        client_txn_abandon(e->update);
    e->update = NULL;
    if (e->update_has_offer)
        session_withdraw(session_of(e));
    e->update_has_offer = false;
}

static void over(roam_early_dialog *e, roam_early_state state, const char *why)
{
    roam_call *call = e->call;
    stop_update(e);
    set_state(e, state, why);
    if (call->heard != e)
        return;
    roam_early_dialog *next = NULL;
    list_each(other, &call->earlies, roam_early_dialog, node)
        if (other->state == EARLY_LIVE && other->answered)
            next = other;
    hear(call, next);
    call_media_apply(call);
}

void early_forgotten(roam_early_dialog *e, const char *why)
{
    if (e->state == EARLY_LIVE)
        over(e, EARLY_GONE, why);
}

static void release(roam_early_dialog *e)
{
    if (e->dialog.local_cseq > e->call->top_cseq)
        e->call->top_cseq = e->dialog.local_cseq;
    roam_mem *mem = &e->call->ua->env.mem;
    pracks_stop(&e->reliable);
    if (e->update)
        client_txn_abandon(e->update);
    session_free(&e->session);
    dialog_free(&e->dialog);
    list_remove(&e->node);
    mem_free(mem, e);
}

uint32_t early_top_cseq(const roam_call *call)
{
    uint32_t top = call->top_cseq;
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (e->dialog.local_cseq > top)
            top = e->dialog.local_cseq;
    return top;
}

void early_bury(roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (e->state == EARLY_OVER && !e->update && !e->reliable.prack && !pracks_owes(&e->reliable) && !(call->takeover && call->takeover->early == e))
            release(e);
}

void early_drop(roam_call *call, bool media)
{
    media = media && call->session.agreed.active;
    list_each(e, &call->earlies, roam_early_dialog, node)
    {
        pracks_stop(&e->reliable);
        stop_update(e);
        set_state(e, EARLY_OVER, "its INVITE is over");
    }
    env_cancel(&call->ua->env, &call->early_timer);
    if (!call->heard)
        return;
    hear(call, NULL);
    if (media && call->stream)
        call_media_apply(call);
}

void early_free(roam_call *call)
{
    env_cancel(&call->ua->env, &call->early_timer);
    call->heard = NULL;
    list_each(e, &call->earlies, roam_early_dialog, node)
        release(e);
}

static roam_early_dialog *early_new(roam_call *call)
{
    roam_ua *ua = call->ua;
    size_t n = 0;
    list_each(other, &call->earlies, roam_early_dialog, node)
        n++;
    if (n >= ROAM_MAX_FORKS) {
        ua->dropped++;
        return NULL;
    }
    roam_early_dialog *e = mem_new(&ua->env.mem, roam_early_dialog);
    if (!e)
        return NULL;
    *e = (roam_early_dialog){.call = call, .session = call->offered, .told = call->telling};
    list_init(&e->node);
    if (dialog_init_fork(&e->dialog, &call->dialog) != 0) {
        mem_free(&ua->env.mem, e);
        return NULL;
    }
    e->dialog.local_cseq = call->invite_cseq;
    list_push(&call->earlies, &e->node);
    return e;
}

/* ---- responses ---- */

static roam_span to_tag(const roam_message *m)
{
    roam_name_addr to;
    return name_addr_parse(message_value(m, HEADER_TO), &to) == 0 ? name_addr_tag(&to) : (roam_span){0};
}

static void learn(roam_early_dialog *e, const roam_message *m)
{
    if (message_has(m, HEADER_ALLOW))
        e->peer_update = message_has_token(m, HEADER_ALLOW, SPAN("UPDATE"));
    if (message_has(m, HEADER_SUPPORTED))
        e->no_replaces = !message_has_token(m, HEADER_SUPPORTED, SPAN("replaces"));
}

/* An answer in a provisional response. One that came unreliably may be said again, and differently; one that came reliably stands. */
static void take_answer(roam_early_dialog *e, const roam_message *response, bool reliable)
{
    roam_session *s = session_of(e);
    if (e->answer_final || !message_has_body_type(response, SPAN("application/sdp")))
        return;
    if (e->answered)
        session_reopen(s);
    if (s->state != OFFER_LOCAL)
        return;
    if (session_take_answer(s, response->body) != 0) {
        if (!e->answered)
            session_reopen(s); /* the 2xx may say it better */
        return;
    }
    e->answered = true;
    e->answer_final = reliable;
    hear(e->call, e);
    call_media_apply(e->call);
}

void early_provisional(roam_call *call, const roam_message *response)
{
    roam_span tag = to_tag(response);
    roam_early_dialog *e = tag.len ? early_find(call, tag) : NULL;
    bool fresh = tag.len && !e;
    roam_pracks_verdict verdict = RELIABLE_NOT;
    if (fresh)
        e = early_new(call);
    if (e && dialog_on_response(&e->dialog, response) != 0) {
        if (fresh)
            release(e);
        e = NULL;
    }
    if (e) {
        verdict = pracks_take(&e->reliable, response);
        if (verdict == RELIABLE_DROP) {
            call->ua->dropped++;
            if (fresh)
                release(e);
            return;
        }
        call_look(call); /* a PRACK may be owed */
        if (verdict == RELIABLE_AGAIN || e->state != EARLY_LIVE)
            return;
        learn(e, response);
        if (response->status == 199) { /* RFC 6228: this branch only */
            over(e, EARLY_OVER, "199");
            return;
        }
        if (call->state != ROAM_CALL_DISCONNECTING)
            take_answer(e, response, verdict == RELIABLE_NEXT);
    }
    if (call->state != ROAM_CALL_DISCONNECTING && response->status != 199)
        call_set_state(call, ROAM_CALL_EARLY, response->status, status_text(response->status));
}

int early_confirm(roam_call *call, const roam_message *response, bool *final)
{
    roam_dialog fork;
    roam_early_dialog *e = early_find(call, to_tag(response));
    int err = 0;
    *final = false;
    if (!to_tag(response).len)
        return ROAM_ESYNTAX;
    if (e) {
        fork = e->dialog;
        e->dialog = (roam_dialog){0};
    } else {
        err = dialog_init_fork(&fork, &call->dialog);
        fork.local_cseq = call->invite_cseq;
    }
    if (!err)
        err = dialog_on_response(&fork, response);
    if (err && e) {
        e->dialog = fork; /* the 2xx comes again */
        return err;
    }
    if (err) {
        dialog_free(&fork);
        return err;
    }
    map_remove(&call->ua->call_dialogs, &call->dialog_node);
    dialog_free(&call->dialog);
    call->dialog = fork;
    err = call_index_dialog(call);
    if (e) {
        pracks_stop(&e->reliable);
        if (!e->update_has_offer)
            stop_update(e); /* what follows says it again */
        if (e->answered || call->heard)
            hear(call, e);
        e->is_call = true;
        *final = e->answer_final;
        call->telling = e->told;
        call->peer_update = e->peer_update;
    } else {
        hear(call, NULL);
    }
    bool answered = e && e->answered;
    call->heard = NULL; /* its session is the call's */
    list_each(other, &call->earlies, roam_early_dialog, node)
    {
        pracks_stop(&other->reliable);
        if (other != e)
            stop_update(other);
        set_state(other, EARLY_OVER, "answered");
    }
    env_cancel(&call->ua->env, &call->early_timer);
    if (answered && !*final && message_has_body_type(response, SPAN("application/sdp")))
        session_reopen(&call->session); /* the 2xx has the last word */
    return err;
}

/* ---- requests of the peer ---- */

static void answer_update(roam_early_dialog *e, roam_server_txn *txn, const roam_message *m)
{
    roam_call *call = e->call;
    roam_ua *ua = call->ua;
    roam_session *s = session_of(e);
    roam_call_leg *leg = NULL;
    char body[BODY_MAX];
    roam_writer sdp;
    int err = 0;
    writer_init(&sdp, body, sizeof body);
    if (uas_refuse_body(ua, txn, m))
        return;
    if (m->body.len) {
        if (s->state == OFFER_LOCAL || !e->answer_final) { /* RFC 3311 5.2: our offer has no answer yet that counts */
            uas_respond(ua, txn, 491, "");
            return;
        }
        leg = call_keep_leg(call);
        err = leg ? session_take_offer(s, m->body) : ROAM_ESTATE;
        if (err) {
            uas_respond(ua, txn, err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : 504, "");
            return;
        }
        roam_session_local local;
        call_local_of(leg, &local);
        err = session_answer(s, &sdp, &local, call->hold_wanted);
    }
    if (!err) {
        roam_response r;
        dialog_target_refresh(&e->dialog, m);
        learn(e, m);
        response_begin(txn, &r, 200, SPAN(""), span_of(e->dialog.local_tag));
        write_lit(&r.w, "Contact: ");
        write_contact(call->account, &r.w, call->flow ? call->flow : server_txn_flow(txn));
        write_lit(&r.w, "\r\n");
        write_agent_headers(ua, &r.w, false);
        write_body(&r.w, sdp.len ? SPAN("application/sdp") : SPAN(""), writer_span(&sdp));
        err = response_send(&r);
    }
    if (err) {
        session_refuse(s);
        uas_respond(ua, txn, 500, "");
        return;
    }
    e->told.path = (call->flow ? call->flow : server_txn_flow(txn))->path->id;
    if (leg) {
        e->told.leg = leg->rtp_socket;
        hear(call, e);
        call_media_apply(call);
    }
    call_look(call);
}

/* Only who has sent a 2xx may say BYE (RFC 3261 15): the 2xx got lost or comes after it. That call is over before it began. */
static void on_bye(roam_early_dialog *e, roam_server_txn *txn)
{
    roam_call *call = e->call;
    uas_respond(call->ua, txn, 200, "");
    over(e, EARLY_GONE, "BYE");
    call_look(call);
    if (early_live(call) || takeover_undecided(call->takeover)) /* it may be the farewell of a dialog that was taken over, ahead of the 200 */
        return;
    if (call->invite)
        client_txn_cancel(call->invite, call->flow, true); /* nothing is to ring any more */
    call_end(call, call->state == ROAM_CALL_DISCONNECTING ? call->last_status : 487,
             call->end_reason ? call->end_reason : "the peer hung up before its answer came");
}

bool early_request(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    roam_name_addr from;
    roam_early_dialog *e = name_addr_parse(message_value(m, HEADER_FROM), &from) == 0 ? early_find(call, name_addr_tag(&from)) : NULL;
    if (!e || e->state != EARLY_LIVE) {
        /* It may have overtaken the response that makes its dialog (RFC 5407): later. BYE asks for nothing that could be done later. */
        if (!e && call->invite && m->method != METHOD_BYE && call->state != ROAM_CALL_DISCONNECTING)
            uas_respond_retry_after(ua, txn);
        else
            uas_respond(ua, txn, 481, "");
        return true;
    }
    unsigned status = dialog_check_request(&e->dialog, m);
    if (!status && call->state == ROAM_CALL_DISCONNECTING && m->method != METHOD_BYE)
        status = 481;
    if (status) {
        uas_respond(ua, txn, status, "");
        return true;
    }
    switch (m->method) {
    case METHOD_BYE:
        on_bye(e, txn);
        return true;
    case METHOD_UPDATE:
        answer_update(e, txn, m);
        return true;
    case METHOD_INVITE:
        uas_respond(ua, txn, 491, ""); /* RFC 3261 14.2: ours is not answered yet, or its answer was overtaken */
        return true;
    case METHOD_PRACK:
        uas_respond(ua, txn, 481, ""); /* RFC 3262 3: there is no response of ours for it */
        return true;
    default:
        return false;
    }
}

/* ---- what we owe ---- */

roam_flow *early_flow(roam_early_dialog *e)
{
    roam_call *call = e->call;
    roam_uri uri;
    roam_addr hop;
    if (!flow_usable(call->flow))
        return NULL;
    if (dialog_next_hop(&e->dialog, &uri) != 0)
        return flow_ref(call->flow);
    int err = resolve_uri(call->ua, &uri, &hop);
    if (err == ROAM_EBUSY)
        return NULL; /* looked at again when the name is known */
    return err ? flow_ref(call->flow) : flow_get(&call->ua->sip, call->flow->path, &hop);
}

static void wait_until(roam_call *call, roam_time at)
{
    if (!timer_armed(&call->early_timer) || call->early_timer.deadline > at)
        timer_arm(&call->ua->env.timers, &call->early_timer, at);
}

static void later(roam_early_dialog *e, roam_time delay)
{
    e->not_before = ua_now(e->call->ua) + delay;
    wait_until(e->call, e->not_before);
}

/* The INVITE was answered in the meantime. What the UPDATE did not achieve, the refresh of the call does. */
static void on_update_of_call(roam_early_dialog *e, const roam_message *success)
{
    roam_call *call = e->call;
    if (success && call->state == ROAM_CALL_CONFIRMED) {
        dialog_target_refresh(&call->dialog, success);
        call->told.path = e->telling.path;
        if (message_has_body_type(success, SPAN("application/sdp")) && session_take_answer(&call->session, success->body) == 0) {
            call->told = e->telling;
            call_media_apply(call);
            call_leg_told(call, call->told.leg);
        }
    }
    session_withdraw(&call->session);
}

bool early_offer_open(const roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (e->is_call && e->update)
            return true;
    return false;
}

static void on_update(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_early_dialog *e = user;
    roam_call *call = e->call;
    roam_random *random = &call->ua->env.random;
    uint32_t seconds = 0;
    if (txn != e->update || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    bool offered = e->update_has_offer;
    client_txn_abandon(txn);
    e->update = NULL;
    e->update_has_offer = false;
    call_look(call);
    if (e->is_call) {
        on_update_of_call(e, offered && code < 300 ? response : NULL);
        return;
    }
    if (code < 300) {
        dialog_target_refresh(&e->dialog, response);
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
        learn(e, response);
        e->told = e->telling;
        e->attempt = (roam_auth_attempt){0};
        if (offered && message_has_body_type(response, SPAN("application/sdp")) && session_take_answer(session_of(e), response->body) == 0 &&
            call->heard == e)
            call_media_apply(call);
        if (offered)
            session_withdraw(session_of(e));
        if (offered && call->heard == e)
            call_leg_told(call, e->told.leg);
        move_answered(&call->move, (int)code);
        return;
    }
    if (offered)
        session_withdraw(session_of(e));
    switch (code) {
    case 401:
    case 407:
        if (credentials_challenged(&call->account->credentials, &e->attempt, AUTH_REQUEST, response) == AUTH_RETRY)
            return;
        break;
    case 481: /* rejected, given up, or answered and ended: what it said meanwhile did not reach us, or is on its way */
        over(e, EARLY_GONE, "481");
        return;
    case 405:
    case 501:
        e->peer_update = false;
        return;
    case 491:
        later(e, ROAM_MS(10) * (210 + random_below(random, 191))); /* RFC 3261 14.1 */
        return;
    case 403: /* an edge that wants the REGISTER first */
    case 404:
        if (++e->refused > EDGE_PATIENCE)
            break;
        later(e, RETRY);
        return;
    case 408:
    case 500:
    case 503:
    case 504:
        later(e, response && message_seconds(response, HEADER_RETRY_AFTER, &seconds) && seconds < 60 ? ROAM_SECONDS(seconds) + RETRY : 4 * RETRY);
        return;
    default:
        break;
    }
    e->told.path = e->telling.path; /* it does not want to know; the 2xx, or what comes after it, tells it */
}

/* RFC 3311 5.1: an offer only when the answer to the INVITE's came reliably and has its PRACK. */
static bool may_offer(roam_early_dialog *e)
{
    return e->answer_final && session_of(e)->state == OFFER_STABLE && !pracks_owes(&e->reliable) && call_wants_media_move(e->call);
}

/* `leg` NULL: the target alone. */
static void send_update(roam_early_dialog *e, roam_flow *flow, const roam_call_leg *leg)
{
    roam_call *call = e->call;
    roam_session *s = session_of(e);
    roam_session_local local;
    char body[BODY_MAX];
    roam_writer sdp;
    roam_request r;
    writer_init(&sdp, body, sizeof body);
    if (leg) {
        call_local_of(leg, &local);
        if (session_offer(s, &sdp, &local, call->hold_wanted) != 0)
            leg = NULL;
    }
    dialog_request_begin(&e->dialog, &call->ua->sip, &r, flow, METHOD_UPDATE, 0);
    call_write_identity(call, &r.w, true);
    credentials_write(&call->account->credentials, &e->attempt, AUTH_REQUEST, &r.w, SPAN("UPDATE"), span_of(e->dialog.remote_target));
    write_body(&r.w, leg ? SPAN("application/sdp") : SPAN(""), leg ? writer_span(&sdp) : SPAN(""));
    e->update = request_send(&r, on_update, e);
    if (!e->update) {
        if (leg)
            session_withdraw(s);
        later(e, RETRY);
        return;
    }
    e->update_has_offer = leg != NULL;
    e->telling = (roam_told){call->flow->path->id, leg ? leg->rtp_socket : e->told.leg, leg ? call->hold_wanted : e->told.hold, call->wish};
    move_sent(&call->move);
}

static bool media_untold(roam_early_dialog *e)
{
    roam_call_leg *leg = may_offer(e) ? call_keep_leg(e->call) : NULL;
    return leg && leg->rtp_socket != e->told.leg;
}

static bool untold(roam_early_dialog *e)
{
    roam_call *call = e->call;
    if (e->state != EARLY_LIVE || !e->peer_update || !call->account->policy.reinvite_flags)
        return false;
    return e->told.path != call->flow->path->id || media_untold(e);
}

static void run_update(roam_early_dialog *e, roam_flow *flow)
{
    roam_call *call = e->call;
    roam_call_leg *leg = may_offer(e) ? call_keep_leg(call) : NULL;
    if (may_offer(e) && !leg && !call_leg_failed(call))
        return; /* it is being opened */
    send_update(e, flow, leg && leg->rtp_socket != e->told.leg ? leg : NULL);
}

void early_run(roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
    {
        bool update = untold(e) && !e->update;
        if (update && ua_now(call->ua) < e->not_before) {
            wait_until(call, e->not_before);
            update = false;
        }
        if (!update && !pracks_owes(&e->reliable))
            continue;
        roam_flow *flow = early_flow(e);
        if (!flow)
            continue;
        pracks_run(e, flow);
        if (update)
            run_update(e, flow);
        flow_unref(flow);
    }
}

bool early_all_told(const roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (e->state == EARLY_LIVE && (e->update || untold(e)))
            return false;
    return true;
}

bool early_any_told(const roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (e->state == EARLY_LIVE && e->told.path == call->flow->path->id)
            return true;
    return false;
}

bool early_gone(const roam_call *call)
{
    bool gone = false;
    list_each(e, &call->earlies, roam_early_dialog, node)
    {
        if (e->state == EARLY_LIVE)
            return false;
        gone |= e->state == EARLY_GONE;
    }
    return gone;
}

void early_path_lost(roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
    {
        pracks_path_lost(&e->reliable);
        stop_update(e);
        e->attempt = (roam_auth_attempt){0};
        e->not_before = 0;
        e->refused = 0;
    }
}

void early_rebound(roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        e->told.path = 0;
}

static void on_nothing(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    (void)user, (void)txn, (void)event, (void)response;
}

roam_early_dialog *early_first(const roam_call *call)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
        if (e->state == EARLY_LIVE)
            return e;
    return NULL;
}

void early_send_byes(roam_call *call, size_t skip)
{
    list_each(e, &call->earlies, roam_early_dialog, node)
    {
        roam_auth_attempt attempt = {0};
        if (e->state != EARLY_LIVE)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        roam_flow *flow = early_flow(e);
        if (flow)
            call_send_bye(call->ua, call->account, &attempt, &e->dialog, flow, NULL, on_nothing, NULL);
        flow_unref(flow);
    }
}

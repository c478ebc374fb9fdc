/* Our refreshes of a dialog: hold, resume, and a move. What the peer was told last (call->told) is compared with what is wanted;
 * a difference is sent, as soon as nothing else of offer and answer is under way. */
#include "ua/call.h"

#include <assert.h>

#define BODY_MAX 4096u
#define RETRY_FIRST ROAM_MS(500)
#define RETRY_LAST ROAM_SECONDS(8)
#define RECENT ROAM_SECONDS(2) /* "was flowing before the move" */

void call_refresh_set_state(roam_call *call, roam_refresh_state state, const char *why)
{
    static const char *const text[] = {"idle", "sent", "wait", "refused"};
    enum { I = 1, S = 2, W = 4, R = 8 };
    static const unsigned legal[] = {[REFRESH_IDLE] = S | W | R, [REFRESH_SENT] = I | W | R, [REFRESH_WAIT] = I, [REFRESH_REFUSED] = I};
    if (call->refresh == state)
        return;
    assert(legal[call->refresh] & (1u << state));
    trace_state(&call->ua->env.trace, "refresh", call->id, text[call->refresh], text[state], why);
    call->refresh = state;
    if (state != REFRESH_WAIT)
        env_cancel(&call->ua->env, &call->refresh_timer);
}

bool call_wants_media_move(const roam_call *call)
{
    uint32_t flags = call->account->policy.reinvite_flags;
    return (flags & ROAM_REINVITE_REINIT_MEDIA) && !(flags & ROAM_REINVITE_NO_SDP_OFFER);
}

/* ---- a move begins and ends ---- */

void call_move_begin(roam_call *call, const roam_addr *local, bool old_alive, const char *why)
{
    roam_ua *ua = call->ua;
    bool again = move_active(&call->move);
    bool expect_in = again && call->expect_in, expect_out = again && call->expect_out;
    move_begin(&call->move, local, old_alive, why);
    if (!again)
        call->move_leg = call->told.leg;
    if (call->stream) {
        roam_media_stats stats;
        stream_stats(call->stream, &stats);
        if (!again)
            call->move.lost_before = stats.packets_lost;
        /* What flowed a moment ago should flow again; a peer that was silent cannot be waited for. */
        expect_in |= stats.last_received && ua_now(ua) - stats.last_received < RECENT;
        expect_out |= stats.last_sent && ua_now(ua) - stats.last_sent < RECENT;
    }
    call->expect_in = expect_in;
    call->expect_out = expect_out;
    uint32_t limit = call->account->policy.offline_max_ms;
    env_arm(&ua->env, &call->move_timer, ROAM_MS(limit ? limit : 60000));
    if (call->refresh == REFRESH_WAIT || call->refresh == REFRESH_REFUSED)
        call_refresh_set_state(call, REFRESH_IDLE, "path changed");
    call->refresh_failures = 0;
    call_media_progress(call); /* media is never late: a second change may find it on its leg already */
}

static bool differs(const roam_call *call, const roam_call_leg *wanted)
{
    uint32_t flags = call->account->policy.reinvite_flags;
    if (call->refresh_forced || call->hold_wanted != call->told.hold)
        return true;
    if (call->flow && flags && call->told.path != call->flow->path->id)
        return true;
    return wanted && call_wants_media_move(call) && wanted->rtp_socket != call->told.leg;
}

void call_check_recovered(roam_call *call)
{
    roam_move *move = &call->move;
    if (move->state != MOVE_RUNNING || call->state != ROAM_CALL_CONFIRMED || !call->flow || call->refresh != REFRESH_IDLE || call->uas)
        return;
    if (call->account->policy.reinvite_flags == 0) { /* told to leave calls alone: nothing was repaired, and nothing is claimed */
        move_cancel(move);
        call_set_link(call, ROAM_LINK_OK, "left alone");
        return;
    }
    roam_call_leg *wanted = call_keep_leg(call);
    if ((!wanted && call->session.agreed.active) || differs(call, wanted))
        return;
    /* Told by our refresh, or by our answer to the peer's: either way the peer knows. */
    move_answered(move, 200);
    bool media_moved = call->told.leg != call->move_leg && call->session.agreed.active;
    unsigned d = call->session.agreed.direction;
    if (media_moved && call->expect_out && (d & DIRECTION_SENDONLY) && move->report.uplink == ROAM_NEVER)
        return;
    if (media_moved && call->expect_in && (d & DIRECTION_RECVONLY) && move->report.downlink == ROAM_NEVER)
        return;
    if (call->stream) {
        roam_media_stats stats;
        stream_stats(call->stream, &stats);
        move->report.lost_in = stats.packets_lost > move->lost_before ? stats.packets_lost - move->lost_before : 0;
        bool gap = media_moved && stats.last_received >= move->began && call->expect_in;
        move->report.gap_in_ms = gap ? stats.last_gap_ms : 0;
    }
    env_cancel(&call->ua->env, &call->move_timer);
    move_recovered(move);
    call_set_link(call, ROAM_LINK_OK, "recovered");
}

void call_force_refresh(roam_call *call, const char *why)
{
    if (call->state != ROAM_CALL_CONFIRMED)
        return; /* a call that is not up yet has its INVITE or its answer to go by */
    if (call->account->policy.reinvite_flags == 0 && !call->account->policy.hangup_calls)
        return;
    roam_addr local = call->flow ? call->flow->path->local : (roam_addr){0};
    call_move_begin(call, call->flow ? &local : NULL, true, why);
    call_set_link(call, call->flow ? ROAM_LINK_MOVING : ROAM_LINK_RECONNECTING, why);
    call->refresh_forced = true;
    call->leg_renew = call_wants_media_move(call);
    call_look(call);
}

/* ---- giving up what is out ---- */

void call_refresh_stop(roam_call *call)
{
    if (call->refresh_txn)
        client_txn_abandon(call->refresh_txn);
    call->refresh_txn = NULL;
    if (call->refresh_has_offer)
        session_withdraw(&call->session);
    if (call->stream)
        stream_double_on(call->stream, 0);
    call->refresh_has_offer = false;
    if (call->refresh == REFRESH_SENT)
        call_refresh_set_state(call, REFRESH_IDLE, "given up");
}

void call_refresh_path_lost(roam_call *call)
{
    if (call->refresh == REFRESH_SENT) {
        if (!call->refresh_is_update)
            call->unacked_cseq = call->refresh_cseq;
        call_refresh_stop(call);
    }
    if (call->bye) {
        client_txn_abandon(call->bye);
        call->bye = NULL;
    }
    call->refresh_attempt = (roam_auth_attempt){0};
}

/* ---- sending ---- */

static void on_refresh(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

/* The first re-INVITE may have had its 2xx while we were away: its ACK, harmless where none was sent, lets the peer take the next one. */
static void ack_the_unknown(roam_call *call)
{
    /* The last ACK may have gone down with its path, and a peer that waits for it refuses the next offer with 500. */
    bool young = call->ack.bytes && ua_now(call->ua) - call->ack.sent_at < 64 * call->ua->sip.timers.t1;
    if (!call->unacked_cseq && young && call->ack.flow->path != call->flow->path)
        ack_resend(&call->ack, &call->ua->sip, call->flow);
    if (!call->unacked_cseq)
        return;
    ack_send(&call->ack, &call->dialog, &call->ua->sip, call->flow, call->unacked_cseq, SPAN(""), SPAN(""));
    call->unacked_cseq = 0;
}

static int send_refresh(roam_call *call, roam_call_leg *leg, bool update)
{
    roam_ua *ua = call->ua;
    char body[BODY_MAX];
    roam_writer sdp;
    roam_session_local local;
    writer_init(&sdp, body, sizeof body);
    if (leg) {
        call_local_of(leg, &local);
        int err = session_offer(&call->session, &sdp, &local, call->hold_wanted);
        if (err)
            return err;
    }
    ack_the_unknown(call);
    roam_method method = update ? METHOD_UPDATE : METHOD_INVITE;
    roam_request r;
    dialog_request_begin(&call->dialog, &ua->sip, &r, call->flow, method, 0);
    call_write_identity(call, &r.w, true);
    credentials_write(&call->account->credentials, &call->refresh_attempt, AUTH_REQUEST, &r.w, span_of(method_text(method)), span_of(call->dialog.remote_target));
    write_body(&r.w, leg ? SPAN("application/sdp") : SPAN(""), writer_span(&sdp));
    roam_client_txn *txn = request_send(&r, on_refresh, call);
    if (!txn) {
        session_withdraw(&call->session);
        return ROAM_ENOMEM;
    }
    call->refresh_txn = txn;
    call->refresh_is_update = update;
    call->refresh_has_offer = leg != NULL;
    call->refresh_cseq = call->dialog.local_cseq;
    call->telling = (roam_told){call->flow->path->id, leg ? leg->rtp_socket : call->told.leg, leg ? call->hold_wanted : call->told.hold};
    call_refresh_set_state(call, REFRESH_SENT, update ? "UPDATE" : "re-INVITE");
    if (leg && call->stream) /* the old leg, where it still works, goes on; nobody knows when the peer will have read this */
        stream_double_on(call->stream, leg->rtp_socket);
    move_sent(&call->move);
    return 0;
}

static void wait_and_retry(roam_call *call, roam_time delay, int status, const char *why)
{
    move_retry(&call->move, status);
    call->last_status = status;
    call_refresh_set_state(call, REFRESH_WAIT, why);
    env_arm(&call->ua->env, &call->refresh_timer, delay);
}

void call_run_refresh(roam_call *call)
{
    bool connecting = call->state == ROAM_CALL_CONNECTING;
    if (call->refresh == REFRESH_WAIT && call->refresh_after_registration && call->account->reg.bound &&
        call->account->reg.state == ROAM_REGISTRATION_REGISTERED) {
        call->refresh_after_registration = false;
        call_refresh_set_state(call, REFRESH_IDLE, "registered: the edge knows us now");
    }
    if (call->refresh == REFRESH_REFUSED && call->hold_wanted != call->told.hold && call->refresh_failures == 0)
        call_refresh_set_state(call, REFRESH_IDLE, "another wish");
    if (call->refresh != REFRESH_IDLE || call->uas || call->account->policy.hangup_calls)
        if (call->refresh != REFRESH_IDLE || call->uas)
            return;
    roam_call_leg *wanted = call_keep_leg(call);
    if (!differs(call, wanted))
        return;
    bool can_update = call->peer_update && !call->update_refused;
    if (connecting || accept_waiting(&call->accept)) {
        /* Our 2xx is not acknowledged: no new offer, but the peer may learn where its ACK has to go (handover.md). */
        if (can_update && call->told.path != call->flow->path->id && call->session.state == OFFER_STABLE)
            if (send_refresh(call, NULL, true) != 0)
                wait_and_retry(call, RETRY_FIRST, ROAM_ENOMEM, "could not be sent");
        return;
    }
    if (call->session.state != OFFER_STABLE) {
        return;
    }
    uint32_t flags = call->account->policy.reinvite_flags;
    bool only_target = (flags & ROAM_REINVITE_NO_SDP_OFFER) && can_update && call->hold_wanted == call->told.hold;
    roam_call_leg *leg = NULL;
    if (!only_target) {
        leg = wanted ? wanted : NULL;
        if (!leg)
            return; /* it is being opened */
    }
    bool update = only_target || (call->account->policy.use_update && can_update);
    if (send_refresh(call, leg, update) != 0)
        wait_and_retry(call, RETRY_FIRST, ROAM_ENOMEM, "could not be sent");
}

/* ---- answers ---- */

static roam_time retry_delay(roam_call *call)
{
    unsigned shift = call->refresh_failures < 5 ? call->refresh_failures : 5;
    roam_time delay = RETRY_FIRST << shift;
    call->refresh_failures++;
    return delay > RETRY_LAST ? RETRY_LAST : delay;
}

static void refused(roam_call *call, int code, const char *why);

static void on_success(roam_call *call, roam_client_txn *txn, const roam_message *response)
{
    roam_ua *ua = call->ua;
    dialog_target_refresh(&call->dialog, response);
    credentials_info(&call->account->credentials, AUTH_REQUEST, response);
    call_learn_peer(call, response);
    if (!call->refresh_is_update) {
        ack_send(&call->ack, &call->dialog, &ua->sip, call->flow ? call->flow : client_txn_flow(txn), call->refresh_cseq, SPAN(""), SPAN(""));
        if (call->acked_txn)
            client_txn_abandon(call->acked_txn);
        call->acked_txn = txn;
    }
    bool agreed = false;
    if (call->refresh_has_offer) {
        agreed = message_has_body_type(response, SPAN("application/sdp")) && session_take_answer(&call->session, response->body) == 0;
        session_withdraw(&call->session); /* a 2xx without a usable answer: what was agreed stays */
    }
    roam_told before = call->told;
    bool offered = call->refresh_has_offer;
    call->told = call->telling;
    call->refresh_has_offer = false;
    call->refresh_forced = false;
    call->refresh_failures = 0;
    call->refresh_attempt = (roam_auth_attempt){0};
    call_refresh_set_state(call, REFRESH_IDLE, "accepted");
    if (call->state == ROAM_CALL_CONNECTING) { /* any success of the peer in the dialog stands for the lost ACK */
        accept_stop(&call->accept);
        call_set_state(call, ROAM_CALL_CONFIRMED, 200, "the peer has our answer");
    } else {
        accept_stop(&call->accept);
    }
    move_answered(&call->move, response->status);
    if (agreed) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    } else { /* nothing agreed: media and hold are as they were */
        call->told.leg = before.leg;
        call->told.hold = before.hold;
        if (offered) /* asked again it would say the same, once a round trip */
            refused(call, response->status, "accepted without an answer to our offer");
    }
    call_report_hold(call);
}

static void refused(roam_call *call, int code, const char *why)
{
    bool for_hold = call->hold_wanted != call->told.hold;
    if (for_hold && !move_active(&call->move))
        call->hold_wanted = call->told.hold;
    call->refresh_forced = false;
    call->last_status = code;
    call->refresh_failures++;
    call_refresh_set_state(call, REFRESH_REFUSED, why);
    if (move_active(&call->move)) {
        move_progress(&call->move, ROAM_IP_CHANGE_ACCOUNT_REINVITE_CALLS, 0, code, why);
        move_failed(&call->move, 0, code, why);
        call_set_link(call, ROAM_LINK_OK, why);
    }
    call_report_hold(call);
}

static void on_failure(roam_call *call, unsigned code, const roam_message *response, const char *why)
{
    roam_env *env = &call->ua->env;
    uint32_t seconds = 0;
    bool retry_after = response && message_seconds(response, HEADER_RETRY_AFTER, &seconds);
    switch (code) {
    case 401:
    case 407:
        if (credentials_challenged(&call->account->credentials, &call->refresh_attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
            move_retry(&call->move, (int)code);
            call_refresh_set_state(call, REFRESH_IDLE, "challenged");
        } else {
            refused(call, (int)code, "credentials refused");
        }
        return;
    case 481: /* the peer ended it meanwhile */
        move_failed(&call->move, 0, 481, "ended while away");
        call_end(call, 481, "the peer no longer knows the call: ended while away");
        return;
    case 491: { /* RFC 3261 14.1 */
        uint32_t units = call->dialog.caller ? 210 + random_below(&env->random, 191) : random_below(&env->random, 201);
        wait_and_retry(call, ROAM_MS(10) * units, 491, "glare");
        return;
    }
    case 405:
    case 501:
        if (call->refresh_is_update) {
            call->update_refused = true;
            move_retry(&call->move, (int)code);
            call_refresh_set_state(call, REFRESH_IDLE, "no UPDATE here: re-INVITE");
            return;
        }
        break;
    case 403:
    case 404:
        if (move_active(&call->move) && call->account->registrar && call->refresh_failures < 3) { /* an edge that wants the registration first */
            call->refresh_after_registration = !call->account->reg.bound;
            wait_and_retry(call, call->refresh_after_registration ? ROAM_SECONDS(5) : retry_delay(call), (int)code, "again after the REGISTER");
            call->refresh_failures++;
            return;
        }
        break;
    default:
        break;
    }
    bool for_now = code == 408 || code == 480 || code == 500 || code == 502 || code == 503 || code == 504 || retry_after;
    bool may_wait = move_active(&call->move) || call->refresh_failures < 3;
    if (for_now && may_wait)
        wait_and_retry(call, retry_after ? ROAM_SECONDS(seconds) + ROAM_MS(random_below(&env->random, 100)) : retry_delay(call), (int)code, why);
    else
        refused(call, (int)code, why);
}

static void on_refresh(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (event == CLIENT_ENDED) {
        if (call->acked_txn == txn)
            call->acked_txn = NULL;
        if (call->refresh_txn == txn)
            call->refresh_txn = NULL;
        return;
    }
    if (txn == call->acked_txn) { /* its 2xx again: our ACK was lost */
        if (event == CLIENT_RESPONSE && flow_usable(call->flow))
            ack_resend(&call->ack, &call->ua->sip, call->flow);
        return;
    }
    if (txn != call->refresh_txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    call->refresh_txn = NULL;
    if (event == CLIENT_FAILED && !call->refresh_is_update)
        call->unacked_cseq = call->refresh_cseq; /* an earlier copy may have arrived */
    if (code >= 300 || call->refresh_is_update) /* it outlives the call; a re-INVITE that was accepted is kept for its 2xx coming again */
        client_txn_abandon(txn);
    if (code < 300) {
        on_success(call, txn, response);
    } else {
        if (call->refresh_has_offer)
            session_withdraw(&call->session);
        call->refresh_has_offer = false;
        if (call->stream)
            stream_double_on(call->stream, 0);
        on_failure(call, code, response, event == CLIENT_RESPONSE ? status_text(code) : "nobody answered");
    }
    call_look(call);
}

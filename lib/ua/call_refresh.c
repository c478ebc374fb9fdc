/* Our refreshes of a dialog: hold, resume, a move, the session timer. What the peer was told last (call->told) is compared with what is wanted;
 * a difference is sent, as soon as nothing else of offer and answer is under way. */
#include "ua/early.h"

#include <assert.h>

#include "ua/refresh_meaning.h"

#define BODY_MAX 4096u
#define RETRY_FIRST ROAM_MS(500)
#define RETRY_LAST ROAM_SECONDS(8)
#define RECENT ROAM_SECONDS(2) /* "was flowing before the move" */
#define AFTER_REGISTER_LIMIT ROAM_SECONDS(5) /* an edge that wants the REGISTER first is asked again by then anyway */
#define PATIENCE 3u /* retries of a refresh that no move asked for */

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

/* What came and went before now says nothing about this path, or this visit to it. */
static void count_anew(roam_call *call)
{
    for (size_t i = 0; i < CALL_MAX_LEGS; i++)
        call->legs[i].sent = call->legs[i].heard = false;
    if (call->stream)
        stream_legs_anew(call->stream);
}

void call_move_begin(roam_call *call, const roam_addr *local, bool old_alive, const char *why)
{
    roam_ua *ua = call->ua;
    bool again = move_active(&call->move);
    bool expect_in = again && call->expect_in, expect_out = again && call->expect_out;
    move_begin(&call->move, local, old_alive, why);
    call->move_leg = call->told.leg ? call->told.leg : call->telling.leg; /* not answered yet: the one our INVITE describes */
    count_anew(call);
    if (call->stream) {
        roam_media_stats stats;
        stream_stats(call->stream, &stats);
        if (!again) {
            call->move.lost_before = stats.packets_lost;
            call->move.peer_lost_before = stats.peer_lost;
        }
        /* What flowed a moment ago should flow again; a peer that was silent cannot be waited for. */
        expect_in |= stats.last_received && ua_now(ua) - stats.last_received < RECENT;
        expect_out |= stats.last_sent && ua_now(ua) - stats.last_sent < RECENT;
    }
    call->move_in_place = false;
    call->expect_in = expect_in;
    call->expect_out = expect_out;
    uint32_t limit = call->account->policy.offline_max_ms;
    env_arm(&ua->env, &call->move_timer, ROAM_MS(limit ? limit : 60000));
    if (call->refresh == REFRESH_WAIT || call->refresh == REFRESH_REFUSED)
        call_refresh_set_state(call, REFRESH_IDLE, "path changed");
    call->refresh_failures = 0;
    call->refresh_media = REFRESH_MEDIA_ALL;
    call->gone_doubted = false;
}

/* The path may be the one there was before the silence. What the peer did meanwhile (BYE, hold) is not known, nor what became of what was out: it is asked,
 * and only its answer says that the call is whole. */
void call_move_path(roam_call *call, const roam_path *path)
{
    call->move_in_place = call->told.path == path->id;
    if ((call->state == ROAM_CALL_CONFIRMED || call->state == ROAM_CALL_CONNECTING) && call->account->policy.reinvite_flags)
        call->wish++;
    count_anew(call);
    if (call->move_in_place)
        mend_doubt(call);
    move_path(&call->move, &path->local);
    call_set_link(call, ROAM_LINK_MOVING, "path found");
}

/* ---- what is wanted, and what is ---- */

enum {
    WANT_TARGET = 1,  /* the peer has another address of ours for requests */
    WANT_MEDIA = 2,   /* ... for packets */
    WANT_HOLD = 4,
    WANT_WISH = 8,    /* nothing is known to differ: asked for, or uncertain */
    WANT_SESSION = 16 /* the session timer */
};

static bool leg_alive(roam_call *call, uint32_t rtp_socket)
{
    const roam_call_leg *leg = call_leg_by_rtp(call, rtp_socket);
    return leg && (leg->state == LEG_UP || leg->state == LEG_RETIRING);
}

static unsigned wants(roam_call *call, const roam_call_leg *wanted)
{
    uint32_t flags = call->account->policy.reinvite_flags;
    unsigned w = 0;
    if (call->hold_wanted != call->told.hold)
        w |= WANT_HOLD;
    if (call->wish != call->told.wish)
        w |= WANT_WISH;
    if (call->flow && flags && call->told.path != call->flow->path->id)
        w |= WANT_TARGET;
    bool media = call_wants_media_move(call) || (flags && !(flags & ROAM_REINVITE_NO_SDP_OFFER) && !leg_alive(call, call->told.leg));
    if (wanted && media && call->refresh_media != REFRESH_MEDIA_NONE && wanted->rtp_socket != call->told.leg)
        w |= WANT_MEDIA;
    if (session_timer_due(&call->session_timer) == SESSION_REFRESH_DUE)
        w |= WANT_SESSION;
    return w;
}

/* A move to the same path: its media counts as restored with the first packet since the path is there. */
static bool flows_again(roam_call *call, unsigned direction)
{
    roam_move *move = &call->move;
    roam_media_stats stats;
    if (!call->stream)
        return true;
    stream_stats(call->stream, &stats);
    const roam_time since = move->began + move->report.path_ready;
    if (stats.last_sent >= since)
        move_uplink(move);
    if (stats.last_received >= since)
        move_downlink(move);
    return (!call->expect_out || !(direction & DIRECTION_SENDONLY) || move->report.uplink != ROAM_NEVER) &&
           (!call->expect_in || !(direction & DIRECTION_RECVONLY) || move->report.downlink != ROAM_NEVER);
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
    if ((!wanted && call->session.agreed.active) || (wants(call, wanted) & ~(unsigned)WANT_SESSION))
        return;
    /* Told by our refresh, or by our answer to the peer's: either way the peer knows. */
    move_answered(move, 200);
    bool media_moved = call->told.leg != call->move_leg && call->session.agreed.active;
    unsigned d = call->session.agreed.direction;
    if (media_moved && call->expect_out && (d & DIRECTION_SENDONLY) && move->report.uplink == ROAM_NEVER)
        return;
    if (media_moved && call->expect_in && (d & DIRECTION_RECVONLY) && move->report.downlink == ROAM_NEVER)
        return;
    if (!media_moved && call->move_in_place && call->session.agreed.active && !flows_again(call, d))
        return;
    if (call->stream) {
        roam_media_stats stats;
        stream_stats(call->stream, &stats);
        move->report.lost_in = stats.packets_lost > move->lost_before ? stats.packets_lost - move->lost_before : 0;
        bool gap = media_moved && stats.last_received >= move->began && call->expect_in;
        move->report.gap_in_ms = gap ? stats.last_gap_ms : 0;
        if (stats.peer_reported > move->began) /* its report tells of packets of this change */
            move->report.lost_out = stats.peer_lost > move->peer_lost_before ? stats.peer_lost - move->peer_lost_before : 0;
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
    call->wish++;
    if (call_wants_media_move(call))
        call->leg_generation++;
    call_look(call);
}

void call_rebound(roam_call *call, const char *why)
{
    if (!flow_usable(call->flow) || call->state == ROAM_CALL_DISCONNECTING || call->state == ROAM_CALL_ENDED)
        return;
    if (call->account->policy.reinvite_flags == 0 || call->account->policy.hangup_calls)
        return;
    call_path_lost(call); /* an answer to what is out would go to the old mapping */
    call->move.evidence = why;
    call_move_begin(call, &call->flow->path->local, true, why);
    call->move_in_place = true;
    early_rebound(call);
    call_ring_rebound(call);
    /* A peer that latches on to a source lets go of it for another address in the SDP only. One that follows has not fallen silent. */
    if (call_wants_media_move(call) && call_media_expected(call) && !call_media_alive(call, 0))
        call->leg_generation++;
    mend_doubt(call);
    call_set_link(call, ROAM_LINK_MOVING, why);
    call->wish++;
    call_look(call);
}

/* ---- giving up what is out ---- */

static void stop_requests(roam_call *call)
{
    if (call->refresh_txn)
        client_txn_abandon(call->refresh_txn);
    call->refresh_txn = NULL;
    if (call->target_txn)
        client_txn_abandon(call->target_txn);
    call->target_txn = NULL;
    if (call->refresh_has_offer)
        session_withdraw(&call->session);
    if (call->stream)
        stream_double_on(call->stream, 0);
    call->refresh_has_offer = false;
    if (call->refresh == REFRESH_SENT)
        call_refresh_set_state(call, REFRESH_IDLE, "given up");
}

void call_refresh_stop(roam_call *call)
{
    rescue_stop(call);
    stop_requests(call);
    if (call->refresh == REFRESH_WAIT)
        call_refresh_set_state(call, REFRESH_IDLE, "stopped");
}

static void note_unacked(roam_call *call)
{
    if (call->nunacked == CALL_MAX_UNACKED) {
        memmove(call->unacked, call->unacked + 1, (CALL_MAX_UNACKED - 1) * sizeof *call->unacked);
        call->nunacked--;
    }
    call->unacked[call->nunacked++] = call->refresh_cseq;
}

/* The peer may have taken it or not: its 2xx may wait for an ACK, and what it knows of us is uncertain. */
static void give_up(roam_call *call)
{
    if (call->refresh != REFRESH_SENT)
        return;
    if (!call->refresh_is_update)
        note_unacked(call);
    call->wish++;
    stop_requests(call);
    call->refresh_attempt = (roam_auth_attempt){0};
}

void call_refresh_path_lost(roam_call *call)
{
    give_up(call);
    call_info_path_lost(call);
    rescue_stop(call);
    if (call->bye) {
        client_txn_abandon(call->bye);
        call->bye = NULL;
    }
    if (call->state == ROAM_CALL_DISCONNECTING) /* a BYE that waited leaves by the next path at once */
        env_cancel(&call->ua->env, &call->refresh_timer);
    call->refresh_attempt = (roam_auth_attempt){0};
}

/* ---- the peer moves too ---- */

static uint64_t target_hash(const roam_call *call)
{
    return roam_siphash(call->ua->env.hash_seed, span_of(call->dialog.remote_target));
}

void call_peer_moved(roam_call *call)
{
    if (call->refresh != REFRESH_SENT || call->refresh_heard || call->refresh_target == target_hash(call))
        return;
    move_retry(&call->move, 0);
    give_up(call);
    call_look(call);
}

bool call_refresh_yields(roam_call *call, const roam_message *m)
{
    roam_name_addr contact;
    if (call->refresh != REFRESH_SENT || call->refresh_heard || name_addr_parse(message_value(m, HEADER_CONTACT), &contact) != 0 ||
        span_eq(contact.uri_text, span_of(call->dialog.remote_target)) || !call->dialog.remote_tag)
        return false;
    /* The peer is somewhere else now. What we sent went to where it was, and its answer may never come. Both sides see the same thing, perhaps at the same time: the
     * tags decide whose request stands. */
    if (strcmp(call->dialog.local_tag, call->dialog.remote_tag) < 0) {
        give_up(call);
        return true;
    }
    dialog_target_refresh(&call->dialog, m); /* refused with 491, but true all the same: ours goes there */
    call_peer_moved(call);
    return false;
}

/* ---- sending ---- */

static void on_refresh(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

/* The first re-INVITE may have had its 2xx while we were away: its ACK, harmless where none was sent, lets the peer take the next one. */
static void ack_the_unknown(roam_call *call)
{
    /* The last ACK may have gone down with its path, and a peer that waits for it refuses the next offer with 500. */
    bool young = call->ack.bytes && ua_now(call->ua) - call->ack.sent_at < 64 * call->ua->sip.timers.t1;
    if (!call->nunacked && young && call->ack.flow->path != call->flow->path)
        ack_resend(&call->ack, &call->ua->sip, call->flow);
    for (unsigned i = 0; i < call->nunacked; i++) /* of each: that of the first may have gone down with the path of the second */
        ack_send(&call->ack, &call->dialog, &call->ua->sip, call->flow, call->unacked[i], SPAN(""), SPAN(""));
}

static bool can_update(const roam_call *call)
{
    return call->peer_update && !call->update_refused;
}

typedef enum refresh_plan {
    PLAN_NOTHING,
    PLAN_TARGET,   /* UPDATE without SDP */
    PLAN_UPDATE,   /* UPDATE with an offer */
    PLAN_REINVITE, /* re-INVITE with an offer */
    PLAN_OLD_MEDIA, /* re-INVITE or UPDATE with an offer that moves no media: our hold, for a peer that refuses any other address */
    PLAN_REPEAT    /* re-INVITE that offers what is agreed already, word for word */
} refresh_plan;

static roam_client_txn *send_request(roam_call *call, roam_method method, roam_span sdp, roam_auth_attempt *attempt, roam_client_fn *fn)
{
    roam_request r;
    dialog_request_begin(&call->dialog, &call->ua->sip, &r, call->flow, method, 0);
    call_write_identity(call, &r.w, true);
    session_timer_write_request(&call->session_timer, &r.w);
    credentials_write(&call->account->credentials, attempt, AUTH_REQUEST, &r.w, span_of(method_text(method)), span_of(call->dialog.remote_target));
    write_body(&r.w, sdp.len ? SPAN("application/sdp") : SPAN(""), sdp);
    return request_send(&r, fn, call);
}

static void on_target(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

/* A re-INVITE, ours that we gave up or the peer's that went to where we were, is still under way there, and ours is refused because of it (RFC 3261 14.2). An UPDATE
 * without offer is taken at any time (RFC 3311 5.1): the peer knows where we are, be the media later. */
static void tell_target(roam_call *call)
{
    if (call->told.path != call->flow->path->id && can_update(call) && !call->target_txn)
        call->target_txn = send_request(call, METHOD_UPDATE, SPAN(""), &call->target_attempt, on_target);
}

static void on_target(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (txn != call->target_txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    call->target_txn = NULL;
    if (event == CLIENT_RESPONSE && response->status < 300) {
        call->told.path = client_txn_flow(txn)->path->id;
        dialog_target_refresh(&call->dialog, response);
        session_timer_take_response(&call->session_timer, response);
    }
    if (event == CLIENT_RESPONSE && (response->status == 405 || response->status == 501))
        call->update_refused = true;
    bool challenged = event == CLIENT_RESPONSE && (response->status == 401 || response->status == 407) &&
                      credentials_challenged(&call->account->credentials, &call->target_attempt, AUTH_REQUEST, response) == AUTH_RETRY;
    client_txn_abandon(txn);
    if (challenged && flow_usable(call->flow))
        tell_target(call);
    else
        call->target_attempt = (roam_auth_attempt){0};
    /* Everything else is said better by the answer to the re-INVITE behind it. */
}

/* An offer can be made that names the media address the peer knows. */
static bool has_old_media(const roam_call *call)
{
    return call->session.said.local.ip.family != 0 && call->session.agreed.active;
}

static int write_offer(roam_call *call, refresh_plan plan, const roam_call_leg *leg, roam_writer *sdp)
{
    roam_session_local local;
    if (plan == PLAN_REPEAT)
        return session_repeat(&call->session, sdp);
    if (plan == PLAN_OLD_MEDIA)
        local = call->session.said.local;
    else
        call_local_of(leg, &local);
    call->session.narrow = call->refresh_media != REFRESH_MEDIA_ALL;
    return session_offer(&call->session, sdp, &local, call->hold_wanted);
}

static int send_refresh(roam_call *call, refresh_plan plan, roam_call_leg *leg)
{
    char body[BODY_MAX];
    roam_writer sdp;
    bool by_update = call->account->policy.use_update && can_update(call), offer = plan != PLAN_TARGET;
    bool update = plan == PLAN_TARGET || plan == PLAN_UPDATE || (plan == PLAN_OLD_MEDIA && by_update);
    bool new_media = plan == PLAN_UPDATE || plan == PLAN_REINVITE;
    writer_init(&sdp, body, sizeof body);
    int err = offer ? write_offer(call, plan, leg, &sdp) : 0;
    if (err)
        return err;
    ack_the_unknown(call);
    if (plan == PLAN_REINVITE && call->nunacked)
        tell_target(call);
    roam_client_txn *txn = send_request(call, update ? METHOD_UPDATE : METHOD_INVITE, writer_span(&sdp), &call->refresh_attempt, on_refresh);
    if (!txn) {
        session_withdraw(&call->session);
        return ROAM_ENOMEM;
    }
    call->refresh_txn = txn;
    call->refresh_is_update = update;
    call->refresh_has_offer = offer;
    call->refresh_heard = false;
    call->refresh_cseq = call->dialog.local_cseq;
    call->refresh_target = target_hash(call);
    call->telling = call->told;
    call->telling.path = call->flow->path->id;
    if (new_media)
        call->telling.leg = leg->rtp_socket;
    if (new_media || plan == PLAN_OLD_MEDIA)
        call->telling.hold = call->hold_wanted;
    /* A wish for new media is not fulfilled by the target alone. */
    if (new_media || plan == PLAN_OLD_MEDIA || !call_wants_media_move(call) || (call->refresh_media == REFRESH_MEDIA_NONE && !has_old_media(call)))
        call->telling.wish = call->wish;
    static const char *const text[] = {"", "UPDATE without SDP", "UPDATE", "re-INVITE", "offer with the old media", "re-INVITE that repeats"};
    call_refresh_set_state(call, REFRESH_SENT, text[plan]);
    if (new_media && call->stream) /* the old leg, where it still works, goes on; nobody knows when the peer will have read this */
        stream_double_on(call->stream, leg->rtp_socket);
    rescue_arm(call);
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

/* Without a new description: UPDATE, or where the peer has none a re-INVITE that repeats the old one, if the leg it describes still is. */
static refresh_plan plan_target(roam_call *call)
{
    if (can_update(call))
        return PLAN_TARGET;
    bool silent = !call->session.agreed.active;
    return call->session.state == OFFER_STABLE && call->session.said.len && (silent || leg_alive(call, call->told.leg)) ? PLAN_REPEAT : PLAN_NOTHING;
}

static refresh_plan make_plan(roam_call *call, unsigned w, const roam_call_leg *wanted)
{
    const roam_ip_change_policy *policy = &call->account->policy;
    if (!w)
        return PLAN_NOTHING;
    const bool unacknowledged = call->state == ROAM_CALL_CONNECTING || accept_waiting(&call->accept);
    if ((unacknowledged && call->probe.state != PROBE_ANSWERED) || call->uas || call->session.state != OFFER_STABLE)
        /* No new offer now: our 2xx waits for its ACK, or the peer's request for our leg. The peer may learn where its ACK has to go (handover.md). */
        return (w & WANT_TARGET) && can_update(call) ? PLAN_TARGET : PLAN_NOTHING;
    if (w == WANT_SESSION)
        return plan_target(call) != PLAN_NOTHING ? plan_target(call) : wanted ? PLAN_REINVITE : PLAN_NOTHING;
    if (call->refresh_media == REFRESH_MEDIA_NONE) {
        /* The target first, be the hold refused or not. An offer of ours whose answer is lost may have been taken: what we want is said again. */
        bool says_hold = (w & (WANT_HOLD | WANT_WISH)) && has_old_media(call);
        refresh_plan target = (w & WANT_TARGET) || !says_hold ? plan_target(call) : PLAN_NOTHING;
        return target == PLAN_NOTHING && says_hold ? PLAN_OLD_MEDIA : target;
    }
    if (!(w & WANT_HOLD)) {
        if ((policy->reinvite_flags & ROAM_REINVITE_NO_SDP_OFFER) && plan_target(call) != PLAN_NOTHING)
            return plan_target(call);
        if (!wanted && (w & WANT_TARGET) && call_leg_failed(call)) /* the system refuses a socket: it is asked again, the media follows */
            return plan_target(call);
    }
    if (!wanted)
        return PLAN_NOTHING; /* it is being opened */
    return policy->use_update && can_update(call) ? PLAN_UPDATE : PLAN_REINVITE;
}

/* RFC 4028 10. While there is no path, or a move is under way, nothing expires: the refresh on the new path tells how things are. */
static void run_session(roam_call *call)
{
    bool held = move_active(&call->move) || call->state != ROAM_CALL_CONFIRMED;
    if (!held && call->session_held)
        session_timer_resume(&call->session_timer);
    call->session_held = held;
    if (held)
        return;
    roam_session_due due = session_timer_due(&call->session_timer);
    if (due == SESSION_EXPIRED) {
        session_timer_stop(&call->session_timer);
        call->last_status = 408;
        call->bye_reason = "SIP;cause=408;text=\"Session expired\"";
        call_hangup(call, "the session expired: nobody refreshed it");
    } else if (due == SESSION_REFRESH_DUE && call->refresh == REFRESH_REFUSED) {
        call_refresh_set_state(call, REFRESH_IDLE, "session refresh due");
    }
}

void call_session_timer(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, session_timer.timer);
    session_timer_fired(&call->session_timer);
    call_look(call);
}

void call_run_refresh(roam_call *call)
{
    run_session(call);
    if (call->state != ROAM_CALL_CONFIRMED && call->state != ROAM_CALL_CONNECTING)
        return;
    if (call->refresh == REFRESH_WAIT && call->refresh_after_registration && call->account->reg.bound &&
        call->account->reg.state == ROAM_REGISTRATION_REGISTERED) {
        call->refresh_after_registration = false;
        call_refresh_set_state(call, REFRESH_IDLE, "registered: the edge knows us now");
    }
    rescue_run(call);
    if (call->refresh == REFRESH_REFUSED && call->hold_wanted != call->told.hold && call->refresh_failures == 0)
        call_refresh_set_state(call, REFRESH_IDLE, "another wish");
    if (call->refresh != REFRESH_IDLE || early_offer_open(call))
        return;
    roam_call_leg *wanted = call_keep_leg(call);
    refresh_plan plan = make_plan(call, wants(call, wanted), wanted);
    if (plan != PLAN_NOTHING && send_refresh(call, plan, wanted) != 0)
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
    rescue_answered(call);
    session_timer_take_response(&call->session_timer, response);
    if (!call->refresh_is_update) {
        ack_send(&call->ack, &call->dialog, &ua->sip, call->flow ? call->flow : client_txn_flow(txn), call->refresh_cseq, SPAN(""), SPAN(""));
        if (call->acked_txn)
            client_txn_abandon(call->acked_txn);
        call->acked_txn = txn;
    }
    if (!call->refresh_is_update)
        call->nunacked = 0;
    int err = ROAM_ENOTFOUND;
    if (call->refresh_has_offer) {
        if (message_has_body_type(response, SPAN("application/sdp")))
            err = session_take_answer(&call->session, response->body);
        session_withdraw(&call->session); /* a 2xx without a usable answer: what was agreed stays */
    }
    roam_told before = call->told;
    bool offered = call->refresh_has_offer;
    call->told = call->telling;
    call->refresh_has_offer = false;
    call->refresh_failures = 0;
    call->refresh_attempt = (roam_auth_attempt){0};
    call_refresh_set_state(call, REFRESH_IDLE, "accepted");
    call_peer_has_answer(call, "the peer has our answer"); /* any success of the peer in the dialog stands for the lost ACK */
    move_answered(&call->move, response->status);
    if (!err) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    } else { /* nothing agreed: media and hold are as they were */
        call->told.leg = before.leg;
        call->told.hold = before.hold;
        if (offered && err == ROAM_ENOMEM) { /* the peer has agreed, and we could not read to what: offered again */
            call->wish++;
            wait_and_retry(call, RETRY_FIRST, ROAM_ENOMEM, "no memory for the answer");
        } else if (offered) /* asked again it would say the same, once a round trip */
            refused(call, response->status, "accepted without an answer to our offer");
    }
    if (call->refresh_media == REFRESH_MEDIA_NONE && call->refresh == REFRESH_IDLE && move_active(&call->move) && call->hold_wanted == call->told.hold && call->wish == call->told.wish)
        refused(call, 488, "the peer refuses media on the new path; it knows our new address");
    call_report_hold(call);
}

static void refused(roam_call *call, int code, const char *why)
{
    bool for_hold = call->hold_wanted != call->told.hold;
    if (for_hold && !move_active(&call->move))
        call->hold_wanted = call->told.hold;
    call->told.wish = call->wish;
    if (session_timer_due(&call->session_timer) == SESSION_REFRESH_DUE)
        session_timer_refused(&call->session_timer);
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

static void again(roam_call *call, unsigned code, const char *why)
{
    move_retry(&call->move, (int)code);
    call_refresh_set_state(call, REFRESH_IDLE, why);
}

static void after_register(roam_call *call, unsigned code, const char *why)
{
    call->refresh_after_registration = !call->account->reg.bound;
    roam_time delay = retry_delay(call);
    wait_and_retry(call, call->refresh_after_registration ? AFTER_REGISTER_LIMIT : delay, (int)code, why);
}

/* 488 and its like: less is offered, at last nothing new. False: that is refused as well, or impossible. */
static bool offer_less(roam_call *call)
{
    bool for_hold = call->hold_wanted != call->told.hold, same_media = call->telling.leg == call->told.leg;
    if (!call->refresh_has_offer || (for_hold && same_media && !move_active(&call->move)) || call->refresh_media == REFRESH_MEDIA_NONE)
        return false;
    bool more = call->session.codecs[1] && call->session.agreed.active;
    call->refresh_media = call->refresh_media == REFRESH_MEDIA_ALL && more ? REFRESH_MEDIA_NARROW : REFRESH_MEDIA_NONE;
    bool says_hold = (for_hold || call->wish != call->told.wish) && has_old_media(call);
    return call->refresh_media == REFRESH_MEDIA_NARROW || says_hold || plan_target(call) != PLAN_NOTHING;
}

static bool take_meaning(roam_call *call, unsigned code, const roam_message *response)
{
    roam_env *env = &call->ua->env;
    if (refresh_meaning_of(code) != MEANS_CHALLENGE) /* whoever says this has accepted what we answered to its challenges */
        call->refresh_attempt = (roam_auth_attempt){0};
    const bool registers = move_active(&call->move) && call->account->registrar;
    switch (refresh_meaning_of(code)) {
    case MEANS_CHALLENGE:
        switch (response ? credentials_challenged(&call->account->credentials, &call->refresh_attempt, AUTH_REQUEST, response) : AUTH_REFUSED) {
        case AUTH_RETRY:
            again(call, code, "challenged");
            return true;
        case AUTH_NO_MEMORY:
            wait_and_retry(call, retry_delay(call), ROAM_ENOMEM, "no memory for the challenge");
            return true;
        default: return false;
        }
    case MEANS_UNREGISTERED:
        /* Also where nothing is known to have moved: a NAT may have, and nobody told us yet. */
        if (!call->account->registrar || call->refresh_failures >= PATIENCE)
            return false;
        if (code == 403 && call->account->reg.bound && call->refresh_failures == 0)
            registration_renew(call->account); /* an edge that started anew knows nobody */
        after_register(call, code, "again after the REGISTER");
        return true;
    case MEANS_GONE:
        if (registers && !call->account->reg.bound && call->dialog.nroutes && !call->gone_doubted) {
            call->gone_doubted = true; /* a hop on the way may have said it: one that knows us again after the REGISTER */
            after_register(call, code, "asked again after the REGISTER");
            return true;
        }
        move_failed(&call->move, 0, 481, "ended while away");
        call_end(call, 481, "the peer no longer knows the call: ended while away");
        return true;
    case MEANS_NO_UPDATE:
        if (!call->refresh_is_update)
            return false;
        call->update_refused = true;
        again(call, code, "no UPDATE here: re-INVITE");
        return true;
    case MEANS_INTERVAL:
        if (!session_timer_too_small(&call->session_timer, response))
            return false;
        again(call, code, "a longer session interval is wanted");
        return true;
    case MEANS_MEDIA:
        if (!offer_less(call))
            return false;
        again(call, code, call->refresh_media == REFRESH_MEDIA_NONE ? "the target alone" : "the codec in use alone");
        return true;
    case MEANS_GLARE: { /* RFC 3261 14.1 */
        uint32_t units = call->dialog.caller ? 210 + random_below(&env->random, 191) : random_below(&env->random, 201);
        wait_and_retry(call, ROAM_MS(10) * units, 491, "glare");
        if (flow_usable(call->flow))
            tell_target(call);
        rescue_glare(call);
        return true;
    }
    case MEANS_LATER:
    case MEANS_NO:
        break;
    }
    return false;
}

/* Who said it? The codes of a proxy that finds nobody at the peer's address are no answer of the peer. */
static void tell_rescue(roam_call *call, unsigned code, const roam_message *response)
{
    static const unsigned nobody[] = {404, 408, 410, 430, 480, 502, 503, 504};
    bool hop = !response;
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++)
        hop |= code == nobody[i];
    if (!hop && code != 401 && code != 407 && code != 403 && code != 491)
        rescue_answered(call);
    else if (hop && !call->refresh_after_registration)
        rescue_now(call);
}

static void on_failure(roam_call *call, unsigned code, const roam_message *response, const char *why)
{
    roam_env *env = &call->ua->env;
    uint32_t seconds = 0;
    if (take_meaning(call, code, response))
        return;
    bool retry_after = response && message_seconds(response, HEADER_RETRY_AFTER, &seconds);
    bool for_now = refresh_meaning_of(code) == MEANS_LATER || retry_after;
    bool may_wait = move_active(&call->move) || call->refresh_failures < PATIENCE || session_timer_due(&call->session_timer) == SESSION_REFRESH_DUE;
    if (seconds > ROAM_MAX_CALL_RETRY_AFTER)
        seconds = ROAM_MAX_CALL_RETRY_AFTER;
    if (for_now && may_wait)
        wait_and_retry(call, retry_after ? ROAM_SECONDS(seconds) + ROAM_MS(random_below(&env->random, 100)) : retry_delay(call), (int)code, why);
    else
        refused(call, (int)code, why);
}

/* RFC 6141 4.3: a reliable provisional answer to a target refresh request refreshes the target, whatever becomes of the request. */
static void on_provisional(roam_call *call, const roam_message *response)
{
    if (response->status == 100)
        return;
    call->refresh_heard = true;
    rescue_answered(call);
    if (message_has(response, HEADER_RSEQ) && message_has_token(response, HEADER_REQUIRE, SPAN("100rel")))
        dialog_target_refresh(&call->dialog, response);
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
    if (txn != call->refresh_txn)
        return;
    if (event == CLIENT_RESPONSE && response->status < 200) {
        on_provisional(call, response);
        return;
    }
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    call->refresh_txn = NULL;
    if (event == CLIENT_FAILED && !call->refresh_is_update)
        note_unacked(call); /* an earlier copy may have arrived */
    if (code >= 300 || call->refresh_is_update) /* it outlives the call; a re-INVITE that was accepted is kept for its 2xx coming again */
        client_txn_abandon(txn);
    if (code < 300) {
        on_success(call, txn, response);
    } else {
        if (call->refresh_has_offer) /* RFC 6141 3.4: session and target are what the last complete exchange made them */
            session_withdraw(&call->session);
        if (call->stream)
            stream_double_on(call->stream, 0);
        on_failure(call, code, event == CLIENT_RESPONSE ? response : NULL, event == CLIENT_RESPONSE ? status_text(code) : "nobody answered");
        call->refresh_has_offer = false;
        tell_rescue(call, code, event == CLIENT_RESPONSE ? response : NULL);
    }
    call_look(call);
}

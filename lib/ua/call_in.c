/* The answer to a peer's INVITE, and its requests in the dialog. */
#include "ua/call.h"
#include "ua/early.h"
#include "ua/replaces.h"
#include "ua/transfer.h"
#include "ua/uas.h"

#define BODY_MAX 4096u

/* ---- 200 with SDP ---- */

int call_describe(roam_call *call, roam_call_leg *leg, roam_writer *body)
{
    roam_session_local local;
    call_local_of(leg, &local);
    if (call->session.state == OFFER_STABLE && call->early == EARLY_PLAIN) { /* the same answer again; a leg that has moved since shows in it */
        int err = session_take_offer(&call->session, span_of(call->early_offer));
        if (err)
            return err;
    }
    if (call->session.state == OFFER_LOCAL) /* an offer of ours that nobody acknowledged: made anew */
        session_withdraw(&call->session);
    return call->session.state == OFFER_REMOTE ? session_answer(&call->session, body, &local, call->hold_wanted)
                                               : session_offer(&call->session, body, &local, call->hold_wanted);
}

/* Answers the INVITE, re-INVITE or UPDATE in `txn` with 200: our answer, or our offer where an INVITE has none. */
static int send_200(roam_call *call, roam_server_txn *txn, roam_call_leg *leg, bool invite)
{
    roam_ua *ua = call->ua;
    char body[BODY_MAX];
    roam_writer sdp;
    writer_init(&sdp, body, sizeof body);
    bool describes = leg && (call->session.state == OFFER_REMOTE || (invite && call->early != EARLY_AGREED));
    roam_session_agreed before;
    session_remember(&call->session, &before);
    roam_header_space *space = mem_alloc(&ua->env.mem, sizeof *space);
    if (!space)
        return ROAM_ENOMEM;
    int err = describes ? call_describe(call, leg, &sdp) : 0;
    if (err) {
        mem_free(&ua->env.mem, space);
        return err;
    }
    roam_message request;
    roam_response r;
    bool have_request = server_txn_request(txn, &request, space) == 0;
    response_begin(txn, &r, 200, SPAN(""), span_of(call->dialog.local_tag));
    if (have_request)
        write_headers_copied(&r.w, &request, HEADER_RECORD_ROUTE);
    call_write_identity(call, &r.w, false);
    session_timer_write_response(&call->session_timer, &r.w);
    write_body(&r.w, sdp.len ? SPAN("application/sdp") : SPAN(""), writer_span(&sdp));
    err = response_send(&r);
    if (!err && have_request && invite && call->uas_cseq >= call->target_cseq) { /* RFC 6141 4.4: by the 2xx, and not back behind a later UPDATE */
        dialog_target_refresh(&call->dialog, &request);
        call->target_cseq = call->uas_cseq;
        call_peer_moved(call);
    }
    mem_free(&ua->env.mem, space);
    if (err) { /* the peer hears that we refuse */
        session_take_back(&call->session, &before);
        return err;
    }
    call->told.path = call->flow->path->id;
    if (describes && call->early != EARLY_PLAIN) { /* an answer that was given before may be all the peer reads (RFC 3261 13.2.1) */
        call->told.leg = leg->rtp_socket;
        /* An answer to an offer that was not whole does not tell our hold: "inactive" may mean anything, and a peer that took an offer whose answer is lost offers
         * what it left. It is said again by an offer of ours. */
        if (call->session.state == OFFER_LOCAL || call->session.remote_offered == DIRECTION_SENDRECV) {
            call->told.hold = call->hold_wanted;
            call->told.wish = call->wish; /* where we are and what we want stands in it */
        }
    }
    return 0;
}

/* The caller has called once more, and we are in that call: it gave this one up, and its CANCEL came too late. */
bool call_came_again(const roam_call *call)
{
    roam_name_addr ours, theirs;
    if (name_addr_parse(span_of(call->dialog.remote_party), &ours) != 0)
        return false;
    list_each(other, &call->ua->calls, roam_call, node)
        if (other->id > call->id && !other->outgoing && other->state == ROAM_CALL_CONFIRMED && other->account == call->account &&
            name_addr_parse(span_of(other->dialog.remote_party), &theirs) == 0 && uri_same_aor(&ours.uri, &theirs.uri))
            return true;
    return false;
}

static void on_no_ack(void *user, roam_accept *accept)
{
    roam_call *call = user;
    bool moved = call->accept_moved || !call->flow || move_active(&call->move);
    bool given_up = accept->cancelled || call_came_again(call); /* the caller took it back, a moment too late, and has nobody to send an ACK */
    if (moved && call->state == ROAM_CALL_CONNECTING && !given_up) { /* it went to where we were: ask */
        call->ack_overdue = ua_now(call->ua);
    } else if (moved && call->state == ROAM_CALL_CONFIRMED) { /* of a re-INVITE. Our own refresh on the new path will find out */
        call->answer_in_ack = false;
        session_withdraw(&call->session);
    } else {
        call->last_status = 408;
        call_hangup(call, "our answer was never acknowledged"); /* RFC 3261 13.3.1.4 */
    }
    call_look(call); /* a BYE may have waited for the ACK */
}

void call_peer_has_answer(roam_call *call, const char *why)
{
    if (call->answer_in_ack && call->session.state == OFFER_LOCAL) {
        probe_await_answer(call); /* two steps: the peer knows where we are, its answer is still to come */
        return;
    }
    accept_stop(&call->accept);
    call->ack_overdue = 0;
    if (call->state == ROAM_CALL_CONNECTING)
        call_set_state(call, ROAM_CALL_CONFIRMED, 200, why);
}

static void on_server_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message)
{
    roam_call *call = user;
    (void)message;
    if (call->uas != txn)
        return;
    if (event == SERVER_ENDED) {
        call->uas = NULL;
    } else if (event == SERVER_CANCELLED && call->state == ROAM_CALL_INCOMING) {
        call_end(call, 487, "the caller gave up");
    } else if (event == SERVER_CANCELLED) { /* of a re-INVITE that we have not answered */
        uas_respond_tagged(call->ua, txn, 487, "", span_of(call->dialog.local_tag));
        session_refuse(&call->session);
        call->uas = NULL;
        server_txn_attach(txn, NULL, NULL);
    }
}

/* After the 200 of an INVITE: the transaction belongs to the wait for the ACK. */
static void await_ack(roam_call *call, roam_server_txn *txn, uint32_t cseq)
{
    call->uas = NULL;
    server_txn_attach(txn, NULL, NULL);
    if (call->dialog.state == DIALOG_EARLY)
        dialog_set_state(&call->dialog, DIALOG_CONFIRMED, "2xx sent");
    reliable_let_go(&call->reliable);
    probe_stop(call);
    call->accept_moved = false;
    call->ack_overdue = 0;
    call->answer_in_ack = call->session.state == OFFER_LOCAL;
    if (accept_start(&call->accept, &call->ua->sip, txn, cseq, on_no_ack, call) != 0)
        session_withdraw(&call->session); /* no memory to wait for the ACK: no answer can come in it */
}

bool call_refuse_interval(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    char header[32];
    roam_writer w;
    if (session_timer_take_request(&call->session_timer, m) == 0)
        return false;
    writer_init(&w, header, sizeof header - 1);
    session_timer_write_min_se(&call->session_timer, &w);
    header[w.len] = '\0';
    uas_respond(call->ua, txn, 422, header);
    return true;
}

void call_take_invite(roam_call *call, roam_server_txn *txn)
{
    call->uas = txn;
    call->uas_cseq = call->dialog.remote_cseq;
    call->uas_path = server_txn_flow(txn)->path->id;
    server_txn_attach(txn, on_server_event, call);
}

void call_follow_media(roam_call *call)
{
    if (call->session.state != OFFER_REMOTE || !call->session.next.remote_rtp.ip.family)
        return;
    roam_net_dest *dest = net_dest_get(call->ua, &call->session.next.remote_rtp.ip);
    net_dest_put(call->ua, call->media_dest);
    call->media_dest = dest;
}

void call_reject(roam_call *call, unsigned status, const char *why)
{
    if (call->uas) {
        uas_respond_tagged(call->ua, call->uas, status, "", span_of(call->dialog.local_tag));
        server_txn_attach(call->uas, NULL, NULL);
        call->uas = NULL;
    }
    call_end(call, (int)status, why);
}

/* The 2xx goes on from the new path, at once and not when its timer says so. */
static void keep_accept(roam_call *call)
{
    if (accept_waiting(&call->accept) && server_txn_flow(call->accept.txn)->path != call->flow->path) {
        call->accept_moved = true;
        server_txn_move(call->accept.txn, call->flow->path);
        server_txn_resend(call->accept.txn);
    }
    probe_run(call);
}

void call_run_incoming(roam_call *call)
{
    if (call->state == ROAM_CALL_CONNECTING) {
        call_run_reanswer(call);
        call_run_refresh(call);
        return;
    }
    call_run_ringing(call);
    if (!call->answer_wanted || !call->uas)
        return;
    if (call->reliable.state == RELIABLE_SENT && call->reliable.has_sdp)
        return; /* RFC 3262 3: not before its PRACK */
    roam_call_leg *leg = call_keep_leg(call);
    if (!leg && call_leg_failed(call))
        call_reject(call, 500, "the system refuses sockets for media");
    if (!leg)
        return;
    roam_server_txn *txn = call->uas;
    int err = send_200(call, txn, leg, true);
    if (err) {
        call_reject(call, 500, "the answer could not be built");
        return;
    }
    await_ack(call, txn, call->uas_cseq);
    env_cancel(&call->ua->env, &call->life_timer);
    call->end_reason = NULL;
    call_set_state(call, ROAM_CALL_CONNECTING, 200, "answered");
    if (!accept_waiting(&call->accept)) {
        call_hangup(call, "no memory to wait for the ACK");
        return;
    }
    if (call->session.state == OFFER_STABLE)
        call_media_apply(call);
    call_leg_told(call, call->told.leg);
    call->early = EARLY_NONE;
    replaces_answered(call);
}

/* ---- requests in a dialog ---- */

void uas_ack(roam_ua *ua, const roam_message *m)
{
    roam_name_addr to;
    if (name_addr_parse(message_value(m, HEADER_TO), &to) != 0)
        return;
    roam_call *call = call_by_dialog(ua, message_value(m, HEADER_CALL_ID), name_addr_tag(&to));
    if (!call || !dialog_matches(&call->dialog, m, true))
        return;
    if (call->ack_overdue && !accept_waiting(&call->accept)) /* late, after a move */
        call->ack_overdue = 0;
    else if (!accept_on_ack(&call->accept, m))
        return;
    if (call->state == ROAM_CALL_DISCONNECTING) { /* hung up before the ACK: the BYE may go now (RFC 3261 15) */
        call_look(call);
        return;
    }
    if (call->answer_in_ack) {
        call->answer_in_ack = false;
        int err = m->body.len ? session_take_answer(&call->session, m->body) : ROAM_EUNSUPPORTED;
        session_withdraw(&call->session);
        if (err == ROAM_ENOMEM) { /* the peer has agreed, and we could not read to what: offered again */
            call->wish++;
        } else if (err && !call->session.agreed.active) {
            call->last_status = 488;
            call_hangup(call, "no answer to our offer in the ACK");
            return;
        }
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
    if (call->state == ROAM_CALL_CONNECTING)
        call_set_state(call, ROAM_CALL_CONFIRMED, 200, "acknowledged");
    if (!move_active(&call->move))
        call_set_link(call, ROAM_LINK_OK, "acknowledged"); /* of a peer that moved, see ua/replaces.c */
    call_look(call);
}

static void on_reinvite(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    if (call->uas) { /* RFC 3261 14.2: the first one is not answered yet */
        uas_respond_retry_after(ua, txn);
        return;
    }
    if ((call->session.state != OFFER_STABLE || (call->refresh == REFRESH_SENT && !call->refresh_is_update)) && !call_refresh_yields(call, m)) {
        uas_respond(ua, txn, 491, "");
        return;
    }
    if (uas_refuse_body(ua, txn, m) || call_refuse_interval(call, txn, m))
        return;
    int err = m->body.len ? session_take_offer(&call->session, m->body) : 0;
    if (err == ROAM_ENOMEM) {
        uas_respond_retry_after(ua, txn);
        return;
    }
    if (err) {
        uas_respond(ua, txn, err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : 500, "");
        return;
    }
    if (!flow_usable(call->flow)) { /* to where it was no path leads: its answer (RFC 6141 4.4) could not wait for one */
        dialog_target_refresh(&call->dialog, m);
        call_peer_moved(call);
    }
    /* Sent before its ACK of our last 2xx arrived: it has that 2xx, or it would not be here (RFC 5407 3.1.4; with our offer open in it: 491, above). */
    call_peer_has_answer(call, "another INVITE followed");
    call_learn_peer(call, m);
    call_follow_media(call);
    call_take_invite(call, txn);
    call_look(call);
}

void call_run_reanswer(roam_call *call)
{
    roam_server_txn *txn = call->uas;
    keep_accept(call);
    if (!txn)
        return;
    if (server_txn_flow(txn)->path != call->flow->path)
        server_txn_move(txn, call->flow->path);
    roam_call_leg *leg = call_keep_leg(call);
    if (!leg)
        return;
    if (send_200(call, txn, leg, true) != 0) {
        session_refuse(&call->session);
        call->uas = NULL;
        server_txn_attach(txn, NULL, NULL);
        uas_respond_retry_after(call->ua, txn); /* no memory, and not for ever */
        return;
    }
    await_ack(call, txn, call->uas_cseq);
    if (call->session.state == OFFER_STABLE) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
}

static bool came_straight(roam_server_txn *txn, roam_header_space *space)
{
    roam_message m;
    return server_txn_request(txn, &m, space) == 0 && message_next(&m, HEADER_VIA, message_first(&m, HEADER_VIA)) < 0 && !m.headers[message_first(&m, HEADER_VIA)].list;
}

/* The peer moved while its INVITE is open: its Via names where it was. Where no proxy stands between, the answers follow it (with one they go to the proxy, as ever). */
static void follow_peer(roam_call *call, roam_server_txn *update)
{
    roam_server_txn *invite = call->uas ? call->uas : call->accept.txn;
    const roam_addr *now = server_txn_source(update);
    if (!invite || roam_addr_equal(now, server_txn_source(invite)) || roam_addr_equal(now, &server_txn_flow(invite)->remote))
        return;
    roam_header_space *space = mem_alloc(&call->ua->env.mem, sizeof *space);
    if (space && came_straight(invite, space) && came_straight(update, space)) {
        server_txn_follow(invite, &server_txn_flow(update)->remote);
        server_txn_resend(invite);
    }
    mem_free(&call->ua->env.mem, space);
}

static void on_update(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    if (uas_refuse_body(ua, txn, m) || call_refuse_interval(call, txn, m))
        return;
    roam_call_leg *leg = NULL;
    if (m->body.len) { /* RFC 3311 5.2 */
        if (call->session.state == OFFER_LOCAL && !call_refresh_yields(call, m)) {
            uas_respond(ua, txn, 491, "");
            return;
        }
        /* RFC 3311 5.1: in an early dialog only after the first exchange is over, for both. */
        bool early = call->state == ROAM_CALL_INCOMING;
        if (call->session.state == OFFER_REMOTE || (early ? call->early != EARLY_AGREED : call->uas != NULL)) {
            uas_respond_retry_after(ua, txn);
            return;
        }
        leg = call_leg_by_rtp(call, call->told.leg);
        roam_call_leg *wanted = call_keep_leg(call);
        leg = wanted ? wanted : leg;
        int err = leg ? session_take_offer(&call->session, m->body) : ROAM_ESTATE;
        if (err) {
            uas_respond(ua, txn, err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : 504, "");
            return;
        }
    }
    dialog_target_refresh(&call->dialog, m);
    call_peer_moved(call);
    call->target_cseq = call->dialog.remote_cseq;
    call_learn_peer(call, m);
    follow_peer(call, txn);
    roam_flow *flow = call->flow;
    if (!flow) /* no path of our own yet: the one the request came by */
        call->flow = flow_ref(server_txn_flow(txn));
    int err = send_200(call, txn, leg, false);
    if (!flow) {
        flow_unref(call->flow);
        call->flow = NULL;
    }
    if (err) {
        session_refuse(&call->session);
        uas_respond_retry_after(ua, txn);
        return;
    }
    if (leg) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
    call_look(call);
}

/* RFC 3262 3. An offer in it is answered in its 200. */
static void on_prack(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    char space[BODY_MAX];
    roam_writer body;
    roam_session_local local;
    unsigned status = reliable_match(&call->reliable, m);
    if (status) {
        uas_respond(ua, txn, status, "");
        return;
    }
    if (uas_refuse_body(ua, txn, m))
        return;
    writer_init(&body, space, sizeof space);
    bool sdp = call->reliable.has_sdp, answers = sdp && call->session.state == OFFER_LOCAL, offers = m->body.len && !answers;
    roam_call_leg *leg = offers ? call_leg_by_rtp(call, call->told.leg) : NULL;
    int err = 0;
    if (answers) {
        err = m->body.len ? session_take_answer(&call->session, m->body) : ROAM_ESYNTAX;
    } else if (offers && (!leg || call->session.state != OFFER_STABLE || (call->early != EARLY_AGREED && !sdp))) {
        uas_respond(ua, txn, 491, ""); /* an offer while the first one is not answered */
        return;
    } else if (offers) {
        err = session_take_offer(&call->session, m->body);
        call_local_of(leg, &local);
        if (!err)
            err = session_answer(&call->session, &body, &local, call->hold_wanted);
    }
    if (err) {
        session_refuse(&call->session);
        uas_respond(ua, txn, err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : 500, "");
        return;
    }
    reliable_acknowledged(&call->reliable);
    if (sdp && call->state == ROAM_CALL_INCOMING)
        call->early = EARLY_AGREED;
    roam_response r;
    response_begin(txn, &r, 200, SPAN(""), SPAN(""));
    write_agent_headers(ua, &r.w, false);
    write_body(&r.w, body.len ? SPAN("application/sdp") : SPAN(""), writer_span(&body));
    response_send(&r);
    if (m->body.len) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
    call_look(call);
}

void call_request(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    bool early = call->outgoing && call->dialog.state == DIALOG_NONE;
    if (early && early_request(call, txn, m))
        return;
    unsigned status = early ? 0 : dialog_check_request(&call->dialog, m);
    if (status) {
        uas_respond(ua, txn, status, "");
        return;
    }
    bool leaving = call->state == ROAM_CALL_DISCONNECTING, over = call->state == ROAM_CALL_ENDED;
    bool of_a_transfer = m->method == METHOD_NOTIFY || m->method == METHOD_SUBSCRIBE; /* which outlives the call in its dialog (RFC 5057) */
    if ((leaving || over) && !of_a_transfer && !(leaving && m->method == METHOD_BYE)) {
        uas_respond(ua, txn, 481, "");
        return;
    }
    switch (m->method) {
    case METHOD_BYE:
        uas_respond(ua, txn, 200, "");
        if (rescue_takes_bye(call))
            break;
        call_end(call, call->state == ROAM_CALL_DISCONNECTING ? call->last_status : 200,
                 call->end_reason ? call->end_reason : "the peer hung up");
        break;
    case METHOD_INVITE:
        if (call->state == ROAM_CALL_CONFIRMED || call->state == ROAM_CALL_CONNECTING)
            on_reinvite(call, txn, m);
        else
            uas_respond_retry_after(ua, txn);
        break;
    case METHOD_UPDATE:
        on_update(call, txn, m);
        break;
    case METHOD_INFO:
        call_info_received(call, txn, m);
        break;
    case METHOD_REFER:
        referral_on_refer(call, txn, m);
        break;
    case METHOD_NOTIFY:
        transfer_on_notify(call, txn, m);
        break;
    case METHOD_SUBSCRIBE:
        referral_on_subscribe(call, txn, m);
        break;
    case METHOD_PRACK:
        on_prack(call, txn, m);
        break;
    case METHOD_OPTIONS:
        uas_respond(ua, txn, 200, "Accept: application/sdp\r\n");
        break;
    default:
        uas_respond(ua, txn, m->method == METHOD_OTHER ? 501 : 405, "");
    }
}

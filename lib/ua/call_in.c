/* The incoming side of a call: the INVITE that begins it, the requests in its dialog. */
#include "ua/call.h"
#include "ua/transfer.h"
#include "ua/uas.h"

#define BODY_MAX 4096u
#define RING_LIMIT ROAM_SECONDS(180) /* a caller that neither gives up nor waits must not hold a place for ever */

/* ---- 200 with SDP ---- */

/* Answers the INVITE, re-INVITE or UPDATE in `txn` with 200: our answer, or our offer where there was none. */
static int send_200(roam_call *call, roam_server_txn *txn, roam_call_leg *leg, bool invite)
{
    roam_ua *ua = call->ua;
    roam_session_local local;
    char body[BODY_MAX];
    roam_writer sdp;
    int err = 0;
    writer_init(&sdp, body, sizeof body);
    if (leg) {
        call_local_of(leg, &local);
        if (call->session.state == OFFER_REMOTE)
            err = session_answer(&call->session, &sdp, &local, call->hold_wanted);
        else if (invite)
            err = session_offer(&call->session, &sdp, &local, call->hold_wanted);
    }
    if (err)
        return err;
    roam_header_space *space = mem_alloc(&ua->env.mem, sizeof *space);
    if (!space)
        return ROAM_ENOMEM;
    roam_message request;
    roam_response r;
    response_begin(txn, &r, 200, SPAN(""), span_of(call->dialog.local_tag));
    if (server_txn_request(txn, &request, space) == 0)
        write_headers_copied(&r.w, &request, HEADER_RECORD_ROUTE);
    call_write_identity(call, &r.w, false);
    session_timer_write_response(&call->session_timer, &r.w);
    write_body(&r.w, sdp.len ? SPAN("application/sdp") : SPAN(""), writer_span(&sdp));
    mem_free(&ua->env.mem, space);
    err = response_send(&r);
    if (err)
        return err;
    call->told.path = call->flow->path->id;
    if (leg) {
        call->told.leg = leg->rtp_socket;
        call->told.hold = call->hold_wanted;
        call->told.wish = call->wish; /* where we are and what we want stands in it */
    }
    return 0;
}

static void on_no_ack(void *user, roam_accept *accept)
{
    roam_call *call = user;
    (void)accept;
    call->last_status = 408;
    call_hangup(call, "our answer was never acknowledged"); /* RFC 3261 13.3.1.4 */
    call_look(call); /* a BYE may have waited for the ACK */
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
        server_txn_respond(txn, 487, SPAN(""));
        call->uas = NULL;
        server_txn_attach(txn, NULL, NULL);
        call_end(call, 487, "the caller gave up");
    } else if (event == SERVER_CANCELLED) { /* of a re-INVITE that we have not answered */
        server_txn_respond(txn, 487, SPAN(""));
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
    call->answer_in_ack = call->session.state == OFFER_LOCAL;
    if (accept_start(&call->accept, &call->ua->sip, txn, cseq, on_no_ack, call) != 0)
        session_withdraw(&call->session); /* no memory to wait for the ACK: no answer can come in it */
}

/* RFC 4028 9: a session interval below ours. True: refused with 422. */
static bool refuse_interval(roam_call *call, roam_server_txn *txn, const roam_message *m)
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

/* ---- a new call ---- */

static void ring(roam_call *call, roam_server_txn *txn, const roam_message *invite)
{
    roam_response r;
    response_begin(txn, &r, 180, SPAN(""), span_of(call->dialog.local_tag));
    write_headers_copied(&r.w, invite, HEADER_RECORD_ROUTE);
    write_lit(&r.w, "Contact: ");
    write_contact(call->account, &r.w, server_txn_flow(txn));
    write_lit(&r.w, "\r\n");
    write_agent_headers(call->ua, &r.w, false);
    write_body(&r.w, SPAN(""), SPAN(""));
    response_send(&r);
    call->told.path = server_txn_flow(txn)->path->id;
}

static size_t count_incoming(const roam_ua *ua)
{
    size_t n = 0;
    list_each(call, &ua->calls, roam_call, node)
        n += call->state == ROAM_CALL_INCOMING;
    return n;
}

void call_invited(roam_ua *ua, roam_server_txn *txn, const roam_message *m)
{
    roam_account *account = account_for_request(ua, m);
    if (!account) {
        uas_respond(ua, txn, 404, "");
        return;
    }
    if (uas_refuse_body(ua, txn, m))
        return;
    if (ua->life != UA_RUNNING || count_incoming(ua) >= ROAM_MAX_INCOMING_CALLS) {
        uas_respond(ua, txn, ua->life != UA_RUNNING ? 480 : 486, "");
        return;
    }
    roam_call *call = call_new(ua, account, false);
    if (!call) {
        uas_respond(ua, txn, 486, "");
        return;
    }
    session_init(&call->session, &ua->env, ua->codecs);
    int err = dialog_init_callee(&call->dialog, &ua->env, m, server_txn_to_tag(txn));
    if (!err)
        err = call_index_dialog(call);
    unsigned status = err == ROAM_ESYNTAX ? 400 : err ? 500 : 0;
    if (!err && m->body.len) {
        err = session_take_offer(&call->session, m->body);
        status = err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : err ? 500 : 0;
    }
    if (!status && refuse_interval(call, txn, m))
        status = 422;
    else if (status)
        uas_respond(ua, txn, status, "");
    if (status) {
        call->state = ROAM_CALL_ENDED; /* the application never heard of it */
        map_remove(&ua->call_ids, &call->id_node);
        map_remove(&ua->call_dialogs, &call->dialog_node);
        ua->ncalls--;
        call_free(call);
        return;
    }
    if (call->session.state == OFFER_REMOTE && call->session.next.remote_rtp.ip.family)
        call->media_dest = net_dest_get(ua, &call->session.next.remote_rtp.ip);
    call_learn_peer(call, m);
    call->uas = txn;
    call->uas_cseq = call->dialog.remote_cseq;
    env_arm(&ua->env, &call->life_timer, RING_LIMIT);
    call->end_reason = "not answered in time";
    server_txn_attach(txn, on_server_event, call);
    ring(call, txn, m);
    roam_event event = {.type = ROAM_EVENT_CALL_INCOMING, .account = account->id, .call = call->id, .call_state = call->state};
    ua_event(ua, &event, "incoming call");
    call_look(call);
}

void call_reject(roam_call *call, unsigned status, const char *why)
{
    if (call->uas) {
        uas_respond(call->ua, call->uas, status, "");
        server_txn_attach(call->uas, NULL, NULL);
        call->uas = NULL;
    }
    call_end(call, (int)status, why);
}

void call_run_incoming(roam_call *call)
{
    if (call->uas && server_txn_flow(call->uas)->path != call->flow->path)
        server_txn_move(call->uas, call->flow->path); /* the Via says where answers go; they leave from the new path */
    if (call->state == ROAM_CALL_CONNECTING) {
        if (accept_waiting(&call->accept) && server_txn_flow(call->accept.txn)->path != call->flow->path)
            server_txn_move(call->accept.txn, call->flow->path);
        call_run_refresh(call);
        return;
    }
    if (move_active(&call->move) && call->move.state == MOVE_RUNNING && call->state == ROAM_CALL_INCOMING) {
        move_recovered(&call->move); /* it rings on; the answer will go by the new path with the new address */
        call_set_link(call, ROAM_LINK_OK, "rings on");
    }
    if (!call->answer_wanted || !call->uas)
        return;
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
}

/* ---- requests in a dialog ---- */

void uas_ack(roam_ua *ua, const roam_message *m)
{
    roam_name_addr to;
    if (name_addr_parse(message_value(m, HEADER_TO), &to) != 0)
        return;
    roam_call *call = call_by_dialog(ua, message_value(m, HEADER_CALL_ID), name_addr_tag(&to));
    if (!call || !dialog_matches(&call->dialog, m, true) || !accept_on_ack(&call->accept, m))
        return;
    if (call->state == ROAM_CALL_DISCONNECTING) { /* hung up before the ACK: the BYE may go now (RFC 3261 15) */
        call_look(call);
        return;
    }
    if (call->answer_in_ack) {
        call->answer_in_ack = false;
        int err = m->body.len ? session_take_answer(&call->session, m->body) : ROAM_EUNSUPPORTED;
        session_withdraw(&call->session);
        if (err && !call->session.agreed.active) {
            call->last_status = 488;
            call_hangup(call, "no answer to our offer in the ACK");
            return;
        }
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
    if (call->state == ROAM_CALL_CONNECTING)
        call_set_state(call, ROAM_CALL_CONFIRMED, 200, "acknowledged");
    call_look(call);
}

static void on_reinvite(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    if (call->uas || accept_waiting(&call->accept)) {
        uas_respond_retry_after(ua, txn);
        return;
    }
    if ((call->session.state != OFFER_STABLE || (call->refresh == REFRESH_SENT && !call->refresh_is_update)) && !call_refresh_yields(call, m)) {
        uas_respond(ua, txn, 491, "");
        return;
    }
    if (uas_refuse_body(ua, txn, m) || refuse_interval(call, txn, m))
        return;
    int err = m->body.len ? session_take_offer(&call->session, m->body) : 0;
    if (err) {
        uas_respond(ua, txn, err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : 500, "");
        return;
    }
    dialog_target_refresh(&call->dialog, m);
    call_peer_moved(call);
    call_learn_peer(call, m);
    if (call->session.state == OFFER_REMOTE && call->session.next.remote_rtp.ip.family) { /* the peer may have moved: another route to its media */
        roam_net_dest *dest = net_dest_get(ua, &call->session.next.remote_rtp.ip);
        net_dest_put(ua, call->media_dest);
        call->media_dest = dest;
    }
    call->uas = txn;
    call->uas_cseq = call->dialog.remote_cseq;
    server_txn_attach(txn, on_server_event, call);
    call_look(call);
}

void call_run_reanswer(roam_call *call)
{
    roam_server_txn *txn = call->uas;
    if (accept_waiting(&call->accept) && server_txn_flow(call->accept.txn)->path != call->flow->path)
        server_txn_move(call->accept.txn, call->flow->path);
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
        uas_respond(call->ua, txn, 500, "");
        return;
    }
    await_ack(call, txn, call->uas_cseq);
    if (call->session.state == OFFER_STABLE) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
}

static void on_update(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    if (uas_refuse_body(ua, txn, m) || refuse_interval(call, txn, m))
        return;
    roam_call_leg *leg = NULL;
    if (m->body.len) { /* RFC 3311 5.2 */
        if (call->session.state == OFFER_LOCAL && !call_refresh_yields(call, m)) {
            uas_respond(ua, txn, 491, "");
            return;
        }
        if (call->session.state == OFFER_REMOTE || call->uas) {
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
    call_learn_peer(call, m);
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
        uas_respond(ua, txn, 500, "");
        return;
    }
    if (leg) {
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
    }
    call_look(call);
}

/* DTMF in INFO: application/dtmf-relay ("Signal=5", "Duration=160") or application/dtmf ("5"). */
static void on_info(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    bool relay = message_has_body_type(m, SPAN("application/dtmf-relay"));
    if (m->body.len && !relay && !message_has_body_type(m, SPAN("application/dtmf"))) {
        uas_respond(call->ua, txn, 415, "Accept: application/dtmf-relay, application/dtmf\r\n");
        return;
    }
    roam_span rest = m->body, digit = relay ? SPAN("") : span_trim(m->body);
    uint32_t duration = 160;
    while (relay && rest.len) {
        roam_span line = span_cut(rest, '\n', &rest), value;
        roam_span name = span_trim(span_cut(line, '=', &value));
        value = span_trim(value);
        if (span_ieq(name, SPAN("Signal")))
            digit = value;
        else if (span_ieq(name, SPAN("Duration")))
            span_u32(value, &duration);
    }
    bool known = digit.len == 1 && digit.ptr[0] && strchr("0123456789*#ABCDabcd", digit.ptr[0]);
    if (m->body.len && !known) {
        uas_respond(call->ua, txn, 400, "");
        return;
    }
    uas_respond(call->ua, txn, 200, "");
    if (!known)
        return;
    roam_event event = {.type = ROAM_EVENT_CALL_DTMF,
                        .account = call->account->id,
                        .call = call->id,
                        .digit = digit.ptr[0],
                        .duration_ms = duration};
    ua_event(call->ua, &event, "info");
}

void call_request(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    unsigned status = dialog_check_request(&call->dialog, m);
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
        on_info(call, txn, m);
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
    case METHOD_OPTIONS:
        uas_respond(ua, txn, 200, "Accept: application/sdp\r\n");
        break;
    default:
        uas_respond(ua, txn, m->method == METHOD_OTHER ? 501 : 405, "");
    }
}

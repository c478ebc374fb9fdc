/* The outgoing side: INVITE and its answers, CANCEL, BYE. */
#include "ua/call.h"
#include "ua/uas.h"

#define BODY_MAX 4096u

void call_write_identity_on(roam_call *call, roam_writer *w, const roam_flow *flow, bool request)
{
    write_lit(w, "Contact: ");
    write_contact(call->account, w, flow);
    write_lit(w, "\r\n");
    write_agent_headers(call->ua, w, request);
    uas_write_reliable(call->account, w);
}

void call_write_identity(roam_call *call, roam_writer *w, bool request)
{
    call_write_identity_on(call, w, call->flow, request);
}

void call_learn_peer(roam_call *call, const roam_message *m)
{
    if (message_has(m, HEADER_ALLOW))
        call->peer_update = message_has_token(m, HEADER_ALLOW, SPAN("UPDATE"));
}

/* ---- good-bye ---- */

static void on_bye(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (txn != call->bye || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    client_txn_abandon(txn); /* it outlives the call */
    call->bye = NULL;
    unsigned code = event == CLIENT_RESPONSE ? response->status : 0;
    if ((code == 401 || code == 407) && credentials_challenged(&call->account->credentials, &call->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        call_look(call);
        return;
    }
    call_end(call, call->last_status, call->end_reason ? call->end_reason : "hung up here"); /* 481 and silence end it as well as 200 */
}

static roam_client_txn *send_bye(roam_ua *ua, roam_account *account, roam_auth_attempt *attempt, roam_dialog *d, roam_flow *flow,
                                 const char *reason, roam_client_fn *fn, void *user)
{
    roam_request r;
    dialog_request_begin(d, &ua->sip, &r, flow, METHOD_BYE, 0);
    if (account)
        credentials_write(&account->credentials, attempt, AUTH_REQUEST, &r.w, SPAN("BYE"), span_of(d->remote_target));
    if (reason)
        write_header(&r.w, HEADER_REASON, span_of(reason));
    write_agent_headers(ua, &r.w, true);
    write_body(&r.w, SPAN(""), SPAN(""));
    return request_send(&r, fn, user);
}

void call_run_disconnecting(roam_call *call)
{
    bool answered = call->dialog.state == DIALOG_CONFIRMED;
    if (!answered && !call->dialog.caller && call->dialog.state == DIALOG_EARLY) { /* replaced, and hung up before its answer left: that has been refused */
        call_end(call, call->last_status, call->end_reason ? call->end_reason : "hung up here");
        return;
    }
    if (!answered && call->invite && call->cancel_path != call->flow->path->id) {
        client_txn_cancel(call->invite, call->flow, true); /* the CANCEL on the dead path went nowhere */
        call->cancel_path = call->flow->path->id;
    }
    if (answered && !call->bye && !accept_waiting(&call->accept)) {
        call->bye = send_bye(call->ua, call->account, &call->attempt, &call->dialog, call->flow, call->bye_reason, on_bye, call);
        if (!call->bye)
            call_end(call, ROAM_ENOMEM, "no memory for a BYE");
    }
}

/* ---- a 2xx that nobody wants ---- */

static void on_nothing(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    (void)user, (void)txn, (void)event, (void)response;
}

static uint64_t dialog_hash(const roam_ua *ua, roam_span call_id, roam_span tag)
{
    return roam_siphash(ua->env.hash_seed, call_id) * 31 + roam_siphash(ua->env.hash_seed, tag);
}

void call_give_up(roam_call *call)
{
    roam_ua *ua = call->ua;
    if (!call->dialog.call_id)
        return;
    size_t i = ua->next_given_up++ % UA_GIVEN_UP;
    ua->given_up[i].dialog = dialog_hash(ua, span_of(call->dialog.call_id), span_of(call->dialog.local_tag));
    ua->given_up[i].account = call->account->id;
}

static roam_account *given_up_by(const roam_ua *ua, roam_span call_id, roam_span tag)
{
    uint64_t hash = dialog_hash(ua, call_id, tag);
    for (size_t i = 0; i < UA_GIVEN_UP; i++)
        if (ua->given_up[i].account && ua->given_up[i].dialog == hash)
            return account_find(ua, ua->given_up[i].account);
    return NULL;
}

void call_stray_answer(roam_ua *ua, roam_flow *flow, const roam_message *response)
{
    roam_name_addr from, to;
    roam_cseq cseq;
    if (response->method != METHOD_INVITE || response->status < 200 || response->status > 299 ||
        name_addr_parse(message_value(response, HEADER_FROM), &from) != 0 || name_addr_parse(message_value(response, HEADER_TO), &to) != 0 ||
        cseq_parse(message_value(response, HEADER_CSEQ), &cseq) != 0)
        return;
    roam_span call_id = message_value(response, HEADER_CALL_ID);
    roam_call *call = call_by_dialog(ua, call_id, name_addr_tag(&from));
    if (call && call->dialog.remote_tag && span_eq(span_of(call->dialog.remote_tag), name_addr_tag(&to))) {
        if (call->ack.bytes && call->ack.cseq == cseq.number && flow_usable(call->flow))
            ack_resend(&call->ack, &ua->sip, call->flow); /* the answer of a re-INVITE, again */
        else if (flow_usable(call->flow))
            ack_send(&call->ack, &call->dialog, &ua->sip, call->flow, cseq.number, SPAN(""), SPAN("")); /* of one given up with its path */
        return;
    }
    if (!sip_response_is_ours(&ua->sip, response))
        return; /* invented: it must not make us send to wherever its Contact says */
    /* A call that we took back, or another branch of a fork: nobody is to talk into the void. What we never began is nobody's business. */
    roam_account *account = call ? call->account : given_up_by(ua, call_id, name_addr_tag(&from));
    if (!account) {
        ua->dropped++;
        return;
    }
    roam_dialog d = {0};
    roam_ack ack = {0};
    roam_auth_attempt attempt = {0};
    roam_mem *mem = &ua->env.mem;
    char *own_id = NULL, *own_tag = NULL;
    if (dialog_init_caller(&d, &ua->env, from.uri_text, to.uri_text, to.uri_text) != 0)
        return;
    own_id = mem_strdup(mem, call_id);
    own_tag = mem_strdup(mem, name_addr_tag(&from));
    char *local = mem_alloc(mem, from.uri_text.len + 3), *remote = mem_alloc(mem, to.uri_text.len + 3);
    if (own_id && own_tag && local && remote) {
        roam_writer w;
        writer_init(&w, local, from.uri_text.len + 3);
        write_char(&w, '<'), write_span(&w, from.uri_text), write_bytes(&w, ">", 2);
        writer_init(&w, remote, to.uri_text.len + 3);
        write_char(&w, '<'), write_span(&w, to.uri_text), write_bytes(&w, ">", 2);
        mem_free(mem, d.call_id);
        mem_free(mem, d.local_tag);
        mem_free(mem, d.local_party);
        mem_free(mem, d.remote_party);
        d.call_id = own_id, d.local_tag = own_tag, d.local_party = local, d.remote_party = remote;
        d.local_cseq = cseq.number;
        if (dialog_on_response(&d, response) == 0) {
            ack_send(&ack, &d, &ua->sip, flow, cseq.number, SPAN(""), SPAN(""));
            send_bye(ua, account, &attempt, &d, flow, NULL, on_nothing, NULL);
        }
    } else {
        mem_free(mem, own_id);
        mem_free(mem, own_tag);
        mem_free(mem, local);
        mem_free(mem, remote);
    }
    ack_free(&ack, mem);
    dialog_free(&d);
}

/* ---- INVITE ---- */

static void on_invite(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

static int begin_dialog(roam_call *call)
{
    roam_ua *ua = call->ua;
    char remote[ROAM_MAX_URI + 3], route[ROAM_MAX_URI];
    roam_writer w;
    if (call->dialog.call_id)
        return 0;
    writer_init(&w, remote, sizeof remote);
    write_char(&w, '<');
    write_cstr(&w, call->target);
    write_char(&w, '>');
    int err = dialog_init_caller(&call->dialog, &ua->env, span_of(call->account->party), writer_span(&w), span_of(call->target));
    if (!err && call->account->proxy) {
        roam_writer rw;
        writer_init(&rw, route, sizeof route);
        account_route(call->account, &rw);
        roam_span routes[] = {writer_span(&rw)};
        err = rw.overflow ? ROAM_EOVERFLOW : dialog_set_routes(&call->dialog, routes, 1);
    }
    return err ? err : call_index_dialog(call);
}

static int send_invite(roam_call *call, const roam_call_leg *leg)
{
    roam_ua *ua = call->ua;
    roam_session_local local;
    char body[BODY_MAX];
    roam_writer sdp;
    int err = begin_dialog(call);
    if (err)
        return err;
    call_local_of(leg, &local);
    writer_init(&sdp, body, sizeof body);
    session_withdraw(&call->session); /* after a challenge the same offer goes again */
    err = session_offer(&call->session, &sdp, &local, call->hold_wanted);
    if (err)
        return err;
    roam_request r;
    dialog_request_begin(&call->dialog, &ua->sip, &r, call->flow, METHOD_INVITE, 0);
    call_write_identity(call, &r.w, true);
    session_timer_write_request(&call->session_timer, &r.w);
    if (call->replaces)
        write_header(&r.w, HEADER_REPLACES, span_of(call->replaces));
    if (call->referred_by)
        write_header(&r.w, HEADER_REFERRED_BY, span_of(call->referred_by));
    credentials_write(&call->account->credentials, &call->attempt, AUTH_REQUEST, &r.w, SPAN("INVITE"), span_of(call->dialog.remote_target));
    write_body(&r.w, SPAN("application/sdp"), writer_span(&sdp));
    call->invite = request_send(&r, on_invite, call);
    if (!call->invite) {
        session_withdraw(&call->session);
        return ROAM_ENOMEM;
    }
    call->invite_cseq = call->dialog.local_cseq;
    env_cancel(&ua->env, &call->life_timer);
    call->early_answer = false;
    call->telling = (roam_told){call->flow->path->id, leg->rtp_socket, call->hold_wanted, call->wish};
    move_sent(&call->move);
    return 0;
}

/* What the INVITE given up had begun. A 2xx that was faster is known by it, and comes as a stray. */
static void forget_dialog(roam_call *call)
{
    session_withdraw(&call->session);
    call_give_up(call);
    dialog_free(&call->dialog);
    call->dialog = (roam_dialog){0};
    call->attempt = (roam_auth_attempt){0};
    if (call->state == ROAM_CALL_EARLY)
        call_set_state(call, ROAM_CALL_CALLING, 0, "called again on the new path");
}

/* The path is another one now and nobody has answered: take the INVITE back with its own Via, call again, one call for the user. */
static void call_again(roam_call *call)
{
    client_txn_cancel(call->invite, call->flow, true);
    client_txn_abandon(call->invite); /* a 2xx that was faster comes as a stray: ACK and BYE */
    call->invite = NULL;
    forget_dialog(call);
}

void call_run_outgoing(roam_call *call)
{
    if (call->invite && client_txn_flow(call->invite)->path != call->flow->path)
        call_again(call);
    if (call->invite)
        return;
    roam_call_leg *leg = call_keep_leg(call);
    if (!leg) {
        if (call_leg_failed(call))
            call_end(call, ROAM_EIO, "the system refuses sockets for media");
        return;
    }
    int err = send_invite(call, leg);
    if (err)
        call_end(call, err, "the INVITE could not be sent");
}

/* Sets the dialog by this response; another fork's than the one followed so far starts a dialog of its own. */
static int follow_dialog(roam_call *call, const roam_message *response)
{
    roam_name_addr to;
    if (name_addr_parse(message_value(response, HEADER_TO), &to) != 0 || !name_addr_tag(&to).len)
        return ROAM_ESYNTAX;
    if (call->dialog.remote_tag && !span_eq(span_of(call->dialog.remote_tag), name_addr_tag(&to))) {
        roam_dialog fork;
        int err = dialog_init_fork(&fork, &call->dialog);
        if (err)
            return err;
        dialog_free(&call->dialog);
        call->dialog = fork;
        call_index_dialog(call);
    }
    return dialog_on_response(&call->dialog, response);
}

static void on_provisional(roam_call *call, const roam_message *response)
{
    if (response->status == 100 || call->state == ROAM_CALL_DISCONNECTING)
        return;
    roam_name_addr to;
    bool tagged = name_addr_parse(message_value(response, HEADER_TO), &to) == 0 && name_addr_tag(&to).len;
    bool first = !call->dialog.remote_tag || span_eq(span_of(call->dialog.remote_tag), name_addr_tag(&to));
    if (tagged && first && dialog_on_response(&call->dialog, response) == 0) {
        call_learn_peer(call, response);
        if (call->session.state == OFFER_LOCAL && message_has_body_type(response, SPAN("application/sdp")) &&
            session_take_answer(&call->session, response->body) == 0) {
            call->early_answer = true;
            call_media_apply(call);
        }
    }
    call_set_state(call, ROAM_CALL_EARLY, response->status, status_text(response->status));
}

static void on_answer(roam_call *call, const roam_message *response)
{
    roam_ua *ua = call->ua;
    if (call->dialog.state == DIALOG_CONFIRMED) {
        call_stray_answer(ua, call->flow ? call->flow : client_txn_flow(call->invite), response); /* the same again, or another fork */
        return;
    }
    if (follow_dialog(call, response) != 0) {
        call_end(call, ROAM_ESYNTAX, "a 200 without a usable Contact or tag");
        return;
    }
    call_learn_peer(call, response);
    call_keep_path(call); /* the ACK goes where the dialog goes now, not where the INVITE went */
    roam_flow *flow = call->flow ? call->flow : client_txn_flow(call->invite);
    ack_send(&call->ack, &call->dialog, &ua->sip, flow, call->invite_cseq, SPAN(""), SPAN(""));
    if (call->state == ROAM_CALL_DISCONNECTING) { /* our CANCEL was too late: BYE */
        call_look(call);
        return;
    }
    if (call->early_answer && message_has_body_type(response, SPAN("application/sdp")))
        session_reopen(&call->session);
    int err = 0;
    if (call->session.state == OFFER_LOCAL)
        err = message_has_body_type(response, SPAN("application/sdp")) ? session_take_answer(&call->session, response->body) : ROAM_EUNSUPPORTED;
    call->end_reason = NULL;
    call->told = call->telling;
    call->attempt = (roam_auth_attempt){0};
    session_timer_take_response(&call->session_timer, response);
    call_set_state(call, ROAM_CALL_CONFIRMED, response->status, "answered");
    if (err) {
        session_withdraw(&call->session);
        call->last_status = 488;
        call_hangup(call, "no common media");
        return;
    }
    call_media_apply(call);
    call_leg_told(call, call->told.leg);
    call_look(call);
}

static void on_invite(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (txn != call->invite)
        return;
    if (event == CLIENT_ENDED) {
        call->invite = NULL;
        return;
    }
    if (event == CLIENT_FAILED && !flow_usable(client_txn_flow(txn)) && call->state != ROAM_CALL_DISCONNECTING) {
        client_txn_abandon(txn); /* its path is gone: called again on the next one */
        call->invite = NULL;
        forget_dialog(call);
        call_look(call);
        return;
    }
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    if (code < 200) {
        on_provisional(call, response);
        return;
    }
    if (code < 300) {
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
        on_answer(call, response);
        return;
    }
    client_txn_abandon(txn); /* it absorbs what comes late without us */
    call->invite = NULL;
    if (call->dialog.state == DIALOG_CONFIRMED)
        return;
    session_withdraw(&call->session);
    if (call->state == ROAM_CALL_DISCONNECTING) {
        call_end(call, (int)code, call->end_reason ? call->end_reason : "cancelled");
        return;
    }
    if ((code == 401 || code == 407) && event == CLIENT_RESPONSE) {
        roam_auth_verdict verdict = credentials_challenged(&call->account->credentials, &call->attempt, AUTH_REQUEST, response);
        if (verdict == AUTH_RETRY) {
            call_look(call);
            return;
        }
    }
    if (code == 422 && event == CLIENT_RESPONSE && session_timer_too_small(&call->session_timer, response)) { /* RFC 4028 7.3: the same call again */
        call_look(call);
        return;
    }
    call_end(call, (int)code, event == CLIENT_TIMEOUT ? "nobody answered" : event == CLIENT_FAILED ? "could not be sent" : status_text(code));
}

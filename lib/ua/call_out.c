/* The outgoing side: the INVITE, its answers, and what becomes of it when the path changes before there is one. */
#include "ua/early.h"
#include "ua/reliable.h"
#include "ua/takeover.h"
#include "ua/uas.h"
#include "ua/watch.h"

#define BODY_MAX 4096u
#define AFTER_REGISTER_LIMIT ROAM_SECONDS(5) /* an edge that wants the REGISTER first is asked again by then anyway */
#define EDGE_PATIENCE 3u
#define UNREACHED_PATIENCE 2u
#define UNREACHED_WAIT ROAM_SECONDS(2) /* the callee is registering, perhaps */
#define ANSWER_REPEATED ROAM_SECONDS(32) /* 64*T1: so long a final answer that nobody heard is sent again (RFC 3261 13.3.1.4, 17.2.1) */

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
    if (message_has(m, HEADER_SUPPORTED))
        call->peer_replaces = message_has_token(m, HEADER_SUPPORTED, SPAN("replaces"));
}

/* ---- INVITE ---- */

int call_begin_dialog(roam_call *call, roam_dialog *d)
{
    roam_ua *ua = call->ua;
    char remote[ROAM_MAX_URI + 3], route[ROAM_MAX_URI];
    roam_writer w;
    writer_init(&w, remote, sizeof remote);
    write_char(&w, '<');
    write_cstr(&w, call->target);
    write_char(&w, '>');
    int err = dialog_init_caller(d, &ua->env, span_of(call->account->party), writer_span(&w), span_of(call->target));
    if (!err && call->account->proxy) {
        roam_writer rw;
        writer_init(&rw, route, sizeof route);
        account_route(call->account, &rw);
        roam_span routes[] = {writer_span(&rw)};
        err = rw.overflow ? ROAM_EOVERFLOW : dialog_set_routes(d, routes, 1);
        if (err)
            dialog_free(d);
    }
    return err;
}

static int send_invite(roam_call *call, const roam_call_leg *leg)
{
    roam_ua *ua = call->ua;
    roam_session_local local;
    char body[BODY_MAX];
    roam_writer sdp;
    int err = call->dialog.call_id ? 0 : call_begin_dialog(call, &call->dialog);
    if (!err)
        err = call_index_dialog(call);
    if (err)
        return err;
    call_local_of(leg, &local);
    writer_init(&sdp, body, sizeof body);
    session_withdraw(&call->session); /* after a challenge the same offer goes again */
    err = session_offer(&call->session, &sdp, &local, call->hold_wanted);
    if (err)
        return err;
    call->top_version = call->session.version > call->top_version ? call->session.version : call->top_version;
    roam_request r;
    dialog_request_begin(&call->dialog, &ua->sip, &r, call->flow, METHOD_INVITE, 0);
    call_write_identity(call, &r.w, true);
    if (call->account->reliable == ROAM_100REL_REQUIRED)
        write_lit(&r.w, "Require: 100rel\r\n");
    session_timer_write_request(&call->session_timer, &r.w);
    if (call->replaces)
        write_header(&r.w, HEADER_REPLACES, span_of(call->replaces));
    if (call->referred_by)
        write_header(&r.w, HEADER_REFERRED_BY, span_of(call->referred_by));
    credentials_write(&call->account->credentials, &call->attempt, AUTH_REQUEST, &r.w, SPAN("INVITE"), span_of(call->dialog.remote_target));
    write_body(&r.w, SPAN("application/sdp"), writer_span(&sdp));
    call->invite = request_send(&r, call_on_invite, call);
    if (!call->invite) {
        session_withdraw(&call->session);
        return ROAM_ENOMEM;
    }
    early_offered(call);
    call->invite_cseq = call->dialog.local_cseq;
    call->invite_gone = call->invite_after = 0;
    call->invite_mapped = watch_mapped(call->flow);
    call->invite_unknown = !account_known_on(call->account, call->flow->path);
    env_cancel(&ua->env, &call->life_timer);
    call->telling = (roam_told){call->flow->path->id, leg->rtp_socket, call->hold_wanted, call->wish};
    move_sent(&call->move);
    return 0;
}

/* What the INVITE given up had begun. A 2xx that was faster is known by it, and comes as a stray. */
static void forget_dialog(roam_call *call)
{
    early_drop(call, true);
    early_bury(call);
    session_withdraw(&call->session);
    call_give_up(call, &call->dialog, true);
    dialog_free(&call->dialog);
    call->dialog = (roam_dialog){0};
    call->attempt = (roam_auth_attempt){0};
    call->invite_replaced = true;
}

/* ---- the path is another one now ---- */

/* Can an answer to the INVITE still come? Its path works on, or we are back at the same address before the far end stopped repeating its answer. */
static bool invite_reachable(const roam_call *call)
{
    const roam_path *path = client_txn_flow(call->invite)->path;
    if (call->takeover && call->takeover->lost) /* the callee may be in the dialog of another INVITE by now, and repeat nothing here */
        return false;
    if (path->state == PATH_UP && call->hop_dest && watch_dead(call->ua, call->hop_dest, &path->local.ip, path->link))
        return false;
    if (watch_rebound_since(call->flow, &call->invite_mapped) && roam_addr_equal(&path->local, &call->flow->path->local))
        return false;
    if (path->state == PATH_UP)
        return true;
    if (!client_txn_has_provisional(call->invite)) /* it may not have arrived, and is not repeated */
        return false;
    return roam_addr_equal(&path->local, &call->flow->path->local) && ua_now(call->ua) - call->invite_gone < ANSWER_REPEATED;
}

void call_invite_path_lost(roam_call *call)
{
    if (!call->invite || call->invite_gone || client_txn_flow(call->invite)->path->state == PATH_UP)
        return;
    call->invite_gone = ua_now(call->ua);
    client_txn_quiet(call->invite); /* it may be answered, and is to be cancelled, by another path */
}

bool call_invite_unreachable(const roam_call *call)
{
    return call->invite && call->flow && !invite_reachable(call);
}

/* An INVITE taken back is kept until it ends: its CANCEL goes again by the next path, too. */
static void take_back(roam_call *call)
{
    client_txn_cancel(call->invite, call->flow, true);
    if (call->taken_back[CALL_MAX_TAKEN_BACK - 1].txn)
        client_txn_abandon(call->taken_back[CALL_MAX_TAKEN_BACK - 1].txn);
    for (size_t i = CALL_MAX_TAKEN_BACK - 1; i > 0; i--)
        call->taken_back[i] = call->taken_back[i - 1];
    call->taken_back[0] = (roam_taken_back){call->invite, call->flow->path->id};
    call->invite = NULL;
}

static void cancel_again(roam_call *call)
{
    for (size_t i = 0; i < CALL_MAX_TAKEN_BACK; i++) {
        roam_taken_back *t = &call->taken_back[i];
        if (!t->txn || t->path == call->flow->path->id)
            continue;
        client_txn_cancel(t->txn, call->flow, true);
        t->path = call->flow->path->id;
    }
}

void call_drop_taken_back(roam_call *call)
{
    for (size_t i = 0; i < CALL_MAX_TAKEN_BACK; i++)
        if (call->taken_back[i].txn)
            client_txn_abandon(call->taken_back[i].txn);
    memset(call->taken_back, 0, sizeof call->taken_back);
}

/* Nobody has answered, as far as anybody can tell: take the INVITE back with its own Via, call again, one call for the user. A callee that has answered and cannot be taken
 * over is freed by the BYE, so that it is not busy with us. */
static void call_again(roam_call *call)
{
    takeover_stop(call, call->flow);
    early_send_byes(call, 0);
    take_back(call);
    forget_dialog(call);
}

static void check_recovered(roam_call *call, bool reachable)
{
    if (call->move.state != MOVE_RUNNING)
        return;
    bool here = client_txn_flow(call->invite)->path == call->flow->path;
    if (!reachable ? !early_any_told(call) : here ? !client_txn_has_provisional(call->invite) : !early_all_told(call))
        return; /* where it is called again nobody has it yet */
    env_cancel(&call->ua->env, &call->move_timer);
    move_recovered(&call->move);
    call_set_link(call, ROAM_LINK_OK, call->state == ROAM_CALL_EARLY ? "rings on" : "calls on");
}

/* The early dialog is gone, and what ended it was said to an address that we have left. */
static void ended_while_away(roam_call *call)
{
    client_txn_cancel(call->invite, call->flow, true); /* other branches */
    move_failed(&call->move, 0, 481, "ended while away");
    call_end(call, 481, "the callee stopped ringing while we were away");
}

void call_run_outgoing(roam_call *call)
{
    cancel_again(call);
    takeover_check_path(call);
    if (call->invite) {
        bool reachable = invite_reachable(call);
        if (!reachable && early_gone(call) && !takeover_undecided(call->takeover)) {
            if (early_count(call) < 2 || call->forked_again) {
                ended_while_away(call);
                return;
            }
            call->forked_again = true; /* a fork: one of its branches may have answered, and cancelled those that we knew */
            call_again(call);
        }
        if (call->invite)
            early_run(call);
        if (call->invite && !reachable && !takeover_run(call))
            call_again(call);
        if (call->invite && call->state != ROAM_CALL_DISCONNECTING)
            check_recovered(call, reachable);
    }
    if (call->invite || call->state == ROAM_CALL_ENDED || call->state == ROAM_CALL_DISCONNECTING)
        return;
    if (ua_now(call->ua) < call->invite_after && !account_known_on(call->account, call->flow->path))
        return; /* the registration, or a timer, brings us back */
    if (ua_now(call->ua) < call->invite_not_before)
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

/* ---- answers ---- */

void call_replace(roam_call *call, roam_dialog *dialog, roam_session *session, roam_client_txn *txn, uint32_t cseq, const roam_told *telling)
{
    if (call->invite) {
        call_give_up(call, &call->dialog, false);
        client_txn_abandon(call->invite);
    }
    early_drop(call, false);
    map_remove(&call->ua->call_dialogs, &call->dialog_node);
    dialog_free(&call->dialog);
    session_free(&call->session);
    call->dialog = *dialog;
    call->session = *session;
    call->invite = txn;
    call->invite_cseq = cseq;
    call->telling = *telling;
    call_index_dialog(call);
}

void call_confirm(roam_call *call, const roam_message *response, bool agreed)
{
    call_learn_peer(call, response);
    call_keep_path(call); /* the ACK goes where the dialog goes now, not where the INVITE went */
    roam_flow *flow = call->flow ? call->flow : call->invite ? client_txn_flow(call->invite) : NULL;
    if (flow)
        ack_send(&call->ack, &call->dialog, &call->ua->sip, flow, call->invite_cseq, SPAN(""), SPAN(""));
    else if (call->nunacked < CALL_MAX_UNACKED) /* an adopted dialog whose next hop is another one: not known yet */
        call->unacked[call->nunacked++] = call->invite_cseq;
    if (call->state == ROAM_CALL_DISCONNECTING) { /* our CANCEL was too late: BYE */
        call_look(call);
        return;
    }
    call->end_reason = NULL;
    call->told = call->telling;
    call->attempt = (roam_auth_attempt){0};
    session_timer_take_response(&call->session_timer, response);
    call_set_state(call, ROAM_CALL_CONFIRMED, response->status, "answered");
    if (!agreed) {
        session_withdraw(&call->session);
        call->last_status = 488;
        call_hangup(call, "no common media");
        return;
    }
    call_media_apply(call);
    call_leg_told(call, call->told.leg);
    call_look(call);
}

static void on_answer(roam_call *call, const roam_message *response)
{
    roam_ua *ua = call->ua;
    bool final;
    if (call->dialog.state == DIALOG_CONFIRMED) {
        call_stray_answer(ua, call->flow ? call->flow : client_txn_flow(call->invite), response); /* the same again, or another fork */
        return;
    }
    if (call->takeover && takeover_asking(call->takeover)) {
        /* The callee is asked to take another INVITE in its place at this moment, and may have done so. Which of the two lives is known in a round trip; this comes again. */
        call->takeover->answer_waits = true;
        return;
    }
    int err = early_confirm(call, response, &final);
    if (err == ROAM_ENOMEM && call->dialog.state != DIALOG_CONFIRMED)
        return; /* it comes again until its ACK */
    if (err) {
        call_end(call, err, err == ROAM_ENOMEM ? "no memory for the answer" : "a 200 without a usable Contact or tag");
        return;
    }
    takeover_stop(call, call->flow);
    if (call->session.state == OFFER_LOCAL && !final)
        err = message_has_body_type(response, SPAN("application/sdp")) ? session_take_answer(&call->session, response->body) : ROAM_EUNSUPPORTED;
    if (err == ROAM_ENOMEM) { /* the callee has agreed, and we could not read to what: offered again */
        session_withdraw(&call->session);
        call->wish++;
        err = 0;
    }
    call_confirm(call, response, !err);
}

/* The edge may not have known us yet: the same call again when it does. */
static bool after_registration(roam_call *call)
{
    roam_env *env = &call->ua->env;
    if (!call->invite_unknown || call->invite_refused >= EDGE_PATIENCE || env_arm(env, &call->early_timer, AFTER_REGISTER_LIMIT) != 0)
        return false;
    call->invite_refused++;
    call->invite_after = env->now + AFTER_REGISTER_LIMIT;
    call->attempt = (roam_auth_attempt){0};
    call_look(call);
    return true;
}

/* The first INVITE may have reached the callee, and its answer been lost with our path; the one that followed went to where the callee had been, for it has moved as well. Nobody heard the call
 * being refused: it is placed once more, and the registrar knows better by now. */
static bool once_more(roam_call *call, unsigned code, bool rang)
{
    bool nobody = code == 404 || code == 408 || code == 430 || code == 480;
    if (!nobody || rang || !call->invite_replaced || call->unreached >= UNREACHED_PATIENCE)
        return false;
    call->unreached++;
    forget_dialog(call);
    if (env_arm(&call->ua->env, &call->early_timer, UNREACHED_WAIT) == 0)
        call->invite_not_before = ua_now(call->ua) + UNREACHED_WAIT;
    call_look(call);
    return true;
}

static void on_failure(roam_call *call, unsigned code, roam_client_event event, const roam_message *response)
{
    bool rang = early_count(call) > 0;
    early_drop(call, true);
    session_withdraw(&call->session);
    if (call->state == ROAM_CALL_DISCONNECTING) {
        call_end(call, (int)code, call->end_reason ? call->end_reason : "cancelled");
        return;
    }
    if ((code == 401 || code == 407) && event == CLIENT_RESPONSE)
        switch (credentials_challenged(&call->account->credentials, &call->attempt, AUTH_REQUEST, response)) {
        case AUTH_NO_MEMORY: /* asked again, it will be challenged again */
            if (call->invite_refused++ >= EDGE_PATIENCE) {
                call_end(call, ROAM_ENOMEM, "no memory for the challenge");
                return;
            }
            call->attempt = (roam_auth_attempt){0}; /* fall through */
        case AUTH_RETRY: call_look(call); return;
        default: break;
        }
    if (code == 422 && event == CLIENT_RESPONSE && session_timer_too_small(&call->session_timer, response)) { /* RFC 4028 7.3: the same call again */
        call_look(call);
        return;
    }
    if ((code == 403 || code == 404) && event == CLIENT_RESPONSE && after_registration(call))
        return;
    if (event == CLIENT_RESPONSE && once_more(call, code, rang))
        return;
    if (move_active(&call->move))
        move_failed(&call->move, 0, (int)code, "refused while we moved");
    call_end(call, (int)code, event == CLIENT_TIMEOUT ? "nobody answered" : event == CLIENT_FAILED ? "could not be sent" : status_text(code));
}

static bool taken_back_event(roam_call *call, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    for (size_t i = 0; i < CALL_MAX_TAKEN_BACK; i++) {
        if (call->taken_back[i].txn != txn)
            continue;
        if (event == CLIENT_RESPONSE && response->status < 200)
            return true;
        if (event != CLIENT_ENDED)
            client_txn_abandon(txn);
        call->taken_back[i].txn = NULL;
        if (event == CLIENT_RESPONSE && response->status < 300)
            call_stray_answer(call->ua, call->flow ? call->flow : client_txn_flow(txn), response);
        return true;
    }
    return false;
}

void call_on_invite(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (takeover_event(call, txn, event, response) || taken_back_event(call, txn, event, response) || txn != call->invite)
        return;
    if (event == CLIENT_ENDED) {
        call->invite = NULL;
        return;
    }
    if (event != CLIENT_RESPONSE && !flow_usable(client_txn_flow(txn)) && call->state != ROAM_CALL_DISCONNECTING) {
        client_txn_abandon(txn); /* its path is gone: called again on the next one */
        call->invite = NULL;
        forget_dialog(call);
        call_look(call);
        return;
    }
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    if (event == CLIENT_RESPONSE)
        call->invite_mapped = watch_seen_address(response, &client_txn_flow(txn)->path->local);
    if (code < 200) {
        if (code > 100 && call->dialog.state == DIALOG_NONE)
            early_provisional(call, response);
        call_look(call);
        return;
    }
    if (code < 300) {
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
        on_answer(call, response);
        return;
    }
    client_txn_abandon(txn); /* it absorbs what comes late without us */
    call->invite = NULL;
    if (call->dialog.state != DIALOG_CONFIRMED)
        on_failure(call, code, event, response);
}

#include "ua/rescue.h"

#include <assert.h>

#include "ua/call.h"
#include "ua/replaces.h"

#define BODY_MAX 4096u
#define SILENCE ROAM_SECONDS(2)
#define LATER ROAM_SECONDS(1)       /* the side with the smaller tag */
#define ROUND ROAM_SECONDS(3)       /* the peer may not have registered yet, and the INVITE have gone where nobody is: asked again */
#define GLARES 2u                   /* 491s in a row: the first may be true */
#define MAX_ROUNDS 10u              /* of one move */

static void set_state(roam_call *call, roam_rescue_state state, const char *why)
{
    static const char *const text[] = {"idle", "armed", "due", "asking"};
    enum { I = 1, A = 2, D = 4, S = 8 };
    static const unsigned legal[] = {[RESCUE_IDLE] = A | D, [RESCUE_ARMED] = I | D, [RESCUE_DUE] = I | S, [RESCUE_ASKING] = I | A};
    roam_rescue *r = &call->rescue;
    if (r->state == state)
        return;
    assert(legal[r->state] & (1u << state));
    trace_state(&call->ua->env.trace, "rescue", call->id, text[r->state], text[state], why);
    r->state = state;
}

static void drop_request(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    if (r->txn)
        client_txn_abandon(r->txn);
    r->txn = NULL;
    dialog_free(&r->dialog);
    r->dialog = (roam_dialog){0};
    session_free(&r->session);
    r->session = (roam_session){0};
}

static bool still_needed(const roam_call *call)
{
    return call->refresh == REFRESH_SENT || call->refresh == REFRESH_WAIT;
}

static void on_timer(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, rescue.timer);
    roam_rescue *r = &call->rescue;
    if (r->state == RESCUE_ARMED) {
        set_state(call, RESCUE_DUE, "the peer is silent");
    } else if (r->state == RESCUE_ASKING && r->bye_came) {
        call_end(call, 200, "the peer hung up");
        return;
    } else if (r->state == RESCUE_ASKING && still_needed(call) && r->rounds < MAX_ROUNDS) {
        /* Not cancelled: should the peer have taken it, it takes the next one in its place. */
        drop_request(call);
        set_state(call, RESCUE_IDLE, "nobody answers");
        set_state(call, RESCUE_DUE, "next round");
    }
    call_look(call);
}

void rescue_init(roam_call *call)
{
    timer_init(&call->rescue.timer, on_timer, "rescue");
}

static bool our_tag_is_greater(const roam_call *call)
{
    return call->dialog.remote_tag && strcmp(call->dialog.local_tag, call->dialog.remote_tag) > 0;
}

/* A dialog without proxies is refreshed straight at the peer's address: there is nobody who would know another one. */
static bool possible(const roam_call *call)
{
    bool reachable = call->dialog.nroutes || call->rescue.glares >= GLARES;
    return call->state == ROAM_CALL_CONFIRMED && call->peer_replaces && !call->rescue.impossible && reachable && call->dialog.remote_party;
}

void rescue_arm(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    if (r->state != RESCUE_IDLE || !possible(call) || !move_active(&call->move))
        return;
    set_state(call, RESCUE_ARMED, "refresh sent");
    env_arm(&call->ua->env, &r->timer, SILENCE + (our_tag_is_greater(call) ? 0 : LATER));
}

void rescue_now(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    if (r->state != RESCUE_ARMED)
        return;
    if (our_tag_is_greater(call)) {
        env_cancel(&call->ua->env, &r->timer);
        set_state(call, RESCUE_DUE, "a hop says that nobody is there");
        call_look(call);
    } else if (r->timer.deadline > ua_now(call->ua) + LATER) {
        env_arm(&call->ua->env, &r->timer, LATER);
    }
}

void rescue_glare(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    if (!move_active(&call->move) || ++r->glares < GLARES || (r->state != RESCUE_IDLE && r->state != RESCUE_ARMED) || !possible(call))
        return;
    env_cancel(&call->ua->env, &r->timer);
    set_state(call, RESCUE_DUE, "the peer waits for an answer of ours that will not come");
    call_look(call);
}

void rescue_answered(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    r->rounds = r->glares = 0;
    if (r->state != RESCUE_ARMED && r->state != RESCUE_DUE)
        return;
    env_cancel(&call->ua->env, &r->timer);
    set_state(call, RESCUE_IDLE, "the peer answered");
}

void rescue_stop(roam_call *call)
{
    env_cancel(&call->ua->env, &call->rescue.timer);
    drop_request(call);
    call->rescue.rounds = call->rescue.glares = 0;
    call->rescue.bye_came = false;
    call->rescue.attempt = (roam_auth_attempt){0};
    set_state(call, RESCUE_IDLE, "stopped");
}

bool rescue_goes_first(const roam_call *call)
{
    return call->rescue.state == RESCUE_ASKING && our_tag_is_greater(call);
}

bool rescue_takes_bye(roam_call *call)
{
    if (call->rescue.state != RESCUE_ASKING)
        return false;
    call->rescue.bye_came = true;
    return true;
}

/* ---- the INVITE ---- */

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

static int begin_dialog(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    roam_name_addr remote;
    char route[ROAM_MAX_URI];
    roam_writer w;
    if (r->dialog.call_id)
        return 0; /* challenged: the same again */
    if (name_addr_parse(span_of(call->dialog.remote_party), &remote) != 0)
        return ROAM_ESYNTAX;
    int err = dialog_init_caller(&r->dialog, &call->ua->env, span_of(call->account->party), span_of(call->dialog.remote_party), remote.uri_text);
    writer_init(&w, route, sizeof route);
    if (!err && account_route(call->account, &w)) {
        roam_span routes[] = {writer_span(&w)};
        err = w.overflow ? ROAM_EOVERFLOW : dialog_set_routes(&r->dialog, routes, 1);
    }
    return err;
}

/* To our proxy, or to the domain of the peer, from the path the call is on. NULL: not known yet. */
static roam_flow *first_hop(roam_call *call)
{
    roam_uri uri;
    roam_addr hop;
    if (dialog_next_hop(&call->rescue.dialog, &uri) != 0 || resolve_uri(call->ua, &uri, &hop) != 0 || hop.ip.family != call->flow->path->local.ip.family)
        return NULL;
    return flow_get(&call->ua->sip, call->flow->path, &hop);
}

static void write_replaces(const roam_call *call, roam_writer *w)
{
    write_lit(w, "Require: replaces\r\n");
    write_header_name(w, HEADER_REPLACES); /* the tags as the peer sees them: its own is our remote one */
    write_cstr(w, call->dialog.call_id);
    write_lit(w, ";to-tag=");
    write_cstr(w, call->dialog.remote_tag);
    write_lit(w, ";from-tag=");
    write_cstr(w, call->dialog.local_tag);
    write_lit(w, "\r\n");
}

static int send_invite(roam_call *call, roam_flow *flow, const roam_call_leg *leg)
{
    roam_rescue *r = &call->rescue;
    roam_session_local local;
    roam_request req;
    char body[BODY_MAX];
    roam_writer sdp;
    session_free(&r->session);
    session_fork(&r->session, &call->session);
    call_local_of(leg, &local);
    writer_init(&sdp, body, sizeof body);
    int err = session_offer(&r->session, &sdp, &local, call->hold_wanted);
    if (err)
        return err;
    dialog_request_begin(&r->dialog, &call->ua->sip, &req, flow, METHOD_INVITE, 0);
    call_write_identity(call, &req.w, true);
    session_timer_write_request(&call->session_timer, &req.w);
    write_replaces(call, &req.w);
    credentials_write(&call->account->credentials, &r->attempt, AUTH_REQUEST, &req.w, SPAN("INVITE"), span_of(r->dialog.remote_target));
    write_body(&req.w, SPAN("application/sdp"), writer_span(&sdp));
    r->txn = request_send(&req, on_answer, call);
    if (!r->txn)
        return ROAM_ENOMEM;
    r->telling.path = flow->path->id;
    r->telling.leg = leg->rtp_socket;
    r->telling.hold = call->hold_wanted;
    r->telling.wish = call->wish;
    return 0;
}

void rescue_run(roam_call *call)
{
    roam_rescue *r = &call->rescue;
    if (r->state != RESCUE_DUE)
        return;
    if (!possible(call) || !still_needed(call)) {
        drop_request(call);
        set_state(call, RESCUE_IDLE, "not needed");
        return;
    }
    roam_call_leg *leg = call_keep_leg(call);
    roam_flow *flow = leg && begin_dialog(call) == 0 ? first_hop(call) : NULL;
    if (!flow)
        return; /* a socket is being opened or a name asked for: everybody looks again then */
    int err = send_invite(call, flow, leg);
    flow_unref(flow);
    if (err) {
        drop_request(call);
        set_state(call, RESCUE_IDLE, "could not be sent");
        return;
    }
    r->rounds++;
    set_state(call, RESCUE_ASKING, "INVITE with Replaces");
    move_retry(&call->move, 0);
    env_arm(&call->ua->env, &r->timer, ROUND);
}

/* ---- its answers ---- */

/* The new dialog takes the place of the old one, which the peer ends or has forgotten. */
static void adopt(roam_call *call, roam_client_txn *txn, const roam_message *response)
{
    roam_rescue *r = &call->rescue;
    roam_ua *ua = call->ua;
    roam_dialog dialog = r->dialog;
    roam_session session = r->session;
    r->txn = NULL;
    r->dialog = (roam_dialog){0};
    r->session = (roam_session){0};
    replaces_leave_dialog(call);
    map_remove(&ua->call_dialogs, &call->dialog_node);
    dialog_free(&call->dialog);
    call->dialog = dialog;
    session_free(&call->session);
    call->session = session;
    if (call_index_dialog(call) != 0) {
        client_txn_abandon(txn);
        call_end(call, ROAM_ENOMEM, "no memory for the new dialog");
        return;
    }
    call_learn_peer(call, response);
    session_timer_take_response(&call->session_timer, response);
    call_keep_path(call);
    ack_send(&call->ack, &call->dialog, &ua->sip, call->flow ? call->flow : client_txn_flow(txn), dialog.local_cseq, SPAN(""), SPAN(""));
    call->acked_txn = txn;
    bool agreed = message_has_body_type(response, SPAN("application/sdp")) && session_take_answer(&call->session, response->body) == 0;
    session_withdraw(&call->session);
    call->told.path = r->telling.path;
    move_answered(&call->move, response->status);
    if (agreed) {
        call->told = (roam_told){r->telling.path, r->telling.leg, r->telling.hold, r->telling.wish};
        call_media_apply(call);
        call_leg_told(call, call->told.leg);
        call_report_hold(call);
    }
    call_look(call);
}

static void failed(roam_call *call, unsigned code, const roam_message *response)
{
    roam_rescue *r = &call->rescue;
    if ((code == 401 || code == 407) && response &&
        credentials_challenged(&call->account->credentials, &r->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        env_cancel(&call->ua->env, &r->timer);
        set_state(call, RESCUE_IDLE, "challenged");
        set_state(call, RESCUE_DUE, "challenged");
        call_look(call);
        return;
    }
    drop_request(call);
    r->attempt = (roam_auth_attempt){0};
    if (r->bye_came) { /* it was no farewell to the old dialog alone */
        call_end(call, 200, "the peer hung up");
        return;
    }
    if (code == 420)
        r->impossible = true;
    if (code == 603 && still_needed(call)) { /* the one who knew the call says that it is over (RFC 3891 3) */
        set_state(call, RESCUE_IDLE, "the call is over there");
        move_failed(&call->move, 0, 603, "ended while away");
        call_end(call, 603, "the peer has ended the call: ended while away");
        return;
    }
    /* 481: asked where the dialog is unknown, or not there yet. 404, 480: not registered yet. 491: the peer's own goes first. */
    if (!possible(call) || !still_needed(call) || r->rounds >= MAX_ROUNDS) {
        env_cancel(&call->ua->env, &r->timer);
        set_state(call, RESCUE_IDLE, "refused");
        return;
    }
    set_state(call, RESCUE_ARMED, "refused for now");
    env_arm(&call->ua->env, &r->timer, LATER);
}

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (event == CLIENT_ENDED) {
        if (call->acked_txn == txn)
            call->acked_txn = NULL;
        if (call->rescue.txn == txn)
            call->rescue.txn = NULL;
        return;
    }
    if (txn == call->acked_txn) { /* its 2xx again: our ACK was lost */
        if (event == CLIENT_RESPONSE && flow_usable(call->flow))
            ack_resend(&call->ack, &call->ua->sip, call->flow);
        return;
    }
    if (txn != call->rescue.txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    if (code < 300 && dialog_on_response(&call->rescue.dialog, response) == 0) {
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
        adopt(call, txn, response);
        return;
    }
    call->rescue.txn = NULL;
    client_txn_abandon(txn);
    failed(call, code, event == CLIENT_RESPONSE ? response : NULL);
}

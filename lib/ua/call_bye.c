/* The end of a call from our side: CANCEL before it is answered, BYE afterwards. */
#include "ua/early.h"
#include "ua/takeover.h"

#define TRIES 5u
#define RETRY_FIRST ROAM_MS(500)

/* Not the peer says that, but a hop on the way: an edge that has not seen our REGISTER, a server that is busy. */
static bool not_delivered(const roam_call *call, unsigned code)
{
    bool edge = (code == 403 || code == 404) && call->account->registrar;
    return edge || (code >= 500 && code < 600 && code != 501 && code != 505);
}

static void on_bye(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    if (txn != call->bye || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    client_txn_abandon(txn); /* it outlives the call */
    call->bye = NULL;
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_FAILED ? 503 : 0;
    roam_auth_verdict verdict = event == CLIENT_RESPONSE && (code == 401 || code == 407)
                                   ? credentials_challenged(&call->account->credentials, &call->attempt, AUTH_REQUEST, response)
                                   : AUTH_REFUSED;
    if (verdict == AUTH_RETRY) {
        call_look(call);
        return;
    }
    if ((verdict == AUTH_NO_MEMORY || not_delivered(call, code)) && call->refresh_failures < TRIES) {
        call->attempt = (roam_auth_attempt){0};
        if (code == 403 && call->account->reg.bound && call->refresh_failures == 0)
            registration_renew(call->account); /* an edge that started anew knows nobody */
        if (env_arm(&call->ua->env, &call->refresh_timer, RETRY_FIRST << call->refresh_failures) == 0) {
            call->refresh_failures++;
            return;
        }
    }
    call_end(call, call->last_status, call->end_reason ? call->end_reason : "hung up here"); /* 481 and silence end it as well as 200 */
}

roam_client_txn *call_send_bye(roam_ua *ua, roam_account *account, roam_auth_attempt *attempt, roam_dialog *d, roam_flow *flow,
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

/* Nothing that the callee says to the INVITE reaches us. CANCEL ends it where it rings, BYE in the early dialog also where it was answered (RFC 3261 15). */
static void leave_unreachable(roam_call *call)
{
    if (call->cancel_path != call->flow->path->id || !client_txn_cancel_sent(call->invite)) { /* no provisional response will come that it could wait for */
        client_txn_cancel(call->invite, call->flow, true);
        call->cancel_path = call->flow->path->id;
        early_send_byes(call, 1);
    }
    if (call->bye || timer_armed(&call->refresh_timer))
        return;
    roam_early_dialog *first = early_first(call);
    roam_flow *flow = first ? early_flow(first) : NULL;
    if (flow)
        call->bye = call_send_bye(call->ua, call->account, &call->attempt, &first->dialog, flow, NULL, on_bye, call);
    flow_unref(flow);
    if (!call->bye)
        call_end(call, call->last_status, call->end_reason ? call->end_reason : "hung up here");
}

void call_run_disconnecting(roam_call *call)
{
    bool answered = call->dialog.state == DIALOG_CONFIRMED;
    if (!answered && !call->dialog.caller && call->dialog.state == DIALOG_EARLY) { /* replaced, and hung up before its answer left: that has been refused */
        call_end(call, call->last_status, call->end_reason ? call->end_reason : "hung up here");
        return;
    }
    takeover_stop(call, call->flow);
    if (!answered && call_invite_unreachable(call)) {
        leave_unreachable(call);
        return;
    }
    if (!answered && call->invite && call->cancel_path != call->flow->path->id) {
        client_txn_cancel(call->invite, call->flow, true); /* the CANCEL on the dead path went nowhere */
        call->cancel_path = call->flow->path->id;
    }
    if (answered && !call->bye && !accept_waiting(&call->accept) && !timer_armed(&call->refresh_timer)) {
        call->bye = call_send_bye(call->ua, call->account, &call->attempt, &call->dialog, call->flow, call->bye_reason, on_bye, call);
        if (!call->bye)
            call_end(call, ROAM_ENOMEM, "no memory for a BYE");
    }
}

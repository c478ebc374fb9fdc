#include "ua/reliable.h"

#include "ua/early.h"

roam_pracks_verdict pracks_take(roam_pracks *r, const roam_message *response)
{
    uint32_t rseq;
    if (!message_has_token(response, HEADER_REQUIRE, SPAN("100rel")))
        return RELIABLE_NOT;
    if (!span_u32(message_value(response, HEADER_RSEQ), &rseq) || rseq == 0) /* RFC 3262 7.1 */
        return RELIABLE_DROP;
    if (!r->begun) {
        r->begun = true;
        r->first = r->last = rseq;
        return RELIABLE_NEXT;
    }
    if (rseq <= r->last)
        return rseq >= r->first ? RELIABLE_AGAIN : RELIABLE_DROP;
    if (rseq - r->last != 1) /* RFC 3262 4: not before the one that is missing */
        return RELIABLE_DROP;
    r->last = rseq;
    return RELIABLE_NEXT;
}

static void settled(roam_pracks *r)
{
    r->done++;
    r->repeated = false;
    r->attempt = (roam_auth_attempt){0};
}

static void on_prack(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_early_dialog *early = user;
    roam_pracks *r = &early->reliable;
    roam_call *call = early->call;
    if (txn != r->prack || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    client_txn_abandon(txn);
    r->prack = NULL;
    call_look(call);
    if ((code == 401 || code == 407) &&
        credentials_challenged(&call->account->credentials, &r->attempt, AUTH_REQUEST, response) == AUTH_RETRY)
        return;
    if (event == CLIENT_FAILED && !flow_usable(client_txn_flow(txn))) { /* its path is gone: again on the next one */
        r->repeated = true;
        return;
    }
    /* Refused or unheard: the callee decides what becomes of its INVITE without it (RFC 3262 3). 481 to one that is sent for the second time is success. */
    if (code >= 300 && !(code == 481 && r->repeated))
        trace_note(&call->ua->env.trace, "prack", call->id, "not accepted");
    settled(r);
}

void pracks_run(roam_early_dialog *early, roam_flow *flow)
{
    roam_pracks *r = &early->reliable;
    roam_call *call = early->call;
    roam_request request;
    if (r->prack || !pracks_owes(r))
        return;
    dialog_request_begin(&early->dialog, &call->ua->sip, &request, flow, METHOD_PRACK, 0);
    write_header_name(&request.w, HEADER_RACK);
    write_u64(&request.w, r->first + r->done);
    write_char(&request.w, ' ');
    write_u64(&request.w, call->invite_cseq);
    write_lit(&request.w, " INVITE\r\n");
    credentials_write(&call->account->credentials, &r->attempt, AUTH_REQUEST, &request.w, SPAN("PRACK"), span_of(early->dialog.remote_target));
    write_agent_headers(call->ua, &request.w, true);
    write_body(&request.w, SPAN(""), SPAN(""));
    r->prack = request_send(&request, on_prack, early); /* no memory: the response comes again, and brings us here */
}

void pracks_path_lost(roam_pracks *r)
{
    if (!r->prack)
        return;
    client_txn_abandon(r->prack);
    r->prack = NULL;
    r->repeated = true;
}

void pracks_stop(roam_pracks *r)
{
    if (r->prack)
        client_txn_abandon(r->prack);
    r->prack = NULL;
    r->begun = false;
}

#include <assert.h>

#include "ua/call.h"

#define FIRST_WAIT(t1) (2 * (t1)) /* the 2xx was repeated on the new path: its ACK has a round trip and more */
#define ANSWER_WAIT(t1) (8 * (t1)) /* our target is known: so long for an answer in the ACK */
#define RING_AGAIN ROAM_SECONDS(10) /* while it rings on */
#define DOUBT ROAM_SECONDS(1) /* until a 481 is believed while it rings */
#define SILENCES 2u /* questions in a row to which nobody has an answer (64*T1 each): the caller is gone, wherever it went */
#define RETRY_LAST ROAM_SECONDS(8)
#define OVERDUE_LIMIT ROAM_SECONDS(60) /* where the account has no offline_max */

static void set_state(roam_call *call, roam_probe_state state, const char *why);
static void on_timer(roam_timer *timer);
static void ask(roam_call *call, bool update);
static void on_probe(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

void probe_init(roam_call *call)
{
    timer_init(&call->probe.timer, on_timer, "probe");
}

void probe_stop(roam_call *call)
{
    roam_probe *p = &call->probe;
    if (p->txn)
        client_txn_abandon(p->txn);
    p->txn = NULL;
    p->failures = 0;
    p->doubted = false;
    p->attempt = (roam_auth_attempt){0};
    set_state(call, PROBE_IDLE, "nothing to ask");
}

static bool may_update(const roam_call *call)
{
    return call->peer_update && !call->update_refused;
}

/* An answer was sent, and by a path that is another now. */
static bool ack_in_doubt(const roam_call *call)
{
    return call->ack_overdue || (accept_waiting(&call->accept) && call->accept_moved);
}

static bool wanted(const roam_call *call)
{
    if (call->state == ROAM_CALL_INCOMING) /* a CANCEL goes to where the INVITE went: it may have been missed, and may still be */
        return call->said.status && call->ring_moved;
    if (!ack_in_doubt(call))
        return false;
    /* Where UPDATE is taken the refresh sends it (call_refresh.c), unless it has given up. */
    return call->ack_overdue || !may_update(call) || call->probe.state == PROBE_ANSWERED;
}

void probe_run(roam_call *call)
{
    roam_probe *p = &call->probe;
    roam_time t1 = call->ua->sip.timers.t1;
    if (call->state == ROAM_CALL_CONNECTING && call->ack_overdue && call_came_again(call)) {
        call->last_status = 408;
        call_hangup(call, "the caller has called again");
        return;
    }
    if (!wanted(call)) {
        if (p->state != PROBE_IDLE)
            probe_stop(call);
        return;
    }
    if (p->path != call->flow->path->id || (call->ack_overdue && p->state == PROBE_ANSWERED)) {
        probe_stop(call);
        p->path = call->flow->path->id;
    }
    if (p->state == PROBE_IDLE) {
        bool at_once = call->state == ROAM_CALL_INCOMING || call->ack_overdue || may_update(call);
        set_state(call, at_once ? PROBE_DUE : PROBE_WAIT, "path changed");
        if (!at_once && env_arm(&call->ua->env, &p->timer, FIRST_WAIT(t1)) != 0)
            set_state(call, PROBE_DUE, "no memory to wait");
    }
    if (p->state == PROBE_DUE)
        ask(call, may_update(call));
}

static void ask(roam_call *call, bool update)
{
    roam_probe *p = &call->probe;
    roam_ua *ua = call->ua;
    roam_method method = update ? METHOD_UPDATE : METHOD_OPTIONS;
    roam_request r;
    dialog_request_begin(&call->dialog, &ua->sip, &r, call->flow, method, 0);
    call_write_identity(call, &r.w, true);
    credentials_write(&call->account->credentials, &p->attempt, AUTH_REQUEST, &r.w, span_of(method_text(method)), span_of(call->dialog.remote_target));
    write_body(&r.w, SPAN(""), SPAN(""));
    p->txn = request_send(&r, on_probe, call);
    if (!p->txn)
        return; /* looked at again when there is memory */
    p->is_update = update;
    set_state(call, PROBE_SENT, method_text(method));
}

static void wait(roam_call *call, roam_time delay, const char *why)
{
    call->probe.attempt = (roam_auth_attempt){0}; /* the next question is another one */
    set_state(call, PROBE_WAIT, why);
    if (env_arm(&call->ua->env, &call->probe.timer, delay) != 0)
        set_state(call, PROBE_DUE, "no memory to wait");
}

static void answered(roam_call *call)
{
    roam_probe *p = &call->probe;
    p->failures = 0;
    p->doubted = false;
    if (p->is_update)
        call->told.path = p->path;
    if (call->state == ROAM_CALL_INCOMING) {
        wait(call, RING_AGAIN, "the caller waits");
        return;
    }
    set_state(call, PROBE_ANSWERED, "the peer is there");
    /* OPTIONS, unlike UPDATE, says nothing about our 2xx: a peer that never had it is in the same dialog. The 2xx is repeated as long as it may be; our refresh goes
     * out meanwhile, and its 2xx stands for the ACK, a 491 or 500 for its absence (call_refresh.c). */
    if (call->ack_overdue || p->is_update || call->answer_in_ack)
        call_peer_has_answer(call, "the peer answers in the dialog");
}

void probe_await_answer(roam_call *call)
{
    roam_probe *p = &call->probe;
    if (p->txn)
        client_txn_abandon(p->txn);
    p->txn = NULL;
    if (call->flow)
        p->path = call->flow->path->id;
    set_state(call, PROBE_ANSWERED, "our target is known there");
    if (!timer_armed(&p->timer))
        (void)env_arm(&call->ua->env, &p->timer, ANSWER_WAIT(call->ua->sip.timers.t1));
}

static void retry(roam_call *call, bool silent, const char *why)
{
    roam_probe *p = &call->probe;
    roam_env *env = &call->ua->env;
    uint32_t limit = call->account->policy.offline_max_ms;
    if (call->state == ROAM_CALL_INCOMING) {
        p->doubted = false;
        p->failures = silent ? p->failures + 1 : 0;
        if (p->failures < SILENCES) { /* once says nothing about the caller */
            wait(call, silent ? DOUBT : RING_AGAIN, why);
            return;
        }
        move_failed(&call->move, 0, 408, "the caller is not reached");
        call_reject(call, 480, "the caller is not reached any more");
        return;
    }
    if (call->ack_overdue && env->now - call->ack_overdue > (limit ? ROAM_MS(limit) : OVERDUE_LIMIT)) {
        call->last_status = 408;
        call_hangup(call, "our answer was never acknowledged");
        return;
    }
    roam_time delay = ROAM_MS(500) << (p->failures < 4 ? p->failures : 4);
    p->failures++;
    wait(call, delay < RETRY_LAST ? delay : RETRY_LAST, why);
}

static void on_probe(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    roam_probe *p = &call->probe;
    if (txn != p->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    if (event != CLIENT_ENDED)
        client_txn_abandon(txn); /* it outlives the call */
    p->txn = NULL;
    unsigned code = event == CLIENT_RESPONSE ? response->status : 408;
    if (code < 300 || (!p->is_update && (code == 405 || code == 501))) { /* also who does not know OPTIONS knows the dialog */
        if (code < 300 && p->is_update) /* OPTIONS says nothing about the target (RFC 3261 12.2) */
            dialog_target_refresh(&call->dialog, response);
        answered(call);
    } else if (code == 481 && call->state == ROAM_CALL_INCOMING && !p->doubted) {
        p->doubted = true; /* the question may have overtaken the 18x that makes the dialog: it went out again with it */
        wait(call, DOUBT, "a 481 that may be wrong");
    } else if (code == 481) {
        bool rings = call->state == ROAM_CALL_INCOMING;
        move_failed(&call->move, 0, 481, "ended while away");
        call_end(call, 481, rings ? "the caller gave up while away" : "the peer no longer knows the call: ended while away");
        return;
    } else if ((code == 401 || code == 407) &&
               credentials_challenged(&call->account->credentials, &p->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        set_state(call, PROBE_DUE, "challenged");
    } else if (p->is_update && (code == 405 || code == 501)) {
        call->update_refused = true;
        set_state(call, PROBE_DUE, "no UPDATE here");
    } else {
        retry(call, code == 408, "not answered");
    }
    call_look(call);
}

static void on_timer(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, probe.timer);
    if (call->probe.state == PROBE_WAIT) {
        set_state(call, PROBE_DUE, "no ACK yet");
    } else if (call->probe.state == PROBE_ANSWERED && call->answer_in_ack) {
        /* The peer knows where we are, and has answered our offer in an ACK that went elsewhere: for it the exchange is over. A new one begins. */
        call->answer_in_ack = false;
        session_withdraw(&call->session);
        call->wish++;
        call_peer_has_answer(call, "the answer was lost with the ACK");
    }
    call_look(call);
}

static void set_state(roam_call *call, roam_probe_state state, const char *why)
{
    static const char *const text[] = {"idle", "wait", "due", "sent", "answered"};
    enum { I = 1, W = 2, D = 4, S = 8, A = 16 };
    static const unsigned legal[] = {[PROBE_IDLE] = W | D | A, [PROBE_WAIT] = I | D | A, [PROBE_DUE] = I | S | A, [PROBE_SENT] = I | W | D | A, [PROBE_ANSWERED] = I};
    roam_probe *p = &call->probe;
    if (p->state == state)
        return;
    assert(legal[p->state] & 1u << state);
    trace_state(&call->ua->env.trace, "probe", call->id, text[p->state], text[state], why);
    p->state = state;
    if (state != PROBE_WAIT)
        env_cancel(&call->ua->env, &p->timer);
}

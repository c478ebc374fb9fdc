#include "ua/takeover.h"

#include <assert.h>

#define BODY_MAX 4096u
#define FIRST_WAIT ROAM_MS(500)
#define LAST_WAIT ROAM_SECONDS(2)
#define ROUND_LIMIT ROAM_SECONDS(5)   /* a proxy that waits for a dead contact would hide the answer of the one that lives */
#define RING_LIMIT ROAM_SECONDS(180)  /* nobody tells us that it stopped ringing: RFC 3261 16.6, Timer C */
#define PROBE_EVERY 3u                /* rounds between two UPDATEs that ask whether the early dialog is still known */

static void set_state(roam_takeover *t, roam_takeover_state state, const char *why)
{
    static const char *const text[] = {"idle", "asking", "waiting"};
    enum { I = 1, A = 2, W = 4 };
    static const unsigned legal[] = {[TAKEOVER_IDLE] = A, [TAKEOVER_ASKING] = I | W, [TAKEOVER_WAITING] = I | A};
    if (t->state == state)
        return;
    assert(legal[t->state] & 1u << state);
    trace_state(&t->call->ua->env.trace, "takeover", t->call->id, text[t->state], text[state], why);
    t->state = state;
    if (state == TAKEOVER_IDLE)
        env_cancel(&t->call->ua->env, &t->timer);
}

static void give_up(roam_takeover *t, roam_flow *flow, bool adopt);
static void refused(roam_takeover *t, const char *why);

/* Its answer is lost: the callee may have taken it, in a dialog whose tag nobody will tell us. */
static void lose(roam_takeover *t)
{
    t->lost = true;
    if (t->early)
        t->early->maybe_taken = true;
}

static void on_timer(roam_timer *timer)
{
    roam_takeover *t = container_of(timer, roam_takeover, timer);
    if (t->state == TAKEOVER_ASKING && !flow_usable(t->call->flow)) {
        return; /* taken back as soon as there is a path */
    } else if (t->state == TAKEOVER_ASKING) {
        if (!client_txn_has_provisional(t->txn)) /* not even the next hop: what was said went into a hole */
            lose(t);
        give_up(t, t->call->flow, true);
        refused(t, "nobody answers");
    } else if (t->state == TAKEOVER_WAITING) {
        set_state(t, TAKEOVER_IDLE, "next round");
    }
    call_look(t->call);
}

static bool ensure(roam_call *call)
{
    if (call->takeover)
        return true;
    call->takeover = mem_new(&call->ua->env.mem, roam_takeover);
    if (!call->takeover)
        return false;
    call->takeover->call = call;
    timer_init(&call->takeover->timer, on_timer, "takeover");
    return true;
}

/* ---- whom to ask ---- */

/* Also one that the callee says is over, where it may have been replaced by an INVITE of ours that was lost: a callee that remembers what it replaced takes the next one
 * for the same call (replaces.c does). */
static bool candidate(const roam_early_dialog *e)
{
    return (e->state == EARLY_LIVE || (e->state == EARLY_GONE && e->maybe_taken)) && !e->no_replaces;
}

/* The next one not asked in this round. `probed`: at least one of them can be asked by UPDATE whether it still rings. */
static roam_early_dialog *next_candidate(roam_call *call, bool *any, bool *probed)
{
    roam_early_dialog *next = NULL;
    *any = *probed = false;
    list_each(e, &call->earlies, roam_early_dialog, node)
    {
        if (!candidate(e))
            continue;
        *any = true;
        *probed |= e->peer_update;
        if (!next && !e->asked)
            next = e;
    }
    return next;
}

/* ---- the INVITE with Replaces ---- */

static int begin(roam_takeover *t)
{
    roam_call *call = t->call;
    if (t->dialog.call_id)
        return 0; /* challenged: the same again, and its o= goes on */
    session_free(&t->session);
    t->session = call->offered;
    return call_begin_dialog(call, &t->dialog);
}

static int send_replacing(roam_takeover *t, roam_early_dialog *e, const roam_call_leg *leg)
{
    roam_call *call = t->call;
    roam_ua *ua = call->ua;
    roam_session_local local;
    char body[BODY_MAX];
    roam_writer sdp;
    roam_request r;
    int err = begin(t);
    if (err)
        return err;
    session_withdraw(&t->session);
    call_local_of(leg, &local);
    writer_init(&sdp, body, sizeof body);
    err = session_offer(&t->session, &sdp, &local, call->hold_wanted);
    if (err)
        return err;
    call->top_version = t->session.version > call->top_version ? t->session.version : call->top_version;
    dialog_request_begin(&t->dialog, &ua->sip, &r, call->flow, METHOD_INVITE, 0);
    call_write_identity(call, &r.w, true);
    session_timer_write_request(&call->session_timer, &r.w);
    write_lit(&r.w, "Require: replaces\r\n");
    write_header_name(&r.w, HEADER_REPLACES); /* tags as the callee sees them: the remote one is ours */
    write_cstr(&r.w, e->dialog.call_id);
    write_lit(&r.w, ";to-tag=");
    write_cstr(&r.w, e->dialog.remote_tag);
    write_lit(&r.w, ";from-tag=");
    write_cstr(&r.w, e->dialog.local_tag);
    write_lit(&r.w, "\r\n");
    if (call->referred_by)
        write_header(&r.w, HEADER_REFERRED_BY, span_of(call->referred_by));
    credentials_write(&call->account->credentials, &t->attempt, AUTH_REQUEST, &r.w, SPAN("INVITE"), span_of(t->dialog.remote_target));
    write_body(&r.w, SPAN("application/sdp"), writer_span(&sdp));
    t->txn = request_send(&r, call_on_invite, call);
    if (!t->txn)
        return ROAM_ENOMEM;
    t->early = e;
    t->mapped = watch_mapped(call->flow);
    t->cseq = t->dialog.local_cseq;
    t->telling = (roam_told){call->flow->path->id, leg->rtp_socket, call->hold_wanted, call->wish};
    move_sent(&call->move);
    return 0;
}

/* Not answered, or not wanted any more. A 2xx that comes after all is a stray: the call (`adopt`), or ACK and BYE. */
static void give_up(roam_takeover *t, roam_flow *flow, bool adopt)
{
    if (t->txn) {
        if (flow_usable(flow))
            client_txn_cancel(t->txn, flow, true);
        call_give_up(t->call, &t->dialog, adopt);
        client_txn_abandon(t->txn);
    }
    t->txn = NULL;
    t->early = NULL;
    t->answer_waits = false;
    dialog_free(&t->dialog);
    session_free(&t->session);
    t->attempt = (roam_auth_attempt){0};
}

static void refused(roam_takeover *t, const char *why)
{
    roam_time wait = t->rounds < 2 ? FIRST_WAIT << t->rounds : LAST_WAIT;
    set_state(t, TAKEOVER_WAITING, why);
    env_arm(&t->call->ua->env, &t->timer, wait);
}

static bool new_leg_heard(roam_takeover *t)
{
    roam_call *call = t->call;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++)
        if (call->legs[i].state == LEG_UP && call->legs[i].heard && call->legs[i].rtp_socket != call->move_leg)
            return true;
    return false;
}

/* Its path is gone, and with it its answer. What still comes, where we are back at that address, is the call. */
void takeover_check_path(roam_call *call)
{
    roam_takeover *t = call->takeover;
    if (!t || t->state != TAKEOVER_ASKING || (client_txn_flow(t->txn)->path->state == PATH_UP && !watch_rebound_since(client_txn_flow(t->txn), &t->mapped)))
        return;
    lose(t);
    give_up(t, call->flow, true);
    set_state(t, TAKEOVER_IDLE, "its path is gone");
}

bool takeover_run(roam_call *call)
{
    bool any, probed;
    roam_early_dialog *e = next_candidate(call, &any, &probed);
    if ((!any && !(call->takeover && takeover_asking(call->takeover))) || !ensure(call))
        return false;
    roam_takeover *t = call->takeover;
    if (!t->began)
        t->began = ua_now(call->ua);
    if (ua_now(call->ua) - t->began > RING_LIMIT) {
        call->last_status = 408;
        call_hangup(call, "nobody answered");
        return true;
    }
    if (t->state == TAKEOVER_WAITING && !t->heard && new_leg_heard(t)) { /* the callee talks: it has answered, most likely */
        t->heard = true;
        set_state(t, TAKEOVER_IDLE, "RTP came");
    }
    if (t->state != TAKEOVER_IDLE || t->answer_waits)
        return true;
    if (!e) { /* each was asked: another round, unless nobody could tell us that it has stopped ringing */
        if (!probed)
            return false;
        list_each(other, &call->earlies, roam_early_dialog, node)
            other->asked = false;
        t->rounds++;
        e = next_candidate(call, &any, &probed);
    }
    roam_call_leg *leg = call_keep_leg(call);
    if (!leg)
        return true; /* it is being opened */
    if (send_replacing(t, e, leg) != 0) {
        give_up(t, NULL, false);
        set_state(t, TAKEOVER_ASKING, "no memory");
        refused(t, "no memory");
        return true;
    }
    set_state(t, TAKEOVER_ASKING, "INVITE with Replaces");
    env_arm(&call->ua->env, &t->timer, ROUND_LIMIT);
    return true;
}

/* ---- its answers ---- */

static void taken_over(roam_takeover *t, const roam_message *response)
{
    roam_call *call = t->call;
    roam_client_txn *txn = t->txn;
    int err = dialog_on_response(&t->dialog, response);
    if (err == ROAM_ENOMEM)
        return; /* it comes again until its ACK */
    if (err) {
        give_up(t, call->flow, false);
        refused(t, "a 200 without a usable Contact or tag");
        return;
    }
    err = message_has_body_type(response, SPAN("application/sdp")) ? session_take_answer(&t->session, response->body) : ROAM_EUNSUPPORTED;
    roam_dialog dialog = t->dialog;
    roam_session session = t->session;
    t->dialog = (roam_dialog){0};
    t->session = (roam_session){0};
    t->txn = NULL;
    t->early = NULL;
    set_state(t, TAKEOVER_IDLE, "taken over");
    call_replace(call, &dialog, &session, txn, t->cseq, &t->telling);
    call->wish += err == ROAM_ENOMEM; /* the callee has agreed, and we could not read to what: offered again */
    call_confirm(call, response, !err || err == ROAM_ENOMEM);
}

bool takeover_event(roam_call *call, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_takeover *t = call->takeover;
    if (!t || txn != t->txn)
        return false;
    if (event == CLIENT_ENDED) {
        t->txn = NULL;
        return true;
    }
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    if (event == CLIENT_RESPONSE)
        t->mapped = watch_seen_address(response, &client_txn_flow(txn)->path->local);
    if (code < 200)
        return true;
    call_look(call);
    if (code < 300) {
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
        taken_over(t, response);
        return true;
    }
    client_txn_abandon(txn);
    t->txn = NULL;
    roam_early_dialog *e = t->early;
    if (event != CLIENT_RESPONSE)
        lose(t);
    t->early = NULL;
    if ((code == 401 || code == 407) &&
        credentials_challenged(&call->account->credentials, &t->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        set_state(t, TAKEOVER_IDLE, "challenged");
        return true;
    }
    if (code == 422 && event == CLIENT_RESPONSE && session_timer_too_small(&call->session_timer, response)) {
        set_state(t, TAKEOVER_IDLE, "a longer session interval");
        return true;
    }
    move_retry(&call->move, (int)code);
    session_free(&t->session);
    dialog_free(&t->dialog);
    t->attempt = (roam_auth_attempt){0};
    t->answer_waits = false;
    if (e) {
        e->asked = true;
        if (code == 420) /* only now do we know */
            e->no_replaces = true;
        if (++e->rounds % PROBE_EVERY == 0 || code == 603)
            e->told.path = 0;
        if (e->maybe_taken && (e->state == EARLY_GONE || code == 603)) {
            /* RFC 3891 3: it is over. Our INVITE whose path was lost has taken it, and what that began has a tag that we shall never know */
            e->maybe_taken = false;
            early_forgotten(e, "taken by an INVITE that is lost");
        }
    }
    refused(t, code == 481 ? "still ringing" : status_text(code));
    return true;
}

void takeover_path_lost(roam_call *call)
{
    roam_takeover *t = call->takeover;
    if (!t)
        return;
    t->heard = false;
    t->rounds = 0;
    list_each(e, &call->earlies, roam_early_dialog, node)
        e->asked = false;
    if (t->state == TAKEOVER_WAITING)
        set_state(t, TAKEOVER_IDLE, "path changed");
}

void takeover_stop(roam_call *call, roam_flow *flow)
{
    roam_takeover *t = call->takeover;
    if (!t)
        return;
    give_up(t, flow, false);
    t->lost = false;
    set_state(t, TAKEOVER_IDLE, "not wanted any more");
}

void takeover_free(roam_call *call)
{
    if (!call->takeover)
        return;
    takeover_stop(call, NULL);
    mem_free(&call->ua->env.mem, call->takeover);
    call->takeover = NULL;
}

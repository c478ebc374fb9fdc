#include "ua/replaces.h"

#include "ua/early.h"
#include "ua/farewell.h"
#include "ua/takeover.h"
#include "ua/uas.h"

int replaces_parse(roam_span value, roam_replaces *out)
{
    roam_span params, found;
    *out = (roam_replaces){0};
    if (!value.len || memchr(value.ptr, '\n', value.len))
        return ROAM_ESYNTAX;
    out->call_id = span_trim(span_cut(value, ';', &params));
    if (!out->call_id.len || !param_find(params, SPAN("to-tag"), &out->to_tag) || !out->to_tag.len || !param_find(params, SPAN("from-tag"), &out->from_tag) ||
        !out->from_tag.len)
        return ROAM_ESYNTAX;
    out->early_only = param_find(params, SPAN("early-only"), &found);
    return 0;
}

/* ---- which call ---- */

static uint64_t hash(const roam_ua *ua, roam_span call_id, roam_span local_tag, roam_span remote_tag)
{
    uint64_t h = roam_siphash(ua->env.hash_seed, call_id) * 31 + roam_siphash(ua->env.hash_seed, local_tag);
    return (h * 31 + roam_siphash(ua->env.hash_seed, remote_tag)) | 1u;
}

static uint64_t hash_of(const roam_ua *ua, const roam_dialog *d)
{
    return hash(ua, span_of(d->call_id), span_of(d->local_tag), span_of(d->remote_tag));
}

void replaces_remember_end(roam_call *call)
{
    roam_ua *ua = call->ua;
    if (!call->dialog.call_id || !call->dialog.remote_tag)
        return;
    ua->ended_dialogs[ua->next_ended_dialog++ % UA_ENDED_DIALOGS] = hash_of(ua, &call->dialog);
}

static bool has_ended(const roam_ua *ua, uint64_t h)
{
    for (size_t i = 0; i < UA_ENDED_DIALOGS; i++)
        if (ua->ended_dialogs[i] == h)
            return true;
    return false;
}

bool replaces_has_ended(const roam_ua *ua, roam_span call_id, roam_span local_tag, roam_span remote_tag)
{
    return has_ended(ua, hash(ua, call_id, local_tag, remote_tag));
}

/* The call with this dialog. */
static roam_call *find(const roam_ua *ua, const roam_replaces *r)
{
    roam_call *call = call_by_dialog(ua, r->call_id, r->to_tag);
    if (call && call->dialog.remote_tag && span_eq(span_of(call->dialog.remote_tag), r->from_tag))
        return call;
    if (call && early_find(call, r->from_tag)) /* one of the forks that ring */
        return call;
    return NULL;
}

/* The call that had this dialog before its peer replaced it. */
static roam_call *find_past(const roam_ua *ua, const roam_replaces *r)
{
    uint64_t h = hash(ua, r->call_id, r->to_tag, r->from_tag);
    list_each(other, &ua->calls, roam_call, node)
        for (size_t i = 0; i < other->npast_dialogs; i++)
            if (other->past_dialogs[i] == h)
                return other;
    return NULL;
}

/* Nothing shows yet that our answer in the present dialog arrived: a peer that moves again knows the older one only. */
static bool unheard(const roam_call *call)
{
    return call->uas || accept_waiting(&call->accept) || call->ack_overdue;
}

/* RFC 3891 3: what is to be answered instead; 0: it may be replaced. */
static unsigned refusal(const roam_ua *ua, const roam_account *account, const roam_replaces *r, const roam_call *call)
{
    if (!call)
        return has_ended(ua, hash(ua, r->call_id, r->to_tag, r->from_tag)) ? 603 : 481;
    if (call->account != account)
        return 481; /* says nothing about other identities' calls */
    switch (call->state) {
    case ROAM_CALL_DISCONNECTING:
    case ROAM_CALL_ENDED:
        return 603;
    case ROAM_CALL_CONFIRMED:
    case ROAM_CALL_CONNECTING: /* answered by the user: the caller, which has not heard of it, is to have the answer */
        return r->early_only ? 486 : 0;
    case ROAM_CALL_EARLY: /* we called: somebody picks it up elsewhere */
        return 0;
    case ROAM_CALL_INCOMING: /* it rings here: only its initiator may be asked this */
    case ROAM_CALL_CALLING:
        break;
    }
    return 481;
}

/* ---- the same party, from elsewhere ---- */

static bool same_party(const roam_call *call, const roam_message *m)
{
    roam_name_addr from, known;
    return name_addr_parse(message_value(m, HEADER_FROM), &from) == 0 && name_addr_parse(span_of(call->dialog.remote_party), &known) == 0 &&
           uri_same_aor(&from.uri, &known.uri);
}

/* Everything that is under way in the old dialog is over. */
static void leave_dialog(roam_call *call)
{
    roam_ua *ua = call->ua;
    early_drop(call, false);
    call_refresh_stop(call);
    if (call->refresh != REFRESH_IDLE)
        call_refresh_set_state(call, REFRESH_IDLE, "another dialog");
    if (call->invite)
        client_txn_abandon(call->invite);
    if (call->acked_txn)
        client_txn_abandon(call->acked_txn);
    call->invite = call->acked_txn = NULL;
    ack_free(&call->ack, &ua->env.mem);
    if (call->uas) {
        server_txn_attach(call->uas, NULL, NULL);
        uas_respond_tagged(ua, call->uas, 487, "", span_of(call->dialog.local_tag));
        call->uas = NULL;
    }
    accept_stop(&call->accept);
    reliable_let_go(&call->reliable);
    probe_stop(call);
    session_refuse(&call->session);
    session_withdraw(&call->session);
    call->answer_in_ack = call->accept_moved = false;
    call->ack_overdue = 0;
    call->early = EARLY_NONE;
    call->nunacked = 0;
    call->refresh_after_registration = call->update_refused = call->gone_doubted = false;
    call->refresh_failures = 0;
    call->refresh_media = REFRESH_MEDIA_ALL;
    call->attempt = call->refresh_attempt = (roam_auth_attempt){0};
    call->target_cseq = 0;
}

static void remember_past(roam_call *call, uint64_t dialog)
{
    if (call->npast_dialogs == CALL_PAST_DIALOGS) {
        memmove(call->past_dialogs, call->past_dialogs + 1, (CALL_PAST_DIALOGS - 1) * sizeof *call->past_dialogs);
        call->npast_dialogs--;
    }
    call->past_dialogs[call->npast_dialogs++] = dialog;
}

void replaces_leave_dialog(roam_call *call)
{
    leave_dialog(call);
    remember_past(call, hash_of(call->ua, &call->dialog));
}

/* Would this offer do? 0, or the status to refuse it with. The running session is not touched. */
static unsigned check_offer(roam_ua *ua, const roam_message *m)
{
    roam_session probe;
    if (!m->body.len)
        return 0;
    session_init(&probe, &ua->env, ua->codecs);
    int err = session_take_offer(&probe, m->body);
    session_refuse(&probe);
    session_free(&probe);
    return err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : err ? 500 : 0;
}

/* Our INVITE still waits for its answer, and the callee, which has answered, has moved and could not reach us with it: this is the answer. Who else rings is to stop. */
static void leave_early(roam_call *call, roam_flow *flow, const roam_replaces *r)
{
    if (flow_usable(flow))
        takeover_stop(call, flow);
    if (call->invite)
        (void)client_txn_cancel(call->invite, flow, true);
    call_give_up(call, &call->dialog, false);
    leave_dialog(call);
    remember_past(call, hash(call->ua, r->call_id, r->to_tag, r->from_tag));
    env_cancel(&call->ua->env, &call->life_timer);
    call_set_state(call, ROAM_CALL_CONNECTING, 200, "answered, by a callee that moved");
}

static void go_on(roam_call *call, roam_server_txn *txn, const roam_message *m, const roam_replaces *r)
{
    roam_ua *ua = call->ua;
    roam_dialog d;
    if (rescue_goes_first(call)) { /* both ends moved, and both ask: ours stands */
        uas_respond(ua, txn, 491, "");
        return;
    }
    if (call_refuse_interval(call, txn, m))
        return;
    unsigned status = check_offer(ua, m);
    int err = status ? 0 : dialog_init_callee(&d, &ua->env, m, server_txn_to_tag(txn));
    if (err)
        status = err == ROAM_ESYNTAX ? 400 : 500;
    if (status) {
        uas_respond(ua, txn, status, "");
        return;
    }
    roam_flow *flow = call->flow ? flow_ref(call->flow) : flow_get(&ua->sip, server_txn_flow(txn)->path, &call->hop);
    if (call->state == ROAM_CALL_EARLY) {
        leave_early(call, flow, r);
        map_remove(&ua->call_dialogs, &call->dialog_node);
        dialog_free(&call->dialog);
    } else {
        replaces_leave_dialog(call);
        map_remove(&ua->call_dialogs, &call->dialog_node);
        farewell_say(call->account, &call->dialog, flow); /* to where most likely nobody is any more; nothing depends on it */
    }
    flow_unref(flow);
    call->dialog = d;
    if (call_index_dialog(call) != 0 || (m->body.len && session_take_offer(&call->session, m->body) != 0)) {
        uas_respond(ua, txn, 500, "");
        call_end(call, ROAM_ENOMEM, "no memory for the dialog of the peer that moved");
        return;
    }
    call->peer_update = false;
    call_learn_peer(call, m);
    call_follow_media(call);
    call_take_invite(call, txn);
    if (!move_active(&call->move))
        call_set_link(call, ROAM_LINK_MOVING, "the peer moved");
    call_look(call);
}

/* ---- another party ---- */

static bool being_replaced(const roam_call *old)
{
    list_each(call, &old->ua->calls, roam_call, node)
        if (call->takes_over == old->id && call->state == ROAM_CALL_INCOMING)
            return true;
    return false;
}

/* `trusted`: answered without asking, as the user is in that call already (RFC 3891 3). Else it rings like any other call, and its answer replaces the old one. */
static void begin_instead(roam_call *old, roam_server_txn *txn, const roam_message *m, bool trusted)
{
    roam_ua *ua = old->ua;
    if (being_replaced(old)) {
        uas_respond(ua, txn, 491, "");
        return;
    }
    if (!trusted && call_too_many(ua, old->account, server_txn_source(txn))) {
        uas_respond(ua, txn, 486, "");
        return;
    }
    roam_call *call = call_new_incoming(ua, old->account, txn, m);
    if (!call)
        return;
    call->takes_over = old->id;
    call->answer_wanted = trusted;
    if (trusted)
        call_look(call);
    else
        call_ring(call);
}

void replaces_answered(roam_call *call)
{
    roam_call *old = call->takes_over ? call_find(call->ua, call->takes_over) : NULL;
    if (!old)
        return;
    roam_event event = {.type = ROAM_EVENT_CALL_REPLACED,
                        .account = old->account->id,
                        .call = old->id,
                        .call_state = old->state,
                        .other_call = call->id};
    call->takes_over = 0;
    ua_event(call->ua, &event, "replaced by another call (RFC 3891)");
    /* The user talks on: what was heard and said there is heard and said here. */
    roam_audio_source *source = old->source;
    roam_audio_sink *sink = old->sink;
    old->source = NULL;
    old->sink = NULL;
    if (old->stream) {
        stream_set_source(old->stream, NULL);
        stream_set_sink(old->stream, NULL);
    }
    call_set_audio(call, source, true, sink, true);
    call_hangup(old, "replaced by another call");
}

/* ---- the INVITE ---- */

void replaces_invited(roam_ua *ua, roam_account *account, roam_server_txn *txn, const roam_message *m)
{
    roam_replaces r;
    if (message_next(m, HEADER_REPLACES, message_first(m, HEADER_REPLACES)) >= 0 || replaces_parse(message_value(m, HEADER_REPLACES), &r) != 0) {
        uas_respond(ua, txn, 400, "");
        return;
    }
    roam_call *call = find(ua, &r), *past = call ? NULL : find_past(ua, &r);
    if (past && past->account == account && !unheard(past)) {
        uas_respond(ua, txn, 491, ""); /* a copy that was late: the peer gave it up, and is in the newer dialog */
        return;
    }
    if (past)
        call = past;
    unsigned status = refusal(ua, account, &r, call);
    if (status) {
        uas_respond(ua, txn, status, "");
        return;
    }
    /* RFC 3891 8: Call-ID and tags are no secret to who can read the network. A way by which the dialog's own requests come is asked for as well; in a dialog without proxies
     * the peer itself may be elsewhere, and a re-INVITE of the stranger would do no less. From proves nothing. */
    bool trusted = call_usual_way(call, server_txn_source(txn));
    bool straight = call->state != ROAM_CALL_EARLY && !call->dialog.nroutes;
    if (same_party(call, m) && (trusted || straight))
        go_on(call, txn, m, &r);
    else
        begin_instead(call, txn, m, trusted);
}

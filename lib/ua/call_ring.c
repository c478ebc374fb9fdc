/* The INVITE of a peer, and what is said before it is answered: the ringing, early media, and what a move makes of them. */
#include "ua/call.h"
#include "ua/replaces.h"
#include "ua/uas.h"
#include "ua/record.h"

#define BODY_MAX 4096u
#define RING_LIMIT ROAM_SECONDS(180) /* a caller that neither gives up nor waits must not hold a place for ever */

static void say(roam_call *call, unsigned status, bool media);
static void say_what_waits(roam_call *call);

/* ---- how many may ring ---- */

bool call_too_many(const roam_ua *ua, const roam_account *account, const roam_addr *source)
{
    size_t n = 0, share = 0;
    list_each(call, &ua->calls, roam_call, node)
        if (call->state == ROAM_CALL_INCOMING) {
            n++;
            share += roam_ip_equal(&call->ring_source, &source->ip);
        }
    return n >= ROAM_MAX_INCOMING_CALLS || (share >= ROAM_MAX_INCOMING_SHARE && !account_serves(account, source));
}

bool call_usual_way(const roam_call *call, const roam_addr *source)
{
    return account_serves(call->account, source) || (call->hop.ip.family && roam_ip_equal(&call->hop.ip, &source->ip)) ||
           (call->ring_source.family && roam_ip_equal(&call->ring_source, &source->ip));
}

/* ---- a new call ---- */

static void on_unacknowledged(void *user, roam_reliable *reliable, bool moved)
{
    roam_call *call = user;
    (void)reliable;
    if (call->state != ROAM_CALL_INCOMING)
        return;
    if (moved) { /* the PRACK went to where we were: the 200 will repeat what it would have acknowledged */
        call_look(call);
        return;
    }
    call_reject(call, 504, "a reliable provisional response was never acknowledged"); /* RFC 3262 3: 5xx */
}

static unsigned take_offer(roam_session *session, const roam_message *m)
{
    int err = m->body.len ? session_take_offer(session, m->body) : 0;
    return err == ROAM_ESYNTAX ? 400 : err == ROAM_EUNSUPPORTED ? 488 : err ? 500 : 0;
}

static void drop_unheard(roam_call *call) /* the application never heard of it */
{
    roam_ua *ua = call->ua;
    call->state = ROAM_CALL_ENDED;
    session_timer_stop(&call->session_timer);
    list_remove(&call->node);
    list_push(&ua->dead_calls, &call->node);
    map_remove(&ua->call_ids, &call->id_node);
    map_remove(&ua->call_dialogs, &call->dialog_node);
    ua->ncalls--;
}

/* RFC 3261 13.3.1: an INVITE may say how long it waits. */
static void limit_ringing(roam_call *call, const roam_message *m)
{
    uint32_t seconds;
    bool says = message_seconds(m, HEADER_EXPIRES, &seconds) && ROAM_SECONDS(seconds) < RING_LIMIT;
    env_arm(&call->ua->env, &call->life_timer, says ? ROAM_SECONDS(seconds) : RING_LIMIT);
    call->end_reason = says ? "the caller waits no longer" : "not answered in time";
}

roam_call *call_new_incoming(roam_ua *ua, roam_account *account, roam_server_txn *txn, const roam_message *m)
{
    roam_call *call = call_new(ua, account, false);
    if (!call) {
        uas_respond(ua, txn, 486, "");
        return NULL;
    }
    session_init(&call->session, &ua->env, ua->codecs);
    int err = dialog_init_callee(&call->dialog, &ua->env, m, server_txn_to_tag(txn));
    if (!err)
        err = call_index_dialog(call);
    unsigned status = err == ROAM_ESYNTAX ? 400 : err ? 500 : take_offer(&call->session, m);
    if (status)
        uas_respond(ua, txn, status, "");
    if (status || call_refuse_interval(call, txn, m)) {
        drop_unheard(call);
        return NULL;
    }
    call_follow_media(call);
    call_learn_peer(call, m);
    call->wants_reliable = message_has_token(m, HEADER_REQUIRE, SPAN("100rel"));
    call->supports_reliable = call->wants_reliable || message_has_token(m, HEADER_SUPPORTED, SPAN("100rel"));
    call->ring_source = server_txn_source(txn)->ip;
    reliable_init(&call->reliable, &ua->sip, on_unacknowledged, call);
    limit_ringing(call, m);
    call_take_invite(call, txn);
    return call;
}

/* ---- the same call once more ---- */

static roam_call *ringing_from(const roam_ua *ua, const roam_message *m)
{
    roam_name_addr from;
    if (name_addr_parse(message_value(m, HEADER_FROM), &from) != 0)
        return NULL;
    roam_span call_id = message_value(m, HEADER_CALL_ID), tag = name_addr_tag(&from);
    list_each(call, &ua->calls, roam_call, node)
        if (call->state == ROAM_CALL_INCOMING && span_eq(span_of(call->dialog.call_id), call_id) && span_eq(span_of(call->dialog.remote_tag), tag))
            return call;
    return NULL;
}

/* RFC 3261 8.2.2.2 answers a copy with 482, so that of a forked request one is served. After a move the one being served came by a path that is no more, and the copy,
 * which the proxy sent to our new Contact, is the one whose answers arrive. */
bool call_merges(roam_ua *ua, roam_server_txn *old, roam_flow *flow)
{
    list_each(call, &ua->calls, roam_call, node)
        if (call->state == ROAM_CALL_INCOMING && call->uas == old)
            return call->uas_path != flow->path->id && call_usual_way(call, &flow->remote) && (!call->flow || call->flow->path == flow->path);
    return false;
}

/* Forked again to our new Contact, or sent again by its caller: no second ring. Tag and CSeq of ours stay; route set and target are the new copy's. */
static void take_copy(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    roam_dialog d;
    roam_cseq cseq;
    if (!call_usual_way(call, server_txn_source(txn))) { /* the answer would go to whoever has read Call-ID and tag */
        uas_respond(ua, txn, 482, "");
        return;
    }
    if (cseq_parse(message_value(m, HEADER_CSEQ), &cseq) != 0 || cseq.number < call->dialog.remote_cseq) {
        uas_respond(ua, txn, 500, ""); /* RFC 3261 12.2.2 */
        return;
    }
    if (call_refuse_interval(call, txn, m))
        return;
    int err = dialog_init_callee(&d, &ua->env, m, span_of(call->dialog.local_tag));
    if (err) {
        uas_respond(ua, txn, err == ROAM_ESYNTAX ? 400 : 500, "");
        return;
    }
    if (call->session.state == OFFER_REMOTE) { /* not answered yet: the later offer counts */
        session_refuse(&call->session);
        unsigned status = take_offer(&call->session, m);
        if (status) {
            dialog_free(&d);
            call_reject(call, status, "the repeated INVITE has no usable offer");
            uas_respond(ua, txn, status, "");
            return;
        }
        call_follow_media(call);
    }
    reliable_let_go(&call->reliable);
    probe_stop(call); /* a CANCEL finds this one */
    call->ring_moved = false;
    if (call->uas) { /* its branch is over; another one goes on (RFC 3261 16.7: no better answer is lost by it) */
        roam_server_txn *old = call->uas;
        call->uas = NULL;
        server_txn_attach(old, NULL, NULL);
        uas_respond_tagged(ua, old, 487, "", span_of(call->dialog.local_tag));
    }
    d.local_cseq = call->dialog.local_cseq;
    map_remove(&ua->call_dialogs, &call->dialog_node);
    dialog_free(&call->dialog);
    call->dialog = d;
    call_learn_peer(call, m);
    limit_ringing(call, m);
    call_take_invite(call, txn);
    if (call_index_dialog(call) != 0) {
        call_reject(call, 500, "no memory");
        return;
    }
    say(call, call->said.status ? call->said.status : 180, call->said.media);
    call_look(call);
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
    if (account->reliable == ROAM_100REL_OFF && message_has_token(m, HEADER_REQUIRE, SPAN("100rel"))) {
        uas_respond(ua, txn, 420, "Unsupported: 100rel\r\n");
        return;
    }
    if (ua->life != UA_RUNNING) {
        uas_respond(ua, txn, 480, "");
        return;
    }
    roam_call *known = ringing_from(ua, m);
    if (known) {
        take_copy(known, txn, m);
        return;
    }
    if (message_has(m, HEADER_REPLACES)) {
        replaces_invited(ua, account, txn, m);
        return;
    }
    if (call_too_many(ua, account, server_txn_source(txn))) {
        uas_respond(ua, txn, 486, "");
        return;
    }
    roam_call *call = call_new_incoming(ua, account, txn, m);
    if (!call)
        return;
    call_ring(call);
}

void call_ring(roam_call *call)
{
    roam_event event = {
        .type = ROAM_EVENT_CALL_INCOMING, .account = call->account->id, .call = call->id, .call_state = call->state, .other_call = call->takes_over};
    ua_event(call->ua, &event, call->takes_over ? "incoming call, in the place of another" : "incoming call");
    say(call, 180, false);
    say_what_waits(call); /* the caller hears it even where no way to its Contact is known yet */
    call_look(call);
}

/* ---- provisional responses ---- */

/* RFC 3262 3: where the caller requires it, and with SDP where it supports it. */
static bool is_reliable(const roam_call *call, bool media)
{
    roam_100rel ours = call->account->reliable;
    return call->wants_reliable || (call->supports_reliable && ours != ROAM_100REL_OFF && (media || ours == ROAM_100REL_REQUIRED));
}

/* The caller made no offer, and nothing was said yet: the first reliable response makes ours (RFC 3262 5, RFC 3261 13.2.1). */
static bool offer_is_ours(const roam_call *call)
{
    return call->session.state == OFFER_STABLE && call->early == EARLY_NONE && !call->session.agreed.codec;
}

/* The caller's offer is kept: an answer in an unreliable response is repeated in the 200, and by it made anew. */
static int describe_early(roam_call *call, roam_call_leg *leg, roam_writer *body)
{
    if (call->session.state == OFFER_REMOTE && !call->early_offer) {
        call->early_offer = mem_strdup(&call->ua->env.mem, span_make(call->session.remote_offer, call->session.remote_offer_len));
        if (!call->early_offer)
            return ROAM_ENOMEM;
    }
    int err = call_describe(call, leg, body);
    if (!err && call->session.state == OFFER_STABLE)
        call->early = EARLY_PLAIN;
    return err;
}

/* Sends it. ROAM_EBUSY: a leg is being opened. */
static int send_provisional(roam_call *call, roam_progress p)
{
    roam_ua *ua = call->ua;
    roam_server_txn *txn = call->uas;
    char space[BODY_MAX];
    roam_writer body;
    roam_response r;
    bool reliable = is_reliable(call, p.media);
    bool media = p.media && call->early != EARLY_AGREED && call->session.state != OFFER_LOCAL;
    if (offer_is_ours(call))
        media = reliable; /* and without reliability there is nothing that may be said */
    roam_call_leg *leg = media ? call_keep_leg(call) : NULL;
    if (media && !leg)
        return call_leg_failed(call) ? ROAM_EIO : ROAM_EBUSY;
    writer_init(&body, space, sizeof space);
    int err = media ? describe_early(call, leg, &body) : 0;
    roam_header_space *headers = err ? NULL : mem_alloc(&ua->env.mem, sizeof *headers);
    if (!headers)
        return err ? err : ROAM_ENOMEM;
    roam_message invite;
    response_begin(txn, &r, p.status, SPAN(""), span_of(call->dialog.local_tag));
    if (server_txn_request(txn, &invite, headers) == 0)
        write_headers_copied(&r.w, &invite, HEADER_RECORD_ROUTE);
    call_write_identity_on(call, &r.w, server_txn_flow(txn), false);
    if (reliable)
        reliable_write(&call->reliable, &r.w);
    write_body(&r.w, body.len ? SPAN("application/sdp") : SPAN(""), writer_span(&body));
    mem_free(&ua->env.mem, headers);
    err = response_send(&r);
    if (err)
        return err;
    if (reliable)
        (void)reliable_sent(&call->reliable, txn, call->uas_cseq, body.len > 0);
    call->said = p;
    if (!call->told.path)
        call->told.path = server_txn_flow(txn)->path->id;
    if (leg) {
        call->told.leg = leg->rtp_socket;
        call->told.hold = call->hold_wanted;
        if (call->session.state == OFFER_STABLE) {
            call_media_apply(call);
            call_leg_told(call, call->told.leg);
        }
    }
    return 0;
}

/* One after the other: a reliable one is waited for (RFC 3262 3). */
static void say(roam_call *call, unsigned status, bool media)
{
    if (call->nprogress == CALL_PROGRESS_MAX)
        call->nprogress--; /* the last word counts */
    call->progress[call->nprogress++] = (roam_progress){status, media};
}

static void say_what_waits(roam_call *call)
{
    if (call->answer_wanted) /* the 200 says it all */
        call->nprogress = 0;
    while (call->nprogress && call->reliable.state != RELIABLE_SENT) {
        int err = send_provisional(call, call->progress[0]);
        if (err == ROAM_EBUSY || err == ROAM_ENOMEM)
            return; /* looked at again */
        call->nprogress--;
        memmove(call->progress, call->progress + 1, call->nprogress * sizeof *call->progress);
    }
}

void call_ring_rebound(roam_call *call)
{
    probe_stop(call);
    if (call->state == ROAM_CALL_INCOMING) {
        call->ring_moved = true;
        if (call->reliable.state == RELIABLE_SENT)
            reliable_moved(&call->reliable);
    }
    if (accept_waiting(&call->accept))
        call->accept_moved = true;
}

void call_run_ringing(roam_call *call)
{
    if (!call->uas)
        return;
    if (server_txn_flow(call->uas)->path != call->flow->path) {
        /* The Via says where responses go; from now on they leave from the new path, and the last one does so at once, with the new Contact. */
        server_txn_move(call->uas, call->flow->path);
        call->ring_moved = true;
        if (call->reliable.state == RELIABLE_SENT)
            reliable_moved(&call->reliable); /* repeated as it was: another one may not be sent yet */
        else if (call->said.status && !call->nprogress)
            say(call, call->said.status, call->said.media);
    }
    say_what_waits(call);
    probe_run(call); /* behind the 18x: a caller that has heard none of them has no dialog to be asked in */
    if (move_active(&call->move) && call->move.state == MOVE_RUNNING && call->state == ROAM_CALL_INCOMING) {
        move_recovered(&call->move); /* it rings on; the answer will go by the new path with the new address */
        call_set_link(call, ROAM_LINK_OK, "rings on");
    }
}

int roam_call_progress(roam_ua *ua, roam_call_id id, unsigned status, bool early_media, const roam_call_options *options)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "call_progress", ua_now(ua));
        record_number(&r, "call", id);
        record_number(&r, "status", status);
        record_number(&r, "early_media", early_media);
        record_options(&r, options);
        record_end(&r);
    }
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if (status < 180 || status > 183)
        return ROAM_EINVAL;
    if (call->state != ROAM_CALL_INCOMING || call->answer_wanted)
        return ROAM_ESTATE;
    if (early_media && offer_is_ours(call) && !is_reliable(call, true))
        return ROAM_EUNSUPPORTED;
    ua_enter(ua, ua_now(ua));
    if (options)
        call_set_audio(call, options->source, true, options->sink, true);
    say(call, status, early_media);
    call_look(call);
    ua_leave(ua);
    return 0;
}

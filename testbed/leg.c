#include "testbed/leg.h"

#include <assert.h>

#include "testbed/leg_inside.h"
#include "testbed/negotiate.h"

static int rtp_open(roam_leg *leg);
static void server_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message);
static void their_reinvite(roam_leg *leg, roam_server_txn *txn, const roam_message *request);
static void reinvite_answer(roam_leg *leg, roam_server_txn *txn, const roam_message *request);
static void their_update(roam_leg *leg, roam_server_txn *txn, const roam_message *request);
static bool respond_2xx(roam_leg *leg, roam_server_txn *txn, const roam_message *request, bool answer_sdp);
static void not_acked(void *user, roam_accept *accept);
static void answer_due(roam_timer *timer);
static void reinvite_due(roam_timer *timer);
static void reinvite_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message);
static void reinvite_drop(roam_leg *leg, unsigned status);

const char *leg_state_text(roam_leg_state state)
{
    static const char *const text[] = {"calling", "cancelling", "ringing", "confirmed", "closing", "ended"};
    return text[state];
}

roam_leg *leg_new(roam_peer *peer)
{
    if (peer->nlegs >= PEER_MAX_LEGS) {
        roam_leg *oldest = NULL;
        list_each (leg, &peer->legs, roam_leg, node)
            if (!oldest && leg->state == LEG_ENDED)
                oldest = leg;
        if (!oldest)
            return NULL;
        leg_free(oldest);
    }
    roam_leg *leg = mem_new(&peer->env.mem, roam_leg);
    if (!leg)
        return NULL;
    leg->peer = peer;
    leg->id = peer->next_leg++;
    leg->end_why = "";
    leg->sdp_id = random_u64(&peer->env.random) >> 1; /* fits what others keep in a signed number */
    timer_init(&leg->answer_timer, answer_due, "answer");
    timer_init(&leg->retry_timer, leg_retry_due, "retry");
    leg->epoch = leg->target_epoch = peer->epoch;
    timer_init(&leg->move_timer, leg_move_due, "the move is told");
    timer_init(&leg->human_timer, human_due, "the human looks up");
    timer_init(&leg->session.timer, leg_timer_due, "session timer");
    timer_init(&leg->reinvite_timer, reinvite_due, "re-INVITE is answered");
    timer_init(&leg->reliable.timer, leg_reliable_due, "reliable provisional without PRACK");
    list_push(&peer->legs, &leg->node);
    peer->nlegs++;
    return leg;
}

void leg_free(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_client_txn *ours[] = {leg->invite, leg->accepted, leg->update, leg->bye};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i])
            client_txn_abandon(ours[i]);
    if (leg->invite_server)
        server_txn_attach(leg->invite_server, NULL, NULL);
    leg_early_over(leg, NULL);
    leg_reliable_stop(leg);
    if (leg->reinvite)
        server_txn_attach(leg->reinvite, NULL, NULL);
    env_cancel(&peer->env, &leg->reinvite_timer);
    leg_timer_stop(leg);
    leg_refer_stop(leg);
    env_cancel(&peer->env, &leg->move_timer);
    env_cancel(&peer->env, &leg->human_timer);
    accept_stop(&leg->accept);
    ack_free(&leg->ack, &peer->env.mem);
    env_cancel(&peer->env, &leg->answer_timer);
    env_cancel(&peer->env, &leg->retry_timer);
    audio_free(&leg->audio);
    if (leg->rtp_open)
        peer->host.close_rtp(peer->host.user, leg->rtp_socket);
    dialog_free(&leg->dialog);
    mem_free(&peer->env.mem, leg->replaces);
    list_remove(&leg->node);
    peer->nlegs--;
    mem_free(&peer->env.mem, leg);
}

int leg_call(roam_leg *leg, roam_span uri, roam_span replaces)
{
    roam_peer *peer = leg->peer;
    char local[400], remote[400], route[ROAM_ADDR_TEXT_MAX + 16];
    roam_writer w_local, w_remote, w_route;
    writer_init(&w_local, local, sizeof local);
    peer_write_aor(peer, &w_local);
    writer_init(&w_remote, remote, sizeof remote);
    write_char(&w_remote, '<');
    write_span(&w_remote, uri);
    write_char(&w_remote, '>');
    if (w_local.overflow || w_remote.overflow)
        return ROAM_EOVERFLOW;
    leg->state = LEG_CALLING;
    leg->offerless = peer->config.delayed_offer;
    if (replaces.len && !(leg->replaces = mem_strdup(&peer->env.mem, replaces)))
        return ROAM_ENOMEM;
    int err = dialog_init_caller(&leg->dialog, &peer->env, writer_span(&w_local), writer_span(&w_remote), uri);
    if (!err && peer->config.proxy.ip.family) {
        writer_init(&w_route, route, sizeof route);
        write_lit(&w_route, "<sip:");
        write_addr(&w_route, &peer->config.proxy);
        write_lit(&w_route, ";lr>");
        roam_span routes[] = {writer_span(&w_route)};
        err = dialog_set_routes(&leg->dialog, routes, 1);
    }
    if (!err)
        err = rtp_open(leg);
    if (!err)
        err = leg_send_invite(leg);
    return err;
}

void leg_incoming(roam_peer *peer, roam_server_txn *txn, const roam_message *invite)
{
    if (peer->config.answer == PEER_REJECTS && !peer->config.reject_after) {
        (void)server_txn_respond(txn, peer->config.reject_status, (roam_span){0});
        return;
    }
    if (peer->config.rel == PEER_REL_REQUIRED && !message_has_token(invite, HEADER_SUPPORTED, SPAN("100rel")) &&
        !message_has_token(invite, HEADER_REQUIRE, SPAN("100rel"))) {
        roam_response r;
        response_begin(txn, &r, 421, (roam_span){0}, (roam_span){0});
        write_header(&r.w, HEADER_REQUIRE, SPAN("100rel"));
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)response_send(&r);
        return;
    }
    if (invite->body.len && !message_has_body_type(invite, LEG_SDP_TYPE)) {
        (void)server_txn_respond(txn, 415, (roam_span){0});
        return;
    }
    roam_negotiated theirs;
    unsigned status = invite->body.len ? negotiate_read(&peer->env.mem, invite->body, &theirs) : 0;
    roam_leg *leg = status ? NULL : leg_new(peer);
    if (!leg) {
        (void)server_txn_respond(txn, status ? status : 486, (roam_span){0});
        return;
    }
    leg->state = LEG_RINGING;
    int err = dialog_init_callee(&leg->dialog, &peer->env, invite, server_txn_to_tag(txn));
    if (!err)
        err = rtp_open(leg);
    if (err) {
        leg_free(leg);
        (void)server_txn_respond(txn, err == ROAM_ESYNTAX ? 400 : 500, (roam_span){0});
        return;
    }
    leg->invite_server = txn;
    leg->invite_cseq = message_cseq(invite);
    leg->offer = invite->body.len ? OFFER_RECEIVED : OFFER_NONE;
    server_txn_attach(txn, server_event, leg);
    leg_take_allow(leg, invite);
    leg->takes_199 = message_has_token(invite, HEADER_SUPPORTED, SPAN("199"));
    if (leg_timer_too_short(leg, invite)) {
        server_txn_attach(txn, NULL, NULL);
        leg->invite_server = NULL;
        leg_timer_refuse(leg, txn);
        leg_free(leg);
        return;
    }
    if (leg_replace(leg, invite))
        return;
    peer_event(peer, PEER_CALL_INCOMING, leg, 0, "");
    (void)leg_ring(leg);
    roam_time after = peer->config.answer == PEER_ANSWERS ? human_answers_after(peer) : peer->config.reject_after;
    leg->rejects = peer->config.answer == PEER_REJECTS;
    if (leg->state == LEG_RINGING && peer->config.answer != PEER_RINGS &&
        env_arm(&peer->env, &leg->answer_timer, after) != ROAM_OK)
        (void)leg_reject(leg, 500);
}

void leg_request(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    roam_response r;
    unsigned status = dialog_check_request(&leg->dialog, request);
    if (status) {
        (void)server_txn_respond(txn, status, (roam_span){0});
        return;
    }
    leg_take_allow(leg, request);
    if (leg->state == LEG_CLOSING && (request->method == METHOD_UPDATE || request->method == METHOD_INFO || request->method == METHOD_OPTIONS)) {
        (void)server_txn_respond(txn, 481, (roam_span){0}); /* our BYE is out: the call is over */
        return;
    }
    switch (request->method) {
    case METHOD_BYE:
        (void)server_txn_respond(txn, 200, (roam_span){0});
        if (leg->invite_server)
            (void)server_txn_respond(leg->invite_server, 487, (roam_span){0});
        leg_end(leg, 0, "BYE");
        break;
    case METHOD_INVITE: their_reinvite(leg, txn, request); break;
    case METHOD_UPDATE: their_update(leg, txn, request); break;
    case METHOD_PRACK: leg_prack(leg, txn, request); break;
    case METHOD_REFER: leg_refer_in(leg, txn, request); break;
    case METHOD_NOTIFY: leg_notify(leg, txn, request); break;
    case METHOD_OPTIONS:
    case METHOD_INFO:
        response_begin(txn, &r, 200, (roam_span){0}, (roam_span){0});
        peer_write_allow(leg->peer, &r.w);
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)response_send(&r);
        break;
    default: (void)server_txn_respond(txn, 501, (roam_span){0}); break;
    }
}

void leg_ack(roam_leg *leg, const roam_message *ack)
{
    if (!accept_on_ack(&leg->accept, ack))
        return;
    if (leg->offer == OFFER_IN_2XX) {
        leg->offer = OFFER_NONE;
        if (!leg_take_answer(leg, ack)) {
            leg->end_why = "no answer in the ACK";
            (void)leg_send_bye(leg);
            return;
        }
    }
    if (leg->hangup_wanted)
        (void)leg_send_bye(leg);
}

int leg_answer(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_message invite;
    roam_server_txn *txn = leg->invite_server;
    if (leg->state != LEG_RINGING || !txn)
        return ROAM_ESTATE;
    env_cancel(&peer->env, &leg->answer_timer);
    /* RFC 3262 3: the 2xx waits for the PRACK of what carried SDP; here for each. And for the answer to our UPDATE. */
    leg->answer_wanted = leg->reliable.waiting || leg->offer == OFFER_SENT;
    if (leg->answer_wanted)
        return ROAM_OK;
    roam_header_space *space = mem_alloc(&peer->env.mem, sizeof *space);
    int err = space ? server_txn_request(txn, &invite, space) : ROAM_ENOMEM;
    if (!err) {
        leg->invite_server = NULL;
        server_txn_attach(txn, NULL, NULL);
        if (respond_2xx(leg, txn, &invite, true)) {
            dialog_set_state(&leg->dialog, DIALOG_CONFIRMED, "answered");
            leg_set_state(leg, LEG_CONFIRMED, "answered");
            peer_event(peer, PEER_CALL_CONFIRMED, leg, 200, "");
        } else {
            leg_end(leg, 500, "could not answer");
        }
    }
    mem_free(&peer->env.mem, space);
    return err;
}

int leg_reject(roam_leg *leg, unsigned status)
{
    roam_server_txn *txn = leg->invite_server;
    if (leg->state != LEG_RINGING || !txn)
        return ROAM_ESTATE;
    leg_tell_end_of_early(leg, status);
    leg->invite_server = NULL;
    server_txn_attach(txn, NULL, NULL);
    int err = server_txn_respond(txn, status, (roam_span){0});
    leg_end(leg, status, "rejected");
    return err;
}

int leg_change(roam_leg *leg, bool hold, bool update, bool with_offer)
{
    bool early = leg->state == LEG_RINGING || (leg->state == LEG_CALLING && leg->dialog.remote_tag);
    if (leg->state != LEG_CONFIRMED && !(early && update))
        return ROAM_ESTATE;
    if ((leg->invite && !early) || leg->update || leg->reinvite || accept_waiting(&leg->accept) || timer_armed(&leg->retry_timer) ||
        (leg->offer != OFFER_NONE && (with_offer || !early)))
        return ROAM_EBUSY;
    if (early && (!leg->allows_update || leg->answer_wanted))
        return ROAM_ESTATE;
    leg->wanted_hold = hold;
    leg->challenges = 0;
    leg->change_is_update = update && leg->allows_update;
    leg->change_offers = with_offer || !leg->change_is_update;
    return leg->change_is_update ? leg_send_update(leg, with_offer) : leg_send_invite(leg);
}

/* Nothing is accepted any more: a re-INVITE that waits for its answer gets none but 487. */
static int say_bye(roam_leg *leg)
{
    reinvite_drop(leg, 487);
    return leg_send_bye(leg);
}

int leg_hangup(roam_leg *leg)
{
    switch (leg->state) {
    case LEG_RINGING: return leg_reject(leg, 486);
    case LEG_CALLING: {
        leg_set_state(leg, LEG_CANCELLING, "hung up");
        int err = leg->invite ? client_txn_cancel(leg->invite, NULL, false) : ROAM_ESTATE;
        if (!leg->invite)
            leg_end(leg, 0, "no INVITE was sent");
        else if (err)
            (void)env_arm(&leg->peer->env, &leg->retry_timer, ROAM_MS(500)); /* again, with more memory */
        return err;
    }
    case LEG_CONFIRMED:
        /* RFC 3261 15: the callee waits for the ACK of its 2xx, or for its time-out. */
        if (accept_waiting(&leg->accept)) {
            leg->hangup_wanted = true;
            return ROAM_OK;
        }
        return say_bye(leg);
    case LEG_CANCELLING:
    case LEG_CLOSING:
    case LEG_ENDED: break;
    }
    return ROAM_ESTATE;
}

/* ---- state ---- */

void leg_set_state(roam_leg *leg, roam_leg_state state, const char *why)
{
    static const unsigned legal[] = {
        [LEG_CALLING] = 1u << LEG_CANCELLING | 1u << LEG_CONFIRMED | 1u << LEG_ENDED,
        [LEG_CANCELLING] = 1u << LEG_CONFIRMED | 1u << LEG_ENDED, /* confirmed only to be ended properly */
        [LEG_RINGING] = 1u << LEG_CONFIRMED | 1u << LEG_ENDED,
        [LEG_CONFIRMED] = 1u << LEG_CLOSING | 1u << LEG_ENDED,
        [LEG_CLOSING] = 1u << LEG_ENDED,
        [LEG_ENDED] = 0,
    };
    assert(legal[leg->state] & 1u << state);
    trace_state(&leg->peer->env.trace, "leg", leg->id, leg_state_text(leg->state), leg_state_text(state), why);
    leg->state = state;
    if (state != LEG_CONFIRMED)
        return;
    human_begins(leg);
    if (leg->epoch != leg->peer->epoch) /* moved while it rang, and its early media was at the old address */
        (void)env_arm(&leg->peer->env, &leg->move_timer, 0);
}

/* Over for the user. Transactions that linger still find the leg: it stays until it is evicted. */
void leg_end(roam_leg *leg, unsigned status, const char *why)
{
    roam_peer *peer = leg->peer;
    if (leg->state == LEG_ENDED)
        return;
    env_cancel(&peer->env, &leg->answer_timer);
    env_cancel(&peer->env, &leg->retry_timer);
    accept_stop(&leg->accept);
    leg_reliable_stop(leg);
    leg_early_over(leg, NULL);
    leg_timer_stop(leg);
    leg_refer_stop(leg);
    env_cancel(&peer->env, &leg->move_timer);
    env_cancel(&peer->env, &leg->human_timer);
    reinvite_drop(leg, 487); /* RFC 3261 15.1.2 */
    if (leg->invite_server) {
        server_txn_attach(leg->invite_server, NULL, NULL);
        leg->invite_server = NULL;
    }
    (void)audio_signal(&leg->audio, &(roam_addr){0}, DIRECTION_INACTIVE);
    env_cancel(&peer->env, &leg->audio.timer);
    if (leg->rtp_open)
        peer->host.close_rtp(peer->host.user, leg->rtp_socket);
    leg->rtp_open = false;
    leg->offer = OFFER_NONE;
    if (!*leg->end_why)
        leg->end_why = why;
    dialog_set_state(&leg->dialog, DIALOG_ENDED, why);
    leg_set_state(leg, LEG_ENDED, why);
    peer_event(peer, PEER_CALL_ENDED, leg, status, leg->end_why);
}

static int rtp_open(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    int err = peer->host.open_rtp(peer->host.user, &leg->rtp_socket, &leg->rtp_local);
    if (err)
        return err;
    leg->rtp_open = true;
    audio_init(&leg->audio, &peer->env, &peer->config.audio, leg->rtp_socket, peer->host.send, peer->host.user);
    return ROAM_OK;
}

/* ---- their requests ---- */

static void server_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message)
{
    roam_leg *leg = user;
    (void)message;
    if (event == SERVER_CANCELLED) {
        leg->invite_server = NULL;
        server_txn_attach(txn, NULL, NULL);
        (void)server_txn_respond(txn, 487, (roam_span){0});
        leg_end(leg, 487, "CANCEL");
    } else if (event == SERVER_ENDED && txn == leg->invite_server) {
        leg->invite_server = NULL;
        leg_end(leg, 0, "the INVITE is over");
    }
}

static void their_reinvite(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    roam_peer *peer = leg->peer;
    bool overlaps = leg->reinvite || (accept_waiting(&leg->accept) && peer->config.overlap != PEER_OVERLAP_TAKEN);
    if (leg->state == LEG_RINGING) {
        leg_respond_later(leg, txn); /* RFC 3261 14.2: the first one is not answered yet */
    } else if (leg->state != LEG_CONFIRMED) {
        (void)server_txn_respond(txn, 481, (roam_span){0});
    } else if (leg->invite || (overlaps && peer->config.overlap == PEER_OVERLAP_491)) {
        (void)server_txn_respond(txn, 491, (roam_span){0});
    } else if (overlaps) {
        leg_respond_later(leg, txn);
    } else if (leg->offer != OFFER_NONE) {
        (void)server_txn_respond(txn, 491, (roam_span){0});
    } else if (peer->config.reinvite_after &&
               env_arm(&peer->env, &leg->reinvite_timer, peer->config.reinvite_after) == ROAM_OK) {
        accept_stop(&leg->accept);
        leg->reinvite = txn;
        server_txn_attach(txn, reinvite_event, leg);
        if (request->body.len)
            leg->offer = OFFER_RECEIVED;
    } else {
        accept_stop(&leg->accept); /* who sends the next INVITE has our 2xx */
        reinvite_answer(leg, txn, request);
    }
}

static void reinvite_answer(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    if (!respond_2xx(leg, txn, request, true))
        return;
    leg->reinvites++;
    peer_event(leg->peer, PEER_CALL_CHANGED, leg, 200, "re-INVITE");
}

static void reinvite_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, reinvite_timer);
    roam_server_txn *txn = leg->reinvite;
    roam_mem *mem = &leg->peer->env.mem;
    roam_message request;
    roam_header_space *space = mem_alloc(mem, sizeof *space);
    if (!space || server_txn_request(txn, &request, space) != ROAM_OK) {
        reinvite_drop(leg, 500);
    } else {
        server_txn_attach(txn, NULL, NULL);
        leg->reinvite = NULL;
        leg->offer = OFFER_NONE;
        reinvite_answer(leg, txn, &request);
    }
    mem_free(mem, space);
}

static void reinvite_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message)
{
    roam_leg *leg = user;
    (void)message;
    if (txn != leg->reinvite)
        return;
    if (event == SERVER_CANCELLED)
        reinvite_drop(leg, 487); /* the call stays as it was */
    else if (event == SERVER_ENDED)
        reinvite_drop(leg, 0);
}

/* `status` 0: the transaction is gone already. */
static void reinvite_drop(roam_leg *leg, unsigned status)
{
    roam_server_txn *txn = leg->reinvite;
    if (!txn)
        return;
    env_cancel(&leg->peer->env, &leg->reinvite_timer);
    leg->reinvite = NULL;
    if (leg->offer == OFFER_RECEIVED)
        leg->offer = OFFER_NONE;
    server_txn_attach(txn, NULL, NULL);
    if (status)
        (void)server_txn_respond(txn, status, (roam_span){0});
}

static void their_update(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    roam_response r;
    if (leg->peer->config.no_update) {
        response_begin(txn, &r, 405, (roam_span){0}, (roam_span){0});
        peer_write_allow(leg->peer, &r.w);
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)response_send(&r);
        return;
    }
    bool offers = request->body.len > 0;
    /* RFC 3311 5.2: their own offer is not answered yet; or ours is not. */
    if (offers && leg->offer == OFFER_RECEIVED) {
        leg_respond_later(leg, txn);
    } else if (offers && leg->offer != OFFER_NONE) {
        (void)server_txn_respond(txn, 491, (roam_span){0});
    } else if (respond_2xx(leg, txn, request, offers)) {
        leg->updates++;
        peer_event(leg->peer, PEER_CALL_CHANGED, leg, 200, "UPDATE");
    }
}

/* Answers an INVITE or UPDATE: takes what it offers, moves to the new target. False: refused, or nothing could be sent.
 * */
static bool respond_2xx(roam_leg *leg, roam_server_txn *txn, const roam_message *request, bool with_sdp)
{
    roam_peer *peer = leg->peer;
    char body[LEG_SDP_MAX];
    roam_writer sdp;
    roam_response r;
    roam_direction direction = leg_wanted_direction(leg, leg->local_hold);
    roam_addr remote = leg->audio.signalled;
    bool invite = request->method == METHOD_INVITE, first = invite && leg->state == LEG_RINGING;
    bool answers = with_sdp && request->body.len > 0, was_held = leg->remote_hold;
    unsigned status = 0;
    writer_init(&sdp, body, sizeof body);
    if (first && leg->settled)
        with_sdp = answers = false;
    if (first && leg->previewed)
        leg->sdp_version--; /* the same description again (RFC 3261 13.2.1) */
    if (answers && !message_has_body_type(request, LEG_SDP_TYPE))
        status = 415;
    else if (answers)
        status = leg_take_offer(leg, request->body, &sdp, &direction, &remote);
    else if (with_sdp && leg_describe(leg, &sdp, direction, (roam_span){0}, 0) != ROAM_OK)
        status = 500;
    if (!status && answers && peer->config.refuses_new_media && leg->audio.signalled.ip.family &&
        !roam_addr_equal(&remote, &leg->audio.signalled)) {
        leg->remote_hold = was_held; /* all stays as it was */
        status = 488;
    }
    if (!status && !first && leg_timer_too_short(leg, request)) {
        leg->remote_hold = was_held;
        leg_timer_refuse(leg, txn);
        return false;
    }
    if (status) {
        (void)server_txn_respond(txn, status, (roam_span){0});
        return false;
    }
    response_begin(txn, &r, 200, (roam_span){0}, (roam_span){0});
    write_headers_copied(&r.w, request, HEADER_RECORD_ROUTE);
    peer_write_contact(peer, &r.w);
    peer_write_allow(peer, &r.w);
    if (first || leg->state == LEG_CONFIRMED)
        leg_timer_write_response(leg, &r.w, request);
    write_body(&r.w, with_sdp ? LEG_SDP_TYPE : (roam_span){0}, writer_span(&sdp));
    if (response_send(&r) != ROAM_OK) {
        (void)server_txn_respond(txn, 500, (roam_span){0});
        return false;
    }
    if (!first) /* an UPDATE may have changed what the INVITE said */
        (void)dialog_target_refresh(&leg->dialog, request); /* no memory: the old target stays */
    if (answers)
        (void)audio_signal(&leg->audio, &remote, direction);
    leg->target_epoch = peer->epoch;
    if (with_sdp && (!first || !leg->previewed))
        leg->epoch = peer->epoch;
    if (!invite)
        return true;
    if (with_sdp)
        leg->offered = direction;
    leg->offer = with_sdp && !answers ? OFFER_IN_2XX : OFFER_NONE;
    (void)accept_start(&leg->accept, &peer->sip, txn, message_cseq(request), not_acked,
                       leg); /* no memory: sent once only */
    return true;
}

void leg_respond_later(roam_leg *leg, roam_server_txn *txn)
{
    roam_response r;
    response_begin(txn, &r, 500, (roam_span){0}, (roam_span){0});
    write_header_u32(&r.w, HEADER_RETRY_AFTER, random_below(&leg->peer->env.random, 11));
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
}

/* RFC 3261 13.3.1.4. */
static void not_acked(void *user, roam_accept *accept)
{
    roam_leg *leg = user;
    (void)accept;
    leg->end_why = "no ACK";
    if (leg->state == LEG_CONFIRMED)
        (void)leg_send_bye(leg);
}

/* ---- time ---- */

static void answer_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, answer_timer);
    if (leg->rejects)
        (void)leg_reject(leg, leg->peer->config.reject_status);
    else if (leg_answer(leg) != ROAM_OK)
        (void)leg_reject(leg, 500);
}

/* ---- offer and answer ---- */

void leg_take_allow(roam_leg *leg, const roam_message *m)
{
    if (message_has(m, HEADER_ALLOW))
        leg->allows_update = message_has_token(m, HEADER_ALLOW, SPAN("UPDATE"));
}

roam_direction leg_wanted_direction(const roam_leg *leg, bool hold)
{
    unsigned direction = DIRECTION_SENDRECV;
    if (hold)
        direction &= DIRECTION_SENDONLY;
    if (leg->remote_hold)
        direction &= DIRECTION_RECVONLY;
    return (roam_direction)direction;
}

int leg_describe(roam_leg *leg, roam_writer *w, roam_direction direction, roam_span offer, size_t index)
{
    roam_description ours = {
        .id = leg->sdp_id, .version = ++leg->sdp_version, .local = leg->rtp_local, .direction = direction};
    return negotiate_write(&leg->peer->env.mem, w, &ours, offer, index);
}

/* 0, or the status to refuse with. The answer is written, nothing else changes but the hold of the other side. */
unsigned leg_take_offer(roam_leg *leg, roam_span sdp, roam_writer *answer, roam_direction *direction,
                        roam_addr *remote)
{
    roam_negotiated theirs;
    unsigned status = negotiate_read(&leg->peer->env.mem, sdp, &theirs);
    if (status)
        return status;
    unsigned ours = direction_reverse(theirs.direction);
    if (leg->local_hold)
        ours &= DIRECTION_SENDONLY;
    *direction = (roam_direction)ours;
    *remote = theirs.remote;
    if (leg_describe(leg, answer, *direction, sdp, theirs.index) != ROAM_OK)
        return 500;
    leg->remote_hold = !(theirs.direction & DIRECTION_RECVONLY);
    return 0;
}

/* The answer to our offer: in a 2xx or in an ACK. */
bool leg_take_answer(roam_leg *leg, const roam_message *m)
{
    roam_negotiated theirs;
    if (!message_has_body_type(m, LEG_SDP_TYPE) || negotiate_read(&leg->peer->env.mem, m->body, &theirs))
        return false;
    if (leg->offered & DIRECTION_SENDONLY)
        leg->remote_hold = !(theirs.direction & DIRECTION_RECVONLY);
    (void)audio_signal(&leg->audio, &theirs.remote,
                       (roam_direction)(leg->offered & direction_reverse(theirs.direction)));
    return true;
}

bool leg_answer_in(roam_leg *leg, const roam_message *m, roam_writer *answer)
{
    roam_direction direction;
    roam_addr remote;
    if (!message_has_body_type(m, LEG_SDP_TYPE) || leg_take_offer(leg, m->body, answer, &direction, &remote))
        return false;
    leg->offered = direction;
    (void)audio_signal(&leg->audio, &remote, direction);
    return true;
}

uint32_t message_cseq(const roam_message *m)
{
    roam_cseq cseq;
    return cseq_parse(message_value(m, HEADER_CSEQ), &cseq) == ROAM_OK ? cseq.number : 0;
}

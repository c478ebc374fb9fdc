/* What a leg sends by itself, and what becomes of it. */
#include "testbed/leg_inside.h"

#define MAX_ANSWERED_CHALLENGES 2u

static void common_headers(roam_leg *leg, roam_request *r, roam_method method);
static void invite_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);
static void invite_accepted(roam_leg *leg, roam_client_txn *txn, const roam_message *response);
static void invite_refused(roam_leg *leg, unsigned status, const roam_message *response);
static void other_fork(roam_leg *leg, const roam_message *response);
static void update_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);
static void change_refused(roam_leg *leg, unsigned status, const roam_message *response);
static void bye_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);

int leg_send_invite(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    char body[LEG_SDP_MAX];
    roam_writer sdp;
    roam_request r;
    writer_init(&sdp, body, sizeof body);
    bool first = leg->state == LEG_CALLING, offers = !(first && leg->offerless);
    leg->offered = leg_wanted_direction(leg, leg->wanted_hold);
    int err = offers ? leg_describe(leg, &sdp, leg->offered, (roam_span){0}, 0) : ROAM_OK;
    if (err)
        return err;
    roam_flow *flow = leg_flow(leg, &leg->dialog);
    if (!flow)
        return ROAM_EOFFLINE;
    dialog_request_begin(&leg->dialog, &peer->sip, &r, flow, METHOD_INVITE, 0);
    common_headers(leg, &r, METHOD_INVITE);
    leg_timer_write_request(leg, &r.w);
    if (first && peer->config.rel == PEER_REL_REQUIRED)
        write_header(&r.w, HEADER_REQUIRE, SPAN("100rel"));
    if (first && leg->replaces) {
        write_header(&r.w, HEADER_REPLACES, span_of(leg->replaces));
        write_header(&r.w, HEADER_REQUIRE, SPAN("replaces"));
    }
    write_body(&r.w, offers ? LEG_SDP_TYPE : (roam_span){0}, writer_span(&sdp));
    leg->invite = request_send(&r, invite_event, leg);
    flow_unref(flow);
    if (!leg->invite)
        return ROAM_ENOMEM;
    leg->sent_epoch = peer->epoch;
    leg->offer = offers ? OFFER_SENT : OFFER_NONE;
    return ROAM_OK;
}

int leg_send_update(roam_leg *leg, bool with_offer)
{
    roam_peer *peer = leg->peer;
    char body[LEG_SDP_MAX];
    roam_writer sdp;
    roam_request r;
    writer_init(&sdp, body, sizeof body);
    leg->offered = leg_wanted_direction(leg, leg->wanted_hold);
    int err = with_offer ? leg_describe(leg, &sdp, leg->offered, (roam_span){0}, 0) : ROAM_OK;
    if (err)
        return err;
    roam_flow *flow = leg_flow(leg, &leg->dialog);
    if (!flow)
        return ROAM_EOFFLINE;
    dialog_request_begin(&leg->dialog, &peer->sip, &r, flow, METHOD_UPDATE, 0);
    common_headers(leg, &r, METHOD_UPDATE);
    if (leg->state == LEG_CONFIRMED)
        leg_timer_write_request(leg, &r.w);
    write_body(&r.w, with_offer ? LEG_SDP_TYPE : (roam_span){0}, writer_span(&sdp));
    leg->update = request_send(&r, update_event, leg);
    flow_unref(flow);
    if (!leg->update)
        return ROAM_ENOMEM;
    leg->sent_epoch = peer->epoch;
    leg->update_offers = with_offer;
    if (with_offer)
        leg->offer = OFFER_SENT;
    return ROAM_OK;
}

int leg_send_bye(roam_leg *leg)
{
    roam_request r;
    roam_flow *flow = leg_flow(leg, &leg->dialog);
    leg->hangup_wanted = false;
    env_cancel(&leg->peer->env, &leg->retry_timer);
    if (flow) {
        dialog_request_begin(&leg->dialog, &leg->peer->sip, &r, flow, METHOD_BYE, 0);
        peer_write_credentials(leg->peer, &r.w, METHOD_BYE, span_of(leg->dialog.remote_target));
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        leg->bye = request_send(&r, bye_event, leg);
        flow_unref(flow);
    }
    if (!leg->bye) {
        leg_end(leg, 0, "BYE could not be sent");
        return ROAM_ENOMEM;
    }
    if (leg->state == LEG_CONFIRMED) {
        leg_set_state(leg, LEG_CLOSING, "BYE");
        leg->challenges = 0;
    }
    return ROAM_OK;
}

roam_flow *leg_flow(roam_leg *leg, const roam_dialog *dialog)
{
    roam_uri next;
    return dialog_next_hop(dialog, &next) == ROAM_OK ? peer_flow(leg->peer, &next) : NULL;
}

static void common_headers(roam_leg *leg, roam_request *r, roam_method method)
{
    peer_write_contact(leg->peer, &r->w);
    peer_write_allow(leg->peer, &r->w);
    peer_write_credentials(leg->peer, &r->w, method, span_of(leg->dialog.remote_target));
}

/* Our INVITE, the first or a later one. What comes for one that is over can only be a 2xx again. */
static void invite_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_leg *leg = user;
    if (event == CLIENT_ENDED) {
        if (txn == leg->invite)
            leg->invite = NULL;
        if (txn == leg->accepted)
            leg->accepted = NULL;
        return;
    }
    if (txn == leg->accepted) {
        if (event != CLIENT_RESPONSE || message->status < 200 || message->status > 299)
            return;
        if (!dialog_matches(&leg->dialog, message, false)) {
            other_fork(leg, message);
        } else if (leg->ack.bytes && leg->ack.cseq == message_cseq(message)) {
            roam_flow *flow = leg_flow(leg, &leg->dialog);
            if (flow)
                (void)ack_resend(&leg->ack, &leg->peer->sip, flow);
            flow_unref(flow);
        }
        return;
    }
    if (txn != leg->invite)
        return;
    if (event == CLIENT_TIMEOUT || event == CLIENT_FAILED) {
        invite_refused(leg, event == CLIENT_TIMEOUT ? 408 : 503, NULL);
    } else if (message->status < 200) {
        if (leg->state == LEG_CALLING && message->status > 100)
            leg_provisional(leg, message);
    } else if (message->status < 300) {
        invite_accepted(leg, txn, message);
    } else {
        invite_refused(leg, message->status, message);
    }
}

static void invite_accepted(roam_leg *leg, roam_client_txn *txn, const roam_message *response)
{
    roam_peer *peer = leg->peer;
    bool first = leg->state == LEG_CALLING || leg->state == LEG_CANCELLING;
    if (leg->accepted)
        client_txn_abandon(leg->accepted);
    leg->accepted = txn;
    leg->invite = NULL;
    leg->challenges = 0;
    leg->last_status = response->status;
    if (first)
        leg_early_over(leg, response); /* another fork rang, this one answered? */
    int err = first ? dialog_on_response(&leg->dialog, response) : dialog_target_refresh(&leg->dialog, response);
    leg_take_allow(leg, response);
    /* RFC 3261 13.2.1: the answer is in the 2xx, or the offer is, or both were exchanged before. */
    char body[LEG_SDP_MAX];
    roam_writer answer;
    bool settled = first && leg->early.settled, usable = true;
    writer_init(&answer, body, sizeof body);
    if (settled)
        leg->offer = OFFER_NONE;
    else if (first && leg->offerless)
        usable = leg_answer_in(leg, response, &answer);
    else
        usable = leg_take_answer(leg, response);
    roam_flow *flow = leg_flow(leg, &leg->dialog);
    if (flow)
        (void)ack_send(&leg->ack, &leg->dialog, &peer->sip, flow, message_cseq(response),
                       answer.len ? LEG_SDP_TYPE : (roam_span){0}, writer_span(&answer));
    flow_unref(flow);
    leg->offer = OFFER_NONE;
    bool gave_up = leg->state == LEG_CANCELLING;
    if (first)
        leg_set_state(leg, LEG_CONFIRMED, "2xx");
    if (leg->state != LEG_CONFIRMED)
        return;
    if (gave_up || err || !usable) {
        leg->end_why = gave_up ? "cancelled" : "no usable answer";
        (void)leg_send_bye(leg);
        return;
    }
    if (!settled)
        leg->local_hold = leg->wanted_hold;
    leg_timer_take_response(leg, response);
    leg_move_told(leg, true);
    peer_event(peer, first ? PEER_CALL_CONFIRMED : PEER_CALL_CHANGED, leg, response->status, "");
}

static void invite_refused(roam_leg *leg, unsigned status, const roam_message *response)
{
    bool first = leg->state == LEG_CALLING || leg->state == LEG_CANCELLING;
    leg->last_status = status;
    leg->offer = OFFER_NONE;
    client_txn_abandon(leg->invite);
    leg->invite = NULL;
    if (first)
        leg_early_over(leg, NULL);
    bool wanted = leg->state == LEG_CALLING || leg->state == LEG_CONFIRMED;
    if (wanted && response && status == 422 && leg_timer_raise(leg, response) && leg_send_invite(leg) == ROAM_OK)
        return;
    if (wanted && response && (status == 401 || status == 407) &&
        leg->challenges++ < MAX_ANSWERED_CHALLENGES && peer_learn_challenge(leg->peer, response) &&
        leg_send_invite(leg) == ROAM_OK)
        return;
    if (first)
        leg_end(leg, status, leg->state == LEG_CANCELLING ? "cancelled" : "refused");
    else if (leg->state == LEG_CONFIRMED)
        change_refused(leg, status, response);
}

/* RFC 3261 13.2.2.4: a 2xx of a further fork is ACKed, and that dialog ended. */
static void other_fork(roam_leg *leg, const roam_message *response)
{
    roam_peer *peer = leg->peer;
    roam_dialog fork;
    roam_ack ack = {0};
    roam_uri next;
    roam_request r;
    if (dialog_init_fork(&fork, &leg->dialog) != ROAM_OK)
        return;
    roam_flow *flow = NULL;
    if (dialog_on_response(&fork, response) == ROAM_OK && dialog_next_hop(&fork, &next) == ROAM_OK)
        flow = peer_flow(peer, &next);
    if (flow) {
        (void)ack_send(&ack, &fork, &peer->sip, flow, message_cseq(response), (roam_span){0}, (roam_span){0});
        dialog_request_begin(&fork, &peer->sip, &r, flow, METHOD_BYE, 0);
        peer_write_credentials(peer, &r.w, METHOD_BYE, span_of(fork.remote_target));
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)request_send(&r, NULL, NULL);
    }
    flow_unref(flow);
    ack_free(&ack, &peer->env.mem);
    dialog_free(&fork);
}

static void update_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_leg *leg = user;
    if (txn != leg->update)
        return;
    if (event == CLIENT_ENDED) {
        leg->update = NULL;
        return;
    }
    if (event == CLIENT_RESPONSE && message->status < 200)
        return;
    unsigned status = event == CLIENT_RESPONSE ? message->status : event == CLIENT_TIMEOUT ? 408 : 503;
    bool offered = leg->update_offers, early = leg->state == LEG_RINGING || leg->state == LEG_CALLING;
    leg->last_status = status;
    if (offered)
        leg->offer = OFFER_NONE;
    client_txn_abandon(leg->update);
    leg->update = NULL;
    if (leg->state != LEG_CONFIRMED && !early)
        return;
    if (status < 300) {
        leg->challenges = 0;
        (void)dialog_target_refresh(&leg->dialog, message);
        if (!early)
            leg_timer_take_response(leg, message);
        leg_move_told(leg, offered);
        if (offered && leg_take_answer(leg, message))
            leg->local_hold = leg->wanted_hold;
        peer_event(leg->peer, PEER_CALL_CHANGED, leg, status, "");
        if (leg->answer_wanted)
            (void)leg_answer(leg);
        return;
    }
    if ((status == 401 || status == 407) && leg->challenges++ < MAX_ANSWERED_CHALLENGES &&
        peer_learn_challenge(leg->peer, message) && leg_send_update(leg, offered) == ROAM_OK)
        return;
    if (status == 422 && leg_timer_raise(leg, message) && leg_send_update(leg, offered) == ROAM_OK)
        return;
    if (early) { /* the INVITE decides */
        peer_event(leg->peer, PEER_CALL_REFUSED, leg, status, "");
        if (leg->answer_wanted)
            (void)leg_answer(leg);
        return;
    }
    change_refused(leg, status, event == CLIENT_RESPONSE ? message : NULL);
}

/* RFC 3261 12.2.1.2 and 14.1. */
static void change_refused(roam_leg *leg, unsigned status, const roam_message *response)
{
    roam_env *env = &leg->peer->env;
    uint32_t seconds;
    roam_time wait = 0;
    leg->challenges = 0;
    if (status == 491) /* whoever chose the Call-ID waits longer */
        wait = leg->dialog.caller ? ROAM_MS(2100 + 10 * random_below(&env->random, 190))
                                  : ROAM_MS(10 * random_below(&env->random, 201));
    else if (status == 500 && response && message_seconds(response, HEADER_RETRY_AFTER, &seconds))
        wait = ROAM_SECONDS(seconds < 32 ? seconds : 32);
    if (wait || status == 491) {
        if (env_arm(env, &leg->retry_timer, wait) == ROAM_OK)
            return;
    }
    if (status == 408 && leg->peer->config.patient && env_arm(env, &leg->retry_timer, ROAM_SECONDS(2)) == ROAM_OK)
        return;
    if (status == 481 || status == 408) {
        leg->end_why = status == 481 ? "the other side does not know the call" : "no answer in the call";
        (void)leg_send_bye(leg);
        return;
    }
    peer_event(leg->peer, PEER_CALL_REFUSED, leg, status, "");
}

static void bye_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_leg *leg = user;
    if (txn != leg->bye)
        return;
    if (event == CLIENT_ENDED) {
        leg->bye = NULL;
        return;
    }
    if (event == CLIENT_RESPONSE && message->status < 200)
        return;
    leg->last_status = event == CLIENT_RESPONSE ? message->status : 408;
    client_txn_abandon(leg->bye);
    leg->bye = NULL;
    if (event == CLIENT_RESPONSE && (message->status == 401 || message->status == 407) &&
        leg->challenges++ < MAX_ANSWERED_CHALLENGES && peer_learn_challenge(leg->peer, message)) {
        (void)leg_send_bye(leg);
        return;
    }
    leg_end(leg, leg->last_status, "hung up");
}

void leg_retry_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, retry_timer);
    int err = ROAM_EBUSY;
    if (leg->state == LEG_CANCELLING && leg->invite && client_txn_cancel(leg->invite, NULL, false) == ROAM_ENOMEM)
        (void)env_arm(&leg->peer->env, timer, ROAM_MS(500));
    if (leg->state != LEG_CONFIRMED)
        return;
    /* Theirs came in between: ours waits once more. */
    if (leg->offer == OFFER_NONE && !accept_waiting(&leg->accept) && !leg->reinvite && !leg->invite && !leg->update)
        err = leg->change_is_update ? leg_send_update(leg, leg->change_offers) : leg_send_invite(leg);
    if (err)
        (void)env_arm(&leg->peer->env, timer, ROAM_MS(100));
}

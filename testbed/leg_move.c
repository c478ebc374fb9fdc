/* A call whose peer moved: what is told to the other side, and when. Nothing is scripted: as long as the other side has
 * not accepted the address of today, the next thing that may be said is said. */
#include "testbed/leg_inside.h"

#define MAX_TELLINGS 16u /* of one move, to one that refuses */

static void abandon_change(roam_leg *leg);
static void new_sound(roam_leg *leg);
static void tell(roam_leg *leg);

void leg_moved(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_server_txn *theirs[] = {leg->invite_server, leg->reinvite, leg->accept.txn};
    if (leg->state == LEG_ENDED)
        return;
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        if (theirs[i])
            server_txn_move(theirs[i], peer->path);
    new_sound(leg);
    switch (leg->state) {
    case LEG_CALLING:
    case LEG_CANCELLING: {
        /* The answer would go to the old address: given up, as some do. Nobody knows whether it rings there. */
        roam_flow *flow = leg_flow(leg, &leg->dialog);
        if (leg->state == LEG_CALLING)
            leg_set_state(leg, LEG_CANCELLING, "moved");
        leg->ended_here = true;
        leg->end_why = "moved before the answer";
        if (flow && leg->invite)
            (void)client_txn_cancel(leg->invite, flow, true);
        flow_unref(flow);
        break;
    }
    case LEG_CONFIRMED:
        leg->tellings = 0;
        abandon_change(leg);
        tell(leg);
        break;
    case LEG_CLOSING:
        if (leg->bye)
            client_txn_abandon(leg->bye);
        leg->bye = NULL;
        (void)leg_send_bye(leg);
        break;
    case LEG_RINGING:
    case LEG_ENDED: break;
    }
}

void leg_move_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, move_timer);
    if (leg->state == LEG_CONFIRMED && leg->epoch != leg->peer->epoch)
        tell(leg);
}

void leg_move_told(roam_leg *leg, bool with_sdp)
{
    leg->target_epoch = leg->sent_epoch;
    /* An ACK for a 2xx of ours went to the old target, and will again: who answers us knows that the call is up. */
    if (accept_waiting(&leg->accept) && leg->epoch != leg->sent_epoch) {
        accept_stop(&leg->accept);
        if (leg->offer == OFFER_IN_2XX)
            leg->offer = OFFER_NONE;
    }
    if (with_sdp)
        leg->epoch = leg->sent_epoch;
}

/* A change under way went with the old address, and its answer with it. An INVITE that was accepted meanwhile waits for
 * its ACK over there: it gets one; where none was accepted, it is nobody's. */
static void abandon_change(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_ack ack = {0};
    if (leg->invite) {
        roam_flow *flow = leg_flow(leg, &leg->dialog);
        roam_cseq cseq = {0};
        roam_message sent;
        roam_header_space *space = mem_alloc(&peer->env.mem, sizeof *space);
        if (space && message_parse(&sent, space, client_txn_request(leg->invite)) == ROAM_OK)
            (void)cseq_parse(message_value(&sent, HEADER_CSEQ), &cseq);
        mem_free(&peer->env.mem, space);
        if (flow && cseq.number)
            (void)ack_send(&ack, &leg->dialog, &peer->sip, flow, cseq.number, (roam_span){0}, (roam_span){0});
        ack_free(&ack, &peer->env.mem);
        flow_unref(flow);
        client_txn_abandon(leg->invite);
    } else if (!leg->update && !timer_armed(&leg->retry_timer)) {
        leg->wanted_hold = leg->local_hold;
    }
    if (leg->update)
        client_txn_abandon(leg->update);
    leg->invite = leg->update = NULL;
    env_cancel(&peer->env, &leg->retry_timer);
    if (leg->offer == OFFER_SENT)
        leg->offer = OFFER_NONE;
}

/* SSRC, sequence and time go on. No new socket: the call stays mute, as its host wants it. */
static void new_sound(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    uint32_t socket;
    roam_addr local;
    if (!leg->rtp_open || peer->host.open_rtp(peer->host.user, &socket, &local) != ROAM_OK)
        return;
    peer->host.close_rtp(peer->host.user, leg->rtp_socket);
    leg->rtp_socket = leg->audio.socket = socket;
    leg->rtp_local = local;
}

static void tell(roam_leg *leg)
{
    roam_env *env = &leg->peer->env;
    bool hold = leg->wanted_hold;
    int err = leg_change(leg, hold, leg->peer->config.moves_by_update, true);
    /* An exchange of theirs is open: the new target at least, which needs none (RFC 3311 5.1). */
    if (err == ROAM_EBUSY && leg->allows_update && !leg->update && leg->target_epoch != leg->peer->epoch) {
        leg->challenges = 0;
        (void)leg_send_update(leg, false);
    }
    leg->tellings += !err;
    /* Looked at again, also when it was sent: it may be refused. */
    if (leg->tellings < MAX_TELLINGS)
        (void)env_arm(env, &leg->move_timer, err ? ROAM_MS(200) : ROAM_SECONDS(4));
}

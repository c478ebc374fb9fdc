/* Before the answer, as callee: ringing, early media, reliable provisionals (RFC 3262 3), 199 (RFC 6228). */
#include "testbed/leg_inside.h"

typedef struct rack {
    uint32_t rseq, cseq;
    bool invite;
} rack;

static bool wants_reliable(const roam_leg *leg, const roam_message *invite);
static int write_early_sdp(roam_leg *leg, const roam_message *invite, bool reliable, roam_writer *sdp,
                           roam_addr *remote, roam_direction *direction, unsigned *refusal);
static bool rack_parse(roam_span value, rack *out);

int leg_ring(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_message invite;
    char body[LEG_SDP_MAX];
    roam_writer sdp;
    roam_response r;
    roam_addr remote = {0};
    roam_direction direction = DIRECTION_INACTIVE;
    if (leg->state != LEG_RINGING || !leg->invite_server)
        return ROAM_ESTATE;
    if (leg->reliable.waiting || leg->settled)
        return ROAM_EBUSY;
    roam_header_space *space = mem_alloc(&peer->env.mem, sizeof *space);
    int err = space ? server_txn_request(leg->invite_server, &invite, space) : ROAM_ENOMEM;
    if (err) {
        mem_free(&peer->env.mem, space);
        return err;
    }
    bool reliable = wants_reliable(leg, &invite), offered = invite.body.len > 0;
    unsigned refusal = 0;
    writer_init(&sdp, body, sizeof body);
    err = write_early_sdp(leg, &invite, reliable, &sdp, &remote, &direction, &refusal);
    if (refusal) {
        mem_free(&peer->env.mem, space);
        return leg_reject(leg, refusal);
    }
    if (!err) {
        response_begin(leg->invite_server, &r, peer->config.early_media ? 183 : 180, (roam_span){0}, (roam_span){0});
        write_headers_copied(&r.w, &invite, HEADER_RECORD_ROUTE);
        peer_write_contact(peer, &r.w);
        peer_write_allow(peer, &r.w);
        if (reliable) {
            write_header(&r.w, HEADER_REQUIRE, SPAN("100rel"));
            leg->reliable.rseq = leg->reliable.rseq ? leg->reliable.rseq + 1 : 1 + random_below(&peer->env.random, 1000);
            write_header_u32(&r.w, HEADER_RSEQ, leg->reliable.rseq);
        }
        write_body(&r.w, sdp.len ? LEG_SDP_TYPE : (roam_span){0}, writer_span(&sdp));
        err = response_send(&r);
    }
    mem_free(&peer->env.mem, space);
    if (err)
        return err;
    if (sdp.len && offered)
        (void)audio_signal(&leg->audio, &remote, direction);
    leg->previewed = sdp.len && !reliable;
    if (!reliable)
        return ROAM_OK;
    if (sdp.len) {
        leg->offered = direction;
        leg->offer = offered ? OFFER_NONE : OFFER_IN_18X;
        leg->settled = true;
    }
    leg->reliable.interval = peer->sip.timers.t1;
    leg->reliable.limit = peer->env.now + 64 * peer->sip.timers.t1;
    leg->reliable.waiting = env_arm(&peer->env, &leg->reliable.timer, leg->reliable.interval) == ROAM_OK;
    return leg->reliable.waiting ? ROAM_OK : leg_reject(leg, 500);
}

/* RFC 3262 3, 5. Each is answered; one that fits nothing with 481. */
void leg_prack(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    roam_peer *peer = leg->peer;
    char body[LEG_SDP_MAX];
    roam_writer sdp;
    roam_response r;
    rack said;
    roam_direction direction = DIRECTION_INACTIVE;
    roam_addr remote = {0};
    unsigned status = 0;
    if (!rack_parse(message_value(request, HEADER_RACK), &said)) {
        (void)server_txn_respond(txn, 400, (roam_span){0});
        return;
    }
    if (!leg->reliable.waiting || said.rseq != leg->reliable.rseq || !said.invite || leg->state != LEG_RINGING ||
        said.cseq != leg->invite_cseq) {
        (void)server_txn_respond(txn, 481, (roam_span){0});
        return;
    }
    writer_init(&sdp, body, sizeof body);
    if (leg->offer == OFFER_IN_18X) {
        if (!leg_take_answer(leg, request))
            status = 488;
    } else if (request->body.len) { /* a further offer: only after the first one was answered */
        status = leg->offer != OFFER_NONE ? 491 : !message_has_body_type(request, LEG_SDP_TYPE) ? 415
                                                : leg_take_offer(leg, request->body, &sdp, &direction, &remote);
    }
    leg_reliable_stop(leg);
    leg->pracks++;
    response_begin(txn, &r, status ? status : 200, (roam_span){0}, (roam_span){0});
    write_body(&r.w, !status && sdp.len ? LEG_SDP_TYPE : (roam_span){0},
               status ? (roam_span){0} : writer_span(&sdp));
    if (response_send(&r) != ROAM_OK)
        (void)server_txn_respond(txn, 500, (roam_span){0});
    else if (!status && sdp.len)
        (void)audio_signal(&leg->audio, &remote, direction);
    if (leg->offer == OFFER_IN_18X) {
        leg->offer = OFFER_NONE;
        if (status) {
            (void)leg_reject(leg, status);
            return;
        }
    }
    peer_event(peer, PEER_CALL_CHANGED, leg, status ? status : 200, "PRACK");
    if (leg->answer_wanted)
        (void)leg_answer(leg);
}

void leg_reliable_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, reliable.timer);
    roam_env *env = &leg->peer->env;
    if (env->now >= leg->reliable.limit) {
        leg_reliable_stop(leg);
        (void)leg_reject(leg, 504);
        return;
    }
    leg->reliable.interval *= 2; /* without a ceiling (RFC 3262 3) */
    roam_time next = env->now + leg->reliable.interval;
    (void)timer_arm(&env->timers, timer, next < leg->reliable.limit ? next : leg->reliable.limit);
    if (leg->invite_server)
        (void)server_txn_resend(leg->invite_server);
}

void leg_reliable_stop(roam_leg *leg)
{
    env_cancel(&leg->peer->env, &leg->reliable.timer);
    leg->reliable.waiting = false;
}

void leg_tell_end_of_early(roam_leg *leg, unsigned status)
{
    roam_response r;
    /* RFC 6228 4: pointless where the failure can be sent as well, but some gateways do. Never while a reliable one is
     * open. */
    if (!leg->peer->config.sends_199 || !leg->takes_199 || leg->reliable.waiting || !leg->invite_server)
        return;
    response_begin(leg->invite_server, &r, 199, SPAN("Early Dialog Terminated"), (roam_span){0});
    write_header_name(&r.w, HEADER_REASON);
    write_lit(&r.w, "SIP;cause=");
    write_u64(&r.w, status);
    write_lit(&r.w, "\r\n");
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
}

static bool wants_reliable(const roam_leg *leg, const roam_message *invite)
{
    bool required = message_has_token(invite, HEADER_REQUIRE, SPAN("100rel"));
    bool supported = required || message_has_token(invite, HEADER_SUPPORTED, SPAN("100rel"));
    switch (leg->peer->config.rel) {
    case PEER_REL_NONE: return false;
    case PEER_REL_ACCEPTED: return required;
    case PEER_REL_USED:
    case PEER_REL_REQUIRED: return supported;
    }
    return false;
}

/* Early media has our answer in it. An INVITE without an offer gets ours in the first reliable response (RFC 3262 5). */
static int write_early_sdp(roam_leg *leg, const roam_message *invite, bool reliable, roam_writer *sdp,
                           roam_addr *remote, roam_direction *direction, unsigned *refusal)
{
    if (invite->body.len) {
        if (leg->peer->config.early_media)
            *refusal = leg_take_offer(leg, invite->body, sdp, direction, remote);
        return ROAM_OK;
    }
    if (!reliable)
        return ROAM_OK;
    *direction = leg_wanted_direction(leg, leg->local_hold);
    return leg_describe(leg, sdp, *direction, (roam_span){0}, 0);
}

static bool rack_parse(roam_span value, rack *out)
{
    roam_span rest, first = span_cut(span_trim(value), ' ', &rest);
    roam_span second = span_cut(span_trim(rest), ' ', &rest);
    out->invite = span_eq(span_trim(rest), SPAN("INVITE"));
    return span_u32(first, &out->rseq) && span_u32(second, &out->cseq);
}

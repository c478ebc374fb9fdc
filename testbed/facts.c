#include "testbed/facts.h"

static void copy_text(char *out, size_t size, const char *text);

bool peer_facts(const roam_peer *peer, uint32_t call, roam_leg_facts *out)
{
    const roam_leg *leg = peer_leg(peer, call);
    *out = (roam_leg_facts){0};
    if (!leg)
        return false;
    const roam_dialog *d = &leg->dialog;
    const roam_audio *a = &leg->audio;
    out->state = leg->state;
    copy_text(out->call_id, sizeof out->call_id, d->call_id);
    copy_text(out->local_tag, sizeof out->local_tag, d->local_tag);
    copy_text(out->remote_tag, sizeof out->remote_tag, d->remote_tag);
    copy_text(out->remote_target, sizeof out->remote_target, d->remote_target);
    out->local_cseq = d->local_cseq;
    out->remote_cseq = d->remote_cseq;
    out->caller = d->caller;
    out->change_pending = leg->invite || leg->update || leg->early.prack || leg->invite_server || leg->reinvite ||
                          leg->reliable.waiting || timer_armed(&leg->retry_timer);
    out->ack_pending = accept_waiting(&leg->accept);
    out->offer_pending = leg->offer != OFFER_NONE;
    out->moving = leg->epoch != peer->epoch;
    out->local_hold = leg->local_hold;
    out->remote_hold = leg->remote_hold;
    out->direction = a->direction;
    out->sdp_version = leg->sdp_version;
    out->rtp_local = leg->rtp_local;
    out->rtp_signalled = a->signalled;
    out->rtp_to = a->to;
    out->rtp_sent = a->sent;
    out->rtp_received = a->received;
    out->rtp_refused = a->refused;
    out->sequence_sent = a->sequence;
    out->sequence_received = a->last_sequence;
    out->ssrc_sent = a->ssrc;
    out->last_received = a->last_received;
    out->nsources = a->nsources;
    memcpy(out->sources, a->sources, sizeof out->sources);
    out->ended_here = leg->ended_here;
    out->last_status = leg->last_status;
    out->end_why = leg->end_why;
    return true;
}

size_t peer_calls(const roam_peer *peer, uint32_t *ids, size_t max)
{
    size_t n = 0;
    list_each (leg, &peer->legs, roam_leg, node) {
        if (leg->state == LEG_ENDED)
            continue;
        if (n < max)
            ids[n] = leg->id;
        n++;
    }
    return n;
}

uint32_t peer_find_call(const roam_peer *peer, roam_span call_id)
{
    list_each (leg, &peer->legs, roam_leg, node)
        if (leg->state != LEG_ENDED && span_eq(span_of(leg->dialog.call_id), call_id))
            return leg->id;
    return 0;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len >= size)
        len = size - 1;
    if (len)
        memcpy(out, text, len);
    out[len] = '\0';
}

/* Datagrams into the stream: who sent them, are they new, what is in them. */
#include "media/stream_private.h"

static void receive_rtp(roam_stream *s, uint32_t socket, const roam_addr *from, roam_span bytes);
static void receive_event(roam_stream *s, const roam_rtp *rtp);
static void source_changed(roam_stream *s, const roam_rtp *rtp, roam_source_verdict verdict);
static void note_arrival(roam_stream *s);
static void note_packet_time(roam_stream *s);

void stream_receive(roam_stream *s, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    for (size_t i = 0; i < s->nlegs; i++) {
        const roam_leg *leg = &s->legs[i].leg;
        if (socket == leg->rtp_socket) {
            /* RTCP on this port is taken whether it was negotiated or not: it cannot be mistaken for anything else. */
            if (rtp_is_rtcp(bytes))
                stream_rtcp_receive(s, from, bytes);
            else
                receive_rtp(s, socket, from, bytes);
            return;
        }
        if (socket == leg->rtcp_socket) {
            stream_rtcp_receive(s, from, bytes);
            return;
        }
    }
    stream_refuse(s, from, "not a leg of this stream");
}

void stream_expect(roam_stream *s)
{
    const bool expecting = s->started && stream_receives(s) && s->remote_rtp.ip.family != 0;
    if (expecting == s->expecting)
        return;
    s->expecting = expecting;
    s->gap_arrival = false;
    s->gap_from = s->env->now;
    s->silent = false;
    if (!stream_receives(s) && s->jitter)
        jitter_reset(s->jitter, "not receiving");
}

void stream_check_silence(roam_stream *s)
{
    if (!s->expecting || s->silent || s->env->now - s->gap_from < s->silence)
        return;
    s->silent = true;
    trace_state(&s->env->trace, "stream", s->id, "heard", "silent", "nothing came");
    stream_emit(s, &(roam_stream_event){.type = STREAM_SILENT, .gap_ms = (uint32_t)((s->env->now - s->gap_from) / 1000u)});
}

bool stream_collision(roam_stream *s, const roam_addr *from)
{
    /* Nobody but the peer can make us change it. */
    if (!roam_addr_equal(from, &s->remote_rtp) && !roam_addr_equal(from, &s->remote_rtcp) &&
        !(s->source.known && roam_addr_equal(from, &s->source.addr)))
        return false;
    size_t oldest = 0;
    for (size_t i = 0; i < STREAM_CONFLICTS; i++) {
        /* A second time from there: our own packets come back. */
        if (s->conflicts[i].addr.ip.family && roam_addr_equal(&s->conflicts[i].addr, from) &&
            s->env->now - s->conflicts[i].seen < 10 * s->rtcp_minimum) {
            s->conflicts[i].seen = s->env->now;
            return false;
        }
        if (s->conflicts[i].seen < s->conflicts[oldest].seen)
            oldest = i;
    }
    s->conflicts[oldest].addr = *from;
    s->conflicts[oldest].seen = s->env->now;
    if (s->stats.packets_sent || s->rtcp.sent)
        stream_rtcp_now(s, true); /* BYE with the old one */
    stream_new_ssrc(s);
    s->sr_packets = s->sr_octets = 0;
    trace_note(&s->env->trace, "stream", s->id, "the peer uses our SSRC: a new one");
    return true;
}

static void receive_rtp(roam_stream *s, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    roam_rtp rtp;
    if (rtp_parse(&rtp, bytes) != ROAM_OK) {
        stream_refuse(s, from, "not RTP");
        return;
    }
    if (!s->has_format) {
        stream_refuse(s, from, "nothing negotiated yet");
        return;
    }
    if (rtp.ssrc == s->ssrc && !stream_collision(s, from)) {
        stream_refuse(s, from, "our own SSRC");
        return;
    }
    const bool event = s->format.has_dtmf && rtp.payload_type == s->format.receive_dtmf_type;
    const bool known_type = event || rtp.payload_type == s->format.receive_payload_type;
    const bool present = s->source.known && rtp.ssrc == s->source.ssrc && roam_addr_equal(from, &s->source.addr);
    /* A packet that we cannot use proves nothing about a new source; from the present one it counts in the sequence. */
    if (!known_type && !present) {
        stream_refuse(s, from, "payload type");
        return;
    }
    const roam_source_verdict verdict = source_check(&s->source, s->env->now, from, rtp.ssrc, rtp.sequence, s->reception.max_sequence);
    if (verdict == SOURCE_REFUSED) {
        stream_refuse(s, from, "not the source we listen to");
        return;
    }
    if (verdict != SOURCE_ACCEPTED)
        source_changed(s, &rtp, verdict);
    s->rtcp.heard = s->env->now;

    const uint32_t missing = reception_missing(&s->reception);
    const roam_reception_result result = reception_update(&s->reception, rtp.sequence);
    if (result == RECEPTION_JUMP) {
        stream_refuse(s, from, "sequence far away");
        return;
    }
    if (result == RECEPTION_RESTARTED) {
        s->lost_before += missing;
        jitter_reset(s->jitter, "the peer's sequence began anew");
    }
    if (!event)
        reception_transit(&s->reception, rtp.timestamp,
                          (uint32_t)(s->env->now / 1000000u * s->format.codec->clock + s->env->now % 1000000u * s->format.codec->clock / 1000000u));
    if (!known_type) {
        stream_refuse(s, from, "payload type");
        return;
    }
    if (result == RECEPTION_DUPLICATE) {
        s->stats.packets_duplicate++;
    } else {
        s->stats.packets_received++;
        s->stats.bytes_received += rtp.payload.len;
        note_arrival(s);
        if (stream_receives(s)) {
            if (event)
                receive_event(s, &rtp);
            else
                (void)jitter_put(s->jitter, s->env->now, rtp.timestamp, rtp.payload); /* counts what it refuses */
            note_packet_time(s);
        }
    }
    roam_stream_leg *leg = stream_leg(s, socket);
    if (leg)
        leg->last = s->env->now;
    if (leg && !leg->heard) {
        leg->heard = true;
        stream_emit(s, &(roam_stream_event){.type = STREAM_RECEIVED, .leg = socket});
    }
}

static void receive_event(roam_stream *s, const roam_rtp *rtp)
{
    const uint32_t clock = s->format.codec->clock;
    roam_dtmf_report reports[2];
    int n = dtmf_receive(&s->dtmf_in, s->env->now, rtp->timestamp, rtp->payload, reports);
    if (n < 0) {
        stream_refuse(s, &s->source.addr, "no digit");
        return;
    }
    /* No audio comes while the event lasts, and while its end is repeated. */
    const bool end = (uint8_t)rtp->payload.ptr[1] >> 7;
    jitter_quiet(s->jitter, rtp->timestamp, load_be16(rtp->payload.ptr + 2) + s->units * (end ? DTMF_END_PACKETS - 1 : 1));
    for (int i = 0; i < n; i++)
        stream_emit(s, &(roam_stream_event){.type = STREAM_DTMF, .digit = reports[i].digit, .duration_ms = reports[i].duration * 1000u / clock});
}

static void source_changed(roam_stream *s, const roam_rtp *rtp, roam_source_verdict verdict)
{
    if (verdict == SOURCE_MOVED) {
        trace_note(&s->env->trace, "stream", s->id, "the peer sends from another address");
        return;
    }
    trace_note(&s->env->trace, "stream", s->id, "a new source");
    s->lost_before += s->reception.received ? reception_missing(&s->reception) : 0;
    reception_init(&s->reception, rtp->sequence);
    s->dtmf_in = (roam_dtmf_receiver){0};
    jitter_reset(s->jitter, "a new source");
}

static void note_arrival(roam_stream *s)
{
    const roam_time now = s->env->now;
    s->stats.last_received = now;
    if (!s->expecting)
        return;
    const uint32_t gap_ms = (uint32_t)((now - s->gap_from) / 1000u);
    if (s->gap_arrival) {
        if (gap_ms > s->stats.longest_gap_ms)
            s->stats.longest_gap_ms = gap_ms;
        if (gap_ms > STREAM_GAP_PACKETS * s->ptime_ms)
            s->stats.last_gap_ms = gap_ms;
    }
    s->gap_from = now;
    s->gap_arrival = true;
    if (s->silent) {
        s->silent = false;
        trace_state(&s->env->trace, "stream", s->id, "silent", "heard", "a packet came");
        stream_emit(s, &(roam_stream_event){.type = STREAM_HEARD_AGAIN, .gap_ms = gap_ms});
    }
}

/* A peer with longer packets than ours is not silent between two of them. */
static void note_packet_time(roam_stream *s)
{
    const uint32_t units = s->jitter->packet_units > s->units ? s->jitter->packet_units : s->units;
    if (units != s->source_units) {
        s->source_units = units;
        s->source.packet_time = (uint64_t)units * 1000000u / s->format.codec->clock;
    }
}

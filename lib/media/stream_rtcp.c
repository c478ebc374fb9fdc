/* RTCP of a stream: when reports go (RFC 3550, 6.3), what they say, what the peer's say. */
#include "media/stream_private.h"

enum {
    BANDWIDTH = 500,        /* octets a second: 5 % of the 80 kbit/s of G.711 with its headers (6.2) */
    HEADERS_V4 = 28,        /* IP and UDP count in the average size */
    HEADERS_V6 = 48,
    TIMEOUT_INTERVALS = 5,  /* a member that says nothing is gone (6.2.1) */
    SENDER_INTERVALS = 2,   /* no RTP for so long: no sender any more (6.3.5) */
    ROUND_TRIP_MAX = 60 * 65536
};

static void rtcp_fire(roam_timer *timer);
static roam_rtcp_interval rtcp_terms(const roam_stream *s);
static void rtcp_schedule(roam_stream *s, roam_time at);
static void rtcp_count(roam_stream *s, size_t octets, uint8_t family);
static bool fill_block(roam_stream *s, roam_rtcp_block *block);
static uint32_t timestamp_now(const roam_stream *s);
static void read_block(roam_stream *s, const roam_rtcp_block *block);
static void peer_left(roam_stream *s);

void stream_rtcp_init(roam_stream *s)
{
    timer_init(&s->rtcp.timer, rtcp_fire, "RTCP report");
    s->rtcp.heard = ROAM_NEVER;
    s->rtcp.members = 1;
    /* What our first report will have: SR without a block, SDES (6.3.2 wants the probable size). */
    s->rtcp.average_size = (uint32_t)(HEADERS_V4 + 28 + 12 + strlen(s->cname)) * 16u;
}

int stream_rtcp_start(roam_stream *s)
{
    const roam_rtcp_interval terms = rtcp_terms(s);
    s->rtcp.last = s->env->now;
    s->rtcp.members = terms.members;
    return env_arm(s->env, &s->rtcp.timer, rtcp_interval(&terms, &s->env->random));
}

void stream_rtcp_now(roam_stream *s, bool bye)
{
    const roam_stream_leg *leg = stream_leg(s, s->sending);
    const bool mux = s->format.rtcp_mux;
    const roam_addr to = mux ? s->remote_rtp : s->remote_rtcp;
    if (leg && leg->leg.usable && s->has_format && to.ip.family) {
        const uint32_t socket = mux ? leg->leg.rtp_socket : leg->leg.rtcp_socket;
        /* 6.4: an SR when RTP was sent since the report before the last. */
        const bool sender = s->stats.packets_sent > s->rtcp.packets_at[1] && s->sr_packets > 0;
        roam_rtcp_sender_info info = {rtcp_ntp(s->env->now), timestamp_now(s), s->sr_packets, s->sr_octets};
        roam_rtcp_block block;
        char space[RTCP_MAX_PACKET];
        roam_writer w;
        writer_init(&w, space, sizeof space);
        write_rtcp(&w, &(roam_rtcp_report){.ssrc = s->ssrc, .sender = sender ? &info : NULL, .block = fill_block(s, &block) ? &block : NULL,
                                           .cname = span_of(s->cname), .bye = bye});
        s->rtcp.packets_at[1] = s->rtcp.packets_at[0];
        s->rtcp.packets_at[0] = s->stats.packets_sent;
        s->rtcp.sent = true;
        rtcp_count(s, w.len, to.ip.family);
        s->host.send(s->host.user, socket, &to, writer_span(&w));
    }
    s->rtcp.last = s->env->now;
    if (timer_armed(&s->rtcp.timer)) {
        const roam_rtcp_interval terms = rtcp_terms(s);
        s->rtcp.members = terms.members;
        rtcp_schedule(s, s->env->now + rtcp_interval(&terms, &s->env->random));
    }
}

void stream_rtcp_receive(roam_stream *s, const roam_addr *from, roam_span bytes)
{
    if (!rtcp_valid(bytes)) {
        stream_refuse(s, from, "not RTCP");
        return;
    }
    if (!s->has_format) {
        stream_refuse(s, from, "nothing negotiated yet");
        return;
    }
    const uint32_t sender = load_be32(bytes.ptr + 4); /* a valid compound begins with an SR or RR */
    if (sender == s->ssrc && !stream_collision(s, from)) {
        stream_refuse(s, from, "our own SSRC");
        return;
    }
    if (!source_check_rtcp(&s->source, s->env->now, from, sender)) {
        stream_refuse(s, from, "RTCP not from the peer");
        return;
    }
    rtcp_count(s, bytes.len, from->ip.family);
    s->rtcp.heard = s->stats.last_rtcp = s->env->now;
    bool bye = false;
    roam_rtcp packet;
    while (rtcp_next(&bytes, &packet)) {
        roam_rtcp_sender_info info;
        roam_rtcp_block block;
        if (rtcp_sender_info(&packet, &info)) {
            s->rtcp.has_peer_sr = true;
            s->rtcp.peer_sr_ssrc = packet.ssrc;
            s->rtcp.peer_sr = rtcp_ntp_middle(info.ntp);
            s->rtcp.peer_sr_at = s->env->now;
        }
        for (unsigned i = 0; rtcp_block(&packet, i, &block); i++)
            if (block.ssrc == s->ssrc)
                read_block(s, &block);
        /* Of the source that we listen to, or of a peer that has not sent any RTP. */
        if (packet.type == RTCP_BYE && rtcp_bye_names(&packet, s->source.known ? s->source.ssrc : sender))
            bye = true;
    }
    if (bye) {
        source_ended(&s->source, s->source.ssrc);
        peer_left(s);
        stream_emit(s, &(roam_stream_event){.type = STREAM_RTCP_BYE});
    }
}

/* 6.3.6, with timer reconsideration: what has changed since the timer was set may move it once more. */
static void rtcp_fire(roam_timer *timer)
{
    roam_stream *s = container_of(timer, roam_stream, rtcp.timer);
    const roam_rtcp_interval terms = rtcp_terms(s);
    const roam_time due = s->rtcp.last + rtcp_interval(&terms, &s->env->random);
    s->rtcp.members = terms.members;
    rtcp_schedule(s, due > s->env->now ? due : s->env->now + s->rtcp_minimum);
    if (due <= s->env->now)
        stream_rtcp_now(s, false);
}

static roam_rtcp_interval rtcp_terms(const roam_stream *s)
{
    roam_rtcp_interval terms = {
        .minimum = s->rtcp_minimum,
        .bandwidth = BANDWIDTH,
        .members = 1,
        .average_size = s->rtcp.average_size / 16,
        .we_sent = s->stats.packets_sent > s->rtcp.packets_at[1],
        .initial = !s->rtcp.sent,
    };
    terms.senders = terms.we_sent;
    const roam_time regular = rtcp_interval_deterministic(&terms);
    if (s->rtcp.heard != ROAM_NEVER && s->env->now - s->rtcp.heard < TIMEOUT_INTERVALS * regular) {
        terms.members++;
        if (s->stats.last_received && s->env->now - s->stats.last_received < SENDER_INTERVALS * regular)
            terms.senders++;
    }
    return terms;
}

/* Only while a place in the heap is there: armed, or just fired. */
static void rtcp_schedule(roam_stream *s, roam_time at)
{
    (void)timer_arm(&s->env->timers, &s->rtcp.timer, at);
}

static void rtcp_count(roam_stream *s, size_t octets, uint8_t family)
{
    /* average = size / 16 + average * 15 / 16, kept times 16 */
    const uint32_t size = (uint32_t)octets + (family == 6 ? HEADERS_V6 : HEADERS_V4);
    s->rtcp.average_size = s->rtcp.average_size - s->rtcp.average_size / 16 + size;
}

/* 6.4.1: for a source that was heard since the last report. */
static bool fill_block(roam_stream *s, roam_rtcp_block *block)
{
    roam_reception *r = &s->reception;
    if (!s->source.known || r->received == r->received_prior)
        return false;
    *block = (roam_rtcp_block){.ssrc = s->source.ssrc, .fraction_lost = reception_fraction(r), .lost = reception_lost(r),
                               .extended_sequence = reception_extended(r), .jitter = r->jitter >> 4};
    if (s->rtcp.has_peer_sr && s->rtcp.peer_sr_ssrc == s->source.ssrc) {
        const roam_time delay = s->env->now - s->rtcp.peer_sr_at;
        if (delay < ROAM_SECONDS(65536)) {
            block->last_sr = s->rtcp.peer_sr;
            block->delay = (uint32_t)(delay * 65536u / 1000000u);
        }
    }
    return true;
}

/* The timestamp of this moment: 6.4.1 wants it to fit the NTP time, not the last packet. */
static uint32_t timestamp_now(const roam_stream *s)
{
    const roam_time now = s->env->now;
    const uint64_t clock = s->format.codec->clock;
    if (now >= s->next_tick)
        return s->timestamp + (uint32_t)((now - s->next_tick) * clock / 1000000u);
    return s->timestamp - (uint32_t)((s->next_tick - now) * clock / 1000000u);
}

static void read_block(roam_stream *s, const roam_rtcp_block *block)
{
    s->stats.peer_reported = s->env->now;
    s->rtcp.peer_has = block->extended_sequence;
    s->stats.peer_lost = block->lost > 0 ? (uint32_t)block->lost : 0;
    s->stats.peer_jitter_us = (uint32_t)((uint64_t)block->jitter * 1000000u / s->format.codec->clock);
    if (!block->last_sr)
        return;
    /* A - LSR - DLSR; a peer that rounds up its delay may make it -1. */
    uint32_t trip = rtcp_ntp_middle(rtcp_ntp(s->env->now)) - block->last_sr - block->delay;
    if (trip == UINT32_MAX)
        trip = 0;
    if (trip < ROUND_TRIP_MAX) {
        uint32_t us = (uint32_t)((uint64_t)trip * 1000000u / 65536u);
        s->stats.round_trip_us = us ? us : 1;
    }
}

/* BYE: one member less. The timer moves forward in proportion (reverse reconsideration, 6.3.4). */
static void peer_left(roam_stream *s)
{
    s->rtcp.heard = ROAM_NEVER;
    const uint32_t members = rtcp_terms(s).members;
    if (members < s->rtcp.members && timer_armed(&s->rtcp.timer) && s->rtcp.timer.deadline > s->env->now) {
        const roam_time now = s->env->now;
        const roam_time left = (s->rtcp.timer.deadline - now) * members / s->rtcp.members;
        s->rtcp.last = now - (now - s->rtcp.last) * members / s->rtcp.members;
        rtcp_schedule(s, now + left);
    }
    s->rtcp.members = members;
}

/* A stream: its life, its legs and what the negotiation says about it. */
#include <assert.h>

#include "media/stream_private.h"

enum {
    PTIME_MS = 20,
    JITTER_MIN_MS = 40,
    JITTER_MAX_MS = 200,
    REFUSED_TRACED = 10 /* records a second: a flood must not become one of the trace */
};

static uint32_t random_u32(roam_stream *s);
static bool format_valid(const roam_stream *s, const roam_stream_format *f);
static size_t leg_to_replace(const roam_stream *s);
static void leg_remove_at(roam_stream *s, size_t at);

roam_stream *stream_new(roam_env *env, const roam_stream_host *host, const roam_stream_config *config)
{
    roam_stream *s = mem_new(&env->mem, roam_stream);
    if (!s)
        return NULL;
    s->cname = mem_strdup(&env->mem, span_of(config->cname ? config->cname : ""));
    if (!s->cname) {
        mem_free(&env->mem, s);
        return NULL;
    }
    s->env = env;
    s->host = *host;
    s->ptime_ms = config->ptime_ms ? config->ptime_ms : PTIME_MS;
    s->jitter_min_ms = config->jitter_min_ms ? config->jitter_min_ms : JITTER_MIN_MS;
    s->jitter_max_ms = config->jitter_max_ms ? config->jitter_max_ms : JITTER_MAX_MS;
    if (s->jitter_max_ms < s->jitter_min_ms)
        s->jitter_max_ms = s->jitter_min_ms;
    s->silence = config->silence ? config->silence : ROAM_SECONDS(1);
    s->rtcp_minimum = config->rtcp_interval ? config->rtcp_interval : ROAM_SECONDS(5);
    s->direction = DIRECTION_SENDRECV;
    stream_new_ssrc(s);
    s->id = s->ssrc;
    /* Below 2^15, so that no receiver of SRTP can take a first packet that was lost for a wrap-around (RFC 3711, 3.3.1). */
    s->sequence = (uint16_t)(random_u32(s) & 0x7fff);
    s->timestamp = random_u32(s);
    source_init(&s->source, ROAM_MS(s->ptime_ms));
    timer_init(&s->clock, stream_clock_fire, "packet time");
    stream_rtcp_init(s);
    return s;
}

void stream_free(roam_stream *s, bool quiet)
{
    if (!s)
        return;
    /* RFC 3550, 6.3.7: who has sent nothing says no BYE. */
    if (!quiet && (s->stats.packets_sent || s->rtcp.sent))
        stream_rtcp_now(s, true);
    env_cancel(s->env, &s->clock);
    env_cancel(s->env, &s->rtcp.timer);
    jitter_free(s->jitter);
    mem_free(&s->env->mem, s->encoder);
    mem_free(&s->env->mem, s->cname);
    mem_free(&s->env->mem, s);
}

/* ---- legs ---- */

int stream_add_leg(roam_stream *s, const roam_leg *leg)
{
    if (!leg->rtp_socket || !leg->rtcp_socket)
        return ROAM_EINVAL;
    for (size_t i = 0; i < s->nlegs; i++) {
        const roam_leg *l = &s->legs[i].leg;
        if (l->rtp_socket == leg->rtp_socket || l->rtcp_socket == leg->rtp_socket || l->rtp_socket == leg->rtcp_socket ||
            l->rtcp_socket == leg->rtcp_socket)
            return ROAM_EBUSY;
    }
    if (s->nlegs == STREAM_MAX_LEGS)
        leg_remove_at(s, leg_to_replace(s));
    s->legs[s->nlegs++] = (roam_stream_leg){.leg = *leg, .order = s->leg_order++};
    if (s->nlegs == 1)
        s->sending = leg->rtp_socket;
    return ROAM_OK;
}

void stream_set_leg_usable(roam_stream *s, uint32_t rtp_socket, bool usable)
{
    roam_stream_leg *leg = stream_leg(s, rtp_socket);
    if (leg)
        leg->leg.usable = usable;
}

void stream_remove_leg(roam_stream *s, uint32_t rtp_socket)
{
    for (size_t i = 0; i < s->nlegs; i++) {
        if (s->legs[i].leg.rtp_socket == rtp_socket) {
            leg_remove_at(s, i);
            return;
        }
    }
}

int stream_send_from(roam_stream *s, uint32_t rtp_socket)
{
    if (!stream_leg(s, rtp_socket))
        return ROAM_ENOTFOUND;
    if (s->sending == rtp_socket)
        return ROAM_OK;
    s->sending = rtp_socket;
    s->doubled = 0;
    trace_note(&s->env->trace, "stream", s->id, "sends from another leg");
    if (s->started)
        stream_rtcp_now(s, false);
    return ROAM_OK;
}

void stream_double_on(roam_stream *s, uint32_t rtp_socket)
{
    s->doubled = rtp_socket == s->sending ? 0 : rtp_socket;
}

uint32_t stream_sending_leg(const roam_stream *s)
{
    return s->sending;
}

void stream_legs_anew(roam_stream *s)
{
    for (size_t i = 0; i < s->nlegs; i++)
        s->legs[i].heard = s->legs[i].sent = false;
}

roam_time stream_leg_last(const roam_stream *s, uint32_t rtp_socket)
{
    for (size_t i = 0; i < s->nlegs; i++)
        if (s->legs[i].leg.rtp_socket == rtp_socket)
            return s->legs[i].last;
    return 0;
}

bool stream_leg_heard(const roam_stream *s, uint32_t rtp_socket)
{
    for (size_t i = 0; i < s->nlegs; i++)
        if (s->legs[i].leg.rtp_socket == rtp_socket)
            return s->legs[i].heard;
    return false;
}

roam_stream_leg *stream_leg(roam_stream *s, uint32_t rtp_socket)
{
    for (size_t i = 0; i < s->nlegs; i++)
        if (s->legs[i].leg.rtp_socket == rtp_socket)
            return &s->legs[i];
    return NULL;
}

/* ---- negotiation ---- */

int stream_set_format(roam_stream *s, const roam_stream_format *format)
{
    if (!format_valid(s, format))
        return ROAM_EINVAL;
    const roam_codec *codec = format->codec;
    if (!s->has_format || s->format.codec != codec) {
        void *encoder = NULL;
        const roam_jitter_config config = {codec, s->ptime_ms, s->jitter_min_ms, s->jitter_max_ms, &s->env->trace, s->id};
        roam_jitter *jitter = jitter_new(&s->env->mem, &config);
        if (jitter && codec->state_size && !(encoder = mem_zalloc(&s->env->mem, codec->state_size))) {
            jitter_free(jitter);
            jitter = NULL;
        }
        if (!jitter)
            return ROAM_ENOMEM;
        if (s->jitter)
            s->late_before += s->jitter->late + s->jitter->discarded;
        jitter_free(s->jitter);
        mem_free(&s->env->mem, s->encoder);
        s->jitter = jitter;
        s->encoder = encoder;
        s->frame = (size_t)codec->rate * s->ptime_ms / 1000;
        s->units = codec->clock * s->ptime_ms / 1000;
    }
    s->format = *format;
    s->has_format = true;
    return ROAM_OK;
}

void stream_set_remote(roam_stream *s, const roam_addr *rtp, const roam_addr *rtcp)
{
    s->remote_rtp = *rtp;
    if (rtcp && rtcp->ip.family) {
        s->remote_rtcp = *rtcp;
    } else { /* RFC 3550, 11: the next port */
        s->remote_rtcp = *rtp;
        s->remote_rtcp.port = (uint16_t)(rtp->port + 1u);
    }
    if (rtp->ip.family)
        source_signalled(&s->source, rtp, s->env->now);
    stream_expect(s);
}

void stream_set_direction(roam_stream *s, roam_direction direction)
{
    s->direction = direction;
    stream_expect(s);
}

int stream_start(roam_stream *s)
{
    if (!s->has_format)
        return ROAM_ESTATE;
    if (s->started)
        return ROAM_OK;
    int err = timer_arm(&s->env->timers, &s->clock, s->env->now);
    if (!err && (err = stream_rtcp_start(s)) != 0)
        env_cancel(s->env, &s->clock);
    if (err)
        return err;
    s->next_tick = s->env->now;
    s->started = true;
    stream_expect(s);
    return ROAM_OK;
}

void stream_set_source(roam_stream *s, roam_audio_source *source)
{
    s->audio_source = source;
}

void stream_set_sink(roam_stream *s, roam_audio_sink *sink)
{
    s->audio_sink = sink;
}

int stream_dtmf(roam_stream *s, roam_span digits, uint32_t duration_ms)
{
    if (!s->has_format || !s->format.has_dtmf)
        return ROAM_EUNSUPPORTED;
    return dtmf_queue(&s->dtmf_out, digits, duration_ms);
}

void stream_stats(const roam_stream *s, roam_media_stats *out)
{
    *out = s->stats;
    out->packets_lost = s->lost_before + (s->source.known ? reception_missing(&s->reception) : 0);
    out->packets_late = s->late_before + (s->jitter ? s->jitter->late + s->jitter->discarded : 0);
    if (s->has_format)
        out->jitter_us = (uint32_t)((uint64_t)(s->reception.jitter >> 4) * 1000000u / s->format.codec->clock);
}

roam_time stream_peer_report(const roam_stream *s, uint16_t *sequence)
{
    *sequence = (uint16_t)s->rtcp.peer_has;
    return s->stats.peer_reported;
}

uint16_t stream_next_sequence(const roam_stream *s)
{
    return s->sequence;
}

/* ---- shared ---- */

void stream_emit(roam_stream *s, const roam_stream_event *event)
{
    if (s->host.event)
        s->host.event(s->host.user, s, event);
}

void stream_new_ssrc(roam_stream *s)
{
    const uint32_t old = s->ssrc;
    do
        s->ssrc = random_u32(s);
    while (s->ssrc == old || (s->source.known && s->ssrc == s->source.ssrc));
}

void stream_refuse(roam_stream *s, const roam_addr *from, const char *why)
{
    s->stats.packets_refused++;
    if (s->env->now - s->refused_from >= ROAM_SECONDS(1)) {
        s->refused_from = s->env->now;
        s->refused_traced = 0;
    }
    if (s->refused_traced < REFUSED_TRACED) {
        s->refused_traced++;
        trace_dropped(&s->env->trace, "stream", why, from, (roam_span){NULL, 0});
    }
}

static uint32_t random_u32(roam_stream *s)
{
    return (uint32_t)random_u64(&s->env->random);
}

static bool format_valid(const roam_stream *s, const roam_stream_format *f)
{
    const roam_codec *c = f->codec;
    if (!c || c->channels != 1 || !c->clock || !c->rate || c->rate > CONCEAL_MAX_RATE || c->rate < 8000 || c->rate % c->clock)
        return false;
    if (s->ptime_ms < 5 || s->ptime_ms > STREAM_MAX_PTIME_MS || (size_t)c->rate * s->ptime_ms / 1000 > STREAM_MAX_FRAME)
        return false;
    const uint8_t types[] = {f->send_payload_type, f->receive_payload_type, f->send_dtmf_type, f->receive_dtmf_type};
    for (size_t i = 0; i < (f->has_dtmf ? 4u : 2u); i++)
        /* RFC 5761, 4: with RTCP on the same port 64..95 cannot be told from it. */
        if (types[i] > 127 || (f->rtcp_mux && types[i] >= 64 && types[i] <= 95))
            return false;
    return !f->has_dtmf || (f->send_payload_type != f->send_dtmf_type && f->receive_payload_type != f->receive_dtmf_type);
}

/* The oldest that does not send. */
static size_t leg_to_replace(const roam_stream *s)
{
    size_t oldest = s->nlegs;
    for (size_t i = 0; i < s->nlegs; i++)
        if (s->legs[i].leg.rtp_socket != s->sending && (oldest == s->nlegs || s->legs[i].order < s->legs[oldest].order))
            oldest = i;
    assert(oldest < s->nlegs);
    return oldest;
}

static void leg_remove_at(roam_stream *s, size_t at)
{
    if (s->legs[at].leg.rtp_socket == s->sending)
        s->sending = 0;
    if (s->legs[at].leg.rtp_socket == s->doubled)
        s->doubled = 0;
    memmove(&s->legs[at], &s->legs[at + 1], (s->nlegs - at - 1) * sizeof s->legs[0]);
    s->nlegs--;
}

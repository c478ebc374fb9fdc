/* The packet clock: every packet time one frame out and one frame played. */
#include "media/stream_private.h"

static void send_frame(roam_stream *s);
static void send_packet(roam_stream *s, roam_rtp *rtp, uint8_t *packet, size_t payload);
static void send_on(roam_stream *s, uint32_t socket, roam_span bytes);
static void play_frame(roam_stream *s);

void stream_clock_fire(roam_timer *timer)
{
    roam_stream *s = container_of(timer, roam_stream, clock);
    const roam_time packet_time = ROAM_MS(s->ptime_ms);
    /* The next deadline follows from the last one, not from now: being late does not add up. */
    roam_time missed = (s->env->now - s->next_tick) / packet_time;
    unsigned frames = 1;
    if (missed > STREAM_CATCH_UP) {
        /* The clock jumped or the process slept: that time is over. The timestamp says so, a burst would help nobody. */
        s->timestamp += (uint32_t)(missed * s->units);
        s->next_tick += missed * packet_time;
        s->talking = false;
        trace_note(&s->env->trace, "stream", s->id, "the clock was late: packet times skipped");
    } else {
        frames += (unsigned)missed;
    }
    (void)timer_arm(&s->env->timers, &s->clock, s->next_tick + frames * packet_time); /* its place has just become free */
    while (frames--) {
        send_frame(s);
        s->next_tick += packet_time;
        s->timestamp += s->units;
        play_frame(s);
    }
    roam_dtmf_report report;
    if (dtmf_expire(&s->dtmf_in, s->env->now, &report))
        stream_emit(s, &(roam_stream_event){.type = STREAM_DTMF, .digit = report.digit,
                                            .duration_ms = report.duration * 1000u / s->format.codec->clock});
    stream_check_silence(s);
}

static void send_frame(roam_stream *s)
{
    const roam_stream_leg *leg = stream_leg(s, s->sending);
    if (!stream_sends(s) || !s->remote_rtp.ip.family || !leg || !leg->leg.usable) {
        s->talking = false;
        return;
    }
    uint8_t packet[RTP_MAX_PACKET];
    int16_t samples[STREAM_MAX_FRAME];
    /* Read during a digit too: what the source plays goes on in time. */
    size_t n = s->audio_source ? s->audio_source->read(s->audio_source, samples, s->frame, s->format.codec->rate) : 0;
    if (n < s->frame)
        memset(samples + n, 0, (s->frame - n) * sizeof *samples);

    roam_rtp rtp = {.payload_type = s->format.send_payload_type, .marker = !s->talking, .timestamp = s->timestamp};
    roam_dtmf_packet event;
    if (s->format.has_dtmf && dtmf_send(&s->dtmf_out, s->timestamp, s->ptime_ms, s->format.codec->clock, &event)) {
        rtp.payload_type = s->format.send_dtmf_type;
        rtp.marker = event.first;
        rtp.timestamp = event.timestamp;
        memcpy(packet + RTP_HEADER, event.payload, DTMF_PAYLOAD);
        send_packet(s, &rtp, packet, DTMF_PAYLOAD);
        return;
    }
    int encoded = s->format.codec->encode(s->encoder, samples, s->frame, packet + RTP_HEADER, sizeof packet - RTP_HEADER);
    if (encoded > 0) /* 0: the codec rests */
        send_packet(s, &rtp, packet, (size_t)encoded);
}

static void send_packet(roam_stream *s, roam_rtp *rtp, uint8_t *packet, size_t payload)
{
    rtp->ssrc = s->ssrc;
    rtp->sequence = s->sequence++;
    rtp_write_header(rtp, packet);
    s->talking = true;
    s->stats.packets_sent++;
    s->stats.bytes_sent += payload;
    s->stats.last_sent = s->env->now;
    s->sr_packets++;
    s->sr_octets += (uint32_t)payload;
    const roam_span bytes = span_make((const char *)packet, RTP_HEADER + payload);
    const roam_stream_leg *copy = stream_leg(s, s->doubled);
    if (copy && copy->leg.usable)
        send_on(s, s->doubled, bytes);
    send_on(s, s->sending, bytes);
}

static void send_on(roam_stream *s, uint32_t socket, roam_span bytes)
{
    s->host.send(s->host.user, socket, &s->remote_rtp, bytes);
    roam_stream_leg *leg = stream_leg(s, socket);
    if (leg && !leg->sent) {
        leg->sent = true;
        stream_emit(s, &(roam_stream_event){.type = STREAM_SENT, .leg = socket});
    }
}

static void play_frame(roam_stream *s)
{
    int16_t samples[STREAM_MAX_FRAME];
    roam_frame_kind kind = FRAME_SILENCE;
    if (stream_receives(s))
        kind = jitter_play(s->jitter, s->env->now, samples);
    else
        memset(samples, 0, s->frame * sizeof *samples);
    if (kind == FRAME_CONCEALED)
        s->stats.frames_concealed++;
    if (s->audio_sink)
        s->audio_sink->write(s->audio_sink, samples, s->frame, s->format.codec->rate, kind == FRAME_CONCEALED);
}

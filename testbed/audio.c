#include "testbed/audio.h"

static void packet_due(roam_timer *timer);
static void packet_send(roam_audio *audio, roam_span payload);
static bool source_accepted(roam_audio *audio, const roam_addr *from, uint16_t sequence);
static bool on_probation(roam_audio *audio, const roam_addr *from, uint16_t sequence, unsigned packets);
static void count_source(roam_audio *audio, const roam_arrival *arrival);
static void log_arrival(roam_audio *audio, const roam_arrival *arrival);

/* One period of 1000 Hz at 8000 samples a second in PCMU (ITU-T G.711, table 6). */
static const uint8_t tone[8] = {0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e};

void audio_init(roam_audio *audio, roam_env *env, const roam_audio_config *config, uint32_t socket,
                void (*send)(void *user, uint32_t socket, const roam_addr *to, roam_span bytes), void *user)
{
    *audio = (roam_audio){.env = env, .config = *config, .socket = socket, .send = send, .user = user};
    if (!audio->config.max_log)
        audio->config.max_log = AUDIO_DEFAULT_LOG;
    timer_init(&audio->timer, packet_due, "RTP packet");
    audio->ssrc = (uint32_t)random_u64(&env->random);
    audio->timestamp = (uint32_t)random_u64(&env->random);
    audio->sequence = (uint16_t)(random_u64(&env->random) & 0x7fff); /* as SRTP wants it, far from the wrap */
}

void audio_free(roam_audio *audio)
{
    if (!audio->env)
        return;
    env_cancel(audio->env, &audio->timer);
    mem_free(&audio->env->mem, audio->log);
    audio->log = NULL;
    audio->nlog = audio->log_cap = 0;
}

int audio_signal(roam_audio *audio, const roam_addr *remote, roam_direction direction)
{
    if (!roam_addr_equal(&audio->signalled, remote)) {
        audio->signalled = *remote;
        audio->latched = false;
        audio->candidate_packets = 0;
        audio->to = *remote;
    }
    audio->direction = direction;
    if (audio->running)
        return ROAM_OK;
    audio->running = true;
    return env_arm(audio->env, &audio->timer, 0);
}

void audio_receive(roam_audio *audio, const roam_addr *from, roam_span bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    /* Version 2; not RTCP (RFC 5761 4). We send neither padding nor extensions and take no payload from packets that
     * have them. */
    if (bytes.len < 12 || p[0] >> 6 != 2) {
        audio->malformed++;
        return;
    }
    if (p[1] >= 192 && p[1] <= 223)
        return;
    size_t head = 12 + 4 * (size_t)(p[0] & 15);
    roam_arrival arrival = {.time = audio->env->now,
                            .from = *from,
                            .sequence = (uint16_t)(p[2] << 8 | p[3]),
                            .timestamp = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7],
                            .ssrc = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11]};
    arrival.accepted = (audio->direction & DIRECTION_RECVONLY) && source_accepted(audio, from, arrival.sequence);
    count_source(audio, &arrival);
    log_arrival(audio, &arrival);
    if (!arrival.accepted) {
        audio->refused++;
        return;
    }
    audio->received++;
    audio->last_received = audio->env->now;
    audio->last_sequence = arrival.sequence;
    bool plain = !(p[0] & 0x30) && (p[1] & 0x7f) == 0 && bytes.len > head && bytes.len - head <= 1024;
    if (audio->config.play == AUDIO_ECHO && plain)
        packet_send(audio, span_make(bytes.ptr + head, bytes.len - head));
}

static void packet_due(roam_timer *timer)
{
    roam_audio *audio = container_of(timer, roam_audio, timer);
    (void)env_arm(audio->env, timer, ROAM_MS(20)); /* into the place it just left */
    if (audio->config.play != AUDIO_TONE)
        return;
    uint8_t samples[AUDIO_PACKET_SAMPLES];
    for (size_t i = 0; i < sizeof samples; i++)
        samples[i] = tone[(audio->phase + i) % sizeof tone];
    audio->phase = (uint8_t)((audio->phase + sizeof samples) % sizeof tone);
    packet_send(audio, span_make((const char *)samples, sizeof samples));
}

static void packet_send(roam_audio *audio, roam_span payload)
{
    uint8_t packet[12 + 1024] = {0x80};
    audio->timestamp += (uint32_t)payload.len; /* the clock goes on while nothing is sent */
    if (!audio->to.ip.family || !audio->to.port || !(audio->direction & DIRECTION_SENDONLY))
        return;
    audio->sequence++;
    packet[2] = (uint8_t)(audio->sequence >> 8);
    packet[3] = (uint8_t)audio->sequence;
    for (int i = 0; i < 4; i++) {
        packet[4 + i] = (uint8_t)(audio->timestamp >> (24 - 8 * i));
        packet[8 + i] = (uint8_t)(audio->ssrc >> (24 - 8 * i));
    }
    memcpy(packet + 12, payload.ptr, payload.len);
    audio->sent++;
    audio->send(audio->user, audio->socket, &audio->to, span_make((const char *)packet, 12 + payload.len));
}

static bool source_accepted(roam_audio *audio, const roam_addr *from, uint16_t sequence)
{
    switch (audio->config.policy) {
    case AUDIO_STRICT: return roam_addr_equal(from, &audio->signalled);
    case AUDIO_LATCH:
        if (audio->latched)
            return roam_addr_equal(from, &audio->to);
        audio->latched = true;
        audio->to = *from;
        return true;
    case AUDIO_FOLLOW: audio->to = *from; return true;
    case AUDIO_LEARN:
        if (audio->latched)
            return roam_addr_equal(from, &audio->to);
        if (!roam_addr_equal(from, &audio->signalled) && !on_probation(audio, from, sequence, AUDIO_LEARN_PACKETS))
            return false;
        audio->latched = true;
        audio->to = *from;
        return true;
    case AUDIO_LATE:
        if (roam_addr_equal(from, &audio->to)) {
            audio->candidate_packets = 0;
            return true;
        }
        if (!on_probation(audio, from, sequence, AUDIO_LATE_PACKETS))
            return false;
        audio->candidate_packets = 0;
        audio->to = *from;
        return true;
    }
    return false;
}

/* True with the last of so many packets in a row, in sequence, from one source. */
static bool on_probation(roam_audio *audio, const roam_addr *from, uint16_t sequence, unsigned packets)
{
    bool goes_on = audio->candidate_packets && roam_addr_equal(from, &audio->candidate) &&
                   sequence == (uint16_t)(audio->candidate_sequence + 1);
    audio->candidate = *from;
    audio->candidate_sequence = sequence;
    audio->candidate_packets = goes_on ? audio->candidate_packets + 1 : 1;
    return audio->candidate_packets >= packets;
}

static void count_source(roam_audio *audio, const roam_arrival *arrival)
{
    size_t i = 0;
    while (i < audio->nsources && !roam_addr_equal(&audio->sources[i].from, &arrival->from))
        i++;
    if (i == AUDIO_MAX_SOURCES)
        return;
    roam_rtp_source *source = &audio->sources[i];
    if (i == audio->nsources) {
        *source = (roam_rtp_source){.from = arrival->from};
        audio->nsources++;
    }
    source->last_sequence = arrival->sequence;
    source->last_at = arrival->time;
    if (arrival->accepted)
        source->accepted++;
    else
        source->refused++;
}

static void log_arrival(roam_audio *audio, const roam_arrival *arrival)
{
    if (audio->nlog == audio->log_cap && audio->log_cap < audio->config.max_log) {
        size_t cap = audio->log_cap ? audio->log_cap * 2 : 256;
        if (cap > audio->config.max_log)
            cap = audio->config.max_log;
        roam_arrival *log = mem_realloc(&audio->env->mem, audio->log, cap * sizeof *log);
        if (log) {
            audio->log = log;
            audio->log_cap = cap;
        }
    }
    if (audio->nlog == audio->log_cap)
        audio->unlogged++;
    else
        audio->log[audio->nlog++] = *arrival;
}

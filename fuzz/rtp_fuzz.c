/* RTP and RTCP into a stream that is in a call: packets as they are, packets with a right header, commands and time between them.
 *
 * The input is a list of steps: an octet that says which, then what the step takes. Whatever comes, the stream must keep its bounds: packets waiting, memory, and one
 * frame played a packet time. */
#include <assert.h>
#include <stdlib.h>

#include "media/stream_private.h"

typedef struct fuzz_input {
    const uint8_t *bytes;
    size_t len;
} fuzz_input;

typedef struct fuzz_sink {
    roam_audio_sink sink;
    uint64_t frames;
} fuzz_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t take(fuzz_input *in, size_t n)
{
    uint32_t value = 0;
    while (n-- && in->len) {
        value = value << 8 | *in->bytes++;
        in->len--;
    }
    return value;
}

static roam_span take_span(fuzz_input *in, size_t n)
{
    n = n < in->len ? n : in->len;
    roam_span s = span_make((const char *)in->bytes, n);
    in->bytes += n;
    in->len -= n;
    return s;
}

static void fuzz_send(void *user, uint32_t socket, const roam_addr *to, roam_span bytes)
{
    /* What we send must be what we would accept. */
    roam_rtp rtp;
    (void)user;
    assert(socket && to->ip.family);
    if (rtp_is_rtcp(bytes))
        assert(rtcp_valid(bytes));
    else
        assert(rtp_parse(&rtp, bytes) == ROAM_OK);
}

static void fuzz_event(void *user, roam_stream *stream, const roam_stream_event *event)
{
    (void)user;
    (void)stream;
    assert(event->type != STREAM_DTMF || dtmf_code(event->digit) >= 0);
}

static void fuzz_write(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed)
{
    fuzz_sink *f = container_of(sink, fuzz_sink, sink);
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += samples[i]; /* reads all of them: uninitialised memory would show */
    f->frames += sum != INT32_MIN && rate == 8000;
    (void)concealed;
}

/* A packet with a header near to what is expected, so that the deeper parts are reached. */
static void step_rtp(roam_stream *s, fuzz_input *in, const roam_addr *from, uint32_t *timestamp, uint16_t *sequence)
{
    uint8_t packet[RTP_MAX_PACKET];
    const uint32_t how = take(in, 1);
    *sequence = (uint16_t)(*sequence + (how & 1 ? 1u : take(in, 2)));
    *timestamp += how & 2 ? 160 : how & 4 ? take(in, 4) : take(in, 1);
    const roam_rtp rtp = {.marker = how & 8, .payload_type = how & 16 ? 101 : 0, .sequence = *sequence, .timestamp = *timestamp,
                          .ssrc = how & 32 ? s->ssrc : how & 64 ? 0x2222 : 0x1111};
    rtp_write_header(&rtp, packet);
    roam_span payload = take_span(in, how & 16 ? 4 : take(in, 1) * 2u);
    memcpy(packet + RTP_HEADER, payload.ptr, payload.len);
    size_t n = payload.len;
    if (how & 128) { /* a whole frame without spending input on it */
        memset(packet + RTP_HEADER + n, 0x5a, 160);
        n += 160;
    }
    stream_receive(s, 2, from, span_make((const char *)packet, RTP_HEADER + n));
}

static void step_rtcp(roam_stream *s, fuzz_input *in, const roam_addr *from)
{
    char space[RTCP_MAX_PACKET];
    roam_writer w;
    const uint32_t how = take(in, 1);
    const roam_rtcp_sender_info info = {(uint64_t)take(in, 4) << 16, take(in, 4), take(in, 2), take(in, 2)};
    const roam_rtcp_block block = {.ssrc = how & 1 ? s->ssrc : take(in, 4), .fraction_lost = (uint8_t)how, .lost = (int32_t)take(in, 3) - 0x800000,
                                   .extended_sequence = take(in, 4), .jitter = take(in, 4), .last_sr = take(in, 4), .delay = take(in, 4)};
    writer_init(&w, space, sizeof space);
    write_rtcp(&w, &(roam_rtcp_report){.ssrc = how & 2 ? 0x1111 : how & 4 ? s->ssrc : take(in, 4), .sender = how & 8 ? &info : NULL,
                                       .block = how & 16 ? &block : NULL, .cname = take_span(in, how >> 5), .bye = how & 32});
    stream_receive(s, how & 64 ? 2 : 3, from, writer_span(&w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[32] = {42};
    const roam_addr peers[2] = {{.ip = {.family = 4, .bytes = {192, 0, 2, 1}}, .port = 4000}, {.ip = {.family = 4, .bytes = {192, 0, 2, 2}}, .port = 5000}};
    fuzz_input in = {data, size};
    roam_env env;
    env_init(&env, NULL, seed, NULL, NULL);
    env.now = ROAM_SECONDS(1000);
    const roam_stream_host host = {fuzz_send, fuzz_event, NULL};
    roam_stream *s = stream_new(&env, &host, &(roam_stream_config){.cname = "fuzz", .ptime_ms = 20});
    fuzz_sink sink = {.sink = {.write = fuzz_write}};
    roam_stream_format format = {.codec = &roam_codec_pcmu, .has_dtmf = true, .send_dtmf_type = 101, .receive_dtmf_type = 101};
    if (!s || stream_add_leg(s, &(roam_leg){2, 3, true}) || stream_set_format(s, &format))
        abort();
    stream_set_remote(s, &peers[0], NULL);
    stream_set_sink(s, &sink.sink);
    if (stream_start(s))
        abort();
    uint32_t timestamp = 0xffffff00;
    uint16_t sequence = 65530;
    for (unsigned steps = 0; in.len && steps < 4000; steps++) {
        const uint32_t step = take(&in, 1);
        const roam_addr *from = &peers[step >> 7];
        switch (step & 15) {
        case 0: {
            uint32_t n = take(&in, 1);
            stream_receive(s, 2, from, take_span(&in, n));
            break;
        }
        case 1: {
            uint32_t n = take(&in, 1);
            stream_receive(s, 3, from, take_span(&in, n));
            break;
        }
        case 2:
        case 3:
        case 4:
            step_rtp(s, &in, from, &timestamp, &sequence);
            break;
        case 5:
            step_rtcp(s, &in, from);
            break;
        case 6:
        case 7:
        case 8:
            env_advance(&env, env.now + ROAM_MS(20));
            break;
        case 9:
            env_advance(&env, env.now + ROAM_MS(take(&in, 2)));
            break;
        case 10:
            stream_set_direction(s, (roam_direction)(take(&in, 1) & 3));
            break;
        case 11:
            stream_set_remote(s, from, NULL);
            break;
        case 12:
            (void)stream_add_leg(s, &(roam_leg){4 + 2 * (step >> 6), 5 + 2 * (step >> 6), true});
            (void)stream_send_from(s, 4 + 2 * (step >> 6));
            break;
        case 13:
            (void)stream_dtmf(s, SPAN("19#"), take(&in, 2));
            break;
        case 14:
            format.codec = step >> 7 ? &roam_codec_pcma : &roam_codec_pcmu;
            format.rtcp_mux = (step >> 6) & 1;
            (void)stream_set_format(s, &format);
            break;
        default:
            if (step >> 7)
                stream_double_on(s, 4);
            else
                stream_remove_leg(s, 4);
            break;
        }
        assert(s->jitter->npackets <= JITTER_MAX_PACKETS && env.mem.live < JITTER_MAX_PACKETS + 16);
    }
    const uint64_t frames = sink.frames;
    env_advance(&env, env.now + ROAM_MS(20));
    assert(sink.frames > frames);
    roam_media_stats stats;
    stream_stats(s, &stats);
    stream_free(s, size & 1);
    assert(env.mem.live == 1); /* the heap of the timers */
    env_free(&env);
    return 0;
}

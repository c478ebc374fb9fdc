/* Streams over a simulated network, in virtual time: sound, moves between legs, loss, attacks, digits, reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/media_net.h"

static net world;

static roam_media_stats stats_of(int side)
{
    roam_media_stats stats;
    stream_stats(world.sides[side].stream, &stats);
    return stats;
}

/* Both sides play a tone: 0 one of 440 Hz, 1 one of 1,000 Hz. */
static roam_audio_source *tones[2];

static void begin(uint64_t seed, const roam_codec *codec, uint32_t delay_ms)
{
    net_init(&world, seed);
    assert_int_equal(net_connect(&world, codec, &net_config, delay_ms), ROAM_OK);
    for (int i = 0; i < 2; i++) {
        tones[i] = roam_tone_source(i ? 1000 : 440);
        assert_non_null(tones[i]);
        stream_set_source(world.sides[i].stream, tones[i]);
    }
}

static void end(void)
{
    net_free(&world);
    assert_int_equal(world.env.mem.live, 0);
    for (int i = 0; i < 2; i++) {
        if (tones[i])
            tones[i]->close(tones[i]);
        tones[i] = NULL;
    }
}

/* Is the whole piece the clean tone? Level within 0.3 dB, and everything else at least 30 dB below (G.711 has about 38). */
static void assert_tone(const net_side *side, size_t from, size_t n, double hz)
{
    assert_true(from + n <= side->nrecorded);
    const int16_t *samples = side->recorded + from;
    double amplitude = amplitude_of(samples, n, hz), energy = 0;
    for (size_t i = 0; i < n; i++)
        energy += (double)samples[i] * samples[i];
    double other = energy / (double)n - amplitude * amplitude / 2;
    if (amplitude < 8231 * 0.966 || amplitude > 8231 * 1.035 || other > amplitude * amplitude / 2 / 1000)
        fail_msg("amplitude %.0f, rest %.0f of %.0f at sample %zu", amplitude, other, amplitude * amplitude / 2, from);
}

/* A tone of each side arrives at the other with its frequency and level, through both laws. */
static void tone_survives(void **state)
{
    (void)state;
    const roam_codec *const codecs[] = {&roam_codec_pcmu, &roam_codec_pcma};
    for (size_t c = 0; c < 2; c++) {
        begin(1 + c, codecs[c], 30);
        net_run(&world, ROAM_SECONDS(5));
        for (int i = 0; i < 2; i++) {
            assert_tone(&world.sides[i], 8000, 4 * 8000 - 8000 % 400, i ? 440 : 1000);
            assert_int_equal(stats_of(i).packets_lost, 0);
            assert_int_equal(stats_of(i).frames_concealed, 0);
            assert_int_equal(count_events(&world.sides[i], STREAM_RECEIVED), 1);
            assert_int_equal(count_events(&world.sides[i], STREAM_SENT), 1);
            assert_int_equal(stats_of(i).packets_sent, 251);
            assert_int_equal(stats_of(i).bytes_sent, 251 * 160);
        }
        end();
    }
}

/* What the watcher of the next tests sees of side 0. */
static roam_rtp seen[4096];
static char seen_payload[4096][4];
static roam_time seen_at[4096];
static size_t nseen;
static void watch_rtp(net_side *side, uint32_t socket, roam_span bytes)
{
    (void)socket;
    roam_rtp rtp;
    if (rtp_is_rtcp(bytes) || nseen == 4096)
        return;
    assert_int_equal(rtp_parse(&rtp, bytes), ROAM_OK);
    memcpy(seen_payload[nseen], rtp.payload.ptr, 4);
    seen_at[nseen] = side->net->env.now;
    seen[nseen++] = rtp;
}

/* The packet clock does not drift when its timer fires late, catches up three packets at most, and after a jump of the clock skips timestamps
 * instead of sending a burst: the environment is moved by hand. */
static void clock_keeps_time(void **state)
{
    (void)state;
    begin(3, &roam_codec_pcmu, 0);
    roam_env *env = &world.env;
    const roam_time t0 = env->now;
    world.sides[0].watch = watch_rtp;
    nseen = 0;
    for (unsigned i = 0; i < 500; i++) /* 0 to 9 ms late each time */
        env_advance(env, t0 + ROAM_MS(20 * i + i * 7 % 10));
    assert_int_equal(nseen, 500);
    for (size_t i = 1; i < nseen; i++) {
        assert_int_equal(seen[i].sequence, (uint16_t)(seen[0].sequence + i));
        assert_int_equal(seen[i].timestamp, seen[0].timestamp + 160 * (uint32_t)i);
        assert_int_equal(seen[i].marker, 0);
    }
    assert_true(seen[0].marker);
    /* 65 ms late: three packets are owed, and sent with their own timestamps. */
    nseen = 0;
    env_advance(env, t0 + ROAM_MS(20 * 502 + 5));
    assert_int_equal(nseen, 3);
    assert_int_equal(seen[2].timestamp - seen[0].timestamp, 320);
    const uint32_t timestamp = seen[2].timestamp;
    const uint16_t sequence = seen[2].sequence;
    /* Ten minutes later (a sleep): one packet, 600 s further in timestamp, next in sequence, marked. */
    nseen = 0;
    env_advance(env, t0 + ROAM_MS(20 * 502 + 5) + ROAM_SECONDS(600));
    assert_int_equal(nseen, 1);
    assert_int_equal(seen[0].timestamp, timestamp + 600 * 8000);
    assert_int_equal(seen[0].sequence, (uint16_t)(sequence + 1));
    assert_true(seen[0].marker);
    env_advance(env, t0 + ROAM_MS(20 * 503) + ROAM_SECONDS(600));
    assert_int_equal(nseen, 2);
    assert_int_equal(seen[1].timestamp, seen[0].timestamp + 160);
    end();
}

/* SSRC, first sequence and first timestamp are random: two streams in one process, and another seed. */
static void begins_at_random(void **state)
{
    (void)state;
    uint32_t ssrc[4], timestamp[4];
    for (unsigned i = 0; i < 4; i += 2) {
        begin(40 + i, &roam_codec_pcmu, 0);
        for (unsigned k = 0; k < 2; k++) {
            const roam_stream *s = world.sides[k].stream;
            ssrc[i + k] = s->ssrc;
            timestamp[i + k] = s->timestamp;
            assert_true(s->sequence < 0x8000);
        }
        end();
    }
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = i + 1; k < 4; k++)
            assert_true(ssrc[i] != ssrc[k] && timestamp[i] != timestamp[k]);
}

/* Sequence and timestamp wrap around in the middle of a tone: nothing is lost, made up or heard. */
static void wraps_around(void **state)
{
    (void)state;
    begin(4, &roam_codec_pcma, 20);
    world.sides[0].stream->sequence = 65500;
    world.sides[0].stream->timestamp = 0u - 160u * 60;
    net_run(&world, ROAM_SECONDS(4));
    assert_int_equal(stats_of(1).packets_lost, 0);
    assert_int_equal(stats_of(1).packets_duplicate, 0);
    assert_int_equal(stats_of(1).frames_concealed, 0);
    assert_tone(&world.sides[1], 4000, 24000, 440);
    end();
}

/* Side 0 moves with both networks up. It adds a leg, the refresh tells the peer (both change what they send to or from), the old leg is removed when the
 * new one is heard. No packet is lost either way, nothing is made up, the tone goes through clean, SSRC and sequence go on. The new path is faster, equal, and
 * slower by what the buffer holds. */
static void make_before_break(void **state)
{
    (void)state;
    const uint32_t new_delay[] = {50, 10, 65};
    for (size_t i = 0; i < 3; i++) {
        begin(5, &roam_codec_pcmu, 50);
        roam_stream *a = world.sides[0].stream, *b = world.sides[1].stream;
        net_run(&world, ROAM_SECONDS(2) + ROAM_MS(7));
        const uint32_t ssrc = a->ssrc;
        net_socket *wifi = net_by_id(&world, 2);
        net_socket *cell = net_socket_add(&world, 0, 6, new_delay[i]);
        assert_int_equal(stream_add_leg(a, &(roam_leg){6, 7, true}), ROAM_OK);
        assert_int_equal(stream_sending_leg(a), 2);
        net_run(&world, ROAM_MS(50)); /* the refresh arrives */
        stream_set_remote(b, &cell->addr, NULL);
        net_run(&world, ROAM_MS(50)); /* and is answered */
        const uint64_t rtcp = world.sides[0].rtcp_out;
        assert_int_equal(stream_send_from(a, 6), ROAM_OK);
        assert_int_equal(world.sides[0].rtcp_out, rtcp + 1);
        assert_int_equal(stream_sending_leg(a), 6);
        net_run(&world, ROAM_MS(300));
        assert_true(stream_leg_heard(a, 6));
        stream_remove_leg(a, 2);
        wifi->up = false;
        net_run(&world, ROAM_SECONDS(2));
        for (int side = 0; side < 2; side++) {
            roam_media_stats stats = stats_of(side);
            assert_int_equal(stats.packets_lost, 0);
            assert_int_equal(stats.frames_concealed, 0);
            assert_int_equal(stats.packets_refused, 0);
            assert_int_equal(stats.packets_late, 0);
            assert_true(stats.longest_gap_ms <= 40);
            assert_int_equal(stats.last_gap_ms, 0);
            assert_int_equal(count_made(&world.sides[side], 2000, NET_RECORD), 0);
            assert_tone(&world.sides[side], 4000, 8000 * 3, side ? 440 : 1000);
        }
        assert_int_equal(a->ssrc, ssrc);
        assert_int_equal(count_events(&world.sides[0], STREAM_RECEIVED), 2);
        assert_int_equal(count_events(&world.sides[0], STREAM_SENT), 2);
        end();
    }
}

/* While side 0 moves, everything the peer sends comes in on both legs: each packet plays once, and the copies are counted. */
static void both_legs_deliver(void **state)
{
    (void)state;
    begin(6, &roam_codec_pcmu, 40);
    roam_stream *a = world.sides[0].stream;
    net_run(&world, ROAM_SECONDS(1));
    (void)net_socket_add(&world, 0, 6, 40);
    assert_int_equal(stream_add_leg(a, &(roam_leg){6, 7, true}), ROAM_OK);
    const uint64_t before = stats_of(0).packets_received;
    net_by_id(&world, 2)->mirror = 6;
    net_run(&world, ROAM_SECONDS(1));
    net_by_id(&world, 2)->mirror = 0;
    net_run(&world, ROAM_SECONDS(1));
    roam_media_stats stats = stats_of(0);
    assert_int_equal(stats.packets_received, before + 100);
    assert_in_range(stats.packets_duplicate, 49, 51);
    assert_int_equal(stats.packets_lost, 0);
    assert_int_equal(stats.frames_concealed, 0);
    assert_tone(&world.sides[0], 4000, 16000, 1000);
    assert_true(stream_leg_heard(a, 6));
    end();
}

/* The old network goes first, 400 ms later there is a new one. Exactly the packets that the network dropped are missing, each way; the gap is measured; the peer
 * accepts the new source although the refresh comes after it; what was played has no click. */
static void break_before_make(void **state)
{
    (void)state;
    begin(7, &roam_codec_pcmu, 50);
    roam_stream *a = world.sides[0].stream, *b = world.sides[1].stream;
    net_run(&world, ROAM_SECONDS(2) + ROAM_MS(3));
    net_by_id(&world, 2)->up = false;
    stream_set_leg_usable(a, 2, false);
    net_run(&world, ROAM_MS(400));
    net_socket *cell = net_socket_add(&world, 0, 6, 50);
    assert_int_equal(stream_add_leg(a, &(roam_leg){6, 7, true}), ROAM_OK);
    assert_int_equal(stream_send_from(a, 6), ROAM_OK);
    net_run(&world, ROAM_MS(50));
    stream_set_remote(b, &cell->addr, NULL);
    net_run(&world, ROAM_SECONDS(3));
    roam_media_stats down = stats_of(0), up = stats_of(1);
    /* What left before the break and had not arrived is delivered in this network: only what was sent to the dead address counts. */
    assert_int_equal(down.packets_lost, net_by_id(&world, 2)->dropped_in);
    assert_in_range(down.packets_lost, 22, 23); /* 400 ms and one way of the refresh */
    assert_int_equal(up.packets_lost, 0);       /* side 0 knew that it could not send, and its sequence waited */
    assert_in_range(up.last_gap_ms, 400, 440);
    assert_in_range(down.last_gap_ms, 450, 520);
    assert_int_equal(up.longest_gap_ms, up.last_gap_ms);
    assert_int_equal(up.packets_refused, 0);
    /* Within the first second of the gap the missing sound is called concealed, and no more than the gap and the buffer's new filling. */
    assert_in_range(down.frames_concealed, 20, 30);
    for (int side = 0; side < 2; side++) {
        const double hz = side ? 440 : 1000;
        const int natural = (int)(8231 * 2 * sin(3.14159265358979 * hz / 8000));
        assert_true(biggest_step(world.sides[side].recorded, world.sides[side].nrecorded) < natural * 3 / 2);
        assert_tone(&world.sides[side], 3 * 8000, 8000 * 2, hz);
    }
    end();
}

/* An attacker who sees nothing but the address sends all along: other SSRC, from elsewhere and with the source address of the peer forged; the right SSRC with a wrong sequence
 * from elsewhere; even the right SSRC and the next sequence from elsewhere. What side 1 plays is, sample by sample, what it plays without the attack. */
typedef struct attack {
    int kind;
    uint16_t sequence;
} attack;

static void attack_step(net *n)
{
    attack *k = n->user;
    const roam_stream *victim = n->sides[1].stream;
    if (!victim->source.known)
        return;
    uint8_t packet[RTP_HEADER + 160];
    memset(packet, 0x2a, sizeof packet); /* loud noise */
    roam_rtp rtp = {.payload_type = 0, .ssrc = 0x666, .sequence = k->sequence++, .timestamp = k->sequence * 160u};
    roam_addr from = {.ip = {.family = 4, .bytes = {203, 0, 113, 9}}, .port = 4000};
    if (k->kind == 1)
        from = net_by_id(n, 2)->addr;
    if (k->kind >= 2) {
        rtp.ssrc = victim->source.ssrc;
        rtp.timestamp = victim->jitter->newest + 160;
        rtp.sequence = k->kind == 2 ? (uint16_t)(victim->reception.max_sequence + 20000 + k->sequence) : (uint16_t)(victim->reception.max_sequence + 1);
    }
    rtp_write_header(&rtp, packet);
    stream_receive(n->sides[1].stream, 4, &from, span_make((const char *)packet, sizeof packet));
}

static void injection_never_plays(void **state)
{
    (void)state;
    static int16_t clean[8000 * 4];
    begin(8, &roam_codec_pcmu, 30);
    net_run(&world, ROAM_SECONDS(4));
    memcpy(clean, world.sides[1].recorded, sizeof clean);
    end();
    for (int kind = 0; kind < 4; kind++) {
        attack k = {kind, 0};
        begin(8, &roam_codec_pcmu, 30);
        world.every = attack_step;
        world.user = &k;
        net_run(&world, ROAM_SECONDS(4));
        assert_true(stats_of(1).packets_refused > 500);
        assert_int_equal(stats_of(1).packets_lost, 0);
        assert_memory_equal(world.sides[1].recorded, clean, sizeof clean);
        end();
    }
}

/* Garbage, truncated and foreign datagrams are counted and change nothing; RTCP from elsewhere with BYE is not believed. */
static void garbage_is_counted(void **state)
{
    (void)state;
    begin(9, &roam_codec_pcmu, 10);
    net_run(&world, ROAM_SECONDS(1));
    roam_stream *b = world.sides[1].stream;
    const roam_addr stranger = {.ip = {.family = 4, .bytes = {203, 0, 113, 9}}, .port = 4000};
    const roam_addr peer = net_by_id(&world, 2)->addr;
    stream_receive(b, 4, &peer, SPAN(""));
    stream_receive(b, 4, &peer, SPAN("SIP/2.0 200 OK"));
    stream_receive(b, 5, &peer, SPAN("garbage"));
    stream_receive(b, 99, &peer, SPAN("no such leg"));
    char space[RTCP_MAX_PACKET];
    roam_writer w;
    writer_init(&w, space, sizeof space);
    write_rtcp(&w, &(roam_rtcp_report){.ssrc = b->source.ssrc, .cname = SPAN("x"), .bye = true});
    stream_receive(b, 5, &stranger, writer_span(&w));
    /* Payload type that nobody negotiated, from the peer, next in sequence. */
    uint8_t packet[RTP_HEADER + 4] = {0};
    rtp_write_header(&(roam_rtp){.payload_type = 77 - 40, .ssrc = b->source.ssrc, .sequence = world.sides[0].stream->sequence}, packet);
    stream_receive(b, 4, &stranger, span_make((const char *)packet, sizeof packet));
    assert_int_equal(stats_of(1).packets_refused, 6);
    assert_int_equal(count_events(&world.sides[1], STREAM_RTCP_BYE), 0);
    net_run(&world, ROAM_SECONDS(1));
    assert_int_equal(stats_of(1).packets_lost, 0);
    end();
}

/* A peer that was restarted: another SSRC from the signalled address while the old one is silent is heard after its probation. */
static void restarted_peer_is_heard(void **state)
{
    (void)state;
    begin(10, &roam_codec_pcmu, 10);
    net_run(&world, ROAM_SECONDS(1));
    roam_stream *a = world.sides[0].stream;
    a->ssrc ^= 0x5555;
    a->sequence = (uint16_t)(a->sequence + 30000);
    a->timestamp += 1234567;
    net_run(&world, ROAM_SECONDS(2));
    assert_int_equal(world.sides[1].stream->source.ssrc, a->ssrc);
    assert_in_range(stats_of(1).packets_refused, 2, 4);
    assert_int_equal(stats_of(1).packets_lost, 0);
    assert_tone(&world.sides[1], 12000, 8000, 440);
    end();
}

/* Digits with 30 % loss both ways, for 20 seeds: each arrives once, in order, and sound goes on afterwards. 16 digits of 160 ms have about 10 packets each, so
 * that losing all of one is out of the question (0.3^10). */
static void dtmf_survives_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 120; seed++) {
        begin(seed, &roam_codec_pcmu, 20);
        net_by_id(&world, 4)->loss = 30;
        net_by_id(&world, 4)->jitter_us = 30000; /* reordered too */
        assert_int_equal(stream_dtmf(world.sides[0].stream, SPAN("0123456789*#abcd"), 160), ROAM_OK);
        net_run(&world, ROAM_SECONDS(8));
        assert_string_equal(world.sides[1].digits, "0123456789*#ABCD");
        for (size_t i = 0; i < world.sides[1].nevents; i++)
            if (world.sides[1].events[i].type == STREAM_DTMF)
                assert_in_range(world.sides[1].events[i].duration_ms, 20, 160);
        end();
    }
}

/* The end packets of the last digit are all lost: it is reported all the same, after a while. */
static void lost_end_is_noticed(void **state)
{
    (void)state;
    begin(11, &roam_codec_pcmu, 20);
    net_run(&world, ROAM_SECONDS(1));
    assert_int_equal(stream_dtmf(world.sides[0].stream, SPAN("7"), 400), ROAM_OK);
    net_run(&world, ROAM_MS(300));
    net_by_id(&world, 4)->up = false;
    net_run(&world, ROAM_MS(80));
    assert_int_equal(world.sides[1].ndigits, 0);
    net_run(&world, ROAM_MS(100));
    assert_string_equal(world.sides[1].digits, "7");
    net_by_id(&world, 4)->up = true; /* its end comes now: not a second digit */
    net_run(&world, ROAM_SECONDS(1));
    assert_string_equal(world.sides[1].digits, "7");
    end();
}

/* What an event looks like on the wire (RFC 4733, 2.5): marker on the first packet only, one timestamp, growing duration, three end packets with the
 * full one, sequence goes on, and the audio afterwards has the timestamp of its time. */
static void dtmf_on_the_wire(void **state)
{
    (void)state;
    begin(12, &roam_codec_pcmu, 0);
    world.sides[0].watch = watch_rtp;
    net_run(&world, ROAM_MS(100));
    nseen = 0;
    assert_int_equal(stream_dtmf(world.sides[0].stream, SPAN("5#"), 100), ROAM_OK);
    net_run(&world, ROAM_MS(700));
    for (size_t i = 1; i < nseen; i++)
        assert_int_equal(seen[i].sequence, (uint16_t)(seen[0].sequence + i));
    size_t at = 0;
    for (int digit = 0; digit < 2; digit++) {
        while (seen[at].payload_type != 101)
            at++;
        const uint32_t timestamp = seen[at].timestamp;
        for (uint32_t i = 0; i < 7; i++) {
            const roam_rtp *p = &seen[at + i];
            assert_int_equal(p->payload_type, 101);
            assert_int_equal(p->marker, i == 0);
            assert_int_equal(p->timestamp, timestamp);
            assert_int_equal(p->payload.len, 4);
            const char *payload = seen_payload[at + i];
            assert_int_equal(payload[0], digit ? 11 : 5);
            assert_int_equal((uint8_t)payload[1] >> 7, i >= 4);
            assert_int_equal(load_be16(payload + 2), i < 4 ? 160 * (i + 1) : 800);
        }
        at += 7;
        assert_int_equal(seen[at].payload_type, 0);
        assert_int_equal(seen[at].timestamp, timestamp + 7 * 160);
        assert_int_equal(seen[at].marker, 0);
    }
    /* The audio that is not sent meanwhile is not missed at the other side. */
    assert_int_equal(stats_of(1).frames_concealed, 0);
    end();
}

/* Digits that cannot be: refused whole, and nothing of them is sent. */
static void dtmf_refusals(void **state)
{
    (void)state;
    begin(13, &roam_codec_pcmu, 0);
    roam_stream *a = world.sides[0].stream;
    assert_int_equal(stream_dtmf(a, SPAN("12x"), 100), ROAM_EINVAL);
    assert_int_equal(stream_dtmf(a, SPAN(""), 100), ROAM_EINVAL);
    assert_int_equal(stream_dtmf(a, SPAN("1"), 9000), ROAM_EINVAL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(stream_dtmf(a, SPAN("1234567890123456"), 100), ROAM_OK);
    assert_int_equal(stream_dtmf(a, SPAN("1"), 100), ROAM_ELIMIT);
    assert_int_equal(a->dtmf_out.count, 64);
    roam_stream_format format = net_format(&roam_codec_pcmu);
    format.has_dtmf = false;
    assert_int_equal(stream_set_format(a, &format), ROAM_OK);
    assert_int_equal(stream_dtmf(a, SPAN("1"), 100), ROAM_EUNSUPPORTED);
    end();
}

/* The round trip from RTCP is that of the network, to a millisecond; loss and jitter are reported back; BYE arrives. With RTCP on its own port and multiplexed. */
static void reports_measure(void **state)
{
    (void)state;
    for (int mux = 0; mux < 2; mux++) {
        begin(14, &roam_codec_pcmu, 70);
        roam_stream_format format = net_format(&roam_codec_pcmu);
        format.rtcp_mux = mux;
        for (int i = 0; i < 2; i++)
            assert_int_equal(stream_set_format(world.sides[i].stream, &format), ROAM_OK);
        if (mux) /* then nothing may come from these */
            net_by_id(&world, 3)->up = net_by_id(&world, 5)->up = false;
        net_by_id(&world, 4)->loss = 10;
        net_run(&world, ROAM_SECONDS(30));
        for (int i = 0; i < 2; i++) {
            assert_in_range(stats_of(i).round_trip_us, 139000, 141000);
            assert_in_range(world.sides[i].rtcp_out, 5, 12);
            const uint32_t lost = stats_of(i).peer_lost; /* as of the last report */
            assert_true(lost > 50 && lost <= stats_of(1 - i).packets_lost);
        }
        assert_int_equal(count_events(&world.sides[1], STREAM_RTCP_BYE), 0);
        net_by_id(&world, 4)->loss = net_by_id(&world, 5)->loss = 0;
        stream_free(world.sides[0].stream, false);
        world.sides[0].stream = NULL;
        net_run(&world, ROAM_SECONDS(1));
        assert_int_equal(count_events(&world.sides[1], STREAM_RTCP_BYE), 1);
        end();
    }
}

/* The reduced minimum: with 500 ms there are reports within the second, and not more often than the rules allow. */
static void reports_obey_the_minimum(void **state)
{
    (void)state;
    net_init(&world, 15);
    roam_stream_config config = net_config;
    config.rtcp_interval = ROAM_MS(2000);
    assert_int_equal(net_connect(&world, &roam_codec_pcmu, &config, 10), ROAM_OK);
    net_run(&world, ROAM_SECONDS(100));
    for (int i = 0; i < 2; i++)
        assert_in_range(world.sides[i].rtcp_out, 40, 75); /* reconsideration makes the mean about 2 s */
    end();
}

/* Everything that a buffer must bear at once: 60 ms of jitter, so that packets overtake each other, and 3 % loss. The tone keeps its level, what was lost is made up, the delay
 * stays within the budget, and almost nothing is late. */
static void jitter_and_reordering(void **state)
{
    (void)state;
    begin(16, &roam_codec_pcma, 20);
    net_by_id(&world, 4)->jitter_us = 60000;
    net_by_id(&world, 4)->loss = 3;
    net_run(&world, ROAM_SECONDS(60));
    roam_media_stats stats = stats_of(1);
    assert_in_range(stats.packets_lost, 50, 140);
    assert_in_range(stats.packets_late, 0, 30);
    assert_true(stats.frames_concealed < stats.packets_lost * 2 + 60);
    assert_true(jitter_delay_ms(world.sides[1].stream->jitter) <= 200);
    assert_true(jitter_delay_ms(world.sides[1].stream->jitter) >= 55);
    assert_true(stats.jitter_us > 10000 && stats.jitter_us < 40000);
    double amplitude = 0;
    for (size_t at = 40 * 8000; at < 55 * 8000; at += 400)
        amplitude += amplitude_of(world.sides[1].recorded + at, 400, 440) / (15 * 20);
    assert_true(amplitude > 8231 * 0.9 && amplitude < 8231 * 1.05);
    /* The jitter ends: the delay comes down to what is needed, unheard. */
    net_by_id(&world, 4)->jitter_us = 0;
    net_by_id(&world, 4)->loss = 0;
    net_run(&world, ROAM_SECONDS(20));
    const uint64_t concealed = stats_of(1).frames_concealed;
    assert_true(jitter_delay_ms(world.sides[1].stream->jitter) <= 75);
    net_run(&world, ROAM_SECONDS(10));
    assert_int_equal(stats_of(1).frames_concealed, concealed);
    assert_tone(&world.sides[1], 85 * 8000, 8000 * 4, 440);
    end();
}

/* The path becomes 150 ms slower, for good, and later faster again: it costs the length of the jump once, then the tone is whole again. */
static void delay_jumps(void **state)
{
    (void)state;
    begin(17, &roam_codec_pcmu, 20);
    net_run(&world, ROAM_SECONDS(2));
    net_by_id(&world, 2)->delay_us += 150000;
    net_run(&world, ROAM_SECONDS(2));
    const uint64_t concealed = stats_of(1).frames_concealed;
    assert_in_range(concealed, 4, 12);
    assert_tone(&world.sides[1], 20000, 8000, 440);
    net_by_id(&world, 2)->delay_us -= 150000;
    net_run(&world, ROAM_SECONDS(8));
    assert_int_equal(stats_of(1).packets_lost, 0);
    assert_in_range(stats_of(1).frames_concealed, concealed, concealed + 8);
    assert_true(jitter_delay_ms(world.sides[1].stream->jitter) <= 75); /* was 190 at first */
    assert_tone(&world.sides[1], 80000, 8000, 440);
    end();
}

/* Silence of the peer is told once, with its length when it is over; while we do not want to receive it is no silence. */
static void silence_is_told(void **state)
{
    (void)state;
    begin(18, &roam_codec_pcmu, 10);
    net_run(&world, ROAM_SECONDS(1));
    net_by_id(&world, 2)->up = false;
    net_run(&world, ROAM_SECONDS(3));
    assert_int_equal(count_events(&world.sides[1], STREAM_SILENT), 1);
    assert_int_equal(count_events(&world.sides[1], STREAM_HEARD_AGAIN), 0);
    net_by_id(&world, 2)->up = true;
    net_run(&world, ROAM_SECONDS(1));
    assert_int_equal(count_events(&world.sides[1], STREAM_HEARD_AGAIN), 1);
    const roam_stream_event *last = &world.sides[1].events[world.sides[1].nevents - 1];
    assert_int_equal(last->type, STREAM_HEARD_AGAIN);
    assert_in_range(last->gap_ms, 3000, 3040);
    assert_int_equal(stats_of(1).last_gap_ms, last->gap_ms);
    /* Held: nothing is expected, nothing is told, and the gap is not counted. */
    stream_set_direction(world.sides[1].stream, DIRECTION_SENDONLY);
    stream_set_direction(world.sides[0].stream, DIRECTION_RECVONLY);
    net_run(&world, ROAM_SECONDS(5));
    stream_set_direction(world.sides[1].stream, DIRECTION_SENDRECV);
    stream_set_direction(world.sides[0].stream, DIRECTION_SENDRECV);
    net_run(&world, ROAM_SECONDS(1));
    assert_int_equal(count_events(&world.sides[1], STREAM_SILENT), 1);
    assert_in_range(stats_of(1).longest_gap_ms, 3000, 3040);
    assert_int_equal(stats_of(1).packets_lost, 150);
    end();
}

/* A side that does not receive counts what comes and plays silence; one that does not send sends no RTP, but reports. */
static void direction_is_kept(void **state)
{
    (void)state;
    begin(19, &roam_codec_pcmu, 10);
    stream_set_direction(world.sides[1].stream, DIRECTION_SENDONLY); /* the peer does not know yet */
    net_run(&world, ROAM_SECONDS(2));
    assert_true(stats_of(1).packets_received > 95);
    assert_true(amplitude_of(world.sides[1].recorded, 16000, 440) < 1);
    assert_int_equal(stats_of(1).frames_concealed, 0);
    stream_set_direction(world.sides[1].stream, DIRECTION_INACTIVE);
    const uint64_t rtp = world.sides[1].rtp_out, rtcp = world.sides[1].rtcp_out;
    net_run(&world, ROAM_SECONDS(20));
    assert_int_equal(world.sides[1].rtp_out, rtp);
    assert_true(world.sides[1].rtcp_out > rtcp + 1);
    end();
}

/* The peer has our SSRC by chance: we say BYE, take another, and sound goes on both ways. Our own packets coming back do not change it again. */
static void ssrc_collision(void **state)
{
    (void)state;
    begin(20, &roam_codec_pcmu, 10);
    roam_stream *a = world.sides[0].stream, *b = world.sides[1].stream;
    b->ssrc = a->ssrc;
    net_run(&world, ROAM_SECONDS(3));
    assert_true(a->ssrc != b->ssrc);
    for (int i = 0; i < 2; i++)
        assert_tone(&world.sides[i], 16000, 4000, i ? 440 : 1000);
    const uint32_t ssrc = a->ssrc;
    uint8_t packet[RTP_HEADER + 160] = {0};
    for (uint16_t i = 0; i < 5; i++) {
        rtp_write_header(&(roam_rtp){.ssrc = a->ssrc, .sequence = i}, packet);
        const uint64_t refused = stats_of(0).packets_refused;
        stream_receive(a, 2, &net_by_id(&world, 4)->addr, span_make((const char *)packet, sizeof packet));
        if (a->ssrc == ssrc)
            assert_int_equal(stats_of(0).packets_refused, refused + 1);
        /* From somebody else it is not even looked at. */
        const roam_addr stranger = {.ip = {.family = 4, .bytes = {203, 0, 113, 9}}, .port = 1};
        const uint32_t now = a->ssrc;
        stream_receive(a, 2, &stranger, span_make((const char *)packet, sizeof packet));
        assert_int_equal(a->ssrc, now);
    }
    end();
}

/* Legs: the first sends, a fourth replaces the oldest that does not, a socket is taken once, a removed one is silent. */
static void legs_come_and_go(void **state)
{
    (void)state;
    begin(21, &roam_codec_pcmu, 10);
    roam_stream *a = world.sides[0].stream;
    assert_int_equal(stream_add_leg(a, &(roam_leg){2, 3, true}), ROAM_EBUSY);
    assert_int_equal(stream_add_leg(a, &(roam_leg){0, 3, true}), ROAM_EINVAL);
    assert_int_equal(stream_add_leg(a, &(roam_leg){20, 20, true}), ROAM_OK);
    assert_int_equal(stream_add_leg(a, &(roam_leg){22, 22, false}), ROAM_OK);
    assert_int_equal(stream_add_leg(a, &(roam_leg){24, 24, false}), ROAM_OK);
    assert_null(stream_leg(a, 20));
    assert_non_null(stream_leg(a, 2));
    assert_int_equal(stream_sending_leg(a), 2);
    assert_int_equal(stream_send_from(a, 20), ROAM_ENOTFOUND);
    /* From a leg that is not usable nothing is sent, and the sequence waits. */
    net_run(&world, ROAM_MS(100));
    const uint64_t sent = world.sides[0].rtp_out;
    const uint16_t sequence = a->sequence;
    assert_int_equal(stream_send_from(a, 22), ROAM_OK);
    net_run(&world, ROAM_MS(100));
    assert_int_equal(world.sides[0].rtp_out, sent);
    assert_int_equal(a->sequence, sequence);
    stream_remove_leg(a, 22);
    assert_int_equal(stream_sending_leg(a), 0);
    assert_int_equal(stream_send_from(a, 2), ROAM_OK);
    net_run(&world, ROAM_MS(100));
    assert_true(world.sides[0].rtp_out > sent);
    end();
}

/* Formats that cannot work are refused before anything changes. */
static void formats_are_checked(void **state)
{
    (void)state;
    begin(22, &roam_codec_pcmu, 10);
    roam_stream *a = world.sides[0].stream;
    roam_stream_format format = net_format(&roam_codec_pcmu);
    format.codec = NULL;
    assert_int_equal(stream_set_format(a, &format), ROAM_EINVAL);
    format = net_format(&roam_codec_pcmu);
    format.receive_dtmf_type = format.receive_payload_type;
    assert_int_equal(stream_set_format(a, &format), ROAM_EINVAL);
    format = net_format(&roam_codec_pcmu);
    format.send_payload_type = 128;
    assert_int_equal(stream_set_format(a, &format), ROAM_EINVAL);
    format = net_format(&roam_codec_pcmu);
    format.rtcp_mux = true;
    format.send_dtmf_type = 72;
    assert_int_equal(stream_set_format(a, &format), ROAM_EINVAL);
    /* The other codec in the middle of a call, on both sides: SSRC, sequence and timestamp go on, the tone comes back. */
    net_run(&world, ROAM_SECONDS(1));
    const uint32_t ssrc = a->ssrc;
    format = net_format(&roam_codec_pcma);
    for (int i = 0; i < 2; i++)
        assert_int_equal(stream_set_format(world.sides[i].stream, &format), ROAM_OK);
    net_run(&world, ROAM_SECONDS(2));
    assert_int_equal(a->ssrc, ssrc);
    assert_int_equal(stats_of(1).packets_lost, 0);
    assert_tone(&world.sides[1], 12000, 8000, 440);
    end();
}

/* An allocator that refuses the n-th request, and one that refuses all from the n-th on: the stream says ROAM_ENOMEM or loses packets, never crashes, leaks nothing. */
typedef struct meagre {
    long left;
    bool for_good;
} meagre;

static void *meagre_realloc(void *user, void *ptr, size_t size)
{
    meagre *m = user;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (m->left == 0) {
        if (!m->for_good)
            m->left = -1;
        return NULL;
    }
    if (m->left > 0)
        m->left--;
    return realloc(ptr, size);
}

static void memory_is_refused(void **state)
{
    (void)state;
    bool worked = false;
    for (long n = 0; n < 24; n++) {
        for (int for_good = 0; for_good < 2; for_good++) {
            meagre m = {n, for_good};
            const roam_allocator allocator = {meagre_realloc, &m};
            net_init_with(&world, 23, &allocator);
            int err = net_connect(&world, &roam_codec_pcmu, &net_config, 10);
            if (err == ROAM_OK) {
                worked = true;
                (void)stream_dtmf(world.sides[0].stream, SPAN("123"), 100);
                net_run(&world, ROAM_SECONDS(1));
                assert_true(stats_of(0).packets_sent > 45);
            } else {
                assert_int_equal(err, ROAM_ENOMEM);
            }
            end();
        }
    }
    assert_true(worked);
}

/* Before anything was heard, a peer behind a NAT (packets from an address that nobody signalled) is heard after its probation; then the signalled one takes over
 * when it speaks. */
static void nat_peer_is_heard(void **state)
{
    (void)state;
    begin(24, &roam_codec_pcmu, 10);
    const roam_addr private_address = {.ip = {.family = 4, .bytes = {192, 168, 1, 5}}, .port = 5000};
    stream_set_remote(world.sides[1].stream, &private_address, NULL);
    net_run(&world, ROAM_SECONDS(2));
    assert_int_equal(stats_of(1).packets_refused, 1);
    assert_tone(&world.sides[1], 8000, 8000, 440);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tone_survives),           cmocka_unit_test(clock_keeps_time),         cmocka_unit_test(begins_at_random),
        cmocka_unit_test(wraps_around),            cmocka_unit_test(make_before_break),        cmocka_unit_test(both_legs_deliver),
        cmocka_unit_test(break_before_make),       cmocka_unit_test(injection_never_plays),    cmocka_unit_test(garbage_is_counted),
        cmocka_unit_test(restarted_peer_is_heard), cmocka_unit_test(dtmf_survives_loss),       cmocka_unit_test(lost_end_is_noticed),
        cmocka_unit_test(dtmf_on_the_wire),        cmocka_unit_test(dtmf_refusals),            cmocka_unit_test(reports_measure),
        cmocka_unit_test(reports_obey_the_minimum), cmocka_unit_test(jitter_and_reordering),   cmocka_unit_test(delay_jumps),
        cmocka_unit_test(silence_is_told),         cmocka_unit_test(direction_is_kept),        cmocka_unit_test(ssrc_collision),
        cmocka_unit_test(legs_come_and_go),        cmocka_unit_test(formats_are_checked),      cmocka_unit_test(memory_is_refused),
        cmocka_unit_test(nat_peer_is_heard),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}

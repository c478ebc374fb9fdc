/* The jitter buffer and concealment alone: packets by hand, frames every 20 ms of virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "media/g711.h"
#include "media/jitter.h"

enum { FRAME = 160 };

static roam_mem mem;
static roam_tracer tracer;
static roam_time now;
static roam_jitter *j;
static int16_t out[FRAME];
static int16_t heard[FRAME * 4000];
static size_t nheard;

static void begin(uint32_t min_ms, uint32_t max_ms)
{
    mem_init(&mem, NULL);
    now = ROAM_SECONDS(10);
    tracer = (roam_tracer){NULL, NULL, &now};
    nheard = 0;
    j = jitter_new(&mem, &(roam_jitter_config){&roam_codec_pcmu, 20, min_ms, max_ms, &tracer, 1});
    assert_non_null(j);
}

static void end(void)
{
    jitter_free(j);
    assert_int_equal(mem.live, 0);
}

/* The sine of `hz` at these timestamps, as a packet. */
static int put_tone(uint32_t timestamp, double hz, size_t n)
{
    int16_t samples[1600];
    uint8_t bytes[1600];
    for (size_t i = 0; i < n; i++)
        samples[i] = (int16_t)lrint(8000 * sin(6.283185307179586 * fmod(hz * (double)(uint32_t)(timestamp + i) / 8000, 1)));
    g711_encode_ulaw(samples, n, bytes);
    return jitter_put(j, now, timestamp, span_make((const char *)bytes, n));
}

static int put(uint32_t timestamp)
{
    return put_tone(timestamp, 400, FRAME);
}

static roam_frame_kind play(void)
{
    roam_frame_kind kind = jitter_play(j, now, out);
    if (nheard + FRAME <= sizeof heard / sizeof *heard) {
        memcpy(heard + nheard, out, sizeof out);
        nheard += FRAME;
    }
    now += ROAM_MS(20);
    return kind;
}

/* Order of arrival does not matter, and the wrap of timestamps does not: three packets in reverse come out in order. */
static void puts_in_order(void **state)
{
    (void)state;
    begin(60, 200);
    const uint32_t start = 0xffffff60; /* wraps after the first */
    uint8_t bytes[FRAME];
    for (uint32_t i = 3; i-- > 0;) {
        memset(bytes, (int)(0x90 + i), sizeof bytes);
        assert_int_equal(jitter_put(j, now, start + i * FRAME, span_make((const char *)bytes, FRAME)), ROAM_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        int16_t expected;
        uint8_t byte = (uint8_t)(0x90 + i);
        assert_int_equal(play(), FRAME_PLAYED);
        g711_decode_ulaw(&byte, 1, &expected);
        assert_int_equal(out[FRAME - 1], expected);
    }
    assert_int_equal(play(), FRAME_CONCEALED);
    end();
}

/* The first delay is gathered: nothing plays for the minimum, silence meanwhile and not called concealed. */
static void gathers_first(void **state)
{
    (void)state;
    begin(60, 200);
    assert_int_equal(play(), FRAME_SILENCE);
    put(0);
    assert_int_equal(play(), FRAME_SILENCE);
    put(160);
    assert_int_equal(play(), FRAME_SILENCE);
    put(320);
    assert_int_equal(play(), FRAME_PLAYED);
    assert_int_equal(j->state, JITTER_PLAYING);
    end();
}

/* A lost packet with others behind it: one frame is made up, in the pitch and at the level of its surroundings, without a click on either side. For tones over the range of voices. */
static void conceals_one(void **state)
{
    (void)state;
    for (double hz = 120; hz < 900; hz += 65) {
        begin(60, 200);
        for (uint32_t i = 0; i < 60; i++) {
            if (i != 30)
                assert_int_equal(put_tone(i * FRAME, hz, FRAME), ROAM_OK);
            roam_frame_kind kind = play();
            if (i >= 3)
                assert_int_equal(kind, i == 32 ? FRAME_CONCEALED : FRAME_PLAYED);
        }
        const int natural = (int)(8000 * 2 * sin(3.14159265358979 * hz / 8000));
        double energy = 0;
        for (size_t i = 31 * FRAME; i < 35 * FRAME; i++) {
            int step = abs(heard[i] - heard[i - 1]);
            if (step > natural * 7 / 5 + 250)
                fail_msg("%f Hz: a step of %d at %zu, natural is %d", hz, step, i, natural);
            energy += (double)heard[i] * heard[i];
        }
        double level = sqrt(energy / (4 * FRAME) * 2);
        if (level < 8000 * 0.75 || level > 8000 * 1.1)
            fail_msg("%f Hz: level %f", hz, level);
        end();
    }
}

/* A long gap fades to silence within 60 ms and stays silent; it is called concealed for a second and silence afterwards; the return has no click. */
static void fades_out(void **state)
{
    (void)state;
    begin(40, 200);
    for (uint32_t i = 0; i < 50; i++) {
        put_tone(i * FRAME, 437, FRAME);
        (void)play();
    }
    const size_t gap = nheard;
    size_t concealed = 0, silent = 0;
    for (int i = 0; i < 150; i++) {
        roam_frame_kind kind = play();
        concealed += kind == FRAME_CONCEALED;
        silent += kind == FRAME_SILENCE;
    }
    assert_in_range(concealed, 46, 50);
    assert_in_range(silent + concealed, 147, 149); /* what waited in the buffer played first */
    for (size_t i = gap + 40 * 8 + 60 * 8 + FRAME; i < nheard; i++)
        assert_int_equal(heard[i], 0);
    assert_int_equal(j->state, JITTER_EMPTY);
    for (uint32_t i = 201; i < 220; i++) {
        put_tone(i * FRAME, 437, FRAME);
        (void)play();
    }
    const int natural = (int)(8000 * 2 * sin(3.14159265358979 * 437 / 8000));
    for (size_t i = gap - FRAME; i < nheard; i++)
        assert_true(abs(heard[i] - heard[i - 1]) < natural * 7 / 5);
    assert_true(abs(heard[nheard - 12]) + abs(heard[nheard - 7]) > 5000);
    end();
}

/* Packets lost in a row, more than wait in the buffer: the waiting counts toward the hole, so exactly the lost ones are made up and the delay is what it was. */
static void waiting_counts(void **state)
{
    (void)state;
    begin(40, 200);
    size_t concealed = 0;
    for (uint32_t i = 0; i < 300; i++) {
        if (i % 100 < 95 || i < 100)
            assert_int_equal(put(i * FRAME), ROAM_OK);
        concealed += play() == FRAME_CONCEALED;
        if (i == 150 || i == 250)
            assert_int_equal(j->npackets, 1);
        if (i == 250)
            assert_int_equal(concealed, 5);
    }
    assert_int_equal(concealed, 5 + 4); /* of the second five, one is still to come */
    assert_int_equal(j->late + j->discarded, 0);
    end();
}

/* The first made sample follows the last good one also where the sound grows, and repeats differ from it: a sine that doubles within a period. */
static void begins_without_a_seam(void **state)
{
    (void)state;
    for (double hz = 75; hz < 190; hz += 23) {
        int16_t past[400], made[FRAME];
        int natural = 0;
        for (int i = 0; i < 400; i++) {
            double grown = 120 * pow(2, i * hz / 8000 * 0.7);
            past[i] = (int16_t)lrint((grown < 16000 ? grown : 16000) * cos(6.283185307179586 * hz * (i - 399) / 8000));
            if (i && abs(past[i] - past[i - 1]) > natural)
                natural = abs(past[i] - past[i - 1]);
        }
        roam_conceal c;
        conceal_init(&c, 8000);
        conceal_make(&c, past + 400, made, FRAME, false);
        assert_true(abs(made[0] - past[399]) <= natural);
        for (int i = 1; i < FRAME; i++)
            assert_true(abs(made[i] - made[i - 1]) <= natural * 2);
    }
}

/* Late packets are counted and do not play: one whose frame is over. */
static void late_is_counted(void **state)
{
    (void)state;
    begin(40, 200);
    for (uint32_t i = 0; i < 50; i++) {
        if (i == 20)
            assert_int_equal(put(10 * FRAME), ROAM_ETIMEOUT);
        put(i * FRAME);
        (void)play();
    }
    assert_int_equal(j->late, 1);
    end();
}

/* Another packet time at the sender: 10, 30 and 60 ms packets play through our 20 ms frames without anything made up. */
static void other_packet_times(void **state)
{
    (void)state;
    static const uint32_t ptime[] = {10, 30, 60};
    for (size_t k = 0; k < 3; k++) {
        begin(80, 240);
        uint32_t sent_ms = 0;
        for (uint32_t i = 0; i < 300; i++) {
            for (; sent_ms <= i * 20; sent_ms += ptime[k])
                assert_int_equal(put_tone(sent_ms * 8, 400, ptime[k] * 8), ROAM_OK);
            roam_frame_kind kind = play();
            if (i > 10)
                assert_int_equal(kind, FRAME_PLAYED);
        }
        for (size_t i = 15 * FRAME; i < nheard; i++)
            if (abs(heard[i] - heard[i - 1]) > 3200)
                fail_msg("ptime %u: step at %zu", ptime[k], i);
        end();
    }
}

/* Whatever is thrown at it, no more than the budget waits, and no more packets than the limit: ten seconds of packets at once, and timestamps at random. */
static void stays_bounded(void **state)
{
    (void)state;
    begin(40, 200);
    for (uint32_t i = 0; i < 500; i++)
        (void)put(i * FRAME);
    assert_true(j->npackets <= JITTER_MAX_PACKETS);
    assert_true(mem.live <= JITTER_MAX_PACKETS + 2);
    (void)play();
    (void)play();
    assert_true(j->npackets <= 12);
    uint32_t lcg = 5;
    for (uint32_t i = 0; i < 5000; i++) {
        lcg = lcg * 1664525u + 1013904223u;
        (void)put(i & 1 ? lcg : lcg >> 18);
        if (lcg >> 30 == 0)
            (void)play();
        assert_true(j->npackets <= JITTER_MAX_PACKETS);
    }
    assert_true(mem.live <= JITTER_MAX_PACKETS + 2);
    /* And it plays again when the source is sane again. */
    for (uint32_t i = 0; i < 100; i++) {
        put(0x40000000 + i * FRAME);
        roam_frame_kind kind = play();
        if (i > 20)
            assert_int_equal(kind, FRAME_PLAYED);
    }
    end();
}

/* Timestamps that jump (a sender that began anew without a new SSRC), forward and back: it plays again after no more than a quarter of a second. */
static void timestamps_jump(void **state)
{
    (void)state;
    begin(40, 200);
    uint32_t base = 1000;
    for (int part = 0; part < 3; part++) {
        size_t bad = 0;
        for (uint32_t i = 0; i < 100; i++) {
            (void)put(base + i * FRAME);
            bad += play() != FRAME_PLAYED;
        }
        assert_in_range(bad, 0, 14);
        base += part ? 0u - 500000u : 900000u;
    }
    end();
}

/* Clocks that differ by 1,000 ppm (ten times what sound cards do), sender faster and slower, for 80 s: nothing is lost or made up, the delay stays. */
static void clocks_differ(void **state)
{
    (void)state;
    for (int faster = 0; faster < 2; faster++) {
        begin(40, 200);
        const double interval = faster ? 19980 : 20020;
        const roam_time start = now;
        uint32_t sent = 0;
        size_t made = 0;
        for (uint32_t i = 0; i < 4000; i++) {
            const roam_time tick = start + ROAM_MS(20) * i;
            while (start + (roam_time)(interval * sent) <= tick) {
                now = start + (roam_time)(interval * sent);
                assert_int_equal(put(sent * FRAME), ROAM_OK);
                sent++;
            }
            now = tick;
            made += play() != FRAME_PLAYED;
        }
        assert_in_range(made, 0, 4);
        assert_int_equal(j->late + j->discarded, 0);
        assert_in_range(jitter_delay_ms(j), 5, 90);
        for (size_t i = 20 * FRAME; i < nheard; i++)
            assert_true(abs(heard[i] - heard[i - 1]) < 3600);
        end();
    }
}

/* Where no sound is expected (an event is sent instead) silence is played, and it is not called concealed. */
static void quiet_is_no_loss(void **state)
{
    (void)state;
    begin(40, 200);
    for (uint32_t i = 0; i < 60; i++) {
        if (i < 20 || i >= 30)
            put(i * FRAME);
        else
            jitter_quiet(j, 20 * FRAME, (i - 19) * FRAME);
        roam_frame_kind kind = play();
        assert_int_not_equal(kind, FRAME_CONCEALED);
        if (i == 25)
            for (int k = 0; k < FRAME; k++)
                assert_int_equal(out[k], 0);
    }
    assert_int_equal(j->late, 0);
    end();
}

/* Leaving out or repeating a period of a tone is not heard: the step between samples stays natural, the period is found for all pitches of a voice. */
static void shifts_by_a_period(void **state)
{
    (void)state;
    for (double hz = 80; hz < 400; hz += 31) {
        int16_t samples[1000], shifted[FRAME];
        for (size_t i = 0; i < 1000; i++) /* with a harmonic, so that there is one period only */
            samples[i] = (int16_t)lrint(5000 * sin(6.283185307179586 * hz * (double)i / 8000) + 3000 * sin(6.283185307179586 * 2 * hz * (double)i / 8000));
        size_t period = conceal_period(samples + 1000, 8000);
        double turns = (double)period * hz / 8000;
        if (fabs(turns - round(turns)) > 0.04)
            fail_msg("%f Hz: %zu samples are %f periods", hz, period, turns);
        for (int sign = -1; sign <= 1; sign += 2) {
            ptrdiff_t shift = sign * (ptrdiff_t)period;
            conceal_shift(samples + 500, shift, shifted, FRAME);
            assert_true(abs(shifted[0] - samples[500]) < 600);
            assert_true(abs(shifted[FRAME - 1] - samples[500 + FRAME - 1 + shift]) < 600);
            for (int i = 0; i < FRAME; i++)
                assert_true(abs(shifted[i] - samples[500 + i]) < 3000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_in_order),      cmocka_unit_test(gathers_first),   cmocka_unit_test(conceals_one),
        cmocka_unit_test(fades_out),          cmocka_unit_test(late_is_counted), cmocka_unit_test(other_packet_times),
        cmocka_unit_test(stays_bounded),      cmocka_unit_test(timestamps_jump), cmocka_unit_test(clocks_differ),
        cmocka_unit_test(waiting_counts),     cmocka_unit_test(begins_without_a_seam),
        cmocka_unit_test(quiet_is_no_loss),   cmocka_unit_test(shifts_by_a_period),
    };
    return cmocka_run_group_tests_name("jitter", tests, NULL, NULL);
}

/* G.711 against the tables of the recommendation, the list of codecs, and the tone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "media/codec.h"
#include "media/g711.h"
#include "roam/media.h"

/* The decision values of one law, built as the tables of G.711 print them: from 0 up, 16 steps a segment, the step doubling.
 * value[n] <= magnitude < value[n + 1] is code n. In the scale of 16 bits. */
typedef struct law {
    int decision[130];
    int output[128]; /* the middle */
} law;

static void build_ulaw(law *l) /* table 2a: 0, 1, 3, 5 ... 31, 35 ... 95, 103 ..., in 1/8159; 16 bits are four times as fine */
{
    int v = 0, n = 0;
    l->decision[0] = 0;
    for (int segment = 0; segment < 8; segment++)
        for (int step = 0; step < 16; step++, n++) {
            v += segment == 0 && step == 0 ? 1 : 2 << segment;
            l->decision[n + 1] = 4 * v;
            l->output[n] = n == 0 ? 0 : 2 * (v + l->decision[n] / 4);
        }
}

static void build_alaw(law *l) /* table 1a: 32 steps of 2, then 16 of 4, 8 ... 128, in 1/4096; 16 bits are eight times as fine */
{
    int v = 0, n = 0;
    l->decision[0] = 0;
    for (int segment = 0; segment < 8; segment++)
        for (int step = 0; step < 16; step++, n++) {
            v += segment < 2 ? 2 : 1 << segment;
            l->decision[n + 1] = 8 * v;
            l->output[n] = 4 * (v + l->decision[n] / 8);
        }
}

static int slow_code(const law *l, int sample)
{
    int magnitude = sample < 0 ? -sample - 1 : sample;
    int n = 0;
    while (n < 127 && magnitude >= l->decision[n + 1])
        n++;
    return n;
}

/* All 65,536 samples give the code that a search through the decision values gives. */
static void encodes_as_the_tables_say(void **state)
{
    (void)state;
    static int16_t samples[65536];
    static uint8_t ulaw[65536], alaw[65536];
    static law u, a;
    build_ulaw(&u);
    build_alaw(&a);
    assert_int_equal(u.decision[128], 4 * 8159);
    assert_int_equal(a.decision[128], 8 * 4096);
    for (int i = 0; i < 65536; i++)
        samples[i] = (int16_t)(i - 32768);
    g711_encode_ulaw(samples, 65536, ulaw);
    g711_encode_alaw(samples, 65536, alaw);
    for (int i = 0; i < 65536; i++) {
        int s = samples[i];
        int ucode = (slow_code(&u, s) | (s >= 0 ? 0x80 : 0)) ^ 0x7f;
        int acode = (slow_code(&a, s) | (s >= 0 ? 0x80 : 0)) ^ 0x55;
        assert_int_equal(ulaw[i], ucode);
        assert_int_equal(alaw[i], acode);
    }
    /* A count that is no multiple of any vector. */
    uint8_t piece[37];
    g711_encode_ulaw(samples + 1000, 37, piece);
    assert_memory_equal(piece, ulaw + 1000, 37);
    g711_encode_alaw(samples + 1000, 37, piece);
    assert_memory_equal(piece, alaw + 1000, 37);
}

/* All 256 codes give the output values of the tables, and encoding them again gives the code back. */
static void decodes_as_the_tables_say(void **state)
{
    (void)state;
    static law u, a;
    build_ulaw(&u);
    build_alaw(&a);
    for (int i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i, again;
        int16_t out;
        g711_decode_ulaw(&code, 1, &out);
        int magnitude = u.output[(code ^ 0x7f) & 0x7f];
        assert_int_equal(out, code & 0x80 ? magnitude : -magnitude);
        g711_encode_ulaw(&out, 1, &again);
        assert_int_equal(again, code == 0x7f ? 0xff : code); /* both zeros are 0 */
        g711_decode_alaw(&code, 1, &out);
        magnitude = a.output[(code ^ 0x55) & 0x7f];
        assert_int_equal(out, code & 0x80 ? magnitude : -magnitude);
        g711_encode_alaw(&out, 1, &again);
        assert_int_equal(again, code);
    }
}

/* Codecs are found by name without case and by clock; the order is ours; too little space is an error. */
static void finds_codecs(void **state)
{
    (void)state;
    assert_ptr_equal(codec_find(SPAN("pcmu"), 8000), &roam_codec_pcmu);
    assert_ptr_equal(codec_find(SPAN("PCMA"), 8000), &roam_codec_pcma);
    assert_null(codec_find(SPAN("PCMA"), 16000));
    assert_null(codec_find(SPAN("PCM"), 8000));
    assert_ptr_equal(codec_list()[0], &roam_codec_pcmu);
    assert_ptr_equal(codec_list()[1], &roam_codec_pcma);
    assert_null(codec_list()[2]);
    for (const roam_codec *const *c = codec_list(); *c; c++) {
        int16_t samples[4] = {0};
        uint8_t bytes[4] = {0};
        assert_int_equal((*c)->encode(NULL, samples, 4, bytes, 3), ROAM_EOVERFLOW);
        assert_int_equal((*c)->decode(NULL, bytes, 4, samples, 3), ROAM_EOVERFLOW);
        assert_int_equal((*c)->encode(NULL, samples, 4, bytes, 4), 4);
    }
}

/* The tone is a sine of the right frequency at -12 dBFS, still so after ten minutes: the samples against sin(). */
static void plays_a_tone(void **state)
{
    (void)state;
    roam_audio_source *tone = roam_tone_source(440);
    assert_non_null(tone);
    int16_t samples[160];
    size_t n = 0;
    for (int frame = 0; frame < 30000; frame++)
        for (assert_int_equal(tone->read(tone, samples, 160, 8000), 160); n < (size_t)(frame + 1) * 160; n++) {
            double expected = 8231 * sin(6.283185307179586 * fmod(440.0 * (double)n / 8000, 1));
            if (fabs(expected - samples[n % 160]) > 2)
                fail_msg("sample %zu: %d instead of %f", n, samples[n % 160], expected);
        }
    tone->close(tone);
}

/* What cannot be played is silence, not noise. */
static void refuses_impossible_tones(void **state)
{
    (void)state;
    const double impossible[] = {0, -5, 4000, 1e300, NAN, INFINITY};
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        int16_t samples[8];
        roam_audio_source *tone = roam_tone_source(impossible[i]);
        assert_non_null(tone);
        assert_int_equal(tone->read(tone, samples, 8, 8000), 0);
        tone->close(tone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_the_tables_say), cmocka_unit_test(decodes_as_the_tables_say), cmocka_unit_test(finds_codecs),
        cmocka_unit_test(plays_a_tone),              cmocka_unit_test(refuses_impossible_tones),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}

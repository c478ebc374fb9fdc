/* RTP packets, and what a receiver counts about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "media/reception.h"
#include "media/rtp.h"

static roam_span bytes_span(const uint8_t *bytes, size_t n)
{
    return span_make((const char *)bytes, n);
}

/* What is written reads back the same: a header with extreme values and a payload. */
static void writes_and_reads(void **state)
{
    (void)state;
    const roam_rtp in = {.marker = true, .payload_type = 127, .sequence = 65535, .timestamp = 0xfffffffe, .ssrc = 0x80000001};
    uint8_t packet[RTP_HEADER + 3] = {0};
    rtp_write_header(&in, packet);
    memcpy(packet + RTP_HEADER, "abc", 3);
    assert_int_equal(packet[0], 0x80);
    roam_rtp out;
    assert_int_equal(rtp_parse(&out, bytes_span(packet, sizeof packet)), ROAM_OK);
    assert_true(out.marker);
    assert_int_equal(out.payload_type, 127);
    assert_int_equal(out.sequence, 65535);
    assert_int_equal(out.timestamp, 0xfffffffe);
    assert_int_equal(out.ssrc, 0x80000001);
    assert_true(span_eq(out.payload, SPAN("abc")));
}

/* CSRC, extension and padding are left out of the payload: a packet with all three. */
static void skips_what_is_not_payload(void **state)
{
    (void)state;
    const uint8_t packet[] = {0xb2, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3,          /* V=2 P X CC=2 */
                              1, 1, 1, 1, 2, 2, 2, 2,                         /* CSRC */
                              0xbe, 0xde, 0, 1, 9, 9, 9, 9,                   /* extension of one word */
                              'x', 'y', 0, 0, 3};                             /* payload, padding of 3 */
    roam_rtp out;
    assert_int_equal(rtp_parse(&out, bytes_span(packet, sizeof packet)), ROAM_OK);
    assert_true(span_eq(out.payload, SPAN("xy")));
    /* Every shorter piece of it is refused, or has another payload, but is never read beyond its end (the sanitizer says so). */
    for (size_t n = 0; n < sizeof packet; n++) {
        uint8_t *copy = test_malloc(n ? n : 1);
        memcpy(copy, packet, n);
        assert_int_equal(rtp_parse(&out, bytes_span(copy, n)), ROAM_ESYNTAX);
        test_free(copy);
    }
}

/* Malformed packets are errors: version, padding of 0 and of more than there is, an extension beyond the end, too long. */
static void refuses_malformed(void **state)
{
    (void)state;
    roam_rtp out;
    const uint8_t version[12] = {0x40};
    assert_int_equal(rtp_parse(&out, bytes_span(version, sizeof version)), ROAM_ESYNTAX);
    const uint8_t padding_zero[14] = {0xa0};
    assert_int_equal(rtp_parse(&out, bytes_span(padding_zero, sizeof padding_zero)), ROAM_ESYNTAX);
    const uint8_t padding_much[13] = {0xa0, [12] = 2};
    assert_int_equal(rtp_parse(&out, bytes_span(padding_much, sizeof padding_much)), ROAM_ESYNTAX);
    const uint8_t extension[16] = {0x90, [14] = 0xff, [15] = 0xff};
    assert_int_equal(rtp_parse(&out, bytes_span(extension, sizeof extension)), ROAM_ESYNTAX);
    static uint8_t longer[RTP_MAX_PACKET + 1] = {0x80};
    assert_int_equal(rtp_parse(&out, bytes_span(longer, sizeof longer)), ROAM_ESYNTAX);
    assert_int_equal(rtp_parse(&out, bytes_span(longer, sizeof longer - 1)), ROAM_OK);
}

/* RTCP types are told from RTP with and without marker (RFC 5761, 4). */
static void tells_rtcp(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        const uint8_t packet[2] = {0x80, (uint8_t)type};
        assert_int_equal(rtp_is_rtcp(bytes_span(packet, 2)), type >= 192 && type <= 223);
    }
    assert_false(rtp_is_rtcp(SPAN("")));
}

/* Sequence numbers wrap: the extended number grows by one a packet over two turns, and nothing is missing. */
static void counts_over_the_wrap(void **state)
{
    (void)state;
    roam_reception r;
    reception_init(&r, 65000);
    uint32_t n = 0;
    for (; n < 140000; n++)
        assert_int_equal(reception_update(&r, (uint16_t)(65000 + n)), RECEPTION_NEW);
    assert_int_equal(reception_extended(&r), 65000 + n - 1);
    assert_int_equal(reception_missing(&r), 0);
    assert_int_equal(reception_lost(&r), 0);
}

/* Loss, reordering and duplicates: 10 packets of which 3 never come, one comes late, two come twice. RTCP's count takes duplicates as received (A.3),
 * our own does not. */
static void counts_loss_and_duplicates(void **state)
{
    (void)state;
    static const uint16_t sequence[] = {65533, 65534, 2, 1, 2, 3, 65534, 6};
    static const roam_reception_result expected[] = {RECEPTION_NEW, RECEPTION_NEW, RECEPTION_NEW, RECEPTION_NEW,
                                                     RECEPTION_DUPLICATE, RECEPTION_NEW, RECEPTION_DUPLICATE, RECEPTION_NEW};
    roam_reception r;
    reception_init(&r, sequence[0]);
    for (size_t i = 0; i < sizeof sequence / sizeof *sequence; i++)
        assert_int_equal(reception_update(&r, sequence[i]), expected[i]);
    assert_int_equal(reception_expected(&r), 10);
    assert_int_equal(reception_missing(&r), 4); /* 65535, 0, 4, 5 */
    assert_int_equal(reception_lost(&r), 2);
    assert_int_equal(reception_fraction(&r), 2 * 256 / 10);
    /* In the next interval nothing is lost. */
    assert_int_equal(reception_update(&r, 7), RECEPTION_NEW);
    assert_int_equal(reception_fraction(&r), 0);
}

/* A jump beyond MAX_DROPOUT is believed when a second packet follows it (A.1), and the loss before is not counted on. */
static void restarts_after_a_jump(void **state)
{
    (void)state;
    roam_reception r;
    reception_init(&r, 100);
    assert_int_equal(reception_update(&r, 100), RECEPTION_NEW);
    assert_int_equal(reception_update(&r, 30000), RECEPTION_JUMP);
    assert_int_equal(reception_update(&r, 101), RECEPTION_NEW);
    assert_int_equal(reception_update(&r, 40000), RECEPTION_JUMP);
    assert_int_equal(reception_update(&r, 40001), RECEPTION_RESTARTED);
    assert_int_equal(reception_extended(&r), 40001);
    assert_int_equal(reception_missing(&r), 0);
    /* The largest step that is no jump. */
    assert_int_equal(reception_update(&r, (uint16_t)(40001 + RTP_MAX_DROPOUT - 1)), RECEPTION_NEW);
    assert_int_equal(reception_missing(&r), RTP_MAX_DROPOUT - 2);
}

/* Every packet of the reorder window is known again: 128 in random order, each twice. */
static void knows_every_duplicate(void **state)
{
    (void)state;
    roam_reception r;
    reception_init(&r, 1000);
    (void)reception_update(&r, 1000);
    (void)reception_update(&r, 1000 + RTP_MAX_MISORDER);
    uint16_t offset = 0;
    for (unsigned i = 1; i < RTP_MAX_MISORDER; i++) {
        offset = (uint16_t)((offset + 37) % RTP_MAX_MISORDER);
        assert_int_equal(reception_update(&r, (uint16_t)(1000 + offset)), RECEPTION_NEW);
        assert_int_equal(reception_update(&r, (uint16_t)(1000 + offset)), RECEPTION_DUPLICATE);
    }
    assert_int_equal(reception_missing(&r), 0);
}

/* Jitter by A.8 against the formula in floating point: J += (|D| - J) / 16. */
static void measures_jitter(void **state)
{
    (void)state;
    roam_reception r;
    reception_init(&r, 0);
    double reference = 0;
    uint32_t lcg = 1, last_transit = 0;
    for (uint32_t i = 0; i < 500; i++) {
        lcg = lcg * 1664525u + 1013904223u;
        uint32_t timestamp = 0xffff0000u + i * 160; /* wraps on the way */
        uint32_t transit = 4000 + (lcg >> 24);
        reception_transit(&r, timestamp, timestamp + transit);
        if (i > 0) {
            double d = (double)transit - (double)last_transit;
            reference += ((d < 0 ? -d : d) - reference) / 16;
        }
        last_transit = transit;
    }
    double measured = r.jitter / 16.0;
    assert_true(measured > reference - 1.5 && measured < reference + 1.5);
    assert_true(reference > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),         cmocka_unit_test(skips_what_is_not_payload), cmocka_unit_test(refuses_malformed),
        cmocka_unit_test(tells_rtcp),               cmocka_unit_test(counts_over_the_wrap),      cmocka_unit_test(counts_loss_and_duplicates),
        cmocka_unit_test(restarts_after_a_jump),    cmocka_unit_test(knows_every_duplicate),     cmocka_unit_test(measures_jitter),
    };
    return cmocka_run_group_tests_name("rtp", tests, NULL, NULL);
}

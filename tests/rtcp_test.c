/* RTCP packets and the rules of their interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "media/rtcp.h"

static const roam_rtcp_sender_info some_sender = {UINT64_C(0x0102030405060708), 0x11121314, 5, 800};
static const roam_rtcp_block some_block = {0xaabbccdd, 64, -2, 0x00010005, 33, 0x03040506, 65536};

static roam_span write_some(char *space, size_t cap, const roam_rtcp_report *report)
{
    roam_writer w;
    writer_init(&w, space, cap);
    write_rtcp(&w, report);
    assert_false(w.overflow);
    return writer_span(&w);
}

/* SR with a block, SDES and BYE read back as they were written, for every length of CNAME (the list of items ends at a word). */
static void writes_and_reads(void **state)
{
    (void)state;
    char space[RTCP_MAX_PACKET], cname[255];
    memset(cname, 'c', sizeof cname);
    for (size_t n = 0; n <= sizeof cname; n++) {
        const roam_rtcp_report report = {.ssrc = 0x01020304, .sender = &some_sender, .block = &some_block, .cname = span_make(cname, n), .bye = true};
        roam_span bytes = write_some(space, sizeof space, &report);
        assert_true(rtcp_valid(bytes));
        roam_rtcp packet;
        roam_rtcp_sender_info info;
        roam_rtcp_block block;
        assert_true(rtcp_next(&bytes, &packet));
        assert_int_equal(packet.type, RTCP_SR);
        assert_int_equal(packet.ssrc, 0x01020304);
        assert_true(rtcp_sender_info(&packet, &info));
        assert_true(info.ntp == some_sender.ntp && info.timestamp == some_sender.timestamp && info.packets == 5 && info.octets == 800);
        assert_true(rtcp_block(&packet, 0, &block));
        assert_true(block.ssrc == some_block.ssrc && block.fraction_lost == 64 && block.lost == -2 && block.extended_sequence == 0x00010005);
        assert_true(block.jitter == 33 && block.last_sr == 0x03040506 && block.delay == 65536);
        assert_false(rtcp_block(&packet, 1, &block));
        assert_true(rtcp_next(&bytes, &packet));
        assert_int_equal(packet.type, RTCP_SDES);
        assert_int_equal((uint8_t)packet.body.ptr[5], n);
        assert_true(rtcp_next(&bytes, &packet));
        assert_true(rtcp_bye_names(&packet, 0x01020304));
        assert_false(rtcp_bye_names(&packet, 0x01020305));
        assert_false(rtcp_next(&bytes, &packet));
    }
}

/* The octets of an RR as RFC 3550 6.4.2 and 6.5 draw them. */
static void writes_the_format_of_the_rfc(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x80, 201, 0, 1, 1, 2, 3, 4,                                     /* RR, no block */
                                       0x81, 202, 0, 3, 1, 2, 3, 4, 1, 4, 'a', '@', 'b', 'c', 0, 0};    /* SDES, CNAME */
    char space[RTCP_MAX_PACKET];
    roam_span bytes = write_some(space, sizeof space, &(roam_rtcp_report){.ssrc = 0x01020304, .cname = SPAN("a@bc")});
    assert_int_equal(bytes.len, sizeof expected);
    assert_memory_equal(bytes.ptr, expected, sizeof expected);
}

/* A.2: a compound is refused when it begins otherwise than SR or RR, when a version is wrong, lengths do not add up, or padding is not at the end.
 * Each from a good one by one change. */
static void refuses_malformed(void **state)
{
    (void)state;
    char good[RTCP_MAX_PACKET], bad[RTCP_MAX_PACKET];
    const size_t n = write_some(good, sizeof good, &(roam_rtcp_report){.ssrc = 1, .block = &some_block, .cname = SPAN("abc")}).len;
    assert_true(rtcp_valid(span_make(good, n)));
    for (size_t shorter = 0; shorter < n; shorter++)
        assert_int_equal(rtcp_valid(span_make(good, shorter)), shorter == 32); /* without SDES it is whole too */
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{0, 0x41}, {0, 0xa1}, {1, RTCP_SDES}, {1, RTCP_BYE}, {3, 8}, {3, 6}, {32, 0x41}, {35, 9}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(bad, good, n);
        bad[changes[i].at] = (char)changes[i].value;
        assert_false(rtcp_valid(span_make(bad, n)));
    }
    /* A count that the length does not hold is not believed. */
    memcpy(bad, good, n);
    bad[0] = (char)0x9f;
    roam_span rest = span_make(bad, n);
    roam_rtcp packet;
    roam_rtcp_block block;
    assert_true(rtcp_valid(rest) && rtcp_next(&rest, &packet));
    assert_true(rtcp_block(&packet, 0, &block));
    assert_false(rtcp_block(&packet, 1, &block));
}

/* The deterministic interval by hand: the minimum, half of it at first, and the shares of senders and receivers (6.3.1). */
static void computes_the_interval(void **state)
{
    (void)state;
    roam_rtcp_interval in = {.minimum = ROAM_SECONDS(5), .bandwidth = 500, .members = 2, .senders = 2, .average_size = 100, .we_sent = true};
    assert_int_equal(rtcp_interval_deterministic(&in), ROAM_SECONDS(5));
    in.initial = true;
    assert_int_equal(rtcp_interval_deterministic(&in), ROAM_MS(2500));
    in.initial = false;
    in.members = 200; /* 2 senders of 200: they share 125 octets/s: 100 * 2 / 125 s */
    assert_int_equal(rtcp_interval_deterministic(&in), ROAM_SECONDS(5));
    in.minimum = 0;
    assert_int_equal(rtcp_interval_deterministic(&in), ROAM_MS(1600));
    in.we_sent = false; /* 198 receivers share 375 octets/s */
    assert_int_equal(rtcp_interval_deterministic(&in), ROAM_MS(52800));
    in.senders = 100; /* too many for a share of their own: 100 * 200 / 500 */
    assert_int_equal(rtcp_interval_deterministic(&in), ROAM_SECONDS(40));
}

/* The random one lies between 0.5 and 1.5 of it over 1.21828, and its mean is 1 over 1.21828: 20,000 draws. */
static void spreads_the_interval(void **state)
{
    (void)state;
    const roam_rtcp_interval in = {.minimum = ROAM_SECONDS(5), .bandwidth = 500, .members = 2, .senders = 2, .average_size = 100};
    const uint8_t seed[32] = {7};
    roam_random random;
    random_init(&random, seed);
    double sum = 0;
    roam_time min = ROAM_NEVER, max = 0;
    for (int i = 0; i < 20000; i++) {
        roam_time t = rtcp_interval(&in, &random);
        min = t < min ? t : min;
        max = t > max ? t : max;
        sum += (double)t / 20000;
    }
    const double unit = 5e6 / 1.21828;
    assert_true((double)min >= unit * 0.499 && (double)min < unit * 0.51);
    assert_true((double)max <= unit * 1.501 && (double)max > unit * 1.49);
    assert_true(sum > unit * 0.99 && sum < unit * 1.01);
}

/* NTP time keeps differences to less than 1/65536 s and its middle is not 0 at the beginning of time. */
static void makes_ntp_time(void **state)
{
    (void)state;
    assert_true(rtcp_ntp_middle(rtcp_ntp(0)) != 0);
    uint32_t a = rtcp_ntp_middle(rtcp_ntp(ROAM_MS(123456)));
    uint32_t b = rtcp_ntp_middle(rtcp_ntp(ROAM_MS(123456) + ROAM_MS(1500)));
    assert_in_range(b - a, 98303, 98305);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),      cmocka_unit_test(writes_the_format_of_the_rfc), cmocka_unit_test(refuses_malformed),
        cmocka_unit_test(computes_the_interval), cmocka_unit_test(spreads_the_interval),         cmocka_unit_test(makes_ntp_time),
    };
    return cmocka_run_group_tests_name("rtcp", tests, NULL, NULL);
}

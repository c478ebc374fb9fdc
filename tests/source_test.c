/* Who may send to us: the rows of the table in media/source.h, one test a row, with packets by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/media_net.h"

static roam_source source;
static roam_time now;
static uint16_t highest; /* sequence accepted of the present source */

static roam_addr addr(uint8_t last)
{
    return (roam_addr){.ip = {.family = 4, .bytes = {192, 0, 2, last}}, .port = 4000};
}

enum { PEER = 1, MOVED = 2, STRANGER = 3, OTHER = 4, SSRC = 0x1111, NEW_SSRC = 0x2222 };

static roam_source_verdict from(uint8_t who, uint32_t ssrc, uint16_t sequence)
{
    const roam_addr a = addr(who);
    roam_source_verdict v = source_check(&source, now, &a, ssrc, sequence, highest);
    if (v == SOURCE_NEW || (v != SOURCE_REFUSED && (uint16_t)(sequence - highest) < 0x8000))
        highest = sequence;
    return v;
}

/* The peer is signalled and is heard for a second. */
static void begin(void)
{
    const roam_addr peer = addr(PEER);
    now = ROAM_SECONDS(100);
    source_init(&source, ROAM_MS(20));
    source_signalled(&source, &peer, now);
    assert_int_equal(from(PEER, SSRC, 1), SOURCE_NEW);
    for (uint16_t i = 2; i <= 50; i++, now += ROAM_MS(20))
        assert_int_equal(from(PEER, SSRC, i), SOURCE_ACCEPTED);
    now -= ROAM_MS(20);
}

/* Nothing heard yet: the signalled address at once, others after two packets in sequence; not after two that are not in sequence. */
static void first_packet(void **state)
{
    (void)state;
    const roam_addr peer = addr(PEER);
    now = ROAM_SECONDS(100);
    source_init(&source, ROAM_MS(20));
    source_signalled(&source, &peer, now);
    assert_int_equal(from(STRANGER, SSRC, 5), SOURCE_REFUSED);
    assert_int_equal(from(STRANGER, SSRC, 7), SOURCE_REFUSED);
    assert_int_equal(from(STRANGER, NEW_SSRC, 8), SOURCE_REFUSED);
    assert_int_equal(from(OTHER, SSRC, 9), SOURCE_REFUSED);
    assert_int_equal(from(STRANGER, SSRC, 8), SOURCE_NEW);
    /* The signalled address takes over from such a one, alive or not. */
    assert_int_equal(from(PEER, NEW_SSRC, 100), SOURCE_REFUSED);
    assert_int_equal(from(STRANGER, SSRC, 9), SOURCE_ACCEPTED);
    assert_int_equal(from(PEER, NEW_SSRC, 101), SOURCE_NEW);
    assert_int_equal(from(STRANGER, SSRC, 10), SOURCE_REFUSED);
}

/* The same source from another address while the old one is alive: refused, however long it goes on; after three packet times of silence: accepted, and then the old address
 * may still deliver for two seconds without turning us back. */
static void moves_when_silent(void **state)
{
    (void)state;
    begin();
    for (uint16_t i = 51; i < 300; i++, now += ROAM_MS(20)) {
        assert_int_equal(from(PEER, SSRC, i), SOURCE_ACCEPTED);
        assert_int_equal(from(MOVED, SSRC, (uint16_t)(i + 1)), SOURCE_REFUSED);
    }
    now += ROAM_MS(39);
    assert_int_equal(from(MOVED, SSRC, 300), SOURCE_REFUSED);
    now += ROAM_MS(1);
    assert_int_equal(from(MOVED, SSRC, 303), SOURCE_MOVED);
    assert_int_equal(from(PEER, SSRC, 301), SOURCE_ACCEPTED);
    assert_int_equal(from(MOVED, SSRC, 304), SOURCE_ACCEPTED);
    for (uint16_t i = 305; now < source.previous_until; i++, now += ROAM_MS(20))
        assert_int_equal(from(MOVED, SSRC, i), SOURCE_ACCEPTED);
    const uint16_t old = (uint16_t)(highest - 3);
    assert_int_equal(from(STRANGER, SSRC, old), SOURCE_REFUSED);
    /* It was the signalled address: it is believed at any time. */
    assert_int_equal(from(PEER, SSRC, (uint16_t)(highest + 1)), SOURCE_MOVED);
}

/* A signalled change: the new address is accepted with its first packet, so is another one within two seconds (a NAT between us), not later; and not once
 * the signalled one itself speaks. */
static void moves_when_signalled(void **state)
{
    (void)state;
    const roam_addr moved = addr(MOVED);
    begin();
    source_signalled(&source, &moved, now);
    assert_int_equal(from(PEER, SSRC, 51), SOURCE_ACCEPTED);
    assert_int_equal(from(MOVED, SSRC, 52), SOURCE_MOVED);
    assert_int_equal(from(PEER, SSRC, 50), SOURCE_ACCEPTED); /* was on its way */
    assert_int_equal(from(STRANGER, SSRC, 53), SOURCE_REFUSED);

    begin();
    source_signalled(&source, &moved, now);
    assert_int_equal(from(STRANGER, SSRC, 51), SOURCE_MOVED);

    begin();
    source_signalled(&source, &moved, now);
    for (uint16_t i = 51; now <= ROAM_SECONDS(100) + ROAM_MS(980) + SOURCE_WINDOW; i++, now += ROAM_MS(20))
        assert_int_equal(from(PEER, SSRC, i), SOURCE_ACCEPTED);
    assert_int_equal(from(STRANGER, SSRC, (uint16_t)(highest + 1)), SOURCE_REFUSED);

    /* The same address signalled again opens nothing. */
    begin();
    const roam_addr peer = addr(PEER);
    source_signalled(&source, &peer, now);
    assert_int_equal(from(STRANGER, SSRC, 51), SOURCE_REFUSED);
}

/* A sequence that cannot be the next one is no continuation: neither in the window nor from the signalled address without probation and silence; after a long silence the bound is
 * wider by the packets of that time. */
static void sequence_must_go_on(void **state)
{
    (void)state;
    const roam_addr moved = addr(MOVED);
    begin();
    source_signalled(&source, &moved, now);
    assert_int_equal(from(STRANGER, SSRC, 50 + 20000), SOURCE_REFUSED);
    assert_int_equal(from(MOVED, SSRC, 50 + 200), SOURCE_REFUSED);
    assert_int_equal(from(MOVED, SSRC, 50 + 201), SOURCE_REFUSED);
    begin();
    now += ROAM_SECONDS(10);
    assert_int_equal(from(MOVED, SSRC, 50 + 505), SOURCE_MOVED);
    begin();
    now += ROAM_SECONDS(10);
    assert_int_equal(from(MOVED, SSRC, 50 + 2000), SOURCE_REFUSED);
    assert_int_equal(from(MOVED, SSRC, 50 + 2001), SOURCE_MOVED);
}

/* Another SSRC: from the signalled address when the present source has been silent for three packet times or has said BYE; from elsewhere only after two seconds. */
static void another_ssrc(void **state)
{
    (void)state;
    begin();
    for (uint16_t i = 0; i < 200; i++, now += ROAM_MS(20)) {
        assert_int_equal(from(PEER, SSRC, (uint16_t)(51 + i)), SOURCE_ACCEPTED);
        assert_int_equal(from(STRANGER, NEW_SSRC, i), SOURCE_REFUSED);
        assert_int_equal(from(PEER, NEW_SSRC, i), SOURCE_REFUSED);
    }
    begin();
    now += ROAM_MS(20);
    assert_int_equal(from(PEER, NEW_SSRC, 7), SOURCE_REFUSED);
    now += ROAM_MS(20);
    assert_int_equal(from(PEER, NEW_SSRC, 8), SOURCE_REFUSED);
    now += ROAM_MS(20);
    assert_int_equal(from(PEER, NEW_SSRC, 9), SOURCE_NEW);
    begin();
    source_ended(&source, SSRC);
    assert_int_equal(from(PEER, NEW_SSRC, 7), SOURCE_REFUSED);
    assert_int_equal(from(PEER, NEW_SSRC, 8), SOURCE_NEW);
    begin();
    roam_time start = now;
    for (uint16_t i = 0;; i++, now += ROAM_MS(20)) {
        roam_source_verdict v = from(STRANGER, NEW_SSRC, i);
        if (now - start < SOURCE_STRANGER) {
            assert_int_equal(v, SOURCE_REFUSED);
        } else {
            assert_int_equal(v, SOURCE_NEW);
            break;
        }
    }
}

/* A flood of other addresses does not push the signalled one off its probation: 100 strangers between its two packets. */
static void flood_does_not_starve(void **state)
{
    (void)state;
    begin();
    now += ROAM_MS(100);
    assert_int_equal(from(PEER, NEW_SSRC, 7), SOURCE_REFUSED);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(from((uint8_t)(10 + i), 0x9000 + i, 1), SOURCE_REFUSED);
    assert_int_equal(from(PEER, NEW_SSRC, 8), SOURCE_NEW);
}

/* RTCP: from the hosts of the peer; from elsewhere only with its SSRC while it may be moving. */
static void rtcp_rows(void **state)
{
    (void)state;
    begin();
    roam_addr peer = addr(PEER), stranger = addr(STRANGER), moved = addr(MOVED);
    peer.port = 4001;
    assert_true(source_check_rtcp(&source, now, &peer, 0x77));
    assert_false(source_check_rtcp(&source, now, &stranger, SSRC));
    now += ROAM_MS(60);
    assert_true(source_check_rtcp(&source, now, &stranger, SSRC));
    assert_false(source_check_rtcp(&source, now, &stranger, NEW_SSRC));
    begin();
    source_signalled(&source, &moved, now);
    assert_true(source_check_rtcp(&source, now, &moved, 0x77));
    assert_true(source_check_rtcp(&source, now, &stranger, SSRC));
}

/* The mover sends each packet on both paths until the refresh is answered. Whenever the refresh reaches the peer, and whichever path is the slower one, the peer
 * takes every packet once: none lost, none made up, the copies refused before the change or counted as duplicates after it. */
static void doubled_packets_lose_nothing(void **state)
{
    (void)state;
    static net world;
    static const uint32_t delays[][2] = {{30, 30}, {30, 60}, {60, 30}, {10, 14}};
    for (size_t d = 0; d < sizeof delays / sizeof *delays; d++) {
        for (uint32_t refresh_ms = 1; refresh_ms < 120; refresh_ms += 13) {
            net_init(&world, d);
            assert_int_equal(net_connect(&world, &roam_codec_pcmu, &net_config, delays[d][0]), ROAM_OK);
            net_run(&world, ROAM_SECONDS(1));
            roam_stream *a = world.sides[0].stream, *b = world.sides[1].stream;
            const net_socket *cell = net_socket_add(&world, 0, 6, delays[d][1]);
            assert_int_equal(stream_add_leg(a, &(roam_leg){6, 7, true}), ROAM_OK);
            stream_double_on(a, 6);
            net_run(&world, ROAM_MS(refresh_ms));
            stream_set_remote(b, &cell->addr, NULL);
            net_run(&world, ROAM_MS(50));
            assert_int_equal(stream_send_from(a, 6), ROAM_OK);
            net_run(&world, ROAM_MS(400));
            stream_remove_leg(a, 2);
            net_run(&world, ROAM_SECONDS(1));
            roam_media_stats stats;
            stream_stats(b, &stats);
            assert_int_equal(stats.packets_lost, 0);
            assert_int_equal(stats.frames_concealed, 0);
            assert_int_equal(stats.packets_late, 0);
            assert_true(stats.packets_duplicate + stats.packets_refused >= 1);
            assert_in_range(stats.packets_sent - stats.packets_received, 0, 4); /* what is on its way at the end */
            net_free(&world);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_packet),        cmocka_unit_test(moves_when_silent), cmocka_unit_test(moves_when_signalled),
        cmocka_unit_test(sequence_must_go_on), cmocka_unit_test(another_ssrc),      cmocka_unit_test(flood_does_not_starve),
        cmocka_unit_test(rtcp_rows),           cmocka_unit_test(doubled_packets_lose_nothing),
    };
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}

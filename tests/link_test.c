/* testbed/link: what the emulator does to packets, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "testbed/link.h"

static const uint8_t seed[32] = "link test seed";

typedef struct rig {
    roam_mem mem;
    roam_link link;
} rig;

static void rig_up(rig *r, const roam_link_config *config)
{
    mem_init(&r->mem, NULL);
    assert_int_equal(link_init(&r->link, &r->mem, seed, config), ROAM_OK);
}

static void rig_down(rig *r)
{
    link_free(&r->link);
    assert_int_equal(r->mem.live, 0);
}

static void push_number(roam_link *link, roam_time now, uint32_t n)
{
    assert_int_equal(link_push(link, now, span_make((const char *)&n, sizeof n)), ROAM_OK);
}

/* The next packet whenever it comes; ROAM_NEVER when none is under way. */
static roam_time pop_number(roam_link *link, uint32_t *n)
{
    roam_span bytes;
    roam_time due = link_deadline(link), at;
    if (due == ROAM_NEVER)
        return ROAM_NEVER;
    if (due)
        assert_false(link_pop(link, due - 1, &bytes, &at));
    assert_true(link_pop(link, due, &bytes, &at));
    assert_int_equal(at, due);
    assert_int_equal(bytes.len, sizeof *n);
    memcpy(n, bytes.ptr, sizeof *n);
    return due;
}

static void delay_is_exact(void **state)
{
    /* Packets pushed at different times arrive exactly `delay` later, in order, not a microsecond earlier; nothing is
     * under way afterwards. */
    (void)state;
    rig r;
    uint32_t n;
    rig_up(&r, &(roam_link_config){.delay = ROAM_MS(50)});
    assert_int_equal(link_deadline(&r.link), ROAM_NEVER);
    for (uint32_t i = 0; i < 10; i++)
        push_number(&r.link, 1000 + i * 7, i);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(pop_number(&r.link, &n), ROAM_MS(50) + 1000 + i * 7);
        assert_int_equal(n, i);
    }
    assert_int_equal(pop_number(&r.link, &n), ROAM_NEVER);
    rig_down(&r);
}

static void jitter_keeps_bounds_and_order(void **state)
{
    /* With jitter every packet arrives within [delay, delay + jitter] of its push, later packets never before earlier
     * ones, and the delays differ. */
    (void)state;
    rig r;
    uint32_t n;
    rig_up(&r, &(roam_link_config){.delay = ROAM_MS(20), .jitter = ROAM_MS(30)});
    roam_time least = ROAM_NEVER, most = 0;
    for (uint32_t i = 0; i < 1000; i++)
        push_number(&r.link, i * ROAM_MS(1), i);
    for (uint32_t i = 0; i < 1000; i++) {
        roam_time delay = pop_number(&r.link, &n) - i * ROAM_MS(1);
        assert_int_equal(n, i);
        assert_in_range(delay, ROAM_MS(20), ROAM_MS(50));
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    assert_true(most - least > ROAM_MS(10));
    rig_down(&r);
}

static void loss_rate_is_as_configured(void **state)
{
    /* 100,000 packets at 10 % loss: between 9.5 % and 10.5 % are gone (five standard deviations), counters agree with
     * what arrived. */
    (void)state;
    rig r;
    uint32_t n, arrived = 0;
    rig_up(&r, &(roam_link_config){.loss_ppm = 100000});
    for (uint32_t i = 0; i < 100000; i++) {
        push_number(&r.link, i, i);
        if (pop_number(&r.link, &n) != ROAM_NEVER)
            arrived++;
    }
    assert_in_range(100000 - arrived, 9500, 10500);
    assert_int_equal(r.link.counters.lost, 100000 - arrived);
    assert_int_equal(r.link.counters.delivered, arrived);
    assert_int_equal(r.link.counters.pushed, 100000);
    rig_down(&r);
}

static void burst_loss_comes_in_runs(void **state)
{
    /* Bursts that begin with 1 % and end with 20 % probability, all lost inside: the losses' mean run is near 1/0.2 = 5
     * packets, and the share near 0.01*5/(1+0.01*5) = 4.8 %. Independent loss of that share would have runs of 1.05. */
    (void)state;
    rig r;
    uint32_t n, lost = 0, runs = 0;
    bool was_lost = false;
    rig_up(&r, &(roam_link_config){.burst_ppm = 10000, .burst_end_ppm = 200000, .burst_loss_ppm = LINK_PPM});
    for (uint32_t i = 0; i < 100000; i++) {
        push_number(&r.link, i, i);
        bool is_lost = pop_number(&r.link, &n) == ROAM_NEVER;
        lost += is_lost;
        runs += is_lost && !was_lost;
        was_lost = is_lost;
    }
    assert_in_range(lost, 4000, 5600);
    assert_in_range(lost * 10 / runs, 44, 57);
    assert_int_equal(r.link.counters.lost_in_burst, lost);
    rig_down(&r);
}

static void reordered_packets_are_overtaken(void **state)
{
    /* 5 % are held back by 35 ms, the rest keep their order: every held packet arrives exactly 35 ms late and after
     * later numbers. */
    (void)state;
    rig r;
    uint32_t n, next_in_order = 0, late = 0;
    rig_up(&r, &(roam_link_config){.delay = ROAM_MS(10), .reorder_ppm = 50000, .reorder_delay = ROAM_MS(35)});
    for (uint32_t i = 0; i < 2000; i++)
        push_number(&r.link, i * ROAM_MS(10), i);
    roam_time due;
    while ((due = pop_number(&r.link, &n)) != ROAM_NEVER) {
        if (n >= next_in_order) {
            assert_int_equal(due, n * ROAM_MS(10) + ROAM_MS(10));
            next_in_order = n + 1;
        } else {
            assert_int_equal(due, n * ROAM_MS(10) + ROAM_MS(45));
            late++;
        }
    }
    assert_in_range(late, 60, 140);
    assert_in_range(r.link.counters.reordered, late, late + 3); /* the very last ones have nobody to overtake them */
    rig_down(&r);
}

static void duplicates_follow_their_original(void **state)
{
    /* At 100 % every packet comes twice, one right behind the other. */
    (void)state;
    rig r;
    uint32_t n;
    rig_up(&r, &(roam_link_config){.delay = 5, .duplicate_ppm = LINK_PPM});
    for (uint32_t i = 0; i < 100; i++)
        push_number(&r.link, i, i);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(pop_number(&r.link, &n), i / 2 + 5);
        assert_int_equal(n, i / 2);
    }
    assert_int_equal(r.link.counters.duplicated, 100);
    rig_down(&r);
}

static void bandwidth_spaces_and_queues(void **state)
{
    /* 1 Mbit/s, packets of 125 bytes: 1 ms each. Ten at once leave one a millisecond; with room for 500 bytes the fifth
     * is dropped; after an idle time no credit is left over. A rate that does not divide evenly loses nothing by
     * rounding: 3000 packets at 3 Mbit/s take one second exactly. */
    (void)state;
    rig r;
    char bytes[125] = {0};
    roam_span packet = span_make(bytes, sizeof bytes), got;
    roam_time due;
    rig_up(&r, &(roam_link_config){.bandwidth = 1000000});
    for (int i = 0; i < 10; i++)
        assert_int_equal(link_push(&r.link, 0, packet), ROAM_OK);
    for (roam_time i = 1; i <= 10; i++) {
        assert_int_equal(link_deadline(&r.link), ROAM_MS(i));
        assert_true(link_pop(&r.link, ROAM_MS(i), &got, &due));
    }
    assert_int_equal(link_push(&r.link, ROAM_SECONDS(1), packet), ROAM_OK);
    assert_int_equal(link_deadline(&r.link), ROAM_SECONDS(1) + ROAM_MS(1));
    assert_true(link_pop(&r.link, ROAM_SECONDS(2), &got, &due));

    assert_int_equal(link_configure(&r.link, &(roam_link_config){.bandwidth = 1000000, .queue_bytes = 500}), ROAM_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(link_push(&r.link, ROAM_SECONDS(3), packet), ROAM_OK);
    assert_int_equal(r.link.counters.overflowed, 2);
    assert_int_equal(r.link.count, 4);
    while (link_pop(&r.link, ROAM_SECONDS(4), &got, &due))
        ;

    assert_int_equal(link_configure(&r.link, &(roam_link_config){.bandwidth = 3000000, .queue_bytes = 1000000}),
                     ROAM_OK);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(link_push(&r.link, ROAM_SECONDS(10), packet), ROAM_OK);
    while (link_pop(&r.link, ROAM_NEVER - 1, &got, &due))
        ;
    assert_int_equal(due, ROAM_SECONDS(11));
    rig_down(&r);
}

static void down_drops(void **state)
{
    /* A link that is down takes nothing; what was under way arrives, or is dropped when asked for. */
    (void)state;
    rig r;
    uint32_t n;
    rig_up(&r, &(roam_link_config){.delay = 100});
    push_number(&r.link, 0, 1);
    link_set_up(&r.link, false, false);
    push_number(&r.link, 1, 2);
    link_set_up(&r.link, true, false);
    push_number(&r.link, 2, 3);
    assert_int_equal(pop_number(&r.link, &n), 100);
    assert_int_equal(n, 1);
    link_set_up(&r.link, false, true);
    assert_int_equal(link_deadline(&r.link), ROAM_NEVER);
    assert_int_equal(r.link.counters.down, 2);
    rig_down(&r);
}

static void same_seed_same_fate(void **state)
{
    /* Two links with one seed treat a stream of packets alike in every respect; another seed does not. And a fault
     * switched on does not change which packets another fault hits. */
    (void)state;
    roam_link_config faults = {.delay = 1000,
                               .jitter = 500,
                               .loss_ppm = 50000,
                               .reorder_ppm = 30000,
                               .reorder_delay = 3000,
                               .duplicate_ppm = 20000};
    uint64_t hash[3] = {0};
    for (int run = 0; run < 3; run++) {
        rig r;
        uint32_t n;
        uint8_t other[32] = {(uint8_t)(run == 2)};
        mem_init(&r.mem, NULL);
        assert_int_equal(link_init(&r.link, &r.mem, other, &faults), ROAM_OK);
        for (uint32_t i = 0; i < 5000; i++)
            push_number(&r.link, i * 100, i);
        roam_time due;
        while ((due = pop_number(&r.link, &n)) != ROAM_NEVER)
            hash[run] = (hash[run] ^ due ^ ((uint64_t)n << 32)) * 0x100000001b3u;
        rig_down(&r);
    }
    assert_true(hash[0] == hash[1]);
    assert_true(hash[0] != hash[2]);

    bool lost[2][2000] = {{false}};
    for (int run = 0; run < 2; run++) {
        rig r;
        uint32_t n;
        rig_up(&r, &(roam_link_config){.loss_ppm = 100000, .duplicate_ppm = run ? 500000 : 0, .jitter = run ? 10 : 0});
        for (uint32_t i = 0; i < 2000; i++) {
            uint64_t before = r.link.counters.lost;
            push_number(&r.link, i * 1000, i);
            lost[run][i] = r.link.counters.lost > before;
            while (pop_number(&r.link, &n) != ROAM_NEVER)
                ;
        }
        rig_down(&r);
    }
    assert_memory_equal(lost[0], lost[1], sizeof lost[0]);
}

static void limits_and_bad_configurations(void **state)
{
    /* LINK_MAX_PACKETS under way are the limit; one more is refused and counted. Configurations without sense are
     * refused. */
    (void)state;
    rig r;
    rig_up(&r, &(roam_link_config){.delay = 1});
    for (uint32_t i = 0; i < LINK_MAX_PACKETS; i++)
        push_number(&r.link, 0, i);
    assert_int_equal(link_push(&r.link, 0, SPAN("x")), ROAM_ELIMIT);
    assert_int_equal(r.link.counters.refused, 1);
    assert_int_equal(link_configure(&r.link, &(roam_link_config){.loss_ppm = LINK_PPM + 1}), ROAM_EINVAL);
    assert_int_equal(link_configure(&r.link, &(roam_link_config){.burst_ppm = 1}), ROAM_EINVAL);
    assert_int_equal(link_configure(&r.link, &(roam_link_config){.delay = ROAM_NEVER}), ROAM_EINVAL);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_is_exact),
        cmocka_unit_test(jitter_keeps_bounds_and_order),
        cmocka_unit_test(loss_rate_is_as_configured),
        cmocka_unit_test(burst_loss_comes_in_runs),
        cmocka_unit_test(reordered_packets_are_overtaken),
        cmocka_unit_test(duplicates_follow_their_original),
        cmocka_unit_test(bandwidth_spaces_and_queues),
        cmocka_unit_test(down_drops),
        cmocka_unit_test(same_seed_same_fate),
        cmocka_unit_test(limits_and_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

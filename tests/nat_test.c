/* testbed/nat: mapping and filtering behaviours of RFC 4787. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"
#include "testbed/nat.h"

#define UDP 17

typedef struct rig {
    roam_mem mem;
    roam_nat nat;
} rig;

static roam_addr addr(const char *text)
{
    roam_addr a;
    assert_int_equal(roam_addr_parse(span_of(text), &a), ROAM_OK);
    return a;
}

static void rig_up(rig *r, roam_nat_config config)
{
    static const uint8_t seed[32] = "nat test seed";
    mem_init(&r->mem, NULL);
    config.external = addr("203.0.113.1:0").ip;
    assert_int_equal(nat_init(&r->nat, &r->mem, seed, &config), ROAM_OK);
}

static void rig_down(rig *r)
{
    nat_free(&r->nat);
    assert_int_equal(r->mem.live, 0);
}

/* The outside port that a packet from `from` to `to` gets; the verdict must be NAT_PASS. */
static uint16_t out(rig *r, roam_time now, const char *from, const char *to)
{
    roam_addr source = addr(from), destination = addr(to), external = addr("203.0.113.1:0");
    assert_int_equal(nat_outbound(&r->nat, now, UDP, &source, &destination), NAT_PASS);
    assert_true(roam_ip_equal(&source.ip, &external.ip));
    return source.port;
}

static roam_nat_verdict in(rig *r, roam_time now, const char *from, uint16_t port, const char *expected)
{
    roam_addr source = addr(from), destination = addr("203.0.113.1:0");
    destination.port = port;
    roam_nat_verdict verdict = nat_inbound(&r->nat, now, UDP, &source, &destination);
    if (verdict == NAT_PASS) {
        roam_addr wanted = addr(expected);
        assert_true(roam_addr_equal(&destination, &wanted));
    }
    return verdict;
}

static void mapping_behaviours(void **state)
{
    /* One inside socket sends to A:1, A:2 and B:1. Endpoint-independent: one outside port; address-dependent: one for
     * A, another for B; with ports: three. */
    (void)state;
    static const struct {
        roam_nat_behaviour mapping;
        bool same_port_other_port, same_other_address;
        size_t mappings;
    } cases[] = {{NAT_ENDPOINT_INDEPENDENT, true, true, 1},
                 {NAT_ADDRESS_DEPENDENT, true, false, 2},
                 {NAT_ADDRESS_AND_PORT_DEPENDENT, false, false, 3}};
    for (size_t i = 0; i < 3; i++) {
        rig r;
        rig_up(&r, (roam_nat_config){.mapping = cases[i].mapping});
        uint16_t a1 = out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000");
        uint16_t a2 = out(&r, 0, "10.0.0.2:5060", "198.51.100.1:2000");
        uint16_t b1 = out(&r, 0, "10.0.0.2:5060", "198.51.100.2:1000");
        assert_int_equal(a1 == a2, cases[i].same_port_other_port);
        assert_int_equal(a1 == b1, cases[i].same_other_address);
        assert_int_equal(nat_mappings(&r.nat), cases[i].mappings);
        /* Stable: the same tuple keeps its port; another inside socket gets one of its own. */
        assert_int_equal(out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000"), a1);
        assert_int_not_equal(out(&r, 0, "10.0.0.3:5060", "198.51.100.1:1000"), a1);
        rig_down(&r);
    }
}

static void filtering_behaviours(void **state)
{
    /* After a packet to A:1000 these may send in: anybody; A from any port; A:1000 only. An unmapped port lets nobody
     * in. */
    (void)state;
    static const struct {
        roam_nat_behaviour filtering;
        roam_nat_verdict same, other_port, other_address;
    } cases[] = {{NAT_ENDPOINT_INDEPENDENT, NAT_PASS, NAT_PASS, NAT_PASS},
                 {NAT_ADDRESS_DEPENDENT, NAT_PASS, NAT_PASS, NAT_FILTERED},
                 {NAT_ADDRESS_AND_PORT_DEPENDENT, NAT_PASS, NAT_FILTERED, NAT_FILTERED}};
    for (size_t i = 0; i < 3; i++) {
        rig r;
        rig_up(&r, (roam_nat_config){.filtering = cases[i].filtering});
        uint16_t port = out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000");
        assert_int_equal(in(&r, 0, "198.51.100.1:1000", port, "10.0.0.2:5060"), cases[i].same);
        assert_int_equal(in(&r, 0, "198.51.100.1:2000", port, "10.0.0.2:5060"), cases[i].other_port);
        assert_int_equal(in(&r, 0, "198.51.100.2:1000", port, "10.0.0.2:5060"), cases[i].other_address);
        assert_int_equal(in(&r, 0, "198.51.100.1:1000", (uint16_t)(port ^ 1), ""), NAT_NO_MAPPING);
        rig_down(&r);
    }
}

static void mappings_time_out(void **state)
{
    /* 30 s without a packet end a mapping, to the microsecond; outbound packets keep it, inbound ones only when so
     * configured. */
    (void)state;
    for (int refresh = 0; refresh < 2; refresh++) {
        rig r;
        rig_up(&r, (roam_nat_config){.timeout = ROAM_SECONDS(30), .inbound_refreshes = refresh});
        uint16_t port = out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000");
        assert_int_equal(out(&r, ROAM_SECONDS(20), "10.0.0.2:5060", "198.51.100.1:1000"), port);
        assert_int_equal(in(&r, ROAM_SECONDS(40), "198.51.100.1:1000", port, "10.0.0.2:5060"), NAT_PASS);
        assert_int_equal(in(&r, ROAM_SECONDS(50) - 1, "198.51.100.1:1000", port, "10.0.0.2:5060"), NAT_PASS);
        assert_int_equal(in(&r, ROAM_SECONDS(50), "198.51.100.1:1000", port, "10.0.0.2:5060"),
                         refresh ? NAT_PASS : NAT_NO_MAPPING);
        assert_int_equal(r.nat.counters.expired, refresh ? 0 : 1);
        rig_down(&r);
    }
}

static void ports_are_preserved_where_free(void **state)
{
    /* With preservation the first inside host gets its own port outside, the second with the same port another one. */
    (void)state;
    rig r;
    rig_up(&r, (roam_nat_config){.preserve_port = true});
    assert_int_equal(out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000"), 5060);
    assert_int_not_equal(out(&r, 0, "10.0.0.3:5060", "198.51.100.1:1000"), 5060);
    rig_down(&r);
}

static void rebinding_moves_every_mapping(void **state)
{
    /* After a rebinding the old ports are dead, the new ones let nobody in before the inside sends; then the inside
     * socket is seen with another port. A new outside address keeps the ports; a flush forgets everything. */
    (void)state;
    rig r;
    rig_up(&r, (roam_nat_config){0});
    uint16_t one = out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000"),
             two = out(&r, 0, "10.0.0.3:5060", "198.51.100.1:1000");
    nat_rebind(&r.nat, NULL);
    assert_int_equal(nat_mappings(&r.nat), 2);
    assert_int_equal(in(&r, 1, "198.51.100.1:1000", one, ""), NAT_NO_MAPPING);
    uint16_t moved = out(&r, 2, "10.0.0.2:5060", "198.51.100.1:1000");
    assert_int_not_equal(moved, one);
    assert_int_not_equal(out(&r, 2, "10.0.0.3:5060", "198.51.100.1:1000"), two);
    assert_int_equal(in(&r, 3, "198.51.100.1:1000", moved, "10.0.0.2:5060"), NAT_PASS);

    roam_addr external = addr("203.0.113.9:0"), source = addr("10.0.0.2:5060"), to = addr("198.51.100.1:1000");
    nat_rebind(&r.nat, &external.ip);
    assert_int_equal(in(&r, 4, "198.51.100.1:1000", moved, ""), NAT_NOT_OURS);
    assert_int_equal(nat_outbound(&r.nat, 5, UDP, &source, &to), NAT_PASS);
    assert_true(roam_ip_equal(&source.ip, &external.ip));
    assert_int_equal(source.port, moved);
    nat_flush(&r.nat);
    assert_int_equal(nat_mappings(&r.nat), 0);
    rig_down(&r);
}

static void hairpin(void **state)
{
    /* Two inside hosts by outside addresses: with hairpinning the packet comes back inside with the sender's outside
     * address, if the receiver's filter lets it; without, it is dropped. */
    (void)state;
    for (int on = 0; on < 2; on++) {
        rig r;
        rig_up(&r, (roam_nat_config){.hairpin = on, .filtering = NAT_ADDRESS_DEPENDENT});
        roam_addr source = addr("10.0.0.2:5060"), to = addr("203.0.113.1:0"), inside = addr("10.0.0.3:7000"),
                  outside = to;
        to.port = out(&r, 0, "10.0.0.3:7000", "198.51.100.1:1000");
        assert_int_equal(nat_outbound(&r.nat, 0, UDP, &source, &to), on ? NAT_FILTERED : NAT_NO_MAPPING);
        if (on) {
            /* The receiver opens its filter for the outside address, then the packet passes. */
            roam_addr from = inside, probe = addr("203.0.113.1:9");
            assert_int_equal(nat_outbound(&r.nat, 0, UDP, &from, &probe), NAT_NO_MAPPING);
            assert_int_equal(nat_outbound(&r.nat, 0, UDP, &source, &to), NAT_HAIRPIN);
            assert_true(roam_addr_equal(&to, &inside));
            assert_true(roam_ip_equal(&source.ip, &outside.ip));
        }
        rig_down(&r);
    }
}

static void the_table_is_bounded(void **state)
{
    /* 100 mappings are allowed: the 101st socket is refused, the others go on; after the time-out there is room again.
     * With two ports only two mappings fit. */
    (void)state;
    rig r;
    rig_up(&r, (roam_nat_config){.max_mappings = 100});
    roam_addr to = addr("198.51.100.1:1000");
    for (uint16_t i = 0; i < 101; i++) {
        roam_addr source = addr("10.0.0.2:0"), destination = to;
        source.port = (uint16_t)(2000 + i);
        assert_int_equal(nat_outbound(&r.nat, i, UDP, &source, &destination), i < 100 ? NAT_PASS : NAT_FULL);
    }
    assert_int_equal(nat_mappings(&r.nat), 100);
    assert_true(out(&r, ROAM_SECONDS(300), "10.0.0.3:1", "198.51.100.1:1000") >= 1024);
    rig_down(&r);

    rig_up(&r, (roam_nat_config){.port_min = 4000, .port_max = 4001});
    uint16_t first = out(&r, 0, "10.0.0.2:1", "198.51.100.1:1"), second = out(&r, 0, "10.0.0.2:2", "198.51.100.1:1");
    assert_in_range(first, 4000, 4001);
    assert_int_equal(first ^ second, 1);
    roam_addr source = addr("10.0.0.2:3"), destination = to;
    assert_int_equal(nat_outbound(&r.nat, 0, UDP, &source, &destination), NAT_FULL);
    rig_down(&r);
}

static void remotes_of_a_filter_are_bounded(void **state)
{
    /* One socket sends to 200 destinations: memory holds NAT_MAX_REMOTES of them, the newest pass, the first is
     * forgotten. */
    (void)state;
    rig r;
    rig_up(&r, (roam_nat_config){.filtering = NAT_ADDRESS_AND_PORT_DEPENDENT});
    uint16_t port = 0;
    for (int i = 0; i < 200; i++) {
        roam_addr source = addr("10.0.0.2:5060"), destination = addr("198.51.100.1:0");
        destination.port = (uint16_t)(1000 + i);
        assert_int_equal(nat_outbound(&r.nat, (roam_time)i, UDP, &source, &destination), NAT_PASS);
        port = source.port;
    }
    assert_int_equal(in(&r, 200, "198.51.100.1:1199", port, "10.0.0.2:5060"), NAT_PASS);
    assert_int_equal(in(&r, 200, "198.51.100.1:1136", port, "10.0.0.2:5060"), NAT_PASS);
    assert_int_equal(in(&r, 200, "198.51.100.1:1000", port, "10.0.0.2:5060"), NAT_FILTERED);
    rig_down(&r);
}

static void protocols_and_families_are_apart(void **state)
{
    /* TCP and UDP of one socket number have mappings of their own; IPv6 through an IPv4 box is not ours. */
    (void)state;
    rig r;
    rig_up(&r, (roam_nat_config){.preserve_port = true});
    roam_addr source = addr("10.0.0.2:5060"), to = addr("198.51.100.1:1000");
    assert_int_equal(nat_outbound(&r.nat, 0, 6, &source, &to), NAT_PASS);
    assert_int_equal(out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000"), 5060);
    assert_int_equal(nat_mappings(&r.nat), 2);
    roam_addr six = addr("[2001:db8::1]:5060"), six_to = addr("[2001:db8::2]:5060");
    assert_int_equal(nat_outbound(&r.nat, 0, UDP, &six, &six_to), NAT_NOT_OURS);
    rig_down(&r);
}

typedef struct miser {
    int budget;
} miser;

static void *miser_realloc(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (!size) {
        free(ptr);
        return NULL;
    }
    if (m->budget == 0)
        return NULL;
    m->budget--;
    return realloc(ptr, size);
}

static void memory_refused(void **state)
{
    /* Every allocation of the first packet refused in turn: the packet is dropped as "full", nothing leaks, and the
     * next one passes. */
    (void)state;
    for (int budget = 0; budget < 4; budget++) {
        rig r;
        miser m = {-1};
        roam_nat_config config = {.external = addr("203.0.113.1:0").ip};
        mem_init(&r.mem, &(roam_allocator){miser_realloc, &m});
        assert_int_equal(nat_init(&r.nat, &r.mem, (const uint8_t[32]){0}, &config), ROAM_OK);
        m.budget = budget;
        roam_addr source = addr("10.0.0.2:5060"), to = addr("198.51.100.1:1000");
        assert_int_equal(nat_outbound(&r.nat, 0, UDP, &source, &to), NAT_FULL);
        m.budget = 100;
        assert_true(out(&r, 0, "10.0.0.2:5060", "198.51.100.1:1000") > 0);
        rig_down(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping_behaviours),
        cmocka_unit_test(filtering_behaviours),
        cmocka_unit_test(mappings_time_out),
        cmocka_unit_test(ports_are_preserved_where_free),
        cmocka_unit_test(rebinding_moves_every_mapping),
        cmocka_unit_test(hairpin),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(remotes_of_a_filter_are_bounded),
        cmocka_unit_test(protocols_and_families_are_apart),
        cmocka_unit_test(memory_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

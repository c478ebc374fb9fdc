/* IP addresses and ports as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"

static void ip_reads_and_writes(void **state)
{
    /* Pairs of what is read and the one spelling it is written in: RFC 5952, sections 4 and 5, and RFC 4291, 2.2. */
    (void)state;
    static const char *pairs[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"2001:0db8:0000:0000:0000:ff00:0042:8329", "2001:db8::ff00:42:8329"},
        {"2001:DB8::ABCD", "2001:db8::abcd"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* 4.2.2: one zero group is written out */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* 4.2.3: the longest run */
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* 4.2.3: the first of equals */
        {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::ffff:192.0.2.128", "::ffff:192.0.2.128"},
        {"::ffff:c000:280", "::ffff:192.0.2.128"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"fe80::1%3", "fe80::1%3"},
        {"[febf::1%4294967295]", "febf::1%4294967295"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        roam_ip ip, again;
        char text[ROAM_ADDR_TEXT_MAX];
        if (roam_ip_parse(span_of(pairs[i][0]), &ip))
            fail_msg("refused: %s", pairs[i][0]);
        assert_int_equal(roam_ip_format(&ip, text), strlen(pairs[i][1]));
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(roam_ip_parse(span_of(text), &again), ROAM_OK);
        assert_true(roam_ip_equal(&ip, &again));
    }
}

static void ip_refuses(void **state)
{
    /* Nearly addresses: each is refused and leaves the output alone. Each stands in a block of its exact size, so that a
     * sanitizer sees a read beyond the end. */
    (void)state;
    static const char *bad[] = {"",         " ",          "1",         "1.2.3",        "1.2.3.4.5",      "1.2.3.",
                                "1.2.3.256", "1.2.3.04",  "01.2.3.4",  "1.2.3.-4",     "1.2.3.4 ",       "1..3.4",
                                "[1.2.3.4]", "[",         "[]",        ":",            ":::",            "1:",
                                ":1",        "1:2",       "::1::",     "1::2::3",      "12345::",        "g::",
                                "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:",
                                "::1.2.3",   "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4.", "1.2.3.4::",
                                "fe80::1%",  "fe80::1%0", "fe80::1%eth0", "fe80::1%4294967296", "2001:db8::1%3", "%3",
                                "[::1",      "::1]",      "[[::1]]",   "example.com", "0x7f.0.0.1", "127.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len = strlen(bad[i]);
        char *exact = malloc(len ? len : 1);
        roam_ip ip = {.family = 99};
        assert_non_null(exact);
        memcpy(exact, bad[i], len);
        if (roam_ip_parse(span_make(exact, len), &ip) != ROAM_ESYNTAX || ip.family != 99)
            fail_msg("accepted: %s", bad[i]);
        free(exact);
    }
}

static void addr_reads_and_writes(void **state)
{
    /* Address and port in both families; a port is optional when reading and always there when writing. */
    (void)state;
    static const char *good[][2] = {{"192.0.2.1:5060", "192.0.2.1:5060"},     {"192.0.2.1", "192.0.2.1:0"},
                                    {"[2001:db8::1]:65535", "[2001:db8::1]:65535"}, {"[2001:db8::1]", "[2001:db8::1]:0"},
                                    {"2001:db8::1", "[2001:db8::1]:0"},       {"::", "[::]:0"},
                                    {"[fe80::1%3]:1", "[fe80::1%3]:1"}};
    static const char *bad[] = {"",          "192.0.2.1:",     "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:000001", ":5060",
                                "[::1]5060", "[::1]:",         "[::1]:x",         "[::1",         "[192.0.2.1]:5060",
                                "host:5060", "192.0.2.1:50:60", "[::1]:5060 "};
    char text[ROAM_ADDR_TEXT_MAX];
    roam_addr addr;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(roam_addr_parse(span_of(good[i][0]), &addr), ROAM_OK);
        assert_int_equal(roam_addr_format(&addr, text), strlen(good[i][1]));
        assert_string_equal(text, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (roam_addr_parse(span_of(bad[i]), &addr) != ROAM_ESYNTAX)
            fail_msg("accepted: %s", bad[i]);
    memset(&addr, 0, sizeof addr);
    assert_int_equal(roam_addr_format(&addr, text), 0);
    assert_string_equal(text, "");
}

static void addr_compares(void **state)
{
    /* Family, address, zone and port each make a difference; bytes that IPv4 does not use do not. */
    (void)state;
    roam_addr a, b;
    assert_int_equal(roam_addr_parse(SPAN("192.0.2.1:5060"), &a), ROAM_OK);
    b = a;
    b.ip.bytes[9] = 1;
    assert_true(roam_addr_equal(&a, &b));
    b.port++;
    assert_false(roam_addr_equal(&a, &b));
    b = a;
    b.ip.bytes[3]++;
    assert_false(roam_ip_equal(&a.ip, &b.ip));
    b = a;
    b.ip.family = 6;
    assert_false(roam_ip_equal(&a.ip, &b.ip));
    assert_int_equal(roam_addr_parse(SPAN("fe80::1%1"), &a), ROAM_OK);
    assert_int_equal(roam_addr_parse(SPAN("fe80::1%2"), &b), ROAM_OK);
    assert_false(roam_ip_equal(&a.ip, &b.ip));
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    assert_true(roam_addr_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ip_reads_and_writes),
        cmocka_unit_test(ip_refuses),
        cmocka_unit_test(addr_reads_and_writes),
        cmocka_unit_test(addr_compares),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}

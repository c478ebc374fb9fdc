/* What comes from enemies and broken boxes while a call is up: mutated, cut and random datagrams into the SIP and RTP sockets, floods, forged requests. The call is unharmed, memory stays flat. */
#include "hand.h"

static roam_peer_config answering(void)
{
    return (roam_peer_config){.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100)};
}

static roam_ua_counters counters_of(const scene *s)
{
    roam_ua_counters c;
    roam_ua_get_counters(s->agent->ua, &c);
    return c;
}

/* The sockets of the agent, by what it told: SIP first, then RTP. */
static uint32_t socket_of(const scene *s, bool rtp, roam_call_id id)
{
    const roam_addr wanted = rtp ? call_of(s->agent, id).media_local : account_of(s).local;
    return world_socket_id(s->agent, &wanted);
}

static void feed(scene *s, uint32_t socket, const roam_addr *from, const char *bytes, size_t len)
{
    roam_ua_receive(s->agent->ua, s->world.now, socket, from, span_make(bytes, len));
    world_flush(s->agent);
}

/* Changes a few bytes, cuts, doubles or swaps pieces. */
static size_t mutate(roam_random *random, char *bytes, size_t len, size_t cap)
{
    unsigned n = 1 + random_below(random, 8);
    while (n-- && len) {
        size_t at = random_below(random, (uint32_t)len), piece = 1 + random_below(random, 40);
        switch (random_below(random, 6)) {
        case 0:
            bytes[at] = (char)random_below(random, 256);
            break;
        case 1:
            bytes[at] = " \r\n:;,=<>\"@?%0/"[random_below(random, 16)];
            break;
        case 2:
            len = at;
            break;
        case 3:
            if (piece > len - at)
                piece = len - at;
            memmove(bytes + at, bytes + at + piece, len - at - piece);
            len -= piece;
            break;
        case 4:
            if (piece > len - at)
                piece = len - at;
            if (len + piece <= cap) {
                memmove(bytes + at + piece, bytes + at, len - at);
                len += piece;
            }
            break;
        default:
            bytes[at] = (char)(bytes[at] ^ (1 << random_below(random, 8)));
        }
    }
    return len;
}

/* 100,000 datagrams, seeded: real messages of this very call and of others mutated, RTP and RTCP mutated, random bytes; from the peer's address, the proxy's and strangers', into
 * the SIP and the RTP socket. Anything that could end the call on purpose needs its tags unharmed: what was drawn so is left out. */
static void test_mutations(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(2));
    assert_two_way(s, s->agent, id);
    uint32_t sip = socket_of(s, false, id), rtp = socket_of(s, true, id);
    assert_true(sip && rtp && sip != rtp);
    char call_line[200];
    snprintf(call_line, sizeof call_line, "Call-ID: %s", call_of(s->agent, id).call_id);
    /* what was said so far, both ways, and some requests that were not */
    size_t templates = s->nlog;
    static const char *const more[] = {
        "BYE sip:alice@10.1.0.5:40000 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm1\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.com>;tag=x\r\nTo: <sip:alice@example.com>;tag=y\r\nCall-ID: a\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n",
        "CANCEL sip:alice@10.1.0.5:40000 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm2\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.com>;tag=x\r\nTo: <sip:alice@example.com>\r\nCall-ID: a\r\nCSeq: 9 CANCEL\r\nContent-Length: 0\r\n\r\n",
        "OPTIONS sip:alice@10.1.0.5:40000 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm3;rport\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.com>;tag=x\r\nTo: <sip:alice@example.com>\r\nCall-ID: a\r\nCSeq: 9 OPTIONS\r\nContent-Length: 0\r\n\r\n"};
    const roam_addr from[] = {sim_addr(SERVER ":5060"), sim_addr(CALLEE ":5060"), call_of(s->agent, id).media_remote, sim_addr("198.18.0.66:5060")};
    static char bytes[4096];
    roam_random random;
    const uint8_t seed[32] = {42};
    random_init(&random, seed);
    size_t low = 0, high = 0;
    for (unsigned n = 0; n < 100000; n++) {
        size_t len;
        unsigned kind = random_below(&random, 8);
        if (kind == 0) {
            len = random_below(&random, 1500);
            random_bytes(&random, bytes, len);
        } else if (kind == 1) {
            len = 12 + random_below(&random, 172);
            random_bytes(&random, bytes, len);
            bytes[0] = (char)0x80;
            bytes[1] = (char)(random_below(&random, 2) ? 0 : 200 + random_below(&random, 4));
        } else {
            const char *text = kind == 2 ? more[random_below(&random, 3)] : s->log[random_below(&random, (uint32_t)templates)].text;
            len = strlen(text);
            memcpy(bytes, text, len);
            len = mutate(&random, bytes, len, sizeof bytes - 1);
            bytes[len] = '\0';
            if (strstr(bytes, call_line)) /* whoever knows the whole dialog may end it */
                continue;
        }
        bool into_rtp = random_below(&random, 3) == 0;
        if (into_rtp && kind == 1 && random_below(&random, 100)) /* what a forger of RTP may do is for the stream's own tests */
            bytes[0] = (char)random_below(&random, 128);
        feed(s, into_rtp ? rtp : sip, &from[random_below(&random, 4)], bytes, len);
        if (n % 100 == 0)
            world_run(&s->world, ROAM_MS(200));
        if (n % 1000 == 999) { /* incoming calls that came of it are refused, as a user would */
            roam_call_id ids[128];
            size_t calls = roam_call_list(s->agent->ua, ids, 128);
            for (size_t i = 0; i < calls && i < 128; i++)
                if (ids[i] != id)
                    roam_call_hangup(s->agent->ua, ids[i]);
            world_flush(s->agent);
        }
        if (n == 30000)
            low = counters_of(s).memory_blocks;
        if (n > 30000 && n % 1000 == 0 && counters_of(s).memory_blocks > high)
            high = counters_of(s).memory_blocks;
    }
    world_run(&s->world, ROAM_SECONDS(70));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_two_way(s, s->agent, id);
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 1);
    assert_true(high < 3 * low + 2000);
    roam_ua_counters c = counters_of(s);
    assert_true(c.memory_blocks < 200);
    assert_true(c.malformed > 1000);
    assert_true(c.transactions <= 2);
    set_addrs(s, scene_cell); /* and the agent does what it is there for */
    world_run(&s->world, ROAM_SECONDS(2));
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

/* A thousand incoming calls from five addresses, most of them from one: it gets ROAM_MAX_INCOMING_SHARE places and the others theirs, ROAM_MAX_INCOMING_CALLS in all; the
 * rest is told 486; all of them given up again, nothing is left. */
static void test_call_flood(void **state)
{
    (void)state;
    static roam_account_config account;
    account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    size_t before = counters_of(s).memory_blocks;
    for (unsigned i = 0; i < 1000; i++) {
        hand h;
        hand_begin(&h, s);
        if (i >= 500) {
            static const char *const from[] = {"203.0.113.51:5060", "203.0.113.52:5060", "203.0.113.53:5060", "203.0.113.54:5060"};
            h.from = from[i % 4];
        }
        hand_request(&h, "INVITE", 0, "", HAND_SDP);
        if (i % 20 == 0)
            world_run(&s->world, ROAM_MS(10));
        if (i == 499) {
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), ROAM_MAX_INCOMING_SHARE);
        }
    }
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), ROAM_MAX_INCOMING_CALLS);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), ROAM_MAX_INCOMING_CALLS);
    world_run(&s->world, ROAM_SECONDS(33));
    roam_call_id ids[ROAM_MAX_INCOMING_CALLS];
    size_t n = roam_call_list(s->agent->ua, ids, ROAM_MAX_INCOMING_CALLS);
    for (size_t i = 0; i < n; i++)
        roam_call_hangup(s->agent->ua, ids[i]);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(80));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    assert_in_range(counters_of(s).memory_blocks, 0, before + 70); /* spare output nodes are kept */
    scene_free(s);
}

/* Messages of absurd size: 10,000 Via headers, 64 KiB of one header, of one line, of a body, of CRLF, of zeros: dropped or refused, nothing kept. */
static void test_absurd_sizes(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    uint32_t sip = socket_of(s, false, 0);
    size_t before = counters_of(s).memory_blocks;
    roam_addr from = sim_addr("198.18.0.66:5060");
    static char bytes[300000];
    for (int kind = 0; kind < 8; kind++) {
        roam_writer w;
        writer_init(&w, bytes, sizeof bytes);
        if (kind < 5) {
            write_lit(&w, "INVITE sip:alice@10.1.0.5:40000 SIP/2.0\r\n");
            for (int i = 0; i < (kind == 0 ? 10000 : 1); i++)
                write_lit(&w, "Via: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKv\r\n");
            write_lit(&w, "Max-Forwards: 70\r\nFrom: <sip:x@y>;tag=x\r\nTo: <sip:alice@example.com>\r\nCSeq: 9 INVITE\r\nContact: <sip:x@1.2.3.4>\r\nCall-ID: a");
            for (int i = 0; i < (kind == 1 ? 60000 : 1); i++)
                write_char(&w, 'a');
            write_lit(&w, "\r\n");
            for (int i = 0; i < (kind == 2 ? 5000 : 0); i++)
                write_lit(&w, "X: y\r\n");
            for (int i = 0; i < (kind == 3 ? 1200 : 0); i++)
                write_lit(&w, "Record-Route: <sip:192.0.2.200;lr>\r\n");
            if (kind == 4) {
                write_lit(&w, "Content-Type: application/sdp\r\nContent-Length: 60000\r\n\r\nv=0\r\n");
                for (int i = 0; i < 59995 / 10; i++)
                    write_lit(&w, "a=abcdef\r\n");
            } else {
                write_lit(&w, "Content-Length: 0\r\n\r\n");
            }
        } else {
            for (int i = 0; i < 65535; i++)
                write_char(&w, kind == 5 ? '\n' : kind == 6 ? '\0' : 'x');
        }
        for (int i = 0; i < 5; i++)
            feed(s, sip, &from, bytes, w.len < 65535 ? w.len : 65535);
        feed(s, sip, &from, bytes, w.len);
    }
    feed(s, sip, &from, bytes, 0);
    feed(s, 9999, &from, bytes, 10);
    roam_call_id ids[8];
    size_t n = roam_call_list(s->agent->ua, ids, 8);
    for (size_t i = 0; i < n && i < 8; i++)
        roam_call_hangup(s->agent->ua, ids[i]);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(80));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    assert_in_range(counters_of(s).memory_blocks, 0, before + 40);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    scene_free(s);
}

/* Forged requests into a dialog whose Call-ID is known and whose tags are not: BYE, re-INVITE, UPDATE, ACK, CANCEL, INFO; forged responses to nothing. The call goes on where it went. */
static void test_forged(void **state)
{
    (void)state;
    static roam_account_config account;
    account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    static const char *const methods[] = {"BYE", "INVITE", "UPDATE", "INFO", "ACK", "CANCEL", "OPTIONS"};
    for (int tags = 1; tags < 4; tags++)
        for (size_t i = 0; i < 7; i++) {
            hand f = h;
            f.cseq += 50;
            f.branch += 1000 * (unsigned)(tags * 10 + (int)i);
            if (tags & 1)
                snprintf(f.own_tag, sizeof f.own_tag, "forged");
            if (tags & 2)
                snprintf(f.agent_tag, sizeof f.agent_tag, "forged");
            bool sdp = i == 1 || i == 2;
            unsigned cseq = hand_request(&f, methods[i], 0, "", sdp ? "v=0\r\no=h 1 9 IN IP4 6.6.6.6\r\ns=-\r\nc=IN IP4 6.6.6.6\r\nt=0 0\r\nm=audio 666 RTP/AVP 0\r\n" : "");
            world_run(&s->world, ROAM_MS(150));
            unsigned status = hand_status(&f, cseq, methods[i]);
            assert_true(i == 4 ? status == 0 : status == 481);
        }
    roam_addr remote = call_of(s->agent, id).media_remote;
    assert_int_equal(remote.port, 7000);
    char text[512];
    for (unsigned status = 100; status < 700; status += 50) {
        snprintf(text, sizeof text, "SIP/2.0 %u X\r\nVia: SIP/2.0/UDP " WIFI ";branch=z9hG4bKforged\r\nFrom: <sip:alice@example.com>;tag=%s\r\nTo: <sip:hand@" HAND ">;tag=q%u\r\n"
                 "Call-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:evil@6.6.6.6>\r\nContent-Length: 0\r\n\r\n", status, h.agent_tag, status, h.call_id);
        hand_inject(&h, text);
        world_run(&s->world, ROAM_MS(150));
    }
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    unsigned bye = hand_request(&h, "BYE", 0, "", ""); /* the true one still works: no forged CSeq was taken */
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, bye, "BYE"), 200);
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    scene_free(s);
}

/* Responses that nobody asked for, 2xx to INVITEs above all: each costs an ACK and a BYE at most when it names a tag of ours, and nothing is kept. A stranger who invents whole dialogs makes us send nothing. */
static void test_stray_answers(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    uint32_t sip = socket_of(s, false, 0);
    roam_addr from = sim_addr("198.18.0.66:5060");
    size_t before = counters_of(s).memory_blocks;
    size_t log = s->nlog;
    for (unsigned i = 0; i < 200; i++) {
        char text[600];
        int len = snprintf(text, sizeof text, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " WIFI ":40000;branch=z9hG4bKs%u\r\nFrom: <sip:alice@example.com>;tag=q%u\r\nTo: <sip:v@x>;tag=v%u\r\n"
                           "Call-ID: stray%u\r\nCSeq: 1 INVITE\r\nContact: <sip:victim@198.18.0.99>\r\nRecord-Route: <sip:198.18.0.98;lr>\r\nContent-Length: 0\r\n\r\n", i, i, i, i);
        feed(s, sip, &from, text, (size_t)len);
    }
    world_run(&s->world, ROAM_SECONDS(1));
    size_t provoked = 0;
    for (size_t i = log; i < s->nlog; i++)
        provoked += scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK") || scene_is_request(s->log[i].text, strlen(s->log[i].text), "BYE");
    assert_int_equal(provoked, 0);
    world_run(&s->world, ROAM_SECONDS(70));
    assert_in_range(counters_of(s).memory_blocks, 0, before + 70);
    scene_free(s);
}

static void test_user_agent_of_two_lines(void **state)
{
    /* A configured User-Agent with a line end in it would forge headers: the agent is not made. */
    (void)state;
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.user_agent = "roam\r\nRoute: <sip:203.0.113.1>";
    assert_null(roam_ua_new(&config));
    config.user_agent = "roam test";
    roam_ua *ua = roam_ua_new(&config);
    assert_non_null(ua);
    roam_ua_free(ua);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutations), cmocka_unit_test(test_call_flood),   cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_forged),    cmocka_unit_test(test_stray_answers), cmocka_unit_test(test_user_agent_of_two_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

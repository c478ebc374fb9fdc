/* The testbed under stress: memory that is refused, datagrams that mean harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "testbed_world.h"

#define STRANGER "192.0.2.99:5060"

static const roam_link_config perfect = {.delay = ROAM_MS(10)};

typedef struct miser {
    long budget; /* < 0: no limit */
    bool once;   /* refuses one request, then none */
} miser;

static void *miser_realloc(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (!size) {
        free(ptr);
        return NULL;
    }
    if (m->budget == 0) {
        if (m->once)
            m->budget = -1;
        return NULL;
    }
    if (m->budget > 0)
        m->budget--;
    return realloc(ptr, size);
}

static void memory_refused(void **state)
{
    /* The n-th allocation of the server, and then of the callee, is refused, for every n of a whole call with digest;
     * then all from the n-th on. Nothing crashes or leaks, the caller always comes to an end, and some calls come up
     * because a retransmission brings again what was lost for want of memory. */
    (void)state;
    for (int where = 0; where < 2; where++) {
        long reached = 0;
        unsigned confirmed = 0;
        for (long n = 0; n < 400; n += where ? 1 : 2) {
            for (int once = 0; once < 2; once++) {
                miser m = {n, once};
                roam_allocator allocator = {miser_realloc, &m};
                roam_testserver_config server = {.allocator = where ? NULL : &allocator};
                world *w = world_new(&server, &perfect);
                if (!w->server_up) {
                    reached = n;
                    assert_true(world_free(w));
                    continue;
                }
                (void)testserver_add_user(&w->server, "alice", "secret");
                (void)testserver_add_user(&w->server, "bob", "secret");
                world_add_peer(w, 0, "alice", "secret", NULL);
                if (where)
                    m.budget = -1; /* the peer's start is not what is tested */
                world_peer *bob =
                    world_add_peer(w, 1, "bob", "secret", &(roam_peer_config){.allocator = where ? &allocator : NULL});
                if (where)
                    m.budget = n;
                (void)peer_register(&w->peers[0].peer, w->now);
                (void)peer_register(&bob->peer, w->now);
                world_run(w, ROAM_SECONDS(10));
                uint32_t id;
                if (peer_call(&w->peers[0].peer, w->now, "sip:bob@example.com", &id) == ROAM_OK) {
                    world_run(w, ROAM_SECONDS(10));
                    confirmed += once && leg_of(w, 0, id)->state == LEG_CONFIRMED;
                    (void)peer_hangup(&w->peers[0].peer, w->now, id);
                    world_run(w, ROAM_SECONDS(70));
                    assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
                }
                if (m.budget <= 0)
                    reached = n;
                assert_true(world_free(w));
            }
            if (n > reached + 4)
                break;
        }
        assert_true(reached > 20);
        assert_true(confirmed > 10);
    }
}

static void memory_refused_in_depth(void **state)
{
    /* The same for all that a peer can: reliable early media, an UPDATE before the answer, session timers, a hold, a
     * transfer, a move, everything sent twice. The n-th allocation of one end is refused, or all from there on, for every
     * fifth n. Nothing crashes or leaks; when there is memory again, each call ends in bounded time. */
    (void)state;
    long reached = 0, most = 0;
    unsigned confirmed = 0;
    for (int where = 0; where < 2; where++) {
        reached = 0;
        for (long n = where; n < 2000; n += 5) {
            for (int once = 0; once < 2; once++) {
                miser m = {-1, once};
                roam_allocator allocator = {miser_realloc, &m};
                world *w = world_new(&(roam_testserver_config){.proxy = {.sends_199 = true}}, &perfect);
                static const char *const names[] = {"alice", "bob", "carol"};
                for (int i = 0; i < 3; i++) {
                    (void)testserver_add_user(&w->server, names[i], "secret");
                    world_add_peer(w, i, names[i], "secret",
                                   &(roam_peer_config){.allocator = i == where ? &allocator : NULL,
                                                       .rel = PEER_REL_USED,
                                                       .early_media = true,
                                                       .answer_after = ROAM_SECONDS(1),
                                                       .session_expires = 90,
                                                       .repeat_after = ROAM_MS(15),
                                                       .patient = true});
                    (void)peer_register(&w->peers[i].peer, w->now);
                }
                world_run(w, ROAM_SECONDS(1));
                m.budget = n;
                uint32_t id = 0;
                if (peer_call(&w->peers[0].peer, w->now, "sip:bob@example.com", &id) == ROAM_OK) {
                    world_run(w, ROAM_MS(500));
                    (void)peer_refresh(&w->peers[0].peer, w->now, id, true, false);
                    world_run(w, ROAM_SECONDS(1));
                    (void)peer_hold(&w->peers[1].peer, w->now, 1, true, false);
                    world_run(w, ROAM_MS(100));
                    w->peers[where].local = world_addr(where ? "192.0.2.51:5060" : "192.0.2.50:5060");
                    if (peer_move(&w->peers[where].peer, w->now, WORLD_SIP, &w->peers[where].local) == ROAM_OK) {
                        world_run(w, ROAM_SECONDS(1));
                        (void)peer_refer(&w->peers[0].peer, w->now, id, "sip:carol@example.com", 0);
                        world_run(w, ROAM_SECONDS(4));
                        confirmed += w->peers[2].peer.next_leg > 1;
                    }
                    if (m.budget <= 0)
                        reached = n;
                    m.budget = -1; /* there is memory again: now everything has to end */
                    for (int i = 0; i < 3; i++)
                        for (uint32_t leg = 1; leg < w->peers[i].peer.next_leg; leg++)
                            (void)peer_hangup(&w->peers[i].peer, w->now, leg);
                    world_run(w, ROAM_SECONDS(300));
                    for (int i = 0; i < 3; i++)
                        for (uint32_t leg = 1; leg < w->peers[i].peer.next_leg; leg++)
                            if (peer_leg(&w->peers[i].peer, leg))
                                assert_int_equal(peer_leg(&w->peers[i].peer, leg)->state, LEG_ENDED);
                } else {
                    reached = n;
                }
                assert_true(world_free(w));
            }
            if (n > reached + 12)
                break;
        }
        most = reached > most ? reached : most;
    }
    assert_true(most > 100);
    assert_true(confirmed > 10);
}

static void hostile_datagrams(void **state)
{
    /* 20,000 truncated and mutated copies of good messages, and garbage, to server and peer in a call: the call is
     * unharmed, and when they are over no transaction or memory is left. */
    (void)state;
    static const char *const seeds[] = {
        "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKm;rport\r\nMax-Forwards: "
        "70\r\nRoute: <sip:192.0.2.1;lr>, <sip:192.0.2.201;lr>\r\n"
        "From: \"A\" <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: m\r\nCSeq: 1 "
        "INVITE\r\nContact: <sip:alice@192.0.2.99>\r\n"
        "Content-Type: application/sdp\r\nContent-Length: 94\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN "
        "IP4 192.0.2.99\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\r\n",
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKr\r\nFrom: "
        "<sip:eve@example.com>;tag=1\r\nTo: <sip:eve@example.com>\r\nCall-ID: r\r\nCSeq: 1 "
        "REGISTER\r\nContact: <sip:eve@192.0.2.99>;expires=60;+sip.instance=\"<urn:x>\";reg-id=1, *\r\nExpires: "
        "60\r\nAuthorization: Digest "
        "username=\"eve\",realm=\"example.com\",nonce=\"n\",uri=\"sip:example.com\",response=\"00\",nc=00000001,cnonce="
        "\"c\",qop=auth\r\nContent-Length: 0\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\nFrom: "
        "<sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>;tag=2\r\nCall-ID: m\r\nCSeq: 1 "
        "INVITE\r\nContact: <sip:bob@192.0.2.11>\r\nRecord-Route: <sip:192.0.2.1;lr>\r\nContent-Length: 0\r\n\r\n",
        "UPDATE sip:bob@192.0.2.11 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKu\r\nFrom: "
        "<sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>;tag=2\r\nCall-ID: m\r\nCSeq: "
        "9 UPDATE\r\nReplaces: x;to-tag=1;from-tag=2\r\nContent-Length: 0\r\n\r\n"};
    world *w = two_users(NULL, &perfect, NULL, NULL, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    roam_random random;
    random_init(&random, (const uint8_t[32]){7});
    roam_addr from = world_addr(STRANGER);
    for (int i = 0; i < 20000; i++) {
        char bytes[2048];
        roam_span seed = span_of(seeds[random_below(&random, 4)]);
        memcpy(bytes, seed.ptr, seed.len);
        size_t len = random_below(&random, 3) ? seed.len : random_below(&random, (uint32_t)seed.len + 1);
        for (uint32_t k = random_below(&random, 8); k-- > 0 && len;)
            bytes[random_below(&random, (uint32_t)len)] = (char)random_below(&random, 256);
        roam_addr to = random_below(&random, 2) ? w->server_addr : w->peers[1].local;
        if (random_below(&random, 8) == 0)
            to = leg_of(w, 1, 1)->rtp_local;
        world_put(w, &from, &to, span_make(bytes, len));
        if (i % 50 == 0)
            world_run(w, ROAM_MS(100));
    }
    world_run(w, ROAM_SECONDS(200));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_CONFIRMED);
    uint64_t heard = leg_of(w, 0, id)->audio.received;
    world_run(w, ROAM_SECONDS(1));
    assert_true(leg_of(w, 0, id)->audio.received >= heard + 49);
    assert_true(w->server.sip.counters.malformed > 1000);
    assert_int_equal(w->server.sip.ntransactions, 0);
    assert_true(list_empty(&w->server.proxy.contexts));
    assert_true(world_free(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_refused),
        cmocka_unit_test(memory_refused_in_depth),
        cmocka_unit_test(hostile_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

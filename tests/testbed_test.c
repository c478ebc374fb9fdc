/* testbed/proxy and testbed/peer: calls through the whole server, in memory and virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "testbed_world.h"

#define STRANGER "192.0.2.99:5060"

static const roam_link_config perfect = {.delay = ROAM_MS(10)};

static void a_whole_call(void **state)
{
    /* Digest for REGISTER, INVITE and BYE, two hops of Record-Route dialog: the call is answered after 300 ms of
     * ringing, both hear the tone without a hole, and either side's BYE ends it on both. */
    (void)state;
    for (int ends = 0; ends < 2; ends++) {
        world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.answer_after = ROAM_MS(300)}, true);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_MS(200));
        assert_int_equal(world_count(&w->peers[0], PEER_CALL_RINGING), 1);
        assert_int_equal(leg_of(w, 0, id)->state, LEG_CALLING);
        world_run(w, ROAM_SECONDS(5));
        const roam_leg *a = leg_of(w, 0, id), *b = leg_of(w, 1, 1);
        assert_int_equal(a->state, LEG_CONFIRMED);
        assert_int_equal(b->state, LEG_CONFIRMED);
        assert_false(accept_waiting(&b->accept)); /* the ACK came, through the proxy */
        assert_int_equal(a->dialog.nroutes, 1);
        assert_int_equal(b->dialog.nroutes, 1);
        assert_string_equal(a->dialog.remote_target, "sip:bob@192.0.2.11:5060");
        assert_in_range(a->audio.received, 225, 245);
        assert_in_range(b->audio.received, 225, 245);
        /* Bob's first packet goes straight and overtakes his 200: not signalled yet, so not heard. */
        assert_int_equal(a->audio.refused, 1);
        assert_int_equal(b->audio.refused, 0);
        for (size_t i = 1; i < b->audio.nlog; i++) {
            assert_int_equal(b->audio.log[i].sequence, (uint16_t)(b->audio.log[i - 1].sequence + 1));
            assert_int_equal(b->audio.log[i].time - b->audio.log[i - 1].time, ROAM_MS(20));
            assert_int_equal(b->audio.log[i].ssrc, a->audio.ssrc);
            assert_true(roam_addr_equal(&b->audio.log[i].from, &a->rtp_local));
        }
        assert_int_equal(peer_hangup(&w->peers[ends].peer, w->now, ends ? 1 : id), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->state, LEG_ENDED);
        assert_int_equal(b->state, LEG_ENDED);
        assert_int_equal((ends ? b : a)->last_status, 200);
        assert_string_equal((ends ? a : b)->end_why, "BYE");
        /* Each side was challenged once for REGISTER; the caller, and bob only for his BYE, once at the proxy. */
        assert_int_equal(w->server.proxy.counters.challenged, ends ? 2 : 1);
        assert_int_equal(w->server.auth.counters.wrong, 0);
        world_run(w, ROAM_SECONDS(60));
        assert_int_equal(w->server.sip.ntransactions, 0);
        assert_true(list_empty(&w->server.proxy.contexts));
        assert_int_equal(w->server.proxy.branches.count, 0);
        assert_true(world_free(w));
    }
}

static void credentials_of_dialogs(void **state)
{
    /* PROXY_AUTH_INITIAL asks for credentials for the INVITE only; PROXY_AUTH_NONE for nothing. */
    (void)state;
    for (int mode = PROXY_AUTH_INITIAL; mode <= PROXY_AUTH_NONE; mode++) {
        world *w =
            two_users(&(roam_testserver_config){.proxy = {.auth = (roam_proxy_auth)mode}}, &perfect, NULL, NULL, true);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(peer_hangup(&w->peers[1].peer, w->now, 1), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
        assert_int_equal(w->server.proxy.counters.challenged, mode == PROXY_AUTH_INITIAL ? 1 : 0);
        assert_true(world_free(w));
    }
}

static void cancelled(void **state)
{
    /* The caller hangs up while it rings: CANCEL goes through, bob stops with "CANCEL", alice gets the 487, nothing
     * stays behind. Hanging up before anything was heard works as well. */
    (void)state;
    static const roam_time after[] = {ROAM_MS(500), 0};
    for (size_t i = 0; i < 2; i++) {
        world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.answer = PEER_RINGS}, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, after[i]);
        assert_int_equal(peer_hangup(&w->peers[0].peer, w->now, id), ROAM_OK);
        world_run(w, ROAM_SECONDS(2));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
        assert_int_equal(leg_of(w, 0, id)->last_status, 487);
        assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
        assert_string_equal(leg_of(w, 1, 1)->end_why, "CANCEL");
        assert_int_equal(w->server.proxy.counters.cancels, 1);
        world_run(w, ROAM_SECONDS(60));
        assert_int_equal(w->server.sip.ntransactions, 0);
        assert_true(world_free(w));
    }
}

static void refused(void **state)
{
    /* Busy comes through as it was said; nobody registered is 480, an unknown name 404, a name that cannot be reached
     * 404, a strange scheme 416, and none of it takes a second. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.answer = PEER_REJECTS}, true);
    assert_int_equal(testserver_add_user(&w->server, "carol", "secret"), ROAM_OK);
    static const struct {
        const char *uri;
        unsigned status;
    } cases[] = {{"sip:bob@example.com", 486},
                 {"sip:carol@example.com", 480},
                 {"sip:dave@example.com", 404},
                 {"sip:eve@elsewhere.example", 404},
                 {"sips:bob@example.com", 416}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t id = call(w, 0, cases[i].uri);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
        assert_int_equal(leg_of(w, 0, id)->last_status, cases[i].status);
    }
    assert_true(world_free(w));
}

static void forked_to_two(void **state)
{
    /* Bob has two phones and a dead Contact. Both ring; the second answers: alice talks to it, the first is cancelled,
     * the dead one holds nothing up. Then both reject: the caller gets the answer at once although the dead branch is
     * silent only after Timer B. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    world_add_peer(w, 0, "alice", NULL, NULL);
    world_add_peer(w, 1, "bob", NULL, &(roam_peer_config){.answer = PEER_RINGS});
    world_add_peer(w, 2, "bob", NULL, &(roam_peer_config){.answer_after = ROAM_SECONDS(2)});
    for (int i = 0; i < 3; i++)
        assert_int_equal(peer_register(&w->peers[i].peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(
        world_ask(w, STRANGER,
                  "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                  ";branch=$branch;rport\nMax-Forwards: 70\n"
                  "From: <sip:bob@example.com>;tag=b\nTo: <sip:bob@example.com>\nCall-ID: dead\nCSeq: 1 REGISTER\n"
                  "Contact: <sip:bob@192.0.2.200:5060>\nContent-Length: 0\n\n"),
        200);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(5));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_string_equal(leg_of(w, 0, id)->dialog.remote_target, "sip:bob@192.0.2.12:5060");
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
    assert_string_equal(leg_of(w, 1, 1)->end_why, "CANCEL");
    assert_int_equal(leg_of(w, 2, 1)->state, LEG_CONFIRMED);
    assert_int_equal(world_count_notices(w, NOTICE_CALL_PASSED), 3);
    assert_int_equal(world_count_notices(w, NOTICE_CALL_ANSWERED), 1);
    assert_int_equal(peer_hangup(&w->peers[0].peer, w->now, id), ROAM_OK);
    world_run(w, ROAM_SECONDS(60));

    /* A 6xx ends it for all, before Timer B of the dead branch. */
    peer_set_answer(&w->peers[1].peer, PEER_REJECTS, 0, 603);
    peer_set_answer(&w->peers[2].peer, PEER_RINGS, 0, 0);
    id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->last_status, 603);
    assert_int_equal(leg_of(w, 2, 2)->state, LEG_ENDED);

    /* 486 and 404 and silence: the best is told when Timer B has spoken for the dead one. */
    peer_set_answer(&w->peers[1].peer, PEER_REJECTS, 0, 503);
    peer_set_answer(&w->peers[2].peer, PEER_REJECTS, 0, 486);
    id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(31));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CALLING);
    world_run(w, ROAM_SECONDS(3));
    assert_int_equal(leg_of(w, 0, id)->last_status, 486);
    world_run(w, ROAM_SECONDS(120));
    assert_int_equal(w->server.sip.ntransactions, 0);
    assert_true(world_free(w));
}

static void both_phones_answer(void **state)
{
    /* Two phones answer in the same instant: both 2xx reach alice, she talks to the first and ends the other with ACK
     * and BYE (RFC 3261 13.2.2.4). */
    (void)state;
    world *w = world_new(NULL, &perfect);
    world_add_peer(w, 0, "alice", NULL, NULL);
    for (int i = 1; i < 3; i++)
        world_add_peer(w, i, "bob", NULL, &(roam_peer_config){.answer_after = ROAM_SECONDS(1)});
    for (int i = 0; i < 3; i++)
        assert_int_equal(peer_register(&w->peers[i].peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(5));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    int alive = 0, ended = 0;
    for (int i = 1; i < 3; i++) {
        alive += leg_of(w, i, 1)->state == LEG_CONFIRMED;
        ended += leg_of(w, i, 1)->state == LEG_ENDED && strcmp(leg_of(w, i, 1)->end_why, "BYE") == 0;
    }
    assert_int_equal(alive, 1);
    assert_int_equal(ended, 1);
    assert_true(world_free(w));
}

static void rings_for_ever(void **state)
{
    /* Timer C (here 20 s): the proxy cancels what only rings; the caller gets 487 from the branch. */
    (void)state;
    world *w = two_users(&(roam_testserver_config){.proxy = {.timer_c = ROAM_SECONDS(20)}}, &perfect, NULL,
                         &(roam_peer_config){.answer = PEER_RINGS}, false);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(19));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CALLING);
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->last_status, 487);
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
    assert_true(world_free(w));
}

static void dead_callee(void **state)
{
    /* Bob is registered and gone: 408 after Timer B, not before. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, false);
    w->peers[1].present = false;
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(31));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CALLING);
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->last_status, 408);
    w->peers[1].present = true; /* to be freed */
    assert_true(world_free(w));
}

static void loss_is_survived(void **state)
{
    /* Ten calls in a row over a path that loses 10 % of everything, each hop each way: every call comes up and goes
     * down, and the ends agree. */
    (void)state;
    world *w = two_users(NULL, &(roam_link_config){.delay = ROAM_MS(25), .jitter = ROAM_MS(5), .loss_ppm = 100000},
                         NULL, &(roam_peer_config){.answer_after = ROAM_MS(100)}, true);
    for (uint32_t n = 1; n <= 10; n++) {
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(40));
        const roam_leg *a = leg_of(w, 0, id), *b = leg_of(w, 1, n);
        assert_int_equal(a->state, LEG_CONFIRMED);
        assert_int_equal(b->state, LEG_CONFIRMED);
        assert_false(accept_waiting(&b->accept));
        assert_in_range(a->audio.received * 100 / b->audio.sent, 80, 98);
        assert_int_equal(peer_hangup(&w->peers[n % 2].peer, w->now, n % 2 ? n : id), ROAM_OK);
        world_run(w, ROAM_SECONDS(40));
        assert_int_equal(a->state, LEG_ENDED);
        assert_int_equal(b->state, LEG_ENDED);
    }
    assert_true(w->link.counters.lost > 100);
    world_run(w, ROAM_SECONDS(60));
    assert_int_equal(w->server.sip.ntransactions, 0);
    assert_true(world_free(w));
}

static void reordering_and_duplicates_are_survived(void **state)
{
    /* 20 % reordered, 20 % doubled: one call comes up exactly once on each side and is ended once. */
    (void)state;
    world *w = two_users(NULL,
                         &(roam_link_config){.delay = ROAM_MS(10),
                                             .jitter = ROAM_MS(10),
                                             .reorder_ppm = 200000,
                                             .reorder_delay = ROAM_MS(80),
                                             .duplicate_ppm = 200000},
                         NULL, NULL, true);
    for (uint32_t n = 1; n <= 10; n++) {
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(5));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
        assert_int_equal(world_count(&w->peers[1], PEER_CALL_INCOMING), n);
        assert_int_equal(peer_hangup(&w->peers[0].peer, w->now, id), ROAM_OK);
        world_run(w, ROAM_SECONDS(5));
        assert_int_equal(leg_of(w, 1, n)->state, LEG_ENDED);
        assert_int_equal(world_count(&w->peers[1], PEER_CALL_ENDED), n);
    }
    assert_true(world_free(w));
}

static void hold_and_resume(void **state)
{
    /* Hold by re-INVITE and by UPDATE, from either side: the holder sends, the held does not and knows it; both at once
     * is silence; resume brings both back. A peer without UPDATE gets re-INVITEs. */
    (void)state;
    for (int update = 0; update < 3; update++) {
        bool by_update = update > 0, refuses = update == 2;
        world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.no_update = refuses}, true);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        const roam_leg *a = leg_of(w, 0, id), *b = leg_of(w, 1, 1);
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, by_update), ROAM_OK);
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, by_update), ROAM_EBUSY);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->audio.direction, DIRECTION_SENDONLY);
        assert_int_equal(b->audio.direction, DIRECTION_RECVONLY);
        assert_true(b->remote_hold);
        assert_int_equal(b->updates, by_update && !refuses ? 1 : 0);
        assert_int_equal(b->reinvites, by_update && !refuses ? 0 : 1);
        uint64_t heard_a = a->audio.received, heard_b = b->audio.received;
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->audio.received, heard_a);
        assert_true(b->audio.received >= heard_b + 49);

        assert_int_equal(peer_hold(&w->peers[1].peer, w->now, 1, true, by_update), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->audio.direction, DIRECTION_INACTIVE);
        assert_int_equal(b->audio.direction, DIRECTION_INACTIVE);
        /* A refresh without an offer changes nothing of it. */
        assert_int_equal(peer_refresh(&w->peers[1].peer, w->now, 1, by_update, false), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->audio.direction, DIRECTION_INACTIVE);

        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, false, by_update), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(b->audio.direction, DIRECTION_SENDONLY); /* bob still holds */
        assert_int_equal(peer_hold(&w->peers[1].peer, w->now, 1, false, by_update), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->audio.direction, DIRECTION_SENDRECV);
        assert_int_equal(b->audio.direction, DIRECTION_SENDRECV);
        heard_a = a->audio.received;
        world_run(w, ROAM_SECONDS(1));
        assert_true(a->audio.received >= heard_a + 49);
        assert_int_equal(a->state, LEG_CONFIRMED);
        assert_true(world_free(w));
    }
}

static void glare(void **state)
{
    /* Both hold in the same instant: each refuses the other's offer with 491, both wait their different times and try
     * again; in the end both hold. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    /* Credentials known on both sides first, so that the two INVITEs cross. */
    assert_int_equal(peer_refresh(&w->peers[1].peer, w->now, 1, false, true), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
    assert_int_equal(peer_hold(&w->peers[1].peer, w->now, 1, true, false), ROAM_OK);
    world_run(w, ROAM_MS(200));
    assert_int_equal(leg_of(w, 0, id)->last_status, 491);
    assert_int_equal(leg_of(w, 1, 1)->last_status, 491);
    world_run(w, ROAM_SECONDS(10));
    assert_true(leg_of(w, 0, id)->local_hold && leg_of(w, 1, 1)->local_hold);
    assert_int_equal(leg_of(w, 0, id)->audio.direction, DIRECTION_INACTIVE);
    assert_int_equal(leg_of(w, 1, 1)->audio.direction, DIRECTION_INACTIVE);
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_true(world_free(w));
}

static void sources_of_sound(void **state)
{
    /* RTP from an address that was not signalled: a strict peer hears nothing of it and goes on sending to the old one;
     * a latching one, that has its source, neither; one that follows hears it and sends there. Each packet is in the
     * record with its address. */
    (void)state;
    for (int policy = AUDIO_STRICT; policy <= AUDIO_FOLLOW; policy++) {
        world *w =
            two_users(NULL, &perfect, NULL, &(roam_peer_config){.audio = {.policy = (roam_audio_policy)policy}}, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        const roam_leg *b = leg_of(w, 1, 1);
        roam_addr stranger = world_addr("198.51.100.5:4000");
        uint8_t packet[172] = {0x80, 0, 0x12, 0x34};
        uint64_t refused_before = b->audio.refused;
        link_set_up(&w->link, false, true); /* alice's own packets would confuse the one that follows */
        testserver_advance(&w->server, w->now);
        peer_receive(&w->peers[1].peer, w->now, b->rtp_socket, &stranger,
                     span_make((const char *)packet, sizeof packet));
        const roam_arrival *last = &b->audio.log[b->audio.nlog - 1];
        assert_int_equal(last->sequence, 0x1234);
        assert_true(roam_addr_equal(&last->from, &stranger));
        assert_int_equal(last->accepted, policy == AUDIO_FOLLOW);
        assert_int_equal(b->audio.refused - refused_before, policy == AUDIO_FOLLOW ? 0 : 1);
        assert_true(roam_addr_equal(&b->audio.to, policy == AUDIO_FOLLOW ? &stranger : &leg_of(w, 0, id)->rtp_local));
        assert_true(world_free(w));
    }
}

static void echo(void **state)
{
    /* A peer that echoes gives each packet of the tone back, and nothing else. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.audio = {.play = AUDIO_ECHO}}, false);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 1, 1)->audio.sent, leg_of(w, 1, 1)->audio.received);
    assert_in_range(leg_of(w, 0, id)->audio.received, 90, 100);
    assert_true(world_free(w));
}

#define INVITE_LINES                                                                                                   \
    "Via: SIP/2.0/UDP " STRANGER                                                                                       \
    ";branch=$branch;rport\nFrom: <sip:alice@example.com>;tag=t1\nTo: <sip:bob@example.com>\nCSeq: 1 INVITE\n"         \
    "Contact: <sip:alice@" STRANGER ">\n"

static void request_validation(void **state)
{
    /* Max-Forwards 0 is 483, an unknown Proxy-Require 420 with Unsupported, a stranger's request to elsewhere 403;
     * OPTIONS to the server itself 200. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, false);
    assert_int_equal(world_ask(w, STRANGER,
                               "INVITE sip:bob@example.com SIP/2.0\nMax-Forwards: 0\nCall-ID: 1\n" INVITE_LINES
                               "Content-Length: 0\n\n"),
                     483);
    assert_int_equal(
        world_ask(w, STRANGER,
                  "INVITE sip:bob@example.com SIP/2.0\nMax-Forwards: 70\nCall-ID: 2\nProxy-Require: moon\n" INVITE_LINES
                  "Content-Length: 0\n\n"),
        420);
    assert_true(span_eq(message_value(&w->reply, HEADER_UNSUPPORTED), SPAN("moon")));
    assert_int_equal(
        world_ask(w, STRANGER,
                  "OPTIONS sip:x@192.0.2.200 SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                  ";branch=$branch;rport\nMax-Forwards: 70\nCall-ID: 3\n"
                  "From: <sip:m@evil.example>;tag=1\nTo: <sip:x@192.0.2.200>\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"),
        403);
    assert_int_equal(
        world_ask(w, STRANGER,
                  "OPTIONS sip:192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                  ";branch=$branch;rport\nMax-Forwards: 70\nCall-ID: 4\n"
                  "From: <sip:alice@example.com>;tag=1\nTo: <sip:192.0.2.1>\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"),
        200);
    /* In a dialog nobody has: forwarded by its URI, answered 481 by bob himself. */
    assert_int_equal(world_ask(w, STRANGER,
                               "BYE sip:bob@192.0.2.11:5060 SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                               ";branch=$branch;rport\nMax-Forwards: 70\nCall-ID: 5\n"
                               "Route: <sip:192.0.2.1:5060;lr>\nFrom: <sip:alice@example.com>;tag=1\nTo: "
                               "<sip:bob@example.com>;tag=2\nCSeq: 1 BYE\nContent-Length: 0\n\n"),
                     481);
    assert_int_equal(w->server.proxy.counters.forwarded, 1);
    assert_true(world_free(w));
}

static void what_the_callee_sees(void **state)
{
    /* The INVITE as it leaves the proxy: one hop less to go, our Via on top of alice's, our Record-Route, her Route to
     * us gone, and her credentials for us kept from the callee. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, true);
    roam_value_cursor cursor = {0};
    roam_span value;
    roam_via via;
    assert_int_equal(testserver_add_user(&w->server, "dave", NULL), ROAM_OK);
    assert_int_equal(world_ask(w, STRANGER,
                               "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                               ";branch=$branch;rport\nMax-Forwards: 70\nCall-ID: d\n"
                               "From: <sip:dave@example.com>;tag=1\nTo: <sip:dave@example.com>\nCSeq: 1 "
                               "REGISTER\nContact: <sip:dave@" STRANGER ";x=y>\nContent-Length: 0\n\n"),
                     200);
    (void)call(w, 0, "sip:dave@example.com");
    world_run(w, ROAM_MS(100));
    roam_message m;
    assert_int_equal(message_parse(&m, &w->space, span_make(w->inbox, w->inbox_len)), ROAM_OK);
    assert_int_equal(message_check(&m), 0);
    assert_true(span_eq(m.request_uri, SPAN("sip:dave@" STRANGER ";x=y")));
    assert_true(span_eq(message_value(&m, HEADER_MAX_FORWARDS), SPAN("69")));
    assert_true(span_eq(message_value(&m, HEADER_RECORD_ROUTE), SPAN("<sip:192.0.2.1:5060;lr>")));
    assert_false(message_has(&m, HEADER_ROUTE));
    assert_false(message_has(&m, HEADER_PROXY_AUTHORIZATION));
    assert_true(message_has_body_type(&m, SPAN("application/sdp")));
    assert_true(message_values(&m, HEADER_VIA, &cursor, &value) && via_parse(value, &via) == ROAM_OK);
    assert_true(span_eq(via.host, SPAN("192.0.2.1")));
    assert_true(message_values(&m, HEADER_VIA, &cursor, &value) && via_parse(value, &via) == ROAM_OK);
    assert_true(span_eq(via.host, SPAN("192.0.2.10")));
    assert_int_equal(via.rport, 5060);
    assert_false(message_values(&m, HEADER_VIA, &cursor, &value));
    assert_true(w->server.auth.counters.accepted >= 3); /* she did send credentials */
    assert_true(world_free(w));
}

static void loops(void **state)
{
    /* Carol's Contact is the server's own AOR of carol: the request would run in circles, and is stopped at its first
     * return with 482. A spiral (dora's Contact is bob's AOR) is no loop, and rings bob. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.answer = PEER_RINGS}, false);
    static const char *const users[][2] = {{"carol", "carol"}, {"dora", "bob"}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(world_ask(w, STRANGER,
                                   "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                                   ";branch=$branch;rport\nMax-Forwards: 70\nCall-ID: l%d\n"
                                   "From: <sip:%s@example.com>;tag=1\nTo: <sip:%s@example.com>\nCSeq: 1 "
                                   "REGISTER\nContact: <sip:%s@192.0.2.1:5060>\nContent-Length: 0\n\n",
                                   i, users[i][0], users[i][0], users[i][1]),
                         200);
    uint32_t id = call(w, 0, "sip:carol@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->last_status, 482);
    assert_int_equal(w->server.proxy.counters.loops, 1);
    assert_true(w->server.proxy.counters.forwarded <= 2);
    id = call(w, 0, "sip:dora@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(w->server.proxy.counters.loops, 1);
    assert_int_equal(world_count(&w->peers[0], PEER_CALL_RINGING), 1);
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_RINGING);
    assert_true(world_free(w));
}

static void nat_help(void **state)
{
    /* Dave's Contact is a private address, his REGISTER comes from a public one. Without help the INVITE goes into the
     * void; with it to the source, and so does a BYE in the dialog. */
    (void)state;
    for (int help = 0; help < 2; help++) {
        world *w = two_users(&(roam_testserver_config){.proxy = {.nat_help = help}}, &perfect, NULL, NULL, false);
        assert_int_equal(world_ask(w, STRANGER,
                                   "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP "
                                   "10.0.0.7:5062;branch=$branch;rport\nMax-Forwards: 70\nCall-ID: nat\n"
                                   "From: <sip:dave@example.com>;tag=1\nTo: <sip:dave@example.com>\nCSeq: 1 "
                                   "REGISTER\nContact: <sip:dave@10.0.0.7:5062>\nContent-Length: 0\n\n"),
                         200);
        roam_addr source = world_addr(STRANGER), private = world_addr("10.0.0.7:5062");
        (void)call(w, 0, "sip:dave@example.com");
        world_run(w, ROAM_MS(100));
        assert_true(roam_addr_equal(&w->inbox_to, help ? &source : &private));
        assert_true(span_starts(span_make(w->inbox, w->inbox_len), SPAN("INVITE sip:dave@10.0.0.7:5062 SIP/2.0\r\n")));
        world_run(w, ROAM_SECONDS(60));
        w->inbox_len = 0;
        roam_addr alice = w->peers[0].local;
        roam_span bye = SPAN("BYE sip:dave@10.0.0.7:5062 SIP/2.0\r\nVia: SIP/2.0/UDP "
                             "192.0.2.10:5060;branch=z9hG4bKbye;rport\r\nMax-Forwards: 70\r\n"
                             "Route: <sip:192.0.2.1:5060;lr>\r\nCall-ID: d\r\nFrom: "
                             "<sip:alice@example.com>;tag=1\r\nTo: <sip:dave@example.com>;tag=2\r\n"
                             "CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n");
        world_put(w, &alice, &w->server_addr, bye);
        world_run(w, ROAM_MS(100));
        assert_true(span_starts(span_make(w->inbox, w->inbox_len), SPAN("BYE sip:dave@10.0.0.7:5062")));
        assert_true(roam_addr_equal(&w->inbox_to, help ? &source : &private));
        assert_null(strstr(w->inbox, "\r\nRoute:"));
        assert_non_null(strstr(w->inbox, "received=192.0.2.10;rport=5060"));
        assert_true(world_free(w));
    }
}

static void edge_that_refuses(void **state)
{
    /* With edge_refuses a request from where nobody registered is 403, from a registered source it passes; after
     * unregistering it is 403 again. */
    (void)state;
    world *w = world_new(&(roam_testserver_config){.proxy = {.edge_refuses = true}}, &perfect);
    world_peer *alice = world_add_peer(w, 0, "alice", NULL, NULL), *bob = world_add_peer(w, 1, "bob", NULL, NULL);
    assert_int_equal(peer_register(&bob->peer, w->now), ROAM_OK);
    for (int i = 0; i < 3; i++) {
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        if (i == 1) {
            assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
            assert_int_equal(peer_unregister(&alice->peer, w->now), ROAM_OK);
            world_run(w, ROAM_SECONDS(1));
            assert_int_equal(peer_hangup(&alice->peer, w->now, id), ROAM_OK);
            world_run(w, ROAM_SECONDS(1));
            assert_int_equal(leg_of(w, 0, id)->last_status, 403); /* its BYE was refused, too */
        } else {
            assert_int_equal(leg_of(w, 0, id)->last_status, 403);
            assert_int_equal(peer_register(&alice->peer, w->now), ROAM_OK);
        }
        world_run(w, ROAM_SECONDS(1));
    }
    assert_true(world_free(w));
}

static void replaces(void **state)
{
    /* RFC 3891 at the peer: an INVITE whose Replaces names the confirmed call takes it over, the old leg gets a BYE;
     * one that names a call it does not know is 481. */
    (void)state;
    static const char sdp[] =
        "v=0\no=- 1 1 IN IP4 192.0.2.99\ns=-\nc=IN IP4 192.0.2.99\nt=0 0\nm=audio 4000 RTP/AVP 8 0\n";
    world *w = two_users(NULL, &perfect, NULL, NULL, false);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    const roam_leg *a = leg_of(w, 0, id);
    for (int right = 0; right < 2; right++) {
        /* Straight to bob: what the test sends to the server's address goes there only. */
        unsigned status = world_ask(w, STRANGER,
                                    "INVITE sip:bob@example.com SIP/2.0\nMax-Forwards: 70\nCall-ID: "
                                    "takeover%d\nReplaces: %s;to-tag=%s;from-tag=%s\n" INVITE_LINES
                                    "Content-Type: application/sdp\nContent-Length: %zu\n\n%s",
                                    right, right ? a->dialog.call_id : "unknown", a->dialog.remote_tag,
                                    a->dialog.local_tag, sizeof sdp - 1 + 6, sdp);
        assert_int_equal(status, right ? 200 : 481);
        assert_int_equal(a->state, right ? LEG_ENDED : LEG_CONFIRMED);
    }
    assert_string_equal(leg_of(w, 1, 1)->end_why, "replaced");
    assert_int_equal(leg_of(w, 1, 3)->state, LEG_CONFIRMED);
    assert_true(world_free(w));
}

static uint64_t a_busy_hour(uint8_t seed, size_t *sent)
{
    roam_testserver_config config = {.seed = {0}};
    config.seed[31] = seed;
    world *w = two_users(
        &config,
        &(roam_link_config){.delay = ROAM_MS(20), .jitter = ROAM_MS(10), .loss_ppm = 50000, .duplicate_ppm = 10000},
        NULL, NULL, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(40));
    (void)peer_hold(&w->peers[1].peer, w->now, 1, true, false);
    world_run(w, ROAM_SECONDS(40));
    (void)peer_hangup(&w->peers[0].peer, w->now, id);
    world_run(w, ROAM_SECONDS(3600));
    uint64_t hash = w->hash;
    *sent = w->sent;
    assert_true(world_free(w));
    return hash;
}

static void same_seed_same_bytes(void **state)
{
    /* An hour with loss, a call, a hold and refreshed registrations: run twice, every byte sent and its time are the
     * same; another seed of the server gives another run. */
    (void)state;
    size_t sent[3];
    uint64_t first = a_busy_hour(1, &sent[0]), second = a_busy_hour(1, &sent[1]), other = a_busy_hour(2, &sent[2]);
    assert_int_equal(sent[0], sent[1]);
    assert_true(first == second);
    assert_true(first != other);
    assert_true(sent[0] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_call),
        cmocka_unit_test(credentials_of_dialogs),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(refused),
        cmocka_unit_test(forked_to_two),
        cmocka_unit_test(both_phones_answer),
        cmocka_unit_test(rings_for_ever),
        cmocka_unit_test(dead_callee),
        cmocka_unit_test(loss_is_survived),
        cmocka_unit_test(reordering_and_duplicates_are_survived),
        cmocka_unit_test(hold_and_resume),
        cmocka_unit_test(glare),
        cmocka_unit_test(sources_of_sound),
        cmocka_unit_test(echo),
        cmocka_unit_test(request_validation),
        cmocka_unit_test(what_the_callee_sees),
        cmocka_unit_test(loops),
        cmocka_unit_test(nat_help),
        cmocka_unit_test(edge_that_refuses),
        cmocka_unit_test(replaces),
        cmocka_unit_test(same_seed_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* sim/profiles, and the switches of servers and of sound that they set: each does what its comment says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/profiles.h"
#include "testbed/facts.h"
#include "testbed_world.h"

#define STRANGER "192.0.2.99:5060"
static const roam_link_config perfect = {.delay = ROAM_MS(10)};

/* Hangs up from alice's end; everything is over, and nothing stays behind, when the transactions have gone. */
static void ends_well(world *w, uint32_t id)
{
    assert_int_equal(peer_hangup(&w->peers[0].peer, w->now, id), ROAM_OK);
    world_run(w, ROAM_SECONDS(60));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
    assert_int_equal(w->server.sip.ntransactions, 0);
    assert_int_equal(w->peers[0].peer.sip.ntransactions, 0);
    assert_true(world_free(w));
}

/* ---- servers ---- */

static void one_time_nonces(void **state)
{
    /* Each request is challenged, a second use of a nonce is stale; with nextnonce the 200 to the REGISTER has one that
     * is good once. */
    (void)state;
    for (int next = 0; next < 2; next++) {
        world *w = two_users(&(roam_testserver_config){.auth = {.one_time = true, .next_nonce = next}}, &perfect, NULL,
                             NULL, true);
        uint64_t before = w->server.registrar.counters.challenged;
        assert_int_equal(before, 2);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(peer_register(&w->peers[0].peer, w->now), ROAM_OK);
            world_run(w, ROAM_SECONDS(1));
            assert_true(w->peers[0].peer.registered);
        }
        assert_int_equal(w->server.registrar.counters.challenged, next ? before : before + 3);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(w->server.proxy.counters.challenged, 2); /* INVITE, re-INVITE */
        assert_true(leg_of(w, 1, 1)->remote_hold);
        ends_well(w, id);
    }
}

static void the_wrong_contact_goes(void **state)
{
    /* Both Contacts of one REGISTER become the source's address. Worked off in order the new one stays; with
     * `removals_last` it is deleted, whatever the order, and the 200 lists nothing. */
    (void)state;
    for (int last = 0; last < 2; last++) {
        world *w = world_new(
            &(roam_testserver_config){.registrar = {.rewrite_contact = true, .removals_last = last}}, &perfect);
        assert_int_equal(world_ask(w, STRANGER,
                                   "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                                   ";branch=$branch;rport\nMax-Forwards: 70\nFrom: <sip:bob@example.com>;tag=b\nTo: "
                                   "<sip:bob@example.com>\nCall-ID: r\nCSeq: 1 REGISTER\nContact: "
                                   "<sip:bob@10.0.0.1:5060>;expires=0, <sip:bob@10.0.0.2:5060>;expires=600\n"
                                   "Content-Length: 0\n\n"),
                         200);
        assert_int_equal(world_contacts(w, "sip:bob@" STRANGER, NULL), last ? 0 : 1);
        assert_int_equal(w->server.registrar.nbindings, last ? 0 : 1);
        assert_true(world_free(w));
    }
}

static void proxy_tells_dead_forks(void **state)
{
    /* Three phones, as the profile "forks" has them: the busy one refuses after it rang, and the caller hears 199 with
     * its tag; the first one answers. A caller that requires 100rel hears no 199. */
    (void)state;
    const sim_profile *forks = sim_profile_find("forks");
    for (int reliable = 0; reliable < 2; reliable++) {
        roam_testserver_config server = {.seed = {0}};
        forks->server(&server);
        world *w = world_new(&server, &perfect);
        roam_peer_config alice = {.rel = reliable ? PEER_REL_REQUIRED : PEER_REL_NONE};
        world_add_peer(w, 0, "alice", NULL, &alice);
        for (unsigned i = 0; i < forks->phones; i++) {
            roam_peer_config phone = {.answer_after = ROAM_SECONDS(3), .rel = PEER_REL_ACCEPTED};
            sim_profile_phone(forks, i, &phone);
            world_add_peer(w, 1 + (int)i, "bob", NULL, &phone);
        }
        for (int i = 0; i < 4; i++)
            assert_int_equal(peer_register(&w->peers[i].peer, w->now), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_MS(150));
        assert_int_equal(leg_of(w, 0, id)->nforks, 2);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 3, 1)->state, LEG_ENDED);
        assert_int_equal(leg_of(w, 0, id)->early_ends, reliable ? 0 : 1);
        assert_int_equal(leg_of(w, 0, id)->nforks, reliable ? 2 : 1);
        world_run(w, ROAM_SECONDS(3));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 1, 1)->state, LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 2, 1)->state, LEG_ENDED);
        ends_well(w, id);
    }
}

static void late_and_twice(void **state)
{
    /* A server that takes 800 ms: calls come up all the same, later. Servers and peers that send everything twice:
     * every datagram of SIP is on the wire twice with the same bytes, one call is one call, one hold one hold. */
    (void)state;
    world *w = two_users(&(roam_testserver_config){.delay = ROAM_MS(800)}, &perfect, NULL, NULL, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CALLING);
    world_run(w, ROAM_SECONDS(5));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    ends_well(w, id);

    roam_peer_config twice = {.repeat_after = ROAM_MS(15)};
    w = two_users(&(roam_testserver_config){.repeat_after = ROAM_MS(15)}, &perfect, &twice, &twice, true);
    id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 1, 1)->reinvites, 1);
    assert_true(leg_of(w, 1, 1)->remote_hold);
    assert_int_equal(world_count(&w->peers[1], PEER_CALL_INCOMING), 1);
    /* Each hop doubles: what the server sent came twice, from each of its two sendings. */
    assert_true(w->server.sip.counters.received >= 2 * w->server.proxy.counters.requests);
    assert_int_equal(w->server.outbox.hurried, 0);
    ends_well(w, id);
}

static void overload(void **state)
{
    /* Half of what starts something is 503 with Retry-After; what is in a dialog goes through. */
    (void)state;
    world *w = world_new(&(roam_testserver_config){.overload_ppm = 500000, .overload_retry = 7}, &perfect);
    unsigned refused = 0;
    for (int i = 0; i < 40; i++) {
        unsigned status = world_ask(w, STRANGER,
                                    "OPTIONS sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                                    ";branch=$branch;rport\nMax-Forwards: 70\nFrom: <sip:x@elsewhere.example>;tag=m\n"
                                    "To: <sip:example.com>\nCall-ID: o%d\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n",
                                    i);
        uint32_t seconds = 0;
        assert_true(status == 200 || status == 503);
        if (status == 503) {
            assert_true(message_seconds(&w->reply, HEADER_RETRY_AFTER, &seconds));
            assert_int_equal(seconds, 7);
            refused++;
        }
    }
    assert_in_range(refused, 8, 32);
    assert_int_equal(w->server.overloaded, refused);
    assert_true(world_free(w));
}

static void restart(void **state)
{
    /* Bindings and nonces are gone, a request under way too; users and addresses are not. A call in progress goes on:
     * its Route leads through the server as before. Whoever registers again is found again. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    (void)call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_MS(15));
    assert_true(w->server.sip.ntransactions > 0);
    assert_int_equal(testserver_restart(&w->server, w->now), ROAM_OK);
    assert_int_equal(w->server.sip.ntransactions, 0);
    assert_int_equal(w->server.registrar.nbindings, 0);
    assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_true(leg_of(w, 1, 1)->remote_hold);
    uint32_t second = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 0, second)->last_status, 480);
    assert_int_equal(peer_register(&w->peers[1].peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    second = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 0, second)->state, LEG_CONFIRMED);
    assert_true(world_free(w));
}

/* ---- sound ---- */

static void send_rtp(world *w, const char *from, uint16_t first, unsigned n)
{
    roam_addr source = world_addr(from);
    for (unsigned i = 0; i < n; i++) {
        uint8_t packet[172] = {0x80, 0, (uint8_t)((first + i) >> 8), (uint8_t)(first + i)};
        audio_receive(&((roam_leg *)leg_of(w, 1, 1))->audio, &source,
                      span_make((const char *)packet, sizeof packet));
    }
}

static void sources_on_probation(void **state)
{
    /* AUDIO_LEARN: the signalled source is learnt at its first packet and then nobody else is heard, until SDP says
     * another address; then an unsignalled source is learnt at its fourth packet in sequence. AUDIO_LATE: a new source is
     * followed from its tenth in sequence on, a gap starts anew. */
    (void)state;
    for (int late = 0; late < 2; late++) {
        world *w = two_users(NULL, &perfect, NULL,
                             &(roam_peer_config){.audio = {.policy = late ? AUDIO_LATE : AUDIO_LEARN}}, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        const roam_audio *audio = &leg_of(w, 1, 1)->audio;
        uint64_t heard = audio->received;
        assert_true(heard > 40);
        send_rtp(w, "192.0.2.77:9000", 10, 9);
        assert_int_equal(audio->received, heard);
        send_rtp(w, "192.0.2.77:9000", 30, 10); /* a gap before */
        assert_int_equal(audio->received, late ? heard + 1 : heard);
        assert_int_equal(audio->to.port, late ? 9000 : leg_of(w, 0, id)->rtp_local.port);
        if (!late) {
            roam_addr elsewhere = world_addr("192.0.2.78:9002");
            (void)audio_signal((roam_audio *)audio, &elsewhere, DIRECTION_SENDRECV);
            send_rtp(w, "192.0.2.77:9000", 50, 3);
            assert_int_equal(audio->received, heard);
            send_rtp(w, "192.0.2.77:9000", 53, 2);
            assert_int_equal(audio->received, heard + 2);
            send_rtp(w, "192.0.2.78:9002", 1, 5); /* closed */
            assert_int_equal(audio->received, heard + 2);
        }
        roam_leg_facts facts;
        assert_true(peer_facts(&w->peers[1].peer, 1, &facts));
        assert_int_equal(facts.nsources, late ? 2 : 3);
        assert_int_equal(facts.rtp_received, audio->received);
        assert_true(roam_addr_equal(&facts.sources[0].from, &leg_of(w, 0, id)->rtp_local));
        assert_int_equal(facts.sources[0].accepted, heard);
        assert_true(world_free(w));
    }
}

static void both_ends_agree(void **state)
{
    /* The facts of both ends of a call, when nothing is pending: one Call-ID, tags crossed, targets and RTP addresses
     * each other's, holds mirrored, the last packet received is one that was sent. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    roam_leg_facts a, b;
    world_run(w, ROAM_MS(15));
    assert_true(peer_facts(&w->peers[0].peer, id, &a));
    assert_true(a.change_pending && a.offer_pending);
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(peer_hold(&w->peers[1].peer, w->now, 1, true, true), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_true(peer_facts(&w->peers[0].peer, id, &a));
    assert_true(peer_facts(&w->peers[1].peer, 1, &b));
    assert_false(a.change_pending || a.ack_pending || a.offer_pending || a.moving);
    assert_false(b.change_pending || b.ack_pending || b.offer_pending || b.moving);
    assert_string_equal(a.call_id, b.call_id);
    assert_string_equal(a.local_tag, b.remote_tag);
    assert_string_equal(a.remote_tag, b.local_tag);
    assert_int_equal(a.local_cseq, b.remote_cseq);
    assert_int_equal(b.local_cseq, a.remote_cseq);
    assert_string_equal(a.remote_target, "sip:bob@192.0.2.11:5060");
    assert_true(roam_addr_equal(&a.rtp_local, &b.rtp_signalled));
    assert_true(roam_addr_equal(&b.rtp_local, &a.rtp_signalled));
    assert_true(b.local_hold && a.remote_hold && !a.local_hold);
    assert_int_equal(a.direction, DIRECTION_RECVONLY);
    assert_in_range((uint16_t)(b.sequence_sent - a.sequence_received), 0, 1);
    uint32_t ids[2];
    assert_int_equal(peer_calls(&w->peers[1].peer, ids, 2), 1);
    assert_int_equal(ids[0], 1);
    assert_int_equal(peer_find_call(&w->peers[0].peer, span_of(b.call_id)), id);
    assert_int_equal(peer_hangup(&w->peers[1].peer, w->now, 1), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_true(peer_facts(&w->peers[0].peer, id, &a));
    assert_true(peer_facts(&w->peers[1].peer, 1, &b));
    assert_true(b.ended_here && !a.ended_here);
    assert_int_equal(peer_calls(&w->peers[0].peer, ids, 2), 0);
    assert_true(world_free(w));
}

static void every_profile_calls(void **state)
{
    /* Every peer profile with every server profile, as caller and as callee, at both ends: a call comes up, a hold takes
     * effect, it ends from the caller's side, nothing leaks. What a profile is excused from is not asked. */
    (void)state;
    for (size_t p = 0; p < sim_npeer_profiles; p++) {
        for (size_t s = 0; s < sim_nserver_profiles; s++) {
            const sim_profile *peer = &sim_peer_profiles[p], *server = &sim_server_profiles[s];
            assert_ptr_equal(sim_profile_find(peer->name), peer);
            assert_ptr_equal(sim_profile_find(server->name), server);
            assert_true(*peer->words && *server->words);
            roam_testserver_config sc = {.seed = {0}};
            roam_peer_config pc = {.seed = {0}};
            server->server(&sc);
            peer->peer(&pc);
            world *w = world_new(&sc, &perfect);
            bool refusals = (server->excuses & EXCUSE_REFUSES) != 0;
            assert_int_equal(testserver_add_user(&w->server, "alice", "secret"), ROAM_OK);
            assert_int_equal(testserver_add_user(&w->server, "bob", "secret"), ROAM_OK);
            world_add_peer(w, 0, "alice", "secret", &pc);
            world_add_peer(w, 1, "bob", "secret", &pc);
            for (int i = 0; i < 2; i++)
                for (int tries = 0; tries < 20 && !w->peers[i].peer.registered; tries++) {
                    assert_int_equal(peer_register(&w->peers[i].peer, w->now), ROAM_OK);
                    world_run(w, ROAM_SECONDS(8));
                }
            assert_int_equal(w->server.registrar.nbindings, 2);
            uint32_t id = call(w, 0, "sip:bob@example.com");
            for (int tries = 0; refusals && tries < 20; tries++) {
                world_run(w, ROAM_SECONDS(8));
                if (leg_of(w, 0, id)->state == LEG_CONFIRMED)
                    break;
                id = call(w, 0, "sip:bob@example.com");
            }
            world_run(w, ROAM_SECONDS(12));
            uint32_t bobs = peer_find_call(&w->peers[1].peer, span_of(leg_of(w, 0, id)->dialog.call_id));
            const roam_leg *a = leg_of(w, 0, id), *b = bobs ? leg_of(w, 1, bobs) : NULL;
            if (peer->excuses & (EXCUSE_ENDS | EXCUSE_HOLDS) && pc.human.acts_max) {
                world_run(w, ROAM_SECONDS(100)); /* they do as they like: nothing to agree on but the end */
                (void)peer_hangup(&w->peers[0].peer, w->now, id);
                world_run(w, ROAM_SECONDS(60));
                assert_int_equal(a->state, LEG_ENDED);
                assert_true(world_free(w));
                continue;
            }
            if (a->state != LEG_CONFIRMED || !b || b->state != LEG_CONFIRMED)
                print_message("%s with %s: %s, %s\n", peer->name, server->name, leg_state_text(a->state),
                              b ? leg_state_text(b->state) : "none");
            assert_int_equal(a->state, LEG_CONFIRMED);
            assert_non_null(b);
            assert_int_equal(b->state, LEG_CONFIRMED);
            assert_true(a->audio.received > 100 && b->audio.received > 100);
            assert_int_equal(peer_hold(&w->peers[1].peer, w->now, bobs, true, false), ROAM_OK);
            world_run(w, ROAM_SECONDS(12));
            assert_true(a->remote_hold);
            assert_int_equal(peer_hangup(&w->peers[0].peer, w->now, id), ROAM_OK);
            world_run(w, ROAM_SECONDS(5));
            for (int i = 0; i < 2; i++)
                (void)peer_unregister(&w->peers[i].peer, w->now);
            world_run(w, ROAM_SECONDS(60));
            assert_int_equal(a->state, LEG_ENDED);
            assert_int_equal(b->state, LEG_ENDED);
            assert_int_equal(w->server.sip.ntransactions, 0);
            assert_true(world_free(w));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_time_nonces),
        cmocka_unit_test(the_wrong_contact_goes),
        cmocka_unit_test(proxy_tells_dead_forks),
        cmocka_unit_test(late_and_twice),
        cmocka_unit_test(overload),
        cmocka_unit_test(restart),
        cmocka_unit_test(sources_on_probation),
        cmocka_unit_test(both_ends_agree),
        cmocka_unit_test(every_profile_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

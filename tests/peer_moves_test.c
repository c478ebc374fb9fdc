/* testbed/peer: its own hand-over, and the will of its user, in calls with another peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "testbed/facts.h"
#include "testbed_world.h"

static const roam_link_config perfect = {.delay = ROAM_MS(10)};

/* Nothing pending, and both ends say the same; sound flows both ways unless `hold`. */
static void ends_agree(world *w, uint32_t id, uint32_t bobs, bool hold)
{
    roam_leg_facts a, b;
    assert_true(peer_facts(&w->peers[0].peer, id, &a));
    assert_true(peer_facts(&w->peers[1].peer, bobs, &b));
    assert_int_equal(a.state, LEG_CONFIRMED);
    assert_int_equal(b.state, LEG_CONFIRMED);
    assert_false(a.change_pending || a.ack_pending || a.offer_pending || a.moving);
    assert_false(b.change_pending || b.ack_pending || b.offer_pending || b.moving);
    assert_true(roam_addr_equal(&a.rtp_local, &b.rtp_signalled));
    assert_true(roam_addr_equal(&b.rtp_local, &a.rtp_signalled));
    assert_true(roam_ip_equal(&a.rtp_local.ip, &w->peers[0].local.ip));
    assert_true(roam_ip_equal(&b.rtp_local.ip, &w->peers[1].local.ip));
    roam_uri target;
    assert_int_equal(uri_parse(span_of(a.remote_target), &target), ROAM_OK);
    assert_true(roam_ip_equal(&target.ip, &w->peers[1].local.ip));
    assert_int_equal(uri_parse(span_of(b.remote_target), &target), ROAM_OK);
    assert_true(roam_ip_equal(&target.ip, &w->peers[0].local.ip));
    assert_int_equal(a.local_hold, b.remote_hold);
    assert_int_equal(b.local_hold, a.remote_hold);
    assert_int_equal(a.local_hold || b.local_hold, hold);
    uint64_t heard_a = a.rtp_received, heard_b = b.rtp_received;
    world_run(w, ROAM_SECONDS(1));
    assert_true(peer_facts(&w->peers[0].peer, id, &a));
    assert_true(peer_facts(&w->peers[1].peer, bobs, &b));
    if (!hold) {
        assert_in_range(a.rtp_received - heard_a, 49, 51);
        assert_in_range(b.rtp_received - heard_b, 49, 51);
    }
}

static void moves_in_a_call(void **state)
{
    /* Bob's address changes: by re-INVITE or UPDATE alice learns it, the sound goes on with its SSRC and sequence, a hold
     * stays a hold, the registrar has the new Contact, alone unless bob leaves the old one. Then again. */
    (void)state;
    for (int update = 0; update < 2; update++) {
        for (int hold = 0; hold < 2; hold++) {
            roam_peer_config bob = {.moves_by_update = update, .move_leaves = hold};
            world *w = two_users(NULL, &perfect, NULL, &bob, true);
            uint32_t id = call(w, 0, "sip:bob@example.com");
            world_run(w, ROAM_SECONDS(1));
            if (hold) {
                assert_int_equal(peer_hold(&w->peers[1].peer, w->now, 1, true, false), ROAM_OK);
                world_run(w, ROAM_SECONDS(1));
            }
            uint32_t ssrc = leg_of(w, 1, 1)->audio.ssrc;
            for (int n = 1; n <= 2; n++) {
                world_move_peer(w, 1, n == 1 ? "192.0.2.51:5060" : "192.0.2.52:5070");
                roam_leg_facts facts;
                assert_true(peer_facts(&w->peers[1].peer, 1, &facts));
                assert_true(facts.moving);
                world_run(w, ROAM_SECONDS(1));
                ends_agree(w, id, 1, hold);
                assert_int_equal(leg_of(w, 1, 1)->audio.ssrc, ssrc);
                assert_int_equal(update ? leg_of(w, 0, id)->updates : leg_of(w, 0, id)->reinvites, n + (hold && !update));
                assert_int_equal(w->server.registrar.nbindings, hold ? 2 + n : 2);
            }
            /* In sequence, but for what was on the old wire. */
            const roam_audio *heard = &leg_of(w, 0, id)->audio;
            for (size_t i = 1; i < heard->nlog; i++)
                assert_int_equal((uint16_t)(heard->log[i].sequence - heard->log[i - 1].sequence), 1);
            assert_int_equal(peer_hangup(&w->peers[1].peer, w->now, 1), ROAM_OK);
            world_run(w, ROAM_SECONDS(60));
            assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
            assert_true(world_free(w));
        }
    }
}

static void moves_in_every_moment(void **state)
{
    /* A hold by bob, or by alice, is under way when bob moves: 0, 5, 15, 25, 35 ... ms after its begin. Within ten
     * seconds both ends agree, and who wanted to hold holds. */
    (void)state;
    for (int who = 0; who < 2; who++) {
        for (unsigned ms = 0; ms < 80; ms += 5) {
            world *w = two_users(NULL, &perfect, &(roam_peer_config){.patient = true},
                                 &(roam_peer_config){.patient = true}, true);
            uint32_t id = call(w, 0, "sip:bob@example.com");
            world_run(w, ROAM_SECONDS(1));
            assert_int_equal(peer_hold(&w->peers[who].peer, w->now, who ? 1 : id, true, false), ROAM_OK);
            world_run(w, ROAM_MS(ms));
            world_move_peer(w, 1, "192.0.2.51:5060");
            world_run(w, ROAM_SECONDS(75)); /* alice's own re-INVITE to the old address must time out first */
            assert_true((who ? leg_of(w, 1, 1) : leg_of(w, 0, id))->local_hold);
            ends_agree(w, id, 1, true);
            assert_true(world_free(w));
        }
    }
}

static void both_move(void **state)
{
    /* Both ends move in the same moment: each knows only an address of the other that is gone, and neither looks for the
     * other under its AOR. Without patience the call ends with 408; patient peers go on trying, in vain, and say so in
     * their facts. */
    (void)state;
    for (int patient = 0; patient < 2; patient++) {
        roam_peer_config config = {.patient = patient};
        world *w = two_users(&(roam_testserver_config){.proxy = {.auth = PROXY_AUTH_NONE}}, &perfect, &config, &config,
                             true);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        world_move_peer(w, 0, "192.0.2.50:5060");
        world_move_peer(w, 1, "192.0.2.51:5060");
        world_run(w, ROAM_SECONDS(40));
        assert_int_equal(w->server.registrar.nbindings, 2);
        assert_int_equal(leg_of(w, 0, id)->state, patient ? LEG_CONFIRMED : LEG_CLOSING);
        if (patient) {
            roam_leg_facts facts;
            assert_true(peer_facts(&w->peers[0].peer, id, &facts));
            assert_true(facts.moving);
        }
        assert_true(world_free(w));
    }
}

static void moves_before_the_answer(void **state)
{
    /* Bob moves while it rings at his: it rings on, he answers from the new address with its Contact. With early media at
     * the old address he tells the new one after the answer. Alice moves while it rings at bob's: she gives the call up,
     * bob stops ringing. */
    (void)state;
    for (int media = 0; media < 2; media++) {
        roam_peer_config a = {.rel = PEER_REL_ACCEPTED};
        roam_peer_config b = {.rel = PEER_REL_USED, .early_media = media, .answer_after = ROAM_SECONDS(3)};
        world *w = two_users(NULL, &perfect, &a, &b, true);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        world_move_peer(w, 1, "192.0.2.51:5060");
        world_run(w, ROAM_SECONDS(10));
        ends_agree(w, id, 1, false);
        assert_true(world_free(w));
    }
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.answer = PEER_RINGS}, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    world_move_peer(w, 0, "192.0.2.50:5060");
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
    assert_string_equal(leg_of(w, 1, 1)->end_why, "CANCEL");
    world_run(w, ROAM_SECONDS(60));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
    assert_string_equal(leg_of(w, 0, id)->end_why, "moved before the answer");
    assert_true(world_free(w));
}

static void moves_with_a_hostile_registrar(void **state)
{
    /* The registrar that rewrites both Contacts to one and deletes it: the peer asks again, alone, and is registered. One
     * that is busy (503, Retry-After) is asked again by a patient peer. */
    (void)state;
    world *w = two_users(&(roam_testserver_config){.registrar = {.rewrite_contact = true, .removals_last = true}},
                         &perfect, NULL, NULL, true);
    world_move_peer(w, 1, "192.0.2.51:5060");
    world_run(w, ROAM_SECONDS(1));
    assert_true(w->peers[1].peer.registered);
    assert_true(w->server.registrar.nbindings >= 2);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_true(world_free(w));

    w = world_new(&(roam_testserver_config){.overload_ppm = 700000, .overload_retry = 3}, &perfect);
    world_add_peer(w, 0, "alice", NULL, &(roam_peer_config){.patient = true});
    assert_int_equal(peer_register(&w->peers[0].peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(200));
    assert_true(w->peers[0].peer.registered);
    assert_true(w->server.overloaded > 0);
    assert_true(world_free(w));
}

static void a_human(void **state)
{
    /* Answers after 0.1, 1 or 4 s, each of them in twenty calls; acts every one to three seconds: holds, resumes, in the
     * end hangs up, and the facts say that it was here. */
    (void)state;
    roam_peer_config bob = {
        .human = {.takes_its_time = true, .acts_min = ROAM_SECONDS(1), .acts_max = ROAM_SECONDS(3), .hangs_up = 20}};
    world *w = two_users(NULL, &perfect, NULL, &bob, false);
    unsigned waited[3] = {0}, changes = 0;
    for (uint32_t n = 1; n <= 20; n++) {
        roam_time begun = w->now;
        uint32_t id = call(w, 0, "sip:bob@example.com");
        while (leg_of(w, 0, id)->state == LEG_CALLING)
            world_run(w, ROAM_MS(10));
        roam_time took = w->now - begun;
        waited[took < ROAM_MS(500) ? 0 : took < ROAM_SECONDS(2) ? 1 : 2]++;
        assert_in_range(took, ROAM_MS(100), ROAM_MS(4200));
        for (int i = 0; i < 300 && leg_of(w, 0, id)->state == LEG_CONFIRMED; i++)
            world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
        roam_leg_facts facts;
        assert_true(peer_facts(&w->peers[1].peer, n, &facts));
        assert_true(facts.ended_here);
        assert_string_equal(facts.end_why, "the user hung up");
        changes += (unsigned)(leg_of(w, 0, id)->reinvites + leg_of(w, 0, id)->updates);
    }
    assert_true(waited[0] && waited[1] && waited[2]);
    assert_true(changes > 20);
    assert_true(world_free(w));
}

static void minds_silence(void **state)
{
    /* Alice goes away in the middle of a call: bob holds, or hangs up, after three seconds; while he is on hold he does
     * not wait for her. A patient bob who holds is there when she comes back, and the hold takes effect. */
    (void)state;
    for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
        roam_peer_config bob = {.patient = true,
                                .human = {.on_silence = hangs_up ? SILENCE_HANGS_UP : SILENCE_HOLDS}};
        world *w = two_users(NULL, &perfect, NULL, &bob, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
        world_run(w, ROAM_SECONDS(10)); /* on hold: alice sends, bob hears */
        assert_int_equal(leg_of(w, 1, 1)->state, LEG_CONFIRMED);
        assert_false(leg_of(w, 1, 1)->wanted_hold);
        w->peers[0].present = false;
        world_run(w, ROAM_SECONDS(2));
        assert_int_equal(leg_of(w, 1, 1)->state, LEG_CONFIRMED);
        world_run(w, ROAM_SECONDS(3));
        assert_int_equal(leg_of(w, 1, 1)->state, hangs_up ? LEG_CLOSING : LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 1, 1)->wanted_hold, !hangs_up);
        world_run(w, ROAM_SECONDS(20));
        w->peers[0].present = true;
        world_run(w, ROAM_SECONDS(60));
        assert_int_equal(leg_of(w, 1, 1)->state, hangs_up ? LEG_ENDED : LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 0, id)->remote_hold, !hangs_up);
        assert_true(world_free(w));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_in_a_call),
        cmocka_unit_test(moves_in_every_moment),
        cmocka_unit_test(both_move),
        cmocka_unit_test(moves_before_the_answer),
        cmocka_unit_test(moves_with_a_hostile_registrar),
        cmocka_unit_test(a_human),
        cmocka_unit_test(minds_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

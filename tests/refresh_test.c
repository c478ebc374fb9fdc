/* The confirmed call: refreshes and what their failures mean, offers under way when the network changes, both ends that move. */
#include "refresh.h"

/* ---- both ends move (B11) ---- */

#define ROUTED "Record-Route: <sip:" HAND ";lr>\r\nSupported: replaces\r\n" ALLOW

/* We move, and the peer is silent: it has moved as well, says the hand. After 2 s (3 s with the smaller tag) an INVITE with Replaces goes to its URI. A 491 and a 480 are asked again, a challenge is answered at once.
 * The 200 is acknowledged in the new dialog, which the call goes on in: media on the new leg, hold in it, one call for the user, no BYE. */
static void test_rescue(void **state)
{
    (void)state;
    for (int variant = 0; variant < 8; variant++) {
        scene *s = hand_scene();
        hand h;
        hand_tag = variant < 4 ? SMALL : GREAT;
        roam_call_id id = called_with(&h, s, ROUTED);
        hand_tag = 0;
        set_addrs(s, scene_cell);
        roam_time t0 = s->world.now;
        world_run(&s->world, ROAM_MS(1900));
        const seen *refresh = hand_asked(&h, "INVITE");
        assert_null(strstr(refresh->text, "Replaces: "));
        bool greater = strcmp(h.agent_tag, h.own_tag) > 0;
        assert_int_equal(greater, variant < 4);
        if (variant == 3) { /* a hop says that nobody is there: no use in waiting */
            hand_answer(&h, refresh, 480, "", "");
            world_run(&s->world, ROAM_MS(150));
        } else {
            world_run(&s->world, greater ? ROAM_MS(300) : ROAM_MS(1300));
        }
        const seen invite = *hand_asked(&h, "INVITE");
        char replaces[512];
        snprintf(replaces, sizeof replaces, "%s;to-tag=%s;from-tag=%s", h.call_id, h.own_tag, h.agent_tag);
        assert_string_equal(header(&invite, "Replaces"), replaces);
        assert_string_equal(header(&invite, "Require"), "replaces");
        assert_non_null(strstr(invite.text, "c=IN IP4 " CELL));
        assert_true(s->world.now - t0 < ROAM_MS(3500));
        static const unsigned refusals[] = {0, 491, 401, 0, 0, 480, 401, 404};
        seen last = invite;
        if (refusals[variant]) {
            hand_answer_tagged(&h, &invite, refusals[variant], "no", "WWW-Authenticate: Digest realm=\"h\", nonce=\"n1\", qop=\"auth\"\r\n", "");
            world_run(&s->world, variant % 4 == 2 ? ROAM_MS(110) : ROAM_MS(1200));
            last = *hand_asked(&h, "INVITE");
            assert_string_not_equal(last.text, invite.text);
            assert_string_equal(header(&last, "Replaces"), replaces);
            assert_int_equal(strstr(last.text, "Authorization: Digest") != NULL, variant % 4 == 2);
        }
        hand_answer_tagged(&h, &last, 200, "anew", ALLOW "Supported: replaces\r\n", HAND_SDP);
        world_run(&s->world, ROAM_MS(200));
        const seen *ack = hand_asked(&h, "ACK");
        assert_non_null(strstr(ack->text, ";tag=anew"));
        assert_int_equal(calls_of(s->agent), 1);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        assert_media_on(s, id, CELL);
        uint64_t sent = call_of(s->agent, id).media.packets_sent;
        world_run(&s->world, ROAM_SECONDS(1));
        assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
        hand_answer_tagged(&h, &last, 200, "anew", ALLOW, HAND_SDP); /* again: our ACK was lost */
        size_t acks = 0;
        world_run(&s->world, ROAM_MS(200));
        for (size_t i = 0; i < s->nlog; i++)
            acks += scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK") && strstr(s->log[i].text, ";tag=anew");
        assert_int_equal(acks, 2);
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(200));
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, ";tag=anew"));
        assert_int_equal(hand_count(&h, "BYE"), 0);
        scene_free(s);
    }
}

/* Where it is not to be tried: a peer that does not say Supported: replaces; a dialog without proxies; one that answered, be it with 491. And what ends it: 420 (never again), 603 (the call is over there), a late answer to the refresh. */
static void test_rescue_not(void **state)
{
    (void)state;
    static const char *const headers[] = {"Record-Route: <sip:" HAND ";lr>\r\n" ALLOW, "Supported: replaces\r\n" ALLOW, ROUTED};
    for (size_t i = 0; i < 3; i++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, headers[i]);
        size_t before = hand_count(&h, "INVITE");
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(500));
        if (i == 2)
            hand_answer(&h, hand_asked(&h, "INVITE"), 183, "", "");
        world_run(&s->world, ROAM_SECONDS(8));
        assert_int_equal(hand_count(&h, "INVITE"), before + 1);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        scene_free(s);
    }
    static const unsigned ends[] = {420, 603, 200};
    for (size_t i = 0; i < 3; i++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, ROUTED);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(200));
        const seen refresh = *hand_asked(&h, "INVITE");
        world_run(&s->world, ROAM_MS(3200));
        const seen asked = *hand_asked(&h, "INVITE");
        assert_non_null(strstr(asked.text, "Replaces: "));
        size_t n = hand_count(&h, "INVITE");
        if (i == 2)
            hand_answer(&h, &refresh, 200, ALLOW, HAND_SDP);
        else
            hand_answer_tagged(&h, &asked, ends[i], "no", "", "");
        world_run(&s->world, ROAM_SECONDS(10));
        assert_int_equal(hand_count(&h, "INVITE"), n);
        assert_int_equal(calls_of(s->agent), i != 1);
        if (i == 2) { /* the one that is out may still be taken: then it counts */
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
            hand_answer_tagged(&h, &asked, 200, "anew", ALLOW, HAND_SDP);
            world_run(&s->world, ROAM_MS(200));
            assert_non_null(strstr(hand_asked(&h, "ACK")->text, ";tag=anew"));
            assert_int_equal(hand_count(&h, "BYE"), 0);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        }
        scene_free(s);
    }
}

/* The peer moved while our re-INVITE is on its way to where it was: its own re-INVITE comes, with another Contact. The tags decide: ours is given up and theirs answered at once; or theirs gets 491, and ours goes
 * to the new Contact at once. A re-INVITE from where it always was is plain glare. */
static void test_peer_moved_too(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        scene *s = hand_scene();
        hand h;
        hand_tag = i == 0 ? SMALL : GREAT;
        roam_call_id id = called_with(&h, s, ALLOW);
        hand_tag = 0;
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(100));
        size_t before = hand_count(&h, "INVITE");
        hand_learn(&h, hand_asked(&h, "INVITE"), true);
        char text[4096];
        snprintf(text, sizeof text,
                 "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKmoved%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND ">;tag=%s\r\n"
                 "To: <sip:alice@example.com>;tag=%s\r\nCall-ID: %s\r\nCSeq: 700 INVITE\r\nContact: <sip:moved@" HAND ":5060>\r\nContent-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
                 h.target, i, h.own_tag, h.agent_tag, h.call_id, strlen(HAND_SDP), HAND_SDP);
        roam_addr from = sim_addr(HAND ":5060"), to = sim_addr(CELL ":5060");
        to.port = account_of(s).local.port;
        world_inject(&s->world, &from, &to, span_of(text));
        world_run(&s->world, ROAM_MS(150));
        bool greater = strcmp(h.agent_tag, h.own_tag) > 0;
        assert_int_equal(greater, i == 0);
        assert_int_equal(hand_status(&h, 700, "INVITE"), greater ? 491 : 200);
        assert_int_equal(hand_count(&h, "INVITE"), before + greater);
        if (greater) {
            assert_true(scene_is_request(hand_asked(&h, "INVITE")->text, 4096, "INVITE") && strstr(hand_asked(&h, "INVITE")->text, "INVITE sip:moved@"));
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP);
        } else {
            snprintf(h.target, sizeof h.target, "sip:alice@" CELL ":%u", to.port);
            assert_non_null(strstr(hand_response(&h, 700, "INVITE")->text, "c=IN IP4 " CELL));
            hand_request(&h, "ACK", 700, "", "");
        }
        world_run(&s->world, ROAM_MS(300));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        scene_free(s);
    }
}

/* ---- two agents, a proxy, and both move ---- */

typedef struct pair {
    scene *s;
    sim_node *carol;
    roam_call_id id, hers;
} pair;

static pair pair_new(const roam_account_config *alice)
{
    static const char *const home[] = {"10.9.0.3", NULL};
    roam_account_config config = scene_account("sip:carol@example.com", "third");
    roam_account_id account;
    pair p = {.s = scene_new((scene_options){.account = alice})};
    roam_call_options options = {.source = roam_tone_source(600)};
    p.carol = world_agent(&p.s->world, "carol", NULL);
    world_set_addrs(p.carol, home);
    assert_int_equal(roam_account_add(p.carol->ua, &config, &account), 0);
    world_flush(p.carol);
    world_run(&p.s->world, ROAM_SECONDS(1));
    p.id = call_to(p.s->agent, p.s->account, "carol");
    world_run(&p.s->world, ROAM_SECONDS(1));
    const roam_event *e = world_last(p.carol, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    p.hers = e->call;
    assert_int_equal(roam_call_answer(p.carol->ua, p.hers, &options), 0);
    world_flush(p.carol);
    world_run(&p.s->world, ROAM_SECONDS(1));
    return p;
}

static void assert_pair_whole(pair *p)
{
    assert_int_equal(calls_of(p->s->agent), 1);
    assert_int_equal(calls_of(p->carol), 1);
    assert_int_equal(call_of(p->s->agent, p->id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(p->carol, p->hers).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(p->s->agent, p->id).link, ROAM_LINK_OK);
    assert_int_equal(call_of(p->carol, p->hers).link, ROAM_LINK_OK);
    assert_string_equal(call_of(p->s->agent, p->id).call_id, call_of(p->carol, p->hers).call_id);
    assert_two_way(p->s, p->s->agent, p->id);
    assert_two_way(p->s, p->carol, p->hers);
}

/* Both lose their networks for others: at once, and one 25, 50, 100, 150, 300 ms after the other, in both orders; then once more the other way about. 2 s and six round trips after the second one is up
 * the call is whole for both: one call each, sound both ways, nothing rang. With the old networks still there as well: sooner. */
static void test_both_move(void **state)
{
    (void)state;
    static const char *const away[] = {"10.8.0.4", NULL}, *const home[] = {"10.9.0.3", NULL}, *const away_too[] = {"10.8.0.4", "10.9.0.3", NULL},
                      *const cell_too[] = {CELL, WIFI, NULL};
    static const unsigned apart[] = {0, 25, 50, 100, 150, 300};
    for (int soft = 0; soft < 2; soft++)
        for (int order = 0; order < 2; order++)
            for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
                pair p = pair_new(NULL);
                size_t rang = world_count(p.carol, ROAM_EVENT_CALL_INCOMING) + world_count(p.s->agent, ROAM_EVENT_CALL_INCOMING);
                for (int round = 0; round < 2; round++) {
                    const char *const *to_alice = round ? scene_wifi : soft ? cell_too : scene_cell;
                    const char *const *to_carol = round ? home : soft ? away_too : away;
                    if (order)
                        world_set_addrs(p.carol, to_carol);
                    else
                        set_addrs(p.s, to_alice);
                    world_run(&p.s->world, ROAM_MS(apart[i]));
                    if (order)
                        set_addrs(p.s, to_alice);
                    else
                        world_set_addrs(p.carol, to_carol);
                    world_run(&p.s->world, ROAM_SECONDS(2) + 6 * RTT);
                    assert_pair_whole(&p);
                }
                assert_int_equal(world_count(p.carol, ROAM_EVENT_CALL_INCOMING) + world_count(p.s->agent, ROAM_EVENT_CALL_INCOMING), rang);
                world_run(&p.s->world, ROAM_SECONDS(40)); /* nothing of the old dialog comes back and ends it */
                assert_pair_whole(&p);
                assert_int_equal(roam_call_hangup(p.s->agent->ua, p.id), 0);
                world_flush(p.s->agent);
                world_run(&p.s->world, ROAM_SECONDS(1));
                assert_int_equal(calls_of(p.s->agent) + calls_of(p.carol), 0);
                scene_free(p.s);
            }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rescue),
        cmocka_unit_test(test_rescue_not),
        cmocka_unit_test(test_peer_moved_too),
        cmocka_unit_test(test_both_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

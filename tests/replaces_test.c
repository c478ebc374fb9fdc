/* INVITE with Replaces as the one who is asked (RFC 3891): who may not, the peer that moved, a transfer, a call picked up elsewhere; by hand, and in a world. */
#include "incoming.h"

static void hand_replacing(hand *h, scene *s, const hand *old, const char *from, const char *user)
{
    hand_begin(h, s);
    h->from = from;
    h->user = user;
    char value[600];
    snprintf(value, sizeof value, "%sRequire: replaces\r\nReplaces: %s;to-tag=%s;from-tag=%s\r\n", ALLOWS, old->call_id, old->agent_tag, old->own_tag);
    hand_request(h, "INVITE", 0, value, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
}

/* Who may not be replaced: what matches nothing, by whichever tag, 481; what rings here 481 (RFC 3891 3); early-only of a confirmed one 486; what has ended 603; another account's 481;
 * nonsense and two of them 400. Nothing happens to the call. */
static void test_replaces_refused(void **state)
{
    (void)state;
    scene *s = hand_scene();
    roam_account_config carol = hand_account();
    carol.aor = "sip:carol@example.com";
    carol.password = "third";
    roam_account_id second;
    assert_int_equal(roam_account_add(s->agent->ua, &carol, &second), 0);
    world_flush(s->agent);
    hand a, h, ringing;
    rings(&ringing, s, ALLOWS, HAND_SDP);
    hand_learn(&ringing, hand_response(&ringing, ringing.cseq, "INVITE"), false);
    roam_call_id id = hand_calls(&a, s, HAND_SDP, "");
    world_forget(s->agent);
    for (int i = 0; i < 6; i++) {
        char value[600];
        hand_begin(&h, s);
        static const unsigned expected[] = {481, 481, 486, 400, 400, 481};
        const char *id_part = a.call_id, *to = i == 0 ? "guess" : a.agent_tag, *from = i == 1 ? "guess" : a.own_tag;
        snprintf(value, sizeof value, "Replaces: %s;to-tag=%s;%s%s%s\r\n", id_part, to, i == 3 ? "nothing=" : "from-tag=", from, i == 2 ? ";early-only" : "");
        if (i == 4)
            snprintf(value + strlen(value), sizeof value - strlen(value), "Replaces: %s;to-tag=%s;from-tag=%s\r\n", id_part, to, from);
        if (i == 5)
            hand_copy("x sip:carol@" WIFI "\n", "x ", "\n", h.target, sizeof h.target);
        unsigned cseq = hand_request(&h, "INVITE", 0, value, HAND_SDP);
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, cseq, "INVITE"), expected[i]);
    }
    hand_replacing(&h, s, &ringing, NULL, NULL);
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 481);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 0);
    hand_request(&a, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    hand_replacing(&h, s, &a, NULL, NULL);
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 603);
    assert_int_equal(calls_of(s->agent), 1);
    scene_free(s);
}

/* The same party calls from elsewhere: answered at once, no ring, the same call with its hold goes on in the new dialog; BYE to the old one. The 200 is lost and it moves once more: it
 * names the first dialog, the only one it knows, and is served again. A good-bye goes into the last dialog. */
static void test_replaces_moved_peer(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        scene *s = hand_scene();
        hand a, b, c;
        roam_call_id id = hand_calls(&a, s, HAND_SDP, "");
        if (held) {
            assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
            world_flush(s->agent);
            world_run(&s->world, ROAM_MS(100));
            hand_answer(&a, hand_asked(&a, "INVITE"), 200, "", HAND_SDP "a=recvonly\r\n");
            world_run(&s->world, ROAM_MS(100));
            assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        }
        uint64_t sent = call_of(s->agent, id).media.packets_sent;
        world_forget(s->agent);
        hand_replacing(&b, s, &a, "203.0.113.77:5060", NULL);
        assert_int_equal(hand_status(&b, b.cseq, "INVITE"), 0); /* it went to where the INVITE came from */
        const seen *bye = last_from(s, WIFI, "BYE ");
        assert_non_null(bye);
        assert_non_null(strstr(bye->text, a.call_id));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_MOVING);
        hand_replacing(&c, s, &a, NULL, NULL);
        assert_int_equal(hand_status(&c, c.cseq, "INVITE"), 200);
        assert_non_null(strstr(hand_response(&c, c.cseq, "INVITE")->text, held ? "a=sendonly" : "a=sendrecv"));
        hand_learn(&c, hand_response(&c, c.cseq, "INVITE"), false);
        hand_request(&c, "ACK", c.cseq, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(calls_of(s->agent), 1);
        roam_call_info info = call_of(s->agent, id);
        assert_int_equal(info.state, ROAM_CALL_CONFIRMED);
        assert_int_equal(info.hold, held ? ROAM_HOLD_LOCAL : ROAM_HOLD_NONE);
        assert_int_equal(info.link, ROAM_LINK_OK);
        assert_string_equal(info.call_id, c.call_id);
        assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 0);
        assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_REPLACED), 0);
        assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_STATE), 0);
        assert_true(info.media.packets_sent > sent); /* the same stream counts on */
        assert_in_range(packets_in_a_second(s, id), 45, 55);
        hand late; /* one that it gave up long ago comes late: the peer is in a newer dialog by now, which stays */
        hand_replacing(&late, s, &a, NULL, NULL);
        assert_int_equal(hand_status(&late, late.cseq, "INVITE"), 491);
        assert_string_equal(call_of(s->agent, id).call_id, c.call_id);
        assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(100));
        assert_non_null(strstr(hand_asked(&c, "BYE")->text, c.call_id));
        hand_answer(&c, hand_asked(&c, "BYE"), 200, "", "");
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(calls_of(s->agent), 0);
        scene_free(s);
    }
}

/* Somebody else takes the place of the peer (an attended transfer): a new call, up without being asked; CALL_REPLACED names both; the old one ends with BYE; what the user hears and says
 * goes on in the new one. An offer that cannot be leaves the old call alone. */
static void test_replaces_transfer(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand a, b;
    roam_call_id id = hand_calls(&a, s, HAND_SDP, "");
    world_forget(s->agent);
    hand_begin(&b, s);
    b.user = "carol";
    char value[600];
    snprintf(value, sizeof value, "Replaces: %s;to-tag=%s;from-tag=%s\r\n", a.call_id, a.agent_tag, a.own_tag);
    hand_request(&b, "INVITE", 0, value, "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18\r\n");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&b, b.cseq, "INVITE"), 488);
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    hand_replacing(&b, s, &a, NULL, "carol");
    assert_int_equal(hand_status(&b, b.cseq, "INVITE"), 200);
    hand_learn(&b, hand_response(&b, b.cseq, "INVITE"), false);
    hand_request(&b, "ACK", b.cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_REPLACED);
    assert_non_null(e);
    assert_int_equal(e->call, id);
    roam_call_id other = e->other_call;
    assert_int_not_equal(other, id);
    assert_int_equal(call_of(s->agent, other).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 0);
    const seen *bye = hand_asked(&a, "BYE");
    assert_non_null(strstr(bye->text, a.call_id));
    hand_answer(&a, bye, 200, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(calls_of(s->agent), 1);
    assert_in_range(packets_in_a_second(s, other), 45, 55);
    scene_free(s);
}

/* Somebody who has read Call-ID and tags, and sends from an address where no request of this call comes from: nothing is taken over behind the user's back. It rings, in a call
 * that is up and in one that rings there; a second try meanwhile hears 491. Rejected, nothing has happened; answered, the old call is replaced. */
static void test_replaces_stranger(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        scene *s = hand_scene();
        hand a, b;
        roam_call_id id;
        if (early) {
            hand_begin(&a, s);
            id = call_to(s->agent, s->account, "sip:hand@" HAND);
            world_run(&s->world, ROAM_MS(200));
            hand_learn(&a, hand_asked(&a, "INVITE"), true);
            hand_answer(&a, hand_asked(&a, "INVITE"), 180, "", "");
            world_run(&s->world, ROAM_MS(200));
        } else {
            id = hand_calls(&a, s, HAND_SDP, "");
        }
        for (int answered = 0; answered < 2; answered++) {
            world_forget(s->agent);
            hand_replacing(&b, s, &a, "203.0.113.99:5060", early ? NULL : "carol");
            const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
            assert_non_null(e);
            assert_int_equal(e->other_call, id);
            roam_call_id other = e->call;
            hand_replacing(&b, s, &a, "203.0.113.98:5060", early ? NULL : "carol");
            assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 1);
            assert_non_null(last_from(s, WIFI, "SIP/2.0 491"));
            world_run(&s->world, ROAM_SECONDS(3));
            assert_int_equal(call_of(s->agent, other).state, ROAM_CALL_INCOMING);
            assert_int_equal(call_of(s->agent, id).state, early ? ROAM_CALL_EARLY : ROAM_CALL_CONFIRMED);
            assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_REPLACED), 0);
            if (answered)
                answer(s->agent, other);
            else
                assert_int_equal(roam_call_reject(s->agent->ua, other, 0), 0);
            world_flush(s->agent);
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_REPLACED), answered);
            if (!answered)
                assert_int_equal(call_of(s->agent, id).state, early ? ROAM_CALL_EARLY : ROAM_CALL_CONFIRMED);
        }
        scene_free(s);
    }
}

/* In a call through a proxy its peer's own name does not help a stranger: From proves nothing. The same INVITE by the proxy is the peer that moved. */
static void test_replaces_stranger_as_peer(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(2));
    roam_call_info info = call_of(s->agent, id);
    assert_int_equal(info.state, ROAM_CALL_CONFIRMED);
    char ours[64] = "", theirs[64] = "", text[2000];
    for (size_t i = 0; i < s->nlog; i++) {
        const char *line = strncmp(s->log[i].text, "ACK ", 4) == 0 ? s->log[i].text : NULL;
        if (!line)
            continue;
        hand_copy(strstr(line, "\r\nFrom: "), ";tag=", "\r;", ours, sizeof ours);
        hand_copy(strstr(line, "\r\nTo: "), ";tag=", "\r;", theirs, sizeof theirs);
    }
    assert_true(*ours && *theirs);
    snprintf(text, sizeof text,
             "INVITE sip:alice@" WIFI " SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.99:5060;branch=z9hG4bKs;rport\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.com>;tag=s\r\n"
             "To: <sip:alice@example.com>\r\nCall-ID: stranger\r\nCSeq: 1 INVITE\r\nContact: <sip:s@203.0.113.99:5060>\r\nReplaces: %s;to-tag=%s;from-tag=%s\r\n"
             "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
             info.call_id, ours, theirs, strlen(HAND_SDP), HAND_SDP);
    roam_addr from = sim_addr("203.0.113.99:5060");
    world_inject(&s->world, &from, &info.local, span_of(text));
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 1);
    assert_string_equal(call_of(s->agent, id).call_id, info.call_id);
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

/* Picked up elsewhere: we called, it rings there, and somebody else takes our call. The INVITE that rang is cancelled. */
static void test_replaces_pickup(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand a, b;
    hand_begin(&a, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(&a, hand_asked(&a, "INVITE"), true);
    hand_answer(&a, hand_asked(&a, "INVITE"), 180, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    hand_replacing(&b, s, &a, NULL, "carol");
    assert_int_equal(hand_status(&b, b.cseq, "INVITE"), 200);
    assert_non_null(hand_asked(&a, "CANCEL"));
    hand_answer(&a, hand_asked(&a, "CANCEL"), 200, "", "");
    const seen *invite = hand_asked(&a, "INVITE");
    hand_answer(&a, invite, 487, "", "");
    hand_learn(&b, hand_response(&b, b.cseq, "INVITE"), false);
    hand_request(&b, "ACK", b.cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(calls_of(s->agent), 1);
    assert_int_equal(call_of(s->agent, world_last(s->agent, ROAM_EVENT_CALL_REPLACED)->other_call).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* The callee has answered, its 200 did not reach us, and it moved: its INVITE with Replaces for the early dialog is that answer. The same call for the user, up, with sound; the first INVITE is
 * cancelled, and a copy of its 200 that comes after all is acknowledged and ended. From a stranger's address it rings as ever. */
static void test_replaces_callee_moved(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand a, b, stranger;
    hand_begin(&a, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(&a, hand_asked(&a, "INVITE"), true);
    const seen invite = *hand_asked(&a, "INVITE");
    hand_answer(&a, &invite, 180, "", "");
    world_run(&s->world, ROAM_MS(200));
    hand_replacing(&stranger, s, &a, "203.0.113.77:5060", NULL);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    assert_int_equal(calls_of(s->agent), 2);
    hand_request(&stranger, "CANCEL", stranger.cseq, "", "");
    hand_replacing(&b, s, &a, NULL, NULL);
    assert_int_equal(hand_status(&b, b.cseq, "INVITE"), 200);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
    assert_non_null(hand_asked(&a, "CANCEL"));
    hand_learn(&b, hand_response(&b, b.cseq, "INVITE"), false);
    hand_request(&b, "ACK", b.cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_string_equal(call_of(s->agent, id).call_id, b.call_id);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_REPLACED), 0);
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    hand_answer(&a, &invite, 200, ALLOWS, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_count(&a, "ACK"), 1);
    assert_int_equal(hand_count(&a, "BYE"), 1);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* bob calls through the proxy and is answered; he moves: INVITE with Replaces to the AOR. One call for alice, sound goes on, and bob's side is whole. And the same with a move of alice's between his
 * INVITE and her answer. */
static void test_world_peer_moves(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        scene *s = scene_new((scene_options){0});
        uint32_t first, second;
        assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &first), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        roam_call_id id = incoming(s->agent);
        answer(s->agent, id);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_two_way(s, s->agent, id);
        world_forget(s->agent);
        const roam_leg *leg = peer_leg(s->callee->peer, first);
        assert_int_equal(peer_call_replacing(s->callee->peer, s->world.now, "sip:alice@example.com", leg->dialog.call_id, leg->dialog.remote_tag, leg->dialog.local_tag, &second), 0);
        if (both) {
            world_run(&s->world, ROAM_MS(20));
            set_addrs(s, scene_cell);
        }
        world_run(&s->world, ROAM_SECONDS(both ? 40 : 2));
        assert_int_equal(calls_of(s->agent), 1);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        if (!both) {
            assert_int_equal(peer_leg(s->callee->peer, second)->state, LEG_CONFIRMED);
            assert_int_equal(peer_leg(s->callee->peer, first)->state, LEG_ENDED);
        }
        assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 0);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaces_refused),
        cmocka_unit_test(test_replaces_moved_peer),
        cmocka_unit_test(test_replaces_transfer),
        cmocka_unit_test(test_replaces_stranger),
        cmocka_unit_test(test_replaces_stranger_as_peer),
        cmocka_unit_test(test_replaces_pickup),
        cmocka_unit_test(test_replaces_callee_moved),
        cmocka_unit_test(test_world_peer_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

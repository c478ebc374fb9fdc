/* Outgoing calls whose path changes before they are answered: called again, left alone, or taken over. */
#include "early.h"

/* ---- the path changes ---- */

/* Nothing heard: the INVITE is taken back with its own Via by the new path and sent again, one call; also when there was no path at all for 10 s. */
static void test_nothing_heard(void **state)
{
    (void)state;
    for (int gap = 0; gap < 2; gap++) {
        hand h;
        seen invite;
        scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
        roam_call_id id = call_hand(&h, s, &invite);
        if (gap)
            move_to(s, scene_none, ROAM_SECONDS(10));
        world_forget(s->agent);
        move_to(s, scene_cell, ROAM_MS(200));
        const seen *cancel = hand_asked(&h, "CANCEL"), *again = hand_asked(&h, "INVITE");
        assert_true(says(cancel, "Via: SIP/2.0/UDP " WIFI));
        assert_true(is_ip(cancel->from.ip, CELL));
        assert_true(says(again, "Via: SIP/2.0/UDP " CELL));
        assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 1);
        seen second = *again;
        branch_says(&h, &second, 180, "new", ALLOWS, "");
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        branch_says(&h, &second, 200, "new", ALLOWS, HAND_SDP);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        scene_free(s);
    }
}

/* The callee has moved as well: the proxy finds nobody where the INVITE that follows our move is sent. Called once more, which the registrar now knows where to send; one call for the
 * user. Where we did not move, or somebody rang, 408 is what it says. */
static void test_nobody_there(void **state)
{
    (void)state;
    for (int moves = 0; moves < 2; moves++) {
        hand h;
        seen invite;
        scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
        roam_call_id id = call_hand(&h, s, &invite);
        if (moves)
            move_to(s, scene_cell, ROAM_MS(200));
        seen second = *hand_asked(&h, "INVITE");
        branch_says(&h, &second, 408, "x", "", "");
        world_run(&s->world, ROAM_SECONDS(3));
        assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), moves);
        if (moves) {
            seen third = *hand_asked(&h, "INVITE");
            assert_true(says(&third, "Via: SIP/2.0/UDP " CELL));
            assert_false(cseq_of(&third) == cseq_of(&second) && strcmp(third.text, second.text) == 0);
            branch_says(&h, &third, 200, "new", ALLOWS, HAND_SDP);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        }
        scene_free(s);
    }
}

/* Ringing: UPDATE in the early dialog and INVITE with Replaces from the new address in one flight. 481: it rings on, is not cancelled and is asked again; 200: taken over. */
static void test_takeover(void **state)
{
    (void)state;
    char replaces[300];
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(120));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_MOVING);
    const seen *update = hand_asked(&h, "UPDATE"), *ask = hand_asked(&h, "INVITE");
    snprintf(replaces, sizeof replaces, "\r\nReplaces: %s;to-tag=one;from-tag=%s\r\n", h.call_id, h.agent_tag);
    assert_true(says(update, "UPDATE sip:one@"));
    assert_true(says(update, "Contact: <sip:alice@" CELL));
    assert_true(says(ask, replaces));
    assert_true(says(ask, "\r\nRequire: replaces\r\n"));
    assert_int_equal(update->time, ask->time);
    hand_answer_tagged(&h, update, 200, "one", ALLOWS, "");
    hand_answer_tagged(&h, ask, 481, "x", "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    assert_int_equal(hand_count(&h, "CANCEL"), 0);
    world_run(&s->world, ROAM_MS(800));
    assert_int_equal(asked_with(&h, "INVITE", "Replaces: "), 2);
    const seen second = *hand_asked(&h, "INVITE");
    assert_true(says(&second, replaces));
    branch_says(&h, &second, 200, "taken", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(asked_with(&h, "ACK", "tag=taken"), 1);
    branch_says(&h, &second, 200, "taken", ALLOWS, HAND_SDP); /* again: the ACK again */
    assert_int_equal(hand_count(&h, "BYE"), 0);
    assert_int_equal(hand_count(&h, "CANCEL"), 0);
    size_t early = 0;
    for (size_t i = 0; i < s->agent->heard.n; i++)
        early += s->agent->heard.events[i].type == ROAM_EVENT_CALL_STATE && s->agent->heard.events[i].call_state == ROAM_CALL_EARLY;
    assert_int_equal(early, 1); /* no flapping */
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    scene_free(s);
}

/* The callee does not know the early dialog any more: it ended while we could not hear it. */
static void test_gone(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(120));
    hand_answer_tagged(&h, hand_asked(&h, "UPDATE"), 481, "one", "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY); /* it may be that the other INVITE took it over just before */
    hand_answer_tagged(&h, hand_asked(&h, "INVITE"), 481, "x", "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 481);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id));
    assert_int_equal(hand_count(&h, "CANCEL"), 1);
    scene_free(s);
}

/* A callee without `replaces`: BYE for the case that it has answered, CANCEL, and the call anew; it stays EARLY for the user. */
static void test_no_replaces(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", "Supported: timer\r\n", "");
    move_to(s, scene_cell, ROAM_MS(120));
    assert_int_equal(asked_with(&h, "INVITE", "Replaces: "), 0);
    assert_int_equal(hand_count(&h, "INVITE"), 2);
    assert_true(says(hand_asked(&h, "CANCEL"), "Via: SIP/2.0/UDP " WIFI));
    assert_true(says(hand_asked(&h, "BYE"), "tag=one"));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_MOVING);
    const seen second = *hand_asked(&h, "INVITE");
    branch_says(&h, &second, 200, "two", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* Another change in the middle: everything again from the newest address, CANCEL of what was taken back included. */
static void test_second_change(void **state)
{
    (void)state;
    static const char *const third[] = {"10.3.0.9", NULL};
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(120));
    roam_time t0 = s->world.now;
    move_to(s, third, ROAM_MS(120));
    assert_int_equal(sent_from(s, "10.3.0.9", "UPDATE sip:one", t0), 1);
    assert_int_equal(sent_from(s, "10.3.0.9", "CANCEL", t0), 1); /* of the INVITE with Replaces that left by the second address */
    const seen *ask = last_from(s, "10.3.0.9", "INVITE");
    assert_true(says(ask, "Replaces: "));
    const seen copy = *ask;
    branch_says(&h, &copy, 200, "taken", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);

    s = begin_as(&h, ROAM_100REL_SUPPORTED); /* called again, and again */
    id = call_hand(&h, s, &invite);
    move_to(s, scene_cell, ROAM_MS(120));
    t0 = s->world.now;
    move_to(s, third, ROAM_MS(120));
    assert_int_equal(sent_from(s, "10.3.0.9", "CANCEL", t0), 2);
    assert_int_equal(sent_from(s, "10.3.0.9", "INVITE", t0), 1);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CALLING);
    scene_free(s);
}

/* A second change while an INVITE with Replaces is out, back to the first address or to a third one. The callee has taken it: it ends the early dialog (BYE, or 481 to UPDATE), which
 * ends nothing here. The next one names the same early dialog. A callee that remembers takes it; one that does not says 481, and is called again. */
static void test_taken_and_lost(void **state)
{
    (void)state;
    static const char *const third[] = {"10.3.0.9", NULL};
    for (int k = 0; k < 16; k++) {
        bool back = k & 1, bye = k & 2, remembers = k & 4, gap = k & 8;
        hand h;
        seen invite;
        scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
        roam_call_id id = call_hand(&h, s, &invite);
        branch_says(&h, &invite, 180, "one", ALLOWS, "");
        move_to(s, scene_cell, ROAM_MS(40));
        const seen lost = *hand_asked(&h, "INVITE");
        assert_true(says(&lost, "Replaces: "));
        if (gap)
            move_to(s, scene_none, ROAM_SECONDS(10));
        move_to(s, back ? scene_wifi : third, ROAM_MS(120));
        const seen ask = *hand_asked(&h, "INVITE");
        assert_true(says(&ask, "to-tag=one;"));
        assert_true(ask.time > lost.time);
        if (bye) {
            snprintf(h.own_tag, sizeof h.own_tag, "one");
            hand_request(&h, "BYE", 0, "", "");
        } else {
            hand_answer_tagged(&h, hand_asked(&h, "UPDATE"), 481, "one", "", "");
        }
        world_run(&s->world, ROAM_MS(150));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
        if (remembers) {
            branch_says(&h, &ask, 200, "taken", ALLOWS, HAND_SDP);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            assert_int_equal(hand_count(&h, "BYE"), 0);
        } else {
            branch_says(&h, &ask, 481, "x", "", "");
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
            world_run(&s->world, ROAM_SECONDS(1));
            const seen again = *hand_asked(&h, "INVITE");
            assert_false(says(&again, "Replaces: "));
            branch_says(&h, &again, 200, "two", ALLOWS, HAND_SDP);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        }
        scene_free(s);
    }
}

/* The INVITE with Replaces is challenged, and another network comes meanwhile: the same dialog, another description, a higher version in o= (RFC 3264 8). */
static void test_takeover_challenged(void **state)
{
    (void)state;
    static const char *const both[] = {"10.3.0.9", CELL, NULL};
    char first[2][200], line[200];
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(60));
    for (int i = 0; i < 2; i++) {
        const seen ask = *hand_asked(&h, "INVITE");
        assert_true(says(&ask, "Replaces: "));
        hand_copy(ask.text, "\r\no=", "\r", line, sizeof line);
        const char *at = strchr(strchr(line, ' ') + 1, ' '); /* the version */
        snprintf(first[i], sizeof first[i], "%llu", strtoull(at, NULL, 10));
        if (i)
            break;
        set_addrs(s, both);
        hand_answer_tagged(&h, &ask, 401, "x", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n", "");
        world_run(&s->world, ROAM_MS(60));
        assert_true(says(hand_asked(&h, "INVITE"), "Authorization: "));
        assert_true(says(hand_asked(&h, "INVITE"), "c=IN IP4 10.3.0.9"));
    }
    assert_true(strtoull(first[1], NULL, 10) == strtoull(first[0], NULL, 10) + 1);
    scene_free(s);
}

/* The lost INVITE with Replaces was answered, and the answer is repeated to where we are again: not taken while another one is out, which decides; then it is the call. */
static void test_lost_answer_found(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(40));
    const seen lost = *hand_asked(&h, "INVITE");
    move_to(s, scene_wifi, ROAM_MS(120));
    move_to(s, scene_cell, ROAM_MS(120));
    const seen ask = *hand_asked(&h, "INVITE");
    assert_true(ask.time > lost.time);
    branch_says(&h, &lost, 200, "taken", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    assert_int_equal(asked_with(&h, "ACK", "tag=taken"), 0);
    branch_says(&h, &ask, 481, "x", "", "");
    branch_says(&h, &lost, 200, "taken", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(asked_with(&h, "ACK", "tag=taken"), 1);
    assert_int_equal(hand_count(&h, "BYE"), 0);
    scene_free(s);
}

/* An edge refuses the INVITE of one that it does not know yet: the same call again with the registration, at the latest after 5 s, three times. One that left when we were known is final. */
static bool swallow_register(scene *s, const sim_packet *p)
{
    (void)s;
    return !scene_is_request((const char *)p->bytes, p->len, "REGISTER");
}

static void test_edge_refuses(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    s->more = swallow_register;
    move_to(s, scene_cell, ROAM_MS(40));
    const seen early = *hand_asked(&h, "INVITE");
    branch_says(&h, &early, 403, "edge", "", "");
    assert_int_equal(hand_count(&h, "INVITE"), 2);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CALLING);
    s->more = NULL;
    world_run(&s->world, ROAM_SECONDS(2)); /* the REGISTER is repeated, and answered */
    assert_int_equal(hand_count(&h, "INVITE"), 3);
    const seen known = *hand_asked(&h, "INVITE");
    branch_says(&h, &known, 180, "one", ALLOWS, "");
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    branch_says(&h, &known, 403, "one", "", "");
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    scene_free(s);

    s = begin_as(&h, ROAM_100REL_SUPPORTED);
    id = call_hand(&h, s, &invite);
    s->more = swallow_register;
    move_to(s, scene_cell, ROAM_MS(40));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CALLING);
        const seen again = *hand_asked(&h, "INVITE");
        branch_says(&h, &again, 403, "edge", "", "");
        world_run(&s->world, ROAM_SECONDS(5));
    }
    assert_int_equal(hand_count(&h, "INVITE"), 5);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    scene_free(s);
}

/* Our user hangs up while the takeover is asked for: both INVITEs are cancelled, BYE in the early dialog, and the call ends with its answer. */
static void test_hang_up_in_the_middle(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(120));
    const seen ask = *hand_asked(&h, "INVITE");
    hang_up(s, id);
    assert_int_equal(hand_count(&h, "CANCEL"), 2);
    assert_int_equal(asked_with(&h, "CANCEL", "Via: SIP/2.0/UDP " WIFI), 1);
    assert_true(says(hand_asked(&h, "BYE"), "tag=one"));
    hand_answer_tagged(&h, hand_asked(&h, "BYE"), 200, "one", "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    branch_says(&h, &ask, 200, "late", ALLOWS, HAND_SDP); /* it was faster than the CANCEL */
    assert_true(says(hand_asked(&h, "BYE"), "tag=late"));
    scene_free(s);
}

/* Hung up without any path: said as soon as there is one. */
static void test_hang_up_offline(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_none, ROAM_SECONDS(2));
    hang_up(s, id);
    move_to(s, scene_cell, ROAM_MS(120));
    assert_int_equal(hand_count(&h, "CANCEL"), 1);
    assert_int_equal(asked_with(&h, "BYE", "tag=one"), 1);
    scene_free(s);
}

/* The old address still works: the INVITE is left alone, the callee learns the new Contact by UPDATE, its answer is taken, ACK and media go by the new path. */
static void test_old_path_alive(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL};
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, both, ROAM_MS(120));
    assert_int_equal(hand_count(&h, "INVITE"), 1);
    assert_int_equal(hand_count(&h, "CANCEL"), 0);
    assert_true(says(hand_asked(&h, "UPDATE"), "Contact: <sip:alice@" CELL));
    hand_answer_tagged(&h, hand_asked(&h, "UPDATE"), 200, "one", ALLOWS, "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    branch_says(&h, &invite, 200, "one", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_true(is_ip(hand_asked(&h, "ACK")->from.ip, CELL));
    scene_free(s);
}

/* Away for 10 s and back at the same address: the answer that the callee repeats is taken. */
static void test_same_address(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_none, ROAM_SECONDS(10));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
    move_to(s, scene_wifi, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "INVITE"), 1);
    branch_says(&h, &invite, 200, "one", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(hand_count(&h, "CANCEL"), 0);
    scene_free(s);
}

/* A PRACK that is out when its path goes: again on the new one; 481 says that the callee had it. */
static void test_prack_moves(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    call_hand(&h, s, &invite);
    reliable(&h, &invite, 183, "one", 1, HAND_SDP);
    assert_int_equal(hand_count(&h, "PRACK"), 1);
    roam_time t0 = s->world.now;
    move_to(s, scene_cell, ROAM_MS(120));
    assert_int_equal(sent_from(s, CELL, "PRACK sip:one", t0), 1);
    assert_true(says(last_from(s, CELL, "PRACK"), "RAck: 1 "));
    hand_answer_tagged(&h, hand_asked(&h, "PRACK"), 481, "one", "", "");
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(sent_from(s, CELL, "PRACK", t0), 1);
    scene_free(s);
}

/* Early media agreed reliably: RTP leaves from the new address at once, and the UPDATE brings its description. */
static void test_early_media_moves(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    reliable(&h, &invite, 183, "one", 1, HAND_SDP);
    prack_answered(&h, 200);
    world_run(&s->world, ROAM_SECONDS(1));
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(200));
    assert_true(call_of(s->agent, id).media.packets_sent >= sent + 9); /* 20 ms each */
    assert_true(is_ip(call_of(s->agent, id).media_local.ip, CELL));
    const seen *update = hand_asked(&h, "UPDATE");
    assert_true(says(update, "c=IN IP4 " CELL));
    hand_answer_tagged(&h, update, 200, "one", ALLOWS,
                       "v=0\r\no=h 1 2 IN IP4 203.0.113.50\r\ns=-\r\nc=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7600 RTP/AVP 0\r\n");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7600);
    scene_free(s);
}

/* The 2xx of an INVITE that was taken back finds us before the one in its place is answered: it is the call. */
static void test_adopted(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    move_to(s, scene_cell, ROAM_MS(120));
    assert_int_equal(hand_count(&h, "INVITE"), 2);
    seen found = invite; /* a NAT or a proxy brings it to where we are now */
    found.from = hand_asked(&h, "INVITE")->from;
    branch_says(&h, &found, 200, "fast", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(asked_with(&h, "ACK", "tag=fast"), 1);
    assert_int_equal(hand_count(&h, "BYE"), 0);
    assert_int_equal(hand_count(&h, "CANCEL"), 2);
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 1);
    scene_free(s);
}

/* The same, and the callee's Contact is at an address that we have never sent to: the route to it is not known when the answer is taken. And so with an answer that needed no adoption: nobody was offline.
 * A Contact of a family for which there is no address: no path until there is one. */
static void test_adopted_elsewhere(void **state)
{
    (void)state;
    for (int moved = 0; moved < 3; moved++) {
        hand h;
        seen invite;
        char text[4096];
        roam_writer w;
        static roam_header_space space;
        roam_message m;
        scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
        roam_call_id id = call_hand(&h, s, &invite);
        seen found = invite;
        if (moved) {
            move_to(s, scene_cell, ROAM_MS(120));
            found.from = hand_asked(&h, "INVITE")->from;
        }
        world_forget(s->agent);
        assert_int_equal(message_parse(&m, &space, span_of(found.text)), 0);
        writer_init(&w, text, sizeof text);
        write_response_head(&w, &m, 200, SPAN(""), SPAN("far"), &found.from);
        write_lit(&w, "Contact: <sip:far@");
        write_cstr(&w, moved == 2 ? "[2001:db8::88]" : "203.0.113.88");
        write_lit(&w, ":5070>\r\n" ALLOWS);
        write_body(&w, SPAN("application/sdp"), SPAN(HAND_SDP));
        world_inject(&s->world, &found.to, &found.from, writer_span(&w));
        world_run(&s->world, ROAM_MS(150));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        if (moved == 2) {
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
            scene_free(s);
            continue;
        }
        roam_addr far = sim_addr("203.0.113.88:5070");
        const seen *ack = last_from(s, moved ? CELL : WIFI, "ACK sip:far@203.0.113.88:5070");
        assert_non_null(ack);
        assert_true(roam_addr_equal(&ack->to, &far));
        assert_int_equal(world_progress(s->agent, ROAM_IP_CHANGE_OFFLINE, id) != NULL, false);
        assert_int_equal(call_of(s->agent, id).link, moved ? ROAM_LINK_MOVING : ROAM_LINK_OK);
        scene_free(s);
    }
}

/* The farewell of the dialog that was taken over comes before the 200 of the INVITE that did it (RFC 5407's kind of disorder): the call lives. */
static void test_bye_overtakes(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    move_to(s, scene_cell, ROAM_MS(120));
    hand_answer_tagged(&h, hand_asked(&h, "UPDATE"), 200, "one", ALLOWS, "");
    const seen ask = *hand_asked(&h, "INVITE");
    const roam_addr from = sim_addr(HAND ":5060");
    char bye[600];
    snprintf(bye, sizeof bye,
             "BYE sip:alice@" CELL " SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKfarewell\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND
             ">;tag=one\r\nTo: <sip:alice@example.com>;tag=%s\r\nCall-ID: %s\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n",
             h.agent_tag, h.call_id);
    world_inject(&s->world, &from, &ask.from, span_of(bye));
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, 9, "BYE"), 200);
    branch_says(&h, &ask, 200, "taken", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

typedef struct scarce {
    size_t n, refuse_at;
} scarce;

static void *scarce_realloc(void *user, void *ptr, size_t size)
{
    scarce *m = user;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (m->refuse_at && m->n++ % m->refuse_at == m->refuse_at - 1)
        return NULL;
    return realloc(ptr, size);
}

/* The first copy of the 2xx finds no memory for its dialog, whichever piece is refused: the second one is the answer. */
static void test_answer_without_memory(void **state)
{
    (void)state;
    for (size_t nth = 0; nth < 6; nth++) {
        scarce m = {0};
        const roam_allocator allocator = {.realloc = scarce_realloc, .user = &m};
        roam_ua_config config;
        roam_account_config account = hand_account();
        roam_ua_config_default(&config);
        config.allocator = &allocator;
        scene *s = scene_new((scene_options){.account = &account, .agent = &config});
        hand h;
        seen invite;
        hand_begin(&h, s);
        roam_call_id id = call_hand(&h, s, &invite);
        bool rang = nth == 5; /* then the dialog is there, and lacks the new target only */
        if (rang)
            branch_says(&h, &invite, 180, "one", ALLOWS, "");
        m.n = rang ? 99 : 100 - nth - 1;
        m.refuse_at = 100; /* once */
        branch_says(&h, &invite, 200, "one", ALLOWS, HAND_SDP);
        m.refuse_at = 0;
        branch_says(&h, &invite, 200, "one", ALLOWS, HAND_SDP);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        scene_free(s);
    }
}

/* Memory is refused, every second time to every 49th, while branches answer, it moves, and one is taken over or hung up: nothing crashes, nothing leaks. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t every = 2; every < 50; every += 3) {
        scarce m = {0};
        const roam_allocator allocator = {.realloc = scarce_realloc, .user = &m};
        roam_ua_config config;
        roam_account_config account = hand_account();
        roam_ua_config_default(&config);
        config.allocator = &allocator;
        scene *s = scene_new((scene_options){.account = &account, .agent = &config});
        hand h;
        seen invite;
        hand_begin(&h, s);
        roam_call_id id = call_hand(&h, s, &invite);
        m.refuse_at = every;
        reliable(&h, &invite, 183, "one", 1, HAND_SDP);
        reliable(&h, &invite, 183, "two", 1, HAND_SDP);
        if (hand_asked(&h, "PRACK"))
            prack_answered(&h, 200);
        move_to(s, scene_cell, ROAM_MS(700));
        if (hand_asked(&h, "UPDATE"))
            hand_answer_tagged(&h, hand_asked(&h, "UPDATE"), 200, "two", ALLOWS, HAND_SDP);
        world_run(&s->world, ROAM_MS(150));
        const seen last = *hand_asked(&h, "INVITE");
        branch_says(&h, &last, every % 2 ? 481 : 200, "three", ALLOWS, every % 2 ? "" : HAND_SDP);
        move_to(s, scene_wifi, ROAM_MS(700));
        roam_call_hangup(s->agent->ua, id);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(700));
        m.refuse_at = 0;
        world_run(&s->world, ROAM_SECONDS(70));
        assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
        scene_free(s);
    }
}

/* Reliable early media: the UPDATE with our new media is out when the 2xx comes. Its offer is open: no re-INVITE beside it; its answer counts in the call. */
static void test_update_and_answer(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL};
    for (int lost = 0; lost < 2; lost++) {
        hand h;
        seen invite;
        scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
        roam_call_id id = call_hand(&h, s, &invite);
        reliable(&h, &invite, 183, "one", 1, HAND_SDP);
        prack_answered(&h, 200);
        move_to(s, both, ROAM_MS(200));
        if (!says(hand_asked(&h, "UPDATE"), "m=audio")) {
            hand_answer_tagged(&h, hand_asked(&h, "UPDATE"), 200, "one", ALLOWS, "");
            world_run(&s->world, ROAM_MS(150));
        }
        const seen update = *hand_asked(&h, "UPDATE");
        assert_true(says(&update, "c=IN IP4 " CELL));
        branch_says(&h, &invite, 200, "one", ALLOWS, "");
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        world_run(&s->world, ROAM_MS(500));
        assert_int_equal(hand_count(&h, "INVITE"), 1);
        hand_answer_tagged(&h, &update, lost ? 500 : 200, "one", ALLOWS, lost ? "" : HAND_SDP);
        world_run(&s->world, ROAM_MS(150));
        assert_int_equal(hand_count(&h, "INVITE") + asked_with(&h, "UPDATE", "m=audio"), lost ? 2 + 1 : 1 + 1);
        if (!lost) {
            world_run(&s->world, ROAM_SECONDS(1));
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
            assert_true(is_ip(call_of(s->agent, id).media_local.ip, CELL));
        }
        scene_free(s);
    }
}

/* A fork whose known branches are all over, as far as they could tell us: another one may have answered. Called again, once. */
static void test_fork_gone(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    for (int round = 0; round < 2; round++) {
        branch_says(&h, &invite, 180, "one", ALLOWS, "");
        branch_says(&h, &invite, 180, "two", ALLOWS, "");
        roam_time t0 = s->world.now;
        static const char *const third[] = {"10.3.0.9", NULL};
        move_to(s, round ? third : scene_cell, ROAM_MS(120));
        const char *from = round ? "10.3.0.9" : CELL;
        assert_int_equal(sent_from(s, from, "UPDATE", t0), 2);
        for (size_t i = s->nlog; i-- > 0 && s->log[i].time >= t0;)
            if (strncmp(s->log[i].text, "UPDATE sip:", 11) == 0) {
                char tag[8] = {0};
                memcpy(tag, s->log[i].text + 11, 3);
                const seen update = s->log[i];
                hand_answer_tagged(&h, &update, 481, tag, "", "");
            }
        const seen ask = *hand_asked(&h, "INVITE");
        assert_true(says(&ask, "Replaces: "));
        hand_answer_tagged(&h, &ask, 481, "x", "", "");
        world_run(&s->world, ROAM_MS(200));
        if (!round) {
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
            invite = *hand_asked(&h, "INVITE");
            assert_false(says(&invite, "Replaces: "));
        }
    }
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    scene_free(s);
}

/* Hung up before anything came back: the CANCEL waits for a provisional response, as it has to. The path goes, and none will come: it leaves by the next one. */
static void test_hang_up_unheard(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL};
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    move_to(s, both, ROAM_MS(10));
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(10));
    assert_int_equal(hand_count(&h, "CANCEL"), 0);
    move_to(s, scene_cell, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "CANCEL"), 1);
    assert_true(is_ip(hand_asked(&h, "CANCEL")->from.ip, CELL));
    scene_free(s);
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by its name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_heard), cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_takeover), cmocka_unit_test(test_gone),
        cmocka_unit_test(test_no_replaces), cmocka_unit_test(test_second_change), cmocka_unit_test(test_hang_up_in_the_middle),
        cmocka_unit_test(test_hang_up_offline), cmocka_unit_test(test_old_path_alive), cmocka_unit_test(test_same_address),
        cmocka_unit_test(test_prack_moves), cmocka_unit_test(test_early_media_moves), cmocka_unit_test(test_adopted), cmocka_unit_test(test_adopted_elsewhere),
        cmocka_unit_test(test_bye_overtakes), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_takeover_challenged), cmocka_unit_test(test_answer_without_memory), cmocka_unit_test(test_update_and_answer), cmocka_unit_test(test_fork_gone), cmocka_unit_test(test_hang_up_unheard),
        cmocka_unit_test(test_taken_and_lost), cmocka_unit_test(test_lost_answer_found), cmocka_unit_test(test_edge_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

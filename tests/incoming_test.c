/* The incoming call before it is confirmed, and what peers ask in a dialog: provisional responses, plain and reliable (RFC 3262), UPDATE before the answer (RFC 3311), and all of it
 * while the path changes. The far end is moved by hand; the last tests are in a whole world. */
#include "incoming.h"

/* ---- provisional responses ---- */

/* The four statuses go out as asked, unreliably for a caller that knows nothing else; 183 with early media has the answer, sound flows before the 200, and the 200 repeats
 * the same answer. Others than 180 to 183 are refused, as is progress of a call that was answered. */
static void test_progress(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, "", HAND_SDP);
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 180);
    assert_non_null(strstr(hand_response(&h, h.cseq, "INVITE")->text, "Supported: 100rel\r\n"));
    progress(s->agent, id, 182, false);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 182);
    progress(s->agent, id, 183, true);
    world_run(&s->world, ROAM_MS(200));
    const seen early = *hand_response(&h, h.cseq, "INVITE");
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 183);
    assert_null(strstr(early.text, "RSeq"));
    assert_non_null(strstr(early.text, "m=audio "));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_INCOMING);
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    assert_int_equal(roam_call_progress(s->agent->ua, id, 184, false, NULL), ROAM_EINVAL);
    answer(s->agent, id);
    assert_int_equal(roam_call_progress(s->agent->ua, id, 180, false, NULL), ROAM_ESTATE);
    world_run(&s->world, ROAM_MS(200));
    const seen *final = hand_response(&h, h.cseq, "INVITE");
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 200);
    assert_string_equal(strstr(final->text, "\r\n\r\n"), strstr(early.text, "\r\n\r\n"));
    hand_learn(&h, final, false);
    hand_request(&h, "ACK", h.cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(hand_count(&h, "INVITE"), 0); /* nothing is left to be told */
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    scene_free(s);
}

/* A caller that supports 100rel gets the 183 with its answer reliably: repeated with doubling intervals, the 200 held until the PRACK, then sent without SDP. A PRACK that names
 * another one is 481, one without RAck 400. */
static void test_reliable(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, SUPPORTS, HAND_SDP);
    unsigned invite = h.cseq;
    assert_null(strstr(hand_response(&h, invite, "INVITE")->text, "RSeq")); /* the 180 by itself stays plain */
    roam_time t0 = s->world.now;
    progress(s->agent, id, 183, true);
    world_run(&s->world, ROAM_MS(200));
    const seen *e = hand_response(&h, invite, "INVITE");
    assert_non_null(strstr(e->text, "Require: 100rel\r\n"));
    unsigned rseq = rseq_of(e);
    hand_learn(&h, e, false);
    answer(s->agent, id);
    world_run(&s->world, ROAM_SECONDS(8));
    assert_int_equal(responses(s, 183, t0), 5); /* at 0, 0.5, 1.5, 3.5, 7.5 s */
    assert_int_equal(responses(s, 200, t0), 0);
    unsigned wrong = prack(&h, rseq + 1, invite, ""), other = prack(&h, rseq, invite + 1, ""), none = hand_request(&h, "PRACK", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, wrong, "PRACK"), 481);
    assert_int_equal(hand_status(&h, other, "PRACK"), 481);
    assert_int_equal(hand_status(&h, none, "PRACK"), 400);
    assert_int_equal(responses(s, 200, t0), 0);
    unsigned right = prack(&h, rseq, invite, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, right, "PRACK"), 200);
    assert_int_equal(hand_status(&h, invite, "INVITE"), 200);
    assert_null(strstr(hand_response(&h, invite, "INVITE")->text, "m=audio")); /* RFC 6337 2.1: it has been given */
    hand_request(&h, "ACK", invite, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    unsigned late = prack(&h, rseq, invite, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, late, "PRACK"), 481);
    size_t before = responses(s, 183, t0);
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_int_equal(responses(s, 183, t0), before);
    scene_free(s);
}

/* Required: even the automatic 180 is reliable; what follows waits for its PRACK, one after the other, RSeq rising by one. Nobody acknowledges the last one: 504 after 64*T1. */
static void test_reliable_required(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, REQUIRES, HAND_SDP);
    unsigned invite = h.cseq, first = rseq_of(hand_response(&h, invite, "INVITE"));
    assert_true(first > 0);
    hand_learn(&h, hand_response(&h, invite, "INVITE"), false);
    progress(s->agent, id, 181, false);
    progress(s->agent, id, 183, true);
    world_run(&s->world, ROAM_MS(300));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 180);
    prack(&h, first, invite, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 181);
    assert_int_equal(rseq_of(hand_response(&h, invite, "INVITE")), first + 1);
    prack(&h, first + 1, invite, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 183);
    assert_int_equal(rseq_of(hand_response(&h, invite, "INVITE")), first + 2);
    world_run(&s->world, ROAM_SECONDS(31));
    assert_int_equal(calls_of(s->agent), 1);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 504);
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* The account says no: Require is refused with 420, Supported changes nothing, and Supported is not said. */
static void test_reliable_off(void **state)
{
    (void)state;
    scene *s = hand_scene_with(ROAM_100REL_OFF);
    hand h;
    hand_begin(&h, s);
    unsigned invite = hand_request(&h, "INVITE", 0, REQUIRES, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 420);
    assert_non_null(strstr(hand_response(&h, invite, "INVITE")->text, "Unsupported: 100rel\r\n"));
    roam_call_id id = rings(&h, s, SUPPORTS, HAND_SDP);
    progress(s->agent, id, 183, true);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 183);
    assert_null(strstr(hand_response(&h, h.cseq, "INVITE")->text, "100rel"));
    scene_free(s);
}

/* An INVITE without an offer: the first reliable response makes ours, the PRACK has the answer (RFC 3262 5). Without reliable responses there can be no early media. */
static void test_offer_in_provisional(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, REQUIRES, "");
    unsigned invite = h.cseq;
    const seen *e = hand_response(&h, invite, "INVITE");
    assert_int_equal(hand_status(&h, invite, "INVITE"), 180);
    assert_non_null(strstr(e->text, "m=audio "));
    hand_learn(&h, e, false);
    unsigned bare = prack(&h, rseq_of(e), invite, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, bare, "PRACK"), 400); /* it must answer */
    unsigned full = prack(&h, rseq_of(e), invite, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, full, "PRACK"), 200);
    answer(s->agent, id);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 200);
    assert_null(strstr(hand_response(&h, invite, "INVITE")->text, "m=audio "));
    hand_request(&h, "ACK", invite, "", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    id = rings(&h, s, "", "");
    assert_int_equal(roam_call_progress(s->agent->ua, id, 183, true, NULL), ROAM_EUNSUPPORTED);
    scene_free(s);
}

/* A PRACK with an offer is answered in its 200: hold before the call is even answered. UPDATE likewise (RFC 3311 5.1): refused with 500 as long as the caller's first offer is open. */
static void test_early_offers(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, SUPPORTS, HAND_SDP);
    unsigned invite = h.cseq;
    hand_learn(&h, hand_response(&h, invite, "INVITE"), false);
    unsigned early = hand_request(&h, "UPDATE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, early, "UPDATE"), 500);
    assert_non_null(strstr(hand_response(&h, early, "UPDATE")->text, "Retry-After: "));
    progress(s->agent, id, 183, true);
    world_run(&s->world, ROAM_MS(200));
    unsigned ack = prack(&h, rseq_of(hand_response(&h, invite, "INVITE")), invite, HAND_SDP "a=sendonly\r\n");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, ack, "PRACK"), 200);
    assert_non_null(strstr(hand_response(&h, ack, "PRACK")->text, "a=recvonly"));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_REMOTE);
    unsigned update = hand_request(&h, "UPDATE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, update, "UPDATE"), 200);
    assert_non_null(strstr(hand_response(&h, update, "UPDATE")->text, "a=sendrecv"));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_INCOMING);
    scene_free(s);
}

/* The caller's UPDATE in the early dialog names another Contact: our next request goes there. */
static void test_early_target_refresh(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, ALLOWS, HAND_SDP);
    unsigned invite = h.cseq;
    hand_learn(&h, hand_response(&h, invite, "INVITE"), false);
    /* It is at another address now, and no proxy stands between: UPDATE comes from there, and the 200 follows it. */
    char text[1024];
    snprintf(text, sizeof text,
             "UPDATE %s SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.77:5060;branch=z9hG4bKmoved;rport\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND ">;tag=%s\r\n"
             "To: <sip:alice@example.com>;tag=%s\r\nCall-ID: %s\r\nCSeq: %u UPDATE\r\nContact: <sip:hand@203.0.113.77:5060>\r\nContent-Length: 0\r\n\r\n",
             h.target, h.own_tag, h.agent_tag, h.call_id, ++h.cseq);
    h.from = "203.0.113.77:5060";
    hand_inject(&h, text);
    world_run(&s->world, ROAM_MS(200));
    roam_time t0 = s->world.now;
    answer(s->agent, id);
    world_run(&s->world, ROAM_MS(200));
    const seen *ok = last_from(s, WIFI, "SIP/2.0 200");
    roam_ip there = sim_ip("203.0.113.77");
    assert_true(ok->time >= t0);
    assert_true(roam_ip_equal(&ok->to.ip, &there));
    hand_learn(&h, ok, false);
    hand_request(&h, "ACK", invite, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    const seen *bye = last_from(s, WIFI, "BYE ");
    assert_non_null(strstr(bye->text, "BYE sip:hand@203.0.113.77:5060"));
    assert_true(roam_ip_equal(&bye->to.ip, &there));
    scene_free(s);
}

/* PRACK pending and the path changes: the 183 goes again from the new path at once; the PRACK, wherever it comes from, lets the 200 out. A PRACK that is lost with the old path
 * does not hold the 200 for ever, which then repeats the answer. */
static void test_prack_pending_and_move(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = rings(&h, s, SUPPORTS, HAND_SDP);
        unsigned invite = h.cseq;
        progress(s->agent, id, 183, true);
        world_run(&s->world, ROAM_MS(200));
        const seen first = *hand_response(&h, invite, "INVITE");
        hand_learn(&h, &first, false);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(200));
        const seen *again = last_from(s, CELL, "SIP/2.0 183");
        assert_string_equal(again->text, first.text);
        answer(s->agent, id);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_null(last_from(s, CELL, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " HAND));
        if (!lost)
            prack(&h, rseq_of(&first), invite, "");
        world_run(&s->world, lost ? ROAM_SECONDS(4) : ROAM_MS(200));
        const seen *ok = hand_response(&h, invite, "INVITE");
        assert_int_equal(hand_status(&h, invite, "INVITE"), 200);
        assert_int_equal(strstr(ok->text, "m=audio ") != NULL, lost);
        assert_non_null(strstr(ok->text, "Contact: <sip:alice@" CELL));
        hand_learn(&h, ok, false);
        hand_request(&h, "ACK", invite, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        const seen *reinvite = hand_asked(&h, "INVITE"); /* what the peer took as our address is the old one */
        assert_non_null(strstr(reinvite->text, "c=IN IP4 " CELL));
        scene_free(s);
    }
}

/* ---- it rings, and the path changes ---- */

/* 180 once more from the new path, with the new Contact; UPDATE without SDP in the early dialog, OPTIONS where the caller has no UPDATE. 481: the caller has gone, or the question was
 * faster than our 180, which makes the dialog: asked again a second later, then the ringing ends. Any other answer, or none, means nothing, and the question is asked again as long as it rings: a CANCEL would still go to the old address. */
static void test_ringing_and_move(void **state)
{
    (void)state;
    static const unsigned answers[] = {481, 200, 500, 405, 0};
    enum { ANSWERS = sizeof answers / sizeof *answers };
    for (size_t i = 0; i < 2 * ANSWERS; i++) {
        bool has_update = i < ANSWERS;
        unsigned status = answers[i % ANSWERS];
        scene *s = hand_scene();
        hand h;
        roam_call_id id = rings(&h, s, has_update ? ALLOWS : "Allow: INVITE, ACK, BYE, CANCEL\r\n", HAND_SDP);
        unsigned invite = h.cseq;
        set_addrs(s, scene_cell);
        roam_time t0 = s->world.now;
        world_run(&s->world, ROAM_MS(100));
        const seen *ring = last_from(s, CELL, "SIP/2.0 180");
        assert_non_null(ring);
        assert_non_null(strstr(ring->text, "Contact: <sip:alice@" CELL));
        assert_int_equal(hand_count(&h, "UPDATE"), has_update);
        const seen *question = has_update ? hand_asked(&h, "UPDATE") : asked_options(s);
        assert_true(ring < question); /* in the log, which is in order */
        assert_true(question->time == t0);
        assert_non_null(strstr(question->text, "Contact: <sip:alice@" CELL));
        assert_null(strstr(question->text, "m=audio"));
        h.answer_contact = has_update ? NULL : "sip:elsewhere@" HAND ":5060"; /* of a response to OPTIONS: not a target (RFC 3261 12.2) */
        if (status)
            hand_answer(&h, question, status, "", "");
        h.answer_contact = NULL;
        if (status == 481) {
            world_run(&s->world, ROAM_MS(1200));
            assert_int_equal(calls_of(s->agent), 1);
            const seen *again = has_update ? hand_asked(&h, "UPDATE") : asked_options(s);
            assert_true(again->time > t0);
            hand_answer(&h, again, 481, "", "");
        }
        world_run(&s->world, ROAM_MS(200));
        if (status == 481) {
            assert_int_equal(calls_of(s->agent), 0);
            assert_string_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->reason, "the caller gave up while away");
            assert_int_equal(hand_status(&h, invite, "INVITE"), 487);
            scene_free(s);
            continue;
        }
        world_run(&s->world, ROAM_SECONDS(11));
        if (has_update && (status == 200 || status == 500))
            assert_int_equal(hand_count(&h, "UPDATE"), 2);
        assert_null(last_from(s, CELL, "OPTIONS sip:elsewhere@"));
        if (has_update && status == 405)
            assert_non_null(asked_options(s));
        world_run(&s->world, ROAM_SECONDS(40));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_INCOMING);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        answer(s->agent, id);
        world_run(&s->world, ROAM_MS(200));
        const seen *ok = last_from(s, CELL, "SIP/2.0 200");
        assert_non_null(strstr(ok->text, "c=IN IP4 " CELL));
        hand_learn(&h, ok, false);
        hand_request(&h, "ACK", invite, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        scene_free(s);
    }
}

/* The caller has moved as well, or died: nobody has an answer to two questions. It does not ring for the whole three minutes. */
static void test_caller_not_reached(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, ALLOWS, HAND_SDP);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(60));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_INCOMING);
    world_run(&s->world, ROAM_SECONDS(8));
    assert_int_equal(calls_of(s->agent), 0);
    assert_string_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->reason, "the caller is not reached any more");
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 480);
    scene_free(s);
}

/* The user refuses while there is no network: the caller hears it as soon as there is one. */
static void test_refused_offline(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, ALLOWS, HAND_SDP);
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_call_reject(s->agent->ua, id, 603), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 180);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 603);
    assert_non_null(last_from(s, CELL, "SIP/2.0 603"));
    scene_free(s);
}

/* The INVITE says how long it waits (Expires): 487 then, also where no path was there to hear a CANCEL. */
static void test_expires(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    rings(&h, s, "Expires: 5\r\n", HAND_SDP);
    world_run(&s->world, ROAM_MS(4500));
    assert_int_equal(calls_of(s->agent), 1);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(calls_of(s->agent), 0);
    assert_int_equal(hand_status(&h, h.cseq, "INVITE"), 487);
    rings(&h, s, "Expires: 5\r\n", HAND_SDP);
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(6));
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* The same INVITE by another way: 482 as long as the first way works (RFC 3261 8.2.2.2). After a move the copy that found our new Contact is the one to answer: no second ring, one tag, the old
 * branch 487. Sent again by its caller with a higher CSeq: likewise. */
static void test_copies(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, "", HAND_SDP);
    unsigned invite = h.cseq;
    char tag[128];
    hand_copy(strstr(hand_response(&h, invite, "INVITE")->text, "\r\nTo: "), ";tag=", "\r;", tag, sizeof tag);
    hand_request(&h, "INVITE", invite, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 482);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(1));
    h.from = "203.0.113.99:5060"; /* a stranger who has read Call-ID and tag: the answer is not to go there */
    hand_request(&h, "INVITE", invite, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_non_null(last_from(s, CELL, "SIP/2.0 482"));
    h.from = NULL;
    roam_time t0 = s->world.now;
    hand_request(&h, "INVITE", invite, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(responses(s, 487, t0), 1);
    assert_int_equal(responses(s, 180, t0), 1);
    const seen *ring = hand_response(&h, invite, "INVITE");
    assert_int_equal(hand_status(&h, invite, "INVITE"), 180);
    assert_non_null(strstr(ring->text, tag));
    char branch[96];
    snprintf(branch, sizeof branch, "h%s%u;", h.own_tag, h.branch);
    assert_non_null(strstr(ring->text, branch));
    unsigned next = hand_request(&h, "INVITE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, next, "INVITE"), 180);
    assert_int_equal(hand_status(&h, invite, "INVITE"), 487);
    assert_int_equal(calls_of(s->agent), 1);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 1);
    answer(s->agent, id);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, next, "INVITE"), 200);
    assert_non_null(strstr(hand_response(&h, next, "INVITE")->text, tag));
    hand_learn(&h, hand_response(&h, next, "INVITE"), false);
    hand_request(&h, "ACK", next, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    scene_free(s);
}

/* ---- between our 200 and its ACK ---- */

/* A peer with UPDATE: the 200 again from the new path at once, UPDATE without SDP, whose 2xx stands for the ACK; then a re-INVITE for the media. One without: its ACK may come by itself; else OPTIONS, and
 * after its 2xx the re-INVITE, whose 2xx stands for the ACK. A 491 to it says that our 200 has not arrived: that is still repeated. */
static void test_move_before_ack(void **state)
{
    (void)state;
    enum { WITH_UPDATE, WITHOUT, ACK_COMES, GLARE, CASES };
    for (int i = 0; i < CASES; i++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = rings(&h, s, i == WITH_UPDATE ? ALLOWS : "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n", HAND_SDP);
        unsigned invite = h.cseq;
        answer(s->agent, id);
        world_run(&s->world, ROAM_MS(100));
        hand_learn(&h, hand_response(&h, invite, "INVITE"), false);
        set_addrs(s, scene_cell);
        roam_time t0 = s->world.now;
        world_run(&s->world, ROAM_MS(300));
        assert_true(responses(s, 200, t0) >= 1);
        assert_non_null(last_from(s, CELL, "SIP/2.0 200"));
        assert_int_equal(hand_count(&h, "INVITE"), 0);
        if (i == ACK_COMES)
            hand_request(&h, "ACK", invite, "", "");
        if (i == WITH_UPDATE) {
            assert_null(strstr(hand_asked(&h, "UPDATE")->text, "m=audio"));
            hand_answer(&h, hand_asked(&h, "UPDATE"), 200, ALLOWS, "");
        }
        world_run(&s->world, ROAM_SECONDS(1));
        if (i == WITHOUT || i == GLARE) {
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
            hand_answer(&h, asked_options(s), 200, "", "");
        } else {
            assert_null(asked_options(s));
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        }
        world_run(&s->world, ROAM_MS(200));
        const seen *reinvite = hand_asked(&h, "INVITE");
        assert_non_null(strstr(reinvite->text, "c=IN IP4 " CELL));
        if (i == GLARE) {
            hand_answer(&h, reinvite, 491, "", "");
            roam_time t1 = s->world.now;
            world_run(&s->world, ROAM_SECONDS(5));
            assert_true(responses(s, 200, t1) >= 1);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
            reinvite = hand_asked(&h, "INVITE");
        }
        hand_answer(&h, reinvite, 200, "", HAND_SDP);
        world_run(&s->world, ROAM_MS(300));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_in_range(packets_in_a_second(s, id), 45, 55);
        t0 = s->world.now;
        world_run(&s->world, ROAM_SECONDS(40));
        assert_int_equal(responses(s, 200, t0), 0);
        assert_int_equal(hand_count(&h, "BYE"), 0);
        scene_free(s);
    }
}

/* No ACK in 64*T1 because of the move, and nobody answers what we ask: no good-bye for it; the question is asked again, and its 2xx, late as it is, makes the call. Never answered: ended after offline_max. */
static void test_ack_overdue(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = rings(&h, s, "Allow: INVITE, ACK, BYE, CANCEL\r\n", HAND_SDP);
        answer(s->agent, id);
        world_run(&s->world, ROAM_MS(100));
        hand_learn(&h, hand_response(&h, h.cseq, "INVITE"), false);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(50));
        assert_int_equal(hand_count(&h, "BYE"), 0);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
        if (late) {
            hand_answer(&h, asked_options(s), 200, "", "");
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP);
            world_run(&s->world, ROAM_MS(300));
            assert_in_range(packets_in_a_second(s, id), 45, 55);
        } else {
            world_run(&s->world, ROAM_SECONDS(120));
            assert_int_equal(hand_count(&h, "BYE"), 1);
            world_run(&s->world, ROAM_SECONDS(70));
            assert_int_equal(calls_of(s->agent), 0);
        }
        scene_free(s);
    }
}

/* The same, and the caller has called again meanwhile: it is in that call, and will never acknowledge the first one, which ends after 64*T1. */
static void test_called_again(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, again;
    roam_call_id id = rings(&h, s, "Allow: INVITE, ACK, BYE, CANCEL\r\n", HAND_SDP);
    answer(s->agent, id);
    world_run(&s->world, ROAM_MS(100));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(1));
    roam_call_id second = hand_calls(&again, s, HAND_SDP, "");
    assert_int_equal(call_of(s->agent, second).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
    world_run(&s->world, ROAM_SECONDS(35));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_DISCONNECTING);
    assert_int_equal(call_of(s->agent, second).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* A CANCEL that comes behind our 200 changes nothing by itself (RFC 3261 9.2). But where no ACK follows in 64*T1 its sender is not asked about after a move: it wants no call. */
static void test_cancelled_too_late(void **state)
{
    (void)state;
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = rings(&h, s, "Allow: INVITE, ACK, BYE, CANCEL\r\n", HAND_SDP);
        answer(s->agent, id);
        world_run(&s->world, ROAM_MS(100));
        h.branch--; /* that of the INVITE */
        if (cancelled)
            hand_request(&h, "CANCEL", h.cseq, "", "");
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(33));
        assert_int_equal(call_of(s->agent, id).state, cancelled ? ROAM_CALL_DISCONNECTING : ROAM_CALL_CONNECTING);
        scene_free(s);
    }
}

/* Our 200 had the offer and the answer is due in the ACK: two steps. The target first; the media when the answer is in, or, where it was lost with the ACK, by an offer of ours. */
static void test_answer_in_ack_and_move(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool has_update = i & 1, lost = i & 2;
        scene *s = hand_scene();
        hand h;
        roam_call_id id = rings(&h, s, has_update ? ALLOWS : "Allow: INVITE, ACK, BYE, CANCEL\r\n", "");
        unsigned invite = h.cseq;
        answer(s->agent, id);
        world_run(&s->world, ROAM_MS(100));
        hand_learn(&h, hand_response(&h, invite, "INVITE"), false);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(1200));
        const seen *question = has_update ? hand_asked(&h, "UPDATE") : asked_options(s);
        assert_non_null(question);
        assert_null(strstr(question->text, "m=audio"));
        hand_answer(&h, question, 200, has_update ? ALLOWS : "", "");
        world_run(&s->world, ROAM_MS(500));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
        assert_int_equal(hand_count(&h, "INVITE"), 0);
        if (!lost)
            hand_request(&h, "ACK", invite, "", HAND_SDP);
        world_run(&s->world, lost ? ROAM_SECONDS(5) : ROAM_MS(200));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(hand_count(&h, "INVITE"), 1);
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP);
        world_run(&s->world, ROAM_MS(300));
        assert_in_range(packets_in_a_second(s, id), 45, 55);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        scene_free(s);
    }
}

/* ---- races (RFC 5407) ---- */

/* BYE before the ACK ends the call. A CANCEL that crossed our 200 is answered and changes nothing. A re-INVITE before the ACK: taken, as it shows that our 200 arrived; with our offer open in that 200 it is
 * 491. A CANCEL for a re-INVITE that is answered changes nothing. */
static void test_races(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = rings(&h, s, "", HAND_SDP);
    answer(s->agent, id);
    world_run(&s->world, ROAM_MS(100));
    hand_learn(&h, hand_response(&h, h.cseq, "INVITE"), false);
    unsigned bye = hand_request(&h, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, bye, "BYE"), 200);
    assert_int_equal(calls_of(s->agent), 0);

    for (int offer = 0; offer < 2; offer++) {
        id = rings(&h, s, "", offer ? "" : HAND_SDP);
        unsigned invite = h.cseq;
        answer(s->agent, id);
        h.branch--; /* the CANCEL has the branch of its INVITE */
        hand_request(&h, "CANCEL", invite, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, invite, "CANCEL"), 200);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONNECTING);
        hand_learn(&h, hand_response(&h, invite, "INVITE"), false);
        unsigned again = hand_request(&h, "INVITE", 0, "", HAND_SDP "a=sendonly\r\n");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, again, "INVITE"), offer ? 491 : 200);
        hand_request(&h, "ACK", again, "", "");
        hand_request(&h, "ACK", invite, "", offer ? HAND_SDP : "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s->agent, id).hold, offer ? ROAM_HOLD_NONE : ROAM_HOLD_REMOTE);
        bye = hand_request(&h, "BYE", 0, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, bye, "BYE"), 200);
    }
    scene_free(s);
}

/* RFC 6141: a re-INVITE that is refused changes neither the media nor the target; one that is accepted does; an UPDATE does. */
static void test_target_of_reinvites(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    h.contact = "sip:hand@203.0.113.77:5060";
    unsigned refused = hand_request(&h, "INVITE", 0, "", "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18\r\n");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, refused, "INVITE"), 488);
    hand_request(&h, "ACK", refused, "", "");
    assert_in_range(packets_in_a_second(s, id), 45, 55);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "INVITE sip:hand@" HAND ":5060 "));
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP "a=recvonly\r\n");
    world_run(&s->world, ROAM_MS(100));
    unsigned accepted = hand_request(&h, "INVITE", 0, "", HAND_SDP "a=recvonly\r\n");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, accepted, "INVITE"), 200);
    hand_request(&h, "ACK", accepted, "", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    assert_non_null(strstr(last_from(s, WIFI, "INVITE ")->text, "INVITE sip:hand@203.0.113.77:5060 "));
    scene_free(s);
}

/* ---- in a world ---- */

/* It rings, the network changes, the user answers 0 to 3 s later: one call, up, with sound both ways; with a caller that knows UPDATE and with one that does not; also with early media. The change may also
 * come right after the answer, before the ACK. */
static void test_world_ringing(void **state)
{
    (void)state;
    for (int i = 0; i < 24; i++) {
        static const unsigned before[] = {30, 100, 3000}; /* ms from the change to the answer */
        bool update = i & 1, early = i & 2, after = i & 4;
        roam_peer_config callee = {.no_update = !update, .rel = early ? PEER_REL_ACCEPTED : PEER_REL_NONE};
        scene *s = scene_new((scene_options){.callee = &callee});
        uint32_t theirs;
        assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        roam_call_id id = incoming(s->agent);
        if (early) {
            progress(s->agent, id, 183, true);
            world_run(&s->world, ROAM_SECONDS(1));
        }
        if (after) {
            answer(s->agent, id);
            world_run(&s->world, ROAM_MS(20 + 30 * (unsigned)(i >> 3)));
            set_addrs(s, scene_cell);
        } else {
            set_addrs(s, scene_cell);
            world_run(&s->world, ROAM_MS(before[i >> 3]));
            answer(s->agent, id);
        }
        world_run(&s->world, ROAM_SECONDS(6));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(peer_leg(s->callee->peer, theirs)->state, LEG_CONFIRMED);
        assert_int_equal(calls_of(s->agent), 1);
        assert_two_way(s, s->agent, id);
        assert_one_binding(s, "alice", CELL);
        scene_free(s);
    }
}

/* The caller gives up while there is no network: back on another one, the UPDATE's 481, said twice, ends the ringing. */
static void test_world_caller_gone(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    uint32_t theirs;
    assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(calls_of(s->agent), 1);
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(peer_hangup(s->callee->peer, s->world.now, theirs), 0);
    world_run(&s->world, ROAM_SECONDS(38));
    assert_int_equal(calls_of(s->agent), 1);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(calls_of(s->agent), 0);
    assert_string_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->reason, "the caller gave up while away");
    scene_free(s);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_reliable),
        cmocka_unit_test(test_reliable_required),
        cmocka_unit_test(test_reliable_off),
        cmocka_unit_test(test_offer_in_provisional),
        cmocka_unit_test(test_early_offers),
        cmocka_unit_test(test_early_target_refresh),
        cmocka_unit_test(test_prack_pending_and_move),
        cmocka_unit_test(test_ringing_and_move),
        cmocka_unit_test(test_refused_offline),
        cmocka_unit_test(test_caller_not_reached),
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_move_before_ack),
        cmocka_unit_test(test_ack_overdue),
        cmocka_unit_test(test_called_again),
        cmocka_unit_test(test_cancelled_too_late),
        cmocka_unit_test(test_answer_in_ack_and_move),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_target_of_reinvites),
        cmocka_unit_test(test_world_ringing),
        cmocka_unit_test(test_world_caller_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The incoming call before it is confirmed, and what peers ask in a dialog: provisional responses, plain and reliable (RFC 3262), UPDATE before the answer (RFC 3311), INVITE with
 * Replaces (RFC 3891), and all of it while the path changes. The far end is moved by hand; the last tests are in a whole world. */
#include "hand.h"

static const char allow[] = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO\r\n";
static const char supports[] = "Supported: 100rel\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO\r\n";
static const char requires[] = "Require: 100rel\r\nAllow: INVITE, ACK, BYE, CANCEL, PRACK, INFO\r\n";

static scene *hand_scene_with(roam_100rel reliable)
{
    static roam_account_config account;
    account = hand_account();
    account.reliable = reliable;
    return scene_new((scene_options){.account = &account});
}

static scene *hand_scene(void)
{
    return hand_scene_with(ROAM_100REL_SUPPORTED);
}

static size_t calls_of(const sim_node *agent)
{
    return roam_call_list(agent->ua, NULL, 0);
}

static roam_call_id incoming(const sim_node *agent)
{
    const roam_event *e = world_last(agent, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    return e->call;
}

/* A call from the hand that rings. */
static roam_call_id rings(hand *h, scene *s, const char *headers, const char *sdp)
{
    hand_begin(h, s);
    hand_request(h, "INVITE", 0, headers, sdp);
    world_run(&s->world, ROAM_MS(200));
    return incoming(s->agent);
}

static void answer(sim_node *agent, roam_call_id id)
{
    roam_call_options options = {.source = roam_tone_source(600)};
    assert_int_equal(roam_call_answer(agent->ua, id, &options), 0);
    world_flush(agent);
}

static void progress(sim_node *agent, roam_call_id id, unsigned status, bool media)
{
    roam_call_options options = {0};
    if (media)
        options.source = roam_tone_source(600);
    assert_int_equal(roam_call_progress(agent->ua, id, status, media, media ? &options : NULL), 0);
    world_flush(agent);
}

static unsigned rseq_of(const seen *e)
{
    char text[32];
    assert_non_null(e);
    hand_copy(e->text, "\r\nRSeq: ", "\r", text, sizeof text);
    return (unsigned)strtoul(text, NULL, 10);
}

static unsigned prack(hand *h, unsigned rseq, unsigned invite, const char *body)
{
    char line[80];
    snprintf(line, sizeof line, "RAck: %u %u INVITE\r\n", rseq, invite);
    return hand_request(h, "PRACK", 0, line, body);
}

/* Responses of that status to the hand since `since`, repetitions included. */
static size_t responses(const scene *s, unsigned status, roam_time since)
{
    char line[24];
    size_t n = 0;
    roam_ip to = sim_ip(HAND);
    snprintf(line, sizeof line, "SIP/2.0 %u ", status);
    for (size_t i = 0; i < s->nlog; i++)
        n += s->log[i].time >= since && roam_ip_equal(&s->log[i].to.ip, &to) && strncmp(s->log[i].text, line, strlen(line)) == 0;
    return n;
}

static uint64_t packets_in_a_second(scene *s, roam_call_id id)
{
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    return call_of(s->agent, id).media.packets_sent - sent;
}

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
    roam_call_id id = rings(&h, s, supports, HAND_SDP);
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
    roam_call_id id = rings(&h, s, requires, HAND_SDP);
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
    unsigned invite = hand_request(&h, "INVITE", 0, requires, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, invite, "INVITE"), 420);
    assert_non_null(strstr(hand_response(&h, invite, "INVITE")->text, "Unsupported: 100rel\r\n"));
    roam_call_id id = rings(&h, s, supports, HAND_SDP);
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
    roam_call_id id = rings(&h, s, requires, "");
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
    roam_call_id id = rings(&h, s, supports, HAND_SDP);
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
    roam_call_id id = rings(&h, s, allow, HAND_SDP);
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

int main(int argc, char **argv)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

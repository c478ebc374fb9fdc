/* Outgoing calls before they are confirmed: early dialogs of forks, reliable provisional responses, requests of the callee before its answer, races of the answer
 * (RFC 5407). */
#include "early.h"

/* ---- RFC 3262 ---- */

/* What the account wants of reliable provisionals stands in the INVITE. */
static void test_option(void **state)
{
    (void)state;
    for (int kind = ROAM_100REL_OFF; kind <= ROAM_100REL_REQUIRED; kind++) {
        hand h;
        seen invite;
        scene *s = begin_as(&h, (roam_100rel)kind);
        call_hand(&h, s, &invite);
        assert_int_equal(says(&invite, "Supported: 100rel"), kind != ROAM_100REL_OFF);
        assert_int_equal(says(&invite, "Require: 100rel"), kind == ROAM_100REL_REQUIRED);
        assert_true(says(&invite, "Supported: 199"));
        scene_free(s);
    }
}

/* Each reliable response gets one PRACK in its dialog, in order: one that skips a number is dropped, one that comes again is not answered anew, a challenge is.
 * The answer that came reliably is the answer: what the 200 says is not heard. */
static void test_prack(void **state)
{
    (void)state;
    hand h;
    seen invite;
    char rack[40];
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    reliable(&h, &invite, 183, "one", 7, HAND_SDP);
    const seen *prack = hand_asked(&h, "PRACK");
    snprintf(rack, sizeof rack, "\r\nRAck: 7 %u INVITE\r\n", cseq_of(&invite));
    assert_true(says(prack, rack));
    assert_true(says(prack, "PRACK sip:one@"));
    assert_true(says(prack, ";tag=one"));
    assert_int_equal(cseq_of(prack), cseq_of(&invite) + 1);
    reliable(&h, &invite, 183, "one", 7, HAND_SDP);
    assert_int_equal(hand_count(&h, "PRACK"), 1);
    hand_answer(&h, prack, 401, "WWW-Authenticate: Digest realm=\"hand\", nonce=\"n1\", qop=\"auth\"\r\n", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_count(&h, "PRACK"), 2);
    assert_true(says(hand_asked(&h, "PRACK"), "Authorization: Digest"));
    assert_true(says(hand_asked(&h, "PRACK"), rack));
    prack_answered(&h, 200);
    reliable(&h, &invite, 180, "one", 9, "");
    assert_int_equal(hand_count(&h, "PRACK"), 2);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    reliable(&h, &invite, 180, "one", 8, "");
    reliable(&h, &invite, 180, "one", 9, "");
    assert_int_equal(hand_count(&h, "PRACK"), 3); /* one at a time */
    assert_true(says(hand_asked(&h, "PRACK"), "RAck: 8 "));
    prack_answered(&h, 200);
    assert_true(says(hand_asked(&h, "PRACK"), "RAck: 9 "));
    prack_answered(&h, 200);
    assert_int_equal(hand_count(&h, "PRACK"), 4);
    branch_says(&h, &invite, 200, "one", ALLOWS,
                "v=0\r\no=h 1 1 IN IP4 203.0.113.50\r\ns=-\r\nc=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7777 RTP/AVP 0\r\n");
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7000);
    assert_int_equal(hand_count(&h, "ACK"), 1);
    scene_free(s);
}

/* RSeq 0, none at all, or no number: dropped, nothing rings. */
static void test_bad_rseq(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "RSeq: 0\r\n", "RSeq: 99999999999\r\n"};
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    for (size_t i = 0; i < 3; i++) {
        char headers[80];
        snprintf(headers, sizeof headers, "Require: 100rel\r\n%s", bad[i]);
        branch_says(&h, &invite, 180, "one", headers, "");
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CALLING);
    }
    assert_int_equal(hand_count(&h, "PRACK"), 0);
    scene_free(s);
}

/* ---- forks ---- */

/* Two branches: each its own target, CSeq and RSeq. The one that described its media last is heard; 199 ends one of them and the other is heard again; the 2xx of one is
 * the call, that of the other gets ACK and BYE. */
static void test_forks(void **state)
{
    (void)state;
    const char *sdp_two = "v=0\r\no=h 1 1 IN IP4 203.0.113.50\r\ns=-\r\nc=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7200 RTP/AVP 8\r\n";
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    reliable(&h, &invite, 183, "one", 1, HAND_SDP);
    assert_true(says(hand_asked(&h, "PRACK"), "PRACK sip:one@"));
    prack_answered(&h, 200);
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7000);
    reliable(&h, &invite, 183, "two", 500, sdp_two);
    assert_true(says(hand_asked(&h, "PRACK"), "PRACK sip:two@"));
    assert_true(says(hand_asked(&h, "PRACK"), "RAck: 500 "));
    assert_int_equal(cseq_of(hand_asked(&h, "PRACK")), cseq_of(&invite) + 1);
    prack_answered(&h, 200);
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7200);
    assert_string_equal(call_of(s->agent, id).codec, "PCMA");
    branch_says(&h, &invite, 199, "two", "", "");
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7000);
    assert_string_equal(call_of(s->agent, id).codec, "PCMU");
    branch_says(&h, &invite, 180, "three", "", "");
    branch_says(&h, &invite, 200, "one", ALLOWS, "");
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7000);
    branch_says(&h, &invite, 200, "three", ALLOWS, sdp_two);
    assert_true(says(hand_asked(&h, "BYE"), "tag=three"));
    assert_int_equal(asked_with(&h, "ACK", "tag=three"), 1);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7000);
    scene_free(s);
}

/* More branches than we follow: bounded, and one that is not followed can be the call all the same. */
static void test_many_forks(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    for (unsigned n = 0; n < 40; n++) {
        char tag[16];
        snprintf(tag, sizeof tag, "t%u", n);
        branch_says(&h, &invite, 180, tag, "", "");
    }
    roam_ua_counters c;
    roam_ua_get_counters(s->agent->ua, &c);
    assert_true(c.dropped >= 40 - ROAM_MAX_FORKS);
    branch_says(&h, &invite, 200, "t39", ALLOWS, HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_true(says(hand_asked(&h, "ACK"), "tag=t39"));
    scene_free(s);
}

/* Requests of the callee before its answer go to the dialog they name: UPDATE, BYE, what overtook the response that makes the dialog. */
static void test_early_requests(void **state)
{
    (void)state;
    hand h, other;
    seen invite;
    unsigned n;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    strcpy(h.own_tag, "one");
    n = hand_request(&h, "UPDATE", 0, "", ""); /* before its 18x */
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "UPDATE"), 500);
    assert_true(says(hand_response(&h, n, "UPDATE"), "Retry-After: "));
    branch_says(&h, &invite, 183, "one", ALLOWS, HAND_SDP);
    n = hand_request(&h, "UPDATE", 0, "", ""); /* the target alone */
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "UPDATE"), 200);
    n = hand_request(&h, "UPDATE", 0, "", HAND_SDP); /* our offer has no answer that counts */
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "UPDATE"), 491);
    reliable(&h, &invite, 183, "one", 1, HAND_SDP);
    prack_answered(&h, 200);
    n = hand_request(&h, "UPDATE", 0, "",
                     "v=0\r\no=h 1 2 IN IP4 203.0.113.50\r\ns=-\r\nc=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7400 RTP/AVP 0\r\n");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "UPDATE"), 200);
    assert_true(says(hand_response(&h, n, "UPDATE"), "m=audio "));
    assert_int_equal(call_of(s->agent, id).media_remote.port, 7400);
    n = hand_request(&h, "UPDATE", h.cseq - 2, "", ""); /* out of order */
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "UPDATE"), 500);
    n = hand_request(&h, "INVITE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "INVITE"), 491);
    hand_request(&h, "ACK", n, "", "");
    n = hand_request(&h, "PRACK", 0, "RAck: 1 1 INVITE\r\n", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "PRACK"), 481);
    branch_says(&h, &invite, 180, "two", ALLOWS, "");
    other = h;
    strcpy(other.own_tag, "two");
    other.cseq = 5; /* a CSeq of its own */
    n = hand_request(&other, "UPDATE", 0, "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&other, n, "UPDATE"), 200);
    n = hand_request(&h, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "BYE"), 200);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY); /* the other branch rings on */
    n = hand_request(&other, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&other, n, "BYE"), 200);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    assert_non_null(hand_asked(&h, "CANCEL"));
    scene_free(s);
}

/* A final failure ends all early dialogs. */
static void test_failure(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    reliable(&h, &invite, 183, "one", 1, HAND_SDP);
    branch_says(&h, &invite, 180, "two", "", "");
    branch_says(&h, &invite, 486, "two", "", "");
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 486);
    scene_free(s);
}

/* ---- RFC 5407 ---- */

/* The 2xx crosses our CANCEL: ACK and BYE. The BYE of the callee arrives before our ACK got there: the call is over, a 2xx that comes again is acknowledged still. */
static void test_races(void **state)
{
    (void)state;
    hand h;
    seen invite;
    scene *s = begin_as(&h, ROAM_100REL_SUPPORTED);
    roam_call_id id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 180, "one", ALLOWS, "");
    hang_up(s, id);
    assert_non_null(hand_asked(&h, "CANCEL"));
    branch_says(&h, &invite, 200, "one", ALLOWS, HAND_SDP);
    assert_int_equal(asked_with(&h, "ACK", "tag=one"), 1);
    assert_int_equal(asked_with(&h, "BYE", "tag=one"), 1);
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);

    hand_begin(&h, s);
    id = call_hand(&h, s, &invite);
    branch_says(&h, &invite, 200, "two", ALLOWS, HAND_SDP);
    strcpy(h.own_tag, "two");
    unsigned n = hand_request(&h, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(150));
    assert_int_equal(hand_status(&h, n, "BYE"), 200);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    size_t acks = 0;
    for (size_t i = 0; i < s->nlog; i++)
        acks += scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK");
    branch_says(&h, &invite, 200, "two", ALLOWS, HAND_SDP);
    size_t after = 0;
    for (size_t i = 0; i < s->nlog; i++)
        after += scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK");
    assert_int_equal(after, acks + 1);
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    scene_free(s);
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by its name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_option), cmocka_unit_test(test_prack), cmocka_unit_test(test_bad_rseq),
        cmocka_unit_test(test_forks), cmocka_unit_test(test_many_forks), cmocka_unit_test(test_early_requests),
        cmocka_unit_test(test_failure), cmocka_unit_test(test_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

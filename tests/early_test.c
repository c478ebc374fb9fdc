/* Outgoing calls before they are confirmed: early dialogs of forks, reliable provisional responses, requests of the callee before its answer, races of the answer
 * (RFC 5407), and changes of path while it rings. */
#include "hand.h"

#define ALLOWS "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK\r\nSupported: replaces, 100rel\r\n"

static scene *begin_as(hand *h, roam_100rel reliable)
{
    static roam_account_config account;
    account = hand_account();
    account.reliable = reliable;
    scene *s = scene_new((scene_options){.account = &account});
    hand_begin(h, s);
    return s;
}

/* A call to the hand; its INVITE is in `invite`. */
static roam_call_id call_hand(hand *h, scene *s, seen *invite)
{
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    *invite = *hand_asked(h, "INVITE");
    hand_learn(h, invite, true);
    return id;
}

/* A response of one branch: its tag, and a Contact of its own. */
static void branch_says(hand *h, const seen *e, unsigned status, const char *tag, const char *headers, const char *body)
{
    static roam_header_space space;
    static char text[8192];
    roam_message m;
    roam_writer w;
    assert_int_equal(message_parse(&m, &space, span_of(e->text)), 0);
    writer_init(&w, text, sizeof text);
    write_response_head(&w, &m, status, SPAN(""), span_of(tag), &e->from);
    write_lit(&w, "Contact: <sip:");
    write_cstr(&w, tag);
    write_lit(&w, "@" HAND ":5060>\r\n");
    write_cstr(&w, headers);
    write_body(&w, *body ? SPAN("application/sdp") : SPAN(""), span_of(body));
    world_inject(&h->s->world, &e->to, &e->from, writer_span(&w));
    world_run(&h->s->world, ROAM_MS(150));
}

static void reliable(hand *h, const seen *e, unsigned status, const char *tag, unsigned rseq, const char *body)
{
    char headers[160];
    snprintf(headers, sizeof headers, ALLOWS "Require: 100rel\r\nRSeq: %u\r\n", rseq);
    branch_says(h, e, status, tag, headers, body);
}

static bool is_ip(roam_ip ip, const char *text)
{
    roam_ip other = sim_ip(text);
    return roam_ip_equal(&ip, &other);
}

static bool says(const seen *e, const char *part)
{
    return e && strstr(e->text, part) != NULL;
}

/* The number of the CSeq of a message. */
static unsigned cseq_of(const seen *e)
{
    return (unsigned)strtoul(strstr(e->text, "\r\nCSeq: ") + 8, NULL, 10);
}

static void prack_answered(hand *h, unsigned status)
{
    hand_answer(h, hand_asked(h, "PRACK"), status, "", "");
    world_run(&h->s->world, ROAM_MS(150));
}

/* Requests of that method, each transaction once, whose text has `part`. */
static size_t asked_with(const hand *h, const char *method, const char *part)
{
    size_t n = 0;
    for (size_t i = 0; i < h->s->nlog; i++)
        n += scene_is_request(h->s->log[i].text, strlen(h->s->log[i].text), method) && strstr(h->s->log[i].text, part) &&
             !scene_is_repeat(h->s, i) && is_ip(h->s->log[i].to.ip, HAND);
    return n;
}

static void move_to(scene *s, const char *const *addrs, roam_time run)
{
    set_addrs(s, addrs);
    world_run(&s->world, run);
}

static void hang_up(scene *s, roam_call_id id)
{
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
}

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

/* ---- a whole world: registrar, record-routing proxy, callee ---- */

/* The callee answers so long after the change of address, or declines: it rings once, and nobody is left with half a call. */
static void test_world(void **state)
{
    (void)state;
    static const struct {
        unsigned answer_ms, move_ms;
        bool gap, rejects;
    } cases[] = {{1100, 1000, false, false}, {2000, 1000, false, false}, {5000, 1000, false, false}, {1005, 1000, false, false},
                 {960, 1000, false, false},  {4000, 1000, true, false},  {15000, 1000, true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(cases[i].answer_ms)};
        scene *s = scene_new((scene_options){.callee = &callee});
        roam_call_id id = call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_MS(cases[i].move_ms));
        if (cases[i].gap)
            move_to(s, scene_none, ROAM_SECONDS(10));
        move_to(s, scene_cell, ROAM_SECONDS(12));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_two_way(s, s->agent, id);
        assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 1);
        size_t rang = 0; /* INVITEs that made it ring */
        for (size_t k = 0; k < s->nlog; k++)
            rang += strncmp(s->log[k].text, "SIP/2.0 180", 11) == 0 && is_ip(s->log[k].from.ip, CALLEE) &&
                    !scene_is_repeat(s, k);
        assert_int_equal(rang, 1);
        scene_free(s);
    }
}

/* Declined, or given up, while we could not hear it: the call ends and says so. */
static void test_world_declined(void **state)
{
    (void)state;
    roam_peer_config callee = {.answer = PEER_RINGS};
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    move_to(s, scene_cell, ROAM_SECONDS(2));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    assert_int_equal(peer_reject(s->callee->peer, s->world.now, 1, 486), 0);
    world_run(&s->world, ROAM_SECONDS(12));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 481);
    scene_free(s);
}

/* The new address is needed although the old one stays: nothing passes on it any more, in either direction. The watch finds out, and the call is taken over. */
static bool swallow_wifi(scene *s, const sim_packet *p)
{
    (void)s;
    return !is_ip(p->from.ip, WIFI) && !is_ip(p->to.ip, WIFI);
}

static void test_black_hole(void **state)
{
    (void)state;
    static const char *const both[] = {WIFI, CELL, NULL};
    roam_account_config account = scene_account(NULL, NULL);
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_SECONDS(6)};
    account.keepalive = 2;
    scene *s = scene_new((scene_options){.callee = &callee, .account = &account});
    move_to(s, both, ROAM_SECONDS(1));
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    s->more = swallow_wifi;
    world_run(&s->world, ROAM_SECONDS(15));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_true(is_ip(call_of(s->agent, id).local.ip, CELL));
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

typedef enum ending { ANSWERED, HUNG_UP, REFUSED } ending;

/* The change, or two of them, at every moment between the INVITE and the answer, for callees of different abilities; hung up by our user, answered or refused by theirs: at the end both sides agree. */
static void test_sweep(void **state)
{
    (void)state;
    static const char *const third[] = {"10.3.0.9", NULL};
    static const struct {
        ending end;
        bool second, gap, no_replaces, no_update, reliable;
    } kinds[] = {{ANSWERED, false, false, false, false, false}, {ANSWERED, true, false, false, false, false}, {ANSWERED, true, false, false, false, true},
                 {ANSWERED, false, true, false, false, false},  {ANSWERED, true, false, true, false, false},  {ANSWERED, false, false, false, true, false},
                 {HUNG_UP, false, false, false, false, false},  {HUNG_UP, true, true, false, false, false},   {HUNG_UP, true, false, true, false, false},
                 {REFUSED, false, false, false, false, true},   {REFUSED, true, false, false, false, false}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (unsigned t = 0; t < 2400; t += 160 - (unsigned)k) {
            roam_peer_config callee = {.answer = kinds[k].end == REFUSED ? PEER_REJECTS : PEER_ANSWERS,
                                       .answer_after = ROAM_MS(1500),
                                       .reject_after = ROAM_MS(1500),
                                       .no_replaces = kinds[k].no_replaces,
                                       .no_update = kinds[k].no_update,
                                       .rel = kinds[k].reliable ? PEER_REL_USED : PEER_REL_NONE,
                                       .early_media = kinds[k].reliable};
            scene *s = scene_new((scene_options){.callee = &callee});
            roam_call_id id = call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_MS(t) + 1);
            if (kinds[k].gap)
                move_to(s, scene_none, ROAM_MS(600));
            move_to(s, scene_cell, ROAM_MS(t * 7 % 1300));
            if (kinds[k].second)
                set_addrs(s, third);
            if (kinds[k].end == HUNG_UP) {
                roam_call_hangup(s->agent->ua, id);
                world_flush(s->agent);
            }
            world_run(&s->world, ROAM_SECONDS(15));
            if (kinds[k].end == ANSWERED) {
                assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
                assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
                assert_two_way(s, s->agent, id);
            } else {
                assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
                world_run(&s->world, ROAM_SECONDS(60));
                for (uint32_t leg = 1; peer_leg(s->callee->peer, leg); leg++)
                    assert_int_equal(peer_leg(s->callee->peer, leg)->state, LEG_ENDED);
            }
            scene_free(s);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by its name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_option),        cmocka_unit_test(test_prack),          cmocka_unit_test(test_bad_rseq),
        cmocka_unit_test(test_forks),         cmocka_unit_test(test_many_forks),     cmocka_unit_test(test_early_requests),
        cmocka_unit_test(test_failure),       cmocka_unit_test(test_races),          cmocka_unit_test(test_nothing_heard),
        cmocka_unit_test(test_takeover),      cmocka_unit_test(test_gone),           cmocka_unit_test(test_no_replaces),
        cmocka_unit_test(test_second_change), cmocka_unit_test(test_hang_up_in_the_middle), cmocka_unit_test(test_hang_up_offline),
        cmocka_unit_test(test_old_path_alive), cmocka_unit_test(test_same_address),  cmocka_unit_test(test_prack_moves),
        cmocka_unit_test(test_early_media_moves), cmocka_unit_test(test_adopted),    cmocka_unit_test(test_world),
        cmocka_unit_test(test_world_declined),
        cmocka_unit_test(test_bye_overtakes), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_black_hole),    cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Calls with a far end moved by hand, which does what no decent peer does: early media, forks, lost and missing ACKs, glare, refusals, strange requests and answers. */
#include "hand.h"

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

static void answer(sim_node *agent, roam_call_id id)
{
    roam_call_options options = {.source = roam_tone_source(600)};
    assert_int_equal(roam_call_answer(agent->ua, id, &options), 0);
    world_flush(agent);
}

static void hang_up(sim_node *agent, roam_call_id id)
{
    assert_int_equal(roam_call_hangup(agent->ua, id), 0);
    world_flush(agent);
}

static scene *hand_scene(void)
{
    static roam_account_config account;
    account = hand_account();
    return scene_new((scene_options){.account = &account});
}

/* Early media: SDP in a 183 opens the stream, the 200 confirms it; our ACK names what we heard in the 200. */
static void test_early_media(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    hand_begin(&h, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(&h, hand_asked(&h, "INVITE"), true);
    hand_answer(&h, hand_asked(&h, "INVITE"), 183, "", HAND_SDP);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    assert_in_range(call_of(s->agent, id).media.packets_sent, 40, 55);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(300));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(hand_count(&h, "ACK"), 1);
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    hang_up(s->agent, id);
    world_run(&s->world, ROAM_MS(100));
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* A fork: two 18x, two 2xx with tags of their own. The first 2xx is the call; the second is acknowledged and ended with BYE (RFC 3261 13.2.2.4), also when it comes again. */
static void test_fork(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    hand_begin(&h, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    const seen invite = *hand_asked(&h, "INVITE");
    hand_answer_tagged(&h, &invite, 180, "one", "", "");
    hand_answer_tagged(&h, &invite, 183, "two", "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    hand_answer_tagged(&h, &invite, 200, "two", "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    hand_answer_tagged(&h, &invite, 200, "one", "", HAND_SDP);
    hand_answer_tagged(&h, &invite, 200, "one", "", HAND_SDP);
    world_run(&s->world, ROAM_MS(400));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(calls_of(s->agent), 1);
    const seen *bye = hand_asked(&h, "BYE");
    assert_non_null(bye);
    assert_non_null(strstr(bye->text, "tag=one"));
    size_t one = 0, two = 0;
    for (size_t i = 0; i < s->nlog; i++)
        if (scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK")) {
            one += strstr(s->log[i].text, "tag=one") != NULL;
            two += strstr(s->log[i].text, "tag=two") != NULL;
        }
    assert_int_equal(two, 1);
    assert_true(one >= 1);
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    scene_free(s);
}

/* Delayed offer: our 200 offers, the ACK answers. An ACK without answer leaves no call: BYE, 488. */
static void test_delayed_offer(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, "", HAND_SDP);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_non_null(strstr(last_from(s, WIFI, "SIP/2.0 200")->text, "m=audio "));
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    unsigned cseq = hand_request(&h, "INVITE", 0, "", ""); /* and a re-INVITE without an offer */
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
    assert_non_null(strstr(hand_response(&h, cseq, "INVITE")->text, "m=audio "));
    hand_request(&h, "ACK", cseq, "", HAND_SDP);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_true(call_of(s->agent, id).media.packets_sent > sent + 100);
    cseq = hand_request(&h, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "BYE"), 200);
    assert_int_equal(calls_of(s->agent), 0);

    hand_calls(&h, s, "", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "BYE"), 1);
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* Nobody acknowledges our 200: it is sent again and again for 64*T1, then BYE, and the call is over (RFC 3261 13.3.1.4). */
static void test_no_ack(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    hand_begin(&h, s);
    unsigned cseq = hand_request(&h, "INVITE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    answer(s->agent, incoming(s->agent));
    roam_time t0 = s->world.now;
    world_run(&s->world, ROAM_SECONDS(31));
    size_t n = 0;
    for (size_t i = 0; i < s->nlog; i++)
        n += s->log[i].time >= t0 && strncmp(s->log[i].text, "SIP/2.0 200", 11) == 0;
    assert_in_range(n, 9, 12); /* 0.5, 1.5, 3.5, 7.5, 11.5 ... */
    assert_int_equal(hand_count(&h, "BYE"), 0);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(hand_count(&h, "BYE"), 1);
    hand_learn(&h, hand_response(&h, cseq, "INVITE"), false);
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* Our ACK was lost: each 200 that comes again is acknowledged again, of the INVITE and of a re-INVITE, and the call stays up. */
static void test_lost_ack(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    size_t acks = hand_count(&h, "ACK");
    const seen invite = *hand_asked(&h, "INVITE");
    hand_answer(&h, &invite, 200, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    size_t repeats = 0;
    for (size_t i = 0; i < s->nlog; i++)
        repeats += scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK");
    assert_int_equal(acks, 1);
    assert_int_equal(repeats, 2);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    const seen again = *hand_asked(&h, "INVITE");
    for (int i = 0; i < 3; i++) {
        hand_answer(&h, &again, 200, "", HAND_SDP);
        world_run(&s->world, ROAM_MS(500));
    }
    repeats = 0;
    for (size_t i = 0; i < s->nlog; i++)
        repeats += scene_is_request(s->log[i].text, strlen(s->log[i].text), "ACK");
    assert_int_equal(repeats, 5);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* 491: as caller we wait 2.1 to 4 s, as callee 0 to 2 s (RFC 3261 14.1); and their re-INVITE while ours is out gets 491. */
static void test_glare(void **state)
{
    (void)state;
    for (int caller = 0; caller < 2; caller++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = caller ? hand_called(&h, s) : hand_calls(&h, s, HAND_SDP, "");
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        size_t before = hand_count(&h, "INVITE");
        unsigned cseq = hand_request(&h, "INVITE", 0, "", HAND_SDP);
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(hand_status(&h, cseq, "INVITE"), 491);
        hand_request(&h, "ACK", cseq, "", "");
        hand_answer(&h, hand_asked(&h, "INVITE"), 491, "", "");
        roam_time t0 = s->world.now + ROAM_MS(50);
        world_run(&s->world, ROAM_MS(4200));
        assert_int_equal(hand_count(&h, "INVITE"), before + 1);
        roam_time waited = hand_asked(&h, "INVITE")->time;
        for (size_t i = 0; i < s->nlog; i++) /* the first sending of it */
            if (strcmp(s->log[i].text, hand_asked(&h, "INVITE")->text) == 0 && s->log[i].time < waited)
                waited = s->log[i].time;
        waited -= t0;
        if (caller)
            assert_in_range(waited, ROAM_MS(2100), ROAM_MS(4000));
        else
            assert_in_range(waited, 0, ROAM_MS(2000));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP "a=recvonly\r\n");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        scene_free(s);
    }
}

/* How a refresh may be refused, and what becomes of the call: 481 ends it, everything else does not; 488 keeps the media; Retry-After is obeyed; silence is no end. */
static void test_refresh_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *headers;
        bool lives, again;
    } cases[] = {{481, "", false, false}, {488, "", true, false}, {503, "", true, true}, {408, "", true, true}, {500, "Retry-After: 3\r\n", true, true}, {603, "", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = hand_called(&h, s);
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(60));
        size_t before = hand_count(&h, "INVITE");
        hand_answer(&h, hand_asked(&h, "INVITE"), cases[i].status, cases[i].headers, "");
        world_run(&s->world, ROAM_MS(2900));
        assert_int_equal(calls_of(s->agent), cases[i].lives);
        if (i == 4)
            assert_int_equal(hand_count(&h, "INVITE"), before);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(hand_count(&h, "INVITE") > before, cases[i].again);
        if (cases[i].lives) {
            uint64_t sent = call_of(s->agent, id).media.packets_sent;
            world_run(&s->world, ROAM_SECONDS(1));
            assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE); /* nothing was agreed */
        } else {
            assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 481);
        }
            scene_free(s);
    }
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* A re-INVITE of theirs that cannot be: nonsense 400, no common codec 488, another body 415, out of order 500; the media stays. A second good one before the first is acknowledged is answered. */
static void test_bad_reinvites(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    static const struct {
        const char *headers, *body;
        unsigned status;
    } cases[] = {{"", "nonsense", 400},
                 {"", "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18\r\n", 488},
                 {"Content-Type: text/plain\r\n", "hello", 415},
                 {"Require: teleport, 100rel\r\n", HAND_SDP, 420}};
    for (size_t i = 0; i < 4; i++) {
        unsigned cseq = hand_request(&h, "INVITE", 0, cases[i].headers, cases[i].body);
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, cseq, "INVITE"), cases[i].status);
        hand_request(&h, "ACK", cseq, "", "");
        uint64_t sent = call_of(s->agent, id).media.packets_sent;
        world_run(&s->world, ROAM_SECONDS(1));
        assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    }
    assert_non_null(strstr(last_from(s, WIFI, "SIP/2.0 420")->text, "Unsupported: teleport\r\n"));
    assert_non_null(strstr(last_from(s, WIFI, "SIP/2.0 415")->text, "Accept: application/sdp"));
    unsigned first = hand_request(&h, "INVITE", 0, "", HAND_SDP), second = hand_request(&h, "INVITE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, first, "INVITE"), 200);
    assert_int_equal(hand_status(&h, second, "INVITE"), 200); /* who sends it has our 200 (RFC 5407 3.1.4) */
    unsigned old = hand_request(&h, "INVITE", 50, "", HAND_SDP); /* out of order */
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, old, "INVITE"), 500);
    hand_request(&h, "ACK", second, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* UPDATE of theirs: with an offer (hold and back), without (target refresh), while our offer is out (491), with a bad body. Ours, where the account wants it, is answered and agreed; 405 makes it a re-INVITE. */
static void test_update(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    unsigned cseq = hand_request(&h, "UPDATE", 0, "", HAND_SDP "a=sendonly\r\n");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "UPDATE"), 200);
    assert_non_null(strstr(hand_response(&h, cseq, "UPDATE")->text, "a=recvonly"));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_REMOTE);
    cseq = hand_request(&h, "UPDATE", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "UPDATE"), 200);
    assert_null(strstr(hand_response(&h, cseq, "UPDATE")->text, "m=audio"));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_REMOTE);
    cseq = hand_request(&h, "UPDATE", 0, "", "nonsense");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "UPDATE"), 400);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    cseq = hand_request(&h, "UPDATE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "UPDATE"), 491);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP "a=inactive\r\n");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_BOTH);
    scene_free(s);

    static roam_account_config account;
    account = hand_account();
    account.ip_change.use_update = true;
    s = scene_new((scene_options){.account = &account});
    id = hand_called(&h, s);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(200));
    assert_non_null(hand_asked(&h, "UPDATE"));
    assert_non_null(strstr(hand_asked(&h, "UPDATE")->text, "c=IN IP4 " CELL));
    hand_answer(&h, hand_asked(&h, "UPDATE"), 405, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_ACCOUNT_REINVITE_CALLS, id));
    scene_free(s);
}

/* INFO with a digit in both formats; nonsense 400, an empty one 200; another body is given to the application. */
static void test_info(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    static const struct {
        const char *type, *body;
        unsigned status;
        char digit;
    } cases[] = {{"Content-Type: application/dtmf-relay\r\n", "Signal=5\r\nDuration=250\r\n", 200, '5'},
                 {"Content-Type: application/dtmf-relay\r\n", "Signal= # \r\n", 200, '#'},
                 {"Content-Type: application/dtmf\r\n", "7\r\n", 200, '7'},
                 {"Content-Type: application/dtmf-relay\r\n", "Signal=flash\r\n", 400, 0},
                 {"Content-Type: application/dtmf\r\n", "77", 400, 0},
                 {"Content-Type: text/plain\r\n", "7", 200, 0},
                 {"", "", 200, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_forget(s->agent);
        unsigned cseq = hand_request(&h, "INFO", 0, cases[i].type, cases[i].body);
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, cseq, "INFO"), cases[i].status);
        const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_DTMF);
        assert_int_equal(e ? e->digit : 0, cases[i].digit);
        if (e)
            assert_int_equal(e->duration_ms, i == 0 ? 250 : 160);
        assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INFO), strstr(cases[i].type, "text/plain") != NULL);
    }
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* Requests outside of a dialog: OPTIONS answered as an INVITE would be found; what we do not know 501, what we know and do not do 405, both with Allow; strangers to a dialog 481;
 * extensions we lack 420; bodies we cannot read 415; callees we do not have 404. */
static void test_other_requests(void **state)
{
    (void)state;
    scene *s = hand_scene();
    static const struct {
        const char *method, *headers, *body;
        unsigned status;
        const char *contains;
    } cases[] = {{"OPTIONS", "", "", 200, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"},
                 {"OPTIONS", "Accept: application/sdp\r\n", "", 200, "Accept: application/sdp"},
                 {"FROBNICATE", "", "", 501, "Allow: INVITE"},
                 {"SUBSCRIBE", "Event: presence\r\n", "", 405, "Allow: INVITE"},
                 {"MESSAGE", "Content-Type: text/plain\r\n", "hello", 200, "Allow: INVITE"},
                 {"NOTIFY", "Event: presence\r\nSubscription-State: active\r\n", "", 481, ""},
                 {"PUBLISH", "Event: presence\r\n", "", 405, "Allow: INVITE"},
                 {"BYE", "", "", 481, ""},
                 {"UPDATE", "", "", 481, ""},
                 {"INFO", "", "", 481, ""},
                 {"INVITE", "Require: teleport, 100rel, levitate\r\n", HAND_SDP, 420, "Unsupported: teleport, levitate\r\n"},
                 {"INVITE", "Content-Type: application/xml\r\n", "<x/>", 415, "Accept: application/sdp"},
                 {"INVITE", "", "nonsense", 400, ""},
                 {"INVITE", "", "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18\r\n", 488, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hand h;
        hand_begin(&h, s);
        unsigned cseq = hand_request(&h, cases[i].method, 0, cases[i].headers, cases[i].body);
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, cseq, cases[i].method), cases[i].status);
        assert_non_null(strstr(hand_response(&h, cseq, cases[i].method)->text, cases[i].contains));
        assert_int_equal(calls_of(s->agent), 0);
    }
    hand h;
    hand_begin(&h, s);
    snprintf(h.target, sizeof h.target, "sip:stranger@" WIFI);
    char text[1024];
    snprintf(text, sizeof text,
             "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKstranger;rport\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND ">;tag=x\r\n"
             "To: <sip:stranger@example.com>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:hand@" HAND ">\r\nContent-Length: 0\r\n\r\n",
             h.target, h.call_id);
    hand_inject(&h, text);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, 1, "INVITE"), 404);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 0);
    scene_free(s);
}

/* In a dialog: OPTIONS 200, unknown methods refused with Allow, wrong tags 481; the call does not mind. */
static void test_requests_in_dialog(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    unsigned options = hand_request(&h, "OPTIONS", 0, "", ""), frob = hand_request(&h, "FROBNICATE", 0, "", ""), publish = hand_request(&h, "PUBLISH", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, options, "OPTIONS"), 200);
    assert_int_equal(hand_status(&h, frob, "FROBNICATE"), 501);
    assert_int_equal(hand_status(&h, publish, "PUBLISH"), 405);
    hand spoof = h;
    snprintf(spoof.own_tag, sizeof spoof.own_tag, "other");
    unsigned bye = hand_request(&spoof, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&spoof, bye, "BYE"), 481);
    spoof = h;
    snprintf(spoof.agent_tag, sizeof spoof.agent_tag, "guess");
    bye = hand_request(&spoof, "BYE", 0, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&spoof, bye, "BYE"), 481);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* The callee is silent: INVITE retransmitted for 64*T1, then 408. It rings for ever: no end by itself, CANCEL when the user gives up, also when nobody answers that. */
static void test_silent_callee(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    hand_begin(&h, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_SECONDS(31));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CALLING);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(calls_of(s->agent), 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 408);
    id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(100));
    hand_answer(&h, hand_asked(&h, "INVITE"), 180, "", "");
    world_run(&s->world, ROAM_SECONDS(300));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
    hang_up(s->agent, id);
    world_run(&s->world, ROAM_MS(100));
    assert_non_null(hand_asked(&h, "CANCEL"));
    world_run(&s->world, ROAM_SECONDS(70));
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* A 200 without SDP, or with nothing in common: acknowledged and ended with BYE. One without Contact cannot be talked to: ended, no crash. */
static void test_bad_answers(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "nonsense", "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18\r\n"};
    for (size_t i = 0; i < 3; i++) {
        scene *s = hand_scene();
        hand h;
        hand_begin(&h, s);
        call_to(s->agent, s->account, "sip:hand@" HAND);
        world_run(&s->world, ROAM_MS(100));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", bodies[i]);
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_count(&h, "ACK"), 1);
        assert_int_equal(hand_count(&h, "BYE"), 1);
        hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(calls_of(s->agent), 0);
        scene_free(s);
    }
}

/* The peer takes the stream away (m=audio 0) and brings it back: the call lives, silent meanwhile, also over a move. */
static void test_stream_taken_away(void **state)
{
    (void)state;
    static const char gone[] = "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n";
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    unsigned cseq = hand_request(&h, "INVITE", 0, "", gone);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
    hand_request(&h, "ACK", cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).media.packets_sent, sent);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(200));
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "m=audio 0 "));
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", gone);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    hand_learn(&h, hand_asked(&h, "INVITE"), true);
    cseq = hand_request(&h, "INVITE", 0, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
    hand_request(&h, "ACK", cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
    scene_free(s);
}

/* The old hold, c=0.0.0.0, in a re-INVITE and in a first INVITE: nothing is sent to nowhere, and the call comes to life when an address follows. */
static void test_nowhere_address(void **state)
{
    (void)state;
    static const char nowhere[] = "v=0\r\no=h 1 2 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0\r\n";
    for (int first = 0; first < 2; first++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = hand_calls(&h, s, first ? nowhere : HAND_SDP, "");
        unsigned cseq;
        if (!first) {
            cseq = hand_request(&h, "INVITE", 0, "", nowhere);
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
            hand_request(&h, "ACK", cseq, "", "");
            world_run(&s->world, ROAM_MS(200));
        }
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_REMOTE);
        uint64_t sent = call_of(s->agent, id).media.packets_sent;
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s->agent, id).media.packets_sent, sent);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(200));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", nowhere);
        world_run(&s->world, ROAM_MS(200));
        hand_learn(&h, hand_asked(&h, "INVITE"), true);
        cseq = hand_request(&h, "INVITE", 0, "", HAND_SDP);
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
        hand_request(&h, "ACK", cseq, "", "");
        world_run(&s->world, ROAM_SECONDS(1));
        assert_true(call_of(s->agent, id).media.packets_sent >= sent + 40);
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        scene_free(s);
    }
}

/* A picture without an address, and no word about routes: what the host said of them before is older, so there is no path; nothing is asked for again and again. */
static void test_stale_routes(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    roam_network nothing = {0};
    s->agent->naddrs = 0;
    assert_int_equal(roam_network_update(s->agent->ua, s->world.now, &nothing), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(200));
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
    scene_free(s);
}

static void test_unwanted_answer_twice(void **state)
{
    /* Two branches of a fork answer. The second is nobody's: each copy of its 200 is acknowledged, one BYE goes out, again after a challenge, with a CSeq that rises. */
    (void)state;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    hand_begin(&h, s);
    call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    const seen *invite = hand_asked(&h, "INVITE");
    hand_learn(&h, invite, true);
    hand_answer(&h, invite, 200, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    size_t acks = hand_count(&h, "ACK");
    for (int i = 0; i < 3; i++) {
        hand_answer_tagged(&h, invite, 200, "another", "", HAND_SDP);
        world_run(&s->world, ROAM_MS(200));
    }
    assert_int_equal(hand_count(&h, "ACK"), acks + 3);
    assert_int_equal(hand_count(&h, "BYE"), 1);
    const seen *bye = hand_asked(&h, "BYE");
    assert_non_null(strstr(bye->text, "tag=another"));
    hand_answer_tagged(&h, bye, 407, "another", "Proxy-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\", algorithm=MD5\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "BYE"), 2);
    char first[32], second[32];
    hand_copy(bye->text, "\r\nCSeq: ", "\r", first, sizeof first);
    hand_copy(hand_asked(&h, "BYE")->text, "\r\nCSeq: ", "\r", second, sizeof second);
    assert_true(strtoul(second, NULL, 10) > strtoul(first, NULL, 10));
    scene_free(s);
}

/* After a move 491 says that the peer's own INVITE went to where we were. UPDATE without SDP tells it at once where we are, challenged or not; and it is not said twice. */
static void test_glare_after_move(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(100));
    hand_answer(&h, hand_asked(&h, "INVITE"), 491, "", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "UPDATE"), 1);
    assert_null(strstr(hand_asked(&h, "UPDATE")->text, "v=0"));
    assert_non_null(strstr(hand_asked(&h, "UPDATE")->text, "Contact: <sip:alice@" CELL));
    hand_answer(&h, hand_asked(&h, "UPDATE"), 401, "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", algorithm=MD5\r\n", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "UPDATE"), 2);
    assert_non_null(strstr(hand_asked(&h, "UPDATE")->text, "nonce=\"n1\""));
    hand_answer(&h, hand_asked(&h, "UPDATE"), 200, "", "");
    world_run(&s->world, ROAM_SECONDS(5));
    hand_answer(&h, hand_asked(&h, "INVITE"), 491, "", "");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "UPDATE"), 2);
    unsigned cseq = hand_request(&h, "INVITE", 0, "", HAND_SDP); /* the peer's next try finds us */
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* A BYE that a hop refuses for now leaves again, after 0.5, 1, 2, 4, 8 s and no more; a path that comes meanwhile is used at once. A hold that was to be tried again later does not keep it waiting. */
static void test_bye_again(void **state)
{
    (void)state;
    for (int move = 0; move < 2; move++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = hand_called(&h, s);
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(60));
        hand_answer(&h, hand_asked(&h, "INVITE"), 503, "Retry-After: 20\r\n", "");
        world_run(&s->world, ROAM_MS(60));
        hang_up(s->agent, id);
        world_run(&s->world, ROAM_MS(60));
        assert_int_equal(hand_count(&h, "BYE"), 1);
        for (size_t n = 1; n < 6; n++) {
            hand_answer(&h, hand_asked(&h, "BYE"), n % 2 ? 403 : 503, "", "");
            world_run(&s->world, ROAM_MS(60));
            assert_int_equal(hand_count(&h, "BYE"), n);
            if (move && n == 3)
                set_addrs(s, scene_cell);
            world_run(&s->world, move && n == 3 ? ROAM_MS(100) : ROAM_MS(500) << (n - 1));
            assert_int_equal(hand_count(&h, "BYE"), n + 1);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_DISCONNECTING);
        }
        hand_answer(&h, hand_asked(&h, "BYE"), move ? 200 : 503, "", "");
        world_run(&s->world, ROAM_SECONDS(20));
        assert_int_equal(hand_count(&h, "BYE"), 6);
        assert_int_equal(calls_of(s->agent), 0);
        scene_free(s);
    }
}

static void test_answer_after_good_bye(void **state)
{
    /* We refreshed the call and hung up. A late copy of the refresh's 200 comes when the BYE is answered: it is acknowledged, and no second BYE is sent in that dialog. */
    (void)state;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    roam_call_id id = hand_called(&h, s);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    const seen *refresh = hand_asked(&h, "INVITE");
    hand_answer(&h, refresh, 200, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    hand_answer(&h, refresh, 200, "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "BYE"), 1);
    scene_free(s);
}

static void test_good_bye_behind_an_update(void **state)
{
    /* It rang, we moved and told the callee so by UPDATE in the early dialog, then the other branch answered. The first one answers late: the BYE to it has a CSeq above
     * the UPDATE's. */
    (void)state;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    hand_begin(&h, s);
    call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    const seen *invite = hand_asked(&h, "INVITE");
    hand_learn(&h, invite, true);
    hand_answer_tagged(&h, invite, 180, "one", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: replaces\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    static const char *const both[] = {CELL, WIFI, NULL};
    set_addrs(s, both);
    world_run(&s->world, ROAM_MS(200));
    const seen *update = hand_asked(&h, "UPDATE");
    assert_non_null(update);
    hand_answer_tagged(&h, update, 200, "one", "", "");
    world_run(&s->world, ROAM_MS(200));
    hand_answer_tagged(&h, invite, 200, "two", "", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    hand_answer_tagged(&h, invite, 200, "one", "", HAND_SDP);
    world_run(&s->world, ROAM_MS(300));
    const seen *bye = hand_asked(&h, "BYE");
    assert_non_null(bye);
    assert_non_null(strstr(bye->text, "tag=one"));
    char told[32], last[32];
    hand_copy(update->text, "\r\nCSeq: ", "\r", told, sizeof told);
    hand_copy(bye->text, "\r\nCSeq: ", "\r", last, sizeof last);
    assert_true(strtoul(last, NULL, 10) > strtoul(told, NULL, 10));
    scene_free(s);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unwanted_answer_twice),
        cmocka_unit_test(test_answer_after_good_bye),
        cmocka_unit_test(test_good_bye_behind_an_update),
        cmocka_unit_test(test_early_media),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_delayed_offer),
        cmocka_unit_test(test_no_ack),
        cmocka_unit_test(test_lost_ack),
        cmocka_unit_test(test_glare),
        cmocka_unit_test(test_glare_after_move),
        cmocka_unit_test(test_bye_again),
        cmocka_unit_test(test_refresh_refused),
        cmocka_unit_test(test_bad_reinvites),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_other_requests),
        cmocka_unit_test(test_requests_in_dialog),
        cmocka_unit_test(test_silent_callee),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_stream_taken_away),
        cmocka_unit_test(test_nowhere_address),
        cmocka_unit_test(test_stale_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

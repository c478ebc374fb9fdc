/* Transfers, both roles, with a far end moved by hand: REFER and its refusals, the news by NOTIFY, blind and attended, over a move, after the end of the call; and what an enemy makes of it. */
#include "hand.h"

#define REFER_EVENT "Event: refer\r\nContent-Type: message/sipfrag;version=2.0\r\n"
#define TARGET "sip:target@" HAND

static scene *hand_scene(void)
{
    static roam_account_config account;
    account = hand_account();
    return scene_new((scene_options){.account = &account});
}

static void wait_ms(scene *s, unsigned ms)
{
    world_run(&s->world, ROAM_MS(ms));
}

static roam_ua_counters counters_of(const scene *s)
{
    roam_ua_counters c;
    roam_ua_get_counters(s->agent->ua, &c);
    return c;
}

/* The peer's NOTIFY; `code` 0: without body. Returns the status of our answer. */
static unsigned tell(hand *h, unsigned code, bool last, const char *more)
{
    char headers[300], body[64] = "";
    snprintf(headers, sizeof headers, REFER_EVENT "Subscription-State: %s\r\n%s", last ? "terminated;reason=noresource" : "active;expires=120", more);
    if (code)
        snprintf(body, sizeof body, "SIP/2.0 %u Whatever\r\n", code);
    unsigned cseq = hand_request(h, "NOTIFY", 0, headers, body);
    wait_ms(h->s, 200);
    return hand_status(h, cseq, "NOTIFY");
}

static void assert_told(const scene *s, roam_transfer_state state, int code)
{
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_TRANSFER);
    assert_non_null(e);
    assert_int_equal(e->transfer, state);
    assert_int_equal(e->sip_code, code);
}

static void transfer(scene *s, roam_call_id id, const char *target)
{
    assert_int_equal(roam_call_transfer(s->agent->ua, id, target), 0);
    world_flush(s->agent);
    wait_ms(s, 200);
}

static void assert_alive(const scene *s, roam_call_id id)
{
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
}

/* ---- we ask ---- */

/* A blind transfer: REFER in the dialog says whom, and who asks; 202, then the news up to the target's 200. The peer hangs up. */
static void test_blind(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    transfer(s, id, "carol");
    assert_told(s, ROAM_TRANSFER_PENDING, 0);
    const seen *refer = hand_asked(&h, "REFER");
    assert_non_null(refer);
    assert_non_null(strstr(refer->text, "\r\nRefer-To: <sip:carol@example.com>\r\n"));
    assert_non_null(strstr(refer->text, "\r\nReferred-By: <sip:alice@example.com>\r\n"));
    assert_non_null(strstr(refer->text, "\r\nContact: <sip:alice@"));
    assert_int_equal(roam_call_transfer(s->agent->ua, id, "dave"), ROAM_ESTATE); /* one at a time */
    hand_answer(&h, refer, 202, "", "");
    wait_ms(s, 200);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 202);
    assert_int_equal(tell(&h, 100, false, ""), 200);
    assert_int_equal(tell(&h, 180, false, ""), 200);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 180);
    assert_int_equal(tell(&h, 200, true, ""), 200);
    assert_told(s, ROAM_TRANSFER_DONE, 200);
    assert_int_equal(tell(&h, 200, true, ""), 481); /* it was the last one */
    assert_alive(s, id);
    unsigned cseq = hand_request(&h, "BYE", 0, "", "");
    wait_ms(s, 200);
    assert_int_equal(hand_status(&h, cseq, "BYE"), 200);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
    assert_int_equal(counters_of(s).calls, 0);
    scene_free(s);
}

/* An attended one: the REFER names the other call's peer, and the dialog to be replaced as that peer knows it, escaped (RFC 3261 19.1.4, RFC 5589 7.3). */
static void test_attended(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, other;
    roam_call_id id = hand_called(&h, s);
    hand_begin(&other, s);
    snprintf(other.call_id, sizeof other.call_id, "a+b/c%%d@x"); /* some of it has to be escaped, some not */
    unsigned cseq = hand_request(&other, "INVITE", 0, "", HAND_SDP);
    wait_ms(s, 200);
    roam_call_id second = world_last(s->agent, ROAM_EVENT_CALL_INCOMING)->call;
    assert_int_equal(roam_call_transfer_to_call(s->agent->ua, id, second), ROAM_ESTATE); /* it is not answered yet */
    assert_int_equal(roam_call_answer(s->agent->ua, second, NULL), 0);
    world_flush(s->agent);
    wait_ms(s, 200);
    hand_learn(&other, hand_response(&other, cseq, "INVITE"), false);
    hand_request(&other, "ACK", cseq, "", "");
    wait_ms(s, 200);
    assert_int_equal(roam_call_transfer_to_call(s->agent->ua, id, id), ROAM_EINVAL);
    assert_int_equal(roam_call_transfer_to_call(s->agent->ua, id, 999), ROAM_ENOTFOUND);
    assert_int_equal(roam_call_transfer_to_call(s->agent->ua, id, second), 0);
    world_flush(s->agent);
    wait_ms(s, 200);
    char wanted[400];
    snprintf(wanted, sizeof wanted, "\r\nRefer-To: <sip:hand@" HAND "?Replaces=a+b/c%%25d%%40x%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s>\r\n", other.own_tag, other.agent_tag);
    assert_non_null(strstr(hand_asked(&h, "REFER")->text, wanted));
    assert_non_null(strstr(hand_asked(&h, "REFER")->text, h.call_id));
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    wait_ms(s, 200);
    assert_int_equal(tell(&h, 200, true, ""), 200);
    assert_told(s, ROAM_TRANSFER_DONE, 200);
    scene_free(s);
}

/* A challenge is answered with the next CSeq; a refusal ends the transfer and nothing else, and the next one may begin. Its NOTIFYs name its CSeq. */
static void test_challenge_and_refusals(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    transfer(s, id, TARGET);
    hand_answer(&h, hand_asked(&h, "REFER"), 401, "WWW-Authenticate: Digest realm=\"hand\", nonce=\"n1\", qop=\"auth\"\r\n", "");
    wait_ms(s, 200);
    assert_int_equal(hand_count(&h, "REFER"), 2);
    assert_non_null(strstr(hand_asked(&h, "REFER")->text, "nonce=\"n1\""));
    hand_answer(&h, hand_asked(&h, "REFER"), 603, "", "");
    wait_ms(s, 200);
    assert_told(s, ROAM_TRANSFER_FAILED, 603);
    assert_alive(s, id);
    static const unsigned codes[] = {302, 405, 481, 503};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        transfer(s, id, TARGET);
        hand_answer(&h, hand_asked(&h, "REFER"), codes[i], "", "");
        wait_ms(s, 200);
        assert_told(s, ROAM_TRANSFER_FAILED, (int)codes[i]);
        assert_alive(s, id);
    }
    transfer(s, id, TARGET); /* nobody answers: Timer F */
    world_run(&s->world, ROAM_SECONDS(33));
    assert_told(s, ROAM_TRANSFER_FAILED, 408);
    transfer(s, id, TARGET); /* accepted, the target is busy */
    char cseq[12], event[160];
    hand_copy(hand_asked(&h, "REFER")->text, "\r\nCSeq: ", " ", cseq, sizeof cseq);
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    wait_ms(s, 200);
    snprintf(event, sizeof event, "Event: refer;id=%s\r\nContent-Type: message/sipfrag\r\nSubscription-State: terminated\r\n", cseq);
    hand_request(&h, "NOTIFY", 0, event, "SIP/2.0 486 Busy Here\r\n");
    wait_ms(s, 200);
    assert_told(s, ROAM_TRANSFER_FAILED, 486);
    assert_alive(s, id);
    scene_free(s);
}

/* A NOTIFY that overtakes the 202 counts. One that accepts without a subscription (RFC 4488) is believed. One that falls silent is given up, and says so. */
static void test_odd_acceptance(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    transfer(s, id, TARGET);
    const seen refer = *hand_asked(&h, "REFER");
    assert_int_equal(tell(&h, 180, false, ""), 200);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 180);
    hand_answer(&h, &refer, 202, "", "");
    wait_ms(s, 200);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 180);
    assert_int_equal(tell(&h, 404, false, ""), 200);
    assert_told(s, ROAM_TRANSFER_FAILED, 404);
    assert_int_equal(tell(&h, 404, true, ""), 200); /* the late end of it */

    transfer(s, id, TARGET);
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "Refer-Sub: false\r\n", "");
    wait_ms(s, 200);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 202);
    assert_int_equal(tell(&h, 180, false, ""), 481);

    transfer(s, id, TARGET);
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    world_run(&s->world, ROAM_SECONDS(30));
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 202);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_told(s, ROAM_TRANSFER_FAILED, 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_TRANSFER)->status, ROAM_ETIMEOUT);

    transfer(s, id, TARGET); /* the subscription ends before the target answered */
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    wait_ms(s, 200);
    assert_int_equal(tell(&h, 180, true, ""), 200);
    assert_told(s, ROAM_TRANSFER_FAILED, 0);
    assert_alive(s, id);
    scene_free(s);
}

/* The address changes while the REFER is out: the call is refreshed first, then the REFER goes again with a higher CSeq; a NOTIFY in between shows that the first one arrived, and it is not repeated. */
static void test_refer_moves(void **state)
{
    (void)state;
    for (int notified = 0; notified < 2; notified++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = hand_called(&h, s);
        transfer(s, id, TARGET);
        assert_int_equal(hand_count(&h, "REFER"), 1);
        set_addrs(s, scene_cell);
        wait_ms(s, 300);
        const seen *again = hand_asked(&h, "INVITE");
        assert_non_null(strstr(again->text, CELL));
        assert_int_equal(hand_count(&h, "REFER"), 1); /* it waits for the refresh */
        if (notified)
            assert_int_equal(tell(&h, 100, false, ""), 200);
        hand_answer(&h, again, 200, "", HAND_SDP);
        wait_ms(s, 300);
        assert_int_equal(hand_count(&h, "REFER"), notified ? 1 : 2);
        if (!notified) {
            assert_non_null(strstr(hand_asked(&h, "REFER")->text, CELL));
            hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
            wait_ms(s, 200);
        }
        assert_int_equal(tell(&h, 200, true, ""), 200);
        assert_told(s, ROAM_TRANSFER_DONE, 200);
        assert_alive(s, id);
        scene_free(s);
    }
}

/* No network when the transfer is asked for: it waits for one. The call given up for good: the transfer failed. */
static void test_refer_offline(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    set_addrs(s, scene_none);
    wait_ms(s, 500);
    assert_int_equal(roam_call_transfer(s->agent->ua, id, TARGET), 0);
    world_flush(s->agent);
    wait_ms(s, 2000);
    assert_int_equal(hand_count(&h, "REFER"), 0);
    set_addrs(s, scene_cell);
    wait_ms(s, 300);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP);
    wait_ms(s, 300);
    assert_int_equal(hand_count(&h, "REFER"), 1);
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    wait_ms(s, 200);
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(62));
    assert_told(s, ROAM_TRANSFER_FAILED, 0);
    assert_int_equal(counters_of(s).calls, 0);
    scene_free(s);
}

/* The user hangs up as soon as the peer has accepted; the news still comes (RFC 5057: the subscription outlives the call), over a move too, which a SUBSCRIBE tells. */
static void test_news_after_hangup(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    size_t blocks = counters_of(s).memory_blocks;
    transfer(s, id, TARGET);
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    wait_ms(s, 200);
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    wait_ms(s, 200);
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    wait_ms(s, 200);
    assert_int_equal(counters_of(s).calls, 0);
    assert_int_equal(roam_call_transfer(s->agent->ua, id, TARGET), ROAM_ENOTFOUND);
    assert_int_equal(tell(&h, 180, false, ""), 200);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 180);
    unsigned cseq = hand_request(&h, "INVITE", 0, "", HAND_SDP); /* the call itself is over */
    wait_ms(s, 200);
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 481);
    set_addrs(s, scene_cell);
    wait_ms(s, 300);
    const seen *subscribe = hand_asked(&h, "SUBSCRIBE");
    assert_non_null(subscribe);
    assert_non_null(strstr(subscribe->text, "\r\nContact: <sip:alice@" CELL));
    hand_answer(&h, subscribe, 200, "Expires: 120\r\n", "");
    wait_ms(s, 200);
    hand_copy(subscribe->text, "\r\nContact: <", ">", h.target, sizeof h.target);
    assert_int_equal(tell(&h, 200, true, ""), 200);
    assert_told(s, ROAM_TRANSFER_DONE, 200);
    assert_int_equal(tell(&h, 200, true, ""), 481);
    world_run(&s->world, ROAM_SECONDS(70));
    assert_true(counters_of(s).memory_blocks < blocks);
    scene_free(s);
}

/* ---- we are asked ---- */

static unsigned refer(hand *h, const char *headers)
{
    unsigned cseq = hand_request(h, "REFER", 0, headers, "");
    wait_ms(h->s, 200);
    return hand_status(h, cseq, "REFER");
}

/* Our last NOTIFY says so; it is answered. */
static void hear(hand *h, unsigned code, const char *subscription)
{
    char line[64];
    const seen *e = hand_asked(h, "NOTIFY");
    assert_non_null(e);
    snprintf(line, sizeof line, "\r\n\r\nSIP/2.0 %u ", code);
    assert_non_null(strstr(e->text, line));
    assert_non_null(strstr(e->text, "\r\nContent-Type: message/sipfrag;version=2.0\r\n"));
    snprintf(line, sizeof line, "\r\nSubscription-State: %s", subscription);
    assert_non_null(strstr(e->text, line));
    hand_answer(h, e, 200, "", "");
    wait_ms(h->s, 200);
}

static roam_call_id accept_transfer(scene *s, roam_call_id id)
{
    roam_call_id new_id = 0;
    assert_int_equal(roam_call_transfer_accept(s->agent->ua, id, NULL, &new_id), 0);
    world_flush(s->agent);
    wait_ms(s, 200);
    return new_id;
}

/* The peer asks, attended: 202, 100 at once, the application accepts; the INVITE has Referred-By and Replaces; each step is told, the last one ends the subscription. */
static void test_asked(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, target;
    roam_call_id id = hand_called(&h, s);
    assert_int_equal(refer(&h, "Refer-To: <" TARGET ";x=1;method=INVITE?Replaces=abc%40d%3Bto-tag%3Dt1%3Bfrom-tag%3Df1&Subject=evil>\r\nReferred-By: \"H\"\r\n <sip:hand@" HAND ">\r\n"),
                     202);
    hear(&h, 100, "active;expires=");
    assert_null(strstr(hand_asked(&h, "NOTIFY")->text, ";id="));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_TRANSFER_REQUESTED);
    assert_non_null(e);
    assert_int_equal(e->call, id);
    hand_begin(&target, s);
    roam_call_id new_id = accept_transfer(s, id);
    assert_int_not_equal(new_id, id);
    const seen *invite = hand_asked(&h, "INVITE");
    assert_non_null(strstr(invite->text, "INVITE " TARGET ";x=1 SIP/2.0\r\n"));
    assert_non_null(strstr(invite->text, "\r\nReplaces: abc@d;to-tag=t1;from-tag=f1\r\n"));
    assert_non_null(strstr(invite->text, "\r\nReferred-By: \"H\""));
    assert_null(strstr(invite->text, "Subject"));
    const seen ringing = *invite;
    hand_answer_tagged(&target, &ringing, 180, "tt", "", "");
    wait_ms(s, 200);
    hear(&h, 180, "active;expires=");
    hand_answer_tagged(&target, &ringing, 200, "tt", "", HAND_SDP);
    wait_ms(s, 200);
    hear(&h, 200, "terminated;reason=noresource");
    assert_alive(s, id); /* it is the peer's, or the application's, to end it (RFC 5589 6) */
    assert_alive(s, new_id);
    assert_int_equal(hand_count(&h, "NOTIFY"), 3);
    assert_int_equal(roam_call_transfer_accept(s->agent->ua, id, NULL, NULL), ROAM_ESTATE);
    scene_free(s);
}

/* Refused by the application, not decided in time, refused by the target, no such host: the peer hears it, and the call goes on. From the second REFER on NOTIFYs name the CSeq. */
static void test_asked_in_vain(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, target;
    roam_call_id id = hand_called(&h, s);
    hand_begin(&target, s);
    assert_int_equal(refer(&h, "Refer-To: " TARGET "\r\n"), 202);
    hear(&h, 100, "active");
    assert_int_equal(roam_call_transfer_reject(s->agent->ua, id, 200), ROAM_EINVAL);
    assert_int_equal(roam_call_transfer_reject(s->agent->ua, id, 0), 0);
    world_flush(s->agent);
    wait_ms(s, 200);
    hear(&h, 603, "terminated;reason=noresource");

    unsigned cseq = hand_request(&h, "REFER", 0, "Refer-To: <" TARGET ">\r\n", "");
    wait_ms(s, 200);
    hear(&h, 100, "active");
    char id_text[32];
    snprintf(id_text, sizeof id_text, "\r\nEvent: refer;id=%u\r\n", cseq);
    assert_non_null(strstr(hand_asked(&h, "NOTIFY")->text, id_text));
    assert_int_equal(refer(&h, "Refer-To: <sip:another@" HAND ">\r\n"), 491); /* one wish at a time */
    world_run(&s->world, ROAM_SECONDS(61));
    hear(&h, 603, "terminated");

    assert_int_equal(refer(&h, "Refer-To: <" TARGET ">\r\n"), 202);
    hear(&h, 100, "active");
    accept_transfer(s, id);
    hand_answer_tagged(&target, hand_asked(&h, "INVITE"), 486, "tt", "", "");
    wait_ms(s, 200);
    hear(&h, 486, "terminated");

    assert_int_equal(refer(&h, "Refer-To: <sip:x@nowhere.invalid>\r\n"), 202);
    hear(&h, 100, "active");
    accept_transfer(s, id);
    world_run(&s->world, ROAM_SECONDS(1));
    hear(&h, 404, "terminated");

    assert_int_equal(refer(&h, "Refer-To: <" TARGET ">\r\nRefer-Sub: false\r\n"), 202); /* RFC 4488: nobody wants to be told */
    size_t told = hand_count(&h, "NOTIFY");
    assert_non_null(strstr(hand_response(&h, h.cseq, "REFER")->text, "\r\nRefer-Sub: false\r\n"));
    accept_transfer(s, id);
    hand_answer_tagged(&target, hand_asked(&h, "INVITE"), 200, "tt", "", HAND_SDP);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(hand_count(&h, "NOTIFY"), told);
    assert_alive(s, id);
    scene_free(s);
}

/* REFERs that cannot be: nothing, two, no URI, another scheme, another method, a Replaces that would break out of its line; and one outside of a call. */
static void test_refused_refers(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        unsigned status;
    } rows[] = {
        {"", 400},
        {"Refer-To: <sip:a@" HAND ">\r\nRefer-To: <sip:b@" HAND ">\r\n", 400},
        {"Refer-To: <sip:a@" HAND ">, <sip:b@" HAND ">\r\n", 400},
        {"Refer-To: nonsense\r\n", 400},
        {"Refer-To: *\r\n", 400},
        {"Refer-To: <http://example.com/>\r\n", 416},
        {"Refer-To: <tel:+123>\r\n", 416},
        {"Refer-To: <sip:a@" HAND ";method=BYE>\r\n", 403},
        {"Refer-To: <sip:a@" HAND "?Replaces=x%0D%0AEvil:%201%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n", 400},
        {"Refer-To: <sip:a@" HAND "?Replaces=x%3Bto-tag%3D1>\r\n", 400},
        {"Refer-To: <sip:a@" HAND "?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n", 400},
    };
    scene *s = hand_scene();
    hand h, stranger;
    roam_call_id id = hand_called(&h, s);
    size_t blocks = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(refer(&h, rows[i].headers), rows[i].status);
        world_run(&s->world, ROAM_SECONDS(40));
        if (i == 0)
            blocks = counters_of(s).memory_blocks;
    }
    assert_int_equal(counters_of(s).memory_blocks, blocks);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_TRANSFER_REQUESTED), 0);
    hand_begin(&stranger, s);
    assert_int_equal(refer(&stranger, "Refer-To: <" TARGET ">\r\n"), 403);
    assert_alive(s, id);
    scene_free(s);
}

/* The address changes while a NOTIFY is out: it is told again from the new one, once the refresh is answered. Our REFERring peer moved too: the same REFER again is the same wish, not a second call. */
static void test_asked_moves(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, target;
    roam_call_id id = hand_called(&h, s);
    hand_begin(&target, s);
    assert_int_equal(refer(&h, "Refer-To: <" TARGET ">\r\n"), 202);
    assert_non_null(hand_asked(&h, "NOTIFY")); /* never answered */
    set_addrs(s, scene_cell);
    wait_ms(s, 300);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, "", HAND_SDP);
    wait_ms(s, 300);
    assert_non_null(strstr(hand_asked(&h, "NOTIFY")->text, "\r\nContact: <sip:alice@" CELL));
    hear(&h, 100, "active");
    assert_int_equal(refer(&h, "Refer-To: <" TARGET ">\r\n"), 202);
    hear(&h, 100, "active");
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_TRANSFER_REQUESTED), 1);
    accept_transfer(s, id);
    size_t invites = hand_count(&h, "INVITE");
    assert_int_equal(refer(&h, "Refer-To: <" TARGET ">\r\n"), 202);
    hear(&h, 100, "active");
    assert_int_equal(hand_count(&h, "INVITE"), invites);
    hand_answer_tagged(&target, hand_asked(&h, "INVITE"), 200, "tt", "", HAND_SDP);
    wait_ms(s, 200);
    hear(&h, 200, "terminated");
    scene_free(s);
}

/* The peer hangs up right after its REFER, as many do, and the user decides later: still called, still told, over a move too. Nothing is left afterwards. */
static void test_asked_and_hung_up(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, target;
    roam_call_id id = hand_called(&h, s);
    hand_begin(&target, s);
    assert_int_equal(refer(&h, "Refer-To: <" TARGET ">\r\n"), 202);
    hear(&h, 100, "active");
    unsigned cseq = hand_request(&h, "BYE", 0, "", "");
    wait_ms(s, 200);
    assert_int_equal(hand_status(&h, cseq, "BYE"), 200);
    assert_int_equal(counters_of(s).calls, 0);
    roam_call_id new_id = accept_transfer(s, id);
    hand_answer_tagged(&target, hand_asked(&h, "INVITE"), 180, "tt", "", "");
    wait_ms(s, 200);
    hear(&h, 180, "active");
    const seen invite = *hand_asked(&h, "INVITE");
    size_t told = hand_count(&h, "NOTIFY");
    hand_answer_tagged(&target, &invite, 200, "tt", "", HAND_SDP);
    wait_ms(s, 60); /* our NOTIFY of the 200 is on its way */
    set_addrs(s, scene_cell);
    wait_ms(s, 300);
    assert_true(hand_count(&h, "NOTIFY") > told);
    assert_non_null(strstr(hand_asked(&h, "NOTIFY")->text, "\r\nContact: <sip:alice@" CELL));
    hear(&h, 200, "terminated");
    assert_alive(s, new_id);
    cseq = hand_request(&h, "SUBSCRIBE", 0, "Event: refer\r\nExpires: 60\r\n", "");
    wait_ms(s, 200);
    assert_int_equal(hand_status(&h, cseq, "SUBSCRIBE"), 481);
    scene_free(s);
}

/* The peer renews its subscription and gets the state, then ends it and hears no more; the call to the target goes on. A NOTIFY that nobody wants (481) ends it as well. */
static void test_subscriber(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h, target;
    roam_call_id id = hand_called(&h, s);
    hand_begin(&target, s);
    for (int refused = 0; refused < 2; refused++) {
        char renew[80], end[80];
        unsigned cseq = hand_request(&h, "REFER", 0, "Refer-To: <" TARGET ">\r\n", "");
        wait_ms(s, 200);
        snprintf(renew, sizeof renew, "Event: refer;id=%u\r\nExpires: 60\r\n", cseq);
        snprintf(end, sizeof end, "Event: refer;id=%u\r\nExpires: 0\r\n", cseq);
        hear(&h, 100, "active");
        roam_call_id new_id = accept_transfer(s, id);
        size_t told = hand_count(&h, "NOTIFY");
        if (!refused) {
            cseq = hand_request(&h, "SUBSCRIBE", 0, renew, "");
            wait_ms(s, 200);
            assert_int_equal(hand_status(&h, cseq, "SUBSCRIBE"), 200);
            assert_int_equal(hand_count(&h, "NOTIFY"), told + 1);
            hear(&h, 100, "active");
            cseq = hand_request(&h, "SUBSCRIBE", 0, end, "");
            wait_ms(s, 200);
            assert_int_equal(hand_status(&h, cseq, "SUBSCRIBE"), 200);
            hear(&h, 100, "terminated;reason=timeout");
        } else {
            hand_answer_tagged(&target, hand_asked(&h, "INVITE"), 180, "tt", "", "");
            wait_ms(s, 200);
            hand_answer(&h, hand_asked(&h, "NOTIFY"), 481, "", "");
            wait_ms(s, 200);
        }
        told = hand_count(&h, "NOTIFY");
        hand_answer_tagged(&target, hand_asked(&h, "INVITE"), 200, "tt", "", HAND_SDP);
        wait_ms(s, 500);
        assert_int_equal(hand_count(&h, "NOTIFY"), told);
        assert_alive(s, new_id);
        assert_alive(s, id);
    }
    scene_free(s);
}

/* ---- enemies ---- */

/* Floods of REFERs and NOTIFYs in a call, a Refer-To of 60 KiB, fragments of nonsense: refused, counted, no growth; the call is unharmed. */
static void test_enemy(void **state)
{
    (void)state;
    static const char *const fragments[] = {"SIP/2.0 99 x\r\n", "SIP/2.0 700 x\r\n", "SIP/2.0 2000 x\r\n", "SIP/2.0 20", "HTTP/1.1 200 OK\r\n", "\r\nSIP/2.0 200 OK\r\n", "SIP/2.0 -20 x", "\x01\xff\xfe"};
    scene *s = hand_scene();
    hand h;
    roam_call_id id = hand_called(&h, s);
    transfer(s, id, TARGET);
    hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
    wait_ms(s, 200);
    for (size_t i = 0; i < sizeof fragments / sizeof *fragments; i++) {
        unsigned cseq = hand_request(&h, "NOTIFY", 0, REFER_EVENT "Subscription-State: active\r\n", fragments[i]);
        wait_ms(s, 200);
        assert_int_equal(hand_status(&h, cseq, "NOTIFY"), 400);
    }
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 202);
    static const struct {
        const char *headers;
        unsigned status;
    } rows[] = {
        {"Event: presence\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n", 489},
        {"Subscription-State: active\r\nContent-Type: message/sipfrag\r\n", 489},
        {"Event: refer;id=1\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n", 481},
        {"Event: refer;id=x\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n", 481},
        {"Event: refer\r\nContent-Type: message/sipfrag\r\n", 400},
        {"Event: refer\r\nSubscription-State: active\r\nContent-Type: text/plain\r\n", 415},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned cseq = hand_request(&h, "NOTIFY", 0, rows[i].headers, "SIP/2.0 200 OK\r\n");
        wait_ms(s, 200);
        assert_int_equal(hand_status(&h, cseq, "NOTIFY"), rows[i].status);
    }
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 202);

    static char headers[61000], text[64000];
    for (unsigned round = 0; round < 4; round++) { /* user, parameters, headers of the URI; the display name */
        size_t n = (size_t)snprintf(headers, sizeof headers, "%s", round == 0 ? "Refer-To: <sip:" : round == 1 ? "Refer-To: <" TARGET ";p=" : round == 2 ? "Refer-To: <" TARGET "?Replaces=" : "Refer-To: \"");
        memset(headers + n, 'a', 60000);
        snprintf(headers + n + 60000, sizeof headers - n - 60000, "%s", round == 0 ? "@" HAND ">\r\n" : round == 3 ? "\" <" TARGET ">\r\n" : ">\r\n");
        snprintf(text, sizeof text,
                 "REFER %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKbig%u;rport\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND ">;tag=%s\r\nTo: <sip:alice@example.com>;tag=%s\r\n"
                 "Call-ID: %s\r\nCSeq: %u REFER\r\nContact: <sip:hand@" HAND ":5060>\r\n%sContent-Length: 0\r\n\r\n",
                 h.target, round, h.own_tag, h.agent_tag, h.call_id, ++h.cseq, headers);
        hand_inject(&h, text);
        wait_ms(s, 200);
        unsigned status = hand_status(&h, h.cseq, "REFER");
        assert_true(round == 3 ? status == 202 : status == 400 || status == 414);
    }
    world_run(&s->world, ROAM_SECONDS(100)); /* the one with a long name was decided by nobody */
    size_t blocks = counters_of(s).memory_blocks;
    for (unsigned i = 0; i < 300; i++) {
        char to[80];
        snprintf(to, sizeof to, "Refer-To: <sip:u%u@" HAND ">\r\n", i);
        hand_request(&h, "REFER", 0, to, "");
        hand_request(&h, "NOTIFY", 0, REFER_EVENT "Subscription-State: active\r\n", "SIP/2.0 180 Ringing\r\n");
        if (i % 50 == 0)
            wait_ms(s, 100);
    }
    wait_ms(s, 300);
    assert_true(world_count(s->agent, ROAM_EVENT_CALL_TRANSFER_REQUESTED) <= 2);
    world_run(&s->world, ROAM_SECONDS(400));
    assert_true(counters_of(s).memory_blocks <= blocks);
    assert_alive(s, id);
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

/* Memory is refused, every second time to every 38th: nothing crashes, nothing leaks. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t every = 2; every < 40; every += 3) {
        scarce m = {0};
        const roam_allocator allocator = {.realloc = scarce_realloc, .user = &m};
        roam_ua_config config;
        roam_account_config account = hand_account();
        roam_ua_config_default(&config);
        config.allocator = &allocator;
        scene *s = scene_new((scene_options){.account = &account, .agent = &config});
        hand h, target;
        roam_call_id id = hand_called(&h, s);
        hand_begin(&target, s);
        m.refuse_at = every;
        roam_call_transfer(s->agent->ua, id, TARGET);
        world_flush(s->agent);
        wait_ms(s, 700);
        if (hand_asked(&h, "REFER"))
            hand_answer(&h, hand_asked(&h, "REFER"), 202, "", "");
        hand_request(&h, "REFER", 0, "Refer-To: <" TARGET ">\r\nReferred-By: <sip:h@" HAND ">\r\n", "");
        hand_request(&h, "NOTIFY", 0, REFER_EVENT "Subscription-State: active\r\n", "SIP/2.0 180 Ringing\r\n");
        wait_ms(s, 700);
        roam_call_transfer_accept(s->agent->ua, id, NULL, NULL);
        world_flush(s->agent);
        wait_ms(s, 700);
        hand_request(&h, "BYE", 0, "", "");
        wait_ms(s, 700);
        m.refuse_at = 0;
        world_run(&s->world, ROAM_SECONDS(5));
        scene_free(s);
    }
}

/* ---- two agents ---- */

/* roam to roam, the transferred agent moves while its target rings: one call there at the end, and the transferor knows. */
static void test_roam_to_roam(void **state)
{
    (void)state;
    static const char *const carol_wifi[] = {"10.1.0.9", NULL}, *const carol_cell[] = {"10.2.0.9", NULL};
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_SECONDS(3)};
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_account_id account;
    sim_node *carol = world_agent(&s->world, "carol", NULL);
    world_set_addrs(carol, carol_wifi);
    roam_account_config config = scene_account("sip:carol@example.com", "third");
    assert_int_equal(roam_account_add(carol->ua, &config, &account), 0);
    world_flush(carol);
    world_run(&s->world, ROAM_SECONDS(2));
    roam_call_id id = call_to(s->agent, s->account, "carol");
    wait_ms(s, 500);
    roam_call_id theirs = world_last(carol, ROAM_EVENT_CALL_INCOMING)->call;
    assert_int_equal(roam_call_answer(carol->ua, theirs, NULL), 0);
    world_flush(carol);
    wait_ms(s, 500);
    assert_alive(s, id);
    transfer(s, id, "bob");
    wait_ms(s, 300);
    assert_non_null(world_last(carol, ROAM_EVENT_CALL_TRANSFER_REQUESTED));
    roam_call_id new_id;
    assert_int_equal(roam_call_transfer_accept(carol->ua, theirs, NULL, &new_id), 0);
    world_flush(carol);
    wait_ms(s, 1000);
    assert_told(s, ROAM_TRANSFER_ACCEPTED, 180);
    world_set_addrs(carol, carol_cell);
    world_run(&s->world, ROAM_SECONDS(8));
    assert_told(s, ROAM_TRANSFER_DONE, 200);
    assert_int_equal(call_of(carol, new_id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(carol, theirs).state, ROAM_CALL_ENDED);
    assert_int_equal(call_of(carol, new_id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blind),
        cmocka_unit_test(test_attended),
        cmocka_unit_test(test_challenge_and_refusals),
        cmocka_unit_test(test_odd_acceptance),
        cmocka_unit_test(test_refer_moves),
        cmocka_unit_test(test_refer_offline),
        cmocka_unit_test(test_news_after_hangup),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_asked_in_vain),
        cmocka_unit_test(test_refused_refers),
        cmocka_unit_test(test_asked_moves),
        cmocka_unit_test(test_asked_and_hung_up),
        cmocka_unit_test(test_subscriber),
        cmocka_unit_test(test_enemy),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_roam_to_roam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The confirmed call: refreshes and what their failures mean, offers under way when the network changes, both ends that move. */
#include "refresh.h"

/* ---- failures by meaning (B13) ---- */

/* The call to the hand has moved, and its refresh is out. */
static roam_call_id moving(hand *h, scene *s, const char *headers)
{
    roam_call_id id = called_with(h, s, headers);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(100));
    return id;
}

/* When the request left for the first time that was sent last. */
static roam_time first_sent(const hand *h, const char *method)
{
    const seen *last = hand_asked(h, method);
    for (size_t i = 0; i < h->s->nlog; i++)
        if (strcmp(h->s->log[i].text, last->text) == 0)
            return h->s->log[i].time;
    return 0;
}

/* What is asked again, when, and what is not; in no case the call ends. `after` in ms from the answer's arrival, 0: never. */
static void test_failures(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *headers;
        unsigned from, to;
    } cases[] = {{408, "", 400, 700},
                 {430, "", 400, 700},
                 {480, "", 400, 700},
                 {487, "", 400, 700},
                 {500, "", 400, 700},
                 {502, "", 400, 700},
                 {503, "", 400, 700},
                 {504, "", 400, 700},
                 {500, "Retry-After: 3\r\n", 2900, 3300},
                 {503, "Retry-After: 7200\r\n", 31900, 32300},
                 {486, "Retry-After: 2 (soon)\r\n", 1900, 2300},
                 {491, "", 2100, 4100},
                 {486, "", 0, 0},
                 {603, "", 0, 0},
                 {505, "", 0, 0},
                 {422, "", 0, 0},
                 {401, "", 0, 0},
                 {405, "", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = moving(&h, s, ALLOW);
        size_t before = hand_count(&h, "INVITE");
        hand_answer(&h, hand_asked(&h, "INVITE"), cases[i].status, cases[i].headers, "");
        roam_time t0 = s->world.now + RTT / 2;
        world_run(&s->world, cases[i].to ? ROAM_MS(cases[i].to) + RTT : ROAM_SECONDS(40));
        assert_int_equal(hand_count(&h, "BYE"), 0);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        if (cases[i].to) {
            assert_int_equal(hand_count(&h, "INVITE"), before + 1);
            assert_in_range(first_sent(&h, "INVITE") - t0, ROAM_MS(cases[i].from), ROAM_MS(cases[i].to));
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP);
            world_run(&s->world, ROAM_MS(300));
            const roam_event *e = world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id);
            assert_non_null(e);
            assert_int_equal(e->report.retries, 1);
            assert_int_equal(e->report.nretried, 1);
            assert_int_equal(e->report.retried[0].status, cases[i].status);
            assert_in_range(e->report.retried[0].at, ROAM_MS(100), ROAM_MS(300));
        } else {
            assert_int_equal(hand_count(&h, "INVITE"), before);
            const roam_event *e = world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id);
            assert_non_null(e);
            assert_int_equal(e->sip_code, cases[i].status);
        }
        scene_free(s);
    }
}

/* 503 without end: 0.5, 1, 2, 4, 8, 8 s, until offline_max is over; then the move has failed, the call has not. */
static void test_back_off(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = moving(&h, s, ALLOW);
    static const unsigned seconds_10[] = {5, 10, 20, 40, 80, 80, 80, 80, 80};
    roam_time before = first_sent(&h, "INVITE");
    for (size_t i = 0; i < sizeof seconds_10 / sizeof *seconds_10; i++) {
        hand_answer(&h, hand_asked(&h, "INVITE"), 503, "", "");
        world_run(&s->world, ROAM_MS(100) * seconds_10[i] + ROAM_MS(200));
        assert_in_range(first_sent(&h, "INVITE") - before, ROAM_MS(100) * seconds_10[i], ROAM_MS(100) * seconds_10[i] + ROAM_MS(300));
        before = first_sent(&h, "INVITE");
    }
    for (size_t i = 0; i < 3; i++) {
        hand_answer(&h, hand_asked(&h, "INVITE"), 503, "", "");
        world_run(&s->world, ROAM_SECONDS(9));
    }
    const roam_event *e = world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id);
    assert_non_null(e);
    assert_int_equal(e->report.nretried, ROAM_REPORT_RETRIES);
    assert_true(e->report.retries >= 9);
    size_t n = hand_count(&h, "INVITE");
    world_run(&s->world, ROAM_SECONDS(60));
    assert_in_range(hand_count(&h, "INVITE"), n, n + 1);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* 481: of a hop that has not seen our REGISTER yet it is asked about once more after that, and the call goes on; said twice, or with the REGISTER done, it is the truth. */
static void test_gone(void **state)
{
    (void)state;
    static const scripted once[] = {{481, ""}, {0, ""}}, always[] = {{481, ""}};
    roam_peer_config callee = {.answer = PEER_ANSWERS};
    for (int variant = 0; variant < 3; variant++) {
        scene *s = scene_new((scene_options){.callee = &callee});
        roam_call_id id = call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_SECONDS(1));
        if (variant == 0)
            SCRIPT(s, "INVITE", once);
        else
            SCRIPT(s, "INVITE", always);
        roam_time t0 = s->world.now;
        if (variant == 2)
            assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        else
            set_addrs(s, scene_cell);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(sent_from(s, variant == 2 ? WIFI : CELL, "INVITE", t0), variant == 2 ? 1 : 2);
        assert_int_equal(calls_of(s->agent), variant == 0);
        if (variant == 0) {
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
            assert_two_way(s, s->agent, id);
        } else {
            assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 481);
        }
        scene_free(s);
    }
}

/* The offer is refused: first the codec in use alone is offered, then no new media at all: UPDATE without SDP; or, without UPDATE, the old description again while the old address lives; else nothing. The call stays,
 * told as failed; sound goes on as far as it can. */
static void test_media_refused(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL};
    static const unsigned codes[] = {488, 606, 415};
    for (int variant = 0; variant < 3; variant++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, variant == 0 ? ALLOW : ALLOW_NO_UPDATE);
        char old_media[256];
        snprintf(old_media, sizeof old_media, "%s", strstr(hand_asked(&h, "INVITE")->text, "m=audio"));
        set_addrs(s, variant == 1 ? both : scene_cell);
        world_run(&s->world, ROAM_MS(200));
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, " RTP/AVP 0 8 101\r\n"));
        hand_answer(&h, hand_asked(&h, "INVITE"), codes[variant], "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, " RTP/AVP 0 101\r\n"));
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
        size_t n = hand_count(&h, "INVITE");
        hand_answer(&h, hand_asked(&h, "INVITE"), codes[variant], "", "");
        world_run(&s->world, ROAM_MS(200));
        if (variant == 0) {
            assert_false(has_sdp(hand_asked(&h, "UPDATE")));
            assert_non_null(strstr(header(hand_asked(&h, "UPDATE"), "Contact"), CELL));
            hand_answer(&h, hand_asked(&h, "UPDATE"), 200, ALLOW, "");
        } else if (variant == 1) {
            assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " WIFI));
            assert_string_equal(strstr(hand_asked(&h, "INVITE")->text, "m=audio"), old_media);
            assert_non_null(strstr(header(hand_asked(&h, "INVITE"), "Contact"), CELL));
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW_NO_UPDATE, HAND_SDP);
        }
        world_run(&s->world, ROAM_SECONDS(5));
        assert_int_equal(hand_count(&h, "INVITE"), n + (variant == 1));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id));
        uint64_t sent = call_of(s->agent, id).media.packets_sent;
        world_run(&s->world, ROAM_SECONDS(1));
        assert_in_range(call_of(s->agent, id).media.packets_sent - sent, 45, 55);
        assert_media_on(s, id, variant == 1 ? WIFI : CELL);
        set_addrs(s, scene_wifi); /* another move begins with everything again */
        world_run(&s->world, ROAM_MS(200));
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, " RTP/AVP 0 8 101\r\n"));
        scene_free(s);
    }
}

/* ---- offers under way (P9) ---- */

/* The application asks for a refresh with new sockets while an older one is out: the answer to that one does not count for it. */
static void test_wish_while_pending(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = called_with(&h, s, ALLOW);
    char first[64], second[64], third[64];
    hand_copy(hand_asked(&h, "INVITE")->text, "m=audio ", " ", first, sizeof first);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    const seen hold = *hand_asked(&h, "INVITE");
    assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    hand_copy(hand_asked(&h, "INVITE")->text, "m=audio ", " ", second, sizeof second);
    assert_string_equal(first, second);
    hand_answer(&h, &hold, 200, ALLOW, HAND_SDP "a=recvonly\r\n");
    world_run(&s->world, ROAM_MS(200));
    hand_copy(hand_asked(&h, "INVITE")->text, "m=audio ", " ", third, sizeof third);
    assert_string_not_equal(first, third);
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "a=sendonly"));
    assert_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP "a=recvonly\r\n");
    world_run(&s->world, ROAM_MS(300));
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
    scene_free(s);
}

/* Our re-INVITE is out when the path goes. On the new one: the ACK it may need, an UPDATE without SDP, which is taken whatever the peer does with the first, and the next re-INVITE. The peer, still busy with the
 * first, says 500 with Retry-After, or 491: it knows where we are all the same, and the media follows. A peer without UPDATE gets ACK and re-INVITE. */
static void test_our_offer_pending(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, variant < 2 ? ALLOW : ALLOW_NO_UPDATE);
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(100));
        size_t n = hand_count(&h, "INVITE");
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(hand_count(&h, "INVITE"), n + 1);
        assert_int_equal(hand_count(&h, "UPDATE"), variant < 2);
        if (variant < 2) {
            assert_false(has_sdp(hand_asked(&h, "UPDATE")));
            assert_non_null(strstr(header(hand_asked(&h, "UPDATE"), "Contact"), CELL));
            hand_answer(&h, hand_asked(&h, "UPDATE"), 200, ALLOW, "");
            hand_answer(&h, hand_asked(&h, "INVITE"), variant ? 491 : 500, "Retry-After: 2\r\n", "");
            world_run(&s->world, ROAM_MS(4200));
            assert_int_equal(hand_count(&h, "INVITE"), n + 2);
            assert_int_equal(hand_count(&h, "UPDATE"), 1);
        }
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "a=sendonly"));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP "a=recvonly\r\n");
        world_run(&s->world, ROAM_MS(300));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        scene_free(s);
    }
}

/* A re-INVITE without offer: ours is in the 2xx, the answer due in the ACK, when the path changes. No new offer is possible: UPDATE without SDP at once, the media as soon as the ACK is there. */
static void test_offer_in_2xx(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = calls_with(&h, s, ALLOW);
    unsigned cseq = hand_request(&h, "INVITE", 0, ALLOW, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
    assert_true(has_sdp(hand_response(&h, cseq, "INVITE")));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "INVITE"), 0);
    assert_int_equal(hand_count(&h, "UPDATE"), 1);
    assert_false(has_sdp(hand_asked(&h, "UPDATE")));
    hand_learn(&h, hand_asked(&h, "UPDATE"), true);
    hand_request(&h, "ACK", cseq, "", HAND_SDP);
    hand_answer(&h, hand_asked(&h, "UPDATE"), 200, ALLOW, "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "INVITE"), 1);
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP);
    world_run(&s->world, ROAM_MS(300));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* The system refuses sockets for RTP on the new path: the target alone is refreshed meanwhile, by UPDATE, or without UPDATE by the old description again, as the old leg still is. When the sockets open the media follows.
 * A re-INVITE of the peer that comes meanwhile is answered then, with the new address. */
static void test_no_media_socket(void **state)
{
    (void)state;
    static const char *const wifi_first[] = {WIFI, CELL, NULL}, *const cell_first[] = {CELL, WIFI, NULL};
    for (int variant = 0; variant < 3; variant++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, variant == 1 ? ALLOW_NO_UPDATE : ALLOW);
        const char *allow = variant == 1 ? ALLOW_NO_UPDATE : ALLOW;
        set_addrs(s, cell_first);
        world_run(&s->world, ROAM_MS(200));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, allow, HAND_SDP);
        world_run(&s->world, ROAM_SECONDS(6)); /* the first leg is gone, its SIP socket is not */
        assert_media_on(s, id, CELL);
        s->agent->refuse = 1000;
        s->agent->refuse_err = ROAM_EIO;
        size_t n = hand_count(&h, "INVITE");
        set_addrs(s, wifi_first);
        world_run(&s->world, ROAM_MS(200));
        unsigned cseq = 0;
        hand_learn(&h, hand_asked(&h, variant == 1 ? "INVITE" : "UPDATE"), true);
        assert_non_null(strstr(h.target, WIFI));
        if (variant == 1) {
            assert_int_equal(hand_count(&h, "INVITE"), n + 1);
            assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, allow, HAND_SDP);
        } else {
            assert_int_equal(hand_count(&h, "INVITE"), n);
            assert_false(has_sdp(hand_asked(&h, "UPDATE")));
            hand_answer(&h, hand_asked(&h, "UPDATE"), 200, allow, "");
        }
        world_run(&s->world, ROAM_SECONDS(2));
        assert_null(world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id));
        assert_int_equal(hand_count(&h, "UPDATE"), variant != 1);
        n = hand_count(&h, "INVITE");
        if (variant == 2) {
            cseq = hand_request(&h, "INVITE", 0, allow, HAND_SDP);
            world_run(&s->world, ROAM_SECONDS(1));
            assert_true(hand_status(&h, cseq, "INVITE") < 200);
        }
        s->agent->refuse = 0;
        world_run(&s->world, ROAM_SECONDS(1));
        if (variant == 2) {
            assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
            assert_non_null(strstr(hand_response(&h, cseq, "INVITE")->text, "c=IN IP4 " WIFI));
            hand_request(&h, "ACK", cseq, "", "");
        } else {
            assert_int_equal(hand_count(&h, "INVITE"), n + 1);
            assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " WIFI));
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, allow, HAND_SDP);
        }
        world_run(&s->world, ROAM_MS(500));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_media_on(s, id, WIFI);
        scene_free(s);
    }
}

/* A re-INVITE that is refused, with another Contact in the refusal, changes neither target nor media (RFC 6141). A reliable provisional answer does change the target. */
static void test_target_of_failures(void **state)
{
    (void)state;
    for (int reliable = 0; reliable < 2; reliable++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, ALLOW);
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(100));
        const seen out = *hand_asked(&h, "INVITE");
        static roam_header_space space;
        roam_message m;
        char text[2048];
        roam_writer w;
        assert_int_equal(message_parse(&m, &space, span_of(out.text)), 0);
        writer_init(&w, text, sizeof text);
        write_response_head(&w, &m, reliable ? 183 : 603, SPAN(""), span_of(h.own_tag), &out.from);
        write_cstr(&w, reliable ? "Require: 100rel\r\nRSeq: 1\r\n" : "");
        write_lit(&w, "Contact: <sip:other@" HAND ":5060>\r\nContent-Length: 0\r\n\r\n");
        world_inject(&s->world, &out.to, &out.from, writer_span(&w));
        world_run(&s->world, ROAM_MS(200));
        if (reliable)
            hand_answer(&h, &out, 603, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(200));
        assert_true(strncmp(hand_asked(&h, "BYE")->text, reliable ? "BYE sip:other@" : "BYE sip:hand@", 13) == 0);
        scene_free(s);
    }
}

/* ---- what is told ---- */

/* There and back within 300 ms, both networks up. The packets of the first visit say nothing about the second: its downlink is a round trip away. */
static void test_flap_report(void **state)
{
    (void)state;
    static const char *const wifi_first[] = {WIFI, CELL, NULL}, *const cell_first[] = {CELL, WIFI, NULL};
    roam_peer_config callee = {.answer = PEER_ANSWERS};
    scene *s = scene_new((scene_options){.callee = &callee});
    set_addrs(s, wifi_first);
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(3));
    for (int i = 0; i < 4; i++) {
        world_forget(s->agent);
        set_addrs(s, i % 2 ? wifi_first : cell_first);
        world_run(&s->world, i % 2 ? ROAM_SECONDS(2) : ROAM_MS(400));
        const roam_event *e = world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id);
        assert_non_null(e);
        assert_in_range(e->report.downlink, RTT, 3 * RTT + ROAM_MS(40));
        assert_in_range(e->report.recovered, e->report.downlink, ROAM_MS(400));
        assert_true(e->report.make_before_break);
        assert_int_equal(e->report.lost_in, 0);
    }
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

/* The path flaps while the first refresh is out, and back to what the peer was told before: it may have taken the other one, so it is told again. */
static void test_flap_untold(void **state)
{
    (void)state;
    static const char *const wifi_first[] = {WIFI, CELL, NULL}, *const cell_first[] = {CELL, WIFI, NULL};
    scene *s = hand_scene();
    hand h;
    set_addrs(s, wifi_first);
    roam_call_id id = called_with(&h, s, ALLOW);
    set_addrs(s, cell_first);
    world_run(&s->world, ROAM_MS(100));
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " CELL));
    set_addrs(s, wifi_first);
    world_run(&s->world, ROAM_MS(200));
    assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "c=IN IP4 " WIFI));
    assert_int_equal(hand_count(&h, "INVITE"), 3);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP);
    world_run(&s->world, ROAM_MS(300));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    scene_free(s);
}

/* Ports at the end of the range: RTCP has its place above RTP, and no number overflows. */
static void test_last_port(void **state)
{
    (void)state;
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.rtp_port_min = 65535;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account, .agent = &config});
    hand h;
    roam_call_id id = called_with(&h, s, ALLOW);
    assert_int_equal(call_of(s->agent, id).media_local.port, 65534);
    assert_null(strstr(hand_asked(&h, "INVITE")->text, "a=rtcp:"));
    scene_free(s);
}

/* ---- policies (P5, P6) ---- */

/* Every choice of flags and method, with a peer that has UPDATE and one that has not, held by nobody, us, the peer, both; the old address gone. The call lives, hold is what it was on both sides, the peer has our
 * new Contact, sound flows where it should; and the method is the one that was asked for. */
static void test_policies(void **state)
{
    (void)state;
    static const uint32_t flags[] = {ROAM_REINVITE_DEFAULT,
                                     ROAM_REINVITE_REINIT_MEDIA,
                                     ROAM_REINVITE_UPDATE_CONTACT,
                                     ROAM_REINVITE_DEFAULT | ROAM_REINVITE_UPDATE_TARGET,
                                     ROAM_REINVITE_UPDATE_CONTACT | ROAM_REINVITE_NO_SDP_OFFER,
                                     ROAM_REINVITE_DEFAULT | ROAM_REINVITE_NO_SDP_OFFER};
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
        for (unsigned i = 0; i < 16; i++) {
            bool use_update = i & 1, no_update = i & 2, local = i & 4, remote = i & 8;
            roam_account_config account = scene_account(NULL, NULL);
            account.ip_change.reinvite_flags = flags[f];
            account.ip_change.use_update = use_update;
            roam_peer_config callee = {.answer = PEER_ANSWERS, .no_update = no_update};
            scene *s = scene_new((scene_options){.account = &account, .callee = &callee});
            roam_call_id id = call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_MS(600));
            if (local)
                assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
            world_flush(s->agent);
            world_run(&s->world, ROAM_MS(400));
            if (remote)
                assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, true, false), 0);
            world_run(&s->world, ROAM_MS(400));
            roam_time t0 = s->world.now;
            set_addrs(s, scene_cell);
            world_run(&s->world, ROAM_SECONDS(1));
            const roam_leg *leg = peer_leg(s->callee->peer, 1);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
            assert_int_equal(call_of(s->agent, id).hold, (local ? ROAM_HOLD_LOCAL : 0) | (remote ? ROAM_HOLD_REMOTE : 0));
            assert_int_equal(leg->remote_hold, local);
            assert_int_equal(leg->local_hold, remote);
            assert_non_null(strstr(leg->dialog.remote_target, CELL));
            bool no_offer = flags[f] & ROAM_REINVITE_NO_SDP_OFFER;
            bool by_update = !no_update && (use_update || no_offer);
            assert_int_equal(sent_from(s, CELL, "UPDATE", t0) > 0, by_update);
            assert_int_equal(sent_from(s, CELL, "INVITE", t0) > 0, !by_update);
            assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
            if (!local && !remote && !(no_offer && by_update))
                assert_two_way(s, s->agent, id);
            scene_free(s);
        }
    for (int hold = 0; hold < 2; hold++) { /* left alone: nothing is sent; hang up: BYE, and said so */
        for (int hangs = 0; hangs < 2; hangs++) {
            roam_account_config account = scene_account(NULL, NULL);
            account.ip_change.reinvite_flags = hangs ? ROAM_REINVITE_DEFAULT : 0;
            account.ip_change.hangup_calls = hangs;
            roam_peer_config callee = {.answer = PEER_ANSWERS};
            scene *s = scene_new((scene_options){.account = &account, .callee = &callee});
            roam_call_id id = call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_MS(600));
            if (hold)
                assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
            world_flush(s->agent);
            world_run(&s->world, ROAM_MS(600));
            roam_time t0 = s->world.now;
            set_addrs(s, scene_cell);
            world_run(&s->world, ROAM_SECONDS(1));
            assert_int_equal(sent_from(s, CELL, "INVITE", t0) + sent_from(s, CELL, "UPDATE", t0), 0);
            assert_int_equal(calls_of(s->agent), !hangs);
            assert_int_equal(peer_leg(s->callee->peer, 1)->state == LEG_ENDED, hangs);
            assert_int_equal(world_progress(s->agent, ROAM_IP_CHANGE_ACCOUNT_HANGUP_CALLS, id) != NULL, hangs);
            scene_free(s);
        }
    }
}

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
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_media_refused),
        cmocka_unit_test(test_wish_while_pending),
        cmocka_unit_test(test_our_offer_pending),
        cmocka_unit_test(test_offer_in_2xx),
        cmocka_unit_test(test_no_media_socket),
        cmocka_unit_test(test_target_of_failures),
        cmocka_unit_test(test_flap_report),
        cmocka_unit_test(test_flap_untold),
        cmocka_unit_test(test_last_port),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_rescue),
        cmocka_unit_test(test_rescue_not),
        cmocka_unit_test(test_peer_moved_too),
        cmocka_unit_test(test_both_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Session timers (RFC 4028), in both roles: what is asked for and agreed, who refreshes and how, what happens without a refresh or without a network. */
#include "refresh.h"

/* As caller: we ask for 1800 s, 90 at least, and to refresh; the callee says 100 s. At half of it we refresh by UPDATE without SDP where its Allow has UPDATE, else by a re-INVITE whose SDP, version
 * included, is the one it has. The 2xx starts the timer anew: 50 s later again. */
static void test_timer_caller(void **state)
{
    (void)state;
    for (int update = 0; update < 2; update++) {
        const char *method = update ? "UPDATE" : "INVITE", *allow = update ? ALLOW : ALLOW_NO_UPDATE;
        char headers[256];
        scene *s = hand_scene();
        hand h;
        snprintf(headers, sizeof headers, "%sRequire: timer\r\nSession-Expires: 100;refresher=uac\r\n", allow);
        roam_call_id id = called_with(&h, s, headers);
        const seen first = *hand_asked(&h, "INVITE");
        assert_string_equal(header(&first, "Session-Expires"), "1800;refresher=uac");
        assert_string_equal(header(&first, "Min-SE"), "90");
        assert_non_null(strstr(header(&first, "Supported"), "timer"));
        size_t before = hand_count(&h, method);
        for (size_t i = 0; i < 3; i++) {
            world_run(&s->world, ROAM_SECONDS(49) - ROAM_MS(200));
            assert_int_equal(hand_count(&h, method), before + i);
            world_run(&s->world, ROAM_MS(1300));
            assert_int_equal(hand_count(&h, method), before + i + 1);
            const seen *e = hand_asked(&h, method);
            assert_string_equal(header(e, "Session-Expires"), "100;refresher=uac");
            assert_int_equal(has_sdp(e), !update);
            if (!update) /* the same bytes, o= line and all */
                assert_string_equal(strstr(e->text, "\r\n\r\nv=0"), strstr(first.text, "\r\n\r\nv=0"));
            hand_answer(&h, e, 200, headers, update ? "" : HAND_SDP);
            world_run(&s->world, ROAM_MS(100));
        }
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        scene_free(s);
    }
}

/* As callee: tables 1 and 2 of RFC 4028, section 9. What the caller asked for, what it supports, what it set as refresher: what our 200 says. */
static void test_timer_callee(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *expires;
        bool require;
    } cases[] = {{"", "", false},
                 {"Supported: timer\r\n", "1800;refresher=uas", false},
                 {"Supported: timer\r\nMin-SE: 3600\r\n", "3600;refresher=uas", false},
                 {"Supported: timer\r\nSession-Expires: 200\r\n", "200;refresher=uas", false},
                 {"Supported: timer\r\nSession-Expires: 200;refresher=uas\r\n", "200;refresher=uas", false},
                 {"Supported: timer\r\nx: 200;refresher=uac\r\n", "200;refresher=uac", true},
                 {"Supported: timer\r\nSession-Expires: 7200;refresher=uac\r\n", "1800;refresher=uac", true},
                 {"Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 5000\r\n", "5000;refresher=uas", false},
                 {"Session-Expires: 300;refresher=uac\r\n", "300;refresher=uas", false}, /* a proxy put it there: the caller knows nothing of it */
                 {"Session-Expires: 30\r\n", "90;refresher=uas", false},
                 {"Require: timer\r\nSession-Expires: 300;refresher=uac\r\n", "300;refresher=uac", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene *s = hand_scene();
        hand h;
        calls_with(&h, s, cases[i].headers);
        const seen *e = hand_response(&h, 101, "INVITE");
        assert_string_equal(header(e, "Session-Expires"), cases[i].expires);
        assert_string_equal(header(e, "Require"), cases[i].require ? "timer" : "");
        scene_free(s);
    }
    /* An account that asks for none still honours the caller's. */
    roam_account_config account = hand_account();
    account.session_expires = 0;
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    calls_with(&h, s, "Supported: timer\r\n");
    assert_string_equal(header(hand_response(&h, 101, "INVITE"), "Session-Expires"), "");
    calls_with(&h, s, "Supported: timer\r\nSession-Expires: 400\r\n");
    assert_string_equal(header(hand_response(&h, 101, "INVITE"), "Session-Expires"), "400;refresher=uas");
    scene_free(s);
}

/* 422: ours to a caller that asks for less than our Min-SE and knows session timers, also in a re-INVITE and an UPDATE; theirs to us is obeyed by asking again, in the INVITE and in a refresh; a
 * 422 that asks for nothing more is not repeated for ever. */
static void test_timer_422(void **state)
{
    (void)state;
    roam_account_config account = hand_account();
    account.session_min_se = 300;
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    hand_begin(&h, s);
    unsigned cseq = hand_request(&h, "INVITE", 0, "Supported: timer\r\nSession-Expires: 200\r\n", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 422);
    assert_string_equal(header(hand_response(&h, cseq, "INVITE"), "Min-SE"), "300");
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INCOMING), 0);
    roam_call_id id = calls_with(&h, s, "Supported: timer\r\nSession-Expires: 300\r\n" ALLOW);
    cseq = hand_request(&h, "UPDATE", 0, "Supported: timer\r\nSession-Expires: 200\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "UPDATE"), 422);
    cseq = hand_request(&h, "INVITE", 0, "Supported: timer\r\nSession-Expires: 200\r\n", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "INVITE"), 422);
    hand_request(&h, "ACK", cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);

    s = hand_scene();
    hand_begin(&h, s);
    id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(&h, hand_asked(&h, "INVITE"), true);
    hand_answer(&h, hand_asked(&h, "INVITE"), 422, "Min-SE: 4000\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_string_equal(header(hand_asked(&h, "INVITE"), "Session-Expires"), "4000;refresher=uac");
    assert_string_equal(header(hand_asked(&h, "INVITE"), "Min-SE"), "4000");
    assert_int_equal(hand_count(&h, "INVITE"), 2);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW "Session-Expires: 4000;refresher=uac\r\n", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    hand_answer(&h, hand_asked(&h, "INVITE"), 422, "Min-SE: 5000\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_string_equal(header(hand_asked(&h, "INVITE"), "Session-Expires"), "5000;refresher=uac");
    size_t n = hand_count(&h, "INVITE");
    hand_answer(&h, hand_asked(&h, "INVITE"), 422, "Min-SE: 5000\r\n", "");
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(hand_count(&h, "INVITE"), n);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    for (uint32_t i = 0; i < 8; i++) { /* one that wants more each time is left soon */
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(100));
        char more[64];
        snprintf(more, sizeof more, "Min-SE: %u\r\n", 6000 + i);
        hand_answer(&h, hand_asked(&h, "INVITE"), 422, more, "");
        world_run(&s->world, ROAM_MS(300));
    }
    assert_in_range(hand_count(&h, "INVITE"), n + 1, n + 12);
    scene_free(s);
}

/* The peer refreshes, and says nothing: BYE min(32 s, interval / 3) before the end, with the reason. Its UPDATE or re-INVITE in time keeps the call. */
static void test_timer_expires(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = calls_with(&h, s, "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n" ALLOW);
    world_run(&s->world, ROAM_SECONDS(60));
    unsigned cseq = hand_request(&h, "UPDATE", 0, "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(&h, cseq, "UPDATE"), 200);
    assert_string_equal(header(hand_response(&h, cseq, "UPDATE"), "Session-Expires"), "120;refresher=uac");
    world_run(&s->world, ROAM_SECONDS(87));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(hand_count(&h, "BYE"), 0);
    assert_int_equal(hand_count(&h, "UPDATE") + hand_count(&h, "INVITE"), 0);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(hand_count(&h, "BYE"), 1);
    assert_non_null(strstr(header(hand_asked(&h, "BYE"), "Reason"), "cause=408"));
    hand_answer(&h, hand_asked(&h, "BYE"), 200, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(calls_of(s->agent), 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 408);
    scene_free(s);
}

/* A refresh of ours is not answered at all: asked again until the session is over, then BYE. One that is refused for good (603) shows that the peer is alive: no BYE, and asked again an interval later. */
static void test_timer_refresh_fails(void **state)
{
    (void)state;
    scene *s = hand_scene();
    hand h;
    roam_call_id id = called_with(&h, s, ALLOW "Session-Expires: 300;refresher=uac\r\n");
    world_run(&s->world, ROAM_SECONDS(266));
    assert_true(hand_count(&h, "UPDATE") >= 2);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(hand_count(&h, "BYE"), 1);
    scene_free(s);

    s = hand_scene();
    id = called_with(&h, s, ALLOW "Session-Expires: 300;refresher=uac\r\n");
    world_run(&s->world, ROAM_SECONDS(151));
    assert_int_equal(hand_count(&h, "UPDATE"), 1);
    hand_answer(&h, hand_asked(&h, "UPDATE"), 603, "", "");
    world_run(&s->world, ROAM_SECONDS(140));
    assert_int_equal(hand_count(&h, "UPDATE"), 1);
    assert_int_equal(hand_count(&h, "BYE"), 0);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_int_equal(hand_count(&h, "UPDATE"), 2);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

/* B10: the session is over, twice, while there is no network. No BYE, no end; the refresh on return tells how things are: 200, and the call goes on; 481, and it was ended while away. Also where the
 * peer is the refresher. */
static void test_timer_held_offline(void **state)
{
    (void)state;
    for (int refresher = 0; refresher < 2; refresher++)
        for (int alive = 0; alive < 2; alive++) {
            roam_account_config account = hand_account();
            account.ip_change.offline_max_ms = 600000;
            scene *s = scene_new((scene_options){.account = &account});
            hand h;
            const char *expires = refresher ? "Session-Expires: 100;refresher=uas\r\n" ALLOW : "Session-Expires: 100;refresher=uac\r\n" ALLOW;
            roam_call_id id = called_with(&h, s, expires);
            set_addrs(s, scene_none);
            world_run(&s->world, ROAM_SECONDS(250));
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
            size_t before = hand_count(&h, "INVITE");
            set_addrs(s, scene_cell);
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(hand_count(&h, "INVITE"), before + 1);
            hand_answer(&h, hand_asked(&h, "INVITE"), alive ? 200 : 481, alive ? expires : "", alive ? HAND_SDP : "");
            world_run(&s->world, ROAM_SECONDS(10));
            assert_int_equal(hand_count(&h, "BYE"), 0);
            assert_int_equal(calls_of(s->agent), alive);
            if (!alive)
                assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 481);
            scene_free(s);
        }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timer_caller),
        cmocka_unit_test(test_timer_callee),
        cmocka_unit_test(test_timer_422),
        cmocka_unit_test(test_timer_expires),
        cmocka_unit_test(test_timer_refresh_fails),
        cmocka_unit_test(test_timer_held_offline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

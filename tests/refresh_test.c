/* The confirmed call: session timers, refreshes and what their failures mean, offers under way when the network changes, both ends that move. */
#include "hand.h"

#define ALLOW "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n"
#define ALLOW_NO_UPDATE "Allow: INVITE, ACK, BYE, CANCEL, INFO\r\n"

static scene *hand_scene(void)
{
    static roam_account_config account;
    account = hand_account();
    return scene_new((scene_options){.account = &account});
}

static size_t calls_of(const sim_node *agent)
{
    return roam_call_list(agent->ua, NULL, 0);
}

/* The value of a header of a message; "" where it has none. One at a time. */
static const char *header(const seen *e, const char *name)
{
    static char value[256];
    char key[64];
    assert_non_null(e);
    snprintf(key, sizeof key, "\r\n%s: ", name);
    const char *at = strstr(e->text, key);
    value[0] = '\0';
    if (at)
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(key), "\r"), at + strlen(key));
    return value;
}

static bool has_sdp(const seen *e)
{
    return strstr(e->text, "\r\n\r\nv=0") != NULL;
}

static void assert_media_on(scene *s, roam_call_id id, const char *ip)
{
    roam_call_info info = call_of(s->agent, id);
    roam_ip expected = sim_ip(ip);
    assert_true(roam_ip_equal(&info.media_local.ip, &expected));
}

/* The hand's tag is smaller, or greater, than any of the agent's. */
enum { SMALL = 1, GREAT };
static int hand_tag;

/* A call to the hand, answered with these headers. */
static roam_call_id called_with(hand *h, scene *s, const char *headers)
{
    hand_begin(h, s);
    if (hand_tag)
        snprintf(h->own_tag, sizeof h->own_tag, hand_tag == SMALL ? "!hand" : "~hand");
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(h, hand_asked(h, "INVITE"), true);
    hand_answer(h, hand_asked(h, "INVITE"), 200, headers, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

/* A call from the hand with these headers, answered; the status of the answer is returned, the call in `id`. */
static roam_call_id calls_with(hand *h, scene *s, const char *headers)
{
    hand_begin(h, s);
    unsigned cseq = hand_request(h, "INVITE", 0, headers, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    roam_call_id id = e->call;
    assert_int_equal(roam_call_answer(s->agent->ua, id, NULL), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(h, hand_response(h, cseq, "INVITE"), false);
    hand_request(h, "ACK", cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

static size_t count_asked(const hand *h, const char *method)
{
    return hand_count(h, method);
}

/* ---- session timers (RFC 4028) ---- */

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
        size_t before = count_asked(&h, method);
        for (size_t i = 0; i < 3; i++) {
            world_run(&s->world, ROAM_SECONDS(49) - ROAM_MS(200));
            assert_int_equal(count_asked(&h, method), before + i);
            world_run(&s->world, ROAM_MS(1300));
            assert_int_equal(count_asked(&h, method), before + i + 1);
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
    assert_int_equal(count_asked(&h, "INVITE"), 2);
    hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW "Session-Expires: 4000;refresher=uac\r\n", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    hand_answer(&h, hand_asked(&h, "INVITE"), 422, "Min-SE: 5000\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_string_equal(header(hand_asked(&h, "INVITE"), "Session-Expires"), "5000;refresher=uac");
    size_t n = count_asked(&h, "INVITE");
    hand_answer(&h, hand_asked(&h, "INVITE"), 422, "Min-SE: 5000\r\n", "");
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(count_asked(&h, "INVITE"), n);
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
    assert_in_range(count_asked(&h, "INVITE"), n + 1, n + 12);
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
    assert_int_equal(count_asked(&h, "BYE"), 0);
    assert_int_equal(count_asked(&h, "UPDATE") + count_asked(&h, "INVITE"), 0);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(count_asked(&h, "BYE"), 1);
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
    assert_true(count_asked(&h, "UPDATE") >= 2);
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(count_asked(&h, "BYE"), 1);
    scene_free(s);

    s = hand_scene();
    id = called_with(&h, s, ALLOW "Session-Expires: 300;refresher=uac\r\n");
    world_run(&s->world, ROAM_SECONDS(151));
    assert_int_equal(count_asked(&h, "UPDATE"), 1);
    hand_answer(&h, hand_asked(&h, "UPDATE"), 603, "", "");
    world_run(&s->world, ROAM_SECONDS(140));
    assert_int_equal(count_asked(&h, "UPDATE"), 1);
    assert_int_equal(count_asked(&h, "BYE"), 0);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_int_equal(count_asked(&h, "UPDATE"), 2);
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
            size_t before = count_asked(&h, "INVITE");
            set_addrs(s, scene_cell);
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(count_asked(&h, "INVITE"), before + 1);
            hand_answer(&h, hand_asked(&h, "INVITE"), alive ? 200 : 481, alive ? expires : "", alive ? HAND_SDP : "");
            world_run(&s->world, ROAM_SECONDS(10));
            assert_int_equal(count_asked(&h, "BYE"), 0);
            assert_int_equal(calls_of(s->agent), alive);
            if (!alive)
                assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 481);
            scene_free(s);
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
        assert_int_equal(count_asked(&h, "BYE"), 0);
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
        size_t before = count_asked(&h, "INVITE");
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(500));
        if (i == 2)
            hand_answer(&h, hand_asked(&h, "INVITE"), 183, "", "");
        world_run(&s->world, ROAM_SECONDS(8));
        assert_int_equal(count_asked(&h, "INVITE"), before + 1);
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
        size_t n = count_asked(&h, "INVITE");
        if (i == 2)
            hand_answer(&h, &refresh, 200, ALLOW, HAND_SDP);
        else
            hand_answer_tagged(&h, &asked, ends[i], "no", "", "");
        world_run(&s->world, ROAM_SECONDS(10));
        assert_int_equal(count_asked(&h, "INVITE"), n);
        assert_int_equal(calls_of(s->agent), i != 1);
        if (i == 2) { /* the one that is out may still be taken: then it counts */
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
            hand_answer_tagged(&h, &asked, 200, "anew", ALLOW, HAND_SDP);
            world_run(&s->world, ROAM_MS(200));
            assert_non_null(strstr(hand_asked(&h, "ACK")->text, ";tag=anew"));
            assert_int_equal(count_asked(&h, "BYE"), 0);
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
        size_t before = count_asked(&h, "INVITE");
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
        assert_int_equal(count_asked(&h, "INVITE"), before + greater);
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
        cmocka_unit_test(test_timer_caller),
        cmocka_unit_test(test_timer_callee),
        cmocka_unit_test(test_timer_422),
        cmocka_unit_test(test_timer_expires),
        cmocka_unit_test(test_timer_refresh_fails),
        cmocka_unit_test(test_timer_held_offline),
        cmocka_unit_test(test_rescue),
        cmocka_unit_test(test_rescue_not),
        cmocka_unit_test(test_peer_moved_too),
        cmocka_unit_test(test_both_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

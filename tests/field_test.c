/* Troubles that users of SIP stacks have reported in public, each as a world of its own where no other test had it. docs/field-problems.md has the list. */
#include "refresh.h"
#include "sim/profiles.h"

static roam_peer_config answering(void)
{
    return (roam_peer_config){.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100)};
}

static scene *call_scene(const roam_account_config *account, const roam_peer_config *callee, roam_call_id *id)
{
    scene *s = scene_new((scene_options){.account = account, .callee = callee});
    *id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(call_of(s->agent, *id).state, ROAM_CALL_CONFIRMED);
    assert_two_way(s, s->agent, *id);
    world_forget(s->agent);
    return s;
}

/* ---- several accounts ---- */

/* Two accounts, each pinned to a network of its own, each with a call. One network is replaced: its account registers and its call is refreshed, once. The other one
 * sends no REGISTER and no re-INVITE, its sound does not stop, and nothing is told about it. Then the other network changes. */
static void test_own_account_only(void **state)
{
    (void)state;
    const char *const both[] = {WIFI, CELL, NULL}, *const wifi_changed[] = {"10.1.0.8", CELL, NULL}, *const cell_changed[] = {"10.1.0.8", "10.2.0.9", NULL};
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.no_account = true, .callee = &callee});
    roam_account_id accounts[2];
    roam_call_id calls[2];
    set_addrs(s, both);
    for (int i = 0; i < 2; i++) {
        roam_account_config config = scene_account(i ? "sip:carol@example.com" : "sip:alice@example.com", i ? "third" : "secret");
        roam_ip ip = sim_ip(i ? CELL : WIFI);
        config.link = sim_link(&ip);
        assert_int_equal(roam_account_add(s->agent->ua, &config, &accounts[i]), 0);
        world_flush(s->agent);
    }
    world_run(&s->world, ROAM_SECONDS(1));
    for (int i = 0; i < 2; i++)
        calls[i] = call_to(s->agent, accounts[i], "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));

    for (int moved = 0; moved < 2; moved++) {
        const char *const now = moved ? "10.2.0.9" : "10.1.0.8", *const other = moved ? "10.1.0.8" : CELL;
        roam_time t0 = s->world.now;
        uint64_t lost = call_of(s->agent, calls[!moved]).media.packets_lost;
        world_forget(s->agent);
        set_addrs(s, moved ? cell_changed : wifi_changed);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(sent_from(s, now, "REGISTER", t0), 1);
        assert_int_equal(sent_from(s, now, "INVITE", t0), 1);
        assert_int_equal(sent_from(s, other, "REGISTER", t0), 0);
        assert_int_equal(sent_from(s, other, "INVITE", t0), 0);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, calls[moved]));
        for (size_t i = 0; i < s->agent->heard.n; i++)
            assert_int_not_equal(s->agent->heard.events[i].call, calls[!moved]);
        assert_int_equal(call_of(s->agent, calls[!moved]).media.packets_lost, lost);
        for (int i = 0; i < 2; i++)
            assert_two_way(s, s->agent, calls[i]);
        assert_one_binding(s, "alice", "10.1.0.8");
        assert_one_binding(s, "carol", moved ? "10.2.0.9" : CELL);
    }
    scene_free(s);
}

/* No registration at all: the call moves all the same, its re-INVITE leaves at once, and the change is told as completed. */
static void test_call_without_registration(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.no_account = true, .callee = &callee});
    roam_account_config config;
    roam_account_config_default(&config);
    config.aor = "sip:solo@example.net";
    assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@" CALLEE);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    roam_time t0 = s->world.now;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(400));
    assert_int_equal(sent_from(s, CELL, "REGISTER", 0), 0);
    assert_int_equal(sent_from(s, CELL, "INVITE", t0), 1);
    assert_int_equal(last_from(s, CELL, "INVITE")->time, t0);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

/* The registrar is out of order (503, and 403 for good) when the network changes: the calls do not wait for it and do not mind. */
static void test_registrar_refuses_call_goes_on(void **state)
{
    (void)state;
    static const scripted busy[] = {{503, "Retry-After: 20\r\n"}}, never[] = {{403, NULL}};
    for (int kind = 0; kind < 2; kind++) {
        roam_peer_config callee = answering();
        roam_call_id id;
        scene *s = call_scene(NULL, &callee, &id);
        if (kind)
            SCRIPT(s, "REGISTER", never);
        else
            SCRIPT(s, "REGISTER", busy);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(600));
        assert_int_not_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        world_run(&s->world, ROAM_SECONDS(70)); /* longer than offline_max */
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

/* ---- one of two ways moves ---- */

/* A VPN to the server comes up: signalling has another source now, media has not. The re-INVITE leaves by the VPN and keeps the media where it is. Not one packet is lost. When the VPN goes again the
 * call follows. */
static void test_signalling_alone_moves(void **state)
{
    (void)state;
    const char *const vpn[] = {WIFI, "192.0.2.77", NULL};
    roam_peer_config callee = answering();
    roam_call_id id;
    scene *s = call_scene(NULL, &callee, &id);
    for (int round = 0; round < 2; round++) {
        const char *const now = round ? WIFI : "192.0.2.77";
        roam_time t0 = s->world.now;
        uint64_t lost = call_of(s->agent, id).media.packets_lost;
        world_forget(s->agent);
        set_addrs(s, round ? scene_wifi : vpn);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_one_binding(s, "alice", now);
        assert_int_equal(sent_from(s, now, "INVITE", t0), 1);
        assert_non_null(strstr(last_from(s, now, "INVITE")->text, "c=IN IP4 " WIFI));
        assert_media_on(s, id, WIFI);
        assert_int_equal(call_of(s->agent, id).media.packets_lost, lost);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        assert_two_way(s, s->agent, id);
    }
    scene_free(s);
}

/* A way to the callee's media alone comes up, and goes: REGISTER is not needed, the re-INVITE names the new address for RTP and the old Contact. */
static void test_media_alone_moves(void **state)
{
    (void)state;
    const char *const lan[] = {WIFI, "198.51.100.77", NULL};
    roam_peer_config callee = answering();
    roam_call_id id;
    scene *s = call_scene(NULL, &callee, &id);
    for (int round = 0; round < 2; round++) {
        const char *const now = round ? WIFI : "198.51.100.77";
        roam_time t0 = s->world.now;
        set_addrs(s, round ? scene_wifi : lan);
        world_run(&s->world, ROAM_SECONDS(4));
        assert_int_equal(sent_from(s, WIFI, "REGISTER", t0), 0);
        assert_int_equal(sent_from(s, WIFI, "INVITE", t0), 1);
        assert_media_on(s, id, now);
        assert_two_way(s, s->agent, id);
    }
    assert_one_binding(s, "alice", WIFI);
    scene_free(s);
}

/* ---- requests that were out ---- */

/* Our UPDATE (hold) is out when its path goes. It is given up, another one leaves by the new path with a higher CSeq, and the call is held. A late answer to the first is nobody's. */
static void test_update_pending(void **state)
{
    (void)state;
    roam_account_config account = hand_account();
    account.ip_change.use_update = true;
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    roam_call_id id = called_with(&h, s, ALLOW);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "UPDATE"), 1);
    const seen first = *hand_asked(&h, "UPDATE");
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "UPDATE"), 2);
    assert_int_equal(sent_from(s, CELL, "INVITE", 0), 0);
    const seen second = *hand_asked(&h, "UPDATE");
    assert_true(strtoul(header(&second, "CSeq"), NULL, 10) > strtoul(header(&first, "CSeq"), NULL, 10));
    assert_non_null(strstr(second.text, "a=sendonly"));
    assert_non_null(strstr(second.text, "c=IN IP4 " CELL));
    hand_answer(&h, &first, 200, ALLOW, HAND_SDP);
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
    hand_answer(&h, &second, 200, ALLOW, HAND_SDP "a=recvonly\r\n");
    world_run(&s->world, ROAM_MS(300));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    scene_free(s);
}

/* Hung up, and the path goes before the BYE is answered: BYE on the new path with the next CSeq; 200 and 481 (the first one had arrived) both end the call. */
static void test_bye_pending(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, ALLOW);
        assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(100));
        const seen first = *hand_asked(&h, "BYE");
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(sent_from(s, CELL, "BYE", 0), 1);
        const seen second = *hand_asked(&h, "BYE");
        assert_true(strtoul(header(&second, "CSeq"), NULL, 10) > strtoul(header(&first, "CSeq"), NULL, 10));
        assert_int_equal(calls_of(s->agent), 1);
        hand_answer(&h, &second, gone ? 481 : 200, "", "");
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(calls_of(s->agent), 0);
        scene_free(s);
    }
}

/* ---- peers that learn where we are from our packets ---- */

/* Each way to choose a source that is in the table of profiles, and the network goes, comes first, or both in turn: two seconds later there is sound both ways. */
static void test_latching_peers(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "never-latches", "latches-once", "follows", "follows-late", "learns-anew"};
    const char *const both[] = {CELL, WIFI, NULL}, *const back[] = {WIFI, CELL, NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int kind = 0; kind < 3; kind++) {
            const sim_profile *profile = sim_profile_find(names[i]);
            roam_peer_config callee = answering();
            assert_non_null(profile);
            if (profile->peer)
                profile->peer(&callee);
            roam_call_id id;
            scene *s = call_scene(NULL, &callee, &id);
            if (kind) {
                set_addrs(s, both);
                world_run(&s->world, ROAM_SECONDS(2));
            }
            if (kind == 2) {
                set_addrs(s, back);
                world_run(&s->world, ROAM_SECONDS(2));
            }
            set_addrs(s, kind == 2 ? scene_wifi : scene_cell);
            world_run(&s->world, ROAM_SECONDS(2));
            assert_two_way(s, s->agent, id);
            scene_free(s);
        }
}

/* ---- what applications do ---- */

/* The application registers, unregisters and registers again in the middle of a call that moves: the call does not mind, and the registrar has one binding in the end. */
static void test_register_again_in_a_call(void **state)
{
    (void)state;
    for (int step = 0; step < 12; step++) {
        roam_peer_config callee = answering();
        roam_call_id id;
        scene *s = call_scene(NULL, &callee, &id);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(15) * (unsigned)step);
        assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(20));
        assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(3));
        assert_one_binding(s, "alice", CELL);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_account_only),
        cmocka_unit_test(test_call_without_registration),
        cmocka_unit_test(test_registrar_refuses_call_goes_on),
        cmocka_unit_test(test_signalling_alone_moves),
        cmocka_unit_test(test_media_alone_moves),
        cmocka_unit_test(test_update_pending),
        cmocka_unit_test(test_bye_pending),
        cmocka_unit_test(test_latching_peers),
        cmocka_unit_test(test_register_again_in_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

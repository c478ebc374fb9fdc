/* Calls with a decent peer through a proxy, and between two agents: every moment of their life, hung up, held, moved, shut down. */
#include "hand.h"

static roam_peer_config answering(void)
{
    return (roam_peer_config){.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100)};
}

static const roam_leg *leg_of(const scene *s, uint32_t id)
{
    return peer_leg(s->callee->peer, id);
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

static sim_node *second_agent(scene *s, roam_account_id *account)
{
    static const char *const home[] = {"10.9.0.3", NULL};
    sim_node *carol = world_agent(&s->world, "carol", NULL);
    roam_account_config config = scene_account("sip:carol@example.com", "third");
    world_set_addrs(carol, home);
    assert_int_equal(roam_account_add(carol->ua, &config, account), 0);
    world_flush(carol);
    world_run(&s->world, ROAM_SECONDS(1));
    return carol;
}

/* ---- decent peers ---- */

/* Out and in, two-way sound, hung up here and there: both sides end, and the application hears each state once, in order. */
static void test_out_and_in(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    for (int kind = 0; kind < 4; kind++) {
        scene *s = scene_new((scene_options){.callee = &callee});
        uint32_t theirs = 1;
        roam_call_id id;
        if (kind < 2) {
            id = call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_SECONDS(1));
        } else {
            assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
            world_run(&s->world, ROAM_SECONDS(1));
            id = incoming(s->agent);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_INCOMING);
            assert_string_equal(call_of(s->agent, id).remote, "sip:bob@example.com");
            answer(s->agent, id);
            world_run(&s->world, ROAM_SECONDS(1));
        }
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_two_way(s, s->agent, id);
        if (kind % 2)
            hang_up(s->agent, id);
        else
            assert_int_equal(peer_hangup(s->callee->peer, s->world.now, theirs), 0);
        world_run(&s->world, ROAM_SECONDS(40));
        assert_int_equal(calls_of(s->agent), 0);
        assert_int_equal(leg_of(s, theirs)->state, LEG_ENDED);
        size_t seen_states[ROAM_CALL_ENDED + 1] = {0};
        int last = -1;
        for (size_t i = 0; i < s->agent->heard.n; i++) {
            const roam_event *e = &s->agent->heard.events[i];
            if (e->type != ROAM_EVENT_CALL_STATE)
                continue;
            seen_states[e->call_state]++;
            assert_true((int)e->call_state > last);
            last = (int)e->call_state;
        }
        for (int i = 0; i <= ROAM_CALL_ENDED; i++)
            assert_in_range(seen_states[i], 0, 1);
        assert_int_equal(seen_states[ROAM_CALL_ENDED], 1);
        assert_true(world_last(s->agent, ROAM_EVENT_CALL_STATE)->media.packets_received > 50);
        scene_free(s);
    }
}

/* Two agents through the proxy: each moves in turn, then one right after the other, its answer still on its way; the call holds, and sound flows both ways after each. */
static void test_agent_to_agent(void **state)
{
    (void)state;
    static const char *const away[] = {"10.8.0.4", NULL}, *const third[] = {"10.7.0.4", NULL};
    for (int update = 0; update < 2; update++) {
        roam_account_config config = scene_account(NULL, NULL);
        roam_account_id account;
        config.ip_change.use_update = update;
        scene *s = scene_new((scene_options){.account = &config});
        sim_node *carol = second_agent(s, &account);
        roam_call_id id = call_to(s->agent, s->account, "carol");
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
        roam_call_id hers = incoming(carol);
        answer(carol, hers);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_two_way(s, s->agent, id);
        assert_two_way(s, carol, hers);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(3));
        assert_two_way(s, s->agent, id);
        assert_two_way(s, carol, hers);
        world_set_addrs(carol, away);
        world_run(&s->world, ROAM_SECONDS(3));
        assert_two_way(s, s->agent, id);
        assert_two_way(s, carol, hers);
        set_addrs(s, scene_wifi);
        world_run(&s->world, ROAM_MS(120));
        world_set_addrs(carol, third);
        world_run(&s->world, ROAM_SECONDS(10));
        assert_two_way(s, s->agent, id);
        assert_two_way(s, carol, hers);
        hang_up(carol, hers);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(calls_of(s->agent), 0);
        assert_int_equal(calls_of(carol), 0);
        scene_free(s);
    }
}

/* Refused, here and there, with each kind of status; the application is told which. */
static void test_refused(void **state)
{
    (void)state;
    static const unsigned codes[] = {486, 480, 404, 603, 500};
    for (size_t i = 0; i < 5; i++) {
        roam_peer_config callee = {.answer = PEER_REJECTS, .reject_status = codes[i]};
        scene *s = scene_new((scene_options){.callee = &callee});
        call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(calls_of(s->agent), 0);
        const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_STATE);
        assert_int_equal(e->call_state, ROAM_CALL_ENDED);
        assert_int_equal(e->sip_code, codes[i]);
        uint32_t theirs;
        assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        roam_call_id id = incoming(s->agent);
        assert_int_equal(roam_call_reject(s->agent->ua, id, 199), ROAM_EINVAL);
        assert_int_equal(roam_call_reject(s->agent->ua, id, 700), ROAM_EINVAL);
        assert_int_equal(roam_call_hold(s->agent->ua, id), ROAM_ESTATE);
        assert_int_equal(roam_call_dtmf(s->agent->ua, id, "1"), ROAM_ESTATE);
        assert_int_equal(roam_call_reject(s->agent->ua, id, i ? codes[i] : 0), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(leg_of(s, theirs)->state, LEG_ENDED);
        assert_int_equal(leg_of(s, theirs)->last_status, codes[i]);
        world_run(&s->world, ROAM_SECONDS(40));
        scene_free(s);
    }
}

/* Nobody by that name, no such host, no account, no network: each said in its own way, and soon. */
static void test_nowhere(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_call_id id;
    call_to(s->agent, s->account, "nobody");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(world_last(s->agent, ROAM_EVENT_CALL_STATE)->sip_code, 404, 480);
    assert_int_equal(roam_call_make(s->agent->ua, s->account, "", NULL, &id), ROAM_EINVAL);
    assert_int_equal(roam_call_make(s->agent->ua, s->account, "sip:a b@c", NULL, &id), ROAM_EINVAL);
    assert_int_equal(roam_call_make(s->agent->ua, s->account, "sip:x@c\r\nX: y", NULL, &id), ROAM_EINVAL);
    assert_int_equal(roam_call_make(s->agent->ua, s->account, "sips:bob@example.com", NULL, &id), ROAM_EUNSUPPORTED);
    assert_int_equal(roam_call_make(s->agent->ua, 99, "bob", NULL, &id), ROAM_ENOTFOUND);
    assert_int_equal(roam_call_hangup(s->agent->ua, 99), ROAM_ENOTFOUND);
    roam_account_config config = hand_account();
    roam_account_id direct;
    config.aor = "sip:carol@example.com";
    config.password = "third";
    assert_int_equal(roam_account_add(s->agent->ua, &config, &direct), 0);
    world_flush(s->agent);
    call_to(s->agent, direct, "sip:x@nowhere.example.net");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->status, ROAM_ENOTFOUND);
    set_addrs(s, scene_none); /* a call made without a network waits for it, up to offline_max */
    id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(30));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CALLING);
    world_run(&s->world, ROAM_SECONDS(40));
    assert_int_equal(calls_of(s->agent), 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->status, ROAM_EOFFLINE);
    scene_free(s);
}

/* Without keepalives: no transaction but those of the call. */
static roam_account_config quiet_account(void)
{
    roam_account_config account = scene_account(NULL, NULL);
    account.keepalive = 0;
    return account;
}

/* Hung up at every moment of an outgoing call, in steps of half a one-way delay, by either side: CANCEL, the race of CANCEL and 200, BYE. Everything is over on both sides soon after,
 * and no transaction is left half a minute later. */
static void test_hang_up_at_any_time(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++)
        for (unsigned after = 0; after <= 700; after += 25) {
            roam_peer_config callee = answering();
            roam_account_config account = quiet_account();
            scene *s = scene_new((scene_options){.callee = &callee, .account = &account});
            roam_call_id id = call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_MS(after));
            if (who == 0) {
                hang_up(s->agent, id);
            } else {
                while (!leg_of(s, 1))
                    world_run(&s->world, ROAM_MS(5));
                peer_hangup(s->callee->peer, s->world.now, 1);
            }
            world_run(&s->world, ROAM_SECONDS(3));
            assert_int_equal(calls_of(s->agent), 0);
            if (leg_of(s, 1))
                assert_int_equal(leg_of(s, 1)->state, LEG_ENDED);
            world_run(&s->world, ROAM_SECONDS(40));
            roam_ua_counters counters;
            roam_ua_get_counters(s->agent->ua, &counters);
            assert_int_equal(counters.transactions, 0);
            scene_free(s);
        }
}

/* The same for an incoming call that is answered after 150 ms. */
static void test_hang_up_incoming_at_any_time(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++)
        for (unsigned after = 100; after <= 500; after += 25) {
            roam_account_config account = quiet_account();
            scene *s = scene_new((scene_options){.account = &account});
            uint32_t theirs;
            assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
            world_run(&s->world, ROAM_MS(100));
            roam_call_id id = incoming(s->agent);
            if (after > 150) {
                world_run(&s->world, ROAM_MS(50));
                answer(s->agent, id);
                world_run(&s->world, ROAM_MS(after - 150));
            } else {
                world_run(&s->world, ROAM_MS(after - 100));
            }
            if (who == 0)
                hang_up(s->agent, id);
            else
                peer_hangup(s->callee->peer, s->world.now, theirs);
            world_run(&s->world, ROAM_SECONDS(3));
            assert_int_equal(calls_of(s->agent), 0);
            assert_int_equal(leg_of(s, theirs)->state, LEG_ENDED);
            world_run(&s->world, ROAM_SECONDS(40));
            roam_ua_counters counters;
            roam_ua_get_counters(s->agent->ua, &counters);
            assert_int_equal(counters.transactions, 0);
            scene_free(s);
        }
}

/* Shut down at every moment: done within 4 s, the call is over there as well, the binding gone. */
static void test_shutdown_at_any_time(void **state)
{
    (void)state;
    for (unsigned after = 0; after <= 700; after += 50) {
        roam_peer_config callee = answering();
        scene *s = scene_new((scene_options){.callee = &callee});
        call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_MS(after));
        roam_ua_shutdown(s->agent->ua);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(4050));
        assert_int_equal(world_count(s->agent, ROAM_EVENT_SHUTDOWN_DONE), 1);
        assert_int_equal(bindings_of(s, "alice"), 0);
        if (leg_of(s, 1))
            assert_int_equal(leg_of(s, 1)->state, LEG_ENDED);
        roam_call_id id;
        assert_int_equal(roam_call_make(s->agent->ua, s->account, "bob", NULL, &id), ROAM_ESTATE);
        scene_free(s);
    }
    scene *s = scene_new((scene_options){0}); /* offline: nobody to say good-bye to */
    set_addrs(s, scene_none);
    roam_ua_shutdown(s->agent->ua);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(4050));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_SHUTDOWN_DONE), 1);
    scene_free(s);
}

/* Hung up without a network: the user is told at once, or soon; the BYE goes as soon as there is a path. */
static void test_hang_up_offline(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(5));
    hang_up(s->agent, id);
    world_run(&s->world, ROAM_SECONDS(5));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(calls_of(s->agent), 0);
    assert_int_equal(leg_of(s, 1)->state, LEG_ENDED);
    scene_free(s);
}

/* Both hang up in the same moment: each BYE is answered, each side ends once. */
static void test_crossing_byes(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    hang_up(s->agent, id);
    assert_int_equal(peer_hangup(s->callee->peer, s->world.now, 1), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(calls_of(s->agent), 0);
    assert_int_equal(leg_of(s, 1)->state, LEG_ENDED);
    size_t ended = 0;
    for (size_t i = 0; i < s->agent->heard.n; i++)
        ended += s->agent->heard.events[i].type == ROAM_EVENT_CALL_STATE && s->agent->heard.events[i].call_state == ROAM_CALL_ENDED;
    assert_int_equal(ended, 1);
    world_run(&s->world, ROAM_SECONDS(70));
    scene_free(s);
}

/* Hold from there by re-INVITE and by UPDATE, from here on top of it, and back in the other order: each side sees what is so. */
static void test_hold_both(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    for (int update = 0; update < 2; update++) {
        scene *s = scene_new((scene_options){.callee = &callee});
        roam_call_id id = call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, true, update), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_REMOTE);
        assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_BOTH);
        assert_true(leg_of(s, 1)->remote_hold);
        assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, false, update), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        assert_true(leg_of(s, 1)->remote_hold);
        assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        assert_int_equal(roam_call_resume(s->agent->ua, id), ROAM_ESTATE);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

/* Hold and resume wished for while a refresh is out: kept, and sent when it is over; the last wish wins. */
static void test_hold_while_pending(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(20));
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
    assert_true(leg_of(s, 1)->remote_hold);
    assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(20));
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
    assert_false(leg_of(s, 1)->remote_hold);
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

/* Both sides hold in the same moment: glare, 491, and by the timers of RFC 3261 14.1 both get their way. */
static void test_glare_with_peer(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, true, false), 0);
    world_run(&s->world, ROAM_SECONDS(12));
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_BOTH);
    assert_true(leg_of(s, 1)->remote_hold && leg_of(s, 1)->local_hold);
    scene_free(s);
}

/* RFC 4733 between two agents, both ways: each digit arrives once, in order, with its length. */
static void test_dtmf(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_account_id account;
    sim_node *carol = second_agent(s, &account);
    roam_call_id id = call_to(s->agent, s->account, "carol");
    world_run(&s->world, ROAM_SECONDS(1));
    roam_call_id hers = incoming(carol);
    answer(carol, hers);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_call_dtmf(s->agent->ua, id, "12#D"), 0);
    assert_int_equal(roam_call_dtmf(carol->ua, hers, "*9"), 0);
    assert_int_equal(roam_call_dtmf(carol->ua, hers, "x") < 0, 1);
    world_flush(s->agent);
    world_flush(carol);
    world_run(&s->world, ROAM_SECONDS(3));
    char text[2][8] = {{0}};
    const sim_node *nodes[] = {carol, s->agent};
    for (int n = 0; n < 2; n++) {
        size_t k = 0;
        for (size_t i = 0; i < nodes[n]->heard.n; i++) {
            const roam_event *e = &nodes[n]->heard.events[i];
            if (e->type == ROAM_EVENT_CALL_DTMF && k < 7) {
                text[n][k++] = e->digit;
                assert_in_range(e->duration_ms, 140, 180);
            }
        }
    }
    assert_string_equal(text[0], "12#D");
    assert_string_equal(text[1], "*9");
    scene_free(s);
}

/* A call to one's own address: through the proxy and back to the same agent; two calls, both ends of one; hung up, both are over. */
static void test_call_to_oneself(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_call_id id = call_to(s->agent, s->account, "alice");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(calls_of(s->agent), 2);
    roam_call_id other = incoming(s->agent);
    answer(s->agent, other);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s->agent, other).state, ROAM_CALL_CONFIRMED);
    assert_two_way(s, s->agent, id);
    assert_two_way(s, s->agent, other);
    hang_up(s->agent, id);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(calls_of(s->agent), 0);
    scene_free(s);
}

/* An edge that refuses (403) until the new path is registered: the refresh waits for the REGISTER and goes again at once. */
static void test_edge_refuses(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    roam_testserver_config server = {.proxy = {.edge_refuses = true}};
    scene *s = scene_new((scene_options){.callee = &callee, .server = &server});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    for (int i = 0; i < 3; i++) {
        set_addrs(s, i % 2 ? scene_wifi : scene_cell);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_two_way(s, s->agent, id);
    }
    scene_free(s);
}

/* Sixty calls at once, in both directions, moved together: all are whole afterwards. */
static void test_many_calls(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new((scene_options){.callee = &callee});
    roam_call_id ids[60];
    for (size_t i = 0; i < 60; i++) {
        if (i % 2) {
            ids[i] = call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_MS(400));
        } else {
            uint32_t theirs;
            assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
            world_run(&s->world, ROAM_MS(200));
            ids[i] = incoming(s->agent);
            answer(s->agent, ids[i]);
            world_run(&s->world, ROAM_MS(200));
        }
    }
    world_run(&s->world, ROAM_SECONDS(1));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(call_of(s->agent, ids[i]).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s->agent, ids[i]).link, ROAM_LINK_OK);
    }
    assert_two_way(s, s->agent, ids[0]);
    assert_two_way(s, s->agent, ids[59]);
    scene_free(s);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_and_in),
        cmocka_unit_test(test_agent_to_agent),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_hang_up_at_any_time),
        cmocka_unit_test(test_hang_up_incoming_at_any_time),
        cmocka_unit_test(test_shutdown_at_any_time),
        cmocka_unit_test(test_hang_up_offline),
        cmocka_unit_test(test_crossing_byes),
        cmocka_unit_test(test_hold_both),
        cmocka_unit_test(test_hold_while_pending),
        cmocka_unit_test(test_glare_with_peer),
        cmocka_unit_test(test_dtmf),
        cmocka_unit_test(test_call_to_oneself),
        cmocka_unit_test(test_edge_refuses),
        cmocka_unit_test(test_many_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

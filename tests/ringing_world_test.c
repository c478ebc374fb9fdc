/* A call that rings while the path changes, in a whole world: registrar, record-routing proxy, callee, NAT. */
#include "early.h"

/* INVITEs that made the callee ring. */
static size_t times_rung(const scene *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->nlog; i++)
        n += strncmp(s->log[i].text, "SIP/2.0 180", 11) == 0 && is_ip(s->log[i].from.ip, CALLEE) && !scene_is_repeat(s, i);
    return n;
}

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
        assert_int_equal(times_rung(s), 1);
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

/* A NAT forgets its ports while it rings: what is said to the INVITE goes to the old one. Out: the keepalive finds out, and the call is taken over when it is answered. In: the caller, who gave up
 * meanwhile, is asked, and the ringing ends. */
static void test_rebinding(void **state)
{
    (void)state;
    for (int in = 0; in < 2; in++) {
        static const uint8_t seed[32] = "ringing test";
        roam_nat_config config = {.external = sim_ip("203.0.113.77")};
        roam_account_config account = scene_account(NULL, NULL);
        roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_SECONDS(4)};
        roam_mem mem;
        roam_nat nat;
        mem_init(&mem, NULL);
        assert_int_equal(nat_init(&nat, &mem, seed, &config), 0);
        account.keepalive = 2;
        scene *s = scene_new((scene_options){.nat = &nat, .callee = &callee, .account = &account});
        roam_call_id id = 0;
        uint32_t theirs = 0;
        if (in)
            assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
        else
            id = call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_SECONDS(1));
        nat_rebind(&nat, NULL);
        if (in) {
            assert_int_equal(roam_call_list(s->agent->ua, &id, 1), 1);
            assert_int_equal(peer_hangup(s->callee->peer, s->world.now, theirs), 0);
            world_run(&s->world, ROAM_SECONDS(46)); /* so long the caller waits for a response to its CANCEL, in a dialog that lives */
            assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
            assert_string_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->reason, "the caller gave up while away");
        } else {
            world_run(&s->world, ROAM_SECONDS(9));
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
            assert_two_way(s, s->agent, id);
            assert_int_equal(times_rung(s), 1);
        }
        scene_free(s);
        nat_free(&nat);
    }
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
        cmocka_unit_test(test_world),
        cmocka_unit_test(test_world_declined),
        cmocka_unit_test(test_black_hole),
        cmocka_unit_test(test_rebinding),
        cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The simulator judges agents; this judges the simulator. Each rule is shown to fail: a run that violates nothing is repeated with something broken on purpose (an agent, the
 * network, a packet on its way, an invented event), and that rule, no other one, has to be named. Then: the same seed gives the same trace, plans survive being printed, shrinking
 * finds the cause, and the sweep covers every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/run.h"
#include "sim/shrink.h"
#include "sim/sweep.h"
#include "testbed/peer.h"
#include "testbed/server.h"
#include "ua/ua.h"

typedef struct broken {
    const char *scenario;
    sim_rule rule;
    void (*spoil)(void *user, sim_packet *packet);
    void (*tick)(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t);
    bool (*tap)(void *user, const sim_packet *packet);
    const char *faults;
    /* of the run */
    unsigned count;
    bool done;
    roam_timer timer;
    roam_env *env;
} broken;

static sim_plan plan_for(const char *scenario)
{
    sim_plan plan = {.seed = 7, .scenario = scenario_find(scenario), .peer = &sim_peer_profiles[0], .server = &sim_server_profiles[0], .delay_ms = 20};
    assert_non_null(plan.scenario);
    return plan;
}

/* The same run, whole and broken. */
static void assert_seen(broken *b)
{
    sim_plan plan = plan_for(b->scenario);
    sim_result result;
    if (b->faults)
        assert_true(faults_parse(b->faults, plan.faults, &plan.nfaults));
    sim_run(&plan, NULL, &result);
    if (result.rule != RULE_NONE)
        print_error("whole, yet: %s: %s\n", rule_text(result.rule), result.text);
    assert_int_equal(result.rule, RULE_NONE);
    sim_spy spy = {.spoil = b->spoil, .tick = b->tick, .tap = b->tap, .user = b};
    sim_run(&plan, &spy, &result);
    if (result.rule != b->rule)
        print_error("wanted %s, got %s: %s\n", rule_text(b->rule), rule_text(result.rule), result.text);
    assert_int_equal(result.rule, b->rule);
    assert_true(result.text[0] != '\0');
}

static bool from_alice(const sim_packet *p)
{
    return p->sender && strcmp(p->sender->name, "alice") == 0;
}

static bool is_request(const sim_packet *p, const char *method)
{
    size_t n = strlen(method);
    return p->len > n && memcmp(p->bytes, method, n) == 0 && p->bytes[n] == ' ';
}

/* Where `text` begins in the packet; NULL: nowhere. */
static char *in_packet(sim_packet *p, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= p->len; i++)
        if (memcmp(p->bytes + i, text, n) == 0)
            return p->bytes + i;
    return NULL;
}

static roam_call_id call_in(const sim_actor *alice, roam_call_state state)
{
    roam_call_id ids[4];
    roam_call_info info;
    size_t n = roam_call_list(alice->node->ua, ids, 4);
    for (size_t i = 0; i < n && i < 4; i++)
        if (roam_call_get_info(alice->node->ua, ids[i], &info) == 0 && info.state == state)
            return ids[i];
    return 0;
}

static roam_leg *leg_up(const sim_actor *bob)
{
    list_each(leg, &bob->node->peer->legs, roam_leg, node)
        if (leg->state == LEG_CONFIRMED)
            return leg;
    return NULL;
}

/* ---- what is sent ---- */

/* The device loses its address and nobody tells the agent. */
static void lose_address(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    (void)user, (void)check, (void)world;
    if (t > ROAM_MS(900))
        actors[ALICE].node->naddrs = 0;
}

static void test_dead_path(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_DEAD_PATH, .tick = lose_address});
}

static void spoil_cseq_header(void *user, sim_packet *p)
{
    (void)user;
    char *at = from_alice(p) && is_request(p, "INVITE") ? in_packet(p, "CSeq:") : NULL;
    if (at)
        memcpy(at, "XSeq:", 5);
}

static void test_well_formed(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_WELL_FORMED, .spoil = spoil_cseq_header});
}

static bool lose_first_register(void *user, const sim_packet *p)
{
    broken *b = user;
    return !(from_alice(p) && is_request(p, "REGISTER") && b->count <= 1);
}

static void spoil_second_copy(void *user, sim_packet *p)
{
    broken *b = user;
    if (!from_alice(p) || !is_request(p, "REGISTER") || ++b->count != 2)
        return;
    char *at = in_packet(p, "Max-Forwards: 70");
    assert_non_null(at);
    at[15] = '1';
}

static void test_retransmission(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "register", .rule = RULE_RETRANSMISSION, .spoil = spoil_second_copy, .tap = lose_first_register});
}

static void spoil_bye_number(void *user, sim_packet *p)
{
    (void)user;
    char *at = from_alice(p) && is_request(p, "BYE") ? in_packet(p, "CSeq: ") : NULL;
    for (at = at ? at + 6 : NULL; at && *at >= '0' && *at <= '9'; at++)
        *at = '0';
}

static void test_cseq(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "bye-out", .rule = RULE_CSEQ, .spoil = spoil_bye_number});
}

/* An agent that begins to count anew. */
static void spoil_nonce_count(void *user, sim_packet *p)
{
    (void)user;
    char *at = from_alice(p) && !is_request(p, "ACK") ? in_packet(p, "nc=0000000") : NULL;
    if (at)
        at[10] = '1';
}

static void test_nonce(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out-hold", .rule = RULE_NONCE, .spoil = spoil_nonce_count});
}

/* The second description has the first one's version. */
static void spoil_version(void *user, sim_packet *p)
{
    broken *b = user;
    char *at = from_alice(p) && is_request(p, "INVITE") && in_packet(p, "a=sendonly") ? in_packet(p, "o=") : NULL;
    if (!at)
        return;
    b->done = true;
    for (int blanks = 0; blanks < 2; at++)
        blanks += *at == ' ';
    for (; *at != ' '; at++)
        *at = '0';
}

static void test_offer_version(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out-hold", .rule = RULE_OFFERS, .spoil = spoil_version});
}

/* Requests as a broken agent would send them, given to the checkers by hand. */
static void send_by_hand(sim_check *check, sim_node *agent, const char *method, const char *branch, unsigned cseq, const char *sdp_version)
{
    char bytes[1500], sdp[300] = "";
    if (sdp_version)
        snprintf(sdp, sizeof sdp, "v=0\r\no=- 1 %s IN IP4 10.1.0.5\r\ns=-\r\nc=IN IP4 10.1.0.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n", sdp_version);
    int len = snprintf(bytes, sizeof bytes,
                       "%s sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.5:5060;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\n"
                       "To: <sip:bob@example.com>;tag=b\r\nCall-ID: one\r\nCSeq: %u %s\r\nContact: <sip:alice@10.1.0.5>\r\n%sContent-Length: %zu\r\n\r\n%s",
                       method, branch, cseq, method, sdp_version ? "Content-Type: application/sdp\r\n" : "", strlen(sdp), sdp);
    sim_packet *p = calloc(1, sizeof *p + (size_t)len);
    assert_non_null(p);
    p->world = agent->world;
    p->sender = agent;
    p->from = sim_addr("10.1.0.5:5060");
    p->to = sim_addr("192.0.2.1:5060");
    p->len = (size_t)len;
    memcpy(p->bytes, bytes, (size_t)len);
    check_sent(check, p, true);
    free(p);
}

/* A second INVITE, and a second offer, while the first one is under way. */
static void test_pending_and_offers(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        sim_rule rule;
    } cases[] = {{"INVITE", RULE_PENDING}, {"UPDATE", RULE_OFFERS}};
    for (size_t i = 0; i < 2; i++) {
        static sim_check check;
        sim_world world;
        world_init(&world, 1, 0);
        sim_node *agent = world_agent(&world, "alice", NULL);
        check_init(&check, &world);
        send_by_hand(&check, agent, "INVITE", "one", 1, i == 0 ? NULL : "1");
        assert_int_equal(check.rule, RULE_NONE);
        send_by_hand(&check, agent, cases[i].method, "two", 2, i == 0 ? NULL : "2");
        assert_int_equal(check.rule, cases[i].rule);
        check_free(&check);
        /* A change of network between them makes it right (docs/handover.md). */
        check_init(&check, &world);
        send_by_hand(&check, agent, "INVITE", "one", 1, i == 0 ? NULL : "1");
        check.epoch++;
        send_by_hand(&check, agent, cases[i].method, "two", 2, i == 0 ? NULL : "2");
        assert_int_equal(check.rule, RULE_NONE);
        check_free(&check);
        world_free(&world);
    }
}

/* ---- what the agent is ---- */

static void due_again(roam_timer *timer)
{
    broken *b = container_of(timer, broken, timer);
    env_arm(b->env, timer, 0);
}

/* A timer that is due as soon as it fired. */
static void arm_due_again(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    broken *b = user;
    (void)check, (void)world;
    if (t < ROAM_MS(500) || b->done)
        return;
    b->done = true;
    b->env = &actors[ALICE].node->ua->env;
    timer_init(&b->timer, due_again, "again");
    env_arm(b->env, &b->timer, 0);
}

static void test_deadline(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_DEADLINE, .tick = arm_due_again});
}

static void flood(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    broken *b = user;
    char bytes[600];
    (void)check, (void)actors;
    const roam_addr from = sim_addr("192.0.2.66:5060"), to = {sim_ip("10.1.0.5"), 40000};
    for (int i = 0; i < 20 && t > ROAM_MS(300); i++) {
        int len = snprintf(bytes, sizeof bytes,
                           "OPTIONS sip:alice@10.1.0.5 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK%u\r\nMax-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=%u\r\n"
                           "To: <sip:alice@example.com>\r\nCall-ID: %u\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
                           b->count, b->count, b->count);
        b->count++;
        world_inject(world, &from, &to, span_make(bytes, (size_t)len));
    }
}

static void test_bounded(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "register", .rule = RULE_BOUNDED, .tick = flood});
}

static void leak(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    broken *b = user;
    static void *kept; /* found by the simulator, not by the sanitizer */
    (void)check, (void)world, (void)t;
    if (!b->done)
        kept = mem_alloc(&actors[ALICE].node->ua->env.mem, 10);
    b->done = true;
    assert_non_null(kept);
}

static void test_leak(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "register", .rule = RULE_LEAK, .tick = leak});
}

/* ---- what is told ---- */

static void tell(sim_check *check, const sim_actor *alice, roam_event event)
{
    event.time = alice->node->world->now;
    check_event(check, alice->node, &event);
}

static void ends_and_goes_on(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    broken *b = user;
    roam_call_id id = call_in(&actors[ALICE], ROAM_CALL_CONFIRMED);
    (void)world, (void)t;
    if (!id || b->done)
        return;
    b->done = true;
    tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_CALL_STATE, .call = id, .call_state = ROAM_CALL_ENDED});
    tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_CALL_HOLD, .call = id});
}

static void goes_back(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_call_id id = call_in(&actors[ALICE], ROAM_CALL_CONFIRMED);
    (void)user, (void)world, (void)t;
    if (id)
        tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_CALL_STATE, .call = id, .call_state = ROAM_CALL_EARLY});
}

static void test_states(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_STATES, .tick = ends_and_goes_on});
    assert_seen(&(broken){.scenario = "out", .rule = RULE_STATES, .tick = goes_back});
}

static void invents_confirmed(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_call_id id = call_in(&actors[ALICE], ROAM_CALL_EARLY);
    (void)user, (void)world, (void)t;
    if (id)
        tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_CALL_STATE, .call = id, .call_state = ROAM_CALL_CONFIRMED});
}

static void invents_recovered(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_call_id id = call_in(&actors[ALICE], ROAM_CALL_CONFIRMED);
    (void)user, (void)world, (void)t;
    if (!id)
        return;
    tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_IP_CHANGE_PROGRESS, .op = ROAM_IP_CHANGE_DETECTED, .call = id});
    tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_IP_CHANGE_PROGRESS, .op = ROAM_IP_CHANGE_RECOVERED, .call = id});
}

static bool lose_rtp_to_cell(void *user, const sim_packet *p)
{
    roam_ip cell = sim_ip("10.2.0.7");
    (void)user;
    return !(packet_is_rtp(p) && roam_ip_equal(&p->to.ip, &cell));
}

/* Nothing comes on the new path, and the application is told otherwise. */
static void invents_downlink(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    broken *b = user;
    roam_call_id id = call_in(&actors[ALICE], ROAM_CALL_CONFIRMED);
    (void)world;
    if (t < ROAM_MS(1400) || b->done || !id)
        return;
    b->done = true;
    tell(check, &actors[ALICE], (roam_event){.type = ROAM_EVENT_IP_CHANGE_PROGRESS, .op = ROAM_IP_CHANGE_RECOVERED, .call = id, .report = {.uplink = 1, .downlink = 2}});
}

static void test_truth(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_TRUTH, .tick = invents_confirmed});
    assert_seen(&(broken){.scenario = "out", .rule = RULE_TRUTH, .tick = invents_recovered});
    assert_seen(&(broken){.scenario = "out", .rule = RULE_TRUTH, .tick = invents_downlink, .tap = lose_rtp_to_cell, .faults = "break@1200"});
}

/* ---- once the world is whole ---- */

static void forget_bindings(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    broken *b = user;
    (void)check, (void)actors;
    if (t < ROAM_MS(500) || b->done)
        return;
    b->done = true;
    list_each(node, &world->nodes, sim_node, node)
        if (node->server)
            assert_int_equal(testserver_restart(node->server, world->now), 0);
}

static void test_binding(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "register", .rule = RULE_BINDING, .tick = forget_bindings});
}

/* The peer hangs up, and its user did not. */
static void hang_up(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_leg *leg = leg_up(&actors[BOB]);
    (void)user, (void)check;
    if (leg && t > ROAM_MS(1000))
        peer_hangup(actors[BOB].node->peer, world->now, leg->id);
}

static void test_call_lost(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_CALL_LOST, .tick = hang_up});
}

static bool lose_bye(void *user, const sim_packet *p)
{
    (void)user;
    return !is_request(p, "BYE");
}

static void test_zombie(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "bye-out", .rule = RULE_ZOMBIE, .tap = lose_bye});
}

static void wrong_target(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_leg *leg = leg_up(&actors[BOB]);
    char *at = leg ? strstr(leg->dialog.remote_target, "10.1.0.5") : NULL;
    (void)user, (void)check, (void)world, (void)t;
    if (at)
        memcpy(at, "10.1.0.6", 8);
}

static void test_dialog(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_DIALOG, .tick = wrong_target});
}

static void hold_unasked(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_leg *leg = leg_up(&actors[BOB]);
    (void)user, (void)check;
    if (leg && t > ROAM_MS(1000) && !leg->local_hold)
        peer_hold(actors[BOB].node->peer, world->now, leg->id, true, false);
}

static void test_hold(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_HOLD, .tick = hold_unasked});
}

static void wrong_media(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time t)
{
    roam_leg *leg = leg_up(&actors[BOB]);
    (void)user, (void)check, (void)world, (void)t;
    if (leg)
        leg->audio.signalled.port |= 1;
}

static void test_media(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_MEDIA, .tick = wrong_media});
}

static bool lose_rtp(void *user, const sim_packet *p)
{
    (void)user;
    return !packet_is_rtp(p) || !from_alice(p);
}

static void test_rtp(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "out", .rule = RULE_RTP, .tap = lose_rtp});
}

static bool lose_message(void *user, const sim_packet *p)
{
    (void)user;
    return !(from_alice(p) && is_request(p, "MESSAGE"));
}

static void test_done(void **state)
{
    (void)state;
    assert_seen(&(broken){.scenario = "message-out", .rule = RULE_DONE, .tap = lose_message});
}

/* What excuses a call excuses nothing else, and not before it happened: with a server that may refuse calls, and memory that is refused later, a call that the peer ends is lost all the same. */
static void test_excuses_are_narrow(void **state)
{
    (void)state;
    broken b = {.scenario = "out", .tick = hang_up};
    sim_plan plan = plan_for("out");
    sim_result result;
    assert_true(faults_parse("memory@900:1", plan.faults, &plan.nfaults));
    plan.server = sim_profile_find("overloaded");
    sim_spy spy = {.tick = b.tick, .user = &b};
    unsigned lost = 0;
    for (plan.seed = 1; plan.seed <= 20; plan.seed++) {
        sim_run(&plan, &spy, &result);
        lost += result.rule == RULE_CALL_LOST;
        assert_true(result.rule == RULE_CALL_LOST || result.excuses == 1u << EXCUSED_REFUSED);
    }
    assert_true(lost > 8);
}

/* ---- the machine itself ---- */

/* Twenty seeds, each twice: the traces are the same; and they differ from each other. */
static void test_repeatable(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sim_plan plan;
        sim_result one, two;
        plan_draw(&plan, seed);
        sim_run(&plan, NULL, &one);
        sim_run(&plan, NULL, &two);
        assert_true(one.hash == two.hash);
        assert_int_equal(one.packets, two.packets);
        assert_true(one.hash != last);
        last = one.hash;
    }
}

/* One packet more or less is another trace: what --twice compares is worth comparing. */
static bool lose_one(void *user, const sim_packet *p)
{
    broken *b = user;
    (void)p;
    return ++b->count != 5; /* a REGISTER or its answer */
}

static void test_hash_sees(void **state)
{
    (void)state;
    sim_plan plan = plan_for("out");
    sim_result one, two;
    broken b = {0};
    sim_spy spy = {.tap = lose_one, .user = &b};
    sim_run(&plan, NULL, &one);
    sim_run(&plan, &spy, &two);
    assert_true(one.hash != two.hash);
}

/* Faults that were drawn are the same after being printed and read. */
static void test_faults_text(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        sim_plan plan;
        sim_fault again[PLAN_FAULTS];
        size_t n;
        char text[FAULTS_TEXT_MAX], other[FAULTS_TEXT_MAX];
        plan_draw(&plan, seed);
        faults_print(plan.faults, plan.nfaults, text);
        assert_true(faults_parse(text, again, &n));
        assert_int_equal(n, plan.nfaults);
        faults_print(again, n, other);
        assert_string_equal(text, other);
    }
    sim_fault f[PLAN_FAULTS];
    size_t n;
    assert_true(faults_parse("hole@#17/100:3", f, &n));
    assert_true(f[0].by_step && f[0].at == 17 && f[0].lasts_ms == 100 && f[0].more == 3);
    assert_false(faults_parse("rain@1", f, &n));
    assert_false(faults_parse("break", f, &n));
    assert_false(faults_parse("", f, &n));
}

/* A plan that "fails" because of one of its faults shrinks to that one. */
static sim_rule hole_fails(void *user, const sim_plan *plan)
{
    (void)user;
    for (size_t i = 0; i < plan->nfaults; i++)
        if (plan->faults[i].kind == FAULT_HOLE && plan->faults[i].lasts_ms >= 100)
            return RULE_RTP;
    return RULE_NONE;
}

static void test_shrink(void **state)
{
    (void)state;
    sim_plan plan = plan_for("hold-resume");
    plan.peer = &sim_peer_profiles[3];
    assert_true(faults_parse("break@100/20,hole@210/1234,flap@300/40", plan.faults, &plan.nfaults));
    plan_shrink(&plan, RULE_RTP, 200, hole_fails, NULL);
    assert_int_equal(plan.nfaults, 1);
    assert_int_equal(plan.faults[0].kind, FAULT_HOLE);
    assert_int_equal(plan.faults[0].at, 200);
    assert_in_range(plan.faults[0].lasts_ms, 100, 199);
    assert_ptr_equal(plan.peer, &sim_peer_profiles[0]);
    assert_int_equal(plan.skip, 0x6);
}

/* A call of two messages each way has its steps, and a run of the sweep puts its change before the one it names. */
static void test_sweep(void **state)
{
    (void)state;
    sim_sweep sweep;
    sim_sweep_options options = {.scenario = scenario_find("out"), .peer = &sim_peer_profiles[0], .seed = 1};
    assert_true(sweep_init(&sweep, &options));
    assert_in_range(sweep.count, 20, 400);
    sim_plan plan;
    sweep_plan(&sweep, 0, &plan);
    assert_int_equal(plan.nfaults, 0);
    uint32_t last = 0;
    for (uint64_t i = 1; i < sweep.count; i++) {
        sweep_plan(&sweep, i, &plan);
        assert_int_equal(plan.nfaults, 1);
        assert_true(plan.faults[0].by_step && plan.faults[0].at >= last);
        last = plan.faults[0].at;
    }
    sweep_free(&sweep);
    options.pairs = true;
    uint64_t singles = last;
    assert_true(sweep_init(&sweep, &options));
    assert_true(sweep.count > singles);
    sweep_plan(&sweep, sweep.count - 1, &plan);
    assert_int_equal(plan.nfaults, 2);
    sweep_free(&sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_path), cmocka_unit_test(test_well_formed), cmocka_unit_test(test_retransmission), cmocka_unit_test(test_cseq),
        cmocka_unit_test(test_nonce), cmocka_unit_test(test_offer_version), cmocka_unit_test(test_pending_and_offers), cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_bounded), cmocka_unit_test(test_leak), cmocka_unit_test(test_states), cmocka_unit_test(test_truth),
        cmocka_unit_test(test_binding), cmocka_unit_test(test_call_lost), cmocka_unit_test(test_zombie), cmocka_unit_test(test_dialog),
        cmocka_unit_test(test_hold), cmocka_unit_test(test_media), cmocka_unit_test(test_rtp), cmocka_unit_test(test_done), cmocka_unit_test(test_excuses_are_narrow), cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_hash_sees), cmocka_unit_test(test_faults_text), cmocka_unit_test(test_shrink), cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The address did not change, but the path did: NATs that bind anew, black holes, another network behind the same address, a device that slept. And the application's say when
 * there are two paths. */
#include "scene.h"

/* ---- the network misbehaves ---- */

static struct {
    const char *hole;   /* nothing passes from or to this address */
    const char *server; /* nothing passes between the agent and this one */
    bool no_options;    /* the server ignores OPTIONS */
    bool jitter;
    uint64_t rtp_from_wifi, rtp_from_cell;
} weather;

static bool touches(const sim_packet *p, const char *text)
{
    roam_ip ip = sim_ip(text);
    return roam_ip_equal(&p->from.ip, &ip) || roam_ip_equal(&p->to.ip, &ip);
}

static bool from_agent(const sim_packet *p)
{
    return p->sender && p->sender->type == SIM_AGENT;
}

static bool in_the_weather(scene *s, const sim_packet *p)
{
    roam_ip wifi = sim_ip(WIFI), cell = sim_ip(CELL), callee = sim_ip(CALLEE);
    if (from_agent(p) && !scene_is_sip(p)) {
        weather.rtp_from_wifi += roam_ip_equal(&p->from.ip, &wifi);
        weather.rtp_from_cell += roam_ip_equal(&p->from.ip, &cell);
    }
    if (weather.jitter)
        s->world.delay = RTT / 2 + random_below(&s->world.random, (uint32_t)ROAM_MS(15));
    if (weather.hole && touches(p, weather.hole))
        return false;
    if (weather.server && touches(p, weather.server) && !roam_ip_equal(&p->from.ip, &callee) && !roam_ip_equal(&p->to.ip, &callee))
        return false;
    return !(weather.no_options && scene_is_request(p->bytes, p->len, "OPTIONS"));
}

static scene *begin(scene_options o)
{
    memset(&weather, 0, sizeof weather);
    scene *s = scene_new(o);
    s->more = in_the_weather;
    return s;
}

static roam_peer_config bob(roam_audio_policy policy)
{
    return (roam_peer_config){.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100), .audio = {.policy = policy}};
}

static roam_call_id call_bob(scene *s)
{
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

/* The first progress event of that kind since then; NULL: none. */
static const roam_event *progress_since(const scene *s, roam_ip_change_op op, roam_call_id call, roam_time since)
{
    for (size_t i = 0; i < s->agent->heard.n; i++) {
        const roam_event *e = &s->agent->heard.events[i];
        if (e->type == ROAM_EVENT_IP_CHANGE_PROGRESS && e->op == op && e->call == call && e->time >= since)
            return e;
    }
    return NULL;
}

static uint32_t epoch_of(const scene *s)
{
    roam_ua_counters c;
    roam_ua_get_counters(s->agent->ua, &c);
    return c.epoch;
}

static size_t link_events(const scene *s)
{
    return world_count(s->agent, ROAM_EVENT_CALL_LINK);
}

/* ---- NAT ---- */

typedef struct natted {
    roam_mem mem;
    roam_nat nat;
    scene *s;
} natted;

#define OUTSIDE "203.0.113.77"

static void natted_begin(natted *n, scene_options o)
{
    static const uint8_t seed[32] = "path test";
    roam_nat_config config = {.external = sim_ip(OUTSIDE)};
    mem_init(&n->mem, NULL);
    assert_int_equal(nat_init(&n->nat, &n->mem, seed, &config), 0);
    o.nat = &n->nat;
    n->s = begin(o);
}

static void natted_end(natted *n)
{
    scene_free(n->s);
    nat_free(&n->nat);
}

/* The NAT binds anew in a call. The peer sends to the old port, so RTP falls silent; within 2 s the agent knows why, registers with the new mapping and refreshes the
 * call; sound is back both ways. The peer lets go of a source that it has latched on to only for another address in the SDP. */
static void test_rebinding_in_call(void **state)
{
    (void)state;
    natted n;
    roam_peer_config callee = bob(AUDIO_LATCH);
    natted_begin(&n, (scene_options){.callee = &callee});
    scene *s = n.s;
    roam_call_id id = call_bob(s);
    assert_two_way(s, s->agent, id);
    char contact[320];
    memcpy(contact, account_of(s).contact, sizeof contact);
    assert_non_null(strstr(contact, OUTSIDE));
    uint32_t epoch = epoch_of(s);
    roam_time t0 = s->world.now;
    nat_rebind(&n.nat, NULL);
    world_run(&s->world, ROAM_SECONDS(2));
    const roam_event *e = progress_since(s, ROAM_IP_CHANGE_DETECTED, id, t0);
    assert_non_null(e);
    assert_string_equal(e->reason, "the NAT shows us at another address");
    assert_non_null(progress_since(s, ROAM_IP_CHANGE_DETECTED, 0, t0));
    assert_true(epoch_of(s) == epoch + 1);
    world_run(&s->world, ROAM_SECONDS(2));
    e = progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0);
    assert_non_null(e);
    assert_true(e->report.downlink != ROAM_NEVER && e->time < t0 + ROAM_SECONDS(2));
    assert_int_equal(sent_from(s, OUTSIDE, "INVITE", t0), 1);
    assert_in_range(sent_from(s, OUTSIDE, "REGISTER", t0), 1, 2);
    assert_two_way(s, s->agent, id);
    assert_string_not_equal(account_of(s).contact, contact);
    assert_one_binding(s, "alice", OUTSIDE);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    natted_end(&n);
}

/* The same with a peer that sends to whoever it heard last: sound never stops, and the keepalive finds out. The call is refreshed on the media sockets that work. */
static void test_rebinding_peer_follows(void **state)
{
    (void)state;
    natted n;
    roam_peer_config callee = bob(AUDIO_FOLLOW);
    natted_begin(&n, (scene_options){.callee = &callee});
    scene *s = n.s;
    roam_call_id id = call_bob(s);
    roam_time t0 = s->world.now;
    uint64_t lost = call_of(s->agent, id).media.packets_lost;
    nat_rebind(&n.nat, NULL);
    world_run(&s->world, ROAM_SECONDS(27));
    const roam_event *e = progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0);
    assert_non_null(e);
    assert_int_equal(sent_from(s, OUTSIDE, "INVITE", t0), 1);
    assert_in_range(call_of(s->agent, id).media.packets_lost - lost, 0, 6); /* until its first packet came by the new mapping */
    assert_two_way(s, s->agent, id);
    assert_one_binding(s, "alice", OUTSIDE);
    natted_end(&n);
}

/* The same with nothing going on: the next keepalive finds out, and a call from outside rings again. */
static void test_rebinding_idle(void **state)
{
    (void)state;
    natted n;
    natted_begin(&n, (scene_options){0});
    scene *s = n.s;
    world_run(&s->world, ROAM_SECONDS(40));
    roam_time t0 = s->world.now;
    nat_rebind(&n.nat, NULL);
    world_run(&s->world, ROAM_SECONDS(26));
    const roam_event *e = progress_since(s, ROAM_IP_CHANGE_RECOVERED, 0, t0);
    assert_non_null(e);
    assert_one_binding(s, "alice", OUTSIDE);
    uint32_t theirs;
    assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_non_null(world_last(s->agent, ROAM_EVENT_CALL_INCOMING));
    natted_end(&n);
}

/* A NAT that shows another port each time is not followed for ever: some registrations, then peace. */
static void test_restless_nat(void **state)
{
    (void)state;
    natted n;
    roam_account_config account = scene_account(NULL, NULL);
    account.keepalive = 5;
    natted_begin(&n, (scene_options){.account = &account});
    scene *s = n.s;
    roam_time t0 = s->world.now;
    for (int i = 0; i < 120; i++) {
        nat_rebind(&n.nat, NULL);
        world_run(&s->world, ROAM_SECONDS(1));
    }
    assert_in_range(sent_from(s, OUTSIDE, "REGISTER", t0), 1, 40);
    assert_int_equal(bindings_of(s, "alice"), 1);
    natted_end(&n);
}

/* ---- black holes ---- */

/* Nothing passes any more, and there is no other network: within 2 s the call is reconnecting, not ended; when the path is back, so is the call, within a second. */
static void test_black_hole_in_call(void **state)
{
    (void)state;
    roam_peer_config callee = bob(AUDIO_STRICT);
    scene *s = begin((scene_options){.callee = &callee});
    roam_call_id id = call_bob(s);
    roam_time t0 = s->world.now;
    weather.hole = WIFI;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
    const roam_event *e = progress_since(s, ROAM_IP_CHANGE_OFFLINE, id, t0);
    assert_non_null(e);
    assert_string_equal(e->reason, "RTP fell silent, probe unanswered");
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    weather.hole = NULL;
    t0 = s->world.now;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_non_null(progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0));
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_two_way(s, s->agent, id);
    assert_one_binding(s, "alice", WIFI);
    /* For good: offline_max, as documented. */
    weather.hole = WIFI;
    world_run(&s->world, ROAM_SECONDS(64));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->status, ROAM_EOFFLINE);
    scene_free(s);
}

/* Both networks are up when the better one falls silent: the call goes on by the other one, and comes back when the better one answers again. */
static void test_black_hole_other_network(void **state)
{
    (void)state;
    static const char *const both[] = {WIFI, CELL, NULL};
    roam_peer_config callee = bob(AUDIO_STRICT);
    scene *s = begin((scene_options){.callee = &callee});
    set_addrs(s, both);
    roam_call_id id = call_bob(s);
    uint32_t epoch = epoch_of(s);
    roam_time t0 = s->world.now;
    weather.hole = WIFI;
    world_run(&s->world, ROAM_MS(2500));
    const roam_event *e = progress_since(s, ROAM_IP_CHANGE_DETECTED, id, t0);
    assert_non_null(e);
    assert_true(e->time < t0 + ROAM_SECONDS(2));
    assert_string_equal(e->reason, "RTP fell silent, probe unanswered");
    assert_false(e->time >= t0 && call_of(s->agent, id).link == ROAM_LINK_RECONNECTING);
    e = progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0);
    assert_non_null(e);
    assert_false(e->report.make_before_break);
    assert_null(progress_since(s, ROAM_IP_CHANGE_OFFLINE, id, t0));
    assert_true(epoch_of(s) == epoch + 1);
    assert_two_way(s, s->agent, id);
    assert_one_binding(s, "alice", CELL);
    world_run(&s->world, ROAM_SECONDS(60));
    assert_two_way(s, s->agent, id);
    assert_true(epoch_of(s) == epoch + 1);
    uint64_t lost = call_of(s->agent, id).media.packets_lost;
    weather.hole = NULL;
    world_run(&s->world, ROAM_SECONDS(20));
    assert_one_binding(s, "alice", WIFI);
    assert_true(epoch_of(s) == epoch + 2);
    assert_two_way(s, s->agent, id);
    assert_int_equal(call_of(s->agent, id).media.packets_lost, lost); /* make before break */
    scene_free(s);
}

/* The same without a call: the keepalive finds out. Without another network the account waits, and is registered again by itself. */
static void test_black_hole_idle(void **state)
{
    (void)state;
    static const char *const both[] = {WIFI, CELL, NULL};
    for (int two = 0; two < 2; two++) {
        scene *s = begin((scene_options){0});
        set_addrs(s, two ? both : scene_wifi);
        world_run(&s->world, ROAM_SECONDS(5));
        roam_time t0 = s->world.now;
        weather.hole = WIFI;
        world_run(&s->world, ROAM_SECONDS(31));
        if (two) {
            assert_one_binding(s, "alice", CELL);
            assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        } else {
            assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
            const roam_event *e = progress_since(s, ROAM_IP_CHANGE_OFFLINE, 0, t0);
            assert_non_null(e);
            assert_string_equal(e->reason, "keepalive and probe unanswered");
            size_t asked = sent_from(s, WIFI, "OPTIONS", s->world.now);
            roam_time t1 = s->world.now;
            world_run(&s->world, ROAM_SECONDS(600));
            assert_in_range(sent_from(s, WIFI, "OPTIONS", t1) - asked, 38, 50); /* every 15 s */
        }
        weather.hole = NULL;
        world_run(&s->world, ROAM_SECONDS(20));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_one_binding(s, "alice", WIFI);
        scene_free(s);
    }
}

/* A request that stays without any answer is evidence: no keepalive is due for an hour, a REGISTER of the application goes into the hole. */
static void test_request_unanswered(void **state)
{
    (void)state;
    roam_account_config account = scene_account(NULL, NULL);
    account.keepalive = 3600;
    scene *s = begin((scene_options){.account = &account});
    world_run(&s->world, ROAM_SECONDS(5));
    roam_time t0 = s->world.now;
    weather.hole = WIFI;
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(5));
    const roam_event *e = progress_since(s, ROAM_IP_CHANGE_OFFLINE, 0, t0);
    assert_non_null(e);
    assert_string_equal(e->reason, "a request and the probe unanswered");
    weather.hole = NULL;
    world_run(&s->world, ROAM_SECONDS(6));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    scene_free(s);
}

/* A new network leads nowhere (a captive portal): the account tries it, finds out, and goes back to the one that works. */
static void test_captive_network(void **state)
{
    (void)state;
    static const char *const better[] = {CELL, WIFI, NULL};
    roam_peer_config callee = bob(AUDIO_STRICT);
    scene *s = begin((scene_options){.callee = &callee});
    roam_call_id id = call_bob(s);
    weather.hole = CELL;
    set_addrs(s, better);
    world_run(&s->world, ROAM_SECONDS(10));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_one_binding(s, "alice", WIFI);
    assert_two_way(s, s->agent, id);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    scene_free(s);
}

/* ---- the same address ---- */

/* The address stays and its network is another one, by identity or by link: a change of path like any other. That the identity becomes known, or unknown, is none. */
static void test_same_address_other_network(void **state)
{
    (void)state;
    for (int by_link = 0; by_link < 2; by_link++) {
        roam_peer_config callee = bob(AUDIO_STRICT);
        scene *s = begin((scene_options){.callee = &callee});
        roam_call_id id = call_bob(s);
        roam_net_addr addr = s->agent->addrs[0];
        uint32_t epoch = epoch_of(s);
        addr.network = 77;
        world_set_network(s->agent, &addr, 1);
        addr.network = 0;
        world_set_network(s->agent, &addr, 1);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_true(epoch_of(s) == epoch);
        const uint16_t port = call_of(s->agent, id).media_local.port;
        roam_time t0 = s->world.now;
        if (by_link)
            addr.link += 1000;
        else
            addr.network = 78;
        world_set_network(s->agent, &addr, 1);
        assert_int_equal(sent_from(s, WIFI, "REGISTER", t0), 1);
        assert_int_equal(sent_from(s, WIFI, "INVITE", t0), 1);
        world_run(&s->world, ROAM_SECONDS(3));
        assert_true(epoch_of(s) == epoch + 1);
        assert_int_not_equal(call_of(s->agent, id).media_local.port, port); /* a NAT that is another one knows nothing of the old sockets */
        assert_non_null(progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0));
        assert_two_way(s, s->agent, id);
        assert_one_binding(s, "alice", WIFI);
        scene_free(s);
    }
}

/* The device sleeps for ten minutes, and its NAT forgets it. The first message after waking is the probe, and half a second later the new mapping is registered. Asleep for less
 * than that: the probe, and nothing else. */
static void test_wake(void **state)
{
    (void)state;
    for (int rebind = 0; rebind < 2; rebind++) {
        natted n;
        natted_begin(&n, (scene_options){0});
        scene *s = n.s;
        world_run(&s->world, ROAM_SECONDS(3));
        s->agent->asleep = true;
        world_run(&s->world, ROAM_SECONDS(rebind ? 600 : 100)); /* the NAT forgets after 300 */
        roam_time t0 = s->world.now;
        size_t first = s->nlog;
        world_wake(s->agent);
        world_run(&s->world, ROAM_MS(500));
        while (first < s->nlog && !roam_ip_equal(&s->log[first].from.ip, &(roam_ip){.family = 4, .bytes = {203, 0, 113, 77}}))
            first++;
        assert_true(first < s->nlog);
        assert_int_equal(strncmp(s->log[first].text, "OPTIONS ", 8), 0);
        assert_int_equal(s->log[first].time, t0);
        assert_true(rebind ? sent_from(s, OUTSIDE, "REGISTER", t0) > 0 : sent_from(s, OUTSIDE, "REGISTER", t0) == 0);
        assert_one_binding(s, "alice", OUTSIDE);
        natted_end(&n);
    }
}

/* ---- nothing is wrong ---- */

/* 5 % loss, jitter, and every kind of silence that a call may have: nothing moves. */
static void test_soak(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        roam_peer_config callee = bob(AUDIO_STRICT);
        if (kind == 4)
            callee.audio.play = AUDIO_SILENT;
        scene *s = begin((scene_options){.callee = &callee});
        roam_call_id id = call_bob(s);
        if (kind & 1)
            assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(2));
        if (kind == 2 || kind == 3)
            assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, true, false), 0);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(call_of(s->agent, id).hold, kind == 4 ? ROAM_HOLD_NONE : (roam_hold)kind);
        weather.jitter = true;
        s->world.loss_ppm = 50000;
        uint32_t epoch = epoch_of(s);
        size_t links = link_events(s), registrations = world_count(s->agent, ROAM_EVENT_REGISTRATION);
        world_run(&s->world, ROAM_SECONDS(kind == 0 || kind == 4 ? 300 : 1500)); /* less than a refresh of the lease */
        assert_true(epoch_of(s) == epoch);
        assert_int_equal(link_events(s), links);
        assert_int_equal(world_count(s->agent, ROAM_EVENT_REGISTRATION), registrations);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        scene_free(s);
    }
}

/* Evidence that the probe refutes costs one probe: the system could not send, once. */
static void test_refuted(void **state)
{
    (void)state;
    scene *s = begin((scene_options){0});
    world_run(&s->world, ROAM_SECONDS(10));
    roam_time t0 = s->world.now;
    uint32_t epoch = epoch_of(s);
    roam_addr local = account_of(s).local, server = sim_addr(SERVER ":5060");
    for (int i = 0; i < 5; i++) {
        roam_ua_socket_error(s->agent->ua, s->world.now, world_socket_id(s->agent, &local), &server);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(300));
    }
    assert_int_equal(sent_from(s, WIFI, "OPTIONS", t0), 1);
    assert_true(epoch_of(s) == epoch);
    scene_free(s);
}

/* Two hundred accounts that share a flow share its probe. */
static void test_shared_probe(void **state)
{
    (void)state;
    scene *s = begin((scene_options){0});
    for (int i = 0; i < 200; i++) {
        roam_account_config config = scene_account("sip:alice@example.com", "secret");
        assert_int_equal(roam_account_add(s->agent->ua, &config, NULL), 0);
    }
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(5));
    roam_time t0 = s->world.now;
    world_run(&s->world, ROAM_SECONDS(100));
    assert_in_range(sent_from(s, WIFI, "OPTIONS", t0), 3, 5);
    scene_free(s);
}

/* A server that never answers OPTIONS: its silence proves nothing, neither idle nor in a call whose peer is silent. A REGISTER stands in. */
static void test_server_ignores_options(void **state)
{
    (void)state;
    memset(&weather, 0, sizeof weather);
    roam_peer_config callee = bob(AUDIO_STRICT);
    callee.audio.play = AUDIO_SILENT;
    scene *s = scene_new((scene_options){.callee = &callee, .no_account = true});
    s->more = in_the_weather;
    weather.no_options = true;
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
    roam_call_id id = call_bob(s);
    roam_time t0 = s->world.now;
    uint32_t epoch = epoch_of(s);
    world_run(&s->world, ROAM_SECONDS(300));
    assert_true(epoch_of(s) == epoch);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_in_range(sent_from(s, WIFI, "REGISTER", t0), 8, 16);
    assert_in_range(sent_from(s, WIFI, "OPTIONS", t0), 1, 6);
    scene_free(s);
}

/* ---- the server is down ---- */

/* The registrar falls silent while media flows: the registration waits, the call is left alone, for longer than offline_max. Then the server is back, and so is the registration. */
static void test_server_dead_media_alive(void **state)
{
    (void)state;
    static const char *const both[] = {WIFI, CELL, NULL};
    for (int two = 0; two < 2; two++) {
        roam_peer_config callee = bob(AUDIO_STRICT);
        scene *s = begin((scene_options){.callee = &callee});
        set_addrs(s, two ? both : scene_wifi);
        roam_call_id id = call_bob(s);
        size_t links = link_events(s);
        roam_time t0 = s->world.now;
        weather.server = SERVER;
        world_run(&s->world, ROAM_SECONDS(120));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        assert_int_equal(link_events(s), links);
        assert_null(progress_since(s, ROAM_IP_CHANGE_OFFLINE, id, t0));
        assert_two_way(s, s->agent, id);
        weather.server = NULL;
        world_run(&s->world, ROAM_SECONDS(20));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_one_binding(s, "alice", WIFI);
        assert_int_equal(sent_from(s, WIFI, "INVITE", t0), 0);
        assert_int_equal(link_events(s), links);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

/* The same on hold both ways, where nothing can tell the server from the path: reconnecting, but not ended, and whole when the server is back. */
static void test_server_dead_on_hold(void **state)
{
    (void)state;
    roam_peer_config callee = bob(AUDIO_STRICT);
    scene *s = begin((scene_options){.callee = &callee});
    roam_call_id id = call_bob(s);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
    weather.server = SERVER;
    weather.hole = CALLEE; /* not even RTCP */
    world_run(&s->world, ROAM_SECONDS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    weather.server = weather.hole = NULL;
    world_run(&s->world, ROAM_SECONDS(20));
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
    assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

/* ---- the application's say ---- */

typedef struct say {
    roam_path_choice choice;
    unsigned asked;
    roam_path_offer offer;
} say;

static roam_path_choice on_choose(void *user, const roam_path_offer *offer)
{
    say *a = user;
    a->asked++;
    a->offer = *offer;
    return a->choice;
}

static scene *with_choice(say *a, roam_path_choice choice, roam_peer_config *callee, roam_call_id *id)
{
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.choose_path = on_choose;
    config.choose_path_user = a;
    *a = (say){.choice = choice};
    *callee = bob(AUDIO_STRICT);
    scene *s = begin((scene_options){.callee = callee, .agent = &config});
    *id = call_bob(s);
    assert_int_equal(a->asked, 0);
    return s;
}

/* A second network appears, better, and metered. */
static void offer_cell(scene *s)
{
    roam_ip cell = sim_ip(CELL);
    roam_net_addr addrs[2] = {{.ip = cell, .prefix = 24, .link = sim_link(&cell), .metric = 10, .flags = ROAM_NET_METERED}, s->agent->addrs[0]};
    world_set_network(s->agent, addrs, 2);
}

/* "Stay": nothing happens, for as long as the old path works. Asked once, with the flags of both. Then the old path dies, by a black hole or by losing its address: then the
 * other one is used without asking. */
static void test_choose_stay(void **state)
{
    (void)state;
    for (int by_hole = 0; by_hole < 2; by_hole++) {
        say a;
        roam_peer_config callee;
        roam_call_id id;
        scene *s = with_choice(&a, ROAM_PATH_STAY, &callee, &id);
        uint32_t epoch = epoch_of(s);
        offer_cell(s);
        world_run(&s->world, ROAM_SECONDS(120));
        assert_int_equal(a.asked, 1);
        assert_true(a.offer.to.flags & ROAM_NET_METERED);
        assert_false(a.offer.from.flags & ROAM_NET_METERED);
        assert_true(epoch_of(s) == epoch);
        assert_one_binding(s, "alice", WIFI);
        assert_int_equal(weather.rtp_from_cell, 0);
        assert_int_equal(sent_from(s, CELL, "", 0), 0);
        if (by_hole)
            weather.hole = WIFI;
        else
            set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(4));
        assert_int_equal(a.asked, 1);
        assert_one_binding(s, "alice", CELL);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

/* "Move": media leaves by the new path at once and by the old one no more. "Both", which is what happens without a callback: the old one is used until the peer knows. */
static void test_choose_move_both(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        say a;
        roam_peer_config callee;
        roam_call_id id;
        scene *s = with_choice(&a, both ? ROAM_PATH_BOTH : ROAM_PATH_MOVE, &callee, &id);
        offer_cell(s);
        weather.rtp_from_cell = weather.rtp_from_wifi = 0;
        uint64_t lost = call_of(s->agent, id).media.packets_lost;
        world_run(&s->world, ROAM_MS(90)); /* before any answer */
        assert_int_equal(a.asked, 1);
        assert_true(weather.rtp_from_cell > 0);
        if (both)
            assert_in_range(weather.rtp_from_wifi, 3, 6);
        else
            assert_int_equal(weather.rtp_from_wifi, 0);
        world_run(&s->world, ROAM_SECONDS(4));
        assert_one_binding(s, "alice", CELL);
        assert_two_way(s, s->agent, id);
        assert_int_equal(call_of(s->agent, id).media.packets_lost, lost); /* inwards nothing is lost either way: both sockets are heard */
        assert_int_equal(a.asked, 1);
        scene_free(s);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by its name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebinding_in_call),
        cmocka_unit_test(test_rebinding_peer_follows),
        cmocka_unit_test(test_rebinding_idle),
        cmocka_unit_test(test_restless_nat),
        cmocka_unit_test(test_black_hole_in_call),
        cmocka_unit_test(test_black_hole_other_network),
        cmocka_unit_test(test_black_hole_idle),
        cmocka_unit_test(test_request_unanswered),
        cmocka_unit_test(test_captive_network),
        cmocka_unit_test(test_same_address_other_network),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_soak),
        cmocka_unit_test(test_refuted),
        cmocka_unit_test(test_shared_probe),
        cmocka_unit_test(test_server_ignores_options),
        cmocka_unit_test(test_server_dead_media_alive),
        cmocka_unit_test(test_server_dead_on_hold),
        cmocka_unit_test(test_choose_stay),
        cmocka_unit_test(test_choose_move_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

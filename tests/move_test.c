/* The agent in a world of virtual time: it registers, calls, and its address changes. What is asserted is what a user and a server operator would see: who is told
 * what, in how many round trips, which packets are lost, what the registrar holds at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/world.h"
#include "testbed/peer.h"
#include "testbed/server.h"

#define RTT ROAM_MS(100)
#define WIFI "10.1.0.5"
#define CELL "10.2.0.7"

/* ---- a scene: server, callee, agent ---- */

typedef struct seen {
    roam_time time;
    roam_addr from, to;
    char line[64];
} seen;

typedef struct scene {
    sim_world world;
    sim_node *server, *callee, *agent;
    roam_account_id account;
    seen log[4096];
    size_t nlog;
    uint64_t rtp_from_agent;
} scene;

static const char *const users[] = {"alice:secret", "bob:hidden", NULL};

static bool on_packet(void *user, const sim_packet *p)
{
    scene *s = user;
    if (p->len > 12 && (p->bytes[0] & 0xc0) == 0x80)
        return true;
    if (s->nlog < sizeof s->log / sizeof *s->log) {
        seen *e = &s->log[s->nlog++];
        e->time = s->world.now;
        e->from = p->from;
        e->to = p->to;
        size_t n = 0;
        while (n < p->len && n + 1 < sizeof e->line && p->bytes[n] != '\r')
            n++;
        memcpy(e->line, p->bytes, n);
        e->line[n] = '\0';
    }
    if (getenv("SHOW")) {
        char from[ROAM_ADDR_TEXT_MAX], to[ROAM_ADDR_TEXT_MAX];
        roam_addr_format(&p->from, from);
        roam_addr_format(&p->to, to);
        printf("# %8.1f ms %s -> %s %s\n", (double)(s->world.now - ROAM_SECONDS(1000)) / 1000, from, to, s->log[s->nlog - 1].line);
    }
    return true;
}

/* Messages from that address since `since` whose first line begins so. */
static size_t sent_from(const scene *s, const char *ip, const char *prefix, roam_time since)
{
    size_t n = 0;
    roam_ip from = sim_ip(ip);
    for (size_t i = 0; i < s->nlog; i++)
        n += s->log[i].time >= since && roam_ip_equal(&s->log[i].from.ip, &from) && strncmp(s->log[i].line, prefix, strlen(prefix)) == 0;
    return n;
}

static void scene_begin(scene *s, roam_account_config *account, const roam_peer_config *callee)
{
    const char *const wifi[] = {WIFI, NULL};
    roam_account_config standard;
    if (!account) {
        roam_account_config_default(&standard);
        account = &standard;
    }
    world_init(&s->world, 7, RTT / 2);
    s->world.tap = on_packet;
    s->world.user = s;
    s->server = world_server(&s->world, "192.0.2.1:5060", NULL, users);
    roam_peer_config peer = callee ? *callee : (roam_peer_config){0};
    peer.user = "bob";
    peer.domain = "example.com";
    peer.password = "hidden";
    peer.proxy = sim_addr("192.0.2.1:5060");
    s->callee = world_peer(&s->world, "198.51.100.9:5060", &peer);
    assert_int_equal(peer_register(s->callee->peer, s->world.now), 0);
    s->agent = world_agent(&s->world, "alice", NULL);
    world_set_addrs(s->agent, wifi);
    account->aor = "sip:alice@example.com";
    account->password = "secret";
    account->registrar = "sip:192.0.2.1";
    account->outbound_proxy = "sip:192.0.2.1;lr";
    assert_int_equal(roam_account_add(s->agent->ua, account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
}

static scene *scene_new(roam_account_config *account, const roam_peer_config *callee)
{
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    scene_begin(s, account, callee);
    return s;
}

static void scene_free(scene *s)
{
    assert_int_equal(s->world.from_dead, 0);
    world_free(&s->world);
    free(s);
}

static roam_account_info account_of(const scene *s)
{
    roam_account_info info;
    assert_int_equal(roam_account_get_info(s->agent->ua, s->account, &info), 0);
    return info;
}

static roam_call_info call_of(const scene *s, roam_call_id id)
{
    roam_call_info info = {0};
    roam_call_get_info(s->agent->ua, id, &info);
    return info;
}

/* The registrar holds exactly one Contact of alice, and it is this address. */
static void assert_one_binding(const scene *s, const char *ip)
{
    const roam_aor *aor = registrar_find(&s->server->server->registrar, SPAN("alice"));
    assert_non_null(aor);
    assert_int_equal(aor->nbindings, 1);
    list_each(b, &aor->bindings, roam_binding, node)
        assert_non_null(strstr(b->contact, ip));
}

static roam_call_id call_bob(scene *s)
{
    roam_call_id id = 0;
    roam_call_options options = {.source = roam_tone_source(440)};
    assert_int_equal(roam_call_make(s->agent->ua, s->account, "sip:bob@example.com", &options, &id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(call_of(s, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

static roam_peer_config answering(void)
{
    return (roam_peer_config){.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100)};
}

/* RTP in and out goes on: both counters rise in a second. */
static void assert_two_way(scene *s, roam_call_id id)
{
    roam_media_stats before = call_of(s, id).media;
    world_run(&s->world, ROAM_SECONDS(1));
    roam_media_stats after = call_of(s, id).media;
    assert_in_range(after.packets_sent - before.packets_sent, 45, 55);
    assert_in_range(after.packets_received - before.packets_received, 45, 55);
}

/* ---- tests ---- */

/* One challenge, then registered, with the Contact of the address in use: two REGISTERs, the state told once each. */
static void test_registers(void **state)
{
    (void)state;
    scene *s = scene_new(NULL, NULL);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_int_equal(sent_from(s, WIFI, "REGISTER", 0), 2);
    assert_one_binding(s, WIFI);
    scene_free(s);
}

/* A wrong password is found out after one answer to a fresh nonce, and not tried again. */
static void test_wrong_password(void **state)
{
    (void)state;
    scene *s = scene_new(NULL, NULL);
    roam_account_config config;
    roam_account_id id;
    roam_account_config_default(&config);
    config.aor = "sip:bob@example.com";
    config.password = "wrong";
    config.registrar = "sip:192.0.2.1";
    assert_int_equal(roam_account_add(s->agent->ua, &config, &id), 0);
    world_flush(s->agent);
    roam_time t = s->world.now;
    world_run(&s->world, ROAM_SECONDS(60));
    roam_account_info info;
    assert_int_equal(roam_account_get_info(s->agent->ua, id, &info), 0);
    assert_int_equal(info.registration, ROAM_REGISTRATION_FAILED);
    assert_int_equal(info.last_status, 401);
    assert_int_equal(sent_from(s, WIFI, "REGISTER", t), 2);
    scene_free(s);
}

/* A call out: two-way audio, hold and resume from here, BYE from here. */
static void test_call_hold_bye(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    assert_two_way(s, id);
    assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s, id).hold, ROAM_HOLD_LOCAL);
    roam_media_stats before = call_of(s, id).media;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s, id).media.packets_received - before.packets_received, 0, 1);
    assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s, id).hold, ROAM_HOLD_NONE);
    assert_two_way(s, id);
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->call_state, ROAM_CALL_ENDED);
    scene_free(s);
}

/* Break before make: the old address goes, a new one comes. REGISTER and re-INVITE leave in the same instant, each is answered after one round trip, media leaves at
 * once, and one round trip's worth of packets is lost inwards. */
static void test_break_before_make(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    const char *const none[] = {NULL}, *const cell[] = {CELL, NULL};
    world_set_addrs(s->agent, none);
    world_run(&s->world, ROAM_MS(20));
    assert_int_equal(call_of(s, id).link, ROAM_LINK_RECONNECTING);
    roam_time t0 = s->world.now;
    uint64_t sent = call_of(s, id).media.packets_sent;
    world_set_addrs(s->agent, cell);
    assert_int_equal(sent_from(s, CELL, "REGISTER", t0), 1);
    assert_int_equal(sent_from(s, CELL, "INVITE", t0), 1);
    for (size_t i = 0; i < s->nlog; i++)
        if (s->log[i].time >= t0)
            assert_int_equal(s->log[i].time, t0);
    world_run(&s->world, ROAM_MS(21));
    assert_true(call_of(s, id).media.packets_sent > sent); /* before any answer */
    world_run(&s->world, ROAM_SECONDS(5));
    const roam_event *account = world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, 0);
    const roam_event *call = world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id);
    assert_non_null(account);
    assert_non_null(call);
    /* Times count from the loss of the old path, 20 ms before t0. */
    assert_int_equal(account->report.answered, ROAM_MS(20) + RTT);
    assert_int_equal(call->report.answered, ROAM_MS(20) + RTT);
    assert_in_range(call->report.uplink, ROAM_MS(20), ROAM_MS(40));
    assert_in_range(call->report.downlink, ROAM_MS(20) + RTT, ROAM_MS(40) + RTT);
    assert_int_equal(call->report.retries, 0);
    assert_in_range(call->report.lost_in, 5, 9);
    assert_one_binding(s, CELL);
    assert_two_way(s, id);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    /* The peer's BYE arrives. */
    assert_int_equal(peer_hangup(s->callee->peer, s->world.now, 1), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    scene_free(s);
}

/* Make before break: the default route moves, the old address stays 3 s. Not one packet is lost or concealed in either direction. */
static void test_make_before_break(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    world_run(&s->world, ROAM_SECONDS(1));
    const char *const both[] = {CELL, WIFI, NULL}, *const cell[] = {CELL, NULL};
    roam_media_stats before = call_of(s, id).media;
    world_set_addrs(s->agent, both);
    world_run(&s->world, ROAM_SECONDS(3));
    world_set_addrs(s->agent, cell);
    world_run(&s->world, ROAM_SECONDS(2));
    roam_media_stats after = call_of(s, id).media;
    assert_int_equal(after.packets_lost, before.packets_lost);
    assert_int_equal(after.frames_concealed, before.frames_concealed);
    /* The strict peer takes only the source that was signalled last: what it accepted holds every sequence number, once. */
    const roam_audio *audio = &peer_leg(s->callee->peer, 1)->audio;
    int32_t last = -1;
    for (size_t i = 0; i < audio->nlog; i++)
        if (audio->log[i].accepted) {
            if (last >= 0)
                assert_int_equal(audio->log[i].sequence, (uint16_t)(last + 1));
            last = audio->log[i].sequence;
        }
    assert_in_range(audio->refused, 1, 12); /* the copies of one round trip */
    const roam_event *call = world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id);
    assert_non_null(call);
    assert_true(call->report.make_before_break);
    assert_int_equal(call->report.answered, RTT);
    assert_int_equal(call->report.lost_in, 0);
    assert_one_binding(s, CELL);
    assert_two_way(s, id);
    scene_free(s);
}

/* An address that nobody uses comes and goes: not a message, not an event (B1). */
static void test_irrelevant_address(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    const char *const more[] = {WIFI, "10.9.0.1", NULL}, *const wifi[] = {WIFI, NULL};
    size_t n = s->nlog;
    world_forget(s->agent);
    world_set_addrs(s->agent, more);
    world_run(&s->world, ROAM_SECONDS(1));
    world_set_addrs(s->agent, wifi);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(s->nlog, n);
    assert_int_equal(s->agent->heard.n, 0);
    assert_two_way(s, id);
    scene_free(s);
}

/* Two changes 300 ms apart: the last one wins, the call is whole, one binding. */
static void test_two_changes(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    for (unsigned gap = 10; gap <= 600; gap += 30) {
        const char *const first[] = {CELL, NULL}, *const second[] = {"10.3.0.3", NULL}, *const back[] = {WIFI, NULL};
        world_set_addrs(s->agent, first);
        world_run(&s->world, ROAM_MS(gap));
        world_set_addrs(s->agent, second);
        world_run(&s->world, ROAM_SECONDS(5));
        assert_one_binding(s, "10.3.0.3");
        assert_two_way(s, id);
        assert_int_equal(call_of(s, id).link, ROAM_LINK_OK);
        world_set_addrs(s->agent, back);
        world_run(&s->world, ROAM_SECONDS(5));
        assert_one_binding(s, WIFI);
        assert_two_way(s, id);
    }
    scene_free(s);
}

/* A flap A-B-A, with every distance of the two changes from 5 ms to 1 s: whole afterwards, exactly the binding of A. */
static void test_flap(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    for (unsigned gap = 5; gap <= 1000; gap += gap < 200 ? 15 : 100) {
        const char *const b[] = {CELL, NULL}, *const a[] = {WIFI, NULL};
        world_set_addrs(s->agent, b);
        world_run(&s->world, ROAM_MS(gap));
        world_set_addrs(s->agent, a);
        world_run(&s->world, ROAM_SECONDS(5));
        assert_one_binding(s, WIFI);
        assert_two_way(s, id);
        assert_int_equal(call_of(s, id).state, ROAM_CALL_CONFIRMED);
        assert_int_equal(call_of(s, id).link, ROAM_LINK_OK);
    }
    scene_free(s);
}

/* Held by us, by them, by both: after the move it is held as before. */
static void test_hold_survives(void **state)
{
    (void)state;
    for (unsigned who = 1; who <= 3; who++) {
        roam_peer_config callee = answering();
        scene *s = scene_new(NULL, &callee);
        roam_call_id id = call_bob(s);
        if (who & 1)
            assert_int_equal(roam_call_hold(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        if (who & 2)
            assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, true, false), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s, id).hold, who);
        const char *const cell[] = {CELL, NULL};
        world_set_addrs(s->agent, cell);
        world_run(&s->world, ROAM_SECONDS(3));
        assert_int_equal(call_of(s, id).hold, who);
        assert_int_equal(call_of(s, id).link, ROAM_LINK_OK);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        if (who & 1)
            assert_int_equal(roam_call_resume(s->agent->ua, id), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        if (who & 2)
            assert_int_equal(peer_hold(s->callee->peer, s->world.now, 1, false, false), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(call_of(s, id).hold, ROAM_HOLD_NONE);
        assert_two_way(s, id);
        scene_free(s);
    }
}

/* The application calls roam_handle_ip_change() although nothing changed (P1): listener restarted on the same port, REGISTER, re-INVITE with new media
 * sockets, the progress of P7 in its order, completed at the end. */
static void test_handle_ip_change(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    uint16_t sip_port = account_of(s).local.port, rtp_port = call_of(s, id).media_local.port;
    world_forget(s->agent);
    assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(5));
    static const roam_ip_change_op order[] = {ROAM_IP_CHANGE_SHUTDOWN_TRANSPORTS, ROAM_IP_CHANGE_RESTART_LISTENER};
    size_t at = 0;
    for (size_t i = 0; i < s->agent->heard.n && at < 2; i++)
        at += s->agent->heard.events[i].type == ROAM_EVENT_IP_CHANGE_PROGRESS && s->agent->heard.events[i].op == order[at];
    assert_int_equal(at, 2);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_ACCOUNT_UPDATE_CONTACT, 0));
    assert_int_equal(world_progress(s->agent, ROAM_IP_CHANGE_ACCOUNT_REINVITE_CALLS, id)->sip_code, 200);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    assert_int_equal(s->agent->heard.events[s->agent->heard.n - 1].op, ROAM_IP_CHANGE_COMPLETED);
    assert_int_equal(account_of(s).local.port, sip_port);
    assert_int_not_equal(call_of(s, id).media_local.port, rtp_port);
    assert_two_way(s, id);
    scene_free(s);
}

/* No account at all, an account without registrar, one that failed for good: each completes and says so (P11). */
static void test_nothing_to_do(void **state)
{
    (void)state;
    sim_world world;
    const char *const wifi[] = {WIFI, NULL};
    world_init(&world, 1, RTT / 2);
    sim_node *agent = world_agent(&world, "nobody", NULL);
    world_set_addrs(agent, wifi);
    assert_int_equal(roam_handle_ip_change(agent->ua, NULL), 0);
    world_flush(agent);
    assert_non_null(world_progress(agent, ROAM_IP_CHANGE_COMPLETED, 0));
    roam_account_config config;
    roam_account_config_default(&config);
    config.aor = "sip:solo@192.0.2.3";
    assert_int_equal(roam_account_add(agent->ua, &config, NULL), 0);
    world_forget(agent);
    assert_int_equal(roam_handle_ip_change(agent->ua, NULL), 0);
    world_flush(agent);
    assert_non_null(world_progress(agent, ROAM_IP_CHANGE_COMPLETED, 0));
    world_free(&world);

    scene *s = scene_new(NULL, NULL);
    roam_account_id id;
    config.aor = "sip:bob@example.com";
    config.password = "wrong";
    config.registrar = "sip:192.0.2.1";
    assert_int_equal(roam_account_add(s->agent->ua, &config, &id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
    world_forget(s->agent);
    assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(3));
    const roam_event *failed = world_progress(s->agent, ROAM_IP_CHANGE_FAILED, 0);
    assert_non_null(failed);
    assert_int_equal(failed->account, id);
    assert_int_equal(failed->sip_code, 401);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    scene_free(s);
}

/* P5 and P6: hang up instead of repairing; leave calls alone; UPDATE where the peer allows it, re-INVITE where it does not. */
static void test_policies(void **state)
{
    (void)state;
    const char *const cell[] = {CELL, NULL};
    roam_account_config config;
    for (int kind = 0; kind < 4; kind++) {
        roam_peer_config callee = answering();
        callee.no_update = kind == 3;
        roam_account_config_default(&config);
        config.ip_change.hangup_calls = kind == 0;
        if (kind == 1)
            config.ip_change.reinvite_flags = 0;
        config.ip_change.use_update = kind >= 2;
        scene *s = scene_new(&config, &callee);
        roam_call_id id = call_bob(s);
        roam_time t0 = s->world.now;
        world_set_addrs(s->agent, cell);
        world_run(&s->world, ROAM_SECONDS(5));
        assert_one_binding(s, CELL);
        assert_int_equal(sent_from(s, CELL, "INVITE", t0), kind == 3);
        assert_int_equal(sent_from(s, CELL, "UPDATE", t0), kind == 2);
        assert_int_equal(sent_from(s, CELL, "BYE", t0), kind == 0);
        assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), kind != 0);
        if (kind == 0)
            assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_ACCOUNT_HANGUP_CALLS, id));
        if (kind >= 2) {
            assert_two_way(s, id);
            assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
        }
        scene_free(s);
    }
}

/* An outgoing call that rings survives the move: one call for the user, answered afterwards. */
static void test_ringing_out(void **state)
{
    (void)state;
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_SECONDS(4)};
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = 0;
    roam_call_options options = {.source = roam_tone_source(440)};
    assert_int_equal(roam_call_make(s->agent->ua, s->account, "bob", &options, &id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(call_of(s, id).state, ROAM_CALL_EARLY);
    const char *const cell[] = {CELL, NULL};
    world_set_addrs(s->agent, cell);
    world_run(&s->world, ROAM_SECONDS(8));
    assert_int_equal(call_of(s, id).state, ROAM_CALL_CONFIRMED);
    assert_two_way(s, id);
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 1);
    scene_free(s);
}

/* An incoming call that rings is answered after the move, on the new path. */
static void test_ringing_in(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    uint32_t theirs;
    assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    roam_call_id id = e->call;
    const char *const cell[] = {CELL, NULL};
    world_set_addrs(s->agent, cell);
    world_run(&s->world, ROAM_MS(30));
    roam_call_options options = {.source = roam_tone_source(440)};
    assert_int_equal(roam_call_answer(s->agent->ua, id, &options), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(call_of(s, id).state, ROAM_CALL_CONFIRMED);
    assert_two_way(s, id);
    assert_one_binding(s, CELL);
    scene_free(s);
}

/* A tunnel: nothing for 10 s, then the old address again. The call is told as reconnecting, is not ended, and is whole again. Longer than offline_max: ended, and says why. */
static void test_tunnel(void **state)
{
    (void)state;
    const char *const none[] = {NULL}, *const wifi[] = {WIFI, NULL};
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    roam_call_id id = call_bob(s);
    world_set_addrs(s->agent, none);
    world_run(&s->world, ROAM_SECONDS(10));
    assert_int_equal(call_of(s, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s, id).link, ROAM_LINK_RECONNECTING);
    world_set_addrs(s->agent, wifi);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(call_of(s, id).link, ROAM_LINK_OK);
    assert_one_binding(s, WIFI);
    assert_two_way(s, id);
    world_set_addrs(s->agent, none);
    world_run(&s->world, ROAM_SECONDS(61));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_STATE)->status, ROAM_EOFFLINE);
    scene_free(s);
}

/* 10 % of all packets lost: the move ends well all the same, for twenty seeds. */
static void test_loss(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 20; n++) {
        roam_peer_config callee = answering();
        scene *s = scene_new(NULL, &callee);
        roam_call_id id = call_bob(s);
        uint8_t seed[32] = {(uint8_t)n};
        random_init(&s->world.random, seed);
        s->world.loss_ppm = 100000;
        const char *const cell[] = {CELL, NULL};
        world_set_addrs(s->agent, cell);
        world_run(&s->world, ROAM_SECONDS(20));
        s->world.loss_ppm = 0;
        world_run(&s->world, ROAM_SECONDS(20));
        assert_int_equal(call_of(s, id).state, ROAM_CALL_CONFIRMED);
        assert_one_binding(s, CELL);
        assert_two_way(s, id);
        scene_free(s);
    }
}

/* The same seed gives the same bytes. */
static void test_deterministic(void **state)
{
    (void)state;
    uint64_t hash[2];
    for (int run = 0; run < 2; run++) {
        roam_peer_config callee = answering();
        scene *s = scene_new(NULL, &callee);
        call_bob(s);
        const char *const cell[] = {CELL, NULL};
        world_set_addrs(s->agent, cell);
        world_run(&s->world, ROAM_SECONDS(5));
        hash[run] = s->world.hash;
        scene_free(s);
    }
    assert_true(hash[0] == hash[1]);
}

/* To leave politely: the call is ended, the binding removed, and the application told. */
static void test_shutdown(void **state)
{
    (void)state;
    roam_peer_config callee = answering();
    scene *s = scene_new(NULL, &callee);
    call_bob(s);
    roam_ua_shutdown(s->agent->ua);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_non_null(world_last(s->agent, ROAM_EVENT_SHUTDOWN_DONE));
    const roam_aor *aor = registrar_find(&s->server->server->registrar, SPAN("alice"));
    assert_true(!aor || aor->nbindings == 0);
    assert_int_equal(peer_leg(s->callee->peer, 1)->state, LEG_ENDED);
    scene_free(s);
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by its name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),        cmocka_unit_test(test_wrong_password),   cmocka_unit_test(test_call_hold_bye),
        cmocka_unit_test(test_break_before_make), cmocka_unit_test(test_make_before_break), cmocka_unit_test(test_irrelevant_address),
        cmocka_unit_test(test_two_changes),      cmocka_unit_test(test_flap),             cmocka_unit_test(test_hold_survives),
        cmocka_unit_test(test_handle_ip_change), cmocka_unit_test(test_nothing_to_do),    cmocka_unit_test(test_policies),
        cmocka_unit_test(test_ringing_out),      cmocka_unit_test(test_ringing_in),       cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_loss),             cmocka_unit_test(test_deterministic),    cmocka_unit_test(test_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

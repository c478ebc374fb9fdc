/* The whole agent on real sockets: two agents and the test server on one loop, over the loopback addresses of this
 * machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/span.h"
#include "edge/udp.h"
#include "roam/roam.h"
#include "testbed/server.h"

enum { GUARD_MS = 30000, SERVER_SOCKET = 1, EVENTS_MAX = 128, HEARD_MAX = 8000 };

/* A sink that keeps the last second. */
typedef struct ear {
    roam_audio_sink sink;
    int16_t samples[HEARD_MAX];
    size_t n; /* since the last ear_forget() */
    bool closed;
} ear;

typedef struct party {
    roam_agent *agent;
    roam_account_id account;
    ear ear;
    double tone; /* what it says in a call */
    bool answers;
    roam_event events[EVENTS_MAX];
    size_t nevents;
} party;

typedef struct world {
    uv_loop_t loop;
    uv_timer_t guard, server_timer;
    roam_udp *udp;
    roam_tracer no_trace;
    roam_testserver server;
    roam_addr server_addr;
    char proxy[ROAM_ADDR_TEXT_MAX + 16];
    party alice, bob;
} world;

typedef bool expectation(world *w);

/* ---- the server's host ---- */

static roam_time now(void)
{
    return uv_hrtime() / 1000;
}

static void server_send(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    world *w = user;
    udp_send(w->udp, socket, remote, bytes);
}

static void on_server_timer(uv_timer_t *timer);

static void server_arm(world *w)
{
    const roam_time deadline = testserver_deadline(&w->server), at = now();
    if (deadline != ROAM_NEVER)
        uv_timer_start(&w->server_timer, on_server_timer, deadline > at ? (deadline - at) / 1000 + 1 : 0, 0);
}

static void on_server_timer(uv_timer_t *timer)
{
    world *w = timer->data;
    testserver_advance(&w->server, now());
    server_arm(w);
}

static void server_receive(void *user, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    world *w = user;
    testserver_receive(&w->server, now(), socket, from, bytes);
}

static void server_error(void *user, uint32_t socket, const roam_addr *remote)
{
    (void)user, (void)socket, (void)remote;
}

static void server_batch(void *user)
{
    server_arm(user);
}

/* ---- the parties ---- */

static void ear_write(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed)
{
    ear *e = (ear *)(void *)sink;
    (void)rate;
    for (size_t i = 0; !concealed && i < n; i++)
        e->samples[e->n++ % HEARD_MAX] = samples[i];
}

static void ear_close(roam_audio_sink *sink)
{
    ((ear *)(void *)sink)->closed = true;
}

static roam_call_options talk(party *p)
{
    p->ear.sink = (roam_audio_sink){ear_write, ear_close};
    return (roam_call_options){.source = roam_tone_source(p->tone), .sink = &p->ear.sink};
}

static void on_event(void *user, roam_agent *agent, const roam_event *event)
{
    party *p = user;
    if (p->nevents < EVENTS_MAX)
        p->events[p->nevents++] = *event;
    if (event->type == ROAM_EVENT_CALL_INCOMING && p->answers) {
        const roam_call_options options = talk(p);
        assert_int_equal(roam_call_answer(roam_agent_ua(agent), event->call, &options), 0);
    }
}

static const roam_event *last(const party *p, roam_event_type type)
{
    for (size_t i = p->nevents; i-- > 0;)
        if (p->events[i].type == type)
            return &p->events[i];
    return NULL;
}

static const roam_event *progress(const party *p, roam_ip_change_op op, roam_call_id call)
{
    for (size_t i = p->nevents; i-- > 0;)
        if (p->events[i].type == ROAM_EVENT_IP_CHANGE_PROGRESS && p->events[i].op == op && p->events[i].call == call)
            return &p->events[i];
    return NULL;
}

static void begin_party(world *w, party *p, bool monitor, const char *aor, const char *password)
{
    roam_agent_config config;
    roam_agent_config_default(&config);
    config.monitor = monitor;
    config.uv_loop = &w->loop;
    config.on_event = on_event;
    config.user = p;
    p->agent = roam_agent_new(&config);
    assert_non_null(p->agent);
    roam_account_config account;
    roam_account_config_default(&account);
    account.aor = aor;
    account.registrar = "sip:example.com";
    account.outbound_proxy = w->proxy;
    account.password = password;
    assert_int_equal(roam_account_add(roam_agent_ua(p->agent), &account, &p->account), 0);
}

/* The picture of a device with one address. */
static void feed(party *p, const char *ip)
{
    roam_net_addr addr = {.prefix = 8, .link = 1, .metric = 1};
    assert_int_equal(roam_ip_parse(span_of(ip), &addr.ip), 0);
    const roam_network network = {.addrs = &addr, .naddrs = 1};
    assert_int_equal(roam_agent_network_update(p->agent, &network), 0);
}

/* ---- the world ---- */

static int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    *state = w;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->guard);
    uv_timer_init(&w->loop, &w->server_timer);
    w->server_timer.data = w;
    const roam_udp_events events = {server_receive, server_error, server_batch, w};
    w->udp = udp_new(&w->loop, &events, &w->no_trace);
    assert_non_null(w->udp);
    roam_addr any;
    assert_int_equal(roam_addr_parse(SPAN("127.0.0.1:0"), &any), 0);
    assert_int_equal(udp_open(w->udp, SERVER_SOCKET, &any, 0, ROAM_SOCKET_SIP, &w->server_addr), 0);
    const roam_testserver_config config = {.seed = {1}};
    const roam_testserver_host host = {.send = server_send, .user = w};
    assert_int_equal(testserver_init(&w->server, &config, &host), 0);
    testserver_advance(&w->server, now());
    assert_int_equal(testserver_add_path(&w->server, SERVER_SOCKET, &w->server_addr), 0);
    assert_int_equal(testserver_add_domain(&w->server, "example.com"), 0);
    assert_int_equal(testserver_add_user(&w->server, "alice", "wonderland"), 0);
    assert_int_equal(testserver_add_user(&w->server, "bob", "builder"), 0);
    char text[ROAM_ADDR_TEXT_MAX];
    roam_addr_format(&w->server_addr, text);
    snprintf(w->proxy, sizeof w->proxy, "sip:%s;lr", text);
    w->alice.tone = 440;
    w->bob.tone = 1000;
    w->bob.answers = true;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    roam_agent_free(w->alice.agent);
    roam_agent_free(w->bob.agent);
    udp_free(w->udp);
    testserver_free(&w->server);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_close((uv_handle_t *)&w->server_timer, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&w->loop);
    free(w);
    return left;
}

static void on_guard(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop until it is so. The guard turns a hang into a failure that says what was awaited. */
static void await_(world *w, expectation *expected, const char *what)
{
    bool expired = false;
    w->guard.data = &expired;
    uv_timer_start(&w->guard, on_guard, GUARD_MS, 0);
    while (!expected(w) && !expired)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->guard);
    if (!expected(w))
        fail_msg("never came: %s", what);
}
#define await(w, expected) await_(w, expected, #expected)

static bool is_registered(const party *p)
{
    const roam_event *event = last(p, ROAM_EVENT_REGISTRATION);
    return event && event->registration == ROAM_REGISTRATION_REGISTERED;
}

static bool both_registered(world *w)
{
    return is_registered(&w->alice) && is_registered(&w->bob);
}

/* Half a second of a tone, freshly heard. */
static bool hears(const party *p, double hz)
{
    double re = 0, im = 0;
    const size_t n = HEARD_MAX / 2;
    if (p->ear.n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const double at = 2 * 3.14159265358979323846 * hz * (double)i / 8000, sample = p->ear.samples[i] / 32768.0;
        re += sample * cos(at);
        im += sample * sin(at);
    }
    return 2 * sqrt(re * re + im * im) / (double)n > 0.1;
}

static bool both_hear(world *w)
{
    return hears(&w->alice, w->bob.tone) && hears(&w->bob, w->alice.tone);
}

static void forget(world *w)
{
    w->alice.ear.n = w->bob.ear.n = 0;
    w->alice.nevents = w->bob.nevents = 0;
}

static bool is_ended(const party *p)
{
    const roam_event *event = last(p, ROAM_EVENT_CALL_STATE);
    return event && event->call_state == ROAM_CALL_ENDED;
}

static bool both_ended(world *w)
{
    return is_ended(&w->alice) && is_ended(&w->bob);
}

static bool both_gone(world *w)
{
    return last(&w->alice, ROAM_EVENT_SHUTDOWN_DONE) && last(&w->bob, ROAM_EVENT_SHUTDOWN_DONE);
}

static roam_call_id call_bob(world *w)
{
    roam_call_id call;
    const roam_call_options options = talk(&w->alice);
    assert_int_equal(
        roam_call_make(roam_agent_ua(w->alice.agent), w->alice.account, "sip:bob@example.com", &options, &call), 0);
    await(w, both_hear);
    return call;
}

/* How many Contacts a user has, and whether one of them has this host. */
static size_t contacts(const world *w, const char *user, const char *host, bool *with_host)
{
    size_t n = 0;
    *with_host = false;
    const roam_aor *aor = registrar_find(&w->server.registrar, span_of(user));
    if (aor)
        list_each (binding, &aor->bindings, roam_binding, node) {
            n++;
            *with_host = *with_host || strstr(binding->contact, host);
        }
    return n;
}

/* ---- what works ---- */

static void register_call_hang_up(void **state)
{
    /* Two agents with the OS's own monitor register with a password, one calls the other, both hear the other's tone,
     * the callee hangs up. Shut down, both are gone from the registrar. */
    world *w = *state;
    bool there;
    begin_party(w, &w->alice, true, "sip:alice@example.com", "wonderland");
    begin_party(w, &w->bob, true, "sip:bob@example.com", "builder");
    await(w, both_registered);
    assert_int_equal(contacts(w, "bob", "127.0.0.1", &there), 1);
    assert_true(there);
    call_bob(w);
    roam_call_id at_bob = last(&w->bob, ROAM_EVENT_CALL_INCOMING)->call;
    assert_int_equal(roam_call_hangup(roam_agent_ua(w->bob.agent), at_bob), 0);
    await(w, both_ended);
    assert_true(w->alice.ear.closed && w->bob.ear.closed);
    roam_agent_shutdown(w->alice.agent);
    roam_agent_shutdown(w->bob.agent);
    await(w, both_gone);
    assert_int_equal(contacts(w, "alice", "", &there), 0);
    assert_int_equal(contacts(w, "bob", "", &there), 0);
}

static bool is_failed(world *w)
{
    const roam_event *event = last(&w->alice, ROAM_EVENT_REGISTRATION);
    return event && event->registration == ROAM_REGISTRATION_FAILED;
}

static void wrong_password_is_final(void **state)
{
    /* A wrong password ends in "failed" with the status of the refusal, after one attempt; nothing is registered. */
    world *w = *state;
    bool there;
    begin_party(w, &w->alice, true, "sip:alice@example.com", "looking-glass");
    await(w, is_failed);
    assert_int_equal(contacts(w, "alice", "", &there), 0);
    assert_int_equal(w->server.auth.counters.wrong, 1);
}

static bool alice_recovered(world *w)
{
    const party *a = &w->alice;
    return a->nevents && progress(a, ROAM_IP_CHANGE_COMPLETED, 0) && both_hear(w);
}

static void call_follows_the_address(void **state)
{
    /* Alice's application feeds the pictures: during a call her address becomes another one (127.0.0.0/8 has many). The
     * registrar has the new Contact only, the call goes on on a new path, both hear each other again, and the peer's
     * BYE arrives. */
    world *w = *state;
    bool there;
    begin_party(w, &w->alice, false, "sip:alice@example.com", "wonderland");
    begin_party(w, &w->bob, true, "sip:bob@example.com", "builder");
    feed(&w->alice, "127.0.0.1");
    await(w, both_registered);
    const roam_call_id call = call_bob(w);
    for (int i = 2; i <= 4; i++) { /* more than once */
        char ip[16];
        snprintf(ip, sizeof ip, "127.0.0.%d", i);
        forget(w);
        feed(&w->alice, ip);
        await(w, alice_recovered);
        assert_non_null(progress(&w->alice, ROAM_IP_CHANGE_RECOVERED, call));
        assert_int_equal(contacts(w, "alice", ip, &there), 1);
        assert_true(there);
        roam_call_info info;
        assert_int_equal(roam_call_get_info(roam_agent_ua(w->alice.agent), call, &info), 0);
        assert_int_equal(info.state, ROAM_CALL_CONFIRMED);
        assert_int_equal(info.media_local.ip.bytes[3], i);
    }
    roam_call_id at_bob;
    assert_int_equal(roam_call_list(roam_agent_ua(w->bob.agent), &at_bob, 1), 1);
    assert_int_equal(roam_call_hangup(roam_agent_ua(w->bob.agent), at_bob), 0);
    await(w, both_ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(register_call_hang_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_password_is_final, set_up, tear_down),
        cmocka_unit_test_setup_teardown(call_follows_the_address, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

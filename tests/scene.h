/* A scene for the tests of the user agent: a registrar and proxy, a callee, an agent, and a log of what passed between them. */
#ifndef ROAM_TESTS_SCENE_H
#define ROAM_TESTS_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "sim/world.h"
#include "testbed/nat.h"
#include "testbed/peer.h"
#include "testbed/server.h"

#define RTT ROAM_MS(100)
#define WIFI "10.1.0.5"
#define CELL "10.2.0.7"
#define SERVER "192.0.2.1"
#define CALLEE "198.51.100.9"
#define SCENE_LOG 4096u
#define SCENE_MESSAGE 1500u

typedef struct seen {
    roam_time time;
    roam_addr from, to;
    char text[SCENE_MESSAGE]; /* the message, cut; "" is no SIP */
} seen;

/* An answer that the server gives in place of its own: status 0 lets the request through, 1 loses it. */
typedef struct scripted {
    unsigned status;
    const char *headers;
} scripted;

typedef struct scene {
    sim_world world;
    sim_node *server, *callee, *agent;
    roam_account_id account;
    seen *log;
    size_t nlog;
    const char *script_method; /* "REGISTER"; NULL: no script */
    const char *script_to;     /* who answers by it; NULL: SERVER */
    const scripted *script;    /* the last one is repeated */
    size_t nscript, script_at;
    bool (*more)(struct scene *s, const sim_packet *p); /* a tap of the test: false loses the packet */
} scene;

static inline bool scene_is_sip(const sim_packet *p)
{
    return !(p->len > 3 && ((unsigned char)p->bytes[0] & 0xc0) == 0x80);
}

/* "METHOD sip:...": is this the first line of a request of that method? */
static inline bool scene_is_request(const char *text, size_t len, const char *method)
{
    size_t n = strlen(method);
    return len > n && memcmp(text, method, n) == 0 && text[n] == ' ';
}

static inline void scene_respond(sim_world *world, const sim_packet *p, unsigned status, const char *headers)
{
    static roam_header_space space;
    static char text[4096];
    roam_message m;
    roam_writer w;
    if (message_parse(&m, &space, span_make(p->bytes, p->len)) != 0)
        return;
    writer_init(&w, text, sizeof text);
    write_response_head(&w, &m, status, SPAN(""), SPAN("scripted"), &p->from);
    write_cstr(&w, headers);
    write_lit(&w, "Content-Length: 0\r\n\r\n");
    assert_false(w.overflow);
    world_inject(world, &p->to, &p->from, writer_span(&w));
}

static inline bool scene_tap(void *user, const sim_packet *p)
{
    scene *s = user;
    if (scene_is_sip(p)) {
        if (s->nlog < SCENE_LOG) {
            seen *e = &s->log[s->nlog++];
            e->time = s->world.now;
            e->from = p->from;
            e->to = p->to;
            size_t n = p->len < sizeof e->text ? p->len : sizeof e->text - 1;
            memcpy(e->text, p->bytes, n);
            e->text[n] = '\0';
        }
        if (getenv("SHOW")) {
            char from[ROAM_ADDR_TEXT_MAX], to[ROAM_ADDR_TEXT_MAX];
            size_t line = 0;
            while (line < p->len && p->bytes[line] != '\r')
                line++;
            roam_addr_format(&p->from, from);
            roam_addr_format(&p->to, to);
            printf("# %8.1f ms %s -> %s %.*s\n", (double)(s->world.now - ROAM_SECONDS(1000)) / 1000, from, to, (int)line, p->bytes);
            if (strcmp(getenv("SHOW"), "all") == 0)
                printf("%.*s\n", (int)p->len, p->bytes);
        }
    }
    if (s->more && !s->more(s, p))
        return false;
    roam_ip to = sim_ip(s->script_to ? s->script_to : SERVER);
    if (s->script_method && roam_ip_equal(&p->to.ip, &to) && scene_is_request(p->bytes, p->len, s->script_method)) {
        const scripted *step = &s->script[s->script_at];
        if (s->script_at + 1 < s->nscript)
            s->script_at++;
        if (step->status > 1)
            scene_respond(&s->world, p, step->status, step->headers ? step->headers : "");
        return step->status == 0;
    }
    return true;
}

static inline void scene_script(scene *s, const char *method, const scripted *script, size_t n)
{
    s->script_method = method;
    s->script = script;
    s->nscript = n;
    s->script_at = 0;
}
#define SCRIPT(s, method, array) scene_script(s, method, array, sizeof(array) / sizeof *(array))

/* A request in the log that is not the same bytes again: its Via branch and CSeq are new. */
static inline bool scene_is_repeat(const scene *s, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (strcmp(s->log[k].text, s->log[i].text) == 0 && roam_addr_equal(&s->log[k].from, &s->log[i].from))
            return true;
    return false;
}

/* Messages from that address since `since` whose first line begins so, without repeats. */
static inline size_t sent_from(const scene *s, const char *ip, const char *prefix, roam_time since)
{
    size_t n = 0;
    roam_ip from = sim_ip(ip);
    for (size_t i = 0; i < s->nlog; i++)
        n += s->log[i].time >= since && roam_ip_equal(&s->log[i].from.ip, &from) && strncmp(s->log[i].text, prefix, strlen(prefix)) == 0 &&
             !scene_is_repeat(s, i);
    return n;
}

/* The last such message; NULL: none. */
static inline const seen *last_from(const scene *s, const char *ip, const char *prefix)
{
    roam_ip from = sim_ip(ip);
    for (size_t i = s->nlog; i-- > 0;)
        if (roam_ip_equal(&s->log[i].from.ip, &from) && strncmp(s->log[i].text, prefix, strlen(prefix)) == 0)
            return &s->log[i];
    return NULL;
}

typedef struct scene_options {
    const roam_testserver_config *server;
    const roam_account_config *account;
    const roam_peer_config *callee;
    const roam_ua_config *agent;
    roam_nat *nat;
    bool no_account;
    const char *registrar; /* NULL: "sip:192.0.2.1" */
} scene_options;

static const char *const scene_users[] = {"alice:secret", "bob:hidden", "carol:third", NULL};
static const char *const scene_wifi[] = {WIFI, NULL}, *const scene_cell[] = {CELL, NULL}, *const scene_none[] = {NULL};

static inline roam_account_config scene_account(const char *aor, const char *password)
{
    roam_account_config config;
    roam_account_config_default(&config);
    config.aor = aor;
    config.password = password;
    config.registrar = "sip:" SERVER;
    config.outbound_proxy = "sip:" SERVER ";lr";
    return config;
}

static inline scene *scene_new(scene_options o)
{
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->log = calloc(SCENE_LOG, sizeof *s->log);
    assert_non_null(s->log);
    world_init(&s->world, 7, RTT / 2);
    s->world.tap = scene_tap;
    s->world.user = s;
    s->server = world_server(&s->world, SERVER ":5060", o.server, scene_users);
    roam_peer_config peer = o.callee ? *o.callee : (roam_peer_config){0};
    peer.user = "bob";
    peer.domain = "example.com";
    peer.password = "hidden";
    peer.proxy = sim_addr(SERVER ":5060");
    s->callee = world_peer(&s->world, CALLEE ":5060", &peer);
    assert_int_equal(peer_register(s->callee->peer, s->world.now), 0);
    s->agent = world_agent(&s->world, "alice", o.agent);
    s->agent->nat = o.nat;
    world_set_addrs(s->agent, scene_wifi);
    roam_account_config account = o.account ? *o.account : scene_account(NULL, NULL);
    if (!account.aor)
        account.aor = "sip:alice@example.com";
    if (!account.password)
        account.password = "secret";
    if (o.registrar)
        account.registrar = o.registrar;
    if (!o.no_account) {
        assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
        world_flush(s->agent);
    }
    world_run(&s->world, ROAM_SECONDS(2));
    return s;
}

static inline void scene_free(scene *s)
{
    assert_int_equal(s->world.from_dead, 0);
    world_free(&s->world);
    free(s->log);
    free(s);
}

static inline roam_account_info account_of(const scene *s)
{
    roam_account_info info;
    assert_int_equal(roam_account_get_info(s->agent->ua, s->account, &info), 0);
    return info;
}

static inline roam_call_info call_of(const sim_node *agent, roam_call_id id)
{
    roam_call_info info = {0};
    if (roam_call_get_info(agent->ua, id, &info) != 0)
        info.state = ROAM_CALL_ENDED;
    return info;
}

static inline size_t bindings_of(const scene *s, const char *user)
{
    const roam_aor *aor = registrar_find(&s->server->server->registrar, span_of(user));
    return aor ? aor->nbindings : 0;
}

/* The registrar holds exactly one Contact of this user, and this stands in it. */
static inline void assert_one_binding(const scene *s, const char *user, const char *part)
{
    assert_int_equal(bindings_of(s, user), 1);
    list_each(b, &registrar_find(&s->server->server->registrar, span_of(user))->bindings, roam_binding, node)
        assert_non_null(strstr(b->contact, part));
}

static inline roam_call_id call_to(sim_node *agent, roam_account_id account, const char *uri)
{
    roam_call_id id = 0;
    roam_call_options options = {.source = roam_tone_source(440)};
    assert_int_equal(roam_call_make(agent->ua, account, uri, &options, &id), 0);
    world_flush(agent);
    return id;
}

/* RTP in and out goes on: both counters rise in a second. */
static inline void assert_two_way(scene *s, sim_node *agent, roam_call_id id)
{
    roam_media_stats before = call_of(agent, id).media;
    world_run(&s->world, ROAM_SECONDS(1));
    roam_media_stats after = call_of(agent, id).media;
    assert_in_range(after.packets_sent - before.packets_sent, 45, 55);
    assert_in_range(after.packets_received - before.packets_received, 45, 55);
}

static inline void set_addrs(scene *s, const char *const *addrs)
{
    world_set_addrs(s->agent, addrs);
}

#endif

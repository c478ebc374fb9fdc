/* A little world for tests: a server, peers, and addresses that a test plays by hand, joined by one link emulator.
 * Virtual time. */
#ifndef ROAM_TESTS_TESTBED_WORLD_H
#define ROAM_TESTS_TESTBED_WORLD_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "testbed/link.h"
#include "testbed/peer.h"
#include "testbed/server.h"

#define WORLD_PEERS 4
#define WORLD_SIP 1u /* the SIP socket of every node */

typedef struct world world;

typedef struct world_peer {
    world *w;
    roam_peer peer;
    roam_addr local;
    bool present;
    roam_peer_event events[256];
    size_t nevents;
    uint16_t next_port;
    struct {
        uint32_t socket;
        roam_addr local;
        bool open;
    } rtp[32];
    size_t nrtp;
} world_peer;

struct world {
    roam_mem mem;
    roam_link link;
    roam_time now;
    roam_testserver server;
    roam_addr server_addr;
    bool server_up;
    world_peer peers[WORLD_PEERS];
    uint64_t hash; /* of everything that was sent, with its time */
    size_t sent;
    roam_notice_type notices[512];
    size_t nnotices;
    char inbox[65537]; /* the last datagram for an address nobody has: what the test's own clients get */
    size_t inbox_len, ninbox;
    roam_addr inbox_to;
    roam_header_space space;
    roam_message reply; /* the inbox, parsed */
    uint32_t branch;
    char expected[32]; /* while world_ask waits: only what holds this branch counts */
};

typedef struct world_envelope {
    roam_addr from, to;
} world_envelope;

static inline roam_addr world_addr(const char *text)
{
    roam_addr a;
    if (roam_addr_parse(span_of(text), &a) != ROAM_OK)
        abort();
    return a;
}

static inline void world_put(world *w, const roam_addr *from, const roam_addr *to, roam_span bytes)
{
    static char space[sizeof(world_envelope) + 65536];
    world_envelope e;
    memset(&e, 0, sizeof e); /* padding, too: the bytes are hashed */
    e.from = *from;
    e.to = *to;
    memcpy(space, &e, sizeof e);
    memcpy(space + sizeof e, bytes.ptr, bytes.len);
    const uint64_t seed[2] = {1, 2};
    w->hash = w->hash * 0x100000001b3u + roam_siphash(seed, bytes) + w->now + from->port + ((uint64_t)to->port << 16);
    w->sent++;
    (void)link_push(&w->link, w->now, span_make(space, sizeof e + bytes.len));
}

static inline void world_server_send(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    world *w = user;
    if (socket != WORLD_SIP)
        abort();
    world_put(w, &w->server_addr, remote, bytes);
}

static inline void world_notice(void *user, const roam_notice *notice)
{
    world *w = user;
    if (w->nnotices < sizeof w->notices / sizeof *w->notices)
        w->notices[w->nnotices++] = notice->type;
}

static inline size_t world_count_notices(const world *w, roam_notice_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < w->nnotices; i++)
        n += w->notices[i] == type;
    return n;
}

static inline void world_peer_send(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    world_peer *p = user;
    const roam_addr *from = &p->local;
    for (size_t i = 0; i < p->nrtp; i++)
        if (p->rtp[i].socket == socket)
            from = &p->rtp[i].local;
    world_put(p->w, from, remote, bytes);
}

static inline int world_open_rtp(void *user, uint32_t *socket, roam_addr *local)
{
    world_peer *p = user;
    size_t i = 0;
    while (i < p->nrtp && p->rtp[i].open)
        i++;
    if (i == sizeof p->rtp / sizeof *p->rtp)
        return ROAM_ELIMIT;
    if (i == p->nrtp)
        p->nrtp++;
    *socket = (uint32_t)(100 + i);
    *local = p->local;
    local->port = p->next_port;
    p->next_port = (uint16_t)(p->next_port + 2);
    p->rtp[i].socket = *socket;
    p->rtp[i].local = *local;
    p->rtp[i].open = true;
    return ROAM_OK;
}

static inline void world_close_rtp(void *user, uint32_t socket)
{
    world_peer *p = user;
    for (size_t i = 0; i < p->nrtp; i++)
        if (p->rtp[i].socket == socket)
            p->rtp[i].open = false;
}

static inline void world_peer_event(void *user, const roam_peer_event *event)
{
    world_peer *p = user;
    if (p->nevents < sizeof p->events / sizeof *p->events)
        p->events[p->nevents++] = *event;
}

static inline size_t world_count(const world_peer *p, roam_peer_event_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < p->nevents; i++)
        n += p->events[i].type == type;
    return n;
}

static inline const roam_peer_event *world_last(const world_peer *p, roam_peer_event_type type)
{
    for (size_t i = p->nevents; i-- > 0;)
        if (p->events[i].type == type)
            return &p->events[i];
    return NULL;
}

static inline world *world_new(const roam_testserver_config *server, const roam_link_config *link)
{
    world *w = calloc(1, sizeof *w);
    roam_testserver_config config = server ? *server : (roam_testserver_config){0};
    static const uint8_t seed[32] = "the world's link";
    mem_init(&w->mem, NULL);
    if (link_init(&w->link, &w->mem, seed, link) != ROAM_OK)
        abort();
    w->server_addr = world_addr("192.0.2.1:5060");
    memcpy(config.seed, "the server", 10);
    if (!config.auth.realm)
        config.auth.realm = "example.com";
    roam_testserver_host host = {.send = world_server_send, .notice = world_notice, .user = w};
    w->server_up = testserver_init(&w->server, &config, &host) == ROAM_OK &&
                   testserver_add_domain(&w->server, "example.com") == ROAM_OK &&
                   testserver_add_path(&w->server, WORLD_SIP, &w->server_addr) == ROAM_OK;
    return w;
}

/* 192.0.2.(10+i):5060, RTP from port 40000 on. */
static inline world_peer *world_add_peer(world *w, int i, const char *user, const char *password,
                                         const roam_peer_config *more)
{
    world_peer *p = &w->peers[i];
    roam_peer_config config = more ? *more : (roam_peer_config){0};
    char text[32];
    (void)snprintf(text, sizeof text, "192.0.2.%d:5060", 10 + i);
    p->w = w;
    p->local = world_addr(text);
    p->next_port = 40000;
    config.user = user;
    config.domain = "example.com";
    config.password = password;
    config.socket = WORLD_SIP;
    config.local = p->local;
    config.proxy = w->server_addr;
    config.seed[0] = (uint8_t)(i + 1);
    roam_peer_host host = {.send = world_peer_send,
                           .open_rtp = world_open_rtp,
                           .close_rtp = world_close_rtp,
                           .event = world_peer_event,
                           .user = p};
    if (peer_init(&p->peer, &config, &host) != ROAM_OK)
        abort();
    p->present = true;
    return p;
}

/* Its address is another one from this moment on. */
static inline void world_move_peer(world *w, int i, const char *addr)
{
    world_peer *p = &w->peers[i];
    p->local = world_addr(addr);
    if (peer_move(&p->peer, w->now, WORLD_SIP, &p->local) != ROAM_OK)
        abort();
}

static inline void world_deliver(world *w, const roam_addr *from, const roam_addr *to, roam_span bytes)
{
    if (roam_addr_equal(to, &w->server_addr)) {
        testserver_receive(&w->server, w->now, WORLD_SIP, from, bytes);
        return;
    }
    for (int i = 0; i < WORLD_PEERS; i++) {
        world_peer *p = &w->peers[i];
        if (!p->present || !roam_ip_equal(&p->local.ip, &to->ip))
            continue;
        if (to->port == p->local.port) {
            peer_receive(&p->peer, w->now, WORLD_SIP, from, bytes);
            return;
        }
        for (size_t k = 0; k < p->nrtp; k++)
            if (p->rtp[k].open && p->rtp[k].local.port == to->port) {
                peer_receive(&p->peer, w->now, p->rtp[k].socket, from, bytes);
                return;
            }
        return;
    }
    size_t wanted = strlen(w->expected), at = 0;
    while (wanted && at + wanted <= bytes.len && memcmp(bytes.ptr + at, w->expected, wanted) != 0)
        at++;
    if (wanted && at + wanted > bytes.len)
        return;
    memcpy(w->inbox, bytes.ptr, bytes.len);
    w->inbox[bytes.len] = '\0';
    w->inbox_len = bytes.len;
    w->inbox_to = *to;
    w->ninbox++;
}

static inline void world_run_until(world *w, roam_time until)
{
    for (;;) {
        roam_time next = link_deadline(&w->link), deadline = testserver_deadline(&w->server);
        next = deadline < next ? deadline : next;
        for (int i = 0; i < WORLD_PEERS; i++) {
            deadline = w->peers[i].present ? peer_deadline(&w->peers[i].peer) : ROAM_NEVER;
            next = deadline < next ? deadline : next;
        }
        if (next > until)
            break;
        w->now = next > w->now ? next : w->now;
        roam_span bytes;
        if (link_pop(&w->link, w->now, &bytes, NULL)) {
            world_envelope e;
            memcpy(&e, bytes.ptr, sizeof e);
            /* A block of its own, so that the sanitizer sees a read beyond the datagram. */
            size_t len = bytes.len - sizeof e;
            char *copy = malloc(len ? len : 1);
            memcpy(copy, bytes.ptr + sizeof e, len);
            world_deliver(w, &e.from, &e.to, span_make(copy, len));
            free(copy);
            continue;
        }
        testserver_advance(&w->server, w->now);
        for (int i = 0; i < WORLD_PEERS; i++)
            if (w->peers[i].present)
                peer_advance(&w->peers[i].peer, w->now);
    }
    w->now = until > w->now ? until : w->now;
}

static inline void world_run(world *w, roam_time for_us)
{
    world_run_until(w, w->now + for_us);
}

/* Frees everything; true when nothing leaked. */
static inline bool world_free(world *w)
{
    bool clean = true;
    for (int i = 0; i < WORLD_PEERS; i++) {
        if (!w->peers[i].present)
            continue;
        peer_free(&w->peers[i].peer);
        clean = clean && w->peers[i].peer.env.mem.live == 0;
    }
    if (w->server.sip.env)
        testserver_free(&w->server);
    clean = clean && w->server.env.mem.live == 0;
    link_free(&w->link);
    clean = clean && w->mem.live == 0;
    free(w);
    return clean;
}

/* ---- requests by hand ---- */

/* Sends `text` from `from`; every '\n' becomes CRLF, "$branch" a new branch. The answer, if one comes within a second,
 * is in w->reply. Its status, or 0. */
static inline unsigned world_ask(world *w, const char *from, const char *format, ...)
{
    static char text[16384], wire[16384];
    roam_writer out;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    writer_init(&out, wire, sizeof wire);
    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            write_lit(&out, "\r\n");
        } else if (strncmp(c, "$branch", 7) == 0) {
            write_lit(&out, "z9hG4bKtest");
            write_u64(&out, ++w->branch);
            write_char(&out, 'x');
            (void)snprintf(w->expected, sizeof w->expected, "z9hG4bKtest%ux", w->branch);
            c += 6;
        } else {
            write_char(&out, *c);
        }
    }
    roam_addr source = world_addr(from);
    w->inbox_len = 0;
    w->reply = (roam_message){0};
    world_put(w, &source, &w->server_addr, writer_span(&out));
    world_run(w, ROAM_SECONDS(1));
    w->expected[0] = '\0';
    if (!w->inbox_len || message_parse(&w->reply, &w->space, span_make(w->inbox, w->inbox_len)) != ROAM_OK ||
        w->reply.is_request)
        return 0;
    return w->reply.status;
}

/* The Contact values of w->reply whose URI is `uri`; *expires gets the parameter of the last one. */
static inline size_t world_contacts(const world *w, const char *uri, uint32_t *expires)
{
    roam_value_cursor cursor = {0};
    roam_span value, text;
    roam_name_addr contact;
    size_t n = 0;
    while (message_values(&w->reply, HEADER_CONTACT, &cursor, &value)) {
        if (name_addr_parse(value, &contact) != ROAM_OK || (uri && !span_eq(contact.uri_text, span_of(uri))))
            continue;
        n++;
        if (expires && param_find(contact.params, SPAN("expires"), &text))
            (void)span_u32(text, expires);
    }
    return n;
}

/* ---- calls ---- */

/* A server with alice and bob, both registered; passwords when `digest`. */
static inline world *two_users(const roam_testserver_config *server, const roam_link_config *link,
                               const roam_peer_config *alice, const roam_peer_config *bob, bool digest)
{
    world *w = world_new(server, link);
    const char *password = digest ? "secret" : NULL;
    if (digest) {
        assert_int_equal(testserver_add_user(&w->server, "alice", password), ROAM_OK);
        assert_int_equal(testserver_add_user(&w->server, "bob", password), ROAM_OK);
    }
    world_add_peer(w, 0, "alice", password, alice);
    world_add_peer(w, 1, "bob", password, bob);
    for (int i = 0; i < 2; i++)
        assert_int_equal(peer_register(&w->peers[i].peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(20));
    assert_int_equal(w->server.registrar.nbindings, 2);
    return w;
}

static inline uint32_t call(world *w, int from, const char *uri)
{
    uint32_t id = 0;
    assert_int_equal(peer_call(&w->peers[from].peer, w->now, uri, &id), ROAM_OK);
    return id;
}

static inline const roam_leg *leg_of(world *w, int peer, uint32_t id)
{
    const roam_leg *leg = peer_leg(&w->peers[peer].peer, id);
    assert_non_null(leg);
    return leg;
}

#endif

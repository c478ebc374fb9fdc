/* What the tests of lib/sip share: one transaction layer whose network is a list of what it sent, with virtual time. */
#ifndef ROAM_TESTS_SIP_FIXTURE_H
#define ROAM_TESTS_SIP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip/dialog.h"
#include "sip/transaction.h"

enum { MAX_SENT = 128 };

typedef struct sent_datagram {
    char *bytes;
    size_t len;
    unsigned long ms;
    roam_addr to;
    const roam_path *path;
} sent_datagram;

typedef struct world {
    roam_env env;
    roam_sip sip;
    roam_path path, other; /* two networks; `other` is where the device may move */
    roam_addr peer;
    sent_datagram sent[MAX_SENT];
    size_t nsent;
    int send_error;          /* what tu.send returns */
    char log[2048];          /* what the TU was told, in order */
    roam_server_txn *server; /* the last request's */
    unsigned answer;         /* tu.request answers with it at once; 0: not */
    void (*on_client)(struct world *w, roam_client_txn *txn,
                      roam_client_event event); /* what the TU does in a callback */
    void (*on_request)(struct world *w, roam_server_txn *txn);
    long refuse_after;   /* allocations until one is refused; -1: none is */
    bool refuse_forever; /* and all that follow */
    bool refused;
    bool quiet; /* nothing is kept of what is sent */
} world;

static inline void *world_realloc(void *user, void *ptr, size_t size)
{
    world *w = user;
    if (!size) {
        free(ptr);
        return NULL;
    }
    if (w->refuse_after == 0) {
        w->refused = true;
        if (!w->refuse_forever)
            w->refuse_after = -1;
        return NULL;
    }
    if (w->refuse_after > 0)
        w->refuse_after--;
    return realloc(ptr, size);
}

static inline void world_log(world *w, const char *format, ...)
{
    size_t used = strlen(w->log);
    va_list args;
    va_start(args, format);
    if (used < sizeof w->log - 1)
        (void)vsnprintf(w->log + used, sizeof w->log - used, format, args);
    va_end(args);
}

static inline unsigned long world_ms(const world *w)
{
    return (unsigned long)(w->env.now / 1000 - 1000); /* worlds start at one second */
}

static inline int world_send(void *user, const roam_flow *flow, roam_span bytes)
{
    world *w = user;
    if (w->send_error)
        return w->send_error;
    if (w->quiet) {
        w->nsent++;
        return 0;
    }
    assert_true(w->nsent < MAX_SENT);
    sent_datagram *s = &w->sent[w->nsent++];
    s->bytes = malloc(bytes.len + 1);
    assert_non_null(s->bytes);
    memcpy(s->bytes, bytes.ptr, bytes.len);
    s->bytes[bytes.len] = '\0';
    s->len = bytes.len;
    s->ms = world_ms(w);
    s->to = flow->remote;
    s->path = flow->path;
    return 0;
}

static inline void world_server_event(void *user, roam_server_txn *txn, roam_server_event event,
                                      const roam_message *message)
{
    static const char *const text[] = {"cancelled", "acked", "no-ack", "ended"};
    world *w = user;
    (void)message;
    world_log(w, "%s ", text[event]);
    if (event == SERVER_ENDED && w->server == txn)
        w->server = NULL;
}

static inline void world_request(void *user, roam_server_txn *txn, const roam_message *request)
{
    world *w = user;
    world_log(w, "%.*s ", SPAN_ARG(request->method_name));
    w->server = txn;
    server_txn_attach(txn, world_server_event, w);
    if (w->on_request)
        w->on_request(w, txn);
    else if (w->answer)
        (void)server_txn_respond(txn, w->answer, (roam_span){0});
}

static inline void world_ack(void *user, roam_flow *flow, const roam_message *ack)
{
    (void)flow;
    (void)ack;
    world_log(user, "ack ");
}

static inline void world_stray(void *user, roam_flow *flow, const roam_message *response)
{
    (void)flow;
    world_log(user, "stray-%u ", response->status);
}

static inline void world_client_event(void *user, roam_client_txn *txn, roam_client_event event,
                                      const roam_message *message)
{
    static const char *const text[] = {"", "timeout", "failed", "ended"};
    world *w = user;
    if (event == CLIENT_RESPONSE)
        world_log(w, "%u ", message->status);
    else
        world_log(w, "%s ", text[event]);
    if (w->on_client)
        w->on_client(w, txn, event);
}

static inline void path_set(roam_path *path, const char *local, roam_transport transport)
{
    *path = (roam_path){.transport = transport, .state = PATH_UP};
    assert_int_equal(roam_addr_parse(span_of(local), &path->local), ROAM_OK);
    list_init(&path->node);
}

/* ROAM_OK, or what sip_init said. */
static inline int world_start_refusing(world *w, long refuse_after, bool forever)
{
    static const uint8_t seed[32] = {7};
    *w = (world){.refuse_after = refuse_after, .refuse_forever = forever};
    roam_allocator allocator = {world_realloc, w};
    roam_sip_tu tu = {
        .send = world_send, .request = world_request, .ack = world_ack, .stray_response = world_stray, .user = w};
    env_init(&w->env, &allocator, seed, NULL, NULL);
    env_advance(&w->env, ROAM_SECONDS(1));
    path_set(&w->path, "192.0.2.1:5060", TRANSPORT_UDP);
    path_set(&w->other, "198.51.100.7:5060", TRANSPORT_UDP);
    assert_int_equal(roam_addr_parse(SPAN("203.0.113.5:5060"), &w->peer), ROAM_OK);
    return sip_init(&w->sip, &w->env, &tu);
}

static inline void world_start(world *w)
{
    assert_int_equal(world_start_refusing(w, -1, false), ROAM_OK);
}

static inline void world_forget(world *w)
{
    for (size_t i = 0; i < w->nsent && !w->quiet; i++)
        free(w->sent[i].bytes);
    w->nsent = 0;
    w->log[0] = '\0';
}

static inline void world_stop(world *w)
{
    world_forget(w);
    sip_free(&w->sip);
    assert_int_equal(w->path.refs, 0);
    assert_int_equal(w->other.refs, 0);
    assert_int_equal(w->env.timers.count, 0);
    env_free(&w->env);
    assert_int_equal(w->env.mem.live, 0);
}

/* Virtual time goes from deadline to deadline, so what is sent carries its exact time. */
static inline void run_until(world *w, unsigned long ms)
{
    roam_time to = ROAM_MS(ms + 1000);
    for (;;) {
        roam_time next = timers_deadline(&w->env.timers);
        if (next > to)
            break;
        env_advance(&w->env, next);
    }
    env_advance(&w->env, to);
}

static inline void give(world *w, const char *text)
{
    sip_receive(&w->sip, &w->path, &w->peer, span_of(text));
}

/* A response of the peer to what we sent as number `i`; `more` are whole header lines. */
static inline void respond(world *w, size_t i, unsigned status, const char *tag, const char *more)
{
    static roam_header_space space;
    static char text[4096];
    roam_message m;
    roam_writer writer;
    assert_true(i < w->nsent);
    assert_int_equal(message_parse(&m, &space, span_make(w->sent[i].bytes, w->sent[i].len)), ROAM_OK);
    writer_init(&writer, text, sizeof text);
    write_response_head(&writer, &m, status, (roam_span){0}, span_of(tag), &w->path.local);
    write_cstr(&writer, more);
    write_body(&writer, (roam_span){0}, (roam_span){0});
    assert_false(writer.overflow);
    sip_receive(&w->sip, &w->path, &w->peer, writer_span(&writer));
}

static inline roam_client_txn *start(world *w, const char *method, roam_path *path)
{
    roam_request r;
    roam_flow *flow = flow_get(&w->sip, path, &w->peer);
    if (!flow)
        return NULL;
    request_begin(&w->sip, &r, flow, span_of(method), SPAN("sip:bob@example.com"), 70);
    write_lit(
        &r.w,
        "Route: <sip:edge.example.com;lr>\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>\r\n"
        "Call-ID: c1\r\n");
    write_cseq(&r.w, 41, span_of(method));
    write_header(&r.w, HEADER_CONTACT, SPAN("<sip:alice@192.0.2.1>"));
    write_body(&r.w, SPAN("text/plain"), SPAN("hello\r\n"));
    roam_client_txn *txn = request_send(&r, world_client_event, w);
    flow_unref(flow);
    return txn;
}

#endif

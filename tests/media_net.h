/* Two streams and a network between them, in virtual time: paths with delay, jitter, loss and doubling, all from a seed.
 * Side 0 and 1 each own sockets; a socket has an address of its own, and datagrams find the socket by address. */
#ifndef ROAM_TESTS_MEDIA_NET_H
#define ROAM_TESTS_MEDIA_NET_H

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/stream_private.h"

#define NET_SOCKETS 8
#define NET_RECORD (8000 * 120)
#define NET_EVENTS 256

typedef struct net_socket {
    uint32_t id;
    int side;
    roam_addr addr;
    bool up;
    uint32_t delay_us, jitter_us; /* on the way to and from here */
    unsigned loss;                /* percent */
    uint64_t dropped_in, dropped_out; /* RTP only */
    uint32_t mirror;              /* what comes here is delivered to this socket too; 0: no */
} net_socket;

typedef struct net_datagram {
    struct net_datagram *next;
    roam_time at;
    uint32_t socket;
    roam_addr from;
    size_t len;
    char bytes[RTP_MAX_PACKET];
} net_datagram;

typedef struct net_side {
    roam_audio_sink sink;
    struct net *net;
    roam_stream *stream;
    int16_t *recorded;
    bool *made;
    size_t nrecorded;
    roam_stream_event events[NET_EVENTS];
    size_t nevents;
    char digits[NET_EVENTS];
    size_t ndigits;
    uint64_t rtp_out, rtcp_out;
    void (*watch)(struct net_side *side, uint32_t socket, roam_span bytes); /* every datagram it sends */
} net_side;

typedef struct net {
    roam_env env;
    uint64_t rng;
    net_socket sockets[NET_SOCKETS];
    size_t nsockets;
    net_side sides[2];
    net_datagram *queue, *spare;
    void (*every)(struct net *net); /* after each step */
    void *user;
} net;

static inline uint32_t net_random(net *n)
{
    n->rng = n->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(n->rng >> 33);
}

static inline net_socket *net_by_id(net *n, uint32_t id)
{
    for (size_t i = 0; i < n->nsockets; i++)
        if (n->sockets[i].id == id)
            return &n->sockets[i];
    return NULL;
}

static inline void net_queue(net *n, roam_time at, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    net_datagram *d = n->spare;
    if (d)
        n->spare = d->next;
    else if (!(d = malloc(sizeof *d)))
        abort();
    d->at = at;
    d->socket = socket;
    d->from = *from;
    d->len = bytes.len;
    assert(bytes.len <= sizeof d->bytes);
    memcpy(d->bytes, bytes.ptr, bytes.len);
    net_datagram **place = &n->queue;
    while (*place && (*place)->at <= at)
        place = &(*place)->next;
    d->next = *place;
    *place = d;
}

static inline void net_send(void *user, uint32_t socket, const roam_addr *to, roam_span bytes)
{
    net_side *side = user;
    net *n = side->net;
    net_socket *from = net_by_id(n, socket), *dest = NULL;
    assert(from && from->side == (int)(side - n->sides));
    const bool rtp = !rtp_is_rtcp(bytes);
    if (rtp)
        side->rtp_out++;
    else
        side->rtcp_out++;
    if (side->watch)
        side->watch(side, socket, bytes);
    for (size_t i = 0; i < n->nsockets; i++)
        if (roam_addr_equal(&n->sockets[i].addr, to))
            dest = &n->sockets[i];
    if (!from->up || (from->loss && net_random(n) % 100 < from->loss)) {
        from->dropped_out += rtp;
        return;
    }
    if (!dest)
        return;
    if (!dest->up || (dest->loss && net_random(n) % 100 < dest->loss)) {
        dest->dropped_in += rtp;
        return;
    }
    roam_time at = n->env.now + from->delay_us + dest->delay_us;
    if (from->jitter_us)
        at += net_random(n) % from->jitter_us;
    if (dest->jitter_us)
        at += net_random(n) % dest->jitter_us;
    net_queue(n, at, dest->id, &from->addr, bytes);
    if (dest->mirror)
        net_queue(n, at, dest->mirror, &from->addr, bytes);
}

static inline void net_event(void *user, roam_stream *stream, const roam_stream_event *event)
{
    net_side *side = user;
    assert(!side->stream || side->stream == stream);
    if (side->nevents < NET_EVENTS)
        side->events[side->nevents++] = *event;
    if (event->type == STREAM_DTMF && side->ndigits < NET_EVENTS - 1)
        side->digits[side->ndigits++] = event->digit;
}

static inline void net_write(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed)
{
    net_side *side = container_of(sink, net_side, sink);
    assert(rate == 8000);
    for (size_t i = 0; i < n && side->nrecorded < NET_RECORD; i++) {
        side->recorded[side->nrecorded] = samples[i];
        side->made[side->nrecorded++] = concealed;
    }
}

/* Even ids are RTP sockets, the next odd one is for RTCP on the next port. */
static inline net_socket *net_socket_add(net *n, int side, uint32_t id, uint32_t delay_ms)
{
    assert(n->nsockets + 2 <= NET_SOCKETS);
    for (uint32_t i = 0; i < 2; i++) {
        net_socket *s = &n->sockets[n->nsockets++];
        *s = (net_socket){.id = id + i, .side = side, .up = true, .delay_us = delay_ms * 1000};
        s->addr = (roam_addr){.ip = {.family = 4, .bytes = {10, 0, (uint8_t)side, (uint8_t)(id / 2)}}, .port = (uint16_t)(4000 + i)};
    }
    return net_by_id(n, id);
}

static inline void net_init_with(net *n, uint64_t seed, const roam_allocator *allocator)
{
    memset(n, 0, sizeof *n);
    uint8_t bytes[32] = {0};
    memcpy(bytes, &seed, sizeof seed);
    env_init(&n->env, allocator, bytes, NULL, NULL);
    n->env.now = ROAM_SECONDS(1000);
    n->rng = seed * 77 + 1;
    for (int i = 0; i < 2; i++) {
        net_side *side = &n->sides[i];
        side->net = n;
        side->sink.write = net_write;
        side->recorded = calloc(NET_RECORD, sizeof *side->recorded);
        side->made = calloc(NET_RECORD, sizeof *side->made);
        if (!side->recorded || !side->made)
            abort();
    }
}

static const roam_stream_config net_config = {.cname = "someone@example.org", .ptime_ms = 20};

static inline roam_stream_format net_format(const roam_codec *codec)
{
    return (roam_stream_format){.codec = codec, .send_payload_type = (uint8_t)codec->static_type,
                                .receive_payload_type = (uint8_t)codec->static_type, .has_dtmf = true,
                                .send_dtmf_type = 101, .receive_dtmf_type = 101};
}

/* A stream on each side, sockets 2 and 4, connected, started. Returns a roam_err. */
static inline int net_connect(net *n, const roam_codec *codec, const roam_stream_config *config, uint32_t delay_ms)
{
    net_socket_add(n, 0, 2, delay_ms);
    net_socket_add(n, 1, 4, 0);
    for (int i = 0; i < 2; i++) {
        net_side *side = &n->sides[i];
        const roam_stream_host host = {net_send, net_event, side};
        const uint32_t socket = i ? 4 : 2;
        const roam_stream_format format = net_format(codec);
        side->stream = stream_new(&n->env, &host, config);
        if (!side->stream)
            return ROAM_ENOMEM;
        int err = stream_add_leg(side->stream, &(roam_leg){socket, socket + 1, true});
        if (!err)
            err = stream_set_format(side->stream, &format);
        if (err)
            return err;
        stream_set_remote(side->stream, &net_by_id(n, i ? 2 : 4)->addr, NULL);
        stream_set_sink(side->stream, &side->sink);
        err = stream_start(side->stream);
        if (err)
            return err;
    }
    return ROAM_OK;
}

static inline void net_init(net *n, uint64_t seed)
{
    net_init_with(n, seed, NULL);
}

static inline void net_run(net *n, roam_time duration)
{
    const roam_time until = n->env.now + duration;
    for (;;) {
        roam_time next = timers_deadline(&n->env.timers);
        if (n->queue && n->queue->at < next)
            next = n->queue->at;
        if (next > until)
            break;
        if (n->queue && n->queue->at <= next) {
            net_datagram *d = n->queue;
            n->queue = d->next;
            if (d->at > n->env.now)
                n->env.now = d->at;
            net_socket *socket = net_by_id(n, d->socket);
            roam_stream *stream = n->sides[socket->side].stream;
            if (stream)
                stream_receive(stream, d->socket, &d->from, span_make(d->bytes, d->len));
            d->next = n->spare;
            n->spare = d;
        } else {
            env_advance(&n->env, next);
        }
        if (n->every)
            n->every(n);
    }
    env_advance(&n->env, until);
}

static inline void net_free(net *n)
{
    for (int i = 0; i < 2; i++) {
        stream_free(n->sides[i].stream, true);
        free(n->sides[i].recorded);
        free(n->sides[i].made);
    }
    for (net_datagram *lists[] = {n->queue, n->spare}, **l = lists; l < lists + 2; l++)
        while (*l) {
            net_datagram *next = (*l)->next;
            free(*l);
            *l = next;
        }
    env_free(&n->env);
}

/* The amplitude of one frequency (Goertzel): a sine of amplitude A gives A. */
static inline double amplitude_of(const int16_t *samples, size_t n, double hz)
{
    const double w = 6.283185307179586 * hz / 8000;
    double s1 = 0, s2 = 0;
    for (size_t i = 0; i < n; i++) {
        double s0 = samples[i] + 2 * cos(w) * s1 - s2;
        s2 = s1;
        s1 = s0;
    }
    double power = s1 * s1 + s2 * s2 - 2 * cos(w) * s1 * s2;
    return 2 * sqrt(power > 0 ? power : 0) / (double)n;
}

static inline int biggest_step(const int16_t *samples, size_t n)
{
    int biggest = 0;
    for (size_t i = 1; i < n; i++) {
        int step = abs(samples[i] - samples[i - 1]);
        biggest = step > biggest ? step : biggest;
    }
    return biggest;
}

static inline size_t count_made(const net_side *side, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; i < to && i < side->nrecorded; i++)
        n += side->made[i];
    return n;
}

static inline size_t count_events(const net_side *side, roam_stream_event_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < side->nevents; i++)
        n += side->events[i].type == type;
    return n;
}

#endif

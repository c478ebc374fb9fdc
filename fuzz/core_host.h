/* The host of the fuzzed core: carries out what it asks for, looks at each output and trace record, and remembers what it sent. */
#ifndef ROAM_FUZZ_CORE_HOST_H
#define ROAM_FUZZ_CORE_HOST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "roam/core.h"
#include "wire/message.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define MAX_OPEN 256u
#define MAX_KEPT 8u
#define MAX_CALLS_SEEN 512u

typedef struct host {
    const uint8_t *data;
    size_t left;
    roam_ua *ua;
    roam_time now;
    size_t live, refuse_memory;
    unsigned refuse_sockets;
    struct {
        uint32_t id;
        bool sip;
        roam_addr local;
    } open[MAX_OPEN];
    size_t nopen;
    uint16_t next_port;
    uint32_t queries[4];
    size_t nqueries;
    struct { /* what it sent last */
        char text[4096];
        size_t len;
        uint32_t socket;
        roam_addr to;
    } kept[MAX_KEPT];
    size_t nkept;
    roam_net_addr addrs[4];
    size_t naddrs;
    roam_call_id calls[MAX_CALLS_SEEN];
    bool ended[MAX_CALLS_SEEN];
    size_t ncalls;
    roam_account_id account;
    unsigned counter;
    uint8_t choice;
    char scratch[16384];
} host;

static uint8_t take(host *h)
{
    if (!h->left)
        return 0;
    h->left--;
    return *h->data++;
}

static void *counted(void *user, void *ptr, size_t size)
{
    host *h = user;
    if (size == 0) {
        h->live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    if (h->refuse_memory) {
        h->refuse_memory--;
        return NULL;
    }
    void *fresh = realloc(ptr, size);
    h->live += fresh && !ptr;
    return fresh;
}

#define PASSWORD "open-sesame-4711"

static void on_trace(void *user, const roam_trace_record *r)
{
    const host *h = user;
    CHECK(r->object && r->from && r->to && r->why && r->time <= h->now);
    bool from_outside = r->type == ROAM_TRACE_RECEIVED || r->type == ROAM_TRACE_DROPPED || strncmp(r->object, "receive", 7) == 0; /* may say anything */
    for (size_t i = 0; !from_outside && i + sizeof PASSWORD - 1 <= r->bytes.len; i++)
        CHECK(memcmp(r->bytes.ptr + i, PASSWORD, sizeof PASSWORD - 1) != 0);
    CHECK(!strstr(r->why, PASSWORD));
}

static roam_path_choice on_choice(void *user, const roam_path_offer *offer)
{
    host *h = user;
    CHECK(offer->from.ip.family && offer->to.ip.family);
    return (roam_path_choice)(h->choice++ % 3);
}

static roam_ip ip_of(const char *text)
{
    roam_ip ip;
    CHECK(roam_ip_parse(span_of(text), &ip) == 0);
    return ip;
}

static const char *const remotes[] = {"192.0.2.1:5060", "203.0.113.50:5060", "203.0.113.50:7000", "[2001:db8::50]:5060"};

static roam_addr remote(host *h)
{
    roam_addr addr;
    CHECK(roam_addr_parse(span_of(remotes[take(h) % 4]), &addr) == 0);
    return addr;
}

/* ---- outputs ---- */

static size_t find_open(const host *h, uint32_t id)
{
    size_t i = 0;
    while (i < h->nopen && h->open[i].id != id)
        i++;
    return i;
}

static bool has_addr(const host *h, const roam_ip *ip)
{
    for (size_t i = 0; i < h->naddrs; i++)
        if (roam_ip_equal(&h->addrs[i].ip, ip))
            return true;
    return false;
}

static void on_open(host *h, const roam_output *out)
{
    roam_addr local = out->local;
    CHECK(out->socket != 0 && find_open(h, out->socket) == h->nopen && local.ip.family);
    int err = h->refuse_sockets ? (h->refuse_sockets & 1 ? ROAM_EBUSY : ROAM_EIO) : has_addr(h, &local.ip) && h->nopen < MAX_OPEN ? 0 : ROAM_EIO;
    h->refuse_sockets -= h->refuse_sockets != 0;
    if (!err) {
        if (!local.port)
            local.port = h->next_port += 2;
        h->open[h->nopen].id = out->socket;
        h->open[h->nopen].sip = out->purpose == ROAM_SOCKET_SIP;
        h->open[h->nopen++].local = local;
    }
    roam_ua_socket_opened(h->ua, h->now, out->socket, err, &local);
}

static void on_event(host *h, const roam_event *e)
{
    CHECK(roam_event_type_text(e->type)[0] && memchr(e->reason, '\0', sizeof e->reason));
    if (!e->call || e->type != ROAM_EVENT_CALL_STATE)
        return;
    for (size_t i = 0; i < h->ncalls; i++)
        if (h->calls[i] == e->call) {
            CHECK(!h->ended[i]); /* nothing comes after the end */
            h->ended[i] = e->call_state == ROAM_CALL_ENDED;
            return;
        }
    if (h->ncalls < MAX_CALLS_SEEN) {
        h->calls[h->ncalls] = e->call;
        h->ended[h->ncalls++] = e->call_state == ROAM_CALL_ENDED;
    }
}

static void drain(host *h)
{
    roam_output out;
    for (size_t n = 0; roam_ua_poll(h->ua, &out); n++) {
        CHECK(n < 50000);
        size_t i;
        roam_net_route route;
        switch (out.type) {
        case ROAM_OUTPUT_SEND:
            i = find_open(h, out.socket);
            CHECK(i < h->nopen && out.remote.ip.family && out.bytes.len <= 65535);
            if (h->open[i].sip && out.bytes.len < sizeof h->kept[0].text) {
                size_t k = h->nkept++ % MAX_KEPT;
                memcpy(h->kept[k].text, out.bytes.ptr, out.bytes.len);
                h->kept[k].len = out.bytes.len;
                h->kept[k].socket = out.socket;
                h->kept[k].to = out.remote;
            }
            break;
        case ROAM_OUTPUT_SOCKET_OPEN:
            on_open(h, &out);
            break;
        case ROAM_OUTPUT_SOCKET_CLOSE:
            i = find_open(h, out.socket);
            if (i < h->nopen)
                h->open[i] = h->open[--h->nopen];
            break;
        case ROAM_OUTPUT_ROUTE_WATCH:
            route = (roam_net_route){.destination = out.remote.ip};
            for (i = 0; i < h->naddrs && !route.source.family; i++)
                if (h->addrs[i].ip.family == out.remote.ip.family) {
                    route.source = h->addrs[i].ip;
                    route.link = h->addrs[i].link;
                }
            roam_ua_route(h->ua, h->now, &route);
            break;
        case ROAM_OUTPUT_ROUTE_UNWATCH:
            break;
        case ROAM_OUTPUT_RESOLVE:
            h->queries[h->nqueries++ % 4] = out.query;
            break;
        case ROAM_OUTPUT_EVENT:
            on_event(h, &out.event);
            break;
        }
    }
}

/* Time stands still: whatever is due now is done in a bounded number of turns. */
static void settle(host *h)
{
    drain(h);
    for (unsigned n = 0; roam_ua_deadline(h->ua) <= h->now; n++) {
        CHECK(n < 2000);
        roam_ua_advance(h->ua, h->now);
        drain(h);
    }
}

#endif

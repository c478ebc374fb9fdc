/* A stateful, record-routing, forking proxy (RFC 3261 16) for the users of a registrar. */
#ifndef ROAM_TESTBED_PROXY_H
#define ROAM_TESTBED_PROXY_H

#include "testbed/registrar.h"

typedef enum roam_proxy_auth {
    PROXY_AUTH_ALL,     /* every request of a local user but ACK and CANCEL */
    PROXY_AUTH_INITIAL, /* only what is outside of a dialog */
    PROXY_AUTH_NONE
} roam_proxy_auth;

typedef struct roam_proxy_config {
    roam_proxy_auth auth;
    bool no_record_route;
    bool nat_help;     /* what goes to a registered Contact goes to the source of its REGISTER instead */
    bool edge_refuses; /* 403 for what a local user sends from where nobody registered */
    bool sends_199;    /* when one of several phones refuses (RFC 6228 6), to callers that support it */
    roam_time timer_c; /* 0: 181 s; RFC 3261 16.6 wants more than three minutes */
} roam_proxy_config;

typedef struct roam_proxy_counters {
    uint64_t requests, forwarded, responses, refused, challenged, acks, acks_dropped, cancels, loops;
} roam_proxy_counters;

typedef struct roam_proxy {
    roam_site *site;
    roam_sip *sip;
    roam_registrar *registrar;
    roam_auth *auth;
    roam_proxy_config config;
    roam_list contexts; /* response contexts: one for each request under way */
    roam_map branches;  /* what we sent, by Via branch: for loops */
    roam_proxy_counters counters;
} roam_proxy;

int proxy_init(roam_proxy *proxy, roam_site *site, roam_registrar *registrar, roam_auth *auth,
               const roam_proxy_config *config);
void proxy_free(roam_proxy *proxy); /* before sip_free */

/* Any request but ACK, CANCEL and a REGISTER for us. */
void proxy_request(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request);
/* The ACK of a 2xx. */
void proxy_ack(roam_proxy *proxy, roam_flow *flow, const roam_message *ack);

#endif

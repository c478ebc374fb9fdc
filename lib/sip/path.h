/* Paths and flows: the only owners of local addresses.
 *
 * A path is a local address on a link with a socket bound to it. A flow is a path used toward one remote. Dialogs and
 * transactions refer to flows; nothing else in lib/ knows where the device is. */
#ifndef ROAM_SIP_PATH_H
#define ROAM_SIP_PATH_H

#include "base/env.h"

typedef enum roam_transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_WS, TRANSPORT_WSS } roam_transport;
const char *transport_text(roam_transport transport); /* "UDP", as Via writes it */

typedef enum roam_path_state {
    PATH_OPENING, /* the edge was asked for the socket; requests wait */
    PATH_UP,
    PATH_GONE,    /* the address left the device: nothing is sent from here again */
    PATH_FAILED   /* the OS refused the socket for good */
} roam_path_state;
const char *path_state_text(roam_path_state state);

typedef struct roam_path {
    roam_list node;      /* in its owner's list */
    uint32_t id;         /* for the trace */
    uint32_t socket;     /* the edge's handle: what SEND outputs name */
    uint32_t link;       /* the interface's index as the edge numbers it; 0 unknown */
    roam_addr local;     /* port 0 until the socket is open */
    roam_transport transport;
    roam_path_state state;
    unsigned refs;       /* flows that use it; its owner frees it when gone and unused */
} roam_path;

/* The one function that sets the state; traces it. */
void path_set_state(roam_env *env, roam_path *path, roam_path_state state, const char *why);

typedef struct roam_flow {
    roam_map_node node; /* in roam_sip.flows, by (path, remote, transport) */
    roam_path *path;
    roam_addr remote;
    unsigned refs;
    struct roam_sip *sip;
    struct roam_watch *watch; /* of the layer above: who looks whether anybody answers here; NULL: nobody */
    char key[32];
} roam_flow;

/* The flow of a path toward a remote, made when needed. The caller gets a reference; NULL when memory is refused. */
roam_flow *flow_get(struct roam_sip *sip, roam_path *path, const roam_addr *remote);
roam_flow *flow_ref(roam_flow *flow); /* NULL is fine */
void flow_unref(roam_flow *flow);     /* NULL is fine */
static inline bool flow_usable(const roam_flow *flow)
{
    return flow && flow->path->state == PATH_UP;
}

#endif

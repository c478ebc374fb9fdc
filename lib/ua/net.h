/* The device's networks as the core sees them: the picture, the destinations in use, the paths that have a socket.
 *
 * Everything that sends asks net_route() which path leads to a destination *now*. The answer changes with the picture; who compares it with what
 * it uses knows whether it has to move. Nothing here decides what a move is. */
#ifndef ROAM_UA_NET_H
#define ROAM_UA_NET_H

#include "roam/core.h"
#include "sip/path.h"
#include "ua/work.h"

typedef struct roam_net_hop {
    roam_ip ip; /* family 0: none */
    uint32_t link;
} roam_net_hop;

typedef struct roam_net_dest {
    roam_map_node node; /* in roam_net.dests, by address */
    roam_ip ip;
    unsigned refs;
    bool answered;   /* the host told a route (which may be "none") */
    roam_ip source;  /* the host's answer; family 0: unreachable */
    uint32_t link;
    roam_net_hop used;   /* what choose_route said last */
    roam_net_hop detour; /* the way around a path that is dead; watch.c sets it */
    unsigned watches;    /* of `refs`: those of watch.c, which do not keep it alive for themselves */
    bool answers;        /* it has answered OPTIONS: its silence means something */
    unsigned mute;       /* probes that proved nothing, because it never has */
} roam_net_dest;

/* A SIP path and what the core needs around it. */
typedef struct roam_net_path {
    roam_path path;
    roam_ua *ua;
    roam_timer retry;   /* a refused socket is asked for again */
    roam_timer idle;    /* nobody uses it any more */
    unsigned attempts;  /* refused in a row, since it was last asked for anew */
    unsigned failures;  /* times it was given up; it is asked for again all the same, ever later */
    uint64_t network;   /* roam_net_addr.network; 0: unknown */
    bool restarting;    /* roam_handle_ip_change asked for this opening: progress is told */
} roam_net_path;

typedef struct roam_net {
    roam_net_addr *addrs;
    size_t naddrs, addrs_cap;
    bool have_picture;
    roam_map dests;
    roam_list paths;       /* roam_net_path.path.node */
    roam_list graveyard;   /* paths gone, kept while a flow still refers to them */
    uint32_t next_path, next_socket;
    uint16_t sip_port;     /* configured, or the one the OS gave first */
    uint32_t restart_delay_ms;
    unsigned listeners;    /* accounts that can be called without a registration: every address is listened on */
} roam_net;

int net_init(roam_ua *ua);
void net_free(roam_ua *ua);

/* A destination stays watched as long as somebody holds it. NULL: no memory. */
roam_net_dest *net_dest_get(roam_ua *ua, const roam_ip *ip);
void net_dest_put(roam_ua *ua, roam_net_dest *dest); /* NULL is fine */

/* The source toward `dest` now, over `link` only when that is not 0. False: unreachable. */
bool net_route(const roam_ua *ua, const roam_net_dest *dest, uint32_t link, roam_ip *source, uint32_t *source_link);
/* Is this local address still (or again) on the device? */
bool net_alive(const roam_ua *ua, const roam_ip *ip);
/* Its entry in the picture, on that link where it is not 0; NULL: not there. */
const roam_net_addr *net_addr(const roam_ua *ua, const roam_ip *ip, uint32_t link);
/* Is the host just being asked which source leads to this destination, and does this flow, used so far toward another one, do meanwhile? */
bool net_route_awaited(const roam_ua *ua, const roam_net_dest *dest, const roam_flow *flow);
/* Is it still the same address on the same link of the same network? Unknown (0) is the same. */
bool net_stands(const roam_ua *ua, const roam_ip *ip, uint32_t link, uint64_t network);
/* The identity of the network an address is on; 0: unknown. */
uint64_t net_identity(const roam_ua *ua, const roam_ip *ip, uint32_t link);
/* May this address be used toward `dest`, for something new? */
bool net_usable(const roam_ua *ua, const roam_net_addr *addr, const roam_ip *dest);

/* The SIP path of a local address: found, or asked for from the host (then PATH_OPENING). NULL: no memory. */
roam_path *net_path(roam_ua *ua, const roam_ip *source, uint32_t link);
roam_path *net_path_by_socket(roam_ua *ua, uint32_t socket);
uint32_t net_new_socket(roam_ua *ua);
/* A path on each address of the device, for as long as net.listeners > 0. */
void net_listen(roam_ua *ua);
/* Opens the sockets of all paths anew, on the same port (P2). */
void net_restart_listeners(roam_ua *ua);

/* True when the socket was one of ours. */
bool net_socket_opened(roam_ua *ua, uint32_t socket, int err, const roam_addr *local);
/* Takes the picture. Paths whose address went are gone afterwards, their sockets closed. A roam_net_news; ROAM_ENOMEM: not taken. */
int net_take_picture(roam_ua *ua, const roam_network *network);
typedef enum roam_net_news {
    NET_NOTHING,
    NET_FIRST,  /* an answer that was waited for: no change of the network */
    NET_CHANGED
} roam_net_news;
/* One route answer. */
roam_net_news net_take_route(roam_ua *ua, const roam_net_route *route);
/* Frees paths that are gone and that no flow uses. */
void net_bury(roam_ua *ua);

#endif

/* The way to the next hop of something that is neither a registration nor a call: the address of a URI's host, the path that leads to it now, the flow. Who holds one asks again after
 * everything that may matter, and is told when the path it had is no longer the one. */
#ifndef ROAM_UA_HOP_H
#define ROAM_UA_HOP_H

#include "ua/ua.h"

typedef enum roam_hop_state {
    HOP_WAIT,      /* a name, a route or a socket is being asked for */
    HOP_OFFLINE,   /* no path leads there */
    HOP_UNKNOWN,   /* the host has no address */
    HOP_REFUSED,   /* the system refuses a socket on the path */
    HOP_NO_MEMORY,
    HOP_UP         /* `flow` is usable */
} roam_hop_state;

typedef struct roam_hop {
    roam_addr remote;
    uint64_t name; /* hash of the host and port that `remote` was found for; 0: none yet */
    roam_net_dest *dest;
    roam_flow *flow;
} roam_hop; /* zeroed before the first use */

typedef struct roam_hop_news {
    bool left;        /* the path that was in use is gone, or another one leads there now: `flow` was given up */
    bool alive;       /* and it still works */
    const char *dead; /* there, but silent: why (watch.h); NULL: not so */
    roam_addr source; /* the new one; family 0: none */
} roam_hop_news;

/* `link`: 0, or the only one that may be used. */
roam_hop_state hop_keep(roam_ua *ua, roam_hop *hop, uint32_t link, const roam_uri *uri, roam_hop_news *news);
void hop_free(roam_ua *ua, roam_hop *hop);

#endif

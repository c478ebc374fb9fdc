/* Questions to the Linux kernel about links, addresses and routes (NETLINK_ROUTE). Every call asks and has the answer
 * when it returns: the kernel answers from memory, nothing is waited for. */
#ifndef ROAM_EDGE_NETLINK_H
#define ROAM_EDGE_NETLINK_H

#include "roam/network.h"

typedef struct roam_netlink roam_netlink;

typedef struct roam_netlink_link {
    uint32_t index;
    bool up; /* switched on and with carrier */
    bool loopback;
    bool point_to_point;
    uint32_t metric4, metric6; /* of its default routes; UINT32_MAX: none */
    roam_ip gateway4, gateway6; /* of the best of them; family 0: none, or several */
    uint64_t network4, network6; /* which network it is: a hash of the gateway's address and MAC; 0: the kernel has not seen it yet */
} roam_netlink_link;

/* What the kernel has. Reused from one dump to the next; zero it first, netlink_state_free() at the end. */
typedef struct roam_netlink_state {
    roam_netlink_link *links;
    size_t nlinks, links_cap;
    roam_net_addr *addrs; /* of links that are up; without 127.0.0.0/8 and ::1 */
    size_t naddrs, addrs_cap;
} roam_netlink_state;

typedef struct roam_netlink_query {
    roam_ip destination;
    uint32_t through; /* only through this link; 0: any */
    bool reachable;   /* the answer: the kernel has a route, and it leads out or to this device */
    bool via_gateway;
    roam_ip source; /* family 0: the kernel names none */
    uint32_t link;
} roam_netlink_query;

/* Default routes outside of the main table count, after all of those in it. */
#define NETLINK_METRIC_OTHER_TABLE UINT32_C(0x80000000)

int netlink_open(roam_netlink **out); /* ROAM_EIO, ROAM_ENOMEM */
void netlink_close(roam_netlink *nl);
/* ROAM_EBUSY: the kernel's tables changed under every attempt; what is in `state` is usable and may be mixed. */
int netlink_dump(roam_netlink *nl, roam_netlink_state *state);
/* Answers all `n` queries. On an error those not answered are unreachable. */
int netlink_routes(roam_netlink *nl, roam_netlink_query *queries, size_t n);
void netlink_state_free(roam_netlink_state *state);
const roam_netlink_link *netlink_find_link(const roam_netlink_state *state, uint32_t index); /* NULL: no such link */

/* A non-blocking socket on which every event that may change a picture arrives; negative: a roam_err. */
int netlink_subscribe(void);
/* Reads all that is queued (at most a fair number); true when there was any that may change `state`, or some were lost (ENOBUFS).
 * Of neighbours only another MAC of a gateway counts. */
bool netlink_drain(int fd, const roam_netlink_state *state);

#endif

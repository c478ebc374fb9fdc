/* Address translation on tuples (RFC 4787 for UDP; other protocols are told apart by their number): what a packet's
 * addresses become, or that it is dropped. The packets themselves are the caller's. */
#ifndef ROAM_TESTBED_NAT_H
#define ROAM_TESTBED_NAT_H

#include "base/map.h"
#include "base/random.h"

#define NAT_MAX_MAPPINGS 16384u
#define NAT_MAX_REMOTES 64u /* destinations remembered for the filter of one mapping; the oldest is forgotten */

/* For mapping (RFC 4787 4.1) and filtering (5). */
typedef enum roam_nat_behaviour {
    NAT_ENDPOINT_INDEPENDENT,
    NAT_ADDRESS_DEPENDENT,
    NAT_ADDRESS_AND_PORT_DEPENDENT
} roam_nat_behaviour;

typedef struct roam_nat_config {
    roam_ip external; /* the one outside address */
    roam_nat_behaviour mapping;
    roam_nat_behaviour filtering;
    roam_time timeout;           /* 0: 300 s, as RFC 4787 REQ-5 recommends */
    bool inbound_refreshes;      /* RFC 4787 6: packets from outside keep a mapping, too */
    bool preserve_port;          /* the inside port where it is free outside */
    bool hairpin;                /* RFC 4787 6, REQ-9: inside to inside by outside addresses */
    uint16_t port_min, port_max; /* 0: 1024 to 65535 */
    size_t max_mappings;         /* 0: NAT_MAX_MAPPINGS, which it may not exceed */
} roam_nat_config;

typedef enum roam_nat_verdict {
    NAT_PASS,       /* to the other side, addresses replaced */
    NAT_HAIRPIN,    /* back to the inside, addresses replaced */
    NAT_NO_MAPPING, /* dropped: nobody inside has that outside port */
    NAT_FILTERED,   /* dropped: the mapping does not let this sender in */
    NAT_FULL,       /* dropped: no port, table or memory */
    NAT_NOT_OURS    /* dropped: not for the outside address, or of another family */
} roam_nat_verdict;
const char *nat_verdict_text(roam_nat_verdict verdict);

typedef struct roam_nat_counters {
    uint64_t out, in, hairpinned, created, expired, no_mapping, filtered, full, not_ours;
} roam_nat_counters;

typedef struct roam_nat {
    roam_mem *mem;
    roam_random random;
    roam_nat_config config;
    roam_map inside;  /* mappings by protocol, inside address and, as the behaviour says, destination */
    roam_map outside; /* mappings by protocol and outside port */
    roam_list order;  /* the least recently used first: it expires first */
    roam_nat_counters counters;
} roam_nat;

/* ROAM_EINVAL for a configuration that makes no sense. */
int nat_init(roam_nat *nat, roam_mem *mem, const uint8_t seed[32], const roam_nat_config *config);
void nat_free(roam_nat *nat);

/* A packet from the inside. On NAT_PASS `source` becomes the outside address; on NAT_HAIRPIN `destination` becomes an
 * inside one, too. */
roam_nat_verdict nat_outbound(roam_nat *nat, roam_time now, uint8_t protocol, roam_addr *source,
                              roam_addr *destination);
/* A packet from the outside. On NAT_PASS `destination` becomes the inside address. */
roam_nat_verdict nat_inbound(roam_nat *nat, roam_time now, uint8_t protocol, const roam_addr *source,
                             roam_addr *destination);

/* Every mapping gets another outside port, and lets nobody in until its inside sent again. What came to the old port is
 * dropped. `external` (may be NULL): the outside address becomes this one; then the ports stay. */
void nat_rebind(roam_nat *nat, const roam_ip *external);
void nat_flush(roam_nat *nat); /* a router that lost its memory */
static inline size_t nat_mappings(const roam_nat *nat)
{
    return nat->outside.count;
}

#endif

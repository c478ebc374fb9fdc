/* Who may send to us. Plain RTP has no proof of origin, so a packet is judged by its address, its SSRC, its sequence, and by
 * whether the source that we listen to is still there.
 *
 *   the present source                                    accepted
 *   same SSRC, sequence goes on, another address:
 *     the signalled address, or the present one fell silent for 3 packet times, or within 2 s after the signalled
 *     address changed                                     accepted, becomes the present source
 *     the address before the last change, for 2 s         accepted, changes nothing (both paths still deliver)
 *     else                                                refused until one of these holds
 *   same SSRC, sequence elsewhere                         probation, and the present one silent for 3 packet times
 *   another SSRC, from the signalled or present address   probation, and the present source elsewhere, gone by BYE or silent (3 packet times)
 *   another SSRC from elsewhere                           probation, and silent for 2 s (within the window: 3 packet times)
 *   nothing heard yet: the signalled address              accepted; any other: probation (a peer behind a NAT)
 *
 * Probation is MIN_SEQUENTIAL packets in sequence (RFC 3550, A.1). */
#ifndef ROAM_MEDIA_SOURCE_H
#define ROAM_MEDIA_SOURCE_H

#include "base/span.h"

#define SOURCE_WINDOW ROAM_SECONDS(2)   /* after a signalled change; also how long the address before may still deliver */
#define SOURCE_STRANGER ROAM_SECONDS(2) /* silence after which an unknown SSRC from an unknown address is believed */
#define SOURCE_SILENT_PACKETS 3u
#define SOURCE_CANDIDATES 4u            /* on probation at once; the first place is kept for the signalled address */

typedef enum roam_source_verdict {
    SOURCE_REFUSED,
    SOURCE_ACCEPTED,
    SOURCE_MOVED, /* accepted, from a new address: the same source on another path */
    SOURCE_NEW    /* accepted, another source: what was known about the old one is void */
} roam_source_verdict;

typedef struct roam_source_candidate {
    roam_addr addr;
    uint32_t ssrc;
    uint16_t next; /* sequence expected */
    unsigned run;  /* packets in sequence; 0: free */
    roam_time last;
} roam_source_candidate;

typedef struct roam_source {
    roam_time packet_time; /* of the peer */
    roam_addr signalled;   /* family 0: none */
    roam_time window_until;
    bool known;            /* a source was accepted */
    bool ended;            /* it said BYE */
    roam_addr addr;
    uint32_t ssrc;
    roam_time last;
    roam_addr previous;    /* the address before, until previous_until */
    roam_time previous_until;
    roam_source_candidate candidates[SOURCE_CANDIDATES];
} roam_source;

void source_init(roam_source *s, roam_time packet_time);
void source_signalled(roam_source *s, const roam_addr *addr, roam_time now);
/* `max_sequence`: the highest accepted of the present source. */
roam_source_verdict source_check(roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc, uint16_t sequence,
                                 uint16_t max_sequence);
/* RTCP: is it from a host that we listen to, or from the SSRC that we listen to while that one is moving? */
bool source_check_rtcp(const roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc);
void source_ended(roam_source *s, uint32_t ssrc); /* by BYE */

#endif

/* Media that the negotiation says should flow, and does not. A relay that believes the first source it sees after the signalling may have seen a packet of the leg before, that was still on its
 * way: it refuses the new leg from then on, and sends to the old one, be it alive or not. Nothing in the signalling tells. So after each change of leg, or of the path behind it, the stream is looked at some times:
 *
 *  - packets come on another leg than the one that the peer was told;
 *  - none come at all, although they did before the change, and the path answers;
 *  - the peer's receiver reports (RFC 3550 6.4.1) know nothing of what the new leg has sent.
 *
 * Then another leg is opened, on the same path with another port, and told by a re-INVITE: other SDP makes such a relay learn anew. Before it nothing is sent for a
 * moment, which nobody misses: what is on its way has arrived when the re-INVITE does, and the new leg's packet is the first behind it. A few times per change: a peer that stays silent has perhaps nothing to say. */
#ifndef ROAM_UA_MEND_H
#define ROAM_UA_MEND_H

#include "base/env.h"

struct roam_call;

typedef enum roam_mend_state {
    MEND_LOOKING,
    MEND_QUIET,    /* nothing is sent, so that nothing is on its way */
    MEND_UNDER_WAY /* a leg in place of `leg` is wanted, and the peer does not know it yet */
} roam_mend_state;

typedef struct roam_mend {
    roam_mend_state state;
    roam_timer timer;
    roam_time since;    /* the peer knows `leg` since then */
    uint32_t leg;       /* its rtp_socket; 0: none yet */
    uint16_t first;     /* sequence of the first packet that it alone sends */
    unsigned looks;     /* since then */
    unsigned mended;    /* in a row, for one change */
} roam_mend;

void mend_init(struct roam_call *call);
/* The peer knows this leg now, and it sends. */
void mend_told(struct roam_call *call, uint32_t rtp_socket);
/* The path changed behind its address: the same leg, and nobody knows whether its packets still arrive. */
void mend_doubt(struct roam_call *call);
void mend_stop(struct roam_call *call);

#endif

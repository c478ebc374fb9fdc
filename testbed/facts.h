/* What somebody outside may know of a call at a peer, so that both ends can be compared. Copies: valid for good. */
#ifndef ROAM_TESTBED_FACTS_H
#define ROAM_TESTBED_FACTS_H

#include "testbed/peer.h"

typedef struct roam_leg_facts {
    roam_leg_state state;
    /* the dialog (RFC 3261 12): Call-ID, tags, CSeq and target as this end has them */
    char call_id[128], local_tag[64], remote_tag[64], remote_target[256]; /* "" unknown; cut when longer */
    uint32_t local_cseq, remote_cseq;
    bool caller;
    /* what is open: a checker that wants both ends to agree waits until nothing is */
    bool change_pending; /* a re-INVITE, UPDATE or PRACK of ours, or one of theirs not answered yet */
    bool ack_pending;    /* our 2xx waits */
    bool offer_pending;
    bool moving; /* its address changed and the other side has not accepted it yet */
    /* offer and answer */
    bool local_hold, remote_hold;
    roam_direction direction; /* ours */
    uint32_t sdp_version;
    /* RTP */
    roam_addr rtp_local, rtp_signalled, rtp_to; /* ours; theirs by SDP; where packets go now. Family 0: none */
    uint64_t rtp_sent, rtp_received, rtp_refused;
    uint16_t sequence_sent, sequence_received; /* the last ones */
    uint32_t ssrc_sent;
    roam_time last_received; /* 0: never */
    roam_rtp_source sources[AUDIO_MAX_SOURCES];
    size_t nsources;
    /* the end */
    bool ended_here;     /* a command or a habit of this end did it; else the other end, or a failure */
    unsigned last_status;
    const char *end_why; /* static */
} roam_leg_facts;

/* False: there is no such call (any more). */
bool peer_facts(const roam_peer *peer, uint32_t call, roam_leg_facts *out);
/* The ids of the calls that are not ended, oldest first. Returns how many there are, and writes at most `max`. */
size_t peer_calls(const roam_peer *peer, uint32_t *ids, size_t max);
/* The call with this Call-ID that is not ended; 0: none. */
uint32_t peer_find_call(const roam_peer *peer, roam_span call_id);

#endif

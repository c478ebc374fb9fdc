/* Offer and answer (RFC 3264) of a far end that speaks PCMU on one audio stream and refuses every other. */
#ifndef ROAM_TESTBED_NEGOTIATE_H
#define ROAM_TESTBED_NEGOTIATE_H

#include "wire/sdp.h"

typedef struct roam_negotiated {
    roam_addr remote;         /* of RTP; port 0: the stream was refused */
    roam_direction direction; /* theirs */
    size_t index;             /* the m= line */
} roam_negotiated;

/* What the other side's description says. 0; 400: no SDP; 488: no PCMU audio in it; 500: no memory. */
unsigned negotiate_read(roam_mem *mem, roam_span sdp, roam_negotiated *out);

typedef struct roam_description {
    uint64_t id;
    uint32_t version;
    roam_addr local;
    roam_direction direction;
} roam_description;
/* An offer, or (`offer` not empty: it was read before) the answer to it, line for line. */
int negotiate_write(roam_mem *mem, roam_writer *w, const roam_description *ours, roam_span offer, size_t index);

#endif

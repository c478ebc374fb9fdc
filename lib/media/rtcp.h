/* RTCP (RFC 3550, 6): compound packets to and from bytes, and the interval between them. */
#ifndef ROAM_MEDIA_RTCP_H
#define ROAM_MEDIA_RTCP_H

#include "base/random.h"
#include "base/writer.h"

#define RTCP_MAX_PACKET 512u /* what we write: SR, one block, CNAME of 255 octets, BYE */

enum { RTCP_SR = 200, RTCP_RR = 201, RTCP_SDES = 202, RTCP_BYE = 203, RTCP_APP = 204 };

/* A reception report block (6.4.1). */
typedef struct roam_rtcp_block {
    uint32_t ssrc;
    uint8_t fraction_lost; /* of 256 */
    int32_t lost;          /* cumulative, 24 bits with sign */
    uint32_t extended_sequence;
    uint32_t jitter;       /* in units of the RTP clock */
    uint32_t last_sr;      /* the middle 32 bits of the NTP time of the last SR; 0: none came */
    uint32_t delay;        /* since it came, 1/65536 s */
} roam_rtcp_block;

typedef struct roam_rtcp_sender_info {
    uint64_t ntp;
    uint32_t timestamp, packets, octets;
} roam_rtcp_sender_info;

/* What a compound packet of ours says. */
typedef struct roam_rtcp_report {
    uint32_t ssrc;
    const roam_rtcp_sender_info *sender; /* NULL: an RR */
    const roam_rtcp_block *block;        /* NULL: none */
    roam_span cname;
    bool bye;
} roam_rtcp_report;

void write_rtcp(roam_writer *w, const roam_rtcp_report *report);

/* One packet of a compound. */
typedef struct roam_rtcp {
    uint8_t type;
    uint8_t count;  /* blocks, chunks or sources */
    uint32_t ssrc;  /* of the sender; of the first source in a BYE; 0 where there is none */
    roam_span body; /* after the first word, padding removed */
} roam_rtcp;

/* A whole compound by the checks of A.2: versions, lengths that add up, first an SR or RR without padding. */
bool rtcp_valid(roam_span compound);
/* The next packet of a valid compound; false at the end. Start with *rest = compound. */
bool rtcp_next(roam_span *rest, roam_rtcp *out);
bool rtcp_sender_info(const roam_rtcp *packet, roam_rtcp_sender_info *out);     /* of an SR */
bool rtcp_block(const roam_rtcp *packet, unsigned n, roam_rtcp_block *out);     /* the n-th block of an SR or RR */
bool rtcp_bye_names(const roam_rtcp *packet, uint32_t ssrc);                    /* is it among the sources of this BYE? */

/* NTP time from the time of the environment, which counts from anywhere: 6.4.1 allows elapsed time where there is no wall clock. Differences are right,
 * so round trips are; lip synchronisation with another stream of the same agent works too. */
uint64_t rtcp_ntp(roam_time now);
static inline uint32_t rtcp_ntp_middle(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}

/* The members of a session and their share of the bandwidth (6.2, 6.3, A.7). */
typedef struct roam_rtcp_interval {
    roam_time minimum;         /* 5 s, or the reduced minimum */
    uint32_t bandwidth;        /* octets a second for RTCP of all members */
    uint32_t members, senders; /* ourselves included */
    uint32_t average_size;     /* octets of a compound with UDP and IP headers */
    bool we_sent;
    bool initial;              /* nothing sent yet: half the minimum */
} roam_rtcp_interval;

roam_time rtcp_interval_deterministic(const roam_rtcp_interval *in);              /* Td */
roam_time rtcp_interval(const roam_rtcp_interval *in, roam_random *random); /* T: Td times 0.5 .. 1.5, divided by e - 3/2 */

#endif

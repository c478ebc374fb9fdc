/* RTP packets (RFC 3550, 5.1): bytes <-> a structure, and telling RTP from RTCP on one port. */
#ifndef ROAM_MEDIA_RTP_H
#define ROAM_MEDIA_RTP_H

#include "base/span.h"

#define RTP_HEADER 12u        /* without CSRC and extension: what we send */
#define RTP_MAX_PACKET 1500u  /* larger ones are refused: no codec of ours makes them */

typedef struct roam_rtp {
    bool marker;
    uint8_t payload_type;
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    roam_span payload; /* without CSRC, extension and padding */
} roam_rtp;

/* ROAM_ESYNTAX when it is no RTP packet. The payload points into `bytes`. */
int rtp_parse(roam_rtp *rtp, roam_span bytes);
/* The fixed header; the payload is not touched. */
void rtp_write_header(const roam_rtp *rtp, uint8_t out[RTP_HEADER]);
/* RTP and RTCP on one port: the second octet of RTCP is 192..223 (RFC 5761, 4). Also true of what is neither. */
bool rtp_is_rtcp(roam_span bytes);

/* Numbers in network order. */
static inline uint16_t load_be16(const void *from)
{
    const uint8_t *p = from;
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const void *from)
{
    const uint8_t *p = from;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline void store_be16(void *to, uint16_t n)
{
    uint8_t *p = to;
    p[0] = (uint8_t)(n >> 8);
    p[1] = (uint8_t)n;
}

static inline void store_be32(void *to, uint32_t n)
{
    uint8_t *p = to;
    p[0] = (uint8_t)(n >> 24);
    p[1] = (uint8_t)(n >> 16);
    p[2] = (uint8_t)(n >> 8);
    p[3] = (uint8_t)n;
}

#endif

/* What a receiver knows about one RTP source: sequence, loss and jitter (RFC 3550, A.1, A.3 and A.8), and which packets were there already. */
#ifndef ROAM_MEDIA_RECEPTION_H
#define ROAM_MEDIA_RECEPTION_H

#include "base/span.h"

/* RFC 3550, A.1 */
#define RTP_MAX_DROPOUT 3000u
#define RTP_MAX_MISORDER 100u
#define RTP_MIN_SEQUENTIAL 2u

#define RECEPTION_WINDOW 128u /* sequence numbers remembered; more than RTP_MAX_MISORDER, so that every packet let through is known */

typedef enum roam_reception_result {
    RECEPTION_NEW,
    RECEPTION_DUPLICATE, /* of a packet seen within the window */
    RECEPTION_JUMP,      /* far away in sequence: dropped unless the next one follows it */
    RECEPTION_RESTARTED  /* it did follow: the peer began anew, all numbers start again */
} roam_reception_result;

typedef struct roam_reception {
    uint16_t max_sequence;
    uint32_t cycles;   /* shifted left by 16 */
    uint32_t base_sequence;
    uint32_t bad_sequence;
    uint32_t received; /* as RTCP counts: duplicates and late ones included */
    uint32_t unique;   /* without duplicates */
    uint32_t expected_prior, received_prior;
    uint32_t transit, jitter; /* in units of the RTP clock, jitter times 16 */
    bool has_transit;
    uint64_t seen[RECEPTION_WINDOW / 64]; /* a bit a sequence number, by its value modulo the window */
} roam_reception;

/* Begins with the first packet. The probation of A.1 is not here: it belongs to the question who may send to us (source.h). */
void reception_init(roam_reception *r, uint16_t sequence);
roam_reception_result reception_update(roam_reception *r, uint16_t sequence);
/* `arrival` in units of the RTP clock. Not for packets whose timestamp is no sampling instant of their own (telephone-event). */
void reception_transit(roam_reception *r, uint32_t timestamp, uint32_t arrival);

static inline uint32_t reception_extended(const roam_reception *r)
{
    return r->cycles + r->max_sequence;
}

static inline uint32_t reception_expected(const roam_reception *r)
{
    return reception_extended(r) - r->base_sequence + 1;
}

/* Packets that never came. Unlike the cumulative count of RTCP a duplicate does not make up for a lost one. */
uint32_t reception_missing(const roam_reception *r);
/* For a report block; clamped to 24 bits with sign (A.3). */
int32_t reception_lost(const roam_reception *r);
uint8_t reception_fraction(roam_reception *r); /* since the last call: once a report */

#endif

/* A link emulator: one direction of a link, packets as opaque bytes, virtual time, seeded. Two make a cable.
 *
 * A packet goes through, in this order: up or down, loss, bandwidth with its queue, delay with jitter, reordering,
 * duplication. Each packet draws the same amount of randomness whatever is configured, so that switching one fault on
 * leaves the others as they were. */
#ifndef ROAM_TESTBED_LINK_H
#define ROAM_TESTBED_LINK_H

#include "base/list.h"
#include "base/memory.h"
#include "base/random.h"

#define LINK_MAX_PACKETS 16384u /* under way at once; more are dropped and counted */
#define LINK_PPM 1000000u       /* probabilities are in parts per million */

typedef struct roam_link_config {
    roam_time delay;    /* one way */
    roam_time jitter;   /* 0 .. jitter is added, evenly spread; the order stays */
    uint32_t loss_ppm;  /* each packet by itself (in a burst model: in its good state) */
    uint32_t burst_ppm; /* a burst begins with this packet (Gilbert-Elliott) ... */
    uint32_t
        burst_end_ppm; /* ... and ends with this probability after each packet; 0 with burst_ppm > 0 is not accepted */
    uint32_t burst_loss_ppm; /* loss inside a burst */
    uint32_t reorder_ppm;    /* this packet is held back ... */
    roam_time reorder_delay; /* ... by so much more, and later ones pass it */
    uint32_t duplicate_ppm;  /* a second copy, right behind */
    uint64_t bandwidth;      /* bits a second; 0: no limit */
    size_t queue_bytes;      /* waiting for the bandwidth, the one being sent included; 0: 64 KiB. What does not fit is
                                dropped at the tail */
    size_t overhead;         /* bytes that each packet costs on top of its own (headers below) */
} roam_link_config;

typedef struct roam_link_counters {
    uint64_t pushed, delivered, bytes, lost, lost_in_burst, overflowed, down, duplicated, reordered,
        refused; /* refused: no memory, or LINK_MAX_PACKETS */
} roam_link_counters;

typedef struct roam_link_packet roam_link_packet;

typedef struct roam_link {
    roam_mem *mem;
    roam_random random;
    roam_link_config config;
    roam_list packets; /* roam_link_packet, by due time, then by arrival */
    size_t count;
    roam_link_packet *popped; /* what the last link_pop gave */
    roam_time busy_until;     /* the bandwidth is in use until then ... */
    uint64_t busy_rest;       /* ... plus this many bit-microseconds, so that nothing is lost by rounding */
    roam_time last_due;       /* no packet that is not reordered arrives before its predecessor */
    bool up;
    bool burst;
    roam_link_counters counters;
} roam_link;

/* ROAM_EINVAL for a configuration that makes no sense. The link is up and empty. */
int link_init(roam_link *link, roam_mem *mem, const uint8_t seed[32], const roam_link_config *config);
void link_free(roam_link *link);
/* For packets from now on; what is under way keeps its arrival. */
int link_configure(roam_link *link, const roam_link_config *config);
/* Down: pushes are dropped. What is under way arrives unless `drop_under_way`. */
void link_set_up(roam_link *link, bool up, bool drop_under_way);

/* The bytes are copied. 0 also when the link loses the packet; ROAM_ENOMEM, ROAM_ELIMIT. */
int link_push(roam_link *link, roam_time now, roam_span bytes);
/* The next packet that has arrived by `now`, in the order of arrival. The span is valid until the next link_pop or
 * link_free. `due` (may be NULL): when it arrived. */
bool link_pop(roam_link *link, roam_time now, roam_span *bytes, roam_time *due);
roam_time link_deadline(const roam_link *link); /* ROAM_NEVER when nothing is under way */

#endif

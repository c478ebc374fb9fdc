/* RFC 3550: A.1 (sequence), A.3 (loss), A.8 (jitter), with a window that knows duplicates. */
#include "media/reception.h"

static bool seen_test_and_set(roam_reception *r, uint16_t sequence);
static void reception_begin(roam_reception *r, uint16_t sequence);

void reception_init(roam_reception *r, uint16_t sequence)
{
    *r = (roam_reception){0};
    reception_begin(r, sequence);
}

roam_reception_result reception_update(roam_reception *r, uint16_t sequence)
{
    roam_reception_result result = RECEPTION_NEW;
    uint16_t delta = (uint16_t)(sequence - r->max_sequence);
    if (r->received == 0) {
        /* the packet that reception_init was given */
    } else if (delta == 0) {
        result = RECEPTION_DUPLICATE;
    } else if (delta < RTP_MAX_DROPOUT) {
        if (sequence < r->max_sequence)
            r->cycles += 0x10000;
        /* The numbers that enter the window now have not been seen. */
        uint32_t entering = delta < RECEPTION_WINDOW ? delta : RECEPTION_WINDOW;
        for (uint32_t i = 0; i < entering; i++) {
            uint32_t bit = (uint32_t)(sequence - i) % RECEPTION_WINDOW;
            r->seen[bit / 64] &= ~(UINT64_C(1) << bit % 64);
        }
        r->max_sequence = sequence;
    } else if (delta <= 0x10000 - RTP_MAX_MISORDER) {
        if (sequence != r->bad_sequence) {
            r->bad_sequence = (uint16_t)(sequence + 1);
            return RECEPTION_JUMP;
        }
        reception_begin(r, sequence);
        result = RECEPTION_RESTARTED;
    }
    /* else: late or twice */
    if (seen_test_and_set(r, sequence))
        result = RECEPTION_DUPLICATE;
    r->received++;
    if (result != RECEPTION_DUPLICATE)
        r->unique++;
    return result;
}

void reception_transit(roam_reception *r, uint32_t timestamp, uint32_t arrival)
{
    uint32_t transit = arrival - timestamp;
    if (r->has_transit) {
        uint32_t d = transit - r->transit;
        if (d > INT32_MAX)
            d = 0u - d;
        /* More is no jitter but a clock that was set; and the sum must not overflow. */
        if (d < UINT32_C(1) << 24)
            r->jitter += d - ((r->jitter + 8) >> 4);
    }
    r->transit = transit;
    r->has_transit = true;
}

uint32_t reception_missing(const roam_reception *r)
{
    uint32_t expected = reception_expected(r);
    return expected > r->unique ? expected - r->unique : 0;
}

int32_t reception_lost(const roam_reception *r)
{
    int64_t lost = (int64_t)reception_expected(r) - (int64_t)r->received;
    if (lost > 0x7fffff)
        return 0x7fffff;
    return lost < -0x800000 ? -0x800000 : (int32_t)lost;
}

uint8_t reception_fraction(roam_reception *r)
{
    uint32_t expected = reception_expected(r);
    uint32_t expected_interval = expected - r->expected_prior;
    uint32_t received_interval = r->received - r->received_prior;
    r->expected_prior = expected;
    r->received_prior = r->received;
    if (expected_interval == 0 || received_interval >= expected_interval)
        return 0;
    uint64_t lost = expected_interval - received_interval;
    uint64_t fraction = (lost << 8) / expected_interval;
    return fraction > 255 ? 255 : (uint8_t)fraction; /* all lost would be 256 */
}

/* init_seq() of A.1 */
static void reception_begin(roam_reception *r, uint16_t sequence)
{
    r->base_sequence = sequence;
    r->max_sequence = sequence;
    r->bad_sequence = 0x10001; /* so that no sequence equals it */
    r->cycles = 0;
    r->received = r->unique = 0;
    r->received_prior = r->expected_prior = 0;
    r->has_transit = false;
    memset(r->seen, 0, sizeof r->seen);
}

static bool seen_test_and_set(roam_reception *r, uint16_t sequence)
{
    uint32_t bit = sequence % RECEPTION_WINDOW;
    uint64_t mask = UINT64_C(1) << bit % 64;
    bool seen = (r->seen[bit / 64] & mask) != 0;
    r->seen[bit / 64] |= mask;
    return seen;
}

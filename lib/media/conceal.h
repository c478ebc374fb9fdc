/* Making up what did not come: the last pitch period is repeated and fades out, and the first good samples are blended in, so that neither end clicks.
 * The method of G.711 Appendix I without its delay. Also the other use of a pitch period: one more or one less, to change the delay unheard. */
#ifndef ROAM_MEDIA_CONCEAL_H
#define ROAM_MEDIA_CONCEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONCEAL_MAX_RATE 48000u
#define CONCEAL_MAX_PERIOD(rate) ((rate) / 66u)      /* 15 ms: a voice of 66 Hz */
#define CONCEAL_MIN_PERIOD(rate) ((rate) / 200u)     /* 5 ms */
#define CONCEAL_PAST(rate) ((rate) / 20u)            /* samples of the past that are looked at: 50 ms */

typedef struct roam_conceal {
    unsigned rate;
    size_t made;   /* samples since the last good one; 0: nothing is missing */
    size_t period;
    size_t at;     /* place in the period */
    int32_t step;  /* difference at the seam, which fades out */
    int16_t last;  /* sample made last */
    int16_t pitch[CONCEAL_MAX_PERIOD(CONCEAL_MAX_RATE) + 1];
} roam_conceal;

void conceal_init(roam_conceal *c, unsigned rate);
/* `past_end` points behind the last sample so far, with CONCEAL_PAST(rate) samples before it. `quick`: fades within 5 ms, where silence is what should be. */
void conceal_make(roam_conceal *c, const int16_t *past_end, int16_t *out, size_t n, bool quick);
/* Good samples are there again: the beginning of them is blended with what would have been made. No cost while nothing was missing. */
void conceal_return(roam_conceal *c, int16_t *samples, size_t n);

/* The period (in samples) that repeats best before `end`, of which CONCEAL_PAST(rate) samples are readable. */
size_t conceal_period(const int16_t *end, unsigned rate);
/* `out` gets `n` samples that begin as `in` and end as `in + shift`: with a period as `shift` it is left out, negative it is there twice. */
void conceal_shift(const int16_t *in, ptrdiff_t shift, int16_t *out, size_t n);

#endif

/* Sample rate conversion by a windowed sinc: what is above the lower of the two bands is taken out, the rest keeps its
 * level. */
#ifndef ROAM_EDGE_RESAMPLE_H
#define ROAM_EDGE_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct roam_resampler roam_resampler;

roam_resampler *resampler_new(unsigned from, unsigned to); /* Hz; NULL: no memory, or a rate of 0 */
void resampler_free(roam_resampler *resampler);            /* NULL is fine */
/* Takes input, as many samples as there is room for; returns how many. There is room for at least one when pull has no
 * more. */
size_t resampler_push(roam_resampler *resampler, const float *samples, size_t n);
/* The next output sample; false: more input is needed. */
bool resampler_pull(roam_resampler *resampler, float *out);

#endif

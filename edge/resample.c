/* Sample rate conversion by a windowed sinc. */
#include "edge/resample.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ZERO_CROSSINGS = 16, /* of the sinc on each side: stop band below -70 dB */
    STEPS = 256,         /* table entries between two crossings, interpolated */
    ROOM = 1024          /* input samples beyond what one output needs */
};

struct roam_resampler {
    unsigned from, to;
    double scale;   /* cut-off over the input's band: 1 going up, to/from going down */
    size_t reach;   /* input samples that count on each side of an output */
    uint64_t phase; /* of the next output after `input[head + reach]`, in units of 1/to input samples */
    float *input;
    size_t cap, head, end; /* input[head] to input[end - 1] are still needed */
    float kernel[ZERO_CROSSINGS * STEPS + 2];
};

static void fill_kernel(float *kernel);
static float kernel_at(const roam_resampler *r, double distance);

roam_resampler *resampler_new(unsigned from, unsigned to)
{
    if (!from || !to)
        return NULL;
    const double scale = to < from ? (double)to / from : 1.0;
    const size_t reach = (size_t)ceil(ZERO_CROSSINGS / scale);
    const size_t cap = 2 * reach + ROOM;
    roam_resampler *r = calloc(1, sizeof *r);
    float *input = calloc(cap, sizeof *input);
    if (!r || !input) {
        free(r);
        free(input);
        return NULL;
    }
    r->from = from;
    r->to = to;
    r->scale = scale;
    r->reach = reach;
    r->cap = cap;
    r->input = input;
    r->end = reach; /* silence before the first sample */
    fill_kernel(r->kernel);
    return r;
}

void resampler_free(roam_resampler *r)
{
    if (r)
        free(r->input);
    free(r);
}

size_t resampler_push(roam_resampler *r, const float *samples, size_t n)
{
    if (r->head) {
        memmove(r->input, r->input + r->head, (r->end - r->head) * sizeof *r->input);
        r->end -= r->head;
        r->head = 0;
    }
    const size_t room = r->cap - r->end;
    const size_t taken = n < room ? n : room;
    memcpy(r->input + r->end, samples, taken * sizeof *samples);
    r->end += taken;
    return taken;
}

bool resampler_pull(roam_resampler *r, float *out)
{
    const uint64_t whole = r->phase / r->to; /* input samples that no output needs any more */
    const size_t have = r->end - r->head;
    const size_t gone = whole < have ? (size_t)whole : have;
    r->head += gone;
    r->phase -= (uint64_t)gone * r->to;
    if (gone < whole || have - gone < 2 * r->reach + 1)
        return false;
    const float *input = r->input + r->head;
    const double fraction = (double)r->phase / r->to;
    double sum = 0;
    for (size_t i = 0; i <= 2 * r->reach; i++)
        sum += (double)input[i] * (double)kernel_at(r, ((double)i - (double)r->reach - fraction) * r->scale);
    *out = (float)(sum * r->scale);
    r->phase += r->from;
    return true;
}

/* The right half of a sinc under a Blackman window. */
static void fill_kernel(float *kernel)
{
    const double pi = 3.14159265358979323846;
    kernel[0] = 1;
    for (size_t i = 1; i < ZERO_CROSSINGS * STEPS + 2; i++) {
        const double x = (double)i / STEPS, w = x / ZERO_CROSSINGS;
        const double window = w >= 1 ? 0 : 0.42 + 0.5 * cos(pi * w) + 0.08 * cos(2 * pi * w);
        kernel[i] = (float)(sin(pi * x) / (pi * x) * window);
    }
}

static float kernel_at(const roam_resampler *r, double distance)
{
    const double at = fabs(distance) * STEPS;
    if (at >= ZERO_CROSSINGS * STEPS)
        return 0;
    const size_t i = (size_t)at;
    const float fraction = (float)(at - (double)i);
    return r->kernel[i] + (r->kernel[i + 1] - r->kernel[i]) * fraction;
}

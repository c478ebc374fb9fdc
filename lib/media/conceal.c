/* Concealment by pitch repetition. */
#include "media/conceal.h"

#include <math.h>
#include <string.h>

enum {
    HOLD_MS = 10,  /* at full level */
    FADE_MS = 60,  /* then down to nothing at this time */
    QUICK_MS = 5,
    BLEND_MS = 4,  /* at the return; and 4 ms more for each 10 ms that were made up, at most 10 */
    BLEND_MAX_MS = 10,
    UNIT = 32768   /* 1.0 */
};

static int16_t clip(int32_t n);
static int32_t gain_at(const roam_conceal *c, size_t made, bool quick);
static void begin(roam_conceal *c, const int16_t *past_end);
static int16_t next_sample(roam_conceal *c, bool quick);

void conceal_init(roam_conceal *c, unsigned rate)
{
    *c = (roam_conceal){.rate = rate};
}

void conceal_make(roam_conceal *c, const int16_t *past_end, int16_t *out, size_t n, bool quick)
{
    if (c->made == 0)
        begin(c, past_end);
    const size_t silent = (size_t)c->rate * FADE_MS / 1000;
    size_t i = 0;
    for (; i < n && c->made < silent; i++)
        out[i] = next_sample(c, quick);
    if (i < n) {
        memset(out + i, 0, (n - i) * sizeof *out);
        c->made += n - i;
        c->last = 0;
    }
}

void conceal_return(roam_conceal *c, int16_t *samples, size_t n)
{
    if (c->made == 0)
        return;
    const size_t per_ms = c->rate / 1000;
    size_t blend = BLEND_MS * per_ms + c->made * 4 / 10;
    if (blend > BLEND_MAX_MS * per_ms)
        blend = BLEND_MAX_MS * per_ms;
    if (blend > n)
        blend = n;
    for (size_t i = 0; i < blend; i++) {
        int32_t made = next_sample(c, false);
        int32_t w = (int32_t)((i + 1) * UNIT / (blend + 1));
        samples[i] = clip((int32_t)(((int64_t)samples[i] * w + (int64_t)made * (UNIT - w)) / UNIT));
    }
    c->made = 0;
}

size_t conceal_period(const int16_t *end, unsigned rate)
{
    const size_t min = CONCEAL_MIN_PERIOD(rate), max = CONCEAL_MAX_PERIOD(rate);
    const size_t window = CONCEAL_PAST(rate) - max; /* behind us for every lag */
    const size_t stride = rate / 8000 ? rate / 8000 : 1;
    size_t best = min;
    double best_score = -1;
    for (size_t lag = min; lag <= max; lag += stride) {
        int64_t product = 0, energy = 0;
        for (size_t i = stride; i <= window; i += stride) {
            int32_t a = end[-(ptrdiff_t)i];
            int32_t b = end[-(ptrdiff_t)(i + lag)];
            product += a * b;
            energy += b * b;
        }
        /* Compared without a root: the square over the energy, of positive products only. */
        double score = product > 0 && energy > 0 ? (double)product * (double)product / (double)energy : 0;
        if (score > best_score) {
            best_score = score;
            best = lag;
        }
    }
    return best;
}

void conceal_shift(const int16_t *in, ptrdiff_t shift, int16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t w = (int32_t)((i + 1) * UNIT / (n + 1));
        int32_t a = in[i], b = in[(ptrdiff_t)i + shift];
        out[i] = clip((int32_t)(((int64_t)a * (UNIT - w) + (int64_t)b * w) / UNIT));
    }
}

static void begin(roam_conceal *c, const int16_t *past_end)
{
    const size_t p = conceal_period(past_end, c->rate);
    const size_t quarter = p / 4;
    const int16_t *from = past_end - p;
    memcpy(c->pitch, from, p * sizeof *from);
    /* The end of the period turns into what stood before its beginning, so that repeating it has no seam. */
    for (size_t i = 0; i < quarter; i++) {
        int32_t w = (int32_t)((i + 1) * UNIT / quarter);
        int32_t a = from[p - quarter + i], b = from[(ptrdiff_t)i - (ptrdiff_t)quarter];
        c->pitch[p - quarter + i] = clip((int32_t)(((int64_t)a * (UNIT - w) + (int64_t)b * w) / UNIT));
    }
    c->period = p;
    c->at = 0;
    c->step = past_end[-1] - from[-1];
    c->made = 0;
}

static int16_t next_sample(roam_conceal *c, bool quick)
{
    const size_t quarter = c->period / 4;
    int32_t value = c->pitch[c->at];
    if (c->made < quarter)
        value += c->step * (int32_t)(quarter - c->made) / (int32_t)quarter;
    c->at = c->at + 1 == c->period ? 0 : c->at + 1;
    value = (int32_t)((int64_t)value * gain_at(c, c->made, quick) / UNIT);
    c->made++;
    c->last = clip(value);
    return c->last;
}

static int32_t gain_at(const roam_conceal *c, size_t made, bool quick)
{
    const size_t hold = quick ? 0 : (size_t)c->rate * HOLD_MS / 1000;
    const size_t silent = (size_t)c->rate * (quick ? QUICK_MS : FADE_MS) / 1000;
    if (made < hold)
        return UNIT;
    if (made >= silent)
        return 0;
    return (int32_t)((silent - made) * UNIT / (silent - hold));
}

static int16_t clip(int32_t n)
{
    return n > INT16_MAX ? INT16_MAX : n < INT16_MIN ? INT16_MIN : (int16_t)n;
}

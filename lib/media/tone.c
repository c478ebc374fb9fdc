/* A sine as a source of sound: a rotating vector, so that a sample costs four multiplications. */
#include <math.h>

#include "base/list.h"
#include "base/memory.h"
#include "roam/media.h"

typedef struct roam_tone {
    roam_audio_source source;
    roam_mem mem; /* of its own: the caller makes tones before there is an agent */
    double hz;
    unsigned rate; /* that the step was made for */
    double x, y;   /* the vector, length 1 */
    double cos_step, sin_step;
} roam_tone;

static const double tone_amplitude = 8231.0; /* -12 dB of 32767 */
static const double tone_turn = 6.283185307179586;

static size_t tone_read(roam_audio_source *source, int16_t *samples, size_t n, unsigned rate);
static void tone_close(roam_audio_source *source);

roam_audio_source *roam_tone_source(double hz)
{
    roam_mem mem;
    mem_init(&mem, NULL);
    roam_tone *tone = mem_new(&mem, roam_tone);
    if (!tone)
        return NULL;
    tone->source = (roam_audio_source){tone_read, tone_close};
    tone->mem = mem;
    tone->hz = hz;
    tone->x = 1;
    return &tone->source;
}

static size_t tone_read(roam_audio_source *source, int16_t *samples, size_t n, unsigned rate)
{
    roam_tone *tone = container_of(source, roam_tone, source);
    if (!(tone->hz > 0 && tone->hz * 2 < rate)) /* also when it is no number */
        return 0;
    if (rate != tone->rate) {
        tone->rate = rate;
        tone->cos_step = cos(tone_turn * tone->hz / rate);
        tone->sin_step = sin(tone_turn * tone->hz / rate);
    }
    double x = tone->x, y = tone->y;
    for (size_t i = 0; i < n; i++) {
        samples[i] = (int16_t)(y * tone_amplitude + (y < 0 ? -0.5 : 0.5)); /* rounded, without a call */
        double turned = x * tone->cos_step - y * tone->sin_step;
        y = x * tone->sin_step + y * tone->cos_step;
        x = turned;
    }
    /* Keeps the length at 1: one Newton step is more than the error of a frame. */
    double scale = (3 - (x * x + y * y)) / 2;
    tone->x = x * scale;
    tone->y = y * scale;
    return n;
}

static void tone_close(roam_audio_source *source)
{
    roam_tone *tone = container_of(source, roam_tone, source);
    roam_mem mem = tone->mem;
    mem_free(&mem, tone);
}

/* Sound files as source and sink of a call, through libsndfile. */
#include "roam/roam.h"

#ifndef ROAM_HAVE_SNDFILE

roam_audio_source *roam_wav_source(const char *path, bool repeat)
{
    (void)path, (void)repeat;
    return NULL;
}

roam_audio_sink *roam_wav_sink(const char *path)
{
    (void)path;
    return NULL;
}

#else

#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/resample.h"

enum { BLOCK = 256, CHANNELS_MAX = 64, RATE_MAX = 384000, SINK_RATE = 8000 };

typedef struct wav_source {
    roam_audio_source source; /* first: it is what the call knows */
    SNDFILE *file;
    SF_INFO info;
    bool repeat, ended;
    roam_resampler *resampler; /* from the file's rate to `rate` */
    unsigned rate;
    float block[BLOCK]; /* mono, read and not used yet */
    size_t have, used;
    float frames[]; /* BLOCK frames of the file's channels */
} wav_source;

typedef struct wav_sink {
    roam_audio_sink sink;
    SNDFILE *file; /* NULL until the first frame says what rate the file gets */
    int fd;
    unsigned file_rate, rate; /* `rate`: of the frames that come; the file keeps its own */
    roam_resampler *resampler;
    size_t since_header;
} wav_sink;

static size_t source_read(roam_audio_source *source, int16_t *samples, size_t n, unsigned rate);
static bool source_fill(wav_source *s);
static void source_close(roam_audio_source *source);
static void sink_write(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed);
static bool sink_open(wav_sink *s, unsigned rate);
static void sink_put(wav_sink *s, const int16_t *samples, size_t n);
static void sink_close(roam_audio_sink *sink);
static int16_t to_int16(float sample);

roam_audio_source *roam_wav_source(const char *path, bool repeat)
{
    SF_INFO info = {0};
    SNDFILE *file = path ? sf_open(path, SFM_READ, &info) : NULL;
    if (!file)
        return NULL;
    wav_source *s = NULL;
    if (info.channels >= 1 && info.channels <= CHANNELS_MAX && info.samplerate >= 1 && info.samplerate <= RATE_MAX)
        s = calloc(1, sizeof *s + (size_t)info.channels * BLOCK * sizeof(float));
    if (!s) {
        sf_close(file);
        return NULL;
    }
    s->source = (roam_audio_source){source_read, source_close};
    s->file = file;
    s->info = info;
    s->repeat = repeat;
    return &s->source;
}

roam_audio_sink *roam_wav_sink(const char *path)
{
    wav_sink *s = path ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    s->sink = (roam_audio_sink){sink_write, sink_close};
    return &s->sink;
}

/* ---- source ---- */

static size_t source_read(roam_audio_source *source, int16_t *samples, size_t n, unsigned rate)
{
    wav_source *s = (wav_source *)(void *)source;
    size_t done = 0;
    if (rate != s->rate) {
        resampler_free(s->resampler);
        s->resampler = resampler_new((unsigned)s->info.samplerate, rate);
        s->rate = s->resampler ? rate : 0;
    }
    if (!s->resampler)
        return 0;
    while (done < n) {
        float out;
        if (resampler_pull(s->resampler, &out)) {
            samples[done++] = to_int16(out);
            continue;
        }
        if (s->used == s->have && !source_fill(s))
            break;
        s->used += resampler_push(s->resampler, s->block + s->used, s->have - s->used);
    }
    return done;
}

/* The next block as mono; false at the end. */
static bool source_fill(wav_source *s)
{
    const size_t channels = (size_t)s->info.channels;
    if (s->ended)
        return false;
    sf_count_t n = sf_readf_float(s->file, s->frames, BLOCK);
    if (n <= 0 && s->repeat && sf_seek(s->file, 0, SEEK_SET) == 0)
        n = sf_readf_float(s->file, s->frames, BLOCK);
    s->used = s->have = 0;
    if (n <= 0) {
        s->ended = true;
        return false;
    }
    for (size_t i = 0; i < (size_t)n; i++) {
        float sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += s->frames[i * channels + c];
        s->block[i] = sum / (float)channels;
    }
    s->have = (size_t)n;
    return true;
}

static void source_close(roam_audio_source *source)
{
    wav_source *s = (wav_source *)(void *)source;
    resampler_free(s->resampler);
    sf_close(s->file);
    free(s);
}

/* ---- sink ---- */

static void sink_write(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed)
{
    wav_sink *s = (wav_sink *)(void *)sink;
    (void)concealed; /* made-up frames keep the recording's time right */
    if (s->fd < 0 || !rate || (!s->file && !sink_open(s, rate)))
        return;
    if (rate == s->file_rate) {
        sink_put(s, samples, n);
        return;
    }
    if (rate != s->rate) {
        resampler_free(s->resampler);
        s->resampler = resampler_new(rate, s->file_rate);
        s->rate = s->resampler ? rate : 0;
    }
    float in[BLOCK], out;
    int16_t pcm[BLOCK];
    size_t have = 0;
    for (size_t done = 0; s->resampler && done < n;) {
        size_t block = n - done < BLOCK ? n - done : BLOCK;
        for (size_t i = 0; i < block; i++)
            in[i] = (float)samples[done + i] / 32768.0f;
        done += resampler_push(s->resampler, in, block);
        while (resampler_pull(s->resampler, &out)) {
            pcm[have++] = to_int16(out);
            if (have == BLOCK) {
                sink_put(s, pcm, have);
                have = 0;
            }
        }
    }
    sink_put(s, pcm, have);
}

static bool sink_open(wav_sink *s, unsigned rate)
{
    SF_INFO info = {.samplerate = (int)rate, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    s->file = rate <= RATE_MAX ? sf_open_fd(s->fd, SFM_WRITE, &info, SF_FALSE) : NULL;
    if (!s->file) {
        close(s->fd);
        s->fd = -1;
        return false;
    }
    s->file_rate = rate;
    return true;
}

/* libsndfile writes straight to the OS, but the length in the header only when told: once a second, so that what a
 * process leaves behind that died can be read up to there. */
static void sink_put(wav_sink *s, const int16_t *samples, size_t n)
{
    if (!n)
        return;
    sf_write_short(s->file, samples, (sf_count_t)n);
    s->since_header += n;
    if (s->since_header >= s->file_rate) {
        sf_command(s->file, SFC_UPDATE_HEADER_NOW, NULL, 0);
        s->since_header = 0;
    }
}

static void sink_close(roam_audio_sink *sink)
{
    wav_sink *s = (wav_sink *)(void *)sink;
    if (s->file || (s->fd >= 0 && sink_open(s, SINK_RATE))) /* no sound at all is a readable file too */
        sf_close(s->file);
    if (s->fd >= 0)
        close(s->fd);
    resampler_free(s->resampler);
    free(s);
}

static int16_t to_int16(float sample)
{
    const float scaled = sample * 32768.0f;
    if (scaled >= 32767.0f)
        return INT16_MAX;
    if (scaled <= -32768.0f)
        return INT16_MIN;
    return (int16_t)lrintf(scaled);
}

#endif

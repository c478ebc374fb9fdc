/* A codec turns a packet time of samples into bytes and back. A table lists them; an application may add more later. */
#ifndef ROAM_MEDIA_CODEC_H
#define ROAM_MEDIA_CODEC_H

#include "base/memory.h"

typedef struct roam_codec roam_codec;
struct roam_codec {
    const char *name;        /* as in a=rtpmap: "PCMU" */
    uint32_t clock;          /* RTP clock, Hz */
    unsigned rate;           /* sample rate, Hz */
    unsigned channels;
    int static_type;         /* 0, 8; -1: dynamic */
    size_t state_size;       /* of encoder and of decoder, each; 0: stateless */
    /* Returns bytes written, or a roam_err. */
    int (*encode)(void *state, const int16_t *samples, size_t n, uint8_t *out, size_t cap);
    /* Returns samples written, or a roam_err. */
    int (*decode)(void *state, const uint8_t *bytes, size_t n, int16_t *out, size_t cap);
    /* Fills a missing frame; NULL: the jitter buffer's own concealment is used. */
    int (*conceal)(void *state, int16_t *out, size_t n);
    /* True when the codec or DTX may rest without packets. */
};

extern const roam_codec roam_codec_pcmu, roam_codec_pcma;
/* By rtpmap name (without case) and clock; NULL: not ours. */
const roam_codec *codec_find(roam_span name, uint32_t clock);
/* All, in our order of preference; ends with NULL. */
const roam_codec *const *codec_list(void);

#endif

/* The table of codecs. G.711 has no state: a byte is a sample. */
#include "media/codec.h"

#include "media/g711.h"

static int pcmu_encode(void *state, const int16_t *samples, size_t n, uint8_t *out, size_t cap);
static int pcmu_decode(void *state, const uint8_t *bytes, size_t n, int16_t *out, size_t cap);
static int pcma_encode(void *state, const int16_t *samples, size_t n, uint8_t *out, size_t cap);
static int pcma_decode(void *state, const uint8_t *bytes, size_t n, int16_t *out, size_t cap);

/* RFC 3551, 4.5.14 and table 4 */
const roam_codec roam_codec_pcmu = {
    .name = "PCMU", .clock = 8000, .rate = 8000, .channels = 1, .static_type = 0, .encode = pcmu_encode, .decode = pcmu_decode};
const roam_codec roam_codec_pcma = {
    .name = "PCMA", .clock = 8000, .rate = 8000, .channels = 1, .static_type = 8, .encode = pcma_encode, .decode = pcma_decode};

static const roam_codec *const codecs[] = {&roam_codec_pcmu, &roam_codec_pcma, NULL};

const roam_codec *codec_find(roam_span name, uint32_t clock)
{
    for (const roam_codec *const *c = codecs; *c; c++)
        if ((*c)->clock == clock && span_ieq(span_of((*c)->name), name))
            return *c;
    return NULL;
}

const roam_codec *const *codec_list(void)
{
    return codecs;
}

static int pcmu_encode(void *state, const int16_t *samples, size_t n, uint8_t *out, size_t cap)
{
    (void)state;
    if (n > cap || n > INT32_MAX)
        return ROAM_EOVERFLOW;
    g711_encode_ulaw(samples, n, out);
    return (int)n;
}

static int pcmu_decode(void *state, const uint8_t *bytes, size_t n, int16_t *out, size_t cap)
{
    (void)state;
    if (n > cap || n > INT32_MAX)
        return ROAM_EOVERFLOW;
    g711_decode_ulaw(bytes, n, out);
    return (int)n;
}

static int pcma_encode(void *state, const int16_t *samples, size_t n, uint8_t *out, size_t cap)
{
    (void)state;
    if (n > cap || n > INT32_MAX)
        return ROAM_EOVERFLOW;
    g711_encode_alaw(samples, n, out);
    return (int)n;
}

static int pcma_decode(void *state, const uint8_t *bytes, size_t n, int16_t *out, size_t cap)
{
    (void)state;
    if (n > cap || n > INT32_MAX)
        return ROAM_EOVERFLOW;
    g711_decode_alaw(bytes, n, out);
    return (int)n;
}

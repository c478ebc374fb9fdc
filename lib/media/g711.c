/* G.711. Decoding is a table. Encoding takes segment and step out of the exponent and mantissa of a float: both laws are floating point numbers of
 * three and four bits, and this form has no branch, so that a compiler makes vectors of it. */
#include "media/g711.h"

#include <string.h>

/* These loops are the most of what a stream costs. clang makes vectors at -O2, gcc (12) not of these. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

enum {
    BLOCK = 16,       /* a constant count, so that loops become vectors at -O2 too */
    ULAW_BIAS = 132,  /* 33 in the 14-bit scale of G.711 */
    CLIP = 32767,
    FLOAT_STEP = 19,  /* 23 bits of mantissa, 4 are kept */
    FLOAT_ZERO = (127 + 7) << 4
};

/* The codes of one law for a magnitude; the bits that G.711 inverts are the caller's. */
static inline uint32_t float_bits(int32_t magnitude)
{
    float f = (float)magnitude; /* exact: below 2^24 */
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits >> FLOAT_STEP;
}

static inline uint8_t ulaw(int16_t sample)
{
    /* One's complement, as in the reference software of the ITU: -1 is the smallest negative value, as 0 is the smallest positive. */
    int32_t sign = sample >> 15;
    int32_t magnitude = (sample ^ sign) + ULAW_BIAS;
    magnitude = magnitude < CLIP ? magnitude : CLIP;
    uint32_t code = float_bits(magnitude) - FLOAT_ZERO;
    return (uint8_t)(code ^ 0xffu ^ ((uint32_t)sign & 0x80u));
}

static inline uint8_t alaw(int16_t sample)
{
    int32_t sign = sample >> 15;
    int32_t magnitude = sample ^ sign;
    /* Below 256 the steps are all the same. */
    uint32_t small = (uint32_t)magnitude >> 4;
    uint32_t large = float_bits(magnitude) - FLOAT_ZERO;
    uint32_t code = magnitude < 256 ? small : large;
    return (uint8_t)(code ^ 0xd5u ^ ((uint32_t)sign & 0x80u));
}

void g711_encode_ulaw(const int16_t *samples, size_t n, uint8_t *out)
{
    for (; n >= BLOCK; n -= BLOCK, samples += BLOCK, out += BLOCK)
        for (size_t i = 0; i < BLOCK; i++)
            out[i] = ulaw(samples[i]);
    for (size_t i = 0; i < n; i++)
        out[i] = ulaw(samples[i]);
}

void g711_encode_alaw(const int16_t *samples, size_t n, uint8_t *out)
{
    for (; n >= BLOCK; n -= BLOCK, samples += BLOCK, out += BLOCK)
        for (size_t i = 0; i < BLOCK; i++)
            out[i] = alaw(samples[i]);
    for (size_t i = 0; i < n; i++)
        out[i] = alaw(samples[i]);
}

/* The middle of the interval that a code stands for (tables 1 and 2 of G.711, scaled to 16 bits), sign bit set: positive after inversion. */
#define ULAW_MAGNITUDE(c) (((((c)&15) << 3) + ULAW_BIAS) * (1 << (((c) >> 4) & 7)) - ULAW_BIAS)
#define ULAW_VALUE(b) ((b)&0x80 ? ULAW_MAGNITUDE(255 - (b)) : -ULAW_MAGNITUDE(127 - (b)))
#define ALAW_SEGMENT(c) (((c) >> 4) & 7)
#define ALAW_MAGNITUDE(c) ((((c)&15) * 16 + 8 + (ALAW_SEGMENT(c) ? 256 : 0)) * (1 << (ALAW_SEGMENT(c) ? ALAW_SEGMENT(c) - 1 : 0)))
#define ALAW_VALUE(b) ((b)&0x80 ? ALAW_MAGNITUDE(((b) ^ 0x55) & 0x7f) : -ALAW_MAGNITUDE(((b) ^ 0x55) & 0x7f))
#define ROW4(F, b) F(b), F((b) + 1), F((b) + 2), F((b) + 3)
#define ROW16(F, b) ROW4(F, b), ROW4(F, (b) + 4), ROW4(F, (b) + 8), ROW4(F, (b) + 12)
#define ROW64(F, b) ROW16(F, b), ROW16(F, (b) + 16), ROW16(F, (b) + 32), ROW16(F, (b) + 48)
#define TABLE(F) {ROW64(F, 0), ROW64(F, 64), ROW64(F, 128), ROW64(F, 192)}

static const int16_t ulaw_table[256] = TABLE(ULAW_VALUE);
static const int16_t alaw_table[256] = TABLE(ALAW_VALUE);

void g711_decode_ulaw(const uint8_t *bytes, size_t n, int16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ulaw_table[bytes[i]];
}

void g711_decode_alaw(const uint8_t *bytes, size_t n, int16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = alaw_table[bytes[i]];
}

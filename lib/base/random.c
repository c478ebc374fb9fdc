/* The generator: ChaCha20's key stream (RFC 8439, 2.3) with the seed as its key. */
#include "base/random.h"

#include <assert.h>

static uint32_t load32(const uint8_t *p);
static void store32(uint8_t *p, uint32_t n);

void random_init(roam_random *random, const uint8_t seed[32])
{
    *random = (roam_random){.used = sizeof random->block};
    for (size_t i = 0; i < 8; i++)
        random->key[i] = load32(seed + 4 * i);
}

void random_bytes(roam_random *random, void *out, size_t len)
{
    uint8_t *p = out;
    while (len) {
        if (random->used == sizeof random->block) {
            /* The upper half of the counter goes where the RFC has the first word of a nonce that we do not need. */
            const uint32_t nonce[3] = {(uint32_t)(random->counter >> 32), 0, 0};
            chacha20_block(random->key, (uint32_t)random->counter, nonce, random->block);
            random->counter++;
            random->used = 0;
        }
        size_t n = sizeof random->block - random->used;
        if (n > len)
            n = len;
        memcpy(p, random->block + random->used, n);
        memset(random->block + random->used, 0, n); /* what was given away is not kept */
        random->used += (unsigned)n;
        p += n;
        len -= n;
    }
}

uint64_t random_u64(roam_random *random)
{
    uint8_t b[8];
    random_bytes(random, b, sizeof b);
    return (uint64_t)load32(b) | (uint64_t)load32(b + 4) << 32;
}

uint32_t random_below(roam_random *random, uint32_t n)
{
    assert(n > 0);
    /* 2^32 mod n values at the bottom would make some results likelier: draw again. */
    uint32_t floor = (uint32_t)(0u - n) % n;
    for (;;) {
        uint8_t b[4];
        random_bytes(random, b, sizeof b);
        uint32_t draw = load32(b);
        if (draw >= floor)
            return draw % n;
    }
}

void random_token(roam_random *random, roam_writer *w, size_t len)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    while (len--) {
        uint8_t draw;
        do
            random_bytes(random, &draw, 1);
        while (draw >= 248); /* 4 * 62 */
        write_char(w, alphabet[draw % 62]);
    }
}

static uint32_t rotl(uint32_t x, int n)
{
    return (x << n) | (x >> (32 - n));
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = rotl(*d ^ *a, 16);
    *c += *d;
    *b = rotl(*b ^ *c, 12);
    *a += *b;
    *d = rotl(*d ^ *a, 8);
    *c += *d;
    *b = rotl(*b ^ *c, 7);
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3], uint8_t out[64])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint32_t s[16];
    memcpy(start + 4, key, 32);
    start[12] = counter;
    memcpy(start + 13, nonce, 12);
    memcpy(s, start, sizeof s);
    for (int i = 0; i < 10; i++) {
        for (int column = 0; column < 4; column++)
            quarter_round(&s[column], &s[4 + column], &s[8 + column], &s[12 + column]);
        for (int d = 0; d < 4; d++)
            quarter_round(&s[d], &s[4 + (d + 1) % 4], &s[8 + (d + 2) % 4], &s[12 + (d + 3) % 4]);
    }
    for (size_t i = 0; i < 16; i++)
        store32(out + 4 * i, s[i] + start[i]);
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store32(uint8_t *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> (8 * i));
}

/* Randomness: ChaCha20 (RFC 8439) over a 256-bit seed, so tags and branches cannot be guessed, and a seed repeats a run. */
#ifndef ROAM_BASE_RANDOM_H
#define ROAM_BASE_RANDOM_H

#include "base/writer.h"

typedef struct roam_random {
    uint32_t key[8];
    uint64_t counter;
    uint8_t block[64];
    unsigned used; /* bytes of `block` handed out */
} roam_random;

void random_init(roam_random *random, const uint8_t seed[32]);
void random_bytes(roam_random *random, void *out, size_t len);
uint64_t random_u64(roam_random *random);
uint32_t random_below(roam_random *random, uint32_t n); /* 0 .. n-1, unbiased; n > 0 */
/* Writes `len` characters of [a-zA-Z0-9], 5.9 bits each: for tags, branches, Call-IDs. */
void random_token(roam_random *random, roam_writer *w, size_t len);

/* One block of key stream (RFC 8439, 2.3). The words of `nonce` are in the order of the state's words 13 to 15. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3], uint8_t out[64]);

#endif

/* G.711: logarithmic PCM, 8 bits a sample. */
#ifndef ROAM_MEDIA_G711_H
#define ROAM_MEDIA_G711_H

#include <stddef.h>
#include <stdint.h>

void g711_encode_ulaw(const int16_t *samples, size_t n, uint8_t *out);
void g711_encode_alaw(const int16_t *samples, size_t n, uint8_t *out);
void g711_decode_ulaw(const uint8_t *bytes, size_t n, int16_t *out);
void g711_decode_alaw(const uint8_t *bytes, size_t n, int16_t *out);

#endif

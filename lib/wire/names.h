/* Names on the wire: header fields, methods, reason phrases. */
#ifndef ROAM_WIRE_NAMES_H
#define ROAM_WIRE_NAMES_H

#include "wire/chars.h"
#include "wire/message.h"

typedef struct roam_header_name {
    char lower[24]; /* "call-id", then NUL */
    size_t len;
} roam_header_name;

/* The compact form of a name that has no id (Subject: 's'), or the long name of such a compact form; empty: none. */
roam_span header_alias(roam_span name);
/* "Call-ID: "; empty for HEADER_OTHER. */
extern const roam_span header_prefixes[HEADER_COUNT];

/* The tables that a name is looked up in: by id, by the slot of its hash, and by the letter of its compact form. */
extern const roam_header_name header_names[HEADER_COUNT];
#define HEADER_SLOTS 128u
extern const uint8_t header_slots[HEADER_SLOTS];
extern const uint8_t header_compact[26];
/* Is it that name but for case? */
bool header_name_is(const char *name, size_t len, const char *lower);

/* The id of a header field by its long or compact name, without case. `end`: how far the bytes at `name` may be read. */
static inline roam_header_id header_id_of(const char *name, size_t len, const char *end)
{
    if (len < 2) {
        unsigned letter = len ? ((uint8_t)name[0] | 0x20u) - 'a' : 26;
        return letter < 26 ? (roam_header_id)header_compact[letter] : HEADER_OTHER;
    }
    unsigned first = (uint8_t)name[0] | 0x20u, last = (uint8_t)name[len - 1] | 0x20u;
    unsigned id = header_slots[(first * 97 + last * 7 + (unsigned)len) % HEADER_SLOTS];
    const roam_header_name *known = &header_names[id];
    if (known->len != len)
        return HEADER_OTHER;
#ifdef ROAM_SCAN_SSE2
    if (len <= 16 && end - name >= 16) { /* header_name_is for sixteen bytes at once; what follows the name is masked out */
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)name);
        __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        __m128i same = _mm_cmpeq_epi8(folded, _mm_loadu_si128((const __m128i *)(const void *)known->lower));
        __m128i cr = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r'));
        unsigned equal = (unsigned)_mm_movemask_epi8(_mm_andnot_si128(cr, same));
        return (~equal & ((1u << len) - 1)) == 0 ? (roam_header_id)id : HEADER_OTHER;
    }
#else
    (void)end;
#endif
    return header_name_is(name, len, known->lower) ? (roam_header_id)id : HEADER_OTHER;
}

#endif

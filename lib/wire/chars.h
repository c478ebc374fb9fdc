/* Classes of characters (RFC 3261 25.1) and the scanning that every parser of this directory does: one look into a table
 * for each byte, sixteen bytes at a time where a single delimiter is looked for. */
#ifndef ROAM_WIRE_CHARS_H
#define ROAM_WIRE_CHARS_H

#include "base/span.h"

#if defined(__SSE2__) && defined(__GNUC__)
#include <emmintrin.h>
#define ROAM_SCAN_SSE2 1
#endif

/* The loops of every parser: their constants stay in registers only when they are where they are used. And what is rare, kept
 * out of the way of what is not. */
#if defined(__GNUC__)
#define SCAN_INLINE static inline __attribute__((always_inline))
#define SCAN_RARE static __attribute__((noinline))
#else
#define SCAN_INLINE static inline
#define SCAN_RARE static
#endif

enum {
    CHAR_TOKEN = 1 << 0,      /* token */
    CHAR_WORD = 1 << 1,       /* word, as in a Call-ID */
    CHAR_USER = 1 << 2,       /* user of a SIP URI but for escapes; '#' too: telephones send it unescaped */
    CHAR_PASSWORD = 1 << 3,   /* password of a SIP URI but for escapes */
    CHAR_PARAM = 1 << 4,      /* paramchar but for escapes */
    CHAR_HEADER = 1 << 5,     /* hnv-unreserved and unreserved */
    CHAR_HOST = 1 << 6,       /* hostname; '_' too: it is in use */
    CHAR_LWS = 1 << 7,        /* blank, tab, and the line end of a fold */
    CHAR_VALUE = 1 << 8,      /* value of a header parameter: anything visible that delimits nothing */
    CHAR_NAME = 1 << 9,       /* the same without '=' */
    CHAR_URIC = 1 << 10,      /* uric of RFC 2396, with '%', '#' and the brackets */
    CHAR_DIGIT = 1 << 11,
    CHAR_HEX = 1 << 12,
    CHAR_PHONE = 1 << 13      /* phonedigit of RFC 3966 */
};
extern const uint16_t char_classes[256];

/* One past the last byte; an empty span may have no address to add to. */
static inline const char *span_end(roam_span s)
{
    return s.len ? s.ptr + s.len : s.ptr;
}

static inline bool char_is(char c, unsigned classes)
{
    return (char_classes[(uint8_t)c] & classes) != 0;
}

/* The first byte at or after `p` that is of none of these classes, or `end`. For what is short. */
static inline const char *skip_class(const char *p, const char *end, unsigned classes)
{
    for (; end - p >= 4; p += 4) {
        if (!char_is(p[0], classes))
            return p;
        if (!char_is(p[1], classes))
            return p + 1;
        if (!char_is(p[2], classes))
            return p + 2;
        if (!char_is(p[3], classes))
            return p + 3;
    }
    while (p < end && char_is(*p, classes))
        p++;
    return p;
}

/* The same for classes that hold letters, digits, '-' and '.' (all but LWS, DIGIT, HEX, PHONE): sixteen of those at a time.
 * `base` is where the text starts that `p` is in: near `end` the sixteen bytes may begin before `p`, never before `base`. */
SCAN_INLINE const char *skip_run(const char *base, const char *p, const char *end, unsigned classes)
{
#ifdef ROAM_SCAN_SSE2
    if (end - base >= 16)
        while (p < end) {
            const char *at = end - p >= 16 ? p : end - 16;
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
            __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
            __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('-')); /* '-' '.' '/' '0' .. '9' */
            __m128i plain = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8('z' - 'a')), letter),
                                         _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8('9' - '-')), digit));
            unsigned plains = (unsigned)_mm_movemask_epi8(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('/')), plain));
            unsigned others = (plains ^ 0xffffu) >> (p - at);
            for (; others; others &= others - 1) {
                const char *other = p + __builtin_ctz(others);
                if (!char_is(*other, classes))
                    return other;
            }
            p = at + 16;
        }
#else
    (void)base;
#endif
    return skip_class(p, end, classes);
}

static inline const char *skip_lws(const char *p, const char *end)
{
    while (p < end && char_is(*p, CHAR_LWS))
        p++;
    return p;
}

/* As skip_run, with %HH taken for one character; stops at an escape that is none. */
SCAN_INLINE const char *skip_escaped(const char *base, const char *p, const char *end, unsigned classes)
{
    for (;;) {
        p = skip_run(base, p, end, classes);
        if (p == end || *p != '%' || end - p < 3 || !char_is(p[1], CHAR_HEX) || !char_is(p[2], CHAR_HEX))
            return p;
        p += 3;
    }
}

/* The first `c` in [p, end), or NULL. */
SCAN_INLINE const char *find_char(const char *p, const char *end, char c)
{
#ifdef ROAM_SCAN_SSE2
    if (end - p >= 16) {
        const __m128i wanted = _mm_set1_epi8(c);
        const char *last = end - 16;
        for (;;) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
            unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
            if (hits)
                return p + __builtin_ctz(hits);
            if (p == last)
                return NULL;
            p = last - p < 16 ? last : p + 16; /* the last step overlaps bytes known not to match */
        }
    }
    for (; p < end; p++)
        if (*p == c)
            return p;
    return NULL;
#else
    return p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
#endif
}

/* Is `text` this word but for case? `word` is in lower case; the common spelling is found without folding. */
static inline bool word_is(roam_span text, const char *word, size_t len)
{
    if (text.len != len)
        return false;
    if (memcmp(text.ptr, word, len) == 0)
        return true;
    for (size_t i = 0; i < len; i++)
        if (ascii_lower(text.ptr[i]) != word[i])
            return false;
    return true;
}
#define WORD_IS(text, literal) word_is((text), (literal), sizeof(literal) - 1)

static inline roam_span trim_lws(const char *p, const char *end)
{
    p = skip_lws(p, end);
    while (end > p && char_is(end[-1], CHAR_LWS))
        end--;
    return span_between(p, end);
}

/* 1*DIGIT at `p`, at most `max`; NULL when there is none or it is larger. Leading zeros are fine, however many. */
SCAN_INLINE const char *scan_number(const char *p, const char *end, uint32_t max, uint32_t *out)
{
    const char *start = p;
    unsigned digit;
    uint64_t n = 0;
    for (; p < end && (digit = (uint8_t)(*p - '0')) <= 9; p++) {
        n = n * 10 + digit;
        if (n > max)
            return NULL;
    }
    *out = (uint32_t)n;
    return p == start ? NULL : p;
}

/* A quoted-string at `p` (which is a '"'): the byte after its end, or NULL when it does not end. A backslash takes the
 * next byte with it, but for CR and LF (RFC 3261 25.1). */
const char *scan_quoted(const char *p, const char *end);

/* host: a name, an IPv4 address, an IPv6 reference. Gives the byte after it, or NULL. `host` is without brackets. */
const char *scan_host(const char *base, const char *p, const char *end, roam_span *host, roam_ip *ip);

/* ":port" if there. Gives the byte after it (`p` when there is none), or NULL. */
static inline const char *scan_port(const char *p, const char *end, uint16_t *port)
{
    uint32_t n = 0;
    *port = 0;
    if (p == end || *p != ':')
        return p;
    p = scan_number(p + 1, end, UINT16_MAX, &n);
    *port = (uint16_t)n;
    return n ? p : NULL;
}

/* One generic-param at `p`, after its ';'. Gives the byte after it and the blanks that follow it, or NULL. */
SCAN_INLINE const char *scan_param(const char *base, const char *p, const char *end, roam_span *name, roam_span *value)
{
    const char *stop = skip_class(p, end, CHAR_TOKEN); /* names are short */
    if (stop == p) {
        p = skip_lws(p, end);
        stop = skip_class(p, end, CHAR_TOKEN);
        if (stop == p)
            return NULL;
    }
    *name = span_between(p, stop);
    *value = span_make(stop, 0);
    if (stop == end || *stop == ';')
        return stop;
    p = *stop == '=' ? stop : skip_lws(stop, end);
    if (p == end || *p != '=')
        return p;
    p++;
    if (p < end && char_is(*p, CHAR_LWS))
        p = skip_lws(p, end);
    if (p < end && *p == '"')
        stop = scan_quoted(p, end);
    else
        stop = skip_run(base, p, end, CHAR_VALUE);
    if (!stop || stop == p)
        return NULL;
    *value = span_between(p, stop);
    return stop < end && char_is(*stop, CHAR_LWS) ? skip_lws(stop, end) : stop;
}

/* *( SEMI generic-param ) up to `end`, starting at a ';'. The value of "tag", the one name asked for again and again. */
bool params_valid(const char *base, const char *p, const char *end, roam_span *tag);

#endif

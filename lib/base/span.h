/* Spans: text that belongs to somebody else. All comparisons are ASCII; SIP's tokens are. */
#ifndef ROAM_BASE_SPAN_H
#define ROAM_BASE_SPAN_H

#include <string.h>

#include "roam/base.h"

/* A span of a string literal, usable in initialisers as SPAN_INIT. */
#define SPAN(literal) ((roam_span){(literal), sizeof(literal) - 1})
#define SPAN_INIT(literal) {(literal), sizeof(literal) - 1}
/* For printf's %.*s */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline roam_span span_of(const char *text)
{
    return (roam_span){text, text ? strlen(text) : 0};
}

static inline roam_span span_make(const char *ptr, size_t len)
{
    return (roam_span){ptr, len};
}

static inline roam_span span_between(const char *begin, const char *end)
{
    return (roam_span){begin, (size_t)(end - begin)};
}

static inline bool span_eq(roam_span a, roam_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Equal but for the case of ASCII letters. */
static inline bool span_ieq(roam_span a, roam_span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

static inline bool span_starts(roam_span s, roam_span prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* Without blanks, tabs and line ends at both ends (folded values keep the fold inside). */
roam_span span_trim(roam_span s);

/* The text before the first `c`; `rest` gets what follows it (empty and ptr NULL when there is no `c`). `rest` may be &s. */
roam_span span_cut(roam_span s, char c, roam_span *rest);

/* Decimal digits only, the whole span; false when empty, not a number, or above `max`. */
bool span_u64(roam_span s, uint64_t max, uint64_t *out);
bool span_u32(roam_span s, uint32_t *out);

#endif

/* Spans: trimming, cutting, numbers. */
#include "base/span.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

roam_span span_trim(roam_span s)
{
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

roam_span span_cut(roam_span s, char c, roam_span *rest)
{
    const char *found = s.len ? memchr(s.ptr, c, s.len) : NULL;
    if (!found) {
        *rest = (roam_span){NULL, 0};
        return s;
    }
    *rest = span_between(found + 1, s.ptr + s.len);
    return span_between(s.ptr, found);
}

bool span_u64(roam_span s, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    if (!s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.ptr[i]))
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (digit > max || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

bool span_u32(roam_span s, uint32_t *out)
{
    uint64_t n;
    if (!span_u64(s, UINT32_MAX, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

/* Character classes, and the pieces of grammar that several headers share. */
#include "wire/chars.h"

SCAN_INLINE const char *scan_ip4(const char *base, const char *p, const char *end, roam_ip *ip);
static bool scan_ip6(roam_span text, roam_ip *ip);

/* Bits as in chars.h; tests/uri_test.c holds each against the characters that the RFC lists. */
const uint16_t char_classes[256] = {
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0080, 0x0080, 0x0000, 0x0000, 0x0080, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0080, 0x073f, 0x0002, 0x0704, 0x073c, 0x0703, 0x071c, 0x073f,
    0x273e, 0x273e, 0x073f, 0x073f, 0x040c, 0x277f, 0x277f, 0x0736,
    0x3f7f, 0x3f7f, 0x3f7f, 0x3f7f, 0x3f7f, 0x3f7f, 0x3f7f, 0x3f7f,
    0x3f7f, 0x3f7f, 0x0732, 0x0404, 0x0002, 0x050c, 0x0002, 0x0726,
    0x0700, 0x177f, 0x177f, 0x177f, 0x177f, 0x177f, 0x177f, 0x077f,
    0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f,
    0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f,
    0x077f, 0x077f, 0x077f, 0x0732, 0x0302, 0x0732, 0x0300, 0x077f,
    0x0303, 0x177f, 0x177f, 0x177f, 0x177f, 0x177f, 0x177f, 0x077f,
    0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f,
    0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f, 0x077f,
    0x077f, 0x077f, 0x077f, 0x0302, 0x0300, 0x0302, 0x073f, 0x0000,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
    0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300, 0x0300,
};

const char *scan_quoted(const char *p, const char *end)
{
    p++;
    const char *close = find_char(p, end, '"');
    const char *escape = close ? find_char(p, close, '\\') : NULL;
    if (!escape)
        return close ? close + 1 : NULL;
    for (p = escape; p < end; p++) { /* from the first backslash on byte by byte: a peer may send nothing else */
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && (++p == end || *p == '\r' || *p == '\n'))
            return NULL;
    }
    return NULL;
}

const char *scan_host(const char *base, const char *p, const char *end, roam_span *host, roam_ip *ip)
{
    const char *stop = p;
    ip->family = 0;
    if (p == end)
        return NULL;
    if (*p == '[') {
        const char *close = find_char(p, end, ']');
        if (!close)
            return NULL;
        *host = span_between(p + 1, close);
        return scan_ip6(*host, ip) ? close + 1 : NULL;
    }
    if (ascii_is_digit(*p) && (stop = scan_ip4(base, p, end, ip)) != NULL && (stop == end || !char_is(*stop, CHAR_HOST))) {
        *host = span_between(p, stop);
        return stop;
    }
    ip->family = 0;
    stop = skip_run(base, p, end, CHAR_HOST);
    if (stop == p)
        return NULL;
    *host = span_between(p, stop);
    /* hostname: the last label starts with a letter, so what looks like an address but is none is refused. */
    const char *label = stop[-1] == '.' ? stop - 1 : stop;
    if (label == p || *p == '.' || *p == '-' || label[-1] == '-' || label[-1] == '.')
        return NULL;
    if (!ascii_is_digit(label[-1]))
        return stop;
    while (label > p && ascii_is_digit(label[-1]))
        label--;
    return label == p || label[-1] == '.' ? NULL : stop;
}

bool params_valid(const char *base, const char *p, const char *end, roam_span *tag)
{
    roam_span name, value;
    while (p < end) {
        if (*p != ';')
            return false;
        p = scan_param(base, p + 1, end, &name, &value);
        if (!p)
            return false;
        if (name.len == 3 && !tag->len && WORD_IS(name, "tag"))
            *tag = value;
    }
    return true;
}

/* Four decimal numbers: the byte after them, or NULL. The common case of every message, so it is not left to the general
 * parser. A leading zero is refused: 010 is octal to some readers. */
SCAN_INLINE const char *scan_ip4(const char *base, const char *p, const char *end, roam_ip *ip)
{
    uint8_t found[4];
    const char *start = p;
    char copy[32];
    if (end - p < 16) { /* then read from where a NUL follows: the longest address is 15 long */
        size_t len = (size_t)(end - p);
        memset(copy + 16, 0, 16);
        if (end - base >= 16)
            memcpy(copy, end - 16, 16);
        else
            memcpy(copy + 16 - len, p, len);
        p = copy + 16 - len;
    }
    const char *first = p;
    for (unsigned i = 0; i < 4; i++) {
        unsigned n = (uint8_t)(*p - '0'), digit;
        if (n > 9)
            return NULL;
        digit = (uint8_t)(*++p - '0');
        if (digit <= 9) {
            if (n == 0)
                return NULL;
            n = n * 10 + digit;
            digit = (uint8_t)(*++p - '0');
            if (digit <= 9) {
                n = n * 10 + digit;
                if (n > 255)
                    return NULL;
                p++;
            }
        }
        found[i] = (uint8_t)n;
        if (i < 3 && *p++ != '.')
            return NULL;
    }
    *ip = (roam_ip){.family = 4};
    memcpy(ip->bytes, found, 4);
    return start + (p - first);
}

/* IPv6address. The grammar of RFC 3261 yields one ':' too many before an embedded IPv4 address, which has to be
 * tolerated there and nowhere else (RFC 5118 4.10). Zones have no place on the wire. */
static bool scan_ip6(roam_span text, roam_ip *ip)
{
    char fixed[48];
    if (text.len > sizeof fixed || !text.len || memchr(text.ptr, '%', text.len) || text.ptr[0] == '[')
        return false;
    if (roam_ip_parse(text, ip) == ROAM_OK)
        return ip->family == 6;
    for (size_t i = 0; i + 3 < text.len; i++) {
        if (memcmp(text.ptr + i, ":::", 3) != 0)
            continue;
        roam_span tail = span_make(text.ptr + i + 3, text.len - i - 3);
        roam_ip embedded;
        if (scan_ip4(tail.ptr, tail.ptr, tail.ptr + tail.len, &embedded) != tail.ptr + tail.len)
            return false;
        memcpy(fixed, text.ptr, i + 2);
        memcpy(fixed + i + 2, tail.ptr, tail.len);
        return roam_ip_parse(span_make(fixed, text.len - 1), ip) == ROAM_OK && ip->family == 6;
    }
    return false;
}

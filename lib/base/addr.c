/* IP addresses as text. Read by our own parser, so that every platform accepts and refuses the same. */
#include "base/span.h"
#include "base/writer.h"

static bool parse_ip4(roam_span text, uint8_t out[4]);
static bool parse_ip6(roam_span text, uint8_t out[16]);
static void write_ip6(roam_writer *w, const uint8_t bytes[16]);
static bool is_link_local(const uint8_t bytes[16]);

int roam_ip_parse(roam_span text, roam_ip *out)
{
    roam_ip ip = {0};
    bool brackets = text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']';
    if (brackets)
        text = span_make(text.ptr + 1, text.len - 2);
    if (!brackets && parse_ip4(text, ip.bytes)) {
        ip.family = 4;
        *out = ip;
        return ROAM_OK;
    }
    roam_span zone;
    roam_span digits = span_cut(text, '%', &zone);
    memset(ip.bytes, 0, sizeof ip.bytes);
    if (!parse_ip6(digits, ip.bytes))
        return ROAM_ESYNTAX;
    if (zone.ptr && (!is_link_local(ip.bytes) || !span_u32(zone, &ip.scope) || ip.scope == 0))
        return ROAM_ESYNTAX;
    ip.family = 6;
    *out = ip;
    return ROAM_OK;
}

int roam_addr_parse(roam_span text, roam_addr *out)
{
    roam_addr addr = {0};
    roam_span host = text, port = {NULL, 0};
    if (text.len && text.ptr[0] == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        if (!close)
            return ROAM_ESYNTAX;
        host = span_between(text.ptr, close + 1);
        if (host.len < text.len) {
            if (close[1] != ':')
                return ROAM_ESYNTAX;
            port = span_between(close + 2, text.ptr + text.len);
        }
    } else {
        roam_span rest;
        roam_span before = span_cut(text, ':', &rest);
        bool one_colon = rest.ptr && (!rest.len || !memchr(rest.ptr, ':', rest.len));
        if (one_colon) {
            host = before;
            port = rest;
        }
    }
    uint64_t number = 0;
    if (port.ptr && (port.len > 5 || !span_u64(port, UINT16_MAX, &number)))
        return ROAM_ESYNTAX;
    int err = roam_ip_parse(host, &addr.ip);
    if (err)
        return err;
    addr.port = (uint16_t)number;
    *out = addr;
    return ROAM_OK;
}

size_t roam_ip_format(const roam_ip *ip, char *out)
{
    roam_writer w;
    writer_init(&w, out, ROAM_ADDR_TEXT_MAX - 1);
    if (ip->family == 4) {
        for (size_t i = 0; i < 4; i++) {
            if (i)
                write_char(&w, '.');
            write_u64(&w, ip->bytes[i]);
        }
    } else if (ip->family == 6) {
        write_ip6(&w, ip->bytes);
        if (ip->scope) {
            write_char(&w, '%');
            write_u64(&w, ip->scope);
        }
    }
    out[w.len] = '\0';
    return w.len;
}

size_t roam_addr_format(const roam_addr *addr, char *out)
{
    char host[ROAM_ADDR_TEXT_MAX];
    size_t len = roam_ip_format(&addr->ip, host);
    roam_writer w;
    writer_init(&w, out, ROAM_ADDR_TEXT_MAX - 1);
    if (addr->ip.family) {
        if (addr->ip.family == 6)
            write_char(&w, '[');
        write_bytes(&w, host, len);
        if (addr->ip.family == 6)
            write_char(&w, ']');
        write_char(&w, ':');
        write_u64(&w, addr->port);
    }
    out[w.len] = '\0';
    return w.len;
}

bool roam_ip_equal(const roam_ip *a, const roam_ip *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == 4)
        return memcmp(a->bytes, b->bytes, 4) == 0;
    if (a->family == 6)
        return memcmp(a->bytes, b->bytes, 16) == 0 && a->scope == b->scope;
    return true;
}

bool roam_addr_equal(const roam_addr *a, const roam_addr *b)
{
    return a->port == b->port && roam_ip_equal(&a->ip, &b->ip);
}

/* Four decimal bytes. A leading zero is refused: some read it as octal, and two readings of one address are a hole. */
static bool parse_ip4(roam_span text, uint8_t out[4])
{
    roam_span rest = text;
    for (int i = 0; i < 4; i++) {
        uint64_t n;
        if (i > 0 && !rest.ptr)
            return false;
        roam_span part = span_cut(rest, '.', &rest);
        if (part.len > 3 || !span_u64(part, 255, &n) || (part.len > 1 && part.ptr[0] == '0'))
            return false;
        out[i] = (uint8_t)n;
    }
    return !rest.ptr;
}

static int hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 4291, 2.2: groups of up to four hex digits, one "::" for one zero group or more, the last two perhaps as IPv4. */
static bool parse_ip6(roam_span text, uint8_t out[16])
{
    uint8_t bytes[16];
    size_t n = 0;
    size_t gap = SIZE_MAX; /* where in `bytes` the "::" stands */
    const char *p = text.ptr, *end = text.ptr + text.len;
    if (text.len < 2)
        return false;
    if (p[0] == ':') {
        if (p[1] != ':')
            return false;
        gap = 0;
        p += 2;
    }
    while (p < end) {
        unsigned group = 0;
        const char *start = p;
        while (p < end && p - start < 4 && hex_value(*p) >= 0)
            group = group << 4 | (unsigned)hex_value(*p++);
        if (p < end && *p == '.') {
            if (n > 12 || !parse_ip4(span_between(start, end), bytes + n))
                return false;
            n += 4;
            break;
        }
        if (p == start || n > 14)
            return false;
        bytes[n++] = (uint8_t)(group >> 8);
        bytes[n++] = (uint8_t)group;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = n;
            p++;
        }
    }
    if (gap == SIZE_MAX ? n != 16 : n > 14)
        return false;
    memset(out, 0, 16);
    if (gap == SIZE_MAX)
        gap = n;
    memcpy(out, bytes, gap);
    memcpy(out + 16 - (n - gap), bytes + gap, n - gap);
    return true;
}

/* RFC 5952: lower case, no leading zeros, "::" for the first of the longest runs of two zero groups or more (4.2). */
static void write_ip6(roam_writer *w, const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const char hex[] = "0123456789abcdef";
    int best = -1, best_len = 1;
    bool ip4 = memcmp(bytes, mapped, sizeof mapped) == 0; /* 5: a known prefix shows its IPv4 address */
    int groups = ip4 ? 6 : 8;
    for (int i = 0; i < groups; i++) {
        int run = 0;
        while (i + run < groups && bytes[2 * (i + run)] == 0 && bytes[2 * (i + run) + 1] == 0)
            run++;
        if (run > best_len) {
            best = i;
            best_len = run;
        }
        if (run)
            i += run - 1;
    }
    for (int i = 0; i < groups; i++) {
        if (i == best) {
            write_lit(w, "::");
            i += best_len - 1;
            continue;
        }
        if (i > 0 && !(best >= 0 && i == best + best_len))
            write_char(w, ':');
        unsigned group = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
        for (int shift = 12; shift >= 0; shift -= 4)
            if (shift == 0 || group >> shift)
                write_char(w, hex[group >> shift & 15]);
    }
    for (size_t i = 0; ip4 && i < 4; i++) {
        write_char(w, i ? '.' : ':');
        write_u64(w, bytes[12 + i]);
    }
}

static bool is_link_local(const uint8_t bytes[16])
{
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

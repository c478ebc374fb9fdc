/* The writer: numbers and addresses as text. */
#include "base/writer.h"

static void write_ip_text(roam_writer *w, const roam_ip *ip, bool brackets);

void write_cstr(roam_writer *w, const char *text)
{
    if (text)
        write_bytes(w, text, strlen(text));
}

void write_u64(roam_writer *w, uint64_t n)
{
    char digits[20]; /* 2^64 has 20 */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    write_bytes(w, digits + at, sizeof digits - at);
}

void write_hex(roam_writer *w, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    if (w->overflow || len > (w->cap - w->len) / 2) { /* all or nothing, as write_bytes */
        w->overflow = w->overflow || len > 0;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        w->ptr[w->len++] = hex[p[i] >> 4];
        w->ptr[w->len++] = hex[p[i] & 15];
    }
}

void write_ip(roam_writer *w, const roam_ip *ip)
{
    write_ip_text(w, ip, false);
}

void write_host(roam_writer *w, const roam_ip *ip)
{
    write_ip_text(w, ip, true);
}

void write_addr(roam_writer *w, const roam_addr *addr)
{
    write_host(w, &addr->ip);
    write_char(w, ':');
    write_u64(w, addr->port);
}

/* The zone of a link-local address means something on this host only and never goes on the wire (RFC 4007, 11.2). */
static void write_ip_text(roam_writer *w, const roam_ip *ip, bool brackets)
{
    char text[ROAM_ADDR_TEXT_MAX];
    if (ip->family == 4) { /* in every Via, Contact and SDP line: digits straight into their place */
        char *p = text;
        for (size_t i = 0; i < 4; i++) {
            unsigned n = ip->bytes[i];
            if (i)
                *p++ = '.';
            if (n >= 100)
                *p++ = (char)('0' + n / 100);
            if (n >= 10)
                *p++ = (char)('0' + n / 10 % 10);
            *p++ = (char)('0' + n % 10);
        }
        write_bytes(w, text, (size_t)(p - text));
        return;
    }
    roam_ip plain = *ip;
    plain.scope = 0;
    size_t len = roam_ip_format(&plain, text);
    bool six = brackets && ip->family == 6;
    if (six)
        write_char(w, '[');
    write_bytes(w, text, len);
    if (six)
        write_char(w, ']');
}

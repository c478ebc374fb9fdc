/* A writer into space of fixed size. Overflow is sticky: write everything, then look at `overflow` once. */
#ifndef ROAM_BASE_WRITER_H
#define ROAM_BASE_WRITER_H

#include "base/span.h"

typedef struct roam_writer {
    char *ptr;
    size_t len;
    size_t cap;
    bool overflow; /* something did not fit; `len` stays at the last thing that did */
} roam_writer;

static inline void writer_init(roam_writer *w, char *space, size_t cap)
{
    *w = (roam_writer){space, 0, cap, false};
}

static inline void write_bytes(roam_writer *w, const char *bytes, size_t len)
{
    if (w->overflow || len > w->cap - w->len) {
        w->overflow = true;
        return;
    }
    if (len) {
        memcpy(w->ptr + w->len, bytes, len);
        w->len += len;
    }
}

static inline void write_span(roam_writer *w, roam_span s)
{
    write_bytes(w, s.ptr, s.len);
}

#define write_lit(w, literal) write_bytes((w), (literal), sizeof(literal) - 1)

static inline void write_char(roam_writer *w, char c)
{
    write_bytes(w, &c, 1);
}

void write_cstr(roam_writer *w, const char *text); /* NULL writes nothing */
void write_u64(roam_writer *w, uint64_t n);
void write_hex(roam_writer *w, const void *bytes, size_t len); /* lower case */
/* The zone of a link-local address is not written: it means something on this host only (RFC 4007, 11.2). */
void write_ip(roam_writer *w, const roam_ip *ip);              /* IPv6 without brackets, as SDP wants it */
void write_host(roam_writer *w, const roam_ip *ip);            /* IPv6 in brackets, as SIP wants it */
void write_addr(roam_writer *w, const roam_addr *addr);        /* host:port */

static inline roam_span writer_span(const roam_writer *w)
{
    return (roam_span){w->ptr, w->len};
}

#endif

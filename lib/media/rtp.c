/* RTP packets (RFC 3550, 5.1 and 5.3.1). */
#include "media/rtp.h"

int rtp_parse(roam_rtp *rtp, roam_span bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    if (bytes.len < RTP_HEADER || bytes.len > RTP_MAX_PACKET || p[0] >> 6 != 2)
        return ROAM_ESYNTAX;
    size_t at = RTP_HEADER + 4u * (p[0] & 0x0fu);
    size_t end = bytes.len;
    if (p[0] & 0x10) { /* one extension: 16 bits of its own, then its length in words */
        if (end < at + 4)
            return ROAM_ESYNTAX;
        at += 4u + 4u * load_be16(p + at + 2);
    }
    if (at > end)
        return ROAM_ESYNTAX;
    if (p[0] & 0x20) { /* the last octet counts the padding, itself included */
        if (at == end || p[end - 1] == 0 || p[end - 1] > end - at)
            return ROAM_ESYNTAX;
        end -= p[end - 1];
    }
    rtp->marker = p[1] >> 7;
    rtp->payload_type = p[1] & 0x7f;
    rtp->sequence = load_be16(p + 2);
    rtp->timestamp = load_be32(p + 4);
    rtp->ssrc = load_be32(p + 8);
    rtp->payload = span_make(bytes.ptr + at, end - at);
    return ROAM_OK;
}

void rtp_write_header(const roam_rtp *rtp, uint8_t out[RTP_HEADER])
{
    out[0] = 2 << 6;
    out[1] = (uint8_t)((rtp->marker ? 0x80 : 0) | (rtp->payload_type & 0x7f));
    store_be16(out + 2, rtp->sequence);
    store_be32(out + 4, rtp->timestamp);
    store_be32(out + 8, rtp->ssrc);
}

bool rtp_is_rtcp(roam_span bytes)
{
    if (bytes.len < 2)
        return false;
    uint8_t type = (uint8_t)bytes.ptr[1];
    return type >= 192 && type <= 223;
}

/* RTCP packets and timing rules (RFC 3550, 6.2 to 6.6, A.2, A.7). */
#include "media/rtcp.h"

#include "media/rtp.h"

enum { SDES_CNAME = 1 };
/* octets */
#define WORD ((size_t)4)
#define BLOCK ((size_t)24)
#define SENDER_INFO ((size_t)20)

static void write_be16(roam_writer *w, uint16_t n);
static void write_be32(roam_writer *w, uint32_t n);
static void write_head(roam_writer *w, unsigned count, uint8_t type, size_t octets);
static void write_sdes(roam_writer *w, uint32_t ssrc, roam_span cname);

void write_rtcp(roam_writer *w, const roam_rtcp_report *report)
{
    const roam_rtcp_sender_info *sender = report->sender;
    const roam_rtcp_block *block = report->block;
    write_head(w, block ? 1 : 0, sender ? RTCP_SR : RTCP_RR, 2 * WORD + (sender ? SENDER_INFO : 0) + (block ? BLOCK : 0));
    write_be32(w, report->ssrc);
    if (sender) {
        write_be32(w, (uint32_t)(sender->ntp >> 32));
        write_be32(w, (uint32_t)sender->ntp);
        write_be32(w, sender->timestamp);
        write_be32(w, sender->packets);
        write_be32(w, sender->octets);
    }
    if (block) {
        write_be32(w, block->ssrc);
        write_be32(w, (uint32_t)block->fraction_lost << 24 | ((uint32_t)block->lost & 0xffffffu));
        write_be32(w, block->extended_sequence);
        write_be32(w, block->jitter);
        write_be32(w, block->last_sr);
        write_be32(w, block->delay);
    }
    write_sdes(w, report->ssrc, report->cname);
    if (report->bye) {
        write_head(w, 1, RTCP_BYE, 2 * WORD);
        write_be32(w, report->ssrc);
    }
}

bool rtcp_valid(roam_span compound)
{
    const uint8_t *p = (const uint8_t *)compound.ptr;
    if (compound.len < 2 * WORD || (p[0] & 0xe0) != 0x80 || (p[1] != RTCP_SR && p[1] != RTCP_RR))
        return false;
    size_t at = 0;
    while (at < compound.len) {
        if (compound.len - at < WORD || p[at] >> 6 != 2)
            return false;
        size_t length = WORD + WORD * load_be16(p + at + 2);
        if (length > compound.len - at)
            return false;
        /* Only the last packet may be padded (6.4.1). */
        if (p[at] & 0x20) {
            uint8_t padding = p[at + length - 1];
            if (at + length != compound.len || padding == 0 || padding % WORD || padding > length - WORD)
                return false;
        }
        at += length;
    }
    return true;
}

bool rtcp_next(roam_span *rest, roam_rtcp *out)
{
    const uint8_t *p = (const uint8_t *)rest->ptr;
    if (rest->len < WORD)
        return false;
    size_t length = WORD + WORD * load_be16(p + 2);
    if (length > rest->len)
        return false;
    size_t end = length;
    if ((p[0] & 0x20) && p[length - 1] <= length - WORD)
        end -= p[length - 1];
    out->count = p[0] & 0x1f;
    out->type = p[1];
    out->body = span_make(rest->ptr + WORD, end - WORD);
    out->ssrc = out->body.len >= WORD ? load_be32(out->body.ptr) : 0;
    *rest = span_make(rest->ptr + length, rest->len - length);
    return true;
}

bool rtcp_sender_info(const roam_rtcp *packet, roam_rtcp_sender_info *out)
{
    if (packet->type != RTCP_SR || packet->body.len < WORD + SENDER_INFO)
        return false;
    const char *p = packet->body.ptr + WORD;
    out->ntp = (uint64_t)load_be32(p) << 32 | load_be32(p + 4);
    out->timestamp = load_be32(p + 8);
    out->packets = load_be32(p + 12);
    out->octets = load_be32(p + 16);
    return true;
}

bool rtcp_block(const roam_rtcp *packet, unsigned n, roam_rtcp_block *out)
{
    if ((packet->type != RTCP_SR && packet->type != RTCP_RR) || n >= packet->count)
        return false;
    size_t at = WORD + (packet->type == RTCP_SR ? SENDER_INFO : 0) + n * BLOCK;
    if (packet->body.len < at + BLOCK)
        return false;
    const char *p = packet->body.ptr + at;
    uint32_t loss = load_be32(p + 4);
    out->ssrc = load_be32(p);
    out->fraction_lost = (uint8_t)(loss >> 24);
    out->lost = (int32_t)(loss & 0xffffffu) - (loss & 0x800000u ? 0x1000000 : 0);
    out->extended_sequence = load_be32(p + 8);
    out->jitter = load_be32(p + 12);
    out->last_sr = load_be32(p + 16);
    out->delay = load_be32(p + 20);
    return true;
}

bool rtcp_bye_names(const roam_rtcp *packet, uint32_t ssrc)
{
    if (packet->type != RTCP_BYE)
        return false;
    for (size_t i = 0; i < packet->count && packet->body.len >= (i + 1) * WORD; i++)
        if (load_be32(packet->body.ptr + i * WORD) == ssrc)
            return true;
    return false;
}

uint64_t rtcp_ntp(roam_time now)
{
    /* One second more, so that the middle bits of a clock that starts at 0 are not 0, which means "no SR". */
    uint64_t seconds = now / 1000000u + 1;
    uint64_t rest = now % 1000000u;
    return seconds << 32 | (rest << 32) / 1000000u;
}

roam_time rtcp_interval_deterministic(const roam_rtcp_interval *in)
{
    /* A quarter of the bandwidth is for senders while they are at most a quarter of the members. */
    uint64_t bandwidth = in->bandwidth ? in->bandwidth : 1;
    uint64_t n = in->members;
    uint64_t share = 4;
    if (in->senders > 0 && in->senders * 4u <= in->members) {
        share = in->we_sent ? 1 : 3;
        n = in->we_sent ? in->senders : in->members - in->senders;
    }
    roam_time interval = (uint64_t)in->average_size * n * 4u * 1000000u / (bandwidth * share);
    roam_time minimum = in->initial ? in->minimum / 2 : in->minimum;
    return interval > minimum ? interval : minimum;
}

roam_time rtcp_interval(const roam_rtcp_interval *in, roam_random *random)
{
    /* 0.5 + r, over e - 1.5 = 1.21828, which makes up for what reconsideration adds (6.3.1). */
    uint64_t factor = 500000u + random_below(random, 1000001);
    return rtcp_interval_deterministic(in) / 1000u * factor / 1218280u * 1000u;
}

static void write_sdes(roam_writer *w, uint32_t ssrc, roam_span cname)
{
    static const char zeros[WORD];
    if (cname.len > 255)
        cname.len = 255;
    /* The list of items ends with one to four zeros, at a word. */
    size_t items = 2 + cname.len;
    size_t zero = WORD - items % WORD;
    write_head(w, 1, RTCP_SDES, 2 * WORD + items + zero);
    write_be32(w, ssrc);
    write_char(w, SDES_CNAME);
    write_char(w, (char)cname.len);
    write_span(w, cname);
    write_bytes(w, zeros, zero);
}

static void write_head(roam_writer *w, unsigned count, uint8_t type, size_t octets)
{
    write_char(w, (char)(0x80u | count));
    write_char(w, (char)type);
    write_be16(w, (uint16_t)(octets / WORD - 1));
}

static void write_be16(roam_writer *w, uint16_t n)
{
    char b[2];
    store_be16(b, n);
    write_bytes(w, b, sizeof b);
}

static void write_be32(roam_writer *w, uint32_t n)
{
    char b[4];
    store_be32(b, n);
    write_bytes(w, b, sizeof b);
}

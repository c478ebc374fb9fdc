/* What the captures and recordings of the demo say. */
#include "cli/demo.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool add(demo_packets *packets, const demo_packet *packet);
static int by_time(const void *a, const void *b);
static bool parse_rtp(const uint8_t *ip, size_t len, demo_packet *out);

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t address(const char *text)
{
    struct in_addr in = {0};
    return text && inet_pton(AF_INET, text, &in) == 1 ? ntohl(in.s_addr) : 0;
}

bool demo_packets_read(demo_packets *packets, const char *path, const char *from, const char *to)
{
    const uint32_t source = address(from), target = address(to);
    uint8_t head[24], bytes[4096];
    uint32_t record[4]; /* seconds, nanoseconds, length, length: of the machine that wrote it, which is ours */
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    bool good = fread(head, sizeof head, 1, file) == 1;
    while (good && fread(record, sizeof record, 1, file) == 1 && record[2] <= sizeof bytes && fread(bytes, 1, record[2], file) == record[2]) {
        demo_packet packet = {.time = record[0] + record[1] / 1e9};
        if (parse_rtp(bytes, record[2], &packet) && (!source || packet.from == source) && (!target || packet.to == target))
            good = add(packets, &packet);
    }
    fclose(file);
    if (packets->n)
        qsort(packets->at, packets->n, sizeof *packets->at, by_time);
    return good;
}

void demo_packets_free(demo_packets *packets)
{
    free(packets->at);
    *packets = (demo_packets){0};
}

size_t demo_packets_count(const demo_packets *packets, double since, double until)
{
    size_t n = 0;
    for (size_t i = 0; i < packets->n; i++)
        n += packets->at[i].time >= since && packets->at[i].time < until;
    return n;
}

double demo_packets_gap(const demo_packets *packets, double since, double until, double *start)
{
    double last = since, longest = 0;
    *start = since;
    for (size_t i = 0; i <= packets->n; i++) {
        const double time = i < packets->n ? packets->at[i].time : until;
        if (time < since)
            continue;
        const double end = time < until ? time : until;
        if (end - last > longest) {
            longest = end - last;
            *start = last;
        }
        if (time >= until)
            break;
        last = time;
    }
    return longest;
}

unsigned demo_packets_missing(const demo_packets *packets, double since, double until)
{
    uint8_t seen[65536 / 8] = {0};
    bool any = false;
    uint16_t first = 0;
    uint32_t highest = 0;
    unsigned distinct = 0;
    for (size_t i = 0; i < packets->n; i++) {
        const demo_packet *p = &packets->at[i];
        if (p->time < since || p->time >= until)
            continue;
        if (!any)
            first = p->sequence;
        any = true;
        const uint16_t offset = (uint16_t)(p->sequence - first);
        if (offset >= 0x8000) /* earlier than the first we saw */
            continue;
        highest = offset > highest ? offset : highest;
        distinct += !(seen[offset / 8] & 1u << offset % 8);
        seen[offset / 8] |= (uint8_t)(1u << offset % 8);
    }
    return any ? highest + 1 - distinct : 0;
}

double demo_tone_share(const char *path, unsigned hertz, double seconds)
{
    uint8_t head[44];
    FILE *file = fopen(path, "rbe");
    if (!file)
        return -1;
    /* Our own sink's files: a header of 44 bytes, 16 bit mono, 8000 Hz for G.711. */
    const bool wav = fread(head, sizeof head, 1, file) == 1 && memcmp(head, "RIFF", 4) == 0 && head[22] == 1 && head[34] == 16;
    const unsigned rate = wav ? (unsigned)head[24] | (unsigned)head[25] << 8 | (unsigned)head[26] << 16 : 0;
    size_t wanted = (size_t)(seconds * rate), n = 0;
    int16_t *samples = wav && rate ? malloc(wanted * sizeof *samples) : NULL;
    if (samples && fseek(file, 0, SEEK_END) == 0 && ftell(file) >= 44 + (long)(2 * wanted) && fseek(file, -(long)(2 * wanted), SEEK_END) == 0)
        n = fread(samples, sizeof *samples, wanted, file);
    fclose(file);
    const size_t block = rate / 10; /* 100 ms each: the phase jumps where a gap was concealed */
    const double factor = 2 * cos(2 * 3.14159265358979323846 * hertz / (rate ? rate : 1));
    double share = 0;
    size_t blocks = 0;
    for (size_t at = 0; block && at + block <= n; at += block, blocks++) {
        double a = 0, b = 0, energy = 0;
        for (size_t i = 0; i < block; i++) {
            const double x = samples[at + i], next = x + factor * a - b;
            b = a;
            a = next;
            energy += x * x;
        }
        if (energy > 100.0 * (double)block)
            share += 2 * (a * a + b * b - factor * a * b) / ((double)block * energy);
    }
    free(samples);
    return blocks ? share / (double)blocks : 0;
}

static bool add(demo_packets *packets, const demo_packet *packet)
{
    if (packets->n == packets->cap) {
        const size_t cap = packets->cap ? 2 * packets->cap : 1024;
        demo_packet *at = realloc(packets->at, cap * sizeof *at);
        if (!at)
            return false;
        packets->at = at;
        packets->cap = cap;
    }
    packets->at[packets->n++] = *packet;
    return true;
}

static int by_time(const void *a, const void *b)
{
    const demo_packet *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

/* RTP and not RTCP by RFC 5761 section 4; SIP is elsewhere. */
static bool parse_rtp(const uint8_t *ip, size_t len, demo_packet *out)
{
    if (len < 20 || ip[0] >> 4 != 4 || ip[9] != 17 || ((ip[6] & 0x1f) | ip[7]) != 0)
        return false;
    const size_t start = (size_t)(ip[0] & 15) * 4;
    if (len < start + 8 + 12)
        return false;
    const uint8_t *udp = ip + start, *rtp = udp + 8;
    const unsigned from = (unsigned)udp[0] << 8 | udp[1], to = (unsigned)udp[2] << 8 | udp[3];
    if (from == 5060 || to == 5060 || rtp[0] >> 6 != 2 || (rtp[1] >= 192 && rtp[1] <= 223))
        return false;
    out->from = word(ip + 12);
    out->to = word(ip + 16);
    out->sequence = (uint16_t)(rtp[2] << 8 | rtp[3]);
    out->ssrc = word(rtp + 8);
    return true;
}

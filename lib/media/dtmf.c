/* Telephone events. The sender is a machine that is asked every packet time; the receiver knows an event by its timestamp. */
#include "media/dtmf.h"

#include "media/rtp.h"

enum { VOLUME = 10 }; /* -10 dBm0 */
static const char digits_text[] = "0123456789*#ABCD";
/* After so long a timestamp that looks older is one that has wrapped around. */
#define FORGET ROAM_SECONDS(3600)

static void fill_packet(const roam_dtmf_sender *d, bool first, bool end, roam_dtmf_packet *out);
static void begin_event(roam_dtmf_receiver *d, roam_time now, uint32_t timestamp, uint8_t code, uint32_t duration);
static roam_dtmf_report end_event(roam_dtmf_receiver *d);

int dtmf_code(char digit)
{
    if (digit >= 'a' && digit <= 'd')
        digit = (char)(digit - 'a' + 'A');
    const char *found = digit ? strchr(digits_text, digit) : NULL;
    return found ? (int)(found - digits_text) : -1;
}

char dtmf_digit(unsigned code)
{
    return code < sizeof digits_text - 1 ? digits_text[code] : '\0';
}

int dtmf_queue(roam_dtmf_sender *d, roam_span digits, uint32_t duration_ms)
{
    if (duration_ms == 0)
        duration_ms = DTMF_DEFAULT_MS;
    if (digits.len == 0 || duration_ms < DTMF_MIN_MS || duration_ms > DTMF_MAX_MS)
        return ROAM_EINVAL;
    for (size_t i = 0; i < digits.len; i++)
        if (dtmf_code(digits.ptr[i]) < 0)
            return ROAM_EINVAL;
    if (digits.len > DTMF_QUEUE - d->count)
        return ROAM_ELIMIT;
    for (size_t i = 0; i < digits.len; i++) {
        size_t at = (d->head + d->count) % DTMF_QUEUE;
        d->queue[at] = digits.ptr[i];
        d->durations_ms[at] = duration_ms;
        d->count++;
    }
    return ROAM_OK;
}

bool dtmf_send(roam_dtmf_sender *d, uint32_t timestamp, uint32_t ptime_ms, uint32_t clock, roam_dtmf_packet *out)
{
    const uint32_t step = (uint32_t)((uint64_t)clock * ptime_ms / 1000);
    if (d->state == DTMF_PAUSE) {
        if (d->left > 0) {
            d->left--;
            return false;
        }
        d->state = DTMF_IDLE;
    }
    switch (d->state) {
    case DTMF_IDLE:
        if (d->count == 0)
            return false;
        d->state = DTMF_TONE;
        d->timestamp = timestamp;
        d->duration = step;
        d->full = (uint32_t)((uint64_t)clock * d->durations_ms[d->head] / 1000);
        d->full = d->full > UINT16_MAX ? UINT16_MAX : d->full < step ? step : d->full;
        fill_packet(d, true, false, out);
        return true;
    case DTMF_TONE:
        d->duration += step;
        if (d->duration < d->full) {
            fill_packet(d, false, false, out);
            return true;
        }
        d->duration = d->full;
        d->state = DTMF_ENDING;
        d->left = DTMF_END_PACKETS;
        /* fall through */
    case DTMF_ENDING:
        fill_packet(d, false, true, out);
        if (--d->left == 0) {
            d->head = (d->head + 1) % DTMF_QUEUE;
            d->count--;
            d->state = DTMF_PAUSE;
            const uint32_t repeated = (DTMF_END_PACKETS - 1) * ptime_ms;
            d->left = repeated < DTMF_PAUSE_MS ? (DTMF_PAUSE_MS - repeated + ptime_ms - 1) / ptime_ms : 0;
        }
        return true;
    case DTMF_PAUSE:
        break;
    }
    return false;
}

int dtmf_receive(roam_dtmf_receiver *d, roam_time now, uint32_t timestamp, roam_span payload, roam_dtmf_report out[2])
{
    if (payload.len < DTMF_PAYLOAD)
        return ROAM_ESYNTAX;
    const uint8_t *p = (const uint8_t *)payload.ptr;
    const uint8_t code = p[0];
    const bool end = p[1] >> 7;
    const uint32_t duration = load_be16(p + 2);
    int n = 0;
    if (!dtmf_digit(code))
        return ROAM_ESYNTAX;
    if (d->any && now - d->seen > FORGET)
        d->any = false;
    if (d->any && timestamp != d->timestamp) {
        if ((int32_t)(timestamp - d->timestamp) < 0)
            return 0; /* reordered: of an event before */
        if (d->active)
            out[n++] = end_event(d);
        begin_event(d, now, timestamp, code, duration);
    } else if (!d->any) {
        begin_event(d, now, timestamp, code, duration);
    } else {
        d->last = d->seen = now;
        if (d->active && duration > d->duration)
            d->duration = duration;
    }
    if (end && d->active)
        out[n++] = end_event(d);
    return n;
}

bool dtmf_expire(roam_dtmf_receiver *d, roam_time now, roam_dtmf_report *out)
{
    if (!d->active || now - d->last < DTMF_LOST_END)
        return false;
    *out = end_event(d);
    return true;
}

static void fill_packet(const roam_dtmf_sender *d, bool first, bool end, roam_dtmf_packet *out)
{
    out->first = first;
    out->timestamp = d->timestamp;
    out->payload[0] = (uint8_t)dtmf_code(d->queue[d->head]);
    out->payload[1] = (uint8_t)((end ? 0x80 : 0) | VOLUME);
    store_be16(out->payload + 2, (uint16_t)d->duration);
}

static void begin_event(roam_dtmf_receiver *d, roam_time now, uint32_t timestamp, uint8_t code, uint32_t duration)
{
    *d = (roam_dtmf_receiver){.active = true, .any = true, .timestamp = timestamp, .code = code, .duration = duration, .last = now, .seen = now};
}

static roam_dtmf_report end_event(roam_dtmf_receiver *d)
{
    d->active = false; /* `any` stays: what still comes of it is a repetition */
    return (roam_dtmf_report){.digit = dtmf_digit(d->code), .duration = d->duration};
}

/* The table of source.h, row by row. */
#include "media/source.h"

#include "media/reception.h"

enum { CANDIDATE_AGE_MS = 1000 };

static bool source_silent(const roam_source *s, roam_time now, roam_time at_least);
static bool source_continues(const roam_source *s, roam_time now, uint16_t sequence, uint16_t max_sequence);
static bool source_probation(roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc, uint16_t sequence);
static roam_source_verdict source_become(roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc);

void source_init(roam_source *s, roam_time packet_time)
{
    *s = (roam_source){.packet_time = packet_time};
}

void source_signalled(roam_source *s, const roam_addr *addr, roam_time now)
{
    if (roam_addr_equal(&s->signalled, addr))
        return;
    /* The first one changes nothing: there was no source before it. */
    if (s->signalled.ip.family)
        s->window_until = now + SOURCE_WINDOW;
    s->signalled = *addr;
    s->candidates[0].run = 0;
}

roam_source_verdict source_check(roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc, uint16_t sequence,
                                 uint16_t max_sequence)
{
    if (s->known && ssrc == s->ssrc && roam_addr_equal(from, &s->addr)) {
        s->last = now;
        s->ended = false;
        return SOURCE_ACCEPTED;
    }
    const bool signalled = s->signalled.ip.family && roam_addr_equal(from, &s->signalled);
    const roam_time pause = SOURCE_SILENT_PACKETS * s->packet_time;
    if (!s->known) {
        if (signalled || source_probation(s, now, from, ssrc, sequence))
            return source_become(s, now, from, ssrc);
        return SOURCE_REFUSED;
    }
    const bool in_window = now < s->window_until;
    if (ssrc == s->ssrc && source_continues(s, now, sequence, max_sequence)) {
        const bool newer = (uint16_t)(sequence - max_sequence) - 1u < 0x7fffu;
        /* A straggler of the address before must not turn us back to it. */
        if (now < s->previous_until && roam_addr_equal(from, &s->previous) && !newer)
            return SOURCE_ACCEPTED;
        /* Within the window a stranger may take over from the address that the peer has left, not from the one it has just named. */
        const bool left = in_window && !roam_addr_equal(&s->addr, &s->signalled);
        if (signalled || (left && newer) || source_silent(s, now, pause))
            return source_become(s, now, from, ssrc);
        if (left) /* the new path is the slower one */
            return SOURCE_ACCEPTED;
        if (now < s->previous_until && roam_addr_equal(from, &s->previous))
            return SOURCE_ACCEPTED;
        return SOURCE_REFUSED;
    }
    if (!source_probation(s, now, from, ssrc, sequence))
        return SOURCE_REFUSED;
    bool believed;
    if (ssrc == s->ssrc)
        believed = source_silent(s, now, pause);
    else if (signalled)
        believed = !roam_addr_equal(&s->addr, &s->signalled) || source_silent(s, now, pause);
    else if (roam_addr_equal(from, &s->addr))
        believed = source_silent(s, now, pause);
    else
        believed = source_silent(s, now, in_window ? pause : SOURCE_STRANGER);
    return believed ? source_become(s, now, from, ssrc) : SOURCE_REFUSED;
}

bool source_check_rtcp(const roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc)
{
    if (s->signalled.ip.family && roam_ip_equal(&from->ip, &s->signalled.ip))
        return true;
    if (!s->known)
        return false;
    if (roam_ip_equal(&from->ip, &s->addr.ip) || (now < s->previous_until && roam_ip_equal(&from->ip, &s->previous.ip)))
        return true;
    /* RTCP may come first from the new address: it is sent at once after a move. */
    return ssrc == s->ssrc && (now < s->window_until || source_silent(s, now, SOURCE_SILENT_PACKETS * s->packet_time));
}

void source_ended(roam_source *s, uint32_t ssrc)
{
    if (s->known && ssrc == s->ssrc)
        s->ended = true;
}

static bool source_silent(const roam_source *s, roam_time now, roam_time at_least)
{
    return s->ended || now - s->last >= at_least;
}

/* Could this sequence be the next one after the silence that there was? Twice the packets of that time, and some. */
static bool source_continues(const roam_source *s, roam_time now, uint16_t sequence, uint16_t max_sequence)
{
    const uint16_t forward = (uint16_t)(sequence - max_sequence);
    const uint16_t back = (uint16_t)(max_sequence - sequence);
    roam_time ahead = RTP_MAX_MISORDER + 2 * ((now - s->last) / s->packet_time);
    if (ahead > RTP_MAX_DROPOUT)
        ahead = RTP_MAX_DROPOUT;
    return back < RTP_MAX_MISORDER || forward < ahead;
}

static bool source_probation(roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc, uint16_t sequence)
{
    roam_source_candidate *place = NULL;
    if (s->signalled.ip.family && roam_addr_equal(from, &s->signalled)) {
        place = &s->candidates[0];
    } else {
        for (size_t i = 1; i < SOURCE_CANDIDATES; i++) {
            roam_source_candidate *c = &s->candidates[i];
            if (c->run && c->ssrc == ssrc && roam_addr_equal(&c->addr, from)) {
                place = c;
                break;
            }
            if (!place || (place->run && (!c->run || c->last < place->last)))
                place = c;
        }
    }
    const bool follows = place->run && place->ssrc == ssrc && roam_addr_equal(&place->addr, from) && place->next == sequence &&
                         now - place->last < ROAM_MS(CANDIDATE_AGE_MS);
    if (!follows)
        *place = (roam_source_candidate){.addr = *from, .ssrc = ssrc};
    place->run += place->run < RTP_MIN_SEQUENTIAL;
    place->next = (uint16_t)(sequence + 1);
    place->last = now;
    return place->run >= RTP_MIN_SEQUENTIAL;
}

static roam_source_verdict source_become(roam_source *s, roam_time now, const roam_addr *from, uint32_t ssrc)
{
    const bool same = s->known && ssrc == s->ssrc;
    if (same) {
        s->previous = s->addr;
        s->previous_until = now + SOURCE_WINDOW;
    } else {
        s->previous_until = 0;
    }
    s->known = true;
    s->ended = false;
    s->addr = *from;
    s->ssrc = ssrc;
    s->last = now;
    memset(s->candidates, 0, sizeof s->candidates);
    return same ? SOURCE_MOVED : SOURCE_NEW;
}

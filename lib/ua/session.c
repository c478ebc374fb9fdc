#include "ua/session.h"

#include <assert.h>

#define CAN_SEND 1u /* bits of roam_direction */
#define CAN_RECEIVE 2u

void session_init(roam_session *s, roam_env *env, const char *codecs)
{
    *s = (roam_session){.env = env, .dtmf_type = 101};
    s->id = random_u64(&env->random) >> 2; /* o= fields are to fit a signed 64-bit number everywhere (RFC 3264 5) */
    s->version = s->id;
    size_t n = 0;
    roam_span rest = span_of(codecs);
    while (rest.len && n + 1 < SESSION_MAX_CODECS) {
        roam_span name = span_trim(span_cut(rest, ',', &rest));
        const roam_codec *codec = codec_find(name, 8000);
        if (codec)
            s->codecs[n++] = codec;
    }
    if (n == 0)
        for (const roam_codec *const *all = codec_list(); *all && n + 1 < SESSION_MAX_CODECS; all++)
            s->codecs[n++] = *all;
}

void session_free(roam_session *s)
{
    if (s->env) {
        mem_free(&s->env->mem, s->remote_offer);
        mem_free(&s->env->mem, s->others);
    }
    s->remote_offer = s->others = NULL;
}

void session_fork(roam_session *out, const roam_session *s)
{
    *out = *s;
    out->state = OFFER_STABLE;
    out->remote_offer = out->others = NULL; /* refused m= lines belong to the old dialog */
    out->remote_offer_len = out->others_len = out->others_before = 0;
    out->stream_index = 0;
    out->said = out->saying = (struct roam_description){0};
    out->remote_hold = false; /* the offer is whole: whether the peer holds in the new dialog is its answer's to say */
}

static void set_state(roam_session *s, roam_offer_state state)
{
    static const char *const text[] = {"stable", "local offer", "remote offer"};
    if (s->state == state)
        return;
    assert(s->state == OFFER_STABLE || state == OFFER_STABLE); /* offers alternate with answers */
    trace_state(&s->env->trace, "offer", s->id, text[s->state], text[state], "");
    s->state = state;
    if (state == OFFER_STABLE) {
        mem_free(&s->env->mem, s->remote_offer);
        s->remote_offer = NULL;
    }
}

/* ---- writing ---- */

static void write_origin(roam_session *s, roam_writer *w, const roam_session_local *local)
{
    if (!s->origin[0]) {
        roam_ip_format(&local->ip, s->origin);
        s->origin_family = local->ip.family;
    }
    write_lit(w, "v=0\r\no=- ");
    write_u64(w, s->id);
    write_char(w, ' ');
    write_u64(w, s->version);
    write_cstr(w, s->origin_family == 6 ? " IN IP6 " : " IN IP4 ");
    write_cstr(w, s->origin);
    write_lit(w, "\r\n");
}

/* The version rises by one when, and only when, what follows the o= line differs (RFC 3264 8). The o= line begins at `at`; returns where it ends now. */
static size_t fix_version(roam_session *s, roam_writer *w, size_t at, const roam_session_local *local, size_t after_origin)
{
    if (w->overflow)
        return after_origin;
    uint64_t hash = roam_siphash(s->env->hash_seed, span_make(w->ptr + after_origin, w->len - after_origin));
    if (s->described && hash != s->described) {
        /* One digit more would shift everything: write the origin anew, the rest behind it. */
        size_t tail = w->len - after_origin;
        char *copy = mem_alloc(&s->env->mem, tail);
        if (!copy) {
            w->overflow = true;
            return after_origin;
        }
        memcpy(copy, w->ptr + after_origin, tail);
        s->version++;
        w->len = at;
        write_origin(s, w, local);
        after_origin = w->len;
        write_bytes(w, copy, tail);
        mem_free(&s->env->mem, copy);
    }
    s->described = hash;
    return after_origin;
}

/* Keeps what was written for a repetition. */
static void keep_description(const roam_session *s, const roam_writer *w, size_t after_origin, roam_direction direction, const roam_session_local *local,
                             struct roam_description *d)
{
    size_t len = w->len - after_origin;
    d->version = s->version;
    d->direction = direction;
    d->local = *local;
    d->len = len <= sizeof d->text ? len : 0;
    memcpy(d->text, w->ptr + after_origin, d->len);
}

static void write_session_lines(roam_writer *w, const roam_session_local *local)
{
    write_lit(w, "s=-\r\nc=IN ");
    write_cstr(w, local->ip.family == 6 ? "IP6 " : "IP4 ");
    write_ip(w, &local->ip);
    write_lit(w, "\r\nt=0 0\r\n");
}

static void write_rtpmap(roam_writer *w, unsigned type, const char *name, unsigned clock)
{
    write_lit(w, "a=rtpmap:");
    write_u64(w, type);
    write_char(w, ' ');
    write_cstr(w, name);
    write_char(w, '/');
    write_u64(w, clock);
    write_lit(w, "\r\n");
}

static void write_dtmf_map(roam_writer *w, unsigned type)
{
    write_rtpmap(w, type, "telephone-event", 8000);
    write_lit(w, "a=fmtp:");
    write_u64(w, type);
    write_lit(w, " 0-15\r\n");
}

static void write_stream_tail(roam_writer *w, const roam_session_local *local, roam_direction direction, bool mux)
{
    write_lit(w, "a=ptime:20\r\na=");
    write_cstr(w, direction_text(direction));
    write_lit(w, "\r\n");
    if (local->rtcp_port != local->rtp_port + 1 && local->rtcp_port != local->rtp_port) { /* RFC 3605 */
        write_lit(w, "a=rtcp:");
        write_u64(w, local->rtcp_port);
        write_lit(w, "\r\n");
    }
    if (mux)
        write_lit(w, "a=rtcp-mux\r\n");
}

/* What we want, and what the peer's hold leaves of it: an offer for another reason must not read as its end. */
static roam_direction wanted_direction(const roam_session *s, bool hold)
{
    unsigned d = DIRECTION_SENDRECV;
    if (hold)
        d &= ~CAN_RECEIVE;
    if (s->remote_hold)
        d &= ~CAN_SEND;
    return (roam_direction)d;
}

/* The peer set the port to 0 (RFC 3264 8.2). It is the peer's to bring it back. */
static bool stream_taken_away(const roam_session *s)
{
    return !s->agreed.active && s->agreed.codec;
}

int session_offer(roam_session *s, roam_writer *w, const roam_session_local *local, bool hold)
{
    if (s->state != OFFER_STABLE)
        return ROAM_ESTATE;
    size_t at = w->len;
    write_origin(s, w, local);
    size_t after = w->len;
    write_session_lines(w, local);
    write_bytes(w, s->others, s->others_before);
    bool taken_away = stream_taken_away(s);
    write_lit(w, "m=audio ");
    write_u64(w, taken_away ? 0 : local->rtp_port);
    write_cstr(w, s->agreed.avpf ? " RTP/AVPF" : " RTP/AVP");
    /* The codec in use first: an answerer takes the first it knows, and a move is no reason to change. */
    const roam_codec *used = s->agreed.active ? s->agreed.codec : NULL;
    const bool narrow = s->narrow && used;
    for (int pass = 0; pass < (narrow ? 1 : 2); pass++)
        for (size_t i = 0; s->codecs[i]; i++)
            if ((s->codecs[i] == used) == (pass == 0)) {
                write_char(w, ' ');
                write_u64(w, (unsigned)s->codecs[i]->static_type);
            }
    write_char(w, ' ');
    write_u64(w, s->dtmf_type);
    write_lit(w, "\r\n");
    roam_direction direction = wanted_direction(s, hold);
    if (!taken_away) {
        for (size_t i = 0; s->codecs[i]; i++)
            if (!narrow || s->codecs[i] == used)
                write_rtpmap(w, (unsigned)s->codecs[i]->static_type, s->codecs[i]->name, s->codecs[i]->clock);
        write_dtmf_map(w, s->dtmf_type);
        write_stream_tail(w, local, direction, true);
    }
    if (s->others)
        write_bytes(w, s->others + s->others_before, s->others_len - s->others_before);
    after = fix_version(s, w, at, local, after);
    if (w->overflow)
        return ROAM_EOVERFLOW;
    keep_description(s, w, after, direction, local, &s->saying);
    s->offered = direction;
    set_state(s, OFFER_LOCAL);
    return 0;
}

void session_beyond(roam_session *s, uint64_t version)
{
    if (s->version < version)
        s->version = version;
    s->described = 1; /* of no description */
}

int session_repeat(roam_session *s, roam_writer *w)
{
    if (s->state != OFFER_STABLE)
        return ROAM_ESTATE;
    if (!s->said.len)
        return ROAM_ENOTFOUND;
    if (s->version != s->said.version) /* another description went out since: the peer may have taken it, or may remember its number */
        s->version++;
    write_origin(s, w, NULL);
    size_t after = w->len;
    write_bytes(w, s->said.text, s->said.len);
    if (w->overflow)
        return ROAM_EOVERFLOW;
    s->described = roam_siphash(s->env->hash_seed, span_make(s->said.text, s->said.len));
    keep_description(s, w, after, s->said.direction, &s->said.local, &s->saying);
    s->offered = s->said.direction;
    set_state(s, OFFER_LOCAL);
    return 0;
}

/* ---- reading ---- */

static bool is_audio_rtp(const roam_sdp_media *media)
{
    return span_ieq(media->type, SPAN("audio")) && (span_ieq(media->protocol, SPAN("RTP/AVP")) || span_ieq(media->protocol, SPAN("RTP/AVPF")));
}

static bool known_codec(const roam_session *s, const roam_codec *codec)
{
    for (size_t i = 0; s->codecs[i]; i++)
        if (s->codecs[i] == codec)
            return true;
    return false;
}

/* A payload type keeps its meaning for the whole session (RFC 3264 8.3.2): what the peer used for something else is not our telephone-event's number. */
static void note_taken(roam_session *s, const roam_sdp_media *media)
{
    roam_span rest = media->formats;
    uint8_t type;
    while (sdp_next_format(&rest, &type)) {
        roam_rtpmap map;
        if (type < 128 && sdp_rtpmap(media, type, &map) && !(span_ieq(map.encoding, SPAN("telephone-event")) && map.clock == 8000))
            s->taken[type / 64] |= (uint64_t)1 << (type % 64);
    }
    if (s->agreed.has_dtmf || s->state == OFFER_LOCAL)
        return; /* in use, or offered */
    for (unsigned n = 96; n < 128 && (s->taken[s->dtmf_type / 64] >> (s->dtmf_type % 64) & 1); n++)
        s->dtmf_type = (uint8_t)n;
}

/* The first format of the peer that we take; its order is its preference (RFC 3264 6.1). An answerer that lists several is taken by the first too. */
static bool read_formats(const roam_session *s, const roam_sdp_media *media, roam_agreement *a)
{
    roam_span rest = media->formats;
    uint8_t type;
    while (sdp_next_format(&rest, &type)) {
        roam_rtpmap map;
        if (!sdp_rtpmap(media, type, &map))
            continue;
        if (span_ieq(map.encoding, SPAN("telephone-event")) && map.clock == 8000) {
            if (!a->has_dtmf) {
                a->has_dtmf = true;
                a->send_dtmf = a->receive_dtmf = type;
            }
            continue;
        }
        const roam_codec *codec = map.channels == 1 ? codec_find(map.encoding, map.clock) : NULL;
        if (!a->codec && codec && known_codec(s, codec)) {
            a->codec = codec;
            a->send_type = a->receive_type = type;
        }
    }
    return a->codec != NULL;
}

/* RFC 3605 2.1: "rtcp:53020 IN IP4 192.0.2.7". */
static void read_rtcp(const roam_sdp_media *media, roam_addr *rtcp)
{
    const roam_sdp_attribute *attribute = sdp_attribute(media->attributes, media->nattributes, SPAN("rtcp"));
    if (!sdp_rtcp_port(media, &rtcp->port))
        rtcp->port = 0;
    if (!attribute)
        return;
    roam_span rest;
    roam_ip ip;
    span_cut(attribute->value, ' ', &rest);
    if ((span_starts(rest, SPAN("IN IP4 ")) || span_starts(rest, SPAN("IN IP6 "))) && roam_ip_parse(span_trim(span_make(rest.ptr + 7, rest.len - 7)), &ip) == 0)
        rtcp->ip = ip;
}

/* Where the peer wants its packets, and which way. False: a host name, or nothing. */
static bool read_remote(const roam_session *s, const roam_sdp *sdp, const roam_sdp_media *media, roam_agreement *a, roam_direction *theirs)
{
    static const uint8_t none[16];
    const roam_sdp_connection *c = sdp_media_connection(sdp, media);
    *theirs = sdp_direction(sdp, media);
    a->active = true;
    a->avpf = span_ieq(media->protocol, SPAN("RTP/AVPF"));
    a->rtcp_mux = sdp_attribute(media->attributes, media->nattributes, SPAN("rtcp-mux")) != NULL;
    if (c->ip.family && memcmp(c->ip.bytes, none, c->ip.family == 4 ? 4 : 16) == 0) { /* RFC 3264 8.4: nowhere. The address it had is kept for the way back */
        *theirs = (roam_direction)((unsigned)*theirs & ~CAN_RECEIVE);
        a->remote_rtp = s->agreed.remote_rtp;
        a->remote_rtcp = s->agreed.remote_rtcp;
        return true;
    }
    a->remote_rtp = (roam_addr){c->ip, media->port};
    a->remote_rtcp = a->remote_rtp;
    if (!a->rtcp_mux)
        read_rtcp(media, &a->remote_rtcp);
    return c->ip.family != 0;
}

/* The m= line that is our stream: where it was before if that can be, else the first audio over RTP with a codec of ours; -1: none. */
static int find_stream(const roam_session *s, const roam_sdp *sdp, roam_agreement *a)
{
    bool had = s->agreed.codec || s->state == OFFER_LOCAL;
    for (size_t n = 0; n <= sdp->nmedia; n++) {
        if (n == 0 && (!had || s->stream_index >= sdp->nmedia))
            continue;
        size_t i = n == 0 ? s->stream_index : n - 1;
        roam_agreement found = {0};
        if (is_audio_rtp(&sdp->media[i]) && sdp->media[i].port != 0 && read_formats(s, &sdp->media[i], &found)) {
            *a = found;
            return (int)i;
        }
    }
    return -1;
}

/* RFC 3264 8.2: the peer ends the stream and keeps the call. */
static bool takes_stream_away(const roam_session *s, const roam_sdp *sdp)
{
    return s->agreed.codec && s->stream_index < sdp->nmedia && sdp->media[s->stream_index].port == 0 &&
           span_ieq(sdp->media[s->stream_index].type, SPAN("audio"));
}

static int read_answer(roam_session *s, const roam_sdp *sdp, roam_agreement *a)
{
    roam_direction theirs;
    if (stream_taken_away(s)) { /* offered with port 0: there is nothing to say about it */
        *a = s->agreed;
        return 0;
    }
    if (find_stream(s, sdp, a) < 0 || !read_remote(s, sdp, &sdp->media[find_stream(s, sdp, a)], a, &theirs))
        return ROAM_EUNSUPPORTED;
    a->direction = (roam_direction)((unsigned)s->offered & (unsigned)direction_reverse(theirs));
    if (s->offered == DIRECTION_SENDRECV) /* what was not offered whole says nothing about the peer's own wish (inactive answers our hold too) */
        s->remote_hold = !(theirs & CAN_RECEIVE);
    /* We offered mux; the numbers we receive with are those we offered. */
    a->receive_type = (uint8_t)a->codec->static_type;
    a->receive_dtmf = s->dtmf_type;
    return 0;
}

int session_take_answer(roam_session *s, roam_span text)
{
    if (s->state != OFFER_LOCAL)
        return ROAM_ESTATE;
    roam_arena arena;
    arena_init(&arena, &s->env->mem);
    roam_sdp *sdp = arena_alloc(&arena, sizeof *sdp);
    int err = sdp ? sdp_parse(sdp, &arena, text) : ROAM_ENOMEM;
    roam_agreement a = {0};
    if (!err)
        err = read_answer(s, sdp, &a);
    arena_free(&arena);
    if (!err) {
        s->agreed = a;
        s->said = s->saying;
    }
    set_state(s, OFFER_STABLE);
    return err;
}

void session_reopen(roam_session *s)
{
    if (s->state == OFFER_STABLE)
        set_state(s, OFFER_LOCAL);
}

void session_withdraw(roam_session *s)
{
    if (s->state == OFFER_LOCAL)
        set_state(s, OFFER_STABLE);
}

int session_take_offer(roam_session *s, roam_span text)
{
    if (s->state != OFFER_STABLE)
        return ROAM_ESTATE;
    roam_arena arena;
    arena_init(&arena, &s->env->mem);
    roam_sdp *sdp = arena_alloc(&arena, sizeof *sdp);
    int err = sdp ? sdp_parse(sdp, &arena, text) : ROAM_ENOMEM;
    roam_agreement a = {0};
    roam_direction theirs = DIRECTION_SENDRECV;
    if (!err) {
        int i = find_stream(s, sdp, &a);
        if (i >= 0) {
            err = read_remote(s, sdp, &sdp->media[i], &a, &theirs) ? 0 : ROAM_EUNSUPPORTED;
            note_taken(s, &sdp->media[i]);
        } else if (takes_stream_away(s, sdp)) {
            a = s->agreed;
            a.active = false;
            theirs = DIRECTION_INACTIVE;
        } else {
            err = ROAM_EUNSUPPORTED;
        }
    }
    arena_free(&arena);
    if (err)
        return err;
    s->remote_offer = mem_strdup(&s->env->mem, text);
    if (!s->remote_offer)
        return ROAM_ENOMEM;
    s->remote_offer_len = text.len;
    s->next = a;
    s->remote_offered = theirs;
    set_state(s, OFFER_REMOTE);
    return 0;
}

static void write_refused(roam_writer *w, const roam_sdp_media *media)
{
    write_lit(w, "m=");
    write_span(w, media->type);
    write_lit(w, " 0 ");
    write_span(w, media->protocol);
    write_char(w, ' ');
    write_span(w, media->formats);
    write_lit(w, "\r\n");
}

static void write_accepted(roam_writer *w, const roam_sdp_media *media, const roam_agreement *a, const roam_session_local *local)
{
    write_lit(w, "m=audio ");
    write_u64(w, local->rtp_port);
    write_char(w, ' ');
    write_span(w, media->protocol);
    write_char(w, ' ');
    write_u64(w, a->receive_type);
    if (a->has_dtmf) {
        write_char(w, ' ');
        write_u64(w, a->receive_dtmf);
    }
    write_lit(w, "\r\n");
    write_rtpmap(w, a->receive_type, a->codec->name, a->codec->clock);
    if (a->has_dtmf)
        write_dtmf_map(w, a->receive_dtmf);
    write_stream_tail(w, local, a->direction, a->rtcp_mux);
}

int session_answer(roam_session *s, roam_writer *w, const roam_session_local *local, bool hold)
{
    if (s->state != OFFER_REMOTE)
        return ROAM_ESTATE;
    roam_arena arena;
    arena_init(&arena, &s->env->mem);
    roam_sdp *sdp = arena_alloc(&arena, sizeof *sdp);
    int err = sdp ? sdp_parse(sdp, &arena, span_make(s->remote_offer, s->remote_offer_len)) : ROAM_ENOMEM;
    if (err) {
        arena_free(&arena);
        return err;
    }
    roam_agreement a = s->next;
    unsigned mine = hold ? (unsigned)DIRECTION_SENDONLY : (unsigned)DIRECTION_SENDRECV;
    a.direction = (roam_direction)(mine & (unsigned)direction_reverse(s->remote_offered));
    size_t at = w->len;
    write_origin(s, w, local);
    size_t after = w->len;
    write_session_lines(w, local);
    roam_agreement ignored;
    int stream = a.active ? find_stream(s, sdp, &ignored) : (int)s->stream_index;
    char *others = NULL;
    size_t before = 0, between = 0, begin = w->len;
    for (size_t i = 0; i < sdp->nmedia; i++) {
        if ((int)i != stream) {
            write_refused(w, &sdp->media[i]);
            continue;
        }
        before = w->len - begin;
        if (a.active)
            write_accepted(w, &sdp->media[i], &a, local);
        else
            write_refused(w, &sdp->media[i]);
        between = w->len - begin;
    }
    size_t others_len = before + (w->len - begin - between);
    arena_free(&arena);
    if (!w->overflow && others_len) {
        others = mem_alloc(&s->env->mem, others_len);
        if (!others)
            return ROAM_ENOMEM;
        memcpy(others, w->ptr + begin, before);
        memcpy(others + before, w->ptr + begin + between, others_len - before);
    }
    after = fix_version(s, w, at, local, after);
    if (w->overflow) {
        mem_free(&s->env->mem, others);
        return ROAM_EOVERFLOW;
    }
    keep_description(s, w, after, a.direction, local, &s->said);
    mem_free(&s->env->mem, s->others);
    s->others = others;
    s->others_len = others_len;
    s->others_before = before;
    s->stream_index = (size_t)stream;
    s->agreed = a;
    if (a.has_dtmf)
        s->dtmf_type = a.receive_dtmf; /* numbers stay what they are for the whole session (RFC 3264 8.3.2) */
    if (a.active)
        s->remote_hold = !(s->remote_offered & CAN_RECEIVE);
    set_state(s, OFFER_STABLE);
    return 0;
}

void session_refuse(roam_session *s)
{
    if (s->state == OFFER_REMOTE)
        set_state(s, OFFER_STABLE);
}

void session_remember(const roam_session *s, roam_session_agreed *out)
{
    *out = (roam_session_agreed){s->agreed, s->remote_hold, s->said};
}

void session_take_back(roam_session *s, const roam_session_agreed *before)
{
    s->agreed = before->agreed;
    s->remote_hold = before->remote_hold;
    s->said = before->said;
}

/* SDP: one pass over the text. Attributes and kept lines go into two arrays of the whole session, in the order of the
 * text; each media owns a run of them. */
#include "wire/sdp.h"

#include "wire/chars.h"

typedef struct run {
    size_t lines, attributes; /* where the run of a media begins */
} run;

typedef struct parser {
    roam_sdp *sdp;
    roam_arena *arena;
    const char *limit;     /* the end of the text */
    roam_sdp_media *media; /* NULL while at the session level */
    roam_sdp_attribute *attributes;
    size_t nattributes, attributes_cap;
    roam_sdp_line *lines;
    size_t nlines, lines_cap;
    run media_runs[ROAM_MAX_SDP_MEDIA];
    bool has_version, has_origin, has_name;
} parser;

static const char *scan_line(const char *base, const char *p, const char *end);
static const char *scan_line_end(const char *p, const char *end);
static int parse_line(parser *p, char type, roam_span value);
static void assign_runs(parser *p);

static const char DIRECTION_TEXT[4][9] = {"inactive", "sendonly", "recvonly", "sendrecv"};

int sdp_parse(roam_sdp *sdp, roam_arena *arena, roam_span text)
{
    parser p = {.sdp = sdp, .arena = arena};

    memset(sdp, 0, offsetof(roam_sdp, media));
    sdp->nmedia = 0;
    if (!text.len)
        return ROAM_ESYNTAX;
    /* Most lines are attributes of some 30 bytes: with this guess the array seldom grows. */
    p.attributes_cap = text.len / 32 + 4;
    if (p.attributes_cap > ROAM_MAX_SDP_ATTRIBUTES)
        p.attributes_cap = ROAM_MAX_SDP_ATTRIBUTES;
    p.attributes = arena_alloc(arena, p.attributes_cap * sizeof *p.attributes);
    if (!p.attributes)
        return ROAM_ENOMEM;

    const char *at = text.ptr, *end = span_end(text);
    p.limit = end;
    while (at < end) {
        const char *stop = scan_line(text.ptr, at, end), *next = scan_line_end(stop, end);
        if (!next)
            return ROAM_ESYNTAX;
        if (stop == at) {
            /* Empty lines: some peers end the body with them. Nothing may follow. */
            for (; at < end; at++)
                if (*at != '\r' && *at != '\n')
                    return ROAM_ESYNTAX;
            break;
        }
        if (stop - at < 2 || at[1] != '=')
            return ROAM_ESYNTAX;
        int err = parse_line(&p, at[0], span_between(at + 2, stop));
        if (err)
            return err;
        at = next;
    }
    if (!p.has_version || !p.has_origin || !p.has_name)
        return ROAM_ESYNTAX;
    assign_runs(&p);
    return ROAM_OK;
}

const roam_sdp_connection *sdp_media_connection(const roam_sdp *sdp, const roam_sdp_media *media)
{
    return media->connection.text.len || media->connection.ip.family ? &media->connection : &sdp->connection;
}

const roam_sdp_attribute *sdp_attribute(const roam_sdp_attribute *list, size_t n, roam_span name)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(list[i].name, name))
            return &list[i];
    return NULL;
}

static bool find_direction(const roam_sdp_attribute *list, size_t n, roam_direction *out)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].name.len != 8 || list[i].has_value) /* all four have eight letters */
            continue;
        for (int d = DIRECTION_INACTIVE; d <= DIRECTION_SENDRECV; d++)
            if (memcmp(list[i].name.ptr, DIRECTION_TEXT[d], 8) == 0) {
                *out = (roam_direction)d;
                return true;
            }
    }
    return false;
}

roam_direction sdp_direction(const roam_sdp *sdp, const roam_sdp_media *media)
{
    static const uint8_t none[16];
    roam_direction direction = DIRECTION_SENDRECV;
    if (!find_direction(media->attributes, media->nattributes, &direction))
        find_direction(sdp->attributes, sdp->nattributes, &direction);
    const roam_ip *ip = &sdp_media_connection(sdp, media)->ip;
    /* RFC 3264 8.4 speaks of 0.0.0.0; "::" is used the same way. */
    if (direction == DIRECTION_SENDRECV && ip->family && memcmp(ip->bytes, none, ip->family == 4 ? 4 : 16) == 0)
        direction = DIRECTION_INACTIVE;
    return direction;
}

const char *direction_text(roam_direction direction)
{
    return DIRECTION_TEXT[direction & 3];
}

roam_direction direction_reverse(roam_direction direction)
{
    return (roam_direction)((direction & 1) << 1 | (direction & 2) >> 1);
}

/* The value of the attribute `name` that begins with this payload type, without it: "PCMU/8000". From *index on. */
static bool next_for_payload(const roam_sdp_media *media, roam_span name, uint8_t payload_type, size_t *index,
                             roam_span *out)
{
    while (*index < media->nattributes) {
        const roam_sdp_attribute *a = &media->attributes[(*index)++];
        uint64_t number;
        if (!span_eq(a->name, name) || !span_u64(span_cut(a->value, ' ', out), 127, &number) || number != payload_type)
            continue;
        *out = span_trim(*out);
        return true;
    }
    return false;
}

/* RFC 8866 6.6: <encoding>/<clock>[/<parameters>]; of audio the parameter is the number of channels. */
static bool parse_encoding(roam_span text, roam_rtpmap *out)
{
    roam_span clock, channels;
    uint64_t n = 1;
    out->encoding = span_cut(text, '/', &clock);
    clock = span_cut(clock, '/', &channels);
    if (!out->encoding.len || !span_u32(clock, &out->clock) || !out->clock)
        return false;
    if (channels.ptr && (!span_u64(channels, UINT8_MAX, &n) || n == 0))
        return false;
    out->channels = (uint8_t)n;
    return true;
}

/* RFC 3551 6, tables 4 and 5. */
static const struct {
    uint8_t payload_type, channels;
    uint32_t clock;
    roam_span encoding;
} STATIC_TYPES[] = {
    {0, 1, 8000, SPAN_INIT("PCMU")},   {3, 1, 8000, SPAN_INIT("GSM")},    {4, 1, 8000, SPAN_INIT("G723")},
    {5, 1, 8000, SPAN_INIT("DVI4")},   {6, 1, 16000, SPAN_INIT("DVI4")},  {7, 1, 8000, SPAN_INIT("LPC")},
    {8, 1, 8000, SPAN_INIT("PCMA")},   {9, 1, 8000, SPAN_INIT("G722")},   {10, 2, 44100, SPAN_INIT("L16")},
    {11, 1, 44100, SPAN_INIT("L16")},  {12, 1, 8000, SPAN_INIT("QCELP")}, {13, 1, 8000, SPAN_INIT("CN")},
    {14, 1, 90000, SPAN_INIT("MPA")},  {15, 1, 8000, SPAN_INIT("G728")},  {16, 1, 11025, SPAN_INIT("DVI4")},
    {17, 1, 22050, SPAN_INIT("DVI4")}, {18, 1, 8000, SPAN_INIT("G729")},  {25, 1, 90000, SPAN_INIT("CelB")},
    {26, 1, 90000, SPAN_INIT("JPEG")}, {28, 1, 90000, SPAN_INIT("nv")},   {31, 1, 90000, SPAN_INIT("H261")},
    {32, 1, 90000, SPAN_INIT("MPV")},  {33, 1, 90000, SPAN_INIT("MP2T")}, {34, 1, 90000, SPAN_INIT("H263")},
};

bool sdp_rtpmap(const roam_sdp_media *media, uint8_t payload_type, roam_rtpmap *out)
{
    roam_span value;
    out->payload_type = payload_type;
    for (size_t i = 0; next_for_payload(media, SPAN("rtpmap"), payload_type, &i, &value);)
        if (parse_encoding(value, out))
            return true;
    for (size_t i = 0; i < sizeof STATIC_TYPES / sizeof STATIC_TYPES[0]; i++)
        if (STATIC_TYPES[i].payload_type == payload_type) {
            out->encoding = STATIC_TYPES[i].encoding;
            out->clock = STATIC_TYPES[i].clock;
            out->channels = STATIC_TYPES[i].channels;
            return true;
        }
    return false;
}

roam_span sdp_fmtp(const roam_sdp_media *media, uint8_t payload_type)
{
    roam_span value;
    size_t i = 0;
    return next_for_payload(media, SPAN("fmtp"), payload_type, &i, &value) ? value : (roam_span){NULL, 0};
}

bool sdp_next_format(roam_span *rest, uint8_t *payload_type)
{
    while (rest->len) {
        uint64_t number;
        if (span_u64(span_cut(*rest, ' ', rest), 127, &number)) {
            *payload_type = (uint8_t)number;
            return true;
        }
    }
    return false;
}

bool sdp_rtcp_port(const roam_sdp_media *media, uint16_t *port)
{
    const roam_sdp_attribute *rtcp = sdp_attribute(media->attributes, media->nattributes, SPAN("rtcp"));
    uint64_t number;
    roam_span address;
    /* RFC 3605 2.1: "rtcp:" port [ nettype addrtype address ]. One that cannot be read counts as absent. */
    if (!rtcp || !span_u64(span_cut(rtcp->value, ' ', &address), UINT16_MAX, &number) || number == 0)
        number = media->port ? media->port + 1u : 0;
    *port = (uint16_t)number;
    return number != 0 && number <= UINT16_MAX;
}

/* ---- parsing ---- */

/* The first CR, LF or NUL in [p, end), or `end`: RFC 8866 9 allows any other byte in a value. `base` is where the text
 * starts: near `end` sixteen bytes may be looked at that begin before `p`, never before `base`. */
static const char *scan_line(const char *base, const char *p, const char *end)
{
#ifdef ROAM_SCAN_SSE2
    const __m128i cr = _mm_set1_epi8('\r');
    while (end - base >= 16 && p < end) {
        const char *at = end - p >= 16 ? p : end - 16;
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, cr), bytes)) >> (p - at);
        for (; hits; hits &= hits - 1) {
            const char *hit = p + __builtin_ctz(hits);
            if (*hit == '\r' || *hit == '\n' || *hit == '\0')
                return hit;
        }
        p = at + 16;
    }
#else
    (void)base;
#endif
    while (p < end && *p != '\r' && *p != '\n' && *p != '\0')
        p++;
    return p;
}

/* What scan_line found: the start of the next line, or NULL for a NUL or a CR that ends no line. */
static const char *scan_line_end(const char *p, const char *end)
{
    if (p < end && *p == '\r' && ++p < end && *p != '\n')
        return NULL;
    if (p == end)
        return end;
    return *p == '\n' ? p + 1 : NULL;
}

/* As span_cut, where `s` lies in a text that ends at `limit`: what follows `s` may be looked at, sixteen bytes at a
 * time. */
static roam_span cut(roam_span s, const char *limit, char c, roam_span *rest)
{
    const char *p = s.ptr, *end = span_end(s);
#ifdef ROAM_SCAN_SSE2
    const __m128i wanted = _mm_set1_epi8(c);
    for (; p < end && limit - p >= 16; p += 16) {
        unsigned hits =
            (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), wanted));
        if (hits) {
            p += __builtin_ctz(hits);
            break;
        }
    }
#else
    (void)limit;
#endif
    while (p < end && *p != c)
        p++;
    if (p >= end) {
        *rest = (roam_span){NULL, 0};
        return s;
    }
    *rest = span_between(p + 1, end);
    return span_between(s.ptr, p);
}

/* The next field of a line whose fields are separated by one blank; false when it is empty. */
static bool field(roam_span *rest, const char *limit, roam_span *out)
{
    *out = cut(*rest, limit, ' ', rest);
    return out->len != 0;
}

/* RFC 8866 5.2, 5.7: "IN IP4 address". Any other type is kept as it stands, with family 0. False when the address is
 * empty. */
static bool parse_address(roam_span value, roam_span *text, uint8_t *family)
{
    *text = value;
    *family = 0;
    if (value.len >= 7 && memcmp(value.ptr, "IN IP", 5) == 0 && (value.ptr[5] == '4' || value.ptr[5] == '6') &&
        value.ptr[6] == ' ') {
        *family = (uint8_t)(value.ptr[5] - '0');
        *text = span_make(value.ptr + 7, value.len - 7);
    }
    return span_trim(*text).len != 0;
}

/* c=. A name leaves the family of `ip` 0, and so does a zone ("%1"): which link we use is not the peer's to say. */
static bool parse_connection(roam_span value, roam_sdp_connection *out)
{
    if (!parse_address(value, &out->text, &out->family))
        return false;
    out->ip = (roam_ip){0};
    if (!out->family)
        return true;
    roam_span text = out->text, ttl;
    /* Nearly always the line is an IPv4 address to its end. */
    const char *stop = out->family == 4 ? scan_host(text.ptr, text.ptr, span_end(text), &text, &out->ip) : NULL;
    if (out->ip.family == 4 && stop == span_end(out->text))
        return true;
    text = span_trim(span_cut(out->text, '/', &ttl));
    if (memchr(text.ptr, '%', text.len) || roam_ip_parse(text, &out->ip))
        out->ip = (roam_ip){0};
    return true;
}

/* RFC 8866 5.2. The numbers are only ever compared, and not every peer writes numbers: kept as text. */
static bool parse_origin(roam_span value, const char *limit, roam_sdp *sdp)
{
    return field(&value, limit, &sdp->origin.username) && field(&value, limit, &sdp->origin.session_id) &&
           field(&value, limit, &sdp->origin.version) &&
           parse_address(value, &sdp->origin.address, &sdp->origin.family);
}

/* RFC 8866 5.14: type, port ["/" number], protocol, one format or more. */
static bool parse_media(roam_span value, const char *limit, roam_sdp_media *m)
{
    roam_span ports, count;
    uint32_t port = 0;
    if (!field(&value, limit, &m->type) || !field(&value, limit, &ports) || !field(&value, limit, &m->protocol))
        return false;
    ports = span_cut(ports, '/', &count);
    if (scan_number(ports.ptr, span_end(ports), UINT16_MAX, &port) != span_end(ports))
        return false;
    m->port = (uint16_t)port;
    m->nports = 1;
    m->has_nports = count.ptr != NULL;
    if (m->has_nports && (!span_u32(count, &m->nports) || m->nports == 0))
        return false;
    m->formats = value;
    return span_trim(value).len != 0;
}

/* Twice the space for an array in the arena; the old one stays there until the arena goes. */
static void *grow(roam_arena *arena, const void *old, size_t n, size_t *cap, size_t limit, size_t size)
{
    size_t want = *cap ? *cap * 2 : 4;
    if (want > limit)
        want = limit;
    void *fresh = arena_alloc(arena, want * size);
    if (!fresh)
        return NULL;
    if (n)
        memcpy(fresh, old, n * size);
    *cap = want;
    return fresh;
}

static int keep_line(parser *p, char type, roam_span value)
{
    if (p->nlines == p->lines_cap) {
        if (p->nlines == ROAM_MAX_SDP_LINES)
            return ROAM_ELIMIT;
        void *lines = grow(p->arena, p->lines, p->nlines, &p->lines_cap, ROAM_MAX_SDP_LINES, sizeof *p->lines);
        if (!lines)
            return ROAM_ENOMEM;
        p->lines = lines;
    }
    p->lines[p->nlines++] = (roam_sdp_line){type, value};
    return ROAM_OK;
}

/* RFC 8866 5.13: name, or name ":" value. */
static int keep_attribute(parser *p, roam_span value)
{
    if (p->nattributes == p->attributes_cap) {
        if (p->nattributes == ROAM_MAX_SDP_ATTRIBUTES)
            return ROAM_ELIMIT;
        void *attributes = grow(p->arena, p->attributes, p->nattributes, &p->attributes_cap, ROAM_MAX_SDP_ATTRIBUTES,
                                sizeof *p->attributes);
        if (!attributes)
            return ROAM_ENOMEM;
        p->attributes = attributes;
    }
    roam_sdp_attribute *a = &p->attributes[p->nattributes];
    a->name = cut(value, p->limit, ':', &a->value);
    a->has_value = a->value.ptr != NULL;
    if (!a->name.len)
        return ROAM_ESYNTAX;
    p->nattributes++;
    return ROAM_OK;
}

static int keep_media(parser *p, roam_span value)
{
    roam_sdp *sdp = p->sdp;
    if (sdp->nmedia == ROAM_MAX_SDP_MEDIA)
        return ROAM_ELIMIT;
    p->media = &sdp->media[sdp->nmedia];
    memset(p->media, 0, sizeof *p->media);
    if (!parse_media(value, p->limit, p->media))
        return ROAM_ESYNTAX;
    /* Each format may be looked up among all attributes: their product is what a peer can make us work. */
    if (p->media->formats.len > ROAM_MAX_SDP_FORMATS)
        return ROAM_ELIMIT;
    p->media_runs[sdp->nmedia++] = (run){p->nlines, p->nattributes};
    return ROAM_OK;
}

/* v=, o= and s= stand once, at the session level. */
static int once(const parser *p, bool *seen, bool well_formed)
{
    if (p->media || *seen || !well_formed)
        return ROAM_ESYNTAX;
    *seen = true;
    return ROAM_OK;
}

static int parse_line(parser *p, char type, roam_span value)
{
    roam_sdp *sdp = p->sdp;
    if (!p->has_version && type != 'v')
        return ROAM_ESYNTAX;
    switch (type) {
    case 'a': return keep_attribute(p, value);
    case 'm': return keep_media(p, value);
    case 'c': {
        roam_sdp_connection *c = p->media ? &p->media->connection : &sdp->connection;
        if (c->text.len)
            return p->media ? keep_line(p, type, value) : ROAM_ESYNTAX; /* a media may have several, a session one */
        return parse_connection(value, c) ? ROAM_OK : ROAM_ESYNTAX;
    }
    case 'v': return once(p, &p->has_version, span_eq(value, SPAN("0")));
    case 'o': return once(p, &p->has_origin, parse_origin(value, p->limit, sdp));
    case 's': sdp->name = p->has_name ? sdp->name : value; return once(p, &p->has_name, true);
    default: return type >= 'a' && type <= 'z' ? keep_line(p, type, value) : ROAM_ESYNTAX;
    }
}

/* The arrays no longer move: gives the session and each media its run of them. */
static void assign_runs(parser *p)
{
    roam_sdp *sdp = p->sdp;
    run end = {p->nlines, p->nattributes};
    for (size_t i = sdp->nmedia; i-- > 0;) {
        const run *begin = &p->media_runs[i];
        roam_sdp_media *m = &sdp->media[i];
        m->nlines = end.lines - begin->lines;
        m->lines = m->nlines ? p->lines + begin->lines : NULL;
        m->nattributes = end.attributes - begin->attributes;
        m->attributes = m->nattributes ? p->attributes + begin->attributes : NULL;
        end = *begin;
    }
    sdp->nlines = end.lines;
    sdp->lines = end.lines ? p->lines : NULL;
    sdp->nattributes = end.attributes;
    sdp->attributes = end.attributes ? p->attributes : NULL;
}

/* ---- writing ---- */

static void write_line(roam_writer *w, char type, roam_span value)
{
    const char begin[2] = {type, '='};
    write_bytes(w, begin, 2);
    write_span(w, value);
    write_lit(w, "\r\n");
}

static void write_family(roam_writer *w, uint8_t family)
{
    if (family == 4)
        write_lit(w, "IN IP4 ");
    else if (family == 6)
        write_lit(w, "IN IP6 ");
}

static void write_connection(roam_writer *w, const roam_sdp_connection *c)
{
    if (!c->text.len && !c->ip.family)
        return;
    write_lit(w, "c=");
    if (c->text.len) {
        write_family(w, c->family);
        write_span(w, c->text);
    } else {
        write_family(w, c->ip.family);
        write_ip(w, &c->ip);
    }
    write_lit(w, "\r\n");
}

/* RFC 8866 9: of the kept lines i=, u=, e= and p= stand before c=, the others behind it, attributes last. */
static void write_section(roam_writer *w, const roam_sdp_connection *c, const roam_sdp_line *lines, size_t nlines,
                          const roam_sdp_attribute *attributes, size_t nattributes)
{
    size_t i = 0;
    for (; i < nlines && (lines[i].type == 'i' || lines[i].type == 'u' || lines[i].type == 'e' || lines[i].type == 'p');
         i++)
        write_line(w, lines[i].type, lines[i].value);
    write_connection(w, c);
    for (; i < nlines; i++)
        write_line(w, lines[i].type, lines[i].value);
    for (i = 0; i < nattributes; i++) {
        write_lit(w, "a=");
        write_span(w, attributes[i].name);
        if (attributes[i].has_value) {
            write_char(w, ':');
            write_span(w, attributes[i].value);
        }
        write_lit(w, "\r\n");
    }
}

static void write_media(roam_writer *w, const roam_sdp_media *m)
{
    write_lit(w, "m=");
    write_span(w, m->type);
    write_char(w, ' ');
    write_u64(w, m->port);
    if (m->has_nports || m->nports > 1) {
        write_char(w, '/');
        write_u64(w, m->nports);
    }
    write_char(w, ' ');
    write_span(w, m->protocol);
    write_char(w, ' ');
    write_span(w, m->formats);
    write_lit(w, "\r\n");
    write_section(w, &m->connection, m->lines, m->nlines, m->attributes, m->nattributes);
}

void write_sdp(roam_writer *w, const roam_sdp *sdp)
{
    write_lit(w, "v=0\r\no=");
    write_span(w, sdp->origin.username);
    write_char(w, ' ');
    write_span(w, sdp->origin.session_id);
    write_char(w, ' ');
    write_span(w, sdp->origin.version);
    write_char(w, ' ');
    write_family(w, sdp->origin.family);
    write_span(w, sdp->origin.address);
    write_lit(w, "\r\n");
    write_line(w, 's', sdp->name.ptr ? sdp->name : SPAN("-"));
    write_section(w, &sdp->connection, sdp->lines, sdp->nlines, sdp->attributes, sdp->nattributes);
    for (size_t i = 0; i < sdp->nmedia; i++)
        write_media(w, &sdp->media[i]);
}

/* Finds the start line, the header lines and the body of a message. One pass; values are not looked into, but for
 * Content-Length (where the message ends) and the CSeq of a response (what it answers). */
#include "wire/chars.h"
#include "wire/names.h"

typedef struct roam_line {
    const char *colon; /* the first; NULL: none */
    const char *end;   /* the LF that ends the line */
    bool list, folded; /* as in roam_header */
} roam_line;

static void parse_start_line(roam_message *m, roam_span line);
static void parse_request_line(roam_message *m, roam_span line);
static void parse_status_line(roam_message *m, roam_span line);
static const char *parse_headers(roam_message *m, const char *p, const char *end);
static bool scan_line(const char *p, const char *end, roam_line *line);
static bool parse_header_line(roam_message *m, const char *line, const roam_line *found, const char *end);
SCAN_RARE bool is_token(const char *p, const char *end);
SCAN_RARE void trim_value(roam_header *header, const char *p, const char *end);
static void frame_body(roam_message *m, const char *body, const char *end);
SCAN_RARE void fault(roam_message *m, uint16_t status, const char *phrase);
static bool version_is_sip(roam_span version);

int message_parse(roam_message *m, roam_header_space *space, roam_span datagram)
{
    memset(m, 0, sizeof *m);
    m->headers = space->headers;
    m->bytes = datagram;
    if (datagram.len > ROAM_MAX_MESSAGE) {
        fault(m, 513, "Message Too Large");
        return ROAM_ELIMIT;
    }
    const char *p = datagram.ptr, *end = span_end(datagram);
    while (p < end && (*p == '\r' || *p == '\n')) /* RFC 3261 7.5 */
        p++;
    if (p == end) {
        fault(m, 400, "Empty Message");
        return ROAM_ESYNTAX;
    }
    m->bytes = span_between(p, end);
    const char *line_end = find_char(p, end, '\n');
    if (!line_end) {
        fault(m, 400, "Unfinished Start Line");
        return ROAM_ESYNTAX;
    }
    parse_start_line(m, span_between(p, line_end > p && line_end[-1] == '\r' ? line_end - 1 : line_end));
    const char *body = parse_headers(m, line_end + 1, end);
    if (!body)
        return ROAM_ELIMIT;
    frame_body(m, body, end);
    if (!m->is_request && m->first[HEADER_CSEQ]) {
        roam_cseq cseq;
        if (cseq_parse(message_value(m, HEADER_CSEQ), &cseq) == ROAM_OK) {
            m->method = cseq.method;
            m->method_name = cseq.method_name;
        }
    }
    return m->fault ? ROAM_ESYNTAX : ROAM_OK;
}

static void parse_start_line(roam_message *m, roam_span line)
{
    m->is_request = line.len < 4 || !span_ieq(span_make(line.ptr, 4), SPAN("SIP/")); /* '/' is in no method */
    if (m->is_request)
        parse_request_line(m, line);
    else
        parse_status_line(m, line);
}

/* Method SP Request-URI SP SIP-Version. The URI is everything between, so that a blank in it is seen in message_check. */
static void parse_request_line(roam_message *m, roam_span line)
{
    const char *end = line.ptr + line.len;
    const char *method_end = skip_class(line.ptr, end, CHAR_TOKEN);
    const char *version = end;
    while (version > method_end && version[-1] != ' ')
        version--;
    if (method_end == line.ptr || method_end == end || *method_end != ' ' || version <= method_end + 1) {
        fault(m, 400, "Bad Request Line");
        return;
    }
    m->method_name = span_between(line.ptr, method_end);
    m->method = method_of(m->method_name);
    m->request_uri = span_between(method_end + 1, version - 1);
    m->version = span_between(version, end);
    if (!version_is_sip(m->version))
        fault(m, 400, "Bad Request Line");
}

/* SIP-Version SP 3DIGIT SP Reason-Phrase. The blank before an empty reason may be missing: it often is. */
static void parse_status_line(roam_message *m, roam_span line)
{
    const char *p = line.ptr, *end = p + line.len;
    const char *blank = find_char(p, end, ' ');
    if (blank)
        m->version = span_between(p, blank);
    if (!blank || !version_is_sip(m->version) || end - blank < 4 || !ascii_is_digit(blank[1]) ||
        !ascii_is_digit(blank[2]) || !ascii_is_digit(blank[3]) || (end - blank > 4 && blank[4] != ' ')) {
        fault(m, 400, "Bad Status Line");
        return;
    }
    int status = (blank[1] - '0') * 100 + (blank[2] - '0') * 10 + (blank[3] - '0');
    if (status < 100 || status > 699) {
        fault(m, 400, "Bad Status Code");
        return;
    }
    m->status = (uint16_t)status;
    m->reason = end - blank > 5 ? span_between(blank + 5, end) : span_make(end, 0);
}

/* Header lines up to the empty line. Gives the first byte of the body; NULL when there were too many. */
static const char *parse_headers(roam_message *m, const char *p, const char *end)
{
    while (p < end) {
        if ((uint8_t)*p < ' ') { /* the empty line? */
            if (*p == '\n')
                return p + 1;
            if (*p == '\r' && end - p > 1 && p[1] == '\n')
                return p + 2;
        }
        roam_line line;
        if (!scan_line(p, end, &line))
            break;
        if (!parse_header_line(m, p, &line, end))
            return NULL;
        p = line.end + 1;
    }
    fault(m, 400, "Unfinished Header");
    return end;
}

/* One header line from `p`, with the folds that continue it (RFC 3261 7.3.1). False when it does not end. */
static bool scan_line(const char *p, const char *end, roam_line *line)
{
    const char *start = p;
    *line = (roam_line){0};
#ifdef ROAM_SCAN_SSE2
    const __m128i lf = _mm_set1_epi8('\n'), comma = _mm_set1_epi8(',');
    const char *stop = end - p >= 16 ? end - 15 : p; /* no load from here on */
    unsigned commas = 0;
    while (p < stop) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned ends = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, lf));
        unsigned here = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, comma));
        if (!ends) {
            commas |= here;
            p += 16;
            continue;
        }
        commas |= here & (ends ^ (ends - 1)); /* those before the line end */
        p += __builtin_ctz(ends);
        if (end - p > 1 && (uint8_t)p[1] <= ' ' && (p[1] == ' ' || p[1] == '\t')) {
            line->folded = true;
            p++;
            continue;
        }
        line->list = commas != 0;
        line->end = p;
        if (p - start >= 16) { /* names are short: look once before looking far */
            __m128i name = _mm_loadu_si128((const __m128i *)(const void *)start);
            unsigned colons = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(name, _mm_set1_epi8(':')));
            if (colons) {
                line->colon = start + __builtin_ctz(colons);
                return true;
            }
        }
        line->colon = find_char(start, p, ':');
        return true;
    }
    line->list = commas != 0;
#endif
    for (; p < end; p++) {
        if (*p == '\n') {
            if (end - p == 1 || (p[1] != ' ' && p[1] != '\t')) {
                line->end = p;
                line->colon = find_char(start, p, ':');
                return true;
            }
            line->folded = true;
        } else if (*p == ',') {
            line->list = true;
        }
    }
    return false;
}

/* header-name HCOLON header-value. False when there is no more space. */
static bool parse_header_line(roam_message *m, const char *line, const roam_line *found, const char *end)
{
    const char *colon = found->colon;
    if (!colon) {
        fault(m, 400, "Header Line Without Colon");
        return true;
    }
    const char *name_end = colon;
    while (name_end > line && (name_end[-1] == ' ' || name_end[-1] == '\t'))
        name_end--;
    size_t len = (size_t)(name_end - line);
    roam_header_id id = header_id_of(line, len, end);
    if (id == HEADER_OTHER && !is_token(line, name_end)) {
        fault(m, 400, "Bad Header Name");
        return true;
    }
    if (m->nheaders == ROAM_MAX_HEADERS) {
        fault(m, 400, "Too Many Headers");
        return false;
    }
    roam_header *header = &m->headers[m->nheaders++];
    header->id = id;
    header->list = found->list;
    header->folded = found->folded;
    header->name = span_make(line, len);
    const char *start = colon + 1, *stop = found->end;
    if (stop - start > 3 && start[0] == ' ' && (uint8_t)start[1] > ' ' && stop[-1] == '\r' && (uint8_t)stop[-2] > ' ')
        header->value = span_between(start + 1, stop - 1); /* as nearly everybody writes it */
    else
        trim_value(header, start, stop);
    if (m->first[id])
        m->repeated |= (uint64_t)1 << id;
    else
        m->first[id] = m->nheaders;
    return true;
}

SCAN_RARE bool is_token(const char *p, const char *end)
{
    return p < end && skip_run(p, p, end, CHAR_TOKEN) == end;
}

SCAN_RARE void trim_value(roam_header *header, const char *p, const char *end)
{
    header->value = trim_lws(p, end);
}

/* RFC 3261 18.3: without Content-Length a datagram's body goes to its end, with it what follows the body is ignored. */
static void frame_body(roam_message *m, const char *body, const char *end)
{
    m->body = span_between(body, end);
    if (!m->first[HEADER_CONTENT_LENGTH])
        return;
    roam_span value = message_value(m, HEADER_CONTENT_LENGTH);
    const char *value_end = span_end(value);
    uint32_t length = 0;
    if (scan_number(value.ptr, value_end, UINT32_MAX, &length) != value_end || !value.len) {
        fault(m, 400, "Bad Content-Length");
    } else if (length > m->body.len) {
        fault(m, 400, "Body Shorter Than Content-Length");
    } else {
        m->body.len = length;
        m->bytes.len = (size_t)(body - m->bytes.ptr) + length;
    }
}

SCAN_RARE void fault(roam_message *m, uint16_t status, const char *phrase)
{
    if (m->fault)
        return; /* the first one tells most */
    m->fault = phrase;
    m->fault_status = status;
}

/* "SIP" "/" 1*DIGIT "." 1*DIGIT, whatever the version. */
static bool version_is_sip(roam_span version)
{
    if (span_eq(version, SPAN("SIP/2.0")))
        return true;
    if (version.len < 7 || !span_ieq(span_make(version.ptr, 4), SPAN("SIP/")))
        return false;
    const char *end = version.ptr + version.len;
    const char *dot = skip_class(version.ptr + 4, end, CHAR_DIGIT);
    return dot > version.ptr + 4 && dot < end && *dot == '.' && dot + 1 < end && skip_class(dot + 1, end, CHAR_DIGIT) == end;
}

/* Records for the trace. Messages go into it as a copy in which every secret is overwritten with '*', length kept. */
#include "base/trace.h"

#include "base/limits.h"
#include "base/span.h"

static void emit(const roam_tracer *t, roam_trace_record record);
static void emit_masked(const roam_tracer *t, roam_trace_record record);

void trace_state(const roam_tracer *t, const char *object, uint64_t id, const char *from, const char *to, const char *why)
{
    emit(t, (roam_trace_record){
                .type = ROAM_TRACE_STATE, .object = object, .id = id, .from = from, .to = to, .why = why});
}

void trace_message(const roam_tracer *t, roam_trace_type type, const roam_addr *local, const roam_addr *remote,
                   roam_span bytes)
{
    roam_trace_record record = {.type = type, .object = "message", .bytes = bytes};
    if (local)
        record.local = *local;
    if (remote)
        record.remote = *remote;
    emit_masked(t, record);
}

void trace_dropped(const roam_tracer *t, const char *object, const char *why, const roam_addr *remote, roam_span bytes)
{
    roam_trace_record record = {.type = ROAM_TRACE_DROPPED, .object = object, .why = why, .bytes = bytes};
    if (remote)
        record.remote = *remote;
    emit_masked(t, record);
}

void trace_path(const roam_tracer *t, const char *object, uint64_t id, const char *from, const char *to, const char *why)
{
    emit(t, (roam_trace_record){
                .type = ROAM_TRACE_PATH, .object = object, .id = id, .from = from, .to = to, .why = why});
}

void trace_note(const roam_tracer *t, const char *object, uint64_t id, const char *why)
{
    emit(t, (roam_trace_record){.type = ROAM_TRACE_NOTE, .object = object, .id = id, .why = why});
}

void trace_input(const roam_tracer *t, const roam_trace_record *record)
{
    roam_trace_record copy = *record;
    copy.type = ROAM_TRACE_INPUT;
    emit_masked(t, copy);
}

void trace_output(const roam_tracer *t, const roam_trace_record *record)
{
    roam_trace_record copy = *record;
    copy.type = ROAM_TRACE_OUTPUT;
    emit_masked(t, copy);
}

static void emit(const roam_tracer *t, roam_trace_record record)
{
    if (!t || !t->fn)
        return;
    if (record.type != ROAM_TRACE_INPUT) /* an input's is that of its coming, which the core is yet to be told */
        record.time = t->now ? *t->now : 0;
    record.object = record.object ? record.object : "";
    record.from = record.from ? record.from : "";
    record.to = record.to ? record.to : "";
    record.why = record.why ? record.why : "";
    t->fn(t->user, &record);
}

/* ------------------------------------------------------------------ masking: every step works in place on the copy */

static void mask_credentials(char *p, char *end);
static void mask_digest(char *begin, char *end);
static void mask_keys(char *begin, char *end);
static void mask_uri_passwords(char *begin, char *end);

static void emit_masked(const roam_tracer *t, roam_trace_record record)
{
    char copy[ROAM_MAX_MESSAGE];
    if (!t || !t->fn)
        return;
    size_t len = record.bytes.len < sizeof copy ? record.bytes.len : sizeof copy;
    if (len)
        memcpy(copy, record.bytes.ptr, len);
    char *end = copy + len;
    mask_credentials(copy, end);
    mask_digest(copy, end);
    mask_keys(copy, end);
    mask_uri_passwords(copy, end);
    record.bytes = span_make(copy, len);
    emit(t, record);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void mask(char *begin, const char *end)
{
    for (; begin < end; begin++)
        if (!is_space(*begin)) /* lines and folds stay what they are */
            *begin = '*';
}

static bool is_name(char c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || ascii_is_digit(c) || c == '-' || c == '_';
}

static bool at_text(const char *p, const char *end, roam_span text)
{
    return (size_t)(end - p) >= text.len && span_ieq(span_make(p, text.len), text);
}

/* The end of the line at `p`: on its line feed, or `end`. With `folded`, lines that begin with a blank belong to it. */
static char *line_end(char *p, char *end, bool folded)
{
    for (; p < end; p++) {
        bool breaks = *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] != '\n'));
        if (breaks && !(folded && p + 1 < end && (p[1] == ' ' || p[1] == '\t')))
            break;
    }
    return p;
}

/* Credentials of another scheme than Digest (Basic, Bearer) are secret as a whole. */
static void mask_credentials(char *p, char *end)
{
    while (p < end) {
        char *stop = line_end(p, end, true);
        roam_span value;
        roam_span name = span_trim(span_cut(span_between(p, stop), ':', &value));
        if (value.ptr && (span_ieq(name, SPAN("Authorization")) || span_ieq(name, SPAN("Proxy-Authorization")))) {
            char *at = p + (value.ptr - p);
            while (at < stop && is_space(*at))
                at++;
            char *scheme = at;
            while (at < stop && !is_space(*at))
                at++;
            bool digest = span_ieq(span_between(scheme, at), SPAN("Digest"));
            while (at < stop && is_space(*at))
                at++;
            if (!digest)
                mask(at < stop ? at : scheme, stop); /* a lone word may be the secret itself */
        }
        p = stop < end ? stop + 1 : end;
    }
}

/* A digest response lets a listener try passwords, whatever header it stands in: response=, rspauth= (RFC 7616, 3.5). */
static void mask_digest(char *begin, char *end)
{
    char *p = begin;
    while (p < end) {
        char *word = p;
        while (p < end && is_name(*p))
            p++;
        roam_span name = span_between(word, p);
        if (p == word)
            p++;
        if (!span_ieq(name, SPAN("response")) && !span_ieq(name, SPAN("rspauth")))
            continue;
        while (p < end && is_space(*p))
            p++;
        if (p == end || *p != '=')
            continue;
        p++;
        while (p < end && is_space(*p))
            p++;
        char *from = p;
        if (p < end && *p == '"') {
            for (from = ++p; p < end && *p != '"'; p++)
                if (*p == '\\' && p + 1 < end)
                    p++;
        } else {
            while (p < end && !is_space(*p) && *p != ',' && *p != ';' && *p != '>')
                p++;
        }
        mask(from, p);
    }
}

/* Keys in SDP: SDES (RFC 4568, 9.1), MIKEY (RFC 4567), ICE passwords (RFC 8839) and the obsolete k= line (RFC 4566). */
static void mask_keys(char *begin, char *end)
{
    static const roam_span whole_line[] = {SPAN_INIT("a=ice-pwd:"), SPAN_INIT("a=key-mgmt:"), SPAN_INIT("k=")};
    for (char *p = begin; p < end; p++) {
        if (p == begin || p[-1] == '\n' || p[-1] == '\r')
            for (size_t i = 0; i < sizeof whole_line / sizeof *whole_line; i++)
                if (at_text(p, end, whole_line[i]))
                    mask(p + whole_line[i].len, line_end(p, end, false));
        if (at_text(p, end, SPAN("inline:"))) {
            char *from = p + strlen("inline:");
            char *to = from;
            while (to < end && !is_space(*to) && *to != '|' && *to != ';')
                to++;
            mask(from, to);
            p = to - 1;
        }
    }
}

/* sip:user:password@host (RFC 3261, 19.1.1: NOT RECOMMENDED, and still seen). */
static void mask_uri_passwords(char *begin, char *end)
{
    char *p = begin;
    while (p < end) {
        size_t scheme = at_text(p, end, SPAN("sip:")) ? 4 : at_text(p, end, SPAN("sips:")) ? 5 : 0;
        if (!scheme) {
            p++;
            continue;
        }
        char *colon = NULL;
        for (p += scheme; p < end && !is_space(*p) && !memchr("@<>\"", *p, 4); p++)
            if (*p == ':' && !colon)
                colon = p;
        if (p < end && *p == '@' && colon)
            mask(colon + 1, p);
    }
}

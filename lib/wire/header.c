/* Header values: lists, tokens, numbers, CSeq. */
#include "wire/chars.h"
#include "wire/names.h"

SCAN_RARE bool next_value(const roam_message *m, roam_header_id id, roam_value_cursor *cursor, roam_span *value);
static roam_span cut_value(roam_span *rest);
static const char *skip_comment(const char *p, const char *end);

roam_span message_value(const roam_message *m, roam_header_id id)
{
    return m->first[id] ? m->headers[m->first[id] - 1].value : (roam_span){NULL, 0};
}

int message_next(const roam_message *m, roam_header_id id, int index)
{
    if (!(m->repeated >> id & 1))
        return -1;
    for (int i = index + 1; i < m->nheaders; i++)
        if (m->headers[i].id == id)
            return i;
    return -1;
}

roam_span message_value_named(const roam_message *m, roam_span name)
{
    roam_header_id id = header_id_of(name.ptr, name.len, span_end(name));
    if (id != HEADER_OTHER)
        return message_value(m, id);
    roam_span alias = header_alias(name);
    for (int i = message_first(m, HEADER_OTHER); i >= 0; i = message_next(m, HEADER_OTHER, i))
        if (span_ieq(m->headers[i].name, name) || (alias.len && span_ieq(m->headers[i].name, alias)))
            return m->headers[i].value;
    return (roam_span){NULL, 0};
}

bool message_values(const roam_message *m, roam_header_id id, roam_value_cursor *cursor, roam_span *value)
{
    if (cursor->rest.len)
        return next_value(m, id, cursor, value);
    int index = cursor->index ? message_next(m, id, cursor->index - 1) : message_first(m, id);
    if (index < 0)
        return false;
    const roam_header *header = &m->headers[index];
    cursor->index = index + 1;
    if (header->list || !header->value.len) {
        cursor->rest = header->value;
        return next_value(m, id, cursor, value);
    }
    *value = header->value; /* the common case: one value a line */
    return true;
}

bool message_has_token(const roam_message *m, roam_header_id id, roam_span token)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    while (message_values(m, id, &cursor, &value)) {
        const char *stop = skip_class(value.ptr, value.ptr + value.len, CHAR_NAME);
        if (span_ieq(span_between(value.ptr, stop), token))
            return true;
    }
    return false;
}

int message_top_via(const roam_message *m, roam_via *out)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    if (!message_values(m, HEADER_VIA, &cursor, &value))
        return ROAM_ENOTFOUND;
    return via_parse(value, out);
}

int cseq_parse(roam_span value, roam_cseq *out)
{
    const char *p = value.ptr, *end = span_end(value);
    memset(out, 0, sizeof *out);
    p = skip_lws(p, end);
    p = scan_number(p, end, UINT32_MAX, &out->number);
    if (!p)
        return ROAM_ESYNTAX;
    const char *method = skip_lws(p, end), *stop = skip_class(method, end, CHAR_TOKEN);
    if (method == p || stop == method || skip_lws(stop, end) != end)
        return ROAM_ESYNTAX;
    out->method_name = span_between(method, stop);
    out->method = method_of(out->method_name);
    return ROAM_OK;
}

bool message_seconds(const roam_message *m, roam_header_id id, uint32_t *out)
{
    roam_span value = message_value(m, id);
    const char *p = value.ptr, *end = span_end(value), *digits = p;
    uint64_t n = 0;
    for (; p < end && ascii_is_digit(*p); p++)
        if (n <= UINT32_MAX)
            n = n * 10 + (uint64_t)(*p - '0');
    if (p == digits)
        return false;
    p = skip_lws(p, end);
    if (p < end && *p == '(') {
        p = skip_comment(p, end);
        if (!p)
            return false;
        p = skip_lws(p, end);
    }
    if (p < end && *p != ';')
        return false;
    *out = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    return true;
}

bool message_has_body_type(const roam_message *m, roam_span type)
{
    if (!m->body.len || !message_has(m, HEADER_CONTENT_TYPE))
        return false;
    roam_span value = message_value(m, HEADER_CONTENT_TYPE), subtype;
    roam_span wanted = span_cut(type, '/', &subtype);
    const char *p = value.ptr, *end = span_end(value);
    const char *stop = skip_class(p, end, CHAR_TOKEN);
    if (!span_ieq(span_between(p, stop), wanted))
        return false;
    p = skip_lws(stop, end);
    if (p == end || *p != '/')
        return false;
    p = skip_lws(p + 1, end);
    stop = skip_class(p, end, CHAR_TOKEN);
    if (!span_ieq(span_between(p, stop), subtype))
        return false;
    p = skip_lws(stop, end);
    return p == end || *p == ';';
}

/* The next value of a list, of this line or, when there is none left that is not empty, of the lines that follow. */
SCAN_RARE bool next_value(const roam_message *m, roam_header_id id, roam_value_cursor *cursor, roam_span *value)
{
    while (cursor->rest.len) {
        *value = cut_value(&cursor->rest);
        if (value->len)
            return true;
    }
    return message_values(m, id, cursor, value);
}

/* Takes the value before the first comma that is outside quotes, brackets and comments. A comment starts after a blank:
 * a '(' elsewhere belongs to a URI. What does not end takes the rest: its own parser will refuse it. */
static roam_span cut_value(roam_span *rest)
{
    const char *start = rest->ptr, *p = start, *end = start + rest->len;
    while (p < end && *p != ',') {
        if (*p == '"')
            p = scan_quoted(p, end);
        else if (*p == '<')
            p = find_char(p, end, '>');
        else if (*p == '(' && p > start && char_is(p[-1], CHAR_LWS))
            p = skip_comment(p, end);
        else
            p++;
        if (!p)
            p = end;
    }
    roam_span value = trim_lws(start, p);
    *rest = p < end ? span_between(p + 1, end) : span_make(end, 0);
    return value;
}

/* comment = "(" *( ctext / quoted-pair / comment ) ")": the byte after it, or NULL. */
static const char *skip_comment(const char *p, const char *end)
{
    size_t depth = 0;
    for (; p < end; p++) {
        if (*p == '(')
            depth++;
        else if (*p == ')' && --depth == 0)
            return p + 1;
        else if (*p == '\\' && ++p == end)
            return NULL;
    }
    return NULL;
}

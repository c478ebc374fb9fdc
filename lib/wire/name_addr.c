/* name-addr and addr-spec with header parameters: From, To, Contact, Route ... (RFC 3261 20.10, 25.1). */
#include "wire/chars.h"
#include "wire/message.h"

static const char *scan_address(const char *p, const char *end, roam_name_addr *out);
SCAN_INLINE const char *scan_bracketed(const char *p, const char *end, roam_name_addr *out);
static const char *scan_bare(const char *p, const char *end, roam_name_addr *out);

int name_addr_parse(roam_span value, roam_name_addr *out)
{
    const char *end = span_end(value);
    out->display = out->uri_text = out->params = out->tag = (roam_span){NULL, 0};
    out->wildcard = false;
    const char *p = scan_address(value.ptr, end, out);
    if (!p || out->wildcard) {
        uri_clear(&out->uri);
        return p ? ROAM_OK : ROAM_ESYNTAX;
    }
    int err = uri_parse(out->uri_text, &out->uri);
    if (err)
        return err;
    if (p < end && char_is(*p, CHAR_LWS))
        p = skip_lws(p, end);
    if (p == end)
        return ROAM_OK;
    if (!params_valid(value.ptr, p, end, &out->tag))
        return ROAM_ESYNTAX;
    out->params = span_between(p + 1, end);
    return ROAM_OK;
}

roam_span name_addr_tag(const roam_name_addr *a)
{
    return a->tag;
}

/* [ display-name ] "<" addr-spec ">", or addr-spec, or "*": the byte after it, or NULL. */
static const char *scan_address(const char *p, const char *end, roam_name_addr *out)
{
    p = skip_lws(p, end);
    if (p == end)
        return NULL;
    const char *start = p;
    if (*p == '"') {
        p = scan_quoted(p, end);
        if (!p)
            return NULL;
        out->display = span_between(start, p);
        p = skip_lws(p, end);
        if (p == end || *p != '<')
            return NULL;
    }
    if (*p == '<')
        return scan_bracketed(p, end, out);
    const char *stop = skip_class(p, end, CHAR_TOKEN | CHAR_LWS); /* *( token LWS ) "<", or the scheme of an addr-spec */
    if (stop < end && *stop == '<') {
        out->display = trim_lws(start, stop);
        return scan_bracketed(stop, end, out);
    }
    if (*p == '*' && stop == end && skip_lws(p + 1, end) == end) {
        out->wildcard = true;
        return end;
    }
    return scan_bare(p, end, out);
}

SCAN_INLINE const char *scan_bracketed(const char *p, const char *end, roam_name_addr *out)
{
    const char *close = find_char(p, end, '>');
    if (!close)
        return NULL;
    out->uri_text = span_between(p + 1, close);
    return close + 1;
}

/* Without brackets the URI ends at the first ';' and may hold neither '?' nor ',' (RFC 3261 20). */
static const char *scan_bare(const char *p, const char *end, roam_name_addr *out)
{
    const char *stop = p;
    while (stop < end && *stop != ';' && !char_is(*stop, CHAR_LWS)) {
        if (*stop == '?' || *stop == ',')
            return NULL;
        stop++;
    }
    out->uri_text = span_between(p, stop);
    return stop;
}

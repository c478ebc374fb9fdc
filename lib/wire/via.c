/* Via (RFC 3261 20.42, RFC 3581). */
#include "wire/chars.h"
#include "wire/message.h"

static const char *scan_protocol(const char *p, const char *end, roam_via *out);
static bool take_param(roam_via *via, roam_span name, roam_span value);

int via_parse(roam_span value, roam_via *out)
{
    const char *p = value.ptr, *end = span_end(value);
    const roam_span none = {NULL, 0};
    out->transport = out->host = out->branch = out->params = out->received_text = none;
    out->ip = out->received = (roam_ip){0};
    out->port = out->rport = 0;
    out->has_rport = false;
    p = scan_protocol(p, end, out);
    if (!p)
        return ROAM_ESYNTAX;
    p = scan_host(value.ptr, p, end, &out->host, &out->ip);
    if (!p)
        return ROAM_ESYNTAX;
    const char *colon = skip_lws(p, end);
    if (colon < end && *colon == ':') { /* COLON allows blanks */
        roam_span digits = trim_lws(colon + 1, skip_class(colon + 1, end, CHAR_LWS | CHAR_DIGIT));
        const char *stop = span_end(digits);
        uint32_t port = 0;
        if (scan_number(digits.ptr, stop, UINT16_MAX, &port) != stop || !port)
            return ROAM_ESYNTAX;
        out->port = (uint16_t)port;
        p = stop;
    }
    p = skip_lws(p, end);
    if (p == end)
        return ROAM_OK;
    if (*p != ';')
        return ROAM_ESYNTAX;
    out->params = span_between(p + 1, end);
    while (p < end) {
        roam_span name, content;
        if (*p != ';')
            return ROAM_ESYNTAX;
        p = scan_param(value.ptr, p + 1, end, &name, &content);
        if (!p || !take_param(out, name, content))
            return ROAM_ESYNTAX;
    }
    return ROAM_OK;
}

/* sent-protocol LWS, blanks around the slashes allowed. Any transport will do: the answer follows the top Via only. */
static const char *scan_protocol(const char *p, const char *end, roam_via *out)
{
    static const char plain[] = "SIP/2.0/";
    if (end - p > 8 && memcmp(p, plain, 8) == 0) {
        p += 8;
    } else {
        static const roam_span parts[] = {SPAN_INIT("SIP"), SPAN_INIT("2.0")};
        for (size_t i = 0; i < 2; i++) {
            p = skip_lws(p, end);
            if ((size_t)(end - p) <= parts[i].len || !span_ieq(span_make(p, parts[i].len), parts[i]))
                return NULL;
            p = skip_lws(p + parts[i].len, end);
            if (p == end || *p++ != '/')
                return NULL;
        }
    }
    p = skip_lws(p, end);
    const char *stop = skip_class(p, end, CHAR_TOKEN), *next = skip_lws(stop, end);
    if (stop == p || next == stop)
        return NULL;
    out->transport = span_between(p, stop);
    return next;
}

static bool take_param(roam_via *via, roam_span name, roam_span value)
{
    switch (name.len) {
    case 5:
        if (WORD_IS(name, "rport")) {
            uint32_t n = 0;
            if (value.len && scan_number(value.ptr, value.ptr + value.len, UINT16_MAX, &n) != value.ptr + value.len)
                return false;
            via->has_rport = true;
            via->rport = (uint16_t)n;
        }
        return true;
    case 6:
        if (WORD_IS(name, "branch")) {
            if (!value.len || via->branch.ptr) /* two branches are two transactions, depending on who reads */
                return false;
            via->branch = value;
        }
        return true;
    case 8:
        /* An IPv6 address with or without brackets (RFC 5118 4.5). Something else is kept as text: nobody relies on it. */
        if (WORD_IS(name, "received")) {
            roam_span host;
            const char *end = span_end(value);
            via->received_text = value;
            if (scan_host(value.ptr, value.ptr, end, &host, &via->received) != end || !via->received.family)
                if (roam_ip_parse(value, &via->received) != ROAM_OK)
                    via->received.family = 0;
        }
        return true;
    default:
        return true;
    }
}

/* URIs: parsing, comparing, escaping. */
#include "wire/uri.h"
#include "base/limits.h"
#include "wire/chars.h"

static const char *parse_scheme(roam_uri *uri, const char *p, const char *end);
static int parse_sip(roam_uri *uri, const char *p, const char *end);
static int parse_tel(roam_uri *uri, const char *p, const char *end);
static bool headers_valid(const char *base, const char *p, const char *end);
SCAN_INLINE const char *scan_uri_params(const char *base, const char *p, const char *end);
static int next_char(const char **p, const char *end);
static bool text_equal(roam_span a, roam_span b, bool fold_case);
static bool host_equal(const roam_uri *a, const roam_uri *b);
static bool params_equal(const roam_uri *a, const roam_uri *b);
static bool headers_equal(roam_span a, roam_span b);
static bool tel_equal(const roam_uri *a, const roam_uri *b);

void uri_clear(roam_uri *uri)
{
    const roam_span none = {NULL, 0};
    uri->scheme = URI_SIP;
    uri->text = uri->scheme_name = uri->user = uri->password = uri->host = uri->params = uri->headers = none;
    uri->ip = (roam_ip){0};
    uri->port = 0;
}

int uri_parse(roam_span text, roam_uri *out)
{
    const char *p = text.ptr, *end = span_end(text);
    uri_clear(out);
    out->text = text;
    if (text.len > ROAM_MAX_URI)
        return ROAM_ELIMIT;
    if (text.len > 4 && memcmp(p, "sip:", 4) == 0) { /* nearly all */
        out->scheme_name = span_make(p, 3);
        p += 4;
    } else {
        p = parse_scheme(out, p, end);
        if (!p)
            return ROAM_ESYNTAX;
        if (out->scheme == URI_TEL)
            return parse_tel(out, p, end);
        if (out->scheme == URI_OTHER)
            return p < end && skip_run(text.ptr, p, end, CHAR_URIC) == end ? ROAM_OK : ROAM_ESYNTAX;
    }
    return parse_sip(out, p, end);
}

bool param_next(roam_span *rest, roam_span *name, roam_span *value)
{
    const char *p = rest->ptr, *end = span_end(*rest);
    while (p < end && (*p == ';' || char_is(*p, CHAR_LWS)))
        p++;
    if (p == end) {
        *rest = span_make(end, 0);
        return false;
    }
    const char *stop = skip_class(p, end, CHAR_NAME);
    *name = span_between(p, stop);
    *value = span_make(stop, 0);
    p = stop;
    if (p < end && *p != ';') {
        p = skip_lws(p, end);
        if (p < end && *p == '=') {
            p = skip_lws(p + 1, end);
            stop = p < end && *p == '"' ? scan_quoted(p, end) : skip_run(rest->ptr, p, end, CHAR_VALUE);
            if (!stop)
                stop = end; /* not valid anyway: one parameter to the end */
            *value = span_between(p, stop);
            p = stop;
        }
        if (p < end && *p != ';') {
            p = find_char(p, end, ';'); /* what is left of something that is no parameter */
            if (!p)
                p = end;
        }
    }
    *rest = span_between(p, end);
    return true;
}

bool param_find(roam_span params, roam_span name, roam_span *value)
{
    roam_span found, content;
    while (param_next(&params, &found, &content)) {
        bool same = found.len == name.len ? span_ieq(found, name)
                                          : found.len > name.len && text_equal(found, name, true); /* escapes */
        if (same) {
            if (value)
                *value = content;
            return true;
        }
    }
    return false;
}

bool uri_equal(const roam_uri *a, const roam_uri *b)
{
    if (a->scheme != b->scheme)
        return false;
    if (a->scheme == URI_OTHER)
        return span_ieq(a->scheme_name, b->scheme_name) &&
               span_eq(span_between(a->scheme_name.ptr + a->scheme_name.len, a->text.ptr + a->text.len),
                       span_between(b->scheme_name.ptr + b->scheme_name.len, b->text.ptr + b->text.len));
    if (a->scheme == URI_TEL)
        return tel_equal(a, b);
    return a->port == b->port && text_equal(a->user, b->user, false) && text_equal(a->password, b->password, false) &&
           host_equal(a, b) && params_equal(a, b) && headers_equal(a->headers, b->headers);
}

bool uri_same_aor(const roam_uri *a, const roam_uri *b)
{
    if (a->scheme != b->scheme)
        return false;
    if (a->scheme == URI_OTHER)
        return uri_equal(a, b);
    if (a->scheme == URI_TEL)
        return tel_equal(a, b);
    return a->port == b->port && text_equal(a->user, b->user, false) && host_equal(a, b);
}

static unsigned hex_digit(char c)
{
    return ascii_is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

int uri_unescape(roam_span s, roam_writer *w)
{
    const char *p = s.ptr, *end = span_end(s);
    while (p < end) {
        const char *escape = find_char(p, end, '%');
        write_span(w, span_between(p, escape ? escape : end));
        if (!escape)
            break;
        if (end - escape < 3 || !char_is(escape[1], CHAR_HEX) || !char_is(escape[2], CHAR_HEX))
            return ROAM_ESYNTAX;
        write_char(w, (char)(hex_digit(escape[1]) << 4 | hex_digit(escape[2])));
        p = escape + 3;
    }
    return w->overflow ? ROAM_EOVERFLOW : ROAM_OK;
}

void write_uri_user(roam_writer *w, roam_span user)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < user.len; i++) {
        char c = user.ptr[i];
        if (char_is(c, CHAR_USER) && c != '#') {
            write_char(w, c);
        } else {
            char escape[3] = {'%', hex[(uint8_t)c >> 4], hex[(uint8_t)c & 15]};
            write_bytes(w, escape, sizeof escape);
        }
    }
}

uint16_t uri_effective_port(const roam_uri *uri)
{
    roam_span transport;
    if (uri->port)
        return uri->port;
    if (uri->scheme == URI_SIPS)
        return 5061;
    if (param_find(uri->params, SPAN("transport"), &transport) && span_ieq(transport, SPAN("tls")))
        return 5061;
    return 5060;
}

/* scheme ":", where scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ): the byte after it, or NULL. */
static const char *parse_scheme(roam_uri *uri, const char *p, const char *end)
{
    const char *start = p;
    if (p == end || ascii_lower(*p) < 'a' || ascii_lower(*p) > 'z')
        return NULL;
    while (p < end && *p != ':') {
        if (!char_is(*p, CHAR_HOST) && *p != '+')
            return NULL;
        p++;
    }
    if (p == end)
        return NULL;
    uri->scheme_name = span_between(start, p);
    if (WORD_IS(uri->scheme_name, "sip"))
        uri->scheme = URI_SIP;
    else if (WORD_IS(uri->scheme_name, "sips"))
        uri->scheme = URI_SIPS;
    else if (WORD_IS(uri->scheme_name, "tel"))
        uri->scheme = URI_TEL;
    else
        uri->scheme = URI_OTHER;
    return p + 1;
}

/* [ userinfo "@" ] hostport uri-parameters [ headers ]. A '@' stands nowhere but after the userinfo. */
static int parse_sip(roam_uri *uri, const char *p, const char *end)
{
    const char *base = uri->text.ptr, *at = find_char(p, end, '@'), *stop;
    if (at) {
        stop = skip_escaped(base, p, at, CHAR_USER);
        if (stop == p)
            return ROAM_ESYNTAX;
        uri->user = span_between(p, stop);
        if (stop < at) {
            if (*stop != ':' || skip_escaped(base, stop + 1, at, CHAR_PASSWORD) != at)
                return ROAM_ESYNTAX;
            uri->password = span_between(stop + 1, at);
        }
        p = at + 1;
    }
    p = scan_host(base, p, end, &uri->host, &uri->ip);
    if (p && p < end && *p == ':')
        p = scan_port(p, end, &uri->port);
    if (!p)
        return ROAM_ESYNTAX;
    if (p < end && *p == ';') {
        stop = scan_uri_params(base, p, end);
        if (!stop)
            return ROAM_ESYNTAX;
        uri->params = span_between(p + 1, stop);
        p = stop;
    }
    if (p < end && *p == '?') {
        uri->headers = span_between(p + 1, end);
        if (!headers_valid(base, p + 1, end))
            return ROAM_ESYNTAX;
        p = end;
    }
    return p == end ? ROAM_OK : ROAM_ESYNTAX;
}

/* RFC 3966 3: "+" and digits, or a local number, each with visual separators; then parameters. */
static int parse_tel(roam_uri *uri, const char *p, const char *end)
{
    const char *digits = p < end && *p == '+' ? p + 1 : p, *stop = digits;
    bool any = false, global = digits != p;
    for (; stop < end && (char_is(*stop, CHAR_PHONE) || (!global && (char_is(*stop, CHAR_HEX) || *stop == '*' || *stop == '#')));
         stop++)
        any |= global ? ascii_is_digit(*stop) : char_is(*stop, CHAR_HEX) || *stop == '*' || *stop == '#';
    if (!any)
        return ROAM_ESYNTAX;
    uri->user = span_between(p, stop);
    if (stop < end) {
        if (*stop != ';' || scan_uri_params(uri->text.ptr, stop, end) != end)
            return ROAM_ESYNTAX;
        uri->params = span_between(stop + 1, end);
    }
    return ROAM_OK;
}

/* *( ";" pname [ "=" pvalue ] ) from a ';': the byte after the last one, or NULL. */
SCAN_INLINE const char *scan_uri_params(const char *base, const char *p, const char *end)
{
    while (p < end && *p == ';') {
        const char *name = ++p;
        p = skip_class(p, end, CHAR_PARAM); /* names are short, and seldom escaped */
        if (p < end && *p == '%')
            p = skip_escaped(base, p, end, CHAR_PARAM);
        if (p == name)
            return NULL;
        if (p < end && *p == '=')
            p = skip_escaped(base, p + 1, end, CHAR_PARAM);
    }
    return p;
}

/* header *( "&" header ), header = hname "=" hvalue */
static bool headers_valid(const char *base, const char *p, const char *end)
{
    for (;;) {
        const char *stop = skip_escaped(base, p, end, CHAR_HEADER);
        if (stop == p || stop == end || *stop != '=')
            return false;
        p = skip_escaped(base, stop + 1, end, CHAR_HEADER);
        if (p == end)
            return true;
        if (*p++ != '&')
            return false;
    }
}

/* ---- equality ---- */

/* The next character with its escape undone. Reserved ones that were escaped stay apart from those that were not
 * (RFC 3261 19.1.4): 256 is added. -1 at the end. */
static int next_char(const char **p, const char *end)
{
    const char *at = *p;
    if (at == end)
        return -1;
    if (*at != '%' || end - at < 3 || !char_is(at[1], CHAR_HEX) || !char_is(at[2], CHAR_HEX)) {
        *p = at + 1;
        return (uint8_t)*at;
    }
    *p = at + 3;
    int c = (int)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
    return c && strchr(";/?:@&=+$,", c) ? c + 256 : c;
}

static bool text_equal(roam_span a, roam_span b, bool fold_case)
{
    const char *p = a.ptr, *p_end = span_end(a), *q = b.ptr, *q_end = span_end(b);
    for (;;) {
        int c = next_char(&p, p_end), d = next_char(&q, q_end);
        if (fold_case && c >= 0 && c < 128 && d >= 0 && d < 128) {
            c = ascii_lower((char)c);
            d = ascii_lower((char)d);
        }
        if (c != d)
            return false;
        if (c < 0)
            return true;
    }
}

/* Addresses by value, names without case (RFC 5954 4.2). */
static bool host_equal(const roam_uri *a, const roam_uri *b)
{
    if (a->ip.family || b->ip.family)
        return roam_ip_equal(&a->ip, &b->ip);
    return span_ieq(a->host, b->host);
}

/* These never match their absence; any other parameter counts only when both have it. */
static bool is_strict_param(roam_span name)
{
    static const roam_span strict[] = {SPAN_INIT("user"), SPAN_INIT("ttl"), SPAN_INIT("method"), SPAN_INIT("maddr"),
                                       SPAN_INIT("transport")};
    for (size_t i = 0; i < sizeof strict / sizeof strict[0]; i++)
        if (text_equal(name, strict[i], true))
            return true;
    return false;
}

/* Is each of `mine` in `theirs` with the same value? One that is missing there matters only when `all` or strict. Where a
 * name is repeated, which no grammar allows, one of the same value is enough. */
static bool params_within(roam_span mine, roam_span theirs, bool all)
{
    roam_span name, value, other, content;
    while (param_next(&mine, &name, &value)) {
        roam_span rest = theirs;
        bool named = false, same = false;
        while (!same && param_next(&rest, &other, &content))
            if (text_equal(other, name, true)) {
                named = true;
                same = text_equal(content, value, true);
            }
        if (!same && (named || all || is_strict_param(name)))
            return false;
    }
    return true;
}

static size_t count_char(roam_span s, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == c;
    return n;
}

/* Comparing goes by the square of their number, so a peer may not choose a large one: beyond 64 only the same text is equal. */
static bool params_comparable(const roam_uri *a, const roam_uri *b)
{
    return count_char(a->params, ';') < 64 && count_char(b->params, ';') < 64;
}

static bool params_equal(const roam_uri *a, const roam_uri *b)
{
    if (!params_comparable(a, b))
        return span_eq(a->params, b->params);
    return params_within(a->params, b->params, false) && params_within(b->params, a->params, false);
}

static bool headers_within(roam_span mine, roam_span theirs)
{
    while (mine.len) {
        roam_span value, one = span_cut(mine, '&', &mine), name = span_cut(one, '=', &value), rest = theirs;
        bool found = false;
        while (rest.len && !found) {
            roam_span content, other = span_cut(rest, '&', &rest), other_name = span_cut(other, '=', &content);
            found = text_equal(name, other_name, true) && text_equal(value, content, false);
        }
        if (!found)
            return false;
    }
    return true;
}

/* Header components match in any order, and all of them must. */
static bool headers_equal(roam_span a, roam_span b)
{
    size_t n = count_char(a, '&');
    if (n != count_char(b, '&') || !a.len != !b.len)
        return false;
    return n < 64 ? headers_within(a, b) && headers_within(b, a) : span_eq(a, b);
}

/* RFC 3966 5: numbers without their visual separators and without case, parameters in any order and all of them. */
static bool tel_equal(const roam_uri *a, const roam_uri *b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a->user.len && memchr("-.()", a->user.ptr[i], 4))
            i++;
        while (j < b->user.len && memchr("-.()", b->user.ptr[j], 4))
            j++;
        if (i == a->user.len || j == b->user.len)
            break;
        if (ascii_lower(a->user.ptr[i++]) != ascii_lower(b->user.ptr[j++]))
            return false;
    }
    if (i != a->user.len || j != b->user.len)
        return false;
    if (!params_comparable(a, b))
        return span_eq(a->params, b->params);
    return params_within(a->params, b->params, true) && params_within(b->params, a->params, true);
}

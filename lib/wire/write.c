/* Writing messages: the one writer for requests and responses. */
#include "wire/chars.h"
#include "wire/names.h"

static void write_u32(roam_writer *w, uint32_t n);
static void write_value(roam_writer *w, roam_span value);
static void write_vias(roam_writer *w, const roam_message *request, const roam_addr *source);
static void write_via_from(roam_writer *w, const roam_via *via, const roam_addr *source);
static void write_first(roam_writer *w, const roam_message *from, roam_header_id id);

void write_request_line(roam_writer *w, roam_span method, roam_span uri)
{
    static const char version[] = " SIP/2.0\r\n"; /* ten bytes, and the blank after the method */
    size_t room = w->cap - w->len;
    if (w->overflow || method.len >= room || uri.len >= room - method.len || room - method.len - uri.len < 11) {
        w->overflow = true;
        return;
    }
    char *p = w->ptr + w->len;
    if (method.len)
        memcpy(p, method.ptr, method.len);
    p += method.len;
    *p++ = ' ';
    if (uri.len)
        memcpy(p, uri.ptr, uri.len);
    p += uri.len;
    memcpy(p, version, 10);
    w->len += method.len + uri.len + 11;
}

void write_status_line(roam_writer *w, unsigned status, roam_span reason)
{
    char line[] = "SIP/2.0 000 ";
    line[8] = (char)('0' + status / 100 % 10);
    line[9] = (char)('0' + status / 10 % 10);
    line[10] = (char)('0' + status % 10);
    write_bytes(w, line, sizeof line - 1);
    if (reason.len)
        write_span(w, reason);
    else
        write_cstr(w, status_text(status));
    write_lit(w, "\r\n");
}

void write_header_name(roam_writer *w, roam_header_id id)
{
    write_span(w, header_prefixes[id]);
}

void write_header(roam_writer *w, roam_header_id id, roam_span value)
{
    roam_span name = header_prefixes[id];
    if (w->overflow || w->cap - w->len < name.len + 2 || w->cap - w->len - name.len - 2 < value.len) {
        w->overflow = true;
        return;
    }
    char *p = w->ptr + w->len;
    memcpy(p, name.ptr, name.len);
    if (value.len)
        memcpy(p + name.len, value.ptr, value.len);
    memcpy(p + name.len + value.len, "\r\n", 2);
    w->len += name.len + value.len + 2;
}

void write_header_named(roam_writer *w, roam_span name, roam_span value)
{
    write_span(w, name);
    write_lit(w, ": ");
    write_span(w, value);
    write_lit(w, "\r\n");
}

void write_header_u32(roam_writer *w, roam_header_id id, uint32_t value)
{
    write_header_name(w, id);
    write_u32(w, value);
    write_lit(w, "\r\n");
}

void write_cseq(roam_writer *w, uint32_t number, roam_span method)
{
    write_lit(w, "CSeq: ");
    write_u32(w, number);
    write_char(w, ' ');
    write_span(w, method);
    write_lit(w, "\r\n");
}

void write_body(roam_writer *w, roam_span type, roam_span body)
{
    if (type.len)
        write_header(w, HEADER_CONTENT_TYPE, type);
    if (!body.len) {
        write_lit(w, "Content-Length: 0\r\n\r\n");
        return;
    }
    write_lit(w, "Content-Length: ");
    write_u64(w, body.len);
    write_lit(w, "\r\n\r\n");
    write_span(w, body);
}

void write_headers_copied(roam_writer *w, const roam_message *from, roam_header_id id)
{
    for (int i = message_first(from, id); i >= 0; i = message_next(from, id, i)) {
        const roam_header *header = &from->headers[i];
        if (id == HEADER_OTHER) {
            write_span(w, header->name);
            write_lit(w, ": ");
        } else {
            write_header_name(w, id);
        }
        write_value(w, header->value);
        write_lit(w, "\r\n");
    }
}

void write_response_head(roam_writer *w, const roam_message *request, unsigned status, roam_span reason, roam_span to_tag,
                         const roam_addr *source)
{
    write_status_line(w, status, reason);
    write_vias(w, request, source);
    write_first(w, request, HEADER_FROM);
    if (message_has(request, HEADER_TO)) {
        roam_span value = message_value(request, HEADER_TO);
        roam_name_addr to;
        write_header_name(w, HEADER_TO);
        write_value(w, value);
        if (to_tag.len && (name_addr_parse(value, &to) != ROAM_OK || !name_addr_tag(&to).len)) {
            write_lit(w, ";tag=");
            write_span(w, to_tag);
        }
        write_lit(w, "\r\n");
    }
    write_first(w, request, HEADER_CALL_ID);
    write_first(w, request, HEADER_CSEQ);
}

/* write_u64 for what is nearly always short: counted first, then written in place. */
static void write_u32(roam_writer *w, uint32_t n)
{
    size_t len = 1;
    for (uint32_t rest = n; rest >= 10; rest /= 10)
        len++;
    if (w->overflow || len > w->cap - w->len) {
        w->overflow = true;
        return;
    }
    w->len += len;
    char *p = w->ptr + w->len;
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
}

/* A value as it stood, a fold as one blank. Nothing that was read may start a line of its own. */
static void write_value(roam_writer *w, roam_span value)
{
    const char *p = value.ptr, *end = span_end(value);
    if (!find_char(p, end, '\n') && !find_char(p, end, '\r')) {
        write_span(w, value);
        return;
    }
    while (p < end) {
        const char *stop = p;
        while (stop < end && *stop != '\r' && *stop != '\n')
            stop++;
        const char *next = skip_lws(stop, end);
        if (stop < end)
            while (stop > p && char_is(stop[-1], CHAR_LWS))
                stop--;
        write_span(w, span_between(p, stop));
        if (next < end)
            write_char(w, ' ');
        p = next;
    }
}

static void write_first(roam_writer *w, const roam_message *from, roam_header_id id)
{
    if (!message_has(from, id))
        return;
    write_header_name(w, id);
    write_value(w, message_value(from, id));
    write_lit(w, "\r\n");
}

/* All Via in order (RFC 3261 8.2.6.2). Where the request came from is told in the top one. */
static void write_vias(roam_writer *w, const roam_message *request, const roam_addr *source)
{
    roam_value_cursor cursor = {0};
    roam_span top;
    roam_via via;
    int index = message_first(request, HEADER_VIA);
    if (!source || !message_values(request, HEADER_VIA, &cursor, &top) || via_parse(top, &via) != ROAM_OK) {
        write_headers_copied(w, request, HEADER_VIA);
        return;
    }
    write_header_name(w, HEADER_VIA);
    write_via_from(w, &via, source);
    if (cursor.rest.len) {
        write_lit(w, ", ");
        write_value(w, span_trim(cursor.rest));
    }
    write_lit(w, "\r\n");
    for (index = message_next(request, HEADER_VIA, cursor.index - 1); index >= 0;
         index = message_next(request, HEADER_VIA, index)) {
        write_header_name(w, HEADER_VIA);
        write_value(w, request->headers[index].value);
        write_lit(w, "\r\n");
    }
}

/* RFC 3261 18.2.1: received where the sent-by is not the source address. RFC 3581 4: with rport always, and the port.
 * What the sender claimed about itself in received and rport goes. */
static void write_via_from(roam_writer *w, const roam_via *via, const roam_addr *source)
{
    roam_span rest = via->params, name, value;
    write_lit(w, "SIP/2.0/");
    write_span(w, via->transport);
    write_char(w, ' ');
    if (via->ip.family == 6)
        write_char(w, '[');
    write_span(w, via->host);
    if (via->ip.family == 6)
        write_char(w, ']');
    if (via->port) {
        write_char(w, ':');
        write_u64(w, via->port);
    }
    while (param_next(&rest, &name, &value)) {
        if (span_ieq(name, SPAN("received")) || span_ieq(name, SPAN("rport")))
            continue;
        write_char(w, ';');
        write_span(w, name);
        if (value.len) {
            write_char(w, '=');
            write_value(w, value);
        }
    }
    if (via->has_rport) {
        write_lit(w, ";rport=");
        write_u64(w, source->port);
    }
    if (via->has_rport || !roam_ip_equal(&via->ip, &source->ip)) {
        write_lit(w, ";received=");
        write_ip(w, &source->ip);
    }
}

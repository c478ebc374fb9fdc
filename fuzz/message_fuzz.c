/* SIP messages from a hostile peer: parse, check, ask every accessor about everything, write the response and what is copied
 * into it, and read that again. Every span must point into the datagram; the answer to what was accepted must match it. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static roam_span text;

static void check_span(roam_span s)
{
    CHECK(s.len == 0 || (s.ptr >= text.ptr && s.len <= text.len && s.ptr + s.len <= text.ptr + text.len));
}

static void check_params(roam_span params)
{
    roam_span rest = params, name, value;
    size_t n = 0;
    check_span(params);
    while (param_next(&rest, &name, &value)) {
        check_span(name);
        check_span(value);
        CHECK(++n <= params.len);
    }
    CHECK(!params.len || n);
}

static void check_uri(const roam_uri *uri)
{
    char plain[ROAM_MAX_URI];
    roam_writer w;
    roam_uri again;
    check_span(uri->text);
    check_span(uri->scheme_name);
    check_span(uri->user);
    check_span(uri->password);
    check_span(uri->host);
    check_span(uri->headers);
    check_params(uri->params);
    writer_init(&w, plain, sizeof plain);
    CHECK(uri_unescape(uri->user, &w) == ROAM_OK || uri->scheme == URI_TEL);
    CHECK(uri_equal(uri, uri));
    CHECK(uri_same_aor(uri, uri));
    CHECK(uri_effective_port(uri) != 0);
    CHECK(uri_parse(uri->text, &again) == ROAM_OK);
    if (uri->scheme == URI_SIP && uri->user.len) { /* the user written from its plain form means the same */
        char written[3 * ROAM_MAX_URI];
        char back[ROAM_MAX_URI];
        roam_writer escaped, round;
        writer_init(&escaped, written, sizeof written);
        write_uri_user(&escaped, writer_span(&w));
        writer_init(&round, back, sizeof back);
        CHECK(uri_unescape(writer_span(&escaped), &round) == ROAM_OK);
        CHECK(span_eq(writer_span(&round), writer_span(&w)));
    }
}

/* Every typed reading of every value, whatever header it stands in. */
static void check_value(roam_span value)
{
    roam_name_addr address;
    roam_via via;
    roam_cseq cseq;
    roam_uri uri;
    if (name_addr_parse(value, &address) == ROAM_OK && !address.wildcard) {
        check_span(address.display);
        check_span(address.uri_text);
        check_span(name_addr_tag(&address));
        check_params(address.params);
        check_uri(&address.uri);
    }
    if (via_parse(value, &via) == ROAM_OK) {
        check_span(via.transport);
        check_span(via.host);
        check_span(via.branch);
        check_span(via.received_text);
        check_params(via.params);
        CHECK(via.transport.len && via.host.len);
    }
    if (cseq_parse(value, &cseq) == ROAM_OK)
        CHECK(method_of(cseq.method_name) == cseq.method && cseq.method_name.len);
    if (uri_parse(value, &uri) == ROAM_OK)
        check_uri(&uri);
}

static void check_message(const roam_message *m)
{
    roam_span value;
    check_span(m->bytes);
    check_span(m->method_name);
    check_span(m->request_uri);
    check_span(m->reason);
    check_span(m->body);
    CHECK(m->nheaders <= ROAM_MAX_HEADERS);
    for (int i = 0; i < m->nheaders; i++) {
        check_span(m->headers[i].name);
        check_span(m->headers[i].value);
        check_value(m->headers[i].value);
        value = message_value_named(m, m->headers[i].name);
        check_span(value);
    }
    for (int id = 0; id < HEADER_COUNT; id++) {
        roam_value_cursor cursor = {0};
        uint32_t seconds;
        int count = 0, walked = 0;
        for (int i = message_first(m, (roam_header_id)id); i >= 0; i = message_next(m, (roam_header_id)id, i)) {
            CHECK(m->headers[i].id == (roam_header_id)id);
            count++;
        }
        for (int i = 0; i < m->nheaders; i++)
            walked += m->headers[i].id == (roam_header_id)id;
        CHECK(count == walked);
        while (message_values(m, (roam_header_id)id, &cursor, &value)) {
            check_span(value);
            CHECK(value.len);
            check_value(value);
        }
        message_seconds(m, (roam_header_id)id, &seconds);
        message_has_token(m, (roam_header_id)id, SPAN("timer"));
    }
    message_has_body_type(m, SPAN("application/sdp"));
}

static size_t count_vias(const roam_message *m)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    size_t n = 0;
    while (message_values(m, HEADER_VIA, &cursor, &value))
        n++;
    return n;
}

static void check_answer(const roam_message *m, const roam_addr *source, bool accepted)
{
    static char space[4 * ROAM_MAX_MESSAGE];
    static roam_header_space headers;
    roam_span received = text;
    roam_message answer;
    roam_writer w;
    writer_init(&w, space, sizeof space);
    write_response_head(&w, m, 400, (roam_span){NULL, 0}, SPAN("tag"), source);
    for (int id = 0; id < HEADER_COUNT && accepted; id++)
        if (id != HEADER_VIA && id != HEADER_FROM && id != HEADER_TO && id != HEADER_CALL_ID && id != HEADER_CSEQ && id != HEADER_CONTENT_LENGTH)
            write_headers_copied(&w, m, (roam_header_id)id);
    write_body(&w, (roam_span){NULL, 0}, m->body);
    CHECK(!w.overflow);
    if (w.len > ROAM_MAX_MESSAGE)
        return;
    text = writer_span(&w);
    int err = message_parse(&answer, &headers, text);
    if (accepted) {
        roam_cseq a, b;
        CHECK(err == ROAM_OK || (err == ROAM_ELIMIT && m->nheaders + 1u >= ROAM_MAX_HEADERS));
        CHECK(err || message_check(&answer) == 0);
        CHECK(err || count_vias(&answer) == count_vias(m));
        CHECK(span_eq(message_value(&answer, HEADER_CALL_ID), message_value(m, HEADER_CALL_ID)));
        CHECK(cseq_parse(message_value(&answer, HEADER_CSEQ), &a) == ROAM_OK);
        CHECK(cseq_parse(message_value(m, HEADER_CSEQ), &b) == ROAM_OK);
        CHECK(a.number == b.number && span_eq(a.method_name, b.method_name));
        CHECK(err || span_eq(answer.body, m->body));
    }
    text = received;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static roam_header_space space;
    static const roam_addr sources[] = {{{.family = 4, .bytes = {192, 0, 2, 7}}, 5060},
                                        {{.family = 6, .bytes = {0x20, 1, 0x0d, 0xb8, [15] = 1}}, 1}};
    roam_message m;
    text = span_make((const char *)data, size);
    int err = message_parse(&m, &space, text);
    CHECK((err == ROAM_OK) == (m.fault == NULL));
    check_message(&m);
    int status = message_check(&m);
    CHECK((status == 0) == (m.fault == NULL));
    CHECK(!err || status);
    if (m.is_request) {
        check_answer(&m, NULL, status == 0);
        check_answer(&m, &sources[0], status == 0);
        check_answer(&m, &sources[1], status == 0);
    }
    return 0;
}

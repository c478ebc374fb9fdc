/* Messages: finding their parts, typed values, limits, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/message.h"

static roam_header_space space;

static void assert_span(roam_span s, const char *text)
{
    roam_span wanted = span_of(text);
    if (!span_eq(s, wanted))
        print_error("'%.*s' is not '%.*s'\n", SPAN_ARG(s), SPAN_ARG(wanted));
    assert_true(span_eq(s, wanted));
}

static roam_message accepted(const char *text)
{
    roam_message m;
    int err = message_parse(&m, &space, span_of(text));
    int status = err ? 0 : message_check(&m);
    if (err || status)
        print_error("refused (%d): %s\n", status, m.fault ? m.fault : "");
    assert_int_equal(err, ROAM_OK);
    assert_int_equal(status, 0);
    assert_null(m.fault);
    return m;
}

static void refused(const char *text, int status, const char *fault)
{
    roam_message m;
    message_parse(&m, &space, span_of(text));
    assert_int_equal(message_check(&m), status);
    assert_non_null(m.fault);
    assert_string_equal(m.fault, fault);
}

#define VIA "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:a@example.com>;tag=1\r\n"
#define TO "To: <sip:b@example.com>\r\n"
#define ID "Call-ID: x@y\r\n"
#define BASE VIA FROM TO ID
#define OPTIONS "OPTIONS sip:b@example.com SIP/2.0\r\n"
#define CSEQ "CSeq: 1 OPTIONS\r\n"
#define REST BASE CSEQ

static void every_header_name_is_found(void **state)
{
    /* Each known name in three spellings, and each compact form, gives its id; neighbours of a name do not. */
    (void)state;
    char text[200];
    for (int id = HEADER_OTHER + 1; id < HEADER_COUNT; id++) {
        const char *name = header_text((roam_header_id)id);
        size_t len = strlen(name);
        assert_true(len > 0);
        for (int spelling = 0; spelling < 3; spelling++) {
            roam_message m;
            roam_writer w;
            writer_init(&w, text, sizeof text);
            write_lit(&w, OPTIONS);
            for (size_t i = 0; i < len; i++) {
                bool upper = spelling == 1 || (spelling == 2 && i % 2);
                char c = ascii_lower(name[i]);
                write_char(&w, upper && c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
            }
            write_lit(&w, ": 5\r\n\r\n12345");
            message_parse(&m, &space, writer_span(&w));
            assert_int_equal(m.nheaders, 1);
            assert_int_equal(m.headers[0].id, id);
            assert_span(message_value(&m, (roam_header_id)id), "5");
            assert_span(message_value_named(&m, span_of(name)), "5");
        }
        for (size_t i = 0; i < len; i++) { /* one letter wrong */
            roam_message m;
            roam_writer w;
            writer_init(&w, text, sizeof text);
            write_lit(&w, OPTIONS);
            size_t at = w.len;
            write_cstr(&w, name);
            text[at + i] = text[at + i] == 'z' ? 'y' : 'z';
            write_lit(&w, ": 5\r\n\r\n");
            assert_int_equal(message_parse(&m, &space, writer_span(&w)), ROAM_OK);
            assert_int_not_equal(m.headers[0].id, id);
        }
    }
    static const struct {
        char compact;
        roam_header_id id;
    } forms[] = {{'v', HEADER_VIA}, {'f', HEADER_FROM}, {'t', HEADER_TO}, {'i', HEADER_CALL_ID}, {'m', HEADER_CONTACT},
                 {'c', HEADER_CONTENT_TYPE}, {'l', HEADER_CONTENT_LENGTH}, {'e', HEADER_CONTENT_ENCODING}, {'k', HEADER_SUPPORTED},
                 {'r', HEADER_REFER_TO}, {'b', HEADER_REFERRED_BY}, {'o', HEADER_EVENT}, {'u', HEADER_ALLOW_EVENTS},
                 {'x', HEADER_SESSION_EXPIRES}, {'s', HEADER_OTHER}, {'z', HEADER_OTHER}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        for (char c = forms[i].compact;; c = (char)(c - 32)) {
            roam_message m;
            roam_writer w;
            writer_init(&w, text, sizeof text);
            write_lit(&w, OPTIONS);
            write_char(&w, c);
            write_lit(&w, " \t: 0\r\n\r\n");
            assert_int_equal(message_parse(&m, &space, writer_span(&w)), ROAM_OK);
            assert_int_equal(m.headers[0].id, forms[i].id);
            if (c < 'a')
                break;
        }
    /* what folding of case by bit 5 must not confuse */
    roam_message m;
    assert_int_equal(message_parse(&m, &space, SPAN(OPTIONS "Call\rID: 1\r\n\r\n")), ROAM_ESYNTAX);
    assert_string_equal(m.fault, "Bad Header Name");
}

static void compact_and_full_names_are_one(void **state)
{
    /* Subject has no id, and is found by its long name in both forms. */
    (void)state;
    roam_message m = accepted(OPTIONS REST "s: hello\r\n\r\n");
    assert_span(message_value_named(&m, SPAN("subject")), "hello");
    assert_int_equal(message_value_named(&m, SPAN("Priority")).len, 0);
}

static void parts_of_a_request(void **state)
{
    /* Start line, headers in order, body to Content-Length; leading line ends are skipped, bytes behind ignored. */
    (void)state;
    roam_message m = accepted("\r\n\r\nOPTIONS sip:b@example.com SIP/2.0\r\n" REST
                              "Content-Type: application / SDP ; charset=utf-8\r\nl: 4\r\n\r\nbodyMORE");
    assert_true(m.is_request);
    assert_int_equal(m.method, METHOD_OPTIONS);
    assert_span(m.method_name, "OPTIONS");
    assert_span(m.request_uri, "sip:b@example.com");
    assert_int_equal(m.nheaders, 7);
    assert_span(m.body, "body");
    assert_true(span_starts(m.bytes, SPAN("OPTIONS")));
    assert_ptr_equal(m.bytes.ptr + m.bytes.len, m.body.ptr + 4);
    assert_true(message_has_body_type(&m, SPAN("application/sdp")));
    assert_false(message_has_body_type(&m, SPAN("application/sd")));
    assert_false(message_has_body_type(&m, SPAN("text/sdp")));
    m = accepted("options sip:b@example.com SIP/2.0\r\n" BASE "CSeq: 1 options\r\n\r\n"); /* methods have case */
    assert_int_equal(m.method, METHOD_OTHER);
    m = accepted("OPTIONS sip:b@example.com SIP/2.0\n" /* LF alone ends a line, too */
                 "v:SIP/2.0/UDP h;branch=z9hG4bK1\nf:<sip:a@h>;tag=1\nt:sip:b@h\ni:x\nCSeq:1 OPTIONS\n\nrest");
    assert_span(m.body, "rest");
}

static void parts_of_a_response(void **state)
{
    /* Status and reason, which may be missing or in UTF-8; the method is that of CSeq. */
    (void)state;
    roam_message m = accepted("SIP/2.0 486 Busy Here\r\n" BASE "CSeq: 7 INVITE\r\n\r\n");
    assert_false(m.is_request);
    assert_int_equal(m.status, 486);
    assert_span(m.reason, "Busy Here");
    assert_int_equal(m.method, METHOD_INVITE);
    m = accepted("sip/2.0 100\r\n" BASE "CSeq: 7 INVITE\r\n\r\n");
    assert_int_equal(m.reason.len, 0);
    m = accepted("SIP/2.0 200 \xd0\xb4\xd0\xb0\r\n" BASE "CSeq: 7 FLY\r\n\r\n");
    assert_span(m.reason, "\xd0\xb4\xd0\xb0");
    assert_int_equal(m.method, METHOD_OTHER);
    assert_span(m.method_name, "FLY");
    static const char *const bad[] = {"SIP/2.0 099 x", "SIP/2.0 700 x", "SIP/2.0 20 x", "SIP/2.0 2000 x", "SIP/2.0 2x0 x", "SIP/2.0",
                                      "SIP/2.0  200 x", "SIP/x 200 OK", "SIP/2.0 -10 x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[400];
        roam_writer w;
        writer_init(&w, text, sizeof text);
        write_cstr(&w, bad[i]);
        write_lit(&w, "\r\n" BASE "CSeq: 7 INVITE\r\n\r\n");
        assert_int_equal(message_parse(&m, &space, writer_span(&w)), ROAM_ESYNTAX);
        assert_int_equal(message_check(&m), 400);
    }
    /* somebody else's broken binding does not cost us our answer */
    m = accepted("SIP/2.0 200 OK\r\n" BASE "CSeq: 7 REGISTER\r\nContact: <<>>, <sip:a@h>\r\nDate: yesterday\r\n\r\n");
}

static void refused_requests(void **state)
{
    /* Each with the status and the reason that a server answers with. */
    (void)state;
    refused("", 400, "Empty Message");
    refused("\r\n\r\n", 400, "Empty Message");
    refused("OPTIONS sip:b@example.com SIP/2.0", 400, "Unfinished Start Line");
    refused(OPTIONS REST, 400, "Unfinished Header");
    refused(OPTIONS REST "Subject: x", 400, "Unfinished Header");
    refused(OPTIONS REST "Subject\r\n\r\n", 400, "Header Line Without Colon");
    refused(OPTIONS REST ": x\r\n\r\n", 400, "Bad Header Name");
    refused(OPTIONS REST "Sub ject: x\r\n\r\n", 400, "Bad Header Name");
    refused(OPTIONS " folded: nothing\r\n" REST "\r\n", 400, "Bad Header Name");
    refused("OPT(IONS sip:b@h SIP/2.0\r\n" REST "\r\n", 400, "Bad Request Line");
    refused("OPTIONS SIP/2.0\r\n" REST "\r\n", 400, "Bad Request Line");
    refused("OPTIONS sip:b@h\r\n" REST "\r\n", 400, "Bad Request Line");
    refused("OPTIONS sip:b@h HTTP/1.1\r\n" REST "\r\n", 400, "Bad Request Line");
    refused("OPTIONS sip:b@h SIP/2.0x\r\n" REST "\r\n", 400, "Bad Request Line");
    refused("OPTIONS sip:b@h SIP/3.0\r\n" REST "\r\n", 505, "Version Not Supported");
    refused("OPTIONS mailto:b@h SIP/2.0\r\n" REST "\r\n", 416, "Unsupported URI Scheme");
    refused(OPTIONS FROM TO ID CSEQ "\r\n", 400, "Missing Via");
    refused(OPTIONS VIA TO ID CSEQ "\r\n", 400, "Missing From");
    refused(OPTIONS VIA FROM ID CSEQ "\r\n", 400, "Missing To");
    refused(OPTIONS VIA FROM TO CSEQ "\r\n", 400, "Missing Call-ID");
    refused(OPTIONS BASE "\r\n", 400, "Missing CSeq");
    refused(OPTIONS BASE "CSeq: 1 INVITE\r\n\r\n", 400, "CSeq Method Mismatch");
    refused(OPTIONS BASE "CSeq: 4294967296 OPTIONS\r\n\r\n", 400, "Bad CSeq");
    refused(OPTIONS BASE "CSeq: -1 OPTIONS\r\n\r\n", 400, "Bad CSeq");
    refused(OPTIONS BASE "CSeq: 1OPTIONS\r\n\r\n", 400, "Bad CSeq");
    refused(OPTIONS BASE "CSeq: 1 OPTIONS x\r\n\r\n", 400, "Bad CSeq");
    refused(OPTIONS REST "To: <sip:c@example.com>\r\n\r\n", 400, "Repeated Header");
    refused(OPTIONS REST "Max-Forwards: 256\r\n\r\n", 400, "Bad Max-Forwards");
    refused(OPTIONS REST "Max-Forwards:\r\n\r\n", 400, "Bad Max-Forwards");
    refused(OPTIONS REST "Content-Length: 1\r\n\r\n", 400, "Body Shorter Than Content-Length");
    refused(OPTIONS REST "Content-Length: 4294967296\r\n\r\n", 400, "Bad Content-Length");
    refused(OPTIONS REST "Content-Length:\r\n\r\n", 400, "Bad Content-Length");
    refused(OPTIONS REST "Content-Length: 0x0\r\n\r\n", 400, "Bad Content-Length");
    refused(OPTIONS REST "Contact: *, <sip:a@h>\r\n\r\n", 400, "Bad Contact");
    refused(OPTIONS REST "Route: sip:a@h;lr\r\n\r\n", 400, "Bad Route");
    refused(OPTIONS REST "Record-Route: *\r\n\r\n", 400, "Bad Record-Route");
    refused(OPTIONS VIA "From: *\r\n" TO ID CSEQ "\r\n", 400, "Bad From");
    refused(OPTIONS VIA FROM TO "Call-ID:\r\n" CSEQ "\r\n", 400, "Bad Call-ID");
    refused(OPTIONS VIA FROM TO "Call-ID: a b\r\n" CSEQ "\r\n", 400, "Bad Call-ID");
    accepted(OPTIONS REST "Contact: *\r\nDate: Sat, 13 Nov 2010 23:29:00 GMT\r\n\r\n");
    /* a long Request-URI: 414, and 4096 bytes are still fine */
    static char text[ROAM_MAX_URI + 1000];
    for (size_t extra = 0; extra < 2; extra++) {
        roam_writer w;
        roam_message m;
        writer_init(&w, text, sizeof text);
        write_lit(&w, "OPTIONS sip:");
        while (w.len < 8 + ROAM_MAX_URI + extra)
            write_char(&w, 'a');
        write_lit(&w, " SIP/2.0\r\n" REST "\r\n");
        assert_int_equal(message_parse(&m, &space, writer_span(&w)), ROAM_OK);
        assert_int_equal(message_check(&m), extra ? 414 : 0);
    }
}

static void what_can_be_answered_is_there(void **state)
{
    /* A message with a fault still shows Via, From, To, Call-ID and CSeq, so that 400 can be written. */
    (void)state;
    roam_message m;
    char text[600];
    roam_writer w;
    assert_int_equal(message_parse(&m, &space, SPAN("OPTIONS sip:b@h  SIP/2.0 \r\njunk\r\n" REST "Content-Length: x\r\n\r\n")), ROAM_ESYNTAX);
    assert_int_equal(message_check(&m), 400);
    writer_init(&w, text, sizeof text);
    write_response_head(&w, &m, 400, span_of(m.fault), SPAN("t"), NULL);
    assert_span(writer_span(&w), "SIP/2.0 400 Bad Request Line\r\n" VIA FROM "To: <sip:b@example.com>;tag=t\r\n" ID CSEQ);
}

static void limits(void **state)
{
    /* 10,000 Via headers, 10,000 Vias in one header, a message too large, 64 KiB of garbage: refused, in bounded work. */
    (void)state;
    char *text = malloc(600000);
    assert_non_null(text);
    roam_writer w;
    roam_message m;
    for (int shape = 0; shape < 3; shape++) {
        writer_init(&w, text, 600000);
        write_lit(&w, OPTIONS);
        if (shape == 1)
            write_lit(&w, "v:SIP/2.0/UDP h");
        for (int i = 0; i < (shape ? 4000 : 10000); i++) {
            if (shape == 0)
                write_lit(&w, VIA);
            else if (shape == 1)
                write_lit(&w, ",SIP/2.0/UDP h");
            else
                write_lit(&w, "v:SIP/2.0/UDP\r\n");
        }
        write_lit(&w, "\r\n" REST "\r\n");
        assert_false(w.overflow);
        int err = message_parse(&m, &space, writer_span(&w));
        if (shape == 0) {
            assert_int_equal(err, ROAM_ELIMIT);
            assert_string_equal(m.fault, "Message Too Large");
            assert_int_equal(message_check(&m), 513);
            err = message_parse(&m, &space, span_make(text, 40000)); /* what fits into a datagram */
        }
        if (shape == 1) {
            assert_int_equal(err, ROAM_OK);
            assert_int_equal(message_check(&m), 400);
            assert_string_equal(m.fault, "Too Many Vias");
        } else {
            assert_int_equal(err, ROAM_ELIMIT);
            assert_string_equal(m.fault, "Too Many Headers");
            assert_int_equal(m.nheaders, ROAM_MAX_HEADERS);
            assert_int_equal(message_check(&m), 400);
        }
    }
    uint32_t seed = 1;
    for (int round = 0; round < 30; round++) {
        for (size_t i = 0; i < ROAM_MAX_MESSAGE; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = (char)(seed >> 24);
        }
        assert_int_not_equal(message_parse(&m, &space, span_make(text, ROAM_MAX_MESSAGE)), ROAM_OK);
        memset(text, round, ROAM_MAX_MESSAGE);
        assert_int_not_equal(message_parse(&m, &space, span_make(text, ROAM_MAX_MESSAGE)), ROAM_OK);
    }
    free(text);
}

static void nul_bytes(void **state)
{
    /* A NUL belongs nowhere but behind a backslash in a quoted string: in a name, a URI, a token it is refused. */
    (void)state;
    roam_message m;
    static const roam_span bad[] = {
        SPAN_INIT("OPTIONS sip:b@ex\0ample.com SIP/2.0\r\n" REST "\r\n"),  SPAN_INIT("OPT\0IONS sip:b@h SIP/2.0\r\n" REST "\r\n"),
        SPAN_INIT(OPTIONS REST "Sub\0ject: x\r\n\r\n"),                    SPAN_INIT(OPTIONS REST "Contact: <sip:a\0@h>\r\n\r\n"),
        SPAN_INIT(OPTIONS VIA FROM TO "Call-ID: a\0b\r\n" CSEQ "\r\n"),    SPAN_INIT(OPTIONS BASE "CSeq: 1\0 OPTIONS\r\n\r\n"),
        SPAN_INIT(OPTIONS FROM TO ID CSEQ "v: SIP/2.0/UDP h;branch=\0\r\n\r\n"), SPAN_INIT(OPTIONS REST "Content-Length: 0\0\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        message_parse(&m, &space, bad[i]);
        assert_int_equal(message_check(&m), 400);
    }
}

static void values_are_split(void **state)
{
    /* Commas split values across one header and several, but not in quotes, brackets or comments. Empty ones are skipped. */
    (void)state;
    roam_message m = accepted(OPTIONS REST "Contact: \"a, \\\"b\" <sip:a@h;x=1>;q=1 ,\r\n <sip:c,d@h>, , sip:e@h\r\nm: <sip:f@h>\r\n"
                                           "Accept: a (x, y (z, \\) ,)), b;p=\"c,d\"\r\nSupported:\r\nk: timer , 100REL;x\r\n\r\n");
    static const char *const contacts[] = {"\"a, \\\"b\" <sip:a@h;x=1>;q=1", "<sip:c,d@h>", "sip:e@h", "<sip:f@h>"};
    roam_value_cursor cursor = {0};
    roam_span value;
    for (size_t i = 0; i < 4; i++) {
        assert_true(message_values(&m, HEADER_CONTACT, &cursor, &value));
        assert_span(value, contacts[i]);
    }
    assert_false(message_values(&m, HEADER_CONTACT, &cursor, &value));
    assert_false(message_values(&m, HEADER_CONTACT, &cursor, &value));
    cursor = (roam_value_cursor){0};
    assert_true(message_values(&m, HEADER_ACCEPT, &cursor, &value));
    assert_span(value, "a (x, y (z, \\) ,))");
    assert_true(message_values(&m, HEADER_ACCEPT, &cursor, &value));
    assert_span(value, "b;p=\"c,d\"");
    assert_true(message_has_token(&m, HEADER_SUPPORTED, SPAN("Timer")));
    assert_true(message_has_token(&m, HEADER_SUPPORTED, SPAN("100rel")));
    assert_false(message_has_token(&m, HEADER_SUPPORTED, SPAN("time")));
    assert_false(message_has_token(&m, HEADER_REQUIRE, SPAN("timer")));
    assert_int_equal(message_next(&m, HEADER_CONTACT, message_first(&m, HEADER_CONTACT)) - message_first(&m, HEADER_CONTACT), 1);
    assert_int_equal(message_next(&m, HEADER_VIA, message_first(&m, HEADER_VIA)), -1);
}

static void addresses(void **state)
{
    /* name-addr and addr-spec in every shape the grammar has, and what it has not. */
    (void)state;
    roam_name_addr a;
    assert_int_equal(name_addr_parse(SPAN("\"A \\\"B\\\\\" <sips:a@h;lr?x=y> ; tag = t1;q=\"x;tag=no\""), &a), ROAM_OK);
    assert_span(a.display, "\"A \\\"B\\\\\"");
    assert_span(a.uri_text, "sips:a@h;lr?x=y");
    assert_span(a.uri.params, "lr");
    assert_span(name_addr_tag(&a), "t1");
    assert_int_equal(name_addr_parse(SPAN("Alice  B. <sip:a@h>"), &a), ROAM_OK);
    assert_span(a.display, "Alice  B.");
    assert_int_equal(a.params.len, 0);
    assert_int_equal(name_addr_parse(SPAN("sip:a@h;lr;tag=2"), &a), ROAM_OK); /* without brackets: header parameters */
    assert_span(a.uri.text, "sip:a@h");
    assert_span(a.params, "lr;tag=2");
    assert_span(name_addr_tag(&a), "2");
    assert_int_equal(name_addr_parse(SPAN("<tel:+1;isub=2>;x"), &a), ROAM_OK);
    assert_span(a.uri.params, "isub=2");
    assert_int_equal(name_addr_parse(SPAN("\"\" <sip:h>"), &a), ROAM_OK);
    assert_int_equal(name_addr_parse(SPAN(" * "), &a), ROAM_OK);
    assert_true(a.wildcard);
    assert_int_equal(name_addr_parse(SPAN("<sip:a@h>\r\n ;\r\n tag\r\n =\r\n 5"), &a), ROAM_OK);
    assert_span(name_addr_tag(&a), "5");
    assert_int_equal(name_addr_parse(SPAN("<sip:a@h>;tag=\"quoted\""), &a), ROAM_OK);
    static const char *const bad[] = {"", " ", "\"open <sip:a@h>", "<sip:a@h", "sip:a@h>", "A, B <sip:a@h>", "<sip:a@h> x", "<sip:a@h>;", "<sip:a@h>;;x",
                                      "<sip:a@h>;=1", "<sip:a@h>;a=", "<sip:a@h>;a=\"x", "< sip:a@h>", "<sip:a@h >", "<>", "sip:a@h?x=y", "sip:a@h,b",
                                      "* ;x", "**", "\"a\" sip:a@h", "a sip:b@h", "<sip:a@h>;a b", "\"a\\", "<sip:a@h>;a=\"b\"c"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        roam_span text = span_of(bad[i]);
        if (name_addr_parse(text, &a) == ROAM_OK)
            print_error("accepted: %.*s\n", SPAN_ARG(text));
        assert_int_equal(name_addr_parse(text, &a), ROAM_ESYNTAX);
    }
}

static void vias(void **state)
{
    /* sent-by in its three forms, the parameters that have meaning, blanks wherever the grammar lets them be. */
    (void)state;
    roam_via v;
    assert_int_equal(via_parse(SPAN("SIP/2.0/UDP pc.example.com;Branch=z9hG4bKa;RPORT;ttl=3"), &v), ROAM_OK);
    assert_span(v.transport, "UDP");
    assert_span(v.host, "pc.example.com");
    assert_int_equal(v.ip.family + v.port + v.rport + v.received.family, 0);
    assert_true(v.has_rport);
    assert_span(v.branch, "z9hG4bKa");
    assert_span(v.params, "Branch=z9hG4bKa;RPORT;ttl=3");
    assert_int_equal(via_parse(SPAN("sip / 2.0\t/\r\n TLS  [2001:db8::1] : 5061 ; received = 192.0.2.9 ; rport=1024"), &v), ROAM_OK);
    assert_int_equal(v.ip.family, 6);
    assert_int_equal(v.port, 5061);
    assert_int_equal(v.rport, 1024);
    assert_int_equal(v.received.family, 4);
    assert_span(v.received_text, "192.0.2.9");
    assert_int_equal(via_parse(SPAN("SIP/2.0/UDP 192.0.2.1 ;received=unknown"), &v), ROAM_OK);
    assert_int_equal(v.received.family, 0);
    assert_span(v.received_text, "unknown");
    static const char *const bad[] = {"", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 h", "SIP/1.0/UDP h", "SIPX/2.0/UDP h", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:0",
                                      "SIP/2.0/UDP h:65536", "SIP/2.0/UDP h;", "SIP/2.0/UDP h;;x", "SIP/2.0/UDP h;branch", "SIP/2.0/UDP h;branch=a;branch=b",
                                      "SIP/2.0/UDP h;rport=x", "SIP/2.0/UDP h;rport=65536", "SIP/2.0/UDP h x", "SIP/2.0/UDP 2001:db8::1", "SIP/2.0/UDP h: 5060 5",
                                      "SIP/2.0/ UDPh", "/2.0/UDP h", "SIP/2.0//UDP h"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        roam_span text = span_of(bad[i]);
        if (via_parse(text, &v) == ROAM_OK)
            print_error("accepted: %.*s\n", SPAN_ARG(text));
        assert_int_equal(via_parse(text, &v), ROAM_ESYNTAX);
    }
    roam_message m = accepted(OPTIONS REST "\r\n");
    assert_int_equal(message_top_via(&m, &v), ROAM_OK);
    m.first[HEADER_VIA] = 0;
    assert_int_equal(message_top_via(&m, &v), ROAM_ENOTFOUND);
}

static void numbers(void **state)
{
    /* delta-seconds with comment and parameters; large ones capped; nonsense refused. CSeq with leading zeros. */
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint32_t seconds;
    } values[] = {{"0", true, 0}, {"3600", true, 3600}, {"120 (I'm in a meeting (again))", true, 120}, {"180;duration=60", true, 180},
                  {"4294967295", true, UINT32_MAX}, {"4294967296", true, UINT32_MAX}, {"99999999999999999999999999", true, UINT32_MAX},
                  {"", false, 0}, {"-1", false, 0}, {"1x", false, 0}, {"x", false, 0}, {"5 (open", false, 0}, {"00000000000000000000012", true, 12}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[600];
        roam_writer w;
        roam_message m;
        uint32_t seconds = 77;
        writer_init(&w, text, sizeof text);
        write_lit(&w, "SIP/2.0 503 x\r\n" REST "Retry-After: ");
        write_cstr(&w, values[i].text);
        write_lit(&w, "\r\n\r\n");
        assert_int_equal(message_parse(&m, &space, writer_span(&w)), ROAM_OK);
        assert_int_equal(message_seconds(&m, HEADER_RETRY_AFTER, &seconds), values[i].ok);
        assert_int_equal(seconds, values[i].ok ? values[i].seconds : 77);
        assert_false(message_seconds(&m, HEADER_EXPIRES, &seconds));
    }
    roam_cseq cseq;
    assert_int_equal(cseq_parse(SPAN("0009\r\n  INVITE"), &cseq), ROAM_OK);
    assert_int_equal(cseq.number, 9);
    assert_int_equal(cseq.method, METHOD_INVITE);
    assert_int_equal(cseq_parse(SPAN("4294967295 X"), &cseq), ROAM_OK);
    assert_int_equal(cseq.number, UINT32_MAX);
}

static void method_names(void **state)
{
    /* Each method is found by its text, and by nothing near it. */
    (void)state;
    for (int i = METHOD_INVITE; i <= METHOD_PUBLISH; i++) {
        char text[16];
        const char *name = method_text((roam_method)i);
        size_t len = strlen(name);
        assert_true(len >= 3 && len < sizeof text);
        assert_int_equal(method_of(span_of(name)), i);
        for (size_t at = 0; at < len; at++) {
            memcpy(text, name, len);
            text[at] = (char)(text[at] | 0x20);
            assert_int_equal(method_of(span_make(text, len)), METHOD_OTHER);
        }
        assert_int_equal(method_of(span_make(name, len - 1)), METHOD_OTHER);
    }
    assert_string_equal(method_text(METHOD_OTHER), "");
    assert_int_equal(method_of((roam_span){NULL, 0}), METHOD_OTHER);
}

static void written_messages(void **state)
{
    /* Byte for byte what is asked for, and it parses again. */
    (void)state;
    char text[900];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_request_line(&w, SPAN("INVITE"), SPAN("sip:b@example.com"));
    write_header(&w, HEADER_VIA, SPAN("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"));
    write_header_u32(&w, HEADER_MAX_FORWARDS, 70);
    write_header_name(&w, HEADER_FROM);
    write_lit(&w, "<sip:a@example.com>;tag=1\r\n");
    write_header(&w, HEADER_TO, SPAN("<sip:b@example.com>"));
    write_header(&w, HEADER_CALL_ID, SPAN("x@y"));
    write_cseq(&w, 4294967295u, SPAN("INVITE"));
    write_header_named(&w, SPAN("X-Odd"), SPAN("1"));
    write_body(&w, SPAN("application/sdp"), SPAN("v=0\r\n"));
    assert_span(writer_span(&w), "INVITE sip:b@example.com SIP/2.0\r\n" VIA "Max-Forwards: 70\r\n" FROM TO ID
                                 "CSeq: 4294967295 INVITE\r\nX-Odd: 1\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n");
    text[w.len] = '\0';
    roam_message m = accepted(text);
    assert_span(m.body, "v=0\r\n");
    for (size_t cap = 0; cap < w.len; cap++) { /* too small a space: said once, nothing written behind it */
        char *part = malloc(cap + 1);
        roam_writer small;
        assert_non_null(part);
        part[cap] = 'g';
        writer_init(&small, part, cap);
        write_response_head(&small, &m, 200, (roam_span){NULL, 0}, SPAN("t"), NULL);
        write_body(&small, SPAN("application/sdp"), m.body);
        write_headers_copied(&small, &m, HEADER_OTHER);
        assert_int_equal(part[cap], 'g');
        if (cap < 150)
            assert_true(small.overflow);
        free(part);
    }
    writer_init(&w, text, sizeof text);
    write_status_line(&w, 404, (roam_span){NULL, 0});
    write_status_line(&w, 299, (roam_span){NULL, 0});
    write_status_line(&w, 486, SPAN("Not now"));
    write_body(&w, (roam_span){NULL, 0}, (roam_span){NULL, 0});
    assert_span(writer_span(&w), "SIP/2.0 404 Not Found\r\nSIP/2.0 299 Success\r\nSIP/2.0 486 Not now\r\nContent-Length: 0\r\n\r\n");
}

static void responses_tell_where_the_request_came_from(void **state)
{
    /* received and rport by RFC 3261 18.2.1 and RFC 3581 4, in the first value of the first Via only; what the sender said
     * about itself there is replaced; To gets our tag when it has none. */
    (void)state;
    static const struct {
        const char *via, *to, *source, *want_via, *want_to;
    } cases[] = {
        {"SIP/2.0/UDP 192.0.2.1;branch=z9", "<sip:b@h>", "192.0.2.1:5060", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9\r\n", "<sip:b@h>;tag=me"},
        {"SIP/2.0/UDP 192.0.2.1;branch=z9", "<sip:b@h>;tag=x", "192.0.2.2:9", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9;received=192.0.2.2\r\n", "<sip:b@h>;tag=x"},
        {"SIP/2.0/UDP pc.example.com", "sip:b@h", "192.0.2.2:9", "Via: SIP/2.0/UDP pc.example.com;received=192.0.2.2\r\n", "sip:b@h;tag=me"},
        {"SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9", "<sip:b@h>", "192.0.2.1:1024",
         "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9;rport=1024;received=192.0.2.1\r\n", "<sip:b@h>;tag=me"},
        {"SIP/2.0/UDP [2001:db8::1];received=10.0.0.1;rport=7;x=\"a;b\"", "<sip:b@h>", "[2001:db8::2]:5060",
         "Via: SIP/2.0/UDP [2001:db8::1];x=\"a;b\";rport=5060;received=2001:db8::2\r\n", "<sip:b@h>;tag=me"},
        {"SIP / 2.0 / TCP  a ,\r\n SIP/2.0/UDP b;branch=2", "<sip:b@h>", "192.0.2.2:9",
         "Via: SIP/2.0/TCP a;received=192.0.2.2, SIP/2.0/UDP b;branch=2\r\n", "<sip:b@h>;tag=me"},
        {"SIP/2.0/UDP a;branch=1\r\nv: SIP/2.0/UDP\r\n c", "<sip:b@h>", "192.0.2.2:9",
         "Via: SIP/2.0/UDP a;branch=1;received=192.0.2.2\r\nVia: SIP/2.0/UDP c\r\n", "<sip:b@h>;tag=me"},
        {"SIP/2.0/UDP a;branch=1;received=1.1.1.1", "<sip:b@h>", NULL, "Via: SIP/2.0/UDP a;branch=1;received=1.1.1.1\r\n", "<sip:b@h>;tag=me"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[600], text[600], want[600];
        roam_writer w;
        roam_addr source;
        roam_message m;
        writer_init(&w, request, sizeof request);
        write_lit(&w, OPTIONS "Via: ");
        write_cstr(&w, cases[i].via);
        write_lit(&w, "\r\nTo: ");
        write_cstr(&w, cases[i].to);
        write_lit(&w, "\r\nf:\r\n <sip:a@h>\r\n ;tag=1\r\n" ID CSEQ "\r\n");
        assert_int_equal(message_parse(&m, &space, writer_span(&w)), ROAM_OK);
        assert_int_equal(message_check(&m), 0);
        if (cases[i].source)
            assert_int_equal(roam_addr_parse(span_of(cases[i].source), &source), ROAM_OK);
        writer_init(&w, text, sizeof text);
        write_response_head(&w, &m, 200, (roam_span){NULL, 0}, SPAN("me"), cases[i].source ? &source : NULL);
        roam_span got = writer_span(&w);
        roam_writer v;
        writer_init(&v, want, sizeof want - 1);
        write_lit(&v, "SIP/2.0 200 OK\r\n");
        write_cstr(&v, cases[i].want_via);
        write_lit(&v, "From: <sip:a@h> ;tag=1\r\nTo: ");
        write_cstr(&v, cases[i].want_to);
        write_lit(&v, "\r\n" ID CSEQ);
        want[v.len] = '\0';
        assert_span(got, want);
    }
}

static void copied_headers_cannot_smuggle_lines(void **state)
{
    /* Folds, and carriage returns alone, become one blank. */
    (void)state;
    roam_message m = accepted(OPTIONS REST "Subject: a\r\n b\rVia: evil\r\n\t\r\n  c  d\r\nRoute: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\n\r\n");
    char text[300];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_headers_copied(&w, &m, HEADER_OTHER);
    assert_span(writer_span(&w), "Subject: a b Via: evil c  d\r\n");
    writer_init(&w, text, sizeof text);
    write_headers_copied(&w, &m, HEADER_ROUTE);
    assert_span(writer_span(&w), "Route: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\n");
}

static void responses_keep_what_matches_them(void **state)
{
    /* For requests put together at random from pieces good and bad: the response to each that is accepted parses and is
     * accepted, with as many Vias, the same Call-ID and the same CSeq. */
    (void)state;
    static const char *const via_pieces[] = {"Via: SIP/2.0/UDP a.example\r\n", "v:SIP/2.0/TCP [2001:db8::1]:5062;rport;branch=z9\r\n",
                                             "Via: SIP/2.0/UDP a;x=\"q,\\\"\" , SIP/2.0/UDP b;received=1.2.3.4\r\n",
                                             "vIA  :\r\n SIP / 2.0 / UDP\r\n\tc : 5060 ; branch\r\n = 1\r\n", "Via: SIP/2.0/UDP d;rport=9,,SIP/2.0/UDP e\r\n",
                                             "Via: nonsense\r\n"};
    static const char *const id_pieces[] = {"i: x\r\n", "Call-ID:\r\n  a@b\r\n", "CALL-ID:{[<>]}@\"q\"\r\n"};
    static const char *const cseq_pieces[] = {"cseq: 0000001 OPTIONS\r\n", "CSeq:\r\n 4294967295\r\n OPTIONS\r\n", "CSeq: 7 \t OPTIONS \r\n"};
    static const char *const to_pieces[] = {"t: sip:b@h\r\n", "To: \"x \\\" y\" <sip:b@h>\r\n ;x\r\n", "To: a b<sips:[::1]>;tag=5\r\n", "To: tel:+1;x=y\r\n"};
    static roam_header_space answer_space;
    uint32_t seed = 7;
    int answered = 0;
    for (int round = 0; round < 20000; round++) {
        char request[1500], text[3000];
        roam_writer w;
        roam_message m, answer;
        roam_addr source;
        writer_init(&w, request, sizeof request);
#define PICK(list) list[(seed = seed * 1664525u + 1013904223u, seed >> 8) % (sizeof list / sizeof list[0])]
        write_lit(&w, OPTIONS);
        do
            write_cstr(&w, PICK(via_pieces));
        while (seed & 0x1000000 && w.len < 600);
        write_cstr(&w, PICK(to_pieces));
        write_cstr(&w, PICK(id_pieces));
        write_cstr(&w, PICK(cseq_pieces));
        do
            write_cstr(&w, PICK(via_pieces));
        while (seed & 0x1000000 && w.len < 900);
        write_lit(&w, FROM "\r\n");
        assert_false(w.overflow);
        message_parse(&m, &space, writer_span(&w));
        if (message_check(&m))
            continue;
        answered++;
        assert_int_equal(roam_addr_parse(seed & 1 ? SPAN("192.0.2.7:1") : SPAN("[2001:db8::1]:5060"), &source), ROAM_OK);
        writer_init(&w, text, sizeof text);
        write_response_head(&w, &m, 200 + seed % 400, (roam_span){NULL, 0}, SPAN("tag"), seed & 2 ? &source : NULL);
        write_body(&w, (roam_span){NULL, 0}, (roam_span){NULL, 0});
        assert_false(w.overflow);
        assert_int_equal(message_parse(&answer, &answer_space, writer_span(&w)), ROAM_OK);
        assert_int_equal(message_check(&answer), 0);
        assert_true(span_eq(message_value(&answer, HEADER_CALL_ID), message_value(&m, HEADER_CALL_ID)));
        roam_cseq asked, got;
        assert_int_equal(cseq_parse(message_value(&m, HEADER_CSEQ), &asked), ROAM_OK);
        assert_int_equal(cseq_parse(message_value(&answer, HEADER_CSEQ), &got), ROAM_OK);
        assert_int_equal(asked.number, got.number);
        assert_int_equal(answer.method, METHOD_OPTIONS);
        roam_value_cursor c = {0}, d = {0};
        roam_span value;
        roam_via first, second;
        for (bool top = true; message_values(&m, HEADER_VIA, &c, &value); top = false) {
            assert_int_equal(via_parse(value, &first), ROAM_OK);
            assert_true(message_values(&answer, HEADER_VIA, &d, &value));
            assert_int_equal(via_parse(value, &second), ROAM_OK);
            assert_true(span_eq(first.host, second.host) && span_eq(first.branch, second.branch) && first.port == second.port);
            if (top && (seed & 2) && first.has_rport) {
                assert_int_equal(second.rport, source.port);
                assert_true(roam_ip_equal(&second.received, &source.ip));
            }
        }
        assert_false(message_values(&answer, HEADER_VIA, &d, &value));
    }
    assert_true(answered > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_header_name_is_found),
        cmocka_unit_test(compact_and_full_names_are_one),
        cmocka_unit_test(parts_of_a_request),
        cmocka_unit_test(parts_of_a_response),
        cmocka_unit_test(refused_requests),
        cmocka_unit_test(what_can_be_answered_is_there),
        cmocka_unit_test(limits),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(values_are_split),
        cmocka_unit_test(addresses),
        cmocka_unit_test(vias),
        cmocka_unit_test(numbers),
        cmocka_unit_test(method_names),
        cmocka_unit_test(written_messages),
        cmocka_unit_test(responses_tell_where_the_request_came_from),
        cmocka_unit_test(copied_headers_cannot_smuggle_lines),
        cmocka_unit_test(responses_keep_what_matches_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

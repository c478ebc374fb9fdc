/* The trace: typed records, and no secret in any of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/trace.h"
#include "base/writer.h"

#define assert_span(s, literal)                                                                                         \
    do {                                                                                                                \
        roam_span assert_span_ = (s);                                                                                   \
        assert_int_equal(assert_span_.len, sizeof(literal) - 1);                                                        \
        assert_memory_equal(assert_span_.ptr, (literal), sizeof(literal) - 1);                                          \
    } while (0)

/* What the last record said, as one line. */
typedef struct recorder {
    unsigned count;
    roam_trace_type type;
    roam_time time;
    roam_addr local, remote;
    char line[128];
    char bytes[ROAM_MAX_MESSAGE];
    size_t len;
} recorder;

static void record(void *user, const roam_trace_record *r)
{
    recorder *rec = user;
    roam_writer w;
    rec->count++;
    rec->type = r->type;
    rec->time = r->time;
    rec->local = r->local;
    rec->remote = r->remote;
    writer_init(&w, rec->line, sizeof rec->line);
    const char *texts[] = {r->object, r->from, r->to, r->why};
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(texts[i]);
        write_cstr(&w, texts[i]);
        write_char(&w, '|');
    }
    write_u64(&w, r->id);
    write_char(&w, '\0');
    assert_false(w.overflow);
    assert_true(r->bytes.len <= sizeof rec->bytes);
    rec->len = r->bytes.len;
    if (rec->len)
        memcpy(rec->bytes, r->bytes.ptr, rec->len);
}

static void trace_fills_records(void **state)
{
    /* Each helper fills its kind of record; unused texts are "", never NULL; without a listener nothing happens. */
    (void)state;
    static recorder rec;
    roam_time now = 77;
    roam_tracer t = {record, &rec, &now}, off = {NULL, NULL, &now};
    roam_addr local, remote;
    memset(&rec, 0, sizeof rec);
    assert_int_equal(roam_addr_parse(SPAN("192.0.2.1:5060"), &local), ROAM_OK);
    assert_int_equal(roam_addr_parse(SPAN("[2001:db8::2]:5062"), &remote), ROAM_OK);
    trace_state(&t, "call", 3, "early", "confirmed", "200");
    assert_string_equal(rec.line, "call|early|confirmed|200|3");
    assert_int_equal(rec.type, ROAM_TRACE_STATE);
    assert_int_equal(rec.time, 77);
    trace_path(&t, "path", 4, "usable", "gone", NULL);
    assert_string_equal(rec.line, "path|usable|gone||4");
    assert_int_equal(rec.type, ROAM_TRACE_PATH);
    trace_note(&t, "account", 5, "backs off");
    assert_string_equal(rec.line, "account|||backs off|5");
    assert_int_equal(rec.type, ROAM_TRACE_NOTE);
    trace_message(&t, ROAM_TRACE_RECEIVED, &local, &remote, SPAN("SIP/2.0 200 OK\r\n\r\n"));
    assert_int_equal(rec.type, ROAM_TRACE_RECEIVED);
    assert_true(roam_addr_equal(&rec.local, &local));
    assert_true(roam_addr_equal(&rec.remote, &remote));
    assert_span(span_make(rec.bytes, rec.len), "SIP/2.0 200 OK\r\n\r\n");
    trace_dropped(&t, "message", "no Via", &remote, SPAN("junk"));
    assert_int_equal(rec.type, ROAM_TRACE_DROPPED);
    assert_string_equal(rec.line, "message|||no Via|0");
    assert_int_equal(rec.local.ip.family, 0);
    trace_dropped(&t, "stream", "too long", NULL, span_of(NULL));
    assert_int_equal(rec.len, 0);
    assert_int_equal(rec.count, 6);
    trace_note(&off, "account", 5, "unheard");
    trace_message(&off, ROAM_TRACE_SENT, &local, &remote, SPAN("x"));
    trace_note(NULL, "account", 5, "unheard");
    assert_int_equal(rec.count, 6);
}

static void trace_masks_secrets(void **state)
{
    /* Each message holds the word "secret" (or SECRET) where a credential or a key stands, in the spellings a peer may
     * choose: it is overwritten, the length and everything in `kept` stay. */
    (void)state;
    static const struct {
        const char *in, *kept;
    } cases[] = {
        {"Authorization: Digest username=\"alice\", nonce=\"n\", response=\"secret\", qop=auth\r\n", "nonce=\"n\""},
        {"Authorization: Digest response=\"secret\", qop=auth\r\n", "qop=auth"},
        {"proxy-authorization : DIGEST username=\"alice\",RESPONSE = \"secret\"\r\nCSeq: 1 REGISTER\r\n", "1 REGISTER"},
        {"Authorization:\r\n Digest\r\n response\r\n =\r\n \"secret\"\r\nTo: <sip:b@c>\r\n", "<sip:b@c>"},
        {"Authorization: Digest response=secret,nc=00000001\r\n", "nc=00000001"},
        {"Authorization: Digest response=\"a\\\"secret\", nc=00000001\r\n", "nc=00000001"},
        {"Authorization: Digest response response=\"secret\"\r\n", "Digest"},
        {"Authorization: Digest response=\"secret", "Digest"},
        {"Authorization: Basic secret\r\nTo: x\r\n", "To: x"},
        {"Authorization: Bearer\r\n\tsecret, secret\r\nTo: x\r\n", "Bearer\r\n\t"},
        {"Authorization: secret\r\nTo: x\r\n", "To: x"},
        {"Authentication-Info: rspauth=\"secret\", nc=00000001\r\n", "nc=00000001"},
        {"X-Unknown: Digest realm=\"r\", response=\"secret\"\r\n", "realm=\"r\""},
        {"ization: Digest realm=\"r\", response=\"secret\"", "realm=\"r\""}, /* a stream cut in two */
        {"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret|2^20|1:4 UNENCRYPTED_SRTP\r\n", "|2^20|1:4 UNENCRYPTED"},
        {"a=crypto:1 X INLINE:secret;inline:SECRET\r\na=sendrecv\r\n", "a=sendrecv"},
        {"a=crypto:1 X inline:secret", "a=crypto:1 X inline:"},
        {"v=0\r\na=ice-pwd:secret\r\na=ice-ufrag:u\r\n", "a=ice-ufrag:u"},
        {"v=0\na=key-mgmt:mikey secret\nm=audio", "m=audio"},
        {"v=0\r\nk=clear:secret\r\nm=audio", "m=audio"},
        {"INVITE sip:bob:secret@example.com:5060 SIP/2.0\r\n", "@example.com:5060 SIP/2.0"},
        {"From: <SIPS:bob:secret@h>;tag=1, <sip:carol:SECRET@h>\r\n", "@h>;tag=1, <sip:carol:"},
        {"Contact: sip:sip:secret@h\r\n", "@h"},
    };
    static recorder rec;
    roam_time now = 0;
    roam_tracer t = {record, &rec, &now};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ROAM_MAX_MESSAGE];
        /* A block of its own, so that a sanitizer sees a read beyond the end. */
        size_t len = strlen(cases[i].in);
        char *exact = malloc(len);
        assert_non_null(exact);
        memcpy(exact, cases[i].in, len);
        trace_message(&t, ROAM_TRACE_SENT, NULL, NULL, span_make(exact, len));
        free(exact);
        assert_int_equal(rec.len, len);
        memcpy(text, rec.bytes, rec.len);
        text[rec.len] = '\0';
        if (strstr(text, "secret") || strstr(text, "SECRET") || !strstr(text, cases[i].kept))
            fail_msg("case %zu became: %s", i, text);
    }
}

static void trace_leaves_the_rest_alone(void **state)
{
    /* A message without secrets, with everything that looks a little like one, comes through unchanged. */
    (void)state;
    static const char message[] = "INVITE sip:bob@[2001:db8::9]:5060;transport=udp SIP/2.0\r\n"
                                  "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKresponse\r\n"
                                  "Contact: <sip:alice@192.0.2.1:5060>, <sip:192.0.2.1:5060>\r\n"
                                  "WWW-Authenticate: Digest realm=\"response\", nonce=\"abc\"\r\n"
                                  "X-Response: 1\r\n\r\n"
                                  "v=0\r\na=ice-options:trickle\r\na=response\r\n";
    static recorder rec;
    roam_time now = 0;
    roam_tracer t = {record, &rec, &now};
    trace_message(&t, ROAM_TRACE_SENT, NULL, NULL, SPAN(message));
    assert_span(span_make(rec.bytes, rec.len), message);
}

static void trace_masks_what_is_hostile(void **state)
{
    /* 100,000 bytes made of the words the masks look for: cut at the largest message, in time that grows with its length
     * only (a quadratic scan here would outlast the test run's limit under valgrind). */
    (void)state;
    static const char *word[] = {"sip:", "sips:x:", "response=\"", "inline:", "k=", "\r\n ", "\nAuthorization:", "response "};
    static recorder rec;
    static char junk[100000];
    roam_time now = 0;
    roam_tracer t = {record, &rec, &now};
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        for (size_t at = 0; at < sizeof junk; at++)
            junk[at] = word[i][at % strlen(word[i])];
        trace_dropped(&t, "message", "junk", NULL, span_make(junk, sizeof junk));
        assert_int_equal(rec.len, ROAM_MAX_MESSAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_fills_records),
        cmocka_unit_test(trace_masks_secrets),
        cmocka_unit_test(trace_leaves_the_rest_alone),
        cmocka_unit_test(trace_masks_what_is_hostile),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}

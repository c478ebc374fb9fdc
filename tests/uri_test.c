/* URIs: what is read, what is refused, what is equal, what is escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "wire/chars.h"
#include "wire/uri.h"

static roam_uri parsed(const char *text)
{
    roam_uri uri;
    roam_span s = span_of(text);
    if (uri_parse(s, &uri) != ROAM_OK)
        print_error("refused: %.*s\n", SPAN_ARG(s));
    assert_int_equal(uri_parse(s, &uri), ROAM_OK);
    return uri;
}

static void assert_span(roam_span s, const char *text)
{
    roam_span wanted = span_of(text);
    if (!span_eq(s, wanted))
        print_error("'%.*s' is not '%.*s'\n", SPAN_ARG(s), SPAN_ARG(wanted));
    assert_true(span_eq(s, wanted));
}

static void classes_follow_the_grammar(void **state)
{
    /* Each bit of the character table against the characters that RFC 3261 25.1 and RFC 3966 list for it. */
    (void)state;
    static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const struct {
        unsigned bit;
        bool with_alnum;
        const char *others;
    } classes[] = {
        {CHAR_TOKEN, true, "-.!%*_+`'~"},
        {CHAR_WORD, true, "-.!%*_+`'~()<>:\\\"/[]?{}"},
        {CHAR_USER, true, "-_.!~*'()&=+$,;?/#"},
        {CHAR_PASSWORD, true, "-_.!~*'()&=+$,"},
        {CHAR_PARAM, true, "-_.!~*'()[]/:&+$"},
        {CHAR_HEADER, true, "-_.!~*'()[]/?:+$"},
        {CHAR_HOST, true, "-._"},
        {CHAR_LWS, false, " \t\r\n"},
        {CHAR_URIC, true, "-_.!~*'();/?:@&=+$,%#[]"},
        {CHAR_DIGIT, false, "0123456789"},
        {CHAR_HEX, false, "0123456789abcdefABCDEF"},
        {CHAR_PHONE, false, "0123456789-.()"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        for (int c = 0; c < 256; c++) {
            bool wanted = c && ((classes[i].with_alnum && strchr(alnum, c)) || strchr(classes[i].others, c));
            assert_int_equal(char_is((char)c, classes[i].bit), wanted);
        }
    for (int c = 0; c < 256; c++) { /* visible, and none of the delimiters of parameters */
        bool value = c > 0x20 && c != 0x7f && !strchr(";,\"<>", c);
        assert_int_equal(char_is((char)c, CHAR_VALUE), value);
        assert_int_equal(char_is((char)c, CHAR_NAME), value && c != '=');
    }
}

static void runs_stop_where_the_table_says(void **state)
{
    /* The sixteen-at-a-time scan finds the same end as the plain one, for each byte at each place of texts of many lengths
     * and offsets, in blocks of exact size so that a sanitizer sees a look beyond. */
    (void)state;
    for (size_t len = 1; len < 40; len++) {
        char *text = malloc(len);
        assert_non_null(text);
        for (size_t at = 0; at < len; at++)
            for (int c = 0; c < 256; c += len > 20 ? 5 : 1)
                for (size_t from = 0; from <= at; from += 3) {
                    memset(text, 'k', len);
                    text[at] = (char)c;
                    assert_ptr_equal(skip_run(text, text + from, text + len, CHAR_TOKEN),
                                     skip_class(text + from, text + len, CHAR_TOKEN));
                    const char *found = find_char(text + from, text + len, '/');
                    assert_ptr_equal(found, memchr(text + from, '/', len - from));
                }
        free(text);
    }
}

static void parts_of_sip_uris(void **state)
{
    /* Every part where the grammar puts it, and absent parts empty. */
    (void)state;
    roam_uri u = parsed("sips:alice:p%40ss@Example.COM:5071;transport=tls;lr?Subject=hi%20there&Priority=urgent");
    assert_int_equal(u.scheme, URI_SIPS);
    assert_span(u.scheme_name, "sips");
    assert_span(u.user, "alice");
    assert_span(u.password, "p%40ss");
    assert_span(u.host, "Example.COM");
    assert_int_equal(u.ip.family, 0);
    assert_int_equal(u.port, 5071);
    assert_span(u.params, "transport=tls;lr");
    assert_span(u.headers, "Subject=hi%20there&Priority=urgent");

    u = parsed("sip:example.com");
    assert_int_equal(u.user.len + u.password.len + u.params.len + u.headers.len + u.port, 0);
    u = parsed("SIP:192.0.2.4:5080");
    assert_int_equal(u.scheme, URI_SIP);
    assert_span(u.scheme_name, "SIP");
    assert_int_equal(u.ip.family, 4);
    assert_int_equal(u.ip.bytes[3], 4);
    assert_int_equal(u.port, 5080);
    u = parsed("sip:bob@[2001:db8::7]:5062;ob");
    assert_int_equal(u.ip.family, 6);
    assert_span(u.host, "2001:db8::7");
    assert_int_equal(u.port, 5062);
    u = parsed("sip:a;b=c?d/e@host");
    assert_span(u.user, "a;b=c?d/e");
    u = parsed("sip:user:@host"); /* an empty password is a password of nothing */
    assert_span(u.user, "user");
    assert_int_equal(u.password.len, 0);
    u = parsed("sip:#31#@host-1.example.");
    assert_span(u.user, "#31#");
    assert_span(u.host, "host-1.example.");
    u = parsed("sip:1.2.3.4.example");
    assert_int_equal(u.ip.family, 0);
    u = parsed("sip:alice@1.2.3.4x"); /* a name whose last label starts with a digit is seen in use */
    assert_int_equal(u.ip.family, 0);
}

static void tel_and_other_uris(void **state)
{
    /* tel gives its number as user; unknown schemes keep text and scheme only. */
    (void)state;
    roam_uri u = parsed("tel:+49-30-(555)-1234;isub=7");
    assert_int_equal(u.scheme, URI_TEL);
    assert_span(u.user, "+49-30-(555)-1234");
    assert_span(u.params, "isub=7");
    assert_int_equal(u.host.len, 0);
    u = parsed("tel:*21#;phone-context=example.com");
    assert_span(u.user, "*21#");
    u = parsed("urn:service:sos");
    assert_int_equal(u.scheme, URI_OTHER);
    assert_span(u.scheme_name, "urn");
    assert_int_equal(u.user.len + u.host.len, 0);
}

static void refused_uris(void **state)
{
    /* None of these is a URI; the whole span has to be one. */
    (void)state;
    static const char *const bad[] = {
        "", "s", "sip", "sip:", ":alice@host", "sip:@host", "sip:alice@", "sip:alice@host@other", "sip:ali ce@host",
        "sip:alice@host ", " sip:alice@host", "<sip:alice@host>", "sip:alice@host:", "sip:alice@host:0", "sip:alice@host:65536",
        "sip:alice@host:5060x", "sip:alice@256.1.1.1", "sip:alice@1.2.3", "sip:alice@01.2.3.4", "sip:alice@-host", "sip:alice@host-",
        "sip:alice@.host", "sip:alice@host..", "sip:alice@[2001:db8::1", "sip:alice@[2001:db8::1]x", "sip:alice@[192.0.2.1]",
        "sip:alice@[fe80::1%2]", "sip:alice@[[::1]]", "sip:alice@2001:db8::1", "sip:alice@host;", "sip:alice@host;;lr",
        "sip:alice@host;=x", "sip:alice@host;a=b=c", "sip:alice@host?", "sip:alice@host?a", "sip:alice@host?a=b&", "sip:alice@host?a=b c",
        "sip:al%ice@host", "sip:al%4@host", "sip:alice:p:w@host", "sip:alice@host;a=\"b\"", "sip:al\"ice@host", "sip:alice@[2001:db8:::10]",
        "tel:", "tel:+", "tel:-.", "tel:+12ab", "tel:+1 2", "tel:+12;", "1sip:x@host", "urn:", "urn:a b", "urn:a\x01",
    };
    roam_uri u;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        roam_span text = span_of(bad[i]);
        if (uri_parse(text, &u) == ROAM_OK)
            print_error("accepted: %.*s\n", SPAN_ARG(text));
        assert_int_equal(uri_parse(text, &u), ROAM_ESYNTAX);
    }
    assert_int_equal(uri_parse(SPAN("sip:a\0b@host"), &u), ROAM_ESYNTAX);
    assert_int_equal(uri_parse((roam_span){NULL, 0}, &u), ROAM_ESYNTAX);
    static char large[ROAM_MAX_URI + 1];
    memset(large, 'a', sizeof large);
    memcpy(large, "sip:", 4);
    assert_int_equal(uri_parse(span_make(large, sizeof large - 1), &u), ROAM_OK);
    assert_int_equal(uri_parse(span_make(large, sizeof large), &u), ROAM_ELIMIT);
}

static void equality(void **state)
{
    /* The examples of RFC 3261 19.1.4 and more: {a, b, equal}; both ways round. */
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } pairs[] = {
        {"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
        {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
        {"sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true},
        {"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
        {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
        {"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
        {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
        {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
        {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
        {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
        {"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
        {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
        {"sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on", false},
        {"sip:a@h;maddr=x", "sip:a@h", false},
        {"sip:a@h;user=phone", "sip:a@h", false},
        {"sip:a@h;ttl=1", "sip:a@h", false},
        {"sip:a@h", "sips:a@h", false},
        {"sip:a:x@h", "sip:a@h", false},
        {"sip:a%3Bb@h", "sip:a;b@h", false}, /* ';' is reserved: its escape is not the same */
        {"sip:a%3Bb@h", "sip:a%3bb@h", true},
        {"sip:a@h;l%72", "sip:a@h;lr", true},
        {"sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::1]", true},
        {"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]", false},
        {"sip:a@h?x=1&x=2", "sip:a@h?x=1", false},
        {"sip:a@h?x=1&x=2", "sip:a@h?x=1&x=1", false},
        {"tel:+1-201-555-0123", "tel:+12015550123", true},
        {"tel:+12015550123;ext=1", "tel:+12015550123;EXT=1", true},
        {"tel:+12015550123;ext=1", "tel:+12015550123", false},
        {"tel:+12015550123", "tel:+12015550124", false},
        {"URN:service:sos", "urn:service:sos", true},
        {"urn:service:sos", "urn:service:SOS", false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        roam_uri a = parsed(pairs[i].a), b = parsed(pairs[i].b);
        if (uri_equal(&a, &b) != pairs[i].equal)
            print_error("%s %s\n", pairs[i].a, pairs[i].b);
        assert_int_equal(uri_equal(&a, &b), pairs[i].equal);
        assert_int_equal(uri_equal(&b, &a), pairs[i].equal);
    }
}

static void address_of_record(void **state)
{
    /* Parameters, headers and passwords are no part of the key of a registrar. */
    (void)state;
    roam_uri a = parsed("sip:alice:pw@Example.com;transport=tcp?a=b"), b = parsed("sip:%61lice@example.com"),
             c = parsed("sip:alice@example.com:5060"), d = parsed("sip:Alice@example.com");
    assert_true(uri_same_aor(&a, &b));
    assert_false(uri_same_aor(&b, &c));
    assert_false(uri_same_aor(&b, &d));
}

static void parameters(void **state)
{
    /* Names without case, values as they stood, quotes kept, blanks and folds skipped; a name is not found inside another. */
    (void)state;
    roam_span value, name, rest = SPAN("Expires = 60 ; flag;q=\"a;b\\\";c\" ;x");
    assert_true(param_find(rest, SPAN("expires"), &value));
    assert_span(value, "60");
    assert_true(param_find(rest, SPAN("flag"), &value));
    assert_int_equal(value.len, 0);
    assert_true(param_find(rest, SPAN("q"), &value));
    assert_span(value, "\"a;b\\\";c\"");
    assert_true(param_find(rest, SPAN("x"), NULL));
    assert_false(param_find(rest, SPAN("c"), &value));
    assert_false(param_find(rest, SPAN("expire"), &value));
    assert_false(param_find((roam_span){NULL, 0}, SPAN("a"), &value));
    static const char *const names[] = {"Expires", "flag", "q", "x"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(param_next(&rest, &name, &value));
        assert_span(name, names[i]);
    }
    assert_false(param_next(&rest, &name, &value));
    assert_false(param_next(&rest, &name, &value));
    roam_span folded = SPAN("a=1\r\n ;\r\n\tb\r\n =\r\n 2");
    assert_true(param_find(folded, SPAN("b"), &value));
    assert_span(value, "2");
    roam_span escaped = SPAN("%6C%72;n%61me=1");
    assert_true(param_find(escaped, SPAN("lr"), &value));
    assert_true(param_find(escaped, SPAN("name"), &value));
    roam_span junk = SPAN("a<b>c;\"open;d"); /* not valid, but it ends */
    size_t n = 0;
    while (param_next(&junk, &name, &value))
        assert_true(++n < 20);
}

static void escaping(void **state)
{
    /* What is written with write_uri_user parses and unescapes to the same bytes, for every byte. */
    (void)state;
    char all[256], text[900], back[300];
    roam_writer w, u;
    for (int c = 0; c < 256; c++)
        all[c] = (char)c;
    writer_init(&w, text, sizeof text - 1);
    write_lit(&w, "sip:");
    write_uri_user(&w, span_make(all, sizeof all));
    write_lit(&w, "@host");
    assert_false(w.overflow);
    roam_uri uri;
    assert_int_equal(uri_parse(writer_span(&w), &uri), ROAM_OK);
    writer_init(&u, back, sizeof back);
    assert_int_equal(uri_unescape(uri.user, &u), ROAM_OK);
    assert_int_equal(u.len, sizeof all);
    assert_memory_equal(back, all, sizeof all);
    writer_init(&u, back, sizeof back);
    assert_int_equal(uri_unescape(SPAN("%4"), &u), ROAM_ESYNTAX);
    assert_int_equal(uri_unescape(SPAN("%zz"), &u), ROAM_ESYNTAX);
    writer_init(&u, back, 2);
    assert_int_equal(uri_unescape(SPAN("abc"), &u), ROAM_EOVERFLOW);
}

static void effective_port(void **state)
{
    /* RFC 3261 19.1.2, RFC 3263 4.2: 5060, or 5061 over TLS. */
    (void)state;
    static const struct {
        const char *text;
        uint16_t port;
    } ports[] = {{"sip:h", 5060}, {"sips:h", 5061}, {"sip:h;transport=TLS", 5061}, {"sip:h;transport=tcp", 5060}, {"sips:h:7000", 7000}};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        roam_uri u = parsed(ports[i].text);
        assert_int_equal(uri_effective_port(&u), ports[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_follow_the_grammar),
        cmocka_unit_test(runs_stop_where_the_table_says),
        cmocka_unit_test(parts_of_sip_uris),
        cmocka_unit_test(tel_and_other_uris),
        cmocka_unit_test(refused_uris),
        cmocka_unit_test(equality),
        cmocka_unit_test(address_of_record),
        cmocka_unit_test(parameters),
        cmocka_unit_test(escaping),
        cmocka_unit_test(effective_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

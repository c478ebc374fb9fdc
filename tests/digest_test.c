/* Digest authentication: the examples of the RFCs, both ends against each other, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/memory.h"
#include "wire/digest.h"

#define assert_span(span, text)                                                                                        \
    do {                                                                                                               \
        roam_span span_ = (span);                                                                                      \
        assert_int_equal(span_.len, strlen(text));                                                                     \
        if (span_.len)                                                                                                 \
            assert_memory_equal(span_.ptr, text, span_.len);                                                           \
    } while (0)

/* libcrypto's memory, so that a test can refuse it. Before `refuse_at` allocations nothing is refused; negative: never.
 */
static long refuse_at = -1;
static size_t live_blocks;

static void *crypto_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (refuse_at >= 0 && refuse_at-- == 0) {
        refuse_at = 0; /* and all that follow */
        return NULL;
    }
    if (!ptr)
        live_blocks++;
    return realloc(ptr, size);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    return crypto_realloc(NULL, size, file, line);
}

static void crypto_free(void *ptr, const char *file, int line)
{
    (void)file, (void)line;
    if (ptr)
        live_blocks--;
    free(ptr);
}

/* The exchange of RFC 7616 3.9.1 with another algorithm or none of its parts changed. */
static roam_digest_input rfc7616_input(roam_digest_algorithm algorithm)
{
    return (roam_digest_input){
        .algorithm = algorithm,
        .username = SPAN("Mufasa"),
        .realm = SPAN("http-auth@example.org"),
        .password = SPAN("Circle of Life"),
        .nonce = SPAN("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
        .opaque = SPAN("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"),
        .uri = SPAN("/dir/index.html"),
        .method = SPAN("GET"),
        .qop = true,
        .nc = 1,
        .cnonce = SPAN("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"),
    };
}

static void assert_response(const roam_digest_input *in, const char *expected)
{
    char out[DIGEST_HEX_MAX];
    assert_int_equal(digest_response(in, out), ROAM_OK);
    assert_string_equal(out, expected);
}

/* Shows that responses are those of RFC 2617 3.5 and RFC 7616 3.9.1 (MD5, SHA-256). For SHA-512-256, which that
 * exchange does not show, the value is that of three runs of "printf %s ... | openssl dgst -sha512-256" over the same
 * texts. */
static void responses_match_the_rfcs(void **state)
{
    (void)state;
    roam_digest_input in = rfc7616_input(DIGEST_MD5);
    assert_response(&in, "8ca523f5e9506fed4657c9700eebdbec");
    in = rfc7616_input(DIGEST_SHA256);
    assert_response(&in, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    in = rfc7616_input(DIGEST_SHA512_256);
    assert_response(&in, "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0");
    in = (roam_digest_input){
        .algorithm = DIGEST_MD5,
        .username = SPAN("Mufasa"),
        .realm = SPAN("testrealm@host.com"),
        .password = SPAN("Circle Of Life"),
        .nonce = SPAN("dcd98b7102dd2f0e8b11d0f600bfb0c093"),
        .uri = SPAN("/dir/index.html"),
        .method = SPAN("GET"),
        .qop = true,
        .nc = 1,
        .cnonce = SPAN("0a4f113b"),
    };
    assert_response(&in, "6629fae49393a05397450978507c4ef1");
}

/* Shows that without qop the older formula is used, for SIP's own example (bob at biloxi.com) with each algorithm;
 * values of the hashlib of Python. nc and cnonce must then not matter. */
static void without_qop_the_rfc2069_formula_is_used(void **state)
{
    (void)state;
    roam_digest_input in = {
        .algorithm = DIGEST_MD5,
        .username = SPAN("bob"),
        .realm = SPAN("biloxi.com"),
        .password = SPAN("zanzibar"),
        .nonce = SPAN("dcd98b7102dd2f0e8b11d0f600bfb0c093"),
        .uri = SPAN("sip:bob@biloxi.com"),
        .method = SPAN("INVITE"),
        .nc = 7,
        .cnonce = SPAN("0a4f113b"),
    };
    assert_response(&in, "bf57e4e0d0bffc0fbaedce64d59add5e");
    in.algorithm = DIGEST_SHA256;
    assert_response(&in, "38aad98c50c33abe72c5f88dd17246ffcfa6b1f68852c855719ff0659386c0ca");
    in.algorithm = DIGEST_SHA512_256;
    assert_response(&in, "9e960b3a01beb63f1ea5d45d43bd8a2178879d3c9ddbbdb0624187ca823c6eca");
    in.qop = true;
    in.nc = 1;
    assert_response(&in, "7f1a09de0f19af0a1eac2b28d33e3f2fb89cca1ad8fb01bba5e1883b288bac14");
    in.algorithm = DIGEST_MD5;
    assert_response(&in, "89eb0059246c02b2f6ee02c7961d5ea3");
}

/* Shows that digest_hash hashes the concatenation: the vectors of RFC 1321 and FIPS 180-4 for "abc", cut in several
 * ways. */
static void hash_is_over_the_concatenation(void **state)
{
    (void)state;
    const roam_span one[] = {SPAN("abc")}, three[] = {SPAN("a"), SPAN(""), SPAN("bc")};
    static const struct {
        roam_digest_algorithm algorithm;
        const char *abc, *nothing;
    } vectors[] = {
        {DIGEST_MD5, "900150983cd24fb0d6963f7d28e17f72", "d41d8cd98f00b204e9800998ecf8427e"},
        {DIGEST_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {DIGEST_SHA512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
         "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"},
    };
    char out[DIGEST_HEX_MAX];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(digest_hash(vectors[i].algorithm, one, 1, out), ROAM_OK);
        assert_string_equal(out, vectors[i].abc);
        assert_int_equal(digest_hash(vectors[i].algorithm, three, 3, out), ROAM_OK);
        assert_string_equal(out, vectors[i].abc);
        assert_int_equal(digest_hash(vectors[i].algorithm, NULL, 0, out), ROAM_OK);
        assert_string_equal(out, vectors[i].nothing);
    }
    assert_int_equal(digest_hash(DIGEST_UNKNOWN, one, 1, out), ROAM_EUNSUPPORTED);
    assert_string_equal(out, "");
}

/* Shows that every part of a challenge is found, whatever the blanks, folds, case and order: one written loosely is
 * read. */
static void challenge_is_read(void **state)
{
    (void)state;
    roam_challenge c;
    assert_int_equal(
        challenge_parse(SPAN(" DIGEST\r\n realm = \"atlanta.com\" ,,\tDomain=\"sip:a.com sip:b.com\",\r\n"
                             "\tqop=\" auth-int , AUTH\", NONCE=\"f84f1cec41e6cbe5aea9c8e88d359\", future=x,"
                             "stale=TRUE, algorithm=sha-256, opaque=\"\", "),
                        &c),
        ROAM_OK);
    assert_span(c.realm, "atlanta.com");
    assert_span(c.domain, "sip:a.com sip:b.com");
    assert_span(c.nonce, "f84f1cec41e6cbe5aea9c8e88d359");
    assert_span(c.algorithm_text, "sha-256");
    assert_int_equal(c.algorithm, DIGEST_SHA256);
    assert_true(c.stale && c.has_qop && c.qop_auth && c.qop_auth_int);
    assert_true(c.opaque.ptr && c.opaque.len == 0);
    assert_int_equal(challenge_usable(&c), ROAM_OK);
}

/* Shows the defaults of a short challenge: MD5, no qop, not stale, no opaque; stale=false and junk in stale mean false.
 */
static void challenge_has_defaults(void **state)
{
    (void)state;
    roam_challenge c;
    assert_int_equal(challenge_parse(SPAN("Digest realm=\"\",nonce=\"\""), &c), ROAM_OK);
    assert_int_equal(c.algorithm, DIGEST_MD5);
    assert_false(c.stale || c.has_qop || c.qop_auth || c.qop_auth_int);
    assert_null(c.opaque.ptr);
    assert_null(c.algorithm_text.ptr);
    assert_int_equal(challenge_usable(&c), ROAM_OK);
    assert_int_equal(challenge_parse(SPAN("Digest realm=\"r\",nonce=\"n\",stale=FALSE"), &c), ROAM_OK);
    assert_false(c.stale);
    assert_int_equal(challenge_parse(SPAN("Digest realm=\"r\",nonce=\"n\",stale=\"true\",qop=\"\""), &c), ROAM_OK);
    assert_true(c.stale); /* quoted by some servers */
    assert_false(c.has_qop);
}

/* Shows that missing quotes around a nonce, and quotes too many around a token, are survived. */
static void sloppy_quoting_is_read(void **state)
{
    (void)state;
    roam_challenge c;
    assert_int_equal(challenge_parse(SPAN("Digest realm=asterisk, nonce=abc/+==:1, qop=auth, algorithm=\"MD5\""), &c),
                     ROAM_OK);
    assert_span(c.realm, "asterisk");
    assert_span(c.nonce, "abc/+==:1");
    assert_true(c.qop_auth && !c.qop_auth_int);
    assert_int_equal(c.algorithm, DIGEST_MD5);
}

/* Shows what we cannot answer: auth-int alone, an unknown qop, -sess and unknown algorithms; each parses and is then
 * refused. */
static void unusable_challenges_are_told_apart(void **state)
{
    (void)state;
    static const char *const values[] = {
        "Digest realm=\"r\",nonce=\"n\",qop=\"auth-int\"",
        "Digest realm=\"r\",nonce=\"n\",qop=\"auth-conf,future\"",
        "Digest realm=\"r\",nonce=\"n\",algorithm=MD5-sess",
        "Digest realm=\"r\",nonce=\"n\",algorithm=SHA-256-sess,qop=\"auth\"",
        "Digest realm=\"r\",nonce=\"n\",algorithm=AKAv1-MD5,qop=\"auth\"",
        "Digest realm=\"r\",nonce=\"n\",algorithm=\"\"",
    };
    roam_challenge c;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_int_equal(challenge_parse(span_of(values[i]), &c), ROAM_OK);
        assert_int_equal(challenge_usable(&c), ROAM_EUNSUPPORTED);
    }
    assert_int_equal(challenge_parse(span_of(values[0]), &c), ROAM_OK);
    assert_true(c.has_qop && c.qop_auth_int && !c.qop_auth);
}

/* Shows that other schemes are EUNSUPPORTED and everything else that is not a challenge ESYNTAX; also every prefix of a
 * good one is either read or refused, in a block of exactly its size so that a read past its end is seen by ASan. */
static void bad_challenges_are_refused(void **state)
{
    (void)state;
    static const char *const syntax[] = {
        "",
        " ",
        ",",
        "\"Digest\" realm=\"r\",nonce=\"n\"",
        "Digest",
        "Digest ",
        "Digest realm=\"r\"",
        "Digest nonce=\"n\"",
        "Digest realm=\"r\" nonce=\"n\"",
        "Digest realm=\"r,nonce=\"n\"",
        "Digest realm=\"r\",nonce=\"n",
        "Digest realm=\"r\",nonce=\"n\\",
        "Digest realm=\"r\",nonce=\"n\\\"",
        "Digest realm=,nonce=\"n\"",
        "Digest realm,nonce=\"n\"",
        "Digest =\"r\",nonce=\"n\"",
        "Digest realm=\"r\",nonce=\"n\",realm=\"s\"",
        "Digest realm=\"r\",nonce=\"n\",nonce=\"n\"",
        "Digest realm=\"a\r\n b\",nonce=\"n\"",
        "Digest realm=\"a\x01\",nonce=\"n\"",
        "Digest realm=\"a\",nonce=n\x01",
        "Digest realm=\"a\",nonce=\xc3\xa4",
        "Digest realm=\"a\",nonce=a\\b",
        "Digest,realm=\"a\",nonce=\"n\"",
        "Digest realm=\"a\"x,nonce=\"n\"",
        "Digest re alm=\"a\",nonce=\"n\"",
        "Digest realm=\"a\",nonce=\"n\",qop=auth,auth-int",
    };
    static const char *const scheme[] = {"Basic realm=\"r\"", "Bearer", "NTLM", "DigestX realm=\"r\",nonce=\"n\"",
                                         "Dig realm=\"r\",nonce=\"n\""};
    static const char good[] =
        "Digest realm=\"a\\\"b\", nonce=\"n\", qop=\"auth,auth-int\", algorithm=MD5, opaque=\"\\\\\"";
    roam_challenge c;
    for (size_t i = 0; i < sizeof syntax / sizeof syntax[0]; i++)
        assert_int_equal(challenge_parse(span_of(syntax[i]), &c), ROAM_ESYNTAX);
    for (size_t i = 0; i < sizeof scheme / sizeof scheme[0]; i++)
        assert_int_equal(challenge_parse(span_of(scheme[i]), &c), ROAM_EUNSUPPORTED);
    assert_int_equal(challenge_parse(span_make("Digest realm=\"a\0\",nonce=\"n\"", 26), &c), ROAM_ESYNTAX);
    assert_int_equal(challenge_parse((roam_span){NULL, 0}, &c), ROAM_ESYNTAX);
    assert_int_equal(challenge_parse(SPAN(good), &c), ROAM_OK);
    for (size_t len = 0; len < sizeof good - 1; len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy + 1, good, len); /* the block ends with the text */
        int err = challenge_parse(span_make(copy + 1, len), &c);
        assert_true(err == ROAM_OK || err == ROAM_ESYNTAX || err == ROAM_EUNSUPPORTED);
        free(copy);
    }
}

/* A 401 with these values of WWW-Authenticate, picked from. */
static int pick(const char *const *values, size_t n, roam_span realm, roam_challenge *out)
{
    static char text[8192];
    static roam_header_space space;
    static roam_message m;
    size_t len =
        (size_t)snprintf(text, sizeof text,
                         "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n"
                         "To: <sip:a@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n");
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "WWW-Authenticate: %s\r\n", values[i]);
    len += (size_t)snprintf(text + len, sizeof text - len,
                            "Proxy-Authenticate: Digest realm=\"p\",nonce=\"pn\"\r\nContent-Length: 0\r\n\r\n");
    assert_true(len < sizeof text);
    assert_int_equal(message_parse(&m, &space, span_make(text, len)), ROAM_OK);
    return challenge_pick(&m, HEADER_WWW_AUTHENTICATE, realm, out);
}

/* Shows the choice of RFC 8760: among several challenges of one realm the strongest usable wins wherever it stands, the
 * upper of two alike; the realm asked for, or that of the first usable one, is not left; unusable and broken ones are
 * passed over. */
static void strongest_usable_challenge_wins(void **state)
{
    (void)state;
    static const char *const values[] = {
        "Digest realm=\"x\",nonce=\"broken",
        "Basic realm=\"a\"",
        "Digest realm=\"a\",nonce=\"1\",algorithm=MD5-sess,qop=\"auth\"",
        "Digest realm=\"a\",nonce=\"2\",algorithm=MD5,qop=\"auth\"",
        "Digest realm=\"b\",nonce=\"3\",algorithm=SHA-512-256,qop=\"auth\"",
        "Digest realm=\"a\",nonce=\"4\",algorithm=SHA-512-256,qop=\"auth-int\"",
        "Digest realm=\"a\",nonce=\"5\",algorithm=SHA-256,qop=\"auth\"",
        "Digest realm=\"a\",nonce=\"6\",algorithm=SHA-256,qop=\"auth\"",
        "Digest realm=\"b\",nonce=\"7\"",
        "Digest realm=\"c\",nonce=\"8\",algorithm=whirlpool",
    };
    size_t n = sizeof values / sizeof values[0];
    const roam_span any = {NULL, 0};
    roam_challenge c;
    assert_int_equal(pick(values, n, any, &c), ROAM_OK);
    assert_span(c.nonce, "5");
    assert_int_equal(c.algorithm, DIGEST_SHA256);
    assert_int_equal(pick(values, n, SPAN("b"), &c), ROAM_OK);
    assert_span(c.nonce, "3");
    assert_int_equal(pick(values, n, SPAN("c"), &c), ROAM_EUNSUPPORTED);
    assert_int_equal(pick(values + 4, n - 4, any, &c), ROAM_OK);
    assert_span(c.nonce, "3");
    assert_int_equal(pick(values + 5, n - 5, SPAN("d"), &c), ROAM_ENOTFOUND);
    assert_int_equal(pick(values, 0, any, &c), ROAM_ENOTFOUND);
    assert_int_equal(pick(values, 3, any, &c), ROAM_EUNSUPPORTED);
}

/* Shows the exact header that is written, with and without qop, and that the algorithm is named when it is not MD5. */
static void authorization_is_written(void **state)
{
    (void)state;
    char space[1024];
    roam_writer w;
    roam_digest_input in = rfc7616_input(DIGEST_SHA256);
    writer_init(&w, space, sizeof space);
    assert_int_equal(write_authorization(&w, &in, SPAN("SHA-256")), ROAM_OK);
    assert_span(writer_span(&w),
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", "
                "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
                "uri=\"/dir/index.html\", "
                "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", algorithm=SHA-256, "
                "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, nc=00000001, "
                "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"");
    roam_span whole = writer_span(&w);
    char second[1024];
    writer_init(&w, second, sizeof second);
    assert_int_equal(write_authorization(&w, &in, (roam_span){NULL, 0}), ROAM_OK);
    assert_true(span_eq(writer_span(&w), whole));

    in.algorithm = DIGEST_MD5;
    in.qop = false;
    in.opaque = SPAN("");
    writer_init(&w, space, sizeof space);
    assert_int_equal(write_authorization(&w, &in, (roam_span){NULL, 0}), ROAM_OK);
    space[w.len] = '\0';
    assert_null(strstr(space, "qop="));
    assert_non_null(strstr(space, ", opaque=\"\""));
    in.opaque = (roam_span){NULL, 0};
    writer_init(&w, space, sizeof space);
    assert_int_equal(write_authorization(&w, &in, (roam_span){NULL, 0}), ROAM_OK);
    space[w.len] = '\0';
    assert_null(strstr(space, "opaque"));
    assert_null(strstr(space, "algorithm"));
    assert_null(strstr(space, "nc="));
    assert_null(strstr(space, "cnonce"));
}

/* Shows both ends against each other, for every algorithm, with and without qop, with quotes and backslashes in user,
 * realm, nonce and opaque: what is written is read and proves the password, and nothing else does. The value for MD5
 * with qop is also held against that of the hashlib of Python over the unescaped texts. */
static void what_is_written_verifies(void **state)
{
    (void)state;
    roam_challenge c;
    assert_int_equal(
        challenge_parse(
            SPAN("Digest realm=\"a \\\"quoted\\\" realm\", nonce=\"n0nce\\\\\\\"\", opaque=\"\\o\\\"\", qop=\"auth\""),
            &c),
        ROAM_OK);
    assert_true(digest_text_eq(c.realm, SPAN("a \"quoted\" realm")));
    for (int algorithm = DIGEST_MD5; algorithm <= DIGEST_SHA512_256; algorithm++)
        for (int qop = 0; qop < 2; qop++) {
            char space[1024];
            roam_writer w;
            roam_authorization a;
            roam_digest_input in = {
                .algorithm = (roam_digest_algorithm)algorithm,
                .username = SPAN("al\"ice\\x"),
                .password = SPAN("p\"w"),
                .realm = c.realm,
                .nonce = c.nonce,
                .opaque = c.opaque,
                .uri = SPAN("sip:example.com"),
                .method = SPAN("REGISTER"),
                .qop = qop != 0,
                .nc = 0x2a,
                .cnonce = SPAN("cn"),
            };
            writer_init(&w, space, sizeof space);
            assert_int_equal(write_authorization(&w, &in, (roam_span){NULL, 0}), ROAM_OK);
            assert_int_equal(authorization_parse(writer_span(&w), &a), ROAM_OK);
            assert_int_equal(a.algorithm, algorithm);
            assert_int_equal(a.nc, qop ? 0x2a : 0);
            assert_true(digest_text_eq(a.username, in.username));
            assert_true(span_eq(a.realm, c.realm) && span_eq(a.nonce, c.nonce) && span_eq(a.opaque, c.opaque));
            if (qop && algorithm == DIGEST_MD5)
                assert_span(a.response, "78db0a46f50378d9495c47ea7645a142");
            assert_true(authorization_verify(&a, SPAN("REGISTER"), SPAN("p\"w")));
            assert_false(authorization_verify(&a, SPAN("INVITE"), SPAN("p\"w")));
            assert_false(authorization_verify(&a, SPAN("REGISTER"), SPAN("p\"W")));
            assert_false(authorization_verify(&a, SPAN("REGISTER"), SPAN("")));

            roam_authorization b = a;
            b.uri = SPAN("sip:example.org");
            assert_false(authorization_verify(&b, SPAN("REGISTER"), SPAN("p\"w")));
            b = a;
            b.response.len--;
            assert_false(authorization_verify(&b, SPAN("REGISTER"), SPAN("p\"w")));
            b.response.len = 0;
            assert_false(authorization_verify(&b, SPAN("REGISTER"), SPAN("p\"w")));
            b = a;
            b.algorithm = algorithm == DIGEST_MD5 ? DIGEST_SHA256 : DIGEST_MD5;
            assert_false(authorization_verify(&b, SPAN("REGISTER"), SPAN("p\"w")));
            b.algorithm = DIGEST_UNKNOWN;
            assert_false(authorization_verify(&b, SPAN("REGISTER"), SPAN("p\"w")));
            b = a;
            b.nc_text = SPAN("0000002b"); /* without qop it is no part of the proof */
            assert_int_equal(authorization_verify(&b, SPAN("REGISTER"), SPAN("p\"w")), !qop);
        }
}

/* Shows that the answer of RFC 7616 3.9.1, as a client sends it, verifies; in upper case too, quoted qop and nc too;
 * and that each single changed digit of the response is noticed. */
static void authorization_of_the_rfc_verifies(void **state)
{
    (void)state;
    char text[] = "Digest username=\"Mufasa\",realm=\"http-auth@example.org\",uri=\"/dir/index.html\",algorithm=MD5,"
                  "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\",nc=\"00000001\","
                  "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/"
                  "H5QzzpXusqGemxURZJ\",qop=\"auth\",response=\"8ca523f5e9506fed4657c9700eebdbec\","
                  "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    roam_authorization a;
    assert_int_equal(authorization_parse(SPAN(text), &a), ROAM_OK);
    assert_span(a.username, "Mufasa");
    assert_span(a.qop, "auth");
    assert_int_equal(a.nc, 1);
    assert_true(authorization_verify(&a, SPAN("GET"), SPAN("Circle of Life")));
    char *response = strstr(text, "8ca523f5e9506fed4657c9700eebdbec");
    for (size_t i = 0; i < 32; i++) {
        char was = response[i];
        response[i] = was == '0' ? '1' : '0';
        assert_false(authorization_verify(&a, SPAN("GET"), SPAN("Circle of Life")));
        response[i] = (char)(was >= 'a' ? was - 32 : was);
        assert_true(authorization_verify(&a, SPAN("GET"), SPAN("Circle of Life")));
        response[i] = was;
    }
}

/* Shows what an authorization must hold, and that auth-int and unknown algorithms are read but never accepted. */
static void bad_authorizations_are_refused(void **state)
{
    (void)state;
#define FIVE "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:h\",response=\"0\""
    static const char *const syntax[] = {
        "",
        "Digest",
        "Digest realm=\"r\",nonce=\"n\",uri=\"sip:h\",response=\"0\"",
        "Digest username=\"u\",nonce=\"n\",uri=\"sip:h\",response=\"0\"",
        "Digest username=\"u\",realm=\"r\",uri=\"sip:h\",response=\"0\"",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",response=\"0\"",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:h\"",
        FIVE ",qop=auth",
        FIVE ",qop=auth,nc=00000001",
        FIVE ",qop=auth,cnonce=\"c\"",
        FIVE ",qop=auth,cnonce=\"\",nc=00000001",
        FIVE ",qop=auth,cnonce=\"c\",nc=000000001",
        FIVE ",qop=auth,cnonce=\"c\",nc=0000000g",
        FIVE ",nc=\"\"",
        FIVE ",response=\"0\"",
        FIVE ",username=\"v\"",
        FIVE ",opaque",
        FIVE ";opaque=\"\"",
    };
    roam_authorization a;
    for (size_t i = 0; i < sizeof syntax / sizeof syntax[0]; i++)
        assert_int_equal(authorization_parse(span_of(syntax[i]), &a), ROAM_ESYNTAX);
    assert_int_equal(authorization_parse(SPAN("Basic dTpw"), &a), ROAM_EUNSUPPORTED);
    assert_int_equal(authorization_parse(SPAN(FIVE), &a), ROAM_OK);
    assert_int_equal(a.algorithm, DIGEST_MD5);
    assert_int_equal(authorization_parse(SPAN(FIVE ",qop=auth,cnonce=\"c\",nc=FFFFfff0"), &a), ROAM_OK);
    assert_int_equal(a.nc, 0xfffffff0u);
    /* H(":r:"), as if qop=auth-int meant qop=auth: must not pass */
    assert_int_equal(authorization_parse(SPAN(FIVE ",qop=auth-int,cnonce=\"c\",nc=00000001,algorithm=SHA-256"), &a),
                     ROAM_OK);
    char hex[2][DIGEST_HEX_MAX], response[DIGEST_HEX_MAX];
    const roam_span a1[] = {SPAN("u:r:p")}, a2[] = {SPAN("INVITE:sip:h")};
    assert_int_equal(digest_hash(DIGEST_SHA256, a1, 1, hex[0]), ROAM_OK);
    assert_int_equal(digest_hash(DIGEST_SHA256, a2, 1, hex[1]), ROAM_OK);
    const roam_span all[] = {span_of(hex[0]), SPAN(":n:00000001:c:auth-int:"), span_of(hex[1])};
    assert_int_equal(digest_hash(DIGEST_SHA256, all, 3, response), ROAM_OK);
    a.response = span_of(response);
    assert_false(authorization_verify(&a, SPAN("INVITE"), SPAN("p")));
    const roam_span with_auth[] = {span_of(hex[0]), SPAN(":n:00000001:c:auth:"), span_of(hex[1])};
    assert_int_equal(digest_hash(DIGEST_SHA256, with_auth, 3, response), ROAM_OK);
    assert_false(authorization_verify(&a, SPAN("INVITE"), SPAN("p")));
    a.qop = SPAN("auth");
    assert_true(authorization_verify(&a, SPAN("INVITE"), SPAN("p")));
}

/* Shows that nothing which would break out of a header or of its quotes is written: EINVAL, and not a byte in the
 * writer. */
static void values_that_cannot_be_quoted_are_refused(void **state)
{
    (void)state;
    static const roam_span bad[] = {SPAN_INIT("a\"b"),      SPAN_INIT("a\\"),  SPAN_INIT("a\\\\\"b"),
                                    SPAN_INIT("a\r\nX: y"), SPAN_INIT("a\nb"), SPAN_INIT("\\\r"),
                                    SPAN_INIT("a\0b"),      SPAN_INIT("\x7f"), SPAN_INIT("\"")};
    char space[1024];
    roam_writer w;
    writer_init(&w, space, sizeof space);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int which = 0; which < 6; which++) {
            roam_digest_input in = rfc7616_input(DIGEST_MD5);
            roam_span *parts[] = {&in.realm, &in.nonce, &in.opaque, &in.uri, &in.cnonce, &in.username};
            *parts[which] = bad[i];
            /* A username is escaped, so quotes and backslashes are fine there. */
            bool escapable = which == 5 && i != 3 && i != 4 && i != 5 && i != 6 && i != 7;
            assert_int_equal(write_authorization(&w, &in, (roam_span){NULL, 0}), escapable ? ROAM_OK : ROAM_EINVAL);
            if (!escapable)
                assert_int_equal(w.len, 0);
            writer_init(&w, space, sizeof space);
        }
    roam_digest_input in = rfc7616_input(DIGEST_MD5);
    assert_int_equal(write_authorization(&w, &in, SPAN("SHA-256")), ROAM_EINVAL); /* not the algorithm hashed with */
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5, x")), ROAM_EINVAL);
    in.nc = 0;
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5")), ROAM_EINVAL);
    in = rfc7616_input(DIGEST_MD5);
    in.cnonce = SPAN("");
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5")), ROAM_EINVAL);
    in = rfc7616_input(DIGEST_UNKNOWN);
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5")), ROAM_EINVAL);
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5-sess")), ROAM_EUNSUPPORTED);
    assert_int_equal(w.len, 0);
}

/* Shows that a header which does not fit is reported, for every size that is too small. */
static void a_full_writer_is_reported(void **state)
{
    (void)state;
    char space[1024];
    roam_writer w;
    roam_digest_input in = rfc7616_input(DIGEST_MD5);
    writer_init(&w, space, sizeof space);
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5")), ROAM_OK);
    size_t whole = w.len;
    for (size_t cap = 0; cap < whole; cap += 13) {
        writer_init(&w, space, cap);
        assert_int_equal(write_authorization(&w, &in, SPAN("MD5")), ROAM_EOVERFLOW);
        assert_true(w.len <= cap);
    }
    writer_init(&w, space, whole);
    assert_int_equal(write_authorization(&w, &in, SPAN("MD5")), ROAM_OK);
}

/* Shows that escapes are undone for comparing: equal, too short, too long, a lone backslash at the end. */
static void escaped_text_is_compared(void **state)
{
    (void)state;
    assert_true(digest_text_eq(SPAN("a\\\"b\\\\c"), SPAN("a\"b\\c")));
    assert_true(digest_text_eq(SPAN(""), SPAN("")));
    assert_true(digest_text_eq(SPAN("\\a"), SPAN("a")));
    assert_true(digest_text_eq(SPAN("a\\"), SPAN("a\\")));
    assert_false(digest_text_eq(SPAN("a\\\"b"), SPAN("a\\\"b")));
    assert_false(digest_text_eq(SPAN("ab"), SPAN("a")));
    assert_false(digest_text_eq(SPAN("a"), SPAN("ab")));
    assert_false(digest_text_eq(SPAN("A"), SPAN("a")));
}

/* Shows that a provider without MD5 (as under FIPS) gives EUNSUPPORTED, leaves nothing in the error queue that the
 * application shares, and that the hash works again afterwards. Done by asking libcrypto for a property that no
 * provider has. */
static void a_provider_may_refuse_a_hash(void **state)
{
    (void)state;
    char out[DIGEST_HEX_MAX];
    roam_digest_input in = rfc7616_input(DIGEST_MD5);
    assert_int_equal(EVP_set_default_properties(NULL, "roam.test=yes"), 1);
    int err = digest_response(&in, out);
    unsigned long left = ERR_peek_error();
    assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
    assert_int_equal(err, ROAM_EUNSUPPORTED);
    assert_string_equal(out, "");
    assert_int_equal(left, 0);
    assert_response(&in, "8ca523f5e9506fed4657c9700eebdbec");
}

/* Shows that memory refused to libcrypto, at every one of its allocations in turn, gives an error and leaks nothing. */
static void refused_memory_is_survived(void **state)
{
    (void)state;
    char out[DIGEST_HEX_MAX];
    roam_digest_input in = rfc7616_input(DIGEST_SHA256);
    assert_int_equal(digest_response(&in, out), ROAM_OK); /* libcrypto has initialised itself now */
    size_t before = live_blocks;
    int err = ROAM_ENOMEM;
    long n = 0;
    for (; err && n < 1000; n++) {
        refuse_at = n;
        err = digest_response(&in, out);
        refuse_at = -1;
        assert_true(err == ROAM_OK || err == ROAM_ENOMEM || err == ROAM_EUNSUPPORTED);
        assert_true(err == ROAM_OK || out[0] == '\0');
        assert_int_equal(ERR_peek_error(), 0);
    }
    assert_int_equal(err, ROAM_OK);
    assert_true(n > 1); /* something was refused */
    assert_int_equal(live_blocks, before);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_match_the_rfcs),
        cmocka_unit_test(without_qop_the_rfc2069_formula_is_used),
        cmocka_unit_test(hash_is_over_the_concatenation),
        cmocka_unit_test(challenge_is_read),
        cmocka_unit_test(challenge_has_defaults),
        cmocka_unit_test(sloppy_quoting_is_read),
        cmocka_unit_test(unusable_challenges_are_told_apart),
        cmocka_unit_test(bad_challenges_are_refused),
        cmocka_unit_test(strongest_usable_challenge_wins),
        cmocka_unit_test(authorization_is_written),
        cmocka_unit_test(what_is_written_verifies),
        cmocka_unit_test(authorization_of_the_rfc_verifies),
        cmocka_unit_test(bad_authorizations_are_refused),
        cmocka_unit_test(values_that_cannot_be_quoted_are_refused),
        cmocka_unit_test(a_full_writer_is_reported),
        cmocka_unit_test(escaped_text_is_compared),
        cmocka_unit_test(a_provider_may_refuse_a_hash),
        cmocka_unit_test(refused_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

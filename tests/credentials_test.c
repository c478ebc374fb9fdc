/* What an account does with challenges: which it answers, with which count, and when it gives up (RFC 3261 22, RFC 7616, RFC 8760). Responses in as text, headers out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "ua/credentials.h"

typedef struct bench {
    roam_env env;
    roam_credentials cred;
    char out[8192]; /* the headers written last */
    size_t len;
} bench;

static void open_bench(bench *b, const char *password, const char *realm)
{
    const uint8_t seed[32] = {3};
    env_init(&b->env, NULL, seed, NULL, NULL);
    assert_int_equal(credentials_init(&b->cred, &b->env, "alice", password, realm), 0);
}

static void close_bench(bench *b)
{
    credentials_free(&b->cred);
    env_free(&b->env);
    assert_int_equal(b->env.mem.live, 0);
}

static void parse(unsigned status, const char *headers, roam_header_space *space, roam_message *m)
{
    static char text[8192];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_lit(&w, "SIP/2.0 ");
    write_u64(&w, status);
    write_lit(&w, " X\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n");
    write_cstr(&w, headers);
    write_lit(&w, "Content-Length: 0\r\n\r\n");
    assert_false(w.overflow);
    assert_int_equal(message_parse(m, space, writer_span(&w)), 0);
}

static roam_auth_verdict challenged(bench *b, roam_auth_attempt *attempt, roam_auth_use use, unsigned status, const char *headers)
{
    static roam_header_space space;
    roam_message m;
    parse(status, headers, &space, &m);
    return credentials_challenged(&b->cred, attempt, use, &m);
}

static void write_all(bench *b, roam_auth_attempt *attempt, roam_auth_use use)
{
    roam_writer w;
    writer_init(&w, b->out, sizeof b->out - 1);
    credentials_write(&b->cred, attempt, use, &w, SPAN("REGISTER"), SPAN("sip:example.com"));
    assert_false(w.overflow);
    b->len = w.len;
    b->out[w.len] = '\0';
}

/* The nth header value that was written, parsed; false: there is none. */
static bool header(const bench *b, size_t n, const char *name, roam_authorization *out)
{
    roam_span rest = span_make(b->out, b->len);
    while (rest.len) {
        roam_span line = span_trim(span_cut(rest, '\n', &rest)), value;
        roam_span key = span_cut(line, ':', &value);
        if (span_eq(key, span_of(name)) && n-- == 0) {
            assert_int_equal(authorization_parse(span_trim(value), out), 0);
            return true;
        }
    }
    return false;
}

static void assert_answer(const bench *b, size_t n, const char *name, const char *nonce, uint32_t nc)
{
    roam_authorization a;
    assert_true(header(b, n, name, &a));
    assert_true(span_eq(a.nonce, span_of(nonce)));
    assert_true(span_eq(a.username, SPAN("alice")));
    assert_int_equal(a.nc, nc);
    assert_true(authorization_verify(&a, SPAN("REGISTER"), SPAN("secret")));
}

#define WWW(nonce) "WWW-Authenticate: Digest realm=\"r\", nonce=\"" nonce "\", algorithm=MD5, qop=\"auth\"\r\n"
#define WWW_STALE(nonce) "WWW-Authenticate: Digest realm=\"r\", nonce=\"" nonce "\", stale=true, qop=\"auth\"\r\n"
#define PROXY(realm, nonce) "Proxy-Authenticate: Digest realm=\"" realm "\", nonce=\"" nonce "\", qop=\"auth\"\r\n"

/* Nothing before a challenge; then its answer, and afterwards at once, with the next count, before anybody asks. */
static void test_cached(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt attempt = {0};
    open_bench(&b, "secret", NULL);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_int_equal(b.len, 0);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n1")), AUTH_RETRY);
    for (uint32_t nc = 1; nc <= 3; nc++) {
        write_all(&b, &attempt, AUTH_REGISTER);
        assert_answer(&b, 0, "Authorization", "n1", nc);
        attempt = (roam_auth_attempt){0};
    }
    write_all(&b, &attempt, AUTH_REQUEST); /* another use was not challenged */
    assert_int_equal(b.len, 0);
    close_bench(&b);
}

/* A nonce given for this very goal, answered and refused: the password is wrong. With stale=true it is not, nor when the answer came from the cache; but nobody is answered for ever. */
static void test_wrong_or_stale(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt attempt = {0};
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n1")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW_STALE("n2")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n2", 1);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n3")), AUTH_REFUSED);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n2")), AUTH_REFUSED); /* nor the same again */

    attempt = (roam_auth_attempt){0}; /* a later goal begins with the cached nonce */
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n2", 2);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n4")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n4", 1);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n5")), AUTH_REFUSED);

    attempt = (roam_auth_attempt){0}; /* the cached one refused, and only it offered again: that is an answer too */
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n4")), AUTH_REFUSED);

    attempt = (roam_auth_attempt){0}; /* a server that calls everything stale */
    unsigned n = 0;
    while (n < 100 && challenged(&b, &attempt, AUTH_REGISTER, 401, n % 2 ? WWW_STALE("a") : WWW_STALE("b")) == AUTH_RETRY) {
        write_all(&b, &attempt, AUTH_REGISTER);
        n++;
    }
    assert_int_equal(n, ROAM_MAX_CHALLENGES);
    close_bench(&b);
}

/* A count is never used twice with a nonce: the same nonce given again as stale, given to both uses, to the registrar's and the proxy's side, or coming back later. */
static void test_counts(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt reg = {0}, call = {0};
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &reg, AUTH_REGISTER, 401, WWW("n1")), AUTH_RETRY);
    write_all(&b, &reg, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n1", 1);
    assert_int_equal(challenged(&b, &reg, AUTH_REGISTER, 401, WWW_STALE("n1")), AUTH_RETRY);
    write_all(&b, &reg, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n1", 2);
    assert_int_equal(challenged(&b, &call, AUTH_REQUEST, 401, WWW("n1")), AUTH_RETRY);
    write_all(&b, &call, AUTH_REQUEST);
    assert_answer(&b, 0, "Authorization", "n1", 3);
    write_all(&b, &reg, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n1", 4);
    assert_int_equal(challenged(&b, &call, AUTH_REQUEST, 407, PROXY("r", "n1")), AUTH_RETRY);
    write_all(&b, &call, AUTH_REQUEST);
    assert_answer(&b, 0, "Authorization", "n1", 5);
    assert_answer(&b, 0, "Proxy-Authorization", "n1", 6);
    write_all(&b, &reg, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n1", 7);
    close_bench(&b);
}

/* Uses that are given nonces of their own have counts of their own, so that datagrams which overtake each other are no replay. */
static void test_uses_apart(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt reg = {0}, call = {0};
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &reg, AUTH_REGISTER, 401, WWW("n1")), AUTH_RETRY);
    assert_int_equal(challenged(&b, &call, AUTH_REQUEST, 401, WWW("n2")), AUTH_RETRY);
    for (uint32_t nc = 1; nc < 4; nc++) {
        write_all(&b, &reg, AUTH_REGISTER);
        assert_answer(&b, 0, "Authorization", "n1", nc);
        write_all(&b, &call, AUTH_REQUEST);
        assert_answer(&b, 0, "Authorization", "n2", nc);
    }
    close_bench(&b);
}

/* Two requests under way at once are given the same nonce: that one answered it first does not make the other's first answer a second one. */
static void test_two_at_once(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt one = {0}, two = {0};
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &one, AUTH_REQUEST, 407, PROXY("r", "n1")), AUTH_RETRY);
    write_all(&b, &one, AUTH_REQUEST);
    assert_int_equal(challenged(&b, &two, AUTH_REQUEST, 407, PROXY("r", "n1")), AUTH_RETRY);
    write_all(&b, &two, AUTH_REQUEST);
    assert_answer(&b, 0, "Proxy-Authorization", "n1", 2);
    close_bench(&b);
}

/* A proxy asks (407), then the registrar behind it (401): the last request answers both. A fork may ask for two realms in one response (RFC 3261 22.3). */
static void test_several_realms(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt attempt = {0};
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 407, PROXY("p", "n1")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n2")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Proxy-Authorization", "n1", 2);
    assert_answer(&b, 0, "Authorization", "n2", 1);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n3")), AUTH_REFUSED);
    close_bench(&b);

    open_bench(&b, "secret", NULL);
    attempt = (roam_auth_attempt){0};
    assert_int_equal(challenged(&b, &attempt, AUTH_REQUEST, 407, PROXY("p", "n1") PROXY("q", "n2") WWW("n3")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REQUEST);
    assert_answer(&b, 0, "Authorization", "n3", 1);
    assert_answer(&b, 0, "Proxy-Authorization", "n1", 1);
    assert_answer(&b, 1, "Proxy-Authorization", "n2", 1);
    assert_int_equal(challenged(&b, &attempt, AUTH_REQUEST, 407, PROXY("q", "n4")), AUTH_REFUSED); /* wrong there */
    close_bench(&b);
}

/* Several algorithms for one realm: the strongest one that we have, answered once (RFC 8760 2.4); unknown ones, schemes and broken headers are passed over. */
static void test_algorithms(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt attempt = {0};
    roam_authorization a;
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401,
                                "WWW-Authenticate: Basic realm=\"r\"\r\nWWW-Authenticate: Digest realm=\"r\"\r\n"
                                "WWW-Authenticate: Digest realm=\"r\", nonce=\"x\", algorithm=SHA-999, qop=\"auth\"\r\n"
                                "WWW-Authenticate: Digest realm=\"r\", nonce=\"x\", algorithm=MD5, qop=\"auth\"\r\n"
                                "WWW-Authenticate: Digest realm=\"r\", nonce=\"x\", algorithm=SHA-256, qop=\"auth,auth-int\", opaque=\"o\"\r\n"),
                     AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "x", 1);
    assert_true(header(&b, 0, "Authorization", &a));
    assert_int_equal(a.algorithm, DIGEST_SHA256);
    assert_true(span_eq(a.opaque, SPAN("o")));
    assert_true(span_eq(a.qop, SPAN("auth")));
    assert_false(header(&b, 1, "Authorization", &a));
    close_bench(&b);

    open_bench(&b, "secret", NULL); /* without qop: RFC 2069, no count, no cnonce; an empty opaque goes back, a missing one does not appear */
    attempt = (roam_auth_attempt){0};
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"y\", opaque=\"\"\r\n"), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "y", 0);
    assert_non_null(strstr(b.out, "opaque=\"\""));
    close_bench(&b);
    open_bench(&b, "secret", NULL);
    attempt = (roam_auth_attempt){0};
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("z")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_null(strstr(b.out, "opaque"));
    close_bench(&b);
}

/* What cannot be answered: only auth-int, only unknown algorithms, no Digest: unsupported. No challenge at all, another realm than ours, no password: refused. */
static void test_not_answered(void **state)
{
    (void)state;
    static const struct {
        const char *password, *realm, *headers;
        roam_auth_verdict verdict;
    } cases[] = {{"secret", NULL, "WWW-Authenticate: Digest realm=\"r\", nonce=\"x\", qop=\"auth-int\"\r\n", AUTH_UNSUPPORTED},
                 {"secret", NULL, "WWW-Authenticate: Digest realm=\"r\", nonce=\"x\", algorithm=AKAv1-MD5\r\n", AUTH_UNSUPPORTED},
                 {"secret", NULL, "WWW-Authenticate: Basic realm=\"r\"\r\n", AUTH_UNSUPPORTED},
                 {"secret", NULL, "", AUTH_REFUSED},
                 {"secret", "mine", WWW("n"), AUTH_REFUSED},
                 {"secret", "r", WWW("n"), AUTH_RETRY},
                 {"secret", "*", WWW("n"), AUTH_RETRY},
                 {NULL, NULL, WWW("n"), AUTH_REFUSED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b = {0};
        roam_auth_attempt attempt = {0};
        open_bench(&b, cases[i].password, cases[i].realm);
        assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, cases[i].headers), cases[i].verdict);
        write_all(&b, &attempt, AUTH_REGISTER);
        assert_int_equal(b.len != 0, cases[i].verdict == AUTH_RETRY);
        close_bench(&b);
    }
}

static void info(bench *b, roam_auth_use use, const char *headers)
{
    static roam_header_space space;
    roam_message m;
    parse(200, headers, &space, &m);
    credentials_info(&b->cred, use, &m);
}

/* nextnonce in Authentication-Info is used for the next request, from count 1 (RFC 7616 3.5), for the server's own challenge, not the proxy's; without it nothing changes. */
static void test_nextnonce(void **state)
{
    (void)state;
    bench b = {0};
    roam_auth_attempt attempt = {0};
    open_bench(&b, "secret", NULL);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 407, PROXY("p", "n1")), AUTH_RETRY);
    assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n2")), AUTH_RETRY);
    write_all(&b, &attempt, AUTH_REGISTER);
    info(&b, AUTH_REGISTER, "Authentication-Info: qop=auth, rspauth=\"00\", nextnonce=\"n3\", nc=00000001\r\n");
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n3", 1);
    assert_answer(&b, 0, "Proxy-Authorization", "n1", 2);
    info(&b, AUTH_REGISTER, "Authentication-Info: nextnonce=\"n3\"\r\n"); /* the same: the count goes on */
    info(&b, AUTH_REGISTER, "Authentication-Info: rspauth=\"00\"\r\n");
    info(&b, AUTH_REQUEST, "Authentication-Info: nextnonce=\"n4\"\r\n");
    write_all(&b, &attempt, AUTH_REGISTER);
    assert_answer(&b, 0, "Authorization", "n3", 2);
    close_bench(&b);
}

/* A server with a new realm each time: what is kept is bounded, the newest challenge is always answered. */
static void test_bounded(void **state)
{
    (void)state;
    bench b = {0};
    open_bench(&b, "secret", NULL);
    for (unsigned i = 0; i < 100; i++) {
        roam_auth_attempt attempt = {0};
        char headers[128], nonce[16];
        snprintf(nonce, sizeof nonce, "n%u", i);
        snprintf(headers, sizeof headers, "WWW-Authenticate: Digest realm=\"r%u\", nonce=\"%s\", qop=\"auth\"\r\n", i, nonce);
        assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, headers), AUTH_RETRY);
        write_all(&b, &attempt, AUTH_REGISTER);
        assert_in_range(b.cred.nentries, 1, 8);
        assert_non_null(strstr(b.out, nonce));
    }
    close_bench(&b);
}

/* Memory refused at any moment: said as such (it is no wrong password), what was kept is kept, nothing leaks. */
typedef struct miser {
    size_t left;
} miser;

static void *stingy(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (m->left == 0)
        return NULL;
    m->left--;
    return realloc(ptr, size);
}

static void test_no_memory(void **state)
{
    (void)state;
    roam_auth_verdict verdict = AUTH_NO_MEMORY;
    for (size_t n = 0; verdict == AUTH_NO_MEMORY; n++) {
        bench b = {0};
        miser m = {SIZE_MAX};
        roam_allocator allocator = {stingy, &m};
        roam_auth_attempt attempt = {0};
        open_bench(&b, "secret", NULL);
        b.env.mem.allocator = allocator;
        assert_int_equal(challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n1")), AUTH_RETRY);
        write_all(&b, &attempt, AUTH_REGISTER);
        attempt = (roam_auth_attempt){0};
        m.left = n;
        verdict = challenged(&b, &attempt, AUTH_REGISTER, 401, WWW("n2"));
        assert_true(verdict == AUTH_NO_MEMORY || (verdict == AUTH_RETRY && n > 0));
        m.left = SIZE_MAX;
        write_all(&b, &attempt, AUTH_REGISTER);
        assert_answer(&b, 0, "Authorization", verdict == AUTH_RETRY ? "n2" : "n1", verdict == AUTH_RETRY ? 1 : 2);
        assert_true(n < 20);
        close_bench(&b);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cached),     cmocka_unit_test(test_wrong_or_stale), cmocka_unit_test(test_counts),     cmocka_unit_test(test_uses_apart),
        cmocka_unit_test(test_two_at_once), cmocka_unit_test(test_several_realms), cmocka_unit_test(test_algorithms), cmocka_unit_test(test_not_answered),
        cmocka_unit_test(test_nextnonce),  cmocka_unit_test(test_bounded),        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Challenges from a hostile server, authorizations from a hostile client. What can be answered must give an answer that
 * verifies with its password and not with another one, and a header that cannot be broken out of. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static void answer(const roam_challenge *c, roam_span username)
{
    char space[8192];
    roam_writer w;
    roam_authorization a;
    roam_digest_input in = {
        .algorithm = c->algorithm,
        .username = username,
        .password = SPAN("secret"),
        .realm = c->realm,
        .nonce = c->nonce,
        .opaque = c->opaque,
        .uri = SPAN("sip:example.com"),
        .method = SPAN("REGISTER"),
        .qop = c->qop_auth,
        .nc = 1,
        .cnonce = SPAN("0a4f113b"),
    };
    writer_init(&w, space, sizeof space);
    int err = write_authorization(&w, &in, c->algorithm_text);
    CHECK(err == ROAM_OK || err == ROAM_EINVAL || err == ROAM_EOVERFLOW);
    if (err == ROAM_EINVAL)
        CHECK(w.len == 0);
    if (err)
        return;
    roam_span written = writer_span(&w);
    CHECK(!memchr(written.ptr, '\n', written.len) && !memchr(written.ptr, '\r', written.len));
    CHECK(authorization_parse(written, &a) == ROAM_OK);
    CHECK(digest_text_eq(a.username, username));
    CHECK(span_eq(a.realm, c->realm) && span_eq(a.nonce, c->nonce) && span_eq(a.opaque, c->opaque));
    CHECK(authorization_verify(&a, SPAN("REGISTER"), SPAN("secret")));
    CHECK(!authorization_verify(&a, SPAN("REGISTER"), SPAN("Secret")));
}

/* The lines of the text as headers of one 401. */
static void pick(roam_span text, roam_span realm)
{
    static roam_header_space space;
    char bytes[16384];
    roam_writer w;
    roam_message m;
    roam_challenge c;
    writer_init(&w, bytes, sizeof bytes);
    write_lit(&w, "SIP/2.0 401 Unauthorized\r\n");
    for (int n = 0; text.len && n < 16; n++)
        write_header(&w, HEADER_WWW_AUTHENTICATE, span_trim(span_cut(text, '\n', &text)));
    write_body(&w, (roam_span){NULL, 0}, (roam_span){NULL, 0});
    CHECK(!w.overflow && message_parse(&m, &space, writer_span(&w)) == ROAM_OK);
    int err = challenge_pick(&m, HEADER_WWW_AUTHENTICATE, realm, &c);
    CHECK(err == ROAM_OK || err == ROAM_EUNSUPPORTED || err == ROAM_ENOTFOUND);
    CHECK(err || challenge_usable(&c) == ROAM_OK);
    CHECK(err || !realm.len || span_eq(c.realm, realm));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    roam_span text = span_make((const char *)data, size);
    roam_challenge c;
    roam_authorization a;
    if (size > 4096)
        return 0;
    if (challenge_parse(text, &c) == ROAM_OK && challenge_usable(&c) == ROAM_OK) {
        answer(&c, SPAN("alice"));
        answer(&c, c.realm); /* escapes of the peer's choice, escaped once more */
        answer(&c, text);
    }
    if (authorization_parse(text, &a) == ROAM_OK) {
        authorization_verify(&a, SPAN("REGISTER"), SPAN("secret"));
        digest_text_eq(a.username, SPAN("alice"));
    }
    pick(text, (roam_span){NULL, 0});
    pick(text, SPAN("a"));
    return 0;
}

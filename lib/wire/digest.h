/* HTTP digest for SIP (RFC 3261 22, RFC 7616, RFC 8760). Both ends: the client's answer and the server's check. */
#ifndef ROAM_WIRE_DIGEST_H
#define ROAM_WIRE_DIGEST_H

#include "wire/message.h"

typedef enum roam_digest_algorithm {
    DIGEST_UNKNOWN,
    DIGEST_MD5,
    DIGEST_SHA256,
    DIGEST_SHA512_256
} roam_digest_algorithm;

/* A challenge, its parts unquoted in place (pointing into the header): without the quotes, backslash escapes kept. What
 * was not there has ptr NULL; an empty opaque="" has not. -sess variants are DIGEST_UNKNOWN. */
typedef struct roam_challenge {
    roam_span realm, nonce, opaque, domain;
    roam_digest_algorithm algorithm; /* MD5 when not given */
    roam_span algorithm_text;        /* as it stood; empty: none */
    bool stale;
    bool has_qop;      /* a qop was offered at all; qop="" offers none */
    bool qop_auth;     /* "auth" was among them */
    bool qop_auth_int; /* "auth-int" was among them */
} roam_challenge;

/* One value of WWW-Authenticate or Proxy-Authenticate. ROAM_ESYNTAX; ROAM_EUNSUPPORTED for a scheme that is not Digest.
 */
int challenge_parse(roam_span value, roam_challenge *out);
/* Can we answer it? ROAM_EUNSUPPORTED for an unknown algorithm, or when only auth-int is offered. */
int challenge_usable(const roam_challenge *c);
/* Of the headers `id` with realm `realm` (empty: of the realm of the first usable one) picks the strongest usable
 * challenge, the upper one of two alike; RFC 8760 lets local policy choose. One that cannot be read is passed over.
 * ROAM_ENOTFOUND when there is none for the realm, ROAM_EUNSUPPORTED when none is usable. */
int challenge_pick(const roam_message *m, roam_header_id id, roam_span realm, roam_challenge *out);

typedef struct roam_digest_input {
    roam_digest_algorithm algorithm;
    roam_span username, password;   /* plain, no escapes */
    roam_span realm, nonce, opaque; /* as in roam_challenge: sent back as they stood, hashed without their escapes */
    roam_span uri, method;
    bool qop;         /* qop=auth; else RFC 2069 style */
    uint32_t nc;      /* with qop: 1 and up */
    roam_span cnonce; /* with qop: not empty */
} roam_digest_input;

#define DIGEST_HEX_MAX 65
/* The response value, lower-case hex, NUL-terminated. ROAM_EUNSUPPORTED when the crypto provider lacks the hash (or
 * the memory for it); ROAM_EINVAL for a qop without nc or cnonce; ROAM_ENOMEM. */
int digest_response(const roam_digest_input *in, char out[DIGEST_HEX_MAX]);
/* The value of Authorization or Proxy-Authorization: "Digest username=..., ...". `algorithm_text` is the challenge's;
 * empty: none is written for MD5. As digest_response; and ROAM_EINVAL when a value cannot be quoted (line ends, NUL),
 * with nothing written; ROAM_EOVERFLOW when `w` is full. */
int write_authorization(roam_writer *w, const roam_digest_input *in, roam_span algorithm_text);

/* What a client sent: without the quotes, escapes kept, as in roam_challenge. */
typedef struct roam_authorization {
    roam_span username, realm, nonce, uri, response, cnonce, opaque, nc_text, qop;
    roam_digest_algorithm algorithm;
    uint32_t nc;
} roam_authorization;
/* ROAM_ESYNTAX also when something mandatory is missing (with a qop: cnonce and nc) or stands twice; ROAM_EUNSUPPORTED
 * for another scheme. Unknown algorithms and qops parse; authorization_verify refuses them. */
int authorization_parse(roam_span value, roam_authorization *out);
/* Does the response prove the password? Compared in constant time. Nonce freshness and nc are the server's to judge. */
bool authorization_verify(const roam_authorization *a, roam_span method, roam_span password);

/* Is `escaped` (a part of a challenge or an authorization) the text `plain` once its backslash escapes are undone? */
bool digest_text_eq(roam_span escaped, roam_span plain);

/* Hex of MD5 / SHA-256 / SHA-512-256 over the concatenation of parts. */
int digest_hash(roam_digest_algorithm algorithm, const roam_span *parts, size_t nparts, char out[DIGEST_HEX_MAX]);
const char *digest_algorithm_text(roam_digest_algorithm algorithm);

#endif

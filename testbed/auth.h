/* The server's half of digest authentication (RFC 3261 22, RFC 7616, RFC 8760): users, nonces, the judgement of a
 * request. */
#ifndef ROAM_TESTBED_AUTH_H
#define ROAM_TESTBED_AUTH_H

#include "base/env.h"
#include "wire/digest.h"

#define AUTH_MAX_USERS 65536u
#define AUTH_MAX_NONCES 65536u /* the oldest is forgotten: whoever holds it is told "stale" */

typedef struct roam_auth_config {
    const char *realm;            /* copied */
    bool md5, sha256, sha512_256; /* offered, the strongest first (RFC 8760 2.3). None: MD5 */
    roam_time nonce_lifetime;     /* 0: 300 s */
    bool bind_source;  /* a nonce is good for the source address and port that it was given to; elsewhere it is stale */
    bool one_time;     /* a nonce is good for one request */
    bool next_nonce;   /* the 200 to a REGISTER has the next one (RFC 7616 3.5) */
    bool strict_count; /* the nonce count must grow; else each is good once, in any order within 64 */
} roam_auth_config;

typedef struct roam_auth_counters {
    uint64_t challenges, accepted, wrong, stale, replayed, other_source;
} roam_auth_counters;

typedef struct roam_auth {
    roam_env *env;
    roam_auth_config config;
    char *realm;
    roam_map users;  /* by name */
    roam_map nonces; /* by text, in the order of their making */
    roam_auth_counters counters;
} roam_auth;

typedef enum roam_auth_verdict {
    AUTH_OK,
    AUTH_NONE,  /* no credentials for our realm: challenge */
    AUTH_WRONG, /* user or password: challenge */
    AUTH_STALE, /* the password is right, the nonce is not good (any more): challenge with stale=true */
    AUTH_BAD    /* 400: the credentials contradict the request */
} roam_auth_verdict;
const char *auth_verdict_text(roam_auth_verdict verdict);

int auth_init(roam_auth *auth, roam_env *env, const roam_auth_config *config);
void auth_free(roam_auth *auth);

/* `password` NULL: a user that is trusted and never challenged. Adding again replaces. */
int auth_add_user(roam_auth *auth, roam_span name, const char *password);
void auth_remove_user(roam_auth *auth, roam_span name);
bool auth_knows(const roam_auth *auth, roam_span name);
bool auth_trusts(const roam_auth *auth, roam_span name);
static inline bool auth_enabled(const roam_auth *auth)
{
    return auth->users.count != 0;
}

/* Judges the credentials in the headers `id` (Authorization or Proxy-Authorization). `name` is whom they must name. A
 * nonce and its count are used up by AUTH_OK only. */
roam_auth_verdict auth_check(roam_auth *auth, const roam_message *request, roam_header_id id, roam_span name,
                             const roam_addr *source);
/* One header `id` (WWW-Authenticate or Proxy-Authenticate) for each algorithm, all with the same new nonce.
 * ROAM_ENOMEM: write nothing, answer 500. */
int auth_write_challenge(roam_auth *auth, roam_writer *w, roam_header_id id, bool stale, const roam_addr *source);
/* Authentication-Info with a nonce for the next request; nothing when there is no memory. */
void auth_write_next_nonce(roam_auth *auth, roam_writer *w, const roam_addr *source);
/* All nonces are strangers from now on, as after a restart. */
void auth_forget_nonces(roam_auth *auth);
/* Are these credentials for our realm (so that a proxy takes them out)? */
bool auth_is_ours(const roam_auth *auth, roam_span value);

#endif

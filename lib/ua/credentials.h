/* The challenges an account has been given, kept to be answered before they are asked again.
 *
 * One counter per nonce: the same nonce is never sent with the same count twice. REGISTER and the other requests keep challenges of their own where the
 * server gives two, so that datagrams that overtake each other do not look like a replay. */
#ifndef ROAM_UA_CREDENTIALS_H
#define ROAM_UA_CREDENTIALS_H

#include "base/env.h"
#include "wire/digest.h"

typedef enum roam_auth_use { AUTH_REGISTER, AUTH_REQUEST } roam_auth_use;

typedef struct roam_credentials_entry roam_credentials_entry;

typedef struct roam_credentials {
    roam_env *env;
    char *user, *password, *realm; /* realm NULL: any */
    roam_list entries;
    unsigned nentries;
} roam_credentials;

int credentials_init(roam_credentials *cred, roam_env *env, const char *user, const char *password, const char *realm);
void credentials_free(roam_credentials *cred); /* wipes the password */

/* What became of a 401 or 407. */
typedef enum roam_auth_verdict {
    AUTH_RETRY,       /* a new nonce: answer it */
    AUTH_REFUSED,     /* the answer to a fresh nonce was refused: the password is wrong, or we have none */
    AUTH_UNSUPPORTED, /* nothing we can or may answer (auth-int only, unknown algorithm) */
    AUTH_NO_MEMORY    /* the challenge could not be kept: says nothing about the password */
} roam_auth_verdict;

/* One request and its challenges so far; zero it when a new goal begins (not at each retry). */
typedef struct roam_auth_attempt {
    unsigned challenges;
    /* What the last request answered: realms, each a bit of its hash. The refusal of an answer to a nonce given for this very goal proves the password
     * wrong; of one from the cache it proves nothing. */
    uint64_t answered, answered_fresh;
} roam_auth_attempt;

roam_auth_verdict credentials_challenged(roam_credentials *cred, roam_auth_attempt *attempt, roam_auth_use use, const roam_message *response);
/* Writes Authorization / Proxy-Authorization for every realm known for this use. */
void credentials_write(roam_credentials *cred, roam_auth_attempt *attempt, roam_auth_use use, roam_writer *w, roam_span method, roam_span uri);
/* Authentication-Info: nextnonce (RFC 7616 3.5). */
void credentials_info(roam_credentials *cred, roam_auth_use use, const roam_message *response);

#endif

/* A registrar (RFC 3261 10.3, part of RFC 5626): the location store and the REGISTER requests that change it.
 *
 * An address-of-record is a user name: all domains of the site share their users. */
#ifndef ROAM_TESTBED_REGISTRAR_H
#define ROAM_TESTBED_REGISTRAR_H

#include "testbed/auth.h"
#include "testbed/site.h"

#define REGISTRAR_MAX_AORS 65536u
#define REGISTRAR_MAX_CONTACT 1024u /* bytes of a Contact's URI; longer: 400 */
#define REGISTRAR_MAX_PARAMS 512u   /* bytes of its parameters; longer: 400 */
#define REGISTRAR_MAX_USER 256u     /* bytes of a user name, unescaped; longer: 400 */

typedef struct roam_registrar_config {
    uint32_t default_expires; /* seconds; 0: 3600 */
    uint32_t min_expires;     /* 0: 60. Shorter: 423 */
    uint32_t max_expires;     /* 0: 7200. Longer is cut */
    size_t max_contacts;      /* 0: ROAM_MAX_BINDINGS. More: 403 */
    bool removals_last;   /* Contacts with expires=0 are worked off after the others: with rewrite_contact, an old and a
                           * new Contact in one REGISTER become the same, and the new one is deleted */
    bool rewrite_contact; /* host and port of each Contact are replaced by the source of the REGISTER, as Asterisk does
                           */
} roam_registrar_config;

typedef struct roam_registrar_counters {
    uint64_t requests, accepted, challenged, refused, expired;
} roam_registrar_counters;

typedef struct roam_registrar {
    roam_site *site;
    roam_auth *auth;
    roam_registrar_config config;
    roam_map aors;     /* roam_aor by user name */
    roam_map contacts; /* roam_binding.by_contact: user@host:port of the Contact */
    roam_map sources;  /* roam_binding.by_source */
    size_t nbindings;
    roam_registrar_counters counters;
} roam_registrar;

typedef struct roam_aor {
    roam_map_node node;
    char *user;
    roam_list bindings; /* oldest first */
    size_t nbindings;
} roam_aor;

typedef struct roam_binding {
    roam_list node;
    roam_map_node by_contact, by_source;
    roam_timer timer; /* expiry */
    roam_registrar *registrar;
    roam_aor *aor;
    char *contact;  /* the URI */
    char *params;   /* given back in the 200: ";q=0.5;+sip.instance=..."; no expires */
    char *instance; /* +sip.instance with its quotes; NULL: none, or no reg-id */
    uint32_t reg_id;
    char *call_id;
    uint32_t cseq;
    roam_time expires_at;
    roam_addr source; /* where the REGISTER came from ... */
    roam_path *path;  /* ... and on which of our paths */
    char *contact_key;
    char source_key[24];
} roam_binding;

int registrar_init(roam_registrar *registrar, roam_site *site, roam_auth *auth, const roam_registrar_config *config);
void registrar_free(roam_registrar *registrar);

/* Answers a REGISTER whose Request-URI is ours. */
void registrar_handle(roam_registrar *registrar, roam_server_txn *txn, const roam_message *request);

/* Forgets every binding, as after a restart: nobody is told but the notice. */
void registrar_forget(roam_registrar *registrar);

/* The name in the user part of a URI, unescaped, written to `space`. Empty: none, or too long. */
roam_span registrar_user(const roam_uri *uri, char space[REGISTRAR_MAX_USER]);
/* NULL: nobody by that name is registered. Walk its `bindings` with list_each. */
const roam_aor *registrar_find(const roam_registrar *registrar, roam_span user);
/* The newest binding whose Contact has this user, host and port (NAT help); NULL: none. */
const roam_binding *registrar_find_contact(const roam_registrar *registrar, const roam_uri *contact);
/* Is there a binding made from this source? */
bool registrar_has_source(const roam_registrar *registrar, const roam_addr *source);

#endif

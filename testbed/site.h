/* What registrar and proxy share: which names and addresses are this server, which paths it has, and who is told what
 * happens. */
#ifndef ROAM_TESTBED_SITE_H
#define ROAM_TESTBED_SITE_H

#include "sip/sip.h"

#define SITE_MAX_DOMAINS 16u
#define SITE_MAX_PATHS 16u

typedef enum roam_notice_type {
    NOTICE_REQUEST,           /* a request came: method, subject (its URI), remote */
    NOTICE_REFUSED,           /* answered by the server itself with a failure: method, subject, status, why */
    NOTICE_BINDING_ADDED,     /* subject (the user), contact, remote (the source), expires, why ("registered") */
    NOTICE_BINDING_REFRESHED, /* the same */
    NOTICE_BINDING_REMOVED,   /* why: "unregistered", "replaced", "expired" */
    NOTICE_CALL_PASSED, /* an INVITE without To tag went to `remote`: subject (its URI), contact (where to), call_id */
    NOTICE_CALL_ANSWERED, /* the final response went back: status, call_id */
    NOTICE_DIALOG_REQUEST /* a request in a dialog went to `remote`: method, contact (its URI), call_id */
} roam_notice_type;
const char *notice_text(roam_notice_type type); /* "binding-added" */

/* Typed and valid during the callback only. */
typedef struct roam_notice {
    roam_notice_type type;
    roam_time time;
    roam_span method, subject, contact, call_id;
    roam_addr remote; /* family 0: none */
    unsigned status;
    uint32_t expires;
    const char *why; /* "" or a phrase */
} roam_notice;
typedef void roam_notice_fn(void *user, const roam_notice *notice);

typedef struct roam_site {
    roam_env *env;
    roam_sip *sip;
    roam_path *paths[SITE_MAX_PATHS];
    size_t npaths;
    char *domains[SITE_MAX_DOMAINS];
    size_t ndomains;
    roam_notice_fn *notice; /* NULL: nobody listens */
    void *user;
} roam_site;

void site_init(roam_site *site, roam_env *env, roam_sip *sip, roam_notice_fn *notice, void *user);
void site_free(roam_site *site); /* no flow may use the paths any more */
int site_add_domain(roam_site *site, const char *domain);
/* The path is up at once. */
int site_add_path(roam_site *site, uint32_t socket, const roam_addr *local);
roam_path *site_path_of_socket(const roam_site *site, uint32_t socket); /* NULL: unknown */
/* The path for requests to an address that is no binding's: the preferred one if its family fits, else the first that
 * does. NULL: none. */
roam_path *site_path_toward(const roam_site *site, const roam_addr *remote, roam_path *preferred);

/* Is the host one of our domains or addresses? For From and To; the port does not count. */
bool site_owns_host(const roam_site *site, const roam_uri *uri);
/* Is the URI us: as site_owns_host, and its port, where it names one, is one of ours. For Request-URI and Route. */
bool site_owns_uri(const roam_site *site, const roam_uri *uri);
/* The path whose address the URI names; NULL: none. */
roam_path *site_path_named(const roam_site *site, const roam_uri *uri);

void site_notice(const roam_site *site, const roam_notice *notice); /* fills in the time */

#endif

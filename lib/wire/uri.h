/* SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966). Parsing copies nothing: the parts point into the text. */
#ifndef ROAM_WIRE_URI_H
#define ROAM_WIRE_URI_H

#include "base/writer.h"

typedef enum roam_uri_scheme { URI_SIP, URI_SIPS, URI_TEL, URI_OTHER } roam_uri_scheme;

typedef struct roam_uri {
    roam_uri_scheme scheme;
    roam_span text;        /* the whole URI as it stood */
    roam_span scheme_name; /* "sip" as it stood */
    roam_span user;        /* still escaped; for tel the number; empty: none */
    roam_span password;    /* still escaped */
    roam_span host;        /* IPv6 without its brackets */
    roam_ip ip;            /* family 0 when host is a name */
    uint16_t port;         /* 0: none given */
    roam_span params;      /* without the leading ';', unparsed */
    roam_span headers;     /* without the leading '?' */
} roam_uri;

/* No URI: everything empty (ip: only its family is meant). */
void uri_clear(roam_uri *uri);

/* The whole span must be one URI. ROAM_ESYNTAX when it is not, ROAM_ELIMIT above ROAM_MAX_URI. URI_OTHER keeps only text and scheme_name. */
int uri_parse(roam_span text, roam_uri *out);

/* A parameter of ";a=b;c": true when there; value empty when it has none. Names compare without case. `params` as in roam_uri. */
bool param_find(roam_span params, roam_span name, roam_span *value);
/* Walks parameters: false at the end. Start with *rest = params. Understands quoted values (kept quoted). */
bool param_next(roam_span *rest, roam_span *name, roam_span *value);

/* RFC 3261 19.1.4: equality of URIs, escapes and case as told there. */
bool uri_equal(const roam_uri *a, const roam_uri *b);
/* Equal in scheme, user, host and port only (the key of a registrar's AOR). */
bool uri_same_aor(const roam_uri *a, const roam_uri *b);
/* Undoes %HH into `w`; ROAM_ESYNTAX when an escape is bad. */
int uri_unescape(roam_span s, roam_writer *w);
/* Escapes what a user part may not hold (RFC 3261 25.1). */
void write_uri_user(roam_writer *w, roam_span user);
/* The port the URI means: given, or 5060, or 5061 for sips and transport=tls. */
uint16_t uri_effective_port(const roam_uri *uri);

#endif

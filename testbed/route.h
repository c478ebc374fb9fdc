/* Where a request goes (RFC 3261 16.4 to 16.6): what is left of its Route, its next Request-URI, the address of the
 * next hop. And how the copy that goes there is written. No state. */
#ifndef ROAM_TESTBED_ROUTE_H
#define ROAM_TESTBED_ROUTE_H

#include "testbed/registrar.h"

typedef struct roam_route {
    roam_span uri;                     /* Request-URI: as it came, or out of a strict router's Route */
    roam_uri target;                   /* the same, parsed */
    roam_span routes[ROAM_MAX_ROUTES]; /* that are not ours, in order */
    size_t nroutes;
    bool local; /* nothing is left of the Route and the URI is ours: ask the registrar */
} roam_route;

/* 0, or the status to refuse with. */
unsigned route_find(const roam_site *site, const roam_message *request, roam_route *out);

typedef struct roam_hop {
    roam_addr remote;
    roam_path *path;
} roam_hop;
/* The address for a request that is not `local`, or (binding not NULL) for one that goes to this binding. With
 * `nat_help` the source of the REGISTER counts. 0; 404: nothing by that name can be reached from here (only addresses
 * can, there is no DNS); 500: no path of that family. */
unsigned route_hop(const roam_site *site, const roam_registrar *registrar, const roam_route *route,
                   const roam_binding *binding, bool nat_help, roam_path *came_on, roam_hop *out);

typedef struct roam_route_copy {
    const roam_site *site;
    const roam_auth *auth; /* credentials for its realm stay here */
    const roam_message *request;
    const roam_route *route;
    const roam_addr *source; /* of the request */
    roam_path *in, *out;     /* Record-Route names both when they differ */
    bool record_route;
} roam_route_copy;
/* Everything behind Max-Forwards: r was begun with the right URI. */
void route_write(roam_request *r, const roam_route_copy *copy);
/* The Request-URI that the copy has: `uri`, or the Route of a next hop that is a strict router. */
roam_span route_request_uri(const roam_route *route, roam_span uri);

/* Copies all headers of `from` that are not in `without` (ends with HEADER_OTHER), kind by kind. */
void write_headers_except(roam_writer *w, const roam_message *from, const roam_header_id *without);

#endif

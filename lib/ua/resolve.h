/* From the host of a URI to an address: a literal at once, a name by asking the host. Answers are kept for a while and forgotten at every
 * epoch: another network may have another resolver. */
#ifndef ROAM_UA_RESOLVE_H
#define ROAM_UA_RESOLVE_H

#include "base/env.h"
#include "roam/core.h"
#include "wire/uri.h"

typedef struct roam_resolver {
    roam_map names; /* by lower-case host */
    uint32_t next_query;
} roam_resolver;

int resolve_init(roam_ua *ua);
void resolve_free(roam_ua *ua);
/* 0 and the address; ROAM_EBUSY while the host is asked (everybody's work is asked for when it answers); ROAM_ENOTFOUND when there is none (asked again after some seconds);
 * ROAM_ENOMEM. */
int resolve_uri(roam_ua *ua, const roam_uri *uri, roam_addr *out);
/* The same, but an address that the name still has, and that can be reached, is not left for another: the node that knows us is the one to talk to. */
int resolve_uri_near(roam_ua *ua, const roam_uri *uri, const roam_ip *present, roam_addr *out);
void resolve_answer(roam_ua *ua, uint32_t query, const roam_ip *ips, size_t n);
void resolve_forget(roam_ua *ua);

#endif

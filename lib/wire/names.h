/* Names on the wire: header fields, methods, reason phrases. */
#ifndef ROAM_WIRE_NAMES_H
#define ROAM_WIRE_NAMES_H

#include "wire/message.h"

/* The id of a header field by its long or compact name, without case. `end`: how far the bytes at `name` may be read. */
roam_header_id header_id_of(const char *name, size_t len, const char *end);
/* The compact form of a name that has no id (Subject: 's'), or the long name of such a compact form; empty: none. */
roam_span header_alias(roam_span name);
/* "Call-ID: "; empty for HEADER_OTHER. */
extern const roam_span header_prefixes[HEADER_COUNT];

#endif

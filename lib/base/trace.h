/* The core's side of the trace: each helper fills one kind of record; nothing is built when nobody listens. */
#ifndef ROAM_BASE_TRACE_H
#define ROAM_BASE_TRACE_H

#include "roam/trace.h"

typedef struct roam_tracer {
    roam_trace_fn *fn; /* NULL: off */
    void *user;
    const roam_time *now;
} roam_tracer;

void trace_state(const roam_tracer *t, const char *object, uint64_t id, const char *from, const char *to, const char *why);
/* Overwrites with '*', length kept: the values of response= and rspauth=, credentials of other schemes than Digest, keys in SDP
 * (inline:, a=key-mgmt:, a=ice-pwd:, k=) and passwords in URIs. More than ROAM_MAX_MESSAGE bytes are cut. Same for dropped bytes. */
void trace_message(const roam_tracer *t, roam_trace_type type, const roam_addr *local, const roam_addr *remote, roam_span bytes);
void trace_dropped(const roam_tracer *t, const char *object, const char *why, const roam_addr *remote, roam_span bytes);
void trace_path(const roam_tracer *t, const char *object, uint64_t id, const char *from, const char *to, const char *why);
/* The record is copied, its type set; bytes are masked as those of messages. */
void trace_input(const roam_tracer *t, const roam_trace_record *record);
void trace_output(const roam_tracer *t, const roam_trace_record *record);
void trace_note(const roam_tracer *t, const char *object, uint64_t id, const char *why);

#endif

/**
 * @file trace.h
 * What the core did and why, as typed records. Logs, ladder diagrams and replays are made from these.
 * A record never holds a password, a digest response or a key: messages are recorded with those values masked.
 */
#ifndef ROAM_TRACE_H
#define ROAM_TRACE_H

#include "roam/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum roam_trace_type {
    ROAM_TRACE_STATE, /**< a machine moved: object, id, from, to, why */
    ROAM_TRACE_SENT,  /**< a SIP message left: local, remote, bytes */
    ROAM_TRACE_RECEIVED, /**< a SIP message came: local, remote, bytes */
    ROAM_TRACE_DROPPED,  /**< an input was dropped and counted: object, why; remote and bytes where there are any */
    ROAM_TRACE_PATH,     /**< a path or route changed: object, from, to, why */
    ROAM_TRACE_INPUT,    /**< what the core was given, with its time: object (the function), id, remote, bytes. Only with roam_ua_config.trace_inputs */
    ROAM_TRACE_OUTPUT,   /**< what the host took, but for SIP, which is in SENT: object, id, local, remote, bytes. Only with trace_inputs */
    ROAM_TRACE_NOTE      /**< anything else a reader of the trace wants: object, id, why */
} roam_trace_type;

/** Everything in a record is valid during the callback only. Unused texts are "", unused spans empty. */
typedef struct roam_trace_record {
    roam_trace_type type;
    roam_time time;
    const char *object; /**< "call", "account", "client-transaction", "path", "stream", ... */
    uint64_t id;        /**< of that object, 0 where there is one only */
    const char *from;   /**< old state */
    const char *to;     /**< new state */
    const char *why;    /**< the cause, in words */
    roam_addr local;
    roam_addr remote;
    roam_span bytes; /**< the message, secrets masked */
} roam_trace_record;

/** Called on the agent's thread in the middle of an input: it must not call back into the agent. */
typedef void roam_trace_fn(void *user, const roam_trace_record *record);

#ifdef __cplusplus
}
#endif
#endif

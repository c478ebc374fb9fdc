/**
 * @file core.h
 * The agent without I/O. It is given inputs with the time they arrived, and is then drained of outputs.
 *
 * The loop of a host:
 *
 *     roam_ua_receive(ua, now, ...), roam_ua_advance(ua, now), roam_call_make(ua, ...), ...   any input or command
 *     while (roam_ua_poll(ua, &output)) carry it out
 *     wait for the next datagram, or until roam_ua_deadline(ua)
 *
 * Commands (account.h, call.h, network.h) take the time of the last input: call roam_ua_advance() first when that may be long ago.
 * Inputs may be given from inside the drain loop (an answer to a ROUTE_WATCH, a SOCKET_OPEN): that is how the first packets leave at once.
 */
#ifndef ROAM_CORE_H
#define ROAM_CORE_H

#include "roam/account.h"
#include "roam/call.h"
#include "roam/media.h"
#include "roam/network.h"
#include "roam/subscription.h"
#include "roam/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "0.1.0" */
ROAM_API const char *roam_version(void);

/** Set with roam_ua_config_default() first. Everything is copied. */
typedef struct roam_ua_config {
    const roam_allocator *allocator; /**< NULL: malloc */
    uint8_t seed[32];          /**< of all randomness: from the OS in the field, from the scenario in a simulation */
    const char *user_agent;    /**< one line; NULL: "roam/VERSION" */
    uint16_t sip_port;         /**< where requests are received; 0: whatever the OS gives (then kept over moves) */
    roam_ip bind;              /**< use only this local address; family 0: any */
    uint16_t rtp_port_min, rtp_port_max; /**< even ports; 0: whatever the OS gives */
    const char *codecs;        /**< preference, default "PCMU,PCMA" */
    bool route_answers;        /**< the host answers ROUTE_WATCH outputs; false: it gives pictures only (roam_network_update()), and the core chooses. Default true */
    uint32_t t1_ms, t2_ms, t4_ms; /**< RFC 3261 timers: 500, 4000, 5000 */
    uint32_t coalesce_ms;      /**< followers of a change are collected this long (handover.md): 50 */
    uint32_t register_rate;    /**< REGISTERs a second when many accounts move at once; default 10000 */
    uint32_t register_burst;   /**< ... after this many at once; default 200 */
    /**
     * The application's say when a better path appears while the one in use works. Asked once for a pair of paths, in the middle of an input: it must not call back into
     * the agent. Not asked for accounts pinned to a link, nor when the old path is gone or dead. NULL: ROAM_PATH_BOTH.
     */
    roam_path_choice (*choose_path)(void *user, const roam_path_offer *offer);
    void *choose_path_user;
    /**
     * Trace every input and output too, so that `roam replay` can repeat the run. The trace holds the seed then: who reads it while the agent runs can guess its tags, branches
     * and nonces. Passwords are not in it; digits dialled in a call and the text of messages are; of sound there are the RTP headers.
     */
    bool trace_inputs;
    roam_trace_fn *trace;      /**< NULL: none */
    void *trace_user;
} roam_ua_config;
ROAM_API void roam_ua_config_default(roam_ua_config *config);

ROAM_API roam_ua *roam_ua_new(const roam_ua_config *config); /**< NULL: no memory, or a bad configuration */
/** Frees everything at once; sends nothing. To leave politely: roam_ua_shutdown(), drain until ROAM_EVENT_SHUTDOWN_DONE, then free. */
ROAM_API void roam_ua_free(roam_ua *ua);
/** Ends calls and subscriptions and unregisters accounts; within 4 s of virtual time (less when all answer) ROAM_EVENT_SHUTDOWN_DONE comes. */
ROAM_API void roam_ua_shutdown(roam_ua *ua);

/* ---- inputs ---- */

/** Time goes on: fires what is due. Other inputs do the same first. Time never goes back: an earlier `now` is taken as the last one. */
ROAM_API void roam_ua_advance(roam_ua *ua, roam_time now);
/** A datagram came on a socket. */
ROAM_API void roam_ua_receive(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *from, roam_span datagram);
/** Answer to ROAM_OUTPUT_SOCKET_OPEN: err 0 and the bound address, or why not (ROAM_EIO, ROAM_EBUSY for an address in use). */
ROAM_API void roam_ua_socket_opened(roam_ua *ua, roam_time now, uint32_t socket, int err, const roam_addr *local);
/** Sending on a socket failed (network unreachable, ...) or an ICMP error came: evidence, not proof. `remote` may be NULL. */
ROAM_API void roam_ua_socket_error(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *remote);
/** Answer to ROAM_OUTPUT_ROUTE_WATCH, and again whenever it changes outside of roam_network_update(). */
ROAM_API void roam_ua_route(roam_ua *ua, roam_time now, const roam_net_route *route);
/** Answer to ROAM_OUTPUT_RESOLVE: n = 0 means the name has no address or nobody answered. */
ROAM_API void roam_ua_resolved(roam_ua *ua, roam_time now, uint32_t query, const roam_ip *ips, size_t n);

/* ---- outputs ---- */

/** When the next timer is due, ROAM_NEVER: none. Look after draining. */
ROAM_API roam_time roam_ua_deadline(const roam_ua *ua);

typedef enum roam_event_type {
    ROAM_EVENT_REGISTRATION,       /**< account: registration state changed */
    ROAM_EVENT_CALL_INCOMING,      /**< a new incoming call rings. `other_call`: to answer it ends that call (RFC 3891, asked for by a stranger); 0: none */
    ROAM_EVENT_CALL_STATE,         /**< call: state, status, reason */
    ROAM_EVENT_CALL_HOLD,          /**< call: hold changed */
    ROAM_EVENT_CALL_LINK,          /**< call: link changed (ok, moving, reconnecting) */
    ROAM_EVENT_CALL_MEDIA,         /**< call: codec or addresses (re)negotiated, media active or not */
    ROAM_EVENT_CALL_DTMF,          /**< call: a digit came (RFC 4733 or INFO) */
    ROAM_EVENT_CALL_MEDIA_SILENT,  /**< call: RTP stopped that should flow */
    ROAM_EVENT_CALL_MEDIA_HEARD,   /**< call: ... and came back; gap_ms */
    ROAM_EVENT_IP_CHANGE_PROGRESS, /**< op, account, call, subscription, status, sip_code; report at RECOVERED and FAILED */
    ROAM_EVENT_SHUTDOWN_DONE,
    ROAM_EVENT_CALL_TRANSFER,      /**< call: our transfer of it: transfer, sip_code or status; may come after the call's last CALL_STATE */
    ROAM_EVENT_CALL_TRANSFER_REQUESTED, /**< call: the peer asks us to call `uri`: roam_call_transfer_accept() or _reject() */
    ROAM_EVENT_CALL_REPLACED,      /**< call: `other_call` has taken its place (RFC 3891); this one ends */
    ROAM_EVENT_CALL_INFO,          /**< call: an INFO that is not DTMF: content_type, body. Without content_type: the answer to ours, sip_code or status */
    ROAM_EVENT_SUBSCRIPTION,       /**< account, subscription: subscription_state, sip_code, status, reason */
    ROAM_EVENT_NOTIFY,             /**< account, subscription: content_type, body (at most 32 KiB; an empty one is not told) */
    ROAM_EVENT_MESSAGE,            /**< account: a MESSAGE came: uri (the sender as it says, not proven), content_type, body (at most 32 KiB). call: in its dialog */
    ROAM_EVENT_MESSAGE_SENT        /**< account, message: the answer to ours: sip_code, or status */
} roam_event_type;
/** The stable names that `roam agent` prints: "registration", "call_state", ... */
ROAM_API const char *roam_event_type_text(roam_event_type type);

typedef struct roam_event {
    roam_event_type type;
    roam_time time;
    roam_account_id account; /**< 0: none */
    roam_call_id call;       /**< 0: none */
    int sip_code;            /**< SIP status where there is one, else 0 */
    int status;              /**< roam_err where there is one, else 0 */
    char reason[96];         /**< in words */
    roam_registration_state registration;
    roam_call_state call_state;
    roam_hold hold;
    roam_link_state link;
    char digit;
    uint32_t duration_ms, gap_ms;
    roam_ip_change_op op;
    uint32_t epoch;
    roam_addr local;         /**< IP_CHANGE: the new path's address, family 0: none */
    bool has_report;
    roam_ip_change_report report;
    roam_transfer_state transfer;
    roam_call_id other_call; /**< 0: none */
    roam_subscription_id subscription; /**< 0: none */
    roam_subscription_state subscription_state;
    roam_message_id message; /**< 0: none */
    roam_span uri, content_type, body; /**< valid as long as the output that holds this event; in a callback: during it */
    roam_media_stats media;  /**< CALL_STATE to ENDED: of the whole call (its id is unknown by then); zeros where there was no sound */
} roam_event;

typedef enum roam_output_type {
    ROAM_OUTPUT_SEND,         /**< socket, remote, bytes */
    ROAM_OUTPUT_SOCKET_OPEN,  /**< socket, local (port 0: any), link, purpose: open a UDP socket bound to it; answer roam_ua_socket_opened() */
    ROAM_OUTPUT_SOCKET_CLOSE, /**< socket */
    ROAM_OUTPUT_ROUTE_WATCH,  /**< remote.ip: tell the source the OS would use for it, now and when it changes */
    ROAM_OUTPUT_ROUTE_UNWATCH,/**< remote.ip */
    ROAM_OUTPUT_RESOLVE,      /**< query, name: find the addresses of a host */
    ROAM_OUTPUT_EVENT         /**< event: tell the application */
} roam_output_type;

typedef enum roam_socket_purpose { ROAM_SOCKET_SIP, ROAM_SOCKET_RTP, ROAM_SOCKET_RTCP } roam_socket_purpose;

/** Valid until the next call of anything with this agent, but for answers given to this very output. Copy what is needed longer. */
typedef struct roam_output {
    roam_output_type type;
    uint32_t socket;
    roam_addr local;
    roam_addr remote;
    uint32_t link;
    roam_socket_purpose purpose;
    uint32_t query;
    roam_span bytes; /**< SEND: the datagram; RESOLVE: the name */
    roam_event event;
} roam_output;

/** Takes the next output, in the order in which they arose. False when there is none. */
ROAM_API bool roam_ua_poll(roam_ua *ua, roam_output *output);

/** Counters of what was dropped, for tests and for operators. */
typedef struct roam_ua_counters {
    uint64_t messages_received, messages_sent, retransmissions, malformed, dropped, over_limit;
    size_t transactions, accounts, calls, subscriptions, paths, memory_blocks;
    uint32_t epoch;
} roam_ua_counters;
ROAM_API void roam_ua_get_counters(const roam_ua *ua, roam_ua_counters *counters);

#ifdef __cplusplus
}
#endif
#endif

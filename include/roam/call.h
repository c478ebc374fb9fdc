/**
 * @file call.h
 * Calls. What happens to a call in each state when the network changes is in docs/handover.md.
 */
#ifndef ROAM_CALL_H
#define ROAM_CALL_H

#include "roam/account.h"
#include "roam/media.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum roam_call_state {
    ROAM_CALL_CALLING,    /**< outgoing: INVITE sent, or waiting for a path; nothing heard but 100 */
    ROAM_CALL_INCOMING,   /**< incoming: 180 sent, the application is to answer or reject */
    ROAM_CALL_EARLY,      /**< outgoing: it rings, or early media plays */
    ROAM_CALL_CONNECTING, /**< answered: 200 on its way, or its ACK */
    ROAM_CALL_CONFIRMED,  /**< both sides know */
    ROAM_CALL_DISCONNECTING, /**< BYE or CANCEL sent */
    ROAM_CALL_ENDED       /**< last event of a call; its id is unknown afterwards */
} roam_call_state;
ROAM_API const char *roam_call_state_text(roam_call_state state);

/** Hold as seen from here. */
typedef enum roam_hold { ROAM_HOLD_NONE = 0, ROAM_HOLD_LOCAL = 1, ROAM_HOLD_REMOTE = 2, ROAM_HOLD_BOTH = 3 } roam_hold;

/** Is the network under the call whole? */
typedef enum roam_link_state {
    ROAM_LINK_OK,
    ROAM_LINK_MOVING,      /**< a path changed; the refresh is under way */
    ROAM_LINK_RECONNECTING /**< no path at the moment */
} roam_link_state;

typedef struct roam_call_options {
    roam_audio_source *source; /**< given away: closed by roam. NULL: silence */
    roam_audio_sink *sink;     /**< given away. NULL: discarded */
    const char *codecs;        /**< comma-separated preference, e.g. "PCMA,PCMU"; NULL: the agent's */
} roam_call_options;

/** How our transfer of a call goes on. It may go on after the call has ended: its news then still comes with the call's id. */
typedef enum roam_transfer_state {
    ROAM_TRANSFER_NONE,
    ROAM_TRANSFER_PENDING,  /**< REFER sent */
    ROAM_TRANSFER_ACCEPTED, /**< the peer tries; sip_code: what it hears from the target (100, 180, ...) */
    ROAM_TRANSFER_DONE,     /**< the target answered: 2xx */
    ROAM_TRANSFER_FAILED    /**< refused, or the target did: sip_code; or nobody says: status. The call goes on */
} roam_transfer_state;
ROAM_API const char *roam_transfer_state_text(roam_transfer_state state);

/*
 * Commands about a call return ROAM_ENOTFOUND where there is none with this id (any more), ROAM_ESTATE where its state does not allow it, ROAM_EINVAL for an argument that cannot be. Texts are copied.
 */

/** Calls (RFC 3261 13). `account` 0: the first one. `uri`: "sip:bob@example.com"; "bob" takes the account's host. `options` may be NULL; after an error its source and sink
 * are still the caller's. Without a path it waits for one, `offline_max_ms` at most. `id` may be NULL. */
ROAM_API int roam_call_make(roam_ua *ua, roam_account_id account, const char *uri, const roam_call_options *options, roam_call_id *id);
/** Answers an incoming call with 200. `options` may be NULL. */
ROAM_API int roam_call_answer(roam_ua *ua, roam_call_id id, const roam_call_options *options);
/**
 * Tells the caller how an incoming call goes on before it is answered: 180 (it rings), 181, 182 or 183. With `early_media` the answer to the caller's offer goes
 * with it and sound flows both ways at once. Sent reliably (RFC 3262) where the caller supports that and the account does not say ROAM_100REL_OFF; one that is not
 * acknowledged yet makes the next ones, and the 200, wait. `options` gives source and sink as for roam_call_answer(); may be NULL. ROAM_ESTATE when the call is not
 * INCOMING; ROAM_EUNSUPPORTED: early media for a caller that made no offer and knows nothing of reliable responses.
 */
ROAM_API int roam_call_progress(roam_ua *ua, roam_call_id id, unsigned status, bool early_media, const roam_call_options *options);
/** Refuses an incoming call: 300..699; 0 means 486. */
ROAM_API int roam_call_reject(roam_ua *ua, roam_call_id id, unsigned status);
/**
 * Ends a call in any state: CANCEL, BYE or 486 as the state asks. Without a path it is said as soon as there is one. The call is over for the application with ROAM_CALL_ENDED, not before.
 */
ROAM_API int roam_call_hangup(roam_ua *ua, roam_call_id id);
/** Hold by an offer with sendonly or inactive (RFC 3264 8.4). While another offer is under way the wish is kept and sent when it is over. Told by ROAM_EVENT_CALL_HOLD. */
ROAM_API int roam_call_hold(roam_ua *ua, roam_call_id id);
/** Takes our hold back; that of the peer stays. */
ROAM_API int roam_call_resume(roam_ua *ua, roam_call_id id);
/** Sends digits "0-9*#A-D" by RFC 4733, 160 ms each. */
ROAM_API int roam_call_dtmf(roam_ua *ua, roam_call_id id, const char *digits);
/**
 * Transfers the peer (RFC 3515, 5589): it is asked to call `target`. Progress comes as ROAM_EVENT_CALL_TRANSFER; the call stays until the application, or the peer, ends it.
 * Put it on hold before, as a user would expect. ROAM_ESTATE: not confirmed, or a transfer is under way. ROAM_ELIMIT: four were asked for within 32 s.
 * A peer that accepts without reporting (RFC 4488) leaves it at ROAM_TRANSFER_ACCEPTED.
 */
ROAM_API int roam_call_transfer(roam_ua *ua, roam_call_id id, const char *target);
/** Attended: the peer of `id` is asked to take the place of us in the confirmed call `other` (REFER with Replaces, RFC 3891). Progress and errors as before. */
ROAM_API int roam_call_transfer_to_call(roam_ua *ua, roam_call_id id, roam_call_id other);
/**
 * Answers ROAM_EVENT_CALL_TRANSFER_REQUESTED: calls the target, and tells the peer how it goes. `options` for the new call; `new_call` may be NULL. Not accepted within 60 s: refused with 603.
 * The call may have ended meanwhile (many peers hang up at once): its id is good here until the decision. After an error the decision is still open, and source and sink are the caller's.
 */
ROAM_API int roam_call_transfer_accept(roam_ua *ua, roam_call_id id, const roam_call_options *options, roam_call_id *new_call);
/** Refuses it: 300..699; 0 means 603. */
ROAM_API int roam_call_transfer_reject(roam_ua *ua, roam_call_id id, unsigned status);
/**
 * Sends a body (at most 8 KiB, may be empty) in the call's dialog by INFO (RFC 6086 without package: what gateways understand), in a confirmed or early call. The answer comes as
 * ROAM_EVENT_CALL_INFO, unless the call ends before. Without a path it waits; when its path goes it is repeated on the next one. ROAM_EBUSY: one is under way. ROAM_ESTATE: no dialog.
 */
ROAM_API int roam_call_send_info(roam_ua *ua, roam_call_id id, const char *content_type, roam_span body);
/** Replaces source or sink (the old one is closed); NULL for silence / discard. */
ROAM_API int roam_call_set_source(roam_ua *ua, roam_call_id id, roam_audio_source *source);
ROAM_API int roam_call_set_sink(roam_ua *ua, roam_call_id id, roam_audio_sink *sink);

typedef struct roam_call_info {
    roam_call_id id;
    roam_account_id account;
    bool outgoing;
    roam_call_state state;
    roam_hold hold;
    roam_link_state link;
    int last_status;         /**< SIP status that ended or last changed it; a roam_err < 0 for a local reason */
    roam_time since;         /**< time of the last change of state */
    char remote[256];        /**< the peer's URI */
    char remote_name[128];   /**< its display name */
    char call_id[128];       /**< the Call-ID header */
    char codec[16];          /**< "" before it is negotiated */
    roam_addr media_local, media_remote;
    roam_addr local;         /**< of the signalling path */
    uint32_t epoch;          /**< of the paths this call was last brought in line with */
    roam_media_stats media;
} roam_call_info;
/** Fills in `info`, which is a copy. */
ROAM_API int roam_call_get_info(const roam_ua *ua, roam_call_id id, roam_call_info *info);
/** The ids of the calls, at most `max` of them; returns how many there are. */
ROAM_API size_t roam_call_list(const roam_ua *ua, roam_call_id *ids, size_t max);

#ifdef __cplusplus
}
#endif
#endif

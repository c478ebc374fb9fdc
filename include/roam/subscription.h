/**
 * @file subscription.h
 * Subscriptions (RFC 6665) and messages (RFC 3428). Both move with their account: a subscription is a dialog, and its target is refreshed like a call's.
 */
#ifndef ROAM_SUBSCRIPTION_H
#define ROAM_SUBSCRIPTION_H

#include "roam/account.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t roam_subscription_id; /**< never 0, never used twice in one agent */
typedef uint32_t roam_message_id;      /**< never 0, never used twice in one agent */

typedef enum roam_subscription_state {
    ROAM_SUBSCRIPTION_WAITING,     /**< no path yet, or a back-off; tried again by itself */
    ROAM_SUBSCRIPTION_SUBSCRIBING, /**< SUBSCRIBE sent, nothing accepted yet */
    ROAM_SUBSCRIPTION_PENDING,     /**< accepted; the notifier has not decided (RFC 6665 4.1.3) */
    ROAM_SUBSCRIPTION_ACTIVE,
    ROAM_SUBSCRIPTION_UNSUBSCRIBING, /**< SUBSCRIBE with Expires 0 sent, or about to be */
    ROAM_SUBSCRIPTION_ENDED        /**< last event; its id is unknown afterwards. reason: the notifier's, or ours */
} roam_subscription_state;
ROAM_API const char *roam_subscription_state_text(roam_subscription_state state);

/** Start from zeros. All texts are copied; NULL means the default. */
typedef struct roam_subscription_config {
    roam_account_id account; /**< 0: the first one */
    const char *uri;         /**< whose state; NULL: the account's own AOR */
    const char *event;       /**< "message-summary" (RFC 3842), "reg" (RFC 3680), "dialog;id=7", ...; at most 63 bytes; required */
    const char *accept;      /**< NULL: what the event's RFC names, else no Accept header */
    uint32_t expires;        /**< seconds; 0: 3600 */
} roam_subscription_config;

/**
 * The state comes as ROAM_EVENT_NOTIFY. It is renewed until roam_unsubscribe(), or until the notifier ends it for good: a refusal, or NOTIFY "terminated" with rejected, noresource or
 * invariant (RFC 6665 4.1.3). Every other end (a lease that ran out while away, a notifier that restarted, an answer that did not come) leads to WAITING and to a new
 * subscription. When the path changes, the notifier is told the new Contact at once; that is part of the change: ROAM_EVENT_IP_CHANGE_PROGRESS with `subscription`.
 * `id` may be NULL. ROAM_ENOTFOUND: no such account; ROAM_EINVAL: a text that cannot be; ROAM_ELIMIT: 32768 are there already; ROAM_ESTATE: shutting down.
 */
ROAM_API int roam_subscribe(roam_ua *ua, const roam_subscription_config *config, roam_subscription_id *id);
/** SUBSCRIBE with Expires 0; the last NOTIFY, or 32 s, ends it. Without a path it ends at once and the lease runs out. ROAM_ENOTFOUND; ROAM_ESTATE: under way already. */
ROAM_API int roam_unsubscribe(roam_ua *ua, roam_subscription_id id);

typedef struct roam_subscription_info {
    roam_subscription_id id;
    roam_account_id account;
    roam_subscription_state state;
    int last_status;
    roam_time expires_at; /**< ROAM_NEVER: no lease */
    uint32_t epoch;       /**< of the paths it was last brought in line with */
    char event[64];
    char uri[256];
} roam_subscription_info;
/** Fills in `info`, which is a copy. ROAM_ENOTFOUND. */
ROAM_API int roam_subscription_get_info(const roam_ua *ua, roam_subscription_id id, roam_subscription_info *info);
/** The ids, at most `max` of them; returns how many there are. */
ROAM_API size_t roam_subscription_list(const roam_ua *ua, roam_subscription_id *ids, size_t max);

/** A message-summary body (RFC 3842) read. False: it is none. Counts are 0 where the body has none. */
typedef struct roam_mwi {
    bool waiting;
    uint32_t voice_new, voice_old, voice_urgent_new, voice_urgent_old;
} roam_mwi;
ROAM_API bool roam_mwi_parse(roam_span body, roam_mwi *out);

/**
 * Sends a MESSAGE outside of any dialog; at most 1300 bytes of body over UDP (RFC 3428 8; else ROAM_EOVERFLOW), 256 at once (else ROAM_ELIMIT). While there is no path it waits, at most
 * 32 s. A request that was on its way when its path went is repeated on the next one, with the same Call-ID and the next CSeq, for 64 s in all. The answer comes as
 * ROAM_EVENT_MESSAGE_SENT; a failure is not repeated, the other end may have shown the message.
 * `account` 0: the first one. `content_type` NULL: "text/plain;charset=UTF-8". `id` may be NULL.
 * ROAM_ENOTFOUND: no such account; ROAM_EINVAL: no URI, or a content type that would break its header; ROAM_ESTATE: shutting down.
 */
ROAM_API int roam_message_send(roam_ua *ua, roam_account_id account, const char *uri, const char *content_type, roam_span body, roam_message_id *id);

#ifdef __cplusplus
}
#endif
#endif

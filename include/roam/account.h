/**
 * @file account.h
 * Accounts: an identity, where it registers, its credentials, and what it does when the network changes.
 */
#ifndef ROAM_ACCOUNT_H
#define ROAM_ACCOUNT_H

#include "roam/network.h"

#ifdef __cplusplus
extern "C" {
#endif

/** P4. */
typedef enum roam_contact_rewrite {
    ROAM_CONTACT_REWRITE_OFF,
    ROAM_CONTACT_REWRITE_ON,    /**< use the address the registrar saw (received, rport) when it differs from ours and ours is private; default */
    ROAM_CONTACT_REWRITE_ALWAYS /**< use the address the registrar saw whenever it differs */
} roam_contact_rewrite;

/** P4: how an old Contact goes when a new one comes. Values are or-ed. */
typedef enum roam_contact_rewrite_method {
    ROAM_CONTACT_UNREGISTER_FIRST = 1, /**< REGISTER with the old Contact and expires=0, then the new one */
    ROAM_CONTACT_ONE_REGISTER = 2,     /**< old (expires=0) and new Contact in one REGISTER; default */
    ROAM_CONTACT_LEAVE = 4,            /**< say nothing about the old one: it runs out, or the registrar replaces it by instance and reg-id */
    ROAM_CONTACT_ALWAYS_UPDATE = 8     /**< or-ed: use what was learnt even when it comes in a late 2xx; default on */
} roam_contact_rewrite_method;

typedef struct roam_ip_change_policy {
    bool shutdown_transport; /**< P3: close the connection the registration uses, shared or not; default true; no effect on UDP */
    bool hangup_calls;       /**< P5: end calls instead of repairing them; default false */
    uint32_t reinvite_flags; /**< of roam_reinvite_flags; default ROAM_REINVITE_DEFAULT. 0 with hangup_calls false: calls are left alone */
    bool use_update;         /**< P6: UPDATE where the peer's Allow has it, else re-INVITE; default false */
    /**
     * A call without any path ends after this long; default 60000. A path whose address is there, and which does not answer, counts where RTP of the peer should come and does
     * not come either; a call on hold whose server is silent goes on waiting.
     */
    uint32_t offline_max_ms;
} roam_ip_change_policy;

/** Reliable provisional responses (RFC 3262). */
typedef enum roam_100rel {
    ROAM_100REL_OFF,       /**< neither asked for nor sent; a peer that requires them is refused (420) */
    ROAM_100REL_SUPPORTED, /**< offered; a peer that sends them gets its PRACK; ours are reliable where the peer supports it. Default */
    ROAM_100REL_REQUIRED   /**< our INVITEs require them */
} roam_100rel;

/** Set with roam_account_config_default() first. All texts are copied; NULL means none. */
typedef struct roam_account_config {
    const char *aor;            /**< "sip:alice@example.com" or "\"Alice\" <sip:alice@example.com>"; required */
    const char *registrar;      /**< "sip:example.com"; NULL: the account does not register */
    const char *outbound_proxy; /**< "sip:proxy.example.com;lr"; NULL: requests go where their URI says */
    const char *auth_user;      /**< NULL: the user part of the AOR */
    const char *password;       /**< never traced, never logged; wiped when replaced or removed */
    const char *auth_realm;     /**< NULL or "*": any */
    uint32_t expires;           /**< seconds asked for; default 3600 */
    bool register_on_add;       /**< default true */
    roam_contact_rewrite allow_contact_rewrite;
    uint32_t contact_rewrite_method; /**< of roam_contact_rewrite_method */
    roam_ip_change_policy ip_change;
    const char *instance;       /**< "urn:uuid:..." for +sip.instance; NULL: none is sent */
    uint32_t link;              /**< pin to this link; 0: any */
    roam_100rel reliable;
    uint32_t session_expires;   /**< seconds; RFC 4028; default 1800. 0: we do not ask for session timers, but honour the peer's */
    uint32_t session_min_se;    /**< seconds; at least and by default 90 */
    /**
     * Seconds between the probes (OPTIONS to the next hop) that keep a NAT's mapping and notice a dead or rebound path, where nothing else of ours was answered meanwhile; up to a fifth less.
     * Accounts and calls with the same next hop share them. Default 25. 0: only when something is suspect; then a server that was never heard to answer OPTIONS is not taken for
     * dead because it does not, unless it answers by another path.
     */
    uint32_t keepalive;
} roam_account_config;

ROAM_API void roam_account_config_default(roam_account_config *config);

typedef enum roam_registration_state {
    ROAM_REGISTRATION_NONE,         /**< not registered, and nothing under way */
    ROAM_REGISTRATION_WAITING_PATH, /**< no path to the registrar yet, or its name is being resolved */
    ROAM_REGISTRATION_REGISTERING,  /**< REGISTER sent (again, after a challenge) */
    ROAM_REGISTRATION_REGISTERED,   /**< our own Contact with a lease was in the 200 */
    ROAM_REGISTRATION_REFRESHING,   /**< registered, and a new REGISTER is under way: refresh or move */
    ROAM_REGISTRATION_UNREGISTERING,
    ROAM_REGISTRATION_BACKOFF,      /**< failed for now; tried again by itself */
    ROAM_REGISTRATION_FAILED        /**< refused for good (wrong password, 403, 404): waits for the application, or for the next change of path */
} roam_registration_state;
ROAM_API const char *roam_registration_state_text(roam_registration_state state);

/**
 * Adds an account, and registers it where the configuration says so. `id` may be NULL. ROAM_EINVAL: a text that is no URI, or would break a header; ROAM_EUNSUPPORTED: a sips URI (no TLS yet: never in the clear
 * instead); ROAM_ELIMIT: too many accounts; ROAM_ENOMEM. After an
 * error nothing was added.
 */
ROAM_API int roam_account_add(roam_ua *ua, const roam_account_config *config, roam_account_id *id);
/** Ends the account's calls and subscriptions, unregisters where that is possible, then removes it. The id is unknown at once. ROAM_ENOTFOUND: there is none. */
ROAM_API int roam_account_remove(roam_ua *ua, roam_account_id id);
/** Registers now (RFC 3261 10.2), also after a failure for good, or a removal of the registration; a back-off begins anew. Without a path it waits for one. ROAM_ENOTFOUND; ROAM_ESTATE: the account has no registrar. */
ROAM_API int roam_account_register(roam_ua *ua, roam_account_id id);
/** Takes the registration back (RFC 3261 10.2.2), also one whose answer is still out. Without a path the state is told at once, and the lease runs out at the registrar. Errors as before. */
ROAM_API int roam_account_unregister(roam_ua *ua, roam_account_id id);

typedef struct roam_account_info {
    roam_account_id id;
    roam_registration_state registration;
    int last_status;          /**< SIP status of the last final answer to REGISTER, or a roam_err < 0; 0: none yet */
    roam_time expires_at;     /**< of the lease; ROAM_NEVER: none */
    char aor[256];            /**< the URI, cut where longer */
    char contact[320];        /**< the Contact in force or being registered; "" none */
    roam_addr local;          /**< of the path in use; family 0: offline */
    uint32_t epoch;           /**< of the paths this account was last brought in line with */
} roam_account_info;
/** Fills in `info`, which is a copy. ROAM_ENOTFOUND: there is no such account. */
ROAM_API int roam_account_get_info(const roam_ua *ua, roam_account_id id, roam_account_info *info);
/** The ids of the accounts, at most `max` of them; returns how many there are. */
ROAM_API size_t roam_account_list(const roam_ua *ua, roam_account_id *ids, size_t max);

#ifdef __cplusplus
}
#endif
#endif

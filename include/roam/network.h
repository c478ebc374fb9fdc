/**
 * @file network.h
 * What the agent knows of the device's networks, and what an application may say about a change of them.
 *
 * Words: a *link* is an interface. A *path* is a local address on a link with a route to a destination. A *flow* is a path used toward one
 * remote. The *epoch* counts the path changes that mattered to somebody.
 */
#ifndef ROAM_NETWORK_H
#define ROAM_NETWORK_H

#include "roam/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roam_ua roam_ua;
typedef uint32_t roam_account_id; /**< never 0, never used twice in one agent */
typedef uint32_t roam_call_id;    /**< never 0, never used twice in one agent */

typedef enum roam_net_addr_flags {
    ROAM_NET_TENTATIVE = 1,  /**< IPv6 duplicate detection still runs: not usable yet */
    ROAM_NET_DEPRECATED = 2, /**< usable for what runs, not for anything new */
    ROAM_NET_TEMPORARY = 4,  /**< IPv6 privacy address */
    ROAM_NET_METERED = 8     /**< a hint of the application: costs money */
} roam_net_addr_flags;

/** A local address on a link that is up. */
typedef struct roam_net_addr {
    roam_ip ip;
    uint8_t prefix;  /**< length in bits */
    uint32_t link;   /**< index of the interface, as the platform numbers it; not 0 */
    uint32_t flags;  /**< of roam_net_addr_flags */
    uint32_t metric; /**< of the link's default route: the lowest is the link that unrouted destinations use; UINT32_MAX: no default route */
    /**
     * Which network it is, where the platform can tell: a handle of the platform, or a hash of the gateway's MAC address. 0: unknown. The same address with another identity is
     * another path: everything that used it moves. Unknown before or after is no change.
     */
    uint64_t network;
} roam_net_addr;

/** A better path has appeared while the one in use still works. Valid during the callback only. */
typedef struct roam_path_offer {
    roam_net_addr from;  /**< in use; flags such as ROAM_NET_METERED as the picture has them */
    roam_net_addr to;    /**< what the system would use now */
    roam_ip destination; /**< the first that asked: the answer holds for all that would go the same way */
} roam_path_offer;

/** The answer to an offer. */
typedef enum roam_path_choice {
    ROAM_PATH_BOTH, /**< move, and use the old path until the peers know the new one: nothing is lost. What is done without a callback */
    ROAM_PATH_MOVE, /**< move, and leave the old path at once: media goes by the new one before any peer has answered */
    ROAM_PATH_STAY  /**< stay, until the old path dies (its address goes, or it stops answering). Asked again when either path becomes another one */
} roam_path_choice;

/** The source that the OS would use toward `destination` now. `source.family` 0: none, unreachable. */
typedef struct roam_net_route {
    roam_ip destination;
    roam_ip source;
    uint32_t link;
} roam_net_route;

/**
 * A whole picture of the device's networks. `routes` holds an answer for each destination that the agent watches (ROAM_OUTPUT_ROUTE_WATCH)
 * where the platform can tell. For a destination without an answer the agent chooses itself: an address whose prefix covers it, else the address with the lowest metric, of the same family.
 */
typedef struct roam_network {
    const roam_net_addr *addrs;
    size_t naddrs;
    const roam_net_route *routes;
    size_t nroutes;
} roam_network;

/**
 * Tells the agent the present picture. Call it for every event of the platform: the agent compares and moves only what uses a path that changed;
 * an address nobody uses changes nothing. Identical pictures cost nothing.
 * The agent of roam.h has its own monitor on Linux and needs no call of this; an application that runs the core itself, or on a platform
 * without monitor, calls it (P12). The picture is copied. ROAM_EINVAL: no picture; ROAM_ENOMEM: the old picture stays, give it again.
 */
ROAM_API int roam_network_update(roam_ua *ua, roam_time now, const roam_network *network);

/** What a call does when the network changes (P5); values are or-ed. The names follow PJSUA's call flags. */
typedef enum roam_reinvite_flags {
    ROAM_REINVITE_REINIT_MEDIA = 1,   /**< new media sockets and a new offer */
    ROAM_REINVITE_UPDATE_CONTACT = 2, /**< the new Contact */
    ROAM_REINVITE_UPDATE_VIA = 4,     /**< Via of the new path. Always so: a request never carries an address it does not leave from */
    ROAM_REINVITE_UPDATE_TARGET = 8,  /**< resolve the next hop again instead of keeping its address */
    ROAM_REINVITE_NO_SDP_OFFER = 16   /**< refresh the target only, without an offer (UPDATE), media stays as it is */
} roam_reinvite_flags;
#define ROAM_REINVITE_DEFAULT (ROAM_REINVITE_REINIT_MEDIA | ROAM_REINVITE_UPDATE_CONTACT | ROAM_REINVITE_UPDATE_VIA)

/** Parameters of roam_handle_ip_change(). Set them with roam_ip_change_param_default() first. */
typedef struct roam_ip_change_param {
    bool restart_listener;           /**< P2: open the sockets that receive anew, same port; default true */
    uint32_t restart_listener_delay_ms; /**< wait so long before a refused listener is tried again; default 10 */
    bool shutdown_transport;         /**< P3: close every TCP and TLS connection at once; default true; no effect on UDP */
} roam_ip_change_param;

ROAM_API void roam_ip_change_param_default(roam_ip_change_param *param);

/**
 * The application says: the network changed (P1). Every account registers anew and every call is refreshed, whether or not the agent saw a change itself.
 * Not needed where a monitor runs. Progress arrives as ROAM_EVENT_IP_CHANGE_PROGRESS events and ends with ROAM_IP_CHANGE_COMPLETED.
 * A second call while one is under way supersedes it. `param` may be NULL (defaults). ROAM_EINVAL: a delay of more than 60 s.
 */
ROAM_API int roam_handle_ip_change(roam_ua *ua, const roam_ip_change_param *param);

/** P7, and what comes on top of it. */
typedef enum roam_ip_change_op {
    ROAM_IP_CHANGE_DETECTED,                 /**< a path that is in use changed */
    ROAM_IP_CHANGE_OFFLINE,                  /**< no path to what this account or call needs */
    ROAM_IP_CHANGE_SHUTDOWN_TRANSPORTS,      /**< connections closed */
    ROAM_IP_CHANGE_RESTART_LISTENER,         /**< a listener was restarted (status 0), or was refused (status a roam_err) */
    ROAM_IP_CHANGE_ACCOUNT_SHUTDOWN_TRANSPORT, /**< the account's connection was closed */
    ROAM_IP_CHANGE_ACCOUNT_UPDATE_CONTACT,   /**< the REGISTER was answered: sip_code */
    ROAM_IP_CHANGE_ACCOUNT_HANGUP_CALLS,     /**< a call was ended because the account says hangup_calls */
    ROAM_IP_CHANGE_ACCOUNT_REINVITE_CALLS,   /**< the refresh of a call was answered: sip_code */
    ROAM_IP_CHANGE_UPLINK_RESTORED,          /**< the first RTP packet left on the new path */
    ROAM_IP_CHANGE_DOWNLINK_RESTORED,        /**< the first RTP packet came on the new path */
    ROAM_IP_CHANGE_RECOVERED,                /**< this account, call or subscription is whole again: 2xx, and RTP both ways where it should flow (B14) */
    ROAM_IP_CHANGE_FAILED,                   /**< this account, call or subscription gave up; status and sip_code say why */
    ROAM_IP_CHANGE_COMPLETED,                /**< every account, call and subscription of this change recovered or failed; or there was nothing to do */
    ROAM_IP_CHANGE_SUBSCRIPTION_REFRESHED    /**< the SUBSCRIBE of a subscription was answered: sip_code */
} roam_ip_change_op;

/** "contact_updated" and the like: the stable names that `roam agent` prints. */
ROAM_API const char *roam_ip_change_op_text(roam_ip_change_op op);

/** A further request that a change needed. */
typedef struct roam_retry {
    int status;   /**< the SIP status (or roam_err < 0) that made it necessary; 0: the peer moved as well */
    roam_time at; /**< microseconds after the change was seen */
} roam_retry;
#define ROAM_REPORT_RETRIES 8

/** The phases of a change for one account or call; all in microseconds after the change was seen, ROAM_NEVER: did not happen (or not needed). */
typedef struct roam_ip_change_report {
    uint32_t epoch;
    roam_account_id account;  /**< of the account, or of the call's account */
    roam_call_id call;        /**< 0: not of a call */
    uint32_t subscription;    /**< a roam_subscription_id; this and `call` 0: this report is of the account's registration */
    roam_time path_ready;     /**< a usable path was known */
    roam_time request_sent;   /**< first REGISTER, re-INVITE, UPDATE or SUBSCRIBE on it */
    roam_time answered;       /**< its 2xx */
    roam_time uplink;         /**< first RTP out on the new path */
    roam_time downlink;       /**< first RTP in on the new path */
    roam_time recovered;      /**< all of it */
    uint32_t retries;         /**< further requests that were needed */
    int last_status;          /**< the last SIP status (or roam_err < 0) that made a retry or the failure necessary; 0: none */
    roam_retry retried[ROAM_REPORT_RETRIES]; /**< what was tried again and why, the first of them */
    uint32_t nretried;
    uint64_t lost_in;         /**< RTP packets of the peer that never came, during the change */
    uint64_t lost_out;        /**< of ours that did not reach the peer, by its RTCP report; UINT64_MAX: it has not said yet */
    uint32_t gap_in_ms;       /**< longest time without a received packet during the change */
    bool make_before_break;   /**< the old path was alive when the new one appeared */
} roam_ip_change_report;

#ifdef __cplusplus
}
#endif
#endif

/* A subscription of ours (RFC 6665): a dialog that is renewed, and moved with its account.
 *
 * subscription.c         its life: states, commands, the work that keeps it as it should be
 * subscription_send.c    SUBSCRIBE and its answers
 * subscription_notify.c  NOTIFY: what the notifier says */
#ifndef ROAM_UA_SUBSCRIPTION_H
#define ROAM_UA_SUBSCRIPTION_H

#include "sip/dialog.h"
#include "ua/account.h"
#include "ua/hop.h"
#include "ua/watch.h"

typedef struct roam_subscription {
    roam_list node;         /* in roam_ua.subscriptions */
    roam_list account_node; /* in roam_account.subscriptions */
    roam_map_node id_node;
    roam_map_node tag_node; /* in roam_ua.subscription_tags, by our tag: there while there is a dialog, or a SUBSCRIBE that may make one */
    roam_ua *ua;
    roam_account *account;
    roam_subscription_id id;
    roam_subscription_state state;
    int last_status;
    roam_work work;
    roam_paced paced;
    roam_move move;

    char *uri, *event, *accept; /* accept "": no such header */
    roam_span package, event_id; /* parts of `event` */

    roam_dialog dialog; /* env NULL: none begun. Confirmed by the 2xx or a NOTIFY, whichever comes first */
    bool notified;      /* a NOTIFY made it or confirmed it (RFC 6665 4.4.1): no other one can any more */
    roam_hop hop;
    roam_watch_user watch;
    roam_client_txn *txn;
    uint32_t asked;     /* Expires of the SUBSCRIBE that is out, or was last */
    bool asked_registered; /* the account was registered when it left */
    uint64_t told, telling; /* hash of the Contact the notifier has; in the request that is out */
    bool due;           /* a SUBSCRIBE is asked for even though nothing differs */
    bool after_registration; /* the edge said 403 or 404: after the REGISTER */
    unsigned edge_tries;
    uint32_t expires;   /* to ask for: configured, or raised by 423 */
    roam_time expires_at; /* ROAM_NEVER: no lease */
    roam_time since;    /* the dialog is known */
    roam_auth_attempt attempt;
    unsigned failures, repeats;
    roam_timer renew;   /* before the lease ends */
    roam_timer lease;   /* it has ended */
    roam_timer rest;    /* back-off, Retry-After */
    roam_timer limit;   /* Timer N, and the time for a good-bye */
    roam_timer move_timer; /* bounds the story of a move */
} roam_subscription;

/* ---- subscription.c ---- */
roam_subscription *subscription_by_dialog(const roam_ua *ua, roam_span call_id, roam_span our_tag);
/* The one function that sets the state. Tells the application. */
void subscription_set_state(roam_subscription *sub, roam_subscription_state state, int code, int status, const char *why);
void subscription_end(roam_subscription *sub, int code, int status, const char *why);
void subscription_leave(roam_subscription *sub, const char *why); /* unsubscribe */
void subscription_force(roam_subscription *sub, const char *why); /* roam_handle_ip_change */
void subscription_free(roam_subscription *sub);
/* Puts the dialog where NOTIFYs find it. */
int subscription_index(roam_subscription *sub);
/* The notifier has forgotten us, or will: no dialog any more. */
void subscription_lose(roam_subscription *sub, const char *why);
void subscription_set_lease(roam_subscription *sub, uint32_t seconds);
/* Nothing is sent for a while: what was told, or longer each time. */
void subscription_rest(roam_subscription *sub, uint32_t retry_after, const char *why);
/* Anew: at once, but not again and again. */
void subscription_anew(roam_subscription *sub, const char *why);
static inline void subscription_look(roam_subscription *sub)
{
    ua_work(sub->ua, &sub->work);
}
static inline bool subscription_in_dialog(const roam_subscription *sub)
{
    return sub->dialog.env && sub->dialog.state == DIALOG_CONFIRMED;
}

/* ---- subscription_send.c ---- */
/* The Contact that a SUBSCRIBE would carry now, as a hash. */
uint64_t subscription_contact(const roam_subscription *sub);
int subscription_send(roam_subscription *sub, uint32_t expires);
void subscription_stop_request(roam_subscription *sub);

/* ---- subscription_notify.c ---- */
/* A NOTIFY with this To tag and Call-ID. */
void subscription_notify(roam_subscription *sub, roam_server_txn *txn, const roam_message *notify);

#endif

/* A notifier (RFC 6665) for the users of the registrar: "message-summary" (RFC 3842) and "reg" (RFC 3680). A user subscribes to its own state only, with its password where there are any.
 * NOTIFY leaves at once after each SUBSCRIBE, and whenever mailbox or bindings change. */
#ifndef ROAM_TESTBED_NOTIFIER_H
#define ROAM_TESTBED_NOTIFIER_H

#include "sip/dialog.h"
#include "testbed/registrar.h"

#define NOTIFIER_MAX_WATCHERS 65536u
#define NOTIFIER_MAX_MAILBOXES 65536u

typedef enum roam_package { PACKAGE_MWI, PACKAGE_REG } roam_package;

typedef struct roam_notifier_counters {
    uint64_t accepted, refreshed, ended, refused, notified, failed; /* failed: NOTIFYs refused or not answered: their subscription is gone */
} roam_notifier_counters;

typedef struct roam_notifier {
    roam_site *site;
    roam_registrar *registrar;
    roam_auth *auth;
    uint32_t max_expires, min_expires; /* seconds; shorter: 423 */
    roam_list watchers;                /* roam_watcher */
    roam_map tags;                     /* roam_watcher by our tag */
    roam_map mailboxes;                /* by user */
    size_t nwatchers;
    roam_timer flush;                  /* what one input changed is told together */
    roam_notifier_counters counters;
} roam_notifier;

int notifier_init(roam_notifier *notifier, roam_site *site, roam_registrar *registrar, roam_auth *auth);
void notifier_free(roam_notifier *notifier);
/* All subscriptions are forgotten, as by a restart; nobody is told. Before the SIP layer goes. */
void notifier_forget(roam_notifier *notifier);

/* Answers a SUBSCRIBE whose Request-URI is ours. False: the user is not, nothing was done. */
bool notifier_subscribe(roam_notifier *notifier, roam_server_txn *txn, const roam_message *request);
/* The bindings of this user changed. */
void notifier_bindings_changed(roam_notifier *notifier, roam_span user);
/* Messages in a user's mailbox. */
int notifier_set_messages(roam_notifier *notifier, roam_span user, uint32_t fresh, uint32_t old);
/* Ends the subscriptions of a user with this reason of RFC 6665 4.1.3; `retry_after` 0: none. */
void notifier_end(roam_notifier *notifier, roam_span user, const char *reason, uint32_t retry_after);
/* How many subscriptions of this user are in force. */
size_t notifier_count(const roam_notifier *notifier, roam_span user, roam_package package);

#endif

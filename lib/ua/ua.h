/* The user agent: everything hangs off one roam_ua. */
#ifndef ROAM_UA_UA_H
#define ROAM_UA_UA_H

#include "base/env.h"
#include "base/limits.h"
#include "roam/core.h"
#include "sip/sip.h"
#include "ua/choose.h"
#include "ua/ip_change.h"
#include "ua/net.h"
#include "ua/output.h"
#include "ua/watch.h"
#include "ua/resolve.h"
#include "ua/work.h"


/* What we can do, said in Allow and nowhere exaggerated. */
#define UA_ALLOW "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, REFER, NOTIFY, MESSAGE"

/* Extensions that we have: Supported, and what a peer may require. 100rel is an account's choice, see ua/uas.h. */
#define UA_SUPPORTED "199, timer, replaces, norefersub"

#define UA_GIVEN_UP 64u
#define UA_ENDED_DIALOGS 64u

struct roam_ua {
    roam_env env;
    roam_ua_config config; /* texts in it are owned */
    char *user_agent;
    char *codecs;
    roam_outputs out;
    roam_net net;
    roam_resolver resolver;
    roam_sip sip;
    roam_ip_change ip_change;
    roam_watches watches;
    roam_choose choose;

    roam_list accounts;    /* roam_account.node, in order of adding */
    roam_map account_ids;
    roam_map account_users; /* roam_account.user_node by user part; several may have the same */
    size_t naccounts;
    roam_list calls;       /* roam_call.node */
    roam_map call_ids;
    roam_map call_dialogs; /* roam_call.dialog_node by Call-ID and our tag */
    roam_map media_sockets; /* roam_leg_socket by the host's handle */
    size_t ncalls;
    roam_list lingering;   /* roam_call.node: over, but for a transfer in its dialog */
    size_t nlingering;
    roam_list subscriptions; /* roam_subscription.node */
    roam_map subscription_ids;
    roam_map subscription_tags; /* roam_subscription.tag_node by our tag */
    size_t nsubscriptions;
    roam_list pages;       /* roam_page.node: MESSAGEs on their way */
    size_t npages;
    uint32_t next_account, next_call, next_subscription, next_page;

    roam_list work;        /* roam_work.node: what has to be looked at before this input ends */
    roam_list dead_calls, dead_subscriptions, dead_pages, dead_accounts; /* to be freed at the end of this input */
    unsigned depth;        /* inputs being handled; work is done when it falls to 0 */
    uint16_t next_rtp_port;
    struct {
        uint64_t dialog; /* hash of Call-ID and our tag */
        roam_account_id account;
        uint32_t cseq; /* the highest that was sent */
        roam_call_id heir; /* the call that a late 2xx may still become; 0: none */
    } given_up[UA_GIVEN_UP]; /* INVITEs without a final answer, the latest ones */
    size_t next_given_up;
    roam_list farewells;   /* see ua/farewell.c */
    size_t nfarewells;
    uint64_t good_byes[UA_GIVEN_UP]; /* dialogs of a 2xx that nobody wanted, by hash: their BYE is out */
    size_t next_good_bye;
    uint64_t ended_dialogs[UA_ENDED_DIALOGS]; /* hashes of the latest, see ua/replaces.c */
    size_t next_ended_dialog;
    uint64_t dropped;

    enum { UA_RUNNING, UA_LEAVING, UA_LEFT } life;
    roam_timer leave_timer;
    roam_timer memory_timer; /* always armed, so that it needs no memory: everybody looks again a while after memory was refused */
    size_t refused_seen;
};

/* Every input and command stands between these two. ua_leave does the outstanding work and buries the dead. */
void ua_enter(roam_ua *ua, roam_time now);
/* The same for news of the network, but what is due waits until ua_leave() is through: where the device slept, or its host was late, nothing leaves by a path that is no more.
 * True: it slept. The caller calls watch_woke(), and enters once more when all is done. */
bool ua_enter_network(roam_ua *ua, roam_time now);
void ua_leave(roam_ua *ua);
static inline roam_time ua_now(const roam_ua *ua)
{
    return ua->env.now;
}
void ua_work(roam_ua *ua, roam_work *work);
void ua_work_all(roam_ua *ua); /* every registration, call, subscription and message looks again */
/* Queues an event; fills in time and `why` as the reason. False: there was no memory or no room for it. */
bool ua_event(roam_ua *ua, roam_event *event, const char *why);
uint32_t ua_epoch(const roam_ua *ua);

/* May this be written as Content-Type? NULL may: it stands for a default. */
bool content_type_valid(const char *text);
/* Headers that every request or response of ours carries. */
void write_agent_headers(roam_ua *ua, roam_writer *w, bool request);

#endif

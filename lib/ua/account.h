/* An account and its registration. */
#ifndef ROAM_UA_ACCOUNT_H
#define ROAM_UA_ACCOUNT_H

#include "ua/credentials.h"
#include "ua/ua.h"

typedef struct roam_account roam_account;

/* Contacts of ours that the registrar may hold: more than one only in the middle of a move. */
#define MAX_OLD_CONTACTS 4u

typedef enum roam_register_want {
    WANT_NOTHING,
    WANT_REGISTERED,
    WANT_UNREGISTERED
} roam_register_want;

typedef struct roam_registration {
    roam_work work;
    roam_paced paced;         /* while a REGISTER waits for its turn */
    roam_move move;
    roam_registration_state state;
    roam_register_want want;
    int last_status;

    /* identity of the binding: one Call-ID for all REGISTERs (RFC 3261 10.2.4) */
    char call_id[40];
    char tag[20];
    uint32_t cseq;

    roam_addr server;         /* next hop of the requests */
    roam_net_dest *dest;
    roam_flow *flow;          /* of the present request or binding */
    roam_client_txn *txn;
    bool bound;               /* our Contact on `flow` is in force */
    bool again;               /* a REGISTER is asked for even though nothing differs: refresh due, or the application wants it */
    char *late;               /* Contact of a REGISTER given up with its path: it may arrive behind the one in its place. NULL: none */
    bool no_socket;           /* the system refused one on the path that is wanted */
    bool leave_old;           /* this registrar deletes the wrong binding when the old one is named: do not name it */
    bool unregister_first;    /* the REGISTER under way only removes the old Contacts (ROAM_CONTACT_UNREGISTER_FIRST) */
    roam_addr mapped;         /* our address as the registrar saw it on this flow; family 0: as we see it ourselves */
    roam_auth_attempt attempt;
    uint32_t expires;         /* to ask for: configured, or raised by 423 */
    roam_time expires_at;
    unsigned failures;        /* in a row, for the back-off */
    unsigned repeats;         /* REGISTERs in a row that a 2xx or 423 made necessary */
    char *contact;            /* URI being registered or in force; NULL: none */
    char *old[MAX_OLD_CONTACTS]; /* URIs the registrar may still hold */
    roam_timer timer;         /* refresh, or end of a back-off */
    roam_watch_user watch;    /* who looks after `flow` */
} roam_registration;

struct roam_account {
    roam_list node;
    roam_map_node id_node;
    roam_map_node user_node; /* in roam_ua.account_users, by `user` */
    roam_ua *ua;
    roam_account_id id;
    bool removed;

    char *aor;          /* the URI, without name and parameters of the header */
    roam_uri aor_uri;   /* its parts */
    char *party;        /* as From: "Alice" <sip:...> */
    char *user;         /* user part, for Contacts; "" none */
    char *registrar;    /* URI; NULL: does not register */
    char *proxy;        /* URI; NULL: none */
    char *instance;
    roam_contact_rewrite rewrite;
    uint32_t rewrite_method;
    roam_ip_change_policy policy;
    uint32_t configured_expires;
    uint32_t link;
    uint32_t session_expires, session_min_se;
    roam_100rel reliable;
    uint32_t keepalive;
    roam_credentials credentials;
    roam_list subscriptions, pages; /* its own: account_node of each */
    roam_registration reg;
};

roam_account *account_find(const roam_ua *ua, roam_account_id id);
roam_account *account_first(const roam_ua *ua);
/* Whose request is this? By Request-URI, then by To. NULL: nobody's. */
roam_account *account_for_request(const roam_ua *ua, const roam_message *request);
/* Is this the account's own registrar or proxy, by its address? Everybody's requests come from it. */
bool account_serves(const roam_account *account, const roam_addr *source);
/* The Contact of a request or response that leaves on this flow: <sip:user@host:port>, the mapped address where it is known and wanted. */
void write_contact(roam_account *account, roam_writer *w, const roam_flow *flow);
/* The URI that a user means: "bob" and "bob@host" take what is missing from the account. ROAM_EINVAL: it is none, or does not fit. */
int account_complete_uri(const roam_account *account, roam_span given, roam_writer *w);
/* The same, and a request can be sent there: ROAM_EUNSUPPORTED when not. */
int account_target(const roam_account *account, const char *text, roam_writer *w);
/* The next hop of a request outside of a dialog: the outbound proxy, or the URI itself. */
int account_next_hop(roam_account *account, roam_span uri, roam_uri *out);
/* The registrar knows us on this path. An edge may refuse requests of one that it does not know (403, 404). True where the account does not register. */
bool account_known_on(const roam_account *account, const roam_path *path);
/* The outbound proxy as a route, with ";lr"; false when there is none. */
bool account_route(roam_account *account, roam_writer *w);
void account_free(roam_account *account);

void registration_init(roam_account *account);
void registration_free(roam_account *account);
void registration_want(roam_account *account, roam_register_want want);
/* roam_handle_ip_change: REGISTER even though the path looks the same. */
void registration_force(roam_account *account, const char *why);
/* REGISTER once more on the same path: the NAT shows us at `mapped` now. */
void registration_rebound(roam_account *account, const roam_addr *mapped, const char *why);
/* The binding is renewed before its time. */
void registration_renew(roam_account *account);
bool registration_busy(const roam_account *account);

#endif

/* Messages in pager mode (RFC 3428): each MESSAGE stands for itself, no session. */
#ifndef ROAM_UA_PAGER_H
#define ROAM_UA_PAGER_H

#include "ua/account.h"
#include "ua/call.h"
#include "ua/hop.h"

typedef enum roam_page_state {
    PAGE_WAITING, /* for a path, for the registration, or to be repeated */
    PAGE_SENT,
    PAGE_DONE     /* answered or given up */
} roam_page_state;

/* A MESSAGE of ours on its way. */
typedef struct roam_page {
    roam_list node;         /* in roam_ua.pages */
    roam_list account_node; /* in roam_account.pages */
    roam_ua *ua;
    roam_account *account;
    roam_message_id id;
    roam_page_state state;
    roam_work work;
    roam_hop hop;
    roam_client_txn *txn;
    char *uri, *content_type, *body;
    size_t body_len;
    char call_id[40], tag[20];
    uint32_t cseq;
    bool sent_registered, after_registration, edge_tried;
    roam_auth_attempt attempt;
    roam_time began;
    roam_timer limit;
} roam_page;

void page_free(roam_page *page);
void page_end(roam_page *page, int code, int status, const char *why);

/* A MESSAGE came: outside of any dialog, or in that of `call`. */
void page_received(roam_ua *ua, roam_call *call, roam_server_txn *txn, const roam_message *m);

#endif

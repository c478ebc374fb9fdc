/* Dialogs (RFC 3261 12): Call-ID, tags, CSeq, remote target, route set. No address, no socket, no transaction. */
#ifndef ROAM_SIP_DIALOG_H
#define ROAM_SIP_DIALOG_H

#include "sip/sip.h"

typedef enum roam_dialog_state { DIALOG_NONE, DIALOG_EARLY, DIALOG_CONFIRMED, DIALOG_ENDED } roam_dialog_state;

typedef struct roam_dialog {
    roam_env *env;
    roam_dialog_state state;
    bool caller;          /* we sent the request that made it */
    char *call_id;        /* all texts are owned, NUL-terminated, from env->mem */
    char *local_tag;
    char *remote_tag;     /* NULL until known */
    char *local_party;    /* name-addr without tag: our From (as caller) or To (as callee) */
    char *remote_party;   /* the peer's, without tag */
    char *remote_target;  /* URI from the peer's Contact */
    char **routes;        /* route set, in the order in which we send it: each "<sip:...;lr>" */
    size_t nroutes;
    uint32_t local_cseq;  /* of our last request */
    uint32_t remote_cseq;
    bool has_remote_cseq;
} roam_dialog;

/* Caller: makes Call-ID, local tag, first CSeq. `local_party` such as "\"Alice\" <sip:alice@example.com>", remote_party "<sip:bob@...>". */
int dialog_init_caller(roam_dialog *d, roam_env *env, roam_span local_party, roam_span remote_party, roam_span target_uri);
/* A dialog of a fork: the same Call-ID, local tag and CSeq as `first`, nothing learnt from a peer yet. */
int dialog_init_fork(roam_dialog *d, const roam_dialog *first);
/* Callee: from an INVITE (or SUBSCRIBE, REFER); our tag is `local_tag`. ROAM_ESYNTAX when Contact or tags are missing. */
int dialog_init_callee(roam_dialog *d, roam_env *env, const roam_message *request, roam_span local_tag);
void dialog_free(roam_dialog *d);

/* Caller: a 101-199 or 2xx with a To tag. Sets the remote tag, the route set (reversed Record-Route; set anew by the 2xx, RFC 3261 13.2.2.4), target and state. */
int dialog_on_response(roam_dialog *d, const roam_message *response);
/* Pre-loaded routes (outbound proxy, Service-Route) of the first request; replaced by the Record-Route of the answer. */
int dialog_set_routes(roam_dialog *d, const roam_span *routes, size_t n);
/* A request in the dialog came: 0, or the status to refuse it with: 500 for a CSeq out of order (RFC 3261 12.2.2), 481 when the tags do not match. Records the CSeq. ACK and CANCEL do not count. */
unsigned dialog_check_request(roam_dialog *d, const roam_message *request);
/* Contact of a target refresh request or its 2xx (INVITE, UPDATE, SUBSCRIBE, NOTIFY, REFER). No Contact: no change. */
int dialog_target_refresh(roam_dialog *d, const roam_message *m);
bool dialog_matches(const roam_dialog *d, const roam_message *m, bool from_peer /* a request of the peer, else a response to us */);
void dialog_set_state(roam_dialog *d, roam_dialog_state state, const char *why);

/* The URI whose host the next request goes to: first route (loose), else the target. RFC 3261 8.1.2, 12.2.1.1. */
int dialog_next_hop(const roam_dialog *d, roam_uri *out);
/* Writes the head of a request in the dialog through request_begin: request line, Via, Max-Forwards, Route, From, To, Call-ID, CSeq (next; `cseq` != 0
 * gives the number, for ACK). Strict routers (no lr) as RFC 3261 12.2.1.1 says. Contact and the rest are the caller's. */
void dialog_request_begin(roam_dialog *d, roam_sip *sip, roam_request *r, roam_flow *flow, roam_method method, uint32_t cseq);

/* ---- the three-way end of an INVITE ---- */

/* Callee: retransmits our 2xx with T1, 2*T1 ... T2 until the ACK comes (RFC 3261 13.3.1.4), on whatever path the transaction was moved to. */
typedef struct roam_accept roam_accept;
typedef void roam_accept_fn(void *user, roam_accept *accept); /* 64*T1 without ACK; the accept is over */
struct roam_accept {
    roam_sip *sip;
    roam_server_txn *txn; /* NULL: not waiting */
    roam_timer timer;
    roam_time interval, limit;
    uint32_t cseq;
    bool cancelled; /* a CANCEL came too late: who sent it wants no call, and may send no ACK */
    roam_accept_fn *fn;
    void *user;
};
/* ROAM_ENOMEM: the timer could not be armed; nothing is retransmitted, and accept_waiting is false. */
int accept_start(roam_accept *a, roam_sip *sip, roam_server_txn *txn, uint32_t cseq, roam_accept_fn *fn, void *user);
/* True when this ACK ends the wait. */
bool accept_on_ack(roam_accept *a, const roam_message *ack);
/* Any other proof that the peer has our 2xx. */
void accept_stop(roam_accept *a);
static inline bool accept_waiting(const roam_accept *a)
{
    return a->txn != NULL;
}

/* Caller: the ACK of a 2xx, kept to be sent again when the 2xx comes again. */
typedef struct roam_ack {
    char *bytes;
    size_t len;
    uint32_t cseq;
    roam_time sent_at; /* for the first time */
    roam_flow *flow; /* that its Via names */
} roam_ack; /* zeroed before the first use */
/* Builds (body may be empty: type empty), sends and keeps. ack_resend on another flow gives it a fresh Via of that flow first. */
int ack_send(roam_ack *ack, roam_dialog *d, roam_sip *sip, roam_flow *flow, uint32_t cseq, roam_span body_type, roam_span body);
/* The same with whole header lines ("Name: value" CRLF ...) added: the credentials of the INVITE (RFC 3261 13.2.2.4). */
int ack_send_with(roam_ack *ack, roam_dialog *d, roam_sip *sip, roam_flow *flow, uint32_t cseq, roam_span lines, roam_span body_type,
                  roam_span body);
int ack_resend(roam_ack *ack, roam_sip *sip, roam_flow *flow);
void ack_free(roam_ack *ack, roam_mem *mem);

#endif

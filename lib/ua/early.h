/* The early dialogs of an outgoing call (RFC 3261 12.1, 13.2.2): one for each To tag that its INVITE brought back, each with its own target, route set, CSeq,
 * offer/answer session, reliable provisionals and UPDATE of ours.
 *
 * The one that described its media last is *heard*: its session is call->session, and what it hears and plays is the call's. The 2xx makes one of them the
 * call's dialog; a final failure, the 2xx, or a new INVITE ends the others. */
#ifndef ROAM_UA_EARLY_H
#define ROAM_UA_EARLY_H

#include "ua/call.h"
#include "ua/reliable.h"

typedef enum roam_early_state {
    EARLY_LIVE,
    EARLY_GONE, /* the callee knows it no more: 481, or its BYE */
    EARLY_OVER  /* 199, or its INVITE is over; freed when nothing refers to it */
} roam_early_state;

typedef struct roam_early_dialog {
    roam_list node; /* in call->earlies, oldest first */
    roam_call *call;
    roam_early_state state;
    roam_dialog dialog;
    roam_session session; /* unless it is the one that is heard */
    bool answered;        /* an answer came in a provisional response */
    bool answer_final;    /* in a reliable one: later ones say nothing (RFC 3262 5, RFC 6337 3.1.1) */
    bool peer_update;     /* Allow has UPDATE */
    bool no_replaces;     /* a Supported without `replaces` */
    bool asked;           /* INVITE with Replaces was refused in this round */
    bool maybe_taken;     /* one that named it was lost with its path: the callee may be in a dialog whose tag we do not know */
    unsigned rounds;
    roam_pracks reliable;

    /* our UPDATE */
    roam_client_txn *update;
    bool update_has_offer;
    bool is_call;         /* its dialog and session are the call's; it waits for the answer to its UPDATE only */
    roam_told told, telling;
    roam_auth_attempt attempt;
    unsigned refused;     /* UPDATE, with 403 or 404, on this path */
    roam_time not_before; /* 491, Retry-After */
} roam_early_dialog;

void early_init(roam_call *call);
/* The INVITE went out with the offer in call->session: what each fork's session begins as. */
void early_offered(roam_call *call);
roam_early_dialog *early_find(const roam_call *call, roam_span remote_tag);
size_t early_live(const roam_call *call);
size_t early_count(const roam_call *call); /* those that are gone as well */
/* 101..199. */
void early_provisional(roam_call *call, const roam_message *response);
/* A 2xx: the dialog and the session of its fork become the call's. `final`: the answer came reliably before. */
int early_confirm(roam_call *call, const roam_message *response, bool *final);
/* An offer of ours in an UPDATE that left before the 2xx is not answered yet: no other one may be made (RFC 3264 4). */
bool early_offer_open(const roam_call *call);
/* A request of the peer in a dialog that is not confirmed. False: it is in order, and handled as in any dialog. */
bool early_request(roam_call *call, roam_server_txn *txn, const roam_message *m);
/* Sends what is owed on call->flow: PRACK, and UPDATE where the callee does not know this path. */
void early_run(roam_call *call);
/* The peer of each live one knows our present path, or cannot be told. */
bool early_all_told(const roam_call *call);
bool early_any_told(const roam_call *call); /* one at least */
/* None is live, and the callee says that it knows one no more. */
bool early_gone(const roam_call *call);
void early_path_lost(roam_call *call);
void early_rebound(roam_call *call); /* the path is the same, our address on it is another */
/* All are over, the session is as if nobody had answered; with `media` the stream is told that, too. */
void early_drop(roam_call *call, bool media);
/* BYE in each live one but the first `skip`: for an INVITE whose answers do not reach us (RFC 3261 15: the caller may). */
void early_send_byes(roam_call *call, size_t skip);
roam_early_dialog *early_first(const roam_call *call); /* live; NULL: none */
/* The callee knows it no more. */
void early_forgotten(roam_early_dialog *e, const char *why);
/* Frees those that are over. Not from inside one of their transactions. */
void early_bury(roam_call *call);
/* The highest CSeq that was sent in any early dialog of this call; 0: none. */
uint32_t early_top_cseq(const roam_call *call);
void early_free(roam_call *call);
roam_flow *early_flow(roam_early_dialog *e); /* toward its next hop on call->flow's path; a reference, NULL: not now */

#endif

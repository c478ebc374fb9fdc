/* Transfers (RFC 3515, 5589). A REFER makes an implicit subscription to its fate, which shares the dialog of its call and may outlive the call there
 * (RFC 5057): the call is over for the application then, and its dialog lingers until the last NOTIFY.
 *
 * transfer.c    our REFERs, and what the NOTIFYs of the peer say
 * referral.c    the peer's REFERs, the calls they make us begin, and our NOTIFYs */
#ifndef ROAM_UA_TRANSFER_H
#define ROAM_UA_TRANSFER_H

#include "ua/call.h"

/* ---- requests in the call's dialog ---- */
void referral_on_refer(roam_call *call, roam_server_txn *txn, const roam_message *m);
void transfer_on_notify(roam_call *call, roam_server_txn *txn, const roam_message *m);
void referral_on_subscribe(roam_call *call, roam_server_txn *txn, const roam_message *m);
/* Answers with our Contact: REFER and NOTIFY are target refreshes (RFC 5057 4.1). `header` as in uas_respond. */
void transfer_respond(roam_call *call, roam_server_txn *txn, unsigned status, const char *header);
/* Is this about a REFER? "refer", or "refer;id=CSeq"; `id` stays 0 without one. */
bool transfer_event(const roam_message *m, uint32_t *id);

/* ---- what is wanted, and what is; there is a path ---- */
void transfers_run(roam_call *call);
void referrals_run(roam_call *call);
/* May a request of a subscription leave now? While a refresh of a move is due or out, it waits: two requests in one flight may overtake each other. */
bool transfer_may_send(const roam_call *call);

/* ---- the call's own life ---- */
void transfers_path_lost(roam_call *call); /* requests that are out went over a path that is no more */
void referrals_path_lost(roam_call *call);
/* The call ends. True: something goes on in its dialog, if it may. False: whoever waited was told, and nothing is left. */
bool transfers_outlive(roam_call *call, bool goes_on, int code);
bool referrals_outlive(roam_call *call, bool goes_on);
void transfers_free(roam_call *call);
void referrals_free(roam_call *call);
/* Both asked for a call that is ending; then it lingers, until nothing goes on in its dialog any more. */
bool call_may_linger(roam_call *call, int code);
void call_linger(roam_call *call);
void call_linger_look(roam_call *call);
void calls_drop_lingering(roam_ua *ua, const roam_account *account); /* NULL: of all accounts */
/* A call that a REFER made us begin changed its state: the peer is to hear of it. */
void referral_follow(roam_call *target);

#endif

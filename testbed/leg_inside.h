/* What the files of a leg share: leg.c (their requests), leg_out.c (ours), leg_ring.c and leg_early.c (before the
 * answer, as callee and as caller), leg_replaces.c, leg_timer.c, leg_refer.c, leg_move.c,
 * human.c. */
#ifndef ROAM_TESTBED_LEG_INSIDE_H
#define ROAM_TESTBED_LEG_INSIDE_H

#include "testbed/peer.h"

#define LEG_SDP_MAX 4096u
#define LEG_SDP_TYPE SPAN("application/sdp")

/* leg.c */
void leg_set_state(roam_leg *leg, roam_leg_state state, const char *why);
void leg_end(roam_leg *leg, unsigned status, const char *why);
void leg_take_allow(roam_leg *leg, const roam_message *m);
roam_direction leg_wanted_direction(const roam_leg *leg, bool hold);
/* Writes our description: an offer, or the answer to `offer`, in which line `index` was taken. */
int leg_describe(roam_leg *leg, roam_writer *w, roam_direction direction, roam_span offer, size_t index);
/* The answer to our offer, in a 2xx or in an ACK. False: there is none that we can use. */
bool leg_take_answer(roam_leg *leg, const roam_message *m);
/* The offer that we asked for, in a 2xx or a reliable provisional: takes it and writes our answer. */
bool leg_answer_in(roam_leg *leg, const roam_message *m, roam_writer *answer);
uint32_t message_cseq(const roam_message *m); /* 0: none */
/* 0, or the status to refuse with. Writes the answer; nothing else changes but the hold of the other side. */
unsigned leg_take_offer(roam_leg *leg, roam_span sdp, roam_writer *answer, roam_direction *direction,
                        roam_addr *remote);
/* 500 with Retry-After (RFC 3261 14.2, RFC 3311 5.2). */
void leg_respond_later(roam_leg *leg, roam_server_txn *txn);

/* leg_ring.c */
void leg_prack(roam_leg *leg, roam_server_txn *txn, const roam_message *request);
void leg_reliable_due(roam_timer *timer);
void leg_reliable_stop(roam_leg *leg);
/* 199 (RFC 6228), before a failure, where the caller wants it. */
void leg_tell_end_of_early(roam_leg *leg, unsigned status);

/* leg_early.c */
void leg_provisional(roam_leg *leg, const roam_message *response);
/* The 2xx came: its early dialog becomes `dialog`, the others go. */
void leg_early_over(roam_leg *leg, const roam_message *response /* NULL: no 2xx, all go */);
/* A request came in an early dialog: that one is `dialog` from now on. False: there is none. */
bool leg_early_select(roam_leg *leg, const roam_message *request);

/* leg_replaces.c */
/* Does the INVITE of this new leg replace a call of ours (RFC 3891)? True: it was handled. */
bool leg_replace(roam_leg *leg, const roam_message *invite);

/* leg_out.c */
int leg_send_invite(roam_leg *leg);
int leg_send_update(roam_leg *leg, bool with_offer);
int leg_send_bye(roam_leg *leg);
roam_flow *leg_flow(roam_leg *leg, const roam_dialog *dialog); /* a reference, or NULL */
void leg_retry_due(roam_timer *timer);

/* leg_timer.c (RFC 4028) */
void leg_timer_write_request(roam_leg *leg, roam_writer *w); /* INVITE, UPDATE */
bool leg_timer_too_short(const roam_leg *leg, const roam_message *request);
void leg_timer_refuse(const roam_leg *leg, roam_server_txn *txn); /* 422 */
void leg_timer_write_response(roam_leg *leg, roam_writer *w, const roam_message *request); /* and starts it */
void leg_timer_take_response(roam_leg *leg, const roam_message *response);                 /* 2xx to ours */
bool leg_timer_raise(roam_leg *leg, const roam_message *response); /* a 422: true when it is worth another try */
void leg_timer_stop(roam_leg *leg);
void leg_timer_due(roam_timer *timer);

/* leg_refer.c (RFC 3515) */
void leg_refer_in(roam_leg *leg, roam_server_txn *txn, const roam_message *request);
void leg_refer_progress(roam_leg *called, unsigned status); /* of a call that a REFER made */
int leg_refer(roam_leg *leg, roam_span uri, const roam_dialog *replaced /* NULL: blind */);
void leg_refer_stop(roam_leg *leg); /* both roles */
void leg_notify(roam_leg *leg, roam_server_txn *txn, const roam_message *request);

/* leg_move.c */
void leg_moved(roam_leg *leg); /* the peer's address is another one */
void leg_move_due(roam_timer *timer);
void leg_move_told(roam_leg *leg, bool with_sdp); /* a change of ours was accepted */

/* human.c */
roam_time human_answers_after(roam_peer *peer);
void human_begins(roam_leg *leg); /* the call is up */
void human_due(roam_timer *timer);

#endif

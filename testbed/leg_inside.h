/* What leg.c (their requests) and leg_out.c (ours) share. */
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
uint32_t message_cseq(const roam_message *m); /* 0: none */

/* leg_out.c */
int leg_send_invite(roam_leg *leg);
int leg_send_update(roam_leg *leg, bool with_offer);
int leg_send_bye(roam_leg *leg);
void leg_retry_due(roam_timer *timer);

#endif

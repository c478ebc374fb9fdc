/* An outgoing call rings, and the address in its INVITE's Via is gone: no answer to it will ever reach us. The callee goes on ringing all the same, and may answer.
 *
 * An INVITE with Replaces (RFC 3891) on the new path finds out. It names the early dialog. A callee that has answered has a confirmed one by these tags: it takes
 * the new INVITE in its place at once, nothing rings. One that still rings says 481, and is asked again, soon at first, then every two seconds. `Require: replaces`
 * keeps every other phone that the same INVITE may reach from ringing. It goes the way the first INVITE went, to the URI that the user called: that way works through proxies and
 * NATs of the callee's side. An UPDATE in the early dialog from time to time (early.c) tells the callee our address, and us whether it still knows the call. */
#ifndef ROAM_UA_TAKEOVER_H
#define ROAM_UA_TAKEOVER_H

#include "ua/early.h"

typedef enum roam_takeover_state {
    TAKEOVER_IDLE,
    TAKEOVER_ASKING, /* the INVITE with Replaces is out */
    TAKEOVER_WAITING /* refused: the callee still rings; asked again when the timer is due */
} roam_takeover_state;

typedef struct roam_takeover {
    roam_takeover_state state;
    roam_call *call;
    roam_client_txn *txn;
    roam_early_dialog *early;  /* whom it replaces */
    roam_dialog dialog;
    roam_session session;
    roam_told telling;
    roam_addr mapped;   /* where the next hop saw the INVITE come from; family 0: not told */
    uint32_t cseq;
    roam_auth_attempt attempt;
    roam_timer timer;   /* the next round; bounds a round that nobody answers */
    roam_time began;
    unsigned rounds;
    bool heard;         /* RTP came on the new leg: asked at once */
    bool lost;          /* one was out when its path went: the callee may have taken it */
    bool answer_waits;  /* a 2xx of the first INVITE came meanwhile: it comes again when this one is decided */
} roam_takeover;

/* The INVITE's answers cannot reach us, call->flow is usable: asks, or waits. False: this way leads nowhere; call again. */
bool takeover_run(roam_call *call);
void takeover_check_path(roam_call *call); /* before anything else is decided: an INVITE that is out went by a path that is no more */
/* A response to its INVITE. True: it was one. */
bool takeover_event(roam_call *call, roam_client_txn *txn, roam_client_event event, const roam_message *response);
void takeover_path_lost(roam_call *call);
/* Takes the INVITE back where one is out (`flow` NULL: cannot be sent now); a 2xx that was faster is ended as a stray. */
void takeover_stop(roam_call *call, roam_flow *flow);
void takeover_free(roam_call *call);
static inline bool takeover_asking(const roam_takeover *t)
{
    return t->state == TAKEOVER_ASKING;
}
/* An INVITE with Replaces is out, or its answer was lost: what ends the early dialog may be our own doing. */
static inline bool takeover_undecided(const roam_takeover *t)
{
    return t && (takeover_asking(t) || t->lost);
}

#endif

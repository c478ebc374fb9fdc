/* Both ends of a confirmed call move at the same time (B11): our refresh goes through the proxies to where the peer was, and the peer's to where we were. Neither arrives, and no
 * number of repetitions helps. What each side still has is the other's address of record, which its registrar knows anew.
 *
 * So a refresh on which the peer is silent for two seconds, or for which a proxy says that nobody is there, is followed by an INVITE to the remote party's URI, through our own proxy, with
 * Replaces (RFC 3891) for the dialog of the call. Its 2xx brings a new dialog, which takes the place of the old one in the same roam_call: same sound, same hold, no second ring, as `Require: replaces`
 * keeps every phone that does not know the dialog quiet. The peer's side of it is ua/replaces.c.
 *
 * Both ends may come to this at once. The one whose tag in the old dialog is the greater goes first, the other a second later; where the two cross all the same, the first one's stands. */
#ifndef ROAM_UA_RESCUE_H
#define ROAM_UA_RESCUE_H

#include "sip/dialog.h"
#include "ua/credentials.h"
#include "ua/session.h"

typedef struct roam_call roam_call;

typedef enum roam_rescue_state {
    RESCUE_IDLE,
    RESCUE_ARMED,  /* a refresh is out, or was refused for now: the timer says when it has been silent for too long */
    RESCUE_DUE,    /* to be sent as soon as there is a path and a leg */
    RESCUE_ASKING, /* the INVITE with Replaces is out */
} roam_rescue_state;

typedef struct roam_rescue {
    roam_rescue_state state;
    roam_client_txn *txn;
    roam_dialog dialog;
    roam_session session;
    struct {
        uint32_t path, leg, wish;
        bool hold;
    } telling;
    roam_auth_attempt attempt;
    roam_timer timer;
    unsigned rounds, glares;
    bool bye_came;   /* in the old dialog while ours is out: the peer, having taken it, says good-bye to the old one (RFC 3891 3) */
    bool impossible; /* 420: the peer does not know Replaces after all */
} roam_rescue;

void rescue_init(roam_call *call);
/* A refresh is out. Nothing is armed twice, so that repetitions do not put it off. */
void rescue_arm(roam_call *call);
/* A hop says that nobody is where the refresh went: no use in waiting. */
void rescue_now(roam_call *call);
/* The peer answered 491: it has a request of its own under way. Said again, and no request has come: it went to where we were, and keeps the peer from hearing us until it times out and the
 * peer ends the call (RFC 3261 12.2.1.2). A new dialog does not depend on it. */
void rescue_glare(roam_call *call);
/* The peer has answered, whatever it said. An INVITE that is out stays out: the peer may have taken it, and then it counts. */
void rescue_answered(roam_call *call);
/* Work: sends what is due. */
void rescue_run(roam_call *call);
/* Nothing of it is wanted any more: the path went, the call ends, another dialog takes its place. */
void rescue_stop(roam_call *call);
/* A BYE in the old dialog. True: it is answered, and what it means is decided by the answer to our INVITE. */
bool rescue_takes_bye(roam_call *call);
/* An INVITE with Replaces of the peer crosses ours. True: ours stands, theirs is refused (491). */
bool rescue_goes_first(const roam_call *call);

#endif

/* Is the peer still there, and does it know our path? Asked in the dialog after a move, where a refresh cannot be sent yet: while it rings here, and between our 2xx
 * and its ACK. UPDATE without SDP where the peer takes it (it brings our new Contact as well), else OPTIONS. */
#ifndef ROAM_UA_PROBE_H
#define ROAM_UA_PROBE_H

#include "ua/credentials.h"
#include "sip/sip.h"

struct roam_call;

typedef enum roam_probe_state {
    PROBE_IDLE,
    PROBE_WAIT,    /* for the ACK that may come by itself, or for the next attempt */
    PROBE_DUE,
    PROBE_SENT,
    PROBE_ANSWERED /* the peer has the dialog and was reached from this path */
} roam_probe_state;

typedef struct roam_probe {
    roam_probe_state state;
    uint32_t path; /* id of the path that the state is about */
    roam_client_txn *txn;
    bool is_update;
    bool doubted; /* a 481 while it rings is asked about once more */
    unsigned failures;
    roam_timer timer;
    roam_auth_attempt attempt;
} roam_probe;

void probe_init(struct roam_call *call);
/* Sends what is missing. Needs call->flow. */
void probe_run(struct roam_call *call);
/* The peer knows where we are, and owes the answer to the offer in our 2xx: it has a while for it, then we offer anew. */
void probe_await_answer(struct roam_call *call);
void probe_stop(struct roam_call *call); /* nobody wants to know any more */

#endif

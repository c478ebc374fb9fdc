/* Reliable provisional responses of ours (RFC 3262 3): numbered, repeated until the PRACK comes, one at a time. What stands in them is the call's business. */
#ifndef ROAM_UA_RELIABLE_UAS_H
#define ROAM_UA_RELIABLE_UAS_H

#include "sip/sip.h"

typedef enum roam_reliable_state {
    RELIABLE_IDLE,  /* none is out */
    RELIABLE_SENT,  /* repeated until its PRACK comes */
    RELIABLE_LET_GO /* not repeated any more; its PRACK is still taken (RFC 3262 3, last paragraph but one) */
} roam_reliable_state;

typedef struct roam_reliable roam_reliable;
/* Nobody acknowledged it; its state is RELIABLE_LET_GO. `moved`: because it waits no longer than a while after a change of path. */
typedef void roam_reliable_fn(void *user, roam_reliable *reliable, bool moved);

struct roam_reliable {
    roam_sip *sip;
    roam_reliable_state state;
    roam_server_txn *txn; /* the INVITE, while SENT */
    uint32_t rseq;        /* of the last one; 0: none yet */
    uint32_t cseq;        /* of the INVITE it answers */
    bool has_sdp, moved;
    roam_timer timer;
    roam_time interval, limit;
    roam_reliable_fn *fn;
    void *user;
};

void reliable_init(roam_reliable *r, roam_sip *sip, roam_reliable_fn *fn, void *user);
/* Writes Require and RSeq of the next one into the response. */
void reliable_write(roam_reliable *r, roam_writer *w);
/* The response was sent. ROAM_ENOMEM: it is not repeated; the state is RELIABLE_LET_GO. */
int reliable_sent(roam_reliable *r, roam_server_txn *txn, uint32_t cseq, bool has_sdp);
/* 0: this PRACK names the one that is out; 400: no usable RAck; 481: it names another. Changes nothing. */
unsigned reliable_match(const roam_reliable *r, const roam_message *prack);
void reliable_acknowledged(roam_reliable *r);
/* The path changed, and the transaction with it: once more at once, and not waited for much longer, as the PRACK may go to where we are no more. */
void reliable_moved(roam_reliable *r);
/* The INVITE has its final answer, or another transaction. */
void reliable_let_go(roam_reliable *r);

#endif

/* The insides of transactions, for the files of lib/sip and their tests. Everybody else uses sip.h.
 *
 * A transaction has one timer, armed from its birth to its end, for the earlier of two moments: `next_at`, when
 * something is sent, and `end_at`, when the present state is over. So moving between states never needs memory. */
#ifndef ROAM_SIP_TRANSACTION_H
#define ROAM_SIP_TRANSACTION_H

#include "sip/sip.h"

/* RFC 3261 figures 5 and 6, RFC 6026 7.2 (Accepted). Abandoned is ours: see client_txn_abandon. */
typedef enum roam_client_state {
    CLIENT_CALLING,    /* INVITE sent, nothing heard: Timers A and B */
    CLIENT_TRYING,     /* another request sent, nothing heard: Timers E and F */
    CLIENT_PROCEEDING, /* a provisional came */
    CLIENT_ACCEPTED,   /* INVITE, a 2xx came: Timer M */
    CLIENT_COMPLETED,  /* final: Timer D or K */
    CLIENT_ABANDONED,  /* INVITE nobody waits for any more; still ACKs a failure */
    CLIENT_TERMINATED
} roam_client_state;

typedef enum roam_cancel_state { CANCEL_NONE, CANCEL_WAITING, CANCEL_SENT } roam_cancel_state;

struct roam_client_txn {
    roam_map_node node; /* in sip->clients; when terminated its order link is in sip->dead_clients */
    roam_timer timer;
    roam_sip *sip;
    roam_flow *flow;
    roam_flow *cancel_flow; /* for a CANCEL that waits for a provisional; NULL: `flow` */
    roam_client_fn *fn;     /* NULL: nobody listens */
    void *user;
    roam_time next_at, end_at, interval;
    char *bytes; /* the frozen request; NULL when no longer needed */
    char *ack;   /* the ACK of a failure without To and end: they come from the response */
    uint32_t len, ack_len;
    uint32_t id;
    uint16_t branch_len;
    uint8_t state, cancel, method;
    bool unsent; /* the first sending failed; told by the timer */
    char key[];  /* branch, blank, method */
};

/* RFC 3261 figures 7 and 8, RFC 6026 7.1 (Accepted). */
typedef enum roam_server_state {
    SERVER_TRYING,     /* not INVITE: no answer yet */
    SERVER_PROCEEDING, /* INVITE: no final answer; others: a provisional was sent */
    SERVER_ACCEPTED,   /* INVITE answered with 2xx: Timer L */
    SERVER_COMPLETED,  /* final sent: Timers G and H, or J */
    SERVER_CONFIRMED,  /* the ACK of a failure came: Timer I */
    SERVER_TERMINATED
} roam_server_state;

struct roam_server_txn {
    roam_map_node node;  /* in sip->servers; when terminated its order link is in sip->dead_servers */
    roam_map_node merge; /* in sip->merges */
    roam_list spent;     /* in sip->spent */
    roam_timer timer;
    roam_sip *sip;
    roam_flow *flow; /* to where responses go */
    roam_server_fn *fn;
    void *user;
    roam_time next_at, end_at, interval, started;
    roam_addr source;
    char
        *head; /* what every response starts with after its status line; then the request. NULL when no longer needed */
    char *response; /* the last one, frozen */
    uint32_t head_len, to_end /* where a To tag is inserted */, request_len, response_len;
    uint32_t id;
    uint16_t status; /* of `response`, 0: none */
    uint8_t state, method;
    bool tagged;    /* the request had a To tag */
    bool cancelled; /* a CANCEL came; in Proceeding the TU was told */
    roam_span tag;
    char space[]; /* key, merge key, tag */
};

/* A stream repeats and keeps for us: Timers A, E, G are off, D, I, J, K are zero (RFC 3261 table 4). */
static inline bool flow_reliable(const roam_flow *flow)
{
    return flow->path->transport != TRANSPORT_UDP;
}

static inline roam_time time_earlier(roam_time a, roam_time b)
{
    return a < b ? a : b;
}

/* sip.c */
void sip_enter(roam_sip *sip);
void sip_leave(roam_sip *sip);                                         /* the outermost one reaps */
void sip_reap_later(roam_sip *sip);                                    /* something waits in a list of the dead */
int sip_resend(roam_sip *sip, const roam_flow *flow, roam_span bytes); /* sip_send, counted as a retransmission */
void sip_respond_tagged(roam_sip *sip, roam_flow *flow, const roam_message *request, unsigned status, roam_span reason,
                        roam_span tag);
#define STATELESS_TAG_LEN 16u
/* The tag of a stateless response: the same for a retransmission, and for the ACK, which carries it back. */
void sip_stateless_tag(const roam_sip *sip, const roam_message *request, char out[STATELESS_TAG_LEN]);

/* client.c */
bool client_receive(roam_sip *sip, roam_flow *flow, const roam_message *response); /* false: a stray */
void client_free(roam_client_txn *txn);
void clients_reap(roam_sip *sip);

/* server.c */
void server_receive(roam_sip *sip, roam_flow *flow, const roam_message *request);
void server_free(roam_server_txn *txn);
void servers_reap(roam_sip *sip);

#endif

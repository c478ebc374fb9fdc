/* The transaction layer (RFC 3261 17, with RFC 6026) and what stands around it: bytes in, requests and responses to its
 * user, bytes out. The user ("TU") is a user agent or a proxy. No I/O: the host sends. */
#ifndef ROAM_SIP_SIP_H
#define ROAM_SIP_SIP_H

#include "sip/path.h"
#include "wire/message.h"

typedef struct roam_sip roam_sip;
typedef struct roam_client_txn roam_client_txn;
typedef struct roam_server_txn roam_server_txn;

/* RFC 3261 17.1.1.1 and table 4. */
typedef struct roam_sip_timers {
    roam_time t1, t2, t4;
} roam_sip_timers;
#define ROAM_SIP_TIMERS_DEFAULT ((roam_sip_timers){ROAM_MS(500), ROAM_SECONDS(4), ROAM_SECONDS(5)})

typedef struct roam_sip_tu {
    /* Sends bytes on the flow's socket to its remote. The bytes are the caller's. 0 or a roam_err. */
    int (*send)(void *user, const roam_flow *flow, roam_span bytes);
    /* A new request (not ACK, not CANCEL). The TU answers it now or later, exactly one final response. */
    void (*request)(void *user, roam_server_txn *txn, const roam_message *request);
    /* An ACK that belongs to no server transaction: of a 2xx (a proxy forwards it, a UA gives it to the dialog). */
    void (*ack)(void *user, roam_flow *flow, const roam_message *ack);
    /* A response that belongs to no client transaction, or a 2xx to an INVITE that was abandoned. A UA gives stray 2xx to the dialog (RFC 6026 8.9 lets it pass); a
     * proxy may forward or drop. May be NULL: dropped and counted. */
    void (*stray_response)(void *user, roam_flow *flow, const roam_message *response);
    /* A request that `old` serves came by another way (RFC 3261 8.2.2.2), on this flow. True: it is served too, as a request of its own. False, or NULL: 482. May
     * build no message. */
    bool (*merged)(void *user, roam_server_txn *old, roam_flow *flow);
    /* Anything valid came on this flow. May be NULL. */
    void (*heard)(void *user, roam_flow *flow);
    /* Path evidence, both may be NULL: a response to a request of ours came back on the path that it left by; a request has been repeated and nothing was heard. */
    void (*answered)(void *user, roam_client_txn *txn, roam_flow *flow, const roam_message *response);
    void (*unanswered)(void *user, roam_client_txn *txn, roam_flow *flow);
    /* A keep-alive came: CRLF CRLF (answered with CRLF by the layer itself on streams only). May be NULL. */
    void *user;
} roam_sip_tu;

typedef struct roam_sip_counters {
    uint64_t received, sent, retransmitted, malformed, stray_responses, stray_acks, over_limit, merged;
} roam_sip_counters;

struct roam_sip {
    roam_env *env;
    roam_sip_tu tu;
    roam_sip_timers timers;
    bool merge_check;     /* UA: 482 for a merged request (RFC 3261 8.2.2.2); a proxy leaves it off */
    bool answer_trying;   /* INVITE server transactions send 100 by themselves after 200 ms (17.2.1); a TU that sends 100 at once turns it off */
    roam_map flows;       /* roam_flow */
    roam_flow *recent;    /* the flow asked for last: mostly the next one too. NULL: none */
    roam_map clients;     /* by branch + method */
    roam_map servers;     /* by branch + sent-by + method */
    roam_map merges;      /* server transactions by Call-ID + From tag + CSeq, for the merge check */
    size_t ntransactions;
    roam_sip_counters counters;
    roam_list dead_clients; /* ended, freed at the end of the input */
    roam_list dead_servers;
    roam_list spent;        /* server transactions whose request is not needed after this input */
    roam_timer reap;        /* ends an input that did not come through this layer; always armed */
    unsigned depth;         /* > 0 while a datagram or a timer of this layer is handled */
    uint64_t next_id;       /* of transactions, for the trace */
    roam_header_space *headers; /* for the message being handled */
    char *scratch;              /* ROAM_MAX_MESSAGE bytes in which messages are built */
};

int sip_init(roam_sip *sip, roam_env *env, const roam_sip_tu *tu);
void sip_free(roam_sip *sip); /* every transaction and flow; calls no TU function */

/* A datagram that came on a path. Hostile input is answered statelessly (RFC 3261 8.2) or dropped and counted. */
void sip_receive(roam_sip *sip, roam_path *path, const roam_addr *remote, roam_span datagram);

/* The end of an input: what ended is told to its user and freed. sip_receive and the layer's timers do it by themselves; after anything
 * else (a command of the application, a timer of the TU) it happens here, or with the next env_advance. Never from a callback of this layer. */
void sip_reap(roam_sip *sip);

/* Where a response to `request` goes that came from `source` (RFC 3261 18.2.2, RFC 3581 4): maddr, else the source's address, with its port when
 * rport asks for it, else the port of the Via. On a stream it goes back on the connection. */
void response_destination(const roam_via *top, const roam_addr *source, bool reliable, roam_addr *out);

/* ---- requests ---- */

/* A request being built. request_begin writes the request line, the Via of the flow with a fresh branch and rport, and Max-Forwards;
 * the caller writes the other headers and the body into `w`; then request_send. Nothing else may be built in between:
 * there is one scratch buffer. */
typedef struct roam_request {
    roam_sip *sip;
    roam_flow *flow;
    roam_writer w;
    roam_method method;
    roam_span method_name; /* static, or the caller's until request_send */
    char branch[48];
} roam_request;
void request_begin(roam_sip *sip, roam_request *r, roam_flow *flow, roam_span method, roam_span uri, unsigned max_forwards);

typedef enum roam_client_event {
    CLIENT_RESPONSE, /* message: provisional or final; for INVITE every 2xx, retransmitted ones too */
    CLIENT_TIMEOUT,  /* Timer B or F: nobody answered. Treat as 408 */
    CLIENT_FAILED,   /* the bytes could not be sent. Treat as 503 */
    CLIENT_ENDED     /* the transaction is about to be freed; last event, always comes unless abandoned */
} roam_client_event;
/* `message` is valid during the call only. It may start other transactions and abandon this one. */
typedef void roam_client_fn(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);

/* Sends and starts the client transaction (INVITE or not); its bytes are frozen. NULL when memory, space or a limit refuses
 * (nothing was sent). The pointer is valid until CLIENT_ENDED. `fn` is never called from inside request_send: a refusal to send is told at the next input. */
roam_client_txn *request_send(roam_request *r, roam_client_fn *fn, void *user);
/* Sends without a transaction: the ACK of a 2xx, a proxied ACK. `copy` (may be NULL) gets the frozen bytes, to be freed with mem_free, for resending. */
int request_send_stateless(roam_request *r, char **copy, size_t *copy_len);
int sip_send(roam_sip *sip, const roam_flow *flow, roam_span bytes); /* frozen bytes again */

/* Cancels an INVITE that has had a provisional response, or as soon as it has one (RFC 3261 9.1). CANCEL has the INVITE's top Via and goes by
 * `flow` (NULL: the INVITE's own). With `force` it is sent even if no provisional came: after a move nobody knows. The CANCEL's own
 * transaction is kept inside. The INVITE still ends by its 487, 200 or (64*T1 after the CANCEL) CLIENT_TIMEOUT. */
int client_txn_cancel(roam_client_txn *txn, roam_flow *flow, bool force);
bool client_txn_cancel_sent(const roam_client_txn *txn); /* false: not asked for, or it waits for a provisional response */
/* No more retransmissions, no more events: `fn` is never called again and the pointer is the layer's. For requests that a move made pointless.
 * An INVITE without a final response lives on silently for 64*T1 with nothing but the head of an ACK (about 400 bytes): a late failure is
 * ACKed, a late 2xx goes to tu.stray_response. Late answers to other requests are strays. */
void client_txn_abandon(roam_client_txn *txn);
/* An INVITE whose path is gone is not repeated from there any more, and does not fail because of it. An answer that finds us is taken, and it can be cancelled by another flow;
 * unanswered it ends by Timer B as ever. */
void client_txn_quiet(roam_client_txn *txn);
/* Does this response carry the branch of a request of ours whose transaction still lives, abandoned or not? A stray response that does not is anybody's invention: nothing may be
 * sent because of it. */
bool sip_response_is_ours(const roam_sip *sip, const roam_message *response);
bool client_txn_has_provisional(const roam_client_txn *txn);
/* The frozen bytes; empty once the final response has been given to `fn` and that call has returned: a lingering transaction does not keep them. */
roam_span client_txn_request(const roam_client_txn *txn);
const char *client_txn_state_text(const roam_client_txn *txn);
roam_span client_txn_branch(const roam_client_txn *txn);
roam_flow *client_txn_flow(const roam_client_txn *txn);
roam_method client_txn_method(const roam_client_txn *txn);

/* ---- responses ---- */

typedef enum roam_server_event {
    SERVER_CANCELLED, /* a CANCEL came and was answered 200: the TU answers the INVITE, usually 487 */
    SERVER_ACKED,     /* the ACK of a failure came */
    SERVER_NO_ACK,    /* Timer H: the ACK of a failure never came */
    SERVER_ENDED      /* the transaction is about to be freed; last event */
} roam_server_event;
typedef void roam_server_fn(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message);
/* Until called, events go nowhere. The TU calls it in tu.request when it keeps the pointer. NULL fn detaches. */
void server_txn_attach(roam_server_txn *txn, roam_server_fn *fn, void *user);

/* A response being built: status line, Via, From, To (with tag), Call-ID, CSeq are written by response_begin from the stored request head.
 * The caller adds headers and the body, then response_send. One scratch buffer: nothing else in between.
 * `to_tag` empty: the transaction's own generated tag (the same for every response of it; none on 100). */
typedef struct roam_response {
    roam_server_txn *txn;
    roam_writer w;
    unsigned status;
} roam_response;
void response_begin(roam_server_txn *txn, roam_response *r, unsigned status, roam_span reason, roam_span to_tag);
/* Sends on the transaction's flow to where RFC 3261 18.2.2 / RFC 3581 says. 2xx to INVITE moves to Accepted (RFC 6026): the TU resends it with
 * server_txn_resend. A second final response is ROAM_ESTATE. 0 means that the response is the transaction's: one that could not leave (the
 * path is gone) counts as a lost datagram, and retransmissions repair it, after server_txn_move on the new path. Without memory to keep it a final
 * response is sent once, and that is 0, too; but a provisional one and a 2xx to INVITE are not sent at all: ROAM_ENOMEM.
 * RFC 4320 for requests other than INVITE: of the provisionals only 100, not before Timer E reaches T2 over UDP (the layer sends it then by
 * itself), no 408, nothing at all after 64*T1 (SERVER_ENDED comes). What breaks it is ROAM_EINVAL or ROAM_ESTATE. */
int response_send(roam_response *r);
/* A whole small response without headers of its own. */
int server_txn_respond(roam_server_txn *txn, unsigned status, roam_span reason);
int server_txn_resend(roam_server_txn *txn); /* the last response's bytes again (2xx or reliable 18x retransmission) */
/* Later responses and retransmissions leave from this flow's path (the device moved); the destination stays what the Via says. */
void server_txn_move(roam_server_txn *txn, roam_path *path);
/* The final answers of INVITEs that are still to be acknowledged, and whose path is no more: `choose` names the one they go on by (NULL: none yet), and they do so at once. */
typedef roam_path *roam_answer_path_fn(void *user, const roam_addr *remote);
void sip_move_answers(roam_sip *sip, roam_answer_path_fn *choose, void *user);
/* ... and go to this address: the peer moved, and no proxy stands between (its Via would be the only one that knows it). */
void server_txn_follow(roam_server_txn *txn, const roam_addr *remote);
roam_flow *server_txn_flow(const roam_server_txn *txn);
/* A CANCEL came, be it too late (RFC 3261 9.2). */
bool server_txn_cancelled(const roam_server_txn *txn);
roam_span server_txn_to_tag(const roam_server_txn *txn);
const roam_addr *server_txn_source(const roam_server_txn *txn);
const char *server_txn_state_text(const roam_server_txn *txn);
/* The request, parsed again from its stored bytes into `space`. The spans are valid until the end of the input in which the final response
 * was sent (afterwards ROAM_ESTATE: a lingering transaction does not keep them); for an INVITE answered with 2xx until SERVER_ENDED. */
int server_txn_request(const roam_server_txn *txn, roam_message *out, roam_header_space *space);

/* Answers a request that has no transaction (stateless 4xx). */
void sip_respond_stateless(roam_sip *sip, roam_flow *flow, const roam_message *request, unsigned status, roam_span reason);

#endif

/* A far end to call, or to be called by: a small user agent whose manners are configured. It does what it is told and
 * writes down what came. One UDP socket for SIP, a socket of the host for the RTP of each call. No I/O of its own.
 *
 * It does not do: REFER outside of a call, subscriptions, TCP and TLS, two addresses at a time. */
#ifndef ROAM_TESTBED_PEER_H
#define ROAM_TESTBED_PEER_H

#include "testbed/leg.h"
#include "testbed/outbox.h"
#include "wire/digest.h"

#define PEER_MAX_LEGS 1024u /* the ended ones included: the oldest of those go first */

typedef enum roam_peer_answer { PEER_ANSWERS, PEER_RINGS, PEER_REJECTS } roam_peer_answer;

/* Reliable provisional responses (RFC 3262). */
typedef enum roam_peer_rel {
    PEER_REL_NONE,     /* not supported: a Require for it is answered 420 */
    PEER_REL_ACCEPTED, /* supported; used where the other side requires it */
    PEER_REL_USED,     /* as callee wherever the caller supports it */
    PEER_REL_REQUIRED  /* as caller required (Require: 100rel), as callee too: 421 to who does not support it */
} roam_peer_rel;

/* What a re-INVITE gets while an earlier INVITE of the same side is not answered, or its 2xx not acknowledged. */
typedef enum roam_peer_overlap {
    PEER_OVERLAP_TAKEN, /* served: who sends the next INVITE has our 2xx. Only one that is not answered yet is 500 */
    PEER_OVERLAP_500,   /* with Retry-After (RFC 3261 14.2) */
    PEER_OVERLAP_491
} roam_peer_overlap;

/* Whom a peer with session timers proposes as refresher. */
typedef enum roam_peer_refresher { PEER_REFRESHER_ANY, PEER_REFRESHER_ME, PEER_REFRESHER_THEM } roam_peer_refresher;

typedef enum roam_human_silence { SILENCE_BORNE, SILENCE_HOLDS, SILENCE_HANGS_UP } roam_human_silence;

/* A user with a will of its own; zeros: none. */
typedef struct roam_human_config {
    bool takes_its_time;          /* answers after 0.1, 1 or 4 s, by chance, in place of `answer_after` */
    roam_time acts_min, acts_max; /* in a call it does something so long after its last deed; max 0: never */
    unsigned hangs_up;            /* percent of its deeds; the rest is hold and resume */
    roam_human_silence on_silence; /* when nothing was heard for `silence_after` (0: 3 s) that should have been */
    roam_time silence_after;
} roam_human_config;

typedef enum roam_peer_event_type {
    PEER_REGISTERED,
    PEER_REGISTER_FAILED, /* status */
    PEER_CALL_INCOMING,
    PEER_CALL_RINGING, /* ours rings there */
    PEER_CALL_CONFIRMED,
    PEER_CALL_CHANGED, /* a re-INVITE or UPDATE was answered 2xx, in either direction */
    PEER_CALL_REFUSED, /* one of ours was not: status */
    PEER_CALL_ENDED,   /* why; status where there is one */
    PEER_REFER_PROGRESS /* of a REFER of ours: status; why is "over" or "refused" at its end */
} roam_peer_event_type;
const char *peer_event_text(roam_peer_event_type type);

typedef struct roam_peer_event {
    roam_peer_event_type type;
    uint32_t call;
    unsigned status;
    const char *why; /* "" or a phrase */
} roam_peer_event;

typedef struct roam_peer_host {
    void (*send)(void *user, uint32_t socket, const roam_addr *remote,
                 roam_span bytes);                                   /* queues: never calls back into the peer */
    int (*open_rtp)(void *user, uint32_t *socket, roam_addr *local); /* a socket for a call; 0 or a roam_err */
    void (*close_rtp)(void *user, uint32_t socket);
    void (*event)(void *user, const roam_peer_event *event); /* may be NULL; gives no command to the peer */
    roam_trace_fn *trace;                                    /* may be NULL */
    void *user;
} roam_peer_host;

typedef struct roam_peer_config {
    const roam_allocator *allocator;
    uint8_t seed[32];
    roam_sip_timers timers; /* zeros: the usual ones */
    const char *user;       /* "bob"; the texts are copied */
    const char *domain;     /* "example.com" */
    const char *password;   /* NULL: none */
    uint32_t socket;        /* for SIP */
    roam_addr local;
    roam_addr proxy;  /* first hop of whatever starts a dialog, and the registrar; family 0: straight to the URI */
    uint32_t expires; /* asked for when registering; 0: 3600 */
    roam_peer_answer answer;
    roam_time answer_after; /* from the 180 to the 200 */
    unsigned reject_status; /* 0: 486 */
    roam_time reject_after; /* PEER_REJECTS: it rings so long first; 0: at once */
    bool no_update;         /* UPDATE is not in Allow and is answered 405 */
    bool no_replaces;       /* `replaces` is not supported: the header is ignored, a Require for it is 420 */
    roam_peer_rel rel;
    bool early_media;    /* as callee: 183 with an answer and sound in place of the 180 */
    bool sends_199;      /* as callee: before it refuses what rang (RFC 6228) */
    bool delayed_offer;  /* as caller: the first INVITE has no SDP, the answer goes in the ACK or PRACK */
    bool no_refer;        /* REFER is not in Allow and is answered 405 */
    uint32_t session_expires; /* seconds asked for; 0: no session timers */
    uint32_t min_se;          /* 0: 90. Shorter: 422 */
    roam_peer_refresher refresher;
    bool refresh_by_update; /* where the other side allows it */
    roam_peer_overlap overlap;
    roam_time reinvite_after; /* a re-INVITE is answered so much later */
    bool refuses_new_media;   /* 488 to an offer that changes the address of the audio */
    bool patient; /* a change of ours that nobody answers is tried again (else it ends the call), and so is REGISTER */
    bool move_leaves;     /* after a move the old Contact is left to expire; else it is taken back with the new one */
    bool moves_by_update; /* a move is told by UPDATE where the other side allows it; else by re-INVITE */
    roam_human_config human;
    roam_time repeat_after;   /* every message leaves twice, the second time so much later; 0: once */
    roam_audio_config audio;
} roam_peer_config;

typedef struct roam_peer_credentials {
    bool known;
    char realm[128], nonce[256], opaque[256], algorithm_text[24];
    roam_digest_algorithm algorithm;
    bool qop;
    uint32_t count;
} roam_peer_credentials;

struct roam_peer {
    roam_env env;
    roam_sip sip;
    roam_path *path; /* the one in use */
    roam_list paths; /* and those that flows still name */
    uint32_t npaths;
    roam_outbox outbox;
    uint32_t epoch; /* of its address */
    roam_peer_host host;
    roam_peer_config config;
    char *user, *domain, *password;
    roam_list legs; /* oldest first */
    size_t nlegs;
    uint32_t next_leg;
    roam_peer_credentials registrar, proxy; /* of the last challenge of each kind */
    roam_client_txn *registering;
    char register_call_id[24], register_tag[12];
    uint32_t register_cseq, register_expires;
    unsigned register_challenges;
    roam_addr register_old; /* a Contact to take back along with the new one; family 0: none */
    roam_timer register_timer;
    bool registered;
    uint64_t unknown_socket, messages; /* datagrams for sockets we do not have; MESSAGEs taken */
};

int peer_init(roam_peer *peer, const roam_peer_config *config, const roam_peer_host *host);
void peer_free(roam_peer *peer); /* sends nothing */

void peer_receive(roam_peer *peer, roam_time now, uint32_t socket, const roam_addr *from,
                  roam_span bytes); /* SIP, or RTP of a call */
void peer_advance(roam_peer *peer, roam_time now);
roam_time peer_deadline(const roam_peer *peer);

/* ---- commands: 0, ROAM_ENOTFOUND, ROAM_ESTATE, ROAM_EBUSY (a change is under way), ROAM_ENOMEM, ROAM_ELIMIT ---- */
int peer_register(roam_peer *peer, roam_time now); /* and again before it expires */
int peer_unregister(roam_peer *peer, roam_time now);
int peer_call(roam_peer *peer, roam_time now, const char *uri, uint32_t *call);
/* The new call takes the place of one that the other side has with somebody (RFC 3891 4): Call-ID and tags as that
 * other side has them. */
int peer_call_replacing(roam_peer *peer, roam_time now, const char *uri, const char *call_id, const char *to_tag,
                        const char *from_tag, uint32_t *call);
int peer_answer(roam_peer *peer, roam_time now, uint32_t call);
int peer_reject(roam_peer *peer, roam_time now, uint32_t call, unsigned status);
int peer_hold(roam_peer *peer, roam_time now, uint32_t call, bool hold, bool by_update);
int peer_refresh(roam_peer *peer, roam_time now, uint32_t call, bool by_update,
                 bool with_offer); /* nothing changes but the target; a re-INVITE always offers. Before the answer by
                                    * UPDATE only (RFC 3311 5.1) */
/* The host's address is another one: SIP comes and goes on `socket`, bound to `local`, from now on, and open_rtp gives
 * sockets at the new address. What used the old one is lost. The peer registers, tells each call (see `moves_by_update`)
 * and goes on sending sound with the same SSRC. Calls of its own that nobody answered yet are given up; what rings here
 * rings on. */
int peer_move(roam_peer *peer, roam_time now, uint32_t socket, const roam_addr *local);
/* Sends the other side to `uri` (blind transfer), or with `other` != 0 into that other call of ours, in whose place it
 * shall come (attended; `uri` NULL: its remote target). This call ends when that worked. */
int peer_refer(roam_peer *peer, roam_time now, uint32_t call, const char *uri, uint32_t other);
int peer_hangup(roam_peer *peer, roam_time now, uint32_t call); /* BYE, CANCEL or 486, as the state wants it */
void peer_set_answer(roam_peer *peer, roam_peer_answer answer, roam_time after,
                     unsigned reject_status); /* for calls to come */

/* Everything about a call, also when it has ended. NULL: no such call. */
const roam_leg *peer_leg(const roam_peer *peer, uint32_t call);

/* ---- for leg.c ---- */
void peer_event(roam_peer *peer, roam_peer_event_type type, roam_leg *leg, unsigned status, const char *why);
/* "<sip:user@domain>" and "<sip:user@host:port>". */
void peer_write_aor(const roam_peer *peer, roam_writer *w);
void peer_write_contact(const roam_peer *peer, roam_writer *w);
void peer_write_allow(const roam_peer *peer, roam_writer *w); /* Allow and Supported */
/* Keeps the challenge of a 401 or 407. False: there is none that we can answer. */
bool peer_learn_challenge(roam_peer *peer, const roam_message *response);
void peer_write_credentials(roam_peer *peer, roam_writer *w, roam_method method, roam_span uri);
roam_path *peer_path_new(roam_peer *peer, uint32_t socket, const roam_addr *local); /* NULL: no memory */
/* peer_register.c */
void peer_register_due(roam_timer *timer);
void peer_register_moved(roam_peer *peer, const roam_addr *old);
/* The flow to the address that a URI names; the proxy where it names none. A reference, or NULL. */
roam_flow *peer_flow(roam_peer *peer, const roam_uri *uri);

#endif

/* One call at a peer: its dialogs, its offers and answers, its sound. The commands are in peer.h. */
#ifndef ROAM_TESTBED_LEG_H
#define ROAM_TESTBED_LEG_H

#include "sip/dialog.h"
#include "testbed/audio.h"

#define LEG_MAX_FORKS 8u /* early dialogs of one INVITE of ours, beside the first */

typedef struct roam_peer roam_peer;

typedef enum roam_leg_state {
    LEG_CALLING,    /* our INVITE is out */
    LEG_CANCELLING, /* we gave it up; its final response is still to come */
    LEG_RINGING,    /* theirs is here, not answered */
    LEG_CONFIRMED,
    LEG_CLOSING, /* our BYE is out */
    LEG_ENDED
} roam_leg_state;
const char *leg_state_text(roam_leg_state state);

typedef enum roam_leg_offer {
    OFFER_NONE,
    OFFER_SENT,    /* ours, in a request: the answer comes in its response */
    OFFER_IN_18X,  /* ours, in our reliable provisional: the answer comes in the PRACK */
    OFFER_IN_2XX,  /* ours, in our 2xx: the answer comes in the ACK */
    OFFER_RECEIVED /* theirs, in the first INVITE: the answer goes in our 2xx */
} roam_leg_offer;

/* Our reliable provisional that waits for its PRACK (RFC 3262 3). One at a time. */
typedef struct roam_reliable {
    roam_timer timer;
    roam_time interval, limit;
    uint32_t rseq; /* of the last one; 0: none yet */
    bool waiting;
} roam_reliable;

/* What the caller's side keeps of one early dialog (RFC 3262 4). */
typedef struct roam_early {
    roam_client_txn *prack; /* under way */
    uint32_t rseq;          /* the last one that we took; 0: none */
    uint32_t invite_cseq;
    unsigned challenges;
    char *answer;           /* ours, for the PRACK; NULL: it carries none */
    bool settled;           /* offer and answer were exchanged reliably */
} roam_early;

/* RFC 4028. */
typedef struct roam_session_timer {
    roam_timer timer;
    uint32_t seconds; /* 0: the session has no timer */
    bool ours;        /* we refresh */
    uint32_t min_se;  /* that a 422 asked for */
    uint64_t refreshes;
} roam_session_timer;

/* A REFER that we carry out (RFC 3515). */
typedef struct roam_referral {
    bool busy;
    uint32_t call; /* the leg that we made for it; 0: none */
    unsigned status, told;
    unsigned challenges;
    roam_client_txn *notify; /* under way */
} roam_referral;

typedef struct roam_fork {
    roam_dialog dialog;
    roam_early early;
} roam_fork;

typedef struct roam_leg {
    roam_list node;
    roam_peer *peer;
    uint32_t id; /* from 1 */
    roam_leg_state state;
    roam_leg_offer offer;
    roam_dialog dialog;
    roam_early early; /* of `dialog` */
    roam_fork forks[LEG_MAX_FORKS];
    size_t nforks;
    roam_reliable reliable;
    char *replaces;    /* of our INVITE; NULL: none */
    bool offerless;    /* our first INVITE asks for an offer */
    bool previewed;    /* our answer went in an unreliable 183: the 2xx says it again */
    bool settled;      /* our first 2xx needs no SDP: a reliable provisional and its PRACK did it */
    bool answer_wanted; /* as soon as the PRACK is here */
    bool rejects;       /* when the answer timer fires */
    bool takes_199;    /* the caller wants to hear of dead early dialogs */
    roam_client_txn *invite;   /* our INVITE or re-INVITE, no final response yet */
    roam_client_txn *accepted; /* the last one that got a 2xx: it may get it again */
    roam_client_txn *update;
    roam_session_timer session;
    roam_client_txn *refer; /* ours, under way */
    char *refer_to;         /* of ours, until its last NOTIFY; NULL: none */
    unsigned refer_status;  /* that its NOTIFY told last, or of its refusal */
    unsigned refer_challenges;
    roam_referral referral; /* theirs */
    uint32_t referred_by;   /* the leg whose REFER made this one; 0: none */
    roam_client_txn *bye;
    roam_server_txn *invite_server; /* their first INVITE, not answered yet */
    uint32_t invite_cseq;           /* of that one */
    roam_server_txn *reinvite;      /* their re-INVITE, not answered yet */
    roam_timer reinvite_timer;
    roam_accept accept;             /* our 2xx waits for its ACK */
    roam_ack ack;
    roam_timer answer_timer; /* "answer after" */
    roam_timer retry_timer;  /* a change of ours again, after 491 or 500 */
    bool change_is_update;   /* ... by UPDATE */
    bool change_offers;      /* ... with an offer */
    bool update_offers;      /* `update` does */
    bool local_hold, remote_hold;
    bool wanted_hold;   /* what the change under way asks for */
    bool allows_update; /* the other side's Allow says so */
    bool hangup_wanted; /* as soon as RFC 3261 15 lets us */
    bool ringing_told;
    unsigned challenges; /* answered for the request under way */
    bool rtp_open;
    uint32_t rtp_socket;
    roam_addr rtp_local;
    roam_direction offered; /* ours, of the offer under way */
    roam_audio audio;
    uint64_t sdp_id;
    uint32_t sdp_version;
    uint64_t reinvites, updates; /* theirs that we answered with 2xx */
    uint64_t pracks;             /* theirs that fitted, or ours that were answered */
    uint64_t early_ends;         /* 199s that came */
    unsigned last_status;        /* of our last INVITE, UPDATE or BYE; 0: none came */
    uint32_t epoch;        /* of the peer's address that the other side has accepted, with the address of the sound */
    uint32_t target_epoch; /* ... as the target of its requests alone */
    uint32_t sent_epoch;   /* that the change under way tells */
    roam_timer move_timer;
    unsigned tellings; /* of this move */
    roam_timer human_timer;
    roam_time act_at; /* of the human; ROAM_NEVER: does nothing by itself */
    roam_time quiet_since;
    bool ended_here; /* by a command, or a habit of ours */
    const char *end_why;
} roam_leg;

/* For peer.c. */
roam_leg *leg_new(roam_peer *peer); /* NULL: no memory, or too many */
void leg_free(roam_leg *leg);       /* sends nothing */
/* `replaces`: the value of the header; empty: none. */
int leg_call(roam_leg *leg, roam_span uri, roam_span replaces);
void leg_incoming(roam_peer *peer, roam_server_txn *txn, const roam_message *invite);
void leg_request(roam_leg *leg, roam_server_txn *txn, const roam_message *request); /* in its dialog */
void leg_ack(roam_leg *leg, const roam_message *ack);
int leg_ring(roam_leg *leg);
int leg_answer(roam_leg *leg);
int leg_reject(roam_leg *leg, unsigned status);
int leg_change(roam_leg *leg, bool hold, bool update, bool with_offer);
int leg_hangup(roam_leg *leg);

#endif

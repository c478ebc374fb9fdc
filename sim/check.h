/* What must hold at every moment of a run, whatever happens: rules on what agents send and on what they tell. They are judged from outside, by the packets alone.
 *
 * What must hold once the world is whole again is in heal.h. */
#ifndef ROAM_SIM_CHECK_H
#define ROAM_SIM_CHECK_H

#include "sim/world.h"
#include "wire/message.h"

typedef enum sim_rule {
    RULE_NONE,
    RULE_CRASH,          /* an assert, a signal, a sanitizer */
    RULE_HANG,           /* a run that does not end */
    RULE_REPEATABLE,     /* the same seed, another trace */
    RULE_DEAD_PATH,      /* sent from an address that the device does not have */
    RULE_WELL_FORMED,    /* our own messages pass message_check */
    RULE_RETRANSMISSION, /* the same transaction, other bytes */
    RULE_CSEQ,           /* rises per dialog and direction; ACK and CANCEL name their INVITE's */
    RULE_NONCE,          /* a nonce count is used for one request only */
    RULE_OFFERS,         /* offer and answer alternate; o= keeps its identity, its version rises with every change */
    RULE_PENDING,        /* one INVITE at a time per dialog, direction and path */
    RULE_DEADLINE,       /* time goes on */
    RULE_BOUNDED,        /* transactions, paths, sockets, messages a second */
    RULE_LEAK,           /* nothing left when the agent is freed */
    RULE_STATES,         /* a call's states come in a legal order */
    RULE_TRUTH,          /* what the application is told has happened */
    /* once the world is whole */
    RULE_BINDING,        /* one binding, on a live flow */
    RULE_CALL_LOST,      /* a call ended that nobody ended */
    RULE_ZOMBIE,         /* a call goes on at one end only, or rings for nobody */
    RULE_DIALOG,         /* both ends agree on tags, CSeq, target */
    RULE_HOLD,           /* ... on hold, as their users want it */
    RULE_MEDIA,          /* ... on the addresses of media */
    RULE_RTP,            /* packets flow both ways */
    RULE_DONE,           /* what a user asked for came to an end: message, subscription, transfer */
    SIM_RULES
} sim_rule;
const char *rule_text(sim_rule rule);  /* "dead-path" */
const char *rule_words(sim_rule rule); /* one line for people */

/* One transaction, dialog, nonce count...: a list of what was seen, found by a hash. */
typedef struct sim_fact {
    uint64_t key, value;
    uint64_t more[3];
    roam_time time;
} sim_fact;

typedef struct sim_facts {
    sim_fact *facts;
    size_t n, cap;
} sim_facts;

typedef struct sim_flowed {
    roam_ip ip;
    roam_time in, out; /* RTP; 0: never */
} sim_flowed;

typedef struct sim_check {
    sim_world *world;
    sim_rule rule;        /* the first one violated */
    char text[400];       /* how */
    roam_time time;
    sim_facts sent;       /* what left, by transaction */
    sim_facts came;       /* what came, by transaction */
    sim_facts targets;    /* the Contact of the peer, by dialog */
    sim_facts cseqs;      /* the last one, by Call-ID and tag */
    sim_facts invites;    /* CSeq numbers of INVITEs, by Call-ID and tag */
    sim_facts nonces;
    sim_facts origins;    /* o= by Call-ID and side */
    sim_facts offers;     /* offers without answer, by Call-ID and side */
    sim_facts pending;    /* INVITEs without final answer */
    sim_facts answered;   /* Call-IDs whose INVITE was answered 2xx, or whose 2xx was acknowledged */
    sim_facts moves;      /* when the present move of a call or account was detected */
    sim_facts calls;      /* the last state told */
    sim_facts oks;        /* the last 2xx to a request of ours, by Call-ID */
    sim_facts registers;  /* the last 2xx to a REGISTER, by agent */
    sim_flowed flowed[16];
    size_t nflowed;
    roam_time second;     /* messages of this second */
    unsigned in_second;
    bool starved;         /* memory was refused to an agent: what it sent may not have left, what it tells may not have been told */
    uint64_t epoch;       /* of the networks: what was open before a change does not count after it (docs/handover.md) */
    roam_header_space space;
} sim_check;

void check_init(sim_check *check, sim_world *world);
void check_free(sim_check *check);
/* Notes a violation unless there is one; ends the run of the world. */
void check_violated(sim_check *check, sim_rule rule, const char *format, ...) __attribute__((format(printf, 3, 4)));

void check_sent(sim_check *check, const sim_packet *packet, bool own);
void check_arrives(sim_check *check, const sim_node *agent, const sim_packet *packet);
void check_event(sim_check *check, const sim_node *agent, const roam_event *event);
/* After each input of an agent. */
void check_stepped(sim_check *check, const sim_node *agent);

bool packet_is_rtp(const sim_packet *packet); /* or RTCP */

#endif

/* Is the path alive although its address stays? A watch looks after each flow that a registration or a call uses.
 *
 * Silence is no proof, it is evidence: it makes a watch *suspect*, and a probe with a short deadline decides (OPTIONS to the next hop; any response
 * counts, and its Via tells the address that a NAT shows). Nobody answers: the flow is *dead*, for everybody who goes to that destination by that
 * path. Other paths are asked at the same time, and the first that answers is the way around (choose.h). A dead flow is asked again, ever less often; when it
 * answers it is as good as before. An answer with another mapped address: a NAT has bound us anew, and those on the flow tell their peers.
 *
 *     quiet -> asking -> suspect -> dead      asking: the keepalive is out. Evidence leads to suspect from quiet and asking,
 *       ^--------'---------'---------'        an answer from anywhere to quiet. */
#ifndef ROAM_UA_WATCH_H
#define ROAM_UA_WATCH_H

#include "sip/sip.h"
#include "ua/net.h"

/* What made a flow suspect. */
typedef enum roam_evidence {
    EVIDENCE_NONE,
    EVIDENCE_KEEPALIVE,  /* a keepalive stayed unanswered */
    EVIDENCE_MEDIA,      /* RTP fell silent that should flow */
    EVIDENCE_UNANSWERED, /* a request was repeated and nothing was heard */
    EVIDENCE_SEND_ERROR, /* the system could not send, or an ICMP error came */
    EVIDENCE_MAPPED,     /* a response showed us at another address than before */
    EVIDENCE_WOKE,       /* the clock jumped: the device slept */
    EVIDENCE_NEIGHBOUR,  /* another flow of the same path is dead or was bound anew */
    EVIDENCE_RACE        /* no evidence: it may be the way around another one */
} roam_evidence;

typedef enum roam_watch_state { WATCH_QUIET, WATCH_ASKING, WATCH_SUSPECT, WATCH_DEAD } roam_watch_state;

typedef struct roam_watch {
    roam_list node; /* in roam_watches.list */
    roam_ua *ua;
    roam_flow *flow;
    roam_net_dest *dest;
    roam_watch_state state;
    roam_evidence evidence;
    bool race;           /* nobody uses it (yet): a candidate for the way around */
    roam_list users;     /* roam_watch_user.node */
    roam_timer timer;    /* always armed: a refusal of memory cannot stop it */
    roam_client_txn *txn; /* the OPTIONS that is out */
    unsigned sends;      /* in this round */
    unsigned rounds;     /* unanswered ones while dead */
    unsigned deaths;     /* lately: one that comes and goes has to answer more often before it is believed */
    unsigned answers;    /* in a row while dead */
    roam_time began;     /* of the round */
    roam_time suspect_since;
    roam_time heard;     /* the last response to anything of ours; 0: none */
    roam_time cleared;   /* the end of the last doubt */
    roam_time died;
    roam_time rtt;       /* 0: unknown */
    roam_addr mapped;    /* our address as the next hop sees it; family 0: not told yet */
    unsigned rebinds;    /* in a row, each soon after the one before: a NAT that shows another port each time is not followed */
    roam_time rebound;
    uint32_t cseq;
    char call_id[32], tag[16];
} roam_watch;

/* A registration or a call on a flow. */
typedef struct roam_watch_user {
    roam_list node; /* in roam_watch.users */
    roam_watch *watch;
    uint32_t keepalive; /* seconds; 0: never asks by itself */
} roam_watch_user;

typedef struct roam_watches {
    roam_list list; /* roam_watch.node */
    unsigned dead;  /* of them */
    bool look;      /* some may not be needed any more */
} roam_watches;

void watches_init(roam_ua *ua);
void watches_free(roam_ua *ua);

static inline void watch_user_init(roam_watch_user *user)
{
    *user = (roam_watch_user){0};
    list_init(&user->node);
}
/* The user is on `flow` now (NULL: on none). Called after each look; costs nothing when nothing changed. */
void watch_follow(roam_ua *ua, roam_watch_user *user, roam_flow *flow, uint32_t keepalive);

/* Evidence about a flow; NULL is fine. Evidence that was refuted a moment ago is not taken again. */
void watch_suspect(roam_flow *flow, roam_evidence evidence);
void watch_suspect_path(roam_ua *ua, const roam_path *path, const roam_addr *remote /* NULL: all */, roam_evidence evidence);
/* Something came that shows that the path to that destination may be alive again: a dead one is asked at once. */
void watch_encourage(roam_ua *ua, const roam_net_dest *dest);
/* Was the device asleep until `now`? Then it is `now`, and nothing that was due has happened yet. */
bool watch_clock(roam_ua *ua, roam_time now);
/* It was: everything in use is asked, before anything else is sent. */
void watch_woke(roam_ua *ua);
/* Another picture of the networks: dead ones are asked at once, new addresses are tried as ways around. */
void watch_network(roam_ua *ua);
/* Frees the watches that nobody needs. */
void watch_reap(roam_ua *ua);

/* Is this source dead toward that destination? */
bool watch_dead(const roam_ua *ua, const roam_net_dest *dest, const roam_ip *source, uint32_t link);
/* Why the path that the system would use is dead, in words, and since when somebody doubts it; NULL: it is not. */
const char *watch_why(const roam_ua *ua, const roam_net_dest *dest, uint32_t link, roam_time *since);

/* For the sip layer's user. */
void watch_answered(roam_ua *ua, roam_client_txn *txn, roam_flow *flow, const roam_message *response);
void watch_unanswered(roam_ua *ua, roam_client_txn *txn, roam_flow *flow);

/* Our address in the top Via of a response, as the next hop saw it: where the answers to that request go (RFC 3261 18.2.1, RFC 3581). Family 0: it does not say. */
roam_addr watch_seen_address(const roam_message *response, const roam_addr *local);
/* Answers to a request that was seen as coming from `mapped` do not reach us any more: a NAT shows this flow at another address now. */
static inline bool watch_rebound_since(const roam_flow *flow, const roam_addr *mapped)
{
    return mapped->ip.family && flow->watch && flow->watch->mapped.ip.family && !roam_addr_equal(mapped, &flow->watch->mapped);
}
static inline roam_addr watch_mapped(const roam_flow *flow) /* family 0: not known */
{
    return flow->watch ? flow->watch->mapped : (roam_addr){0};
}

#endif

/* Who acts in a run: a user with a device, which is a roam or a peer of the testbed. Both are told what to do, and looked at, in the same way. */
#ifndef ROAM_SIM_ACTOR_H
#define ROAM_SIM_ACTOR_H

#include "sim/world.h"

typedef enum sim_who { ALICE, BOB, CAROL, SIM_ACTORS } sim_who;
const char *who_text(sim_who who); /* "alice" */

typedef enum sim_phase {
    PHASE_NONE,     /* no such call (any more) */
    PHASE_CALLING,  /* our INVITE is out */
    PHASE_RINGING,  /* ... and it rings there */
    PHASE_INCOMING, /* theirs rings here */
    PHASE_ANSWERED, /* answered, not acknowledged */
    PHASE_UP,
    PHASE_CLOSING
} sim_phase;
const char *phase_text(sim_phase phase);

typedef enum sim_deed {
    DO_CALL, DO_ANSWER, DO_REJECT, DO_HANGUP, DO_HOLD, DO_RESUME, DO_REINVITE, DO_UPDATE, DO_DTMF, DO_IP_CHANGE, DO_PROGRESS, DO_TRANSFER, DO_ATTENDED, DO_SUBSCRIBE,
    DO_MESSAGE, DO_INFO, DO_ACCEPT_TRANSFER, DO_WAIT, SIM_DEEDS
} sim_deed;
const char *deed_text(sim_deed deed);

typedef struct sim_actor {
    sim_who who;
    const char *user;     /* "alice" */
    sim_node *node;       /* NULL: not in this run */
    bool roam;            /* else a peer */
    roam_account_id account;
    roam_call_id transfer; /* a roam whose peer asks to be transferred in this call; 0: none */
} sim_actor;

/* One call, as its device sees it. Texts are copied. */
typedef struct sim_view {
    uint32_t id;
    sim_phase phase;
    bool outgoing;
    bool settled;          /* nothing of its own is under way: no refresh, no change, no 2xx without ACK */
    char call_id[128], local_tag[64], remote_tag[64], target[256];
    uint32_t local_cseq, remote_cseq;
    bool local_hold, remote_hold;
    roam_addr media_local, media_remote; /* family 0: none */
    uint64_t sent, received; /* RTP; received: accepted */
} sim_view;

#define VIEW_MAX 16u
size_t actor_views(const sim_actor *actor, sim_view views[VIEW_MAX]);
/* The newest call that is not over; false: none. */
bool actor_view(const sim_actor *actor, sim_view *view);

/* Does what its user wants with the newest call. 0; ROAM_ESTATE or another roam_err: not possible now. */
int actor_do(sim_actor *actor, sim_deed deed, const sim_actor *whom);
bool actor_registered(const sim_actor *actor);

#endif

/* Peers and servers with character. A profile sets switches of a configuration, nothing else; a world is one server
 * profile and one peer profile, in any combination. docs/profiles.md says which products behave so. */
#ifndef ROAM_SIM_PROFILES_H
#define ROAM_SIM_PROFILES_H

#include "testbed/peer.h"
#include "testbed/server.h"

/* What a checker must not take for a fault of the agent. */
typedef enum sim_profile_excuse {
    EXCUSE_NONE = 0,
    EXCUSE_ENDS = 1u << 0,     /* the peer may end a call by itself (its facts say `ended_here`, or why) */
    EXCUSE_NO_MEDIA = 1u << 1, /* after a move there may be no sound: the peer never accepts the new address */
    EXCUSE_HOLDS = 1u << 2,    /* the peer may hold: silence by agreement */
    EXCUSE_SLOW = 1u << 3,     /* everything takes seconds longer */
    EXCUSE_REFUSES = 1u << 4   /* calls may be refused: 421, 503, busy */
} sim_profile_excuse;

/* What the world has to do for it, at times of its own choice. */
typedef enum sim_profile_deed {
    DEED_NONE = 0,
    DEED_MOVES = 1u << 0,    /* peer_move, after its host got the new address */
    DEED_RESTARTS = 1u << 1, /* testserver_restart */
    DEED_CALLS = 1u << 2     /* the peer calls the agent: as callee this profile is like any other */
} sim_profile_deed;

typedef struct sim_profile {
    const char *name;                             /* "no-update" */
    const char *words;                            /* what it is, in a sentence */
    void (*peer)(roam_peer_config *config);       /* NULL: it is a server's profile */
    void (*server)(roam_testserver_config *config); /* NULL: it is a peer's */
    unsigned phones; /* of the callee, all registered under its name; 0: one. See sim_profile_phone */
    unsigned excuses, deeds;
} sim_profile;

extern const sim_profile sim_peer_profiles[], sim_server_profiles[];
extern const size_t sim_npeer_profiles, sim_nserver_profiles; /* the first of each is plain: no switch is set */

/* NULL: there is none of that name. */
const sim_profile *sim_profile_find(const char *name);
/* The configuration of the callee's phone number `index`, from 0: the first is `peer` as it is, of the others one is
 * busy and one only rings. */
void sim_profile_phone(const sim_profile *server, unsigned index, roam_peer_config *peer);

#endif

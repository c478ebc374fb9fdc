/* Scenarios: who does what and when, as data. One for each row of docs/handover.md, "State by change". */
#ifndef ROAM_SIM_SCENARIO_H
#define ROAM_SIM_SCENARIO_H

#include "sim/actor.h"

/* What an act waits for, at the actor who does it. */
typedef enum sim_when {
    WHEN_NOW,
    WHEN_REGISTERED,
    WHEN_CALLING,   /* a call of its own is on its way, or rings */
    WHEN_INCOMING,  /* one rings here */
    WHEN_UP
} sim_when;

typedef struct sim_act {
    sim_who who;
    sim_when when;
    uint32_t after_ms; /* ... it has been so for so long */
    sim_deed deed;
    sim_who whom;      /* of DO_CALL, transfers, messages */
} sim_act;

#define SCENARIO_ACTS 8u
#define NEVER_MS UINT32_MAX

typedef struct sim_scenario {
    const char *name;
    const char *row;   /* what it shows, for --list */
    sim_act acts[SCENARIO_ACTS];
    size_t nacts;
    uint32_t answer_ms[SIM_ACTORS]; /* who answers a call by itself, after so long; NEVER_MS: an act does, or nobody */
    const char *peer, *server; /* the profiles it is about; NULL: any */
    uint32_t span_ms;   /* faults are drawn within this time; 0: 3.5 s */
    uint32_t lease_s;   /* alice registers for so long; 0: an hour */
    bool no_register;   /* alice does not */
    bool short_session; /* session timers of 90 s */
    bool carol;        /* takes part */
    bool use_update;   /* the account of alice refreshes by UPDATE where it may */
    bool bob_roams;    /* bob is a roam whatever the profile says */
} sim_scenario;

extern const sim_scenario sim_scenarios[];
extern const size_t sim_nscenarios;
const sim_scenario *scenario_find(const char *name); /* NULL: none */

#endif

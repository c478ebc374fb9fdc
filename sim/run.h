/* One run: a scenario, a profile and faults in a world, all from one seed. The same plan gives the same trace, byte for byte. */
#ifndef ROAM_SIM_RUN_H
#define ROAM_SIM_RUN_H

#include "roam/trace.h"
#include "sim/check.h"
#include "sim/fault.h"
#include "sim/profiles.h"
#include "sim/scenario.h"

typedef struct sim_plan {
    uint64_t seed;
    const sim_scenario *scenario;
    const sim_profile *peer;   /* NULL: bob is a roam */
    const sim_profile *server;
    uint32_t delay_ms;  /* one way, between alice and the first hop */
    bool nat;           /* alice is behind one; her peer follows the source of RTP */
    bool by_name;       /* alice's account names its registrar: it is asked for */
    bool patient;       /* 40 s more at the end: what comes late is seen */
    uint32_t skip;      /* acts left out, a bit each: what shrinking found to be of no matter */
    sim_fault faults[PLAN_FAULTS];
    size_t nfaults;
} sim_plan;

/* Everything from the seed. */
void plan_draw(sim_plan *plan, uint64_t seed);
/* What a scenario needs of the rest of its plan: some are about one profile. */
void plan_fit(sim_plan *plan);
/* The words after "roam sim " that repeat this run: "--seed 0x1 --scenario out ...". Terminated. */
#define PLAN_TEXT_MAX 900u
void plan_print(const sim_plan *plan, char text[PLAN_TEXT_MAX]);

/* Why a rule did not count in a run, from the moment of its cause on. None of them lets go of more than it says. */
typedef enum sim_excuse {
    EXCUSED_MEMORY,    /* a call or message ended, and said so, because an allocation was refused */
    EXCUSED_REFUSED,   /* ... because the peer or server of this profile refused it before it was up */
    EXCUSED_AWAY,      /* a call ended because no packet could pass for too long */
    EXCUSED_UNREACHED, /* it never reached the callee, whose address had changed, or whom the server had forgotten */
    EXCUSED_FORGOTTEN, /* the server forgot the transaction of a call that was not up, and its answers with it */
    EXCUSED_SILENT,    /* no sound after a move: the peer of this profile accepts no other address */
    SIM_EXCUSES
} sim_excuse;
const char *excuse_text(sim_excuse excuse); /* "memory" */

typedef struct sim_result {
    sim_rule rule; /* RULE_NONE: all was well */
    char text[400];
    roam_time time;  /* of the violation, after the start */
    uint64_t hash;   /* of all packets and events */
    uint32_t steps;  /* inputs of alice's agent */
    roam_time ended; /* virtual time used */
    uint64_t packets;
    unsigned excuses; /* bits of sim_excuse: what was not held against the agent */
} sim_result;

/* Who wants to see what happens. All may be NULL. */
typedef struct sim_spy {
    void (*packet)(void *user, const sim_packet *packet, bool own); /* as it leaves */
    void (*lost)(void *user, const sim_packet *packet);
    void (*note)(void *user, roam_time now, const char *text);      /* a fault, an act, the world heals */
    void (*event)(void *user, const sim_node *agent, const roam_event *event);
    roam_trace_fn *trace;                                           /* of alice's agent */
    /* For the mutation check: spoils things, before the checkers see them. */
    void (*spoil)(void *user, sim_packet *packet);
    void (*tick)(void *user, sim_check *check, sim_world *world, sim_actor actors[SIM_ACTORS], roam_time since_start);
    bool (*tap)(void *user, const sim_packet *packet);
    void *user;
    /* Filled in where not NULL: the steps before which a change makes a difference (a SIP message comes, or a timer that does something), and some others. */
    uint32_t *steps;
    size_t nsteps, max_steps;
} sim_spy;

void sim_run(const sim_plan *plan, sim_spy *spy, sim_result *result);

#endif

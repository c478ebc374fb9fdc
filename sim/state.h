/* A run while it runs: shared by run.c (set-up, script), device.c (what faults do) and heal.c (what must hold at the end). */
#ifndef ROAM_SIM_STATE_H
#define ROAM_SIM_STATE_H

#include "sim/profiles.h"
#include "sim/run.h"
#include "testbed/nat.h"

#define RUN_ATOMS 48u
#define RUN_PHONES 2u
#define OFFLINE_MAX ROAM_SECONDS(60) /* the default of the account */

typedef struct sim_run_state sim_run_state;

/* One change of the device at one time. */
typedef enum sim_atom_kind { ATOM_NETS, ATOM_HOLE, ATOM_SLEEP, ATOM_NAMES, ATOM_REFUSE, ATOM_MEMORY, ATOM_STARVE, ATOM_LINK, ATOM_REBIND, ATOM_PEER_NET, ATOM_RESTART } sim_atom_kind;

typedef struct sim_atom {
    roam_timer timer;
    sim_run_state *run;
    sim_atom_kind kind;
    int nets[2];    /* of ATOM_NETS: numbers of networks, the preferred one first; -1: none. ATOM_PEER_NET: the first */
    uint32_t value; /* of the others; 0 ends it */
} sim_atom;

/* The memory of an agent: counted, and refused when the plan says so. */
typedef struct sim_heap {
    size_t live;
    uint64_t count, refused;
    uint64_t fail_at;    /* this allocation is refused; 0: none */
    uint32_t one_in;     /* ... and one in so many; 0: none */
    roam_random random;
} sim_heap;

/* A call that somebody wished for. */
typedef struct sim_pair {
    sim_who caller, callee;
    uint32_t id;         /* of the caller's */
    bool heard;          /* the callee's, too */
    bool up;             /* it was up at both ends */
    bool over;           /* a user ended it, or it has ended for a reason that counts */
    bool forgotten;      /* the server forgot its INVITE before it was up: whoever waits for an answer, or rings, does so until it has had enough */
    uint64_t received[2]; /* RTP accepted, at the last look: at the caller, the callee */
} sim_pair;

#define WISH_PAIRS 2u

/* What the users want, and what became of it. */
typedef struct sim_wish {
    sim_pair pairs[WISH_PAIRS];
    size_t npairs;
    bool refused[SIM_ACTORS]; /* refuses whatever rings there */
    bool hold[SIM_ACTORS];
    uint32_t held[SIM_ACTORS]; /* which call: one that takes its place (RFC 3891) is not held */
    bool transfer;       /* one of alice and bob sends the other to carol */
    bool transfer_asked; /* bob does: what he hears of it is not looked at */
    roam_transfer_state transfer_state;
    bool subscribed;
    unsigned messages, answered; /* sent; answered */
    sim_who message_to;
    int message_code;    /* the last answer */
    unsigned message_heard; /* came to an agent */
    unsigned infos, infos_answered;
    unsigned excuses;    /* bits of sim_excuse: what was needed in this run */
} sim_wish;

struct sim_run_state {
    const sim_plan *plan;
    sim_spy *spy;
    sim_result *result;
    sim_world world;
    sim_check check;
    sim_heap heaps[SIM_ACTORS];
    sim_node *server;
    roam_nat nat;            /* before alice, where the plan says so */
    sim_actor actors[SIM_ACTORS];
    sim_actor phones[RUN_PHONES]; /* bob's others */
    bool bob_moves;          /* a FAULT_PEER moves him */
    bool no_media;           /* after a move there may be no sound */
    bool may_hold;           /* bob may hold by himself */
    bool may_end;            /* ... and end a call */
    bool may_refuse;         /* the peer or server may refuse a call that is not up */
    roam_time heal_max;
    sim_wish wish;
    roam_time start;
    uint64_t event_hash;

    enum { RUN_SCRIPT, RUN_HEAL, RUN_LATER } phase;
    roam_timer tick;
    unsigned ticks;
    size_t act;              /* the next one */
    roam_time since;         /* its condition holds since; ROAM_NEVER: it does not */
    roam_time act_began;     /* it is the next one since */
    roam_time answering[SIM_ACTORS]; /* a call rings there since; ROAM_NEVER: none */
    uint32_t rings[SIM_ACTORS];      /* which */
    roam_time script_done;
    roam_time last_fault;

    /* device */
    sim_atom atoms[RUN_ATOMS];
    size_t natoms;
    unsigned pending;        /* atoms not done */
    size_t faults_done;      /* bit mask of faults that began */
    int nets[2];
    int peer_net;
    bool moved, peer_moved;  /* alice, bob: has, or had, another address than at first */
    roam_time restarted_at;  /* the server; ROAM_NEVER: it did not */
    roam_time away_since;    /* no packet can pass since; ROAM_NEVER: some can */
    roam_time longest_away;

    /* steps of alice */
    uint32_t step;
    unsigned idle_steps;
    bool stirred;            /* this step did something */
    uint64_t refused;        /* allocations before this step */

    /* heal */
    roam_time healed_at;
    unsigned quiet;          /* checks in a row at which all was well */
    unsigned unwell;         /* checks in a row at which it was not, after it had been */
    roam_time later_until;
    int last_status[SIM_ACTORS]; /* how the last call of each roam ended */
    char last_end[128];      /* and alice's in words */
};

/* ---- device.c ---- */
void device_init(sim_run_state *run);
/* Faults that begin at this step, or (step 0) those that are timed. */
void device_schedule(sim_run_state *run);
void device_step(sim_run_state *run);
bool device_busy(const sim_run_state *run); /* a fault is still to come, or not over */
/* A working network, nothing lost, memory for everybody. */
void device_heal(sim_run_state *run);
void device_free(sim_run_state *run);

/* ---- heal.c ---- */
/* Is all as it should be? Else the first rule that is not met, and how. */
sim_rule heal_check(sim_run_state *run, char text[400]);
/* At every tick, healed or not: a call that ended and must not have. */
void heal_watch(sim_run_state *run);

/* An excuse was needed. */
void run_excuse(sim_run_state *run, sim_excuse excuse, const char *why);
void run_note(sim_run_state *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

/* What happens to the network and the device in a run: a plan, drawn from the seed or written by hand. */
#ifndef ROAM_SIM_FAULT_H
#define ROAM_SIM_FAULT_H

#include "base/random.h"
#include "roam/base.h"

typedef enum sim_fault_kind {
    FAULT_BREAK,   /* the address goes; after `lasts` there is another one */
    FAULT_MAKE,    /* a second network is there and preferred; after `lasts` the first one goes */
    FAULT_NONE,    /* nothing for `lasts`; then the same network again, or (more = 1) another one */
    FAULT_FLAP,    /* another network, and after `lasts` the first one again */
    FAULT_DOUBLE,  /* another network, and after `lasts` a third one */
    FAULT_HOLE,    /* all packets vanish for `lasts`, and nobody is told */
    FAULT_SLEEP,   /* the device sleeps for `lasts`; more = 1: it wakes on another network */
    FAULT_NAMES,   /* names are answered late by `lasts`, for good */
    FAULT_REFUSE,  /* the system refuses the next `more` sockets */
    FAULT_MEMORY,  /* the allocation after the next `more` is refused */
    FAULT_STARVE,  /* one allocation in `more` is refused, for `lasts` */
    FAULT_LINK,    /* loss, reordering, duplication, jitter, bandwidth for `lasts`; `more` says how bad */
    FAULT_REBIND,  /* the NAT before alice, where there is one, gives every mapping another port */
    FAULT_PEER,    /* bob, where he is a roam or a peer that moves, does a FAULT_BREAK */
    FAULT_RESTART, /* the server forgets bindings, nonces and transactions */
    SIM_FAULT_KINDS
} sim_fault_kind;
const char *fault_text(sim_fault_kind kind);  /* "break" */
const char *fault_words(sim_fault_kind kind); /* for --help */

typedef struct sim_fault {
    sim_fault_kind kind;
    bool by_step;      /* `at` is the number of an input of alice's agent; else milliseconds after the start */
    uint32_t at;
    uint32_t lasts_ms;
    uint32_t more;
} sim_fault;

#define PLAN_FAULTS 8u
#define FAULTS_TEXT_MAX 512u

/* Draws faults: which kinds there are in this run, how often, how long. Returns how many. */
size_t faults_draw(roam_random *random, sim_fault faults[PLAN_FAULTS], uint32_t within_ms);
/* One more of this kind; nothing where there are PLAN_FAULTS. */
void faults_add(roam_random *random, sim_fault_kind kind, uint32_t within_ms, sim_fault faults[PLAN_FAULTS], size_t *n);
/* "break@1200/40,none@#17/10000:1"; "none" where there are none. Terminated. */
void faults_print(const sim_fault *faults, size_t n, char text[FAULTS_TEXT_MAX]);
/* False: not understood. */
bool faults_parse(const char *text, sim_fault faults[PLAN_FAULTS], size_t *n);

struct roam_link_config;
/* How bad a link is, from a FAULT_LINK's `more`. */
void fault_link(uint32_t more, roam_time delay, struct roam_link_config *config);

#endif

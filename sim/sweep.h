/* The sweep: a scenario is run once without change, which counts its steps (a message comes, a timer does something); then once for each step, with a change put before it;
 * then with pairs of changes. */
#ifndef ROAM_SIM_SWEEP_H
#define ROAM_SIM_SWEEP_H

#include "sim/run.h"

typedef struct sim_sweep {
    struct sim_swept *swept; /* one for each scenario and profile */
    size_t nswept, cap;
    uint64_t count;          /* runs in all */
    bool pairs;
} sim_sweep;

/* `scenario`, NULL: all of them; each with plain profiles, and with a peer's and a server's in turn (`every`: with each of them). False: no memory.
 * `pairs`: two changes; all of them when `every`, else a sample of `sample` in all, drawn from `seed`. */
typedef struct sim_sweep_options {
    const sim_scenario *scenario;
    const sim_profile *peer, *server; /* NULL: in turn */
    bool pairs, every;
    uint64_t seed;
    uint64_t sample;
} sim_sweep_options;
bool sweep_init(sim_sweep *sweep, const sim_sweep_options *options);
void sweep_free(sim_sweep *sweep);
/* The plan of run number `index` below `count`. */
void sweep_plan(const sim_sweep *sweep, uint64_t index, sim_plan *plan);

#endif

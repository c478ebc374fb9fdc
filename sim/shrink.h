/* A shorter run that violates the same rule. */
#ifndef ROAM_SIM_SHRINK_H
#define ROAM_SIM_SHRINK_H

#include "sim/run.h"

/* Runs the plan, which may end the process: the command does it in another one. */
typedef sim_rule sim_trial_fn(void *user, const sim_plan *plan);

/* Makes `plan`, which violates `rule`, shorter for as long as it still does. Returns the number of trials, at most `limit`. */
unsigned plan_shrink(sim_plan *plan, sim_rule rule, unsigned limit, sim_trial_fn *trial, void *user);

#endif

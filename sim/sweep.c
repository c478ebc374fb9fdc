#include "sim/sweep.h"

#include <stdlib.h>

#define STEPS_MAX 1000u

/* The changes that are tried before each step. */
static const sim_fault changes[] = {
    {.kind = FAULT_BREAK, .by_step = true},
    {.kind = FAULT_MAKE, .by_step = true, .lasts_ms = 1000},
    {.kind = FAULT_NONE, .by_step = true, .lasts_ms = 10000, .more = 1},
};
enum { CHANGES = sizeof changes / sizeof *changes };

typedef struct sim_swept {
    sim_plan plan;
    uint32_t *steps;
    size_t nsteps;
    uint64_t first, runs; /* of the sweep's count */
} sim_swept;

static uint64_t singles(const sim_swept *s)
{
    return (uint64_t)s->nsteps * CHANGES;
}

static bool add(sim_sweep *sweep, const sim_plan *plan)
{
    if (sweep->nswept == sweep->cap) {
        size_t cap = sweep->cap ? 2 * sweep->cap : 64;
        sim_swept *swept = realloc(sweep->swept, cap * sizeof *swept);
        if (!swept)
            return false;
        sweep->swept = swept;
        sweep->cap = cap;
    }
    sim_swept *s = &sweep->swept[sweep->nswept];
    *s = (sim_swept){.plan = *plan, .steps = malloc(STEPS_MAX * sizeof *s->steps)};
    if (!s->steps)
        return false;
    sim_spy spy = {.steps = s->steps, .max_steps = STEPS_MAX};
    sim_result result;
    sim_run(plan, &spy, &result);
    s->nsteps = spy.nsteps;
    s->first = sweep->count;
    s->runs = 1 + (sweep->pairs ? singles(s) * singles(s) : singles(s));
    sweep->count += s->runs;
    sweep->nswept++;
    return true;
}

bool sweep_init(sim_sweep *sweep, const sim_sweep_options *options)
{
    *sweep = (sim_sweep){.pairs = options->pairs};
    const size_t peers = sim_npeer_profiles + 1, all = peers + sim_nserver_profiles - 1; /* the last peer is a roam */
    for (size_t i = 0; i < sim_nscenarios; i++)
        for (size_t k = 0; k < all; k++) {
            sim_plan plan = {.seed = options->seed + i * 64 + k, .scenario = &sim_scenarios[i], .peer = &sim_peer_profiles[0], .server = &sim_server_profiles[0], .delay_ms = 50};
            if (k < peers)
                plan.peer = k < sim_npeer_profiles ? &sim_peer_profiles[k] : NULL;
            else
                plan.server = &sim_server_profiles[k - peers + 1];
            bool chosen = options->every || k == 0 || k == 1 + i % (peers - 1) || k == peers + i % (sim_nserver_profiles - 1);
            if (options->peer || options->server) {
                chosen = k == 0;
                plan.peer = options->peer ? options->peer : plan.peer;
                plan.server = options->server ? options->server : plan.server;
            }
            plan_fit(&plan);
            if ((options->scenario && options->scenario != &sim_scenarios[i]) || !chosen)
                continue;
            if (!add(sweep, &plan)) {
                sweep_free(sweep);
                return false;
            }
        }
    return true;
}

void sweep_free(sim_sweep *sweep)
{
    for (size_t i = 0; i < sweep->nswept; i++)
        free(sweep->swept[i].steps);
    free(sweep->swept);
    *sweep = (sim_sweep){0};
}

static sim_fault single(const sim_swept *s, uint64_t number)
{
    sim_fault f = changes[number % CHANGES];
    f.at = s->steps[number / CHANGES];
    return f;
}

void sweep_plan(const sim_sweep *sweep, uint64_t index, sim_plan *plan)
{
    size_t i = 0;
    while (i + 1 < sweep->nswept && sweep->swept[i + 1].first <= index)
        i++;
    const sim_swept *s = &sweep->swept[i];
    uint64_t number = index - s->first;
    *plan = s->plan;
    if (number == 0)
        return; /* without any change */
    number--;
    plan->faults[plan->nfaults++] = single(s, number % singles(s));
    if (sweep->pairs) {
        sim_fault second = single(s, number / singles(s));
        second.at += 1; /* after the first one where both name the same step */
        plan->faults[plan->nfaults++] = second;
    }
}

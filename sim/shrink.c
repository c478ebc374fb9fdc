#include "sim/shrink.h"

typedef struct shrinking {
    sim_plan *plan;
    sim_rule rule;
    unsigned trials, limit;
    sim_trial_fn *trial;
    void *user;
} shrinking;

/* Takes over `shorter` when it still fails. */
static bool take(shrinking *s, const sim_plan *shorter)
{
    if (s->trials >= s->limit)
        return false;
    s->trials++;
    if (s->trial(s->user, shorter) != s->rule)
        return false;
    *s->plan = *shorter;
    return true;
}

static bool drop_faults(shrinking *s)
{
    bool any = false;
    for (size_t i = s->plan->nfaults; i-- > 0;) {
        sim_plan p = *s->plan;
        for (size_t k = i; k + 1 < p.nfaults; k++)
            p.faults[k] = p.faults[k + 1];
        p.nfaults--;
        any |= take(s, &p);
    }
    return any;
}

static bool drop_acts(shrinking *s)
{
    bool any = false;
    for (size_t i = s->plan->scenario->nacts; i-- > 1;) { /* the first one makes the call */
        sim_plan p = *s->plan;
        sim_deed deed = p.scenario->acts[i].deed;
        if ((p.skip >> i & 1u) || deed == DO_HANGUP || deed == DO_REJECT) /* without its end it is another scenario */
            continue;
        p.skip |= 1u << i;
        any |= take(s, &p);
    }
    return any;
}

static bool plainer(shrinking *s)
{
    bool any = false;
    sim_plan p = *s->plan;
    if (p.peer != &sim_peer_profiles[0]) {
        p.peer = &sim_peer_profiles[0];
        any |= take(s, &p);
    }
    p = *s->plan;
    if (p.server != &sim_server_profiles[0]) {
        p.server = &sim_server_profiles[0];
        any |= take(s, &p);
    }
    p = *s->plan;
    if (p.nat) {
        p.nat = false;
        any |= take(s, &p);
    }
    p = *s->plan;
    if (p.by_name) {
        p.by_name = false;
        any |= take(s, &p);
    }
    p = *s->plan;
    if (p.patient) {
        p.patient = false;
        any |= take(s, &p);
    }
    p = *s->plan;
    if (p.delay_ms != 50) {
        p.delay_ms = 50;
        any |= take(s, &p);
    }
    return any;
}

/* Simpler kinds of change, shorter ones, rounder times. */
static bool simpler_faults(shrinking *s)
{
    bool any = false;
    for (size_t i = 0; i < s->plan->nfaults; i++) {
        sim_fault f = s->plan->faults[i];
        sim_fault other[] = {f, f, f, f, f, f};
        other[0].kind = FAULT_BREAK;
        other[0].lasts_ms = other[0].more = 0;
        other[1].lasts_ms = 0;
        other[2].lasts_ms = f.lasts_ms / 2;
        other[3].lasts_ms = f.lasts_ms - f.lasts_ms % 100;
        other[4].more = 0;
        other[5].at = f.by_step ? f.at : f.at - f.at % 100;
        for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
            sim_plan p = *s->plan;
            if (memcmp(&p.faults[i], &other[k], sizeof other[k]) == 0)
                continue;
            p.faults[i] = other[k];
            if (take(s, &p)) {
                any = true;
                break;
            }
        }
    }
    return any;
}

unsigned plan_shrink(sim_plan *plan, sim_rule rule, unsigned limit, sim_trial_fn *trial, void *user)
{
    shrinking s = {plan, rule, 0, limit, trial, user};
    bool any = true;
    while (any && s.trials < limit) {
        any = drop_faults(&s);
        any |= drop_acts(&s);
        any |= plainer(&s);
        any |= simpler_faults(&s);
    }
    return s.trials;
}

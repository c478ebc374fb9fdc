/* What every object of the core is given: memory, time, timers, randomness, the trace. Nothing in roam is global. */
#ifndef ROAM_BASE_ENV_H
#define ROAM_BASE_ENV_H

#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"
#include "base/trace.h"

typedef struct roam_env {
    roam_mem mem;
    roam_time now; /* of the input being handled */
    roam_timers timers;
    roam_random random;
    roam_tracer trace;
    uint64_t hash_seed[2];
} roam_env;

void env_init(roam_env *env, const roam_allocator *allocator, const uint8_t seed[32], roam_trace_fn *trace, void *trace_user);
void env_free(roam_env *env);
/* Moves time forward (never back) and fires what is due, in order, at most up to `now`. Timers armed meanwhile wait for
 * the next call, even when they are due; timers_deadline() says so. */
void env_advance(roam_env *env, roam_time now);

static inline int env_arm(roam_env *env, roam_timer *timer, roam_time delay)
{
    return timer_arm(&env->timers, timer, delay > ROAM_NEVER - env->now ? ROAM_NEVER : env->now + delay);
}

static inline void env_cancel(roam_env *env, roam_timer *timer)
{
    timer_cancel(&env->timers, timer);
}

#endif

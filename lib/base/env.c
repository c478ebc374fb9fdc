/* The environment: made from the configuration, moved forward by inputs. */
#include "base/env.h"

void env_init(roam_env *env, const roam_allocator *allocator, const uint8_t seed[32], roam_trace_fn *trace, void *trace_user)
{
    *env = (roam_env){0};
    mem_init(&env->mem, allocator);
    timers_init(&env->timers, &env->mem);
    random_init(&env->random, seed);
    env->trace = (roam_tracer){trace, trace_user, &env->now};
    env->hash_seed[0] = random_u64(&env->random);
    env->hash_seed[1] = random_u64(&env->random);
}

void env_free(roam_env *env)
{
    timers_free(&env->timers);
}

void env_advance(roam_env *env, roam_time now)
{
    if (now > env->now)
        env->now = now;
    /* What a timer arms for "at once" fires at the next call, so no input runs for ever. */
    uint64_t barrier = env->timers.sequence;
    while (env->timers.count && env->timers.heap[0]->sequence < barrier) {
        roam_timer *timer = timers_pop_due(&env->timers, env->now);
        if (!timer)
            break;
        timer->fire(timer);
    }
}

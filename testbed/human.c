/* The user of a peer: slow to answer, restless in a call, and not fond of silence. */
#include "testbed/leg_inside.h"

#define LOOKS_UP_EVERY ROAM_MS(500) /* while it minds silence */

static void arm(roam_leg *leg);
static void next_deed(roam_leg *leg);
static bool silent(roam_leg *leg);
static void hang_up(roam_leg *leg, const char *why);

roam_time human_answers_after(roam_peer *peer)
{
    static const roam_time after[] = {ROAM_MS(100), ROAM_SECONDS(1), ROAM_SECONDS(4)};
    return peer->config.human.takes_its_time ? after[random_below(&peer->env.random, 3)] : peer->config.answer_after;
}

void human_begins(roam_leg *leg)
{
    const roam_human_config *human = &leg->peer->config.human;
    leg->act_at = ROAM_NEVER;
    leg->quiet_since = leg->peer->env.now;
    if (human->acts_max)
        next_deed(leg);
    arm(leg);
}

void human_due(roam_timer *timer)
{
    roam_leg *leg = container_of(timer, roam_leg, human_timer);
    roam_env *env = &leg->peer->env;
    const roam_human_config *human = &leg->peer->config.human;
    if (leg->state != LEG_CONFIRMED)
        return;
    if (human->on_silence != SILENCE_BORNE && silent(leg)) {
        if (human->on_silence == SILENCE_HANGS_UP)
            hang_up(leg, "heard nothing");
        else if (leg_change(leg, true, false, true) == ROAM_OK)
            leg->quiet_since = env->now;
    } else if (env->now >= leg->act_at) {
        if (random_below(&env->random, 100) < human->hangs_up)
            hang_up(leg, "the user hung up");
        else
            (void)leg_change(leg, !leg->local_hold, random_below(&env->random, 2) == 0, true); /* busy: another time */
        next_deed(leg);
    }
    if (leg->state == LEG_CONFIRMED)
        arm(leg);
}

static void arm(roam_leg *leg)
{
    roam_env *env = &leg->peer->env;
    roam_time next = leg->act_at;
    if (leg->peer->config.human.on_silence != SILENCE_BORNE && env->now + LOOKS_UP_EVERY < next)
        next = env->now + LOOKS_UP_EVERY;
    if (next != ROAM_NEVER)
        (void)timer_arm(&env->timers, &leg->human_timer, next); /* no memory: a user without a will */
}

static void next_deed(roam_leg *leg)
{
    const roam_human_config *human = &leg->peer->config.human;
    roam_env *env = &leg->peer->env;
    uint64_t range = human->acts_max > human->acts_min ? (human->acts_max - human->acts_min) / ROAM_MS(1) : 0;
    roam_time wait = human->acts_min;
    if (range)
        wait += ROAM_MS(random_below(&env->random, range < UINT32_MAX ? (uint32_t)range + 1 : UINT32_MAX));
    leg->act_at = env->now + (wait ? wait : ROAM_MS(1));
}

/* Nothing came for a while that offer and answer let us expect. */
static bool silent(roam_leg *leg)
{
    const roam_human_config *human = &leg->peer->config.human;
    roam_time now = leg->peer->env.now, patience = human->silence_after ? human->silence_after : ROAM_SECONDS(3);
    if (!(leg->audio.direction & DIRECTION_RECVONLY)) {
        leg->quiet_since = now;
        return false;
    }
    if (leg->audio.received && leg->audio.last_received > leg->quiet_since)
        leg->quiet_since = leg->audio.last_received;
    return now - leg->quiet_since >= patience;
}

static void hang_up(roam_leg *leg, const char *why)
{
    leg->ended_here = true;
    leg->end_why = why;
    (void)leg_hangup(leg);
}

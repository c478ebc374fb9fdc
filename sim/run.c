#include "sim/run.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/state.h"

#define TICK ROAM_MS(20)
#define SCRIPT_MAX ROAM_SECONDS(150) /* a script that waits for what does not come is over then */
#define ACT_MAX ROAM_SECONDS(40)     /* ... and one of its acts */
#define SETTLE_MAX ROAM_SECONDS(12)  /* ... and the wait for an answer after the last one */
#define TAIL ROAM_MS(600)            /* after the last act or fault */
#define HEAL_MAX ROAM_SECONDS(75)    /* within this all must be well: two time-outs of a transaction, and a back-off */
#define QUIET 3u                     /* looks in a row, 200 ms apart */
#define UNWELL 25u                   /* the same: so long something may be under way */
#define LATER ROAM_SECONDS(40)

/* ---- plans ---- */

static bool calls(const sim_scenario *scenario, sim_who who, sim_who whom)
{
    return scenario->nacts && scenario->acts[0].deed == DO_CALL && scenario->acts[0].who == who && scenario->acts[0].whom == whom;
}

/* Does a FAULT_PEER do anything? */
static bool moves(const sim_plan *plan)
{
    return plan->scenario->bob_roams || !plan->peer || (plan->peer->deeds & DEED_MOVES);
}

void plan_draw(sim_plan *plan, uint64_t seed)
{
    uint8_t bytes[32] = "roam plan";
    roam_random random;
    memcpy(bytes + 16, &seed, sizeof seed);
    random_init(&random, bytes);
    *plan = (sim_plan){.seed = seed};
    plan->scenario = &sim_scenarios[random_below(&random, (uint32_t)sim_nscenarios)];
    /* One in three is plain, and some are a roam. */
    uint32_t peer = random_below(&random, 3) == 0 ? 0 : random_below(&random, (uint32_t)sim_npeer_profiles + 4);
    plan->peer = peer < sim_npeer_profiles ? &sim_peer_profiles[peer] : NULL;
    plan->server = &sim_server_profiles[random_below(&random, 2) == 0 ? 0 : random_below(&random, (uint32_t)sim_nserver_profiles)];
    static const uint32_t delays[] = {1, 5, 20, 50, 50, 150, 300};
    plan->delay_ms = delays[random_below(&random, sizeof delays / sizeof *delays)];
    plan->by_name = random_below(&random, 4) == 0;
    plan->patient = random_below(&random, 16) == 0;
    plan->nat = random_below(&random, 8) == 0;
    if (plan->nat)
        plan->peer = sim_profile_find("follows");
    /* One that shows its character only when it calls. */
    while (plan->peer && (plan->peer->deeds & DEED_CALLS) && !calls(plan->scenario, BOB, ALICE))
        plan->scenario = &sim_scenarios[random_below(&random, (uint32_t)sim_nscenarios)];
    plan_fit(plan);
    uint32_t within_ms = plan->scenario->span_ms ? plan->scenario->span_ms : 3500;
    plan->nfaults = faults_draw(&random, plan->faults, within_ms);
    if (moves(plan))
        faults_add(&random, FAULT_PEER, within_ms, plan->faults, &plan->nfaults);
    if (plan->server->deeds & DEED_RESTARTS)
        faults_add(&random, FAULT_RESTART, within_ms, plan->faults, &plan->nfaults);
}

void plan_fit(sim_plan *plan)
{
    const sim_scenario *s = plan->scenario;
    if (s->peer && !plan->nat)
        plan->peer = sim_profile_find(s->peer);
    if (s->server)
        plan->server = sim_profile_find(s->server);
    if (plan->nat && plan->server == sim_profile_find("no-record-route")) /* the NAT lets in only those that were sent to: a peer that moves cannot reach us */
        plan->server = &sim_server_profiles[0];
    if (s->no_register && plan->server == sim_profile_find("edge")) /* which wants a REGISTER */
        plan->server = &sim_server_profiles[0];
}

void plan_print(const sim_plan *plan, char text[PLAN_TEXT_MAX])
{
    char faults[FAULTS_TEXT_MAX];
    faults_print(plan->faults, plan->nfaults, faults);
    snprintf(text, PLAN_TEXT_MAX, "--seed 0x%llx --scenario %s --peer %s --server %s --delay %u --faults %s%s%s%s", (unsigned long long)plan->seed, plan->scenario->name,
             plan->peer ? plan->peer->name : "roam", plan->server->name, plan->delay_ms, faults, plan->nat ? " --nat" : "", plan->by_name ? " --by-name" : "", plan->patient ? " --patient" : "");
    size_t len = strlen(text);
    if (plan->skip)
        snprintf(text + len, PLAN_TEXT_MAX - len, " --skip 0x%x", plan->skip);
}

/* ---- excuses ---- */

const char *excuse_text(sim_excuse excuse)
{
    static const char *const text[] = {"memory", "refused", "away", "unreached", "forgotten", "silent"};
    return text[excuse];
}

void run_excuse(sim_run_state *run, sim_excuse excuse, const char *why)
{
    if (!(run->wish.excuses >> excuse & 1u))
        run_note(run, "excused (%s): %s", excuse_text(excuse), why);
    run->wish.excuses |= 1u << excuse;
}

/* ---- memory of the agents ---- */

static void *heap_realloc(void *user, void *ptr, size_t size)
{
    sim_heap *heap = user;
    if (size == 0) {
        heap->live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    heap->count++;
    if (heap->count == heap->fail_at || (heap->one_in && random_below(&heap->random, heap->one_in) == 0)) {
        heap->refused++;
        return NULL;
    }
    void *p = realloc(ptr, size);
    heap->live += p && !ptr;
    return p;
}

/* ---- watching ---- */

void run_note(sim_run_state *run, const char *format, ...)
{
    char text[256];
    va_list args;
    if (!run->spy || !run->spy->note)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    run->spy->note(run->spy->user, run->world.now, text);
}

static void on_sent(void *user, sim_packet *packet, bool own)
{
    sim_run_state *run = user;
    if (run->spy && run->spy->spoil)
        run->spy->spoil(run->spy->user, packet);
    if (run->spy && run->spy->packet)
        run->spy->packet(run->spy->user, packet, own);
    run->stirred |= packet->sender == run->actors[ALICE].node && !packet_is_rtp(packet);
    check_sent(&run->check, packet, own);
}

static void on_step(void *user, sim_node *agent, const sim_packet *packet)
{
    sim_run_state *run = user;
    if (agent != run->actors[ALICE].node)
        return;
    run->step++;
    run->refused = run->heaps[ALICE].refused;
    run->stirred = packet && !packet_is_rtp(packet);
    device_step(run);
}

static void on_arrives(void *user, sim_node *agent, const sim_packet *packet)
{
    sim_run_state *run = user;
    check_arrives(&run->check, agent, packet);
}

static void on_stepped(void *user, sim_node *agent, const sim_packet *packet)
{
    sim_run_state *run = user;
    check_stepped(&run->check, agent);
    if (agent == run->actors[ALICE].node && run->refused != run->heaps[ALICE].refused) {
        run->check.starved = true;
        run->check.epoch += packet != NULL; /* as if it had been lost */
    }
    bool idle = !run->stirred && run->step % 16 == 0 && run->idle_steps < 12; /* and now and then one at which nothing happens: a call that is up and idle */
    if (agent == run->actors[ALICE].node && (run->stirred || idle) && run->phase == RUN_SCRIPT && run->spy && run->spy->steps && run->spy->nsteps < run->spy->max_steps)
    {
        run->idle_steps += idle;
        run->spy->steps[run->spy->nsteps++] = run->step;
    }
}

static void check_registered(sim_run_state *run, const sim_node *agent, const roam_event *e)
{
    const sim_actor *actor = &run->actors[agent == run->actors[ALICE].node ? ALICE : BOB];
    const roam_aor *aor = registrar_find(&run->server->server->registrar, span_of(actor->user));
    if (run->restarted_at != ROAM_NEVER && run->world.now - run->restarted_at < ROAM_SECONDS(3))
        return; /* it was told before the server forgot it */
    if (e->registration == ROAM_REGISTRATION_REGISTERED && (!aor || aor->nbindings == 0))
        check_violated(&run->check, RULE_TRUTH, "%s is told registered, and the registrar has no binding", actor->user);
}

static void on_event(void *user, sim_node *agent, const roam_event *e)
{
    sim_run_state *run = user;
    const uint64_t facts[] = {run->event_hash, (uint64_t)e->type, e->time, e->account, e->call, (uint64_t)e->sip_code, (uint64_t)e->status, (uint64_t)e->registration,
                              (uint64_t)e->call_state, (uint64_t)e->hold, (uint64_t)e->link, (uint64_t)e->op, e->epoch};
    static const uint64_t seed[2] = {21, 22};
    run->event_hash = roam_siphash(seed, span_make((const char *)facts, sizeof facts));
    run->stirred |= agent == run->actors[ALICE].node;
    if (run->spy && run->spy->event)
        run->spy->event(run->spy->user, agent, e);
    for (size_t i = 0; i < SIM_ACTORS && e->type == ROAM_EVENT_CALL_STATE && e->call_state == ROAM_CALL_ENDED; i++) {
        if (run->actors[i].node != agent)
            continue;
        run->last_status[i] = e->sip_code ? e->sip_code : e->status;
        if (i == ALICE)
            snprintf(run->last_end, sizeof run->last_end, "%d %s", run->last_status[i], e->reason);
    }
    for (size_t i = 0; i < SIM_ACTORS && e->type == ROAM_EVENT_CALL_TRANSFER_REQUESTED; i++)
        if (run->actors[i].node == agent)
            run->actors[i].transfer = e->call;
    if (agent == run->actors[ALICE].node && e->type == ROAM_EVENT_CALL_TRANSFER)
        run->wish.transfer_state = e->transfer;
    run->wish.message_heard += e->type == ROAM_EVENT_MESSAGE;
    run->wish.infos_answered += e->type == ROAM_EVENT_CALL_INFO && !e->content_type.len;
    if (e->type == ROAM_EVENT_MESSAGE_SENT) {
        run->wish.answered++;
        run->wish.message_code = e->sip_code ? e->sip_code : e->status;
    }
    check_event(&run->check, agent, e);
    if (e->type == ROAM_EVENT_REGISTRATION)
        check_registered(run, agent, e);
}

/* ---- the cast ---- */

static const char *const users[] = {"alice:secret", "bob:hidden", "carol:third", NULL};
static const char *const passwords[] = {"secret", "hidden", "third"};
static const char *const homes[] = {NULL, "198.51.100.9:5060", "198.51.100.11:5060"};
static const char *const phones[] = {"198.51.100.21:5060", "198.51.100.22:5060"};

static void add_peer(sim_run_state *run, sim_who who, unsigned phone)
{
    const sim_plan *plan = run->plan;
    roam_peer_config config = {0};
    (plan->peer ? plan->peer : &sim_peer_profiles[0])->peer(&config);
    config.user = who_text(who);
    config.domain = "example.com";
    config.password = passwords[who];
    config.proxy = sim_addr("192.0.2.1:5060");
    config.audio.max_log = 1;
    /* Its own request may be lost with the address it went to. RFC 3261 12.2.1.2 then lets it end the call, and nothing that we send could hinder it: one that tries again shows more. */
    config.patient = true;
    uint32_t answer = run->plan->scenario->answer_ms[who];
    config.answer = answer == NEVER_MS ? PEER_RINGS : PEER_ANSWERS;
    config.answer_after = answer == NEVER_MS ? 0 : ROAM_MS(answer);
    sim_profile_phone(plan->server, phone, &config);
    sim_actor *actor = phone ? &run->phones[phone - 1] : &run->actors[who];
    actor->node = world_peer(&run->world, phone ? phones[phone - 1] : homes[who], &config);
    peer_register(actor->node->peer, run->world.now);
}

static void add_agent(sim_run_state *run, sim_who who)
{
    sim_actor *actor = &run->actors[who];
    roam_ua_config config;
    roam_account_config account;
    uint8_t seed[32] = {(uint8_t)(who + 1)};
    random_init(&run->heaps[who].random, seed);
    roam_allocator allocator = {heap_realloc, &run->heaps[who]};
    roam_ua_config_default(&config);
    config.allocator = &allocator;
    if (who == ALICE && run->spy && run->spy->trace) {
        config.trace = run->spy->trace;
        config.trace_user = run->spy->user;
    }
    actor->roam = true;
    actor->node = world_agent(&run->world, who_text(who), &config);
    if (who == ALICE && run->plan->nat) {
        const roam_nat_config nat = {.external = sim_ip("203.0.113.1"), .filtering = NAT_ADDRESS_AND_PORT_DEPENDENT};
        int failed = nat_init(&run->nat, &run->world.mem, seed, &nat);
        assert(failed == 0);
        (void)failed;
        actor->node->nat = &run->nat;
    }
    if (who == ALICE) {
        device_init(run);
    } else {
        const char *const addrs[] = {"198.51.100.9", NULL};
        world_set_addrs(actor->node, addrs);
    }
    roam_account_config_default(&account);
    account.aor = who == ALICE ? "sip:alice@example.com" : "sip:bob@example.com";
    account.password = passwords[who];
    bool named = who == ALICE && run->plan->by_name;
    account.registrar = named ? "sip:example.com" : "sip:192.0.2.1";
    account.outbound_proxy = named ? "sip:example.com;lr" : "sip:192.0.2.1;lr";
    if (run->plan->scenario->short_session)
        account.session_expires = 90;
    if (who == ALICE && run->plan->scenario->lease_s)
        account.expires = run->plan->scenario->lease_s;
    account.register_on_add = who != ALICE || !run->plan->scenario->no_register;
    account.ip_change.use_update = who == ALICE && run->plan->scenario->use_update;
    int err = roam_account_add(actor->node->ua, &account, &actor->account);
    assert(err == 0);
    (void)err;
    world_flush(actor->node);
}

static void set_up(sim_run_state *run)
{
    const sim_plan *plan = run->plan;
    world_init(&run->world, plan->seed, ROAM_MS(plan->delay_ms));
    check_init(&run->check, &run->world);
    for (size_t i = 0; i < SIM_ACTORS; i++) {
        run->actors[i] = (sim_actor){.who = (sim_who)i, .user = who_text((sim_who)i)};
        run->answering[i] = ROAM_NEVER;
    }
    for (size_t i = 0; i < RUN_PHONES; i++)
        run->phones[i] = (sim_actor){.who = BOB, .user = "bob"};
    run->world.watcher = (sim_watcher){on_sent, on_step, on_arrives, on_stepped, on_event, run};
    if (run->spy && run->spy->tap) {
        run->world.tap = run->spy->tap;
        run->world.user = run->spy->user;
    }
    world_name(&run->world, "example.com", "192.0.2.1");
    roam_testserver_config server = {0};
    plan->server->server(&server);
    for (size_t i = 0; i < plan->nfaults; i++)
        if (plan->faults[i].kind == FAULT_RESTART)
            server.registrar.max_expires = 60; /* so that clients come back */
    run->server = world_server(&run->world, "192.0.2.1:5060", &server, users);
    bool roams = plan->scenario->bob_roams || !plan->peer;
    unsigned excuses = plan->server->excuses | (plan->peer && !roams ? plan->peer->excuses : 0);
    run->heal_max = excuses & EXCUSE_SLOW || server.registrar.max_expires ? 2 * HEAL_MAX : HEAL_MAX;
    run->no_media = excuses & EXCUSE_NO_MEDIA;
    run->may_hold = excuses & EXCUSE_HOLDS;
    run->may_end = excuses & EXCUSE_ENDS;
    run->may_refuse = excuses & EXCUSE_REFUSES;
    run->bob_moves = moves(plan);
    run->restarted_at = ROAM_NEVER;
    if (roams)
        add_agent(run, BOB);
    else
        add_peer(run, BOB, 0);
    for (unsigned i = 1; i < plan->server->phones; i++)
        add_peer(run, BOB, i);
    if (plan->scenario->carol)
        add_peer(run, CAROL, 0);
    world_run(&run->world, ROAM_MS(plan->delay_ms) * (roams ? 6 : 0) + ROAM_MS(20));
    run->start = run->world.now;
    run->since = ROAM_NEVER;
    run->act_began = run->start;
    run->last_fault = run->start;
    add_agent(run, ALICE);
}

/* ---- the script ---- */

static bool is_there(const sim_run_state *run, sim_who who)
{
    return (who == ALICE && run->plan->scenario->no_register) || actor_registered(&run->actors[who]);
}

static bool holds(sim_run_state *run, const sim_act *act)
{
    const sim_actor *actor = &run->actors[act->who];
    sim_view v;
    bool call = actor_view(actor, &v);
    switch (act->when) {
    case WHEN_NOW: return true;
    case WHEN_REGISTERED: return is_there(run, act->who) && is_there(run, act->whom);
    case WHEN_CALLING: return call && (v.phase == PHASE_CALLING || v.phase == PHASE_RINGING);
    case WHEN_INCOMING: return call && v.phase == PHASE_INCOMING;
    case WHEN_UP: return call && v.phase == PHASE_UP && (act->deed != DO_CALL || is_there(run, act->whom));
    }
    return false;
}

static void remember(sim_run_state *run, const sim_act *act)
{
    sim_wish *wish = &run->wish;
    sim_pair *pair = wish->npairs ? &wish->pairs[wish->npairs - 1] : NULL;
    sim_view v;
    switch (act->deed) {
    case DO_CALL:
        assert(wish->npairs < WISH_PAIRS);
        pair = &wish->pairs[wish->npairs++];
        *pair = (sim_pair){.caller = act->who, .callee = act->whom};
        pair->id = actor_view(&run->actors[act->who], &v) && (wish->npairs < 2 || v.id != wish->pairs[0].id) ? v.id : UINT32_MAX; /* it may be over already */
        break;
    case DO_REJECT: wish->refused[act->who] = true; /* fall through */
    case DO_HANGUP:
        if (pair)
            pair->over = true;
        break;
    case DO_TRANSFER:
    case DO_ATTENDED:
        wish->transfer = true;
        wish->transfer_asked = act->who != ALICE;
        wish->transfer_state = ROAM_TRANSFER_PENDING;
        break;
    case DO_INFO: wish->infos++; break;
    case DO_MESSAGE:
        wish->messages++;
        wish->message_to = act->whom;
        break;
    case DO_SUBSCRIBE: wish->subscribed = true; break;
    case DO_HOLD:
        wish->hold[act->who] = true;
        wish->held[act->who] = actor_view(&run->actors[act->who], &v) ? v.id : 0;
        break;
    case DO_RESUME: wish->hold[act->who] = false; break;
    default: break;
    }
}

static void next_act(sim_run_state *run)
{
    run->act++;
    run->since = ROAM_NEVER;
    run->act_began = run->world.now;
}

static void play(sim_run_state *run)
{
    const sim_scenario *scenario = run->plan->scenario;
    while (run->act < scenario->nacts && (run->plan->skip >> run->act & 1u))
        next_act(run);
    if (run->act >= scenario->nacts)
        return;
    const sim_act *act = &scenario->acts[run->act];
    roam_time now = run->world.now;
    if (!holds(run, act)) {
        run->since = ROAM_NEVER;
        if (now - run->act_began > ACT_MAX)
            next_act(run);
        return;
    }
    if (run->since == ROAM_NEVER)
        run->since = now;
    if (now - run->since < ROAM_MS(act->after_ms))
        return;
    int err = actor_do(&run->actors[act->who], act->deed, &run->actors[act->whom]);
    run_note(run, "%s: %s%s%s%s%s", who_text(act->who), deed_text(act->deed), act->deed == DO_CALL ? " " : "", act->deed == DO_CALL ? who_text(act->whom) : "", err ? ": " : "",
             err ? roam_strerror(err) : "");
    if (err == 0) {
        remember(run, act);
        next_act(run);
    } else if (now - run->act_began > ACT_MAX) {
        next_act(run);
    }
}

/* A user answers what rings at a roam. */
static void answer(sim_run_state *run, sim_who who)
{
    uint32_t after = run->plan->scenario->answer_ms[who];
    sim_actor *actor = &run->actors[who];
    sim_view v;
    if (run->wish.refused[who] && actor_view(actor, &v) && v.phase == PHASE_INCOMING) { /* it rings again: a call that was repeated after a change */
        run_note(run, "%s refuses again", actor->user);
        actor_do(actor, DO_REJECT, NULL);
        return;
    }
    if (!actor->node || !actor->roam || after == NEVER_MS)
        return;
    if (!actor_view(actor, &v) || v.phase != PHASE_INCOMING) {
        run->answering[who] = ROAM_NEVER;
        return;
    }
    if (run->answering[who] == ROAM_NEVER || run->rings[who] != v.id) {
        run->answering[who] = run->world.now;
        run->rings[who] = v.id;
    }
    if (run->world.now - run->answering[who] >= ROAM_MS(after)) {
        int err = actor_do(actor, DO_ANSWER, NULL);
        run_note(run, "%s answers%s%s", actor->user, err ? ": " : "", err ? roam_strerror(err) : "");
    }
}

/* ---- phases ---- */

static void heal(sim_run_state *run)
{
    run->phase = RUN_HEAL;
    run->healed_at = run->world.now;
    run_note(run, "the world heals");
    device_heal(run);
}

/* Where both moved, a time-out of a transaction comes before offline_max, and another one after it. */
static roam_time heal_max(const sim_run_state *run)
{
    return run->moved && run->peer_moved ? 2 * HEAL_MAX : run->heal_max;
}

static void look(sim_run_state *run)
{
    char text[400] = "";
    roam_time now = run->world.now;
    sim_rule rule = heal_check(run, text);
    if (rule == RULE_NONE)
        run->quiet++;
    else
        run->quiet = 0;
    if (run->phase == RUN_LATER) { /* what is refreshed just now is well again soon */
        bool well = rule == RULE_NONE || rule == RULE_RTP;
        run->unwell = well ? 0 : run->unwell + 1;
        if (run->unwell >= UNWELL && now >= run->later_until)
            check_violated(&run->check, rule, "40 s after all was well: %s", text);
        run->world.halt |= well && now >= run->later_until;
        return;
    }
    if (run->quiet >= QUIET) {
        run->phase = RUN_LATER;
        run->later_until = now + (run->plan->patient ? LATER : 0);
        run->world.halt = !run->plan->patient;
    } else if (now - run->healed_at > heal_max(run)) {
        check_violated(&run->check, rule == RULE_NONE ? RULE_RTP : rule, "%u s after the network is whole: %s", (unsigned)(heal_max(run) / 1000000u), text);
    }
}

static void tick(roam_timer *timer)
{
    sim_run_state *run = container_of(timer, sim_run_state, tick);
    world_at(&run->world, timer, run->world.now + TICK);
    run->ticks++;
    if (run->spy && run->spy->tick)
        run->spy->tick(run->spy->user, &run->check, &run->world, run->actors, run->world.now - run->start);
    device_schedule(run);
    if (!run->actors[ALICE].node->asleep)
        answer(run, ALICE);
    answer(run, BOB);
    if (run->phase == RUN_SCRIPT) {
        if (!run->actors[ALICE].node->asleep)
            play(run);
        const sim_wish *wish = &run->wish;
        bool settled = true;
        for (size_t i = 0; i < wish->npairs; i++)
            settled &= wish->pairs[i].up || wish->pairs[i].over;
        bool met = settled || run->world.now - run->act_began > SETTLE_MAX;
        sim_view there;
        bool transferred = wish->transfer_asked ? actor_view(&run->actors[CAROL], &there) && there.phase == PHASE_UP : wish->transfer_state >= ROAM_TRANSFER_DONE;
        if (wish->transfer && !transferred && run->world.now - run->act_began < SETTLE_MAX)
            met = false;
        bool done = run->act >= run->plan->scenario->nacts && met && !device_busy(run);
        if (!done)
            run->script_done = run->world.now;
        roam_time quiet_since = run->script_done > run->last_fault ? run->script_done : run->last_fault;
        if (done && !wish->npairs)
            quiet_since += ROAM_SECONDS(1);
        if ((run->world.now > quiet_since && run->world.now - quiet_since >= TAIL) || run->world.now - run->start > SCRIPT_MAX)
            heal(run);
    }
    for (size_t i = 0; i < SIM_ACTORS; i++) {
        sim_actor *actor = &run->actors[i];
        if (!actor->transfer || !actor->roam || actor->node->asleep)
            continue;
        int err = actor_do(actor, DO_ACCEPT_TRANSFER, NULL);
        run_note(run, "%s accepts the transfer%s%s", actor->user, err ? ": " : "", err ? roam_strerror(err) : "");
        if (err != ROAM_ENOMEM)
            actor->transfer = 0;
    }
    heal_watch(run);
    if (run->phase != RUN_SCRIPT && run->ticks % 10 == 0)
        look(run);
}

static void tear_down(sim_run_state *run)
{
    for (size_t i = 0; i < SIM_ACTORS; i++) {
        sim_actor *actor = &run->actors[i];
        if (!actor->roam)
            continue;
        roam_ua_free(actor->node->ua);
        actor->node->ua = NULL;
        if (run->heaps[i].live)
            check_violated(&run->check, RULE_LEAK, "%zu blocks of %s's agent are left", run->heaps[i].live, actor->user);
    }
    timer_cancel(&run->world.acts, &run->tick);
    device_free(run);
    check_free(&run->check);
    if (run->plan->nat)
        nat_free(&run->nat);
    world_free(&run->world);
}

void sim_run(const sim_plan *plan, sim_spy *spy, sim_result *result)
{
    sim_run_state *run = calloc(1, sizeof *run);
    assert(run);
    run->plan = plan;
    run->spy = spy;
    run->result = result;
    set_up(run);
    timer_init(&run->tick, tick, "tick");
    world_at(&run->world, &run->tick, run->world.now);
    world_run_until(&run->world, run->start + SCRIPT_MAX + 2 * HEAL_MAX + LATER + ROAM_SECONDS(10));
    if (run->world.stuck)
        check_violated(&run->check, RULE_DEADLINE, "%s is due again and again at the same time", run->world.stuck->name);
    *result = (sim_result){.steps = run->step, .ended = run->world.now - run->start, .packets = run->world.sent, .excuses = run->wish.excuses};
    const uint64_t hashes[] = {run->world.hash, run->event_hash, run->world.sent, run->world.now};
    static const uint64_t seed[2] = {31, 32};
    result->hash = roam_siphash(seed, span_make((const char *)hashes, sizeof hashes));
    tear_down(run);
    result->rule = run->check.rule;
    result->time = run->check.time - run->start;
    memcpy(result->text, run->check.text, sizeof result->text);
    free(run);
}

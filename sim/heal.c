#include "sim/state.h"

#include <stdio.h>

#include "testbed/nat.h"
#include "testbed/peer.h"
#include "testbed/server.h"

static const char *text_of_addr(const roam_addr *addr, char *space)
{
    if (!addr->ip.family)
        return "none";
    roam_addr_format(addr, space);
    return space;
}

/* ---- registrations ---- */

static bool on_device(const sim_node *node, const roam_ip *ip)
{
    for (size_t i = 0; i < node->naddrs; i++)
        if (roam_ip_equal(&node->addrs[i].ip, ip))
            return true;
    return node->nat && roam_ip_equal(&node->nat->config.external, ip);
}

static sim_rule binding_of(sim_run_state *run, const sim_actor *actor, char text[400])
{
    const roam_aor *aor = registrar_find(&run->server->server->registrar, span_of(actor->user));
    roam_account_info info;
    if (!actor->node || !actor->roam || (actor->who == ALICE && run->plan->scenario->no_register))
        return RULE_NONE;
    if (roam_account_get_info(actor->node->ua, actor->account, &info) != 0 || info.registration != ROAM_REGISTRATION_REGISTERED) {
        snprintf(text, 400, "%s is %s (last status %d)", actor->user, roam_registration_state_text(info.registration), info.last_status);
        return RULE_BINDING;
    }
    /* Behind a registrar that rewrites every Contact to the source nobody can name an old binding: it runs out. Other phones have bindings of their own. */
    bool more = run->server->server->registrar.config.rewrite_contact || (actor->who == BOB && run->phones[0].node);
    size_t live = 0;
    if (aor)
        list_each(b, &aor->bindings, roam_binding, node)
            live += on_device(actor->node, &b->source.ip);
    if (live < 1 || (!more && aor->nbindings != 1)) {
        snprintf(text, 400, "%s has %zu bindings, %zu of them on an address of its device", actor->user, aor ? aor->nbindings : 0, live);
        return RULE_BINDING;
    }
    return RULE_NONE;
}

/* ---- the call ---- */

/* What this device has of that call; false: nothing, or it is being ended. A roam keeps its id whatever happens below; a peer has another call where it was replaced. */
static bool view_of(const sim_run_state *run, const sim_pair *pair, sim_who who, sim_view *v)
{
    sim_view views[VIEW_MAX];
    const sim_actor *actor = &run->actors[who];
    bool first = pair == &run->wish.pairs[0];
    if (who != pair->caller)
        return actor_view(actor, v);
    size_t n = actor_views(actor, views);
    for (size_t i = 0; i < n; i++)
        if (views[i].id == pair->id && views[i].phase != PHASE_CLOSING) {
            *v = views[i];
            return true;
        }
    uint32_t others = run->wish.npairs > 1 && run->wish.pairs[1].caller == who ? run->wish.pairs[1].id : 0;
    for (size_t i = n; i-- > 0 && !actor->roam && first && pair->id != UINT32_MAX;)
        if (views[i].id != others && views[i].phase != PHASE_CLOSING) {
            *v = views[i];
            return true;
        }
    return false;
}

/* Calls that this user is in, as the users want it. */
static size_t calls_wanted(const sim_wish *wish, sim_who who)
{
    size_t n = 0;
    for (size_t i = 0; i < wish->npairs; i++)
        n += !wish->pairs[i].over && (wish->pairs[i].caller == who || wish->pairs[i].callee == who);
    return n;
}

/* This device's side of that call, which is up, and no more calls than there should be; false: not so, or not settled, said in `text`. */
static bool is_up(const sim_run_state *run, const sim_pair *pair, sim_who who, sim_view *v, char text[400])
{
    const sim_actor *actor = &run->actors[who];
    sim_view views[VIEW_MAX];
    size_t n = actor_views(actor, views);
    bool has = n > 0 && view_of(run, pair, who, v);
    if (!has && n == 1) {
        snprintf(text, 400, "%s's call is %s", actor->user, phase_text(views[0].phase));
        return false;
    }
    if (!has) {
        snprintf(text, 400, "%s has %s", actor->user, n ? "not this call" : "no call");
        return false;
    }
    if (n > calls_wanted(&run->wish, who)) {
        snprintf(text, 400, "%s has %zu calls (%s and %s)", actor->user, n, phase_text(views[0].phase), n > 1 ? phase_text(views[1].phase) : "");
        return false;
    }
    if (v->phase != PHASE_UP || !v->settled)
        snprintf(text, 400, "%s's call is %s%s", actor->user, phase_text(v->phase), v->phase == PHASE_UP ? ", and something is under way" : "");
    return v->phase == PHASE_UP && v->settled;
}

/* It rings at another phone of bob's, and his own has moved and never heard of it: the server's INVITE went to where he had been. */
static bool unreached(sim_run_state *run, const sim_pair *pair)
{
    if (!run->phones[0].node || pair->callee != BOB || pair->heard || !run->peer_moved)
        return false;
    run_excuse(run, EXCUSED_UNREACHED, "the INVITE went to where the callee had been, and rings at his other phone");
    return true;
}

/* Is nobody left who could tell this one that its call is over? */
static bool may_wait(sim_run_state *run, sim_who who, sim_phase phase)
{
    bool forgotten = false, unreached = false;
    for (size_t i = 0; i < run->wish.npairs; i++) {
        const sim_pair *pair = &run->wish.pairs[i];
        if (pair->caller != who && pair->callee != who)
            continue;
        forgotten |= pair->forgotten;
        unreached |= pair->over && !pair->up && run->moved && run->peer_moved; /* CANCEL and BYE went to where this one was, its questions to where the other was */
    }
    if ((!forgotten && !unreached) || (phase != PHASE_CALLING && phase != PHASE_RINGING && phase != PHASE_INCOMING))
        return false;
    if (forgotten)
        run_excuse(run, EXCUSED_FORGOTTEN, "the server forgot the INVITE");
    else
        run_excuse(run, EXCUSED_UNREACHED, "both moved before the answer: who rings does so until it has had enough");
    return true;
}

static sim_rule phones_are_quiet(sim_run_state *run, char text[400])
{
    for (size_t i = 0; i < RUN_PHONES; i++) {
        sim_view views[VIEW_MAX];
        bool excused = run->wish.npairs && unreached(run, &run->wish.pairs[0]);
        if (run->phones[i].node && actor_views(&run->phones[i], views) && !excused && !may_wait(run, BOB, views[0].phase)) {
            snprintf(text, 400, "another phone of bob's is %s", phase_text(views[0].phase));
            return RULE_ZOMBIE;
        }
    }
    return RULE_NONE;
}

/* All calls that are over are over at both ends. */
static sim_rule over_is_over(sim_run_state *run, char text[400])
{
    for (size_t i = 0; i < SIM_ACTORS; i++) {
        sim_view views[VIEW_MAX];
        size_t n = actor_views(&run->actors[i], views), wanted = calls_wanted(&run->wish, (sim_who)i);
        if (n > 0 && wanted == 0 && !may_wait(run, (sim_who)i, views[0].phase)) {
            snprintf(text, 400, "the call is over, and %s's is %s", run->actors[i].user, phase_text(views[0].phase));
            return RULE_ZOMBIE;
        }
    }
    return RULE_NONE;
}

/* The peer of this profile takes no other address for the media than the first one. */
static bool no_media(sim_run_state *run)
{
    if (!run->no_media || !run->faults_done)
        return false;
    run_excuse(run, EXCUSED_SILENT, "the peer refuses other addresses");
    return true;
}

static sim_rule agree(sim_run_state *run, const sim_actor *a, const sim_view *x, const sim_actor *b, const sim_view *y, char text[400])
{
    char one[ROAM_ADDR_TEXT_MAX], two[ROAM_ADDR_TEXT_MAX];
    if (strcmp(x->local_tag, y->remote_tag) != 0) {
        snprintf(text, 400, "%s's tag is %s, %s knows %s", a->user, x->local_tag, b->user, y->remote_tag);
        return RULE_DIALOG;
    }
    if (y->remote_cseq > x->local_cseq) {
        snprintf(text, 400, "%s's CSeq is %u, %s saw %u", a->user, x->local_cseq, b->user, y->remote_cseq);
        return RULE_DIALOG;
    }
    bool reachable = false; /* y's target is an address of a */
    roam_uri uri;
    if (uri_parse(span_of(y->target), &uri) == 0)
        reachable = a->roam ? on_device(a->node, &uri.ip) : roam_ip_equal(&a->node->local.ip, &uri.ip);
    if (!reachable) {
        snprintf(text, 400, "%s would send to %s, where %s is not", b->user, y->target, a->user);
        return RULE_DIALOG;
    }
    /* Who holds gets the same answer from one who holds, too: only the other one can be judged. */
    if (x->local_hold != y->remote_hold && !y->local_hold) {
        snprintf(text, 400, "%s %s, %s thinks %s", a->user, x->local_hold ? "holds" : "does not hold", b->user, y->remote_hold ? "so" : "otherwise");
        return RULE_HOLD;
    }
    bool wanted = run->wish.hold[a->who] && run->wish.held[a->who] == x->id;
    if (x->local_hold != wanted && !(run->may_hold && !a->roam)) {
        snprintf(text, 400, "%s %s, the user wants it otherwise", a->user, x->local_hold ? "holds" : "does not hold");
        return RULE_HOLD;
    }
    if (!roam_addr_equal(&x->media_local, &y->media_remote)) {
        if (no_media(run))
            return RULE_NONE;
        snprintf(text, 400, "%s receives at %s, %s sends to %s", a->user, text_of_addr(&x->media_local, one), b->user, text_of_addr(&y->media_remote, two));
        return RULE_MEDIA;
    }
    return RULE_NONE;
}

static sim_rule call_of(sim_run_state *run, sim_pair *pair, char text[400])
{
    sim_view x = {0}, y = {0};
    sim_actor *a = &run->actors[pair->caller], *b = &run->actors[pair->callee];
    if (!is_up(run, pair, pair->caller, &x, text) || !is_up(run, pair, pair->callee, &y, text)) {
        if (pair->forgotten && !pair->up && (may_wait(run, pair->caller, x.phase) || may_wait(run, pair->callee, y.phase)))
            return RULE_NONE;
        return (x.phase == PHASE_CALLING || x.phase == PHASE_RINGING) && unreached(run, pair) ? RULE_NONE : RULE_ZOMBIE;
    }
    if (strcmp(x.call_id, y.call_id) != 0) {
        snprintf(text, 400, "%s and %s are in different calls", a->user, b->user);
        return RULE_ZOMBIE;
    }
    sim_rule rule = agree(run, a, &x, b, &y, text);
    if (rule == RULE_NONE)
        rule = agree(run, b, &y, a, &x, text);
    if (rule != RULE_NONE)
        return rule;
    /* Packets that were accepted since the last look. */
    uint64_t at_a = x.received - pair->received[0], at_b = y.received - pair->received[1];
    bool quiet = x.local_hold || y.local_hold, flows = at_a >= 2 && at_b >= 2;
    pair->received[0] = x.received;
    pair->received[1] = y.received;
    if (quiet || flows || no_media(run))
        return RULE_NONE;
    snprintf(text, 400, "in the last 200 ms %s received %llu packets, %s %llu", a->user, (unsigned long long)at_a, b->user, (unsigned long long)at_b);
    return RULE_RTP;
}

static sim_rule calls_of(sim_run_state *run, char text[400])
{
    sim_wish *wish = &run->wish;
    bool rings_on = run->phones[0].node && wish->refused[BOB]; /* his other phone does */
    sim_rule rule = rings_on || !wish->npairs ? RULE_NONE : over_is_over(run, text);
    for (size_t i = 0; i < wish->npairs && rule == RULE_NONE; i++)
        if (!wish->pairs[i].over)
            rule = call_of(run, &wish->pairs[i], text);
    return rule == RULE_NONE && !rings_on ? phones_are_quiet(run, text) : rule;
}

static size_t both_up(const sim_view *a, size_t na, const sim_view *b, size_t nb)
{
    size_t n = 0;
    for (size_t i = 0; i < na; i++)
        for (size_t k = 0; k < nb; k++)
            n += strcmp(a[i].call_id, b[k].call_id) == 0 && a[i].phase == PHASE_UP && b[k].phase == PHASE_UP;
    return n;
}

/* Did the user of this peer hang up, by a habit of its profile? Or did it move and give up a call of its own, as some do? */
static bool hung_up(const sim_run_state *run, const sim_actor *actor)
{
    if (!actor->node || actor->roam)
        return false;
    list_each(leg, &actor->node->peer->legs, roam_leg, node)
        if (leg->ended_here && (run->may_end ? strcmp(leg->end_why, "transferred") != 0 : strcmp(leg->end_why, "moved before the answer") == 0))
            return true;
    return false;
}

/* One sends the other to carol: each call is up at both ends, and somebody is in one with carol. */
static sim_rule transfer_of(sim_run_state *run, char text[400])
{
    const sim_wish *wish = &run->wish;
    sim_view a[VIEW_MAX], b[VIEW_MAX], c[VIEW_MAX];
    size_t na = actor_views(&run->actors[ALICE], a), nb = actor_views(&run->actors[BOB], b), nc = actor_views(&run->actors[CAROL], c);
    size_t ab = both_up(a, na, b, nb), ac = both_up(a, na, c, nc), bc = both_up(b, nb, c, nc);
    roam_transfer_state state = wish->transfer_state;
    if (!wish->transfer_asked && state < ROAM_TRANSFER_DONE && run->plan->nfaults > 0)
        return RULE_NONE; /* the NOTIFY that says the rest was lost: the agent waits for another one, for longer than this run */
    if (!wish->transfer_asked && (state < ROAM_TRANSFER_DONE || (state == ROAM_TRANSFER_FAILED && !run->may_refuse && run->plan->nfaults == 0))) {
        snprintf(text, 400, "the transfer is %s", roam_transfer_state_text(state));
        return RULE_DONE;
    }
    bool there = wish->transfer_asked ? ab + ac > 0 : bc > 0 || state == ROAM_TRANSFER_FAILED;
    if (na == ab + ac && nb == ab + bc && nc == ac + bc && (there || hung_up(run, &run->actors[BOB]) || hung_up(run, &run->actors[CAROL])))
        return RULE_NONE;
    snprintf(text, 400, "after the transfer (%s) alice has %zu calls, bob %zu, carol %zu; up at both ends: %zu of alice and bob, %zu of alice and carol, %zu of bob and carol",
             wish->transfer_asked ? "asked" : roam_transfer_state_text(state), na, nb, nc, ab, ac, bc);
    return RULE_ZOMBIE;
}

/* Nobody answers there any more, or not yet. */
static bool is_gone(int code)
{
    return code == ROAM_ETIMEOUT || code == 404 || code == 408 || code == 410 || code == 430 || code == 480 || code == 503;
}

static sim_rule messages_of(sim_run_state *run, char text[400])
{
    const sim_wish *wish = &run->wish;
    int code = wish->message_code;
    bool to_roam = run->actors[wish->message_to].roam;
    if (wish->answered < wish->messages) {
        snprintf(text, 400, "%u messages, %u of them answered", wish->messages, wish->answered);
        return RULE_DONE;
    }
    if (wish->messages == 0 || (code >= 200 && code < 300 && (wish->message_heard || !to_roam)))
        return RULE_NONE;
    if (code == ROAM_ENOMEM && run->heaps[ALICE].refused)
        run_excuse(run, EXCUSED_MEMORY, "the message says so");
    else if (code == 503 && run->may_refuse)
        run_excuse(run, EXCUSED_REFUSED, "the message was refused");
    else if (is_gone(code) && run->restarted_at != ROAM_NEVER)
        run_excuse(run, EXCUSED_FORGOTTEN, "the server forgot the message, or to whom it was");
    else if (is_gone(code) && (wish->message_to == ALICE ? run->faults_done != 0 : run->peer_moved))
        run_excuse(run, EXCUSED_UNREACHED, "the message went to where its receiver had been");
    else {
        snprintf(text, 400, "the message was answered with %d, and %u came", code, wish->message_heard);
        return RULE_DONE;
    }
    return RULE_NONE;
}

/* Messages and subscriptions. */
static sim_rule others_of(sim_run_state *run, char text[400])
{
    const sim_wish *wish = &run->wish;
    roam_subscription_id ids[4];
    roam_subscription_info info;
    sim_rule rule = messages_of(run, text);
    if (rule != RULE_NONE)
        return rule;
    if (wish->infos_answered < wish->infos && wish->npairs && !wish->pairs[0].over) {
        snprintf(text, 400, "%u INFO, %u of them answered", wish->infos, wish->infos_answered);
        return RULE_DONE;
    }
    if (!wish->subscribed)
        return RULE_NONE;
    if (roam_subscription_list(run->actors[ALICE].node->ua, ids, 4) != 1 || roam_subscription_get_info(run->actors[ALICE].node->ua, ids[0], &info) != 0) {
        snprintf(text, 400, "the subscription has ended");
        return RULE_DONE;
    }
    if (info.state != ROAM_SUBSCRIPTION_ACTIVE) {
        snprintf(text, 400, "the subscription is %s", roam_subscription_state_text(info.state));
        return RULE_DONE;
    }
    return RULE_NONE;
}

sim_rule heal_check(sim_run_state *run, char text[400])
{
    for (size_t i = 0; i < SIM_ACTORS; i++) {
        sim_rule rule = binding_of(run, &run->actors[i], text);
        if (rule != RULE_NONE)
            return rule;
    }
    sim_rule rule = others_of(run, text);
    if (rule != RULE_NONE)
        return rule;
    return run->wish.transfer ? transfer_of(run, text) : calls_of(run, text);
}

/* ---- a call that must not have ended ---- */

/* The newest call of a peer, over or not; NULL: none. */
static const roam_leg *last_leg(const sim_actor *actor)
{
    if (!actor->node || actor->roam || list_empty(&actor->node->peer->legs))
        return NULL;
    return container_of(actor->node->peer->legs.prev, roam_leg, node);
}

/* No packet could pass for longer than that. */
static bool was_away(const sim_run_state *run, roam_time longer_than)
{
    roam_time away = run->away_since == ROAM_NEVER ? 0 : run->world.now - run->away_since;
    return away > longer_than || run->longest_away > longer_than;
}

/* Why a call that no user ended is over. False: there is no reason. */
static bool excused(sim_run_state *run, const sim_pair *pair)
{
    sim_who who = pair->caller == ALICE ? pair->callee : pair->caller;
    const roam_leg *leg = last_leg(&run->actors[who]);
    int told = run->last_status[ALICE], there = leg ? (int)leg->last_status : run->last_status[who];
    bool callee_moved = pair->callee == ALICE ? run->moved : run->peer_moved;
    if (run->heaps[ALICE].refused && (told == ROAM_ENOMEM || (pair->callee == ALICE && !pair->up && there == 500)))
        run_excuse(run, EXCUSED_MEMORY, "the call says so");
    else if (!pair->up && run->may_refuse && (told == 503 || there == 503))
        run_excuse(run, EXCUSED_REFUSED, "the call was refused");
    else if (was_away(run, OFFLINE_MAX))
        run_excuse(run, EXCUSED_AWAY, "offline for longer than offline_max");
    else if (leg && strcmp(leg->end_why, "session expired") == 0 && was_away(run, ROAM_SECONDS(10)))
        run_excuse(run, EXCUSED_AWAY, "nobody could refresh the session");
    else if (run->restarted_at != ROAM_NEVER && (!pair->up || run->world.now - run->restarted_at < ROAM_SECONDS(40))) /* an answer without ACK for 32 s ends it (RFC 3261 14.2) */
        run_excuse(run, EXCUSED_FORGOTTEN, "the server forgot the call, or the callee, or the change in it");
    else if ((!pair->heard && (callee_moved || (pair->callee == ALICE && run->faults_done))) || (!pair->up && callee_moved && is_gone(pair->caller == ALICE ? told : there)))
        run_excuse(run, EXCUSED_UNREACHED, "the INVITE went to where the callee had been");
    else
        return false;
    return true;
}

void heal_watch(sim_run_state *run)
{
    sim_wish *wish = &run->wish;
    for (size_t i = 0; i < wish->npairs && !wish->transfer; i++) {
        sim_pair *pair = &wish->pairs[i];
        sim_view x = {0}, y = {0};
        if (pair->over)
            continue;
        bool has = view_of(run, pair, pair->caller, &x), other = view_of(run, pair, pair->callee, &y);
        pair->heard |= other;
        pair->up |= has && other && x.phase == PHASE_UP && y.phase == PHASE_UP;
        const sim_actor *ended = !has ? &run->actors[pair->caller] : pair->up && !other ? &run->actors[pair->callee] : NULL;
        if (!ended)
            continue;
        if (ended->who == ALICE && run->heaps[ALICE].refused && !run->last_end[0])
            continue; /* it is over, and there was no memory yet to say so */
        pair->over = hung_up(run, &run->actors[pair->caller]) || hung_up(run, &run->actors[pair->callee]) || excused(run, pair);
        if (!pair->over)
            check_violated(&run->check, RULE_CALL_LOST, "the call ended at %s; neither user ended it%s%s", ended->user, run->last_end[0] ? "; alice was told: " : "", run->last_end);
    }
}

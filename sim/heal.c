#include "sim/state.h"

#include <stdio.h>

#include "testbed/nat.h"

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
    if (!actor->node)
        return RULE_NONE;
    if (!actor->roam)
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

/* The one call of this device that is up; false: none, or not settled, said in `text`. */
static bool one_up(const sim_actor *actor, sim_view *v, char text[400])
{
    sim_view views[VIEW_MAX];
    size_t n = actor_views(actor, views);
    if (n == 0) {
        snprintf(text, 400, "%s has no call", actor->user);
        return false;
    }
    if (n > 1) {
        snprintf(text, 400, "%s has %zu calls (%s and %s)", actor->user, n, phase_text(views[0].phase), phase_text(views[1].phase));
        return false;
    }
    *v = views[0];
    if (v->phase != PHASE_UP || !v->settled)
        snprintf(text, 400, "%s's call is %s%s", actor->user, phase_text(v->phase), v->phase == PHASE_UP ? ", and something is under way" : "");
    return v->phase == PHASE_UP && v->settled;
}

static sim_rule phones_are_quiet(sim_run_state *run, char text[400])
{
    for (size_t i = 0; i < RUN_PHONES; i++) {
        sim_view views[VIEW_MAX];
        if (run->phones[i].node && actor_views(&run->phones[i], views)) {
            snprintf(text, 400, "another phone of bob's is %s", phase_text(views[0].phase));
            return RULE_ZOMBIE;
        }
    }
    return RULE_NONE;
}

static sim_rule nobody_has_a_call(sim_run_state *run, char text[400])
{
    for (size_t i = 0; i < SIM_ACTORS; i++) {
        sim_view views[VIEW_MAX];
        if (actor_views(&run->actors[i], views)) {
            snprintf(text, 400, "the call is over, and %s's is %s", run->actors[i].user, phase_text(views[0].phase));
            return RULE_ZOMBIE;
        }
    }
    return phones_are_quiet(run, text);
}

static sim_rule agree(const sim_run_state *run, const sim_actor *a, const sim_view *x, const sim_actor *b, const sim_view *y, char text[400])
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
    if (x->local_hold != y->remote_hold && !y->local_hold && !run->no_media) {
        snprintf(text, 400, "%s %s, %s thinks %s", a->user, x->local_hold ? "holds" : "does not hold", b->user, y->remote_hold ? "so" : "otherwise");
        return RULE_HOLD;
    }
    bool wanted = run->wish.hold[a->who] && run->wish.held[a->who] == x->id;
    if (x->local_hold != wanted && !run->no_media && !run->wish.excused && !(run->may_hold && a->who == BOB)) {
        snprintf(text, 400, "%s %s, the user wants it otherwise", a->user, x->local_hold ? "holds" : "does not hold");
        return RULE_HOLD;
    }
    if (!run->no_media && !roam_addr_equal(&x->media_local, &y->media_remote)) {
        snprintf(text, 400, "%s receives at %s, %s sends to %s", a->user, text_of_addr(&x->media_local, one), b->user, text_of_addr(&y->media_remote, two));
        return RULE_MEDIA;
    }
    return RULE_NONE;
}

static sim_rule call_of(sim_run_state *run, char text[400])
{
    sim_wish *wish = &run->wish;
    sim_view x = {0}, y = {0};
    sim_actor *a = &run->actors[wish->caller], *b = &run->actors[wish->callee];
    if (!wish->call)
        return RULE_NONE;
    if (wish->over && run->phones[0].node && wish->refused[BOB])
        return RULE_NONE; /* his other phone rings on */
    if (wish->over)
        return nobody_has_a_call(run, text);
    if (wish->excused && nobody_has_a_call(run, text) == RULE_NONE)
        return RULE_NONE;
    if (!one_up(a, &x, text) || !one_up(b, &y, text))
        return RULE_ZOMBIE;
    if (strcmp(x.call_id, y.call_id) != 0) {
        snprintf(text, 400, "%s and %s are in different calls", a->user, b->user);
        return RULE_ZOMBIE;
    }
    sim_rule rule = agree(run, a, &x, b, &y, text);
    if (rule == RULE_NONE)
        rule = agree(run, b, &y, a, &x, text);
    if (rule == RULE_NONE)
        rule = phones_are_quiet(run, text);
    if (rule != RULE_NONE)
        return rule;
    /* Packets that were accepted since the last look. */
    bool held = x.local_hold || y.local_hold || run->no_media;
    bool flows = x.received >= run->received[a->who] + 2 && y.received >= run->received[b->who] + 2;
    if (!held && !flows)
        snprintf(text, 400, "in the last 200 ms %s received %llu packets, %s %llu", a->user, (unsigned long long)(x.received - run->received[a->who]), b->user,
                 (unsigned long long)(y.received - run->received[b->who]));
    run->received[a->who] = x.received;
    run->received[b->who] = y.received;
    return held || flows ? RULE_NONE : RULE_RTP;
}

/* Alice sends bob to carol: the new call is up; the old one at both ends, or at none. */
static sim_rule transfer_of(sim_run_state *run, char text[400])
{
    const sim_wish *wish = &run->wish;
    sim_view a[VIEW_MAX], b[VIEW_MAX], c[VIEW_MAX];
    size_t na = actor_views(&run->actors[ALICE], a), nb = actor_views(&run->actors[BOB], b), nc = actor_views(&run->actors[CAROL], c), old = 0, new = 0;
    if (wish->transfer_state < ROAM_TRANSFER_DONE && run->plan->nfaults > 0)
        return RULE_NONE; /* the NOTIFY that says the rest was lost: the agent waits for another one, for longer than this run */
    if (wish->transfer_state < ROAM_TRANSFER_DONE || (wish->transfer_state == ROAM_TRANSFER_FAILED && !wish->excused && run->plan->nfaults == 0)) { /* a NOTIFY may be lost for good */
        snprintf(text, 400, "the transfer is %s", roam_transfer_state_text(wish->transfer_state));
        return RULE_DONE;
    }
    for (size_t i = 0; i < nb; i++) {
        old += na == 1 && strcmp(a[0].call_id, b[i].call_id) == 0 && b[i].phase == PHASE_UP && a[0].phase == PHASE_UP;
        new += nc == 1 && strcmp(c[0].call_id, b[i].call_id) == 0 && b[i].phase == PHASE_UP && c[0].phase == PHASE_UP;
    }
    if (old == na && new == nc && nb == na + nc && (nc == 1 || wish->excused || wish->transfer_state == ROAM_TRANSFER_FAILED))
        return RULE_NONE;
    snprintf(text, 400, "after the transfer (%s) alice has %zu calls, bob %zu, carol %zu; %zu and %zu of them are up at both ends", roam_transfer_state_text(wish->transfer_state), na,
             nb, nc, old, new);
    return RULE_ZOMBIE;
}

/* Messages and subscriptions. */
static sim_rule others_of(sim_run_state *run, char text[400])
{
    const sim_wish *wish = &run->wish;
    roam_subscription_id ids[4];
    roam_subscription_info info;
    if (wish->answered < wish->messages || (wish->messages && (wish->message_code < 200 || wish->message_code > 299) && !wish->excused)) {
        snprintf(text, 400, "%u messages, %u of them answered, the last with %d", wish->messages, wish->answered, wish->message_code);
        return RULE_DONE;
    }
    if (!wish->subscribed || wish->excused)
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
    return run->wish.transfer ? transfer_of(run, text) : call_of(run, text);
}

/* ---- a call that must not have ended ---- */

void heal_watch(sim_run_state *run)
{
    sim_wish *wish = &run->wish;
    sim_view x = {0}, y = {0};
    if (!wish->call || wish->over || wish->transfer)
        return;
    roam_time away = run->away_since == ROAM_NEVER ? 0 : run->world.now - run->away_since;
    if (away > OFFLINE_MAX || run->longest_away > OFFLINE_MAX) {
        wish->excused = true;
        wish->why = "offline for longer than offline_max";
    }
    bool has = actor_view(&run->actors[wish->caller], &x), other = actor_view(&run->actors[wish->callee], &y);
    wish->started |= has;
    wish->heard |= other;
    wish->up |= has && other && x.phase == PHASE_UP && y.phase == PHASE_UP;
    if (wish->excused || !wish->started)
        return;
    if (!has && !wish->heard && (wish->callee == ALICE || run->peer_moved)) { /* the INVITE went to where the callee was */
        wish->excused = true;
        wish->why = "the callee was not reached";
        return;
    }
    const sim_actor *ended = !has ? &run->actors[wish->caller] : wish->up && !other ? &run->actors[wish->callee] : NULL;
    if (ended)
        check_violated(&run->check, RULE_CALL_LOST, "the call ended at %s; neither user ended it%s%s", ended->user, run->last_end[0] ? "; alice was told: " : "", run->last_end);
}

#include "ua/watch.h"

#include <assert.h>

#include "ua/account.h"
#include "ua/call.h"
#include "ua/subscription.h"

#define PROBE_SENDS 5u
#define PROBE_STEPS 6u             /* of the deadline: a sending each, the last one has to wait two */
#define PROBE_DEADLINE ROAM_SECONDS(1) /* or three round trips, where they are longer */
#define PROBE_DEADLINE_LAST ROAM_SECONDS(4)
#define RACE_FROM 3u               /* with this sending the other paths are asked too */
#define RACE_MAX 4u
#define FIRST_ASK ROAM_SECONDS(1)  /* a new flow is asked once soon: does its server answer OPTIONS at all? */
#define ASK_WAIT ROAM_SECONDS(2)   /* for the answer of a keepalive, which the transaction repeats after 0.5 and 1.5 s */
#define DEAD_FIRST ROAM_SECONDS(1) /* 1, 2, 4, 8, 15 s */
#define DEAD_LAST ROAM_SECONDS(15)
#define REFUTED ROAM_SECONDS(2)    /* evidence within this time of the last answer is stale */
#define REFUTED_SOON ROAM_MS(300) /* ... of what is told once only: RTP is silent, a neighbour is in doubt */
#define STEADY ROAM_SECONDS(60)    /* without another death or rebinding: the counters begin anew */
#define MAX_REBINDS 4u
#define MUTE_AFTER 2u              /* probes that a server did not answer, though it answers the rest */
#define WOKE_AFTER ROAM_SECONDS(5) /* so long after a deadline no host was merely busy */

static const char *state_text(roam_watch_state state)
{
    static const char *const text[] = {"quiet", "asking", "suspect", "dead"};
    return text[state];
}

static const char *evidence_text(roam_evidence evidence)
{
    static const char *const text[] = {"no evidence",           "keepalive unanswered",   "RTP fell silent",          "a request stays unanswered",
                                       "the system cannot send", "the mapped address changed", "woke from sleep", "another flow of the path is in doubt",
                                       "asked as a way around"};
    return text[evidence];
}

/* The same when the probe has decided. */
static const char *dead_text(roam_evidence evidence)
{
    static const char *const text[] = {"probe unanswered",
                                       "keepalive and probe unanswered",
                                       "RTP fell silent, probe unanswered",
                                       "a request and the probe unanswered",
                                       "the system cannot send, probe unanswered",
                                       "the mapped address changed, probe unanswered",
                                       "woke from sleep, probe unanswered",
                                       "another flow of the path is dead, probe unanswered",
                                       "probe unanswered"};
    return text[evidence];
}

static void set_state(roam_watch *w, roam_watch_state state, const char *why)
{
    enum { Q = 1 << WATCH_QUIET, A = 1 << WATCH_ASKING, S = 1 << WATCH_SUSPECT, D = 1 << WATCH_DEAD };
    static const unsigned legal[] = {[WATCH_QUIET] = A | S, [WATCH_ASKING] = Q | S, [WATCH_SUSPECT] = Q | D, [WATCH_DEAD] = Q};
    if (w->state == state)
        return;
    assert(legal[w->state] & (1u << state));
    trace_state(&w->ua->env.trace, "watch", w->flow->path->id, state_text(w->state), state_text(state), why);
    if (w->state == WATCH_DEAD)
        w->ua->watches.dead--;
    if (state == WATCH_DEAD)
        w->ua->watches.dead++;
    w->state = state;
    w->ua->watches.look = true;
}

static void arm(roam_watch *w, roam_time delay)
{
    env_arm(&w->ua->env, &w->timer, delay); /* armed, or just fired: its place is there */
}

static bool same_path(const roam_watch *w, const roam_net_dest *dest, const roam_ip *source, uint32_t link)
{
    const roam_path *path = w->flow->path;
    return w->dest == dest && roam_ip_equal(&path->local.ip, source) && (!link || !path->link || path->link == link);
}

/* ---- asking ---- */

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

static void stop_asking(roam_watch *w)
{
    if (w->txn)
        client_txn_abandon(w->txn);
    w->txn = NULL;
}

/* OPTIONS to the next hop itself: Max-Forwards 0 (RFC 3261 11). Nobody's name is in it: those who share the flow share the probe. */
static void ask(roam_watch *w)
{
    roam_ua *ua = w->ua;
    char uri[8 + ROAM_ADDR_TEXT_MAX];
    roam_writer text;
    roam_request r;
    stop_asking(w);
    if (!flow_usable(w->flow))
        return; /* its socket is being opened: the next step looks again */
    writer_init(&text, uri, sizeof uri);
    write_lit(&text, "sip:");
    write_addr(&text, &w->flow->remote);
    request_begin(&ua->sip, &r, w->flow, SPAN("OPTIONS"), writer_span(&text), 0);
    write_lit(&r.w, "From: <sip:anonymous@anonymous.invalid>;tag=");
    write_cstr(&r.w, w->tag);
    write_lit(&r.w, "\r\nTo: <");
    write_span(&r.w, writer_span(&text));
    write_lit(&r.w, ">\r\n");
    write_header(&r.w, HEADER_CALL_ID, span_of(w->call_id));
    write_cseq(&r.w, ++w->cseq, SPAN("OPTIONS"));
    write_agent_headers(ua, &r.w, true);
    write_body(&r.w, SPAN(""), SPAN(""));
    w->txn = request_send(&r, on_event, w);
    w->sends = w->txn ? 1 : 0;
    w->began = ua_now(ua);
}

static void ask_again(roam_watch *w)
{
    if (!w->txn) {
        ask(w);
        return;
    }
    w->sends++;
    if (w->flow->path->transport == TRANSPORT_UDP && flow_usable(w->flow))
        sip_send(&w->ua->sip, w->flow, client_txn_request(w->txn));
}

static roam_time deadline(const roam_watch *w)
{
    roam_time d = 3 * w->rtt > PROBE_DEADLINE ? 3 * w->rtt : PROBE_DEADLINE;
    return d < PROBE_DEADLINE_LAST ? d : PROBE_DEADLINE_LAST;
}

/* ---- keepalive ---- */

static uint32_t keepalive(const roam_watch *w)
{
    uint32_t seconds = 0;
    list_each(user, &w->users, roam_watch_user, node)
        if (user->keepalive && (!seconds || user->keepalive < seconds))
            seconds = user->keepalive;
    return seconds;
}

/* Up to a fifth earlier: devices that woke together do not stay in step. */
static void arm_keepalive(roam_watch *w)
{
    uint32_t seconds = keepalive(w);
    if (!seconds) {
        arm(w, ROAM_NEVER);
        return;
    }
    roam_time interval = ROAM_SECONDS(seconds);
    arm(w, interval - random_below(&w->ua->env.random, (uint32_t)(interval / 5 < UINT32_MAX ? interval / 5 : UINT32_MAX)));
}

/* Something of ours was answered so short a time ago that the NAT's mapping is as good as probed. */
static bool heard_lately(const roam_watch *w)
{
    return w->heard && ua_now(w->ua) - w->heard < ROAM_SECONDS(keepalive(w)) / 2;
}

/* ---- other paths ---- */

static roam_watch *watch_new(roam_ua *ua, roam_flow *flow);

static void ask_path(roam_ua *ua, const roam_watch *doubted, const roam_net_addr *addr)
{
    roam_path *path = net_path(ua, &addr->ip, addr->link);
    if (!path || path == doubted->flow->path || path->state == PATH_FAILED)
        return;
    roam_flow *flow = flow_get(&ua->sip, path, &doubted->flow->remote);
    if (!flow)
        return;
    roam_watch *w = flow->watch;
    if (!w && (w = watch_new(ua, flow)))
        w->race = true;
    bool lately = w && w->heard && w->heard >= doubted->suspect_since;
    if (w && !lately && (w->state == WATCH_QUIET || w->state == WATCH_ASKING)) {
        w->evidence = EVIDENCE_RACE;
        w->suspect_since = ua_now(ua);
        w->heard = 0;
        set_state(w, WATCH_SUSPECT, evidence_text(EVIDENCE_RACE));
        ask(w);
        arm(w, deadline(w) / PROBE_STEPS);
    }
    flow_unref(flow);
}

static bool has_detour(const roam_ua *ua, const roam_net_dest *dest)
{
    const roam_net_hop *hop = &dest->detour;
    return hop->ip.family && net_addr(ua, &hop->ip, hop->link) && !watch_dead(ua, dest, &hop->ip, hop->link);
}

/* Is there another way to this destination? Every other address of the device is asked. */
static void race(roam_watch *doubted)
{
    roam_ua *ua = doubted->ua;
    unsigned asked = 0;
    if (doubted->race || has_detour(ua, doubted->dest))
        return;
    for (size_t i = 0; i < ua->net.naddrs && asked < RACE_MAX; i++) {
        const roam_net_addr *a = &ua->net.addrs[i];
        if (!net_usable(ua, a, &doubted->dest->ip) || same_path(doubted, doubted->dest, &a->ip, a->link))
            continue;
        ask_path(ua, doubted, a);
        asked++;
    }
}

/* A candidate that answered is the way around, when the path that the system prefers is dead. */
static void find_detour(roam_ua *ua, roam_net_dest *dest)
{
    const roam_watch *best = NULL;
    if (has_detour(ua, dest))
        return;
    dest->detour = (roam_net_hop){0};
    list_each(w, &ua->watches.list, roam_watch, node)
        if (w->dest == dest && w->state != WATCH_DEAD && w->heard && flow_usable(w->flow) && (!best || w->rtt < best->rtt))
            best = w;
    if (!best)
        return;
    dest->detour = (roam_net_hop){best->flow->path->local.ip, best->flow->path->link};
    trace_note(&ua->env.trace, "watch", best->flow->path->id, "the way around a dead path");
}

/* ---- verdicts ---- */

static void doubt(roam_watch *w, roam_evidence evidence)
{
    w->evidence = evidence;
    w->suspect_since = ua_now(w->ua);
    w->sends = 0;
    set_state(w, WATCH_SUSPECT, evidence_text(evidence));
    ask(w);
    arm(w, deadline(w) / PROBE_STEPS);
}

static void quiet(roam_watch *w, const char *why)
{
    stop_asking(w);
    w->rounds = w->answers = 0;
    w->cleared = ua_now(w->ua);
    set_state(w, WATCH_QUIET, why);
    arm_keepalive(w);
}

/* A server that has never answered OPTIONS proves nothing by silence: a REGISTER, which every registrar answers, is asked for in its place. */
static void ask_by_register(roam_watch *w)
{
    list_each(account, &w->ua->accounts, roam_account, node)
        if (account->reg.flow == w->flow && account->reg.state == ROAM_REGISTRATION_REGISTERED) {
            registration_renew(account);
            return;
        }
}

static void unanswered(roam_watch *w)
{
    roam_ua *ua = w->ua;
    stop_asking(w);
    if (!w->dest->answers) {
        /* Not for the keepalive that found it out, and not where a request that is out will be answered, or not. */
        bool instead = w->evidence != EVIDENCE_RACE && w->evidence != EVIDENCE_UNANSWERED && w->evidence != EVIDENCE_KEEPALIVE;
        w->dest->mute++;
        quiet(w, "this server answers no OPTIONS: its silence proves nothing");
        if (instead)
            ask_by_register(w);
        return;
    }
    w->rounds = w->answers = 0;
    if (ua_now(ua) - w->died > STEADY)
        w->deaths = 0;
    w->deaths++;
    w->died = ua_now(ua);
    set_state(w, WATCH_DEAD, dead_text(w->evidence));
    arm(w, DEAD_FIRST);
    if (w->race)
        return;
    choose_died(ua, &w->flow->path->local.ip, w->flow->path->link);
    find_detour(ua, w->dest);
    watch_suspect_path(ua, w->flow->path, NULL, EVIDENCE_NEIGHBOUR);
    ua_work_all(ua);
}

/* The NAT has bound us anew: everybody on the flow tells its peers. */
static void rebound(roam_watch *w, const roam_addr *seen)
{
    roam_ua *ua = w->ua;
    const char *why = "the NAT shows us at another address";
    w->mapped = *seen;
    if (ua_now(ua) - w->rebound > STEADY)
        w->rebinds = 0;
    w->rebound = ua_now(ua);
    trace_note(&ua->env.trace, "watch", w->flow->path->id, why);
    if (++w->rebinds > MAX_REBINDS)
        return;
    list_each(account, &ua->accounts, roam_account, node)
        if (account->reg.flow == w->flow)
            registration_rebound(account, seen, why);
    list_each(call, &ua->calls, roam_call, node)
        if (call->flow == w->flow)
            call_rebound(call, why);
    list_each(sub, &ua->subscriptions, roam_subscription, node)
        if (sub->hop.flow == w->flow)
            subscription_force(sub, why);
    watch_suspect_path(ua, w->flow->path, NULL, EVIDENCE_NEIGHBOUR);
}

/* An answer came, on the probe or on anything else of ours. */
static void alive(roam_watch *w, const char *why)
{
    roam_ua *ua = w->ua;
    w->heard = ua_now(ua);
    if (w->state == WATCH_DEAD) {
        /* One that has come and gone before must answer some times in a row where there is a way around. */
        unsigned wanted = w->dest->detour.ip.family && !w->race ? w->deaths : 1;
        if (++w->answers < wanted && w->answers < MAX_REBINDS) {
            stop_asking(w);
            arm(w, DEAD_FIRST);
            return;
        }
        quiet(w, why);
        if (watch_why(ua, w->dest, 0, NULL)) /* another one, which the system prefers, is still dead */
            find_detour(ua, w->dest);
        else
            w->dest->detour = (roam_net_hop){0};
        ua_work_all(ua);
        return;
    }
    bool candidate = w->state == WATCH_SUSPECT && w->evidence == EVIDENCE_RACE;
    if (w->state != WATCH_QUIET)
        quiet(w, why);
    if (candidate && ua->watches.dead) {
        find_detour(ua, w->dest);
        ua_work_all(ua);
    }
}

roam_addr watch_seen_address(const roam_message *response, const roam_addr *local)
{
    roam_via via;
    roam_addr seen = {0};
    if (message_top_via(response, &via) != 0 || (!via.received.family && !via.rport))
        return seen;
    seen.ip = via.received.family ? via.received : local->ip;
    seen.port = via.rport ? via.rport : local->port;
    return seen;
}

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_watch *w = user;
    roam_ua *ua = w->ua;
    if (txn != w->txn)
        return;
    if (event != CLIENT_RESPONSE) { /* could not be sent; Timer F is longer than any round */
        w->txn = NULL;
        return;
    }
    if (w->sends == 1 && ua_now(ua) - w->began < ua->sip.timers.t1) /* neither of us has repeated it */
        w->rtt = ua_now(ua) - w->began;
    roam_addr seen = watch_seen_address(response, &w->flow->path->local);
    stop_asking(w);
    w->dest->answers = true;
    bool other = seen.ip.family && w->mapped.ip.family && !roam_addr_equal(&seen, &w->mapped);
    alive(w, "answered");
    if (other)
        rebound(w, &seen);
    else if (seen.ip.family)
        w->mapped = seen;
}

void watch_answered(roam_ua *ua, roam_client_txn *txn, roam_flow *flow, const roam_message *response)
{
    roam_watch *w = flow->watch;
    (void)ua;
    if (!w || txn == w->txn)
        return;
    roam_addr seen = watch_seen_address(response, &flow->path->local);
    if (seen.ip.family && w->mapped.ip.family && !roam_addr_equal(&seen, &w->mapped)) {
        if (w->state == WATCH_QUIET || w->state == WATCH_ASKING) { /* an old answer, or another address: the probe decides */
            if (w->rebinds <= MAX_REBINDS)
                doubt(w, EVIDENCE_MAPPED);
        }
        return;
    }
    if (seen.ip.family)
        w->mapped = seen;
    if (w->state == WATCH_ASKING && !w->dest->answers) { /* it answers others, not OPTIONS: still to be found out */
        w->heard = ua_now(w->ua);
        return;
    }
    alive(w, "a response came");
}

void watch_unanswered(roam_ua *ua, roam_client_txn *txn, roam_flow *flow)
{
    (void)ua;
    if (flow->watch && txn != flow->watch->txn)
        watch_suspect(flow, EVIDENCE_UNANSWERED);
}

/* ---- evidence ---- */

void watch_suspect(roam_flow *flow, roam_evidence evidence)
{
    roam_watch *w = flow ? flow->watch : NULL;
    if (!w || w->state == WATCH_SUSPECT || w->state == WATCH_DEAD || !flow_usable(flow))
        return;
    roam_time now = ua_now(w->ua);
    roam_time refuted = w->cleared > w->heard ? w->cleared : w->heard;
    roam_time fresh = evidence == EVIDENCE_WOKE ? 0 : evidence == EVIDENCE_MEDIA || evidence == EVIDENCE_NEIGHBOUR ? REFUTED_SOON : REFUTED;
    if (refuted && now - refuted < fresh)
        return;
    doubt(w, evidence);
}

void watch_suspect_path(roam_ua *ua, const roam_path *path, const roam_addr *remote, roam_evidence evidence)
{
    list_each(w, &ua->watches.list, roam_watch, node)
        if (w->flow->path == path && (!remote || roam_addr_equal(&w->flow->remote, remote)))
            watch_suspect(w->flow, evidence);
}

void watch_encourage(roam_ua *ua, const roam_net_dest *dest)
{
    if (!ua->watches.dead || !dest)
        return;
    list_each(w, &ua->watches.list, roam_watch, node)
        if (w->dest == dest && w->state == WATCH_DEAD) {
            w->rounds = 0;
            arm(w, 0);
        }
}

bool watch_clock(roam_ua *ua, roam_time now)
{
    roam_time due = roam_ua_deadline(ua);
    if (due == ROAM_NEVER || now <= due || now - due < WOKE_AFTER || now - ua->env.now < WOKE_AFTER)
        return false;
    trace_note(&ua->env.trace, "ua", 0, "woke from sleep: every path is asked before it is used");
    ua->env.now = now;
    return true;
}

void watch_woke(roam_ua *ua)
{
    list_each(w, &ua->watches.list, roam_watch, node)
    {
        if (!flow_usable(w->flow))
            continue;
        if (w->state == WATCH_DEAD) {
            w->rounds = 0;
            arm(w, 0);
        } else if (w->state == WATCH_SUSPECT) { /* its deadline passed asleep */
            doubt(w, w->evidence);
        } else {
            doubt(w, EVIDENCE_WOKE);
        }
    }
}

void watch_network(roam_ua *ua)
{
    ua->watches.look = true;
    list_each(w, &ua->watches.list, roam_watch, node)
        if (w->state == WATCH_DEAD && flow_usable(w->flow)) {
            w->rounds = 0;
            arm(w, 0);
            race(w);
        }
}

/* ---- time ---- */

static void on_timer(roam_timer *timer)
{
    roam_watch *w = container_of(timer, roam_watch, timer);
    roam_time back_off;
    arm(w, ROAM_NEVER);
    if (w->flow->path->state == PATH_GONE)
        return; /* its users find out by themselves */
    switch (w->state) {
    case WATCH_QUIET:
        if (!keepalive(w) || (w->dest->answers && heard_lately(w))) {
            arm_keepalive(w);
            return;
        }
        if (!w->dest->answers && w->dest->mute >= MUTE_AFTER) {
            ask_by_register(w);
            arm_keepalive(w);
            return;
        }
        set_state(w, WATCH_ASKING, "keepalive");
        ask(w);
        arm(w, ASK_WAIT);
        return;
    case WATCH_ASKING:
        doubt(w, EVIDENCE_KEEPALIVE);
        return;
    case WATCH_SUSPECT:
        if (ua_now(w->ua) - w->suspect_since >= deadline(w)) {
            if (!w->sends) /* no socket yet, or no memory */
                quiet(w, "could not be asked");
            else
                unanswered(w);
            return;
        }
        if (w->sends < PROBE_SENDS)
            ask_again(w);
        if (ua_now(w->ua) - w->suspect_since >= (RACE_FROM - 1) * (deadline(w) / PROBE_STEPS))
            race(w);
        arm(w, deadline(w) / PROBE_STEPS);
        return;
    case WATCH_DEAD:
        ask(w);
        back_off = w->rounds < 4 ? DEAD_FIRST << w->rounds : DEAD_LAST;
        w->rounds++;
        w->answers = 0;
        race(w);
        arm(w, back_off);
        ua_work_all(w->ua); /* media that was alive may be silent now */
        return;
    }
}

/* ---- birth and death ---- */

void watches_init(roam_ua *ua)
{
    list_init(&ua->watches.list);
}

static roam_watch *watch_new(roam_ua *ua, roam_flow *flow)
{
    roam_net_dest *dest = net_dest_get(ua, &flow->remote.ip);
    roam_watch *w = dest ? mem_new(&ua->env.mem, roam_watch) : NULL;
    if (!w) {
        net_dest_put(ua, dest);
        return NULL;
    }
    roam_writer text;
    w->ua = ua;
    list_init(&w->node);
    list_init(&w->users);
    timer_init(&w->timer, on_timer, "probe");
    if (timer_arm(&ua->env.timers, &w->timer, ROAM_NEVER) != 0) {
        net_dest_put(ua, dest);
        mem_free(&ua->env.mem, w);
        return NULL;
    }
    writer_init(&text, w->call_id, sizeof w->call_id - 1);
    random_token(&ua->env.random, &text, 24);
    writer_init(&text, w->tag, sizeof w->tag - 1);
    random_token(&ua->env.random, &text, 12);
    w->dest = dest;
    dest->watches++;
    w->flow = flow_ref(flow);
    flow->watch = w;
    list_push(&ua->watches.list, &w->node);
    return w;
}

static void watch_free(roam_watch *w)
{
    roam_ua *ua = w->ua;
    stop_asking(w);
    list_each(user, &w->users, roam_watch_user, node)
    {
        list_remove(&user->node);
        user->watch = NULL;
    }
    if (w->state == WATCH_DEAD)
        ua->watches.dead--;
    env_cancel(&ua->env, &w->timer);
    list_remove(&w->node);
    w->flow->watch = NULL;
    flow_unref(w->flow);
    w->dest->watches--;
    net_dest_put(ua, w->dest);
    mem_free(&ua->env.mem, w);
}

void watch_follow(roam_ua *ua, roam_watch_user *user, roam_flow *flow, uint32_t interval)
{
    roam_watch *w = flow ? flow->watch : NULL;
    if (user->watch == w && (w || !flow) && user->keepalive == interval)
        return;
    if (user->watch) {
        list_remove(&user->node);
        ua->watches.look |= list_empty(&user->watch->users);
        user->watch = NULL;
    }
    if (!flow || (!w && !(w = watch_new(ua, flow))))
        return; /* no memory: the next look tries again */
    bool first = list_empty(&w->users);
    user->watch = w;
    user->keepalive = interval;
    list_push(&w->users, &user->node);
    w->race = false;
    if (w->state != WATCH_QUIET || !interval)
        return;
    if (!w->dest->answers && first)
        arm(w, FIRST_ASK + random_below(&ua->env.random, (uint32_t)ROAM_MS(200)));
    else if (first || w->timer.deadline > ua_now(ua) + ROAM_SECONDS(interval))
        arm_keepalive(w);
}

/* Is there somebody who wants to know whether this one comes back? */
static bool awaited(const roam_ua *ua, const roam_watch *w)
{
    roam_ip source;
    uint32_t link;
    if (w->state != WATCH_DEAD || w->race)
        return false;
    if (net_route(ua, w->dest, 0, &source, &link) && same_path(w, w->dest, &source, link))
        return true;
    list_each(other, &ua->watches.list, roam_watch, node)
        if (other->dest == w->dest && other->state != WATCH_DEAD && !list_empty(&other->users))
            return false;
    return true;
}

/* A candidate, as long as the one it stands in for is in doubt and no other has been found. */
static bool racing(const roam_ua *ua, const roam_watch *w)
{
    const roam_path *path = w->flow->path;
    if (!w->race || (w->dest->detour.ip.family && !roam_ip_equal(&w->dest->detour.ip, &path->local.ip)))
        return false;
    list_each(other, &ua->watches.list, roam_watch, node)
        if (other->dest == w->dest && !other->race && (other->state == WATCH_DEAD || other->state == WATCH_SUSPECT))
            return true;
    return false;
}

void watch_reap(roam_ua *ua)
{
    for (bool again = ua->watches.look; again;) {
        again = ua->watches.look = false;
        list_each(w, &ua->watches.list, roam_watch, node)
        {
            if (!list_empty(&w->users))
                continue;
            bool wanted = w->dest->refs > w->dest->watches && w->flow->path->state != PATH_GONE;
            if (!wanted || (!awaited(ua, w) && !racing(ua, w))) {
                watch_free(w);
                again = true;
            }
        }
    }
}

void watches_free(roam_ua *ua)
{
    list_each(w, &ua->watches.list, roam_watch, node)
        watch_free(w);
}

/* ---- what is known ---- */

bool watch_dead(const roam_ua *ua, const roam_net_dest *dest, const roam_ip *source, uint32_t link)
{
    if (!ua->watches.dead)
        return false;
    list_each(w, &ua->watches.list, roam_watch, node)
        if (w->state == WATCH_DEAD && same_path(w, dest, source, link) && w->flow->path->state != PATH_GONE)
            return true;
    return false;
}

const char *watch_why(const roam_ua *ua, const roam_net_dest *dest, uint32_t link, roam_time *since)
{
    roam_ip source;
    uint32_t source_link;
    if (!dest || !ua->watches.dead || !net_route(ua, dest, link, &source, &source_link))
        return NULL;
    list_each(w, &ua->watches.list, roam_watch, node)
        if (w->state == WATCH_DEAD && same_path(w, dest, &source, source_link) && w->flow->path->state != PATH_GONE) {
            if (since)
                *since = w->suspect_since;
            return dead_text(w->evidence);
        }
    return NULL;
}

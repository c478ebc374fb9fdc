/* The life of a subscription: states, commands, and the work that keeps it as it should be. */
#include "ua/subscription.h"
#include "ua/record.h"

#include <assert.h>

#include "wire/chars.h"

#define REST_FIRST ROAM_SECONDS(1)
#define REST_LAST ROAM_SECONDS(300)
#define REST_TOLD_LAST 3600u  /* seconds: more than that nobody is obeyed */
#define STEADY ROAM_SECONDS(10) /* a subscription that lived so long failed for a new reason */
#define MOVE_LIMIT ROAM_SECONDS(60)
#define LEAVE_LIMIT ROAM_SECONDS(32)

static void run(roam_work *work);

const char *roam_subscription_state_text(roam_subscription_state state)
{
    static const char *const text[] = {"waiting", "subscribing", "pending", "active", "unsubscribing", "ended"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "";
}

static roam_span id_key(const roam_subscription_id *id)
{
    return span_make((const char *)id, sizeof *id);
}

static roam_subscription *find(const roam_ua *ua, roam_subscription_id id)
{
    roam_map_node *node = map_find(&ua->subscription_ids, id_key(&id));
    return node ? container_of(node, roam_subscription, id_node) : NULL;
}

roam_subscription *subscription_by_dialog(const roam_ua *ua, roam_span call_id, roam_span our_tag)
{
    roam_map_node *node = map_find(&ua->subscription_tags, our_tag);
    roam_subscription *sub = node ? container_of(node, roam_subscription, tag_node) : NULL;
    return sub && span_eq(call_id, span_of(sub->dialog.call_id)) ? sub : NULL;
}

/* ---- state ---- */

void subscription_set_state(roam_subscription *sub, roam_subscription_state state, int code, int status, const char *why)
{
    enum { W = 1 << 0, S = 1 << 1, P = 1 << 2, A = 1 << 3, U = 1 << 4, X = 1 << 5 };
    static const unsigned legal[] = {
        [ROAM_SUBSCRIPTION_WAITING] = S | U | X,
        [ROAM_SUBSCRIPTION_SUBSCRIBING] = W | P | A | U | X,
        [ROAM_SUBSCRIPTION_PENDING] = W | A | U | X,
        [ROAM_SUBSCRIPTION_ACTIVE] = W | P | U | X,
        [ROAM_SUBSCRIPTION_UNSUBSCRIBING] = X,
        [ROAM_SUBSCRIPTION_ENDED] = 0,
    };
    if (sub->state == state)
        return;
    assert(legal[sub->state] & (1u << state));
    trace_state(&sub->ua->env.trace, "subscription", sub->id, roam_subscription_state_text(sub->state), roam_subscription_state_text(state), why);
    sub->state = state;
    roam_event event = {.type = ROAM_EVENT_SUBSCRIPTION,
                        .account = sub->account->id,
                        .subscription = sub->id,
                        .subscription_state = state,
                        .sip_code = code,
                        .status = status,
                        .epoch = ua_epoch(sub->ua)};
    ua_event(sub->ua, &event, why);
}

void subscription_set_lease(roam_subscription *sub, uint32_t seconds)
{
    roam_env *env = &sub->ua->env;
    uint32_t early = seconds > 120 ? seconds - 60 : seconds - seconds / 3;
    sub->expires_at = env->now + ROAM_SECONDS(seconds);
    env_arm(env, &sub->renew, ROAM_SECONDS(early ? early : 1));
    env_arm(env, &sub->lease, ROAM_SECONDS(seconds));
}

void subscription_rest(roam_subscription *sub, uint32_t retry_after, const char *why)
{
    roam_env *env = &sub->ua->env;
    unsigned shift = sub->failures < 9 ? sub->failures : 9;
    roam_time delay = REST_FIRST << shift;
    if (delay > REST_LAST)
        delay = REST_LAST;
    if (retry_after)
        delay = ROAM_SECONDS(retry_after < REST_TOLD_LAST ? retry_after : REST_TOLD_LAST);
    delay += random_below(&env->random, (uint32_t)(delay / 5) + 1); /* many must not come back in step */
    sub->failures++;
    sub->repeats = 0;
    sub->due = true;
    trace_note(&env->trace, "subscription", sub->id, why);
    env_arm(env, &sub->rest, delay);
}

void subscription_lose(roam_subscription *sub, const char *why)
{
    roam_env *env = &sub->ua->env;
    subscription_stop_request(sub);
    map_remove(&sub->ua->subscription_tags, &sub->tag_node);
    if (sub->dialog.env)
        dialog_set_state(&sub->dialog, DIALOG_ENDED, why);
    dialog_free(&sub->dialog);
    sub->notified = sub->due = false;
    sub->told = 0;
    sub->expires_at = ROAM_NEVER;
    sub->attempt = (roam_auth_attempt){0};
    env_cancel(env, &sub->renew);
    env_cancel(env, &sub->lease);
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return;
    env_cancel(env, &sub->limit);
    subscription_set_state(sub, ROAM_SUBSCRIPTION_WAITING, 0, 0, why);
}

void subscription_anew(roam_subscription *sub, const char *why)
{
    bool steady = subscription_in_dialog(sub) && ua_now(sub->ua) - sub->since >= STEADY;
    subscription_lose(sub, why);
    if (steady)
        sub->failures = 0;
    if (sub->failures)
        subscription_rest(sub, 0, "again and again: later");
    else
        sub->failures = 1;
    subscription_look(sub);
}

/* ---- birth and death ---- */

static void on_due(roam_timer *timer)
{
    roam_subscription *sub = container_of(timer, roam_subscription, renew);
    sub->due = true;
    subscription_look(sub);
}

static void on_lease(roam_timer *timer)
{
    subscription_look(container_of(timer, roam_subscription, lease)); /* which compares expires_at with the time */
}

static void on_rest(roam_timer *timer)
{
    subscription_look(container_of(timer, roam_subscription, rest));
}

static void on_limit(roam_timer *timer)
{
    roam_subscription *sub = container_of(timer, roam_subscription, limit);
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING) {
        subscription_end(sub, 0, ROAM_ETIMEOUT, "the good-bye was not answered; the lease runs out");
    } else if (sub->state == ROAM_SUBSCRIPTION_SUBSCRIBING) { /* RFC 6665 4.1.2.4 */
        subscription_lose(sub, "Timer N: no NOTIFY came");
        subscription_rest(sub, 0, "Timer N: tried again later");
    }
}

static void on_move_timer(roam_timer *timer)
{
    roam_subscription *sub = container_of(timer, roam_subscription, move_timer);
    if (sub->move.state == MOVE_RUNNING) /* it goes on trying; the story of this change ends */
        move_failed(&sub->move, ROAM_ETIMEOUT, sub->last_status > 0 ? sub->last_status : 0, "not refreshed in time");
}

static void cancel_timers(roam_subscription *sub)
{
    roam_timer *timers[] = {&sub->renew, &sub->lease, &sub->rest, &sub->limit, &sub->move_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        env_cancel(&sub->ua->env, timers[i]);
}

static roam_subscription *subscription_new(roam_ua *ua, roam_account *account)
{
    roam_subscription *sub = mem_new(&ua->env.mem, roam_subscription);
    if (!sub)
        return NULL;
    sub->ua = ua;
    sub->account = account;
    sub->id = ua->next_subscription + 1;
    sub->expires_at = ROAM_NEVER;
    list_init(&sub->node);
    list_init(&sub->account_node);
    watch_user_init(&sub->watch);
    map_node_init(&sub->id_node);
    map_node_init(&sub->tag_node);
    work_init(&sub->work, run);
    paced_init(&sub->paced, &sub->work);
    move_init(&sub->move, ua, account->id, 0);
    sub->move.subscription = sub->id;
    timer_init(&sub->renew, on_due, "subscription refresh");
    timer_init(&sub->lease, on_lease, "subscription lease");
    timer_init(&sub->rest, on_rest, "subscription back-off");
    timer_init(&sub->limit, on_limit, "Timer N");
    timer_init(&sub->move_timer, on_move_timer, "subscription move");
    if (map_insert(&ua->subscription_ids, &sub->id_node, id_key(&sub->id)) != 0) {
        mem_free(&ua->env.mem, sub);
        return NULL;
    }
    ua->next_subscription++;
    ua->nsubscriptions++;
    list_push(&ua->subscriptions, &sub->node);
    list_push(&account->subscriptions, &sub->account_node);
    return sub;
}

/* Out of everything that could find it. */
static void detach(roam_subscription *sub)
{
    roam_ua *ua = sub->ua;
    subscription_stop_request(sub);
    cancel_timers(sub);
    move_cancel(&sub->move);
    map_remove(&ua->subscription_tags, &sub->tag_node);
    map_remove(&ua->subscription_ids, &sub->id_node);
    list_remove(&sub->node);
    list_remove(&sub->account_node);
    list_remove(&sub->paced.node);
    ua->nsubscriptions--;
}

void subscription_end(roam_subscription *sub, int code, int status, const char *why)
{
    if (sub->state == ROAM_SUBSCRIPTION_ENDED)
        return;
    if (move_active(&sub->move) && sub->state != ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        move_failed(&sub->move, status, code, why);
    detach(sub);
    if (sub->dialog.env)
        dialog_set_state(&sub->dialog, DIALOG_ENDED, why);
    subscription_set_state(sub, ROAM_SUBSCRIPTION_ENDED, code, status, why);
    list_push(&sub->ua->dead_subscriptions, &sub->node);
}

void subscription_free(roam_subscription *sub)
{
    roam_ua *ua = sub->ua;
    roam_mem *mem = &ua->env.mem;
    if (sub->state != ROAM_SUBSCRIPTION_ENDED) /* the agent is freed with it */
        detach(sub);
    list_remove(&sub->node);
    list_remove(&sub->work.node);
    watch_follow(ua, &sub->watch, NULL, 0);
    dialog_free(&sub->dialog);
    hop_free(ua, &sub->hop);
    mem_free(mem, sub->uri);
    mem_free(mem, sub->event);
    mem_free(mem, sub->accept);
    mem_free(mem, sub);
}

int subscription_index(roam_subscription *sub)
{
    map_remove(&sub->ua->subscription_tags, &sub->tag_node);
    return map_insert(&sub->ua->subscription_tags, &sub->tag_node, span_of(sub->dialog.local_tag));
}

/* ---- the path ---- */

static void path_left(roam_subscription *sub, const roam_hop_news *news, const char *why)
{
    roam_env *env = &sub->ua->env;
    if (sub->txn) /* the notifier may have read it or not: back on the first path it must be told all the same */
        sub->due = true;
    subscription_stop_request(sub);
    sub->attempt = (roam_auth_attempt){0};
    sub->after_registration = false;
    sub->edge_tries = 0;
    sub->failures = sub->repeats = 0;
    if (sub->dialog.env && !subscription_in_dialog(sub))
        subscription_lose(sub, "the path of the SUBSCRIBE is gone"); /* a NOTIFY that goes to the old address makes no dialog */
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return;
    env_cancel(env, &sub->rest); /* another path is another chance */
    sub->move.evidence = news->dead;
    move_begin(&sub->move, news->source.ip.family ? &news->source : NULL, news->alive, why);
    env_arm(env, &sub->move_timer, MOVE_LIMIT);
}

static bool keep_path(roam_subscription *sub)
{
    roam_uri uri;
    roam_hop_news news;
    int err = subscription_in_dialog(sub) ? dialog_next_hop(&sub->dialog, &uri) : account_next_hop(sub->account, span_of(sub->uri), &uri);
    if (err || (uri.scheme != URI_SIP && uri.scheme != URI_SIPS)) { /* of the peer's making: the one we were given is checked */
        subscription_lose(sub, "the notifier's address is not understood");
        subscription_rest(sub, 0, "tried again later");
        return false;
    }
    roam_hop_state state = hop_keep(sub->ua, &sub->hop, sub->account->link, &uri, &news);
    if (news.left)
        path_left(sub, &news, news.dead ? news.dead : news.source.ip.family ? "another path leads to the notifier" : "no path to the notifier");
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING && (state == HOP_OFFLINE || state == HOP_UNKNOWN || state == HOP_REFUSED)) {
        subscription_end(sub, 0, ROAM_EOFFLINE, "no path; the lease runs out"); /* never wait for a dead path to say good-bye */
        return false;
    }
    if (state != HOP_UP)
        return false;
    if (sub->move.state == MOVE_OFFLINE) {
        move_path(&sub->move, &sub->hop.flow->path->local);
        env_arm(&sub->ua->env, &sub->move_timer, MOVE_LIMIT);
    }
    return true;
}

/* ---- what is wanted, and what is ---- */

static void check_recovered(roam_subscription *sub)
{
    bool accepted = sub->state == ROAM_SUBSCRIPTION_PENDING || sub->state == ROAM_SUBSCRIPTION_ACTIVE;
    if (sub->move.state != MOVE_RUNNING || !accepted || sub->txn || sub->due || sub->told != subscription_contact(sub))
        return;
    env_cancel(&sub->ua->env, &sub->move_timer);
    move_recovered(&sub->move);
}

/* Where memory was refused for a timer it is asked for again: nothing may wait for ever. */
static void keep_timers(roam_subscription *sub)
{
    roam_env *env = &sub->ua->env;
    if (sub->state == ROAM_SUBSCRIPTION_SUBSCRIBING && !timer_armed(&sub->limit))
        env_arm(env, &sub->limit, 64 * sub->ua->sip.timers.t1);
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING && !timer_armed(&sub->limit))
        env_arm(env, &sub->limit, LEAVE_LIMIT);
    if (sub->expires_at != ROAM_NEVER && !timer_armed(&sub->lease))
        timer_arm(&env->timers, &sub->lease, sub->expires_at);
}

static void run_leaving(roam_subscription *sub, bool path)
{
    bool known = subscription_in_dialog(sub);
    if (!known && !sub->txn) {
        subscription_end(sub, 0, 0, "unsubscribed");
        return;
    }
    if (!path || sub->txn || !known || !sub->due)
        return; /* a SUBSCRIBE that is out may yet make a dialog, which is then ended */
    if (subscription_send(sub, 0) != 0)
        subscription_end(sub, 0, ROAM_ENOMEM, "could not be sent; the lease runs out");
}

static void keep(roam_subscription *sub)
{
    roam_registration *reg = &sub->account->reg;
    if (sub->state == ROAM_SUBSCRIPTION_ENDED)
        return;
    if (ua_now(sub->ua) >= sub->expires_at && sub->state != ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        subscription_lose(sub, "the lease ran out");
    bool path = keep_path(sub);
    if (sub->state == ROAM_SUBSCRIPTION_ENDED)
        return;
    keep_timers(sub);
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING) {
        run_leaving(sub, path);
        return;
    }
    if (!path)
        return;
    check_recovered(sub);
    if (sub->after_registration && reg->bound && reg->state == ROAM_REGISTRATION_REGISTERED) {
        sub->after_registration = false;
        sub->due = true;
    }
    if (sub->txn || timer_armed(&sub->rest) || sub->after_registration)
        return;
    bool known = subscription_in_dialog(sub);
    if (known && !sub->due && sub->told == subscription_contact(sub))
        return;
    if (!ip_change_token(sub->ua, &sub->paced))
        return;
    int err = subscription_send(sub, sub->expires);
    if (err) {
        if (!known)
            subscription_lose(sub, "could not be sent");
        subscription_rest(sub, 0, "could not be sent");
    }
}

static void run(roam_work *work)
{
    roam_subscription *sub = container_of(work, roam_subscription, work);
    keep(sub);
    watch_follow(sub->ua, &sub->watch, sub->state == ROAM_SUBSCRIPTION_ENDED ? NULL : sub->hop.flow, 0); /* the account's keepalives do for it */
}

void subscription_leave(roam_subscription *sub, const char *why)
{
    if (sub->state == ROAM_SUBSCRIPTION_ENDED || sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return;
    move_cancel(&sub->move);
    cancel_timers(sub);
    list_remove(&sub->paced.node);
    if (subscription_in_dialog(sub))
        subscription_stop_request(sub); /* a refresh; Expires 0 takes its place */
    sub->due = true;
    sub->attempt = (roam_auth_attempt){0};
    env_arm(&sub->ua->env, &sub->limit, LEAVE_LIMIT);
    subscription_set_state(sub, ROAM_SUBSCRIPTION_UNSUBSCRIBING, 0, 0, why);
    subscription_look(sub);
}

void subscription_force(roam_subscription *sub, const char *why)
{
    if (sub->state == ROAM_SUBSCRIPTION_ENDED || sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return;
    roam_path *path = sub->hop.flow ? sub->hop.flow->path : NULL;
    if (path) {
        roam_hop_news news = {.left = true, .alive = path->state != PATH_GONE}; /* its socket may be opened anew at this moment */
        if (path->state != PATH_GONE)
            news.source = path->local;
        path_left(sub, &news, why);
    }
    env_cancel(&sub->ua->env, &sub->rest);
    sub->due = true;
    subscription_look(sub);
}

/* ---- the public side ---- */

/* "package" or "package;id=x": goes into the header as it is (RFC 6665 8.4). */
static bool take_event(roam_subscription *sub, const char *text)
{
    roam_span params, name, value;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    sub->package = span_cut(span_of(text), ';', &params);
    for (size_t i = 0; i < sub->package.len; i++)
        if (!char_is(sub->package.ptr[i], CHAR_TOKEN))
            return false;
    sub->event_id = (roam_span){0};
    if (params.ptr && !params.len)
        return false;
    for (roam_span rest = params; rest.len;) {
        if (!param_next(&rest, &name, &value))
            return false;
        if (span_ieq(name, SPAN("id")))
            sub->event_id = value;
    }
    return sub->package.len > 0;
}

static const char *usual_accept(roam_span package)
{
    if (span_eq(package, SPAN("message-summary")))
        return "application/simple-message-summary"; /* RFC 3842 5.4 */
    if (span_eq(package, SPAN("reg")))
        return "application/reginfo+xml"; /* RFC 3680 4.4 */
    if (span_eq(package, SPAN("dialog")))
        return "application/dialog-info+xml"; /* RFC 4235 3.5 */
    if (span_eq(package, SPAN("presence")))
        return "application/pidf+xml"; /* RFC 3856 6.4 */
    return "";
}

static int fill(roam_subscription *sub, const roam_subscription_config *config)
{
    roam_mem *mem = &sub->ua->env.mem;
    char uri[ROAM_MAX_URI];
    roam_writer w;
    writer_init(&w, uri, sizeof uri);
    int err = account_target(sub->account, config->uri ? config->uri : sub->account->aor, &w);
    if (err)
        return err;
    for (const char *c = config->accept; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return ROAM_EINVAL;
    sub->uri = mem_strdup(mem, writer_span(&w));
    sub->event = mem_strdup(mem, span_of(config->event));
    if (!sub->uri || !sub->event)
        return ROAM_ENOMEM;
    if (sizeof ((roam_subscription_info *)0)->event <= strlen(sub->event) || !take_event(sub, sub->event))
        return ROAM_EINVAL;
    sub->accept = mem_strdup(mem, span_of(config->accept ? config->accept : usual_accept(sub->package)));
    if (!sub->accept)
        return ROAM_ENOMEM;
    sub->expires = config->expires ? config->expires : 3600;
    return 0;
}

int roam_subscribe(roam_ua *ua, const roam_subscription_config *config, roam_subscription_id *id)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "subscribe", ua_now(ua));
        record_number(&r, "account", config ? config->account : 0);
        record_text(&r, "uri", config ? config->uri : NULL);
        record_text(&r, "event", config ? config->event : NULL);
        record_text(&r, "accept", config ? config->accept : NULL);
        record_number(&r, "expires", config ? config->expires : 0);
        record_end(&r);
    }
    if (!config || !config->event)
        return ROAM_EINVAL;
    if (ua->life != UA_RUNNING)
        return ROAM_ESTATE;
    roam_account *account = config->account ? account_find(ua, config->account) : account_first(ua);
    if (!account)
        return ROAM_ENOTFOUND;
    if (ua->nsubscriptions >= ROAM_MAX_SUBSCRIPTIONS)
        return ROAM_ELIMIT;
    roam_subscription *sub = subscription_new(ua, account);
    if (!sub)
        return ROAM_ENOMEM;
    int err = fill(sub, config);
    if (err) {
        subscription_free(sub);
        return err;
    }
    ua_enter(ua, ua_now(ua));
    if (id)
        *id = sub->id;
    subscription_look(sub);
    ua_leave(ua);
    return 0;
}

int roam_unsubscribe(roam_ua *ua, roam_subscription_id id)
{
    record_command(ua, "unsubscribe", "subscription", id);
    roam_subscription *sub = find(ua, id);
    if (!sub)
        return ROAM_ENOTFOUND;
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return ROAM_ESTATE;
    ua_enter(ua, ua_now(ua));
    subscription_leave(sub, "unsubscribe");
    ua_leave(ua);
    return 0;
}

static void copy_text(char *out, size_t cap, const char *text)
{
    size_t len = strlen(text);
    len = len < cap ? len : cap - 1;
    memcpy(out, text, len);
    out[len] = '\0';
}

int roam_subscription_get_info(const roam_ua *ua, roam_subscription_id id, roam_subscription_info *info)
{
    const roam_subscription *sub = find(ua, id);
    if (!sub)
        return ROAM_ENOTFOUND;
    *info = (roam_subscription_info){.id = id,
                                     .account = sub->account->id,
                                     .state = sub->state,
                                     .last_status = sub->last_status,
                                     .expires_at = sub->expires_at,
                                     .epoch = sub->move.report.epoch};
    copy_text(info->event, sizeof info->event, sub->event);
    copy_text(info->uri, sizeof info->uri, sub->uri);
    return 0;
}

size_t roam_subscription_list(const roam_ua *ua, roam_subscription_id *ids, size_t max)
{
    size_t n = 0;
    list_each(sub, &ua->subscriptions, roam_subscription, node)
    {
        if (n < max)
            ids[n] = sub->id;
        n++;
    }
    return n;
}

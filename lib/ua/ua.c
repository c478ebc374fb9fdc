#include "ua/ua.h"

#include "ua/account.h"
#include "ua/call.h"
#include "ua/farewell.h"
#include "ua/pager.h"
#include "ua/subscription.h"
#include "ua/transfer.h"
#include "ua/uas.h"
#include "ua/record.h"

#define LEAVE_LIMIT ROAM_SECONDS(4)
#define MEMORY_RETRY ROAM_MS(500) /* what a refusal of memory left undone is looked at again */

/* ---- configuration ---- */

void roam_ua_config_default(roam_ua_config *config)
{
    *config = (roam_ua_config){.t1_ms = 500,
                               .t2_ms = 4000,
                               .t4_ms = 5000,
                               .coalesce_ms = 50,
                               .route_answers = true,
                               .register_rate = 10000,
                               .register_burst = 200};
}

const char *roam_version(void)
{
    return ROAM_VERSION;
}

/* ---- the sip layer's user ---- */

static int on_send(void *user, const roam_flow *flow, roam_span bytes)
{
    roam_ua *ua = user;
    const roam_path *path = flow->path;
    if (path->state != PATH_UP)
        return 0; /* lost with the path: its sender finds out by the move, not by an error */
    if (!outputs_push_send(&ua->out, path->socket, &flow->remote, bytes))
        return ROAM_ENOMEM;
    return 0;
}

static void on_request(void *user, roam_server_txn *txn, const roam_message *request)
{
    uas_request(user, txn, request);
}

static void on_answered(void *user, roam_client_txn *txn, roam_flow *flow, const roam_message *response)
{
    watch_answered(user, txn, flow, response);
}

static void on_unanswered(void *user, roam_client_txn *txn, roam_flow *flow)
{
    watch_unanswered(user, txn, flow);
}

static void on_ack(void *user, roam_flow *flow, const roam_message *ack)
{
    (void)flow;
    uas_ack(user, ack);
}

static bool on_merged(void *user, roam_server_txn *old, roam_flow *flow)
{
    return call_merges(user, old, flow);
}

static void on_stray_response(void *user, roam_flow *flow, const roam_message *response)
{
    call_stray_answer(user, flow, response);
}

/* ---- birth and death ---- */

static void on_memory(roam_timer *timer)
{
    roam_ua *ua = container_of(timer, roam_ua, memory_timer);
    timer_arm(&ua->env.timers, timer, ROAM_NEVER); /* its place in the heap has just become free */
    ua_work_all(ua);
}

static void on_leave_timer(roam_timer *timer)
{
    (void)timer; /* ua_leave looks */
}

/* A text that becomes a header's value must not become two headers. */
static bool one_line(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

roam_ua *roam_ua_new(const roam_ua_config *config)
{
    roam_mem first;
    if (!one_line(config->user_agent))
        return NULL;
    mem_init(&first, config->allocator);
    roam_ua *ua = mem_new(&first, roam_ua);
    if (!ua)
        return NULL;
    ua->config = *config;
    env_init(&ua->env, config->allocator, config->seed, config->trace, config->trace_user);
    roam_mem *mem = &ua->env.mem;
    outputs_init(&ua->out, mem);
    list_init(&ua->accounts);
    list_init(&ua->calls);
    list_init(&ua->lingering);
    list_init(&ua->subscriptions);
    list_init(&ua->pages);
    list_init(&ua->work);
    list_init(&ua->farewells);
    list_init(&ua->dead_calls);
    list_init(&ua->dead_subscriptions);
    list_init(&ua->dead_pages);
    list_init(&ua->dead_accounts);
    map_init(&ua->account_ids, mem, ua->env.hash_seed);
    map_init(&ua->account_users, mem, ua->env.hash_seed);
    map_init(&ua->subscription_ids, mem, ua->env.hash_seed);
    map_init(&ua->subscription_tags, mem, ua->env.hash_seed);
    map_init(&ua->call_ids, mem, ua->env.hash_seed);
    map_init(&ua->call_dialogs, mem, ua->env.hash_seed);
    map_init(&ua->media_sockets, mem, ua->env.hash_seed);
    timer_init(&ua->leave_timer, on_leave_timer, "leave");
    timer_init(&ua->memory_timer, on_memory, "memory");
    net_init(ua);
    resolve_init(ua);
    ip_change_init(ua);
    watches_init(ua);
    roam_sip_tu tu = {.send = on_send, .request = on_request, .ack = on_ack, .stray_response = on_stray_response, .merged = on_merged,
                      .answered = on_answered, .unanswered = on_unanswered, .user = ua};
    ua->user_agent = mem_strdup(mem, span_of(config->user_agent ? config->user_agent : "roam/" ROAM_VERSION));
    ua->codecs = config->codecs ? mem_strdup(mem, span_of(config->codecs)) : NULL;
    bool ok = ua->user_agent && (ua->codecs || !config->codecs) && sip_init(&ua->sip, &ua->env, &tu) == 0 &&
              timer_arm(&ua->env.timers, &ua->memory_timer, ROAM_NEVER) == 0;
    if (!ok) {
        roam_ua_free(ua);
        return NULL;
    }
    ua->sip.merge_check = true;
    ua->sip.answer_trying = true;
    ua->sip.timers = (roam_sip_timers){ROAM_MS(config->t1_ms ? config->t1_ms : 500), ROAM_MS(config->t2_ms ? config->t2_ms : 4000),
                                       ROAM_MS(config->t4_ms ? config->t4_ms : 5000)};
    if (recording(ua))
        record_config(ua, config);
    ua->config.user_agent = ua->config.codecs = NULL; /* copied above, as is the allocator */
    ua->config.allocator = NULL;
    return ua;
}

/* A removed account waits for the last of its calls, subscriptions and messages. */
static void left_account(roam_ua *ua, roam_account *account)
{
    if (account->removed)
        ua_work(ua, &account->reg.work);
}

static void bury(roam_ua *ua)
{
    list_each(call, &ua->dead_calls, roam_call, node) /* these refer to accounts, so they go first */
    {
        left_account(ua, call->account);
        call_free(call);
    }
    list_each(sub, &ua->dead_subscriptions, roam_subscription, node)
    {
        left_account(ua, sub->account);
        subscription_free(sub);
    }
    list_each(page, &ua->dead_pages, roam_page, node)
    {
        left_account(ua, page->account);
        page_free(page);
    }
    list_each(account, &ua->dead_accounts, roam_account, node)
        account_free(account);
    watch_reap(ua);
    net_bury(ua);
}

void roam_ua_free(roam_ua *ua)
{
    if (!ua)
        return;
    if (recording(ua) && ua->sip.scratch) {
        roam_record r = record_begin(ua, "ua_free", ua_now(ua));
        record_end(&r);
    }
    list_each(call, &ua->calls, roam_call, node)
        call_free(call);
    list_each(call, &ua->lingering, roam_call, node)
        call_free(call);
    list_each(sub, &ua->subscriptions, roam_subscription, node)
        subscription_free(sub);
    list_each(page, &ua->pages, roam_page, node)
        page_free(page);
    farewell_free_all(ua);
    bury(ua);
    list_each(account, &ua->accounts, roam_account, node)
        account_free(account);
    env_cancel(&ua->env, &ua->leave_timer);
    env_cancel(&ua->env, &ua->memory_timer);
    env_cancel(&ua->env, &ua->ip_change.coalesce);
    env_cancel(&ua->env, &ua->ip_change.bucket_timer);
    watches_free(ua);
    if (ua->sip.env)
        sip_free(&ua->sip);
    resolve_free(ua);
    net_free(ua);
    map_free(&ua->account_ids);
    map_free(&ua->account_users);
    map_free(&ua->subscription_ids);
    map_free(&ua->subscription_tags);
    map_free(&ua->call_ids);
    map_free(&ua->call_dialogs);
    map_free(&ua->media_sockets);
    outputs_free(&ua->out);
    roam_mem *mem = &ua->env.mem;
    mem_free(mem, ua->user_agent);
    mem_free(mem, ua->codecs);
    roam_mem own = {.allocator = mem->allocator, .live = 1}; /* the agent's own block was taken before there was an env to count it */
    env_free(&ua->env);
    mem_free(&own, ua);
}

/* ---- inputs ---- */

void ua_work(roam_ua *ua, roam_work *work)
{
    if (list_empty(&work->node))
        list_push(&ua->work, &work->node);
}

void ua_work_all(roam_ua *ua)
{
    uas_keep_answers(ua);
    /* Calls first, and the accounts that have calls: where REGISTERs are paced, theirs come before the idle ones'. */
    list_each(call, &ua->calls, roam_call, node)
    {
        ua_work(ua, &call->work);
        ua_work(ua, &call->account->reg.work);
    }
    list_each(call, &ua->lingering, roam_call, node)
        ua_work(ua, &call->work);
    list_each(account, &ua->accounts, roam_account, node)
        ua_work(ua, &account->reg.work);
    farewell_look_all(ua);
    list_each(sub, &ua->subscriptions, roam_subscription, node)
        ua_work(ua, &sub->work);
    list_each(page, &ua->pages, roam_page, node)
        ua_work(ua, &page->work);
}

static void check_left(roam_ua *ua)
{
    if (ua->life != UA_LEAVING)
        return;
    bool busy = ua->ncalls || ua->nsubscriptions || ua->npages || ua->nfarewells;
    list_each(account, &ua->accounts, roam_account, node)
        if (busy || (busy = registration_busy(account)))
            break;
    if (busy && timer_armed(&ua->leave_timer))
        return;
    ua->life = UA_LEFT;
    env_cancel(&ua->env, &ua->leave_timer);
    roam_event event = {.type = ROAM_EVENT_SHUTDOWN_DONE};
    ua_event(ua, &event, busy ? "some good-byes were not answered" : "");
}

static void check_completed(roam_ua *ua)
{
    roam_ip_change *ic = &ua->ip_change;
    if (!ic->running || ic->active > 0)
        return;
    ic->running = false;
    roam_event event = {.type = ROAM_EVENT_IP_CHANGE_PROGRESS, .op = ROAM_IP_CHANGE_COMPLETED, .epoch = ic->epoch};
    ua_event(ua, &event, "");
}

void ua_enter(roam_ua *ua, roam_time now)
{
    if (ua->depth++ == 0) {
        ua->ip_change.bumped = false;
        if (watch_clock(ua, now))
            watch_woke(ua);
    }
    env_advance(&ua->env, now);
}

bool ua_enter_network(roam_ua *ua, roam_time now)
{
    bool slept = ua->depth == 0 && watch_clock(ua, now);
    if (ua->depth++ == 0)
        ua->ip_change.bumped = false;
    if (now > ua->env.now)
        ua->env.now = now;
    return slept;
}

void ua_leave(roam_ua *ua)
{
    if (ua->depth > 1) {
        ua->depth--;
        return;
    }
    do {
        roam_list *node;
        while ((node = list_pop(&ua->work))) {
            roam_work *work = container_of(node, roam_work, node);
            work->run(work);
        }
        bury(ua);
    } while (!list_empty(&ua->work));
    if (ua->env.mem.refused != ua->refused_seen) {
        ua->refused_seen = ua->env.mem.refused;
        timer_arm(&ua->env.timers, &ua->memory_timer, ua_now(ua) + MEMORY_RETRY);
    }
    check_completed(ua);
    check_left(ua);
    ua->depth--;
}

void roam_ua_advance(roam_ua *ua, roam_time now)
{
    if (recording(ua) && timers_deadline(&ua->env.timers) <= now) { /* time alone does nothing */
        roam_record r = record_begin(ua, "advance", now);
        record_end(&r);
    }
    ua_enter(ua, now);
    ua_leave(ua);
}

void roam_ua_receive(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *from, roam_span datagram)
{
    if (recording(ua))
        record_datagram(ua, now, socket, from, datagram, !net_path_by_socket(ua, socket));
    ua_enter(ua, now);
    roam_path *path = net_path_by_socket(ua, socket);
    if (path) {
        sip_receive(&ua->sip, path, from, datagram);
    } else if (!call_media_receive(ua, socket, from, datagram)) {
        ua->dropped++; /* of a socket that was closed a moment ago */
    }
    ua_leave(ua);
}

void roam_ua_socket_opened(roam_ua *ua, roam_time now, uint32_t socket, int err, const roam_addr *local)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "socket_opened", now);
        record_number(&r, "socket", socket);
        record_signed(&r, "err", err);
        record_addr(&r, "local", local);
        record_end(&r);
    }
    ua_enter(ua, now);
    if (!net_socket_opened(ua, socket, err, local) && !call_socket_opened(ua, socket, err, local) && err == 0) {
        roam_output out = {.type = ROAM_OUTPUT_SOCKET_CLOSE, .socket = socket}; /* nobody wants it any more */
        outputs_push(&ua->out, &out);
    }
    ua_leave(ua);
}

void roam_ua_socket_error(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *remote)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "socket_error", now);
        record_number(&r, "socket", socket);
        if (remote)
            record_addr(&r, "remote", remote);
        record_end(&r);
    }
    ua_enter(ua, now);
    roam_path *path = net_path_by_socket(ua, socket);
    trace_dropped(&ua->env.trace, path ? "path" : "leg", "the system could not send", remote, span_make(NULL, 0));
    ua->dropped++;
    if (path)
        watch_suspect_path(ua, path, remote, EVIDENCE_SEND_ERROR);
    else
        call_media_error(ua, socket);
    ua_leave(ua);
}

void roam_ua_route(roam_ua *ua, roam_time now, const roam_net_route *route)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "route", now);
        record_ip(&r, "destination", &route->destination);
        record_ip(&r, "source", &route->source);
        record_number(&r, "route_link", route->link);
        record_end(&r);
    }
    ua_enter(ua, now);
    ip_change_news(ua, net_take_route(ua, route));
    ua_leave(ua);
}

void roam_ua_resolved(roam_ua *ua, roam_time now, uint32_t query, const roam_ip *ips, size_t n)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "resolved", now);
        record_number(&r, "query", query);
        for (size_t i = 0; i < n; i++)
            record_ip(&r, "ip", &ips[i]);
        record_end(&r);
    }
    ua_enter(ua, now);
    resolve_answer(ua, query, ips, n);
    ua_leave(ua);
}

void roam_ua_shutdown(roam_ua *ua)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "shutdown", ua_now(ua));
        record_end(&r);
    }
    if (ua->life != UA_RUNNING)
        return;
    ua_enter(ua, ua_now(ua));
    ua->life = UA_LEAVING;
    env_arm(&ua->env, &ua->leave_timer, LEAVE_LIMIT);
    calls_drop_lingering(ua, NULL);
    list_each(call, &ua->calls, roam_call, node)
        call_hangup(call, "the agent leaves");
    list_each(sub, &ua->subscriptions, roam_subscription, node)
        subscription_leave(sub, "the agent leaves");
    list_each(account, &ua->accounts, roam_account, node)
        if (account->reg.want != WANT_NOTHING)
            registration_want(account, WANT_UNREGISTERED);
    ua_leave(ua);
}

/* ---- outputs ---- */

roam_time roam_ua_deadline(const roam_ua *ua)
{
    return timers_deadline(&ua->env.timers);
}

bool roam_ua_poll(roam_ua *ua, roam_output *output)
{
    if (!outputs_poll(&ua->out, output))
        return false;
    if (ua->config.trace_inputs)
        record_output(ua, output);
    return true;
}

bool ua_event(roam_ua *ua, roam_event *event, const char *why)
{
    event->time = ua_now(ua);
    size_t len = why ? strlen(why) : 0;
    if (len >= sizeof event->reason)
        len = sizeof event->reason - 1;
    if (len)
        memcpy(event->reason, why, len);
    event->reason[len] = '\0';
    for (char *c = event->reason; *c; c++) /* some of it is a peer's, and it is shown on terminals */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return outputs_push_event(&ua->out, event);
}

uint32_t ua_epoch(const roam_ua *ua)
{
    return ua->ip_change.epoch;
}

const char *roam_event_type_text(roam_event_type type)
{
    static const char *const text[] = {"registration", "call_incoming",     "call_state",       "call_hold",          "call_link",    "call_media",
                                       "call_dtmf",    "call_media_silent", "call_media_heard", "ip_change_progress", "shutdown_done",
                                       "call_transfer", "call_transfer_requested", "call_replaced", "call_info", "subscription", "notify", "message", "message_sent"};
    return (unsigned)type < sizeof text / sizeof *text ? text[type] : "";
}

bool content_type_valid(const char *text)
{
    if (!text)
        return true;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return strchr(text, '/') && strlen(text) < 256;
}

void write_agent_headers(roam_ua *ua, roam_writer *w, bool request)
{
    write_header(w, HEADER_ALLOW, SPAN(UA_ALLOW));
    write_header(w, HEADER_SUPPORTED, SPAN(UA_SUPPORTED));
    write_header(w, request ? HEADER_USER_AGENT : HEADER_SERVER, span_of(ua->user_agent));
}

void roam_ua_get_counters(const roam_ua *ua, roam_ua_counters *c)
{
    const roam_sip_counters *s = &ua->sip.counters;
    size_t paths = 0;
    list_each(np, &ua->net.paths, roam_net_path, path.node)
        paths++;
    *c = (roam_ua_counters){.messages_received = s->received,
                            .messages_sent = s->sent,
                            .retransmissions = s->retransmitted,
                            .malformed = s->malformed,
                            .dropped = ua->dropped + s->stray_responses + s->stray_acks + ua->out.dropped,
                            .over_limit = s->over_limit,
                            .transactions = ua->sip.ntransactions,
                            .accounts = ua->naccounts,
                            .calls = ua->ncalls,
                            .subscriptions = ua->nsubscriptions,
                            .paths = paths,
                            .memory_blocks = ua->env.mem.live,
                            .epoch = ua->ip_change.epoch};
}

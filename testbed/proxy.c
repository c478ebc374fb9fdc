#include "testbed/proxy.h"

#include "testbed/route.h"

#define MAX_EARLY_TAGS 4u /* early dialogs of one branch whose end is told; further ones end untold */

typedef struct context context;

/* One copy of the request that we sent on (a "client transaction of the response context", RFC 3261 16.7). */
typedef struct branch {
    roam_list node; /* in its context */
    roam_map_node by_via;
    context *ctx;
    roam_client_txn *txn; /* NULL: ended */
    roam_timer timer_c;
    uint64_t fingerprint; /* of the request as it came to us: a copy that comes back with the same one went in a loop */
    unsigned status;      /* its final answer; 0: still open */
    char *response;       /* the bytes of a failure; NULL: made up by us */
    size_t response_len;
    char *early[MAX_EARLY_TAGS]; /* To tags of its early dialogs, while `sends_199` */
    char via[48];
} branch;

/* One request under way. */
struct context {
    roam_list node;
    roam_proxy *proxy;
    roam_server_txn *server; /* NULL: ended */
    roam_list branches;
    roam_timer retry; /* always armed: the answer is due again when memory was refused */
    bool answered;    /* a final response went upstream */
    bool is_invite;
    bool wants_199;
    bool cancelled;
};

static bool request_valid(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, roam_route *route,
                          unsigned *forwards);
static bool request_allowed(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request,
                            const roam_route *route);
static void refuse(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, unsigned status,
                   const char *why);
static void challenge(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, roam_auth_verdict verdict);
static bool looped(const roam_proxy *proxy, const roam_message *request, uint64_t fingerprint);
static uint64_t request_fingerprint(const roam_proxy *proxy, const roam_message *request);
static bool in_dialog(const roam_message *request);
static bool max_forwards(const roam_message *request, unsigned *out);
static void forward(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, roam_route *route,
                    unsigned forwards);
static bool forward_to(context *ctx, const roam_message *request, const roam_route *route, roam_span uri,
                       const roam_hop *hop, unsigned forwards, uint64_t fingerprint);
static void server_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message);
static void branch_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);
static void early_note(branch *b, const roam_message *response);
static void early_tell_ends(branch *b);
static void branch_final(branch *b, unsigned status, const roam_message *response);
static void cancel_others(context *ctx, const branch *except);
static bool pass_response(context *ctx, const roam_message *response);
static void retry_fired(roam_timer *timer);
static void answer_if_done(context *ctx);
static const branch *best_branch(const context *ctx);
static int answer_with(context *ctx, const branch *best);
static void write_challenges(roam_writer *w, const context *ctx, const branch *except);
static void timer_c_fired(roam_timer *timer);
static void context_free_if_over(context *ctx);
static void branch_free(branch *b);

int proxy_init(roam_proxy *proxy, roam_site *site, roam_registrar *registrar, roam_auth *auth,
               const roam_proxy_config *config)
{
    *proxy = (roam_proxy){.site = site, .sip = site->sip, .registrar = registrar, .auth = auth, .config = *config};
    if (!proxy->config.timer_c)
        proxy->config.timer_c = ROAM_SECONDS(181);
    list_init(&proxy->contexts);
    map_init(&proxy->branches, &site->env->mem, site->env->hash_seed);
    return ROAM_OK;
}

void proxy_free(roam_proxy *proxy)
{
    list_each (ctx, &proxy->contexts, context, node) {
        if (ctx->server)
            server_txn_attach(ctx->server, NULL, NULL);
        list_each (b, &ctx->branches, branch, node)
            if (b->txn)
                client_txn_abandon(b->txn);
        list_each (b, &ctx->branches, branch, node)
            b->txn = NULL;
        ctx->server = NULL;
        context_free_if_over(ctx);
    }
    map_free(&proxy->branches);
}

void proxy_request(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request)
{
    roam_route route;
    unsigned forwards;
    proxy->counters.requests++;
    if (!request_valid(proxy, txn, request, &route, &forwards) || !request_allowed(proxy, txn, request, &route))
        return;
    /* A ping for the server itself. */
    if (request->method == METHOD_OPTIONS && route.local && !route.target.user.len) {
        (void)server_txn_respond(txn, 200, (roam_span){0});
        return;
    }
    forward(proxy, txn, request, &route, forwards);
}

/* Statelessly, like a request: by Route and Request-URI (RFC 3261 16.11; 13.2.2.4 made it a transaction of its own). */
void proxy_ack(roam_proxy *proxy, roam_flow *flow, const roam_message *ack)
{
    roam_route route;
    roam_hop hop;
    unsigned forwards;
    char user[REGISTRAR_MAX_USER];
    const roam_binding *binding = NULL;
    proxy->counters.acks++;
    if (!max_forwards(ack, &forwards) || forwards == 0 || route_find(proxy->site, ack, &route))
        goto drop;
    if (route.local) {
        const roam_aor *aor = registrar_find(proxy->registrar, registrar_user(&route.target, user));
        if (!aor)
            goto drop;
        binding = container_of(aor->bindings.prev, roam_binding, node); /* the newest */
    }
    if (route_hop(proxy->site, proxy->registrar, &route, binding, proxy->config.nat_help, flow->path, &hop))
        goto drop;
    roam_flow *out = flow_get(proxy->sip, hop.path, &hop.remote);
    if (!out)
        goto drop;
    roam_request r;
    roam_span uri = binding ? span_of(binding->contact) : route.uri;
    request_begin(proxy->sip, &r, out, SPAN("ACK"), route_request_uri(&route, uri), forwards - 1);
    route_write(&r, &(roam_route_copy){.site = proxy->site,
                                       .auth = proxy->auth,
                                       .request = ack,
                                       .route = &route,
                                       .source = &flow->remote,
                                       .in = flow->path,
                                       .out = hop.path});
    (void)request_send_stateless(&r, NULL, NULL); /* lost: the 2xx comes again, and the ACK after it */
    flow_unref(out);
    return;
drop:
    proxy->counters.acks_dropped++;
}

/* ---- what comes in ---- */

/* RFC 3261 16.3 and 16.4. */
static bool request_valid(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, roam_route *route,
                          unsigned *forwards)
{
    roam_value_cursor cursor = {0};
    roam_span option;
    unsigned status = route_find(proxy->site, request, route);
    if (status) {
        refuse(proxy, txn, request, status, status == 416 ? "scheme of the Request-URI" : "bad Route or Request-URI");
    } else if (!max_forwards(request, forwards) || *forwards == 0) {
        refuse(proxy, txn, request, 483, "Max-Forwards is used up");
    } else if (looped(proxy, request, request_fingerprint(proxy, request))) {
        proxy->counters.loops++;
        refuse(proxy, txn, request, 482, "the request was here before");
    } else if (message_values(request, HEADER_PROXY_REQUIRE, &cursor, &option)) {
        roam_response r;
        response_begin(txn, &r, 420, (roam_span){0}, (roam_span){0});
        write_headers_copied(&r.w, request, HEADER_PROXY_REQUIRE);
        write_header(&r.w, HEADER_UNSUPPORTED, option);
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        proxy->counters.refused++;
        (void)response_send(&r);
    } else {
        return true;
    }
    return false;
}

/* Who may send what through us. */
static bool request_allowed(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request,
                            const roam_route *route)
{
    const roam_proxy_config *config = &proxy->config;
    roam_name_addr from;
    char space[REGISTRAR_MAX_USER];
    if (name_addr_parse(message_value(request, HEADER_FROM), &from) != ROAM_OK) {
        refuse(proxy, txn, request, 400, "bad From");
        return false;
    }
    bool dialog = in_dialog(request);
    if (!site_owns_host(proxy->site, &from.uri)) {
        if (dialog || route->local)
            return true;
        refuse(proxy, txn, request, 403, "no relaying for strangers");
        return false;
    }
    roam_span user = registrar_user(&from.uri, space);
    const roam_addr *source = server_txn_source(txn);
    if (auth_trusts(proxy->auth, user))
        return true;
    if (config->edge_refuses && !registrar_has_source(proxy->registrar, source)) {
        refuse(proxy, txn, request, 403, "no registration from this source");
        return false;
    }
    if (!auth_enabled(proxy->auth) || config->auth == PROXY_AUTH_NONE || (dialog && config->auth == PROXY_AUTH_INITIAL))
        return true;
    roam_auth_verdict verdict = auth_check(proxy->auth, request, HEADER_PROXY_AUTHORIZATION, user, source);
    if (verdict == AUTH_OK)
        return true;
    if (verdict == AUTH_BAD)
        refuse(proxy, txn, request, 400, auth_verdict_text(verdict));
    else
        challenge(proxy, txn, request, verdict);
    return false;
}

static void refuse(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, unsigned status,
                   const char *why)
{
    proxy->counters.refused++;
    site_notice(proxy->site, &(roam_notice){.type = NOTICE_REFUSED,
                                            .method = request->method_name,
                                            .subject = request->request_uri,
                                            .call_id = message_value(request, HEADER_CALL_ID),
                                            .remote = *server_txn_source(txn),
                                            .status = status,
                                            .why = why});
    (void)server_txn_respond(txn, status, (roam_span){0}); /* no memory: the request comes again */
}

static void challenge(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, roam_auth_verdict verdict)
{
    roam_response r;
    response_begin(txn, &r, 407, (roam_span){0}, (roam_span){0});
    if (auth_write_challenge(proxy->auth, &r.w, HEADER_PROXY_AUTHENTICATE, verdict == AUTH_STALE,
                             server_txn_source(txn)) != ROAM_OK) {
        refuse(proxy, txn, request, 500, "no memory");
        return;
    }
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    proxy->counters.challenged++;
    site_notice(proxy->site, &(roam_notice){.type = NOTICE_REFUSED,
                                            .method = request->method_name,
                                            .subject = request->request_uri,
                                            .call_id = message_value(request, HEADER_CALL_ID),
                                            .remote = *server_txn_source(txn),
                                            .status = 407,
                                            .why = auth_verdict_text(verdict)});
    (void)response_send(&r);
}

/* RFC 3261 16.3, 4. Our own branch in a Via says that the request was here. It is a loop, and no spiral, when what
 * decides its way is the same as then. As every context lives until its answer, the branch is still known. */
static bool looped(const roam_proxy *proxy, const roam_message *request, uint64_t fingerprint)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    roam_via via;
    while (message_values(request, HEADER_VIA, &cursor, &value)) {
        roam_map_node *node =
            via_parse(value, &via) == ROAM_OK && via.branch.len ? map_find(&proxy->branches, via.branch) : NULL;
        if (node && container_of(node, branch, by_via)->fingerprint == fingerprint)
            return true;
    }
    return false;
}

static uint64_t request_fingerprint(const roam_proxy *proxy, const roam_message *request)
{
    static const roam_header_id ids[] = {HEADER_FROM, HEADER_TO, HEADER_CALL_ID, HEADER_CSEQ, HEADER_ROUTE};
    const uint64_t *seed = proxy->site->env->hash_seed;
    uint64_t hash = roam_siphash(seed, request->request_uri);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (int k = message_first(request, ids[i]); k >= 0; k = message_next(request, ids[i], k))
            hash = hash * 0x9e3779b97f4a7c15u + roam_siphash(seed, request->headers[k].value);
    return hash;
}

static bool in_dialog(const roam_message *request)
{
    roam_name_addr to;
    return name_addr_parse(message_value(request, HEADER_TO), &to) == ROAM_OK && name_addr_tag(&to).len > 0;
}

/* A request without the header is as one with 70 (16.6, 3). */
static bool max_forwards(const roam_message *request, unsigned *out)
{
    uint64_t n = 70;
    if (message_has(request, HEADER_MAX_FORWARDS) && !span_u64(message_value(request, HEADER_MAX_FORWARDS), 255, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

/* ---- what goes out ---- */

/* RFC 3261 16.5 and 16.6. */
static void forward(roam_proxy *proxy, roam_server_txn *txn, const roam_message *request, roam_route *route,
                    unsigned forwards)
{
    roam_mem *mem = &proxy->site->env->mem;
    const roam_aor *aor = NULL;
    roam_hop hop;
    unsigned status = 0;
    if (route->local) {
        char space[REGISTRAR_MAX_USER];
        roam_span user = registrar_user(&route->target, space);
        aor = user.len ? registrar_find(proxy->registrar, user) : NULL;
        if (!aor) {
            bool known = user.len && (!auth_enabled(proxy->auth) || auth_knows(proxy->auth, user));
            refuse(proxy, txn, request, known ? 480 : 404, known ? "not registered" : "no such user");
            return;
        }
    } else if ((status = route_hop(proxy->site, proxy->registrar, route, NULL, proxy->config.nat_help,
                                   server_txn_flow(txn)->path, &hop)) != 0) {
        refuse(proxy, txn, request, status, "no way to the next hop");
        return;
    }
    context *ctx = mem_new(mem, context);
    if (ctx)
        timer_init(&ctx->retry, retry_fired, "answer again");
    if (!ctx || timer_arm(&proxy->site->env->timers, &ctx->retry, ROAM_NEVER) != ROAM_OK) {
        mem_free(mem, ctx);
        refuse(proxy, txn, request, 503, "no memory");
        return;
    }
    ctx->proxy = proxy;
    ctx->server = txn;
    ctx->is_invite = request->method == METHOD_INVITE;
    /* A 199 of a proxy cannot be reliable: not where the caller wants every provisional so. */
    ctx->wants_199 = proxy->config.sends_199 && ctx->is_invite &&
                     message_has_token(request, HEADER_SUPPORTED, SPAN("199")) &&
                     !message_has_token(request, HEADER_REQUIRE, SPAN("100rel"));
    list_init(&ctx->branches);
    list_push(&proxy->contexts, &ctx->node);
    server_txn_attach(txn, server_event, ctx);
    if (ctx->is_invite)
        (void)server_txn_respond(txn, 100, (roam_span){0});
    uint64_t fingerprint = request_fingerprint(proxy, request);
    size_t sent = 0;
    if (!aor) {
        sent = forward_to(ctx, request, route, route->uri, &hop, forwards, fingerprint);
    } else {
        list_each (b, &aor->bindings, roam_binding, node) {
            if (sent == ROAM_MAX_FORKS)
                break;
            if (route_hop(proxy->site, proxy->registrar, route, b, proxy->config.nat_help, b->path, &hop) == 0)
                sent += forward_to(ctx, request, route, span_of(b->contact), &hop, forwards, fingerprint);
        }
    }
    if (!sent) /* no branch: answered 500, and again until it succeeds */
        answer_if_done(ctx);
}

static bool forward_to(context *ctx, const roam_message *request, const roam_route *route, roam_span uri,
                       const roam_hop *hop, unsigned forwards, uint64_t fingerprint)
{
    roam_proxy *proxy = ctx->proxy;
    roam_env *env = proxy->site->env;
    branch *b = mem_new(&env->mem, branch);
    roam_flow *flow = flow_get(proxy->sip, hop->path, &hop->remote);
    if (!b || !flow) {
        mem_free(&env->mem, b);
        flow_unref(flow);
        return false;
    }
    list_init(&b->node);
    map_node_init(&b->by_via);
    timer_init(&b->timer_c, timer_c_fired, "Timer C");
    b->ctx = ctx;
    b->fingerprint = fingerprint;
    roam_request r;
    request_begin(proxy->sip, &r, flow, request->method_name, route_request_uri(route, uri), forwards - 1);
    bool stays = ctx->is_invite || request->method == METHOD_SUBSCRIBE || request->method == METHOD_REFER;
    route_write(&r, &(roam_route_copy){.site = proxy->site,
                                       .auth = proxy->auth,
                                       .request = request,
                                       .route = route,
                                       .source = server_txn_source(ctx->server),
                                       .in = server_txn_flow(ctx->server)->path,
                                       .out = hop->path,
                                       .record_route = stays && !proxy->config.no_record_route});
    memcpy(b->via, r.branch, sizeof b->via);
    if (map_insert(&proxy->branches, &b->by_via, span_of(b->via)) == ROAM_OK &&
        (!ctx->is_invite || env_arm(env, &b->timer_c, proxy->config.timer_c) == ROAM_OK))
        b->txn = request_send(&r, branch_event, b);
    flow_unref(flow);
    if (!b->txn) {
        branch_free(b);
        return false;
    }
    list_push(&ctx->branches, &b->node);
    proxy->counters.forwarded++;
    bool dialog = in_dialog(request);
    if (dialog || ctx->is_invite)
        site_notice(proxy->site, &(roam_notice){.type = dialog ? NOTICE_DIALOG_REQUEST : NOTICE_CALL_PASSED,
                                                .method = request->method_name,
                                                .subject = request->request_uri,
                                                .contact = uri,
                                                .call_id = message_value(request, HEADER_CALL_ID),
                                                .remote = hop->remote});
    return true;
}

/* ---- the context ---- */

static void server_event(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message)
{
    context *ctx = user;
    (void)txn;
    (void)message;
    switch (event) {
    case SERVER_CANCELLED: /* 16.10 */
        ctx->proxy->counters.cancels++;
        ctx->cancelled = true;
        cancel_others(ctx, NULL);
        answer_if_done(ctx);
        break;
    case SERVER_ENDED:
        ctx->server = NULL;
        context_free_if_over(ctx);
        break;
    case SERVER_ACKED:
    case SERVER_NO_ACK: break;
    }
}

/* RFC 3261 16.7. */
static void branch_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    branch *b = user;
    context *ctx = b->ctx;
    roam_env *env = ctx->proxy->site->env;
    (void)txn;
    switch (event) {
    case CLIENT_RESPONSE:
        ctx->proxy->counters.responses++;
        if (message->status < 200) {
            if (message->status == 100 || !ctx->is_invite)
                return;
            if (!b->status && timer_armed(&b->timer_c))
                (void)env_arm(env, &b->timer_c, ctx->proxy->config.timer_c);
            if (!ctx->answered) {
                early_note(b, message);
                (void)pass_response(ctx, message);
            }
        } else if (message->status < 300) {
            env_cancel(env, &b->timer_c);
            /* Every 2xx to an INVITE goes upstream, each time it comes; of other requests the first answer. One that is
             * lost for want of memory comes again. */
            if ((ctx->is_invite || !ctx->answered) && pass_response(ctx, message))
                b->status = message->status;
            cancel_others(ctx, b);
        } else {
            branch_final(b, message->status, message);
        }
        break;
    case CLIENT_TIMEOUT: branch_final(b, 408, NULL); break;
    case CLIENT_FAILED: branch_final(b, 503, NULL); break;
    case CLIENT_ENDED:
        b->txn = NULL;
        env_cancel(env, &b->timer_c);
        if (!b->status) {
            b->status = 500; /* its 2xx could never be passed on */
            answer_if_done(ctx);
        }
        context_free_if_over(ctx);
        break;
    }
}

static void branch_final(branch *b, unsigned status, const roam_message *response)
{
    context *ctx = b->ctx;
    roam_env *env = ctx->proxy->site->env;
    env_cancel(env, &b->timer_c);
    if (b->status)
        return; /* given up before: the answer is made already */
    b->status = status;
    if (response && !ctx->answered) {
        b->response = mem_alloc(&env->mem, response->bytes.len);
        if (b->response) { /* else an empty response of that status goes up */
            memcpy(b->response, response->bytes.ptr, response->bytes.len);
            b->response_len = response->bytes.len;
        }
    }
    if (status >= 600)
        cancel_others(ctx, b);
    answer_if_done(ctx);
    early_tell_ends(b);
}

/* RFC 6228 6: which early dialogs this branch has. A 199 of the phone itself ends one. */
static void early_note(branch *b, const roam_message *response)
{
    roam_mem *mem = &b->ctx->proxy->site->env->mem;
    roam_name_addr to;
    if (!b->ctx->wants_199 || name_addr_parse(message_value(response, HEADER_TO), &to) != ROAM_OK ||
        !name_addr_tag(&to).len)
        return;
    roam_span tag = name_addr_tag(&to);
    char **room = NULL;
    for (size_t i = 0; i < MAX_EARLY_TAGS; i++) {
        if (!b->early[i]) {
            room = room ? room : &b->early[i];
        } else if (span_eq(tag, span_of(b->early[i]))) {
            if (response->status == 199) {
                mem_free(mem, b->early[i]);
                b->early[i] = NULL;
            }
            return;
        }
    }
    if (room && response->status != 199)
        *room = mem_strdup(mem, tag); /* no memory: its end is not told */
}

static void early_tell_ends(branch *b)
{
    context *ctx = b->ctx;
    roam_response r;
    for (size_t i = 0; i < MAX_EARLY_TAGS; i++) {
        if (b->early[i] && ctx->server && !ctx->answered) {
            response_begin(ctx->server, &r, 199, SPAN("Early Dialog Terminated"), span_of(b->early[i]));
            write_header_name(&r.w, HEADER_REASON);
            write_lit(&r.w, "SIP;cause=");
            write_u64(&r.w, b->status);
            write_lit(&r.w, "\r\n");
            write_body(&r.w, (roam_span){0}, (roam_span){0});
            (void)response_send(&r);
        }
        mem_free(&ctx->proxy->site->env->mem, b->early[i]);
        b->early[i] = NULL;
    }
}

/* 16.7, 10. A branch that nobody answers (a dead Contact) would hold the answer back until Timer B: it counts as over.
 * If it is alive after all, its first provisional is met with the CANCEL. */
static void cancel_others(context *ctx, const branch *except)
{
    if (!ctx->is_invite)
        return;
    list_each (b, &ctx->branches, branch, node) {
        if (b == except || b->status || !b->txn)
            continue;
        bool heard = client_txn_has_provisional(b->txn);
        (void)client_txn_cancel(b->txn, NULL, false);
        if (!heard) {
            env_cancel(ctx->proxy->site->env, &b->timer_c);
            b->status = 487;
        }
    }
}

static const roam_header_id of_the_head[] = {HEADER_VIA,  HEADER_FROM,           HEADER_TO,   HEADER_CALL_ID,
                                             HEADER_CSEQ, HEADER_CONTENT_LENGTH, HEADER_OTHER};

static void notice_answer(const context *ctx, unsigned status, roam_span call_id)
{
    if (ctx->is_invite && status >= 200)
        site_notice(ctx->proxy->site,
                    &(roam_notice){
                        .type = NOTICE_CALL_ANSWERED, .method = SPAN("INVITE"), .status = status, .call_id = call_id});
}

/* False: no memory to do so. */
static bool pass_response(context *ctx, const roam_message *response)
{
    roam_response r;
    roam_name_addr to;
    if (!ctx->server)
        return true;
    roam_span tag =
        name_addr_parse(message_value(response, HEADER_TO), &to) == ROAM_OK ? name_addr_tag(&to) : (roam_span){0};
    response_begin(ctx->server, &r, response->status, response->reason, tag);
    write_headers_except(&r.w, response, of_the_head);
    write_body(&r.w, (roam_span){0}, response->body);
    if (ctx->answered) {
        /* A 2xx that came again, or of another branch: the transaction has its answer and lets this one pass (RFC 6026
         * 7.1). */
        if (!r.w.overflow)
            (void)sip_send(ctx->proxy->sip, server_txn_flow(ctx->server), writer_span(&r.w));
        return true;
    }
    int err = response_send(&r);
    if (err == ROAM_ENOMEM) {
        /* What does not come again is sent without being kept for retransmissions. */
        if (!ctx->is_invite)
            (void)sip_send(ctx->proxy->sip, server_txn_flow(ctx->server), writer_span(&r.w));
        return !ctx->is_invite;
    }
    if (response->status >= 200) {
        ctx->answered = true;
        notice_answer(ctx, response->status, message_value(response, HEADER_CALL_ID));
        if (err == ROAM_EOVERFLOW)
            (void)server_txn_respond(ctx->server, 513, (roam_span){0});
    }
    return true;
}

static void answer_if_done(context *ctx)
{
    if (ctx->answered || !ctx->server)
        return;
    list_each (b, &ctx->branches, branch, node)
        if (!b->status)
            return;
    const branch *best = best_branch(ctx);
    /* RFC 4320 4.2: nobody waits for a 408 to anything but an INVITE any more. */
    if (best && best->status == 408 && !ctx->is_invite)
        return;
    int err = answer_with(ctx, best);
    ctx->answered = err != ROAM_ENOMEM;
    if (!ctx->answered)
        (void)env_arm(ctx->proxy->site->env, &ctx->retry, ROAM_MS(500));
}

static void retry_fired(roam_timer *timer)
{
    context *ctx = container_of(timer, context, retry);
    (void)timer_arm(&ctx->proxy->site->env->timers, timer, ROAM_NEVER); /* into the place it just left */
    answer_if_done(ctx);
}

/* 16.7, 6: a 6xx if there is one, else the lowest class; in 4xx those that tell the client how to do better. */
static unsigned rank(const context *ctx, const branch *b)
{
    static const unsigned helpful[] = {401, 407, 415, 420, 484};
    if (b->status >= 600)
        return 0;
    if (ctx->cancelled && b->status == 487)
        return 1;
    unsigned order = b->status / 100 * 10;
    for (size_t i = 0; i < sizeof helpful / sizeof *helpful; i++)
        if (b->status == helpful[i])
            return order;
    return b->status == 408 || b->status == 503 || (b->status == 487 && !b->response) ? order + 2 : order + 1;
}

static const branch *best_branch(const context *ctx)
{
    const branch *best = NULL;
    list_each (b, &ctx->branches, branch, node)
        if (!best || rank(ctx, b) < rank(ctx, best))
            best = b;
    return best;
}

/* `best` NULL: nothing could be sent on. ROAM_ENOMEM: not answered. */
static int answer_with(context *ctx, const branch *best)
{
    roam_proxy *proxy = ctx->proxy;
    roam_mem *mem = &proxy->site->env->mem;
    roam_header_space *space = best && best->response ? mem_alloc(mem, sizeof *space) : NULL;
    roam_message m = {0};
    roam_name_addr to;
    roam_response r;
    int err;
    /* 16.7, 6: a 503 speaks for the next hop, not for us. */
    unsigned status = !best || best->status == 503 ? 500 : best->status;
    if (!space || message_parse(&m, space, span_make(best->response, best->response_len)) != ROAM_OK) {
        err = server_txn_respond(ctx->server, status, (roam_span){0});
    } else {
        roam_span tag =
            name_addr_parse(message_value(&m, HEADER_TO), &to) == ROAM_OK ? name_addr_tag(&to) : (roam_span){0};
        response_begin(ctx->server, &r, status, status == m.status ? m.reason : (roam_span){0}, tag);
        write_headers_except(&r.w, &m, of_the_head);
        if (status == 401 || status == 407)
            write_challenges(&r.w, ctx, best);
        write_body(&r.w, (roam_span){0}, m.body);
        err = response_send(&r);
        if (err == ROAM_EOVERFLOW)
            err = server_txn_respond(ctx->server, status, (roam_span){0});
    }
    if (!err)
        notice_answer(ctx, status, space ? message_value(&m, HEADER_CALL_ID) : (roam_span){0});
    mem_free(mem, space);
    return err;
}

/* 16.7, 7: the challenges of the other branches go along. */
static void write_challenges(roam_writer *w, const context *ctx, const branch *except)
{
    roam_mem *mem = &ctx->proxy->site->env->mem;
    roam_message m;
    roam_header_space *space = mem_alloc(mem, sizeof *space);
    if (!space)
        return;
    list_each (b, &ctx->branches, branch, node) {
        if (b == except || (b->status != 401 && b->status != 407) || !b->response ||
            message_parse(&m, space, span_make(b->response, b->response_len)) != ROAM_OK)
            continue;
        write_headers_copied(w, &m, HEADER_WWW_AUTHENTICATE);
        write_headers_copied(w, &m, HEADER_PROXY_AUTHENTICATE);
    }
    mem_free(mem, space);
}

/* 16.8: ringing too long. The CANCEL brings a 487, or 64*T1 later the time-out. */
static void timer_c_fired(roam_timer *timer)
{
    branch *b = container_of(timer, branch, timer_c);
    context *ctx = b->ctx;
    if (b->status || !b->txn)
        return;
    if (client_txn_has_provisional(b->txn)) {
        (void)client_txn_cancel(b->txn, NULL, false);
        return;
    }
    b->status = 408;
    answer_if_done(ctx);
}

static void context_free_if_over(context *ctx)
{
    if (ctx->server)
        return;
    list_each (b, &ctx->branches, branch, node)
        if (b->txn)
            return;
    list_each (b, &ctx->branches, branch, node)
        branch_free(b);
    env_cancel(ctx->proxy->site->env, &ctx->retry);
    list_remove(&ctx->node);
    mem_free(&ctx->proxy->site->env->mem, ctx);
}

static void branch_free(branch *b)
{
    roam_proxy *proxy = b->ctx->proxy;
    roam_env *env = proxy->site->env;
    env_cancel(env, &b->timer_c);
    map_remove(&proxy->branches, &b->by_via);
    list_remove(&b->node);
    mem_free(&env->mem, b->response);
    for (size_t i = 0; i < MAX_EARLY_TAGS; i++)
        mem_free(&env->mem, b->early[i]);
    mem_free(&env->mem, b);
}

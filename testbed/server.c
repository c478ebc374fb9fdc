#include "testbed/server.h"

static int server_send(void *user, const roam_flow *flow, roam_span bytes);
static void server_request(void *user, roam_server_txn *txn, const roam_message *request);
static void server_ack(void *user, roam_flow *flow, const roam_message *ack);

/* The host hears of everything; who subscribed to the bindings of a user hears of those. */
static void server_notice(void *user, const roam_notice *notice)
{
    roam_testserver *server = user;
    if (server->host.notice)
        server->host.notice(server->host.user, notice);
    if (server->notifier.site && (notice->type == NOTICE_BINDING_ADDED || notice->type == NOTICE_BINDING_REMOVED))
        notifier_bindings_changed(&server->notifier, notice->subject);
}

static int start_sip(roam_testserver *server)
{
    roam_sip_tu tu = {.send = server_send, .request = server_request, .ack = server_ack, .user = server};
    int err = sip_init(&server->sip, &server->env, &tu);
    server->sip.answer_trying = false; /* the proxy sends its 100 at once */
    return err;
}

int testserver_init(roam_testserver *server, const roam_testserver_config *config, const roam_testserver_host *host)
{
    *server = (roam_testserver){.host = *host};
    env_init(&server->env, config->allocator, config->seed, host->trace, host->user);
    outbox_init(&server->outbox, &server->env, config->delay, config->repeat_after, host->send, host->user);
    server->overload_ppm = config->overload_ppm;
    server->overload_retry = config->overload_retry;
    int err = start_sip(server);
    site_init(&server->site, &server->env, &server->sip, server_notice, server);
    if (!err)
        err = auth_init(&server->auth, &server->env, &config->auth);
    if (!err)
        err = registrar_init(&server->registrar, &server->site, &server->auth, &config->registrar);
    if (!err)
        err = proxy_init(&server->proxy, &server->site, &server->registrar, &server->auth, &config->proxy);
    if (!err)
        err = notifier_init(&server->notifier, &server->site, &server->registrar, &server->auth);
    if (err) {
        testserver_free(server);
        return err;
    }
    if (config->timers.t1)
        server->sip.timers = config->timers;
    return ROAM_OK;
}

void testserver_free(roam_testserver *server)
{
    if (server->notifier.site)
        notifier_free(&server->notifier);
    server->notifier.site = NULL;
    if (server->proxy.site)
        proxy_free(&server->proxy);
    if (server->registrar.site)
        registrar_free(&server->registrar);
    sip_free(&server->sip);
    if (server->auth.env)
        auth_free(&server->auth);
    outbox_free(&server->outbox);
    site_free(&server->site);
    env_free(&server->env);
}

int testserver_add_domain(roam_testserver *server, const char *domain)
{
    return site_add_domain(&server->site, domain);
}

int testserver_add_path(roam_testserver *server, uint32_t socket, const roam_addr *local)
{
    return site_add_path(&server->site, socket, local);
}

int testserver_add_user(roam_testserver *server, const char *name, const char *password)
{
    return auth_add_user(&server->auth, span_of(name), password);
}

int testserver_restart(roam_testserver *server, roam_time now)
{
    roam_sip_timers timers = server->sip.timers;
    roam_proxy_config proxy = server->proxy.config;
    testserver_advance(server, now);
    registrar_forget(&server->registrar);
    auth_forget_nonces(&server->auth);
    notifier_forget(&server->notifier);
    proxy_free(&server->proxy);
    sip_free(&server->sip);
    int err = start_sip(server);
    server->sip.timers = timers;
    if (!err)
        err = proxy_init(&server->proxy, &server->site, &server->registrar, &server->auth, &proxy);
    return err;
}

static bool overloaded(roam_testserver *server, roam_server_txn *txn, const roam_message *request)
{
    roam_name_addr to;
    roam_response r;
    if (!server->overload_ppm || name_addr_parse(message_value(request, HEADER_TO), &to) != ROAM_OK ||
        name_addr_tag(&to).len || random_below(&server->env.random, 1000000) >= server->overload_ppm)
        return false;
    server->overloaded++;
    response_begin(txn, &r, 503, (roam_span){0}, (roam_span){0});
    write_header_u32(&r.w, HEADER_RETRY_AFTER, server->overload_retry);
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
    return true;
}

void testserver_receive(roam_testserver *server, roam_time now, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    roam_path *path = site_path_of_socket(&server->site, socket);
    testserver_advance(server, now);
    if (!path) {
        server->unknown_socket++;
        return;
    }
    sip_receive(&server->sip, path, from, bytes);
}

void testserver_advance(roam_testserver *server, roam_time now)
{
    env_advance(&server->env, now);
    sip_reap(&server->sip); /* what our own timers ended */
}

roam_time testserver_deadline(const roam_testserver *server)
{
    return timers_deadline(&server->env.timers);
}

static int server_send(void *user, const roam_flow *flow, roam_span bytes)
{
    roam_testserver *server = user;
    outbox_send(&server->outbox, flow->path->socket, &flow->remote, bytes);
    return ROAM_OK;
}

static void server_request(void *user, roam_server_txn *txn, const roam_message *request)
{
    roam_testserver *server = user;
    roam_uri uri;
    site_notice(&server->site, &(roam_notice){.type = NOTICE_REQUEST,
                                              .method = request->method_name,
                                              .subject = request->request_uri,
                                              .call_id = message_value(request, HEADER_CALL_ID),
                                              .remote = *server_txn_source(txn)});
    if (overloaded(server, txn, request))
        return;
    if (request->method == METHOD_REGISTER && uri_parse(request->request_uri, &uri) == ROAM_OK &&
        site_owns_uri(&server->site, &uri))
        registrar_handle(&server->registrar, txn, request);
    else if (request->method != METHOD_SUBSCRIBE || uri_parse(request->request_uri, &uri) != ROAM_OK ||
             !site_owns_uri(&server->site, &uri) || !notifier_subscribe(&server->notifier, txn, request))
        proxy_request(&server->proxy, txn, request);
}

static void server_ack(void *user, roam_flow *flow, const roam_message *ack)
{
    roam_testserver *server = user;
    proxy_ack(&server->proxy, flow, ack);
}

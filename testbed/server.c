#include "testbed/server.h"

static int server_send(void *user, const roam_flow *flow, roam_span bytes);
static void server_request(void *user, roam_server_txn *txn, const roam_message *request);
static void server_ack(void *user, roam_flow *flow, const roam_message *ack);

int testserver_init(roam_testserver *server, const roam_testserver_config *config, const roam_testserver_host *host)
{
    *server = (roam_testserver){.host = *host};
    env_init(&server->env, config->allocator, config->seed, host->trace, host->user);
    roam_sip_tu tu = {.send = server_send, .request = server_request, .ack = server_ack, .user = server};
    int err = sip_init(&server->sip, &server->env, &tu);
    site_init(&server->site, &server->env, &server->sip, host->notice, host->user);
    if (!err)
        err = auth_init(&server->auth, &server->env, &config->auth);
    if (!err)
        err = registrar_init(&server->registrar, &server->site, &server->auth, &config->registrar);
    if (!err)
        err = proxy_init(&server->proxy, &server->site, &server->registrar, &server->auth, &config->proxy);
    if (err) {
        testserver_free(server);
        return err;
    }
    server->sip.answer_trying = false; /* the proxy sends its 100 at once */
    if (config->timers.t1)
        server->sip.timers = config->timers;
    return ROAM_OK;
}

void testserver_free(roam_testserver *server)
{
    if (server->proxy.site)
        proxy_free(&server->proxy);
    if (server->registrar.site)
        registrar_free(&server->registrar);
    sip_free(&server->sip);
    if (server->auth.env)
        auth_free(&server->auth);
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
    server->host.send(server->host.user, flow->path->socket, &flow->remote, bytes);
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
    if (request->method == METHOD_REGISTER && uri_parse(request->request_uri, &uri) == ROAM_OK &&
        site_owns_uri(&server->site, &uri))
        registrar_handle(&server->registrar, txn, request);
    else
        proxy_request(&server->proxy, txn, request);
}

static void server_ack(void *user, roam_flow *flow, const roam_message *ack)
{
    roam_testserver *server = user;
    proxy_ack(&server->proxy, flow, ack);
}

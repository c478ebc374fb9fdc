/* Where datagrams come in and go out: parsing, what is answered without a transaction, and who gets the rest. */
#include "sip/sip.h"

#include <assert.h>

#include "sip/transaction.h"

static void receive_message(roam_sip *sip, roam_path *path, const roam_addr *remote, roam_span datagram);
static void refuse_malformed(roam_sip *sip, roam_flow *flow, const roam_message *m, int status);
static void reap_fire(roam_timer *timer);

int sip_init(roam_sip *sip, roam_env *env, const roam_sip_tu *tu)
{
    assert(tu->send && tu->request);
    *sip = (roam_sip){.env = env, .tu = *tu, .timers = ROAM_SIP_TIMERS_DEFAULT, .answer_trying = true};
    map_init(&sip->flows, &env->mem, env->hash_seed);
    map_init(&sip->clients, &env->mem, env->hash_seed);
    map_init(&sip->servers, &env->mem, env->hash_seed);
    map_init(&sip->merges, &env->mem, env->hash_seed);
    list_init(&sip->dead_clients);
    list_init(&sip->dead_servers);
    list_init(&sip->spent);
    timer_init(&sip->reap, reap_fire, "reap");
    sip->headers = mem_alloc(&env->mem, sizeof *sip->headers);
    sip->scratch = mem_alloc(&env->mem, ROAM_MAX_MESSAGE);
    if (!sip->headers || !sip->scratch || timer_arm(&env->timers, &sip->reap, ROAM_NEVER) != ROAM_OK) {
        sip_free(sip);
        return ROAM_ENOMEM;
    }
    return ROAM_OK;
}

void sip_free(roam_sip *sip)
{
    if (!sip->env)
        return;
    assert(sip->depth == 0);
    map_each (txn, &sip->clients, roam_client_txn, node)
        client_free(txn);
    list_each (txn, &sip->dead_clients, roam_client_txn, node.order)
        client_free(txn);
    map_each (txn, &sip->servers, roam_server_txn, node)
        server_free(txn);
    list_each (txn, &sip->dead_servers, roam_server_txn, node.order)
        server_free(txn);
    map_each (flow, &sip->flows, roam_flow, node) {
        flow->refs = 1;
        flow_unref(flow);
    }
    map_free(&sip->flows);
    map_free(&sip->clients);
    map_free(&sip->servers);
    map_free(&sip->merges);
    env_cancel(sip->env, &sip->reap);
    mem_free(&sip->env->mem, sip->headers);
    mem_free(&sip->env->mem, sip->scratch);
    *sip = (roam_sip){0};
}

void sip_receive(roam_sip *sip, roam_path *path, const roam_addr *remote, roam_span datagram)
{
    assert(sip->depth == 0); /* the host queues what it sends; an input never runs inside another */
    size_t i = 0;
    while (i < datagram.len && (datagram.ptr[i] == '\r' || datagram.ptr[i] == '\n' || datagram.ptr[i] == '\0'))
        i++;
    if (i == datagram.len) /* a keep-alive (RFC 5626 3.5.1), or the empty datagram that many send instead */
        return;
    sip_enter(sip);
    sip->counters.received++;
    trace_message(&sip->env->trace, ROAM_TRACE_RECEIVED, &path->local, remote, datagram);
    receive_message(sip, path, remote, datagram);
    sip_leave(sip);
}

int sip_send(roam_sip *sip, const roam_flow *flow, roam_span bytes)
{
    if (!flow_usable(flow)) {
        trace_dropped(&sip->env->trace, "sip", "the path is not up", &flow->remote, (roam_span){0});
        return ROAM_EOFFLINE;
    }
    sip->counters.sent++;
    trace_message(&sip->env->trace, ROAM_TRACE_SENT, &flow->path->local, &flow->remote, bytes);
    return sip->tu.send(sip->tu.user, flow, bytes);
}

int sip_resend(roam_sip *sip, const roam_flow *flow, roam_span bytes)
{
    sip->counters.retransmitted++;
    return sip_send(sip, flow, bytes);
}

void response_destination(const roam_via *top, const roam_addr *source, bool reliable, roam_addr *out)
{
    roam_span maddr;
    *out = *source;
    if (reliable)
        return;
    if (param_find(top->params, SPAN("maddr"), &maddr) && roam_ip_parse(maddr, &out->ip) == ROAM_OK)
        out->port = top->port ? top->port : 5060;
    else if (!top->has_rport)
        out->port = top->port ? top->port : 5060;
}

void sip_respond_stateless(roam_sip *sip, roam_flow *flow, const roam_message *request, unsigned status,
                           roam_span reason)
{
    char tag[STATELESS_TAG_LEN];
    sip_stateless_tag(sip, request, tag);
    sip_respond_tagged(sip, flow, request, status, reason, span_make(tag, sizeof tag));
}

void sip_respond_tagged(roam_sip *sip, roam_flow *flow, const roam_message *request, unsigned status, roam_span reason,
                        roam_span tag)
{
    roam_via via;
    roam_addr to;
    roam_writer w;
    if (message_top_via(request, &via) != ROAM_OK)
        return;
    writer_init(&w, sip->scratch, ROAM_MAX_MESSAGE);
    write_response_head(&w, request, status, reason, tag, &flow->remote);
    write_body(&w, (roam_span){0}, (roam_span){0});
    if (w.overflow)
        return;
    response_destination(&via, &flow->remote, flow_reliable(flow), &to);
    roam_flow *back = flow_get(sip, flow->path, &to);
    if (!back)
        return;
    (void)sip_send(sip, back, writer_span(&w)); /* lost like a datagram: the request comes again */
    flow_unref(back);
}

void sip_stateless_tag(const roam_sip *sip, const roam_message *request, char out[STATELESS_TAG_LEN])
{
    roam_via via;
    roam_writer w;
    uint64_t hash = roam_siphash(sip->env->hash_seed, message_value(request, HEADER_CALL_ID));
    if (message_top_via(request, &via) == ROAM_OK)
        hash ^= roam_siphash(sip->env->hash_seed, via.branch) * 3;
    writer_init(&w, out, STATELESS_TAG_LEN);
    write_hex(&w, &hash, sizeof hash);
}

void sip_enter(roam_sip *sip)
{
    sip->depth++;
}

void sip_leave(roam_sip *sip)
{
    assert(sip->depth > 0);
    if (--sip->depth == 0)
        sip_reap(sip);
}

void sip_reap(roam_sip *sip)
{
    if (sip->depth > 0)
        return;
    sip->depth++; /* what ends from here on is seen by the same loops */
    do {
        clients_reap(sip);
        servers_reap(sip);
    } while (!list_empty(&sip->dead_clients));
    sip->depth--;
}

void sip_reap_later(roam_sip *sip)
{
    if (sip->depth == 0)
        (void)timer_arm(&sip->env->timers, &sip->reap, sip->env->now); /* it is armed already: no refusal */
}

static void receive_message(roam_sip *sip, roam_path *path, const roam_addr *remote, roam_span datagram)
{
    roam_message m;
    (void)message_parse(&m, sip->headers, datagram); /* message_check repeats its verdict */
    int status = message_check(&m);
    if (status && (!m.is_request || m.method == METHOD_ACK)) {
        sip->counters.malformed++;
        trace_dropped(&sip->env->trace, "sip", m.fault ? m.fault : "malformed", remote, datagram);
        return;
    }
    roam_flow *flow = flow_get(sip, path, remote);
    if (!flow) {
        trace_dropped(&sip->env->trace, "sip", "no memory", remote, (roam_span){0});
        return;
    }
    if (status) {
        refuse_malformed(sip, flow, &m, status);
    } else {
        if (sip->tu.heard)
            sip->tu.heard(sip->tu.user, flow);
        if (m.is_request) {
            server_receive(sip, flow, &m);
        } else if (!client_receive(sip, flow, &m)) {
            sip->counters.stray_responses++;
            if (sip->tu.stray_response)
                sip->tu.stray_response(sip->tu.user, flow, &m);
        }
    }
    flow_unref(flow);
}

/* RFC 3261 8.2: the answer needs the five fields that it copies, and a Via that says where to. */
static void refuse_malformed(roam_sip *sip, roam_flow *flow, const roam_message *m, int status)
{
    roam_via via;
    sip->counters.malformed++;
    trace_dropped(&sip->env->trace, "sip", m->fault ? m->fault : "malformed", &flow->remote, m->bytes);
    if (status < 300 || status > 699 || !message_has(m, HEADER_FROM) || !message_has(m, HEADER_TO) ||
        !message_has(m, HEADER_CALL_ID) || !message_has(m, HEADER_CSEQ) || message_top_via(m, &via) != ROAM_OK)
        return;
    sip_respond_stateless(sip, flow, m, (unsigned)status, span_of(m->fault));
}

static void reap_fire(roam_timer *timer)
{
    roam_sip *sip = container_of(timer, roam_sip, reap);
    (void)timer_arm(&sip->env->timers, timer, ROAM_NEVER); /* into the place it just left */
    sip_reap(sip);
}

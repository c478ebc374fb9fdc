#include "ua/net.h"

#include <assert.h>

#include "ua/ua.h"

#define OPEN_ATTEMPTS 8u
#define FAILED_RETRY ROAM_SECONDS(1) /* a path given up is asked for again after this, doubled each time ... */
#define FAILED_RETRY_LAST ROAM_SECONDS(15) /* ... up to this: what held the port may go */
#define PATH_IDLE ROAM_SECONDS(40) /* longer than a transaction lives (64*T1) */

int net_init(roam_ua *ua)
{
    roam_net *net = &ua->net;
    map_init(&net->dests, &ua->env.mem, ua->env.hash_seed);
    list_init(&net->paths);
    list_init(&net->graveyard);
    net->sip_port = ua->config.sip_port;
    net->restart_delay_ms = 10;
    return 0;
}

/* ---- destinations ---- */

static roam_span ip_key(const roam_ip *ip)
{
    return span_make((const char *)ip, sizeof *ip); /* roam_ip has no padding: 1 + 16 + 3 + 4 would, so see ip_normal */
}

/* Byte-comparable copy: unused bytes and padding zero. */
static void ip_normal(roam_ip *out, const roam_ip *ip)
{
    memset(out, 0, sizeof *out);
    out->family = ip->family;
    memcpy(out->bytes, ip->bytes, ip->family == 4 ? 4 : 16);
    out->scope = ip->scope;
}

roam_net_dest *net_dest_get(roam_ua *ua, const roam_ip *ip)
{
    roam_ip key;
    ip_normal(&key, ip);
    roam_map_node *found = map_find(&ua->net.dests, ip_key(&key));
    if (found) {
        roam_net_dest *dest = container_of(found, roam_net_dest, node);
        dest->refs++;
        return dest;
    }
    roam_net_dest *dest = mem_new(&ua->env.mem, roam_net_dest);
    if (!dest)
        return NULL;
    map_node_init(&dest->node);
    ip_normal(&dest->ip, ip);
    dest->refs = 1;
    if (map_insert(&ua->net.dests, &dest->node, ip_key(&dest->ip)) != 0) {
        mem_free(&ua->env.mem, dest);
        return NULL;
    }
    roam_output out = {.type = ROAM_OUTPUT_ROUTE_WATCH, .remote.ip = dest->ip};
    if (ua->config.route_answers && !outputs_push(&ua->out, &out)) { /* never to be answered */
        map_remove(&ua->net.dests, &dest->node);
        mem_free(&ua->env.mem, dest);
        return NULL;
    }
    return dest;
}

void net_dest_put(roam_ua *ua, roam_net_dest *dest)
{
    if (!dest || --dest->refs > 0)
        return;
    if (ua->config.route_answers) {
        roam_output out = {.type = ROAM_OUTPUT_ROUTE_UNWATCH, .remote.ip = dest->ip};
        outputs_push(&ua->out, &out);
    }
    map_remove(&ua->net.dests, &dest->node);
    mem_free(&ua->env.mem, dest);
}

/* ---- which source ---- */

static bool is_loopback(const roam_ip *ip)
{
    static const uint8_t one[16] = {[15] = 1};
    return ip->family == 4 ? ip->bytes[0] == 127 : ip->family == 6 && memcmp(ip->bytes, one, 16) == 0;
}

static bool prefix_covers(const roam_net_addr *addr, const roam_ip *ip)
{
    if (addr->ip.family != ip->family)
        return false;
    unsigned bits = addr->prefix;
    for (unsigned i = 0; i < 16 && bits > 0; i++) {
        unsigned take = bits < 8 ? bits : 8;
        uint8_t mask = (uint8_t)(0xffu << (8 - take));
        if ((addr->ip.bytes[i] ^ ip->bytes[i]) & mask)
            return false;
        bits -= take;
    }
    return true;
}

static bool usable_source(const roam_ua *ua, const roam_net_addr *addr, const roam_ip *dest, uint32_t link)
{
    return addr->ip.family == dest->family && !(addr->flags & ROAM_NET_TENTATIVE) && (!link || addr->link == link) &&
           (ua->config.bind.family == 0 || roam_ip_equal(&ua->config.bind, &addr->ip));
}

/* Without an answer of the host: on-link first (longest prefix), else the best default route. Deprecated and temporary addresses as RFC 6724, rules 3 and 7. */
static const roam_net_addr *choose_source(const roam_ua *ua, const roam_ip *dest, uint32_t link)
{
    const roam_net_addr *best = NULL;
    uint64_t best_rank = 0;
    for (size_t i = 0; i < ua->net.naddrs; i++) {
        const roam_net_addr *a = &ua->net.addrs[i];
        if (!usable_source(ua, a, dest, link))
            continue;
        bool on_link = prefix_covers(a, dest);
        if (!on_link && a->metric == UINT32_MAX)
            continue;
        uint64_t rank = on_link ? (uint64_t)(a->prefix + 1) << 40 : (uint64_t)(UINT32_MAX - a->metric) << 4;
        rank |= (a->flags & ROAM_NET_DEPRECATED) ? 0u : 4u;
        rank |= (a->flags & ROAM_NET_TEMPORARY) ? 2u : 0u;
        if (!best || rank > best_rank) {
            best = a;
            best_rank = rank;
        }
    }
    return best;
}

/* The link that has the address. An answer may be older than the picture, or name the link by which packets leave: a path there would be gone as soon as it is looked at. */
static uint32_t link_of(const roam_ua *ua, const roam_ip *source, uint32_t told)
{
    const roam_net_addr *a = told && !net_addr(ua, source, told) ? net_addr(ua, source, 0) : NULL;
    return a ? a->link : told;
}

bool net_route(const roam_ua *ua, const roam_net_dest *dest, uint32_t link, roam_ip *source, uint32_t *source_link)
{
    if (!dest)
        return false;
    bool bound = ua->config.bind.family != 0;
    if (dest->answered && !link) {
        if (dest->source.family == 0 || !net_alive(ua, &dest->source))
            return false; /* the second: an answer older than the picture, about to be replaced */
        if (!bound || roam_ip_equal(&ua->config.bind, &dest->source)) {
            *source = dest->source;
            *source_link = link_of(ua, &dest->source, dest->link);
            return true;
        }
    }
    if (!dest->answered && ua->config.route_answers && !link && !bound)
        return false; /* asked, and about to be answered */
    /* Pinned, bound to an address that is not the route's own, or a host that only gives pictures. */
    const roam_net_addr *a = choose_source(ua, &dest->ip, link);
    if (a) {
        *source = a->ip;
        *source_link = a->link;
        return true;
    }
    if (bound && !link && (!ua->net.have_picture || is_loopback(&ua->config.bind)) && ua->config.bind.family == dest->ip.family) {
        *source = ua->config.bind; /* nothing known yet, or an address that pictures do not show */
        *source_link = 0;
        return true;
    }
    return false;
}

bool net_route_awaited(const roam_ua *ua, const roam_net_dest *dest, const roam_flow *flow)
{
    return ua->config.route_answers && !dest->answered && flow_usable(flow) && flow->path->local.ip.family == dest->ip.family;
}

bool net_alive(const roam_ua *ua, const roam_ip *ip)
{
    if (!ua->net.have_picture || is_loopback(ip))
        return true;
    for (size_t i = 0; i < ua->net.naddrs; i++)
        if (roam_ip_equal(&ua->net.addrs[i].ip, ip))
            return true;
    return false;
}

const roam_net_addr *net_addr(const roam_ua *ua, const roam_ip *ip, uint32_t link)
{
    for (size_t i = 0; i < ua->net.naddrs; i++) {
        const roam_net_addr *a = &ua->net.addrs[i];
        if (roam_ip_equal(&a->ip, ip) && (!link || a->link == link))
            return a;
    }
    return NULL;
}

uint64_t net_identity(const roam_ua *ua, const roam_ip *ip, uint32_t link)
{
    const roam_net_addr *a = net_addr(ua, ip, link);
    return a ? a->network : 0;
}

bool net_stands(const roam_ua *ua, const roam_ip *ip, uint32_t link, uint64_t network)
{
    if (!ua->net.have_picture || is_loopback(ip))
        return true;
    const roam_net_addr *a = net_addr(ua, ip, link);
    return a && (!network || !a->network || a->network == network);
}

bool net_usable(const roam_ua *ua, const roam_net_addr *addr, const roam_ip *dest)
{
    return usable_source(ua, addr, dest, 0) && !(addr->flags & ROAM_NET_DEPRECATED) &&
           (addr->metric != UINT32_MAX || prefix_covers(addr, dest));
}

/* ---- paths ---- */

uint32_t net_new_socket(roam_ua *ua)
{
    if (++ua->net.next_socket == 0)
        ua->net.next_socket = 1;
    return ua->net.next_socket;
}

static void close_socket(roam_ua *ua, roam_path *path)
{
    if (!path->socket)
        return;
    roam_output out = {.type = ROAM_OUTPUT_SOCKET_CLOSE, .socket = path->socket};
    outputs_push(&ua->out, &out);
    path->socket = 0;
}

static void ask_socket(roam_net_path *np)
{
    roam_ua *ua = np->ua;
    np->path.socket = net_new_socket(ua);
    roam_output out = {.type = ROAM_OUTPUT_SOCKET_OPEN,
                       .socket = np->path.socket,
                       .local = {np->path.local.ip, ua->net.sip_port},
                       .link = np->path.link,
                       .purpose = ROAM_SOCKET_SIP};
    if (!outputs_push(&ua->out, &out))
        np->path.socket = 0; /* net_path asks again */
}

static void on_retry(roam_timer *timer)
{
    roam_net_path *np = container_of(timer, roam_net_path, retry);
    if (np->path.state == PATH_FAILED)
        path_set_state(&np->ua->env, &np->path, PATH_OPENING, "tried again");
    if (np->path.state == PATH_OPENING)
        ask_socket(np);
}

static void path_gone(roam_ua *ua, roam_net_path *np, const char *why)
{
    close_socket(ua, &np->path);
    path_set_state(&ua->env, &np->path, PATH_GONE, why);
    env_cancel(&ua->env, &np->retry);
    env_cancel(&ua->env, &np->idle);
    list_remove(&np->path.node);
    list_push(&ua->net.graveyard, &np->path.node);
}

static void on_idle(roam_timer *timer)
{
    roam_net_path *np = container_of(timer, roam_net_path, idle);
    if (np->path.refs == 0 && np->ua->net.listeners == 0)
        path_gone(np->ua, np, "unused");
    else
        env_arm(&np->ua->env, timer, PATH_IDLE);
}

roam_path *net_path(roam_ua *ua, const roam_ip *source, uint32_t link)
{
    list_each(np, &ua->net.paths, roam_net_path, path.node)
        if (roam_ip_equal(&np->path.local.ip, source) && (np->path.link == link || !link || !np->path.link)) {
            if (np->path.state == PATH_OPENING && !np->path.socket && !timer_armed(&np->retry))
                ask_socket(np);
            return &np->path;
        }
    roam_net_path *np = mem_new(&ua->env.mem, roam_net_path);
    if (!np)
        return NULL;
    np->ua = ua;
    np->path.id = ++ua->net.next_path;
    np->path.local.ip = *source;
    np->path.link = link;
    np->network = net_identity(ua, source, link);
    np->path.transport = TRANSPORT_UDP;
    np->path.state = PATH_OPENING;
    timer_init(&np->retry, on_retry, "socket retry");
    timer_init(&np->idle, on_idle, "path idle");
    list_push(&ua->net.paths, &np->path.node);
    env_arm(&ua->env, &np->idle, PATH_IDLE);
    ask_socket(np);
    return &np->path;
}

roam_path *net_path_by_socket(roam_ua *ua, uint32_t socket)
{
    list_each(np, &ua->net.paths, roam_net_path, path.node)
        if (np->path.socket == socket)
            return &np->path;
    return NULL;
}

void net_listen(roam_ua *ua)
{
    if (ua->config.bind.family) {
        if (net_alive(ua, &ua->config.bind))
            net_path(ua, &ua->config.bind, 0);
        return;
    }
    for (size_t i = 0; i < ua->net.naddrs; i++)
        if (!(ua->net.addrs[i].flags & (ROAM_NET_TENTATIVE | ROAM_NET_DEPRECATED)))
            net_path(ua, &ua->net.addrs[i].ip, ua->net.addrs[i].link);
}

void net_restart_listeners(roam_ua *ua)
{
    list_each(np, &ua->net.paths, roam_net_path, path.node)
    {
        if (np->path.state != PATH_UP && np->path.state != PATH_FAILED)
            continue;
        close_socket(ua, &np->path);
        path_set_state(&ua->env, &np->path, PATH_OPENING, "listener restarted");
        np->attempts = np->failures = 0;
        env_cancel(&ua->env, &np->retry);
        np->restarting = true;
        ask_socket(np);
    }
}

static void listener_told(roam_net_path *np, int status, const char *why)
{
    if (!np->restarting)
        return;
    np->restarting = false;
    roam_event event = {.type = ROAM_EVENT_IP_CHANGE_PROGRESS,
                        .op = ROAM_IP_CHANGE_RESTART_LISTENER,
                        .status = status,
                        .epoch = ua_epoch(np->ua),
                        .local = np->path.local};
    ua_event(np->ua, &event, why);
}

bool net_socket_opened(roam_ua *ua, uint32_t socket, int err, const roam_addr *local)
{
    roam_path *path = net_path_by_socket(ua, socket);
    if (!path || path->state != PATH_OPENING)
        return path != NULL;
    roam_net_path *np = container_of(path, roam_net_path, path);
    if (err == 0) {
        path->local = *local;
        if (ua->net.sip_port == 0)
            ua->net.sip_port = local->port; /* kept over moves: the peer's Contact differs in the host only */
        np->attempts = np->failures = 0;
        path_set_state(&ua->env, path, PATH_UP, "socket open");
        listener_told(np, 0, "listening");
        ua_work_all(ua);
        return true;
    }
    path->socket = 0;
    /* A port in use at this one address: a port we were not told to use is not worth waiting for. */
    bool any_port = err == ROAM_EBUSY && ua->config.sip_port == 0 && !np->restarting && ua->net.sip_port != 0;
    if (any_port)
        ua->net.sip_port = 0;
    if (++np->attempts >= OPEN_ATTEMPTS) {
        roam_time delay = FAILED_RETRY << (np->failures < 4 ? np->failures : 4);
        np->failures++;
        path_set_state(&ua->env, path, PATH_FAILED, "socket refused");
        env_arm(&ua->env, &np->retry, delay > FAILED_RETRY_LAST ? FAILED_RETRY_LAST : delay);
        listener_told(np, err, "socket refused");
        ua_work_all(ua);
        return true;
    }
    roam_time delay = ROAM_MS(ua->net.restart_delay_ms) << (np->attempts - 1);
    env_arm(&ua->env, &np->retry, any_port ? 0 : delay);
    return true;
}

/* ---- the picture ---- */

static bool same_addrs(const roam_net *net, const roam_network *network)
{
    if (!net->have_picture || net->naddrs != network->naddrs)
        return false;
    for (size_t i = 0; i < net->naddrs; i++) {
        const roam_net_addr *a = &net->addrs[i], *b = &network->addrs[i];
        if (!roam_ip_equal(&a->ip, &b->ip) || a->prefix != b->prefix || a->link != b->link || a->flags != b->flags || a->metric != b->metric ||
            (a->network && b->network && a->network != b->network))
            return false;
    }
    return true;
}

/* The same picture may tell more: which network it is. What is known once stays known. */
static roam_net_news learn_networks(roam_net *net, const roam_network *network)
{
    roam_net_news news = NET_NOTHING;
    for (size_t i = 0; i < net->naddrs; i++)
        if (network->addrs[i].network && !net->addrs[i].network) {
            net->addrs[i].network = network->addrs[i].network;
            news = NET_FIRST; /* nobody moves, but those who stand on it note where they are */
        }
    return news;
}

static roam_net_news set_route(roam_net_dest *dest, const roam_net_route *route)
{
    bool first = !dest->answered;
    bool same = roam_ip_equal(&dest->source, &route->source) && dest->link == route->link;
    dest->answered = true;
    dest->source = route->source;
    dest->link = route->link;
    return first ? NET_FIRST : same ? NET_NOTHING : NET_CHANGED;
}

roam_net_news net_take_route(roam_ua *ua, const roam_net_route *route)
{
    roam_ip key;
    ip_normal(&key, &route->destination);
    roam_map_node *found = map_find(&ua->net.dests, ip_key(&key));
    return found ? set_route(container_of(found, roam_net_dest, node), route) : NET_NOTHING;
}

int net_take_picture(roam_ua *ua, const roam_network *network)
{
    roam_net *net = &ua->net;
    roam_net_news news = NET_NOTHING;
    if (same_addrs(net, network)) {
        news = learn_networks(net, network);
    } else {
        if (network->naddrs > net->addrs_cap) {
            size_t cap = network->naddrs < 8 ? 8 : network->naddrs;
            roam_net_addr *space = mem_realloc(&ua->env.mem, net->addrs, cap * sizeof *space);
            if (!space)
                return ROAM_ENOMEM;
            net->addrs = space;
            net->addrs_cap = cap;
        }
        if (network->naddrs)
            memcpy(net->addrs, network->addrs, network->naddrs * sizeof *net->addrs);
        net->naddrs = network->naddrs;
        net->have_picture = true;
        news = NET_CHANGED;
    }
    for (size_t i = 0; i < network->nroutes; i++)
    {
        roam_net_news one = net_take_route(ua, &network->routes[i]);
        news = one > news ? one : news;
    }
    list_each(np, &net->paths, roam_net_path, path.node)
        if (!net_stands(ua, &np->path.local.ip, np->path.link, np->network)) {
            path_gone(ua, np, net_alive(ua, &np->path.local.ip) ? "the same address on another network" : "address left the device");
            news = NET_CHANGED;
        } else if (!np->network) {
            np->network = net_identity(ua, &np->path.local.ip, np->path.link);
        }
    return (int)news;
}

void net_bury(roam_ua *ua)
{
    list_each(np, &ua->net.graveyard, roam_net_path, path.node)
        if (np->path.refs == 0) {
            list_remove(&np->path.node);
            mem_free(&ua->env.mem, np);
        }
}

void net_free(roam_ua *ua)
{
    roam_net *net = &ua->net;
    roam_list *lists[] = {&net->paths, &net->graveyard};
    for (size_t i = 0; i < 2; i++)
        list_each(np, lists[i], roam_net_path, path.node)
        {
            env_cancel(&ua->env, &np->retry);
            env_cancel(&ua->env, &np->idle);
            list_remove(&np->path.node);
            mem_free(&ua->env.mem, np);
        }
    map_each(dest, &net->dests, roam_net_dest, node)
    {
        map_remove(&net->dests, &dest->node);
        mem_free(&ua->env.mem, dest);
    }
    map_free(&net->dests);
    mem_free(&ua->env.mem, net->addrs);
}

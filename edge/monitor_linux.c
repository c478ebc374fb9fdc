/* The network monitor on Linux: events of NETLINK_ROUTE say when to look, dumps and route queries what there is. */
#include "edge/monitor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "edge/address.h"
#include "edge/netlink.h"

/* An event is sent before its consequences are complete: the kernel tells of a removed address, then removes the routes
 * through it, for IPv4 without a word. Where an answer contradicts the addresses, we look again after these times. */
static const uint64_t RECHECK_MS[] = {1, 5, 25, 125, 625};
enum { RECHECKS = sizeof RECHECK_MS / sizeof *RECHECK_MS, ROUNDS_MAX = 3 };

typedef struct roam_monitor_watch {
    roam_map_node node;
    roam_ip destination;
    unsigned count;
    char key[21];
} roam_monitor_watch;

typedef struct roam_monitor_picture {
    roam_net_addr *addrs;
    roam_net_route *routes;
    size_t naddrs, nroutes, addrs_cap, routes_cap;
} roam_monitor_picture;

struct roam_monitor {
    uv_poll_t poll;
    uv_timer_t recheck;
    unsigned open_handles;
    uv_loop_t *loop;
    roam_monitor_fn *changed;
    void *user;
    const roam_tracer *trace;
    int events; /* the socket of netlink_subscribe() */
    roam_netlink *netlink;
    roam_netlink_state state; /* of the last look */
    roam_mem mem;
    roam_map watches; /* of roam_monitor_watch, by key */
    roam_netlink_query *queries;
    size_t queries_cap;
    roam_monitor_picture last; /* as handed over */
    bool handed_over;
    size_t rechecks; /* done since the last event */
};

static void on_events(uv_poll_t *poll, int status, int events);
static void on_recheck(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);
static int look(roam_monitor *m);
static int take_picture(roam_monitor *m, bool *doubtful);
static int hand_over(roam_monitor *m);
static int answer(roam_monitor *m, roam_netlink_query *queries, size_t n, bool *doubtful);
static void answer_through(roam_monitor *m, const roam_netlink_link *link, roam_netlink_query *queries, size_t n);
static const roam_netlink_link *next_best(const roam_netlink_state *state, uint8_t family,
                                          const roam_netlink_link *after);
static bool usable(const roam_netlink_state *state, const roam_netlink_query *query);
static bool leads_somewhere(const roam_netlink_state *state, const roam_netlink_query *query);
static bool is_usable_addr(const roam_netlink_state *state, const roam_ip *ip);
static bool covers(const roam_net_addr *addr, const roam_ip *ip);
static roam_net_route route_of(const roam_netlink_query *query);
static roam_span watch_key(const roam_ip *ip, char out[21]);
static bool same_addrs(const roam_net_addr *a, const roam_net_addr *b, size_t n);
static bool same_routes(const roam_net_route *a, const roam_net_route *b, size_t n);
static bool reserve(void **array, size_t *cap, size_t count, size_t size);

int monitor_new(uv_loop_t *loop, roam_monitor_fn *changed, void *user, const roam_tracer *trace, roam_monitor **out)
{
    static const uint64_t seed[2] = {0, 0}; /* the destinations are our own */
    roam_monitor *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return ROAM_ENOMEM;
    m->loop = loop;
    m->changed = changed;
    m->user = user;
    m->trace = trace;
    mem_init(&m->mem, NULL);
    map_init(&m->watches, &m->mem, seed);
    m->events = netlink_subscribe(); /* before anything is asked: nothing is missed in between */
    int err = m->events < 0 ? m->events : netlink_open(&m->netlink);
    if (!err && uv_timer_init(loop, &m->recheck) != 0)
        err = ROAM_EIO;
    else if (!err)
        m->open_handles++;
    if (!err && uv_poll_init(loop, &m->poll, m->events) != 0)
        err = ROAM_EIO;
    else if (!err)
        m->open_handles++;
    if (err) {
        monitor_free(m);
        return err;
    }
    *out = m;
    return 0;
}

int monitor_start(roam_monitor *m)
{
    if (uv_poll_start(&m->poll, UV_READABLE, on_events) != 0)
        return ROAM_EIO;
    return look(m);
}

int monitor_watch(roam_monitor *m, const roam_ip *destination, roam_net_route *route)
{
    roam_netlink_query query = {.destination = *destination};
    bool doubtful = false;
    char key[21];
    *route = (roam_net_route){.destination = *destination};
    if (!address_length(destination))
        return ROAM_EINVAL;
    roam_map_node *node = map_find(&m->watches, watch_key(destination, key));
    if (node) {
        container_of(node, roam_monitor_watch, node)->count++;
    } else {
        roam_monitor_watch *watch = calloc(1, sizeof *watch);
        if (!watch)
            return ROAM_ENOMEM;
        watch->destination = *destination;
        watch->count = 1;
        map_node_init(&watch->node);
        if (map_insert(&m->watches, &watch->node, watch_key(destination, watch->key)) != 0) {
            free(watch);
            return ROAM_ENOMEM;
        }
    }
    int err = answer(m, &query, 1, &doubtful);
    *route = route_of(&query);
    if ((doubtful || err) && !uv_is_active((uv_handle_t *)&m->recheck)) {
        /* The picture that we compare with may be older than the answer. */
        m->rechecks = 0;
        uv_timer_start(&m->recheck, on_recheck, RECHECK_MS[0], 0);
    }
    return 0;
}

void monitor_unwatch(roam_monitor *m, const roam_ip *destination)
{
    char key[21];
    roam_map_node *node = map_find(&m->watches, watch_key(destination, key));
    if (!node)
        return;
    roam_monitor_watch *watch = container_of(node, roam_monitor_watch, node);
    if (--watch->count)
        return;
    map_remove(&m->watches, node);
    free(watch);
}

void monitor_free(roam_monitor *m)
{
    if (!m)
        return;
    map_each (watch, &m->watches, roam_monitor_watch, node) {
        map_remove(&m->watches, &watch->node);
        free(watch);
    }
    map_free(&m->watches);
    netlink_close(m->netlink);
    netlink_state_free(&m->state);
    free(m->queries);
    free(m->last.addrs);
    free(m->last.routes);
    /* The handles were opened in this order. */
    const unsigned open = m->open_handles;
    if (open >= 1)
        uv_close((uv_handle_t *)&m->recheck, on_closed);
    if (open >= 2)
        uv_close((uv_handle_t *)&m->poll, on_closed);
    if (m->events >= 0)
        close(m->events);
    m->recheck.data = m->poll.data = m;
    if (!open)
        free(m);
}

/* ---- when to look ---- */

static void on_events(uv_poll_t *poll, int status, int events)
{
    roam_monitor *m = container_of(poll, roam_monitor, poll);
    (void)events;
    if (status >= 0 && !netlink_drain(m->events, &m->state))
        return; /* neighbours that are no gateway of ours */
    m->rechecks = 0;
    int err = look(m); /* reads the queue, which clears the error of lost events (ENOBUFS) as well */
    if (status < 0 && uv_poll_start(&m->poll, UV_READABLE, on_events) != 0)
        err = ROAM_EIO;
    if (err)
        trace_note(m->trace, "monitor", 0, roam_strerror(err));
}

static void on_recheck(uv_timer_t *timer)
{
    roam_monitor *m = container_of(timer, roam_monitor, recheck);
    m->rechecks++;
    int err = look(m);
    if (err)
        trace_note(m->trace, "monitor", 0, roam_strerror(err));
}

static void on_closed(uv_handle_t *handle)
{
    roam_monitor *m = handle->data;
    if (--m->open_handles == 0)
        free(m);
}

/* ---- the picture ---- */

static int look(roam_monitor *m)
{
    bool doubtful = false;
    int err = 0;
    netlink_drain(m->events, &m->state);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        doubtful = false;
        err = take_picture(m, &doubtful);
        if (err)
            break;
        /* What changed while we looked is looked at now; a storm of changes does not keep us here. */
        if (!netlink_drain(m->events, &m->state))
            break;
        doubtful = true;
    }
    if ((doubtful || err) && m->rechecks < RECHECKS)
        uv_timer_start(&m->recheck, on_recheck, RECHECK_MS[m->rechecks], 0);
    else
        uv_timer_stop(&m->recheck);
    return err ? err : hand_over(m); /* without an answer the last picture stands */
}

/* Fills `state` and `queries`. */
static int take_picture(roam_monitor *m, bool *doubtful)
{
    int err = netlink_dump(m->netlink, &m->state);
    if (err == ROAM_EBUSY)
        *doubtful = true;
    else if (err)
        return err;
    if (!reserve((void **)&m->queries, &m->queries_cap, m->watches.count, sizeof *m->queries))
        return ROAM_ENOMEM;
    size_t n = 0;
    map_each (watch, &m->watches, roam_monitor_watch, node)
        m->queries[n++] = (roam_netlink_query){.destination = watch->destination};
    return answer(m, m->queries, n, doubtful);
}

static int hand_over(roam_monitor *m)
{
    const size_t naddrs = m->state.naddrs, nroutes = m->watches.count;
    roam_monitor_picture *last = &m->last;
    bool same = m->handed_over && naddrs == last->naddrs && nroutes == last->nroutes &&
                same_addrs(m->state.addrs, last->addrs, naddrs);
    if (!reserve((void **)&last->addrs, &last->addrs_cap, naddrs, sizeof *last->addrs) ||
        !reserve((void **)&last->routes, &last->routes_cap, nroutes, sizeof *last->routes))
        return ROAM_ENOMEM;
    for (size_t i = 0; i < nroutes; i++) {
        const roam_net_route route = route_of(&m->queries[i]);
        same = same && same_routes(&route, &last->routes[i], 1);
        last->routes[i] = route;
    }
    if (same)
        return 0;
    if (naddrs)
        memcpy(last->addrs, m->state.addrs, naddrs * sizeof *last->addrs);
    last->naddrs = naddrs;
    last->nroutes = nroutes;
    m->handed_over = true;
    const roam_network network = {last->addrs, naddrs, last->routes, nroutes};
    m->changed(m->user, &network);
    return 0;
}

/* ---- route answers ---- */

/* Asks the kernel, and judges its answers by the addresses of the last dump: what is not usable becomes unreachable.
 * `doubtful`: the kernel named an address that is not usable. */
static int answer(roam_monitor *m, roam_netlink_query *queries, size_t n, bool *doubtful)
{
    bool dead_end[2] = {false, false}; /* by family: IPv4, IPv6 */
    int err = netlink_routes(m->netlink, queries, n);
    for (size_t i = 0; i < n; i++) {
        if (!queries[i].reachable || usable(&m->state, &queries[i]))
            continue;
        *doubtful = true;
        dead_end[queries[i].destination.family == 6] = true;
        queries[i].source = (roam_ip){0};
    }
    /* The kernel goes on preferring a link that lost its carrier until somebody removes the route. Our sockets are
     * bound to their link, so the next best one can be used already. */
    for (int six = 0; six <= 1; six++) {
        const roam_netlink_link *link = NULL;
        while (dead_end[six] && (link = next_best(&m->state, six ? 6 : 4, link)))
            answer_through(m, link, queries, n);
    }
    for (size_t i = 0; i < n; i++)
        if (!queries[i].source.family)
            queries[i].reachable = false;
    return err;
}

/* Those that are reachable but have no source yet, of the link's family. */
static void answer_through(roam_monitor *m, const roam_netlink_link *link, roam_netlink_query *queries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!queries[i].reachable || queries[i].source.family || address_is_link_local(&queries[i].destination))
            continue;
        roam_netlink_query through = {.destination = queries[i].destination, .through = link->index};
        if (netlink_routes(m->netlink, &through, 1) == 0 && through.reachable && through.link == link->index &&
            usable(&m->state, &through) && leads_somewhere(&m->state, &through)) {
            queries[i].source = through.source;
            queries[i].link = through.link;
        }
    }
}

/* The links with a default route of this family, best first: the one after `after` (NULL: the first). Equal ones in the
 * kernel's order. */
static const roam_netlink_link *next_best(const roam_netlink_state *state, uint8_t family,
                                          const roam_netlink_link *after)
{
    const roam_netlink_link *best = NULL;
    uint32_t best_metric = UINT32_MAX;
    const uint32_t after_metric = !after ? 0 : family == 4 ? after->metric4 : after->metric6;
    for (size_t i = 0; i < state->nlinks; i++) {
        const roam_netlink_link *link = &state->links[i];
        const uint32_t metric = family == 4 ? link->metric4 : link->metric6;
        if (!link->up || link->loopback || metric >= best_metric)
            continue;
        if (after && (metric < after_metric || (metric == after_metric && link <= after)))
            continue;
        best = link;
        best_metric = metric;
    }
    return best;
}

static bool usable(const roam_netlink_state *state, const roam_netlink_query *query)
{
    const roam_netlink_link *link = netlink_find_link(state, query->link);
    if (!query->source.family || !link || !link->up)
        return false;
    if (link->loopback && address_is_loopback(&query->destination))
        return true;
    return is_usable_addr(state, &query->source);
}

/* Asked for a link without a route, the kernel supposes that the destination is on it (IPv4). We do not. */
static bool leads_somewhere(const roam_netlink_state *state, const roam_netlink_query *query)
{
    const roam_netlink_link *link = netlink_find_link(state, query->link);
    if (query->via_gateway || (link && link->point_to_point))
        return true;
    for (size_t i = 0; i < state->naddrs; i++)
        if (state->addrs[i].link == query->link && covers(&state->addrs[i], &query->destination))
            return true;
    return false;
}

static bool is_usable_addr(const roam_netlink_state *state, const roam_ip *ip)
{
    for (size_t i = 0; i < state->naddrs; i++)
        if (!(state->addrs[i].flags & ROAM_NET_TENTATIVE) && roam_ip_equal(&state->addrs[i].ip, ip))
            return true;
    return false;
}

static bool covers(const roam_net_addr *addr, const roam_ip *ip)
{
    if (addr->ip.family != ip->family)
        return false;
    const size_t whole = addr->prefix / 8u, rest = addr->prefix % 8u;
    if (whole > address_length(ip) || memcmp(addr->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || (addr->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}

static roam_net_route route_of(const roam_netlink_query *query)
{
    roam_net_route route = {.destination = query->destination};
    if (query->reachable) {
        route.source = query->source;
        route.link = query->link;
    }
    return route;
}

/* ---- small parts ---- */

static roam_span watch_key(const roam_ip *ip, char out[21])
{
    out[0] = (char)ip->family;
    memset(out + 1, 0, 16);
    memcpy(out + 1, ip->bytes, address_length(ip)); /* what follows an IPv4 address means nothing */
    memcpy(out + 17, &ip->scope, 4);
    return span_make(out, 21);
}

static bool same_addrs(const roam_net_addr *a, const roam_net_addr *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!roam_ip_equal(&a[i].ip, &b[i].ip) || a[i].prefix != b[i].prefix || a[i].link != b[i].link ||
            a[i].flags != b[i].flags || a[i].metric != b[i].metric || a[i].network != b[i].network)
            return false;
    return true;
}

static bool same_routes(const roam_net_route *a, const roam_net_route *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!roam_ip_equal(&a[i].destination, &b[i].destination) || !roam_ip_equal(&a[i].source, &b[i].source) ||
            a[i].link != b[i].link)
            return false;
    return true;
}

static bool reserve(void **array, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap)
        return true;
    const size_t larger = count < *cap * 2 ? *cap * 2 : count;
    void *moved = realloc(*array, larger * size);
    if (!moved)
        return false;
    *array = moved;
    *cap = larger;
    return true;
}

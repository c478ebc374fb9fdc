#include "sim/world.h"

#include <assert.h>
#include <stdlib.h>

#include "testbed/link.h"
#include "testbed/nat.h"
#include "testbed/peer.h"
#include "testbed/server.h"

typedef struct sim_socket {
    roam_list node;
    sim_node *owner;
    uint32_t id;
    roam_addr local;
} sim_socket;

/* ---- small things ---- */

roam_ip sim_ip(const char *text)
{
    roam_ip ip;
    if (roam_ip_parse(span_of(text), &ip) != 0)
        abort();
    return ip;
}

roam_addr sim_addr(const char *text)
{
    roam_addr addr;
    if (roam_addr_parse(span_of(text), &addr) != 0)
        abort();
    return addr;
}

uint32_t sim_link(const roam_ip *ip)
{
    const uint8_t *b = ip->family == 4 ? ip->bytes + 1 : ip->bytes + 6;
    return ((uint32_t)b[0] << 8 | b[1]) + 1u;
}

static void seed_of(sim_world *world, uint8_t seed[32])
{
    random_bytes(&world->random, seed, 32);
}

int world_init(sim_world *world, uint64_t seed, roam_time delay)
{
    uint8_t bytes[32] = {0};
    memcpy(bytes, &seed, sizeof seed);
    *world = (sim_world){.delay = delay, .now = ROAM_SECONDS(1000), .next_port = 40000};
    mem_init(&world->mem, NULL);
    random_init(&world->random, bytes);
    timers_init(&world->packets, &world->mem);
    timers_init(&world->acts, &world->mem);
    list_init(&world->nodes);
    list_init(&world->sockets);
    return 0;
}

static void names_due(roam_timer *timer)
{
    sim_node *node = container_of(timer, sim_node, name_timer);
    if (node->asleep)
        world_at(node->world, timer, node->world->now + ROAM_MS(100));
    else
        world_answer_names(node);
}

static sim_node *new_node(sim_world *world, sim_node_type type, const char *name)
{
    sim_node *node = mem_new(&world->mem, sim_node);
    assert(node);
    node->world = world;
    node->type = type;
    size_t len = strlen(name) < sizeof node->name ? strlen(name) : sizeof node->name - 1;
    memcpy(node->name, name, len);
    timer_init(&node->name_timer, names_due, "names");
    list_push(&world->nodes, &node->node);
    return node;
}

static void free_links(sim_node *node)
{
    for (struct roam_link **link = &node->up; link; link = link == &node->up ? &node->down : NULL)
        if (*link) {
            link_free(*link);
            mem_free(&node->world->mem, *link);
            *link = NULL;
        }
}

static void free_node(sim_world *world, sim_node *node)
{
    free_links(node);
    timer_cancel(&world->acts, &node->name_timer);
    roam_ua_free(node->ua);
    if (node->server)
        testserver_free(node->server);
    if (node->peer)
        peer_free(node->peer);
    mem_free(&world->mem, node->server);
    mem_free(&world->mem, node->peer);
    world_forget(node);
    mem_free(&world->mem, node->heard.events);
    mem_free(&world->mem, node->heard.texts);
    list_remove(&node->node);
    mem_free(&world->mem, node);
}

void world_free(sim_world *world)
{
    list_each(node, &world->nodes, sim_node, node)
        free_node(world, node);
    list_each(s, &world->sockets, sim_socket, node)
    {
        list_remove(&s->node);
        mem_free(&world->mem, s);
    }
    roam_timer *timer;
    while ((timer = timers_pop_due(&world->packets, ROAM_NEVER)))
        mem_free(&world->mem, container_of(timer, sim_packet, timer));
    timers_free(&world->packets);
    timers_free(&world->acts);
    assert(world->mem.live == 0);
}

/* ---- sockets and packets ---- */

static sim_socket *socket_of(sim_world *world, const sim_node *owner, uint32_t id)
{
    list_each(s, &world->sockets, sim_socket, node)
        if (s->owner == owner && s->id == id)
            return s;
    return NULL;
}

static sim_socket *socket_at(sim_world *world, const roam_addr *addr)
{
    list_each(s, &world->sockets, sim_socket, node)
        if (roam_addr_equal(&s->local, addr))
            return s;
    return NULL;
}

uint32_t world_socket_id(const sim_node *agent, const roam_addr *local)
{
    sim_socket *s = socket_at(agent->world, local);
    return s && s->owner == agent ? s->id : 0;
}

static int socket_open(sim_node *owner, uint32_t id, roam_addr *local)
{
    sim_world *world = owner->world;
    if (local->port == 0) {
        do
            local->port = world->next_port++;
        while (socket_at(world, local));
    } else if (socket_at(world, local)) {
        return ROAM_EBUSY;
    }
    sim_socket *s = mem_new(&world->mem, sim_socket);
    assert(s);
    s->owner = owner;
    s->id = id;
    s->local = *local;
    list_push(&world->sockets, &s->node);
    return 0;
}

static void socket_close(sim_node *owner, uint32_t id)
{
    sim_socket *s = socket_of(owner->world, owner, id);
    if (s) {
        list_remove(&s->node);
        mem_free(&owner->world->mem, s);
    }
}

static bool has_addr(const sim_node *agent, const roam_ip *ip)
{
    if (agent->type != SIM_AGENT)
        return true;
    for (size_t i = 0; i < agent->naddrs; i++)
        if (roam_ip_equal(&agent->addrs[i].ip, ip))
            return true;
    return false;
}

static void arrived(roam_timer *timer);
static void deliver(sim_packet *p);

/* On its way: over the links of its sender and receiver where they have any, else with the plain delay. */
static void travel(sim_packet *p)
{
    sim_world *world = p->world;
    sim_node *receiver = NULL;
    sim_socket *s = socket_at(world, &p->to);
    if (s)
        receiver = s->owner;
    else
        list_each(node, &world->nodes, sim_node, node)
            if (node->nat && roam_ip_equal(&node->nat->config.external, &p->to.ip))
                receiver = node;
    struct roam_link *link = p->sender && p->sender->up ? p->sender->up : receiver && receiver->down ? receiver->down : NULL;
    if (link) {
        if (link_push(link, world->now, span_make((const char *)p, sizeof *p + p->len)) != 0)
            world->lost++;
        mem_free(&world->mem, p);
        return;
    }
    /* The wire of the device is long, the one between servers short: a round trip is from the agent to its first hop and back. */
    bool far = !p->sender || p->sender->type == SIM_AGENT || (receiver && receiver->type == SIM_AGENT);
    timer_arm(&world->packets, &p->timer, world->now + (far ? world->delay : 0));
}

static void node_send(sim_node *sender, uint32_t socket, const roam_addr *to, roam_span bytes)
{
    sim_world *world = sender->world;
    sim_socket *s = socket_of(world, sender, socket);
    if (!s)
        return;
    sim_packet *p = mem_alloc(&world->mem, sizeof *p + bytes.len);
    assert(p);
    memset(p, 0, sizeof *p);
    timer_init(&p->timer, arrived, "packet");
    p->world = world;
    p->from = s->local;
    p->to = *to;
    p->sender = sender;
    p->len = bytes.len;
    if (bytes.len)
        memcpy(p->bytes, bytes.ptr, bytes.len);
    bool own = has_addr(sender, &s->local.ip);
    if (world->watcher.sent)
        world->watcher.sent(world->watcher.user, p, own);
    world->sent++;
    uint64_t seed[2] = {world->hash, world->now};
    world->hash = roam_siphash(seed, span_make(p->bytes, p->len)) ^ roam_siphash(seed, span_make((const char *)&to->port, sizeof to->port));
    world->from_dead += !own;
    bool lost = !own || sender->hole;
    if (!lost && sender->nat)
        lost = nat_outbound(sender->nat, world->now, 17, &p->from, &p->to) != NAT_PASS;
    if (!lost && world->loss_ppm)
        lost = random_below(&world->random, 1000000) < world->loss_ppm;
    if (lost || (world->tap && !world->tap(world->user, p))) {
        world->lost += own;
        mem_free(&world->mem, p);
        return;
    }
    travel(p);
}

/* To the outside of a NAT: what it makes of it. */
static void translate(sim_packet *p)
{
    list_each(node, &p->world->nodes, sim_node, node)
        if (node->nat && roam_ip_equal(&node->nat->config.external, &p->to.ip))
            if (nat_inbound(node->nat, p->world->now, 17, &p->from, &p->to) == NAT_PASS)
                return;
}

void world_inject(sim_world *world, const roam_addr *from, const roam_addr *to, roam_span bytes)
{
    sim_packet *p = mem_alloc(&world->mem, sizeof *p + bytes.len);
    assert(p);
    memset(p, 0, sizeof *p);
    timer_init(&p->timer, arrived, "packet");
    p->world = world;
    p->from = *from;
    p->to = *to;
    p->len = bytes.len;
    if (bytes.len)
        memcpy(p->bytes, bytes.ptr, bytes.len);
    timer_arm(&world->packets, &p->timer, world->now + world->delay);
}

static void arrived(roam_timer *timer)
{
    sim_packet *p = container_of(timer, sim_packet, timer);
    sim_world *world = p->world;
    deliver(p);
    mem_free(&world->mem, p);
}

static void deliver(sim_packet *p)
{
    sim_world *world = p->world;
    translate(p);
    sim_socket *s = socket_at(world, &p->to);
    if (s && s->owner->type == SIM_AGENT && world->watcher.step) {
        world->watcher.step(world->watcher.user, s->owner, p);
        s = socket_at(world, &p->to); /* what it did may have closed it */
    }
    roam_span bytes = span_make(p->bytes, p->len);
    if (!s || !has_addr(s->owner, &p->to.ip) || s->owner->hole || s->owner->asleep) {
        world->unreachable++;
    } else if (s->owner->type == SIM_AGENT) {
        sim_node *agent = s->owner;
        if (world->watcher.arrives)
            world->watcher.arrives(world->watcher.user, agent, p);
        roam_ua_receive(agent->ua, world->now, s->id, &p->from, bytes);
        world_flush(agent);
        if (world->watcher.stepped)
            world->watcher.stepped(world->watcher.user, agent, p);
    } else if (s->owner->type == SIM_SERVER) {
        testserver_receive(s->owner->server, world->now, s->id, &p->from, bytes);
    } else {
        peer_receive(s->owner->peer, world->now, s->id, &p->from, bytes);
    }
}

void world_links(sim_node *node, const roam_link_config *config)
{
    sim_world *world = node->world;
    if (!config) {
        free_links(node); /* and what is under way */
        return;
    }
    for (struct roam_link **link = &node->up; link; link = link == &node->up ? &node->down : NULL) {
        uint8_t seed[32];
        seed_of(world, seed);
        int err;
        if (*link) {
            err = link_configure(*link, config);
        } else {
            *link = mem_new(&world->mem, struct roam_link);
            assert(*link);
            err = link_init(*link, &world->mem, seed, config);
        }
        assert(err == 0);
        (void)err;
    }
}

/* What came to the end of a node's links: from the first link to the second, or to its receiver. */
static void drain(sim_world *world, struct roam_link *link, bool up)
{
    roam_span bytes;
    while (link && link_pop(link, world->now, &bytes, NULL)) {
        sim_packet *p = mem_alloc(&world->mem, bytes.len);
        assert(p);
        memcpy(p, bytes.ptr, bytes.len);
        sim_socket *s = socket_at(world, &p->to);
        if (up && s && s->owner->down && s->owner != p->sender) {
            if (link_push(s->owner->down, world->now, bytes) != 0)
                world->lost++;
        } else {
            deliver(p);
        }
        mem_free(&world->mem, p);
    }
}

/* ---- agents ---- */

static bool prefix24(const roam_ip *a, const roam_ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == 4 ? 3 : 8) == 0;
}

/* As a kernel would: the address of the link that holds the destination, else that of the default route. */
static roam_net_route route_to(const sim_node *agent, const roam_ip *dest)
{
    roam_net_route route = {.destination = *dest};
    const roam_net_addr *best = NULL;
    for (size_t i = 0; i < agent->naddrs; i++) {
        const roam_net_addr *a = &agent->addrs[i];
        if (a->ip.family != dest->family)
            continue;
        if (prefix24(&a->ip, dest)) {
            best = a;
            break;
        }
        if (!best)
            best = a;
    }
    if (best) {
        route.source = best->ip;
        route.link = best->link;
    }
    return route;
}

static void watch(sim_node *agent, const roam_ip *ip, bool on)
{
    for (size_t i = 0; i < agent->nwatches; i++)
        if (roam_ip_equal(&agent->watches[i], ip)) {
            if (!on)
                agent->watches[i] = agent->watches[--agent->nwatches];
            return;
        }
    assert(agent->nwatches < WORLD_MAX_WATCHES || !on);
    if (on)
        agent->watches[agent->nwatches++] = *ip;
}

static void hear(sim_node *agent, const roam_event *event)
{
    sim_heard *h = &agent->heard;
    if (h->n == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 64;
        h->events = mem_realloc(&agent->world->mem, h->events, h->cap * sizeof *h->events);
        h->texts = mem_realloc(&agent->world->mem, h->texts, h->cap * sizeof *h->texts);
        assert(h->events && h->texts);
    }
    roam_event *e = &h->events[h->n];
    *e = *event;
    roam_span *parts[] = {&e->uri, &e->content_type, &e->body};
    size_t len = e->uri.len + e->content_type.len + e->body.len;
    char *at = h->texts[h->n] = len ? mem_alloc(&agent->world->mem, len) : NULL;
    assert(at || !len);
    for (size_t i = 0; i < 3; i++)
        if (parts[i]->len) {
            memcpy(at, parts[i]->ptr, parts[i]->len);
            parts[i]->ptr = at;
            at += parts[i]->len;
        }
    h->n++;
    if (agent->world->watcher.event)
        agent->world->watcher.event(agent->world->watcher.user, agent, event);
}

void world_name(sim_world *world, const char *name, const char *ip)
{
    size_t i = 0;
    while (i < world->nnames && strcmp(world->names[i].name, name) != 0)
        i++;
    assert(i < sizeof world->names / sizeof *world->names && strlen(name) < sizeof world->names[i].name);
    world->nnames = i == world->nnames ? i + 1 : world->nnames;
    memcpy(world->names[i].name, name, strlen(name) + 1);
    world->names[i].ip = ip ? sim_ip(ip) : (roam_ip){0};
}

static void ask_name(sim_node *agent, uint32_t query, roam_span name)
{
    assert(agent->nqueries < WORLD_MAX_QUERIES);
    agent->names_asked++;
    size_t i = agent->nqueries++;
    size_t len = name.len < sizeof agent->query_names[i] ? name.len : sizeof agent->query_names[i] - 1;
    memcpy(agent->query_names[i], name.ptr, len);
    agent->query_names[i][len] = '\0';
    agent->queries[i] = query;
    if (agent->name_delay && !timer_armed(&agent->name_timer))
        world_at(agent->world, &agent->name_timer, agent->world->now + agent->name_delay);
    else if (!agent->keep_queries && !agent->name_delay)
        world_answer_names(agent);
}

void world_answer_names(sim_node *agent)
{
    sim_world *world = agent->world;
    size_t n = agent->nqueries;
    agent->nqueries = 0;
    for (size_t i = 0; i < n; i++) {
        const roam_ip *ip = NULL;
        for (size_t k = 0; k < world->nnames; k++)
            if (strcmp(world->names[k].name, agent->query_names[i]) == 0 && world->names[k].ip.family)
                ip = &world->names[k].ip;
        roam_ua_resolved(agent->ua, world->now, agent->queries[i], ip, ip ? 1 : 0);
    }
    if (!agent->flushing)
        world_flush(agent);
}

void world_flush(sim_node *agent)
{
    sim_world *world = agent->world;
    roam_output out;
    agent->flushing = true;
    while (roam_ua_poll(agent->ua, &out)) {
        roam_addr local = out.local;
        roam_net_route route;
        int err;
        switch (out.type) {
        case ROAM_OUTPUT_SEND:
            node_send(agent, out.socket, &out.remote, out.bytes);
            break;
        case ROAM_OUTPUT_SOCKET_OPEN:
            err = agent->refuse ? agent->refuse_err : has_addr(agent, &local.ip) ? socket_open(agent, out.socket, &local) : ROAM_EIO;
            agent->refuse -= agent->refuse != 0;
            roam_ua_socket_opened(agent->ua, world->now, out.socket, err, &local);
            break;
        case ROAM_OUTPUT_SOCKET_CLOSE:
            socket_close(agent, out.socket);
            break;
        case ROAM_OUTPUT_ROUTE_WATCH:
            watch(agent, &out.remote.ip, true);
            route = route_to(agent, &out.remote.ip);
            roam_ua_route(agent->ua, world->now, &route);
            break;
        case ROAM_OUTPUT_ROUTE_UNWATCH:
            watch(agent, &out.remote.ip, false);
            break;
        case ROAM_OUTPUT_RESOLVE:
            ask_name(agent, out.query, out.bytes);
            break;
        case ROAM_OUTPUT_EVENT:
            hear(agent, &out.event);
            break;
        }
    }
    agent->flushing = false;
}

sim_node *world_agent(sim_world *world, const char *name, const roam_ua_config *config)
{
    roam_ua_config standard;
    if (!config) {
        roam_ua_config_default(&standard);
        config = &standard;
    }
    sim_node *node = new_node(world, SIM_AGENT, name);
    roam_ua_config own = *config;
    seed_of(world, own.seed);
    own.route_answers = true;
    node->ua = roam_ua_new(&own);
    assert(node->ua);
    roam_ua_advance(node->ua, world->now);
    return node;
}

/* As a monitor would: the whole picture. */
static void tell_network(sim_node *agent)
{
    roam_net_route routes[WORLD_MAX_WATCHES];
    if (agent->asleep) {
        agent->news = true;
        return;
    }
    for (size_t i = 0; i < agent->nwatches; i++)
        routes[i] = route_to(agent, &agent->watches[i]);
    roam_network network = {agent->addrs, agent->naddrs, routes, agent->nwatches};
    roam_network_update(agent->ua, agent->world->now, &network);
    world_flush(agent);
}

void world_wake(sim_node *agent)
{
    bool news = agent->news;
    agent->asleep = agent->news = false;
    if (news)
        tell_network(agent);
    roam_ua_advance(agent->ua, agent->world->now);
    world_flush(agent);
}

void world_set_addrs(sim_node *agent, const char *const *addrs)
{
    roam_net_addr list[WORLD_MAX_ADDRS];
    size_t n = 0;
    for (; *addrs; addrs++) {
        assert(n < WORLD_MAX_ADDRS);
        size_t i = n++;
        roam_ip ip = sim_ip(*addrs);
        list[i] = (roam_net_addr){.ip = ip,
                                    .prefix = ip.family == 4 ? 24 : 64,
                                    .link = sim_link(&ip),
                                    .metric = (uint32_t)(i + 1) * 100};
    }
    world_set_network(agent, list, n);
}

void world_set_network(sim_node *agent, const roam_net_addr *addrs, size_t n)
{
    if (!agent->asleep) { /* what was due before the change goes first: the agent cannot know it yet */
        roam_ua_advance(agent->ua, agent->world->now);
        world_flush(agent);
    }
    assert(n <= WORLD_MAX_ADDRS);
    memcpy(agent->addrs, addrs, n * sizeof *addrs);
    agent->naddrs = n;
    tell_network(agent);
}

/* ---- servers and peers ---- */

static void on_other_send(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    node_send(user, socket, remote, bytes);
}

sim_node *world_server(sim_world *world, const char *addr, const roam_testserver_config *config, const char *const *users)
{
    sim_node *node = new_node(world, SIM_SERVER, "server");
    roam_testserver_config own = config ? *config : (roam_testserver_config){0};
    roam_testserver_host host = {.send = on_other_send, .user = node};
    seed_of(world, own.seed);
    node->server = mem_new(&world->mem, roam_testserver);
    node->local = sim_addr(addr);
    uint32_t socket = ++world->next_socket;
    bool ok = node->server && testserver_init(node->server, &own, &host) == 0 && socket_open(node, socket, &node->local) == 0 &&
              testserver_add_path(node->server, socket, &node->local) == 0 && testserver_add_domain(node->server, "example.com") == 0;
    for (; ok && users && *users; users++) {
        char name[64];
        const char *colon = strchr(*users, ':');
        size_t len = colon ? (size_t)(colon - *users) : strlen(*users);
        memcpy(name, *users, len);
        name[len] = '\0';
        ok = testserver_add_user(node->server, name, colon ? colon + 1 : NULL) == 0;
    }
    assert(ok);
    return node;
}

static int on_open_rtp(void *user, uint32_t *socket, roam_addr *local)
{
    sim_node *node = user;
    *socket = ++node->world->next_socket;
    *local = (roam_addr){node->local.ip, 0};
    return socket_open(node, *socket, local);
}

static void on_close_rtp(void *user, uint32_t socket)
{
    socket_close(user, socket);
}

sim_node *world_peer(sim_world *world, const char *addr, const roam_peer_config *config)
{
    sim_node *node = new_node(world, SIM_PEER, config->user);
    roam_peer_config own = *config;
    roam_peer_host host = {.send = on_other_send, .open_rtp = on_open_rtp, .close_rtp = on_close_rtp, .user = node};
    seed_of(world, own.seed);
    node->local = sim_addr(addr);
    own.socket = ++world->next_socket;
    own.local = node->local;
    node->peer = mem_new(&world->mem, roam_peer);
    bool ok = node->peer && socket_open(node, own.socket, &node->local) == 0 && peer_init(node->peer, &own, &host) == 0;
    assert(ok);
    (void)ok;
    return node;
}

void world_move_peer(sim_node *peer, const char *addr)
{
    sim_world *world = peer->world;
    const sim_socket *before = socket_at(world, &peer->local);
    uint32_t old = before ? before->id : 0, socket = ++world->next_socket;
    peer->local = sim_addr(addr);
    int err = socket_open(peer, socket, &peer->local);
    if (!err)
        err = peer_move(peer->peer, world->now, socket, &peer->local);
    assert(err == 0);
    (void)err;
    socket_close(peer, old);
}

/* ---- time ---- */

/* So often a node may be due without time going on. */
#define SPINS_MAX 1000u

void world_at(sim_world *world, roam_timer *timer, roam_time when)
{
    int err = timer_arm(&world->acts, timer, when > world->now ? when : world->now);
    assert(err == 0);
    (void)err;
}

static roam_time earlier(roam_time a, roam_time b)
{
    return a < b ? a : b;
}

static roam_time node_deadline(const sim_node *node)
{
    switch (node->type) {
    case SIM_AGENT:
        return node->asleep ? ROAM_NEVER : roam_ua_deadline(node->ua);
    case SIM_SERVER:
        return testserver_deadline(node->server);
    case SIM_PEER:
        return peer_deadline(node->peer);
    }
    return ROAM_NEVER;
}

static void node_advance(sim_node *node)
{
    roam_time now = node->world->now;
    const sim_watcher *watcher = &node->world->watcher;
    switch (node->type) {
    case SIM_AGENT:
        if (watcher->step)
            watcher->step(watcher->user, node, NULL);
        if (node->asleep)
            break;
        roam_ua_advance(node->ua, now);
        world_flush(node);
        if (watcher->stepped)
            watcher->stepped(watcher->user, node, NULL);
        break;
    case SIM_SERVER:
        testserver_advance(node->server, now);
        break;
    case SIM_PEER:
        peer_advance(node->peer, now);
        break;
    }
}

static roam_time next_of(const sim_world *world)
{
    roam_time next = earlier(timers_deadline(&world->packets), timers_deadline(&world->acts));
    list_each(node, &world->nodes, sim_node, node)
    {
        next = earlier(next, node_deadline(node));
        if (node->up)
            next = earlier(next, earlier(link_deadline(node->up), link_deadline(node->down)));
    }
    return next;
}

void world_run_until(sim_world *world, roam_time until)
{
    roam_timer *timer;
    while (!world->stuck && !world->halt) {
        roam_time next = next_of(world);
        if (next > until)
            break;
        if (next > world->now) {
            world->now = next;
            list_each(node, &world->nodes, sim_node, node)
                node->spins = 0;
        }
        while ((timer = timers_pop_due(&world->acts, world->now)))
            timer->fire(timer);
        list_each(node, &world->nodes, sim_node, node)
            if (node_deadline(node) <= world->now) {
                node_advance(node);
                if (++node->spins > SPINS_MAX)
                    world->stuck = node;
            }
        while ((timer = timers_pop_due(&world->packets, world->now)))
            timer->fire(timer);
        list_each(node, &world->nodes, sim_node, node)
        {
            drain(world, node->up, true);
            drain(world, node->down, false);
        }
    }
    if (world->stuck || world->halt)
        return;
    if (until > world->now)
        world->now = until;
    list_each(node, &world->nodes, sim_node, node)
        if (node->type != SIM_AGENT || !node->asleep)
            node_advance(node);
}

void world_run(sim_world *world, roam_time duration)
{
    world_run_until(world, world->now + duration);
}

/* ---- what was heard ---- */

const roam_event *world_last(const sim_node *agent, roam_event_type type)
{
    for (size_t i = agent->heard.n; i > 0; i--)
        if (agent->heard.events[i - 1].type == type)
            return &agent->heard.events[i - 1];
    return NULL;
}

size_t world_count(const sim_node *agent, roam_event_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < agent->heard.n; i++)
        n += agent->heard.events[i].type == type;
    return n;
}

const roam_event *world_progress(const sim_node *agent, roam_ip_change_op op, roam_call_id call)
{
    for (size_t i = agent->heard.n; i > 0; i--) {
        const roam_event *e = &agent->heard.events[i - 1];
        if (e->type == ROAM_EVENT_IP_CHANGE_PROGRESS && e->op == op && e->call == call && (call || !e->subscription))
            return e;
    }
    return NULL;
}

void world_forget(sim_node *agent)
{
    for (size_t i = 0; i < agent->heard.n; i++)
        mem_free(&agent->world->mem, agent->heard.texts[i]);
    agent->heard.n = 0;
}

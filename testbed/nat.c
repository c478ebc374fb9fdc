#include "testbed/nat.h"

#include <assert.h>

typedef struct remote {
    roam_addr addr; /* port 0 where the filter asks for the address only */
    roam_time used;
} remote;

typedef struct mapping {
    roam_map_node inside, outside;
    roam_list order;
    roam_addr internal;
    uint16_t port; /* outside */
    uint8_t protocol;
    roam_time used; /* the timeout counts from here */
    size_t nremotes;
    remote *remotes; /* NAT_MAX_REMOTES at most, grown as needed */
    size_t remotes_cap;
    char inside_key[48], outside_key[3];
} mapping;

static roam_span inside_key(const roam_nat *nat, uint8_t protocol, const roam_addr *source,
                            const roam_addr *destination, char key[48]);
static roam_span outside_key(uint8_t protocol, uint16_t port, char key[3]);
static mapping *find_inside(roam_nat *nat, uint8_t protocol, const roam_addr *source, const roam_addr *destination);
static mapping *find_outside(const roam_nat *nat, uint8_t protocol, uint16_t port);
static mapping *mapping_new(roam_nat *nat, roam_time now, uint8_t protocol, const roam_addr *source,
                            const roam_addr *destination);
static void mapping_free(roam_nat *nat, mapping *m);
static bool port_choose(roam_nat *nat, uint8_t protocol, uint16_t wanted, uint16_t *port);
static void mapping_used(roam_nat *nat, mapping *m, roam_time now);
static bool remote_allow(roam_nat *nat, mapping *m, roam_time now, const roam_addr *destination);
static bool remote_allowed(const roam_nat *nat, const mapping *m, roam_time now, const roam_addr *source);
static void expire(roam_nat *nat, roam_time now);

const char *nat_verdict_text(roam_nat_verdict verdict)
{
    static const char *const text[] = {"pass", "hairpin", "no mapping", "filtered", "full", "not ours"};
    return text[verdict];
}

int nat_init(roam_nat *nat, roam_mem *mem, const uint8_t seed[32], const roam_nat_config *config)
{
    *nat = (roam_nat){.mem = mem, .config = *config};
    list_init(&nat->order);
    random_init(&nat->random, seed);
    uint64_t hash_seed[2] = {random_u64(&nat->random), random_u64(&nat->random)};
    map_init(&nat->inside, mem, hash_seed);
    map_init(&nat->outside, mem, hash_seed);
    roam_nat_config *c = &nat->config;
    if (!c->timeout)
        c->timeout = ROAM_SECONDS(300);
    if (!c->port_min)
        c->port_min = 1024;
    if (!c->port_max)
        c->port_max = 65535;
    if (!c->max_mappings)
        c->max_mappings = NAT_MAX_MAPPINGS;
    if (!c->external.family || c->port_min > c->port_max || c->max_mappings > NAT_MAX_MAPPINGS)
        return ROAM_EINVAL;
    return ROAM_OK;
}

void nat_free(roam_nat *nat)
{
    nat_flush(nat);
    map_free(&nat->inside);
    map_free(&nat->outside);
}

roam_nat_verdict nat_outbound(roam_nat *nat, roam_time now, uint8_t protocol, roam_addr *source, roam_addr *destination)
{
    expire(nat, now);
    if (source->ip.family != nat->config.external.family || destination->ip.family != source->ip.family) {
        nat->counters.not_ours++;
        return NAT_NOT_OURS;
    }
    mapping *m = find_inside(nat, protocol, source, destination);
    if (!m)
        m = mapping_new(nat, now, protocol, source, destination);
    if (!m || !remote_allow(nat, m, now, destination)) {
        nat->counters.full++;
        return NAT_FULL;
    }
    mapping_used(nat, m, now);
    roam_addr outside = {nat->config.external, m->port};
    if (!roam_ip_equal(&destination->ip, &nat->config.external)) {
        *source = outside;
        nat->counters.out++;
        return NAT_PASS;
    }
    /* RFC 4787 REQ-9: the receiver sees the sender's outside address, and its filter is asked as for anybody. */
    mapping *to = nat->config.hairpin ? find_outside(nat, protocol, destination->port) : NULL;
    if (!to) {
        nat->counters.no_mapping++;
        return NAT_NO_MAPPING;
    }
    if (!remote_allowed(nat, to, now, &outside)) {
        nat->counters.filtered++;
        return NAT_FILTERED;
    }
    *source = outside;
    *destination = to->internal;
    nat->counters.hairpinned++;
    return NAT_HAIRPIN;
}

roam_nat_verdict nat_inbound(roam_nat *nat, roam_time now, uint8_t protocol, const roam_addr *source,
                             roam_addr *destination)
{
    expire(nat, now);
    if (!roam_ip_equal(&destination->ip, &nat->config.external)) {
        nat->counters.not_ours++;
        return NAT_NOT_OURS;
    }
    mapping *m = find_outside(nat, protocol, destination->port);
    if (!m) {
        nat->counters.no_mapping++;
        return NAT_NO_MAPPING;
    }
    if (!remote_allowed(nat, m, now, source)) {
        nat->counters.filtered++;
        return NAT_FILTERED;
    }
    if (nat->config.inbound_refreshes)
        mapping_used(nat, m, now);
    *destination = m->internal;
    nat->counters.in++;
    return NAT_PASS;
}

void nat_rebind(roam_nat *nat, const roam_ip *external)
{
    if (external && !roam_ip_equal(external, &nat->config.external))
        nat->config.external = *external;
    else
        external = NULL;
    list_each (m, &nat->order, mapping, order) {
        m->nremotes = 0;
        uint16_t port;
        if (external)
            continue;
        /* The old entry stays in the table while the new port is chosen, so the new one differs. */
        if (!port_choose(nat, m->protocol, 0, &port)) {
            mapping_free(nat, m);
            continue;
        }
        map_remove(&nat->outside, &m->outside);
        m->port = port;
        if (map_insert(&nat->outside, &m->outside, outside_key(m->protocol, port, m->outside_key)) != ROAM_OK)
            mapping_free(nat, m);
    }
}

void nat_flush(roam_nat *nat)
{
    list_each (m, &nat->order, mapping, order)
        mapping_free(nat, m);
}

static size_t put_ip(char *out, const roam_ip *ip)
{
    memset(out, 0, 21);
    out[0] = (char)ip->family;
    memcpy(out + 1, ip->bytes, ip->family == 4 ? 4 : 16);
    memcpy(out + 17, &ip->scope, 4);
    return 21;
}

static roam_span inside_key(const roam_nat *nat, uint8_t protocol, const roam_addr *source,
                            const roam_addr *destination, char key[48])
{
    size_t n = 0;
    key[n++] = (char)protocol;
    n += put_ip(key + n, &source->ip);
    memcpy(key + n, &source->port, 2);
    n += 2;
    if (nat->config.mapping != NAT_ENDPOINT_INDEPENDENT)
        n += put_ip(key + n, &destination->ip);
    if (nat->config.mapping == NAT_ADDRESS_AND_PORT_DEPENDENT) {
        memcpy(key + n, &destination->port, 2);
        n += 2;
    }
    return span_make(key, n);
}

static roam_span outside_key(uint8_t protocol, uint16_t port, char key[3])
{
    key[0] = (char)protocol;
    memcpy(key + 1, &port, 2);
    return span_make(key, 3);
}

static mapping *find_inside(roam_nat *nat, uint8_t protocol, const roam_addr *source, const roam_addr *destination)
{
    char key[48];
    roam_map_node *node = map_find(&nat->inside, inside_key(nat, protocol, source, destination, key));
    return node ? container_of(node, mapping, inside) : NULL;
}

static mapping *find_outside(const roam_nat *nat, uint8_t protocol, uint16_t port)
{
    char key[3];
    roam_map_node *node = map_find(&nat->outside, outside_key(protocol, port, key));
    return node ? container_of(node, mapping, outside) : NULL;
}

static mapping *mapping_new(roam_nat *nat, roam_time now, uint8_t protocol, const roam_addr *source,
                            const roam_addr *destination)
{
    if (nat->outside.count >= nat->config.max_mappings)
        return NULL;
    uint16_t port;
    if (!port_choose(nat, protocol, nat->config.preserve_port ? source->port : 0, &port))
        return NULL;
    mapping *m = mem_new(nat->mem, mapping);
    if (!m)
        return NULL;
    map_node_init(&m->inside);
    map_node_init(&m->outside);
    list_init(&m->order);
    m->internal = *source;
    m->protocol = protocol;
    m->port = port;
    m->used = now;
    if (map_insert(&nat->inside, &m->inside, inside_key(nat, protocol, source, destination, m->inside_key)) !=
            ROAM_OK ||
        map_insert(&nat->outside, &m->outside, outside_key(protocol, port, m->outside_key)) != ROAM_OK) {
        mapping_free(nat, m);
        return NULL;
    }
    list_push(&nat->order, &m->order);
    nat->counters.created++;
    return m;
}

static void mapping_free(roam_nat *nat, mapping *m)
{
    map_remove(&nat->inside, &m->inside);
    map_remove(&nat->outside, &m->outside);
    list_remove(&m->order);
    mem_free(nat->mem, m->remotes);
    mem_free(nat->mem, m);
}

/* A random start, then the next free one: every free port is found. */
static bool port_choose(roam_nat *nat, uint8_t protocol, uint16_t wanted, uint16_t *port)
{
    uint32_t first = nat->config.port_min, n = (uint32_t)nat->config.port_max - first + 1;
    if (wanted >= first && wanted <= nat->config.port_max && !find_outside(nat, protocol, wanted)) {
        *port = wanted;
        return true;
    }
    uint32_t start = random_below(&nat->random, n);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t candidate = (uint16_t)(first + (start + i) % n);
        if (!find_outside(nat, protocol, candidate)) {
            *port = candidate;
            return true;
        }
    }
    return false;
}

static void mapping_used(roam_nat *nat, mapping *m, roam_time now)
{
    m->used = now;
    list_remove(&m->order);
    list_push(&nat->order, &m->order);
}

static bool remote_matches(const roam_nat *nat, const remote *r, const roam_addr *addr)
{
    return roam_ip_equal(&r->addr.ip, &addr->ip) &&
           (nat->config.filtering == NAT_ADDRESS_DEPENDENT || r->addr.port == addr->port);
}

static bool remote_allow(roam_nat *nat, mapping *m, roam_time now, const roam_addr *destination)
{
    if (nat->config.filtering == NAT_ENDPOINT_INDEPENDENT) {
        /* One entry says that the inside has sent at all (since a rebinding). */
        if (m->nremotes)
            return true;
    }
    size_t oldest = 0;
    for (size_t i = 0; i < m->nremotes; i++) {
        if (remote_matches(nat, &m->remotes[i], destination)) {
            m->remotes[i].used = now;
            return true;
        }
        if (m->remotes[i].used < m->remotes[oldest].used)
            oldest = i;
    }
    if (m->nremotes == m->remotes_cap && m->remotes_cap < NAT_MAX_REMOTES) {
        size_t cap = m->remotes_cap ? m->remotes_cap * 2 : 1;
        remote *grown = mem_realloc(nat->mem, m->remotes, cap * sizeof *grown);
        if (!grown)
            return false;
        m->remotes = grown;
        m->remotes_cap = cap;
    }
    size_t at = m->nremotes < m->remotes_cap ? m->nremotes++ : oldest;
    m->remotes[at] = (remote){*destination, now};
    return true;
}

static bool remote_allowed(const roam_nat *nat, const mapping *m, roam_time now, const roam_addr *source)
{
    if (nat->config.filtering == NAT_ENDPOINT_INDEPENDENT)
        return m->nremotes > 0;
    for (size_t i = 0; i < m->nremotes; i++)
        if (remote_matches(nat, &m->remotes[i], source))
            return nat->config.inbound_refreshes || now - m->remotes[i].used < nat->config.timeout;
    return false;
}

static void expire(roam_nat *nat, roam_time now)
{
    list_each (m, &nat->order, mapping, order) {
        if (now < m->used || now - m->used < nat->config.timeout)
            break;
        nat->counters.expired++;
        mapping_free(nat, m);
    }
}

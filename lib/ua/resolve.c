#include "ua/resolve.h"

#include "ua/ua.h"

#define NAME_TTL ROAM_SECONDS(300)
#define NAME_RETRY ROAM_SECONDS(5)
#define MAX_NAMES 1024u
#define MAX_IPS 4u

typedef enum name_state { NAME_ASKED, NAME_KNOWN, NAME_UNKNOWN } name_state;

typedef struct resolved_name {
    roam_map_node node;
    roam_ua *ua;
    name_state state;
    uint32_t query;
    roam_timer expire; /* the answer is old, or nobody answered */
    roam_ip ips[MAX_IPS];
    roam_net_dest *dests[MAX_IPS]; /* held, so that it is known which of them can be reached; NULL: no memory for it */
    size_t nips;
    char text[256];
} resolved_name;

int resolve_init(roam_ua *ua)
{
    map_init(&ua->resolver.names, &ua->env.mem, ua->env.hash_seed);
    return 0;
}

static void forget(roam_ua *ua, resolved_name *name)
{
    env_cancel(&ua->env, &name->expire);
    for (size_t i = 0; i < name->nips; i++)
        net_dest_put(ua, name->dests[i]);
    map_remove(&ua->resolver.names, &name->node);
    mem_free(&ua->env.mem, name);
}

static void on_expire(roam_timer *timer)
{
    resolved_name *name = container_of(timer, resolved_name, expire);
    roam_ua *ua = name->ua;
    bool failed = name->state != NAME_KNOWN;
    forget(ua, name);
    if (failed)
        ua_work_all(ua); /* who still wants it asks again */
}

void resolve_forget(roam_ua *ua)
{
    map_each(name, &ua->resolver.names, resolved_name, node)
        if (name->state != NAME_ASKED)
            forget(ua, name);
}

void resolve_free(roam_ua *ua)
{
    map_each(name, &ua->resolver.names, resolved_name, node)
        forget(ua, name);
    map_free(&ua->resolver.names);
}

static resolved_name *ask(roam_ua *ua, roam_span host)
{
    if (ua->resolver.names.count >= MAX_NAMES || host.len >= sizeof((resolved_name *)0)->text)
        return NULL;
    resolved_name *name = mem_new(&ua->env.mem, resolved_name);
    if (!name)
        return NULL;
    name->ua = ua;
    map_node_init(&name->node);
    timer_init(&name->expire, on_expire, "name expires");
    for (size_t i = 0; i < host.len; i++)
        name->text[i] = ascii_lower(host.ptr[i]);
    name->state = NAME_ASKED;
    name->query = ++ua->resolver.next_query;
    if (map_insert(&ua->resolver.names, &name->node, span_make(name->text, host.len)) != 0) {
        mem_free(&ua->env.mem, name);
        return NULL;
    }
    roam_output out = {.type = ROAM_OUTPUT_RESOLVE, .query = name->query, .bytes = span_make(name->text, host.len)};
    if (env_arm(&ua->env, &name->expire, NAME_RETRY) != 0 || !outputs_push(&ua->out, &out)) {
        forget(ua, name);
        return NULL;
    }
    return name;
}

static bool reachable(const roam_ua *ua, const roam_net_dest *dest)
{
    roam_ip source;
    uint32_t link;
    return choose_reachable(ua, dest, 0, &source, &link);
}

/* `present` where it will do; else the first address to which there is a way; without any the first. */
static const roam_ip *pick(roam_ua *ua, const resolved_name *name, const roam_ip *present)
{
    const roam_ip *first = NULL;
    for (size_t i = 0; i < name->nips; i++) {
        bool way = reachable(ua, name->dests[i]);
        if (present && way && roam_ip_equal(present, &name->ips[i]))
            return present;
        if (way && !first)
            first = &name->ips[i];
    }
    for (size_t i = 0; i < name->nips && !first && present; i++)
        if (roam_ip_equal(present, &name->ips[i]))
            return present;
    return first ? first : &name->ips[0];
}

int resolve_uri(roam_ua *ua, const roam_uri *uri, roam_addr *out)
{
    return resolve_uri_near(ua, uri, NULL, out);
}

int resolve_uri_near(roam_ua *ua, const roam_uri *uri, const roam_ip *present, roam_addr *out)
{
    out->port = uri_effective_port(uri);
    roam_span host = uri->host;
    roam_span maddr;
    roam_ip ip = uri->ip;
    if (param_find(uri->params, SPAN("maddr"), &maddr) && maddr.len) { /* RFC 3261 19.1.1: maddr overrides the host */
        host = maddr;
        if (roam_ip_parse(maddr, &ip) != 0)
            ip.family = 0;
    }
    if (ip.family) {
        out->ip = ip;
        return 0;
    }
    char lower[256];
    if (host.len == 0 || host.len >= sizeof lower)
        return ROAM_ENOTFOUND;
    for (size_t i = 0; i < host.len; i++)
        lower[i] = ascii_lower(host.ptr[i]);
    roam_map_node *found = map_find(&ua->resolver.names, span_make(lower, host.len));
    size_t refused = ua->env.mem.refused;
    resolved_name *name = found ? container_of(found, resolved_name, node) : ask(ua, host);
    if (!name)
        return ua->env.mem.refused != refused ? ROAM_ENOMEM : ROAM_ENOTFOUND;
    if (name->state == NAME_ASKED)
        return ROAM_EBUSY;
    if (name->state == NAME_UNKNOWN)
        return ROAM_ENOTFOUND;
    out->ip = *pick(ua, name, present);
    return 0;
}

void resolve_answer(roam_ua *ua, uint32_t query, const roam_ip *ips, size_t n)
{
    map_each(name, &ua->resolver.names, resolved_name, node)
    {
        if (name->query != query || name->state != NAME_ASKED)
            continue;
        for (size_t i = 0; i < n && name->nips < MAX_IPS; i++)
        {
            name->ips[name->nips] = ips[i];
            name->dests[name->nips++] = net_dest_get(ua, &ips[i]);
        }
        name->state = name->nips ? NAME_KNOWN : NAME_UNKNOWN;
        env_arm(&ua->env, &name->expire, name->nips ? NAME_TTL : NAME_RETRY);
        ua_work_all(ua);
        return;
    }
}

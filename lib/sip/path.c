#include "sip/path.h"

#include <assert.h>

#include "sip/sip.h"

const char *transport_text(roam_transport transport)
{
    static const char *const text[] = {"UDP", "TCP", "TLS", "WS", "WSS"};
    return text[transport];
}

const char *path_state_text(roam_path_state state)
{
    static const char *const text[] = {"opening", "up", "gone", "failed"};
    return text[state];
}

void path_set_state(roam_env *env, roam_path *path, roam_path_state state, const char *why)
{
    /* A path that is gone stays gone: the address may come back, then it is a new path. Up may open again: a listener
     * restarted. */
    static const unsigned legal[] = {
        [PATH_OPENING] = 1u << PATH_UP | 1u << PATH_GONE | 1u << PATH_FAILED,
        [PATH_UP] = 1u << PATH_OPENING | 1u << PATH_GONE | 1u << PATH_FAILED,
        [PATH_GONE] = 0,
        [PATH_FAILED] = 1u << PATH_OPENING | 1u << PATH_GONE,
    };
    if (path->state == state)
        return;
    assert(legal[path->state] & 1u << state);
    trace_path(&env->trace, "path", path->id, path_state_text(path->state), path_state_text(state), why);
    path->state = state;
}

/* The path by its identity, not its address: two links may have the same one. */
static roam_span flow_key(char key[32], const roam_path *path, const roam_addr *remote)
{
    size_t ip_len = remote->ip.family == 4 ? 4 : 16;
    memset(key, 0, 32);
    memcpy(key, &path, sizeof path);
    memcpy(key + 8, remote->ip.bytes, ip_len);
    memcpy(key + 24, &remote->ip.scope, 4);
    memcpy(key + 28, &remote->port, 2);
    key[30] = (char)remote->ip.family;
    key[31] = (char)path->transport;
    return span_make(key, 32);
}

roam_flow *flow_get(roam_sip *sip, roam_path *path, const roam_addr *remote)
{
    char key[32];
    roam_flow *recent = sip->recent;
    if (recent && recent->path == path && roam_addr_equal(&recent->remote, remote))
        return flow_ref(recent);
    roam_map_node *found = map_find(&sip->flows, flow_key(key, path, remote));
    if (found) {
        sip->recent = container_of(found, roam_flow, node);
        return flow_ref(sip->recent);
    }
    roam_flow *flow = mem_alloc(&sip->env->mem, sizeof *flow);
    if (!flow)
        return NULL;
    flow->path = path;
    flow->remote = *remote;
    flow->refs = 1;
    flow->sip = sip;
    flow->watch = NULL;
    memcpy(flow->key, key, sizeof key);
    map_node_init(&flow->node);
    if (map_insert(&sip->flows, &flow->node, span_make(flow->key, sizeof flow->key)) != ROAM_OK) {
        mem_free(&sip->env->mem, flow);
        return NULL;
    }
    path->refs++;
    sip->recent = flow;
    return flow;
}

roam_flow *flow_ref(roam_flow *flow)
{
    if (flow)
        flow->refs++;
    return flow;
}

void flow_unref(roam_flow *flow)
{
    if (!flow)
        return;
    assert(flow->refs > 0);
    if (--flow->refs > 0)
        return;
    if (flow->sip->recent == flow)
        flow->sip->recent = NULL;
    map_remove(&flow->sip->flows, &flow->node);
    flow->path->refs--;
    mem_free(&flow->sip->env->mem, flow);
}

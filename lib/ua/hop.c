#include "ua/hop.h"

static void leave(roam_ua *ua, roam_hop *hop, uint32_t link, roam_hop_news *news)
{
    const roam_path *path = hop->flow->path;
    news->left = true;
    news->alive = path->state == PATH_UP && !watch_dead(ua, hop->dest, &path->local.ip, path->link);
    news->dead = path->state == PATH_UP && !news->alive ? watch_why(ua, hop->dest, link, NULL) : NULL;
    flow_unref(hop->flow);
    hop->flow = NULL;
}

/* 0 when the address is known; it may be another than before. */
static int find(roam_ua *ua, roam_hop *hop, const roam_uri *uri)
{
    roam_addr remote = {0};
    uint64_t name = (roam_siphash(ua->env.hash_seed, uri->host) ^ ((uint64_t)uri_effective_port(uri) << 1)) | 1u;
    if (hop->dest && hop->name == name)
        return 0; /* the node that knows us is the one to talk to, whatever its name means now */
    int err = resolve_uri(ua, uri, &remote);
    if (err)
        return err;
    roam_net_dest *dest = net_dest_get(ua, &remote.ip);
    if (!dest)
        return ROAM_ENOMEM;
    net_dest_put(ua, hop->dest);
    hop->dest = dest;
    hop->name = name;
    if (hop->flow && !roam_addr_equal(&remote, &hop->flow->remote)) { /* another remote is no move by itself */
        roam_flow *flow = flow_get(&ua->sip, hop->flow->path, &remote);
        if (!flow) {
            hop->name = 0;
            return ROAM_ENOMEM;
        }
        flow_unref(hop->flow);
        hop->flow = flow;
    }
    hop->remote = remote;
    return 0;
}

roam_hop_state hop_keep(roam_ua *ua, roam_hop *hop, uint32_t link, const roam_uri *uri, roam_hop_news *news)
{
    roam_addr source = {0};
    uint32_t source_link = 0;
    *news = (roam_hop_news){0};
    int err = find(ua, hop, uri);
    if (err == ROAM_ENOMEM)
        return HOP_NO_MEMORY;
    if (err && !hop->dest)
        return err == ROAM_EBUSY ? HOP_WAIT : HOP_UNKNOWN;
    if (err && err != ROAM_EBUSY)
        return HOP_UNKNOWN;
    bool resolving = err != 0; /* meanwhile the path to the hop before is watched, nothing is sent */
    if (!choose_route(ua, hop->dest, link, &source.ip, &source_link)) {
        if (!hop->dest->answered && ua->config.route_answers && !hop->flow)
            return HOP_WAIT;
        if (net_route_awaited(ua, hop->dest, hop->flow))
            return resolving ? HOP_WAIT : HOP_UP;
        if (hop->flow)
            leave(ua, hop, link, news);
        return HOP_OFFLINE;
    }
    roam_path *used = hop->flow ? hop->flow->path : NULL;
    bool other_link = used && source_link && used->link && used->link != source_link;
    if (used && (used->state == PATH_GONE || other_link || !roam_ip_equal(&used->local.ip, &source.ip))) {
        if (ip_change_collecting(ua))
            return used->state == PATH_UP && !resolving ? HOP_UP : HOP_WAIT;
        leave(ua, hop, link, news);
        news->source = source;
    }
    roam_path *path = net_path(ua, &source.ip, source_link);
    if (!path)
        return HOP_NO_MEMORY;
    if (path->state == PATH_OPENING || resolving)
        return HOP_WAIT;
    if (path->state != PATH_UP)
        return HOP_REFUSED;
    if (!hop->flow && !(hop->flow = flow_get(&ua->sip, path, &hop->remote)))
        return HOP_NO_MEMORY;
    return HOP_UP;
}

void hop_free(roam_ua *ua, roam_hop *hop)
{
    net_dest_put(ua, hop->dest);
    flow_unref(hop->flow);
    *hop = (roam_hop){0};
}

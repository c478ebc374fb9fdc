/* The peer's own hand-over, by its own manners. */
#include "testbed/leg_inside.h"

int peer_move(roam_peer *peer, roam_time now, uint32_t socket, const roam_addr *local)
{
    peer_advance(peer, now);
    roam_path *old = peer->path, *path = peer_path_new(peer, socket, local);
    if (!path)
        return ROAM_ENOMEM;
    list_each (p, &peer->paths, roam_path, node) {
        if (p == old || p == path || p->refs)
            continue;
        list_remove(&p->node);
        mem_free(&peer->env.mem, p);
    }
    path_set_state(&peer->env, old, PATH_GONE, "moved");
    peer->path = path;
    peer->config.socket = socket;
    peer->config.local = *local;
    peer->epoch++;
    peer_register_moved(peer, &old->local);
    list_each (leg, &peer->legs, roam_leg, node)
        leg_moved(leg);
    sip_reap(&peer->sip);
    return ROAM_OK;
}

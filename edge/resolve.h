/* Names to addresses, by the OS's own resolver (hosts file, mDNS, DNS: whatever the device is set up for).
 *
 * Each name is asked for on a thread of its own and not in libuv's pool: an answer that was asked for on a network that
 * died takes half a minute to fail. There it would hold up the questions asked on the new network, and everybody who
 * frees the agent. Here it is forgotten. */
#ifndef ROAM_EDGE_RESOLVE_H
#define ROAM_EDGE_RESOLVE_H

#include <uv.h>

#include "roam/base.h"

typedef struct roam_resolver roam_resolver;
/* On the loop's thread. n = 0: no address, or nobody answered. */
typedef void roam_resolver_fn(void *user, uint32_t query, const roam_ip *ips, size_t n);

roam_resolver *resolver_new(uv_loop_t *loop, roam_resolver_fn *answer, void *user); /* NULL: refused */
/* An address in the form of text, or a name that is none, is answered before this returns. */
void resolver_ask(roam_resolver *resolver, uint32_t query, roam_span name);
/* The networks changed: questions asked before do not stand for new ones of the same name, nor hold them up. */
void resolver_network_changed(roam_resolver *resolver);
/* Nobody is called any more. Its handle dies in a later turn of the loop; threads still asking end by themselves. */
void resolver_free(roam_resolver *resolver);

#endif

/* The network monitor: what the OS says about links, addresses and routes, as one roam_network at a time.
 *
 * How a platform is added: write edge/monitor_NAME.c with the five functions below and put it into edge/meson.build for
 * that host; leave monitor_none.c out there. Nothing else in the tree knows which file it is. What the file owes:
 *
 * - Subscribe first, then take the picture. Whatever happens in between is then told once too often, never not at all.
 * - An event is a reason to look, not a fact to apply: on each, read all that are queued, take a whole picture and hand
 *   it over at once. The core compares; it also collects followers of a change, so do not wait for them here.
 * - A picture is a snapshot, put together from several answers of the OS that need not belong to the same moment. Where
 *   they contradict each other (a route from an address that is not there), hand over what is certain and look again
 *   shortly, a few times. Nothing else is ever polled.
 * - Listed are the addresses of links that are up and have carrier. The tentative, the deprecated and the temporary are
 *   listed and flagged. 127.0.0.0/8 and ::1 are never listed: they only occur as the answer for a loopback destination.
 * - A route answer is the source and link that the OS would use for this destination now, policy routing included. It
 * is "unreachable" (source.family 0) where the OS has no route, or only one from an address that is not usable. Where
 * the OS still prefers a link without carrier, the best other link with a route is the answer: sockets are bound to
 * theirs.
 * - A destination of this device itself is answered with its own address and the loopback link.
 * - Links are numbered as the OS does, and the same link keeps its number.
 */
#ifndef ROAM_EDGE_MONITOR_H
#define ROAM_EDGE_MONITOR_H

#include <uv.h>

#include "base/trace.h"
#include "roam/network.h"

typedef struct roam_monitor roam_monitor;

/* A picture that differs from the last one. Valid during the call; the monitor may be asked anything from inside. */
typedef void roam_monitor_fn(void *user, const roam_network *network);

/* 0 and a monitor; ROAM_EUNSUPPORTED: not on this platform; ROAM_EIO: the OS refused; ROAM_ENOMEM. */
int monitor_new(uv_loop_t *loop, roam_monitor_fn *changed, void *user, const roam_tracer *trace, roam_monitor **out);
/* Watches, and hands over the first picture before it returns (an empty one on a device without network). */
int monitor_start(roam_monitor *monitor);
/* Answers at once, then includes the destination in every picture. Counted: as many unwatches end it. */
int monitor_watch(roam_monitor *monitor, const roam_ip *destination, roam_net_route *answer);
void monitor_unwatch(roam_monitor *monitor, const roam_ip *destination);
/* Stops at once. Its handles die in a later turn of the loop and call nobody. */
void monitor_free(roam_monitor *monitor);

#endif

/* Which path a user of a destination takes: the one that the system would, unless it is known to be dead (watch.h), and unless the application wants to
 * stay on the one in use while that works (roam_ua_config.choose_path). */
#ifndef ROAM_UA_CHOOSE_H
#define ROAM_UA_CHOOSE_H

#include "ua/net.h"

#define CHOICES_KEPT 8u

/* What the application said about a pair of paths. Forgotten when one of them goes or becomes another: then it is a new offer. */
typedef struct roam_choice {
    bool given;
    roam_net_addr from, to;
    roam_path_choice choice;
} roam_choice;

typedef struct roam_choose {
    roam_choice kept[CHOICES_KEPT];
    size_t next;
} roam_choose;

/* The source toward `dest` now; over `link` only when that is not 0. False: there is none, or none that answers. May ask the application. */
bool choose_route(roam_ua *ua, roam_net_dest *dest, uint32_t link, roam_ip *source, uint32_t *source_link);
/* The same without asking anybody anything. */
bool choose_reachable(const roam_ua *ua, const roam_net_dest *dest, uint32_t link, roam_ip *source, uint32_t *source_link);
/* Did the application say of this source: leave it at once? */
bool choose_leaves(const roam_ua *ua, const roam_ip *source, uint32_t link);
/* This source does not answer any more: nobody stays on it, even when it is forgotten that it was dead. */
void choose_died(roam_ua *ua, const roam_ip *source, uint32_t link);
/* The picture changed. */
void choose_review(roam_ua *ua);

#endif

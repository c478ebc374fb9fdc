/* What of an agent's inside the simulator looks at: its calls as the other end will see them. The only part of sim/ that knows lib/ua. */
#ifndef ROAM_SIM_INSIDE_H
#define ROAM_SIM_INSIDE_H

#include "sim/actor.h"

size_t inside_views(const roam_ua *ua, sim_view views[VIEW_MAX]);
size_t inside_transactions(const roam_ua *ua);

#endif

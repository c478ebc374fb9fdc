/* A platform without a monitor: the application feeds the agent (roam_agent_network_update()). */
#include "edge/monitor.h"

int monitor_new(uv_loop_t *loop, roam_monitor_fn *changed, void *user, const roam_tracer *trace, roam_monitor **out)
{
    (void)loop, (void)changed, (void)user, (void)trace;
    *out = NULL;
    return ROAM_EUNSUPPORTED;
}

int monitor_start(roam_monitor *monitor)
{
    (void)monitor;
    return ROAM_EUNSUPPORTED;
}

int monitor_watch(roam_monitor *monitor, const roam_ip *destination, roam_net_route *answer)
{
    (void)monitor, (void)destination, (void)answer;
    return ROAM_EUNSUPPORTED;
}

void monitor_unwatch(roam_monitor *monitor, const roam_ip *destination)
{
    (void)monitor, (void)destination;
}

void monitor_free(roam_monitor *monitor)
{
    (void)monitor;
}

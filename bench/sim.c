/* How many whole calls with a move does the simulator do in a second, on one core? Each: two registrations with digest, a call through the proxy, RTP both ways, a change
 * of network, the repair, all rules checked, everything freed. Goal: 500. */
#include "bench.h"

#include <sys/resource.h>

#include "sim/run.h"

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec + ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) / 1e6;
}

static void measure(const char *scenario, const char *faults, unsigned runs)
{
    sim_plan plan = {.scenario = scenario_find(scenario), .peer = &sim_peer_profiles[0], .server = &sim_server_profiles[0], .delay_ms = 50};
    uint64_t packets = 0, failed = 0, virtual_us = 0;
    if (!faults_parse(faults, plan.faults, &plan.nfaults))
        abort();
    double began = cpu_seconds();
    for (unsigned i = 0; i < runs; i++) {
        sim_result result;
        plan.seed = i;
        sim_run(&plan, NULL, &result);
        packets += result.packets;
        virtual_us += result.ended;
        failed += result.rule != RULE_NONE;
    }
    double took = cpu_seconds() - began;
    printf("  %-14s %-16s %6.0f a second and core   %5.0f packets each, %.1f s of virtual time each (%.0f times real time)%s\n", scenario, faults, runs / took,
           (double)packets / runs, (double)virtual_us / 1e6 / runs, (double)virtual_us / 1e6 / took, failed ? "   RULES WERE VIOLATED" : "");
}

/* What `roam sim --seeds` does, in one process: whatever the seeds draw. */
static void measure_seeds(unsigned runs)
{
    uint64_t packets = 0, failed = 0, excused = 0;
    double began = cpu_seconds();
    for (unsigned i = 1; i <= runs; i++) {
        sim_plan plan;
        sim_result result;
        plan_draw(&plan, i);
        sim_run(&plan, NULL, &result);
        packets += result.packets;
        failed += result.rule != RULE_NONE;
        excused += result.excuses != 0;
    }
    double took = cpu_seconds() - began;
    printf("  %u seeds: %.0f a second and core, %.0f packets each, %.1f %% with an excuse, %llu violations\n", runs, runs / took, (double)packets / runs, 100.0 * (double)excused / runs,
           (unsigned long long)failed);
}

int main(int argc, char **argv)
{
    unsigned runs = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    printf("whole calls with a move (goal: above 500 a second and core)\n");
    measure("out", "break@1500/40", runs ? runs : 1);
    measure("out", "make@1500/1000", runs ? runs : 1);
    measure("in", "break@1500/40", runs ? runs : 1);
    measure("out-hold", "break@1500/40", runs ? runs : 1);
    printf("seeds, whatever they draw\n");
    measure_seeds(runs ? runs : 1);
    printf("for comparison\n");
    measure("register", "break@800/40", runs ? runs : 1);
    measure("out", "no", runs ? runs : 1);
    return 0;
}

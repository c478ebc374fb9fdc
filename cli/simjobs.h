/* Many runs of the simulator in processes of their own: a run that ends its process is a finding, not the end of the search. */
#ifndef ROAM_CLI_SIMJOBS_H
#define ROAM_CLI_SIMJOBS_H

#include "sim/run.h"

typedef struct sim_job_report {
    uint64_t index;
    sim_result result;
} sim_job_report;

typedef struct sim_jobs {
    unsigned jobs;         /* processes at once */
    uint64_t count;        /* runs; UINT64_MAX: until the time is over */
    double seconds;        /* at most; 0: no limit */
    bool twice;            /* each run is done twice, the hashes are compared */
    uint64_t max_failures; /* then it stops; 0: no limit */
    unsigned hang_seconds; /* one run that takes longer hangs; 0: 60, a run takes milliseconds; under a sanitizer and on a busy machine a second */
    void (*run)(const sim_plan *plan, sim_result *result); /* NULL: sim_run. Others are for the tests of this */
    void (*plan)(void *user, uint64_t index, sim_plan *plan);
    void (*failed)(void *user, const sim_job_report *report);
    void *user;
    /* out */
    uint64_t done, failures, excused, packets;
    uint64_t excuses[SIM_EXCUSES]; /* runs that needed each */
    double took;
} sim_jobs;

/* False: the operating system refused (said). */
bool simjobs_run(sim_jobs *jobs);
/* One run in a process of its own. */
void simjobs_one(const sim_plan *plan, bool twice, sim_result *result);

#endif

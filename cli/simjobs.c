#include "cli/simjobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define HANG_SECONDS 60
#define JOBS_MAX 64u

/* Shared with the process that runs. */
typedef struct slot {
    volatile uint64_t current; /* index of the run under way */
    volatile uint64_t done, excused, packets, excuses[SIM_EXCUSES];
    volatile bool finished;
} slot;

typedef struct worker {
    pid_t pid; /* 0: none */
    int pipe;
    slot *slot;
    uint64_t last; /* run seen under way ... */
    roam_time since; /* ... since */
} worker;

static void run_plain(const sim_plan *plan, sim_result *result)
{
    sim_run(plan, NULL, result);
}

static void run_one(void (*run)(const sim_plan *plan, sim_result *result), const sim_plan *plan, bool twice, sim_result *result)
{
    sim_result again;
    run(plan, result);
    if (!twice || result->rule != RULE_NONE)
        return;
    run(plan, &again);
    if (again.hash == result->hash)
        return;
    result->rule = RULE_REPEATABLE;
    snprintf(result->text, sizeof result->text, "hash %016llx, then %016llx", (unsigned long long)result->hash, (unsigned long long)again.hash);
}

static void work(const sim_jobs *jobs, slot *s, uint64_t first, int out)
{
    for (uint64_t i = first; i < jobs->count; i += jobs->jobs) {
        sim_plan plan;
        sim_job_report report = {.index = i};
        s->current = i;
        jobs->plan(jobs->user, i, &plan);
        run_one(jobs->run ? jobs->run : run_plain, &plan, jobs->twice, &report.result);
        s->done++;
        s->excused += report.result.excuses != 0;
        for (unsigned k = 0; k < SIM_EXCUSES; k++)
            s->excuses[k] += report.result.excuses >> k & 1u;
        s->packets += report.result.packets;
        if (report.result.rule != RULE_NONE && write(out, &report, sizeof report) != (ssize_t)sizeof report)
            _exit(2);
    }
    s->finished = true;
    _exit(0);
}

static bool start(const sim_jobs *jobs, worker *w, uint64_t first)
{
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    fflush(NULL);
    w->slot->finished = false;
    w->slot->current = first;
    w->pid = fork();
    if (w->pid == 0) {
        close(ends[0]);
        work(jobs, w->slot, first, ends[1]);
    }
    close(ends[1]);
    w->pipe = ends[0];
    w->last = UINT64_MAX;
    if (w->pid > 0)
        return true;
    w->pid = 0;
    close(ends[0]);
    return false;
}

static void tell(sim_jobs *jobs, const sim_job_report *report)
{
    jobs->failures++;
    jobs->failed(jobs->user, report);
}

/* All reports that are there. */
static void drain(sim_jobs *jobs, worker *w)
{
    struct pollfd fd = {.fd = w->pipe, .events = POLLIN};
    sim_job_report report;
    while (poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN) && read(w->pipe, &report, sizeof report) == (ssize_t)sizeof report)
        tell(jobs, &report);
}

static void died(int status, unsigned hung, sim_result *result)
{
    *result = (sim_result){.rule = hung ? RULE_HANG : RULE_CRASH};
    if (hung)
        snprintf(result->text, sizeof result->text, "not done after %u s", hung);
    else if (WIFSIGNALED(status))
        snprintf(result->text, sizeof result->text, "%s", strsignal(WTERMSIG(status)));
    else
        snprintf(result->text, sizeof result->text, "exit status %d", WEXITSTATUS(status));
}

/* One that ended: by itself, or in the middle of a run, whose successor another process takes over. */
/* `hung`: so many seconds, and was ended; 0: no. */
static bool reap(sim_jobs *jobs, worker *w, unsigned hung)
{
    int status = 0;
    if (waitpid(w->pid, &status, hung ? 0 : WNOHANG) != w->pid)
        return true;
    drain(jobs, w);
    close(w->pipe);
    w->pid = 0;
    if (w->slot->finished)
        return true;
    sim_job_report report = {.index = w->slot->current};
    died(status, hung, &report.result);
    w->slot->done++;
    tell(jobs, &report);
    return report.index + jobs->jobs >= jobs->count || start(jobs, w, report.index + jobs->jobs);
}

static void stop(worker *w)
{
    if (!w->pid)
        return;
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    close(w->pipe);
    w->pid = 0;
}

bool simjobs_run(sim_jobs *jobs)
{
    jobs->jobs = jobs->jobs < 1 ? 1 : jobs->jobs > JOBS_MAX ? JOBS_MAX : jobs->jobs;
    worker workers[JOBS_MAX] = {0};
    slot *slots = mmap(NULL, JOBS_MAX * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) {
        cli_say("sim: %s", strerror(errno));
        return false;
    }
    roam_time began = cli_now();
    bool ok = true, running = true;
    for (unsigned i = 0; i < jobs->jobs && ok; i++) {
        workers[i].slot = &slots[i];
        slots[i].finished = true;
        if (i < jobs->count)
            ok = start(jobs, &workers[i], i);
    }
    while (ok && running) {
        struct pollfd fds[JOBS_MAX];
        for (unsigned i = 0; i < jobs->jobs; i++)
            fds[i] = (struct pollfd){.fd = workers[i].pid ? workers[i].pipe : -1, .events = POLLIN};
        poll(fds, jobs->jobs, 100);
        running = false;
        for (unsigned i = 0; i < jobs->jobs && ok; i++) {
            worker *w = &workers[i];
            if (!w->pid)
                continue;
            drain(jobs, w);
            if (w->slot->current != w->last) {
                w->last = w->slot->current;
                w->since = cli_now();
            }
            unsigned limit = jobs->hang_seconds ? jobs->hang_seconds : HANG_SECONDS, hung = cli_now() - w->since > ROAM_SECONDS(limit) ? limit : 0;
            if (hung)
                kill(w->pid, SIGKILL);
            ok = reap(jobs, w, hung);
            running |= w->pid != 0;
        }
        bool enough = (jobs->seconds > 0 && (double)(cli_now() - began) / 1e6 > jobs->seconds) || (jobs->max_failures && jobs->failures >= jobs->max_failures);
        if (enough)
            break;
    }
    for (unsigned i = 0; i < jobs->jobs; i++) {
        stop(&workers[i]);
        jobs->done += slots[i].done;
        jobs->excused += slots[i].excused;
        for (unsigned k = 0; k < SIM_EXCUSES; k++)
            jobs->excuses[k] += slots[i].excuses[k];
        jobs->packets += slots[i].packets;
    }
    if (!ok)
        cli_say("sim: %s", strerror(errno));
    jobs->took = (double)(cli_now() - began) / 1e6;
    munmap(slots, JOBS_MAX * sizeof *slots);
    return ok;
}

void simjobs_one(const sim_plan *plan, bool twice, sim_result *result)
{
    int ends[2], status = 0;
    *result = (sim_result){.rule = RULE_CRASH, .text = "the operating system refused a process"};
    if (pipe(ends) != 0)
        return;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        FILE *quiet = freopen("/dev/null", "w", stderr);
        (void)quiet;
        alarm(HANG_SECONDS);
        run_one(run_plain, plan, twice, result);
        _exit(write(ends[1], result, sizeof *result) == (ssize_t)sizeof *result ? 0 : 2);
    }
    close(ends[1]);
    if (pid > 0) {
        bool whole = read(ends[0], result, sizeof *result) == (ssize_t)sizeof *result;
        waitpid(pid, &status, 0);
        if (!whole)
            died(status, WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? HANG_SECONDS : 0, result);
    }
    close(ends[0]);
}

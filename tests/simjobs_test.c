/* The command `roam sim` finds runs that end their process, that do not end, and that are not the same twice: each with a run in place of the simulator's that does so at one index.
 * The others are done all the same, by a process that takes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/simjobs.h"

#define RUNS 10u
#define ODD 4u /* the run that is not as it should be */

/* Of cli/main.c, which has a main of its own. */
void cli_say(const char *format, ...)
{
    (void)format;
}

roam_time cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (roam_time)t.tv_sec * 1000000u + (roam_time)t.tv_nsec / 1000u;
}

typedef struct found {
    unsigned n;
    sim_job_report last;
} found;

static void plan_of(void *user, uint64_t index, sim_plan *plan)
{
    (void)user;
    *plan = (sim_plan){.seed = index};
}

static void on_failed(void *user, const sim_job_report *report)
{
    found *f = user;
    f->n++;
    f->last = *report;
}

static void run_whole(const sim_plan *plan, sim_result *result)
{
    *result = (sim_result){.hash = plan->seed, .packets = 1};
}

static void run_crashes(const sim_plan *plan, sim_result *result)
{
    if (plan->seed == ODD)
        abort();
    run_whole(plan, result);
}

static void run_exits(const sim_plan *plan, sim_result *result)
{
    if (plan->seed == ODD)
        _exit(23); /* as a sanitizer does */
    run_whole(plan, result);
}

static void run_hangs(const sim_plan *plan, sim_result *result)
{
    while (plan->seed == ODD)
        sleep(1);
    run_whole(plan, result);
}

static void run_differs(const sim_plan *plan, sim_result *result)
{
    static unsigned count;
    run_whole(plan, result);
    result->hash += plan->seed == ODD ? count++ : 0;
}

/* All but one are well. */
static void assert_found(void (*run)(const sim_plan *plan, sim_result *result), sim_rule rule, const char *text)
{
    for (unsigned processes = 1; processes <= 2; processes++) {
        found f = {0};
        sim_jobs jobs = {.jobs = processes, .count = RUNS, .twice = true, .hang_seconds = 5, .run = run, .plan = plan_of, .failed = on_failed, .user = &f};
        assert_true(simjobs_run(&jobs));
        assert_int_equal(jobs.done, RUNS);
        assert_int_equal(jobs.failures, rule != RULE_NONE);
        assert_int_equal(f.n, jobs.failures);
        if (rule == RULE_NONE)
            continue;
        assert_int_equal(f.last.index, ODD);
        assert_int_equal(f.last.result.rule, rule);
        assert_non_null(strstr(f.last.result.text, text));
    }
}

static void test_whole(void **state)
{
    (void)state;
    assert_found(run_whole, RULE_NONE, "");
}

static void test_crash(void **state)
{
    (void)state;
    assert_found(run_crashes, RULE_CRASH, "Abort");
    assert_found(run_exits, RULE_CRASH, "exit status 23");
}

static void test_hang(void **state)
{
    (void)state;
    assert_found(run_hangs, RULE_HANG, "not done after 5 s");
}

static void test_repeatable(void **state)
{
    (void)state;
    assert_found(run_differs, RULE_REPEATABLE, "hash ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_crash), cmocka_unit_test(test_hang), cmocka_unit_test(test_repeatable)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* roam sim: the simulator from the command line. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/diagram.h"
#include "cli/options.h"
#include "cli/simjobs.h"
#include "cli/tracefile.h"
#include "sim/shrink.h"
#include "sim/sweep.h"

typedef struct sim_command {
    uint64_t seeds, first, seed, jobs, delay, skip, sample, failures;
    bool has_seed, sweep, pairs, every, shrink, list, twice, ladder, by_name, nat, patient, has_delay, has_skip, has_faults;
    double hours;
    const sim_scenario *scenario;
    const sim_profile *peer, *server;
    bool roams;
    sim_fault faults[PLAN_FAULTS];
    size_t nfaults;
    const char *trace, *file;
    sim_plan *listed; /* runs of a file */
    size_t nlisted;
    sim_sweep swept;
    /* failures so far */
    sim_plan first_plan;
    bool any;
    uint64_t by_rule[SIM_RULES];
} sim_command;

static void help(void)
{
    printf("roam sim: real agents, a registrar and proxy, peers, NATs and bad networks, under virtual time. Everything comes from one seed: what happens in\n"
           "a scenario (--list), who stands at the other end, when the network changes and how. While it runs, rules are checked at every packet and event;\n"
           "then the network becomes whole, and soon everything must be whole again. docs/simulator.md says which rules.\n\n"
           "  roam sim --seeds 10000                 seeds 1 to 10000, on all cores\n"
           "  roam sim --seed 0x2a                   one run; where a rule is violated, its message diagram\n"
           "  roam sim --sweep                       each scenario, with a change of network before each of its steps\n"
           "  roam sim --sweep --pairs --scenario out --peer plain\n"
           "  roam sim --shrink 0x2a                 the shortest run that violates the same rule\n"
           "  roam sim --hours 8 --first 1000000     the night\n"
           "  roam sim --scenario out --faults break@1200/40,hole@2500/3000 --ladder\n\n"
           "A fault is KIND@MS (milliseconds after the start) or KIND@#STEP (before that input of the agent), then /LASTS in ms, then :MORE. Kinds:\n");
    for (int i = 0; i < SIM_FAULT_KINDS; i++)
        printf("  %-10s %s\n", fault_text((sim_fault_kind)i), fault_words((sim_fault_kind)i));
    printf("\nExit status: 0 nothing was violated; 1 a rule was; 2 the command line is wrong.\n");
}

/* ---- options ---- */

static const char *number(const char *value, uint64_t least, uint64_t *out)
{
    char *end;
    *out = strtoull(value, &end, 0);
    return *value && *value != '-' && !*end && *out >= least ? NULL : options_why("%s is no number from %llu up", value, (unsigned long long)least);
}

#define SETTER(name_, body_)                                                                                                                                      \
    static const char *name_(void *target, const char *value)                                                                                                    \
    {                                                                                                                                                             \
        sim_command *c = target;                                                                                                                                  \
        (void)value;                                                                                                                                              \
        body_;                                                                                                                                                    \
    }
SETTER(set_seeds, return number(value, 1, &c->seeds))
SETTER(set_first, return number(value, 0, &c->first))
SETTER(set_seed, c->has_seed = true; return number(value, 0, &c->seed))
SETTER(set_shrink, c->has_seed = c->shrink = true; return value ? number(value, 0, &c->seed) : NULL)
SETTER(set_jobs, return number(value, 1, &c->jobs))
SETTER(set_failures, return number(value, 0, &c->failures))
SETTER(set_sample, return number(value, 1, &c->sample))
SETTER(set_delay, c->has_delay = true; return number(value, 0, &c->delay))
SETTER(set_skip, c->has_skip = true; return number(value, 0, &c->skip))
SETTER(set_hours, c->hours = strtod(value, NULL); return c->hours > 0 ? NULL : "that is no time")
SETTER(set_sweep, c->sweep = true; return NULL)
SETTER(set_pairs, c->sweep = c->pairs = true; return NULL)
SETTER(set_every, c->sweep = c->every = true; return NULL)
SETTER(set_list, c->list = true; return NULL)
SETTER(set_twice, c->twice = true; return NULL)
SETTER(set_ladder, c->ladder = true; return NULL)
SETTER(set_by_name, c->by_name = true; return NULL)
SETTER(set_nat, c->nat = true; return NULL)
SETTER(set_patient, c->patient = true; return NULL)
SETTER(set_trace, c->trace = value; return NULL)
SETTER(set_file, c->file = value; return NULL)
SETTER(set_scenario, c->scenario = scenario_find(value); return c->scenario ? NULL : options_why("there is no scenario %s (roam sim --list)", value))

static const char *set_profile(void *target, const char *value)
{
    sim_command *c = target;
    const sim_profile *profile = sim_profile_find(value);
    c->roams |= strcmp(value, "roam") == 0;
    if (profile && profile->peer)
        c->peer = profile;
    else if (profile)
        c->server = profile;
    return profile || c->roams ? NULL : options_why("there is no profile %s (roam sim --list)", value);
}

SETTER(set_faults, c->has_faults = true; return faults_parse(value, c->faults, &c->nfaults) ? NULL : options_why("%s are no faults (roam sim --help)", value))

static const cli_option table[] = {
    {"seeds", "N", "so many runs (1000)", set_seeds},
    {"first", "SEED", "... from this seed on (1)", set_first},
    {"seed-file", "FILE", "the runs of a file, one a line: a seed, or what a violation prints after \"roam sim\"; # begins a comment", set_file},
    {"hours", "N", "runs from --first on until the time is over", set_hours},
    {"seed", "SEED", "one run", set_seed},
    {"shrink", "[SEED]", "look for a shorter run that violates the same rule: --shrink=SEED, or --seed SEED --shrink", set_shrink},
    {"sweep", NULL, "a change before each step of each scenario, with two profiles each", set_sweep},
    {"pairs", NULL, "... pairs of changes: a sample, unless --every", set_pairs},
    {"sample", "N", "... so many pairs (2000)", set_sample},
    {"every", NULL, "... with all profiles; all pairs", set_every},
    {"scenario", "NAME", "this scenario only", set_scenario},
    {"peer", "NAME", "this peer only; roam: a second agent", set_profile},
    {"server", "NAME", "this server only", set_profile},
    {"faults", "LIST", "these changes instead of drawn ones; \"no\": none", set_faults},
    {"delay", "MS", "one way between the agent and its first hop", set_delay},
    {"by-name", NULL, "the account names its registrar by a host name", set_by_name},
    {"nat", NULL, "the agent is behind a NAT; give it a peer that follows the source of RTP", set_nat},
    {"patient", NULL, "look again 40 s after all was well", set_patient},
    {"skip", "MASK", "leave out acts of the scenario (as shrinking prints it)", set_skip},
    {"twice", NULL, "do each run twice and compare the traces", set_twice},
    {"jobs", "N", "processes at once (as many as there are cores)", set_jobs},
    {"failures", "N", "stop after so many violations (20); 0: never", set_failures},
    {"ladder", NULL, "the message diagram of one run, violated or not", set_ladder},
    {"trace", "FILE", "of one run: the trace of alice's agent, for roam ladder", set_trace},
    {"list", NULL, "scenarios and profiles", set_list},
    {0},
};

/* ---- plans ---- */

static void override(const sim_command *c, sim_plan *plan)
{
    if (c->scenario)
        plan->scenario = c->scenario;
    if (c->peer || c->roams)
        plan->peer = c->roams ? NULL : c->peer;
    if (c->server)
        plan->server = c->server;
    if (c->has_delay)
        plan->delay_ms = (uint32_t)c->delay;
    if (c->has_skip)
        plan->skip = (uint32_t)c->skip;
    if (c->has_faults) { /* a whole plan was given: nothing else is drawn */
        memcpy(plan->faults, c->faults, sizeof plan->faults);
        plan->nfaults = c->nfaults;
        plan->by_name = plan->patient = plan->nat = false;
    }
    plan->nat |= c->nat;
    plan->by_name |= c->by_name;
    plan->patient |= c->patient;
}

static void plan_of(void *user, uint64_t index, sim_plan *plan)
{
    const sim_command *c = user;
    if (c->sweep) {
        if (c->pairs && !c->every && c->sample < c->swept.count) /* spread over all pairs, and others with another seed */
            index = (index * (c->swept.count / c->sample) + c->first * 7919u) % c->swept.count;
        sweep_plan(&c->swept, index, plan);
        return;
    }
    if (c->listed)
        *plan = c->listed[index];
    else
        plan_draw(plan, c->first + index);
    override(c, plan);
}

static void on_failed(void *user, const sim_job_report *report)
{
    sim_command *c = user;
    char text[PLAN_TEXT_MAX];
    sim_plan plan;
    plan_of(c, report->index, &plan);
    plan_print(&plan, text);
    printf("FAIL  %s: %s\n      roam sim %s\n", rule_text(report->result.rule), report->result.text, text);
    fflush(stdout);
    c->by_rule[report->result.rule]++;
    if (!c->any)
        c->first_plan = plan;
    c->any = true;
}

/* ---- one run, drawn ---- */

static diagram drawn;
static roam_time drawn_from;

static double seconds(roam_time t)
{
    return drawn_from ? ((double)t - (double)drawn_from) / 1e6 : 0;
}

static void draw_packet(void *user, const sim_packet *packet, bool own)
{
    (void)user;
    if (!drawn_from)
        drawn_from = packet->world->now;
    if (!packet_is_rtp(packet) && packet->len > 16)
        diagram_add_message(&drawn, seconds(packet->world->now), &packet->from, &packet->to, span_make(packet->bytes, packet->len));
    if (!own)
        diagram_add_note(&drawn, seconds(packet->world->now), "sent from an address that the device does not have");
}

static void draw_note(void *user, roam_time now, const char *text)
{
    (void)user;
    diagram_add_note(&drawn, seconds(now), text);
}

static void draw_event(void *user, const sim_node *agent, const roam_event *e)
{
    char text[200];
    const char *more = "";
    (void)user;
    switch (e->type) {
    case ROAM_EVENT_REGISTRATION: more = roam_registration_state_text(e->registration); break;
    case ROAM_EVENT_CALL_STATE: more = roam_call_state_text(e->call_state); break;
    case ROAM_EVENT_IP_CHANGE_PROGRESS: more = roam_ip_change_op_text(e->op); break;
    default: break;
    }
    snprintf(text, sizeof text, "%s hears: %s %s%s%.0u %s", agent->name, roam_event_type_text(e->type), more, e->call ? " call " : "", e->call, e->reason);
    diagram_add_note(&drawn, seconds(e->time), text);
}

static void show(void)
{
    diagram_finish(&drawn, NULL);
    diagram_print(&drawn, 150);
    fflush(stdout);
}

static void on_abort(int number)
{
    show(); /* not allowed in a signal handler, and better than nothing: this process is lost anyway */
    printf("\n%s\n", strsignal(number));
    fflush(stdout);
    _exit(CLI_FAILED);
}

/* In this process: a crash comes with what led to it. */
static int run_drawn(const sim_command *c, const sim_plan *plan, bool always)
{
    cli_tracefile trace = {0};
    sim_spy spy = {.packet = draw_packet, .note = draw_note, .event = draw_event};
    sim_result result;
    char text[PLAN_TEXT_MAX];
    if (c->trace) {
        if (!tracefile_open(&trace, c->trace))
            return CLI_FAILED;
        spy.trace = tracefile_record;
        spy.user = &trace;
    }
    diagram_init(&drawn);
    drawn_from = 0;
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    sim_run(plan, &spy, &result);
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    if (c->trace)
        tracefile_close(&trace);
    if (always || result.rule != RULE_NONE)
        show();
    plan_print(plan, text);
    diagram_free(&drawn);
    if (result.rule == RULE_NONE) {
        printf("ok    %s: %.1f s of virtual time, %llu packets, %u steps, trace %016llx\n", text, (double)result.ended / 1e6, (unsigned long long)result.packets, result.steps,
               (unsigned long long)result.hash);
        return CLI_OK;
    }
    printf("\nviolated after %.3f s: %s, %s\n  %s\nroam sim %s\n", (double)result.time / 1e6, rule_text(result.rule), rule_words(result.rule), result.text, text);
    return CLI_FAILED;
}

static sim_rule trial(void *user, const sim_plan *plan)
{
    sim_result result;
    (void)user;
    simjobs_one(plan, false, &result);
    return result.rule;
}

static int run_shrink(const sim_command *c, sim_plan *plan)
{
    sim_result result;
    char text[PLAN_TEXT_MAX];
    simjobs_one(plan, c->twice, &result);
    if (result.rule == RULE_NONE) {
        cli_say("sim: this run violates no rule");
        return CLI_FAILED;
    }
    unsigned trials = plan_shrink(plan, result.rule, 400, trial, NULL);
    plan_print(plan, text);
    printf("%s: after %u trials the shortest is\nroam sim %s\n\n", rule_text(result.rule), trials, text);
    run_drawn(c, plan, true);
    return CLI_FAILED;
}

/* ---- many ---- */

static int run_list(void)
{
    printf("Scenarios:\n");
    for (size_t i = 0; i < sim_nscenarios; i++)
        printf("  %-20s %s\n", sim_scenarios[i].name, sim_scenarios[i].row);
    printf("Peers:\n  %-20s %s\n", "roam", "a second agent, which may move, too");
    for (size_t i = 0; i < sim_npeer_profiles; i++)
        printf("  %-20s %s\n", sim_peer_profiles[i].name, sim_peer_profiles[i].words);
    printf("Servers:\n");
    for (size_t i = 0; i < sim_nserver_profiles; i++)
        printf("  %-20s %s\n", sim_server_profiles[i].name, sim_server_profiles[i].words);
    printf("Rules:\n");
    for (int i = RULE_NONE + 1; i < SIM_RULES; i++)
        printf("  %-20s %s\n", rule_text((sim_rule)i), rule_words((sim_rule)i));
    return CLI_OK;
}

#define LISTED_MAX 100000u

/* A seed alone, or the arguments of one run. */
static bool read_run(char *line, sim_plan *plan)
{
    const cli_option *const tables[] = {table, NULL};
    const char *const positional[] = {NULL};
    sim_command one = {0};
    const cli_options options = {.tables = tables, .target = &one, .positional = positional, .subcommand = "sim"};
    char name[] = "sim", seed[] = "--seed", *words[40] = {name}, *rest[41], *save = NULL;
    int n = 1, nrest = 0;
    if (isdigit((unsigned char)line[0]))
        words[n++] = seed;
    for (char *word = strtok_r(line, " \t\n", &save); word && n < 40; word = strtok_r(NULL, " \t\n", &save))
        words[n++] = word;
    if (options_parse(&options, n, words, rest, &nrest, help) >= 0 || nrest || !one.has_seed)
        return false;
    plan_draw(plan, one.seed);
    override(&one, plan);
    return true;
}

static bool read_seeds(sim_command *c)
{
    FILE *file = fopen(c->file, "re");
    char line[PLAN_TEXT_MAX];
    bool ok = file != NULL;
    if (!ok)
        cli_say("sim: cannot read %s", c->file);
    while (ok && c->nlisted < LISTED_MAX && fgets(line, sizeof line, file)) {
        for (size_t i = 0; line[i]; i++) /* "break@#17" is none */
            if (line[i] == '#' && (i == 0 || isspace((unsigned char)line[i - 1])))
                line[i] = '\0';
        if (line[strspn(line, " \t\n")] == '\0')
            continue;
        sim_plan *listed = realloc(c->listed, (c->nlisted + 1) * sizeof *listed);
        ok = listed != NULL;
        if (ok) {
            c->listed = listed;
            ok = read_run(line, &c->listed[c->nlisted++]);
        }
        if (!ok)
            cli_say("sim: %s: cannot read run number %zu", c->file, c->nlisted);
    }
    if (file)
        fclose(file);
    return ok;
}

static int run_many(sim_command *c)
{
    sim_jobs jobs = {.jobs = (unsigned)c->jobs, .count = c->seeds, .seconds = c->hours * 3600, .twice = c->twice, .max_failures = c->failures, .plan = plan_of, .failed = on_failed, .user = c};
    if (c->hours > 0)
        jobs.count = UINT64_MAX - 64;
    if (c->file) {
        if (!read_seeds(c))
            return CLI_FAILED;
        jobs.count = c->nlisted;
    }
    if (c->sweep) {
        sim_sweep_options options = {.scenario = c->scenario, .peer = c->peer, .server = c->server, .pairs = c->pairs, .every = c->every, .seed = c->first};
        if (!sweep_init(&c->swept, &options))
            return CLI_FAILED;
        jobs.count = c->pairs && !c->every && c->sample < c->swept.count ? c->sample : c->swept.count;
        printf("sweep: %zu scenarios with profiles, %llu runs\n", c->swept.nswept, (unsigned long long)jobs.count);
    }
    bool ok = simjobs_run(&jobs);
    if (c->sweep)
        sweep_free(&c->swept);
    if (c->any) {
        printf("\n");
        for (int i = 0; i < SIM_RULES; i++)
            if (c->by_rule[i])
                printf("%6llu %s\n", (unsigned long long)c->by_rule[i], rule_text((sim_rule)i));
        printf("\nThe first of them:\n\n");
        run_drawn(c, &c->first_plan, false);
    }
    printf("%llu runs%s, %llu violations, %llu with an excuse", (unsigned long long)jobs.done, c->twice ? " (each twice)" : "", (unsigned long long)jobs.failures,
           (unsigned long long)jobs.excused);
    const char *before = " (";
    for (unsigned i = 0; i < SIM_EXCUSES; i++)
        if (jobs.excuses[i]) {
            printf("%s%s %llu", before, excuse_text((sim_excuse)i), (unsigned long long)jobs.excuses[i]);
            before = ", ";
        }
    printf("%s, %llu packets; %.0f runs a second with %u processes\n", jobs.excused ? ")" : "", (unsigned long long)jobs.packets,
           jobs.took > 0 ? (double)jobs.done / jobs.took : 0, jobs.jobs);
    free(c->listed);
    return ok && !jobs.failures ? CLI_OK : CLI_FAILED;
}

int cli_sim(int argc, char **argv)
{
    const cli_option *const tables[] = {table, NULL};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    sim_command *c = calloc(1, sizeof *c);
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    const char *const positional[] = {NULL};
    const cli_options options = {.tables = tables, .target = c, .positional = positional, .subcommand = "sim"};
    int n = 0, status = c && rest ? -1 : CLI_FAILED;
    if (status < 0) {
        *c = (sim_command){.seeds = 1000, .first = 1, .jobs = cores > 0 ? (uint64_t)cores : 1, .failures = 20, .sample = 2000};
        status = options_parse(&options, argc, argv, rest, &n, help);
    }
    if (status < 0 && n > 0) {
        cli_say("sim: %s? (roam sim --help)", rest[0]);
        status = CLI_USAGE;
    }
    if (status < 0 && c->list) {
        status = run_list();
    } else if (status < 0 && (c->has_seed || (c->has_faults && !c->sweep))) {
        sim_plan plan;
        plan_draw(&plan, c->has_seed ? c->seed : c->first);
        override(c, &plan);
        status = c->shrink ? run_shrink(c, &plan) : run_drawn(c, &plan, c->ladder);
    } else if (status < 0) {
        status = run_many(c);
    }
    free(rest);
    free(c);
    return status;
}
